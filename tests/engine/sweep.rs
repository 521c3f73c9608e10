//! Every size from 1×1 to 40×40, under every border, at every level, for three kernels: images
//! smaller than the kernel, than a vector, than a tile, and all remainders.

use crate::common::{Look, borders, check_levels, image};
use std::ops::Range;
use twopass::{
    Alpha, Arithmetic, Border, Filter, Image, Kernel, KernelParams, Level, NamedKernel, Sample,
    Shape, Source, Workspace, reference,
};

pub fn sweep<I: Source, O: Sample>(kernel: &Kernel, scale: f64) {
    sweep_filter::<I, O>(&Filter::new(kernel.clone()).scale(scale));
}

/// The same for a filter, with borders of its own.
pub fn sweep_filter<I: Source, O: Sample>(filter: &Filter) {
    sweep_heights::<I, O>(filter, 1..=40);
}

/// The same at some heights: of large kernels the reference takes long.
pub fn sweep_heights<I: Source, O: Sample>(
    filter: &Filter,
    heights: impl IntoIterator<Item = usize>,
) {
    let kernel = &filter.kernels()[0];
    for height in heights {
        for width in 1..=40 {
            let shape = Shape::new(width, height, 1 + (3 * width + height) % 4);
            let source = image::<I>(shape, Look::Noise, (height * 64 + width) as u64);
            for border in borders(0.4 * I::FULL.min(255.0)) {
                let fits = width >= kernel.width() && height >= kernel.height();
                if border == Border::Valid && !fits {
                    continue;
                }
                let filter = filter.clone().border(border.clone());
                if let Err(e) = check_levels::<I, O>(&filter, source.view()) {
                    panic!("{shape}, border {border}: {e}");
                }
            }
        }
    }
}

#[test]
fn integer_separable() {
    let sobel_x = Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0]).unwrap();
    sweep::<u8, i16>(&sobel_x, 1.0);
}

/// 5×7, no symmetry, the anchor off the centre.
fn float_separable() -> Kernel {
    let column = [0.05, 0.1, 0.33, 0.21, 0.17, 0.09, 0.05];
    let row = [0.4, -0.15, 0.45, 0.25, 0.05];
    Kernel::separable(&column, &row).unwrap().with_anchor(1, 5).unwrap()
}

#[test]
fn float_separable_u16() {
    sweep::<u16, u16>(&float_separable(), 1.0);
}

#[test]
fn float_separable_f32() {
    sweep::<f32, f32>(&float_separable(), 1.0);
}

#[test]
fn dense() {
    let taps = vec![0.3, -0.2, 1.1, 0.7, 0.9, 0.1, -0.6, 0.5, 0.2, 0.8, 0.4, -1.2];
    sweep::<u8, u8>(&Kernel::new(4, 3, taps).unwrap(), 0.4);
}

/// Seven symmetric taps of a row, whose samples are added in 16 bits before they are multiplied: sums of
/// columns as large as that allows, of either sign.
#[test]
fn seven_symmetric_taps() {
    let gaussian = [2.0, 7.0, 14.0, 18.0, 14.0, 7.0, 2.0].map(|t| t / 64.0);
    let sharp = [-1.0, -7.0, 12.0, 56.0, 12.0, -7.0, -1.0].map(|t| t / 64.0);
    for (column, row) in [(gaussian, gaussian), (gaussian, sharp), (sharp, gaussian)] {
        let filter = Filter::new(Kernel::separable(&column, &row).unwrap());
        for channels in 1..=4 {
            for width in (1..150).step_by(channels) {
                let shape = Shape::new(width, 11, channels);
                let plan = filter.plan::<u8, u8>(shape).unwrap();
                assert_eq!(plan.stages()[0].arithmetic, Arithmetic::I16Rounded, "{plan}");
                let source = image::<u8>(shape, Look::Extremes, width as u64);
                check_levels::<u8, u8>(&filter, source.view()).unwrap();
            }
        }
    }
}

