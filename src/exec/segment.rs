//! One segment over one image: chunks, strips, tiles and blocks of rows. A stage that needs rows of the one before asks
//! for them, as many at once as it lacks; they go into a ring, which it reads as it would read an image.
//!
//! ```text
//! source ──► stage ──► ring of rows ──► stage ──► ring of rows ──► stage ──► chunk of the output
//! ```
//!
//! A single stage has no ring, and if it is a filter its block is the whole strip: the inner loop is as if nothing
//! else existed.

use super::Part;
use super::chunks::each_chunk;
use super::filter::Request;
use super::rows::{AnyRows, Direct, Rows};
use super::sink::{Chunk, Places, Target};
use super::slots::{StageSlot, WorkerSlot};
use super::walk::Walk;
use crate::any_view::AnyViewMut;
use crate::pass::{Colour, ColourWeights, STENCIL_ROWS};
use crate::plan::{AnyPlan, FilterStage, Segment, Stage, parts};
use crate::sample::SampleType;
use crate::simd::{fence, prefetch};
use crate::view::Rect;
use std::mem::take;
use std::ops::Range;

/// Outputs above this size are written past the cache: a line need not be read before it is overwritten,
/// and the source stays in the cache. With a source as large, that is half of a usual last-level cache.
const STREAM_BYTES: usize = 8 << 20;

/// Computes a rectangle of one segment's output, with at most `most` workers.
pub(super) fn run_segment(
    plan: &AnyPlan,
    segment: &Segment,
    part: Part<'_>,
    rect: Rect,
    out: AnyViewMut<'_>,
    slots: &mut Vec<WorkerSlot>,
    most: usize,
) {
    let AnyViewMut { sample, bytes: out } = out;
    let bytes = rect.height * out.shape().row();
    let walk = Walk {
        segment,
        source: AnyRows::of(part.view, part.origin),
        rect,
        level: plan.level(),
        fused: plan.fused,
        stream: bytes > STREAM_BYTES,
    };
    let workers = segment.workers(rect, most);
    let cut = segment.cut(rect, workers);
    let workers = workers.min(cut.chunks[0] * cut.chunks[1]);
    if slots.len() < workers {
        slots.resize_with(workers, WorkerSlot::default);
    }
    let pixel = out.shape().channels;
    each_chunk(out, rect, cut, &mut slots[..workers], &|rect, rows, slot: &mut WorkerSlot| {
        let count = segment.stages.len();
        if slot.stages.len() < count {
            slot.stages.resize_with(count, StageSlot::default);
        }
        let origin = (rect.x, rect.y);
        let mut target = Target::Chunk(Chunk { rows, sample, pixel, origin });
        walk.chunk(rect, cut.unit[1], &mut target, &mut slot.stages[..count]);
        if walk.stream {
            fence();
        }
    });
}

