//! The one error type of the library: every variant names the thing that is wrong and, where
//! there is one, the limit. Nothing a caller supplies panics; it ends here.

use crate::shape::{Rect, Shape};

/// What can be wrong with a kernel, a filter, an image or a plan.
///
/// ```
/// use twopass::{Error, Kernel};
///
/// let error = Kernel::new(2, 2, vec![1.0; 3]).unwrap_err();
/// assert_eq!(error, Error::TapCount { width: 2, height: 2, given: 3 });
/// assert_eq!(error.to_string(), "a 2×2 kernel needs 4 taps, 3 were given");
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A kernel without taps.
    #[error("the kernel is empty ({width}×{height})")]
    EmptyKernel {
        /// Columns given.
        width: usize,
        /// Rows given.
        height: usize,
    },
    /// The number of taps is not width × height.
    #[error("a {width}×{height} kernel needs {} taps, {given} were given", width.saturating_mul(*height))]
    TapCount {
        /// Columns asked for.
        width: usize,
        /// Rows asked for.
        height: usize,
        /// Taps given.
        given: usize,
    },
    /// A tap that is NaN or infinite.
    #[error("the kernel's tap in column {x}, row {y} is {value}; taps must be finite")]
    TapNotFinite {
        /// Column of the tap.
        x: usize,
        /// Row of the tap.
        y: usize,
        /// The tap.
        value: f64,
    },
    /// A kernel side above [`Kernel::MAX_SIDE`](crate::Kernel::MAX_SIDE).
    #[error("a kernel of {width}×{height} is too large; the limit is {limit} a side")]
    KernelTooLarge {
        /// Columns asked for.
        width: usize,
        /// Rows asked for.
        height: usize,
        /// The limit.
        limit: usize,
    },
    /// An anchor outside the kernel.
    #[error("the anchor ({x}, {y}) lies outside the {width}×{height} kernel")]
    AnchorOutside {
        /// Column of the anchor.
        x: usize,
        /// Row of the anchor.
        y: usize,
        /// Columns of the kernel.
        width: usize,
        /// Rows of the kernel.
        height: usize,
    },
    /// A parameter outside its range.
    #[error("{name} is {value}; it must be {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A parameter given to a kernel that has no use for it.
    #[error("kernel {kernel} does not take {parameter}; it takes {takes}")]
    ParameterNotTaken {
        /// Name of the kernel.
        kernel: &'static str,
        /// Name of the parameter.
        parameter: &'static str,
        /// Names of the parameters it takes, or "none".
        takes: String,
    },
    /// A name that is in no table.
    #[error("there is no {what} named {name:?}; there are {known}")]
    UnknownName {
        /// Kind of thing looked for.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A kernel text that does not parse.
    #[error("cannot read the kernel: {0}")]
    Parse(String),
    /// Two passes were asked for and the kernel is not of rank 1.
    #[error(
        "the kernel is not separable: rank {least}{rank}, two passes would be wrong by up to \
         {residual:.6} of the input range", least = if *.rank_known { "" } else { "at least " }
    )]
    NotSeparable {
        /// Numerical rank.
        rank: usize,
        /// Whether it is that, and not only no less.
        rank_known: bool,
        /// ‖K − K₁‖₁.
        residual: f64,
    },
    /// Width × height × channels does not fit the address space.
    #[error("an image of {0} is too large for this machine's address space")]
    SizeOverflow(Shape),
    /// An image without pixels.
    #[error("the image is empty ({0})")]
    EmptyImage(Shape),
    /// A slice too short for the shape and stride.
    #[error(
        "an image of {shape} with a row stride of {stride} needs {needed} samples, the slice has {given}"
    )]
    SliceTooShort {
        /// The shape claimed.
        shape: Shape,
        /// The row stride claimed, in samples.
        stride: usize,
        /// Samples needed.
        needed: usize,
        /// Samples given.
        given: usize,
    },
    /// A vector that holds more or fewer samples than an image.
    #[error("an image of {shape} has {needed} samples, the vector has {given}")]
    SampleCount {
        /// The shape claimed.
        shape: Shape,
        /// Samples needed.
        needed: usize,
        /// Samples given.
        given: usize,
    },
    /// Memory that the system did not give.
    #[error("there is no memory for an image of {0}")]
    OutOfMemory(Shape),
    /// A row stride shorter than a row.
    #[error("a row stride of {stride} samples is shorter than a row of {row}")]
    StrideTooShort {
        /// The stride given.
        stride: usize,
        /// Samples in a row.
        row: usize,
    },
    /// An image of another shape than the plan or operation expects.
    #[error("the {what} is {given}, but {expected} is needed")]
    ShapeMismatch {
        /// Which image.
        what: &'static str,
        /// What it must be.
        expected: Shape,
        /// What it is.
        given: Shape,
    },
    /// A rectangle that leaves the image.
    #[error("the rectangle {rect} leaves the image of {shape}")]
    RectOutside {
        /// The rectangle.
        rect: Rect,
        /// The image.
        shape: Shape,
    },
    /// The part given for a region does not hold what that needs.
    #[error("the region needs {needed} of the source, {given} was given")]
    PartTooSmall {
        /// From `input_region`.
        needed: Rect,
        /// What was given.
        given: Rect,
    },
    /// Border `Valid` and an image smaller than the kernel.
    #[error(
        "a {kernel_width}×{kernel_height} kernel does not fit into an image of {shape}, so border valid leaves nothing"
    )]
    NothingValid {
        /// Columns of the kernel.
        kernel_width: usize,
        /// Rows of the kernel.
        kernel_height: usize,
        /// The image.
        shape: Shape,
    },
    /// The wrong number of border constants.
    #[error(
        "the constant border has {given} values for {channels} channels; give one, or one per channel"
    )]
    ConstantCount {
        /// Values given.
        given: usize,
        /// Channels of the image.
        channels: usize,
    },
    /// A border constant that `f32`, in which constants are kept, does not hold.
    #[error("the border constant {value} is not a finite number of f32")]
    ConstantValue {
        /// The constant.
        value: f64,
    },
    /// Alpha handling asked for on an image without an alpha channel.
    #[error("alpha handling needs 2 or 4 channels, the image has {channels}")]
    NoAlpha {
        /// Channels of the image.
        channels: usize,
    },
    /// A layer without weights.
    #[error("weights of {dims:?} are none at all; every axis must have at least one")]
    EmptyWeights {
        /// The axes, in the order of the constructor.
        dims: [usize; 4],
    },
    /// More weights than the address space holds.
    #[error("weights of {dims:?} are too many for this machine's address space")]
    WeightsOverflow {
        /// The axes, in the order of the constructor.
        dims: [usize; 4],
    },
    /// The number of weights is not the product of the axes.
    #[error("weights of {dims:?} are {needed}, {given} were given")]
    WeightCount {
        /// The axes, in the order of the constructor.
        dims: [usize; 4],
        /// Weights needed.
        needed: usize,
        /// Weights given.
        given: usize,
    },
    /// A weight that is NaN or infinite.
    #[error("{what} {index} is {value}; weights must be finite")]
    WeightNotFinite {
        /// Weight or bias.
        what: &'static str,
        /// Its place in the array.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// The wrong number of bias values.
    #[error("the bias has {given} values for {channels} output channels")]
    BiasCount {
        /// Output channels of the layer.
        channels: usize,
        /// Values given.
        given: usize,
    },
    /// Weights in PyTorch order that are not those of a depthwise layer.
    #[error(
        "weights of {dims:?} with {groups} groups are not depthwise: the first axis must be a \
         multiple of the groups, the second 1"
    )]
    NotDepthwise {
        /// Output channels, input channels of a group, height, width.
        dims: [usize; 4],
        /// The groups given.
        groups: usize,
    },
    /// Weights of a pointwise layer with more than one tap.
    #[error("weights of {dims:?} are not pointwise: height and width must be 1")]
    NotPointwise {
        /// The axes, in the order of the constructor.
        dims: [usize; 4],
    },
    /// A layer that does not take what the one before it gives.
    #[error("{second:?} takes {takes} channels, but {first:?} before it gives {gives}")]
    LayerMismatch {
        /// The first layer.
        first: String,
        /// Its output channels.
        gives: usize,
        /// The second layer.
        second: String,
        /// Its input channels.
        takes: usize,
    },
    /// A file of weights that cannot be read.
    #[error("the weights cannot be read: {0}")]
    WeightsFile(String),
    /// An array whose axes are not those that a layer needs.
    #[error("tensor {name:?} has the shape {given:?}, {needed} is needed")]
    TensorShape {
        /// The array's name.
        name: String,
        /// The length of each axis.
        given: Vec<usize>,
        /// The axes needed, those that may have any length by name.
        needed: String,
    },
    /// An array of other numbers than 32-bit floats.
    #[error("tensor {name:?} holds {given}, not little-endian 32-bit floats")]
    TensorType {
        /// The array's name.
        name: String,
        /// What the file says of its numbers.
        given: String,
    },
    /// A batch whose slice is not that many images.
    #[error("a batch of {images} images of {shape} needs {needed} samples, the {what} has {given}")]
    BatchLength {
        /// Source or output.
        what: &'static str,
        /// Images in the batch.
        images: usize,
        /// The shape of each.
        shape: Shape,
        /// Samples needed.
        needed: usize,
        /// Samples given.
        given: usize,
    },
    /// An instruction set that this machine does not have.
    #[error("this machine has no {0}")]
    LevelMissing(&'static str),
    /// A combination that is not offered.
    #[error("{0}")]
    Unsupported(&'static str),
}
