//! At the ends of ranges: constants of borders, large and small floats, exactness, and what is no use of the crate.

use crate::common::{Look, image, levels, rng, run};
use rand::RngExt;
use twopass::{
    Alpha, Border, Chain, Error, Filter, Image, Kernel, Rect, Sample, Shape, Source, View,
    Workspace, reference,
};

/// Boxes of four channels into `i16`.
#[test]
fn means_of_four_channels_into_i16() {
    for n in [7, 8, 9, 11, 15] {
        for shape in [Shape::new(1, 1, 4), Shape::new(70, 9, 4)] {
            let image = image::<u8>(shape, Look::Noise, n as u64);
            for kernel in [
                Kernel::box_(n, n).unwrap(),
                Kernel::new(n, n, vec![1.0 / 49.0; n * n]).unwrap(),
                Kernel::new(n, 1, vec![1.0 / n as f64; n]).unwrap(),
            ] {
                for filter in [Filter::new(kernel.clone()), Filter::new(kernel).alpha(Alpha::Keep)]
                {
                    let exact = reference::filter::<u8, i16>(&filter, image.view()).unwrap();
                    for level in levels() {
                        let out = run::<u8, i16>(&filter.clone().level(level), image.view());
                        let near = |(a, b): (&i16, &i16)| a.abs_diff(*b) <= 1;
                        assert!(out.unwrap().iter().zip(exact.data()).all(near), "{n}, {level}");
                    }
                }
            }
        }
    }
}

/// Results far beyond the range of samples are its ends, of one filter and of the last of a chain.
#[test]
fn far_beyond_the_range() {
    fn check<I: Source, O: Sample>(kernel: &Kernel) {
        let shape = Shape::new(75, 41, 1);
        let mut image = image::<I>(shape, Look::Noise, 3);
        for v in image.data_mut() {
            *v = I::from_f64(v.to_f64().max(I::FULL / 20.0));
        }
        for scale in [1e4f64, 3e6, 1e8, 1e12, -1e4, -3e6, -1e8, -1e12] {
            let end = if scale > 0.0 { O::MAX } else { O::MIN };
            for offset in [0.0, 1e9 * scale.signum()] {
                let filter = Filter::new(kernel.clone()).scale(scale).offset(offset);
                let alone = Chain::new(filter.clone());
                let chain = Chain::new(Kernel::box_(3, 3).unwrap()).then(filter).unwrap();
                for (chain, level) in
                    [alone, chain].iter().flat_map(|c| levels().into_iter().map(move |l| (c, l)))
                {
                    let plan = chain.clone().level(level).plan::<I, O>(shape).unwrap();
                    let mut out = Image::<O>::new(shape).unwrap();
                    plan.run(image.view(), out.view_mut(), &mut Workspace::new()).unwrap();
                    assert!(out.data().iter().all(|v| v.to_f64() == end), "{scale}: {plan}");
                }
            }
        }
    }
    let disc = Kernel::disc(6.0).unwrap();
    let tilted = Kernel::new(3, 2, vec![0.1, 0.2, 0.3, 0.25, 0.1, 0.05]).unwrap();
    for kernel in [Kernel::gaussian(2.0).unwrap(), Kernel::box_(9, 4).unwrap(), disc, tilted] {
        check::<u8, u8>(&kernel);
        check::<u8, i16>(&kernel);
        check::<u16, u16>(&kernel);
        check::<u16, u8>(&kernel);
    }
}

/// A constant is any number, whatever samples are, in filters and in chains.
#[test]
fn constants_of_any_value() {
    fn check<I: Source, O: Sample>(value: f64) {
        let shape = Shape::new(9, 5, 2);
        let image = image::<I>(shape, Look::Noise, 7);
        let border = Border::Constant(vec![value, 3.0]);
        for kernel in
            [Kernel::box_(3, 3).unwrap(), Kernel::gaussian(0.8).unwrap(), Kernel::sobel_x()]
        {
            let filter = Filter::new(kernel).border(border.clone());
            let then = Filter::new(Kernel::identity()).border(border.clone());
            let alone = Chain::new(filter.clone());
            let chain = alone.clone().then(then).unwrap();
            for level in levels() {
                let check = |out: Vec<O>, exact: &[f64], what: &str| {
                    for (o, e) in out.iter().zip(exact) {
                        let off = (o.to_f64() - e.clamp(O::MIN, O::MAX)).abs();
                        let least = if O::FULL > 1.0 { 0.5 } else { 0.0 };
                        let most = least + 1e-5 * I::FULL.max(value.abs());
                        assert!(off <= most.max(0.999), "{what} {value}, {level}: {o:?} for {e}");
                    }
                };
                let filter = filter.clone().level(level);
                let exact =
                    reference::region(&filter, shape, image.view(), (0, 0), shape.rect()).unwrap();
                check(run::<I, O>(&filter, image.view()).unwrap(), &exact, "filter");
                for chain in [&alone, &chain] {
                    let exact = reference::layer::chain(chain, image.view()).unwrap();
                    let plan = chain.clone().level(level).plan::<I, O>(shape).unwrap();
                    let mut out = Image::<O>::new(shape).unwrap();
                    plan.run(image.view(), out.view_mut(), &mut Workspace::new()).unwrap();
                    check(out.into_vec(), &exact, "chain");
                }
            }
        }
    }
    for value in [0.5, 127.5, -1.0, -100.0, 256.0, 300.0, 70_000.0] {
        check::<u8, u8>(value);
        check::<u8, i16>(value);
        check::<u8, f32>(value);
        check::<u16, u16>(value);
    }
    let refused = |value: f64| {
        let filter = Filter::new(Kernel::identity()).border(Border::Constant(vec![value]));
        let shape = Shape::new(3, 3, 1);
        let (one, two) = (filter.plan::<f32, f32>(shape), filter.plan::<u8, u8>(shape));
        matches!(one, Err(Error::ConstantValue { .. }))
            && matches!(two, Err(Error::ConstantValue { .. }))
    };
    assert!(refused(f64::INFINITY) && refused(f64::NAN) && refused(1e39) && !refused(1e38));
}

