//! The rows that stages read, and those that they write: of the source, of a ring, of the output. Which of these
//! it is, is asked row by row: a stage is compiled once for each type of samples that it reads.

use super::{Core, Memory, Ring, Tile};
use crate::filter::Post;
use crate::reference::Opacity;
use crate::sample::{Sample, SampleType, Source, with_sample};
use crate::view::{AnyView, AnyViewMut, OutRow, View};
use std::array::from_fn;
use std::cmp::Ordering;
use std::ops::Range;
use wide::bytemuck::{Pod, cast_slice};

/// Where a stage's source rows come from.
pub(super) enum Feed<'a, T> {
    /// The source itself.
    Source(Direct<'a, T>),
    /// Copies of the source's rows.
    Relaid(Relaid<'a, T>),
    /// The source as `f32`, which T is.
    Widened(Widened<'a>),
    /// Rows that another stage has made.
    Ring(Made<'a, T>),
}

impl<T: Pod> Feed<'_, T> {
    /// A new tile: nothing of the old one is needed any more.
    pub(super) fn start(&mut self, core: &Core, tile: &Tile) {
        match self {
            Self::Widened(widened) => widened.start(core, tile),
            Self::Relaid(relaid) => relaid.start(core, tile),
            Self::Source(_) | Self::Ring(_) => {}
        }
    }

    /// Makes virtual row `v`, which is row `y` of the image, available.
    #[inline]
    pub(super) fn load(&mut self, core: &Core, tile: &Tile, v: isize, y: usize) {
        match self {
            Self::Widened(widened) => widened.load(core, tile, v, y),
            Self::Relaid(relaid) => relaid.load(core, tile, v, y),
            Self::Source(_) | Self::Ring(_) => {}
        }
    }

    /// The memory that columns `x` of row `y` of the image are made of, so that it can be asked for before
    /// it is needed.
    #[inline]
    pub(super) fn memory(&self, y: usize, x: Range<usize>) -> &[u8] {
        match self {
            Self::Source(source) => cast_slice(source.pixels(y, x)),
            Self::Relaid(relaid) => cast_slice(relaid.source.pixels(y, x)),
            Self::Widened(widened) => widened.source.bytes(y, x),
            Self::Ring(_) => &[],
        }
    }

    /// Pixels `x` of a loaded row.
    #[inline]
    pub(super) fn row(
        &self,
        core: &Core,
        tile: &Tile,
        v: isize,
        y: usize,
        x: Range<usize>,
    ) -> &[T] {
        match self {
            Self::Source(source) => source.pixels(y, x),
            Self::Relaid(relaid) => relaid.row(core, tile, v, x),
            Self::Widened(widened) => widened.row(core, tile, v, x),
            Self::Ring(made) => made.row(v, x),
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

/// The same of any sample type.
#[derive(Clone, Copy)]
pub(super) struct AnySource<'a> {
    part: AnyView<'a>,
    origin: (usize, usize),
}

impl<'a> AnySource<'a> {
    pub(super) fn new<I: Source>(source: Direct<'a, I>) -> Self {
        Self { part: I::any(source.part), origin: source.origin }
    }

    fn bytes(&self, y: usize, x: Range<usize>) -> &'a [u8] {
        let origin = self.origin;
        match self.part {
            AnyView::U8(part) => Direct { part, origin }.pixels(y, x),
            AnyView::U16(part) => cast_slice(Direct { part, origin }.pixels(y, x)),
            AnyView::F32(part) => cast_slice(Direct { part, origin }.pixels(y, x)),
        }
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
    fn start(&mut self, core: &Core, tile: &Tile) {
        let (rows, len) = (core.window_rows(), tile.columns.len() * core.input.channels);
        self.ring.clear(rows);
        let _ = self.ring.memory.aligned::<T>(rows * pitch::<T>(len));
    }

    fn load(&mut self, core: &Core, tile: &Tile, v: isize, y: usize) {
        let place = self.ring.place(v);
        if self.ring.tags[place] == v {
            return;
        }
        self.ring.tags[place] = v;
        let pixels = self.source.pixels(y, tile.columns.clone());
        let pitch = pitch::<T>(pixels.len());
        let all = self.ring.memory.aligned::<T>(core.window_rows() * pitch);
        all[place * pitch..][..pixels.len()].copy_from_slice(pixels);
    }

    fn row(&self, core: &Core, tile: &Tile, v: isize, x: Range<usize>) -> &[T] {
        let channels = core.input.channels;
        let pitch = pitch::<T>(tile.columns.len() * channels);
        let row = self.ring.row(self.ring.memory.kept(core.window_rows() * pitch), v, pitch);
        &row[(x.start - tile.columns.start) * channels..][..x.len() * channels]
    }
}

/// The source as `f32`, its colours multiplied by alpha if the filter says so.
pub(super) struct Widened<'a> {
    pub(super) source: AnySource<'a>,
    pub(super) premultiplied: bool,
    pub(super) ring: &'a mut Ring,
}

impl Widened<'_> {
    fn start(&mut self, core: &Core, tile: &Tile) {
        self.ring.clear(core.window_rows());
        let len = tile.columns.len() * core.input.channels;
        let _ = self.ring.memory.get::<f32>(core.window_rows() * len);
    }

    fn load(&mut self, core: &Core, tile: &Tile, v: isize, y: usize) {
        let AnySource { part, origin } = self.source;
        match part {
            AnyView::U8(part) => self.widen(Direct { part, origin }, core, tile, v, y),
            AnyView::U16(part) => self.widen(Direct { part, origin }, core, tile, v, y),
            AnyView::F32(part) => self.widen(Direct { part, origin }, core, tile, v, y),
        }
    }

    fn widen<I: Source>(
        &mut self,
        source: Direct<'_, I>,
        core: &Core,
        tile: &Tile,
        v: isize,
        y: usize,
    ) {
        let len = tile.columns.len() * core.input.channels;
        if let Some(row) = self.ring.missing::<f32>(v, len) {
            let pixels = source.pixels(y, tile.columns.clone());
            if self.premultiplied {
                multiply(pixels, row, core.input.channels);
            } else {
                row.iter_mut().zip(pixels).for_each(|(o, s)| *o = s.to_f64() as f32);
            }
        }
    }

    fn row<T: Pod>(&self, core: &Core, tile: &Tile, v: isize, x: Range<usize>) -> &[T] {
        let channels = core.input.channels;
        let len = tile.columns.len() * channels;
        let all = cast_slice(&self.ring.memory.0);
        let start = (x.start - tile.columns.start) * channels;
        &self.ring.row(all, v, len)[start..start + x.len() * channels]
    }
}

/// Colour × alpha, and alpha.
fn multiply<I: Source>(source: &[I], out: &mut [f32], channels: usize) {
    let pixels = source.chunks_exact(channels).zip(out.chunks_exact_mut(channels));
    for (pixel, out) in pixels {
        let alpha = pixel[channels - 1].to_f64();
        for (o, s) in out.iter_mut().zip(pixel) {
            *o = (s.to_f64() * alpha) as f32;
        }
        out[channels - 1] = alpha as f32;
    }
}

/// Rows that a stage has made, as the next one's source.
pub(super) struct Made<'a, E> {
    pub(super) rows: &'a [E],
    pub(super) ring: &'a Ring,
    pub(super) pitch: usize,
    /// The first column.
    pub(super) first: usize,
    pub(super) channels: usize,
}

impl<E> Made<'_, E> {
    fn row(&self, v: isize, x: Range<usize>) -> &[E] {
        let row = self.ring.row(self.rows, v, self.pitch);
        &row[(x.start - self.first) * self.channels..][..x.len() * self.channels]
    }
}

