//! What each format can hold, and what is done or refused where it cannot.

use super::{Place, grey16, png_chunk, png_file, scene, soft};
use image::DynamicImage;

#[test]
fn lossless_formats_keep_every_pixel() {
    let place = Place::with_input();
    for name in
        ["a.png", "a.webp", "a.tiff", "a.tif", "a.bmp", "a.ppm", "a.pnm", "a.pam", "a.qoi", "a.tga"]
    {
        place.ok(&["input.png", "-k", "identity", "-o", name]);
        assert_eq!(place.open(name), place.open("input.png"), "{name}");
        // And as an input, whose format the output keeps.
        place.ok(&[name, "-k", "identity"]);
        let kept = name.replace("a.", "a.identity.");
        assert_eq!(place.open(&kept), place.open("input.png"), "{kept}");
    }
}

#[test]
fn lossy_formats_come_close() {
    let place = Place::new();
    let ramp = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 2, y as u8 * 3, 90]));
    place.save("ramp.png", ramp.clone());
    for name in ["ramp.jpg", "ramp.gif"] {
        place.ok(&["ramp.png", "-k", "identity", "-o", name]);
        let out = place.open(name).into_rgb8();
        assert!(out.as_raw().iter().zip(ramp.as_raw()).all(|(a, b)| a.abs_diff(*b) < 24), "{name}");
    }
}

#[test]
fn float_formats() {
    let place = Place::with_input();
    for name in ["a.hdr", "a.exr", "a.tiff"] {
        place.ok(&["input.png", "-k", "identity", "--depth", "f32", "-o", name]);
        place.ok(&[name, "-k", "identity", "--depth", "8", "-o", "back.png"]);
        let (a, b) = (place.open("input.png").into_rgb8(), place.open("back.png").into_rgb8());
        // HDR shares one exponent between the three channels of a pixel.
        let most = if name == "a.hdr" { 2 } else { 0 };
        assert!(a.as_raw().iter().zip(b.as_raw()).all(|(a, b)| a.abs_diff(*b) <= most), "{name}");
    }
    // HDR has no negative values: derivatives are shown by their magnitude.
    place.ok(&["a.hdr", "-k", "sobel-x"]);
    let edges = place.open("a.sobel-x.hdr").into_rgb32f();
    assert!(edges.as_raw().iter().any(|&v| v > 1.0));
}

#[test]
fn grey_and_alpha_widen_where_needed() {
    let place = Place::new();
    let grey = image::GrayImage::from_fn(9, 7, |x, y| image::Luma([(x * 20 + y) as u8]));
    let both =
        image::GrayAlphaImage::from_fn(9, 7, |x, y| image::LumaA([90, (x * y * 3) as u8 | 1]));
    place.save("grey.png", grey);
    place.save("both.png", both);
    for name in [
        "o.png", "o.webp", "o.tiff", "o.bmp", "o.pgm", "o.ppm", "o.pam", "o.qoi", "o.tga", "o.gif",
        "o.jpg",
    ] {
        place.ok(&["grey.png", "-k", "identity", "-o", name]);
        let (from, to) = (place.open("grey.png").into_luma8(), place.open(name).into_luma8());
        let most = if name == "o.jpg" || name == "o.gif" { 6 } else { 1 };
        assert!(
            from.as_raw().iter().zip(to.as_raw()).all(|(a, b)| a.abs_diff(*b) <= most),
            "{name}"
        );
    }
    for name in ["o.png", "o.webp", "o.bmp", "o.pam", "o.pnm", "o.qoi", "o.tga"] {
        place.ok(&["both.png", "-k", "identity", "-o", name]);
        assert_eq!(place.open(name).into_rgba8(), place.open("both.png").into_rgba8(), "{name}");
    }
    // A TIFF file holds grey with alpha as it is.
    place.ok(&["both.png", "-k", "identity", "-o", "o.tiff"]);
    place.ok(&["o.tiff", "-k", "identity", "-o", "o.png"]);
    assert_eq!(place.open("o.png"), place.open("both.png"));
}

#[test]
fn pnm_files_are_of_the_kind_their_name_says() {
    let place = Place::new();
    place.save("grey.png", grey16(9, 7));
    place.save("rgb.png", scene(9, 7));
    let magic = |name: &str| std::fs::read(place.path(name)).unwrap()[..2].to_vec();
    for (from, to, kind) in [
        ("grey.png", "o.pgm", b"P5"),
        ("grey.png", "o.pnm", b"P5"),
        ("grey.png", "o.ppm", b"P6"),
        ("grey.png", "o.pam", b"P7"),
        ("rgb.png", "o.ppm", b"P6"),
        ("rgb.png", "o.pnm", b"P6"),
        ("rgb.png", "o.pam", b"P7"),
    ] {
        place.ok(&[from, "-k", "identity", "-o", to]);
        assert_eq!(magic(to), kind, "{from} {to}");
        assert_eq!(place.open(to).into_rgb16(), place.open(from).into_rgb16(), "{from} {to}");
    }
    place.fails(2, "colour", &["rgb.png", "-k", "box", "-o", "p.pgm"]);
    place.fails(2, ".pbm", &["rgb.png", "-k", "box", "-o", "p.pbm"]);
    place.write("bits.pbm", "P1\n4 2\n1 0 1 0\n0 1 0 1\n");
    place.ok(&["bits.pbm", "-k", "box"]);
    assert_eq!(magic("bits.box.pnm"), b"P5");
}

