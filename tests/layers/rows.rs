//! Rows of 16 bits between filters of `u8` images: exact sums of whole taps on them, and mixes that come before filters.

use crate::common::{Look, borders, image};
use crate::filters::{agree, chain_of, fair, has_words, regions, run, through};
use twopass::{
    Activation, Alpha, Arithmetic, Border, Chain, Filter, Image, Kernel, Layer, Pointwise, Sample,
    Shape, Source,
};

fn gaussian(sigma: f64) -> Filter {
    Filter::new(Kernel::gaussian(sigma).unwrap())
}

fn edges() -> Filter {
    Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap()
}

fn box_(n: usize) -> Filter {
    Filter::new(Kernel::box_(n, n).unwrap())
}

/// A product of whole taps whose sum is odd.
fn odd() -> Filter {
    let kernel = Kernel::separable(&[1.0, 3.0, 1.0], &[-1.0, 1.0, 1.0]).unwrap();
    Filter::new(kernel).scale(0.25).offset(30.0)
}

/// The arithmetic of each layer.
fn arithmetics(chain: &Chain, shape: Shape) -> Vec<Arithmetic> {
    chain.plan::<u8, u8>(shape).unwrap().stages().iter().map(|stage| stage.arithmetic).collect()
}

/// Blurs with whole 3×3 taps behind them, whose sums have 16 bits: none, an even and an odd number of channels; a
/// product, rows that are mirrored and others, a magnitude, taps of a common part; at both ends of a chain.
#[test]
fn sums_of_whole_taps() {
    let sharpen = || Filter::new(Kernel::sharpen());
    let emboss = || Filter::new(Kernel::emboss());
    let chains = [
        chain_of([gaussian(2.0), sharpen()]),
        chain_of([gaussian(1.2), Filter::new(Kernel::sobel_x())]),
        chain_of([gaussian(1.2), odd()]),
        chain_of([gaussian(1.0), edges().scale(0.25)]),
        chain_of([box_(21), sharpen()]),
        chain_of([gaussian(3.0), box_(3)]),
        chain_of([box_(5), emboss()]),
        chain_of([gaussian(1.7), emboss().scale(-0.5).offset(9.5)]),
        chain_of([gaussian(2.5), box_(3), edges().scale(0.25)]),
        chain_of([gaussian(1.2), odd(), gaussian(1.0)]),
    ];
    for (i, chain) in chains.iter().enumerate() {
        for (j, border) in borders(9.0).into_iter().enumerate() {
            let chain = through(chain, &border);
            // Through others two filters may be one.
            if border == Border::Replicate {
                let at = arithmetics(&chain, Shape::new(61, 23, 1));
                assert!(at[1..].contains(&Arithmetic::I16), "{i}: {at:?}");
            }
            let (shape, seed) = (Shape::new(61, 23, [1, 3, 4][j % 3]), (10 * i + j) as u64);
            agree::<u8, u8>(&chain, shape, seed);
            agree::<u8, i16>(&chain, shape, seed);
            regions::<u8, u8>(&chain, shape, seed);
            let small = Shape::new(7, 3, 2);
            if chain.output_shape(small).is_ok() {
                agree::<u8, u8>(&chain, small, seed);
            }
        }
    }
}

/// Halves are no reason why pictures get brighter: where sums of rows could lie halfway, rows stand for what lies between
/// two of them.
#[test]
fn sums_of_whole_taps_are_fair() {
    let sharpen = || Filter::new(Kernel::sharpen());
    for chain in [
        chain_of([gaussian(2.0), sharpen()]),
        chain_of([gaussian(1.1), sharpen(), gaussian(1.0)]),
        chain_of([box_(15), sharpen()]),
        chain_of([box_(8), sharpen()]),
        chain_of([gaussian(2.0), box_(3)]),
        chain_of([gaussian(2.0), Filter::new(Kernel::emboss()).offset(100.0)]),
    ] {
        fair(&chain, Shape::new(600, 400, 1));
    }
    let grey = Chain::new(gaussian(1.5)).then(luma()).unwrap().then(sharpen()).unwrap();
    fair(&grey, Shape::new(300, 400, 3));
}

fn luma() -> Pointwise {
    Pointwise::from_keras(&[0.299, 0.587, 0.114], [1, 1, 3, 1]).unwrap()
}

/// Three channels as three others.
fn sepia() -> Pointwise {
    let weights = [0.393, 0.349, 0.272, 0.769, 0.686, 0.534, 0.189, 0.168, 0.131];
    Pointwise::from_keras(&weights, [1, 1, 3, 3]).unwrap()
}

