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
mod memory;
mod rows;
mod separable;
mod sums;
mod tile;
mod words;

pub(crate) use chain::{run_batch, run_chain};
use memory::{Memory, Ring, recycle};
use rows::{
    AlphaOf, AnySource, Direct, Feed, Relaid, Sink, SourceAlpha, Strip, Unrounded, Widened,
    collide, divide,
};
use separable::Whole;
use tile::{Run, Tile};

use crate::border::Border;
use crate::error::Error;
use crate::filter::Alpha;
use crate::pass::{Double, F32, Fused, I32, Pairs, Rung};
use crate::plan::arithmetic::Rung as Chosen;
use crate::plan::{BLOCK_ROWS, Core, Cut, Work};
use crate::reference::{self, Opacity};
use crate::sample::{Sample, Source};
use crate::simd::fence;
use crate::view::{AnyView, AnyViewMut, Rect, View, ViewMut};
use std::mem::take;
use std::ops::Range;
#[cfg(feature = "rayon")]
use std::sync::atomic::{self, AtomicUsize};
use wide::bytemuck::Pod;

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
    /// Copies of source rows: as `f32`, or in better places.
    copies: Ring,
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
    run_with(core, part, origin, rect, out, &mut workspace.slots, usize::MAX)
}

/// The same with the memory of at most `most` workers.
fn run_with(
    core: &Core,
    part: AnyView<'_>,
    origin: (usize, usize),
    rect: Rect,
    out: AnyViewMut<'_>,
    slots: &mut Vec<Slot>,
    most: usize,
) -> Result<(), Error> {
    match part {
        AnyView::U8(part) => run_from(core, part, origin, rect, out, slots, most),
        AnyView::U16(part) => run_from(core, part, origin, rect, out, slots, most),
        AnyView::F32(part) => run_from(core, part, origin, rect, out, slots, most),
    }
}

fn run_from<I: Source>(
    core: &Core,
    part: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    mut out: AnyViewMut<'_>,
    slots: &mut Vec<Slot>,
    most: usize,
) -> Result<(), Error> {
    let AnyViewMut { sample, .. } = out;
    if core.work == Work::Naive {
        // One row at a time, so that memory stays small.
        for y in 0..rect.height {
            let row = Rect { y: rect.y + y, height: 1, ..rect };
            let exact = reference::region(&core.filter, core.input, part, origin, row)?;
            let [out] = out.rows_mut(y);
            out.round(&exact);
        }
        return Ok(());
    }
    let bytes = rect.width * rect.height * core.input.channels * sample.bytes();
    let (job, source) = (Job { core, rect, stream: bytes > STREAM_BYTES }, Direct { part, origin });
    let workers = core.workers(rect.width, rect.height).min(most);
    if slots.len() < workers {
        slots.resize_with(workers, Slot::default);
    }
    let slots = &mut slots[..workers];
    let cut = core.cut(rect.height, workers);
    each_strip(out.bytes, rect.y, cut, slots, &|y, bytes, slot| {
        job.strip(source, y, AnyViewMut { sample, bytes }, slot);
    });
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

/// A run: plan, and the rectangle of the output.
struct Job<'a> {
    core: &'a Core,
    rect: Rect,
    /// Whether the output goes past the cache.
    stream: bool,
}

/// Outputs above this size are written past the cache: a line need not be read before it is overwritten,
/// and the source stays in the cache. With a source as large, that is half of a usual last-level cache.
const STREAM_BYTES: usize = 8 << 20;

