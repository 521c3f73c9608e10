//! Mappings: what they say, written out in `f64`.

use crate::common::{Look, image, levels};
use twopass::light::{decode, encode};
use twopass::{
    Alpha, Border, Chain, Error, Filter, Image, Kernel, Mapping, Pointwise, Range, Rect,
    SampleType, Shape, Source, View, Workspace, reference,
};

/// What a mapping without alpha, of one filter, makes of a picture.
fn by_hand<I: Source, O: Source>(
    filter: &Filter,
    (linear, range): (bool, Range),
    view: View<'_, I>,
) -> Vec<f64> {
    let light = linear && I::TYPE != SampleType::F32;
    let value = |v: &I| {
        let v = v.to_f64() / I::FULL;
        if light { decode(v) as f32 } else { v as f32 }
    };
    let shape = view.shape();
    let values = (0..shape.height).flat_map(|y| view.row(y)).map(value).collect();
    let values = Image::from_vec(values, shape).unwrap();
    let constant = |border: &Border| match border {
        Border::Constant(values) => Border::Constant(
            values.iter().map(|v| if light { decode(v / I::FULL) } else { v / I::FULL }).collect(),
        ),
        other => other.clone(),
    };
    let offset = filter.get_offset();
    let (x, y) = filter.get_borders();
    let plain = filter.clone().offset(0.0).borders(constant(x), constant(y));
    let results = reference::region(&plain, shape, values.view(), (0, 0), {
        let out = plain.output_shape(shape).unwrap();
        out.rect()
    })
    .unwrap();
    let encodes = linear && O::TYPE != SampleType::F32;
    let shown = |v: &f64| if encodes { encode(*v) } else { *v };
    let (low, high) = results
        .iter()
        .map(shown)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |m, v| (m.0.min(v), m.1.max(v)));
    let half = if O::TYPE == SampleType::F32 { 0.5 } else { (O::FULL + 1.0) / 2.0 };
    let results = results.iter().map(|v| match range {
        Range::Abs => shown(&v.abs()) * O::FULL + offset,
        Range::Offset => shown(v) * O::FULL + offset + half,
        Range::Stretch => (shown(v) - low) / (high - low) * O::FULL,
        _ => shown(v) * O::FULL + offset,
    });
    results.map(|v| v.clamp(O::MIN, O::MAX)).collect()
}

fn check<I: Source, O: Source>(filter: &Filter, mapping: (bool, Range)) {
    let shape = Shape::new(23, 300, 3);
    // Seen as light, floats beyond full scale are nothing special.
    let source = image::<I>(shape, Look::Noise, 7);
    let mut as_said = Mapping::new().range(mapping.1);
    if mapping.0 {
        as_said = as_said.linear();
    }
    let want = by_hand::<I, O>(filter, mapping, source.view());
    for level in levels() {
        let plan = as_said.plan::<I, O>(filter.clone().level(level), shape).unwrap();
        assert_eq!(plan.plan().level(), level);
        let mut out = Image::<O>::new(plan.output_shape()).unwrap();
        let mut workspace = Workspace::new();
        plan.run(source.view(), out.view_mut(), &mut workspace).unwrap();
        let allowed = if O::TYPE == SampleType::F32 { 2e-4 } else { 1.001 };
        for (i, (got, want)) in out.data().iter().zip(&want).enumerate() {
            let off = (got.to_f64() - want).abs();
            assert!(off <= allowed, "{mapping:?} {} to {}: {i} {got:?} {want}", I::TYPE, O::TYPE);
        }
        // A part is that of the whole, and what is done by hand as well.
        let all = plan.output_shape();
        let rect = Rect::new(3, 100, 11, 170);
        let mut part = Image::new(Shape::new(11, 170, 3)).unwrap();
        if mapping.1 != Range::Stretch {
            plan.run_region(source.view(), rect, part.view_mut(), &mut workspace).unwrap();
            assert_eq!(part, out.view().crop(rect).unwrap().to_image().unwrap());
        }
        let wrong = plan.run_region(source.view(), all.rect(), part.view_mut(), &mut workspace);
        assert!(wrong.is_err());
        let beyond = Rect::new(20, 0, 11, 170);
        assert!(plan.run_region(source.view(), beyond, part.view_mut(), &mut workspace).is_err());
    }
}

#[test]
fn samples_are_mapped_as_it_is_said() {
    let blur = Filter::new(Kernel::gaussian(1.5).unwrap()).border(Border::Constant(vec![0.25]));
    let edges = Filter::new(Kernel::sobel_x()).scale(0.2).border(Border::Valid);
    for linear in [false, true] {
        for range in [Range::Clamp, Range::Abs, Range::Offset, Range::Stretch] {
            for filter in [&blur, &edges] {
                check::<u8, u8>(filter, (linear, range));
                check::<u8, u16>(filter, (linear, range));
                check::<u16, u8>(filter, (linear, range));
                check::<u8, f32>(filter, (linear, range));
            }
        }
    }
    check::<u16, u16>(&blur.clone().offset(900.0), (true, Range::Clamp));
    check::<u8, u8>(&blur.clone().offset(-20.0), (false, Range::Offset));
}

