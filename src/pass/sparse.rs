//! Sparse passes: 2D filters that read rows at some places only. Zeros are not multiplied, and runs of equal taps take few
//! reads. [`Sparse`] is for floats: its rows are samples, and means of 2, 4, 8 … neighbours. [`SparseSums`] is for integers,
//! whose sums may be kept from row to row: then it reads only where taps change.

use super::datapath::{Datapath, I16Pairs, I32, finish_scaled};
use super::{Finish, OutRow, alike, with_sample};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, passed_on};

/// A place that is read for each output sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Read {
    /// Rows from the first one.
    pub row: u32,
    /// Pixels from the window's first column.
    pub column: u32,
    /// Which of the rows that lie behind each other.
    pub level: u32,
}

/// How a datapath's accumulators are kept as 32-bit sums, of as many samples, in an order of their own.
///
/// # Safety
///
/// Pointers must be good for [`lanes`](Datapath::lanes) elements.
pub trait Kept: Datapath {
    unsafe fn read<L: Lanes>(l: L, p: *const i32) -> Self::Acc<L>;
    unsafe fn keep<L: Lanes>(l: L, sums: Self::Acc<L>, p: *mut i32);
    /// Writes samples that are the sums times the finish's unit.
    unsafe fn scaled<L: Lanes, O: SampleLanes>(
        l: L,
        sums: Self::Acc<L>,
        finish: &Finish,
        p: *mut O,
    );
}

impl Kept for I32 {
    passed_on! {
        fn read(l, p: *const i32) -> L::I { l.i_load(p) }
        fn keep(l, sums: L::I, p: *mut i32) { l.i_store(p, sums) }
        fn scaled[O: SampleLanes](l, sums: L::I, finish: &Finish, p: *mut O) {
            finish_scaled(l, [sums], finish, p)
        }
    }
}

impl Kept for I16Pairs {
    passed_on! {
        fn read(l, p: *const i32) -> (L::I, L::I) { (l.i_load(p), l.i_load(p.add(L::N))) }
        fn keep(l, (first, second): (L::I, L::I), p: *mut i32) {
            l.i_store(p, first);
            l.i_store(p.add(L::N), second);
        }
        fn scaled[O: SampleLanes](l, sums: (L::I, L::I), finish: &Finish, p: *mut O) {
            let (first, second) = l.in_order(sums.0, sums.1);
            finish_scaled(l, [first, second], finish, p)
        }
    }
}

/// `sums[x] += Σ_r taps[r] · rows[row_r − first][column_r·step + x]`, and `out[x]` the sum times the finish's unit. Reads
/// whose rows come before `first` are left out.
pub struct SparseSums<'a, R: Kept, T> {
    /// Rows of the source, with slack: each has `sums.len()` samples from its last read on.
    pub rows: &'a [&'a [T]],
    /// By rows; as many of each as the arithmetic takes at once.
    pub reads: &'a [Read],
    /// A tap for each read, or for each two.
    pub taps: &'a [R::Tap],
    /// The row that is the first of `rows`.
    pub first: usize,
    /// Elements from one pixel to the next.
    pub step: usize,
    /// Sums of as many samples as are written, and at most 2·`MAX_LANES` more: whole vectors.
    pub sums: &'a mut [i32],
    /// Whether sums begin with the finish's start.
    pub begins: bool,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Exactly the samples to write, if any.
    pub out: Option<OutRow<'a>>,
}

