//! The column pass in 16 bits: rows of `u8` into a scratch row of two halves.

use super::{Apart, HALF_SLACK, places};
use crate::simd::{Job, Lanes, MAX_LANES};

/// One scratch row to compute, as [`Sum`](crate::pass::Sum).
pub struct HalfSum<'a> {
    /// The row that the first tap meets.
    pub first: usize,
    /// One for each row.
    pub taps: &'a [i16],
    /// What sums start with.
    pub start: i32,
    /// The halves, with [`HALF_SLACK`] elements more, which may be overwritten.
    pub out: [&'a mut [i16]; 2],
}

/// N scratch rows from one window, as [`Column`](crate::pass::Column).
pub struct ColumnHalves<'a, const N: usize> {
    /// At least `n` samples each.
    pub rows: &'a [&'a [u8]],
    /// What to compute.
    pub sums: [HalfSum<'a>; N],
    /// Samples to compute.
    pub n: usize,
    /// Where they start in the scratch rows.
    pub at: usize,
}

/// Whether rows that meet the same of a lone kernel's taps are added before they are multiplied.
pub fn folds_column(taps: &[i16]) -> bool {
    matches!(taps.len(), 5 | 7) && taps.iter().eq(taps.iter().rev())
}

impl<const N: usize> Job for ColumnHalves<'_, N> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let n = self.n;
        for sum in &self.sums {
            assert!(sum.first + sum.taps.len() <= self.rows.len());
            assert!(sum.out.iter().all(|half| half.len() >= (self.at + n) / 2 + HALF_SLACK));
        }
        assert!(self.rows.iter().all(|row| row.len() >= n));
        let lanes = 4 * L::N;
        // SAFETY: `block` reads U·4·N samples from x on in every row, and writes as many. In the loops
        // x + U·4·N ≤ n, which all rows and outputs have; the last call starts at n − 4·N ≥ 0.
        // `partial` reads n samples and writes up to 4·N, which the outputs have.
        unsafe {
            if n < lanes {
                return self.partial(l);
            }
            match self.symmetric() {
                Some(5) if self.sums[0].taps[0] == 1 => self.folded::<L, 5, 8, true>(l),
                Some(5) => self.folded::<L, 5, 8, false>(l),
                Some(7) => self.folded::<L, 7, 10, false>(l),
                _ => self.plain(l),
            }
        }
    }
}

impl<const N: usize> ColumnHalves<'_, N> {
    /// The length of the taps, if they are symmetric and the same for consecutive rows, of which there
    /// are as many as [`folded`](Self::folded) computes.
    fn symmetric(&self) -> Option<usize> {
        let [first, rest @ ..] = &self.sums[..] else { return None };
        let taps = first.taps;
        let same = rest
            .iter()
            .zip(first.first + 1..)
            .all(|(sum, row)| sum.first == row && sum.start == first.start && sum.taps == taps);
        (N == 4 && first.first == 0 && same && folds_column(taps)).then_some(taps.len())
    }

    /// # Safety
    ///
    /// All rows and outputs must have n ≥ 4·N samples.
    #[inline(always)]
    unsafe fn plain<L: Lanes>(&mut self, l: L) {
        let (n, lanes) = (self.n, 4 * L::N);
        let mut x = 0;
        // SAFETY: x + U·4·N ≤ n, or x = n − 4·N ≥ 0.
        unsafe {
            if const { L::N == 16 } {
                while x + 2 * lanes <= n {
                    self.block::<L, 2>(l, x);
                    x += 2 * lanes;
                }
            }
            while x + lanes <= n {
                self.block::<L, 1>(l, x);
                x += lanes;
            }
            if x < n {
                self.block::<L, 1>(l, n - lanes);
            }
        }
    }

    /// `plain` for K symmetric taps and ROWS rows, of N sums: rows that meet the same tap are added
    /// first. UNIT: the outer taps are 1.
    ///
    /// # Safety
    ///
    /// As for `plain`; there must be ROWS = K + N − 1 rows, and [`symmetric`](Self::symmetric) taps.
    #[inline(always)]
    unsafe fn folded<L: Lanes, const K: usize, const ROWS: usize, const UNIT: bool>(
        &mut self,
        l: L,
    ) {
        let (n, lanes) = (self.n, 4 * L::N);
        assert!(self.rows.len() == ROWS && self.sums[0].taps.len() == K && ROWS == K + N - 1);
        let mut taps = [l.h_splat(0); K];
        for (splat, tap) in taps.iter_mut().zip(self.sums[0].taps) {
            *splat = l.h_splat(*tap);
        }
        let start = l.h_splat(self.sums[0].start as i16);
        let mut x = 0;
        while x < n {
            // The last vector overlaps the one before.
            let at = x.min(n - lanes);
            let mut bytes = [start; ROWS];
            let mut words = bytes;
            let mut acc = [[Apart::splat(l, 0); 1]; N];
            // SAFETY: at + 4·N ≤ n.
            unsafe {
                for (bytes, row) in bytes.iter_mut().zip(self.rows) {
                    *bytes = l.h_load(row.as_ptr().add(at).cast());
                }
                for (words, bytes) in words.iter_mut().zip(&bytes) {
                    *words = l.h_even(*bytes);
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[0].even = fold::<L, K, ROWS, UNIT>(l, start, &words, r, &taps);
                }
                for (words, bytes) in words.iter_mut().zip(&bytes) {
                    *words = l.h_odd(*bytes);
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[0].odd = fold::<L, K, ROWS, UNIT>(l, start, &words, r, &taps);
                }
                self.put(l, acc, at);
            }
            x += lanes;
        }
    }
}

