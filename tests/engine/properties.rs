//! What linear filters are known to do, whatever the reference says.

use crate::common::{Look, borders, check_levels, image, levels, range, run, same};
use twopass::{
    Arithmetic, Border, Filter, Image, Kernel, Rect, Sample, Shape, Source, View, ViewMut,
    Workspace, reference,
};

/// Kernels of sum 1, with and without negative taps, separable and not, short and long.
fn sum_one() -> Vec<Filter> {
    let normal = |taps: Vec<f64>| {
        let sum: f64 = taps.iter().sum();
        taps.iter().map(|t| t / sum).collect::<Vec<f64>>()
    };
    let bell = |n: usize, sigma: f64| {
        let centre = (n - 1) as f64 / 2.0;
        normal((0..n).map(|i| (-((i as f64 - centre) / sigma).powi(2) / 2.0).exp()).collect())
    };
    let separable = |column: &[f64], row: &[f64]| Kernel::separable(column, row).unwrap();
    let kernels = [
        separable(&[0.25, 0.5, 0.25], &[0.25, 0.5, 0.25]),
        separable(&bell(5, 0.9), &bell(5, 0.9)),
        separable(&bell(13, 2.0), &bell(31, 5.1)),
        separable(&normal(vec![1.0; 3]), &normal(vec![1.0; 7])),
        separable(&normal(vec![-0.3, 0.9, 1.7, -0.2]), &normal(vec![0.1, 0.77, 0.3])),
        Kernel::new(3, 3, vec![0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0]).unwrap(),
        Kernel::new(3, 3, normal(vec![0.3, 0.11, 0.7, -0.4, 0.9, 0.2, -0.1, 1.3, 0.4])).unwrap(),
        Kernel::new(3, 3, normal(vec![3.0, 1.0, 2.0, 5.0, 7.0, 0.0, 1.0, 1.0, 3.0])).unwrap(),
        Kernel::new(5, 2, normal(vec![0.3, 0.11, 0.7, -0.4, 0.9, 0.2, -0.1, 1.3, 0.4, 0.8]))
            .unwrap(),
    ];
    let mut filters: Vec<Filter> = kernels.into_iter().map(Filter::new).collect();
    // Sum 1 by scale.
    let binomial = separable(&[1.0, 4.0, 6.0, 4.0, 1.0], &[1.0, 4.0, 6.0, 4.0, 1.0]);
    filters.push(Filter::new(binomial).scale(1.0 / 256.0));
    filters.push(Filter::new(separable(&[1.0; 5], &[1.0; 9])).scale(1.0 / 45.0));
    filters
}

/// A constant image stays constant, for every `step`th value. The border is Replicate, which no
/// image notices.
fn constant<S: Source>(step: usize) {
    let shape = Shape::new(6, 2, 1);
    let mut workspace = Workspace::new();
    for filter in sum_one() {
        for level in levels() {
            let filter = filter.clone().border(Border::Replicate).level(level).threads(1);
            let plan = filter.plan::<S, S>(shape).unwrap();
            let mut out = vec![S::default(); 12];
            let last = S::FULL as usize;
            for value in (0..=last).step_by(step).chain([last - 1, last]) {
                let value = S::from_f64(value as f64);
                let source = [value; 12];
                let view = View::new(&source, shape).unwrap();
                plan.run(view, ViewMut::new(&mut out, shape).unwrap(), &mut workspace).unwrap();
                assert!(
                    out.iter().all(|&o| o == value),
                    "level {level}: {value:?} became {out:?} under {:?}",
                    filter.kernels()
                );
            }
        }
    }
}

#[test]
fn constant_u8_stays() {
    constant::<u8>(1);
}

#[test]
fn constant_u16_stays() {
    constant::<u16>(13);
}

