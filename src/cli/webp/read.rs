//! The frames of WebP animations as whole pictures. Each is decoded as a file of its own, and laid on those before as
//! libwebp does it: `image_webp` 0.2.4 leaves what is to be disposed of, and blends opaque pixels to darker ones.

use super::write::{Riff, less_one};
use image::codecs::webp::WebPDecoder;
use image::error::DecodingError;
use image::{Delay, DynamicImage, Frame, ImageError, ImageFormat, ImageResult, Rgba, RgbaImage};
use std::io::Cursor;
use std::sync::Arc;

/// Reads the frames of an animation, one after the other.
pub struct Frames {
    file: Arc<[u8]>,
    /// The next chunk, and the end of the last.
    at: usize,
    end: usize,
    canvas: RgbaImage,
    /// What the last frame leaves transparent: column, row, width and height.
    cleared: [u32; 4],
    /// How often they are shown: 0 is forever.
    pub plays: u32,
}

impl Frames {
    pub fn new(file: Arc<[u8]>) -> ImageResult<Self> {
        let Some((b"RIFF", [b'W', b'E', b'B', b'P', body @ ..])) = Chunks(&file).next() else {
            return Err(bad("it is cut off"));
        };
        let (at, end) = (12, 12 + body.len());
        let mut chunks = Chunks(body);
        let (width, height) = match chunks.next() {
            Some((b"VP8X", [flags, _, _, _, size @ ..])) if flags & 2 != 0 && size.len() >= 6 => {
                (number(size) + 1, number(&size[3..]) + 1)
            }
            _ => return Err(bad("it is no animation")),
        };
        let plays = match chunks.find(|(kind, _)| *kind == b"ANIM") {
            Some((_, [_, _, _, _, low, high, ..])) => u16::from_le_bytes([*low, *high]).into(),
            _ => return Err(bad("it does not say how often its frames are shown")),
        };
        let canvas = RgbaImage::new(width, height);
        Ok(Self { file, at, end, canvas, cleared: [0; 4], plays })
    }

    /// Lays a frame on the canvas, and says how many milliseconds it is shown.
    fn lay(&mut self, frame: &[u8]) -> ImageResult<u32> {
        let Some((head, chunks)) = frame.split_first_chunk::<16>() else {
            return Err(bad("a frame is cut off"));
        };
        let [x, y, width, height, time] = [0, 3, 6, 9, 12].map(|at| number(&head[at..]));
        let (x, y, width, height) = (2 * x, 2 * y, width + 1, height + 1);
        if x + width > self.canvas.width() || y + height > self.canvas.height() {
            return Err(bad("a frame is not within the picture"));
        }
        let picture = picture(chunks, width, height)?;
        let [left, top, across, down] = self.cleared;
        for row in top..top + down {
            (left..left + across)
                .for_each(|column| self.canvas.put_pixel(column, row, Rgba([0; 4])));
        }
        let (replaces, disposed) = (head[15] & 2 != 0, head[15] & 1 != 0);
        for (column, row, pixel) in picture.enumerate_pixels() {
            let below = self.canvas.get_pixel_mut(x + column, y + row);
            *below = if replaces { *pixel } else { over(*pixel, *below) };
        }
        self.cleared = if disposed { [x, y, width, height] } else { [0; 4] };
        Ok(time)
    }
}

impl Iterator for Frames {
    type Item = ImageResult<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = Arc::clone(&self.file);
        let mut chunks = Chunks(&file[self.at..self.end]);
        let frame = chunks.find(|(kind, _)| *kind == b"ANMF");
        self.at = self.end - chunks.0.len();
        match frame {
            Some((_, frame)) => Some(self.lay(frame).map(|time| {
                let delay = Delay::from_numer_denom_ms(time, 1);
                Frame::from_parts(self.canvas.clone(), 0, 0, delay)
            })),
            None if chunks.0.is_empty() => None,
            None => {
                self.at = self.end;
                Some(Err(bad("a chunk is cut off")))
            }
        }
    }
}

/// Decodes the pixels of a frame: one chunk, or two where those with loss have alpha beside them.
fn picture(chunks: &[u8], width: u32, height: u32) -> ImageResult<RgbaImage> {
    let of = |kinds: &[&[u8; 4]]| Chunks(chunks).find(|(kind, _)| kinds.contains(kind));
    let (kind, pixels) = of(&[b"VP8 ", b"VP8L"]).ok_or_else(|| bad("a frame has no pixels"))?;
    let alpha = of(&[b"ALPH"]).filter(|_| kind == b"VP8 ");
    let flags = if kind == b"VP8L" || alpha.is_some() { 1 << 4 } else { 0 };
    let mut file = Riff::new();
    let fail = |e: String| bad(&e);
    file.put(b"VP8X", &[&[flags, 0, 0, 0], &less_one(width), &less_one(height)]).map_err(fail)?;
    if let Some((kind, alpha)) = alpha {
        file.put(kind, &[alpha]).map_err(fail)?;
    }
    file.put(kind, &[pixels]).map_err(fail)?;
    let decoder = WebPDecoder::new(Cursor::new(file.whole()))?;
    Ok(DynamicImage::from_decoder(decoder)?.into_rgba8())
}

