//! Images larger than a tile: the same bytes for every thread count, tile size, region and
//! workspace.

use crate::common::{Look, check_levels, image, levels, run_plan, run_tiling, same, with_tiles};
use twopass::{Border, Filter, Image, Kernel, Rect, Sample, Shape, Source, Workspace};

fn sobel_x() -> Filter {
    Filter::new(Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0]).unwrap())
}

/// A blur of 9×5, and what 8 and 16-bit integers cannot express exactly.
fn blur() -> Filter {
    let row = [0.03, 0.07, 0.13, 0.17, 0.2, 0.17, 0.13, 0.07, 0.03];
    Filter::new(Kernel::separable(&[0.1, 0.25, 0.3, 0.25, 0.1], &row).unwrap())
}

fn dense() -> Filter {
    let taps = vec![0.3, -0.2, 1.1, 0.7, 0.9, 0.1, -0.6, 0.5, 0.2, 0.8, 0.4, -1.2];
    Filter::new(Kernel::new(4, 3, taps).unwrap()).scale(0.4).border(Border::Wrap)
}

/// 3×3 taps that nothing but rounded products express in 16 bits.
fn nine() -> Filter {
    let taps = vec![0.31, -0.2, 0.11, 0.7, 0.43, 0.1, -0.6, 0.5, 0.2];
    Filter::new(Kernel::new(3, 3, taps).unwrap()).border(Border::Reflect)
}

fn gradient() -> Filter {
    let x = Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0]).unwrap();
    Filter::magnitude(&x, &x.transposed()).unwrap().border(Border::Replicate)
}

/// Against the reference at every level, then other tiles and regions at every level.
pub fn large<I: Source, O: Sample>(filter: &Filter) {
    for (width, height, channels) in [
        (4500, 7, 1),
        (1500, 6, 3),
        (1100, 6, 4),
        (3, 2500, 1),
        (5, 700, 4),
        (300, 200, 1),
        (90, 120, 2),
    ] {
        let shape = Shape::new(width, height, channels);
        let source = image::<I>(shape, Look::Noise, width as u64);
        if let Err(e) = check_levels::<I, O>(filter, source.view()) {
            panic!("{shape}: {e}");
        }
        for level in levels() {
            let filter = filter.clone().level(level);
            let plan = filter.plan::<I, O>(shape).unwrap();
            let whole = run_plan(&plan, source.view()).unwrap();
            for (tile, strip) in [(1, 1), (37, 3), (64, 1000), (100_000, 2)] {
                let other = with_tiles(plan.clone(), tile, strip);
                let other = run_plan(&other, source.view()).unwrap();
                if let Err(e) = same(&whole, &other) {
                    panic!("{shape}, level {level}, tiles of {tile}×{strip}: {e}");
                }
            }
            for seed in 0..4 {
                let pieces = run_tiling(&plan, &filter, source.view(), seed).unwrap();
                if let Err(e) = same(&whole, &pieces) {
                    panic!("{shape}, level {level}, regions of seed {seed}: {e}");
                }
            }
        }
    }
}

#[test]
fn large_integer() {
    large::<u8, i16>(&sobel_x());
}

/// At every level, of one tile and of others, for images of `f32` as wide as one vector, three, and other
/// numbers of them.
fn vectors_of_f32(filter: &Filter, height: usize) {
    for channels in 1..=6 {
        for width in [1, 2, 3, 11, 16, 43, 64, 85, 128, 130, 171, 300] {
            let shape = Shape::new(width, height, channels);
            let source = image::<f32>(shape, Look::Noise, width as u64);
            check_levels::<f32, f32>(filter, source.view()).unwrap();
            for level in levels() {
                let plan = filter.clone().level(level).plan::<f32, f32>(shape).unwrap();
                let whole = run_plan(&plan, source.view()).unwrap();
                for tile in [1, 37] {
                    let other = with_tiles(plan.clone(), tile, 2);
                    let other = run_plan(&other, source.view()).unwrap();
                    if let Err(e) = same(&whole, &other) {
                        panic!("{shape}, level {level}, tiles of {tile}: {e}, {plan}");
                    }
                }
            }
        }
    }
}

