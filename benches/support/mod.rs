//! What the benches share: sources, the comparison with the reference, and how long to measure.

// Each bench uses a part of this.
#![allow(dead_code)]

use criterion::{BenchmarkId, Criterion, Throughput};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use twopass::{
    Error, Filter, Image, Kernel, KernelParams, NamedKernel, Rect, Sample, SampleType, Shape,
    ViewMut,
};

/// Whether this is a measurement: `cargo bench` passes `--bench`; without it, or with `--test`,
/// criterion only tries.
pub fn measured() -> bool {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    has("--bench") && !has("--test")
}

/// 1080p, or small in test mode.
pub fn picture_shape(channels: usize) -> Shape {
    if measured() { Shape::new(1920, 1080, channels) } else { Shape::new(61, 37, channels) }
}

/// How many pixels.
pub fn pixels(shape: Shape) -> u64 {
    (shape.width * shape.height) as u64
}

/// Waves and noise, over most of the range.
pub fn picture<S: Sample>(shape: Shape) -> Image<S> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut image = Image::new(shape).expect("a shape that fits");
    for y in 0..shape.height {
        for (x, sample) in image.view_mut().row_mut(y).iter_mut().enumerate() {
            let wave = (x as f64 * 0.013).sin() * (y as f64 * 0.021).cos();
            let value = 0.5 + 0.35 * wave + rng.random_range(-0.15..0.15);
            *sample = S::from_f64(value * S::FULL);
        }
    }
    image
}

/// Compares corners, edges and the middle with what is exact for a rectangle: within 1, or within
/// 10⁻⁵ of the largest value.
pub fn check<O: Sample>(id: &str, out: &Image<O>, exact: impl Fn(Rect) -> Result<Vec<f64>, Error>) {
    let shape = out.shape();
    let (width, height) = (shape.width.min(16), shape.height.min(4));
    for x in [0, (shape.width - width) / 2, shape.width - width] {
        for y in [0, (shape.height - height) / 2, shape.height - height] {
            let rect = Rect::new(x, y, width, height);
            let exact = exact(rect).expect("a rectangle inside");
            let crop = out.view().crop(rect).expect("a rectangle inside");
            let found = (0..height).flat_map(|y| crop.row(y));
            let largest = exact.iter().fold(1.0f64, |most, v| most.max(v.abs()));
            let most = if O::TYPE == SampleType::F32 { 1e-5 * largest } else { 1.0 };
            for (&found, &exact) in found.zip(&exact) {
                let error = (found.to_f64() - O::from_f64(exact).to_f64()).abs();
                assert!(error <= most, "{id}, {rect}: {found:?} instead of {exact}");
            }
        }
    }
}

/// Checks `run` once, if the bench `id` is chosen at all, then times it.
pub fn bench<O: Sample>(
    c: &mut Criterion,
    id: &str,
    throughput: u64,
    output: Shape,
    mut run: impl FnMut(ViewMut<'_, O>) -> Result<(), Error>,
    exact: impl Fn(Rect) -> Result<Vec<f64>, Error>,
) {
    let (op, rest) = id.split_once('/').expect("op/size/sample/channels/level");
    let mut out = Image::new(output).expect("a shape that fits");
    let mut checked = false;
    let mut group = c.benchmark_group(op);
    group.throughput(Throughput::Elements(throughput));
    group.bench_function(BenchmarkId::from_parameter(rest), |b| {
        if !checked {
            run(out.view_mut()).expect("shapes that agree");
            check(id, &out, &exact);
            checked = true;
        }
        b.iter(|| run(out.view_mut()));
    });
    group.finish();
}

/// Half a second for each bench.
pub fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .without_plots()
}

/// A filter of a kernel from the table, or the magnitude of two; size 0 is its own.
pub fn named(name: &str, size: usize) -> Filter {
    let size = Some(size).filter(|&size| size > 0);
    let kernel = NamedKernel::find(name).expect("a name of the table");
    let kernels = kernel.kernels(&KernelParams { size, ..Default::default() });
    match kernels.expect("a size that it has").as_slice() {
        [x, y] => Filter::magnitude(x, y).expect("small kernels"),
        kernels => Filter::new(kernels[0].clone()),
    }
}

/// Whole taps that are no product. Of 25 above 2 their sums need more than 16 bits, from 40 on those of 16-bit
/// samples more than `f32` has.
pub fn whole(size: usize, most: i32) -> Kernel {
    let mut rng = StdRng::seed_from_u64(5);
    let taps = (0..size * size).map(|_| f64::from(rng.random_range(-most..=most)));
    Kernel::new(size, size, taps.collect()).expect("a small finite kernel")
}
