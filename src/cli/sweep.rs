//! `--sweep`: what separability is worth, measured: one named kernel for many values of a parameter, by plain loops, in
//! one dense pass, and in two passes; a table, and a plot.

use super::args::{Args, Sweep, Unseen, set};
use super::draw::{Anchor, BLACK, Colour, Drawing, GREY, LETTER, LINE};
use super::failure::Failure;
use super::job::Setup;
use super::kernel;
use super::text::number;
use super::{preview, print, say};
use serde::Serialize;
use std::time::Instant;
use twopass::{
    Alpha, Error, Filter, Image, Method, Sample, SampleType, Shape, Source, View, Workspace, naive,
};

/// Milliseconds that a method is given for each value, beyond one run; and what plain loops may take, if it can be told
/// from those before.
const BUDGET: f64 = 300.0;
const PLAIN: f64 = 2500.0;

/// One value of the parameter.
#[derive(Debug, Serialize)]
struct Row {
    value: f64,
    width: usize,
    height: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    naive_ms: Option<f64>,
    dense_ms: f64,
    /// Absent where the kernel is not separable.
    #[serde(skip_serializing_if = "Option::is_none")]
    separable_ms: Option<f64>,
    naive_multiplications: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    separable_multiplications: Option<usize>,
}

/// Times all values, prints each when it is known, and draws the plot.
pub fn run(setup: &Setup<'_>) -> Result<(), Failure> {
    let args = setup.args;
    let Some(sweep) = &args.sweep else { return Ok(()) };
    if args.preview {
        preview::check(false)?;
    }
    let [stage] = args.chain.as_slice() else {
        return Err(Failure::usage("--sweep is for one --kernel"));
    };
    let named = kernel::find(&stage.text)
        .map_err(|f| Failure::usage(format!("--sweep is for one named --kernel: {}", f.message)))?;
    let parameter = sweep.parameter.as_str();
    if !named.params().iter().any(|p| p.name() == parameter) {
        let takes: Vec<_> = named.params().iter().map(|p| p.name()).collect();
        return Err(Failure::usage(format!(
            "--sweep {parameter}: {} takes {}",
            named.name(),
            if takes.is_empty() { "no parameters".to_owned() } else { takes.join(", ") }
        )));
    }
    // What is wrong with a value is found before anything is timed.
    let filters: Vec<_> = filters(setup, sweep)?;
    let Unseen { shape, sample } = args.shape.unwrap_or_default();
    let title = format!("{} by {parameter}, {shape} {sample}", named.name());
    if !args.json {
        print(&head(&title, parameter))?;
    }
    let rows = match sample {
        SampleType::U8 => measured(args, sweep, &filters, noise::<u8>(shape)?.view()),
        SampleType::U16 => measured(args, sweep, &filters, noise::<u16>(shape)?.view()),
        _ => measured(args, sweep, &filters, noise::<f32>(shape)?.view()),
    }?;
    if args.json {
        let rows = serde_json::to_value(&rows).unwrap_or_default();
        let json = serde_json::json!({
            "kernel": named.name(), "parameter": parameter, "width": shape.width,
            "height": shape.height, "channels": shape.channels, "sample": sample.to_string(),
            "rows": rows,
        });
        print(&format!("{json}\n"))?;
    }
    let drawing = plot(&title, parameter, &rows);
    if let Some(path) = &args.plot {
        drawing.write(path)?;
        if !args.quiet {
            say(&format!("wrote {}", path.display()));
        }
    }
    if args.preview {
        drawing.preview()?;
    }
    Ok(())
}

/// The filter of each value.
fn filters(setup: &Setup<'_>, sweep: &Sweep) -> Result<Vec<Filter>, Failure> {
    let one = |value: &f64| {
        let mut args = setup.args.clone();
        let params = &mut args.chain[0].params;
        if !set(params, &sweep.parameter, *value) {
            return Err(Failure::usage(format!(
                "--sweep {}: {} is no value of it",
                sweep.parameter,
                number(*value)
            )));
        }
        let stages = kernel::chain(&args, &setup.files, SampleType::U8, setup.threads)?;
        let filter = stages[0].filter().cloned();
        filter.ok_or_else(|| Failure::usage("--sweep is for one --kernel"))
    };
    sweep.values.iter().map(one).collect()
}

