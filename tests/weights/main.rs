//! Weights of model files, made by `generate.py`.

use twopass::{
    Chain, Conv2d, Depthwise, Error, Image, Pointwise, SeparableConv, Shape, WeightOrder, Weights,
    Workspace, reference,
};

const KERAS: WeightOrder = WeightOrder::Keras;
const PYTORCH: WeightOrder = WeightOrder::PyTorch;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("tests/weights/{name}")).unwrap()
}

fn npz() -> Weights {
    Weights::open("tests/weights/block.npz").unwrap()
}

fn safetensors() -> Weights {
    Weights::open("tests/weights/block.safetensors").unwrap()
}

/// As in `generate.py`.
fn ramp(dims: [usize; 4], start: usize) -> Vec<f32> {
    let count: usize = dims.iter().product();
    (start..start + count).map(|i| (i as f32 - (count / 2) as f32) / 8.0).collect()
}

#[test]
fn every_kind_in_keras_order() {
    let weights = npz();
    let dims = [3, 2, 3, 1];
    let depthwise = Depthwise::from_keras(&ramp(dims, 0), dims).unwrap();
    assert_eq!(weights.depthwise("depthwise/kernel", KERAS, 3).unwrap(), depthwise);
    let dims = [1, 1, 3, 4];
    let pointwise = Pointwise::from_keras(&ramp(dims, 5), dims).unwrap();
    assert_eq!(weights.pointwise("pointwise/kernel", KERAS, 3).unwrap(), pointwise);
    assert_eq!(weights.pointwise("dense/kernel", KERAS, 3).unwrap(), pointwise);
    let dims = [2, 3, 3, 5];
    let conv = Conv2d::from_keras(&ramp(dims, 9), dims).unwrap();
    assert_eq!(weights.conv2d("conv/kernel", KERAS, 3).unwrap(), conv);
    assert_eq!(weights.conv2d("fortran/kernel", KERAS, 3).unwrap(), conv);
    assert_eq!(weights.bias("depthwise/bias", 3).unwrap(), [-0.125, 0.0, 0.125]);
}

#[test]
fn pytorch_order_is_the_same_model() {
    let (keras, pytorch) = (npz(), safetensors());
    assert_eq!(
        pytorch.depthwise("depthwise.weight", PYTORCH, 3),
        keras.depthwise("depthwise/kernel", KERAS, 3)
    );
    for name in ["pointwise.weight", "dense.weight"] {
        assert_eq!(
            pytorch.pointwise(name, PYTORCH, 3),
            keras.pointwise("pointwise/kernel", KERAS, 3)
        );
    }
    assert_eq!(pytorch.conv2d("conv.weight", PYTORCH, 3), keras.conv2d("conv/kernel", KERAS, 3));
    assert_eq!(pytorch.bias("pointwise.bias", 4), keras.bias("pointwise/bias", 4));
}

#[test]
fn compressed_is_the_same() {
    assert_eq!(Weights::from_npz(&file("block-compressed.npz")), Ok(npz()));
}

#[test]
fn names_and_tensors() {
    let weights = safetensors();
    let names: Vec<_> = weights.names().collect();
    assert_eq!(names[..2], ["conv.weight", "dense.weight"]);
    assert_eq!(names.len(), 7);
    let tensor = weights.tensor("dense.weight").unwrap();
    assert_eq!((tensor.shape(), tensor.values().len()), (&[4, 3][..], 12));
}

