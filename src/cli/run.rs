//! The work itself, once types are known: plan, run, explain, verify, time, and bring the result
//! into the samples of the output.
//!
//! A single kernel goes from the input's samples to the output's in one plan. A chain runs its
//! stages one after the other through `f32` images, so that nothing is rounded between them:
//! `through` is all there is to replace by a fused plan.

use super::args::Range;
use super::bench::bench;
use super::channels::Selection;
use super::clip::Clipping;
use super::encode::Buffer;
use super::failure::Failure;
use super::kernel::Stage;
use super::light::{ToFloat, encode};
use super::report::{InputPart, KernelPart, PlanPart, Report, StagePart, explain};
use super::verify::verify;
use std::time::Instant;
use twopass::{
    Alpha, Border, Filter, Image, Kernel, Plan, Post, Sample, SampleType, Shape, Source, View,
    Workspace,
};

/// What to do, apart from the pixels.
pub struct Task {
    /// Kernel, border, method, level and threads of each stage, scale and offset as the user gave
    /// them, and the alpha handling of an image that has alpha.
    pub chain: Vec<Stage>,
    /// Path of the input, for reports.
    pub path: String,
    pub range: Range,
    /// Whether light is made linear.
    pub linear: bool,
    /// The channels that are filtered, if not all.
    pub channels: Option<Selection>,
    pub explain: bool,
    pub verify: bool,
    /// Runs to time.
    pub bench: Option<u32>,
    /// Whether plain 2D filtering is timed too.
    pub naive: bool,
}

/// What was done.
pub struct Done {
    pub buffer: Buffer,
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

fn run_to<I: Source, O: Store>(task: &Task, view: View<'_, I>) -> Result<Done, Failure> {
    let mut log = Log::new::<I>(task, view.shape());
    let mut image: Image<O> = if task.chain.len() == 1 && !task.linear {
        finish(task, &task.chain[0], view, &mut log)?
    } else {
        through(task, view, &mut log)?
    };
    if let Some(selection) = &task.channels {
        selection.restore(&mut image, view, task.origin(), task.has_alpha(), task.linear);
    }
    Ok(Done { buffer: O::wrap(image), report: log.report, milliseconds: log.milliseconds })
}

impl Task {
    fn has_alpha(&self) -> bool {
        self.chain[0].filter.get_alpha().is_some()
    }

