//! PNG files: `write` makes them, and this is what they say beside their pixels. The decoder keeps little of it,
//! and nothing of what stands behind the pixels, so the chunks are walked over here.

mod write;

pub use write::{animation, png};

use super::meta::{Meta, Part, Resolution, Unit};
use image::ImageFormat;
use std::io::{self, Read, Seek};

/// Bytes before a chunk's data, and those of the sum before them.
pub const HEAD: usize = 12;
/// Longest chunk that is carried over, and most of all together.
const MOST: u64 = 64 << 20;
/// How XMP begins in the chunk that it has: its keyword, two bytes of compression, which is never there, and an
/// empty language and translation.
const XMP: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";

/// What a file says beside its pixels, but for its profile, which the decoder unpacks. The source is left at
/// its start. A damaged file is left to the decoder.
pub fn meta(source: &mut (impl Read + Seek)) -> io::Result<Meta> {
    let mut file = File::default();
    let _ = file.read(source);
    source.rewind()?;
    Ok(file.meta)
}

/// What is known of a file on the way through it.
#[derive(Default)]
struct File {
    meta: Meta,
    /// Bits of a sample, and the kind of its colours.
    depth: u8,
    colour: u8,
    palette: Vec<u8>,
    profile: bool,
    srgb: bool,
    /// Whether a chunk that goes before it said what the samples' light is.
    said: bool,
    bytes: u64,
}

impl File {
    /// Chunks are a length, a kind, data and a sum.
    fn read(&mut self, source: &mut (impl Read + Seek)) -> io::Result<()> {
        source.seek_relative(8)?;
        loop {
            let mut head = [0; 8];
            source.read_exact(&mut head)?;
            let [l3, l2, l1, l0, kind @ ..] = head;
            let length = u32::from_be_bytes([l3, l2, l1, l0]);
            let wanted = matches!(&kind, b"IHDR" | b"PLTE") || kind[0].is_ascii_lowercase();
            if !wanted || u64::from(length) > MOST - self.bytes {
                if wanted {
                    self.meta.lost.add(name(&kind).unwrap_or("a long chunk"));
                }
                source.seek_relative(i64::from(length) + 4)?;
            } else {
                let mut data = Vec::new();
                source.by_ref().take(length.into()).read_to_end(&mut data)?;
                let mut sum = [0; 4];
                source.read_exact(&mut sum)?;
                // What is damaged is nothing to be carried over.
                if png_sum(&kind, &data) == u32::from_be_bytes(sum) {
                    self.bytes += u64::from(length);
                    self.chunk(kind, data);
                }
            }
            if &kind == b"IEND" {
                return Ok(());
            }
        }
    }

    fn chunk(&mut self, kind: [u8; 4], data: Vec<u8>) {
        match &kind {
            b"IHDR" => {
                (self.depth, self.colour) = (data.get(8..10)).map_or((8, 2), |d| (d[0], d[1]))
            }
            b"PLTE" => self.palette = data,
            // Read by the decoder: profile and alpha; animations are refused, or reduced to a frame.
            b"iCCP" => self.profile = true,
            b"tRNS" | b"acTL" | b"fcTL" | b"fdAT" => {}
            // Not true of the result: when the file was changed, which bits of samples mean something, how
            // often each colour is there, and where the parts of the compressed pixels are.
            b"tIME" | b"sBIT" | b"hIST" | b"iDOT" => {}
            b"eXIf" => _ = self.meta.exif.get_or_insert(data),
            b"pHYs" => self.meta.resolution = resolution(&data),
            b"bKGD" => {
                if let Some(data) = self.background(&data) {
                    self.keep(kind, data);
                }
            }
            b"iTXt" if data.starts_with(XMP) => {
                self.meta.xmp.get_or_insert_with(|| data[XMP.len()..].to_vec());
            }
            // Signed statements about the pixels as they were.
            b"caBX" => self.meta.lost.add("content credentials"),
            _ => {
                self.light(&kind, &data);
                // A lower-case last letter says that a chunk may be copied by those who do not know it.
                if name(&kind).is_some() || kind[3].is_ascii_lowercase() {
                    self.keep(kind, data);
                } else {
                    self.meta.lost.add(format!("chunk {}", kind.escape_ascii()));
                }
            }
        }
    }

