//! What window layers read: rows of the source or of a link, in pieces, and prepared rows where a
//! window leaves the image.

use super::memory::{Memory, Ring};
use super::rows::Rows;
use crate::border::Border;
use crate::geometry::Axis;
use crate::plan::WindowStage;
use crate::simd::MAX_LANES;
use std::ops::Range;
use wide::bytemuck::cast_slice;

/// What the window layer of a tile reads.
#[derive(Debug, Default)]
pub(super) struct Windows {
    pub(super) pieces: Vec<Piece>,
    /// Prepared rows of each piece.
    pub(super) rings: [Prepared; 2],
    /// A row of the vertical border's constant.
    pub(super) constant: Memory,
    /// The rows of a window; empty between uses.
    pub(super) list: Vec<&'static [u8]>,
}

/// Prepared rows: as many as a window has, and one more, that of the window below.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    ring: Ring,
    /// Samples from one row to the next: there is slack for a vector.
    pitch: usize,
}

impl Prepared {
    /// Forgets all rows and makes place for those of a window, of `len` samples each.
    fn clear(&mut self, axis: &Axis, len: usize) {
        self.pitch = (len + MAX_LANES).next_multiple_of(16);
        self.ring.clear_apart(axis.taps + 1, axis.dilation);
        let _ = self.ring.memory.get::<f32>((axis.taps + 1) * self.pitch);
    }

    /// The place of row `v` and its slack, to be filled, if the row is not there.
    pub(super) fn missing(&mut self, v: isize) -> Option<&mut [f32]> {
        self.ring.missing(v, self.pitch)
    }

    /// Row `v`, which must be there, and its slack.
    pub(super) fn row(&self, v: isize) -> &[f32] {
        self.ring.row(cast_slice(&self.ring.memory.0), v, self.pitch)
    }
}

/// Output pixels of a tile whose windows are read the same way.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Output columns.
    pub(super) x: Range<usize>,
    /// Where tap 0 of the first one lies, on the endless axis.
    pub(super) first: isize,
    /// Pixels under all of its windows.
    pub(super) len: usize,
    /// The ring of its prepared rows; `None` reads the source.
    pub(super) ring: Option<usize>,
    /// Pixels from one class of columns to the next, if rows are sorted by stride.
    pub(super) class: usize,
    /// Samples from tap 0 to each tap of a row.
    pub(super) offsets: Vec<usize>,
    /// How prepared rows are put together.
    pub(super) runs: Vec<Run>,
}

/// Pixels of a prepared row.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) to: usize,
    pub(super) len: usize,
    /// The source column where they start; `None` is the constant.
    pub(super) from: Option<usize>,
    /// Source columns from one to the next.
    pub(super) step: usize,
}

/// Fills in a prepared row of a piece from a row of the source, given by its place on the endless
/// axis and its index; `None` is the constant.
pub(super) fn prepare(
    window: &WindowStage,
    piece: &Piece,
    source: Rows<'_, f32>,
    row_under: Option<(isize, usize)>,
    row: &mut [f32],
) {
    let [axis_x, axis_y] = &window.axes;
    let (inputs, channels) = (window.inputs, window.tap_channels());
    let multiplier = channels / inputs;
    for run in &piece.runs {
        let to = &mut row[run.to * channels..][..run.len * channels];
        match (run.from, row_under) {
            (Some(x), Some((v, y))) => {
                let from = source.pixels(v, y, x..x + (run.len - 1) * run.step + 1);
                match (run.step, multiplier, inputs) {
                    (1, 1, _) => to.copy_from_slice(from),
                    (step, 1, 1) => copy_pixels::<1>(from, step, to),
                    (step, 1, 3) => copy_pixels::<3>(from, step, to),
                    (step, 1, 4) => copy_pixels::<4>(from, step, to),
                    (step, ..) => {
                        let pixels = from.chunks(inputs).step_by(step).flatten();
                        for (to, from) in to.chunks_exact_mut(multiplier).zip(pixels) {
                            to.fill(*from);
                        }
                    }
                }
            }
            (from, _) => {
                let axis = if from.is_none() { axis_x } else { axis_y };
                fill(&axis.border, inputs, multiplier, to);
            }
        }
    }
}

