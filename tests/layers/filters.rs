//! Image filters as stages of a chain, from and to every type of sample.

use crate::common::{Look, Strided, borders, image, levels, rng, same, tiling};
use crate::make::{check, conv2d, depthwise, numbers, paddings, pointwise, window};
use rand::RngExt;
use twopass::{
    Alpha, AnyPlan, AnyView, AnyViewMut, Arithmetic, Border, Chain, Depthwise, Filter, Image,
    Kernel, KernelParams, Layer, Method, NamedKernel, Padding, Plan, Sample, SampleType, Shape,
    Source, View, Workspace, reference,
};

/// Whether the rows between its filters are 16-bit integers.
pub fn has_words(plan: &AnyPlan) -> bool {
    let words = [Arithmetic::I16, Arithmetic::I16Rounded, Arithmetic::I16Pairs];
    plan.stages().iter().all(|stage| words.contains(&stage.arithmetic))
}

pub fn run<I: Source, O: Sample>(plan: &Plan<I, O>, source: View<'_, I>) -> Vec<O> {
    let mut out = Strided::guarded(plan.output_shape(), 5);
    plan.run(source, out.view_mut(), &mut Workspace::new()).unwrap();
    let strided = out.into_samples();
    let mut out = Image::new(plan.output_shape()).unwrap();
    plan.run(source, out.view_mut(), &mut Workspace::new()).unwrap();
    assert_eq!(same(&strided, out.data()), Ok(()), "{plan}");
    strided
}

/// Against the reference, within what the plan promises, and the same bytes whatever the tiles,
/// and at every level (for floats: per level).
pub fn agree<I: Source, O: Sample>(chain: &Chain, shape: Shape, seed: u64) {
    agree_in_tiles::<I, O>(chain, shape, seed, &[(1, 1, 1), (5, 1, 3), (1000, 3, 7)]);
}

/// The same in such tiles: their columns and rows, and the rows of a strip.
pub fn agree_in_tiles<I: Source, O: Sample>(
    chain: &Chain,
    shape: Shape,
    seed: u64,
    tiles: &[(usize, usize, usize)],
) {
    let float = I::TYPE == SampleType::F32 && O::TYPE == SampleType::F32;
    let alpha = chain.layers().iter().any(|layer| {
        matches!(layer, twopass::Layer::Filter(f) if f.get_alpha() == Some(Alpha::Premultiply))
    });
    for look in [Look::Noise, Look::Extremes] {
        let source = image::<I>(shape, look, seed);
        let gaps = Strided::copy(source.view(), 3);
        let exacts = reference::layer::chain(chain, source.view()).unwrap();
        let mut first: Option<Vec<O>> = None;
        for level in levels() {
            let plan = chain.clone().level(level).plan::<I, O>(shape).unwrap();
            let at = || format!("{plan}\nseed {seed}");
            let out = run(&plan, source.view());
            let range = if I::TYPE == SampleType::F32 { 1.0 } else { I::FULL };
            let bound = plan.error_bound_within(range);
            assert!(bound.is_some() || alpha, "{}", at());
            for (i, (&got, &exact)) in out.iter().zip(&exacts).enumerate() {
                // Where colours are divided by alpha, it is colour × alpha that is close.
                let weight = match alpha {
                    true => (pixel_alpha(&exacts, shape.channels, i) / range).min(1.0),
                    false => 1.0,
                };
                let bound = bound.unwrap_or(range * 1e-5);
                let bound = bound + exact.abs() * f64::from(f32::EPSILON);
                let (want, allowed) = match O::TYPE {
                    SampleType::F32 => (exact, bound),
                    _ => (O::from_f64(exact).to_f64(), if bound < 0.5 { 1.0 } else { 1.0 + bound }),
                };
                let off = (got.to_f64() - want).abs() * weight;
                assert!(off <= allowed, "{}: sample {i}: {got:?}, exactly {exact}", at());
                if O::TYPE != SampleType::F32 && !alpha {
                    // What is proved before rounding, and the rounding.
                    let [least, most] = [-1e9, 1e9].map(|v| O::from_f64(v).to_f64());
                    let off = (got.to_f64() - exact.clamp(least, most)).abs();
                    assert!(off <= bound + 0.5, "{}: sample {i}: {got:?}, exactly {exact}", at());
                }
            }
            assert_eq!(same(&out, &run(&plan, gaps.view())), Ok(()), "{}", at());
            for &(tile, rows, strip) in tiles {
                let other = plan.clone().with_tiles(tile, rows, strip);
                let other = run(&other, source.view());
                assert_eq!(same(&out, &other), Ok(()), "{}, tiles {tile}, strips {strip}", at());
            }
            match &first {
                Some(first) if !float => assert_eq!(same(first, &out), Ok(()), "{}", at()),
                _ => first = Some(out),
            }
        }
    }
}

/// Means of noise are right, and few samples are not the correctly rounded ones.
pub fn fair(chain: &Chain, shape: Shape) {
    let source = image::<u8>(shape, Look::Noise, 9);
    let plan = chain.plan::<u8, u8>(shape).unwrap();
    let out = run(&plan, source.view());
    let exact = reference::layer::chain(chain, source.view()).unwrap();
    let (mut mean, mut differ) = (0.0, 0);
    for (got, exact) in out.iter().zip(&exact) {
        let right = u8::from_f64(*exact);
        mean += f64::from(*got) - f64::from(right);
        differ += usize::from(*got != right);
    }
    let n = out.len() as f64;
    // What is promised, and what so many samples show of it.
    assert!((mean / n).abs() < 0.0185, "{} levels off\n{plan}", mean / n);
    assert!(differ as f64 <= n / 10.0, "{differ} of {n} differ\n{plan}");
}

fn all_types(chain: &Chain, shape: Shape, seed: u64) {
    agree::<u8, u8>(chain, shape, seed);
    agree::<u8, i16>(chain, shape, seed);
    agree::<u8, f32>(chain, shape, seed);
    agree::<u16, u16>(chain, shape, seed);
    agree::<u16, u8>(chain, shape, seed);
    agree::<f32, f32>(chain, shape, seed);
    agree::<f32, u16>(chain, shape, seed);
}

