//! What walks: a segment over its output, and a filter over the rows of one tile. What they do with their rows is said
//! where it is done: in `segment` and `layers`, and in a file for each kind of pass.

use super::memory::{Memory, Ring};
use super::rows::AnyRows;
use super::slots::{Copied, FftSlot, RateSlot};
use crate::plan::{BLOCK_ROWS, FilterStage, Segment};
use crate::simd::Level;
use crate::view::Rect;
use std::ops::Range;

/// A run of one segment.
pub(super) struct Walk<'a> {
    pub(super) segment: &'a Segment,
    pub(super) source: AnyRows<'a>,
    /// The part of the output to compute.
    pub(super) rect: Rect,
    pub(super) level: Level,
    /// Whether multiply-adds may be fused.
    pub(super) fused: bool,
    /// Whether the output goes past the cache.
    pub(super) stream: bool,
}

/// A filter at work on rows of one tile.
pub(super) struct FilterRun<'a> {
    pub(super) stage: &'a FilterStage,
    /// Output rows.
    pub(super) rows: Range<usize>,
    /// The end of the run's output rows: nothing below their windows may be read.
    pub(super) last: usize,
    pub(super) scratch: &'a mut [Memory; BLOCK_ROWS],
    pub(super) wide: &'a mut Ring,
    pub(super) padded: &'a mut [Memory; 2],
    pub(super) window: &'a mut Vec<&'static [u8]>,
    pub(super) edges: &'a mut Copied,
    pub(super) stream: bool,
    /// Whether nothing of the tile has been made yet.
    pub(super) fresh: bool,
    /// The rows in the column sums of a window that moves.
    pub(super) held: &'a mut Range<isize>,
    pub(super) rates: &'a mut RateSlot,
    pub(super) fft: &'a mut FftSlot,
}

impl FilterRun<'_> {
    /// The blocks of output rows that are computed together, of the first of `sizes` that is left,
    /// each its first row and its rows.
    pub(super) fn blocks(&self, sizes: [usize; 3]) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Range { mut start, end } = self.rows.clone();
        std::iter::from_fn(move || {
            let rows = sizes.into_iter().find(|rows| start + rows <= end)?;
            start += rows;
            Some((start - rows, rows))
        })
    }

    /// The first virtual row below all windows of the run: it and what follows may not be read.
    pub(super) fn below(&self) -> isize {
        self.stage.rows(self.last - 1..self.last).end
    }
}
