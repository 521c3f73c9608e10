//! Bounds against images that are made to meet them: samples by the sign of what the arithmetic makes of each tap,
//! found by probing with single samples; for every order in which rows are added.

use crate::common::{levels, rng, run};
use rand::RngExt;
use twopass::{
    Arithmetic, Border, Filter, Kernel, Method, Sample, SampleType, Shape, Source, View, reference,
};

/// Positive, symmetric or not, of sum 1.
fn line(n: usize, symmetric: bool, seed: u64) -> Vec<f64> {
    let mut rng = rng(seed);
    let mut taps: Vec<f64> = (0..n).map(|_| rng.random_range(0.05..1.0)).collect();
    if symmetric {
        (0..n / 2).for_each(|i| taps[n - 1 - i] = taps[i]);
    }
    let sum: f64 = taps.iter().sum();
    taps.into_iter().map(|t| t / sum).collect()
}

/// Errors of results on images of which each is the worst for one phase, and their bound.
pub fn check<I: Source>(kernel: &Kernel, channels: usize) {
    let full = if I::TYPE == SampleType::F32 { 1.0 } else { I::FULL };
    let (width, height) = (kernel.width() + 40, kernel.height() + 3);
    let shape = Shape::new(width, height, channels);
    for level in levels() {
        let filter = Filter::new(kernel.clone()).border(Border::Wrap).level(level);
        let plan = filter.plan::<I, f32>(shape).unwrap();
        let rounded = filter.plan::<I, I>(shape).unwrap();
        let mut rng = rng(kernel.taps().len() as u64);
        // What taps are rounded to shows in the results of single samples.
        let (ax, ay) = kernel.anchor();
        let mut single = vec![I::default(); shape.samples().unwrap()];
        let at = |x: usize, y: usize| (y * width + x) * channels;
        single[at(ax + 20, ay + 1)] = I::from_f64(full);
        let seen = run::<I, f32>(&filter, View::new(&single, shape).unwrap()).unwrap();
        let exact = |samples: &[I]| {
            let view = View::new(samples, shape).unwrap();
            reference::region(&filter, shape, view, (0, 0), shape.rect()).unwrap()
        };
        let wanted = exact(&single);
        let too_much = |x: usize, y: usize| f64::from(seen[at(x, y)]) > wanted[at(x, y)];
        for kind in 0..6 {
            let sample = |i: usize| {
                let (x, y) = (i / channels % width, i / channels / width);
                // The sample under tap (i, j) of the middle pixel.
                let sign = too_much(width - 1 - x, height - 1 - y) ^ (kind % 2 == 1);
                let low = if I::TYPE == SampleType::F32 { -full } else { 0.0 };
                match kind {
                    0 | 1 => I::from_f64(if sign { full } else { low }),
                    2 => I::from_f64(full),
                    3 => I::from_f64(if rng.random_range(0..2) == 0 { full } else { low }),
                    _ => I::from_f64(rng.random_range(0.0..=1.0) * full),
                }
            };
            let samples: Vec<I> = (0..shape.samples().unwrap()).map(sample).collect();
            let exact = exact(&samples);
            let view = View::new(&samples, shape).unwrap();
            let what =
                |p: &str| format!("{}×{} {} {level} {p}", kernel.width(), kernel.height(), I::TYPE);
            let out = run::<I, f32>(&filter, view).unwrap();
            for (o, e) in out.iter().zip(&exact) {
                let ulp = e.abs() * f64::from(f32::EPSILON) / 2.0;
                let off = (f64::from(*o) - e).abs();
                assert!(off <= plan.error_bound().unwrap() + ulp, "{}: {off}", what(&plan.proof()));
            }
            if I::TYPE != SampleType::F32 {
                let out = run::<I, I>(&filter, view).unwrap();
                for (o, e) in out.iter().zip(&exact) {
                    let off = (o.to_f64() - e.clamp(I::MIN, I::MAX)).abs() - 0.5;
                    assert!(
                        off <= rounded.error_bound().unwrap() + 1e-9,
                        "{}",
                        what(&rounded.proof())
                    );
                }
            }
        }
    }
}

