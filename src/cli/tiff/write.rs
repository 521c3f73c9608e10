//! TIFF files of one picture, or of one on each page, in strips: 8 or 16 bits or floats, grey or RGB, with alpha or
//! without, with the tags that the encoder of `image` leaves out (what a fourth sample is, and whether colours are
//! multiplied by it) and compressed.

use super::super::meta::Meta;
use super::super::pixels::Pixels;
use super::tags;
use std::io::{Cursor, Seek, Write};
use tiff::TiffResult;
use tiff::encoder::compression::{CompressionAlgorithm, Compressor as Algorithm};
use tiff::encoder::compression::{Deflate, DeflateLevel, Lzw, Packbits};
use tiff::encoder::{TiffEncoder, TiffKind, TiffKindBig};
use tiff::tags::{CompressionMethod, ExtraSamples, PhotometricInterpretation, Predictor, Tag};

/// Bytes of a strip, about.
const STRIP: usize = 1 << 18;

/// What a file cannot have in 32 bits of places, with some room for tags.
const LARGE: u64 = 0xf000_0000;

/// How strips are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressor {
    None,
    Lzw,
    PackBits,
    Fast,
    Default,
    Best,
}

impl Compressor {
    /// As a file was that was read, as far as that is written.
    pub fn like(method: CompressionMethod) -> Self {
        match method {
            CompressionMethod::None => Self::None,
            CompressionMethod::LZW => Self::Lzw,
            CompressionMethod::PackBits => Self::PackBits,
            _ => Self::Default,
        }
    }

    fn method(self) -> CompressionMethod {
        match self {
            Self::None => CompressionMethod::None,
            Self::Lzw => CompressionMethod::LZW,
            Self::PackBits => CompressionMethod::PackBits,
            Self::Fast | Self::Default | Self::Best => CompressionMethod::Deflate,
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::None => Algorithm::default(),
            Self::Lzw => Algorithm::Lzw(Lzw),
            Self::PackBits => Algorithm::Packbits(Packbits),
            Self::Fast => Algorithm::Deflate(Deflate::with_level(DeflateLevel::Fast)),
            Self::Default => Algorithm::Deflate(Deflate::with_level(DeflateLevel::Balanced)),
            Self::Best => Algorithm::Deflate(Deflate::with_level(DeflateLevel::Best)),
        }
    }

    fn predictor(self, float: bool) -> Predictor {
        match self {
            Self::None | Self::PackBits => Predictor::None,
            _ if float => Predictor::FloatingPoint,
            _ => Predictor::Horizontal,
        }
    }
}

/// The whole file of one picture. Colours are multiplied by alpha if they are `premultiplied`.
pub fn write(
    pixels: Pixels<'_>,
    premultiplied: bool,
    compressor: Compressor,
    meta: &Meta,
) -> Result<Vec<u8>, String> {
    let shape = pixels.shape();
    let bytes = shape.width * shape.height * shape.channels * size(pixels);
    let mut out = Vec::with_capacity(bytes + (1 << 16));
    Writer::new(&mut out, bytes as u64)?.page(pixels, premultiplied, compressor, meta)?;
    Ok(out)
}

