//! `Plan`: how a filter will be done, for one shape, one pair of sample types and one instruction
//! set: method, arithmetic, taps in that arithmetic's form, tiles and strips. Plain data; the
//! executor in `exec` follows it.

pub(crate) mod arithmetic;
mod chain;
mod choose;

pub use chain::ChainPlan;
pub(crate) use chain::{
    ChainCore, FilterStage, Images, MixStage, Segment, StageAlpha, Step, WindowKind, WindowStage,
};

use crate::border::Border;
use crate::error::Error;
use crate::exec::{self, Workspace};
use crate::filter::{Alpha, Filter, Method, Post};
use crate::kernel::Separation;
use crate::pass::{Finish, Nine, RowLevel, Share};
use crate::reference;
use crate::sample::{Sample, SampleType, Source};
use crate::simd::Level;
use crate::view::{AnyViewMut, Rect, Shape, View, ViewMut, check_part};
use arithmetic::{Arithmetic, Passes, Rows, Rung, Task};
pub(crate) use choose::Separations;
use choose::{check_constants, choose, may_leave, negligible, stencil};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// How a filter will be done on images of one shape, from samples `I` to samples `O`.
///
/// Plans are values: they can be printed, compared, cloned, and used for every frame of that
/// shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<I, O> {
    core: Core,
    types: PhantomData<fn(I) -> O>,
}

/// A plan without its sample types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Core {
    pub filter: Filter,
    pub input: Shape,
    pub output: Shape,
    pub types: (SampleType, SampleType),
    pub separations: Separations,
    pub work: Work,
    pub arithmetic: Arithmetic,
    pub finish: Finish,
    pub level: Level,
    /// Whether rows are widened to `f32` first, because a border's constant is no sample of the source.
    pub widened: bool,
    /// Output pixels of a tile.
    pub tile: usize,
    /// Output rows of a strip.
    pub strip: usize,
}

/// The stage that does the filtering.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// A column pass and a row pass, for each kernel.
    Separable(Vec<Passes>),
    /// A row pass, two rows at a time, then a column pass.
    RowFirst(Passes),
    /// 3×3 taps in one pass; for each kernel. All are products, or none.
    Stencil(Vec<Nine>),
    /// Running sums down and along; in 16 bits with that share of a window.
    Running(Option<Share>),
    /// Sums of windows, of rows together and of columns in levels.
    Blocks(Vec<RowLevel>),
    /// A direct 2D pass; the taps of each kernel.
    Dense(Vec<Rows>),
    /// The reference.
    Naive,
}

impl Work {
    fn method(&self) -> Method {
        match self {
            Self::Separable(_) | Self::RowFirst(_) | Self::Running(_) | Self::Blocks(_) => {
                Method::Separable
            }
            Self::Stencil(kernels) => match kernels[..] {
                [Nine::Product { .. }, ..] => Method::Separable,
                _ => Method::Dense,
            },
            Self::Dense(_) => Method::Dense,
            Self::Naive => Method::Naive,
        }
    }
}

/// Bytes that the rows of a window may take: half of a usual second-level cache. Rows as long as
/// that allows measured best, because long runs keep the hardware's prefetchers going; fitting the
/// first-level cache with shorter ones brought less than that.
const WINDOW_BYTES: usize = 512 << 10;
/// Samples that a tile has at least.
const TILE_SAMPLES: usize = 2048;
/// And where few rows of a window are read for each output row: long runs count for more than that
/// the window stays in the cache.
const LONG_TILE_SAMPLES: usize = 16384;
/// Output rows that are computed together, at most: they share most of their windows.
pub(crate) const BLOCK_ROWS: usize = 4;
/// Multiplications below which a second thread costs more than it brings.
const INLINE_WORK: usize = 1 << 20;

impl Filter {
    /// Plans this filter for images of shape `input`.
    ///
    /// A border's constant may be any number that `f32` holds. One that is no sample of the source makes the plan
    /// widen the source's rows first.
    ///
    /// Errors: an empty or too large shape, a border constant beyond `f32`, border `Valid`
    /// with an image smaller than the kernel, `Method::Separable` with a kernel that is not, alpha
    /// handling without an alpha channel, a scale or offset that is not finite.
    pub fn plan<I: Source, O: Sample>(&self, input: Shape) -> Result<Plan<I, O>, Error> {
        let core = Core::new(self, input, (I::TYPE, O::TYPE))?;
        Ok(Plan { core, types: PhantomData })
    }
}

