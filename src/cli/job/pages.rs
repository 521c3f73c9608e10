//! One file of several pages, page by page: each is a picture of its own, with what it says beside its pixels.

use super::ready::{self, Ready};
use super::several::Several;
use super::{
    Done, Effort, Failure, ImageFormat, Item, Opened, Picture, Place, SampleType, Setup, Shape,
    Target, Times, depth, describe, encode, exif, format, place, run,
};
use crate::cli::animation;
use crate::cli::input::Pages;
use crate::cli::pixels::Pixels;
use crate::cli::tiff;
use std::path::PathBuf;

/// Bytes of the file that is written, which is in memory.
pub fn encoded(setup: &Setup<'_>, opened: &Opened, pages: &Pages) -> u64 {
    let form = setup.chain.iter().filter_map(|stage| match &stage.step {
        super::Step::Mix(mix) => mix.outputs(),
        _ => None,
    });
    let channels = form.fold(opened.channels, usize::max);
    format::bytes(pages.pixels, channels, depth(setup.args, opened.sample))
}

/// Filters all pages and writes them.
pub fn filter(
    setup: &Setup<'_>,
    item: &Item,
    mut opened: Opened,
    pages: &Pages,
    to: Option<(PathBuf, Target)>,
    mut times: Times,
) -> Result<Done, Failure> {
    let args = setup.args;
    let named =
        |f: Failure| Failure { message: format!("{}: {}", item.path.display(), f.message), ..f };
    let (count, pixels) = (pages.list.len(), pages.pixels);
    if pixels > args.max_pixels {
        return Err(named(Failure::limit(format!(
            "the {count} pages have {pixels} pixels, more than {}; --max-pixels raises the limit, \
             --first-frame takes the first one",
            args.max_pixels
        ))));
    }
    let looks = args.explain.is_some() || args.verify || args.preview || args.bench.is_some();
    let Some((path, target)) = to.filter(|_| !looks && args.compare.is_none()) else {
        return Err(named(animation::several(opened.format)));
    };
    if target.format != ImageFormat::Tiff {
        return Err(named(Failure::input(format!(
            "the file has several pages, and {} files are written with one picture; a .tiff file has \
             pages, --first-frame takes the first one",
            target.name()
        ))));
    }
    let effort = Effort { quality: None, compression: args.compression };
    let samples = encoded(setup, &opened, pages);
    let mut file = Vec::new();
    // What is said beside the pixels takes some room too.
    let room = samples.saturating_add((count as u64) << 16);
    let room = usize::try_from(room).ok().and_then(|n| file.try_reserve_exact(n).ok());
    room.ok_or_else(|| {
        named(Failure::limit(format!("the result needs {samples} bytes, more than there are")))
    })?;
    let mut writer = tiff::Writer::new(&mut file, samples).map_err(Failure::output)?;
    let (mut prepared, mut first, mut warnings) = (None, None, Vec::new());
    let mut bytes = 0;
    let mut sizes: Vec<(Shape, SampleType)> = Vec::new();
    for (i, page) in pages.list.iter().enumerate() {
        let numbered =
            |f: Failure| Failure { message: format!("page {}: {}", i + 1, f.message), ..f };
        let (decoded, orientation) =
            Times::of(&mut times.decode_ms, || opened.page(*page, args.max_pixels))?;
        let ready =
            ready::make(setup, item, decoded, orientation, Some(target)).map_err(numbered)?;
        let Ready { picture, mut meta, lost, stored, request, result, sample, .. } = ready;
        let shape = Shape { channels: result.channels, ..picture.buffer.shape() };
        match &mut prepared {
            Some(Place { lost: all, .. }) => {
                let channels = target.fit(shape.channels, sample)?;
                all.append(lost);
                all.append(meta.fit(target, channels > 2));
            }
            None => {
                // Before the work, whatever can be wrong with the place is found.
                let aside = (meta, lost);
                let mut first = place(setup, item, path.clone(), target, aside, shape, sample)?;
                meta = std::mem::take(&mut first.meta);
                prepared = Some(first);
            }
        }
        let done = match picture.buffer.pixels() {
            Pixels::U8(view) => run::run(&request, view, sample),
            Pixels::U16(view) => run::run(&request, view, sample),
            Pixels::F32(view) => run::run(&request, view, sample),
        }
        .map_err(numbered)?;
        times.filter_ms += done.milliseconds;
        let size = picture.buffer.shape();
        let decoded = picture.buffer.pixels().sample();
        bytes += format::bytes((size.width * size.height) as u64, size.channels, decoded);
        let premultiplied = picture.premultiplied;
        let shape = Shape { channels: result.channels, ..done.buffer.shape() };
        sizes.push((shape, sample));
        if first.is_none() {
            first = Some(done.report);
            warnings = done.warnings;
        }
        if let Some(exif) = &mut meta.exif {
            let side = |n| u32::try_from(n).unwrap_or(u32::MAX);
            exif::make_true(exif, side(shape.width), side(shape.height));
        }
        let picture = Picture { buffer: done.buffer, alpha: result.alpha, premultiplied };
        let lost = Times::of(&mut times.encode_ms, || {
            encode::page(&mut writer, &picture, effort, &stored, &meta)
        })?;
        if let Some(place) = &mut prepared {
            place.lost.append(lost);
        }
    }
    let (Some(place), Some(report)) = (prepared, first) else {
        return Err(named(Failure::input("it has no pages")));
    };
    let (shape, sample) = sizes[0];
    let alike = sizes.iter().all(|size| *size == sizes[0]);
    let of = if alike { " of" } else { ", the first of" };
    let what = format!("{count} pages{of} {}", describe(shape, sample));
    Several { place, report, warnings, count, pixels, bytes }
        .write(setup, item, &file, &what, times)
}
