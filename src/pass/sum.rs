//! The sum of filters' rows, and of the image's own: what they add up to is rounded once.

use super::datapath::{Datapath, I16Pairs, post};
use super::{Finish, OutRow, first_of_line, starts_before, with_narrow, with_sample};
use crate::sample::{Sample, SampleType};
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes};
use wide::bytemuck::cast_slice;

/// Rows of terms at most.
pub const MOST_ROWS: usize = 8;

/// A row of samples, or of a filter's results, of any type.
#[derive(Debug, Clone, Copy)]
pub enum AnyRow<'a> {
    /// Of `u8`.
    U8(&'a [u8]),
    /// Of `u16`.
    U16(&'a [u16]),
    /// Of `i16`.
    I16(&'a [i16]),
    /// Of `f32`.
    F32(&'a [f32]),
}

/// Does the same for a row, whatever its type.
macro_rules! with_row {
    ($any:expr, $row:ident => $do:expr) => {
        match $any {
            AnyRow::U8($row) => $do,
            AnyRow::U16($row) => $do,
            AnyRow::I16($row) => $do,
            AnyRow::F32($row) => $do,
        }
    };
}
pub(super) use with_row;

impl<'a> AnyRow<'a> {
    /// A row of samples.
    #[must_use]
    pub fn of<T: Sample>(row: &'a [T]) -> Self {
        match T::TYPE {
            SampleType::U8 => Self::U8(cast_slice(row)),
            SampleType::U16 => Self::U16(cast_slice(row)),
            SampleType::I16 => Self::I16(cast_slice(row)),
            SampleType::F32 => Self::F32(cast_slice(row)),
        }
    }

    /// Elements.
    pub(super) fn len(self) -> usize {
        with_row!(self, row => row.len())
    }
}

/// A row to be added, times a factor: of a filter's results in 16 bits, the unit of its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Addend<'a> {
    /// What is added.
    pub row: AnyRow<'a>,
    /// What it is multiplied by.
    pub factor: f32,
}

/// `out[x] = finish(Σ factor · row[x])`, added up in that order, from the offset on.
pub struct SumRows<'a> {
    /// As many samples each as are written. Those that have no part in the sum are left out: they may be NaN.
    pub rows: &'a [Addend<'a>],
    /// Offset and post-step.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

impl Job for SumRows<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let n = self.out.len();
        assert!(self.rows.iter().all(|addend| addend.row.len() == n));
        let bytes = self.out.sample().bytes();
        let mut whole = [0u32; MAX_LANES];
        let out = if n < L::N { whole.as_mut_ptr().cast() } else { self.out.as_mut_ptr() };
        // Whole lines are streamed, and no other store may touch those.
        let first = self.stream.then(|| first_of_line(out.addr(), bytes, L::N)).flatten();
        let first = first.filter(|first| first + L::N <= n);
        let (stream, first) = (first.is_some(), first.unwrap_or(0));
        // SAFETY: all rows have n samples; before the first line and in the loop over blocks vectors end at `first` and
        // at x + 4·N ≤ n. The last vector starts at n − N, or where there are fewer samples than N, at 0: then rows are
        // copied into whole ones, and `whole` has N samples.
        unsafe {
            for x in starts_before(first, L::N) {
                self.block::<L, 1>(l, x, out, false);
            }
            let mut x = first;
            while x + 4 * L::N <= n {
                // The last vector of all must not overlap these.
                let whole = x + 5 * L::N <= n || x + 4 * L::N == n;
                self.block::<L, 4>(l, x, out, stream && whole);
                x += 4 * L::N;
            }
            while x < n {
                self.block::<L, 1>(l, x.min(n.max(L::N) - L::N), out, false);
                x += L::N;
            }
        }
        if n > 0 && n < L::N {
            self.out.copy_from(&whole);
        }
    }
}

impl SumRows<'_> {
    /// U vectors of the output `out` from sample x on.
    ///
    /// # Safety
    ///
    /// `out` must have x + U·N samples, and all rows, unless they have fewer than N and U is 1; to `stream`, a cache line
    /// must begin at sample x.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(&self, l: L, x: usize, out: *mut u8, stream: bool) {
        let mut sums = [l.f_splat(self.finish.offset as f32); U];
        // SAFETY: as promised by the caller; a copy has MAX_LANES ≥ N elements.
        unsafe {
            for &Addend { row, factor } in self.rows {
                with_row!(row, row => {
                    if U == 1 && row.len() < L::N {
                        add(l, &mut sums, copy(row).as_ptr(), factor);
                    } else {
                        add(l, &mut sums, row.as_ptr().add(x), factor);
                    }
                });
            }
            for sum in &mut sums {
                *sum = post(l, [*sum], self.finish);
            }
            with_sample!(self.out.sample(), O => {
                O::store_floats(l, out.cast::<O>().add(x), sums, self.finish.fits(), stream);
            });
        }
    }
}

