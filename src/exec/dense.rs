//! Passes over windows of whole rows: direct 2D ones, and what else reads rows where they lie.

use super::memory::recycle;
use super::sink::Sink;
use super::slots::Copied;
use super::tile::{Run, Tile};
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::any_view::OutRow;
use crate::pass::{
    ACROSS_SLACK, Across, Datapath, Dense, I16Pairs, Nine, Part, Prepare, STENCIL_ROWS, Stencil,
    StencilSample,
};
use crate::plan::arithmetic::{Passes, Rows};
use crate::plan::{Arithmetic, BLOCK_ROWS, FilterStage};
use crate::sample::Sample;
use crate::simd::MAX_LANES;
use std::array::from_fn;
use std::mem::take;
use std::ops::Range;
use wide::bytemuck::{Pod, cast_slice};

/// Pieces of fewer samples than this are copied one by one: a call to copy them takes longer.
const PIECE: usize = 16;

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
    /// Samples of an output row that are made from copies.
    copied: usize,
    /// Samples in a padded copy of a row of the edges.
    reach: usize,
}

impl Edges {
    /// Finds what copies are made of: one edge after the other.
    fn new(stage: &FilterStage, tile: &Tile, copied: &mut Copied) -> Self {
        let channels = stage.input.channels;
        let taps = stage.axes[0].taps;
        let vector = 2 * MAX_LANES;
        let first = stage.columns(tile.x.start..tile.x.start + 1).start;
        let len = tile.x.len();
        let left = (-first).clamp(0, len as isize) as usize;
        let right = first + (len + taps - 1) as isize - stage.input.width as isize;
        let right = right.clamp(0, (len - left) as isize) as usize;
        let inside = len - left - right;
        let (left, inside, right) =
            if inside * channels < vector { (len, 0, 0) } else { (left, inside, right) };
        let around = |start: usize, outputs: usize| {
            let columns = if outputs > 0 { outputs + taps - 1 } else { 0 };
            (start..start + columns).map(|x| first + x as isize)
        };
        let border = &stage.axes[0].border;
        let Copied { pieces, samples } = copied;
        pieces.clear();
        let mut count = 0;
        for x in around(0, left).chain(around(left + inside, right)) {
            let from = border.map(x, stage.input.width);
            match pieces.last_mut() {
                // Most follow each other.
                Some(run)
                    if run.from.map(|from| from + run.len) == from && run.at + run.len == count =>
                {
                    run.len += 1;
                }
                _ => pieces.push(Run { at: count, len: 1, from }),
            }
            count += 1;
        }
        samples.clear();
        pieces.retain(|run| {
            let few = run.from.filter(|_| run.len * channels < PIECE);
            if let Some(x) = few {
                let (at, from) = (run.at * channels, (x - tile.columns.start) * channels);
                samples.extend((0..run.len * channels).map(|i| (at + i, from + i)));
            }
            few.is_none()
        });
        let outputs = count.saturating_sub(taps - 1) * channels;
        Self {
            copied: outputs,
            left,
            inside,
            right,
            from: (first + left as isize) as usize,
            columns: inside + taps - 1,
            reach: outputs.max(vector) + (taps - 1) * channels,
        }
    }
}

/// Most bytes of rows to ask for in advance: the second cache must hold them beside the rows at work. Of a picture
/// that is in no cache, 3×3 taps take twice as long without (1920×1080 `u8`, three and four channels, AMD Zen 5).
const NEXT_BYTES: usize = 256 << 10;

/// Images of so many bytes are taken to be in the cache already.
const HELD_BYTES: usize = 128 << 10;

/// A pass over the rows of a window: whether it writes past the cache, and what memory it asks for.
type Direct<'a, E> = dyn Fn(&[&[E]], &mut [OutRow<'_>], bool, &[&[u8]]) + 'a;
/// A pass over rows that are made.
type OverMade<'a, E> = dyn Fn(&[&[E]], &mut [OutRow<'_>], bool) + 'a;
/// What makes them, as [`FilterRun::made`] says.
type Make<'a, T, E> = dyn Fn([&[T]; 2], [&[T]; 2], [&[u8]; 2], &mut [E]) + 'a;

