//! Runs plans, and notes what is found out on the way: what is explained, verified, timed and cut off.

use super::bench::{bench, bench_chain};
use super::clip;
use super::explain::{explain, explain_chain};
use super::failure::Failure;
use super::pixels::Store;
use super::report::{ChainPart, InputPart, KernelPart, PlanPart, Report, StagePart, StepsPart};
use super::request::{Operation, Request};
use super::verify::{verify, verify_chain};
use std::time::Instant;
use twopass::{
    AnyPlan, Clipping, Image, Plan, Rect, Sample, SampleType, Shape, Source, View, Workspace,
};

/// The share of samples cut off from which on it is said; and for derivatives that are shown by their magnitude, whose
/// strong edges always are.
const NOTICED: f64 = 0.05;
const NOTICED_EDGES: f64 = 0.5;
/// Rows that are looked at to find that out, in so many places.
const PLACES: usize = 16;
const ROWS: usize = 4;

/// What is found out on the way.
pub struct Log<'a> {
    pub request: &'a Request,
    pub report: Report,
    pub warnings: Vec<String>,
    pub milliseconds: f64,
    /// The shape of the output, and what of it was computed.
    pub whole: Shape,
    pub part: Rect,
}

impl<'a> Log<'a> {
    pub fn new<I: Source>(request: &'a Request, shape: Shape) -> Self {
        let mut report = Report::new(InputPart {
            path: request.path.clone(),
            width: shape.width,
            height: shape.height,
            channels: shape.channels,
            sample: I::TYPE.to_string(),
        });
        if request.explain && request.linear {
            report.explanation = "f32 samples of linear light, rounded once\n".to_owned();
        }
        Self {
            request,
            report,
            warnings: Vec::new(),
            milliseconds: 0.0,
            whole: shape,
            part: shape.rect(),
        }
    }

    /// Says about a plan what the request asks for.
    pub fn planned(&mut self, operation: &Operation<'_>, plan: &AnyPlan) -> Result<(), Failure> {
        let part = PlanPart::new(plan);
        let stages = &self.request.chain;
        let (done, text) = match operation {
            Operation::One(name, filter) => {
                let separations = plan.stages()[0].separations;
                let kernel = KernelPart::new(name, &filter.kernels()[0], separations);
                let text = || explain(name, filter, plan, self.request.terms);
                (StepsPart::One(StagePart { kernel, plan: part }), self.request.explain.then(text))
            }
            Operation::Chain(_) => {
                let text = || explain_chain(stages, plan, self.request.terms);
                let part = ChainPart::new(stages, self.request.form, part)?;
                (StepsPart::Chain(part), self.request.explain.then(text))
            }
        };
        self.report.work = Some(done);
        self.report.explanation += &text.unwrap_or_default();
        Ok(())
    }

    /// Notes the shape of the output, and what of it is to be computed.
    pub fn place(&mut self, whole: Shape) -> Result<(), Failure> {
        self.whole = whole;
        self.part = match self.request.region {
            Some(region) => inside(region, whole)?,
            None => whole.rect(),
        };
        Ok(())
    }

    /// Runs a plan of the operation, verified and timed if that is asked for. The image is that of the part that the request
    /// is about.
    pub fn run<I: Source, O: Store>(
        &mut self,
        operation: &Operation<'_>,
        plan: &Plan<I, O>,
        view: View<'_, I>,
    ) -> Result<Image<O>, Failure> {
        self.planned(operation, plan)?;
        let request = self.request;
        self.place(plan.output_shape())?;
        let all = request.verify || request.bench.is_some();
        let rect = if all { self.whole.rect() } else { self.part };
        let size = Shape { width: rect.width, height: rect.height, ..self.whole };
        let mut image = O::image(size)?;
        let mut workspace = Workspace::new();
        let start = Instant::now();
        let needed = plan.input_region(rect)?;
        let (origin, source) = ((needed.x, needed.y), view.crop(needed)?);
        plan.run_region(source, origin, rect, image.view_mut(), &mut workspace)?;
        self.milliseconds += start.elapsed().as_secs_f64() * 1e3;
        if request.verify {
            self.report.verify = Some(match operation {
                Operation::One(_, filter) => verify(plan, filter, view, image.view())?,
                Operation::Chain(_) => {
                    verify_chain(plan, view, image.view(), request.result()?.alpha)?
                }
            });
        }
        if let Some(runs) = request.bench {
            let out = image.view_mut();
            self.report.bench = Some(match operation {
                Operation::One(_, filter) => {
                    bench(plan, filter, view, out, workspace, runs, request.naive)?
                }
                Operation::Chain(_) => {
                    bench_chain(plan, view, out, workspace, runs, request.naive)?
                }
            });
        }
        if rect == self.part {
            return Ok(image);
        }
        Ok(image.view().crop(self.part)?.to_image()?)
    }

