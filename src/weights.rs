//! Weights of models, from the files that Keras and PyTorch users have: `.npz` and safetensors.

use crate::error::Error;
use crate::layer::{Conv2d, Depthwise, Pointwise};
use ndarray_npy::ViewNpyExt;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

/// How the axes of a weight array are ordered.
///
/// ```
/// use twopass::{WeightOrder, Weights};
///
/// let weights = Weights::open("tests/weights/block.safetensors")?;
/// let layer = weights.depthwise("depthwise.weight", WeightOrder::PyTorch, 3)?;
/// assert_eq!(layer.input_channels(), 3);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightOrder {
    /// Height, width, input channels, and then output channels or, in depthwise layers, the
    /// multiplier.
    Keras,
    /// Output channels, input channels (1 in depthwise layers), height, width.
    PyTorch,
}

/// The named arrays of a model file, all of 32-bit floats.
///
/// ```
/// use twopass::{Chain, WeightOrder, Weights};
///
/// let weights = Weights::open("tests/weights/block.npz")?;
/// let order = WeightOrder::Keras;
/// let depthwise = weights
///     .depthwise("depthwise/kernel", order, 3)?
///     .with_bias(weights.bias("depthwise/bias", 3)?)?;
/// let pointwise = weights.pointwise("pointwise/kernel", order, 3)?;
/// let chain = Chain::new(depthwise).then(pointwise)?;
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Stored>,
}

/// What a file holds under a name.
#[derive(Debug, Clone, PartialEq)]
enum Stored {
    Floats(Tensor),
    /// Another type of number: an error only for who asks for it.
    Other(String),
}

/// An array of a model file.
///
/// ```
/// use twopass::Weights;
///
/// let weights = Weights::open("tests/weights/block.npz")?;
/// let bias = weights.tensor("depthwise/bias")?;
/// assert_eq!((bias.shape(), bias.values().len()), (&[3][..], 3));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Tensor {
    /// The length of each axis, the slowest first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, the last axis fastest.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

