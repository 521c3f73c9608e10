//! Random layers and images, and the comparison that every test goes through.

use crate::common::{Look, Strided, image, levels, rng, same};
use rand::RngExt;
use twopass::{
    Activation, Border, Chain, Conv2d, Depthwise, Image, Layer, Padding, Plan, Pointwise, Shape,
    View, Window, Workspace, reference,
};

pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = rng(seed);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub fn activation(seed: u64) -> Activation {
    [Activation::None, Activation::Relu, Activation::Relu6][seed as usize % 3]
}

pub fn depthwise(size: (usize, usize), channels: usize, multiplier: usize, seed: u64) -> Depthwise {
    let dims = [size.1, size.0, channels, multiplier];
    Depthwise::from_keras(&numbers(dims.iter().product(), seed), dims)
        .unwrap()
        .with_bias(&numbers(channels * multiplier, seed + 1))
        .unwrap()
        .with_activation(activation(seed))
}

pub fn pointwise(inputs: usize, outputs: usize, seed: u64) -> Pointwise {
    Pointwise::from_keras(&numbers(inputs * outputs, seed), [1, 1, inputs, outputs])
        .unwrap()
        .with_bias(&numbers(outputs, seed + 1))
        .unwrap()
        .with_activation(activation(seed))
}

pub fn conv2d(size: (usize, usize), inputs: usize, outputs: usize, seed: u64) -> Conv2d {
    let dims = [size.1, size.0, inputs, outputs];
    Conv2d::from_keras(&numbers(dims.iter().product(), seed), dims)
        .unwrap()
        .with_bias(&numbers(outputs, seed + 1))
        .unwrap()
        .with_activation(activation(seed))
}

/// Valid, same, and explicit padding through each border.
pub fn paddings(channels: usize) -> Vec<Padding> {
    let explicit = |border: Border| Padding::Explicit {
        left: 2,
        right: 1,
        top: 0,
        bottom: 3,
        border_x: border.clone(),
        border_y: border,
    };
    let constants = (0..channels).map(|c| 0.1 * c as f64 - 0.3).collect();
    vec![
        Padding::Valid,
        Padding::Same,
        Padding::zeros(1, 2),
        explicit(Border::Constant(constants)),
        explicit(Border::Replicate),
        explicit(Border::Reflect),
        explicit(Border::Reflect101),
        explicit(Border::Wrap),
        Padding::Explicit {
            left: 3,
            right: 0,
            top: 4,
            bottom: 1,
            border_x: Border::Constant(vec![0.5]),
            border_y: Border::Constant(vec![-0.25]),
        },
    ]
}

pub fn window(stride: (usize, usize), dilation: (usize, usize), padding: Padding) -> Window {
    Window::new().stride(stride.0, stride.1).dilation(dilation.0, dilation.1).padding(padding)
}

/// How large outputs can be, and how far off: 1e-5 × Σ|taps| × range, layer after layer.
fn tolerance(chain: &Chain, mut range: f64) -> f64 {
    fn most(weights: &[f32], bias: &[f32], range: f64) -> f64 {
        let outputs = bias.len();
        let sums = (0..outputs).map(|o| {
            let taps = weights.iter().skip(o).step_by(outputs);
            range * taps.map(|&w| f64::from(w.abs())).sum::<f64>() + f64::from(bias[o].abs())
        });
        sums.fold(0.0, f64::max)
    }
    for layer in chain.layers() {
        range = match layer {
            Layer::Depthwise(l) => most(l.weights(), l.bias(), range),
            Layer::Pointwise(l) => most(l.weights(), l.bias(), range),
            Layer::Separable(l) => {
                let (d, p) = (l.depthwise(), l.pointwise());
                most(p.weights(), p.bias(), most(d.weights(), d.bias(), range))
            }
            Layer::Conv2d(l) => most(l.weights(), l.bias(), range),
            Layer::Filter(f) => {
                let sums = f.kernels().iter().map(|k| k.abs_sum()).sum::<f64>();
                (sums * f.get_scale().abs()).max(1.0) * range + f.get_offset().abs()
            }
            _ => unreachable!(),
        };
    }
    1e-5 * range
}

/// Compares with exact results.
pub fn close(chain: &Chain, exact: &[f64], out: &[f32], range: f64) -> Result<(), String> {
    if exact.len() != out.len() {
        return Err(format!("{} samples instead of {}", out.len(), exact.len()));
    }
    let tolerance = tolerance(chain, range);
    for (i, (&e, &o)) in exact.iter().zip(out).enumerate() {
        let error = (f64::from(o) - e).abs();
        if error.is_nan() || error > tolerance {
            return Err(format!("sample {i}: {o} instead of {e} (tolerance {tolerance:e})"));
        }
    }
    Ok(())
}

pub fn run(plan: &Plan<f32, f32>, source: View<'_, f32>) -> Vec<f32> {
    let mut out = Strided::guarded(plan.output_shape(), 5);
    plan.run(source, out.view_mut(), &mut Workspace::new()).unwrap();
    let strided = out.into_samples();
    // The same without gaps, where rows may be taken together.
    let mut out = Image::new(plan.output_shape()).unwrap();
    plan.run(source, out.view_mut(), &mut Workspace::new()).unwrap();
    assert_eq!(same(&strided, out.data()), Ok(()));
    strided
}

/// At every level: close to the reference, and the same with other tiles, rows and strips.
pub fn check(chain: &Chain, shape: Shape, seed: u64) {
    let source = image::<f32>(shape, Look::Noise, seed);
    let gaps = Strided::copy(source.view(), 3);
    let exact = reference::layer::chain(chain, source.view()).unwrap();
    for level in levels() {
        let at = || format!("{chain}, input {shape}, level {level}, seed {seed}");
        let plan = chain.clone().level(level).plan::<f32, f32>(shape).unwrap();
        assert_eq!(plan.output_shape(), chain.output_shape(shape).unwrap(), "{}", at());
        let out = run(&plan, source.view());
        if let Err(e) = close(chain, &exact, &out, 1.0) {
            panic!("{}: {e}", at());
        }
        assert_eq!(same(&out, &run(&plan, gaps.view())), Ok(()), "{}, strided", at());
        for (tile, rows, strip) in [(1, 1, 1), (5, 1, 3), (1000, 3, 7)] {
            let other = plan.clone().with_tiles(tile, rows, strip);
            if let Err(e) = same(&out, &run(&other, source.view())) {
                panic!("{}, tiles of {tile}×{rows}, strips of {strip}: {e}", at());
            }
        }
    }
}
