//! The dense pass, a direct 2D filter over widened rows, and the pass that widens them.

use super::rung::Rung;
use super::{Finish, LINE, each, line_from, starts_before};
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};
use std::array::from_fn;

/// Widens a row of samples once, so that the dense pass does not convert each sample K² times.
/// Paired arithmetic interleaves the samples of two rows.
pub struct Prepare<'a, R: Rung, T> {
    /// The row, or the upper one of two.
    pub a: &'a [T],
    /// The lower one of two, of the same length; the same row if there is no lower one.
    pub b: &'a [T],
    /// Memory to ask for on the way, as much as is read of each row.
    pub next: [&'a [u8]; 2],
    /// At least as many elements and `MAX_LANES` more, which may be overwritten.
    pub out: &'a mut [R::Wide],
}

impl<R: Rung, T: SampleLanes> Job for Prepare<'_, R, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { a, b, next, out } = self;
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
            while x + 4 * lanes <= n {
                for next in next {
                    let each = size_of::<T>();
                    if let Some(next) = next.get(each * x..each * (x + 4 * lanes)) {
                        prefetch(next);
                    }
                }
                for _ in 0..4 {
                    R::widen(l, a.as_ptr().add(x), b.as_ptr().add(x), out.add(x));
                    x += lanes;
                }
            }
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

/// `outs[r][x] = finish(Σ_j Σ_i taps[r][j·width + i] · rows[first[r] + j][x + i·step])`: ROWS
/// output rows from one window, for one kernel or (M = 2) the two of a magnitude. Each widened
/// sample is loaded once for all of them. Float arithmetic sums each kernel row on its own before
/// it joins the total, which keeps the rounding of large kernels small.
pub struct Dense<'a, R: Rung, O, const M: usize, const ROWS: usize> {
    /// Widened rows; element i·step lies under tap i of the first output sample. Each has
    /// n + (width − 1)·step elements, or if n is less than `MAX_LANES`, as many as if it were that.
    pub rows: &'a [&'a [R::Wide]],
    /// The row that the first taps of each output row meet; none above that of the one before, as
    /// the last ones.
    pub first: [usize; ROWS],
    /// For each output row and kernel, `width` taps for every row that it meets.
    pub taps: [[&'a [R::Tap]; M]; ROWS],
    /// Columns of the kernel.
    pub width: usize,
    /// Elements from one tap to the next: channels × dilation.
    pub step: usize,
    /// From accumulator to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Exactly the samples to write; rows of one length.
    pub outs: [&'a mut [O]; ROWS],
}

impl<R: Rung, O: SampleLanes, const M: usize, const ROWS: usize> Job for Dense<'_, R, O, M, ROWS> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let n = self.outs[0].len();
        assert!(self.width > 0);
        let mut ends = self.first;
        for ((end, taps), out) in ends.iter_mut().zip(&self.taps).zip(&self.outs) {
            *end += taps[0].len() / self.width;
            assert!(out.len() == n && *end <= self.rows.len());
            for each in taps {
                assert!(each.len() == taps[0].len() && each.len() % self.width == 0);
            }
        }
        // So that the output rows that meet a row follow one another.
        assert!(self.first.is_sorted() && ends.is_sorted());
        let lanes = R::wide_lanes::<L>();
        for row in self.rows {
            assert!(row.len() >= n.max(lanes) + (self.width - 1) * self.step);
        }
        let outs = [std::ptr::null_mut(); ROWS];
        let mut to = Output { meetings: self.meetings(ends), finish: *self.finish, outs };
        // SAFETY: `block` reads U·lanes elements from x + i·step on in each row, i < width, and writes
        // U·lanes samples at x. In the loops x + U·lanes ≤ n, the last call starts at n − lanes ≥ 0, and a
        // row shorter than a vector reads into the slack and writes to `whole`.
        unsafe {
            if n < lanes {
                let mut whole = [[O::zeroed(); MAX_LANES]; ROWS];
                for (out, whole) in to.outs.iter_mut().zip(&mut whole) {
                    *out = whole.as_mut_ptr();
                }
                self.block::<L, 1>(l, 0, &to, false);
                for (out, whole) in self.outs.iter_mut().zip(&whole) {
                    out.copy_from_slice(&whole[..n]);
                }
                return;
            }
            for (out, row) in to.outs.iter_mut().zip(&mut self.outs) {
                *out = row.as_mut_ptr();
            }
            let outs = to.outs;
            let mut x = 0;
            // Whole lines are streamed, as in `Row`; where those of all rows begin with the same sample.
            let first = self.stream.then(|| line_from(outs[0], lanes)).flatten();
            let alike = outs.iter().all(|out| (out.addr() ^ outs[0].addr()).is_multiple_of(LINE));
            let first = first.filter(|first| alike && first + lanes <= n);
            if let Some(first) = first {
                for x in starts_before(first, lanes) {
                    self.block::<L, 1>(l, x, &to, false);
                }
                x = first;
            }
            let stream = first.is_some();
            // Vectors in flight: as many as the registers hold. Three, beside which few are left, pay
            // where rows have many taps.
            let each = ROWS * M * (1 + usize::from(R::ROW_SUMS));
            let most = if L::N == 16 { 16 } else { 8 };
            if 4 * each <= most {
                x = self.blocks::<L, 4>(l, x, &to, stream);
            }
            let lines = (lanes * size_of::<O>()).is_multiple_of(LINE);
            if L::N == 16 && R::ROW_SUMS && each == 8 && lines && self.width >= MANY_TAPS {
                x = self.blocks::<L, 3>(l, x, &to, stream);
            }
            if 2 * each <= most {
                x = self.blocks::<L, 2>(l, x, &to, stream);
            }
            while x + lanes <= n {
                self.block::<L, 1>(l, x, &to, false);
                x += lanes;
            }
            if x < n {
                self.block::<L, 1>(l, n - lanes, &to, false);
            }
        }
    }
}