#[test]
fn floats_are_light_already() {
    let shape = Shape::new(9, 7, 1);
    let source = image::<u8>(shape, Look::Noise, 3);
    let floats: Vec<f32> = source.data().iter().map(|v| f32::from(*v) / 255.0).collect();
    let floats = Image::from_vec(floats, shape).unwrap();
    let blur = Filter::new(Kernel::box_(3, 3).unwrap());
    let plan = Mapping::new().linear().plan::<f32, u8>(blur.clone(), shape).unwrap();
    let mut out = Image::new(shape).unwrap();
    let clipping = plan.run(floats.view(), out.view_mut(), &mut Workspace::new()).unwrap();
    assert_eq!(clipping.unwrap().counts(), [(0, 0)]);
    let want = reference::region(&blur, shape, floats.view(), (0, 0), shape.rect()).unwrap();
    for (got, want) in out.data().iter().zip(want) {
        assert!((f64::from(*got) - encode(want) * 255.0).abs() < 0.51);
    }
}

/// Alpha is no light, and in no range; full alpha stays full in every depth.
#[test]
fn alpha_is_no_light() {
    let shape = Shape::new(16, 12, 4);
    let mut source = image::<u8>(shape, Look::Noise, 5);
    source.data_mut().iter_mut().skip(3).step_by(4).for_each(|a| *a = 200);
    for alpha in [Alpha::Premultiply, Alpha::Plain, Alpha::Keep] {
        let blur = Filter::new(Kernel::gaussian(1.0).unwrap()).alpha(alpha);
        for mapping in
            [Mapping::new(), Mapping::new().linear(), Mapping::new().range(Range::Stretch)]
        {
            let plan = mapping.alpha(true, true).plan::<u8, u16>(blur.clone(), shape).unwrap();
            let mut out = Image::new(shape).unwrap();
            plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
            let alphas: Vec<u16> = out.data().iter().skip(3).step_by(4).copied().collect();
            assert!(alphas.iter().all(|a| a.abs_diff(200 * 257) <= 1), "{alpha:?}: {alphas:?}");
        }
    }
}

/// A chain whose last layer is no filter gets what its ending asks for as layers of its own.
#[test]
fn chains_end_with_any_layer() {
    let shape = Shape::new(10, 8, 3);
    let source = image::<u8>(shape, Look::Noise, 11);
    let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1]).unwrap();
    let chain = Chain::new(Kernel::sobel_x()).then(luma.clone()).unwrap();
    let filters = Chain::new(luma).then(Kernel::sobel_x()).unwrap();
    for range in [Range::Clamp, Range::Abs, Range::Offset] {
        let run = |chain: &Chain| {
            let plan = Mapping::new().range(range).plan::<u8, u16>(chain.clone(), shape).unwrap();
            let mut out = Image::new(plan.output_shape()).unwrap();
            plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
            out
        };
        let (mixed, filtered) = (run(&chain), run(&filters));
        assert!(mixed.data().iter().any(|v| *v > 1000));
        for (a, b) in mixed.data().iter().zip(filtered.data()) {
            assert!(a.abs_diff(*b) <= 1, "{range:?}: {a} {b}");
        }
    }
}

#[test]
fn the_second_run_is_the_first_and_plans_of_others_are_refused() {
    let shape = Shape::new(40, 200, 1);
    let source = image::<u8>(shape, Look::Noise, 2);
    let mapping = Mapping::new().linear();
    let ending = mapping.ending::<u8, u8>(0.0, true);
    assert!(!ending.direct);
    let blur = Filter::new(Kernel::box_(5, 5).unwrap());
    let floats = blur.plan::<f32, f32>(shape).unwrap().into_any();
    let bytes = blur.plan::<u8, u8>(shape).unwrap().into_any();
    assert!(mapping.around::<u8, u8>(bytes, &ending).is_err());
    let infinite = mapping.plan::<u8, u8>(blur.clone().offset(f64::INFINITY), shape);
    assert!(matches!(infinite, Err(Error::Parameter { name: "offset", .. })));
    let plan = mapping.around::<u8, u8>(floats, &ending).unwrap();
    let (mut first, mut second) = (Image::new(shape).unwrap(), Image::new(shape).unwrap());
    let mut workspace = Workspace::new();
    plan.run(source.view(), first.view_mut(), &mut workspace).unwrap();
    plan.run(source.view(), second.view_mut(), &mut workspace).unwrap();
    assert_eq!(first, second);
    // Step by step, all at once.
    let light = plan.decode(source.view()).unwrap();
    let mut results = Image::<f32>::new(shape).unwrap();
    let floats = blur.plan::<f32, f32>(shape).unwrap();
    floats.run(light.view(), results.view_mut(), &mut workspace).unwrap();
    plan.encode(results.view(), second.view_mut()).unwrap();
    assert_eq!(first, second);
}