/// A single bright pixel shows the kernel, turned by 180°.
#[test]
fn impulse_shows_the_kernel() {
    fn check<I: Source, O: Sample>(kernel: &Kernel, height: I, tolerance: f64) {
        let shape = Shape::new(25, 23, 1);
        let (x, y) = (11, 12);
        let mut source = Image::<I>::new(shape).unwrap();
        source.view_mut().row_mut(y)[x] = height;
        let flipped = kernel.flipped();
        for level in levels() {
            let border = Border::Constant(vec![0.0]);
            let filter = Filter::new(kernel.clone()).border(border).level(level);
            let out = Image::from_vec(run::<I, O>(&filter, source.view()).unwrap(), shape).unwrap();
            for j in 0..shape.height {
                for i in 0..shape.width {
                    // The impulse lies under the flipped kernel's anchor.
                    let (ax, ay) = flipped.anchor();
                    let inside = i + ax >= x && j + ay >= y;
                    let (u, v) = ((i + ax).wrapping_sub(x), (j + ay).wrapping_sub(y));
                    let inside = inside && u < kernel.width() && v < kernel.height();
                    let tap = if inside { flipped.tap(u, v) } else { 0.0 };
                    let expected = O::from_f64(tap * height.to_f64()).to_f64();
                    let found = out.view().row(j)[i].to_f64();
                    assert!(
                        (found - expected).abs() <= tolerance,
                        "level {level}, pixel ({i}, {j}): {found} instead of {expected}"
                    );
                }
            }
        }
    }

    let integer = Kernel::new(4, 3, (1..=12).map(f64::from).collect()).unwrap();
    let factors = Kernel::separable(&[3.0, 1.0, 2.0, 7.0, 5.0], &[1.0, 4.0, 2.0]).unwrap();
    let float = Kernel::new(3, 5, (0..15).map(|i| (f64::from(i) * 1.7).sin()).collect()).unwrap();
    let product = Kernel::separable(&[0.3, 0.1, -0.7, 0.9], &[0.21, 0.5, 1.3, -0.4, 0.77]).unwrap();
    for (x, y) in [(0, 0), (1, 1), (2, 2), (2, 0)] {
        let at = |kernel: &Kernel| kernel.clone().with_anchor(x, y).unwrap();
        check::<u8, u8>(&at(&integer), 21, 0.0);
        check::<u16, u16>(&at(&integer), 3001, 0.0);
        check::<u8, i16>(&at(&factors), 100, 0.0);
        check::<f32, f32>(&at(&integer), 1.0, 0.0);
        check::<f32, f32>(&at(&float), 1.0, 1e-6);
        check::<f32, f32>(&at(&product), 0.7, 1e-6);
        check::<u8, f32>(&at(&product), 100, 1e-3);
    }
}

/// f(a·x + b·y) = a·f(x) + b·f(y), up to rounding.
#[test]
fn filtering_is_linear() {
    let shape = Shape::new(37, 29, 3);
    let x = image::<f32>(shape, Look::Noise, 1);
    let y = image::<f32>(shape, Look::Smooth, 2);
    let (a, b) = (0.75f32, -1.5f32);
    let mixed = x.data().iter().zip(y.data()).map(|(x, y)| a * x + b * y).collect();
    let mixed = Image::from_vec(mixed, shape).unwrap();
    for filter in sum_one() {
        for border in [Border::Reflect101, Border::Wrap, Border::Valid] {
            if border == Border::Valid && filter.kernels()[0].width() > 29 {
                continue;
            }
            for level in levels() {
                let filter = filter.clone().border(border.clone()).level(level);
                let apply = |source: &Image<f32>| run::<f32, f32>(&filter, source.view()).unwrap();
                let (fx, fy, fm) = (apply(&x), apply(&y), apply(&mixed));
                let gain = filter.kernels()[0].abs_sum() * filter.get_scale();
                let most = 4e-6 * gain * range(&filter, mixed.view());
                for ((x, y), m) in fx.iter().zip(&fy).zip(&fm) {
                    let error = (a * x + b * y - m).abs();
                    assert!(f64::from(error) <= most, "level {level}: {error} above {most}");
                }
            }
        }
    }
}

/// A sum that is filtered term by term.
fn unsharp() -> Kernel {
    let terms = [Kernel::new(1, 1, vec![2.0]), Kernel::gaussian_xy(1.2, 1.0)];
    let [image, blurred] = terms.map(Result::unwrap);
    Kernel::sum_of(&[image, blurred.scaled(-1.0).unwrap()]).unwrap()
}

