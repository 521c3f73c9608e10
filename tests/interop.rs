//! The `image` crate's types through the filter: variants, containers, alpha, colour spaces.
#![cfg(feature = "image")]

use image::metadata::Cicp;
use image::{
    DynamicImage, ImageBuffer, Luma, LumaA, Pixel, Rgb, RgbImage, Rgba, Rgba32FImage, RgbaImage,
};
use twopass::{
    Alpha, Border, Chain, Error, Filter, Image, Kernel, Pointwise, Rect, Sample, Shape, Source,
    View, ViewMut, Workspace, reference,
};

#[allow(dead_code, unreachable_pub)]
#[path = "../assets/draw_assets.rs"]
mod draw_assets;

/// Noise that is the same everywhere and always.
fn hash(x: u32, y: u32, c: u32) -> u32 {
    let mut h =
        x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ c.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// A noise image. With an alpha channel, one pixel in four is transparent and one opaque.
fn noise<P>(width: u32, height: u32) -> ImageBuffer<P, Vec<P::Subpixel>>
where
    P: Pixel,
    P::Subpixel: Source,
{
    let channels = u32::from(P::CHANNEL_COUNT);
    let mut data = Vec::new();
    for i in 0..width * height * channels {
        let (pixel, c) = (i / channels, i % channels);
        let (x, y) = (pixel % width, pixel / width);
        let unit = f64::from(hash(x, y, c) >> 8) / f64::from((1 << 24) - 1);
        let unit = match hash(x, y, 99) % 4 {
            0 if P::HAS_ALPHA && c == channels - 1 => 0.0,
            1 if P::HAS_ALPHA && c == channels - 1 => 1.0,
            _ => unit,
        };
        data.push(P::Subpixel::from_f64(unit * P::Subpixel::FULL));
    }
    ImageBuffer::from_raw(width, height, data).unwrap()
}

/// One image of every variant.
fn every_variant(width: u32, height: u32) -> [DynamicImage; 10] {
    [
        DynamicImage::ImageLuma8(noise(width, height)),
        DynamicImage::ImageLumaA8(noise(width, height)),
        DynamicImage::ImageRgb8(noise(width, height)),
        DynamicImage::ImageRgba8(noise(width, height)),
        DynamicImage::ImageLuma16(noise(width, height)),
        DynamicImage::ImageLumaA16(noise(width, height)),
        DynamicImage::ImageRgb16(noise(width, height)),
        DynamicImage::ImageRgba16(noise(width, height)),
        DynamicImage::ImageRgb32F(noise(width, height)),
        DynamicImage::ImageRgba32F(noise(width, height)),
    ]
}

/// All samples, and the size in pixels.
fn values(image: &DynamicImage) -> (Vec<f64>, Shape) {
    let channels = usize::from(image.color().channel_count());
    let shape = Shape::new(image.width() as usize, image.height() as usize, channels);
    let values = if let Some(v) = image.as_flat_samples_u8() {
        v.samples.iter().map(|&s| s.to_f64()).collect()
    } else if let Some(v) = image.as_flat_samples_u16() {
        v.samples.iter().map(|&s| s.to_f64()).collect()
    } else {
        image.as_flat_samples_f32().unwrap().samples.iter().map(|&s| s.to_f64()).collect()
    };
    (values, shape)
}

/// The exact results of the definition, before rounding, for any variant.
fn exact(filter: &Filter, image: &DynamicImage) -> (Vec<f64>, Shape) {
    fn region<S: Source>(filter: &Filter, samples: &[S], shape: Shape) -> (Vec<f64>, Shape) {
        let out = filter.output_shape(shape).unwrap();
        let view = View::new(samples, shape).unwrap();
        (reference::region(filter, shape, view, (0, 0), out.rect()).unwrap(), out)
    }
    let (_, shape) = values(image);
    if let Some(v) = image.as_flat_samples_u8() {
        region(filter, v.samples, shape)
    } else if let Some(v) = image.as_flat_samples_u16() {
        region(filter, v.samples, shape)
    } else {
        region(filter, image.as_flat_samples_f32().unwrap().samples, shape)
    }
}

fn full(image: &DynamicImage) -> f64 {
    match image.color().bytes_per_pixel() / image.color().channel_count() {
        1 => 255.0,
        2 => 65535.0,
        _ => 1.0,
    }
}

/// Asserts that `given` keeps the contract: integers within 1 of the definition, floats close;
/// behind alpha both hold for colour × alpha.
fn assert_close(filter: &Filter, source: &DynamicImage, given: &DynamicImage, what: &str) {
    let (expected, expected_shape) = exact(filter, source);
    let (given, given_shape) = values(given);
    assert_eq!(given_shape, expected_shape, "{what}");
    let full = full(source);
    let tolerance = if full == 1.0 { 1e-5 } else { 1.0 };
    let last = given_shape.channels - 1;
    let round = |v: f64| if full == 1.0 { v } else { (v + 0.5).floor().clamp(0.0, full) };
    for (i, (g, e)) in given.chunks(last + 1).zip(expected.chunks(last + 1)).enumerate() {
        for (c, (&g_c, &e_c)) in g.iter().zip(e).enumerate() {
            let premultiplied = filter.get_alpha() == Some(Alpha::Premultiply) && c < last;
            let weight = if premultiplied { e[last].clamp(0.0, full) / full } else { 1.0 };
            let error = (g_c - round(e_c)).abs() * weight;
            assert!(error <= tolerance, "{what}: pixel {i}, channel {c}: {g_c} for {e_c}");
        }
    }
}

fn binomial() -> Filter {
    Filter::new(Kernel::separable(&[1.0, 2.0, 1.0], &[1.0, 4.0, 6.0, 4.0, 1.0]).unwrap())
        .scale(1.0 / 64.0)
}

fn sharpen() -> Filter {
    let taps = vec![0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0];
    Filter::new(Kernel::new(3, 3, taps).unwrap())
}

fn sobel_x() -> Filter {
    Filter::new(Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0]).unwrap())
}

