//! Stopped in the middle: no temporary file after Ctrl-C, no half file after anything, and a second
//! run that completes the first.

#![cfg(unix)]

use super::{Place, scene};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const FILES: usize = 60;

fn place() -> Place {
    let place = Place::new();
    place.folder("in");
    place.save("in/0.png", scene(300, 200));
    for i in 1..FILES {
        std::fs::copy(place.path("in/0.png"), place.path(&format!("in/{i}.png"))).unwrap();
    }
    place
}

fn start(place: &Place, out: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_filter"))
        .current_dir(place.path("."))
        .args(["-r", "in", "-k", "gaussian", "--sigma", "5", "--out-dir", out, "--format", "bmp"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Whether every output is whole; how many there are.
fn whole(place: &Place, out: &str) -> usize {
    if !place.path(out).exists() {
        return 0;
    }
    let names = place.names_in(out);
    let outputs: Vec<_> = names.iter().filter(|n| n.ends_with(".bmp")).collect();
    for name in &outputs {
        assert_eq!(place.open(&format!("{out}/{name}")).width(), 300);
    }
    outputs.len()
}

#[test]
fn interrupted_runs_leave_no_temporary_file() {
    let place = place();
    let mut stopped = 0;
    for (i, signal) in ["INT", "TERM", "HUP", "INT", "TERM", "INT"].iter().enumerate() {
        let out = format!("out{i}");
        let mut child = start(&place, &out);
        std::thread::sleep(Duration::from_millis(20 + 25 * i as u64));
        let mut kill = Command::new("kill");
        kill.args([&format!("-{signal}"), &child.id().to_string()]);
        if !kill.status().is_ok_and(|s| s.success()) {
            eprintln!("skipped: there is no kill, or nothing to kill");
            let _ = child.wait();
            return;
        }
        let status = child.wait().unwrap();
        // A run that was faster than the signal, or had not begun to listen, proves nothing.
        stopped += usize::from(status.signal().is_some());
        whole(&place, &out);
        let left = if place.path(&out).exists() { place.names_in(&out) } else { Vec::new() };
        assert!(left.iter().all(|n| n.ends_with(".bmp")), "{signal}: {left:?}");
    }
    eprintln!("{stopped} of 6 runs were interrupted");
}

#[test]
fn a_killed_run_is_completed_by_the_next() {
    let place = place();
    for delay in [15, 60, 120] {
        let mut child = start(&place, "out");
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().unwrap();
        // Nothing under a final name is half a file.
        whole(&place, "out");
    }
    let args = ["-r", "in", "-k", "gaussian", "--sigma", "5", "--out-dir", "out"];
    let run = place.ok(&[&args[..], &["--format", "bmp", "--skip-existing"]].concat());
    assert_eq!(whole(&place, "out"), FILES, "{}", run.stderr);
}

#[test]
fn ignored_signals_stay_ignored() {
    let place = Place::with_input();
    let path = env!("CARGO_BIN_EXE_filter");
    // A shell that ignores SIGHUP hands that down, as nohup does.
    let script = format!(
        "trap '' HUP; '{path}' input.png -k box --method naive --bench 400 --no-naive & p=$!; \
         sleep 0.1; kill -HUP $p; wait $p"
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.path(".")).output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no sh");
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