/// Rows of `f32` so long that taps lie whole vectors apart.
#[test]
fn long_rows() {
    for count in [16, 17, 33, 47] {
        let row: Vec<f64> = (0..count).map(|i| 0.03 + 0.01 * f64::from(i * i % 7)).collect();
        vectors_of_f32(&Filter::new(Kernel::separable(&[0.3, 0.7], &row).unwrap()), 5);
    }
}

/// Direct kernels of `f32`, on either side of the number of taps from which on three vectors are taken
/// at once.
#[test]
fn long_dense_rows() {
    for width in [10, 11, 15] {
        let taps = (0..3 * width).map(|i| (i as f64 * 2.3).sin()).collect();
        let filter = Filter::new(Kernel::new(width, 3, taps).unwrap());
        let plan = filter.plan::<f32, f32>(Shape::new(64, 9, 1)).unwrap();
        assert_eq!(plan.multiplications_per_sample(), 3 * width, "{plan}");
        vectors_of_f32(&filter, 9);
    }
}

#[test]
fn large_u8() {
    large::<u8, u8>(&blur());
}

/// Outputs large enough to go past the cache, with rows that begin anywhere: the same bytes as parts of them,
/// which do not.
#[test]
fn streams() {
    fn check<I: Source, O: Sample>(filter: &Filter, shape: Shape) {
        let source = image::<I>(shape, Look::Noise, 5);
        assert!(shape.samples().unwrap() * size_of::<O>() > 8 << 20, "{shape}");
        let mut workspace = Workspace::new();
        for level in levels() {
            let plan = filter.clone().level(level).threads(1).plan::<I, O>(shape).unwrap();
            let whole = run_plan(&plan, source.view()).unwrap();
            for (x, y, width, height) in
                [(0, 0, 270, 3), (13, 37, 91, 10), (shape.width - 700, 90, 700, 5)]
            {
                let small = Shape::new(width, height, shape.channels);
                let mut out = Image::<O>::new(small).unwrap();
                let rect = Rect::new(x, y, width, height);
                plan.run_region(source.view(), (0, 0), rect, out.view_mut(), &mut workspace)
                    .unwrap();
                let n = shape.channels;
                let rows = (y..y + height).map(|y| (y * shape.width + x) * n);
                let want: Vec<O> =
                    rows.flat_map(|row| whole[row..row + width * n].to_vec()).collect();
                assert_eq!(same(&want, out.data()), Ok(()), "{plan}, {rect}");
            }
        }
    }
    let one = Shape::new(4003, 2101, 1);
    let wide = Shape::new(2503, 1701, 1);
    let float = Shape::new(1503, 1403, 1);
    let three = Shape::new(3001, 961, 3);
    let four = Shape::new(2203, 957, 4);
    for size in [3, 12, 15, 40] {
        let filter = Filter::new(Kernel::box_(size, size).unwrap()).border(Border::Reflect101);
        for shape in [one, three, four] {
            check::<u8, u8>(&filter, shape);
        }
        check::<u16, u16>(&filter, wide);
        check::<f32, f32>(&filter, float);
    }
    let binomial = [1.0, 4.0, 6.0, 4.0, 1.0].map(|tap| tap / 16.0);
    let binomial = Filter::new(Kernel::separable(&binomial, &binomial).unwrap());
    for filter in [&blur(), &dense(), &nine(), &binomial] {
        for shape in [one, three, four] {
            check::<u8, u8>(filter, shape);
        }
        check::<u16, u16>(filter, wide);
        check::<f32, f32>(filter, float);
    }
    check::<u8, i16>(&sobel_x(), one);
    check::<u8, u8>(&gradient(), one);
}

/// Lopsided taps of both signs, too many for 16 bits.
fn long(width: usize, height: usize) -> Filter {
    let taps = |n: usize, sign: f64| -> Vec<f64> {
        let taps = (0..n).map(|i| 1.0 + (i * 7 % 5) as f64 * 0.37 + sign * (i % 2) as f64 * 2.5);
        let taps: Vec<f64> = taps.collect();
        let sum: f64 = taps.iter().sum();
        taps.into_iter().map(|t| t / sum).collect()
    };
    Filter::new(Kernel::separable(&taps(height, 0.0), &taps(width, -1.0)).unwrap())
}

