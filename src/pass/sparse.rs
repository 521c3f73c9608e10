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
            while x + 4 * lanes <= n {
                self.block::<L, 4>(l, x);
                x += 4 * lanes;
            }
            while x < n {
                self.block::<L, 1>(l, x);
                x += lanes;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::shorts;
    use crate::pass::{F32, Fixed};
    use crate::sample::Sample;
    use crate::simd::Level;

    const LENGTHS: [usize; 9] = [0, 1, 7, 16, 31, 32, 63, 130, 300];
    const STEP: usize = 3;

    fn reads(places: &[[u32; 3]]) -> Vec<Read> {
        places.iter().map(|&[row, column, level]| Read { row, column, level }).collect()
    }

    #[test]
    fn floats_are_added_group_by_group() {
        let reads = &reads(&[[2, 0, 0], [0, 5, 1], [1, 1, 2], [3, 2, 0], [3, 7, 1], [0, 0, 2]])[..];
        let taps: Vec<f32> = shorts(reads.len(), 0).map(|v| f32::from(v) / 7e3).collect();
        let (groups, pitch) = (&[2, 3, 6][..], 400);
        let sources: Vec<Vec<f32>> = (1..7)
            .map(|seed| shorts(3 * pitch, seed).map(|v| f32::from(v) / 3.0).collect())
            .collect();
        let rows: Vec<&[f32]> = sources.iter().map(|row| &row[..]).collect();
        let finish = &Finish { offset: 2.5, ..Finish::PLAIN };
        let result = |o: usize, x: usize| {
            let (mut total, mut first) = (0.0, 0);
            for &end in groups {
                let mut sum = 0.0;
                for (read, tap) in reads[first..end].iter().zip(&taps[first..end]) {
                    let at = read.level as usize * pitch + read.column as usize * STEP + x;
                    sum += rows[o + read.row as usize][at] * tap;
                }
                (total, first) = (total + sum, end);
            }
            total + 2.5
        };
        for (level, n) in Level::available().iter().flat_map(|l| LENGTHS.map(|n| (l, n))) {
            let mut memory = [vec![0.0; n + 40], vec![0.0; n + 40], vec![0.0; n + 40]];
            level.run(Sparse::<F32> {
                rows: &rows,
                reads,
                groups,
                taps: &taps,
                step: STEP,
                pitch,
                finish,
                outs: &mut memory.each_mut().map(|out| OutRow::new(&mut out[3..3 + n])),
            });
            for (o, out) in memory.iter().enumerate() {
                for (x, v) in out[3..3 + n].iter().enumerate() {
                    assert_eq!(*v, result(o, x), "{level}, sample {x} of {n}, row {o}");
                }
                assert!(out[..3].iter().chain(&out[3 + n..]).all(|v| *v == 0.0), "{level}, {n}");
            }
        }
    }

    /// Sums that begin and are then kept, from which results are made at every level.
    fn check<R: Kept, T: SampleLanes + Into<i32>, O: Sample>(
        of: fn(i16) -> T,
        taps: &[R::Tap],
        each: &[i32],
        finish: &Finish,
        result: impl Fn(i32) -> O,
    ) {
        let all = &reads(&[[0, 4, 0], [0, 9, 0], [1, 0, 0], [1, 1, 0], [2, 3, 0], [2, 20, 0]])[..];
        let sources: Vec<Vec<T>> = (1..4).map(|seed| shorts(400, seed).map(of).collect()).collect();
        let rows: Vec<&[T]> = sources.iter().map(|row| &row[..]).collect();
        for (level, n) in Level::available().iter().flat_map(|l| LENGTHS.map(|n| (l, n))) {
            let mut sums = vec![-1; n.next_multiple_of(MAX_LANES)];
            let mut memory = vec![O::from_f64(77.0); n + 40];
            for first in [0, 1] {
                level.run(SparseSums::<R, T> {
                    rows: &rows[first..],
                    reads: all,
                    taps,
                    first,
                    step: STEP,
                    sums: &mut sums,
                    begins: first == 0,
                    finish,
                    out: (first == 1).then(|| OutRow::new(&mut memory[3..3 + n])),
                });
            }
            for (x, v) in memory[3..3 + n].iter().enumerate() {
                let mut sum = finish.fixed[0].start;
                for (read, tap) in all.iter().zip(each) {
                    // Reads of rows that were there the second time count twice.
                    let times = if read.row > 0 { 2 } else { 1 };
                    let sample = rows[read.row as usize][read.column as usize * STEP + x];
                    sum += times * tap * sample.into();
                }
                assert_eq!(*v, result(sum), "{level}, sample {x} of {n}");
            }
            let mut others = memory[..3].iter().chain(&memory[3 + n..]);
            assert!(others.all(|v| *v == O::from_f64(77.0)), "{level}, {n}");
        }
    }

    #[test]
    fn integer_sums_are_kept() {
        let unit = 1.0 / 700.0;
        let fixed = Fixed { start: 12345, unit, ..Fixed::default() };
        let finish = &Finish { fixed: [fixed; 2], offset: 2.5, most: 1e6, ..Finish::PLAIN };
        let rounded = |sum: i32| f64::from((sum as f32 * unit + 3.0).floor());
        let each: Vec<i32> = shorts(6, 0).map(|v| i32::from(v >> 5)).collect();
        check::<I32, u16, u16>(|v| v as u16, &each, &each, finish, |v| u16::from_f64(rounded(v)));
        check::<I32, u8, f32>(|v| v as u8, &each, &each, finish, |v| v as f32 * unit + 2.5);
        let pairs: Vec<i32> = each.chunks(2).map(|pair| pair[0] & 0xffff | pair[1] << 16).collect();
        check::<I16Pairs, u8, u8>(|v| v as u8, &pairs, &each, finish, |v| u8::from_f64(rounded(v)));
        check::<I16Pairs, u8, f32>(|v| v as u8, &pairs, &each, finish, |v| v as f32 * unit + 2.5);
    }

    #[test]
    fn means_are_of_neighbours() {
        let pitch = 50;
        let source: Vec<f32> = shorts(pitch, 0).map(|v| f32::from(v) / 3.0).collect();
        for level in Level::available() {
            let mut levels = source.clone();
            levels.resize(4 * pitch, f32::NAN);
            level.run(Doubled { levels: &mut levels, pitch, step: STEP });
            assert_eq!(levels[..pitch], source[..]);
            for at in pitch..4 * pitch {
                let (k, x) = (at / pitch, at % pitch);
                let apart = STEP << (k - 1);
                let row = &levels[(k - 1) * pitch..k * pitch];
                let mean = row.get(x + apart).map_or(0.0, |far| 0.5 * row[x] + 0.5 * far);
                assert_eq!(levels[at], mean, "{level}, element {x} of level {k}");
            }
        }
    }
}
