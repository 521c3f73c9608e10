//! One file, from its name to its result: what is decided for it, in the order in which it can be
//! known, so that whatever can be wrong is found before the work is done.

mod frames;
mod pages;
mod ready;
mod several;

use super::args::{AlphaArg, Args, Depth, Explain, RangeArg};
use super::blend::Mask;
use super::budget::Budget;
use super::channels::Selection;
use super::compare::side_by_side;
use super::encode::{self, Effort};
use super::exif;
use super::exr;
use super::failure::Failure;
use super::format::{self, Kind, Target};
use super::input::{self, Decoded, Opened, Stored};
use super::inputs::Item;
use super::kernel::{self, Stage, Step};
use super::lost::Lost;
use super::meta::{self, Meta};
use super::mix::Form;
use super::names::{self, Naming};
use super::output::{self, Existing, Sink};
use super::pixels::{Buffer, Picture, Pixels};
use super::preview;
use super::report::{Report, Times};
use super::request::{Request, Threshold};
use super::run;
use super::source::Wanted;
use super::text::{describe, number};
use image::ImageFormat;
use image::metadata::Orientation;
use ready::Ready;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use twopass::{Alpha, Filter, Image, Kernel, Post, Range, SampleType, Shape};

/// What all files have in common.
pub struct Setup<'a> {
    pub args: &'a Args,
    /// The kernels that were in files.
    pub files: Vec<Option<Kernel>>,
    /// The chain for 8-bit images.
    pub chain: Vec<Stage>,
    pub naming: Naming,
    pub budget: Budget,
    /// What results are blended with inputs by.
    pub mask: Option<Arc<Mask>>,
    /// Threads of one filter.
    pub threads: usize,
    /// The files that are read, and the names that they were given, where results may replace files.
    pub inputs: HashMap<PathBuf, PathBuf>,
    /// Outputs of this run, each of which is written once.
    pub claimed: Mutex<HashSet<PathBuf>>,
}

impl Setup<'_> {
    /// Whether colours that are multiplied by alpha are filtered as they are, and go into the output so: not if
    /// something is added to them, or if light is what they are decoded to.
    fn stays_premultiplied(&self, target: Option<Target>) -> bool {
        let args = self.args;
        let scaled = matches!(args.range, None | Some(RangeArg::Clamp | RangeArg::Abs));
        let filters = self.chain.iter().all(|stage| stage.filter().is_some());
        let fits = target.is_none_or(Target::holds_premultiplied);
        fits && filters && scaled && !args.linear && args.offset.is_none()
    }
}

/// What became of a file.
pub enum Done {
    /// Its output is there already.
    Skipped(PathBuf),
    /// It would be written here.
    Planned(PathBuf),
    Filtered(Box<Filtered>),
}

pub struct Filtered {
    pub report: Report,
    pub written: Option<PathBuf>,
    /// Lines that say what is lost, and what else may surprise.
    pub warnings: Vec<String>,
    /// The line that says what was written.
    pub said: Option<String>,
    pub pixels: u64,
    /// Of the decoded samples.
    pub bytes: u64,
}

/// A place for a result, and the form it has there.
struct Place {
    path: PathBuf,
    target: Target,
    channels: usize,
    sink: Sink,
    /// What of the input goes there.
    meta: Meta,
    /// What does not.
    lost: Lost,
}

/// Does everything for one file.
pub fn run(setup: &Setup<'_>, item: Item) -> Result<Done, Failure> {
    if let Some(fault) = item.fault {
        return Err(fault);
    }
    let args = setup.args;
    // Most names tell what the output is called, without a look into the file.
    if let Some(path) = setup.naming.expected(&item).filter(|p| args.skip_existing && there(p)) {
        return Ok(Done::Skipped(path));
    }
    let mut times = Times::default();
    let mut opened = Times::of(&mut times.decode_ms, || {
        let wanted = Wanted { first_frame: args.first_frame, channels: args.channels.as_deref() };
        input::open(&item.path, args.max_pixels, wanted)
    })?;
    let path = setup.naming.output(&item, opened.format)?;
    if let Some(path) = path.clone().filter(|p| args.skip_existing && there(p)) {
        return Ok(Done::Skipped(path));
    }
    let target = path.as_deref().map(|p| setup.naming.target(p, opened.format));
    let target = target.transpose()?;
    if let Some(path) = path.as_ref().or(args.compare.as_ref()).filter(|_| args.dry_run) {
        return Ok(Done::Planned(path.clone()));
    }
    let moving = opened.moving.take();
    // All frames are kept, as RGBA, until they are written; pages are encoded one by one.
    let kept = match (&moving, &opened.pages) {
        (Some(moving), _) => opened.pixels.saturating_mul(4 * moving.count as u64),
        (None, Some(pages)) => pages::encoded(setup, &opened, pages),
        (None, None) => 0,
    };
    let _share = setup
        .budget
        .take(estimate(setup, &opened, target).saturating_add(kept))
        .map_err(|f| Failure { message: format!("{}: {}", item.path.display(), f.message), ..f })?;
    match (moving, opened.pages.take()) {
        (Some(moving), _) => frames::filter(setup, &item, opened, &moving, path.zip(target), times),
        (None, Some(pages)) => pages::filter(setup, &item, opened, &pages, path.zip(target), times),
        (None, None) => filter(setup, &item, opened, path.zip(target), times),
    }
}

