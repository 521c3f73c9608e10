//! Files with more than one picture. Animations are filtered frame by frame, and the pages of TIFF files one by one; of
//! other files only the first picture would be, and the others lost without a word, so they are refused unless the user
//! asks for the first one.
//!
//! The formats say how many there are in the structure of their files, which is walked here without decoding. A
//! damaged file is left to its decoder, which reports it better. The frames themselves are read by the crate `image`,
//! but for those of WebP files.

use super::failure::Failure;
use super::format::{self, Kind};
use super::lost::Lost;
use super::source;
use super::webp;
use image::codecs::{gif::GifDecoder, png::PngDecoder};
use image::metadata::LoopCount;
use image::{AnimationDecoder, Frames, ImageDecoder, ImageFormat, ImageResult, Limits};
use std::io::{self, Cursor, Read, Seek};
use std::sync::Arc;

/// An animation that has been found to be one.
pub struct Moving {
    bytes: Arc<[u8]>,
    format: ImageFormat,
    /// Frames.
    pub count: usize,
}

impl Moving {
    pub fn new(bytes: Arc<[u8]>, format: ImageFormat, count: usize) -> Self {
        Self { bytes, format, count }
    }

    /// Whole pictures of RGBA, one after the other, and how often they are shown: 0 is forever.
    pub fn frames(&self, max_bytes: u64) -> Result<(Frames<'static>, u32), Failure> {
        fn with<D: AnimationDecoder<'static>>(decoder: D) -> (Frames<'static>, u32) {
            let plays = match decoder.loop_count() {
                LoopCount::Infinite => 0,
                LoopCount::Finite(n) => n.get(),
            };
            (decoder.into_frames(), plays)
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(max_bytes);
        let open = || -> ImageResult<_> {
            let source = Cursor::new(Arc::clone(&self.bytes));
            Ok(match self.format {
                ImageFormat::Gif => {
                    let mut decoder = GifDecoder::new(source)?;
                    decoder.set_limits(limits)?;
                    with(decoder)
                }
                ImageFormat::WebP => {
                    let frames = webp::Frames::new(source.into_inner())?;
                    let plays = frames.plays;
                    (Frames::new(Box::new(frames)), plays)
                }
                _ => with(PngDecoder::with_limits(source, limits)?.apng()?),
            })
        };
        let (frames, plays) = open().map_err(|e| source::failure(&e, self.format))?;
        // A GIF file that says nothing of loops is shown once.
        let said = |name: &[u8]| self.bytes.windows(name.len()).any(|w| w == name);
        let once =
            self.format == ImageFormat::Gif && !said(b"NETSCAPE2.0") && !said(b"ANIMEXTS1.0");
        Ok((frames, if once { 1 } else { plays }))
    }
}

/// Whether a format's pictures are frames of an animation.
pub fn moves(format: ImageFormat) -> bool {
    matches!(format, ImageFormat::Gif | ImageFormat::Png | ImageFormat::WebP)
}

/// What is in a file.
#[derive(Default)]
pub struct Contents {
    /// Pictures, as far as the file is whole.
    pub count: usize,
    /// Pictures that are none of these.
    pub lost: Lost,
    /// What is said beside them, and not read.
    pub beside: Lost,
}

/// What is in a file. The source is left at its start.
pub fn contents(source: &mut (impl Read + Seek), format: ImageFormat) -> Result<Contents, Failure> {
    let mut found = Contents::default();
    // What is cut off is found by the decoder.
    let _ = match format {
        ImageFormat::Gif => {
            let mut announced = false;
            let read = gif(source, &mut found, &mut announced);
            // The decoder is to look for a picture after the first that is announced, and find that it is not there.
            found.count += usize::from(read.is_err() && announced && found.count > 0);
            read
        }
        ImageFormat::Png => png(source, &mut found),
        ImageFormat::WebP => webp(source, &mut found.count),
        ImageFormat::Pnm => pnm(source).map(|several| found.count = 1 + usize::from(several)),
        _ => {
            found.count = 1;
            return Ok(found);
        }
    };
    source.rewind().map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    Ok(found)
}

/// Why a file of several frames is not filtered.
pub fn several(format: ImageFormat) -> Failure {
    let (many, one) = match format {
        ImageFormat::Tiff => ("has several pages", "page"),
        ImageFormat::Jpeg | ImageFormat::Pnm => ("has several pictures", "picture"),
        _ => ("is animated", "frame"),
    };
    Failure::input(format!(
        "the {} file {many}, and only single pictures are filtered so; --first-frame takes its first \
         {one}",
        format::name(format)
    ))
}

fn bytes<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut out = [0; N];
    source.read_exact(&mut out)?;
    Ok(out)
}

fn skip(source: &mut impl Seek, n: u32) -> io::Result<()> {
    // Keeps what is buffered.
    source.seek_relative(n.into())
}

