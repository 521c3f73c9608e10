//! `Plan`: how a filter, or a chain of layers, will be done, for one shape, one pair of sample types and one
//! instruction set: segments of stages, their passes and packed taps, tiles and strips, and what is proved of
//! the results. Plain data; the executor in `exec` follows it. A filter is a chain of one.

pub(crate) mod arithmetic;
mod build;
mod candidates;
mod chain;
mod choose;
mod costs;
mod cut;
mod equivalents;
mod executed;
mod explain;
mod fft;
mod filter;
mod multirate;
mod operations;
mod proof;
mod runs;
mod segment;
mod stages;
mod terms;
mod words;

pub use arithmetic::Arithmetic;
pub use candidates::Candidate;
pub(crate) use cut::{Cut, parts};
pub(crate) use fft::Fft;
pub(crate) use filter::FilterStage;
pub(crate) use multirate::{Multirate, Rate, SPAN};
pub use operations::Operations;
pub(crate) use runs::{Runs, Sums};
pub(crate) use segment::{LayerStage, MixStage, Segment, Stage, WindowKind, WindowStage};
pub use stages::StageInfo;
pub(crate) use terms::Terms;

use crate::any_view::Source;
use crate::error::Error;
use crate::filter::{Filter, Method};
use crate::geometry::Axis;
use crate::layer::{Chain, Layer};
use crate::pass::{Nine, RowLevel, Share, Taps};
use crate::reference;
use crate::sample::{Sample, SampleType};
use crate::simd::Level;
use crate::view::{Rect, Shape};
use arithmetic::{Noise, Passes, Rows};
use filter::FilterFacts;
use proof::{Facts, Proof};
use std::marker::PhantomData;
use std::ops::{Deref, Range};

/// How a filter, or a chain of layers, will be done on images of one shape, from samples `I` to samples `O`.
///
/// Plans are values: they can be printed, compared, cloned, and used for every frame of that shape, on many threads
/// at once. What a plan says of itself are the methods of [`AnyPlan`].
///
/// One plan on many threads: it is only read, so that a reference to it is enough. Each thread has its own
/// [`Workspace`](crate::Workspace). With `threads(1)` a run stays on the thread that called it.
///
/// ```
/// use twopass::{Filter, Image, Kernel, Shape, Workspace};
///
/// let filter = Filter::new(Kernel::gaussian(2.0)?).threads(1);
/// let plan = filter.plan::<u8, u8>(Shape::new(64, 48, 3))?;
/// let frames = vec![Image::<u8>::new(plan.input_shape())?; 4];
/// let results = std::thread::scope(|scope| {
///     let threads: Vec<_> = frames
///         .iter()
///         .map(|frame| {
///             scope.spawn(|| {
///                 let mut out = Image::new(plan.output_shape())?;
///                 plan.run(frame.view(), out.view_mut(), &mut Workspace::new())?;
///                 Ok::<_, twopass::Error>(out)
///             })
///         })
///         .collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<_>, _>>()
/// })?;
/// assert_eq!(results, frames);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<I, O> {
    plan: AnyPlan,
    types: PhantomData<fn(I) -> O>,
}

/// A plan whose sample types are values.
///
/// ```
/// use twopass::{Filter, Kernel, SampleType, Shape};
///
/// let plan = Filter::new(Kernel::sobel_x()).plan::<u8, i16>(Shape::new(640, 480, 1))?.into_any();
/// assert_eq!(plan.sample_types(), (SampleType::U8, SampleType::I16));
/// assert_eq!((plan.multiplications_per_sample(), plan.naive_multiplications_per_sample()), (6, 9));
/// assert_eq!(plan.error_bound(), Some(0.0)); // exact
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AnyPlan {
    chain: Chain,
    /// The chain that is done instead, which makes the same of every image.
    instead: Option<Chain>,
    input: Shape,
    output: Shape,
    types: (SampleType, SampleType),
    level: Level,
    /// Whether multiply-adds may be fused: from `f32` to `f32`.
    pub(crate) fused: bool,
    /// The walks over whole images, first to last. There is none where the reference does the work, because no pass
    /// can keep the contract.
    pub(crate) segments: Vec<Segment>,
    /// What is known of the filters, in order.
    filters: Vec<FilterFacts>,
    /// What is proved of all layers together; for `f32` sources per unit of input range.
    bound: Option<f64>,
    /// What integer arithmetic makes of noise.
    noise: Noise,
}

