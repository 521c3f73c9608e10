//! The work itself, once types are known: plan, run, explain, verify, time, and bring the result
//! into the samples of the output.
//!
//! A single kernel goes from the input's samples to the output's in the plan of its filter, and
//! everything else in the plan of a chain: nothing is rounded between stages. `log` runs plans and notes what is found
//! out on the way, the library's `Mapping` makes samples of floats, `blend` puts results beside what is not filtered.

use super::blend;
use super::channels::convert;
use super::failure::Failure;
use super::kernel::{Stage, Step};
use super::log::Log;
use super::mix::{Form, Units};
use super::pixels::{Buffer, Store};
use super::report::Report;
use super::request::{Operation, Request, Threshold};
use std::time::Instant;
use twopass::{
    Border, Chain, Ending, Filter, Image, Kernel, Layer, MappedPlan, Mapping, Plan, Pointwise,
    Post, Range, Rect, Sample, SampleType, Shape, Source, View, Workspace, light,
};

/// What was done.
pub struct Done {
    pub buffer: Buffer,
    pub report: Report,
    pub warnings: Vec<String>,
    /// Time of the filter alone.
    pub milliseconds: f64,
}

/// Does the request with an output of type `out`.
pub fn run<I: Store>(
    request: &Request,
    view: View<'_, I>,
    out: SampleType,
) -> Result<Done, Failure> {
    match out {
        SampleType::U8 => run_to::<I, u8>(request, view),
        SampleType::U16 => run_to::<I, u16>(request, view),
        _ => run_to::<I, f32>(request, view),
    }
}

fn run_to<I: Store, O: Store>(request: &Request, view: View<'_, I>) -> Result<Done, Failure> {
    let mut log = Log::new::<I>(request, view.shape());
    let way = Way::new::<I, O>(request)?;
    let operation = Operation::new(request, &way)?;
    let mut image: Image<O> = if way.ending.direct {
        let image = log.run(&operation, &operation.plan::<I, O>(view.shape())?, view)?;
        log.clipping(&operation, view, &image)?;
        image
    } else if request.linear {
        let plan = operation.plan::<f32, f32>(view.shape())?;
        let mapped = way.around(&plan)?;
        if request.waits() {
            let start = Instant::now();
            let light = mapped.decode(view)?;
            log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
            whole(&way, &operation, &plan, &mapped, light.view(), &mut log)?
        } else {
            in_bands(&operation, &mapped, view, &mut log)?
        }
    } else {
        let plan = operation.plan::<I, f32>(view.shape())?;
        let mapped = way.around(&plan)?;
        if request.waits() {
            whole(&way, &operation, &plan, &mapped, view, &mut log)?
        } else {
            in_bands(&operation, &mapped, view, &mut log)?
        }
    };
    // The pixel of the input under the result's first one.
    let (mut x, mut y) = request.origin();
    let part = log.part;
    (x, y) = (x + part.x, y + part.y);
    if let Some(selection) = &request.channels {
        selection.restore(&mut image, view, (x, y), request.form.alpha, request.linear);
    }
    if let Some(mask) = &request.mask {
        blend::by(
            (mask, request.orientation),
            &mut image,
            view,
            (x, y),
            request.form.alpha,
            request.linear,
        )?;
    }
    if part != log.whole.rect() {
        image = placed(image, part, log.whole, view, request)?;
    }
    let Log { report, warnings, milliseconds, .. } = log;
    Ok(Done { buffer: O::wrap(image), report, warnings, milliseconds })
}

/// The whole output: the result at its place, the source around it.
fn placed<I: Source, O: Sample>(
    part: Image<O>,
    place: Rect,
    whole: Shape,
    source: View<'_, I>,
    request: &Request,
) -> Result<Image<O>, Failure> {
    let convert = convert::<I, O>(request.linear);
    let (alpha, origin) = (request.form.alpha, request.origin());
    let mut image = Image::<O>::new(whole)?;
    let mut out = image.view_mut();
    for y in 0..whole.height {
        let from = &source.row(y + origin.1)[origin.0 * whole.channels..];
        let row = out.row_mut(y);
        for (i, (out, from)) in row.iter_mut().zip(from).enumerate() {
            *out = convert(from.to_f64(), alpha && (i + 1) % whole.channels == 0);
        }
        if let Some(y) = y.checked_sub(place.y).filter(|y| *y < place.height) {
            let to = &mut row[place.x * whole.channels..][..place.width * whole.channels];
            to.copy_from_slice(part.view().row(y));
        }
    }
    Ok(image)
}

