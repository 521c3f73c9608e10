//! What outputs are called, and which files are never written over.

use super::{Place, exists, scene};

#[test]
fn names_are_made_of_parts() {
    let place = Place::with_input();
    place.save("b.jpg", scene(9, 7));
    place.ok(&["input.png", "-k", "box", "--name", "{stem}-{kernel}-x.{ext}"]);
    assert!(exists(place.path("input-box-x.png")));
    place.ok(&["input.png", "b.jpg", "-k", "box", "--name", "{stem}.webp", "--out-dir", "web"]);
    assert_eq!(place.names_in("web"), ["b.webp", "input.webp"]);
    place.ok(&["input.png", "b.jpg", "-k", "box", "--format", "tiff", "--out-dir", "tiff"]);
    assert_eq!(place.names_in("tiff"), ["b.tiff", "input.tiff"]);
    place.ok(&["input.png", "-k", "box", "-k", "sobel", "--format", "ppm"]);
    assert!(place.bytes("input.box+sobel.ppm").starts_with(b"P6"));
    for (name, why) in [
        ("{what}", "{stem}, {kernel} and {ext}"),
        ("a/{stem}.png", "--out-dir"),
        ("{stem", "}"),
        ("", "a name is expected"),
        ("{stem}.xyz", "cannot write .xyz"),
    ] {
        place.fails(2, why, &["input.png", "-k", "box", "--name", name]);
    }
    place.fails(2, "cannot write .doc", &["input.png", "-k", "box", "--format", "doc"]);
    place.fails(2, "one format", &["input.png", "-k", "box", "--format", "jpg", "-o", "o.png"]);
}

