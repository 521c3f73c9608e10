//! The executor of layer chains. It walks each segment as filters are walked: strips of the output
//! on several workers, tiles within a strip. What a tile's window layer computes goes into the
//! pointwise layers while it is in the first-level cache.
//!
//! ```text
//! source rows ──► window of K rows ──► depthwise pass, or mix ──► mix … mix ──► output rows
//!        └─ padded where a window leaves the image, widened for several kernels a channel
//! ```
//!
//! Links, the layers before the last window of a segment, do the same into rings of rows, as many
//! as the next window needs, as wide as the tile and what its windows reach beyond it.
//!
//! Outputs whose windows lie inside the image read the source itself. Only those at its left and
//! right edge, a piece each, read prepared rows, which are few pixels long.

use super::{Memory, Workspace, each_strip, recycle, take};
use crate::border::Border;
use crate::filter::Post;
use crate::layer::Axis;
use crate::pass::{Colour, Depthwise, F32, Finish, Fixed, Fused, Input, Mix, Narrow, Prepare, Row};
use crate::plan::{ChainCore, MixStage, Segment, WindowKind, WindowStage, reach};
use crate::reference;
use crate::sample::{Sample, Source};
use crate::simd::{Level, MAX_LANES, fence};
use crate::view::{AnyView, AnyViewMut, Shape, View, ViewMut};
use std::ops::Range;
use wide::bytemuck::cast_slice;

/// The scratch memory of chains.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// One for each worker.
    slots: Vec<Slot>,
    /// What lies between segments: one is read while the other is written.
    maps: [Memory; 2],
    /// The same for workers that have an image each.
    images: Vec<Scratch>,
}

/// The scratch memory of one worker.
#[derive(Debug, Default)]
struct Slot {
    /// Rows between layers; and, for integers, widened or unrounded ones.
    rows: [Memory; 2],
    windows: Windows,
    /// One for each link of a segment.
    links: Vec<LinkSlot>,
}

/// The scratch memory of a link.
#[derive(Debug, Default)]
struct LinkSlot {
    rows: [Memory; 2],
    windows: Windows,
    /// Its output, for the tile.
    ring: Ring,
    columns: Range<usize>,
}

/// What the window layer of a tile reads.
#[derive(Debug, Default)]
struct Windows {
    pieces: Vec<Piece>,
    /// Prepared rows of each piece.
    rings: [Ring; 2],
    /// A row of the vertical border's constant.
    constant: Memory,
    /// The rows of a window; empty between uses.
    list: Vec<&'static [u8]>,
}

/// Prepared rows: as many as a window has, each kept until another needs its place.
#[derive(Debug, Default)]
struct Ring {
    memory: Memory,
    /// The row that each place holds, on the endless axis.
    tags: Vec<isize>,
    dilation: isize,
}

impl Ring {
    /// Forgets all rows and makes place for `taps` rows of a window, a dilation apart, of `len`
    /// samples each.
    fn clear(&mut self, taps: usize, dilation: usize, len: usize) {
        self.tags.clear();
        self.tags.resize(taps, isize::MIN);
        self.dilation = dilation as isize;
        let _ = self.memory.get::<f32>(taps * len);
    }

    /// Rows of a window are a dilation apart, so that each has a place of its own.
    fn place(&self, v: isize) -> usize {
        v.div_euclid(self.dilation).rem_euclid(self.tags.len() as isize) as usize
    }

    /// The place of row `v`, to be filled, if the row is not there.
    fn missing(&mut self, v: isize, len: usize) -> Option<&mut [f32]> {
        let place = self.place(v);
        if self.tags[place] == v {
            return None;
        }
        self.tags[place] = v;
        Some(&mut self.memory.get(self.tags.len() * len)[place * len..][..len])
    }

    /// Row `v`, which must be there.
    fn row(&self, v: isize, len: usize) -> &[f32] {
        let place = self.place(v);
        debug_assert_eq!(self.tags[place], v);
        &cast_slice(&self.memory.0)[place * len..][..len]
    }
}

/// What a window, or a mix, reads: rows of the image, or those that a link has made.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Image(View<'a, f32>),
    Ring { ring: &'a Ring, columns: &'a Range<usize>, channels: usize },
}

