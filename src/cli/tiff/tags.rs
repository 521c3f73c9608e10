//! What a TIFF file says beside its pixels: profile, XMP, IPTC, resolution, and what Exif files have in directories of
//! the same form: description, makers, dates, place. It goes out of a file as Exif data, and comes in as such, so that it is the same
//! for all formats.
//!
//! The crate `tiff` reads directories of pictures only, and Exif data has none; hence a small reader of directories.

use super::super::lost::Lost;
use super::super::meta::{Meta, Part, Resolution, Unit};
use image::ImageFormat;
use std::collections::HashSet;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use tiff::TiffResult;
use tiff::encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKind};
use tiff::tags::{Tag, Type};

/// A value as it stands in a directory, its numbers in the machine's byte order.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    tag: u16,
    kind: Type,
    data: Vec<u8>,
}

/// Longest value that is kept.
const LONGEST: u64 = 1 << 28;
/// Most entries of a directory.
const MOST: u64 = 4096;

const NEW_SUBFILE_TYPE: u16 = 254;
const EXIF: u16 = 0x8769;
const GPS: u16 = 0x8825;
const INTEROPERABILITY: u16 = 0xa005;
const MAKER_NOTE: u16 = 0x927c;
const XMP: u16 = 700;
const IPTC: u16 = 33_723;
const PROFILE: u16 = 34_675;
const X_RESOLUTION: u16 = 282;
const Y_RESOLUTION: u16 = 283;
const RESOLUTION_UNIT: u16 = 296;
const PAGE_NUMBER: u16 = 297;

/// Tags of a picture's directory that are Exif data: description, maker, model, orientation, software, date, artist, host,
/// copyright.
const SHARED: [u16; 9] = [270, 271, 272, 274, 305, 306, 315, 316, 33_432];

/// Tags that only TIFF files have.
const OWN: [(u16, &str); 14] = [
    (269, "name of the document"),
    (285, "name of the page"),
    (286, "position of the page"),
    (287, "position of the page"),
    (PAGE_NUMBER, "number of the page"),
    (33_550, "GeoTIFF tags"),
    (33_922, "GeoTIFF tags"),
    (34_264, "GeoTIFF tags"),
    (34_377, "Photoshop data"),
    (34_735, "GeoTIFF tags"),
    (34_736, "GeoTIFF tags"),
    (34_737, "GeoTIFF tags"),
    (42_112, "GDAL metadata"),
    (42_113, "GDAL no-data value"),
];

/// Where numbers are read from, and how.
struct Directories<R> {
    source: R,
    little: bool,
    big: bool,
}

impl<R: Read + Seek> Directories<R> {
    /// A reader, and the place of the first directory.
    fn new(mut source: R) -> io::Result<(Self, u64)> {
        let mut head = [0; 4];
        source.read_exact(&mut head)?;
        let (little, big) = match &head {
            b"II*\0" => (true, false),
            b"MM\0*" => (false, false),
            b"II+\0" => (true, true),
            b"MM\0+" => (false, true),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let mut directories = Self { source, little, big };
        if big {
            directories.number(4)?;
        }
        let first = directories.number(if big { 8 } else { 4 })?;
        Ok((directories, first))
    }

    fn number(&mut self, bytes: usize) -> io::Result<u64> {
        let mut out = [0; 8];
        self.source.read_exact(&mut out[..bytes])?;
        if self.little || bytes == 0 {
            Ok(u64::from_le_bytes(out))
        } else {
            Ok(u64::from_be_bytes(out) >> (64 - 8 * bytes))
        }
    }

    /// All entries of the directory at a place; those that make no sense are left out.
    fn at(&mut self, place: u64) -> io::Result<Vec<Entry>> {
        self.source.seek(SeekFrom::Start(place))?;
        let count = self.number(if self.big { 8 } else { 2 })?;
        if count > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (word, entry) = if self.big { (8, 20) } else { (4, 12) };
        let mut out = Vec::new();
        for i in 0..count {
            self.source.seek(SeekFrom::Start(place + if self.big { 8 } else { 2 } + i * entry))?;
            let (tag, kind) = (self.number(2)? as u16, self.number(2)? as u16);
            let count = self.number(word)?;
            let Some((kind, size, unit)) = size(kind) else { continue };
            let Some(length) = count.checked_mul(size).filter(|n| *n <= LONGEST) else { continue };
            if length > word as u64 {
                let place = self.number(word)?;
                self.source.seek(SeekFrom::Start(place))?;
            }
            let mut data = Vec::new();
            self.source.by_ref().take(length).read_to_end(&mut data)?;
            if data.len() as u64 != length {
                continue;
            }
            if self.little != cfg!(target_endian = "little") && unit > 1 {
                data.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
            }
            out.push(Entry { tag, kind, data });
        }
        Ok(out)
    }

    fn longest_text(&mut self, place: u64) -> io::Result<u64> {
        self.source.seek(SeekFrom::Start(place))?;
        let word = if self.big { 8 } else { 4 };
        let mut longest = 0;
        for _ in 0..self.number(if self.big { 8 } else { 2 })? {
            let (_, kind) = (self.number(2)?, self.number(2)?);
            let (count, _) = (self.number(word)?, self.number(word)?);
            if kind == u64::from(Type::ASCII.to_u16()) {
                longest = count.max(longest);
            }
        }
        Ok(longest)
    }
}

/// Bytes of the longest text of the directory of a page, or the first one. What is wrong with the directory, its reader
/// says.
pub fn longest_text(source: &mut (impl Read + Seek), page: Option<Page>) -> io::Result<u64> {
    source.rewind()?;
    let directories = Directories::new(source);
    let longest = directories.and_then(|(mut directories, first)| {
        directories.longest_text(page.map_or(first, |page| page.place))
    });
    Ok(longest.unwrap_or(0))
}

/// Which directory is that of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Among the directories that follow each other, from 0.
    pub number: usize,
    /// In the file.
    pub place: u64,
}

