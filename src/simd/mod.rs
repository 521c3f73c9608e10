//! The lanes: a small vector trait, the instruction sets that implement it, and the detection of
//! what the machine has.
//!
//! Passes are written once, generic over [`Lanes`]. A pass is a [`Job`]; [`Level::run`] enters it
//! through a function compiled for the level's instruction set, and everything between that
//! function and the intrinsics is `#[inline(always)]` with no closure in between, or the
//! intrinsics would become calls.

/// Functions that only pass pointers on, for as many elements as their documentation, or that of their trait, says
/// and the caller allows. What they have as parameters beside `L: Lanes` stands in brackets.
macro_rules! passed_on {
    ($(
        $(#[$doc:meta])*
        fn $name:ident $([$($parameters:tt)*])? ($l:ident, $($argument:tt: $type:ty),* $(,)?)
        $(-> $result:ty)? { $($do:tt)* }
    )*) => {$(
        $(#[$doc])*
        #[inline(always)]
        unsafe fn $name<L: Lanes $(, $($parameters)*)?>(
            $l: L,
            $($argument: $type),*
        ) $(-> $result)? {
            // SAFETY: the caller's promise is the callees'.
            unsafe { $($do)* }
        }
    )*};
}
pub(crate) use passed_on;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod sample;

pub use sample::SampleLanes;

use crate::error::Error;
use std::fmt;

/// The vectors of one instruction set and the operations that the passes need.
///
/// `F` and `I` hold [`N`](Self::N) lanes of `f32` and `i32`; `H` holds 2·N lanes of `i16`. A value
/// of a type that implements this trait is the proof that the machine has the instructions.
///
/// # Safety
///
/// The loads and stores take pointers: each says how many elements it touches, and all of them
/// must be readable or writable. No alignment is needed.
pub trait Lanes: Copy {
    /// Lanes of `f32` and `i32`.
    const N: usize;
    /// N lanes of `f32`.
    type F: Copy;
    /// N lanes of `i32`, or of pairs of `i16`.
    type I: Copy;
    /// 2·N lanes of `i16`.
    type H: Copy;
    /// N / 2 lanes of `f64`.
    type D: Copy;

    fn f_splat(self, x: f32) -> Self::F;
    /// Reads N.
    unsafe fn f_load(self, p: *const f32) -> Self::F;
    /// Reads N, each converted exactly.
    unsafe fn f_load_u8(self, p: *const u8) -> Self::F;
    /// Reads N, each converted exactly.
    unsafe fn f_load_u16(self, p: *const u16) -> Self::F;
    /// Writes N.
    unsafe fn f_store(self, p: *mut f32, v: Self::F);
    /// Writes N past the cache, where the instruction set can. `p` must be a multiple of the
    /// vector's size; [`fence`] must be called before another thread may read.
    unsafe fn f_stream(self, p: *mut f32, v: Self::F);
    fn f_add(self, a: Self::F, b: Self::F) -> Self::F;
    fn f_mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a·b + c, in one rounding where the instruction set has it.
    fn f_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// Lane i of the result is lane `index[i]` of `v`; indices are 0..N.
    fn f_permute(self, v: Self::F, index: Self::I) -> Self::F;
    /// Lane i of the result is lane `index[i]` of `a` and, behind it, `b`; indices are 0..2·N.
    fn f_permute_two(self, a: Self::F, b: Self::F, index: Self::I) -> Self::F;
    /// Whether [`f_permute_two`](Self::f_permute_two) is an instruction.
    const PERMUTES_TWO: bool;
    /// The smaller; `b` where `a` is NaN.
    fn f_min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger; `b` where `a` is NaN.
    fn f_max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `v`, but no less than `least`; NaN stays NaN.
    fn f_at_least(self, v: Self::F, least: Self::F) -> Self::F;
    /// `v`, but no more than `most`; NaN stays NaN.
    fn f_at_most(self, v: Self::F, most: Self::F) -> Self::F;
    fn f_abs(self, v: Self::F) -> Self::F;
    fn f_sqrt(self, v: Self::F) -> Self::F;
    /// The largest power of 2 that is not above `v`, and what times it is 1, for `v` from 2⁻¹²⁶ to 2¹²⁶.
    fn f_power(self, v: Self::F) -> [Self::F; 2];
    /// The largest integer not above `v`, which must be within ±2³⁰.
    fn f_floor(self, v: Self::F) -> Self::I;

    fn d_splat(self, x: f64) -> Self::D;
    /// Reads N / 2.
    unsafe fn d_load(self, p: *const f64) -> Self::D;
    /// Writes N / 2.
    unsafe fn d_store(self, p: *mut f64, v: Self::D);
    fn d_add(self, a: Self::D, b: Self::D) -> Self::D;
    fn d_mul(self, a: Self::D, b: Self::D) -> Self::D;
    /// The lower and the upper half, exactly.
    fn f_to_d(self, v: Self::F) -> (Self::D, Self::D);
    /// Both halves, each lane rounded to the nearest `f32`.
    fn d_to_f(self, lower: Self::D, upper: Self::D) -> Self::F;

    fn i_splat(self, x: i32) -> Self::I;
    /// Reads N.
    unsafe fn i_load(self, p: *const i32) -> Self::I;
    /// The first N of a row, which must have as many.
    #[inline(always)]
    fn i_from(self, row: &[i32]) -> Self::I {
        assert!(row.len() >= Self::N);
        // SAFETY: the row has N elements.
        unsafe { self.i_load(row.as_ptr()) }
    }
    /// Reads N.
    unsafe fn i_load_u8(self, p: *const u8) -> Self::I;
    /// Reads N.
    unsafe fn i_load_u16(self, p: *const u16) -> Self::I;
    /// Reads N.
    unsafe fn i_load_i16(self, p: *const i16) -> Self::I;
    /// Writes N.
    unsafe fn i_store(self, p: *mut i32, v: Self::I);
    /// Writes N, each limited to 0..=255.
    unsafe fn i_store_u8(self, p: *mut u8, v: Self::I);
    /// Writes N, each limited to 0..=65535.
    unsafe fn i_store_u16(self, p: *mut u16, v: Self::I);
    /// Writes N, each limited to the range of `i16`.
    unsafe fn i_store_i16(self, p: *mut i16, v: Self::I);
    fn i_add(self, a: Self::I, b: Self::I) -> Self::I;
    fn i_sub(self, a: Self::I, b: Self::I) -> Self::I;
    /// Whether [`i_permute`](Self::i_permute) is an instruction, not a loop.
    const PERMUTES: bool;
    /// Lane `index[i]` of `v` in lane i; 0 where the index is negative. Indices are below N.
    fn i_permute(self, v: Self::I, index: Self::I) -> Self::I;
    /// The low 32 bits of the product.
    fn i_mul(self, a: Self::I, b: Self::I) -> Self::I;
    fn i_abs(self, v: Self::I) -> Self::I;
    /// Arithmetic shift to the right by `bits` < 32.
    fn i_shr(self, v: Self::I, bits: u32) -> Self::I;
    fn i_to_f(self, v: Self::I) -> Self::F;

    fn h_splat(self, x: i16) -> Self::H;
    /// Reads 2·N.
    unsafe fn h_load(self, p: *const i16) -> Self::H;
    /// Reads 2·N.
    unsafe fn h_load_u8(self, p: *const u8) -> Self::H;
    /// Writes 2·N.
    unsafe fn h_store(self, p: *mut i16, v: Self::H);
    /// Writes 2·N, each limited to 0..=255.
    unsafe fn h_store_u8(self, p: *mut u8, v: Self::H);
    /// [`h_store`](Self::h_store), and past the cache as [`f_stream`](Self::f_stream) is.
    unsafe fn h_stream(self, p: *mut i16, v: Self::H);
    /// [`h_store_u8`](Self::h_store_u8), and past the cache as [`f_stream`](Self::f_stream) is.
    unsafe fn h_stream_u8(self, p: *mut u8, v: Self::H);
    /// The low 16 bits of the sum.
    fn h_add(self, a: Self::H, b: Self::H) -> Self::H;
    /// The low 16 bits of the difference.
    fn h_sub(self, a: Self::H, b: Self::H) -> Self::H;
    /// A number of lanes, as [`h_shifted`](Self::h_shifted) needs it.
    type Shift: Copy;
    /// Whether [`h_shifted`](Self::h_shifted) and [`h_permute`](Self::h_permute) are an instruction,
    /// not a loop.
    const PERMUTES_H: bool;
    /// A shift by `lanes` < 2·N.
    fn h_shift(self, lanes: usize) -> Self::Shift;
    /// Lane i − `lanes` of `v` in lane i, and 0 in the first `lanes`.
    fn h_shifted(self, v: Self::H, shift: Self::Shift) -> Self::H;
    /// Lane `index[i]` of `v` in lane i; indices are 0..2·N.
    fn h_permute(self, v: Self::H, index: Self::H) -> Self::H;
    /// The low 16 bits of the product.
    fn h_mul(self, a: Self::H, b: Self::H) -> Self::H;
    /// (a·b + 2¹⁴) / 2¹⁵, rounded down; not both may be −2¹⁵.
    fn h_mul_high(self, a: Self::H, b: Self::H) -> Self::H;
    /// a·b / 2¹⁶, rounded down.
    fn h_mul_upper(self, a: Self::H, b: Self::H) -> Self::H;
    fn h_abs(self, v: Self::H) -> Self::H;
    /// Arithmetic shift to the right by `bits` < 16.
    fn h_shr(self, v: Self::H, bits: u32) -> Self::H;
    /// Shift of 16 bits without a sign to the right by `bits` < 16.
    fn h_shr_unsigned(self, v: Self::H, bits: u32) -> Self::H;

    fn h_xor(self, a: Self::H, b: Self::H) -> Self::H;
    /// The even and the odd groups of four of 4·N bytes: 0 to 3, 8 to 11, … and 4 to 7, 12 to 15, ….
    fn h_fours(self, bytes: Self::H) -> [Self::H; 2];
    /// Writes 4·N in the order of [`h_fours`](Self::h_fours), each limited to 0..=255.
    unsafe fn h_store_fours(self, p: *mut u8, even: Self::H, odd: Self::H);
    /// [`h_store_fours`](Self::h_store_fours), and past the cache as [`f_stream`](Self::f_stream) is.
    unsafe fn h_stream_fours(self, p: *mut u8, even: Self::H, odd: Self::H);
    /// The bytes 0, 2, 4, … of 4·N bytes.
    fn h_even(self, bytes: Self::H) -> Self::H;
    /// The bytes 1, 3, 5, … of 4·N bytes.
    fn h_odd(self, bytes: Self::H) -> Self::H;
    /// [`h_even`](Self::h_even) in the upper halves of words.
    fn h_even_upper(self, bytes: Self::H) -> Self::H;
    /// [`h_odd`](Self::h_odd) in the upper halves of words.
    fn h_odd_upper(self, bytes: Self::H) -> Self::H;
    /// Whether [`h_dot`](Self::h_dot) is one instruction.
    const DOTS_BYTES: bool;
    /// b₀·t₀ + b₁·t₁ for the two bytes of each lane, without a sign, and its two taps, with one; the
    /// sum must be within the range of `i16`.
    fn h_dot(self, bytes: Self::H, taps: Self::H) -> Self::H;
    /// e₀, o₀, e₁, o₁, …, in two vectors.
    fn h_interleave(self, even: Self::H, odd: Self::H) -> (Self::H, Self::H);
    /// Writes the 4·N of [`h_interleave`](Self::h_interleave), each limited to 0..=255.
    unsafe fn h_store_u8x2(self, p: *mut u8, even: Self::H, odd: Self::H);
    /// [`h_store_u8x2`](Self::h_store_u8x2), and past the cache as [`f_stream`](Self::f_stream) is.
    unsafe fn h_stream_u8x2(self, p: *mut u8, even: Self::H, odd: Self::H);

    /// The pairs (a₀, b₀), (a₁, b₁), …, each in an `i32` lane, a in the low half; in an order of
    /// the level's own, the "split order", that [`join`](Self::join) and
    /// [`in_order`](Self::in_order) undo.
    fn split(self, a: Self::H, b: Self::H) -> (Self::I, Self::I);
    /// The lanes 2i, and the lanes 2i + 1, without a sign.
    fn i_halves(self, v: Self::H) -> [Self::I; 2];
    /// The lanes 2i and 2i + 1 as a pair.
    fn pairs(self, v: Self::H) -> Self::I;
    /// acc + p₀·t₀ + p₁·t₁ for each lane's pairs p and t.
    fn dot(self, acc: Self::I, pairs: Self::I, taps: Self::I) -> Self::I;
    /// Two vectors in split order, each lane limited to the range of `i16`.
    fn join(self, first: Self::I, second: Self::I) -> Self::H;
    /// Two vectors in split order, brought into order.
    fn in_order(self, first: Self::I, second: Self::I) -> (Self::I, Self::I);

    /// Parts of a vector whose bytes [`i_pick_u8`](Self::i_pick_u8) takes from windows of their
    /// own.
    const PARTS: usize;
    /// Bytes of such a window; whole windows are read.
    const WINDOW: usize;
    /// Four bytes in each lane: byte i of part w is byte `index[i]` of the window at
    /// `p + starts[w]`. `index` holds bytes below [`WINDOW`](Self::WINDOW).
    unsafe fn i_pick_u8(self, p: *const u8, starts: [usize; 2], index: Self::I) -> Self::I;
    /// Taps for [`dot_u8`](Self::dot_u8) in the level's own form, from pairs of `i16`, each between
    /// −32640 and 32639: those of bytes 0 and 2 of each lane, and those of bytes 1 and 3.
    fn taps_u8(self, even: Self::I, odd: Self::I) -> [Self::I; 2];
    /// Adds Σ bᵢ·tᵢ, for each lane's four bytes and taps, to a sum that is kept in two parts: a 0,
    /// and what it starts with.
    fn dot_u8(self, acc: [Self::I; 2], bytes: Self::I, taps: [Self::I; 2]) -> [Self::I; 2];
    /// The sum of such parts.
    fn sum_u8(self, acc: [Self::I; 2]) -> Self::I;
    /// Whether [`i_pick_u8`](Self::i_pick_u8) and [`dot_u8`](Self::dot_u8) are an instruction or two.
    const PICKS: bool;
    /// The low halves of both in each lane, as a pair of `i16`: `a` in the low half.
    fn pair(self, a: Self::I, b: Self::I) -> Self::I;
    /// Writes 4·N, each limited to 0..=255.
    unsafe fn i_store_u8x4(self, p: *mut u8, v: [Self::I; 4]);
    /// 2·N words in order, each limited to 0..=65535.
    fn i_join_u16(self, a: Self::I, b: Self::I) -> Self::H;
    /// 4·N bytes: those of lane 0 of all four, each limited to 0..=255, then those of lane 1, ….
    fn i_weave_u8(self, v: [Self::I; 4]) -> Self::H;
    /// 2·N words: those of lane 0 of both, each limited to 0..=65535, then those of lane 1, ….
    fn i_weave_u16(self, v: [Self::I; 2]) -> Self::H;
}

/// Lanes of the widest level, and so the slack behind a row that whole vectors may touch: 2·N
/// of AVX-512.
pub const MAX_LANES: usize = 32;

/// Makes what this thread streamed visible before its later writes.
pub fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_sfence();
    }
}

