//! The dense pass, a direct 2D filter over widened rows, and the pass that widens them.

use super::rung::Rung;
use super::{Finish, LINE, line_from, starts_before};
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

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
    /// The row that the first taps of each output row meet.
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
        let lanes = R::wide_lanes::<L>();
        for row in self.rows {
            assert!(row.len() >= n.max(lanes) + (self.width - 1) * self.step);
        }
        // SAFETY: `block` reads U·lanes elements from x + i·step on in each row, i < width, and writes
        // U·lanes samples at x. In the loops x + U·lanes ≤ n, the last call starts at n − lanes ≥ 0, and a
        // row shorter than a vector reads into the slack and writes to `whole`.
        unsafe {
            if n < lanes {
                let mut whole = [[O::zeroed(); MAX_LANES]; ROWS];
                let mut outs = [std::ptr::null_mut(); ROWS];
                for (out, whole) in outs.iter_mut().zip(&mut whole) {
                    *out = whole.as_mut_ptr();
                }
                self.block::<L, 1>(l, 0, ends, outs, false);
                for (out, whole) in self.outs.iter_mut().zip(&whole) {
                    out.copy_from_slice(&whole[..n]);
                }
                return;
            }
            let mut outs = [std::ptr::null_mut(); ROWS];
            for (out, row) in outs.iter_mut().zip(&mut self.outs) {
                *out = row.as_mut_ptr();
            }
            let mut x = 0;
            // Whole lines are streamed, as in `Row`; where those of all rows begin with the same sample.
            let first = self.stream.then(|| line_from(outs[0], lanes)).flatten();
            let alike = outs.iter().all(|out| (out.addr() ^ outs[0].addr()).is_multiple_of(LINE));
            let first = first.filter(|first| alike && first + lanes <= n);
            if let Some(first) = first {
                for x in starts_before(first, lanes) {
                    self.block::<L, 1>(l, x, ends, outs, false);
                }
                x = first;
            }
            let stream = first.is_some();
            // Vectors in flight: as many as the registers hold.
            let each = ROWS * M * (1 + usize::from(R::ROW_SUMS));
            let most = if L::N == 16 { 16 } else { 8 };
            if 4 * each <= most {
                while x + 4 * lanes <= n {
                    let stream = stream && streams::<O>(x, 4, lanes, n);
                    self.block::<L, 4>(l, x, ends, outs, stream);
                    x += 4 * lanes;
                }
            }
            if 2 * each <= most {
                while x + 2 * lanes <= n {
                    let stream = stream && streams::<O>(x, 2, lanes, n);
                    self.block::<L, 2>(l, x, ends, outs, stream);
                    x += 2 * lanes;
                }
            }
            while x + lanes <= n {
                self.block::<L, 1>(l, x, ends, outs, false);
                x += lanes;
            }
            if x < n {
                self.block::<L, 1>(l, n - lanes, ends, outs, false);
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

/// Does the same for each of up to four rows. A loop that the compiler does not unroll would keep the sums
/// in memory.
macro_rules! each_row {
    ($rows:expr, $r:ident => $do:expr) => {
        const { assert!($rows <= 4) }
        each_row!($rows, $r, 0, $do);
        each_row!($rows, $r, 1, $do);
        each_row!($rows, $r, 2, $do);
        each_row!($rows, $r, 3, $do);
    };
    ($rows:expr, $r:ident, $row:literal, $do:expr) => {
        if $row < $rows {
            let $r = $row;
            $do
        }
    };
}

impl<R: Rung, O: SampleLanes, const M: usize, const ROWS: usize> Dense<'_, R, O, M, ROWS> {
    /// U vectors of every output row from sample x on. Output row r meets the rows up to `ends[r]`.
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
        ends: [usize; ROWS],
        outs: [*mut O; ROWS],
        stream: bool,
    ) {
        let mut start = [R::wide_start(l, 0); M];
        for (start, fixed) in start.iter_mut().zip(&self.finish.fixed) {
            *start = R::wide_start(l, fixed.start);
        }
        let mut total = [[start; U]; ROWS];
        // Rows that every output row meets.
        let common = self.first.into_iter().max().unwrap_or(0);
        let end = ends.into_iter().min().unwrap_or(0);
        // SAFETY: as promised by the caller.
        unsafe {
            for j in 0..self.rows.len() {
                let mut meets = [true; ROWS];
                if (common..end).contains(&j) {
                    self.row(l, x, j, meets, &mut total);
                } else {
                    for r in 0..ROWS {
                        meets[r] = (self.first[r]..ends[r]).contains(&j);
                    }
                    self.row(l, x, j, meets, &mut total);
                }
            }
            each_row!(ROWS, r => R::wide_finish(l, total[r], self.finish, stream, outs[r].add(x)));
        }
    }

    /// Adds row j of the window to the sums that meet it.
    ///
    /// # Safety
    ///
    /// As for `block`; the taps of a row that a sum meets must exist.
    #[inline(always)]
    unsafe fn row<L: Lanes, const U: usize>(
        &self,
        l: L,
        x: usize,
        j: usize,
        meets: [bool; ROWS],
        total: &mut [[[R::WideAcc<L>; M]; U]; ROWS],
    ) {
        let lanes = R::wide_lanes::<L>();
        let mut sums = if R::ROW_SUMS { [[[R::wide_start(l, 0); M]; U]; ROWS] } else { *total };
        // SAFETY: as promised by the caller.
        unsafe {
            let row = self.rows.get_unchecked(j).as_ptr();
            for i in 0..self.width {
                let p = row.add(x + i * self.step);
                let mut samples = [R::wide_start(l, 0); U];
                for (u, samples) in samples.iter_mut().enumerate() {
                    *samples = R::wide_load(l, p.add(u * lanes));
                }
                for r in 0..ROWS {
                    // Rows outside a window are not even multiplied by 0: they may hold NaN.
                    if meets[r] {
                        for m in 0..M {
                            let k = (j - self.first[r]) * self.width + i;
                            let tap = R::splat(l, *self.taps[r][m].get_unchecked(k));
                            for (sum, samples) in sums[r].iter_mut().zip(&samples) {
                                sum[m] = R::wide_step(l, sum[m], *samples, tap);
                            }
                        }
                    }
                }
            }
        }
        if R::ROW_SUMS {
            for r in 0..ROWS {
                if meets[r] {
                    for (total, sum) in total[r].iter_mut().zip(&sums[r]) {
                        for m in 0..M {
                            total[m] = R::wide_add(l, total[m], sum[m]);
                        }
                    }
                }
            }
        } else {
            *total = sums;
        }
    }
}
