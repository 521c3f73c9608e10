//! Files with more than one picture. Only the first would be filtered, and the others lost without
//! a word, so such a file is refused unless the user asks for its first frame.
//!
//! The formats say so in the structure of their files, which is walked here without decoding. A
//! damaged file is left to its decoder, which reports it better.

use super::failure::Failure;
use super::format;
use image::ImageFormat;
use std::io::{self, Read, Seek, SeekFrom};

/// Fails for a file of several frames. The source is left at its start.
pub fn refuse(source: &mut (impl Read + Seek), format: ImageFormat) -> Result<(), Failure> {
    let several = match format {
        ImageFormat::Gif => gif(source),
        ImageFormat::Png => png(source),
        ImageFormat::WebP => webp(source),
        ImageFormat::Tiff => tiff(source),
        ImageFormat::Pnm => pnm(source),
        _ => return Ok(()),
    };
    source.rewind().map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    if several.unwrap_or(false) { Err(self::several(format)) } else { Ok(()) }
}

/// Why a file of several frames is not filtered.
pub fn several(format: ImageFormat) -> Failure {
    let (many, one) = match format {
        ImageFormat::Tiff => ("has several pages", "page"),
        ImageFormat::Jpeg | ImageFormat::Pnm => ("has several pictures", "picture"),
        _ => ("is animated", "frame"),
    };
    Failure::input(format!(
        "the {} file {many}, and only single pictures are filtered; --first-frame takes its first \
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

/// Header, then blocks: extensions (0x21), images (0x2c), and the end (0x3b).
fn gif(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    let head = bytes::<13>(source)?;
    skip(source, colours(head[10]))?;
    let mut images = 0;
    loop {
        match bytes::<1>(source)? {
            [0x21] => skip(source, 1)?,
            [0x2c] => {
                images += 1;
                if images > 1 {
                    return Ok(true);
                }
                let head = bytes::<9>(source)?;
                skip(source, colours(head[8]) + 1)?;
            }
            _ => return Ok(false),
        }
        loop {
            match bytes::<1>(source)? {
                [0] => break,
                [n] => skip(source, n.into())?,
            }
        }
    }
}

/// Chunks of length, kind, body and checksum; `acTL` comes before the pixels.
fn png(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    skip(source, 8)?;
    loop {
        let length = u32::from_be_bytes(bytes(source)?);
        match &bytes::<4>(source)? {
            b"acTL" => return Ok(u32::from_be_bytes(bytes(source)?) > 1),
            b"IDAT" | b"IEND" => return Ok(false),
            _ => {
                skip(source, length)?;
                skip(source, 4)?;
            }
        }
    }
}

/// Chunks of kind, length and body, padded to an even length, in one large one.
fn webp(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    skip(source, 12)?;
    let mut frames = 0;
    loop {
        let kind = bytes::<4>(source)?;
        let length = u32::from_le_bytes(bytes(source)?);
        frames += u32::from(&kind == b"ANMF");
        if frames > 1 {
            return Ok(true);
        }
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
    let (width, height, samples, most) = match kind {
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
    let size = if most > 255 { 2 } else { 1 };
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

/// Directories of entries, each with the place of the next. Smaller versions of a picture are not
/// pictures of their own. BigTIFF has places of 64 bits.
fn tiff(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    let (little, big) = match &bytes::<4>(source)? {
        b"II*\0" => (true, false),
        b"MM\0*" => (false, false),
        b"II+\0" => (true, true),
        b"MM\0+" => (false, true),
        _ => return Ok(false),
    };
    let short = |b: [u8; 2]| if little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) };
    let long = |b: [u8; 4]| if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) };
    let quad = |b: [u8; 8]| if little { u64::from_le_bytes(b) } else { u64::from_be_bytes(b) };
    if big {
        skip(source, 4)?;
    }
    let mut pages = 0;
    // More smaller versions than this there are not, except where directories form a ring.
    for _ in 0..64 {
        let next = if big { quad(bytes(source)?) } else { long(bytes(source)?).into() };
        if next == 0 {
            break;
        }
        source.seek(SeekFrom::Start(next))?;
        let entries = if big { quad(bytes(source)?) } else { short(bytes(source)?).into() };
        if entries > u16::MAX.into() {
            return Ok(false);
        }
        let mut smaller = false;
        for _ in 0..entries {
            // Tag, type and number of values, then values that fit the entry.
            let [a, b, ..] = bytes::<4>(source)?;
            skip(source, if big { 8 } else { 4 })?;
            let value = long(bytes(source)?);
            skip(source, if big { 4 } else { 0 })?;
            smaller |= short([a, b]) == 254 && value & 1 == 1;
        }
        pages += u32::from(!smaller);
    }
    Ok(pages > 1)
}
