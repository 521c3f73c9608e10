//! The rows that a filter's passes read: those of its feed in the columns of a tile, with what borders put around them.

use super::rows::Feed;
use super::tile::{Run, Tile};
use crate::plan::FilterStage;
use std::ops::Range;
use wide::bytemuck::Pod;

/// A row is named by its number on the endless axis that borders continue: virtual row `v`.
pub(super) struct TileRows<'a, 'f, T> {
    pub stage: &'a FilterStage,
    pub tile: &'a Tile,
    /// Rows of the borders' constants, as long as the tile's: beside the image, and above and below it.
    pub constants: [&'a [T]; 2],
    pub feed: &'a mut Feed<'f, T>,
}

impl<T: Pod> TileRows<'_, '_, T> {
    /// Makes virtual row `v` available, if it is not a border's constant.
    pub fn load(&mut self, v: isize) {
        if !matches!(self.feed, Feed::Plain(_))
            && let Some(row) = self.stage.image_row(v)
        {
            self.feed.load(self.stage, self.tile, v, row);
        }
    }

    /// The memory of virtual row `v`, to be asked for on the way to it: none if it is a border's constant or
    /// not above row `below`, from which on nothing may be read.
    pub fn ahead(&self, v: isize, below: isize) -> &[u8] {
        let row = self.stage.image_row(v).filter(|_| v < below);
        row.map_or_else(Default::default, |row| self.feed.memory(row, self.tile.columns.clone()))
    }

    /// Pixels `x` of row `y` of the image, which is virtual row `v` and must be loaded.
    #[inline]
    pub fn pixels(&self, v: isize, y: usize, x: Range<usize>) -> &[T] {
        self.feed.row(self.stage, self.tile, v, y, x)
    }

    /// The samples of one piece of virtual row `v`, which must be loaded: of the feed, or a border's
    /// constant.
    pub fn piece(&self, run: &Run, v: isize) -> &[T] {
        let len = run.len * self.stage.input.channels;
        match (run.from, self.stage.image_row(v)) {
            (None, _) => &self.constants[0][..len],
            (_, None) => &self.constants[1][..len],
            (Some(x), Some(row)) => self.pixels(v, row, x..x + run.len),
        }
    }

    /// Fills in the samples of virtual row `v`, which must be loaded, with those of borders.
    pub fn pad(&self, v: isize, row: &mut [T]) {
        let channels = self.stage.input.channels;
        for run in &self.tile.runs {
            let piece = self.piece(run, v);
            row[run.at * channels..][..piece.len()].copy_from_slice(piece);
        }
        self.tile.pad(row, channels);
    }
}