#[test]
fn losing_alpha_or_depth_must_be_allowed() {
    let place = Place::new();
    place.save("soft.png", soft(20, 9));
    place.save("opaque.png", DynamicImage::from(scene(9, 7)).into_rgba8());
    place.save("deep.png", grey16(20, 9));
    place.fails(2, "--alpha drop", &["soft.png", "-k", "box", "-o", "o.jpg"]);
    place.fails(2, "--alpha drop", &["soft.png", "-k", "box", "-o", "o.ppm"]);
    place.ok(&["soft.png", "-k", "box", "-o", "o.jpg", "--alpha", "drop"]);
    // Alpha that hides nothing is no loss.
    place.ok(&["opaque.png", "-k", "box", "-o", "o.jpg"]);
    for name in ["d.jpg", "d.webp", "d.bmp", "d.gif", "d.qoi", "d.tga"] {
        place.fails(2, "--depth 8", &["deep.png", "-k", "box", "-o", name]);
        place.ok(&["deep.png", "-k", "box", "--depth", "8", "-o", "o.png"]);
    }
    place.fails(2, "--depth 16", &["soft.png", "-k", "box", "--depth", "f32"]);
    place.fails(2, "--depth f32", &["soft.png", "-k", "box", "-o", "o.exr"]);
    place.fails(2, "cannot write .xyz", &["soft.png", "-k", "box", "-o", "o.xyz"]);
}

#[test]
fn the_content_says_what_a_file_is() {
    let place = Place::with_input();
    std::fs::rename(place.path("input.png"), place.path("wrong.jpg")).unwrap();
    place.ok(&["wrong.jpg", "-k", "identity"]);
    let bytes = std::fs::read(place.path("wrong.identity.png")).unwrap();
    assert_eq!(image::guess_format(&bytes).unwrap(), image::ImageFormat::Png);
    std::fs::rename(place.path("wrong.jpg"), place.path("photo.v2")).unwrap();
    place.ok(&["photo.v2", "-k", "box"]);
    assert!(place.path("photo.v2.box.png").exists());
}

