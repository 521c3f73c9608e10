//! A stream of frames from a camera: planned once, run for each frame, into memory that is used again and on a
//! thread pool of one's own, so that the rest of the program keeps the other cores.
//!
//! ```text
//! cargo run --release --example camera [-- FRAMES THREADS]
//! ```
//!
//! The camera hands out rows that are padded to a multiple of 64 bytes, as drivers do; a view takes them as they lie.

use std::time::Instant;
use twopass::{Filter, Image, Kernel, Shape, View, Workspace};

const SHAPE: Shape = Shape::new(1920, 1080, 3);
/// Bytes from one row to the next.
const STRIDE: usize = SHAPE.row().next_multiple_of(64) + 64;

/// What the driver would fill: a bar that moves over noise.
fn capture(memory: &mut [u8], frame: usize) {
    let mut noise = frame as u32 + 1;
    for (y, row) in memory.chunks_mut(STRIDE).enumerate() {
        for (x, sample) in row.iter_mut().take(SHAPE.row()).enumerate() {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bar = (x / 3 + y + 16 * frame) % 480 < 60;
            *sample = if bar { 220 } else { 40 + (noise >> 27) as u8 };
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let frames: usize = arguments.next().map_or(Ok(30), |n| n.parse())?;
    let threads: usize = arguments.next().map_or(Ok(1), |n| n.parse())?;

    // The pool is the caller's; a run uses the one that it is called from.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let filter = Filter::new(Kernel::gaussian(2.0)?);
    let plan = pool.install(|| filter.plan::<u8, u8>(SHAPE))?;

    let mut memory = vec![0; STRIDE * SHAPE.height];
    let mut out = Image::new(plan.output_shape())?;
    let mut workspace = Workspace::new();
    let mut times = Vec::new();
    for frame in 0..frames {
        capture(&mut memory, frame);
        let source = View::with_stride(&memory, SHAPE, STRIDE)?;
        let start = Instant::now();
        // From the second frame on nothing is allocated.
        pool.install(|| plan.run(source, out.view_mut(), &mut workspace))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let first = times.first().copied().unwrap_or_default();
    times.sort_by(f64::total_cmp);
    println!("{frames} frames of {SHAPE} on {threads} thread(s)");
    println!("first frame {first:.2} ms, median {:.2} ms", times.get(frames / 2).unwrap_or(&first));
    println!("middle of the last one: {:?}", &out.view().row(540)[2880..2886]);
    Ok(())
}
