//! JPEG files of all kinds are read as libjpeg reads them, to the last bit, or refused.

use super::{Place, crc32, scene};
use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling, compress_12bit, compress_lossless};
use std::io::Read;

/// Every mix of sampling factors 1, 2 and 4, with scans of all kinds, made by cjpeg, and what djpeg makes of
/// them: `files/jpeg/generate.py`.
#[test]
fn every_sampling_is_read_as_by_libjpeg() {
    let packed = include_bytes!("../files/jpeg/samplings.bin.gz");
    let mut data = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut data).unwrap();
    let (place, mut rest, mut all) = (Place::new(), data.as_slice(), Vec::new());
    place.folder("in");
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let head: serde_json::Value = serde_json::from_slice(&rest[..end]).unwrap();
        let (file, after) = rest[end + 1..].split_at(head["bytes"].as_u64().unwrap() as usize);
        place.write(&format!("in/{}.jpg", all.len()), file);
        all.push((head["name"].as_str().unwrap().to_owned(), head["crc"].as_u64().unwrap()));
        rest = after;
    }
    assert_eq!(all.len(), 729);
    let run = place.ok(&["-r", "in", "-k", "identity", "--format", "pnm", "--out-dir", "out"]);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    for (i, (name, crc)) in all.iter().enumerate() {
        let got = place.bytes(&format!("out/{i}.pnm"));
        assert_eq!(u64::from(crc32(&got)), *crc, "{name}");
    }
}

