//! Filters whose taps are all equal: sums of windows whose cost hardly depends on their size, running
//! ones of integers, and of blocks of `f32`.

use super::halves::{LINE, copies_of, layout, pad, place_in_halves};
use super::memory::recycle;
use super::sink::Sink;
use super::tile::Tile;
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::any_view::OutRow;
use crate::pass::{
    Accumulate, AccumulatePhases, AccumulateWords, GROUP, GROUPS_FROM, Halves, LEAST_SUM,
    MeansPhases, MeansWords, PHASE_SLACK, RowLevel, RowSums, SUMMED, Share, WindowSums, Windows,
    parity_unit,
};
use crate::plan::FilterStage;
use crate::sample::{Sample, SampleType};
use crate::simd::{Level, MAX_LANES};
use std::mem::take;
use std::ops::Range;
use wide::bytemuck::cast_slice;

/// The column sums of a window that moves down, and how windows of them become samples.
trait Moving<T> {
    /// The piece of a row that starts at sample `at` enters; another one may leave.
    fn accumulate(&mut self, level: Level, at: usize, add: &[T], take: Option<&[T]>);
    /// Fills in the copied pixels.
    fn pad(&mut self, tile: &Tile, channels: usize);
    /// The windows of a row; asks for `next` on the way.
    fn finish(
        &mut self,
        stage: &FilterStage,
        tile: &Tile,
        stream: bool,
        next: &[u8],
        out: OutRow<'_>,
    );
}

/// In 32 bits, exact.
struct RunningI32<'a> {
    sums: &'a mut [i32],
    /// Room for windows.
    room: &'a mut [i32],
}

impl<T: Sample> Moving<T> for RunningI32<'_> {
    fn accumulate(&mut self, level: Level, at: usize, add: &[T], take: Option<&[T]>) {
        level.run(Accumulate { add, take, sums: &mut self.sums[at..] });
    }

    fn pad(&mut self, tile: &Tile, channels: usize) {
        tile.pad(self.sums, channels);
    }

    fn finish(&mut self, stage: &FilterStage, tile: &Tile, _: bool, next: &[u8], out: OutRow<'_>) {
        let channels = stage.input.channels;
        let (sums, room) = (&self.sums[tile.first * channels..], &mut *self.room);
        let (taps, finish) = (stage.axes[0].taps, &stage.finish);
        stage.level.run(Windows { sums, channels, taps, room, finish, next, out });
    }
}

/// The same of one channel, P neighbours apart.
struct Phases<'a, const P: usize> {
    /// P rows, one behind the other.
    sums: &'a mut [i32],
    /// Elements of `sums` that are copies of others: (to, from).
    copies: &'a [[u32; 2]],
    /// As many elements.
    prefix: &'a mut [i32],
    /// Where rows start, in samples.
    shift: usize,
}

impl<T: Sample, const P: usize> Moving<T> for Phases<'_, P> {
    fn accumulate(&mut self, level: Level, at: usize, add: &[T], take: Option<&[T]>) {
        level.run(AccumulatePhases { add, take, at: at + self.shift, sums: self.sums });
    }

    fn pad(&mut self, _: &Tile, _: usize) {
        pad(self.sums, self.copies);
    }

    fn finish(
        &mut self,
        stage: &FilterStage,
        tile: &Tile,
        stream: bool,
        next: &[u8],
        out: OutRow<'_>,
    ) {
        let taps = stage.axes[0].taps;
        let from = tile.first + self.shift;
        let (sums, prefix, finish) = (&*self.sums, &mut *self.prefix, &stage.finish);
        stage.level.run(MeansPhases { sums, from, prefix, taps, finish, stream, next, out });
    }
}

/// In 16 bits, even and odd samples apart.
struct RunningI16<'a> {
    /// The two halves, one behind the other.
    sums: &'a mut [i16],
    /// Elements of `sums` that are copies of others: (to, from).
    copies: &'a [[u32; 2]],
    prefix: [&'a mut [i16]; 2],
    /// Where rows start, in samples.
    shift: usize,
    /// Samples that are even or odd together.
    unit: usize,
    share: Share,
}

