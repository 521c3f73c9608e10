//! Any small image, kernel, border and method against the reference, as strided views into memory
//! with guard values around them. Integer results may be off by one; nothing between or around the
//! rows may be touched.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use twopass::{
    Border, Filter, Image, Kernel, Level, Method, Shape, View, ViewMut, Workspace, reference,
};

#[derive(Debug, Arbitrary)]
struct Case {
    width: u8,
    height: u8,
    channels: u8,
    kernel: (u8, u8),
    anchor: (u8, u8),
    taps: Vec<i8>,
    divisor: u8,
    borders: (u8, u8),
    level: u8,
    dense: bool,
    threads: u8,
    gaps: (u8, u8),
    pixels: Vec<u8>,
}

const GUARD: u8 = 0xa5;

fn border(n: u8) -> Border {
    match n % 6 {
        0 => Border::Constant(vec![f64::from(n)]),
        1 => Border::Replicate,
        2 => Border::Reflect,
        3 => Border::Reflect101,
        4 => Border::Wrap,
        _ => Border::Valid,
    }
}

fn filter(case: &Case) -> Option<Filter> {
    let (width, height) = (1 + case.kernel.0 as usize % 12, 1 + case.kernel.1 as usize % 12);
    let divisor = f64::from(case.divisor.max(1));
    let taps = (0..width * height).map(|i| f64::from(at(&case.taps, i)) / divisor).collect();
    let anchor = (case.anchor.0 as usize % width, case.anchor.1 as usize % height);
    let kernel = Kernel::new(width, height, taps).ok()?.with_anchor(anchor.0, anchor.1).ok()?;
    let method = if case.dense { Method::Dense } else { Method::Auto };
    let mut filter = Filter::new(kernel)
        .borders(border(case.borders.0), border(case.borders.1))
        .method(method)
        .threads(1 + case.threads as usize % 3);
    if let Ok(level) = Level::named(Level::NAMES[case.level as usize % Level::NAMES.len()]) {
        filter = filter.level(level);
    }
    Some(filter)
}

fn at<T: Copy + Default>(values: &[T], i: usize) -> T {
    values.get(i % values.len().max(1)).copied().unwrap_or_default()
}

fuzz_target!(|case: Case| {
    let Some(filter) = filter(&case) else { return };
    let size = |n: u8| 1 + n as usize % 48;
    let shape = Shape::new(size(case.width), size(case.height), 1 + case.channels as usize % 5);
    let stride = shape.row() + case.gaps.0 as usize % 9;
    let source: Vec<u8> = (0..stride * shape.height).map(|i| at(&case.pixels, i)).collect();
    let source = View::with_stride(&source, shape, stride).expect("the source is large enough");
    let Ok(plan) = filter.plan::<u8, u8>(shape) else { return };
    let want: Image<u8> = reference::filter(&filter, source).expect("what is planned is defined");

    let out = plan.output_shape();
    let (before, gap) = (case.gaps.1 as usize % 70, case.gaps.0 as usize % 7);
    let stride = out.row() + gap;
    let used = stride * (out.height - 1) + out.row();
    let mut memory = vec![GUARD; before + used + 70];
    let view = ViewMut::with_stride(&mut memory[before..before + used], out, stride);
    let view = view.expect("the output is large enough");
    plan.run(source, view, &mut Workspace::new()).expect("what is planned runs");

    for (i, &v) in memory.iter().enumerate() {
        let inside = i.checked_sub(before).filter(|i| *i < used && i % stride < out.row());
        match inside {
            Some(i) => {
                let want = want.data()[i / stride * out.row() + i % stride];
                assert!(v.abs_diff(want) <= 1, "sample {i}: {v}, not {want}");
            }
            None => assert_eq!(v, GUARD, "written outside, at {i}"),
        }
    }
});
