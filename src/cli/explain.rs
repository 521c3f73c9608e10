//! `--explain`: kernels, how they come apart, and the plan, in lines for people.

use super::kernel::{Stage, Step};
use super::mix::count;
use super::text::number;
use super::together::Together;
use std::fmt::Write as _;
use twopass::{AnyPlan, Filter, Kernel, Post, Separation, Term};

/// The kernel, its factors and the plan; with `terms`, what it is the sum of.
pub fn explain(name: &str, filter: &Filter, plan: &AnyPlan, terms: bool) -> String {
    let mut out = String::new();
    let stages = plan.stages();
    let separations = stages.first().map_or(&[][..], |stage| stage.separations);
    named(name, filter, separations, terms, &mut out);
    out.push_str(plan.to_string().trim_end());
    out.push('\n');
    candidates(plan, &mut out);
    out
}

/// The methods that there are, with what the choice weighs.
fn candidates(plan: &AnyPlan, out: &mut String) {
    let ours = plan.multiplications_per_sample().max(1);
    for candidate in plan.candidates() {
        let text = match &candidate.plan {
            Ok(plan) => {
                let count = plan.multiplications_per_sample();
                let bound = match plan.error_bound() {
                    Some(0.0) => "exact".to_owned(),
                    Some(bound) => format!("error at most {}", number(bound)),
                    None => "error not bounded".to_owned(),
                };
                let times = count as f64 / ours as f64;
                let why = match candidate.chosen {
                    true => "taken".to_owned(),
                    false if times < 1.0 => "fewer, but each takes longer".to_owned(),
                    false => format!("{} times as many", number((times * 10.0).round() / 10.0)),
                };
                let operations = plan.operations_per_sample();
                format!("{count} multiplications (executed: {operations}), {bound}: {why}")
            }
            Err(error) => {
                let error = error.to_string();
                error.split("; use method").next().unwrap_or_default().to_owned()
            }
        };
        line(out, "candidate", &format!("{}, {text}", candidate.method));
    }
}

/// The same for a chain.
pub fn explain_chain(stages: &[Stage], plan: &AnyPlan, terms: bool) -> String {
    let count_of = stages.len();
    let many = if count_of == 1 { "stage" } else { "stages" };
    let mut out = format!("a chain of {count_of} {many} in one plan, rounded once, at the end\n");
    for (i, stage) in stages.iter().enumerate() {
        let _ = writeln!(out, "stage {} of {count_of}:", i + 1);
        match &stage.step {
            Step::Filter(filter) => {
                let separations: Vec<_> = filter.kernels().iter().map(Separation::of).collect();
                named(&stage.name, filter, &separations, terms, &mut out);
            }
            Step::Depthwise(own) => {
                for (name, kernel) in &own.kernels {
                    let separations = [Separation::of(kernel)];
                    named(name, &Filter::new(kernel.clone()), &separations, terms, &mut out);
                }
            }
            Step::Mix(mix) => {
                let rows = mix.outputs().map_or_else(|| "each channel".to_owned(), count);
                line(&mut out, "name", &format!("{}, a mix to {rows}", stage.name));
            }
        }
    }
    if let Some(together) = Together::of(stages) {
        line(&mut out, "together", &together.to_string());
    }
    out.push_str(plan.to_string().trim_end());
    out.push('\n');
    out
}

/// The kernels of a filter and how they come apart.
fn named(name: &str, filter: &Filter, separations: &[Separation], terms: bool, out: &mut String) {
    for (i, (kernel, separation)) in filter.kernels().iter().zip(separations).enumerate() {
        let part = match (filter.get_post(), i) {
            (Post::Magnitude, 0) => " (x)",
            (Post::Magnitude, _) => " (y)",
            _ => "",
        };
        let (sum, magnitudes) = (number(kernel.sum()), number(kernel.abs_sum()));
        line(out, "name", &format!("{name}{part}, sum {sum}, sum of magnitudes {magnitudes}"));
        factors(separation, out);
        if terms {
            all_terms(kernel, out);
        }
    }
    if filter.get_scale() != 1.0 {
        line(out, "scale", &number(filter.get_scale()));
    }
}

/// A line under the plan's own, with its label in the same column.
fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "{:16} {text}", format!("{label}:"));
}

fn list(values: &[f64]) -> String {
    values.iter().map(|x| number(*x)).collect::<Vec<_>>().join(" ")
}

fn factors(separation: &Separation, out: &mut String) {
    let rank = separation.rank();
    // A long kernel's factors tell nobody anything.
    let short = |t: &Term| t.column.len() <= 16 && t.row.len() <= 16;
    if let Some(term) = separation.terms().first().filter(|t| rank == 1 && short(t)) {
        line(out, "factors", &format!("[{}]ᵀ · [{}]", list(&term.column), list(&term.row)));
    }
    if rank > 1 {
        let terms = separation.terms().len().min(8);
        let bounds: Vec<_> =
            (1..=terms).map(|r| format!("{} after {r}", number(separation.residual(r)))).collect();
        line(out, "error by terms", &format!("{} (per unit of input range)", bounds.join(", ")));
    }
}

/// The products that the kernel is the sum of: each as two passes would apply it, and as the singular vectors of length
/// 1 whose product, times the singular value, it is.
fn all_terms(kernel: &Kernel, out: &mut String) {
    // A plan may have stopped looking where it knew enough.
    let separation = Separation::of(kernel);
    let terms = separation.terms();
    if !separation.rank_known() {
        line(
            out,
            "terms",
            "the rank of a kernel of more than 256 taps a side is not known; the best single product is",
        );
    }
    for (i, term) in terms.iter().enumerate() {
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let unit = |v: &[f64]| {
            let norm = norm(v);
            list(&v.iter().map(|x| if norm > 0.0 { x / norm } else { 0.0 }).collect::<Vec<_>>())
        };
        let value = norm(&term.column) * norm(&term.row);
        let left = number(separation.residual(i + 1));
        let text = format!(
            "singular value {}, error after it {left} per unit of input range",
            number(value)
        );
        line(out, &format!("term {} of {}", i + 1, terms.len()), &text);
        line(out, "  column", &list(&term.column));
        line(out, "  row", &list(&term.row));
        line(out, "  left vector", &unit(&term.column));
        line(out, "  right vector", &unit(&term.row));
    }
}
