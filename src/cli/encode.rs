//! From filtered pixels to the bytes of a file, in memory: an encoder that fails has then not
//! touched the disk, and every write to the disk is one whose error is seen.

use super::args::Compression;
use super::bmp;
use super::exr;
use super::failure::Failure;
use super::format::{self, Pnm, Target, bytes};
use super::input::Stored;
use super::jpeg::jpeg;
use super::lost::Lost;
use super::meta::Meta;
use super::pfm;
use super::pixels::{Buffer, Picture};
use super::source::guarded;
use super::spare;
use super::tiff::{self, Compressor};
use super::webp;
use image::codecs::{
    bmp::BmpEncoder,
    gif::{GifEncoder, Repeat},
    hdr::HdrEncoder,
    qoi::QoiEncoder,
    tga::TgaEncoder,
};
use image::error::ImageFormatHint;
use image::{Delay, DynamicImage, ImageBuffer, ImageEncoder, ImageError, ImageFormat, ImageResult};
use std::io::Cursor;
use twopass::{Image, SampleType};

/// How the encoders work.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Quality of JPEG files, of 100.
    pub quality: Option<u8>,
    /// Of PNG and TIFF files, if the user said so.
    pub compression: Option<Compression>,
}

/// Whether PNG files are written by `png`.
fn is_fast(compression: Option<Compression>) -> bool {
    matches!(compression, None | Some(Compression::Fast))
}

/// Bytes that it takes at most to encode pixels, beside those of `channels` that are given, for a picture
/// that cannot be compressed: those that the format needs instead, copies of them, and the file. They
/// were measured with noise.
pub fn memory(
    target: Target,
    compression: Option<Compression>,
    pixels: u64,
    channels: usize,
    sample: SampleType,
) -> u64 {
    // What cannot be written will be found out.
    let written = target.fit(channels, sample).unwrap_or(channels);
    let samples = bytes(pixels, written, sample);
    let instead = if written == channels { 0 } else { samples };
    let (copies, more) = match target.format {
        // What is compressed, whole, and big-endian samples.
        ImageFormat::Png if !is_fast(compression) => match sample {
            SampleType::U8 => (2, 0),
            _ => (3, 0),
        },
        // Coefficients of blocks.
        ImageFormat::Jpeg => (0, 6),
        // Indices of RGBA.
        ImageFormat::Gif => (0, 6),
        ImageFormat::WebP => (2, 4),
        // Swapped colours, and up to a byte for each pixel.
        ImageFormat::Tga => (2, 1),
        // The same in the encoder and copied from it.
        ImageFormat::Qoi => (2, 2),
        _ => (1, 0),
    };
    let more = pixels.saturating_mul(more);
    instead.saturating_add(samples.saturating_mul(copies)).saturating_add(more)
}

/// Encodes the pixels for a file, with the channels that [`Target::fit`] named and what [`Meta::fit`] left. What the
/// pixels lose is named.
pub fn encode(
    picture: Picture,
    channels: usize,
    target: Target,
    effort: Effort,
    stored: &mut Stored,
    meta: Meta,
    lost: &mut Lost,
) -> Result<Vec<u8>, Failure> {
    let fail = |e: String| Failure::output(format!("cannot encode {}: {e}", target.name()));
    if target.format == ImageFormat::Tiff {
        let Picture { buffer, premultiplied, .. } = picture;
        lost.append(tiff::lost(&meta));
        let compressor = compressor(effort, stored);
        return tiff::write(buffer.pixels(), premultiplied, compressor, &meta).map_err(fail);
    }
    if target.format == ImageFormat::OpenExr {
        let straight = picture.alpha && !picture.premultiplied;
        let buffer = if straight { picture.buffer.multiply() } else { picture.buffer };
        let Buffer::F32(image) = buffer else { return Err(fail("not of floats".into())) };
        return exr::write(&image, stored.exr.as_deref_mut(), lost).map_err(fail);
    }
    let mut buffer = picture.straight().buffer;
    if target.format == ImageFormat::Gif && format::has_alpha(channels) {
        buffer = hard_edges(buffer, lost);
    }
    if target.pnm == Pnm::Float {
        let Buffer::F32(image) = buffer else { return Err(fail("not of floats".into())) };
        return Ok(pfm::write(&image));
    }
    if target.format == ImageFormat::Pnm {
        return pnm(buffer, channels, target.pnm).ok_or_else(|| fail("too large".to_owned()));
    }
    let image = dynamic(buffer, channels).ok_or_else(|| fail("the image is too wide".into()))?;
    let written = guarded(|| match target.format {
        ImageFormat::Jpeg => jpeg(&image, effort.quality, stored.jpeg.as_deref(), meta),
        ImageFormat::Png => {
            let adaptive = |effort| Some((effort, png::Filter::Adaptive));
            let effort = match effort.compression {
                Some(Compression::None) => {
                    Some((png::Compression::NoCompression, png::Filter::NoFilter))
                }
                None | Some(Compression::Fast) => None,
                Some(Compression::Default) => adaptive(png::Compression::Balanced),
                Some(Compression::Best) => adaptive(png::Compression::High),
            };
            super::png::png(&image, effort, meta).map_err(|e| e.to_string())
        }
        ImageFormat::WebP => webp::webp(&image, meta),
        format => {
            let resolution = meta.resolution;
            let mut file = others(&image, format, meta).map_err(|e| e.to_string())?;
            if let (ImageFormat::Bmp, Some(resolution)) = (format, resolution) {
                bmp::put(resolution, &mut file);
            }
            Ok(file)
        }
    });
    if image.color().bytes_per_pixel() == image.color().channel_count() {
        spare::give(image.into_bytes());
    }
    written.unwrap_or_else(|| Err("the encoder gave up".to_owned())).map_err(fail)
}