/// How an output is cut into strips: as many as planned, of sizes as equal as can be, so that each
/// worker gets as much as the others.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// How many, or fewer where there are not enough rows.
    pub strips: usize,
    /// Rows that belong together: strips are multiples of it, except for the last.
    pub unit: usize,
}

impl Cut {
    /// The rows of the next strip, where `rows` remain.
    pub fn next(&mut self, rows: usize) -> usize {
        let strip = rows.div_ceil(self.unit).div_ceil(self.strips.max(1)) * self.unit;
        self.strips = self.strips.saturating_sub(1);
        strip
    }
}

impl Core {
    fn new(filter: &Filter, input: Shape, types: (SampleType, SampleType)) -> Result<Self, Error> {
        Self::of(filter, input, types, types == (SampleType::F32, SampleType::F32))
    }

    /// The same; whether multiply-adds may be `fused` between two `f32` images.
    fn of(
        filter: &Filter,
        input: Shape,
        types: (SampleType, SampleType),
        fused: bool,
    ) -> Result<Self, Error> {
        let output = reference::output_shape(filter, input)?;
        let (border_x, border_y) = filter.get_borders();
        let mut widened = false;
        for border in [border_x, border_y] {
            widened |= !check_constants(border, types.0)?;
        }
        let premultiplied = filter.get_alpha() == Some(Alpha::Premultiply);
        let widened = widened && !premultiplied;
        let level = filter.get_level().unwrap_or_else(Level::detect);
        let task = Task {
            filter,
            channels: input.channels,
            source: types.0,
            output: types.1,
            premultiplied,
            widened,
            level,
            fused,
            precise: false,
            chained: false,
        };
        let within = |k| Separation::within(k, may_leave(&task, k));
        let separations: Vec<_> = filter.kernels().iter().map(within).collect();
        let (work, arithmetic, finish) = choose(&task, &separations)?;
        let separations = Separations::new(separations);
        let kernel = &filter.kernels()[0];
        let prepared = premultiplied || widened;
        // A tile is wide enough that what neighbours compute twice does not count, and tiles
        // are of equal width.
        let bytes = match (&work, types.0) {
            // Widened rows take four bytes a sample, or eight.
            (Work::Dense(_), _) if arithmetic.rung == Rung::Double => 8,
            (Work::Dense(_), _) if arithmetic.rung == Rung::Words => 1,
            (Work::Dense(_), _) => 4,
            // Four for two rows.
            (Work::RowFirst(_), _) => 2,
            (_, SampleType::U8) if !prepared => 1,
            (_, SampleType::U16) if !prepared => 2,
            _ => 4,
        };
        // The window, and about as much again for a scratch row and an output row.
        let least = match work {
            Work::Running(_) | Work::Blocks(_) => LONG_TILE_SAMPLES,
            _ => TILE_SAMPLES,
        };
        let samples = (WINDOW_BYTES / (bytes * (kernel.height() + 2))).max(least);
        let most = (samples / input.channels).max(4 * kernel.width()).max(16);
        let tile = output.width.div_ceil(output.width.div_ceil(most));
        // A strip's first rows are prepared again by its neighbour: many rows to a strip.
        let strip = match work {
            Work::Running(_) | Work::RowFirst(_) => (16 * kernel.height()).max(64),
            _ => (4 * kernel.height()).clamp(64, 256),
        };
        Ok(Self {
            filter: filter.clone(),
            input,
            output,
            types,
            separations,
            work,
            arithmetic,
            finish,
            level,
            widened,
            tile,
            strip,
        })
    }

    /// Columns of the input that lie under output columns `x` and their kernels, on the endless
    /// axis.
    pub fn columns(&self, x: Range<usize>) -> Range<isize> {
        let kernel = &self.filter.kernels()[0];
        span(x, self.filter.get_borders().0, kernel.anchor().0, kernel.width())
    }

    /// Rows of the input that lie under output rows `y` and their kernels, on the endless axis.
    pub fn rows(&self, y: Range<usize>) -> Range<isize> {
        let kernel = &self.filter.kernels()[0];
        span(y, self.filter.get_borders().1, kernel.anchor().1, kernel.height())
    }

    /// The row of the image that stands for row `v` of the endless axis; `None` is the constant.
    pub fn image_row(&self, v: isize) -> Option<usize> {
        self.filter.get_borders().1.map(v, self.input.height)
    }

