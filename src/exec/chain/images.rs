//! Chains of nothing but image filters. Each is a stage of the executor of single filters: its
//! blocks of rows go into a ring, which the next one reads as it would read an image.
//!
//! ```text
//! source ──► filter ──► ring of rows ──► filter ──► ring of rows ──► filter ──► output
//! ```

use super::super::rows::{Direct, Feed, Made, Places, Sink, Strip};
use super::super::{Ring, Slot, Stage, Tile, each_strip, fill};
use super::Crew;
use crate::exec::STREAM_BYTES;
use crate::pass::{Double, F32, Fused, High, Pairs, STENCIL_ROWS};
use crate::plan::arithmetic::Rung as Chosen;
use crate::plan::{BLOCK_ROWS, ChainCore, Core, Images, Segment, Work};
use crate::sample::{Sample, SampleType, Source};
use crate::simd::{fence, prefetch};
use crate::view::{AnyViewMut, Rect};
use std::mem::take;
use std::ops::Range;
use wide::bytemuck::{Pod, cast_slice_mut};

/// Rows that are computed together, at most.
const ROWS: usize = STENCIL_ROWS;

/// The scratch memory of one filter.
#[derive(Debug, Default)]
pub(super) struct StageSlot {
    slot: Slot,
    /// What the next filter reads.
    ring: Ring,
    /// Output columns, for the tile.
    columns: Range<usize>,
    /// Samples from one row of the ring to the next.
    pitch: usize,
}

impl StageSlot {
    /// The ring's rows, from the first multiple of 64 bytes on.
    fn rows<E: Pod>(&self) -> &[E] {
        self.ring.memory.kept(self.ring.tags.len() * self.pitch)
    }
}

/// Computes `rect` of the output of a chain of image filters.
pub(super) fn images<I: Source>(
    core: &ChainCore,
    segment: &Segment,
    images: &Images,
    source: Direct<'_, I>,
    rect: Rect,
    out: AnyViewMut<'_>,
    crew: Crew<'_>,
) {
    let bytes = rect.width * rect.height * segment.output.channels * out.sample.bytes();
    let walk = Walk { images, segment, source, rect, stream: bytes > STREAM_BYTES };
    let words = images.stages[0].types.1 == SampleType::I16;
    let (cut, slots) = crew.workers(core, segment, rect.height);
    let AnyViewMut { sample, bytes } = out;
    each_strip(bytes, rect.y, cut, slots, &|y, bytes, slot: &mut super::Slot| {
        let out = AnyViewMut { sample, bytes };
        let stages = &mut slot.stages;
        stages.resize_with(images.stages.len().max(stages.len()), StageSlot::default);
        let stages = &mut stages[..images.stages.len()];
        // Rows of 16 bits are only planned from `u8`.
        if !words {
            walk.strip::<f32>(y, out, stages);
        } else if const { I::NARROW } {
            walk.strip::<i16>(y, out, stages);
        }
        if walk.stream {
            fence();
        }
    });
}

/// A run over one image.
struct Walk<'a, I> {
    images: &'a Images,
    segment: &'a Segment,
    source: Direct<'a, I>,
    /// The part of the output to compute.
    rect: Rect,
    /// Whether the output goes past the cache.
    stream: bool,
}