impl FilterRun<'_> {
    /// A pass over windows of rows: where they lie inside the image, from the source's own rows; at its
    /// edges from copies that are padded; it is told whether to write past the cache, and what memory to ask
    /// for on the way, for each output row. Rows are handed over as elements `E`, which the samples must
    /// be; blocks have 8, 4, 2 or 1 rows. Rows of copies reach 2·`MAX_LANES` elements under each tap, those of
    /// the source are at least as long.
    pub(super) fn direct<T: Sample, E: Pod>(
        &mut self,
        sizes: [usize; 3],
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
        pass: &Direct<'_, E>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let edges = Edges::new(stage, tile, self.edges);
        for (y, rows) in self.blocks(sizes) {
            for v in stage.rows(y..y + rows) {
                source.load(v);
            }
            let x = tile.x.clone();
            match rows {
                8 => self.around(y, &edges, source, &mut sink.rows::<8>(y, x), pass),
                4 => self.around(y, &edges, source, &mut sink.rows::<4>(y, x), pass),
                2 => self.around(y, &edges, source, &mut sink.rows::<2>(y, x), pass),
                _ => self.around(y, &edges, source, &mut sink.rows::<1>(y, x), pass),
            }
            sink.done(y, rows, tile.x.clone());
        }
    }

    /// 3×3 taps in one pass, over rows of E.
    pub(super) fn stencil<T: Sample, E: Pod + StencilSample>(
        &mut self,
        kernels: &[Nine],
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let stage = self.stage;
        let fused = stage.arithmetic.arithmetic == Arithmetic::F32Fused;
        let sizes = [STENCIL_ROWS, STENCIL_ROWS / 2, 1];
        self.direct(sizes, source, sink, &|rows: &[&[E]], outs, stream, next| {
            let (step, finish) = (stage.input.channels, &stage.finish);
            // A pass of one kernel, or of two.
            macro_rules! run {
                ($kernels:expr) => {{
                    let kernels = $kernels;
                    let pass = Stencil { rows, kernels, step, fused, finish, stream, next, outs };
                    stage.level.run(pass);
                }};
            }
            match kernels {
                [a, b] => run!([a, b]),
                [a, ..] => run!([a]),
                [] => {}
            }
        });
    }

    /// `direct` for the block of output rows `outs`, from row `y` on.
    fn around<T: Sample, E: Pod>(
        &mut self,
        y: usize,
        edges: &Edges,
        source: &TileRows<'_, '_, T>,
        outs: &mut [OutRow<'_>],
        pass: &Direct<'_, E>,
    ) {
        let (tile, constants) = (source.tile, source.constants);
        let stage = self.stage;
        let channels = stage.input.channels;
        let (count, sample) = (outs.len(), outs[0].sample());
        let pixel = channels * sample.bytes();
        let virtual_rows = stage.rows(y..y + count);
        let &Edges { left, inside, right, from, columns, copied, reach } = edges;
        let below = self.below();
        let [copies, results] = &mut *self.padded;
        let copies: &mut [T] = copies.get(virtual_rows.len() * reach);
        let mut window = recycle(take(self.window));
        let skipped = if inside > 0 { (from - tile.columns.start) * channels } else { 0 };
        for (v, copy) in virtual_rows.clone().zip(copies.chunks_exact_mut(reach)) {
            let row = stage.image_row(v).map(|row| source.pixels(v, row, tile.columns.clone()));
            if inside > 0 {
                let row = row.map_or(constants[1], |row| &row[skipped..]);
                window.push(cast_slice(&row[..columns * channels]));
            }
            for run in &self.edges.pieces {
                let len = run.len * channels;
                let pixels = match (run.from, row) {
                    (None, _) => constants[0],
                    (_, None) => constants[1],
                    (Some(x), Some(row)) => &row[(x - tile.columns.start) * channels..],
                };
                copy[run.at * channels..][..len].copy_from_slice(&pixels[..len]);
            }
            for &(to, from) in &self.edges.samples {
                copy[to] = row.map_or_else(|| constants[1][to % channels], |row| row[from]);
            }
        }
        if inside > 0 {
            let mut each = outs.iter_mut();
            let part = left * pixel..(left + inside) * pixel;
            let mut parts: [OutRow; 8] = from_fn(|_| {
                let part = each.next().map_or_else(Default::default, |out| {
                    let bytes: &mut [u8] = out.bytes();
                    &mut bytes[part.clone()]
                });
                OutRow::from_bytes(sample, part)
            });
            // The rows that the next windows add.
            let bytes = columns * channels * size_of::<T>();
            let mut next: [&[u8]; 8] = [&[]; 8];
            if bytes * count <= NEXT_BYTES && bytes * stage.input.height > HELD_BYTES {
                let rows = (virtual_rows.end..).zip(&mut next[..count]);
                rows.for_each(|(v, next)| *next = source.ahead(v, below));
            }
            pass(&window, &mut parts[..count], self.stream, &next[..count]);
        }
        *self.window = recycle(window);
        if left + right > 0 {
            let mut window = recycle(take(self.window));
            window.extend(copies.chunks_exact(reach).map(cast_slice));
            let bytes = copied * sample.bytes();
            let results: &mut [u8] = results.get(count * bytes);
            let mut each = results.chunks_exact_mut(bytes);
            let mut parts: [OutRow; 8] =
                from_fn(|_| OutRow::from_bytes(sample, each.next().unwrap_or_default()));
            pass(&window, &mut parts[..count], false, &[]);
            *self.window = recycle(window);
            for (out, result) in outs.iter_mut().zip(results.chunks_exact(bytes)) {
                let (left, right) = (left * pixel, right * pixel);
                let out = out.bytes();
                let start = out.len() - right;
                out[..left].copy_from_slice(&result[..left]);
                out[start..].copy_from_slice(&result[bytes - right..]);
            }
        }
    }

    /// A direct 2D pass, over rows that are widened once, or read where they lie.
    pub(super) fn dense<T: Sample, R: Datapath>(
        &mut self,
        kernels: &[Rows],
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let channels = stage.input.channels;
        let width = stage.axes[0].taps;
        let len = tile.len * channels + MAX_LANES;
        if R::wide_is::<T>() {
            let sizes = [R::MOST_SUMS / kernels.len(), 1, 1];
            return self.direct(sizes, source, sink, &|rows, outs, stream, next| {
                dense::<R>(stage, kernels, width, rows, stream, next, outs);
            });
        }
        // Pairs of rows that are prepared once serve two rows best.
        let most = if R::PAIRED == 2 { 2 } else { R::MOST_SUMS / kernels.len() };
        let made = Preparation {
            samples: tile.len * channels,
            len,
            first: tile.first * channels,
            paired: R::PAIRED == 2,
            sizes: [most, 1, 1],
            direct: 0..0,
            skip: 0..0,
        };
        let level = stage.level;
        let prepare = |[a, b]: [&[T]; 2], _: [&[T]; 2], next: [&[u8]; 2], out: &mut [R::Wide]| {
            level.run(Prepare::<R, T> { a, b, next, out });
        };
        self.made(&made, source, sink, &prepare, &|rows, outs, stream| {
            dense::<R>(stage, kernels, width, rows, stream, &[], outs);
        });
    }

    /// A row pass over two rows at a time, then a column pass, which is a direct one of one column.
    pub(super) fn row_first<T: Sample>(
        &mut self,
        passes: &Passes,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let step = stage.input.channels;
        let Passes { row, column, start, shift, .. } = passes;
        let (taps, start, shift) = (I16Pairs::taps(row), *start, *shift);
        let outputs = tile.x.len();
        let reach = Across::reach(0, 2 * taps.len(), step);
        let (inside, skip) = tile.inside(outputs, reach.div_ceil(step));
        // Two rows meet the same pairs. Four do not, but where there are registers for more vectors of each they save loads.
        let sizes = if stage.level.lanes() < 16 { [2, 1, 1] } else { [BLOCK_ROWS, 2, 1] };
        let made = Preparation {
            samples: (tile.first + outputs).max(tile.len) * step + reach,
            len: (outputs * step + ACROSS_SLACK).next_multiple_of(ACROSS_SLACK),
            first: 0,
            paired: true,
            sizes,
            direct: tile.first + inside.start..tile.first + inside.end,
            skip,
        };
        let across = |padded: [&[T]; 2], direct: [&[T]; 2], next: [&[u8]; 2], out: &mut [i32]| {
            let parts = [
                part(padded, tile.first, 0..inside.start, step),
                part(direct, 0, inside.clone(), step),
                part(padded, tile.first + inside.end, inside.end..outputs, step),
            ];
            stage.level.run(Across { parts, taps, step, start, shift, next, out });
        };
        let column = std::slice::from_ref(column);
        self.made(&made, source, sink, &across, &|rows, outs, stream| {
            dense::<I16Pairs>(stage, column, 1, rows, stream, &[], outs);
        });
    }

    /// A pass over windows of rows that are made once of padded rows of samples, or of two of them.
    /// `make` gets the padded rows, what of them is not filled in from where it lies, the memory of the next
    /// rows to ask for, and the row to make.
    pub(super) fn made<T: Sample, E: Pod>(
        &mut self,
        made: &Preparation,
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
        make: &Make<'_, T, E>,
        pass: &OverMade<'_, E>,
    ) {
        let tile = source.tile;
        let stage = self.stage;
        let channels = stage.input.channels;
        let Preparation { samples, len, first, paired, sizes, ref direct, ref skip } = *made;
        let each = if paired { 2 } else { 1 };
        let below = self.below();
        // The last row of a pair at the end of a chain's block may be missing.
        if self.fresh || paired {
            self.wide.clear(stage.window_rows());
        }
        for (y, rows) in self.blocks(sizes) {
            let virtual_rows = stage.rows(y..y + rows);
            for v in virtual_rows.clone().step_by(each) {
                let Some(out) = self.wide.missing::<E>(v, len) else { continue };
                // The lower row of a pair below the last window would meet only zero taps.
                let pair = [v, (v + 1).min(below - 1)];
                let mut padded = self.padded.each_mut().map(|memory| memory.get::<T>(samples));
                for (padded, v) in padded.iter_mut().zip(pair).take(each) {
                    source.load(v);
                    for run in &tile.runs {
                        let piece = source.piece(run, v);
                        let end = run.at + run.len;
                        let before = run.at..skip.start.clamp(run.at, end);
                        let after = skip.end.clamp(before.end, end)..end;
                        for part in [before, after] {
                            let from = part.start - run.at..part.end - run.at;
                            padded[part.start * channels..part.end * channels].copy_from_slice(
                                &piece[from.start * channels..from.end * channels],
                            );
                        }
                    }
                    tile.pad(padded, channels);
                }
                let mut inside: [&[T]; 2] = [&[]; 2];
                if let Some(run) = tile.runs.iter().find(|run| run.holds(direct)) {
                    inside = pair.map(|v| {
                        let piece = source.piece(run, v);
                        &piece[(direct.start - run.at) * channels..]
                    });
                }
                let [upper, lower]: [&[T]; 2] = padded.map(|row| &*row);
                let ahead = |v| source.ahead(v, below);
                let next = [ahead(v + each as isize), if paired { ahead(v + 3) } else { &[] }];
                make([upper, if paired { lower } else { upper }], inside, next, out);
            }
            let all: &[E] = cast_slice(&self.wide.memory.0);
            let mut window = recycle(take(self.window));
            window.extend(virtual_rows.step_by(each).map(|v| -> &[E] {
                let row: &[E] = self.wide.row(all, v, len);
                &row[first..]
            }));
            let x = tile.x.clone();
            match rows {
                1 => pass(&window, &mut sink.rows::<1>(y, x), self.stream),
                2 => pass(&window, &mut sink.rows::<2>(y, x), self.stream),
                _ => pass(&window, &mut sink.rows::<BLOCK_ROWS>(y, x), self.stream),
            }
            *self.window = recycle(window);
            sink.done(y, rows, tile.x.clone());
        }
    }
}

