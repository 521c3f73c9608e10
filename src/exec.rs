//! The one executor. It walks strips of the output, on rayon if there are several workers, and
//! column tiles within a strip; for every output row it gathers the window of source rows, lets
//! the passes run over them, and resolves the borders: the vertical one by choosing rows, the
//! horizontal one by padding.
//!
//! ```text
//! source rows ──(multiply by alpha)──► window of K rows ──► column pass ► pad ► row pass ──► output
//!                                                      ├──► pad ► row pass ► column pass ─┤
//!                                                      └──► pad ► widen ► dense pass ─────┘
//! ```
//!
//! A pass never learns where its rows came from. Positions on the endless axis (which continues
//! left of 0 and right of the image) are called virtual here.

mod chain;
mod dense;
mod separable;
mod sums;
mod words;

pub(crate) use chain::{run_batch, run_chain};
use separable::Whole;

use crate::border::Border;
use crate::error::Error;
use crate::filter::{Alpha, Post};
use crate::pass::{Double, F32, Fused, I32, Pairs, Rung};
use crate::plan::arithmetic::Rung as Chosen;
use crate::plan::{BLOCK_ROWS, Core, Cut, Work, reach};
use crate::reference::{self, Opacity};
use crate::sample::{Sample, Source};
use crate::simd::fence;
use crate::view::{AnyView, AnyViewMut, Rect, View, ViewMut};
use std::array::from_fn;
use std::cmp::Ordering;
use std::mem::take;
use std::ops::Range;
#[cfg(feature = "rayon")]
use std::sync::atomic::{self, AtomicUsize};
use wide::bytemuck::{Pod, cast_slice, cast_slice_mut};

/// The scratch memory that plans need, kept between runs. Any plan can use any workspace; a second
/// run of the same plan allocates nothing.
#[derive(Debug, Default)]
pub struct Workspace {
    /// One for each worker.
    slots: Vec<Slot>,
    /// What chains of layers need.
    layers: chain::Scratch,
}

impl Workspace {
    /// An empty workspace; the first run sizes it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// The scratch memory of one worker, by use.
#[derive(Debug, Default)]
struct Slot {
    /// Column sums: as many rows as are computed together.
    scratch: [Memory; BLOCK_ROWS],
    /// Widened rows.
    wide: Ring,
    /// Rows multiplied by alpha.
    colour: Ring,
    /// A filtered row before its division by alpha.
    filtered: Memory,
    /// A row of the constant of the horizontal border, and one of the vertical.
    constants: [Memory; 2],
    /// Padded source rows.
    padded: [Memory; 2],
    /// The rows of a window; empty between uses.
    window: Vec<&'static [u8]>,
    /// The pieces of padded copies of a tile's edges.
    edges: Vec<Run>,
    tile: Tile,
}

/// Memory for elements of any type. It grows and never shrinks.
#[derive(Debug, Default)]
struct Memory(Vec<[u64; 8]>);

impl Memory {
    /// `len` elements, whose values are left over from earlier uses.
    fn get<E: Pod>(&mut self, len: usize) -> &mut [E] {
        let blocks = (len * size_of::<E>()).div_ceil(64);
        if self.0.len() < blocks {
            self.0.resize(blocks, [0; 8]);
        }
        &mut cast_slice_mut(&mut self.0)[..len]
    }

    /// `get`, from a multiple of 64 bytes on.
    fn aligned<E: Pod>(&mut self, len: usize) -> &mut [E] {
        let line = 64 / size_of::<E>();
        let all: &mut [E] = self.get(len + line);
        let misfit = all.as_ptr().addr() % 64 / size_of::<E>();
        &mut all[(line - misfit) % line..][..len]
    }
}

/// Rows that were computed from source rows, kept by their virtual index as long as a window may
/// need them.
#[derive(Debug, Default)]
struct Ring {
    memory: Memory,
    /// Which row each place holds.
    tags: Vec<isize>,
}

impl Ring {
    /// Forgets all rows and makes place for `rows` consecutive ones.
    fn clear(&mut self, rows: usize) {
        self.tags.clear();
        self.tags.resize(rows, isize::MIN);
    }

