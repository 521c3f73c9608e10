//! `--bench`: times runs of a plan, and plain 2D filtering beside it.

use super::failure::Failure;
use super::report::BenchPart;
use std::time::Instant;
use twopass::{
    Alpha, Error, Filter, Image, Layer, Plan, Sample, Source, View, ViewMut, Workspace, naive,
};

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
    let times = times(runs, || plan.run(view, out.reborrow(), &mut workspace))?;
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
    Ok(part(&times, naive_min_ms))
}

/// The same for a chain; plain 2D filtering, through `f32` images, where all stages are filters.
pub fn bench_chain<I: Source, O: Sample>(
    plan: &Plan<I, O>,
    view: View<'_, I>,
    mut out: ViewMut<'_, O>,
    mut workspace: Workspace,
    runs: u32,
    with_naive: bool,
) -> Result<BenchPart, Failure> {
    let times = times(runs, || plan.run(view, out.reborrow(), &mut workspace))?;
    let filters = plan.chain().layers().iter().map(|layer| match layer {
        Layer::Filter(filter) => Some(filter.clone().alpha(Alpha::Plain)),
        _ => None,
    });
    let filters: Option<Vec<_>> = filters.collect();
    let naive_min_ms = match filters.as_deref().filter(|_| with_naive) {
        Some([only]) => {
            let start = Instant::now();
            naive::filter(only, view, out)?;
            Some(start.elapsed().as_secs_f64() * 1e3)
        }
        Some([first, between @ .., last]) => {
            let start = Instant::now();
            let mut image = plain::<I>(first, view)?;
            for filter in between {
                image = plain(filter, image.view())?;
            }
            naive::filter(last, image.view(), out)?;
            Some(start.elapsed().as_secs_f64() * 1e3)
        }
        _ => None,
    };
    Ok(part(&times, naive_min_ms))
}

fn plain<I: Source>(filter: &Filter, view: View<'_, I>) -> Result<Image<f32>, Error> {
    let mut out = Image::new(filter.output_shape(view.shape())?)?;
    naive::filter(filter, view, out.view_mut())?;
    Ok(out)
}

/// Milliseconds of so many runs, sorted.
fn times(runs: u32, mut run: impl FnMut() -> Result<(), Error>) -> Result<Vec<f64>, Error> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn part(times: &[f64], naive_min_ms: Option<f64>) -> BenchPart {
    let (min_ms, median_ms) = (times[0], times[times.len() / 2]);
    let speedup = naive_min_ms.map(|naive| naive / min_ms);
    BenchPart { runs: times.len(), min_ms, median_ms, naive_min_ms, speedup }
}
