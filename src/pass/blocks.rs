//! Sums of windows of floats whose cost does not depend on the window, and which NaN and infinity
//! do not leave: nothing is ever subtracted.
//!
//! Down the columns, the windows of a few output rows are summed together: what they have in common
//! once, and what each has above and below it by chains of sums. Along a row in levels: sums of few
//! columns, and of these those of more, until they are as wide as the window.

use super::datapath::post;
use super::{Finish, LINE, OutRow, PIECE, first_of_line, starts_before, with_sample};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};
use std::ops::Range;

/// Output rows whose windows are summed together.
pub const SUMMED: usize = 4;

/// Rows whose sum serves several blocks.
pub const GROUP: isize = 8;
/// Rows of a window from which sums of groups are worth while.
pub const GROUPS_FROM: isize = 24;

/// Sums of windows of rows, for some rows of a block of `SUMMED` that follow each other. All
/// windows of the block have the rows `common`; row r of the block has those of `above` from its
/// own on, and r of those `below`.
pub struct WindowSums<'a> {
    /// Rows, or sums of some of them; at least one.
    pub common: &'a [&'a [f32]],
    /// Which of them are sums, in units of `unit` already.
    pub summed: Range<usize>,
    /// What rows are multiplied by, a power of 2, so that no sum overflows where the window's mean does not.
    pub unit: f32,
    /// The first row of the block that is wanted.
    pub first: usize,
    /// The first row of every window from `first` on, but for the block's last.
    pub above: &'a [&'a [f32]],
    /// The last row of every window up to the last one wanted, but for the block's first.
    pub below: &'a [&'a [f32]],
    /// The wanted rows: `n` elements and `MAX_LANES` more, which may be overwritten.
    pub outs: &'a mut [&'a mut [f32]],
    /// Elements to compute, which all rows have.
    pub n: usize,
}

impl Job for WindowSums<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let Self { common, first, above, below, ref outs, n, .. } = self;
        assert!(!common.is_empty() && !outs.is_empty() && first + outs.len() <= SUMMED);
        assert!(above.len() < SUMMED && below.len() == first + outs.len() - 1);
        for row in common.iter().chain(above).chain(below) {
            assert!(row.len() >= n);
        }
        assert!(outs.iter().all(|out| out.len() >= n + MAX_LANES));
        // SAFETY: `block` reads U·N elements from x on of every row, and writes as many. In the
        // loops x + U·N ≤ n, and the last call starts at n − N ≥ 0. A row shorter than a vector is
        // copied before it is read, and what is written lies in the outputs' slack.
        unsafe {
            if n < L::N {
                return self.block::<L, 1, true>(l, 0);
            }
            let mut x = 0;
            // Vectors in flight: as many as the registers hold.
            if const { L::N == 16 } {
                while x + 4 * L::N <= n {
                    self.block::<L, 4, false>(l, x);
                    x += 4 * L::N;
                }
            }
            while x + 2 * L::N <= n {
                self.block::<L, 2, false>(l, x);
                x += 2 * L::N;
            }
            while x + L::N <= n {
                self.block::<L, 1, false>(l, x);
                x += L::N;
            }
            if x < n {
                self.block::<L, 1, false>(l, n - L::N);
            }
        }
    }
}

