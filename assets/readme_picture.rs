//! Draws `filters.png`, the picture at the head of the README: a piece of `assets/scene.png` and what four filters
//! make of it.
//!
//!     cargo run --release --example readme_picture

#![allow(missing_docs)]

use image::{DynamicImage, GenericImage, RgbImage, imageops};
use twopass::{Filter, Kernel};

/// The piece, and the gap between pictures.
const PIECE: (u32, u32, u32, u32) = (420, 40, 400, 260);
const GAP: u32 = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scene = image::open("assets/scene.png")?.to_rgb8();
    let filters = [
        Filter::new(Kernel::identity()),
        Filter::new(Kernel::gaussian(3.0)?),
        Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y())?,
        Filter::new(Kernel::emboss()),
    ];
    let (x, y, width, height) = PIECE;
    let mut sheet = RgbImage::from_pixel(2 * width + GAP, 2 * height + GAP, [255; 3].into());
    for (i, filter) in filters.iter().enumerate() {
        let filtered = filter.apply(&DynamicImage::from(scene.clone()))?.to_rgb8();
        let piece = imageops::crop_imm(&filtered, x, y, width, height).to_image();
        let (column, row) = (i as u32 % 2, i as u32 / 2);
        sheet.copy_from(&piece, column * (width + GAP), row * (height + GAP))?;
    }
    let file = std::io::BufWriter::new(std::fs::File::create("assets/filters.png")?);
    let best = image::codecs::png::CompressionType::Best;
    let adaptive = image::codecs::png::FilterType::Adaptive;
    let encoder = image::codecs::png::PngEncoder::new_with_quality(file, best, adaptive);
    sheet.write_with_encoder(encoder)?;
    Ok(())
}
