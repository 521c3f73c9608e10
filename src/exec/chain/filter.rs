//! An image filter among layers: its passes over a window of rows of `f32`.

use super::windows::{FilterScratch, Piece};
use crate::exec::separable::sum;
use crate::pass::{Column, Dense, Input, Row, RowOrder, Rung};
use crate::plan::arithmetic::{Passes, Rows as TapsOfRows};
use crate::plan::{FilterStage, WindowStage};
use crate::simd::{Level, MAX_LANES};
use crate::view::OutRow;

/// The passes of an image filter over one piece.
pub(super) struct FilterPass<'a> {
    pub(super) level: Level,
    pub(super) stage: &'a FilterStage,
    pub(super) window: &'a WindowStage,
    pub(super) piece: &'a Piece,
    pub(super) rows: &'a [&'a [f32]],
    pub(super) stream: bool,
}

impl FilterPass<'_> {
    /// A column pass into a scratch row for each kernel and output row, and row passes.
    pub(super) fn separable<R: Rung>(
        &self,
        passes: &[Passes],
        outs: [Option<&mut [f32]>; 2],
        scratch: &mut FilterScratch,
    ) {
        let (rows, level, stream) = (self.rows, self.level, self.stream);
        let [axis, _] = &self.window.axes;
        let n = self.piece.len * self.window.inputs;
        let (count, step, finish) = (axis.taps, self.window.inputs, &self.stage.finish);
        let both = outs[1].is_some();
        let len = n + MAX_LANES;
        let [a, b, c, d] = &mut scratch.sums;
        // The rows of a second output, or a second kernel, only where there is one.
        let below = if both { len } else { 0 };
        let second = if passes.len() == 2 { len } else { 0 };
        let a: &mut [R::Elem] = a.get(len);
        let b: &mut [R::Elem] = b.get(below);
        let c: &mut [R::Elem] = c.get(second);
        let d: &mut [R::Elem] = d.get(second.min(below));
        match (passes, both) {
            ([p], false) => level.run(Column { rows, sums: [sum::<R>(p, 0, a)], n }),
            ([p], true) => {
                level.run(Column { rows, sums: [sum::<R>(p, 0, a), sum(p, 1, b)], n });
            }
            ([p, q, ..], false) => {
                level.run(Column { rows, sums: [sum::<R>(p, 0, a), sum(q, 0, c)], n });
            }
            ([p, q, ..], true) => {
                let sums = [sum::<R>(p, 0, a), sum(p, 1, b), sum(q, 0, c), sum(q, 1, d)];
                level.run(Column { rows, sums, n });
            }
            ([], _) => {}
        }
        for (out, [first, second]) in outs.into_iter().zip([[&*a, &*c], [&*b, &*d]]) {
            let Some(out) = out else { continue };
            let out = OutRow::new(out);
            let order = passes.first().map_or(RowOrder::InOrder, |p| p.order);
            match passes {
                [p] => {
                    let inputs = [Input::<R> { scratch: first, taps: R::taps(&p.row) }];
                    level.run(Row { inputs, count, step, finish, order, stream, next: &[], out });
                }
                [p, q, ..] => {
                    let inputs = [
                        Input::<R> { scratch: first, taps: R::taps(&p.row) },
                        Input { scratch: second, taps: R::taps(&q.row) },
                    ];
                    level.run(Row { inputs, count, step, finish, order, stream, next: &[], out });
                }
                [] => {}
            }
        }
    }

    /// A direct pass over widened rows; of one output row.
    pub(super) fn dense<R: Rung>(
        &self,
        kernels: &[TapsOfRows],
        rows: &[&[R::Wide]],
        outs: [Option<&mut [f32]>; 2],
    ) {
        let [Some(out), _] = outs else { return };
        let (level, stream) = (self.level, self.stream);
        let [axis, _] = &self.window.axes;
        let (width, step, finish) = (axis.taps, self.window.inputs, &self.stage.finish);
        let taps = |k: usize| R::taps(&kernels[k].taps[0]);
        let first = kernels[0].first[0];
        if kernels.len() == 1 {
            let (first, taps, outs) = ([first], [taps(0)], [OutRow::new(out)]);
            level.run(Dense::<R, 1> { rows, first, taps, width, step, finish, stream, outs });
        } else {
            let (first, taps) = ([first; 2], [taps(0), taps(1)]);
            let outs = [OutRow::new(out), OutRow::new::<f32>(&mut [])];
            level.run(Dense::<R, 2> { rows, first, taps, width, step, finish, stream, outs });
        }
    }
}
