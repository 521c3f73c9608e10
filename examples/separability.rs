//! What separability is, and what it buys: the numbers of the textbooks, the times beside them, and the products of which
//! kernels are made, as pictures. `docs/separability.md` tells the story; its tables are what this prints.
//!
//! ```text
//! cargo run --release --example separability [-- PICTURE.png]
//! ```
//!
//! With the name of a picture, that is drawn: each line a kernel, its first products, and what these leave.

use image::{Rgb, RgbImage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::error::Error;
use std::time::{Duration, Instant};
use twopass::{
    Chain, Conv2d, Depthwise, Filter, Image, Kernel, Method, Pointwise, SeparableConv, Separation,
    Shape, Workspace, naive,
};

fn main() -> Result<(), Box<dyn Error>> {
    ranks()?;
    for shape in [Shape::new(1920, 1080, 1), Shape::new(12, 12, 1)] {
        filters(shape)?;
    }
    boxes(Shape::new(1920, 1080, 1))?;
    layers(Shape::new(12, 12, 3), 5, 256)?;
    layers(Shape::new(224, 224, 3), 5, 256)?;
    layers(Shape::new(56, 56, 128), 3, 128)?;
    if let Some(path) = std::env::args().nth(1) {
        picture()?.save(&path)?;
        println!("drawn: {path}");
    }
    Ok(())
}

/// Kernels of rank 1, of rank 2, of a few, and of all.
fn kernels() -> Result<Vec<(&'static str, Kernel)>, twopass::Error> {
    let mut rng = StdRng::seed_from_u64(9);
    let noise = (0..81).map(|_| rng.random_range(-1.0..1.0)).collect();
    Ok(vec![
        ("sobel-x", Kernel::sobel_x()),
        ("gaussian, σ 2", Kernel::gaussian(2.0)?),
        ("laplacian", Kernel::laplacian()),
        ("unsharp, σ 2", Kernel::unsharp(2.0, 1.0)?),
        ("motion, 15 at 30°", Kernel::motion(15.0, 30.0)?),
        ("gabor, 5 at 30°", Kernel::gabor(5.0, 30.0)?),
        ("random, 9 × 9", Kernel::new(9, 9, noise)?),
    ])
}

/// What is left out after r products, as a share of the sum of all magnitudes.
fn ranks() -> Result<(), Box<dyn Error>> {
    println!("{:<18} {:>7} {:>5}  left out after 1, 2, 3 … products", "kernel", "taps", "rank");
    for (name, kernel) in kernels()? {
        let separation = Separation::of(&kernel);
        let size = format!("{}×{}", kernel.width(), kernel.height());
        print!("{name:<18} {size:>7} {:>5} ", separation.rank());
        for r in 1..=separation.rank().min(6) {
            let share = 100.0 * separation.residual(r) / kernel.abs_sum();
            if share < 1e-6 { print!("  nothing") } else { print!(" {share:6.2} %") }
        }
        println!();
    }
    println!();
    Ok(())
}

/// Milliseconds of a call: the fastest of those that a moment has room for, at least five.
fn time(mut call: impl FnMut() -> Result<(), twopass::Error>) -> Result<f64, twopass::Error> {
    let (begun, mut best) = (Instant::now(), f64::INFINITY);
    let mut calls = 0;
    while calls < 5 || begun.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        call()?;
        best = best.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    Ok(best * 1e3)
}

/// Milliseconds of a plan on an image of one value.
fn time_chain<S: twopass::Source>(chain: &Chain, shape: Shape) -> Result<f64, twopass::Error> {
    let plan = chain.clone().threads(1).plan::<S, S>(shape)?;
    let source = Image::from_vec(vec![S::from_f64(0.3 * S::FULL); shape.samples()?], shape)?;
    let mut out = Image::new(plan.output_shape())?;
    let mut workspace = Workspace::new();
    time(|| plan.run(source.view(), out.view_mut(), &mut workspace))
}

/// A Gaussian of K × K taps on `u8`, in plain loops, directly, and in two passes.
fn filters(shape: Shape) -> Result<(), Box<dyn Error>> {
    println!("Gaussian on {shape}, u8, one thread: multiplications per pixel and milliseconds");
    println!(
        "{:>5} {:>5} {:>12} {:>9} {:>5} {:>11}",
        "K", "K·K", "plain loops", "direct", "2·K", "two passes"
    );
    for size in [3, 5, 9, 15, 31] {
        let filter = Filter::new(Kernel::gaussian_of(size)?);
        let source = Image::from_vec(vec![77u8; shape.samples()?], shape)?;
        let mut out = Image::<u8>::new(shape)?;
        let plain = time(|| naive::filter(&filter, source.view(), out.view_mut()))?;
        let by = |method| time_chain::<u8>(&Chain::new(filter.clone().method(method)), shape);
        let (dense, two) = (by(Method::Dense)?, by(Method::Separable)?);
        let (square, double) = (size * size, 2 * size);
        println!("{size:>5} {square:>5} {plain:>12.4} {dense:>9.4} {double:>5} {two:>11.4}");
    }
    println!();
    Ok(())
}

/// A mean of K × K, whose sums run along with the window.
fn boxes(shape: Shape) -> Result<(), Box<dyn Error>> {
    println!("box on {shape}, u8, one thread: milliseconds");
    for size in [3, 15, 31, 101, 301] {
        let chain = Chain::new(Kernel::box_(size, size)?);
        println!("{size:>5} {:>9.3}", time_chain::<u8>(&chain, shape)?);
    }
    println!();
    Ok(())
}

/// An ordinary convolution, and the depthwise-separable one of the same window and output.
fn layers(input: Shape, size: usize, outputs: usize) -> Result<(), Box<dyn Error>> {
    let inputs = input.channels;
    let ordinary = Conv2d::from_keras(
        &vec![0.01; size * size * inputs * outputs],
        [size, size, inputs, outputs],
    )?;
    let depthwise =
        Depthwise::from_keras(&vec![0.04; size * size * inputs], [size, size, inputs, 1])?;
    let pointwise = Pointwise::from_keras(&vec![0.3; inputs * outputs], [1, 1, inputs, outputs])?;
    let between = depthwise.output_shape(input)?;
    let both = SeparableConv::new(depthwise.clone(), pointwise.clone())?;
    println!("{input}, {size}×{size} → {}, f32, one thread", both.output_shape(input)?);
    println!("{:<24} {:>16} {:>10}", "", "multiplications", "ms");
    let line = |name: &str, count: u64, ms: f64| println!("{name:<24} {count:>16} {ms:>10.4}");
    let one = time_chain::<f32>(&Chain::new(ordinary.clone()), input)?;
    line("ordinary", ordinary.multiplications(input)?, one);
    let first = time_chain::<f32>(&Chain::new(depthwise.clone()), input)?;
    line("depthwise", depthwise.multiplications(input)?, first);
    let second = time_chain::<f32>(&Chain::new(pointwise.clone()), between)?;
    line("pointwise", pointwise.multiplications(between)?, second);
    let count = both.multiplications(input)?;
    line("one after the other", count, first + second);
    let fused = time_chain::<f32>(&Chain::new(both.clone()), input)?;
    line("both, fused", count, fused);
    let fewer = ordinary.multiplications(input)? as f64 / count as f64;
    println!("{fewer:.1} times fewer multiplications, {:.1} times faster\n", one / fused);
    Ok(())
}

/// Pixels of a kernel's longer side, at most, and between pictures.
const SIDE: u32 = 160;
const GAP: u32 = 16;
/// Products of a kernel that are drawn.
const TERMS: usize = 3;

/// Each kernel beside its first products and what they leave, all in the kernel's own scale: red is above 0, blue below,
/// white 0.
fn picture() -> Result<RgbImage, Box<dyn Error>> {
    let kernels = kernels()?;
    let scale = |k: &Kernel| (SIDE / k.width().max(k.height()) as u32).max(1);
    let height: u32 = kernels.iter().map(|(_, k)| k.height() as u32 * scale(k) + GAP).sum();
    let columns = TERMS as u32 + 2;
    let mut sheet = RgbImage::from_pixel(columns * (SIDE + GAP) + GAP, height + GAP, Rgb([255; 3]));
    let mut top = GAP;
    for (_, kernel) in &kernels {
        let separation = Separation::of(kernel);
        let largest = kernel.taps().iter().fold(0.0f64, |most, t| most.max(t.abs()));
        let each = scale(kernel);
        let (width, height) = (kernel.width() as u32 * each, kernel.height() as u32 * each);
        let mut draw = |column: u32, taps: &[f64]| {
            let left = GAP + column * (SIDE + GAP) + (SIDE - width) / 2;
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                let tap = taps[(y / each) as usize * kernel.width() + (x / each) as usize];
                sheet.put_pixel(left + x, top + y, colour(tap / largest));
            }
        };
        draw(0, kernel.taps());
        let mut left = kernel.taps().to_vec();
        for (i, term) in separation.terms().iter().take(TERMS).enumerate() {
            let product = term.to_kernel()?;
            left.iter_mut().zip(product.taps()).for_each(|(left, t)| *left -= t);
            draw(1 + i as u32, product.taps());
        }
        draw(columns - 1, &left);
        top += height + GAP;
    }
    Ok(sheet)
}

/// Red for 1, blue for −1, white for 0, with small values lifted so that they can be seen.
fn colour(value: f64) -> Rgb<u8> {
    let strength = value.abs().min(1.0).sqrt();
    let fade = |full: f64| (255.0 + (full - 255.0) * strength).round() as u8;
    let full = if value < 0.0 { [33.0, 102.0, 172.0] } else { [178.0, 24.0, 43.0] };
    Rgb(full.map(fade))
}
