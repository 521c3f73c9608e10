//! One segment over one image, tile by tile: what links make, the window, and the mixes after it.

use super::colours::{copy, mix_row};
use super::filter::FilterPass;
use super::windows::{FilterScratch, Piece, Rows, Windows, prepare};
use super::{LinkSlot, Part, Slot};
use crate::exec::{Memory, recycle, take};
use crate::layer::Activation;
use crate::pass::{Depthwise, Double, F32, Fused, Mix, Prepare, TapRows};
use crate::plan::arithmetic::Rung as Chosen;
use crate::plan::{
    FilterStage, MixStage, Segment, StageAlpha, WindowKind, WindowStage, Work, reach,
};
use crate::sample::{SampleType, Source};
use crate::simd::{Level, MAX_LANES};
use crate::view::{AnyView, AnyViewMut, Rect, View};
use std::ops::Range;
use wide::bytemuck::{cast_slice, cast_slice_mut};

/// One segment over one image.
pub(super) struct Walk<'a> {
    pub(super) segment: &'a Segment,
    pub(super) part: Part<'a>,
    /// The columns of its output.
    pub(super) x: Range<usize>,
    pub(super) level: Level,
    /// Whether multiply-adds may be fused.
    pub(super) fused: bool,
    /// Whether the output goes past the cache.
    pub(super) stream: bool,
}

