//! The program: from a command line to filtered files and what is said about them.
//!
//! `args` reads the flags, `inputs` and `names` say which files are read and written, `batch` works
//! on many of them and `job` on one: `input` opens and decodes it into `pixels` (`jpeg`, `tiff`, `exr`, `hdr` and
//! `pfm` know these formats, the crate `image` the others), `kernel` makes the stages, `run`
//! does the work (`log` notes what is found out, `map` makes samples, `blend` puts results beside what is not filtered)
//! and `verify` checks it, `encode` (for PNG with `png` and `deflate`) and `output`
//! bring the result into a file, `meta` says what goes with it and `lost` what does not, `report` says
//! and `explain` what was done, `preview` shows it. `unseen` and `sweep` are for those who have no picture yet, `show`
//! and `draw` make pictures of kernels. Every failure is one line on stderr and an exit code: `failure`.

pub mod animation;
pub mod args;
pub mod batch;
pub mod bench;
pub mod blend;
pub mod bmp;
pub mod budget;
pub mod channels;
pub mod clip;
pub mod compare;
pub mod deflate;
pub mod draw;
pub mod encode;
pub mod exif;
pub mod explain;
pub mod exr;
pub mod failure;
pub mod foreign;
pub mod format;
pub mod hdr;
pub mod input;
pub mod inputs;
pub mod interrupt;
pub mod job;
pub mod jpeg;
pub mod kernel;
pub mod list;
pub mod log;
pub mod lost;
pub mod matrix;
pub mod meta;
pub mod mix;
pub mod names;
pub mod output;
pub mod pfm;
pub mod pixels;
pub mod png;
pub mod preview;
pub mod progress;
pub mod report;
pub mod request;
pub mod run;
pub mod show;
pub mod source;
pub mod spare;
pub mod suggest;
pub mod sweep;
pub mod text;
pub mod tiff;
pub mod together;
pub mod unseen;
pub mod verify;
pub mod webp;

use args::Args;
use failure::Failure;
use job::{Done, Setup};
use report::Report;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::sync::{Arc, Mutex};
use twopass::SampleType;

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
    output::to_stdout(text.as_bytes()).map_err(|e| stdout_failed(&e))
}

fn stdout_failed(error: &std::io::Error) -> Failure {
    Failure::output(format!("cannot write to standard output: {error}"))
}

/// What clap says over several lines, without the usage below it.
fn one_line(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let given = error.get(ContextKind::InvalidArg);
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(given))) = (error.kind(), given) {
        let command = args::command();
        let flags: Vec<_> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        let instead = suggest::flag(given, &flags);
        let instead = instead.map_or_else(String::new, |flag| format!("; did you mean {flag}?"));
        return with_help(&format!("there is no flag {given}{instead}"));
    }
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    let said = lines
        .take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"))
        .filter(|l| !l.is_empty());
    let line = said.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    let line = line.replace("invalid digit found in string", "not a whole number");
    with_help(line.strip_prefix("error: ").unwrap_or(&line))
}

/// What is wrong, and where more is said.
fn with_help(line: &str) -> String {
    format!("{line}{} --help", if line.ends_with('?') { " See" } else { "; see" })
}

