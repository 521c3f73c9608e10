//! Scale, offset, range, depth and alpha: how weighted sums become samples.

use super::exr::Exr;
use super::readers::written;
use super::{Place, assert_close, expected, grey16, named, soft};
use image::DynamicImage;
use twopass::Alpha;

#[test]
fn scale_and_offset() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let flags = ["--scale", "-0.5", "--offset", "200.25", "--range", "clamp"];
    place.ok(&[&["input.png", "-k", "box", "-o", "out.png"], &flags[..]].concat());
    let want = expected(&named("box").scale(-0.5).offset(200.25), &image);
    assert_close(&place.open("out.png"), &want, 1);
}

#[test]
fn ranges_of_signed_results() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let result = |flags: &[&str]| {
        place.ok(&[&["input.png", "-k", "sobel-x", "-o", "out.png"], flags].concat());
        place.open("out.png")
    };
    let sobel = || named("sobel-x");
    assert_close(&result(&[]), &expected(&sobel().abs(), &image), 0);
    assert_close(&result(&["--range", "abs"]), &expected(&sobel().abs(), &image), 0);
    assert_close(&result(&["--range", "clamp"]), &expected(&sobel(), &image), 0);
    assert_close(&result(&["--range", "offset"]), &expected(&sobel().offset(128.0), &image), 0);
    // An offset says how signs are to be shown, so nothing is made absolute.
    assert_close(&result(&["--offset", "10"]), &expected(&sobel().offset(10.0), &image), 0);
    place.fails(2, "magnitude", &["input.png", "-k", "sobel", "--range", "offset"]);
}

#[test]
fn stretch_reaches_both_ends() {
    let place = Place::with_input();
    for kernel in ["sobel-x", "sobel", "gaussian"] {
        place.ok(&["input.png", "-k", kernel, "--range", "stretch", "-o", "out.png"]);
        let out = place.open("out.png").into_rgb8();
        let (low, high) = (out.as_raw().iter().min(), out.as_raw().iter().max());
        assert_eq!((low, high), (Some(&0), Some(&255)), "{kernel}");
    }
    // A flat result has nothing to stretch.
    place.save("flat.png", image::GrayImage::from_pixel(5, 5, image::Luma([90])));
    place.ok(&["flat.png", "-k", "box", "--range", "stretch"]);
    assert!(place.open("flat.box.png").as_bytes().iter().all(|&v| v == 0));
    // Alpha is not part of what is stretched.
    place.save("soft.png", soft(20, 9));
    place.ok(&["soft.png", "-k", "sobel-y", "--range", "stretch"]);
    let (from, to) =
        (place.open("soft.png").into_rgba8(), place.open("soft.sobel-y.png").into_rgba8());
    assert!(from.pixels().zip(to.pixels()).all(|(a, b)| a[3] == b[3]));
}

#[test]
fn depth_is_changed_with_one_rounding() {
    let place = Place::with_input();
    place.ok(&["input.png", "-k", "identity", "--depth", "16", "-o", "deep.png"]);
    let (from, to) = (place.open("input.png").into_rgb8(), place.open("deep.png"));
    let DynamicImage::ImageRgb16(to) = to else { panic!("not 16 bits") };
    assert!(from.as_raw().iter().zip(to.as_raw()).all(|(a, b)| u16::from(*a) * 257 == *b));
    place.ok(&["deep.png", "-k", "identity", "--depth", "8", "-o", "back.png"]);
    assert_eq!(place.open("back.png"), place.open("input.png"));

    // The mean of 0 and 1 is seen in 16 bits.
    place.save("two.png", image::GrayImage::from_raw(2, 1, vec![0, 1]).unwrap());
    place.ok(&["two.png", "-k", "1/2 1/2", "--anchor", "0,0", "--depth", "16"]);
    let DynamicImage::ImageLuma16(mean) = place.open("two.kernel.png") else { panic!() };
    assert_eq!(mean.get_pixel(0, 0)[0], 129);

    // Float outputs keep signs.
    let args = ["two.png", "-k", "-1 0 1", "--border", "constant", "--depth", "f32"];
    place.ok(&[&args[..], &["-o", "two.exr"]].concat());
    let two = Exr::open(&place.path("two.exr")).floats("Y");
    assert!((two[0] - 1.0 / 255.0).abs() < 1e-8);
    assert_eq!(two[1], 0.0);
    place.ok(&["two.png", "-k", "-1 0 0", "--depth", "f32", "-o", "signed.tiff"]);
    let signed = written(&place.path("signed.tiff"));
    assert_eq!((signed.channels, signed.values), (1, vec![-1.0 / 255.0, 0.0]));
}

#[test]
fn sixteen_bits_stay_sixteen() {
    let place = Place::new();
    place.save("chart.png", grey16(31, 12));
    place.ok(&["chart.png", "-k", "identity"]);
    assert_eq!(place.open("chart.identity.png"), place.open("chart.png"));
    place.ok(&["chart.png", "-k", "laplacian", "--range", "offset", "--verify", "-o", "o.png"]);
    let DynamicImage::ImageLuma16(_) = place.open("o.png") else { panic!("not 16 bits") };
}

#[test]
fn alpha_is_handled_as_asked() {
    let place = Place::new();
    place.save("soft.png", soft(20, 9));
    let image = place.open("soft.png");
    let result = |kernel: &str, flags: &[&str]| {
        place.ok(&[&["soft.png", "-k", kernel, "-o", "out.png"], flags].concat());
        place.open("out.png")
    };
    let blur = |alpha| named("box").alpha(alpha);
    assert_close(&result("box", &[]), &expected(&blur(Alpha::Premultiply), &image), 1);
    for (name, alpha) in
        [("premultiply", Alpha::Premultiply), ("plain", Alpha::Plain), ("keep", Alpha::Keep)]
    {
        assert_close(&result("box", &["--alpha", name]), &expected(&blur(alpha), &image), 1);
    }
    let edges = named("sobel-x").abs().alpha(Alpha::Keep);
    assert_close(&result("sobel-x", &[]), &expected(&edges, &image), 0);
    let dropped = result("box", &["--alpha", "drop"]);
    let colour = DynamicImage::from(image.to_rgb8());
    assert_close(&dropped, &expected(&named("box"), &colour), 1);
    // A picture without alpha has nothing to handle.
    place.save("plain.png", colour);
    place.ok(&["plain.png", "-k", "box", "--alpha", "premultiply"]);
}

#[test]
fn alpha_follows_a_change_of_depth() {
    let place = Place::new();
    place.save("soft.png", soft(20, 9));
    for kernel in ["identity", "sobel-x"] {
        place.ok(&["soft.png", "-k", kernel, "--depth", "16", "-o", "deep.png"]);
        let (from, to) = (place.open("soft.png").into_rgba8(), place.open("deep.png"));
        let DynamicImage::ImageRgba16(to) = to else { panic!("not 16 bits") };
        for (a, b) in from.pixels().zip(to.pixels()) {
            assert_eq!(u16::from(a[3]) * 257, b[3]);
            if kernel == "identity" && a[3] > 0 {
                assert_eq!(u16::from(a[0]) * 257, b[0]);
            }
        }
    }
}