impl WindowSums<'_> {
    /// U vectors of all wanted rows from element x on.
    ///
    /// # Safety
    ///
    /// Every row must have x + U·N elements, or, if it is `SHORT`, n < N elements, and every output
    /// as many.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize, const SHORT: bool>(&mut self, l: L, x: usize) {
        // SAFETY: as promised by the caller.
        unsafe {
            let unit = |j: usize| if self.summed.contains(&j) { 1.0 } else { self.unit };
            let mut common = self.read::<L, U, SHORT>(l, self.common[0], x, unit(0));
            for (j, row) in self.common.iter().enumerate().skip(1) {
                common = add(l, common, self.read::<L, U, SHORT>(l, row, x, unit(j)));
            }
            // Row k of these: what the k-th wanted row has above.
            let mut upper = [common; SUMMED];
            let most = self.above.len();
            for (k, row) in self.above.iter().enumerate().rev() {
                let row = self.read::<L, U, SHORT>(l, row, x, self.unit);
                upper[k] = if k + 1 == most { row } else { add(l, row, upper[k + 1]) };
            }
            let mut lower = common;
            for r in 0..self.first + self.outs.len() {
                if r > 0 {
                    let row = self.read::<L, U, SHORT>(l, self.below[r - 1], x, self.unit);
                    lower = if r == 1 { row } else { add(l, lower, row) };
                }
                if r < self.first {
                    continue;
                }
                let k = r - self.first;
                let mut sum = if k < most { add(l, upper[k], common) } else { common };
                if r > 0 {
                    sum = add(l, sum, lower);
                }
                let out = self.outs[k].as_mut_ptr().add(x);
                for (u, sum) in sum.iter().enumerate() {
                    l.f_store(out.add(u * L::N), *sum);
                }
            }
        }
    }

    /// U vectors of one row, times `unit`.
    ///
    /// # Safety
    ///
    /// As for `block`.
    #[inline(always)]
    unsafe fn read<L: Lanes, const U: usize, const SHORT: bool>(
        &self,
        l: L,
        row: &[f32],
        x: usize,
        unit: f32,
    ) -> [L::F; U] {
        let mut whole = [0.0; MAX_LANES];
        let mut p = row.as_ptr();
        if SHORT {
            whole[..self.n].copy_from_slice(&row[..self.n]);
            p = whole.as_ptr();
        }
        let mut v = [l.f_splat(0.0); U];
        for (u, v) in v.iter_mut().enumerate() {
            // SAFETY: as promised by the caller; `whole` has MAX_LANES ≥ N elements.
            *v = l.f_mul(unsafe { l.f_load(p.add(x + u * L::N)) }, l.f_splat(unit));
        }
        v
    }
}

/// a + b.
#[inline(always)]
fn add<L: Lanes, const U: usize>(l: L, a: [L::F; U], b: [L::F; U]) -> [L::F; U] {
    let mut sum = a;
    for (sum, b) in sum.iter_mut().zip(&b) {
        *sum = l.f_add(*sum, *b);
    }
    sum
}

/// One step of [`RowSums`]: sums of more columns from those of fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLevel {
    /// Sums that lie side by side and are added.
    pub terms: usize,
    /// Columns behind them that are added one by one.
    pub rest: usize,
}

impl RowLevel {
    /// The cheapest levels for windows of `count` columns.
    #[must_use]
    pub fn levels(count: usize) -> Vec<Self> {
        Self::cheapest(count).1
    }

    /// Their additions, counting a store as two.
    fn cheapest(count: usize) -> (usize, Vec<Self>) {
        let mut best = (count, vec![Self { terms: count, rest: 0 }]);
        for terms in 2..=12 {
            let part = count / terms;
            let rest = count - terms * part;
            if part < 2 || terms + rest + 2 >= best.0 {
                continue;
            }
            let (cost, mut levels) = Self::cheapest(part);
            if terms + rest + 2 + cost < best.0 {
                levels.push(Self { terms, rest });
                best = (terms + rest + 2 + cost, levels);
            }
        }
        best
    }
}