#[test]
fn two_inputs_never_share_an_output() {
    let place = Place::with_input();
    place.folder("more");
    place.save("more/input.png", scene(5, 5));
    let run = place.filter(&["input.png", "more/input.png", "-k", "box", "--out-dir", "out"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("is that of input.png already"), "{}", run.stderr);
    // Also where only the content tells.
    std::fs::copy(place.path("input.png"), place.path("input.jpg")).unwrap();
    let args = ["input.png", "input.jpg", "-k", "box", "--force", "--jobs", "1"];
    let run = place.filter(&args);
    assert_eq!(run.code, 5, "{}", run.stderr);
    assert!(run.stderr.contains("of another input already"), "{}", run.stderr);
    // The same file twice is once.
    let run = place.ok(&["input.png", "input.png", "-k", "sobel"]);
    assert!(run.stderr.contains("1 of 1 files"), "{}", run.stderr);
}

#[test]
fn nothing_is_overwritten_unasked() {
    let place = Place::with_input();
    place.write("input.box.png", "something dear");
    place.fails(5, "--force", &["input.png", "-k", "box"]);
    place.fails(5, "--force", &["input.png", "-k", "box", "--name", "input.box.png"]);
    assert_eq!(place.bytes("input.box.png"), b"something dear");
    let run = place.ok(&["input.png", "-k", "box", "--skip-existing"]);
    assert!(run.stderr.contains("left out"), "{}", run.stderr);
    assert_eq!(place.bytes("input.box.png"), b"something dear");
    place.ok(&["input.png", "-k", "box", "--force"]);
    place.open("input.box.png");
    // The same command again finds its own result, which is no loss; another result would be.
    place.ok(&["input.png", "-k", "box"]);
    place.fails(5, "--force", &["input.png", "-k", "box", "--border", "wrap"]);
    // Not even by --force is an input lost.
    let args = ["input.png", "-k", "box", "--name", "{stem}.{ext}", "--force"];
    place.fails(5, "--in-place", &args);
}

#[test]
fn in_place() {
    let place = Place::with_input();
    place.save("b.jpg", scene(9, 7));
    place.save("expected.png", place.open("input.png"));
    place.ok(&["expected.png", "-k", "box", "-o", "expected.box.png"]);
    place.ok(&["input.png", "b.jpg", "-k", "box", "--in-place"]);
    assert_eq!(place.open("input.png"), place.open("expected.box.png"));
    assert_eq!(place.names(), ["b.jpg", "expected.box.png", "expected.png", "input.png"]);
    place.write("bad.png", "no image");
    place.fails(3, "bad.png", &["bad.png", "-k", "box", "--in-place"]);
    assert_eq!(place.bytes("bad.png"), b"no image");
    for other in [["-o", "x.png"], ["--out-dir", "x"], ["--name", "x.png"], ["--format", "jpg"]] {
        place.fails(2, "--in-place", &[&["b.jpg", "-k", "box", "--in-place"], &other[..]].concat());
    }
    let run = place.filter(&["-", "-k", "box", "--in-place"]);
    assert_eq!(run.code, 3, "an empty standard input: {}", run.stderr);
}

#[cfg(unix)]
#[test]
fn no_file_is_filtered_twice_in_place() {
    let place = Place::with_input();
    place.save("once.png", place.open("input.png"));
    place.ok(&["once.png", "-k", "box", "--in-place"]);
    std::os::unix::fs::symlink("input.png", place.path("link.png")).unwrap();
    place.ok(&["input.png", "./input.png", "link.png", "-k", "box", "--in-place"]);
    assert_eq!(place.open("input.png"), place.open("once.png"));
    assert!(std::fs::symlink_metadata(place.path("link.png")).unwrap().is_symlink());
    place.ok(&["link.png", "-k", "box", "--in-place"]);
    assert!(std::fs::symlink_metadata(place.path("link.png")).unwrap().is_symlink());
    assert_ne!(place.open("input.png"), place.open("once.png"));
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::with_input();
    let run = place.ok(&["input.png", "-k", "box", "--dry-run"]);
    assert_eq!(run.text(), "input.png -> input.box.png\n");
    place.write("bad.png", "no image");
    place.save("c.png", scene(9, 7));
    let args = ["input.png", "bad.png", "c.png", "-k", "box", "--out-dir", "out", "--dry-run"];
    let run = place.filter(&args);
    assert_eq!(run.code, 3);
    assert_eq!(run.text(), "input.png -> out/input.png\nc.png -> out/c.png\n");
    assert!(run.stderr.contains("2 planned, 1 failed"), "{}", run.stderr);
    assert_eq!(place.names(), ["bad.png", "c.png", "input.png"]);
    let lines = place.filter(&[&args[..], &["--json"]].concat()).json_lines();
    assert_eq!(
        (&lines[0]["status"], &lines[0]["output"]),
        (&"planned".into(), &"out/input.png".into())
    );
    let json = place.ok(&["input.png", "-k", "box", "--dry-run", "--json"]).json();
    assert_eq!(json["status"], "planned");
}

#[cfg(unix)]
#[test]
fn odd_names() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::with_input();
    place.folder("odd");
    let names: [&[u8]; 4] = [b"line\nbreak.png", b"not \xff text.png", b"-dash.png", b"a b'\".png"];
    for name in names {
        std::fs::copy(place.path("input.png"), place.path("odd").join(OsStr::from_bytes(name)))
            .unwrap();
    }
    place.write("odd/bad\nname.png", "no image");
    let run = place.filter(&["-r", "odd", "-k", "box", "--out-dir", "out"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    // A name does not break the lines of messages.
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    for name in names {
        assert!(exists(place.path("out").join(OsStr::from_bytes(name))));
    }
    let list = names.map(|n| [b"odd/", n].concat()).join(&0);
    let args = ["--files-from", "-", "-k", "box", "--out-dir", "list", "--json"];
    let run = super::Run::of(place.command().args(args).write_stdin(list));
    assert_eq!((run.code, run.json_lines().len()), (0, 4), "{}", run.stderr);
    // Lines are lines: this list names no file that exists.
    let args = ["--files-from", "-", "-k", "box"];
    let run = super::Run::of(place.command().args(args).write_stdin("odd/line\nbreak.png"));
    assert_eq!((run.code, run.stderr.lines().count()), (3, 3), "{}", run.stderr);
    place.ok(&["-k", "box", "--out-dir", "dash", "--", "odd/-dash.png"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_becomes_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_input();
    place.save("b.png", scene(9, 7));
    place.folder("out");
    let lock = |mode| {
        std::fs::set_permissions(place.path("out"), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    lock(0o555);
    if std::fs::write(place.path("out/probe"), "").is_ok() {
        eprintln!("skipped: this user may write to read-only directories");
        return;
    }
    let run = place.filter(&["input.png", "b.png", "-k", "box", "--out-dir", "out"]);
    lock(0o755);
    assert_eq!((run.code, run.stderr.lines().count()), (5, 3), "{}", run.stderr);
    assert!(place.names_in("out").is_empty());
}

#[test]
fn in_place_a_file_stays_what_it_is() {
    let place = Place::new();
    place.save("photo.jpg", scene(23, 17));
    let jpeg = place.bytes("photo.jpg");
    for name in ["photo.png", "photo.v2", "photo"] {
        place.write(name, &jpeg);
        place.ok(&[name, "-k", "box", "--in-place"]);
        let now = place.bytes(name);
        assert_eq!(image::guess_format(&now).unwrap(), image::ImageFormat::Jpeg, "{name}");
        assert_ne!(now, jpeg);
    }
}

#[test]
fn less_common_extensions_are_known() {
    let place = Place::new();
    place.folder("in");
    let names = ["a.jpe", "b.jfif", "c.JIF", "d.dib", "e.tf8", "f.vst"];
    let kinds = ["jpg", "jpg", "jpg", "bmp", "tif", "tga"];
    for (name, kind) in names.iter().zip(kinds) {
        let plain = format!("plain.{kind}");
        place.save(&plain, scene(9, 7));
        place.write(&format!("in/{name}"), place.bytes(&plain));
    }
    place.ok(&["-r", "in", "-k", "box", "--out-dir", "out"]);
    assert_eq!(place.names_in("out"), names);
}