/// A short row and zeros behind it.
#[inline(always)]
pub(super) fn copy<S: SampleLanes>(row: &[S]) -> [S; MAX_LANES] {
    let mut whole = [S::zeroed(); MAX_LANES];
    whole[..row.len()].copy_from_slice(row);
    whole
}

/// Adds samples times a factor to as many sums.
///
/// # Safety
///
/// `p` must be good for U·N samples.
#[inline(always)]
unsafe fn add<L: Lanes, S: SampleLanes, const U: usize>(
    l: L,
    sums: &mut [L::F; U],
    p: *const S,
    factor: f32,
) {
    let factor = l.f_splat(factor);
    for (u, sum) in sums.iter_mut().enumerate() {
        // SAFETY: as promised by the caller.
        let samples = unsafe { S::load_f(l, p.add(u * L::N)) };
        *sum = l.f_add(*sum, l.f_mul(samples, factor));
    }
}

/// Fraction bits of samples where they are added to rows of 16 bits.
pub const SAMPLE_BITS: u32 = 7;

/// The same of `u8` samples and rows of 16 bits, in 32 bits: `out[x] = finish(Σ taps · [2^SAMPLE_BITS · source[x], rows[x]…])`.
pub struct SumPairs<'a> {
    /// As many samples as are written, if they have a part.
    pub source: Option<&'a [u8]>,
    /// As long.
    pub rows: &'a [&'a [i16]],
    /// One for every two of them.
    pub taps: &'a [i32],
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Exactly the samples to write, of `u8` or `i16`.
    pub out: OutRow<'a>,
}

impl Job for SumPairs<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let (n, lanes) = (self.out.len(), 2 * L::N);
        assert!(self.source.is_none_or(|source| source.len() == n));
        assert!(self.rows.iter().all(|row| row.len() == n));
        assert!(self.taps.len() == self.count().div_ceil(2) && self.count() > 0);
        assert!(matches!(self.out.sample(), SampleType::U8 | SampleType::I16));
        if n < lanes {
            let mut whole = [0u32; MAX_LANES];
            // SAFETY: `whole` has MAX_LANES ≥ 2·N samples.
            unsafe { self.block::<L, 1, true>(l, 0, whole.as_mut_ptr().cast()) };
            if n > 0 {
                self.out.copy_from(&whole);
            }
            return;
        }
        let out = self.out.as_mut_ptr();
        // SAFETY: all rows have n samples; in the first loop x + 4·N ≤ n, the last vector starts at n − 2·N ≥ 0.
        unsafe {
            let mut x = 0;
            while x + 2 * lanes <= n {
                self.block::<L, 2, false>(l, x, out);
                x += 2 * lanes;
            }
            while x < n {
                self.block::<L, 1, false>(l, x.min(n - lanes), out);
                x += lanes;
            }
        }
    }
}

