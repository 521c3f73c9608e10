//! Looking at results: before beside after, what was clipped; and what comes from the table of flags.

use super::{Place, exists, scene, soft};
use image::GenericImageView;

#[test]
fn before_and_after_side_by_side() {
    let place = Place::with_input();
    let run = place.ok(&["input.png", "-k", "box", "--compare", "both.png"]);
    assert!(run.stderr.contains("wrote both.png (before | after)"), "{}", run.stderr);
    assert_eq!(place.names(), ["both.png", "input.png"]);
    place.ok(&["input.png", "-k", "box", "--compare", "both.png", "-o", "o.png"]);
    let (both, before, after) =
        (place.open("both.png"), place.open("input.png"), place.open("o.png"));
    assert_eq!(both.dimensions(), (46, 17));
    assert_eq!(*both.view(0, 0, 23, 17).to_image(), *before.to_rgba8());
    assert_eq!(*both.view(23, 0, 23, 17).to_image(), *after.to_rgba8());
    // A smaller result, another depth, alpha.
    let args = ["input.png", "-k", "box", "--border", "valid", "--depth", "16"];
    place.ok(&[&args[..], &["--compare", "both.png"]].concat());
    let both = place.open("both.png");
    assert_eq!((both.dimensions(), both.color()), ((44, 17), image::ColorType::Rgb16));
    place.save("soft.png", soft(20, 9));
    place.ok(&["soft.png", "-k", "box", "--compare", "both.webp"]);
    assert_eq!(place.open("both.webp").dimensions(), (40, 9));
    place.fails(5, "is the input itself", &["input.png", "-k", "box", "--compare", "input.png"]);
    place.fails(2, "--depth 8", &[&args[..], &["--compare", "both.jpg"]].concat());
}

#[test]
fn clipped_samples_are_counted() {
    let place = Place::new();
    let bright = image::RgbImage::from_fn(10, 4, |x, _| image::Rgb([x as u8 * 20, 10, 200]));
    place.save("bright.png", bright);
    let args = ["bright.png", "-k", "2", "--offset", "-30", "--explain"];
    let run = place.ok(&args);
    // Red 0 and 20 fall below 0, 160 and more exceed 255; green is below, blue above, everywhere.
    let line = "clipped:         red 4 below 0, 8 above full scale; green 40 below 0, 0 above full \
                scale; blue 0 below 0, 40 above full scale";
    assert!(run.text().contains(line), "{}", run.text());
    let json = place.ok(&[&args[..], &["--json"]].concat()).json();
    assert_eq!(json["clipping"][0], serde_json::json!({"channel": "red", "below": 4, "above": 8}));
    for flags in [&["-k", "identity"][..], &["--linear"]] {
        let run = place.ok(&[&args[..], &["--channels", "g"], flags].concat());
        assert!(run.text().contains("clipped:         green 40 below"), "{}", run.text());
        assert!(!run.text().contains("red"), "{}", run.text());
    }
    let run = place.ok(&["bright.png", "-k", "box", "--explain"]);
    assert!(run.text().contains("clipped:         no samples"), "{}", run.text());
    let args = ["bright.png", "-k", "2", "--depth", "f32", "--explain", "-o", "o.tiff"];
    assert!(!place.ok(&args).text().contains("clipped"), "floats hold everything");
}

#[test]
fn completions_and_manual() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = place.ok(&["--completions", shell]);
        assert!(run.text().contains("skip-existing"), "{shell}");
    }
    let man = place.ok(&["--man"]);
    for part in [".TH filter 1", "skip\\-existing", "sobel\\-x", ".SH EXAMPLES"] {
        assert!(man.text().contains(part), "{part}");
    }
    assert!(!place.ok(&["--help"]).text().contains("--man"));
    assert!(!exists(place.path("filter.1")));
    place.fails(2, "--completions", &["--completions", "dos"]);
}

#[test]
fn a_preview_needs_a_terminal() {
    let place = Place::with_input();
    place.save("b.png", scene(9, 7));
    let args = ["input.png", "-k", "sobel", "--preview"];
    place.fails(2, "needs a terminal", &args);
    place.fails(2, "one input", &["input.png", "b.png", "-k", "sobel", "--preview"]);
    place.fails(2, "--json", &["input.png", "-k", "sobel", "--preview", "--json"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_preview_is_shown_in_half_blocks() {
    let place = Place::with_input();
    let shown = |flags: &str| place.on_terminal(&format!("input.png -k sobel --preview {flags}"));
    let Some((success, text)) = shown("") else {
        eprintln!("skipped: there is no script");
        return;
    };
    assert!(success, "{text}");
    // Colours of 24 bits, in lower halves of cells.
    assert!(text.contains("\x1b[48;2;") && text.contains('▄'), "{text:?}");
    assert_eq!(place.names(), ["input.png"]);
    let Some((success, text)) = shown("-o out.png --explain") else { unreachable!() };
    assert!(success && text.contains('▄') && text.contains("wrote out.png"), "{text:?}");
    assert_eq!(place.names(), ["input.png", "out.png"]);
    let Some((success, text)) = shown("-o -") else { unreachable!() };
    assert!(!success && text.contains("standard output is a terminal"), "{text:?}");
}