    /// The part of the input that an output rectangle needs.
    pub fn input_region(&self, rect: Rect) -> Rect {
        let (border_x, border_y) = self.filter.get_borders();
        let x = reach(border_x, self.columns(rect.x..rect.x + rect.width), self.input.width);
        let y = reach(border_y, self.rows(rect.y..rect.y + rect.height), self.input.height);
        Rect::new(x.start, y.start, x.len(), y.len())
    }

    /// Rows in the window of as many output rows as are computed together.
    pub fn window_rows(&self) -> usize {
        self.filter.kernels()[0].height() + BLOCK_ROWS - 1
    }

    fn multiplications(&self) -> usize {
        let kernels = self.filter.kernels();
        match self.work.method() {
            Method::Separable => kernels.iter().map(|k| k.width() + k.height()).sum(),
            _ => kernels.iter().map(|k| k.taps().len()).sum(),
        }
    }

    /// How many workers are worth their start for so many output pixels.
    pub fn workers(&self, width: usize, height: usize) -> usize {
        let samples = width.saturating_mul(height).saturating_mul(self.input.channels);
        let wanted = self.filter.get_threads();
        if wanted == 1 || samples.saturating_mul(self.multiplications()) < INLINE_WORK {
            return 1;
        }
        #[cfg(feature = "rayon")]
        let pool = rayon::current_num_threads();
        #[cfg(not(feature = "rayon"))]
        let pool = 1;
        // Where strips have much in common, more workers get smaller ones, within limits.
        let least = if self.keeps() { self.strip.div_ceil(4) } else { self.strip };
        let workers = if wanted == 0 { pool } else { wanted.min(pool) };
        workers.clamp(1, height.div_ceil(least).max(1))
    }

    /// Whether a strip's first window is summed or made anew, and then kept up to date.
    fn keeps(&self) -> bool {
        matches!(self.work, Work::Running(_) | Work::RowFirst(_))
    }

    /// How `height` rows are cut for so many workers.
    pub fn cut(&self, height: usize, workers: usize) -> Cut {
        let keeps = self.keeps();
        let strips = if keeps && workers == 1 { 1 } else { height.div_ceil(self.strip) };
        let unit = if keeps || self.strip < BLOCK_ROWS { 1 } else { BLOCK_ROWS };
        Cut { strips: strips.next_multiple_of(workers), unit }
    }

    fn stages(&self) -> Vec<String> {
        let mut stages = Vec::new();
        let kernel = &self.filter.kernels()[0];
        let count = if self.filter.kernels().len() == 2 { "two kernels, " } else { "" };
        let (width, height) = (kernel.width(), kernel.height());
        let premultiply = self.filter.get_alpha() == Some(Alpha::Premultiply);
        match self.work {
            Work::Naive => {
                return vec![format!("reference: {count}{width}×{height} taps, one by one")];
            }
            _ if premultiply => stages.push("multiply colour by alpha, in f32".to_owned()),
            _ if self.widened => stages.push("widen to f32, for the border's constant".to_owned()),
            _ => {}
        }
        match self.work {
            Work::Separable(_) => {
                stages.push(format!("column pass: {count}{height} taps, rows into a scratch row"));
                stages.push(format!("row pass: {count}{width} taps, scratch row into output"));
            }
            Work::RowFirst(_) => {
                stages.push(format!("row pass: {width} taps, two rows into one of pairs"));
                stages.push(format!("column pass: {height} taps, rows of pairs into output"));
            }
            Work::Stencil(ref kernels) => stages.push(match &kernels[0] {
                Nine::Product { .. } => {
                    format!(
                        "row and column pass in one: {count}{width} and {height} taps, in registers"
                    )
                }
                Nine::Rows(_) | Nine::Rounded(_) => {
                    format!("dense pass: {count}{width}×{height} taps, in registers")
                }
            }),
            Work::Blocks(_) => {
                stages.push(format!("column sums: {height} rows, four windows together"));
                stages.push(format!("row sums: {width} columns, of sums of fewer"));
            }
            Work::Running(_) => {
                stages.push(format!("column sums: {height} rows, one added and one taken away"));
                stages.push(format!("row sums: {width} columns, from prefix sums"));
            }
            _ => {
                stages.push("widen: each row once".to_owned());
                stages.push(format!("dense pass: {count}{width}×{height} taps"));
            }
        }
        match self.filter.get_post() {
            Post::Abs => stages.push("absolute value".to_owned()),
            Post::Magnitude => stages.push("magnitude √(x² + y²)".to_owned()),
            _ => {}
        }
        match self.filter.get_alpha() {
            Some(Alpha::Premultiply) => stages.push("divide colour by alpha".to_owned()),
            Some(Alpha::Keep) => stages.push("copy alpha".to_owned()),
            _ => {}
        }
        stages
    }
}