impl Weights {
    /// Reads a file: `.npz`, as of `numpy.savez`, or `.safetensors`.
    ///
    /// Errors: a file that cannot be read, is neither, or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(damaged)?;
        match path.extension().and_then(|e| e.to_str()) {
            Some("npz") => Self::from_npz(&bytes),
            Some("safetensors") => Self::from_safetensors(&bytes),
            _ => Err(damaged(format!("{} is neither .npz nor .safetensors", path.display()))),
        }
    }

    /// From the bytes of an `.npz` file, compressed or not: arrays of little-endian floats.
    pub fn from_npz(bytes: &[u8]) -> Result<Self, Error> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(damaged)?;
            let Some(name) = entry.name().strip_suffix(".npy").map(str::to_owned) else { continue };
            let mut array = Vec::new();
            entry.read_to_end(&mut array).map_err(damaged)?;
            tensors.insert(name.clone(), of_npy(&array).map_err(|e| within(&name, e))?);
        }
        Ok(Self { tensors })
    }

    /// From the bytes of a safetensors file.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, Error> {
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let stored = file.iter().map(|(name, view)| {
            let stored = if view.dtype() == Dtype::F32 {
                let (values, _) = view.data().as_chunks::<4>();
                let values = values.iter().map(|&v| f32::from_le_bytes(v)).collect();
                Stored::Floats(Tensor { shape: view.shape().to_vec(), values })
            } else {
                Stored::Other(view.dtype().to_string())
            };
            (name.to_owned(), stored)
        });
        Ok(Self { tensors: stored.collect() })
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The array of that name.
    ///
    /// Errors: there is none, or its numbers are not 32-bit floats.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Error> {
        match self.tensors.get(name) {
            Some(Stored::Floats(tensor)) => Ok(tensor),
            Some(Stored::Other(given)) => {
                Err(Error::TensorType { name: name.to_owned(), given: given.clone() })
            }
            None => Err(Error::UnknownName {
                what: "tensor",
                name: name.to_owned(),
                known: self.names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// A depthwise layer that takes `channels` channels, from the array of that name.
    ///
    /// Errors: as for [`tensor`](Self::tensor), [`Depthwise::from_keras`] and
    /// [`Depthwise::from_pytorch`]; a shape of other axes.
    pub fn depthwise(
        &self,
        name: &str,
        order: WeightOrder,
        channels: usize,
    ) -> Result<Depthwise, Error> {
        let tensor = self.tensor(name)?;
        match (order, tensor.shape.as_slice()) {
            (WeightOrder::Keras, &[h, w, c, m]) if c == channels => {
                Depthwise::from_keras(&tensor.values, [h, w, c, m])
            }
            (WeightOrder::PyTorch, &[o, 1, h, w]) if channels > 0 && o.is_multiple_of(channels) => {
                Depthwise::from_pytorch(&tensor.values, [o, 1, h, w], channels)
            }
            (WeightOrder::Keras, _) => {
                Err(tensor.other(name, format!("[height, width, {channels}, multiplier]")))
            }
            (WeightOrder::PyTorch, _) => {
                Err(tensor.other(name, format!("[{channels} × multiplier, 1, height, width]")))
            }
        }
    }

    /// A pointwise layer that takes `channels` channels, from the array of that name, which may
    /// also be the matrix of a dense layer: two axes.
    ///
    /// Errors: as for [`tensor`](Self::tensor) and [`Pointwise::from_keras`]; a shape of other
    /// axes.
    pub fn pointwise(
        &self,
        name: &str,
        order: WeightOrder,
        channels: usize,
    ) -> Result<Pointwise, Error> {
        let tensor = self.tensor(name)?;
        match (order, tensor.shape.as_slice()) {
            (WeightOrder::Keras, &[1, 1, c, o] | &[c, o]) if c == channels => {
                Pointwise::from_keras(&tensor.values, [1, 1, c, o])
            }
            (WeightOrder::PyTorch, &[o, c, 1, 1] | &[o, c]) if c == channels => {
                Pointwise::from_pytorch(&tensor.values, [o, c, 1, 1])
            }
            (WeightOrder::Keras, _) => {
                Err(tensor.other(name, format!("[1, 1, {channels}, outputs]")))
            }
            (WeightOrder::PyTorch, _) => {
                Err(tensor.other(name, format!("[outputs, {channels}, 1, 1]")))
            }
        }
    }

    /// An ordinary convolution that takes `channels` channels, from the array of that name.
    ///
    /// Errors: as for [`tensor`](Self::tensor) and [`Conv2d::from_keras`]; a shape of other axes.
    pub fn conv2d(&self, name: &str, order: WeightOrder, channels: usize) -> Result<Conv2d, Error> {
        let tensor = self.tensor(name)?;
        match (order, tensor.shape.as_slice()) {
            (WeightOrder::Keras, &[h, w, c, o]) if c == channels => {
                Conv2d::from_keras(&tensor.values, [h, w, c, o])
            }
            (WeightOrder::PyTorch, &[o, c, h, w]) if c == channels => {
                Conv2d::from_pytorch(&tensor.values, [o, c, h, w])
            }
            (WeightOrder::Keras, _) => {
                Err(tensor.other(name, format!("[height, width, {channels}, outputs]")))
            }
            (WeightOrder::PyTorch, _) => {
                Err(tensor.other(name, format!("[outputs, {channels}, height, width]")))
            }
        }
    }

    /// A value for each of `channels` output channels, from the array of that name.
    ///
    /// Errors: as for [`tensor`](Self::tensor); another shape than one axis of that length.
    pub fn bias(&self, name: &str, channels: usize) -> Result<&[f32], Error> {
        let tensor = self.tensor(name)?;
        if tensor.shape != [channels] {
            return Err(tensor.other(name, format!("[{channels}]")));
        }
        Ok(&tensor.values)
    }
}

impl Tensor {
    fn other(&self, name: &str, needed: String) -> Error {
        Error::TensorShape { name: name.to_owned(), given: self.shape.clone(), needed }
    }
}

fn damaged(error: impl ToString) -> Error {
    Error::WeightsFile(error.to_string())
}

fn within(name: &str, error: impl ToString) -> Error {
    damaged(format!("{name}: {}", error.to_string()))
}

/// An array as numpy writes it. It is looked at in place, so that a damaged header cannot ask for
/// more memory than the file has.
fn of_npy(bytes: &[u8]) -> Result<Stored, ndarray_npy::ViewNpyError> {
    use ndarray_npy::ViewNpyError;
    match ndarray::ArrayViewD::<f32>::view_npy(bytes) {
        Ok(array) => Ok(Stored::Floats(Tensor {
            shape: array.shape().to_vec(),
            // In order of the axes, whatever the order in memory.
            values: array.iter().copied().collect(),
        })),
        Err(ViewNpyError::WrongDescriptor(given)) => Ok(Stored::Other(given.to_string())),
        Err(ViewNpyError::NonNativeEndian) => Ok(Stored::Other("big-endian floats".to_owned())),
        Err(error) => Err(error),
    }
}
