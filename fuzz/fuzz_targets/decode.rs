//! Any bytes as an image file: the program's own way from a file to pixels, with its limits. It must
//! not crash, hang, or allocate much more than it said it would.

#![no_main]

#[allow(dead_code)]
#[path = "../../src/cli"]
mod cli {
    pub mod animation;
    pub mod deflate;
    pub mod exif;
    pub mod failure;
    pub mod tiff;
    pub mod format;
    pub mod input;
    pub mod jpeg;
    pub mod lost;
    pub mod meta;
    pub mod pixels;
    pub mod png;
    pub mod webp;
}

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

/// Small, so that a bomb shows as memory.
const MAX_PIXELS: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let source = Box::new(Cursor::new(data.to_vec()));
    let Ok(opened) = cli::input::read(source, "input".to_owned(), MAX_PIXELS, data.len() % 2 == 0)
    else {
        return;
    };
    assert!(opened.bytes <= MAX_PIXELS * 16);
    let bytes = opened.bytes;
    if let Ok(cli::input::Decoded { image, .. }) = opened.decode() {
        assert_eq!(image.as_bytes().len() as u64, bytes);
        let pixels = cli::pixels::pixels(&image).expect("what is decoded can be filtered");
        assert!(pixels.shape().samples().is_ok());
    }
});
