//! Golden values: what SciPy and OpenCV make of small images, in `f64` or exact integers.
//! `golden/generate.py` made them; `golden/requirements.txt` pins the versions.

mod common;

use common::check_levels_with;
use serde_json::Value;
use twopass::{Border, Filter, Image, Kernel, Sample, Shape, reference};

struct Golden {
    name: String,
    image: Vec<f64>,
    shape: Shape,
    filter: Filter,
    constant: f64,
    result: Vec<f64>,
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn border(name: &Value, constant: f64) -> Border {
    match name.as_str().unwrap() {
        "constant" => Border::Constant(vec![constant]),
        "replicate" => Border::Replicate,
        "reflect" => Border::Reflect,
        "reflect101" => Border::Reflect101,
        "wrap" => Border::Wrap,
        other => panic!("no border {other}"),
    }
}

fn read(text: &str) -> Vec<Golden> {
    let file: Value = serde_json::from_str(text).unwrap();
    let case = |(i, case): (usize, &Value)| {
        let size = |name: &str| case[name].as_u64().unwrap() as usize;
        let kernel = match case.get("column") {
            Some(column) => Kernel::separable(&numbers(column), &numbers(&case["row"])),
            None => {
                Kernel::new(size("kernel_width"), size("kernel_height"), numbers(&case["taps"]))
            }
        };
        let anchor = |i: usize| case["anchor"][i].as_u64().unwrap() as usize;
        let kernel = kernel.unwrap().with_anchor(anchor(0), anchor(1)).unwrap();
        let constant = case["constant"].as_f64().unwrap();
        let border = |i: usize| border(&case["borders"][i], constant);
        Golden {
            name: format!("case {i}, {}", case["name"].as_str().unwrap()),
            image: numbers(&case["image"]),
            shape: Shape::new(size("width"), size("height"), 1),
            filter: Filter::new(kernel)
                .borders(border(0), border(1))
                .scale(case["scale"].as_f64().unwrap()),
            constant,
            result: numbers(&case["result"]),
        }
    };
    file["cases"].as_array().unwrap().iter().enumerate().map(case).collect()
}

fn cases() -> Vec<Golden> {
    let mut cases = read(include_str!("golden/scipy.json"));
    cases.extend(read(include_str!("golden/opencv.json")));
    cases
}

impl Golden {
    /// The image with every value times `factor`.
    fn image<S: Sample>(&self, factor: f64) -> Image<S> {
        let samples = self.image.iter().map(|v| S::from_f64(v * factor));
        Image::from_vec(samples.collect(), self.shape).unwrap()
    }

    /// The filter for such an image.
    fn filter(&self, factor: f64) -> Filter {
        let scaled = |border: &Border| match border {
            Border::Constant(_) => Border::Constant(vec![self.constant * factor]),
            other => other.clone(),
        };
        let (x, y) = self.filter.get_borders();
        self.filter.clone().borders(scaled(x), scaled(y))
    }

    fn result(&self, factor: f64) -> Vec<f64> {
        self.result.iter().map(|v| v * factor).collect()
    }
}

#[test]
fn the_reference_agrees() {
    for golden in cases() {
        let source = golden.image::<u8>(1.0);
        let rect = golden.shape.rect();
        let exact = reference::region(&golden.filter, golden.shape, source.view(), (0, 0), rect);
        let kernel = &golden.filter.kernels()[0];
        let most = kernel.abs_sum() * golden.filter.get_scale() * 255.0 * 1e-14;
        for (i, (e, g)) in exact.unwrap().iter().zip(&golden.result).enumerate() {
            assert!((e - g).abs() <= most, "{}, sample {i}: {e} instead of {g}", golden.name);
        }
    }
}

#[test]
fn every_level_agrees() {
    for golden in cases() {
        let check = |result: Result<(), String>| {
            result.unwrap_or_else(|e| panic!("{}: {e}", golden.name));
        };
        let (filter, exact) = (golden.filter(1.0), golden.result(1.0));
        let bytes = golden.image::<u8>(1.0);
        check(check_levels_with::<u8, u8>(&filter, bytes.view(), &exact).map(drop));
        check(check_levels_with::<u8, i16>(&filter, bytes.view(), &exact).map(drop));
        check(check_levels_with::<u8, f32>(&filter, bytes.view(), &exact).map(drop));
        let floats = golden.image::<f32>(1.0);
        check(check_levels_with::<f32, f32>(&filter, floats.view(), &exact).map(drop));
        // 0..=255 to 0..=65535.
        let (filter, exact) = (golden.filter(257.0), golden.result(257.0));
        let wide = golden.image::<u16>(257.0);
        check(check_levels_with::<u16, u16>(&filter, wide.view(), &exact).map(drop));
        check(check_levels_with::<u16, f32>(&filter, wide.view(), &exact).map(drop));
    }
}

/// The files hold what the tests think they hold.
#[test]
fn kernels_longer_than_the_image_are_among_them() {
    let cases = cases();
    assert!(cases.len() > 250, "{} cases", cases.len());
    let longer = |g: &&Golden| {
        let kernel = &g.filter.kernels()[0];
        kernel.width() > 2 * g.shape.width && kernel.height() > 2 * g.shape.height
    };
    assert!(cases.iter().filter(longer).count() > 20);
}