fn filter(args: &Args) -> Result<(), Failure> {
    if let Some(shell) = args.completions {
        return output::to_stdout(&args::completions(args::command(), shell))
            .map_err(|e| stdout_failed(&e));
    }
    if args.man {
        let man = args::man(args::command()).and_then(|man| output::to_stdout(&man));
        return man.map_err(|e| stdout_failed(&e));
    }
    if args.list_kernels {
        return print(&if args.json { format!("{}\n", list::json()) } else { list::text() });
    }
    if args.no_naive && args.bench.is_none() {
        return Err(Failure::usage("--no-naive needs --bench"));
    }
    interrupt::install();
    let files = kernel::files(args)?;
    let chain = kernel::chain(args, &files, SampleType::U8, 0)?;
    if !args.quiet {
        kernel::hints(args, &files).iter().for_each(|line| say(line));
        kernel::left_out(args, &files)?.iter().for_each(|line| say(line));
    }
    // What is timed has the machine for itself.
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let total = args.threads.filter(|n| *n > 0).unwrap_or(cores);
    let mask =
        args.mask.as_ref().map(|path| blend::Mask::open(path, args.max_pixels, args.first_frame));
    let mask = mask.transpose()?.map(Arc::new);
    let setup = |naming, several, threads, inputs| {
        Ok::<_, Failure>(Setup {
            args,
            chain: kernel::chain(args, &files, SampleType::U8, threads)?,
            files: files.clone(),
            naming,
            budget: budget::Budget::new(args.max_memory, several),
            mask: mask.clone(),
            inputs,
            threads,
            claimed: Mutex::default(),
        })
    };
    if args.input.is_empty() && args.files_from.is_none() {
        show::write(&chain, args.plot.clone(), args)?;
        let naming = names::Naming::new(args, &kernel::name(&chain), false)?;
        return unseen::run(&setup(naming, false, args.threads.unwrap_or(0), HashMap::new())?);
    }
    if args.sweep.is_some() {
        return Err(Failure::usage(
            "--sweep filters noise; --shape says how much, and there is no input",
        ));
    }
    let inputs::List { mut items, several } = inputs::list(args)?;
    let naming = names::Naming::new(args, &kernel::name(&chain), several)?;
    if several && !naming.is_for_many() {
        return Err(Failure::usage("-o is for one input; --out-dir and --name are for several"));
    }
    if several && args.compare.is_some() {
        return Err(Failure::usage("--compare is for one input"));
    }
    if args.preview {
        preview::check(several)?;
    }
    naming.settle(&mut items);
    let taken = items.iter().flat_map(|item| [Some(item.path.clone()), naming.expected(item)]);
    show::write(&chain, taken.flatten().chain(args.compare.clone()), args)?;
    let jobs = if args.bench.is_some() { 1 } else { args.jobs.map_or(total, usize::from) };
    let jobs = jobs.min(items.len()).max(1);
    let threads = if several { (total / jobs).max(1) } else { args.threads.unwrap_or(0) };
    // Without --force no file is replaced that might be one of them.
    let read = items.iter().filter(|_| several && args.force);
    let read = read.filter_map(|item| Some((item.path.canonicalize().ok()?, item.path.clone())));
    let inputs = read.collect();
    let setup = setup(naming, several, threads, inputs)?;
    match items.pop() {
        Some(item) if !several => one(&setup, item),
        last => {
            items.extend(last);
            batch::run(&setup, items, jobs)
        }
    }
}

/// The one file of the command line.
fn one(setup: &Setup<'_>, item: inputs::Item) -> Result<(), Failure> {
    let args = setup.args;
    let (path, name) = (item.path.clone(), item.path.display().to_string());
    spare::hold();
    let speaks = args.verify || args.preview || args.bench.is_some();
    let progress = progress::Progress::new(&name, args.quiet || speaks);
    let done = job::run(setup, item);
    drop(progress);
    let done = match done {
        Ok(done) => done,
        Err(failure) => {
            if args.json {
                print(&format!("{}\n", report::failed(&path, &failure.message, &failure)))?;
            }
            return Err(failure);
        }
    };
    match done {
        Done::Skipped(output) => {
            if !args.quiet {
                say(&format!("{} exists, {name} is left out", output.display()));
            }
            let json = report::brief("skipped", &path, Some(&output));
            if args.json { print(&format!("{json}\n")) } else { Ok(()) }
        }
        Done::Planned(output) if args.json => {
            print(&format!("{}\n", report::brief("planned", &path, Some(&output))))
        }
        Done::Planned(output) => print(&format!("{name} -> {}\n", output.display())),
        Done::Filtered(done) => {
            if !args.quiet {
                done.warnings.iter().chain(&done.said).for_each(|line| say(line));
            }
            let text = if args.json {
                let json = serde_json::to_string(&done.report);
                json.map_err(|e| Failure::output(format!("cannot write JSON: {e}")))? + "\n"
            } else {
                report_text(&done.report)
            };
            if text.is_empty() { Ok(()) } else { print(&text) }
        }
    }
}

/// What was asked for, as text.
fn report_text(report: &Report) -> String {
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
    text
}
