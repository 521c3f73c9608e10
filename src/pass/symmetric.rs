//! The column pass of long symmetric taps in 16 bits.

use super::halves::{HALF_SLACK, HalfSum, MOST_SYMMETRIC, places, side};
use crate::simd::{Job, Lanes, MAX_LANES};

/// What [`SymmetricHalves`] divides sums of samples and taps by, as a power of 2: samples are multiplied
/// by 64, so that two of them add up to what 15 bits hold, and a product keeps the bits from 2¹⁵ up.
pub const SYMMETRIC_SHIFT: u32 = 15 - 6;

/// Most scratch rows of a pass.
const MOST: usize = 4;

/// The two bytes of a word that multiply its even or its odd sample by 64, and the other by 0.
const SAMPLES: [i16; 2] = [1 << 6, 1 << (6 + 8)];

/// N scratch rows that follow each other, as [`ColumnHalves`](super::ColumnHalves), of one odd number of
/// symmetric taps: rows that meet the same tap are added first. Every product is divided by
/// 2^[`SYMMETRIC_SHIFT`] and rounded.
pub struct SymmetricHalves<'a, const N: usize> {
    /// At least `n` samples each; as many rows as there are taps, and N − 1 more.
    pub rows: &'a [&'a [u8]],
    /// What to compute: sum r starts with row r, and all have the same taps and start.
    pub sums: [HalfSum<'a>; N],
    /// Samples to compute.
    pub n: usize,
    /// Where they start in the scratch rows.
    pub at: usize,
}

impl<const N: usize> Job for SymmetricHalves<'_, N> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let n = self.n;
        const { assert!(N <= MOST) }
        let [first, ..] = &self.sums[..] else { return };
        let (taps, start) = (first.taps, first.start);
        assert!(taps.len() % 2 == 1 && taps.len() <= MOST_SYMMETRIC);
        assert!(taps.iter().eq(taps.iter().rev()));
        assert!(self.rows.len() == taps.len() + N - 1);
        assert!(self.rows.iter().all(|row| row.len() >= n));
        for (r, sum) in self.sums.iter().enumerate() {
            assert!(sum.first == r && sum.start == start && sum.taps == taps);
            assert!(sum.out.iter().all(|half| half.len() >= (self.at + n) / 2 + HALF_SLACK));
        }
        let (side, middle) = (side(l, taps), taps.len() / 2);
        let taps = &side[..=middle];
        let lanes = 4 * L::N;
        let mut x = 0;
        // SAFETY: `block` reads 4·N samples from `x` on in every row, where x + 4·N ≤ n, or n < 4·N; and
        // writes as many, which the outputs have, if need be in their slack.
        unsafe {
            if n < lanes {
                self.block::<L, true>(l, 0, taps, start);
            } else {
                while x < n {
                    // The last vector overlaps the one before.
                    self.block::<L, false>(l, x.min(n - lanes), taps, start);
                    x += lanes;
                }
            }
        }
    }
}

impl<const N: usize> SymmetricHalves<'_, N> {
    /// 4·N samples of every output from sample x on; `taps` are the first ones and the middle one. SHORT:
    /// rows have only n samples, which is less.
    ///
    /// # Safety
    ///
    /// As asserted in `run`; unless SHORT, x + 4·N must not exceed n. The outputs must go on for as many
    /// from `at` + x on.
    #[inline(always)]
    unsafe fn block<L: Lanes, const SHORT: bool>(
        &mut self,
        l: L,
        x: usize,
        taps: &[L::H],
        start: i32,
    ) {
        let middle = taps.len() - 1;
        let start = l.h_splat(start as i16);
        for (half, samples) in SAMPLES.into_iter().enumerate() {
            let samples = l.h_splat(samples);
            let mut acc = [start; N];
            // What meets tap i of every sum, and the tap opposite to it.
            let (mut upper, mut lower) = ([start; MOST], [start; MOST]);
            // SAFETY: as promised by the caller; rows are up to N − 1 + 2·`middle`.
            unsafe {
                for r in 0..N {
                    upper[r] = self.read::<L, SHORT>(l, r, x, samples);
                    lower[r] = self.read::<L, SHORT>(l, r + 2 * middle, x, samples);
                }
                for (i, tap) in taps[..middle].iter().enumerate() {
                    for r in 0..N {
                        let both = l.h_add(upper[r], lower[r]);
                        acc[r] = l.h_add(acc[r], l.h_mul_high(both, *tap));
                    }
                    // One row further; as constants, so that all stay in registers.
                    upper = [upper[1], upper[2], upper[3], start];
                    upper[N - 1] = self.read::<L, SHORT>(l, N + i, x, samples);
                    lower = [start, lower[0], lower[1], lower[2]];
                    lower[0] = self.read::<L, SHORT>(l, 2 * middle - 1 - i, x, samples);
                }
                for (r, sum) in self.sums.iter_mut().enumerate() {
                    acc[r] = l.h_add(acc[r], l.h_mul_high(upper[r], taps[middle]));
                    let halves = sum.out.each_mut().map(|half| half.as_mut_ptr());
                    l.h_store(places(halves, self.at + x, 1)[half], acc[r]);
                }
            }
        }
    }

    /// The even or the odd ones of 4·N samples of a row, times 64.
    ///
    /// # Safety
    ///
    /// As for `block`; `row` must be one of the rows.
    #[inline(always)]
    unsafe fn read<L: Lanes, const SHORT: bool>(
        &self,
        l: L,
        row: usize,
        x: usize,
        samples: L::H,
    ) -> L::H {
        // SAFETY: as promised by the caller; the array has 2·MAX_LANES ≥ 4·N samples.
        unsafe {
            let row = self.rows[row];
            let bytes = if SHORT {
                let mut whole = [0u8; 2 * MAX_LANES];
                whole[..self.n].copy_from_slice(&row[..self.n]);
                l.h_load(whole.as_ptr().cast())
            } else {
                l.h_load(row.as_ptr().add(x).cast())
            };
            l.h_dot(bytes, samples)
        }
    }
}