impl Job<'_> {
    /// Filters one strip, whose first row is output row `y`.
    fn strip<I: Source>(
        &self,
        source: Direct<'_, I>,
        y: usize,
        out: AnyViewMut<'_>,
        slot: &mut Slot,
    ) {
        let core = self.core;
        let rows = y..y + out.shape().height;
        let origin = (self.rect.x, y);
        let kernel = &core.filter.kernels()[0];
        let (border_x, border_y) = core.filter.get_borders();
        let anchor = (
            reference::output_origin(border_x, kernel.anchor().0),
            reference::output_origin(border_y, kernel.anchor().1),
        );
        let any = AnySource::new(source);
        let source_alpha = SourceAlpha { source: any, anchor };
        let alpha = core.filter.get_alpha();
        let premultiplied = alpha == Some(Alpha::Premultiply);
        if premultiplied || core.widened {
            let mut copies = take(&mut slot.copies);
            let mut filtered = take(&mut slot.filtered);
            let alpha = match alpha {
                Some(Alpha::Premultiply) => AlphaOf::Divide {
                    opacity: Opacity::of::<I>(),
                    offset: core.filter.get_offset(),
                    post: core.filter.get_post(),
                },
                Some(Alpha::Keep) => AlphaOf::Keep(source_alpha),
                Some(Alpha::Plain) | None => AlphaOf::Nothing,
            };
            let widened = Widened { source: any, premultiplied, ring: &mut copies };
            let strip = Strip { out, origin };
            let sink = Sink::Unrounded(Unrounded { strip, filtered: &mut filtered, alpha });
            self.filter::<f32>(rows, Feed::Widened(widened), sink, slot);
            slot.copies = copies;
            slot.filtered = filtered;
        } else {
            let strip = Strip { out, origin };
            let sink = match alpha {
                Some(Alpha::Keep) => Sink::Kept(strip, source_alpha),
                _ => Sink::Strip(strip),
            };
            // Where a pass reads many rows side by side, and comes back to a line of each: larger samples fill
            // lines at once.
            let relay = size_of::<I>() == 1
                && matches!(core.work, Work::Separable(_))
                && collide(
                    core.window_rows().min(source.part.shape().height),
                    source.part.stride(),
                );
            if relay {
                let mut copies = take(&mut slot.copies);
                let relaid = Relaid { source, ring: &mut copies };
                self.filter(rows, Feed::Relaid(relaid), sink, slot);
                slot.copies = copies;
            } else {
                self.filter(rows, Feed::Source(source), sink, slot);
            }
        }
        if self.stream {
            fence();
        }
    }

    /// Filters output rows `rows` from `feed` into `sink`.
    fn filter<T: Source>(
        &self,
        rows: Range<usize>,
        mut feed: Feed<'_, T>,
        mut sink: Sink<'_>,
        slot: &mut Slot,
    ) {
        let (feed, sink) = (&mut feed, &mut sink);
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
                    if const { T::NARROW } {
                        stage.words::<T, false>(tile, constants, feed, sink);
                    }
                }
                Chosen::WordsHigh => {
                    if const { T::NARROW } {
                        stage.words::<T, true>(tile, constants, feed, sink);
                    }
                }
                Chosen::Pairs => {
                    if const { T::NARROW } {
                        match &core.work {
                            Work::RowFirst(passes) => {
                                stage.row_first(passes, tile, constants, feed, sink);
                            }
                            _ => stage.tile::<T, Pairs>(tile, constants, feed, sink),
                        }
                    }
                }
                Chosen::I32 => {
                    if const { T::INTEGER } {
                        stage.tile::<T, I32>(tile, constants, feed, sink);
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
                Chosen::F32 => stage.tile::<T, F32>(tile, constants, feed, sink),
                Chosen::Fused => {
                    if const { T::FLOAT } {
                        stage.tile::<T, Fused>(tile, constants, feed, sink);
                    }
                }
                Chosen::Double => stage.tile::<T, Double>(tile, constants, feed, sink),
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
    fn tile<T: Sample, R: Rung>(
        &mut self,
        tile: &Tile,
        constants: [&[T]; 2],
        feed: &mut Feed<'_, T>,
        sink: &mut Sink<'_>,
    ) {
        let core = self.core;
        match &core.work {
            Work::Separable(passes) => {
                let rows = Whole::<R>::new(core, tile);
                self.two_passes(&rows, passes, tile, constants, feed, sink);
            }
            Work::Dense(taps) => self.dense::<T, R>(taps, tile, constants, feed, sink),
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
fn load<T: Pod>(core: &Core, tile: &Tile, feed: &mut Feed<'_, T>, v: isize) {
    if let Some(row) = core.image_row(v) {
        feed.load(core, tile, v, row);
    }
}

/// The memory of virtual row `v`, to be asked for on the way to it: none if it is a border's constant or
/// not above row `below`, from which on nothing may be read.
fn ahead<'a, T: Pod>(
    core: &Core,
    tile: &Tile,
    feed: &'a Feed<'_, T>,
    v: isize,
    below: isize,
) -> &'a [u8] {
    let row = core.image_row(v).filter(|_| v < below);
    row.map_or_else(Default::default, |row| feed.memory(row, tile.columns.clone()))
}

/// The samples of one piece of virtual row `v`, which must be loaded: of the feed, or a border's
/// constant.
fn piece<'a, T: Pod>(
    core: &Core,
    tile: &Tile,
    run: &Run,
    constants: [&'a [T]; 2],
    feed: &'a Feed<'_, T>,
    v: isize,
) -> &'a [T] {
    let len = run.len * core.input.channels;
    match (run.from, core.image_row(v)) {
        (None, _) => &constants[0][..len],
        (_, None) => &constants[1][..len],
        (Some(x), Some(row)) => feed.row(core, tile, v, row, x..x + run.len),
    }
}