/// How TIFF files are compressed.
fn compressor(effort: Effort, stored: &Stored) -> Compressor {
    match effort.compression {
        Some(Compression::None) => Compressor::None,
        Some(Compression::Fast) => Compressor::Fast,
        Some(Compression::Default) => Compressor::Default,
        Some(Compression::Best) => Compressor::Best,
        None => stored.tiff.unwrap_or(Compressor::None),
    }
}

/// Appends a page to a TIFF file, and says what it loses.
pub fn page(
    to: &mut tiff::Writer<'_>,
    picture: &Picture,
    effort: Effort,
    stored: &Stored,
    meta: &Meta,
) -> Result<Lost, Failure> {
    let Picture { buffer, premultiplied, .. } = picture;
    to.page(buffer.pixels(), *premultiplied, compressor(effort, stored), meta)
        .map_err(|e| Failure::output(format!("cannot encode TIFF: {e}")))?;
    Ok(tiff::lost(meta))
}

/// Encodes frames, each with the time that it is shown; `plays` times, 0 is forever. Says how many channels they have in
/// the file.
#[expect(clippy::too_many_arguments, reason = "it is what a file of frames is made of")]
pub fn animation(
    frames: Vec<(Image<u8>, Delay)>,
    alpha: bool,
    channels: usize,
    target: Target,
    plays: u32,
    effort: Effort,
    meta: Meta,
    lost: &mut Lost,
) -> Result<(Vec<u8>, usize), Failure> {
    let fail = |e: String| Failure::output(format!("cannot encode {}: {e}", target.name()));
    let gif = target.format == ImageFormat::Gif;
    // Where nothing is transparent there need be no alpha; frames of decoders always have it.
    let clear = |(image, _): &(Image<u8>, Delay)| {
        let step = image.shape().channels;
        image.data().iter().skip(step - 1).step_by(step).any(|alpha| *alpha < 255)
    };
    let opaque = alpha && !gif && !frames.iter().any(clear);
    let mut all = Vec::with_capacity(frames.len());
    let mut written = channels;
    for (image, delay) in frames {
        let time = shown(delay, target.format, lost);
        let mut buffer = Buffer::U8(image);
        let mut channels = channels;
        if opaque {
            channels = buffer.shape().channels - 1;
            buffer = buffer.first(channels);
            written = channels;
        }
        if gif && format::has_alpha(channels) {
            buffer = hard_edges(buffer, lost);
        }
        let image =
            dynamic(buffer, channels).ok_or_else(|| fail("the image is too wide".into()))?;
        all.push((image, time));
    }
    let file = guarded(|| match target.format {
        ImageFormat::Gif => {
            let mut out = Vec::new();
            let mut encoder = GifEncoder::new_with_speed(&mut out, 10);
            let count = u16::try_from(plays).unwrap_or(u16::MAX);
            let repeat = if plays == 0 { Repeat::Infinite } else { Repeat::Finite(count) };
            // Once is what is not said.
            let said = if plays == 1 { Ok(()) } else { encoder.set_repeat(repeat) };
            said.and_then(|()| {
                encoder.encode_frames(all.into_iter().map(|(image, time)| {
                    let delay = Delay::from_numer_denom_ms(time, 1);
                    image::Frame::from_parts(image.into_rgba8(), 0, 0, delay)
                }))
            })
            .map_err(|e| e.to_string())?;
            drop(encoder);
            Ok(out)
        }
        ImageFormat::WebP => webp::animation(all, plays, meta),
        _ => {
            let adaptive = |c| (c, png::Filter::Adaptive);
            let effort = match effort.compression {
                Some(Compression::None) => (png::Compression::NoCompression, png::Filter::NoFilter),
                None | Some(Compression::Fast) => adaptive(png::Compression::Fast),
                Some(Compression::Default) => adaptive(png::Compression::Balanced),
                Some(Compression::Best) => adaptive(png::Compression::High),
            };
            super::png::animation(&all, plays, effort, meta).map_err(|e| e.to_string())
        }
    });
    file.unwrap_or_else(|| Err("the encoder gave up".to_owned()))
        .map_err(fail)
        .map(|file| (file, written))
}