/// Where a stage's results go.
pub(super) enum Sink<'a> {
    /// A strip of the output.
    Strip(Strip<'a>),
    /// A strip whose alpha comes from the source.
    Kept(Strip<'a>, SourceAlpha<'a>),
    /// A strip of results that are not rounded yet: rows of `f32`.
    Unrounded(Unrounded<'a>),
    /// Places of a ring.
    Ring(Places<'a>),
}

impl Sink<'_> {
    /// The type of its samples.
    pub(super) fn sample(&self) -> SampleType {
        match self {
            Self::Strip(strip) | Self::Kept(strip, _) => strip.out.sample,
            Self::Unrounded(_) => SampleType::F32,
            Self::Ring(places) => places.sample,
        }
    }

    /// The places of output pixels `x` of R rows from row `y` on.
    #[inline]
    pub(super) fn rows<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [OutRow<'_>; R] {
        match self {
            Self::Strip(strip) | Self::Kept(strip, _) => strip.pixels(y, x),
            Self::Unrounded(unrounded) => unrounded.rows(x),
            Self::Ring(places) => places.rows(y, x),
        }
    }

    /// That many rows have been written.
    #[inline]
    pub(super) fn done(&mut self, y: usize, rows: usize, x: Range<usize>) {
        match self {
            Self::Strip(_) | Self::Ring(_) => {}
            Self::Kept(strip, alpha) => {
                for y in y..y + rows {
                    let [out] = strip.pixels(y, x.clone());
                    alpha.copy(y, x.clone(), out);
                }
            }
            Self::Unrounded(unrounded) => unrounded.done(y, rows, x),
        }
    }
}

/// A strip of the output.
pub(super) struct Strip<'a> {
    pub(super) out: AnyViewMut<'a>,
    /// The output pixel that is the strip's first.
    pub(super) origin: (usize, usize),
}

impl Strip<'_> {
    /// Output pixels `x` of R rows from row `y` on.
    fn pixels<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [OutRow<'_>; R] {
        let sample = self.out.sample;
        let pixel = self.out.bytes.shape().channels;
        let x = (x.start - self.origin.0) * pixel..(x.end - self.origin.0) * pixel;
        let rows = self.out.bytes.rows_mut(y - self.origin.1);
        rows.map(|row| OutRow::from_bytes(sample, &mut row[x.clone()]))
    }
}

