//! PFM files, grey or RGB floats: three lines of text, then rows from the bottom up. No crate at hand has them.

use super::failure::Failure;
use super::lost::Lost;
use super::pixels::{Buffer, Picture};
use super::source::Source;
use std::io::{self, Read, Seek};
use twopass::{Image, Shape};

/// A file whose header has been read.
pub struct Reader {
    source: Box<dyn Source>,
    size: (u32, u32),
    channels: usize,
    little: bool,
    scale: f64,
}

/// Whether the source, which is left at its start, begins as a PFM file.
pub fn is(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut head = Vec::new();
    source.by_ref().take(3).read_to_end(&mut head)?;
    source.rewind()?;
    Ok(begins(&head))
}

/// Whether these bytes begin a PFM file.
pub fn begins(head: &[u8]) -> bool {
    matches!(head, [b'P', b'F' | b'f', space, ..] if space.is_ascii_whitespace())
}

impl Reader {
    pub fn new(mut source: Box<dyn Source>) -> Result<Self, Failure> {
        let mut word = || {
            let (mut word, mut comment) = (Vec::new(), false);
            for byte in source.by_ref().bytes().take(1024) {
                match byte.ok()? {
                    // Photoshop and ImageMagick put lines of comments there.
                    b'#' if word.is_empty() => comment = true,
                    b'\n' => {
                        comment = false;
                        if !word.is_empty() {
                            return String::from_utf8(word).ok();
                        }
                    }
                    _ if comment => {}
                    b if b.is_ascii_whitespace() && word.is_empty() => {}
                    b if b.is_ascii_whitespace() => return String::from_utf8(word).ok(),
                    b => word.push(b),
                }
            }
            None
        };
        let channels = if word().as_deref() == Some("PF") { 3 } else { 1 };
        let mut header =
            || Some((word()?.parse().ok()?, word()?.parse().ok()?, word()?.parse().ok()?));
        let header =
            header().filter(|(_, _, scale): &(_, _, f64)| *scale != 0.0 && scale.is_finite());
        let (width, height, scale) = header
            .ok_or_else(|| Failure::input("not a readable PFM file: its header makes no sense"))?;
        Ok(Self {
            source,
            size: (width, height),
            channels,
            little: scale < 0.0,
            scale: scale.abs(),
        })
    }

    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// What its numbers are to be multiplied by is a unit, which no reader applies.
    pub fn lost(&self) -> Lost {
        let mut lost = Lost::default();
        if self.scale != 1.0 {
            lost.add("scale factor");
        }
        lost
    }

    pub fn decode(mut self) -> Result<Picture, Failure> {
        let shape = Shape::new(self.size.0 as usize, self.size.1 as usize, self.channels);
        let mut samples = vec![0.0f32; shape.samples()?];
        let mut row = vec![0; shape.row() * 4];
        for out in samples.chunks_exact_mut(shape.row()).rev() {
            self.source.read_exact(&mut row).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Failure::input("not a readable PFM file: pixels are missing")
                }
                _ => Failure::input(format!("cannot read it: {e}")),
            })?;
            for (out, bytes) in out.iter_mut().zip(row.as_chunks::<4>().0) {
                *out = if self.little {
                    f32::from_le_bytes(*bytes)
                } else {
                    f32::from_be_bytes(*bytes)
                };
            }
        }
        let buffer = Buffer::F32(Image::from_vec(samples, shape)?);
        Ok(Picture { buffer, alpha: false, premultiplied: false })
    }
}

/// The whole file.
pub fn write(image: &Image<f32>) -> Vec<u8> {
    let Shape { width, height, channels } = image.shape();
    let letters = if channels == 3 { "PF" } else { "Pf" };
    let mut out = format!("{letters}\n{width} {height}\n-1.0\n").into_bytes();
    let rows = image.data().chunks_exact(width * channels).rev();
    out.extend(rows.flatten().flat_map(|v| v.to_le_bytes()));
    out
}
