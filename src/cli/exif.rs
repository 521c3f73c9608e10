//! Exif data that are still true: without the thumbnail, which shows the picture as it was, and with the size of the
//! picture as it is.
//!
//! The few values are changed where they stand. What programs that write Exif anew do not know, such as makers'
//! notes, points at places in the data and would be lost.

/// Directories of TIFF: entries of tag, kind, number of values, and the value or where it is; then where the
/// next directory is.
#[derive(Clone, Copy)]
pub struct Tags<'a> {
    bytes: &'a [u8],
    big: bool,
}

const WIDTH: u16 = 0x100;
const HEIGHT: u16 = 0x101;
const STRIPS: u16 = 0x111;
const STRIP_BYTES: u16 = 0x117;
const THUMBNAIL: u16 = 0x201;
const THUMBNAIL_BYTES: u16 = 0x202;
const EXIF: u16 = 0x8769;
const PIXEL_WIDTH: u16 = 0xa002;
const PIXEL_HEIGHT: u16 = 0xa003;

/// Takes the thumbnail out, and writes the size in where one is named.
pub fn make_true(bytes: &mut Vec<u8>, width: u32, height: u32) {
    let Some(tags) = Tags::new(bytes) else { return };
    let Some(first) = tags.first() else { return };
    let big = tags.big;
    let own = tags.value(first, EXIF);
    let sizes = [
        (Some(first), WIDTH, width),
        (Some(first), HEIGHT, height),
        (own, PIXEL_WIDTH, width),
        (own, PIXEL_HEIGHT, height),
    ];
    let places = sizes.map(|(directory, tag, size)| {
        let directory = directory?;
        tags.value(directory, tag)?;
        Some((tags.entry(directory, tag)?, size))
    });
    let thumbnail = tags.thumbnail(first);
    // Single values, as numbers of 32 bits.
    for (at, size) in places.into_iter().flatten() {
        bytes[at + 2..at + 4].copy_from_slice(if big { &[0, 4] } else { &[4, 0] });
        bytes[at + 8..at + 12].copy_from_slice(&if big {
            size.to_be_bytes()
        } else {
            size.to_le_bytes()
        });
    }
    let Some((link, parts)) = thumbnail else { return };
    bytes[link..link + 4].fill(0);
    // From the end on, so that what lies there is cut off bit by bit.
    for (at, end) in parts.into_iter().rev() {
        let end = end.min(bytes.len());
        if at >= end {
            continue;
        }
        bytes[at..end].fill(0);
        if end == bytes.len() {
            bytes.truncate(at);
        }
    }
}

impl<'a> Tags<'a> {
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let big = bytes.starts_with(b"MM\0*");
        (big || bytes.starts_with(b"II*\0")).then_some(Self { bytes, big })
    }

    /// Where the first directory is.
    pub fn first(self) -> Option<usize> {
        self.long(4)
    }

    fn short(self, at: usize) -> Option<u16> {
        let b = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) })
    }

    pub fn long(self, at: usize) -> Option<usize> {
        let b = *self.bytes.get(at..)?.first_chunk()?;
        let v = if self.big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) };
        usize::try_from(v).ok()
    }

    /// Where the entry of a tag is in a directory. All of it is there.
    pub fn entry(self, directory: usize, tag: u16) -> Option<usize> {
        let entries = usize::from(self.short(directory)?);
        let mut places = (0..entries).map(|i| directory + 2 + 12 * i);
        let at = places.find(|at| self.short(*at) == Some(tag))?;
        (at + 12 <= self.bytes.len()).then_some(at)
    }

    /// A single value that stands in its entry.
    pub fn value(self, directory: usize, tag: u16) -> Option<usize> {
        let at = self.entry(directory, tag)?;
        if self.long(at + 4)? != 1 {
            return None;
        }
        match self.short(at + 2)? {
            3 => self.short(at + 8).map(usize::from),
            4 | 13 => self.long(at + 8),
            _ => None,
        }
    }

    /// Where the place of the second directory stands, and from where to where it and the thumbnail in it are.
    fn thumbnail(self, first: usize) -> Option<(usize, Vec<(usize, usize)>)> {
        let link = first + 2 + 12 * usize::from(self.short(first)?);
        let second = self.long(link).filter(|at| *at > 0)?;
        let parts = [(THUMBNAIL, THUMBNAIL_BYTES), (STRIPS, STRIP_BYTES)];
        let parts =
            parts.map(|(at, bytes)| Some((self.value(second, at)?, self.value(second, bytes)?)));
        let directory = self.short(second).map(|n| (second, 2 + 12 * usize::from(n) + 4));
        let parts = parts.into_iter().flatten().chain(directory);
        let ends = parts.map(|(at, n)| (at, at.saturating_add(n).min(self.bytes.len())));
        // Not over what is kept: header and first directory.
        let mut parts: Vec<_> = ends.filter(|(at, end)| *at >= link + 4 && at < end).collect();
        parts.sort_unstable();
        Some((link, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its place, its entries (tag, kind, a single value), and where the next one is.
    type Directory<'a> = (u32, &'a [(u16, u16, u32)], u32);

    /// Directories, and what stands at the end.
    fn exif(big: bool, directories: &[Directory<'_>], end: &[u8]) -> Vec<u8> {
        let long = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut out = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        out.extend(long(8));
        for (at, entries, next) in directories {
            assert_eq!(out.len(), *at as usize);
            out.extend(short(entries.len() as u16));
            for (tag, kind, value) in *entries {
                out.extend([short(*tag), short(*kind)].concat());
                out.extend(long(1));
                match kind {
                    3 => out.extend([short(*value as u16), [0; 2]].concat()),
                    _ => out.extend(long(*value)),
                }
            }
            out.extend(long(*next));
        }
        out.extend(end);
        out
    }

    #[test]
    fn the_thumbnail_goes_and_the_size_is_set() {
        for big in [false, true] {
            let first: &[_] = &[(0x112, 3, 6), (EXIF, 4, 38)];
            let own: &[_] = &[(PIXEL_WIDTH, 3, 640), (PIXEL_HEIGHT, 4, 480)];
            let second: &[_] = &[(THUMBNAIL, 4, 98), (THUMBNAIL_BYTES, 4, 9)];
            let mut data =
                exif(big, &[(8, first, 68), (38, own, 0), (68, second, 0)], b"thumbnail");
            make_true(&mut data, 70_000, 7);
            let own: &[_] = &[(PIXEL_WIDTH, 4, 70_000), (PIXEL_HEIGHT, 4, 7)];
            assert_eq!(data, exif(big, &[(8, first, 0), (38, own, 0)], b""));
        }
    }

    #[test]
    fn damaged_data_are_left() {
        let first: &[_] = &[(0x112, 3, 6), (EXIF, 4, 8)];
        let whole = exif(false, &[(8, first, 8)], b"");
        for n in 0..whole.len() {
            let mut cut = whole[..n].to_vec();
            make_true(&mut cut, 1, 1);
        }
        for seed in 0..2000usize {
            let mut bad = whole.clone();
            let at = seed % bad.len();
            bad[at] ^= 1 << (seed % 8);
            make_true(&mut bad, 5, 5);
        }
    }
}
