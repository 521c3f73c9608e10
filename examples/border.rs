//! A border that the crate does not have: the picture is padded by hand, then filtered with border `Valid`, which
//! reads nothing outside. Here the picture's edge fades to the mean colour of the picture.
//!
//! ```text
//! cargo run --release --example border
//! ```

use std::error::Error;
use twopass::{Border, Filter, Image, Kernel, Rect, Shape, View, Workspace};

/// The picture with `reach` more pixels on each side, in which its edge fades to `towards`.
fn padded(
    picture: View<'_, u8>,
    reach: usize,
    towards: &[u8],
) -> Result<Image<u8>, twopass::Error> {
    let Shape { width, height, channels } = picture.shape();
    let mut out = Image::new(Shape::new(width + 2 * reach, height + 2 * reach, channels))?;
    out.view_mut().crop(Rect::new(reach, reach, width, height))?.copy_from(&picture)?;
    // How far a position is outside, and the pixel of the edge beside it.
    let outside = |at: usize, len: usize| {
        let inside = at.clamp(reach, reach + len - 1);
        (at.abs_diff(inside), inside - reach)
    };
    for y in 0..out.shape().height {
        let (above, from_y) = outside(y, height);
        let row = out.view_mut();
        let mut row = row.crop(Rect::new(0, y, width + 2 * reach, 1))?;
        for (x, pixel) in row.row_mut(0).chunks_exact_mut(channels).enumerate() {
            let (beside, from_x) = outside(x, width);
            let far = above.max(beside);
            if far == 0 {
                continue;
            }
            let edge = &picture.row(from_y)[from_x * channels..][..channels];
            for ((sample, &edge), &mean) in pixel.iter_mut().zip(edge).zip(towards) {
                let (near, far) = (reach + 1 - far, far);
                let sum = usize::from(edge) * near + usize::from(mean) * far;
                *sample = (sum / (reach + 1)) as u8;
            }
        }
    }
    Ok(out)
}

fn main() -> Result<(), Box<dyn Error>> {
    let scene = image::open("assets/scene.png")?.into_rgb8();
    let picture = View::try_from(&scene)?;
    let mut sums = [0u64; 3];
    for pixel in scene.pixels() {
        sums.iter_mut().zip(pixel.0).for_each(|(sum, v)| *sum += u64::from(v));
    }
    let count = u64::from(scene.width()) * u64::from(scene.height());
    let mean = sums.map(|sum| (sum / count) as u8);

    let kernel = Kernel::gaussian(12.0)?;
    let source = padded(picture, kernel.width() / 2, &mean)?;
    let filter = Filter::new(kernel);
    let plan = filter.clone().border(Border::Valid).plan::<u8, u8>(source.shape())?;
    let mut out = Image::new(plan.output_shape())?;
    plan.run(source.view(), out.view_mut(), &mut Workspace::new())?;
    assert_eq!(out.shape(), picture.shape());

    let usual: Image<u8> = filter.apply_to(&scene.clone().into())?;
    let corner = |image: &Image<u8>| image.data()[..3].to_vec();
    println!("mean colour {mean:?}");
    println!("top left, usual border {:?}, this one {:?}", corner(&usual), corner(&out));
    let middle = (400 * 1200 + 600) * 3;
    println!("the middle is the same: {}", usual.data()[middle] == out.data()[middle]);
    let path = std::env::temp_dir().join("twopass-border.png");
    let Shape { width, height, .. } = out.shape();
    image::save_buffer(&path, out.data(), width as u32, height as u32, image::ColorType::Rgb8)?;
    println!("{}", path.display());
    Ok(())
}
