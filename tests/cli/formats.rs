//! What each format can hold, and what is done or refused where it cannot.

use super::{Place, grey16, scene, soft};
use image::DynamicImage;

#[test]
fn lossless_formats_keep_every_pixel() {
    let place = Place::with_input();
    for name in
        ["a.png", "a.webp", "a.tiff", "a.tif", "a.bmp", "a.ppm", "a.pnm", "a.pam", "a.qoi", "a.tga"]
    {
        place.ok(&["input.png", "-k", "identity", "-o", name]);
        assert_eq!(place.open(name), place.open("input.png"), "{name}");
        // And as an input, whose format the output keeps.
        place.ok(&[name, "-k", "identity"]);
        let kept = name.replace("a.", "a.identity.");
        assert_eq!(place.open(&kept), place.open("input.png"), "{kept}");
    }
}

#[test]
fn lossy_formats_come_close() {
    let place = Place::new();
    let ramp = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 2, y as u8 * 3, 90]));
    place.save("ramp.png", ramp.clone());
    for name in ["ramp.jpg", "ramp.gif"] {
        place.ok(&["ramp.png", "-k", "identity", "-o", name]);
        let out = place.open(name).into_rgb8();
        assert!(out.as_raw().iter().zip(ramp.as_raw()).all(|(a, b)| a.abs_diff(*b) < 24), "{name}");
    }
}

#[test]
fn float_formats() {
    let place = Place::with_input();
    for name in ["a.hdr", "a.exr", "a.tiff"] {
        place.ok(&["input.png", "-k", "identity", "--depth", "f32", "-o", name]);
        place.ok(&[name, "-k", "identity", "--depth", "8", "-o", "back.png"]);
        let (a, b) = (place.open("input.png").into_rgb8(), place.open("back.png").into_rgb8());
        // HDR shares one exponent between the three channels of a pixel.
        let most = if name == "a.hdr" { 2 } else { 0 };
        assert!(a.as_raw().iter().zip(b.as_raw()).all(|(a, b)| a.abs_diff(*b) <= most), "{name}");
    }
    // HDR has no negative values: derivatives are shown by their magnitude.
    place.ok(&["a.hdr", "-k", "sobel-x"]);
    let edges = place.open("a.sobel-x.hdr").into_rgb32f();
    assert!(edges.as_raw().iter().any(|&v| v > 1.0));
}

#[test]
fn grey_and_alpha_widen_where_needed() {
    let place = Place::new();
    let grey = image::GrayImage::from_fn(9, 7, |x, y| image::Luma([(x * 20 + y) as u8]));
    let both =
        image::GrayAlphaImage::from_fn(9, 7, |x, y| image::LumaA([90, (x * y * 3) as u8 | 1]));
    place.save("grey.png", grey);
    place.save("both.png", both);
    for name in [
        "o.png", "o.webp", "o.tiff", "o.bmp", "o.pgm", "o.ppm", "o.pam", "o.qoi", "o.tga", "o.gif",
        "o.jpg",
    ] {
        place.ok(&["grey.png", "-k", "identity", "-o", name]);
        let (from, to) = (place.open("grey.png").into_luma8(), place.open(name).into_luma8());
        let most = if name == "o.jpg" || name == "o.gif" { 6 } else { 1 };
        assert!(
            from.as_raw().iter().zip(to.as_raw()).all(|(a, b)| a.abs_diff(*b) <= most),
            "{name}"
        );
    }
    for name in ["o.png", "o.webp", "o.tiff", "o.bmp", "o.pam", "o.pnm", "o.qoi", "o.tga"] {
        place.ok(&["both.png", "-k", "identity", "-o", name]);
        assert_eq!(place.open(name).into_rgba8(), place.open("both.png").into_rgba8(), "{name}");
    }
}

#[test]
fn pnm_files_are_of_the_kind_their_name_says() {
    let place = Place::new();
    place.save("grey.png", grey16(9, 7));
    place.save("rgb.png", scene(9, 7));
    let magic = |name: &str| std::fs::read(place.path(name)).unwrap()[..2].to_vec();
    for (from, to, kind) in [
        ("grey.png", "o.pgm", b"P5"),
        ("grey.png", "o.pnm", b"P5"),
        ("grey.png", "o.ppm", b"P6"),
        ("grey.png", "o.pam", b"P7"),
        ("rgb.png", "o.ppm", b"P6"),
        ("rgb.png", "o.pnm", b"P6"),
        ("rgb.png", "o.pam", b"P7"),
    ] {
        place.ok(&[from, "-k", "identity", "-o", to]);
        assert_eq!(magic(to), kind, "{from} {to}");
        assert_eq!(place.open(to).into_rgb16(), place.open(from).into_rgb16(), "{from} {to}");
    }
    place.fails(2, "colour", &["rgb.png", "-k", "box", "-o", "p.pgm"]);
    place.fails(2, ".pbm", &["rgb.png", "-k", "box", "-o", "p.pbm"]);
    place.write("bits.pbm", "P1\n4 2\n1 0 1 0\n0 1 0 1\n");
    place.ok(&["bits.pbm", "-k", "box"]);
    assert_eq!(magic("bits.box.pnm"), b"P5");
}

#[test]
fn losing_alpha_or_depth_must_be_allowed() {
    let place = Place::new();
    place.save("soft.png", soft(20, 9));
    place.save("opaque.png", DynamicImage::from(scene(9, 7)).into_rgba8());
    place.save("deep.png", grey16(20, 9));
    place.fails(2, "--alpha drop", &["soft.png", "-k", "box", "-o", "o.jpg"]);
    place.fails(2, "--alpha drop", &["soft.png", "-k", "box", "-o", "o.ppm"]);
    place.ok(&["soft.png", "-k", "box", "-o", "o.jpg", "--alpha", "drop"]);
    // Alpha that hides nothing is no loss.
    place.ok(&["opaque.png", "-k", "box", "-o", "o.jpg"]);
    for name in ["d.jpg", "d.webp", "d.bmp", "d.gif", "d.qoi", "d.tga"] {
        place.fails(2, "--depth 8", &["deep.png", "-k", "box", "-o", name]);
        place.ok(&["deep.png", "-k", "box", "--depth", "8", "-o", "o.png"]);
    }
    place.fails(2, "--depth 16", &["soft.png", "-k", "box", "--depth", "f32"]);
    place.fails(2, "--depth f32", &["soft.png", "-k", "box", "-o", "o.exr"]);
    place.fails(2, "cannot write .xyz", &["soft.png", "-k", "box", "-o", "o.xyz"]);
}

#[test]
fn the_content_says_what_a_file_is() {
    let place = Place::with_input();
    std::fs::rename(place.path("input.png"), place.path("wrong.jpg")).unwrap();
    place.ok(&["wrong.jpg", "-k", "identity"]);
    let bytes = std::fs::read(place.path("wrong.identity.png")).unwrap();
    assert_eq!(image::guess_format(&bytes).unwrap(), image::ImageFormat::Png);
    std::fs::rename(place.path("wrong.jpg"), place.path("photo.v2")).unwrap();
    place.ok(&["photo.v2", "-k", "box"]);
    assert!(place.path("photo.v2.box.png").exists());
}
