//! Each layer alone, over sizes, channels, strides, dilations and paddings.

use crate::make::{check, conv2d, depthwise, paddings, pointwise, window};
use twopass::{Border, Chain, Depthwise, Kernel, SeparableConv, Shape, View, ViewMut, Workspace};

const CHANNELS: [usize; 8] = [1, 2, 3, 4, 16, 17, 32, 130];

#[test]
fn depthwise_layers() {
    let mut seed = 0;
    for channels in CHANNELS {
        for (size, stride, dilation) in [
            ((3, 3), (1, 1), (1, 1)),
            ((5, 5), (1, 1), (1, 1)),
            ((3, 3), (2, 2), (1, 1)),
            ((2, 4), (1, 2), (3, 1)),
            ((4, 2), (3, 1), (2, 2)),
            ((1, 1), (2, 3), (1, 1)),
        ] {
            for (i, padding) in paddings(channels).into_iter().enumerate() {
                seed += 1;
                let shape = Shape::new(9 + seed as usize % 7, 7 + seed as usize % 5, channels);
                let multiplier = 1 + (i + channels) % 3;
                let layer = depthwise(size, channels, multiplier, seed)
                    .with_window(window(stride, dilation, padding))
                    .unwrap();
                check(&Chain::new(layer), shape, seed);
            }
        }
    }
}

/// Windows larger than the image, images of one pixel, and rows longer than any vector.
#[test]
fn odd_sizes() {
    for channels in [1, 3, 16, 20] {
        for (width, height) in [(1, 1), (2, 1), (1, 3), (3, 2), (300, 2), (17, 1), (64, 5)] {
            let shape = Shape::new(width, height, channels);
            for (i, padding) in paddings(channels).into_iter().enumerate() {
                let seed = (width * 10 + height + i) as u64;
                let fits = depthwise((5, 5), channels, 1 + i % 2, seed)
                    .with_window(window((1 + i % 2, 1), (1, 1), padding.clone()))
                    .unwrap();
                if fits.output_shape(shape).is_ok() {
                    check(&Chain::new(fits), shape, seed);
                }
                let fits = conv2d((4, 3), channels, 5, seed)
                    .with_window(window((1, 2), (1 + i % 2, 1), padding))
                    .unwrap();
                if fits.output_shape(shape).is_ok() {
                    check(&Chain::new(fits), shape, seed);
                }
            }
        }
    }
}

#[test]
fn pointwise_layers() {
    for inputs in CHANNELS {
        for outputs in [1, 2, 3, 5, 8, 16, 17, 24, 33, 48, 64, 100] {
            let seed = (inputs * 1000 + outputs) as u64;
            for (width, height) in [(1, 1), (7, 5), (61, 3)] {
                let shape = Shape::new(width, height, inputs);
                check(&Chain::new(pointwise(inputs, outputs, seed)), shape, seed);
            }
        }
    }
}

#[test]
fn ordinary_convolutions() {
    let mut seed = 0;
    for (inputs, outputs) in [(1, 1), (3, 8), (3, 17), (4, 64), (17, 5), (32, 33), (130, 40)] {
        for (size, stride, dilation) in [
            ((3, 3), (1, 1), (1, 1)),
            ((3, 3), (2, 2), (1, 1)),
            ((5, 2), (1, 2), (2, 1)),
            ((2, 3), (3, 1), (1, 2)),
        ] {
            for padding in paddings(inputs) {
                seed += 1;
                let shape = Shape::new(10 + seed as usize % 7, 8 + seed as usize % 5, inputs);
                let layer = conv2d(size, inputs, outputs, seed)
                    .with_window(window(stride, dilation, padding))
                    .unwrap();
                check(&Chain::new(layer), shape, seed);
            }
        }
    }
}

#[test]
fn separable_convolutions() {
    let mut seed = 0;
    for (channels, multiplier, outputs) in
        [(1, 1, 4), (3, 1, 32), (3, 2, 7), (16, 1, 3), (17, 1, 16), (32, 3, 64), (130, 1, 50)]
    {
        for padding in paddings(channels) {
            seed += 1;
            let shape = Shape::new(11 + seed as usize % 9, 9 + seed as usize % 4, channels);
            let stride = 1 + seed as usize % 2;
            let layer = SeparableConv::new(
                depthwise((3, 3), channels, multiplier, seed)
                    .with_window(window((stride, stride), (1, 1), padding))
                    .unwrap(),
                pointwise(channels * multiplier, outputs, seed + 7),
            );
            check(&Chain::new(layer.unwrap()), shape, seed);
        }
    }
}

/// Keras' order and PyTorch's, of the same weights.
#[test]
fn orders() {
    let (kh, kw, c, m, o) = (2, 3, 4, 2, 5);
    let weight = |y: usize, x: usize, i: usize, q: usize| (((y * 10 + x) * 10 + i) * 10 + q) as f32;
    let mut keras = Vec::new();
    for y in 0..kh {
        for x in 0..kw {
            (0..c).for_each(|i| (0..m).for_each(|q| keras.push(weight(y, x, i, q))));
        }
    }
    let mut torch = Vec::new();
    for i in 0..c {
        for q in 0..m {
            (0..kh).for_each(|y| (0..kw).for_each(|x| torch.push(weight(y, x, i, q))));
        }
    }
    assert_eq!(
        Depthwise::from_keras(&keras, [kh, kw, c, m]).unwrap(),
        Depthwise::from_pytorch(&torch, [c * m, 1, kh, kw], c).unwrap()
    );
    let (mut keras, mut torch) = (Vec::new(), Vec::new());
    for y in 0..kh {
        for x in 0..kw {
            (0..c).for_each(|i| (0..o).for_each(|q| keras.push(weight(y, x, i, q))));
        }
    }
    for q in 0..o {
        for i in 0..c {
            (0..kh).for_each(|y| (0..kw).for_each(|x| torch.push(weight(y, x, i, q))));
        }
    }
    assert_eq!(
        twopass::Conv2d::from_keras(&keras, [kh, kw, c, o]).unwrap(),
        twopass::Conv2d::from_pytorch(&torch, [o, c, kh, kw]).unwrap()
    );
    let keras = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let torch = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
    assert_eq!(
        twopass::Pointwise::from_keras(&keras, [1, 1, 2, 3]).unwrap(),
        twopass::Pointwise::from_pytorch(&torch, [3, 2, 1, 1]).unwrap()
    );
}

