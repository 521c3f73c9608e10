//! The arithmetics, from cheap to precise. A datapath says what a scratch row holds, how a sample and
//! a tap are multiplied and added, and how an accumulator is finished; the passes say in which
//! order.

mod double;
mod exact16;
mod rounded16;

pub use double::F64;
pub use exact16::I16;
pub use rounded16::I16Rounded;

use super::{Finish, MOST_SUMS, Taps};
use crate::filter::Post;
use crate::simd::{Lanes, SampleLanes, passed_on};
use wide::bytemuck::Pod;

/// One arithmetic.
///
/// # Safety
///
/// The methods that take pointers read or write [`lanes`](Self::lanes) elements (`wide_*` methods:
/// [`wide_lanes`](Self::wide_lanes)) at each; all must be readable or writable.
pub trait Datapath: Copy + 'static {
    /// What a scratch row holds.
    type Elem: Pod;
    /// What a widened row holds.
    type Wide: Pod;
    /// A tap, or two taps for paired arithmetic.
    type Tap: Copy + PartialEq;
    /// A tap in all lanes.
    type TapV<L: Lanes>: Copy;
    /// `lanes` samples, read or summed.
    type Acc<L: Lanes>: Copy;
    /// `wide_lanes` samples of a dense pass, read or summed.
    type WideAcc<L: Lanes>: Copy;
    /// Whether a dense pass sums each kernel row on its own first, to round less.
    const ROW_SUMS: bool;
    /// Samples that one step multiplies and adds for each output: 1, or 2 for paired arithmetic.
    const PAIRED: usize;
    /// Vector registers in one `Acc`.
    const REGISTERS: usize;
    /// Sums of a dense pass that are computed together, at most.
    const MOST_SUMS: usize = MOST_SUMS;

    /// Samples in one `Acc`.
    #[inline(always)]
    fn lanes<L: Lanes>() -> usize {
        L::N * Self::PAIRED
    }
    /// Samples in one `WideAcc`.
    #[inline(always)]
    fn wide_lanes<L: Lanes>() -> usize {
        L::N
    }
    /// The taps in this form. Plans store no other form for it.
    fn taps(taps: &Taps) -> &[Self::Tap];
    fn splat<L: Lanes>(l: L, tap: Self::Tap) -> Self::TapV<L>;
    /// Accumulators of integers with this value, of floats with 0.
    fn start<L: Lanes>(l: L, value: i32) -> Self::Acc<L>;
    /// Reads samples; paired: those of two rows.
    unsafe fn load<L: Lanes, T: SampleLanes>(l: L, a: *const T, b: *const T) -> Self::Acc<L>;
    /// Reads a scratch row; paired: at the places of two taps.
    unsafe fn load_scratch<L: Lanes>(
        l: L,
        a: *const Self::Elem,
        b: *const Self::Elem,
    ) -> Self::Acc<L>;
    /// acc + x·tap; paired: acc + x₀·tap₀ + x₁·tap₁.
    fn step<L: Lanes>(l: L, acc: Self::Acc<L>, x: Self::Acc<L>, tap: Self::TapV<L>)
    -> Self::Acc<L>;
    /// Whether a row pass may add its products in any order, so that levels differ in it.
    const SHARES: bool = false;
    /// Whether a row pass may add the image's own samples to its sums.
    const ADDS_IMAGE: bool = false;
    /// Whether a row pass adds the samples that meet the same of its symmetric taps before it multiplies.
    const FOLDS: bool = false;
    /// The sum of such samples.
    fn fold<L: Lanes>(_: L, _: Self::Acc<L>, _: Self::Acc<L>) -> Self::Acc<L> {
        unreachable!("only where FOLDS")
    }
    /// The `lanes` samples with these numbers of those of `a` and, behind them, `b`; where FOLDS.
    fn shifted<L: Lanes>(_: L, _: Self::Acc<L>, _: Self::Acc<L>, _: L::I) -> Self::Acc<L> {
        unreachable!("only where FOLDS")
    }
    /// Writes accumulators to a scratch row, in units that are 2^`shift` larger, rounded down.
    unsafe fn put<L: Lanes>(l: L, acc: Self::Acc<L>, shift: u32, p: *mut Self::Elem);
    /// Finishes U accumulators of one kernel, or of the two of a magnitude. `stream` asks
    /// for writes past the cache; `p` must then be a multiple of the vector's size.
    unsafe fn finish<L: Lanes, O: SampleLanes, const M: usize, const U: usize>(
        l: L,
        acc: [[Self::Acc<L>; M]; U],
        finish: &Finish,
        stream: bool,
        p: *mut O,
    );

    /// `start` for a dense pass.
    fn wide_start<L: Lanes>(l: L, value: i32) -> Self::WideAcc<L>;
    fn wide_add<L: Lanes>(l: L, a: Self::WideAcc<L>, b: Self::WideAcc<L>) -> Self::WideAcc<L>;
    /// Whether widened samples of this type are the samples themselves.
    #[inline(always)]
    fn wide_is<T: SampleLanes>() -> bool {
        false
    }
    /// Widens `lanes` samples; paired: those of two rows, interleaved.
    unsafe fn widen<L: Lanes, T: SampleLanes>(l: L, a: *const T, b: *const T, p: *mut Self::Wide);
    /// Reads a widened row.
    unsafe fn wide_load<L: Lanes>(l: L, p: *const Self::Wide) -> Self::WideAcc<L>;
    /// Adds a product.
    fn wide_step<L: Lanes>(
        l: L,
        acc: Self::WideAcc<L>,
        x: Self::WideAcc<L>,
        tap: Self::TapV<L>,
    ) -> Self::WideAcc<L>;
    /// Whether a dense pass writes past the cache where it is asked to.
    const STREAMS: bool = false;
    /// `finish` for a dense pass; `stream` counts where [`STREAMS`](Self::STREAMS).
    unsafe fn wide_finish<L: Lanes, O: SampleLanes, const M: usize, const U: usize>(
        l: L,
        acc: [[Self::WideAcc<L>; M]; U],
        finish: &Finish,
        stream: bool,
        p: *mut O,
    );
}