/// Whether the first layer that is done is a mix.
fn mixes_first<I: Source, O: Sample>(chain: &Chain, channels: usize) -> bool {
    let plan = chain.plan::<I, O>(Shape::new(30, 20, channels)).unwrap();
    matches!(plan.stages()[0].layer, Layer::Pointwise(_))
}

fn then(chain: Chain, layer: impl Into<Layer>) -> Chain {
    chain.then(layer).unwrap()
}

/// Mixes of bytes before filters, and behind those that they come before: of every number of channels.
#[test]
fn mixes_of_bytes() {
    let two = || Pointwise::from_keras(&[0.5, -0.25, 0.75, 0.5, 0.1, 0.3], [1, 1, 3, 2]).unwrap();
    let biased = || two().with_bias(&[12.5, -3.25]).unwrap();
    let (constants, one) = (Border::Constant(vec![9.0, 30.0, 255.0]), Border::Constant(vec![7.0]));
    let chains = [
        then(Chain::new(luma()), gaussian(1.4)),
        then(Chain::new(sepia()), gaussian(1.0)),
        then(Chain::new(biased()), edges().scale(0.25)),
        then(Chain::new(gaussian(1.4)), luma()),
        then(then(Chain::new(gaussian(2.0)), luma()), edges()),
        then(then(Chain::new(box_(5)), gaussian(1.0)), luma().with_bias(&[-4.5]).unwrap()),
        then(Chain::new(gaussian(1.0).offset(5.5).scale(0.75)), luma()),
        then(Chain::new(gaussian(1.0).borders(constants.clone(), one.clone())), luma()),
        then(Chain::new(gaussian(1.0).borders(one, constants)), two()),
        then(Chain::new(gaussian(0.8)), sepia()),
        then(then(Chain::new(luma()), gaussian(1.0)), Filter::new(Kernel::sharpen())),
    ];
    for (i, chain) in chains.iter().enumerate() {
        let plan = chain.plan::<u8, u8>(Shape::new(30, 20, 3)).unwrap();
        assert!(has_words(&plan), "{i}: {plan}");
        assert!(mixes_first::<u8, u8>(chain, 3), "{i}: {plan}");
        for (width, height) in [(61, 23), (7, 40), (2, 3), (1, 1)] {
            let shape = Shape::new(width, height, 3);
            agree::<u8, u8>(chain, shape, i as u64);
            agree::<u8, i16>(chain, shape, i as u64);
            agree::<u16, u8>(chain, shape, i as u64);
            agree::<f32, f32>(chain, shape, i as u64);
            agree::<u8, f32>(chain, shape, i as u64);
        }
        regions::<u8, u8>(chain, Shape::new(40, 23, 3), i as u64);
    }
    fair(&chains[0], Shape::new(300, 400, 3));
    fair(&chains[4], Shape::new(300, 400, 3));
}

/// Mixes that must stay where they are, and those whose place would cost time.
#[test]
fn mixes_that_stay() {
    let more = Pointwise::from_keras(&[1.0, 0.5, 0.25, 0.125], [1, 1, 1, 4]).unwrap();
    let opaque = Pointwise::from_keras(&[0.25; 4], [1, 1, 4, 1]).unwrap();
    let biased = sepia().with_bias(&[1.0, 2.0, 3.0]).unwrap();
    for (chain, channels) in [
        (then(Chain::new(edges()), luma()), 3),
        (then(Chain::new(gaussian(1.0).abs()), luma()), 3),
        (then(Chain::new(gaussian(1.0)), luma().with_activation(Activation::Relu)), 3),
        (then(Chain::new(gaussian(1.0)), biased), 3),
        (then(Chain::new(gaussian(1.0).offset(1.0)), sepia()), 3),
        (then(Chain::new(gaussian(1.0).alpha(Alpha::Premultiply)), opaque), 4),
        (then(Chain::new(gaussian(1.0)), more), 1),
    ] {
        assert!(!mixes_first::<u8, u8>(&chain, channels));
        agree::<u8, u8>(&chain, Shape::new(20, 12, channels), 1);
    }
    // Of floats, as many channels are as much work in any order.
    let floats = then(Chain::new(gaussian(1.0)), sepia());
    assert!(mixes_first::<u8, u8>(&floats, 3) && !mixes_first::<f32, f32>(&floats, 3));
    assert!(mixes_first::<f32, f32>(&then(Chain::new(gaussian(1.0)), luma()), 3));
    // The chain is what it was, and other shapes are planned as it is.
    let chain = then(Chain::new(gaussian(1.0)), luma());
    let (shape, other) = (Shape::new(30, 20, 3), Shape::new(21, 44, 3));
    let plan = chain.plan::<u8, u8>(shape).unwrap();
    assert_eq!(plan.chain(), &chain);
    assert_eq!(plan.for_shape(other).unwrap(), chain.plan::<u8, u8>(other).unwrap());
}

