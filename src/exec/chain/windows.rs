//! What window layers read: rows of the source or of a link, in pieces, and prepared rows where a
//! window leaves the image.

use super::super::Memory;
use crate::border::Border;
use crate::layer::Axis;
use crate::plan::{StageAlpha, WindowKind, WindowStage};
use crate::simd::MAX_LANES;
use crate::view::View;
use std::ops::Range;
use wide::bytemuck::cast_slice;

/// What the window layer of a tile reads.
#[derive(Debug, Default)]
pub(super) struct Windows {
    pub(super) pieces: Vec<Piece>,
    /// Prepared rows of each piece.
    pub(super) rings: [Ring; 2],
    /// A row of the vertical border's constant.
    pub(super) constant: Memory,
    /// The rows of a window; empty between uses.
    pub(super) list: Vec<&'static [u8]>,
    /// What the passes of filters need.
    pub(super) filter: FilterScratch,
}

/// The scratch memory of an image filter.
#[derive(Debug, Default)]
pub(super) struct FilterScratch {
    /// Column sums: two rows for each kernel.
    pub(super) sums: [Memory; 4],
    /// Rows widened to `f64`, and the list of them.
    pub(super) wide: Memory,
    pub(super) list: Vec<&'static [u8]>,
}

/// Prepared rows: as many as a window has, each kept until another needs its place.
#[derive(Debug, Default)]
pub(super) struct Ring {
    pub(super) memory: Memory,
    /// The row that each place holds, on the endless axis.
    pub(super) tags: Vec<isize>,
    pub(super) dilation: isize,
    /// Samples from one row to the next: there is slack for a vector.
    pub(super) pitch: usize,
}

impl Ring {
    /// Forgets all rows and makes place for `taps` rows of a window, a dilation apart, of `len`
    /// samples each, and for one more: that of the window below.
    pub(super) fn clear(&mut self, taps: usize, dilation: usize, len: usize) {
        self.tags.clear();
        self.tags.resize(taps + 1, isize::MIN);
        self.dilation = dilation as isize;
        self.pitch = (len + MAX_LANES).next_multiple_of(16);
        let _ = self.memory.get::<f32>((taps + 1) * self.pitch);
    }

    /// Rows of a window are a dilation apart, so that each has a place of its own.
    pub(super) fn place(&self, v: isize) -> usize {
        v.div_euclid(self.dilation).rem_euclid(self.tags.len() as isize) as usize
    }

    /// The place of row `v` and its slack, to be filled, if the row is not there.
    pub(super) fn missing(&mut self, v: isize) -> Option<&mut [f32]> {
        let place = self.place(v);
        if self.tags[place] == v {
            return None;
        }
        self.tags[place] = v;
        let pitch = self.pitch;
        Some(&mut self.memory.get(self.tags.len() * pitch)[place * pitch..][..pitch])
    }

    pub(super) fn has(&self, v: isize) -> bool {
        self.tags[self.place(v)] == v
    }

    /// The places of rows `v` and `v` + 1, to be filled; there must be two, with dilation 1.
    pub(super) fn pair(&mut self, v: isize) -> [&mut [f32]; 2] {
        let (place, below, pitch) = (self.place(v), self.place(v + 1), self.pitch);
        (self.tags[place], self.tags[below]) = (v, v + 1);
        let all = self.memory.get(self.tags.len() * pitch);
        let (first, second) = all.split_at_mut(place.max(below) * pitch);
        let low = &mut first[place.min(below) * pitch..][..pitch];
        let high = &mut second[..pitch];
        if place < below { [low, high] } else { [high, low] }
    }

    /// Row `v`, which must be there, and its slack.
    pub(super) fn row(&self, v: isize) -> &[f32] {
        let place = self.place(v);
        debug_assert_eq!(self.tags[place], v);
        &cast_slice(&self.memory.0)[place * self.pitch..][..self.pitch]
    }
}

/// What a window, or a mix, reads: rows of the image, or those that a link has made.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// The view's first pixel is `origin` in the image.
    Image {
        view: View<'a, f32>,
        origin: (usize, usize),
    },
    Ring {
        ring: &'a Ring,
        columns: &'a Range<usize>,
        channels: usize,
    },
}

impl<'a> Rows<'a> {
    /// Pixels `x` of row `y`, which is `v` on the endless axis.
    pub(super) fn pixels(&self, v: isize, y: usize, x: Range<usize>) -> &'a [f32] {
        match self {
            Self::Image { view, origin } => {
                let channels = view.shape().channels;
                let x = (x.start - origin.0) * channels..(x.end - origin.0) * channels;
                &view.row(y - origin.1)[x]
            }
            Self::Ring { ring, columns, channels } => {
                let row = ring.row(v);
                &row[(x.start - columns.start) * channels..(x.end - columns.start) * channels]
            }
        }
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
    source: Rows<'_>,
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
    if let WindowKind::Filter(stage) = &window.kind
        && matches!(stage.alpha, StageAlpha::Premultiply { .. })
    {
        for pixel in row.chunks_exact_mut(channels) {
            if let Some((alpha, colours)) = pixel.split_last_mut() {
                colours.iter_mut().for_each(|c| *c *= *alpha);
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
                self.rings[ring].clear(axis_y.taps, axis_y.dilation, len);
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