/// 3×3 taps on 16 bits, in one pass: products with columns that are not multiplied, other taps, shifted sums
/// and divided ones, offsets and absolute values; images below a vector, of each of its remainders, and some more.
#[test]
fn nine_taps_of_u16() {
    let three = |taps: [f64; 9]| Kernel::new(3, 3, taps.to_vec()).unwrap();
    let steep = three([-3000.0, 12.0, 700.0, 1.0, -1.0, 2500.0, 77.0, -900.0, 1500.0]);
    let filters = [
        Filter::new(Kernel::gaussian_of(3).unwrap()),
        Filter::new(Kernel::box_(3, 3).unwrap()),
        Filter::new(Kernel::sobel_x()).abs(),
        Filter::new(Kernel::sobel_y()).scale(0.125).offset(32768.0),
        Filter::new(Kernel::sobel_x()).offset(1.0),
        Filter::new(Kernel::sobel_x()).offset(-1.0).abs(),
        Filter::new(Kernel::sobel_x()).scale(0.5),
        Filter::new(Kernel::sobel_x()).scale(0.25).offset(3.0),
        Filter::new(three([0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0])).scale(0.25),
        Filter::new(Kernel::gaussian_of(3).unwrap()).offset(0.1),
        Filter::new(Kernel::prewitt_x()).scale(1.0 / 3.0).offset(1000.5),
        Filter::new(Kernel::scharr_y()).scale(1.0 / 32.0),
        Filter::new(Kernel::laplacian()).abs(),
        Filter::new(Kernel::sharpen()),
        Filter::new(three([1.0, 2.0, 1.0, 2.0, 0.0, 2.0, 1.0, 2.0, 1.0])).scale(1.0 / 12.0),
        Filter::new(steep).scale(1.0 / 4096.0),
    ];
    for (filter, border) in filters.iter().zip(borders(777.0).into_iter().cycle()) {
        let filter = filter.clone().border(border);
        for channels in 1..=4 {
            for width in (3..110).step_by(channels).chain([517]) {
                let shape = Shape::new(width, 13, channels);
                let plan = filter.plan::<u16, u16>(shape).unwrap();
                assert_eq!(plan.stages()[0].arithmetic, Arithmetic::I32, "{plan}");
                for look in [Look::Extremes, Look::Noise] {
                    let source = image::<u16>(shape, look, width as u64);
                    if let Err(e) = check_levels::<u16, u16>(&filter, source.view()) {
                        panic!("{filter:?}, {shape}: {e}");
                    }
                }
            }
        }
    }
}

/// Any odd number of symmetric taps beyond that, with products of both passes rounded: kernels of either
/// sign, and as long as the bound allows.
#[test]
fn long_symmetric_taps() {
    let gaussian = |size: usize| {
        let at = |i: usize| (i as f64 - (size / 2) as f64) / (size as f64 / 6.0);
        let taps: Vec<f64> = (0..size).map(|i| (-at(i).powi(2) / 2.0).exp()).collect();
        let sum: f64 = taps.iter().sum();
        taps.iter().map(|t| t / sum).collect::<Vec<_>>()
    };
    let sharp = [-1.0, 3.0, -6.0, 13.0, 37.0, 13.0, -6.0, 3.0, -1.0].map(|t| t / 83.0);
    let shapes = |channels: usize| {
        let widths = (1..150).step_by(3 * channels).chain([257]);
        widths.map(move |width| Shape::new(width, 11, channels))
    };
    let kernels = [
        (gaussian(9), gaussian(9)),
        (gaussian(13), gaussian(3)),
        (gaussian(1), gaussian(15)),
        (gaussian(31), gaussian(61)),
        (sharp.to_vec(), gaussian(9)),
        (gaussian(11), sharp.to_vec()),
    ];
    for (column, row) in kernels {
        let filter = Filter::new(Kernel::separable(&column, &row).unwrap());
        for shape in (1..=4).flat_map(shapes) {
            let plan = filter.plan::<u8, u8>(shape).unwrap();
            let arithmetic = plan.stages()[0].arithmetic;
            let at = || format!("{}x{}: {plan}", column.len(), row.len());
            assert_eq!(arithmetic, Arithmetic::I16Rounded, "{}", at());
            assert!(plan.proof().contains("bits in the scratch row"), "{}", at());
            let source = image::<u8>(shape, Look::Extremes, shape.width as u64);
            check_levels::<u8, u8>(&filter, source.view()).unwrap();
            let negative = filter.clone().scale(-0.4).offset(-3.3);
            check_levels::<u8, i16>(&negative, source.view()).unwrap();
        }
    }
}

