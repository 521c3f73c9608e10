//! `ChainPlan`: how a chain of layers will be done, for one shape and one instruction set: the
//! fused segments it is cut into, their packed weights, tiles and strips. Plain data; the executor
//! in `exec/chain` follows it.
//!
//! A segment is what one walk over the image does: a layer with a window, or none, and the
//! pointwise layers after it, which read its rows while they are in the first-level cache. Layers
//! of stride 1 on images of few channels join the segment of what comes before them, as its links
//! do: what they read is made row by row, and again where tiles and strips meet. Between segments
//! the whole map lies in the workspace.
//!
//! Chains of nothing but image filters are planned filter by filter (`images`); where it can be, the
//! rows between those of `u8` images are 16-bit integers.
//!
//! All other rows are `f32`. For integer images nothing is fused, so that all levels give the same bytes,
//! and the error is bounded layer after layer; where it might show, filters sum in `f64`, and if
//! that is not enough either the reference does the work.

mod images;
mod proof;

pub(crate) use images::Images;

use super::arithmetic::{Rung, Task};
use super::{Cut, Work, check_constants, choose, negligible, reach};
use crate::border::Border;
use crate::error::Error;
use crate::exec::{self, Workspace};
use crate::filter::{Alpha, Filter, Method, Post};
use crate::kernel::{Kernel, Separation};
use crate::layer::{
    Activation, Axis, Chain, Conv2d, Depthwise, Layer, Padding, Pointwise, Window, filter_axes,
};
use crate::pass::{ColourWeights, Finish, NarrowWeights, TapRows, Weights};
use crate::reference::{self, Opacity};
use crate::sample::{Sample, SampleType, Source};
use crate::simd::{Level, MAX_LANES};
use crate::view::{AnyViewMut, Rect, Shape, View, ViewMut, check_part};
use proof::{FilterFacts, Proof, keeps_constants};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// How a chain of layers will be done on images of one shape, from samples `I` to samples `O`.
///
/// Plans are values: they can be printed, compared, cloned, and used for every image of that
/// shape.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainPlan<I, O> {
    core: ChainCore,
    types: PhantomData<fn(I) -> O>,
}

/// A plan without its sample types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChainCore {
    pub chain: Chain,
    pub input: Shape,
    pub output: Shape,
    pub level: Level,
    pub segments: Vec<Segment>,
    /// For `u8` to `u8` through one pointwise layer of few channels, where 16-bit weights keep the
    /// contract.
    pub colour: Option<ColourWeights>,
    /// For one segment of nothing but image filters.
    pub images: Option<Images>,
    /// Whether single precision cannot keep the contract: the reference does the work.
    pub exact: bool,
    /// Whether multiply-adds may be fused: from `f32` to `f32`.
    pub fused: bool,
    /// What is known of the filters, in order.
    filters: Vec<FilterFacts>,
    /// Proved for integer samples.
    bound: Option<f64>,
}

/// One walk over the image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub input: Shape,
    pub output: Shape,
    /// What comes before the window, first to last.
    pub links: Vec<Link>,
    pub window: Option<WindowStage>,
    /// Pointwise layers after the window, first to last.
    pub mixes: Vec<MixStage>,
    pub multiplications: u64,
    /// Output pixels of a tile across.
    pub tile: usize,
    /// Rows of a tile, where the output's rows have no gaps.
    pub rows: usize,
    /// Output rows of a strip at most.
    pub strip: usize,
}

/// A window, and pointwise layers after it, whose output a later window of the same segment reads.
/// Only the first link may lack a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub window: Option<WindowStage>,
    pub mixes: Vec<MixStage>,
    /// Channels of its output.
    pub channels: usize,
}

/// The layer of a segment that reads windows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowStage {
    pub axes: [Axis; 2],
    /// Channels of its input.
    pub inputs: usize,
    /// Channels of its output.
    pub channels: usize,
    pub activation: Activation,
    /// Whether pixels, and rows, are so small that a row at an edge is better prepared as a whole
    /// than in pieces.
    pub whole: bool,
    pub kind: WindowKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WindowKind {
    Depthwise {
        taps: TapRows,
        /// Where two passes are faster: those of the column, and of the row with the bias.
        passes: Option<Box<[TapRows; 2]>>,
        /// Whether rows are sorted by their column modulo the stride, so that lanes may run over
        /// several pixels.
        split: bool,
    },
    Dense(Weights),
    Filter(Box<FilterStage>),
}

/// An image filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FilterStage {
    /// Two passes, or a direct one; its taps are those of `rung`.
    pub work: Work,
    /// `F32`, `Fused` or `Double`; the reference does not go through stages.
    pub rung: Rung,
    pub finish: Finish,
    pub alpha: StageAlpha,
}

