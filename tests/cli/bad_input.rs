//! Input that is damaged, hostile or makes no sense: one clear line and the right exit code.

use super::{Place, png_header, scene};

#[test]
fn files_that_are_no_images() {
    let place = Place::with_input();
    let png = std::fs::read(place.path("input.png")).unwrap();
    place.write("empty.png", b"");
    place.write("short.png", &png[..png.len() / 2]);
    place.write("header.png", &png[..20]);
    place.write("one.png", &png[..1]);
    place.write("text.png", "just a few words, and no image at all\n");
    place.write("zeros.png", [0; 500]);
    std::fs::create_dir(place.path("folder.png")).unwrap();
    let all = [
        ("missing.png", "missing.png"),
        ("empty.png", "empty"),
        ("short.png", "short.png"),
        ("header.png", "header.png"),
        ("one.png", "not an image"),
        ("text.png", "not an image"),
        ("zeros.png", "not an image"),
        ("folder.png", "is a directory"),
        ("input.png/x.png", "x.png"),
    ];
    for (name, why) in all {
        place.fails(3, why, &[name, "-k", "box"]);
        place.fails(3, why, &[name, "-k", "box", "--explain", "--json"]);
    }
}

#[test]
fn a_mislabelled_file_is_read_or_refused() {
    let place = Place::new();
    place.save("good.jpg", scene(9, 7));
    std::fs::rename(place.path("good.jpg"), place.path("liar.png")).unwrap();
    place.ok(&["liar.png", "-k", "box", "-o", "o.png"]);
    place.write("liar.tga", "no image, whatever its name says");
    place.fails(3, "liar.tga", &["liar.tga", "-k", "box"]);
}

#[test]
fn images_without_pixels() {
    let place = Place::new();
    place.write("none.ppm", "P6\n0 7\n255\n");
    place.write("none.pgm", "P5\n7 0\n255\n");
    let mut tga = vec![0u8; 18];
    (tga[2], tga[16]) = (2, 24);
    place.write("none.tga", tga);
    let header = |w: u32, h: u32| png_header(w, h);
    place.write("none.png", header(0, 5));
    for name in ["none.ppm", "none.pgm", "none.tga", "none.png"] {
        place.fails(3, name, &[name, "-k", "box"]);
    }
}

#[test]
fn one_pixel_and_images_smaller_than_the_kernel() {
    let place = Place::new();
    place.save("one.png", image::RgbImage::from_pixel(1, 1, image::Rgb([10, 200, 30])));
    place.save("few.png", scene(3, 2));
    let borders = ["replicate", "reflect", "reflect101", "wrap", "constant:7"];
    for name in ["one.png", "few.png"] {
        for border in borders {
            for method in ["auto", "dense", "naive"] {
                let args = [name, "-k", "box", "--size", "9", "--size-y", "8", "--border", border];
                place.ok(&[&args[..], &["--method", method, "--verify"]].concat());
            }
        }
        let args = [name, "-k", "box", "--size", "9", "--border"];
        place.fails(3, "does not fit", &[&args[..], &["valid"]].concat());
        place.fails(3, "does not fit", &[&args[..], &["wrap/valid"]].concat());
    }
    place.ok(&["one.png", "-k", "gaussian", "-o", "o.png"]);
    assert_eq!(place.open("o.png"), place.open("one.png"));
    place.ok(&["one.png", "-k", "3", "--border", "valid"]);
}

#[test]
fn kernels_that_are_none() {
    let place = Place::with_input();
    for (text, why) in [
        ("", "empty"),
        (" ; ; ", "empty"),
        ("1 2; 3", "row 2"),
        ("1 2; 3 4 5", "row 2"),
        ("1 NaN 1", "NaN"),
        ("1 inf 1", "inf"),
        ("-inf", "inf"),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("1 x 1", "x"),
        ("1/0", "1/0"),
    ] {
        place.fails(2, why, &["input.png", "-k", text]);
        place.write("k.txt", text);
        place.fails(3, why, &["input.png", "-k", "@k.txt"]);
        std::fs::remove_file(place.path("k.txt")).unwrap();
    }
    place.fails(3, "gone.txt", &["input.png", "-k", "@gone.txt"]);
    place.fails(3, "cannot read the kernel", &["input.png", "-k", "@"]);
    place.write("bytes.txt", [0xff, 0xfe, 0x00]);
    place.fails(3, "bytes.txt", &["input.png", "-k", "@bytes.txt"]);
}