/// NaN and infinity reach the outputs whose window holds them under a tap that is not 0, and
/// change nothing elsewhere, not even by an ulp.
#[test]
fn nan_stays_inside_the_window() {
    let shape = Shape::new(41, 17, 2);
    let clean = image::<f32>(shape, Look::Noise, 3);
    let dense = (0..20).map(|i| f64::from(i % 7) - 2.0).collect();
    let kernels = [
        Kernel::separable(&[0.2, 0.5, 0.3], &[0.1, 0.2, 0.4, 0.2, 0.1]).unwrap(),
        Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0]).unwrap(),
        Kernel::separable(&[0.5, 0.5], &[0.2, 0.3, 0.1, 0.4]).unwrap().with_anchor(0, 1).unwrap(),
        Kernel::separable(&[1.0; 7], &[1.0; 9]).unwrap(),
        Kernel::separable(&[1.0; 9], &[1.0; 13]).unwrap(),
        Kernel::new(5, 4, dense).unwrap(),
        unsharp(),
    ];
    for kernel in kernels {
        for border in borders(0.25) {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [(20, 8), (0, 0), (40, 16), (16, 3)] {
                    let filter = Filter::new(kernel.clone()).border(border.clone());
                    check_window(&filter, &clean, bad, at);
                }
            }
        }
    }
}

fn check_window(filter: &Filter, clean: &Image<f32>, bad: f32, (x, y): (usize, usize)) {
    let shape = clean.shape();
    let mut dirty = clean.clone();
    dirty.view_mut().row_mut(y)[x * shape.channels] = bad;
    // Where the same filter with taps of 1 sees the pixel: its window. With only the taps that
    // are not 0: where the result cannot be finite.
    let mut impulse = Image::<f32>::new(shape).unwrap();
    impulse.view_mut().row_mut(y)[x * shape.channels] = 1.0;
    let kernel = &filter.kernels()[0];
    let (border_x, border_y) = filter.get_borders();
    let zero = |b: &Border| match b {
        Border::Constant(_) => Border::Constant(vec![0.0]),
        other => other.clone(),
    };
    let seen = |tap: fn(f64) -> f64| {
        let (ax, ay) = kernel.anchor();
        let taps = kernel.taps().iter().map(|&t| tap(t)).collect();
        let kernel = Kernel::new(kernel.width(), kernel.height(), taps).unwrap();
        let filter = Filter::new(kernel.with_anchor(ax, ay).unwrap());
        let filter = filter.borders(zero(border_x), zero(border_y));
        twopass::reference::filter::<f32, f32>(&filter, impulse.view()).unwrap()
    };
    let window = seen(|_| 1.0);
    let touched = seen(|t| if t == 0.0 { 0.0 } else { 1.0 });
    for level in levels() {
        let filter = filter.clone().level(level);
        let before = run::<f32, f32>(&filter, clean.view()).unwrap();
        let after = run::<f32, f32>(&filter, dirty.view()).unwrap();
        for i in 0..before.len() {
            let what = || format!("{bad} at ({x}, {y}), sample {i}, level {level}, {filter:?}");
            if window.data()[i] == 0.0 {
                assert_eq!(before[i].to_bits(), after[i].to_bits(), "{}", what());
            } else if touched.data()[i] != 0.0 {
                assert!(!after[i].is_finite(), "{}", what());
            }
        }
    }
}

/// Kernels several times as long as the image.
#[test]
fn kernels_longer_than_the_image() {
    let taps = |n: usize| (0..n).map(|i| (i as f64 * 0.9).cos()).collect::<Vec<f64>>();
    let integers = |n: usize| (0..n).map(|i| (i % 5) as f64 - 1.0).collect::<Vec<f64>>();
    for (width, height) in [(1, 1), (2, 1), (1, 3), (3, 2), (4, 5), (6, 3)] {
        for (x, y) in [(0, 0), (14, 30), (7, 15), (20, 3)] {
            let shape = Shape::new(width, height, 2);
            let float = Kernel::separable(&taps(31), &taps(21)).unwrap();
            let exact = Kernel::separable(&integers(31), &integers(21)).unwrap();
            for border_x in &borders(50.0)[..5] {
                for border_y in &borders(70.0)[..5] {
                    let filter = |kernel: &Kernel| {
                        let kernel = kernel.clone().with_anchor(x, y).unwrap();
                        Filter::new(kernel).borders(border_x.clone(), border_y.clone())
                    };
                    let what = format!("{shape}, anchor ({x}, {y}), {border_x}, {border_y}");
                    let bytes = image::<u8>(shape, Look::Noise, 5);
                    let result = check_levels::<u8, i16>(&filter(&exact), bytes.view());
                    result.unwrap_or_else(|e| panic!("{what}: {e}"));
                    let result = check_levels::<u8, u8>(&filter(&float), bytes.view());
                    result.unwrap_or_else(|e| panic!("{what}: {e}"));
                    let floats = image::<f32>(shape, Look::Noise, 6);
                    let result = check_levels::<f32, f32>(&filter(&float), floats.view());
                    result.unwrap_or_else(|e| panic!("{what}: {e}"));
                }
            }
        }
    }
}

