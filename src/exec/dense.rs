//! Passes over windows of whole rows: direct 2D ones, and what else reads rows where they lie.

use super::{Core, Feed, Sink, Stage, Tile, load, piece, recycle};
use crate::pass::{Dense, Prepare, Rung};
use crate::plan::BLOCK_ROWS;
use crate::plan::arithmetic::Rows;
use crate::sample::Sample;
use crate::simd::MAX_LANES;
use std::array::from_fn;
use std::mem::take;
use wide::bytemuck::{Pod, cast_slice};

/// How the output columns of a tile lie to the image's edges.
struct Edges {
    /// Those whose windows reach beyond the left edge.
    left: usize,
    /// Those whose windows lie inside.
    inside: usize,
    /// The others.
    right: usize,
    /// The first column of the source under those inside, and how many there are.
    from: usize,
    columns: usize,
    /// Samples in a padded copy of a row of the edges.
    reach: usize,
}

impl Edges {
    /// Fills in the source columns of the copies: one after the other, those of both edges.
    fn new(core: &Core, tile: &Tile, copied: &mut Vec<Option<usize>>) -> Self {
        let channels = core.input.channels;
        let taps = core.filter.kernels()[0].width();
        let vector = 2 * MAX_LANES;
        let first = core.columns(tile.x.start..tile.x.start + 1).start;
        let len = tile.x.len();
        let left = (-first).clamp(0, len as isize) as usize;
        let right = first + (len + taps - 1) as isize - core.input.width as isize;
        let right = right.clamp(0, (len - left) as isize) as usize;
        let inside = len - left - right;
        let (left, inside, right) =
            if inside * channels < vector { (len, 0, 0) } else { (left, inside, right) };
        let around = |start: usize, outputs: usize| {
            let columns = if outputs > 0 { outputs + taps - 1 } else { 0 };
            (start..start + columns).map(|x| first + x as isize)
        };
        let border = core.filter.get_borders().0;
        copied.clear();
        copied.extend(
            around(0, left)
                .chain(around(left + inside, right))
                .map(|x| border.map(x, core.input.width)),
        );
        let outputs = copied.len().saturating_sub(taps - 1) * channels;
        Self {
            left,
            inside,
            right,
            from: (first + left as isize) as usize,
            columns: inside + taps - 1,
            reach: outputs.max(vector) + (taps - 1) * channels,
        }
    }
}

