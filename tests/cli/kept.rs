//! What a file says beside its pixels is kept where the result can hold it and it is still true, and named
//! otherwise. The files were made by other tools: `files/meta/generate.py`.

use super::Place;
use image::{ImageDecoder, ImageReader};

macro_rules! file {
    ($place:expr, $name:literal) => {
        $place.write($name, include_bytes!(concat!("../files/meta/", $name)))
    };
}

/// Kinds and data of the chunks of a PNG file.
fn chunks(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut rest, mut out) = (&file[8..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let kind = String::from_utf8(after[..4].to_vec()).unwrap();
        out.push((kind, after[4..4 + length].to_vec()));
        rest = &after[4 + length + 4..];
    }
    out
}

fn chunk(file: &[u8], kind: &str) -> Option<Vec<u8>> {
    chunks(file).into_iter().find(|(k, _)| k == kind).map(|(_, data)| data)
}

/// Markers and data of the segments of a JPEG file before its first scan.
fn segments(file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut at, mut out) = (2, Vec::new());
    while file[at + 1] != 0xda {
        let length = usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        out.push((file[at + 1], file[at + 4..at + 2 + length].to_vec()));
        at += 2 + length;
    }
    out
}

fn segment(file: &[u8], marker: u8, start: &[u8]) -> Option<Vec<u8>> {
    segments(file).into_iter().find(|(m, d)| *m == marker && d.starts_with(start)).map(|(_, d)| d)
}

/// What the program says is lost.
fn lost(place: &Place, args: &[&str]) -> String {
    let run = place.ok(&[args, &["--json"]].concat());
    let names = run.json()["lost"].as_array().cloned().unwrap_or_default();
    names.iter().map(|n| n.as_str().unwrap()).collect::<Vec<_>>().join(", ")
}

#[test]
fn chunks_of_png_stay() {
    let place = Place::new();
    file!(place, "chunks.png");
    for compression in ["fast", "none", "default", "best"] {
        let args = ["chunks.png", "-k", "identity", "-o", "o.png", "--compression", compression];
        assert_eq!(lost(&place, &args), "chunk xxXX");
        let (from, to) = (place.bytes("chunks.png"), place.bytes("o.png"));
        for kind in ["gAMA", "cICP", "pHYs", "bKGD", "tEXt", "zTXt", "iTXt", "vpAg"] {
            assert_eq!(chunk(&to, kind), chunk(&from, kind), "{kind}");
        }
        // Blurred samples have more bits than these said.
        assert_eq!((chunk(&to, "sBIT"), chunk(&to, "xxXX")), (None, None));
        assert_eq!(place.open("o.png"), place.open("chunks.png"));
    }
    // In 16 bits the background is other numbers; a colour is none of a grey picture's.
    place.ok(&["chunks.png", "-k", "box", "--depth", "16", "-o", "deep.png"]);
    let deep = chunk(&place.bytes("deep.png"), "bKGD").unwrap();
    assert_eq!(deep, [255, 255, 128, 128, 1, 1]);
    place.ok(&["chunks.png", "--mix", "luma", "-o", "grey.png"]);
    assert_eq!(chunk(&place.bytes("grey.png"), "bKGD"), None);
    // In another format there is a place for some of it.
    let args = ["chunks.png", "-k", "box", "-o", "o.jpg"];
    assert_eq!(lost(&place, &args), "chunk xxXX, text, colour space, private chunks");
    let jpeg = place.bytes("o.jpg");
    assert_eq!(segment(&jpeg, 0xe0, b"JFIF").unwrap()[7..12], [1, 1, 44, 1, 44], "300 dpi");
    assert!(segment(&jpeg, 0xe1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta").is_some());
    assert_eq!(lost(&place, &["chunks.png", "-k", "box", "-o", "o.png", "--strip"]), "");
    assert_eq!(chunks(&place.bytes("o.png")).iter().filter(|(k, _)| k != "IDAT").count(), 2);
}

#[test]
fn exif_behind_the_pixels_is_seen() {
    let place = Place::new();
    file!(place, "behind.png");
    let kinds: Vec<_> = chunks(&place.bytes("behind.png")).into_iter().map(|(k, _)| k).collect();
    let at = |kind: &str| kinds.iter().position(|k| k == kind);
    assert!(at("eXIf") > at("IDAT"));
    place.ok(&["behind.png", "-k", "identity", "-o", "o.png"]);
    assert!(chunk(&place.bytes("o.png"), "eXIf").is_some());
    place.ok(&["behind.png", "-k", "identity", "--auto-orient", "-o", "up.png"]);
    assert_eq!(place.open("up.png"), place.open("behind.png").rotate90());
}

#[test]
fn linear_pngs_are_linear() {
    let place = Place::new();
    file!(place, "linear.png");
    let blur = ["linear.png", "-k", "gaussian", "--sigma", "2"];
    place.ok(&[&blur[..], &["--linear", "-o", "linear.ppm"]].concat());
    place.ok(&[&blur[..], &["-o", "plain.ppm"]].concat());
    let pairs = [place.open("linear.ppm"), place.open("plain.ppm")];
    let [a, b] = pairs.map(|image| image.into_rgb8().into_raw());
    assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 1));
    // The result says it too.
    place.ok(&[&blur[..], &["--linear", "-o", "o.png"]].concat());
    assert_eq!(chunk(&place.bytes("o.png"), "gAMA"), Some(100_000u32.to_be_bytes().to_vec()));
    assert_eq!(lost(&place, &[&blur[..], &["-o", "o.jpg"]].concat()), "gamma");
}