/// What rows between filters hold: constants of a later filter that are far beyond the results of the first.
#[test]
fn constants_beyond_the_first_filter() {
    let first = Filter::new(Kernel::box_(3, 3).unwrap()).scale(0.25);
    let then = Filter::new(Kernel::sobel_x()).border(Border::Constant(vec![100.0]));
    let chain = Chain::new(first).then(then).unwrap();
    let shape = Shape::new(9, 5, 1);
    let black = Image::<u8>::new(shape).unwrap();
    let mut out = Image::<i16>::new(shape).unwrap();
    let plan = chain.plan::<u8, i16>(shape).unwrap();
    plan.run(black.view(), out.view_mut(), &mut Workspace::new()).unwrap();
    assert_eq!(out.data()[0], -300);
    let exact = reference::layer::chain(&chain, black.view()).unwrap();
    assert!(out.data().iter().zip(exact).all(|(o, e)| (f64::from(*o) - e).abs() < 1.0));
}

/// Magnitudes and means neither overflow nor vanish where results do not.
#[test]
fn floats_of_any_size() {
    let shape = Shape::new(40, 40, 1);
    let constant = |v: f32| vec![v; 1600];
    for level in levels() {
        let check = |filter: Filter, samples: &[f32], what: &str| {
            let filter = filter.level(level).border(Border::Replicate);
            let view = View::new(samples, shape).unwrap();
            let exact = reference::region(&filter, shape, view, (0, 0), shape.rect()).unwrap();
            let most = samples.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let out = run::<f32, f32>(&filter, view).unwrap();
            for (o, e) in out.iter().zip(exact) {
                let off = (f64::from(*o) - e).abs() / f64::from(most);
                assert!(off < 1e-4, "{what}, {level}: {o:e} for {e:e}");
            }
        };
        let sobel = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap();
        for size in [1e19f32, 1e-22, 1e-30, 1e37] {
            let ramp: Vec<f32> = (0..1600).map(|i| (i % 40) as f32 / 40.0 * size).collect();
            check(sobel.clone(), &ramp, "magnitude");
        }
        for n in [13, 15, 39, 101] {
            let mean = Filter::new(Kernel::box_(n, n).unwrap());
            for size in [1e37, 3e38, -3e38] {
                check(mean.clone(), &constant(size), "box");
            }
        }
        for sigma in [0.8, 2.0, 5.0] {
            check(Filter::new(Kernel::gaussian(sigma).unwrap()), &constant(3e38), "gaussian");
        }
    }
}

/// Whole sums that `f32` holds come out whole; bounds of 0 mean it.
#[test]
fn exactness() {
    let shape = Shape::new(60, 50, 1);
    let mut rng = rng(23);
    let small: Vec<u16> = (0..3000).map(|_| rng.random_range(0..40)).collect();
    let view = View::new(&small, shape).unwrap();
    let ones = Filter::new(Kernel::new(23, 23, vec![1.0; 529]).unwrap());
    let exact = reference::filter::<u16, f32>(&ones, view).unwrap();
    for level in levels() {
        assert_eq!(run::<u16, f32>(&ones.clone().level(level), view).unwrap(), exact.data());
    }
    let scaled = Filter::new(Kernel::new(1, 1, vec![255.0]).unwrap()).scale(1.0 / 255.0);
    let plan = scaled.plan::<u8, f32>(Shape::new(1, 1, 1)).unwrap();
    let mut out = [0.0f32];
    for v in 0..=255u8 {
        let source = [v];
        let out = twopass::ViewMut::new(&mut out, Shape::new(1, 1, 1)).unwrap();
        let source = View::new(&source, Shape::new(1, 1, 1)).unwrap();
        plan.run(source, out, &mut Workspace::new()).unwrap();
    }
    assert!((f64::from(out[0]) - 255.0).abs() <= plan.error_bound().unwrap());
    // Constants have digits behind the point.
    let filter = Filter::new(Kernel::new(3, 3, vec![-127.0; 9]).unwrap())
        .border(Border::Constant(vec![2039.9375]));
    let (shape, noise) = (Shape::new(9, 4, 1), image::<u8>(Shape::new(9, 4, 1), Look::Noise, 4));
    let exact = reference::region(&filter, shape, noise.view(), (0, 0), shape.rect()).unwrap();
    let plan = filter.plan::<u8, f32>(shape).unwrap();
    let out = run::<u8, f32>(&filter, noise.view()).unwrap();
    let near = |(o, e): (&f32, &f64)| (f64::from(*o) - e).abs() <= plan.error_bound().unwrap();
    assert!(plan.error_bound().unwrap() > 0.0 && out.iter().zip(&exact).all(near));
    // Premultiplied: colours times alpha do not fit into `f32`.
    let shape = Shape::new(64, 4, 2);
    let values: Vec<u16> =
        (0..512).map(|i| if i % 2 == 1 { 65535 } else { rng.random_range(0..=65535) }).collect();
    let opaque = View::new(&values, shape).unwrap();
    for row in [[-500.0, 501.0], [-2000.0, 2001.0]] {
        let filter =
            Filter::new(Kernel::new(2, 1, row.to_vec()).unwrap()).alpha(Alpha::Premultiply);
        let exact = reference::filter::<u16, u16>(&filter, opaque).unwrap();
        let out = run::<u16, u16>(&filter, opaque).unwrap();
        assert!(out.iter().zip(exact.data()).all(|(a, b)| a.abs_diff(*b) <= 1), "{row:?}");
    }
}