    fn place(&self, v: isize) -> usize {
        v.rem_euclid(self.tags.len() as isize) as usize
    }

    fn has(&self, v: isize) -> bool {
        self.tags[self.place(v)] == v
    }

    /// The place of row `v`, to be filled, if the row is not there.
    fn missing<E: Pod>(&mut self, v: isize, len: usize) -> Option<&mut [E]> {
        let (place, rows) = (self.place(v), self.tags.len());
        if self.tags[place] == v {
            return None;
        }
        self.tags[place] = v;
        Some(&mut self.memory.get(rows * len)[place * len..][..len])
    }

    /// Row `v`, which must be there; `all` is the ring's memory.
    fn row<'a, E>(&self, all: &'a [E], v: isize, len: usize) -> &'a [E] {
        let place = self.place(v);
        debug_assert_eq!(self.tags[place], v);
        &all[place * len..][..len]
    }
}

/// An empty list with the memory of another, so that a list of borrowed rows can be kept between
/// uses: collecting a vector's own iterator reuses its memory.
fn recycle<'a, A, B>(mut list: Vec<&[A]>) -> Vec<&'a [B]> {
    list.clear();
    list.into_iter().map(|_| -> &'a [B] { unreachable!("the list is empty") }).collect()
}

/// How one tile's rows are put together from source rows and padding. Positions are pixels from
/// the tile's first one.
#[derive(Debug, Default)]
struct Tile {
    /// Output columns.
    x: Range<usize>,
    /// Pixels in a row of the tile, with what its padding is copied from.
    len: usize,
    /// Where tap 0 of the first output pixel lies.
    first: usize,
    /// Pieces, from left to right.
    runs: Vec<Run>,
    /// Pixels that are copies of others in the row: (to, from).
    copies: Vec<(usize, usize)>,
    /// Source columns that the runs read.
    columns: Range<usize>,
}

/// A piece of a tile's row.
#[derive(Debug)]
struct Run {
    /// Its position.
    at: usize,
    /// Its length.
    len: usize,
    /// The source column where it starts; `None` is the constant.
    from: Option<usize>,
}

impl Tile {
    /// Where its longest run starts.
    fn longest(&self) -> usize {
        self.runs.iter().max_by_key(|run| run.len).map_or(0, |run| run.at)
    }

    fn set(&mut self, core: &Core, x: Range<usize>) {
        let border = core.filter.get_borders().0;
        let width = core.input.width as isize;
        let span = core.columns(x.clone());
        let inside = reach(border, span.clone(), core.input.width);
        self.x = x;
        self.runs.clear();
        self.copies.clear();
        let mut run = |at: isize, len: isize, from| {
            if len > 0 {
                self.runs.push(Run { at: at as usize, len: len as usize, from });
            }
        };
        let base = match border {
            Border::Wrap => {
                let mut v = span.start;
                while v < span.end {
                    let from = v.rem_euclid(width);
                    let len = (width - from).min(span.end - v);
                    run(v - span.start, len, Some(from as usize));
                    v += len;
                }
                self.len = span.len();
                span.start
            }
            Border::Constant(_) => {
                let (start, end) = (inside.start as isize, inside.end as isize);
                run(0, start - span.start, None);
                run(start - span.start, end - start, Some(inside.start));
                run(end - span.start, span.end - end, None);
                self.len = span.len();
                span.start
            }
            _ => {
                // Padding is copied from inside the row, which may reach beyond the window.
                let base = span.start.min(inside.start as isize);
                let end = span.end.max(inside.end as isize);
                run(inside.start as isize - base, inside.len() as isize, Some(inside.start));
                for v in (span.start..0).chain(width.max(span.start)..span.end) {
                    if let Some(from) = border.map(v, core.input.width) {
                        self.copies.push(((v - base) as usize, (from as isize - base) as usize));
                    }
                }
                self.len = (end - base) as usize;
                base
            }
        };
        self.first = (span.start - base) as usize;
        self.columns = inside;
    }

    /// Fills in the copied pixels of a row.
    fn pad<E: Copy>(&self, row: &mut [E], channels: usize) {
        match channels {
            1 => self.pad_pixels::<E, 1>(row),
            2 => self.pad_pixels::<E, 2>(row),
            3 => self.pad_pixels::<E, 3>(row),
            4 => self.pad_pixels::<E, 4>(row),
            _ => {
                for &(to, from) in &self.copies {
                    row.copy_within(from * channels..(from + 1) * channels, to * channels);
                }
            }
        }
    }

    /// The same for pixels of C channels.
    fn pad_pixels<E: Copy, const C: usize>(&self, row: &mut [E]) {
        let (pixels, _) = row.as_chunks_mut::<C>();
        for &(to, from) in &self.copies {
            pixels[to] = pixels[from];
        }
    }
}

/// Where a stage's source rows come from.
trait Feed<T> {
    /// A new tile: nothing of the old one is needed any more.
    fn start(&mut self, core: &Core, tile: &Tile);
    /// Makes virtual row `v`, which is row `y` of the image, available.
    fn load(&mut self, core: &Core, tile: &Tile, v: isize, y: usize);
    /// The memory that columns `x` of row `y` of the image are made of, so that it can be asked for before
    /// it is needed.
    fn memory(&self, core: &Core, y: usize, x: Range<usize>) -> &[u8];
    /// Pixels `x` of a loaded row.
    fn row(&self, core: &Core, tile: &Tile, v: isize, y: usize, x: Range<usize>) -> &[T];
}

/// The source itself.
#[derive(Clone, Copy)]
struct Direct<'a, I> {
    part: View<'a, I>,
    origin: (usize, usize),
}