/// Filtering the transposed image with the transposed kernel gives the transposed result.
#[test]
fn rows_and_columns_agree() {
    let kernel = Kernel::new(5, 4, (0..20).map(|i| f64::from(i % 6) - 2.0).collect()).unwrap();
    let shape = Shape::new(23, 31, 1);
    let source = image::<u8>(shape, Look::Noise, 9);
    let turn = |data: &[i16], width: usize| {
        let column = |x| data.iter().skip(x).step_by(width).copied();
        (0..width).flat_map(column).collect::<Vec<i16>>()
    };
    let turned: Vec<u8> = (0..shape.width)
        .flat_map(|x| source.data().iter().skip(x).step_by(shape.width).copied())
        .collect();
    let turned = Image::from_vec(turned, Shape::new(shape.height, shape.width, 1)).unwrap();
    for border in borders(17.0) {
        for level in levels() {
            let filter = |kernel: Kernel| Filter::new(kernel).border(border.clone()).level(level);
            let plain = run::<u8, i16>(&filter(kernel.clone()), source.view()).unwrap();
            let other = run::<u8, i16>(&filter(kernel.transposed()), turned.view()).unwrap();
            let width = if border == Border::Valid { shape.width - 4 } else { shape.width };
            assert_eq!(same(&turn(&plain, width), &other), Ok(()), "border {border}");
        }
    }
}

/// 16-bit sums must not overflow on the images that make them largest and smallest, and errors
/// must stay within the bound where the taps' errors add up.
#[test]
fn the_worst_images() {
    let binomial = [1.0, 4.0, 6.0, 4.0, 1.0];
    let mut filters = vec![
        Filter::new(Kernel::separable(&binomial, &binomial).unwrap()).scale(1.0 / 256.0),
        Filter::new(Kernel::separable(&binomial, &binomial).unwrap()).scale(1.0 / 128.0),
        Filter::new(Kernel::separable(&binomial, &binomial).unwrap())
            .scale(1.0 / 256.0)
            .offset(0.5),
        Filter::new(Kernel::separable(&binomial, &[-1.0, -2.0, 0.0, 2.0, 1.0]).unwrap()),
        Filter::new(Kernel::separable(&binomial, &[-1.0, -2.0, 0.0, 2.0, 1.0]).unwrap()).abs(),
        Filter::new(Kernel::separable(&[3.0, 10.0, 3.0], &[-1.0, 0.0, 1.0]).unwrap()).scale(0.25),
        Filter::new(
            Kernel::new(3, 3, vec![-1.0, -1.0, -1.0, -1.0, 8.0, -1.0, -1.0, -1.0, -1.0]).unwrap(),
        ),
        Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap(),
    ];
    filters.extend(sum_one());
    for size in 2..=7 {
        filters.push(Filter::new(Kernel::box_(size, size).unwrap()));
        let taps: Vec<f64> = (0..size).map(|i| 0.1 + (i as f64 * 2.3).sin().abs()).collect();
        let sum: f64 = taps.iter().sum();
        let taps: Vec<f64> = taps.iter().map(|t| t / sum).collect();
        filters.push(Filter::new(Kernel::separable(&taps, &taps).unwrap()));
        let mixed: Vec<f64> = taps.iter().map(|t| t - 0.21).collect();
        filters.push(Filter::new(Kernel::separable(&mixed, &taps).unwrap()));
        filters.push(Filter::new(Kernel::separable(&mixed, &mixed).unwrap()).offset(100.3));
    }
    filters.extend(nines());
    for filter in filters {
        let kernel = &filter.kernels()[0];
        let shape = Shape::new(kernel.width(), kernel.height(), 1);
        for negative in [false, true] {
            let worst: Vec<u8> = kernel
                .taps()
                .iter()
                .map(|t| if (*t > 0.0) != negative { 255 } else { 0 })
                .collect();
            let image = Image::from_vec(worst, shape).unwrap();
            check_levels::<u8, u8>(&filter, image.view()).unwrap();
            check_levels::<u8, i16>(&filter, image.view()).unwrap();
        }
    }
}