/// Results that are mapped, where all of them have to be there before; of values `J`.
fn whole<J: Source, I: Source, O: Store>(
    way: &Way,
    operation: &Operation<'_>,
    plan: &Plan<J, f32>,
    mapped: &MappedPlan<I, O>,
    values: View<'_, J>,
    log: &mut Log<'_>,
) -> Result<Image<O>, Failure> {
    let mut results = log.run(operation, plan, values)?;
    let start = Instant::now();
    if let Some(threshold) = &log.request.threshold {
        let (x, y) = log.request.origin();
        let origin = (x + log.part.x, y + log.part.y);
        // What the user gave in units of the samples, in those of the values.
        threshold.keep(&mut results, values, origin, log.request, way.own);
    }
    let mut image = Image::new(results.shape())?;
    let clipping = mapped.encode(results.view(), image.view_mut())?;
    log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
    log.clipped::<O>(&clipping);
    Ok(image)
}

/// Results that are mapped as they are made.
fn in_bands<I: Source, O: Store>(
    operation: &Operation<'_>,
    mapped: &MappedPlan<I, O>,
    view: View<'_, I>,
    log: &mut Log<'_>,
) -> Result<Image<O>, Failure> {
    log.planned(operation, mapped.plan())?;
    log.place(mapped.output_shape())?;
    let part = log.part;
    let start = Instant::now();
    let mut image = Image::new(Shape { width: part.width, height: part.height, ..log.whole })?;
    let clipping = mapped.run_region(view, part, image.view_mut(), &mut Workspace::new())?;
    log.milliseconds += start.elapsed().as_secs_f64() * 1e3;
    if let Some(clipping) = clipping {
        log.clipped::<O>(&clipping);
    }
    Ok(image)
}

/// Plans the request for pictures of this shape, and explains the plan; nothing is filtered.
pub fn plan<I: Source>(
    request: &Request,
    shape: Shape,
    out: SampleType,
) -> Result<Report, Failure> {
    match out {
        SampleType::U8 => plan_to::<I, u8>(request, shape),
        SampleType::U16 => plan_to::<I, u16>(request, shape),
        _ => plan_to::<I, f32>(request, shape),
    }
}

fn plan_to<I: Source, O: Store>(request: &Request, shape: Shape) -> Result<Report, Failure> {
    let mut log = Log::new::<I>(request, shape);
    let way = Way::new::<I, O>(request)?;
    let operation = Operation::new(request, &way)?;
    match (request.linear, way.ending.direct) {
        (true, _) => log.planned(&operation, &*operation.plan::<f32, f32>(shape)?)?,
        (false, true) => log.planned(&operation, &*operation.plan::<I, O>(shape)?)?,
        (false, false) => log.planned(&operation, &*operation.plan::<I, f32>(shape)?)?,
    }
    Ok(log.report)
}

/// How the samples of the input become values, and results samples of the output.
struct Way {
    mapping: Mapping,
    /// What the last stage does so that results are those of the output's samples.
    ending: Ending,
    /// What the user's numbers are divided by.
    own: f64,
    /// The full scale of the values.
    full: f64,
    border: fn(&Mapping, &Border, usize, bool) -> Border,
}

