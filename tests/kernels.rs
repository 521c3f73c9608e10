//! The named kernels against OpenCV and SciPy, and the singular values against NumPy: the
//! numbers in golden/kernels.json, which golden/kernels.py wrote.

use approx::abs_diff_eq;
use serde_json::Value;
use twopass::{Kernel, KernelParams, NamedKernel, Separation};

fn golden(group: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("golden/kernels.json")).unwrap();
    all[group].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn side(case: &Value, name: &str) -> usize {
    usize::try_from(case[name].as_u64().unwrap()).unwrap()
}

fn params(value: &Value) -> KernelParams {
    let mut params = KernelParams::default();
    for (name, value) in value.as_object().unwrap() {
        let size = value.as_u64().map(|n| usize::try_from(n).unwrap());
        let number = value.as_f64();
        match name.as_str() {
            "size" => params.size = size,
            "size-y" => params.size_y = size,
            "sigma" => params.sigma = number,
            "sigma-y" => params.sigma_y = number,
            "angle" => params.angle = number,
            "wavelength" => params.wavelength = number,
            "aspect" => params.aspect = number,
            "phase" => params.phase = number,
            "ratio" => params.ratio = number,
            other => panic!("no parameter {other}"),
        }
    }
    params
}

#[test]
fn named_kernels_are_those_of_opencv_and_scipy() {
    for case in golden("kernels") {
        let what = format!("{} {}", case["name"], case["params"]);
        let kernel = NamedKernel::find(case["name"].as_str().unwrap()).unwrap();
        let kernel = &kernel.kernels(&params(&case["params"])).unwrap()[0];
        assert_eq!(
            (kernel.width(), kernel.height()),
            (side(&case, "width"), side(&case, "height"))
        );
        let tolerance = case["tolerance"].as_f64().unwrap();
        for (i, (ours, theirs)) in kernel.taps().iter().zip(numbers(&case["taps"])).enumerate() {
            assert!(
                abs_diff_eq!(*ours, theirs, epsilon = tolerance),
                "{what} at {i}: {ours} and {theirs}"
            );
        }
    }
}

#[test]
fn singular_values_are_those_of_numpy() {
    for case in golden("svd") {
        let kernel =
            Kernel::new(side(&case, "width"), side(&case, "height"), numbers(&case["taps"]))
                .unwrap();
        let separation = Separation::of(&kernel);
        let values = numbers(&case["values"]);
        assert_eq!(separation.rank(), values.len(), "{case}");
        let ours = separation.singular_values().unwrap();
        for (a, b) in ours.iter().zip(&values) {
            assert!(
                abs_diff_eq!(a, b, epsilon = 1e-14 * values[0] * values.len() as f64),
                "{ours:?} {values:?}"
            );
        }
        // Eckart and Young: what r terms leave has the other singular values.
        for r in 0..separation.rank() {
            let mut left = kernel.taps().to_vec();
            for term in &separation.terms()[..r] {
                let products = term.column.iter().flat_map(|c| term.row.iter().map(move |t| c * t));
                left.iter_mut().zip(products).for_each(|(t, p)| *t -= p);
            }
            let size: f64 = left.iter().map(|t| t * t).sum();
            let expected: f64 = values[r..].iter().map(|s| s * s).sum();
            assert!(
                abs_diff_eq!(size, expected, epsilon = 1e-13 * values[0] * values[0]),
                "{r} {size} {expected}"
            );
        }
    }
}
