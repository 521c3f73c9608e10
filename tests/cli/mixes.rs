//! `--mix` and `--depthwise`: channels mixed, and filtered each by its own kernel.

use super::{Place, assert_close, grey16, named, scene, soft};
use image::DynamicImage;
use twopass::{Filter, Image, Sample, reference};

/// A matrix of three colours, applied to every pixel in `f64`.
fn mixed(image: &DynamicImage, rows: &[[f64; 4]]) -> Vec<u8> {
    let pixels = image.to_rgb8();
    let sums = pixels.pixels().flat_map(|p| {
        rows.iter().map(move |row| {
            let sum: f64 = row.iter().zip(&p.0).map(|(m, v)| m * f64::from(*v)).sum();
            u8::from_f64(sum + row[3])
        })
    });
    sums.collect()
}

fn close(got: &[u8], want: &[u8]) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| a.abs_diff(*b) <= 1));
}

const LUMA: [f64; 4] = [0.299, 0.587, 0.114, 0.0];

#[test]
fn a_mix_makes_the_picture_it_says() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let run = place.ok(&["input.png", "--mix", "0.299 0.587 0.114"]);
    assert!(run.stderr.contains("wrote input.mix.png") && run.stderr.contains("grey"));
    let DynamicImage::ImageLuma8(grey) = place.open("input.mix.png") else { panic!("not grey") };
    close(grey.as_raw(), &mixed(&image, &[LUMA]));
    place.ok(&["input.png", "--mix", "luma", "-o", "named.png"]);
    assert_eq!(place.open("named.png"), DynamicImage::ImageLuma8(grey));

    place.ok(&["input.png", "--mix", "0 0 1; 0 1 0; 1 0 0", "-o", "o.png"]);
    place.ok(&["input.png", "--mix", "bgr", "-o", "bgr.png"]);
    assert_eq!(place.open("o.png"), place.open("bgr.png"));
    let (from, to) = (image.to_rgb8(), place.open("bgr.png").to_rgb8());
    assert!(from.pixels().zip(to.pixels()).all(|(a, b)| [a[2], a[1], a[0]] == b.0));

    // One number more is added, in units of the input.
    place.ok(&["input.png", "--mix", "1 0 0 10; 0 1 0 -20", "-o", "o.png"]);
    let DynamicImage::ImageLumaA8(two) = place.open("o.png") else { panic!("not grey, alpha") };
    close(two.as_raw(), &mixed(&image, &[[1.0, 0.0, 0.0, 10.0], [0.0, 1.0, 0.0, -20.0]]));
    place.ok(&["input.png", "--mix", "1 0 0; 0 1 0; 0 0 1; 1/3 1/3 1/3", "-o", "o.png"]);
    assert!(matches!(place.open("o.png"), DynamicImage::ImageRgba8(_)));
    // Grey to colour.
    place.ok(&["named.png", "--mix", "1; 0.5; 0", "-o", "o.png"]);
    let (grey, colour) = (place.open("named.png").to_luma8(), place.open("o.png").to_rgb8());
    assert!(grey.pixels().zip(colour.pixels()).all(|(g, c)| (c[0], c[2]) == (g[0], 0)));
    // A matrix from a file.
    place.write("warm.txt", "1.1 0 0\n0 1 0\n0 0 0.9");
    place.ok(&["input.png", "--mix", "@warm.txt"]);
    let rows = [[1.1, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.9, 0.0]];
    close(place.open("input.warm.png").to_rgb8().as_raw(), &mixed(&image, &rows));
}

