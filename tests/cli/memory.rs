//! The memory of one job, as the system counted it.

use super::{Place, scene};
use std::io::Read;
use std::process::{Command, Stdio};

const WIDTH: u32 = 3000;
const HEIGHT: u32 = 2000;
/// What is needed beside pictures: rows, tables, buffers of codecs, and the rest of huge pages.
const BESIDE: f64 = 12.0;

/// Peak of the resident memory, in MiB, of a run that writes to standard output. It is read while the
/// program waits for somebody to take its result, with everything else behind it.
fn peak(place: &Place, args: &[&str]) -> f64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_filter"))
        .args(args)
        .args(["--threads", "1", "--quiet", "-o", "-"])
        .current_dir(place.path("."))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut result = vec![0];
    stdout.read_exact(&mut result).unwrap();
    // The rest is more than fits a pipe, so the program is still there.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    stdout.read_to_end(&mut result).unwrap();
    assert!(result.len() > 1 << 17, "{args:?}: {} bytes", result.len());
    assert!(child.wait().unwrap().success(), "{args:?}");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
fn a_job_needs_its_input_and_its_output() {
    let place = Place::new();
    // As small as can be, but longer than what a pipe takes without a reader.
    place.save("small.png", scene(400, 400));
    let base = peak(&place, &["small.png", "-k", "box", "--format", "png"]);
    let image = f64::from(WIDTH * HEIGHT * 3) / f64::from(1 << 20);
    for input in ["large.png", "large.jpg"] {
        place.save(input, scene(WIDTH, HEIGHT));
        let peak = |args: &[&str]| peak(&place, &[&[input, "-k", "box"], args].concat()) - base;
        // The decoded input and the output, then the output and the file.
        let both = 2.0 * image + BESIDE;
        for format in ["png", "jpg", "tiff", "ppm", "bmp"] {
            let used = peak(&["--format", format]);
            assert!(used < both, "{input} to {format}: {used} MiB, not {both}");
        }
        // `--max-memory` counts the input and twice the output; this encoder makes a copy.
        let used = peak(&["--format", "qoi"]);
        assert!(used < 3.0 * image + BESIDE, "{input} to QOI: {used} MiB");
    }
}