fn there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The sample type of the output.
pub fn depth(args: &Args, input: SampleType) -> SampleType {
    match args.depth {
        None => input,
        Some(Depth::U8) => SampleType::U8,
        Some(Depth::U16) => SampleType::U16,
        Some(Depth::F32) => SampleType::F32,
    }
}

/// Bytes that a file needs at most at a time: decoded, in linear light, filtered, and in its encoder;
/// and as much for a picture of before and after.
fn estimate(setup: &Setup<'_>, opened: &Opened, target: Option<Target>) -> u64 {
    let args = setup.args;
    let form = Form { channels: opened.channels, alpha: format::has_alpha(opened.channels) };
    let result = setup.chain.iter().try_fold(form, |form, stage| stage.form(form));
    // What does not fit will be found out.
    let result = result.map_or(4, |form| form.channels);
    let sample = depth(args, opened.sample);
    let filtered = format::bytes(opened.pixels, result, sample);
    let floats = if args.linear || args.range == Some(RangeArg::Stretch) {
        format::bytes(opened.pixels, opened.channels + result, SampleType::F32)
    } else {
        0
    };
    // Where a chain has a large box, of 24 taps a side at least, its filters may run alone, with images of
    // `f32` between them.
    let mean = |stage: &Stage| match &stage.step {
        Step::Filter(filter) => {
            let taps = filter.kernels()[0].taps();
            taps.len() >= 24 && taps.iter().all(|t| (t - taps[0]).abs() <= 1e-12 * taps[0].abs())
        }
        _ => false,
    };
    let between = match setup.chain.len() {
        stages @ 2.. if setup.chain.iter().any(mean) => stages.min(3) - 1,
        _ => 0,
    };
    let between = format::bytes(opened.pixels, between * opened.channels, SampleType::F32);
    let encoded = |target: Target, pixels, channels| {
        encode::memory(target, args.compression, pixels, channels, sample)
    };
    let compared = args.compare.as_ref().map_or(0, |path| {
        let (pixels, channels) = (2 * opened.pixels, opened.channels.max(result));
        let target = Target::of(path, opened.format, None);
        let encoded = target.map_or(0, |target| encoded(target, pixels, channels));
        format::bytes(pixels, channels, sample).saturating_add(encoded)
    });
    let encoded = target.map_or(0, |target| encoded(target, opened.pixels, result));
    let all = [filtered, floats, between, compared, encoded];
    // What decoding takes is given back before the rest is taken.
    let later = all.into_iter().fold(0, u64::saturating_add);
    opened.bytes.saturating_add(later.max(opened.aside))
}

