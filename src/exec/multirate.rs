//! A kernel at two rates: low rows are kept while a low row of the output may need them, and the three rows at the full
//! width that an output row is interpolated from.
//!
//! ```text
//! 3·D rows ──► decimate down ► pad ► phases ► decimate ► filter across ──► ring of low rows
//! low rows ──► filter down ► interpolate across ──► ring of three rows ──► interpolate down ──► output
//! ```
//!
//! Block q of an axis is its samples from q·D on, wherever tiles and strips begin: rows of the rings are known by the
//! numbers of their blocks.

use super::memory::recycle;
use super::separable::sum as sum_of;
use super::sink::Sink;
use super::slots::RateSlot;
use super::tile::Tile;
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::any_view::OutRow;
use crate::pass::{Column, Datapath, F32, Finish, Input, Merge, Row, RowOrder, Split, Sum};
use crate::plan::arithmetic::Passes;
use crate::plan::{FilterStage, Multirate, Rate, SPAN};
use crate::sample::Sample;
use crate::simd::MAX_LANES;
use std::mem::take;

/// How a tile lies on the grid.
struct Grid<'a> {
    stage: &'a FilterStage,
    tile: &'a Tile,
    plan: &'a Multirate,
    channels: usize,
    /// Blocks across that the output touches.
    blocks: usize,
    /// Pixels from the start of the first of them to the first of the output.
    into: usize,
}

impl<'a> Grid<'a> {
    fn new(stage: &'a FilterStage, plan: &'a Multirate, tile: &'a Tile) -> Self {
        let step = plan.rates[0].step;
        let x = tile.x.start + stage.anchor.0..tile.x.end + stage.anchor.0;
        let blocks = (x.end - 1) / step - x.start / step + 1;
        let channels = stage.input.channels;
        Self { stage, tile, plan, channels, blocks, into: x.start % step }
    }

    /// Low samples of the output, which lie around its blocks, and of what they are filtered from.
    fn lows(&self) -> [usize; 2] {
        let around = (self.blocks + SPAN - 1) * self.channels;
        [around, around + (self.plan.rates[0].between.len() - 1) * self.channels]
    }

    /// Samples of a phase: those of all blocks that are read.
    fn phase(&self) -> usize {
        self.lows()[1] + (SPAN - 1) * self.channels
    }

    /// Samples from one row of a ring to the next.
    fn low_pitch(&self) -> usize {
        self.lows()[0] + MAX_LANES
    }

    fn full_pitch(&self) -> usize {
        self.blocks * self.plan.rates[0].step * self.channels + MAX_LANES
    }
}

