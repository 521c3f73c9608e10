//! TIFF files that are written: what their samples are, how they are compressed, and what goes with them.

use super::readers::{file, written};
use super::{Place, grey16, scene, soft};
use ::tiff::decoder::Decoder;
use ::tiff::decoder::ifd::Value;
use ::tiff::encoder::TiffEncoder;
use ::tiff::encoder::colortype::Gray8;
use ::tiff::tags::Tag;
use std::fs::File;

fn tag(place: &Place, name: &str, tag: Tag) -> Option<Vec<u64>> {
    let mut decoder = Decoder::new(File::open(place.path(name)).unwrap()).unwrap();
    decoder.find_tag_unsigned_vec(tag).unwrap()
}

#[test]
fn alpha_is_said_to_be_alpha() {
    let place = Place::new();
    place.save("soft.png", soft(20, 9));
    place.ok(&["soft.png", "-k", "identity", "--alpha", "plain", "-o", "o.tif"]);
    assert_eq!(tag(&place, "o.tif", Tag::ExtraSamples), Some(vec![2]));
    assert_eq!(place.open("o.tif"), place.open("soft.png"));
    place.save("scene.png", scene(20, 9));
    place.ok(&["scene.png", "-k", "identity", "-o", "o.tif"]);
    assert_eq!(tag(&place, "o.tif", Tag::ExtraSamples), None);
    // What is premultiplied stays so, and is filtered so.
    let file = file("alpha-premultiplied.tif");
    place.ok(&[&file, "-k", "identity", "-o", "o.tif"]);
    assert_eq!(tag(&place, "o.tif", Tag::ExtraSamples), Some(vec![1]));
    assert_eq!(place.open("o.tif"), image::open(&file).unwrap());
    place.ok(&[&file, "-k", "box", "-o", "o.tif"]);
    place.ok(&["o.tif", "-k", "identity", "-o", "a.png"]);
    let run = place.ok(&[&file, "-k", "box", "-o", "b.png"]);
    assert!(run.stderr.contains("colours divided by alpha"), "{}", run.stderr);
    let (a, b) = (place.open("a.png").into_rgba8(), place.open("b.png").into_rgba8());
    for (a, b) in a.pixels().zip(b.pixels()) {
        // Rounding under little alpha is coarse.
        let most = 2 + 255 / a[3].max(1);
        assert!(a.0.iter().zip(b.0).all(|(a, b)| a.abs_diff(b) <= most), "{a:?} {b:?}");
    }
    // What is added to colours, or decodes them, needs them straight.
    for flags in [&["--offset", "9"][..], &["--linear"], &["--mix", "invert"]] {
        place.ok(&[&[&*file, "-k", "identity", "-o", "o.tif"], flags].concat());
        assert_eq!(tag(&place, "o.tif", Tag::ExtraSamples), Some(vec![2]), "{flags:?}");
    }
}

#[test]
fn grey_floats_stay_grey_floats() {
    let place = Place::new();
    place.save("deep.png", grey16(20, 9));
    place.ok(&["deep.png", "-k", "identity", "--depth", "f32", "-o", "o.tif"]);
    let floats = written(&place.path("o.tif"));
    assert_eq!((floats.size, floats.channels), ((20, 9), 1));
    place.ok(&["o.tif", "-k", "identity", "--depth", "16", "-o", "back.png"]);
    assert_eq!(place.open("back.png"), place.open("deep.png"));
    place.ok(&["o.tif", "-k", "identity", "-o", "o.pfm"]);
    place.ok(&["o.pfm", "-k", "identity", "-o", "p.tif"]);
    assert_eq!(written(&place.path("p.tif")).values, floats.values);
}

