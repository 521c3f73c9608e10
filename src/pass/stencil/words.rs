//! The sums of rows of 16 bits between filters of `u8` images, in 16 bits. Of whole taps they are exact as [`I16`]'s
//! are, and may wrap on their way; of others every product is rounded, as [`I16Rounded`]'s are.
//!
//! [`I16`]: crate::pass::I16

use super::{
    ANY, MIRRORED, Nine, ONES, ROWS, SIGNED, Stencil, StencilSample, Store, Sums, TWICE, Triple,
    taken_back, writes_narrow,
};
use crate::pass::{Datapath, Finish, I16Rounded, with_narrow};
use crate::simd::Lanes;

/// Sums of products, exact or `ROUNDED`, with products' columns, or of [`MIRRORED`] or other [`ROWS`].
struct Words<const ROUNDED: bool, const COLUMN: u8>;

impl StencilSample for i16 {
    #[inline(always)]
    fn run<L: Lanes, const M: usize>(stencil: Stencil<'_, '_, i16, M>, l: L) {
        assert!(writes_narrow(stencil.outs));
        let column = stencil.kernels.iter().map(|kernel| kernel.column()).max();
        match (stencil.kernels[0], column.unwrap_or(ANY)) {
            (Nine::Product { .. }, TWICE | ONES | SIGNED) => {
                stencil.lines::<L, Words<false, SIGNED>>(l)
            }
            (Nine::Product { .. }, _) => stencil.lines::<L, Words<false, ANY>>(l),
            (Nine::Rows(_), MIRRORED) if const { M == 1 } => {
                stencil.lines::<L, Words<false, MIRRORED>>(l)
            }
            (Nine::Rows(_), _) => stencil.lines::<L, Words<false, ROWS>>(l),
            (Nine::RoundedProduct { .. }, _) => stencil.lines::<L, Words<true, ANY>>(l),
            (Nine::Rounded(_), _) => stencil.lines::<L, Words<true, ROWS>>(l),
            (Nine::Floats(_) | Nine::FloatProduct { .. }, _) => {
                unreachable!("these are of other rows")
            }
        }
    }
}

/// A kernel's taps, and what its sums start with.
#[derive(Clone, Copy)]
pub(super) struct Taps<L: Lanes> {
    across: [Triple<L>; 3],
    /// The column of a product.
    down: Triple<L>,
    start: L::H,
    zero: L::H,
}

impl<const ROUNDED: bool, const COLUMN: u8> Sums for Words<ROUNDED, COLUMN> {
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
        let across = [Triple::new(l, top), Triple::new(l, middle), Triple::new(l, bottom)];
        let mut down = across[0];
        if let Nine::Product { column, .. } | Nine::RoundedProduct { column, .. } = kernel {
            down = Triple::new(l, *column);
        }
        let start = start + taken_back(kernel, COLUMN == SIGNED);
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
        let taps = &taps.across[j];
        let sum = match COLUMN {
            _ if ROUNDED => taps.rounded(l, under),
            MIRRORED => taps.mirrored(l, under),
            _ => taps.sum::<ANY>(l, under),
        };
        l.h_add(acc, sum)
    }

    #[inline(always)]
    fn down<L: Lanes>(l: L, three: [L::H; 3], taps: &Taps<L>) -> L::H {
        if ROUNDED { taps.down.rounded(l, three) } else { taps.down.sum::<COLUMN>(l, three) }
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
