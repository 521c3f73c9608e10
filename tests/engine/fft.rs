//! Blocks by Fourier transforms.

use crate::common::{
    Look, borders, check_levels, image, levels, rng, run, run_plan, run_tiling, same, values,
    with_tiles,
};
use rand::RngExt;
use twopass::{
    Alpha, Border, Filter, Image, Kernel, Method, Sample, SampleType, Shape, Source, reference,
};

/// No product, with the anchor off the middle; its taps add up to `sum`.
fn wild(width: usize, height: usize, sum: f64, seed: u64) -> Kernel {
    let mut rng = rng(seed);
    let taps: Vec<f64> = (0..width * height).map(|_| rng.random_range(-0.2..1.0)).collect();
    let all: f64 = taps.iter().sum();
    let taps = taps.iter().map(|t| t / all * sum).collect();
    let kernel = Kernel::new(width, height, taps).unwrap();
    kernel.with_anchor(width / 3, height - 1 - height / 3).unwrap()
}

fn by_fft(kernel: Kernel) -> Filter {
    Filter::new(kernel).method(Method::Fft)
}

/// Images smaller than the kernel, than a vector, and all remainders.
fn sweep<I: Source, O: Sample>(filter: &Filter) {
    let (width, height) = (filter.kernels()[0].width(), filter.kernels()[0].height());
    for h in [1, 2, 3, 5, 8, 13, 31, 40] {
        for w in [1, 2, 3, 4, 7, 9, 16, 31, 33, 40] {
            for border in borders(0.4 * I::FULL.min(255.0)) {
                if border == Border::Valid && (w < width || h < height) {
                    continue;
                }
                let shape = Shape::new(w, h, 1 + (w + h) % 5);
                let source = image::<I>(shape, Look::Extremes, (h * 64 + w) as u64);
                let filter = filter.clone().border(border.clone());
                if let Err(e) = check_levels::<I, O>(&filter, source.view()) {
                    panic!("{shape}, border {border}: {e}");
                }
            }
        }
    }
}

#[test]
fn small_images() {
    let filter = by_fft(wild(7, 4, 1.0, 1));
    sweep::<u8, u8>(&filter);
    sweep::<u16, u16>(&filter);
    sweep::<f32, f32>(&filter);
    let long = by_fft(wild(3, 29, -0.6, 2)).offset(101.3);
    sweep::<u8, i16>(&long);
    sweep::<u8, f32>(&long.clone().abs());
    sweep::<u16, f32>(&long.clone().scale(0.3));
    sweep::<f32, f32>(&long.abs());
}

/// Whole taps: what comes out is exact.
#[test]
fn whole_taps() {
    let mut rng = rng(3);
    let taps = (0..17 * 13).map(|_| f64::from(rng.random_range(-40..41))).collect();
    let filter = by_fft(Kernel::new(17, 13, taps).unwrap()).offset(5.0);
    for shape in [Shape::new(40, 31, 3), Shape::new(300, 20, 1)] {
        let source = image::<u8>(shape, Look::Extremes, 5);
        check_levels::<u8, i16>(&filter, source.view()).unwrap();
        check_levels::<u8, u8>(&filter, source.view()).unwrap();
        check_levels::<u8, f32>(&filter, source.view()).unwrap();
        let source = image::<u16>(shape, Look::Extremes, 6);
        check_levels::<u16, u16>(&filter, source.view()).unwrap();
        check_levels::<u16, f32>(&filter, source.view()).unwrap();
        let plan = filter.plan::<u16, u16>(shape).unwrap();
        assert_eq!(plan.error_bound(), Some(0.0), "{plan}");
    }
}

/// Tiles, strips, regions and threads.
fn cuts<I: Source, O: Sample>(filter: &Filter) {
    for shape in [
        Shape::new(1500, 6, 3),
        Shape::new(5, 700, 4),
        Shape::new(300, 200, 1),
        Shape::new(90, 120, 2),
        Shape::new(140, 400, 1),
    ] {
        let valid = *filter.get_borders().0 == Border::Valid;
        let kernel = &filter.kernels()[0];
        if valid && (shape.width < kernel.width() || shape.height < kernel.height()) {
            continue;
        }
        let source = image::<I>(shape, Look::Noise, shape.width as u64);
        check_levels::<I, O>(filter, source.view()).unwrap();
        for level in levels() {
            let filter = filter.clone().level(level);
            let plan = filter.plan::<I, O>(shape).unwrap();
            assert_eq!(plan.stages()[0].method, Some(Method::Fft), "{plan}");
            let whole = run_plan(&plan, source.view()).unwrap();
            for (tile, strip) in [(37, 30), (64, 1000), (300, 77), (100_000, 20)] {
                let other = run_plan(&with_tiles(plan.clone(), tile, strip), source.view());
                if let Err(e) = same(&whole, &other.unwrap()) {
                    panic!("{shape}, level {level}, tiles of {tile}×{strip}: {e}");
                }
            }
            for seed in 0..4 {
                let pieces = run_tiling(&plan, &filter, source.view(), seed).unwrap();
                if let Err(e) = same(&whole, &pieces) {
                    panic!("{shape}, level {level}, regions of seed {seed}: {e}");
                }
            }
            let alone = run::<I, O>(&filter.threads(1), source.view()).unwrap();
            same(&whole, &alone).unwrap();
        }
    }
}

