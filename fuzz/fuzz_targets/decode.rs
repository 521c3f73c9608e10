//! Any bytes as an image file: the program's own way from a file to pixels, with its limits. It must
//! not crash, hang, or allocate much more than it said it would.

#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../src/cli/mod.rs"]
mod cli;

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

/// Small, so that a bomb shows as memory.
const MAX_PIXELS: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let source = Box::new(Cursor::new(data.to_vec()));
    let channels = (data.len() % 5 == 0).then_some("Z,spec.R");
    let wanted = cli::source::Wanted { first_frame: data.len() % 2 == 0, channels };
    let Ok(opened) = cli::input::read(source, "input".to_owned(), MAX_PIXELS, wanted)
    else {
        return;
    };
    assert!(opened.bytes <= MAX_PIXELS * 16);
    let (pixels, channels, sample) = (opened.pixels, opened.channels, opened.sample);
    if let Ok(cli::input::Decoded { picture, .. }) = opened.decode(1) {
        let decoded = picture.buffer.pixels();
        let shape = decoded.shape();
        assert_eq!((shape.width * shape.height) as u64, pixels);
        // A fourth byte that is not used is not there.
        assert!(shape.channels == channels || shape.channels + 1 == channels && !picture.alpha);
        assert_eq!(decoded.sample(), sample);
    }
});