/// `out[x] = finish(Σ_i columns[x + i·step])`, i < the columns that the levels come to.
pub struct RowSums<'a> {
    /// n + (count − 1)·step column sums and `MAX_LANES` more, whose values do not matter.
    pub columns: &'a [f32],
    /// Room for as many elements, twice.
    pub parts: [&'a mut [f32]; 2],
    /// From few columns to all of a window.
    pub levels: &'a [RowLevel],
    /// Elements from one column to the next: channels.
    pub step: usize,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way; as much for each sample that is written.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

impl Job for RowSums<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { columns, parts, levels, step, finish, stream, next, mut out } = self;
        let (n, sample) = (out.len(), out.sample());
        let bytes = sample.bytes();
        let count = levels.iter().fold(1, |size, level| size * level.terms + level.rest);
        let Some((last, before)) = levels.split_last() else { return };
        let len = n + (count - 1) * step;
        assert!(levels.iter().all(|level| level.terms > 0) && before.len() <= MOST_LEVELS);
        assert!(columns.len() >= len + MAX_LANES);
        assert!(parts.iter().all(|part| part.len() >= len + MAX_LANES));
        let mut sizes = [1; MOST_LEVELS];
        let mut size = 1;
        for (wider, level) in sizes.iter_mut().zip(before) {
            size = size * level.terms + level.rest;
            *wider = size;
        }
        let mut levels = Levels {
            n,
            columns: columns.as_ptr(),
            parts: parts.map(|part| part.as_mut_ptr()),
            before,
            last: *last,
            count,
            sizes,
            step,
            done: [0; MOST_LEVELS],
            next,
            each: next.len() / n.max(1),
        };
        // SAFETY: `go_on` has what the sums up to its end need; whole vectors, and what is written beyond
        // the row goes to `whole`.
        unsafe {
            if n < L::N {
                let sum = levels.go_on(l, n);
                let mut whole = [0u32; MAX_LANES];
                write(l, sum.at::<L, 1>(l, 0), finish, sample, whole.as_mut_ptr().cast(), false);
                out.copy_from(&whole);
                return;
            }
            let out = out.as_mut_ptr();
            let first = stream.then(|| first_of_line(out.addr(), bytes, L::N)).flatten();
            let first = first.filter(|first| first + L::N <= n);
            let mut x = 0;
            if let Some(first) = first {
                let sum = levels.go_on(l, first + L::N);
                for x in starts_before(first, L::N) {
                    write(l, sum.at::<L, 1>(l, x), finish, sample, out.add(x * bytes), false);
                }
                x = first;
            }
            let four = 4 * L::N;
            while x + four <= n {
                let end = x + (PIECE / bytes).min((n - x) / four * four);
                let sum = levels.go_on(l, end);
                while x < end {
                    // Where there is but one level, memory is asked for here.
                    if before.is_empty()
                        && let Some(next) = next.get(levels.each * x..levels.each * (x + four))
                    {
                        prefetch(next);
                    }
                    // The last vector of all must not overlap these.
                    let whole = x + four + L::N <= n || x + four == n;
                    let stream = first.is_some() && whole;
                    write(l, sum.at::<L, 4>(l, x), finish, sample, out.add(x * bytes), stream);
                    x += four;
                }
            }
            let sum = levels.go_on(l, n);
            while x + L::N <= n {
                write(l, sum.at::<L, 1>(l, x), finish, sample, out.add(x * bytes), false);
                x += L::N;
            }
            if x < n {
                let x = n - L::N;
                write(l, sum.at::<L, 1>(l, x), finish, sample, out.add(x * bytes), false);
            }
        }
    }
}

/// Most levels but the last: each has at least twice as many columns as the one before.
const MOST_LEVELS: usize = 32;

/// The levels of a row, as far as their sums are made.
struct Levels<'a> {
    /// Windows of the row.
    n: usize,
    columns: *const f32,
    /// In turns: a level writes over those sums of the one two before it that the one before it has read, since none
    /// is made further than the one before it.
    parts: [*mut f32; 2],
    before: &'a [RowLevel],
    last: RowLevel,
    /// Columns of a window.
    count: usize,
    /// Columns of a sum of each level.
    sizes: [usize; MOST_LEVELS],
    step: usize,
    /// Elements of each level that are made.
    done: [usize; MOST_LEVELS],
    next: &'a [u8],
    /// Bytes of `next` for an element.
    each: usize,
}

