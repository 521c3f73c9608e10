//! What needs no picture: plans, terms, drawings of kernels, sweeps.

use super::Place;
use image::GenericImageView;

#[test]
fn a_plan_needs_no_picture() {
    let place = Place::new();
    let run = place.ok(&["--explain", "-k", "gaussian", "--sigma", "3"]);
    for part in
        ["image:           1920×1080×3 u8", "rank 1", "multiplications: 38 per sample (2D: 361)"]
    {
        assert!(run.text().contains(part), "{part}\n{}", run.text());
    }
    assert!(run.stderr.is_empty() && place.names().is_empty());
    let run = place.ok(&["--explain", "-k", "box", "--shape", "64x48x1:f32"]);
    assert!(run.text().contains("64×48×1 f32 → 64×48×1 f32"), "{}", run.text());
    let run = place.ok(&[
        "--explain",
        "-k",
        "box",
        "--shape",
        "64x48:u16",
        "--depth",
        "8",
        "--border",
        "valid",
    ]);
    assert!(run.text().contains("64×48×3 u16 → 62×46×3 u8"), "{}", run.text());
    assert!(place.ok(&["--explain", "-k", "box", "--linear"]).text().contains("linear light"));
    // A large kernel is not run.
    place.ok(&[
        "--explain",
        "-k",
        "motion",
        "--length",
        "500",
        "--angle",
        "30",
        "--shape",
        "20000x20000",
    ]);
    let json = place.ok(&["--explain", "-k", "sobel-x", "--json"]).json();
    assert_eq!(json["plan"]["multiplications_per_sample"], 6);
    assert_eq!(json["input"]["width"], 1920);
    assert!(json["input"].get("path").is_none());
    let run = place.ok(&["-k", "box", "--bench", "2", "--shape", "64x48"]);
    assert!(run.text().starts_with("bench: 2 runs"), "{}", run.text());

    for (flag, value) in
        [("-o", "o.png"), ("--out-dir", "o"), ("--compare", "c.png"), ("--region", "0,0,1,1")]
    {
        place.fails(2, "needs an input", &["--explain", "-k", "box", flag, value]);
    }
    place.fails(2, "needs an input", &["--explain", "-k", "box", "--verify"]);
    place.fails(2, "not provided", &["-k", "box"]);
    place.fails(2, "not a shape", &["--explain", "-k", "box", "--shape", "64"]);
    place.fails(2, "--shape", &["in.png", "--explain", "-k", "box", "--shape", "64x48"]);
}

#[test]
fn terms_and_singular_vectors() {
    let place = Place::new();
    let run = place.ok(&["--explain=terms", "-k", "sobel-x"]);
    let text = run.text();
    assert!(text.contains("term 1 of 1:     singular value 3.4641, error after it 0"), "{text}");
    assert!(
        text.contains("column:        1 2 1") && text.contains("row:           -1 0 1"),
        "{text}"
    );
    assert!(text.contains("left vector:   0.408248 0.816497 0.408248"), "{text}");
    assert!(text.contains("right vector:  -0.707107 0 0.707107"), "{text}");
    let run = place.ok(&["--explain=terms", "-k", "laplacian"]);
    assert!(run.text().contains("term 2 of 2:"), "{}", run.text());
    // The terms add up to the taps.
    let lines = |label: &str| {
        let lines = run.text().lines().filter(|l| l.starts_with(label));
        let numbers = lines.map(|l| {
            l[16..].split_whitespace().map(|n| n.parse::<f64>().unwrap()).collect::<Vec<_>>()
        });
        numbers.collect::<Vec<_>>()
    };
    let (columns, rows) = (lines("  column:"), lines("  row:"));
    for (i, want) in [0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0].iter().enumerate() {
        let sum: f64 = columns.iter().zip(&rows).map(|(c, r)| c[i / 3] * r[i % 3]).sum();
        assert!((sum - want).abs() < 1e-4, "tap {i}: {sum}");
    }
    assert!(!place.ok(&["--explain", "-k", "sobel-x"]).text().contains("singular value 3"));
    place.fails(2, "possible values: plan, terms", &["--explain=all", "-k", "box"]);
}

#[test]
fn kernels_one_after_the_other_are_one() {
    let place = Place::new();
    let run = place.ok(&["--explain", "-k", "1; 2; 1", "-k", "-1 0 1"]);
    let line = "together:        sobel-x, 3×3 taps of rank 1: as one kernel 6 multiplications per sample (2D: 9)";
    assert!(run.text().contains(line), "{}", run.text());
    let json = place.ok(&["--explain", "-k", "1; 2; 1", "-k", "-1 0 1", "--json"]).json();
    assert_eq!(json["together"]["name"], "sobel-x");
    assert_eq!(json["together"]["naive_multiplications_per_sample"], 9);
    let run = place.ok(&["--explain", "-k", "box", "-k", "box"]);
    assert!(
        run.text().contains("together:        5×5 taps of rank 1: as one kernel 10"),
        "{}",
        run.text()
    );
    // A binomial of 5 is two of 3; turned edges are not edges.
    let run = place.ok(&["--explain", "-k", "binomial", "-k", "binomial"]);
    assert!(run.text().contains("together:        binomial, 5×5"), "{}", run.text());
    let run = place.ok(&["--explain", "-k", "1; 2; 1", "-k", "1 0 -1"]);
    assert!(run.text().contains("together:        3×3 taps of rank 1"), "{}", run.text());
    for apart in
        [&["-k", "sobel", "-k", "box"][..], &["-k", "box", "--mix", "luma"], &["-k", "box"]]
    {
        let run = place.ok(&[&["--explain"], apart].concat());
        assert!(!run.text().contains("together"), "{}", run.text());
    }
}

