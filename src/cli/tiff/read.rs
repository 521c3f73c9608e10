//! The pixels of a TIFF file: grey, RGB, palettes, CMYK and YCbCr of 1 to 64 bits, integers and floats, in strips or
//! tiles, together or in planes, with alpha or without.

use super::super::failure::Failure;
use super::super::lost::Lost;
use super::super::meta::Meta;
use super::super::pixels::{Buffer, Picture};
use super::super::source::Source;
use super::super::spare::is_there;
use super::chunks::{self, Coding};
use super::tags::{self, Page};
use image::metadata::Orientation;
use std::io::{Read, Seek, SeekFrom};
use tiff::TiffError;
use tiff::decoder::{ChunkType, Decoder, Limits};
use tiff::tags::{ByteOrder, CompressionMethod, PhotometricInterpretation as Kind, Predictor, Tag};
use twopass::{Image, SampleType, Shape};

/// Bytes for the longest value of a tag, which is the places of all strips.
const LONGEST_TAG: usize = 1 << 28;

/// A file whose directory has been read.
pub struct Reader {
    decoder: Decoder<Box<dyn Source>>,
    layout: Layout,
    max_bytes: u64,
    /// Where the page is that is read; `None` for the first picture.
    page: Option<Page>,
}

/// What the directory says of the pixels.
struct Layout {
    width: usize,
    height: usize,
    kind: Kind,
    coding: Coding,
    /// Samples of a pixel, and those of them that are colours.
    samples: usize,
    stored: usize,
    /// The place of alpha among the samples, and whether colours are multiplied by it.
    alpha: Option<usize>,
    premultiplied: bool,
    planar: bool,
    signed: bool,
    /// Width and height of strips and tiles.
    chunk: (usize, usize),
    places: Vec<u64>,
    lengths: Vec<u64>,
    palette: Vec<u16>,
    /// Whether the palette needs 16 bits.
    deep: bool,
}

/// What it cannot read, in one line.
fn unsupported(what: impl std::fmt::Display) -> Failure {
    Failure::input(format!("TIFF files {what} are not supported"))
}

pub fn failure(error: &TiffError) -> Failure {
    match error {
        TiffError::LimitsExceeded => {
            Failure::limit(format!("{error}; --max-pixels raises the limit"))
        }
        e => Failure::input(format!("not a readable TIFF file: {e}")),
    }
}

impl Reader {
    /// Reads the directory of the first page; `max_bytes` bounds what is allocated for it.
    pub fn new(mut source: Box<dyn Source>, max_bytes: u64) -> Result<Self, Failure> {
        let fail = |e: TiffError| failure(&e);
        // What a tag may take, which has 32 bytes for each number there; pixels are not decoded by it.
        let mut limits = Limits::default();
        let most = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        limits.decoding_buffer_size = LONGEST_TAG.min(most);
        // The decoder prints something about such texts.
        let longest =
            tags::longest_text(&mut source, None).and_then(|n| source.rewind().map(|()| n));
        if longest.map_err(|e| fail(e.into()))? > limits.decoding_buffer_size as u64 {
            return Err(Failure::input("not a readable TIFF file: one of its texts has no end"));
        }
        let mut decoder = Decoder::new(source).map_err(fail)?.with_limits(limits);
        let layout = Layout::of(&mut decoder)?;
        Ok(Self { decoder, layout, max_bytes, page: None })
    }

    /// Goes to another page, of those that the file has.
    pub fn go(&mut self, page: Page) -> Result<(), Failure> {
        let fail = |e: TiffError| failure(&e);
        let longest = tags::longest_text(self.decoder.inner(), Some(page));
        if longest.map_err(|e| fail(e.into()))? > LONGEST_TAG as u64 {
            return Err(Failure::input("not a readable TIFF file: one of its texts has no end"));
        }
        self.decoder.seek_to_image(page.number).map_err(fail)?;
        self.layout = Layout::of(&mut self.decoder)?;
        self.page = Some(page);
        Ok(())
    }

    pub fn size(&self) -> (u32, u32) {
        (self.layout.width as u32, self.layout.height as u32)
    }

    pub fn channels(&self) -> usize {
        self.layout.colours() + usize::from(self.layout.alpha.is_some())
    }