#[test]
fn named_mixes_in_every_depth() {
    let place = Place::with_input();
    let image = place.open("input.png");
    // The way there and back, in every depth.
    for (depth, full) in [("8", 255u32), ("16", 65535)] {
        let args = ["--mix", "ycbcr", "--mix", "from-ycbcr", "--depth", depth, "-o", "o.png"];
        place.ok(&[&["input.png"], &args[..]].concat());
        let back = place.open("o.png").to_rgb16();
        assert!({
            back.as_raw().iter().zip(image.as_bytes()).all(|(a, b)| {
                let there = u32::from(*a) * full / 65535;
                there.abs_diff(u32::from(*b) * full / 255) <= 1
            })
        });
    }
    // 0 is mid-grey: 128 of 255, 32768 of 65535.
    place.save(
        "grey8.png",
        DynamicImage::ImageRgb8(image::RgbImage::from_pixel(3, 2, image::Rgb([90; 3]))),
    );
    place.ok(&["grey8.png", "--mix", "ycbcr", "-o", "o.png"]);
    assert!(place.open("o.png").to_rgb8().pixels().all(|p| p.0 == [90, 128, 128]));
    let deep = image::ImageBuffer::from_pixel(3, 2, image::Rgb([9000u16; 3]));
    place.save("grey16.png", DynamicImage::ImageRgb16(deep));
    place.ok(&["grey16.png", "--mix", "opponent", "-o", "o.png"]);
    assert!(place.open("o.png").to_rgb16().pixels().all(|p| p.0 == [9000, 32768, 32768]));
    // The negative, of grey as well, and of 16 bits.
    place.save("deep.png", grey16(9, 5));
    place.ok(&["deep.png", "--mix", "invert", "-o", "o.png"]);
    let (from, to) = (place.open("deep.png").to_luma16(), place.open("o.png").to_luma16());
    assert!(from.pixels().zip(to.pixels()).all(|(a, b)| a[0] + b[0] == 65535));
}

#[test]
fn alpha_is_carried_along() {
    let place = Place::new();
    place.save("soft.png", soft(20, 9));
    let from = place.open("soft.png").to_rgba8();
    place.ok(&["soft.png", "--mix", "bgr", "-o", "o.png"]);
    let to = place.open("o.png").to_rgba8();
    assert!(from.pixels().zip(to.pixels()).all(|(a, b)| b.0 == [a[2], a[1], a[0], a[3]]));
    place.ok(&["soft.png", "--mix", "luma", "--depth", "16", "-o", "o.png"]);
    let DynamicImage::ImageLumaA16(grey) = place.open("o.png") else { panic!("no alpha") };
    assert!(from.pixels().zip(grey.pixels()).all(|(a, b)| b[1] == u16::from(a[3]) * 257));
    // Two numbers more mix alpha too: here red is shown through its own alpha.
    place.ok(&["soft.png", "--mix", "0 0 0 1 0", "-o", "o.png"]);
    let alpha = place.open("o.png").to_luma8();
    assert!(from.pixels().zip(alpha.pixels()).all(|(a, b)| a[3] == b[0]));
    place.ok(&["soft.png", "--mix", "luma", "--alpha", "drop", "-o", "o.jpg"]);
    // Blurs weigh colour by alpha in chains as well, and depth may change.
    let args = ["-k", "box", "--mix", "bgr", "-k", "identity", "--depth", "16", "-o", "o.png"];
    place.ok(&[&["soft.png"], &args[..]].concat());
    let want: Image<u16> = {
        let image = Image::from_vec(from.as_raw().clone(), twopass::Shape::new(20, 9, 4)).unwrap();
        let blur = named("box").alpha(twopass::Alpha::Premultiply);
        let exact = reference::layer::chain(&twopass::Chain::new(blur), image.view()).unwrap();
        let deep = exact.iter().map(|v| u16::from_f64(v * 257.0)).collect();
        Image::from_vec(deep, image.shape()).unwrap()
    };
    let DynamicImage::ImageRgba16(got) = place.open("o.png") else { panic!("no alpha") };
    for (got, want) in got.pixels().zip(want.data().chunks(4)) {
        let weight = u32::from(want[3]);
        for (a, b) in [(got[2], want[0]), (got[1], want[1]), (got[0], want[2]), (got[3], want[3])] {
            let off = u32::from(a.abs_diff(b)) * weight / 65535;
            assert!(off <= 2, "{got:?} {want:?}");
        }
    }
}