impl<T: Sample> Moving<T> for RunningI16<'_> {
    fn accumulate(&mut self, level: Level, at: usize, add: &[T], take: Option<&[T]>) {
        let (add, take) = (cast_slice(add), take.map(cast_slice));
        let (even, odd) = self.sums.split_at_mut(self.sums.len() / 2);
        let sums = [even, odd];
        level.run(AccumulateWords { add, take, at: at + self.shift, unit: self.unit, sums });
    }

    fn pad(&mut self, _: &Tile, _: usize) {
        pad(self.sums, self.copies);
    }

    fn finish(
        &mut self,
        stage: &FilterStage,
        tile: &Tile,
        stream: bool,
        next: &[u8],
        out: OutRow<'_>,
    ) {
        let channels = stage.input.channels;
        let taps = stage.axes[0].taps;
        let first = (tile.first * channels + self.shift) / 2;
        let (even, odd) = self.sums.split_at(self.sums.len() / 2);
        let sums = [&even[first..], &odd[first..]];
        let halves = Halves { sums, channels, unit: self.unit, share: self.share };
        let prefix = self.prefix.each_mut().map(|prefix| &mut **prefix);
        stage.level.run(MeansWords { halves, prefix, taps, stream, next, out });
    }
}

impl FilterRun<'_> {
    /// Running sums: the column sums of the window, kept from row to row.
    pub(super) fn running<T: Sample>(
        &mut self,
        share: Option<Share>,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let channels = stage.input.channels;
        let len = (tile.len + 1) * channels;
        let begins = self.begins();
        let mut scratch = take(self.scratch);
        let [a, b, c, d] = &mut scratch;
        if let Some(share) = share {
            if const { size_of::<T>() == 1 } {
                let bytes = sink.sample() == SampleType::U8;
                let unit = if bytes { parity_unit(stage.level, channels) } else { 1 };
                let (shift, half) = layout(tile, channels, unit);
                let sums = a.aligned(2 * half);
                if begins {
                    sums.fill(LEAST_SUM);
                }
                let prefix = [c.aligned(half), d.aligned(half)];
                let copies = copies_of(b, tile, channels, place_in_halves(half, shift, unit));
                let moving = RunningI16 { sums, copies, prefix, shift, unit, share };
                self.walk(moving, source, sink);
            }
            *self.scratch = scratch;
            return;
        }
        // Rows that enter and leave cancel, so mid-grey is subtracted once, for the first window.
        let start = stage.finish.fixed[0].start;
        let apart = channels == 1 && stage.level.permutes() && stage.finish.rounds();
        if const { T::PHASES > 0 } && apart && sink.sample() == T::TYPE {
            let phases = T::PHASES;
            let shift = tile.longest().wrapping_neg() % LINE;
            // An odd number of cache lines, so that rows do not share sets.
            let lines = ((tile.len + shift) / phases + 2 + PHASE_SLACK).div_ceil(16) | 1;
            let [sums, prefix] = [a, c].map(|memory| memory.aligned(phases * 16 * lines));
            if begins {
                sums.fill(start);
            }
            let place = |x| (x + shift) % phases * 16 * lines + (x + shift) / phases;
            let copies = copies_of(b, tile, 1, place);
            match phases {
                2 => {
                    let moving = Phases::<2> { sums, copies, prefix, shift };
                    self.walk(moving, source, sink);
                }
                _ => {
                    let moving = Phases::<4> { sums, copies, prefix, shift };
                    self.walk(moving, source, sink);
                }
            }
        } else {
            let sums: &mut [i32] = a.get(len + MAX_LANES);
            if begins {
                sums.fill(start);
            }
            let room = b.get(len + MAX_LANES);
            self.walk(RunningI32 { sums, room }, source, sink);
        }
        *self.scratch = scratch;
    }

    /// Whether column sums begin anew, as in a new tile: otherwise the window moves on by a row at most from where
    /// the last block has left it, so that a ring still has the rows that leave it. Borders may ask for rows upwards.
    fn begins(&mut self) -> bool {
        let y = self.rows.start;
        let window = self.stage.rows(y..y + 1);
        let begins = self.fresh || (window.start - self.held.start).abs() > 1;
        if begins {
            *self.held = window.start..window.start;
        }
        begins
    }

    /// Moves a window over the rows of a tile.
    fn walk<T: Sample>(
        &mut self,
        mut moving: impl Moving<T>,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let channels = stage.input.channels;
        let below = self.below();
        let mut held = self.held.clone();
        for y in self.rows.clone() {
            let window = stage.rows(y..y + 1);
            // All rows of the first window enter; later, one enters and one leaves.
            while held != window {
                let full = held.len() == window.len();
                let (enters, leaves);
                if held.start > window.start {
                    (enters, leaves) = (held.start - 1, full.then_some(held.end - 1));
                    held = enters..held.end - isize::from(full);
                } else {
                    (enters, leaves) = (held.end, full.then_some(held.start));
                    held = held.start + isize::from(full)..enters + 1;
                }
                for v in [Some(enters), leaves].into_iter().flatten() {
                    source.load(v);
                }
                for run in &tile.runs {
                    let piece = |v| source.piece(run, v);
                    let (add, take) = (piece(enters), leaves.map(piece));
                    moving.accumulate(stage.level, run.at * channels, add, take);
                }
            }
            moving.pad(tile, channels);
            // The next row to enter.
            let next = source.ahead(held.end, below);
            let [out] = sink.rows(y, tile.x.clone());
            moving.finish(stage, tile, self.stream, next, out);
            sink.done(y, 1, tile.x.clone());
        }
        *self.held = held;
    }

    /// Sums of windows of `f32` rows, for the rows of a block together. Blocks, and groups of rows
    /// whose sums serve several blocks, begin at multiples of their length on the endless axis, so
    /// that the order of additions does not depend on where a strip begins.
    pub(super) fn blocks_of_rows<T: Sample>(
        &mut self,
        levels: &[RowLevel],
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let below = self.below();
        let Self { stage, rows: wanted_rows, scratch, wide: ring, padded, window: list, .. } = self;
        let (stage, stream) = (*stage, self.stream);
        let channels = stage.input.channels;
        let kernel = &stage.filter.kernels()[0];
        let height = kernel.height() as isize;
        // Of the taps, a power of 2 is on the rows, and what is left on the sums.
        let unit = stage.finish.fixed[1].unit;
        let block = if height > SUMMED as isize { SUMMED as isize } else { 1 };
        let len = tile.len * channels + MAX_LANES;
        let mut parts: [&mut [f32]; 2] = padded.each_mut().map(|memory| memory.get(len));
        if self.fresh {
            ring.clear((height / GROUP + 1) as usize);
            let _ = ring.memory.get::<f32>(ring.tags.len() * len);
        }
        let Range { start: mut y, end } = wanted_rows.clone();
        while y < end {
            let start = stage.rows(y..y + 1).start;
            // The block, and which of its rows are wanted.
            let top = start.div_euclid(block) * block;
            let first = (start - top) as usize;
            let wanted = (block as usize - first).min(end - y);
            let rows = stage.rows(y..y + wanted);
            for v in rows.clone() {
                source.load(v);
            }
            let common = top + block - 1..top + height;
            let groups = common.start.div_euclid(GROUP) + 1..common.end.div_euclid(GROUP);
            let groups = if height >= GROUPS_FROM { groups } else { 0..0 };
            for g in groups.clone() {
                if let Some(out) = ring.missing::<f32>(g, len) {
                    for run in &tile.runs {
                        let mut window = recycle(take(*list));
                        let rows = g * GROUP..(g + 1) * GROUP;
                        let piece = |v| cast_slice(source.piece(run, v));
                        window.extend(rows.map(piece));
                        stage.level.run(WindowSums {
                            common: &window,
                            summed: 0..0,
                            unit,
                            first: 0,
                            above: &[],
                            below: &[],
                            outs: &mut [&mut out[run.at * channels..]],
                            n: run.len * channels,
                        });
                        **list = recycle(window);
                    }
                }
            }
            let [a, b, c, d] = scratch.each_mut().map(|memory| memory.get::<f32>(len));
            for run in &tile.runs {
                let (n, at) = (run.len * channels, run.at * channels);
                let mut window = recycle(take(*list));
                let piece = |v| cast_slice(source.piece(run, v));
                window.extend((start..common.start).map(piece));
                let above = window.len();
                let mut summed = 0..0;
                if groups.is_empty() {
                    window.extend(common.clone().map(piece));
                } else {
                    let all: &[f32] = cast_slice(&ring.memory.0);
                    window.extend((common.start..groups.start * GROUP).map(piece));
                    summed.start = window.len() - above;
                    window.extend(groups.clone().map(|g| &ring.row(all, g, len)[at..][..n]));
                    summed.end = window.len() - above;
                    window.extend((groups.end * GROUP..common.end).map(piece));
                }
                let both = window.len();
                window.extend((common.end..rows.end).map(piece));
                let mut outs = [&mut a[at..], &mut b[at..], &mut c[at..], &mut d[at..]];
                stage.level.run(WindowSums {
                    common: &window[above..both],
                    summed: summed.clone(),
                    unit,
                    first,
                    above: &window[..above],
                    below: &window[both..],
                    outs: &mut outs[..wanted],
                    n,
                });
                **list = recycle(window);
            }
            for (r, sums) in [a, b, c, d].into_iter().enumerate().take(wanted) {
                tile.pad(sums, channels);
                let [out] = sink.rows(y + r, tile.x.clone());
                let finish = &stage.finish;
                let columns = &sums[tile.first * channels..];
                let parts = parts.each_mut().map(|part| &mut **part);
                let step = channels;
                // A row that the next block adds, while this one is worked on.
                let next = source.ahead(rows.end + r as isize, below);
                let sums = RowSums { columns, parts, levels, step, finish, stream, next, out };
                stage.level.run(sums);
                sink.done(y + r, 1, tile.x.clone());
            }
            y += wanted;
        }
    }
}
