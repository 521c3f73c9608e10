//! Any bytes as a TIFF or Radiance file, read by the program and by the crate `image`: what both take must be the same
//! picture. Left out is what the program reads on purpose in another way: orders of bits, extra samples, inks,
//! JPEG in TIFF, exposures, other orders of pixels.

#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../src/cli/mod.rs"]
mod cli;

use cli::pixels::Buffer;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use tiff::tags::Tag;

const MAX_PIXELS: u64 = 1 << 18;

/// Whether a TIFF file is of a kind that both are meant to read alike.
fn is_plain_tiff(data: &[u8]) -> Option<bool> {
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(data)).ok()?;
    let mut tag =
        |tag, default| decoder.find_tag_unsigned::<u32>(tag).ok().map(|v| v.unwrap_or(default));
    let kind = tag(Tag::PhotometricInterpretation, 99)?;
    let samples = tag(Tag::SamplesPerPixel, 1)?;
    let alike = tag(Tag::FillOrder, 1)? == 1
        && matches!((kind, samples), (0 | 1, 1) | (2, 3))
        && !matches!(tag(Tag::Compression, 1)?, 6 | 7)
        && tag(Tag::PlanarConfiguration, 1)? == 1
        && tag(Tag::SampleFormat, 1).is_some_and(|format| format == 1 || format == 3);
    let bits = decoder.find_tag_unsigned_vec::<u16>(Tag::BitsPerSample).ok()??;
    Some(alike && bits.iter().all(|b| *b == bits[0] && matches!(b, 8 | 16 | 32)))
}

/// The same of a Radiance file, whose header is text up to an empty line.
fn is_plain_hdr(data: &[u8]) -> bool {
    let has = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|found| found == part);
    let Some(end) = data.windows(5).position(|part| part == b"\n\n-Y ") else { return false };
    let (header, rest) = data.split_at(end + 2);
    let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    let text = |b: &u8| matches!(b, b'\n' | b' '..=b'~');
    let blank = has(header, b"\n \n") || has(header, b"  ");
    header.iter().chain(line).all(text)
        && !blank
        && !has(header, b"EXPOSURE")
        && !has(header, b"COLORCORR")
        && has(line, b" +X ")
}

fuzz_target!(|data: &[u8]| {
    let format = match data.get(..2) {
        Some(b"II" | b"MM") if is_plain_tiff(data) == Some(true) => ImageFormat::Tiff,
        Some(b"#?") if is_plain_hdr(data) => ImageFormat::Hdr,
        _ => return,
    };
    let source = Box::new(Cursor::new(data.to_vec()));
    let wanted = cli::source::Wanted { first_frame: true, channels: None };
    let Ok(opened) = cli::input::read(source, "input".to_owned(), MAX_PIXELS, wanted) else { return };
    if opened.format != format {
        return;
    }
    let Ok(ours) = opened.decode(1) else { return };
    let mut reader = ImageReader::with_format(Cursor::new(data), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(1 << 28);
    reader.limits(limits);
    let Ok(theirs) = reader.decode() else { return };
    let buffer = &ours.picture.buffer;
    let shape = buffer.shape();
    assert_eq!((shape.width, shape.height), (theirs.width() as usize, theirs.height() as usize));
    let bits = |v: &f32| v.to_bits();
    match (buffer, theirs) {
        (Buffer::U8(own), DynamicImage::ImageLuma8(image)) => {
            assert_eq!(own.data(), image.as_raw())
        }
        (Buffer::U8(own), DynamicImage::ImageRgb8(image)) => assert_eq!(own.data(), image.as_raw()),
        (Buffer::U16(own), DynamicImage::ImageLuma16(image)) => {
            assert_eq!(own.data(), image.as_raw());
        }
        (Buffer::U16(own), DynamicImage::ImageRgb16(image)) => {
            assert_eq!(own.data(), image.as_raw())
        }
        (Buffer::F32(own), DynamicImage::ImageRgb32F(image)) => {
            assert!(own.data().iter().map(bits).eq(image.as_raw().iter().map(bits)));
        }
        _ => {}
    }
});
