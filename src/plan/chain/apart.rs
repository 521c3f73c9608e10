//! Chains of image filters of which one is much faster alone: the sums of its windows are kept from row to row,
//! which needs whole images. Each filter then is one of its own, and the images between them are `f32`.

use super::Builder;
use super::images::plain;
use super::proof::FilterFacts;
use crate::filter::Filter;
use crate::kernel::Kernel;
use crate::plan::arithmetic::is_flat;
use crate::plan::{Core, Work};
use crate::sample::SampleType;
use crate::view::Shape;

/// Taps a side that boxes must have for each image between filters: to write and read one takes as long as two
/// passes of some forty taps in a first run, which gets the memory, and of half as many later.
const TAPS_EACH: usize = 48;

/// The filters, first to last, where boxes among them are large enough.
pub(super) fn apart(
    builder: &Builder<'_>,
    mut shape: Shape,
    types: (SampleType, SampleType),
) -> Option<Vec<Core>> {
    let chain = builder.chain;
    let filters: Vec<&Filter> = chain.layers().iter().map(plain).collect::<Option<_>>()?;
    let last = filters.len() - 1;
    // Few chains have such boxes: the others are not planned twice.
    let longest = |kernel: &Kernel| kernel.width().max(kernel.height());
    let flat = filters.iter().filter_map(|filter| match filter.kernels() {
        [kernel] if is_flat(kernel) => Some(longest(kernel)),
        _ => None,
    });
    if last == 0 || flat.sum::<usize>() < TAPS_EACH * last {
        return None;
    }
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
        Work::Running(_) | Work::Blocks(_) => longest(&core.filter.kernels()[0]),
        _ => 0,
    });
    let pays = taps.sum::<usize>() >= TAPS_EACH * last;
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