impl FilterRun<'_> {
    /// Runs at two rates: R decimates down, Q interpolates.
    pub(super) fn multirate<T: Sample, R: Datapath, Q: Datapath<Elem = R::Elem>>(
        &mut self,
        plan: &Multirate,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) where
        R::Elem: Sample,
    {
        let tile = source.tile;
        let grid = Grid::new(self.stage, plan, tile);
        let down = &plan.rates[1];
        if self.fresh {
            self.rates.lows.clear(down.between.len());
            self.rates.full.clear(SPAN);
        }
        for y in self.rows.clone() {
            let row = y + self.stage.anchor.1;
            let (block, phase) = ((row / down.step) as isize, row % down.step);
            for q in block - 1..=block + 1 {
                if !self.rates.full.has(q) {
                    self.full::<T, R>(&grid, q, source);
                }
            }
            let pitch = grid.full_pitch();
            let all: &[R::Elem] = self.rates.full.memory.kept(SPAN * pitch);
            // The taps in the order of the ring.
            let turn = self.rates.full.place(block - 1);
            let taps = &Q::taps(&down.phases)[(turn * down.step + phase) * SPAN..][..SPAN];
            let scratch = &all[grid.into * grid.channels..];
            let [out] = sink.rows(y, tile.x.clone());
            self.stage.level.run(Row::<Q, 1> {
                inputs: [Input { scratch, taps }],
                count: SPAN,
                step: pitch,
                finish: &self.stage.finish,
                order: RowOrder::InOrder,
                image: None,
                stream: self.stream,
                next: &[],
                out,
            });
            if let Some(exact) = &plan.exact {
                self.mend(&grid, exact, y, source, sink);
            }
            sink.done(y, 1, tile.x.clone());
        }
    }

    /// Makes the samples of row `y` anew which are not numbers, in two passes, which read no more than the kernel's
    /// window.
    fn mend<T: Sample>(
        &mut self,
        grid: &Grid<'_>,
        exact: &Passes,
        y: usize,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let &Grid { stage, tile, channels, .. } = grid;
        let [out] = sink.rows(y, tile.x.clone());
        let out: &mut [f32] = out.typed();
        if out.iter().fold(0, |most, v| most.max(v.abs().to_bits())) < f32::INFINITY.to_bits() {
            return;
        }
        let kernel = &stage.filter.kernels()[0];
        let before =
            [0, 1].map(|axis| stage.axes[axis].before + [stage.anchor.0, stage.anchor.1][axis]);
        let (left, above) = (before[0] - kernel.anchor().0, before[1] - kernel.anchor().1);
        let first = stage.rows(y..y + 1).start + above as isize;
        let rows = first..first + kernel.height() as isize;
        for v in rows.clone() {
            source.load(v);
        }
        let RateSlot { row: column, sum, .. } = &mut *self.rates;
        let column = column.aligned(tile.len * channels + MAX_LANES);
        for run in &tile.runs {
            let mut window = recycle(take(self.window));
            window.extend(rows.clone().map(|v| -> &[T] { source.piece(run, v) }));
            let sums = [sum_of::<F32>(exact, 0, &mut column[run.at * channels..])];
            stage.level.run(Column::<F32, T, 1> { rows: &window, sums, n: run.len * channels });
            *self.window = recycle(window);
        }
        tile.pad(column, channels);
        let row = sum.aligned::<f32>(out.len());
        stage.level.run(Row::<F32, 1> {
            inputs: [Input {
                scratch: &column[(tile.first + left) * channels..],
                taps: F32::taps(&exact.row),
            }],
            count: kernel.width(),
            step: channels,
            finish: &stage.finish,
            order: exact.order,
            image: None,
            stream: false,
            next: &[],
            out: OutRow::new(&mut *row),
        });
        for (out, exact) in out.iter_mut().zip(row) {
            if !out.is_finite() {
                *out = *exact;
            }
        }
    }

    /// Makes the row of the full width for block `q`, from low rows.
    fn full<T: Sample, R: Datapath>(
        &mut self,
        grid: &Grid<'_>,
        q: isize,
        source: &mut TileRows<'_, '_, T>,
    ) where
        R::Elem: Sample,
    {
        let [across, down] = &grid.plan.rates;
        let m = (down.between.len() / 2) as isize;
        for v in q - m..=q + m {
            if !self.rates.lows.has(v) {
                self.low::<T, R>(grid, v, source);
            }
        }
        let (level, channels) = (self.stage.level, grid.channels);
        let ([n, _], pitch) = (grid.lows(), grid.low_pitch());
        let RateSlot { lows, sum, parts, full, .. } = &mut *self.rates;
        let all = lows.memory.kept(lows.tags.len() * pitch);
        let mut window = recycle(take(self.window));
        window.extend((q - m..=q + m).map(|v| &lows.row::<f32>(all, v, pitch)[..n]));
        let sum = sum.aligned(n + MAX_LANES);
        let sums = [Sum { first: 0, taps: &down.between, start: 0, shift: 0, out: sum }];
        level.run(Column::<F32, f32, 1> { rows: &window, sums, n });
        *self.window = recycle(window);
        let n = grid.blocks * channels;
        let each = n + MAX_LANES;
        let parts: &mut [R::Elem] = parts.aligned(across.step * each);
        for (part, taps) in parts.chunks_exact_mut(each).zip(F32::taps(&across.phases).chunks(SPAN))
        {
            row(self.stage, sum, taps, channels, OutRow::new(&mut part[..n]));
        }
        let (place, pitch) = (full.place(q), grid.full_pitch());
        full.tags[place] = q;
        let out = &mut full.memory.aligned(SPAN * pitch)[place * pitch..][..pitch - MAX_LANES];
        level.run(Merge { phases: parts, pitch: each, step: across.step, channels, row: out });
    }

    /// Makes low row `v`, from rows of the source.
    fn low<T: Sample, R: Datapath>(
        &mut self,
        grid: &Grid<'_>,
        v: isize,
        source: &mut TileRows<'_, '_, T>,
    ) where
        R::Elem: Sample,
    {
        let &Grid { stage, tile, plan, channels, .. } = grid;
        let [Rate { step, low: taps, between, .. }, down] = &plan.rates;
        let RateSlot { row: decimated, phases, low, lows, .. } = &mut *self.rates;
        let first = (v - 1) * down.step as isize;
        let rows = first..first + (SPAN * down.step) as isize;
        for v in rows.clone() {
            source.load(v);
        }
        let decimated: &mut [R::Elem] = decimated.aligned(tile.len * channels + MAX_LANES);
        for run in &tile.runs {
            let mut window = recycle(take(self.window));
            window.extend(rows.clone().map(|v| -> &[T] { source.piece(run, v) }));
            let Multirate { start, shift, .. } = *plan;
            let out = &mut decimated[run.at * channels..];
            let sums = [Sum { first: 0, taps: R::taps(&down.low), start, shift, out }];
            stage.level.run(Column::<R, T, 1> { rows: &window, sums, n: run.len * channels });
            *self.window = recycle(window);
        }
        tile.pad(decimated, channels);
        // The tile begins so far before the first block that is read.
        let start = (tile.first + step - 1 - grid.into) * channels;
        let (blocks, pitch) = (grid.phase() / channels, grid.phase());
        let decimated = &decimated[start..start + blocks * step * channels];
        let phases = phases.aligned(step * pitch);
        stage.level.run(Split { row: decimated, step: *step, channels, phases, pitch });
        let [outputs, n] = grid.lows();
        let low = low.aligned(n + MAX_LANES);
        let mut window = recycle(take(self.window));
        window.extend((0..SPAN * step).map(|i| -> &[f32] {
            let phase = &phases[i % step * pitch..][..pitch];
            &phase[i / step * channels..][..n]
        }));
        let sums = [Sum { first: 0, taps: F32::taps(taps), start: 0, shift: 0, out: low }];
        stage.level.run(Column::<F32, f32, 1> { rows: &window, sums, n });
        *self.window = recycle(window);
        let (place, pitch) = (lows.place(v), grid.low_pitch());
        lows.tags[place] = v;
        let all = lows.memory.aligned(lows.tags.len() * pitch);
        let out = OutRow::new::<f32>(&mut all[place * pitch..][..outputs]);
        row(stage, low, between, channels, out);
    }
}

/// A row of floats, weighted by taps that are a pixel apart.
fn row(stage: &FilterStage, scratch: &[f32], taps: &[f32], channels: usize, out: OutRow<'_>) {
    stage.level.run(Row::<F32, 1> {
        inputs: [Input { scratch, taps }],
        count: taps.len(),
        step: channels,
        finish: &Finish::PLAIN,
        order: RowOrder::InOrder,
        image: None,
        stream: false,
        next: &[],
        out,
    });
}