#[test]
fn a_photograph_keeps_what_it_says() {
    let place = Place::new();
    file!(place, "photo.jpg");
    let photo = place.bytes("photo.jpg");
    assert_eq!(lost(&place, &["photo.jpg", "-k", "box", "-o", "o.jpg"]), "");
    let out = place.bytes("o.jpg");
    for (marker, start) in [(0xe0, &b"JFIF"[..]), (0xe1, b"http://ns.adobe"), (0xfe, b"a comment")]
    {
        assert_eq!(segment(&out, marker, start), segment(&photo, marker, start));
    }
    let iptc = segment(&out, 0xed, b"Photoshop 3.0\08BIM\x04\x04").unwrap();
    assert!(iptc.windows(4).any(|w| w == b"word"));
    // And once more, the same.
    place.ok(&["o.jpg", "-k", "identity", "-o", "again.jpg"]);
    assert_eq!(segments(&place.bytes("again.jpg")), segments(&out));
    // Formats with less room.
    assert_eq!(lost(&place, &["photo.jpg", "-k", "box", "-o", "o.png"]), "IPTC, comment");
    assert_eq!(
        lost(&place, &["photo.jpg", "-k", "box", "-o", "o.webp"]),
        "IPTC, resolution, comment"
    );
    let png = place.bytes("o.png");
    assert_eq!(chunk(&png, "pHYs").unwrap(), [0, 0, 46, 35, 0, 0, 46, 35, 1]);
    assert!(chunk(&png, "iTXt").unwrap().starts_with(b"XML:com.adobe.xmp\0"));
    let mut webp = ImageReader::open(place.path("o.webp")).unwrap().into_decoder().unwrap();
    assert!(webp.xmp_metadata().unwrap().is_some() && webp.exif_metadata().unwrap().is_some());
    place.ok(&["photo.jpg", "-k", "box", "--in-place"]);
}

#[test]
fn the_thumbnail_goes_and_sizes_are_true() {
    let place = Place::new();
    file!(place, "photo.jpg");
    let photo = segment(&place.bytes("photo.jpg"), 0xe1, b"Exif\0\0").unwrap();
    let is_jpeg = |w: &[u8]| w == [0xff, 0xd8, 0xff];
    assert!(photo.windows(3).any(is_jpeg), "there is a thumbnail");
    let size = |exif: &[u8]| {
        [[0xa0, 0x02], [0xa0, 0x03]].map(|tag| {
            let at = exif.windows(2).position(|w| w == tag).unwrap();
            let value = &exif[at + 8..at + 12];
            match exif[at + 3] {
                3 => u32::from(u16::from_be_bytes([value[0], value[1]])),
                _ => u32::from_be_bytes(value.try_into().unwrap()),
            }
        })
    };
    assert_eq!(size(&photo), [48, 32]);
    let cases: [(&[&str], [u32; 2]); 3] = [
        (&[], [48, 32]),
        (&["--border", "valid", "--size", "5"], [44, 28]),
        (&["--auto-orient"], [32, 48]),
    ];
    for (flags, wanted) in cases {
        for name in ["o.jpg", "o.png"] {
            place.ok(&[&["photo.jpg", "-k", "box", "-o", name], flags].concat());
            let mut file = ImageReader::open(place.path(name)).unwrap().into_decoder().unwrap();
            let exif = file.exif_metadata().unwrap().unwrap();
            assert!(!exif.windows(3).any(is_jpeg), "{name}");
            assert_eq!(size(&exif), wanted, "{name}");
            assert!(exif.windows(8).any(|w| w == b"Somebody"));
        }
    }
}

