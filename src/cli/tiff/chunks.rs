//! Strips and tiles: from the bytes in the file to samples as they were before compression.
//!
//! The decoder of the crate `tiff` reads whole pictures of the kinds that it knows, and neither fill order nor palettes
//! nor samples of 12 bits nor tiles over the edge are among them. So this takes its directory and the
//! decompressors of other crates; PackBits and the predictors are a few lines each and in no crate of their own.

use super::super::failure::Failure;
use std::io::Read;
use std::ops::RangeInclusive;
use tiff::tags::{CompressionMethod as Method, Predictor};

/// How all chunks of a picture are stored.
#[derive(Debug, Clone)]
pub struct Coding {
    pub method: Method,
    pub predictor: Predictor,
    /// Whether bytes are stored with their lowest bit first.
    pub reversed: bool,
    /// What the JPEG streams of the chunks have in common.
    pub tables: Option<Vec<u8>>,
    /// Whether JPEG streams are to be decoded to RGB.
    pub jpeg_rgb: bool,
    pub little: bool,
    /// Bits of a sample.
    pub bits: usize,
    pub float: bool,
    /// Samples of a pixel in a chunk.
    pub samples: usize,
}

/// The name of a kind of compression.
pub fn name(method: Method) -> String {
    match method {
        Method::Huffman => "CCITT run lengths".into(),
        Method::Fax3 => "Group 3 fax".into(),
        Method::JPEG => "old-style JPEG".into(),
        Method::ZSTD => "Zstandard".into(),
        Method::WebP => "WebP".into(),
        Method::Unknown(34712) => "JPEG 2000".into(),
        Method::Unknown(34887) => "LERC".into(),
        Method::Unknown(34925) => "LZMA".into(),
        Method::Unknown(50002 | 52546) => "JPEG XL".into(),
        Method::Unknown(n) => format!("method {n}"),
        other => format!("{other:?}"),
    }
}

/// Whether chunks of this kind can be read.
pub fn is_known(method: Method) -> bool {
    use Method as M;
    matches!(
        method,
        M::None | M::LZW | M::Deflate | M::OldDeflate | M::PackBits | M::ModernJPEG | M::Fax4
    )
}

impl Coding {
    /// Bytes of a row of `width` pixels.
    pub fn row(&self, width: usize) -> Option<usize> {
        Some(width.checked_mul(self.samples)?.checked_mul(self.bits)?.div_ceil(8))
    }

    /// The first rows of a chunk of this size, in the machine's byte order.
    pub fn decode(
        &self,
        mut data: Vec<u8>,
        (width, height): (usize, usize),
        rows: usize,
    ) -> Result<Vec<u8>, Failure> {
        let row = self.row(width).filter(|r| *r > 0);
        let row = row.ok_or_else(|| Failure::input("a chunk of the TIFF file is empty"))?;
        let whole = row.checked_mul(rows);
        let whole = whole.ok_or_else(|| Failure::limit("a chunk of the TIFF file is too large"))?;
        if self.reversed && self.method != Method::ModernJPEG {
            data.iter_mut().for_each(|b| *b = b.reverse_bits());
        }
        let mut out = match self.method {
            Method::None => data,
            Method::LZW => lzw(&data, whole)?,
            Method::Deflate | Method::OldDeflate => deflate(&data, whole)?,
            Method::PackBits => pack_bits(&data, whole),
            Method::ModernJPEG => self.jpeg(data, width, rows..=height)?,
            Method::Fax4 => fax(data, width, rows)?,
            other => {
                return Err(Failure::input(format!(
                    "TIFF files compressed by {} are not supported",
                    name(other)
                )));
            }
        };
        if out.len() < whole {
            return Err(Failure::input("the TIFF file is damaged: pixels are missing"));
        }
        out.truncate(whole);
        match self.predictor {
            Predictor::FloatingPoint => {
                out.chunks_exact_mut(row).for_each(|row| self.sum_bytes(row));
            }
            predictor => {
                self.order(&mut out);
                if predictor == Predictor::Horizontal {
                    out.chunks_exact_mut(row).for_each(|row| self.sum(row));
                }
            }
        }
        Ok(out)
    }

