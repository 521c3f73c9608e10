//! `SeparableConv`: a depthwise filter and a 1×1 mix, which together do the work of an ordinary
//! convolution with a fraction of its multiplications.

use super::activation::Activation;
use super::depthwise::Depthwise;
use super::pointwise::Pointwise;
use super::window::Window;
use crate::error::Error;
use crate::view::Shape;
use std::fmt;

/// A depthwise-separable convolution: [`Depthwise`], then [`Pointwise`], always executed as one.
///
/// The textbook example, 256 outputs of 5×5 windows over 12×12×3:
///
/// ```
/// use twopass::{Conv2d, Depthwise, Pointwise, SeparableConv, Shape};
///
/// let image = Shape::new(12, 12, 3);
/// let ordinary = Conv2d::from_keras(&vec![0.01; 5 * 5 * 3 * 256], [5, 5, 3, 256])?;
/// assert_eq!(ordinary.multiplications(image)?, 1_228_800);
///
/// let depthwise = Depthwise::from_keras(&[0.04; 5 * 5 * 3], [5, 5, 3, 1])?;
/// let pointwise = Pointwise::from_keras(&[0.3; 3 * 256], [1, 1, 3, 256])?;
/// let between = depthwise.output_shape(image)?;
/// assert_eq!(between, Shape::new(8, 8, 3));
/// assert_eq!(depthwise.multiplications(image)?, 4_800);
/// assert_eq!(pointwise.multiplications(between)?, 49_152);
///
/// let separable = SeparableConv::new(depthwise, pointwise)?;
/// assert_eq!(separable.output_shape(image)?, Shape::new(8, 8, 256));
/// assert_eq!(separable.multiplications(image)?, 53_952);
/// assert_eq!(separable.ordinary_multiplications(image)?, 1_228_800);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SeparableConv {
    depthwise: Depthwise,
    pointwise: Pointwise,
}

impl SeparableConv {
    /// From its two halves. Either may have a bias and an activation.
    ///
    /// Errors: the depthwise half gives another number of channels than the pointwise one takes.
    pub fn new(depthwise: Depthwise, pointwise: Pointwise) -> Result<Self, Error> {
        if depthwise.output_channels() != pointwise.input_channels() {
            return Err(Error::LayerMismatch {
                first: depthwise.to_string(),
                gives: depthwise.output_channels(),
                second: pointwise.to_string(),
                takes: pointwise.input_channels(),
            });
        }
        Ok(Self { depthwise, pointwise })
    }

    /// From the two weight arrays of Keras' `SeparableConv2D`: `[height, width, channels,
    /// multiplier]` and `[1, 1, channels · multiplier, output channels]`.
    pub fn from_keras(
        depthwise: (&[f32], [usize; 4]),
        pointwise: (&[f32], [usize; 4]),
    ) -> Result<Self, Error> {
        Self::new(
            Depthwise::from_keras(depthwise.0, depthwise.1)?,
            Pointwise::from_keras(pointwise.0, pointwise.1)?,
        )
    }

    /// From the weights of two PyTorch layers: `[channels · multiplier, 1, height, width]`, with
    /// `groups` = channels, and `[output channels, channels · multiplier, 1, 1]`.
    pub fn from_pytorch(
        depthwise: (&[f32], [usize; 4]),
        groups: usize,
        pointwise: (&[f32], [usize; 4]),
    ) -> Result<Self, Error> {
        Self::new(
            Depthwise::from_pytorch(depthwise.0, depthwise.1, groups)?,
            Pointwise::from_pytorch(pointwise.0, pointwise.1)?,
        )
    }

    /// The same weights with another stride, dilation and padding of the depthwise half.
    pub fn with_window(mut self, window: Window) -> Result<Self, Error> {
        self.depthwise = self.depthwise.with_window(window)?;
        Ok(self)
    }

    /// Adds a value to each output channel of the pointwise half.
    pub fn with_bias(mut self, bias: &[f32]) -> Result<Self, Error> {
        self.pointwise = self.pointwise.with_bias(bias)?;
        Ok(self)
    }

    /// What happens to each sum of the pointwise half, after the bias.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.pointwise = self.pointwise.with_activation(activation);
        self
    }

    /// The first half.
    #[must_use]
    pub fn depthwise(&self) -> &Depthwise {
        &self.depthwise
    }

    /// The second half.
    #[must_use]
    pub fn pointwise(&self) -> &Pointwise {
        &self.pointwise
    }

    /// The shape of the output for an input of shape `input`.
    pub fn output_shape(&self, input: Shape) -> Result<Shape, Error> {
        self.pointwise.output_shape(self.depthwise.output_shape(input)?)
    }

    /// Multiplications of both halves for an input of shape `input`.
    pub fn multiplications(&self, input: Shape) -> Result<u64, Error> {
        let between = self.depthwise.output_shape(input)?;
        let second = self.pointwise.multiplications(between)?;
        Ok(self.depthwise.multiplications(input)?.saturating_add(second))
    }

    /// Multiplications of an ordinary convolution with the same window and output.
    pub fn ordinary_multiplications(&self, input: Shape) -> Result<u64, Error> {
        let (width, height) = self.depthwise.size();
        let output = self.output_shape(input)?;
        Ok(super::product(output, &[width, height, self.depthwise.input_channels()]))
    }
}

impl fmt::Display for SeparableConv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.depthwise, self.pointwise)
    }
}
