//! The dense pass, a direct 2D filter over widened rows, and the pass that widens them.

use super::datapath::Datapath;
use super::{Finish, LINE, MOST_SUMS, OutRow, each, first_of_line, with_sample};
use crate::filter::Post;
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};
use std::array::from_fn;

/// Widens a row of samples once, so that the dense pass does not convert each sample K² times.
/// Paired arithmetic interleaves the samples of two rows.
pub struct Prepare<'a, R: Datapath, T> {
    /// The row, or the upper one of two.
    pub a: &'a [T],
    /// The lower one of two, of the same length; the same row if there is no lower one.
    pub b: &'a [T],
    /// Memory to ask for on the way, as much as is read of each row.
    pub next: [&'a [u8]; 2],
    /// At least as many elements and `MAX_LANES` more, which may be overwritten.
    pub out: &'a mut [R::Wide],
}

impl<R: Datapath, T: SampleLanes> Job for Prepare<'_, R, T> {
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

/// `outs[r][x] = finish(Σ_j Σ_i taps[r][j·width + i] · rows[first[r] + j][x + i·step])`: N sums
/// from one window, each an output row's, or two of them a magnitude's. Each widened sample is
/// loaded once for all of them. Float arithmetic sums each kernel row on its own before it joins
/// the total, which keeps the rounding of large kernels small.
pub struct Dense<'a, R: Datapath, const N: usize> {
    /// Widened rows; element i·step lies under tap i of the first output sample. Each has
    /// n + (width − 1)·step elements, or if n is less than `MAX_LANES`, as many as if it were that.
    pub rows: &'a [&'a [R::Wide]],
    /// The row that the first taps of each sum meet; none above that of the one before, as the
    /// last ones.
    pub first: [usize; N],
    /// For each sum, `width` taps for every row that it meets.
    pub taps: [&'a [R::Tap]; N],
    /// Columns of the kernel.
    pub width: usize,
    /// Elements from one tap to the next: channels × dilation.
    pub step: usize,
    /// From accumulator to sample; for a magnitude, of two sums that follow one another.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way: rows of as many elements as are written, or none.
    pub next: &'a [&'a [u8]],
    /// Exactly the samples to write, rows of one length: one for each sum, or two.
    pub outs: [OutRow<'a>; N],
}

impl<R: Datapath, const N: usize> Job for Dense<'_, R, N> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let sample = self.outs[0].sample();
        let n = self.outs[0].len();
        assert!(self.width > 0);
        let mut ends = self.first;
        for (end, taps) in ends.iter_mut().zip(&self.taps) {
            assert!(taps.len() % self.width == 0);
            *end += taps.len() / self.width;
            assert!(*end <= self.rows.len());
        }
        // So that the sums that meet a row follow one another.
        assert!(self.first.is_sorted() && ends.is_sorted());
        let magnitude = N > 1 && self.finish.post == Post::Magnitude;
        let count = if magnitude { N / 2 } else { N };
        assert!(self.outs[..count].iter().all(|out| out.len() == n && out.sample() == sample));
        let lanes = R::wide_lanes::<L>();
        for row in self.rows {
            assert!(row.len() >= n.max(lanes) + (self.width - 1) * self.step);
        }
        let outs = [std::ptr::null_mut(); N];
        let meetings = self.meetings(ends);
        let mut to = Output { meetings, finish: *self.finish, magnitude, count, sample, outs };
        let each = sample.bytes();
        let mut whole = [[0u32; MAX_LANES]; N];
        for ((to, out), whole) in to.outs.iter_mut().zip(&mut self.outs[..count]).zip(&mut whole) {
            *to = if n < lanes { whole.as_mut_ptr().cast() } else { out.as_mut_ptr() };
        }
        // Whole lines are streamed, as in `Row`; where those of all rows begin with the same sample.
        let place = to.outs[0].addr();
        let first = self.stream.then(|| first_of_line(place, each, lanes)).flatten();
        let alike = to.outs[..count].iter().all(|o| (o.addr() ^ place).is_multiple_of(LINE));
        let first = first.filter(|first| alike && first + lanes <= n);
        let (stream, first) = (first.is_some(), first.unwrap_or(0));
        // SAFETY: `block` reads U·lanes elements from x + i·step on in each row, i < width, and writes
        // U·lanes samples at x. In blocks x + U·lanes ≤ n, single vectors end at `end` ≤ n or before; a
        // row shorter than a vector reads into the slack and writes to `whole`, which has `lanes` samples.
        unsafe {
            // Vectors in flight: as many as the registers hold. Three, beside which few are left, pay
            // where rows have many taps.
            let mut x = first;
            if const { Self::fits::<L>(4) } {
                x = self.blocks::<L, 4>(l, x, &to, stream);
            }
            let lines = (lanes * each).is_multiple_of(LINE);
            if const { L::N == 16 && R::ROW_SUMS && N == 4 } && lines && self.width >= MANY_TAPS {
                x = self.blocks::<L, 3>(l, x, &to, stream);
            }
            if const { Self::fits::<L>(2) && !Self::fits::<L>(4) } {
                x = self.blocks::<L, 2>(l, x, &to, stream);
            }
            for (mut x, end) in [(0, first), (x, n.max(lanes))] {
                while x < end {
                    self.block::<L, 1>(l, x.min(end - lanes), &to, false);
                    x += lanes;
                }
            }
        }
        if n < lanes {
            for (out, whole) in self.outs[..count].iter_mut().zip(&whole) {
                out.copy_from(whole);
            }
        }
    }
}

