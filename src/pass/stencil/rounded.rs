//! The sums of rows of 16 bits between filters of `u8` images, as [`I16Rounded`]'s are: every product is rounded to
//! 16 bits, taps are in units of 2⁻¹⁵.

use super::{ANY, Nine, ROWS, Stencil, StencilSample, Store, Sums, writes_narrow};
use crate::pass::{Datapath, Finish, I16Rounded, with_narrow};
use crate::simd::Lanes;

/// Sums with products' columns, or of [`ROWS`].
struct Rounded<const COLUMN: u8>;

impl StencilSample for i16 {
    #[inline(always)]
    fn run<L: Lanes, const M: usize>(stencil: Stencil<'_, '_, i16, M>, l: L) {
        assert!(writes_narrow(stencil.outs));
        match stencil.kernels[0] {
            Nine::Product { .. } => stencil.lines::<L, Rounded<ANY>>(l),
            Nine::Rows(_) | Nine::Rounded(_) => stencil.lines::<L, Rounded<ROWS>>(l),
        }
    }
}

/// Three taps in all lanes.
#[derive(Clone, Copy)]
struct Three<L: Lanes>([L::H; 3]);

impl<L: Lanes> Three<L> {
    #[inline(always)]
    fn new(l: L, [a, b, c]: [i16; 3]) -> Self {
        Self([l.h_splat(a), l.h_splat(b), l.h_splat(c)])
    }

    #[inline(always)]
    fn sum(&self, l: L, [a, b, c]: [L::H; 3]) -> L::H {
        let [p, q, r] = self.0;
        let outer = l.h_add(l.h_mul_high(a, p), l.h_mul_high(c, r));
        l.h_add(outer, l.h_mul_high(b, q))
    }
}

/// A kernel's taps, and what its sums start with.
#[derive(Clone, Copy)]
pub(super) struct Taps<L: Lanes> {
    across: [Three<L>; 3],
    /// The column of a product.
    down: Three<L>,
    start: L::H,
    zero: L::H,
}

impl<const COLUMN: u8> Sums for Rounded<COLUMN> {
    type Read = i16;
    const COLUMN: u8 = COLUMN;
    type Taps<L: Lanes> = Taps<L>;
    type Under<L: Lanes> = [L::H; 3];
    type Sum<L: Lanes> = L::H;

    #[inline(always)]
    fn lanes<L: Lanes>() -> usize {
        2 * L::N
    }

    #[inline(always)]
    fn taps<L: Lanes>(l: L, kernel: &Nine, start: i32) -> Taps<L> {
        let [top, middle, bottom] = kernel.across();
        let across = [Three::new(l, top), Three::new(l, middle), Three::new(l, bottom)];
        let mut down = across[0];
        if let Nine::Product { column, .. } = kernel {
            down = Three::new(l, *column);
        }
        Taps { across, down, start: l.h_splat(start as i16), zero: l.h_splat(0) }
    }

    #[inline(always)]
    fn starts<L: Lanes>(taps: &Taps<L>) -> [L::H; 2] {
        [taps.start, taps.zero]
    }

    #[inline(always)]
    unsafe fn under<L: Lanes>(l: L, p: *const i16, step: usize) -> [L::H; 3] {
        // SAFETY: as promised by the caller.
        unsafe { [l.h_load(p), l.h_load(p.add(step)), l.h_load(p.add(2 * step))] }
    }

    #[inline(always)]
    fn across<L: Lanes>(l: L, acc: L::H, under: [L::H; 3], taps: &Taps<L>, j: usize) -> L::H {
        l.h_add(acc, taps.across[j].sum(l, under))
    }

    #[inline(always)]
    fn down<L: Lanes>(l: L, three: [L::H; 3], taps: &Taps<L>) -> L::H {
        taps.down.sum(l, three)
    }

    #[inline(always)]
    fn add<L: Lanes>(l: L, a: L::H, b: L::H) -> L::H {
        l.h_add(a, b)
    }

    #[inline(always)]
    fn sub<L: Lanes>(l: L, a: L::H, b: L::H) -> L::H {
        l.h_sub(a, b)
    }

    #[inline(always)]
    unsafe fn store<L: Lanes, const M: usize>(
        l: L,
        sums: [L::H; M],
        finish: &Finish,
        how: Store,
        p: *mut u8,
    ) {
        // SAFETY: as promised by the caller.
        unsafe {
            with_narrow!(how.sample, O => {
                I16Rounded::finish(l, [sums], finish, how.stream, p.cast::<O>());
            });
        }
    }
}
