//! What decoders read from, and how they are run: sources of bytes, limits, and panics that are failures.

use super::failure::Failure;
use super::format;
use image::{ImageError, ImageFormat};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

/// What of a file is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The first of several pictures; without it, all of an animation or of pages, and others are refused.
    pub first_frame: bool,
    /// Channels, where they have names.
    pub channels: Option<&'a str>,
}

/// The widest pixel is four `f32`; what a decoder needs beside the pixels is small.
pub fn max_bytes(max_pixels: u64) -> u64 {
    max_pixels.saturating_mul(16).saturating_add(64 << 20)
}

/// What decoders read from.
pub trait Source: BufRead + Seek {
    /// The file that is read, with the place that is read next; `None` if all is in memory.
    fn file(&self) -> Option<&File> {
        None
    }
}

impl Source for BufReader<File> {
    fn file(&self) -> Option<&File> {
        Some(self.get_ref())
    }
}

impl<T: AsRef<[u8]>> Source for Cursor<T> {}

/// The file at `path` (`-` is standard input).
pub fn source(path: &Path, max_bytes: u64) -> Result<Box<dyn Source>, Failure> {
    let fail = |e: std::io::Error| Failure::input(format!("cannot read {}: {e}", path.display()));
    let stdin = path.as_os_str() == "-";
    if !stdin {
        let file = File::open(path).map_err(fail)?;
        let kind = file.metadata().map_err(fail)?;
        if kind.is_file() {
            return Ok(Box::new(BufReader::with_capacity(1 << 18, file)));
        }
        if kind.is_dir() {
            return Err(Failure::input(format!(
                "{} is a directory; -r filters the images in it",
                path.display()
            )));
        }
        return buffer(file, max_bytes).map_err(fail)?;
    }
    buffer(std::io::stdin().lock(), max_bytes).map_err(fail)?
}

/// Pipes and devices cannot seek, so they are read whole; an endless one ends at the limit.
fn buffer(from: impl Read, max: u64) -> std::io::Result<Result<Box<dyn Source>, Failure>> {
    let mut bytes = Vec::new();
    from.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Ok(Err(Failure::limit(format!(
            "the input is longer than {max} bytes; --max-pixels raises the limit"
        ))));
    }
    Ok(Ok(Box::new(Cursor::new(bytes))))
}

pub fn failure(error: &ImageError, format: ImageFormat) -> Failure {
    match error {
        ImageError::Limits(e) => Failure::limit(format!("{e}; --max-pixels raises the limit")),
        e => Failure::input(format!("not a readable {} file: {e}", format::name(format))),
    }
}

thread_local! {
    /// Whether a panic of this thread is a decoder's or an encoder's, and expected.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder or encoder. One that panics on a damaged file has failed, no more: `None`.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                usual(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    GUARDED.set(before);
    result
}
