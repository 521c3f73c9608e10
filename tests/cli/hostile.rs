//! Hostile files: cut off everywhere, with flipped bits, with headers that claim absurd sizes, with
//! directories that point at themselves. Each is refused with one line, or read; in bounded time,
//! and without a panic. They are filtered as folders, so this is also a test of those.

use super::readers::folder;
use super::{Place, Run, png_header, scene};
use image::DynamicImage;
use std::time::{Duration, Instant};

const EXTENSIONS: [&str; 11] =
    ["png", "jpg", "webp", "tiff", "bmp", "gif", "ppm", "qoi", "tga", "hdr", "exr"];

/// Far more than any of these takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A small picture in each format.
fn good(extension: &str) -> Vec<u8> {
    let place = Place::new();
    let name = format!("good.{extension}");
    let picture = DynamicImage::from(scene(11, 7));
    match extension {
        "hdr" | "exr" => place.save(&name, picture.to_rgb32f()),
        _ => place.save(&name, picture),
    }
    place.bytes(&name)
}

/// Filters all files of the folder `bad`, and says for each its code, 0 if it was read.
fn filter_all(place: &Place, flags: &[&str]) -> Vec<(String, u64)> {
    let start = Instant::now();
    let args = ["-r", "bad", "-k", "box", "--json", "--explain", "-q"];
    let run = Run::of(place.command().args(args).args(flags));
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    assert!(!run.stderr.contains("internal error"), "{}", run.stderr);
    let lines = run.json_lines();
    let failed = lines.iter().filter(|l| l["status"] == "failed").count();
    let said = run.stderr.lines().count();
    assert_eq!(said, failed + usize::from(failed > 0), "not one line each: {}", run.stderr);
    lines
        .iter()
        .map(|line| {
            let path = line["input"]["path"].as_str().unwrap().to_owned();
            (path, line["code"].as_u64().unwrap_or(0))
        })
        .collect()
}

#[test]
fn files_cut_off_everywhere_are_refused() {
    for extension in EXTENSIONS {
        let place = Place::new();
        place.folder("bad");
        let good = good(extension);
        // Formats with an end that is not needed for the pixels are read without it.
        for length in (0..good.len() - 4).step_by(1 + good.len() / 160) {
            place.write(&format!("bad/{length}.{extension}"), &good[..length]);
        }
        for (path, code) in filter_all(&place, &[]) {
            let length: usize =
                path.trim_start_matches("bad/").split('.').next().unwrap().parse().unwrap();
            if code == 0 {
                // Metadata, a trailer and the last bytes of compressed data may be missing.
                let most = good.len() - good.len() / 8;
                assert!(length >= most.min(good.len() - 24), "{path} of {} was read", good.len());
            } else {
                assert!(matches!(code, 3 | 4), "{path}: {code}");
            }
        }
    }
}

#[test]
fn files_with_flipped_bits_are_read_or_refused() {
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for extension in EXTENSIONS {
        let place = Place::new();
        place.folder("bad");
        let good = good(extension);
        for i in 0..150 {
            let mut bytes = good.clone();
            // Headers are where it hurts most.
            let reach = if i % 2 == 0 { bytes.len() } else { bytes.len().min(64) };
            for _ in 0..1 + i % 3 {
                let at = random();
                bytes[at as usize % reach] ^= 1 << (at >> 60 & 7);
            }
            place.write(&format!("bad/{i}.{extension}"), bytes);
        }
        let codes = filter_all(&place, &["--max-pixels", "1000000", "--first-frame"]);
        assert_eq!(codes.len(), 150);
        for (path, code) in codes {
            assert!(matches!(code, 0 | 3 | 4), "{path}: {code}");
        }
    }
}