/// 3×3 kernels without any pattern, from tiny taps to such that hardly fit into 16 bits, and steps after.
fn nines() -> Vec<Filter> {
    let mut filters = Vec::new();
    for (seed, size) in [0.004, 0.05, 0.21, 0.34, 0.5, 0.9, 2.7].into_iter().enumerate() {
        let tap = |i: usize| size * ((i * i + 3 * seed) as f64 * 2.3).sin();
        let mixed = Filter::new(Kernel::new(3, 3, (0..9).map(tap).collect()).unwrap());
        let plain = Kernel::new(3, 3, (0..9).map(|i| tap(i).abs()).collect()).unwrap();
        filters.push(mixed.clone());
        filters.push(mixed.clone().abs());
        filters.push(mixed.clone().abs().offset(-3.7));
        filters.push(mixed.scale(0.3).offset(127.5));
        filters.push(Filter::new(plain.clone()));
        filters.push(Filter::new(plain).scale(-0.25).offset(300.2));
    }
    // Products that nothing is lost of, beside others.
    let taps = vec![0.5, 0.25, -0.125, 1.0, 0.1, 0.0, -0.5, 0.25, 0.3];
    filters.push(Filter::new(Kernel::new(3, 3, taps).unwrap()));
    filters
}

/// Any 3×3 taps go through 16 bits, as long as their results fit, and are within the bound of exact ones
/// on every picture, at every level.
#[test]
fn nines_are_rounded_within_their_bound() {
    let mut rounded = 0;
    for (i, filter) in nines().into_iter().enumerate() {
        for channels in [1, 2, 3, 4] {
            for (width, height) in [(1, 1), (3, 2), (40, 21), (70, 9), (131, 11)] {
                let shape = Shape::new(width, height, channels);
                let plan = filter.plan::<u8, u8>(shape).unwrap();
                if plan.stages()[0].arithmetic == Arithmetic::I16Rounded {
                    rounded += 1;
                    assert!(
                        plan.error_bound().unwrap() > 0.0 && plan.error_bound().unwrap() < 1.0,
                        "{plan}"
                    );
                }
                for look in [Look::Noise, Look::Extremes] {
                    let source = image::<u8>(shape, look, i as u64);
                    check_levels::<u8, u8>(&filter, source.view()).unwrap();
                    check_levels::<u8, i16>(&filter, source.view()).unwrap();
                }
            }
        }
    }
    assert!(rounded > 500, "only {rounded} plans of 860 round products");
}

/// Whole 3×3 taps are exact however they are multiplied: with bytes, where all are of 8 bits, in pairs
/// of neighbours or one at a time, or with words; as products, of columns that end with ±1 and others,
/// and without any pattern.
#[test]
fn whole_nines_are_exact() {
    let column_row = |column: [f64; 3], row: [f64; 3]| Kernel::separable(&column, &row).unwrap();
    let nine = |taps: [f64; 9]| Kernel::new(3, 3, taps.to_vec()).unwrap();
    let kernels = [
        column_row([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]),
        column_row([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]),
        column_row([-1.0, 0.0, 1.0], [1.0, 2.0, 1.0]),
        column_row([3.0, 10.0, 3.0], [-1.0, 0.0, 1.0]),
        column_row([-1.0, 0.0, 1.0], [3.0, 10.0, 3.0]),
        column_row([1.0, -3.0, 2.0], [5.0, -7.0, 2.0]),
        column_row([1.0, 0.0, 0.0], [-128.0, 1.0, 127.0]),
        column_row([0.0, 1.0, 0.0], [128.0, -127.0, 0.0]),
        nine([-128.0, 0.0, 0.0, 0.0, 127.0, 0.0, 0.0, 0.0, 1.0]),
        nine([0.0, 0.0, 0.0, -127.0, 127.0, 0.0, 1.0, 0.0, 0.0]),
        nine([0.0, -1.0, 0.0, 2.0, -126.0, 3.0, 0.0, 120.0, -1.0]),
        nine([0.0, -1.0, 128.0, 0.0, -122.0, 0.0, -4.0, 0.0, -1.0]),
        nine([0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0]),
    ];
    for (i, kernel) in kernels.into_iter().enumerate() {
        let filter = Filter::new(kernel).border(Border::Reflect101);
        for channels in [1, 2, 3, 4] {
            for (width, height) in [(2, 3), (40, 21), (70, 9), (131, 11)] {
                let shape = Shape::new(width, height, channels);
                let plan = filter.plan::<u8, i16>(shape).unwrap();
                assert_eq!(plan.error_bound().unwrap(), 0.0, "{plan}");
                assert!(
                    matches!(plan.stages()[0].arithmetic, Arithmetic::I16 | Arithmetic::I16Rounded),
                    "{plan}"
                );
                for look in [Look::Noise, Look::Extremes] {
                    let source = image::<u8>(shape, look, i as u64);
                    check_levels::<u8, i16>(&filter, source.view()).unwrap();
                }
            }
        }
    }
}