/// What a filter does about alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum StageAlpha {
    Plain,
    /// Copies it from the pixel under the anchor, which is this column and row of the window.
    Keep {
        anchor: (usize, usize),
    },
    /// Multiplies colours by it, and divides them; offset and post-step come after that.
    Premultiply {
        opacity: Opacity,
        offset: f64,
        post: Post,
    },
}

impl WindowStage {
    /// Channels of the rows that its pass reads.
    pub fn tap_channels(&self) -> usize {
        match self.kind {
            WindowKind::Depthwise { .. } => self.channels,
            WindowKind::Dense(_) | WindowKind::Filter(_) => self.inputs,
        }
    }

    /// Whether its pass reads prepared rows everywhere: rows with slack, or changed ones.
    pub fn prepares(&self) -> bool {
        match &self.kind {
            WindowKind::Depthwise { .. } => self.split() || self.channels != self.inputs,
            WindowKind::Dense(_) => false,
            WindowKind::Filter(stage) => {
                matches!(stage.work, Work::Dense(_))
                    || matches!(stage.alpha, StageAlpha::Premultiply { .. })
            }
        }
    }

    /// The part of its input that a rectangle of its output reads; empty if that lies outside.
    pub fn input_region(&self, rect: Rect) -> Rect {
        let reads = |axis: &Axis, out: Range<usize>| reach(&axis.border, axis.under(out), axis.len);
        let [x, y] = &self.axes;
        let x = reads(x, rect.x..rect.x + rect.width);
        let y = reads(y, rect.y..rect.y + rect.height);
        Rect::new(x.start, y.start, x.len(), y.len())
    }

    /// Whether two output rows are computed at once, which share most of their windows.
    pub fn pairs(&self) -> bool {
        match &self.kind {
            WindowKind::Filter(stage) => {
                matches!(stage.work, Work::Separable(_)) && stage.alpha == StageAlpha::Plain
            }
            WindowKind::Depthwise { passes: None, split: false, .. } => {
                let next = |axis: &Axis| (axis.taps, axis.stride, axis.dilation) == (3, 1, 1);
                self.axes.iter().all(next) && self.channels >= MAX_LANES
            }
            _ => false,
        }
    }

    /// Whether its rows are sorted by stride.
    pub fn split(&self) -> bool {
        matches!(self.kind, WindowKind::Depthwise { split: true, .. })
    }

    /// Whether it may read what a link makes row by row: every row must serve several outputs.
    fn can_follow(&self) -> bool {
        let [x, y] = &self.axes;
        (x.stride, y.stride, y.dilation) == (1, 1, 1) && self.inputs <= FEW_CHANNELS
    }
}

/// A pointwise layer of a segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MixStage {
    pub weights: Weights,
    /// In addition, where several pixels fit into a vector.
    pub narrow: Option<NarrowWeights>,
    pub activation: Activation,
}

impl MixStage {
    fn new(layer: &Pointwise, level: Level) -> Self {
        let (matrix, bias, lanes) = (layer.weights(), layer.bias(), level.lanes());
        let several = |narrow: &NarrowWeights| narrow.pixels() > 1 || bias.len() < lanes;
        Self {
            weights: Weights::pack(matrix, bias, lanes),
            narrow: NarrowWeights::pack(matrix, bias, lanes).filter(several),
            activation: layer.activation(),
        }
    }
}

/// Bytes of the rows that a window layer hands to a pointwise one: most of a usual first-level
/// cache.
const TILE_BYTES: usize = 32 << 10;
/// The same for mixes whose weights are more than `MANY_WEIGHTS`: each tile reads all of them again,
/// so that fewer tiles, in the second-level cache, are faster.
const LARGE_TILE_BYTES: usize = 256 << 10;
/// The same where the source comes from far: the longer a tile, the less often its fetching begins
/// anew.
const FAR_TILE_BYTES: usize = 128 << 10;
/// Bytes of an input that a usual second-level cache does not hold.
const FAR_BYTES: usize = 1 << 20;
/// Bytes of weights that stay in the second-level cache beside the tile.
const MANY_WEIGHTS: usize = 384 << 10;
/// Bytes of a window's rows where nothing follows: half of a usual second-level cache.
const WINDOW_BYTES: usize = 512 << 10;
/// Pixels that a tile has at least.
const TILE_PIXELS: usize = 48;
/// Rows that a tile may have beyond those.
const ROWS_MORE: usize = 3;
/// Rows of a strip, or somewhat more, unless long windows make its start costly.
const STRIP_ROWS: usize = 64;
/// Rows of a strip even then.
const MOST_STRIP_ROWS: usize = 512;
/// Channels of an image, as opposed to a map of a network: making some of its pixels twice costs
/// less than writing and reading it.
const FEW_CHANNELS: usize = 4;
/// Work, in multiplications, below which a second thread costs more than it brings.
const INLINE_WORK: u64 = 1 << 20;
/// A sample read or written counts as so many multiplications.
const SAMPLE_WORK: u64 = 4;
/// Strips for each worker, so that none waits long for the last.
const STRIPS_EACH: usize = 4;