impl<'a> Rows<'a> {
    /// Pixels `x` of row `y`, which is `v` on the endless axis.
    fn pixels(&self, v: isize, y: usize, x: Range<usize>) -> &'a [f32] {
        match self {
            Self::Image(view) => {
                let channels = view.shape().channels;
                &view.row(y)[x.start * channels..x.end * channels]
            }
            Self::Ring { ring, columns, channels } => {
                let row = ring.row(v, columns.len() * channels);
                &row[(x.start - columns.start) * channels..(x.end - columns.start) * channels]
            }
        }
    }
}

/// Output pixels of a tile whose windows are read the same way.
#[derive(Debug, Default)]
struct Piece {
    /// Output columns.
    x: Range<usize>,
    /// Where tap 0 of the first one lies, on the endless axis.
    first: isize,
    /// Pixels under all of its windows.
    len: usize,
    /// The ring of its prepared rows; `None` reads the source.
    ring: Option<usize>,
    /// Pixels from one class of columns to the next, if rows are sorted by stride.
    class: usize,
    /// Samples from tap 0 to each tap of a row.
    offsets: Vec<usize>,
    /// How prepared rows are put together.
    runs: Vec<Run>,
}

/// Pixels of a prepared row.
#[derive(Debug)]
struct Run {
    to: usize,
    len: usize,
    /// The source column where they start; `None` is the constant.
    from: Option<usize>,
    /// Source columns from one to the next.
    step: usize,
}

/// Outputs above this size are written past the cache.
const STREAM_BYTES: usize = super::STREAM_BYTES;

/// Runs a chain. The plan has checked the shapes.
pub(crate) fn run_chain(
    core: &ChainCore,
    source: AnyView<'_>,
    out: AnyViewMut<'_>,
    workspace: &mut Workspace,
) {
    run(core, source, out, &mut workspace.layers, usize::MAX);
}

/// Runs a chain on images that lie one after the other: as many at a time as there are workers, and
/// what remains strip by strip. The plan has checked the lengths.
pub(crate) fn run_batch<I: Source, O: Sample>(
    core: &ChainCore,
    source: &[I],
    out: &mut [O],
    images: usize,
    workspace: &mut Workspace,
) {
    let len = |shape: Shape| shape.row() * shape.height;
    let (input, output) = (len(core.input), len(core.output));
    let one = |source: &[I], out: &mut [O], scratch: &mut Scratch, most: usize| {
        let source = I::any(View::gapless(source, core.input));
        run(core, source, O::any_mut(ViewMut::gapless(out, core.output)), scratch, most);
    };
    let scratch = &mut workspace.layers;
    let workers = core.batch_workers(images);
    // Those that all workers have one of, round by round.
    let whole = if workers > 1 { images - images % workers } else { 0 };
    let (sources, source) = source.split_at(whole * input);
    let (outs, out) = out.split_at_mut(whole * output);
    #[cfg(feature = "rayon")]
    if whole > 0 {
        if scratch.images.len() < workers {
            scratch.images.resize_with(workers, Scratch::default);
        }
        let pairs = sources.chunks_exact(input).zip(outs.chunks_exact_mut(output));
        let (pairs, one) = (&std::sync::Mutex::new(pairs), &one);
        rayon::scope(|scope| {
            for scratch in &mut scratch.images[..workers] {
                scope.spawn(move |_| {
                    // As for strips: held while the next image is taken.
                    while let Some((source, out)) = pairs.lock().ok().and_then(|mut p| p.next()) {
                        one(source, out, scratch, 1);
                    }
                });
            }
        });
    }
    #[cfg(not(feature = "rayon"))]
    debug_assert!(sources.is_empty() && outs.is_empty());
    for (source, out) in source.chunks_exact(input).zip(out.chunks_exact_mut(output)) {
        one(source, out, scratch, usize::MAX);
    }
}

/// Runs a chain with at most `most` workers.
fn run(
    core: &ChainCore,
    source: AnyView<'_>,
    out: AnyViewMut<'_>,
    scratch: &mut Scratch,
    most: usize,
) {
    match (source, out) {
        (AnyView::F32(source), AnyViewMut::F32(out)) => float(core, source, out, scratch, most),
        (AnyView::U8(source), AnyViewMut::U8(out)) => bytes(core, source, out, scratch, most),
        (AnyView::U8(source), out) => colours_from(core, source, out, scratch, most),
        (AnyView::U16(source), out) => colours_from(core, source, out, scratch, most),
        (AnyView::F32(source), out) => colours_from(core, source, out, scratch, most),
    }
}