    /// The type of the decoded samples.
    pub fn sample(&self) -> SampleType {
        self.layout.sample()
    }

    /// Bytes that decoding takes beside the picture: the largest strip or tile as it is in the file and as it is decoded, of
    /// JPEG with what its decoder needs; and indices and inks until they are colours.
    pub fn aside(&self) -> u64 {
        let layout = &self.layout;
        let row = layout.coding.row(layout.chunk.0).unwrap_or(usize::MAX) as u64;
        let chunk = row.saturating_mul(layout.chunk.1 as u64);
        let decoded = match layout.coding.method {
            CompressionMethod::None => 0,
            CompressionMethod::ModernJPEG => chunk.saturating_mul(2),
            _ => chunk,
        };
        let stored = layout.lengths.iter().copied().max().unwrap_or(0).min(self.max_bytes);
        let pixels = layout.width as u64 * layout.height as u64;
        let made = match layout.kind {
            Kind::RGBPalette => pixels.saturating_mul(4),
            Kind::CMYK => pixels.saturating_mul(20),
            _ => 0,
        };
        decoded.saturating_add(stored).saturating_add(made)
    }

    pub fn compression(&self) -> CompressionMethod {
        self.layout.coding.method
    }

    pub fn orientation(&mut self) -> Orientation {
        let tag = self.decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
        tag.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
    }

    /// What the file says beside the pixels.
    pub fn meta(&mut self) -> Meta {
        tags::meta(self.decoder.inner(), self.page).unwrap_or_default()
    }

    /// What of the picture is not kept.
    pub fn lost(&self) -> Lost {
        let layout = &self.layout;
        let mut lost = Lost::default();
        match layout.samples - layout.stored - usize::from(layout.alpha.is_some()) {
            0 => {}
            1 => lost.add("an extra sample of each pixel"),
            n => lost.add(format!("{n} extra samples of each pixel")),
        }
        if layout.kind == Kind::CMYK {
            lost.add("CMYK (made RGB)");
        }
        match (layout.coding.float, layout.coding.bits) {
            (true, 64) => lost.add("double precision (made 32 bits)"),
            (false, 32 | 64) => {
                lost.add(format!("{}-bit integers (made floats)", layout.coding.bits))
            }
            _ => {}
        }
        lost
    }

    /// Decodes the pixels.
    pub fn decode(&mut self) -> Result<Picture, Failure> {
        let layout = &self.layout;
        let (bits, float, signed) = (layout.coding.bits, layout.coding.float, layout.signed);
        let full = ((1u64 << bits.min(32)) - 1) as u32;
        let buffer = match (layout.sample(), float, signed, bits) {
            (SampleType::U8, _, _, _) if layout.kind == Kind::RGBPalette && !layout.deep => {
                let table = layout.table(|v| (v >> 8) as u8);
                let indices = self.samples(indices(bits))?;
                Buffer::U8(self.image(self.coloured(&indices, &table, 255))?)
            }
            (SampleType::U16, _, _, _) if layout.kind == Kind::RGBPalette => {
                let table = layout.table(|v| v);
                let indices = self.samples(indices(bits))?;
                Buffer::U16(self.image(self.coloured(&indices, &table, 65_535))?)
            }
            (SampleType::U8, ..) => {
                let unpack = move |v: u32| ((v * 510 + full) / (2 * full)) as u8;
                let unpack: Unpack<u8> = match bits {
                    8 => Box::new(|row, out| out.copy_from_slice(&row[..out.len()])),
                    bits => of_bits(bits, unpack),
                };
                let samples = self.samples(unpack)?;
                Buffer::U8(self.image(self.colours_of(samples, 255.0, |v| (v + 0.5) as u8))?)
            }
            (SampleType::U16, ..) => {
                let unpack = move |v: u32| {
                    ((u64::from(v) * 131_070 + u64::from(full)) / (2 * u64::from(full))) as u16
                };
                let unpack: Unpack<u16> = match bits {
                    16 => of_bytes(u16::from_ne_bytes),
                    bits => of_bits(bits, unpack),
                };
                let samples = self.samples(unpack)?;
                Buffer::U16(self.image(self.colours_of(samples, 65_535.0, |v| (v + 0.5) as u16))?)
            }
            _ => {
                let unpack: Unpack<f32> = match (float, signed, bits) {
                    (true, _, 16) => of_bytes(|b| half::f16::from_ne_bytes(b).to_f32()),
                    (true, _, 32) => of_bytes(f32::from_ne_bytes),
                    (true, _, _) => of_bytes(|b| f64::from_ne_bytes(b) as f32),
                    (_, true, 8) => of_bytes(|b| i8::from_ne_bytes(b).into()),
                    (_, true, 16) => of_bytes(|b| i16::from_ne_bytes(b).into()),
                    (_, true, 32) => of_bytes(|b| i32::from_ne_bytes(b) as f32),
                    (_, true, _) => of_bytes(|b| i64::from_ne_bytes(b) as f32),
                    (_, _, 32) => of_bytes(|b| u32::from_ne_bytes(b) as f32),
                    _ => of_bytes(|b| u64::from_ne_bytes(b) as f32),
                };
                let samples = self.samples(unpack)?;
                Buffer::F32(self.image(self.colours_of(samples, 1.0, |v| v as f32))?)
            }
        };
        let (alpha, premultiplied) = (self.layout.alpha.is_some(), self.layout.premultiplied);
        Ok(Picture { buffer, alpha, premultiplied })
    }

