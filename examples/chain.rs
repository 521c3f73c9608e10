//! Several steps as one plan: blur, grey (a mix of the channels), edges. Rows go from step to step while they lie in
//! the cache, nothing is rounded between them, and no picture is stored between them. It is exact, takes the least
//! memory, and here the least time, since grey comes first. Calls on 8 bits, which round each, may be faster for other steps.
//!
//! ```text
//! cargo run --release --example chain
//! ```

use std::error::Error;
use std::time::Instant;
use twopass::{Chain, Filter, Image, Kernel, Pointwise, View, Workspace};

/// Milliseconds of the fastest of some calls.
fn fastest(mut call: impl FnMut() -> Result<(), twopass::Error>) -> Result<f64, twopass::Error> {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        call()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn Error>> {
    let scene = image::open("assets/scene.png")?.into_rgb8();
    let source = View::try_from(&scene)?;
    let blur = Filter::new(Kernel::gaussian(2.0)?).threads(1);
    let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1])?;
    let sobel = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y())?.threads(1);

    let chain = Chain::new(blur.clone()).then(luma.clone())?.then(sobel.clone())?.threads(1);
    let plan = chain.plan::<u8, u8>(source.shape())?;
    println!("{plan}\n");
    let mut edges = Image::new(plan.output_shape())?;
    let mut workspace = Workspace::new();
    let together = fastest(|| plan.run(source, edges.view_mut(), &mut workspace))?;

    // The same as three calls, each with a picture as its result.
    let first = blur.plan::<u8, u8>(source.shape())?;
    let second = Chain::new(luma).threads(1).plan::<u8, u8>(first.output_shape())?;
    let third = sobel.plan::<u8, u8>(second.output_shape())?;
    let mut soft = Image::new(first.output_shape())?;
    let mut grey = Image::new(second.output_shape())?;
    let mut rounded = Image::<u8>::new(third.output_shape())?;
    let apart = fastest(|| {
        first.run(source, soft.view_mut(), &mut workspace)?;
        second.run(soft.view(), grey.view_mut(), &mut workspace)?;
        third.run(grey.view(), rounded.view_mut(), &mut workspace)
    })?;
    let most = edges.data().iter().zip(rounded.data()).map(|(a, b)| a.abs_diff(*b)).max();
    println!("one plan: {together:.2} ms; three calls: {apart:.2} ms");
    println!("rounding between the calls changed samples by up to {}", most.unwrap_or(0));

    let path = std::env::temp_dir().join("twopass-chain.png");
    let (width, height) = scene.dimensions();
    image::save_buffer(&path, edges.data(), width, height, image::ColorType::L8)?;
    println!("{}", path.display());
    Ok(())
}