/// start + Σ taps[i]·words[r + i] over K symmetric taps.
#[inline(always)]
fn fold<L: Lanes, const K: usize, const ROWS: usize, const UNIT: bool>(
    l: L,
    start: L::H,
    words: &[L::H; ROWS],
    r: usize,
    taps: &[L::H; K],
) -> L::H {
    let mut sum = l.h_add(start, l.h_mul(words[r + K / 2], taps[K / 2]));
    for i in 0..K / 2 {
        let both = l.h_add(words[r + i], words[r + K - 1 - i]);
        sum = l.h_add(sum, if UNIT && i == 0 { both } else { l.h_mul(both, taps[i]) });
    }
    sum
}

impl<const N: usize> ColumnHalves<'_, N> {
    /// U times 4·N samples of every output from sample x on.
    ///
    /// # Safety
    ///
    /// x + U·4·N must not exceed the length of any row, and the outputs must go on for as many from
    /// `at` + x on.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(&mut self, l: L, x: usize) {
        let mut acc = self.start::<L, U>(l);
        // SAFETY: as promised by the caller.
        unsafe {
            for (j, row) in self.rows.iter().enumerate() {
                let mut samples = [Apart::splat(l, 0); U];
                for (u, samples) in samples.iter_mut().enumerate() {
                    *samples = Apart::of(l, l.h_load(row.as_ptr().add(x + u * 4 * L::N).cast()));
                }
                self.step(l, &mut acc, j, samples);
            }
            self.put(l, acc, x);
        }
    }

    /// Rows shorter than a vector: each is copied into a whole one first.
    ///
    /// # Safety
    ///
    /// Every row must have n ≤ 4·N samples, and the outputs must go on for 4·N from `at` on.
    #[inline(always)]
    unsafe fn partial<L: Lanes>(&mut self, l: L) {
        let mut acc = self.start::<L, 1>(l);
        // SAFETY: the array has 2·MAX_LANES ≥ 4·N samples; outputs are as promised by the caller.
        unsafe {
            for (j, row) in self.rows.iter().enumerate() {
                let mut whole = [0u8; 2 * MAX_LANES];
                whole[..self.n].copy_from_slice(&row[..self.n]);
                let samples = Apart::of(l, l.h_load(whole.as_ptr().cast()));
                self.step(l, &mut acc, j, [samples]);
            }
            self.put(l, acc, 0);
        }
    }

    #[inline(always)]
    fn start<L: Lanes, const U: usize>(&self, l: L) -> [[Apart<L>; U]; N] {
        let mut acc = [[Apart::splat(l, 0); U]; N];
        for (acc, sum) in acc.iter_mut().zip(&self.sums) {
            *acc = [Apart::splat(l, sum.start); U];
        }
        acc
    }

    /// Adds the samples of row j to the sums that they lie under.
    #[inline(always)]
    fn step<L: Lanes, const U: usize>(
        &self,
        l: L,
        acc: &mut [[Apart<L>; U]; N],
        j: usize,
        samples: [Apart<L>; U],
    ) {
        for (acc, sum) in acc.iter_mut().zip(&self.sums) {
            if let Some(tap) = sum.taps.get(j.wrapping_sub(sum.first)) {
                let tap = l.h_splat(*tap);
                for (acc, samples) in acc.iter_mut().zip(samples) {
                    *acc = acc.step::<false>(l, samples, tap);
                }
            }
        }
    }

    /// # Safety
    ///
    /// The outputs must go on for U·4·N samples from `at` + x on.
    #[inline(always)]
    unsafe fn put<L: Lanes, const U: usize>(&mut self, l: L, acc: [[Apart<L>; U]; N], x: usize) {
        for (acc, sum) in acc.iter().zip(&mut self.sums) {
            let halves = sum.out.each_mut().map(|half| half.as_mut_ptr());
            // SAFETY: as promised by the caller.
            unsafe {
                let [first, second] = places(halves, self.at + x, 1);
                for (u, acc) in acc.iter().enumerate() {
                    l.h_store(first.add(u * 2 * L::N), acc.even);
                    l.h_store(second.add(u * 2 * L::N), acc.odd);
                }
            }
        }
    }
}