impl<I: Source> Walk<'_, I> {
    /// One strip, whose first row is output row `top`; rows between filters are of E.
    fn strip<E: Sample>(&self, top: usize, out: AnyViewMut<'_>, slots: &mut [StageSlot]) {
        let Some(core) = self.images.stages.last() else { return };
        let rows = top..top + out.shape().height;
        let mut strip = Sink::Strip(Strip { out, origin: (self.rect.x, top) });
        let end = self.rect.x + self.rect.width;
        let mut x = self.rect.x;
        while x < end {
            let next = (x + self.segment.tile).min(end);
            self.start::<E>(x..next, slots);
            for y in rows.clone().step_by(ROWS) {
                let block = y..(y + ROWS).min(rows.end);
                self.load::<E>(slots.len() - 1, block.clone(), slots);
                let Some((own, before)) = slots.split_last_mut() else { return };
                let Some(last) = before.last() else { return };
                let mut feed = made(last, core);
                run_stage::<E>(core, block, &mut feed, &mut strip, &mut own.slot, self.stream);
            }
            x = next;
        }
    }

    /// Finds the columns that each filter must make for a tile, from the last to the first.
    fn start<E: Sample>(&self, tile: Range<usize>, slots: &mut [StageSlot]) {
        let mut x = tile;
        let mut places = 0;
        for (i, (core, own)) in self.images.stages.iter().zip(slots).enumerate().rev() {
            let channels = core.input.channels;
            own.columns = x.clone();
            // One line more, so that rows do not lie a power of two apart.
            let line = 64 / size_of::<E>();
            own.pitch = (x.len() * channels).next_multiple_of(line) + line;
            own.ring.clear(places);
            let _ = own.ring.memory.get::<E>(places * own.pitch + line);
            if x.is_empty() {
                // Windows that see nothing but constants: nothing is read from here on.
                continue;
            }
            own.slot.tile.set(core, x.clone());
            let len = own.slot.tile.len * channels;
            let (border_x, border_y) = core.filter.get_borders();
            let [constant_x, constant_y] = &mut own.slot.constants;
            if i == 0 {
                fill::<I>(constant_x.get(len), border_x, false, channels);
                fill::<I>(constant_y.get(len), border_y, false, channels);
            } else {
                fill::<E>(constant_x.get(len), border_x, false, channels);
                fill::<E>(constant_y.get(len), border_y, false, channels);
            }
            x = own.slot.tile.columns.clone();
            places = core.window_rows() + ROWS - BLOCK_ROWS;
        }
    }

    /// Makes the rows that filter `k` reads for its output rows `y`.
    fn load<E: Sample>(&self, k: usize, y: Range<usize>, slots: &mut [StageSlot]) {
        let Some(before) = k.checked_sub(1) else { return };
        if slots[before].columns.is_empty() {
            return;
        }
        let core = &self.images.stages[k];
        let Range { start: mut v, end } = core.rows(y);
        while v < end {
            let has = |v| slots[before].ring.has(v);
            let Some(y) = core.image_row(v).filter(|_| !has(v)) else {
                v += 1;
                continue;
            };
            // As many at once as are missing and follow each other.
            let mut n = 1;
            let more = |n: usize| {
                let v = v + n as isize;
                n < ROWS && v < end && core.image_row(v) == Some(y + n) && !has(v)
            };
            while more(n) {
                n += 1;
            }
            self.make::<E>(before, y..y + n, v, slots);
            v += n as isize;
        }
    }

    /// Computes rows `y` of filter `k`, which the next one knows as `v` and those below.
    fn make<E: Sample>(&self, k: usize, y: Range<usize>, v: isize, slots: &mut [StageSlot]) {
        self.load::<E>(k, y.clone(), slots);
        let core = &self.images.stages[k];
        let (before, others) = slots.split_at_mut(k);
        let own = &mut others[0];
        let mut ring = take(&mut own.ring);
        for v in (v..).take(y.len()) {
            let place = ring.place(v);
            ring.tags[place] = v;
        }
        let places = ring.tags.len();
        let mut sink = Sink::Ring(Places {
            first: ring.place(v),
            places,
            y: y.start,
            x: own.columns.start,
            sample: E::TYPE,
            rows: cast_slice_mut(ring.memory.aligned::<E>(places * own.pitch)),
            pitch: own.pitch,
            channels: core.output.channels,
        });
        if let Some(before) = before.last() {
            let mut feed = made(before, core);
            run_stage::<E>(core, y, &mut feed, &mut sink, &mut own.slot, false);
        } else {
            self.prefetch(core, &own.slot.tile, y.clone());
            self.first(core, y, &mut sink, &mut own.slot);
        }
        own.ring = ring;
    }

    /// Asks for the source rows that the next block adds. Narrower samples come fast enough by
    /// themselves.
    fn prefetch(&self, core: &Core, tile: &Tile, y: Range<usize>) {
        if !self.stream || size_of::<I>() < 4 {
            return;
        }
        let below = core.rows(y.clone()).end;
        let top = self.source.origin.1;
        let there = top..top + self.source.part.shape().height;
        for v in below..below + y.len() as isize {
            if let Some(row) = core.image_row(v).filter(|row| there.contains(row)) {
                prefetch(self.source.pixels(row, tile.columns.clone()));
            }
        }
    }

    /// Output rows `rows` of the first filter, a block of them.
    fn first(&self, core: &Core, rows: Range<usize>, sink: &mut Sink<'_>, slot: &mut Slot) {
        let mut feed = Feed::Source(self.source);
        // Only what a plan can choose for these types is compiled.
        match core.arithmetic.rung {
            Chosen::Words if const { I::NARROW } => {
                let (mut stage, tile, constants) = open::<I>(core, rows, slot, false);
                stage.words::<I, false>(tile, constants, &mut feed, sink);
            }
            Chosen::WordsHigh if const { I::NARROW } => {
                let (mut stage, tile, constants) = open::<I>(core, rows, slot, false);
                stage.words::<I, true>(tile, constants, &mut feed, sink);
            }
            _ => run_stage::<I>(core, rows, &mut feed, sink, slot, false),
        }
    }
}