impl<I> Direct<'_, I> {
    fn pixels(&self, y: usize, x: Range<usize>) -> &[I] {
        let channels = self.part.shape().channels;
        let start = (x.start - self.origin.0) * channels;
        &self.part.row(y - self.origin.1)[start..start + x.len() * channels]
    }
}

impl<I: Source> Feed<I> for Direct<'_, I> {
    fn start(&mut self, _: &Core, _: &Tile) {}
    fn load(&mut self, _: &Core, _: &Tile, _: isize, _: usize) {}
    fn memory(&self, _: &Core, y: usize, x: Range<usize>) -> &[u8] {
        cast_slice(self.pixels(y, x))
    }
    fn row(&self, _: &Core, _: &Tile, _: isize, y: usize, x: Range<usize>) -> &[I] {
        self.pixels(y, x)
    }
}

/// The source as `f32`, its colours multiplied by alpha if the filter says so.
struct Widened<'a, I> {
    source: Direct<'a, I>,
    premultiplied: bool,
    ring: &'a mut Ring,
}

impl<I: Source> Feed<f32> for Widened<'_, I> {
    fn start(&mut self, core: &Core, tile: &Tile) {
        self.ring.clear(core.window_rows());
        let len = tile.columns.len() * core.input.channels;
        let _ = self.ring.memory.get::<f32>(core.window_rows() * len);
    }

    fn load(&mut self, core: &Core, tile: &Tile, v: isize, y: usize) {
        let len = tile.columns.len() * core.input.channels;
        if let Some(row) = self.ring.missing::<f32>(v, len) {
            let pixels = self.source.pixels(y, tile.columns.clone());
            if self.premultiplied {
                multiply(pixels, row, core.input.channels);
            } else {
                row.iter_mut().zip(pixels).for_each(|(o, s)| *o = s.to_f64() as f32);
            }
        }
    }

    fn memory(&self, _: &Core, y: usize, x: Range<usize>) -> &[u8] {
        cast_slice(self.source.pixels(y, x))
    }

    fn row(&self, core: &Core, tile: &Tile, v: isize, _: usize, x: Range<usize>) -> &[f32] {
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

/// Where a stage's results go.
trait Sink<T> {
    /// The places of output pixels `x` of R rows from row `y` on.
    fn rows<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [&mut [T]; R];
    /// That many rows have been written.
    fn done(&mut self, y: usize, rows: usize, x: Range<usize>);
}

/// A strip of the output.
struct Strip<'a, O> {
    out: ViewMut<'a, O>,
    /// The output pixel that is the strip's first.
    origin: (usize, usize),
}

