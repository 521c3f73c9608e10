//! `docs/formats.md` says what each format does with what its input holds; here it is held to that, row by row.

use super::{Place, scene, soft};
use ::tiff::encoder::{TiffEncoder, colortype::RGB8};
use image::DynamicImage;

const TABLE: &str = include_str!("../../docs/formats.md");

/// The rows, cell by cell, by the names of columns.
fn rows() -> Vec<Vec<(&'static str, &'static str)>> {
    let lines = TABLE.lines().filter(|line| line.starts_with('|'));
    let mut cells =
        lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let names = cells.next().unwrap();
    cells.skip(1).map(|row| names.iter().copied().zip(row).collect()).collect()
}

fn cell(row: &[(&str, &'static str)], name: &str) -> &'static str {
    row.iter().find(|(n, _)| *n == name).unwrap().1
}

/// The flag for the first depth of a row, which inputs of 8 bits need where it is another.
fn depth(row: &[(&str, &'static str)]) -> Vec<&'static str> {
    let first = cell(row, "Depths").split(", ").next().unwrap();
    if first == "8" { Vec::new() } else { vec!["--depth", first] }
}

/// A photograph that says all there is to be said.
fn photograph() -> Vec<u8> {
    let photo = include_bytes!("../files/meta/photo.jpg");
    let mut profile = [7u8; 132];
    profile[16..20].copy_from_slice(b"RGB ");
    let segment = [b"ICC_PROFILE\0\x01\x01", &profile[..]].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&photo[..2], &[0xff, 0xe2], &length, &segment, &photo[2..]].concat()
}

#[test]
fn what_is_said_beside_pixels_is_kept_or_named_as_the_table_says() {
    let place = Place::new();
    place.write("all.jpg", photograph());
    let kinds = [
        ("Profile", "colour profile"),
        ("Exif", "Exif"),
        ("XMP", "XMP"),
        ("IPTC", "IPTC"),
        ("Resolution", "resolution"),
    ];
    let lost = |args: &[&str]| -> Vec<String> {
        let run = place.ok(&[args, &["-k", "identity", "--json", "--force"]].concat());
        let lost = run.json()["lost"].as_array().cloned().unwrap_or_default();
        lost.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    for row in rows() {
        let name = format!("o.{}", cell(&row, "Extension"));
        let depth = depth(&row);
        let there = lost(&[&["all.jpg", "-o", &name][..], &depth].concat());
        // What is kept is there if it is there after a way back to a format that holds everything.
        lost(&[&name, "--depth", "8", "-o", "back.jpg"]);
        let back = lost(&["back.jpg", "-o", "back.tga"]);
        for (column, kind) in kinds {
            let (named, returned) =
                (there.iter().any(|n| n == kind), back.iter().any(|n| n == kind));
            let wanted = match cell(&row, column) {
                "kept" => (false, true),
                "named" => (true, false),
                other => panic!("{other:?}"),
            };
            assert_eq!((named, returned), wanted, "{name}: {column}");
        }
    }
}

#[test]
fn alpha_and_depths_are_as_the_table_says() {
    let place = Place::new();
    place.save("alpha.png", soft(20, 9));
    place.save("plain.png", scene(20, 9));
    place.save("deep.png", DynamicImage::from(scene(20, 9)).into_rgb16());
    for row in rows() {
        let name = format!("o.{}", cell(&row, "Extension"));
        let depth = depth(&row);
        let args = [&["alpha.png", "-k", "identity", "-o", &name, "--json"][..], &depth].concat();
        let run = place.filter(&args);
        match cell(&row, "Alpha") {
            "refused" => assert_eq!(run.code, 2, "{name}: {}", run.stderr),
            alpha => {
                assert_eq!(run.code, 0, "{name}: {}", run.stderr);
                assert_eq!(run.json()["lost"].is_array(), alpha == "cut", "{name}");
                place.ok(&[&name, "-k", "identity", "--depth", "8", "-o", "back.png"]);
                let alphas = place.open("back.png").into_rgba8();
                let soft = alphas.pixels().filter(|p| !matches!(p[3], 0 | 255)).count();
                assert_eq!(soft > 0, alpha == "kept", "{name}");
            }
        }
        for (depth, input) in [("8", "deep.png"), ("16", "plain.png"), ("f32", "plain.png")] {
            let run = place.filter(&[input, "-k", "identity", "--depth", depth, "-o", &name]);
            let held = cell(&row, "Depths").split(", ").any(|d| d == depth);
            assert_eq!(run.code, if held { 0 } else { 2 }, "{name} {depth}: {}", run.stderr);
        }
    }
}

/// Frames go where there are frames, pages where there are pages.
#[test]
fn several_pictures_are_as_the_table_says() {
    let place = Place::new();
    let mut gif = Vec::new();
    let frame = || image::Frame::new(DynamicImage::from(scene(9, 7)).into_rgba8());
    image::codecs::gif::GifEncoder::new(&mut gif).encode_frames([frame(), frame()]).unwrap();
    place.write("frames.gif", gif);
    let mut file = Vec::new();
    let mut pages = TiffEncoder::new(std::io::Cursor::new(&mut file)).unwrap();
    for _ in 0..2 {
        pages.write_image::<RGB8>(9, 7, scene(9, 7).as_raw()).unwrap();
    }
    place.write("pages.tif", file);
    for row in rows() {
        let name = format!("o.{}", cell(&row, "Extension"));
        let depth = depth(&row);
        let kept = |input: &str| {
            let args = [&[input, "-k", "identity", "-o", &name, "--json"][..], &depth].concat();
            let run = place.filter(&args);
            assert!(
                run.code == 0 || run.stderr.contains("--first-frame"),
                "{name}: {}",
                run.stderr
            );
            run.code == 0 && run.json()["frames"] == 2
        };
        let said = cell(&row, "Several pictures");
        let wanted = match said {
            "frames" => (true, false),
            "pages" => (false, true),
            "refused" => (false, false),
            other => panic!("{other:?}"),
        };
        assert_eq!((kept("frames.gif"), kept("pages.tif")), wanted, "{name}");
    }
}

#[test]
fn every_format_is_in_the_table() {
    let place = Place::new();
    place.save("plain.png", scene(5, 5));
    let run = place.filter(&["plain.png", "-k", "box", "-o", "o.none"]);
    let known = run.stderr.split("there are ").nth(1).unwrap().trim();
    let mut missing: Vec<_> = known
        .split([',', ';'])
        .map(str::trim)
        .filter(|e| !["pgm", "ppm", "pam"].contains(e))
        .collect();
    missing.retain(|e| !rows().iter().any(|row| cell(row, "Extension") == *e));
    assert!(missing.is_empty(), "{missing:?}");
}