impl Stage<'_> {
    /// A pass over windows of rows: where they lie inside the image, from the source's own rows; at its
    /// edges from copies that are padded. Rows are handed over as elements `E`, which the samples
    /// must be; blocks have 8, 4, 2 or 1 rows. Rows of copies reach 2·`MAX_LANES` elements under each
    /// tap, those of the source are at least as long.
    pub(super) fn direct<T: Sample, O: Sample, E: Pod>(
        &mut self,
        sizes: [usize; 3],
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
        pass: impl Fn(&[&[E]], &mut [&mut [O]]),
    ) {
        let core = self.core;
        let edges = Edges::new(core, tile, self.edges);
        for (y, rows) in self.blocks(sizes) {
            for v in core.rows(y..y + rows) {
                load(core, tile, feed, v);
            }
            let x = tile.x.clone();
            match rows {
                8 => {
                    self.around(y, &edges, tile, constants, feed, &mut sink.rows::<8>(y, x), &pass)
                }
                4 => {
                    self.around(y, &edges, tile, constants, feed, &mut sink.rows::<4>(y, x), &pass)
                }
                2 => {
                    self.around(y, &edges, tile, constants, feed, &mut sink.rows::<2>(y, x), &pass)
                }
                _ => {
                    self.around(y, &edges, tile, constants, feed, &mut sink.rows::<1>(y, x), &pass)
                }
            }
            sink.done(y, rows, tile.x.clone());
        }
    }

    /// `direct` for the block of output rows `outs`, from row `y` on.
    #[allow(clippy::too_many_arguments)]
    fn around<T: Sample, O: Sample, E: Pod>(
        &mut self,
        y: usize,
        edges: &Edges,
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &impl Feed<T>,
        outs: &mut [&mut [O]],
        pass: &impl Fn(&[&[E]], &mut [&mut [O]]),
    ) {
        let core = self.core;
        let channels = core.input.channels;
        let count = outs.len();
        let virtual_rows = core.rows(y..y + count);
        let &Edges { left, inside, right, from, columns, reach } = edges;
        if inside > 0 {
            let mut window = recycle(take(self.window));
            window.extend(virtual_rows.clone().map(|v| -> &[E] {
                cast_slice(match core.image_row(v) {
                    Some(row) => feed.row(core, tile, v, row, from..from + columns),
                    None => &constants[1][..columns * channels],
                })
            }));
            let mut each = outs.iter_mut();
            let part = left * channels..(left + inside) * channels;
            let mut parts: [&mut [O]; 8] = from_fn(|_| {
                each.next().map_or_else(Default::default, |out| &mut out[part.clone()])
            });
            pass(&window, &mut parts[..count]);
            *self.window = recycle(window);
        }
        if left + right > 0 {
            let [copies, results] = &mut *self.padded;
            let copies: &mut [T] = copies.get(virtual_rows.len() * reach);
            for (v, copy) in virtual_rows.zip(copies.chunks_exact_mut(reach)) {
                let row =
                    core.image_row(v).map(|row| feed.row(core, tile, v, row, tile.columns.clone()));
                for (x, out) in self.edges.iter().zip(copy.chunks_exact_mut(channels)) {
                    let pixel = match (x, row) {
                        (None, _) => constants[0],
                        (_, None) => constants[1],
                        (Some(x), Some(row)) => &row[(x - tile.columns.start) * channels..],
                    };
                    for (out, sample) in out.iter_mut().zip(pixel) {
                        *out = *sample;
                    }
                }
            }
            let mut window = recycle(take(self.window));
            window.extend(copies.chunks_exact(reach).map(cast_slice));
            let taps = core.filter.kernels()[0].width();
            let copied = (self.edges.len() + 1 - taps) * channels;
            let results: &mut [O] = results.get(count * copied);
            let mut each = results.chunks_exact_mut(copied);
            let mut parts: [&mut [O]; 8] = from_fn(|_| each.next().unwrap_or_default());
            pass(&window, &mut parts[..count]);
            *self.window = recycle(window);
            for (out, result) in outs.iter_mut().zip(results.chunks_exact(copied)) {
                let (left, right) = (left * channels, right * channels);
                out[..left].copy_from_slice(&result[..left]);
                let start = out.len() - right;
                out[start..].copy_from_slice(&result[copied - right..]);
            }
        }
    }

    /// A direct 2D pass, over rows that are widened once, or read where they lie.
    pub(super) fn dense<T: Sample, O: Sample, R: Rung>(
        &mut self,
        kernels: &[Rows],
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let core = self.core;
        let channels = core.input.channels;
        let len = tile.len * channels + MAX_LANES;
        if R::wide_is::<T>() {
            let sizes = [BLOCK_ROWS / kernels.len(), 1, 1];
            return self.direct(sizes, tile, constants, feed, sink, |rows, outs| {
                dense_rows::<O, R>(core, kernels, rows, outs);
            });
        }
        let below = self.below();
        self.wide.clear(core.window_rows());
        // Pairs of rows that are prepared once serve two rows best.
        let most = if R::PAIRED == 2 { 2 } else { BLOCK_ROWS / kernels.len() };
        for (y, rows) in self.blocks([most, 1, 1]) {
            let virtual_rows = core.rows(y..y + rows);
            for v in virtual_rows.clone().step_by(R::PAIRED) {
                // The lower row of a pair below the last window would meet only zero taps.
                let lower = (v + R::PAIRED as isize - 1).min(below - 1);
                let fill = |padded: &mut [T], v: isize, feed: &mut _| {
                    load(core, tile, feed, v);
                    for run in &tile.runs {
                        let piece = piece(core, tile, run, constants, feed, v);
                        padded[run.at * channels..][..piece.len()].copy_from_slice(piece);
                    }
                    tile.pad(padded, channels);
                };
                let Some(out) = self.wide.missing::<R::Wide>(v, len) else { continue };
                let rows = self.padded.each_mut();
                let [upper, second] = rows.map(|memory| memory.get::<T>(tile.len * channels));
                fill(upper, v, feed);
                if R::PAIRED == 2 {
                    fill(second, lower, feed);
                }
                let (a, second): (&[T], &[T]) = (upper, second);
                let b = if R::PAIRED == 2 { second } else { a };
                core.level.run(Prepare::<R, T> { a, b, out });
            }
            let all: &[R::Wide] = cast_slice(&self.wide.memory.0);
            let mut window = recycle(take(self.window));
            window.extend(virtual_rows.step_by(R::PAIRED).map(|v| {
                let row: &[R::Wide] = self.wide.row(all, v, len);
                &row[tile.first * channels..]
            }));
            let window_rows = window.as_slice();
            let x = tile.x.clone();
            match rows {
                1 => dense_rows::<O, R>(core, kernels, window_rows, &mut sink.rows::<1>(y, x)),
                2 => dense_rows::<O, R>(core, kernels, window_rows, &mut sink.rows::<2>(y, x)),
                _ => {
                    let outs = &mut sink.rows::<BLOCK_ROWS>(y, x);
                    dense_rows::<O, R>(core, kernels, window_rows, outs);
                }
            }
            *self.window = recycle(window);
            sink.done(y, rows, tile.x.clone());
        }
    }
}

/// The dense pass for the output rows of a block, of which there may be as many as there are cases.
fn dense_rows<O: Sample, R: Rung>(
    core: &Core,
    kernels: &[Rows],
    rows: &[&[R::Wide]],
    outs: &mut [&mut [O]],
) {
    match (kernels.len(), outs) {
        (1, [a]) => dense::<O, R, 1, 1>(core, kernels, rows, [a]),
        (1, [a, b]) => dense::<O, R, 1, 2>(core, kernels, rows, [a, b]),
        (1, [a, b, c, d]) if const { R::PAIRED == 1 } => {
            dense::<O, R, 1, BLOCK_ROWS>(core, kernels, rows, [a, b, c, d]);
        }
        (_, [a]) => dense::<O, R, 2, 1>(core, kernels, rows, [a]),
        (_, [a, b]) => dense::<O, R, 2, 2>(core, kernels, rows, [a, b]),
        _ => unreachable!("blocks are not of that size"),
    }
}

/// The dense pass for the output rows of a block.
fn dense<O: Sample, R: Rung, const M: usize, const ROWS: usize>(
    core: &Core,
    kernels: &[Rows],
    rows: &[&[R::Wide]],
    outs: [&mut [O]; ROWS],
) {
    core.level.run(Dense::<R, O, M, ROWS> {
        rows,
        first: from_fn(|row| kernels[0].meets::<R>(row).0),
        taps: from_fn(|row| from_fn(|k| kernels[k].meets::<R>(row).1)),
        width: core.filter.kernels()[0].width(),
        step: core.input.channels,
        finish: &core.finish,
        outs,
    });
}