impl<R: Kept, T: SampleLanes> Job for SparseSums<'_, R, T> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let lanes = R::lanes::<L>();
        let n = self.sums.len();
        let skip = self.reads.partition_point(|read| (read.row as usize) < self.first);
        self.reads = &self.reads[skip..];
        self.taps = &self.taps[skip / R::PAIRED..];
        assert!(n.is_multiple_of(lanes) && skip.is_multiple_of(R::PAIRED));
        assert!(self.reads.len() == self.taps.len() * R::PAIRED);
        for read in self.reads {
            let row = self.rows[read.row as usize - self.first];
            assert!(row.len() >= read.column as usize * self.step + n);
        }
        let written = self.out.as_ref().map_or(0, OutRow::len);
        assert!(written <= n);
        // SAFETY: `sums` has n elements, whole vectors, and so have rows from each read on.
        unsafe {
            let mut x = 0;
            while x + 2 * lanes <= n {
                self.block::<L, 2>(l, x);
                x += 2 * lanes;
            }
            if x < n {
                self.block::<L, 1>(l, x);
            }
        }
        let (Some(out), sums) = (&mut self.out, self.sums.as_ptr()) else { return };
        let (sample, finish) = (out.sample(), *self.finish);
        // SAFETY: of the samples that are written, whole vectors go to `out`, and the last ones to `whole`.
        unsafe {
            with_sample!(sample, O => {
                let (mut x, to) = (0, out.as_mut_ptr().cast::<O>());
                while x + lanes <= written {
                    R::scaled(l, R::read(l, sums.add(x)), &finish, to.add(x));
                    x += lanes;
                }
                if x < written {
                    let mut whole = [O::default(); 2 * MAX_LANES];
                    R::scaled(l, R::read(l, sums.add(x)), &finish, whole.as_mut_ptr());
                    out.end_from(x, &whole);
                }
            });
        }
    }
}

impl<R: Kept, T: SampleLanes> SparseSums<'_, R, T> {
    /// What a read finds for sample x.
    ///
    /// # Safety
    ///
    /// The read's row must be there, and have x elements from it on.
    #[inline(always)]
    unsafe fn place(&self, read: &Read, x: usize) -> *const T {
        // SAFETY: as promised by the caller.
        unsafe {
            let row = self.rows.get_unchecked(read.row as usize - self.first);
            row.as_ptr().add(read.column as usize * self.step + x)
        }
    }

    /// Adds to U vectors of sums, from sample x on.
    ///
    /// # Safety
    ///
    /// `sums` must have x + U·lanes elements, and each row as many from each of its reads on.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(&mut self, l: L, x: usize) {
        let lanes = R::lanes::<L>();
        let sums = self.sums.as_mut_ptr();
        let mut total = [R::start(l, self.finish.fixed[0].start); U];
        // SAFETY: as promised by the caller.
        unsafe {
            if !self.begins {
                for (u, total) in total.iter_mut().enumerate() {
                    *total = R::read(l, sums.add(x + u * lanes));
                }
            }
            for (reads, tap) in self.reads.chunks_exact(R::PAIRED).zip(self.taps) {
                let tap = R::splat(l, *tap);
                let (a, b) = (self.place(&reads[0], x), self.place(&reads[R::PAIRED - 1], x));
                for (u, total) in total.iter_mut().enumerate() {
                    let samples = R::load(l, a.add(u * lanes), b.add(u * lanes));
                    *total = R::step(l, *total, samples, tap);
                }
            }
            for (u, total) in total.iter().enumerate() {
                R::keep(l, *total, sums.add(x + u * lanes));
            }
        }
    }
}

/// `outs[o][x] = finish(Σ_r taps[r] · rows[o + row_r][level_r·pitch + column_r·step + x])`. Reads are summed in groups
/// before they join the total, which keeps rounding small. Output rows are made in turns, some vectors of each, while
/// what they read is in the first cache.
pub struct Sparse<'a, 'o, R: Datapath> {
    /// Prepared rows.
    pub rows: &'a [&'a [R::Wide]],
    pub reads: &'a [Read],
    /// Where the reads of each group end.
    pub groups: &'a [usize],
    /// A tap for each read.
    pub taps: &'a [R::Tap],
    /// Elements from one pixel to the next.
    pub step: usize,
    /// Elements from one level of a row to the next.
    pub pitch: usize,
    /// From accumulator to sample.
    pub finish: &'a Finish,
    /// Exactly the samples to write, rows of one length and type.
    pub outs: &'a mut [OutRow<'o>],
}