/// Mixes and kernels in the order of the command line, as one chain.
#[test]
fn any_order() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let run = place.ok(&["input.png", "--mix", "luma", "--kernel", "sobel", "--kernel", "box"]);
    assert!(run.stderr.contains("wrote input.luma+sobel+box.png"), "{}", run.stderr);
    assert!(run.stderr.contains("3 stages in one plan"), "{}", run.stderr);
    let grey = Image::from_vec(
        image
            .to_rgb8()
            .pixels()
            .map(|p| p.0.iter().zip(LUMA).map(|(v, m)| f64::from(*v) * m).sum::<f64>() as f32)
            .collect(),
        twopass::Shape::new(image.width() as usize, image.height() as usize, 1),
    );
    let sobel: Image<f32> = reference::filter(&named("sobel"), grey.unwrap().view()).unwrap();
    let want: Image<u8> = reference::filter(&named("box"), sobel.view()).unwrap();
    assert_close(&place.open("input.luma+sobel+box.png"), &want, 1);
    // The other way round is another picture.
    place.ok(&["input.png", "--kernel", "sobel", "--mix", "luma", "-o", "o.png"]);
    place.ok(&["input.png", "--mix", "luma", "--kernel", "sobel", "-o", "p.png"]);
    assert_ne!(place.open("o.png"), place.open("p.png"));
    // Scale, offset and range are for the end, also of a mix.
    let end = ["--scale", "-0.5", "--offset", "3", "--range", "abs", "-o", "o.png"];
    place.ok(&[&["input.png", "-k", "identity", "--mix", "luma"], &end[..]].concat());
    let want = mixed(&image, &[LUMA.map(|v| v * -0.5)]);
    assert!(want.iter().all(|v| *v == 0));
    let abs = mixed(&image, &[[LUMA[0] * 0.5, LUMA[1] * 0.5, LUMA[2] * 0.5, -3.0]]);
    let got = place.open("o.png").to_luma8();
    assert!(got.as_raw().iter().zip(&abs).all(|(a, b)| *b == 0 || a.abs_diff(*b) <= 1));
    place.ok(&[
        "input.png",
        "--mix",
        "luma",
        "-k",
        "laplacian",
        "--range",
        "stretch",
        "-o",
        "o.png",
    ]);
    let stretched = place.open("o.png").to_luma8();
    assert_eq!(
        stretched.as_raw().iter().min().zip(stretched.as_raw().iter().max()),
        Some((&0, &255))
    );
    place.ok(&["input.png", "--mix", "luma", "--linear", "-o", "o.png"]);
    place.ok(&["input.png", "--mix", "luma", "--compare", "both.png"]);
    assert_eq!(place.open("both.png").width(), 2 * image.width());
    assert!(matches!(place.open("both.png"), DynamicImage::ImageRgb8(_)));
}

#[test]
fn each_channel_has_its_kernel() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let kernels = ["--depthwise", "identity", "--depthwise", "gaussian", "--sigma", "1.5"];
    let last = ["--depthwise", "1 2 1; 2 4 2; 1 2 1", "--border", "replicate", "-o", "o.png"];
    place.ok(&[&["input.png"], &kernels[..], &last[..]].concat());
    let got = place.open("o.png").to_rgb8();
    let params = twopass::KernelParams { sigma: Some(1.5), ..Default::default() };
    let gaussian = twopass::NamedKernel::find("gaussian").unwrap().kernels(&params).unwrap();
    let filters = [
        named("identity"),
        Filter::new(gaussian[0].clone()),
        Filter::new("1 2 1; 2 4 2; 1 2 1".parse().unwrap()),
    ];
    for (c, filter) in filters.into_iter().enumerate() {
        let shape = twopass::Shape::new(image.width() as usize, image.height() as usize, 1);
        let own = image.to_rgb8().pixels().map(|p| p[c]).collect();
        let own = Image::from_vec(own, shape).unwrap();
        let filter = filter.border(twopass::Border::Replicate);
        let want: Image<u8> = reference::filter(&filter, own.view()).unwrap();
        let got: Vec<u8> = got.pixels().map(|p| p[c]).collect();
        close(&got, want.data());
    }
    // The output is smaller by the largest kernel, and alpha lies where it did.
    place.save("soft.png", soft(20, 9));
    let kernels = ["--depthwise", "box", "--depthwise", "1 1 1 1 1", "--depthwise", "identity"];
    place.ok(&[&["soft.png"], &kernels[..], &["--border", "valid", "-o", "o.png"]].concat());
    let (from, to) = (place.open("soft.png").to_rgba8(), place.open("o.png").to_rgba8());
    assert_eq!(to.dimensions(), (16, 7));
    assert!(to.enumerate_pixels().all(|(x, y, p)| {
        let under = from.get_pixel(x + 2, y + 1);
        (p[2], p[3]) == (under[2], under[3])
    }));
    // With a kernel for alpha.
    let four = [&kernels[..], &["--depthwise", "0", "-o", "o.png"]].concat();
    place.ok(&[&["soft.png"], &four[..]].concat());
    assert!(place.open("o.png").to_rgba8().pixels().all(|p| p[3] == 0));
}

