//! Standard input and output: formats, and nothing but the image.

use super::{Place, Run, exists};
use image::ImageFormat;

#[test]
fn the_format_is_sniffed_and_chosen() {
    let place = Place::with_input();
    for (from, to, format) in [
        ("png", "png", ImageFormat::Png),
        ("bmp", "tiff", ImageFormat::Tiff),
        ("tiff", "webp", ImageFormat::WebP),
        ("qoi", "jpg", ImageFormat::Jpeg),
    ] {
        let name = format!("in.{from}");
        place.save(&name, place.open("input.png"));
        let args = ["-", "-k", "identity", "--format", to, "-o", "-"];
        let run = Run::of(place.command().args(args).write_stdin(place.bytes(&name)));
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(image::guess_format(&run.stdout).unwrap(), format);
        let image = image::load_from_memory(&run.stdout).unwrap();
        assert_eq!(image.width(), 23);
        if to != "jpg" {
            assert_eq!(image, place.open("input.png"), "{from} {to}");
        }
    }
    // A file to standard output, standard input to a file.
    let run = place.ok(&["input.png", "-k", "identity", "-o", "-", "--quiet"]);
    assert!(run.stderr.is_empty());
    assert_eq!(image::load_from_memory(&run.stdout).unwrap(), place.open("input.png"));
    let args = ["-", "-k", "identity", "--name", "x.png"];
    let run = Run::of(place.command().args(args).write_stdin(place.bytes("input.png")));
    assert_eq!((run.code, run.stderr.contains("give -o")), (2, true), "{}", run.stderr);
    assert!(!exists(place.path("x.png")));
}

#[cfg(unix)]
#[test]
fn a_kernel_may_come_from_a_pipe() {
    let place = Place::with_input();
    let args =
        ["input.png", "-k", "@/dev/stdin", "--compat", "scipy", "--range", "clamp", "-o", "a.png"];
    let run = Run::of(place.command().args(args).write_stdin("-1 0 1\n-2 0 2\n-1 0 1\n"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let args =
        ["input.png", "-k", "sobel-x", "--compat", "scipy", "--range", "clamp", "-o", "b.png"];
    place.ok(&args);
    assert_eq!(place.open("a.png"), place.open("b.png"));
}

#[test]
fn reports_and_the_image_do_not_mix() {
    let place = Place::with_input();
    for report in ["--explain", "--json", "--verify"] {
        place.fails(2, "standard output", &["input.png", "-k", "box", "-o", "-", report]);
    }
    let args = ["input.png", "-k", "box", "-o", "-", "--compare", "-", "--format", "png"];
    place.fails(2, "standard output", &args);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_quiet() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    let place = Place::new();
    // More than a pipe holds.
    place.save(
        "large.png",
        image::RgbImage::from_fn(600, 600, |x, y| {
            image::Rgb([(x * y) as u8, (x * 7) as u8 ^ y as u8, (x * x + y) as u8])
        }),
    );
    let large = place.path("large.png");
    let large = large.to_str().unwrap();
    for args in [
        vec![large, "-k", "identity", "-o", "-", "--format", "bmp"],
        vec!["gone.png", large, "-k", "identity", "--dry-run"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_filter"))
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(13), "{:?}", output.status);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("pipe") && !stderr.contains("panic"), "{stderr}");
    }
}
