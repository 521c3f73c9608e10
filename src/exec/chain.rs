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
//! rounded by a last pass over the row of a tile. Chains of nothing else have an executor of their
//! own (`images`).

mod colours;
mod images;
mod windows;

use super::separable::sum;
use super::{Direct, Memory, Workspace, each_strip, recycle, take};
use crate::error::Error;
use crate::layer::Activation;
use crate::pass::{
    Colour, Column, Dense, Depthwise, Double, F32, Fused, Input, Mix, Prepare, Row, RowOrder, Rung,
    TapRows,
};
use crate::plan::arithmetic::{Passes, Rows as TapsOfRows, Rung as Chosen};
use crate::plan::{
    ChainCore, Cut, FilterStage, MixStage, Segment, StageAlpha, WindowKind, WindowStage, Work,
    reach,
};
use crate::reference;
use crate::sample::{Sample, SampleType, Source, with_sample};
use crate::simd::{Level, MAX_LANES, fence};
use crate::view::{AnyView, AnyViewMut, OutRow, Rect, Shape, View, ViewMut};
use colours::{colours, copy, each_row, mix_row};
use images::{StageSlot, images};
use std::ops::Range;
use wide::bytemuck::{cast_slice, cast_slice_mut};
use windows::{FilterScratch, Piece, Ring, Rows, Windows, prepare};

/// The scratch memory of chains.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// One for each worker.
    slots: Vec<Slot>,
    /// What lies between segments: one is read while the other is written.
    maps: [Memory; 2],
    /// The same for workers that have an image each.
    #[cfg(feature = "rayon")]
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
    /// One for each filter of a chain of nothing else.
    stages: Vec<StageSlot>,
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
        let out = AnyViewMut::new(ViewMut::gapless(out, core.output));
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
            run_segment(core, segment, part, region, AnyViewMut::new(map), Crew { slots, most });
            std::mem::swap(&mut read, &mut write);
        } else if let Some(out) = out.take() {
            run_segment(core, segment, part, region, out, Crew { slots, most });
        }
        before = region;
    }
    Ok(())
}

/// A rectangle of a chain's output by the reference, some rows at a time, so that memory stays
/// small.
fn by_definition<I: Source>(
    core: &ChainCore,
    view: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    mut out: AnyViewMut<'_>,
) -> Result<(), Error> {
    const ROWS: usize = 64;
    let shape = out.shape();
    for top in (0..shape.height).step_by(ROWS) {
        let rows = top..(top + ROWS).min(shape.height);
        let band = Rect { y: rect.y + top, height: rows.len(), ..rect };
        let exact = reference::layer::region(&core.chain, core.input, view, origin, band)?;
        for (y, exact) in rows.zip(exact.chunks_exact(shape.row())) {
            let [row] = out.rows_mut(y);
            row.round(exact);
        }
    }
    Ok(())
}

/// A rectangle of one segment's output, in strips.
fn run_segment(
    core: &ChainCore,
    segment: &Segment,
    part: Part<'_>,
    rect: Rect,
    target: AnyViewMut<'_>,
    crew: Crew<'_>,
) {
    let origin = part.origin;
    if let Some(weights) = &core.colour {
        // Only planned from `u8` to `u8`.
        if let (AnyView::U8(view), SampleType::U8) = (part.view, target.sample) {
            let out = target.typed();
            let work = |source: &[u8], out: &mut [u8], _: &mut Slot| {
                core.level.run(Colour { source, weights, out });
            };
            each_row(core, segment, Direct { part: view, origin }, rect, out, crew, &work);
        }
        return;
    }
    if let Some(plan) = &core.images {
        return match part.view {
            AnyView::U8(part) => {
                images(core, segment, plan, Direct { part, origin }, rect, target, crew);
            }
            AnyView::U16(part) => {
                images(core, segment, plan, Direct { part, origin }, rect, target, crew);
            }
            AnyView::F32(part) => {
                images(core, segment, plan, Direct { part, origin }, rect, target, crew);
            }
        };
    }
    if segment.window.is_none() && !core.fused {
        return with_sample!(target.sample, O => {
            let out = target.typed::<O>();
            match part.view {
                AnyView::U8(part) => {
                    colours(core, segment, Direct { part, origin }, rect, out, crew);
                }
                AnyView::U16(part) => {
                    colours(core, segment, Direct { part, origin }, rect, out, crew);
                }
                AnyView::F32(part) => {
                    colours(core, segment, Direct { part, origin }, rect, out, crew);
                }
            }
        });
    }
    let bytes = rect.width * rect.height * segment.output.channels * size_of::<f32>();
    let AnyViewMut { sample, bytes: target } = target;
    let stream = sample == SampleType::F32 && bytes > STREAM_BYTES;
    let x = rect.x..rect.x + rect.width;
    let walk = Walk { segment, part, x, level: core.level, fused: core.fused, stream };
    let (cut, slots) = crew.workers(core, segment, rect.height);
    each_strip(target, rect.y, cut, slots, &|y, bytes, slot: &mut Slot| {
        walk.strip(y, AnyViewMut { sample, bytes }, slot);
        if stream {
            fence();
        }
    });
}

/// The workers that a segment may have.
struct Crew<'a> {
    slots: &'a mut Vec<Slot>,
    /// How many at most.
    most: usize,
}

impl<'a> Crew<'a> {
    /// How a segment is cut into strips, and a slot for each worker.
    fn workers(self, core: &ChainCore, segment: &Segment, height: usize) -> (Cut, &'a mut [Slot]) {
        let workers = core.workers(segment).min(self.most);
        let cut = segment.cut(height, workers);
        let workers = workers.min(cut.strips);
        if self.slots.len() < workers {
            self.slots.resize_with(workers, Slot::default);
        }
        (cut, &mut self.slots[..workers])
    }
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
    fn strip(&self, top: usize, mut out: AnyViewMut<'_>, slot: &mut Slot) {
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
            let out = OutRow::new(out);
            let order = passes.first().map_or(RowOrder::InOrder, |p| p.order);
            match passes {
                [p] => {
                    let inputs = [Input::<R> { scratch: first, taps: R::taps(&p.row) }];
                    level.run(Row { inputs, count, step, finish, order, stream, next: &[], out });
                }
                [p, q, ..] => {
                    let inputs = [
                        Input::<R> { scratch: first, taps: R::taps(&p.row) },
                        Input { scratch: second, taps: R::taps(&q.row) },
                    ];
                    level.run(Row { inputs, count, step, finish, order, stream, next: &[], out });
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
        let (level, stream) = (self.level, self.stream);
        let [axis, _] = &self.window.axes;
        let (width, step, finish) = (axis.taps, self.window.inputs, &self.stage.finish);
        let taps = |k: usize| R::taps(&kernels[k].taps[0]);
        let first = kernels[0].first[0];
        if kernels.len() == 1 {
            let (first, taps, outs) = ([first], [taps(0)], [OutRow::new(out)]);
            level.run(Dense::<R, 1> { rows, first, taps, width, step, finish, stream, outs });
        } else {
            let (first, taps) = ([first; 2], [taps(0), taps(1)]);
            let outs = [OutRow::new(out), OutRow::new::<f32>(&mut [])];
            level.run(Dense::<R, 2> { rows, first, taps, width, step, finish, stream, outs });
        }
    }
}
