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
//!
//! Image filters are windows too: a column pass into a scratch row and a row pass, or a dense pass
//! over prepared rows. Rows of integer images are widened by a link of their own, and results
//! rounded by a last pass over the row of a tile.

use super::{Memory, Workspace, each_strip, recycle, sum, take};
use crate::border::Border;
use crate::error::Error;
use crate::filter::Post;
use crate::layer::{Activation, Axis};
use crate::pass::{
    Colour, Column, Dense, Depthwise, Double, F32, Finish, Fixed, Fused, Input, Mix, Narrow,
    Prepare, Row, Rung, TapRows,
};
use crate::plan::arithmetic::{Passes, Rows as TapsOfRows, Rung as Chosen};
use crate::plan::{
    ChainCore, FilterStage, MixStage, Segment, StageAlpha, WindowKind, WindowStage, Work, reach,
};
use crate::reference;
use crate::sample::{Sample, Source};
use crate::simd::{Level, MAX_LANES, fence};
use crate::view::{AnyView, AnyViewMut, Rect, Shape, View, ViewMut};
use std::ops::Range;
use wide::bytemuck::{cast_slice, cast_slice_mut};

/// The scratch memory of chains.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// One for each worker.
    slots: Vec<Slot>,
    /// What lies between segments: one is read while the other is written.
    maps: [Memory; 2],
    /// The same for workers that have an image each.
    images: Vec<Scratch>,
    /// What each segment reads, from the last to the first.
    regions: Vec<Rect>,
}

/// The scratch memory of one worker.
#[derive(Debug, Default)]
struct Slot {
    /// Rows between layers; and, for integers, widened or unrounded ones.
    rows: [Memory; 2],
    windows: Windows,
    /// One for each link of a segment.
    links: Vec<LinkSlot>,
    /// Results of a tile that are yet to be rounded.
    result: Memory,
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
    /// What the passes of filters need.
    filter: FilterScratch,
}

/// The scratch memory of an image filter.
#[derive(Debug, Default)]
struct FilterScratch {
    /// Column sums: two rows for each kernel.
    sums: [Memory; 4],
    /// Rows widened to `f64`, and the list of them.
    wide: Memory,
    list: Vec<&'static [u8]>,
}

/// Prepared rows: as many as a window has, each kept until another needs its place.
#[derive(Debug, Default)]
struct Ring {
    memory: Memory,
    /// The row that each place holds, on the endless axis.
    tags: Vec<isize>,
    dilation: isize,
    /// Samples from one row to the next: there is slack for a vector.
    pitch: usize,
}

impl Ring {
    /// Forgets all rows and makes place for `taps` rows of a window, a dilation apart, of `len`
    /// samples each, and for one more: that of the window below.
    fn clear(&mut self, taps: usize, dilation: usize, len: usize) {
        self.tags.clear();
        self.tags.resize(taps + 1, isize::MIN);
        self.dilation = dilation as isize;
        self.pitch = (len + MAX_LANES).next_multiple_of(16);
        let _ = self.memory.get::<f32>((taps + 1) * self.pitch);
    }

    /// Rows of a window are a dilation apart, so that each has a place of its own.
    fn place(&self, v: isize) -> usize {
        v.div_euclid(self.dilation).rem_euclid(self.tags.len() as isize) as usize
    }

    /// The place of row `v` and its slack, to be filled, if the row is not there.
    fn missing(&mut self, v: isize) -> Option<&mut [f32]> {
        let place = self.place(v);
        if self.tags[place] == v {
            return None;
        }
        self.tags[place] = v;
        let pitch = self.pitch;
        Some(&mut self.memory.get(self.tags.len() * pitch)[place * pitch..][..pitch])
    }

    fn has(&self, v: isize) -> bool {
        self.tags[self.place(v)] == v
    }

    /// The places of rows `v` and `v` + 1, to be filled; there must be two, with dilation 1.
    fn pair(&mut self, v: isize) -> [&mut [f32]; 2] {
        let (place, below, pitch) = (self.place(v), self.place(v + 1), self.pitch);
        (self.tags[place], self.tags[below]) = (v, v + 1);
        let all = self.memory.get(self.tags.len() * pitch);
        let (first, second) = all.split_at_mut(place.max(below) * pitch);
        let low = &mut first[place.min(below) * pitch..][..pitch];
        let high = &mut second[..pitch];
        if place < below { [low, high] } else { [high, low] }
    }

