//! Chains whose filters are done at two rates, by transforms, or as sums of terms that are.

use crate::common::{Look, borders, hann, image, levels};
use crate::filters::{agree_in_tiles, chain_of, fair, has_words, regions, run};
use twopass::{
    Alpha, Arithmetic, Border, Chain, Error, Filter, Image, Kernel, Method, Rect, Sample, Shape,
    Source, Workspace, reference,
};

/// A long smooth kernel, with different blocks across and down.
fn smooth() -> Kernel {
    Kernel::separable(&hann(47), &hann(63)).unwrap().with_anchor(30, 25).unwrap()
}

/// Twice the image, less that.
fn sharp() -> Kernel {
    let terms = [
        Kernel::identity(),
        Kernel::identity(),
        smooth().with_anchor(31, 23).unwrap().scaled(-1.0).unwrap(),
    ];
    Kernel::sum_of(&terms).unwrap()
}

/// A kernel that is no product.
fn wild(n: usize) -> Kernel {
    let taps: Vec<f64> = (0..n * n).map(|i| (i * i * 7 % 23) as f64 - 3.0).collect();
    let sum: f64 = taps.iter().sum();
    Kernel::new(n, n - 2, taps[..n * (n - 2)].iter().map(|t| t / sum).collect()).unwrap()
}

/// The methods of a chain's filters.
fn methods<I: Source, O: Sample>(chain: &Chain, shape: Shape) -> Vec<Method> {
    let plan = chain.plan::<I, O>(shape).unwrap();
    plan.stages().iter().filter_map(|stage| stage.method).collect()
}

fn edges() -> Filter {
    Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap().scale(0.125)
}

fn means() -> Filter {
    Filter::new(Kernel::box_(3, 3).unwrap())
}

/// A long filter that stays one for itself.
fn long() -> Filter {
    Filter::new(smooth()).method(Method::Multirate)
}

/// Larger than all kernels of a chain together, and smaller.
const LARGE: Shape = Shape::new(141, 103, 1);
const SMALL: [Shape; 4] =
    [Shape::new(70, 50, 3), Shape::new(40, 21, 4), Shape::new(3, 70, 2), Shape::new(1, 1, 1)];

/// At every level, in tiles and strips that begin within blocks.
fn agree<I: Source, O: Sample>(chain: &Chain, shape: Shape, seed: u64) {
    if chain.output_shape(shape).is_ok() {
        agree_in_tiles::<I, O>(chain, shape, seed, &[(50, 1, 40), (1000, 3, 13)]);
    }
}

/// A large image and a small one, and regions.
fn everywhere<I: Source, O: Sample>(chain: &Chain, seed: u64) {
    agree::<I, O>(chain, LARGE, seed);
    agree::<I, O>(chain, SMALL[seed as usize % 4], seed);
    regions::<I, O>(chain, LARGE, seed);
}

#[test]
fn two_rates_come_first() {
    for (i, border) in borders(40.0).into_iter().enumerate() {
        for after in [means(), edges()] {
            let on = |filter: Filter| filter.border(border.clone());
            let chain = chain_of([on(long()), on(after)]);
            let plan = chain.plan::<u8, u8>(LARGE).unwrap();
            let first = &plan.stages()[0];
            assert_eq!(first.method, Some(Method::Multirate), "{plan}");
            // The next one reads rows of 16 bits.
            assert_ne!(plan.stages()[1].arithmetic, Arithmetic::F32, "{plan}");
            everywhere::<u8, u8>(&chain, i as u64);
            agree::<u8, i16>(&chain, SMALL[(i + 1) % 4], i as u64);
        }
    }
}

/// Rows of `f32`, which other filters make, too.
#[test]
fn two_rates_come_later() {
    for (i, border) in borders(9.0).into_iter().enumerate() {
        let on = |filter: Filter| filter.border(border.clone());
        let chain = chain_of([on(means()), on(long()), on(means())]);
        assert_eq!(methods::<u8, u8>(&chain, LARGE)[1], Method::Multirate, "{border}");
        everywhere::<u8, u8>(&chain, i as u64);
        let both = |of: Filter| chain_of([on(of.clone()), on(of.offset(-3.5))]);
        let apart = both(long());
        assert_eq!(methods::<u8, u8>(&apart, LARGE), [Method::Multirate; 2], "{border}");
        everywhere::<u8, u8>(&apart, i as u64 + 2);
        everywhere::<u16, u8>(&both(Filter::new(smooth())), i as u64 + 1);
    }
}

