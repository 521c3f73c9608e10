//! From JPEG files to pixels, by libjpeg-turbo-rs, whose pixels are those of libjpeg to the last bit.
//!
//! It has three gaps, which are closed here. Where entropy-coded data end too early or too late, it says nothing:
//! `scans` sees that. It does not know components that are sampled finer than the first, and scans of some
//! but not all components: those it decodes one by one, and `planes` puts them together. And what
//! components are, it tells by fewer signs than libjpeg ([`Colour`]).

use super::planes::{self, Plane};
use super::scans;
use super::segments::{Component, Frame, Piece, Whole, bad, unsupported};
use super::write::Coding;
use super::{END, Others, SCAN};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageError, ImageResult};
use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};
use std::thread;

const TABLES: u8 = 0xdb;

/// A JPEG file whose header was read.
pub struct Reader {
    whole: Whole,
    frame: Frame,
    colour: Colour,
    /// How many threads may be used; 0 for all cores.
    threads: usize,
}

/// What the components of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Grey,
    Rgb,
    Ycc,
    Cmyk,
    Ycck,
}

/// Where in a block's rows the values of a table are, in the order of the file (ITU-T T.81, figure A.6).
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

impl Colour {
    /// As libjpeg tells it: a JFIF header says YCbCr, Adobe's segment says which, and without both it is in
    /// the names of the components.
    fn of(whole: &Whole, frame: &Frame) -> Self {
        let before = || whole.segments().take_while(|(marker, _)| *marker != SCAN);
        let jfif = before().any(|(m, data)| m == 0xe0 && data.starts_with(b"JFIF\0"));
        let adobe = before()
            .filter(|(m, data)| *m == 0xee && data.starts_with(b"Adobe"))
            .find_map(|(_, data)| data.get(11).copied());
        let names: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        match (names.len(), jfif, adobe) {
            (1, ..) => Self::Grey,
            (3, false, Some(0)) => Self::Rgb,
            (3, false, None) if names == *b"RGB" => Self::Rgb,
            (3, ..) => Self::Ycc,
            (_, _, Some(2)) => Self::Ycck,
            _ => Self::Cmyk,
        }
    }
}

impl Reader {
    /// Takes in a file; `None` if it was cut off.
    pub fn new(file: &[u8]) -> Option<ImageResult<Self>> {
        let whole = Whole::new(file)?;
        let read = |whole: Whole| {
            let frame = Frame::of(&whole)?;
            let colour = Colour::of(&whole, &frame);
            Ok(Self { whole, frame, colour, threads: 1 })
        };
        Some(read(whole))
    }

    /// Decodes on so many threads; 0 for all cores.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// How it was compressed, for a result like it. Colour that is not simply coarser is kept whole.
    pub fn coding(&self) -> Option<Coding> {
        let mut tables = [None; 4];
        let data = self.whole.segments().filter(|(marker, _)| *marker == TABLES);
        for (_, mut data) in data {
            while let Some((&head, rest)) = data.split_first() {
                let wide = head >> 4 != 0;
                let (values, rest) = rest.split_at_checked(if wide { 128 } else { 64 })?;
                let value = |i: usize| match wide {
                    true => u16::from_be_bytes([values[2 * i], values[2 * i + 1]]),
                    false => values[i].into(),
                };
                let mut table = [0; 64];
                ZIGZAG.iter().enumerate().for_each(|(i, at)| table[usize::from(*at)] = value(i));
                *tables.get_mut(usize::from(head & 15))? = Some(table);
                data = rest;
            }
        }
        let all = &self.frame.components;
        let table = |c: &Component| *tables.get(usize::from(c.table))?;
        let (first, second) = (all.first()?, all.get(1).or(all.first())?);
        let simple = all.len() == 3 && all[1..].iter().all(|c| (c.h, c.v) == (1, 1));
        let sampling = if simple && self.is_usual() { (first.h, first.v) } else { (1, 1) };
        Some(Coding { tables: [table(first)?, table(second)?], sampling })
    }

    /// What stands behind the picture, other than padding.
    pub fn behind(&self, file: &[u8]) -> Others {
        let told = super::others(file);
        let rest = &file[self.whole.length..];
        match told {
            Others::None if !rest.iter().all(|b| matches!(b, 0 | 0xff | b' ' | b'\r' | b'\n')) => {
                Others::Data
            }
            told => told,
        }
    }