#[test]
fn a_jpeg_is_compressed_as_it_was() {
    let place = Place::new();
    file!(place, "q50.jpg");
    file!(place, "q92.jpg");
    file!(place, "photo.jpg");
    file!(place, "optimized.jpg");
    for name in ["q50.jpg", "q92.jpg", "photo.jpg", "optimized.jpg"] {
        place.ok(&[name, "-k", "identity", "-o", "o.jpg"]);
        let (from, to) = (place.bytes(name), place.bytes("o.jpg"));
        let tables = |file: &[u8]| -> Vec<u8> {
            segments(file).into_iter().filter(|(m, _)| *m == 0xdb).flat_map(|(_, d)| d).collect()
        };
        assert_eq!(tables(&to), tables(&from), "{name}");
        let sampling = |file: &[u8]| -> Vec<u8> {
            let frame =
                segments(file).into_iter().find(|(m, _)| matches!(m, 0xc0..=0xc2)).unwrap().1;
            frame[6..].chunks(3).map(|c| c[1]).collect()
        };
        assert_eq!(sampling(&to), sampling(&from), "{name}");
        // It is nearly the same picture; what is halved again is blurred a little.
        let (a, b) = (place.open(name).into_rgb8(), place.open("o.jpg").into_rgb8());
        let sum: u32 = a.iter().zip(b.iter()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        assert!(f64::from(sum) / (a.len() as f64) < 4.0, "{name}: {sum} of {}", a.len());
        // A quality that is asked for is the one of other files.
        place.ok(&[name, "-k", "identity", "--quality", "92", "-o", "o.jpg"]);
        assert_eq!(tables(&place.bytes("o.jpg")), tables(&place.bytes("q92.jpg")));
    }
    // Grey has no colour to be coarse.
    place.ok(&["q50.jpg", "--mix", "luma", "-o", "grey.jpg"]);
    place.open("grey.jpg");
}

#[test]
fn pictures_behind_the_first_are_not_lost_silently() {
    let place = Place::new();
    file!(place, "two.mpo");
    let two = place.bytes("two.mpo");
    let args = ["two.jpg", "-k", "box", "-o", "o.jpg"];
    place.write("two.jpg", &two);
    assert_eq!(lost(&place, &args), "data behind the picture");
    place.fails(5, "data behind", &["two.jpg", "-k", "box", "--in-place"]);
    // The entries, of 16 bytes, begin with what they are: first the main picture. Here the second one is
    // another view, or a preview.
    let first = two.windows(4).position(|w| w == b"MPF\0").unwrap() + 4 + 50;
    assert_eq!(two[first..first + 4], 0x03_0000u32.to_le_bytes());
    let with = |kind: u32| {
        let mut file = two.clone();
        file[first + 16..first + 20].copy_from_slice(&kind.to_le_bytes());
        file
    };
    place.write("two.jpg", with(0x02_0003));
    place.fails(3, "several pictures", &args);
    place.fails(3, "--first-frame", &args);
    place.ok(&[&args[..], &["--first-frame"]].concat());
    place.write("two.jpg", with(0x01_0001));
    assert_eq!(lost(&place, &args), "");
    // Anything else behind a picture is named; padding is nothing.
    file!(place, "q50.jpg");
    let plain = place.bytes("q50.jpg");
    place.write("two.jpg", [&plain[..], b"a film"].concat());
    assert_eq!(lost(&place, &args), "data behind the picture");
    place.write("two.jpg", [&plain[..], &[0; 9], b"\n"].concat());
    assert_eq!(lost(&place, &args), "");
}

#[test]
fn loss_that_becomes_none_is_named() {
    let place = Place::new();
    file!(place, "lossy.webp");
    let wanted = "lossy compression (made lossless)";
    assert_eq!(lost(&place, &["lossy.webp", "-k", "box", "-o", "o.webp"]), wanted);
    assert_eq!(lost(&place, &["o.webp", "-k", "box", "-o", "again.webp"]), "");
    assert_eq!(lost(&place, &["lossy.webp", "-k", "box", "-o", "o.png"]), "");
    assert!(chunk(&place.bytes("o.png"), "iTXt").is_some(), "XMP");
}

#[test]
fn bmp_files_have_a_resolution() {
    let place = Place::new();
    file!(place, "chunks.png");
    place.ok(&["chunks.png", "-k", "identity", "-o", "o.bmp"]);
    assert_eq!(place.bytes("o.bmp")[38..46], [0x23, 0x2e, 0, 0, 0x23, 0x2e, 0, 0]);
    place.ok(&["o.bmp", "-k", "identity", "-o", "back.png"]);
    assert_eq!(chunk(&place.bytes("back.png"), "pHYs"), chunk(&place.bytes("chunks.png"), "pHYs"));
    assert_eq!(place.open("back.png").into_rgb8(), place.open("chunks.png").into_rgb8());
}