/// The alpha of the pixel of sample `i`.
fn pixel_alpha(samples: &[f64], channels: usize, i: usize) -> f64 {
    samples[i / channels * channels + channels - 1]
}

/// A kernel that is no product.
fn dense(width: usize, height: usize, seed: u64) -> Kernel {
    let mut rng = rng(seed);
    let taps = (0..width * height).map(|_| rng.random_range(-0.3..0.5)).collect();
    Kernel::new(width, height, taps).unwrap()
}

pub fn chain_of<const N: usize>(filters: [Filter; N]) -> Chain {
    let mut filters = filters.into_iter();
    let first = Chain::new(filters.next().unwrap());
    filters.fold(first, |chain, filter| chain.then(filter).unwrap())
}

/// The same filters with that border.
pub fn through(chain: &Chain, border: &Border) -> Chain {
    let mut filters = chain.layers().iter().map(|layer| match layer {
        Layer::Filter(filter) => filter.clone().border(border.clone()),
        _ => unreachable!("only filters"),
    });
    let first = Chain::new(filters.next().unwrap());
    filters.fold(first, |chain, filter| chain.then(filter).unwrap())
}

/// Two passes, direct passes, two kernels at once, through every border; images smaller than the
/// kernels among them.
#[test]
fn every_border() {
    let blur = Filter::new(Kernel::gaussian(1.3).unwrap());
    let odd = Filter::new(dense(4, 3, 5).with_anchor(0, 2).unwrap()).offset(3.0);
    let sobel = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap().scale(0.25);
    let even = Filter::new(Kernel::box_(2, 6).unwrap().with_anchor(1, 4).unwrap()).abs();
    for (i, border) in borders(9.0).into_iter().enumerate() {
        let x = |f: &Filter| f.clone().border(border.clone());
        let y = |f: &Filter| f.clone().borders(border.clone(), borders(-2.0)[(i + 2) % 6].clone());
        let chain = chain_of([x(&blur), y(&odd), x(&sobel), y(&even), x(&odd)]);
        for (width, height, channels) in [(37, 26, 3), (30, 31, 1), (70, 24, 5)] {
            let shape = Shape::new(width, height, channels);
            agree::<u8, u8>(&chain, shape, i as u64);
            agree::<f32, f32>(&chain, shape, i as u64);
        }
        for (width, height) in [(1, 1), (2, 5), (7, 1), (1, 9), (5, 4), (12, 3)] {
            let shape = Shape::new(width, height, 2);
            if chain.output_shape(shape).is_ok() {
                all_types(&chain, shape, i as u64);
            }
        }
    }
}

/// Rows of 16 bits between the filters of `u8` images, where they keep the contract; through every
/// border, cut into every tile and region.
#[test]
fn rows_of_16_bits() {
    let gaussian = |sigma| Filter::new(Kernel::gaussian(sigma).unwrap());
    let edges = || Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap();
    let binomial = |size: usize| {
        let mut taps = vec![1.0];
        while taps.len() < size {
            let next =
                |i: usize| taps.get(i).unwrap_or(&0.0) + if i > 0 { taps[i - 1] } else { 0.0 };
            taps = (0..=taps.len()).map(next).map(|t: f64| t / 2.0).collect();
        }
        Filter::new(Kernel::separable(&taps, &taps).unwrap())
    };
    // Of two kernels that are no products.
    let diagonal_edges = || {
        let kernel = |taps: &[f64]| Kernel::new(3, 3, taps.to_vec()).unwrap();
        let down = kernel(&[0.0, 1.0, 2.0, -1.0, 0.0, 1.0, -2.0, -1.0, 0.0]);
        let up = kernel(&[-2.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 1.0, 2.0]);
        Filter::magnitude(&down, &up).unwrap()
    };
    let shifted = Kernel::box_(4, 3).unwrap().with_anchor(3, 0).unwrap();
    let chains = [
        vec![gaussian(1.0), gaussian(1.7).offset(-3.25)],
        vec![gaussian(0.8), Filter::new(Kernel::sobel_x())],
        vec![gaussian(2.0), Filter::new(Kernel::sharpen())],
        vec![Filter::new(shifted), gaussian(0.6), edges().scale(0.25)],
        vec![edges().scale(0.5), gaussian(1.0), Filter::new(Kernel::emboss()).abs()],
        vec![Filter::new(Kernel::sobel_y()).abs().offset(7.0), gaussian(1.2).scale(0.3)],
        // Short kernels: 16-bit sums, in one pass, two passes and a direct one.
        vec![binomial(3), Filter::new(Kernel::sobel_x()).offset(100.5)],
        vec![binomial(5), binomial(7), edges()],
        vec![Filter::new(Kernel::emboss()), Filter::new(Kernel::laplacian()).abs()],
        vec![Filter::new(Kernel::box_(3, 3).unwrap()), Filter::new(dense(4, 3, 5)).scale(0.1)],
        vec![Filter::new(dense(3, 3, 6)).scale(0.2), Filter::new(Kernel::box_(5, 3).unwrap())],
        vec![binomial(5), diagonal_edges().scale(0.4), Filter::new(dense(3, 3, 8)).scale(0.1)],
    ];
    for (i, filters) in chains.into_iter().enumerate() {
        for (j, border) in borders(9.0).into_iter().enumerate() {
            let other = borders(3.3)[(j + i) % 6].clone();
            let mut chain: Option<Chain> = None;
            for (k, filter) in filters.iter().enumerate() {
                // Constants of later filters need not be samples.
                let own = if k == 0 { border.clone() } else { other.clone() };
                let filter = filter.clone().borders(own, border.clone());
                chain = Some(match chain {
                    Some(chain) => chain.then(filter).unwrap(),
                    None => Chain::new(filter),
                });
            }
            let chain = chain.unwrap();
            let shape = Shape::new(61, 23, [1, 3, 4][j % 3]);
            let plan = chain.plan::<u8, u8>(shape).unwrap();
            assert!(has_words(&plan), "{plan}");
            let seed = (10 * i + j) as u64;
            agree::<u8, u8>(&chain, shape, seed);
            agree::<u8, i16>(&chain, shape, seed);
            agree::<u8, u16>(&chain, shape, seed);
            regions::<u8, u8>(&chain, shape, seed);
            regions::<f32, f32>(&chain, shape, seed);
            for (width, height) in [(1, 1), (3, 2), (2, 9), (40, 3)] {
                let shape = Shape::new(width, height, 3);
                if chain.output_shape(shape).is_ok() {
                    agree::<u8, u8>(&chain, shape, seed);
                }
            }
        }
    }
    // Results beyond 16 bits, results that show every error, and samples of other types.
    let wide =
        chain_of([Filter::new(Kernel::sobel_x()), Filter::new(Kernel::sobel_x()).scale(9.5)])
            .then(Kernel::sobel_x())
            .unwrap();
    let two = chain_of([gaussian(1.0), gaussian(1.0)]);
    let shape = Shape::new(20, 20, 1);
    for plan in [
        wide.plan::<u8, u8>(shape).unwrap().into_any(),
        two.plan::<u8, f32>(shape).unwrap().into_any(),
        two.plan::<u16, u8>(shape).unwrap().into_any(),
    ] {
        assert!(!has_words(&plan), "{plan}");
    }
    // Constant images stay constant, whole numbers exact.
    let three = chain_of([gaussian(3.0), Filter::new(Kernel::sharpen()), gaussian(1.0)]);
    for value in [0u8, 1, 100, 254, 255] {
        let flat = Image::from_vec(vec![value; 29 * 23], Shape::new(29, 23, 1)).unwrap();
        let plan = three.plan::<u8, u8>(flat.shape()).unwrap();
        assert!(run(&plan, flat.view()).iter().all(|v| *v == value), "{value}");
    }
    let whole = chain_of([Filter::new(Kernel::sobel_x()), Filter::new(Kernel::laplacian())]);
    let plan = whole.plan::<u8, i16>(shape).unwrap();
    assert_eq!(plan.error_bound(), Some(0.0));
    assert!(has_words(&plan), "{plan}");
    agree::<u8, i16>(&whole, shape, 1);
}

