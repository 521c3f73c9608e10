//! Where the output goes: links, permissions, devices, and what is left after a failure.

use super::{Place, Run, scene};

#[test]
fn directories_that_cannot_be_written() {
    let place = Place::with_input();
    std::fs::create_dir(place.path("folder.png")).unwrap();
    place.fails(5, "no/o.png", &["input.png", "-k", "box", "-o", "no/o.png"]);
    place.fails(5, "input.png/o.png", &["input.png", "-k", "box", "-o", "input.png/o.png"]);
    place.fails(5, "directory", &["input.png", "-k", "box", "-o", "folder.png"]);
    place.fails(5, "", &["input.png", "-k", "box", "-o", "folder.png/"]);
    if cfg!(target_os = "linux") {
        place.fails(5, "/proc/o.png", &["input.png", "-k", "box", "-o", "/proc/o.png"]);
    }
}

#[test]
fn the_input_is_never_overwritten() {
    let place = Place::with_input();
    let before = std::fs::read(place.path("input.png")).unwrap();
    std::fs::hard_link(place.path("input.png"), place.path("hard.png")).unwrap();
    let mut names = vec!["input.png", "./input.png", "hard.png"];
    let absolute = place.path("input.png");
    names.push(absolute.to_str().unwrap());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("input.png", place.path("soft.png")).unwrap();
        names.push("soft.png");
    }
    for name in names {
        place.fails(5, "is the input itself", &["input.png", "-k", "box", "-o", name]);
    }
    assert_eq!(std::fs::read(place.path("input.png")).unwrap(), before);
}

#[test]
fn a_failure_leaves_the_old_file() {
    let place = Place::with_input();
    place.save("wide.png", image::GrayImage::new(70_000, 1));
    for name in ["old.jpg", "old.webp", "old.gif", "old.tga"] {
        place.write(name, "the old file");
        place.fails(5, "cannot encode", &["wide.png", "-k", "identity", "-o", name]);
        assert_eq!(std::fs::read(place.path(name)).unwrap(), b"the old file");
    }
    place.write("old.png", "the old file");
    place.fails(2, "rank", &["input.png", "-k", "laplacian", "--separable", "-o", "old.png"]);
    assert_eq!(std::fs::read(place.path("old.png")).unwrap(), b"the old file");
}

#[test]
fn an_old_file_is_replaced() {
    let place = Place::with_input();
    place.write("old.png", vec![b'x'; 1 << 20]);
    place.ok(&["input.png", "-k", "identity", "-o", "old.png"]);
    assert_eq!(place.open("old.png"), place.open("input.png"));
    assert_eq!(place.names(), ["input.png", "old.png"]);
}