#[test]
fn kernels_are_drawn() {
    let place = Place::new();
    let run = place.ok(&["-k", "sobel-x", "--show-kernel", "k.png"]);
    assert!(run.stderr.contains("wrote k.png"), "{}", run.stderr);
    let image = place.open("k.png");
    assert!(image.width() > 250 && image.height() > 150, "{:?}", image.dimensions());
    // Red for what is above 0, blue for what is below, of the taps, the row and the product.
    let (mut red, mut blue) = (0, 0);
    for (_, _, image::Rgba([r, g, b, _])) in image.pixels() {
        red += u32::from(r > 150 && g < 60 && b < 80);
        blue += u32::from(b > 130 && r < 60);
    }
    assert!(red > 3000 && blue > 3000, "{red} {blue}");
    place.ok(&["-k", "log", "-k", "gaussian", "--sigma", "40", "--show-kernel", "k.svg", "-q"]);
    let svg = String::from_utf8(place.bytes("k.svg")).unwrap();
    assert!(svg.contains("log: 9×9 taps") && svg.contains("gaussian: 241×241 taps"));
    assert!(svg.contains("term 1, leaves") && svg.len() < 8_000_000);
    assert!(is_closed(&svg), "tags are closed");
    place.ok(&["-k", "sobel", "--show-kernel", "both.svg"]);
    let svg = String::from_utf8(place.bytes("both.svg")).unwrap();
    assert!(svg.contains("sobel (x)") && svg.contains("sobel (y)"));
    place.fails(2, ".png or .svg", &["-k", "box", "--show-kernel", "k.bmp"]);
    place.fails(2, "there is none", &["--mix", "luma", "--show-kernel", "m.png"]);
    place.fails(2, "needs a terminal", &["-k", "box", "--show-kernel", "n.png", "--preview"]);
}

/// Whether every tag is closed.
fn is_closed(text: &str) -> bool {
    let open =
        text.matches("<svg").count() + text.matches("<g ").count() + text.matches("<text").count();
    let closed = text.matches("</svg>").count()
        + text.matches("</g>").count()
        + text.matches("</text>").count();
    open == closed && text.matches('<').count() == text.matches('>').count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_kernel_is_shown_in_the_terminal() {
    let place = Place::new();
    let Some((success, text)) = place.on_terminal("-k sobel-x --show-kernel k.png --preview")
    else {
        eprintln!("skipped: there is no script");
        return;
    };
    assert!(success && text.contains('▄'), "{text:?}");
}

#[test]
fn a_sweep_is_timed_and_plotted() {
    let place = Place::new();
    let args = ["-k", "gaussian", "--bench", "1", "--sweep", "size=3..7", "--shape", "96x64"];
    let run = place.ok(&[&args[..], &["--plot", "p.png"]].concat());
    let lines: Vec<_> = run.text().lines().collect();
    assert_eq!(lines.len(), 5, "{}", run.text());
    assert!(lines[0].starts_with("gaussian by size, 96×64×3 u8"), "{}", lines[0]);
    let last: Vec<_> = lines[4].split_whitespace().collect();
    assert_eq!((last[0], last[1], last[5], last[6]), ("7", "7×7", "49", "14"), "{}", run.text());
    assert!(place.open("p.png").width() > 800);
    let json = place.ok(&[&args[..], &["--plot", "p.svg", "--json"]].concat()).json();
    assert_eq!(json["rows"].as_array().unwrap().len(), 3);
    assert_eq!(json["rows"][1]["separable_multiplications"], 10);
    assert!(json["rows"][1]["dense_ms"].as_f64().unwrap() > 0.0);
    let svg = String::from_utf8(place.bytes("p.svg")).unwrap();
    assert!(svg.contains("two passes") && is_closed(&svg));
    // What is not separable has no two passes.
    let run = place.ok(&[
        "-k",
        "log",
        "--bench",
        "--sweep",
        "sigma=1..2:1/2",
        "--shape",
        "64x48x1:f32",
        "--no-naive",
    ]);
    let row: Vec<_> = run.text().lines().nth(3).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[2], row[4], row[6]), ("1.5", "-", "-", "-"), "{}", run.text());
    for (why, flags) in [
        ("takes size, size-y", &["-k", "box", "--bench", "--sweep", "sigma=1..2"][..]),
        ("one named --kernel", &["-k", "1 2 1", "--bench", "--sweep", "size=3..5"]),
        ("one --kernel", &["-k", "box", "-k", "box", "--bench", "--sweep", "size=3..5"]),
        ("--bench", &["-k", "box", "--sweep", "size=3..5"]),
        ("odd", &["-k", "gaussian", "--bench", "--sweep", "size=3..5:1"]),
        ("no value", &["-k", "box", "--bench", "--sweep", "size=3..5:1/2"]),
        ("--sweep", &["-k", "box", "--bench", "--plot", "x.png"]),
        ("filters noise", &["in.png", "-k", "box", "--bench", "--sweep", "size=3..5"]),
    ] {
        place.fails(2, why, flags);
    }
}
