//! Several inputs: which files are found, what happens when one is bad, and what is said at the
//! end.

use super::{Place, Run, exists, scene, soft};

/// A directory with a tree of pictures in `photos`.
fn tree() -> Place {
    let place = Place::new();
    place.folder("photos/deep/er");
    for (name, width) in [("a.png", 9), ("b.jpg", 10), ("deep/c.png", 11), ("deep/er/d.bmp", 12)] {
        place.save(&format!("photos/{name}"), scene(width, 7));
    }
    place.write("photos/notes.txt", "no picture");
    place
}

#[test]
fn several_files() {
    let place = Place::with_input();
    place.save("other.png", scene(12, 8));
    let run = place.ok(&["input.png", "other.png", "-k", "box"]);
    assert_eq!(place.names(), ["input.box.png", "input.png", "other.box.png", "other.png"]);
    assert!(run.stdout.is_empty());
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.starts_with("filter: filtered 2 of 2 files; "), "{}", run.stderr);
    let single = Place::with_input();
    single.ok(&["input.png", "-k", "box"]);
    assert_eq!(place.open("input.box.png"), single.open("input.box.png"));
    place.fails(2, "-o is for one input", &["input.png", "other.png", "-k", "box", "-o", "x.png"]);
    place.fails(2, "--compare", &["input.png", "other.png", "-k", "box", "--compare", "x.png"]);
}

/// Workers use the memory of their pictures again.
#[test]
fn pictures_do_not_depend_on_those_before_them() {
    let place = Place::new();
    // Of one size, of another, of one size with other channels, and one that is damaged.
    let dark = image::RgbImage::new(40, 30);
    for name in ["1.png", "3.jpg", "6.png"] {
        place.save(name, scene(40, 30));
    }
    for name in ["2.png", "4.jpg", "8.png"] {
        place.save(name, dark.clone());
    }
    place.save("5.png", scene(30, 40));
    place.save("7.png", soft(40, 30));
    let file = place.bytes("1.png");
    place.write("0.png", &file[..file.len() / 2]);
    place.write("2a.png", &file[..file.len() / 2]);
    let run = place.filter(&["*.[pj]*g", "-k", "box", "--out-dir", "all", "--jobs", "1"]);
    assert_eq!((run.code, place.names_in("all").len()), (3, 8), "{}", run.stderr);
    for name in place.names_in("all") {
        place.ok(&[&name, "-k", "box", "-o", &format!("alone-{name}")]);
        assert!(
            place.bytes(&format!("all/{name}")) == place.bytes(&format!("alone-{name}")),
            "{name}"
        );
    }
}

#[test]
fn patterns_are_expanded() {
    let place = tree();
    place.ok(&["photos/*.[pj]*g", "-k", "box", "--out-dir", "flat"]);
    assert_eq!(place.names_in("flat"), ["a.png", "b.jpg"]);
    place.ok(&["photos/**/*.png", "-k", "box", "--out-dir", "all"]);
    assert_eq!(place.names_in("all"), ["a.png", "deep"]);
    assert!(exists(place.path("all/deep/c.png")));
    let run = place.filter(&["photos/*.tiff", "-k", "box"]);
    assert_eq!((run.code, run.stderr.contains("no file matches photos/*.tiff")), (3, true));
    // A file of that very name is no pattern.
    place.save("odd[1].png", scene(9, 7));
    place.ok(&["odd[1].png", "-k", "box"]);
    assert!(exists(place.path("odd[1].box.png")));
    let run = place.filter(&["[", "-k", "box"]);
    assert_eq!((run.code, run.stderr.lines().count()), (2, 1), "{}", run.stderr);
}

#[test]
fn folders_are_walked_and_mirrored() {
    let place = tree();
    let run = place.filter(&["photos", "-k", "box"]);
    assert_eq!((run.code, run.stderr.contains("-r")), (3, true), "{}", run.stderr);
    place.ok(&["-r", "photos", "-k", "box", "--out-dir", "out/of"]);
    for name in ["a.png", "b.jpg", "deep/c.png", "deep/er/d.bmp"] {
        place.open(&format!("out/of/{name}"));
    }
    assert!(!exists(place.path("out/of/notes.txt")));
    // Beside the inputs, what an earlier run wrote is not filtered again; it is in the way.
    place.ok(&["-r", "photos", "-k", "box"]);
    assert_eq!(place.names_in("photos").len(), 6);
    let run = place.filter(&["-r", "photos", "-k", "box"]);
    assert_eq!((run.code, run.stderr.matches("exists; --force").count()), (5, 4), "{}", run.stderr);
    place.ok(&["-r", "photos", "-k", "box", "--force"]);
    place.ok(&["-r", "photos", "-k", "box", "--skip-existing"]);
    assert_eq!(place.names_in("photos").len(), 6);
    // The folder of the outputs, inside that of the inputs, is no input.
    let place = tree();
    for _ in 0..2 {
        place.ok(&["-r", "photos", "-k", "box", "--out-dir", "photos/out", "--force"]);
    }
    assert_eq!(place.names_in("photos/out"), ["a.png", "b.jpg", "deep"]);
    place.folder("bare");
    let run = place.filter(&["-r", "bare", "-k", "box"]);
    assert_eq!((run.code, run.stderr.contains("no images in bare")), (3, true), "{}", run.stderr);
}

