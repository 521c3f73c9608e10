//! The memory of one job, as the system counted it.

use super::{Place, scene};
use ::tiff::encoder::{TiffEncoder, colortype::RGB8};
use libjpeg_turbo_rs::{Encoder, PixelFormat};
use std::io::{Cursor, Read};
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
    }
}

/// The MiB that the program says it needs.
fn counted(place: &Place, args: &[&str]) -> f64 {
    let args = [args, &["-o", "-", "--max-memory", "1K"]].concat();
    let said = place.fails(4, "--max-memory", &args).stderr;
    let number = said.split("about ").nth(1).and_then(|s| s.split(' ').next());
    number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

/// Of pictures that cannot be compressed, in every format and depth.
#[test]
fn no_job_needs_more_than_is_counted() {
    let place = Place::new();
    place.save("small.png", scene(400, 400));
    let base = peak(&place, &["small.png", "-k", "box", "--format", "png"]);
    // Noise, in files that are quickly written and read.
    let noise = |bytes: u32| -> Vec<u8> {
        (0..bytes).map(|i| (i.wrapping_mul(2_654_435_761).rotate_left(9) >> 7) as u8).collect()
    };
    let netpbm = |name: &str, channels: u32, max: u32| {
        let bytes = noise(WIDTH * HEIGHT * channels * if max > 255 { 2 } else { 1 });
        let kind = ["GRAYSCALE", "GRAYSCALE_ALPHA", "RGB"][channels as usize - 1];
        let head = format!(
            "P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH {channels}\nMAXVAL {max}\nTUPLTYPE {kind}\nENDHDR\n"
        );
        std::fs::write(place.path(name), [head.into_bytes(), bytes].concat()).unwrap();
    };
    netpbm("grey.pam", 1, 255);
    netpbm("alpha.pam", 2, 255);
    netpbm("rgb.pam", 3, 255);
    netpbm("deep.pam", 3, 65_535);
    // Files that are decoded with more beside the pixels than others.
    let pixels = noise(WIDTH * HEIGHT * 4);
    let jpeg = |name: &str, format: PixelFormat, progressive| {
        let pixels = &pixels[..(WIDTH * HEIGHT) as usize * format.bytes_per_pixel()];
        let encoder = Encoder::new(pixels, WIDTH as usize, HEIGHT as usize, format);
        place.write(name, encoder.quality(80).progressive(progressive).encode().unwrap());
    };
    jpeg("progressive.jpg", PixelFormat::Rgb, true);
    jpeg("cmyk.jpg", PixelFormat::Cmyk, false);
    let mut pages = Vec::new();
    let mut file = TiffEncoder::new(Cursor::new(&mut pages)).unwrap();
    for _ in 0..3 {
        let pixels = &pixels[..(WIDTH * HEIGHT * 3) as usize];
        file.write_image::<RGB8>(WIDTH, HEIGHT, pixels).unwrap();
    }
    place.write("pages.tif", pages);
    let eight = ["png", "jpg", "tiff", "bmp", "tga", "qoi", "gif", "webp", "pam"];
    let cases = [
        ("grey.pam", &eight[..], &[][..]),
        ("alpha.pam", &["png", "tiff", "bmp", "tga", "qoi", "gif", "webp", "pam"], &[]),
        ("rgb.pam", &eight, &[]),
        ("deep.pam", &["png", "tiff", "pam"], &[]),
        ("deep.pam", &["png", "tga"], &["--depth", "8"]),
        ("deep.pam", &["png"], &["--compression", "default"]),
        ("rgb.pam", &["png"], &["--compression", "default"]),
        ("rgb.pam", &["png", "tiff"], &["--depth", "16"]),
        ("rgb.pam", &["tiff", "exr", "hdr"], &["--depth", "f32"]),
        ("grey.pam", &["tiff", "exr"], &["--depth", "f32"]),
        ("progressive.jpg", &["pam", "jpg"], &[]),
        ("cmyk.jpg", &["pam"], &[]),
        ("pages.tif", &["tiff"], &[]),
        ("pages.tif", &["tiff"], &["--depth", "16", "--compression", "fast"]),
        ("rgb.pam", &["png"], &["--linear"]),
        ("rgb.pam", &["png"], &["--range", "stretch"]),
        ("grey.pam", &["png"], &["--mix", "1;1;1"]),
        ("rgb.pam", &["png"], &["--compare", "both.png"]),
        ("rgb.pam", &["png"], &["--compare", "both.qoi"]),
    ];
    for (input, formats, flags) in cases {
        for format in formats {
            let args = [&[input, "-k", "box", "--force", "--format", format], flags].concat();
            let (used, counted) = (peak(&place, &args) - base, counted(&place, &args));
            assert!(used < counted + BESIDE, "{args:?}: {used} MiB, not {counted}");
        }
    }
}
