//! Arrays of the `ndarray` crate: (height, width, channels) is the order of a view, so that nothing is copied on the
//! way in, and nothing on the way out.
//!
//! ```text
//! cargo run --release --example arrays --features weights
//! ```
//!
//! The feature is here only because it brings `ndarray`.

use ndarray::Array3;
use std::error::Error;
use twopass::{Filter, Image, Kernel, Rect, Shape, View, Workspace};

/// An array in its usual order as a view of the same memory.
fn view(array: &Array3<f32>) -> Result<View<'_, f32>, Box<dyn Error>> {
    let (height, width, channels) = array.dim();
    let data = array
        .as_slice()
        .ok_or("the array is not in its usual order; as_standard_layout copies it")?;
    Ok(View::new(data, Shape::new(width, height, channels))?)
}

/// An image as an array, whose memory it becomes.
fn array(image: Image<f32>) -> Result<Array3<f32>, Box<dyn Error>> {
    let Shape { width, height, channels } = image.shape();
    Ok(Array3::from_shape_vec((height, width, channels), image.into_vec())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let wave =
        Array3::from_shape_fn((480, 640, 3), |(y, x, c)| ((x * (c + 1) + y) as f32 / 40.0).sin());
    // A slice of the first two axes is a crop of the view.
    let source = view(&wave)?.crop(Rect::new(100, 50, 320, 240))?;
    let plan = Filter::new(Kernel::gaussian(3.0)?).plan::<f32, f32>(source.shape())?;
    let mut out = Image::new(plan.output_shape())?;
    plan.run(source, out.view_mut(), &mut Workspace::new())?;
    let blurred = array(out)?;

    // In the middle a wave only gets flatter: by exp(-½ (σ/40)²) for one of 40 pixels to the radian.
    println!("{:?} → {:?}", wave.dim(), blurred.dim());
    for c in 0..3 {
        let (before, after) = (wave[[170, 260, c]], blurred[[120, 160, c]]);
        let (x, y) = (3.0 * (c + 1) as f32 / 40.0, 3.0f32 / 40.0);
        let expected = before * (-0.5 * (x * x + y * y)).exp();
        println!("channel {c}: {before:.4} became {after:.4}, expected {expected:.4}");
        if (after - expected).abs() > 2e-3 {
            return Err("the wave is not as flat as it should be".into());
        }
    }
    Ok(())
}
