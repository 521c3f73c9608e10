//! Runs of plans whose sources, or results, are not in memory as the passes want them: samples that are to be decoded, or
//! lie apart. Some rows at a time they are brought to memory that stays in the cache and is used again, and taken from
//! there. (Where two whole pictures of floats were made, clearing their memory took 0.24 of 0.33 s, of 4K.)

use super::Workspace;
use crate::any_view::{AnyView, AnyViewMut, Source};
use crate::error::Error;
use crate::plan::{AnyPlan, Segment};
use crate::sample::Sample;
use crate::view::{Rect, Shape, View, ViewMut};
use std::mem::take;

/// Output rows that are made together.
const BAND: usize = 128;

/// Where a plan's samples come from.
pub(crate) enum BandSource<'a, I> {
    /// All of them are there.
    View(View<'a, I>),
    /// Those of a rectangle of the source, when they are asked for.
    Rows(&'a dyn Fn(Rect, ViewMut<'_, I>)),
}

/// Where results go.
pub(crate) enum BandTarget<'a, O> {
    View(ViewMut<'a, O>),
    /// To whom they are given, with the first row's place.
    Rows(&'a mut dyn FnMut(usize, View<'_, O>)),
}

/// Computes the rectangle `rect` of a plan's output, which is in it, with the types that were planned.
pub(crate) fn run_in_bands<I: Source, O: Sample>(
    plan: &AnyPlan,
    source: &BandSource<'_, I>,
    rect: Rect,
    mut out: BandTarget<'_, O>,
    workspace: &mut Workspace,
) -> Result<(), Error> {
    let height = match (source, &out) {
        (BandSource::View(_), BandTarget::View(_)) => rect.height,
        _ => band(plan, rect)?,
    };
    let mut memory = take(&mut workspace.bands);
    let mut result = Ok(());
    for y in (0..rect.height).step_by(height) {
        let rows = Rect { y: rect.y + y, height: height.min(rect.height - y), ..rect };
        let place = Rect::new(0, y, rect.width, rows.height);
        result = plan.input_region(rows).and_then(|needed| {
            // Windows that see nothing but constants get a pixel all the same, so that there is a view.
            let none = needed.width == 0 || needed.height == 0;
            let needed = if none { Rect::new(0, 0, 1, 1) } else { needed };
            let [read, write] = &mut memory;
            let shape = |rect: Rect, channels| Shape::new(rect.width, rect.height, channels);
            let view = match source {
                BandSource::View(view) => view.crop(needed)?,
                BandSource::Rows(fill) => {
                    let shape = shape(needed, plan.input_shape().channels);
                    let samples = read.aligned::<I>(shape.samples()?);
                    fill(needed, ViewMut::gapless(samples, shape));
                    View::gapless(samples, shape)
                }
            };
            let (part, origin) = (AnyView::new(view), (needed.x, needed.y));
            let shape = shape(rows, plan.output_shape().channels);
            match &mut out {
                BandTarget::View(out) => {
                    let out = AnyViewMut::new(out.reborrow().crop(place)?);
                    plan.run_region(part, origin, rows, out, workspace)
                }
                BandTarget::Rows(take) => {
                    let samples = write.aligned::<O>(shape.samples()?);
                    let out = AnyViewMut::new(ViewMut::gapless(samples, shape));
                    plan.run_region(part, origin, rows, out, workspace)?;
                    take(y, View::gapless(samples, shape));
                    Ok(())
                }
            }
        });
        if result.is_err() {
            break;
        }
    }
    workspace.bands = memory;
    result
}

/// Rows of a band: all, where one would read much more than itself; else whole blocks of those that are made together.
fn band(plan: &AnyPlan, rect: Rect) -> Result<usize, Error> {
    let block = plan.segments.iter().filter_map(Segment::alone).map(|filter| filter.block()[1]);
    let band = BAND.next_multiple_of(block.max().unwrap_or(1));
    let middle = rect.y + rect.height / 2 / band * band;
    let height = band.min(rect.y + rect.height - middle);
    let needed = plan.input_region(Rect { y: middle, height, ..rect })?;
    Ok(if needed.height > 2 * band { rect.height } else { band })
}