/// Output rows `rows` of one filter, a block of them.
fn run_stage<T: Sample>(
    core: &Core,
    rows: Range<usize>,
    feed: &mut Feed<'_, T>,
    sink: &mut Sink<'_>,
    slot: &mut Slot,
    stream: bool,
) {
    let (mut stage, tile, constants) = open::<T>(core, rows, slot, stream);
    match core.arithmetic.rung {
        // Of rows between filters.
        Chosen::WordsHigh if const { T::NARROW } => {
            if let Work::Stencil(kernels) = &core.work {
                stage.stencil_high(kernels, tile, constants, feed, sink);
            } else {
                stage.tile::<T, High>(tile, constants, feed, sink);
            }
        }
        Chosen::Pairs if const { T::NARROW } => {
            stage.tile::<T, Pairs>(tile, constants, feed, sink);
        }
        Chosen::F32 if const { T::FLOAT || T::INTEGER } => {
            stage.tile::<T, F32>(tile, constants, feed, sink);
        }
        Chosen::Fused if const { T::FLOAT } => {
            stage.tile::<T, Fused>(tile, constants, feed, sink);
        }
        Chosen::Double if const { T::FLOAT || T::INTEGER } => {
            stage.tile::<T, Double>(tile, constants, feed, sink);
        }
        _ => {}
    }
}

/// What a filter needs for output rows `rows` of its tile: the stage, the tile, and rows of its
/// borders' constants.
fn open<'s, T: Sample>(
    core: &'s Core,
    rows: Range<usize>,
    slot: &'s mut Slot,
    stream: bool,
) -> (Stage<'s>, &'s Tile, [&'s [T]; 2]) {
    let Slot { scratch, wide, constants, padded, window, edges, tile, .. } = slot;
    let last = rows.end;
    let len = tile.len * core.input.channels;
    let [constant_x, constant_y] = constants;
    let constants: [&[T]; 2] = [constant_x.get(len), constant_y.get(len)];
    let stage = Stage { core, rows, last, scratch, wide, padded, window, edges, stream };
    (stage, tile, constants)
}

/// The rows of a filter's ring, as the next one's source.
fn made<'a, E: Pod>(slot: &'a StageSlot, core: &Core) -> Feed<'a, E> {
    let (channels, first) = (core.input.channels, slot.columns.start);
    Feed::Ring(Made { rows: slot.rows(), ring: &slot.ring, pitch: slot.pitch, first, channels })
}