/// The pages of a file, smaller versions of a picture being none; and whether there seem to be more that cannot be read.
pub fn pages(source: &mut (impl Read + Seek)) -> io::Result<(Vec<Page>, bool)> {
    source.rewind()?;
    let mut pages = Vec::new();
    let broken = walk(source, &mut pages).is_err();
    Ok((pages, broken))
}

fn walk(source: impl Read + Seek, pages: &mut Vec<Page>) -> io::Result<()> {
    let (mut directories, mut place) = Directories::new(source)?;
    let (head, word) = if directories.big { (8, 8) } else { (2, 4) };
    // There is no end where directories form a ring.
    let mut seen = HashSet::new();
    while place != 0 {
        if !seen.insert(place) || seen.len() > usize::from(u16::MAX) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        directories.source.seek(SeekFrom::Start(place))?;
        let count = directories.number(head)?;
        if count > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut smaller = false;
        for _ in 0..count {
            // Tag, type and number of values, then values that fit the entry.
            let tag = directories.number(2)?;
            directories.number(2)?;
            directories.number(word)?;
            let value = directories.number(4)?;
            directories.number(word - 4)?;
            smaller |= tag == u64::from(NEW_SUBFILE_TYPE) && value & 1 == 1;
        }
        if !smaller {
            pages.push(Page { number: seen.len() - 1, place });
        }
        place = directories.number(word)?;
    }
    Ok(())
}

/// A kind of value, the bytes of one, and those that a byte order is about.
fn size(kind: u16) -> Option<(Type, u64, usize)> {
    let kind = Type::from_u16(kind)?;
    let (size, unit) = match kind {
        Type::BYTE | Type::ASCII | Type::SBYTE | Type::UNDEFINED => (1, 1),
        Type::SHORT | Type::SSHORT => (2, 2),
        Type::LONG | Type::SLONG | Type::FLOAT | Type::IFD => (4, 4),
        Type::RATIONAL | Type::SRATIONAL => (8, 4),
        Type::DOUBLE | Type::LONG8 | Type::SLONG8 | Type::IFD8 => (8, 8),
        _ => return None,
    };
    Some((kind, size, unit))
}

impl Entry {
    /// The first number of the value, as whole numbers and rationals have it.
    fn number(&self) -> Option<f64> {
        let whole = |at| Some(f64::from(u32::from_ne_bytes(*self.data.get(at..)?.first_chunk()?)));
        match self.kind {
            Type::SHORT => Some(u16::from_ne_bytes(*self.data.first_chunk()?).into()),
            Type::LONG | Type::IFD => whole(0),
            Type::RATIONAL => Some(whole(0)? / whole(4)?).filter(|v| v.is_finite()),
            Type::FLOAT => Some(f32::from_ne_bytes(*self.data.first_chunk()?).into()),
            _ => None,
        }
    }

