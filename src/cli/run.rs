//! The work itself, once types are known: plan, run, explain, verify, time, and bring the result
//! into the samples of the output.
//!
//! A single kernel goes from the input's samples to the output's in the plan of its filter, and
//! everything else in the plan of a chain: nothing is rounded between stages.

use super::args::Range;
use super::bench::{bench, bench_chain};
use super::channels::Selection;
use super::clip::Clipping;
use super::failure::Failure;
use super::kernel::{Stage, Step};
use super::light::{ToFloat, encode};
use super::mix::{Form, Units};
use super::pixels::Buffer;
use super::report::{
    ChainPart, InputPart, KernelPart, PlanPart, Report, StagePart, Work, explain, explain_chain,
};
use super::verify::{verify, verify_chain};
use std::time::Instant;
use twopass::{
    Alpha, Chain, Filter, Image, Kernel, Layer, Level, Plan, Pointwise, Post, Sample, SampleType,
    Shape, Source, View, Workspace,
};

/// What to do, apart from the pixels.
pub struct Task {
    /// The stages. Filters have border, method, level and threads, and the alpha handling of an
    /// image that has alpha; the last one scale and offset as the user gave them.
    pub chain: Vec<Stage>,
    /// Scale and offset, for a last stage that is no filter.
    pub scale: f64,
    pub offset: f64,
    /// The channels of the input.
    pub form: Form,
    pub level: Option<Level>,
    /// Of all stages together; 0 is all there are.
    pub threads: usize,
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
    let mut image: Image<O> = if task.linear {
        let to = ToFloat::of(I::TYPE, I::FULL, true);
        let start = Instant::now();
        let floats = to.image(view, task.form.alpha);
        log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
        let own = I::FULL;
        finish(task, Some(&to), own, floats.view(), &mut log)?
    } else {
        finish(task, None, 1.0, view, &mut log)?
    };
    if let Some(selection) = &task.channels {
        selection.restore(&mut image, view, task.origin(), task.form.alpha, task.linear);
    }
    Ok(Done { buffer: O::wrap(image), report: log.report, milliseconds: log.milliseconds })
}

impl Task {
    /// The pixel of the input that lies under the output's first.
    pub fn origin(&self) -> (usize, usize) {
        let origins = self.chain.iter().map(Stage::origin);
        origins.fold((0, 0), |at, shift| (at.0 + shift.0, at.1 + shift.1))
    }

    /// The channels of the output.
    fn result(&self) -> Result<Form, Failure> {
        self.chain.iter().try_fold(self.form, |form, stage| stage.form(form))
    }

    /// Whether the last stage treats alpha apart, so that it is not scaled like colour.
    fn alpha_apart(&self) -> bool {
        let last = self.chain.last().and_then(Stage::filter).and_then(Filter::get_alpha);
        matches!(last, Some(Alpha::Premultiply | Alpha::Keep))
    }

    /// The offset that the user gave.
    fn given_offset(&self) -> f64 {
        let last = self.chain.last().and_then(Stage::filter);
        last.map_or(self.offset, Filter::get_offset)
    }
}

/// What the last stage does so that results are those of the output's samples.
#[derive(Clone, Copy)]
struct Ending {
    /// Of the output's full scale to that of the values.
    ratio: f64,
    /// Added to colours then.
    offset: f64,
    abs: bool,
}