/// All segments of an `f32` chain.
fn float(
    core: &ChainCore,
    source: View<'_, f32>,
    out: ViewMut<'_, f32>,
    scratch: &mut Scratch,
    most: usize,
) {
    let Scratch { slots, maps: [read, write], .. } = scratch;
    let (mut read, mut write) = (read, write);
    let mut out = Some(out);
    for (i, segment) in core.segments.iter().enumerate() {
        let len = |shape: Shape| shape.row() * shape.height;
        let source = if i == 0 {
            source
        } else {
            View::gapless(read.aligned(len(segment.input)), segment.input)
        };
        let target = if i + 1 == core.segments.len() {
            out.take()
        } else {
            Some(ViewMut::gapless(write.aligned(len(segment.output)), segment.output))
        };
        if let Some(target) = target {
            let bytes = len(segment.output) * size_of::<f32>();
            let stream = bytes > STREAM_BYTES;
            let walk = Walk { segment, source, level: core.level, stream };
            let workers = core.workers(segment).min(most);
            let strip = segment.strip_rows(workers);
            let workers = workers.clamp(1, segment.output.height.div_ceil(strip));
            if slots.len() < workers {
                slots.resize_with(workers, Slot::default);
            }
            each_strip(target, 0, strip, &mut slots[..workers], &|y, out, slot: &mut Slot| {
                walk.strip(y, out, slot);
                if stream {
                    fence();
                }
            });
        }
        std::mem::swap(&mut read, &mut write);
    }
}

/// One segment over one image.
struct Walk<'a> {
    segment: &'a Segment,
    source: View<'a, f32>,
    level: Level,
    /// Whether the output goes past the cache.
    stream: bool,
}