/// A kernel of whole taps is exact, also if the factors that it was made of are not whole.
#[test]
fn whole_taps_of_other_factors() {
    let third = 1.0 / 3.0;
    let kernel = Kernel::separable(&[third, 2.0 * third, third], &[3.0, 0.0, -3.0]).unwrap();
    assert!(kernel.taps().iter().all(|t| t.fract() == 0.0), "{:?}", kernel.taps());
    let plan = Filter::new(kernel.clone()).plan::<u8, i16>(Shape::new(30, 20, 1)).unwrap();
    assert_eq!(plan.error_bound().unwrap(), 0.0, "{}", plan.proof());
    let source = image::<u8>(Shape::new(30, 20, 1), Look::Extremes, 5);
    check_levels::<u8, i16>(&Filter::new(kernel), source.view()).unwrap();
}

/// Where 16-bit sums of boxes are fullest: all white, on a picture of few windows, up to the sizes at
/// which 16 bits do not hold them.
#[test]
fn white_boxes() {
    for (width, height) in [
        (7, 7),
        (15, 15),
        (16, 16),
        (31, 8),
        (101, 101),
        (128, 127),
        (201, 201),
        (255, 257),
        (11, 300),
    ] {
        let filter = Filter::new(Kernel::box_(width, height).unwrap()).border(Border::Replicate);
        for channels in [1, 2, 3] {
            let shape = Shape::new(9, 5, channels);
            let white = Image::from_vec(vec![255u8; shape.samples().unwrap()], shape).unwrap();
            let out = check_levels::<u8, u8>(&filter, white.view()).unwrap();
            assert!(out.iter().all(|v| *v == 255), "{width}×{height}: {out:?}");
            let noise = image::<u8>(shape, Look::Extremes, width as u64);
            check_levels::<u8, u8>(&filter, noise.view()).unwrap();
        }
    }
    // Sums of up to 256 samples fit whole, and means of them are the reference's, rounded.
    for (width, height) in [(7, 7), (9, 9), (11, 4), (13, 13), (15, 15), (3, 60), (16, 16), (10, 9)]
    {
        let filter = Filter::new(Kernel::box_(width, height).unwrap()).border(Border::Wrap);
        for (look, channels) in
            [(Look::Extremes, 1), (Look::Noise, 1), (Look::Noise, 3), (Look::Noise, 4)]
        {
            let source = image::<u8>(Shape::new(150, 20, channels), look, width as u64);
            let plan = filter.plan::<u8, u8>(source.shape()).unwrap();
            assert_eq!(plan.stages()[0].arithmetic, Arithmetic::RunningI16, "{plan}");
            let out = check_levels::<u8, u8>(&filter, source.view()).unwrap();
            let (mut different, mut ties) = (0, 0);
            let rect = Rect::new(0, 0, 150, 20);
            let exact = reference::region(&filter, source.shape(), source.view(), (0, 0), rect);
            for (exact, ours) in exact.unwrap().iter().zip(&out) {
                ties += usize::from((exact.fract() - 0.5).abs() < 1e-9);
                different += usize::from(exact.round() != f64::from(*ours));
            }
            // What lies in the middle between two may be off in the last bit of the f64 sum.
            let odd = width * height % 2 == 1;
            assert!(different <= if odd { 0 } else { ties }, "{width}×{height}: {different}");
            assert!(plan.error_bound().unwrap() <= if odd { 0.0 } else { 1e-6 }, "{plan}");
        }
    }
    // Of an even count some means lie in the middle: a tap that is not quite 1/64 is not divided exactly.
    let ones = Filter::new(Kernel::new(8, 8, vec![1.0; 64]).unwrap()).scale(0.015624999999999);
    assert!(ones.plan::<u8, u8>(Shape::new(30, 20, 1)).unwrap().error_bound().unwrap() > 0.0);
    let shape = Shape::new(300, 300, 1);
    let plan = Filter::new(Kernel::box_(201, 201).unwrap()).plan::<u8, u8>(shape).unwrap();
    assert_eq!(plan.stages()[0].arithmetic, Arithmetic::RunningI16, "{plan}");
}
