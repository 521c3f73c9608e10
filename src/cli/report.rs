//! What the program says about its work: the JSON object, the explanation for people, and the
//! line that names the written file.

use super::clip::ClippingPart;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;
use twopass::{Filter, Kernel, Plan, Post, Sample, Separation, Shape, Source};

/// Everything that was found out, in the shape of `--json`. Absent parts are left out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// With several inputs: what became of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    pub input: InputPart,
    /// One kernel and its plan are members of the object itself, those of a chain are in a list.
    #[serde(flatten, serialize_with = "stages")]
    pub stages: Vec<StagePart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bench: Option<BenchPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipping: Option<Vec<ClippingPart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
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

/// One step of a chain.
#[derive(Debug, Serialize)]
pub struct StagePart {
    pub kernel: KernelPart,
    pub plan: PlanPart,
}

fn stages<S: Serializer>(stages: &[StagePart], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Chain<'a> {
        chain: &'a [StagePart],
    }
    match stages {
        [one] => one.serialize(to),
        chain => Chain { chain }.serialize(to),
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

impl Report {
    pub fn new(input: InputPart) -> Self {
        Self {
            status: None,
            input,
            stages: Vec::new(),
            verify: None,
            bench: None,
            clipping: None,
            output: None,
            times: Times::default(),
            explanation: String::new(),
        }
    }

    /// Adds what was found about a stage to what was found about those before it.
    pub fn add_verify(&mut self, part: VerifyPart) {
        self.verify = Some(match self.verify.take() {
            Some(before) => VerifyPart {
                max_error: before.max_error.max(part.max_error),
                mean_error: before.mean_error.max(part.mean_error),
                text: format!("{}\nverify: {}", before.text, part.text),
            },
            None => part,
        });
    }

    /// How it was done, in a few words.
    pub fn summary(&self) -> String {
        self.stages.iter().map(|s| s.plan.summary()).collect::<Vec<_>>().join("; then ")
    }
}

#[derive(Debug, Serialize)]
pub struct InputPart {
    pub path: String,
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

#[derive(Debug, Serialize)]
pub struct PlanPart {
    pub method: String,
    pub level: String,
    pub threads: usize,
    pub stages: Vec<String>,
    pub multiplications_per_pixel: usize,
    pub naive_multiplications_per_pixel: usize,
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

impl BenchPart {
    /// The times of two stages that run one after the other.
    pub fn and(self, next: Self) -> Self {
        let naive = self.naive_min_ms.zip(next.naive_min_ms).map(|(a, b)| a + b);
        let min_ms = self.min_ms + next.min_ms;
        Self {
            runs: self.runs,
            min_ms,
            median_ms: self.median_ms + next.median_ms,
            naive_min_ms: naive,
            speedup: naive.map(|naive| naive / min_ms),
        }
    }
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
    pub fn new<I: Source, O: Sample>(plan: &Plan<I, O>) -> Self {
        Self {
            method: plan.method().to_string(),
            level: plan.level().to_string(),
            threads: plan.threads(),
            stages: plan.stages(),
            multiplications_per_pixel: plan.multiplications_per_pixel(),
            naive_multiplications_per_pixel: plan.naive_multiplications_per_pixel(),
        }
    }

    /// How it was done, in a few words.
    pub fn summary(&self) -> String {
        let (done, naive) = (self.multiplications_per_pixel, self.naive_multiplications_per_pixel);
        let instead = if done == naive { String::new() } else { format!(" instead of {naive}") };
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        format!(
            "{}, {done} multiplications per sample{instead}, {}, {} {threads}",
            self.method, self.level, self.threads
        )
    }
}

/// The kernel, its factors and the plan, for people.
pub fn explain<I: Source, O: Sample>(name: &str, filter: &Filter, plan: &Plan<I, O>) -> String {
    let mut out = String::new();
    let separations = plan.separations();
    for (i, (kernel, separation)) in filter.kernels().iter().zip(separations).enumerate() {
        let part = match (filter.get_post(), i) {
            (Post::Magnitude, 0) => " (x)",
            (Post::Magnitude, _) => " (y)",
            _ => "",
        };
        let (sum, magnitudes) = (number(kernel.sum()), number(kernel.abs_sum()));
        line(&mut out, "name", &format!("{name}{part}, sum {sum}, sum of magnitudes {magnitudes}"));
        factors(separation, &mut out);
    }
    out.push_str(plan.to_string().trim_end());
    out.push('\n');
    out
}

/// A line under the plan's own, with its label in the same column.
fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "{:16} {text}", format!("{label}:"));
}

fn factors(separation: &Separation, out: &mut String) {
    let rank = separation.rank();
    // A long kernel's factors tell nobody anything.
    let short = |t: &twopass::Term| t.column.len() <= 16 && t.row.len() <= 16;
    if let Some(term) = separation.terms().first().filter(|t| rank == 1 && short(t)) {
        let list = |v: &[f64]| v.iter().map(|x| number(*x)).collect::<Vec<_>>().join(" ");
        line(out, "factors", &format!("[{}]ᵀ · [{}]", list(&term.column), list(&term.row)));
    }
    if rank > 1 {
        let terms = separation.terms().len().min(8);
        let bounds: Vec<_> =
            (1..=terms).map(|r| format!("{} after {r}", number(separation.residual(r)))).collect();
        line(out, "error by terms", &format!("{} (per unit of input range)", bounds.join(", ")));
    }
}

/// At most six significant digits, and no more than the number has.
pub fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e9).contains(&x.abs()) {
        return format!("{x:.3e}");
    }
    let digits = (5 - x.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `1200×800 RGB u8`.
pub fn describe(shape: Shape, sample: impl std::fmt::Display) -> String {
    let kind = match shape.channels {
        1 => "grey",
        2 => "grey+alpha",
        3 => "RGB",
        _ => "RGBA",
    };
    format!("{}×{} {kind} {sample}", shape.width, shape.height)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, -2.0, 0.1, 1.0 / 3.0, 1234.5678, 1e-9, 1e300].map(number);
        assert_eq!(texts, ["0", "1", "-2", "0.1", "0.333333", "1234.57", "1.000e-9", "1.000e300"]);
    }
}