#[test]
fn unusual_files_with_flipped_bits_are_read_or_refused() {
    let place = Place::new();
    place.folder("bad");
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut count = 0;
    for entry in std::fs::read_dir(folder().join("formats")).unwrap() {
        let path = entry.unwrap().path();
        let good = std::fs::read(&path).unwrap();
        for i in 0..12 {
            let mut bytes = good.clone();
            let reach = if i % 2 == 0 { bytes.len() } else { bytes.len().min(400) };
            for _ in 0..1 + i % 3 {
                let at = random();
                let byte = &mut bytes[at as usize % reach];
                *byte = [0, 255, 127, *byte ^ (1 << (at >> 60 & 7))][(at >> 56 & 3) as usize];
            }
            if i % 4 == 3 {
                bytes.truncate(1 + random() as usize % good.len());
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            place.write(&format!("bad/{i}-{name}"), bytes);
            count += 1;
        }
    }
    let codes = filter_all(&place, &["--max-pixels", "1000000", "--first-frame"]);
    assert_eq!(codes.len(), count);
    for (path, code) in codes {
        assert!(matches!(code, 0 | 3 | 4), "{path}: {code}");
    }
}

/// A little-endian TIFF: its directory of (tag, type, count, value), and where the next one is.
fn tiff(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    out.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend(next.to_le_bytes());
    out
}

/// The directory of a grey image of 8 bits in one strip.
fn tiff_of(width: u32, height: u32, next: u32) -> Vec<u8> {
    let entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, 4),
    ];
    tiff(&entries, next)
}

/// An OpenEXR header whose windows claim a size.
fn exr_of(side: i32) -> Vec<u8> {
    let good = good("exr");
    let mut out = good.clone();
    for name in [&b"dataWindow\0box2i\0"[..], b"displayWindow\0box2i\0"] {
        let at = good.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4;
        out[at + 8..at + 12].copy_from_slice(&(side - 1).to_le_bytes());
        out[at + 12..at + 16].copy_from_slice(&(side - 1).to_le_bytes());
    }
    out
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_allocated() {
    let place = Place::new();
    place.folder("bad");
    let most = 0x7fff_ffff;
    place.write("bad/a.png", png_header(most, most));
    place.write("bad/b.tiff", tiff_of(most, most, 0));
    place.write("bad/c.tiff", tiff_of(u32::MAX, u32::MAX, 0));
    place.write("bad/d.exr", exr_of(most as i32 / 2));
    let mut gif = b"GIF89a\xff\xff\xff\xff\0\0\0".to_vec();
    gif.extend(b",\0\0\0\0\xff\xff\xff\xff\0\x02\x01\x44\0;");
    place.write("bad/e.gif", gif);
    let mut bmp = good("bmp");
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    place.write("bad/f.bmp", bmp);
    let mut qoi = good("qoi");
    qoi[4..12].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    place.write("bad/g.qoi", qoi);
    place.write("bad/h.ppm", "P6\n2147483647 2147483647\n255\n");
    place.write("bad/i.hdr", "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2147483647 +X 2147483647\n");
    let mut tga = good("tga");
    tga[12..16].copy_from_slice(&[0xff; 4]);
    place.write("bad/j.tga", tga);
    let codes = filter_all(&place, &[]);
    assert_eq!(codes.len(), 10);
    for (path, code) in codes {
        assert!(matches!(code, 3 | 4), "{path}: {code}");
    }
    // Memory that is not there is refused too, not asked for.
    place.fails(4, "a.png", &["bad/a.png", "-k", "box", "--max-pixels", "99999999999999999"]);
}

#[test]
fn directories_that_point_at_themselves_end() {
    let place = Place::new();
    place.folder("bad");
    // The next directory is the first one; and one whose sub-directories and strips are itself.
    place.write("bad/cycle.tiff", tiff_of(2, 2, 8));
    let mut entries = vec![(256, 4, 1, 2), (257, 4, 1, 2), (330, 4, 1, 8), (34665, 4, 1, 8)];
    entries.push((273, 4, 1, 8));
    place.write("bad/self.tiff", tiff(&entries, 8));
    place.write("bad/many.tiff", tiff(&[(256, 4, u32::MAX, 8), (257, 4, u32::MAX, 8)], 8));
    for (path, code) in filter_all(&place, &[]) {
        assert!(matches!(code, 0 | 3 | 4), "{path}: {code}");
    }
}

#[test]
fn a_text_without_an_end_is_one_line() {
    let place = Place::new();
    // Tables of JPEG as a text: the decoder would print of itself what it thinks of that.
    let mut entries = vec![(256, 4, 1, 2), (257, 4, 1, 2), (258, 3, 1, 8), (259, 3, 1, 7)];
    entries.extend([(262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 4), (347, 2, 0x7fff_ffff, 8)]);
    place.write("text.tiff", tiff(&entries, 0));
    let run = place.fails(3, "no end", &["text.tiff", "-k", "box"]);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}
