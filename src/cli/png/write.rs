//! PNG files, written by `png`; at the fast level the pixels are not: every row goes through the Paeth filter and
//! is compressed by `deflate`.

use super::XMP;
use crate::cli::deflate::Deflate;
use crate::cli::meta::{Meta, Part, Unit};
use image::{ColorType as Colour, DynamicImage};
use png::chunk::{self, ChunkType};
use png::{BitDepth, ColorType, Encoder, EncodingError, Info, PixelDimensions, Writer};
use std::borrow::Cow;
use std::io::Write;

/// Bytes of rows that have a Huffman code, and a chunk of the file, of their own: few enough to stay
/// in a cache, and enough for the code to cost nothing.
const BLOCK: usize = 1 << 18;

/// The whole file, by the compressor and the choice of filters of `png`, or by those here.
pub fn png(
    image: &DynamicImage,
    effort: Option<(png::Compression, png::Filter)>,
    meta: Meta,
) -> Result<Vec<u8>, EncodingError> {
    let own = meta.own;
    let xmp = meta.xmp;
    let info = head(image, Meta { own: Vec::new(), xmp: None, ..meta })?;
    let wide = info.bit_depth == BitDepth::Sixteen;
    // What is not used of it is not there. Growing, it would leave its smaller selves behind.
    let mut out = Vec::with_capacity(image.as_bytes().len() + (1 << 16));
    let mut encoder = Encoder::with_info(&mut out, info)?;
    if let Some((compression, filter)) = effort {
        encoder.set_compression(compression);
        encoder.set_filter(filter);
    }
    let mut writer = encoder.write_header()?;
    chunks(&mut writer, xmp.as_deref(), &own, image.color())?;
    if effort.is_none() {
        pixels(image, wide, &mut writer)?;
    } else if wide {
        let mut samples = vec![0; image.as_bytes().len()];
        swap(image.as_bytes(), &mut samples);
        writer.write_image_data(&samples)?;
    } else {
        writer.write_image_data(image.as_bytes())?;
    }
    writer.finish()?;
    Ok(out)
}

/// A whole file of frames, each with the milliseconds that it is shown; `plays` times, 0 is forever.
pub fn animation(
    frames: &[(DynamicImage, u32)],
    plays: u32,
    (compression, filter): (png::Compression, png::Filter),
    meta: Meta,
) -> Result<Vec<u8>, EncodingError> {
    let Some((first, _)) = frames.first() else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput).into());
    };
    let own = meta.own;
    let xmp = meta.xmp;
    let info = head(first, Meta { own: Vec::new(), xmp: None, ..meta })?;
    let mut out = Vec::new();
    let mut encoder = Encoder::with_info(&mut out, info)?;
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    encoder.set_animated(u32::try_from(frames.len()).unwrap_or(u32::MAX), plays)?;
    // Frames are whole: they replace what was shown.
    encoder.set_blend_op(png::BlendOp::Source)?;
    let mut writer = encoder.write_header()?;
    chunks(&mut writer, xmp.as_deref(), &own, first.color())?;
    for (image, time) in frames {
        writer.set_frame_delay(u16::try_from(*time).unwrap_or(u16::MAX), 1000)?;
        writer.write_image_data(image.as_bytes())?;
    }
    writer.finish()?;
    Ok(out)
}

