//! What catches those who come from other programs: matrices whose taps do not add up to 1, lists that are meant as
//! squares, the output as the second name, binary data on a terminal.

use super::{Place, assert_close, expected, scene};
use twopass::{Filter, Kernel};

const BINOMIAL: &str = "1 2 1; 2 4 2; 1 2 1";

fn kernel(text: &str) -> Kernel {
    text.parse().unwrap()
}

#[test]
fn taps_are_divided_by_their_sum() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let binomial = Filter::new(kernel(BINOMIAL));
    place.ok(&["input.png", "-k", BINOMIAL, "--normalize", "-o", "out.png"]);
    assert_close(&place.open("out.png"), &expected(&binomial.clone().scale(0.0625), &image), 0);
    // Where they add up to 0, by the sum of their magnitudes; and --scale comes on top.
    let sobel = "-1 0 1; -2 0 2; -1 0 1";
    place.ok(&[
        "input.png",
        "-k",
        sobel,
        "--normalize",
        "--scale",
        "2",
        "--range",
        "abs",
        "-o",
        "out.png",
    ]);
    let half = Filter::new(kernel(sobel)).scale(0.25).abs();
    assert_close(&place.open("out.png"), &expected(&half, &image), 0);
    // All kernels of a chain, and those of single colours.
    place.ok(&["input.png", "-k", "2 2", "-k", "0 -3", "--normalize", "-o", "out.png"]);
    place.ok(&["input.png", "-k", "0.5 0.5", "-k", "0 1", "-o", "want.png"]);
    assert_eq!(place.open("out.png"), place.open("want.png"));
    let each = ["--depthwise", "4", "--depthwise", "1 1", "--depthwise", "7"];
    place.ok(&[&["input.png"], &each[..], &["--normalize", "-o", "out.png"]].concat());
    let each = ["--depthwise", "1", "--depthwise", "0.5 0.5", "--depthwise", "1"];
    place.ok(&[&["input.png"], &each[..], &["-o", "want.png"]].concat());
    assert_eq!(place.open("out.png"), place.open("want.png"));
    // Of nothing there is no part.
    place.ok(&["input.png", "-k", "0 0 0", "--normalize", "-o", "out.png"]);
    let run = place.ok(&["input.png", "-k", BINOMIAL, "--normalize", "--explain"]);
    assert!(run.text().contains("scale:           0.0625"), "{}", run.text());
}

#[test]
fn a_white_picture_is_said_to_be_one() {
    let place = Place::with_input();
    place.save("white.png", image::RgbImage::from_pixel(40, 30, image::Rgb([255; 3])));
    let warned = |args: &[&str]| {
        let stderr = place.ok(&[args, &["-o", "out.png"]].concat()).stderr;
        let lines = stderr.lines().filter(|l| l.contains("warning")).collect::<Vec<_>>();
        assert!(lines.len() <= 1, "{stderr}");
        lines.first().map(|l| l.to_string())
    };
    let line = warned(&["input.png", "-k", BINOMIAL]).unwrap();
    assert!(line.contains("% of the samples are cut off above full scale"), "{line}");
    assert!(line.contains("add up to 16") && line.contains("--normalize"), "{line}");
    assert_eq!(warned(&["input.png", "-k", BINOMIAL, "--normalize"]), None);
    let line = warned(&["input.png", "-k", "-1 -1 -1"]).unwrap();
    assert!(line.contains("below 0") && line.contains("--normalize"), "{line}");
    let line = warned(&["input.png", "-k", "box", "--offset", "-200"]).unwrap();
    assert!(line.contains("below 0") && line.contains("--range stretch"), "{line}");
    // In linear light, and through a chain.
    assert!(warned(&["input.png", "-k", BINOMIAL, "--linear"]).unwrap().contains("--normalize"));
    assert!(warned(&["input.png", "-k", "2", "-k", "8"]).unwrap().contains("add up to 16"));
    // What was white before is not cut off; who asks for clamping gets it; edges are bright.
    for quiet in [
        &["white.png", "-k", "sharpen"][..],
        &["white.png", "-k", "box"],
        &["white.png", "--mix", "luma"],
        &["input.png", "-k", "laplacian", "--range", "clamp"],
        &["input.png", "-k", "identity"],
        &["input.png", "-k", BINOMIAL, "--depth", "f32", "-o", "out.tiff", "-q"],
    ] {
        let args: Vec<_> = if quiet.contains(&"-q") {
            quiet.to_vec()
        } else {
            [quiet, &["-o", "out.png"]].concat()
        };
        let stderr = place.ok(&args).stderr;
        assert!(!stderr.contains("warning"), "{quiet:?}: {stderr}");
    }
    let run = place.ok(&["input.png", "white.png", "-k", BINOMIAL, "--out-dir", "o"]);
    assert!(
        run.stderr.contains("input.png: ") && run.stderr.contains("white.png: "),
        "{}",
        run.stderr
    );
}

