//! A part of a picture, a mask over it, and sharpening above a threshold.

use super::{Place, grey16, scene, soft};
use image::{GenericImageView, Luma, Rgb};

/// Whether the pixels of `got` are those of `inside` in the rectangle and of `outside` elsewhere.
#[track_caller]
fn assert_patched(place: &Place, got: &str, inside: &str, outside: &str, rect: [u32; 4]) {
    let [got, inside, outside] = [got, inside, outside].map(|name| place.open(name));
    let [left, top, width, height] = rect;
    assert_eq!(got.dimensions(), outside.dimensions());
    for (x, y, pixel) in got.pixels() {
        let within = (left..left + width).contains(&x) && (top..top + height).contains(&y);
        let want = if within { inside.get_pixel(x, y) } else { outside.get_pixel(x, y) };
        assert_eq!(pixel, want, "({x}, {y})");
    }
}

#[test]
fn a_region_is_filtered_and_the_rest_copied() {
    let place = Place::with_input();
    place.save("soft.png", soft(40, 21));
    place.save("grey.png", grey16(31, 17));
    for (name, flags) in [
        ("input.png", &["-k", "gaussian", "--sigma", "2"][..]),
        ("input.png", &["-k", "sobel"]),
        ("input.png", &["-k", "box", "--border", "wrap"]),
        ("input.png", &["-k", "gaussian", "--linear"]),
        ("input.png", &["-k", "box", "--size", "30", "-k", "sharpen"]),
        ("input.png", &["-k", "unsharp", "--channels", "g"]),
        ("soft.png", &["-k", "gaussian"]),
        ("grey.png", &["-k", "log", "--range", "offset"]),
    ] {
        place.ok(&[&[name], flags, &["-o", "whole.png"]].concat());
        place.ok(&[&[name], flags, &["--region", "3,2,11,9", "-o", "out.png"]].concat());
        assert_patched(&place, "out.png", "whole.png", name, [3, 2, 11, 9]);
    }
    // What lies outside of the picture is left out.
    place.ok(&["input.png", "-k", "box", "-o", "whole.png"]);
    place.ok(&["input.png", "-k", "box", "--region", "20,10,100,100", "-o", "out.png"]);
    assert_patched(&place, "out.png", "whole.png", "input.png", [20, 10, 3, 7]);
    let run = place.ok(&[
        "input.png",
        "-k",
        "box",
        "--region",
        "3,2,11,9",
        "--verify",
        "--bench",
        "1",
        "-o",
        "out.png",
    ]);
    assert!(run.text().contains("verify") && run.text().contains("bench"), "{}", run.text());
    assert_patched(&place, "out.png", "whole.png", "input.png", [3, 2, 11, 9]);
    // Counted in the output, which is smaller; and another depth.
    place.ok(&["input.png", "-k", "box", "--border", "valid", "-o", "whole.png"]);
    place.ok(&[
        "input.png",
        "-k",
        "box",
        "--border",
        "valid",
        "--region",
        "0,0,5,5",
        "-o",
        "out.png",
    ]);
    let (out, input, whole) =
        (place.open("out.png"), place.open("input.png"), place.open("whole.png"));
    assert_eq!(out.dimensions(), (21, 15));
    assert_eq!(out.get_pixel(4, 4), whole.get_pixel(4, 4));
    assert_eq!(out.get_pixel(5, 5), input.get_pixel(6, 6));
    place.ok(&[
        "input.png",
        "-k",
        "identity",
        "--depth",
        "16",
        "--region",
        "1,1,3,3",
        "-o",
        "out.png",
    ]);
    place.ok(&["input.png", "-k", "identity", "--depth", "16", "-o", "whole.png"]);
    assert_eq!(place.open("out.png"), place.open("whole.png"));

    place.fails(
        2,
        "outside of the picture, which has 23×17",
        &["input.png", "-k", "box", "--region", "23,0,4,4"],
    );
    place.fails(2, "a width and a height", &["input.png", "-k", "box", "--region", "1,2,3"]);
    place.fails(2, "--region copies", &["input.png", "--mix", "luma", "--region", "1,2,3,4"]);
}