/// What stands before the pixels: the kind of picture, and what `png` writes of the rest.
fn head(image: &DynamicImage, meta: Meta) -> Result<Info<'static>, EncodingError> {
    let mut info = Info::with_size(image.width(), image.height());
    (info.color_type, info.bit_depth) = match image.color() {
        Colour::L8 => (ColorType::Grayscale, BitDepth::Eight),
        Colour::La8 => (ColorType::GrayscaleAlpha, BitDepth::Eight),
        Colour::Rgb8 => (ColorType::Rgb, BitDepth::Eight),
        Colour::Rgba8 => (ColorType::Rgba, BitDepth::Eight),
        Colour::L16 => (ColorType::Grayscale, BitDepth::Sixteen),
        Colour::La16 => (ColorType::GrayscaleAlpha, BitDepth::Sixteen),
        Colour::Rgb16 => (ColorType::Rgb, BitDepth::Sixteen),
        Colour::Rgba16 => (ColorType::Rgba, BitDepth::Sixteen),
        _ => return Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into()),
    };
    info.icc_profile = meta.profile.map(Cow::Owned);
    info.exif_metadata = meta.exif.map(Cow::Owned);
    info.pixel_dims = meta.resolution.map(|resolution| {
        let per = |v: f64| v.round().clamp(1.0, u32::MAX.into()) as u32;
        let (unit, scale) = match resolution.unit {
            Unit::None => (png::Unit::Unspecified, 1.0),
            Unit::Inch => (png::Unit::Meter, 1.0 / 0.0254),
            Unit::Metre => (png::Unit::Meter, 1.0),
        };
        PixelDimensions { xppu: per(resolution.x * scale), yppu: per(resolution.y * scale), unit }
    });
    Ok(info)
}

/// What `png` does not write.
fn chunks<W: Write>(
    writer: &mut Writer<W>,
    xmp: Option<&[u8]>,
    own: &[Part],
    colour: Colour,
) -> Result<(), EncodingError> {
    if let Some(xmp) = xmp {
        writer.write_chunk(chunk::iTXt, &[XMP, xmp].concat())?;
    }
    for part in own {
        if let Some(data) = chunk_of(part, colour) {
            writer.write_chunk(ChunkType(part.kind), &data)?;
        }
    }
    Ok(())
}

/// What a chunk of the input is in a picture of this kind. A background is given as three samples of 16
/// bits, and is none of a grey picture's unless it is grey.
fn chunk_of(part: &Part, colour: Colour) -> Option<Cow<'_, [u8]>> {
    if &part.kind != b"bKGD" {
        return Some(Cow::Borrowed(&part.data));
    }
    let samples: Vec<_> = part.data.as_chunks::<2>().0.to_vec();
    let grey = !colour.has_color();
    let wide = colour.bytes_per_pixel() / colour.channel_count() == 2;
    let same = samples.iter().all(|s| *s == samples[0]);
    let kept = if grey { &samples[..usize::from(same)] } else { &samples[..] };
    let sample = |s: &[u8; 2]| if wide { *s } else { [0, s[0]] };
    (!kept.is_empty()).then(|| kept.iter().flat_map(sample).collect())
}

/// Writes the pixels, every row by the Paeth filter.
fn pixels<W: Write>(
    image: &DynamicImage,
    wide: bool,
    writer: &mut Writer<W>,
) -> Result<(), EncodingError> {
    let pixel = usize::from(image.color().bytes_per_pixel());
    let length = image.width() as usize * pixel;
    let height = image.height() as usize;
    let mut deflate = Deflate::new();
    let mut block = Vec::with_capacity(BLOCK + length + 1);
    // The first row has zeros above it.
    let zeros = vec![0; length];
    let mut above = zeros.as_slice();
    // Rows of 16 bits as they are in the file.
    let (mut wide_row, mut wide_above) = (zeros.clone(), zeros.clone());
    for (y, row) in image.as_bytes().chunks_exact(length).enumerate() {
        if wide {
            swap(row, &mut wide_row);
            filter(&wide_row, &wide_above, pixel, &mut block);
            std::mem::swap(&mut wide_row, &mut wide_above);
        } else {
            filter(row, above, pixel, &mut block);
            above = row;
        }
        let last = y + 1 == height;
        if last || block.len() >= BLOCK {
            for piece in deflate.block(&block, last).chunks(i32::MAX as usize) {
                writer.write_chunk(chunk::IDAT, piece)?;
            }
            block.clear();
        }
    }
    Ok(())
}

/// Samples of 16 bits as PNG has them, the high byte first.
fn swap(samples: &[u8], row: &mut [u8]) {
    let (from, to) = (samples.as_chunks::<2>().0, row.as_chunks_mut::<2>().0);
    for (to, from) in to.iter_mut().zip(from) {
        *to = u16::from_ne_bytes(*from).to_be_bytes();
    }
}