/// Equal taps, long enough for running sums; the anchor off the centre.
#[test]
fn running_sums() {
    let kernel = Kernel::box_(12, 4).unwrap().with_anchor(7, 0).unwrap();
    sweep::<u8, u8>(&kernel, 1.0);
    let kernel = Kernel::box_(2, 11).unwrap().with_anchor(0, 8).unwrap();
    sweep::<u16, u16>(&kernel, 1.0);
}

/// The same of one channel, for every remainder of its vectors, and windows too long for 16 bits.
#[test]
fn running_sums_of_one_channel() {
    fn check<T: Sample + Source>(
        taps: (usize, usize),
        anchor: (usize, usize),
        widths: Range<usize>,
    ) {
        let kernel = Kernel::box_(taps.0, taps.1).unwrap().with_anchor(anchor.0, anchor.1).unwrap();
        for width in widths {
            let source = image::<T>(Shape::new(width, 5, 1), Look::Extremes, width as u64);
            for border in borders(77.0) {
                if border == Border::Valid && (width < taps.0 || taps.1 > 5) {
                    continue;
                }
                for scale in [1.0, -3.0] {
                    let filter = Filter::new(kernel.clone()).scale(scale).offset(scale - 1.0);
                    let filter = filter.border(border.clone());
                    if let Err(e) = check_levels::<T, T>(&filter, source.view()) {
                        panic!("{taps:?}, {width} wide, border {border}, times {scale}: {e}");
                    }
                }
            }
        }
    }
    check::<u16>((12, 2), (3, 1), 1..150);
    check::<u16>((11, 3), (0, 0), 120..260);
    check::<u8>((300, 2), (140, 0), 60..230);
    check::<u8>((301, 1), (300, 0), 230..400);
}

/// Equal taps, long enough for sums that rows share: fewer rows than are summed together, more, and
/// so many that groups of rows are summed first.
#[test]
fn sums_of_blocks() {
    for (width, height, anchor) in [(14, 3, (13, 1)), (3, 13, (0, 12)), (2, 27, (1, 5))] {
        let kernel = Kernel::box_(width, height).unwrap().with_anchor(anchor.0, anchor.1).unwrap();
        sweep::<f32, f32>(&kernel, 1.0);
    }
    // Rows multiplied by alpha are `f32`, too.
    let kernel = Kernel::box_(14, 13).unwrap();
    for (width, height) in [(3, 2), (17, 40), (40, 9)] {
        let source = image::<u8>(Shape::new(width, height, 4), Look::Noise, 1);
        let filter = Filter::new(kernel.clone()).alpha(Alpha::Premultiply);
        check_levels::<u8, u8>(&filter, source.view()).unwrap();
    }
}

/// Equal or whole taps so small that nothing is left of an image, or next to nothing.
#[test]
fn tiny_taps() {
    for tap in [1e-3, 1e-4, 1.5e-5, 1e-5, 1e-9, 1e-40] {
        for (column, row) in
            [(&[1.0][..], &[1.0][..]), (&[1.0, 2.0, 1.0], &[1.0]), (&[1.0; 4], &[1.0; 3])]
        {
            let row: Vec<f64> = row.iter().map(|t| t * tap).collect();
            let kernel = Kernel::separable(column, &row).unwrap();
            let source = image::<u8>(Shape::new(70, 9, 1), Look::Extremes, 1);
            for filter in [Filter::new(kernel.clone()), Filter::new(kernel).offset(7.0)] {
                check_levels::<u8, u8>(&filter, source.view()).unwrap();
                check_levels::<u8, i16>(&filter, source.view()).unwrap();
            }
        }
    }
}

