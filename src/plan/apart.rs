//! Chains of image filters of which one is much faster alone: the sums of its windows are kept from row to row,
//! which needs whole images. Each filter then is a segment of its own, and the images between them are `f32`.

use super::Pass;
use super::arithmetic::is_flat;
use super::filter::{FilterFacts, FilterStage, Setting};
use super::words::plain;
use crate::filter::Filter;
use crate::kernel::Kernel;
use crate::layer::Chain;
use crate::sample::SampleType;
use crate::view::Shape;

/// Taps a side that boxes must have for each image between filters: to write and read one takes as long as two
/// passes of some forty taps in a first run, which gets the memory, and of half as many later.
const TAPS_EACH: usize = 48;

/// The filters, first to last, where boxes among them are large enough; with bounds per unit of the values that
/// reach them, of which `setting` says what is full.
pub(super) fn apart(
    chain: &Chain,
    mut shape: Shape,
    types: (SampleType, SampleType),
    setting: Setting,
) -> Option<Vec<(FilterStage, FilterFacts)>> {
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
    let mut stages = Vec::with_capacity(filters.len());
    for (i, filter) in filters.into_iter().enumerate() {
        let source = if i == 0 { types.0 } else { SampleType::F32 };
        let output = if i == last { types.1 } else { SampleType::F32 };
        let (stage, mut facts) = FilterStage::new(filter, shape, (source, output), setting).ok()?;
        let stage = stage?;
        if !facts.arithmetic.relative {
            facts.arithmetic.bound /= setting.opacity.full;
        }
        facts.whole = false;
        shape = stage.output;
        stages.push((stage, facts));
    }
    let taps = stages.iter().map(|(stage, _)| match stage.pass {
        Pass::Running(_) | Pass::Blocks(_) => longest(&stage.filter.kernels()[0]),
        _ => 0,
    });
    (taps.sum::<usize>() >= TAPS_EACH * last).then_some(stages)
}
