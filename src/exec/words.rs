//! 16-bit arithmetic on `u8` images: 3×3 kernels in one pass, and two passes that keep even and odd
//! samples apart.

use super::{Core, Feed, Sink, Stage, Tile, ahead, load, piece, recycle};
use crate::pass::{
    ColumnHalves, HALF_SLACK, HalfInput, HalfSum, Nine, RowHalves, Rung, STENCIL_ROWS, Stencil,
    StencilHigh, SymmetricHalves, Words,
};
use crate::plan::arithmetic::Passes;
use crate::plan::{BLOCK_ROWS, Work};
use crate::sample::{Sample, Source};
use std::mem::take;
use wide::bytemuck::cast_slice;

/// Where a row of two halves starts, in samples, and elements of a half: the first window starts with an
/// even sample, and most of what a column pass writes is aligned to cache lines.
pub(super) fn layout(tile: &Tile, channels: usize) -> (usize, usize) {
    let shift = (tile.longest() * channels).wrapping_neg() % LINE;
    let shift = shift + (tile.first * channels + shift) % 2;
    let half = ((tile.len + 2) * channels + shift) / 2 + channels + HALF_SLACK + 1;
    (shift, half.next_multiple_of(LINE / 2))
}

/// Samples whose words are two cache lines, one of each half; or four of 32 bits.
pub(super) const LINE: usize = 64;

/// The element of a row of two halves of `half` elements each, one behind the other, where a sample lies,
/// if the row starts at sample `shift`.
pub(super) fn place_in_halves(half: usize, shift: usize) -> impl Fn(usize) -> usize {
    move |sample| (sample + shift) % 2 * half + (sample + shift) / 2
}

/// The pixels of a tile that are copies of others, as the elements where `place` puts their samples:
/// (to, from).
pub(super) fn copies_of<'a>(
    memory: &'a mut super::Memory,
    tile: &Tile,
    channels: usize,
    place: impl Fn(usize) -> usize,
) -> &'a [[u32; 2]] {
    let copies = memory.get::<[u32; 2]>(tile.copies.len() * channels);
    for (copies, &(to, from)) in copies.chunks_exact_mut(channels).zip(&tile.copies) {
        for (c, copy) in copies.iter_mut().enumerate() {
            *copy = [to, from].map(|x| place(x * channels + c) as u32);
        }
    }
    copies
}

/// Fills in the copied pixels of a row whose samples lie where [`copies_of`] was told. A function of its
/// own, whose loop keeps all it needs in registers.
#[inline(never)]
pub(super) fn pad<E: Copy>(row: &mut [E], copies: &[[u32; 2]]) {
    for &[to, from] in copies {
        row[to as usize] = row[from as usize];
    }
}

