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
mod filter;
mod images;
mod walk;
mod windows;

use super::{Direct, Memory, Workspace, each_strip, run_with};
use crate::error::Error;
use crate::pass::Colour;
use crate::plan::{ChainCore, Cut, Segment, Step};
use crate::reference;
use crate::sample::{Sample, SampleType, Source, with_sample};
use crate::simd::fence;
use crate::view::{AnyView, AnyViewMut, Rect, Shape, View, ViewMut};
use colours::{colours, each_row};
use images::{StageSlot, images};
use std::ops::Range;
use walk::Walk;
use windows::{Ring, Windows};

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
    /// One for each worker of filters that run alone.
    alone: Vec<super::Slot>,
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
    let Scratch { slots, maps: [read, write], regions, alone, .. } = scratch;
    let (mut read, mut write) = (read, write);
    regions.clear();
    let mut needed = rect;
    for step in core.steps().rev() {
        regions.push(needed);
        needed = step.input_region(needed);
    }
    let shape = |rect: Rect, channels| Shape::new(rect.width, rect.height, channels);
    let len = |shape: Shape| shape.row() * shape.height;
    let (mut out, mut before) = (Some(out), rect);
    let last = regions.len() - 1;
    for (i, (step, &region)) in core.steps().zip(regions.iter().rev()).enumerate() {
        let part = if i == 0 {
            part
        } else {
            let shape = shape(before, step.input().channels);
            let view = AnyView::F32(View::gapless(read.aligned(len(shape)), shape));
            Part { view, origin: (before.x, before.y) }
        };
        let target = if i == last {
            out.take()
        } else {
            let shape = shape(region, step.output().channels);
            Some(AnyViewMut::new(ViewMut::<f32>::gapless(write.aligned(len(shape)), shape)))
        };
        // Nothing is computed where windows see only constants.
        if let Some(target) = target.filter(|_| region.width > 0 && region.height > 0) {
            match step {
                Step::Segment(segment) => {
                    run_segment(core, segment, part, region, target, Crew { slots, most });
                }
                Step::Filter(filter) => {
                    run_with(filter, part.view, part.origin, region, target, alone, most)?;
                }
            }
        }
        std::mem::swap(&mut read, &mut write);
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
