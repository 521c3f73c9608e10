//! Radiance files: the values that the decoder of `image` finds, as the header means them. It leaves out exposures, and
//! knows one order of pixels of eight, so the header is read here and handed on in that order.

use super::failure::Failure;
use super::pixels::{Buffer, Picture};
use super::source::Source;
use image::codecs::hdr::HdrDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder};
use std::io::{BufRead, Cursor, Read};
use twopass::Image;

/// Longest header.
const LONGEST: u64 = 1 << 20;

/// A file whose header has been read.
pub struct Reader {
    decoder: Box<dyn ImageDecoder>,
    /// From the order in which pixels are stored.
    turn: Orientation,
    /// What red, green and blue were multiplied by.
    exposure: [f32; 3],
}

fn bad(what: &str) -> Failure {
    Failure::input(format!("not a readable HDR file: {what}"))
}

impl Reader {
    pub fn new(mut source: Box<dyn Source>) -> Result<Self, Failure> {
        let mut exposure = [1.0; 3];
        let mut left = LONGEST;
        let mut line = || {
            let mut line = Vec::new();
            let read = source.by_ref().take(left).read_until(b'\n', &mut line);
            left -= read.map_err(|e| bad(&e.to_string()))? as u64;
            match line.pop() {
                Some(b'\n') => Ok(String::from_utf8_lossy(&line).trim().to_owned()),
                _ => Err(bad("its header does not end")),
            }
        };
        // Some programs call themselves RGBE.
        line()?;
        loop {
            let line = line()?;
            let number = |text: &str| text.trim().parse::<f32>().ok().filter(|v| *v > 0.0);
            match line.split_once('=') {
                None if line.is_empty() => break,
                Some(("EXPOSURE", value)) => {
                    let value = number(value).ok_or_else(|| bad("its exposure is no number"))?;
                    exposure = exposure.map(|e| e * value);
                }
                Some(("COLORCORR", values)) => {
                    let factors: Vec<_> = values.split_whitespace().filter_map(number).collect();
                    let [r, g, b] = factors[..] else {
                        return Err(bad("its colour correction is not three numbers"));
                    };
                    exposure = [exposure[0] * r, exposure[1] * g, exposure[2] * b];
                }
                Some(("FORMAT", value)) if value.trim() != "32-bit_rle_rgbe" => {
                    return Err(Failure::input(format!(
                        "HDR files of the format {} are not supported",
                        value.trim()
                    )));
                }
                _ => {}
            }
        }
        if !exposure.iter().all(|e| e.is_normal()) {
            return Err(bad("its exposure is out of range"));
        }
        let (turn, lines, length) =
            order(&line()?).ok_or_else(|| bad("its resolution makes no sense"))?;
        let head = format!("#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {lines} +X {length}\n");
        let whole = Cursor::new(head.into_bytes()).chain(source);
        let decoder = HdrDecoder::new(whole).map_err(|e| bad(&e.to_string()))?;
        Ok(Self { decoder: Box::new(decoder), turn, exposure })
    }

    pub fn size(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    pub fn decode(self) -> Result<Picture, Failure> {
        let image = DynamicImage::from_decoder(self.decoder).map_err(|e| bad(&e.to_string()))?;
        let picture = Picture::of(image)?;
        let buffer = match picture.buffer {
            Buffer::F32(image) if self.exposure != [1.0; 3] => {
                let shape = image.shape();
                let mut samples = image.into_vec();
                for pixel in samples.chunks_exact_mut(3) {
                    pixel.iter_mut().zip(self.exposure).for_each(|(v, e)| *v /= e);
                }
                Buffer::F32(Image::from_vec(samples, shape)?)
            }
            buffer => buffer,
        };
        Ok(Picture { buffer: buffer.turn(self.turn), ..picture })
    }
}

/// The order of pixels that a line such as `-Y 480 +X 640` gives, how many lines there are, and pixels in each.
fn order(text: &str) -> Option<(Orientation, u32, u32)> {
    use Orientation as O;
    let parts: Vec<_> = text.split_whitespace().collect();
    let [slow, lines, fast, length] = parts[..] else { return None };
    let turn = match (slow, fast) {
        ("-Y", "+X") => O::NoTransforms,
        ("-Y", "-X") => O::FlipHorizontal,
        ("+Y", "-X") => O::Rotate180,
        ("+Y", "+X") => O::FlipVertical,
        ("+X", "-Y") => O::Rotate90FlipH,
        ("-X", "-Y") => O::Rotate90,
        ("+X", "+Y") => O::Rotate270,
        ("-X", "+Y") => O::Rotate270FlipH,
        _ => return None,
    };
    Some((turn, lines.parse().ok()?, length.parse().ok()?))
}