/// Input coordinates under output coordinates `out` and their kernels, on one endless axis.
fn span(out: Range<usize>, border: &Border, anchor: usize, taps: usize) -> Range<isize> {
    let shift = reference::output_origin(border, anchor) as isize - anchor as isize;
    out.start as isize + shift..out.end as isize + shift + taps as isize - 1
}

/// The pixels of an axis of `len` that stand for `span` of the endless axis.
pub(crate) fn reach(border: &Border, span: Range<isize>, len: usize) -> Range<usize> {
    let n = len as isize;
    let inside = span.start.clamp(0, n)..span.end.clamp(0, n);
    let outside =
        (span.start..inside.start.min(span.end)).chain(inside.end.max(span.start)..span.end);
    match border {
        Border::Wrap if span.start < 0 || span.end > n => 0..len,
        Border::Wrap | Border::Constant(_) | Border::Valid => {
            inside.start as usize..inside.end as usize
        }
        _ => {
            let mut reach = inside.start as usize..inside.end as usize;
            // A mirror repeats after twice the length: more cannot reach further.
            for v in outside {
                if let Some(i) = border.map(v, len) {
                    if reach.is_empty() {
                        reach = i..i + 1;
                    }
                    reach = reach.start.min(i)..reach.end.max(i + 1);
                }
            }
            reach
        }
    }
}

impl<I: Source, O: Sample> Plan<I, O> {
    /// The filter that was planned.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.core.filter
    }

    /// The shape of the images it filters.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.core.input
    }

    /// The shape of the results.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.core.output
    }

    /// The method chosen; never `Auto`.
    #[must_use]
    pub fn method(&self) -> Method {
        self.core.work.method()
    }

    /// The instruction set.
    #[must_use]
    pub fn level(&self) -> Level {
        self.core.level
    }

    /// How many workers a run uses at most, in the current rayon pool.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.core.work {
            Work::Naive => 1,
            _ => self.core.workers(self.core.output.width, self.core.output.height),
        }
    }

    /// The stages, one line each, first to last.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        self.core.stages()
    }

    /// The arithmetic, its error bound and why it cannot overflow, in a line.
    #[must_use]
    pub fn arithmetic(&self) -> String {
        self.core.arithmetic.to_string()
    }

    /// Largest distance of a result before rounding from the exact one, proved from the taps for the order of
    /// operations that runs. In output units for integer images; for `f32` images per unit of input range, the
    /// largest magnitude of samples and border constants. Where there is an offset, or the output is of integers, a
    /// range below 1 counts as 1: what rounds there does not shrink with the samples. Samples below about 10⁻³⁰
    /// lose digits that `f32` has no exponents for, which is not counted.
    ///
    /// With premultiplied alpha it holds on colour × alpha: the colour itself may be off by as much divided by
    /// alpha's share of full. Where taps below 0 are premultiplied all the same, alpha may be small and colours off
    /// by more than 1.
    #[must_use]
    pub fn error_bound(&self) -> f64 {
        self.core.arithmetic.bound
    }

    /// The sum of the taps that are really applied, after they were rounded to what the arithmetic takes, less that
    /// of the kernel's taps times the scale: what a constant image of 1 is off by, before rounding. For integer
    /// images; 0 where nothing is rounded that shows, as in `f32`.
    #[must_use]
    pub fn gain_error(&self) -> f64 {
        self.core.arithmetic.noise.gain
    }

    /// The mean error of results of uniform noise over all levels, in levels, as it is to be expected: that of the
    /// gain, and what roundings do not make up for. For integer images, as [`gain_error`](Self::gain_error).
    #[must_use]
    pub fn bias(&self) -> f64 {
        self.core.arithmetic.noise.bias
    }

    /// How each kernel was separated; two for a magnitude.
    #[must_use]
    pub fn separations(&self) -> &[Separation] {
        self.core.separations.of(&self.core.filter)
    }

    /// Multiplications per output sample: taps as written, before folding or zero skipping.
    #[must_use]
    pub fn multiplications_per_pixel(&self) -> usize {
        self.core.multiplications()
    }

    /// The same for plain 2D filtering: kernel width × height, for each kernel.
    #[must_use]
    pub fn naive_multiplications_per_pixel(&self) -> usize {
        self.core.filter.kernels().iter().map(|k| k.taps().len()).sum()
    }

    /// Output pixels of a tile, and rows of a strip.
    #[must_use]
    pub fn tile(&self) -> (usize, usize) {
        (self.core.tile, self.core.strip)
    }

    /// The same plan with other tiles (at least 1 pixel wide) and strips (at least 1 row), for
    /// experiments. No result depends on them.
    #[must_use]
    pub fn with_tiles(mut self, tile: usize, strip: usize) -> Self {
        self.core.tile = tile.max(1);
        self.core.strip = strip.max(1);
        self
    }

    /// The part of the source that the output rectangle `rect` needs. With border `Wrap`, a
    /// rectangle at an edge needs that axis whole.
    pub fn input_region(&self, rect: Rect) -> Result<Rect, Error> {
        if !rect.fits(self.core.output) {
            return Err(Error::RectOutside { rect, shape: self.core.output });
        }
        Ok(self.core.input_region(rect))
    }

    /// Filters `source` into `out`. A second run with the same workspace allocates nothing at one
    /// thread.
    pub fn run(
        &self,
        source: View<'_, I>,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let (expected, given) = (self.core.input, source.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "source", expected, given });
        }
        self.run_region(source, (0, 0), self.core.output.rect(), out, workspace)
    }

    /// Filters just the output rectangle `rect`: the same bytes as in the whole image. `part`
    /// holds at least [`input_region(rect)`](Self::input_region), its top left pixel being
    /// `origin` (column, row) in the whole image.
    pub fn run_region(
        &self,
        part: View<'_, I>,
        origin: (usize, usize),
        rect: Rect,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let needed = self.input_region(rect)?;
        let channels = self.core.input.channels;
        let (expected, given) = (Shape::new(rect.width, rect.height, channels), out.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "output", expected, given });
        }
        check_part(self.core.input, part.shape(), origin, needed)?;
        exec::run(&self.core, I::any(part), origin, rect, AnyViewMut::new(out), workspace)
    }
}

