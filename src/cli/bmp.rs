//! What BMP files say beside their pixels, which `image` neither reads nor writes: the resolution, pixels to the metre, in
//! the header that all but the oldest have, and the profile behind the pixels that the longest header names.

use super::meta::{Resolution, Unit};
use std::io::{self, Read, Seek};

/// Where the header begins, and where in the file the two numbers are.
const HEADER: usize = 14;
const PLACE: usize = 38;

/// What a file says. The source is left at its start.
pub fn resolution(source: &mut (impl Read + Seek)) -> io::Result<Option<Resolution>> {
    let mut head = Vec::new();
    source.by_ref().take(PLACE as u64 + 8).read_to_end(&mut head)?;
    source.rewind()?;
    let number = |at: usize| {
        let bytes = head.get(at..)?.first_chunk()?;
        u32::try_from(i32::from_le_bytes(*bytes)).ok().filter(|n| *n > 0)
    };
    // The oldest header has 12 bytes, and pixels behind it.
    let long = number(HEADER).is_some_and(|length| length >= 40);
    let numbers = number(PLACE).zip(number(PLACE + 4)).filter(|_| long);
    Ok(numbers.map(|(x, y)| Resolution { x: x.into(), y: y.into(), unit: Unit::Metre }))
}

/// The longest header, and where in it the kind of colour space, and the profile's place and length are.
const LONGEST: usize = 124;
const SPACE: usize = 56;
const PROFILE: usize = 112;

/// Longest profile.
const MOST: u32 = 16 << 20;

/// The profile in a file. It is none of a file that is cut off.
pub fn profile(source: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    source.by_ref().take((HEADER + LONGEST) as u64).read_to_end(&mut head)?;
    let number = |at: usize| Some(u32::from_le_bytes(*head.get(HEADER + at..)?.first_chunk()?));
    let embedded = number(0) == Some(LONGEST as u32) && number(SPACE) == Some(0x4d42_4544);
    let place = number(PROFILE).zip(number(PROFILE + 4));
    let Some((at, length)) = place.filter(|(_, length)| embedded && (1..=MOST).contains(length))
    else {
        return Ok(None);
    };
    source.seek(io::SeekFrom::Start(HEADER as u64 + u64::from(at)))?;
    let mut profile = Vec::new();
    source.by_ref().take(length.into()).read_to_end(&mut profile)?;
    Ok((profile.len() == length as usize).then_some(profile))
}

/// Puts a resolution into a file that was written here.
pub fn put(resolution: Resolution, file: &mut [u8]) {
    let scale = match resolution.unit {
        Unit::Metre => 1.0,
        Unit::Inch => 1.0 / 0.0254,
        // There is no place for the shape of a pixel alone.
        Unit::None => return,
    };
    let number = |v: f64| (v * scale).round().clamp(1.0, i32::MAX.into()) as i32;
    let numbers = [number(resolution.x), number(resolution.y)].map(i32::to_le_bytes).concat();
    if let Some(place) = file.get_mut(PLACE..PLACE + 8) {
        place.copy_from_slice(&numbers);
    }
}