fn measured<S: Source>(
    args: &Args,
    sweep: &Sweep,
    filters: &[Filter],
    view: View<'_, S>,
) -> Result<Vec<Row>, Failure> {
    let runs = args.bench.unwrap_or(10);
    let mut rows = Vec::new();
    // Milliseconds of plain loops for each multiplication, once known.
    let mut plain_cost = 0.5e-6;
    for (value, filter) in sweep.values.iter().zip(filters) {
        let filter = filter.clone().alpha(Alpha::Plain);
        let dense = filter.clone().method(Method::Dense).plan::<S, S>(view.shape())?;
        let separable = match filter.clone().method(Method::Separable).plan::<S, S>(view.shape()) {
            Ok(plan) => Some(plan),
            Err(Error::NotSeparable { .. }) => None,
            Err(e) => return Err(e.into()),
        };
        let mut out = Image::<S>::new(dense.output_shape())?;
        let mut workspace = Workspace::new();
        let multiplications = dense.multiplications() as f64;
        let plain = !args.no_naive && plain_cost * multiplications < PLAIN;
        let naive_ms = plain.then(|| fastest(1, || naive::filter(&filter, view, out.view_mut())));
        let naive_ms = naive_ms.transpose()?;
        if let Some(ms) = naive_ms {
            plain_cost = ms / multiplications.max(1.0);
        }
        let dense_ms = fastest(runs, || dense.run(view, out.view_mut(), &mut workspace))?;
        let separable_ms = separable
            .as_ref()
            .map(|plan| fastest(runs, || plan.run(view, out.view_mut(), &mut workspace)));
        let kernel = &filter.kernels()[0];
        let row = Row {
            value: *value,
            width: kernel.width(),
            height: kernel.height(),
            naive_ms,
            dense_ms,
            separable_ms: separable_ms.transpose()?,
            naive_multiplications: dense.naive_multiplications_per_sample(),
            separable_multiplications: separable.map(|plan| plan.multiplications_per_sample()),
        };
        if !args.json {
            print(&line(&sweep.parameter, &row))?;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Milliseconds of the fastest of some runs: as many as asked for, or as fit the budget.
fn fastest(runs: u32, mut run: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let (mut best, begin) = (f64::INFINITY, Instant::now());
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
        if begin.elapsed().as_secs_f64() * 1e3 > BUDGET {
            break;
        }
    }
    Ok(best)
}

/// Columns of the values.
fn wide(parameter: &str) -> usize {
    parameter.len().max(6)
}

fn head(title: &str, parameter: &str) -> String {
    format!(
        "{title}: milliseconds, and multiplications per sample\n\
         {parameter:>wide$}  {:>9}  {:>9}  {:>9}  {:>10}  {:>7}  {:>10}\n",
        "taps",
        "2D plain",
        "dense",
        "two passes",
        "2D",
        "two passes",
        wide = wide(parameter)
    )
}

fn line(parameter: &str, row: &Row) -> String {
    let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
    let count = |n: Option<usize>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    format!(
        "{:>wide$}  {:>9}  {:>9}  {:>9}  {:>10}  {:>7}  {:>10}\n",
        number(row.value),
        format!("{}×{}", row.width, row.height),
        ms(row.naive_ms),
        ms(Some(row.dense_ms)),
        ms(row.separable_ms),
        row.naive_multiplications,
        count(row.separable_multiplications),
        wide = wide(parameter)
    )
}

const PLAIN_COLOUR: Colour = [120, 120, 120];
const DENSE_COLOUR: Colour = [31, 105, 180];
const PASSES_COLOUR: Colour = [200, 40, 40];

/// A line of the plot: its points are pairs of a value and a height.
struct Curve {
    name: &'static str,
    colour: Colour,
    points: Vec<(f64, f64)>,
}

fn plot(title: &str, parameter: &str, rows: &[Row]) -> Drawing {
    let curve = |name, colour, of: &dyn Fn(&Row) -> Option<f64>| {
        let points = rows.iter().filter_map(|row| Some((row.value, of(row)?))).collect();
        Curve { name, colour, points }
    };
    let times = [
        curve("2D plain", PLAIN_COLOUR, &|r| r.naive_ms),
        curve("dense", DENSE_COLOUR, &|r| Some(r.dense_ms)),
        curve("two passes", PASSES_COLOUR, &|r| r.separable_ms),
    ];
    let counts = [
        curve("2D", DENSE_COLOUR, &|r| Some(r.naive_multiplications as f64)),
        curve("two passes", PASSES_COLOUR, &|r| r.separable_multiplications.map(|n| n as f64)),
    ];
    let mut drawing = Drawing::new();
    drawing.text((12.0, 8.0), title, BLACK, Anchor::Start);
    panel(&mut drawing, (12.0, 34.0), "milliseconds", parameter, &times);
    panel(&mut drawing, (492.0, 34.0), "multiplications per sample", parameter, &counts);
    drawing
}

/// One diagram: values to the right, heights upwards by powers of ten.
fn panel(
    drawing: &mut Drawing,
    (x, y): (f64, f64),
    label: &str,
    parameter: &str,
    curves: &[Curve],
) {
    const WIDTH: f64 = 380.0;
    const HEIGHT: f64 = 300.0;
    let (left, top) = (x + 56.0, y + LINE + 8.0);
    let all = || curves.iter().flat_map(|c| &c.points);
    let span = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = all()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if low <= high { (low, high) } else { (1.0, 10.0) }
    };
    let (first, last) = span(|p| p.0);
    let (low, high) = span(|p| p.1.max(1e-6).log10());
    let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let across = |v: f64| left + (v - first) / (last - first).max(1e-9) * WIDTH;
    let up = |v: f64| top + HEIGHT - (v.max(1e-6).log10() - low) / (high - low) * HEIGHT;
    drawing.text((left, y), label, BLACK, Anchor::Start);
    for power in low as i32..=high as i32 {
        let at = up(10f64.powi(power));
        drawing.line(vec![(left, at), (left + WIDTH, at)], [225, 225, 225], 1.0);
        drawing.text((left - 6.0, at - LINE / 2.0), number(10f64.powi(power)), GREY, Anchor::End);
    }
    let values: Vec<f64> = curves
        .iter()
        .map(|c| &c.points)
        .max_by_key(|p| p.len())
        .map_or_else(Vec::new, |p| p.iter().map(|p| p.0).collect());
    let ticks = values.len().saturating_sub(1).min(6);
    for i in 0..=ticks {
        let Some(value) = values.get(i * (values.len() - 1) / ticks.max(1)) else {
            continue;
        };
        let at = across(*value);
        drawing.line(vec![(at, top + HEIGHT), (at, top + HEIGHT + 4.0)], GREY, 1.0);
        drawing.text((at, top + HEIGHT + 6.0), number(*value), GREY, Anchor::Middle);
    }
    drawing.text((left + WIDTH / 2.0, top + HEIGHT + 8.0 + LINE), parameter, GREY, Anchor::Middle);
    drawing.line(vec![(left, top), (left, top + HEIGHT), (left + WIDTH, top + HEIGHT)], GREY, 1.0);
    for (i, curve) in curves.iter().enumerate() {
        let points: Vec<_> = curve.points.iter().map(|(v, h)| (across(*v), up(*h))).collect();
        for (x, y) in &points {
            drawing.rect((x - 2.5, y - 2.5), (5.0, 5.0), curve.colour);
        }
        drawing.line(points, curve.colour, 2.0);
        let (at, line) = (left + 12.0, top + 8.0 + LINE * i as f64);
        drawing.rect((at, line + 6.0), (14.0, 3.0), curve.colour);
        drawing.text((at + 14.0 + LETTER, line), curve.name, BLACK, Anchor::Start);
    }
    drawing.reach(left + WIDTH + 24.0, top + HEIGHT + 8.0 + 2.0 * LINE + 8.0);
}

/// Noise, the same in every run (SplitMix64 by Steele, Lea and Flood).
pub fn noise<S: Sample>(shape: Shape) -> Result<Image<S>, Failure> {
    let mut image = Image::<S>::new(shape)?;
    let mut state = 0u64;
    let mut view = image.view_mut();
    for y in 0..shape.height {
        for v in view.row_mut(y) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *v = S::from_f64((z >> 11) as f64 / (1u64 << 53) as f64 * S::FULL);
        }
    }
    Ok(image)
}
