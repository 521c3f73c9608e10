//! Blocks by Fourier transforms. The rows under a block are padded, and its channels apart; then channel by channel
//!
//! ```text
//! two rows ──► transform ► apart, as columns ──► transform ► times the kernel's ► back ──► two rows ► back ──► results
//! ```
//!
//! Block (i, j) is the output from (i·W, j·H) on, wherever tiles and strips begin: of floats all of it is made, even
//! where less is asked for, so that it is rounded the same way. What results do not need is taken for 0.

use super::memory::recycle;
use super::sink::Sink;
use super::slots::FftSlot;
use super::tile::{Run, Tile};
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::any_view::OutRow;
use crate::pass::{
    Addend, AnyRow, Datapath, Dense, Emit, F32, F32Fused, Finish, Join, Multiply, PAIRS, Pair,
    Planes, SumRows, Unpack,
};
use crate::plan::arithmetic::Rows;
use crate::plan::{Fft, FilterStage};
use crate::sample::{Sample, SampleType};
use crate::simd::{MAX_LANES, prefetch};
use crate::transform::Complex;
use std::mem::take;
use std::ops::Range;
use wide::bytemuck::cast_slice;

/// Numbers behind each column, so that columns do not share their places in the first cache: a line.
const SLACK: usize = 4;

/// How far below a row that is read others are asked for: they are short pieces, far from each other.
const AHEAD: isize = 8;

/// A tile, and how its blocks lie.
struct Grid<'a> {
    stage: &'a FilterStage,
    tile: &'a Tile,
    fft: &'a Fft,
    channels: usize,
    /// Blocks across.
    blocks: Range<usize>,
    /// The first sample under output (0, 0) is so far before the image, and nothing from `end` on is under any output.
    before: [usize; 2],
    end: [isize; 2],
    /// Samples of a padded row of one channel, and from one channel to the next.
    width: usize,
    pitch: usize,
}

impl<'a> Grid<'a> {
    fn new(stage: &'a FilterStage, fft: &'a Fft, tile: &'a Tile) -> Self {
        let [results, _] = fft.results;
        let blocks = tile.x.start / results..tile.x.end.div_ceil(results);
        let kernel = &stage.filter.kernels()[0];
        let anchor = kernel.anchor();
        let before = [anchor.0 - stage.anchor.0, anchor.1 - stage.anchor.1];
        let end = [
            (stage.output.width + kernel.width() - 1) as isize - before[0] as isize,
            (stage.output.height + kernel.height() - 1) as isize - before[1] as isize,
        ];
        let width = (blocks.len() - 1) * results + fft.samples[0];
        let channels = stage.input.channels;
        let pitch = width + 2 * MAX_LANES;
        Self { stage, tile, fft, channels, blocks, before, end, width, pitch }
    }

    /// The output columns of block `i` that are in the tile.
    fn columns(&self, i: usize) -> Range<usize> {
        let first = i * self.fft.results[0];
        first.max(self.tile.x.start)..(first + self.fft.results[0]).min(self.tile.x.end)
    }
}

/// A block of one channel.
#[derive(Clone, Copy)]
struct Block<'a, T> {
    /// The rows under it, of all channels.
    window: &'a [&'a [T]],
    /// Those that are not blank.
    there: (usize, usize),
    /// Where its samples begin in them.
    at: usize,
    /// Its output columns and rows that are asked for, as places in the block.
    x: (usize, usize),
    y: (usize, usize),
    channel: usize,
}