/// Milliseconds that a frame is shown, as a format has them.
fn shown(delay: Delay, format: ImageFormat, lost: &mut Lost) -> u32 {
    let (unit, most) = match format {
        ImageFormat::Gif => (10, u32::from(u16::MAX)),
        ImageFormat::WebP => (1, (1 << 24) - 1),
        _ => (1, u32::from(u16::MAX)),
    };
    let (above, below) = delay.numer_denom_ms();
    let exact = f64::from(above) / f64::from(below.max(1));
    let time = (exact / f64::from(unit)).round().min(most.into()) as u32 * unit;
    if (f64::from(time) - exact).abs() >= 1.0 {
        lost.add("times of frames (the nearest of the format)");
    }
    time
}

/// Pixels of GIF files are there or not: alpha is cut at one half.
fn hard_edges(buffer: Buffer, lost: &mut Lost) -> Buffer {
    let Buffer::U8(image) = buffer else { return buffer };
    let shape = image.shape();
    let mut samples = image.into_vec();
    let mut soft = false;
    for alpha in samples.iter_mut().skip(shape.channels - 1).step_by(shape.channels) {
        soft |= !matches!(*alpha, 0 | 255);
        *alpha = if *alpha < 128 { 0 } else { 255 };
    }
    if soft {
        lost.add("partial transparency (cut at one half)");
    }
    Buffer::U8(Image::from_vec(samples, shape).expect("as many samples as before"))
}

/// The pixels as one of `image`'s own types.
fn dynamic(buffer: Buffer, channels: usize) -> Option<DynamicImage> {
    macro_rules! wrap {
        ($image:expr, $full:expr, $($channels:literal => $variant:ident),+) => {{
            let (width, height) = size(&$image)?;
            let samples = widen_image($image, channels, $full);
            match channels {
                $($channels => {
                    ImageBuffer::from_raw(width, height, samples).map(DynamicImage::$variant)
                })+
                _ => None,
            }
        }};
    }
    match buffer {
        Buffer::U8(i) => {
            wrap!(i, u8::MAX, 1 => ImageLuma8, 2 => ImageLumaA8, 3 => ImageRgb8, 4 => ImageRgba8)
        }
        Buffer::U16(i) => {
            wrap!(i, u16::MAX, 1 => ImageLuma16, 2 => ImageLumaA16, 3 => ImageRgb16, 4 => ImageRgba16)
        }
        Buffer::F32(i) => wrap!(i, 1.0, 3 => ImageRgb32F, 4 => ImageRgba32F),
    }
}

fn size<S>(image: &Image<S>) -> Option<(u32, u32)> {
    let shape = image.shape();
    Some((u32::try_from(shape.width).ok()?, u32::try_from(shape.height).ok()?))
}

/// Makes `channels` of the image's own: grey is repeated, missing alpha is `full`.
fn widen_image<S: Copy>(image: Image<S>, channels: usize, full: S) -> Vec<S> {
    let have = image.shape().channels;
    widen(image.into_vec(), have, channels, full)
}

/// Makes pixels of `channels`, 3 or 4, of those of `have`.
pub fn widen<S: Copy>(samples: Vec<S>, have: usize, channels: usize, full: S) -> Vec<S> {
    if have == channels {
        return samples;
    }
    let mut out = Vec::with_capacity(samples.len() / have * channels);
    for pixel in samples.chunks_exact(have) {
        match have {
            1 | 2 => out.extend([pixel[0]; 3]),
            _ => out.extend_from_slice(&pixel[..3]),
        }
        match (have, channels) {
            (2 | 4, 4) => out.push(pixel[have - 1]),
            (_, 4) => out.push(full),
            _ => {}
        }
    }
    out
}