impl Chain {
    /// Plans this chain for images of shape `input`.
    ///
    /// Border constants, biases and offsets are in units of the source's samples; nothing between
    /// the layers is rounded or cut off, and integer results are rounded once, at the end.
    ///
    /// Errors: an empty or too large shape, here or between layers; other channels than a layer
    /// takes; an image smaller than a layer's window; a border constant beyond `f32`; what
    /// [`Filter::plan`] says of a filter.
    pub fn plan<I: Source, O: Sample>(&self, input: Shape) -> Result<ChainPlan<I, O>, Error> {
        let types = (I::TYPE, O::TYPE);
        let core = ChainCore::new(self, input, types, Opacity::of::<I>())?;
        Ok(ChainPlan { core, types: PhantomData })
    }
}

/// What errors before rounding must stay below, so that results are off by 1 at most.
const ALLOWED: f64 = 1.0;
/// And where a constant image must stay constant.
const ALLOWED_OF_CONSTANTS: f64 = 0.5;

impl ChainCore {
    fn new(
        chain: &Chain,
        input: Shape,
        types: (SampleType, SampleType),
        opacity: Opacity,
    ) -> Result<Self, Error> {
        let output = chain.output_shape(input)?;
        let level = chain.get_level().unwrap_or_else(Level::detect);
        let float = |sample| sample == SampleType::F32;
        let fused = float(types.0) && float(types.1);
        for border in chain.layers().iter().flat_map(borders) {
            check_constants(border, types.0)?;
        }
        // What the first layer's borders read must be what its rows hold.
        let mut samples = true;
        for border in chain.layers().first().map(borders).unwrap_or_default() {
            samples &= check_constants(border, types.0)?;
        }
        let filters = chain.layers().iter().filter_map(|layer| match layer {
            Layer::Filter(filter) => Some(filter.kernels().iter().map(Separation::of).collect()),
            _ => None,
        });
        let mut builder = Builder {
            chain,
            separations: filters.collect(),
            level,
            fused,
            opacity,
            precise: false,
            segments: Vec::new(),
            filters: Vec::new(),
        };
        let mut exact = !builder.build(input)?;
        let mut bound = None;
        let mut words = None;
        if !float(types.0) {
            let keeps = chain.layers().iter().all(keeps_constants);
            let allowed = |p: &Proof| {
                if p.whole || keeps { ALLOWED_OF_CONSTANTS } else { ALLOWED }
            };
            // Where colours are divided by alpha, that is the error under full alpha.
            let shows = |p: &Proof| !float(types.1) && (p.error.is_nan() || p.error >= allowed(p));
            let mut proof = Proof::of(chain, (types.0, opacity.full), &builder.filters);
            if !exact && shows(&proof) && !builder.filters.is_empty() {
                builder.precise = true;
                exact = !builder.build(input)?;
                proof = Proof::of(chain, (types.0, opacity.full), &builder.filters);
            }
            exact |= shows(&proof);
            bound = proof.bounded.then_some(proof.error);
            words = Some((allowed(&proof), proof.whole));
        }
        let mut images = match builder.segments.as_slice() {
            [only] if !exact && samples => Images::floats(&builder, only, types),
            _ => None,
        };
        if types.0 == SampleType::U8
            && !float(types.1)
            && let (Some(floats), Some((allowed, whole))) = (&images, words)
            && let Some(words) = floats.words(allowed, whole)
        {
            bound = words.bound;
            images = Some(words);
        }
        let Builder { mut segments, filters, .. } = builder;
        // Rows of integers are widened once, for all windows that they lie under.
        if let Some(first) = segments.first_mut()
            && !float(types.0)
            && images.is_none()
            && first.window.is_some()
            && first.links.first().is_none_or(|link| link.window.is_some())
        {
            let channels = first.input.channels;
            first.links.insert(0, Link { window: None, mixes: Vec::new(), channels });
        }
        for segment in &mut segments {
            match &images {
                Some(images) => images.choose_tiles(segment),
                None => segment.choose_tiles(),
            }
        }
        let mut colour = None;
        if types == (SampleType::U8, SampleType::U8)
            && let [Layer::Pointwise(layer)] = chain.layers()
            // The limits of the samples are those of the others, too.
            && matches!(layer.activation(), Activation::None | Activation::Relu)
        {
            let (lanes, parts) = (level.lanes(), level.parts());
            colour = ColourWeights::pack(layer.weights(), layer.bias(), lanes, parts);
        }
        if let Some(colour) = &colour {
            (bound, exact) = (Some(colour.error()), false);
        }
        let chain = chain.clone();
        Ok(Self {
            chain,
            input,
            output,
            level,
            segments,
            colour,
            images,
            exact,
            fused,
            filters,
            bound,
        })
    }