#[test]
fn every_cut() {
    let filter = by_fft(wild(9, 6, 1.0, 1));
    for border in [Border::Reflect, Border::Wrap, Border::Valid, Border::Constant(vec![7.0])] {
        cuts::<u8, u8>(&filter.clone().border(border.clone()));
        cuts::<f32, f32>(&filter.clone().border(border));
    }
    cuts::<u16, u16>(&filter.borders(Border::Wrap, Border::Replicate));
    cuts::<f32, f32>(&by_fft(wild(70, 41, 1.0, 1)).border(Border::Replicate));
}

/// Kernels that take it by themselves, and that nothing but kernel, samples and border has a say.
#[test]
fn large_kernels() {
    fn check<I: Source, O: Sample>(kernel: &Kernel) {
        let mut methods = Vec::new();
        for shape in [Shape::new(150, 97, 2), Shape::new(30, 20, 1), Shape::new(3000, 2000, 2)] {
            for level in levels() {
                let filter = Filter::new(kernel.clone()).level(level).threads(shape.width % 3);
                methods.push(filter.plan::<I, O>(shape).unwrap().stages()[0].method);
            }
        }
        assert!(methods.iter().all(|method| *method == Some(Method::Fft)), "{methods:?}");
        let source = image::<I>(Shape::new(150, 97, 2), Look::Extremes, 4);
        check_levels::<I, O>(&Filter::new(kernel.clone()), source.view()).unwrap();
    }
    let kernel = wild(43, 37, 1.0, 9);
    check::<u8, u8>(&kernel);
    check::<u8, f32>(&kernel);
    check::<u16, u16>(&kernel);
    check::<u16, i16>(&kernel);
    check::<f32, f32>(&kernel);
}

/// Kernels so small that a direct pass is faster, and what transforms are not for.
#[test]
fn not_by_fft() {
    let shape = Shape::new(60, 50, 1);
    let auto = |kernel: Kernel| Filter::new(kernel).plan::<u8, u8>(shape).unwrap();
    assert_eq!(auto(wild(9, 9, 1.0, 1)).stages()[0].method, Some(Method::Dense));
    let large = Filter::new(wild(41, 41, 1.0, 1));
    let methods = large.plan::<f32, u8>(shape).unwrap().stages()[0].method;
    assert_eq!(methods, Some(Method::Dense));
    let forced = large.clone().method(Method::Fft);
    assert!(forced.plan::<u8, u8>(shape).is_ok());
    assert!(forced.plan::<f32, u8>(shape).is_err());
    let half = forced.clone().border(Border::Constant(vec![0.5]));
    assert!(half.plan::<u8, u8>(shape).is_err());
    let both = Filter::magnitude(&wild(40, 40, 0.1, 1), &wild(40, 40, 0.1, 2)).unwrap();
    assert!(both.clone().method(Method::Fft).plan::<u8, u8>(shape).is_err());
    assert_eq!(both.plan::<u8, u8>(shape).unwrap().stages()[0].method, Some(Method::Dense));
}

#[test]
fn alpha() {
    let shape = Shape::new(131, 70, 4);
    let kernel = {
        let all = wild(23, 19, 1.0, 8);
        let taps: Vec<f64> = all.taps().iter().map(|t| t.abs()).collect();
        Kernel::new(23, 19, taps).unwrap().normalized()
    };
    for (alpha, border) in [
        (Alpha::Premultiply, Border::Reflect),
        (Alpha::Premultiply, Border::Constant(vec![255.0, 0.0, 9.0, 128.0])),
        (Alpha::Keep, Border::Wrap),
        (Alpha::Plain, Border::Replicate),
    ] {
        let filter = by_fft(kernel.clone()).alpha(alpha).border(border);
        let source = image::<u8>(shape, Look::Noise, 9);
        check_levels::<u8, u8>(&filter, source.view()).unwrap();
        let plan = filter.plan::<u8, u8>(shape).unwrap();
        let whole = run_plan(&plan, source.view()).unwrap();
        for seed in 0..4 {
            let pieces = run_tiling(&plan, &filter, source.view(), seed).unwrap();
            same(&whole, &pieces).unwrap();
        }
    }
    // Where alpha is 0, it must be 0.
    let filter = by_fft(kernel).alpha(Alpha::Premultiply);
    assert!(filter.plan::<f32, f32>(shape).is_err());
    assert!(filter.plan::<u16, u16>(shape).is_err());
}