/// A zlib stream of one block that is not compressed.
fn stored(rows: &[u8]) -> Vec<u8> {
    let (a, b) = rows.iter().fold((1u32, 0u32), |(a, b), r| {
        let a = (a + u32::from(*r)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let length = rows.len() as u16;
    let head = [&[0x78, 0x01, 0x01][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    [&head, rows, &(b << 16 | a).to_be_bytes()].concat()
}

#[test]
fn one_bit_and_interlaced_pngs() {
    let place = Place::new();
    let read = |name: &str| {
        place.ok(&[name, "-k", "identity", "-o", "o.png"]);
        place.open("o.png").into_luma8().into_raw()
    };
    // Ten pixels a row take two bytes, the rest of which is nothing.
    let rows = stored(&[0, 0b1010_0001, 0b1000_0000, 0, 0b0000_1111, 0b0111_1111]);
    place.write("bits.png", png_file(10, 2, [1, 0], &[(b"IDAT", &rows)]));
    let bits = [1u8, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1];
    assert_eq!(read("bits.png"), bits.map(|b| b * 255));
    // Two colours in one bit.
    let colours = [9, 9, 9, 200, 200, 200];
    let file = png_file(10, 2, [1, 3], &[(b"PLTE", &colours), (b"IDAT", &rows)]);
    place.write("palette.png", file);
    assert_eq!(read("palette.png"), bits.map(|b| if b == 1 { 200 } else { 9 }));

    // Adam7 of 3 × 3: the passes that have pixels are 1, 4, 5, 6 and 7.
    let passes = [0, 1, 0, 3, 0, 7, 9, 0, 2, 0, 8, 0, 4, 5, 6];
    let header = [0, 0, 0, 3, 0, 0, 0, 3, 8, 0, 0, 0, 1];
    let file = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk(b"IHDR", &header),
        png_chunk(b"IDAT", &stored(&passes)),
        png_chunk(b"IEND", &[]),
    ];
    place.write("adam7.png", file.concat());
    assert_eq!(read("adam7.png"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn pnm_files_of_sixteen_bits_and_of_odd_ranges() {
    let place = Place::new();
    let samples = [0u16, 1, 256, 65_535, 4660, 300];
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
    for (name, header) in [("a.pgm", "P5\n6 1\n65535\n"), ("a.ppm", "P6\n2 1\n65535\n")] {
        place.write(name, [header.as_bytes(), &bytes].concat());
        place.ok(&[name, "-k", "identity", "-o", "o.png"]);
        let got = place.open("o.png");
        let got = if name == "a.pgm" {
            got.into_luma16().into_raw()
        } else {
            got.into_rgb16().into_raw()
        };
        assert_eq!(got, samples, "{name}");
        // And back to the same file.
        place.ok(&[name, "-k", "identity"]);
        assert_eq!(place.bytes(&name.replace("a.", "a.identity.")), place.bytes(name));
    }
    // Full scale is what the file says it is.
    place.write("ten.pgm", b"P5\n3 1\n1023\n\0\0\x03\xff\x01\xff");
    place.ok(&["ten.pgm", "-k", "identity", "-o", "o.png"]);
    let got = place.open("o.png").into_luma16().into_raw();
    assert_eq!((got[0], got[1]), (0, 65_535), "{got:?}");
    assert!(got[2].abs_diff(32_735) <= 1, "{got:?}");
}

/// Grey pictures of 2 × 2 in a BigTIFF file, one a page.
fn big_tiff(pages: &[[u8; 4]]) -> Vec<u8> {
    let mut out = b"II+\0\x08\0\0\0".to_vec();
    out.extend((16 + 8 * pages.len() as u64).to_le_bytes());
    out.extend(pages.iter().flat_map(|p| [p.as_slice(), &[0; 4]].concat()));
    for i in 0..pages.len() {
        // Width, height, bits, compression, kind, place, rows and bytes of the strip.
        let strip = 16 + 8 * i as u64;
        let entries: [(u16, u16, u64); 8] = [
            (256, 3, 2),
            (257, 3, 2),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 16, strip),
            (278, 3, 2),
            (279, 3, 4),
        ];
        out.extend((entries.len() as u64).to_le_bytes());
        for (tag, kind, value) in entries {
            out.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            out.extend([1u64.to_le_bytes(), value.to_le_bytes()].concat());
        }
        let next = if i + 1 < pages.len() { out.len() as u64 + 8 } else { 0 };
        out.extend(next.to_le_bytes());
    }
    out
}

#[test]
fn big_tiffs_are_read_and_their_pages_counted() {
    let place = Place::new();
    place.write("big.tif", big_tiff(&[[1, 2, 3, 200]]));
    place.ok(&["big.tif", "-k", "identity", "-o", "o.png"]);
    assert_eq!(place.open("o.png").into_luma8().into_raw(), [1, 2, 3, 200]);
    place.write("pages.tif", big_tiff(&[[5, 6, 7, 8], [1, 2, 3, 4]]));
    place.fails(3, "several pages", &["pages.tif", "-k", "identity", "-o", "p.png"]);
    place.ok(&["pages.tif", "-k", "identity", "-o", "p.png", "--first-frame"]);
    assert_eq!(place.open("p.png").into_luma8().into_raw(), [5, 6, 7, 8]);
}

#[test]
fn unusual_jpegs_are_read_right() {
    use libjpeg_turbo_rs::{Encoder, PixelFormat};
    let place = Place::new();
    let flat = |pixel: &[u8], format| {
        let pixels = pixel.repeat(16 * 16);
        move |progressive: bool, arithmetic: bool| {
            let encoder = Encoder::new(&pixels, 16, 16, format).quality(95);
            encoder.progressive(progressive).arithmetic(arithmetic).encode().unwrap()
        }
    };
    let first = |name: &str| {
        place.ok(&[name, "-k", "identity", "-o", "o.png"]);
        place.open("o.png").into_rgb8().get_pixel(8, 8).0
    };
    let near = |got: [u8; 3], want: [u8; 3]| {
        assert!(got.iter().zip(want).all(|(a, b)| a.abs_diff(b) <= 4), "{got:?}, not {want:?}");
    };
    let rgb = flat(&[200, 90, 30], PixelFormat::Rgb);
    place.write("progressive.jpg", rgb(true, false));
    near(first("progressive.jpg"), [200, 90, 30]);
    // Ink is stored the other way round, as Adobe does: here no cyan, all magenta and yellow.
    place.write("cmyk.jpg", flat(&[255, 0, 0, 255], PixelFormat::Cmyk)(false, false));
    near(first("cmyk.jpg"), [255, 0, 0]);
    place.write("arithmetic.jpg", rgb(false, true));
    near(first("arithmetic.jpg"), [200, 90, 30]);
}