    /// The pixel of the input that lies under the output's first.
    pub fn origin(&self) -> (usize, usize) {
        let mut at = (0, 0);
        for stage in &self.chain {
            let (x, y) = stage.filter.get_borders();
            let anchor = stage.filter.kernels()[0].anchor();
            at.0 += if *x == Border::Valid { anchor.0 } else { 0 };
            at.1 += if *y == Border::Valid { anchor.1 } else { 0 };
        }
        at
    }
}

/// A chain, or anything in linear light: samples become floats from 0 to 1, every stage but the
/// last makes floats of floats, and the last one makes the output's samples.
fn through<I: Source, O: Store>(
    task: &Task,
    view: View<'_, I>,
    log: &mut Log<'_>,
) -> Result<Image<O>, Failure> {
    let (last, before) = task.chain.split_last().expect("a chain has a stage");
    let (alpha, channels) = (task.has_alpha(), view.shape().channels);
    let to = ToFloat::of(I::TYPE, I::FULL, task.linear);
    let stage = |stage: &Stage| {
        let filter = to.filter(&stage.filter, alpha, channels);
        Stage { name: stage.name.clone(), filter }
    };
    let start = Instant::now();
    let mut image = to.image(view, alpha);
    log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
    for one in before {
        let one = stage(one);
        image = log.stage::<f32, f32>(&one.name, one.filter, image.view())?;
    }
    finish(task, &stage(last), image.view(), log)
}

/// The last stage, which makes the output's samples.
///
/// A change of depth is folded into the filter's scale, so that results are rounded once. That
/// does not work where the filter treats alpha apart (alpha is not scaled like colour), nor where
/// the scale follows from the results, nor where light is to be encoded: then the filter writes
/// `f32`, which are mapped.
fn finish<I: Source, O: Store>(
    task: &Task,
    stage: &Stage,
    view: View<'_, I>,
    log: &mut Log<'_>,
) -> Result<Image<O>, Failure> {
    let ratio = O::FULL / I::FULL;
    let offset = stage.filter.get_offset();
    let half = match O::TYPE {
        SampleType::F32 => 0.5,
        // An integer, so that integer kernels stay exact and 0 has one value in every depth.
        _ => (O::FULL + 1.0) / 2.0,
    };
    let offset = if task.range == Range::Offset { offset + half } else { offset };
    let filter = match task.range {
        Range::Abs => stage.filter.clone().abs(),
        _ => stage.filter.clone(),
    };
    let apart = matches!(filter.get_alpha(), Some(Alpha::Premultiply | Alpha::Keep));
    let stretch = task.range == Range::Stretch;
    if !stretch && !task.linear && (ratio == 1.0 || !apart) {
        let filter = filter.clone().scale(filter.get_scale() * ratio).offset(offset);
        let image = log.stage::<I, O>(&stage.name, filter.clone(), view)?;
        log.clipping::<I, O>(&filter, view)?;
        return Ok(image);
    }
    // An offset is in units of the output; with an encoding between, it has to wait.
    let encoded = task.linear && O::TYPE != SampleType::F32;
    let (now, later) = if encoded { (0.0, offset) } else { (offset / ratio, 0.0) };
    let image = log.stage::<I, f32>(&stage.name, filter.offset(now), view)?;
    let alpha = task.has_alpha();
    let map = Map { ratio, offset: later, alpha, stretch, encoded, selection: &task.channels };
    let start = Instant::now();
    let mut clipping = task.explain.then(|| Clipping::new::<O>(image.shape().channels));
    let image = map.image(image, clipping.as_mut());
    log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
    log.clipped(clipping);
    Ok(image)
}

/// How `f32` results in units of the input become samples.
struct Map<'a> {
    /// Of the output's full scale to the input's.
    ratio: f64,
    /// Added to colours at the end.
    offset: f64,
    /// Whether the last channel is alpha, which is multiplied by the ratio and no more.
    alpha: bool,
    /// Whether colours are stretched to the full range.
    stretch: bool,
    /// Whether light is encoded.
    encoded: bool,
    /// The channels that count for the range.
    selection: &'a Option<Selection>,
}

impl Map<'_> {
    fn image<O: Store>(&self, image: Image<f32>, mut clipping: Option<&mut Clipping>) -> Image<O> {
        let shape = image.shape();
        let colours = shape.channels - usize::from(self.alpha);
        let light = |v: f32| if self.encoded { encode(v.into()) } else { f64::from(v) };
        let (low, factor) = self.line(&image, colours, O::FULL, light);
        let mut out = Vec::with_capacity(image.data().len());
        for (i, &v) in image.data().iter().enumerate() {
            let c = i % shape.channels;
            let v = if c < colours {
                (light(v) - low) * factor + self.offset
            } else {
                f64::from(v) * self.ratio
            };
            if let Some(clipping) = &mut clipping {
                clipping.count(c, v);
            }
            out.push(O::from_f64(v));
        }
        Image::from_vec(out, shape).expect("as many samples as before")
    }

    /// What is taken from colours, and what they are then multiplied by.
    fn line(
        &self,
        image: &Image<f32>,
        colours: usize,
        full: f64,
        light: impl Fn(f32) -> f64,
    ) -> (f64, f64) {
        if !self.stretch {
            return (0.0, self.ratio);
        }
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for pixel in image.data().chunks_exact(image.shape().channels) {
            for (c, &v) in pixel[..colours].iter().enumerate() {
                if v.is_finite() && self.selection.as_ref().is_none_or(|s| s.has(c)) {
                    (low, high) = (low.min(v), high.max(v));
                }
            }
        }
        // The curve of light rises everywhere, so the ends stay the ends.
        match (light(low), light(high) - light(low)) {
            (low, range) if range > 0.0 => (low, full / range),
            // A flat result has nothing to stretch; it becomes black.
            (low, _) => (low, 0.0),
        }
    }
}