impl Levels<'_> {
    /// Makes what windows before element `upto` need: the last level is left to be summed. Asks for the part
    /// of `next` that belongs to it.
    ///
    /// # Safety
    ///
    /// Columns and parts must be good for `upto` + (count − 1)·step elements and `MAX_LANES` more.
    #[inline(always)]
    unsafe fn go_on<L: Lanes>(&mut self, l: L, upto: usize) -> LevelSums {
        let Self { n, columns, parts, before, last, count, ref sizes, step, next, each, .. } =
            *self;
        // Where each level ends, from the last of them on: so that whole vectors of it find all that they
        // need, but for what lies behind the row, which nothing is made of.
        let mut ends = [0; MOST_LEVELS];
        let parts_of = |k: usize| if k > 0 { sizes[k - 1] } else { 1 };
        let mut needed = upto + (count - parts_of(before.len())) * step;
        for (k, level) in before.iter().enumerate().rev() {
            let all = n + (count - sizes[k]) * step;
            ends[k] = needed.min(all).next_multiple_of(2 * L::N);
            needed = ends[k] + (level.terms - 1) * parts_of(k) * step;
        }
        let mut sum = LevelSums { parts: columns, columns, size: 1, step, level: last };
        for (k, (level, done)) in before.iter().zip(&mut self.done).enumerate() {
            sum.level = *level;
            let to = parts[k % 2];
            let mut x = *done;
            while x < ends[k] {
                // A line at a time, where vectors are short.
                if k == 0
                    && x.is_multiple_of(LINE / size_of::<f32>())
                    && let Some(next) = next.get(each * x..each * (x + 2 * L::N))
                {
                    prefetch(next);
                }
                // SAFETY: whole vectors reach less than 2·N ≤ MAX_LANES elements beyond those up to
                // n + (count − size)·step, in reading and writing.
                unsafe {
                    let [a, b] = sum.at::<L, 2>(l, x);
                    l.f_store(to.add(x), a);
                    l.f_store(to.add(x + L::N), b);
                }
                x += 2 * L::N;
            }
            *done = x;
            (sum.parts, sum.size) = (to, sizes[k]);
        }
        sum.level = last;
        sum
    }
}

/// Sums of one level.
struct LevelSums {
    /// Sums of `size` columns each.
    parts: *const f32,
    columns: *const f32,
    size: usize,
    step: usize,
    level: RowLevel,
}

impl LevelSums {
    /// U vectors of sums from element x on.
    ///
    /// # Safety
    ///
    /// `parts` and `columns` must be good for U·N elements from x on and from all columns of its
    /// sum on.
    #[inline(always)]
    unsafe fn at<L: Lanes, const U: usize>(&self, l: L, x: usize) -> [L::F; U] {
        let RowLevel { terms, rest } = self.level;
        let mut sum = [l.f_splat(0.0); U];
        // SAFETY: as promised by the caller.
        unsafe {
            let mut p = self.parts.add(x);
            for (u, sum) in sum.iter_mut().enumerate() {
                *sum = l.f_load(p.add(u * L::N));
            }
            for _ in 1..terms {
                p = p.add(self.size * self.step);
                for (u, sum) in sum.iter_mut().enumerate() {
                    *sum = l.f_add(*sum, l.f_load(p.add(u * L::N)));
                }
            }
            // Where nothing is left to add, this may lie behind the row.
            let mut p = self.columns.wrapping_add(x + terms * self.size * self.step);
            for _ in 0..rest {
                for (u, sum) in sum.iter_mut().enumerate() {
                    *sum = l.f_add(*sum, l.f_load(p.add(u * L::N)));
                }
                p = p.wrapping_add(self.step);
            }
        }
        sum
    }
}

/// U·N samples of their sums.
///
/// # Safety
///
/// `out` must be good for as many samples of that type; to `stream`, it must be a multiple of the vector's
/// size.
#[inline(always)]
unsafe fn write<L: Lanes, const U: usize>(
    l: L,
    sums: [L::F; U],
    finish: &Finish,
    sample: SampleType,
    out: *mut u8,
    stream: bool,
) {
    let mut results = sums;
    for v in &mut results {
        let sum = l.f_mul(*v, l.f_splat(finish.fixed[0].unit));
        *v = post(l, [l.f_add(sum, l.f_splat(finish.offset as f32))], finish);
    }
    // SAFETY: as promised by the caller.
    unsafe {
        with_sample!(sample, O => {
            O::store_floats(l, out.cast(), results, finish.fits(), stream);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_come_to_their_count() {
        for count in 1..=1000 {
            let levels = RowLevel::levels(count);
            let sum = levels.iter().fold(1, |size, level| size * level.terms + level.rest);
            assert_eq!(sum, count);
            let loads: usize = levels.iter().map(|level| level.terms + level.rest).sum();
            assert!(loads <= 8 + 3 * count.ilog2() as usize, "{count}: {levels:?}");
        }
    }
}
