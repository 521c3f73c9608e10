//! What separability buys: the same blur in two passes, in one dense pass, and in plain 2D loops,
//! by kernel size, sample type and channels, at 1080p on one thread.
//!
//! Ids read `op/size/sample/channels/level`; throughput is in pixels. Every bench compares its
//! result with the reference before it is timed. In test mode (`cargo bench -- --test`) images
//! are small.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use twopass::{
    Border, Error, Filter, Image, Kernel, Level, Method, Rect, Sample, SampleType, Shape, Source,
    ViewMut, Workspace, naive, reference,
};

const SIZES: [usize; 5] = [3, 5, 9, 15, 31];
const CHANNELS: [usize; 3] = [1, 3, 4];
/// Plain loops on larger kernels take seconds and tell nothing new.
const NAIVE_LIMIT: usize = 15;

fn shape_of(channels: usize) -> Shape {
    // `cargo bench` passes `--bench`; without it, or with `--test`, criterion only tries.
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    if has("--bench") && !has("--test") {
        Shape::new(1920, 1080, channels)
    } else {
        Shape::new(61, 37, channels)
    }
}

/// A Gaussian of `size` taps, sum 1, as its factors.
fn blur(size: usize) -> Kernel {
    let sigma = 0.3 * ((size as f64 - 1.0) * 0.5 - 1.0) + 0.8;
    let centre = (size / 2) as f64;
    let bell = (0..size).map(|i| (-((i as f64 - centre) / sigma).powi(2) / 2.0).exp());
    let sum: f64 = bell.clone().sum();
    let taps: Vec<f64> = bell.map(|t| t / sum).collect();
    Kernel::separable(&taps, &taps).expect("a small finite kernel")
}

/// Waves and noise, over most of the range.
fn picture<S: Sample>(shape: Shape) -> Image<S> {
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

/// Compares corners, edges and the middle with the reference.
fn check<S: Source>(filter: &Filter, source: &Image<S>, out: &Image<S>, id: &str) {
    let shape = out.shape();
    let (width, height) = (shape.width.min(16), shape.height.min(4));
    for x in [0, (shape.width - width) / 2, shape.width - width] {
        for y in [0, (shape.height - height) / 2, shape.height - height] {
            let rect = Rect::new(x, y, width, height);
            let exact = reference::region(filter, shape, source.view(), (0, 0), rect);
            let exact = exact.expect("a rectangle inside");
            let crop = out.view().crop(rect).expect("a rectangle inside");
            let found = (0..height).flat_map(|y| crop.row(y));
            let most = if S::TYPE == SampleType::F32 { 1e-5 } else { 1.0 };
            for (&found, &exact) in found.zip(&exact) {
                let error = (found.to_f64() - S::from_f64(exact).to_f64()).abs();
                assert!(error <= most, "{id}, {rect}: {found:?} instead of {exact}");
            }
        }
    }
}

/// Checks `run` once, if this bench is chosen at all, then times it.
fn bench<S: Source>(
    c: &mut Criterion,
    op: &str,
    level: &str,
    filter: &Filter,
    source: &Image<S>,
    mut run: impl FnMut(ViewMut<'_, S>) -> Result<(), Error>,
) {
    let (shape, size) = (source.shape(), filter.kernels()[0].width());
    let id = format!("{size}x{size}/{}/{}/{level}", S::TYPE, shape.channels);
    let mut out = Image::new(shape).expect("a shape that fits");
    let name = format!("{op}/{id}");
    let mut checked = false;
    let mut group = c.benchmark_group(op);
    group.throughput(Throughput::Elements((shape.width * shape.height) as u64));
    group.bench_function(BenchmarkId::from_parameter(id), |b| {
        if !checked {
            run(out.view_mut()).expect("a filter that can run");
            check(filter, source, &out, &name);
            checked = true;
        }
        b.iter(|| run(out.view_mut()));
    });
    group.finish();
}

fn engine<S: Source>(
    c: &mut Criterion,
    method: Method,
    level: Level,
    filter: &Filter,
    source: &Image<S>,
) {
    let filter = filter.clone().method(method).level(level).threads(1);
    let plan = filter.plan::<S, S>(source.shape()).expect("a filter that can be planned");
    let mut workspace = Workspace::new();
    bench(c, &method.to_string(), level.name(), &filter, source, |out| {
        plan.run(source.view(), out, &mut workspace)
    });
}

fn sample<S: Source>(c: &mut Criterion) {
    for channels in CHANNELS {
        let source = picture::<S>(shape_of(channels));
        for size in SIZES {
            let filter = Filter::new(blur(size)).border(Border::Reflect101);
            for level in Level::available() {
                engine(c, Method::Separable, level, &filter, &source);
            }
            engine(c, Method::Dense, Level::detect(), &filter, &source);
            if size <= NAIVE_LIMIT {
                bench(c, "naive", "plain", &filter, &source, |out| {
                    naive::filter(&filter, source.view(), out)
                });
            }
        }
    }
}

fn all(c: &mut Criterion) {
    sample::<u8>(c);
    sample::<u16>(c);
    sample::<f32>(c);
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .without_plots()
}

criterion_group! {
    name = benches;
    config = quick();
    targets = all
}
criterion_main!(benches);
