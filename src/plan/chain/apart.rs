//! Chains of image filters of which one is much faster alone: the sums of its windows are kept from row to row,
//! which needs whole images. Each filter then is one of its own, and the images between them are `f32`.

use super::Builder;
use super::images::plain;
use super::proof::FilterFacts;
use crate::filter::Filter;
use crate::plan::{Core, Work};
use crate::sample::SampleType;
use crate::view::Shape;

/// The filters, first to last, where one of them is a box large enough.
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
    let sums = |core: &Core| matches!(core.work, Work::Running(_) | Work::Blocks(_));
    let naive = |core: &Core| matches!(core.work, Work::Naive);
    (last > 0 && cores.iter().any(sums) && !cores.iter().any(naive)).then_some(cores)
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