impl Stage<'_> {
    /// HIGH: the row's products are rounded.
    pub(super) fn words<T: Source, O: Sample, const HIGH: bool>(
        &mut self,
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let core = self.core;
        match &core.work {
            Work::Separable(passes) => {
                self.halves::<T, O, HIGH>(passes, tile, constants, feed, sink);
            }
            Work::Stencil(kernels) => self.stencil(kernels, tile, constants, feed, sink),
            Work::Dense(taps) => self.dense::<T, O, Words>(taps, tile, constants, feed, sink),
            Work::RowFirst(_) | Work::Running(_) | Work::Blocks(_) | Work::Naive => {}
        }
    }

    fn halves<T: Source, O: Sample, const HIGH: bool>(
        &mut self,
        passes: &[Passes],
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let core = self.core;
        let channels = core.input.channels;
        let (shift, half) = layout(tile, channels);
        let below = self.below();
        let blocks = self.blocks([BLOCK_ROWS / passes.len(), 2, 1]);
        let place = place_in_halves(half, shift);
        let copies = copies_of(&mut self.padded[0], tile, channels, place);
        for (y, rows) in blocks {
            let virtual_rows = core.rows(y..y + rows);
            for v in virtual_rows.clone() {
                load(core, tile, feed, v);
            }
            // Row r of kernel k is scratch row k·rows + r.
            let used = rows * passes.len();
            let mut row = 0;
            let mut scratch: [&mut [i16]; BLOCK_ROWS] = self.scratch.each_mut().map(|memory| {
                row += 1;
                memory.aligned(if row <= used { 2 * half } else { 0 })
            });
            for run in &tile.runs {
                let mut window = recycle(take(self.window));
                window.extend(
                    virtual_rows.clone().map(|v| -> &[u8] {
                        cast_slice(piece(core, tile, run, constants, feed, v))
                    }),
                );
                let (n, at) = (run.len * channels, run.at * channels + shift);
                let column = Halves { core, shift: passes[0].shift, rows: &window, n, at };
                let [a, b, c, d] = scratch.each_mut().map(|row| &mut **row);
                match (passes, rows) {
                    ([p], 1) => column.run([sum(p, 0, a)]),
                    ([p], 2) => column.run([sum(p, 0, a), sum(p, 1, b)]),
                    ([p], _) => {
                        column.run([sum(p, 0, a), sum(p, 1, b), sum(p, 2, c), sum(p, 3, d)])
                    }
                    ([p, q, ..], 1) => column.run([sum(p, 0, a), sum(q, 0, b)]),
                    ([p, q, ..], _) => {
                        column.run([sum(p, 0, a), sum(p, 1, b), sum(q, 0, c), sum(q, 1, d)]);
                    }
                    ([], _) => {}
                }
                *self.window = recycle(window);
            }
            for row in &mut scratch[..used] {
                pad(row, copies);
            }
            let first = (tile.first * channels + shift) / 2;
            let input = |k: usize, r: usize| {
                let (even, odd) = scratch[k * rows + r].split_at(half);
                let taps = Words::taps(&passes[k].row);
                HalfInput { halves: [&even[first..], &odd[first..]], taps }
            };
            let (step, finish, stream) = (channels, &core.finish, self.stream);
            let adds = passes[0].halves_add();
            for r in 0..rows {
                let [out] = sink.rows(y + r, tile.x.clone());
                let next = ahead(core, tile, feed, virtual_rows.end + r as isize, below);
                if passes.len() == 2 {
                    let inputs = [input(0, r), input(1, r)];
                    let row =
                        RowHalves::<O, HIGH, 2> { inputs, step, adds, finish, stream, next, out };
                    core.level.run(row);
                } else {
                    let inputs = [input(0, r)];
                    let row =
                        RowHalves::<O, HIGH, 1> { inputs, step, adds, finish, stream, next, out };
                    core.level.run(row);
                }
                sink.done(y + r, 1, tile.x.clone());
            }
        }
    }

    /// 3×3 taps in one pass.
    fn stencil<T: Source, O: Sample>(
        &mut self,
        kernels: &[Nine],
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let core = self.core;
        let sizes = [STENCIL_ROWS, STENCIL_ROWS / 2, 1];
        self.direct(sizes, tile, constants, feed, sink, |rows, outs, stream| {
            stencil(core, kernels, rows, stream, outs);
        });
    }
}

impl Stage<'_> {
    /// 3×3 taps in one pass, on the rows of 16 bits that another filter has made.
    pub(super) fn stencil_high<T: Sample, O: Sample>(
        &mut self,
        kernels: &[Nine],
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let core = self.core;
        let sizes = [STENCIL_ROWS, STENCIL_ROWS / 2, 1];
        self.direct(sizes, tile, constants, feed, sink, |rows, outs, stream| {
            let (step, finish) = (core.input.channels, &core.finish);
            match kernels {
                [a, b] => core.level.run(StencilHigh {
                    rows,
                    kernels: [a, b],
                    step,
                    finish,
                    stream,
                    outs,
                }),
                [a, ..] => {
                    core.level.run(StencilHigh { rows, kernels: [a], step, finish, stream, outs });
                }
                [] => {}
            }
        });
    }
}

/// The column pass over a run of samples.
struct Halves<'a> {
    core: &'a Core,
    shift: u32,
    rows: &'a [&'a [u8]],
    n: usize,
    at: usize,
}

impl Halves<'_> {
    fn run<const N: usize>(&self, sums: [HalfSum<'_>; N]) {
        let Self { core, shift, rows, n, at } = *self;
        if shift > 0 {
            core.level.run(SymmetricHalves { rows, sums, n, at });
        } else {
            core.level.run(ColumnHalves { rows, sums, n, at });
        }
    }
}

/// The scratch row of one kernel for one output row of a block.
fn sum<'a>(pass: &'a Passes, row: usize, out: &'a mut [i16]) -> HalfSum<'a> {
    let (first, taps) = pass.column.meets::<Words>(row);
    let (even, odd) = out.split_at_mut(out.len() / 2);
    HalfSum { first, taps, start: pass.start, out: [even, odd] }
}

/// The pass over 3×3 taps.
fn stencil<O: Sample>(
    core: &Core,
    kernels: &[Nine],
    rows: &[&[u8]],
    stream: bool,
    outs: &mut [&mut [O]],
) {
    let (step, finish) = (core.input.channels, &core.finish);
    match kernels {
        [a, b] => core.level.run(Stencil { rows, kernels: [a, b], step, finish, stream, outs }),
        [a, ..] => core.level.run(Stencil { rows, kernels: [a], step, finish, stream, outs }),
        [] => {}
    }
}