/// Constants outside that rows of 16 bits hold, and others.
#[test]
fn constants_outside() {
    for (first, second) in [(7.0, 3.3), (3.3, 300.0), (0.0, 1000.0), (-20.0, -500.0)] {
        let on = |filter: Filter, value| filter.border(Border::Constant(vec![value]));
        let chain = chain_of([on(Filter::new(smooth()), first), on(means(), second)]);
        assert_eq!(methods::<u8, u8>(&chain, LARGE)[0], Method::Multirate);
        agree::<u8, u8>(&chain, LARGE, 5);
        regions::<u8, u8>(&chain, SMALL[0], 5);
    }
}

/// Rows of 16 bits of means that are multiplied.
#[test]
fn gains() {
    for gain in [0.25, 0.5, 2.0, 3.0, 128.0, 256.0, 1024.0, -1.0] {
        let long = Filter::new(smooth()).scale(gain);
        let ones = Kernel::new(3, 3, vec![1.0; 9]).unwrap();
        let plus =
            Kernel::new(3, 3, [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0].to_vec()).unwrap();
        for (kernel, sum) in [(ones, 9.0), (plus, 5.0)] {
            let chain = chain_of([long.clone(), Filter::new(kernel).scale(1.0 / (sum * gain))]);
            agree::<u8, u8>(&chain, SMALL[0], 3);
        }
        // What comes after may hide everything.
        let hidden = chain_of([long.clone(), means().scale(1e-3 / gain)]);
        agree::<u8, u8>(&hidden, SMALL[0], 4);
        let nothing = chain_of([long, means().scale(0.0).offset(3.0)]);
        agree::<u8, u8>(&nothing, SMALL[0], 4);
    }
}

/// Whole numbers that `f32` does not hold on the way, though it holds the results.
#[test]
fn sums_on_the_way() {
    let offset = Kernel::new(2, 1, vec![65281.0; 2]).unwrap();
    let offset = Filter::new(offset).offset(-16_777_216.0);
    let ones = Kernel::new(7, 7, vec![-1343.0; 49]).unwrap();
    let terms = Kernel::sum_of(&[Kernel::identity().scaled(65808.0).unwrap(), ones]).unwrap();
    for first in [offset, Filter::new(terms)] {
        let chain = chain_of([first, Filter::new(Kernel::identity())]);
        agree::<u8, f32>(&chain, SMALL[0], 1);
        agree::<u8, u16>(&chain, SMALL[0], 1);
    }
}

/// Bounds of floats hold for samples of any size, whatever reaches the filter that takes two rates.
#[test]
fn any_range() {
    let long = || Filter::new(smooth()).tolerance(4e-3);
    let alone = long().plan::<f32, f32>(LARGE).unwrap().error_bound_within(100.0).unwrap();
    let constant = long().border(Border::Constant(vec![50.0]));
    for chain in [
        chain_of([Filter::new(Kernel::identity()).offset(1.0), long()]),
        chain_of([Filter::new(Kernel::identity()), constant]),
    ] {
        let plan = chain.plan::<f32, f32>(LARGE).unwrap();
        assert_eq!(plan.stages()[1].method, Some(Method::Multirate));
        let bound = plan.error_bound_within(100.0).unwrap();
        assert!(bound >= alone, "{bound}, alone {alone}");
    }
}

