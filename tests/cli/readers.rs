//! Files of the kinds that are easily misread, made by other tools, and the pixels that an independent reader finds in them
//! (`tests/files/formats.py`): each is read so, or refused with a line that says why.

use super::Place;
use ::tiff::decoder::{Decoder, DecodingResult};
use ::tiff::tags::Tag;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files")
}

/// The path of a file of `formats`.
pub fn file(name: &str) -> String {
    folder().join("formats").join(name).to_str().unwrap().to_owned()
}

/// The samples of a picture, as floats, and how many to a pixel.
#[derive(Debug)]
pub struct Samples {
    pub size: (usize, usize),
    pub channels: usize,
    pub values: Vec<f32>,
}

/// What the file's reader is to find.
fn expected(entry: &Value, blob: &[u8]) -> Samples {
    let number = |name: &str| entry[name].as_u64().unwrap() as usize;
    let (size, channels) = ((number("width"), number("height")), number("channels"));
    let count = size.0 * size.1 * channels;
    let bytes = &blob[number("offset")..];
    let values = match entry["sample"].as_str().unwrap() {
        "u8" => bytes[..count].iter().map(|v| f32::from(*v)).collect(),
        "u16" => {
            let words = bytes.as_chunks::<2>().0[..count].iter();
            words.map(|b| f32::from(u16::from_le_bytes(*b))).collect()
        }
        _ => bytes.as_chunks::<4>().0[..count].iter().map(|b| f32::from_le_bytes(*b)).collect(),
    };
    Samples { size, channels, values }
}

/// What a PNG file of ours holds, or a TIFF file of floats.
pub fn written(path: &Path) -> Samples {
    if path.extension().unwrap() == "png" {
        let image = image::open(path).unwrap();
        let size = (image.width() as usize, image.height() as usize);
        let channels = usize::from(image.color().channel_count());
        let deep = image.color().bytes_per_pixel() > image.color().channel_count();
        let values = match deep {
            true => image
                .as_bytes()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| u16::from_ne_bytes(*b).into())
                .collect(),
            false => image.as_bytes().iter().map(|v| f32::from(*v)).collect(),
        };
        return Samples { size, channels, values };
    }
    let mut decoder = Decoder::new(std::fs::File::open(path).unwrap()).unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    let size = (width as usize, height as usize);
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).unwrap();
    let DecodingResult::F32(mut values) = decoder.read_image().unwrap() else {
        panic!("{}: not of floats", path.display())
    };
    let channels = values.len() / size.0 / size.1;
    assert_eq!(channels.is_multiple_of(2), extra.is_some(), "alpha has no tag, or a tag no alpha");
    if extra == Some(vec![1]) {
        for pixel in values.chunks_exact_mut(channels) {
            let alpha = pixel[channels - 1];
            let colours = &mut pixel[..channels - 1];
            colours.iter_mut().for_each(|c| *c = if alpha > 0.0 { *c / alpha } else { *c });
        }
    }
    Samples { size, channels, values }
}

#[test]
fn every_file_is_read_as_other_readers_read_it_or_refused() {
    let list: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder().join("formats.json")).unwrap()).unwrap();
    let blob = std::fs::read(folder().join("formats.bin")).unwrap();
    let place = Place::new();
    let mut wrong = Vec::new();
    for entry in &list {
        let name = entry["name"].as_str().unwrap();
        let file = folder().join("formats").join(name);
        let file = file.to_str().unwrap();
        let flags = entry["flags"].as_array().map_or(&[][..], Vec::as_slice);
        let flags = flags.iter().map(|f| f.as_str().unwrap());
        let float = entry["sample"] == "f32";
        let out = if float { "o.tif" } else { "o.png" };
        let base = [file, "-k", "identity", "-o", out, "--compression", "none", "--strip"];
        let args: Vec<_> = base.into_iter().chain(flags).collect();
        let run = place.filter(&args);
        let mut check = |what: bool, why: String| {
            if !what {
                wrong.push(format!("{name}: {why}"));
            }
        };
        if let Some(fails) = entry["fails"].as_str() {
            let said = run.stderr.contains(fails) && run.stderr.lines().count() == 1;
            check(matches!(run.code, 2 | 3) && said, format!("{} {}", run.code, run.stderr));
            continue;
        }
        if run.code != 0 {
            check(false, run.stderr);
            continue;
        }
        let warning = run.stderr.lines().find(|l| l.contains("not kept")).unwrap_or("");
        match entry["lost"].as_str() {
            Some(lost) => check(
                warning.contains(lost),
                format!("does not say that it lost {lost:?}: {warning}"),
            ),
            None => check(warning.is_empty(), warning.to_owned()),
        }
        let (want, got) = (expected(entry, &blob), written(&place.path(out)));
        if (want.size, want.channels) != (got.size, got.channels) {
            check(false, format!("{:?} × {}", got.size, got.channels));
            continue;
        }
        let off = entry["off"].as_f64().unwrap_or(0.0) as f32;
        let mut pairs: Vec<_> = want.values.iter().zip(&got.values).collect();
        if entry["light"] == true {
            // Colours without cover are what they are.
            pairs = pairs
                .chunks(want.channels)
                .filter(|p| *p[want.channels - 1].0 > 0.0)
                .flatten()
                .copied()
                .collect();
        }
        let worst = pairs.into_iter().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        check(worst <= off, format!("off by {worst}"));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), list.len(), wrong.join("\n"));
}

/// Photoshop and ImageMagick write a line of comment into the header.
#[test]
fn comments_of_float_maps_are_passed_over() {
    let place = Place::new();
    let pixels: Vec<u8> = [0.25f32, 0.5, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    for comment in ["", "#File written by a program\n", "# two\n#\n"] {
        let head = format!("PF\n{comment}1 1\n-1.0\n");
        place.write("a.pfm", [head.as_bytes(), &pixels].concat());
        place.ok(&["a.pfm", "-k", "identity", "-o", "a.tif"]);
        assert_eq!(written(&place.path("a.tif")).values, [0.25, 0.5, 2.0], "{comment:?}");
    }
}