#[test]
fn numbers_may_be_fractions() {
    let place = Place::with_input();
    let same = |flags: &[&str], as_these: &[&str]| {
        place.ok(&[&["input.png", "-q", "-o", "a.png"], flags].concat());
        place.ok(&[&["input.png", "-q", "-o", "b.png"], as_these].concat());
        assert_eq!(place.open("a.png"), place.open("b.png"), "{flags:?}");
    };
    same(&["-k", BINOMIAL, "--scale", "1/16"], &["-k", BINOMIAL, "--scale", "0.0625"]);
    same(
        &["-k", "box", "--scale", "-1/2", "--offset", "255/2"],
        &["-k", "box", "--scale", "-0.5", "--offset", "127.5"],
    );
    same(&["-k", "gaussian", "--sigma", "3/2"], &["-k", "gaussian", "--sigma", "1.5"]);
    same(&["-k", "box", "--border", "constant:1/4"], &["-k", "box", "--border", "constant:0.25"]);
    place.fails(2, "not a number, nor a fraction", &["input.png", "-k", "box", "--scale", "a/16"]);
    place.fails(2, "not a finite number", &["input.png", "-k", "box", "--scale", "1/0"]);
}

#[test]
fn the_second_name_is_no_output() {
    let place = Place::with_input();
    let run = place.fails(
        2,
        "-o out.png writes the result there",
        &["input.png", "out.png", "-k", "box"],
    );
    assert!(run.stderr.contains("all names are inputs"), "{}", run.stderr);
    // A missing file among three, or a file that is no picture by its name, is just missing.
    place.save("b.png", scene(5, 5));
    let run = place.filter(&["input.png", "b.png", "gone.png", "-k", "box", "--out-dir", "o"]);
    assert_eq!((run.code, run.stderr.contains("filtered 2 of 3")), (3, true), "{}", run.stderr);
    let run = place.filter(&["input.png", "gone.png", "-k", "box", "--out-dir", "p"]);
    assert_eq!((run.code, run.stderr.contains("filtered 1 of 2")), (3, true), "{}", run.stderr);
}

#[test]
fn a_flat_list_is_a_row() {
    let place = Place::with_input();
    let flat = ["input.png", "-k", "1,2,1,2,4,2,1,2,1", "--normalize", "-o", "out.png"];
    let run = place.ok(&flat);
    assert!(run.stderr.contains("note: the kernel is one row of 9 taps"), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("{BINOMIAL:?}")), "{}", run.stderr);
    assert!(place.ok(&[&flat[..], &["--quiet"]].concat()).stderr.is_empty());
    place.write("flat.txt", "1 1 1 1 1 1 1 1 1\n");
    let run = place.ok(&["input.png", "-k", "@flat.txt", "--normalize", "-o", "out.png"]);
    assert!(run.stderr.contains("one row of 9 taps"), "{}", run.stderr);
    for kernel in ["1 2 1", "1 1 1 1 1 1 1 1 1; 1 1 1 1 1 1 1 1 1", BINOMIAL] {
        let run = place.ok(&["input.png", "-k", kernel, "--normalize", "-o", "out.png"]);
        assert!(!run.stderr.contains("note"), "{}", run.stderr);
    }
}