    /// Row `v`, which must be there, and its slack.
    fn row(&self, v: isize) -> &[f32] {
        let place = self.place(v);
        debug_assert_eq!(self.tags[place], v);
        &cast_slice(&self.memory.0)[place * self.pitch..][..self.pitch]
    }
}

/// What a window, or a mix, reads: rows of the image, or those that a link has made.
#[derive(Clone, Copy)]
enum Rows<'a> {
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
    fn pixels(&self, v: isize, y: usize, x: Range<usize>) -> &'a [f32] {
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

/// Computes `rect` of a chain's output from `part`, whose first pixel is `origin` in the whole
/// image. The plan has checked that everything fits.
pub(crate) fn run_chain(
    core: &ChainCore,
    part: AnyView<'_>,
    origin: (usize, usize),
    rect: Rect,
    out: AnyViewMut<'_>,
    workspace: &mut Workspace,
) -> Result<(), Error> {
    run(core, Part { view: part, origin }, rect, out, &mut workspace.layers, usize::MAX)
}

/// Runs a chain on images that lie one after the other: as many at a time as there are workers, and
/// what remains strip by strip. The plan has checked the lengths.
pub(crate) fn run_batch<I: Source, O: Sample>(
    core: &ChainCore,
    source: &[I],
    out: &mut [O],
    images: usize,
    workspace: &mut Workspace,
) -> Result<(), Error> {
    let len = |shape: Shape| shape.row() * shape.height;
    let (input, output) = (len(core.input), len(core.output));
    let one = |source: &[I], out: &mut [O], scratch: &mut Scratch, most: usize| {
        let part = Part { view: I::any(View::gapless(source, core.input)), origin: (0, 0) };
        let out = O::any_mut(ViewMut::gapless(out, core.output));
        run(core, part, core.output.rect(), out, scratch, most)
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
        let failure = std::sync::Mutex::new(None);
        rayon::scope(|scope| {
            for scratch in &mut scratch.images[..workers] {
                let failure = &failure;
                scope.spawn(move |_| {
                    // As for strips: held while the next image is taken.
                    while let Some((source, out)) = pairs.lock().ok().and_then(|mut p| p.next()) {
                        if let Err(e) = one(source, out, scratch, 1)
                            && let Ok(mut failure) = failure.lock()
                        {
                            *failure = Some(e);
                        }
                    }
                });
            }
        });
        if let Ok(Some(failure)) = failure.into_inner() {
            return Err(failure);
        }
    }
    #[cfg(not(feature = "rayon"))]
    debug_assert!(sources.is_empty() && outs.is_empty());
    for (source, out) in source.chunks_exact(input).zip(out.chunks_exact_mut(output)) {
        one(source, out, scratch, usize::MAX)?;
    }
    Ok(())
}

/// A part of an image, or of a map between segments.
#[derive(Clone, Copy)]
struct Part<'a> {
    view: AnyView<'a>,
    /// The place of its first pixel.
    origin: (usize, usize),
}

/// Runs a chain with at most `most` workers.
fn run(
    core: &ChainCore,
    part: Part<'_>,
    rect: Rect,
    out: AnyViewMut<'_>,
    scratch: &mut Scratch,
    most: usize,
) -> Result<(), Error> {
    match out {
        AnyViewMut::U8(out) => run_to(core, part, rect, out, scratch, most),
        AnyViewMut::U16(out) => run_to(core, part, rect, out, scratch, most),
        AnyViewMut::I16(out) => run_to(core, part, rect, out, scratch, most),
        AnyViewMut::F32(out) => run_to(core, part, rect, out, scratch, most),
    }
}

fn run_to<O: Sample>(
    core: &ChainCore,
    part: Part<'_>,
    rect: Rect,
    out: ViewMut<'_, O>,
    scratch: &mut Scratch,
    most: usize,
) -> Result<(), Error> {
    if core.exact {
        return match part.view {
            AnyView::U8(view) => by_definition(core, view, part.origin, rect, out),
            AnyView::U16(view) => by_definition(core, view, part.origin, rect, out),
            AnyView::F32(view) => by_definition(core, view, part.origin, rect, out),
        };
    }
    let Scratch { slots, maps: [read, write], regions, .. } = scratch;
    let (mut read, mut write) = (read, write);
    regions.clear();
    let mut needed = rect;
    for segment in core.segments.iter().rev() {
        regions.push(needed);
        needed = segment.input_region(needed);
    }
    let shape = |rect: Rect, channels| Shape::new(rect.width, rect.height, channels);
    let len = |shape: Shape| shape.row() * shape.height;
    let (mut out, mut before) = (Some(out), rect);
    for (i, (segment, &region)) in core.segments.iter().zip(regions.iter().rev()).enumerate() {
        let part = if i == 0 {
            part
        } else {
            let shape = shape(before, segment.input.channels);
            let view = AnyView::F32(View::gapless(read.aligned(len(shape)), shape));
            Part { view, origin: (before.x, before.y) }
        };
        if i + 1 < core.segments.len() {
            let shape = shape(region, segment.output.channels);
            let map = ViewMut::<f32>::gapless(write.aligned(len(shape)), shape);
            run_segment(core, segment, part, region, map, slots, most);
            std::mem::swap(&mut read, &mut write);
        } else if let Some(out) = out.take() {
            run_segment(core, segment, part, region, out, slots, most);
        }
        before = region;
    }
    Ok(())
}

