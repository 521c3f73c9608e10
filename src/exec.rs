//! The one executor. A plan's segments are walked one after the other; each is cut into chunks, on rayon if there
//! are several workers, a chunk into strips of rows, and a strip into column tiles. In a tile the last stage asks the one before it for the rows
//! of its windows, and so on to the first, which reads the source.
//!
//! ```text
//! source rows ──► filter, or layers ──► ring of rows ──► filter, or layers ──► … ──► output
//! ```
//!
//! Of a filter: for every output row it gathers the window of source rows, lets the passes run over them, and
//! resolves the borders: the vertical one by choosing rows, the horizontal one by padding.
//!
//! ```text
//! source rows ──(multiply by alpha)──► window of K rows ──► column pass ► pad ► row pass ──► output
//!                                                      ├──► pad ► row pass ► column pass ─┤
//!                                                      └──► pad ► widen ► dense pass ─────┘
//! ```
//!
//! A pass never learns where its rows came from. Positions on the endless axis (which continues
//! left of 0 and right of the image) are called virtual here.

mod bands;
#[cfg_attr(not(feature = "rayon"), allow(dead_code, reason = "one worker takes all"))]
mod chunks;
mod dense;
mod fft;
mod filter;
mod halves;
mod layers;
mod memory;
mod multirate;
mod rows;
mod runs;
mod segment;
mod separable;
mod sink;
mod slots;
mod sums;
mod tile;
mod tile_rows;
mod walk;
mod windows;

use crate::any_view::{AnyView, AnyViewMut, Source};
use crate::error::Error;
use crate::plan::{AnyPlan, Plan};
use crate::reference;
use crate::sample::Sample;
use crate::view::{Rect, Shape, View, ViewMut, check_part};
pub(crate) use bands::{BandSource, BandTarget, run_in_bands};
use memory::Memory;
use segment::run_segment;
use slots::WorkerSlot;

/// The scratch memory that plans need, kept between runs. Any plan can use any workspace; a second
/// run of the same plan allocates nothing. Each thread that runs a plan by itself needs one of its own.
///
/// ```
/// use twopass::{Filter, Image, Kernel, Shape, Workspace};
///
/// let plan = Filter::new(Kernel::gaussian(1.5)?).plan::<u8, u8>(Shape::new(64, 48, 1))?;
/// let (frame, mut out) = (Image::new(plan.input_shape())?, Image::new(plan.output_shape())?);
/// let mut workspace = Workspace::new();
/// for _ in 0..3 {
///     plan.run(frame.view(), out.view_mut(), &mut workspace)?;
/// }
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Workspace {
    /// One for each worker.
    slots: Vec<WorkerSlot>,
    /// What lies between segments: one is read while the other is written.
    maps: [Memory; 2],
    /// What each segment writes, last to first.
    regions: Vec<Rect>,
    /// A band of the source, and one of the output.
    bands: [Memory; 2],
    /// One for each worker that has an image of its own.
    #[cfg(feature = "rayon")]
    images: Vec<Workspace>,
}

impl Workspace {
    /// An empty workspace; the first run sizes it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl AnyPlan {
    /// Runs all layers on `source`. A second run with the same workspace allocates nothing at one
    /// thread, except where the reference does the work.
    ///
    /// Errors: shapes, or sample types, other than the plan's.
    pub fn run(
        &self,
        source: AnyView<'_>,
        out: AnyViewMut<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let (expected, given) = (self.input_shape(), source.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "source", expected, given });
        }
        self.run_region(source, (0, 0), self.output_shape().rect(), out, workspace)
    }

    /// Computes just the output rectangle `rect`: the same bytes as in the whole image. `part`
    /// holds at least [`input_region(rect)`](Self::input_region), its top left pixel being
    /// `origin` (column, row) in the whole image.
    ///
    /// Errors: as of [`run`](Self::run); a rectangle outside the output, a part that holds less than is needed.
    pub fn run_region(
        &self,
        part: AnyView<'_>,
        origin: (usize, usize),
        rect: Rect,
        out: AnyViewMut<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        if (part.sample(), out.sample()) != self.sample_types() {
            return Err(Error::Unsupported("samples of other types than those that were planned"));
        }
        let needed = self.input_region(rect)?;
        let channels = self.output_shape().channels;
        let (expected, given) = (Shape::new(rect.width, rect.height, channels), out.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "output", expected, given });
        }
        check_part(self.input_shape(), part.shape(), origin, needed)?;
        run_with(self, Part { view: part, origin }, rect, out, workspace, self.most_workers())
    }
}

impl<I: Source, O: Sample> Plan<I, O> {
    /// As [`AnyPlan::run`].
    pub fn run(
        &self,
        source: View<'_, I>,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        (**self).run(AnyView::new(source), AnyViewMut::new(out), workspace)
    }

    /// As [`AnyPlan::run_region`].
    pub fn run_region(
        &self,
        part: View<'_, I>,
        origin: (usize, usize),
        rect: Rect,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        (**self).run_region(AnyView::new(part), origin, rect, AnyViewMut::new(out), workspace)
    }

    /// Runs all layers on each of `images` images, which lie one after the other: several images
    /// at a time, if there are several workers. The results are those of [`run`](Self::run).
    pub fn run_batch(
        &self,
        source: &[I],
        out: &mut [O],
        images: usize,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let check = |what, shape: Shape, given: usize| {
            let needed = shape.samples()?.checked_mul(images);
            let needed = needed.ok_or(Error::SizeOverflow(shape))?;
            if given == needed {
                return Ok(());
            }
            Err(Error::BatchLength { what, images, shape, needed, given })
        };
        check("source", self.input_shape(), source.len())?;
        check("output", self.output_shape(), out.len())?;
        run_batch(self, source, out, images, workspace)
    }
}

