//! WebP files: whether one has lost something in its compression, and how they are written. `image` writes them
//! without XMP, by the encoder that is used here.

use super::meta::Meta;
use image::{ColorType as Colour, DynamicImage};
use image_webp::{ColorType, EncodingError, WebPEncoder};
use std::io::{self, Read, Seek};

/// Whether the pixels are compressed with loss. The source is left at its start.
pub fn is_lossy(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut lossy = || -> io::Result<bool> {
        source.seek_relative(12)?;
        loop {
            let mut head = [0; 8];
            source.read_exact(&mut head)?;
            let [kind @ .., l0, l1, l2, l3] = head;
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            match &kind {
                b"VP8 " => return Ok(true),
                b"VP8L" => return Ok(false),
                // A frame is chunks itself, behind 16 bytes.
                b"ANMF" => source.seek_relative(16)?,
                _ => source.seek_relative(i64::from(length) + i64::from(length & 1))?,
            }
        }
    };
    let lossy = lossy().unwrap_or(false);
    source.rewind()?;
    Ok(lossy)
}

/// The whole file, without loss.
pub fn webp(image: &DynamicImage, meta: Meta) -> Result<Vec<u8>, EncodingError> {
    let colour = match image.color() {
        Colour::L8 => ColorType::L8,
        Colour::La8 => ColorType::La8,
        Colour::Rgb8 => ColorType::Rgb8,
        Colour::Rgba8 => ColorType::Rgba8,
        _ => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    };
    let mut bytes = Vec::with_capacity(image.as_bytes().len() + (1 << 16));
    let mut encoder = WebPEncoder::new(&mut bytes);
    encoder.set_icc_profile(meta.profile.unwrap_or_default());
    encoder.set_exif_metadata(meta.exif.unwrap_or_default());
    encoder.set_xmp_metadata(meta.xmp.unwrap_or_default());
    encoder.encode(image.as_bytes(), image.width(), image.height(), colour)?;
    Ok(bytes)
}