/// Outputs large enough to go past the cache, with rows that begin anywhere: the same bytes as the
/// parts of it, which do not.
#[test]
fn streams() {
    fn whole_and_parts<S: Source>(chain: &Chain, shape: Shape) {
        let source = image::<S>(shape, Look::Noise, 5);
        let mut workspace = Workspace::new();
        for level in levels() {
            let plan = chain.clone().level(level).threads(1).plan::<S, S>(shape).unwrap();
            let whole = run(&plan, source.view());
            let output = plan.output_shape();
            for part in [(0, 0, 70, 3), (13, 37, 91, 10), (output.width - 300, 90, 300, 5)] {
                let rect = twopass::Rect::new(part.0, part.1, part.2, part.3);
                let small = Shape::new(rect.width, rect.height, output.channels);
                let mut out = Image::new(small).unwrap();
                plan.run_region(source.view(), (0, 0), rect, out.view_mut(), &mut workspace)
                    .unwrap();
                let n = output.channels;
                let rows = (rect.y..rect.y + rect.height).map(|y| (y * output.width + rect.x) * n);
                let want: Vec<S> =
                    rows.flat_map(|row| whole[row..row + rect.width * n].to_vec()).collect();
                assert_eq!(same(&want, out.data()), Ok(()), "{plan}\n{rect}");
            }
        }
    }
    let blur = || Filter::new(Kernel::gaussian(0.6).unwrap());
    let chain = chain_of([blur(), Filter::new(Kernel::sharpen())]);
    let turned = chain_of([Filter::new(Kernel::sharpen()), blur().abs()]);
    for chain in [&chain, &turned] {
        whole_and_parts::<u8>(chain, Shape::new(5003, 1201, 3));
    }
    for chain in [&chain, &turned] {
        whole_and_parts::<f32>(chain, Shape::new(4003, 401, 3));
    }
    for (inputs, outputs) in [(3, 3), (4, 3), (3, 4), (2, 2), (1, 4), (3, 1)] {
        let shape = Shape::new(5001, 5_000_000 / 5001 / outputs, inputs);
        whole_and_parts::<f32>(&Chain::new(pointwise(inputs, outputs, 2)), shape);
    }
}

/// Filters and layers of all kinds, from and to every type of sample.
#[test]
fn mixed_chains() {
    let same_size = |padding| window((1, 1), (1, 1), padding);
    let blur = || Filter::new(Kernel::gaussian(0.8).unwrap());
    let own = depthwise((3, 3), 3, 1, 4).with_window(same_size(Padding::Same)).unwrap();
    let conv = conv2d((3, 2), 4, 3, 6).with_window(same_size(Padding::Valid)).unwrap();
    let chain = Chain::new(pointwise(3, 3, 1))
        .then(blur())
        .and_then(|c| c.then(own))
        .and_then(|c| c.then(pointwise(3, 4, 2)))
        .and_then(|c| c.then(blur().border(Border::Wrap)))
        .and_then(|c| c.then(conv))
        .and_then(|c| c.then(blur().method(Method::Dense)))
        .unwrap();
    for (width, height) in [(33, 21), (3, 2), (90, 8)] {
        all_types(&chain, Shape::new(width, height, 3), 7);
    }
    check(&chain, Shape::new(41, 33, 3), 8);
    let plan = chain.plan::<u8, u8>(Shape::new(41, 33, 3)).unwrap();
    assert_eq!(plan.segments(), 1);
    println!("{plan}");
}

/// Strides and many channels cut a chain into segments, also on integer images.
#[test]
fn segments_of_integer_images() {
    let half = |c, seed| {
        let window = window((2, 2), (1, 1), Padding::Same);
        depthwise((3, 3), c, 1, seed).with_window(window).unwrap()
    };
    let dilated = window((1, 1), (2, 3), Padding::zeros(2, 3));
    let chain = Chain::new(half(3, 1))
        .then(pointwise(3, 9, 2))
        .and_then(|c| c.then(Kernel::box_(3, 3).unwrap()))
        .and_then(|c| c.then(conv2d((3, 3), 9, 2, 3).with_window(dilated).unwrap()))
        .unwrap();
    let begins_without = Chain::new(pointwise(3, 7, 5)).then(half(7, 6)).unwrap();
    for shape in [Shape::new(31, 22, 3), Shape::new(8, 9, 3)] {
        all_types(&chain, shape, 2);
        all_types(&begins_without, shape, 3);
    }
    assert!(chain.plan::<u8, u8>(Shape::new(31, 22, 3)).unwrap().segments() > 1);
}