/// Whether a block of `u` vectors of `lanes` samples from sample `x` of `n` on may be streamed: it is whole
/// lines, and the last vector of all does not overlap it.
#[inline(always)]
fn streams<O>(x: usize, u: usize, lanes: usize, n: usize) -> bool {
    let end = x + u * lanes;
    (u * lanes * size_of::<O>()).is_multiple_of(LINE) && (end + lanes <= n || end == n)
}

/// Taps of a row from which on three vectors at once take less time than two.
const MANY_TAPS: usize = 11;

/// Most output rows of a block.
const MOST_ROWS: usize = 4;

/// How many meetings there may be: between the first and the last of the windows that begin and those
/// that end.
const MEETINGS: usize = 2 * MOST_ROWS - 1;

/// Rows of the window that the same output rows meet, from `before` up to `upto`.
struct Meeting<R: Rung, const M: usize, const ROWS: usize> {
    row: usize,
    count: usize,
    before: usize,
    upto: usize,
    /// The taps that meet `row`; behind them those of the next.
    taps: [[*const R::Tap; M]; ROWS],
}

/// What the blocks of a pass share. The finish is a copy: written samples might overlap one behind
/// a reference, for all that the compiler knows, so that it would be read again for each vector.
struct Output<R: Rung, O, const M: usize, const ROWS: usize> {
    meetings: [Meeting<R, M, ROWS>; MEETINGS],
    finish: Finish,
    outs: [*mut O; ROWS],
}