/// A kernel for each channel, of different sizes: the same as filtering each channel by itself.
#[test]
fn kernels_for_channels() {
    let kernels = [
        Kernel::new(3, 3, (0..9).map(|i| f64::from(i) - 3.5).collect()).unwrap(),
        Kernel::new(1, 2, vec![0.5, -2.0]).unwrap().with_anchor(0, 0).unwrap(),
        Kernel::new(4, 1, vec![1.0, -1.0, 2.0, 0.5]).unwrap(),
    ];
    let shape = Shape::new(13, 8, 3);
    let source = crate::common::image::<f32>(shape, crate::common::Look::Noise, 5);
    for border in [Border::Replicate, Border::Wrap, Border::Constant(vec![0.25])] {
        let layer = Depthwise::from_kernels(&kernels, &border).unwrap();
        let chain = Chain::new(layer);
        check(&chain, shape, 5);
        let exact = twopass::reference::layer::chain(&chain, source.view()).unwrap();
        for (c, kernel) in kernels.iter().enumerate() {
            let filter = twopass::Filter::new(kernel.clone()).border(border.clone());
            let own =
                twopass::reference::region(&filter, shape, source.view(), (0, 0), shape.rect());
            for (i, own) in own.unwrap().iter().enumerate().skip(c).step_by(3) {
                assert!((own - exact[i]).abs() < 1e-9, "channel {c}, border {border}, sample {i}");
            }
        }
    }
}

/// NaN stays inside the windows that hold it, and passes through activations.
#[test]
fn nan_stays_in_its_window() {
    use crate::common::levels;
    use twopass::{Activation, Image, Padding, Window, Workspace};
    for (channels, outputs) in [(1, 1), (3, 3), (4, 2), (16, 16), (20, 40)] {
        let shape = Shape::new(12, 9, channels);
        let mut source = vec![0.5f32; 12 * 9 * channels];
        source[(4 * 12 + 5) * channels] = f32::NAN;
        let same = Window::new().padding(Padding::Same);
        let mix = pointwise(channels, outputs, 3).with_activation(Activation::Relu6);
        let own = depthwise((3, 3), channels, 1, 3).with_window(same).unwrap();
        for level in levels() {
            let run = |chain: Chain| {
                let plan = chain.level(level).plan::<f32, f32>(shape).unwrap();
                let source = Image::from_vec(source.clone(), shape).unwrap();
                let mut out = Image::new(plan.output_shape()).unwrap();
                plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
                out.into_vec()
            };
            for (i, v) in run(Chain::new(mix.clone())).iter().enumerate() {
                let pixel = i / outputs;
                assert_eq!(v.is_nan(), pixel == 4 * 12 + 5, "{level}, {channels}, sample {i}");
            }
            for (i, v) in run(Chain::new(own.clone())).iter().enumerate() {
                let (x, y, c) = (i / channels % 12, i / channels / 12, i % channels);
                let near = (4..7).contains(&x) && (3..6).contains(&y) && c == 0;
                assert_eq!(v.is_nan(), near, "{level}, {channels}, ({x}, {y}), {c}");
            }
        }
    }
}

/// Kernels of whole taps that are all but a product have one pass: what two would leave out is more than nothing.
#[test]
fn depthwise_taps_that_are_almost_a_product() {
    let mut flat = [[0.0; 4]; 4];
    (flat[0][0], flat[0][1], flat[1][0], flat[1][1]) = (-16000.0, 16015.0, 15985.0, -16000.0);
    let mut bent = flat;
    (bent[0][1], bent[1][0]) = (16001.0, 15999.0);
    for taps in [flat, bent] {
        let layer = Depthwise::from_keras(taps.as_flattened(), [4, 4, 1, 1]).unwrap();
        let shape = Shape::new(64, 48, 1);
        let plan = Chain::new(layer).plan::<u8, f32>(shape).unwrap();
        assert_eq!(plan.error_bound(), Some(0.0), "{plan}");
        let source: Vec<u8> =
            (0..64 * 48).map(|i| if i / 64 < 20 { 200 } else { (i * 37) as u8 }).collect();
        let mut out = vec![0.0; 61 * 45];
        let view = View::new(&source, shape).unwrap();
        plan.run(view, ViewMut::new(&mut out, plan.output_shape()).unwrap(), &mut Workspace::new())
            .unwrap();
        let sample = |x: usize, y: usize| {
            let source = |x: usize, y: usize| f64::from(source[y * 64 + x]);
            let tap = |i: usize, j: usize| f64::from(taps[j][i]) * source(x + i, y + j);
            (0..16).map(|k| tap(k % 4, k / 4)).sum::<f64>()
        };
        for (x, y) in (0..61 * 45).map(|k| (k % 61, k / 61)) {
            assert_eq!(f64::from(out[y * 61 + x]), sample(x, y), "{x}, {y}: {plan}");
        }
    }
}
