//! Linear light, and some channels alone.

use super::{Place, assert_close, expected, grey16, named, scene, soft};
use image::DynamicImage;
use twopass::{Alpha, Image};

fn decode(v: u8) -> f64 {
    let v = f64::from(v) / 255.0;
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

fn encode(v: f64) -> f64 {
    if v <= 0.0031308 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

#[test]
fn light_is_filtered_linearly() {
    let place = Place::with_input();
    let image = place.open("input.png").into_rgb8();
    place.ok(&["input.png", "-k", "box", "--linear", "--border", "replicate", "-o", "o.png"]);
    let out = place.open("o.png").into_rgb8();
    let (w, h) = image.dimensions();
    for (x, y, pixel) in out.enumerate_pixels() {
        for c in 0..3 {
            let at = |dx: i64, dy: i64| {
                let x = (i64::from(x) + dx).clamp(0, i64::from(w) - 1) as u32;
                let y = (i64::from(y) + dy).clamp(0, i64::from(h) - 1) as u32;
                decode(image.get_pixel(x, y)[c])
            };
            let sum: f64 = (-1..2)
                .flat_map(|dy| (-1..2).map(move |dx| (dx, dy)))
                .map(|(dx, dy)| at(dx, dy))
                .sum();
            let want = 255.0 * encode(sum / 9.0);
            assert!((f64::from(pixel[c]) - want).abs() < 0.51, "{x} {y}: {} {want}", pixel[c]);
        }
    }
    // Half black, half white is brighter than middle grey.
    let two = image::GrayImage::from_raw(2, 1, vec![0, 255]).unwrap();
    place.save("two.png", two);
    for (flags, want) in [(&[][..], 128), (&["--linear"], 188)] {
        let args = ["two.png", "-k", "1/2 1/2", "--border", "wrap", "-o", "o.png"];
        place.ok(&[&args[..], flags].concat());
        assert_eq!(place.open("o.png").as_bytes(), [want, want]);
    }
}

#[test]
fn what_is_not_filtered_stays() {
    let place = Place::with_input();
    place.save("soft.png", soft(20, 9));
    for name in ["input.png", "soft.png"] {
        place.ok(&[name, "-k", "identity", "--linear", "-o", "o.png"]);
        let (from, to) = (place.open(name).into_rgba8(), place.open("o.png").into_rgba8());
        assert!(from.pixels().zip(to.pixels()).all(|(a, b)| a == b || a[3] == 0 && b[3] == 0));
    }
    let deep = image::ImageBuffer::from_fn(256, 256, |x, y| image::Luma([(y * 256 + x) as u16]));
    place.save("deep.png", deep);
    place.ok(&["deep.png", "-k", "identity", "-k", "identity", "--linear", "-o", "o.png"]);
    assert_eq!(place.open("o.png"), place.open("deep.png"));
    // Floats are linear: written so, and read so.
    place.ok(&["input.png", "-k", "identity", "--linear", "--depth", "f32", "-o", "o.exr"]);
    let (from, to) = (place.open("input.png").into_rgb8(), place.open("o.exr").into_rgb32f());
    let pairs = from.as_raw().iter().zip(to.as_raw());
    assert!({ pairs }.all(|(a, b)| (decode(*a) - f64::from(*b)).abs() < 1e-6));
    place.ok(&["o.exr", "-k", "identity", "--linear", "--depth", "8", "-o", "o.png"]);
    assert_eq!(place.open("o.png").into_rgb8(), from);
}

#[test]
fn linear_light_has_ranges_borders_and_reports() {
    let place = Place::with_input();
    let args =
        ["input.png", "-k", "sobel-x", "--linear", "--border", "constant:255", "-o", "o.png"];
    place.ok(&[&args[..], &["--range", "offset"]].concat());
    place.ok(&[&args[..], &["--range", "stretch"]].concat());
    let out = place.open("o.png").into_rgb8();
    assert!(out.as_raw().contains(&0) && out.as_raw().contains(&255));
    let run = place.ok(&["input.png", "-k", "box", "--linear", "--explain", "--verify"]);
    assert!(run.text().contains("linear light"), "{}", run.text());
    // A constant border is a colour like those of the picture.
    place.save("white.png", image::GrayImage::from_pixel(5, 4, image::Luma([200])));
    let args = ["white.png", "-k", "gaussian", "--linear", "--border", "constant:200"];
    place.ok(&[&args[..], &["-o", "o.png"]].concat());
    assert_eq!(place.open("o.png"), place.open("white.png"));
}

#[test]
fn channels_are_filtered_or_copied() {
    let place = Place::with_input();
    place.save("soft.png", soft(20, 9));
    let (image, rgba) = (place.open("input.png"), place.open("soft.png"));
    let mix = |image: &DynamicImage, filtered: Image<u8>, chosen: &[usize]| {
        let n = filtered.shape().channels;
        let pairs = filtered.data().iter().zip(image.as_bytes()).enumerate();
        let data = pairs.map(|(i, (f, s))| if chosen.contains(&(i % n)) { *f } else { *s });
        Image::from_vec(data.collect(), filtered.shape()).unwrap()
    };
    let result = |name: &str, channels: &str| {
        place.ok(&[name, "-k", "box", "--channels", channels, "-o", "o.png"]);
        place.open("o.png")
    };
    let boxed = expected::<u8>(&named("box"), &image);
    for (text, chosen) in [("0,2", &[0, 2][..]), ("rb", &[0, 2]), ("rgb", &[0, 1, 2]), ("1", &[1])]
    {
        assert_close(&result("input.png", text), &mix(&image, boxed.clone(), chosen), 1);
    }
    // Colours alone are still weighted by alpha, so that what is not seen does not bleed.
    let weighted = expected::<u8>(&named("box").alpha(Alpha::Premultiply), &rgba);
    let got = result("soft.png", "rgb");
    let (got8, from) = (got.to_rgba8(), rgba.to_rgba8());
    assert!(got8.pixels().zip(from.pixels()).all(|(a, b)| a[3] == b[3]));
    assert_close(&got, &mix(&rgba, weighted, &[0, 1, 2]), 1);
    let plain = expected::<u8>(&named("box").alpha(Alpha::Plain), &rgba);
    assert_close(&result("soft.png", "a"), &mix(&rgba, plain, &[3]), 1);

    // Copied pixels lie where they belong, also where the picture shrinks, and are of the depth.
    let args = ["input.png", "-k", "box", "--channels", "1", "--border", "valid", "-o", "o.png"];
    place.ok(&[&args[..], &["--depth", "16"]].concat());
    let DynamicImage::ImageRgb16(out) = place.open("o.png") else { panic!("not 16 bits") };
    let image = image.into_rgb8();
    assert_eq!(u16::from(image.get_pixel(4, 6)[2]) * 257, out.get_pixel(3, 5)[2]);
    for bad in ["a", "3", "x", "0,9", "", "r,g"] {
        place.fails(2, "--channels", &["input.png", "-k", "box", "--channels", bad]);
    }
}

/// Light is decoded and encoded in bands of rows, or all at once where the results are verified.
#[test]
fn bands_of_rows_make_no_difference() {
    let place = Place::new();
    place.save("high.png", scene(31, 400));
    place.save("soft.png", soft(40, 300));
    place.save("deep.png", grey16(17, 290));
    for (name, flags) in [
        ("high.png", &["-k", "gaussian", "--sigma", "3"][..]),
        ("high.png", &["-k", "box", "--border", "wrap", "--range", "offset"]),
        ("high.png", &["-k", "box", "--border", "valid", "--depth", "16"]),
        ("high.png", &["-k", "motion", "--length", "300", "--angle", "90"]),
        ("high.png", &["-k", "log", "-k", "sharpen", "--channels", "rb"]),
        ("high.png", &["-k", "unsharp", "--region", "2,100,20,177"]),
        ("soft.png", &["-k", "gaussian"]),
        ("deep.png", &["-k", "gaussian", "--border", "constant:1000"]),
    ] {
        let args = [&[name, "--linear", "-q"], flags].concat();
        place.ok(&[&args[..], &["-o", "bands.png"]].concat());
        place.ok(&[&args[..], &["-o", "whole.png", "--verify"]].concat());
        assert_eq!(place.open("bands.png"), place.open("whole.png"), "{name} {flags:?}");
    }
}
