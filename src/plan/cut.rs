//! How a segment's output is cut: into chunks, which workers take, and a chunk into strips, which are walked tile by
//! tile. A cut is chosen by a model of its cost; results do not depend on it.

use super::filter::ROW;
use super::segment::Segment;
use super::{BLOCK_ROWS, FilterStage, Pass, Stage};
use crate::view::{Rect, Shape};
use std::ops::Range;

/// Work, in multiplications, below which a second thread costs more than it brings.
pub(super) const INLINE_WORK: u64 = 1 << 20;
/// The same of each further one.
const WORKER_WORK: u64 = INLINE_WORK / 4;
/// Chunks for each worker, at most: so that none waits long for the last.
const CHUNKS_EACH: usize = 8;
/// Workers that a cut is made for, at most: more would search long.
const MOST_WORKERS: usize = 1024;
/// What more chunks, which are as good for that, may cost.
const LARGER: f64 = 1.02;
/// What chunks beside each other cost: lists of their rows are made, and rows are shorter.
const ACROSS: f64 = 1.05;
/// Bytes of a row of a chunk, at least.
const ROW_BYTES: usize = 256;
/// Bytes of a cache line: two workers should not write one.
const LINE: usize = 64;
/// What stages before the last cost, as a share of all: about, since these are different passes.
const BEFORE: f64 = 0.7;

/// How a rectangle of an output is cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    /// Chunks across and down, or fewer where there are not as many groups.
    pub chunks: [usize; 2],
    /// Columns and rows of a group: a chunk begins with one, counted from the image's first.
    pub unit: [usize; 2],
}

impl Cut {
    /// Columns, and rows, of the chunks of a rectangle.
    pub fn of(self, rect: Rect) -> [impl Iterator<Item = Range<usize>> + Clone; 2] {
        let Self { chunks, unit } = self;
        [
            parts(rect.x..rect.x + rect.width, unit[0], chunks[0]),
            parts(rect.y..rect.y + rect.height, unit[1], chunks[1]),
        ]
    }
}

/// At most `n` parts of whole groups of `unit`, whose numbers differ by one at most. The first and the last group may
/// lie in the range in part.
pub(crate) fn parts(
    all: Range<usize>,
    unit: usize,
    n: usize,
) -> impl Iterator<Item = Range<usize>> + Clone {
    let (first, end) = (all.start / unit, all.end.div_ceil(unit));
    let (groups, n) = (end - first, n.clamp(1, end - first));
    let edge = move |i: usize| ((first + groups * i / n) * unit).clamp(all.start, all.end);
    (0..n).map(move |i| edge(i)..edge(i + 1))
}

impl Segment {
    /// What it costs for the whole image, about: its multiplications, and its samples, read and written.
    pub fn work(&self) -> u64 {
        self.work_of(self.output.rect())
    }

    /// The same for a part of its output.
    fn work_of(&self, rect: Rect) -> u64 {
        // A sample read or written counts as so many multiplications.
        const SAMPLE: u64 = 4;
        let pixels = (rect.width as u64).saturating_mul(rect.height as u64);
        if let Some(filter) = self.alone() {
            let samples = pixels.saturating_mul(filter.input.channels as u64);
            return samples.saturating_mul(filter.multiplications() as u64);
        }
        let samples = |shape: Shape| (shape.row() * shape.height) as u64;
        let samples = samples(self.input) + samples(self.output);
        self.multiplications.saturating_add(samples.saturating_mul(SAMPLE))
    }

    /// How many of at most `most` workers are worth their start for a part of its output.
    pub fn workers(&self, rect: Rect, most: usize) -> usize {
        let work = if most == 1 { 0 } else { self.work_of(rect) };
        if work < INLINE_WORK {
            return 1;
        }
        most.min(usize::try_from(work / WORKER_WORK).unwrap_or(most))
    }

    /// The cut of a part of its output for so many workers: of those that cost the least, the one of most chunks.
    pub fn cut(&self, rect: Rect, workers: usize) -> Cut {
        let unit = self.unit(rect, workers);
        if workers <= 1 {
            return Cut { chunks: [1, 1], unit };
        }
        let workers = workers.min(MOST_WORKERS);
        let across = match self.stages.iter().any(|stage| stage.filter().is_some()) {
            true => workers.min(rect.width * self.pixel() / ROW_BYTES).max(1),
            false => 1,
        };
        let most = workers * CHUNKS_EACH;
        let starts = self.starts();
        let cuts = (1..=across).flat_map(|x| (1..=most.div_ceil(x)).map(move |y| [x, y]));
        let costed = cuts.map(|chunks| {
            let cut = Cut { chunks, unit };
            let share = self.share(rect, cut, workers, starts);
            (share * if chunks[0] > 1 { ACROSS } else { 1.0 }, cut)
        });
        let least = costed.clone().map(|(cost, _)| cost).fold(f64::INFINITY, f64::min);
        let best = costed.filter(|(cost, _)| *cost <= LARGER * least);
        let best = best.max_by_key(|(_, Cut { chunks: [x, y], .. })| x * y);
        best.map_or(Cut { chunks: [1, 1], unit }, |(_, cut)| cut)
    }

