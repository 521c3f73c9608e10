//! The column pass: K rows of samples, weighted and added into one scratch row.

use super::rung::Rung;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes};

/// `out[x] = Σ_k taps[k] · rows[k][x]` for x in 0..n.
///
/// Paired arithmetic takes the rows two by two; with an odd number the last one is multiplied
/// once more, by the 0 that the plan put there.
pub struct Column<'a, R: Rung, T> {
    /// At least `n` samples each.
    pub rows: &'a [&'a [T]],
    /// One per row, or per pair of rows.
    pub taps: &'a [R::Tap],
    /// The accumulator's units are divided by 2^shift, rounding half up.
    pub shift: u32,
    /// Samples to compute.
    pub n: usize,
    /// At least `n` elements and `MAX_LANES` more, which may be overwritten.
    pub out: &'a mut [R::Elem],
}

/// Vectors in flight: enough to hide the latency of a multiply-add.
const UNROLL: usize = 4;

impl<R: Rung, T: SampleLanes> Job for Column<'_, R, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { rows, taps, shift, n, out } = self;
        assert!(rows.len().div_ceil(R::PAIRED) == taps.len() && !rows.is_empty());
        assert!(out.len() >= n + MAX_LANES);
        for row in rows {
            assert!(row.len() >= n);
        }
        let lanes = R::lanes::<L>();
        let out = out.as_mut_ptr();
        // SAFETY: `block` reads U·lanes samples from x on in every row, and writes as many. In the
        // loops x + U·lanes ≤ n, which all rows and `out` have. The last call starts at
        // n − lanes ≥ 0. The partial block reads n samples only and writes up to `lanes` ≤
        // MAX_LANES of `out`.
        unsafe {
            if n < lanes {
                return partial::<R, T, L>(l, rows, taps, shift, n, out);
            }
            let mut x = 0;
            while x + UNROLL * lanes <= n {
                block::<R, T, L, UNROLL>(l, rows, taps, shift, x, out);
                x += UNROLL * lanes;
            }
            while x + lanes <= n {
                block::<R, T, L, 1>(l, rows, taps, shift, x, out);
                x += lanes;
            }
            if x < n {
                block::<R, T, L, 1>(l, rows, taps, shift, n - lanes, out);
            }
        }
    }
}

/// U vectors of the output from sample x on.
///
/// # Safety
///
/// x + U·lanes must not exceed the length of any row or of `out`.
#[inline(always)]
unsafe fn block<R: Rung, T: SampleLanes, L: Lanes, const U: usize>(
    l: L,
    rows: &[&[T]],
    taps: &[R::Tap],
    shift: u32,
    x: usize,
    out: *mut R::Elem,
) {
    let lanes = R::lanes::<L>();
    let mut acc = [R::zero(l); U];
    // SAFETY: the caller's promise covers x + u·lanes in every row; k·PAIRED is a row, since there
    // are ⌈rows / PAIRED⌉ taps, and the second row of a pair is limited to the last.
    unsafe {
        for k in 0..taps.len() {
            let first = k * R::PAIRED;
            let a = rows.get_unchecked(first).as_ptr().add(x);
            let b = rows.get_unchecked((first + R::PAIRED - 1).min(rows.len() - 1)).as_ptr().add(x);
            let tap = R::splat(l, *taps.get_unchecked(k));
            for (u, acc) in acc.iter_mut().enumerate() {
                *acc = R::column(l, *acc, a.add(u * lanes), b.add(u * lanes), tap);
            }
        }
        for (u, acc) in acc.iter().enumerate() {
            R::put(l, *acc, shift, out.add(x + u * lanes));
        }
    }
}

/// Rows shorter than a vector: each is copied into a whole one first.
///
/// # Safety
///
/// Every row must have n ≤ `MAX_LANES` samples; `out` must have `lanes` elements.
#[inline(always)]
unsafe fn partial<R: Rung, T: SampleLanes, L: Lanes>(
    l: L,
    rows: &[&[T]],
    taps: &[R::Tap],
    shift: u32,
    n: usize,
    out: *mut R::Elem,
) {
    let mut acc = R::zero(l);
    for (pair, tap) in rows.chunks(R::PAIRED).zip(taps) {
        let mut a = [T::zeroed(); MAX_LANES];
        let mut b = a;
        a[..n].copy_from_slice(&pair[0][..n]);
        b[..n].copy_from_slice(&pair[pair.len() - 1][..n]);
        // SAFETY: both arrays have MAX_LANES ≥ lanes samples.
        acc = unsafe { R::column(l, acc, a.as_ptr(), b.as_ptr(), R::splat(l, *tap)) };
    }
    // SAFETY: the caller lets `lanes` elements be written.
    unsafe { R::put(l, acc, shift, out) }
}