/// Grey stays grey, and a constant what it is.
#[test]
fn mixed_constants() {
    let shape = Shape::new(33, 22, 3);
    let chain = then(then(Chain::new(gaussian(2.0)), luma()), Filter::new(Kernel::sharpen()));
    for value in [0u8, 1, 100, 254, 255] {
        let flat = Image::from_vec(vec![value; 33 * 22 * 3], shape).unwrap();
        let plan = chain.plan::<u8, u8>(shape).unwrap();
        assert!(run(&plan, flat.view()).iter().all(|v| *v == value), "{value}\n{plan}");
    }
    // NaN in any channel is in the window's result, and in no other.
    let chain = then(Chain::new(gaussian(1.0)), luma());
    let mut source = image::<f32>(shape, Look::Noise, 3);
    source.data_mut()[(11 * 33 + 16) * 3 + 1] = f32::NAN;
    let plan = chain.plan::<f32, f32>(shape).unwrap();
    let out = run(&plan, source.view());
    for (i, v) in out.iter().enumerate() {
        let (x, y) = (i % 33, i / 33);
        let inside = x.abs_diff(16) <= 3 && y.abs_diff(11) <= 3;
        assert_eq!(v.is_nan(), inside, "{x}, {y}");
    }
}

/// Two kernels whose taps have different fractions, and halves that go away from 0: the sums of both kernels have one unit,
/// and no mean is off.
#[test]
fn units_of_two_kernels() {
    let twice = Kernel::sobel_y().scaled(2.0).unwrap();
    let half = Kernel::sobel_x().scaled(0.5).unwrap();
    let wild = |factor: f64| {
        let taps = [0.0, 1.0, 2.0, -1.0, 0.0, 1.0, -2.0, -1.0, 0.0].map(|t| t * factor);
        Kernel::new(3, 3, taps.to_vec()).unwrap()
    };
    let pairs = [(Kernel::sobel_x(), twice), (half, Kernel::sobel_y()), (wild(1.0), wild(0.5))];
    for (i, (x, y)) in pairs.iter().enumerate() {
        let chain = chain_of([gaussian(1.0), Filter::magnitude(x, y).unwrap().scale(0.5)]);
        agree::<u8, u8>(&chain, Shape::new(61, 23, 3), i as u64);
        agree::<u8, i16>(&chain, Shape::new(61, 23, 3), i as u64);
    }
    for chain in [
        chain_of([gaussian(1.0), Filter::new(Kernel::sobel_x()).abs()]),
        chain_of([gaussian(1.0), Filter::new(Kernel::laplacian()).abs()]),
        chain_of([Filter::new(Kernel::sobel_x()).offset(128.03), gaussian(1.0)]),
        chain_of([Filter::new(Kernel::box_(12, 1).unwrap()), Filter::new(Kernel::sharpen())]),
        chain_of([Filter::new(Kernel::box_(24, 1).unwrap()), Filter::new(Kernel::sharpen())]),
    ] {
        fair(&chain, Shape::new(600, 400, 1));
        let bias = chain.plan::<u8, u8>(Shape::new(600, 400, 1)).unwrap().bias();
        assert!(bias.abs() <= 0.017, "{bias}: {chain}");
    }
}

/// A mix does not come before a filter that takes less time as the first: one by transforms, or by runs of bytes.
#[cfg(feature = "fft")]
#[test]
fn mixes_behind_large_kernels() {
    let taps: Vec<f64> = (0..45 * 45).map(|i| f64::from(i * i % 23) / 20_000.0).collect();
    let wild = || Filter::new(Kernel::new(45, 45, taps.clone()).unwrap());
    let method = twopass::Method::Fft;
    for filter in [wild().method(method), wild()] {
        let chain = then(Chain::new(filter), luma());
        let shape = Shape::new(400, 300, 3);
        let plan = chain.plan::<u8, u8>(shape).unwrap();
        assert_eq!(plan.stages()[0].method, Some(method), "{plan}");
        agree::<u8, u8>(&chain, Shape::new(60, 50, 3), 1);
    }
    // Weights that would make more of floats than there may be.
    let large = Pointwise::from_keras(&[1000.0, 0.0, 0.0], [1, 1, 3, 1]).unwrap();
    let chain = then(Chain::new(box_(3).scale(1e-3)), large);
    assert!(!mixes_first::<f32, f32>(&chain, 3));
    let source = Image::from_vec(vec![1e36f32; 20 * 20 * 3], Shape::new(20, 20, 3)).unwrap();
    let plan = chain.plan::<f32, f32>(source.shape()).unwrap();
    assert!(run(&plan, source.view()).iter().all(|v| v.is_finite()));
}
