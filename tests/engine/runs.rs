//! Kernels of runs of equal taps, and of few taps: discs, rings, polygons, lines.

use crate::bounds::check as worst_images;
use crate::common::{Look, image, levels, run};
use crate::equality::large;
use crate::sweep::sweep_filter;
use twopass::{
    Alpha, Arithmetic, Border, Chain, Filter, Kernel, KernelParams, Method, NamedKernel, Sample,
    SampleType, Shape, Source, Workspace, reference,
};

fn disc(radius: f64, edge: f64) -> Kernel {
    let params = KernelParams { radius: Some(radius), edge: Some(edge), ..KernelParams::default() };
    NamedKernel::find("disc").unwrap().kernels(&params).unwrap().remove(0)
}

/// Runs of several values of either sign, with holes, an even side and no symmetry.
fn stairs() -> Kernel {
    let (width, height) = (12, 7);
    let tap = |i: usize| match (i % width, i / width) {
        (x, y) if x < y => 0.0,
        (x, 2) if x > 8 => -0.75,
        (5, _) => 0.0,
        (x, y) if x + y > 14 => 0.013 * x as f64,
        (_, 6) => 1.0,
        _ => 0.25,
    };
    Kernel::new(width, height, (0..width * height).map(tap).collect())
        .and_then(|k| k.with_anchor(11, 2))
        .unwrap()
}

fn runs(kernel: Kernel) -> Filter {
    Filter::new(kernel).method(Method::Runs)
}

#[test]
fn every_size() {
    sweep_filter::<u8, u8>(&runs(disc(4.0, 1.0)));
    sweep_filter::<u8, i16>(&runs(stairs()).scale(-0.2).offset(3.4).abs());
    sweep_filter::<u16, u16>(&runs(stairs()).scale(0.05));
    sweep_filter::<f32, f32>(&runs(stairs()));
    sweep_filter::<f32, f32>(&runs(Kernel::motion(9.0, 30.0).unwrap()));
}

#[test]
fn every_cut() {
    large::<u8, u8>(&runs(disc(6.0, 1.0)));
    large::<u8, f32>(&runs(disc(5.0, 0.0)).border(Border::Wrap));
    large::<u16, u16>(&runs(stairs()).scale(0.1).border(Border::Reflect));
    large::<u16, u8>(&runs(disc(6.0, 1.0)).scale(1.0 / 257.0));
    large::<f32, f32>(&runs(disc(9.0, 2.0)).border(Border::Constant(vec![0.3])));
    large::<f32, f32>(&runs(Kernel::motion(15.0, 70.0).unwrap()));
    large::<u8, u8>(&runs(disc(6.0, 1.0)).border(Border::Constant(vec![-0.5])));
}

#[test]
fn bounds_hold() {
    let ring = Kernel::ring(15.0, 10.0).unwrap();
    for kernel in [disc(10.0, 1.0), disc(12.0, 0.0), ring, Kernel::motion(41.0, 33.0).unwrap()] {
        let plan = Filter::new(kernel.clone()).plan::<u8, u8>(Shape::new(99, 99, 1)).unwrap();
        assert_eq!(plan.stages()[0].method, Some(Method::Runs), "{plan}");
        worst_images::<u8>(&kernel, 3);
        worst_images::<u16>(&kernel, 1);
        worst_images::<f32>(&kernel, 1);
    }
}

/// Flat kernels of whole taps are exact, and means of a constant image are that image.
#[test]
fn exact_where_it_can_be() {
    let ones = disc(7.0, 0.0).taps().iter().map(|t| f64::from(*t != 0.0)).collect();
    let sum = runs(Kernel::new(15, 15, ones).unwrap());
    let shape = Shape::new(70, 40, 2);
    let plan = sum.plan::<u8, f32>(shape).unwrap();
    assert_eq!(
        (plan.error_bound(), plan.stages()[0].arithmetic),
        (Some(0.0), Arithmetic::I16Pairs)
    );
    let source = image::<u8>(shape, Look::Extremes, 1);
    let exact = reference::region(&sum, shape, source.view(), (0, 0), shape.rect()).unwrap();
    for (ours, exact) in run::<u8, f32>(&sum, source.view()).unwrap().iter().zip(exact) {
        assert_eq!(f64::from(*ours), exact);
    }
    for kernel in [disc(15.0, 1.0), disc(31.0, 0.0), Kernel::ring(20.0, 15.0).unwrap()] {
        for value in [0, 1, 127, 128, 254, 255u8] {
            let flat =
                twopass::Image::from_vec(vec![value; 90 * 80], Shape::new(90, 80, 1)).unwrap();
            let out = run::<u8, u8>(&Filter::new(kernel.clone()), flat.view()).unwrap();
            assert!(out.iter().all(|v| *v == value), "{value}");
        }
        for value in [0, 1, 32767, 65535u16] {
            let flat =
                twopass::Image::from_vec(vec![value; 90 * 80], Shape::new(90, 80, 1)).unwrap();
            let out = run::<u16, u16>(&Filter::new(kernel.clone()), flat.view()).unwrap();
            assert!(out.iter().all(|v| *v == value), "{value}");
        }
    }
}