/// Colours that were divided by alpha are as large as before, whatever the kernel's gain.
#[test]
fn after_a_division() {
    let bell = |i: i32| (-0.5 * (f64::from(i) / 30.0).powi(2)).exp();
    let taps: Vec<f64> = (-23..=23).map(bell).collect();
    let sum: f64 = taps.iter().sum();
    let taps: Vec<f64> = taps.iter().map(|t| t / sum).collect();
    let cut = Filter::new(Kernel::separable(&taps, &taps).unwrap()).alpha(Alpha::Plain);
    let chain = chain_of([means().scale(0.01).alpha(Alpha::Premultiply), cut]);
    let shape = Shape::new(79, 60, 4);
    // Two rates are far from a kernel that is cut off.
    assert_eq!(methods::<u8, u8>(&chain, shape)[1], Method::Separable);
    agree::<u8, u8>(&chain, shape, 3);
}

/// Terms at two rates.
#[test]
fn terms() {
    for (i, border) in borders(9.0).into_iter().enumerate() {
        let on = |filter: Filter| filter.border(border.clone());
        let chain = chain_of([on(Filter::new(sharp())), on(means())]);
        let plan = chain.plan::<u8, u8>(LARGE).unwrap();
        assert_eq!(plan.stages()[0].method, Some(Method::Terms), "{plan}");
        let products = plan.stages()[0].operations.multiplications;
        assert!(products < 47.0, "{products} multiplications");
        everywhere::<u8, u8>(&chain, i as u64);
    }
}

/// Blocks are a segment of their own.
#[test]
fn transforms() {
    for (i, border) in borders(9.0).into_iter().enumerate() {
        let on = |filter: Filter| filter.border(border.clone());
        let dense = || on(Filter::new(wild(31)));
        let chain = chain_of([dense(), on(edges()), on(means())]);
        let plan = chain.plan::<u8, u8>(LARGE).unwrap();
        assert_eq!((plan.stages()[0].method, plan.segments()), (Some(Method::Fft), 2), "{plan}");
        everywhere::<u8, u8>(&chain, i as u64);
        agree::<u16, u16>(&chain, SMALL[i % 4], i as u64);
        agree::<u8, f32>(&chain, SMALL[(i + 2) % 4], i as u64);
        // Results of integers are the same at every level: later transforms are not.
        let later = chain_of([on(means()), dense(), on(means())]);
        assert_ne!(methods::<u8, u8>(&later, LARGE)[1], Method::Fft);
        assert_ne!(methods::<u8, f32>(&later, LARGE)[1], Method::Fft);
        let plan = later.plan::<f32, f32>(LARGE).unwrap();
        assert_eq!((plan.stages()[1].method, plan.segments()), (Some(Method::Fft), 3), "{plan}");
        everywhere::<f32, f32>(&later, i as u64);
    }
}

/// Floats are done at two rates only under a tolerance, and keep what is no number inside the windows.
#[test]
fn what_is_no_number() {
    let chain = |long: Filter| {
        chain_of([means(), long.border(Border::Replicate), means().border(Border::Replicate)])
    };
    let exact = chain(Filter::new(smooth()));
    assert_eq!(methods::<f32, f32>(&exact, LARGE)[1], Method::Separable);
    let rough = chain(Filter::new(smooth()).tolerance(4e-3));
    assert_eq!(methods::<f32, f32>(&rough, LARGE)[1], Method::Multirate);
    // There would be nothing to tell where NaN came from.
    assert_eq!(methods::<f32, u8>(&rough, LARGE)[1], Method::Separable);
    everywhere::<f32, f32>(&rough, 3);
    let shape = Shape::new(190, 170, 1);
    let blocks = chain(Filter::new(wild(31)));
    assert_eq!(methods::<f32, f32>(&blocks, shape)[1], Method::Fft);
    let (x, y) = (97, 80);
    for value in [f32::NAN, f32::INFINITY] {
        let mut samples = image::<f32>(shape, Look::Noise, 4).into_vec();
        samples[y * shape.width + x] = value;
        let source = Image::from_vec(samples, shape).unwrap();
        for (chain, kernel) in [(&rough, smooth()), (&blocks, wild(31))] {
            let exact = reference::layer::chain(chain, source.view()).unwrap();
            for level in levels() {
                let plan = chain.clone().level(level).plan::<f32, f32>(shape).unwrap();
                for plan in [plan.clone(), plan.with_tiles(50, 1, 40)] {
                    let out = run(&plan, source.view());
                    for (i, (v, exact)) in out.iter().zip(&exact).enumerate() {
                        let (width, height) = (kernel.width(), kernel.height());
                        assert_eq!(v.is_finite(), exact.is_finite(), "{width}×{height}: {i}");
                    }
                }
            }
        }
    }
}