/// Results near 0 that are what is left of an offset which `f32` has to round.
#[test]
fn offsets_that_cancel() {
    let source = image::<u8>(Shape::new(90, 11, 1), Look::Noise, 1);
    for (kernel, scale) in [
        (Kernel::separable(&[1.0], &[1.0]).unwrap(), -1.0),
        (Kernel::separable(&[1.0, 2.0, 1.0], &[1.0, 2.0, 1.0]).unwrap(), -0.0625),
        (Kernel::separable(&[1000.0, 999.0], &[1000.0, 998.0]).unwrap(), -1.0),
    ] {
        let offset = 255.0 * 0.502 * -scale * kernel.sum();
        let filter = Filter::new(kernel).scale(scale).offset(offset);
        let shape = source.shape();
        let exact = reference::region(&filter, shape, source.view(), (0, 0), shape.rect()).unwrap();
        for level in Level::available() {
            let filter = filter.clone().level(level);
            let plan = filter.plan::<u8, f32>(shape).unwrap();
            let mut out = Image::<f32>::new(plan.output_shape()).unwrap();
            plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
            for (exact, got) in exact.iter().zip(out.data()) {
                let allowed = plan.error_bound().unwrap() + f64::from(f32::EPSILON) * exact.abs();
                let error = (f64::from(*got) - exact).abs();
                assert!(error <= allowed, "{level}: {got} for {exact}, {error} > {allowed}");
            }
        }
    }
}

/// Taps that cancel so much that `f32` is too coarse for 16 bits.
#[test]
fn wild_taps() {
    let row = [800.37, -1600.12, 800.05];
    let kernel = Kernel::separable(&[0.3, 0.5], &row).unwrap();
    let plan = Filter::new(kernel.clone()).plan::<u16, u16>(Shape::new(9, 9, 1)).unwrap();
    assert_eq!(plan.stages()[0].arithmetic, Arithmetic::F64);
    sweep::<u16, u16>(&kernel, 1.0);
    let taps = vec![800.37, -1600.12, 800.05, -300.7, 600.6, -299.6];
    sweep::<u16, i16>(&Kernel::new(3, 2, taps).unwrap(), 1.0);
    // Alpha under a large derivative is what is left of sums of 10⁹.
    let params = KernelParams { size: Some(15), ..Default::default() };
    let sobel = NamedKernel::find("sobel-x").unwrap().kernels(&params).unwrap();
    let filter = Filter::new(sobel[0].clone()).border(Border::Reflect101);
    let filter = filter.offset(128.0).alpha(Alpha::Premultiply);
    let pixel = |i: usize| {
        let level = |k: usize| (i % 13 * 7919 * k + i / 13 * 104_729) as u8;
        [level(1), level(3), if i % 13 < 5 { 255 } else { 0 }, level(5)]
    };
    let picture = (0..13 * 11).flat_map(pixel).collect();
    let picture = Image::<u8>::from_vec(picture, Shape::new(13, 11, 4)).unwrap();
    let want: Image<u8> = reference::filter(&filter, picture.view()).unwrap();
    let plan = filter.plan::<u8, u8>(picture.shape()).unwrap();
    let mut out = Image::new(plan.output_shape()).unwrap();
    plan.run(picture.view(), out.view_mut(), &mut Workspace::new()).unwrap();
    for (got, want) in out.data().chunks_exact(4).zip(want.data().chunks_exact(4)) {
        let off = got.iter().zip(want).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "{got:?}, not {want:?}: {}", plan.proof());
    }
}