/// A chain of one filter keeps what the filter alone promises.
#[test]
fn one_filter() {
    let shape = Shape::new(50, 31, 3);
    let source = image::<u8>(shape, Look::Noise, 3);
    // Nine taps in a line are not 3×3.
    let line = |w, h| Kernel::new(w, h, (1..10).map(f64::from).collect()).unwrap();
    let [across, down] = [line(9, 1), line(1, 9)].map(|k| Filter::new(k).method(Method::Dense));
    let small = [Kernel::sobel_x(), Kernel::laplacian(), Kernel::emboss()].map(Filter::new);
    for filter in small.into_iter().chain([across, down]) {
        let alone = filter.plan::<u8, i16>(shape).unwrap();
        let mut want = Image::<i16>::new(shape).unwrap();
        alone.run(source.view(), want.view_mut(), &mut Workspace::new()).unwrap();
        let plan = Chain::new(filter).plan::<u8, i16>(shape).unwrap();
        assert_eq!(plan.error_bound(), Some(0.0));
        assert_eq!(same(want.data(), &run(&plan, source.view())), Ok(()));
    }
    all_types(&Chain::new(Kernel::gaussian(2.5).unwrap()), shape, 1);
}

/// Whole numbers stay exact through several filters, and constants constant.
#[test]
fn exact_results() {
    let shape = Shape::new(29, 23, 1);
    let chain = chain_of([Filter::new(Kernel::sobel_x()), Filter::new(Kernel::laplacian())]);
    let source = image::<u8>(shape, Look::Extremes, 3);
    let exact = reference::layer::chain(&chain, source.view()).unwrap();
    let plan = chain.plan::<u8, f32>(shape).unwrap();
    assert_eq!(plan.error_bound(), Some(0.0));
    let got: Vec<f64> = run(&plan, source.view()).iter().map(|v| (*v).into()).collect();
    assert_eq!(got, exact);
    let smooth = |sigma| Filter::new(Kernel::gaussian(sigma).unwrap());
    let chain = chain_of([smooth(3.0), Filter::new(Kernel::sharpen()), smooth(1.0)]);
    for value in [0u16, 1, 30_000, 65_535] {
        let flat = Image::from_vec(vec![value; 29 * 23], shape).unwrap();
        let plan = chain.plan::<u16, u16>(shape).unwrap();
        assert!(run(&plan, flat.view()).iter().all(|v| *v == value), "{value}");
    }
}

/// Whole kernels make whole numbers of whole samples only: sums of others are rounded, and the bound
/// says so.
#[test]
fn whole_kernels_on_fractions() {
    let chain = chain_of([Filter::new(Kernel::laplacian()), Filter::new(Kernel::identity())]);
    let shape = Shape::new(29, 23, 3);
    let plan = chain.plan::<f32, f32>(shape).unwrap();
    assert!(plan.error_bound_within(1.0).unwrap() > 0.0);
    agree::<f32, f32>(&chain, shape, 8);
}

/// Where `f32` is too coarse filters sum in `f64`, and where that is not enough either the
/// reference does the work.
#[test]
fn coarse_sums() {
    let shape = Shape::new(20, 15, 1);
    // The sums of one row cancel those of the next.
    let column = [3_000_000.25, -3_000_000.0];
    let wild = Filter::new(Kernel::separable(&column, &[0.5, 0.5]).unwrap());
    let plan = Chain::new(wild.clone()).plan::<u16, u16>(shape).unwrap();
    assert_eq!(plan.stages()[0].arithmetic, Arithmetic::F64, "{plan}");
    all_types(&Chain::new(wild.clone()), shape, 1);
    let long = || Filter::new(Kernel::gaussian(30.0).unwrap());
    let chain = chain_of([long(), long(), long(), long()]);
    let plan = chain.plan::<u16, u16>(shape).unwrap();
    assert_eq!(plan.stages()[0].arithmetic, Arithmetic::F64, "{plan}");
    agree::<u16, u16>(&chain, Shape::new(9, 7, 1), 2);
    let direct = dense(9, 9, 1);
    let direct = Filter::new(direct).scale(4.0).method(Method::Dense);
    let chain = chain_of([direct.clone(), Filter::new(Kernel::identity()).scale(0.2)]);
    let plan = chain.plan::<u16, u16>(shape).unwrap();
    assert_eq!(plan.stages()[0].arithmetic, Arithmetic::F64, "{plan}");
    agree::<u16, u16>(&chain, shape, 2);
    let worse = chain_of([Filter::new(Kernel::laplacian()).scale(1e5), wild]);
    let plan = worse.plan::<u16, u16>(shape).unwrap();
    assert_eq!(plan.segments(), 0, "{plan}");
    assert!(plan.stages().iter().all(|stage| stage.arithmetic == Arithmetic::Reference));
    agree::<u16, u16>(&worse, shape, 3);
    agree::<u8, u8>(&chain_of([long().method(Method::Naive), long()]), Shape::new(9, 5, 1), 3);
}

