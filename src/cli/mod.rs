//! The program: from a command line to a filtered file and what is said about it.
//!
//! `args` reads the flags, `kernel` and `input` load what they name, `run` does the work and
//! `verify` checks it, `format`, `encode` and `output` bring the result into a file, `report`
//! says what was done. Every failure is one line on stderr and an exit code: `failure`.

mod args;
mod encode;
mod failure;
mod format;
mod input;
mod kernel;
mod output;
mod report;
mod run;
mod verify;

use args::{AlphaArg, Args, Depth, MethodArg, Range};
use failure::Failure;
use format::Target;
use image::ImageFormat;
use input::{Input, Pixels};
use report::{Report, number};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use twopass::{Alpha, Filter, Level, Method, Post, SampleType, Shape};

/// Runs the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    match Args::parse_from(args) {
        Ok(args) => filter(&args),
        Err(e) if !e.use_stderr() => match e.print() {
            // Whoever pages through the help may stop reading it.
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(stdout_failed(&e)),
            _ => Ok(()),
        },
        Err(e) => Err(Failure::usage(one_line(&e))),
    }
}

/// One line on stderr.
pub fn say(message: &str) {
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // There is nowhere to report that stderr is gone.
    let _ = writeln!(std::io::stderr(), "filter: {line}");
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| stdout_failed(&e))
}

fn stdout_failed(error: &std::io::Error) -> Failure {
    Failure::output(format!("cannot write to standard output: {error}"))
}

/// What clap says over several lines, without the usage below it.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    let said = lines
        .take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"))
        .filter(|l| !l.is_empty());
    let line = said.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    format!("{}; see --help", line.strip_prefix("error: ").unwrap_or(&line))
}

fn filter(args: &Args) -> Result<(), Failure> {
    let reports = args.explain || args.verify || args.bench.is_some();
    if args.no_naive && args.bench.is_none() {
        return Err(Failure::usage("--no-naive needs --bench"));
    }
    let (name, filter) = kernel::choose(args)?;
    let filter = configure(filter, args)?;
    let Input { mut image, format: input_format, profile } =
        input::read(&args.input, args.max_pixels)?;

    let path = match &args.output {
        Some(path) => Some(path.clone()),
        None if reports => None,
        None => Some(default_output(&args.input, input_format, &name)?),
    };
    let target = path.as_deref().map(|p| Target::of(p, input_format)).transpose()?;
    let cannot_hold_alpha = target.is_some_and(|t| !t.holds_alpha());
    let has_alpha = image.color().has_alpha();
    if has_alpha
        && (args.alpha == Some(AlphaArg::Drop) || cannot_hold_alpha && input::is_opaque(&image))
    {
        image = input::without_alpha(image);
    }
    let has_alpha = image.color().has_alpha();
    let pixels = input::pixels(&image)?;
    let shape = pixels.shape();
    let sample = match args.depth {
        None => pixels.sample(),
        Some(Depth::U8) => SampleType::U8,
        Some(Depth::U16) => SampleType::U16,
        Some(Depth::F32) => SampleType::F32,
    };
    // Whatever can be wrong with the output is found before the work is done.
    let channels = target.map(|t| t.fit(shape.channels, sample)).transpose()?;
    let sink = path.as_deref().map(|p| output::prepare(p, &args.input)).transpose()?;
    if (args.json || reports) && matches!(sink, Some(output::Sink::Stdout)) {
        return Err(Failure::usage("reports and the image cannot both go to standard output"));
    }

    let negative = sample == SampleType::F32 && target.is_none_or(Target::holds_negative);
    let range =
        args.range.unwrap_or_else(|| run::default_range(&filter, args.offset.is_some(), !negative));
    if range == Range::Offset && filter.get_post() == Post::Magnitude {
        return Err(Failure::usage("--range offset is for signed results, a magnitude has none"));
    }
    let task = run::Task {
        filter: if has_alpha { with_alpha(filter, args.alpha) } else { filter },
        name,
        path: args.input.display().to_string(),
        range,
        write: path.is_some(),
        explain: args.explain,
        verify: args.verify,
        bench: args.bench,
        naive: !args.no_naive,
    };
    let done = match pixels {
        Pixels::U8(view) => run::run(&task, view, sample),
        Pixels::U16(view) => run::run(&task, view, sample),
        Pixels::F32(view) => run::run(&task, view, sample),
    }?;
    let mut report = done.report;
    if let (Some(path), Some(target), Some(channels), Some(sink), Some(buffer)) =
        (&path, target, channels, sink, done.buffer)
    {
        drop(image);
        let shape = Shape { channels, ..buffer.shape() };
        let bytes = encode::encode(buffer, channels, target, profile)?;
        sink.write(&bytes, path)?;
        report.output = Some(path.display().to_string());
        let range = match range {
            Range::Clamp => "",
            Range::Abs => ", absolute values",
            Range::Offset => ", 0 as mid-grey",
            Range::Stretch => ", stretched to the full range",
        };
        say(&format!(
            "wrote {} ({}): {}{range}, {} ms",
            path.display(),
            report::describe(shape, sample),
            report.plan.summary(),
            number((done.milliseconds * 100.0).round() / 100.0)
        ));
    }
    tell(args, &report)
}