impl SumPairs<'_> {
    /// Rows that are added.
    fn count(&self) -> usize {
        self.rows.len() + usize::from(self.source.is_some())
    }

    /// Row `i` in 16 bits, the samples being the first one, from sample x on.
    ///
    /// # Safety
    ///
    /// There must be such a row, with x + 2·N samples, or if it is SHORT with fewer than 2·N and x = 0.
    #[inline(always)]
    unsafe fn load<L: Lanes, const SHORT: bool>(&self, l: L, i: usize, x: usize) -> L::H {
        // SAFETY: as promised by the caller; a copy has MAX_LANES ≥ 2·N elements.
        unsafe {
            match self.source {
                Some(source) if i == 0 => {
                    let samples = match SHORT {
                        true => u8::load_h(l, copy(source).as_ptr()),
                        false => u8::load_h(l, source.as_ptr().add(x)),
                    };
                    l.h_mul(samples, l.h_splat(1 << SAMPLE_BITS))
                }
                source => {
                    let row = self.rows.get_unchecked(i - usize::from(source.is_some()));
                    match SHORT {
                        true => l.h_load(copy(row).as_ptr()),
                        false => l.h_load(row.as_ptr().add(x)),
                    }
                }
            }
        }
    }

    /// 2·N·U samples of the output `out` from sample x on.
    ///
    /// # Safety
    ///
    /// `out` must have as many from there on, and all rows, as [`load`](Self::load) says.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize, const SHORT: bool>(
        &self,
        l: L,
        x: usize,
        out: *mut u8,
    ) {
        let mut sums = [[I16Pairs::start(l, self.finish.fixed[0].start)]; U];
        let last = self.count() - 1;
        // SAFETY: as promised by the caller; there is a tap for every two rows, and without a second one it is 0 for that.
        unsafe {
            for (k, &tap) in self.taps.iter().enumerate() {
                let tap = I16Pairs::splat(l, tap);
                for (u, sum) in sums.iter_mut().enumerate() {
                    let x = x + u * 2 * L::N;
                    let first = self.load::<L, SHORT>(l, 2 * k, x);
                    let second = self.load::<L, SHORT>(l, (2 * k + 1).min(last), x);
                    sum[0] = I16Pairs::step(l, sum[0], l.split(first, second), tap);
                }
            }
            with_narrow!(self.out.sample(), O => {
                I16Pairs::finish(l, sums, self.finish, false, out.cast::<O>().add(x));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Post;
    use crate::pass::Fixed;
    use crate::pass::noise::shorts;
    use crate::sample::Sample;
    use crate::simd::Level;

    const LENGTHS: [usize; 9] = [0, 1, 7, 16, 31, 32, 63, 130, 300];

    /// All samples of a row that a job writes with every level, past the cache or not, wherever in a line it begins.
    fn at_all_levels<O: Sample + PartialEq>(
        n: usize,
        run: impl Fn(Level, bool, OutRow<'_>),
        expected: impl Fn(usize) -> O,
    ) {
        let mut memory = vec![O::zeroed(); n + 64];
        for level in Level::available() {
            for (stream, from) in [(false, 0), (true, 0), (true, 1), (true, 5), (true, 40)] {
                memory.fill(O::zeroed());
                run(level, stream, OutRow::new(&mut memory[from..from + n]));
                for (x, value) in memory[from..from + n].iter().enumerate() {
                    let expected = expected(x);
                    assert!(
                        *value == expected,
                        "{level}, sample {x} of {n} from {from} on: {value:?}, {expected:?}"
                    );
                }
                let zero = |v: &O| *v == O::zeroed();
                assert!(memory[..from].iter().chain(&memory[from + n..]).all(zero), "{level}, {n}");
            }
        }
    }

    #[test]
    fn sums_of_floats_are_added_in_order() {
        for n in LENGTHS {
            let source: Vec<u16> = shorts(n, 0).map(|v| v as u16).collect();
            let (a, b): (Vec<i16>, Vec<f32>) =
                (shorts(n, 1).collect(), shorts(n, 2).map(|v| f32::from(v) / 3.0).collect());
            for (identity, post) in [(0.0, Post::None), (1.3, Post::Abs)] {
                let finish = Finish { post, offset: 2.5, ..Finish::PLAIN };
                let rows = [
                    Addend { row: AnyRow::of(&source), factor: identity },
                    Addend { row: AnyRow::I16(&a), factor: -0.3 },
                    Addend { row: AnyRow::F32(&b), factor: 0.7 },
                ];
                let rows = &rows[usize::from(identity == 0.0)..];
                let sum = |x: usize| {
                    let first =
                        if identity == 0.0 { 2.5 } else { 2.5 + identity * f32::from(source[x]) };
                    let sum = first + -0.3 * f32::from(a[x]) + 0.7 * b[x];
                    if post == Post::Abs { sum.abs() } else { sum }
                };
                let run = |level: Level, stream: bool, out: OutRow<'_>| {
                    level.run(SumRows { rows, finish: &finish, stream, out })
                };
                at_all_levels(n, run, sum);
                at_all_levels(n, run, |x| u16::from_f64(f64::from(sum(x))));
                at_all_levels(n, run, |x| u8::from_f64(f64::from(sum(x))));
            }
        }
    }

    #[test]
    fn sums_of_pairs_are_whole() {
        for n in LENGTHS {
            let source: Vec<u8> = shorts(n, 0).map(|v| v as u8).collect();
            let all: Vec<Vec<i16>> = (1..4).map(|seed| shorts(n, seed).collect()).collect();
            for count in 1..=all.len() {
                let rows: Vec<&[i16]> = all[..count].iter().map(|row| &row[..]).collect();
                for with in [false, true] {
                    let taps = [700, -1000, 31, 5000];
                    let taps = &taps[..count + usize::from(with)];
                    let packed: Vec<i32> = taps
                        .chunks(2)
                        .map(|pair| pair[0] & 0xffff | pair.get(1).map_or(0, |t| t << 16))
                        .collect();
                    let source = with.then_some(&source[..]);
                    let fixed = Fixed { shift: 13, start: 12345, ..Fixed::default() };
                    let finish = Finish { fixed: [fixed; 2], ..Finish::PLAIN };
                    let sum = |x: usize| {
                        let samples = source.iter().map(|row| i32::from(row[x]) << SAMPLE_BITS);
                        let values = samples.chain(rows.iter().map(|row| i32::from(row[x])));
                        let sum: i32 = values.zip(taps).map(|(v, t)| v * t).sum();
                        f64::from((sum + 12345) >> 13)
                    };
                    let run = |level: Level, _: bool, out: OutRow<'_>| {
                        level.run(SumPairs {
                            source,
                            rows: &rows,
                            taps: &packed,
                            finish: &finish,
                            out,
                        })
                    };
                    at_all_levels(n, run, |x| u8::from_f64(sum(x)));
                    at_all_levels(n, run, |x| i16::from_f64(sum(x)));
                }
            }
        }
    }
}