/// All stages, and the last one's results as the output's samples.
///
/// A change of depth is folded into the last stage, so that results are rounded once. That does not
/// work where the scale follows from the results, nor where light is to be encoded, nor for a single
/// filter that treats alpha apart (alpha is not scaled like colour): then `f32` are written, which
/// are mapped.
fn finish<I: Source, O: Store>(
    task: &Task,
    to: Option<&ToFloat>,
    own: f64,
    view: View<'_, I>,
    log: &mut Log<'_>,
) -> Result<Image<O>, Failure> {
    let ratio = O::FULL / I::FULL;
    let half = match O::TYPE {
        SampleType::F32 => 0.5,
        // An integer, so that integer kernels stay exact and 0 has one value in every depth.
        _ => (O::FULL + 1.0) / 2.0,
    };
    let given = task.given_offset();
    let offset = if task.range == Range::Offset { given + half } else { given };
    let abs = task.range == Range::Abs;
    let single = match task.chain.as_slice() {
        [stage] => stage.filter().map(|filter| (&stage.name, filter)),
        _ => None,
    };
    let stretch = task.range == Range::Stretch;
    let folds = ratio == 1.0 || single.is_none() || !task.alpha_apart();
    if !stretch && !task.linear && folds {
        let ending = Ending { ratio, offset, abs };
        let image = match single {
            Some((name, filter)) => {
                let filter = ending.of_filter(filter);
                let image = log.filter::<I, O>(name, filter.clone(), view)?;
                log.clipping::<O>(|workspace| {
                    let plan = filter.plan::<I, f32>(view.shape())?;
                    let mut out = Image::new(plan.output_shape())?;
                    plan.run(view, out.view_mut(), workspace).map(|()| out)
                })?;
                image
            }
            None => {
                let chain = chain(task, to, own, ending, I::FULL)?;
                let image = log.chain::<I, O>(&chain, view)?;
                log.clipping::<O>(|workspace| {
                    let plan = chain.plan::<I, f32>(view.shape())?;
                    let mut out = Image::new(plan.output_shape())?;
                    plan.run(view, out.view_mut(), workspace).map(|()| out)
                })?;
                image
            }
        };
        return Ok(image);
    }
    // An offset is in units of the output; with an encoding between, it has to wait.
    let encoded = task.linear && O::TYPE != SampleType::F32;
    let (now, later) = if encoded { (0.0, offset) } else { (offset / ratio, 0.0) };
    let ending = Ending { ratio: 1.0, offset: now, abs };
    let image = match single {
        Some((name, filter)) => {
            let filter = ending.of_filter(filter);
            let filter = match to {
                Some(to) => to.filter(&filter, task.form.alpha, task.form.channels),
                None => filter,
            };
            log.filter::<I, f32>(name, filter, view)?
        }
        None => log.chain::<I, f32>(&chain(task, to, own, ending, I::FULL)?, view)?,
    };
    let alpha = task.result()?.alpha;
    let map = Map { ratio, offset: later, alpha, stretch, encoded, selection: &task.channels };
    let start = Instant::now();
    let mut clipping = task.explain.then(|| Clipping::new::<O>(image.shape().channels));
    let image = map.image(image, clipping.as_mut());
    log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
    log.clipped(clipping);
    Ok(image)
}

impl Ending {
    /// A last filter, which has the user's scale.
    fn of_filter(self, filter: &Filter) -> Filter {
        let scale = filter.get_scale() * self.ratio;
        let filter = filter.clone().scale(scale).offset(self.offset);
        if self.abs { filter.abs() } else { filter }
    }
}

/// The layers that the stages are. `own` is what the user's numbers are divided by, `full` the full
/// scale of the values.
fn chain(
    task: &Task,
    to: Option<&ToFloat>,
    own: f64,
    ending: Ending,
    full: f64,
) -> Result<Chain, Failure> {
    let half = if full == 1.0 { 0.5 } else { (full + 1.0) / 2.0 };
    let units = Units { own, full, half };
    let mut layers: Vec<Layer> = Vec::new();
    let mut form = task.form;
    for (i, stage) in task.chain.iter().enumerate() {
        let last = i + 1 == task.chain.len();
        // Of a mix, or of kernels for each channel.
        let Ending { ratio, offset, abs } = ending;
        let end = if last { [task.scale * ratio, offset, ratio] } else { [1.0, 0.0, 1.0] };
        match &stage.step {
            Step::Filter(filter) => {
                let filter = match to {
                    Some(to) => to.filter(filter, form.alpha, form.channels),
                    None => filter.clone(),
                };
                if !last {
                    layers.push(filter.into());
                } else if ratio == 1.0 || !task.alpha_apart() {
                    layers.push(ending.of_filter(&filter).into());
                } else {
                    // Alpha is scaled by the ratio and no more.
                    let first = Ending { ratio: 1.0, offset: offset / ratio, abs };
                    layers.push(first.of_filter(&filter).into());
                    layers.push(scaled(form.channels, ratio)?.into());
                }
            }
            Step::Mix(mix) => layers.push(mix.layer(form, units, end)?.into()),
            Step::Depthwise(kernels) => layers.push(kernels.layer(form, to, end)?.into()),
        }
        if last && abs && stage.filter().is_none() {
            layers.push(Filter::new(Kernel::identity()).abs().into());
        }
        form = stage.form(form)?;
    }
    let mut layers = layers.into_iter();
    let first = layers.next().ok_or_else(|| Failure::usage("there is no --kernel"))?;
    let mut chain = Chain::new(first).threads(task.threads);
    for layer in layers {
        chain = chain.then(layer)?;
    }
    Ok(match task.level {
        Some(level) => chain.level(level),
        None => chain,
    })
}

