//! JPEG files: `read` decodes them, and this is what they say beside their pixels.

mod blocks;
mod codes;
mod photoshop;
mod planes;
mod read;
mod scans;
mod segments;
mod write;

pub use read::Reader;
pub use write::{Coding, jpeg};

use super::exif::Tags;
use super::meta::{Meta, Part, Resolution, Unit};
use image::ImageFormat;

/// What a file says beside its pixels.
pub fn meta(file: &[u8]) -> Meta {
    let mut meta = Meta { profile: profile(file), resolution: resolution(file), ..Meta::default() };
    for (marker, data) in Segments(file).take_while(|&(marker, _)| !matches!(marker, SCAN | END)) {
        let mut keep = |data: &[u8], name| {
            let (format, kind) = (ImageFormat::Jpeg, [0, 0, 0, marker]);
            meta.own.push(Part { format, kind, data: data.to_vec(), name: Some(name) });
        };
        match (marker, data) {
            // Written anew: what pixels are, and how they lie in the file. Thumbnails are untrue, and so is the
            // quality that a program meant to have.
            (APP0 | APP14, _) | (APP12, [b'D', b'u', b'c', b'k', b'y', ..]) => {}
            (APP1, [b'E', b'x', b'i', b'f', 0, 0, exif @ ..]) => {
                meta.exif.get_or_insert_with(|| exif.to_vec());
            }
            (APP1, data) if data.starts_with(XMP) => {
                meta.xmp.get_or_insert_with(|| data[XMP.len()..].to_vec());
            }
            (APP1, data) if data.starts_with(b"http://ns.adobe.com/xmp/extension/\0") => {
                meta.lost.add("extended XMP");
            }
            // Profiles were put together, and pictures behind this one are looked at.
            (APP2, data) if data.starts_with(b"ICC_PROFILE\0") || data.starts_with(b"MPF\0") => {}
            // Signed statements about the pixels as they were.
            (APP11, [b'J', b'P', ..]) => meta.lost.add("content credentials"),
            (APP13, data) if data.starts_with(PHOTOSHOP) => {
                let (rest, iptc) = photoshop::parts(&data[PHOTOSHOP.len()..]);
                meta.iptc = meta.iptc.take().or(iptc);
                if !rest.is_empty() {
                    keep(&[PHOTOSHOP, &rest].concat(), "Photoshop data");
                }
            }
            (COMMENT, _) => keep(data, "comment"),
            (0xe0..=0xef, _) => keep(data, "private segments"),
            _ => {}
        }
    }
    meta
}

/// What the pictures behind the first one are, as the first one says (CIPA DC-007).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    None,
    /// Smaller versions of it.
    Previews,
    /// Something beside it, such as a gain map.
    Data,
    /// Parts of a panorama, or other views.
    Pictures,
}

/// What is behind the picture, where a file tells it.
fn others(file: &[u8]) -> Others {
    let told = || {
        let mut segments = Segments(file).take_while(|&(marker, _)| marker != SCAN);
        let data =
            segments.find_map(|(m, data)| data.strip_prefix(b"MPF\0").filter(|_| m == APP2))?;
        let tags = Tags::new(data)?;
        // The entries: 16 bytes for each picture, of which the first four say what it is.
        let entry = tags.entry(tags.first()?, 0xb002)?;
        let (bytes, at) = (tags.long(entry + 4)?, tags.long(entry + 8)?);
        let kinds = (1..(bytes / 16).min(64)).map_while(|i| tags.long(at + 16 * i));
        kinds
            .map(|kind| match kind >> 16 & 0xff {
                1 => Others::Previews,
                2 => Others::Pictures,
                _ => Others::Data,
            })
            .max_by_key(|others| *others as u8)
    };
    told().unwrap_or(Others::None)
}

/// The colour profile, put together from its parts (ICC.1:2022, annex B.4); none if some are
/// missing or there twice.
fn profile(file: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<_> = Segments(file)
        .take_while(|&(marker, _)| marker != SCAN)
        .filter(|&(marker, _)| marker == APP2)
        .filter_map(|(_, data)| data.strip_prefix(b"ICC_PROFILE\0")?.split_first_chunk::<2>())
        .collect();
    parts.sort_unstable_by_key(|&(&[number, _], _)| number);
    let whole = (1..).zip(&parts).all(|(n, &(&[number, count], _))| {
        usize::from(number) == n && usize::from(count) == parts.len()
    });
    let data: Vec<u8> = parts.into_iter().flat_map(|(_, data)| data).copied().collect();
    (whole && !data.is_empty()).then_some(data)
}