/// The alpha of the source's pixels under the anchor.
pub(super) struct SourceAlpha<'a> {
    pub(super) source: AnySource<'a>,
    /// The input pixel under output pixel (0, 0) and the anchor.
    pub(super) anchor: (usize, usize),
}

impl SourceAlpha<'_> {
    /// Copies it to output pixels `x` of row `y`.
    fn copy(&self, y: usize, x: Range<usize>, out: OutRow<'_>) {
        with_sample!(out.sample(), O => self.copy_to::<O>(y, x, out.typed()));
    }

    fn copy_to<O: Sample>(&self, y: usize, x: Range<usize>, out: &mut [O]) {
        let x = x.start + self.anchor.0..x.end + self.anchor.0;
        let (y, AnySource { part, origin }) = (y + self.anchor.1, self.source);
        match part {
            AnyView::U8(part) => keep_alpha(Direct { part, origin }, y, x, out),
            AnyView::U16(part) => keep_alpha(Direct { part, origin }, y, x, out),
            AnyView::F32(part) => keep_alpha(Direct { part, origin }, y, x, out),
        }
    }
}

fn keep_alpha<I: Source, O: Sample>(
    source: Direct<'_, I>,
    y: usize,
    x: Range<usize>,
    out: &mut [O],
) {
    let channels = source.part.shape().channels;
    let pixels = source.pixels(y, x).chunks_exact(channels);
    for (o, s) in out.chunks_exact_mut(channels).zip(pixels) {
        o[channels - 1] = O::from_f64(s[channels - 1].to_f64());
    }
}

/// A strip of results that are not rounded yet.
pub(super) struct Unrounded<'a> {
    pub(super) strip: Strip<'a>,
    pub(super) filtered: &'a mut Memory,
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
    },
    /// It comes from the source.
    Keep(SourceAlpha<'a>),
}

impl Unrounded<'_> {
    fn rows<const R: usize>(&mut self, x: Range<usize>) -> [OutRow<'_>; R] {
        let len = x.len() * self.strip.out.shape().channels;
        let mut rows = self.filtered.get::<f32>(R * len).chunks_exact_mut(len);
        from_fn(|_| OutRow::new::<f32>(rows.next().unwrap_or_default()))
    }

    fn done(&mut self, y: usize, rows: usize, x: Range<usize>) {
        let len = x.len() * self.strip.out.shape().channels;
        let filtered: &[f32] = self.filtered.get(rows * len);
        for (y, row) in (y..).zip(filtered.chunks_exact(len)) {
            let [out] = self.strip.pixels(y, x.clone());
            let (alpha, x) = (&self.alpha, x.clone());
            with_sample!(out.sample(), O => alpha.finish::<O>(row, y, x, out.typed()));
        }
    }
}

impl AlphaOf<'_> {
    /// Rounds a row of results, output pixels `x` of row `y`.
    fn finish<O: Sample>(&self, filtered: &[f32], y: usize, x: Range<usize>, out: &mut [O]) {
        let &Self::Divide { opacity, offset, post } = self else {
            out.iter_mut().zip(filtered).for_each(|(o, v)| *o = O::from_f64(f64::from(*v)));
            if let Self::Keep(alpha) = self {
                alpha.copy_to(y, x, out);
            }
            return;
        };
        let channels = out.len() / x.len();
        for (o, v) in out.chunks_exact_mut(channels).zip(filtered.chunks_exact(channels)) {
            let alpha = opacity.limit(v[channels - 1]);
            for (o, v) in o.iter_mut().zip(v) {
                *o = O::from_f64(opacity.colour(*v, alpha, offset, post));
            }
            o[channels - 1] = O::from_f64(alpha);
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

impl Opacity {
    fn limit(&self, alpha: f32) -> f64 {
        f64::from(alpha).clamp(0.0, self.full)
    }

    /// A colour from colour × alpha.
    fn colour(&self, product: f32, alpha: f64, offset: f64, post: Post) -> f64 {
        let colour = f64::from(product) / alpha + offset;
        // Not where alpha is NaN either.
        if !matches!(alpha.partial_cmp(&self.visible), Some(Ordering::Greater | Ordering::Equal)) {
            0.0
        } else if post == Post::Abs {
            colour.abs()
        } else {
            colour
        }
    }
}

/// Divides the colours of a row by its alpha.
pub(super) fn divide(row: &mut [f32], channels: usize, opacity: Opacity, offset: f64, post: Post) {
    for pixel in row.chunks_exact_mut(channels) {
        if let Some((alpha, colours)) = pixel.split_last_mut() {
            let limited = opacity.limit(*alpha);
            for c in colours {
                *c = opacity.colour(*c, limited, offset, post) as f32;
            }
            *alpha = limited as f32;
        }
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
