//! Where the rows go that stages write: a chunk of the output, or a ring; and what becomes of alpha on the way.

use super::chunks::ChunkRows;
use super::memory::Memory;
use super::rows::{AnyRows, with_rows};
use crate::any_view::OutRow;
use crate::filter::Post;
use crate::pass::{KeepAlpha, Unpremultiply};
use crate::reference::Opacity;
use crate::sample::{Sample, SampleType, with_sample};
use crate::simd::Level;
use std::array::from_fn;
use std::ops::Range;

/// Where a stage's rows go.
pub(super) enum Target<'a> {
    /// A chunk of the output.
    Chunk(Chunk<'a>),
    /// Places of a ring.
    Ring(Places<'a>),
}

impl Target<'_> {
    /// The type of its samples.
    pub(super) fn sample(&self) -> SampleType {
        match self {
            Self::Chunk(chunk) => chunk.sample,
            Self::Ring(places) => places.sample,
        }
    }

    /// The places of output pixels `x` of R rows from row `y` on.
    #[inline]
    pub(super) fn rows<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [OutRow<'_>; R] {
        match self {
            Self::Chunk(chunk) => chunk.pixels(y, x),
            Self::Ring(places) => places.rows(y, x),
        }
    }

    /// Output pixels `x` of rows `y`, if they follow each other without gaps.
    pub(super) fn span(&mut self, y: Range<usize>, x: Range<usize>) -> Option<OutRow<'_>> {
        if y.len() == 1 {
            let [row] = self.rows(y.start, x);
            return Some(row);
        }
        let Self::Chunk(chunk) = self else { return None };
        let ChunkRows::View(out) = &mut chunk.rows else { return None };
        let row = x.len() * chunk.pixel;
        if out.stride() != row || out.shape().row() != row {
            return None;
        }
        let bytes = out.span_mut(y.start - chunk.origin.1..y.end - chunk.origin.1);
        Some(OutRow::from_bytes(chunk.sample, bytes))
    }
}

/// The same, with what is to be done about alpha.
pub(super) enum Sink<'a, 'b> {
    /// Nothing.
    Plain(&'a mut Target<'b>),
    /// It comes from the source.
    Kept(&'a mut Target<'b>, SourceAlpha<'a>),
    /// Results are not rounded yet: rows of `f32`.
    Unrounded(Unrounded<'a, 'b>),
}

impl Sink<'_, '_> {
    /// The type of its samples.
    pub(super) fn sample(&self) -> SampleType {
        match self {
            Self::Plain(target) | Self::Kept(target, _) => target.sample(),
            Self::Unrounded(_) => SampleType::F32,
        }
    }

    /// The places of output pixels `x` of R rows from row `y` on.
    #[inline]
    pub(super) fn rows<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [OutRow<'_>; R] {
        match self {
            Self::Plain(target) | Self::Kept(target, _) => target.rows(y, x),
            Self::Unrounded(unrounded) => unrounded.rows(x),
        }
    }

    /// That many rows have been written.
    #[inline]
    pub(super) fn done(&mut self, y: usize, rows: usize, x: Range<usize>) {
        match self {
            Self::Plain(_) => {}
            Self::Kept(target, alpha) => {
                for y in y..y + rows {
                    let [out] = target.rows(y, x.clone());
                    alpha.copy(y, x.clone(), out);
                }
            }
            Self::Unrounded(unrounded) => unrounded.done(y, rows, x),
        }
    }
}

/// A chunk of the output.
pub(super) struct Chunk<'a> {
    pub(super) rows: ChunkRows<'a>,
    pub(super) sample: SampleType,
    /// Bytes of a pixel.
    pub(super) pixel: usize,
    /// The output pixel that is its first.
    pub(super) origin: (usize, usize),
}

impl Chunk<'_> {
    /// Output pixels `x` of R rows from row `y` on.
    #[inline]
    fn pixels<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [OutRow<'_>; R] {
        let (sample, y) = (self.sample, y - self.origin.1);
        let x = (x.start - self.origin.0) * self.pixel..(x.end - self.origin.0) * self.pixel;
        match &mut self.rows {
            ChunkRows::View(out) => {
                out.rows_mut(y).map(|row| OutRow::from_bytes(sample, &mut row[x.clone()]))
            }
            ChunkRows::List(rows) => {
                let mut rows = rows[y..y + R].iter_mut();
                from_fn(|_| match rows.next() {
                    Some(row) => OutRow::from_bytes(sample, &mut row[x.clone()]),
                    None => OutRow::none(sample),
                })
            }
        }
    }
}

