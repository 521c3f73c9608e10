//! No file is lost by accident: results never replace what is still to be read, or each other, and what is found beside
//! a picture is named.

use super::{Place, png_file, scene};
use image::ImageEncoder;
use image::codecs::png::PngEncoder;

#[test]
fn drawings_replace_no_input() {
    let place = Place::with_input();
    let before = place.bytes("input.png");
    place.fails(
        5,
        "input.png is an input or a result",
        &["input.png", "-k", "log", "--show-kernel", "./input.png", "-o", "o.png"],
    );
    place.folder("in");
    place.save("in/a.png", scene(9, 7));
    let args = ["-r", "in", "-k", "log", "--show-kernel", "in/a.png", "--out-dir", "out"];
    place.fails(5, "in/a.png is an input or a result", &args);
    assert_eq!(place.bytes("input.png"), before);
    let args = ["input.png", "-k", "log", "--name", "k.png", "--show-kernel", "k.png"];
    place.fails(5, "k.png is an input or a result", &args);
}

#[test]
fn two_results_have_two_places() {
    let place = Place::with_input();
    for (code, why, flags) in [
        (2, "x.png is the output; --compare", ["--compare", "x.png", "-o", "./x.png"]),
        (5, "x.png is an input or a result", ["--show-kernel", "x.png", "-o", "x.png"]),
        (5, "x.png is an input or a result", ["--show-kernel", "x.png", "--compare", "./x.png"]),
    ] {
        place.fails(code, why, &[&["input.png", "-k", "box"], &flags[..]].concat());
    }
    let args = ["--sweep", "size=3..5", "-k", "box", "--plot", "x.png", "--show-kernel", "x.png"];
    place.fails(
        5,
        "x.png is an input or a result",
        &[&args[..], &["--bench", "1", "--shape", "9x9"]].concat(),
    );
    let args = [
        "input.png",
        "-k",
        "box",
        "--out-dir",
        ".",
        "--force",
        "--name",
        "x.png",
        "--compare",
        "x.png",
    ];
    place.fails(2, "x.png is the output", &args);
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::with_input();
    let before = place.names();
    let run = place.ok(&["input.png", "-k", "box", "--dry-run", "--compare", "c.png"]);
    assert_eq!(run.text(), "input.png -> c.png\n");
    place.ok(&["input.png", "-k", "box", "--dry-run", "--show-kernel", "k.png", "-o", "x.png"]);
    assert_eq!(place.names(), before);
}

