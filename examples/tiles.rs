//! A picture that is larger than memory, tile by tile: `input_region` says what part of the source a tile of the
//! output needs, `run_region` makes the tile of just that part. The bytes are those of the whole picture.
//!
//! ```text
//! cargo run --release --example tiles
//! ```

use std::error::Error;
use twopass::{Filter, Image, Kernel, Rect, Shape, Workspace};

const WHOLE: Shape = Shape::new(3000, 2000, 1);
const TILE: usize = 512;

/// Reads a part of the source, as one would from a file of tiles. Here it is a formula.
fn read(rect: Rect) -> Result<Image<u16>, twopass::Error> {
    let mut part = Image::new(Shape::new(rect.width, rect.height, 1))?;
    for (i, sample) in part.data_mut().iter_mut().enumerate() {
        let (x, y) = (rect.x + i % rect.width, rect.y + i / rect.width);
        *sample = ((x * x / 7 + y * 31) % 65_536) as u16;
    }
    Ok(part)
}

fn main() -> Result<(), Box<dyn Error>> {
    let plan = Filter::new(Kernel::gaussian(6.0)?).plan::<u16, u16>(WHOLE)?;
    let mut workspace = Workspace::new();
    let mut tiled = Image::new(plan.output_shape())?;
    let (mut tiles, mut pixels, mut largest) = (0, 0, 0);
    for y in (0..WHOLE.height).step_by(TILE) {
        for x in (0..WHOLE.width).step_by(TILE) {
            let (width, height) = (TILE.min(WHOLE.width - x), TILE.min(WHOLE.height - y));
            let rect = Rect::new(x, y, width, height);
            // The tile and a margin of the kernel's reach, cut off at the picture's edges.
            let needed = plan.input_region(rect)?;
            let part = read(needed)?;
            // A tile of the result, which might be written to a file at once.
            let place = tiled.view_mut().crop(rect)?;
            plan.run_region(part.view(), (needed.x, needed.y), rect, place, &mut workspace)?;
            tiles += 1;
            pixels += needed.width * needed.height;
            largest = largest.max(needed.width * needed.height);
        }
    }
    println!("{tiles} tiles of {TILE}×{TILE} of a picture of {WHOLE}");
    println!(
        "read: {:.3} of the picture, at most {largest} pixels at once",
        pixels as f64 / (WHOLE.width * WHOLE.height) as f64
    );

    let mut whole = Image::new(plan.output_shape())?;
    plan.run(read(WHOLE.rect())?.view(), whole.view_mut(), &mut workspace)?;
    println!("the same bytes as of the whole picture: {}", tiled == whole);
    if tiled != whole {
        return Err("tiles differ".into());
    }
    Ok(())
}
