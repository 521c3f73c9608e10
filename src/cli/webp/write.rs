//! WebP files, written without loss. `image` writes them without XMP, by the encoder that is used here; that one
//! writes single pictures, whose chunks are put together to animations here.

use crate::cli::meta::Meta;
use image::{ColorType as Colour, DynamicImage};
use image_webp::{ColorType, WebPEncoder};

/// The whole file, without loss.
pub fn webp(image: &DynamicImage, meta: Meta) -> Result<Vec<u8>, String> {
    if image.width().max(image.height()) > 1 << 14 {
        return Err("WebP files have at most 16384 pixels a side".to_owned());
    }
    let colour = match image.color() {
        Colour::L8 => ColorType::L8,
        Colour::La8 => ColorType::La8,
        Colour::Rgb8 => ColorType::Rgb8,
        Colour::Rgba8 => ColorType::Rgba8,
        _ => return Err("WebP files have samples of 8 bits".to_owned()),
    };
    let mut bytes = Vec::with_capacity(image.as_bytes().len() + (1 << 16));
    let mut encoder = WebPEncoder::new(&mut bytes);
    encoder.set_icc_profile(meta.profile.unwrap_or_default());
    encoder.set_exif_metadata(meta.exif.unwrap_or_default());
    encoder.set_xmp_metadata(meta.xmp.unwrap_or_default());
    let encoded = encoder.encode(image.as_bytes(), image.width(), image.height(), colour);
    encoded.map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// A whole file of frames of one size, each with the milliseconds that it is shown; `plays` times, 0 is forever.
pub fn animation(
    frames: Vec<(DynamicImage, u32)>,
    plays: u32,
    meta: Meta,
) -> Result<Vec<u8>, String> {
    let Some((first, _)) = frames.first() else { return Err("there are no frames".to_owned()) };
    let size = [less_one(first.width()), less_one(first.height())].concat();
    let (profile, exif, xmp) = (meta.profile, meta.exif, meta.xmp);
    let flags = [
        (true, 1 << 1),
        (xmp.is_some(), 1 << 2),
        (exif.is_some(), 1 << 3),
        (first.color().has_alpha(), 1 << 4),
        (profile.is_some(), 1 << 5),
    ];
    let flags = flags.iter().filter(|(there, _)| *there).fold(0, |all, (_, flag)| all | flag);
    let mut file = Riff::new();
    file.put(b"VP8X", &[&[flags, 0, 0, 0], &size])?;
    if let Some(profile) = profile {
        file.put(b"ICCP", &[&profile])?;
    }
    // Behind the frames is nothing: what they do not cover is transparent.
    let plays = u16::try_from(plays).unwrap_or(u16::MAX);
    file.put(b"ANIM", &[&[0; 4], &plays.to_le_bytes()])?;
    for (image, time) in frames {
        let time = time.min((1 << 24) - 1).to_le_bytes();
        let picture = webp(&image, Meta::default())?;
        // They replace what was shown. Behind twelve bytes of its file there is a picture's one chunk.
        let replace = 1 << 1;
        file.put(b"ANMF", &[&[0; 6], &size, &time[..3], &[replace], &picture[12..]])?;
    }
    for (kind, part) in [(b"EXIF", exif), (b"XMP ", xmp)] {
        if let Some(part) = part {
            file.put(kind, &[&part])?;
        }
    }
    Ok(file.whole())
}

/// A side as the container has it, in three bytes.
pub fn less_one(side: u32) -> [u8; 3] {
    let [low, middle, high, _] = side.saturating_sub(1).to_le_bytes();
    [low, middle, high]
}

/// Chunks of a file, which has its length in four bytes.
pub struct Riff(Vec<u8>);

impl Riff {
    /// The most bytes of a file.
    const MOST: u64 = u32::MAX as u64 - 1;

    pub fn new() -> Self {
        Self(b"RIFF\0\0\0\0WEBP".to_vec())
    }

    /// A chunk: its kind, its length, its parts, and a byte where that makes the length even.
    pub fn put(&mut self, kind: &[u8; 4], parts: &[&[u8]]) -> Result<(), String> {
        let length = parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let head = Self::room(self.0.len() as u64, length)?.to_le_bytes();
        for part in [kind, &head[..]].iter().chain(parts) {
            self.0.extend_from_slice(part);
        }
        self.0.extend(&[0][..usize::from(length % 2 == 1)]);
        Ok(())
    }

    /// The length as a chunk has it, if there is room for it behind so many bytes.
    fn room(before: u64, length: u64) -> Result<u32, String> {
        let whole = before.saturating_add(length).saturating_add(8 + length % 2);
        let length = u32::try_from(length).ok().filter(|_| whole <= Self::MOST);
        length.ok_or_else(|| "WebP files have at most 4 GiB".to_owned())
    }

    pub fn whole(mut self) -> Vec<u8> {
        let length = self.0.len() as u32 - 8;
        self.0[4..8].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbaImage;
    use std::io::Cursor;

    #[test]
    fn what_frames_say_beside_pixels_is_kept() {
        let frame = |v| DynamicImage::from(RgbaImage::from_pixel(3, 5, image::Rgba([v, 9, 0, v])));
        let frames = [7, 255].map(|v| (frame(v), 1 << 25)).to_vec();
        let meta = Meta {
            profile: Some(vec![1, 2, 3]),
            exif: Some(vec![4, 5]),
            xmp: Some(vec![6]),
            ..Meta::default()
        };
        let mut decoder =
            image_webp::WebPDecoder::new(Cursor::new(animation(frames, 7, meta).unwrap())).unwrap();
        assert_eq!(decoder.icc_profile().unwrap().unwrap(), [1, 2, 3]);
        assert_eq!(decoder.exif_metadata().unwrap().unwrap(), [4, 5]);
        assert_eq!(decoder.xmp_metadata().unwrap().unwrap(), [6]);
        assert_eq!((decoder.dimensions(), decoder.num_frames()), ((3, 5), 2));
        let mut pixels = [0; 60];
        for v in [7, 255] {
            // No longer than there is room for.
            assert_eq!(decoder.read_frame(&mut pixels).unwrap(), (1 << 24) - 1);
            assert!(pixels.chunks(4).all(|p| p == [v, 9, 0, v]));
        }
        assert!(animation(Vec::new(), 0, Meta::default()).is_err());
        let wide = |width| webp(&DynamicImage::new_luma8(width, 1), Meta::default());
        assert!(wide(16384).is_ok() && wide(16385).unwrap_err().contains("16384 pixels"));
    }

    #[test]
    fn chunks_are_even_and_no_longer_than_their_fields() {
        let mut file = Riff::new();
        file.put(b"EXIF", &[&[1, 2], &[3]]).unwrap();
        file.put(b"XMP ", &[&[4, 5]]).unwrap();
        let want = b"RIFF\x1a\0\0\0WEBPEXIF\x03\0\0\0\x01\x02\x03\0XMP \x02\0\0\0\x04\x05";
        assert_eq!(file.whole(), want);
        // 2 bytes less than 4 GiB are a file, and even ones.
        let most = (1 << 32) - 2;
        assert_eq!(Riff::room(12, most - 20), Ok((most - 20) as u32));
        assert!(Riff::room(12, most - 19).is_err() && Riff::room(13, most - 20).is_err());
        assert!(Riff::room(0, 1 << 32).is_err() && Riff::room(0, u64::MAX).is_err());
    }
}