/// The formats that `image` writes.
fn others(image: &DynamicImage, format: ImageFormat, meta: Meta) -> ImageResult<Vec<u8>> {
    fn put(mut encoder: impl ImageEncoder, image: &DynamicImage, meta: Meta) -> ImageResult<()> {
        if let Some(profile) = meta.profile {
            let _ = encoder.set_icc_profile(profile);
        }
        if let Some(exif) = meta.exif {
            let _ = encoder.set_exif_metadata(exif);
        }
        let (width, height) = (image.width(), image.height());
        encoder.write_image(image.as_bytes(), width, height, image.color().into())
    }
    // What is not used of it is not there. Growing, it would leave its smaller selves behind.
    let mut room = image.as_bytes().len() + (1 << 16);
    if matches!(format, ImageFormat::Tga | ImageFormat::Qoi) {
        // What does not compress is longer there.
        room += image.width() as usize * image.height() as usize;
    }
    let mut bytes = Vec::with_capacity(room);
    let to = &mut Cursor::new(&mut bytes);
    match format {
        ImageFormat::Bmp => put(BmpEncoder::new(to), image, meta)?,
        ImageFormat::Gif => put(GifEncoder::new(to), image, meta)?,
        ImageFormat::Qoi => put(QoiEncoder::new(to), image, meta)?,
        ImageFormat::Hdr => put(HdrEncoder::new(to), image, meta)?,
        ImageFormat::Tga => put(TgaEncoder::new(to), image, meta)?,
        other => {
            return Err(ImageError::Unsupported(ImageFormatHint::Exact(other).into()));
        }
    }
    Ok(bytes)
}

/// PNM is written here: `image` writes every `.ppm` as PAM, which few programs read, and has no
/// 16-bit P5 and P6.
fn pnm(buffer: Buffer, channels: usize, kind: Pnm) -> Option<Vec<u8>> {
    let (shape, max, bytes) = match buffer {
        Buffer::U8(i) => (i.shape(), u8::MAX.into(), widen_image(i, channels, u8::MAX)),
        Buffer::U16(i) => {
            let shape = i.shape();
            let samples = widen_image(i, channels, u16::MAX);
            (shape, u16::MAX, samples.iter().flat_map(|s| s.to_be_bytes()).collect())
        }
        Buffer::F32(_) => return None,
    };
    let (width, height) = (shape.width, shape.height);
    let header = match (kind, channels) {
        (Pnm::Any | Pnm::Grey, 1) => format!("P5\n{width} {height}\n{max}\n"),
        (Pnm::Any | Pnm::Rgb, 3) => format!("P6\n{width} {height}\n{max}\n"),
        _ => {
            let tuple = ["GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"].get(channels - 1)?;
            format!(
                "P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {max}\nTUPLTYPE {tuple}\nENDHDR\n"
            )
        }
    };
    let mut out = header.into_bytes();
    out.extend(bytes);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ImageFormat as F;

    #[test]
    fn times_are_the_nearest_of_a_format() {
        let mut lost = Lost::default();
        let mut time = |(above, below), format| {
            shown(Delay::from_numer_denom_ms(above, below), format, &mut lost)
        };
        let third = (100, 3);
        assert_eq!([F::Png, F::WebP].map(|f| time(third, f)), [33, 33]);
        assert_eq!([F::Gif, F::Png, F::WebP].map(|f| time((1230, 1), f)), [1230; 3]);
        assert_eq!(time((655_350, 1), F::Gif), 655_350);
        assert_eq!(lost.clone().into_names(), [""; 0]);
        for (ms, format, want) in [
            (39, F::Gif, 40),
            (655_361, F::Gif, 655_350),
            (65_537, F::Png, 65_535),
            (u32::MAX, F::WebP, (1 << 24) - 1),
        ] {
            let mut lost = Lost::default();
            let delay = Delay::from_numer_denom_ms(ms, 1);
            assert_eq!((shown(delay, format, &mut lost), lost.into_names().len()), (want, 1));
        }
    }

    #[test]
    fn grey_is_repeated_and_alpha_is_full() {
        assert_eq!(widen(vec![7, 9], 1, 3, 255), [7, 7, 7, 9, 9, 9]);
        assert_eq!(widen(vec![7, 1, 9, 2], 2, 4, 255), [7, 7, 7, 1, 9, 9, 9, 2]);
        assert_eq!(widen(vec![1, 2, 3, 4, 5, 6], 3, 4, 255), [1, 2, 3, 255, 4, 5, 6, 255]);
    }
}