/// Not even by force, since it may not have been read yet.
#[test]
fn an_output_is_no_other_input() {
    let place = Place::new();
    place.save("a.png", scene(9, 7));
    place.save("a.box.png", image::GrayImage::new(5, 5));
    let before = place.bytes("a.box.png");
    let run = place.filter(&["a.png", "a.box.png", "-k", "box", "--force", "--jobs", "1"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("a.png: its output a.box.png would replace the input a.box.png"),
        "{}",
        run.stderr
    );
    assert_eq!(place.bytes("a.box.png"), before);
    assert_eq!(place.open("a.box.box.png").width(), 5);
    // Without an extension the name does not tell what the output is called.
    std::fs::copy(place.path("a.png"), place.path("b")).unwrap();
    place.save("b.box.png", image::GrayImage::new(5, 5));
    let before = place.bytes("b.box.png");
    let run = place.filter(&["b", "b.box.png", "-k", "box", "--force", "--jobs", "1"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert_eq!(place.bytes("b.box.png"), before);
    // Nor does that of a file in a folder, if its extension lies.
    place.folder("r");
    std::fs::copy(place.path("a.png"), place.path("r/c.jpg")).unwrap();
    place.save("r/c.box.png", image::GrayImage::new(5, 5));
    let before = place.bytes("r/c.box.png");
    let run = place.filter(&["-r", "r", "-k", "box", "--force", "--jobs", "1"]);
    assert!(run.stderr.contains("would replace the input r/c.box.png"), "{}", run.stderr);
    assert_eq!(place.bytes("r/c.box.png"), before);
    place.folder("y");
    place.save("y/a.png", image::GrayImage::new(4, 4));
    let run = place.filter(&["a.png", "y/a.png", "-k", "identity", "--out-dir", "y", "--force"]);
    assert_eq!(run.code, 2);
    assert_eq!(place.open("y/a.png").width(), 4);
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_replaced_in_place() {
    let place = Place::with_input();
    let before = place.bytes("input.png");
    let file =
        std::fs::OpenOptions::new().read(true).write(true).open(place.path("input.png")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_filter"));
    command.args(["/dev/stdin", "-k", "box", "--in-place"]).stdin(file);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(place.bytes("input.png"), before);
    let mut command = std::process::Command::new("sh");
    let script = "mkfifo fifo; cat input.png > fifo & \"$0\" fifo -k box --in-place";
    command.args(["-c", script, env!("CARGO_BIN_EXE_filter")]).current_dir(place.path("."));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("fifo is no regular file"), "{said}");
    // An open file has no name to make another one of.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_filter"));
    let file = std::fs::File::open(place.path("input.png")).unwrap();
    let output = command.args(["/dev/stdin", "-k", "box"]).stdin(file).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("give -o FILE"));
}

/// A picture with orientation 6: turned by 90° to be seen upright.
fn turned(image: &image::DynamicImage) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    let colour = image.color().into();
    encoder.write_image(image.as_bytes(), image.width(), image.height(), colour).unwrap();
    file
}

#[test]
fn masks_are_turned_as_pictures_are() {
    let place = Place::new();
    let picture = image::DynamicImage::from(scene(16, 12));
    let mask = image::GrayImage::from_fn(16, 12, |_, y| image::Luma([if y < 4 { 255 } else { 0 }]));
    place.write("picture.png", turned(&picture));
    place.write("mask.png", turned(&mask.clone().into()));
    let mut wanted = picture.to_rgb8();
    for (x, y, pixel) in wanted.enumerate_pixels_mut() {
        if mask[(x, y)].0[0] == 255 {
            pixel.0 = pixel.0.map(|v| 255 - v);
        }
    }
    let wanted = image::DynamicImage::from(wanted);
    let args = ["picture.png", "--mix", "invert", "--mask", "mask.png"];
    place.ok(&[&args[..], &["-o", "stored.png"]].concat());
    assert_eq!(place.open("stored.png"), wanted);
    // A mask that was drawn on the picture as it is shown.
    place.save("shown.png", image::DynamicImage::from(mask).rotate90());
    let shown = ["picture.png", "--mix", "invert", "--mask", "shown.png", "-o", "stored.png"];
    place.ok(&shown);
    assert_eq!(place.open("stored.png"), wanted);
    for flags in [&["--auto-orient", "-o", "up.png"][..], &["-o", "up.bmp"]] {
        place.ok(&[&args[..], flags].concat());
        assert_eq!(place.open(flags[flags.len() - 1]), wanted.rotate90());
    }
    // A picture that says nothing is upright.
    place.save("plain.png", picture.rotate90());
    place.ok(&["plain.png", "--mix", "invert", "--mask", "mask.png", "-o", "o.png"]);
    assert_eq!(place.open("o.png"), wanted.rotate90());
    // Of several pictures none is taken for the mask unasked.
    let page = |n| image::Frame::new(image::RgbaImage::from_pixel(12, 16, image::Rgba([n; 4])));
    let mut file = Vec::new();
    image::codecs::gif::GifEncoder::new(&mut file).encode_frames([page(255), page(0)]).unwrap();
    place.write("moving.gif", file);
    let args = ["plain.png", "--mix", "invert", "--mask", "moving.gif", "-o", "p.png"];
    place.fails(3, "the mask moving.gif: the GIF file is animated", &args);
    place.ok(&[&args[..], &["--first-frame"]].concat());
}

#[test]
fn what_is_beside_a_picture_is_named() {
    let place = Place::new();
    place.save("a.gif", image::DynamicImage::from(scene(6, 4)));
    let mut gif = place.bytes("a.gif");
    gif.pop();
    gif.extend(b"\x21\xfe\x05hello\0\x21\xff\x0bXMP DataXMP\x03<x>\0;");
    place.write("a.gif", gif);
    place.fails(
        3,
        "not kept: comments, XMP (--strict)",
        &["a.gif", "-k", "box", "--strict", "-o", "b.gif"],
    );
    place.ok(&["a.gif", "-k", "box", "--strict", "--strip", "-o", "b.gif"]);
    // What stands before the picture is read. Behind it lie bytes that lead readers of blocks to its end.
    let mut gif = place.bytes("b.gif");
    let table = if gif[10] & 0x80 == 0 { 0 } else { 3 << ((gif[10] & 7) + 1) };
    let end: Vec<u8> = [1].into_iter().chain((0..=255).rev()).chain([0]).collect();
    let packet = [&b"\x21\xff\x0bXMP DataXMP<x>hello</x>"[..], &end].concat();
    gif.splice(13 + table..13 + table, packet);
    place.write("c.gif", gif);
    place.ok(&["c.gif", "-k", "identity", "--strict", "-o", "c.png"]);
    assert!(place.bytes("c.png").windows(12).any(|w| w == b"<x>hello</x>"));
    place.save("a.tga", scene(6, 4));
    let mut tga = place.bytes("a.tga");
    tga[0] = 3;
    tga.splice(18..18, *b"abc");
    place.write("a.tga", tga);
    place.fails(5, "not kept: image ID", &["a.tga", "-k", "identity", "--in-place"]);
    place.ok(&["a.tga", "-k", "identity", "-o", "a.png"]);
    assert_eq!(place.open("a.png"), scene(6, 4).into());
    // A profile behind the pixels.
    let mut profile = vec![7u8; 132];
    profile[16..20].copy_from_slice(b"RGB ");
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x8a\0\0\0".to_vec();
    let mut head = [124u32, 2, 1, 1 | 24 << 16, 0, 8].map(u32::to_le_bytes).concat();
    head.resize(56, 0);
    head.extend(b"DEBM");
    head.resize(112, 0);
    head.extend([(124u32 + 8).to_le_bytes(), 132u32.to_le_bytes(), [0; 4]].concat());
    bmp.extend(head);
    bmp.extend([1, 2, 3, 4, 5, 6, 0, 0]);
    bmp.extend(&profile);
    place.write("a.bmp", bmp);
    place.fails(5, "not kept: colour profile", &["a.bmp", "-k", "identity", "--in-place"]);
    place.ok(&["a.bmp", "-k", "identity", "-o", "c.png", "--strict"]);
    assert!(place.bytes("c.png").windows(4).any(|w| w == b"iCCP"));
}

/// An APNG file whose first picture is shown by programs that show no animations, and is none of the frames.
#[test]
fn a_picture_instead_of_an_animation() {
    let place = Place::new();
    let pixels = |v: u8| {
        use std::io::Write;
        let mut stream = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        stream.write_all(&[0, v, v, 0, v, v]).unwrap();
        stream.finish().unwrap()
    };
    let control = |number: u32| {
        let numbers = [number, 2, 2, 0, 0].map(u32::to_be_bytes).concat();
        [&numbers[..], &[0, 1, 0, 10, 0, 0]].concat()
    };
    let data = |number: u32, v: u8| [&number.to_be_bytes()[..], &pixels(v)].concat();
    for count in [1u32, 2] {
        let start = [count.to_be_bytes(), [0; 4]].concat();
        let hidden = pixels(10);
        let bodies: Vec<_> =
            (0..count).flat_map(|n| [control(2 * n), data(2 * n + 1, 200)]).collect();
        let mut chunks: Vec<(&[u8], &[u8])> = vec![(b"acTL", &start), (b"IDAT", &hidden)];
        for (i, body) in bodies.iter().enumerate() {
            chunks.push((if i % 2 == 0 { b"fcTL" } else { b"fdAT" }, body));
        }
        place.write("a.png", png_file(2, 2, [8, 0], &chunks));
        place.fails(5, "not kept: ", &["a.png", "-k", "identity", "--in-place"]);
    }
}

#[test]
fn cut_animations_and_pictures_after_others() {
    let place = Place::new();
    let frame =
        |n| image::Frame::new(image::RgbaImage::from_pixel(20, 12, image::Rgba([n, 0, 0, 255])));
    let mut file = Vec::new();
    image::codecs::gif::GifEncoder::new(&mut file).encode_frames([frame(255), frame(100)]).unwrap();
    // From what says how the second frame is shown.
    let second = file.windows(3).rposition(|w| w == [0x21, 0xf9, 4]).unwrap();
    for length in second + 2..file.len() - 1 {
        place.write("cut.gif", &file[..length]);
        let run = place.filter(&["cut.gif", "-k", "box", "-o", "o.gif"]);
        let whole = run.code == 0 && run.stderr.contains("2 frames");
        assert!(whole || run.code == 3, "{length} of {}: {}", file.len(), run.stderr);
    }
    let pfm = [&b"PF\n2 1\n-1.0\n"[..], &[0; 24]].concat();
    place.write("one.pfm", &pfm);
    place.ok(&["one.pfm", "-k", "box", "-o", "o.pfm"]);
    place.write("two.pfm", pfm.repeat(2));
    place.fails(3, "has several pictures", &["two.pfm", "-k", "box", "-o", "o.pfm"]);
}

#[test]
fn formats_that_are_told_by_other_names() {
    let place = Place::new();
    place.save("a.hdr", image::DynamicImage::from(scene(9, 7)).to_rgb32f());
    let file = place.bytes("a.hdr");
    assert!(file.starts_with(b"#?RADIANCE\n"));
    place.write("b.hdr", [b"#?RGBE", &file[10..]].concat());
    place.ok(&["b.hdr", "-k", "identity", "-o", "c.hdr"]);
    assert_eq!(place.open("c.hdr"), place.open("a.hdr"));
    place.write("a.ico", b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x18\0\0\0\0\0");
    place.fails(3, "the file is ICO, which is not read", &["a.ico", "-k", "box"]);
    place.write("a.ff", b"farbfeld\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0");
    place.fails(3, "the file is farbfeld, which is not read", &["a.ff", "-k", "box"]);
}

#[test]
fn one_file_that_fails_is_an_object_too() {
    let place = Place::new();
    place.write("x.txt", "no picture");
    let run = place.filter(&["x.txt", "-k", "box", "--json"]);
    assert_eq!(run.code, 3);
    let json = run.json();
    assert_eq!((json["status"].as_str(), json["code"].as_u64()), (Some("failed"), Some(3)));
    assert!(run.stderr.contains(json["error"].as_str().unwrap()), "{}", run.stderr);
}