fn filter(
    setup: &Setup<'_>,
    item: &Item,
    opened: Opened,
    to: Option<(PathBuf, Target)>,
    mut times: Times,
) -> Result<Done, Failure> {
    let args = setup.args;
    let (format, orientation, bytes) = (opened.format, opened.orientation, opened.bytes);
    let decoded = Times::of(&mut times.decode_ms, || opened.decode(setup.threads))?;
    let target = to.as_ref().map(|(_, target)| *target);
    let ready = ready::make(setup, item, decoded, orientation, target)?;
    let Ready { picture, meta, lost, mut stored, request, form, result, sample, divided } = ready;
    let framed = target.is_none_or(|t| t.format != ImageFormat::OpenExr);
    let (pixels, premultiplied) = (picture.buffer.pixels(), picture.premultiplied);
    let shape = Shape { channels: result.channels, ..pixels.shape() };
    let aside = (meta.clone(), lost);
    let place = to.map(|(path, target)| place(setup, item, path, target, aside, shape, sample));
    let place = place.transpose()?;
    let compare = args.compare.as_ref().map(|path| {
        let target = Target::of(path, format, None)?;
        let channels = target.fit(both_channels(form, result), sample)?;
        let sink = output::prepare(path, &item.path, Existing::Replace)?;
        // It is there to be looked at, and the input is still there.
        let (mut meta, lost) = (meta.clone(), Lost::default());
        meta.fit(target, channels > 2);
        Ok::<_, Failure>(Place { path: path.clone(), target, channels, sink, meta, lost })
    });
    let compare = compare.transpose()?;
    if let (Some(a), Some(b)) = (&place, &compare)
        && output::is_same_place(&a.path, &b.path)
    {
        let path = b.path.display();
        return Err(Failure::usage(format!("{path} is the output; --compare names another file")));
    }
    let texts =
        args.json || args.explain.is_some() || args.verify || args.preview || args.bench.is_some();
    let to_stdout = |p: &&Place| matches!(p.sink, Sink::Stdout);
    let streams = place.iter().chain(&compare).filter(to_stdout).count();
    if streams + usize::from(texts) > 1 && streams > 0 {
        return Err(Failure::usage("reports and the image cannot both go to standard output"));
    }

    let mut done = match pixels {
        Pixels::U8(view) => run::run(&request, view, sample),
        Pixels::U16(view) => run::run(&request, view, sample),
        Pixels::F32(view) => run::run(&request, view, sample),
    }?;
    let mut report = done.report;
    times.filter_ms = done.milliseconds;
    let mut said = Vec::new();
    if args.preview {
        preview::show(&done.buffer)?;
    }
    if let Some(place) = compare {
        let both = match pixels {
            Pixels::U8(view) => side_by_side(view, &done.buffer, both_channels(form, result)),
            Pixels::U16(view) => side_by_side(view, &done.buffer, both_channels(form, result)),
            Pixels::F32(view) => side_by_side(view, &done.buffer, both_channels(form, result)),
        }?;
        let both = Picture { buffer: both, alpha: form.alpha || result.alpha, premultiplied };
        let (path, _) = write(setup, item, place, both, &mut Stored::default(), &mut times)?;
        said.push(format!("wrote {} (before | after)", path.display()));
    }
    picture.buffer.give();
    let (mut written, mut warnings) = (None, done.warnings);
    if let Some(mut place) = place {
        if let Some(exr) = &mut stored.exr {
            exr.origin = request.origin();
            if framed {
                done.buffer = exr.framed(done.buffer);
            } else {
                let size = done.buffer.shape();
                place.lost.append(others(setup, item, exr, target, size)?);
            }
        }
        let shape = Shape { channels: place.channels, ..done.buffer.shape() };
        let picture = Picture { buffer: done.buffer, alpha: result.alpha, premultiplied };
        let links = place.sink.other_names();
        let (path, lost) = write(setup, item, place, picture, &mut stored, &mut times)?;
        report.output = Some(path.display().to_string());
        if links > 0 {
            warnings.push(format!(
                "warning: {}: the old file stays under other names (hard links): {links}",
                path.display()
            ));
        }
        warnings.extend(lost.warning(&item.path));
        report.lost = lost.into_names();
        said.push(format!(
            "wrote {} ({}): {}{}{}, {} ms",
            path.display(),
            describe(shape, sample),
            report.summary(),
            match request.range {
                Range::Clamp => "",
                Range::Abs => ", absolute values",
                Range::Offset => ", 0 as mid-grey",
                _ => ", stretched to the full range",
            },
            if divided { ", colours divided by alpha" } else { "" },
            number((done.milliseconds * 100.0).round() / 100.0)
        ));
        written = Some(path);
    }
    report.times = times;
    let pixels = shape.width as u64 * shape.height as u64;
    let said = (!said.is_empty()).then(|| said.join("; "));
    Ok(Done::Filtered(Box::new(Filtered { report, written, warnings, said, pixels, bytes })))
}