/// A rectangle of a chain's output by the reference, some rows at a time, so that memory stays
/// small.
fn by_definition<I: Source, O: Sample>(
    core: &ChainCore,
    view: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    mut out: ViewMut<'_, O>,
) -> Result<(), Error> {
    const ROWS: usize = 64;
    let shape = out.shape();
    for top in (0..shape.height).step_by(ROWS) {
        let rows = top..(top + ROWS).min(shape.height);
        let band = Rect { y: rect.y + top, height: rows.len(), ..rect };
        let exact = reference::layer::region(&core.chain, core.input, view, origin, band)?;
        for (y, exact) in rows.zip(exact.chunks_exact(shape.row())) {
            for (out, v) in out.row_mut(y).iter_mut().zip(exact) {
                *out = O::from_f64(*v);
            }
        }
    }
    Ok(())
}

/// A rectangle of one segment's output, in strips.
fn run_segment<O: Sample>(
    core: &ChainCore,
    segment: &Segment,
    part: Part<'_>,
    rect: Rect,
    target: ViewMut<'_, O>,
    slots: &mut Vec<Slot>,
    most: usize,
) {
    if let Some(weights) = &core.colour {
        // Only planned from `u8` to `u8`.
        if let (AnyView::U8(view), AnyViewMut::U8(out)) = (part.view, O::any_mut(target)) {
            let work = |source: &[u8], out: &mut [u8], _: &mut Slot| {
                core.level.run(Colour { source, weights, out });
            };
            each_row(core, segment, view, part.origin, rect, out, slots, most, &work);
        }
        return;
    }
    if segment.window.is_none() && !core.fused {
        let origin = part.origin;
        return match part.view {
            AnyView::U8(view) => colours(core, segment, view, origin, rect, target, slots, most),
            AnyView::U16(view) => colours(core, segment, view, origin, rect, target, slots, most),
            AnyView::F32(view) => colours(core, segment, view, origin, rect, target, slots, most),
        };
    }
    let bytes = rect.width * rect.height * segment.output.channels * size_of::<f32>();
    let stream = O::FLOAT && bytes > STREAM_BYTES;
    let x = rect.x..rect.x + rect.width;
    let walk = Walk { segment, part, x, level: core.level, fused: core.fused, stream };
    let (strip, slots) = workers(core, segment, rect.height, slots, most);
    each_strip(target, rect.y, strip, slots, &|y, out, slot: &mut Slot| {
        walk.strip(y, out, slot);
        if stream {
            fence();
        }
    });
}

/// Rows of a strip, and a slot for each worker.
fn workers<'a>(
    core: &ChainCore,
    segment: &Segment,
    height: usize,
    slots: &'a mut Vec<Slot>,
    most: usize,
) -> (usize, &'a mut [Slot]) {
    let workers = core.workers(segment).min(most);
    let strip = segment.strip_rows(workers);
    let workers = workers.clamp(1, height.div_ceil(strip));
    if slots.len() < workers {
        slots.resize_with(workers, Slot::default);
    }
    (strip, &mut slots[..workers])
}

