//! Runs without a picture: plans are explained, and noise is timed, for a picture that one has in mind.

use super::args::{Args, Unseen};
use super::channels::Selection;
use super::failure::Failure;
use super::format::has_alpha;
use super::job::{Setup, depth, plain_task};
use super::mix::Form;
use super::request::Request;
use super::run;
use super::sweep::{self, noise};
use super::{print, report_text};
use twopass::SampleType;

/// Does what needs no picture.
pub fn run(setup: &Setup<'_>) -> Result<(), Failure> {
    let args = setup.args;
    check(args)?;
    if args.sweep.is_some() {
        return sweep::run(setup);
    }
    if args.explain.is_none() && args.bench.is_none() {
        // The kernel is drawn already.
        return Ok(());
    }
    let Unseen { shape, sample } = args.shape.unwrap_or_default();
    let out = depth(args, sample);
    let form = Form { channels: shape.channels, alpha: has_alpha(shape.channels) };
    let selection = args.channels.as_deref().map(|text| Selection::parse(text, form.channels));
    let request = plain_task(setup, form, (sample, out), None, false, selection.transpose()?)?;
    let request = Request { warns: false, ..request };
    let report = if args.bench.is_some() {
        match sample {
            SampleType::U8 => run::run(&request, noise::<u8>(shape)?.view(), out),
            SampleType::U16 => run::run(&request, noise::<u16>(shape)?.view(), out),
            _ => run::run(&request, noise::<f32>(shape)?.view(), out),
        }?
        .report
    } else {
        match sample {
            SampleType::U8 => run::plan::<u8>(&request, shape, out),
            SampleType::U16 => run::plan::<u16>(&request, shape, out),
            _ => run::plan::<f32>(&request, shape, out),
        }?
    };
    if args.json {
        let json = serde_json::to_string(&report);
        let json = json.map_err(|e| Failure::output(format!("cannot write JSON: {e}")))?;
        return print(&format!("{json}\n"));
    }
    print(&report_text(&report))
}

/// Fails for flags that are about a picture.
fn check(args: &Args) -> Result<(), Failure> {
    let given = [
        (args.output.is_some(), "-o"),
        (args.out_dir.is_some(), "--out-dir"),
        (args.name.is_some(), "--name"),
        (args.in_place, "--in-place"),
        (args.verify, "--verify"),
        (args.compare.is_some(), "--compare"),
        (args.mask.is_some(), "--mask"),
        (args.region.is_some(), "--region"),
        (args.preview && args.show_kernel.is_none() && args.plot.is_none(), "--preview"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, flag)) => Err(Failure::usage(format!("{flag} needs an input"))),
        None => Ok(()),
    }
}