fn identity() -> Filter {
    Filter::new(Kernel::separable(&[0.0, 1.0, 0.0], &[0.0, 1.0, 0.0]).unwrap())
}

/// What `apply` is documented to do with this image's alpha channel.
fn documented(filter: &Filter, image: &DynamicImage, alpha: Alpha) -> Filter {
    if image.color().has_alpha() { filter.clone().alpha(alpha) } else { filter.clone() }
}

#[test]
fn every_variant_keeps_its_type_and_follows_the_definition() {
    let borders = [
        Border::Reflect101,
        Border::Replicate,
        Border::Wrap,
        Border::Constant(vec![1.0]),
        Border::Valid,
    ];
    for (width, height) in [(17, 11), (5, 3), (6, 40)] {
        for image in every_variant(width, height) {
            for border in &borders {
                for (filter, alpha) in [
                    (binomial(), Alpha::Premultiply),
                    (sharpen(), Alpha::Keep),
                    (sobel_x().abs(), Alpha::Keep),
                    (sobel_x().offset(0.5), Alpha::Keep),
                ] {
                    let filter = filter.border(border.clone());
                    let what = format!("{:?} {width}×{height} {border}", image.color());
                    let result = filter.apply(&image).unwrap();
                    assert_eq!(
                        std::mem::discriminant(&result),
                        std::mem::discriminant(&image),
                        "{what}"
                    );
                    assert_close(&documented(&filter, &image, alpha), &image, &result, &what);
                }
            }
        }
    }
}

#[test]
fn alpha_can_be_overridden() {
    for image in every_variant(9, 8).iter().filter(|i| i.color().has_alpha()) {
        for alpha in [Alpha::Premultiply, Alpha::Plain, Alpha::Keep] {
            for filter in [binomial(), sharpen()] {
                let filter = filter.alpha(alpha);
                assert_eq!(filter.alpha_or_default(), alpha);
                let what = format!("{:?} {alpha:?}", image.color());
                assert_close(&filter, image, &filter.apply(image).unwrap(), &what);
            }
        }
    }
}