    fn place(&self) -> Option<u64> {
        match self.kind {
            Type::LONG8 | Type::IFD8 => Some(u64::from_ne_bytes(*self.data.first_chunk()?)),
            _ => self.number().map(|n| n as u64),
        }
    }
}

/// Directories of Exif data.
#[derive(Debug, Default, PartialEq)]
struct Exif {
    main: Vec<Entry>,
    exif: Vec<Entry>,
    gps: Vec<Entry>,
    /// Whether there were notes of the camera's maker, whose places in the file are known to it only.
    notes: bool,
}

impl Exif {
    /// Of the data that other formats hold.
    fn parse(data: &[u8]) -> Option<Self> {
        let (mut directories, first) = Directories::new(Cursor::new(data)).ok()?;
        let main = directories.at(first).ok()?;
        Some(Self::of(&mut directories, &main))
    }

    /// Keeps what is Exif data of a directory, and what it leads to.
    fn of(directories: &mut Directories<impl Read + Seek>, main: &[Entry]) -> Self {
        let mut lead = |tag| {
            let place = main.iter().find(|e| e.tag == tag).and_then(Entry::place);
            place.and_then(|place| directories.at(place).ok()).unwrap_or_default()
        };
        let (mut exif, gps) = (lead(EXIF), lead(GPS));
        let notes = exif.iter().any(|e| e.tag == MAKER_NOTE);
        exif.retain(|e| !matches!(e.tag, MAKER_NOTE | INTEROPERABILITY));
        let main = main.iter().filter(|e| SHARED.contains(&e.tag)).cloned().collect();
        Self { main, exif, gps, notes }
    }

    /// As the data that other formats hold.
    fn bytes(&self) -> TiffResult<Vec<u8>> {
        let mut out = Vec::new();
        let mut encoder = TiffEncoder::new(Cursor::new(&mut out))?;
        let places = self.put_directories(&mut encoder)?;
        let mut main = encoder.image_directory()?;
        self.put_main(&mut main, places)?;
        main.finish()?;
        Ok(out)
    }

    /// Writes the directories that the main one leads to.
    fn put_directories<W: Write + Seek, K: TiffKind>(
        &self,
        encoder: &mut TiffEncoder<W, K>,
    ) -> TiffResult<Places<K>> {
        let mut put_all = |entries: &[Entry]| {
            if entries.is_empty() {
                return Ok(None);
            }
            let mut directory = encoder.extra_directory()?;
            entries.iter().try_for_each(|e| put(&mut directory, e))?;
            directory.finish_with_offsets().map(|place| Some(place.offset))
        };
        Ok([put_all(&self.exif)?, put_all(&self.gps)?])
    }

    fn put_main<W: Write + Seek, K: TiffKind>(
        &self,
        directory: &mut DirectoryEncoder<'_, W, K>,
        [exif, gps]: Places<K>,
    ) -> TiffResult<()> {
        self.main.iter().try_for_each(|e| put(directory, e))?;
        if let Some(place) = exif {
            directory.write_tag(Tag::ExifDirectory, place)?;
        }
        if let Some(place) = gps {
            directory.write_tag(Tag::GpsDirectory, place)?;
        }
        Ok(())
    }
}

/// Of the directories of Exif and of GPS.
type Places<K> = [Option<<K as TiffKind>::OffsetType>; 2];

fn put<W: Write + Seek, K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, W, K>,
    entry: &Entry,
) -> TiffResult<()> {
    let written = directory.write_entry_bytes(entry.kind, &entry.data)?;
    let mut one = tiff::Directory::empty();
    one.extend([(Tag::from_u16_exhaustive(entry.tag), written)]);
    directory.extend_from(&one);
    Ok(())
}

