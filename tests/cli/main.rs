//! The program end to end: every flag, every kind of bad input, and what happens to files. The
//! real binary runs in a directory of its own, on images drawn here.

#![cfg(feature = "cli")]

mod bad_input;
mod care;
mod chains;
mod compat;
mod exr;
mod faults;
mod files;
mod flags;
mod formats;
mod frames;
mod hostile;
mod interrupt;
mod jpegs;
mod kept;
mod light;
mod looking;
mod lost;
mod many;
#[cfg(target_os = "linux")]
mod memory;
mod metadata;
mod mixes;
mod names;
mod pages;
mod parts;
mod pipes;
mod readers;
mod table;
mod tiff;
mod traps;
mod unseen;
mod values;
mod wording;

use image::DynamicImage;
use std::path::{Path, PathBuf};
use std::time::Duration;
use twopass::{Filter, Image, NamedKernel, Sample, Shape, View, reference};

/// A temporary directory with pictures in it.
struct Place(tempfile::TempDir);

/// What a run of the program left behind.
struct Run {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A directory with `input.png`, a small RGB picture.
    fn with_input() -> Self {
        let place = Self::new();
        place.save("input.png", scene(23, 17));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn save(&self, name: &str, image: impl Into<DynamicImage>) {
        image.into().save(self.path(name)).unwrap();
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn open(&self, name: &str) -> DynamicImage {
        let path = self.path(name);
        image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn folder(&self, name: &str) {
        std::fs::create_dir_all(self.path(name)).unwrap();
    }

    /// Names of everything in the directory itself.
    fn names(&self) -> Vec<String> {
        self.names_in(".")
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn command(&self) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_filter"));
        command.current_dir(self.0.path()).timeout(Duration::from_secs(120));
        command
    }

    fn filter(&self, args: &[&str]) -> Run {
        Run::of(self.command().args(args))
    }

    /// Runs the program, which must succeed.
    fn ok(&self, args: &[&str]) -> Run {
        let run = self.filter(args);
        assert_eq!(run.code, 0, "filter {}\n{}", args.join(" "), run.stderr);
        run
    }

    /// Runs the program, which must fail with this code, say why in one line that contains
    /// `why`, and leave no file behind.
    #[track_caller]
    fn fails(&self, code: i32, why: &str, args: &[&str]) -> Run {
        let before = self.names();
        let run = self.filter(args);
        let line = &run.stderr;
        assert_eq!(run.code, code, "filter {}\n{line}", args.join(" "));
        assert!(line.starts_with("filter: "), "{line}");
        assert!(line.ends_with('\n') && line.lines().count() == 1, "not one line: {line}");
        assert!(line.contains(why), "{line:?} does not say {why:?}");
        assert_eq!(self.names(), before, "files came or went");
        run
    }
}

#[cfg(target_os = "linux")]
impl Place {
    /// Whether the program succeeds with these words of a shell, and what it shows on a terminal, which
    /// knows no protocol for pictures; nothing if there is no `script` to make one.
    fn on_terminal(&self, words: &str) -> Option<(bool, String)> {
        let program = env!("CARGO_BIN_EXE_filter");
        let line = format!("stty cols 80 rows 24; '{program}' {words}");
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(self.path("."));
        script.env("TERM", "xterm").env("COLORTERM", "truecolor");
        for name in ["TERM_PROGRAM", "LC_TERMINAL", "NO_COLOR"] {
            script.env_remove(name);
        }
        let output = script.stdin(std::process::Stdio::null()).output().ok()?;
        Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

impl Run {
    fn of(command: &mut assert_cmd::Command) -> Self {
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let code = output.status.code().expect("killed, perhaps by the time limit");
        Self { code, stdout: output.stdout, stderr }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// One object a line.
    fn json_lines(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A gradient with sharp edges and some texture.
fn scene(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let edge = if (x / 5 + y / 4) % 2 == 0 { 90 } else { 0 };
        let texture = (x * 7919 + y * 104_729) % 31;
        let level = |k: u32| ((x * k + y * 3 + texture + edge) % 256) as u8;
        image::Rgb([level(5), level(2), level(9)])
    })
}

fn grey16(width: u32, height: u32) -> image::ImageBuffer<image::Luma<u16>, Vec<u16>> {
    image::ImageBuffer::from_fn(width, height, |x, y| {
        image::Luma([(x * 2741 + y * 1931 + (x * y) % 7 * 500) as u16])
    })
}

/// A picture whose alpha runs from nothing to full, with garish colour where nothing is seen.
fn soft(width: u32, height: u32) -> image::RgbaImage {
    image::RgbaImage::from_fn(width, height, |x, y| {
        let alpha = (255 * x / (width - 1)) as u8;
        image::Rgba([if alpha == 0 { 255 } else { 40 }, (y * 9) as u8, 200, alpha])
    })
}

/// The kernel of that name with its defaults.
fn named(name: &str) -> Filter {
    let kernels = NamedKernel::find(name).unwrap().kernels(&Default::default()).unwrap();
    match kernels.as_slice() {
        [x, y] => Filter::magnitude(x, y).unwrap(),
        [one] => Filter::new(one.clone()),
        _ => unreachable!(),
    }
}

/// The definition's answer for an 8-bit image.
fn expected<O: Sample>(filter: &Filter, image: &DynamicImage) -> Image<O> {
    let channels = usize::from(image.color().channel_count());
    let shape = Shape::new(image.width() as usize, image.height() as usize, channels);
    let samples: &[u8] = match image {
        DynamicImage::ImageLuma8(i) => i.as_raw(),
        DynamicImage::ImageRgb8(i) => i.as_raw(),
        DynamicImage::ImageRgba8(i) => i.as_raw(),
        _ => panic!("not 8 bits"),
    };
    reference::filter(filter, View::new(samples, shape).unwrap()).unwrap()
}

/// Whether an 8-bit image is within `most` of the expected samples.
#[track_caller]
fn assert_close(got: &DynamicImage, want: &Image<u8>, most: u8) {
    let size = (got.width() as usize, got.height() as usize);
    assert_eq!(size, (want.shape().width, want.shape().height));
    let got = got.as_bytes();
    assert_eq!(got.len(), want.data().len());
    let worst = got.iter().zip(want.data()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(most), "off by {worst:?}");
}

fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}

/// A PNG file with these chunks between header and end. `kind` is bit depth and colour type.
fn png_file(width: u32, height: u32, kind: [u8; 2], chunks: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut ihdr = [width.to_be_bytes(), height.to_be_bytes()].concat();
    ihdr.extend([kind[0], kind[1], 0, 0, 0]);
    let ends: [(&[u8], &[u8]); 2] = [(b"IHDR", &ihdr), (b"IEND", &[])];
    for (kind, body) in ends[..1].iter().chain(chunks).chain(&ends[1..]) {
        out.extend(png_chunk(kind, body));
    }
    out
}

fn png_chunk(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let crc = crc32(&[kind, body].concat()).to_be_bytes();
    [&length, kind, body, &crc].concat()
}

/// A PNG that claims a size and ends soon after.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let nothing = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    png_file(width, height, [8, 2], &[(b"IDAT", &nothing)])
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &b| {
        (0..8)
            .fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}