#[test]
fn kernels_that_are_too_large() {
    let place = Place::with_input();
    let wide = "1 ".repeat(2049);
    place.fails(4, "2048", &["input.png", "-k", &wide]);
    place.write("tall.txt", "1\n".repeat(2049));
    place.fails(4, "2048", &["input.png", "-k", "@tall.txt"]);
    for size in ["2049", "2147483649", "4294967297", "18446744073709551615"] {
        place.fails(4, "2048", &["input.png", "-k", "box", "--size", size]);
        place.fails(4, "2048", &["input.png", "-k", "box", "--size", "2", "--size-y", size]);
        let args = ["input.png", "-k", "gaussian", "--sigma", "1", "--size-y", size];
        let run = place.filter(&args);
        assert!(matches!(run.code, 2 | 4), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    place.fails(2, "--size", &["input.png", "-k", "box", "--size", "18446744073709551616"]);
    let zero = place.filter(&["input.png", "-k", "box", "--size", "0"]);
    assert_eq!((zero.code, zero.stderr.lines().count()), (2, 1), "{}", zero.stderr);
    #[cfg(unix)]
    place.fails(4, "/dev/zero", &["input.png", "-k", "@/dev/zero"]);
}

#[test]
fn anchors_outside() {
    let place = Place::with_input();
    for anchor in ["3,0", "0,3", "99999999999,1"] {
        place.fails(2, "anchor", &["input.png", "-k", "sobel-x", "--anchor", anchor]);
        place.fails(2, "anchor", &["input.png", "-k", "sobel", "--anchor", anchor]);
    }
    for anchor in ["-1,0", "1", "a,b", "1,2,3", "", "99999999999999999999,1"] {
        place.fails(2, "anchor", &["input.png", "-k", "sobel-x", &format!("--anchor={anchor}")]);
    }
}

#[test]
fn sigmas_that_are_none() {
    let place = Place::with_input();
    for sigma in ["0", "-1", "NaN", "inf", "1e30", "x"] {
        for flag in ["--sigma", "--sigma-y"] {
            let run = place.filter(&["input.png", "-k", "gaussian", flag, sigma]);
            assert!(matches!(run.code, 2 | 4), "{sigma}: {} {}", run.code, run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
            assert!(run.stderr.contains("sigma") || run.code == 4, "{}", run.stderr);
        }
    }
    assert_eq!(place.names(), ["input.png"]);
}

#[test]
fn sizes_beyond_the_limit() {
    let place = Place::with_input();
    place.write("bomb.png", png_header(60_000, 60_000));
    place.write("large.png", png_header(0x7fff_ffff, 0x7fff_ffff));
    place.write("wrap.pgm", "P5\n2 2147483649\n255\n");
    place.write("wrap.ppm", "P6\n2147483649 2\n65535\n");
    for name in ["bomb.png", "large.png", "wrap.pgm", "wrap.ppm"] {
        place.fails(4, "--max-pixels", &[name, "-k", "box"]);
    }
    // Raised, the limit lets the header through; the pixels are not there.
    let run = place.filter(&["wrap.pgm", "-k", "box", "--max-pixels", "99999999999"]);
    assert!(matches!(run.code, 3 | 4), "{} {}", run.code, run.stderr);
    place.fails(4, "more than 390", &["input.png", "-k", "box", "--max-pixels", "390"]);
    place.ok(&["input.png", "-k", "box", "--max-pixels", "391"]);
    place.fails(2, "--max-pixels", &["input.png", "-k", "box", "--max-pixels", "-5"]);
}