#[test]
fn a_mask_blends() {
    let place = Place::with_input();
    let (input, mask) = (
        scene(23, 17),
        image::GrayImage::from_fn(23, 17, |x, _| Luma([[0, 255, 128][x as usize / 8]])),
    );
    place.save("mask.png", mask.clone());
    for flags in [&["-k", "gaussian"][..], &["-k", "gaussian", "--linear"], &["--mix", "invert"]] {
        place.ok(&[&["input.png"], flags, &["-o", "whole.png"]].concat());
        place.ok(&[&["input.png"], flags, &["--mask", "mask.png", "-o", "out.png"]].concat());
        let (out, whole) = (place.open("out.png").into_rgb8(), place.open("whole.png").into_rgb8());
        for (x, y, Rgb(got)) in out.enumerate_pixels() {
            let share = f64::from(mask.get_pixel(x, y).0[0]) / 255.0;
            for (c, got) in got.iter().enumerate() {
                let (from, to) =
                    (f64::from(input.get_pixel(x, y).0[c]), f64::from(whole.get_pixel(x, y).0[c]));
                assert_eq!(
                    f64::from(*got),
                    (from + (to - from) * share + 0.5).floor(),
                    "({x}, {y})"
                );
            }
        }
    }
    // With a region: only there. A mask with alpha, and colours, is as bright as it looks.
    place.ok(&["input.png", "-k", "box", "--mask", "mask.png", "-o", "whole.png"]);
    place.ok(&[
        "input.png",
        "-k",
        "box",
        "--mask",
        "mask.png",
        "--region",
        "6,4,9,9",
        "-o",
        "out.png",
    ]);
    assert_patched(&place, "out.png", "whole.png", "input.png", [6, 4, 9, 9]);
    place.save("clear.png", image::RgbaImage::from_pixel(23, 17, image::Rgba([255, 255, 255, 0])));
    place.ok(&["input.png", "-k", "box", "--mask", "clear.png", "-o", "out.png"]);
    assert_eq!(place.open("out.png"), place.open("input.png"));
    place.save("small.png", scene(5, 5));
    place.fails(
        3,
        "small.png has 5×5 pixels, the picture 23×17",
        &["input.png", "-k", "box", "--mask", "small.png"],
    );
    place.fails(3, "gone.png", &["input.png", "-k", "box", "--mask", "gone.png"]);
    place.fails(2, "--mask copies", &["input.png", "--mix", "luma", "--mask", "mask.png"]);
}

#[test]
fn small_differences_are_not_sharpened() {
    let place = Place::new();
    // Texture of ±2 levels on the left, a step of 100 in the middle.
    let image = image::GrayImage::from_fn(40, 20, |x, y| {
        Luma([if x < 20 { 60 } else { 160 } + ((x + y) % 2 * 2) as u8])
    });
    place.save("step.png", image.clone());
    let unsharp = ["step.png", "-k", "unsharp", "--sigma", "1.5", "--amount", "2"];
    let out = |flags: &[&str]| {
        place.ok(&[&unsharp[..], flags, &["-o", "out.png"]].concat());
        place.open("out.png").into_luma8()
    };
    let (plain, all) = (out(&[]), out(&["--threshold", "0"]));
    assert!(plain.pixels().zip(all.pixels()).all(|(a, b)| a.0[0].abs_diff(b.0[0]) <= 1));
    let some = out(&["--threshold", "5"]);
    for (x, y, pixel) in some.enumerate_pixels() {
        let edge = (18..22).contains(&x);
        if edge {
            assert_eq!(pixel, all.get_pixel(x, y), "({x}, {y})");
        } else if !(14..26).contains(&x) {
            assert_eq!(pixel, image.get_pixel(x, y), "({x}, {y})");
        }
    }
    assert_eq!(out(&["--threshold", "255"]), image);
    assert_eq!(out(&["--threshold", "255", "--linear"]), image);
    assert_ne!(out(&["--threshold", "5", "--linear"]), image);
    place.ok(&[&unsharp[..], &["--threshold", "5", "--depth", "16", "-o", "out.png"]].concat());
    for flags in [&["-k", "sharpen"][..], &["-k", "unsharp", "-k", "box"], &["--mix", "invert"]] {
        place.fails(
            2,
            "for --kernel unsharp, alone",
            &[&["step.png", "--threshold", "3"], flags].concat(),
        );
    }
    place.fails(2, "from 0 on", &["step.png", "-k", "unsharp", "--threshold", "-1"]);
    place.fails(2, "--scale", &["step.png", "-k", "unsharp", "--threshold", "1", "--scale", "2"]);
}
