//! The sums of `u8` samples, in 16 bits as [`I16`]'s are. Bytes become words by taking the even and the odd ones of
//! a vector apart, which are put together again when results are stored.

use super::{
    ANY, MIRRORED, Nine, ONES, ROWS, SIGNED, Stencil, StencilSample, Store, Sums, TWICE, Triple,
    floats, taken_back, writes_narrow,
};
use crate::pass::halves::Apart;
use crate::pass::{Finish, I16, with_narrow};
use crate::simd::{Lanes, SampleLanes};

/// Bytes become words, which are multiplied.
const WORDS: u8 = 0;
/// Taps are of 8 bits, and multiplied with pairs of bytes, one of which is to count for nothing.
const BYTES: u8 = 1;
/// The step is 1, so that a byte's neighbour lies under the next tap; taps are small, so that two
/// products and their sum are one instruction.
const NEXT: u8 = 2;
/// [`Nine::Rounded`]: words' products are rounded.
const ROUNDED: u8 = 3;
/// The same with the step 1.
const ROUNDED_NEXT: u8 = 4;

/// 16-bit sums of one of these ways, of products with that column, or of [`MIRRORED`] or other [`ROWS`].
struct Bytes<const WAY: u8, const COLUMN: u8>;

impl StencilSample for u8 {
    #[inline(always)]
    fn run<L: Lanes, const M: usize>(stencil: Stencil<'_, '_, u8, M>, l: L) {
        if stencil.kernels[0].is_float() {
            return floats::run(stencil, l);
        }
        assert!(writes_narrow(stencil.outs));
        let all = |holds: fn(&Nine) -> bool| stencil.kernels.iter().all(|kernel| holds(kernel));
        let way = if stencil.step == 1 && all(Nine::is_small) {
            NEXT
        } else if L::DOTS_BYTES && all(Nine::is_bytes) {
            BYTES
        } else {
            WORDS
        };
        let column = stencil.kernels.iter().map(|kernel| kernel.column()).max();
        let moves = stencil.finish.fixed[0].start == 0;
        match (stencil.kernels[0], way, column.unwrap_or(ANY)) {
            (Nine::Product { .. }, NEXT, TWICE) if const { M == 1 } && moves => {
                stencil.lines::<L, Bytes<NEXT, TWICE>>(l)
            }
            (Nine::Product { .. }, NEXT, ONES) if const { M == 1 } => {
                stencil.lines::<L, Bytes<NEXT, ONES>>(l)
            }
            (Nine::Product { .. }, NEXT, TWICE | ONES | SIGNED) => {
                stencil.lines::<L, Bytes<NEXT, SIGNED>>(l)
            }
            (Nine::Product { .. }, NEXT, _) => stencil.lines::<L, Bytes<NEXT, ANY>>(l),
            (Nine::Product { .. }, BYTES, TWICE) if const { L::DOTS_BYTES && M == 1 } && moves => {
                stencil.lines::<L, Bytes<BYTES, TWICE>>(l)
            }
            (Nine::Product { .. }, BYTES, ONES) if const { L::DOTS_BYTES && M == 1 } => {
                stencil.lines::<L, Bytes<BYTES, ONES>>(l)
            }
            (Nine::Product { .. }, BYTES, TWICE | ONES | SIGNED) if const { L::DOTS_BYTES } => {
                stencil.lines::<L, Bytes<BYTES, SIGNED>>(l)
            }
            (Nine::Product { .. }, BYTES, _) if const { L::DOTS_BYTES } => {
                stencil.lines::<L, Bytes<BYTES, ANY>>(l)
            }
            (Nine::Product { .. }, _, TWICE | ONES | SIGNED) => {
                stencil.lines::<L, Bytes<WORDS, SIGNED>>(l)
            }
            (Nine::Product { .. }, _, _) => stencil.lines::<L, Bytes<WORDS, ANY>>(l),
            (Nine::Rows(_), NEXT, MIRRORED) if const { M == 1 } => {
                stencil.lines::<L, Bytes<NEXT, MIRRORED>>(l)
            }
            (Nine::Rows(_), BYTES, MIRRORED) if const { L::DOTS_BYTES && M == 1 } => {
                stencil.lines::<L, Bytes<BYTES, MIRRORED>>(l)
            }
            (Nine::Rows(_), NEXT, _) => stencil.lines::<L, Bytes<NEXT, ROWS>>(l),
            (Nine::Rows(_), BYTES, _) if const { L::DOTS_BYTES } => {
                stencil.lines::<L, Bytes<BYTES, ROWS>>(l)
            }
            (Nine::Rows(_), ..) => stencil.lines::<L, Bytes<WORDS, ROWS>>(l),
            (Nine::RoundedProduct { .. } | Nine::Floats(_) | Nine::FloatProduct { .. }, ..) => {
                unreachable!("these are of other rows")
            }
            (Nine::Rounded(_), ..) if const { M > 1 } => unreachable!("no plan has two of them"),
            (Nine::Rounded(_), ..) if stencil.step == 1 => {
                stencil.lines::<L, Bytes<ROUNDED_NEXT, ROWS>>(l)
            }
            (Nine::Rounded(_), ..) => stencil.lines::<L, Bytes<ROUNDED, ROWS>>(l),
        }
    }
}

