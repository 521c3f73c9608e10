//! The scratch memory of a worker: of each stage, by use.

use super::memory::{Memory, Ring};
use super::rows::{Rows, StageRows};
use super::tile::{Run, Tile};
use super::windows::Windows;
use crate::border::Border;
use crate::filter::Alpha;
use crate::plan::{BLOCK_ROWS, FilterStage, LayerStage, Pass};
use crate::sample::{Sample, with_sample};
use std::ops::Range;
use wide::bytemuck::Pod;

/// The scratch memory of one worker: one for each stage.
#[derive(Debug, Default)]
pub(super) struct WorkerSlot {
    pub(super) stages: Vec<StageSlot>,
}

/// The scratch memory of one stage.
#[derive(Debug, Default)]
pub(super) struct StageSlot {
    pub(super) filter: FilterSlot,
    pub(super) layers: LayerSlot,
    /// Output columns, for the tile.
    pub(super) columns: Range<usize>,
    /// What the next stage reads.
    pub(super) ring: Ring,
    /// Samples from one row of the ring to the next, and channels.
    pub(super) pitch: usize,
    pub(super) channels: usize,
}

impl StageSlot {
    /// The rows of its ring, as what the next stage reads.
    pub(super) fn made<E: Pod>(&self) -> Rows<'_, E> {
        let rows = self.ring.memory.kept(self.ring.tags.len() * self.pitch);
        let (pitch, first, channels) = (self.pitch, self.columns.start, self.channels);
        Rows::Ring(StageRows { rows, ring: &self.ring, pitch, first, channels })
    }
}

/// The scratch memory of a filter, by use.
#[derive(Debug, Default)]
pub(super) struct FilterSlot {
    /// Column sums: as many rows as are computed together.
    pub(super) scratch: [Memory; BLOCK_ROWS],
    /// Widened rows.
    pub(super) wide: Ring,
    /// Copies of source rows: as `f32`, or in better places.
    pub(super) copies: Ring,
    /// A filtered row before its division by alpha.
    pub(super) filtered: Memory,
    /// A row of the constant of the horizontal border, and one of the vertical.
    pub(super) constants: [Memory; 2],
    /// Padded source rows.
    pub(super) padded: [Memory; 2],
    /// The rows of a window; empty between uses.
    pub(super) window: Vec<&'static [u8]>,
    /// What padded copies of a tile's edges are made of.
    pub(super) edges: Copied,
    pub(super) tile: Tile,
    /// Whether nothing of the tile has been made yet.
    pub(super) fresh: bool,
    /// The rows in the column sums of a window that moves.
    pub(super) held: Range<isize>,
    /// What is kept at lower rates.
    pub(super) rates: RateSlot,
    /// What transforms need.
    pub(super) fft: FftSlot,
    /// Those of a sum's terms, and the rows that each has made.
    pub(super) terms: Vec<FilterSlot>,
    pub(super) added: Memory,
}

impl FilterSlot {
    /// Begins a tile of output columns `x`, and says which columns of its input that reads.
    pub(super) fn start(&mut self, stage: &FilterStage, x: Range<usize>) -> Range<usize> {
        self.tile.set(stage, x);
        self.fresh = true;
        let premultiplied = stage.filter.get_alpha() == Some(Alpha::Premultiply);
        let len = self.tile.len * stage.input.channels;
        for (memory, axis) in self.constants.iter_mut().zip(&stage.axes) {
            with_sample!(stage.reads(), T => {
                fill::<T>(memory.get(len), &axis.border, premultiplied, stage.input.channels);
            });
        }
        if let Pass::Terms(terms) = &stage.pass {
            self.terms.resize_with(terms.stages.len().max(self.terms.len()), Default::default);
            for (term, slot) in terms.stages.iter().zip(&mut self.terms) {
                slot.start(&term.stage, self.tile.x.clone());
            }
        }
        self.tile.columns.clone()
    }

    /// The columns of its input that the tile reads.
    pub(super) fn columns(&self) -> Range<usize> {
        self.tile.columns.clone()
    }
}

/// What padded copies of a row are made of.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Pieces of it, and of a border's constant.
    pub(super) pieces: Vec<Run>,
    /// Single samples: their places in a copy, and in the row from the tile's first column on.
    pub(super) samples: Vec<(usize, usize)>,
}

/// What is kept at lower rates.
#[derive(Debug, Default)]
pub(super) struct RateSlot {
    /// A row decimated down, its phases, and decimated across.
    pub(super) row: Memory,
    pub(super) phases: Memory,
    pub(super) low: Memory,
    /// Low rows.
    pub(super) lows: Ring,
    /// A low row of the output, and what is interpolated from it, phase by phase.
    pub(super) sum: Memory,
    pub(super) parts: Memory,
    /// Rows of the full width.
    pub(super) full: Ring,
}

/// The scratch memory of transforms.
#[derive(Debug, Default)]
pub(super) struct FftSlot {
    /// Padded rows of the tile, channels apart.
    pub(super) planes: Ring,
    /// A row of what stands for 0.
    pub(super) blank: Memory,
    /// The rows that are transformed together.
    pub(super) rows: Memory,
    /// The same on the way back, for the second digit.
    pub(super) more: Memory,
    /// Columns of each digit.
    pub(super) columns: [Memory; 2],
    pub(super) scratch: Memory,
    /// Results of a block.
    pub(super) results: Memory,
    /// A row of one channel of them, and the rows of a window: for blocks that are mended.
    pub(super) row: Memory,
    pub(super) list: Vec<&'static [u8]>,
}

/// The scratch memory of layers.
#[derive(Debug, Default)]
pub(super) struct LayerSlot {
    /// Rows between layers; and widened ones.
    pub(super) rows: [Memory; 2],
    pub(super) windows: Windows,
    /// Results that are yet to be rounded.
    pub(super) result: Memory,
    /// Column sums of two passes.
    pub(super) sums: Memory,
}

impl LayerSlot {
    /// Begins a tile of output columns `x`, and says which columns of its input that reads.
    pub(super) fn start(&mut self, layers: &LayerStage, x: Range<usize>) -> Range<usize> {
        let Some(window) = &layers.window else { return x };
        self.windows.set(window, x.clone());
        window.axes[0].reads(x)
    }
}

/// Fills a row with a border's constant; multiplied by alpha if the rows are.
fn fill<'a, T: Sample>(row: &'a mut [T], border: &Border, alpha: bool, channels: usize) -> &'a [T] {
    if let Border::Constant(_) = border {
        let full = border.constant(channels - 1);
        for pixel in row.chunks_exact_mut(channels) {
            for (c, sample) in pixel.iter_mut().enumerate() {
                let factor = if alpha && c + 1 < channels { full } else { 1.0 };
                *sample = T::from_f64(border.constant(c) * factor);
            }
        }
    }
    row
}