impl FilterRun<'_> {
    /// Runs by transforms.
    pub(super) fn fft<T: Sample>(
        &mut self,
        fft: &Fft,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let grid = Grid::new(stage, fft, tile);
        let ([width, height], [_, down]) = (fft.results, fft.samples);
        let (channels, row) = (grid.channels, grid.channels * grid.pitch);
        if self.fresh {
            self.fft.planes.clear(down);
            let _ = self.fft.planes.memory.aligned::<T>(down * row);
            self.fft.blank.aligned::<T>(row).fill(T::from_f64(fft.middle));
        }
        for j in self.rows.start / height..self.rows.end.div_ceil(height) {
            let top = j * height;
            let y = top.max(self.rows.start)..(top + height).min(self.rows.end);
            let first = top as isize - grid.before[1] as isize;
            let (under, end) = (stage.rows(y.clone()), first + down as isize);
            let there = under.start.max(first)..under.end.min(end).min(grid.end[1]);
            for v in there.clone() {
                if !self.fft.planes.has(v) {
                    self.planes(&grid, v, source);
                }
            }
            let planes = take(&mut self.fft.planes);
            let blank = take(&mut self.fft.blank);
            let all: &[T] = planes.memory.kept(down * row);
            let none: &[T] = blank.kept(row);
            let mut window = recycle(take(self.window));
            window.extend((first..end).map(|v| -> &[T] {
                if there.contains(&v) { planes.row(all, v, row) } else { none }
            }));
            for i in grid.blocks.clone() {
                let (left, x) = (i * width, grid.columns(i));
                for channel in 0..channels {
                    let block = Block {
                        window: &window,
                        there: ((there.start - first) as usize, (there.end - first) as usize),
                        at: channel * grid.pitch + (i - grid.blocks.start) * width,
                        x: (x.start - left, x.end - left),
                        y: (y.start - top, y.end - top),
                        channel,
                    };
                    if !self.fft.block(&grid, block) {
                        self.fft.mend(&grid, block);
                    }
                }
                let pitch = width * channels;
                let results: &[f32] =
                    self.fft.results.kept(height.next_multiple_of(2 * PAIRS) * pitch);
                for y in y.clone() {
                    let [out] = sink.rows(y, x.clone());
                    let source = &results[(y - top) * pitch..][..x.len() * channels];
                    if out.sample() == SampleType::F32 {
                        out.typed().copy_from_slice(source);
                    } else {
                        let (rows, finish) =
                            (&[Addend { row: AnyRow::F32(source), factor: 1.0 }], &Finish::PLAIN);
                        stage.level.run(SumRows { rows, finish, stream: false, out });
                    }
                    sink.done(y, 1, x.clone());
                }
            }
            *self.window = recycle(window);
            self.fft.planes = planes;
            self.fft.blank = blank;
        }
    }

    /// Makes the padded row `v`, its channels apart.
    fn planes<T: Sample>(&mut self, grid: &Grid<'_>, v: isize, source: &mut TileRows<'_, '_, T>) {
        let &Grid { stage, tile, fft, channels, pitch, .. } = grid;
        let below = self.below();
        // What of the blocks' samples the tile has.
        let start = (grid.blocks.start * fft.results[0]) as isize - grid.before[0] as isize;
        let under = stage.columns(tile.x.clone());
        let end = (start + grid.width as isize).min(grid.end[0]);
        let there = under.start.max(start)..under.end.min(end);
        let from = (there.start - under.start) as usize + tile.first;
        let (to, len) = ((there.start - start) as usize, there.len());
        let slot = &mut *self.fft;
        let (place, row) = (slot.planes.place(v), channels * pitch);
        slot.planes.tags[place] = v;
        let all = slot.planes.memory.aligned::<T>(fft.samples[1] * row);
        let all = &mut all[place * row..][..row];
        let middle = T::from_f64(fft.middle);
        for plane in all.chunks_exact_mut(pitch) {
            plane[..to].fill(middle);
            plane[to + len..].fill(middle);
        }
        let planes = &mut all[to..];
        source.load(v);
        prefetch(source.ahead(v + AHEAD, below));
        let inside = |run: &&Run| run.at <= from && from + len <= run.at + run.len;
        if let Some(run) = tile.runs.iter().find(inside) {
            let piece = source.piece(run, v);
            let row = &piece[(from - run.at) * channels..][..len * channels];
            return stage.level.run(Planes { row, channels, planes, pitch });
        }
        let padded: &mut [T] = self.padded[0].get(tile.len * channels);
        source.pad(v, padded);
        let row = &padded[from * channels..][..len * channels];
        stage.level.run(Planes { row, channels, planes, pitch });
    }
}

