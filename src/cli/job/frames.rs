//! One animation, frame by frame: each is filtered like a picture, and they are written with their times where the
//! output's format has frames.

use super::{
    AlphaArg, Decoded, Done, Effort, Failure, Form, Image, ImageFormat, Item, Meta, Opened,
    Picture, Request, SampleType, Selection, Setup, Shape, Target, Times, depth, describe, encode,
    exif, place, ready::turn, request, result, run, several::Several,
};
use crate::cli::animation::{self, Moving};
use crate::cli::pixels::Pixels;
use crate::cli::source::{self, guarded, max_bytes};
use image::{Delay, DynamicImage};
use std::path::PathBuf;

/// Filters all frames and writes them.
pub fn filter(
    setup: &Setup<'_>,
    item: &Item,
    opened: Opened,
    moving: &Moving,
    to: Option<(PathBuf, Target)>,
    mut times: Times,
) -> Result<Done, Failure> {
    let args = setup.args;
    let named =
        |f: Failure| Failure { message: format!("{}: {}", item.path.display(), f.message), ..f };
    let (format, orientation) = (opened.format, opened.orientation);
    let pixels = opened.pixels.saturating_mul(moving.count as u64);
    if pixels > args.max_pixels {
        return Err(named(Failure::limit(format!(
            "the {} frames have {pixels} pixels, more than {}; --max-pixels raises the limit, \
             --first-frame takes the first one",
            moving.count, args.max_pixels
        ))));
    }
    let looks = args.explain.is_some() || args.verify || args.preview || args.bench.is_some();
    let Some((path, target)) = to.filter(|_| !looks && args.compare.is_none()) else {
        return Err(named(animation::several(format)));
    };
    if !animation::moves(target.format) {
        return Err(named(Failure::input(format!(
            "the file is animated, and {} files are written with one picture; a .gif, .png or .webp \
             file has frames, --first-frame takes the first one",
            target.name()
        ))));
    }
    let sample = depth(args, SampleType::U8);
    if sample != SampleType::U8 {
        return Err(named(Failure::usage(
            "frames are written with 8 bits; --depth is for pictures",
        )));
    }
    // What the file says beside its pixels is that of its first picture.
    let Decoded { mut meta, mut lost, stored, .. } =
        Times::of(&mut times.decode_ms, || opened.decode(setup.threads))?;
    let linear = args.linear && !meta.linear;
    if stored.lossy_webp && target.format == ImageFormat::WebP {
        lost.add("lossy compression (made lossless)");
    }
    if args.strip {
        meta = Meta::default();
    }
    let (mut source, plays) = moving.frames(max_bytes(args.max_pixels)).map_err(named)?;
    let mut all: Vec<(Image<u8>, Delay)> = Vec::new();
    let (mut prepared, mut first, mut warnings) = (None, None, Vec::new());
    // Each frame is turned, or not, as the first.
    let tagged = Meta { exif: meta.exif.clone(), ..Meta::default() };
    let mut aside = Some((meta, lost));
    loop {
        let frame = Times::of(&mut times.decode_ms, || guarded(|| source.next()));
        let damaged = || named(Failure::input("the decoder gave up on it: the file is damaged"));
        let Some(frame) = frame.ok_or_else(damaged)? else { break };
        let frame = frame.map_err(|e| named(source::failure(&e, format)))?;
        let delay = frame.delay();
        let picture = Picture::of(DynamicImage::ImageRgba8(frame.into_buffer()))?;
        let mut unused = tagged.clone();
        let meta = aside.as_mut().map_or(&mut unused, |(meta, _)| meta);
        let (picture, orientation) =
            turn(picture, orientation, meta, Some(target), args.auto_orient);
        let drop = args.alpha == Some(AlphaArg::Drop);
        let picture = if drop { picture.without_alpha() } else { picture };
        let shape = picture.buffer.shape();
        let form = Form { channels: shape.channels, alpha: picture.alpha };
        let selection = args.channels.as_deref().map(|text| Selection::parse(text, form.channels));
        let request =
            request(setup, item, &picture, form, sample, Some(target), selection.transpose()?)?;
        let request = Request { linear, orientation, ..request };
        let made = result(&request)?;
        if let Some(aside) = aside.take() {
            // Before the work, whatever can be wrong with the place is found.
            let shape = Shape { channels: made.channels, ..shape };
            prepared = Some(place(setup, item, path.clone(), target, aside, shape, sample)?);
        }
        let Pixels::U8(view) = picture.buffer.pixels() else { return Err(damaged()) };
        let done = run::run(&request, view, sample)?;
        times.filter_ms += done.milliseconds;
        if first.is_none() {
            first = Some((done.report, made));
            warnings = done.warnings;
        }
        let super::Buffer::U8(image) = done.buffer else { return Err(damaged()) };
        all.push((image, delay));
    }
    let (Some(mut place), Some((report, made))) = (prepared, first) else {
        return Err(named(Failure::input("it has no frames")));
    };
    let count = all.len();
    if count < moving.count {
        let of = moving.count;
        return Err(named(Failure::input(format!(
            "the file is damaged: it has {count} of the {of} frames that it says it has"
        ))));
    }
    let size = all[0].0.shape();
    if let Some(exif) = &mut place.meta.exif {
        let side = |n| u32::try_from(n).unwrap_or(u32::MAX);
        exif::make_true(exif, side(size.width), side(size.height));
    }
    let effort = Effort { quality: None, compression: args.compression };
    let meta = std::mem::take(&mut place.meta);
    let (channels, lost) = (place.channels, &mut place.lost);
    let (file, channels) = Times::of(&mut times.encode_ms, || {
        encode::animation(all, made.alpha, channels, target, plays, effort, meta, lost)
    })?;
    let what = format!("{count} frames of {}", describe(Shape { channels, ..size }, sample));
    let bytes = pixels.saturating_mul(4);
    Several { place, report, warnings, count, pixels, bytes }
        .write(setup, item, &file, &what, times)
}
