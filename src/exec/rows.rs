//! The rows that stages read: of the source, or of a ring; as they are, as `f32`, or copied to better places. Which of
//! these it is, is asked row by row: a stage is compiled once for each type of samples that it reads.

use super::memory::Ring;
use super::tile::Tile;
use crate::any_view::AnyView;
use crate::pass::Premultiply;
use crate::plan::FilterStage;
use crate::sample::Sample;
use crate::view::View;
use std::ops::Range;
use wide::bytemuck::{Pod, cast_slice};

/// The rows that a stage reads: of the source, or those that the stage before it has made.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a, T> {
    Source(Direct<'a, T>),
    Ring(StageRows<'a, T>),
}

impl<'a, T> Rows<'a, T> {
    /// Pixels `x` of row `y` of the image, which is virtual row `v`.
    #[inline]
    pub(super) fn pixels(&self, v: isize, y: usize, x: Range<usize>) -> &'a [T] {
        match self {
            Self::Source(source) => source.pixels(y, x),
            Self::Ring(made) => made.pixels(v, x),
        }
    }

    /// Pixels `x` of rows `y`, if they follow each other without gaps.
    pub(super) fn span(&self, y: Range<usize>, x: Range<usize>) -> Option<&'a [T]> {
        if y.len() == 1 {
            return Some(self.pixels(y.start as isize, y.start, x));
        }
        let Self::Source(Direct { part, origin }) = self else { return None };
        let row = x.len() * part.shape().channels;
        let whole = part.stride() == row && part.shape().row() == row;
        whole.then(|| part.span(y.start - origin.1..y.end - origin.1))
    }
}

/// The same of any sample type.
#[derive(Clone, Copy)]
pub(super) enum AnyRows<'a> {
    U8(Rows<'a, u8>),
    U16(Rows<'a, u16>),
    I16(Rows<'a, i16>),
    F32(Rows<'a, f32>),
}

impl<'a> AnyRows<'a> {
    /// Those of an image, or of a part of it whose first pixel is `origin` in the whole.
    pub(super) fn of(view: AnyView<'a>, origin: (usize, usize)) -> Self {
        match view {
            AnyView::U8(part) => Self::U8(Rows::Source(Direct { part, origin })),
            AnyView::U16(part) => Self::U16(Rows::Source(Direct { part, origin })),
            AnyView::F32(part) => Self::F32(Rows::Source(Direct { part, origin })),
        }
    }

    /// Those of the image in memory, as bytes.
    fn bytes(&self, y: usize, x: Range<usize>) -> &'a [u8] {
        match self {
            Self::U8(Rows::Source(source)) => source.pixels(y, x),
            Self::U16(Rows::Source(source)) => cast_slice(source.pixels(y, x)),
            Self::F32(Rows::Source(source)) => cast_slice(source.pixels(y, x)),
            _ => &[],
        }
    }
}

/// Does something with rows of any type, under that name.
macro_rules! with_rows {
    ($any:expr, $rows:ident => $do:expr) => {
        match $any {
            $crate::exec::rows::AnyRows::U8($rows) => $do,
            $crate::exec::rows::AnyRows::U16($rows) => $do,
            $crate::exec::rows::AnyRows::I16($rows) => $do,
            $crate::exec::rows::AnyRows::F32($rows) => $do,
        }
    };
}
pub(super) use with_rows;

/// Where a pass gets its rows from.
pub(super) enum Feed<'a, T> {
    /// As they are.
    Plain(Rows<'a, T>),
    /// Copies of the source's rows.
    Relaid(Relaid<'a, T>),
    /// As `f32`, which T is.
    Widened(Widened<'a>),
}

impl<T: Pod> Feed<'_, T> {
    /// A new tile: nothing of the old one is needed any more.
    pub(super) fn start(&mut self, stage: &FilterStage, tile: &Tile) {
        match self {
            Self::Widened(widened) => widened.start(stage, tile),
            Self::Relaid(relaid) => relaid.start(stage, tile),
            Self::Plain(_) => {}
        }
    }

    /// Makes virtual row `v`, which is row `y` of the image, available.
    #[inline]
    pub(super) fn load(&mut self, stage: &FilterStage, tile: &Tile, v: isize, y: usize) {
        match self {
            Self::Widened(widened) => widened.load(stage, tile, v, y),
            Self::Relaid(relaid) => relaid.load(stage, tile, v, y),
            Self::Plain(_) => {}
        }
    }

    /// The memory that columns `x` of row `y` of the image are made of, so that it can be asked for before
    /// it is needed.
    #[inline]
    pub(super) fn memory(&self, y: usize, x: Range<usize>) -> &[u8] {
        match self {
            Self::Plain(Rows::Source(source)) => cast_slice(source.pixels(y, x)),
            Self::Plain(Rows::Ring(_)) => &[],
            Self::Relaid(relaid) => cast_slice(relaid.source.pixels(y, x)),
            Self::Widened(widened) => widened.source.bytes(y, x),
        }
    }

    /// Pixels `x` of a loaded row.
    #[inline]
    pub(super) fn row(
        &self,
        stage: &FilterStage,
        tile: &Tile,
        v: isize,
        y: usize,
        x: Range<usize>,
    ) -> &[T] {
        match self {
            Self::Plain(rows) => rows.pixels(v, y, x),
            Self::Relaid(relaid) => relaid.row(stage, tile, v, x),
            Self::Widened(widened) => widened.row(stage, tile, v, x),
        }
    }
}

/// The source, or a part of it whose first pixel is `origin` in the whole.
#[derive(Clone, Copy)]
pub(super) struct Direct<'a, I> {
    pub(super) part: View<'a, I>,
    pub(super) origin: (usize, usize),
}

impl<'a, I> Direct<'a, I> {
    #[inline]
    pub(super) fn pixels(&self, y: usize, x: Range<usize>) -> &'a [I] {
        let channels = self.part.shape().channels;
        let start = (x.start - self.origin.0) * channels;
        &self.part.row(y - self.origin.1)[start..start + x.len() * channels]
    }
}

/// Rows that a stage has made, as the next one's source.
#[derive(Clone, Copy)]
pub(super) struct StageRows<'a, E> {
    pub(super) rows: &'a [E],
    pub(super) ring: &'a Ring,
    pub(super) pitch: usize,
    /// The first column.
    pub(super) first: usize,
    pub(super) channels: usize,
}

