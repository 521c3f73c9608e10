//! Layers: what a network, or a colour pipeline, does to an image of many channels. Each is a
//! value that was checked when it was made; [`Chain`] puts them one after the other, and image
//! filters among them, and plans them for one shape.
//!
//! Weights are `f32`, kept in the order of Keras, in which the output channels lie next to each
//! other: that is also the order in which the lanes want them.

mod activation;
mod chain;
mod conv2d;
mod depthwise;
mod pointwise;
mod separable;
mod weights;
mod window;

pub use activation::Activation;
pub use chain::Chain;
pub use conv2d::Conv2d;
pub use depthwise::Depthwise;
pub use pointwise::Pointwise;
pub use separable::SeparableConv;
pub use window::{Padding, Window};

use crate::error::Error;
use crate::filter::{Alpha, Filter, Post};
use crate::kernel::Kernel;
use crate::view::Shape;
use std::fmt;

/// A layer of any kind.
///
/// ```
/// use twopass::{Filter, Kernel, Layer, Pointwise};
///
/// let luma = Layer::from(Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1])?);
/// assert_eq!((luma.input_channels(), luma.output_channels()), (Some(3), Some(1)));
/// let blur = Layer::from(Filter::new(Kernel::gaussian(1.0)?));
/// assert_eq!(blur.input_channels(), None); // any number, which it keeps
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Layer {
    /// A kernel for each channel.
    Depthwise(Depthwise),
    /// A matrix over the channels.
    Pointwise(Pointwise),
    /// The one, then the other.
    Separable(SeparableConv),
    /// An ordinary convolution.
    Conv2d(Conv2d),
    /// An image filter, the same for every channel: of any number of channels, which it keeps. Its
    /// level and threads are the chain's.
    Filter(Filter),
}

impl Layer {
    /// Channels of the input; `None` is any number, which the layer keeps.
    #[must_use]
    pub fn input_channels(&self) -> Option<usize> {
        match self {
            Self::Depthwise(layer) => Some(layer.input_channels()),
            Self::Pointwise(layer) => Some(layer.input_channels()),
            Self::Separable(layer) => Some(layer.depthwise().input_channels()),
            Self::Conv2d(layer) => Some(layer.input_channels()),
            Self::Filter(_) => None,
        }
    }

    /// Channels of the output; `None` is as many as the input has.
    #[must_use]
    pub fn output_channels(&self) -> Option<usize> {
        match self {
            Self::Depthwise(layer) => Some(layer.output_channels()),
            Self::Pointwise(layer) => Some(layer.output_channels()),
            Self::Separable(layer) => Some(layer.pointwise().output_channels()),
            Self::Conv2d(layer) => Some(layer.output_channels()),
            Self::Filter(_) => None,
        }
    }

    /// The shape of the output for an input of shape `input`.
    pub fn output_shape(&self, input: Shape) -> Result<Shape, Error> {
        match self {
            Self::Depthwise(layer) => layer.output_shape(input),
            Self::Pointwise(layer) => layer.output_shape(input),
            Self::Separable(layer) => layer.output_shape(input),
            Self::Conv2d(layer) => layer.output_shape(input),
            Self::Filter(filter) => filter.output_shape(input),
        }
    }

    /// Multiplications for an input of shape `input`; of a filter, those of its 2D kernels, which a
    /// plan may do with fewer.
    pub fn multiplications(&self, input: Shape) -> Result<u64, Error> {
        match self {
            Self::Depthwise(layer) => layer.multiplications(input),
            Self::Pointwise(layer) => layer.multiplications(input),
            Self::Separable(layer) => layer.multiplications(input),
            Self::Conv2d(layer) => layer.multiplications(input),
            Self::Filter(filter) => {
                let taps = filter.kernels().iter().map(|k| k.taps().len()).sum();
                Ok(product(self.output_shape(input)?, &[taps]))
            }
        }
    }

    /// Multiplications per sample of the output; of a filter, those of its 2D kernels.
    pub(crate) fn multiplications_per_sample(&self) -> usize {
        let taps = |(width, height): (usize, usize)| width * height;
        match self {
            Self::Depthwise(layer) => taps(layer.size()),
            Self::Pointwise(layer) => layer.input_channels(),
            Self::Separable(layer) => {
                taps(layer.depthwise().size()) + layer.pointwise().input_channels()
            }
            Self::Conv2d(layer) => taps(layer.size()) * layer.input_channels(),
            Self::Filter(filter) => filter.kernels().iter().map(|k| k.taps().len()).sum(),
        }
    }
}