/// Every `step`th pixel of C samples.
pub(super) fn copy_pixels<const C: usize>(from: &[f32], step: usize, to: &mut [f32]) {
    let (pixels, _) = from.as_chunks::<C>();
    let (to, _) = to.as_chunks_mut::<C>();
    for (to, from) in to.iter_mut().zip(pixels.iter().step_by(step)) {
        *to = *from;
    }
}

/// Pixels of a border's constant, each channel `multiplier` times.
pub(super) fn fill(border: &Border, channels: usize, multiplier: usize, row: &mut [f32]) {
    for (i, sample) in row.iter_mut().enumerate() {
        *sample = border.constant(i / multiplier % channels) as f32;
    }
}

impl Windows {
    /// Cuts a tile's columns into pieces and forgets the rows of the last tile.
    pub(super) fn set(&mut self, window: &WindowStage, x: Range<usize>) {
        let [axis, axis_y] = &window.axes;
        let (inputs, channels) = (window.inputs, window.tap_channels());
        let split = window.split();
        let always = window.prepares();
        let inside = axis.inside();
        let (start, end) = (inside.start.clamp(x.start, x.end), inside.end.clamp(x.start, x.end));
        let pad = start > x.start || end < x.end;
        let parts = if always || start >= end || (pad && window.whole) {
            [(x, Some(0)), (0..0, None), (0..0, None)]
        } else {
            [(x.start..start, Some(0)), (start..end, None), (end..x.end, Some(1))]
        };
        self.pieces.resize_with(parts.len(), Piece::default);
        for (piece, (x, ring)) in self.pieces.iter_mut().zip(parts) {
            piece.set(axis, x, ring, split, channels);
            if let Some(ring) = ring {
                let len = piece.prepared_len(window) * channels;
                self.rings[ring].clear(axis_y, len);
            } else if let Border::Constant(_) = axis_y.border {
                // The row that stands for source rows above and below.
                fill(&axis_y.border, inputs, 1, self.constant.get(piece.len * inputs));
            }
        }
    }
}

impl Piece {
    pub(super) fn set(
        &mut self,
        axis: &Axis,
        x: Range<usize>,
        ring: Option<usize>,
        split: bool,
        channels: usize,
    ) {
        self.first = axis.first(x.start);
        self.len = if x.is_empty() { 0 } else { (x.len() - 1) * axis.stride + axis.span() };
        self.x = x;
        self.ring = ring;
        let classes = if split { axis.stride } else { 1 };
        self.class = self.len.div_ceil(classes);
        let class = self.class;
        let place = |i: usize| i % classes * class + i / classes;
        self.offsets.clear();
        self.offsets.extend((0..axis.taps).map(|i| place(i * axis.dilation) * channels));
        self.runs.clear();
        if ring.is_none() {
            return;
        }
        // Class by class, so that neighbours in the row are `classes` columns apart.
        for to in 0..classes * class {
            let i = to % class * classes + to / class;
            if i >= self.len {
                continue;
            }
            let from = axis.map(self.first + i as isize);
            if let Some(last) = self.runs.last_mut()
                && last.to + last.len == to
                && match (last.from, from) {
                    (Some(start), Some(from)) => start + last.len * classes == from,
                    (None, None) => true,
                    _ => false,
                }
            {
                last.len += 1;
            } else {
                self.runs.push(Run { to, len: 1, from, step: classes });
            }
        }
    }

    /// Pixels of a prepared row.
    pub(super) fn prepared_len(&self, window: &WindowStage) -> usize {
        if window.split() { self.class * window.axes[0].stride } else { self.len }
    }
}