/// Bytes of the colour table that a packed field announces.
fn colours(packed: u8) -> u32 {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

/// Header, then blocks: extensions (0x21), images (0x2c), and the end (0x3b). Of those extensions one says how the next
/// image is shown: it is `announced`.
fn gif(
    source: &mut (impl Read + Seek),
    found: &mut Contents,
    announced: &mut bool,
) -> io::Result<()> {
    let head = bytes::<13>(source)?;
    skip(source, colours(head[10]))?;
    loop {
        match bytes::<1>(source)? {
            [0x21] => match bytes::<1>(source)? {
                [0xf9] => *announced = true,
                [0xfe] => found.beside.add("comments"),
                // An application's: its name is the first block.
                [0xff] => {
                    let [length] = bytes(source)?;
                    let mut name = vec![0; length.into()];
                    source.read_exact(&mut name)?;
                    // The decoder reads it before the first image.
                    if name.starts_with(b"XMP Data") && found.count > 0 {
                        found.beside.add(Kind::Xmp.name());
                    }
                    if length == 0 {
                        continue;
                    }
                }
                _ => {}
            },
            [0x2c] => {
                found.count += 1;
                *announced = false;
                let head = bytes::<9>(source)?;
                skip(source, colours(head[8]) + 1)?;
            }
            _ => return Ok(()),
        }
        loop {
            match bytes::<1>(source)? {
                [0] => break,
                [n] => skip(source, n.into())?,
            }
        }
    }
}

/// Chunks of length, kind, body and checksum; `acTL` comes before the pixels, and so does `fcTL` if the picture that
/// others show is a frame.
fn png(source: &mut (impl Read + Seek), found: &mut Contents) -> io::Result<()> {
    skip(source, 8)?;
    found.count = 1;
    let (mut moves, mut framed) = (false, false);
    loop {
        let mut length = u32::from_be_bytes(bytes(source)?);
        match &bytes::<4>(source)? {
            b"acTL" => {
                found.count = u32::from_be_bytes(bytes(source)?) as usize;
                length = length.saturating_sub(4);
                moves = true;
            }
            b"fcTL" => framed = true,
            b"IDAT" | b"IEND" => {
                if moves && !framed {
                    found.lost.add(match found.count {
                        1 => "an animation of one frame",
                        _ => "the picture that is shown instead of the animation",
                    });
                }
                return Ok(());
            }
            _ => {}
        }
        skip(source, length)?;
        skip(source, 4)?;
    }
}

/// Chunks of kind, length and body, padded to an even length, in one large one.
fn webp(source: &mut (impl Read + Seek), frames: &mut usize) -> io::Result<()> {
    skip(source, 12)?;
    loop {
        let kind = bytes::<4>(source)?;
        let length = u32::from_le_bytes(bytes(source)?);
        *frames += usize::from(&kind == b"ANMF");
        skip(source, length)?;
        skip(source, length & 1)?;
    }
}

/// One picture after the other, each with a header of words. Those whose samples are text are alone in a file.
fn pnm(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    let kind = bytes::<2>(source)?[1];
    // Words, without comments.
    let mut word = || {
        let mut word = Vec::new();
        loop {
            match bytes::<1>(source)?[0] {
                b'#' => while bytes::<1>(source)?[0] != b'\n' {},
                b if !b.is_ascii_whitespace() && word.len() < 32 => word.push(b),
                _ if word.is_empty() => {}
                _ => return Ok::<_, io::Error>(String::from_utf8(word).unwrap_or_default()),
            }
        }
    };
    let number = |word: String| word.parse::<u64>().unwrap_or(u64::MAX);
    // Samples of a pixel, and the largest value of one; that of floats is not said.
    const FLOATS: u64 = u32::MAX as u64;
    let (width, height, samples, most) = match kind {
        b'F' | b'f' => {
            let (width, height) = (number(word()?), number(word()?));
            // The scale.
            word()?;
            (width, height, if kind == b'F' { 3 } else { 1 }, FLOATS)
        }
        b'4' => (number(word()?).div_ceil(8), number(word()?), 1, 1),
        b'5' => (number(word()?), number(word()?), 1, number(word()?)),
        b'6' => (number(word()?), number(word()?), 3, number(word()?)),
        b'7' => {
            let [mut width, mut height, mut depth, mut most] = [u64::MAX; 4];
            loop {
                let to = match word()?.as_str() {
                    "WIDTH" => &mut width,
                    "HEIGHT" => &mut height,
                    "DEPTH" => &mut depth,
                    "MAXVAL" => &mut most,
                    "ENDHDR" => break (width, height, depth, most),
                    _ => continue,
                };
                *to = number(word()?);
            }
        }
        _ => return Ok(false),
    };
    let size = match most {
        ..256 => 1,
        FLOATS => 4,
        _ => 2,
    };
    let length = [height, samples, size].into_iter().try_fold(width, u64::checked_mul);
    let Some(length) = length.and_then(|n| i64::try_from(n).ok()) else { return Ok(false) };
    source.seek_relative(length)?;
    loop {
        match bytes::<1>(source)?[0] {
            b if b.is_ascii_whitespace() => {}
            b'P' => break,
            _ => return Ok(false),
        }
    }
    let [kind, space] = bytes(source)?;
    Ok(matches!(kind, b'1'..=b'7' | b'F' | b'f') && space.is_ascii_whitespace())
}
