//! The stage of layers: a window over channels, and the pointwise layers after it, which read its rows while they
//! are in the first-level cache; either alone; or neither, which widens rows to `f32`.
//!
//! ```text
//! rows ──► window of K rows ──► depthwise pass, or mix ──► mix … mix ──► output rows
//!    └─ padded where a window leaves the image, widened for several kernels a channel
//! ```
//!
//! Outputs whose windows lie inside the image read the rows themselves. Only those at its left and
//! right edge, a piece each, read prepared rows, which are few pixels long.

use super::memory::{Memory, recycle};
use super::rows::{AnyRows, Direct, Rows, with_rows};
use super::sink::Target;
use super::slots::{LayerSlot, StageSlot};
use super::walk::Walk;
use super::windows::{Piece, Windows, prepare};
use crate::any_view::OutRow;
use crate::layer::Activation;
use crate::pass::{
    Depthwise, F32, Finish, Input, Mix, Narrow, NarrowWeights, Prepare, Row, RowOrder, TapRows,
};
use crate::plan::{LayerStage, MixStage, WindowKind, WindowStage};
use crate::sample::{Sample, SampleType, with_sample};
use crate::simd::{Level, MAX_LANES, SampleLanes};
use crate::view::{Rect, View};
use std::mem::take;
use std::ops::Range;
use wide::bytemuck::cast_slice;