    /// How many workers are worth their start for a segment.
    pub fn workers(&self, segment: &Segment) -> usize {
        if segment.work() < INLINE_WORK { 1 } else { self.most_workers() }
    }

    /// How many workers are worth their start for a batch, each with an image of its own.
    pub fn batch_workers(&self, images: usize) -> usize {
        let each = self.segments.iter().map(Segment::work);
        let each = each.fold(0, u64::saturating_add);
        if each.saturating_mul(images as u64) < INLINE_WORK {
            return 1;
        }
        self.most_workers().min(images)
    }

    /// As many workers as the chain may have.
    fn most_workers(&self) -> usize {
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
}

/// Taps of a depthwise kernel from which two passes are faster, where there are any.
const TWO_PASSES_FROM: usize = 16;

/// The taps of a depthwise layer's two passes, if each channel's kernel is a product, and rows
/// serve several outputs.
fn depthwise_passes(layer: &Depthwise) -> Option<[TapRows; 2]> {
    let ((width, height), channels) = (layer.size(), layer.output_channels());
    if layer.window().get_stride() != (1, 1)
        || width * height < TWO_PASSES_FROM
        || width.min(height) < 2
    {
        return None;
    }
    let (mut columns, mut rows) = (vec![0.0; height * channels], vec![0.0; width * channels]);
    for c in 0..channels {
        let taps = layer.weights().iter().skip(c).step_by(channels);
        let kernel = Kernel::new(width, height, taps.map(|&t| t.into()).collect()).ok()?;
        let separation = Separation::of(&kernel);
        if !(separation.is_separable() || negligible(&separation, &kernel)) {
            return None;
        }
        let term = &separation.terms()[0];
        let put = |to: &mut [f32], from: &[f64]| {
            for (to, from) in to.iter_mut().skip(c).step_by(channels).zip(from) {
                *to = *from as f32;
            }
        };
        put(&mut columns, &term.column);
        put(&mut rows, &term.row);
    }
    let finite = columns.iter().chain(&rows).all(|t| t.is_finite());
    let columns = TapRows::new(&columns, &vec![0.0; channels]);
    finite.then(|| [columns, TapRows::new(&rows, layer.bias())])
}

/// Samples of a row that is short.
const SHORT_ROW: usize = 4096;

/// Whether pixels of so many channels are less than a vector, and the rows of them short.
fn are_small(input: Shape, channels: usize, level: Level) -> bool {
    channels < level.lanes() && input.width * channels < SHORT_ROW
}

/// The borders that a layer reads through.
fn borders(layer: &Layer) -> Vec<&Border> {
    fn of(window: &Window) -> Vec<&Border> {
        match window.get_padding() {
            Padding::Explicit { border_x, border_y, .. } => vec![border_x, border_y],
            _ => Vec::new(),
        }
    }
    match layer {
        Layer::Depthwise(layer) => of(layer.window()),
        Layer::Separable(layer) => of(layer.depthwise().window()),
        Layer::Conv2d(layer) => of(layer.window()),
        Layer::Pointwise(_) => Vec::new(),
        Layer::Filter(filter) => {
            let (x, y) = filter.get_borders();
            vec![x, y]
        }
    }
}

/// Puts segments together.
struct Builder<'a> {
    chain: &'a Chain,
    /// Of the filters, in order.
    separations: Vec<Vec<Separation>>,
    level: Level,
    fused: bool,
    opacity: Opacity,
    /// Whether filters sum in `f64`.
    precise: bool,
    segments: Vec<Segment>,
    filters: Vec<FilterFacts>,
}

