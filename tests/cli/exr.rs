//! EXR files: what is in one is in its result. Colours multiplied by alpha, halves, compression, attributes, windows, and
//! channels that are not of the picture.

use super::readers::file;
use super::{Place, soft};
use exr::prelude::*;
use std::path::Path;

/// A file as the crate `exr` reads it.
pub struct Exr(FlatImage);

impl Exr {
    pub fn open(path: &Path) -> Self {
        Self(read_all_flat_layers_from_file(path).unwrap())
    }

    fn layer(&self) -> &Layer<AnyChannels<FlatSamples>> {
        assert_eq!(self.0.layer_data.len(), 1);
        &self.0.layer_data[0]
    }

    fn channel(&self, name: &str) -> &FlatSamples {
        let mut list = self.layer().channel_data.list.iter();
        &list.find(|c| c.name.eq(name)).unwrap().sample_data
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.channel(name).values_as_f32().collect()
    }

    fn names(&self) -> String {
        let list = self.layer().channel_data.list.iter();
        list.map(|c| c.name.to_string()).collect::<Vec<_>>().join(" ")
    }
}

/// The mean of 3 × 3 samples about the one at (x, y).
fn mean(samples: &[f32], width: usize, x: usize, y: usize) -> f32 {
    let rows = (y - 1..=y + 1).map(|y| &samples[y * width + x - 1..=y * width + x + 1]);
    rows.flatten().sum::<f32>() / 9.0
}

#[test]
fn premultiplied_colours_are_filtered_as_they_are() {
    let place = Place::new();
    place.ok(&[&file("rgba-piz.exr"), "-k", "box", "-o", "o.exr"]);
    let (from, to) = (Exr::open(Path::new(&file("rgba-piz.exr"))), Exr::open(&place.path("o.exr")));
    let size = from.layer().size;
    for name in ["R", "G", "B", "A"] {
        let (from, to) = (from.floats(name), to.floats(name));
        for (x, y) in [(1, 1), (4, 3), (5, 4), (9, 2)] {
            let (want, got) = (mean(&from, size.0, x, y), to[y * size.0 + x]);
            assert!((want - got).abs() < 1e-5, "{name} at {x}, {y}: {got}, not {want}");
        }
    }
    // Straight colours are multiplied on the way in, and divided on the way out.
    place.save("soft.png", soft(20, 9));
    place.ok(&["soft.png", "-k", "identity", "--depth", "f32", "-o", "soft.exr"]);
    let (exr, png) = (Exr::open(&place.path("soft.exr")), soft(20, 9));
    for (i, pixel) in png.pixels().enumerate() {
        let want = f32::from(pixel[1]) / 255.0 * f32::from(pixel[3]) / 255.0;
        assert!((exr.floats("G")[i] - want).abs() < 1e-6);
    }
    place.ok(&["soft.exr", "-k", "identity", "--depth", "8", "-o", "back.png"]);
    let back = place.open("back.png").into_rgba8();
    for (a, b) in png.pixels().zip(back.pixels()) {
        assert!(a == b || a[3] == 0 && b[3] == 0, "{a:?} became {b:?}");
    }
}

#[test]
fn halves_compression_and_attributes_stay() {
    let place = Place::new();
    let from = Exr::open(Path::new(&file("rgba-half.exr")));
    let run = place.ok(&[&file("rgba-half.exr"), "-k", "identity", "-o", "o.exr"]);
    assert!(!run.stderr.contains("not kept"), "{}", run.stderr);
    let to = Exr::open(&place.path("o.exr"));
    assert_eq!(from.layer().channel_data, to.layer().channel_data);
    assert_eq!(from.layer().encoding, to.layer().encoding);
    assert_eq!(from.layer().attributes, to.layer().attributes);
    assert_eq!(from.0.attributes, to.0.attributes);
    assert_eq!(to.layer().attributes.owner, Some("somebody".into()));
    place.ok(&[&file("rgba-half.exr"), "-k", "identity", "--depth", "f32", "-o", "wide.exr"]);
    assert!(matches!(Exr::open(&place.path("wide.exr")).channel("R"), FlatSamples::F32(_)));
    place.ok(&[&file("rgba-half.exr"), "-k", "identity", "--strip", "-o", "bare.exr"]);
    let bare = Exr::open(&place.path("bare.exr"));
    assert_eq!(bare.layer().attributes.owner, None);
    assert_eq!(bare.layer().channel_data, from.layer().channel_data);
    for kind in ["no", "rle", "zips", "pxr24", "b44", "dwaa"] {
        let name = file(&format!("rgb-{kind}.exr"));
        place.ok(&[&name, "-k", "box", "-o", "o.exr"]);
        let (from, to) = (Exr::open(Path::new(&name)), Exr::open(&place.path("o.exr")));
        assert_eq!(from.layer().encoding.compression, to.layer().encoding.compression, "{kind}");
    }
    // Elsewhere they are named.
    let args = [&file("rgba-half.exr"), "-k", "identity", "--depth", "16", "-o", "o.png"];
    let run = place.ok(&args);
    assert!(run.stderr.contains("not kept: EXR attributes"), "{}", run.stderr);
    place.fails(3, "EXR attributes", &[&args[..], &["--strict"]].concat());
}

