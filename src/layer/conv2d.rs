//! `Conv2d`: the ordinary convolution, which depthwise-separable ones are compared with.

use super::activation::Activation;
use super::weights;
use super::window::{Window, check_taps};
use crate::error::Error;
use crate::view::Shape;
use std::fmt;

/// Output channels of which each is a sum over all taps of all input channels, plus a bias,
/// through an activation. Kernels are applied as correlation, as all networks do.
///
/// ```
/// use twopass::{Conv2d, Shape};
///
/// let layer = Conv2d::from_keras(&vec![0.01; 5 * 5 * 3 * 256], [5, 5, 3, 256])?;
/// let image = Shape::new(12, 12, 3);
/// assert_eq!(layer.output_shape(image)?, Shape::new(8, 8, 256));
/// assert_eq!(layer.multiplications(image)?, 256 * 75 * 64);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d {
    size: (usize, usize),
    inputs: usize,
    outputs: usize,
    window: Window,
    /// Tap by tap, row by row, and input channel by input channel: the weights of all outputs.
    taps: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Conv2d {
    /// From weights in the order of Keras: `[height, width, input channels, output channels]`.
    ///
    /// Errors: an axis of 0, a kernel above [`Kernel::MAX_SIDE`](crate::Kernel::MAX_SIDE) a side,
    /// another number of weights, one that is not finite.
    pub fn from_keras(weights: &[f32], dims: [usize; 4]) -> Result<Self, Error> {
        weights::check(weights, dims)?;
        let [height, width, inputs, outputs] = dims;
        check_taps(width, height)?;
        Ok(Self {
            size: (width, height),
            inputs,
            outputs,
            window: Window::new(),
            taps: weights.to_vec(),
            bias: vec![0.0; outputs],
            activation: Activation::None,
        })
    }

    /// From weights in the order of PyTorch: `[output channels, input channels, height, width]`.
    ///
    /// Errors: as for [`from_keras`](Self::from_keras).
    pub fn from_pytorch(weights: &[f32], dims: [usize; 4]) -> Result<Self, Error> {
        weights::check(weights, dims)?;
        let [outputs, inputs, height, width] = dims;
        // [o, i, t] → [t, i, o]: turn the outer two into place, then each tap's pair.
        let by_tap = weights::transposed(weights, outputs * inputs, height * width);
        let pairs = by_tap.chunks_exact(outputs * inputs);
        let taps: Vec<f32> =
            pairs.flat_map(|pair| weights::transposed(pair, outputs, inputs)).collect();
        Self::from_keras(&taps, [height, width, inputs, outputs])
    }

    /// The same weights with another stride, dilation and padding.
    pub fn with_window(mut self, window: Window) -> Result<Self, Error> {
        window.check(self.size, self.inputs)?;
        self.window = window;
        Ok(self)
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

    /// Columns and rows of the kernels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.size
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

    /// Stride, dilation and padding.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The weights in Keras order: `[height, width, input channels, output channels]`.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.taps
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
        super::window_shape(&self.window, self.size, self.inputs, self.outputs, input)
    }

    /// Multiplications for an input of shape `input`: output samples × taps × input channels.
    pub fn multiplications(&self, input: Shape) -> Result<u64, Error> {
        let (width, height) = self.size;
        Ok(super::product(self.output_shape(input)?, &[width, height, self.inputs]))
    }
}

impl fmt::Display for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        write!(f, "convolution {width}×{height}, {} → {} channels", self.inputs, self.outputs)?;
        super::describe(f, Some(&self.window), self.activation)
    }
}
