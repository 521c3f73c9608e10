//! The sums of `u16` samples, in 32 bits. Pairs of neighbours less 2¹⁵ meet pairs of taps; results of even and of
//! odd samples are apart until they are stored. What is taken from samples comes back with what sums start with.

use super::{MIRRORED, Nine, ONES, ROWS, Stencil, StencilSample, Store, Sums, TWICE, floats};
use crate::pass::Finish;
use crate::pass::datapath::{rounded, to_integer};
use crate::sample::SampleType;
use crate::simd::Lanes;

/// 32-bit sums with products' columns, or of [`ROWS`]. NEXT: the step is 1, so that a sample's neighbour lies
/// under the next tap.
struct Wide<const NEXT: bool, const COLUMN: u8>;

impl StencilSample for u16 {
    #[inline(always)]
    fn run<L: Lanes, const M: usize>(stencil: Stencil<'_, '_, u16, M>, l: L) {
        if stencil.kernels[0].is_float() {
            return floats::run(stencil, l);
        }
        if const { M > 1 } {
            unreachable!("magnitudes of u16 samples have two passes");
        }
        assert!(stencil.outs.iter().all(|out| out.sample() == SampleType::U16));
        match (stencil.kernels[0].column(), stencil.step) {
            (TWICE, 1) => stencil.lines::<L, Wide<true, TWICE>>(l),
            (TWICE, _) => stencil.lines::<L, Wide<false, TWICE>>(l),
            (ONES, 1) => stencil.lines::<L, Wide<true, ONES>>(l),
            (ONES, _) => stencil.lines::<L, Wide<false, ONES>>(l),
            (MIRRORED | ROWS, 1) => stencil.lines::<L, Wide<true, ROWS>>(l),
            (MIRRORED | ROWS, _) => stencil.lines::<L, Wide<false, ROWS>>(l),
            _ => unreachable!("other columns are planned as rows"),
        }
    }
}

impl Nine {
    /// Whether results may start with this: a column of 1 2 1 adds four parts of it.
    #[must_use]
    pub fn takes_start(&self, start: i32) -> bool {
        self.column() != TWICE || start % 4 == 0
    }
}

/// What is taken from a sample, so that it has 15 bits and a sign.
const MIDDLE: i32 = 1 << 15;

/// Three taps, in pairs: those under a pair of neighbours, or one and 0.
#[derive(Clone, Copy)]
struct Three<L: Lanes> {
    /// The first two, and the last two.
    pairs: [L::I; 2],
    /// Each, for the even and for the odd sample.
    lone: [[L::I; 2]; 3],
}

impl<L: Lanes> Three<L> {
    #[inline(always)]
    fn new(l: L, [a, b, c]: [i16; 3]) -> Self {
        Self {
            pairs: [Self::pair(l, a, b), Self::pair(l, b, c)],
            lone: [Self::lone(l, a), Self::lone(l, b), Self::lone(l, c)],
        }
    }

    #[inline(always)]
    fn pair(l: L, a: i16, b: i16) -> L::I {
        l.i_splat(i32::from(a) & 0xffff | i32::from(b) << 16)
    }

    #[inline(always)]
    fn lone(l: L, tap: i16) -> [L::I; 2] {
        [Self::pair(l, tap, 0), Self::pair(l, 0, tap)]
    }
}

/// A kernel's taps, and what its sums start with.
#[derive(Clone, Copy)]
pub(super) struct Taps<L: Lanes> {
    across: [Three<L>; 3],
    /// What results start with, and a product's sums of a row.
    starts: [[L::I; 2]; 2],
}

impl<const NEXT: bool, const COLUMN: u8> Sums for Wide<NEXT, COLUMN> {
    type Read = u16;
    const COLUMN: u8 = COLUMN;
    type Taps<L: Lanes> = Taps<L>;
    type Under<L: Lanes> = [L::I; 3];
    /// Of even and of odd samples.
    type Sum<L: Lanes> = [L::I; 2];

    #[inline(always)]
    fn lanes<L: Lanes>() -> usize {
        2 * L::N
    }

    #[inline(always)]
    fn taps<L: Lanes>(l: L, kernel: &Nine, start: i32) -> Taps<L> {
        let [top, middle, bottom] = kernel.across();
        let across = [Three::new(l, top), Three::new(l, middle), Three::new(l, bottom)];
        assert!(kernel.takes_start(start));
        let start = start + MIDDLE * kernel.sum();
        // Four sums of rows make a result of a column of 1 2 1, whose taps' sum is a multiple of 4.
        let row = if COLUMN == TWICE { start / 4 } else { 0 };
        let (start, row) = (l.i_splat(start), l.i_splat(row));
        Taps { across, starts: [[start; 2], [row; 2]] }
    }

    #[inline(always)]
    fn starts<L: Lanes>(taps: &Taps<L>) -> [[L::I; 2]; 2] {
        taps.starts
    }

    #[inline(always)]
    unsafe fn under<L: Lanes>(l: L, p: *const u16, step: usize) -> [L::I; 3] {
        let middle = l.h_splat(MIDDLE as i16);
        // SAFETY: as promised by the caller.
        unsafe {
            let (a, b, c) = (p, p.add(step), p.add(2 * step));
            let (a, b, c) = (l.h_load(a.cast()), l.h_load(b.cast()), l.h_load(c.cast()));
            let (a, b, c) = (l.h_xor(a, middle), l.h_xor(b, middle), l.h_xor(c, middle));
            [l.pairs(a), l.pairs(b), l.pairs(c)]
        }
    }

    #[inline(always)]
    fn across<L: Lanes>(
        l: L,
        [even, odd]: [L::I; 2],
        [a, b, c]: [L::I; 3],
        taps: &Taps<L>,
        j: usize,
    ) -> [L::I; 2] {
        let Three { pairs: [left, right], lone: [p, q, r] } = taps.across[j];
        if NEXT {
            // As of bytes.
            let even = l.dot(l.dot(even, a, left), c, r[0]);
            return [even, l.dot(l.dot(odd, a, p[1]), c, right)];
        }
        let even = l.dot(l.dot(l.dot(even, a, p[0]), b, q[0]), c, r[0]);
        [even, l.dot(l.dot(l.dot(odd, a, p[1]), b, q[1]), c, r[1])]
    }

    fn down<L: Lanes>(_: L, _: [[L::I; 2]; 3], _: &Taps<L>) -> [L::I; 2] {
        unreachable!("other columns are planned as rows")
    }

    #[inline(always)]
    fn add<L: Lanes>(l: L, a: [L::I; 2], b: [L::I; 2]) -> [L::I; 2] {
        [l.i_add(a[0], b[0]), l.i_add(a[1], b[1])]
    }

    #[inline(always)]
    fn sub<L: Lanes>(l: L, a: [L::I; 2], b: [L::I; 2]) -> [L::I; 2] {
        [l.i_sub(a[0], b[0]), l.i_sub(a[1], b[1])]
    }

    #[inline(always)]
    unsafe fn store<L: Lanes, const M: usize>(
        l: L,
        sums: [[L::I; 2]; M],
        finish: &Finish,
        how: Store,
        p: *mut u8,
    ) {
        let [even, odd] = sums[0];
        let results = if finish.fixed[0].divides {
            [rounded(l, even, finish), rounded(l, odd, finish)]
        } else {
            [to_integer(l, even, finish), to_integer(l, odd, finish)]
        };
        let results = l.i_weave_u16(results);
        // SAFETY: as promised by the caller.
        unsafe {
            if how.stream { l.h_stream(p.cast(), results) } else { l.h_store(p.cast(), results) }
        }
    }
}
