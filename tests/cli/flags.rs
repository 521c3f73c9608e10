//! Kernel, border, method and report flags.

use super::{Place, assert_close, exists, expected, named, scene};
use twopass::{Border, Filter, Kernel, KernelParams, NamedKernel};

#[test]
fn the_first_command_of_all() {
    let place = Place::with_input();
    let run = place.ok(&["input.png", "--kernel", "sobel-x", "--separable"]);
    assert_eq!(run.stderr.lines().count(), 1);
    assert!(run.stderr.starts_with("filter: wrote input.sobel-x.png (23×17 RGB u8)"));
    assert!(run.stdout.is_empty());
    let want = expected(&named("sobel-x").abs(), &place.open("input.png"));
    assert_close(&place.open("input.sobel-x.png"), &want, 0);
}

#[test]
fn every_named_kernel_is_within_one() {
    let place = Place::with_input();
    let image = place.open("input.png");
    for kernel in NamedKernel::all() {
        let name = kernel.name();
        place.ok(&["input.png", "-k", name, "--range", "clamp", "-o", "out.png"]);
        assert_close(&place.open("out.png"), &expected(&named(name), &image), 1);
    }
}

#[test]
fn a_matrix_and_a_kernel_file() {
    let place = Place::with_input();
    let image = place.open("input.png");
    place.ok(&["input.png", "--kernel", "-1 0 1; -2 0 2; -1 0 1", "--range", "clamp"]);
    assert_close(&place.open("input.kernel.png"), &expected(&named("sobel-x"), &image), 0);

    place.write("my soft.txt", "# a small blur\nscale 1/16\n1 2 1\n2, 4, 2\n1 2 1\n");
    place.ok(&["input.png", "--kernel", "@my soft.txt"]);
    let kernel = Kernel::separable(&[0.25, 0.5, 0.25], &[0.25, 0.5, 0.25]).unwrap();
    let got = place.open("input.my soft.png");
    assert_close(&got, &expected(&Filter::new(kernel), &image), 0);
}

#[test]
fn parameters_reach_the_kernel() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let cases: [(&str, &[&str], KernelParams); 6] = [
        (
            "gaussian",
            &["--sigma", "2", "--sigma-y", "0.5"],
            KernelParams { sigma: Some(2.0), sigma_y: Some(0.5), ..Default::default() },
        ),
        (
            "box",
            &["--size", "4", "--size-y", "7"],
            KernelParams { size: Some(4), size_y: Some(7), ..Default::default() },
        ),
        (
            "motion",
            &["--length", "6.5", "--angle", "-30"],
            KernelParams { length: Some(6.5), angle: Some(-30.0), ..Default::default() },
        ),
        (
            "gabor",
            &["--wavelength", "5", "--aspect", "0.8", "--phase", "-45", "--sigma", "1.5"],
            KernelParams {
                wavelength: Some(5.0),
                aspect: Some(0.8),
                phase: Some(-45.0),
                sigma: Some(1.5),
                ..Default::default()
            },
        ),
        ("unsharp", &["--amount", "0.7"], KernelParams { amount: Some(0.7), ..Default::default() }),
        ("dog", &["--ratio", "2"], KernelParams { ratio: Some(2.0), ..Default::default() }),
    ];
    for (name, flags, params) in cases {
        let kernel = NamedKernel::find(name).unwrap().kernels(&params).unwrap().remove(0);
        let args = ["input.png", "-k", name, "-o", "out.png", "--range", "clamp"];
        place.ok(&[&args[..], flags].concat());
        assert_close(&place.open("out.png"), &expected(&Filter::new(kernel), &image), 1);
    }
    place.fails(2, "does not take", &["input.png", "-k", "box", "--sigma", "2"]);
    place.fails(2, "takes no", &["input.png", "-k", "1 2 1", "--sigma", "2"]);
}

