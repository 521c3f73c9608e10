//! Pixels that are some samples apart: the bytes that a copy without gaps gives.

use crate::common::{Look, borders, image};
use twopass::{
    Alpha, Border, Chain, Conv2d, Error, Filter, Image, Kernel, Padding, Pointwise, Sample, Shape,
    Source, Strided, StridedMut, Window, Workspace,
};

/// Runs a chain on some channels of wider pixels, into channels of others, and on copies.
fn check<I: Source, O: Sample>(chain: impl Into<Chain>, size: (usize, usize), channels: usize) {
    let chain: Chain = chain.into();
    let wide = image::<I>(Shape::new(size.0, size.1, channels + 2), Look::Noise, 9);
    let mut workspace = Workspace::new();
    for first in [0, 2] {
        let chosen = wide.view().channels(first..first + channels).unwrap();
        let shape = chosen.shape();
        assert_eq!(shape, Shape::new(size.0, size.1, channels));
        let pixels = wide.data().chunks_exact(channels + 2);
        let copy = pixels.flat_map(|p| &p[first..first + channels]).copied().collect();
        let copy = Image::<I>::from_vec(copy, shape).unwrap();
        let plan = chain.plan::<I, O>(shape).unwrap();
        let mut want = Image::<O>::new(plan.output_shape()).unwrap();
        plan.run(copy.view(), want.view_mut(), &mut workspace).unwrap();
        // From channels to a view, from a view to channels, and both.
        let mut out = Image::<O>::new(want.shape()).unwrap();
        plan.run_strided(chosen, out.view_mut(), &mut workspace).unwrap();
        assert_eq!(out, want);
        let results = want.shape().channels;
        let wider = Shape { channels: results + 3, ..want.shape() };
        for direct in [true, false] {
            let mark = O::from_f64(77.0);
            let mut out = Image::from_vec(vec![mark; wider.samples().unwrap()], wider).unwrap();
            let target = out.view_mut().into_channels(1..1 + results).unwrap();
            if direct {
                plan.run_strided(copy.view(), target, &mut workspace).unwrap();
            } else {
                plan.run_strided(chosen, target, &mut workspace).unwrap();
            }
            let pixels = out.data().chunks_exact(results + 3);
            for (pixel, want) in pixels.zip(want.data().chunks_exact(results)) {
                assert_eq!(&pixel[1..=results], want);
                assert!([pixel[0], pixel[results + 1], pixel[results + 2]] == [mark; 3]);
            }
        }
    }
}

#[test]
fn channels_are_filtered_like_their_copies() {
    let gaussian = || Kernel::gaussian(2.0).unwrap();
    for border in borders(30.0) {
        check::<u8, u8>(Filter::new(gaussian()).border(border.clone()), (37, 300), 1);
        check::<u16, f32>(Filter::new(Kernel::laplacian()).border(border), (20, 140), 2);
    }
    check::<u8, i16>(Filter::new(Kernel::sobel_x()), (61, 129), 3);
    check::<f32, f32>(Filter::new(gaussian()).alpha(Alpha::Premultiply), (31, 150), 4);
    // A window that is larger than a band.
    let tall = Kernel::box_(3, 501).unwrap();
    check::<u8, u8>(Filter::new(tall), (9, 700), 1);
    // Thin pictures, and those of a row.
    check::<u8, u8>(Filter::new(gaussian()).border(Border::Replicate), (1, 400), 1);
    check::<u8, u8>(Filter::new(gaussian()).border(Border::Replicate), (400, 1), 3);
}

#[test]
fn chains_and_layers_read_channels() {
    let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1]).unwrap();
    let chain = Chain::new(Kernel::gaussian(1.0).unwrap()).then(luma).unwrap();
    let sobel = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap();
    check::<u8, u8>(chain.then(sobel).unwrap(), (33, 200), 3);
    let padding = Padding::Explicit {
        left: 4,
        right: 4,
        top: 300,
        bottom: 2,
        border_x: Border::Constant(vec![0.0]),
        border_y: Border::Constant(vec![0.0]),
    };
    // Whole bands of its output see no pixel.
    let conv = Conv2d::from_keras(&[0.1; 3 * 3 * 2 * 4], [3, 3, 2, 4]).unwrap();
    let conv = conv.with_window(Window::new().padding(padding)).unwrap();
    check::<u8, f32>(conv, (7, 20), 2);
}

#[test]
fn shapes_are_checked() {
    let shape = Shape::new(10, 8, 1);
    let plan = Filter::new(Kernel::box_(3, 3).unwrap()).plan::<u8, u8>(shape).unwrap();
    let (data, mut out) = ([0u8; 300], [0u8; 300]);
    let mut run = |source: Shape, target: Shape| {
        let source = Strided::new(&data, source, 2, 24).unwrap();
        let target = StridedMut::new(&mut out, target, 3, 35).unwrap();
        plan.run_strided(source, target, &mut Workspace::new())
    };
    assert_eq!(run(shape, shape), Ok(()));
    let other = Shape::new(10, 7, 1);
    assert!(matches!(run(other, shape), Err(Error::ShapeMismatch { what: "source", .. })));
    assert!(matches!(run(shape, other), Err(Error::ShapeMismatch { what: "output", .. })));
}