/// Filters the channels that are not of the picture, each like a grey one, unless others were picked, or they are mixed; then,
/// and where they have no fractions, they are copied. What no longer fits is lost.
fn others(
    setup: &Setup<'_>,
    item: &Item,
    exr: &mut exr::Stored,
    target: Option<Target>,
    size: Shape,
) -> Result<Lost, Failure> {
    let filters = setup.chain.iter().all(|stage| stage.filter().is_some());
    if filters {
        for image in exr.floats(setup.args.channels.is_none()) {
            let whole = std::mem::replace(image, Image::new(Shape::new(1, 1, 1))?);
            let picture =
                Picture { buffer: Buffer::F32(whole), alpha: false, premultiplied: false };
            let form = Form { channels: 1, alpha: false };
            let request = request(setup, item, &picture, form, SampleType::F32, target, None)?;
            let request =
                Request { explain: false, warns: false, verify: false, bench: None, ..request };
            let Pixels::F32(view) = picture.buffer.pixels() else { continue };
            if let Buffer::F32(done) = run::run(&request, view, SampleType::F32)?.buffer {
                *image = done;
            }
        }
    }
    Ok(exr.fit(size))
}

fn place(
    setup: &Setup<'_>,
    item: &Item,
    path: PathBuf,
    target: Target,
    (mut meta, mut lost): (Meta, Lost),
    shape: Shape,
    sample: SampleType,
) -> Result<Place, Failure> {
    let channels = target.fit(shape.channels, sample)?;
    lost.append(meta.fit(target, channels > 2));
    check(setup, item, &lost)?;
    if setup.naming.makes_folders() {
        names::make_folders(&path)?;
    }
    let sink = output::prepare(&path, &item.path, setup.naming.existing())?;
    // Another input may not have been read yet.
    let file = path.canonicalize().ok();
    let replaced = file.and_then(|file| setup.inputs.get(&file));
    if let Some(other) = replaced.filter(|other| **other != item.path) {
        return Err(Failure::usage(format!(
            "{}: its output {} would replace the input {}; give another --name",
            item.path.display(),
            path.display(),
            other.display()
        )));
    }
    let mut claimed = setup.claimed.lock().unwrap_or_else(PoisonError::into_inner);
    if setup.naming.is_for_many() && !claimed.insert(path.clone()) {
        return Err(Failure::output(format!(
            "{} is the output of another input already",
            path.display()
        )));
    }
    Ok(Place { path, target, channels, sink, meta, lost })
}

/// Fails if something of the input is lost that must not be.
fn check(setup: &Setup<'_>, item: &Item, lost: &Lost) -> Result<(), Failure> {
    let replaces = setup.naming.existing() == Existing::ReplaceInput && !setup.args.force;
    lost.check(&item.path, setup.args.strict, replaces)
}

/// Writes a file, and says which, and what of the input is not in it.
fn write(
    setup: &Setup<'_>,
    item: &Item,
    place: Place,
    picture: Picture,
    stored: &mut Stored,
    times: &mut Times,
) -> Result<(PathBuf, Lost), Failure> {
    let Place { path, target, channels, sink, mut meta, mut lost } = place;
    if let Some(exif) = &mut meta.exif {
        let Shape { width, height, .. } = picture.buffer.shape();
        let side = |n| u32::try_from(n).unwrap_or(u32::MAX);
        exif::make_true(exif, side(width), side(height));
    }
    let effort = Effort { quality: setup.args.quality, compression: setup.args.compression };
    let bytes = Times::of(&mut times.encode_ms, || {
        encode::encode(picture, channels, target, effort, stored, meta, &mut lost)
    })?;
    check(setup, item, &lost)?;
    Times::of(&mut times.write_ms, || sink.write(&bytes, &path))?;
    Ok((path, lost))
}

/// The channels of a picture beside another.
fn both_channels(a: Form, b: Form) -> usize {
    match (a.channels == b.channels, a.alpha || b.alpha) {
        (true, _) => a.channels,
        (_, true) => 4,
        (_, false) => 3,
    }
}

/// The channels of the output, which must be those of a picture.
fn result(request: &Request) -> Result<Form, Failure> {
    let form = request.chain.iter().try_fold(request.form, |form, stage| stage.form(form))?;
    let picture = if form.alpha { matches!(form.channels, 2 | 4) } else { form.channels <= 4 };
    if !picture {
        return Err(Failure::usage(format!(
            "the result has {}, which is no picture; there are grey and RGB, with alpha or without \
             (--alpha drop)",
            form.text()
        )));
    }
    if form != request.form {
        let copies = [
            (request.channels.is_some(), "--channels"),
            (request.region.is_some(), "--region"),
            (request.mask.is_some(), "--mask"),
        ];
        if let Some((_, flag)) = copies.iter().find(|(given, _)| *given) {
            return Err(Failure::usage(format!(
                "{flag} copies channels of the input, and a --mix changes what they are; give one \
                 of the two"
            )));
        }
    }
    Ok(form)
}

