//! The work itself, once types are known: plan, run, explain, verify, time, and bring the result
//! into the samples of the output.

use super::args::Range;
use super::encode::Buffer;
use super::failure::Failure;
use super::report::{BenchPart, InputPart, KernelPart, PlanPart, Report, explain};
use super::verify::verify;
use std::time::Instant;
use twopass::{
    Alpha, Filter, Image, Plan, Post, Sample, SampleType, Shape, Source, View, ViewMut, Workspace,
    naive,
};

/// What to do, apart from the pixels.
pub struct Task {
    /// Kernel, border, method, level and threads; scale and offset as the user gave them, and the
    /// alpha handling of an image that has alpha.
    pub filter: Filter,
    /// Name of the kernel, for reports.
    pub name: String,
    /// Path of the input, for reports.
    pub path: String,
    pub range: Range,
    /// Whether the result is wanted.
    pub write: bool,
    pub explain: bool,
    pub verify: bool,
    /// Runs to time.
    pub bench: Option<u32>,
    /// Whether plain 2D filtering is timed too.
    pub naive: bool,
}

/// What was done.
pub struct Done {
    pub buffer: Option<Buffer>,
    pub report: Report,
    /// Time of the filter alone.
    pub milliseconds: f64,
}

/// A sample that files can hold.
pub trait Store: Sample {
    fn wrap(image: Image<Self>) -> Buffer;
}

impl Store for u8 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::U8(image)
    }
}

impl Store for u16 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::U16(image)
    }
}

impl Store for f32 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::F32(image)
    }
}

/// Does the task with an output of type `out`.
pub fn run<I: Source>(task: &Task, view: View<'_, I>, out: SampleType) -> Result<Done, Failure> {
    match out {
        SampleType::U8 => run_to::<I, u8>(task, view),
        SampleType::U16 => run_to::<I, u16>(task, view),
        _ => run_to::<I, f32>(task, view),
    }
}

/// A change of depth is folded into the filter's scale, so that results are rounded once. That
/// does not work where the filter treats alpha apart (alpha is not scaled like colour), nor where
/// the scale follows from the results: then the filter writes `f32`, which are mapped.
fn run_to<I: Source, O: Store>(task: &Task, view: View<'_, I>) -> Result<Done, Failure> {
    let ratio = O::FULL / I::FULL;
    let offset = task.filter.get_offset();
    let half = match O::TYPE {
        SampleType::F32 => 0.5,
        // An integer, so that integer kernels stay exact and 0 has one value in every depth.
        _ => (O::FULL + 1.0) / 2.0,
    };
    let offset = if task.range == Range::Offset { offset + half } else { offset };
    let filter = match task.range {
        Range::Abs => task.filter.clone().abs(),
        _ => task.filter.clone(),
    };
    let apart = matches!(filter.get_alpha(), Some(Alpha::Premultiply | Alpha::Keep));
    let stretch = task.range == Range::Stretch;
    if !stretch && (ratio == 1.0 || !apart) {
        let scale = filter.get_scale() * ratio;
        let (image, report, milliseconds) =
            stage::<I, O>(task, filter.scale(scale).offset(offset), view)?;
        return Ok(Done { buffer: image.map(O::wrap), report, milliseconds });
    }
    let (image, report, milliseconds) = stage::<I, f32>(task, filter.offset(offset / ratio), view)?;
    let buffer = image.map(|image| {
        let alpha = task.filter.get_alpha().is_some();
        O::wrap(map(image, ratio, alpha, stretch))
    });
    Ok(Done { buffer, report, milliseconds })
}

/// Brings `f32` results in units of the input into samples: colour stretched to the full range
/// or, like alpha always, multiplied by the ratio of the depths.
fn map<O: Store>(image: Image<f32>, ratio: f64, alpha: bool, stretch: bool) -> Image<O> {
    let shape = image.shape();
    let colours = if alpha { shape.channels - 1 } else { shape.channels };
    let pixels = image.data().chunks_exact(shape.channels);
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    if stretch {
        for &v in pixels.clone().flat_map(|p| &p[..colours]).filter(|v| v.is_finite()) {
            (low, high) = (low.min(v), high.max(v));
        }
    }
    let (low, factor) = match (stretch, f64::from(high) - f64::from(low)) {
        (true, range) if range > 0.0 => (f64::from(low), O::FULL / range),
        // A flat result has nothing to stretch; it becomes black.
        (true, _) => (f64::from(low), 0.0),
        (false, _) => (0.0, ratio),
    };
    let mut out = Vec::with_capacity(image.data().len());
    for pixel in pixels {
        out.extend(pixel[..colours].iter().map(|&v| O::from_f64((f64::from(v) - low) * factor)));
        out.extend(pixel[colours..].iter().map(|&v| O::from_f64(f64::from(v) * ratio)));
    }
    Image::from_vec(out, shape).expect("as many samples as before")
}

type Staged<O> = (Option<Image<O>>, Report, f64);

/// Plans and, as far as the task asks for it, runs one filter.
fn stage<I: Source, O: Sample>(
    task: &Task,
    filter: Filter,
    view: View<'_, I>,
) -> Result<Staged<O>, Failure> {
    let plan: Plan<I, O> = filter.plan(view.shape())?;
    let kernel = &filter.kernels()[0];
    let mut report = Report {
        input: input_part::<I>(&task.path, view.shape()),
        kernel: KernelPart::new(&task.name, kernel, plan.separations()),
        plan: PlanPart::new(&plan),
        verify: None,
        bench: None,
        output: None,
        explanation: String::new(),
    };
    if task.explain {
        report.explanation = explain(&task.name, &filter, &plan);
    }
    if !task.write && !task.verify && task.bench.is_none() {
        return Ok((None, report, 0.0));
    }
    let mut image = Image::<O>::new(plan.output_shape())?;
    let mut workspace = Workspace::new();
    let start = Instant::now();
    plan.run(view, image.view_mut(), &mut workspace)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    if task.verify {
        report.verify = Some(verify(&plan, &filter, view, image.view())?);
    }
    if let Some(runs) = task.bench {
        let out = image.view_mut();
        report.bench = Some(bench(&plan, &filter, view, out, workspace, runs, task.naive)?);
    }
    Ok((Some(image), report, milliseconds))
}

/// Times runs of the plan, and one of plain 2D filtering.
fn bench<I: Source, O: Sample>(
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

fn input_part<I: Source>(path: &str, shape: Shape) -> InputPart {
    InputPart {
        path: path.to_owned(),
        width: shape.width,
        height: shape.height,
        channels: shape.channels,
        sample: I::TYPE.to_string(),
    }
}

/// What `--range` means where it is not given: derivatives are shown by their magnitude where
/// the output has no negative values, everything else as it is.
pub fn default_range(filter: &Filter, offset_given: bool, unsigned: bool) -> Range {
    let zero_sum = filter.kernels().iter().all(twopass::Kernel::is_zero_sum);
    if unsigned && zero_sum && !offset_given && filter.get_post() == Post::None {
        Range::Abs
    } else {
        Range::Clamp
    }
}