#[test]
fn the_default_alpha_follows_the_signs_of_the_weights() {
    assert_eq!(binomial().alpha_or_default(), Alpha::Premultiply);
    assert_eq!(identity().alpha_or_default(), Alpha::Premultiply);
    assert_eq!(sharpen().alpha_or_default(), Alpha::Keep);
    // Inversion: a negative weight, though no tap is negative. Alpha must survive it.
    let invert = identity().scale(-1.0).offset(255.0);
    assert_eq!(invert.alpha_or_default(), Alpha::Keep);
    let image = RgbaImage::from_pixel(3, 3, Rgba([10, 20, 255, 77]));
    let inverted = invert.apply_buffer(&image).unwrap();
    assert!(inverted.pixels().all(|p| *p == Rgba([245, 235, 0, 77])));
    let y = Kernel::separable(&[1.0, 0.0, -1.0], &[1.0]).unwrap();
    let magnitude = Filter::magnitude(&Kernel::new(1, 1, vec![1.0]).unwrap(), &y).unwrap();
    assert_eq!(magnitude.alpha_or_default(), Alpha::Keep);
}

#[test]
fn alpha_handling_needs_an_alpha_channel() {
    for image in every_variant(4, 4).iter().filter(|i| !i.color().has_alpha()) {
        let channels = usize::from(image.color().channel_count());
        for alpha in [Alpha::Premultiply, Alpha::Keep] {
            let error = binomial().alpha(alpha).apply(image).unwrap_err();
            assert_eq!(error, Error::NoAlpha { channels });
        }
        assert!(binomial().alpha(Alpha::Plain).apply(image).is_ok());
    }
}

#[test]
fn signed_and_float_results_keep_the_units_of_the_source() {
    for image in every_variant(13, 7) {
        let plain = sobel_x();
        let filter = documented(&plain, &image, Alpha::Keep);
        let (expected, shape) = exact(&filter, &image);
        let what = format!("{:?}", image.color());

        let signed: Image<i16> = plain.apply_to(&image).unwrap();
        let floats: Image<f32> = plain.apply_to(&image).unwrap();
        assert_eq!(signed.shape(), shape, "{what}");
        assert_eq!(floats.shape(), shape, "{what}");
        for ((&s, &f), &e) in signed.data().iter().zip(floats.data()).zip(&expected) {
            if full(&image) == 1.0 {
                assert!((f64::from(f) - e).abs() <= 1e-5, "{what}: {f} for {e}");
            } else {
                assert_eq!(s, i16::from_f64(e), "{what}");
                assert_eq!(f64::from(f), e, "{what}");
            }
        }
    }
    let narrow: Image<u8> = identity().apply_to(&every_variant(5, 5)[6]).unwrap();
    assert_eq!(narrow.shape(), Shape::new(5, 5, 3));
    assert!(narrow.data().contains(&255), "16 bits saturate in 8");
}

#[test]
fn borrowed_and_oversized_containers() {
    let small = noise::<Rgb<u8>>(7, 5);
    let expected = binomial().apply_buffer(&small).unwrap();

    let mut longer = small.as_raw().clone();
    longer.extend([99; 40]);
    let view = View::try_from(&small).unwrap();
    assert!(std::ptr::eq(view.row(0).as_ptr(), small.as_raw().as_ptr()), "a copy was made");

    let oversized = RgbImage::from_raw(7, 5, longer.clone()).unwrap();
    assert_eq!(View::try_from(&oversized).unwrap().shape(), Shape::new(7, 5, 3));
    assert_eq!(binomial().apply_buffer(&oversized).unwrap(), expected);
    let dynamic = DynamicImage::ImageRgb8(oversized);
    assert_eq!(binomial().apply(&dynamic).unwrap().as_rgb8(), Some(&expected));

    let borrowed: ImageBuffer<Rgb<u8>, &[u8]> = ImageBuffer::from_raw(7, 5, &longer[..]).unwrap();
    assert_eq!(binomial().apply_buffer(&borrowed).unwrap(), expected);

    // Writing into an oversized container leaves its rest alone.
    let mut target: ImageBuffer<Rgb<u8>, &mut [u8]> =
        ImageBuffer::from_raw(7, 5, &mut longer[..]).unwrap();
    let plan = binomial().plan::<u8, u8>(view.shape()).unwrap();
    let out = ViewMut::try_from(&mut target).unwrap();
    plan.run(view, out, &mut Workspace::new()).unwrap();
    assert_eq!(&longer[..105], &expected.as_raw()[..]);
    assert_eq!(&longer[105..], &[99; 40]);
}