impl Builder<'_> {
    /// Plans all layers, and says whether all of them can be done in passes.
    fn build(&mut self, input: Shape) -> Result<bool, Error> {
        self.segments.clear();
        self.filters.clear();
        let (level, count) = (self.level, self.chain.layers().len());
        let (mut shape, mut possible) = (input, true);
        for (i, layer) in self.chain.layers().iter().enumerate() {
            let segments = &mut self.segments;
            match layer {
                Layer::Depthwise(layer) => join(segments, Segment::depthwise(layer, shape, level)?),
                Layer::Conv2d(layer) => join(segments, Segment::conv2d(layer, shape, level)?),
                Layer::Pointwise(layer) => pointwise(segments, layer, shape, level)?,
                Layer::Separable(layer) => {
                    join(segments, Segment::depthwise(layer.depthwise(), shape, level)?);
                    let between = layer.depthwise().output_shape(shape)?;
                    pointwise(segments, layer.pointwise(), between, level)?;
                }
                Layer::Filter(filter) => possible &= self.filter(filter, shape, i + 1 == count)?,
            }
            shape = layer.output_shape(shape)?;
        }
        Ok(possible)
    }

    /// Adds a filter, and says whether there are passes for it.
    fn filter(&mut self, filter: &Filter, input: Shape, last: bool) -> Result<bool, Error> {
        let separations = &self.separations[self.filters.len()];
        let premultiplied = filter.get_alpha() == Some(Alpha::Premultiply);
        let (source, output) = (SampleType::F32, SampleType::F32);
        let (channels, precise) = (input.channels, self.precise);
        let (level, fused) = (self.level, self.fused);
        let task = Task {
            filter,
            channels,
            source,
            output,
            premultiplied,
            widened: false,
            level,
            fused,
            precise,
            chained: true,
        };
        let (work, arithmetic, finish) = choose(&task, separations)?;
        let whole = |v: &f64| v.fract() == 0.0;
        let taps = filter.kernels().iter().flat_map(Kernel::taps);
        let method = work.method();
        let terms = separations.iter().map(|s| &s.terms()[0]);
        let factors = method != Method::Separable
            || terms.flat_map(|t| t.column.iter().chain(&t.row)).all(whole);
        self.filters.push(FilterFacts {
            arithmetic: arithmetic.clone(),
            method,
            whole: factors
                && taps
                    .copied()
                    .chain([filter.get_scale(), filter.get_offset()])
                    .all(|v| whole(&v))
                && filter.get_post() != Post::Magnitude,
        });
        let possible = work != Work::Naive;
        let kernel = &filter.kernels()[0];
        let alpha = match filter.get_alpha() {
            Some(Alpha::Keep) => StageAlpha::Keep { anchor: kernel.anchor() },
            Some(Alpha::Premultiply) => StageAlpha::Premultiply {
                opacity: if last { self.opacity } else { Opacity::between(self.opacity.full) },
                offset: filter.get_offset(),
                post: filter.get_post(),
            },
            _ => StageAlpha::Plain,
        };
        let taps = match work {
            Work::Separable(_) => kernel.width() + kernel.height(),
            _ => kernel.taps().len(),
        };
        let output = reference::output_shape(filter, input)?;
        let samples = output.samples()? as u64;
        let multiplications = samples.saturating_mul((taps * filter.kernels().len()) as u64);
        let rung = arithmetic.rung;
        let window = WindowStage {
            axes: filter_axes(filter, input),
            inputs: input.channels,
            channels: input.channels,
            activation: Activation::None,
            whole: are_small(input, input.channels, self.level),
            kind: WindowKind::Filter(Box::new(FilterStage { work, rung, finish, alpha })),
        };
        join(&mut self.segments, Segment::new(input, output, Some(window), multiplications));
        Ok(possible)
    }
}

/// Adds a segment that begins with a window, or makes what came before its links.
fn join(segments: &mut Vec<Segment>, mut next: Segment) {
    let follows = next.window.as_ref().is_some_and(WindowStage::can_follow);
    if let Some(last) = segments.pop_if(|last| follows && last.is_image_chain()) {
        let Segment { links, window, mixes, .. } = last;
        next.links = links;
        next.links.push(Link { window, mixes, channels: next.input.channels });
        next.input = last.input;
        next.multiplications = next.multiplications.saturating_add(last.multiplications);
    }
    segments.push(next);
}

/// Adds a pointwise layer to the last segment, or begins one.
fn pointwise(
    segments: &mut Vec<Segment>,
    layer: &Pointwise,
    input: Shape,
    level: Level,
) -> Result<(), Error> {
    if segments.is_empty() {
        segments.push(Segment::new(input, input, None, 0));
    }
    if let Some(segment) = segments.last_mut() {
        segment.output = layer.output_shape(input)?;
        let more = layer.multiplications(input)?;
        segment.multiplications = segment.multiplications.saturating_add(more);
        segment.mixes.push(MixStage::new(layer, level));
    }
    Ok(())
}

impl Segment {
    fn new(input: Shape, output: Shape, window: Option<WindowStage>, multiplications: u64) -> Self {
        let (links, mixes) = (Vec::new(), Vec::new());
        Self { input, output, links, window, mixes, multiplications, tile: 1, rows: 1, strip: 1 }
    }

    /// The part of its input that a rectangle of its output reads; at least a pixel.
    pub fn input_region(&self, rect: Rect) -> Rect {
        let windows = self.links.iter().map(|link| &link.window).chain([&self.window]).flatten();
        let rect = windows.rev().fold(rect, |rect, window| window.input_region(rect));
        if rect.width == 0 || rect.height == 0 { Rect::new(0, 0, 1, 1) } else { rect }
    }

