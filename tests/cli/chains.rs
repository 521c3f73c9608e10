//! Several kernels: applied from left to right, rounded once.

use super::{Place, assert_close, expected, grey16, named, soft};
use image::DynamicImage;
use twopass::{Border, Filter, Image, Kernel, KernelParams, NamedKernel};

/// The definition's answer for a chain: every stage in `f32`, the last one rounded.
fn chain_of(filters: &[Filter], image: &DynamicImage) -> Image<u8> {
    let (last, before) = filters.split_last().unwrap();
    let (first, between) = before.split_first().unwrap();
    let mut floats: Image<f32> = expected(first, image);
    for filter in between {
        floats = twopass::reference::filter(filter, floats.view()).unwrap();
    }
    twopass::reference::filter(last, floats.view()).unwrap()
}

fn gaussian(sigma: f64) -> Filter {
    let params = KernelParams { sigma: Some(sigma), ..Default::default() };
    let kernels = NamedKernel::find("gaussian").unwrap().kernels(&params).unwrap();
    Filter::new(kernels[0].clone())
}

#[test]
fn kernels_are_applied_left_to_right() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let args = ["-k", "gaussian", "--sigma", "2", "-k", "laplacian", "--range", "offset"];
    let run = place.ok(&[&["input.png"], &args[..]].concat());
    assert!(run.stderr.contains("wrote input.gaussian+laplacian.png"), "{}", run.stderr);
    let want = chain_of(&[gaussian(2.0), named("laplacian").offset(128.0)], &image);
    assert_close(&place.open("input.gaussian+laplacian.png"), &want, 1);

    // Derivatives are shown by their magnitude, also at the end of a chain; a gradient's
    // magnitude that is blurred is a picture.
    place.ok(&["input.png", "-k", "gaussian", "--sigma", "1", "-k", "sobel-x", "-o", "out.png"]);
    let want = chain_of(&[gaussian(1.0), named("sobel-x").abs()], &image);
    assert_close(&place.open("out.png"), &want, 1);
    place.ok(&["input.png", "-k", "sobel", "-k", "box", "-k", "sharpen", "-o", "out.png"]);
    let want = chain_of(&[named("sobel"), named("box"), named("sharpen")], &image);
    assert_close(&place.open("out.png"), &want, 1);
}

#[test]
fn parameters_belong_to_their_kernel() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let args = ["-k", "gaussian", "--sigma", "1", "-k", "gaussian", "--sigma", "3", "-o", "o.png"];
    place.ok(&[&["input.png"], &args[..]].concat());
    assert_close(&place.open("o.png"), &chain_of(&[gaussian(1.0), gaussian(3.0)], &image), 1);
    // Before the first kernel: the first one's. Anchors belong to kernels as well.
    let args = ["--sigma", "3", "-k", "gaussian", "-k", "1 0 0", "--anchor", "0,0", "-o", "o.png"];
    place.ok(&[&["input.png"], &args[..]].concat());
    assert_close(&place.open("o.png"), &expected(&gaussian(3.0), &image), 1);
    place.fails(2, "does not take", &["input.png", "-k", "gaussian", "-k", "box", "--sigma", "2"]);
    place.fails(2, "more than once", &["input.png", "-k", "box", "--size", "3", "--size", "5"]);
}

#[test]
fn nothing_is_rounded_between() {
    let place = Place::new();
    let ramp = image::GrayImage::from_fn(40, 9, |x, y| image::Luma([(x * 3 + y) as u8]));
    place.save("ramp.png", ramp);
    // A thousandth survives; in 8 bits it would not. Nor is anything cut off.
    place.ok(&["ramp.png", "-k", "1/1000", "-k", "1000", "-o", "o.png"]);
    assert_eq!(place.open("o.png"), place.open("ramp.png"));
    place.ok(&["ramp.png", "-k", "-100", "-k", "-1/100", "-o", "o.png"]);
    assert_eq!(place.open("o.png"), place.open("ramp.png"));
    place.save("deep.png", grey16(31, 12));
    place.ok(&["deep.png", "-k", "1/1000", "-k", "1000", "-o", "o.png"]);
    assert_eq!(place.open("o.png"), place.open("deep.png"));
    // Scale and offset are for the end.
    place.ok(&["ramp.png", "-k", "identity", "-k", "identity", "--offset", "7", "-o", "o.png"]);
    let pairs =
        place.open("ramp.png").into_bytes().into_iter().zip(place.open("o.png").into_bytes());
    assert!({ pairs }.all(|(a, b)| a + 7 == b));
}

#[test]
fn borders_alpha_and_depth_of_chains() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let constant = Border::Constant(vec![200.0]);
    let args = ["-k", "box", "-k", "box", "--border", "constant:200", "-o", "o.png"];
    place.ok(&[&["input.png"], &args[..]].concat());
    let filter = named("box").border(constant);
    assert_close(&place.open("o.png"), &chain_of(&[filter.clone(), filter], &image), 1);
    // Each stage of `valid` shrinks.
    place.ok(&["input.png", "-k", "box", "-k", "box", "--border", "valid", "-o", "o.png"]);
    assert_eq!((place.open("o.png").width(), place.open("o.png").height()), (19, 13));
    place.save("soft.png", soft(20, 9));
    place.ok(&["soft.png", "-k", "identity", "-k", "identity", "-o", "o.png"]);
    let (from, to) = (place.open("soft.png").into_rgba8(), place.open("o.png").into_rgba8());
    assert!(from.pixels().zip(to.pixels()).all(|(a, b)| a[3] == b[3] && (a[3] == 0 || a == b)));
    place.ok(&["input.png", "-k", "identity", "-k", "identity", "--depth", "16", "-o", "o.png"]);
    let DynamicImage::ImageRgb16(deep) = place.open("o.png") else { panic!("not 16 bits") };
    assert!(deep.as_raw().iter().zip(image.as_bytes()).all(|(a, b)| *a == u16::from(*b) * 257));
}

#[test]
fn chains_are_explained_verified_and_timed() {
    let place = Place::with_input();
    let args = ["input.png", "-k", "gaussian", "-k", "sobel-x", "--explain", "--verify"];
    let run = place.ok(&[&args[..], &["--bench", "2"]].concat());
    for part in ["chain of 2 stages", "stage 1 of 2", "stage 2 of 2", "rounded once", "bench: 2"] {
        assert!(run.text().contains(part), "{part:?} is not in\n{}", run.text());
    }
    assert_eq!(run.text().matches("verify: all samples").count(), 1, "{}", run.text());
    let json = place.ok(&[&args[..], &["--json", "--bench", "2"]].concat()).json();
    assert_eq!(json["chain"][0]["kernel"]["name"], "gaussian");
    assert_eq!(json["chain"][1]["kernel"]["name"], "sobel-x");
    // Three channels, 7 + 7 and 3 + 3 taps.
    assert_eq!(json["plan"]["multiplications_per_sample"], 20);
    assert_eq!(json["plan"]["segments"], 1);
    assert!(json.get("kernel").is_none() && json["verify"]["max_error"].is_f64());
    assert!(json["bench"]["speedup"].is_f64());
}

#[test]
fn flipped_kernels_convolve() {
    let place = Place::with_input();
    let image = place.open("input.png");
    place.ok(&["input.png", "-k", "1 2 3; 4 5 6", "--flip", "--scale", "0.047619", "-o", "o.png"]);
    let kernel = Kernel::new(3, 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap().flipped();
    let want = expected(&Filter::new(kernel).scale(0.047619), &image);
    assert_close(&place.open("o.png"), &want, 1);
}