/// One segment over one image.
struct Walk<'a> {
    segment: &'a Segment,
    part: Part<'a>,
    /// The columns of its output.
    x: Range<usize>,
    level: Level,
    /// Whether multiply-adds may be fused.
    fused: bool,
    /// Whether the output goes past the cache.
    stream: bool,
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
    fn strip<O: Sample>(&self, top: usize, mut out: ViewMut<'_, O>, slot: &mut Slot) {
        let segment = self.segment;
        let height = out.shape().height;
        // Rows of a tile must follow each other without gaps to be one.
        let source_row = self.x.len() * segment.input.channels;
        let gapless = out.stride() == out.shape().row()
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
                if const { O::FLOAT } && (whole || block.len() == 1) {
                    let target = &mut out.span_mut(block.clone())[start..][..len];
                    self.tile(y_rows, x_columns, cast_slice_mut(target), slot);
                } else {
                    let mut result = take(&mut slot.result);
                    let results = result.aligned(len + MAX_LANES);
                    self.tile(y_rows, x_columns, &mut results[..len], slot);
                    let row_len = len / block.len();
                    for (i, y) in block.clone().enumerate() {
                        let target = &mut out.row_mut(y)[start..][..row_len];
                        let row = &results[i * row_len..][..row_len + MAX_LANES];
                        copy::<O>(self.level, row, self.stream, target);
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
                self.mixes(&link.mixes, from, to, columns.len(), out, false);
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
                    [only] => self.mix(only, source, pixels, false, out),
                    [first, rest @ ..] => {
                        let target = from.aligned(pixels * first.weights.outputs());
                        self.mix(first, source, pixels, false, target);
                        self.mixes(rest, from, to, pixels, out, false);
                    }
                }
                return;
            }
        }
        if mixes.is_empty() {
            out.copy_from_slice(&row[..out.len()]);
        } else {
            self.mixes(mixes, from, to, pixels, out, false);
        }
    }

    fn widen<I: Source>(&self, source: &[I], out: &mut [f32]) {
        self.level.run(Prepare::<F32, I> { a: source, b: source, out });
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
            self.window_rows(window, y, row_len, out, self.stream, links, windows);
            return;
        }
        let rows = from.aligned(pixels * window.channels);
        self.window_rows(window, y, row_len, rows, false, links, windows);
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
        if self.fused {
            mix_row::<true>(self.level, mix, source, pixels, stream, out);
        } else {
            mix_row::<false>(self.level, mix, source, pixels, stream, out);
        }
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
                None => self.piece(window, piece, &mut rows, own, stream, &mut filter.sums[0]),
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
                super::divide(out, window.channels, opacity, offset, post);
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
                    self.level.run(Prepare::<Double, f32> { a: row, b: row, out });
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
        out: &mut [f32],
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
                self.depthwise(rows, &[0], step, columns, Activation::None, out_sums);
                self.depthwise(&[&*out_sums], &piece.offsets, step, taps, activation, out);
            }
            WindowKind::Depthwise { taps, split, .. } => {
                let step = if *split { 1 } else { axis.stride } * window.channels;
                let offsets = &piece.offsets;
                self.depthwise(rows, offsets, step, taps, activation, out);
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
    fn depthwise(
        &self,
        rows: &[&[f32]],
        offsets: &[usize],
        step: usize,
        taps: &TapRows,
        activation: Activation,
        out: &mut [f32],
    ) {
        if self.fused {
            let pass = Depthwise::<true> { rows, offsets, step, taps, activation, out };
            self.level.run(pass);
        } else {
            let pass = Depthwise::<false> { rows, offsets, step, taps, activation, out };
            self.level.run(pass);
        }
    }
}

/// The passes of an image filter over one piece.
struct FilterPass<'a> {
    level: Level,
    stage: &'a FilterStage,
    window: &'a WindowStage,
    piece: &'a Piece,
    rows: &'a [&'a [f32]],
    stream: bool,
}

