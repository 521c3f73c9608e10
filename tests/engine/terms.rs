//! Kernels that are known as sums, filtered term by term.

use crate::bounds::check as worst_images;
use crate::common::{
    Look, check_levels, image, levels, run_plan, run_tiling, same, values, with_tiles,
};
use crate::equality::large;
use crate::sweep::{sweep, sweep_filter, sweep_heights};
use twopass::{
    Arithmetic, Border, Filter, Kernel, KernelParams, Method, NamedKernel, Sample, Separation,
    Shape, Source,
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

/// Twice the image less a Gaussian of 9 taps across and 3 down.
fn flat() -> Kernel {
    let blurred = Kernel::gaussian_xy(1.2, 0.3).unwrap();
    assert_eq!((blurred.width(), blurred.height()), (9, 3));
    Kernel::sum_of(&[Kernel::new(1, 1, vec![2.0]).unwrap(), blurred.scaled(-1.0).unwrap()]).unwrap()
}

#[test]
fn every_size() {
    sweep::<u8, u8>(&named("unsharp", 1.0, None), 1.0);
    // Around the windows' own, which are 12 and 13 rows high.
    let heights = [1, 2, 3, 7, 12, 13, 14, 15, 31, 40];
    sweep_heights::<u8, i16>(&Filter::new(mixture()).scale(-2.0), heights);
    sweep_heights::<f32, f32>(&Filter::new(named("dog", 1.2, Some(13))), heights);
}

#[test]
fn every_cut() {
    let unsharp = Filter::new(named("unsharp", 2.0, None));
    large::<u8, u8>(&unsharp);
    large::<u8, i16>(&Filter::new(Kernel::unsharp(2.0, 0.7).unwrap()).offset(-3.3));
    large::<u8, u8>(&Filter::new(Kernel::unsharp(1.0, 0.37).unwrap()));
    large::<u8, u8>(&Filter::new(named("dog", 1.0, None)).scale(-3.0).border(Border::Wrap));
    // Short beside a long one, and alone with the image, but in no square.
    let gaussians = [Kernel::gaussian(1.0), Kernel::gaussian(3.0).unwrap().scaled(-1.0)];
    let difference = Kernel::sum_of(&gaussians.map(Result::unwrap)).unwrap();
    windows_inside(&Filter::new(difference).offset(100.0));
    windows_inside(&Filter::new(Kernel::unsharp(2.0, 0.37).unwrap()));
    large::<u8, u8>(&Filter::new(flat()));
    large::<u8, i16>(&Filter::new(named("log", 2.0, None)).scale(40.0).offset(3.5).abs());
    large::<u16, u16>(&Filter::new(mixture()).border(Border::Wrap));
    large::<f32, f32>(&Filter::new(named("log", 2.0, None)).border(Border::Constant(vec![0.3])));
    large::<f32, u8>(&Filter::new(mixture()).scale(255.0));
}

/// Where windows end with the image.
fn windows_inside(filter: &Filter) {
    in_pieces::<u8, u8>(&filter.clone().border(Border::Valid));
}

/// A sum of terms at every level against the reference, and in tiles and regions.
fn in_pieces<I: Source, O: Sample>(filter: &Filter) {
    for shape in [Shape::new(70, 40, 1), Shape::new(31, 33, 3)] {
        let source = image::<I>(shape, Look::Noise, 9);
        check_levels::<I, O>(filter, source.view()).unwrap();
        let plan = filter.plan::<I, O>(shape).unwrap();
        assert_eq!(plan.stages()[0].method, Some(Method::Terms));
        let whole = run_plan(&plan, source.view()).unwrap();
        let other = run_plan(&with_tiles(plan.clone(), 7, 3), source.view()).unwrap();
        same(&whole, &other).unwrap();
        let pieces = run_tiling(&plan, filter, source.view(), 1).unwrap();
        same(&whole, &pieces).unwrap();
    }
}

/// Sums of floats that the image is added to.
#[test]
fn floats_with_the_image() {
    let unsharp = Filter::new(Kernel::unsharp(1.3, 0.6).unwrap());
    for border in [Border::Replicate, Border::Wrap, Border::Valid, Border::Constant(vec![7.0])] {
        let filter = unsharp.clone().border(border);
        in_pieces::<u16, u16>(&filter);
        in_pieces::<u16, i16>(&filter.clone().scale(-0.3).offset(5.5));
        in_pieces::<u8, f32>(&filter.clone().abs());
        in_pieces::<f32, f32>(&filter);
        in_pieces::<f32, u8>(&filter.clone().scale(200.0).offset(3.0).abs());
    }
}

/// A mean of many pixels is summed as such, beside the image too.
#[test]
fn boxes_beside_the_image_are_sums() {
    let terms = [
        Kernel::new(1, 1, vec![2.0]).unwrap(),
        Kernel::box_(31, 31).unwrap().scaled(-1.0).unwrap(),
    ];
    let filter = Filter::new(Kernel::sum_of(&terms).unwrap());
    let shape = Shape::new(200, 100, 1);
    // Two passes take 31 additions each.
    let few = |additions: f64| assert!(additions < 40.0, "{additions}");
    few(filter.plan::<u8, u8>(shape).unwrap().operations_per_sample().additions);
    few(filter.plan::<u16, u16>(shape).unwrap().operations_per_sample().additions);
    few(filter.plan::<f32, f32>(shape).unwrap().operations_per_sample().additions);
    in_pieces::<u8, u8>(&filter);
    in_pieces::<u16, u16>(&filter);
    in_pieces::<f32, f32>(&filter);
}

/// The image is added to whole vectors and to what is left of rows, of any taps.
#[test]
fn the_image_is_added_at_every_width() {
    for (sigma, amount) in [(1.0, 1.0), (1.6, 0.37)] {
        let filter = Filter::new(Kernel::unsharp(sigma, amount).unwrap());
        for width in 1..=140 {
            for channels in [1, 3] {
                let source = image::<u8>(Shape::new(width, 3, channels), Look::Noise, width as u64);
                check_levels::<u8, u8>(&filter, source.view()).unwrap();
                let source =
                    image::<u16>(Shape::new(width, 3, channels), Look::Noise, width as u64);
                check_levels::<u16, u16>(&filter, source.view()).unwrap();
                let source =
                    image::<f32>(Shape::new(width, 3, channels), Look::Noise, width as u64);
                check_levels::<f32, f32>(&filter, source.view()).unwrap();
            }
        }
    }
}

#[test]
fn bounds_hold() {
    for kernel in [named("unsharp", 1.5, None), named("dog", 2.0, None), mixture()] {
        worst_images::<u8>(&kernel, 3);
        worst_images::<u16>(&kernel, 1);
        worst_images::<f32>(&kernel, 1);
    }
    // Amounts that few bits do not hold, in two passes and at two rates. Large ones need more bits than pairs have.
    let (rounded, pairs) = (Arithmetic::I16Rounded, Arithmetic::I16Pairs);
    let cases = [
        (1.5, 0.7, rounded),
        (2.0, 29.9, Arithmetic::F32),
        (12.0, 0.37, pairs),
        (30.0, 1.9, pairs),
    ];
    for (sigma, amount, expected) in cases {
        let kernel = Kernel::unsharp(sigma, amount).unwrap();
        let plan = Filter::new(kernel.clone()).plan::<u8, u8>(Shape::new(200, 100, 1)).unwrap();
        assert_eq!(plan.stages()[0].arithmetic, expected, "{plan}");
        worst_images::<u8>(&kernel, 1);
    }
    // Terms with taps below 0, at two rates.
    let second = Kernel::log(8.0).unwrap().scaled(30.0).unwrap();
    let plan = Filter::new(second.clone()).plan::<u8, u8>(Shape::new(200, 100, 1)).unwrap();
    assert!(plan.steps().iter().any(|step| step.contains("decimate")), "{plan}");
    worst_images::<u8>(&second, 1);
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
    assert_eq!(method(&Filter::new(flat())), (Method::Terms, 9 + 3 + 1));
    // Few taps, a product, and taps that nothing is known of.
    assert_eq!(method(&Filter::new(named("unsharp", 0.5, None))).0, Method::Dense);
    let line = Kernel::new(30, 1, vec![0.01; 30]).unwrap();
    let one = Kernel::new(1, 1, vec![2.0]).unwrap();
    let sum = Kernel::sum_of(&[line, one]).unwrap();
    assert_eq!(method(&Filter::new(sum)).0, Method::Separable);
    let taps = unsharp.kernels()[0].taps().to_vec();
    let plain = Kernel::new(19, 19, taps).unwrap();
    // Taps alone tell that they are a sum of two products.
    assert_eq!(method(&Filter::new(plain.clone())), (Method::Terms, 4 * 19));
    let asked = |kernel: Kernel| Filter::new(kernel).method(Method::Terms).plan::<u8, u8>(shape);
    assert!(asked(plain).is_ok());
    assert!(asked(Kernel::gaussian(2.0).unwrap()).is_err());
    assert!(asked(Kernel::disc(9.0).unwrap()).is_err());
    assert!(asked(named("unsharp", 0.5, None)).is_ok());
    // The definition and the separation know nothing of terms.
    assert_eq!(Separation::of(&unsharp.kernels()[0]).rank(), 2);
    let plan = unsharp.plan::<u8, u8>(shape).unwrap();
    assert_eq!(plan.stages()[0].arithmetic, Arithmetic::I16Rounded);
    assert!(plan.error_bound().unwrap() < 0.2, "{plan}");
    // For other shapes, the same plan.
    let other = Shape::new(31, 45, 3);
    assert_eq!(*plan.for_shape(other).unwrap(), *unsharp.plan::<u8, u8>(other).unwrap());
}

/// Taps of which nothing is known.
fn forgotten(kernel: &Kernel) -> Kernel {
    let (x, y) = kernel.anchor();
    let taps = kernel.taps().to_vec();
    Kernel::new(kernel.width(), kernel.height(), taps).unwrap().with_anchor(x, y).unwrap()
}

/// A sum of products of random lines.
fn random(width: usize, height: usize, rank: usize, seed: u64) -> Kernel {
    let mut values = values(Look::Noise, (width + height) * rank, seed).into_iter();
    let mut line = |n: usize| values.by_ref().take(n).map(|v| v - 0.3).collect::<Vec<_>>();
    let product = |_| Kernel::separable(&line(height), &line(width)).unwrap();
    let products: Vec<_> = (0..rank).map(product).collect();
    forgotten(&Kernel::sum_of(&products).unwrap().normalized())
}

/// Its long axis at an angle.
fn slanted_gaussian(n: usize, long: f64, wide: f64, angle: f64) -> Kernel {
    let (sin, cos) = angle.to_radians().sin_cos();
    let tap = |i: usize| {
        let (x, y) = ((i % n) as f64 - (n / 2) as f64, (i / n) as f64 - (n / 2) as f64);
        let (u, v) = ((x * cos + y * sin) / long, (y * cos - x * sin) / wide);
        (-(u * u + v * v) / 2.0).exp()
    };
    Kernel::new(n, n, (0..n * n).map(tap).collect()).unwrap().normalized()
}

/// A wave in a round window: the difference of two products.
fn gabor(size: usize) -> Kernel {
    let params = KernelParams {
        size: Some(size),
        sigma: Some(size as f64 / 7.0),
        wavelength: Some(size as f64 / 3.0),
        angle: Some(30.0),
        aspect: Some(1.0),
        ..Default::default()
    };
    let kernel = &NamedKernel::find("gabor").unwrap().kernels(&params).unwrap()[0];
    kernel.scaled(1.0 / kernel.abs_sum()).unwrap()
}

/// Which kernels are found to be sums of few products, and by how many.
#[test]
fn products_of_taps() {
    fn with<S: Source>(filter: &Filter, method: Method) -> Option<(Method, usize)> {
        let plan = filter.clone().method(method).plan::<S, S>(Shape::new(200, 150, 3)).ok()?;
        Some((plan.stages()[0].method.unwrap(), plan.multiplications_per_sample()))
    }
    let text = |kernel: &Kernel| -> Kernel {
        let row = |row: &[f64]| row.iter().map(|t| format!("{t:e} ")).collect::<String>();
        let rows: Vec<_> = kernel.taps().chunks(kernel.width()).map(row).collect();
        rows.join(";").parse().unwrap()
    };
    let log = text(&named("log", 4.0, None));
    let n = 2 * log.width();
    for (name, kernel, products) in [
        ("log", Filter::new(log).scale(20.0), 2 * n),
        ("two", Filter::new(random(31, 31, 2, 1)), 4 * 31),
        ("three", Filter::new(random(21, 21, 3, 2)), 6 * 21),
        ("gabor", Filter::new(gabor(35)), 4 * 35),
    ] {
        for found in [
            with::<u8>(&kernel, Method::Terms),
            with::<u16>(&kernel, Method::Terms),
            with::<f32>(&kernel, Method::Terms),
        ] {
            assert_eq!(found, Some((Method::Terms, products)), "{name}");
        }
        assert_eq!(with::<u8>(&kernel, Method::Auto).unwrap().0, Method::Terms, "{name}");
        assert_eq!(with::<f32>(&kernel, Method::Auto).unwrap().0, Method::Terms, "{name}");
    }
    // What four products leave hides in the rounding of bytes, and of nothing finer.
    let slanted = Filter::new(slanted_gaussian(31, 5.0, 4.0, 30.0));
    let (method, count) = with::<u8>(&slanted, Method::Terms).unwrap();
    assert!(method == Method::Terms && count <= 8 * 31, "{count}");
    assert_eq!(with::<f32>(&slanted, Method::Terms), None);
    // More products, and whole taps, whose results must be exact.
    assert_eq!(with::<u8>(&Filter::new(random(31, 31, 6, 3)), Method::Terms), None);
    let whole: Vec<f64> = (0..81).map(|i| (i % 9 * (i / 9) + i % 9) as f64).collect();
    let bent = |i: usize| whole[i] + if i % 9 > 4 && i / 9 > 4 { 3.0 } else { 0.0 };
    let whole = Filter::new(Kernel::new(9, 9, (0..81).map(bent).collect()).unwrap());
    assert_eq!(Separation::of(&whole.kernels()[0]).rank(), 2);
    assert_eq!(with::<u8>(&whole, Method::Terms), None);
    // With an anchor at the side, and between others where it is asked for.
    let side = Filter::new(random(40, 21, 2, 4).with_anchor(39, 0).unwrap());
    assert_eq!(with::<u8>(&side, Method::Auto).unwrap().0, Method::Terms);
}

#[test]
fn every_size_of_products() {
    let filter = |kernel: Kernel| Filter::new(kernel).method(Method::Terms);
    sweep_filter::<u8, u8>(&filter(random(9, 11, 2, 5)));
    sweep_filter::<f32, f32>(&filter(random(10, 9, 2, 6).with_anchor(0, 8).unwrap()));
}

#[test]
fn every_cut_of_products() {
    large::<u8, u8>(&Filter::new(gabor(31)).offset(100.0));
    large::<u8, u8>(&Filter::new(slanted_gaussian(31, 5.0, 4.0, 30.0)).method(Method::Terms));
    large::<u16, u16>(&Filter::new(random(25, 19, 3, 7)).border(Border::Wrap));
    large::<f32, f32>(&Filter::new(random(33, 33, 2, 8)).border(Border::Constant(vec![0.3])));
}

#[test]
fn bounds_of_products_hold() {
    for kernel in [gabor(25), random(31, 27, 2, 9), random(40, 40, 3, 10)] {
        worst_images::<u8>(&kernel, 3);
        worst_images::<u16>(&kernel, 1);
        worst_images::<f32>(&kernel, 1);
    }
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