/// Colours multiplied by alpha and divided again, and alpha kept, stage by stage.
#[test]
fn alpha() {
    let blur = Filter::new(Kernel::gaussian(1.0).unwrap());
    let sharp = Filter::new(Kernel::sharpen());
    let shifted = Filter::new(Kernel::box_(3, 4).unwrap().with_anchor(0, 3).unwrap());
    for (i, border) in borders(60.0).into_iter().enumerate() {
        let on = |f: &Filter, alpha| f.clone().border(border.clone()).alpha(alpha);
        let chain = chain_of([
            on(&blur, Alpha::Premultiply),
            on(&sharp, Alpha::Keep),
            on(&shifted, Alpha::Keep),
            on(&blur, Alpha::Plain),
        ]);
        let end = chain_of([on(&shifted, Alpha::Keep), on(&blur, Alpha::Premultiply)]);
        for channels in [2, 4] {
            for (width, height) in [(31, 22), (21, 20)] {
                let shape = Shape::new(width, height, channels);
                agree::<u8, u8>(&chain, shape, i as u64);
                agree::<u16, u16>(&chain, shape, i as u64);
                agree::<u8, u8>(&end, shape, i as u64);
                agree::<u8, f32>(&end, shape, i as u64);
            }
        }
    }
    // As the filter alone does it.
    let shape = Shape::new(40, 30, 4);
    let source = image::<u8>(shape, Look::Noise, 3);
    let filter = blur.alpha(Alpha::Premultiply);
    let want: Image<u8> = reference::filter(&filter, source.view()).unwrap();
    let exact = reference::layer::chain(&Chain::new(filter), source.view()).unwrap();
    let exact: Vec<u8> = exact.into_iter().map(u8::from_f64).collect();
    assert_eq!(same(want.data(), &exact), Ok(()));
    // Sums so large that single precision is not good enough: where they cancel, little is left.
    let params = KernelParams { size: Some(19), ..Default::default() };
    let sobel = NamedKernel::find("sobel").unwrap().kernels(&params).unwrap();
    let edges = Filter::magnitude(&sobel[0], &sobel[1]).unwrap().alpha(Alpha::Keep);
    let identity = Filter::new(Kernel::identity()).alpha(Alpha::Premultiply);
    let chain = chain_of([edges, identity].map(|f| f.border(Border::Reflect101)));
    let pixel = |i: usize| {
        let level = |k: usize| (i % 13 * 7919 * k + i / 13 * 104_729) as u8;
        [level(1), level(3), level(2), 255]
    };
    let picture = (0..13 * 11).flat_map(pixel).collect();
    let picture = Image::from_vec(picture, Shape::new(13, 11, 4)).unwrap();
    let exact = reference::layer::chain(&chain, picture.view()).unwrap();
    let exact: Vec<u8> = exact.into_iter().map(u8::from_f64).collect();
    let plan = chain.plan::<u8, u8>(picture.shape()).unwrap();
    assert_eq!(same(&exact, &run(&plan, picture.view())), Ok(()), "{plan}");
    let no_alpha = Chain::new(Filter::new(Kernel::identity()).alpha(Alpha::Keep));
    assert!(no_alpha.plan::<u8, u8>(Shape::new(4, 4, 3)).is_err());
}

/// Depthwise kernels that are products run in two passes, if they are large; with several kernels
/// a channel, dilated, and under every padding.
#[test]
fn depthwise_products() {
    let products = |size: usize, channels: usize, seed: u64| {
        let (columns, rows) = (numbers(size * channels, seed), numbers(size * channels, seed + 1));
        let taps = (0..size * size * channels).map(|i| {
            let (t, c) = (i / channels, i % channels);
            columns[t / size * channels + c] * rows[t % size * channels + c]
        });
        taps.collect::<Vec<f32>>()
    };
    for (size, channels, multiplier) in [(5, 3, 1), (7, 1, 2), (9, 4, 1), (5, 20, 1), (7, 33, 1)] {
        let taps = products(size, channels * multiplier, 3);
        for (i, padding) in paddings(channels).into_iter().enumerate() {
            let layer = Depthwise::from_keras(&taps, [size, size, channels, multiplier])
                .unwrap()
                .with_bias(&numbers(channels * multiplier, 5))
                .unwrap()
                .with_window(window((1, 1), (1 + i % 2, 1 + i / 2 % 2), padding))
                .unwrap();
            let chain = Chain::new(layer);
            let shape = Shape::new(41, 33, channels);
            let plan = chain.plan::<f32, f32>(shape).unwrap().to_string();
            assert!(plan.contains("two passes"), "{plan}");
            check(&chain, shape, i as u64);
            agree::<u8, u8>(&chain, shape, i as u64);
        }
    }
    let kernels = [Kernel::gaussian(1.0).unwrap(), Kernel::box_(5, 5).unwrap(), dense(5, 5, 1)];
    let plan = |kernels: &[Kernel]| {
        let layer = Depthwise::from_kernels(kernels, &Border::Wrap).unwrap();
        let shape = Shape::new(20, 20, kernels.len());
        Chain::new(layer).plan::<u8, u8>(shape).unwrap().to_string()
    };
    assert!(plan(&kernels[..2]).contains("two passes"));
    assert!(!plan(&kernels).contains("two passes"));
}

/// NaN stays within the windows of the chain.
#[test]
fn nan() {
    let shape = Shape::new(40, 33, 1);
    let mut samples = image::<f32>(shape, Look::Noise, 4).into_vec();
    samples[16 * 40 + 20] = f32::NAN;
    let source = Image::from_vec(samples, shape).unwrap();
    let edges = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap();
    let own = Depthwise::from_kernels(&[Kernel::box_(3, 3).unwrap()], &Border::Replicate).unwrap();
    let chain = Chain::new(Kernel::box_(5, 5).unwrap())
        .then(edges)
        .and_then(|c| c.then(own))
        .and_then(|c| c.then(Filter::new(dense(3, 1, 2))))
        .unwrap();
    for level in levels() {
        let plan = chain.clone().level(level).plan::<f32, f32>(shape).unwrap();
        for plan in [plan.clone(), plan.with_tiles(7, 1, 5)] {
            let out = run(&plan, source.view());
            for (i, v) in out.iter().enumerate() {
                let (x, y) = (i % 40, i / 40);
                let near = x.abs_diff(20) <= 2 + 1 + 1 + 1 && y.abs_diff(16) <= 2 + 1 + 1;
                assert_eq!(v.is_nan(), near, "({x}, {y}), level {level}");
            }
        }
    }
}