/// Asks for the line of the cache at this address, whatever it is.
#[inline(always)]
pub fn prefetch_line(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64; a prefetch reads nothing and cannot fault.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Asks for a row that will be read soon.
#[inline(always)]
pub fn prefetch<T>(row: &[T]) {
    for x in (0..row.len()).step_by(64 / size_of::<T>()) {
        prefetch_line(row.as_ptr().wrapping_add(x).cast());
    }
}

/// Work that is written for any lanes. `run` must be `#[inline(always)]`.
pub trait Job {
    fn run<L: Lanes>(self, lanes: L);
}

/// An instruction set that this machine has. Detected, never assumed: a `Level` cannot be made
/// any other way.
///
/// ```
/// use twopass::{Filter, Kernel, Level, Shape};
///
/// // The best one is taken by itself; a test may want each.
/// for level in Level::available() {
///     let filter = Filter::new(Kernel::sobel_x()).level(level);
///     assert_eq!(filter.plan::<u8, i16>(Shape::new(64, 48, 1))?.level(), level);
/// }
/// assert_eq!(Level::named("portable")?, Level::portable());
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Level(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The names of all levels, worst first.
    pub const NAMES: [&'static str; 3] = ["portable", "avx2", "avx512"];

    /// The best level of this machine.
    #[must_use]
    pub fn detect() -> Self {
        *Self::available().last().unwrap_or(&Self::portable())
    }

    /// The level that every machine has: the lanes of the `wide` crate.
    #[must_use]
    pub fn portable() -> Self {
        Self(Kind::Portable)
    }

    /// All levels of this machine, worst first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self(Kind::Avx2));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
                    && is_x86_feature_detected!("avx512vbmi")
                {
                    levels.push(Self(Kind::Avx512));
                }
            }
        }
        levels
    }

    /// The level of that name, if the machine has it.
    pub fn named(name: &str) -> Result<Self, Error> {
        let Some(&known) = Self::NAMES.iter().find(|n| **n == name) else {
            return Err(Error::UnknownName {
                what: "level",
                name: name.to_owned(),
                known: Self::NAMES.join(", "),
            });
        };
        let found = Self::available().into_iter().find(|l| l.name() == known);
        found.ok_or(Error::LevelMissing(known))
    }

    /// Does the job with this level's lanes.
    #[inline]
    pub(crate) fn run<J: Job>(self, job: J) {
        match self.0 {
            Kind::Portable => portable::run(job),
            // SAFETY: a `Level` of this kind exists only where `available` detected AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2::run(job) },
            // SAFETY: a `Level` of this kind exists only where `available` detected all features
            // that `avx512::run` enables.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { avx512::run(job) },
        }
    }

    /// Lanes of `f32`.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            Kind::Portable => portable::Portable::N,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2::Avx2::N,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => avx512::Avx512::N,
        }
    }

    /// [`Lanes::PERMUTES`] of this level.
    pub(crate) fn permutes(self) -> bool {
        match self.0 {
            Kind::Portable => portable::Portable::PERMUTES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2::Avx2::PERMUTES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => avx512::Avx512::PERMUTES,
        }
    }

    /// [`Lanes::PARTS`] of this level.
    pub(crate) fn parts(self) -> usize {
        match self.0 {
            Kind::Portable => portable::Portable::PARTS,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2::Avx2::PARTS,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => avx512::Avx512::PARTS,
        }
    }

    /// `portable`, `avx2` or `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => Self::NAMES[0],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Self::NAMES[1],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Self::NAMES[2],
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
