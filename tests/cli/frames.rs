//! Animations: filtered frame by frame, with their times, where the output's format has frames.

use super::{Place, png_chunk, scene};
use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::LoopCount;
use image::{AnimationDecoder, Delay, DynamicImage, Frame, RgbaImage};
use std::io::Cursor;

/// Three frames of few colours, which GIF files hold as they are.
fn frames() -> Vec<RgbaImage> {
    let frame = |n: u32| {
        RgbaImage::from_fn(20, 12, |x, y| {
            let on = (x / 4 + y / 3 + n).is_multiple_of(2);
            image::Rgba(if on { [240, 40, 10 * n as u8, 255] } else { [0, 90, 200, 255] })
        })
    };
    (0..3).map(frame).collect()
}

/// Times of frames, in milliseconds.
const TIMES: [u32; 3] = [100, 250, 40];

fn gif(frames: &[RgbaImage], repeat: Option<Repeat>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).unwrap();
    }
    let delays = TIMES.map(|ms| Delay::from_numer_denom_ms(ms, 1));
    let all = frames.iter().zip(delays);
    encoder.encode_frames(all.map(|(f, d)| Frame::from_parts(f.clone(), 0, 0, d))).unwrap();
    drop(encoder);
    file
}

/// The frames of a file, and their times.
fn read(file: Vec<u8>) -> (Vec<RgbaImage>, Vec<u32>) {
    let source = Cursor::new(file.clone());
    let frames = match &file[..4] {
        b"GIF8" => GifDecoder::new(source).unwrap().into_frames(),
        b"RIFF" => WebPDecoder::new(source).unwrap().into_frames(),
        _ => PngDecoder::new(source).unwrap().apng().unwrap().into_frames(),
    };
    let frames = frames.collect_frames().unwrap();
    let time = |f: &Frame| {
        let (above, below) = f.delay().numer_denom_ms();
        above / below
    };
    (frames.iter().map(|f| f.buffer().clone()).collect(), frames.iter().map(time).collect())
}

#[test]
fn every_frame_is_filtered_and_keeps_its_time() {
    let place = Place::new();
    place.write("moving.gif", gif(&frames(), Some(Repeat::Infinite)));
    let run = place.ok(&["moving.gif", "-k", "gaussian", "-o", "out.png"]);
    assert!(run.stderr.contains("wrote out.png (3 frames of 20×12 RGB u8)"), "{}", run.stderr);
    let (got, times) = read(place.bytes("out.png"));
    assert_eq!(times, TIMES);
    for (i, frame) in frames().into_iter().enumerate() {
        // The same as each by itself.
        place.save("frame.png", frame);
        place.ok(&["frame.png", "-k", "gaussian", "-o", "want.png"]);
        assert_eq!(got[i], place.open("want.png").into_rgba8(), "frame {i}");
    }
    // From one format of frames to the other and back.
    place.ok(&["moving.gif", "-k", "identity"]);
    assert_eq!(read(place.bytes("moving.identity.gif")), (frames(), TIMES.to_vec()));
    place.ok(&["moving.gif", "-k", "identity", "-o", "moving.png"]);
    assert_eq!(read(place.bytes("moving.png")), (frames(), TIMES.to_vec()));
    place.ok(&["moving.png", "-k", "identity", "-o", "back.gif"]);
    assert_eq!(read(place.bytes("back.gif")), (frames(), TIMES.to_vec()));
    place.ok(&["back.gif", "-k", "identity", "-o", "moving.webp"]);
    assert_eq!(read(place.bytes("moving.webp")), (frames(), TIMES.to_vec()));
    place.ok(&["moving.webp", "-k", "identity", "-o", "back.png"]);
    assert_eq!(read(place.bytes("back.png")), (frames(), TIMES.to_vec()));
    for name in ["moving.png", "moving.webp"] {
        place.ok(&[name, "-k", "box", "--in-place"]);
        assert_eq!(read(place.bytes(name)).1, TIMES);
    }
    let json = place.ok(&["moving.gif", "-k", "box", "-o", "out.png", "--json"]).json();
    assert_eq!(json["frames"], 3);
}

#[test]
fn flags_are_those_of_pictures() {
    let place = Place::new();
    place.write("moving.gif", gif(&frames(), None));
    place.save("mask.png", image::GrayImage::new(20, 12));
    place.ok(&["moving.gif", "-k", "box", "--mask", "mask.png", "-o", "out.png"]);
    assert_eq!(read(place.bytes("out.png")).0, frames());
    place.ok(&["moving.gif", "--mix", "luma", "-k", "sobel", "-o", "out.png"]);
    let (edges, times) = read(place.bytes("out.png"));
    assert_eq!((edges.len(), times), (3, TIMES.to_vec()));
    assert!(edges[0].pixels().all(|p| p.0[0] == p.0[1] && p.0[3] == 255));
    place.ok(&["moving.gif", "-k", "box", "--border", "valid", "-o", "out.gif"]);
    assert_eq!(read(place.bytes("out.gif")).0[2].dimensions(), (18, 10));
    // Holes stay holes.
    let mut holes = frames();
    holes[1].put_pixel(3, 3, image::Rgba([0; 4]));
    place.write("holes.gif", gif(&holes, None));
    place.ok(&["holes.gif", "-k", "identity", "-o", "out.gif"]);
    let (got, _) = read(place.bytes("out.gif"));
    assert_eq!((got[1].get_pixel(3, 3).0[3], got[2].get_pixel(3, 3).0[3]), (0, 255));
    // And in formats that can say it, what is half there stays so.
    holes[2].put_pixel(5, 4, image::Rgba([9, 200, 30, 77]));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 20, 12);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(3, 0).unwrap();
    encoder.set_blend_op(png::BlendOp::Source).unwrap();
    encoder.set_frame_delay(39, 1000).unwrap();
    let mut writer = encoder.write_header().unwrap();
    holes.iter().for_each(|frame| writer.write_image_data(frame).unwrap());
    writer.finish().unwrap();
    place.write("soft.png", file);
    for out in ["soft.webp", "again.png", "again.webp"] {
        place.ok(&["soft.png", "-k", "identity", "-o", out]);
        assert!(read(place.bytes(out)) == (holes.clone(), vec![39; 3]), "{out}");
    }
    // Times that a format does not have are named.
    let run = place.ok(&["soft.webp", "-k", "identity", "-o", "soft.gif"]);
    assert!(run.stderr.contains("times of frames"), "{}", run.stderr);
    assert_eq!(read(place.bytes("soft.gif")).1, [40; 3]);
    place.ok(&["soft.webp", "--mix", "luma", "-k", "box", "-o", "grey.webp"]);
    assert_eq!(read(place.bytes("grey.webp")).0.len(), 3);
}

