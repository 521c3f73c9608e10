//! A segment: what one walk over the image does, and how it is cut into tiles and strips.

use crate::filter::Post;
use crate::layer::{Activation, Axis, Pointwise};
use crate::pass::{Finish, NarrowWeights, TapRows, Weights};
use crate::plan::arithmetic::Rung;
use crate::plan::{Cut, Work, reach};
use crate::reference::Opacity;
use crate::simd::{Level, MAX_LANES};
use crate::view::{Rect, Shape};
use std::ops::Range;

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
    pub(super) fn can_follow(&self) -> bool {
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
    pub(super) fn new(layer: &Pointwise, level: Level) -> Self {
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
pub(super) const INLINE_WORK: u64 = 1 << 20;
/// A sample read or written counts as so many multiplications.
const SAMPLE_WORK: u64 = 4;
/// Strips for each worker, so that none waits long for the last.
const STRIPS_EACH: usize = 4;

impl Segment {
    pub(super) fn new(
        input: Shape,
        output: Shape,
        window: Option<WindowStage>,
        multiplications: u64,
    ) -> Self {
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
    pub(super) fn is_image_chain(&self) -> bool {
        let windows = self.links.iter().map(|link| &link.window).chain([&self.window]);
        let mut strides = windows.flatten().flat_map(|w| [w.axes[0].stride, w.axes[1].stride]);
        strides.all(|stride| stride == 1)
    }

    /// Whether its input, as `f32`, lies beyond the second-level cache.
    pub fn is_far(&self) -> bool {
        self.input.row() * self.input.height > FAR_BYTES / size_of::<f32>()
    }

    /// Tiles of equal width, and several rows to a tile if one row is short.
    pub(super) fn choose_tiles(&mut self) {
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
    pub(super) fn work(&self) -> u64 {
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