/// Every cutting into regions gives the same bytes, from no more than each needs; also by the
/// reference.
pub fn regions<I: Source, O: Sample>(chain: &Chain, shape: Shape, seed: u64) {
    let source = image::<I>(shape, Look::Noise, seed);
    let exact = reference::layer::chain(chain, source.view()).unwrap();
    let mut rng = rng(seed);
    let mut workspace = Workspace::new();
    for level in levels() {
        let plan = chain.clone().level(level).plan::<I, O>(shape).unwrap();
        let whole = run(&plan, source.view());
        let n = plan.output_shape().channels;
        for rect in tiling(plan.output_shape(), &mut rng) {
            let needed = plan.input_region(rect).unwrap();
            let part = Strided::copy(source.view().crop(needed).unwrap(), 2);
            let mut out = Strided::guarded(Shape::new(rect.width, rect.height, n), 3);
            let origin = (needed.x, needed.y);
            plan.run_region(part.view(), origin, rect, out.view_mut(), &mut workspace).unwrap();
            let row = |y: usize| ((rect.y + y) * plan.output_shape().width + rect.x) * n;
            let rows = |y: usize| row(y)..row(y) + rect.width * n;
            let want: Vec<O> = (0..rect.height).flat_map(|y| whole[rows(y)].to_vec()).collect();
            let at = || format!("{plan}\n{rect}, seed {seed}");
            assert_eq!(same(&want, &out.into_samples()), Ok(()), "{}", at());
            let want: Vec<f64> = (0..rect.height).flat_map(|y| exact[rows(y)].to_vec()).collect();
            let got = reference::layer::region(chain, shape, part.view(), origin, rect).unwrap();
            assert_eq!(got, want, "{}", at());
        }
    }
}

/// Sums that are kept from row to row, in rows of 16 bits, whatever follows.
#[test]
fn runs_come_first() {
    let after = [
        Filter::new(Kernel::sharpen()),
        Filter::new(Kernel::gaussian(1.5).unwrap()),
        Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap(),
    ];
    let ring = Kernel::ring(12.0, 8.0).unwrap().with_anchor(1, 22).unwrap();
    let kernels = [Kernel::disc(6.0).unwrap(), ring, Kernel::motion(23.0, 30.0).unwrap()];
    let all = borders(7.0).into_iter().cycle();
    for (seed, (border, (i, after))) in
        all.zip((0..3).flat_map(|i| after.iter().map(move |f| (i, f)))).enumerate()
    {
        let on = |f: Filter| f.border(border.clone());
        let chain = chain_of([on(Filter::new(kernels[i].clone())), on(after.clone())]);
        let plan = chain.plan::<u8, u8>(Shape::new(83, 61, 3)).unwrap();
        let first = &plan.stages()[0];
        assert_eq!(
            (first.method, first.arithmetic),
            (Some(Method::Runs), Arithmetic::I16Pairs),
            "{plan}"
        );
        // Each kernel is on all shapes, with another filter after it.
        let (width, height, channels) = [(83, 61, 3), (150, 40, 1), (31, 26, 4)][(seed + i) % 3];
        let shape = Shape::new(width, height, channels);
        if chain.output_shape(shape).is_ok() {
            agree::<u8, u8>(&chain, shape, seed as u64);
            agree::<u8, i16>(&chain, shape, seed as u64);
            regions::<u8, u8>(&chain, shape, seed as u64);
        }
    }
}

#[test]
fn any_region() {
    let shape = Shape::new(37, 29, 3);
    let blur = Filter::new(Kernel::gaussian(1.0).unwrap());
    for (i, border) in borders(7.0).into_iter().enumerate() {
        let seed = i as u64;
        let on = |f: &Filter| f.clone().border(border.clone());
        let odd = Filter::new(dense(2, 5, 1).with_anchor(0, 4).unwrap());
        let own = depthwise((5, 5), 3, 1, 1)
            .with_window(window((1, 1), (1, 1), Padding::zeros(4, 1)))
            .unwrap();
        let chain = Chain::new(on(&blur))
            .then(own)
            .and_then(|c| c.then(pointwise(3, 2, 1)))
            .and_then(|c| c.then(on(&odd)))
            .unwrap();
        regions::<u8, u8>(&chain, shape, seed);
        regions::<f32, f32>(&chain, shape, seed);
        // Several segments.
        let half =
            depthwise((3, 3), 2, 5, 1).with_window(window((2, 2), (1, 1), Padding::Same)).unwrap();
        let chain = chain.then(half).unwrap().then(on(&blur)).unwrap();
        regions::<u8, f32>(&chain, shape, seed);
        regions::<f32, f32>(&chain, shape, seed);
        let alpha = Shape { channels: 4, ..shape };
        let chain = chain_of([on(&blur).alpha(Alpha::Premultiply), on(&odd).alpha(Alpha::Keep)]);
        regions::<u16, u8>(&chain, alpha, seed);
        // By the reference.
        let naive = chain_of([on(&blur).method(Method::Naive), on(&odd)]);
        regions::<u8, u8>(&naive, shape, seed);
    }
    regions::<u8, u8>(&Chain::new(pointwise(3, 3, 1)), shape, 1);
    regions::<f32, f32>(
        &Chain::new(pointwise(3, 20, 1)).then(pointwise(20, 3, 1)).unwrap(),
        shape,
        1,
    );
    // Windows that see nothing but constants.
    let far = Padding::Explicit {
        left: 40,
        right: 3,
        top: 30,
        bottom: 2,
        border_x: Border::Constant(vec![0.5]),
        border_y: Border::Constant(vec![-0.5]),
    };
    let far = depthwise((3, 3), 3, 1, 1).with_window(window((1, 1), (1, 1), far)).unwrap();
    let chain = Chain::new(Kernel::box_(3, 3).unwrap()).then(far).unwrap();
    regions::<u8, u8>(&chain, Shape::new(7, 5, 3), 1);
    let plan = chain.plan::<u8, u8>(shape).unwrap();
    let beyond = twopass::Rect::new(0, 0, 1000, 1);
    assert!(plan.input_region(beyond).is_err());
    let (part, mut out) =
        (image::<u8>(shape, Look::Noise, 1), Image::new(Shape::new(5, 5, 3)).unwrap());
    let rect = twopass::Rect::new(45, 32, 5, 5);
    let small = part.view().crop(twopass::Rect::new(5, 2, 3, 3)).unwrap();
    let workspace = &mut Workspace::new();
    let error = plan.run_region(small, (5, 2), rect, out.view_mut(), workspace).unwrap_err();
    assert!(matches!(error, twopass::Error::PartTooSmall { .. }), "{error}");
}