/// All channels times a factor.
fn scaled(channels: usize, factor: f64) -> Result<Pointwise, Failure> {
    let places = 0..channels * channels;
    let matrix = places.map(|i| if i % (channels + 1) == 0 { factor as f32 } else { 0.0 });
    Ok(Pointwise::from_keras(&matrix.collect::<Vec<_>>(), [1, 1, channels, channels])?)
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
        if task.explain && task.linear {
            report.explanation = "f32 samples of linear light, rounded once\n".to_owned();
        }
        Self { task, report, milliseconds: 0.0 }
    }

    /// Plans one filter, runs it, and says about it what the task asks for.
    fn filter<I: Source, O: Sample>(
        &mut self,
        name: &str,
        filter: Filter,
        view: View<'_, I>,
    ) -> Result<Image<O>, Failure> {
        let plan: Plan<I, O> = filter.plan(view.shape())?;
        let kernel = KernelPart::new(name, &filter.kernels()[0], plan.stages()[0].separations);
        self.report.work = Some(Work::One(StagePart { kernel, plan: PlanPart::new(&plan) }));
        if self.task.explain {
            self.report.explanation += &explain(name, &filter, &plan);
        }
        let mut image = Image::<O>::new(plan.output_shape())?;
        let mut workspace = Workspace::new();
        let start = Instant::now();
        plan.run(view, image.view_mut(), &mut workspace)?;
        self.milliseconds += start.elapsed().as_secs_f64() * 1e3;
        if self.task.verify {
            self.report.verify = Some(verify(&plan, &filter, view, image.view())?);
        }
        if let Some(runs) = self.task.bench {
            let out = image.view_mut();
            let part = bench(&plan, &filter, view, out, workspace, runs, self.task.naive)?;
            self.report.bench = Some(part);
        }
        Ok(image)
    }

    /// The same for a chain.
    fn chain<I: Source, O: Sample>(
        &mut self,
        chain: &Chain,
        view: View<'_, I>,
    ) -> Result<Image<O>, Failure> {
        let plan: Plan<I, O> = chain.plan(view.shape())?;
        let stages = &self.task.chain;
        let part = ChainPart::new(stages, self.task.form, PlanPart::new(&plan))?;
        self.report.work = Some(Work::Chain(part));
        if self.task.explain {
            self.report.explanation += &explain_chain(stages, &plan);
        }
        let mut image = Image::<O>::new(plan.output_shape())?;
        let mut workspace = Workspace::new();
        let start = Instant::now();
        plan.run(view, image.view_mut(), &mut workspace)?;
        self.milliseconds += start.elapsed().as_secs_f64() * 1e3;
        if self.task.verify {
            let alpha = self.task.result()?.alpha;
            self.report.verify = Some(verify_chain(&plan, view, image.view(), alpha)?);
        }
        if let Some(runs) = self.task.bench {
            let out = image.view_mut();
            self.report.bench =
                Some(bench_chain(&plan, view, out, workspace, runs, self.task.naive)?);
        }
        Ok(image)
    }

    /// Filters once more, without rounding, and counts what does not fit the samples.
    fn clipping<O: Store>(
        &mut self,
        again: impl FnOnce(&mut Workspace) -> Result<Image<f32>, twopass::Error>,
    ) -> Result<(), Failure> {
        if !self.task.explain || O::TYPE == SampleType::F32 {
            return Ok(());
        }
        let image = again(&mut Workspace::new())?;
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
    let magnitude = |s: &Stage| s.filter().is_some_and(|f| f.get_post() == Post::Magnitude);
    let from = chain.iter().rposition(magnitude).map_or(0, |i| i + 1);
    let zero_sum = |s: &Stage| match &s.step {
        Step::Filter(filter) => filter.kernels().iter().all(Kernel::is_zero_sum),
        Step::Depthwise(own) => own.kernels.iter().all(|(_, k)| k.is_zero_sum()),
        Step::Mix(_) => false,
    };
    if unsigned && !offset_given && chain[from..].iter().any(zero_sum) {
        Range::Abs
    } else {
        Range::Clamp
    }
}