/// A file in the making: with places of 32 bits, or of 64.
pub enum Writer<'a> {
    Small(TiffEncoder<Cursor<&'a mut Vec<u8>>>),
    Big(TiffEncoder<Cursor<&'a mut Vec<u8>>, TiffKindBig>),
}

impl<'a> Writer<'a> {
    /// For samples of at most so many bytes.
    pub fn new(out: &'a mut Vec<u8>, bytes: u64) -> Result<Self, String> {
        let to = Cursor::new(out);
        let writer = if bytes > LARGE {
            TiffEncoder::new_big(to).map(Self::Big)
        } else {
            TiffEncoder::new(to).map(Self::Small)
        };
        writer.map_err(|e| e.to_string())
    }

    /// Appends a picture.
    pub fn page(
        &mut self,
        pixels: Pixels<'_>,
        premultiplied: bool,
        compressor: Compressor,
        meta: &Meta,
    ) -> Result<(), String> {
        let written = match self {
            Self::Small(to) => put(to, pixels, premultiplied, compressor, meta),
            Self::Big(to) => put(to, pixels, premultiplied, compressor, meta),
        };
        written.map_err(|e| e.to_string())
    }
}

/// Bytes of a sample.
fn size(pixels: Pixels<'_>) -> usize {
    match pixels {
        Pixels::U8(_) => 1,
        Pixels::U16(_) => 2,
        Pixels::F32(_) => 4,
    }
}

fn put<W: Write + Seek, K: TiffKind>(
    encoder: &mut TiffEncoder<W, K>,
    pixels: Pixels<'_>,
    premultiplied: bool,
    compressor: Compressor,
    meta: &Meta,
) -> TiffResult<()> {
    let (shape, size) = (pixels.shape(), size(pixels));
    let written = tags::put_exif(encoder, meta)?;
    let mut directory = encoder.image_directory()?;
    let (width, height) = (u32::try_from(shape.width)?, u32::try_from(shape.height)?);
    let samples = shape.channels;
    let predictor = compressor.predictor(size == 4);
    let kind = if samples > 2 {
        PhotometricInterpretation::RGB
    } else {
        PhotometricInterpretation::BlackIsZero
    };
    directory.write_tag(Tag::ImageWidth, width)?;
    directory.write_tag(Tag::ImageLength, height)?;
    directory.write_tag(Tag::BitsPerSample, &*vec![size as u16 * 8; samples])?;
    directory.write_tag(Tag::Compression, compressor.method().to_u16())?;
    directory.write_tag(Tag::PhotometricInterpretation, kind.to_u16())?;
    directory.write_tag(Tag::SamplesPerPixel, samples as u16)?;
    directory.write_tag(Tag::SampleFormat, &*vec![if size == 4 { 3u16 } else { 1 }; samples])?;
    if predictor != Predictor::None {
        directory.write_tag(Tag::Predictor, predictor.to_u16())?;
    }
    if samples.is_multiple_of(2) {
        let alpha = if premultiplied {
            ExtraSamples::AssociatedAlpha
        } else {
            ExtraSamples::UnassociatedAlpha
        };
        directory.write_tag(Tag::ExtraSamples, alpha.to_u16())?;
    }
    tags::put_tags(&mut directory, written, meta)?;
    let row = shape.width * samples * size;
    // Runs of bytes end with their row.
    let rows = match compressor {
        Compressor::PackBits => 1,
        _ => STRIP.div_ceil(row).min(shape.height),
    };
    directory.write_tag(Tag::RowsPerStrip, u32::try_from(rows)?)?;
    let (mut places, mut lengths) = (Vec::new(), Vec::new());
    let (mut strip, mut packed) = (Vec::with_capacity(rows * row), Vec::new());
    let mut algorithm = compressor.algorithm();
    for top in (0..shape.height).step_by(rows) {
        if let (Pixels::U8(view), Compressor::None) = (pixels, compressor) {
            // As they lie in memory.
            let ys = top..shape.height.min(top + rows);
            lengths.push(K::convert_offset((ys.len() * row) as u64)?);
            let first = directory.write_data(view.row(top))?;
            places.push(K::convert_offset(first)?);
            for y in ys.skip(1) {
                directory.write_data(view.row(y))?;
            }
            continue;
        }
        strip.clear();
        for y in top..shape.height.min(top + rows) {
            append(pixels, y, predictor, &mut strip);
        }
        let data = if compressor == Compressor::None {
            &strip
        } else {
            packed.clear();
            algorithm.write_to(&mut packed, &strip)?;
            &packed
        };
        places.push(K::convert_offset(directory.write_data(data.as_slice())?)?);
        lengths.push(K::convert_offset(data.len() as u64)?);
    }
    directory.write_tag(Tag::StripOffsets, K::convert_slice(&places))?;
    directory.write_tag(Tag::StripByteCounts, K::convert_slice(&lengths))?;
    directory.finish()
}

/// Appends a row of samples in the machine's byte order, which is that of the file, by the predictor.
fn append(pixels: Pixels<'_>, y: usize, predictor: Predictor, out: &mut Vec<u8>) {
    let samples = pixels.shape().channels;
    match pixels {
        Pixels::U8(view) => match predictor {
            Predictor::None => out.extend_from_slice(view.row(y)),
            _ => {
                let row = view.row(y);
                out.extend_from_slice(&row[..samples]);
                out.extend(
                    row[samples..].iter().zip(row).map(|(v, before)| v.wrapping_sub(*before)),
                );
            }
        },
        Pixels::U16(view) => {
            let row = view.row(y);
            let before = [0; 4].into_iter().take(samples).chain(row.iter().copied());
            let pairs = row.iter().zip(before);
            out.extend(pairs.flat_map(|(v, before)| match predictor {
                Predictor::None => v.to_ne_bytes(),
                _ => v.wrapping_sub(before).to_ne_bytes(),
            }));
        }
        Pixels::F32(view) if predictor == Predictor::None => {
            out.extend(view.row(y).iter().flat_map(|v| v.to_ne_bytes()));
        }
        // Bytes of equal weight together, the highest first, each less the one a pixel before.
        Pixels::F32(view) => {
            let row = view.row(y);
            let start = out.len();
            for k in 0..4 {
                out.extend(row.iter().map(|v| v.to_be_bytes()[k]));
            }
            let row = &mut out[start..];
            for i in (samples..row.len()).rev() {
                row[i] = row[i].wrapping_sub(row[i - samples]);
            }
        }
    }
}
