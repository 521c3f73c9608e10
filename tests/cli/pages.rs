//! TIFF files of several pages: each is filtered as if it were alone, and keeps what it says.

use super::{Place, grey16, scene, soft};
use ::tiff::decoder::{Decoder, DecodingResult};
use ::tiff::encoder::{TiffEncoder, colortype};
use ::tiff::tags::Tag;
use std::fs::File;
use std::io::Cursor;

/// Three pages of different sizes and samples, and names for them.
const NAMES: [&str; 3] = ["cover", "depth", "cut-out"];

fn pages(place: &Place) {
    let mut out = Vec::new();
    let mut file = TiffEncoder::new(Cursor::new(&mut out)).unwrap();
    let (rgb, grey, soft) = (scene(20, 12), grey16(9, 30), soft(11, 7));
    macro_rules! page {
        ($picture:expr, $colour:ty, $n:expr) => {{
            let (width, height) = $picture.dimensions();
            let mut page = file.new_image::<$colour>(width, height).unwrap();
            page.encoder().write_tag(Tag::Unknown(285), NAMES[$n]).unwrap();
            page.encoder().write_tag(Tag::Unknown(297), &[$n as u16, 3u16][..]).unwrap();
            if $n == 1 {
                page.encoder().write_tag(Tag::ImageDescription, "how far it is").unwrap();
                page.encoder().write_tag(Tag::Orientation, 6u16).unwrap();
            }
            page.write_data($picture.as_raw()).unwrap();
        }};
    }
    page!(rgb, colortype::RGB8, 0);
    page!(grey, colortype::Gray16, 1);
    page!(soft, colortype::RGBA8, 2);
    place.write("pages.tif", out);
}

/// The pages of a file: size, samples, and the tags that were given.
type Page = ((u32, u32), Vec<u16>, [Option<String>; 2], Option<u16>);

fn read(place: &Place, name: &str) -> Vec<Page> {
    let mut decoder = Decoder::new(File::open(place.path(name)).unwrap()).unwrap();
    let mut pages = Vec::new();
    loop {
        let size = decoder.dimensions().unwrap();
        let samples = match decoder.read_image().unwrap() {
            DecodingResult::U8(v) => v.into_iter().map(u16::from).collect(),
            DecodingResult::U16(v) => v,
            other => panic!("{other:?}"),
        };
        let texts = [Tag::Unknown(285), Tag::ImageDescription]
            .map(|tag| decoder.find_tag(tag).unwrap().map(|v| v.into_string().unwrap()));
        let orientation = decoder.find_tag_unsigned(Tag::Orientation).unwrap();
        pages.push((size, samples, texts, orientation));
        if !decoder.more_images() {
            return pages;
        }
        decoder.next_image().unwrap();
    }
}

#[test]
fn every_page_is_filtered_and_keeps_what_it_says() {
    let place = Place::new();
    pages(&place);
    let before = read(&place, "pages.tif");
    let identity = ["pages.tif", "-k", "identity", "--alpha", "plain"];
    let unchanged = |flags: &[&str]| {
        place.ok(&[&identity[..], flags, &["-o", "same.tif"]].concat());
        assert!(read(&place, "same.tif") == before, "{flags:?}");
    };
    unchanged(&[]);
    let run = place.ok(&["pages.tif", "-k", "gaussian", "-o", "out.tif"]);
    let said = "wrote out.tif (3 pages, the first of 20×12 RGB u8)";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let got = read(&place, "out.tif");
    assert_eq!(got.len(), 3);
    place.save("0.tif", scene(20, 12));
    place.save("1.tif", grey16(9, 30));
    place.save("2.tif", soft(11, 7));
    for (i, (page, before)) in got.iter().zip(&before).enumerate() {
        // The pixels are those of the page by itself, the rest is the page's own.
        place.ok(&[&format!("{i}.tif"), "-k", "gaussian", "-o", "want.tif"]);
        let want = read(&place, "want.tif").remove(0);
        assert!((page.0, &page.1) == (want.0, &want.1), "page {i}");
        assert_eq!((&page.2, page.3), (&before.2, before.3), "page {i}");
    }
    assert_eq!(got[1].2, [Some("depth".into()), Some("how far it is".into())]);
    let json = place.ok(&["pages.tif", "-k", "box", "-o", "out.tif", "--json"]).json();
    assert_eq!(json["frames"], 3);
    // Compressed, turned upright, of another depth, in place.
    unchanged(&["--compression", "default"]);
    place.ok(&["pages.tif", "-k", "identity", "--auto-orient", "-o", "up.tif"]);
    let up = read(&place, "up.tif");
    assert_eq!((up[0].0, up[1].0, up[1].3), ((20, 12), (30, 9), Some(1)));
    place.ok(&["pages.tif", "-k", "identity", "--depth", "16", "-o", "deep.tif"]);
    assert_eq!(read(&place, "deep.tif")[0].1[5], before[0].1[5] * 257);
    place.ok(&["pages.tif", "-k", "box", "--in-place"]);
    assert_eq!(read(&place, "pages.tif").len(), 3);
}