/// Whether a block of `u` vectors of `lanes` samples from sample `x` of `n` on, of so many bytes each, may
/// be streamed: it is whole lines, and the last vector of all does not overlap it.
#[inline(always)]
fn streams(x: usize, u: usize, lanes: usize, n: usize, bytes: usize) -> bool {
    let end = x + u * lanes;
    (u * lanes * bytes).is_multiple_of(LINE) && (end + lanes <= n || end == n)
}

/// Taps of a row from which on three vectors at once take less time than two.
const MANY_TAPS: usize = 11;

/// How many meetings there may be: between the first and the last of the windows that begin and those
/// that end.
const MEETINGS: usize = 2 * MOST_SUMS - 1;

/// Rows of the window that the same sums meet, from `before` up to `upto`.
struct Meeting<R: Datapath, const N: usize> {
    row: usize,
    count: usize,
    before: usize,
    upto: usize,
    /// The taps that meet `row`; behind them those of the next.
    taps: [*const R::Tap; N],
}

/// What the blocks of a pass share. The finish is a copy: written samples might overlap one behind
/// a reference, for all that the compiler knows, so that it would be read again for each vector.
struct Output<R: Datapath, const N: usize> {
    meetings: [Meeting<R, N>; MEETINGS],
    finish: Finish,
    magnitude: bool,
    /// How many outputs there are.
    count: usize,
    sample: SampleType,
    outs: [*mut u8; N],
}