#[test]
fn a_crop_of_an_image_is_a_strided_view() {
    let image = noise::<Rgba<u16>>(12, 10);
    let rect = Rect::new(3, 2, 6, 7);
    let crop = View::try_from(&image).unwrap().crop(rect).unwrap();
    let copy = image::imageops::crop_imm(&image, 3, 2, 6, 7).to_image();
    let filter = sharpen().alpha(Alpha::Keep);
    let expected = sharpen().apply_buffer(&copy).unwrap();

    // Into the middle of another image, the rest of which stays as it is.
    let mut canvas = ImageBuffer::<Rgba<u16>, _>::from_pixel(12, 10, Rgba([7; 4]));
    let out = ViewMut::try_from(&mut canvas).unwrap().crop(rect).unwrap();
    let plan = filter.plan::<u16, u16>(crop.shape()).unwrap();
    plan.run(crop, out, &mut Workspace::new()).unwrap();
    for (x, y, pixel) in canvas.enumerate_pixels() {
        let inside = (3..9).contains(&x) && (2..9).contains(&y);
        let wanted = if inside { *expected.get_pixel(x - 3, y - 2) } else { Rgba([7; 4]) };
        assert_eq!(*pixel, wanted, "{x} {y}");
    }
}

#[test]
fn raw_views_are_plain() {
    let image = noise::<LumaA<u8>>(6, 6);
    let view = View::try_from(&image).unwrap();
    let plan = binomial().plan::<u8, u8>(view.shape()).unwrap();
    let mut out = Image::new(plan.output_shape()).unwrap();
    plan.run(view, out.view_mut(), &mut Workspace::new()).unwrap();
    let plain = binomial().alpha(Alpha::Plain).apply_buffer(&image).unwrap();
    assert_eq!(out.data(), &plain.as_raw()[..]);
}

#[test]
fn identity_is_lossless_where_alpha_is_not_zero() {
    for image in every_variant(16, 16) {
        let (before, shape) = values(&image);
        let (after, _) = values(&identity().apply(&image).unwrap());
        let has_alpha = image.color().has_alpha();
        for (b, a) in before.chunks(shape.channels).zip(after.chunks(shape.channels)) {
            let alpha = b[shape.channels - 1];
            if has_alpha && alpha == 0.0 {
                assert!(a.iter().all(|&v| v == 0.0), "{a:?} where nothing is visible");
            } else if full(&image) == 1.0 {
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} for {b:?}");
            } else {
                assert_eq!(a, b, "{:?}", image.color());
            }
        }
    }
}

#[test]
fn every_alpha_and_colour_survives_the_identity() {
    let image = RgbaImage::from_fn(256, 256, |x, y| {
        let (colour, alpha) = (x as u8, y as u8);
        Rgba([colour, 255 - colour, colour ^ 0x55, alpha])
    });
    let result = identity().apply_buffer(&image).unwrap();
    for (x, y, pixel) in result.enumerate_pixels() {
        let wanted = if y == 0 { Rgba([0; 4]) } else { *image.get_pixel(x, y) };
        assert_eq!(*pixel, wanted);
    }
}

