//! The column pass: K rows of samples, weighted and added into scratch rows.

use super::datapath::Datapath;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes};

/// One scratch row to compute: `out[x] = Σ_k taps[k] · step k of the rows`, from step `first` on. A
/// step is a row; for paired arithmetic, two rows.
pub struct Sum<'a, R: Datapath> {
    /// The step that the first tap meets.
    pub first: usize,
    /// One for each step.
    pub taps: &'a [R::Tap],
    /// What integer sums start with.
    pub start: i32,
    /// The accumulator's units are divided by 2^shift, rounding down.
    pub shift: u32,
    /// At least `n` elements and `MAX_LANES` more, which may be overwritten.
    pub out: &'a mut [R::Elem],
}

/// N scratch rows from one window: those of two kernels, or of two output rows, or of both. Each
/// sample is loaded once for all of them.
///
/// Paired arithmetic takes the rows two by two; with an odd number the last one is multiplied
/// once more, by the 0 that the plan put there.
pub struct Column<'a, R: Datapath, T, const N: usize> {
    /// At least `n` samples each.
    pub rows: &'a [&'a [T]],
    /// What to compute.
    pub sums: [Sum<'a, R>; N],
    /// Samples to compute.
    pub n: usize,
}

impl<R: Datapath, T: SampleLanes, const N: usize> Job for Column<'_, R, T, N> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let n = self.n;
        for sum in &self.sums {
            assert!(sum.first + sum.taps.len() <= self.rows.len().div_ceil(R::PAIRED));
            assert!(sum.out.len() >= n + MAX_LANES);
        }
        for row in self.rows {
            assert!(row.len() >= n);
        }
        let lanes = R::lanes::<L>();
        // SAFETY: `block` reads U·lanes samples from x on in every row, and writes as many. In the
        // loops x + U·lanes ≤ n, which all rows and outputs have. The last call starts at
        // n − lanes ≥ 0. The partial block reads n samples only and writes up to `lanes` ≤
        // MAX_LANES of each output.
        unsafe {
            if n < lanes {
                return self.partial(l);
            }
            let mut x = 0;
            // Vectors in flight: enough to hide the latency of a multiply-add, few enough for the
            // registers.
            if const { N * R::REGISTERS <= 2 || L::N == 16 && N * R::REGISTERS <= 4 } {
                while x + 4 * lanes <= n {
                    self.block::<L, 4>(l, x);
                    x += 4 * lanes;
                }
            }
            if const { N * R::REGISTERS <= 4 || L::N == 16 && N * R::REGISTERS <= 8 } {
                while x + 2 * lanes <= n {
                    self.block::<L, 2>(l, x);
                    x += 2 * lanes;
                }
            }
            while x < n {
                self.block::<L, 1>(l, x.min(n - lanes));
                x += lanes;
            }
        }
    }
}

impl<R: Datapath, T: SampleLanes, const N: usize> Column<'_, R, T, N> {
    /// U vectors of every output from sample x on.
    ///
    /// # Safety
    ///
    /// x + U·lanes must not exceed the length of any row or output.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(&mut self, l: L, x: usize) {
        let lanes = R::lanes::<L>();
        let mut acc = [[R::start(l, 0); U]; N];
        for (acc, sum) in acc.iter_mut().zip(&self.sums) {
            *acc = [R::start(l, sum.start); U];
        }
        // SAFETY: the caller's promise covers x + u·lanes in every row; step·PAIRED is a row, and
        // the second row of a pair is limited to the last.
        unsafe {
            for step in 0..self.rows.len().div_ceil(R::PAIRED) {
                let first = step * R::PAIRED;
                let second = (first + R::PAIRED - 1).min(self.rows.len() - 1);
                let a = self.rows.get_unchecked(first).as_ptr().add(x);
                let b = self.rows.get_unchecked(second).as_ptr().add(x);
                let mut samples = [R::start(l, 0); U];
                for (u, samples) in samples.iter_mut().enumerate() {
                    *samples = R::load(l, a.add(u * lanes), b.add(u * lanes));
                }
                for (acc, sum) in acc.iter_mut().zip(&self.sums) {
                    // Rows outside a sum's window are not even multiplied by 0: they may hold NaN.
                    let k = step.wrapping_sub(sum.first);
                    if k < sum.taps.len() {
                        let tap = R::splat(l, *sum.taps.get_unchecked(k));
                        for (acc, samples) in acc.iter_mut().zip(&samples) {
                            *acc = R::step(l, *acc, *samples, tap);
                        }
                    }
                }
            }
            for (acc, sum) in acc.iter().zip(&mut self.sums) {
                for (u, acc) in acc.iter().enumerate() {
                    R::put(l, *acc, sum.shift, sum.out.as_mut_ptr().add(x + u * lanes));
                }
            }
        }
    }

    /// Rows shorter than a vector: each is copied into a whole one first.
    ///
    /// # Safety
    ///
    /// Every row must have n ≤ `MAX_LANES` samples, every output `MAX_LANES` elements.
    #[inline(always)]
    unsafe fn partial<L: Lanes>(&mut self, l: L) {
        let n = self.n;
        let mut acc = [R::start(l, 0); N];
        for (acc, sum) in acc.iter_mut().zip(&self.sums) {
            *acc = R::start(l, sum.start);
        }
        // SAFETY: both arrays have MAX_LANES ≥ lanes samples, and the caller lets as many elements be written.
        unsafe {
            for (step, pair) in self.rows.chunks(R::PAIRED).enumerate() {
                let mut a = [T::zeroed(); MAX_LANES];
                let mut b = a;
                a[..n].copy_from_slice(&pair[0][..n]);
                b[..n].copy_from_slice(&pair[pair.len() - 1][..n]);
                let samples = R::load(l, a.as_ptr(), b.as_ptr());
                for (acc, sum) in acc.iter_mut().zip(&self.sums) {
                    if let Some(tap) = sum.taps.get(step.wrapping_sub(sum.first)) {
                        *acc = R::step(l, *acc, samples, R::splat(l, *tap));
                    }
                }
            }
            for (acc, sum) in acc.iter().zip(&mut self.sums) {
                R::put(l, *acc, sum.shift, sum.out.as_mut_ptr());
            }
        }
    }
}