/// The row pass first: more taps than channels, and fewer, at the edges as every border wants them.
#[test]
fn large_row_first() {
    let black = Border::Constant(vec![3.0]);
    for border in [Border::Reflect101, Border::Wrap, black] {
        large::<u8, u8>(&long(19, 11).border(border));
    }
    large::<u8, i16>(&long(10, 13).border(Border::Reflect).scale(-3.0));
}

/// As many channels as a vector's window does not hold, and more taps than are kept at hand.
#[test]
fn wide_row_first() {
    for (filter, shape) in [
        (long(9, 8), Shape::new(150, 20, 15)),
        (long(9, 8), Shape::new(150, 20, 17)),
        (long(8, 9), Shape::new(40, 10, 70)),
        (long(256, 9).scale(0.4), Shape::new(700, 14, 1)),
        (long(257, 9).scale(0.4), Shape::new(700, 14, 3)),
        (long(12, 9), Shape::new(5, 30, 1)),
    ] {
        let plan = filter.plan::<u8, u8>(shape).unwrap();
        assert!(plan.steps()[0].starts_with("row pass"), "{plan}");
        let source = image::<u8>(shape, Look::Noise, 3);
        if let Err(e) = check_levels::<u8, u8>(&filter, source.view()) {
            panic!("{shape}: {e}");
        }
    }
}

#[test]
fn large_u16() {
    large::<u16, u16>(&blur());
}

#[test]
fn large_f32() {
    large::<f32, f32>(&blur());
}

#[test]
fn large_boxes() {
    large::<u8, u8>(&Filter::new(Kernel::box_(12, 5).unwrap()));
    large::<u8, u8>(&Filter::new(Kernel::box_(300, 3).unwrap()));
    large::<u16, u16>(&Filter::new(Kernel::box_(12, 5).unwrap()));
    large::<f32, f32>(&Filter::new(Kernel::box_(13, 6).unwrap()));
    large::<f32, u8>(&Filter::new(Kernel::box_(40, 35).unwrap()).border(Border::Wrap));
}

#[test]
fn large_dense() {
    large::<u8, u8>(&dense());
    large::<u8, u8>(&nine());
    large::<u8, i16>(&nine());
    large::<u16, u16>(&Filter::new(Kernel::sharpen()));
    large::<u16, u16>(&Filter::new(Kernel::gaussian_of(3).unwrap()).border(Border::Wrap));
    large::<f32, f32>(&dense());
}

#[test]
fn large_magnitude() {
    large::<u8, u8>(&gradient());
}

/// In a pool with more workers than most machines have cores.
#[cfg(feature = "rayon")]
#[test]
fn threads() {
    fn check<I: Source, O: Sample>(filter: &Filter, shape: Shape) {
        let source = image::<I>(shape, Look::Noise, 7);
        for level in levels() {
            let filter = filter.clone().level(level);
            let one = filter.clone().threads(1).plan::<I, O>(shape).unwrap();
            let one = run_plan(&one, source.view()).unwrap();
            for threads in [2, 3, 7, 0] {
                let plan = filter.clone().threads(threads).plan::<I, O>(shape).unwrap();
                for plan in [plan.clone(), with_tiles(plan, 50, 3)] {
                    let other = run_plan(&plan, source.view()).unwrap();
                    if let Err(e) = same(&one, &other) {
                        panic!("{shape}, level {level}, {threads} threads: {e}");
                    }
                }
            }
        }
    }

    let pool = rayon::ThreadPoolBuilder::new().num_threads(7).build().unwrap();
    pool.install(|| {
        check::<u8, i16>(&sobel_x(), Shape::new(640, 411, 1));
        check::<u8, u8>(&blur(), Shape::new(333, 250, 3));
        check::<u8, u8>(&long(13, 9), Shape::new(333, 650, 3));
        check::<u16, u16>(&blur(), Shape::new(400, 333, 1));
        check::<f32, f32>(&blur(), Shape::new(640, 201, 1));
        check::<f32, f32>(&dense(), Shape::new(211, 199, 4));
        check::<u8, u8>(&gradient(), Shape::new(400, 333, 1));
        check::<u8, u8>(&nine(), Shape::new(400, 333, 3));
    });
}