/// The inner loop that does a filter's work, with its taps in the form that it takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pass {
    /// A column pass and a row pass, for each kernel.
    Separable(Vec<Passes>),
    /// A column pass, and a row pass whose sums the image's own samples are added to: multiplied by a number, which of
    /// 16-bit sums has a whole part and another ([`Identity`](crate::pass::Identity)).
    WithIdentity(Passes, Taps),
    /// A row pass, two rows at a time, then a column pass.
    RowFirst(Passes),
    /// 3×3 taps in one pass; for each kernel. All are products, or none.
    Stencil(Vec<Nine>),
    /// Running sums down and along; in 16 bits with that share of a window.
    Running(Option<Share>),
    /// Sums of windows, of rows together and of columns in levels.
    Blocks(Vec<RowLevel>),
    /// The terms of the kernel one by one, each a filter of its own.
    Terms(Terms),
    /// A long smooth kernel at two rates.
    Multirate(Box<Multirate>),
    /// Blocks by fast Fourier transforms.
    Fft(Box<Fft>),
    /// Runs of equal taps, and single taps.
    Runs(Box<Runs>),
    /// A direct 2D pass; the taps of each kernel.
    Dense(Vec<Rows>),
}

impl Pass {
    /// What a filter with this pass reads on the axes of an image.
    fn axes(&self, filter: &Filter, input: Shape) -> [Axis; 2] {
        match self {
            Self::Multirate(pass) => pass.axes(filter, input),
            Self::Terms(terms) => terms.axes(filter, input),
            Self::Fft(fft) => fft.axes(filter, input),
            _ => filter.axes(input),
        }
    }

    /// Whether a part of it, or all, is done at two rates.
    fn at_two_rates(&self) -> bool {
        match self {
            Self::Multirate(_) => true,
            Self::Terms(terms) => terms.stages.iter().any(|term| term.stage.pass.at_two_rates()),
            _ => false,
        }
    }

    /// Multiplications per sample, where filter and method do not say.
    fn multiplications(&self) -> Option<usize> {
        match self {
            Self::Multirate(pass) => Some(pass.multiplications()),
            Self::Terms(terms) => Some(terms.multiplications()),
            Self::Fft(fft) => Some(fft.multiplications()),
            Self::Runs(runs) => Some(runs.multiplications()),
            _ => None,
        }
    }

    fn method(&self) -> Method {
        match self {
            Self::Separable(_) | Self::RowFirst(_) | Self::Running(_) | Self::Blocks(_) => {
                Method::Separable
            }
            Self::Stencil(kernels) if kernels[0].is_product() => Method::Separable,
            Self::Stencil(_) => Method::Dense,
            Self::Terms(_) | Self::WithIdentity(..) => Method::Terms,
            Self::Multirate(_) => Method::Multirate,
            Self::Fft(_) => Method::Fft,
            Self::Runs(_) => Method::Runs,
            Self::Dense(_) => Method::Dense,
        }
    }
}

/// Output rows that are computed together, at most: they share most of their windows.
pub(crate) const BLOCK_ROWS: usize = 4;

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
        Chain::of_filter(self).plan(input)
    }
}

impl Chain {
    /// Plans this chain for images of shape `input`.
    ///
    /// Border constants, biases and offsets are in units of the source's samples; nothing between
    /// the layers is rounded or cut off, and integer results are rounded once, at the end.
    ///
    /// Errors: an empty or too large shape, here or between layers; other channels than a layer
    /// takes; an image smaller than a layer's window; a border constant beyond `f32`; what
    /// [`Filter::plan`] says of a filter.
    pub fn plan<I: Source, O: Sample>(&self, input: Shape) -> Result<Plan<I, O>, Error> {
        let plan = AnyPlan::new(self, input, (I::TYPE, O::TYPE))?;
        Ok(Plan { plan, types: PhantomData })
    }
}

