//! Faithful files: colour profile, Exif data and orientation, palettes, animations, and how hard
//! encoders work.

use super::{Place, png_chunk, png_file, scene};
use image::codecs::{gif, png};
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageReader};

/// A TIFF directory with one entry, orientation 6: turn by 90° to see it upright.
const EXIF: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

fn profile() -> Vec<u8> {
    let mut profile = vec![7u8; 132];
    profile[16..20].copy_from_slice(b"RGB ");
    profile
}

/// `tagged.png`: a picture with a profile and an orientation.
fn tagged() -> Place {
    let place = Place::new();
    let mut file = Vec::new();
    let mut encoder = png::PngEncoder::new(&mut file);
    encoder.set_icc_profile(profile()).unwrap();
    encoder.set_exif_metadata(EXIF.to_vec()).unwrap();
    encoder.write_image(&scene(8, 5), 8, 5, image::ExtendedColorType::Rgb8).unwrap();
    place.write("tagged.png", file);
    place
}

/// Profile, Exif data and orientation's tag of a file.
fn meta(place: &Place, name: &str) -> (Option<Vec<u8>>, Option<Vec<u8>>, u8) {
    let mut decoder = ImageReader::open(place.path(name)).unwrap().into_decoder().unwrap();
    let orientation = decoder.orientation().unwrap().to_exif();
    (decoder.icc_profile().unwrap(), decoder.exif_metadata().unwrap(), orientation)
}

#[test]
fn profile_and_exif_stay() {
    let place = tagged();
    for name in ["o.png", "o.jpg", "o.webp"] {
        place.ok(&["tagged.png", "-k", "identity", "-o", name]);
        assert_eq!(meta(&place, name), (Some(profile()), Some(EXIF.to_vec()), 6), "{name}");
        assert_eq!((place.open(name).width(), place.open(name).height()), (8, 5));
        // And from there to the next.
        place.ok(&[name, "-k", "box", "-o", "next.png"]);
        assert_eq!(meta(&place, "next.png"), (Some(profile()), Some(EXIF.to_vec()), 6), "{name}");
    }
    place.ok(&["tagged.png", "-k", "identity", "-o", "o.tiff"]);
    place.ok(&["o.tiff", "-k", "box", "-o", "next.png"]);
    let (icc, exif, orientation) = meta(&place, "next.png");
    assert_eq!((icc, exif.is_some(), orientation), (Some(profile()), true, 6));
    assert_eq!((place.open("o.tiff").width(), place.open("next.png").width()), (8, 8));
    // A grey result has no use for a profile of colours, and a long profile takes several parts.
    let mut long = vec![9u8; 150_000];
    long[16..20].copy_from_slice(b"RGB ");
    let mut file = Vec::new();
    let mut encoder = png::PngEncoder::new(&mut file);
    encoder.set_icc_profile(long.clone()).unwrap();
    encoder.write_image(&scene(8, 5), 8, 5, image::ExtendedColorType::Rgb8).unwrap();
    place.write("long.png", file);
    place.ok(&["long.png", "-k", "box", "-o", "long.jpg"]);
    assert_eq!(meta(&place, "long.jpg").0, Some(long));
}

#[test]
fn pictures_are_filtered_as_stored_or_upright() {
    let place = tagged();
    let upright = DynamicImage::from(scene(8, 5)).rotate90();
    place.ok(&["tagged.png", "-k", "identity"]);
    assert_eq!(place.open("tagged.identity.png"), scene(8, 5).into());
    place.ok(&["tagged.png", "-k", "identity", "--auto-orient", "-o", "up.png"]);
    assert_eq!(place.open("up.png"), upright);
    let (icc, exif, orientation) = meta(&place, "up.png");
    assert_eq!((icc, orientation), (Some(profile()), 1));
    assert_eq!(exif.unwrap().len(), EXIF.len(), "only the tag is reset");
    // Where the tag cannot stay, the picture is turned; it never lies on its side.
    for name in ["o.bmp", "o.qoi", "o.ppm"] {
        place.ok(&["tagged.png", "-k", "identity", "-o", name]);
        assert_eq!(place.open(name), upright, "{name}");
    }
}

#[test]
fn strip_leaves_nothing_but_pixels() {
    let place = tagged();
    for name in ["o.png", "o.jpg", "o.webp"] {
        place.ok(&["tagged.png", "-k", "identity", "--strip", "-o", name]);
        assert_eq!(meta(&place, name), (None, None, 1), "{name}");
        assert_eq!((place.open(name).width(), place.open(name).height()), (5, 8), "{name}");
    }
}

/// A picture with so many bytes of Exif data and of profile.
fn long(place: &Place, name: &str, exif: usize, profile: usize) {
    let mut file = Vec::new();
    let mut encoder = png::PngEncoder::new(&mut file);
    if exif > 0 {
        let mut data = EXIF.to_vec();
        data.resize(exif, 0);
        encoder.set_exif_metadata(data).unwrap();
    }
    if profile > 0 {
        let mut data = vec![7u8; profile];
        data[16..20].copy_from_slice(b"RGB ");
        encoder.set_icc_profile(data).unwrap();
    }
    encoder.write_image(&scene(8, 5), 8, 5, image::ExtendedColorType::Rgb8).unwrap();
    place.write(name, file);
}

