//! What the program says about its work: the JSON object, and the line that names the written file. (`explain` has the
//! explanation for people.)

use super::clip::ClippingPart;
use super::failure::Failure;
use super::kernel::{Stage, Step};
use super::mix::Form;
use super::together::Together;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use twopass::{AnyPlan, Kernel, Operations, Separation};

/// Everything that was found out, in the shape of `--json`. Absent parts are left out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// With several inputs: what became of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    pub input: InputPart,
    /// Its parts are members of the object itself.
    #[serde(flatten)]
    pub work: Option<StepsPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bench: Option<BenchPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipping: Option<Vec<ClippingPart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Of an animation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// What of the input is not in the output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    pub times: Times,
    /// The explanation for people.
    #[serde(skip)]
    pub explanation: String,
}

/// Where the time of one file went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Times {
    /// Reading and decoding the input.
    pub decode_ms: f64,
    /// Filtering alone, without planning.
    pub filter_ms: f64,
    /// Encoding everything that was written.
    pub encode_ms: f64,
    pub write_ms: f64,
}

impl Times {
    /// Does some work, and adds its time to one of the four.
    pub fn of<T>(sum: &mut f64, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        *sum += start.elapsed().as_secs_f64() * 1e3;
        done
    }
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum StepsPart {
    One(StagePart),
    Chain(ChainPart),
}

/// A single kernel.
#[derive(Debug, Serialize)]
pub struct StagePart {
    pub kernel: KernelPart,
    pub plan: PlanPart,
}

/// Several stages, or one that is no kernel for all channels.
#[derive(Debug, Serialize)]
pub struct ChainPart {
    pub chain: Vec<LinkPart>,
    /// The one kernel that all of them are, where they are kernels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<Together>,
    pub plan: PlanPart,
}

/// A stage of a chain.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkPart {
    Kernel(KernelPart),
    Depthwise(Vec<KernelPart>),
    Mix(MixPart),
}

#[derive(Debug, Serialize)]
pub struct MixPart {
    pub name: String,
    /// Channels, with an alpha channel that is carried along.
    pub inputs: usize,
    pub outputs: usize,
}

impl ChainPart {
    pub fn new(stages: &[Stage], form: Form, plan: PlanPart) -> Result<Self, Failure> {
        let kernel = |name: &str, kernels: &[Kernel]| {
            let separations: Vec<_> = kernels.iter().map(Separation::of).collect();
            KernelPart::new(name, &kernels[0], &separations)
        };
        let (mut form, mut chain) = (form, Vec::new());
        for stage in stages {
            let next = stage.form(form)?;
            chain.push(match &stage.step {
                Step::Filter(filter) => LinkPart::Kernel(kernel(&stage.name, filter.kernels())),
                Step::Depthwise(own) => {
                    let each = own.kernels.iter().map(|(n, k)| kernel(n, std::slice::from_ref(k)));
                    LinkPart::Depthwise(each.collect())
                }
                Step::Mix(_) => LinkPart::Mix(MixPart {
                    name: stage.name.clone(),
                    inputs: form.channels,
                    outputs: next.channels,
                }),
            });
            form = next;
        }
        Ok(Self { chain, together: Together::of(stages), plan })
    }
}

/// The object for a file that was not looked into.
pub fn brief(status: &str, input: &Path, output: Option<&Path>) -> Value {
    let mut object = json!({"status": status, "input": {"path": input.display().to_string()}});
    if let Some(output) = output {
        object["output"] = output.display().to_string().into();
    }
    object
}

/// What is said of a file that failed.
pub fn failed(input: &Path, message: &str, failure: &Failure) -> Value {
    let mut object = brief("failed", input, None);
    object["error"] = message.into();
    object["code"] = (failure.kind as u8).into();
    object
}

impl Report {
    pub fn new(input: InputPart) -> Self {
        Self {
            status: None,
            input,
            work: None,
            verify: None,
            bench: None,
            clipping: None,
            output: None,
            frames: None,
            lost: Vec::new(),
            times: Times::default(),
            explanation: String::new(),
        }
    }