/// The resolution that a JFIF header names. One pixel by one, of no unit, says nothing.
fn resolution(file: &[u8]) -> Option<Resolution> {
    let mut segments = Segments(file).take_while(|&(marker, _)| marker != SCAN);
    let jfif = |(marker, data): (u8, &'_ [u8])| {
        let data = data.strip_prefix(b"JFIF\0").filter(|_| marker == APP0)?;
        data.get(2..7)?.try_into().ok()
    };
    let [unit, x1, x0, y1, y0]: [u8; 5] = segments.find_map(jfif)?;
    let (x, y) = (u16::from_be_bytes([x1, x0]).into(), u16::from_be_bytes([y1, y0]).into());
    let resolution = match unit {
        0 => Resolution { x, y, unit: Unit::None },
        1 => Resolution { x, y, unit: Unit::Inch },
        2 => Resolution { x: x * 100.0, y: y * 100.0, unit: Unit::Metre },
        _ => return None,
    };
    (x > 0.0 && y > 0.0 && (unit != 0 || x != y)).then_some(resolution)
}

const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP11: u8 = 0xeb;
const APP12: u8 = 0xec;
const APP13: u8 = 0xed;
const APP14: u8 = 0xee;
const COMMENT: u8 = 0xfe;
/// How the data of such segments begin.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";

/// Markers with the data of their segments, up to the end-of-image marker.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.0.iter().position(|&b| b == 0xff)?;
            match self.0[at + 1..] {
                // A fill byte; then a 0xff of the data, and markers without a length.
                [0xff, ..] => self.0 = &self.0[at + 1..],
                [0x00 | 0x01 | 0xd0..=0xd8, ref rest @ ..] => self.0 = rest,
                [END, ..] => {
                    self.0 = &[];
                    return Some((END, &[]));
                }
                [marker, high, low, ..] => {
                    let length = usize::from(u16::from_be_bytes([high, low])).max(2);
                    let (segment, rest) = self.0[at + 2..].split_at_checked(length)?;
                    self.0 = rest;
                    return Some((marker, &segment[2..]));
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write::density;
    use super::*;

    #[test]
    fn the_resolution_is_that_of_the_header() {
        let of = |unit: u8, x: u8, y: u8| {
            let header = [b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x02", &[unit, 0, x, 1, y, 0, 0][..]];
            resolution(&header.concat()).map(density)
        };
        assert_eq!(of(1, 72, 0), Some((1, 72, 256)));
        assert_eq!(of(2, 28, 1), Some((2, 28, 257)));
        assert_eq!(of(0, 3, 0), Some((0, 3, 256)));
        assert_eq!(of(3, 3, 0), None);
        assert_eq!(of(1, 0, 0), None);
        let metre = Resolution { x: 11_811.0, y: 11_811.0, unit: Unit::Metre };
        assert_eq!(density(metre), (1, 300, 300), "as a PNG file has it");
    }

    #[test]
    fn a_profile_is_put_together_from_all_its_parts() {
        let file = |parts: &[(u8, u8, &[u8])]| {
            let mut file = b"\xff\xd8\xff\xe2\0\x05MPF".to_vec();
            for &(number, count, data) in parts {
                file.extend_from_slice(&[0xff, 0xe2, 0, 16 + data.len() as u8]);
                file.extend_from_slice(b"ICC_PROFILE\0");
                file.extend_from_slice(&[number, count]);
                file.extend_from_slice(data);
            }
            file.extend_from_slice(b"\xff\xda\0\x02\xff\xd9");
            file
        };
        let of = |parts: &[(u8, u8, &[u8])]| profile(&file(parts));
        assert_eq!(of(&[(2, 2, b"cd"), (1, 2, b"ab")]).as_deref(), Some(&b"abcd"[..]));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(1, 1, b"")]), None);
        assert_eq!(of(&[(1, 2, b"ab")]), None, "one is missing");
        assert_eq!(of(&[(1, 2, b"ab"), (1, 2, b"ab")]), None, "one is there twice");
        assert_eq!(of(&[(0, 2, b"ab"), (1, 2, b"cd")]), None, "numbers start at 1");
        let all: Vec<(u8, u8, &[u8])> = (1..=255).rev().map(|n| (n, 255, &b"x"[..])).collect();
        assert_eq!(of(&all), Some(vec![b'x'; 255]));
        let whole = file(&all);
        assert!((0..whole.len() - 4).all(|n| profile(&whole[..n]).is_none_or(|p| p.len() == 255)));
    }
}