#[test]
fn transparent_colour_does_not_bleed() {
    // A red disc's edge, and garish green where nothing is visible.
    let image = RgbaImage::from_fn(24, 9, |x, _| match x {
        0..12 => Rgba([200, 0, 40, 255]),
        _ => Rgba([0, 255, 0, 0]),
    });
    let blurred = binomial().apply_buffer(&image).unwrap();
    let mut soft = 0;
    for Rgba([r, g, b, a]) in blurred.pixels().copied() {
        assert_eq!(g, 0, "green bleeds");
        if a == 0 {
            assert_eq!([r, b], [0, 0]);
        } else {
            let visible = f64::from(a) / 255.0;
            assert!((f64::from(r) - 200.0).abs() * visible <= 1.0, "{r} at alpha {a}");
            assert!((f64::from(b) - 40.0).abs() * visible <= 1.0, "{b} at alpha {a}");
        }
        soft += usize::from(a > 0 && a < 255);
    }
    assert_eq!(soft, 4 * 9, "four columns are half transparent");
    let plain = binomial().alpha(Alpha::Plain).apply_buffer(&image).unwrap();
    assert!(plain.get_pixel(11, 4)[1] > 0, "the test sees bleeding when there is some");
}

#[test]
fn hidden_colours_make_no_difference() {
    let garish = draw_assets::soft_alpha();
    let mut clean = garish.clone();
    clean.pixels_mut().filter(|p| p[3] == 0).for_each(|p| *p = Rgba([0; 4]));
    assert_ne!(garish, clean);
    let blurred = binomial().apply_buffer(&garish).unwrap();
    assert!(blurred == binomial().apply_buffer(&clean).unwrap());
}

#[test]
fn opaque_pictures_are_filtered_as_if_they_had_no_alpha() {
    let rgb = noise::<Rgb<u8>>(20, 15);
    let rgba = DynamicImage::ImageRgb8(rgb.clone()).into_rgba8();
    for border in [Border::Reflect101, Border::Wrap, Border::Valid] {
        for filter in [binomial(), sharpen(), sobel_x().abs()] {
            let filter = filter.border(border.clone());
            let plain = filter.apply_buffer(&rgb).unwrap();
            let result = filter.apply_buffer(&rgba).unwrap();
            for (Rgba([r, g, b, a]), Rgb(wanted)) in result.pixels().zip(plain.pixels()) {
                assert_eq!(*a, 255);
                let near = [r, g, b].into_iter().zip(wanted).all(|(v, w)| v.abs_diff(*w) <= 1);
                assert!(near, "{r} {g} {b} for {wanted:?}");
            }
        }
    }
}

#[test]
fn negative_taps_keep_alpha_from_the_anchor() {
    fn check<P>(what: &str)
    where
        P: Pixel,
        P::Subpixel: Source,
    {
        let image = noise::<P>(11, 9);
        let alpha = |i: &ImageBuffer<P, Vec<P::Subpixel>>, x: u32, y: u32| {
            *i.get_pixel(x, y).channels().last().unwrap()
        };
        let taps: Vec<f64> = (0..12).map(|i| f64::from(i % 5) - 2.0).collect();
        for (ax, ay) in [(0, 0), (3, 2), (2, 1), (0, 2)] {
            let kernel = Kernel::new(4, 3, taps.clone()).unwrap().with_anchor(ax, ay).unwrap();
            let filter = Filter::new(kernel);
            let same = filter.apply_buffer(&image).unwrap();
            for (x, y) in (0..9).flat_map(|y| (0..11).map(move |x| (x, y))) {
                assert_eq!(alpha(&same, x, y), alpha(&image, x, y), "{what} {ax} {ay}");
            }
            let valid = filter.border(Border::Valid).apply_buffer(&image).unwrap();
            assert_eq!(valid.dimensions(), (8, 7));
            for (x, y) in (0..7).flat_map(|y| (0..8).map(move |x| (x, y))) {
                let at_anchor = alpha(&image, x + ax as u32, y + ay as u32);
                assert_eq!(alpha(&valid, x, y), at_anchor, "{what} {ax} {ay} valid");
            }
        }
    }
    check::<LumaA<u8>>("LumaA8");
    check::<Rgba<u8>>("Rgba8");
    check::<LumaA<u16>>("LumaA16");
    check::<Rgba<u16>>("Rgba16");
    check::<LumaA<f32>>("LumaA32F");
    check::<Rgba<f32>>("Rgba32F");
}