/// NaN alpha hides a pixel, as in the reference.
#[test]
fn transparent_where_alpha_is_nan() {
    let shape = Shape::new(3, 1, 2);
    let samples = [1.0f32, f32::NAN, 2.0, 1.0, 3.0, 1.0];
    let view = View::new(&samples, shape).unwrap();
    let filter = Filter::new(Kernel::identity()).alpha(Alpha::Premultiply);
    let exact = reference::filter::<f32, f32>(&filter, view).unwrap();
    let out = run::<f32, f32>(&filter, view).unwrap();
    assert_eq!((out[0], exact.data()[0]), (0.0, 0.0));
    assert_eq!(&out[2..], &exact.data()[2..]);
}

/// What cannot be is an error, and not a panic.
#[test]
fn misuse() {
    let shape = Shape::new(8, 6, 2);
    let image = image::<u8>(shape, Look::Noise, 1);
    let filter = Filter::new(Kernel::box_(3, 3).unwrap());
    let chain = Chain::new(filter.clone());
    let rect = Rect::new(3, 2, 4, 3);
    let part = |x, y, width, height| image.view().crop(Rect::new(x, y, width, height)).unwrap();
    let region = |part, origin, rect| {
        let one = reference::region(&filter, shape, part, origin, rect);
        let two = reference::layer::region(&chain, shape, part, origin, rect);
        assert_eq!(one.is_ok(), two.is_ok());
        one
    };
    assert!(region(part(2, 1, 6, 5), (2, 1), rect).is_ok());
    assert!(matches!(region(part(2, 1, 5, 5), (2, 1), rect), Err(Error::PartTooSmall { .. })));
    assert!(matches!(region(part(2, 1, 6, 5), (3, 1), rect), Err(Error::PartTooSmall { .. })));
    assert!(matches!(
        region(part(2, 1, 6, 5), (usize::MAX, 1), rect),
        Err(Error::PartTooSmall { .. })
    ));
    let other = Image::<u8>::new(Shape::new(8, 6, 3)).unwrap();
    assert!(region(other.view(), (0, 0), rect).is_err());
    assert!(matches!(
        region(image.view(), (0, 0), Rect::new(0, 0, 9, 1)),
        Err(Error::RectOutside { .. })
    ));

    let most = Shape::new(1 << 30, 1 << 29, 1);
    assert_eq!(Image::<u8>::new(most).unwrap_err(), Error::OutOfMemory(most));
    let many = Image::from_vec(vec![0u8; 5], Shape::new(2, 2, 1)).unwrap_err();
    assert!(matches!(many, Error::SampleCount { needed: 4, given: 5, .. }), "{many}");
    assert!(!Kernel::new(2, 1, vec![1e308, 1e308]).unwrap().is_zero_sum());
    assert!(Kernel::new(2, 1, vec![1e308, -1e308]).unwrap().is_zero_sum());
}

/// The sum of a kernel is that of its taps, rounded once.
#[test]
fn sums() {
    for sigma in [0.5, 0.8, 1.3, 3.0, 20.0] {
        assert_eq!(Kernel::gaussian(sigma).unwrap().sum(), 1.0, "{sigma}");
    }
    for n in 1..60 {
        // Products of factors that sum to exactly 1; the products are rounded.
        assert!((Kernel::box_(n, n).unwrap().sum() - 1.0).abs() < 1e-15, "{n}");
    }
    assert_eq!(Kernel::new(3, 1, vec![1e16, 1.0, -1e16]).unwrap().sum(), 1.0);
    assert_eq!(Kernel::new(2, 1, vec![5e-324, 5e-324]).unwrap().sum(), 1e-323);
    let text = Error::NotSeparable { rank: 2, rank_known: false, residual: 0.5 }.to_string();
    assert!(text.contains("rank at least 2"), "{text}");
}