#[test]
fn compression_is_the_inputs_or_as_asked() {
    let place = Place::new();
    place.save("scene.png", scene(150, 90));
    let size = |name: &str| place.bytes(name).len();
    place.ok(&["scene.png", "-k", "identity", "-o", "plain.tif"]);
    assert_eq!(tag(&place, "plain.tif", Tag::Compression), Some(vec![1]));
    for (effort, method) in [("none", 1), ("fast", 8), ("default", 8), ("best", 8)] {
        let name = format!("{effort}.tif");
        place.ok(&["scene.png", "-k", "identity", "--compression", effort, "-o", &name]);
        assert_eq!(tag(&place, &name, Tag::Compression), Some(vec![method]));
        assert_eq!(place.open(&name), place.open("scene.png"), "{effort}");
    }
    assert!(size("best.tif") <= size("default.tif") && size("default.tif") < size("none.tif"));
    for (name, method) in [
        ("tiles-lzw.tif", 5),
        ("tiles-deflate.tif", 8),
        ("tiles-packbits.tif", 32_773),
        ("jpeg-420.tif", 8),
        ("strips.tif", 5),
    ] {
        place.ok(&[&file(name), "-k", "identity", "-o", "o.tif"]);
        assert_eq!(tag(&place, "o.tif", Tag::Compression), Some(vec![method]), "{name}");
        place.ok(&[&file(name), "-k", "identity", "-o", "a.png"]);
        place.ok(&["o.tif", "-k", "identity", "-o", "b.png"]);
        assert_eq!(place.open("a.png"), place.open("b.png"), "{name}");
        assert_eq!(place.open("o.tif"), place.open("b.png"), "{name}");
    }
    // All sample types, by each predictor.
    place.save("grey.png", grey16(61, 40));
    for (from, depth) in
        [("scene.png", "16"), ("scene.png", "f32"), ("grey.png", "16"), ("grey.png", "f32")]
    {
        place.ok(&[from, "-k", "identity", "--depth", depth, "-o", "none.tif"]);
        place.ok(&[
            from,
            "-k",
            "identity",
            "--depth",
            depth,
            "--compression",
            "best",
            "-o",
            "best.tif",
        ]);
        place.ok(&["none.tif", "-k", "identity", "--depth", "16", "-o", "a.png"]);
        place.ok(&["best.tif", "-k", "identity", "--depth", "16", "-o", "b.png"]);
        assert_eq!(place.open("a.png"), place.open("b.png"), "{from} {depth}");
        if depth == "f32" {
            assert_eq!(
                written(&place.path("none.tif")).values,
                written(&place.path("best.tif")).values
            );
        }
    }
}

#[test]
fn gifs_say_that_they_have_no_partial_transparency() {
    let place = Place::new();
    place.save("soft.png", soft(20, 9));
    let run = place.ok(&["soft.png", "-k", "identity", "-o", "o.gif"]);
    assert!(run.stderr.contains("not kept: partial transparency"), "{}", run.stderr);
    let (from, to) = (soft(20, 9), place.open("o.gif").into_rgba8());
    for (a, b) in from.pixels().zip(to.pixels()) {
        assert_eq!(b[3], if a[3] < 128 { 0 } else { 255 });
    }
    place.fails(3, "partial transparency", &["soft.png", "-k", "box", "-o", "p.gif", "--strict"]);
    place.save(
        "hard.png",
        image::RgbaImage::from_fn(9, 9, |x, _| image::Rgba([9, 9, 9, 255 * (x as u8 % 2)])),
    );
    place.ok(&["hard.png", "-k", "identity", "-o", "o.gif", "--strict"]);
}

/// The bytes of a tag, and of one in the directory of Exif data.
fn raw(place: &Place, name: &str, tag: u16, exif: bool) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new(File::open(place.path(name)).unwrap()).unwrap();
    let tag = Tag::from_u16_exhaustive(tag);
    let value = if exif {
        let at = decoder.find_tag(Tag::ExifDirectory).unwrap()?;
        let directory = decoder.read_directory(at.into_ifd_pointer().unwrap()).unwrap();
        decoder.read_directory_tags(&directory).find_tag(tag).unwrap()?
    } else {
        decoder.find_tag(tag).unwrap()?
    };
    Some(match value {
        Value::Ascii(text) => text.into_bytes(),
        Value::Rational(a, b) => [a, b].map(u32::to_be_bytes).concat(),
        value => value.into_u8_vec().unwrap_or_else(|e| panic!("{name}: {tag:?}: {e}")),
    })
}

