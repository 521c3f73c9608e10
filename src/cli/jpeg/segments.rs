//! The segments of a JPEG file, and the header of its picture.

use super::{END, SCAN};
use image::error::{DecodingError, ImageFormatHint, UnsupportedError, UnsupportedErrorKind};
use image::{ImageError, ImageFormat, ImageResult};
use memchr::memchr;

/// The header of a picture.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Which of the processes, by its marker.
    pub process: u8,
    pub width: u16,
    pub height: u16,
    pub components: Vec<Component>,
}

#[derive(Debug, Clone, Copy)]
pub struct Component {
    pub id: u8,
    /// Samples in a unit, horizontally and vertically.
    pub h: u8,
    pub v: u8,
    pub table: u8,
}

/// A file whose picture is whole.
pub struct Whole {
    /// It, without what may stand between segments and before markers.
    pub bytes: Vec<u8>,
    /// Where the segments and the entropy-coded data behind scans' headers are.
    pub pieces: Vec<Piece>,
    /// Bytes of the file up to its end.
    pub length: usize,
    /// Whether something stands between segments behind the first scan: the marker of one was lost.
    pub torn: bool,
}

pub struct Piece {
    pub marker: u8,
    /// Of the marker, of the data in the segment, of what follows, of the next marker.
    pub at: usize,
    pub data: usize,
    pub coded: usize,
    pub end: usize,
}

impl Whole {
    /// Walks over the file up to its end-of-image marker, outside of segments such as the one of a thumbnail;
    /// `None` if there is none.
    pub fn new(file: &[u8]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(file.len() + (1 << 12));
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut torn, mut scanned) = (false, false);
        let mut rest = file.get(2..)?;
        bytes.extend_from_slice(&file[..2]);
        loop {
            let from = memchr(0xff, rest)?;
            torn |= scanned && rest[..from].iter().any(|b| *b != 0);
            rest = &rest[from + 1..];
            let &marker = rest.first()?;
            match marker {
                // A fill byte; then markers without a length.
                0xff => continue,
                0x00 | 0x01 | 0xd0..=0xd8 => {
                    torn |= scanned;
                    rest = &rest[1..];
                    continue;
                }
                END => {
                    bytes.extend([0xff, END]);
                    let length = file.len() - (rest.len() - 1);
                    return Some(Self { bytes, pieces, length, torn });
                }
                _ => {}
            }
            let length = usize::from(u16::from_be_bytes(*rest[1..].first_chunk()?)).max(2);
            let (segment, mut coded) = rest.split_at_checked(1 + length)?;
            let at = bytes.len();
            bytes.push(0xff);
            bytes.extend_from_slice(segment);
            let (data, after) = (at + 4, bytes.len());
            if marker == SCAN {
                scanned = true;
                coded = copied(coded, &mut bytes)?;
            }
            pieces.push(Piece { marker, at, data, coded: after, end: bytes.len() });
            rest = coded;
        }
    }

    /// The segments with their data.
    pub fn segments(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.pieces.iter().map(|p| (p.marker, self.data(p)))
    }

    /// The data in a segment.
    pub fn data(&self, piece: &Piece) -> &[u8] {
        &self.bytes[piece.data..piece.coded]
    }

    /// The entropy-coded data behind it. A 0xff of them is followed by a zero, or is of a restart marker.
    pub fn coded(&self, piece: &Piece) -> &[u8] {
        &self.bytes[piece.coded..piece.end]
    }

    /// Numbers of the components in a scan.
    pub fn scan<'a>(&'a self, piece: &Piece) -> impl Iterator<Item = u8> + 'a {
        let data = self.data(piece);
        let count = data.first().copied().unwrap_or(0).into();
        data.iter().skip(1).step_by(2).take(count).copied()
    }
}

/// Appends entropy-coded data up to the next marker that is none of intervals, and says what follows.
fn copied<'a>(mut coded: &'a [u8], bytes: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let from = memchr(0xff, coded)?;
        let next = from + coded[from..].iter().position(|b| *b != 0xff)?;
        bytes.extend_from_slice(&coded[..from]);
        let marker = coded[next];
        if !matches!(marker, 0 | 0xd0..=0xd7) {
            return Some(&coded[from..]);
        }
        bytes.extend([0xff, marker]);
        coded = &coded[next + 1..];
    }
}

impl Frame {
    pub fn of(whole: &Whole) -> ImageResult<Self> {
        let mut frames = whole
            .segments()
            .filter(|(m, _)| matches!(m, 0xc0..=0xcf) && !matches!(m, 0xc4 | 0xc8 | 0xcc));
        let (process, data) = frames.next().ok_or_else(|| bad("it has no picture"))?;
        if frames.next().is_some() {
            return Err(bad("it has several pictures in one"));
        }
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = data else {
            return Err(bad("the header of its picture is cut off"));
        };
        let known = match process {
            0xc0..=0xc2 | 0xc9 | 0xca => None,
            0xc3 | 0xcb => Some("lossless coding"),
            _ => Some("hierarchical coding"),
        };
        if let Some(what) = known {
            return Err(unsupported(what.to_owned()));
        }
        if precision != 8 {
            return Err(unsupported(format!("samples of {precision} bits")));
        }
        let components: Vec<_> = rest
            .chunks_exact(3)
            .map(|c| Component { id: c[0], h: c[1] >> 4, v: c[1] & 15, table: c[2] })
            .collect();
        if components.len() != usize::from(count) {
            return Err(bad("the header of its picture is cut off"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported(format!("pixels of {count} components")));
        }
        let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
        let frame = Self { process, width, height, components };
        let (most_h, most_v) = frame.most();
        let fits = |c: &Component| {
            let (h, v) = (usize::from(c.h), usize::from(c.v));
            (1..=4).contains(&h) && (1..=4).contains(&v) && most_h % h == 0 && most_v % v == 0
        };
        match frame.components.iter().all(fits) {
            true => Ok(frame),
            false => Err(unsupported("components whose sizes do not divide each other".to_owned())),
        }
    }

    /// The finest sampling, in both directions.
    pub fn most(&self) -> (usize, usize) {
        let most =
            |of: fn(&Component) -> u8| self.components.iter().map(of).max().unwrap_or(1).max(1);
        (most(|c| c.h).into(), most(|c| c.v).into())
    }
}

pub fn bad(what: &str) -> ImageError {
    ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), what.to_owned()))
}

pub fn unsupported(what: String) -> ImageError {
    let hint = ImageFormatHint::Exact(ImageFormat::Jpeg);
    ImageError::Unsupported(UnsupportedError::from_format_and_kind(
        hint,
        UnsupportedErrorKind::GenericFeature(what),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_file_is_found() {
        let file =
            b"\xff\xd8\xff\xe1\0\x04\xff\xd9\xff\xda\0\x02data\xff\0\xff\xd3more\xff\xff\xd9";
        let whole = Whole::new(file).unwrap();
        let fill = file.len() - 3;
        assert_eq!(whole.bytes, [&file[..fill], &file[fill + 1..]].concat());
        assert_eq!(whole.coded(&whole.pieces[1]), b"data\xff\0\xff\xd3more");
        assert!((0..file.len()).all(|n| Whole::new(&file[..n]).is_none()));
    }
}