/// The same picture by each process.
fn kinds() -> [(&'static str, Vec<u8>); 5] {
    let picture = scene(40, 33);
    let encoder = || Encoder::new(picture.as_raw(), 40, 33, PixelFormat::Rgb).quality(90);
    [
        ("plain", encoder().encode().unwrap()),
        ("halved", encoder().subsampling(Subsampling::S420).encode().unwrap()),
        ("progressive", encoder().progressive(true).encode().unwrap()),
        ("restart", encoder().restart_blocks(2).encode().unwrap()),
        ("optimized", encoder().optimize_huffman(true).encode().unwrap()),
    ]
}

/// Where entropy-coded data begin and end. Those of one more bit for each mean are no codes, and may lack.
fn scans(file: &[u8]) -> Vec<(usize, usize)> {
    let starts = file.windows(2).enumerate().filter(|(_, w)| *w == [0xff, 0xda]);
    let of = |at: usize| {
        let start = at + 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        let mut ends = (start..).filter(|i| file[*i] == 0xff);
        (start, ends.find(|i| !matches!(file[i + 1], 0 | 0xd0..=0xd7)).unwrap())
    };
    let all = starts.map(|(at, _)| of(at));
    all.filter(|(start, _)| !file[..*start].ends_with(&[0, 0, 0x10])).collect()
}

#[test]
fn a_file_cut_inside_a_scan_is_refused() {
    for (name, file) in kinds() {
        let place = Place::new();
        place.folder("in");
        let mut cuts = 0;
        for (start, end) in scans(&file) {
            // The last bytes may be padding.
            for length in (start..end.saturating_sub(4)).step_by(17) {
                if file[length - 1] != 0xff {
                    let cut = [&file[..length], &[0xff, 0xd9]].concat();
                    place.write(&format!("in/{length}.jpg"), cut);
                    cuts += 1;
                }
            }
        }
        let run = place.filter(&["-r", "in", "-k", "box", "--out-dir", "out"]);
        assert_eq!(run.code, 3, "{name}: {}", run.stderr);
        let refused = run.stderr.lines().filter(|l| l.contains("cut off or damaged")).count();
        assert_eq!(refused, cuts, "{name}: {}", run.stderr);
        assert!(cuts > 20);
        // The whole file is read.
        place.write("whole.jpg", &file);
        place.ok(&["whole.jpg", "-k", "box"]);
    }
}

#[test]
fn an_interval_that_ends_too_early_is_refused() {
    let place = Place::new();
    let [.., (_, file), _] = kinds();
    let marks: Vec<_> = (0..file.len() - 1)
        .filter(|i| file[*i] == 0xff && (0xd0..=0xd7).contains(&file[i + 1]))
        .collect();
    assert!(marks.len() > 3);
    // Some bytes before the second marker are missing.
    let cut = [&file[..marks[1] - 5], &file[marks[1]..]].concat();
    place.write("cut.jpg", cut);
    place.fails(3, "cut off or damaged", &["cut.jpg", "-k", "box"]);
}

#[test]
fn data_that_end_too_late_are_refused() {
    let place = Place::new();
    let with = |file: &[u8], at: usize, more: &[u8]| [&file[..at], more, &file[at..]].concat();
    for (name, file) in kinds() {
        for (_, end) in scans(&file) {
            place.write("more.jpg", with(&file, end, &[0x25, 0x31, 0x77]));
            let run = place.filter(&["more.jpg", "-k", "box"]);
            assert_eq!(run.code, 3, "{name}: {}", run.stderr);
            assert!(run.stderr.contains("cut off or damaged"), "{name}: {}", run.stderr);
            // Some programs pad what they write, and markers may have fill bytes before them.
            for padding in [&[0, 0, 0][..], &[0xff, 0, 0xff, 0], &[0xff, 0xff]] {
                place.write("padded.jpg", with(&file, end, padding));
                place.ok(&["padded.jpg", "-k", "box", "-o", "padded.png"]);
            }
        }
    }
    // A scan whose marker is not one any more.
    let [.., (_, file), _, _] = kinds();
    let marks: Vec<_> =
        (0..file.len() - 1).filter(|i| file[*i..].starts_with(&[0xff, 0xda])).collect();
    assert!(marks.len() > 3);
    for at in &marks[1..] {
        let mut lost = file.clone();
        lost[*at] = 0xbf;
        place.write("lost.jpg", lost);
        place.fails(3, "cut off or damaged", &["lost.jpg", "-k", "box"]);
    }
}

/// Most wrong bits change how many codes there are; none may change the picture without a word where they do.
#[test]
fn wrong_bits_are_seen_where_the_decoder_loses_its_place() {
    let place = Place::new();
    place.folder("in");
    let [(_, file), ..] = kinds();
    let (start, end) = scans(&file)[0];
    let mut count = 0;
    for at in (start..end - 2).step_by(3) {
        let mut wrong = file.clone();
        wrong[at] ^= 1 << (at % 8);
        if wrong[at] != 0xff && file[at] != 0xff && wrong[at - 1] != 0xff {
            place.write(&format!("in/{at}.jpg"), wrong);
            count += 1;
        }
    }
    let run = place.filter(&["-r", "in", "-k", "identity", "--out-dir", "out"]);
    let refused = run.stderr.lines().filter(|l| l.contains("cut off or damaged")).count();
    // djpeg warns of as many.
    assert!(refused * 8 > count && refused < count, "{refused} of {count}");
}

#[test]
fn what_is_not_read_is_named() {
    let place = Place::new();
    let twelve = compress_12bit(&[2000; 256], 16, 16, 1, 95, Subsampling::S444).unwrap();
    place.write("twelve.jpg", twelve);
    place.fails(3, "12 bits", &["twelve.jpg", "-k", "identity", "-o", "p.png"]);
    let lossless = compress_lossless(&[9; 256], 16, 16, PixelFormat::Grayscale).unwrap();
    place.write("lossless.jpg", lossless);
    place.fails(3, "lossless coding", &["lossless.jpg", "-k", "identity", "-o", "p.png"]);
}

#[test]
fn inks_are_made_colours_and_that_is_said() {
    let place = Place::new();
    let pixels = [255, 0, 0, 255].repeat(256);
    let cmyk = Encoder::new(&pixels, 16, 16, PixelFormat::Cmyk).encode().unwrap();
    place.write("cmyk.jpg", cmyk);
    let run = place.ok(&["cmyk.jpg", "-k", "identity", "-o", "o.png"]);
    assert!(run.stderr.contains("not kept: CMYK"), "{}", run.stderr);
    place.fails(5, "CMYK", &["cmyk.jpg", "-k", "identity", "--in-place"]);
    place.fails(3, "CMYK", &["cmyk.jpg", "-k", "identity", "--strict"]);
}
