//! `--bench`: times runs of a plan, and plain 2D filtering beside it.

use super::failure::Failure;
use super::report::BenchPart;
use std::time::Instant;
use twopass::{Alpha, Filter, Image, Plan, Sample, Source, View, ViewMut, Workspace, naive};

/// Times runs of the plan, and one of plain 2D filtering.
pub fn bench<I: Source, O: Sample>(
    plan: &Plan<I, O>,
    filter: &Filter,
    view: View<'_, I>,
    mut out: ViewMut<'_, O>,
    mut workspace: Workspace,
    runs: u32,
    with_naive: bool,
) -> Result<BenchPart, Failure> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        plan.run(view, out.reborrow(), &mut workspace)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let (min_ms, median_ms) = (times[0], times[times.len() / 2]);
    let naive_min_ms = if with_naive {
        // Plain loops know nothing of alpha; they have a little less to do.
        let plain = filter.clone().alpha(Alpha::Plain);
        let mut out = Image::<O>::new(plan.output_shape())?;
        let start = Instant::now();
        naive::filter(&plain, view, out.view_mut())?;
        Some(start.elapsed().as_secs_f64() * 1e3)
    } else {
        None
    };
    let speedup = naive_min_ms.map(|naive| naive / min_ms);
    Ok(BenchPart { runs: times.len(), min_ms, median_ms, naive_min_ms, speedup })
}