/// Boxes whose sums are kept from row to row, while other filters' rows go through the same segment.
#[test]
fn large_boxes() {
    let shape = Shape::new(100, 24, 3);
    let mean = |width, height| Filter::new(Kernel::box_(width, height).unwrap());
    for (i, border) in borders(7.0).into_iter().enumerate() {
        let seed = i as u64;
        let on = |f: Filter| f.border(border.clone());
        let blur = Filter::new(Kernel::gaussian(1.0).unwrap());
        let edges = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap();
        let chains = [
            chain_of([on(mean(49, 15)), on(Filter::new(Kernel::sharpen()))]),
            chain_of([on(blur), on(mean(51, 21)), on(mean(49, 15).scale(0.5).offset(3.0))]),
            chain_of([on(edges), on(mean(51, 3))]),
        ];
        // One for each border: cut into small regions, every piece adds up a window anew.
        for chain in chains.into_iter().skip(i % 3).take(1) {
            let plan = chain.plan::<u8, u8>(shape).unwrap();
            assert_eq!(plan.segments(), 1, "{plan}");
            let kept = plan.stages().into_iter().filter(|s| s.arithmetic == Arithmetic::RunningI32);
            let boxes = chain.layers().iter().filter(|layer| match layer {
                Layer::Filter(filter) => filter.kernels()[0].width() > 40,
                _ => false,
            });
            assert_eq!(kept.count(), boxes.count(), "{plan}");
            let floats = chain.plan::<f32, f32>(shape).unwrap();
            assert!(
                floats.stages().iter().any(|s| s.arithmetic == Arithmetic::TreeSums),
                "{floats}"
            );
            all_types(&chain, shape, seed);
            regions::<u8, u8>(&chain, shape, seed);
            regions::<u16, i16>(&chain, shape, seed);
            regions::<f32, f32>(&chain, shape, seed);
        }
    }
    // Windows that see nothing but constants.
    let far = Filter::new(Kernel::box_(3, 13).unwrap().with_anchor(0, 12).unwrap());
    let far = far.border(Border::Constant(vec![9.0]));
    regions::<u8, u8>(&chain_of([mean(49, 13), far]), Shape::new(7, 5, 3), 1);
}

/// In a pool with more workers than most machines have cores.
#[cfg(feature = "rayon")]
#[test]
fn threads() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(7).build().unwrap();
    pool.install(|| {
        let shape = Shape::new(300, 203, 3);
        let source = image::<u8>(shape, Look::Noise, 7);
        let luma = twopass::Pointwise::from_pytorch(&[0.3, 0.6, 0.1], [1, 3, 1, 1]).unwrap();
        let chain = Chain::new(Kernel::gaussian(3.0).unwrap())
            .then(luma)
            .and_then(|c| c.then(Filter::new(dense(5, 5, 1)).border(Border::Wrap)))
            .unwrap();
        let alone =
            chain_of([Filter::new(Kernel::box_(51, 31).unwrap()), Filter::new(Kernel::sharpen())]);
        for chain in [chain, alone] {
            let one = chain.clone().threads(1).plan::<u8, u8>(shape).unwrap();
            let one = run(&one, source.view());
            for threads in [2, 7, 0] {
                let plan = chain.clone().threads(threads).plan::<u8, u8>(shape).unwrap();
                for plan in [plan.clone(), plan.with_tiles(50, 2, 3)] {
                    assert_eq!(same(&one, &run(&plan, source.view())), Ok(()), "{threads} threads");
                }
            }
        }
    });
}

/// A random filter of a chain: small results before larger ones, and constants that rows must hold beside them.
fn any_filter(channels: usize, full: f64, rng: &mut rand::rngs::StdRng) -> Filter {
    let (width, height) = (rng.random_range(1..=8), rng.random_range(1..=8));
    let kernel = match rng.random_range(0..7) {
        0 => Kernel::box_(width, height),
        1 => Kernel::gaussian(rng.random_range(0.3..2.0)),
        2 => Ok(Kernel::sobel_x()),
        3 => Ok(Kernel::laplacian()),
        4 => Kernel::new(1, 1, vec![rng.random_range(-1.0..1.0)]),
        5 => Ok(dense(width, height, rng.random_range(0..1000))),
        _ => {
            let mut line =
                |n: usize| (0..n).map(|_| rng.random_range(-0.3..0.6)).collect::<Vec<_>>();
            Kernel::separable(&line(height), &line(width))
        }
    };
    let mut filter = match rng.random_range(0..6) {
        0 => Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap(),
        _ => Filter::new(kernel.unwrap()),
    };
    if rng.random_range(0..4) == 0 {
        filter = filter.abs();
    }
    filter = filter.scale([1.0, 0.25, 0.125, 0.5, 2.0, 0.0][rng.random_range(0..6)]);
    filter = filter.offset([0.0, 0.0, 3.0, -7.5][rng.random_range(0..4)] * full / 255.0);
    let mut border = || match rng.random_range(0..3) {
        0 => {
            let count = if rng.random_range(0..2) == 0 { 1 } else { channels };
            let value = |_| (rng.random_range(-1.0..2.0f64) * full).round();
            Border::Constant((0..count).map(value).collect())
        }
        _ => borders(0.0)[rng.random_range(1..5)].clone(),
    };
    let (x, y) = (border(), border());
    filter.borders(x, y)
}

/// Chains of random filters between all types of samples.
#[test]
fn random_chains() {
    for seed in 0..160 {
        let mut rng = rng(seed);
        let channels = rng.random_range(1..=4);
        let shape = Shape::new(rng.random_range(1..=40), rng.random_range(1..=12), channels);
        let count = rng.random_range(1..=3);
        let mut chain = |full: f64| {
            let first = Chain::new(any_filter(channels, full, &mut rng));
            (1..count)
                .fold(first, |chain, _| chain.then(any_filter(channels, full, &mut rng)).unwrap())
        };
        match seed % 5 {
            0 => agree::<u8, u8>(&chain(255.0), shape, seed),
            1 => agree::<u8, i16>(&chain(255.0), shape, seed),
            2 => agree::<u8, f32>(&chain(255.0), shape, seed),
            3 => agree::<u16, u16>(&chain(65535.0), shape, seed),
            _ => agree::<f32, f32>(&chain(1.0), shape, seed),
        }
    }
}