impl Walk<'_> {
    /// Output rows `y` of layers.
    pub(super) fn layers(
        &self,
        layers: &LayerStage,
        y: Range<usize>,
        target: &mut Target<'_>,
        own: &mut StageSlot,
        before: &mut [StageSlot],
    ) {
        // What a ring has places for.
        let most = if before.is_empty() { y.len() } else { layers.rows_together() };
        for top in y.clone().step_by(most) {
            let y = top..(top + most).min(y.end);
            match &layers.window {
                Some(WindowStage { axes: [_, axis], .. }) if axis.dilation > 1 => {
                    for j in 0..axis.taps {
                        let v = axis.first(top) + (j * axis.dilation) as isize;
                        self.load(v..v + 1, |v| axis.map(v), before);
                    }
                }
                Some(WindowStage { axes: [_, axis], .. }) => {
                    self.load(axis.under(y.clone()), |v| axis.map(v), before);
                }
                None => {
                    let rows = y.start as isize..y.end as isize;
                    self.load(rows, |v| Some(v as usize), before);
                }
            }
            let (rows, x) = (self.rows(before), own.columns.clone());
            let last = before.len() + 1 == self.segment.stages.len();
            let stream = self.stream && last;
            if let (None, [only]) = (&layers.window, &layers.mixes[..])
                && let Some(weights) = &only.narrow
            {
                self.narrow(weights, only.activation, rows, (y, x), stream, target);
            } else {
                let block = Block { layers, rows, x, stream, first: before.is_empty() };
                self.blocks(&block, y, target, &mut own.layers);
            }
        }
    }

    /// One pointwise layer of few channels, from any samples to any.
    fn narrow(
        &self,
        weights: &NarrowWeights,
        activation: Activation,
        rows: AnyRows<'_>,
        (y, x): (Range<usize>, Range<usize>),
        stream: bool,
        target: &mut Target<'_>,
    ) {
        with_rows!(rows, rows => {
            // Rows that follow each other without gaps are one.
            if let Some(source) = rows.span(y.clone(), x.clone())
                && let Some(out) = target.span(y.clone(), x.clone())
            {
                return self.narrow_row(source, weights, activation, stream, out);
            }
            for y in y {
                let source = rows.pixels(y as isize, y, x.clone());
                let [out] = target.rows(y, x.clone());
                self.narrow_row(source, weights, activation, stream, out);
            }
        });
    }

    fn narrow_row<I: Sample>(
        &self,
        source: &[I],
        weights: &NarrowWeights,
        activation: Activation,
        stream: bool,
        out: OutRow<'_>,
    ) {
        // Rows of 16 bits lie between filters only.
        if const { !I::INTEGER && !I::FLOAT } {
            return;
        }
        if self.fused && const { I::FLOAT } && out.sample() == SampleType::F32 {
            let (source, out) = (cast_slice(source), out.typed());
            let pass = Narrow::<f32, f32, true> { source, weights, activation, stream, out };
            return self.level.run(pass);
        }
        with_sample!(out.sample(), O => {
            let stream = stream && const { I::FLOAT && O::FLOAT };
            let out = out.typed();
            self.level.run(Narrow::<I, O, false> { source, weights, activation, stream, out });
        });
    }

    /// Output rows `y`, in blocks whose rows follow each other without gaps.
    fn blocks(
        &self,
        block: &Block<'_>,
        y: Range<usize>,
        target: &mut Target<'_>,
        slot: &mut LayerSlot,
    ) {
        let Block { layers, x, .. } = block;
        let float = target.sample() == SampleType::F32;
        let source = match (&layers.window, block.rows) {
            (Some(_), _) => true,
            (None, AnyRows::F32(rows)) => rows.span(y.clone(), x.clone()).is_some(),
            _ => false,
        };
        let whole = source && (!float || target.span(y.clone(), x.clone()).is_some());
        let pairs = layers.window.as_ref().is_some_and(WindowStage::pairs);
        let step = match (whole, pairs) {
            (true, _) => y.len(),
            (false, true) => 2,
            (false, false) => 1,
        };
        let row_len = x.len() * layers.channels.1;
        for top in y.clone().step_by(step) {
            let y = top..(top + step).min(y.end);
            if float && let Some(out) = target.span(y.clone(), x.clone()) {
                self.block(block, y, out.typed(), slot);
                continue;
            }
            let mut result = take(&mut slot.result);
            let results = result.aligned(y.len() * row_len + MAX_LANES);
            self.block(block, y.clone(), &mut results[..y.len() * row_len], slot);
            for (i, y) in y.enumerate() {
                let [out] = target.rows(y, x.clone());
                copy(self.level, &results[i * row_len..][..row_len + MAX_LANES], out);
            }
            slot.result = result;
        }
    }

    /// Output rows `y`, one after the other.
    fn block(&self, block: &Block<'_>, y: Range<usize>, out: &mut [f32], slot: &mut LayerSlot) {
        let &Block { layers, rows, ref x, stream, .. } = block;
        let pixels = y.len() * x.len();
        let LayerSlot { rows: [from, to], windows, sums, .. } = slot;
        let Some(window) = &layers.window else {
            let AnyRows::F32(rows) = rows else {
                with_rows!(rows, rows => {
                    let source = rows.pixels(y.start as isize, y.start, x.clone());
                    self.widen(source, from.aligned(source.len() + MAX_LANES));
                });
                if layers.mixes.is_empty() {
                    let len = out.len();
                    out.copy_from_slice(from.aligned(len));
                }
                return self.mixes(&layers.mixes, from, to, pixels, out, stream, None);
            };
            let Some(source) = rows.span(y, x.clone()) else { return };
            return match layers.mixes.as_slice() {
                [] => out.copy_from_slice(source),
                [only] => self.mix(only, source, pixels, stream, None, out),
                [first, rest @ ..] => {
                    let target = from.aligned(pixels * first.weights.outputs());
                    self.mix(first, source, pixels, false, None, target);
                    self.mixes(rest, from, to, pixels, out, stream, None);
                }
            };
        };
        // Rows of integers are widened by a stage of their own.
        let AnyRows::F32(rows) = rows else { return };
        let row_len = x.len() * window.channels;
        if layers.mixes.is_empty() {
            self.window_rows(window, rows, y, row_len, out, stream, windows, sums);
            return;
        }
        let between = from.aligned(pixels * window.channels);
        let next = self.next(block, window, y.clone());
        self.window_rows(window, rows, y, row_len, between, false, windows, sums);
        self.mixes(&layers.mixes, from, to, pixels, out, stream, next);
    }

    fn widen<I: Sample>(&self, source: &[I], out: &mut [f32]) {
        self.level.run(Prepare::<F32, I> { a: source, b: source, next: [&[]; 2], out });
    }

    /// Pointwise layers on what `from` holds, through `to` and back; the last writes `out`, while `next` is fetched.
    #[expect(clippy::too_many_arguments, reason = "all that layers read and write")]
    fn mixes<'m>(
        &self,
        mixes: &[MixStage],
        mut from: &'m mut Memory,
        mut to: &'m mut Memory,
        pixels: usize,
        out: &mut [f32],
        stream: bool,
        next: Option<View<'_, f32>>,
    ) {
        let Some((last, before)) = mixes.split_last() else { return };
        for mix in before {
            let source = from.aligned(pixels * mix.weights.inputs());
            let target = to.aligned(pixels * mix.weights.outputs());
            self.mix(mix, source, pixels, false, None, target);
            std::mem::swap(&mut from, &mut to);
        }
        let source = from.aligned(pixels * last.weights.inputs());
        self.mix(last, source, pixels, stream, next, out);
    }

    /// One pointwise layer, while `next` is fetched.
    fn mix(
        &self,
        mix: &MixStage,
        source: &[f32],
        pixels: usize,
        stream: bool,
        next: Option<View<'_, f32>>,
        out: &mut [f32],
    ) {
        if self.fused {
            mix_row::<true>(self.level, mix, source, pixels, stream, next, out);
        } else {
            mix_row::<false>(self.level, mix, source, pixels, stream, next, out);
        }
    }

    /// What the rows below a tile of output rows `y` and columns `x` read that is new, if the source
    /// comes from far.
    fn next<'b>(
        &self,
        block: &'b Block<'_>,
        window: &WindowStage,
        y: Range<usize>,
    ) -> Option<View<'b, f32>> {
        let AnyRows::F32(Rows::Source(Direct { part: view, origin })) = block.rows else {
            return None;
        };
        if !self.segment.is_far() || !block.first {
            return None;
        }
        let [axis_x, axis_y] = &window.axes;
        let (left, top) = origin;
        let inside = |v: Range<isize>, first: usize, len: usize| {
            let at = |v: isize| (v - first as isize).clamp(0, len as isize) as usize;
            at(v.start)..at(v.end)
        };
        let shape = view.shape();
        let below = |y: usize| axis_y.first(y) + axis_y.span() as isize;
        let y = inside(below(y.end - 1)..below(y.end - 1 + y.len()), top, shape.height);
        let x = inside(axis_x.under(block.x.clone()), left, shape.width);
        view.crop(Rect::new(x.start, y.start, x.len(), y.len())).ok()
    }

    /// Rows `y` of a window's output, which lie one after the other in `out`; two at a time where that is faster.
    #[expect(clippy::too_many_arguments, reason = "all that a window reads and writes")]
    fn window_rows(
        &self,
        window: &WindowStage,
        rows: Rows<'_, f32>,
        y: Range<usize>,
        row_len: usize,
        out: &mut [f32],
        stream: bool,
        windows: &mut Windows,
        sums: &mut Memory,
    ) {
        let step = if window.pairs() { 2 } else { 1 };
        let blocks = out.chunks_mut(step * row_len);
        for (y, block) in y.step_by(step).zip(blocks) {
            let (out, below) = block.split_at_mut(row_len);
            let below = Some(below).filter(|below| !below.is_empty());
            self.window(window, y, rows, out, below, stream, windows, sums);
        }
    }

    /// Row `y` of a window's output, into `out`, whose first pixel is the tile's; and the row below it, for layers of
    /// which two are computed at once.
    #[expect(clippy::too_many_arguments, reason = "all that a window reads and writes")]
    fn window(
        &self,
        window: &WindowStage,
        y: usize,
        source: Rows<'_, f32>,
        out: &mut [f32],
        mut below: Option<&mut [f32]>,
        stream: bool,
        windows: &mut Windows,
        sums: &mut Memory,
    ) {
        let [_, axis] = &window.axes;
        let Windows { pieces, rings, constant, list } = windows;
        let count = axis.taps + usize::from(below.is_some());
        let virtual_rows = (0..count).map(|j| axis.first(y) + (j * axis.dilation) as isize);
        let mut rest = &mut *out;
        for piece in pieces.iter().filter(|piece| !piece.x.is_empty()) {
            let (own, others) = rest.split_at_mut(piece.x.len() * window.channels);
            rest = others;
            let own_below;
            (own_below, below) = match below {
                Some(row) => {
                    let (own, others) = row.split_at_mut(own.len());
                    (Some(own), Some(others))
                }
                None => (None, None),
            };
            let channels = window.tap_channels();
            let mut rows = recycle(take(list));
            match piece.ring {
                None => {
                    let len = piece.len * channels;
                    rows.extend(virtual_rows.clone().map(|v| match axis.map(v) {
                        Some(y) => {
                            let first = piece.first as usize;
                            source.pixels(v, y, first..first + piece.len)
                        }
                        None => &cast_slice(&constant.0)[..len],
                    }));
                }
                Some(ring) => {
                    let ring = &mut rings[ring];
                    let len = piece.prepared_len(window) * channels;
                    for v in virtual_rows.clone() {
                        if let Some(row) = ring.missing(v) {
                            let row_under = axis.map(v).map(|y| (v, y));
                            prepare(window, piece, source, row_under, &mut row[..len]);
                        }
                    }
                    let ring = &*ring;
                    rows.extend(virtual_rows.clone().map(|v| ring.row(v)));
                }
            }
            self.piece(window, piece, &mut rows, (own, own_below), stream, sums);
            *list = recycle(rows);
        }
    }

    /// A piece's outputs from its rows.
    fn piece<'a>(
        &self,
        window: &WindowStage,
        piece: &Piece,
        rows: &mut Vec<&'a [f32]>,
        (out, below): (&mut [f32], Option<&mut [f32]>),
        stream: bool,
        sums: &mut Memory,
    ) {
        let [axis, _] = &window.axes;
        let activation = window.activation;
        match &window.kind {
            WindowKind::Depthwise { passes: Some(passes), .. } => {
                let [columns, taps] = passes.as_ref();
                let step = window.channels;
                let n = piece.len * step;
                let out_sums: &mut [f32] = sums.get(n);
                self.depthwise(rows, &[0], step, columns, Activation::None, out_sums, None);
                self.depthwise(&[&*out_sums], &piece.offsets, step, taps, activation, out, None);
            }
            WindowKind::Depthwise { taps, split, .. } => {
                let step = if *split { 1 } else { axis.stride } * window.channels;
                let offsets = &piece.offsets;
                self.depthwise(rows, offsets, step, taps, activation, out, below);
            }
            WindowKind::Dense(weights) => {
                let channels = window.inputs;
                let mut run = axis.taps * channels;
                if axis.dilation > 1 {
                    // Each tap is a row of its own.
                    run = channels;
                    let count = rows.len();
                    for j in 0..count {
                        let row = rows[j];
                        rows.extend(
                            piece.offsets.iter().map(|&offset| -> &'a [f32] { &row[offset..] }),
                        );
                    }
                    rows.drain(..count);
                }
                let (step, pixels) = (axis.stride * channels, piece.x.len());
                let (rows, level) = (rows.as_slice(), self.level);
                if self.fused {
                    level.run(Mix::<true> {
                        rows,
                        run,
                        step,
                        pixels,
                        weights,
                        activation,
                        stream,
                        next: None,
                        out,
                    });
                } else {
                    level.run(Mix::<false> {
                        rows,
                        run,
                        step,
                        pixels,
                        weights,
                        activation,
                        stream,
                        next: None,
                        out,
                    });
                }
            }
        }
    }
}