impl<O> Strip<'_, O> {
    fn pixels<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [&mut [O]; R] {
        let channels = self.out.shape().channels;
        let start = (x.start - self.origin.0) * channels;
        let rows = self.out.rows_mut(y - self.origin.1);
        rows.map(|row| &mut row[start..start + x.len() * channels])
    }
}

impl<O> Sink<O> for Strip<'_, O> {
    fn rows<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [&mut [O]; R] {
        self.pixels(y, x)
    }
    fn done(&mut self, _: usize, _: usize, _: Range<usize>) {}
}

/// A strip whose alpha comes from the source.
struct KeepAlpha<'a, I, O> {
    strip: Strip<'a, O>,
    source: Direct<'a, I>,
    /// The input pixel under output pixel (0, 0) and the anchor.
    anchor: (usize, usize),
}

impl<I: Source, O: Sample> Sink<O> for KeepAlpha<'_, I, O> {
    fn rows<const R: usize>(&mut self, y: usize, x: Range<usize>) -> [&mut [O]; R] {
        self.strip.pixels(y, x)
    }

    fn done(&mut self, y: usize, rows: usize, x: Range<usize>) {
        for y in y..y + rows {
            let [out] = self.strip.pixels(y, x.clone());
            keep_alpha(&self.source, self.anchor, y, x.clone(), out);
        }
    }
}

/// A strip of results that are not rounded yet.
struct Unrounded<'a, I, O> {
    strip: Strip<'a, O>,
    filtered: &'a mut Memory,
    alpha: AlphaOf<'a, I>,
}

/// What is yet to be done about alpha.
enum AlphaOf<'a, I> {
    Nothing,
    /// Colours are divided by it first, and then get offset and post-step.
    Divide {
        opacity: Opacity,
        offset: f64,
        post: Post,
    },
    /// It comes from the source; the input pixel under output pixel (0, 0) and the anchor.
    Keep {
        source: Direct<'a, I>,
        anchor: (usize, usize),
    },
}

impl<I: Source, O: Sample> Sink<f32> for Unrounded<'_, I, O> {
    fn rows<const R: usize>(&mut self, _: usize, x: Range<usize>) -> [&mut [f32]; R] {
        let len = x.len() * self.strip.out.shape().channels;
        let mut rows = self.filtered.get(R * len).chunks_exact_mut(len);
        from_fn(|_| rows.next().unwrap_or_default())
    }

    fn done(&mut self, y: usize, rows: usize, x: Range<usize>) {
        let channels = self.strip.out.shape().channels;
        let len = x.len() * channels;
        let filtered: &[f32] = self.filtered.get(rows * len);
        for (y, filtered) in (y..).zip(filtered.chunks_exact(len)) {
            let [out] = self.strip.pixels(y, x.clone());
            if let AlphaOf::Divide { opacity, offset, post } = self.alpha {
                for (o, v) in out.chunks_exact_mut(channels).zip(filtered.chunks_exact(channels)) {
                    let alpha = opacity.limit(v[channels - 1]);
                    for (o, v) in o.iter_mut().zip(v) {
                        *o = O::from_f64(opacity.colour(*v, alpha, offset, post));
                    }
                    o[channels - 1] = O::from_f64(alpha);
                }
                continue;
            }
            out.iter_mut().zip(filtered).for_each(|(o, v)| *o = O::from_f64(f64::from(*v)));
            if let AlphaOf::Keep { source, anchor } = &self.alpha {
                keep_alpha(source, *anchor, y, x.clone(), out);
            }
        }
    }
}

