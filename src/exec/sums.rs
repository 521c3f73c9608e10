//! Filters whose taps are all equal: sums of windows whose cost hardly depends on their size, running
//! ones of integers, and of blocks of `f32`.

use super::{Feed, Sink, Stage, Tile, load, piece, recycle};
use crate::pass::{Accumulate, RowLevel, RowSums, SUMMED, Scan, WindowSums, Windows};
use crate::plan::arithmetic::running_middle;
use crate::sample::{Sample, Source};
use crate::simd::MAX_LANES;
use std::mem::take;
use std::ops::Range;
use wide::bytemuck::cast_slice;

/// Rows whose sum serves several blocks.
const GROUP: isize = 8;
/// Rows of a window from which sums of groups are worth while.
const GROUPS_FROM: isize = 24;

impl Stage<'_> {
    /// Running sums: the column sums of the window, kept from row to row.
    pub(super) fn running<T: Source, O: Sample>(
        &mut self,
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let core = self.core;
        let channels = core.input.channels;
        let width = core.filter.kernels()[0].width() * channels;
        let [sums, prefix, ..] = &mut *self.scratch;
        let sums: &mut [i32] = sums.get(tile.len * channels + MAX_LANES);
        let prefix: &mut [i32] = prefix.get((tile.len + 1) * channels + MAX_LANES);
        // Rows that enter and leave cancel, so mid-grey is subtracted once, for the first window.
        let kernel = &core.filter.kernels()[0];
        sums.fill(-(running_middle(core.types.0) as i32) * kernel.height() as i32);
        let mut held = core.rows(self.rows.start..self.rows.start + 1);
        held.end = held.start;
        for y in self.rows.clone() {
            let window = core.rows(y..y + 1);
            // All rows of the first window enter; later, one enters and one leaves.
            while held.end < window.end {
                let enters = held.end;
                let leaves = (held.start < window.start).then_some(held.start);
                for v in [Some(enters), leaves].into_iter().flatten() {
                    load(core, tile, feed, v);
                }
                for run in &tile.runs {
                    let piece = |v| piece(core, tile, run, constants, feed, v);
                    let sums = &mut sums[run.at * channels..];
                    core.level.run(Accumulate {
                        add: piece(enters),
                        take: leaves.map(piece),
                        sums,
                    });
                }
                held = held.start + isize::from(leaves.is_some())..enters + 1;
            }
            tile.pad(sums, channels);
            let n = (tile.x.len() - 1) * channels + width;
            let start = tile.first * channels;
            core.level.run(Scan { sums: &sums[start..], n, channels, prefix });
            let [out] = sink.rows(y, tile.x.clone());
            core.level.run(Windows { prefix, width, finish: &core.finish, out });
            sink.done(y, 1, tile.x.clone());
        }
    }

    /// Sums of windows of `f32` rows, for the rows of a block together. Blocks, and groups of rows
    /// whose sums serve several blocks, begin at multiples of their length on the endless axis, so
    /// that the order of additions does not depend on where a strip begins.
    pub(super) fn blocks_of_rows<T: Source, O: Sample>(
        &mut self,
        levels: &[RowLevel],
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let below = self.below();
        let Self { core, rows: wanted_rows, scratch, wide: ring, padded, window: list, .. } = self;
        let (core, stream) = (*core, self.stream);
        let channels = core.input.channels;
        let kernel = &core.filter.kernels()[0];
        let height = kernel.height() as isize;
        let block = if height > SUMMED as isize { SUMMED as isize } else { 1 };
        let len = tile.len * channels + MAX_LANES;
        let mut parts: [&mut [f32]; 2] = padded.each_mut().map(|memory| memory.get(len));
        ring.clear((height / GROUP + 1) as usize);
        let _ = ring.memory.get::<f32>(ring.tags.len() * len);
        let Range { start: mut y, end } = wanted_rows.clone();
        while y < end {
            let start = core.rows(y..y + 1).start;
            // The block, and which of its rows are wanted.
            let top = start.div_euclid(block) * block;
            let first = (start - top) as usize;
            let wanted = (block as usize - first).min(end - y);
            let rows = core.rows(y..y + wanted);
            for v in rows.clone() {
                load(core, tile, feed, v);
            }
            for v in rows.end..rows.end + block {
                if let Some(row) = core.image_row(v).filter(|_| v < below) {
                    feed.prefetch(core, tile, row);
                }
            }
            let common = top + block - 1..top + height;
            let groups = common.start.div_euclid(GROUP) + 1..common.end.div_euclid(GROUP);
            let groups = if height >= GROUPS_FROM { groups } else { 0..0 };
            for g in groups.clone() {
                if let Some(out) = ring.missing::<f32>(g, len) {
                    for run in &tile.runs {
                        let mut window = recycle(take(*list));
                        let rows = g * GROUP..(g + 1) * GROUP;
                        let piece = |v| cast_slice(piece(core, tile, run, constants, feed, v));
                        window.extend(rows.map(piece));
                        core.level.run(WindowSums {
                            common: &window,
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
                let piece = |v| cast_slice(piece(core, tile, run, constants, feed, v));
                window.extend((start..common.start).map(piece));
                let above = window.len();
                if groups.is_empty() {
                    window.extend(common.clone().map(piece));
                } else {
                    let all: &[f32] = cast_slice(&ring.memory.0);
                    window.extend((common.start..groups.start * GROUP).map(piece));
                    window.extend(groups.clone().map(|g| &ring.row(all, g, len)[at..][..n]));
                    window.extend((groups.end * GROUP..common.end).map(piece));
                }
                let both = window.len();
                window.extend((common.end..rows.end).map(piece));
                let mut outs = [&mut a[at..], &mut b[at..], &mut c[at..], &mut d[at..]];
                core.level.run(WindowSums {
                    common: &window[above..both],
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
                let finish = &core.finish;
                let columns = &sums[tile.first * channels..];
                let parts = parts.each_mut().map(|part| &mut **part);
                let step = channels;
                core.level.run(RowSums { columns, parts, levels, step, finish, stream, out });
                sink.done(y + r, 1, tile.x.clone());
            }
            y += wanted;
        }
    }
}