    /// How it was done, in a few words.
    pub fn summary(&self) -> String {
        match &self.work {
            Some(StepsPart::One(stage)) => stage.plan.summary(),
            Some(StepsPart::Chain(part)) => part.plan.summary(),
            None => String::new(),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct InputPart {
    /// None where there is no picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub sample: String,
}

#[derive(Debug, Serialize)]
pub struct KernelPart {
    pub name: String,
    pub width: usize,
    pub height: usize,
    /// The larger one of a magnitude's two kernels.
    pub rank: usize,
    /// Of the first term alone, per unit of input range.
    pub residual: f64,
}

/// How it was done; a single kernel is a chain of one stage.
#[derive(Debug, Serialize)]
pub struct PlanPart {
    pub level: String,
    pub threads: usize,
    /// Walks over the picture.
    pub segments: usize,
    pub stages: Vec<PlanStage>,
    pub arithmetic: String,
    /// Before rounding, where it is proved: in output units, for `f32` per unit of input range.
    pub error_bound: Option<f64>,
    /// Per sample, of all stages.
    pub multiplications_per_sample: usize,
    pub naive_multiplications_per_sample: usize,
    /// As they are executed.
    pub operations_per_sample: OperationsPart,
    /// For the whole picture.
    pub multiplications: u64,
}

#[derive(Debug, Serialize)]
pub struct PlanStage {
    pub layer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    pub arithmetic: String,
    pub multiplications_per_sample: usize,
    pub operations_per_sample: OperationsPart,
}

#[derive(Debug, Serialize)]
pub struct OperationsPart {
    pub multiplications: f64,
    pub additions: f64,
}

impl From<Operations> for OperationsPart {
    fn from(operations: Operations) -> Self {
        let Operations { multiplications, additions, .. } = operations;
        Self { multiplications, additions }
    }
}

#[derive(Debug, Serialize)]
pub struct VerifyPart {
    pub max_error: f64,
    pub mean_error: f64,
    /// What the errors were allowed to be, and what was compared.
    #[serde(skip)]
    pub text: String,
}

#[derive(Debug, Serialize)]
pub struct BenchPart {
    pub runs: usize,
    pub min_ms: f64,
    pub median_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub naive_min_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speedup: Option<f64>,
}

impl KernelPart {
    pub fn new(name: &str, kernel: &Kernel, separations: &[Separation]) -> Self {
        let residual = |s: &Separation| s.residual(1);
        Self {
            name: name.to_owned(),
            width: kernel.width(),
            height: kernel.height(),
            rank: separations.iter().map(Separation::rank).max().unwrap_or(0),
            residual: separations.iter().map(residual).fold(0.0, f64::max),
        }
    }
}

impl PlanPart {
    pub fn new(plan: &AnyPlan) -> Self {
        let stages = plan.stages().into_iter().map(|stage| PlanStage {
            layer: stage.layer.to_string(),
            method: stage.method.map(|method| method.to_string()),
            arithmetic: format!("{:?}", stage.arithmetic),
            multiplications_per_sample: stage.multiplications,
            operations_per_sample: stage.operations.into(),
        });
        Self {
            level: plan.level().to_string(),
            threads: plan.workers(),
            segments: plan.segments(),
            stages: stages.collect(),
            arithmetic: plan.proof(),
            error_bound: plan.error_bound(),
            multiplications_per_sample: plan.multiplications_per_sample(),
            naive_multiplications_per_sample: plan.naive_multiplications_per_sample(),
            operations_per_sample: plan.operations_per_sample().into(),
            multiplications: plan.multiplications(),
        }
    }

    /// How it was done, in a few words.
    pub fn summary(&self) -> String {
        let how = match &self.stages[..] {
            [PlanStage { method: Some(method), .. }] => method.clone(),
            [_] => "1 stage in one plan".to_owned(),
            stages => format!("{} stages in one plan", stages.len()),
        };
        let (done, naive) =
            (self.multiplications_per_sample, self.naive_multiplications_per_sample);
        let instead = if done == naive { String::new() } else { format!(" instead of {naive}") };
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        format!(
            "{how}, {done} multiplications per sample{instead}, {}, {} {threads}",
            self.level, self.threads
        )
    }
}