/// Where products underflow, zeros have signs: the same ones whatever the tile.
#[test]
fn signs_of_zero() {
    for seed in 0..120 {
        let mut rng = rng(seed);
        let channels = rng.random_range(1..=4);
        let shape = Shape::new(rng.random_range(1..=70), rng.random_range(1..=12), channels);
        let count = rng.random_range(1..=3);
        let mut layer = || -> Layer {
            let size = (rng.random_range(1..=4), rng.random_range(1..=4));
            let seed = rng.random_range(0..1000);
            match rng.random_range(0..4) {
                0 => depthwise(size, channels, 1, seed)
                    .with_bias(&vec![0.0; channels])
                    .unwrap()
                    .into(),
                1 => pointwise(channels, channels, seed)
                    .with_bias(&vec![0.0; channels])
                    .unwrap()
                    .into(),
                _ => any_filter(channels, 1e-44, &mut rng).into(),
            }
        };
        let first = Chain::new(layer());
        let chain = (1..count).fold(first, |chain, _| chain.then(layer()).unwrap());
        let source: Vec<f32> = image::<f32>(shape, Look::Noise, seed).into_vec();
        let tiny = source.iter().map(|v| (v - 0.5) * [1e-44, 1e-45, 1e-38][seed as usize % 3]);
        let source = Image::from_vec(tiny.collect(), shape).unwrap();
        for level in levels() {
            let Ok(plan) = chain.clone().level(level).plan::<f32, f32>(shape) else { continue };
            let out = run(&plan, source.view());
            for (tile, rows, strip) in [(1, 1, 1), (5, 1, 3), (37, 2, 4), (1000, 3, 7)] {
                let other = run(&plan.clone().with_tiles(tile, rows, strip), source.view());
                assert_eq!(
                    same(&out, &other),
                    Ok(()),
                    "{plan}\nseed {seed}, tiles {tile}, {strip}"
                );
            }
        }
    }
}

/// A filter is a chain of one: the same plan, the same bytes, whatever is known of the types when; and a plan for
/// another shape is the one that would have been made for it.
#[test]
fn a_filter_is_a_chain_of_one() {
    fn one<I: Source, O: Sample>(filter: &Filter, channels: usize, seed: u64) {
        let [first, other] = [(61, 23), (7, 90)].map(|(x, y)| Shape::new(x, y, channels));
        let plan = filter.plan::<I, O>(first).unwrap();
        let chain = Chain::new(filter.clone());
        assert_eq!(plan, chain.plan(first).unwrap());
        assert_eq!(plan.for_shape(other).unwrap(), filter.plan(other).unwrap(), "{plan}");
        let any = AnyPlan::new(&chain, first, (I::TYPE, O::TYPE)).unwrap();
        assert_eq!(any, plan.clone().into_any());
        let source = image::<I>(first, Look::Noise, seed);
        let mut out = Image::<O>::new(any.output_shape()).unwrap();
        let (view, target) = (any_view(&source), AnyViewMut::new(out.view_mut()));
        any.run(view, target, &mut Workspace::new()).unwrap();
        assert_eq!(same(out.data(), &run(&plan, source.view())), Ok(()), "{plan}");
        let mut wrong = Image::<i16>::new(any.output_shape()).unwrap();
        let target = AnyViewMut::new(wrong.view_mut());
        let result = any.run(any_view(&source), target, &mut Workspace::new());
        assert_eq!(result.is_ok(), O::TYPE == SampleType::I16);
    }
    fn any_view<I: Source>(image: &Image<I>) -> AnyView<'_> {
        AnyView::new(image.view())
    }
    let filters = [
        Filter::new(Kernel::gaussian(1.5).unwrap()),
        Filter::new(Kernel::box_(13, 15).unwrap()).border(Border::Constant(vec![0.5])),
        Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap(),
        Filter::new(dense(5, 4, 1)).border(Border::Wrap).offset(3.0),
        Filter::new(Kernel::gaussian(1.0).unwrap()).alpha(Alpha::Premultiply),
        Filter::new(Kernel::sharpen()).alpha(Alpha::Keep),
    ];
    for (i, filter) in filters.iter().enumerate() {
        one::<u8, u8>(filter, 4, i as u64);
        one::<u8, i16>(filter, 4, i as u64);
        one::<u16, u16>(filter, 4, i as u64);
        one::<f32, f32>(filter, 4, i as u64);
    }
    // Layers, whose plans depend on more than taps.
    let own =
        depthwise((3, 3), 3, 1, 4).with_window(window((1, 1), (1, 1), Padding::Same)).unwrap();
    for chain in [
        Chain::new(filters[0].clone())
            .then(pointwise(3, 3, 1))
            .unwrap()
            .then(dense(3, 3, 2))
            .unwrap(),
        Chain::new(pointwise(3, 2, 1)),
        Chain::new(filters[0].clone()).then(own).unwrap(),
        chain_of([Filter::new(Kernel::box_(61, 61).unwrap()), filters[0].clone()]),
    ] {
        let shapes = [(61, 23), (300, 90), (9, 1200)].map(|(x, y)| Shape::new(x, y, 3));
        let plan = chain.plan::<u8, u8>(shapes[0]).unwrap();
        for shape in shapes {
            assert_eq!(plan.for_shape(shape).unwrap(), chain.plan(shape).unwrap(), "{plan}");
        }
        let other = Shape::new(90, 90, 2);
        assert_eq!(plan.for_shape(other).is_ok(), chain.plan::<u8, u8>(other).is_ok());
    }
    assert!(
        AnyPlan::new(
            &Chain::new(dense(3, 3, 1)),
            Shape::new(9, 9, 1),
            (SampleType::I16, SampleType::U8)
        )
        .is_err()
    );
}