/// The alpha of the pixels under the anchor.
pub(super) struct SourceAlpha<'a> {
    /// The rows that the stage reads; a window's are there when its output is.
    pub(super) rows: AnyRows<'a>,
    /// The input pixel under output pixel (0, 0) and the anchor.
    pub(super) anchor: (usize, usize),
    pub(super) level: Level,
}

impl SourceAlpha<'_> {
    /// Copies it to output pixels `x` of row `y`.
    fn copy(&self, y: usize, x: Range<usize>, out: OutRow<'_>) {
        let channels = out.len() / x.len();
        let x = x.start + self.anchor.0..x.end + self.anchor.0;
        let y = y + self.anchor.1;
        with_rows!(self.rows, rows => {
            let source = rows.pixels(y as isize, y, x);
            self.level.run(KeepAlpha { source, channels, out });
        });
    }
}

/// Results that are not rounded yet.
pub(super) struct Unrounded<'a, 'b> {
    pub(super) target: &'a mut Target<'b>,
    pub(super) filtered: &'a mut Memory,
    /// Channels.
    pub(super) channels: usize,
    pub(super) alpha: AlphaOf<'a>,
}

/// What is yet to be done about alpha.
pub(super) enum AlphaOf<'a> {
    Nothing,
    /// Colours are divided by it first, and then get offset and post-step.
    Divide {
        opacity: Opacity,
        offset: f64,
        post: Post,
        level: Level,
    },
    /// It comes from the source.
    Keep(SourceAlpha<'a>),
}

impl Unrounded<'_, '_> {
    fn rows<const R: usize>(&mut self, x: Range<usize>) -> [OutRow<'_>; R] {
        let len = x.len() * self.channels;
        let mut rows = self.filtered.get::<f32>(R * len).chunks_exact_mut(len);
        from_fn(|_| OutRow::new::<f32>(rows.next().unwrap_or_default()))
    }

    fn done(&mut self, y: usize, rows: usize, x: Range<usize>) {
        let len = x.len() * self.channels;
        let filtered: &[f32] = self.filtered.get(rows * len);
        for (y, row) in (y..).zip(filtered.chunks_exact(len)) {
            let [out] = self.target.rows(y, x.clone());
            self.alpha.finish(row, self.channels, y, x.clone(), out);
        }
    }
}

impl AlphaOf<'_> {
    /// Rounds a row of results, output pixels `x` of row `y`.
    fn finish(
        &self,
        filtered: &[f32],
        channels: usize,
        y: usize,
        x: Range<usize>,
        mut out: OutRow<'_>,
    ) {
        if let &Self::Divide { opacity, offset, post, level } = self {
            let source = filtered;
            return level.run(Unpremultiply { source, channels, opacity, offset, post, out });
        }
        with_sample!(out.sample(), O => {
            let out = out.whole().typed::<O>().iter_mut();
            out.zip(filtered).for_each(|(o, v)| *o = O::from_f64(f64::from(*v)));
        });
        if let Self::Keep(alpha) = self {
            alpha.copy(y, x, out);
        }
    }
}
/// Places of a ring for the rows of a block.
pub(super) struct Places<'a> {
    pub(super) sample: SampleType,
    /// The ring's memory, as bytes.
    pub(super) rows: &'a mut [u8],
    /// Samples from one row to the next.
    pub(super) pitch: usize,
    pub(super) places: usize,
    /// The place of row `y`.
    pub(super) first: usize,
    pub(super) y: usize,
    /// The first column.
    pub(super) x: usize,
    pub(super) channels: usize,
}

impl Places<'_> {
    fn rows<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [OutRow<'_>; R] {
        let first = (self.first + y - self.y) % self.places;
        let (sample, each) = (self.sample, self.sample.bytes());
        let pixel = self.channels * each;
        let x = (x.start - self.x) * pixel..(x.end - self.x) * pixel;
        let mut found = from_fn(|_| OutRow::none(sample));
        for (place, row) in self.rows.chunks_exact_mut(self.pitch * each).enumerate() {
            let r = (place + self.places - first) % self.places;
            if r < R {
                found[r] = OutRow::from_bytes(sample, &mut row[x.clone()]);
            }
        }
        found
    }
}
