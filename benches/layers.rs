//! The passes of the layers, on one thread: depthwise, pointwise, both fused, the ordinary
//! convolution with the same window and output, and colour matrices.
//!
//! Ids read `op/size/sample/channels/level`, with channels as `in-out` where they differ;
//! throughput is in multiplications. Every bench compares its result with the reference before
//! it is timed. In test mode (`cargo bench -- --test`) images are small.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use twopass::{
    Chain, Conv2d, Depthwise, Error, Image, Layer, Level, Padding, Pointwise, SampleType, Shape,
    Source, Window, Workspace, reference,
};

/// Width and height, channels in and out, side of the kernel, stride.
const SHAPES: [(usize, usize, usize, usize, usize); 6] = [
    (224, 3, 64, 5, 1),
    (112, 32, 64, 3, 1),
    (56, 128, 128, 3, 1),
    (28, 256, 256, 3, 1),
    (7, 1024, 1024, 3, 1),
    (224, 3, 32, 3, 2),
];

/// Whether this is a measurement: `cargo bench` passes `--bench`; without it, or with `--test`,
/// criterion only tries.
fn measured() -> bool {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    has("--bench") && !has("--test")
}

fn draw(n: usize, rng: &mut StdRng) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// The layers of a shape, by name.
fn layers(
    (_, inputs, outputs, side, stride): (usize, usize, usize, usize, usize),
) -> Result<Vec<(&'static str, Vec<Layer>)>, Error> {
    let mut rng = StdRng::seed_from_u64(1);
    let window = Window::new().stride(stride, stride).padding(Padding::Same);
    let taps = side * side;
    let depthwise = Depthwise::from_keras(&draw(taps * inputs, &mut rng), [side, side, inputs, 1])?
        .with_window(window.clone())?
        .with_bias(&draw(inputs, &mut rng))?;
    let matrix = draw(inputs * outputs, &mut rng);
    let pointwise = Pointwise::from_keras(&matrix, [1, 1, inputs, outputs])?
        .with_bias(&draw(outputs, &mut rng))?;
    let weights = draw(taps * inputs * outputs, &mut rng);
    let ordinary =
        Conv2d::from_keras(&weights, [side, side, inputs, outputs])?.with_window(window)?;
    Ok(vec![
        ("depthwise", vec![depthwise.clone().into()]),
        ("pointwise", vec![pointwise.clone().into()]),
        ("separable", vec![depthwise.into(), pointwise.into()]),
        ("conv2d", vec![ordinary.into()]),
    ])
}

fn image<S: Source>(shape: Shape) -> Image<S> {
    let mut rng = StdRng::seed_from_u64(2);
    let mut image = Image::new(shape).expect("a shape that fits");
    for y in 0..shape.height {
        for sample in image.view_mut().row_mut(y) {
            *sample = S::from_f64(rng.random_range(0.0..1.0) * S::FULL);
        }
    }
    image
}

/// Checks a chain once, if it is chosen at all, then times it.
fn bench<S: Source>(c: &mut Criterion, op: &str, size: usize, chain: Chain, source: &Image<S>) {
    let shape = source.shape();
    let plan = chain.threads(1).plan::<S, S>(shape).expect("a chain that can be planned");
    let output = plan.output_shape();
    let channels = if shape.channels == output.channels {
        shape.channels.to_string()
    } else {
        format!("{}-{}", shape.channels, output.channels)
    };
    let id = format!("{size}x{size}/{}/{channels}/{}", S::TYPE, plan.level());
    let name = format!("{op}/{id}");
    let mut out = Image::<S>::new(output).expect("a shape that fits");
    let mut workspace = Workspace::new();
    let mut checked = false;
    let mut group = c.benchmark_group(op);
    group.throughput(Throughput::Elements(plan.multiplications()));
    group.bench_function(BenchmarkId::from_parameter(id), |b| {
        let mut run = || plan.run(source.view(), out.view_mut(), &mut workspace);
        if !checked {
            run().expect("shapes that agree");
            let exact = reference::layer::chain(plan.chain(), source.view()).expect("a chain");
            let scale = exact.iter().fold(1.0f64, |most, v| most.max(v.abs()));
            let most = if S::TYPE == SampleType::F32 { 1e-5 * scale } else { 1.0 };
            for (&found, &exact) in out.data().iter().zip(&exact) {
                let exact =
                    if S::TYPE == SampleType::F32 { exact } else { S::from_f64(exact).to_f64() };
                let error = (found.to_f64() - exact).abs();
                assert!(error <= most, "{name}: {found:?} instead of {exact}");
            }
            checked = true;
        }
        let mut run = || plan.run(source.view(), out.view_mut(), &mut workspace);
        b.iter(&mut run);
    });
    group.finish();
}

fn networks(c: &mut Criterion) {
    for shape in SHAPES {
        let (size, inputs, _, side, stride) = shape;
        let size = if measured() { size } else { size.min(9) };
        for (op, layers) in layers(shape).expect("weights that fit") {
            // A pointwise layer reads what the depthwise one writes.
            let (size, side) = match op {
                "pointwise" => (size.div_ceil(stride), 1),
                _ => (size, side),
            };
            let source = image::<f32>(Shape::new(size, size, inputs));
            for level in Level::available() {
                let mut own = layers.iter().cloned();
                let first = Chain::new(own.next().expect("at least one")).level(level);
                let chain = own.try_fold(first, Chain::then).expect("layers that fit");
                bench(c, op, side, chain, &source);
            }
        }
    }
}

fn colours(c: &mut Criterion) {
    let shape = |channels| {
        if measured() { Shape::new(1920, 1080, channels) } else { Shape::new(61, 37, channels) }
    };
    let mut rng = StdRng::seed_from_u64(3);
    for (inputs, outputs) in [(3, 1), (3, 3), (4, 4)] {
        let matrix = draw(inputs * outputs, &mut rng);
        for level in Level::available() {
            let layer = Pointwise::from_keras(&matrix, [1, 1, inputs, outputs]);
            let chain = Chain::new(layer.expect("weights that fit")).level(level);
            bench(c, "colour", 1, chain.clone(), &image::<u8>(shape(inputs)));
            bench(c, "colour", 1, chain.clone(), &image::<u16>(shape(inputs)));
            bench(c, "colour", 1, chain, &image::<f32>(shape(inputs)));
        }
    }
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
    targets = networks, colours
}
criterion_main!(benches);
