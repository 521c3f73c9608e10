//! Filters that follow each other and are done as one, of convolved kernels.

use crate::common::{Look, borders, image};
use crate::filters::{agree, chain_of, fair, regions, run, through};
use twopass::{
    Alpha, Border, Chain, Filter, Kernel, Layer, Method, Pointwise, Sample, Shape, Source,
    StageInfo,
};

fn gaussian(sigma: f64) -> Filter {
    Filter::new(Kernel::gaussian(sigma).unwrap())
}

fn box_(n: usize) -> Filter {
    Filter::new(Kernel::box_(n, n).unwrap())
}

/// The sizes of the kernels that are done.
fn sizes<I: Source, O: Sample>(chain: &Chain, channels: usize) -> Vec<(usize, usize)> {
    let plan = chain.plan::<I, O>(Shape::new(104, 108, channels)).unwrap();
    let size = |stage: StageInfo<'_>| match stage.layer {
        Layer::Filter(filter) => (filter.kernels()[0].width(), filter.kernels()[0].height()),
        _ => (0, 0),
    };
    plan.stages().into_iter().map(size).collect()
}

/// Whether filters are one through every border that lets them be, and what they make then.
fn every_border(chain: &Chain, check: impl Fn(&Chain, u64)) {
    assert_eq!(sizes::<u8, u8>(chain, 1).len(), 1);
    for (i, border) in borders(9.0).iter().enumerate() {
        let chain = through(chain, border);
        let apart = matches!(border, Border::Constant(_) | Border::Replicate);
        let layers = if apart { chain.layers().len() } else { 1 };
        // Without a border, the shorter terms of a sum are as long as the others, which may cost too much.
        if *border != Border::Valid {
            assert_eq!(sizes::<u8, u8>(&chain, 1).len(), layers, "{border}");
        }
        check(&chain, i as u64);
    }
}

/// Two passes, whole taps, and what comes before them and behind; between all types.
#[test]
fn short_filters() {
    let whole = Filter::new(Kernel::binomial(3).unwrap().scaled(16.0).unwrap());
    for chain in [
        chain_of([box_(5), box_(5), box_(5)]),
        chain_of([gaussian(1.2), gaussian(1.7).scale(0.5).offset(40.0)]),
        chain_of([box_(3).offset(9.5), Filter::new(Kernel::sobel_x()).scale(0.25).abs()]),
        chain_of([whole, Filter::new(Kernel::scharr_x())]),
    ] {
        every_border(&chain, |chain, seed| {
            for shape in [Shape::new(43, 17, 3), Shape::new(7, 3, 2), Shape::new(1, 1, 1)] {
                if chain.output_shape(shape).is_err() {
                    continue;
                }
                agree::<u8, u8>(chain, shape, seed);
                agree::<u8, i16>(chain, shape, seed);
                agree::<u8, f32>(chain, shape, seed);
                agree::<u16, u16>(chain, shape, seed);
                agree::<f32, f32>(chain, shape, seed);
                agree::<f32, u8>(chain, shape, seed);
                regions::<u8, u8>(chain, shape, seed);
                regions::<f32, f32>(chain, shape, seed);
            }
        });
    }
}

/// Two rates, and sums of terms at two rates, with taps below 0 among them.
#[test]
fn long_filters() {
    for chain in [
        chain_of([gaussian(5.0), gaussian(5.0)]),
        chain_of([box_(3), gaussian(9.0)]),
        chain_of([Filter::new(Kernel::unsharp(9.0, 1.5).unwrap()), box_(3)]),
        chain_of([gaussian(10.0), Filter::new(Kernel::laplacian()).offset(100.0)]),
    ] {
        every_border(&chain, |chain, seed| {
            for shape in [Shape::new(93, 81, 1), Shape::new(7, 70, 2)] {
                if chain.output_shape(shape).is_ok() {
                    agree::<u8, u8>(chain, shape, seed);
                    regions::<u8, u8>(chain, shape, seed);
                }
            }
        });
    }
}