/// Prints what was asked for: one JSON object, or text.
fn tell(args: &Args, report: &Report) -> Result<(), Failure> {
    if args.json {
        let mut text = serde_json::to_string(report)
            .map_err(|e| Failure::output(format!("cannot write JSON: {e}")))?;
        text.push('\n');
        return print(&text);
    }
    let mut text = report.explanation.clone();
    if let Some(verify) = &report.verify {
        text += &format!("verify: {}\n", verify.text);
    }
    if let Some(bench) = &report.bench {
        text += &format!(
            "bench: {} runs, minimum {:.3} ms, median {:.3} ms",
            bench.runs, bench.min_ms, bench.median_ms
        );
        if let (Some(naive), Some(speedup)) = (bench.naive_min_ms, bench.speedup) {
            text += &format!("; plain 2D loops {naive:.3} ms, {speedup:.1} times as long");
        }
        text.push('\n');
    }
    if text.is_empty() { Ok(()) } else { print(&text) }
}

/// Puts the flags that concern every kernel into the filter.
fn configure(filter: Filter, args: &Args) -> Result<Filter, Failure> {
    let method = match args.method {
        _ if args.separable => Method::Separable,
        MethodArg::Auto => Method::Auto,
        MethodArg::Separable => Method::Separable,
        MethodArg::Dense => Method::Dense,
        MethodArg::Naive => Method::Naive,
    };
    let mut filter = filter
        .scale(args.scale.unwrap_or(1.0))
        .offset(args.offset.unwrap_or(0.0))
        .method(method)
        .threads(args.threads.unwrap_or(0));
    if let Some((x, y)) = args.border.clone() {
        filter = filter.borders(x, y);
    }
    if let Some(level) = &args.level {
        filter = filter.level(Level::named(level)?);
    }
    Ok(filter)
}

/// The alpha handling of an image that has alpha.
fn with_alpha(filter: Filter, asked: Option<AlphaArg>) -> Filter {
    let alpha = match asked {
        Some(AlphaArg::Premultiply) => Alpha::Premultiply,
        Some(AlphaArg::Plain) => Alpha::Plain,
        Some(AlphaArg::Keep) => Alpha::Keep,
        // Of an image that still has alpha nothing was dropped.
        None | Some(AlphaArg::Drop) => filter.alpha_or_default(),
    };
    filter.alpha(alpha)
}

/// `input.png` and `sobel-x` make `input.sobel-x.png`.
fn default_output(input: &Path, format: ImageFormat, kernel: &str) -> Result<PathBuf, Failure> {
    let name = input.file_name().filter(|_| input.as_os_str() != "-").ok_or_else(|| {
        Failure::usage("the input has no name to make an output's name of; give -o FILE")
    })?;
    // An extension that is none of ours (`photo.v2`) is part of the name, and one that names
    // another format than the file's content would name a wrong file again.
    let known = format::of_path(input);
    let mut out = match (known, input.file_stem()) {
        (Some(_), Some(stem)) => stem.to_owned(),
        _ => name.to_owned(),
    };
    out.push(format!(".{kernel}."));
    let canonical = format::FORMATS.iter().find(|(f, _)| *f == format).map_or("png", |(_, e)| e);
    match input.extension() {
        Some(extension) if known == Some(format) && !extension.eq_ignore_ascii_case("pbm") => {
            out.push(extension);
        }
        _ => out.push(canonical),
    }
    Ok(input.with_file_name(out))
}