impl Walk<'_> {
    #[expect(clippy::too_many_arguments, reason = "all that the pass reads and writes")]
    fn depthwise(
        &self,
        rows: &[&[f32]],
        offsets: &[usize],
        step: usize,
        taps: &TapRows,
        activation: Activation,
        out: &mut [f32],
        below: Option<&mut [f32]>,
    ) {
        if self.fused {
            let pass = Depthwise::<true> { rows, offsets, step, taps, activation, out, below };
            self.level.run(pass);
        } else {
            let pass = Depthwise::<false> { rows, offsets, step, taps, activation, out, below };
            self.level.run(pass);
        }
    }
}

/// What layers make rows of.
struct Block<'a> {
    layers: &'a LayerStage,
    rows: AnyRows<'a>,
    /// Output columns.
    x: Range<usize>,
    /// Whether the output goes past the cache.
    stream: bool,
    /// Whether the rows are the source's.
    first: bool,
}

/// One pointwise layer over a row, while `next` is fetched.
fn mix_row<const FUSED: bool>(
    level: Level,
    mix: &MixStage,
    source: &[f32],
    pixels: usize,
    stream: bool,
    next: Option<View<'_, f32>>,
    out: &mut [f32],
) {
    let activation = mix.activation;
    if let Some(weights) = &mix.narrow {
        return level.run(Narrow::<f32, f32, FUSED> { source, weights, activation, stream, out });
    }
    let (rows, weights, run) = (&[source], &mix.weights, mix.weights.inputs());
    level.run(Mix::<FUSED> {
        rows,
        run,
        step: run,
        pixels,
        weights,
        activation,
        stream,
        next,
        out,
    });
}

/// Rounds a row into samples: a row pass with one tap of 1; floats stay as they are, with the signs of zeros.
fn copy(level: Level, row: &[f32], mut out: OutRow<'_>) {
    if out.sample() == SampleType::F32 {
        return out.copy_from(row);
    }
    let finish = &Finish::PLAIN;
    let (count, step, order) = (1, 1, RowOrder::InOrder);
    let inputs = [Input::<F32> { scratch: row, taps: &[1.0] }];
    let (stream, next) = (false, &[][..]);
    level.run(Row::<F32, 1> { inputs, count, step, finish, order, image: None, stream, next, out });
}