#[test]
fn the_anchor_moves_the_image() {
    let place = Place::with_input();
    let kernel = "1 0 0; 0 0 0; 0 0 0";
    place.ok(&["input.png", "-k", kernel, "--anchor", "0,0"]);
    assert_eq!(place.open("input.kernel.png"), place.open("input.png"));
    place.ok(&["input.png", "-k", kernel, "--anchor", "2,1", "-o", "moved.png"]);
    let (from, to) = (place.open("input.png").into_rgb8(), place.open("moved.png").into_rgb8());
    assert_eq!(from.get_pixel(4, 6), to.get_pixel(6, 7));
}

#[test]
fn borders_one_and_two() {
    let place = Place::with_input();
    let image = place.open("input.png");
    let border = |b: &str| match b {
        "replicate" => Border::Replicate,
        "reflect" => Border::Reflect,
        "reflect101" => Border::Reflect101,
        "wrap" => Border::Wrap,
        "valid" => Border::Valid,
        "constant" => Border::Constant(vec![0.0]),
        "constant:9" => Border::Constant(vec![9.0]),
        "constant:10,20,30" => Border::Constant(vec![10.0, 20.0, 30.0]),
        _ => unreachable!(),
    };
    for text in [
        "replicate",
        "reflect",
        "reflect101",
        "wrap",
        "valid",
        "constant",
        "constant:9",
        "constant:10,20,30",
        "wrap/reflect",
        "constant:9/replicate",
        "valid/constant:10,20,30",
    ] {
        place.ok(&["input.png", "-k", "box", "--size", "5", "--border", text, "-o", "out.png"]);
        let (x, y) = text.split_once('/').unwrap_or((text, text));
        let params = KernelParams { size: Some(5), ..Default::default() };
        let kernel = NamedKernel::find("box").unwrap().kernels(&params).unwrap().remove(0);
        let filter = Filter::new(kernel).borders(border(x), border(y));
        assert_close(&place.open("out.png"), &expected(&filter, &image), 1);
    }
    place.fails(2, "1,2", &["input.png", "-k", "box", "--border", "constant:1,2,"]);
    place.fails(2, "2 values", &["input.png", "-k", "box", "--border", "constant:1,2"]);
    place.fails(2, "no border", &["input.png", "-k", "box", "--border", "mirror"]);
}

#[test]
fn methods_levels_and_threads_agree() {
    let place = Place::new();
    place.save("input.png", scene(210, 150));
    let result = |flags: &[&str]| {
        place.ok(&[&["input.png", "-k", "sobel-y", "-o", "out.png"], flags].concat());
        place.open("out.png")
    };
    let auto = result(&[]);
    for method in ["auto", "separable", "dense", "naive"] {
        assert_eq!(result(&["--method", method]), auto, "{method}");
    }
    for threads in ["0", "1", "2", "7"] {
        assert_eq!(result(&["--threads", threads]), auto, "{threads} threads");
    }
    for level in twopass::Level::NAMES {
        if twopass::Level::named(level).is_ok() {
            assert_eq!(result(&["--level", level]), auto, "{level}");
        } else {
            eprintln!("skipped: this machine has no {level}");
            place.fails(2, level, &["input.png", "-k", "sobel-y", "--level", level]);
        }
    }
    place.fails(2, "sse9", &["input.png", "-k", "box", "--level", "sse9"]);
    place.fails(2, "--threads", &["input.png", "-k", "box", "--threads", "-1"]);
    place.fails(2, "--method", &["input.png", "-k", "box", "--separable", "--method", "dense"]);
}

#[test]
fn separable_is_an_assertion() {
    let place = Place::with_input();
    let run = place.fails(2, "rank 2", &["input.png", "-k", "laplacian", "--separable"]);
    assert!(run.stderr.contains("not separable"), "{}", run.stderr);
    place.ok(&["input.png", "-k", "laplacian"]);
}