/// Outputs of a row pass that comes first, whose windows begin with pixel `from` of the rows.
fn part<T: Pod>(rows: [&[T]; 2], from: usize, outputs: Range<usize>, channels: usize) -> Part<'_> {
    let (at, n) = (outputs.start * channels, outputs.len() * channels);
    let from = if n > 0 { from * channels } else { 0 };
    Part { rows: rows.map(|row| cast_slice(&row[from..])), at, n }
}

/// How rows are made of padded ones.
pub(super) struct Preparation {
    /// Samples in a padded row, with what may be read beyond.
    pub(super) samples: usize,
    /// Elements in a row that is made.
    pub(super) len: usize,
    /// Where windows begin in it.
    pub(super) first: usize,
    /// Whether it is made of two rows.
    pub(super) paired: bool,
    /// Output rows of a block, as in `blocks`.
    pub(super) sizes: [usize; 3],
    /// Pixels of a tile's row that `make` gets where they lie, from the first on.
    pub(super) direct: Range<usize>,
    /// Those that need not be filled in.
    pub(super) skip: Range<usize>,
}

impl Run {
    /// Whether all of `pixels`, which are some, are samples of the source in this piece.
    fn holds(&self, pixels: &Range<usize>) -> bool {
        let inside = self.at <= pixels.start && pixels.end <= self.at + self.len;
        self.from.is_some() && inside && !pixels.is_empty()
    }
}