impl Nine {
    /// Whether all taps of each row are of 8 bits, and the sum of two neighbours' products with bytes is of 16.
    fn is_small(&self) -> bool {
        let fits = |[a, b, c]: [i32; 3]| a.abs() + b.abs() <= 128 && b.abs() + c.abs() <= 128;
        self.is_bytes() && self.across().iter().all(|row| fits(row.map(i32::from)))
    }

    /// Whether all taps of each row are of 8 bits.
    fn is_bytes(&self) -> bool {
        self.across().iter().flatten().all(|&tap| i8::try_from(tap).is_ok())
    }
}

/// Three taps in all lanes.
#[derive(Clone, Copy)]
struct Three<L: Lanes> {
    words: Triple<L>,
    /// The first two as bytes, and the last two.
    pairs: [L::H; 2],
    /// Each as a byte, for the even and for the odd bytes of a vector.
    lone: [Apart<L>; 3],
}

impl<L: Lanes> Three<L> {
    #[inline(always)]
    fn new(l: L, [a, b, c]: [i16; 3]) -> Self {
        Self {
            words: Triple::new(l, [a, b, c]),
            pairs: [Self::pair(l, a, b), Self::pair(l, b, c)],
            lone: [Self::lone(l, a), Self::lone(l, b), Self::lone(l, c)],
        }
    }

    /// Two taps as bytes.
    #[inline(always)]
    fn pair(l: L, a: i16, b: i16) -> L::H {
        l.h_splat((a & 0xff) | (b << 8))
    }

    #[inline(always)]
    fn lone(l: L, tap: i16) -> Apart<L> {
        Apart { even: Self::pair(l, tap, 0), odd: Self::pair(l, 0, tap) }
    }

    /// [`Triple::sum`] of even and of odd samples.
    #[inline(always)]
    fn sums<const COLUMN: u8>(&self, l: L, [a, b, c]: [Apart<L>; 3]) -> Apart<L> {
        let even = self.words.sum::<COLUMN>(l, [a.even, b.even, c.even]);
        Apart { even, odd: self.words.sum::<COLUMN>(l, [a.odd, b.odd, c.odd]) }
    }

    /// a·t₀ + b·t₁ + c·t₂, the upper 16 bits of each product.
    #[inline(always)]
    fn rounded(&self, l: L, a: L::H, b: L::H, c: L::H) -> L::H {
        let [p, q, r] = self.words.each;
        let outer = l.h_add(l.h_mul_upper(a, p), l.h_mul_upper(c, r));
        l.h_add(outer, l.h_mul_upper(b, q))
    }
}

/// Bytes less 128, times 256.
#[inline(always)]
fn middle<L: Lanes>(l: L, bytes: L::H) -> Apart<L> {
    let signed = l.h_xor(bytes, l.h_splat(i16::from_ne_bytes([0x80; 2])));
    Apart { even: l.h_even_upper(signed), odd: l.h_odd_upper(signed) }
}

/// A kernel's taps, and what its sums start with.
#[derive(Clone, Copy)]
pub(super) struct Taps<L: Lanes> {
    across: [Three<L>; 3],
    /// The column of a product.
    down: Three<L>,
    start: Apart<L>,
    zero: Apart<L>,
}

impl<const WAY: u8, const COLUMN: u8> Sums for Bytes<WAY, COLUMN> {
    type Read = u8;
    const COLUMN: u8 = COLUMN;
    type Taps<L: Lanes> = Taps<L>;
    type Under<L: Lanes> = [L::H; 3];
    type Sum<L: Lanes> = Apart<L>;

