//! Golden values: what Keras on TensorFlow and ONNX Runtime make of seeded whole numbers, whose
//! sums `f32` holds exactly: every level must agree to the last bit. `tests/golden/layers.py` made
//! them; `layers-requirements.txt` beside it pins the versions.

use crate::common::levels;
use serde_json::Value;
use twopass::{
    Chain, Conv2d, Depthwise, Image, Padding, SeparableConv, Shape, Window, Workspace, reference,
};

/// The generator of the script: whole numbers from −most to most.
fn draw(count: usize, seed: u64, most: i64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as i64 % (2 * most + 1) - most) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn pair(value: &Value) -> [usize; 2] {
    [0, 1].map(|i| value[i].as_u64().unwrap() as usize)
}

/// The layer of a case, as a chain, and its image.
fn build(case: &Value) -> (Chain, Image<f32>) {
    let number = |name: &str| case[name].as_u64().unwrap() as usize;
    let (channels, multiplier, outputs) =
        (number("channels"), number("multiplier"), number("outputs"));
    let [kh, kw] = pair(&case["kernel"]);
    let (stride, dilation) = (pair(&case["stride"]), pair(&case["dilation"]));
    let padding = match &case["padding"] {
        Value::String(name) if name == "valid" => Padding::Valid,
        Value::String(name) if name == "same" => Padding::Same,
        pads => {
            let pads: Vec<_> =
                pads.as_array().unwrap().iter().map(|p| p.as_u64().unwrap() as usize).collect();
            let zero = twopass::Border::Constant(vec![0.0]);
            Padding::Explicit {
                left: pads[0],
                right: pads[1],
                top: pads[2],
                bottom: pads[3],
                border_x: zero.clone(),
                border_y: zero,
            }
        }
    };
    let window = Window::new()
        .stride(stride[0], stride[1])
        .dilation(dilation[0], dilation[1])
        .padding(padding);
    let seed = number("seed") as u64;
    let shape = Shape::new(number("width"), number("height"), channels);
    let image = Image::from_vec(draw(shape.samples().unwrap(), seed, 8), shape).unwrap();
    let depthwise = draw(kh * kw * channels * multiplier, seed + 1000, 4);
    let pointwise = draw(channels * multiplier * outputs, seed + 2000, 4);
    let ordinary = draw(kh * kw * channels * outputs, seed + 3000, 4);
    let between = channels * multiplier;
    let keras = case["order"] == "keras";
    let chain = match case["layer"].as_str().unwrap() {
        "depthwise" => {
            let layer = if keras {
                Depthwise::from_keras(&depthwise, [kh, kw, channels, multiplier])
            } else {
                Depthwise::from_pytorch(&depthwise, [between, 1, kh, kw], channels)
            };
            Chain::new(layer.unwrap().with_window(window).unwrap())
        }
        "separable" => {
            let layer = if keras {
                SeparableConv::from_keras(
                    (&depthwise, [kh, kw, channels, multiplier]),
                    (&pointwise, [1, 1, between, outputs]),
                )
            } else {
                SeparableConv::from_pytorch(
                    (&depthwise, [between, 1, kh, kw]),
                    channels,
                    (&pointwise, [outputs, between, 1, 1]),
                )
            };
            Chain::new(layer.unwrap().with_window(window).unwrap())
        }
        _ => {
            let layer = if keras {
                Conv2d::from_keras(&ordinary, [kh, kw, channels, outputs])
            } else {
                Conv2d::from_pytorch(&ordinary, [outputs, channels, kh, kw])
            };
            Chain::new(layer.unwrap().with_window(window).unwrap())
        }
    };
    (chain, image)
}

/// The first and the last pixel, and the sums that the script took.
fn check(case: &Value, at: &str, result: &[f64]) {
    let size: Vec<_> =
        case["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
    let count: u64 = size.iter().product();
    assert_eq!(result.len() as u64, count, "{at}");
    for (sum, period) in case["sums"].as_array().unwrap().iter().zip([1, 7, 64, 8191]) {
        let weighted = result.iter().enumerate().map(|(i, v)| v * (i % period + 1) as f64);
        assert_eq!(weighted.sum::<f64>(), sum.as_f64().unwrap(), "{at}, sum of period {period}");
    }
    let channels = size[2] as usize;
    let ends = [&result[..channels], &result[result.len() - channels..]];
    for (pixel, own) in case["pixels"].as_array().unwrap().iter().zip(ends) {
        for (value, own) in pixel.as_array().unwrap().iter().zip(own) {
            assert_eq!(*own, value.as_f64().unwrap(), "{at}, pixel");
        }
    }
}

#[test]
fn all_agree() {
    let file: Value = serde_json::from_str(include_str!("../golden/layers.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 500, "{} cases", cases.len());
    for (i, case) in cases.iter().enumerate() {
        let (chain, image) = build(case);
        let name = format!("case {i}, {chain}");
        let exact = reference::layer::chain(&chain, image.view()).unwrap();
        check(case, &format!("{name}, reference"), &exact);
        for level in levels() {
            let plan = chain.clone().level(level).plan::<f32, f32>(image.shape()).unwrap();
            let mut out = Image::new(plan.output_shape()).unwrap();
            plan.run(image.view(), out.view_mut(), &mut Workspace::new()).unwrap();
            let out: Vec<f64> = out.data().iter().map(|&v| f64::from(v)).collect();
            check(case, &format!("{name}, level {level}"), &out);
        }
    }
}