#[test]
fn sums_are_filtered_term_by_term() {
    let place = Place::with_input();
    let unsharp = ["input.png", "-k", "unsharp", "--sigma", "3", "--verify", "--explain", "--json"];
    for flags in [&[][..], &["--method", "terms"]] {
        let json = place.ok(&[&unsharp[..], flags].concat()).json();
        assert_eq!(json["plan"]["stages"][0]["method"], "terms");
        assert_eq!(json["plan"]["multiplications_per_sample"], 2 * 19 + 1);
    }
    let direct = place.ok(&[&unsharp[..], &["--method", "dense"]].concat()).json();
    assert_eq!(direct["plan"]["stages"][0]["method"], "dense");
    place.fails(2, "method auto", &["input.png", "-k", "gaussian", "--method", "terms"]);
}

#[test]
fn long_kernels_are_off_by_what_is_allowed() {
    let place = Place::with_input();
    let blur = ["input.png", "-k", "gaussian", "--sigma", "12", "--verify", "--explain", "--json"];
    for (flags, method) in [
        (&[][..], "multirate"),
        (&["--method", "multirate"], "multirate"),
        (&["--tolerance", "0"], "separable"),
        (&["--tolerance", "1/250"], "multirate"),
        (&["--depth", "16"], "separable"),
        (&["--separable"], "separable"),
    ] {
        let json = place.ok(&[&blur[..], flags].concat()).json();
        assert_eq!(json["plan"]["stages"][0]["method"], method, "{flags:?}");
    }
    let fft = ["input.png", "-k", "emboss", "--method", "fft", "--verify", "--explain", "--json"];
    assert_eq!(place.ok(&fft).json()["plan"]["stages"][0]["method"], "fft");
    place.fails(2, "at least 0", &["input.png", "-k", "box", "--tolerance=-1"]);
    place.fails(2, "method auto", &["input.png", "-k", "gaussian", "--method", "multirate"]);
}

/// Discs and rings by their radius, and what stands beside the method that was taken.
#[test]
fn discs_run_by_runs_and_candidates_are_listed() {
    let place = Place::with_input();
    let disc =
        ["input.png", "-k", "Bokeh", "--radius", "12", "--edge", "0", "--verify", "--explain"];
    let run = place.ok(&disc);
    for part in [
        "candidate:       runs, 50 multiplications (executed: 53 multiplications and 52 additions)",
        ": taken",
        "candidate:       dense, 625 multiplications",
        "candidate:       separable, the kernel is not separable",
    ] {
        assert!(run.text().contains(part), "{part:?} is not in\n{}", run.text());
    }
    let ring =
        ["input.png", "-k", "ring", "--radius", "12", "--inner", "8", "--verify", "--explain"];
    let json = place.ok(&[&ring[..], &["--json"]].concat()).json();
    assert_eq!(json["plan"]["stages"][0]["method"], "runs");
    place.fails(2, "inner is 12", &["input.png", "-k", "ring", "--radius", "12", "--inner", "12"]);
    place.fails(2, "does not take radius", &["input.png", "-k", "box", "--radius", "3"]);
}

/// The best products of a kernel, with what they leave out.
#[test]
fn the_best_terms_alone() {
    let place = Place::with_input();
    let gabor = ["input.png", "-k", "gabor", "--angle", "30", "--wavelength", "6"];
    let one = place.ok(&[&gabor[..], &["--terms", "1", "--explain"]].concat());
    assert!(one.text().contains("separable"), "{}", one.text());
    let three = place.ok(&[&gabor[..], &["--terms", "3", "-o", "three.png"]].concat());
    assert!(three.stderr.contains("3 of "), "{}", three.stderr);
    assert!(three.stderr.contains("per unit of input range"), "{}", three.stderr);
    place.fails(2, "terms", &[&gabor[..], &["--terms", "0"]].concat());
    // A kernel for each channel, too.
    let each = ["input.png", "--depthwise", "log", "--depthwise", "log", "--depthwise", "log"];
    let all = place.ok(&[&each[..], &["-o", "all.png"]].concat());
    let one = place.ok(&[&each[..], &["--terms", "1", "-o", "one.png"]].concat());
    assert!(
        all.stderr.len() < one.stderr.len() && one.stderr.matches("1 of 2 products").count() == 3
    );
    assert_ne!(
        std::fs::read(place.path("all.png")).unwrap(),
        std::fs::read(place.path("one.png")).unwrap()
    );
}

