//! 16-bit arithmetic on `u8` images: two passes that keep even and odd samples apart.

use super::memory::Memory;
use super::separable::ScratchRows;
use super::sink::Sink;
use super::tile::Tile;
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::any_view::OutRow;
use crate::pass::{
    ColumnHalves, Datapath, HALF_SLACK, HalfInput, HalfSum, I16, Identity, RowHalves,
    SymmetricHalves,
};
use crate::plan::arithmetic::Passes;
use crate::plan::{FilterStage, Pass};
use crate::sample::Sample;
use std::mem::take;
use wide::bytemuck::{Pod, cast_slice};

/// Where a row of two halves starts, in samples, and elements of a half: the first window starts with an
/// even sample, or an even group of `unit` samples, and most of what a column pass writes is aligned to cache
/// lines.
pub(super) fn layout(tile: &Tile, channels: usize, unit: usize) -> (usize, usize) {
    let shift = (tile.longest() * channels).wrapping_neg() % LINE;
    let shift = shift + (tile.first * channels + shift) % (2 * unit);
    let half = ((tile.len + 2) * channels + shift) / 2 + channels + HALF_SLACK + unit;
    (shift, half.next_multiple_of(LINE / 2))
}

/// Samples whose words are two cache lines, one of each half; or four of 32 bits.
pub(super) const LINE: usize = 64;

/// The element of a row of two halves of `half` elements each, one behind the other, where a sample lies,
/// if the row starts at sample `shift` and groups of `unit` samples are even or odd.
pub(super) fn place_in_halves(half: usize, shift: usize, unit: usize) -> impl Fn(usize) -> usize {
    move |sample| {
        let (group, within) = ((sample + shift) / unit, (sample + shift) % unit);
        group % 2 * half + group / 2 * unit + within
    }
}

/// The pixels of a tile that are copies of others, as the elements where `place` puts their samples:
/// (to, from).
pub(super) fn copies_of<'a>(
    memory: &'a mut Memory,
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

/// Scratch rows of two halves. HIGH: the row's products are rounded.
struct Halves<'a, const HIGH: bool> {
    stage: &'a FilterStage,
    tile: &'a Tile,
    /// Where rows start, in samples.
    start: usize,
    /// Elements of a half.
    half: usize,
    /// Elements that are copies of others: (to, from).
    copies: &'a [[u32; 2]],
    /// Whether the column's products are rounded.
    rounded: bool,
    /// Whether two elements may be added in 16 bits.
    adds: bool,
}

impl<'a, const HIGH: bool> Halves<'a, HIGH> {
    /// For the tile's rows; what is padded is noted in `memory`.
    fn new(
        stage: &'a FilterStage,
        tile: &'a Tile,
        passes: &Passes,
        memory: &'a mut Memory,
    ) -> Self {
        let (start, half) = layout(tile, stage.input.channels, 1);
        let place = place_in_halves(half, start, 1);
        let copies = copies_of(memory, tile, stage.input.channels, place);
        let (rounded, adds) = (passes.shift > 0, passes.halves_add());
        Self { stage, tile, start, half, copies, rounded, adds }
    }
}

impl<T: Pod, const HIGH: bool> ScratchRows<T> for Halves<'_, HIGH> {
    type Read = u8;
    type Elem = i16;

    fn row<'m>(&self, memory: &'m mut Memory, used: bool) -> &'m mut [i16] {
        memory.aligned(if used { 2 * self.half } else { 0 })
    }

    fn column<const N: usize>(
        &self,
        rows: &[&[u8]],
        n: usize,
        at: usize,
        sums: [(&Passes, usize, &mut [i16]); N],
    ) {
        let at = at + self.start;
        let sums = sums.map(|(pass, row, out)| {
            let (first, taps) = pass.column.meets::<I16>(row);
            let (even, odd) = out.split_at_mut(self.half);
            HalfSum { first, taps, start: pass.start, out: [even, odd] }
        });
        if self.rounded {
            self.stage.level.run(SymmetricHalves { rows, sums, n, at });
        } else {
            self.stage.level.run(ColumnHalves { rows, sums, n, at });
        }
    }

    fn pad(&self, row: &mut [i16]) {
        pad(row, self.copies);
    }

    fn finish<const M: usize>(
        &self,
        inputs: [(&Passes, &[i16]); M],
        under: &[T],
        stream: bool,
        next: &[u8],
        out: OutRow<'_>,
    ) {
        let (step, finish, adds) = (self.stage.input.channels, &self.stage.finish, self.adds);
        let first = (self.tile.first * step + self.start) / 2;
        let inputs = inputs.map(|(pass, row)| {
            let (even, odd) = row.split_at(self.half);
            HalfInput { halves: [&even[first..], &odd[first..]], taps: I16::taps(&pass.row) }
        });
        let identity = match &self.stage.pass {
            Pass::WithIdentity(_, times) => {
                let times = I16::taps(times);
                Some((Identity { whole: times[0], part: times[1] }, cast_slice(under)))
            }
            _ => None,
        };
        let row = RowHalves::<HIGH, M> { inputs, step, adds, identity, finish, stream, next, out };
        self.stage.level.run(row);
    }
}

impl FilterRun<'_> {
    /// Two passes over rows of two halves. HIGH: the row's products are rounded.
    pub(super) fn halves<T: Sample, const HIGH: bool>(
        &mut self,
        passes: &[Passes],
        source: &mut TileRows<'_, '_, T>,
        sink: &mut Sink<'_, '_>,
    ) {
        let tile = source.tile;
        let mut padded = take(&mut self.padded[0]);
        let rows = Halves::<HIGH>::new(self.stage, tile, &passes[0], &mut padded);
        self.two_passes(&rows, passes, source, sink);
        self.padded[0] = padded;
    }
}