    #[inline(always)]
    fn lanes<L: Lanes>() -> usize {
        4 * L::N
    }

    #[inline(always)]
    fn taps<L: Lanes>(l: L, kernel: &Nine, start: i32) -> Taps<L> {
        let [top, middle, bottom] = kernel.across();
        let across = [Three::new(l, top), Three::new(l, middle), Three::new(l, bottom)];
        let mut down = across[0];
        if let Nine::Product { column, .. } = kernel {
            down = Three::new(l, *column);
        }
        let start = start + taken_back(kernel, COLUMN == SIGNED);
        Taps { across, down, start: Apart::splat(l, start), zero: Apart::splat(l, 0) }
    }

    #[inline(always)]
    fn starts<L: Lanes>(taps: &Taps<L>) -> [Apart<L>; 2] {
        [taps.start, taps.zero]
    }

    #[inline(always)]
    unsafe fn under<L: Lanes>(l: L, p: *const u8, step: usize) -> [L::H; 3] {
        // SAFETY: as promised by the caller.
        unsafe {
            let (a, b, c) = (p, p.add(step), p.add(2 * step));
            [l.h_load(a.cast()), l.h_load(b.cast()), l.h_load(c.cast())]
        }
    }

    #[inline(always)]
    fn across<L: Lanes>(
        l: L,
        acc: Apart<L>,
        [a, b, c]: [L::H; 3],
        taps: &Taps<L>,
        j: usize,
    ) -> Apart<L> {
        let taps = &taps.across[j];
        if WAY == ROUNDED || WAY == ROUNDED_NEXT {
            let (a, c) = (middle(l, a), middle(l, c));
            let b = if WAY == ROUNDED { middle(l, b) } else { Apart { even: a.odd, odd: c.even } };
            let even = taps.rounded(l, a.even, b.even, c.even);
            return acc.add(l, Apart { even, odd: taps.rounded(l, a.odd, b.odd, c.odd) });
        }
        if WAY == NEXT {
            // Under the first two taps of the even samples lie the pairs of bytes of `a`, under the last two of
            // the odd ones those of `c`.
            let ([first, _, third], [left, right]) = (taps.lone, taps.pairs);
            let sums = Apart { even: l.h_dot(a, left), odd: l.h_dot(c, right) };
            let others = Apart { even: l.h_dot(c, third.even), odd: l.h_dot(a, first.odd) };
            return acc.add(l, sums.add(l, others));
        }
        if WAY == BYTES {
            let [p, q, r] = taps.lone;
            let outer = Apart {
                even: l.h_add(l.h_dot(a, p.even), l.h_dot(c, r.even)),
                odd: l.h_add(l.h_dot(a, p.odd), l.h_dot(c, r.odd)),
            };
            let inner = Apart { even: l.h_dot(b, q.even), odd: l.h_dot(b, q.odd) };
            return acc.add(l, outer.add(l, inner));
        }
        let three = [Apart::of(l, a), Apart::of(l, b), Apart::of(l, c)];
        acc.add(l, taps.sums::<ANY>(l, three))
    }

    #[inline(always)]
    fn down<L: Lanes>(l: L, three: [Apart<L>; 3], taps: &Taps<L>) -> Apart<L> {
        taps.down.sums::<COLUMN>(l, three)
    }

    #[inline(always)]
    fn add<L: Lanes>(l: L, a: Apart<L>, b: Apart<L>) -> Apart<L> {
        a.add(l, b)
    }

    #[inline(always)]
    fn sub<L: Lanes>(l: L, a: Apart<L>, b: Apart<L>) -> Apart<L> {
        a.sub(l, b)
    }

    #[inline(always)]
    unsafe fn store<L: Lanes, const M: usize>(
        l: L,
        sums: [Apart<L>; M],
        finish: &Finish,
        how: Store,
        p: *mut u8,
    ) {
        let (mut even, mut odd) = ([sums[0].even; M], [sums[0].odd; M]);
        for m in 0..M {
            (even[m], odd[m]) = (sums[m].even, sums[m].odd);
        }
        let (even, odd) = (I16::result(l, even, finish), I16::result(l, odd, finish));
        // SAFETY: as promised by the caller.
        unsafe {
            if how.plain {
                u8::store_apart(l, p, even, odd, false);
            } else {
                with_narrow!(how.sample, O => {
                    O::store_apart(l, p.cast::<O>(), even, odd, how.stream);
                });
            }
        }
    }
}
