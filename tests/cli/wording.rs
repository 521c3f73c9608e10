//! Names that are nearly right, other names, and the list of all.

use super::Place;
use twopass::NamedKernel;

#[test]
fn nearly_right_names_are_answered() {
    let place = Place::with_input();
    let cases: [(&str, &[&str]); 13] = [
        ("no kernel named \"gausian\"; did you mean gaussian?", &["-k", "gausian"]),
        ("did you mean sobel-x?", &["-k", "sobel-z"]),
        ("--list-kernels lists all", &["-k", "median"]),
        ("did you mean laplacian?", &["--depthwise", "laplacain"]),
        ("did you mean sepia?", &["--mix", "sepai"]),
        ("there are luma, luma709", &["--mix", "nothing-like-it"]),
        ("did you mean replicate? See --help", &["-k", "box", "--border", "replicat"]),
        ("reflect101 does not", &["-k", "box", "--border", "mirror"]),
        ("did you mean jpg?", &["-k", "box", "--format", "jgp"]),
        ("there is no flag --sigam; did you mean --sigma?", &["-k", "gaussian", "--sigam", "2"]),
        ("kernel box does not take radius; it takes size, size-y", &["-k", "box", "--radius", "2"]),
        ("did you mean --kernel gaussian?", &["--blur"]),
        ("there is no flag --median; see --help", &["-k", "box", "--median"]),
    ];
    for (why, flags) in cases {
        place.fails(2, why, &[&["input.png"], flags].concat());
    }
    // No value is taken for a flag, and no flag for a value.
    let run = place.fails(2, "--verbose", &["input.png", "-k", "box", "--verbose"]);
    assert!(!run.stderr.contains("--version") && !run.stderr.contains("-- --"), "{}", run.stderr);
}

#[test]
fn other_names_and_capitals() {
    let place = Place::with_input();
    for (typed, name) in [
        ("Gauss", "gaussian"),
        ("blur", "gaussian"),
        ("MEAN", "box"),
        ("average", "box"),
        ("sobelx", "sobel-x"),
        ("SOBEL_Y", "sobel-y"),
        ("edge", "sobel"),
    ] {
        place.ok(&["input.png", "-k", typed, "--force"]);
        let written = place.open(&format!("input.{name}.png"));
        place.ok(&["input.png", "-k", name, "-o", "want.png"]);
        assert_eq!(written, place.open("want.png"), "{typed}");
    }
    place.ok(&["input.png", "--mix", "grayscale", "-k", "box", "--border", "Edge", "-o", "a.png"]);
    place.ok(&["input.png", "--mix", "luma", "-k", "box", "--border", "replicate", "-o", "b.png"]);
    assert_eq!(place.open("a.png"), place.open("b.png"));
    place.ok(&["input.png", "-k", "box", "--format", "TIFF", "--name", "c.{ext}"]);
    assert!(place.names().contains(&"c.tiff".to_owned()));
}

#[test]
fn all_kernels_are_listed() {
    let place = Place::new();
    let text = place.ok(&["--list-kernels"]);
    let json = place.ok(&["--list-kernels", "--json"]).json();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.len(), NamedKernel::all().len());
    for (kernel, row) in NamedKernel::all().iter().zip(rows) {
        assert!(text.text().contains(kernel.summary()), "{}", kernel.name());
        assert_eq!(row["name"], kernel.name());
        assert_eq!(row["parameters"].as_array().unwrap().len(), kernel.params().len());
    }
    assert!(text.text().lines().all(|line| line.chars().count() <= 100));
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("box")["parameters"][0], serde_json::json!({"name": "size", "default": 3}));
    assert_eq!(row("gaussian")["aliases"][1], "blur");
    assert_eq!(
        (&row("sobel")["magnitude"], &row("sobel-x")["magnitude"]),
        (&true.into(), &false.into())
    );
    place.fails(2, "--list-kernels", &["--list-kernels", "input.png"]);
}

#[test]
fn help_fits_a_terminal() {
    let place = Place::new();
    let help = place.ok(&["--help"]);
    // The columns of a table start in the same place.
    let columns = |names: &[&str], end: &str| {
        let line = |name: &&str| {
            help.text().lines().find(|l| l.trim_start().starts_with(&format!("{name} "))).unwrap()
        };
        names.iter().map(line).map(|l| l.find(end)).collect::<Vec<_>>()
    };
    let borders = ["replicate", "reflect", "reflect101", "wrap", "constant"];
    let at = columns(&borders, "|abcdefgh|");
    assert!(at[0].is_some() && at.iter().all(|a| *a == at[0]), "{at:?}");
    assert!(!help.text().contains("{n}"));
    for part in ["wave in a Gaussian", "--wavelength 4", "--normalize", "Examples:", "Exit codes:"]
    {
        assert!(help.text().contains(part), "{part}");
    }
}

#[test]
fn the_manual_has_its_sections() {
    let place = Place::new();
    let man = place.ok(&["--man"]);
    let text = man.text();
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "FILES",
        "CHAINS",
        "EXAMPLES",
        "\"EXIT STATUS\"",
        "VERSION",
    ] {
        assert!(text.contains(&format!(".SH {section}\n")), "{section}");
    }
    assert!(!text.contains("{n}") && !text.contains(".SH EXTRA"));
    // Tables are lists, which are as wide as the terminal is.
    assert!(text.contains(".RS\n.PD 0\n.TP 14\nreplicate\n"), "no list of borders");
    assert!(text.contains(".TP 14\nsobel\\-x\n"), "no list of kernels");
    assert!(text.matches("\n.RS\n").count() >= 3);
    let depth = text.lines().fold(0, |depth: i32, line| match line {
        l if l.starts_with(".RS") => depth + 1,
        l if l.starts_with(".RE") => depth - 1,
        _ => depth,
    });
    assert_eq!(depth, 0, "lists are closed");
}

#[test]
fn completions_offer_values() {
    let place = Place::new();
    let bash = place.ok(&["--completions", "bash"]);
    let values = |flag: &str| {
        let text = bash.text();
        let from = text.find(&format!("\n                {flag})")).unwrap();
        text[from..].lines().nth(2).unwrap().to_owned()
    };
    assert!(values("--kernel").contains("gaussian") && values("--kernel").contains("sobel-x"));
    assert!(values("--border").contains("reflect101"));
    assert!(values("--format").contains("webp"));
    assert!(values("--mix").contains("sepia"));
    // They are offers: other values are read.
    assert!(!place.ok(&["--help"]).text().contains("[possible values: identity"));
}