#[test]
fn what_goes_with_a_picture_stays() {
    let place = Place::new();
    let (tif, jpg) = (file("tagged.tif"), file("tagged.jpg"));
    for from in [&tif, &jpg] {
        let run = place.ok(&[from, "-k", "identity", "-o", "o.tif"]);
        assert!(!run.stderr.contains("not kept"), "{}", run.stderr);
        let main = |tag| raw(&place, "o.tif", tag, false);
        let text = |tag| main(tag).map(|t| String::from_utf8(t).unwrap());
        assert_eq!(text(270).as_deref(), Some("a description"));
        assert_eq!(text(271).as_deref(), Some("A maker"));
        assert_eq!(text(33_432).as_deref(), Some("somebody"));
        let resolution = |dpi: u32| Some([dpi, 1].map(u32::to_be_bytes).concat());
        assert_eq!((main(282), main(283)), (resolution(300), resolution(150)));
        assert_eq!(tag(&place, "o.tif", Tag::ResolutionUnit), Some(vec![2]));
        assert!(main(34_675).is_some_and(|profile| profile.len() == 588));
        assert!(text(700).is_some_and(|xmp| xmp.contains("xmpmeta")));
    }
    // The directory of Exif data came with the JPEG file, the name of the page with the TIFF file.
    let date = raw(&place, "o.tif", 0x9003, true).unwrap();
    assert_eq!(date, b"2026:11:28 19:00:00");
    place.ok(&[&tif, "-k", "identity", "-o", "p.tif"]);
    assert_eq!(raw(&place, "p.tif", 285, false).as_deref(), Some(&b"a page"[..]));
    let run = place.ok(&[&tif, "-k", "identity", "-o", "p.png"]);
    assert!(run.stderr.contains("not kept: name of the page"), "{}", run.stderr);
    // From there to another format, and back again.
    place.ok(&["o.tif", "-k", "identity", "-o", "next.png"]);
    place.ok(&["next.png", "-k", "identity", "-o", "back.tif"]);
    assert_eq!(raw(&place, "back.tif", 0x9003, true), Some(date));
    // PNG files count whole pixels to the metre.
    let resolution = raw(&place, "back.tif", 282, false).unwrap();
    let [n, d] = [0, 4].map(|at| u32::from_be_bytes(*resolution[at..].first_chunk().unwrap()));
    assert!((f64::from(n) / f64::from(d) * 2.54 - 300.0).abs() < 0.01, "{n}/{d}");
    assert_eq!(tag(&place, "back.tif", Tag::ResolutionUnit), Some(vec![3]));
    place.ok(&[&tif, "-k", "identity", "--strip", "-o", "bare.tif"]);
    for tag in [270, 282, 285, 700, 34_675] {
        assert_eq!(raw(&place, "bare.tif", tag, false), None, "{tag}");
    }
}

/// ImageMagick says of every picture that it is the first page of one.
#[test]
fn the_number_of_the_only_page_is_nothing_to_lose() {
    let place = Place::new();
    for (pages, named) in [(1, false), (3, true)] {
        let mut encoder = TiffEncoder::new(File::create(place.path("a.tif")).unwrap()).unwrap();
        let mut image = encoder.new_image::<Gray8>(2, 2).unwrap();
        image.encoder().write_tag(Tag::Unknown(297), &[0u16, pages][..]).unwrap();
        image.write_data(&[1, 2, 3, 4]).unwrap();
        let run = place.ok(&["a.tif", "-k", "identity", "-o", "a.png"]);
        assert_eq!(run.stderr.contains("number of the page"), named, "{}", run.stderr);
        place.ok(&["a.tif", "-k", "identity", "-o", "b.tif"]);
        assert_eq!(tag(&place, "b.tif", Tag::Unknown(297)), Some(vec![0, pages.into()]));
    }
}