#[test]
fn standard_input_and_output() {
    let place = Place::with_input();
    let bytes = std::fs::read(place.path("input.png")).unwrap();
    let mut outs = vec!["-"];
    if cfg!(unix) {
        outs.push("/dev/stdout");
    }
    for out in outs {
        let run =
            Run::of(place.command().args(["-", "-k", "identity", "-o", out]).write_stdin(&*bytes));
        assert_eq!(run.code, 0, "{}", run.stderr);
        let image = image::load_from_memory_with_format(&run.stdout, image::ImageFormat::Png);
        assert_eq!(image.unwrap(), place.open("input.png"));
    }
    let nameless = Run::of(place.command().args(["-", "-k", "box"]).write_stdin(&*bytes));
    assert_eq!((nameless.code, nameless.stderr.contains("-o")), (2, true), "{}", nameless.stderr);
    let nothing = Run::of(place.command().args(["-", "-k", "box", "-o", "o.png"]).write_stdin(""));
    assert_eq!(nothing.code, 3, "{}", nothing.stderr);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    fn mode(place: &Place, name: &str) -> u32 {
        std::fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_read_only_directory() {
        let place = Place::with_input();
        let folder = place.path("locked");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
        if std::fs::write(folder.join("probe"), "").is_ok() {
            eprintln!("skipped: this user may write to read-only directories");
            return;
        }
        place.fails(5, "locked/o.png", &["input.png", "-k", "box", "-o", "locked/o.png"]);
    }

    #[test]
    fn a_read_only_file() {
        let place = Place::with_input();
        place.write("old.png", "the old file");
        let locked = std::fs::Permissions::from_mode(0o444);
        std::fs::set_permissions(place.path("old.png"), locked).unwrap();
        if std::fs::OpenOptions::new().write(true).open(place.path("old.png")).is_ok() {
            eprintln!("skipped: this user may write to read-only files");
            return;
        }
        place.fails(5, "old.png", &["input.png", "-k", "box", "-o", "old.png"]);
        assert_eq!(std::fs::read(place.path("old.png")).unwrap(), b"the old file");
    }

    #[test]
    fn a_full_disk_is_an_error_and_stays_a_device() {
        if !std::path::Path::new("/dev/full").exists() {
            eprintln!("skipped: there is no /dev/full");
            return;
        }
        let place = Place::with_input();
        symlink("/dev/full", place.path("full.png")).unwrap();
        for out in ["/dev/full", "full.png"] {
            place.fails(5, out, &["input.png", "-k", "box", "-o", out]);
            let device = std::fs::metadata("/dev/full").unwrap();
            assert!(device.file_type().is_char_device());
        }
        // Reports that cannot be written are failures too.
        let full = std::fs::File::create("/dev/full").unwrap();
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_filter"))
            .args([place.path("input.png").to_str().unwrap(), "-k", "box", "--explain"])
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(5));
    }

    #[test]
    fn a_device_is_written_directly() {
        let place = Place::with_input();
        place.ok(&["input.png", "-k", "box", "-o", "/dev/null"]);
        let device = std::fs::metadata("/dev/null").unwrap();
        assert!(device.file_type().is_char_device());
    }

    #[test]
    fn a_fifo_is_written_directly() {
        let place = Place::with_input();
        let made = std::process::Command::new("mkfifo").arg(place.path("pipe.png")).status();
        if !made.is_ok_and(|s| s.success()) {
            eprintln!("skipped: there is no mkfifo");
            return;
        }
        let path = place.path("pipe.png");
        let reader = std::thread::spawn(move || std::fs::read(path).unwrap());
        place.ok(&["input.png", "-k", "identity", "-o", "pipe.png"]);
        let image = image::load_from_memory(&reader.join().unwrap()).unwrap();
        assert_eq!(image, place.open("input.png"));
        let pipe = std::fs::metadata(place.path("pipe.png")).unwrap();
        assert!(pipe.file_type().is_fifo());
    }

    #[test]
    fn a_links_target_is_replaced() {
        let place = Place::with_input();
        std::fs::create_dir(place.path("deep")).unwrap();
        place.write("deep/real.png", "the old file");
        symlink("deep/real.png", place.path("link.png")).unwrap();
        symlink("deep/new.png", place.path("dangling.png")).unwrap();
        symlink("loop.png", place.path("loop.png")).unwrap();
        for (link, real) in [("link.png", "deep/real.png"), ("dangling.png", "deep/new.png")] {
            place.ok(&["input.png", "-k", "identity", "-o", link]);
            assert!(std::fs::symlink_metadata(place.path(link)).unwrap().is_symlink());
            assert!(!std::fs::symlink_metadata(place.path(real)).unwrap().is_symlink());
            assert_eq!(place.open(real), place.open("input.png"));
        }
        place.fails(5, "link", &["input.png", "-k", "box", "-o", "loop.png"]);
    }

    #[test]
    fn other_names_of_a_file_are_said() {
        let place = Place::with_input();
        std::fs::hard_link(place.path("input.png"), place.path("other.png")).unwrap();
        let before = place.bytes("input.png");
        let run = place.ok(&["input.png", "-k", "box", "--in-place"]);
        assert!(run.stderr.contains("stays under other names (hard links): 1"), "{}", run.stderr);
        assert_eq!(place.bytes("other.png"), before);
        assert_ne!(place.bytes("input.png"), before);
        let run = place.ok(&["input.png", "-k", "box", "--in-place"]);
        assert!(!run.stderr.contains("hard links"), "{}", run.stderr);
    }

    #[test]
    fn permissions_are_kept_or_the_umasks() {
        let place = Place::with_input();
        std::fs::write(place.path("umask"), "").unwrap();
        place.ok(&["input.png", "-k", "box", "-o", "new.png"]);
        assert_eq!(mode(&place, "new.png"), mode(&place, "umask"));
        for bits in [0o640, 0o755, 0o606] {
            let permissions = std::fs::Permissions::from_mode(bits);
            std::fs::set_permissions(place.path("new.png"), permissions).unwrap();
            place.ok(&["input.png", "-k", "box", "-o", "new.png"]);
            assert_eq!(mode(&place, "new.png"), bits);
        }
    }

    #[test]
    fn standard_output_to_a_file_appends_where_it_should() {
        let place = Place::with_input();
        place.write("log", "before\n");
        let log = std::fs::OpenOptions::new().append(true).open(place.path("log")).unwrap();
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_filter"))
            .args([
                place.path("input.png").to_str().unwrap(),
                "-k",
                "identity",
                "-o",
                "/dev/stdout",
            ])
            .stdout(log)
            .status()
            .unwrap();
        assert!(status.success());
        let log = std::fs::read(place.path("log")).unwrap();
        assert!(log.starts_with(b"before\n\x89PNG"));
    }

    #[test]
    fn names_that_are_not_text() {
        use std::os::unix::ffi::OsStrExt;
        let place = Place::new();
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9\n.png");
        scene(5, 5).save_with_format(place.0.path().join(name), image::ImageFormat::Png).unwrap();
        let run = Run::of(place.command().arg(name).args(["-k", "box"]));
        assert_eq!((run.code, run.stderr.lines().count()), (0, 1), "{}", run.stderr);
        let out = std::ffi::OsStr::from_bytes(b"caf\xe9\n.box.png");
        assert!(place.0.path().join(out).exists());
    }
}
