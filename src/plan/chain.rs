//! `ChainPlan`: how a chain of layers will be done, for one shape and one instruction set: the
//! fused segments it is cut into, their packed weights, tiles and strips. Plain data; the executor
//! in `exec/chain` follows it.
//!
//! A segment is what one walk over the image does: a layer with a window, or none, and the
//! pointwise layers after it, which read its rows while they are in the first-level cache. Layers
//! of stride 1 on images of few channels join the segment of what comes before them, as its links
//! do: what they read is made row by row, and again where tiles and strips meet. Between segments
//! the whole map lies in the workspace.

use crate::error::Error;
use crate::exec::{self, Workspace};
use crate::layer::{Activation, Axis, Chain, Conv2d, Depthwise, Layer, Pointwise};
use crate::pass::{ColourWeights, NarrowWeights, TapRows, Weights};
use crate::sample::{Sample, SampleType, Source};
use crate::simd::Level;
use crate::view::{Shape, View, ViewMut};
use std::fmt;
use std::marker::PhantomData;

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
    /// Whether single precision cannot keep the contract: the reference does the work.
    pub exact: bool,
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
    /// Whether pixels are so small that a row at an edge is better prepared as a whole than in
    /// pieces.
    pub whole: bool,
    pub kind: WindowKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WindowKind {
    Depthwise {
        taps: TapRows,
        /// Whether rows are sorted by their column modulo the stride, so that lanes may run over
        /// several pixels.
        split: bool,
    },
    Dense(Weights),
}

