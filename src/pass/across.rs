//! The row pass that comes first: two rows of `u8`, weighted along, into one row of pairs of `i16`, as the
//! paired arithmetic reads them in a column pass.
//!
//! Bytes are read here where a row pass that comes second would read words: half as many loads,
//! which are what a row pass spends its time on, since they lie across cache lines.

use super::datapath::{Datapath, I16Pairs};
use crate::simd::{Job, Lanes, MAX_LANES, prefetch};

/// For each part `out[at + x] = (s(rows[0])[x], s(rows[1])[x])`, the first in the low half, with
/// `s(row)[x] = (start + Σ_i taps[i] · row[x + i·step]) / 2^shift`, rounded down.
pub struct Across<'a> {
    /// Parts of the two rows, from left to right.
    pub parts: [Part<'a>; 3],
    /// Pairs of `i16` taps.
    pub taps: &'a [i32],
    /// Elements from one tap to the next: channels.
    pub step: usize,
    /// What sums start with.
    pub start: i32,
    /// Sums are divided by 2^shift, rounding down.
    pub shift: u32,
    /// Memory to ask for on the way; a byte in each for each sum.
    pub next: [&'a [u8]; 2],
    /// [`ACROSS_SLACK`] elements more than all parts have; what lies behind a part may be overwritten.
    pub out: &'a mut [i32],
}

/// Samples of two rows that lie together.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// Element i·step lies under tap i of the first sum. Each has as many as [`Across::reach`] says;
    /// what lies beyond the last sum's window does not matter.
    pub rows: [&'a [u8]; 2],
    /// Where its sums begin.
    pub at: usize,
    /// How many there are, which may be none; then the rows do not matter.
    pub n: usize,
}

/// Elements behind the last that vectors may touch: a block of four vectors.
pub const ACROSS_SLACK: usize = 2 * MAX_LANES;

/// Taps, in fours, up to which their digits are kept on the stack.
const FOURS: usize = 64;

impl Across<'_> {
    /// Samples that a row must have for `n` sums.
    pub fn reach(n: usize, taps: usize, step: usize) -> usize {
        n + taps.next_multiple_of(4) * step + 2 * ACROSS_SLACK
    }
}

impl Job for Across<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let step = self.step;
        for Part { rows, at, n } in self.parts {
            let reach = Self::reach(n, 2 * self.taps.len(), step);
            assert!(n == 0 || rows.iter().all(|row| row.len() >= reach));
            assert!(self.out.len() >= at + n + ACROSS_SLACK);
        }
        let fours = self.taps.len().div_ceil(2);
        // A window must hold a vector of sums' four taps.
        let fits = L::N + 3 * step <= L::WINDOW;
        // SAFETY: blocks start at x < n and read, from tap i's place on, no more than `ACROSS_SLACK`
        // samples, or a window of WINDOW ≤ ACROSS_SLACK from there; they write that many elements at
        // most.
        unsafe {
            if const { L::PICKS } && fits && fours <= FOURS {
                let mut digits = [[0; 2]; FOURS];
                self.digits(l, &mut digits);
                let mut index = [0u8; 4 * MAX_LANES];
                for (i, index) in index.iter_mut().enumerate() {
                    *index = (i / 4 + i % 4 * step) as u8;
                }
                let index = l.i_load(index.as_ptr().cast());
                for part in self.parts {
                    for x in (0..part.n).step_by(4 * L::N) {
                        self.ahead(part.at + x, 4 * L::N);
                        self.fours(l, part, x, &digits[..fours], index);
                    }
                }
            } else {
                for part in self.parts {
                    for x in (0..part.n).step_by(4 * L::N) {
                        self.ahead(part.at + x, 4 * L::N);
                        self.pairs(l, part, x);
                    }
                }
            }
        }
    }
}