    /// Whether all of its windows have stride 1.
    fn is_image_chain(&self) -> bool {
        let windows = self.links.iter().map(|link| &link.window).chain([&self.window]);
        let mut strides = windows.flatten().flat_map(|w| [w.axes[0].stride, w.axes[1].stride]);
        strides.all(|stride| stride == 1)
    }

    /// Whether its input, as `f32`, lies beyond the second-level cache.
    pub fn is_far(&self) -> bool {
        self.input.row() * self.input.height > FAR_BYTES / size_of::<f32>()
    }

    fn depthwise(layer: &Depthwise, input: Shape, level: Level) -> Result<Self, Error> {
        let channels = layer.output_channels();
        let passes = depthwise_passes(layer).map(Box::new);
        let window = WindowStage {
            axes: layer.window().axes(layer.size(), input)?,
            inputs: input.channels,
            channels,
            activation: layer.activation(),
            whole: are_small(input, channels, level),
            kind: WindowKind::Depthwise {
                taps: TapRows::new(layer.weights(), layer.bias()),
                passes,
                split: layer.window().get_stride().0 > 1 && channels < level.lanes(),
            },
        };
        let multiplications = layer.multiplications(input)?;
        Ok(Self::new(input, layer.output_shape(input)?, Some(window), multiplications))
    }

    fn conv2d(layer: &Conv2d, input: Shape, level: Level) -> Result<Self, Error> {
        let window = WindowStage {
            axes: layer.window().axes(layer.size(), input)?,
            inputs: input.channels,
            channels: layer.output_channels(),
            activation: layer.activation(),
            whole: are_small(input, input.channels, level),
            kind: WindowKind::Dense(Weights::pack(layer.weights(), layer.bias(), level.lanes())),
        };
        let multiplications = layer.multiplications(input)?;
        Ok(Self::new(input, layer.output_shape(input)?, Some(window), multiplications))
    }

    /// Tiles of equal width, and several rows to a tile if one row is short.
    fn choose_tiles(&mut self) {
        let windows = || self.links.iter().map(|link| &link.window).chain([&self.window]).flatten();
        let between = self.window.as_ref().map(|w| w.channels);
        let inner = self.mixes.iter().map(|m| m.weights.inputs()).max();
        let narrow = self.mixes.len() == 1 && self.mixes[0].narrow.is_some();
        let most = match (between, inner) {
            (Some(_), None) => {
                // All windows, and as much again for the rows that they make.
                let rows: usize = windows().map(|w| w.axes[1].taps + 1).sum();
                WINDOW_BYTES / (4 * (rows + 1) * self.input.channels.max(self.output.channels))
            }
            // Nothing is kept between rows: the fewer begin and end, the better.
            (None, Some(inputs)) if narrow => WINDOW_BYTES / (4 * inputs),
            (_, inner) => {
                let sizes = self.mixes.iter().map(|m| m.weights.inputs() * m.weights.outputs());
                let many = 4 * sizes.max().unwrap_or(0) > MANY_WEIGHTS;
                let bytes = match (many, self.is_far() && self.window.is_some()) {
                    (true, _) => LARGE_TILE_BYTES,
                    (_, true) => FAR_TILE_BYTES,
                    _ => TILE_BYTES,
                };
                bytes / (4 * inner.unwrap_or(1))
            }
        };
        // What windows reach beyond a tile, or a strip, is made again by its neighbour.
        let beyond = |axis: usize| windows().skip(1).map(move |w| w.axes[axis].span() - 1);
        let (across, down) = (beyond(0).sum::<usize>(), beyond(1).sum::<usize>());
        let most = most.max(TILE_PIXELS).max(4 * across);
        let (width, height) = (self.output.width, self.output.height);
        let block = self.mixes.iter().map(|m| m.weights.block()).max().unwrap_or(1);
        self.tile = width.div_ceil(width.div_ceil(most)).next_multiple_of(block).min(width);
        self.rows = if self.tile < width { 1 } else { (most / width).max(1) };
        if self.tile == width && block > 1 {
            // Pixels beyond the last whole block of a tile cost as much as a block: a few more
            // rows may leave fewer of them.
            let blocks = |rows: usize| {
                let of = |rows: usize| (rows * width).div_ceil(block);
                height / rows * of(rows) + of(height % rows)
            };
            let all = self.rows..=(self.rows + ROWS_MORE).min(height.max(self.rows));
            self.rows = all.min_by_key(|&rows| blocks(rows)).unwrap_or(self.rows);
        }
        let strip = STRIP_ROWS.max((4 * down).min(MOST_STRIP_ROWS));
        self.strip = strip.next_multiple_of(self.rows);
    }

