//! The work itself, once types are known: plan, run, explain, verify, time, and bring the result
//! into the samples of the output.
//!
//! A single kernel goes from the input's samples to the output's in the plan of its filter, and
//! everything else in the plan of a chain: nothing is rounded between stages. `log` runs plans and notes what is found
//! out on the way, `map` makes samples of floats, `blend` puts results beside what is not filtered.

use super::args::Range;
use super::blend::{self, Mask};
use super::channels::Selection;
use super::clip::Clipping;
use super::failure::Failure;
use super::kernel::{Stage, Step};
use super::light::ToFloat;
use super::log::Log;
use super::map::Map;
use super::mix::{Form, Units};
use super::pixels::Buffer;
use super::report::Report;
use std::sync::Arc;
use std::time::Instant;
use twopass::{
    Alpha, Chain, Filter, Image, Kernel, Layer, Level, Plan, Pointwise, Post, Rect, Sample,
    SampleType, Shape, Source, View, ViewMut, Workspace,
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
    pub path: Option<String>,
    pub range: Range,
    /// Whether it is said that many samples are clipped, and whether taps are divided by their sum already.
    pub warns: bool,
    pub normalized: bool,
    /// Whether light is made linear.
    pub linear: bool,
    /// The channels that are filtered, if not all.
    pub channels: Option<Selection>,
    /// The part of the output that is filtered, if not all.
    pub region: Option<Rect>,
    /// What the result is blended with the input by.
    pub mask: Option<Arc<Mask>>,
    pub threshold: Option<Threshold>,
    pub explain: bool,
    /// Whether terms are explained too.
    pub terms: bool,
    pub verify: bool,
    /// Runs to time.
    pub bench: Option<u32>,
    /// Whether plain 2D filtering is timed too.
    pub naive: bool,
}

/// The result stands only where the picture differs from its blur by more than that.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    /// In units of the input's samples.
    pub levels: f64,
    /// How many times the difference from the blur is added to the picture.
    pub amount: f64,
}

/// What was done.
pub struct Done {
    pub buffer: Buffer,
    pub report: Report,
    pub warnings: Vec<String>,
    /// Time of the filter alone.
    pub milliseconds: f64,
}

/// A sample that files can hold.
pub trait Store: Sample {
    fn wrap(image: Image<Self>) -> Buffer;

    /// An integer as a place in a table; not below 0. Floats have no table.
    fn code(self) -> usize;

    /// The integer of that place, if it is one.
    fn of_code(code: i32) -> Self;
}

impl Store for u8 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::U8(image)
    }

    #[inline]
    fn code(self) -> usize {
        self.into()
    }

    #[inline]
    fn of_code(code: i32) -> Self {
        code.clamp(0, 255) as u8
    }
}

impl Store for u16 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::U16(image)
    }

    #[inline]
    fn code(self) -> usize {
        self.into()
    }

    #[inline]
    fn of_code(code: i32) -> Self {
        code.clamp(0, 65535) as u16
    }
}

impl Store for f32 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::F32(image)
    }

    #[inline]
    fn code(self) -> usize {
        usize::MAX
    }

    #[inline]
    fn of_code(code: i32) -> Self {
        code as f32
    }
}

/// Does the task with an output of type `out`.
pub fn run<I: Source + Store>(
    task: &Task,
    view: View<'_, I>,
    out: SampleType,
) -> Result<Done, Failure> {
    match out {
        SampleType::U8 => run_to::<I, u8>(task, view),
        SampleType::U16 => run_to::<I, u16>(task, view),
        _ => run_to::<I, f32>(task, view),
    }
}

fn run_to<I: Source + Store, O: Store>(task: &Task, view: View<'_, I>) -> Result<Done, Failure> {
    let mut log = Log::new::<I>(task, view.shape());
    let mut image: Image<O> = if task.linear {
        let to = ToFloat::of(I::TYPE, I::FULL, true);
        match in_bands(task, &to, view, &mut log)? {
            Some(image) => image,
            None => {
                let start = Instant::now();
                let floats = to.image(view, task.form.alpha)?;
                log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
                finish(task, Some(&to), I::FULL, floats.view(), &mut log)?
            }
        }
    } else {
        finish(task, None, 1.0, view, &mut log)?
    };
    // The pixel of the input under the result's first one.
    let (mut x, mut y) = task.origin();
    let part = log.part;
    (x, y) = (x + part.x, y + part.y);
    if let Some(selection) = &task.channels {
        selection.restore(&mut image, view, (x, y), task.form.alpha, task.linear);
    }
    if let Some(mask) = &task.mask {
        blend::by(mask, &mut image, view, (x, y), task.form.alpha, task.linear)?;
    }
    if part != log.whole.rect() {
        image = blend::into(image, part, log.whole, view, task)?;
    }
    let Log { report, warnings, milliseconds, .. } = log;
    Ok(Done { buffer: O::wrap(image), report, warnings, milliseconds })
}