impl AnyPlan {
    /// The chain that was planned; of a filter a chain of one.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The chain that is done.
    fn done(&self) -> &Chain {
        self.instead.as_ref().unwrap_or(&self.chain)
    }

    /// The layers that are done, in their order.
    fn layers(&self) -> &[Layer] {
        self.done().layers()
    }

    /// The shape of the images it takes.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// The shape of the results.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// The types of the samples that it reads, and writes.
    #[must_use]
    pub fn sample_types(&self) -> (SampleType, SampleType) {
        self.types
    }

    /// The instruction set.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// How many workers a run uses at most, in the current rayon pool. With one the run stays on the caller's thread.
    #[must_use]
    pub fn workers(&self) -> usize {
        let of = |s: &Segment| s.workers(s.output.rect(), self.most_workers());
        self.segments.iter().map(of).max().unwrap_or(1)
    }

    /// The rectangles of the output that so many workers would take, from top to bottom and left to right: as many
    /// or more, if there is enough to do for all, of about equal work, together the whole output.
    /// [`run_region`](Self::run_region) makes one of them, on this machine or another, with the same samples.
    ///
    /// Of a plan of several segments these are the rectangles of the last one.
    ///
    /// ```
    /// use twopass::{Filter, Kernel, Shape};
    ///
    /// let plan = Filter::new(Kernel::gaussian(2.0)?).plan::<u8, u8>(Shape::new(3840, 2160, 1))?;
    /// let chunks = plan.chunks(8);
    /// assert!(chunks.len() >= 8);
    /// assert_eq!(chunks.iter().map(|rect| rect.width * rect.height).sum::<usize>(), 3840 * 2160);
    /// # Ok::<(), twopass::Error>(())
    /// ```
    #[must_use]
    pub fn chunks(&self, workers: usize) -> Vec<Rect> {
        let all = self.output.rect();
        let Some(segment) = self.segments.last() else { return vec![all] };
        let [columns, rows] = segment.cut(all, workers.max(1)).of(all);
        let row = |y: Range<usize>| {
            let rect = move |x: Range<usize>| Rect::new(x.start, y.start, x.len(), y.len());
            columns.clone().map(rect)
        };
        rows.flat_map(row).collect()
    }

    /// As many workers as it may have.
    pub(crate) fn most_workers(&self) -> usize {
        let wanted = self.chain.get_threads();
        if wanted == 1 {
            return 1;
        }
        #[cfg(feature = "rayon")]
        let pool = rayon::current_num_threads();
        #[cfg(not(feature = "rayon"))]
        let pool = 1;
        if wanted == 0 { pool } else { wanted.min(pool) }
    }

    /// How many workers are worth their start for a batch, each with an image of its own.
    pub(crate) fn batch_workers(&self, images: usize) -> usize {
        let each = self.segments.iter().map(Segment::work).fold(0, u64::saturating_add);
        if each.saturating_mul(images as u64) < cut::INLINE_WORK {
            return 1;
        }
        self.most_workers().min(images)
    }

    /// Walks over an image. Between two of them the map is in the workspace.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Largest distance of a result before rounding from the exact one, proved from the taps and weights for the order
    /// of operations that runs; 0 is exact. In output units for integer images; for `f32` images per unit of input
    /// range, the largest magnitude of samples and border constants. Where there is an offset or a bias, or the output
    /// is of integers, a range below 1 counts as 1: what rounds there does not shrink with the samples. Samples below
    /// about 10⁻³⁰ lose digits that `f32` has no exponents for, which is not counted.
    ///
    /// With premultiplied alpha, the bound of a filter alone holds on colour × alpha: the colour itself may be off by as
    /// much divided by alpha's share of full. Where taps below 0 are premultiplied all the same, alpha may be small and
    /// colours off by more than 1. `None` for a chain with such a filter.
    #[must_use]
    pub fn error_bound(&self) -> Option<f64> {
        self.bound
    }