/// What is to be done to the pixels.
fn request(
    setup: &Setup<'_>,
    item: &Item,
    picture: &Picture,
    form: Form,
    sample: SampleType,
    target: Option<Target>,
    selection: Option<Selection>,
) -> Result<Request, Failure> {
    let input = picture.buffer.pixels().sample();
    let path = item.path.display().to_string();
    let premultiplied = picture.premultiplied;
    let request = plain_task(setup, form, (input, sample), target, premultiplied, selection)?;
    Ok(Request { path: Some(path), ..request })
}

/// What is to be done to pixels of this form and these samples, in and out, of a picture without a name.
pub fn plain_task(
    setup: &Setup<'_>,
    form: Form,
    (input, sample): (SampleType, SampleType),
    target: Option<Target>,
    premultiplied: bool,
    selection: Option<Selection>,
) -> Result<Request, Failure> {
    let args = setup.args;
    let mut chain = match args.compat {
        Some(_) => kernel::chain(args, &setup.files, input, setup.threads)?,
        None => setup.chain.clone(),
    };
    let negative = sample == SampleType::F32 && target.is_none_or(Target::holds_negative);
    let range = args
        .range
        .map_or_else(|| run::default_range(&chain, args.offset.is_some(), !negative), Range::from);
    let last = chain.last().and_then(Stage::filter).map(Filter::get_post);
    if range == Range::Offset && last == Some(Post::Magnitude) {
        return Err(Failure::usage("--range offset is for signed results, a magnitude has none"));
    }
    let threshold = args.threshold.map(|levels| threshold(args, levels)).transpose()?;
    let mut now = form;
    for stage in &mut chain {
        let alpha = match args.alpha {
            Some(AlphaArg::Premultiply) => Some(Alpha::Premultiply),
            Some(AlphaArg::Plain) => Some(Alpha::Plain),
            Some(AlphaArg::Keep) => Some(Alpha::Keep),
            // Channels picked one by one are just channels.
            None if selection.as_ref().is_some_and(|s| !s.is_colour()) => Some(Alpha::Plain),
            // Of an image that still has alpha nothing was dropped.
            None | Some(AlphaArg::Drop) => None,
        };
        match &mut stage.step {
            Step::Filter(filter) if now.alpha => {
                let alpha = match alpha.unwrap_or(filter.alpha_or_default()) {
                    // It is done already.
                    Alpha::Premultiply if premultiplied => Alpha::Plain,
                    alpha => alpha,
                };
                *filter = filter.clone().alpha(alpha);
            }
            Step::Depthwise(_) if now.alpha && args.alpha == Some(AlphaArg::Premultiply) => {
                return Err(Failure::usage(
                    "--depthwise does not filter colour multiplied by alpha; give --alpha keep or \
                     drop",
                ));
            }
            _ => {}
        }
        now = stage.form(now)?;
    }
    Ok(Request {
        chain,
        scale: args.scale.unwrap_or(1.0),
        offset: args.offset.unwrap_or(0.0),
        form,
        level: kernel::level(args)?,
        threads: setup.threads,
        path: None,
        range,
        warns: args.range != Some(RangeArg::Clamp),
        normalized: args.kernels.normalize,
        linear: args.linear,
        channels: selection,
        region: args.region,
        mask: setup.mask.clone(),
        orientation: Orientation::NoTransforms,
        threshold,
        explain: args.explain.is_some(),
        terms: args.explain == Some(Explain::Terms),
        verify: args.verify,
        bench: args.bench,
        naive: !args.no_naive,
    })
}

/// The threshold of unsharp masking, whose kernel adds so many times the difference from a blur.
fn threshold(args: &Args, levels: f64) -> Result<Threshold, Failure> {
    let unsharp = match args.chain.as_slice() {
        [stage] => kernel::find(&stage.text).is_ok_and(|named| named.name() == "unsharp"),
        _ => false,
    };
    if !unsharp {
        return Err(Failure::usage("--threshold is for --kernel unsharp, alone"));
    }
    if levels < 0.0 {
        return Err(Failure::usage("--threshold is a number of levels, from 0 on"));
    }
    Ok(Threshold { levels, amount: args.chain[0].params.amount.unwrap_or(1.0) })
}
