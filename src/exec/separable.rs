//! A column pass and a row pass: one walk down a strip, whatever scratch rows hold.

use super::memory::{Memory, recycle};
use super::sink::Sink;
use super::tile::Tile;
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::any_view::OutRow;
use crate::pass::{AnyRow, Column, Datapath, Input, Row, Sum};
use crate::plan::BLOCK_ROWS;
use crate::plan::arithmetic::Passes;
use crate::plan::{FilterStage, Pass};
use crate::sample::Sample;
use crate::simd::MAX_LANES;
use std::marker::PhantomData;
use std::mem::take;
use wide::bytemuck::{Pod, cast_slice};

/// How the scratch rows of a tile lie in memory, how a column pass makes them of samples `T`, and how a
/// row pass makes samples of them.
pub(super) trait ScratchRows<T> {
    /// What the column pass takes the samples for.
    type Read: Pod;
    /// What a scratch row is made of.
    type Elem: Pod;

    /// A scratch row in this memory; of no elements where it is not `used`.
    fn row<'m>(&self, memory: &'m mut Memory, used: bool) -> &'m mut [Self::Elem];

    /// The first `n` samples of each row of a window, which lie at sample `at` of the tile's rows, into the
    /// scratch rows of these kernels and output rows of the block.
    fn column<const N: usize>(
        &self,
        window: &[&[Self::Read]],
        n: usize,
        at: usize,
        sums: [(&Passes, usize, &mut [Self::Elem]); N],
    );

    /// Fills in the copied pixels of a scratch row.
    fn pad(&self, row: &mut [Self::Elem]);

    /// An output row of one kernel, or the two of a magnitude, and the memory to ask for on the way. The image's
    /// samples `under` it are added, if it is one of a pass that does so.
    fn finish<const M: usize>(
        &self,
        inputs: [(&Passes, &[Self::Elem]); M],
        under: &[T],
        stream: bool,
        next: &[u8],
        out: OutRow<'_>,
    );
}

/// Sample by sample, in an arithmetic's form.
pub(super) struct Whole<'a, R> {
    stage: &'a FilterStage,
    tile: &'a Tile,
    datapath: PhantomData<R>,
}

impl<'a, R: Datapath> Whole<'a, R> {
    pub fn new(stage: &'a FilterStage, tile: &'a Tile) -> Self {
        Self { stage, tile, datapath: PhantomData }
    }
}

impl<T: Sample, R: Datapath> ScratchRows<T> for Whole<'_, R> {
    type Read = T;
    type Elem = R::Elem;

    fn row<'m>(&self, memory: &'m mut Memory, used: bool) -> &'m mut [R::Elem] {
        let len = self.tile.len * self.stage.input.channels + MAX_LANES;
        memory.get(if used { len } else { 0 })
    }

    fn column<const N: usize>(
        &self,
        rows: &[&[T]],
        n: usize,
        at: usize,
        sums: [(&Passes, usize, &mut [R::Elem]); N],
    ) {
        let sums = sums.map(|(pass, row, out)| sum::<R>(pass, row, &mut out[at..]));
        self.stage.level.run(Column { rows, sums, n });
    }

    fn pad(&self, row: &mut [R::Elem]) {
        self.tile.pad(row, self.stage.input.channels);
    }

    fn finish<const M: usize>(
        &self,
        inputs: [(&Passes, &[R::Elem]); M],
        under: &[T],
        stream: bool,
        next: &[u8],
        out: OutRow<'_>,
    ) {
        let Self { stage, tile, .. } = self;
        let (step, finish) = (stage.input.channels, &stage.finish);
        let count = stage.axes[0].taps;
        let order = inputs[0].0.order;
        let inputs = inputs.map(|(pass, row)| Input::<R> {
            scratch: &row[tile.first * step..],
            taps: R::taps(&pass.row),
        });
        let image = match &stage.pass {
            Pass::WithIdentity(_, identity) => Some((AnyRow::of(under), R::taps(identity)[0])),
            _ => None,
        };
        stage.level.run(Row { inputs, count, step, finish, order, image, stream, next, out });
    }
}

/// The scratch row of one kernel for one output row of a block.
pub(super) fn sum<'a, R: Datapath>(
    pass: &'a Passes,
    row: usize,
    out: &'a mut [R::Elem],
) -> Sum<'a, R> {
    let Passes { column, start, shift, .. } = pass;
    let (first, taps) = column.meets::<R>(row);
    Sum { first, taps, start: *start, shift: *shift, out }
}

impl FilterRun<'_> {
    pub(super) fn two_passes<T: Sample, S: ScratchRows<T>>(
        &mut self,
        rows: &S,
        passes: &[Passes],
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let channels = stage.input.channels;
        let (below, stream) = (self.below(), self.stream);
        // Those of a magnitude's second kernel take the place of two rows.
        for (y, count) in self.blocks([BLOCK_ROWS / passes.len(), 2, 1]) {
            let virtual_rows = stage.rows(y..y + count);
            for v in virtual_rows.clone() {
                source.load(v);
            }
            // Row r of kernel k is scratch row k·count + r.
            let used = count * passes.len();
            let mut row = 0;
            let mut scratch: [&mut [S::Elem]; BLOCK_ROWS] = self.scratch.each_mut().map(|memory| {
                row += 1;
                rows.row(memory, row <= used)
            });
            for run in &tile.runs {
                let mut window = recycle(take(self.window));
                window.extend(
                    virtual_rows
                        .clone()
                        .map(|v| -> &[S::Read] { cast_slice(source.piece(run, v)) }),
                );
                let [a, b, c, d] = scratch.each_mut().map(|row| &mut **row);
                let (w, n, at) = (window.as_slice(), run.len * channels, run.at * channels);
                match (passes, count) {
                    ([p], 1) => rows.column(w, n, at, [(p, 0, a)]),
                    ([p], 2) => rows.column(w, n, at, [(p, 0, a), (p, 1, b)]),
                    ([p], _) => {
                        rows.column(w, n, at, [(p, 0, a), (p, 1, b), (p, 2, c), (p, 3, d)]);
                    }
                    ([p, q, ..], 1) => rows.column(w, n, at, [(p, 0, a), (q, 0, b)]),
                    ([p, q, ..], _) => {
                        rows.column(w, n, at, [(p, 0, a), (p, 1, b), (q, 0, c), (q, 1, d)]);
                    }
                    ([], _) => {}
                }
                *self.window = recycle(window);
            }
            for row in &mut scratch[..used] {
                rows.pad(row);
            }
            for r in 0..count {
                let [out] = sink.rows(y + r, tile.x.clone());
                // A row that the next window adds, while this one is worked on.
                let v = virtual_rows.end + r as isize;
                let next = source.ahead(v, below);
                let under = match stage.pass {
                    Pass::WithIdentity(..) => {
                        let ([x, y], columns) = ([stage.anchor.0, y + r + stage.anchor.1], &tile.x);
                        let columns = columns.start + x..columns.end + x;
                        source.pixels(y as isize, y, columns)
                    }
                    _ => &[],
                };
                match passes {
                    [p, q, ..] => {
                        let inputs = [(p, &*scratch[r]), (q, &*scratch[count + r])];
                        rows.finish(inputs, under, stream, next, out);
                    }
                    [p] => rows.finish([(p, &*scratch[r])], under, stream, next, out),
                    [] => {}
                }
                sink.done(y + r, 1, tile.x.clone());
            }
        }
    }
}