#[test]
fn all_channels_are_filtered_or_named() {
    let place = Place::new();
    let more = file("more-channels.exr");
    let run = place.ok(&[&more, "-k", "box", "-o", "o.exr"]);
    assert!(!run.stderr.contains("not kept"), "{}", run.stderr);
    let (from, to) = (Exr::open(Path::new(&more)), Exr::open(&place.path("o.exr")));
    assert_eq!(to.names(), "A B G R Z id spec.B spec.G spec.R");
    let width = from.layer().size.0;
    for name in ["Z", "spec.G"] {
        let (from, to) = (from.floats(name), to.floats(name));
        assert!((mean(&from, width, 5, 3) - to[3 * width + 5]).abs() < 1e-3, "{name}");
    }
    assert!(matches!(to.channel("spec.R"), FlatSamples::F16(_)));
    assert!(matches!(to.channel("Z"), FlatSamples::F32(_)));
    // Numbers of objects have no mean.
    assert_eq!(from.channel("id"), to.channel("id"));
    place.ok(&[&more, "-k", "box", "--channels", "rgb", "-o", "o.exr"]);
    assert_eq!(from.channel("Z"), Exr::open(&place.path("o.exr")).channel("Z"));
    // Numbers do not fit a smaller picture.
    let run = place.ok(&[&more, "-k", "box", "--border", "valid", "-o", "o.exr"]);
    assert!(run.stderr.contains("not kept: channel id"), "{}", run.stderr);
    assert_eq!(Exr::open(&place.path("o.exr")).names(), "A B G R Z spec.B spec.G spec.R");
    std::fs::copy(&more, place.path("more.exr")).unwrap();
    let args = ["more.exr", "-k", "box", "--border", "valid", "--in-place"];
    place.fails(5, "channel id", &args);
}

#[test]
fn channels_are_asked_for_by_name() {
    let place = Place::new();
    let more = file("more-channels.exr");
    let from = Exr::open(Path::new(&more));
    let all = ["A", "B", "G", "R", "Z", "spec.B", "spec.G", "spec.R"];
    let layer = ["spec.B", "spec.G", "spec.R"];
    for asked in [&["Z"][..], &layer, &["Z", "spec.R"], &["R"], &["spec.G"]] {
        place.ok(&[&more, "-k", "box", "--channels", &asked.join(","), "-o", "o.exr"]);
        let to = Exr::open(&place.path("o.exr"));
        assert_eq!(to.names(), from.names());
        for name in all {
            let same = from.channel(name) == to.channel(name);
            assert_eq!(same, !asked.contains(&name), "{name}, of {asked:?}");
        }
        assert_eq!(from.channel("id"), to.channel("id"));
    }
    // A layer, or a channel, that is asked for alone is the picture; what is beside it is named.
    let png = |asked: &str| {
        place.ok(&[&more, "-k", "box", "--channels", asked, "--depth", "8", "-o", "o.png"])
    };
    let run = png("spec.R,spec.G,spec.B");
    assert!(run.stderr.contains("not kept: channels A, B, G, R, Z, id"), "{}", run.stderr);
    assert_eq!(place.open("o.png").color().channel_count(), 3);
    png("Z");
    assert_eq!(place.open("o.png").color().channel_count(), 1);
    let mixed = ["-k", "box", "--channels", "R,Z", "--depth", "8", "-o", "o.png"];
    place.fails(2, "channel Z is not of the picture", &[&[more.as_str()], &mixed[..]].concat());
    place.fails(2, "no channel", &[&more, "-k", "box", "--channels", "Q", "-o", "o.exr"]);
    // Layers without a picture.
    let layers = file("layers-only.exr");
    place.fails(3, "--channels with names of one layer", &[&layers, "-k", "box", "-o", "o.exr"]);
    place.ok(&[&layers, "-k", "box", "--channels", "spec.R,spec.G,spec.B", "-o", "o.exr"]);
    let (from, to) = (Exr::open(Path::new(&layers)), Exr::open(&place.path("o.exr")));
    assert_eq!(to.names(), from.names());
    assert_eq!(from.channel("diffuse.R"), to.channel("diffuse.R"));
    assert_ne!(from.channel("spec.R"), to.channel("spec.R"));
}

#[test]
fn windows_stay_or_are_cut_out() {
    let place = Place::new();
    for (name, shift) in [("data-smaller.exr", (11, 23)), ("data-larger.exr", (-2, -1))] {
        place.ok(&[&file(name), "-k", "box", "-o", "o.exr"]);
        let (from, to) = (Exr::open(Path::new(&file(name))), Exr::open(&place.path("o.exr")));
        assert_eq!(to.layer().attributes.layer_position, Vec2(shift.0, shift.1));
        assert_eq!(to.layer().size, from.layer().size);
        assert_eq!(to.0.attributes.display_window, from.0.attributes.display_window);
        place.ok(&[&file(name), "-k", "box", "--border", "valid", "-o", "o.exr"]);
        let to = Exr::open(&place.path("o.exr"));
        assert_eq!(to.layer().attributes.layer_position, Vec2(shift.0 + 1, shift.1 + 1));
        assert_eq!(to.layer().size, from.layer().size - Vec2(2, 2));
    }
    // The border is that of the data, not the nothing around it: a constant stays one.
    let pixels = vec![0.5f32; 5 * 4];
    let channels =
        AnyChannels::sort([AnyChannel::new("Y", FlatSamples::F32(pixels))].into_iter().collect());
    let attributes = LayerAttributes { layer_position: Vec2(2, 2), ..LayerAttributes::default() };
    let layer = Layer::new((5, 4), attributes, Encoding::default(), channels);
    let image = Image::new(ImageAttributes::new(IntegerBounds::from_dimensions((9, 8))), layer);
    image.write().to_file(place.path("flat.exr")).unwrap();
    place.ok(&["flat.exr", "-k", "box", "--depth", "16", "-o", "flat.png"]);
    let flat = place.open("flat.png").into_luma16();
    assert_eq!(flat.dimensions(), (9, 8));
    for (x, y, pixel) in flat.enumerate_pixels() {
        let inside = (2..7).contains(&x) && (2..6).contains(&y);
        assert_eq!(pixel[0], if inside { 32_768 } else { 0 }, "{x}, {y}");
    }
}