/// Copies alpha to output pixels `x` of row `y` from the pixels under the anchor.
fn keep_alpha<I: Source, O: Sample>(
    source: &Direct<'_, I>,
    anchor: (usize, usize),
    y: usize,
    x: Range<usize>,
    out: &mut [O],
) {
    let channels = source.part.shape().channels;
    let source = source.pixels(y + anchor.1, x.start + anchor.0..x.end + anchor.0);
    for (o, s) in out.chunks_exact_mut(channels).zip(source.chunks_exact(channels)) {
        o[channels - 1] = O::from_f64(s[channels - 1].to_f64());
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
fn divide(row: &mut [f32], channels: usize, opacity: Opacity, offset: f64, post: Post) {
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

/// Filters `rect` of the output from `part`, whose first pixel is `origin` in the whole image. The
/// plan has checked that everything fits.
///
/// Not generic, so that the passes are compiled once, in this crate, and not in every crate that
/// runs a plan.
pub(crate) fn run(
    core: &Core,
    part: AnyView<'_>,
    origin: (usize, usize),
    rect: Rect,
    out: AnyViewMut<'_>,
    workspace: &mut Workspace,
) -> Result<(), Error> {
    match part {
        AnyView::U8(part) => run_from(core, part, origin, rect, out, workspace),
        AnyView::U16(part) => run_from(core, part, origin, rect, out, workspace),
        AnyView::F32(part) => run_from(core, part, origin, rect, out, workspace),
    }
}

fn run_from<I: Source>(
    core: &Core,
    part: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    out: AnyViewMut<'_>,
    workspace: &mut Workspace,
) -> Result<(), Error> {
    match out {
        AnyViewMut::U8(out) => run_typed(core, part, origin, rect, out, workspace),
        AnyViewMut::U16(out) => run_typed(core, part, origin, rect, out, workspace),
        AnyViewMut::I16(out) => run_typed(core, part, origin, rect, out, workspace),
        AnyViewMut::F32(out) => run_typed(core, part, origin, rect, out, workspace),
    }
}

fn run_typed<I: Source, O: Sample>(
    core: &Core,
    part: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    mut out: ViewMut<'_, O>,
    workspace: &mut Workspace,
) -> Result<(), Error> {
    if core.work == Work::Naive {
        // One row at a time, so that memory stays small.
        for y in 0..rect.height {
            let row = Rect { y: rect.y + y, height: 1, ..rect };
            let exact = reference::region(&core.filter, core.input, part, origin, row)?;
            for (o, v) in out.row_mut(y).iter_mut().zip(exact) {
                *o = O::from_f64(v);
            }
        }
        return Ok(());
    }
    let bytes = rect.width * rect.height * core.input.channels * size_of::<O>();
    let job = Job { core, source: Direct { part, origin }, rect, stream: bytes > STREAM_BYTES };
    let workers = core.workers(rect.width, rect.height);
    if workspace.slots.len() < workers {
        workspace.slots.resize_with(workers, Slot::default);
    }
    let slots = &mut workspace.slots[..workers];
    let cut = core.cut(rect.height, workers);
    each_strip(out, rect.y, cut, slots, &|y, strip, slot| job.strip(y, strip, slot));
    Ok(())
}

/// How often a worker looks whether the others are done before it sleeps: some 20 to 50 µs.
#[cfg(feature = "rayon")]
const SPINS: usize = 1000;

/// Cuts `out`, whose first row is output row `y`, into strips, and does `work` on each, with as many
/// workers as there are slots.
fn each_strip<O: Send, S: Send>(
    out: ViewMut<'_, O>,
    y: usize,
    cut: Cut,
    slots: &mut [S],
    work: &(impl Fn(usize, ViewMut<'_, O>, &mut S) + Sync),
) {
    let mut strips = Strips::new(out, y, cut);
    #[cfg(feature = "rayon")]
    if slots.len() > 1
        && let Some((own, others)) = slots.split_first_mut()
    {
        // A share for each, the same ones in every run, so that what a worker needs or writes is in
        // its own cache from the last run, or from the layer before. Who is done helps the others.
        let workers = 1 + others.len();
        let each = Cut { strips: cut.strips.div_ceil(workers), ..cut };
        strips.cut.strips = workers;
        let shares: Vec<_> = std::iter::from_fn(|| strips.next())
            .map(|(y, rest)| Strips::new(rest, y, each))
            .collect();
        let busy = &AtomicUsize::new(others.len());
        let shares = std::sync::Mutex::new(shares);
        // The lock is held while a strip is cut off, not while it is filtered. Only a panic
        // elsewhere can poison it; that one is reported by the scope.
        let next = |worker: usize| {
            let shares = &mut **shares.lock().ok()?;
            let (before, own) = shares.split_at_mut(worker.min(shares.len()));
            own.iter_mut().chain(before).find_map(Strips::next)
        };
        let some = &|worker: usize, slot: &mut S| {
            while let Some((y, strip)) = next(worker) {
                work(y, strip, slot);
            }
        };
        // This thread is one of the workers: to wake another one takes as long as to filter a small
        // image, which must not wait for that. Nor should it fall asleep where the others are about to
        // be done.
        rayon::in_place_scope(|scope| {
            for (i, slot) in others.iter_mut().enumerate() {
                scope.spawn(move |_| {
                    some(1 + i, slot);
                    busy.fetch_sub(1, atomic::Ordering::Release);
                });
            }
            some(0, own);
            for _ in 0..SPINS {
                if busy.load(atomic::Ordering::Acquire) == 0 {
                    break;
                }
                std::hint::spin_loop();
            }
        });
        return;
    }
    let slot = &mut slots[0];
    while let Some((y, strip)) = strips.next() {
        work(y, strip, slot);
    }
}

/// The strips of the output, from top to bottom.
struct Strips<'a, O> {
    rest: Option<ViewMut<'a, O>>,
    y: usize,
    /// How what remains is cut.
    cut: Cut,
}

impl<'a, O> Strips<'a, O> {
    fn new(out: ViewMut<'a, O>, y: usize, cut: Cut) -> Self {
        Self { rest: Some(out), y, cut }
    }

    /// The next strip and its first output row.
    fn next(&mut self) -> Option<(usize, ViewMut<'a, O>)> {
        let rest = self.rest.take()?;
        let (y, rows) = (self.y, self.cut.next(rest.shape().height));
        if rest.shape().height <= rows {
            return Some((y, rest));
        }
        let (strip, rest) = rest.split_at_row(rows);
        self.rest = Some(rest);
        self.y += rows;
        Some((y, strip))
    }
}

/// A run: plan, source, and the rectangle of the output.
struct Job<'a, I> {
    core: &'a Core,
    source: Direct<'a, I>,
    rect: Rect,
    /// Whether the output goes past the cache.
    stream: bool,
}

/// Outputs above this size are written past the cache: a line need not be read before it is overwritten,
/// and the source stays in the cache. With a source as large, that is half of a usual last-level cache.
const STREAM_BYTES: usize = 8 << 20;

impl<I: Source> Job<'_, I> {
    /// Filters one strip, whose first row is output row `y`.
    fn strip<O: Sample>(&self, y: usize, out: ViewMut<'_, O>, slot: &mut Slot) {
        let core = self.core;
        let rows = y..y + out.shape().height;
        let strip = Strip { out, origin: (self.rect.x, y) };
        let mut source = self.source;
        let kernel = &core.filter.kernels()[0];
        let (border_x, border_y) = core.filter.get_borders();
        let anchor = (
            reference::output_origin(border_x, kernel.anchor().0),
            reference::output_origin(border_y, kernel.anchor().1),
        );
        let premultiplied = core.filter.get_alpha() == Some(Alpha::Premultiply);
        match core.filter.get_alpha() {
            alpha if premultiplied || core.widened => {
                let mut colour = take(&mut slot.colour);
                let mut filtered = take(&mut slot.filtered);
                let mut feed = Widened { source, premultiplied, ring: &mut colour };
                let alpha = match alpha {
                    Some(Alpha::Premultiply) => AlphaOf::Divide {
                        opacity: Opacity::of::<I>(),
                        offset: core.filter.get_offset(),
                        post: core.filter.get_post(),
                    },
                    Some(Alpha::Keep) => AlphaOf::Keep { source, anchor },
                    Some(Alpha::Plain) | None => AlphaOf::Nothing,
                };
                let mut sink = Unrounded { strip, filtered: &mut filtered, alpha };
                self.filter(rows, &mut feed, &mut sink, slot);
                slot.colour = colour;
                slot.filtered = filtered;
            }
            Some(Alpha::Keep) => {
                let mut sink = KeepAlpha { strip, source, anchor };
                self.filter(rows, &mut source, &mut sink, slot);
            }
            _ => {
                let mut sink = strip;
                self.filter(rows, &mut source, &mut sink, slot);
            }
        }
        if self.stream {
            fence();
        }
    }

    /// Filters output rows `rows` from `feed` into `sink`.
    fn filter<T: Source, O: Sample>(
        &self,
        rows: Range<usize>,
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
        slot: &mut Slot,
    ) {
        let core = self.core;
        let alpha = core.filter.get_alpha() == Some(Alpha::Premultiply);
        let Slot { scratch, wide, constants, padded, window, edges, tile, .. } = slot;
        let mut stage = Stage {
            core,
            rows,
            last: self.rect.y + self.rect.height,
            scratch,
            wide,
            padded,
            window,
            edges,
            stream: self.stream,
        };
        // Rows of constants, as long as the widest tile needs.
        let (border_x, border_y) = core.filter.get_borders();
        let widest = self.rect.width.min(core.tile) + core.columns(0..1).len() - 1;
        let [constant_x, constant_y] = constants;
        let constants = [
            fill(
                constant_x.get(widest * core.input.channels),
                border_x,
                alpha,
                core.input.channels,
            ),
            fill(
                constant_y.get(widest * core.input.channels),
                border_y,
                alpha,
                core.input.channels,
            ),
        ];
        let end = self.rect.x + self.rect.width;
        let mut x = self.rect.x;
        while x < end {
            let next = (x + core.tile).min(end);
            tile.set(core, x..next);
            feed.start(core, tile);
            // Only what a plan can choose for these types is compiled.
            match core.arithmetic.rung {
                Chosen::Words => {
                    if const { T::NARROW && O::NARROW } {
                        stage.words::<T, O, false>(tile, constants, feed, sink);
                    }
                }
                Chosen::WordsHigh => {
                    if const { T::NARROW && O::NARROW } {
                        stage.words::<T, O, true>(tile, constants, feed, sink);
                    }
                }
                Chosen::Pairs => {
                    if const { T::NARROW } {
                        match &core.work {
                            Work::RowFirst(passes) => {
                                stage.row_first(passes, tile, constants, feed, sink);
                            }
                            _ => stage.tile::<T, O, Pairs>(tile, constants, feed, sink),
                        }
                    }
                }
                Chosen::I32 => {
                    if const { T::INTEGER } {
                        stage.tile::<T, O, I32>(tile, constants, feed, sink);
                    }
                }
                Chosen::Running | Chosen::RunningWords => {
                    if const { T::INTEGER }
                        && let Work::Running(share) = core.work
                    {
                        stage.running(share, tile, constants, feed, sink);
                    }
                }
                Chosen::Blocks => {
                    if const { T::FLOAT }
                        && let Work::Blocks(levels) = &core.work
                    {
                        stage.blocks_of_rows(levels, tile, constants, feed, sink);
                    }
                }
                Chosen::F32 => stage.tile::<T, O, F32>(tile, constants, feed, sink),
                Chosen::Fused => {
                    if const { T::FLOAT && O::FLOAT } {
                        stage.tile::<T, O, Fused>(tile, constants, feed, sink);
                    }
                }
                Chosen::Double => stage.tile::<T, O, Double>(tile, constants, feed, sink),
                // Its work is `Naive`, which has no strips.
                Chosen::Reference => {}
            }
            x = next;
        }
    }
}

/// Fills a row with a border's constant; multiplied by alpha if the rows are.
fn fill<'a, T: Sample>(row: &'a mut [T], border: &Border, alpha: bool, channels: usize) -> &'a [T] {
    if let Border::Constant(_) = border {
        let full = border.constant(channels - 1);
        for pixel in row.chunks_exact_mut(channels) {
            for (c, sample) in pixel.iter_mut().enumerate() {
                let factor = if alpha && c + 1 < channels { full } else { 1.0 };
                *sample = T::from_f64(border.constant(c) * factor);
            }
        }
    }
    row
}

