//! What callers can get wrong: each ends in an error that names it.

use crate::make::{depthwise, pointwise, window};
use twopass::{
    Border, Chain, Conv2d, Depthwise, Error, Filter, Image, Kernel, Padding, Pointwise,
    SeparableConv, Shape, Window, Workspace,
};

#[test]
fn weights() {
    assert_eq!(
        Depthwise::from_keras(&[], [3, 0, 1, 1]).unwrap_err(),
        Error::EmptyWeights { dims: [3, 0, 1, 1] }
    );
    let huge = [usize::MAX / 2, 3, 1, 1];
    assert_eq!(Conv2d::from_keras(&[], huge).unwrap_err(), Error::WeightsOverflow { dims: huge });
    let error = Conv2d::from_pytorch(&[0.0; 5], [2, 3, 1, 1]).unwrap_err();
    assert_eq!(error, Error::WeightCount { dims: [2, 3, 1, 1], needed: 6, given: 5 });
    assert_eq!(error.to_string(), "weights of [2, 3, 1, 1] are 6, 5 were given");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = Pointwise::from_keras(&[1.0, bad], [1, 1, 2, 1]).unwrap_err();
        assert!(matches!(error, Error::WeightNotFinite { what: "weight", index: 1, .. }));
        let layer = pointwise(1, 2, 1);
        let error = layer.with_bias(&[bad, 0.0]).unwrap_err();
        assert!(matches!(error, Error::WeightNotFinite { what: "bias", index: 0, .. }));
    }
    assert_eq!(
        pointwise(1, 2, 1).with_bias(&[0.0; 3]).unwrap_err(),
        Error::BiasCount { channels: 2, given: 3 }
    );
    assert!(matches!(
        Pointwise::from_keras(&[0.0; 6], [1, 3, 2, 1]).unwrap_err(),
        Error::NotPointwise { .. }
    ));
    for (dims, groups) in [([4, 2, 1, 1], 4), ([4, 1, 2, 1], 3), ([4, 1, 2, 1], 0)] {
        assert!(matches!(
            Depthwise::from_pytorch(&[0.0; 8], dims, groups).unwrap_err(),
            Error::NotDepthwise { .. }
        ));
    }
    let long = Depthwise::from_keras(&vec![0.0; 2049], [1, 2049, 1, 1]).unwrap_err();
    assert!(matches!(long, Error::KernelTooLarge { width: 2049, .. }));
    assert!(Depthwise::from_kernels(&[], &Border::Replicate).is_err());
    let large = Kernel::new(1, 1, vec![1e300]).unwrap();
    assert!(matches!(
        Depthwise::from_kernels(&[large], &Border::Replicate).unwrap_err(),
        Error::WeightNotFinite { .. }
    ));
}

#[test]
fn windows() {
    let layer = depthwise((3, 3), 2, 1, 1);
    let refused = |window: Window| layer.clone().with_window(window).unwrap_err();
    for bad in [0, Window::MAX + 1] {
        for error in [
            refused(Window::new().stride(bad, 1)),
            refused(Window::new().stride(1, bad)),
            refused(Window::new().dilation(bad, 1)),
            refused(Window::new().dilation(1, bad)),
        ] {
            assert!(matches!(error, Error::Parameter { .. }), "{error}");
        }
    }
    refused(Window::new().dilation(40_000, 1));
    refused(Window::new().padding(Padding::zeros(Window::MAX + 1, 0)));
    let explicit = |border: Border| Padding::Explicit {
        left: 1,
        right: 0,
        top: 0,
        bottom: 0,
        border_x: border,
        border_y: Border::Replicate,
    };
    refused(Window::new().padding(explicit(Border::Valid)));
    refused(Window::new().padding(explicit(Border::Constant(vec![f64::NAN]))));
    assert_eq!(
        refused(Window::new().padding(explicit(Border::Constant(vec![0.0; 3])))),
        Error::ConstantCount { given: 3, channels: 2 }
    );
    let valid = Chain::new(layer.clone());
    assert_eq!(
        valid.plan::<f32, f32>(Shape::new(2, 9, 2)).unwrap_err(),
        Error::NothingValid { kernel_width: 3, kernel_height: 3, shape: Shape::new(2, 9, 2) }
    );
    // As large as it may be, on an image of one pixel.
    let far = window((65_536, 65_536), (32_767, 32_767), Padding::Same);
    crate::make::check(&Chain::new(layer.with_window(far).unwrap()), Shape::new(1, 1, 2), 1);
}