#[test]
fn what_is_too_long_for_a_format_is_an_error() {
    let place = Place::new();
    // A JPEG segment has 65,535 bytes with its length and a signature of six; 255 of them hold a
    // profile, each behind 14 bytes of its own.
    let (exif, profile) = (65_527, 255 * 65_519);
    long(&place, "exif.png", exif, 0);
    long(&place, "exif+.png", exif + 1, 0);
    long(&place, "profile.png", 0, profile);
    long(&place, "profile+.png", 0, profile + 1);
    place.fails(5, "the Exif data is too long", &["exif+.png", "-k", "box", "-o", "o.jpg"]);
    place.fails(5, "--strip", &["exif+.png", "-k", "box", "-o", "o.jpg"]);
    place.fails(5, "the colour profile is too long", &["profile+.png", "-k", "box", "-o", "o.jpg"]);
    place.ok(&["exif.png", "-k", "box", "-o", "o.jpg"]);
    assert_eq!(meta(&place, "o.jpg"), meta(&place, "exif.png"));
    place.ok(&["profile.png", "-k", "box", "-o", "o.jpg"]);
    let expected = meta(&place, "profile.png");
    // All 255 parts; the decoder of `image`, which `meta` reads with, leaves the profile out then.
    place.ok(&["o.jpg", "-k", "box", "-o", "back.png"]);
    assert!(meta(&place, "back.png") == expected);
    for name in ["exif+.png", "profile+.png"] {
        // It is there, and in the formats that have no such limit it stays.
        for to in ["o.png", "o.webp"] {
            place.ok(&[name, "-k", "box", "-o", to, "--force"]);
            assert!(meta(&place, to) == meta(&place, name), "{name} to {to}");
        }
        place.ok(&[name, "-k", "box", "-o", "o.jpg", "--strip", "--force"]);
        assert_eq!(meta(&place, "o.jpg"), (None, None, 1));
        assert_eq!(place.open("o.jpg").width(), 8 - 3 * u32::from(name == "exif+.png"));
    }
}

#[test]
fn quality_and_compression() {
    let place = Place::new();
    place.save("input.png", scene(200, 150));
    let size = |flags: &[&str], name: &str| {
        place.ok(&[&["input.png", "-k", "identity", "-o", name], flags].concat());
        place.bytes(name).len()
    };
    let sizes = ["10", "50", "90", "100"].map(|q| size(&["--quality", q], "o.jpg"));
    assert!(sizes.is_sorted() && sizes[0] * 3 < sizes[3], "{sizes:?}");
    let sizes = ["best", "default", "none"].map(|c| size(&["--compression", c], "o.png"));
    assert!(sizes.is_sorted() && sizes[2] > 200 * 150 * 3, "{sizes:?}");
    for compression in ["none", "fast", "default", "best"] {
        size(&["--compression", compression], "o.png");
        assert_eq!(place.open("o.png"), place.open("input.png"), "{compression}");
    }
    place.fails(2, "--quality", &["input.png", "-k", "box", "--quality", "0"]);
    place.fails(2, "--quality", &["input.png", "-k", "box", "--quality", "101"]);
}

#[test]
fn jpegs_are_close_to_the_pixels() {
    let place = Place::new();
    for (width, height) in [(64, 48), (1, 1), (7, 9), (17, 16), (250, 3)] {
        let ramp = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 2) as u8, (y * 3) as u8, 90])
        });
        place.save("ramp.png", ramp.clone());
        place.save("grey.png", DynamicImage::from(ramp).to_luma8());
        for name in ["ramp.png", "grey.png"] {
            place.ok(&[name, "-k", "identity", "-o", "o.jpg", "--quality", "95"]);
            let (from, to) = (place.open(name), place.open("o.jpg"));
            assert_eq!(from.color(), to.color(), "{name}");
            let pairs = from.as_bytes().iter().zip(to.as_bytes());
            assert!({ pairs }.all(|(a, b)| a.abs_diff(*b) < 16), "{name} {width}×{height}");
        }
    }
}

#[test]
fn palettes_are_read_as_colours() {
    let place = Place::new();
    // Two rows of two pixels in one uncompressed block; each row begins with its filter, none.
    let rows = [0u8, 0, 1, 0, 2, 0];
    let (a, b) = rows.iter().fold((1u32, 0u32), |(a, b), r| {
        let a = a + u32::from(*r);
        (a, b + a)
    });
    let sums = (b << 16 | a).to_be_bytes();
    let zlib = [&[0x78, 0x01, 0x01, 6, 0, !6, 0xff][..], &rows, &sums].concat();
    let colours = [[255, 0, 0], [0, 255, 0], [9, 8, 7]].concat();
    let file = png_file(2, 2, [8, 3], &[(b"PLTE", &colours), (b"IDAT", &zlib)]);
    place.write("palette.png", file);
    place.ok(&["palette.png", "-k", "identity", "-o", "o.png"]);
    let out = place.open("o.png").into_rgb8();
    assert_eq!(out.as_raw()[..], [255, 0, 0, 0, 255, 0, 9, 8, 7, 255, 0, 0]);
}