impl<'a, E> StageRows<'a, E> {
    #[inline]
    fn pixels(&self, v: isize, x: Range<usize>) -> &'a [E] {
        let row = self.ring.row(self.rows, v, self.pitch);
        &row[(x.start - self.first) * self.channels..][..x.len() * self.channels]
    }
}

/// The source's rows, copied to where they do not share their places in the first cache.
pub(super) struct Relaid<'a, T> {
    pub(super) source: Direct<'a, T>,
    pub(super) ring: &'a mut Ring,
}

/// Bytes after which places in the first cache repeat, of all processors that are known; and how many lines it
/// keeps of each place.
const REPEAT: usize = 4096;
const WAYS: usize = 8;

/// Whether the rows of a window, so many of which a pass reads side by side, push each other out of the first
/// cache, `stride` bytes apart.
pub(super) fn collide(rows: usize, stride: usize) -> bool {
    let places = REPEAT >> stride.trailing_zeros().min(REPEAT.trailing_zeros());
    // Sums, and what is fetched in advance, need lines as well.
    places < REPEAT / LINE && rows > (WAYS - 1) * places
}

/// Bytes in a cache line.
const LINE: usize = 64;

/// Elements from one row of copies to the next: an odd number of lines, so that rows share no places.
fn pitch<E>(len: usize) -> usize {
    let lines = (len * size_of::<E>()).div_ceil(LINE) | 1;
    lines * LINE / size_of::<E>()
}

impl<T: Pod> Relaid<'_, T> {
    fn start(&mut self, stage: &FilterStage, tile: &Tile) {
        let (rows, len) = (stage.window_rows(), tile.columns.len() * stage.input.channels);
        self.ring.clear(rows);
        let _ = self.ring.memory.aligned::<T>(rows * pitch::<T>(len));
    }

    fn load(&mut self, stage: &FilterStage, tile: &Tile, v: isize, y: usize) {
        let place = self.ring.place(v);
        if self.ring.tags[place] == v {
            return;
        }
        self.ring.tags[place] = v;
        let pixels = self.source.pixels(y, tile.columns.clone());
        let pitch = pitch::<T>(pixels.len());
        let all = self.ring.memory.aligned::<T>(stage.window_rows() * pitch);
        all[place * pitch..][..pixels.len()].copy_from_slice(pixels);
    }

    fn row(&self, stage: &FilterStage, tile: &Tile, v: isize, x: Range<usize>) -> &[T] {
        let channels = stage.input.channels;
        let pitch = pitch::<T>(tile.columns.len() * channels);
        let row = self.ring.row(self.ring.memory.kept(stage.window_rows() * pitch), v, pitch);
        &row[(x.start - tile.columns.start) * channels..][..x.len() * channels]
    }
}

/// Rows as `f32`, their colours multiplied by alpha if the filter says so.
pub(super) struct Widened<'a> {
    pub(super) source: AnyRows<'a>,
    pub(super) premultiplied: bool,
    pub(super) ring: &'a mut Ring,
}

impl Widened<'_> {
    fn start(&mut self, stage: &FilterStage, tile: &Tile) {
        self.ring.clear(stage.window_rows());
        let len = tile.columns.len() * stage.input.channels;
        let _ = self.ring.memory.get::<f32>(stage.window_rows() * len);
    }

    fn load(&mut self, stage: &FilterStage, tile: &Tile, v: isize, y: usize) {
        let channels = stage.input.channels;
        let len = tile.columns.len() * channels;
        let premultiplied = self.premultiplied;
        let Some(row) = self.ring.missing::<f32>(v, len) else { return };
        with_rows!(self.source, rows => {
            let pixels = rows.pixels(v, y, tile.columns.clone());
            if premultiplied {
                stage.level.run(Premultiply { source: pixels, channels, out: row });
            } else {
                row.iter_mut().zip(pixels).for_each(|(o, s)| *o = s.to_f64() as f32);
            }
        });
    }

    fn row<T: Pod>(&self, stage: &FilterStage, tile: &Tile, v: isize, x: Range<usize>) -> &[T] {
        let channels = stage.input.channels;
        let len = tile.columns.len() * channels;
        let all = cast_slice(&self.ring.memory.0);
        let start = (x.start - tile.columns.start) * channels;
        &self.ring.row(all, v, len)[start..start + x.len() * channels]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_collide_where_strides_repeat() {
        for (rows, stride, expected) in [
            (7, 4096, false),
            (8, 4096, true),
            (12, 12288, true),
            (12, 4160, false),
            (12, 2048, false),
            (16, 2048, true),
            (64, 64, false),
            (12, 4097, false),
        ] {
            assert_eq!(collide(rows, stride), expected, "{rows} rows, {stride} bytes apart");
        }
        for len in 1..500 {
            let bytes = pitch::<u8>(len);
            assert!(
                bytes >= len && bytes.is_multiple_of(LINE) && !(bytes / LINE).is_multiple_of(2)
            );
        }
    }
}