impl Across<'_> {
    /// Asks for what comes next, as far as `n` sums from `x` on go.
    #[inline(always)]
    fn ahead(&self, x: usize, n: usize) {
        for next in self.next {
            if let Some(next) = next.get(x..next.len().min(x + n)) {
                prefetch(next);
            }
        }
    }

    /// Each four taps, in the level's form.
    #[inline(always)]
    fn digits<L: Lanes>(&self, l: L, digits: &mut [[i32; 2]; FOURS]) {
        for (digits, taps) in digits.iter_mut().zip(self.taps.chunks(2)) {
            let (a, b) = (taps[0], taps.get(1).copied().unwrap_or(0));
            let even = a & 0xffff | b << 16;
            let odd = (a >> 16) & 0xffff | b & !0xffff;
            let forms = l.taps_u8(l.i_splat(even), l.i_splat(odd));
            for (digit, form) in digits.iter_mut().zip(forms) {
                let mut all = [0; MAX_LANES];
                // SAFETY: the array has MAX_LANES ≥ N elements.
                unsafe { l.i_store(all.as_mut_ptr(), form) };
                *digit = all[0];
            }
        }
    }

    /// 4·N sums of a part from x on, four taps at a time.
    ///
    /// # Safety
    ///
    /// Each row must have WINDOW samples from x + 3·N + i·step on for every fourth tap i, and `out` 4·N
    /// elements from the part's x on.
    #[inline(always)]
    unsafe fn fours<L: Lanes>(
        &mut self,
        l: L,
        part: Part<'_>,
        x: usize,
        taps: &[[i32; 2]],
        index: L::I,
    ) {
        let zero = l.i_splat(0);
        let start = l.i_splat(self.start);
        let mut sums = [[zero; 4]; 2];
        // SAFETY: as promised by the caller.
        unsafe {
            for (row, sums) in part.rows.iter().zip(&mut sums) {
                let mut acc = [[zero, start]; 4];
                let mut p = row.as_ptr().add(x);
                for &[a, b] in taps {
                    let taps = [l.i_splat(a), l.i_splat(b)];
                    for (u, acc) in acc.iter_mut().enumerate() {
                        let bytes = l.i_pick_u8(p.add(u * L::N), [0; 2], index);
                        *acc = l.dot_u8(*acc, bytes, taps);
                    }
                    p = p.add(4 * self.step);
                }
                for (sum, acc) in sums.iter_mut().zip(acc) {
                    *sum = l.i_shr(l.sum_u8(acc), self.shift);
                }
            }
            let [upper, lower] = sums;
            for (u, (a, b)) in upper.into_iter().zip(lower).enumerate() {
                l.i_store(self.out.as_mut_ptr().add(part.at + x + u * L::N), l.pair(a, b));
            }
        }
    }

    /// The same, two taps at a time.
    ///
    /// # Safety
    ///
    /// Each row must have 4·N samples from x + i·step on for every tap i, and `out` 4·N elements from the
    /// part's x on.
    #[inline(always)]
    unsafe fn pairs<L: Lanes>(&mut self, l: L, part: Part<'_>, x: usize) {
        let start = I16Pairs::start(l, self.start);
        let mut sums = [[start; 2]; 2];
        let lanes = I16Pairs::lanes::<L>();
        // SAFETY: as promised by the caller.
        unsafe {
            for (row, sums) in part.rows.iter().zip(&mut sums) {
                let mut p = row.as_ptr().add(x);
                for &tap in self.taps {
                    let tap = I16Pairs::splat(l, tap);
                    for (u, sum) in sums.iter_mut().enumerate() {
                        let p = p.add(u * lanes);
                        let samples = I16Pairs::load(l, p, p.add(self.step));
                        *sum = I16Pairs::step(l, *sum, samples, tap);
                    }
                    p = p.add(2 * self.step);
                }
            }
            let [upper, lower] = sums;
            for (u, (a, b)) in upper.into_iter().zip(lower).enumerate() {
                let out = self.out.as_mut_ptr().add(part.at + x + u * lanes);
                let first = l.pair(l.i_shr(a.0, self.shift), l.i_shr(b.0, self.shift));
                let second = l.pair(l.i_shr(a.1, self.shift), l.i_shr(b.1, self.shift));
                let (first, second) = l.in_order(first, second);
                l.i_store(out, first);
                l.i_store(out.add(L::N), second);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::shorts;
    use crate::simd::Level;

    const LENGTHS: [usize; 8] = [1, 7, 16, 31, 32, 63, 130, 300];
    const START: i32 = 12345;

    /// Sums of so many taps, in three parts, some of which are empty where there are few sums.
    fn check(count: usize, step: usize) {
        // Two digits of eight bits hold each tap, and sums of any samples fit into 16 bits.
        let taps: Vec<i32> = shorts(count, 0).map(|v| i32::from(v).clamp(-32640, 32639)).collect();
        let shift = 8 + count.next_power_of_two().ilog2();
        let pairs: Vec<i32> = taps
            .chunks(2)
            .map(|pair| pair[0] & 0xffff | pair.get(1).map_or(0, |t| t << 16))
            .collect();
        let next = [0u8; 200];
        for n in LENGTHS {
            let ends = [0, n / 5, n / 5 + n / 2, n];
            let lengths = [0, 1, 2].map(|p| ends[p + 1] - ends[p]);
            let rows = [0, 1, 2].map(|p| {
                let reach = Across::reach(lengths[p], 2 * pairs.len(), step);
                [1, 2].map(|r| shorts(reach, 2 * p + r).map(|v| v as u8).collect::<Vec<_>>())
            });
            let sum = |row: &[u8], x: usize| {
                let samples = row[x..].iter().step_by(step);
                let sum: i32 = taps.iter().zip(samples).map(|(t, v)| t * i32::from(*v)).sum();
                ((START + sum) >> shift) as i16
            };
            let expected: Vec<[i16; 2]> = (0..3)
                .flat_map(|p| (0..lengths[p]).map(move |x| (p, x)))
                .map(|(p, x)| rows[p].each_ref().map(|row| sum(row, x)))
                .collect();
            let part = |p: usize| match lengths[p] {
                0 => Part { rows: [&[]; 2], at: ends[p], n: 0 },
                n => Part { rows: rows[p].each_ref().map(|row| &row[..]), at: ends[p], n },
            };
            for level in Level::available() {
                let mut out = vec![0x5a5a; n + ACROSS_SLACK + 40];
                level.run(Across {
                    parts: [0, 1, 2].map(part),
                    taps: &pairs,
                    step,
                    start: START,
                    shift,
                    next: [&next, &[]],
                    out: &mut out[..n + ACROSS_SLACK],
                });
                for (x, (value, expected)) in out.iter().zip(&expected).enumerate() {
                    let both = [*value as i16, (value >> 16) as i16];
                    assert_eq!(both, *expected, "{level}, {x} of {n}, {count} taps, {step} apart");
                }
                let after = &out[n + ACROSS_SLACK..];
                assert!(after.iter().all(|v| *v == 0x5a5a), "{level}, {n} sums, {count} taps");
            }
        }
    }

    #[test]
    fn sums_are_exact() {
        for step in [1, 2, 3, 4] {
            for count in [1, 2, 3, 4, 5, 6, 11, 32] {
                check(count, step);
            }
        }
    }

    #[test]
    fn sums_of_many_taps_or_channels_are_exact() {
        // The most taps whose digits are kept, and more.
        for count in [4 * FOURS, 4 * FOURS + 2] {
            check(count, 1);
            check(count, 3);
        }
        // The most channels of which a window of AVX-512 holds four taps, and more.
        check(7, 16);
        check(7, 17);
    }
}