    /// What it costs for the whole image, about: its multiplications, and its samples, read and written.
    fn work(&self) -> u64 {
        let samples = |shape: Shape| (shape.row() * shape.height) as u64;
        let samples = samples(self.input) + samples(self.output);
        self.multiplications.saturating_add(samples.saturating_mul(SAMPLE_WORK))
    }

    /// How `height` rows are cut for so many workers.
    pub fn cut(&self, height: usize, workers: usize) -> Cut {
        let (tiles, least) = (height.div_ceil(self.rows), height.div_ceil(self.strip));
        let each = (tiles / (workers * STRIPS_EACH)).max(1);
        let strips = if workers == 1 { least } else { tiles.div_ceil(each).max(least) };
        let strips = strips.next_multiple_of(workers);
        // Of few tiles, whole ones would be more work for one worker than for another.
        let whole = workers == 1 || tiles >= 4 * strips;
        let unit = if whole { self.rows.min(self.strip) } else { 1 };
        Cut { strips, unit }
    }
}

impl<I: Source, O: Sample> ChainPlan<I, O> {
    /// The chain that was planned.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.core.chain
    }

    /// The shape of the images it takes.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.core.input
    }

    /// The shape of the results.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.core.output
    }

    /// The instruction set.
    #[must_use]
    pub fn level(&self) -> Level {
        self.core.level
    }

    /// Fused segments: walks over an image. Between two of them the map is in the workspace.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.core.segments.len()
    }

    /// Multiplications for an image: taps as written, padding included.
    #[must_use]
    pub fn multiplications(&self) -> u64 {
        self.core.segments.iter().fold(0, |sum, s| sum.saturating_add(s.multiplications))
    }

    /// Largest distance of a result before rounding from the exact one, proved from the weights,
    /// in output units; for integer images. 0 is exact. `None` also where a filter divides colours
    /// by alpha.
    #[must_use]
    pub fn error_bound(&self) -> Option<f64> {
        if self.core.exact { Some(0.0) } else { self.core.bound }
    }

    /// The same for samples of at most `range` in magnitude, whatever their type.
    #[must_use]
    pub fn error_bound_within(&self, range: f64) -> Option<f64> {
        if self.core.exact {
            return Some(0.0);
        }
        let integers = self.core.images.as_ref().and_then(|images| images.bound);
        let colour = self.core.colour.as_ref().map(ColourWeights::error);
        if let Some(bound) = integers.or(colour) {
            return Some(bound);
        }
        let proof = Proof::of(&self.core.chain, (I::TYPE, range), &self.core.filters);
        proof.bounded.then_some(proof.error)
    }

    /// How many workers a run uses at most, in the current rayon pool.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.core.segments.iter().map(|s| self.core.workers(s)).max().unwrap_or(1)
    }

    /// The layers, one line each, first to last, with what was decided for them.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        let mut filters = self.core.filters.iter();
        let layers = self.core.chain.layers().iter().map(|layer| match layer {
            Layer::Filter(_) => match filters.next().map(|f| f.method) {
                Some(Method::Separable) => format!("{layer}: column pass and row pass"),
                Some(Method::Dense) => format!("{layer}: dense pass"),
                _ => format!("{layer}: reference"),
            },
            _ => layer.to_string(),
        });
        layers.collect()
    }

    /// As [`Plan::gain_error`](crate::Plan::gain_error), of all filters together, where rows between them are
    /// integers; else 0.
    #[must_use]
    pub fn gain_error(&self) -> f64 {
        self.core.images.as_ref().map_or(0.0, |images| images.noise.gain)
    }

    /// As [`Plan::bias`](crate::Plan::bias), of all filters together, where rows between them are integers; else 0.
    #[must_use]
    pub fn bias(&self) -> f64 {
        self.core.images.as_ref().map_or(0.0, |images| images.noise.bias)
    }

    /// The arithmetic and its error bound, in a line.
    #[must_use]
    pub fn arithmetic(&self) -> String {
        let core = &self.core;
        if core.exact {
            return "f64, by the reference".to_owned();
        }
        if let Some(colour) = &core.colour {
            let error = match colour.error() {
                0.0 => "exact".to_owned(),
                bound => format!("error at most {bound:.3e} before rounding"),
            };
            let bits = colour.shift();
            return format!("16-bit weights into i32 ({bits} fraction bits), {error}");
        }
        if let Some((images, bound)) = core.images.as_ref().and_then(|i| Some((i, i.bound?))) {
            let (gain, bias) = (images.noise.gain, images.noise.bias);
            let error = match bound {
                0.0 => "exact".to_owned(),
                bound => format!(
                    "error at most {bound:.3e} before rounding, {bias:+.4} in the mean (gain {gain:+.1e})"
                ),
            };
            let sums = match images.short_sums() {
                (true, _) => "16-bit integers",
                (_, true) => "16-bit integers and 16-bit pairs into i32",
                _ => "16-bit pairs into i32",
            };
            return format!("{sums}, 16-bit rows between filters, {error}");
        }
        let double = core.filters.iter().filter(|f| f.arithmetic.rung == Rung::Double).count();
        let sums = if core.fused { "fused f32" } else { "unfused f32" };
        let sums = match double {
            0 => sums.to_owned(),
            n if n == core.chain.layers().len() => "f64 sums, f32 between layers".to_owned(),
            n => format!("f64 sums in {n} filter(s), {sums} in other layers and between them"),
        };
        match core.bound {
            Some(0.0) => format!("{sums}, exact"),
            Some(bound) => format!("{sums}, error at most {bound:.3e} before rounding"),
            None => sums,
        }
    }

    /// The same plan with other tiles (at least 1 pixel wide, 1 row high) and strips (at least 1
    /// row) in every segment, for experiments. No result depends on them.
    #[must_use]
    pub fn with_tiles(mut self, tile: usize, rows: usize, strip: usize) -> Self {
        for segment in &mut self.core.segments {
            segment.tile = tile.clamp(1, segment.output.width);
            segment.rows = if segment.tile < segment.output.width { 1 } else { rows.max(1) };
            segment.strip = strip.max(1);
        }
        self
    }

    /// Runs all layers on `source`. A second run with the same workspace allocates nothing at one
    /// thread, except where the reference does the work.
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

    /// The part of the source that the output rectangle `rect` needs. With border `Wrap`, a
    /// rectangle at an edge needs that axis whole.
    pub fn input_region(&self, rect: Rect) -> Result<Rect, Error> {
        if !rect.fits(self.core.output) {
            return Err(Error::RectOutside { rect, shape: self.core.output });
        }
        Ok(self.core.segments.iter().rev().fold(rect, |rect, s| s.input_region(rect)))
    }

    /// Computes just the output rectangle `rect`: the same bytes as in the whole image. `part`
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
        let (input, output) = (self.core.input, self.core.output);
        let (expected, given) = (Shape::new(rect.width, rect.height, output.channels), out.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "output", expected, given });
        }
        check_part(input, part.shape(), origin, needed)?;
        exec::run_chain(&self.core, I::any(part), origin, rect, AnyViewMut::new(out), workspace)
    }

    /// Runs all layers on each of `images` images, which lie one after the other: several images
    /// at a time, if there are several workers. The results are those of [`run`](Self::run).
    pub fn run_batch(
        &self,
        source: &[I],
        out: &mut [O],
        images: usize,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let (input, output) = (self.core.input, self.core.output);
        let check = |what, shape: Shape, given: usize| {
            let needed = shape.samples()?.checked_mul(images);
            let needed = needed.ok_or(Error::SizeOverflow(shape))?;
            if given == needed {
                return Ok(());
            }
            Err(Error::BatchLength { what, images, shape, needed, given })
        };
        check("source", input, source.len())?;
        check("output", output, out.len())?;
        exec::run_batch(&self.core, source, out, images, workspace)
    }
}

