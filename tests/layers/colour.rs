//! Pointwise layers on integer images: colour matrices.

use crate::common::{Look, Strided, image, levels, same};
use crate::make::{activation, numbers, pointwise};
use twopass::{Chain, Pointwise, Sample, Shape, Source, Workspace, reference};

/// At every level: within 1 of the reference, or equal to it, and the same bytes everywhere.
fn check<I: Source, O: Sample>(chain: &Chain, shape: Shape, exactly: bool) {
    for look in [Look::Noise, Look::Extremes] {
        let source = image::<I>(shape, look, 3);
        let exact = reference::layer::chain(chain, source.view()).unwrap();
        let mut last: Option<Vec<O>> = None;
        for level in levels() {
            let plan = chain.clone().level(level).plan::<I, O>(shape).unwrap();
            for plan in [plan.clone(), plan.with_tiles(7, 1, 2)] {
                let mut out = Strided::guarded(plan.output_shape(), 5);
                plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
                let out: Vec<O> = out.into_samples();
                for (i, (&out, &exact)) in out.iter().zip(&exact).enumerate() {
                    let at = || format!("{chain}, {shape}, {level}, sample {i}: {out:?}, {exact}");
                    if O::TYPE == twopass::SampleType::F32 {
                        let most = 1e-5 * (exact.abs() + I::FULL * 10.0);
                        assert!((out.to_f64() - exact).abs() <= most, "{}", at());
                        continue;
                    }
                    let off = (out.to_f64() - O::from_f64(exact).to_f64()).abs();
                    assert!(off <= if exactly { 0.0 } else { 1.0 }, "{}", at());
                }
                if let Some(last) = &last {
                    assert_eq!(same(last, &out), Ok(()), "{chain}, {shape}, {level}");
                }
                last = Some(out);
            }
        }
    }
}

fn all_types(chain: &Chain, shape: Shape, exactly: bool) {
    check::<u8, u8>(chain, shape, exactly);
    check::<u8, i16>(chain, shape, exactly);
    check::<u8, f32>(chain, shape, exactly);
    check::<u16, u16>(chain, shape, exactly);
    check::<u16, u8>(chain, shape, exactly);
    check::<f32, u8>(chain, shape, false);
    check::<f32, i16>(chain, shape, false);
}

#[test]
fn any_channels() {
    for (inputs, outputs) in
        [(3, 1), (3, 3), (4, 3), (1, 3), (1, 1), (2, 5), (5, 2), (8, 8), (9, 3), (17, 20), (3, 64)]
    {
        for (width, height) in [(1, 1), (2, 3), (19, 2), (201, 3)] {
            let chain = Chain::new(pointwise(inputs, outputs, 4));
            all_types(&chain, Shape::new(width, height, inputs), false);
        }
    }
}

#[test]
fn several_matrices() {
    for (a, b, c) in [(3, 3, 3), (3, 20, 1), (4, 1, 9)] {
        let chain = Chain::new(pointwise(a, b, 1)).then(pointwise(b, c, 2)).unwrap();
        all_types(&chain, Shape::new(77, 3, a), false);
    }
}

#[test]
fn whole_numbers_are_exact() {
    let matrix: Vec<f32> = numbers(12, 9).iter().map(|w| (w * 9.0).round()).collect();
    let layer = Pointwise::from_pytorch(&matrix, [3, 4, 1, 1])
        .unwrap()
        .with_bias(&[128.0, -7.0, 0.0])
        .unwrap()
        .with_activation(activation(1));
    let chain = Chain::new(layer);
    all_types(&chain, Shape::new(61, 3, 4), true);
    assert_eq!(chain.plan::<u8, u8>(Shape::new(61, 3, 4)).unwrap().error_bound(), Some(0.0));
}

/// Every number of channels that 16-bit weights are for, in rows that end anywhere: within the
/// bound of the plan.
#[test]
fn sixteen_bit_weights() {
    for inputs in 1..=4 {
        for outputs in 1..=4 {
            let chain = Chain::new(pointwise(inputs, outputs, 3));
            let plan = chain.plan::<u8, u8>(Shape::new(9, 1, inputs)).unwrap();
            assert!(plan.to_string().contains("16-bit weights"), "{plan}");
            let bound = plan.error_bound().unwrap();
            assert!(bound > 0.0 && bound < 0.02 * inputs as f64, "{bound}");
            for width in (1..70).chain([191, 192, 193, 300]) {
                check::<u8, u8>(&chain, Shape::new(width, 2, inputs), false);
            }
        }
    }
    // A limit that the samples do not have, and weights that are too large.
    let limited = Chain::new(pointwise(3, 3, 2));
    let large = Chain::new(Pointwise::from_pytorch(&[300.3, -299.7], [1, 2, 1, 1]).unwrap());
    for chain in [limited, large] {
        let shape = Shape::new(33, 2, chain.layers()[0].input_channels().unwrap_or(3));
        let plan = chain.plan::<u8, u8>(shape).unwrap();
        assert!(plan.to_string().contains("f32"), "{plan}");
        check::<u8, u8>(&chain, shape, false);
    }
}

/// The largest weights and sums there are, of both signs.
#[test]
fn sixteen_bit_limits() {
    for (weight, bias) in [(32_639.0, 1e6), (-32_639.0, -1e9), (127.0, 0.0), (-128.0, 5.0)] {
        let layer = Pointwise::from_pytorch(&[weight; 8], [2, 4, 1, 1]).unwrap();
        let chain = Chain::new(layer.with_bias(&[bias, -bias]).unwrap());
        let shape = Shape::new(77, 2, 4);
        let plan = chain.plan::<u8, u8>(shape).unwrap();
        assert_eq!(plan.error_bound(), Some(0.0), "{plan}");
        check::<u8, u8>(&chain, shape, true);
    }
}

/// A matrix whose large weights cancel: single precision could not keep the contract.
#[test]
fn cancelling_weights() {
    let matrix = [123_456.75f32, -123_456.5, 0.125, 1e6, 1e6, -2e6];
    let chain = Chain::new(Pointwise::from_pytorch(&matrix, [2, 3, 1, 1]).unwrap());
    check::<u8, u8>(&chain, Shape::new(61, 3, 3), true);
    check::<u16, u16>(&chain, Shape::new(61, 3, 3), true);
}

/// Weights that sum to one keep a grey image as it is.
#[test]
fn luma_of_grey() {
    let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1]).unwrap();
    let samples: Vec<u8> = (0..=255).flat_map(|v| [v; 3]).collect();
    let source = twopass::Image::from_vec(samples, Shape::new(256, 1, 3)).unwrap();
    for level in levels() {
        let plan = Chain::new(luma.clone()).level(level).plan::<u8, u8>(source.shape()).unwrap();
        let mut out = twopass::Image::new(plan.output_shape()).unwrap();
        plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
        assert!(out.data().iter().copied().eq(0..=255), "{level}");
    }
}
