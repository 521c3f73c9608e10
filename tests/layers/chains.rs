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
            assert_eq!(around.plan::<f32, f32>(Shape::new(20, 12, a)).unwrap().segments(), 2);
            check(&around, Shape::new(20, 12, a), 3);
        }
    }
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