#[test]
fn mixes_are_explained_verified_and_timed() {
    let place = Place::with_input();
    let args = ["input.png", "--mix", "ycbcr", "--depthwise", "identity", "--depthwise", "box"];
    let rest =
        ["--depthwise", "box", "--mix", "from-ycbcr", "--explain", "--verify", "--bench", "2"];
    let args = [&args[..], &rest[..]].concat();
    let run = place.ok(&args);
    for part in [
        "a chain of 3 stages",
        "ycbcr, a mix to 3 channels",
        "depthwise",
        "one plan",
        "clipped:",
        "verify: all samples",
        "bench: 2 runs",
    ] {
        assert!(run.text().contains(part), "{part:?} is not in\n{}", run.text());
    }
    let json = place.ok(&[&args[..], &["--json"]].concat()).json();
    assert_eq!(json["chain"][0]["mix"]["name"], "ycbcr");
    assert_eq!(json["chain"][1]["depthwise"][2]["name"], "box");
    assert_eq!(json["plan"]["segments"], 1);
    assert!(json["bench"].get("naive_min_ms").is_none());
    let json = place.ok(&["input.png", "--mix", "luma", "--json", "-o", "o.png"]).json();
    assert_eq!(
        (&json["chain"][0]["mix"]["inputs"], &json["chain"][0]["mix"]["outputs"]),
        (&3.into(), &1.into())
    );
    let run = place.ok(&["input.png", "--mix", "luma", "--dry-run"]);
    assert!(run.text().contains("input.luma.png"), "{}", run.text());
    for alpha in ["premultiply", "plain", "keep"] {
        place.save("soft.png", soft(20, 9));
        for depth in ["8", "16"] {
            let args = ["-k", "gaussian", "--mix", "luma", "-k", "box", "--alpha", alpha];
            place.ok(&[&["soft.png", "--verify", "--depth", depth], &args[..]].concat());
        }
    }
}

#[test]
fn what_does_not_fit() {
    let place = Place::with_input();
    place.save("grey.png", DynamicImage::ImageRgb8(scene(9, 7)).to_luma8());
    place.save("soft.png", soft(20, 9));
    let fails = |why: &str, args: &[&str]| {
        place.fails(2, why, args);
    };
    fails("the mix takes 3 channels, the picture has 1 channel", &["grey.png", "--mix", "luma"]);
    fails("the mix takes 2 channels, the picture has 3", &["input.png", "--mix", "1 2"]);
    fails("has 3 channels and alpha", &["soft.png", "--mix", "1 2"]);
    fails("there is no mix named \"lumen\"", &["input.png", "--mix", "lumen"]);
    fails("at most 4 rows", &["grey.png", "--mix", "1;1;1;1;1"]);
    fails("row 2 has 2 numbers", &["input.png", "--mix", "1 2 3; 1 2"]);
    fails("no picture", &["soft.png", "--mix", "1 0 0; 0 1 0"]);
    fails("2 time(s)", &["input.png", "--depthwise", "box", "--depthwise", "box"]);
    fails("two kernels", &["grey.png", "--depthwise", "sobel"]);
    fails("--channels", &["input.png", "--mix", "luma", "--channels", "r"]);
    let own = ["--depthwise", "box", "--depthwise", "box", "--depthwise", "box"];
    fails("multiplied by alpha", &[&["soft.png", "--alpha", "premultiply"], &own[..]].concat());
    fails("for kernels, and there is none", &["input.png", "--mix", "luma", "--sigma", "2"]);
    fails("alpha", &["input.png", "--mix", "1 0 0; 0 1 0", "-o", "o.jpg"]);
    fails("not provided", &["input.png"]);
}

#[test]
fn help_names_the_mixes() {
    let place = Place::new();
    for args in [["--help"], ["-h"], ["--man"]] {
        let run = place.ok(&args);
        assert!(run.text().contains("opponent"), "{}", run.text());
    }
    assert!(place.ok(&["--completions", "bash"]).text().contains("--depthwise"));
}