impl<R: Datapath> Job for Sparse<'_, '_, R> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let lanes = R::wide_lanes::<L>();
        let (sample, n) = alike(self.outs);
        assert!(self.groups.is_sorted() && self.groups.last() == Some(&self.reads.len()));
        assert!(self.taps.len() == self.reads.len());
        for o in 0..self.outs.len() {
            for read in self.reads {
                let row = self.rows[o + read.row as usize];
                assert!(row.len() >= self.at(read) + n.max(lanes));
            }
        }
        let mut whole = [0u32; MAX_LANES];
        let mut x = 0;
        while x < n {
            let u = if x + 4 * lanes <= n { 4 } else { 1 };
            let at = x.min(n.max(lanes) - lanes);
            for o in 0..self.outs.len() {
                let out = self.outs[o].as_mut_ptr();
                // SAFETY: every read lies n elements, and at least a vector, before its row's end. Blocks of four vectors
                // end at n or before, and so do single ones; a row shorter than a vector is written to `whole`.
                unsafe {
                    match u {
                        4 => self.block::<L, 4>(l, o, x, sample, out.add(x * sample.bytes())),
                        _ if n < lanes => {
                            self.block::<L, 1>(l, o, 0, sample, whole.as_mut_ptr().cast());
                        }
                        _ => self.block::<L, 1>(l, o, at, sample, out.add(at * sample.bytes())),
                    }
                }
                if n < lanes {
                    self.outs[o].copy_from(&whole);
                }
            }
            x += u * lanes;
        }
    }
}

impl<R: Datapath> Sparse<'_, '_, R> {
    /// The element that a read finds for the first sample.
    #[inline(always)]
    fn at(&self, read: &Read) -> usize {
        read.level as usize * self.pitch + read.column as usize * self.step
    }

    /// U vectors of output row `o` from sample x on.
    ///
    /// # Safety
    ///
    /// Each row must have x + U·lanes elements from each of its reads on; `out` must be good for U·lanes of the output's
    /// samples.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(
        &self,
        l: L,
        o: usize,
        x: usize,
        sample: SampleType,
        out: *mut u8,
    ) {
        let lanes = R::wide_lanes::<L>();
        let mut total = [R::wide_start(l, self.finish.fixed[0].start); U];
        let mut first = 0;
        for &end in self.groups {
            let mut sums = if R::ROW_SUMS { [R::wide_start(l, 0); U] } else { total };
            for (read, tap) in self.reads[first..end].iter().zip(&self.taps[first..end]) {
                let tap = R::splat(l, *tap);
                // SAFETY: as promised by the caller.
                unsafe {
                    let row = self.rows.get_unchecked(o + read.row as usize);
                    let p = row.as_ptr().add(self.at(read) + x);
                    for (u, sum) in sums.iter_mut().enumerate() {
                        *sum = R::wide_step(l, *sum, R::wide_load(l, p.add(u * lanes)), tap);
                    }
                }
            }
            first = end;
            for (total, sum) in total.iter_mut().zip(sums) {
                *total = if R::ROW_SUMS { R::wide_add(l, *total, sum) } else { sum };
            }
        }
        let mut sums = [[total[0]; 1]; U];
        for (sum, total) in sums.iter_mut().zip(total) {
            *sum = [total];
        }
        // SAFETY: as promised by the caller.
        unsafe {
            with_sample!(sample, O => {
                R::wide_finish(l, sums, self.finish, false, out.cast::<O>());
            });
        }
    }
}

/// Means of 2, 4, 8 … neighbours, `step` elements apart: level k + 1 of a row is level k and the same further on, halved.
/// A mean does not overflow. A level's last elements, whose neighbours are not there, are 0.
pub struct Doubled<'a> {
    /// All levels, one behind the other; the first is filled in.
    pub levels: &'a mut [f32],
    /// Elements from one level to the next.
    pub pitch: usize,
    /// Elements from one pixel to the next.
    pub step: usize,
}

impl Job for Doubled<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { mut levels, pitch, step } = self;
        let mut apart = step;
        while levels.len() > pitch {
            let (from, rest) = levels.split_at_mut(pitch);
            let n = pitch.saturating_sub(apart);
            let (means, behind) = rest[..pitch].split_at_mut(n);
            for (mean, (a, b)) in means.iter_mut().zip(from.iter().zip(&from[pitch - n..])) {
                *mean = 0.5 * a + 0.5 * b;
            }
            behind.fill(0.0);
            (levels, apart) = (rest, 2 * apart);
        }
    }
}