/// A block from a file runs as the reference says.
#[test]
fn a_block_runs() {
    let weights = npz();
    let depthwise = weights.depthwise("depthwise/kernel", KERAS, 3).unwrap();
    let depthwise = depthwise.with_bias(weights.bias("depthwise/bias", 3).unwrap()).unwrap();
    let pointwise = weights.pointwise("pointwise/kernel", KERAS, 3).unwrap();
    let pointwise = pointwise.with_bias(weights.bias("pointwise/bias", 4).unwrap()).unwrap();
    let chain = Chain::new(SeparableConv::new(depthwise, pointwise).unwrap());
    let shape = Shape::new(9, 7, 3);
    let samples = (0..9 * 7 * 3).map(|i| (i % 16) as f32).collect();
    let source = Image::from_vec(samples, shape).unwrap();
    let plan = chain.plan::<f32, f32>(shape).unwrap();
    let mut out = Image::new(plan.output_shape()).unwrap();
    plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
    let exact = reference::layer::chain(&chain, source.view()).unwrap();
    // Multiples of 1/64: f32 holds every sum.
    assert!(out.data().iter().map(|&v| f64::from(v)).eq(exact));
}

fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn other_shapes_are_named() {
    let weights = npz();
    assert_eq!(
        message(weights.depthwise("depthwise/kernel", KERAS, 4)),
        "tensor \"depthwise/kernel\" has the shape [3, 2, 3, 1], [height, width, 4, multiplier] is \
         needed"
    );
    assert_eq!(
        message(weights.pointwise("conv/kernel", KERAS, 3)),
        "tensor \"conv/kernel\" has the shape [2, 3, 3, 5], [1, 1, 3, outputs] is needed"
    );
    assert_eq!(
        message(weights.conv2d("conv/kernel", PYTORCH, 2)),
        "tensor \"conv/kernel\" has the shape [2, 3, 3, 5], [outputs, 2, height, width] is needed"
    );
    assert_eq!(
        message(weights.bias("depthwise/bias", 4)),
        "tensor \"depthwise/bias\" has the shape [3], [4] is needed"
    );
    let weights = safetensors();
    for channels in [0, 2] {
        assert_eq!(
            message(weights.depthwise("depthwise.weight", PYTORCH, channels)),
            format!(
                "tensor \"depthwise.weight\" has the shape [3, 1, 3, 2], [{channels} × \
                 multiplier, 1, height, width] is needed"
            )
        );
    }
}

#[test]
fn other_numbers_and_names() {
    let weights = npz();
    for (name, given) in [
        ("double/kernel", "'<f8'"),
        ("big-endian/kernel", "big-endian floats"),
        ("counts", "'<i8'"),
    ] {
        assert_eq!(
            message(weights.tensor(name)),
            format!("tensor {name:?} holds {given}, not little-endian 32-bit floats")
        );
    }
    assert!(message(safetensors().tensor("half.weight")).contains("F16"));
    let text = message(weights.tensor("depthwise"));
    assert!(text.contains("\"depthwise\"") && text.contains("depthwise/kernel"), "{text}");
}

/// Every cut and every flipped byte is an error or another model, never a panic.
#[test]
fn damaged_files() {
    type Read = fn(&[u8]) -> Result<Weights, Error>;
    let kinds: [(&str, Read); 3] = [
        ("block.npz", Weights::from_npz),
        ("block-compressed.npz", Weights::from_npz),
        ("block.safetensors", Weights::from_safetensors),
    ];
    for (name, read) in kinds {
        let bytes = file(name);
        for len in (0..bytes.len()).step_by(7) {
            assert!(matches!(read(&bytes[..len]), Err(Error::WeightsFile(_))), "{name}, {len}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = read(&damaged);
        }
    }
}

/// Headers that promise more than the file has must not allocate it.
#[test]
fn promised_but_not_there() {
    assert!(matches!(Weights::from_npz(&file("promises.npz")), Err(Error::WeightsFile(_))));
    let header = br#"{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,4]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.extend_from_slice(&[0; 4]);
    assert!(matches!(Weights::from_safetensors(&file), Err(Error::WeightsFile(_))));
}

#[test]
fn files_that_are_not_weights() {
    for path in ["tests/weights/generate.py", "tests/weights/none.npz"] {
        assert!(matches!(Weights::open(path), Err(Error::WeightsFile(_))), "{path}");
    }
}