impl FftSlot {
    /// Makes the results of a block; or says that its samples are not all numbers.
    fn block<T: Sample>(&mut self, grid: &Grid<'_>, block: Block<'_, T>) -> bool {
        let &Grid { fft, channels, .. } = grid;
        let level = grid.stage.level;
        let ([across, down], [width, height]) = (fft.samples, fft.results);
        let [row_transform, column_transform] = &fft.transforms;
        let half = across / 2 + 1;
        let pitch = down + SLACK;
        let scratch = row_transform.scratch().max(column_transform.scratch());
        let scratch: &mut [Complex] = self.scratch.aligned(scratch);
        let rows: &mut [Complex] = self.rows.aligned(PAIRS * across);
        for (&digit, columns) in fft.digits.iter().zip(&mut self.columns) {
            let columns: &mut [Complex] = columns.aligned(half * pitch);
            for (first, group) in block.window.chunks_exact(2 * PAIRS).enumerate() {
                let first = first * 2 * PAIRS;
                if first >= block.there.1 || first + 2 * PAIRS <= block.there.0 {
                    // The transform of nothing.
                    rows.fill([0.0; 2]);
                } else {
                    for (pair, out) in group.chunks_exact(2).zip(rows.chunks_exact_mut(across)) {
                        let [a, b] = [pair[0], pair[1]].map(|row| &row[block.at..][..across]);
                        level.run(Pair { a, b, digit, out });
                    }
                    row_transform.forward(rows, scratch);
                }
                level.run(Unpack { rows, columns: &mut *columns, pitch, first });
            }
            let spectra = fft.spectrum.chunks_exact(down);
            for (column, by) in columns.chunks_exact_mut(pitch).zip(spectra) {
                let data = &mut column[..down];
                column_transform.forward(data, scratch);
                level.run(Multiply { data: &mut *data, by });
                column_transform.inverse(data, scratch);
            }
        }
        let two = fft.digits.len() > 1;
        let more: &mut [Complex] = self.more.aligned(if two { PAIRS * across } else { 0 });
        let columns: [&[Complex]; 2] = [
            self.columns[0].kept(half * pitch),
            if two { self.columns[1].kept(half * pitch) } else { &[] },
        ];
        let line = width * channels;
        let results: &mut [f32] = self.results.aligned(height.next_multiple_of(2 * PAIRS) * line);
        let n = block.x.1 - block.x.0;
        for first in (block.y.0 / (2 * PAIRS) * 2 * PAIRS..block.y.1).step_by(2 * PAIRS) {
            level.run(Join { columns: columns[0], pitch, first, rows: &mut *rows });
            row_transform.inverse(rows, scratch);
            // One sample that is no number leaves no result that is one.
            if !rows[0].iter().all(|v| v.is_finite()) {
                return false;
            }
            if two {
                level.run(Join { columns: columns[1], pitch, first, rows: &mut *more });
                row_transform.inverse(more, scratch);
            }
            let lines = results[first * line..][..2 * PAIRS * line].chunks_exact_mut(2 * line);
            for (p, lines) in lines.enumerate() {
                let at = p * across + block.x.0;
                let (a, b) = lines.split_at_mut(line);
                let part = |rows: &'_ [Complex]| -> Range<usize> {
                    if rows.is_empty() { 0..0 } else { at..at + n }
                };
                level.run(Emit {
                    sums: [&rows[part(rows)], &more[part(more)]],
                    results: fft.finish,
                    outs: [&mut a[block.channel..], &mut b[block.channel..]],
                    channels,
                });
            }
        }
        true
    }

    /// The same by a direct pass, in which what is no number reaches no further than the kernel.
    fn mend<T: Sample>(&mut self, grid: &Grid<'_>, block: Block<'_, T>) {
        let Some((taps, fused)) = &grid.fft.exact else { return };
        match fused {
            true => self.direct::<T, F32Fused>(grid, taps, block),
            false => self.direct::<T, F32>(grid, taps, block),
        }
    }

    fn direct<T: Sample, R: Datapath<Wide = f32>>(
        &mut self,
        grid: &Grid<'_>,
        taps: &Rows,
        block: Block<'_, T>,
    ) {
        let &Grid { stage, fft, channels, pitch, .. } = grid;
        let kernel = &stage.filter.kernels()[0];
        let n = block.x.1 - block.x.0;
        let line = fft.results[0] * channels;
        let results: &mut [f32] =
            self.results.aligned(fft.results[1].next_multiple_of(2 * PAIRS) * line);
        let row: &mut [f32] = self.row.aligned(n);
        for y in block.y.0..block.y.1 {
            let mut list = recycle(take(&mut self.list));
            list.extend(block.window[y..][..kernel.height()].iter().map(|row| -> &[f32] {
                let plane = &row[block.channel * pitch..][..pitch];
                cast_slice(&plane[block.at - block.channel * pitch + block.x.0..])
            }));
            let (first, taps) = taps.meets::<R>(0);
            stage.level.run(Dense::<R, 1> {
                rows: &list,
                first: [first],
                taps: [taps],
                width: kernel.width(),
                step: 1,
                finish: &stage.finish,
                stream: false,
                next: &[],
                outs: [OutRow::new(&mut *row)],
            });
            self.list = recycle(list);
            let out = results[y * line + block.channel..].iter_mut().step_by(channels);
            out.zip(&*row).for_each(|(out, v)| *out = *v);
        }
    }
}