impl<R: Datapath, const N: usize> Dense<'_, R, N> {
    /// Whether the registers hold the sums of so many vectors.
    const fn fits<L: Lanes>(vectors: usize) -> bool {
        let sums = if R::ROW_SUMS { 2 * N } else { N };
        vectors * sums <= if L::N == 16 { 16 } else { 8 }
    }

    /// What the rows of the window meet, in their order.
    fn meetings(&self, ends: [usize; N]) -> [Meeting<R, N>; MEETINGS] {
        let mut bounds = [0; 2 * MOST_SUMS];
        let bounds = &mut bounds[..2 * N];
        bounds[..N].copy_from_slice(&self.first);
        bounds[N..].copy_from_slice(&ends);
        bounds.sort_unstable();
        from_fn(|i| {
            let j = bounds.get(i).copied().unwrap_or(0);
            Meeting {
                row: j,
                count: bounds.get(i + 1).map_or(0, |next| next - j),
                before: ends.into_iter().filter(|&end| end <= j).count(),
                upto: self.first.into_iter().filter(|&first| first <= j).count(),
                taps: from_fn(|k| {
                    let at = j.saturating_sub(self.first[k]) * self.width;
                    self.taps[k][at.min(self.taps[k].len())..].as_ptr()
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
        to: &Output<R, N>,
        stream: bool,
    ) -> usize {
        let (n, lanes) = (self.outs[0].len(), R::wide_lanes::<L>());
        let each = size_of::<R::Wide>();
        while x + U * lanes <= n {
            for next in self.next {
                if let Some(next) = next.get(x * each..(x + U * lanes) * each) {
                    prefetch(next);
                }
            }
            let stream = stream && streams(x, U, lanes, n, to.sample.bytes());
            // SAFETY: as promised by the caller; x + U·lanes ≤ n.
            unsafe { self.block::<L, U>(l, x, to, stream) }
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
        to: &Output<R, N>,
        stream: bool,
    ) {
        let mut total = [[R::wide_start(l, to.finish.fixed[0].start); U]; N];
        if to.magnitude {
            each!(N, k => total[k] = [R::wide_start(l, to.finish.fixed[k % 2].start); U]);
        }
        // SAFETY: as promised by the caller.
        unsafe {
            for meeting in &to.meetings[..2 * N - 1] {
                let total = &mut total;
                match (meeting.before, meeting.upto) {
                    (0, 1) => self.rows::<L, U, 0, 1>(l, x, meeting, total),
                    (0, 2) if const { N > 1 } => self.rows::<L, U, 0, 2>(l, x, meeting, total),
                    (1, 2) if const { N > 1 } => self.rows::<L, U, 1, 2>(l, x, meeting, total),
                    (0, 3) if const { N > 2 } => self.rows::<L, U, 0, 3>(l, x, meeting, total),
                    (1, 3) if const { N > 2 } => self.rows::<L, U, 1, 3>(l, x, meeting, total),
                    (2, 3) if const { N > 2 } => self.rows::<L, U, 2, 3>(l, x, meeting, total),
                    (0, 4) if const { N > 3 } => self.rows::<L, U, 0, 4>(l, x, meeting, total),
                    (1, 4) if const { N > 3 } => self.rows::<L, U, 1, 4>(l, x, meeting, total),
                    (2, 4) if const { N > 3 } => self.rows::<L, U, 2, 4>(l, x, meeting, total),
                    (3, 4) if const { N > 3 } => self.rows::<L, U, 3, 4>(l, x, meeting, total),
                    _ => {}
                }
            }
            with_sample!(to.sample, O => self.store::<L, O, U>(l, x, total, to, stream));
        }
    }

    /// Finishes and writes sums, as samples of type O.
    ///
    /// # Safety
    ///
    /// As for `block`; the outputs must be of type O.
    #[inline(always)]
    unsafe fn store<L: Lanes, O: SampleLanes, const U: usize>(
        &self,
        l: L,
        x: usize,
        total: [[R::WideAcc<L>; U]; N],
        to: &Output<R, N>,
        stream: bool,
    ) {
        // SAFETY: as promised by the caller; so many pairs are no more than N sums.
        unsafe {
            if const { N > 1 } && to.magnitude {
                // A loop of so many turns as the compiler cannot know: any other it unrolls, to as much code for each. It
                // has a copy of the sums in memory; those of other results stay in registers.
                let sums = total;
                for r in 0..to.count {
                    let (first, second) =
                        (sums.get_unchecked(2 * r), sums.get_unchecked(2 * r + 1));
                    let mut both = [[first[0]; 2]; U];
                    for (u, both) in both.iter_mut().enumerate() {
                        *both = [first[u], second[u]];
                    }
                    let out = to.outs.get_unchecked(r).cast::<O>().add(x);
                    R::wide_finish(l, both, &to.finish, stream, out);
                }
                return;
            }
            each!(N, r => {
                let mut one = [[total[0][0]; 1]; U];
                for (u, one) in one.iter_mut().enumerate() {
                    *one = [total[r][u]];
                }
                R::wide_finish(l, one, &to.finish, stream, to.outs[r].cast::<O>().add(x));
            });
        }
    }

    /// Adds rows of the window to the sums FROM..TO, which meet them. Rows outside a window are not even
    /// multiplied by 0: they may hold NaN.
    ///
    /// # Safety
    ///
    /// As for `block`.
    #[inline(always)]
    unsafe fn rows<L: Lanes, const U: usize, const FROM: usize, const TO: usize>(
        &self,
        l: L,
        x: usize,
        meeting: &Meeting<R, N>,
        total: &mut [[R::WideAcc<L>; U]; N],
    ) {
        let lanes = R::wide_lanes::<L>();
        let mut taps = meeting.taps;
        for j in meeting.row..meeting.row + meeting.count {
            let mut sums = if R::ROW_SUMS { [[R::wide_start(l, 0); U]; N] } else { *total };
            // SAFETY: as promised by the caller; the sums meet the row with `width` taps each.
            unsafe {
                let row = self.rows.get_unchecked(j).as_ptr();
                for i in 0..self.width {
                    let p = row.add(x + i * self.step);
                    let mut samples = [R::wide_start(l, 0); U];
                    for (u, samples) in samples.iter_mut().enumerate() {
                        *samples = R::wide_load(l, p.add(u * lanes));
                    }
                    for k in FROM..TO {
                        let tap = R::splat(l, *taps[k].add(i));
                        for (sum, samples) in sums[k].iter_mut().zip(&samples) {
                            *sum = R::wide_step(l, *sum, *samples, tap);
                        }
                    }
                }
                for k in FROM..TO {
                    taps[k] = taps[k].add(self.width);
                    for (total, sum) in total[k].iter_mut().zip(&sums[k]) {
                        *total = if R::ROW_SUMS { R::wide_add(l, *total, *sum) } else { *sum };
                    }
                }
            }
        }
    }
}