impl From<Depthwise> for Layer {
    fn from(layer: Depthwise) -> Self {
        Self::Depthwise(layer)
    }
}

impl From<Pointwise> for Layer {
    fn from(layer: Pointwise) -> Self {
        Self::Pointwise(layer)
    }
}

impl From<SeparableConv> for Layer {
    fn from(layer: SeparableConv) -> Self {
        Self::Separable(layer)
    }
}

impl From<Conv2d> for Layer {
    fn from(layer: Conv2d) -> Self {
        Self::Conv2d(layer)
    }
}

impl From<Filter> for Layer {
    fn from(filter: Filter) -> Self {
        Self::Filter(filter)
    }
}

impl From<Kernel> for Layer {
    fn from(kernel: Kernel) -> Self {
        Self::Filter(Filter::new(kernel))
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depthwise(layer) => layer.fmt(f),
            Self::Pointwise(layer) => layer.fmt(f),
            Self::Separable(layer) => layer.fmt(f),
            Self::Conv2d(layer) => layer.fmt(f),
            Self::Filter(filter) => describe_filter(f, filter),
        }
    }
}

/// Whether an image of shape `input` has pixels, and of `channels` channels.
fn check_input(input: Shape, channels: usize) -> Result<(), Error> {
    input.samples()?;
    if input.channels != channels {
        let expected = Shape { channels, ..input };
        return Err(Error::ShapeMismatch { what: "layer's input", expected, given: input });
    }
    Ok(())
}

/// The output of a layer with a window.
fn window_shape(
    window: &Window,
    size: (usize, usize),
    inputs: usize,
    outputs: usize,
    input: Shape,
) -> Result<Shape, Error> {
    check_input(input, inputs)?;
    let [x, y] = window.axes(size, input)?;
    let output = Shape::new(x.out, y.out, outputs);
    output.samples()?;
    Ok(output)
}

/// A filter's line.
fn describe_filter(f: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
    let kernel = &filter.kernels()[0];
    let (border_x, border_y) = filter.get_borders();
    write!(f, "filter {}×{}", kernel.width(), kernel.height())?;
    match filter.get_post() {
        Post::None => {}
        Post::Abs => write!(f, ", absolute values")?,
        Post::Magnitude => write!(f, ", magnitude of two kernels")?,
    }
    if filter.get_scale() != 1.0 {
        write!(f, ", scale {}", filter.get_scale())?;
    }
    if filter.get_offset() != 0.0 {
        write!(f, ", offset {}", filter.get_offset())?;
    }
    match filter.get_alpha() {
        Some(Alpha::Premultiply) => write!(f, ", colour multiplied by alpha")?,
        Some(Alpha::Keep) => write!(f, ", alpha kept")?,
        _ => {}
    }
    if border_x == border_y {
        write!(f, ", border {border_x}")
    } else {
        write!(f, ", border {border_x} across, {border_y} down")
    }
}

/// Samples of an image × factors. More than a `u64` holds would take centuries to compute.
fn product(shape: Shape, factors: &[usize]) -> u64 {
    let samples = [shape.width, shape.height, shape.channels];
    samples.iter().chain(factors).fold(1u64, |n, &f| n.saturating_mul(f as u64))
}

/// The rest of a layer's line: what is not the usual.
fn describe(
    f: &mut fmt::Formatter<'_>,
    window: Option<&Window>,
    activation: Activation,
) -> fmt::Result {
    if let Some(window) = window {
        let ((sx, sy), (dx, dy)) = (window.get_stride(), window.get_dilation());
        if (sx, sy) != (1, 1) {
            write!(f, ", stride {sx}×{sy}")?;
        }
        if (dx, dy) != (1, 1) {
            write!(f, ", dilation {dx}×{dy}")?;
        }
        match window.get_padding() {
            Padding::Valid => write!(f, ", valid")?,
            Padding::Same => write!(f, ", same")?,
            Padding::Explicit { left, right, top, bottom, border_x, border_y } => {
                write!(f, ", padding {left}+{right} {border_x}, {top}+{bottom} {border_y}")?;
            }
        }
    }
    if activation != Activation::None {
        write!(f, ", {activation}")?;
    }
    Ok(())
}