/// `f32` with a rounding after each multiplication and each addition: the same at every level.
#[derive(Clone, Copy)]
pub struct Float<const FUSED: bool>;

/// Unfused.
pub type F32 = Float<false>;
/// `f32` with fused multiply-add where the level has it; for `f32` images.
pub type F32Fused = Float<true>;

/// The post-step on float values that already carry their offset: of two, which are a magnitude's, or of one.
#[inline(always)]
pub(super) fn post<L: Lanes, const M: usize>(l: L, v: [L::F; M], finish: &Finish) -> L::F {
    match (M, finish.post) {
        (2, _) if finish.unlimited() => scaled_magnitude(l, v[0], v[M - 1]),
        (2, _) => magnitude(l, v[0], v[M - 1]),
        (_, Post::Abs) => l.f_abs(v[0]),
        _ => v[0],
    }
}

/// √(x² + y²).
#[inline(always)]
fn magnitude<L: Lanes>(l: L, x: L::F, y: L::F) -> L::F {
    l.f_sqrt(l.f_add(l.f_mul(x, x), l.f_mul(y, y)))
}

/// √(x² + y²). Both are divided by a power of 2 first, so that no square overflows, or vanishes.
#[inline(always)]
fn scaled_magnitude<L: Lanes>(l: L, x: L::F, y: L::F) -> L::F {
    let largest = l.f_max(l.f_abs(x), l.f_abs(y));
    let largest = l.f_max(largest, l.f_splat(f32::MIN_POSITIVE));
    let [power, inverse] = l.f_power(l.f_min(largest, l.f_splat(LARGEST_POWER)));
    let (x, y) = (l.f_mul(x, inverse), l.f_mul(y, inverse));
    l.f_mul(magnitude(l, x, y), power)
}

/// 2¹²⁶.
const LARGEST_POWER: f32 = 1.0 / f32::MIN_POSITIVE;

/// The methods of a dense pass whose sums are those of a row pass.
macro_rules! dense_alike {
    () => {
        #[inline(always)]
        fn wide_start<L: Lanes>(l: L, value: i32) -> Self::WideAcc<L> {
            Self::start(l, value)
        }
        #[inline(always)]
        fn wide_step<L: Lanes>(
            l: L,
            acc: Self::WideAcc<L>,
            x: Self::WideAcc<L>,
            tap: Self::TapV<L>,
        ) -> Self::WideAcc<L> {
            Self::step(l, acc, x, tap)
        }
        $crate::simd::passed_on! {
            fn wide_finish[O: SampleLanes, const M: usize, const U: usize](
                l,
                acc: [[Self::WideAcc<L>; M]; U],
                finish: &Finish,
                stream: bool,
                p: *mut O,
            ) {
                Self::finish(l, acc, finish, stream && Self::STREAMS, p)
            }
        }
    };
}
pub(super) use dense_alike;

