//! A segment: what one walk over the image does, stage by stage, and its tiles and strips.

use super::arithmetic::Arithmetic;
use super::filter::FilterStage;
use super::runs::Sums;
use super::{BLOCK_ROWS, Pass};
use crate::geometry::{Axis, reads};
use crate::layer::{Activation, Pointwise};
use crate::pass::{ColourWeights, NarrowWeights, STENCIL_ROWS, TapRows, Weights};
use crate::sample::SampleType;
use crate::simd::{Level, MAX_LANES};
use crate::view::{Rect, Shape};

/// One walk over the image. Rows flow from stage to stage while they are in the cache; between segments the
/// whole map lies in memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub input: Shape,
    pub output: Shape,
    /// First to last; at least one.
    pub stages: Vec<Stage>,
    /// For the whole output.
    pub multiplications: u64,
    /// Output pixels of a tile across.
    pub tile: usize,
    /// Output rows that the last stage makes together, at most.
    pub rows: usize,
    /// Output rows of a strip at most.
    pub strip: usize,
}

/// What a segment does to rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// An image filter.
    Filter(Box<FilterStage>),
    /// Layers of a network, or a mix of colours, in `f32`.
    Layers(Box<LayerStage>),
    /// A pointwise layer of few channels of `u8`, with 16-bit weights.
    Colour(ColourWeights),
}

/// A window over channels and the pointwise layers after it. With neither, rows are just widened to `f32`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct LayerStage {
    pub window: Option<WindowStage>,
    pub mixes: Vec<MixStage>,
    /// Channels of its input, and of its output.
    pub channels: (usize, usize),
}

/// The layer of a stage that reads windows.
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
}

impl Stage {
    /// The filter, if it is one.
    pub fn filter(&self) -> Option<&FilterStage> {
        match self {
            Self::Filter(filter) => Some(filter),
            _ => None,
        }
    }

    /// The axes of its window, if it has one.
    pub fn axes(&self) -> Option<&[Axis; 2]> {
        match self {
            Self::Filter(filter) => Some(&filter.axes),
            Self::Layers(layers) => layers.window.as_ref().map(|window| &window.axes),
            Self::Colour(_) => None,
        }
    }

    /// Whether it makes blocks of results instead of rows.
    pub fn makes_blocks(&self) -> bool {
        self.filter().is_some_and(|filter| matches!(filter.pass, Pass::Fft(_)))
    }

    /// What it writes.
    pub fn writes(&self) -> SampleType {
        match self {
            Self::Filter(filter) => filter.types.1,
            Self::Layers(_) => SampleType::F32,
            Self::Colour(weights) => weights.writes(),
        }
    }

    /// Bytes of a sample that it reads, where the source has samples of `source` bytes and it is the `first`.
    fn bytes_read(&self, first: Option<SampleType>) -> usize {
        match self {
            Self::Filter(filter) => filter.types.0.bytes(),
            Self::Layers(_) => first.unwrap_or(SampleType::F32).bytes(),
            Self::Colour(_) => 1,
        }
    }

    /// Channels of its output.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Filter(filter) => filter.output.channels,
            Self::Layers(layers) => layers.channels.1,
            Self::Colour(weights) => weights.outputs(),
        }
    }

    /// Rows that it may read at once, of a stage before it.
    pub fn most_rows(&self) -> usize {
        match self {
            Self::Filter(filter) => {
                // A row that leaves a window is needed once more.
                let leaves = usize::from(matches!(filter.pass, Pass::Running(_) | Pass::Terms(_)));
                filter.axes[1].taps + STENCIL_ROWS - 1 + leaves
            }
            Self::Layers(layers) => {
                let taps = layers.window.as_ref().map_or(1, |window| window.axes[1].taps);
                taps + layers.rows_together() - 1
            }
            Self::Colour(_) => STENCIL_ROWS,
        }
    }

    fn window(&self) -> Option<&WindowStage> {
        match self {
            Self::Layers(layers) => layers.window.as_ref(),
            _ => None,
        }
    }
}

impl LayerStage {
    /// Output rows for which it asks the stage before it at once: where windows share no rows, only one.
    pub fn rows_together(&self) -> usize {
        let axis = self.window.as_ref().map(|window| &window.axes[1]);
        let next = axis.is_none_or(|axis| (axis.stride, axis.dilation) == (1, 1));
        if next { STENCIL_ROWS } else { 1 }
    }
}

impl WindowStage {
    /// Channels of the rows that its pass reads.
    pub fn tap_channels(&self) -> usize {
        match self.kind {
            WindowKind::Depthwise { .. } => self.channels,
            WindowKind::Dense(_) => self.inputs,
        }
    }

    /// Whether its pass reads prepared rows everywhere: rows in another order, or each channel several times.
    pub fn prepares(&self) -> bool {
        match &self.kind {
            WindowKind::Depthwise { .. } => self.split() || self.channels != self.inputs,
            WindowKind::Dense(_) => false,
        }
    }