/// What is found out on the way.
struct Log<'a> {
    task: &'a Task,
    report: Report,
    milliseconds: f64,
}

impl<'a> Log<'a> {
    fn new<I: Source>(task: &'a Task, shape: Shape) -> Self {
        let mut report = Report::new(input_part::<I>(&task.path, shape));
        if task.explain && (task.chain.len() > 1 || task.linear) {
            let light = if task.linear { " of linear light" } else { "" };
            report.explanation = match task.chain.len() {
                1 => format!("f32 samples{light}, rounded once\n"),
                n => format!(
                    "a chain of {n} stages through f32 images{light}, one after the other; rounded \
                     once, at the end\n"
                ),
            };
        }
        Self { task, report, milliseconds: 0.0 }
    }

    /// Plans one filter, runs it, and says about it what the task asks for.
    fn stage<I: Source, O: Sample>(
        &mut self,
        name: &str,
        filter: Filter,
        view: View<'_, I>,
    ) -> Result<Image<O>, Failure> {
        let plan: Plan<I, O> = filter.plan(view.shape())?;
        let kernel = KernelPart::new(name, &filter.kernels()[0], plan.separations());
        self.report.stages.push(StagePart { kernel, plan: PlanPart::new(&plan) });
        if self.task.explain {
            let (n, of) = (self.report.stages.len(), self.task.chain.len());
            if of > 1 {
                self.report.explanation += &format!("stage {n} of {of}:\n");
            }
            self.report.explanation += &explain(name, &filter, &plan);
        }
        let mut image = Image::<O>::new(plan.output_shape())?;
        let mut workspace = Workspace::new();
        let start = Instant::now();
        plan.run(view, image.view_mut(), &mut workspace)?;
        self.milliseconds += start.elapsed().as_secs_f64() * 1e3;
        if self.task.verify {
            let part = verify(&plan, &filter, view, image.view())?;
            self.report.add_verify(part);
        }
        if let Some(runs) = self.task.bench {
            let out = image.view_mut();
            let part = bench(&plan, &filter, view, out, workspace, runs, self.task.naive)?;
            self.report.bench = Some(match self.report.bench.take() {
                Some(before) => before.and(part),
                None => part,
            });
        }
        Ok(image)
    }

    /// Filters once more, without rounding, and counts what does not fit the samples.
    fn clipping<I: Source, O: Store>(
        &mut self,
        filter: &Filter,
        view: View<'_, I>,
    ) -> Result<(), Failure> {
        if !self.task.explain || O::TYPE == SampleType::F32 {
            return Ok(());
        }
        let plan: Plan<I, f32> = filter.plan(view.shape())?;
        let mut image = Image::<f32>::new(plan.output_shape())?;
        plan.run(view, image.view_mut(), &mut Workspace::new())?;
        let channels = image.shape().channels;
        let mut clipping = Clipping::new::<O>(channels);
        for (i, &v) in image.data().iter().enumerate() {
            clipping.count(i % channels, v.into());
        }
        self.clipped(Some(clipping));
        Ok(())
    }

    fn clipped(&mut self, clipping: Option<Clipping>) {
        let Some(clipping) = clipping else { return };
        let selection = self.task.channels.as_ref();
        let parts = clipping.parts(|c| selection.is_none_or(|s| s.has(c)));
        self.report.explanation += &Clipping::text(&parts);
        self.report.clipping = Some(parts);
    }
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
pub fn default_range(chain: &[Stage], offset_given: bool, unsigned: bool) -> Range {
    // What comes out of a magnitude is a picture again.
    let magnitude = |s: &Stage| s.filter.get_post() == Post::Magnitude;
    let from = chain.iter().rposition(magnitude).map_or(0, |i| i + 1);
    let zero_sum = |s: &Stage| s.filter.kernels().iter().all(Kernel::is_zero_sum);
    if unsigned && !offset_given && chain[from..].iter().any(zero_sum) {
        Range::Abs
    } else {
        Range::Clamp
    }
}