#[test]
fn filters_write_into_images_that_are_there() {
    let mut workspace = Workspace::new();
    for (mut image, other) in
        every_variant(9, 7).into_iter().zip(every_variant(9, 7).into_iter().rev())
    {
        let is_rgb16 = matches!(image, DynamicImage::ImageRgb16(_));
        if is_rgb16 {
            image.set_color_space(Cicp::DISPLAY_P3).unwrap();
        }
        for filter in [binomial(), sharpen()] {
            let wanted = filter.apply(&image).unwrap();
            let mut out = DynamicImage::new(9, 7, image.color());
            filter.apply_into(&image, &mut out, &mut workspace).unwrap();
            assert!(out == wanted && out.color_space() == wanted.color_space());
            let mut small = DynamicImage::new(9, 6, image.color());
            let error = filter.apply_into(&image, &mut small, &mut workspace).unwrap_err();
            assert!(matches!(error, Error::ShapeMismatch { what: "output", .. }), "{error}");
            let mut other = other.clone();
            if other.color() != image.color() {
                let error = filter.apply_into(&image, &mut other, &mut workspace).unwrap_err();
                assert!(matches!(error, Error::Unsupported(_)), "{error}");
            }
        }
    }
}

#[test]
fn chains_treat_alpha_as_filters_do() {
    let image = DynamicImage::from(draw_assets::soft_alpha().clone()).crop_imm(100, 60, 60, 40);
    let alone = Chain::new(binomial()).apply(&image).unwrap();
    assert!(alone == binomial().apply(&image).unwrap(), "a chain of one is the filter");

    // A blur, which is premultiplied, then a sharpening, which keeps alpha; as by hand.
    let chain = Chain::new(binomial()).then(sharpen()).unwrap();
    let by_hand = Chain::new(binomial().alpha(Alpha::Premultiply));
    let by_hand = by_hand.then(sharpen().alpha(Alpha::Keep)).unwrap();
    let run = |chain: &Chain| {
        let rgba = image.as_rgba8().unwrap();
        let view = View::try_from(rgba).unwrap();
        let plan = chain.plan::<u8, u8>(view.shape()).unwrap();
        let mut out = Image::new(plan.output_shape()).unwrap();
        plan.run(view, out.view_mut(), &mut Workspace::new()).unwrap();
        out
    };
    let result = chain.apply_to::<u8>(&image).unwrap();
    assert!(result == run(&by_hand));
    assert!(result != run(&chain), "raw views know no alpha");
    let plain = Chain::new(binomial().alpha(Alpha::Plain));
    let plain = plain.then(sharpen().alpha(Alpha::Plain)).unwrap();
    assert!(plain.apply_to::<u8>(&image).unwrap() == run(&chain), "and it can be switched off");
}

#[test]
fn chains_give_the_variant_of_their_channels() {
    let matrix = |inputs: usize, outputs: usize| {
        let weights: Vec<f32> = (0..inputs * outputs).map(|i| (i % 3) as f32 * 0.2).collect();
        Pointwise::from_pytorch(&weights, [outputs, inputs, 1, 1]).unwrap()
    };
    for image in every_variant(6, 5) {
        let channels = usize::from(image.color().channel_count());
        for outputs in 1..=5 {
            // After a change of channels nothing is known to be alpha, and filters are plain.
            let chain = Chain::new(matrix(channels, outputs)).then(binomial()).unwrap();
            let result = chain.apply(&image);
            let float =
                matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_));
            if outputs > 4 || float && outputs < 3 {
                assert!(matches!(result, Err(Error::Unsupported(_))));
                assert_eq!(chain.apply_to::<f32>(&image).unwrap().shape().channels, outputs);
                continue;
            }
            let color = result.unwrap().color();
            assert_eq!(usize::from(color.channel_count()), outputs);
            let bytes = |c: image::ColorType| c.bytes_per_pixel() / c.channel_count();
            assert_eq!(bytes(color), bytes(image.color()));
        }
    }
}