impl<R: Rung, O: SampleLanes, const M: usize, const ROWS: usize> Dense<'_, R, O, M, ROWS> {
    /// What the rows of the window meet, in their order.
    fn meetings(&self, ends: [usize; ROWS]) -> [Meeting<R, M, ROWS>; MEETINGS] {
        let mut bounds = [0; 2 * MOST_ROWS];
        let bounds = &mut bounds[..2 * ROWS];
        bounds[..ROWS].copy_from_slice(&self.first);
        bounds[ROWS..].copy_from_slice(&ends);
        bounds.sort_unstable();
        from_fn(|i| {
            let j = bounds.get(i).copied().unwrap_or(0);
            Meeting {
                row: j,
                count: bounds.get(i + 1).map_or(0, |next| next - j),
                before: ends.into_iter().filter(|&end| end <= j).count(),
                upto: self.first.into_iter().filter(|&first| first <= j).count(),
                taps: from_fn(|r| {
                    let at = j.saturating_sub(self.first[r]) * self.width;
                    self.taps[r].map(|taps| taps[at.min(taps.len())..].as_ptr())
                }),
            }
        })
    }

    /// As many blocks from sample x on as are whole: where they end.
    ///
    /// # Safety
    ///
    /// As for `block`, of the pass's samples.
    #[inline(always)]
    unsafe fn blocks<L: Lanes, const U: usize>(
        &self,
        l: L,
        mut x: usize,
        to: &Output<R, O, M, ROWS>,
        stream: bool,
    ) -> usize {
        let (n, lanes) = (self.outs[0].len(), R::wide_lanes::<L>());
        while x + U * lanes <= n {
            // SAFETY: as promised by the caller; x + U·lanes ≤ n.
            unsafe { self.block::<L, U>(l, x, to, stream && streams::<O>(x, U, lanes, n)) }
            x += U * lanes;
        }
        x
    }

    /// U vectors of every output row from sample x on.
    ///
    /// # Safety
    ///
    /// Every row must have x + (width − 1)·step + U·lanes elements, every output x + U·lanes samples;
    /// to `stream`, x must be where in each of them a cache line begins.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(
        &self,
        l: L,
        x: usize,
        to: &Output<R, O, M, ROWS>,
        stream: bool,
    ) {
        let mut start = [R::wide_start(l, 0); M];
        for (start, fixed) in start.iter_mut().zip(&to.finish.fixed) {
            *start = R::wide_start(l, fixed.start);
        }
        let mut total = [[start; U]; ROWS];
        // SAFETY: as promised by the caller.
        unsafe {
            for meeting in &to.meetings[..2 * ROWS - 1] {
                let total = &mut total;
                match (meeting.before, meeting.upto) {
                    (0, 1) => self.rows::<L, U, 0, 1>(l, x, meeting, total),
                    (0, 2) if ROWS > 1 => self.rows::<L, U, 0, 2>(l, x, meeting, total),
                    (1, 2) if ROWS > 1 => self.rows::<L, U, 1, 2>(l, x, meeting, total),
                    (0, 3) if ROWS > 2 => self.rows::<L, U, 0, 3>(l, x, meeting, total),
                    (1, 3) if ROWS > 2 => self.rows::<L, U, 1, 3>(l, x, meeting, total),
                    (2, 3) if ROWS > 2 => self.rows::<L, U, 2, 3>(l, x, meeting, total),
                    (0, 4) if ROWS > 3 => self.rows::<L, U, 0, 4>(l, x, meeting, total),
                    (1, 4) if ROWS > 3 => self.rows::<L, U, 1, 4>(l, x, meeting, total),
                    (2, 4) if ROWS > 3 => self.rows::<L, U, 2, 4>(l, x, meeting, total),
                    (3, 4) if ROWS > 3 => self.rows::<L, U, 3, 4>(l, x, meeting, total),
                    _ => {}
                }
            }
            each!(ROWS, r => {
                R::wide_finish(l, total[r], &to.finish, stream, to.outs[r].add(x));
            });
        }
    }

    /// Adds rows of the window to the sums of the output rows FROM..TO, which meet them. Rows outside a
    /// window are not even multiplied by 0: they may hold NaN.
    ///
    /// # Safety
    ///
    /// As for `block`.
    #[inline(always)]
    unsafe fn rows<L: Lanes, const U: usize, const FROM: usize, const TO: usize>(
        &self,
        l: L,
        x: usize,
        meeting: &Meeting<R, M, ROWS>,
        total: &mut [[[R::WideAcc<L>; M]; U]; ROWS],
    ) {
        let lanes = R::wide_lanes::<L>();
        let mut taps = meeting.taps;
        for j in meeting.row..meeting.row + meeting.count {
            let mut sums = if R::ROW_SUMS { [[[R::wide_start(l, 0); M]; U]; ROWS] } else { *total };
            // SAFETY: as promised by the caller; the output rows meet the row with `width` taps each.
            unsafe {
                let row = self.rows.get_unchecked(j).as_ptr();
                for i in 0..self.width {
                    let p = row.add(x + i * self.step);
                    let mut samples = [R::wide_start(l, 0); U];
                    for (u, samples) in samples.iter_mut().enumerate() {
                        *samples = R::wide_load(l, p.add(u * lanes));
                    }
                    for r in FROM..TO {
                        for m in 0..M {
                            let tap = R::splat(l, *taps[r][m].add(i));
                            for (sum, samples) in sums[r].iter_mut().zip(&samples) {
                                sum[m] = R::wide_step(l, sum[m], *samples, tap);
                            }
                        }
                    }
                }
                for r in FROM..TO {
                    for m in 0..M {
                        taps[r][m] = taps[r][m].add(self.width);
                        for (total, sum) in total[r].iter_mut().zip(&sums[r]) {
                            total[m] =
                                if R::ROW_SUMS { R::wide_add(l, total[m], sum[m]) } else { sum[m] };
                        }
                    }
                }
            }
        }
    }
}
