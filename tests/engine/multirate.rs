//! Long smooth kernels at two rates.

use crate::common::{
    Look, borders, check_levels, image, levels, run, run_plan, run_tiling, same, values,
};
use crate::equality::large;
use twopass::{
    Alpha, Border, Filter, Image, Kernel, KernelParams, Method, NamedKernel, Sample, Shape, Source,
};

/// Smooth to its ends.
fn hann(n: usize) -> Vec<f64> {
    let at = |i: usize| (i as f64 + 0.5) / n as f64 * std::f64::consts::PI;
    let taps: Vec<f64> = (0..n).map(|i| at(i).sin().powi(2)).collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|t| t / sum).collect()
}

/// Different blocks across and down.
fn filter() -> Filter {
    Filter::new(Kernel::separable(&hann(47), &hann(63)).unwrap()).method(Method::Multirate)
}

/// Images smaller than the kernel, than a block, than a vector.
#[test]
fn small_images() {
    for height in [1, 2, 3, 5, 8, 13, 40, 47, 50] {
        for width in [1, 2, 3, 4, 7, 16, 31, 63, 64, 70] {
            for border in borders(17.0) {
                if border == Border::Valid && (width < 63 || height < 47) {
                    continue;
                }
                let shape = Shape::new(width, height, 1 + (width + height) % 5);
                let source = image::<u8>(shape, Look::Extremes, (height * 64 + width) as u64);
                let filter = filter().border(border.clone());
                if let Err(e) = check_levels::<u8, u8>(&filter, source.view()) {
                    panic!("{shape}, border {border}: {e}");
                }
            }
        }
    }
}

#[test]
fn every_cut() {
    large::<u8, u8>(&filter().border(Border::Reflect));
    large::<u8, u8>(&filter().borders(Border::Wrap, Border::Constant(vec![200.0])));
}

/// What lies under a block of the output is the same wherever a region begins, where pixels beyond the image are
/// copies of the last.
#[test]
fn every_cut_inside() {
    let filter =
        Filter::new(Kernel::gaussian(8.5).unwrap()).method(Method::Auto).border(Border::Valid);
    let shape = Shape::new(150, 130, 2);
    let source = image::<u8>(shape, Look::Noise, 3);
    let plan = filter.plan::<u8, u8>(shape).unwrap();
    assert_eq!(plan.stages()[0].method, Some(Method::Multirate), "{plan}");
    let whole = run_plan(&plan, source.view()).unwrap();
    for seed in 0..6 {
        let pieces = run_tiling(&plan, &filter, source.view(), seed).unwrap();
        same(&whole, &pieces).unwrap();
    }
}

fn sums() -> [Filter; 2] {
    let params = KernelParams { sigma: Some(8.5), ..Default::default() };
    ["unsharp", "dog"].map(|name| {
        let kernel = NamedKernel::find(name).unwrap().kernels(&params).unwrap()[0].clone();
        let filter = Filter::new(kernel);
        if name == "dog" { filter.offset(100.0) } else { filter }
    })
}

/// Terms of a sum, each at two rates, which read more than the kernel's window.
#[test]
fn terms() {
    let shape = Shape::new(211, 150, 3);
    let source = image::<u8>(shape, Look::Extremes, 8);
    for filter in sums() {
        let plan = filter.plan::<u8, u8>(shape).unwrap();
        assert_eq!(plan.stages()[0].method, Some(Method::Terms));
        assert!(plan.steps().iter().any(|step| step.contains("decimate")), "{plan}");
        assert!(plan.multiplications_per_sample() < 25, "{plan}");
        for border in borders(40.0) {
            check_levels::<u8, u8>(&filter.clone().border(border), source.view()).unwrap();
        }
    }
    let exact = sums()[0].clone().tolerance(0.0).plan::<u8, u8>(shape).unwrap();
    assert!(exact.steps().iter().all(|step| !step.contains("decimate")), "{exact}");
    large::<u8, u8>(&sums()[0]);
}