/// Rows of the output that are decoded, filtered and encoded together: floats that stay in the cache, in memory that
/// is used again. (Most of the time for two whole pictures of floats went into clearing their memory: 0.24 of 0.33 s
/// on one of 4K.)
const BAND: usize = 128;

/// Filters in linear light band by band. Not where all results have to be there at once, and not where a band would
/// read much more than itself.
fn in_bands<I: Source + Store, O: Store>(
    task: &Task,
    to: &ToFloat,
    view: View<'_, I>,
    log: &mut Log<'_>,
) -> Result<Option<Image<O>>, Failure> {
    let (ending, Some(map)) = way::<f32, O>(task) else { return Ok(None) };
    if map.stretch || task.threshold.is_some() || task.verify || task.bench.is_some() {
        return Ok(None);
    }
    let work = Work::new(task, Some(to), I::FULL, ending, f32::FULL)?;
    let plan: Plan<f32, f32> = work.plan(view.shape())?;
    let whole = plan.output_shape();
    let band = |y: usize| Rect::new(0, y, whole.width, BAND.min(whole.height - y));
    let middle = plan.input_region(band(whole.height / 2 / BAND * BAND))?;
    if middle.height > 2 * BAND {
        return Ok(None);
    }
    log.planned(&work, &plan)?;
    log.place(whole)?;
    let part = log.part;
    let start = Instant::now();
    let mut image = Image::<O>::new(Shape { width: part.width, height: part.height, ..whole })?;
    let (table, marks) = (to.table::<I>(), map.marks::<O>());
    let mut clipping = Clipping::new::<O>(whole.channels);
    let (mut decoded, mut workspace) = (Vec::new(), Workspace::new());
    let mut filtered = Vec::new();
    for y in (0..part.height).step_by(BAND) {
        let height = BAND.min(part.height - y);
        let rect = Rect::new(part.x, part.y + y, part.width, height);
        let needed = plan.input_region(rect)?;
        let source = view.crop(needed)?;
        decoded.resize(source.shape().samples()?, 0.0);
        to.rows(&table, source, task.form.alpha, ViewMut::new(&mut decoded, source.shape())?);
        let shape = Shape { width: part.width, height, ..whole };
        filtered.resize(shape.samples()?, 0.0);
        let floats = View::new(&decoded, source.shape())?;
        let out = ViewMut::new(&mut filtered, shape)?;
        plan.run_region(floats, (needed.x, needed.y), rect, out, &mut workspace)?;
        let out = image.view_mut().crop(Rect::new(0, y, part.width, height))?;
        map.rows(&marks, View::new(&filtered, shape)?, out, &mut clipping);
    }
    log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
    log.clipped::<O>(&clipping);
    Ok(Some(image))
}

/// Plans the task for pictures of this shape, and explains the plan; nothing is filtered.
pub fn plan<I: Source>(task: &Task, shape: Shape, out: SampleType) -> Result<Report, Failure> {
    match out {
        SampleType::U8 => plan_to::<I, u8>(task, shape),
        SampleType::U16 => plan_to::<I, u16>(task, shape),
        _ => plan_to::<I, f32>(task, shape),
    }
}

fn plan_to<I: Source, O: Store>(task: &Task, shape: Shape) -> Result<Report, Failure> {
    fn planned<I: Source, O: Store>(
        task: &Task,
        to: Option<&ToFloat>,
        own: f64,
        shape: Shape,
        log: &mut Log<'_>,
    ) -> Result<(), Failure> {
        let (ending, map) = way::<I, O>(task);
        let work = Work::new(task, to, own, ending, I::FULL)?;
        match map {
            None => log.plan::<I, O>(&work, shape).map(|_| ()),
            Some(_) => log.plan::<I, f32>(&work, shape).map(|_| ()),
        }
    }
    let mut log = Log::new::<I>(task, shape);
    if task.linear {
        let to = ToFloat::of(I::TYPE, I::FULL, true);
        planned::<f32, O>(task, Some(&to), I::FULL, shape, &mut log)?;
    } else {
        planned::<I, O>(task, None, 1.0, shape, &mut log)?;
    }
    Ok(log.report)
}

impl Task {
    /// The pixel of the input that lies under the output's first.
    pub fn origin(&self) -> (usize, usize) {
        let origins = self.chain.iter().map(Stage::origin);
        origins.fold((0, 0), |at, shift| (at.0 + shift.0, at.1 + shift.1))
    }