/// Appends a row by the Paeth filter: the number of the filter, then each byte less the one of
/// its neighbours that the filter expects it to be like.
fn filter(row: &[u8], above: &[u8], pixel: usize, out: &mut Vec<u8>) {
    out.push(png::Filter::Paeth as u8);
    // To the left of the first pixel is nothing, and it is expected to be like the one above.
    out.extend(row[..pixel].iter().zip(above).map(|(x, b)| x.wrapping_sub(*b)));
    let left = row.iter().zip(above);
    let pixels = row[pixel..].iter().zip(&above[pixel..]).zip(left);
    out.extend(pixels.map(|((x, b), (a, c))| x.wrapping_sub(paeth(*a, *b, *c))));
}

/// The one of left, above and left above that is nearest to left + above − left above.
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    // Of bytes throughout, so that it fits narrow lanes: the sum is between a and b, or no nearer
    // to c than to both of them.
    let distance = |x: u8, y: u8| x.max(y) - x.min(y);
    let (pa, pb) = (distance(b, c), distance(a, c));
    let pc = if (a < c) == (c < b) { distance(pa, pb) } else { u8::MAX };
    if pa <= pb && pa <= pc {
        a
    } else if pb <= pc {
        b
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, ImageReader};
    use std::io::Cursor;

    /// Pictures of all kinds, flat at one end, smooth in the middle and noise at the other.
    fn pictures(width: u32, height: u32) -> [DynamicImage; 8] {
        let level = |x: u32, y: u32, c: u32| -> u16 {
            let hash = (x * 7919 + y * 104_729 + c * 31 + 1).wrapping_mul(2_654_435_761);
            match 3 * x / width {
                0 => 0x4040,
                1 => ((x + y + c) * 259) as u16,
                _ => (hash >> 13) as u16,
            }
        };
        let deep = |n: u32| -> Vec<u16> {
            let size = (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
            size.flat_map(|(x, y)| (0..n).map(move |c| level(x, y, c))).collect()
        };
        let flat = |n: u32| deep(n).iter().map(|v| (v >> 8) as u8).collect();
        let (w, h) = (width, height);
        [
            DynamicImage::ImageLuma8(ImageBuffer::from_raw(w, h, flat(1)).unwrap()),
            DynamicImage::ImageLumaA8(ImageBuffer::from_raw(w, h, flat(2)).unwrap()),
            DynamicImage::ImageRgb8(ImageBuffer::from_raw(w, h, flat(3)).unwrap()),
            DynamicImage::ImageRgba8(ImageBuffer::from_raw(w, h, flat(4)).unwrap()),
            DynamicImage::ImageLuma16(ImageBuffer::from_raw(w, h, deep(1)).unwrap()),
            DynamicImage::ImageLumaA16(ImageBuffer::from_raw(w, h, deep(2)).unwrap()),
            DynamicImage::ImageRgb16(ImageBuffer::from_raw(w, h, deep(3)).unwrap()),
            DynamicImage::ImageRgba16(ImageBuffer::from_raw(w, h, deep(4)).unwrap()),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for (width, height) in [(1, 1), (1, 300), (300, 1), (5, 3), (17, 9), (640, 480)] {
            for picture in pictures(width, height) {
                let bytes = png(&picture, None, Meta::default()).unwrap();
                let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap();
                let back = reader.decode().unwrap();
                assert!(back == picture, "{:?} of {width}×{height}", picture.color());
            }
        }
    }

    #[test]
    fn floats_are_refused() {
        let picture = DynamicImage::new_rgb32f(2, 2);
        assert!(png(&picture, None, Meta::default()).is_err());
    }

    #[test]
    fn the_filter_is_that_of_the_definition() {
        for (a, b, c) in (0..1 << 18).map(|n| (n % 64 * 4, n / 64 % 64 * 4 + 1, n / 4096 * 4 + 2)) {
            let p = a + b - c;
            let nearest = [a, b, c].into_iter().min_by_key(|x: &i32| (p - x).abs());
            assert_eq!(Some(paeth(a as u8, b as u8, c as u8).into()), nearest, "{a} {b} {c}");
        }
    }
}