    /// Bytes that decoding takes beside the pixels: the samples of all components, and in some kinds of files
    /// the coefficients they are made of, or larger planes.
    pub fn memory(&self) -> u64 {
        let pixels = u64::from(self.frame.width) * u64::from(self.frame.height);
        let samples = pixels.saturating_mul(self.frame.components.len() as u64);
        let scans = self.whole.pieces.iter().filter(|p| p.marker == SCAN).count();
        let plain = scans < 2 && self.is_usual();
        let each = match plain {
            // Inks are put together before they become colours.
            true if self.frame.components.len() == 4 => 2,
            true => 1,
            false => 3,
        };
        // Which coefficients of progressive files are known.
        let known = samples / 8;
        // It, and its data without zeros behind 0xff.
        let bytes = 2 * self.whole.bytes.len() as u64;
        samples.saturating_mul(each).saturating_add(known).saturating_add(bytes)
    }

    /// Whether the decoder knows all there is in it.
    fn is_usual(&self) -> bool {
        let Frame { process, components, .. } = &self.frame;
        let sequential = matches!(process, 0xc0 | 0xc1 | 0xc9);
        let all = components.len();
        let mut scans = self.whole.pieces.iter().filter(|p| p.marker == SCAN);
        let scanned = !sequential
            || scans.all(|p| matches!(self.whole.scan(p).count(), n if n == 1 || n == all));
        let (h, v) = self.frame.most();
        let first = components[0];
        let finest = (usize::from(first.h), usize::from(first.v)) == (h, v);
        let same = |a: usize, b: usize| {
            (components[a].h, components[a].v) == (components[b].h, components[b].v)
        };
        scanned && finest && (all != 4 || same(0, 3) && same(1, 2))
    }

    /// Whether the decoder takes its components for what they are.
    fn is_known(&self) -> bool {
        let told = self.whole.segments().any(|(m, data)| m == 0xee && data.starts_with(b"Adobe"));
        match self.colour {
            Colour::Rgb => told,
            Colour::Ycc => !self.whole.segments().any(|(m, data)| {
                m == 0xee && data.starts_with(b"Adobe") && data.get(11) == Some(&0)
            }),
            _ => true,
        }
    }

    fn decode(&self, out: &mut [u8]) -> ImageResult<()> {
        let check = || scans::check(&self.whole, &self.frame);
        let (whole, decoded) = thread::scope(|scope| {
            let beside = match self.threads {
                1 => None,
                _ => thread::Builder::new().spawn_scoped(scope, check).ok(),
            };
            let Some(beside) = beside else {
                let whole = check();
                return (whole, if whole.is_some() { self.pixels(out) } else { Ok(()) });
            };
            let decoded = self.pixels(out);
            (beside.join().unwrap_or(None), decoded)
        });
        // What the decoder says may only follow from it.
        whole.ok_or_else(|| bad("its data are cut off or damaged"))?;
        decoded
    }

