//! Nothing is lost without a word: what a file holds and its result does not is a warning, an error if
//! the user is strict, and stops a file from being replaced.

use super::{Place, scene};
use image::ImageEncoder;
use image::codecs::png::PngEncoder;

/// `tagged.png`, with a profile and Exif data.
fn tagged() -> Place {
    let place = Place::new();
    let mut profile = vec![7u8; 132];
    profile[16..20].copy_from_slice(b"RGB ");
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(profile).unwrap();
    encoder.set_exif_metadata(b"II*\0\x08\0\0\0\0\0\0\0\0\0".to_vec()).unwrap();
    encoder.write_image(&scene(8, 5), 8, 5, image::ExtendedColorType::Rgb8).unwrap();
    place.write("tagged.png", file);
    place
}

const WARNING: &str = "filter: warning: tagged.png: not kept: colour profile, Exif\n";

#[test]
fn a_loss_is_one_warning() {
    let place = tagged();
    let run = place.ok(&["tagged.png", "-k", "box", "-o", "o.bmp"]);
    assert!(run.stderr.starts_with(WARNING), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 2);
    let run = place.ok(&["tagged.png", "-k", "box", "-o", "o.bmp", "--json"]);
    assert_eq!(run.json()["lost"], serde_json::json!(["colour profile", "Exif"]));
    let run = place.ok(&["tagged.png", "-k", "box", "-o", "o.bmp", "--quiet"]);
    assert_eq!(run.stderr, "");
    // What is not written or kept loses nothing, and what was asked for is no loss.
    for flags in [&["-o", "o.png"][..], &["--explain"], &["-o", "o.bmp", "--strip"]] {
        let run = place.ok(&[&["tagged.png", "-k", "box"], flags].concat());
        assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    }
    // With several files there is a line for each, and the sum at the end.
    place.save("plain.png", scene(8, 5));
    let args = ["tagged.png", "plain.png", "-k", "box", "--format", "bmp"];
    let run = place.ok(&args);
    assert!(run.stderr.starts_with(WARNING), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 2);
}

#[test]
fn strict_makes_it_an_error() {
    let place = tagged();
    let args = ["tagged.png", "-k", "box", "-o", "o.bmp", "--strict"];
    place.fails(3, "tagged.png: not kept: colour profile, Exif (--strict)", &args);
    place.ok(&["tagged.png", "-k", "box", "-o", "o.bmp", "--strict", "--strip"]);
    place.ok(&["tagged.png", "-k", "box", "-o", "o.png", "--strict"]);
}

#[test]
fn no_file_is_replaced_by_one_that_holds_less() {
    let place = tagged();
    // Grey has no use for a profile of colours.
    let before = place.bytes("tagged.png");
    let args = ["tagged.png", "--mix", "luma", "--in-place"];
    place.fails(5, "not kept: colour profile; --force", &args);
    assert_eq!(place.bytes("tagged.png"), before);
    place.ok(&[&args[..], &["--force"]].concat());
    assert_ne!(place.bytes("tagged.png"), before);
}