    /// The channels of the output.
    pub fn result(&self) -> Result<Form, Failure> {
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

/// What is planned.
pub enum Work<'a> {
    /// A filter, by its name.
    One(&'a str, Box<Filter>),
    Chain(Chain),
}

impl<'a> Work<'a> {
    fn new(
        task: &'a Task,
        to: Option<&ToFloat>,
        own: f64,
        ending: Ending,
        full: f64,
    ) -> Result<Self, Failure> {
        if let [Stage { name, step: Step::Filter(filter) }] = task.chain.as_slice() {
            let filter = ending.of_filter(filter);
            let filter = match to {
                Some(to) => to.filter(&filter, task.form.alpha, task.form.channels),
                None => filter,
            };
            return Ok(Self::One(name, Box::new(filter)));
        }
        chain(task, to, own, ending, full).map(Self::Chain)
    }

    pub fn plan<I: Source, O: Sample>(&self, shape: Shape) -> Result<Plan<I, O>, twopass::Error> {
        match self {
            Self::One(_, filter) => filter.plan(shape),
            Self::Chain(chain) => chain.plan(shape),
        }
    }
}

/// How values `I` become samples `O`: by the last stage, or by a map of `f32` results.
///
/// A change of depth is folded into the last stage, so that results are rounded once. That does not
/// work where the scale follows from the results, nor where light is to be encoded, nor where results are compared with
/// the picture, nor for a single filter that treats alpha apart (alpha is not scaled like colour): then `f32` are
/// written, which are mapped.
fn way<I: Source, O: Store>(task: &Task) -> (Ending, Option<Map<'_>>) {
    let ratio = O::FULL / I::FULL;
    let half = match O::TYPE {
        SampleType::F32 => 0.5,
        // An integer, so that integer kernels stay exact and 0 has one value in every depth.
        _ => (O::FULL + 1.0) / 2.0,
    };
    let given = task.given_offset();
    let offset = if task.range == Range::Offset { given + half } else { given };
    let abs = task.range == Range::Abs;
    let single = task.chain.len() == 1 && task.chain[0].filter().is_some();
    let stretch = task.range == Range::Stretch;
    let folds = ratio == 1.0 || !single || !task.alpha_apart();
    if !stretch && !task.linear && task.threshold.is_none() && folds {
        return (Ending { ratio, offset, abs }, None);
    }
    // An offset is in units of the output; with an encoding between, it has to wait.
    let encoded = task.linear && O::TYPE != SampleType::F32;
    let (now, later) = if encoded { (0.0, offset) } else { (offset / ratio, 0.0) };
    let alpha = task.result().is_ok_and(|form| form.alpha);
    let map = Map { ratio, offset: later, alpha, stretch, encoded, selection: &task.channels };
    (Ending { ratio: 1.0, offset: now, abs }, Some(map))
}

/// All stages, and the last one's results as the output's samples.
fn finish<I: Source, O: Store>(
    task: &Task,
    to: Option<&ToFloat>,
    own: f64,
    view: View<'_, I>,
    log: &mut Log<'_>,
) -> Result<Image<O>, Failure> {
    let (ending, map) = way::<I, O>(task);
    let work = Work::new(task, to, own, ending, I::FULL)?;
    let Some(map) = map else {
        let image = log.run::<I, O>(&work, view)?;
        log.clipping(&work, view, &image)?;
        return Ok(image);
    };
    let mut image = log.run::<I, f32>(&work, view)?;
    let start = Instant::now();
    if let Some(threshold) = &task.threshold {
        let (x, y) = task.origin();
        let origin = (x + log.part.x, y + log.part.y);
        // What the user gave in units of the samples, in those of the values.
        threshold.keep(&mut image, view, origin, task, own);
    }
    let (image, clipping) = map.image(&image)?;
    log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
    log.clipped::<O>(&clipping);
    Ok(image)
}

impl Threshold {
    /// Puts the picture's own samples where it differs too little from its blur. In linear light differences are
    /// judged as they are seen, encoded.
    fn keep<I: Source>(
        &self,
        image: &mut Image<f32>,
        view: View<'_, I>,
        origin: (usize, usize),
        task: &Task,
        own: f64,
    ) {
        let shape = image.shape();
        let encoded = task.linear && own != 1.0;
        let seen = |v: f64| if encoded { super::light::encode(v) * own } else { v };
        let mut out = image.view_mut();
        for y in 0..shape.height {
            let from = &view.row(y + origin.1)[origin.0 * shape.channels..];
            for (v, from) in out.row_mut(y).iter_mut().zip(from) {
                let here = from.to_f64();
                let blur = here - (f64::from(*v) - here) / self.amount;
                if (seen(here) - seen(blur)).abs() <= self.levels {
                    *v = here as f32;
                }
            }
        }
    }
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
