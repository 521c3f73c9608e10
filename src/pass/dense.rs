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
    /// Whether the registers hold the sums of so many vectors. Where there are 16, the totals that sums of rows join lie in
    /// memory: each is read and written once a row.
    const fn fits<L: Lanes>(vectors: usize) -> bool {
        vectors * N <= if L::N == 16 && !R::ROW_SUMS { 16 } else { 8 }
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
                    // No sum meets these.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::shorts;
    use crate::pass::{F32, F32Fused, F64, Fixed, I16, I16Pairs, I32};
    use crate::sample::Sample;
    use crate::simd::Level;
    use wide::bytemuck::Zeroable;

    const LENGTHS: [usize; 9] = [0, 1, 7, 16, 31, 32, 63, 130, 300];
    /// Rows that each sum meets.
    const HEIGHT: usize = 3;
    const OFFSET: f32 = 2.5;
    const FIXED: Fixed =
        Fixed { shift: 5, start: 123, unsigned: false, unit: 0.0, factor: 0, divides: false };

    /// Pairs of samples under the taps of each sum that a result has, and these taps.
    type Met<T, W> = [Vec<([T; 2], W)>];

    /// A result of such sums, whose rows have so many taps.
    type Twin<R, T, O> = fn(&Met<T, <R as Datapath>::Tap>, usize) -> O;

    /// N sums, each from a row further down, or two for each magnitude, at every level. All are as one of the twins has
    /// them, wherever in a line they are written, and nothing else is written.
    fn check<R: Datapath, T: SampleLanes, O: Sample, const N: usize>(
        of: fn(i16) -> T,
        taps: &[R::Tap],
        post: Post,
        twins: &[Twin<R, T, O>],
    ) {
        let each = if post == Post::Magnitude { 2 } else { 1 };
        let finish = &Finish { post, most: 1e9, offset: f64::from(OFFSET), fixed: [FIXED; 2] };
        let fill = O::from_f64(77.0);
        let sources: Vec<Vec<T>> =
            (1..20).map(|seed| shorts(400, seed).map(of).collect()).collect();
        let pairs = sources.as_chunks::<2>().0;
        let taps_of = |k: usize, width: usize| &taps[k..][..HEIGHT * width];
        let cases = LENGTHS.iter().flat_map(|n| [(*n, 1, 1), (*n, 3, 1), (*n, 11, 3)]);
        for (n, width, step) in cases {
            let (len, pitch) = (n + (width - 1) * step, (n + 64).next_multiple_of(64));
            let result = |twin: &Twin<R, T, O>, r: usize, x: usize| {
                let met = |k: usize, i: usize| {
                    let pair = &pairs[r + i / width];
                    let at = x + i % width * step;
                    ([pair[0][at], pair[1][at]], taps_of(k, width)[i])
                };
                let sum = |k: usize| (0..HEIGHT * width).map(|i| met(k, i)).collect();
                twin(&(r * each..(r + 1) * each).map(sum).collect::<Vec<_>>(), width)
            };
            let all = |twin: &Twin<R, T, O>| -> Vec<O> {
                (0..N / each * n).map(|i| result(twin, i / n, i % n)).collect()
            };
            let expected: Vec<Vec<O>> = twins.iter().map(all).collect();
            for level in Level::available() {
                let widened: Vec<Vec<R::Wide>> = pairs[..N + HEIGHT]
                    .iter()
                    .map(|[a, b]| {
                        let mut out = vec![<R::Wide>::zeroed(); len + MAX_LANES];
                        let (a, b, next) = (&a[..len], &b[..len], [&[][..]; 2]);
                        level.run(Prepare::<R, T> { a, b, next, out: &mut out });
                        out
                    })
                    .collect();
                let rows: Vec<&[R::Wide]> = widened.iter().map(|row| &row[..]).collect();
                for (stream, from) in [(false, 0), (true, 0), (true, 1), (true, 5), (true, 40)] {
                    let mut memory = vec![fill; N * pitch];
                    let mut chunks = memory.chunks_mut(pitch);
                    level.run(Dense::<R, N> {
                        rows: &rows,
                        first: from_fn(|k| k / each),
                        taps: from_fn(|k| taps_of(k, width)),
                        width,
                        step,
                        finish,
                        stream,
                        next: &[],
                        outs: from_fn(|r| match chunks.next() {
                            Some(chunk) if r < N / each => OutRow::new(&mut chunk[from..from + n]),
                            _ => OutRow::none(O::TYPE),
                        }),
                    });
                    let rows = memory.chunks(pitch).take(N / each);
                    let rows = rows.flat_map(|row| &row[from..from + n]);
                    let written: Vec<O> = rows.copied().collect();
                    let case = format!("{level}, {N} sums, {n} samples from {from}, width {width}");
                    assert!(expected.contains(&written), "{case}");
                    for (i, v) in memory.iter().enumerate() {
                        let written = i / pitch < N / each;
                        let inside = written && (from..from + n).contains(&(i % pitch));
                        assert!(inside || *v == fill, "{case}");
                    }
                }
            }
        }
    }

    /// The sums of each row, added up, and the offset.
    fn by_rows<T: Copy + Into<f32>>(met: &[([T; 2], f32)], width: usize) -> f32 {
        let row = |row: &[([T; 2], f32)]| {
            row.iter().fold(0.0, |sum: f32, ([x, _], tap)| sum + (*x).into() * tap)
        };
        met.chunks(width).map(row).fold(0.0, |total, sum| total + sum) + OFFSET
    }

    fn fused(met: &[([f32; 2], f32)], width: usize) -> f32 {
        let row = |row: &[([f32; 2], f32)]| {
            row.iter().fold(0.0, |sum: f32, ([x, _], tap)| x.mul_add(*tap, sum))
        };
        met.chunks(width).map(row).fold(0.0, |total, sum| total + sum) + OFFSET
    }

    fn whole<T: Copy + Into<i32>>(met: &[([T; 2], i32)]) -> f64 {
        let sum: i32 = met.iter().map(|([x, _], tap)| (*x).into() * tap).sum();
        f64::from((FIXED.start + sum) >> FIXED.shift)
    }

    #[test]
    fn floats_are_added_row_by_row() {
        let taps: Vec<f32> = shorts(50, 0).map(|v| f32::from(v) / 7e4).collect();
        let of = |v: i16| f32::from(v) / 3.0;
        check::<F32, f32, f32, 1>(of, &taps, Post::None, &[|met, w| by_rows(&met[0], w)]);
        check::<F32, f32, f32, 2>(of, &taps, Post::None, &[|met, w| by_rows(&met[0], w)]);
        check::<F32, f32, f32, 4>(of, &taps, Post::Abs, &[|met, w| by_rows(&met[0], w).abs()]);
        let bytes: Twin<F32, u8, u8> = |met, w| (by_rows(&met[0], w) + 0.5).floor() as u8;
        check::<F32, u8, u8, 4>(|v| v as u8, &taps, Post::None, &[bytes]);
        let magnitude: Twin<F32, f32, f32> = |met, w| {
            let (x, y) = (by_rows(&met[0], w), by_rows(&met[1], w));
            (x * x + y * y).sqrt()
        };
        check::<F32, f32, f32, 4>(of, &taps, Post::Magnitude, &[magnitude]);
        // With no level that fuses, the sums are those that are not fused.
        let either: [Twin<F32Fused, f32, f32>; 2] =
            [|met, w| fused(&met[0], w), |met, w| by_rows(&met[0], w)];
        check::<F32Fused, f32, f32, 4>(of, &taps, Post::None, &either);
        let exact: Vec<f64> = shorts(50, 0).map(|v| f64::from(v) / 7e4).collect();
        let double: Twin<F64, f32, f32> = |met, _| {
            let sum = met[0].iter().fold(0.0, |sum, ([x, _], tap)| sum + f64::from(*x) * tap);
            (sum + f64::from(OFFSET)) as f32
        };
        check::<F64, f32, f32, 2>(of, &exact, Post::None, &[double]);
    }

    #[test]
    fn integers_are_exact() {
        let taps: Vec<i32> = shorts(50, 0).map(|v| i32::from(v >> 8)).collect();
        // Not so large that most results are beyond the type's range.
        let small: Vec<i32> = taps.iter().map(|tap| tap >> 5).collect();
        let words: Twin<I32, u16, u16> = |met, _| u16::from_f64(whole(&met[0]));
        check::<I32, u16, u16, 4>(|v| v as u16, &small, Post::None, &[words]);
        let bytes: Twin<I32, u8, i16> = |met, _| i16::from_f64(whole(&met[0]));
        check::<I32, u8, i16, 1>(|v| v as u8, &taps, Post::None, &[bytes]);
        let pairs = |(a, b): (i16, i16)| i32::from(a >> 9) & 0xffff | i32::from(b >> 9) << 16;
        let pairs: Vec<i32> = shorts(50, 0).zip(shorts(50, 20)).map(pairs).collect();
        let paired: Twin<I16Pairs, u8, i16> = |met, _| {
            let both = |([a, b], tap): &([u8; 2], i32)| {
                i32::from(*a) * i32::from(*tap as i16) + i32::from(*b) * (tap >> 16)
            };
            let sum: i32 = met[0].iter().map(both).sum();
            i16::from_f64(f64::from((FIXED.start + sum) >> FIXED.shift))
        };
        check::<I16Pairs, u8, i16, 2>(|v| v as u8, &pairs, Post::None, &[paired]);
        let small: Vec<i16> = shorts(50, 0).map(|v| v >> 12).collect();
        let narrow: Twin<I16, u8, u8> = |met, _| {
            let sum: i32 = met[0].iter().map(|([x, _], tap)| i32::from(*x) * i32::from(*tap)).sum();
            u8::from_f64(f64::from((FIXED.start + sum) as i16 >> FIXED.shift))
        };
        check::<I16, u8, u8, 4>(|v| v as u8, &small, Post::None, &[narrow]);
    }
}