#[test]
fn explain_shows_the_plan_and_writes_nothing() {
    let place = Place::with_input();
    let run = place.ok(&["input.png", "-k", "sobel-x", "--explain"]);
    for part in ["rank 1", "[1 2 1]ᵀ · [-1 0 1]", "separable", "6 per sample (2D: 9)", "level:"]
    {
        assert!(run.text().contains(part), "{part:?} is not in\n{}", run.text());
    }
    assert!(run.stderr.is_empty());
    assert_eq!(place.names(), ["input.png"]);
}

#[test]
fn verify_reports_the_error() {
    let place = Place::with_input();
    for kernel in ["sobel-x", "gaussian", "sobel", "laplacian"] {
        for depth in ["8", "16", "f32"] {
            let run = place.ok(&["input.png", "-k", kernel, "--depth", depth, "--verify"]);
            assert!(run.text().starts_with("verify: all samples"), "{}", run.text());
        }
    }
    assert_eq!(place.names(), ["input.png"]);
}

#[test]
fn verify_checks_a_part_of_large_work() {
    let place = Place::new();
    place.save(
        "large.png",
        image::GrayImage::from_fn(1500, 1100, |x, y| image::Luma([(x ^ y) as u8])),
    );
    let args = ["large.png", "-k", "box", "--size", "165", "--verify"];
    let run = place.ok(&args);
    assert!(run.text().contains("edges and evenly spaced rows"), "{}", run.text());
}

#[test]
fn bench_counts_its_runs() {
    let place = Place::with_input();
    let run = place.ok(&["input.png", "-k", "box", "--bench", "3"]);
    assert!(run.text().starts_with("bench: 3 runs"), "{}", run.text());
    assert!(run.text().contains("plain 2D"), "{}", run.text());
    let run = place.ok(&["-k", "box", "--bench", "input.png", "--no-naive"]);
    assert!(run.text().starts_with("bench: 10 runs"), "{}", run.text());
    assert!(!run.text().contains("plain 2D"), "{}", run.text());
    place.fails(2, "--bench", &["input.png", "-k", "box", "--bench", "0"]);
    place.fails(2, "--no-naive", &["input.png", "-k", "box", "--no-naive"]);
    assert_eq!(place.names(), ["input.png"]);
}

#[test]
fn json_has_the_parts_that_were_asked_for() {
    let place = Place::with_input();
    let args = ["input.png", "-k", "sobel-x", "--explain", "--verify", "--bench", "2", "--json"];
    let json = place.ok(&args).json();
    let input = serde_json::json!({
        "path": "input.png", "width": 23, "height": 17, "channels": 3, "sample": "u8"
    });
    assert_eq!(json["input"], input);
    let kernel =
        serde_json::json!({"name": "sobel-x", "width": 3, "height": 3, "rank": 1, "residual": 0.0});
    assert_eq!(json["kernel"], kernel);
    assert_eq!(json["plan"]["stages"][0]["method"], "separable");
    assert_eq!(json["plan"]["multiplications_per_sample"], 6);
    assert_eq!(json["plan"]["naive_multiplications_per_sample"], 9);
    let executed = serde_json::json!({"multiplications": 3.75, "additions": 4.5});
    assert_eq!(json["plan"]["operations_per_sample"], executed);
    assert_eq!(json["plan"]["stages"][0]["operations_per_sample"], executed);
    assert!(!json["plan"]["stages"].as_array().unwrap().is_empty());
    assert!(json["plan"]["level"].is_string() && json["plan"]["threads"].is_u64());
    assert_eq!(json["verify"], serde_json::json!({"max_error": 0.0, "mean_error": 0.0}));
    assert_eq!(json["bench"]["runs"], 2);
    for key in ["min_ms", "median_ms", "naive_min_ms", "speedup"] {
        assert!(json["bench"][key].is_f64(), "{key}");
    }
    assert!(json.get("output").is_none());

    let json = place.ok(&["input.png", "-k", "box", "--bench", "1", "--no-naive", "--json"]).json();
    assert!(json["bench"].get("naive_min_ms").is_none() && json.get("verify").is_none());

    let json = place.ok(&["input.png", "-k", "box", "--json"]).json();
    assert_eq!(json["output"], "input.box.png");
    assert!(json.get("bench").is_none() && exists(place.path("input.box.png")));
}