    /// The same for samples of at most `range` in magnitude, in output units whatever the samples' type.
    #[must_use]
    pub fn error_bound_within(&self, range: f64) -> Option<f64> {
        if self.types.0 != SampleType::F32 || self.segments.is_empty() {
            return self.bound;
        }
        if let [Layer::Filter(filter)] = self.layers() {
            let (x, y) = filter.get_borders();
            let constants = x.constants().iter().chain(y.constants());
            let range = constants.fold(range, |most, v| most.max(v.abs()));
            let rounds = filter.get_offset() != 0.0 || self.types.1 != SampleType::F32;
            let range = if rounds { range.max(1.0) } else { range };
            return self.bound.map(|bound| bound * range);
        }
        let proof =
            Proof::of(self.layers(), (self.types.0, range), self.filters.iter().map(Facts::of));
        proof.bounded.then_some(proof.error)
    }

    /// The sum of the taps that are really applied, after they were rounded to what the arithmetic takes, less that
    /// of the kernel's taps times the scale: what a constant image of 1 is off by, before rounding. Of all filters
    /// together, where rows between them are integers. For integer images; 0 where nothing is rounded that shows, as
    /// in `f32`.
    #[must_use]
    pub fn gain_error(&self) -> f64 {
        self.noise.gain
    }

    /// The mean error of results of uniform noise over all levels, in levels, as it is to be expected: that of the
    /// gain, and what roundings do not make up for. For integer images, as [`gain_error`](Self::gain_error).
    #[must_use]
    pub fn bias(&self) -> f64 {
        self.noise.bias
    }

    /// Multiplications for an image, padding included.
    #[must_use]
    pub fn multiplications(&self) -> u64 {
        if self.segments.is_empty() {
            return self.chain.multiplications(self.input).unwrap_or(u64::MAX);
        }
        self.segments.iter().fold(0, |sum, s| sum.saturating_add(s.multiplications))
    }

    /// The same plan with other tiles (at least 1 pixel wide, 1 row high) and strips (at least 1
    /// row) in every segment, for experiments. No result depends on them.
    #[must_use]
    pub fn with_tiles(mut self, tile: usize, rows: usize, strip: usize) -> Self {
        for segment in &mut self.segments {
            segment.tile = tile.clamp(1, segment.output.width);
            segment.rows = if segment.tile < segment.output.width { 1 } else { rows.max(1) };
            segment.strip = strip.max(1);
        }
        self
    }

    /// What each segment writes of the whole for the output rectangle `rect`, last to first, and what it reads; at least
    /// a pixel between stages, so that there always are rows.
    pub(crate) fn regions(&self, rect: Rect) -> impl Iterator<Item = (Rect, Rect)> {
        let mut needed = rect;
        self.segments.iter().enumerate().rev().map(move |(i, segment)| {
            let written = needed;
            needed = segment.input_region(written);
            let between = i > 0 || segment.alone().is_none();
            if between && (needed.width == 0 || needed.height == 0) {
                needed = Rect::new(0, 0, 1, 1);
            }
            (written, needed)
        })
    }

    /// The part of the source that the output rectangle `rect` needs. With border `Wrap`, a
    /// rectangle at an edge needs that axis whole.
    pub fn input_region(&self, rect: Rect) -> Result<Rect, Error> {
        if !rect.fits(self.output) {
            return Err(Error::RectOutside { rect, shape: self.output });
        }
        if self.segments.is_empty() {
            return reference::layer::input_region(&self.chain, self.input, rect);
        }
        Ok(self.regions(rect).last().map_or(rect, |(_, reads)| reads))
    }
}

impl<I, O> Deref for Plan<I, O> {
    type Target = AnyPlan;

    fn deref(&self) -> &AnyPlan {
        &self.plan
    }
}

impl<I: Source, O: Sample> Plan<I, O> {
    /// The plan without its types.
    #[must_use]
    pub fn into_any(self) -> AnyPlan {
        self.plan
    }

    /// As [`AnyPlan::for_shape`].
    pub fn for_shape(&self, input: Shape) -> Result<Self, Error> {
        Ok(Self { plan: self.plan.for_shape(input)?, types: PhantomData })
    }

    /// As [`AnyPlan::with_tiles`].
    #[must_use]
    pub fn with_tiles(mut self, tile: usize, rows: usize, strip: usize) -> Self {
        self.plan = self.plan.with_tiles(tile, rows, strip);
        self
    }
}