#[test]
fn json_matrices_are_read() {
    let place = Place::with_input();
    let json = "[[1, 2, 1],\n [2, 4, 2],\n [1, 2, 1]]";
    place.ok(&["input.png", "-k", BINOMIAL, "--normalize", "-o", "want.png"]);
    place.ok(&["input.png", "-k", json, "--normalize", "-o", "out.png"]);
    assert_eq!(place.open("out.png"), place.open("want.png"));
    place.write("k.json", json);
    place.ok(&["input.png", "-k", "@k.json", "--normalize", "-o", "out.png"]);
    assert_eq!(place.open("out.png"), place.open("want.png"));
    place.ok(&["input.png", "--mix", "[[0, 0, 1], [0, 1, 0], [1, 0, 0]]", "-o", "out.png"]);
    place.ok(&["input.png", "--mix", "bgr", "-o", "want.png"]);
    assert_eq!(place.open("out.png"), place.open("want.png"));
    place.fails(2, "row 2 has 1 numbers, row 1 has 2", &["input.png", "-k", "[[1, 2], [3]]"]);
    place.fails(2, "not read as JSON", &["input.png", "-k", "[[1, 2], ["]);
    place.write("bad.json", "[[1, \"2\"]]");
    place.fails(3, "bad.json: the matrix is not read as JSON", &["input.png", "-k", "@bad.json"]);
    place.fails(3, "expected a number", &["input.png", "-k", "@bad.json"]);
    place.fails(2, "not a whole number", &["input.png", "-k", "box", "--size", "3x5"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_no_files() {
    let place = Place::with_input();
    let Some((success, text)) = place.on_terminal("input.png -k box -o -") else {
        eprintln!("skipped: there is no script");
        return;
    };
    assert!(!success && text.contains("standard output is a terminal"), "{text:?}");
    assert!(!text.contains("PNG\r"), "{text:?}");
    let Some((success, text)) = place.on_terminal("input.png -k box -o /dev/stdout") else {
        unreachable!()
    };
    assert!(!success && text.contains("standard output is a terminal"), "{text:?}");
}

#[test]
fn summaries_have_no_noise() {
    let place = Place::with_input();
    place.save("b.png", scene(9, 7));
    let run = place.ok(&["input.png", "b.png", "-k", "box", "--out-dir", "o"]);
    assert!(
        run.stderr.starts_with("filter: filtered 2 of 2 files; 454 pixels in"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("MB/s"), "{}", run.stderr);
    let run = place.ok(&["input.png", "b.png", "-k", "box", "--out-dir", "o", "--dry-run"]);
    assert_eq!(run.stderr, "filter: filtered 0 of 2 files, 2 planned\n");
    let run = place.ok(&["input.png", "b.png", "-k", "box", "--out-dir", "o", "--skip-existing"]);
    assert_eq!(run.stderr, "filter: filtered 0 of 2 files, 2 skipped\n");
}

#[test]
fn formats_that_are_not_read_have_a_way() {
    let place = Place::new();
    for (name, head) in [
        ("a.avif", &b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf"[..]),
        ("a.jxl", b"\xff\x0a\x00\x01\x02\x03"),
        ("b.jxl", b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a\0\0\0\x14ftypjxl "),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    ] {
        place.write(name, head);
        place.fails(3, "magick FILE png:- | filter -", &[name, "-k", "box", "-o", "out.png"]);
    }
    // Nor written.
    place.save("input.png", scene(9, 7));
    for name in ["o.avif", "o.heic", "o.jxl", "o.JP2"] {
        let run = place.fails(2, "magick png:- out.", &["input.png", "-k", "box", "-o", name]);
        assert!(run.stderr.contains("--format png"), "{}", run.stderr);
    }
}