#[test]
fn animations_are_not_cut_to_one_frame_silently() {
    let place = Place::new();
    let frame = |v: u8| image::RgbaImage::from_pixel(6, 4, image::Rgba([v, v, v, 255]));
    let mut file = Vec::new();
    let mut encoder = gif::GifEncoder::new(&mut file);
    encoder.encode_frames([image::Frame::new(frame(9)), image::Frame::new(frame(99))]).unwrap();
    drop(encoder);
    place.write("moving.gif", file);
    place.save("still.gif", DynamicImage::from(frame(50)));

    // An animation in PNG: two frames are announced before the pixels.
    place.save("still.png", scene(6, 4));
    let still = place.bytes("still.png");
    let announce = |frames: u32| {
        let body = [frames.to_be_bytes(), 0u32.to_be_bytes()].concat();
        [&still[..33], &png_chunk(b"acTL", &body), &still[33..]].concat()
    };
    place.write("moving.png", announce(2));
    place.write("one.png", announce(1));

    // In WebP: a chunk of flags and size, one of the animation, and one for each frame.
    place.save("still.webp", scene(6, 4));
    let pixels = place.bytes("still.webp")[12..].to_vec();
    let chunk =
        |kind: &[u8], body: &[u8]| [kind, &(body.len() as u32).to_le_bytes(), body].concat();
    let size = [5, 0, 0, 3, 0, 0];
    let one = [&[0; 6][..], &size, &[10, 0, 0, 0], &pixels].concat();
    let parts = [
        chunk(b"VP8X", &[&[2, 0, 0, 0][..], &size].concat()),
        chunk(b"ANIM", &[0; 6]),
        chunk(b"ANMF", &one),
        chunk(b"ANMF", &one),
    ]
    .concat();
    place.write("moving.webp", chunk(b"RIFF", &[b"WEBP", &parts[..]].concat()));

    for name in ["moving.gif", "moving.png", "moving.webp"] {
        // In formats that have frames they are filtered; this PNG file has fewer than it says.
        if name == "moving.png" {
            place.fails(3, name, &[name, "-k", "box"]);
        }
        place.fails(3, "animated", &[name, "-k", "box", "-o", "o.bmp"]);
        place.fails(3, "--first-frame", &[name, "-k", "box", "-o", "o.bmp"]);
        place.ok(&[name, "-k", "identity", "--first-frame", "-o", "first.bmp"]);
        assert_eq!(place.open("first.bmp").width(), 6);
    }
    // Pages of a TIFF: the first directory's link leads to a copy of it, or of a smaller version.
    place.save("still.tiff", scene(6, 4));
    let still = place.bytes("still.tiff");
    let number = |at: usize| u32::from_le_bytes(still[at..at + 4].try_into().unwrap()) as usize;
    let first = number(4);
    let entries = usize::from(u16::from_le_bytes([still[first], still[first + 1]]));
    let link = first + 2 + 12 * entries;
    let mut pages = still.clone();
    pages[link..link + 4].copy_from_slice(&(still.len() as u32).to_le_bytes());
    let directory = &still[first + 2..link];
    let count = |n: usize| (n as u16).to_le_bytes().to_vec();
    let moving = [&pages[..], &count(entries), directory, &[0; 4]].concat();
    place.write("moving.tiff", moving);
    let smaller = [254u16.to_le_bytes(), 4u16.to_le_bytes()].concat();
    let smaller = [&smaller[..], &[1, 0, 0, 0, 1, 0, 0, 0]].concat();
    let thumbnail = [&pages[..], &count(entries + 1), &smaller, directory, &[0; 4]].concat();
    place.write("thumbnail.tiff", thumbnail);
    place.fails(3, "several pages", &["moving.tiff", "-k", "box", "-o", "o.png"]);
    place.ok(&["moving.tiff", "-k", "box", "--first-frame", "-o", "o.png"]);

    for name in ["still.gif", "still.png", "still.tiff", "thumbnail.tiff", "still.webp", "one.png"]
    {
        place.ok(&[name, "-k", "box", "-o", "o.png"]);
    }
}

#[test]
fn a_format_that_cannot_hold_the_result_names_those_that_can() {
    let place = Place::with_input();
    place.fails(2, "TIFF, HDR, EXR", &["input.png", "-k", "box", "--depth", "f32"]);
    let args = ["input.png", "-k", "box", "--depth", "16", "-o", "o.jpg"];
    place.fails(2, "PNG, TIFF, PNM", &args);
}