#[test]
fn lists_of_names() {
    let place = tree();
    let list = "photos/a.png\r\n\n./photos/deep/c.png\n";
    let args = ["--files-from", "-", "-k", "box", "--out-dir"];
    let run = Run::of(place.command().args(args).arg("one").write_stdin(list));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(exists(place.path("one/photos/a.png")) && exists(place.path("one/photos/deep/c.png")));
    place.write("list", "photos/a.png\0photos/deep/c.png");
    place.ok(&["--files-from", "list", "photos/b.jpg", "-k", "box", "--out-dir", "two"]);
    assert_eq!(place.names_in("two"), ["b.jpg", "photos"]);
    place.fails(3, "gone", &["--files-from", "gone", "-k", "box"]);
    let nothing = Run::of(place.command().args(["--files-from", "-", "-k", "box"]).write_stdin(""));
    assert_eq!((nothing.code, nothing.stderr.contains("0 of 0")), (0, true), "{}", nothing.stderr);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let place = tree();
    place.write("photos/bad.png", "no image at all, whatever its name says");
    let png = place.bytes("photos/a.png");
    place.write("photos/cut.png", &png[..png.len() / 2]);
    let run = place.filter(&["-r", "photos", "photos/gone.png", "-k", "box", "--out-dir", "out"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{}", run.stderr);
    assert!(lines[0].starts_with("filter: photos/bad.png: not an image"), "{}", lines[0]);
    assert!(lines[1].starts_with("filter: photos/cut.png: "), "{}", lines[1]);
    assert!(lines[2].starts_with("filter: cannot read photos/gone.png: "), "{}", lines[2]);
    assert!(lines[3].starts_with("filter: filtered 4 of 7 files, 3 failed; "), "{}", lines[3]);
    assert_eq!(place.names_in("out"), ["a.png", "b.jpg", "deep"]);
    // The code is that of the first failure.
    let run = place.filter(&["photos/b.jpg", "photos/bad.png", "-k", "box", "--depth", "16"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.starts_with("filter: photos/b.jpg: JPEG files cannot hold"));
}

#[test]
fn quiet_says_failures_only() {
    let place = tree();
    let run = place.ok(&["-r", "photos", "-k", "box", "--out-dir", "out", "--quiet"]);
    assert!(run.stderr.is_empty() && run.stdout.is_empty(), "{}", run.stderr);
    let run = place.ok(&["photos/a.png", "-k", "box", "-q"]);
    assert!(run.stderr.is_empty() && run.stdout.is_empty(), "{}", run.stderr);
    let run = place.filter(&["photos/a.png", "gone.png", "-k", "box", "-q", "--out-dir", "more"]);
    assert_eq!((run.code, run.stderr.contains("gone.png")), (3, true), "{}", run.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn progress_is_shown_on_a_terminal_only() {
    let place = tree();
    let args = "-r photos -k box --force --out-dir out";
    let Some((success, text)) = place.on_terminal(args) else {
        eprintln!("skipped: there is no script");
        return;
    };
    assert!(success && text.contains(" files, 0s elapsed"), "{text:?}");
    for hidden in ["--quiet", "2> errors"] {
        let Some((success, text)) = place.on_terminal(&format!("{args} {hidden}")) else {
            unreachable!()
        };
        assert!(success && text.is_empty(), "{hidden}: {text:?}");
    }
    let errors = std::fs::read_to_string(place.path("errors")).unwrap();
    assert!(errors.starts_with("filter: filtered") && errors.lines().count() == 1, "{errors:?}");
}

#[test]
fn json_is_one_line_for_each_file_in_order() {
    let place = tree();
    place.write("photos/a.tiff", "no image");
    let args = ["-r", "photos", "-k", "box", "--out-dir", "out", "--json", "--jobs", "3"];
    let run = place.filter(&args);
    assert_eq!(run.code, 3, "{}", run.stderr);
    let lines = run.json_lines();
    let paths: Vec<_> = lines.iter().map(|l| l["input"]["path"].as_str().unwrap()).collect();
    let wanted = ["a.png", "a.tiff", "b.jpg", "deep/c.png", "deep/er/d.bmp"];
    assert_eq!(paths, wanted.map(|n| format!("photos/{n}")));
    assert_eq!(lines[0]["status"], "written");
    assert_eq!(lines[0]["output"], "out/a.png");
    assert_eq!(lines[0]["kernel"]["name"], "box");
    assert_eq!(lines[1]["status"], "failed");
    assert_eq!(lines[1]["code"], 3);
    assert!(lines[1]["error"].as_str().unwrap().contains("not an image"));
    let run = place.filter(&[&args[..], &["--skip-existing"]].concat());
    assert_eq!(run.json_lines()[3]["status"], "skipped");
    // Reports are made of each file, and nothing is written.
    let run = place.ok(&["photos/a.png", "photos/b.jpg", "-k", "box", "--explain"]);
    assert!(run.text().starts_with("photos/a.png:\nname:"), "{}", run.text());
    assert!(run.text().contains("\nphotos/b.jpg:\nname:"), "{}", run.text());
    assert!(!exists(place.path("photos/a.box.png")));
}

#[test]
fn memory_is_bounded() {
    let place = Place::new();
    place.save("large.png", image::RgbImage::new(1000, 1000));
    place.save("small.png", scene(9, 7));
    for limit in ["5M", "8000K"] {
        place.fails(4, "--max-memory", &["large.png", "-k", "box", "--max-memory", limit]);
    }
    place.ok(&["large.png", "-k", "box", "--max-memory", "1G", "-o", "o.png"]);
    let args = ["large.png", "small.png", "-k", "box", "--out-dir", "out", "--max-memory", "1M"];
    let run = place.filter(&args);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert_eq!(place.names_in("out"), ["small.png"]);
    // Those that fit one at a time wait for each other.
    for i in 0..6 {
        std::fs::copy(place.path("large.png"), place.path(&format!("copy{i}.png"))).unwrap();
    }
    place.ok(&["copy*.png", "-k", "box", "--out-dir", "out", "--max-memory", "10M", "--jobs", "4"]);
    assert_eq!(place.names_in("out").len(), 7);
    place.fails(2, "--max-memory", &["small.png", "-k", "box", "--max-memory", "lots"]);
}

#[test]
fn threads_and_jobs_change_nothing() {
    let place = tree();
    for (threads, jobs) in [("1", "1"), ("3", "2"), ("2", "5")] {
        let out = format!("out{threads}{jobs}");
        let flags = ["--threads", threads, "--jobs", jobs, "--out-dir", &out];
        place.ok(&[&["-r", "photos", "-k", "gaussian"], &flags[..]].concat());
        for name in ["a.png", "b.jpg", "deep/c.png", "deep/er/d.bmp"] {
            assert_eq!(
                place.bytes(&format!("{out}/{name}")),
                place.bytes(&format!("out11/{name}"))
            );
        }
    }
    place.fails(2, "--jobs", &["photos/a.png", "-k", "box", "--jobs", "0"]);
}

#[test]
fn hidden_files_are_left_out() {
    let place = tree();
    place.folder("photos/.cache");
    place.save("photos/.cache/x.png", scene(9, 7));
    place.save("photos/.y.png", scene(9, 7));
    place.ok(&["-r", "photos", "-k", "box", "--out-dir", "out"]);
    assert_eq!(place.names_in("out"), ["a.png", "b.jpg", "deep"]);
    place.ok(&["photos/*.png", "-k", "box", "--out-dir", "flat"]);
    assert_eq!(place.names_in("flat"), ["a.png"]);
    place.ok(&["-r", "photos", "-k", "box", "--out-dir", "all", "--hidden"]);
    assert_eq!(place.names_in("all"), [".cache", ".y.png", "a.png", "b.jpg", "deep"]);
    place.ok(&["photos/*.png", "-k", "box", "--out-dir", "both", "--hidden"]);
    assert_eq!(place.names_in("both"), [".y.png", "a.png"]);
    // A folder that is named is no surprise, and neither is a file.
    place.ok(&["-r", "photos/.cache", "-k", "box", "--out-dir", "named"]);
    assert_eq!(place.names_in("named"), ["x.png"]);
    place.ok(&["photos/.y.png", "-k", "box", "-o", "y.png"]);
}

#[cfg(unix)]
#[test]
fn pipes_in_folders_are_not_waited_for() {
    let place = tree();
    let made = std::process::Command::new("mkfifo").arg(place.path("photos/pipe.png")).status();
    if !made.is_ok_and(|s| s.success()) {
        eprintln!("skipped: there is no mkfifo");
        return;
    }
    for args in [&["-r", "photos"][..], &["photos/*.png"]] {
        let run = Run::of(
            place
                .command()
                .args(args)
                .args(["-k", "box", "--out-dir", "out", "--force"])
                .timeout(std::time::Duration::from_secs(20)),
        );
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    assert_eq!(place.names_in("out"), ["a.png", "b.jpg", "deep"]);
}