/// What the directory of a page says, or the first one.
pub fn meta(source: &mut (impl Read + Seek), page: Option<Page>) -> io::Result<Meta> {
    source.rewind()?;
    let (mut directories, first) = Directories::new(source)?;
    let entries = directories.at(page.map_or(first, |page| page.place))?;
    let find = |tag| entries.iter().find(|e| e.tag == tag);
    let data = |tag| find(tag).map(|e| e.data.clone()).filter(|d| !d.is_empty());
    let exif = Exif::of(&mut directories, &entries);
    let mut meta =
        Meta { profile: data(PROFILE), xmp: data(XMP), iptc: data(IPTC), ..Meta::default() };
    if exif.notes {
        meta.lost.add("maker notes");
    }
    // An orientation that is upright says nothing.
    let plain = |e: &Entry| e.tag == 274 && e.number() == Some(1.0);
    let says = !exif.main.iter().all(plain) || !exif.exif.is_empty() || !exif.gps.is_empty();
    if says {
        meta.exif = exif.bytes().ok();
    }
    let number = |tag| find(tag).and_then(Entry::number);
    if let (Some(x), Some(y)) = (number(X_RESOLUTION), number(Y_RESOLUTION)) {
        let (unit, factor) = match number(RESOLUTION_UNIT).unwrap_or(2.0) as u32 {
            1 => (Unit::None, 1.0),
            3 => (Unit::Metre, 100.0),
            _ => (Unit::Inch, 1.0),
        };
        // Square pixels of no size are what everybody takes them for.
        if x > 0.0 && y > 0.0 && !(unit == Unit::None && x == y) {
            meta.resolution = Some(Resolution { x: x * factor, y: y * factor, unit });
        }
    }
    for (tag, name) in OWN {
        if let Some(entry) = find(tag) {
            let [a, b] = tag.to_be_bytes();
            let [c, d] = entry.kind.to_u16().to_be_bytes();
            // The number of the only page says nothing.
            let all = entry.data.get(2..4).map(|n| u16::from_ne_bytes([n[0], n[1]]));
            let plain = tag == PAGE_NUMBER && entry.kind == Type::SHORT && all <= Some(1);
            let part = Part {
                format: ImageFormat::Tiff,
                kind: [a, b, c, d],
                data: entry.data.clone(),
                name: (!plain).then_some(name),
            };
            meta.own.push(part);
        }
    }
    Ok(meta)
}

/// What is not written of it.
pub fn lost(meta: &Meta) -> Lost {
    let mut lost = Lost::default();
    if meta.exif.as_deref().and_then(Exif::parse).is_some_and(|exif| exif.notes) {
        lost.add("maker notes");
    }
    lost
}

/// What is written of it, before the picture's directory.
pub struct Written<K: TiffKind> {
    exif: Exif,
    places: Places<K>,
}

/// Writes the directories of Exif data.
pub fn put_exif<W: Write + Seek, K: TiffKind>(
    encoder: &mut TiffEncoder<W, K>,
    meta: &Meta,
) -> TiffResult<Written<K>> {
    let exif = meta.exif.as_deref().and_then(Exif::parse).unwrap_or_default();
    let places = exif.put_directories(encoder)?;
    Ok(Written { exif, places })
}

/// Writes all tags that are not about pixels.
pub fn put_tags<W: Write + Seek, K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, W, K>,
    written: Written<K>,
    meta: &Meta,
) -> TiffResult<()> {
    written.exif.put_main(directory, written.places)?;
    let raw = [(PROFILE, &meta.profile), (XMP, &meta.xmp), (IPTC, &meta.iptc)];
    for (tag, data) in raw {
        if let Some(data) = data.clone() {
            let kind = if tag == XMP { Type::BYTE } else { Type::UNDEFINED };
            put(directory, &Entry { tag, kind, data })?;
        }
    }
    if let Some(resolution) = meta.resolution {
        let (unit, factor) = match resolution.unit {
            Unit::None => (1u16, 1.0),
            Unit::Inch => (2, 1.0),
            Unit::Metre => (3, 0.01),
        };
        directory.write_tag(Tag::XResolution, rational(resolution.x * factor))?;
        directory.write_tag(Tag::YResolution, rational(resolution.y * factor))?;
        directory.write_tag(Tag::ResolutionUnit, unit)?;
    }
    for part in meta.own.iter().filter(|p| p.format == ImageFormat::Tiff) {
        let [a, b, c, d] = part.kind;
        if let Some((kind, ..)) = size(u16::from_be_bytes([c, d])) {
            let tag = u16::from_be_bytes([a, b]);
            put(directory, &Entry { tag, kind, data: part.data.clone() })?;
        }
    }
    Ok(())
}

fn rational(v: f64) -> Rational {
    let d = if v.fract() == 0.0 || v > 400_000.0 { 1 } else { 10_000 };
    Rational { n: (v * f64::from(d)).round() as u32, d }
}