impl Tile {
    /// Which of the tile's first `outputs` outputs a pass may compute from the source's row where it lies,
    /// if it reads `reach` pixels from each output's first one on; and the pixels that then nothing needs
    /// in a padded row.
    fn inside(&self, outputs: usize, reach: usize) -> (Range<usize>, Range<usize>) {
        let Some(run) = self.runs.iter().filter(|run| run.from.is_some()).max_by_key(|run| run.len)
        else {
            return (0..0, 0..0);
        };
        let start = run.at.saturating_sub(self.first);
        let end = (run.at + run.len).saturating_sub(self.first + reach).min(outputs);
        // The outputs before those read on into their pixels.
        let skip = self.first + start + if start > 0 { reach } else { 0 }..self.first + end;
        if skip.is_empty() || self.copies.iter().any(|(_, from)| skip.contains(from)) {
            return (0..0, 0..0);
        }
        (start..end, skip)
    }
}

/// The dense pass for the output rows of a block, of which there may be as many as there are cases, with
/// `width` columns of taps.
fn dense<R: Datapath>(
    stage: &FilterStage,
    kernels: &[Rows],
    width: usize,
    rows: &[&[R::Wide]],
    stream: bool,
    next: &[&[u8]],
    outs: &mut [OutRow<'_>],
) {
    match kernels.len() * outs.len() {
        1 => sums::<R, 1>(stage, kernels, width, rows, stream, next, outs),
        2 => sums::<R, 2>(stage, kernels, width, rows, stream, next, outs),
        _ if const { R::MOST_SUMS < 4 } => unreachable!("blocks have no more sums"),
        _ => sums::<R, 4>(stage, kernels, width, rows, stream, next, outs),
    }
}

/// The same with N sums: sum k is that of kernel k modulo their number.
fn sums<R: Datapath, const N: usize>(
    stage: &FilterStage,
    kernels: &[Rows],
    width: usize,
    rows: &[&[R::Wide]],
    stream: bool,
    next: &[&[u8]],
    outs: &mut [OutRow<'_>],
) {
    let (each, sample) = (kernels.len(), outs[0].sample());
    let mut outs = outs.iter_mut();
    stage.level.run(Dense::<R, N> {
        rows,
        first: from_fn(|k| kernels[k % each].meets::<R>(k / each).0),
        taps: from_fn(|k| kernels[k % each].meets::<R>(k / each).1),
        width,
        step: stage.input.channels,
        finish: &stage.finish,
        stream,
        next,
        outs: from_fn(|_| outs.next().map_or_else(|| OutRow::none(sample), OutRow::whole)),
    });
}
