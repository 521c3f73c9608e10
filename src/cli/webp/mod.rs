//! WebP files: whether one has lost something in its compression, the frames of animations, and how they are written.
//! Their chunks are told in <https://developers.google.com/speed/webp/docs/riff_container>.

mod read;
mod write;

pub use read::Frames;
pub use write::{animation, webp};

use std::io::{self, Read, Seek};

/// Whether the pixels are compressed with loss. The source is left at its start.
pub fn is_lossy(source: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut lossy = || -> io::Result<bool> {
        source.seek_relative(12)?;
        loop {
            let mut head = [0; 8];
            source.read_exact(&mut head)?;
            let [kind @ .., l0, l1, l2, l3] = head;
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            match &kind {
                b"VP8 " => return Ok(true),
                // A frame is chunks itself, behind 16 bytes.
                b"ANMF" => source.seek_relative(16)?,
                _ => source.seek_relative(i64::from(length) + i64::from(length & 1))?,
            }
        }
    };
    let lossy = lossy().unwrap_or(false);
    source.rewind()?;
    Ok(lossy)
}