    fn image<S: twopass::Sample>(&self, samples: Vec<S>) -> Result<Image<S>, Failure> {
        let shape = Shape::new(self.layout.width, self.layout.height, self.channels());
        Ok(Image::from_vec(samples, shape)?)
    }

    /// All chunks in their places: for each pixel its colours as they are stored, and alpha.
    fn samples<S: Copy + Default>(&mut self, unpack: Unpack<S>) -> Result<Vec<S>, Failure> {
        let max_bytes = self.max_bytes;
        let Layout { width, height, chunk, samples, stored, alpha, planar, .. } = self.layout;
        let kept = stored + usize::from(alpha.is_some());
        let row = self.layout.coding.row(chunk.0);
        let whole = row.and_then(|r| r.checked_mul(chunk.1)).map(|n| n as u64);
        if whole.is_none_or(|n| n > max_bytes) || !is_there(whole.unwrap_or(0)) {
            return Err(Failure::limit(format!(
                "a chunk of the TIFF file has {}×{} pixels, too many; --max-pixels raises the limit",
                chunk.0, chunk.1
            )));
        }
        let across = width.div_ceil(chunk.0);
        let plane = across * height.div_ceil(chunk.1);
        let mut out = vec![S::default(); width * height * kept];
        let mut line = vec![S::default(); chunk.0.min(width) * self.layout.coding.samples];
        for (i, (place, length)) in self.layout.places.iter().zip(&self.layout.lengths).enumerate()
        {
            let channel = i / plane;
            // The place of a plane among those that are kept.
            let to = match channel {
                _ if !planar => 0,
                c if c < stored => c,
                c if Some(c) == alpha => stored,
                _ => continue,
            };
            let (left, top) = (i % plane % across * chunk.0, i % plane / across * chunk.1);
            let columns = chunk.0.min(width - left);
            let rows = chunk.1.min(height - top);
            let source = self.decoder.inner();
            source.seek(SeekFrom::Start(*place)).map_err(|e| failure(&e.into()))?;
            let length = (*length).min(max_bytes);
            // Room for what there is, as far as it can be known.
            let mut data = Vec::with_capacity(length.min(whole.unwrap_or(0)) as usize);
            let read = source.by_ref().take(length).read_to_end(&mut data);
            read.map_err(|e| failure(&e.into()))?;
            let bytes = self.layout.coding.decode(data, chunk, rows)?;
            let stride = self.layout.coding.row(chunk.0).unwrap_or(1);
            for (y, row) in bytes.chunks_exact(stride).take(rows).enumerate() {
                let at = ((top + y) * width + left) * kept;
                let out = &mut out[at..at + columns * kept];
                if !planar && samples == kept {
                    unpack(row, out);
                    continue;
                }
                let line = &mut line[..columns * self.layout.coding.samples];
                unpack(row, line);
                if planar {
                    out.iter_mut().skip(to).step_by(kept).zip(line).for_each(|(o, v)| *o = *v);
                } else {
                    for (out, pixel) in out.chunks_exact_mut(kept).zip(line.chunks_exact(samples)) {
                        out[..stored].copy_from_slice(&pixel[..stored]);
                        if let Some(alpha) = alpha {
                            out[stored] = pixel[alpha];
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// Indices, and alpha if there is one, as colours of a palette.
    fn coloured<S: Copy + TryFrom<u16> + Default>(
        &self,
        indices: &[u16],
        table: &[[S; 3]],
        full: u32,
    ) -> Vec<S> {
        let stored = 1 + usize::from(self.layout.alpha.is_some());
        let most = ((1u64 << self.layout.coding.bits) - 1) as u32;
        let mut out = Vec::with_capacity(indices.len() / stored * self.channels());
        for pixel in indices.chunks_exact(stored) {
            out.extend(table.get(usize::from(pixel[0])).copied().unwrap_or_default());
            for alpha in &pixel[1..] {
                let scaled = (u64::from(*alpha) * u64::from(full) / u64::from(most)) as u16;
                out.push(S::try_from(scaled).unwrap_or_default());
            }
        }
        out
    }

    /// Grey or RGB of what is stored.
    fn colours_of<S: Copy + Into<f64>>(
        &self,
        mut samples: Vec<S>,
        full: f64,
        round: impl Fn(f64) -> S,
    ) -> Vec<S> {
        let layout = &self.layout;
        let kept = layout.stored + usize::from(layout.alpha.is_some());
        match layout.kind {
            Kind::WhiteIsZero => {
                for pixel in samples.chunks_exact_mut(kept) {
                    pixel[0] = round(full - pixel[0].into());
                }
                samples
            }
            Kind::CMYK => {
                let mut out = Vec::with_capacity(samples.len() / kept * self.channels());
                for pixel in samples.chunks_exact(kept) {
                    let light = full - pixel[3].into();
                    out.extend(pixel[..3].iter().map(|ink| {
                        let ink: f64 = (*ink).into();
                        round((full - ink) * light / full)
                    }));
                    out.extend_from_slice(&pixel[4..]);
                }
                out
            }
            // Rec. 601, of full range, as in JPEG.
            Kind::YCbCr if !layout.coding.jpeg_rgb => {
                let half = ((full + 1.0) / 2.0).floor();
                for pixel in samples.chunks_exact_mut(kept) {
                    let [y, b, r] =
                        [pixel[0].into(), pixel[1].into() - half, pixel[2].into() - half];
                    let rgb = [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b];
                    for (out, v) in pixel.iter_mut().zip(rgb) {
                        *out = round(v.clamp(0.0, full));
                    }
                }
                samples
            }
            _ => samples,
        }
    }
}

impl Layout {
    fn of(decoder: &mut Decoder<Box<dyn Source>>) -> Result<Self, Failure> {
        let fail = |e: TiffError| failure(&e);
        let (width, height) = decoder.dimensions().map_err(fail)?;
        let one = |d: &mut Decoder<_>, tag, or: u16| -> Result<u16, Failure> {
            Ok(d.find_tag_unsigned(tag).map_err(fail)?.unwrap_or(or))
        };
        let kind = one(decoder, Tag::PhotometricInterpretation, 0)?;
        let stored = match Kind::from_u16(kind) {
            Some(Kind::WhiteIsZero | Kind::BlackIsZero | Kind::RGBPalette) => 1,
            Some(Kind::RGB | Kind::YCbCr) => 3,
            Some(Kind::CMYK) => 4,
            Some(Kind::TransparencyMask) => return Err(unsupported("of masks")),
            Some(Kind::CIELab | Kind::IccLab | Kind::ItuLab) => {
                return Err(unsupported("in L*a*b*"));
            }
            _ => return Err(unsupported(format!("of photometric interpretation {kind}"))),
        };
        let kind = Kind::from_u16(kind).unwrap_or(Kind::BlackIsZero);
        if kind == Kind::CMYK && one(decoder, Tag::Unknown(332), 1)? != 1 {
            return Err(unsupported("of inks that are not CMYK"));
        }
        let method = one(decoder, Tag::Compression, 1)?;
        let method = CompressionMethod::from_u16_exhaustive(method);
        if !chunks::is_known(method) {
            return Err(unsupported(format!("compressed by {}", chunks::name(method))));
        }
        let samples = usize::from(one(decoder, Tag::SamplesPerPixel, 1)?);
        let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(fail)?;
        let extra = extra.unwrap_or_default();
        if samples < stored {
            return Err(Failure::input(format!(
                "not a readable TIFF file: its pixels have {samples} samples, and need {stored}"
            )));
        }
        // Without a word about what it is, one sample more is alpha, as libtiff and libvips have it.
        let marked = extra.iter().position(|e| matches!(e, 1 | 2)).filter(|i| stored + i < samples);
        let alpha = match samples - stored {
            1 => Some(stored),
            _ => marked.map(|i| stored + i),
        };
        let premultiplied = marked.is_some_and(|i| extra[i] == 1);
        let bits = decoder.find_tag_unsigned_vec::<u16>(Tag::BitsPerSample).map_err(fail)?;
        let bits = usize::from(bits.and_then(|b| b.first().copied()).unwrap_or(1));
        let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(fail)?;
        let (float, signed) = match format.and_then(|f| f.first().copied()).unwrap_or(1) {
            1 | 4 => (false, false),
            2 => (false, true),
            3 => (true, false),
            _ => return Err(unsupported("of complex numbers")),
        };
        let known = match (float, signed) {
            (true, _) => matches!(bits, 16 | 32 | 64),
            (_, true) => matches!(bits, 8 | 16 | 32 | 64),
            _ => matches!(bits, 1..=16 | 32 | 64),
        };
        // Colours that are computed from full scale.
        let scaled = matches!(kind, Kind::WhiteIsZero | Kind::CMYK | Kind::YCbCr)
            && (signed || bits > 16 && !(float && bits == 32));
        if !known || kind == Kind::RGBPalette && (bits > 16 || float || signed) || scaled {
            let what = if float {
                "-bit floats"
            } else if signed {
                "-bit signed integers"
            } else {
                " bits"
            };
            return Err(unsupported(format!("of {bits}{what} in this kind of colour")));
        }
        let predictor = one(decoder, Tag::Predictor, 1)?;
        let predictor = Predictor::from_u16(predictor).unwrap_or(Predictor::None);
        let fits = match predictor {
            Predictor::Horizontal => matches!(bits, 8 | 16 | 32 | 64),
            Predictor::FloatingPoint => float,
            _ => true,
        };
        if !fits {
            return Err(unsupported(format!("of {bits} bits with a predictor")));
        }
        let jpeg = method == CompressionMethod::ModernJPEG;
        if jpeg && (bits != 8 || !matches!(samples, 1 | 3 | 4)) {
            return Err(unsupported(format!(
                "compressed by JPEG, with {samples} samples of {bits} bits,"
            )));
        }
        if kind == Kind::YCbCr && !jpeg {
            let sampling =
                decoder.find_tag_unsigned_vec::<u16>(Tag::ChromaSubsampling).map_err(fail)?;
            if sampling.is_none_or(|s| s != [1, 1]) || float {
                return Err(unsupported("of YCbCr with halved colour that are no JPEG"));
            }
        }
        if method == CompressionMethod::Fax4 && (bits, samples) != (1, 1) {
            return Err(unsupported("compressed by fax, with more than one bit,"));
        }
        let planar = one(decoder, Tag::PlanarConfiguration, 1)? == 2 && samples > 1;
        let (places, lengths) = match decoder.get_chunk_type() {
            ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
            ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
        };
        let list = |d: &mut Decoder<_>, tag| d.find_tag_unsigned_vec::<u64>(tag).map_err(fail);
        let (places, lengths) = (list(decoder, places)?, list(decoder, lengths)?);
        let (chunk_width, chunk_height) = decoder.chunk_dimensions();
        let chunk_height = match decoder.get_chunk_type() {
            // There may be one strip of "all" rows.
            ChunkType::Strip => chunk_height.min(height),
            ChunkType::Tile => chunk_height,
        };
        let palette = match kind {
            Kind::RGBPalette => {
                let map = decoder.find_tag_unsigned_vec::<u16>(Tag::Unknown(320)).map_err(fail)?;
                map.filter(|map| map.len() == 3 << bits).ok_or_else(|| {
                    Failure::input("not a readable TIFF file: it has no colours for its indices")
                })?
            }
            _ => Vec::new(),
        };
        let deep = palette.iter().any(|v| v & 255 != 0 && v >> 8 != v & 255);
        // Some writers gave 8 bits.
        let small = palette.iter().all(|v| *v < 256);
        let palette = if small { palette.iter().map(|v| v * 257).collect() } else { palette };
        let tables = decoder.find_tag(Tag::JPEGTables).map_err(fail)?;
        let coding = Coding {
            method,
            predictor,
            reversed: one(decoder, Tag::FillOrder, 1)? == 2,
            tables: tables.and_then(|t| t.into_u8_vec().ok()),
            jpeg_rgb: jpeg && kind == Kind::YCbCr && !planar,
            little: decoder.byte_order() == ByteOrder::LittleEndian,
            bits,
            float,
            samples: if planar { 1 } else { samples },
        };
        Ok(Self {
            width: width as usize,
            height: height as usize,
            kind,
            coding,
            samples,
            stored,
            alpha,
            premultiplied,
            planar,
            signed,
            chunk: (chunk_width as usize, chunk_height as usize),
            places: places.unwrap_or_default(),
            lengths: lengths.unwrap_or_default(),
            palette,
            deep: deep && !small,
        })
    }

    fn colours(&self) -> usize {
        if self.stored == 1 && self.kind != Kind::RGBPalette { 1 } else { 3 }
    }

    /// Integers of up to 16 bits stay integers; what has more, or a sign, becomes a float of the same value.
    fn sample(&self) -> SampleType {
        match (self.coding.float || self.signed, self.coding.bits) {
            (false, _) if self.kind == Kind::RGBPalette => {
                if self.deep {
                    SampleType::U16
                } else {
                    SampleType::U8
                }
            }
            (false, ..=8) => SampleType::U8,
            (false, ..=16) => SampleType::U16,
            _ => SampleType::F32,
        }
    }

    /// The colours of a palette.
    fn table<S>(&self, convert: impl Fn(u16) -> S) -> Vec<[S; 3]> {
        let count = self.palette.len() / 3;
        (0..count).map(|i| [0, 1, 2].map(|c| convert(self.palette[c * count + i]))).collect()
    }
}

/// Makes samples of the bytes of a row.
type Unpack<S> = Box<dyn Fn(&[u8], &mut [S])>;

/// Integers of up to 16 bits as they are.
fn indices(bits: usize) -> Unpack<u16> {
    match bits {
        8 => of_bytes(|b: [u8; 1]| b[0].into()),
        16 => of_bytes(u16::from_ne_bytes),
        bits => of_bits(bits, |v| v as u16),
    }
}

/// Samples of whole bytes, in the machine's order.
fn of_bytes<const N: usize, S: 'static>(convert: impl Fn([u8; N]) -> S + 'static) -> Unpack<S> {
    Box::new(move |row, out| {
        out.iter_mut().zip(row.as_chunks::<N>().0).for_each(|(out, b)| *out = convert(*b));
    })
}

/// Samples of less than 16 bits.
fn of_bits<S: 'static>(bits: usize, convert: impl Fn(u32) -> S + 'static) -> Unpack<S> {
    Box::new(move |row, out| {
        out.iter_mut().zip(Bits::new(row, bits)).for_each(|(out, v)| *out = convert(v));
    })
}

/// A row of samples of less than 16 bits, one after the other from the highest bit of a byte on.
struct Bits<'a> {
    row: std::slice::Iter<'a, u8>,
    bits: usize,
    held: u32,
    count: usize,
}

impl<'a> Bits<'a> {
    fn new(row: &'a [u8], bits: usize) -> Self {
        Self { row: row.iter(), bits, held: 0, count: 0 }
    }
}

impl Iterator for Bits<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.count < self.bits {
            self.held = (self.held & 0xffff) << 8 | u32::from(*self.row.next()?);
            self.count += 8;
        }
        self.count -= self.bits;
        Some(self.held >> self.count & ((1 << self.bits) - 1))
    }
}