    /// Filters again, without rounding, to count what did not fit the samples: all of it where that is to be explained,
    /// some rows where many results stand at an end of the range.
    pub fn clipping<I: Source, O: Store>(
        &mut self,
        operation: &Operation<'_>,
        view: View<'_, I>,
        image: &Image<O>,
    ) -> Result<(), Failure> {
        let all = self.request.explain;
        let suspicious = || self.request.warns && self.request.may_clip() && ends(image) > NOTICED;
        if O::TYPE == SampleType::F32 || !all && !suspicious() {
            return Ok(());
        }
        let plan: Plan<I, f32> = operation.plan(view.shape())?;
        let (part, mut workspace) = (self.part, Workspace::new());
        let mut clipping = Clipping::new::<O>(self.whole.channels);
        let (places, rows) = if all { (1, part.height) } else { (PLACES, ROWS.min(part.height)) };
        for i in 0..places {
            let y = part.y + i * (part.height - rows) / (places - 1).max(1);
            let rect = Rect::new(part.x, y, part.width, rows);
            let needed = plan.input_region(rect)?;
            let mut out = Image::new(Shape { width: rect.width, height: rows, ..self.whole })?;
            let (origin, source) = ((needed.x, needed.y), view.crop(needed)?);
            plan.run_region(source, origin, rect, out.view_mut(), &mut workspace)?;
            for (i, &v) in out.data().iter().enumerate() {
                clipping.count(i % self.whole.channels, v.into());
            }
        }
        self.tell::<O>(&clipping, (places * rows * part.width) as u64);
        Ok(())
    }

    /// The same where it was counted on the way to the samples.
    pub fn clipped<O: Store>(&mut self, clipping: &Clipping) {
        if O::TYPE != SampleType::F32 {
            self.tell::<O>(clipping, (self.part.width * self.part.height) as u64);
        }
    }

    /// What was cut off of so many pixels.
    fn tell<O: Store>(&mut self, clipping: &Clipping, pixels: u64) {
        let selection = self.request.channels.as_ref();
        let filtered = |c: usize| selection.is_none_or(|s| s.has(c));
        if self.request.explain {
            let parts = clip::parts(clipping, filtered);
            self.report.explanation += &clip::text(&parts);
            self.report.clipping = Some(parts);
        }
        let (below, above) = clip::sum(clipping, filtered);
        let samples = pixels * (0..self.whole.channels).filter(|c| filtered(*c)).count() as u64;
        let share = (below + above) as f64 / samples.max(1) as f64;
        let edges = self.request.shows_edges();
        if self.request.warns && share > if edges { NOTICED_EDGES } else { NOTICED } {
            let side = if above >= below { "above full scale" } else { "below 0" };
            let name =
                self.request.path.as_ref().map_or_else(String::new, |path| format!("{path}: "));
            self.warnings.push(format!(
                "warning: {name}{:.0} % of the samples are cut off {side}; {}",
                100.0 * share,
                self.request.advice(above >= below)
            ));
        }
    }
}

/// The share of an image's samples that are the smallest or the largest; of some rows.
fn ends<O: Sample>(image: &Image<O>) -> f64 {
    let (zero, full) = (O::from_f64(0.0), O::from_f64(O::FULL));
    let view = image.view();
    let rows: Vec<_> =
        (0..image.shape().height).step_by((image.shape().height / 256).max(1)).collect();
    let count = |y: &usize| view.row(*y).iter().filter(|v| **v == zero || **v == full).count();
    let samples = (rows.len() * image.shape().row()).max(1);
    rows.iter().map(count).sum::<usize>() as f64 / samples as f64
}

/// What of a region is inside of a picture.
fn inside(region: Rect, shape: Shape) -> Result<Rect, Failure> {
    let Rect { x, y, width, height } = region;
    let (width, height) =
        (width.min(shape.width.saturating_sub(x)), height.min(shape.height.saturating_sub(y)));
    if width == 0 || height == 0 {
        return Err(Failure::usage(format!(
            "the region {x},{y},{},{} is outside of the picture, which has {}×{} pixels",
            region.width, region.height, shape.width, shape.height
        )));
    }
    Ok(Rect::new(x, y, width, height))
}