/// NaN and infinity do not leave the kernel's window.
#[test]
fn what_is_no_number() {
    let shape = Shape::new(201, 180, 2);
    let kernel = wild(21, 15, 1.0, 3);
    let filter = by_fft(kernel.clone()).border(Border::Replicate).tolerance(1e-6);
    let (ax, ay) = kernel.anchor();
    for level in levels() {
        let filter = filter.clone().level(level);
        let plan = filter.plan::<f32, f32>(shape).unwrap();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data: Vec<f32> = values(Look::Noise, shape.samples().unwrap(), 5)
                .iter()
                .map(|v| *v as f32)
                .collect();
            let (x, y) = (97, 61);
            data[(y * 201 + x) * 2] = value;
            let source = Image::from_vec(data, shape).unwrap();
            check_levels::<f32, f32>(&filter, source.view()).unwrap();
            let out = run::<f32, f32>(&filter, source.view()).unwrap();
            for (i, v) in out.iter().enumerate() {
                let (u, v_) = (i / 2 % 201 + 20 - ax, i / 2 / 201 + 14 - ay);
                let inside = (x..x + 21).contains(&u) && (y..y + 15).contains(&v_) && i % 2 == 0;
                assert_eq!(v.is_finite(), !inside, "{i}: {v}");
            }
            for seed in 0..3 {
                let pieces = run_tiling(&plan, &filter, source.view(), seed).unwrap();
                same(&out, &pieces).unwrap();
            }
        }
    }
}

/// Images that are the worst for a kernel and its sign, and for what taps are rounded to.
#[test]
fn images_that_are_made_for_it() {
    fn check<I: Source>(kernel: &Kernel) {
        let shape = Shape::new(2 * kernel.width(), 2 * kernel.height(), 1);
        let (low, high) = if I::TYPE == SampleType::F32 { (-1.0, 1.0) } else { (0.0, I::FULL) };
        let at = |i: usize| (i % shape.width, i / shape.width);
        let tap = |i: usize| {
            let (x, y) = at(i);
            kernel.taps()[y % kernel.height() * kernel.width() + x % kernel.width()]
        };
        let filter = by_fft(kernel.clone()).border(Border::Wrap);
        for kind in 0..5 {
            let sample = |i: usize| {
                let up = match kind {
                    0 => tap(i) > 0.0,
                    1 => tap(i) < 0.0,
                    2 => (at(i).0 + at(i).1) % 2 == 0,
                    3 => i % 7919 == 13,
                    _ => true,
                };
                I::from_f64(if up { high } else { low })
            };
            let samples = (0..shape.samples().unwrap()).map(sample).collect();
            let source = Image::<I>::from_vec(samples, shape).unwrap();
            check_levels::<I, f32>(&filter, source.view()).unwrap();
            check_levels::<I, I>(&filter, source.view()).unwrap();
        }
    }
    for kernel in [wild(33, 20, 1.0, 1), wild(20, 33, 0.0001, 2), wild(50, 50, 1.0, 3)] {
        check::<u8>(&kernel);
        check::<u16>(&kernel);
        check::<f32>(&kernel);
    }
}

/// Constant pictures stay constant.
#[test]
fn constants() {
    let filter = by_fft(wild(40, 30, 1.0, 4)).border(Border::Reflect);
    for level in [0u16, 1, 77, 32896, 65535] {
        let shape = Shape::new(70, 50, 1);
        let source = Image::from_vec(vec![level; 3500], shape).unwrap();
        assert!(run::<u16, u16>(&filter, source.view()).unwrap().iter().all(|v| *v == level));
        let byte = level as u8;
        let source = Image::from_vec(vec![byte; 3500], shape).unwrap();
        assert!(run::<u8, u8>(&filter, source.view()).unwrap().iter().all(|v| *v == byte));
        let exact = reference::filter::<u8, f32>(&filter, source.view()).unwrap();
        assert!((exact.data()[0] - f32::from(byte)).abs() < 1e-3);
    }
}