/// A part of an image, or of a map between segments.
#[derive(Clone, Copy)]
struct Part<'a> {
    view: AnyView<'a>,
    /// The place of its first pixel.
    origin: (usize, usize),
}

/// Computes `rect` of a plan's output from `part` with at most `most` workers. It has been checked that everything fits.
///
/// Not generic, so that the passes are compiled once, in this crate, and not in every crate that
/// runs a plan.
fn run_with(
    plan: &AnyPlan,
    part: Part<'_>,
    rect: Rect,
    out: AnyViewMut<'_>,
    workspace: &mut Workspace,
    most: usize,
) -> Result<(), Error> {
    if plan.segments.is_empty() {
        return match part.view {
            AnyView::U8(view) => by_definition(plan, view, part.origin, rect, out),
            AnyView::U16(view) => by_definition(plan, view, part.origin, rect, out),
            AnyView::F32(view) => by_definition(plan, view, part.origin, rect, out),
        };
    }
    let Workspace { slots, maps: [read, write], regions, .. } = workspace;
    let (mut read, mut write) = (read, write);
    regions.clear();
    match plan.segments.len() {
        1 => regions.push(rect),
        _ => regions.extend(plan.regions(rect).map(|(written, _)| written)),
    }
    let (mut out, mut before) = (Some(out), rect);
    let last = plan.segments.len() - 1;
    for (i, (segment, &region)) in plan.segments.iter().zip(regions.iter().rev()).enumerate() {
        let len = |shape: Shape| shape.row() * shape.height;
        let shape = |rect: Rect, channels| Shape::new(rect.width, rect.height, channels);
        let part = if i == 0 {
            part
        } else {
            let shape = shape(before, segment.input.channels);
            let view = AnyView::F32(View::gapless(read.aligned(len(shape)), shape));
            Part { view, origin: (before.x, before.y) }
        };
        let target = if i == last {
            out.take()
        } else {
            let shape = shape(region, segment.output.channels);
            Some(AnyViewMut::new(ViewMut::<f32>::gapless(write.aligned(len(shape)), shape)))
        };
        if let Some(target) = target {
            run_segment(plan, segment, part, region, target, slots, most);
        }
        std::mem::swap(&mut read, &mut write);
        before = region;
    }
    Ok(())
}

/// A rectangle of an output by the reference, some rows at a time, so that memory stays small.
fn by_definition<I: Source>(
    plan: &AnyPlan,
    view: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
    mut out: AnyViewMut<'_>,
) -> Result<(), Error> {
    const ROWS: usize = 64;
    let shape = out.shape();
    for top in (0..shape.height).step_by(ROWS) {
        let rows = top..(top + ROWS).min(shape.height);
        let band = Rect { y: rect.y + top, height: rows.len(), ..rect };
        let exact = reference::layer::region(plan.chain(), plan.input_shape(), view, origin, band)?;
        for (y, exact) in rows.zip(exact.chunks_exact(shape.row())) {
            let [row] = out.rows_mut(y);
            row.round(exact);
        }
    }
    Ok(())
}

/// Runs a plan on images that lie one after the other: as many at a time as there are workers, and
/// what remains chunk by chunk. The plan has checked the lengths.
fn run_batch<I: Source, O: Sample>(
    plan: &AnyPlan,
    source: &[I],
    out: &mut [O],
    images: usize,
    workspace: &mut Workspace,
) -> Result<(), Error> {
    let len = |shape: Shape| shape.row() * shape.height;
    let (input, output) = (len(plan.input_shape()), len(plan.output_shape()));
    let one = |source: &[I], out: &mut [O], workspace: &mut Workspace, most: usize| {
        let part =
            Part { view: AnyView::new(View::gapless(source, plan.input_shape())), origin: (0, 0) };
        let out = AnyViewMut::new(ViewMut::gapless(out, plan.output_shape()));
        run_with(plan, part, plan.output_shape().rect(), out, workspace, most)
    };
    let workers = plan.batch_workers(images);
    // Those that all workers have one of, round by round.
    let whole = if workers > 1 { images - images % workers } else { 0 };
    let (sources, source) = source.split_at(whole * input);
    let (outs, out) = out.split_at_mut(whole * output);
    #[cfg(feature = "rayon")]
    if whole > 0 {
        let spaces = &mut workspace.images;
        if spaces.len() < workers {
            spaces.resize_with(workers, Workspace::default);
        }
        let pairs = sources.chunks_exact(input).zip(outs.chunks_exact_mut(output));
        let (pairs, one) = (&std::sync::Mutex::new(pairs), &one);
        let failure = std::sync::Mutex::new(None);
        rayon::scope(|scope| {
            for workspace in &mut spaces[..workers] {
                let failure = &failure;
                scope.spawn(move |_| {
                    // As for chunks: held while the next image is taken.
                    while let Some((source, out)) = pairs.lock().ok().and_then(|mut p| p.next()) {
                        if let Err(e) = one(source, out, workspace, 1)
                            && let Ok(mut failure) = failure.lock()
                        {
                            *failure = Some(e);
                        }
                    }
                });
            }
        });
        if let Ok(Some(failure)) = failure.into_inner() {
            return Err(failure);
        }
    }
    #[cfg(not(feature = "rayon"))]
    debug_assert!(sources.is_empty() && outs.is_empty());
    let most = plan.most_workers();
    for (source, out) in source.chunks_exact(input).zip(out.chunks_exact_mut(output)) {
        one(source, out, workspace, most)?;
    }
    Ok(())
}
