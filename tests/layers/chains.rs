//! Several layers in one plan.

use crate::common::{Look, image, levels, same};
use crate::make::{check, conv2d, depthwise, paddings, pointwise, run, window};
use twopass::{Chain, Image, Padding, SeparableConv, Shape, Workspace};

/// Like the first blocks of a MobileNet.
fn net() -> Chain {
    let same = |stride| window((stride, stride), (1, 1), Padding::Same);
    let block = |inputs, outputs, stride, seed| {
        SeparableConv::new(
            depthwise((3, 3), inputs, 1, seed).with_window(same(stride)).unwrap(),
            pointwise(inputs, outputs, seed + 1),
        )
        .unwrap()
    };
    Chain::new(conv2d((3, 3), 3, 12, 1).with_window(same(2)).unwrap())
        .then(block(12, 20, 1, 2))
        .unwrap()
        .then(block(20, 40, 2, 3))
        .unwrap()
        .then(block(40, 37, 1, 4))
        .unwrap()
}

#[test]
fn blocks() {
    for (width, height) in [(32, 24), (33, 35), (1, 1), (70, 9)] {
        check(&net(), Shape::new(width, height, 3), 3);
    }
    let plan = net().plan::<f32, f32>(Shape::new(32, 24, 3)).unwrap();
    assert_eq!(plan.segments(), 4);
    assert_eq!(plan.multiplications(), net().multiplications(Shape::new(32, 24, 3)).unwrap());
    println!("{plan}");
}

/// Mixes one after the other, before, after and without a window.
#[test]
fn mixes() {
    for (a, b, c) in [(3, 3, 3), (3, 20, 4), (17, 5, 33), (1, 2, 1)] {
        let two = Chain::new(pointwise(a, b, 1)).then(pointwise(b, c, 2)).unwrap();
        let three = two.clone().then(pointwise(c, 6, 3)).unwrap();
        check(&two, Shape::new(29, 6, a), 1);
        check(&three, Shape::new(31, 5, a), 2);
        for padding in paddings(c) {
            let window = window((1, 1), (1, 1), padding);
            let around = two
                .clone()
                .then(depthwise((3, 3), c, 1, 5).with_window(window).unwrap())
                .unwrap()
                .then(pointwise(c, 7, 6))
                .unwrap()
                .then(pointwise(7, 18, 7))
                .unwrap();
            let segments = around.plan::<f32, f32>(Shape::new(20, 12, a)).unwrap().segments();
            assert_eq!(segments, if c <= 4 { 1 } else { 2 });
            check(&around, Shape::new(20, 12, a), 3);
        }
    }
}

/// Windows of stride 1 on few channels, one after the other, under every padding: one segment,
/// whatever lies between.
#[test]
fn image_chains() {
    for channels in [1, 3, 4] {
        for (i, padding) in paddings(channels).into_iter().enumerate() {
            let seed = i as u64;
            let window = |padding: &Padding| window((1, 1), (1, 1), padding.clone());
            let blur = depthwise((3, 5), channels, 1, seed).with_window(window(&padding)).unwrap();
            let twice = depthwise((2, 3), channels, 2, seed + 1)
                .with_window(window(&Padding::Same))
                .unwrap();
            let whole = conv2d((3, 2), channels, 3, seed + 2)
                .with_window(window(&paddings(channels)[(i + 4) % 9]))
                .unwrap();
            let last = depthwise((3, 3), 3, 1, seed + 3)
                .with_window(window(&paddings(3)[(i + 1) % 9]).dilation(2, 1))
                .unwrap();
            let chain = Chain::new(pointwise(3, 20, seed + 4))
                .then(pointwise(20, channels, seed + 5))
                .and_then(|chain| chain.then(blur))
                .and_then(|chain| chain.then(twice))
                .and_then(|chain| chain.then(pointwise(2 * channels, channels, seed + 6)))
                .and_then(|chain| chain.then(whole))
                .and_then(|chain| chain.then(last))
                .unwrap();
            for (width, height) in [(23, 19), (12, 40), (150, 9)] {
                let shape = Shape::new(width, height, 3);
                assert_eq!(chain.plan::<f32, f32>(shape).unwrap().segments(), 1);
                check(&chain, shape, seed);
            }
            for (width, height) in [(1, 1), (2, 3), (5, 1), (4, 6)] {
                let shape = Shape::new(width, height, 3);
                if chain.output_shape(shape).is_ok() {
                    check(&chain, shape, seed);
                }
            }
        }
    }
}

/// Padding so wide that whole tiles see nothing but constants.
#[test]
fn far_padding() {
    let padding = Padding::Explicit {
        left: 40,
        right: 3,
        top: 30,
        bottom: 2,
        border_x: twopass::Border::Constant(vec![0.5]),
        border_y: twopass::Border::Constant(vec![-0.5]),
    };
    let far = |seed| {
        let window = window((1, 1), (1, 1), padding.clone());
        depthwise((3, 3), 2, 1, seed).with_window(window).unwrap()
    };
    let chain = Chain::new(far(1)).then(far(2)).unwrap().then(far(3)).unwrap();
    check(&chain, Shape::new(7, 5, 2), 1);
}