#[test]
fn json_says_where_the_time_went() {
    let place = Place::new();
    place.save("input.png", scene(600, 400));
    let times = |args: &[&str]| {
        let start = std::time::Instant::now();
        let json = place.ok(&[&["input.png", "-k", "gaussian", "--json"], args].concat()).json();
        let all = start.elapsed().as_secs_f64() * 1e3;
        let times = json["times"].as_object().unwrap();
        assert_eq!(times.len(), 4, "{times:?}");
        let times = ["decode_ms", "filter_ms", "encode_ms", "write_ms"].map(|key| {
            let time = times[key].as_f64().unwrap();
            assert!(time >= 0.0, "{key}: {time}");
            time
        });
        let sum: f64 = times.iter().sum();
        assert!(sum <= all, "{times:?} of {all}");
        times
    };
    assert!(times(&[]).iter().all(|t| *t > 0.0));
    // What was not done took no time; both outputs count.
    let [decode, filter, encode, write] = times(&["--verify"]);
    assert!(decode > 0.0 && filter > 0.0 && (encode, write) == (0.0, 0.0));
    let [decode, .., encode, write] = times(&["--compare", "both.png"]);
    assert!(decode > 0.0 && encode > 0.0 && write > 0.0);
}

#[test]
fn an_output_is_written_beside_reports() {
    let place = Place::with_input();
    place.ok(&["input.png", "-k", "box", "--explain", "--verify", "--bench", "1", "-o", "out.png"]);
    assert!(exists(place.path("out.png")));
}

#[test]
fn help_is_complete() {
    let place = Place::new();
    let help = place.ok(&["--help"]);
    for kernel in NamedKernel::all() {
        assert!(help.text().contains(kernel.name()), "{}", kernel.name());
    }
    for part in
        ["Examples:", "Exit codes:", "gfedcb|abcdefgh|gfedcb", "Possible values:", "268435456"]
    {
        assert!(help.text().contains(part), "{part}");
    }
    assert!(place.ok(&["--version"]).text().starts_with("filter "));
}

#[test]
fn wrong_usage_is_one_line() {
    let place = Place::with_input();
    place.fails(2, "--kernel", &["input.png"]);
    place.fails(2, "INPUT", &["-k", "box"]);
    place.fails(2, "--nonsense", &["input.png", "-k", "box", "--nonsense"]);
    place.fails(2, "gaussian", &["input.png", "-k", "gausian"]);
    place.fails(2, "--range", &["input.png", "-k", "box", "--range", "wide"]);
    place.fails(2, "--depth", &["input.png", "-k", "box", "--depth", "12"]);
    place.fails(2, "--scale", &["input.png", "-k", "box", "--scale", "NaN"]);
    place.fails(2, "--offset", &["input.png", "-k", "box", "--offset", "inf"]);
    place.fails(2, "standard output", &["input.png", "-k", "box", "--json", "-o", "-"]);
    place.fails(2, "standard output", &["input.png", "-k", "box", "--explain", "-o", "-"]);
}
