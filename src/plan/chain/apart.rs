//! Chains of image filters of which one is much faster alone: the sums of its windows are kept from row to row,
//! which needs whole images. Each filter then is one of its own, and the images between them are `f32`.

use super::Builder;
use super::images::plain;
use super::proof::FilterFacts;
use crate::filter::Filter;
use crate::plan::{Core, Work};
use crate::sample::SampleType;
use crate::view::Shape;

/// Taps a side that boxes must have for each image between filters: writing and reading one takes as long as
/// two passes of so many taps of `f32`, or of half as many of `u8`. Measured at 1080p, three channels.
const TAPS_EACH: usize = 25;

/// The filters, first to last, where boxes among them are large enough.
pub(super) fn apart(
    builder: &Builder<'_>,
    mut shape: Shape,
    types: (SampleType, SampleType),
) -> Option<Vec<Core>> {
    let chain = builder.chain;
    let filters: Vec<&Filter> = chain.layers().iter().map(plain).collect::<Option<_>>()?;
    let last = filters.len() - 1;
    let mut cores = Vec::with_capacity(filters.len());
    for (i, filter) in filters.into_iter().enumerate() {
        let source = if i == 0 { types.0 } else { SampleType::F32 };
        let output = if i == last { types.1 } else { SampleType::F32 };
        let filter = filter.clone().level(builder.level).threads(chain.get_threads());
        let core = Core::of(&filter, shape, (source, output), builder.fused).ok()?;
        shape = core.output;
        cores.push(core);
    }
    let naive = |core: &Core| matches!(core.work, Work::Naive);
    let taps = cores.iter().map(|core| match core.work {
        Work::Running(_) | Work::Blocks(_) => {
            let kernel = &core.filter.kernels()[0];
            kernel.width().max(kernel.height())
        }
        _ => 0,
    });
    let pays = last > 0 && taps.sum::<usize>() >= TAPS_EACH * last;
    (pays && !cores.iter().any(naive)).then_some(cores)
}

/// What the filters' bounds are, per unit of the values that reach them.
pub(super) fn facts(filters: &[Core], full: f64) -> Vec<FilterFacts> {
    let facts = filters.iter().map(|core| {
        let mut arithmetic = core.arithmetic.clone();
        if !arithmetic.relative {
            arithmetic.bound /= full;
        }
        FilterFacts { arithmetic, method: core.work.method(), whole: false }
    });
    facts.collect()
}
