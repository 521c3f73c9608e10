//! Any stages of the command line on small pictures: kernels, mixes and kernels for each channel, by
//! name, as numbers or as any text, with everything that changes what is made of them. They are
//! refused, or the result is within its bound of the reference.

#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../src/cli/mod.rs"]
mod cli;

use arbitrary::Arbitrary;
use cli::args::Args;
use cli::budget::Budget;
use cli::failure::{Failure, Kind};
use cli::inputs::{self, List};
use cli::job::{self, Setup};
use cli::kernel;
use cli::mix::NamedMix;
use cli::names::Naming;
use image::DynamicImage;
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use twopass::{NamedKernel, SampleType};

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    picture: u8,
    stages: Vec<Stage<'a>>,
    border: Option<u8>,
    range: Option<u8>,
    alpha: Option<u8>,
    depth: Option<u8>,
    method: Option<u8>,
    compat: Option<u8>,
    scale: Option<i8>,
    offset: Option<i8>,
    linear: bool,
    flip: bool,
    channels: Option<&'a str>,
}

#[derive(Debug, Arbitrary)]
struct Stage<'a> {
    kind: u8,
    text: Text<'a>,
    size: Option<u8>,
    sigma: Option<u8>,
    anchor: Option<(u8, u8)>,
}

#[derive(Debug, Arbitrary)]
enum Text<'a> {
    Name(u8),
    Numbers { columns: u8, values: Vec<i8>, divisor: u8 },
    Any(&'a str),
}

/// Pictures of every kind, one beside the other.
static PICTURES: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let pixels = image::RgbaImage::from_fn(13, 11, |x, y| {
        let level = |k: u32| ((x * 7919 * k + y * 104_729) % 256) as u8;
        image::Rgba([level(1), level(3), if x < 5 { 255 } else { 0 }, level(5)])
    });
    let rgba = DynamicImage::from(pixels);
    let save = |name: &str, image: DynamicImage| image.save(folder.path().join(name)).unwrap();
    save("0.png", rgba.to_luma8().into());
    save("1.png", rgba.to_luma_alpha8().into());
    save("2.png", rgba.to_rgb8().into());
    save("3.png", rgba.clone());
    save("4.png", rgba.to_rgb16().into());
    save("5.png", rgba.to_rgba16().into());
    save("6.tiff", rgba.to_rgb32f().into());
    folder
});

fn arguments(case: &Case, input: &Path) -> Vec<String> {
    let mut args = vec!["filter".to_owned(), input.display().to_string()];
    args.extend(["--verify", "--quiet", "--threads=1"].map(str::to_owned));
    for stage in case.stages.iter().take(5) {
        let flag = ["kernel", "depthwise", "mix"][usize::from(stage.kind) % 3];
        let text = match &stage.text {
            Text::Name(n) if flag == "mix" => pick(NamedMix::all(), *n).name.to_owned(),
            Text::Name(n) => pick(NamedKernel::all(), *n).name().to_owned(),
            Text::Numbers { columns, values, divisor } => {
                let divisor = (*divisor).max(1);
                let row = |row: &[i8]| {
                    row.iter().map(|v| format!("{v}/{divisor}")).collect::<Vec<_>>().join(" ")
                };
                let rows = values.chunks(1 + usize::from(*columns) % 8).map(row);
                rows.collect::<Vec<_>>().join(";")
            }
            // Files are not what is tested.
            Text::Any(text) => text.replace('@', " "),
        };
        args.push(format!("--{flag}={text}"));
        args.extend(stage.size.map(|n| format!("--size={}", n % 40)));
        args.extend(stage.sigma.map(|n| format!("--sigma={}", f64::from(n) / 16.0)));
        args.extend(stage.anchor.map(|(x, y)| format!("--anchor={},{}", x % 40, y % 40)));
    }
    let borders =
        ["replicate", "reflect", "reflect101", "wrap", "constant:9", "valid", "wrap/valid"];
    let choice = |flag: &str, values: &[&str], n: Option<u8>| {
        n.map(|n| format!("--{flag}={}", pick(values, n)))
    };
    args.extend(choice("border", &borders, case.border));
    args.extend(choice("range", &["clamp", "abs", "offset", "stretch"], case.range));
    args.extend(choice("alpha", &["premultiply", "plain", "keep", "drop"], case.alpha));
    args.extend(choice("depth", &["8", "16", "f32"], case.depth));
    let methods = ["auto", "separable", "dense", "naive", "terms", "runs", "multirate", "fft"];
    args.extend(choice("method", &methods, case.method));
    args.extend(choice("compat", &["opencv", "scipy"], case.compat));
    args.extend(case.scale.map(|v| format!("--scale={}", f64::from(v) / 8.0)));
    args.extend(case.offset.map(|v| format!("--offset={v}")));
    args.extend(case.linear.then(|| "--linear".to_owned()));
    args.extend(case.flip.then(|| "--flip".to_owned()));
    args.extend(case.channels.map(|text| format!("--channels={text}")));
    args
}

fn pick<T>(values: &[T], n: u8) -> &T {
    &values[usize::from(n) % values.len()]
}

/// What the program does with one input.
fn filter(args: &[String]) -> Result<(), Failure> {
    let args = Args::parse_from(args.iter().map(Into::into));
    let args = args.map_err(|e| Failure::usage(e.to_string()))?;
    let files = kernel::files(&args)?;
    let chain = kernel::chain(&args, &files, SampleType::U8, 1)?;
    let List { mut items, several } = inputs::list(&args)?;
    let naming = Naming::new(&args, &kernel::name(&chain), several)?;
    naming.settle(&mut items);
    let budget = Budget::new(None, false);
    let setup = Setup {
        args: &args,
        chain,
        files,
        naming,
        budget,
        mask: None,
        threads: 1,
        claimed: Mutex::default(),
    };
    items.into_iter().try_for_each(|item| job::run(&setup, item).map(|_| ()))
}

fuzz_target!(|case: Case| {
    let names = ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "6.tiff"];
    let args = arguments(&case, &PICTURES.path().join(pick(&names, case.picture)));
    // Where alpha is divided by in between, small values of it are no promise.
    let divided = case.stages.len() > 1 && args.iter().any(|arg| arg == "--alpha=premultiply");
    if let Err(failure) = filter(&args) {
        if divided && failure.kind == Kind::Verify {
            return;
        }
        assert_ne!(failure.kind, Kind::Verify, "{}\n{args:?}", failure.message);
    }
});