/// The filtering stage of one strip.
struct Stage<'a> {
    core: &'a Core,
    /// Output rows.
    rows: Range<usize>,
    /// The end of the run's output rows: nothing below their windows may be read.
    last: usize,
    scratch: &'a mut [Memory; BLOCK_ROWS],
    wide: &'a mut Ring,
    padded: &'a mut [Memory; 2],
    window: &'a mut Vec<&'static [u8]>,
    edges: &'a mut Vec<Run>,
    stream: bool,
}

impl Stage<'_> {
    fn tile<T: Sample, O: Sample, R: Rung>(
        &mut self,
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut impl Feed<T>,
        sink: &mut impl Sink<O>,
    ) {
        let core = self.core;
        match &core.work {
            Work::Separable(passes) => {
                let rows = Whole::<R>::new(core, tile);
                self.two_passes(&rows, passes, tile, constants, feed, sink);
            }
            Work::Dense(taps) => self.dense::<T, O, R>(taps, tile, constants, feed, sink),
            Work::RowFirst(_)
            | Work::Stencil(_)
            | Work::Running(_)
            | Work::Blocks(_)
            | Work::Naive => {}
        }
    }

    /// The blocks of output rows that are computed together, of the first of `sizes` that is left,
    /// each its first row and its rows.
    fn blocks(&self, sizes: [usize; 3]) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Range { mut start, end } = self.rows.clone();
        std::iter::from_fn(move || {
            let rows = sizes.into_iter().find(|rows| start + rows <= end)?;
            start += rows;
            Some((start - rows, rows))
        })
    }

    /// The first virtual row below all windows of the run: it and what follows may not be read.
    fn below(&self) -> isize {
        self.core.rows(self.last - 1..self.last).end
    }
}