impl FilterPass<'_> {
    /// A column pass into a scratch row for each kernel and output row, and row passes.
    fn separable<R: Rung>(
        &self,
        passes: &[Passes],
        outs: [Option<&mut [f32]>; 2],
        scratch: &mut FilterScratch,
    ) {
        let (rows, level, stream) = (self.rows, self.level, self.stream);
        let [axis, _] = &self.window.axes;
        let n = self.piece.len * self.window.inputs;
        let (count, step, finish) = (axis.taps, self.window.inputs, &self.stage.finish);
        let both = outs[1].is_some();
        let len = n + MAX_LANES;
        let [a, b, c, d] = &mut scratch.sums;
        // The rows of a second output, or a second kernel, only where there is one.
        let below = if both { len } else { 0 };
        let second = if passes.len() == 2 { len } else { 0 };
        let a: &mut [R::Elem] = a.get(len);
        let b: &mut [R::Elem] = b.get(below);
        let c: &mut [R::Elem] = c.get(second);
        let d: &mut [R::Elem] = d.get(second.min(below));
        match (passes, both) {
            ([p], false) => level.run(Column { rows, sums: [sum::<R>(p, 0, a)], n }),
            ([p], true) => {
                level.run(Column { rows, sums: [sum::<R>(p, 0, a), sum(p, 1, b)], n });
            }
            ([p, q, ..], false) => {
                level.run(Column { rows, sums: [sum::<R>(p, 0, a), sum(q, 0, c)], n });
            }
            ([p, q, ..], true) => {
                let sums = [sum::<R>(p, 0, a), sum(p, 1, b), sum(q, 0, c), sum(q, 1, d)];
                level.run(Column { rows, sums, n });
            }
            ([], _) => {}
        }
        for (out, [first, second]) in outs.into_iter().zip([[&*a, &*c], [&*b, &*d]]) {
            let Some(out) = out else { continue };
            match passes {
                [p] => {
                    let inputs = [Input::<R> { scratch: first, taps: R::taps(&p.row) }];
                    level.run(Row { inputs, count, step, finish, stream, out });
                }
                [p, q, ..] => {
                    let inputs = [
                        Input::<R> { scratch: first, taps: R::taps(&p.row) },
                        Input { scratch: second, taps: R::taps(&q.row) },
                    ];
                    level.run(Row { inputs, count, step, finish, stream, out });
                }
                [] => {}
            }
        }
    }

    /// A direct pass over widened rows; of one output row.
    fn dense<R: Rung>(
        &self,
        kernels: &[TapsOfRows],
        rows: &[&[R::Wide]],
        outs: [Option<&mut [f32]>; 2],
    ) {
        let [Some(out), _] = outs else { return };
        let level = self.level;
        let [axis, _] = &self.window.axes;
        let (width, step, finish) = (axis.taps, self.window.inputs, &self.stage.finish);
        let taps = |k: usize| R::taps(&kernels[k].taps[0]);
        let (first, outs) = ([kernels[0].first[0]], [out]);
        if kernels.len() == 1 {
            let taps = [[taps(0)]];
            level.run(Dense::<R, f32, 1, 1> { rows, first, taps, width, step, finish, outs });
        } else {
            let taps = [[taps(0), taps(1)]];
            level.run(Dense::<R, f32, 2, 1> { rows, first, taps, width, step, finish, outs });
        }
    }
}

/// One pointwise layer over a row.
fn mix_row<const FUSED: bool>(
    level: Level,
    mix: &MixStage,
    source: &[f32],
    pixels: usize,
    stream: bool,
    out: &mut [f32],
) {
    let activation = mix.activation;
    if let Some(weights) = &mix.narrow {
        return level.run(Narrow::<f32, f32, FUSED> { source, weights, activation, out });
    }
    let (rows, weights, run) = (&[source], &mix.weights, mix.weights.inputs());
    level.run(Mix::<FUSED> { rows, run, step: run, pixels, weights, activation, stream, out });
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

/// Pointwise layers between any sample types: unfused `f32` inside, the same at every level.
fn colours<I: Source, O: Sample>(
    core: &ChainCore,
    segment: &Segment,
    view: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    out: ViewMut<'_, O>,
    slots: &mut Vec<Slot>,
    most: usize,
) {
    let tile = segment.tile;
    each_row(core, segment, view, origin, rect, out, slots, most, &|source, out, slot| {
        let sources = source.chunks(tile * segment.input.channels);
        let targets = out.chunks_mut(tile * segment.output.channels);
        for (source, out) in sources.zip(targets) {
            colour_tile(segment, core.level, source, out, &mut slot.rows);
        }
    });
}

/// Does `work` on every row of source and output.
#[expect(clippy::too_many_arguments, reason = "a part, a rectangle of it, and what to do there")]
fn each_row<I: Source, O: Sample>(
    core: &ChainCore,
    segment: &Segment,
    view: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    out: ViewMut<'_, O>,
    slots: &mut Vec<Slot>,
    most: usize,
    work: &(impl Fn(&[I], &mut [O], &mut Slot) + Sync),
) {
    let (strip, slots) = workers(core, segment, rect.height, slots, most);
    let channels = segment.input.channels;
    let first = (rect.x - origin.0) * channels;
    each_strip(out, rect.y, strip, slots, &|top, mut out, slot: &mut Slot| {
        for y in 0..out.shape().height {
            let row = &view.row(top + y - origin.1)[first..][..rect.width * channels];
            work(row, out.row_mut(y), slot);
        }
    });
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
        mix_row::<false>(level, mix, source, pixels, false, out);
        std::mem::swap(&mut from, &mut to);
    }
    let row = from.aligned(out.len() + MAX_LANES);
    copy::<O>(level, row, false, out);
}

/// Rounds a row into samples: a row pass with one tap of 1.
fn copy<O: Sample>(level: Level, row: &[f32], stream: bool, out: &mut [O]) {
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