/// A pixel over another, in the integers of libwebp, which are exact where there is only one of them.
fn over(above: Rgba<u8>, below: Rgba<u8>) -> Rgba<u8> {
    let (a, b) = (u32::from(above[3]), u32::from(below[3]));
    match (a, b) {
        (0, _) => return below,
        (255, _) | (_, 0) => return above,
        _ => {}
    }
    let b = (b * (256 - a)) >> 8;
    let scale = (1 << 24) / (a + b);
    let blend = |c: usize| ((u32::from(above[c]) * a + u32::from(below[c]) * b) * scale) >> 24;
    Rgba([blend(0), blend(1), blend(2), a + b].map(|sample| sample as u8))
}

/// The number in the first three bytes.
fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

fn bad(what: &str) -> ImageError {
    ImageError::Decoding(DecodingError::new(ImageFormat::WebP.into(), what))
}

/// Chunks that are whole, one after the other: kinds and bodies, of an even length with what pads them.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, rest) = self.0.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = rest.get(..length)?;
        self.0 = rest.get(length + length % 2..).unwrap_or_default();
        Some((kind, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::meta::Meta;
    use crate::cli::webp::webp;

    const CLEAR: Rgba<u8> = Rgba([0; 4]);

    /// A file of 6×4 pixels: frames of one colour, their places, and their flags, 1 to dispose and 2 to replace.
    fn file(frames: &[(Rgba<u8>, [u32; 4], u8)]) -> Vec<u8> {
        let mut file = Riff::new();
        file.put(b"VP8X", &[&[2, 0, 0, 0, 5, 0, 0, 3, 0, 0]]).unwrap();
        file.put(b"ANIM", &[&[9; 4], &[7, 0]]).unwrap();
        for (colour, [x, y, width, height], flags) in frames {
            let picture = DynamicImage::from(RgbaImage::from_pixel(*width, *height, *colour));
            let picture = webp(&picture, Meta::default()).unwrap();
            let place = [*x as u8 / 2, 0, 0, *y as u8 / 2, 0, 0];
            let size = [less_one(*width), less_one(*height)].concat();
            file.put(b"ANMF", &[&place, &size, &[50, 0, 0, *flags], &picture[12..]]).unwrap();
        }
        file.whole()
    }

    fn read(file: &[u8]) -> ImageResult<Vec<RgbaImage>> {
        Frames::new(file.into())?.map(|frame| frame.map(Frame::into_buffer)).collect()
    }

    #[test]
    fn frames_are_laid_on_those_before() {
        let (red, blue, half) =
            (Rgba([201, 9, 7, 255]), Rgba([3, 5, 77, 255]), Rgba([9, 9, 201, 128]));
        let (all, left, low) = ([0, 0, 6, 4], [0, 0, 2, 4], [2, 2, 3, 2]);
        let file = file(&[
            (half, all, 0),
            (red, left, 1),
            (blue, low, 0),
            (half, all, 0),
            (half, low, 3),
            (blue, left, 2),
        ]);
        let frames = read(&file).unwrap();
        let pixels = |n: usize| [(0, 0), (2, 2), (5, 3)].map(|(x, y)| *frames[n].get_pixel(x, y));
        assert_eq!(frames.len(), 6);
        assert_eq!(pixels(0), [half; 3]);
        assert_eq!(pixels(1), [red, half, half]);
        // What the second one covered is transparent, and opaque pixels are what they are.
        assert_eq!(pixels(2), [CLEAR, blue, half]);
        let twice = over(half, half);
        assert_eq!(pixels(3), [half, over(half, blue), twice]);
        assert_eq!(pixels(4), [half, half, twice]);
        assert_eq!(pixels(5), [blue, CLEAR, twice]);
        assert_eq!(twice.0[3], 192);
        assert!(twice.0[..3].iter().zip([9, 9, 201]).all(|(a, b)| a.abs_diff(b) <= 1));
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = file(&[(CLEAR, [0, 0, 6, 4], 0), (CLEAR, [2, 2, 4, 2], 0)]);
        assert_eq!(read(&whole).unwrap().len(), 2);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
            // Where the file says that it is so long.
            let mut cut = whole[..end].to_vec();
            if let Some(length) = cut.get_mut(4..8) {
                length.copy_from_slice(&(end as u32).saturating_sub(8).to_le_bytes());
            }
            let _ = read(&cut);
        }
        for place in [[2, 2, 6, 2], [2, 2, 4, 4], [6, 0, 1, 1]] {
            assert!(read(&file(&[(CLEAR, place, 0)])).is_err());
        }
    }
}