#[test]
fn shapes() {
    let error = SeparableConv::new(depthwise((3, 3), 4, 2, 1), pointwise(4, 5, 1)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("takes 4 channels") && text.contains("gives 8"), "{text}");
    let error = Chain::new(pointwise(3, 4, 1)).then(depthwise((3, 3), 5, 1, 1)).unwrap_err();
    assert!(matches!(error, Error::LayerMismatch { gives: 4, takes: 5, .. }));
    let chain = Chain::new(pointwise(3, 4, 1));
    let error = chain.plan::<f32, f32>(Shape::new(5, 6, 4)).unwrap_err();
    assert_eq!(
        error,
        Error::ShapeMismatch {
            what: "layer's input",
            expected: Shape::new(5, 6, 3),
            given: Shape::new(5, 6, 4)
        }
    );
    assert!(chain.plan::<f32, f32>(Shape::new(0, 6, 3)).is_err());
    let huge = Shape::new(usize::MAX / 32, 1, 3);
    assert!(matches!(chain.multiplications(huge), Err(Error::SizeOverflow(_))));
    let plan = chain.plan::<f32, f32>(Shape::new(5, 6, 3)).unwrap();
    let right = Image::new(Shape::new(5, 6, 3)).unwrap();
    let wrong = Image::new(Shape::new(6, 5, 3)).unwrap();
    let (mut out, mut small) =
        (Image::new(Shape::new(5, 6, 4)).unwrap(), Image::new(Shape::new(5, 5, 4)).unwrap());
    let workspace = &mut Workspace::new();
    assert!(plan.run(wrong.view(), out.view_mut(), workspace).is_err());
    assert!(plan.run(right.view(), small.view_mut(), workspace).is_err());
    assert!(plan.run(right.view(), out.view_mut(), workspace).is_ok());
}

/// Constants are rounded to `f32`, but not to nothing.
#[test]
fn constants_of_chains() {
    let shape = Shape::new(5, 5, 1);
    let chain = |v| {
        let border = Border::Constant(vec![v]);
        Chain::new(Filter::new(Kernel::box_(3, 3).unwrap()).border(border))
    };
    let refused =
        |v: f64| matches!(chain(v).plan::<u8, u8>(shape), Err(Error::ConstantValue { .. }));
    assert!(refused(f64::NAN) && refused(f64::INFINITY) && refused(1e300) && !refused(0.1));
    assert!(chain(f64::INFINITY).plan::<f32, f32>(shape).is_err());
    assert!(chain(-1e30).plan::<f32, f32>(shape).is_ok());
    assert!(chain(f64::NAN).plan::<f32, f32>(shape).is_err());
}

/// Filters keep the channels, whatever their number.
#[test]
fn filters_between_layers() {
    let blur = || Kernel::box_(3, 3).unwrap();
    let luma = || Pointwise::from_keras(&[0.3; 3], [1, 1, 3, 1]).unwrap();
    let chain = Chain::new(blur()).then(luma()).unwrap().then(blur()).unwrap();
    assert!(chain.output_shape(Shape::new(4, 4, 1)).is_err());
    let error = chain.then(luma()).unwrap_err();
    assert!(matches!(error, Error::LayerMismatch { gives: 1, takes: 3, .. }), "{error}");
    let valid = Filter::new(blur()).border(Border::Valid);
    let chain = Chain::new(valid.clone()).then(valid).unwrap();
    assert_eq!(chain.output_shape(Shape::new(9, 8, 2)), Ok(Shape::new(5, 4, 2)));
    assert!(matches!(
        chain.plan::<u8, u8>(Shape::new(4, 9, 2)).unwrap_err(),
        Error::NothingValid { .. }
    ));
}
