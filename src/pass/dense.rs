//! The dense pass, a direct 2D filter over widened rows, and the pass that widens them.

use super::Finish;
use super::rung::Rung;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes};

/// Widens a row of samples once, so that the dense pass does not convert each sample K² times.
/// Paired arithmetic interleaves the samples of two rows.
pub struct Prepare<'a, R: Rung, T> {
    /// The row, or the upper one of two.
    pub a: &'a [T],
    /// The lower one of two, of the same length; the same row if there is no lower one.
    pub b: &'a [T],
    /// At least as many elements and `MAX_LANES` more, which may be overwritten.
    pub out: &'a mut [R::Wide],
}

impl<R: Rung, T: SampleLanes> Job for Prepare<'_, R, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { a, b, out } = self;
        let n = a.len();
        assert!(b.len() == n && out.len() >= n + MAX_LANES);
        let lanes = R::lanes::<L>();
        let out = out.as_mut_ptr();
        // SAFETY: whole vectors lie inside both rows and `out`; the last one starts at
        // n − lanes ≥ 0; rows shorter than a vector are copied into whole ones first, and
        // what they write ends within the slack of `out`.
        unsafe {
            if n < lanes {
                let mut pair = [[T::zeroed(); MAX_LANES]; 2];
                pair[0][..n].copy_from_slice(a);
                pair[1][..n].copy_from_slice(b);
                return R::widen(l, pair[0].as_ptr(), pair[1].as_ptr(), out);
            }
            let mut x = 0;
            while x + lanes <= n {
                R::widen(l, a.as_ptr().add(x), b.as_ptr().add(x), out.add(x));
                x += lanes;
            }
            if x < n {
                let x = n - lanes;
                R::widen(l, a.as_ptr().add(x), b.as_ptr().add(x), out.add(x));
            }
        }
    }
}

/// `out[x] = finish(Σ_j Σ_i taps[j·width + i] · rows[j][x + i·step])`, for one kernel or (M = 2)
/// the two of a magnitude. Each row is summed on its own before it joins the total, which keeps
/// the rounding of large float kernels small.
pub struct Dense<'a, R: Rung, O, const M: usize> {
    /// Widened rows; element i·step lies under tap i of the first output sample. Each has
    /// n + (width − 1)·step elements and `MAX_LANES` more, whose values do not matter.
    pub rows: &'a [&'a [R::Wide]],
    /// rows × width taps for each kernel.
    pub taps: [&'a [R::Tap]; M],
    /// Columns of the kernel.
    pub width: usize,
    /// Elements from one tap to the next: channels × dilation.
    pub step: usize,
    /// From accumulator to sample.
    pub finish: &'a Finish,
    /// Exactly the samples to write.
    pub out: &'a mut [O],
}

/// Vectors in flight.
const UNROLL: usize = 4;

impl<R: Rung, O: SampleLanes, const M: usize> Job for Dense<'_, R, O, M> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let n = self.out.len();
        assert!(self.width > 0);
        for taps in self.taps {
            assert!(taps.len() == self.rows.len() * self.width);
        }
        for row in self.rows {
            assert!(row.len() >= n + (self.width - 1) * self.step + MAX_LANES);
        }
        let out = self.out.as_mut_ptr();
        // SAFETY: `block` reads U·N elements from x + i·step on in each row, i < width, and writes
        // U·N samples at x. In the loops x + U·N ≤ n, the last call starts at n − N ≥ 0, and a
        // row shorter than a vector reads into the slack and writes to `whole`.
        unsafe {
            if n < L::N {
                let mut whole = [O::zeroed(); MAX_LANES];
                self.block::<L, 1>(l, 0, whole.as_mut_ptr());
                self.out.copy_from_slice(&whole[..n]);
                return;
            }
            let mut x = 0;
            while x + UNROLL * L::N <= n {
                self.block::<L, UNROLL>(l, x, out.add(x));
                x += UNROLL * L::N;
            }
            while x + L::N <= n {
                self.block::<L, 1>(l, x, out.add(x));
                x += L::N;
            }
            if x < n {
                self.block::<L, 1>(l, n - L::N, out.add(n - L::N));
            }
        }
    }
}

impl<R: Rung, O: SampleLanes, const M: usize> Dense<'_, R, O, M> {
    /// U vectors of the output from sample x on.
    ///
    /// # Safety
    ///
    /// Every row must have x + (width − 1)·step + U·N elements, `out` U·N samples.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(&self, l: L, x: usize, out: *mut O) {
        let mut total = [[R::wide_zero(l); M]; U];
        // SAFETY: as promised by the caller; tap j·width + i exists for every row j and i < width.
        unsafe {
            for (j, row) in self.rows.iter().enumerate() {
                let mut sum = [[R::wide_zero(l); M]; U];
                for i in 0..self.width {
                    let p = row.as_ptr().add(x + i * self.step);
                    for m in 0..M {
                        let tap = *self.taps[m].get_unchecked(j * self.width + i);
                        let tap = R::splat(l, tap);
                        for (u, sum) in sum.iter_mut().enumerate() {
                            sum[m] = R::wide_step(l, sum[m], p.add(u * L::N), tap);
                        }
                    }
                }
                for (total, sum) in total.iter_mut().zip(&sum) {
                    for m in 0..M {
                        total[m] = R::wide_add(l, total[m], sum[m]);
                    }
                }
            }
            for (u, total) in total.iter().enumerate() {
                R::wide_finish(l, *total, self.finish, out.add(u * L::N));
            }
        }
    }
}