impl Walk<'_> {
    /// The source of a segment whose first stage reads it as it is.
    fn image(&self) -> View<'_, f32> {
        match self.part.view {
            AnyView::F32(view) => view,
            _ => unreachable!("rows of integers are widened by a link"),
        }
    }

    /// One strip, whose first row is output row `top`.
    pub(super) fn strip(&self, top: usize, mut out: AnyViewMut<'_>, slot: &mut Slot) {
        let segment = self.segment;
        let height = out.shape().height;
        let float = out.sample == SampleType::F32;
        // Rows of a tile must follow each other without gaps to be one.
        let source_row = self.x.len() * segment.input.channels;
        let gapless = out.bytes.stride() == out.bytes.shape().row()
            && (segment.window.is_some() || self.image().stride() == source_row);
        // Otherwise two may be computed at once, and are then brought to their places.
        let pairs = segment.window.as_ref().is_some_and(WindowStage::pairs);
        let whole = gapless && self.x.len() <= segment.tile;
        let rows = match (whole, pairs) {
            (true, true) => segment.rows.max(2),
            (true, false) => segment.rows,
            (false, true) => 2,
            (false, false) => 1,
        };
        let mut x = self.x.start;
        while x < self.x.end {
            let tile = x..(x + segment.tile).min(self.x.end);
            if let Some(window) = &segment.window {
                slot.windows.set(window, tile.clone());
            }
            self.set_links(tile.clone(), slot);
            let mut y = 0;
            while y < height {
                let block = y..(y + rows).min(height);
                let len = block.len() * tile.len() * segment.output.channels;
                let start = (tile.start - self.x.start) * segment.output.channels;
                let (y_rows, x_columns) = (top + y..top + block.end, tile.clone());
                if float && (whole || block.len() == 1) {
                    let target: &mut [f32] = cast_slice_mut(out.bytes.span_mut(block.clone()));
                    self.tile(y_rows, x_columns, &mut target[start..][..len], slot);
                } else {
                    let mut result = take(&mut slot.result);
                    let results = result.aligned(len + MAX_LANES);
                    self.tile(y_rows, x_columns, &mut results[..len], slot);
                    let row_len = len / block.len();
                    for (i, y) in block.clone().enumerate() {
                        let [mut target] = out.rows_mut(y);
                        let row = &results[i * row_len..][..row_len + MAX_LANES];
                        copy(self.level, row, target.part(start..start + row_len));
                    }
                    slot.result = result;
                }
                y = block.end;
            }
            x = tile.end;
        }
    }

    /// Finds the columns that each link must make for a tile, from the last to the first.
    fn set_links(&self, tile: Range<usize>, slot: &mut Slot) {
        let segment = self.segment;
        slot.links.resize_with(segment.links.len().max(slot.links.len()), LinkSlot::default);
        let (mut next, mut x) = (segment.window.as_ref(), tile);
        for (i, link) in segment.links.iter().enumerate().rev() {
            let own = &mut slot.links[i];
            // Links are followed by a window.
            let Some(window) = next else { return };
            let [axis_x, axis_y] = &window.axes;
            own.columns = if x.is_empty() {
                0..0
            } else {
                let last = axis_x.first(x.end - 1) + axis_x.span() as isize;
                reach(&axis_x.border, axis_x.first(x.start)..last, axis_x.len)
            };
            let len = own.columns.len() * link.channels;
            own.ring.clear(axis_y.taps, axis_y.dilation, len);
            x = own.columns.clone();
            if let (Some(window), false) = (&link.window, x.is_empty()) {
                own.windows.set(window, x.clone());
            }
            next = link.window.as_ref();
        }
    }

    /// Makes the rows that a window of output row `y`, and of the one below if there is `and_below`,
    /// reads from the last of `links`.
    fn load(&self, window: &WindowStage, y: usize, and_below: bool, links: &mut [LinkSlot]) {
        let Some((last, before)) = links.split_last_mut() else { return };
        let link = &self.segment.links[before.len()];
        let [_, axis] = &window.axes;
        let LinkSlot { rows: [from, to], windows, ring, columns } = last;
        let len = columns.len() * link.channels;
        let window_rows = axis.taps + usize::from(and_below);
        for j in 0..window_rows {
            let v = axis.first(y) + (j * axis.dilation) as isize;
            let Some(y) = axis.map(v) else { continue };
            // A window that sees nothing but constants needs no columns.
            if len == 0 || ring.has(v) {
                continue;
            }
            let Some(window) = &link.window else {
                // Only the first link has none: it reads the image.
                let Some(out) = ring.missing(v) else { continue };
                self.first_link(&link.mixes, y, columns.clone(), [from, to], &mut out[..len]);
                continue;
            };
            // Two rows at once, where the next one is needed and lies below this one.
            let both = window.pairs()
                && link.mixes.is_empty()
                && j + 1 < window_rows
                && axis.dilation == 1
                && axis.map(v + 1) == Some(y + 1)
                && !ring.has(v + 1);
            self.load(window, y, both, before);
            let source = self.rows(before);
            if both {
                let [out, below] = ring.pair(v);
                let below = Some(&mut below[..len]);
                self.window(window, y, source, &mut out[..len], below, false, windows);
                continue;
            }
            let Some(out) = ring.missing(v) else { continue };
            let out = &mut out[..len];
            if link.mixes.is_empty() {
                self.window(window, y, source, out, None, false, windows);
            } else {
                let row = from.aligned(columns.len() * window.channels);
                self.window(window, y, source, row, None, false, windows);
                self.mixes(&link.mixes, from, to, columns.len(), out, false, None);
            }
        }
    }

    /// What follows `links` reads.
    fn rows<'b>(&'b self, links: &'b [LinkSlot]) -> Rows<'b> {
        match links.last() {
            None => Rows::Image { view: self.image(), origin: self.part.origin },
            Some(LinkSlot { ring, columns, .. }) => {
                let channels = self.segment.links[links.len() - 1].channels;
                Rows::Ring { ring, columns, channels }
            }
        }
    }

    /// Pixels `x` of row `y` of the image, widened and through pointwise layers.
    fn first_link(
        &self,
        mixes: &[MixStage],
        y: usize,
        x: Range<usize>,
        [from, to]: [&mut Memory; 2],
        out: &mut [f32],
    ) {
        let pixels = x.len();
        let channels = self.segment.input.channels;
        let (left, top) = self.part.origin;
        let samples = (x.start - left) * channels..(x.end - left) * channels;
        let y = y - top;
        let row = from.aligned(samples.len() + MAX_LANES);
        match self.part.view {
            AnyView::U8(source) => self.widen(&source.row(y)[samples], row),
            AnyView::U16(source) => self.widen(&source.row(y)[samples], row),
            AnyView::F32(source) => {
                let source = &source.row(y)[samples];
                match mixes {
                    [] => out.copy_from_slice(source),
                    [only] => self.mix(only, source, pixels, false, None, out),
                    [first, rest @ ..] => {
                        let target = from.aligned(pixels * first.weights.outputs());
                        self.mix(first, source, pixels, false, None, target);
                        self.mixes(rest, from, to, pixels, out, false, None);
                    }
                }
                return;
            }
        }
        if mixes.is_empty() {
            out.copy_from_slice(&row[..out.len()]);
        } else {
            self.mixes(mixes, from, to, pixels, out, false, None);
        }
    }

    fn widen<I: Source>(&self, source: &[I], out: &mut [f32]) {
        self.level.run(Prepare::<F32, I> { a: source, b: source, next: [&[]; 2], out });
    }

    /// Output rows `y` and columns `x`; more than one row only if they are whole.
    fn tile(&self, y: Range<usize>, x: Range<usize>, out: &mut [f32], slot: &mut Slot) {
        let segment = self.segment;
        let pixels = y.len() * x.len();
        let Slot { rows: [from, to], windows, links, .. } = slot;
        let Some(window) = &segment.window else {
            let channels = segment.input.channels;
            let (left, top) = self.part.origin;
            let rows = self.image().span(y.start - top..y.end - top);
            let source = &rows[(x.start - left) * channels..][..pixels * channels];
            match segment.mixes.as_slice() {
                [] => {}
                [only] => self.mix(only, source, pixels, self.stream, None, out),
                [first, rest @ ..] => {
                    let target = from.aligned(pixels * first.weights.outputs());
                    self.mix(first, source, pixels, false, None, target);
                    self.mixes(rest, from, to, pixels, out, true, None);
                }
            }
            return;
        };
        let row_len = x.len() * window.channels;
        let links = &mut links[..segment.links.len()];
        if segment.mixes.is_empty() {
            self.window_rows(window, y, row_len, out, self.stream, links, windows);
            return;
        }
        let rows = from.aligned(pixels * window.channels);
        let next = self.next(window, y.clone(), x);
        self.window_rows(window, y, row_len, rows, false, links, windows);
        self.mixes(&segment.mixes, from, to, pixels, out, true, next);
    }

    /// Pointwise layers on what `from` holds, through `to` and back; the last writes `out`, which
    /// is the segment's if this is its `end`, while `next` is fetched.
    #[expect(clippy::too_many_arguments, reason = "all that layers read and write")]
    fn mixes<'m>(
        &self,
        mixes: &[MixStage],
        mut from: &'m mut Memory,
        mut to: &'m mut Memory,
        pixels: usize,
        out: &mut [f32],
        end: bool,
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
        self.mix(last, source, pixels, end && self.stream, next, out);
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
    fn next(
        &self,
        window: &WindowStage,
        y: Range<usize>,
        x: Range<usize>,
    ) -> Option<View<'_, f32>> {
        let AnyView::F32(view) = self.part.view else { return None };
        if !self.segment.is_far() || !self.segment.links.is_empty() {
            return None;
        }
        let [axis_x, axis_y] = &window.axes;
        let (left, top) = self.part.origin;
        let inside = |v: Range<isize>, first: usize, len: usize| {
            let at = |v: isize| (v - first as isize).clamp(0, len as isize) as usize;
            at(v.start)..at(v.end)
        };
        let shape = view.shape();
        let below = |y: usize| axis_y.first(y) + axis_y.span() as isize;
        let y = inside(below(y.end - 1)..below(y.end - 1 + y.len()), top, shape.height);
        let x = inside(axis_x.under(x), left, shape.width);
        view.crop(Rect::new(x.start, y.start, x.len(), y.len())).ok()
    }

    /// Rows `y` of a window layer's output, which lie one after the other in `out`; two at a time
    /// where that is faster.
    #[expect(clippy::too_many_arguments, reason = "all that a window reads and writes")]
    fn window_rows(
        &self,
        window: &WindowStage,
        y: Range<usize>,
        row_len: usize,
        out: &mut [f32],
        stream: bool,
        links: &mut [LinkSlot],
        windows: &mut Windows,
    ) {
        let step = if window.pairs() { 2 } else { 1 };
        let blocks = out.chunks_mut(step * row_len);
        for (y, block) in y.step_by(step).zip(blocks) {
            let (out, below) = block.split_at_mut(row_len);
            let below = Some(below).filter(|below| !below.is_empty());
            self.load(window, y, below.is_some(), links);
            self.window(window, y, self.rows(links), out, below, stream, windows);
        }
    }

    /// Row `y` of a window layer's output, into `out`, whose first pixel is the tile's; and the row
    /// below it, for layers of which two are computed at once.
    #[expect(clippy::too_many_arguments, reason = "all that a window reads and writes")]
    fn window(
        &self,
        window: &WindowStage,
        y: usize,
        source: Rows<'_>,
        out: &mut [f32],
        mut below: Option<&mut [f32]>,
        stream: bool,
        windows: &mut Windows,
    ) {
        let [_, axis] = &window.axes;
        let Windows { pieces, rings, constant, list, filter } = windows;
        let rows = axis.taps + usize::from(below.is_some());
        let virtual_rows = (0..rows).map(|j| axis.first(y) + (j * axis.dilation) as isize);
        let stage = match &window.kind {
            WindowKind::Filter(stage) => Some(stage.as_ref()),
            _ => None,
        };
        // What alpha changes afterwards stays in the cache.
        let stream = stream && stage.is_none_or(|s| s.alpha == StageAlpha::Plain);
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
            match stage {
                Some(stage) => {
                    self.filter(
                        stage,
                        window,
                        piece,
                        &rows,
                        [Some(own), own_below],
                        stream,
                        filter,
                    );
                }
                None => {
                    let outs = (own, own_below);
                    self.piece(window, piece, &mut rows, outs, stream, &mut filter.sums[0]);
                }
            }
            *list = recycle(rows);
        }
        match stage.map(|stage| stage.alpha) {
            Some(StageAlpha::Keep { anchor }) => {
                // With border `Valid`, the first window begins at the image's first pixel.
                let [axis_x, _] = &window.axes;
                let x = pieces.iter().filter(|p| !p.x.is_empty()).map(|p| &p.x);
                let (start, end) =
                    x.fold((usize::MAX, 0), |(start, end), x| (start.min(x.start), end.max(x.end)));
                let under = |x: usize| (axis_x.first(x) + anchor.0 as isize) as usize;
                let v = axis.first(y) + anchor.1 as isize;
                if start < end {
                    let from = source.pixels(v, v as usize, under(start)..under(end - 1) + 1);
                    let n = window.channels;
                    for (to, from) in out.chunks_exact_mut(n).zip(from.chunks_exact(n)) {
                        to[n - 1] = from[n - 1];
                    }
                }
            }
            Some(StageAlpha::Premultiply { opacity, offset, post }) => {
                crate::exec::divide(out, window.channels, opacity, offset, post);
            }
            _ => {}
        }
    }

    /// A piece's outputs of an image filter from its rows.
    #[expect(clippy::too_many_arguments, reason = "all that a pass reads and writes")]
    fn filter(
        &self,
        stage: &FilterStage,
        window: &WindowStage,
        piece: &Piece,
        rows: &[&[f32]],
        outs: [Option<&mut [f32]>; 2],
        stream: bool,
        scratch: &mut FilterScratch,
    ) {
        let pass = FilterPass { level: self.level, stage, window, piece, rows, stream };
        match (&stage.work, stage.rung) {
            (Work::Separable(passes), Chosen::F32) => pass.separable::<F32>(passes, outs, scratch),
            (Work::Separable(passes), Chosen::Fused) => {
                pass.separable::<Fused>(passes, outs, scratch);
            }
            (Work::Separable(passes), Chosen::Double) => {
                pass.separable::<Double>(passes, outs, scratch);
            }
            (Work::Dense(taps), Chosen::F32) => pass.dense::<F32>(taps, rows, outs),
            (Work::Dense(taps), Chosen::Fused) => pass.dense::<Fused>(taps, rows, outs),
            (Work::Dense(taps), Chosen::Double) => {
                let FilterScratch { wide, list, .. } = scratch;
                let len = piece.len * window.inputs;
                let pitch = len + MAX_LANES;
                let all: &mut [f64] = wide.get(rows.len() * pitch);
                for (row, out) in rows.iter().zip(all.chunks_exact_mut(pitch)) {
                    let row = &row[..len];
                    self.level.run(Prepare::<Double, f32> { a: row, b: row, next: [&[]; 2], out });
                }
                let mut rows = recycle(take(list));
                rows.extend(all.chunks_exact(pitch));
                pass.dense::<Double>(taps, &rows, outs);
                *list = recycle(rows);
            }
            // No plan chooses anything else for rows of `f32`.
            _ => {}
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
            // Goes through `filter`.
            WindowKind::Filter(_) => {}
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
