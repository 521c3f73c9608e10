//! Files with more than one picture. Only the first would be filtered, and the others lost without
//! a word, so such a file is refused unless the user asks for its first frame.
//!
//! The formats say so in the structure of their files, which is walked here without decoding. A
//! damaged file is left to its decoder, which reports it better.

use super::failure::Failure;
use super::format;
use image::ImageFormat;
use std::io::{self, Read, Seek};

/// Fails for a file of several frames. The source is left at its start.
pub fn refuse(source: &mut (impl Read + Seek), format: ImageFormat) -> Result<(), Failure> {
    let several = match format {
        ImageFormat::Gif => gif(source),
        ImageFormat::Png => png(source),
        ImageFormat::WebP => webp(source),
        _ => return Ok(()),
    };
    source.rewind().map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    if several.unwrap_or(false) {
        return Err(Failure::input(format!(
            "the {} file is animated, and only still pictures are filtered; --first-frame takes its \
             first frame",
            format::name(format)
        )));
    }
    Ok(())
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