/// Colours multiplied by alpha, and layers that are no filters.
#[test]
fn alpha_and_colours() {
    let shape = Shape::new(97, 83, 4);
    for alpha in [Alpha::Premultiply, Alpha::Keep] {
        let chain = chain_of([Filter::new(smooth()).alpha(alpha), means().alpha(alpha)]);
        agree::<u8, u8>(&chain, shape, 3);
        agree::<u16, u16>(&chain, shape, 4);
        regions::<u8, u8>(&chain, shape, 5);
    }
    let grey = twopass::Pointwise::from_pytorch(&[0.25, 0.5, 0.25], [1, 3, 1, 1]).unwrap();
    let chain = Chain::new(smooth()).then(grey).unwrap();
    let shape = Shape::new(97, 83, 3);
    assert_eq!(methods::<u8, u8>(&chain, shape), [Method::Multirate]);
    agree::<u8, u8>(&chain, shape, 3);
    regions::<u8, u8>(&chain, shape, 5);
}

/// Images for which a chain is as wrong as can be: white where the taps that it comes to are more than they should be,
/// black elsewhere, or the other way round. Results of floats show these taps, on images of one pixel that is 1.
#[test]
fn the_worst_images_are_within_the_bound() {
    let shape = Shape::new(75, 75, 1);
    let (x, y) = (38, 36);
    let rect = Rect::new(x, y, 1, 1);
    let sobel = Filter::new(Kernel::sobel_x()).scale(0.25);
    for (after, allowed) in [(means(), 0.5), (sobel, 1.0)] {
        let long = Filter::new(Kernel::separable(&hann(47), &hann(49)).unwrap());
        let bytes = chain_of([long.clone(), after.clone()]).plan::<u8, u8>(shape).unwrap();
        assert_eq!(bytes.stages()[0].method, Some(Method::Multirate), "{bytes}");
        // Rows at the same rates: the coarsest that are good enough.
        let share = 0.9 * allowed / 255.0 / (after.kernels()[0].abs_sum() * after.get_scale());
        let chain = chain_of([long.tolerance(share), after]);
        let floats = chain.plan::<u8, f32>(shape).unwrap();
        assert_eq!(floats.stages()[0].method, Some(Method::Multirate), "{floats}");
        let (mut workspace, mut out) =
            (Workspace::new(), Image::<f32>::new(Shape::new(1, 1, 1)).unwrap());
        let mut off = Vec::with_capacity(75 * 75);
        let mut dot = Image::<u8>::new(shape).unwrap();
        for i in 0..75 * 75 {
            dot.data_mut()[i] = 255;
            floats.run_region(dot.view(), (0, 0), rect, out.view_mut(), &mut workspace).unwrap();
            let exact =
                reference::layer::region(&chain, shape, dot.view(), (0, 0), rect).unwrap()[0];
            off.push(f64::from(out.data()[0]) - exact);
            dot.data_mut()[i] = 0;
        }
        let mut worst: f64 = 0.0;
        for sign in [1.0, -1.0] {
            let white = off.iter().map(|off| if off * sign > 0.0 { 255 } else { 0 }).collect();
            let source = Image::from_vec(white, shape).unwrap();
            let exact =
                reference::layer::region(&chain, shape, source.view(), (0, 0), rect).unwrap()[0];
            let bound = floats.error_bound().unwrap();
            floats.run_region(source.view(), (0, 0), rect, out.view_mut(), &mut workspace).unwrap();
            let error = (f64::from(out.data()[0]) - exact).abs();
            assert!(error <= bound, "{error}, bound {bound}");
            worst = worst.max(error / bound);
            for level in levels() {
                let plan = bytes.chain().clone().level(level).plan::<u8, u8>(shape).unwrap();
                let got = run(&plan, source.view())[y * 75 + x];
                let bound = plan.error_bound().unwrap();
                assert!(bound < allowed, "{plan}");
                assert!((f64::from(got) - exact).abs() <= bound + 0.5, "{got}, exactly {exact}");
            }
        }
        println!("largest error ÷ bound: {worst:.2}");
        assert!(worst > 0.1, "{worst}: the images are harmless");
    }
}