#[test]
fn pages_have_one_place_and_limits() {
    let place = Place::new();
    pages(&place);
    let args = ["pages.tif", "-k", "box"];
    for out in ["o.png", "o.gif", "o.jpg", "o.exr"] {
        let run = place.fails(3, "several pages", &[&args[..], &["-o", out]].concat());
        assert!(run.stderr.contains("--first-frame"), "{}", run.stderr);
    }
    for flag in [&["--explain"][..], &["--verify"], &["--bench", "1"], &["--compare", "c.png"]] {
        place.fails(3, "--first-frame", &[&args[..], flag].concat());
    }
    let run = place.ok(&[&args[..], &["--first-frame", "-o", "first.tif"]].concat());
    assert!(run.stderr.contains("20×12 RGB u8"), "{}", run.stderr);
    assert_eq!(read(&place, "first.tif").len(), 1);
    let pixels = 20 * 12 + 9 * 30 + 11 * 7;
    let limit = |n: i32| {
        [&args[..], &["--max-pixels", &n.to_string()], &["-o", "o.tif"]].concat().join("|")
    };
    let run = |n| place.filter(&limit(n).split('|').collect::<Vec<_>>());
    assert_eq!((run(pixels - 1).code, run(pixels).code), (4, 0));
    // What fits one page and not another.
    place.fails(
        2,
        "page 2: --channels 2",
        &[&args[..], &["--channels", "2", "-o", "bad.tif"]].concat(),
    );
    assert!(!place.path("bad.tif").exists());
}

#[test]
fn damaged_pages_are_refused_and_nothing_is_written() {
    let place = Place::new();
    pages(&place);
    let whole = place.bytes("pages.tif");
    // Cut off at any place, it is a file of fewer pages, or none: the first link is the first that breaks.
    for length in (8..whole.len()).step_by(7) {
        place.write("cut.tif", &whole[..length]);
        let run = place.filter(&["cut.tif", "-k", "box", "-o", "cut-out.tif"]);
        assert!(matches!(run.code, 0 | 3), "{length}: {}", run.stderr);
        if run.code == 0 {
            assert_eq!(read(&place, "cut-out.tif").len(), 1, "{length}");
            assert!(run.stderr.contains("not kept: a second page"), "{length}: {}", run.stderr);
            std::fs::remove_file(place.path("cut-out.tif")).unwrap();
        }
        assert!(!place.path("cut-out.tif").exists());
    }
    // A ring of directories has no last page.
    let number = |at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let link =
        |at: usize| at + 2 + 12 * usize::from(u16::from_le_bytes([whole[at], whole[at + 1]]));
    let first = number(4);
    let last = number(link(number(link(first))));
    let mut ring = whole.clone();
    ring[link(last)..link(last) + 4].copy_from_slice(&(first as u32).to_le_bytes());
    place.write("ring.tif", ring);
    place.fails(3, "not a readable TIFF file", &["ring.tif", "-k", "box"]);
    place.ok(&["ring.tif", "-k", "box", "--first-frame"]);
}