impl Walk<'_> {
    /// One strip, whose first row is output row `top`.
    fn strip(&self, top: usize, mut out: ViewMut<'_, f32>, slot: &mut Slot) {
        let segment = self.segment;
        let (width, height) = (segment.output.width, out.shape().height);
        // Rows of a tile must follow each other without gaps to be one.
        let gapless = out.stride() == out.shape().row()
            && (segment.window.is_some() || self.source.stride() == segment.input.row());
        let rows = if gapless { segment.rows } else { 1 };
        let mut x = 0;
        while x < width {
            let tile = x..(x + segment.tile).min(width);
            if let Some(window) = &segment.window {
                slot.windows.set(window, tile.clone());
            }
            self.set_links(tile.clone(), slot);
            let mut y = 0;
            while y < height {
                let block = y..(y + rows).min(height);
                let len = block.len() * tile.len();
                let channels = segment.output.channels;
                let target =
                    &mut out.span_mut(block.clone())[tile.start * channels..][..len * channels];
                self.tile(top + y..top + block.end, tile.clone(), target, slot);
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

    /// Makes the rows that a window of output row `y` reads from the last of `links`.
    fn load(&self, window: &WindowStage, y: usize, links: &mut [LinkSlot]) {
        let Some((last, before)) = links.split_last_mut() else { return };
        let link = &self.segment.links[before.len()];
        let [_, axis] = &window.axes;
        let LinkSlot { rows: [from, to], windows, ring, columns } = last;
        let len = columns.len() * link.channels;
        for j in 0..axis.taps {
            let v = axis.first(y) + (j * axis.dilation) as isize;
            let Some(y) = axis.map(v) else { continue };
            // A window that sees nothing but constants needs no columns.
            if len == 0 {
                continue;
            }
            let Some(out) = ring.missing(v, len) else { continue };
            let Some(window) = &link.window else {
                // Only the first link has none: it reads the image.
                let source = Rows::Image(self.source).pixels(v, y, columns.clone());
                self.inner_mixes(&link.mixes, source, columns.len(), [from, to], out);
                continue;
            };
            self.load(window, y, before);
            let source = self.rows(before);
            if link.mixes.is_empty() {
                self.window(window, y, source, out, false, windows);
            } else {
                let row = from.aligned(columns.len() * window.channels);
                self.window(window, y, source, row, false, windows);
                self.mixes(&link.mixes, from, to, columns.len(), out, false);
            }
        }
    }

    /// What follows `links` reads.
    fn rows<'b>(&'b self, links: &'b [LinkSlot]) -> Rows<'b> {
        match links.last() {
            None => Rows::Image(self.source),
            Some(LinkSlot { ring, columns, .. }) => {
                let channels = self.segment.links[links.len() - 1].channels;
                Rows::Ring { ring, columns, channels }
            }
        }
    }

    /// Pointwise layers on `source` that are not the last of the segment.
    fn inner_mixes(
        &self,
        mixes: &[MixStage],
        source: &[f32],
        pixels: usize,
        [from, to]: [&mut Memory; 2],
        out: &mut [f32],
    ) {
        match mixes {
            [] => out.copy_from_slice(source),
            [only] => self.mix(only, source, pixels, false, out),
            [first, rest @ ..] => {
                let target = from.aligned(pixels * first.weights.outputs());
                self.mix(first, source, pixels, false, target);
                self.mixes(rest, from, to, pixels, out, false);
            }
        }
    }

    /// Output rows `y` and columns `x`; more than one row only if they are whole.
    fn tile(&self, y: Range<usize>, x: Range<usize>, out: &mut [f32], slot: &mut Slot) {
        let segment = self.segment;
        let pixels = y.len() * x.len();
        let Slot { rows: [from, to], windows, links } = slot;
        let Some(window) = &segment.window else {
            let channels = segment.input.channels;
            let source = &self.source.span(y)[x.start * channels..][..pixels * channels];
            match segment.mixes.as_slice() {
                [] => {}
                [only] => self.mix(only, source, pixels, self.stream, out),
                [first, rest @ ..] => {
                    let target = from.aligned(pixels * first.weights.outputs());
                    self.mix(first, source, pixels, false, target);
                    self.mixes(rest, from, to, pixels, out, true);
                }
            }
            return;
        };
        let row_len = x.len() * window.channels;
        let links = &mut links[..segment.links.len()];
        if segment.mixes.is_empty() {
            for (y, out) in y.zip(out.chunks_exact_mut(row_len)) {
                self.load(window, y, links);
                self.window(window, y, self.rows(links), out, self.stream, windows);
            }
            return;
        }
        let rows = from.aligned(pixels * window.channels);
        for (y, row) in y.zip(rows.chunks_exact_mut(row_len)) {
            self.load(window, y, links);
            self.window(window, y, self.rows(links), row, false, windows);
        }
        self.mixes(&segment.mixes, from, to, pixels, out, true);
    }

    /// Pointwise layers on what `from` holds, through `to` and back; the last writes `out`, which
    /// is the segment's if this is its `end`.
    fn mixes<'m>(
        &self,
        mixes: &[MixStage],
        mut from: &'m mut Memory,
        mut to: &'m mut Memory,
        pixels: usize,
        out: &mut [f32],
        end: bool,
    ) {
        let Some((last, before)) = mixes.split_last() else { return };
        for mix in before {
            let source = from.aligned(pixels * mix.weights.inputs());
            let target = to.aligned(pixels * mix.weights.outputs());
            self.mix(mix, source, pixels, false, target);
            std::mem::swap(&mut from, &mut to);
        }
        let source = from.aligned(pixels * last.weights.inputs());
        self.mix(last, source, pixels, end && self.stream, out);
    }

    /// One pointwise layer. Narrow vectors overlap, which those past the cache must not: these
    /// layers always write into it.
    fn mix(&self, mix: &MixStage, source: &[f32], pixels: usize, stream: bool, out: &mut [f32]) {
        let activation = mix.activation;
        if let Some(weights) = &mix.narrow {
            self.level.run(Narrow::<f32, f32, true> { source, weights, activation, out });
            return;
        }
        let (weights, run) = (&mix.weights, mix.weights.inputs());
        self.level.run(Mix::<true> {
            rows: &[source],
            run,
            step: run,
            pixels,
            weights,
            activation,
            stream,
            out,
        });
    }

    /// Row `y` of a window layer's output, into `out`, whose first pixel is the tile's.
    fn window(
        &self,
        window: &WindowStage,
        y: usize,
        source: Rows<'_>,
        out: &mut [f32],
        stream: bool,
        windows: &mut Windows,
    ) {
        let [_, axis] = &window.axes;
        let Windows { pieces, rings, constant, list } = windows;
        let virtual_rows = (0..axis.taps).map(|j| axis.first(y) + (j * axis.dilation) as isize);
        let mut rest = out;
        for piece in pieces.iter().filter(|piece| !piece.x.is_empty()) {
            let (own, others) = rest.split_at_mut(piece.x.len() * window.channels);
            rest = others;
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
                        if let Some(row) = ring.missing(v, len) {
                            let row_under = axis.map(v).map(|y| (v, y));
                            prepare(window, piece, source, row_under, row);
                        }
                    }
                    let ring = &*ring;
                    rows.extend(virtual_rows.clone().map(|v| ring.row(v, len)));
                }
            }
            self.piece(window, piece, &mut rows, own, stream);
            *list = recycle(rows);
        }
    }

    /// A piece's outputs from its rows.
    fn piece<'a>(
        &self,
        window: &WindowStage,
        piece: &Piece,
        rows: &mut Vec<&'a [f32]>,
        out: &mut [f32],
        stream: bool,
    ) {
        let [axis, _] = &window.axes;
        let activation = window.activation;
        match &window.kind {
            WindowKind::Depthwise { taps, split, .. } => {
                let step = if *split { 1 } else { axis.stride } * window.channels;
                let offsets = &piece.offsets;
                self.level.run(Depthwise { rows, offsets, step, taps, activation, out });
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
                let rows = rows.as_slice();
                self.level.run(Mix::<true> {
                    rows,
                    run,
                    step,
                    pixels,
                    weights,
                    activation,
                    stream,
                    out,
                });
            }
        }
    }
}