    /// What the worker with most to do does of a cut, in pixels of the output that cost as much; `starts` are those of
    /// the segment.
    fn share(&self, rect: Rect, cut: Cut, workers: usize, starts: [f64; 2]) -> f64 {
        // Parts of an axis, and the longest of them.
        let longest = |start: usize, len: usize, unit: usize, n: usize| {
            let groups = (start + len).div_ceil(unit) - start / unit;
            (n.min(groups), groups.div_ceil(n) * unit)
        };
        let Cut { chunks, unit } = cut;
        let (across, mut width) = longest(rect.x, rect.width, unit[0], chunks[0]);
        let (down, mut height) = longest(rect.y, rect.height, unit[1], chunks[1]);
        // A block of transforms costs the same whatever is used of it.
        if !matches!(self.alone().map(|filter| &filter.pass), Some(Pass::Fft(_))) {
            (width, height) = (width.min(rect.width), height.min(rect.height));
        }
        let tiles = width.div_ceil(self.tile);
        let strips = self.strips(height);
        let columns = width as f64 + tiles as f64 * starts[0];
        let rows = height as f64 + strips as f64 * starts[1];
        columns * rows * usize::div_ceil(across * down, workers) as f64
    }

    /// What is made anew at the start of each tile, and of each strip, in columns and rows of the output that cost as
    /// much.
    fn starts(&self) -> [f64; 2] {
        match self.alone() {
            Some(filter) => filter.starts(),
            None => {
                let [x, y] = [0, 1].map(|axis| BEFORE * self.beyond(axis) as f64);
                // Each filter has rows of its own.
                let pixels = self.stages.iter().filter_map(Stage::filter).map(FilterStage::pixel);
                let (rows, pixel) = (ROW * pixels.clone().count() as f64, pixels.sum::<f64>());
                [x + rows / pixel.max(1.0), y]
            }
        }
    }

    /// Strips of a chunk of so many rows.
    pub fn strips(&self, height: usize) -> usize {
        height.div_ceil(self.strip)
    }

    /// Bytes of a pixel of its output.
    fn pixel(&self) -> usize {
        self.output.channels * self.stages.last().map_or(1, |stage| stage.writes().bytes())
    }

    /// Columns and rows of its output that are best made together.
    fn unit(&self, rect: Rect, workers: usize) -> [usize; 2] {
        let [x, y] = match self.alone() {
            Some(filter) => match filter.pass {
                Pass::Fft(_) => filter.block(),
                _ => [1, if self.strip < BLOCK_ROWS { 1 } else { BLOCK_ROWS }],
            },
            // Of few tiles, whole ones would be more work for one worker than for another.
            None if rect.height / CHUNKS_EACH / self.rows < workers => [1, 1],
            None => [1, self.rows.min(self.strip)],
        };
        let pixel = self.pixel();
        // Lines of the output, of as few pixels as have whole ones.
        let whole = (1..=LINE).find(|n| (n * pixel).is_multiple_of(LINE)).unwrap_or(1);
        [if x > 1 { x } else { whole }, y]
    }
}

#[cfg(test)]
mod tests {
    use super::{Shape, parts};
    use crate::filter::{Filter, Method};
    use crate::kernel::Kernel;
    use crate::layer::Chain;
    use crate::plan::{AnyPlan, Pass};
    use crate::sample::SampleType::{self, F32, U8, U16};

    type IsPass = fn(&Pass) -> bool;

    #[test]
    fn parts_are_all_of_a_range_and_as_equal_as_can_be() {
        for start in [0, 1, 5, 64] {
            for len in 1..=100 {
                for n in 1..=len + 2 {
                    for unit in [1, 3, 4, 64] {
                        let all = start..start + len;
                        let parts: Vec<_> = parts(all.clone(), unit, n).collect();
                        let groups = all.end.div_ceil(unit) - start / unit;
                        assert_eq!(parts.len(), n.min(groups));
                        assert_eq!((parts[0].start, parts[parts.len() - 1].end), (start, all.end));
                        assert!(parts.windows(2).all(|two| two[0].end == two[1].start));
                        assert!(parts[1..].iter().all(|part| part.start % unit == 0));
                        let longest = parts.iter().map(|part| part.len()).max().unwrap();
                        let mean = len.div_ceil(parts.len());
                        assert!(longest < mean + 2 * unit && parts.iter().all(|p| !p.is_empty()));
                    }
                }
            }
        }
    }

    #[test]
    fn any_number_of_workers_is_answered() {
        for shape in [Shape::new(1, 1, 1), Shape::new(3, 70_000, 4), Shape::new(9000, 5000, 1)] {
            let chain = Chain::of_filter(&Filter::new(Kernel::box_(31, 31).unwrap()));
            let plan = AnyPlan::new(&chain, shape, (U8, U8)).unwrap();
            for workers in [0, 1, 5, 1024, usize::MAX] {
                let chunks = plan.chunks(workers);
                let pixels = chunks.iter().map(|rect| rect.width * rect.height).sum::<usize>();
                assert_eq!(pixels, shape.width * shape.height);
                assert!(workers > 1 || chunks.len() == 1);
            }
        }
    }