#[test]
fn loops_are_kept() {
    let place = Place::new();
    let name = |file: &[u8]| file.windows(11).position(|w| w == b"NETSCAPE2.0");
    place.write("once.gif", gif(&frames(), None));
    place.ok(&["once.gif", "-k", "box"]);
    assert_eq!(name(&place.bytes("once.box.gif")), None);
    let count = |file: Vec<u8>| {
        let at = file.windows(4).position(|w| w == b"acTL").unwrap();
        u32::from_be_bytes(file[at + 8..at + 12].try_into().unwrap())
    };
    place.ok(&["once.gif", "-k", "box", "-o", "once.png"]);
    assert_eq!(count(place.bytes("once.png")), 1);
    for (repeat, plays) in [(Repeat::Infinite, 0), (Repeat::Finite(7), 7)] {
        place.write("many.gif", gif(&frames(), Some(repeat)));
        place.ok(&["many.gif", "-k", "box", "-o", "many.png"]);
        assert_eq!(count(place.bytes("many.png")), plays);
        place.ok(&["many.png", "-k", "box", "-o", "back.gif"]);
        let file = place.bytes("back.gif");
        let at = name(&file).unwrap() + 13;
        assert_eq!(u16::from_le_bytes([file[at], file[at + 1]]), plays as u16);
        place.ok(&["many.png", "-k", "box", "-o", "many.webp"]);
        let decoder = WebPDecoder::new(Cursor::new(place.bytes("many.webp"))).unwrap();
        let said = match decoder.loop_count() {
            LoopCount::Infinite => 0,
            LoopCount::Finite(n) => n.get(),
        };
        assert_eq!(said, plays);
        place.ok(&["many.webp", "-k", "box", "-o", "again.png"]);
        assert_eq!(count(place.bytes("again.png")), plays);
    }
}

#[test]
fn what_has_no_frames_is_no_place_for_them() {
    let place = Place::new();
    place.write("moving.gif", gif(&frames(), None));
    let args = ["moving.gif", "-k", "box"];
    for out in ["o.jpg", "o.tiff", "o.bmp", "o.qoi"] {
        place.fails(3, "files are written with one picture", &[&args[..], &["-o", out]].concat());
    }
    for flag in [&["--explain"][..], &["--verify"], &["--bench", "1"], &["--compare", "c.png"]] {
        place.fails(3, "--first-frame", &[&args[..], flag].concat());
    }
    place.ok(&[&args[..], &["--explain", "--first-frame"]].concat());
    place.fails(2, "8 bits", &[&args[..], &["--depth", "16", "-o", "o.png"]].concat());
    place.fails(4, "--max-pixels", &[&args[..], &["--max-pixels", "700"]].concat());
    place.ok(&[&args[..], &["--max-pixels", "720"]].concat());
    // What is cut off is not half an animation.
    let mut file = gif(&frames(), None);
    file.truncate(file.len() - 40);
    place.write("cut.gif", file);
    let run = place.fails(3, "cut.gif", &["cut.gif", "-k", "box"]);
    assert!(!run.stderr.contains("wrote"), "{}", run.stderr);
    place.save("still.gif", DynamicImage::from(scene(9, 7)).into_rgba8());
    let run = place.ok(&["still.gif", "-k", "box"]);
    assert!(!run.stderr.contains("frames"), "{}", run.stderr);
}

/// Frames of a file that says how it is to be turned are turned all, or none.
#[test]
fn frames_are_turned_alike() {
    let place = Place::new();
    place.write("moving.gif", gif(&frames(), None));
    place.ok(&["moving.gif", "-k", "identity", "-o", "plain.png"]);
    let file = place.bytes("plain.png");
    // Orientation 6, behind the header.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let file = [&file[..33], &png_chunk(b"eXIf", exif), &file[33..]].concat();
    place.write("tagged.png", file);
    place.ok(&["tagged.png", "-k", "identity", "-o", "kept.png"]);
    assert_eq!(read(place.bytes("kept.png")).0, frames());
    place.ok(&["tagged.png", "-k", "identity", "--auto-orient", "-o", "up.png"]);
    let upright = frames().iter().map(image::imageops::rotate90).collect::<Vec<_>>();
    assert_eq!(read(place.bytes("up.png")).0, upright);
}