/// Passes that keep sums, low rows or blocks, on so many workers that chunks lie beside each other.
#[cfg(feature = "rayon")]
#[test]
fn chunks_beside_each_other() {
    fn check<I: Source, O: Sample>(filter: &Filter, shape: Shape) {
        let source = image::<I>(shape, Look::Noise, 8);
        for level in levels() {
            let filter = filter.clone().level(level);
            let one = filter.clone().threads(1).plan::<I, O>(shape).unwrap();
            let one = run_plan(&one, source.view()).unwrap();
            let plan = filter.plan::<I, O>(shape).unwrap();
            assert_eq!(plan.workers(), 16, "{plan}");
            let chunks = plan.chunks(16);
            assert!(chunks[0].width < plan.output_shape().width, "{plan}");
            if let Err(e) = same(&one, &run_plan(&plan, source.view()).unwrap()) {
                panic!("{shape}, level {level}: {e}");
            }
            let mut parts = Image::<O>::new(plan.output_shape()).unwrap();
            let mut workspace = Workspace::new();
            for rect in chunks {
                let part = parts.view_mut().crop(rect).unwrap();
                plan.run_region(source.view(), (0, 0), rect, part, &mut workspace).unwrap();
            }
            if let Err(e) = same(&one, parts.data()) {
                panic!("{shape}, level {level}, chunk by chunk: {e}");
            }
        }
    }

    let pool = rayon::ThreadPoolBuilder::new().num_threads(16).build().unwrap();
    let square = |n| Filter::new(Kernel::box_(n, n).unwrap());
    let gaussian = |sigma| Filter::new(Kernel::gaussian(sigma).unwrap());
    let disc = Filter::new(Kernel::disc(31.0).unwrap());
    pool.install(|| {
        check::<u8, u8>(&square(255).border(Border::Wrap), Shape::new(900, 300, 3));
        check::<f32, f32>(&square(255), Shape::new(900, 300, 1));
        check::<u8, u8>(&gaussian(25.0).border(Border::Valid), Shape::new(1500, 900, 1));
        check::<u8, u8>(&gaussian(12.0), Shape::new(1500, 300, 3));
        check::<u8, u8>(&disc, Shape::new(901, 301, 1));
        let taps = (0..63 * 63).map(|i| f64::from(i * i % 97 + 1) / 190_000.0).collect();
        check::<u8, u8>(&Filter::new(Kernel::new(63, 63, taps).unwrap()), Shape::new(1200, 400, 1));
    });
}

/// One workspace, handed from plan to plan: sizes, types, kernels and levels in turn.
#[test]
fn workspace_is_reused() {
    fn check<I: Source, O: Sample>(filter: &Filter, shape: Shape, workspace: &mut Workspace) {
        let source = image::<I>(shape, Look::Noise, shape.width as u64);
        for level in levels() {
            let plan = filter.clone().level(level).plan::<I, O>(shape).unwrap();
            let fresh = run_plan(&plan, source.view()).unwrap();
            for _ in 0..2 {
                let mut out = Image::new(plan.output_shape()).unwrap();
                plan.run(source.view(), out.view_mut(), workspace).unwrap();
                if let Err(e) = same(&fresh, out.data()) {
                    panic!("{shape}, level {level}: {e}");
                }
            }
        }
    }

    let mut workspace = Workspace::new();
    for (width, height) in [(50, 40), (3, 2), (400, 30), (1, 1), (70, 300), (33, 5)] {
        let shape = |channels| Shape::new(width, height, channels);
        check::<u8, i16>(&sobel_x(), shape(1), &mut workspace);
        check::<f32, f32>(&blur(), shape(3), &mut workspace);
        check::<u8, u8>(&dense(), shape(4), &mut workspace);
        check::<u16, u16>(&blur(), shape(1), &mut workspace);
        check::<f32, u8>(&gradient(), shape(2), &mut workspace);
        check::<u8, f32>(&blur(), shape(5), &mut workspace);
    }
}

/// A plan serves frame after frame, and its copy too.
#[test]
fn plan_is_reused() {
    let shape = Shape::new(61, 47, 3);
    let plan = blur().plan::<u8, u8>(shape).unwrap();
    let copy = plan.clone();
    for seed in 0..3 {
        let source = image::<u8>(shape, Look::Noise, seed);
        let exact = check_levels::<u8, u8>(&blur(), source.view()).unwrap();
        assert_eq!(same(&exact, &run_plan(&plan, source.view()).unwrap()), Ok(()));
        assert_eq!(same(&exact, &run_plan(&copy, source.view()).unwrap()), Ok(()));
    }
}