/// Long Gaussians with something after them that multiplies errors: taps with more bits.
#[test]
fn taps_with_more_bits() {
    for border in borders(9.0) {
        let on = |filter: Filter| filter.border(border.clone());
        let gaussian = Filter::new(Kernel::gaussian(6.5).unwrap());
        let chain = chain_of([on(gaussian), on(Filter::new(Kernel::sharpen()))]);
        let plan = chain.plan::<u8, u8>(LARGE).unwrap();
        assert!(has_words(&plan.into_any()));
        everywhere::<u8, u8>(&chain, 2);
    }
}

/// Methods that are asked for come, or are refused.
#[test]
fn asked_for() {
    let plan = |filters: [Filter; 2]| chain_of(filters).plan::<u8, u8>(LARGE);
    let rates = || Filter::new(smooth()).method(Method::Multirate);
    let blocks = || Filter::new(wild(31)).method(Method::Fft);
    for (filters, at, method) in [
        ([rates(), means()], 0, Method::Multirate),
        ([means(), rates()], 1, Method::Multirate),
        ([blocks(), means()], 0, Method::Fft),
    ] {
        assert_eq!(plan(filters).unwrap().stages()[at].method, Some(method));
    }
    for filters in [
        [rates(), Filter::new(Kernel::sharpen()).scale(8.0)],
        [rates().tolerance(0.0), means()],
        [means(), blocks()],
    ] {
        assert!(matches!(plan(filters), Err(Error::Unsupported(_))));
    }
    let exact = plan([Filter::new(smooth()).tolerance(0.0), means()]).unwrap();
    assert_eq!(exact.stages()[0].method, Some(Method::Separable));
}

/// What a plan for another shape keeps, and what it works out anew.
#[test]
fn other_shapes() {
    for chain in [
        chain_of([Filter::new(smooth()), means()]),
        chain_of([means(), Filter::new(smooth())]),
        chain_of([Filter::new(sharp()), means()]),
        chain_of([Filter::new(wild(31)), edges()]),
        chain_of([means().scale(0.0), Filter::new(smooth()), means()]),
    ] {
        let plan = chain.plan::<u8, u8>(LARGE).unwrap();
        for channels in [1, 3] {
            let shape = Shape::new(333, 222, channels);
            let other = chain.plan::<u8, u8>(shape).unwrap();
            assert_eq!(plan.for_shape(shape).unwrap(), other);
        }
    }
}

/// Means of noise are right, and few samples are not the correctly rounded ones.
#[test]
fn no_bias() {
    for chain in [
        chain_of([Filter::new(smooth()), means()]),
        chain_of([means(), Filter::new(smooth())]),
        chain_of([Filter::new(smooth()), Filter::new(smooth())]),
        chain_of([Filter::new(sharp()), means()]),
        chain_of([Filter::new(Kernel::gaussian(6.5).unwrap()), Filter::new(Kernel::sharpen())]),
    ] {
        fair(&chain, Shape::new(600, 400, 1));
    }
}

/// Constant images stay constant.
#[test]
fn constants() {
    let chains = [
        chain_of([Filter::new(smooth()), means()]),
        chain_of([means(), Filter::new(smooth()), means()]),
        chain_of([Filter::new(sharp()), means()]),
        chain_of([Filter::new(wild(31)).scale(1.0 / wild(31).sum()), means()]),
    ];
    for (i, chain) in chains.iter().enumerate() {
        for value in [0u8, 1, 100, 254, 255] {
            let shape = Shape::new(70, 80, 1);
            let flat = Image::from_vec(vec![value; 70 * 80], shape).unwrap();
            let plan = chain.plan::<u8, u8>(shape).unwrap();
            assert!(run(&plan, flat.view()).iter().all(|v| *v == value), "{i}: {value}\n{plan}");
        }
    }
}