    fn keep(&mut self, kind: [u8; 4], data: Vec<u8>) {
        let name = match &kind {
            // Every other format means these where it says nothing.
            b"sRGB" => None,
            b"gAMA" if (45_000..=46_000).contains(&number(&data, 0)) => None,
            b"cHRM" if is_srgb(&data) => None,
            b"bKGD" | b"sPLT" | b"oFFs" | b"sTER" => None,
            _ => Some(name(&kind).unwrap_or("private chunks")),
        };
        self.meta.own.push(Part { format: ImageFormat::Png, kind, data, name });
    }

    /// Notes whether samples are linear light: what goes before the others says it.
    fn light(&mut self, kind: &[u8; 4], data: &[u8]) {
        match kind {
            b"cICP" => {
                self.said = true;
                self.meta.linear = data.get(1) == Some(&8);
            }
            b"sRGB" => self.srgb = true,
            b"gAMA" if !self.said && !self.profile && !self.srgb => {
                self.meta.linear = number(data, 0) == 100_000;
            }
            _ => {}
        }
        if !self.said && (self.srgb || self.profile) {
            self.meta.linear = false;
        }
    }

    /// A background as three samples of 16 bits.
    fn background(&self, data: &[u8]) -> Option<Vec<u8>> {
        let sample =
            |i: usize| data.get(2 * i..2 * i + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let most = (1u32 << self.depth.clamp(1, 16)) - 1;
        let full = |v: u16| (u32::from(v).min(most) * 65_535 / most) as u16;
        let colour = match self.colour {
            3 => {
                let at = 3 * usize::from(*data.first()?);
                self.palette.get(at..at + 3)?.iter().map(|v| u16::from(*v) * 257).collect()
            }
            0 | 4 => vec![full(sample(0)?); 3],
            _ => (0..3).map(|i| sample(i).map(full)).collect::<Option<Vec<_>>>()?,
        };
        Some(colour.into_iter().flat_map(u16::to_be_bytes).collect())
    }
}

/// What is lost without a chunk that is known.
fn name(kind: &[u8; 4]) -> Option<&'static str> {
    Some(match kind {
        b"gAMA" => "gamma",
        b"cHRM" => "chromaticities",
        b"sRGB" | b"cICP" => "colour space",
        b"mDCV" | b"mDCv" | b"cLLI" | b"cLLi" => "light levels",
        b"tEXt" | b"zTXt" | b"iTXt" => "text",
        b"bKGD" => "background",
        b"oFFs" => "offset",
        b"sPLT" => "suggested palette",
        b"sCAL" | b"pCAL" => "scale",
        b"sTER" => "stereo layout",
        b"gIFg" | b"gIFx" | b"gIFt" => "GIF extensions",
        b"eXIf" => "Exif",
        b"pHYs" => "resolution",
        b"iCCP" => "colour profile",
        _ => return None,
    })
}

fn number(data: &[u8], i: usize) -> u32 {
    data.get(4 * i..4 * i + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

/// Whether chromaticities are those of sRGB, to the digits that programs write.
fn is_srgb(data: &[u8]) -> bool {
    let srgb = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];
    srgb.iter().enumerate().all(|(i, v)| number(data, i).abs_diff(*v) < 100)
}

fn resolution(data: &[u8]) -> Option<Resolution> {
    let (x, y) = (number(data, 0).into(), number(data, 1).into());
    let unit = if *data.get(8)? == 1 { Unit::Metre } else { Unit::None };
    (x > 0.0 && y > 0.0).then_some(Resolution { x, y, unit })
}

fn png_sum(kind: &[u8; 4], data: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(kind);
    sum.update(data);
    sum.finalize()
}