impl<const FUSED: bool> Datapath for Float<FUSED> {
    type Elem = f32;
    type Wide = f32;
    type Tap = f32;
    type TapV<L: Lanes> = L::F;
    type Acc<L: Lanes> = L::F;
    type WideAcc<L: Lanes> = L::F;
    const PAIRED: usize = 1;
    const REGISTERS: usize = 1;
    const ROW_SUMS: bool = true;

    fn taps(taps: &Taps) -> &[f32] {
        match taps {
            Taps::F32(taps) => taps,
            _ => &[],
        }
    }
    #[inline(always)]
    fn splat<L: Lanes>(l: L, tap: f32) -> L::F {
        l.f_splat(tap)
    }
    #[inline(always)]
    fn start<L: Lanes>(l: L, _: i32) -> L::F {
        l.f_splat(0.0)
    }
    dense_alike!();
    passed_on! {
        fn load[T: SampleLanes](l, a: *const T, _b: *const T) -> L::F { T::load_f(l, a) }
        fn load_scratch(l, a: *const f32, _b: *const f32) -> L::F { l.f_load(a) }
        fn put(l, acc: L::F, _shift: u32, p: *mut f32) { l.f_store(p, acc) }
        fn widen[T: SampleLanes](l, a: *const T, _b: *const T, p: *mut f32) { l.f_store(p, T::load_f(l, a)) }
        fn wide_load(l, p: *const f32) -> L::F { l.f_load(p) }
        fn finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[L::F; M]; U],
            finish: &Finish,
            stream: bool,
            p: *mut O,
        ) {
            let mut acc = acc;
            // Where no float shows it, 0 need not be added to −0.
            if finish.offset != 0.0 || O::FLOAT {
                let offset = l.f_splat(finish.offset as f32);
                for v in acc.as_flattened_mut() {
                    *v = l.f_add(*v, offset);
                }
            }
            let mut results = [l.f_splat(0.0); U];
            for (result, acc) in results.iter_mut().zip(acc) {
                *result = post(l, acc, finish);
            }
            O::store_floats(l, p, results, finish.fits(), stream)
        }
    }
    #[inline(always)]
    fn step<L: Lanes>(l: L, acc: L::F, x: L::F, tap: L::F) -> L::F {
        if FUSED { l.f_mul_add(x, tap, acc) } else { l.f_add(acc, l.f_mul(x, tap)) }
    }
    const SHARES: bool = FUSED;
    const ADDS_IMAGE: bool = true;
    const FOLDS: bool = true;
    const STREAMS: bool = true;
    #[inline(always)]
    fn fold<L: Lanes>(l: L, a: L::F, b: L::F) -> L::F {
        l.f_add(a, b)
    }
    #[inline(always)]
    fn shifted<L: Lanes>(l: L, a: L::F, b: L::F, index: L::I) -> L::F {
        l.f_permute_two(a, b, index)
    }
    #[inline(always)]
    fn wide_add<L: Lanes>(l: L, a: L::F, b: L::F) -> L::F {
        l.f_add(a, b)
    }
    #[inline(always)]
    fn wide_is<T: SampleLanes>() -> bool {
        T::FLOAT
    }
}

/// Exact `i32`: samples and taps widened to 32 bits.
#[derive(Clone, Copy)]
pub struct I32;

/// An integer accumulator as a float in output units, with the offset.
#[inline(always)]
pub(super) fn to_float<L: Lanes>(l: L, acc: L::I, finish: &Finish, kernel: usize) -> L::F {
    let v = l.f_mul(l.i_to_f(acc), l.f_splat(finish.fixed[kernel].unit));
    l.f_add(v, l.f_splat(finish.offset as f32))
}

/// An integer accumulator as a rounded integer result; not for magnitudes.
#[inline(always)]
pub(super) fn to_integer<L: Lanes>(l: L, acc: L::I, finish: &Finish) -> L::I {
    let fixed = &finish.fixed[0];
    let absolute = finish.post == Post::Abs;
    let v = if absolute { l.i_add(l.i_abs(acc), l.i_splat(fixed.half())) } else { acc };
    l.i_shr(v, fixed.shift)
}