impl<I: Source, O: Sample> fmt::Display for Plan<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.core;
        let kernel = &core.filter.kernels()[0];
        let (border_x, border_y) = core.filter.get_borders();
        writeln!(f, "image:           {} {} → {} {}", core.input, I::TYPE, core.output, O::TYPE)?;
        let (width, height) = (kernel.width(), kernel.height());
        writeln!(f, "kernel:          {width}×{height}, anchor {:?}", kernel.anchor())?;
        for s in self.separations() {
            write!(f, "separation:      rank {}, residual {:.3e}", s.rank(), s.residual(1))?;
            match s.singular_values() {
                Some(values) if values.len() <= 8 => writeln!(f, ", singular values {values:.6?}")?,
                Some(values) => writeln!(f, ", singular values {:.6?}…", &values[..8])?,
                None => writeln!(f)?,
            }
        }
        if border_x == border_y {
            writeln!(f, "border:          {border_x}")?;
        } else {
            writeln!(f, "border:          {border_x} across, {border_y} down")?;
        }
        writeln!(f, "method:          {}", self.method())?;
        for (i, stage) in core.stages().iter().enumerate() {
            writeln!(f, "stage {}:         {stage}", i + 1)?;
        }
        writeln!(f, "arithmetic:      {}", core.arithmetic)?;
        let (ours, naive) =
            (self.multiplications_per_pixel(), self.naive_multiplications_per_pixel());
        writeln!(f, "multiplications: {ours} per sample (2D: {naive})")?;
        writeln!(f, "tiles:           {} pixels × {} rows", core.tile, core.strip)?;
        write!(f, "level:           {}, {} thread(s)", core.level, self.threads())
    }
}

#[cfg(test)]
mod tests {
    use super::Cut;

    #[test]
    fn strips_are_all_rows_in_parts_as_equal_as_can_be() {
        for rows in 1..=100 {
            for strips in 1..=rows + 2 {
                for unit in [1, 3, 4] {
                    let (mut cut, mut rest, mut sizes) = (Cut { strips, unit }, rows, Vec::new());
                    while rest > 0 {
                        sizes.push(cut.next(rest).min(rest));
                        rest -= sizes[sizes.len() - 1];
                    }
                    assert_eq!(sizes.len(), strips.min(rows.div_ceil(unit)));
                    let (last, others) = sizes.split_last().unwrap();
                    assert!(others.iter().all(|n| n % unit == 0 && *n <= sizes[0]));
                    assert!(sizes[0] < last + 2 * unit, "{sizes:?}");
                }
            }
        }
    }
}
