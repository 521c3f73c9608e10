//! Runs of equal taps, and single taps: each output row reads some places of its window.

use super::dense::Preparation;
use super::memory::recycle;
use super::sink::Sink;
use super::tile::Tile;
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::any_view::OutRow;
use crate::pass::{Datapath, Doubled, Kept, Prepare, Sparse, SparseSums};
use crate::plan::{BLOCK_ROWS, FilterStage, Runs, Sums};
use crate::sample::Sample;
use crate::simd::MAX_LANES;
use std::mem::take;
use wide::bytemuck::cast_slice;

impl FilterRun<'_> {
    /// Reads of integers, in sums that are kept from row to row, or begin anew with each.
    pub(super) fn sums<T: Sample, R: Kept>(
        &mut self,
        runs: &Runs,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let channels = stage.input.channels;
        let height = stage.axes[1].taps;
        let n = (tile.x.len() * channels).next_multiple_of(2 * MAX_LANES);
        let len = tile.len * channels + 2 * MAX_LANES;
        let kept = runs.sums == Sums::Kept;
        if self.fresh {
            self.wide.clear(height + 1);
        }
        let mut scratch = take(self.scratch);
        let sums: &mut [i32] = scratch[0].aligned(n);
        for y in self.rows.clone() {
            let window = stage.rows(y..y + 1);
            for v in window.clone() {
                let Some(row) = self.wide.missing::<T>(v, len) else { continue };
                source.load(v);
                source.pad(v, row);
            }
            // The row above is there if the last window began with it.
            let follows = kept && !self.fresh && self.held.start + 1 == window.start;
            let above = window.start - isize::from(follows);
            let all: &[T] = cast_slice(&self.wide.memory.0);
            let mut list = recycle(take(self.window));
            list.extend(
                (above..window.end)
                    .map(|v| -> &[T] { &self.wide.row(all, v, len)[tile.first * channels..] }),
            );
            // A window enters row by row: its last ones are first those of windows above it.
            let steps = if kept && !follows { 1..=height } else { height..=height };
            for step in steps {
                let first = if kept && !follows { height + 1 - step } else { 0 };
                let [out] = sink.rows(y, tile.x.clone());
                stage.level.run(SparseSums::<R, T> {
                    rows: &list,
                    reads: &runs.reads,
                    taps: R::taps(&runs.taps),
                    first,
                    step: channels,
                    sums,
                    begins: !kept || !follows && step == 1,
                    finish: &stage.finish,
                    out: (step == height).then_some(out),
                });
            }
            *self.window = recycle(list);
            self.fresh = false;
            *self.held = window;
            sink.done(y, 1, tile.x.clone());
        }
        *self.scratch = scratch;
    }

    /// Reads of floats, and of means of their neighbours.
    pub(super) fn doubled<T: Sample, R: Datapath<Wide = f32>>(
        &mut self,
        runs: &Runs,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let Sums::Doubled(levels) = runs.sums else { return };
        if levels == 1 && R::wide_is::<T>() {
            return self.direct(SIZES, source, sink, &|rows, outs, _, _| {
                sparse::<R>(stage, runs, rows, 0, outs);
            });
        }
        let (level, step) = (stage.level, stage.input.channels);
        let pitch = tile.len * step + MAX_LANES;
        let make = |[row, _]: [&[T]; 2], _: [&[T]; 2], next: [&[u8]; 2], levels: &mut [f32]| {
            level.run(Prepare::<R, T> { a: row, b: row, next, out: &mut levels[..pitch] });
            level.run(Doubled { levels, pitch, step });
        };
        let made = made(tile, step, levels * pitch);
        self.made(&made, source, sink, &make, &|rows, outs, _| {
            sparse::<R>(stage, runs, rows, pitch, outs);
        });
    }
}

/// Output rows that are made in turns: their windows share rows.
const SIZES: [usize; 3] = [BLOCK_ROWS, 2, 1];

/// Rows of `len` elements, each made of one row.
fn made(tile: &Tile, channels: usize, len: usize) -> Preparation {
    Preparation {
        samples: tile.len * channels,
        len,
        first: tile.first * channels,
        paired: false,
        sizes: SIZES,
        direct: 0..0,
        skip: 0..0,
    }
}

fn sparse<R: Datapath>(
    stage: &FilterStage,
    runs: &Runs,
    rows: &[&[R::Wide]],
    pitch: usize,
    outs: &mut [OutRow<'_>],
) {
    stage.level.run(Sparse::<R> {
        rows,
        reads: &runs.reads,
        groups: &runs.groups,
        taps: R::taps(&runs.taps),
        step: stage.input.channels,
        pitch,
        finish: &stage.finish,
        outs,
    });
}
