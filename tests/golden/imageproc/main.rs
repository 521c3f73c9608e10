//! Makes the golden values of `--compat imageproc`: what imageproc gives for the image of tools.json.
//!
//!     cargo run --manifest-path tests/golden/imageproc/Cargo.toml
//!
//! writes tests/golden/imageproc.json: cases of flags and results, as in tools.json. imageproc filters
//! the image in float, from 0 to 255 and from 0 to 1, since its results for integers are cut off after
//! each axis (of boxes too, which are for integers only: they are up to 1.6 off).

use image::{ImageBuffer, Luma};
use imageproc::filter::{filter_clamped, gaussian_blur_f32};
use imageproc::kernel::Kernel;
use serde_json::{Value, json};

fn main() {
    let golden: Value = serde_json::from_str(include_str!("../tools.json")).unwrap();
    let number = |v: &Value| v.as_u64().unwrap() as u32;
    let (width, height) = (number(&golden["width"]), number(&golden["height"]));
    let samples: Vec<f32> =
        golden["image"].as_array().unwrap().iter().map(|v| number(v) as f32).collect();
    let picture = |full: f32| {
        let samples = samples.iter().map(|v| v / full).collect();
        ImageBuffer::<Luma<f32>, Vec<f32>>::from_raw(width, height, samples).unwrap()
    };
    let case = |depth: &str, flags: &[&str], result: &[f32]| {
        let result: Vec<_> = result.iter().map(|v| (f64::from(*v) * 1e7).round() / 1e7).collect();
        json!({ "depth": depth, "flags": flags, "result": result })
    };
    let mut cases = Vec::new();
    for sigma in ["0.3", "0.5", "0.8", "1.0", "1.5", "2.0", "3.3"] {
        let flags = ["-k", "gaussian", "--sigma", sigma];
        for (depth, full) in [("8", 1.0), ("f32", 255.0)] {
            let result = gaussian_blur_f32(&picture(full), sigma.parse().unwrap());
            cases.push(case(depth, &flags, result.as_raw()));
        }
    }
    let grey = ImageBuffer::<Luma<u8>, _>::from_raw(
        width,
        height,
        samples.iter().map(|v| *v as u8).collect::<Vec<_>>(),
    );
    let grey = grey.unwrap();
    let taps: Vec<i16> = (1..16).collect();
    let result: ImageBuffer<Luma<i16>, _> = filter_clamped(&grey, Kernel::new(&taps, 5, 3));
    let text = "1 2 3 4 5; 6 7 8 9 10; 11 12 13 14 15";
    let result: Vec<_> = result.as_raw().iter().map(|v| f32::from(*v) / 120.0).collect();
    cases.push(case("8", &["-k", text, "--scale", "0.008333333333333333"], &result));
    let text = json!({ "imageproc": cases }).to_string().replace("{\"depth\"", "\n{\"depth\"");
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../imageproc.json"), text + "\n").unwrap();
}
