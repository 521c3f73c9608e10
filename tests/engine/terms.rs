//! Kernels that are known as sums, filtered term by term.

use crate::bounds::check as worst_images;
use crate::common::{Look, image, levels, same};
use crate::equality::large;
use crate::sweep::sweep;
use twopass::{
    Arithmetic, Border, Filter, Kernel, KernelParams, Method, NamedKernel, Separation, Shape,
};

fn named(name: &str, sigma: f64, size: Option<usize>) -> Kernel {
    let params = KernelParams { sigma: Some(sigma), size, ..Default::default() };
    NamedKernel::find(name).unwrap().kernels(&params).unwrap()[0].clone()
}

/// A box, a Gaussian off the centre, a line and the image: of all kinds of passes, and no symmetry.
fn mixture() -> Kernel {
    let row = |n: usize| (0..n).map(|i| 0.1 + (i as f64 * 0.7).sin() / 9.0).collect::<Vec<_>>();
    let terms = [
        Kernel::box_(13, 11).unwrap().with_anchor(12, 3).unwrap(),
        Kernel::gaussian_xy(1.0, 0.6).unwrap().with_anchor(1, 4).unwrap(),
        Kernel::new(9, 1, row(9)).unwrap(),
        Kernel::new(1, 1, vec![-0.75]).unwrap(),
    ];
    Kernel::sum_of(&terms).unwrap()
}

#[test]
fn every_size() {
    sweep::<u8, u8>(&named("unsharp", 1.5, Some(11)), 1.0);
    sweep::<u8, i16>(&mixture(), -2.0);
    sweep::<f32, f32>(&named("dog", 1.2, Some(13)), 1.0);
}

#[test]
fn every_cut() {
    let unsharp = Filter::new(named("unsharp", 2.0, None));
    large::<u8, u8>(&unsharp);
    large::<u8, i16>(&Filter::new(named("log", 2.0, None)).scale(40.0).offset(3.5).abs());
    large::<u16, u16>(&Filter::new(mixture()).border(Border::Wrap));
    large::<f32, f32>(&Filter::new(named("log", 2.0, None)).border(Border::Constant(vec![0.3])));
    large::<f32, u8>(&Filter::new(mixture()).scale(255.0));
}

#[test]
fn bounds_hold() {
    for kernel in [named("unsharp", 1.5, None), named("dog", 2.0, None), mixture()] {
        worst_images::<u8>(&kernel, 3);
        worst_images::<u16>(&kernel, 1);
        worst_images::<f32>(&kernel, 1);
    }
}

/// Which filters are done so, and what plans say of it.
#[test]
fn choice() {
    let shape = Shape::new(200, 100, 3);
    let method = |filter: &Filter| {
        let plan = filter.plan::<u8, u8>(shape).unwrap();
        let stage = plan.stages()[0].clone();
        (stage.method.unwrap(), stage.multiplications)
    };
    let unsharp = Filter::new(named("unsharp", 3.0, None));
    assert_eq!(unsharp.kernels()[0].width(), 19);
    assert_eq!(method(&unsharp), (Method::Terms, 2 * 19 + 1));
    assert_eq!(method(&unsharp.clone().method(Method::Dense)), (Method::Dense, 19 * 19));
    assert_eq!(method(&Filter::new(named("dog", 3.0, None))).0, Method::Terms);
    assert_eq!(method(&Filter::new(named("log", 3.0, None))).0, Method::Terms);
    // Few taps, a product, and taps that nothing is known of.
    assert_eq!(method(&Filter::new(named("unsharp", 0.5, None))).0, Method::Dense);
    let line = Kernel::new(30, 1, vec![0.01; 30]).unwrap();
    let one = Kernel::new(1, 1, vec![2.0]).unwrap();
    let sum = Kernel::sum_of(&[line, one]).unwrap();
    assert_eq!(method(&Filter::new(sum)).0, Method::Separable);
    let taps = unsharp.kernels()[0].taps().to_vec();
    let plain = Kernel::new(19, 19, taps).unwrap();
    let whole = if cfg!(feature = "fft") { Method::Fft } else { Method::Dense };
    assert_eq!(method(&Filter::new(plain.clone())).0, whole);
    let asked = |kernel: Kernel| Filter::new(kernel).method(Method::Terms).plan::<u8, u8>(shape);
    assert!(asked(plain).is_err());
    assert!(asked(Kernel::gaussian(2.0).unwrap()).is_err());
    assert!(asked(named("unsharp", 0.5, None)).is_ok());
    // The definition and the separation know nothing of terms.
    assert_eq!(Separation::of(&unsharp.kernels()[0]).rank(), 2);
    let plan = unsharp.plan::<u8, u8>(shape).unwrap();
    assert_eq!(plan.stages()[0].arithmetic, Arithmetic::F32);
    assert!(plan.error_bound().unwrap() < 0.1, "{plan}");
    // For other shapes, the same plan.
    let other = Shape::new(31, 45, 3);
    assert_eq!(*plan.for_shape(other).unwrap(), *unsharp.plan::<u8, u8>(other).unwrap());
}

/// In a chain, and on colours with alpha.
#[test]
fn among_others() {
    use twopass::{Alpha, Chain, Workspace, reference};
    let shape = Shape::new(83, 61, 4);
    let source = image::<u8>(shape, Look::Noise, 5);
    let unsharp = Filter::new(named("unsharp", 2.0, None)).border(Border::Reflect);
    let chain = Chain::new(Kernel::box_(15, 3).unwrap())
        .then(unsharp.clone())
        .and_then(|chain| chain.then(Filter::new(Kernel::gaussian(1.0).unwrap())))
        .unwrap();
    let alpha = Chain::new(unsharp.alpha(Alpha::Keep));
    for chain in [chain, alpha] {
        let rect = shape.rect();
        let exact = reference::layer::region(&chain, shape, source.view(), (0, 0), rect).unwrap();
        let mut first: Option<Vec<u8>> = None;
        for level in levels() {
            let plan = chain.clone().level(level).plan::<u8, u8>(shape).unwrap();
            assert!(
                plan.stages().iter().any(|stage| stage.method == Some(Method::Terms)),
                "{plan}"
            );
            let mut out = twopass::Image::new(shape).unwrap();
            plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
            for (o, e) in out.data().iter().zip(&exact) {
                let rounded = (e + 0.5).floor().clamp(0.0, 255.0);
                assert!((f64::from(*o) - rounded).abs() <= 1.0, "{o}, {e}: {plan}");
            }
            if let Some(first) = &first {
                same(first, out.data()).unwrap();
            }
            first = Some(out.data().to_vec());
        }
    }
}