    fn pixels(&self, out: &mut [u8]) -> ImageResult<()> {
        if !self.is_usual() || !self.is_known() {
            return self.decode_planes(out);
        }
        let mut decoder = Decoder::new(&self.whole.bytes).map_err(failed)?;
        // The format has 16 bits for a side, and pixels were counted before.
        let limits = libjpeg_turbo_rs::DecodeLimits {
            max_width: 65_535,
            max_height: 65_535,
            max_pixels: u64::MAX,
            ..Default::default()
        };
        decoder.set_limits(limits);
        match self.colour {
            Colour::Cmyk | Colour::Ycck => {
                decoder.set_output_format(PixelFormat::Cmyk);
                let image = decoder.decode_image().map_err(failed)?;
                for (to, from) in out.chunks_exact_mut(3).zip(image.data.chunks_exact(4)) {
                    to.copy_from_slice(&planes::inks(*from.first_chunk().expect("four inks")));
                }
            }
            colour => {
                let grey = colour == Colour::Grey;
                decoder.set_output_format(if grey {
                    PixelFormat::Grayscale
                } else {
                    PixelFormat::Rgb
                });
                decoder.decode_image_into(out).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Decodes each component by itself, and puts them together.
    fn decode_planes(&self, out: &mut [u8]) -> ImageResult<()> {
        let Frame { width, height, components, process } = &self.frame;
        let (width, height) = (usize::from(*width), usize::from(*height));
        let (most_h, most_v) = self.frame.most();
        let mut all: Vec<Option<Vec<u8>>> = components.iter().map(|_| None).collect();
        let mut strides = vec![0; components.len()];
        let scans: Vec<_> = self.whole.pieces.iter().filter(|p| p.marker == SCAN).collect();
        let split = !matches!(process, 0xc2 | 0xca)
            && scans
                .iter()
                .any(|p| !matches!(self.whole.scan(p).count(), n if n == 1 || n == all.len()));
        if split {
            for scan in scans {
                let names: Vec<u8> = self.whole.scan(scan).collect();
                let number = |name: &u8| components.iter().position(|c| c.id == *name);
                let numbers: Option<Vec<_>> = names.iter().map(number).collect();
                let numbers = numbers.ok_or_else(|| bad("a scan is of unknown components"))?;
                let raw = libjpeg_turbo_rs::decompress_raw(&self.alone(scan, &numbers))
                    .map_err(failed)?;
                for ((i, plane), stride) in
                    numbers.into_iter().zip(raw.planes).zip(raw.plane_widths)
                {
                    (all[i], strides[i]) = (Some(plane), stride);
                }
            }
        } else {
            let raw = libjpeg_turbo_rs::decompress_raw(&self.whole.bytes).map_err(failed)?;
            all = raw.planes.into_iter().map(Some).collect();
            strides = raw.plane_widths;
        }
        let mut planes = Vec::with_capacity(all.len());
        for ((samples, stride), c) in all.into_iter().zip(strides).zip(components) {
            let samples = samples.ok_or_else(|| bad("a component is missing"))?;
            let (across, down) = (most_h / usize::from(c.h), most_v / usize::from(c.v));
            let plane = Plane::new(samples, stride, width.div_ceil(across), height.div_ceil(down));
            let plane = plane.ok_or_else(|| bad("a component is cut off"))?;
            planes.push(plane.enlarged(across, down, width, height));
        }
        let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        match (self.colour, planes.as_slice()) {
            (Colour::Grey, [grey]) => out.copy_from_slice(grey),
            (Colour::Rgb, [r, g, b]) => planes::interleave([r, g, b], out, |rgb| rgb),
            (Colour::Ycc, [y, b, r]) => planes::interleave([y, b, r], out, planes::rgb),
            (Colour::Cmyk, [c, m, y, k]) => planes::interleave([c, m, y, k], out, planes::inks),
            (Colour::Ycck, [y, b, r, k]) => {
                planes::interleave([y, b, r, k], out, |[y, b, r, k]| {
                    let [r, g, b] = planes::rgb([y, b, r]);
                    planes::inks([255 - r, 255 - g, 255 - b, k])
                })
            }
            _ => return Err(bad("it has other components than it says")),
        }
        Ok(())
    }

    /// A file of nothing but the components of one scan. One alone is a picture of its own size; several lie
    /// in units as large as those of the whole picture.
    fn alone(&self, scan: &Piece, numbers: &[usize]) -> Vec<u8> {
        let (most_h, most_v) = self.frame.most();
        let (width, height) = (usize::from(self.frame.width), usize::from(self.frame.height));
        let chosen: Vec<Component> = numbers.iter().map(|i| self.frame.components[*i]).collect();
        let (h, v) = Frame { components: chosen.clone(), ..self.frame.clone() }.most();
        let (size, chosen) = match chosen.as_slice() {
            [one] => {
                let size = ((width * h).div_ceil(most_h), (height * v).div_ceil(most_v));
                (size, vec![Component { h: 1, v: 1, ..*one }])
            }
            _ => {
                let (across, down) = (width.div_ceil(8 * most_h), height.div_ceil(8 * most_v));
                ((across * 8 * h, down * 8 * v), chosen)
            }
        };
        let side = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
        let mut out = vec![0xff, 0xd8];
        // Tables of quantisation and of codes, and the length of intervals.
        let tables = self.whole.pieces.iter().take_while(|p| p.at < scan.at);
        for table in tables.filter(|p| matches!(p.marker, 0xdb | 0xc4 | 0xdd)) {
            out.extend_from_slice(&self.whole.bytes[table.at..table.coded]);
        }
        out.extend([0xff, self.frame.process, 0, 8 + 3 * chosen.len() as u8, 8]);
        out.extend([side(size.1), side(size.0)].concat());
        out.push(chosen.len() as u8);
        out.extend(chosen.iter().flat_map(|c| [c.id, c.h << 4 | c.v, c.table]));
        out.extend_from_slice(&self.whole.bytes[scan.at..scan.end]);
        out.extend([0xff, END]);
        out
    }
}

impl ImageDecoder for Reader {
    fn dimensions(&self) -> (u32, u32) {
        (self.frame.width.into(), self.frame.height.into())
    }

    fn color_type(&self) -> ColorType {
        if self.colour == Colour::Grey { ColorType::L8 } else { ColorType::Rgb8 }
    }

    fn original_color_type(&self) -> ExtendedColorType {
        match self.colour {
            Colour::Cmyk | Colour::Ycck => ExtendedColorType::Cmyk8,
            _ => self.color_type().into(),
        }
    }

    fn read_image(self, buf: &mut [u8]) -> ImageResult<()> {
        self.decode(buf)
    }

    fn read_image_boxed(self: Box<Self>, buf: &mut [u8]) -> ImageResult<()> {
        self.decode(buf)
    }
}

fn failed(error: JpegError) -> ImageError {
    match error {
        JpegError::Unsupported(what) => unsupported(what),
        error => bad(&format!("its data are cut off or damaged: {error}")),
    }
}