    /// Whether two output rows are computed at once, which share most of their windows.
    pub fn pairs(&self) -> bool {
        match &self.kind {
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
    pub fn new(layer: &Pointwise, level: Level) -> Self {
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
/// Bytes of a window's rows where nothing follows: half of a usual second-level cache. Of filters, rows as long as
/// that allows measured best, because long runs keep the hardware's prefetchers going; fitting the first-level
/// cache with shorter ones brought less than that.
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
/// Samples that a tile of a filter has at least.
const TILE_SAMPLES: usize = 2048;
/// And where few rows of a window are read for each output row: long runs count for more than that
/// the window stays in the cache.
const LONG_TILE_SAMPLES: usize = 16384;
/// Bytes of a tile's rows, of all filters of a chain: about a usual second-level cache. Half as many took up to 5 % longer (AMD
/// Zen 4).
const ROWS_BYTES: usize = 1 << 20;
/// Rows of a chain's strip for each row that its start makes once more.
const ROWS_EACH: usize = 64;

impl Segment {
    pub(super) fn new(input: Shape, output: Shape, stage: Stage, multiplications: u64) -> Self {
        Self { input, output, stages: vec![stage], multiplications, tile: 1, rows: 1, strip: 1 }
    }

    /// The filter that is all it does.
    pub fn alone(&self) -> Option<&FilterStage> {
        match &self.stages[..] {
            [stage] => stage.filter(),
            _ => None,
        }
    }

    /// Whether all that it does is to make blocks of results.
    pub(super) fn makes_blocks(&self) -> bool {
        self.stages[0].makes_blocks()
    }

    fn axes(&self) -> impl DoubleEndedIterator<Item = &[Axis; 2]> {
        self.stages.iter().filter_map(Stage::axes)
    }

    /// The part of its input that a rectangle of its output reads.
    pub fn input_region(&self, rect: Rect) -> Rect {
        self.axes().rev().fold(rect, |rect, axes| reads(axes, rect))
    }

    /// Whether what comes after it may be one more stage: every row of its output serves several outputs, and
    /// making some of its pixels twice costs less than to write and read them.
    pub(super) fn leads_to(&self, next: &Stage) -> bool {
        let follows =
            next.axes().is_none_or(|[x, y]| (x.stride, y.stride, y.dilation) == (1, 1, 1));
        let stays = self.axes().all(|[x, y]| (x.stride, y.stride) == (1, 1));
        // Blocks of transforms are made as a whole.
        if self.stages.iter().chain([next]).any(Stage::makes_blocks) {
            return false;
        }
        next.axes().is_none() || follows && stays && self.output.channels <= FEW_CHANNELS
    }

    /// Whether its input, as `f32`, lies beyond the second-level cache.
    pub fn is_far(&self) -> bool {
        self.input.row() * self.input.height > FAR_BYTES / size_of::<f32>()
    }

    /// Chooses tiles and strips; `source` is what the first stage reads.
    pub(super) fn choose_tiles(&mut self, source: SampleType) {
        let filters = self.stages.iter().any(|stage| matches!(stage, Stage::Filter(_)));
        match &self.stages[..] {
            [Stage::Filter(filter)] => {
                (self.tile, self.strip) = tiles_of(filter);
                self.rows = self.strip;
            }
            _ if filters => self.choose_chain_tiles(source),
            _ => self.choose_layer_tiles(),
        }
    }

    /// Tiles of filters, and what is among them: the rows of all of them stay in the second-level cache.
    fn choose_chain_tiles(&mut self, source: SampleType) {
        let mut channels = self.input.channels;
        let mut bytes = 0;
        for (i, stage) in self.stages.iter().enumerate() {
            let rows = stage.most_rows() + STENCIL_ROWS - BLOCK_ROWS;
            bytes += rows * stage.bytes_read((i == 0).then_some(source)) * channels;
            channels = stage.outputs();
        }
        let across = self.beyond(0);
        // Sums of windows of the source: long runs. What they, and others, keep from row to row begins anew in a strip.
        let (samples, kept) = match &self.stages[..] {
            [Stage::Filter(first), ..] if first.sums() => (LONG_TILE_SAMPLES, first.axes[1].taps),
            [Stage::Filter(first), ..] if first.keeps() => (0, first.axes[1].taps),
            _ => (0, 0),
        };
        let least = (samples / self.input.channels).max(16 * across).max(64);
        let (width, most) = (self.output.width, (ROWS_BYTES / bytes).max(least));
        self.tile = width.div_ceil(width.div_ceil(most));
        self.rows = STENCIL_ROWS;
        self.strip =
            (ROWS_EACH * self.beyond(1)).max(16 * kept).max(64).next_multiple_of(self.rows);
    }

    /// What windows reach beyond a tile, or a strip, and its neighbour makes again.
    pub(super) fn beyond(&self, axis: usize) -> usize {
        self.axes().skip(1).map(|axes| axes[axis].span() - 1).sum()
    }

    /// Tiles of equal width, and several rows to a tile if one row is short.
    fn choose_layer_tiles(&mut self) {
        let windows = || self.stages.iter().filter_map(Stage::window);
        let (window, mixes) = match self.stages.last() {
            Some(Stage::Layers(last)) => (last.window.as_ref(), &last.mixes[..]),
            _ => (None, &[][..]),
        };
        let between = window.map(|w| w.channels);
        // Two rows of a window that share most of what they read are made at once.
        let pairs = window.is_some_and(WindowStage::pairs);
        let inner = mixes.iter().map(|m| m.weights.inputs()).max();
        let narrow = mixes.len() == 1 && mixes[0].narrow.is_some();
        let most = match (between, inner) {
            (Some(_), None) => {
                // All windows, and as much again for the rows that they make.
                let rows: usize = windows().map(|w| w.axes[1].taps + 1).sum();
                WINDOW_BYTES / (4 * (rows + 1) * self.input.channels.max(self.output.channels))
            }
            // Nothing is kept between rows: the fewer begin and end, the better.
            (None, Some(inputs)) if narrow => WINDOW_BYTES / (4 * inputs),
            (_, inner) => {
                let sizes = mixes.iter().map(|m| m.weights.inputs() * m.weights.outputs());
                let many = 4 * sizes.max().unwrap_or(0) > MANY_WEIGHTS;
                let bytes = match (many, self.is_far() && between.is_some()) {
                    (true, _) => LARGE_TILE_BYTES,
                    (_, true) => FAR_TILE_BYTES,
                    _ => TILE_BYTES,
                };
                bytes / (4 * inner.unwrap_or(1))
            }
        };
        let most = most.max(TILE_PIXELS).max(4 * self.beyond(0));
        let (width, height) = (self.output.width, self.output.height);
        let block = mixes.iter().map(|m| m.weights.block()).max().unwrap_or(1);
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
        let strip = STRIP_ROWS.max((4 * self.beyond(1)).min(MOST_STRIP_ROWS));
        self.strip = strip.next_multiple_of(self.rows);
        if pairs {
            self.rows = self.rows.max(2);
        }
    }

    /// Where the tile ends that begins with column `x`.
    pub fn next(&self, x: usize) -> usize {
        let block = self.alone().map_or(1, |filter| filter.block()[0]);
        // Those after it begin with a block.
        if self.tile < block { x + self.tile } else { x / block * block + self.tile }
    }
}

/// The tile and the strip of a filter alone.
fn tiles_of(filter: &FilterStage) -> (usize, usize) {
    let FilterStage { pass, arithmetic, input, output, .. } = filter;
    if let Pass::Terms(terms) = pass {
        // Each makes its rows by itself.
        let each = terms.stages.iter().map(|term| tiles_of(&term.stage));
        return each.fold((output.width, 1), |(tile, strip), (t, s)| (tile.min(t), strip.max(s)));
    }
    let [width, height] = [filter.axes[0].taps, filter.axes[1].taps];
    // A tile is wide enough that what neighbours compute twice does not count, and tiles
    // are of equal width.
    let bytes = match pass {
        // Widened rows take four bytes a sample, or eight.
        Pass::Dense(_) => match arithmetic.arithmetic {
            Arithmetic::F64 => 8,
            Arithmetic::I16 => 1,
            _ => 4,
        },
        Pass::Runs(runs) => match runs.sums {
            Sums::Doubled(levels) => 4 * levels,
            Sums::Kept | Sums::Plain => filter.reads().bytes(),
        },
        // Four for two rows.
        Pass::RowFirst(_) => 2,
        _ => filter.reads().bytes(),
    };
    // A strip's first rows are prepared again by its neighbour: many rows to a strip, or all.
    let strip = if filter.keeps() { output.height } else { (4 * height).clamp(64, 256) };
    if let Pass::Multirate(pass) = pass {
        // Blocks of rows, and what a tile reads beyond its columns.
        let samples = WINDOW_BYTES / (bytes * (3 * pass.rates[1].step + 2));
        let most = (samples / input.channels).max(4 * width);
        return (output.width.div_ceil(output.width.div_ceil(most)), strip);
    }
    if let Pass::Fft(fft) = pass {
        return (fft.results[0].min(output.width), strip);
    }
    // The window, and about as much again for a scratch row and an output row.
    let least = match pass {
        Pass::Running(_) | Pass::Blocks(_) => LONG_TILE_SAMPLES,
        _ => TILE_SAMPLES,
    };
    let samples = (WINDOW_BYTES / (bytes * (height + 2))).max(least);
    let most = (samples / input.channels).max(4 * width).max(16);
    (output.width.div_ceil(output.width.div_ceil(most)), strip)
}