/// Fills in a prepared row of a piece from a row of the source, given by its place on the endless
/// axis and its index; `None` is the constant.
fn prepare(
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
}

/// Every `step`th pixel of C samples.
fn copy_pixels<const C: usize>(from: &[f32], step: usize, to: &mut [f32]) {
    let (pixels, _) = from.as_chunks::<C>();
    let (to, _) = to.as_chunks_mut::<C>();
    for (to, from) in to.iter_mut().zip(pixels.iter().step_by(step)) {
        *to = *from;
    }
}

/// Pixels of a border's constant, each channel `multiplier` times.
fn fill(border: &Border, channels: usize, multiplier: usize, row: &mut [f32]) {
    for (i, sample) in row.iter_mut().enumerate() {
        *sample = border.constant(i / multiplier % channels) as f32;
    }
}

impl Windows {
    /// Cuts a tile's columns into pieces and forgets the rows of the last tile.
    fn set(&mut self, window: &WindowStage, x: Range<usize>) {
        let [axis, axis_y] = &window.axes;
        let (inputs, channels) = (window.inputs, window.tap_channels());
        let split = window.split();
        let always = split || channels != inputs;
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
    fn set(
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
    fn prepared_len(&self, window: &WindowStage) -> usize {
        if window.split() { self.class * window.axes[0].stride } else { self.len }
    }
}

fn colours_from<I: Source>(
    core: &ChainCore,
    source: View<'_, I>,
    out: AnyViewMut<'_>,
    scratch: &mut Scratch,
    most: usize,
) {
    match out {
        AnyViewMut::U8(out) => colours(core, source, out, scratch, most),
        AnyViewMut::U16(out) => colours(core, source, out, scratch, most),
        AnyViewMut::I16(out) => colours(core, source, out, scratch, most),
        AnyViewMut::F32(out) => colours(core, source, out, scratch, most),
    }
}

/// Pointwise layers on `u8` images: in integers, if that is what the plan says.
fn bytes(
    core: &ChainCore,
    source: View<'_, u8>,
    out: ViewMut<'_, u8>,
    scratch: &mut Scratch,
    most: usize,
) {
    let Some(weights) = &core.colour else { return colours(core, source, out, scratch, most) };
    colour_rows(core, source, out, scratch, most, &|_, source, out, _: &mut Slot| {
        core.level.run(Colour { source, weights, out });
    });
}

/// Pointwise layers between any sample types: unfused `f32` inside, the same at every level.
fn colours<I: Source, O: Sample>(
    core: &ChainCore,
    source: View<'_, I>,
    out: ViewMut<'_, O>,
    scratch: &mut Scratch,
    most: usize,
) {
    colour_rows(core, source, out, scratch, most, &|segment: &Segment, source, out, slot| {
        if core.exact {
            return exact_row(core, source, out);
        }
        let sources = source.chunks(segment.tile * segment.input.channels);
        let targets = out.chunks_mut(segment.tile * segment.output.channels);
        for (source, out) in sources.zip(targets) {
            colour_tile(segment, core.level, source, out, &mut slot.rows);
        }
    });
}

/// Does `work` on every row of source and output.
fn colour_rows<I: Source, O: Sample>(
    core: &ChainCore,
    source: View<'_, I>,
    out: ViewMut<'_, O>,
    scratch: &mut Scratch,
    most: usize,
    work: &(impl Fn(&Segment, &[I], &mut [O], &mut Slot) + Sync),
) {
    // The plan refuses windows here, so that there is one segment.
    let [segment] = core.segments.as_slice() else { return };
    let workers = core.workers(segment).min(most);
    let strip = segment.strip_rows(workers);
    let workers = workers.clamp(1, segment.output.height.div_ceil(strip));
    if scratch.slots.len() < workers {
        scratch.slots.resize_with(workers, Slot::default);
    }
    let slots = &mut scratch.slots[..workers];
    each_strip(out, 0, strip, slots, &|top, mut out, slot: &mut Slot| {
        for y in 0..out.shape().height {
            work(segment, source.row(top + y), out.row_mut(y), slot);
        }
    });
}

/// A row by the definition.
fn exact_row<I: Source, O: Sample>(core: &ChainCore, source: &[I], out: &mut [O]) {
    let mut row: Vec<f64> = source.iter().map(|s| s.to_f64()).collect();
    for layer in core.chain.layers() {
        if let crate::layer::Layer::Pointwise(layer) = layer {
            row = reference::layer::pointwise(layer, &row);
        }
    }
    for (out, v) in out.iter_mut().zip(row) {
        *out = O::from_f64(v);
    }
}

fn colour_tile<I: Source, O: Sample>(
    segment: &Segment,
    level: Level,
    source: &[I],
    out: &mut [O],
    rows: &mut [Memory; 2],
) {
    let [first, rest @ ..] = segment.mixes.as_slice() else { return };
    let pixels = source.len() / first.weights.inputs();
    if let (Some(weights), []) = (&first.narrow, rest) {
        let activation = first.activation;
        return level.run(Narrow::<I, O, false> { source, weights, activation, out });
    }
    let [a, b] = rows;
    let (mut from, mut to) = (a, b);
    let widened = from.aligned(source.len() + MAX_LANES);
    level.run(Prepare::<F32, I> { a: source, b: source, out: widened });
    for mix in &segment.mixes {
        let (inputs, outputs) = (mix.weights.inputs(), mix.weights.outputs());
        let source: &[f32] = from.aligned(pixels * inputs);
        let out = &mut to.aligned(pixels * outputs + MAX_LANES)[..pixels * outputs];
        let activation = mix.activation;
        if let Some(weights) = &mix.narrow {
            level.run(Narrow::<f32, f32, false> { source, weights, activation, out });
        } else {
            let rows = &[source];
            let (weights, stream) = (&mix.weights, false);
            let (run, step) = (inputs, inputs);
            level.run(Mix::<false> { rows, run, step, pixels, weights, activation, stream, out });
        }
        std::mem::swap(&mut from, &mut to);
    }
    let row = from.aligned(out.len() + MAX_LANES);
    copy::<O>(level, row, out);
}

/// Rounds a row into samples: a row pass with one tap of 1.
fn copy<O: Sample>(level: Level, row: &[f32], out: &mut [O]) {
    let stream = false;
    let finish = &Finish { post: Post::None, offset: 0.0, fixed: [Fixed::default(); 2] };
    let (count, step, taps) = (1, 1, &[1.0f32][..]);
    if const { O::FLOAT } {
        let inputs = [Input::<Fused> { scratch: row, taps }];
        level.run(Row::<Fused, O, 1> { inputs, count, step, finish, stream, out });
    } else {
        let inputs = [Input::<F32> { scratch: row, taps }];
        level.run(Row::<F32, O, 1> { inputs, count, step, finish, stream, out });
    }
}