passed_on! {
    /// Finishes N accumulators that are in order, to as many samples.
    fn finish_integer[O: SampleLanes, const M: usize](
        l,
        acc: [L::I; M],
        finish: &Finish,
        p: *mut O,
    ) {
        if const { O::FLOAT || M == 2 } {
            let mut v = [l.f_splat(0.0); M];
            for (k, v) in v.iter_mut().enumerate() {
                *v = to_float(l, acc[k], finish, k);
            }
            O::store_f(l, p, post(l, v, finish));
        } else {
            O::store_i(l, p, to_integer(l, acc[0], finish));
        }
    }

    /// `finish_integer` of U vectors. What the finish is, is asked once for all: accumulators on both sides
    /// of a branch would not stay in registers.
    fn finish_integers[O: SampleLanes, const M: usize, const U: usize](
        l,
        acc: [[L::I; M]; U],
        finish: &Finish,
        p: *mut O,
    ) {
        if O::FLOAT || M == 2 || finish.post != Post::None {
            for (u, acc) in acc.into_iter().enumerate() {
                finish_integer(l, acc, finish, p.add(u * L::N));
            }
            return;
        }
        let mut v = [l.i_splat(0); U];
        for (v, acc) in v.iter_mut().zip(acc) {
            *v = l.i_shr(acc[0], finish.fixed[0].shift);
        }
        O::store_all(l, p, v);
    }
}

/// Finishes U vectors of sums that are multiplied by the finish's unit.
///
/// # Safety
///
/// `p` must be good for U·N samples.
#[inline(always)]
pub(super) unsafe fn finish_scaled<L: Lanes, O: SampleLanes, const U: usize>(
    l: L,
    sums: [L::I; U],
    finish: &Finish,
    p: *mut O,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        if O::INTEGER && finish.rounds() {
            let mut results = sums;
            for result in &mut results {
                *result = rounded(l, *result, finish);
            }
            O::store_all(l, p, results);
            return;
        }
        let mut results = [l.f_splat(0.0); U];
        for (result, sum) in results.iter_mut().zip(sums) {
            *result = post(l, [to_float(l, sum, finish, 0)], finish);
        }
        O::store_floats(l, p, results, finish.fits(), false);
    }
}

/// Sums as results that are rounded, not yet limited to a type's range. Only where [`Finish::rounds`].
#[inline(always)]
pub(super) fn rounded<L: Lanes>(l: L, sum: L::I, finish: &Finish) -> L::I {
    let v = l.f_mul(l.i_to_f(sum), l.f_splat(finish.fixed[0].unit));
    l.f_floor(l.f_add(v, l.f_splat((finish.offset + 0.5) as f32)))
}

impl Datapath for I32 {
    type Elem = i32;
    type Wide = i32;
    type Tap = i32;
    type TapV<L: Lanes> = L::I;
    type Acc<L: Lanes> = L::I;
    type WideAcc<L: Lanes> = L::I;
    const PAIRED: usize = 1;
    const REGISTERS: usize = 1;
    const ROW_SUMS: bool = false;

    fn taps(taps: &Taps) -> &[i32] {
        match taps {
            Taps::I32(taps) => taps,
            _ => &[],
        }
    }
    #[inline(always)]
    fn splat<L: Lanes>(l: L, tap: i32) -> L::I {
        l.i_splat(tap)
    }
    #[inline(always)]
    fn start<L: Lanes>(l: L, value: i32) -> L::I {
        l.i_splat(value)
    }
    dense_alike!();
    passed_on! {
        fn load[T: SampleLanes](l, a: *const T, _b: *const T) -> L::I { T::load_i(l, a) }
        fn load_scratch(l, a: *const i32, _b: *const i32) -> L::I { l.i_load(a) }
        fn put(l, acc: L::I, _shift: u32, p: *mut i32) { l.i_store(p, acc) }
        fn widen[T: SampleLanes](l, a: *const T, _b: *const T, p: *mut i32) { l.i_store(p, T::load_i(l, a)) }
        fn wide_load(l, p: *const i32) -> L::I { l.i_load(p) }
        fn finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[L::I; M]; U],
            finish: &Finish,
            _: bool,
            p: *mut O,
        ) { finish_integers(l, acc, finish, p) }
    }
    #[inline(always)]
    fn step<L: Lanes>(l: L, acc: L::I, x: L::I, tap: L::I) -> L::I {
        l.i_add(acc, l.i_mul(x, tap))
    }
    #[inline(always)]
    fn wide_add<L: Lanes>(l: L, a: L::I, b: L::I) -> L::I {
        l.i_add(a, b)
    }
}