impl Way {
    fn new<I: Source, O: Store>(request: &Request) -> Result<Self, Failure> {
        let mut mapping = Mapping::new().range(request.range);
        mapping = mapping.alpha(request.form.alpha, request.result()?.alpha);
        if request.linear {
            mapping = mapping.linear();
        }
        if let Some(selection) = &request.channels {
            mapping = mapping.channels(selection.chosen());
        }
        let single = request.chain.len() == 1 && request.chain[0].filter().is_some();
        let folds = O::FULL == I::FULL || !single || !request.alpha_apart();
        // Results that are compared with the picture are floats.
        let direct = folds && request.threshold.is_none();
        let ending = mapping.ending::<I, O>(request.given_offset(), direct);
        let (own, full) = if request.linear { (I::FULL, 1.0) } else { (1.0, I::FULL) };
        Ok(Self { mapping, ending, own, full, border: Mapping::border::<I> })
    }

    fn around<J: Source, I: Source, O: Store>(
        &self,
        plan: &Plan<J, f32>,
    ) -> Result<MappedPlan<I, O>, Failure> {
        Ok(self.mapping.around(plan.clone().into_any(), &self.ending)?)
    }

    fn border(&self, border: &Border, form: Form) -> Border {
        (self.border)(&self.mapping, border, form.channels, form.alpha)
    }

    fn filter(&self, filter: &Filter, form: Form) -> Filter {
        let (x, y) = filter.get_borders();
        filter.clone().borders(self.border(x, form), self.border(y, form))
    }
}

impl<'a> Operation<'a> {
    fn new(request: &'a Request, way: &Way) -> Result<Self, Failure> {
        if let [Stage { name, step: Step::Filter(filter) }] = request.chain.as_slice() {
            let filter = way.ending.of_filter(&way.filter(filter, request.form));
            return Ok(Self::One(name, Box::new(filter)));
        }
        chain(request, way).map(Self::Chain)
    }
}

impl Threshold {
    /// Puts the picture's own samples where it differs too little from its blur. In linear light differences are
    /// judged as they are seen, encoded.
    fn keep<I: Source>(
        &self,
        image: &mut Image<f32>,
        view: View<'_, I>,
        origin: (usize, usize),
        request: &Request,
        own: f64,
    ) {
        let shape = image.shape();
        let encoded = request.linear && own != 1.0;
        let seen = |v: f64| if encoded { light::encode(v) * own } else { v };
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

/// The layers that the stages are.
fn chain(request: &Request, way: &Way) -> Result<Chain, Failure> {
    let Way { own, full, ending, .. } = *way;
    let half = if full == 1.0 { 0.5 } else { (full + 1.0) / 2.0 };
    let units = Units { own, full, half };
    let mut layers: Vec<Layer> = Vec::new();
    let mut form = request.form;
    for (i, stage) in request.chain.iter().enumerate() {
        let last = i + 1 == request.chain.len();
        // Of a mix, or of kernels for each channel.
        let Ending { scale: ratio, offset, abs, .. } = ending;
        let end = if last { [request.scale * ratio, offset, ratio] } else { [1.0, 0.0, 1.0] };
        match &stage.step {
            Step::Filter(filter) => {
                let filter = way.filter(filter, form);
                if !last {
                    layers.push(filter.into());
                } else if ratio == 1.0 || !request.alpha_apart() {
                    layers.push(ending.of_filter(&filter).into());
                } else {
                    // Alpha is scaled by the ratio and no more.
                    let first = filter.offset(offset / ratio);
                    layers.push(if abs { first.abs() } else { first }.into());
                    layers.push(scaled(form.channels, ratio)?.into());
                }
            }
            Step::Mix(mix) => layers.push(mix.layer(form, units, end)?.into()),
            Step::Depthwise(kernels) => {
                layers.push(kernels.layer(form, |b| way.border(b, form), end)?.into())
            }
        }
        if last && abs && stage.filter().is_none() {
            layers.push(Filter::new(Kernel::identity()).abs().into());
        }
        form = stage.form(form)?;
    }
    let mut layers = layers.into_iter();
    let first = layers.next().ok_or_else(|| Failure::usage("there is no --kernel"))?;
    let mut chain = Chain::new(first).threads(request.threads);
    for layer in layers {
        chain = chain.then(layer)?;
    }
    Ok(match request.level {
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