/// A part of a chain may be one filter, and the rest another.
#[test]
fn others_among_them() {
    let emboss = Filter::new(Kernel::emboss());
    let chain = chain_of([gaussian(1.0), gaussian(1.0), emboss, box_(3), box_(3)]);
    assert_eq!(sizes::<f32, f32>(&chain, 3), [(13, 13), (3, 3), (5, 5)]);
    agree::<u8, u8>(&chain, Shape::new(47, 29, 3), 5);
    agree::<f32, f32>(&chain, Shape::new(47, 29, 3), 5);
    regions::<f32, f32>(&chain, Shape::new(47, 29, 3), 5);
}

/// Lines across and down read through the border of their own axis.
#[test]
fn lines() {
    let across = Filter::new(Kernel::separable(&[1.0], &[0.5, 0.25, 0.25]).unwrap());
    let down = Filter::new(Kernel::separable(&[0.25, 0.5, 0.125, 0.125], &[1.0]).unwrap());
    for (i, x) in borders(9.0).into_iter().enumerate() {
        for (j, y) in borders(30.0).into_iter().enumerate() {
            let of = |filter: &Filter| filter.clone().borders(x.clone(), y.clone());
            let chain = chain_of([of(&across), of(&down)]);
            let one = !matches!(y, Border::Constant(_));
            assert_eq!(sizes::<u8, u8>(&chain, 1).len(), if one { 1 } else { 2 }, "{x}, {y}");
            let (shape, seed) = (Shape::new(23, 11, 2), (6 * i + j) as u64);
            agree::<u8, u8>(&chain, shape, seed);
            agree::<f32, f32>(&chain, shape, seed);
            regions::<u8, u8>(&chain, shape, seed);
        }
    }
}

/// Means stay what they are.
#[test]
fn results_are_fair() {
    for chain in [
        chain_of([box_(5), box_(5), box_(5)]),
        chain_of([box_(3), box_(3)]),
        chain_of([gaussian(1.0), gaussian(1.5)]),
        chain_of([gaussian(6.0), gaussian(6.0)]),
        chain_of([Filter::new(Kernel::unsharp(9.0, 1.0).unwrap()), box_(3)]),
    ] {
        assert_eq!(sizes::<u8, u8>(&chain, 1).len(), 1);
        fair(&chain, Shape::new(600, 400, 1));
    }
}

/// Colours times alpha are filtered and divided once. Alpha that is kept is that of the pixel under both anchors.
#[test]
fn alpha() {
    let lopsided = Kernel::separable(&[0.25, 0.75], &[0.5, 0.25, 0.25]).unwrap();
    let lopsided = Filter::new(lopsided.with_anchor(2, 0).unwrap()).border(Border::Wrap);
    let twice =
        |filter: Filter, alpha| chain_of([filter.clone().alpha(alpha), filter.alpha(alpha)]);
    for (seed, alpha) in [Alpha::Keep, Alpha::Premultiply, Alpha::Plain].into_iter().enumerate() {
        for filter in [gaussian(1.3), box_(3), lopsided.clone(), gaussian(8.0)] {
            let chain = twice(filter, alpha);
            assert_eq!(sizes::<u8, u8>(&chain, 4).len(), 1, "{alpha:?}");
            let apart = if alpha == Alpha::Premultiply { 2 } else { 1 };
            assert_eq!(sizes::<f32, f32>(&chain, 4).len(), apart, "{alpha:?}");
            for shape in [Shape::new(33, 17, 4), Shape::new(5, 9, 2)] {
                agree::<u8, u8>(&chain, shape, seed as u64);
                agree::<u16, u16>(&chain, shape, seed as u64);
                agree::<u8, f32>(&chain, shape, seed as u64);
                agree::<f32, f32>(&chain, shape, seed as u64);
                regions::<u8, u8>(&chain, shape, seed as u64);
            }
        }
    }
    // Behind other filters alpha may be anything, and is limited in between.
    let rings = Filter::new(Kernel::separable(&[1.0], &[-1.0, 3.0, -1.0]).unwrap());
    let premultiplied = || gaussian(1.0).alpha(Alpha::Premultiply);
    for (first, layers) in
        [(rings.clone(), 3), (rings.alpha(Alpha::Keep), 2), (premultiplied().abs(), 2)]
    {
        let chain = chain_of([first, premultiplied(), premultiplied()]);
        assert_eq!(sizes::<u8, u8>(&chain, 4).len(), layers);
        agree::<u8, u8>(&chain, Shape::new(21, 9, 4), 7);
    }
    let plan = twice(gaussian(1.0), Alpha::Premultiply).plan::<u8, u8>(Shape::new(9, 9, 4));
    assert_eq!(plan.unwrap().error_bound(), None);
}

