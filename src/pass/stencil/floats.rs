//! The sums of rows of `f32`, or of integers that become such. Rows are summed from left to right; of a product, sums of
//! rows meet the column then. Of others they are added up from top to bottom, as [`Dense`](crate::pass::Dense) does.

use super::{ANY, Nine, ROWS, Stencil, StencilSample, Store, Sums};
use crate::pass::datapath::Float;
use crate::pass::{Datapath, Finish, with_sample};
use crate::simd::{Lanes, SampleLanes};
use std::marker::PhantomData;

/// Sums of samples T, with a product's column or of [`ROWS`].
struct Floats<T, const FUSED: bool, const COLUMN: u8>(PhantomData<T>);

/// Runs a pass with taps that are floats.
#[inline(always)]
pub(super) fn run<L: Lanes, T: SampleLanes, const M: usize>(stencil: Stencil<'_, '_, T, M>, l: L) {
    match (stencil.kernels[0], stencil.fused) {
        (Nine::FloatProduct { .. }, true) if const { T::FLOAT } => {
            stencil.lines::<L, Floats<T, true, ANY>>(l)
        }
        (Nine::FloatProduct { .. }, _) => stencil.lines::<L, Floats<T, false, ANY>>(l),
        (Nine::Floats(_), true) if const { T::FLOAT && M == 1 } => {
            stencil.lines::<L, Floats<T, true, ROWS>>(l)
        }
        (Nine::Floats(_), _) if const { M == 1 } => stencil.lines::<L, Floats<T, false, ROWS>>(l),
        _ => unreachable!("magnitudes of floats are of products"),
    }
}

impl StencilSample for f32 {
    #[inline(always)]
    fn run<L: Lanes, const M: usize>(stencil: Stencil<'_, '_, f32, M>, l: L) {
        run(stencil, l);
    }
}

/// A kernel's taps, in all lanes.
#[derive(Clone, Copy)]
pub(super) struct Taps<L: Lanes> {
    across: [[L::F; 3]; 3],
    /// The column of a product.
    down: [L::F; 3],
    zero: L::F,
}

/// a·t₀ + b·t₁ + c·t₂, from left to right.
#[inline(always)]
fn sum<L: Lanes, const FUSED: bool>(l: L, [a, b, c]: [L::F; 3], taps: &[L::F; 3]) -> L::F {
    let first = Float::<FUSED>::step(l, l.f_mul(a, taps[0]), b, taps[1]);
    Float::<FUSED>::step(l, first, c, taps[2])
}

impl<T: SampleLanes, const FUSED: bool, const COLUMN: u8> Sums for Floats<T, FUSED, COLUMN> {
    type Read = T;
    const COLUMN: u8 = COLUMN;
    type Taps<L: Lanes> = Taps<L>;
    type Under<L: Lanes> = [L::F; 3];
    type Sum<L: Lanes> = L::F;

    #[inline(always)]
    fn lanes<L: Lanes>() -> usize {
        L::N
    }

    #[inline(always)]
    fn taps<L: Lanes>(l: L, kernel: &Nine, _: i32) -> Taps<L> {
        let all = |[a, b, c]: [f32; 3]| [l.f_splat(a), l.f_splat(b), l.f_splat(c)];
        let (across, down) = match kernel {
            Nine::Floats(rows) => (*rows, [0.0; 3]),
            Nine::FloatProduct { column, row } => ([*row; 3], *column),
            _ => unreachable!("all kernels are of one kind"),
        };
        let across = [all(across[0]), all(across[1]), all(across[2])];
        Taps { across, down: all(down), zero: l.f_splat(0.0) }
    }

    #[inline(always)]
    fn starts<L: Lanes>(taps: &Taps<L>) -> [L::F; 2] {
        [taps.zero; 2]
    }

    #[inline(always)]
    unsafe fn under<L: Lanes>(l: L, p: *const T, step: usize) -> [L::F; 3] {
        // SAFETY: as promised by the caller.
        unsafe { [T::load_f(l, p), T::load_f(l, p.add(step)), T::load_f(l, p.add(2 * step))] }
    }

    #[inline(always)]
    fn across<L: Lanes>(l: L, acc: L::F, under: [L::F; 3], taps: &Taps<L>, j: usize) -> L::F {
        let sum = sum::<L, FUSED>(l, under, &taps.across[j]);
        // The first row is added to 0, and so is the row of a product. A 0 without a sign comes with the offset.
        if COLUMN == ROWS && j > 0 { l.f_add(acc, sum) } else { sum }
    }

    #[inline(always)]
    fn down<L: Lanes>(l: L, three: [L::F; 3], taps: &Taps<L>) -> L::F {
        sum::<L, FUSED>(l, three, &taps.down)
    }

    #[inline(always)]
    fn add<L: Lanes>(l: L, a: L::F, b: L::F) -> L::F {
        l.f_add(a, b)
    }

    #[inline(always)]
    fn sub<L: Lanes>(_: L, _: L::F, _: L::F) -> L::F {
        unreachable!("nothing is taken from sums of floats")
    }

    #[inline(always)]
    unsafe fn store<L: Lanes, const M: usize>(
        l: L,
        sums: [L::F; M],
        finish: &Finish,
        how: Store,
        p: *mut u8,
    ) {
        // SAFETY: as promised by the caller.
        unsafe {
            with_sample!(how.sample, O => {
                Float::<FUSED>::finish(l, [sums], finish, how.stream, p.cast::<O>());
            });
        }
    }
}
