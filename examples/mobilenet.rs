//! The body of MobileNetV1 (1.0, 224): 13 depthwise-separable blocks with seeded weights, as one
//! chain, timed, with its multiplications beside those of ordinary convolutions.
//!
//! ```text
//! cargo run --release --example mobilenet [-- THREADS]
//! ```

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Instant;
use twopass::{
    Activation, Chain, Depthwise, Error, Image, Layer, Padding, Pointwise, SeparableConv, Shape,
    Window, Workspace,
};

/// Channels in, channels out, stride.
const BLOCKS: [(usize, usize, usize); 13] = [
    (32, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 1024, 2),
    (1024, 1024, 1),
];
const RUNS: usize = 30;

fn block(
    (inputs, outputs, stride): (usize, usize, usize),
    rng: &mut StdRng,
) -> Result<SeparableConv, Error> {
    // Weights that keep the size of the values from block to block.
    let mut draw = |n: usize, size: f32| -> Vec<f32> {
        (0..n).map(|_| rng.random_range(-size..size)).collect()
    };
    let window = Window::new().stride(stride, stride).padding(Padding::Same);
    let depthwise = Depthwise::from_keras(&draw(9 * inputs, 0.8), [3, 3, inputs, 1])?
        .with_window(window)?
        .with_bias(&draw(inputs, 0.2))?
        .with_activation(Activation::Relu6);
    let size = (6.0 / inputs as f32).sqrt();
    let pointwise = Pointwise::from_keras(&draw(inputs * outputs, size), [1, 1, inputs, outputs])?
        .with_bias(&draw(outputs, 0.2))?
        .with_activation(Activation::Relu6);
    SeparableConv::new(depthwise, pointwise)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |arg| arg.parse())?;
    let mut rng = StdRng::seed_from_u64(224);
    let mut chain = Chain::new(block(BLOCKS[0], &mut rng)?);
    for sizes in &BLOCKS[1..] {
        chain = chain.then(block(*sizes, &mut rng)?)?;
    }
    let chain = chain.threads(threads);
    let input = Shape::new(112, 112, 32);

    println!("{:<22} {:>14} {:>16} {:>7}", "block", "separable", "ordinary", "ratio");
    let (mut shape, mut total) = (input, 0);
    for layer in chain.layers() {
        let Layer::Separable(block) = layer else { continue };
        let (ours, ordinary) =
            (block.multiplications(shape)?, block.ordinary_multiplications(shape)?);
        let output = block.output_shape(shape)?;
        let name = format!("{shape} → {output}");
        println!("{name:<22} {ours:>14} {ordinary:>16} {:>7.2}", ordinary as f64 / ours as f64);
        shape = output;
        total += ordinary;
    }
    let ours = chain.multiplications(input)?;
    println!("{:<22} {ours:>14} {total:>16} {:>7.2}", "all", total as f64 / ours as f64);

    let plan = chain.plan::<f32, f32>(input)?;
    let samples = (0..input.samples()?).map(|_| rng.random_range(0.0..6.0)).collect();
    let image = Image::from_vec(samples, input)?;
    let mut out = Image::new(plan.output_shape())?;
    let mut workspace = Workspace::new();
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        plan.run(image.view(), out.view_mut(), &mut workspace)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let mean = out.data().iter().map(|&v| f64::from(v)).sum::<f64>() / out.data().len() as f64;
    println!("\n{plan}\n");
    println!(
        "best of {RUNS}: {:.2} ms, {:.1} G multiplications a second (mean output {mean:.4})",
        best * 1e3,
        ours as f64 / best / 1e9
    );
    Ok(())
}