impl WindowStage {
    /// Channels of the rows that its pass reads.
    pub fn tap_channels(&self) -> usize {
        match self.kind {
            WindowKind::Depthwise { .. } => self.channels,
            WindowKind::Dense(_) => self.inputs,
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
/// Bytes of weights that stay in the second-level cache beside the tile.
const MANY_WEIGHTS: usize = 384 << 10;
/// Bytes of a window's rows where nothing follows: half of a usual second-level cache.
const WINDOW_BYTES: usize = 512 << 10;
/// Pixels that a tile has at least.
const TILE_PIXELS: usize = 48;
/// Rows that a tile may have beyond those.
const ROWS_MORE: usize = 3;
/// Rows of a strip, or somewhat more.
const STRIP_ROWS: usize = 64;
/// Channels of an image, as opposed to a map of a network: making some of its pixels twice costs
/// less than writing and reading it.
const FEW_CHANNELS: usize = 4;
/// Multiplications below which a second thread costs more than it brings.
const INLINE_WORK: u64 = 1 << 20;
/// Strips for each worker, so that none waits long for the last.
const STRIPS_EACH: usize = 4;

impl Chain {
    /// Plans this chain for images of shape `input`.
    ///
    /// `f32` images pass through any layers; integers, to or from, through pointwise layers only.
    ///
    /// Errors: an empty or too large shape, here or between layers; other channels than the first
    /// layer takes; an image smaller than a layer's window; integers and layers with windows.
    pub fn plan<I: Source, O: Sample>(&self, input: Shape) -> Result<ChainPlan<I, O>, Error> {
        Ok(ChainPlan { core: ChainCore::new(self, input, (I::TYPE, O::TYPE))?, types: PhantomData })
    }
}

impl ChainCore {
    fn new(chain: &Chain, input: Shape, types: (SampleType, SampleType)) -> Result<Self, Error> {
        let output = chain.output_shape(input)?;
        let level = chain.get_level().unwrap_or_else(Level::detect);
        let mut segments = Vec::new();
        let mut shape = input;
        for layer in chain.layers() {
            match layer {
                Layer::Depthwise(layer) => {
                    join(&mut segments, Segment::depthwise(layer, shape, level)?);
                }
                Layer::Conv2d(layer) => join(&mut segments, Segment::conv2d(layer, shape, level)?),
                Layer::Pointwise(layer) => pointwise(&mut segments, layer, shape, level)?,
                Layer::Separable(layer) => {
                    join(&mut segments, Segment::depthwise(layer.depthwise(), shape, level)?);
                    let between = layer.depthwise().output_shape(shape)?;
                    pointwise(&mut segments, layer.pointwise(), between, level)?;
                }
            }
            shape = layer.output_shape(shape)?;
        }
        for segment in &mut segments {
            segment.choose_tiles();
        }
        let float = |sample| sample == SampleType::F32;
        let (mut bound, mut exact, mut colour) = (None, false, None);
        if !(float(types.0) && float(types.1)) {
            if segments.iter().any(|s| s.window.is_some()) {
                return Err(Error::Unsupported(
                    "layers with windows are for f32 images; integers pass through pointwise \
                     layers only",
                ));
            }
            if !float(types.0) {
                let full = if types.0 == SampleType::U8 { 255.0 } else { 65535.0 };
                let (error, whole) = error_bound(chain, full);
                bound = Some(error);
                // Integers are exact up to the size that single precision holds.
                exact = !float(types.1) && error > if whole { 0.0 } else { 0.5 };
            }
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
        }
        Ok(Self { chain: chain.clone(), input, output, level, segments, colour, exact, bound })
    }

    /// How many workers are worth their start for a segment.
    pub fn workers(&self, segment: &Segment) -> usize {
        if segment.multiplications < INLINE_WORK { 1 } else { self.most_workers() }
    }

    /// How many workers are worth their start for a batch, each with an image of its own.
    pub fn batch_workers(&self, images: usize) -> usize {
        let each = self.segments.iter().map(|s| s.multiplications);
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

/// The largest error of single precision before rounding, for samples up to `full`, and whether
/// all weights are whole numbers: then it is 0 as long as the sums fit.
fn error_bound(chain: &Chain, full: f64) -> (f64, bool) {
    let (mut size, mut error, mut whole) = (full, 0.0, true);
    for layer in chain.layers() {
        let Layer::Pointwise(layer) = layer else { continue };
        let outputs = layer.output_channels();
        let (mut most, mut gain) = (0.0f64, 0.0f64);
        for o in 0..outputs {
            let column = layer.weights().iter().skip(o).step_by(outputs);
            let sum: f64 = column.map(|&w| f64::from(w).abs()).sum();
            gain = gain.max(sum);
            most = most.max(sum * size + f64::from(layer.bias()[o]).abs());
        }
        whole &= layer.weights().iter().chain(layer.bias()).all(|w| w.fract() == 0.0);
        // A rounding of each product and each sum, in a chain of additions.
        let steps = layer.input_channels() as f64 + 2.0;
        error = gain * error + steps * most * f64::from(f32::EPSILON) / 2.0;
        size = most;
        if whole && size <= f64::from(1 << f32::MANTISSA_DIGITS) {
            error = 0.0;
        }
    }
    (error, whole)
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

    /// Whether all of its windows have stride 1.
    fn is_image_chain(&self) -> bool {
        let windows = self.links.iter().map(|link| &link.window).chain([&self.window]);
        let mut strides = windows.flatten().flat_map(|w| [w.axes[0].stride, w.axes[1].stride]);
        strides.all(|stride| stride == 1)
    }

    fn depthwise(layer: &Depthwise, input: Shape, level: Level) -> Result<Self, Error> {
        let channels = layer.output_channels();
        let window = WindowStage {
            axes: layer.window().axes(layer.size(), input)?,
            inputs: input.channels,
            channels,
            activation: layer.activation(),
            whole: channels < level.lanes(),
            kind: WindowKind::Depthwise {
                taps: TapRows::new(layer.weights(), layer.bias()),
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
            whole: input.channels < level.lanes(),
            kind: WindowKind::Dense(Weights::pack(layer.weights(), layer.bias(), level.lanes())),
        };
        let multiplications = layer.multiplications(input)?;
        Ok(Self::new(input, layer.output_shape(input)?, Some(window), multiplications))
    }

    /// Tiles of equal width, and several rows to a tile if one row is short.
    fn choose_tiles(&mut self) {
        let between = self.window.as_ref().map(|w| w.channels);
        let inner = self.mixes.iter().map(|m| m.weights.inputs()).max();
        let most = match (between, inner) {
            (Some(_), None) => {
                let rows = self.window.as_ref().map_or(1, |w| w.axes[1].taps);
                WINDOW_BYTES / (4 * (rows + 2) * self.input.channels.max(self.output.channels))
            }
            (_, inner) => {
                let sizes = self.mixes.iter().map(|m| m.weights.inputs() * m.weights.outputs());
                let many = 4 * sizes.max().unwrap_or(0) > MANY_WEIGHTS;
                let bytes = if many { LARGE_TILE_BYTES } else { TILE_BYTES };
                bytes / (4 * inner.unwrap_or(1))
            }
        };
        let most = most.max(TILE_PIXELS);
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
        self.strip = STRIP_ROWS.next_multiple_of(self.rows);
    }

    /// Rows of a strip for so many workers.
    pub fn strip_rows(&self, workers: usize) -> usize {
        if workers <= 1 {
            return self.strip;
        }
        let each = self.output.height.div_ceil(workers * STRIPS_EACH);
        each.next_multiple_of(self.rows).min(self.strip).max(1)
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
    /// in output units; for integer images. 0 is exact.
    #[must_use]
    pub fn error_bound(&self) -> Option<f64> {
        if self.core.exact { Some(0.0) } else { self.core.bound }
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
    /// thread, except where the arithmetic is `f64`.
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
        let (expected, given) = (self.core.output, out.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "output", expected, given });
        }
        exec::run_chain(&self.core, I::any(source), O::any_mut(out), workspace);
        Ok(())
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
        exec::run_batch(&self.core, source, out, images, workspace);
        Ok(())
    }
}

impl<I: Source, O: Sample> fmt::Display for ChainPlan<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.core;
        writeln!(f, "image:           {} {} → {} {}", core.input, I::TYPE, core.output, O::TYPE)?;
        for (i, layer) in core.chain.layers().iter().enumerate() {
            writeln!(f, "layer {:<10} {layer}", format!("{}:", i + 1))?;
        }
        for (i, s) in core.segments.iter().enumerate() {
            write!(f, "segment {:<8} {} → {}", format!("{}:", i + 1), s.input, s.output)?;
            match s.window.as_ref().map(|w| &w.kind) {
                Some(WindowKind::Depthwise { .. }) => write!(f, ", depthwise")?,
                Some(WindowKind::Dense(_)) => write!(f, ", convolution")?,
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
        let arithmetic = match (self.error_bound(), core.exact) {
            (_, true) => "f64".to_owned(),
            (Some(bound), _) if core.colour.is_some() => {
                let bits = core.colour.as_ref().map_or(0, ColourWeights::shift);
                let error = match bound {
                    0.0 => "exact".to_owned(),
                    _ => format!("error at most {bound:.3e} before rounding"),
                };
                format!("16-bit weights into i32 ({bits} fraction bits), {error}")
            }
            (Some(bound), _) => format!("unfused f32, error at most {bound:.3e} before rounding"),
            (None, _) if (I::TYPE, O::TYPE) == (SampleType::F32, SampleType::F32) => {
                "fused f32".to_owned()
            }
            (None, _) => "unfused f32".to_owned(),
        };
        writeln!(f, "arithmetic:      {arithmetic}")?;
        write!(f, "level:           {}", core.level)
    }
}