impl<I: Source, O: Sample> fmt::Display for ChainPlan<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.core;
        writeln!(f, "image:           {} {} → {} {}", core.input, I::TYPE, core.output, O::TYPE)?;
        for (i, layer) in self.stages().iter().enumerate() {
            writeln!(f, "layer {:<10} {layer}", format!("{}:", i + 1))?;
        }
        for (i, s) in core.segments.iter().enumerate() {
            write!(f, "segment {:<8} {} → {}", format!("{}:", i + 1), s.input, s.output)?;
            match s.window.as_ref().map(|w| &w.kind) {
                Some(WindowKind::Depthwise { passes: Some(_), .. }) => {
                    write!(f, ", depthwise in two passes")?;
                }
                Some(WindowKind::Depthwise { .. }) => write!(f, ", depthwise")?,
                Some(WindowKind::Dense(_)) => write!(f, ", convolution")?,
                Some(WindowKind::Filter(_)) => write!(f, ", filter")?,
                None => {}
            }
            if !s.mixes.is_empty() {
                write!(f, ", {} mix(es)", s.mixes.len())?;
            }
            if !s.links.is_empty() {
                write!(f, ", after {} link(s) in rings of rows", s.links.len())?;
            }
            writeln!(f, ", tiles of {} × {} pixels", s.tile, s.rows)?;
        }
        writeln!(f, "multiplications: {}", self.multiplications())?;
        writeln!(f, "arithmetic:      {}", self.arithmetic())?;
        write!(f, "level:           {}, {} thread(s)", core.level, self.threads())
    }
}