/// Makes virtual row `v` available, if it is not a border's constant.
fn load<T>(core: &Core, tile: &Tile, feed: &mut impl Feed<T>, v: isize) {
    if let Some(row) = core.image_row(v) {
        feed.load(core, tile, v, row);
    }
}

/// The memory of virtual row `v`, to be asked for on the way to it: none if it is a border's constant or
/// not above row `below`, from which on nothing may be read.
fn ahead<'a, T>(
    core: &Core,
    tile: &Tile,
    feed: &'a impl Feed<T>,
    v: isize,
    below: isize,
) -> &'a [u8] {
    let row = core.image_row(v).filter(|_| v < below);
    row.map_or_else(Default::default, |row| feed.memory(core, row, tile.columns.clone()))
}

/// The samples of one piece of virtual row `v`, which must be loaded: of the feed, or a border's
/// constant.
fn piece<'a, T>(
    core: &Core,
    tile: &Tile,
    run: &Run,
    constants: [&'a [T]; 2],
    feed: &'a impl Feed<T>,
    v: isize,
) -> &'a [T] {
    let len = run.len * core.input.channels;
    match (run.from, core.image_row(v)) {
        (None, _) => &constants[0][..len],
        (_, None) => &constants[1][..len],
        (Some(x), Some(row)) => feed.row(core, tile, v, row, x..x + run.len),
    }
}