/// Outputs large enough to go past the cache.
#[test]
fn streams() {
    let shape = Shape::new(700, 900, 3);
    let source = image::<f32>(shape, Look::Noise, 1);
    let same_size = window((1, 1), (1, 1), Padding::Same);
    let first = depthwise((3, 3), 3, 1, 5).with_window(same_size).unwrap();
    for outputs in [8, 16, 32] {
        let chain = Chain::new(first.clone()).then(pointwise(3, outputs, 2)).unwrap();
        for level in levels() {
            let plan = chain.clone().level(level).plan::<f32, f32>(shape).unwrap();
            let whole = run(&plan, source.view());
            // Rows of another, small image are not streamed.
            let top = source.view().crop(twopass::Rect::new(0, 0, 700, 20)).unwrap();
            let small = chain.clone().level(level).plan::<f32, f32>(top.shape()).unwrap();
            let small = run(&small, top);
            let len = 700 * 19 * outputs;
            assert_eq!(same(&whole[..len], &small[..len]), Ok(()), "{level}, {outputs}");
        }
    }
}

#[test]
fn batches() {
    let shape = Shape::new(14, 11, 3);
    let plan = net().plan::<f32, f32>(shape).unwrap();
    let (n, m) = (shape.samples().unwrap(), plan.output_shape().samples().unwrap());
    let images: Vec<_> = (0..3).map(|seed| image::<f32>(shape, Look::Noise, seed)).collect();
    let batch: Vec<f32> = images.iter().flat_map(|i| i.data().to_vec()).collect();
    let mut out = vec![0.0; 3 * m];
    plan.run_batch(&batch, &mut out, 3, &mut Workspace::new()).unwrap();
    for (image, out) in images.iter().zip(out.chunks(m)) {
        assert_eq!(same(&run(&plan, image.view()), out), Ok(()));
    }
    plan.run_batch(&[], &mut [], 0, &mut Workspace::new()).unwrap();
    let error = plan.run_batch(&batch[1..], &mut out, 3, &mut Workspace::new()).unwrap_err();
    assert!(error.to_string().contains(&format!("{}", 3 * n)), "{error}");
}

/// Several images at a time, and what remains strip by strip: the same bits.
#[cfg(feature = "rayon")]
#[test]
fn parallel_batches() {
    let shape = Shape::new(61, 47, 3);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let images: Vec<_> = (0..8).map(|seed| image::<f32>(shape, Look::Noise, seed)).collect();
    let bytes: Vec<_> = (0..8).map(|seed| image::<u8>(shape, Look::Noise, seed)).collect();
    let colour = Chain::new(pointwise(3, 3, 0));
    pool.install(|| {
        let plan = net().plan::<f32, f32>(shape).unwrap();
        let single = colour.plan::<u8, u8>(shape).unwrap();
        let m = plan.output_shape().samples().unwrap();
        let n = shape.samples().unwrap();
        let mut workspace = Workspace::new();
        for count in [1, 2, 3, 4, 8] {
            let batch: Vec<f32> = images[..count].iter().flat_map(|i| i.data().to_vec()).collect();
            let mut out = vec![0.0; count * m];
            plan.run_batch(&batch, &mut out, count, &mut workspace).unwrap();
            for (image, out) in images.iter().zip(out.chunks(m)) {
                assert_eq!(same(&run(&plan, image.view()), out), Ok(()), "{count}");
            }
            let batch: Vec<u8> = bytes[..count].iter().flat_map(|i| i.data().to_vec()).collect();
            let mut out = vec![0; count * n];
            single.run_batch(&batch, &mut out, count, &mut workspace).unwrap();
            for (image, out) in bytes.iter().zip(out.chunks(n)) {
                let mut expected = twopass::Image::new(shape).unwrap();
                single.run(image.view(), expected.view_mut(), &mut workspace).unwrap();
                assert_eq!(expected.data(), out, "{count}");
            }
        }
    });
}

/// In a pool with more workers than most machines have cores.
#[cfg(feature = "rayon")]
#[test]
fn threads() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(7).build().unwrap();
    pool.install(|| {
        let shape = Shape::new(190, 163, 3);
        let source = image::<f32>(shape, Look::Noise, 7);
        for level in levels() {
            let one = net().level(level).threads(1).plan::<f32, f32>(shape).unwrap();
            let one = run(&one, source.view());
            for threads in [2, 3, 7, 0] {
                let plan = net().level(level).threads(threads).plan::<f32, f32>(shape).unwrap();
                for plan in [plan.clone(), plan.with_tiles(50, 2, 3)] {
                    let other = run(&plan, source.view());
                    assert_eq!(same(&one, &other), Ok(()), "{level}, {threads} threads");
                }
            }
        }
    });
}

/// One workspace, handed from plan to plan.
#[test]
fn workspace_is_reused() {
    let mut workspace = Workspace::new();
    for (width, height) in [(50, 40), (3, 2), (80, 30), (1, 1), (33, 5)] {
        let shape = Shape::new(width, height, 3);
        let source = image::<f32>(shape, Look::Noise, width as u64);
        for level in levels() {
            let plan = net().level(level).plan::<f32, f32>(shape).unwrap();
            let fresh = run(&plan, source.view());
            for _ in 0..2 {
                let mut out = Image::new(plan.output_shape()).unwrap();
                plan.run(source.view(), out.view_mut(), &mut workspace).unwrap();
                assert_eq!(same(&fresh, out.data()), Ok(()), "{shape}, level {level}");
            }
        }
    }
}