    /// Samples of several bytes in the machine's order.
    fn order(&self, bytes: &mut [u8]) {
        let size = self.bits / 8;
        let native = self.little == cfg!(target_endian = "little");
        if !native && self.bits.is_multiple_of(8) && size > 1 && self.method != Method::ModernJPEG {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
    }

    /// Undoes the horizontal predictor: each sample was stored less the one of the pixel before.
    fn sum(&self, row: &mut [u8]) {
        fn sum<const N: usize>(
            row: &mut [u8],
            samples: usize,
            add: fn([u8; N], [u8; N]) -> [u8; N],
        ) {
            let row = row.as_chunks_mut::<N>().0;
            for i in samples..row.len() {
                row[i] = add(row[i], row[i - samples]);
            }
        }
        match self.bits {
            8 => sum::<1>(row, self.samples, |a, b| [a[0].wrapping_add(b[0])]),
            16 => sum(row, self.samples, |a, b| {
                u16::from_ne_bytes(a).wrapping_add(u16::from_ne_bytes(b)).to_ne_bytes()
            }),
            32 => sum(row, self.samples, |a, b| {
                u32::from_ne_bytes(a).wrapping_add(u32::from_ne_bytes(b)).to_ne_bytes()
            }),
            _ => sum(row, self.samples, |a, b| {
                u64::from_ne_bytes(a).wrapping_add(u64::from_ne_bytes(b)).to_ne_bytes()
            }),
        }
    }

    /// Undoes the predictor of floats: bytes of equal weight stand together, the highest first, each less the one
    /// before (Adobe Photoshop TIFF Technical Note 3).
    fn sum_bytes(&self, row: &mut [u8]) {
        for i in self.samples..row.len() {
            row[i] = row[i].wrapping_add(row[i - self.samples]);
        }
        let size = self.bits / 8;
        let count = row.len() / size;
        let planes = row.to_vec();
        for (i, sample) in row.chunks_exact_mut(size).enumerate() {
            for (k, byte) in sample.iter_mut().enumerate() {
                let weight = if cfg!(target_endian = "little") { size - 1 - k } else { k };
                *byte = planes[weight * count + i];
            }
        }
    }

    /// A whole JPEG stream, after the tables of the file; the marker of its start is there twice then, and
    /// so is that of its end.
    fn jpeg(
        &self,
        data: Vec<u8>,
        width: usize,
        rows: RangeInclusive<usize>,
    ) -> Result<Vec<u8>, Failure> {
        use zune_jpeg::JpegDecoder;
        use zune_jpeg::zune_core::bytestream::ZCursor;
        use zune_jpeg::zune_core::colorspace::ColorSpace;
        let bad = |e| Failure::input(format!("the TIFF file is damaged: a JPEG stream in it: {e}"));
        let stream = match &self.tables {
            Some(tables) if tables.len() > 4 && data.len() > 2 => {
                [&tables[..tables.len() - 2], &data[2..]].concat()
            }
            _ => data,
        };
        let mut decoder = JpegDecoder::new(ZCursor::new(stream));
        decoder.decode_headers().map_err(|e| bad(format!("{e:?}")))?;
        let size = decoder.info().map(|i| (usize::from(i.width), usize::from(i.height)));
        let Some((wide, high)) = size.filter(|(w, h)| *w == width && rows.contains(h)) else {
            return Err(bad("it has another size".to_owned()));
        };
        let stored = decoder.input_colorspace();
        let wanted = if self.jpeg_rgb { Some(ColorSpace::RGB) } else { stored };
        if let Some(space) = wanted {
            decoder.set_options(
                zune_jpeg::zune_core::options::DecoderOptions::default()
                    .jpeg_set_out_colorspace(space),
            );
        }
        let out = decoder.decode().map_err(|e| bad(format!("{e:?}")))?;
        if out.len() != wide * high * self.samples {
            return Err(bad("it has other channels".to_owned()));
        }
        Ok(out)
    }
}

/// No more than `whole` bytes; what ends early is found short.
fn lzw(data: &[u8], whole: usize) -> Result<Vec<u8>, Failure> {
    use weezl::{BitOrder, LzwStatus, decode::Decoder};
    if data.first() == Some(&0) && data.get(1).is_some_and(|b| b & 1 == 1) {
        return Err(Failure::input(
            "TIFF files compressed by the LZW of before 1992 are not supported",
        ));
    }
    let mut decoder = Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let mut out = vec![0; whole];
    let (mut read, mut written) = (0, 0);
    while written < whole {
        let step = decoder.decode_bytes(&data[read..], &mut out[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(_) => {
                return Err(Failure::input("the TIFF file is damaged: its LZW codes are wrong"));
            }
        }
    }
    out.truncate(written);
    Ok(out)
}

fn deflate(data: &[u8], whole: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(whole);
    let decoder = flate2::read::ZlibDecoder::new(data);
    let read = decoder.take(whole as u64).read_to_end(&mut out);
    // What is missing is found by its length.
    match read {
        Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(Failure::input(format!("the TIFF file is damaged: {e}")))
        }
        _ => Ok(out),
    }
}

/// Runs: of a byte that is repeated, or of bytes as they are (TIFF 6.0, section 9).
fn pack_bits(mut data: &[u8], whole: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(whole);
    while let [head, ref rest @ ..] = *data {
        if out.len() >= whole {
            break;
        }
        let count = match head as i8 {
            -128 => 0,
            n @ ..0 => {
                let Some(byte) = rest.first() else { break };
                out.resize(out.len() + 1 + usize::from(n.unsigned_abs()), *byte);
                1
            }
            n => {
                let count = (usize::from(n.unsigned_abs()) + 1).min(rest.len());
                out.extend(&rest[..count]);
                count
            }
        };
        data = &rest[count..];
    }
    out
}

/// Group 4 fax: one bit a pixel, 1 for black.
fn fax(data: Vec<u8>, width: usize, rows: usize) -> Result<Vec<u8>, Failure> {
    let wide = || Failure::input("the TIFF file is too wide for a fax");
    let width = u16::try_from(width).map_err(|_| wide())?;
    let height = u16::try_from(rows).map_err(|_| wide())?;
    let mut out = Vec::with_capacity(usize::from(width).div_ceil(8) * rows);
    fax::decoder::decode_g4(data.into_iter(), width, Some(height), |line| {
        let mut pixels = fax::decoder::pels(line, width);
        for _ in 0..width.div_ceil(8) {
            let byte = (0..8)
                .fold(0, |byte, _| byte << 1 | u8::from(pixels.next() == Some(fax::Color::Black)));
            out.push(byte);
        }
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::pack_bits;

    #[test]
    fn runs_are_unpacked() {
        let packed =
            [0xfe, 0xaa, 2, 0x80, 0, 0x2a, 0xfd, 0xaa, 3, 0x80, 0, 0x2a, 0x22, 0x80, 0xf7, 0xaa];
        let plain = [
            0xaa, 0xaa, 0xaa, 0x80, 0, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0, 0x2a, 0x22, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(pack_bits(&packed, 24), plain);
        assert!((0..packed.len()).all(|n| pack_bits(&packed[..n], 24).len() < 24));
    }
}