/// 16-bit pairs into `i32`: `u8` samples and `i16` taps, two products and their sum in each lane
/// at once. A scratch row is `i16`; a widened row holds the samples of two rows, interleaved.
#[derive(Clone, Copy)]
pub struct I16Pairs;

impl Datapath for I16Pairs {
    type Elem = i16;
    type Wide = i32;
    type Tap = i32;
    type TapV<L: Lanes> = L::I;
    type Acc<L: Lanes> = (L::I, L::I);
    type WideAcc<L: Lanes> = L::I;
    const PAIRED: usize = 2;
    const REGISTERS: usize = 2;
    const ROW_SUMS: bool = false;

    fn taps(taps: &Taps) -> &[i32] {
        I32::taps(taps)
    }
    #[inline(always)]
    fn splat<L: Lanes>(l: L, tap: i32) -> L::I {
        l.i_splat(tap)
    }
    #[inline(always)]
    fn start<L: Lanes>(l: L, value: i32) -> (L::I, L::I) {
        (l.i_splat(value), l.i_splat(value))
    }
    passed_on! {
        fn load[T: SampleLanes](l, a: *const T, b: *const T) -> (L::I, L::I) {
            l.split(T::load_h(l, a), T::load_h(l, b))
        }
        fn load_scratch(l, a: *const i16, b: *const i16) -> (L::I, L::I) { Self::load(l, a, b) }
        fn put(l, acc: (L::I, L::I), shift: u32, p: *mut i16) {
            let (first, second) = (l.i_shr(acc.0, shift), l.i_shr(acc.1, shift));
            l.h_store(p, l.join(first, second))
        }
        fn finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[(L::I, L::I); M]; U],
            finish: &Finish,
            stream: bool,
            p: *mut O,
        ) {
            for (u, acc) in acc.iter().enumerate() {
                let p = p.add(u * Self::lanes::<L>());
                if const { O::FLOAT || M == 2 } {
                    let mut first = [l.i_splat(0); M];
                    let mut second = first;
                    for (k, &(a, b)) in acc.iter().enumerate() {
                        (first[k], second[k]) = l.in_order(a, b);
                    }
                    finish_integer(l, first, finish, p);
                    finish_integer(l, second, finish, p.add(L::N));
                } else {
                    let first = to_integer(l, acc[0].0, finish);
                    let second = to_integer(l, acc[0].1, finish);
                    if stream && O::NARROW {
                        O::stream_h(l, p, l.join(first, second));
                    } else {
                        O::store_split(l, p, first, second);
                    }
                }
            }
        }
        fn widen[T: SampleLanes](l, a: *const T, b: *const T, p: *mut i32) {
            let (first, second) = l.split(T::load_h(l, a), T::load_h(l, b));
            let (first, second) = l.in_order(first, second);
            l.i_store(p, first);
            l.i_store(p.add(L::N), second);
        }
        fn wide_load(l, p: *const i32) -> L::I { l.i_load(p) }
        fn wide_finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[L::I; M]; U],
            finish: &Finish,
            _: bool,
            p: *mut O,
        ) { finish_integers(l, acc, finish, p) }
    }
    #[inline(always)]
    fn step<L: Lanes>(l: L, acc: (L::I, L::I), x: (L::I, L::I), tap: L::I) -> (L::I, L::I) {
        (l.dot(acc.0, x.0, tap), l.dot(acc.1, x.1, tap))
    }
    #[inline(always)]
    fn wide_start<L: Lanes>(l: L, value: i32) -> L::I {
        l.i_splat(value)
    }
    #[inline(always)]
    fn wide_add<L: Lanes>(l: L, a: L::I, b: L::I) -> L::I {
        l.i_add(a, b)
    }
    #[inline(always)]
    fn wide_step<L: Lanes>(l: L, acc: L::I, x: L::I, tap: L::I) -> L::I {
        l.dot(acc, x, tap)
    }
}
