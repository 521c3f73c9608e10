//! A column tile: which pieces of source rows, constants and copies its rows are put together from.

use crate::border::Border;
use crate::plan::FilterStage;
use std::ops::Range;

/// How one tile's rows are put together from source rows and padding. Positions are pixels from
/// the tile's first one.
#[derive(Debug, Default)]
pub(super) struct Tile {
    /// Output columns.
    pub(super) x: Range<usize>,
    /// Pixels in a row of the tile, with what its padding is copied from.
    pub(super) len: usize,
    /// Where tap 0 of the first output pixel lies.
    pub(super) first: usize,
    /// Pieces, from left to right.
    pub(super) runs: Vec<Run>,
    /// Pixels that are copies of others in the row: (to, from).
    pub(super) copies: Vec<(usize, usize)>,
    /// Source columns that the runs read.
    pub(super) columns: Range<usize>,
}

/// A piece of a tile's row.
#[derive(Debug)]
pub(super) struct Run {
    /// Its position.
    pub(super) at: usize,
    /// Its length.
    pub(super) len: usize,
    /// The source column where it starts; `None` is the constant.
    pub(super) from: Option<usize>,
}

impl Tile {
    /// Where its longest run starts.
    pub(super) fn longest(&self) -> usize {
        self.runs.iter().max_by_key(|run| run.len).map_or(0, |run| run.at)
    }

    pub(super) fn set(&mut self, stage: &FilterStage, x: Range<usize>) {
        let axis = &stage.axes[0];
        let border = &axis.border;
        let width = axis.len as isize;
        let span = axis.under(x.clone());
        let inside = axis.reads(x.clone());
        self.x = x;
        self.runs.clear();
        self.copies.clear();
        let mut run = |at: isize, len: isize, from| {
            if len > 0 {
                self.runs.push(Run { at: at as usize, len: len as usize, from });
            }
        };
        let base = match border {
            Border::Wrap => {
                let mut v = span.start;
                while v < span.end {
                    let from = v.rem_euclid(width);
                    let len = (width - from).min(span.end - v);
                    run(v - span.start, len, Some(from as usize));
                    v += len;
                }
                self.len = span.len();
                span.start
            }
            Border::Constant(_) => {
                let (start, end) = (inside.start as isize, inside.end as isize);
                run(0, start - span.start, None);
                run(start - span.start, end - start, Some(inside.start));
                run(end - span.start, span.end - end, None);
                self.len = span.len();
                span.start
            }
            _ => {
                // Padding is copied from inside the row, which may reach beyond the window.
                let base = span.start.min(inside.start as isize);
                let end = span.end.max(inside.end as isize);
                run(inside.start as isize - base, inside.len() as isize, Some(inside.start));
                for v in (span.start..0).chain(width.max(span.start)..span.end) {
                    if let Some(from) = axis.map(v) {
                        self.copies.push(((v - base) as usize, (from as isize - base) as usize));
                    }
                }
                self.len = (end - base) as usize;
                base
            }
        };
        self.first = (span.start - base) as usize;
        self.columns = inside;
    }

    /// Fills in the copied pixels of a row.
    pub(super) fn pad<E: Copy>(&self, row: &mut [E], channels: usize) {
        match channels {
            1 => self.pad_pixels::<E, 1>(row),
            2 => self.pad_pixels::<E, 2>(row),
            3 => self.pad_pixels::<E, 3>(row),
            4 => self.pad_pixels::<E, 4>(row),
            _ => {
                for &(to, from) in &self.copies {
                    row.copy_within(from * channels..(from + 1) * channels, to * channels);
                }
            }
        }
    }

    /// The same for pixels of C channels.
    fn pad_pixels<E: Copy, const C: usize>(&self, row: &mut [E]) {
        let (pixels, _) = row.as_chunks_mut::<C>();
        for &(to, from) in &self.copies {
            pixels[to] = pixels[from];
        }
    }
}