/// Colours under alpha, and colours beside alpha that is kept.
#[test]
fn alpha() {
    let shape = Shape::new(131, 70, 4);
    let source = image::<u8>(shape, Look::Noise, 9);
    for (alpha, border) in [
        (Alpha::Premultiply, Border::Reflect),
        (Alpha::Premultiply, Border::Constant(vec![255.0, 0.0, 9.0, 128.0])),
        (Alpha::Keep, Border::Wrap),
    ] {
        let filter = Filter::new(Kernel::gaussian(21.0).unwrap()).alpha(alpha).border(border);
        let plan = filter.plan::<u8, u8>(shape).unwrap();
        assert_eq!(plan.stages()[0].method, Some(Method::Multirate), "{plan}");
        check_levels::<u8, u8>(&filter, source.view()).unwrap();
        let whole = run_plan(&plan, source.view()).unwrap();
        for seed in 0..4 {
            let pieces = run_tiling(&plan, &filter, source.view(), seed).unwrap();
            same(&whole, &pieces).unwrap();
        }
    }
}

/// Within what is allowed, for all samples; and nothing where nothing is.
#[test]
fn tolerance() {
    fn check<I: Source, O: Sample>(filter: &Filter) {
        let shape = Shape::new(150, 97, 2);
        let source = image::<I>(shape, Look::Noise, 4);
        let plan = filter.plan::<I, O>(shape).unwrap();
        assert_eq!(plan.stages()[0].method, Some(Method::Multirate), "{plan}");
        let range = if I::TYPE == twopass::SampleType::F32 { 1.0 } else { I::FULL };
        assert!(plan.error_bound().unwrap() <= 4e-3 * range, "{plan}");
        check_levels::<I, O>(filter, source.view()).unwrap();
    }
    let filter = Filter::new(Kernel::gaussian(12.0).unwrap()).tolerance(4e-3);
    check::<u8, u8>(&filter);
    check::<u8, f32>(&filter);
    check::<u16, u16>(&filter);
    check::<f32, f32>(&filter);
    check::<u16, u16>(&filter.clone().border(Border::Constant(vec![0.5])));
    large::<f32, f32>(&filter.clone().border(Border::Reflect));
    let shape = Shape::new(150, 97, 2);
    let method = |filter: &Filter| filter.plan::<f32, f32>(shape).unwrap().stages()[0].method;
    let exact = Some(Method::Separable);
    assert_eq!(method(&filter.clone().tolerance(0.0)), exact);
    assert_eq!(method(&filter.clone().tolerance(1e-6)), exact);
    assert_eq!(method(&Filter::new(Kernel::gaussian(12.0).unwrap())), exact);
    let bytes = filter.clone().tolerance(0.0).plan::<u8, u8>(shape).unwrap();
    assert_eq!(bytes.stages()[0].method, exact);
    for bad in [-1e-3, f64::NAN, f64::INFINITY] {
        assert!(filter.clone().tolerance(bad).plan::<u8, u8>(shape).is_err());
    }
}

/// NaN and infinity do not leave the kernel's window.
#[test]
fn what_is_no_number() {
    let shape = Shape::new(201, 180, 1);
    let kernel = Kernel::gaussian(9.0).unwrap();
    let reach = kernel.width() / 2;
    let filter = Filter::new(kernel).tolerance(4e-3).border(Border::Replicate);
    for level in levels() {
        let filter = filter.clone().level(level);
        let plan = filter.plan::<f32, f32>(shape).unwrap();
        assert_eq!(plan.stages()[0].method, Some(Method::Multirate), "{plan}");
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data: Vec<f32> =
                values(Look::Noise, 201 * 180, 5).iter().map(|v| *v as f32).collect();
            let (x, y) = (97, 61);
            data[y * 201 + x] = value;
            let source = Image::from_vec(data, shape).unwrap();
            check_levels::<f32, f32>(&filter, source.view()).unwrap();
            let out = run::<f32, f32>(&filter, source.view()).unwrap();
            for (i, v) in out.iter().enumerate() {
                let inside = (i % 201).abs_diff(x) <= reach && (i / 201).abs_diff(y) <= reach;
                assert_eq!(v.is_finite(), !inside, "{i}: {v}");
            }
            for seed in 0..3 {
                let pieces = run_tiling(&plan, &filter, source.view(), seed).unwrap();
                same(&out, &pieces).unwrap();
            }
        }
    }
}
