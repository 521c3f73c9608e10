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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::shorts;
    use crate::pass::{F32, F32Fused, F64, I16Pairs, I32};
    use crate::simd::Level;
    use std::array::from_fn;
    use wide::bytemuck::Zeroable;

    const LENGTHS: [usize; 9] = [0, 1, 7, 16, 31, 32, 63, 130, 300];
    const START: i32 = 12345;
    const SHIFT: u32 = 12;

    /// Nine rows of it.
    fn rows<T>(of: impl Fn(i16) -> T) -> Vec<Vec<T>> {
        (1..10).map(|seed| shorts(300, seed).map(&of).collect()).collect()
    }

    /// A sum, of the samples under each tap: two for paired arithmetic, else the same twice.
    type Twin<R, T> = fn(&[[T; 2]], &[<R as Datapath>::Tap]) -> <R as Datapath>::Elem;

    /// N sums at every level, which are all as one of the twins has them. Those with even numbers leave out the first
    /// step of the window, the others its last one.
    fn check<R: Datapath<Elem: PartialEq>, T: SampleLanes, const N: usize>(
        rows: &[Vec<T>],
        taps: &[R::Tap],
        twins: &[Twin<R, T>],
    ) {
        let count = rows.len().div_ceil(R::PAIRED) - 1;
        for (level, n) in Level::available().iter().flat_map(|l| LENGTHS.map(|n| (l, n))) {
            let rows: Vec<&[T]> = rows.iter().map(|row| &row[..n]).collect();
            let fill = <R::Elem>::zeroed();
            let mut outs: [_; N] = from_fn(|k| (k, vec![fill; n + MAX_LANES + 40]));
            let sums = outs.each_mut().map(|(k, out)| Sum::<R> {
                first: (*k + 1) % 2,
                taps: &taps[*k..][..count],
                start: START,
                shift: SHIFT,
                out: &mut out[..n + MAX_LANES],
            });
            level.run(Column { rows: &rows, sums, n });
            for (k, out) in &outs {
                let under = |step: usize, x: usize| {
                    let (first, last) = (step * R::PAIRED, rows.len() - 1);
                    [first, (first + R::PAIRED - 1).min(last)].map(|row| rows[row][x])
                };
                let sum = |twin: &Twin<R, T>, x: usize| {
                    let met: Vec<_> = (0..count).map(|i| under(i + (k + 1) % 2, x)).collect();
                    twin(&met, &taps[*k..][..count])
                };
                let right = twins.iter().any(|twin| (0..n).all(|x| sum(twin, x) == out[x]));
                assert!(right, "{level}, sum {k} of {N}, {n} samples");
                assert!(out[n + MAX_LANES..].iter().all(|v| *v == fill), "{level}, {n} samples");
            }
        }
    }

    fn single<T: Copy + Into<f32>>(met: &[[T; 2]], taps: &[f32]) -> f32 {
        met.iter().zip(taps).fold(0.0, |sum, ([x, _], tap)| sum + (*x).into() * tap)
    }

    fn fused(met: &[[f32; 2]], taps: &[f32]) -> f32 {
        met.iter().zip(taps).fold(0.0, |sum, ([x, _], tap)| x.mul_add(*tap, sum))
    }

    fn double(met: &[[f32; 2]], taps: &[f64]) -> f64 {
        met.iter().zip(taps).fold(0.0, |sum, ([x, _], tap)| sum + f64::from(*x) * tap)
    }

    fn whole<T: Copy + Into<i32>>(met: &[[T; 2]], taps: &[i32]) -> i32 {
        START + met.iter().zip(taps).map(|([x, _], tap)| (*x).into() * tap).sum::<i32>()
    }

    fn paired<T: Copy + Into<i32>>(met: &[[T; 2]], taps: &[i32]) -> i16 {
        let both = |([a, b], tap): (&[T; 2], &i32)| {
            (*a).into() * i32::from(*tap as i16) + (*b).into() * (tap >> 16)
        };
        ((START + met.iter().zip(taps).map(both).sum::<i32>()) >> SHIFT) as i16
    }

    #[test]
    fn floats_are_added_in_the_order_of_rows() {
        let taps: Vec<f32> = shorts(12, 0).map(|v| f32::from(v) / 7e3).collect();
        let mut floats = rows(|v| f32::from(v) / 3.0);
        check::<F32, f32, 2>(&floats, &taps, &[single]);
        check::<F32, f32, 4>(&floats, &taps, &[single]);
        check::<F32, u8, 1>(&rows(|v| v as u8), &taps, &[single]);
        check::<F32, u16, 2>(&rows(|v| v as u16), &taps, &[single]);
        // With no level that fuses, the sums are those that are not fused.
        check::<F32Fused, f32, 2>(&floats, &taps, &[fused, single]);
        let exact: Vec<f64> = shorts(12, 0).map(|v| f64::from(v) / 7e3).collect();
        check::<F64, f32, 1>(&floats, &exact, &[double]);
        check::<F64, f32, 2>(&floats, &exact, &[double]);
        // Nothing is read of a row outside of the window.
        floats[0].fill(f32::NAN);
        check::<F32, f32, 1>(&floats, &taps, &[single]);
        check::<F32Fused, f32, 1>(&floats, &taps, &[fused, single]);
    }

    #[test]
    fn integers_are_exact() {
        let taps: Vec<i32> = shorts(12, 0).map(|v| i32::from(v >> 4)).collect();
        check::<I32, u8, 1>(&rows(|v| v as u8), &taps, &[whole]);
        check::<I32, u16, 2>(&rows(|v| v as u16), &taps, &[whole]);
        check::<I32, u16, 4>(&rows(|v| v as u16), &taps, &[whole]);
        let pairs = |a: i16, b: i16| i32::from(a) & 0xffff | i32::from(b) << 16;
        let pairs: Vec<i32> = shorts(12, 0).zip(shorts(12, 20)).map(|(a, b)| pairs(a, b)).collect();
        check::<I16Pairs, u8, 1>(&rows(|v| v as u8), &pairs, &[paired]);
        check::<I16Pairs, u8, 2>(&rows(|v| v as u8), &pairs, &[paired]);
        // With an even number of rows the last one has a tap of its own.
        check::<I16Pairs, u8, 4>(&rows(|v| v as u8)[..8], &pairs, &[paired]);
    }
}