#[test]
fn adversarial_images() {
    for (i, n) in [3, 5, 7, 9, 14, 31].into_iter().enumerate() {
        for symmetric in [true, false] {
            let (column, row) = (line(3, symmetric, 1), line(n, symmetric, i as u64));
            let kernels = [
                Kernel::separable(&column, &row).unwrap(),
                Kernel::separable(&row, &row).unwrap(),
                Kernel::new(n, 3, line(3 * n, false, 9)).unwrap(),
                Kernel::box_(n, n).unwrap(),
            ];
            for kernel in kernels {
                for channels in [1, 3] {
                    check::<f32>(&kernel, channels);
                    check::<u8>(&kernel, channels);
                }
                check::<u16>(&kernel, 1);
            }
        }
    }
}

/// Many taps of bytes, whose errors add up: they have more bits, and rows between the passes fewer.
#[test]
fn long_lines_of_bytes() {
    for (width, height) in [(257, 5), (511, 3), (3, 400), (2, 700)] {
        for symmetric in [true, false] {
            let (column, row) = (line(height, symmetric, 1), line(width, symmetric, 2));
            let kernel = Kernel::separable(&column, &row).unwrap();
            let plan = Filter::new(kernel.clone()).plan::<u8, u8>(Shape::new(1200, 1100, 1));
            let plan = plan.unwrap();
            assert_eq!(plan.stages()[0].arithmetic, Arithmetic::I16Pairs, "{plan}");
            assert!(plan.error_bound().unwrap() < 0.5, "{plan}");
            check::<u8>(&kernel, 1);
        }
    }
}

/// Fails if a result is further from the exact one, before it is rounded, than the plan says.
#[track_caller]
fn keeps_its_bound<I: Source, O: Sample>(filter: &Filter, samples: &[I], shape: Shape) {
    let view = View::new(samples, shape).unwrap();
    let exact = reference::region(filter, shape, view, (0, 0), shape.rect()).unwrap();
    for level in levels() {
        let filter = filter.clone().level(level);
        let plan = filter.plan::<I, O>(shape).unwrap();
        let bound = plan.error_bound().unwrap();
        for (o, e) in run::<I, O>(&filter, view).unwrap().iter().zip(&exact) {
            let rounding = match O::TYPE {
                SampleType::F32 => e.abs() * f64::from(f32::EPSILON) / 2.0,
                _ => 0.5 + 1e-9,
            };
            let off = (o.to_f64() - e.clamp(O::MIN, O::MAX)).abs();
            assert!(off <= bound + rounding, "{level} {}: {off} from {e}", plan.proof());
        }
    }
}

/// Offsets that are not whole, or large; squares that `f32` has no place for, and a share of the image; taps that drift.
#[test]
fn far_values() {
    let shape = Shape::new(37, 29, 1);
    let mut rng = rng(3);
    let words: Vec<u16> = (0..37 * 29).map(|_| rng.random_range(0..=65535)).collect();
    let bytes: Vec<u8> = words.iter().map(|v| (v >> 8) as u8).collect();
    for kernel in [Kernel::laplacian(), Kernel::sobel_x()] {
        let filter = Filter::new(kernel).abs();
        keeps_its_bound::<u16, u16>(&filter.clone().offset(0.499), &words, shape);
        keeps_its_bound::<u8, u8>(&filter.clone().offset(0.499_999_99), &bytes, shape);
        keeps_its_bound::<u16, u16>(&filter.offset(12.0), &words, shape);
    }
    let edges = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap();
    for scale in [1e-30, 1.0, 1e18, 1e20, 1e33] {
        let filter = edges.clone().scale(scale);
        keeps_its_bound::<u8, f32>(&filter, &bytes, shape);
        keeps_its_bound::<u16, f32>(&filter, &words, shape);
    }
    let scale = 0.003_891_050_583_657_588;
    keeps_its_bound::<u8, u16>(&edges.offset(30_000.0).scale(scale), &bytes, shape);
    let small: Vec<f32> = bytes.iter().map(|v| f32::from(v % 2) * 1e-20).collect();
    let sharp = Filter::new(Kernel::unsharp(2.0, 1.0).unwrap()).scale(1e39);
    keeps_its_bound::<f32, f32>(&sharp, &small, shape);
    let drift = |i: i32| (1.0 + 5.9e-8) * 1.000_000_000_999_99f64.powi(i);
    let line = Kernel::new(2048, 1, (0..2048).map(drift).collect()).unwrap();
    let ones = vec![1.0f32; 2100];
    keeps_its_bound::<f32, f32>(
        &Filter::new(line).method(Method::Runs),
        &ones,
        Shape::new(2100, 1, 1),
    );
}