#[test]
fn empty_images_are_errors() {
    for (width, height) in [(0, 0), (0, 5), (5, 0)] {
        for image in every_variant(width, height) {
            let shape = values(&image).1;
            let empty = Error::EmptyImage(shape);
            assert_eq!(binomial().apply(&image).unwrap_err(), empty);
            assert_eq!(binomial().apply_to::<i16>(&image).unwrap_err(), empty);
        }
        let mut buffer = RgbImage::new(width, height);
        assert!(matches!(View::try_from(&buffer), Err(Error::EmptyImage(_))));
        assert!(matches!(ViewMut::try_from(&mut buffer), Err(Error::EmptyImage(_))));
    }
}

#[test]
fn one_pixel_is_enough() {
    for image in every_variant(1, 1) {
        for border in [Border::Reflect101, Border::Reflect, Border::Replicate, Border::Wrap] {
            for (filter, alpha) in [(binomial(), Alpha::Premultiply), (sharpen(), Alpha::Keep)] {
                let filter = filter.border(border.clone());
                let result = filter.apply(&image).unwrap();
                let what = format!("{:?} {border}", image.color());
                assert_close(&documented(&filter, &image, alpha), &image, &result, &what);
            }
        }
        let error = binomial().border(Border::Valid).apply(&image).unwrap_err();
        assert!(matches!(error, Error::NothingValid { .. }));
    }
}

#[test]
fn the_colour_space_stays() {
    let mut image = DynamicImage::ImageRgb16(noise(4, 4));
    image.set_color_space(Cicp::DISPLAY_P3).unwrap();
    assert_eq!(binomial().apply(&image).unwrap().color_space(), Cicp::DISPLAY_P3);
    let mut image: Rgba32FImage = noise(4, 4);
    image.set_color_space(Cicp::SRGB_LINEAR).unwrap();
    assert_eq!(binomial().apply_buffer(&image).unwrap().color_space(), Cicp::SRGB_LINEAR);
    assert_eq!(
        binomial().apply_buffer(&noise::<Luma<u8>>(4, 4)).unwrap().color_space(),
        Cicp::SRGB
    );
}

#[test]
fn bad_filters_are_errors_not_panics() {
    let image = &every_variant(4, 4)[3];
    let three = binomial().border(Border::Constant(vec![1.0, 2.0, 3.0]));
    assert_eq!(three.apply(image).unwrap_err(), Error::ConstantCount { given: 3, channels: 4 });
    assert!(matches!(binomial().scale(f64::NAN).apply(image), Err(Error::Parameter { .. })));
}

/// The committed pictures are those that `assets/draw_assets.rs` draws, to the last bit.
#[test]
fn the_assets_are_what_their_generator_draws() {
    let committed = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name);
        image::load_from_memory(&std::fs::read(path).unwrap()).unwrap()
    };
    let drawn = [
        ("scene.png", DynamicImage::ImageRgb8(draw_assets::scene())),
        ("chart16.png", DynamicImage::ImageLuma16(draw_assets::chart())),
        ("soft-alpha.png", DynamicImage::ImageRgba8(draw_assets::soft_alpha())),
    ];
    for (name, drawn) in drawn {
        let committed = committed(name);
        assert_eq!(committed.color(), drawn.color(), "{name}");
        let same = committed.as_bytes() == drawn.as_bytes();
        assert!(same, "{name} differs: run `cargo run --release --example draw_assets`");
    }
}
