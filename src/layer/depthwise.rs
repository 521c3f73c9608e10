//! `Depthwise`: a filter of its own for each channel.

use super::activation::Activation;
use super::weights;
use super::window::{Padding, Window, check_taps};
use crate::border::Border;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::view::Shape;
use std::fmt;

/// One kernel, or several, for each channel of the input, and no sum over channels.
///
/// Output channel c · multiplier + q is input channel c under kernel q of that channel, plus a
/// bias, through an activation. Kernels are applied as correlation, as all networks do.
///
/// ```
/// use twopass::{Depthwise, Padding, Shape, Window};
///
/// // 3×3 for each of 2 channels, in Keras order.
/// let layer = Depthwise::from_keras(&[1.0 / 9.0; 18], [3, 3, 2, 1])?
///     .with_window(Window::new().stride(2, 2).padding(Padding::Same))?;
/// assert_eq!(layer.output_shape(Shape::new(5, 4, 2))?, Shape::new(3, 2, 2));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Depthwise {
    size: (usize, usize),
    channels: usize,
    multiplier: usize,
    window: Window,
    /// Tap by tap, row by row: the weights of all output channels.
    taps: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Depthwise {
    /// From weights in the order of Keras: `[height, width, channels, multiplier]`.
    ///
    /// Errors: an axis of 0, a kernel above [`Kernel::MAX_SIDE`] a side, another number of
    /// weights, one that is not finite.
    pub fn from_keras(weights: &[f32], dims: [usize; 4]) -> Result<Self, Error> {
        weights::check(weights, dims)?;
        let [height, width, channels, multiplier] = dims;
        check_taps(width, height)?;
        Ok(Self {
            size: (width, height),
            channels,
            multiplier,
            window: Window::new(),
            taps: weights.to_vec(),
            bias: vec![0.0; channels * multiplier],
            activation: Activation::None,
        })
    }

    /// From weights in the order of PyTorch: `[channels · multiplier, 1, height, width]`, with
    /// `groups` = channels.
    ///
    /// Errors: as for [`from_keras`](Self::from_keras); a second axis other than 1; output
    /// channels that are no multiple of `groups`.
    pub fn from_pytorch(weights: &[f32], dims: [usize; 4], groups: usize) -> Result<Self, Error> {
        weights::check(weights, dims)?;
        let [outputs, inputs, height, width] = dims;
        if inputs != 1 || groups == 0 || !outputs.is_multiple_of(groups) {
            return Err(Error::NotDepthwise { dims, groups });
        }
        let taps = weights::transposed(weights, outputs, height * width);
        Self::from_keras(&taps, [height, width, groups, outputs / groups])
    }

    /// A kernel for each channel, with the image's size kept: the anchors lie on the output
    /// pixels, and `border` lies outside. Kernels of different size share the smallest window
    /// that holds them all. Taps are rounded to `f32`. With border `Valid` the output shrinks.
    ///
    /// Errors: no kernel; taps that `f32` cannot hold; a border constant of neither one value nor
    /// one for each kernel.
    pub fn from_kernels(kernels: &[Kernel], border: &Border) -> Result<Self, Error> {
        let most = |f: &dyn Fn(&Kernel) -> usize| kernels.iter().map(f).max().unwrap_or(0);
        let (left, top) = (most(&|k| k.anchor().0), most(&|k| k.anchor().1));
        let right = most(&|k| k.width() - 1 - k.anchor().0);
        let bottom = most(&|k| k.height() - 1 - k.anchor().1);
        let (width, height) = (left + 1 + right, top + 1 + bottom);
        check_taps(width, height)?;
        let whole: Vec<_> =
            kernels.iter().map(|k| k.embedded(width, height, (left, top))).collect();
        let taps = (0..width * height).flat_map(|t| whole.iter().map(move |k| k.taps()[t] as f32));
        let taps: Vec<f32> = taps.collect();
        let (border_x, border_y) = (border.clone(), border.clone());
        let padding = match border {
            Border::Valid => Padding::Valid,
            _ => Padding::Explicit { left, right, top, bottom, border_x, border_y },
        };
        Self::from_keras(&taps, [height, width, kernels.len(), 1])?
            .with_window(Window::new().padding(padding))
    }

    /// The same weights with another stride, dilation and padding.
    pub fn with_window(mut self, window: Window) -> Result<Self, Error> {
        window.check(self.size, self.channels)?;
        self.window = window;
        Ok(self)
    }

    /// Adds a value to each output channel.
    pub fn with_bias(mut self, bias: &[f32]) -> Result<Self, Error> {
        weights::check_bias(bias, self.output_channels())?;
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
        self.channels
    }

    /// Kernels for each channel.
    #[must_use]
    pub fn multiplier(&self) -> usize {
        self.multiplier
    }

    /// Channels of the output: input channels × multiplier.
    #[must_use]
    pub fn output_channels(&self) -> usize {
        self.channels * self.multiplier
    }

    /// Stride, dilation and padding.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The weights in Keras order: `[height, width, channels, multiplier]`.
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
        super::window_shape(&self.window, self.size, self.channels, self.output_channels(), input)
    }

    /// Multiplications for an input of shape `input`: output samples × taps.
    pub fn multiplications(&self, input: Shape) -> Result<u64, Error> {
        let (width, height) = self.size;
        Ok(super::product(self.output_shape(input)?, &[width, height]))
    }
}

impl fmt::Display for Depthwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        let (inputs, outputs) = (self.channels, self.output_channels());
        write!(f, "depthwise {width}×{height}, {inputs} → {outputs} channels")?;
        super::describe(f, Some(&self.window), self.activation)
    }
}