    /// The worker with most to do, its starts included, does at most 1.15 of its part of what one alone does. Two rates
    /// make low rows anew for each chunk, from all rows of the window, rows that come first are made anew for 301 taps, and
    /// transforms come in whole blocks.
    #[test]
    fn many_workers_share_large_images() {
        let gaussian = |sigma| Filter::new(Kernel::gaussian(sigma).unwrap());
        let two = |sigma| gaussian(sigma).method(Method::Separable);
        let square = |n| Filter::new(Kernel::box_(n, n).unwrap());
        let disc = |r| Filter::new(Kernel::disc(r).unwrap());
        let any = |n: usize| {
            let taps = (0..n * n).map(|i| f64::from((i * i % 97) as u32) / (48 * n * n) as f64);
            Filter::new(Kernel::new(n, n, taps.collect()).unwrap())
        };
        let unsharp = |sigma| Filter::new(Kernel::unsharp(sigma, 1.0).unwrap());
        let dog = Filter::new(Kernel::dog(3.0, 1.6).unwrap());
        let motion = Filter::new(Kernel::motion(31.0, 30.0).unwrap());
        let cases: [(Filter, SampleType, usize, IsPass); 25] = [
            (gaussian(0.8), U8, 1, |p| matches!(p, Pass::Separable(_) | Pass::Stencil(_))),
            (gaussian(2.0), U8, 1, |p| matches!(p, Pass::Separable(_))),
            (gaussian(2.0), U8, 3, |p| matches!(p, Pass::Separable(_))),
            (gaussian(2.0), F32, 1, |p| matches!(p, Pass::Separable(_))),
            (two(10.0), U8, 1, |p| matches!(p, Pass::Separable(_))),
            (two(10.0), U16, 3, |p| matches!(p, Pass::Separable(_))),
            (two(10.0), F32, 1, |p| matches!(p, Pass::Separable(_))),
            (two(50.0), U8, 1, |p| matches!(p, Pass::RowFirst(_))),
            (square(3), U8, 1, |_| true),
            (square(15), U8, 1, |p| matches!(p, Pass::Running(_))),
            (square(101), U8, 1, |p| matches!(p, Pass::Running(_))),
            (square(101), U8, 3, |p| matches!(p, Pass::Running(_))),
            (square(101), U16, 1, |p| matches!(p, Pass::Running(_))),
            (square(101), F32, 1, |p| matches!(p, Pass::Blocks(_))),
            (any(7), U8, 1, |p| matches!(p, Pass::Dense(_))),
            (any(7), F32, 3, |p| matches!(p, Pass::Dense(_))),
            (disc(15.0), U8, 1, |p| matches!(p, Pass::Runs(_))),
            (disc(31.0), U8, 3, |p| matches!(p, Pass::Runs(_))),
            (disc(7.0), F32, 1, |_| true),
            (motion, U8, 1, |p| matches!(p, Pass::Runs(_))),
            (unsharp(3.0), U8, 1, |p| matches!(p, Pass::WithIdentity(..))),
            (dog, U8, 1, |p| matches!(p, Pass::Terms(_))),
            (gaussian(10.0), U8, 1, |p| matches!(p, Pass::Multirate(_))),
            (gaussian(25.0), U8, 1, |p| matches!(p, Pass::Multirate(_))),
            (any(63), U8, 1, |p| cfg!(not(feature = "fft")) || matches!(p, Pass::Fft(_))),
        ];
        for (filter, sample, channels, is_pass) in cases {
            for (width, height) in [(3840, 2160), (7680, 4320)] {
                let shape = Shape::new(width, height, channels);
                let plan =
                    AnyPlan::new(&Chain::of_filter(&filter), shape, (sample, sample)).unwrap();
                let [segment] = &plan.segments[..] else { panic!("one segment") };
                let pass = &segment.alone().unwrap().pass;
                assert!(is_pass(pass), "{} taps of {sample:?}", filter.kernels()[0].width());
                let rect = segment.output.rect();
                let starts = segment.starts();
                let alone = segment.share(rect, segment.cut(rect, 1), 1, starts);
                for workers in [2, 4, 8, 16, 32] {
                    assert_eq!(segment.workers(rect, workers), workers);
                    let cut = segment.cut(rect, workers);
                    let share = segment.share(rect, cut, workers, starts) * workers as f64 / alone;
                    let most = match (pass, workers) {
                        (Pass::Multirate(_), 8..) => 1.75,
                        (Pass::RowFirst(_), 8..) => 1.6,
                        (Pass::Fft(_), 32) => 1.19,
                        _ => 1.15,
                    };
                    let taps = filter.kernels()[0].width();
                    assert!(
                        share <= most,
                        "{taps} taps of {sample:?}, {shape}, {workers} workers, {cut:?}: {share:.3}"
                    );
                }
            }
        }
    }
}