/// Filters whose sums are cheap one after the other, and those that somebody said something about, stay apart; what a plan
/// says is about what was given.
#[test]
fn what_plans_say() {
    let sizes = |chain: &Chain| sizes::<u8, u8>(chain, 3);
    assert_eq!(sizes(&chain_of([box_(15), box_(15)])), [(15, 15); 2]);
    assert_eq!(sizes(&chain_of([box_(101), box_(101)])), [(201, 201)]);
    let asked = gaussian(1.0).method(Method::Separable);
    assert_eq!(sizes(&chain_of([asked, gaussian(1.0)])), [(7, 7); 2]);
    let luma = Pointwise::from_keras(&[0.299, 0.587, 0.114], [1, 1, 3, 1]).unwrap();
    let between = Chain::new(gaussian(1.0)).then(luma).unwrap().then(gaussian(1.0)).unwrap();
    assert_eq!(self::sizes::<f32, f32>(&between, 3), [(0, 0), (13, 13)]);

    let chain = chain_of([box_(5), box_(5)]);
    let plan = chain.plan::<u8, u8>(Shape::new(64, 48, 3)).unwrap();
    assert_eq!(plan.chain(), &chain);
    assert_eq!(
        (plan.multiplications_per_sample(), plan.naive_multiplications_per_sample()),
        (18, 50)
    );
    assert!(
        plan.to_string().contains("done as:         filter 9×9, border reflect101\n"),
        "{plan}"
    );
    // Only whole taps are exact: others are rounded where they are convolved.
    let nothing = Filter::new(Kernel::new(3, 3, vec![0.0; 9]).unwrap()).offset(0.1);
    let hidden = chain_of([nothing, Filter::new(Kernel::sobel_x())]);
    agree::<u8, f32>(&hidden, Shape::new(19, 8, 1), 1);
    let bound = |chain: &Chain| {
        let plan = chain.plan::<u8, f32>(Shape::new(64, 48, 1)).unwrap();
        (plan.stages().len(), plan.error_bound() == Some(0.0))
    };
    assert_eq!(bound(&hidden), (1, false));
    let whole = Filter::new("1 2 1; 2 4 2; 1 2 1".parse().unwrap());
    assert_eq!(bound(&chain_of([whole, Filter::new(Kernel::scharr_x())])), (1, true));
    let larger = plan.for_shape(Shape::new(90, 70, 3)).unwrap();
    assert_eq!(larger, chain.plan::<u8, u8>(Shape::new(90, 70, 3)).unwrap());
    let source = image::<u8>(Shape::new(90, 70, 3), Look::Noise, 3);
    let convolved = Filter::new(plan_kernel(&plan)).plan::<u8, u8>(Shape::new(90, 70, 3)).unwrap();
    assert_eq!(run(&larger, source.view()), run(&convolved, source.view()));
}

fn plan_kernel(plan: &twopass::AnyPlan) -> Kernel {
    match plan.stages()[0].layer {
        Layer::Filter(filter) => filter.kernels()[0].clone(),
        _ => unreachable!("a filter"),
    }
}