impl Walk<'_> {
    /// One chunk, in strips of whole groups of `unit` rows.
    fn chunk(&self, rect: Rect, unit: usize, target: &mut Target<'_>, slots: &mut [StageSlot]) {
        let alone = self.segment.alone().is_some();
        let strips = self.segment.strips(rect.height);
        for rows in parts(rect.y..rect.y + rect.height, unit, strips) {
            let block = if alone { rows.len() } else { self.segment.rows };
            let end = rect.x + rect.width;
            let mut x = rect.x;
            while x < end {
                let next = self.segment.next(x).min(end);
                self.start(x..next, slots);
                for y in rows.clone().step_by(block) {
                    self.run(y..(y + block).min(rows.end), target, slots);
                }
                x = next;
            }
        }
    }

    /// Finds the columns that each stage must make for a tile, from the last to the first.
    fn start(&self, tile: Range<usize>, slots: &mut [StageSlot]) {
        let mut x = tile;
        // Rows that the stage after it reads at once, and how far they are apart.
        let (mut places, mut dilation) = (0, 1);
        for (stage, own) in self.segment.stages.iter().zip(slots).rev() {
            own.columns = x.clone();
            own.channels = stage.outputs();
            let sample = stage.writes().bytes();
            // One line more, so that rows do not lie a power of two apart.
            let line = 64 / sample;
            own.pitch = (x.len() * own.channels).next_multiple_of(line) + line;
            own.ring.clear_apart(places, dilation);
            let _ = own.ring.memory.aligned::<u8>(places * own.pitch * sample);
            places = stage.most_rows();
            dilation = stage.axes().map_or(1, |[_, y]| y.dilation);
            if x.is_empty() {
                // Windows that see nothing but constants: nothing is read from here on.
                continue;
            }
            x = match stage {
                Stage::Filter(stage) => own.filter.start(stage, x),
                Stage::Layers(layers) => own.layers.start(layers, x),
                Stage::Colour(_) => x,
            };
        }
    }

    /// Makes output rows `y` of the last of these stages, of the columns of the tile.
    fn run(&self, y: Range<usize>, target: &mut Target<'_>, slots: &mut [StageSlot]) {
        let Some((own, before)) = slots.split_last_mut() else { return };
        match &self.segment.stages[before.len()] {
            Stage::Filter(stage) => {
                self.load(stage.rows(y.clone()), |v| stage.image_row(v), before);
                let alone = self.segment.stages.len() == 1;
                if before.is_empty() && !alone && stage.sums() {
                    self.prefetch(stage, own.filter.columns(), y.clone());
                }
                let last = if alone { self.rect.y + self.rect.height } else { y.end };
                let stream = self.stream && matches!(target, Target::Chunk(_));
                let rows = self.rows(before);
                Request { stage, y, last, stream }.run(rows, target, &mut own.filter);
            }
            Stage::Layers(layers) => self.layers(layers, y, target, own, before),
            Stage::Colour(weights) => self.colour(weights, y, target, own.columns.clone()),
        }
    }

    /// The rows that the stage after these reads.
    pub(super) fn rows<'s>(&'s self, before: &'s [StageSlot]) -> AnyRows<'s> {
        let Some(last) = before.last() else { return self.source };
        match self.segment.stages[before.len() - 1].writes() {
            SampleType::I16 => AnyRows::I16(last.made()),
            _ => AnyRows::F32(last.made()),
        }
    }

    /// Makes the last of these stages' rows at positions `rows`, which `image_row` knows the rows for, as far as
    /// they are missing.
    pub(super) fn load(
        &self,
        rows: Range<isize>,
        image_row: impl Fn(isize) -> Option<usize>,
        slots: &mut [StageSlot],
    ) {
        // Windows that see nothing but constants need no columns.
        if slots.last().is_none_or(|last| last.columns.is_empty()) {
            return;
        }
        let missing = |v: isize, slots: &[StageSlot]| {
            image_row(v).filter(|_| slots.last().is_some_and(|last| !last.ring.has(v)))
        };
        let Range { start: mut v, end } = rows;
        while v < end {
            let Some(y) = missing(v, slots) else {
                v += 1;
                continue;
            };
            // As many at once as are missing and follow each other.
            let mut n = 1;
            while n < STENCIL_ROWS
                && v + (n as isize) < end
                && missing(v + n as isize, slots) == Some(y + n)
            {
                n += 1;
            }
            self.make(y..y + n, v, slots);
            v += n as isize;
        }
    }

    /// Makes rows `y` of the last of these stages, which the next one knows as `v` and those below.
    fn make(&self, y: Range<usize>, v: isize, slots: &mut [StageSlot]) {
        let k = slots.len() - 1;
        let own = &mut slots[k];
        let (x, pitch, channels) = (own.columns.start, own.pitch, own.channels);
        let mut ring = take(&mut own.ring);
        for v in (v..).take(y.len()) {
            let place = ring.place(v);
            ring.tags[place] = v;
        }
        let (first, places) = (ring.place(v), ring.tags.len());
        let sample = self.segment.stages[k].writes();
        let rows = ring.memory.aligned(places * pitch * sample.bytes());
        let mut target =
            Target::Ring(Places { first, places, y: y.start, x, sample, rows, pitch, channels });
        self.run(y, &mut target, slots);
        slots[k].ring = ring;
    }

    /// Asks for the source rows that the next block of sums of windows adds. Narrower samples come fast enough by
    /// themselves, and so do the rows of passes that read fewer of them (AMD Zen 4: 4 % less time without).
    fn prefetch(&self, stage: &FilterStage, columns: Range<usize>, y: Range<usize>) {
        let AnyRows::F32(Rows::Source(source @ Direct { part, origin })) = self.source else {
            return;
        };
        if !self.stream {
            return;
        }
        let below = stage.rows(y.clone()).end;
        let there = origin.1..origin.1 + part.shape().height;
        for v in below..below + y.len() as isize {
            if let Some(row) = stage.image_row(v).filter(|row| there.contains(row)) {
                prefetch(source.pixels(row, columns.clone()));
            }
        }
    }

    fn colour(
        &self,
        weights: &ColourWeights,
        y: Range<usize>,
        target: &mut Target<'_>,
        x: Range<usize>,
    ) {
        let AnyRows::U8(rows) = self.source else { return };
        for y in y {
            let source = rows.pixels(y as isize, y, x.clone());
            let [out] = target.rows(y, x.clone());
            self.level.run(Colour { source, weights, out });
        }
    }
}