/// NaN and infinity reach all outputs that have them under a tap that is not 0, and no others.
#[test]
fn nan_stays_under_the_taps() {
    let shape = Shape::new(60, 50, 1);
    for kernel in [disc(9.0, 1.0), Kernel::ring(8.0, 5.0).unwrap(), stairs()] {
        for bad in [f32::NAN, f32::INFINITY] {
            for level in levels() {
                let mut source = image::<f32>(shape, Look::Noise, 3);
                source.data_mut()[25 * 60 + 31] = bad;
                let filter = runs(kernel.clone()).level(level).border(Border::Replicate);
                let out = run::<f32, f32>(&filter, source.view()).unwrap();
                let (ax, ay) = kernel.anchor();
                for (i, v) in out.iter().enumerate() {
                    let (x, y) = (
                        31 + ax as isize - (i % 60) as isize,
                        25 + ay as isize - (i / 60) as isize,
                    );
                    let inside = (0..kernel.width() as isize).contains(&x)
                        && (0..kernel.height() as isize).contains(&y)
                        && kernel.tap(x as usize, y as usize) != 0.0;
                    assert_eq!(!v.is_finite(), inside, "{x},{y}");
                }
            }
        }
    }
}

/// Which kernels are done so, and what plans say of it.
#[test]
fn choice() {
    let shape = Shape::new(200, 100, 3);
    let method = |kernel: &Kernel| {
        let plan = Filter::new(kernel.clone()).plan::<u8, u8>(shape).unwrap();
        let stage = plan.stages()[0].clone();
        (stage.method.unwrap(), stage.multiplications)
    };
    assert_eq!(method(&disc(15.0, 0.0)), (Method::Runs, 2 * 31));
    assert_eq!(method(&disc(15.0, 1.0)).0, Method::Runs);
    assert_eq!(method(&Kernel::motion(63.0, 30.0).unwrap()).0, Method::Runs);
    assert_eq!(method(&disc(1.0, 0.0)).0, Method::Dense);
    assert_eq!(method(&Kernel::gabor(2.0, 30.0).unwrap()).0, Method::Dense);
    assert_eq!(method(&Kernel::box_(31, 31).unwrap()).0, Method::Separable);
    // 15 rows of at most 15 equal taps: floats take a read for each binary digit.
    let plan = Filter::new(disc(7.0, 0.0)).plan::<f32, f32>(shape).unwrap();
    let stage = plan.stages()[0].clone();
    assert_eq!(stage.method, Some(Method::Runs));
    assert!(stage.multiplications < 15 * 4, "{plan}");
    let two = Filter::magnitude(&disc(9.0, 0.0), &disc(9.0, 0.0)).unwrap().method(Method::Runs);
    assert!(two.plan::<u8, u8>(shape).is_err());
    let filter = Filter::new(disc(9.0, 1.0));
    let (plan, other) = (filter.plan::<u8, u8>(shape).unwrap(), Shape::new(31, 45, 3));
    assert_eq!(*plan.for_shape(other).unwrap(), *filter.plan::<u8, u8>(other).unwrap());
}

/// In a chain of floats, and on colours with alpha.
#[test]
fn among_others() {
    let blur = Filter::new(disc(15.0, 1.0)).border(Border::Reflect);
    let premultiplied = blur.clone().alpha(Alpha::Premultiply);
    for filter in [premultiplied, blur.clone().alpha(Alpha::Keep)] {
        check::<u8>(&Chain::new(filter.clone()), 4, 1.0);
        check::<u16>(&Chain::new(filter), 4, 1.0);
    }
    // Transforms take less time than so many runs of floats.
    let chain = Chain::new(Kernel::gaussian(1.0).unwrap())
        .then(blur.method(Method::Runs))
        .and_then(|chain| chain.then(Filter::new(Kernel::box_(5, 3).unwrap())))
        .unwrap();
    check::<f32>(&chain, 3, 1e-5);
    let first = Chain::new(disc(15.0, 1.0)).then(Filter::new(Kernel::sharpen())).unwrap();
    check::<u8>(&first, 3, 1.0);
}

fn check<S: Source + Sample>(chain: &Chain, channels: usize, most: f64) {
    let shape = Shape::new(83, 61, channels);
    let source = image::<S>(shape, Look::Noise, 5);
    let rect = shape.rect();
    let exact = reference::layer::region(chain, shape, source.view(), (0, 0), rect).unwrap();
    let mut first: Option<Vec<S>> = None;
    for level in levels() {
        let plan = chain.clone().level(level).plan::<S, S>(shape).unwrap();
        assert!(plan.stages().iter().any(|s| s.method == Some(Method::Runs)), "{plan}");
        let mut out = twopass::Image::new(shape).unwrap();
        plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
        for (o, e) in out.data().iter().zip(&exact) {
            let e = if S::TYPE == SampleType::F32 { *e } else { (e + 0.5).floor() };
            assert!((o.to_f64() - e).abs() <= most, "{o:?}, {e}: {plan}");
        }
        let bytes = S::TYPE != SampleType::F32;
        assert!(!bytes || first.as_ref().is_none_or(|first| first == out.data()), "{level}");
        first = Some(out.data().to_vec());
    }
}
