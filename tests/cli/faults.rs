//! Disks that fill up and folders that are locked while many files are written: what cannot be
//! written is reported, what can be written is, and nothing is left half done.

#![cfg(unix)]

use super::{Place, Run, scene};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A small file system in memory, gone at the end of the test.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Only root may mount one, and not everywhere.
    fn new(place: &Place, size: &str) -> Option<Self> {
        place.folder("disk");
        let path = place.path("disk");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&path);
        if mount.output().is_ok_and(|o| o.status.success()) {
            return Some(Self { path });
        }
        eprintln!("skipped: a small disk cannot be mounted here");
        None
    }

    fn lock(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(&self.path);
        mount.output().is_ok_and(|o| o.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Pictures of which every third is large.
fn pictures(place: &Place, files: usize) {
    place.folder("in");
    for i in 0..files {
        let (width, height) = if i % 3 == 1 { (400, 300) } else { (60, 50) };
        place.save(&format!("in/{i:02}.png"), scene(width, height));
    }
}

/// Outputs, each of which is whole; nothing else may lie there.
fn whole(place: &Place, folder: &str) -> Vec<String> {
    let names = place.names_in(folder);
    for name in &names {
        assert!(name.ends_with(".bmp"), "{name} was left behind");
        place.open(&format!("{folder}/{name}"));
    }
    names
}

/// The large ones have failed and were named, the others are there.
fn large_ones_failed(place: &Place, run: &Run, folder: &str, files: usize) {
    assert_eq!(run.code, 5, "{}", run.stderr);
    let large = (0..files).filter(|i| i % 3 == 1);
    assert_eq!(run.stderr.lines().count(), large.clone().count() + 1, "{}", run.stderr);
    for i in large {
        let name = format!("{i:02}.bmp: ");
        assert!(run.stderr.contains(&name), "{name} is not in {}", run.stderr);
    }
    let small = (0..files).filter(|i| i % 3 != 1).map(|i| format!("{i:02}.bmp"));
    assert_eq!(whole(place, folder), small.collect::<Vec<_>>());
}

#[test]
fn a_file_that_does_not_fit_the_disk_fails_alone() {
    let place = Place::new();
    pictures(&place, 12);
    let Some(_disk) = Disk::new(&place, "256k") else { return };
    let args = ["-r", "in", "-k", "box", "--format", "bmp", "--out-dir", "disk", "--force"];
    let run = place.filter(&[&args[..], &["--jobs", "1"]].concat());
    large_ones_failed(&place, &run, "disk", 12);

    // With two jobs a small one may find the disk full while a large one is being tried. Its old
    // file stays, and it is named as the large ones are.
    let run = place.filter(&[&args[..], &["--jobs", "2"]].concat());
    assert_eq!(run.code, 5, "{}", run.stderr);
    let failed = |i: &usize| run.stderr.contains(&format!("{i:02}.bmp: "));
    assert!((0..12).filter(|i| i % 3 == 1).all(|i| failed(&i)), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), (0..12).filter(failed).count() + 1, "{}", run.stderr);
    let small = (0..12).filter(|i| i % 3 != 1).map(|i| format!("{i:02}.bmp"));
    assert_eq!(whole(&place, "disk"), small.collect::<Vec<_>>());
}

#[test]
fn a_disk_that_fills_up_keeps_what_was_written() {
    let place = Place::new();
    place.folder("in");
    for i in 0..20 {
        place.save(&format!("in/{i:02}.png"), scene(100, 100));
    }
    // Each takes 30 kB and a little.
    let Some(disk) = Disk::new(&place, "200k") else { return };
    let args = ["-r", "in", "-k", "box", "--format", "bmp", "--out-dir", "disk", "--jobs", "1"];
    let run = place.filter(&args);
    assert_eq!(run.code, 5);
    let written = whole(&place, "disk").len();
    assert!((3..=6).contains(&written), "{written}");
    assert_eq!(run.stderr.lines().count(), 20 - written + 1, "{}", run.stderr);
    assert!(run.stderr.contains("space"), "{}", run.stderr);
    // With room again, a second run does the rest.
    let mut mount = Command::new("mount");
    mount.args(["-o", "remount,size=2m"]).arg(&disk.path);
    assert!(mount.status().unwrap().success());
    place.ok(&[&args[..], &["--skip-existing"]].concat());
    assert_eq!(whole(&place, "disk").len(), 20);
}

/// The same with a limit on the size of files, which needs no rights: writing fails in the middle.
#[test]
fn a_write_that_fails_in_the_middle_leaves_nothing() {
    let place = Place::new();
    pictures(&place, 9);
    let script = "trap '' XFSZ; ulimit -f 100; \
                  exec \"$1\" -r in -k box --format bmp --out-dir out --jobs 2";
    let mut shell = assert_cmd::Command::new("sh");
    shell.current_dir(place.path("."));
    let run = Run::of(shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_filter")]));
    large_ones_failed(&place, &run, "out", 9);

    // One file that is replaced: the old one stays.
    place.write("old.bmp", "old");
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$1\" in/01.png -k box -o old.bmp";
    let mut shell = assert_cmd::Command::new("sh");
    shell.current_dir(place.path("."));
    let run = Run::of(shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_filter")]));
    assert_eq!((run.code, run.stderr.lines().count()), (5, 1), "{}", run.stderr);
    assert_eq!(place.bytes("old.bmp"), b"old");
    assert_eq!(place.names(), ["in", "old.bmp", "out"]);
}

#[test]
fn a_disk_that_is_locked_midway() {
    const FILES: usize = 40;
    let place = Place::new();
    place.folder("in");
    place.save("in/0.png", scene(300, 200));
    for i in 1..FILES {
        std::fs::copy(place.path("in/0.png"), place.path(&format!("in/{i}.png"))).unwrap();
    }
    let Some(disk) = Disk::new(&place, "64m") else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_filter"));
    // Slow enough to be caught in the middle.
    command.args(["-r", "in", "-k", "box", "--size", "9", "--method", "naive", "--quiet"]);
    command.args(["--format", "bmp", "--out-dir", "disk", "--jobs", "1"]);
    command.current_dir(place.path(".")).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let start = Instant::now();
    // A disk on which a file is open for writing cannot be locked, so this tries again.
    while place.names_in("disk").len() < 3 || !disk.lock() {
        assert!(start.elapsed() < Duration::from_secs(60), "it could not be locked");
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let written = whole(&place, "disk").len();
    if written == FILES {
        eprintln!("skipped: all was done before the disk was locked");
        return;
    }
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert_eq!(said.lines().count(), FILES - written + 1, "{said}");
    assert!(said.lines().all(|l| l.starts_with("filter: ")), "{said}");
}
