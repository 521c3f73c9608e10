//! `Pointwise`: a matrix over the channels of each pixel.

use super::activation::Activation;
use super::weights;
use crate::error::Error;
use crate::view::Shape;
use std::fmt;

/// A 1×1 convolution: every output channel is a weighted sum of the pixel's input channels, plus a
/// bias, through an activation. A colour matrix is one.
///
/// ```
/// use twopass::{Chain, Image, Pointwise, Shape, Workspace};
///
/// let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1])?;
/// let photo = Image::from_vec(vec![255u8, 0, 0, 10, 20, 30], Shape::new(2, 1, 3))?;
/// let plan = Chain::new(luma).plan::<u8, u8>(photo.shape())?;
/// let mut grey = Image::new(plan.output_shape())?;
/// plan.run(photo.view(), grey.view_mut(), &mut Workspace::new())?;
/// assert_eq!(grey.data(), [76, 18]);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pointwise {
    inputs: usize,
    outputs: usize,
    /// Input channel by input channel: the weights of all output channels.
    matrix: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Pointwise {
    /// From weights in the order of Keras: `[1, 1, input channels, output channels]`.
    ///
    /// Errors: an axis of 0, or another than 1 where 1 is written; another number of weights, one
    /// that is not finite.
    pub fn from_keras(weights: &[f32], dims: [usize; 4]) -> Result<Self, Error> {
        weights::check(weights, dims)?;
        let [height, width, inputs, outputs] = dims;
        if (width, height) != (1, 1) {
            return Err(Error::NotPointwise { dims });
        }
        Ok(Self {
            inputs,
            outputs,
            matrix: weights.to_vec(),
            bias: vec![0.0; outputs],
            activation: Activation::None,
        })
    }

    /// From weights in the order of PyTorch: `[output channels, input channels, 1, 1]`, which is
    /// also how a matrix is written, row by row.
    ///
    /// Errors: as for [`from_keras`](Self::from_keras).
    pub fn from_pytorch(weights: &[f32], dims: [usize; 4]) -> Result<Self, Error> {
        weights::check(weights, dims)?;
        let [outputs, inputs, height, width] = dims;
        if (width, height) != (1, 1) {
            return Err(Error::NotPointwise { dims });
        }
        let matrix = weights::transposed(weights, outputs, inputs);
        Self::from_keras(&matrix, [1, 1, inputs, outputs])
    }

    /// Adds a value to each output channel.
    pub fn with_bias(mut self, bias: &[f32]) -> Result<Self, Error> {
        weights::check_bias(bias, self.outputs)?;
        self.bias = bias.to_vec();
        Ok(self)
    }

    /// What happens to each sum, after the bias.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Channels of the input.
    #[must_use]
    pub fn input_channels(&self) -> usize {
        self.inputs
    }

    /// Channels of the output.
    #[must_use]
    pub fn output_channels(&self) -> usize {
        self.outputs
    }

    /// The weights in Keras order: `[1, 1, input channels, output channels]`.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.matrix
    }

    /// One value for each output channel.
    #[must_use]
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// What happens to each sum.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// The shape of the output for an input of shape `input`.
    pub fn output_shape(&self, input: Shape) -> Result<Shape, Error> {
        super::check_input(input, self.inputs)?;
        let output = Shape { channels: self.outputs, ..input };
        output.samples()?;
        Ok(output)
    }

    /// Multiplications for an input of shape `input`: output samples × input channels.
    pub fn multiplications(&self, input: Shape) -> Result<u64, Error> {
        Ok(super::product(self.output_shape(input)?, &[self.inputs]))
    }
}

impl fmt::Display for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pointwise, {} → {} channels", self.inputs, self.outputs)?;
        super::describe(f, None, self.activation)
    }
}
