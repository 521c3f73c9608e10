//! The passes of the layers, on one thread: depthwise, pointwise, both fused, the ordinary
//! convolution with the same window and output.
//!
//! Ids read `op/size/sample/channels/level`, with channels as `in-out` where they differ;
//! throughput is in multiplications. Every bench compares its result with the reference before
//! it is timed. In test mode (`cargo test --benches`) images are small.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{measured, quick};
use twopass::{
    Chain, Conv2d, Depthwise, Error, Image, Layer, Level, Padding, Pointwise, Shape, ViewMut,
    Window, Workspace, reference,
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

fn image(shape: Shape) -> Image<f32> {
    let mut rng = StdRng::seed_from_u64(2);
    let mut image = Image::new(shape).expect("a shape that fits");
    for y in 0..shape.height {
        for sample in image.view_mut().row_mut(y) {
            *sample = rng.random_range(0.0..1.0);
        }
    }
    image
}

/// Times a chain.
fn bench(c: &mut Criterion, op: &str, size: usize, chain: Chain, source: &Image<f32>) {
    let shape = source.shape();
    let plan = chain.threads(1).plan::<f32, f32>(shape).expect("a chain that can be planned");
    let output = plan.output_shape();
    let channels = if shape.channels == output.channels {
        shape.channels.to_string()
    } else {
        format!("{}-{}", shape.channels, output.channels)
    };
    let id = format!("{op}/{size}x{size}/f32/{channels}/{}", plan.level());
    let mut workspace = Workspace::new();
    let run = |out: ViewMut<'_, f32>| plan.run(source.view(), out, &mut workspace);
    support::bench(c, &id, plan.multiplications(), output, run, |rect| {
        reference::layer::region(plan.chain(), shape, source.view(), (0, 0), rect)
    });
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
            let source = image(Shape::new(size, size, inputs));
            for level in Level::available() {
                let mut own = layers.iter().cloned();
                let first = Chain::new(own.next().expect("at least one")).level(level);
                let chain = own.try_fold(first, Chain::then).expect("layers that fit");
                bench(c, op, side, chain, &source);
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = quick();
    targets = networks
}
criterion_main!(benches);
