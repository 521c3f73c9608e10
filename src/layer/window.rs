//! Where the taps of a layer lie: stride, dilation and padding, and what follows from them on each
//! axis.

use crate::border::Border;
use crate::error::Error;
use crate::geometry::Axis;
use crate::kernel::Kernel;
use crate::view::Shape;

/// What surrounds the image that a layer reads.
///
/// ```
/// use twopass::{Depthwise, Padding, Shape, Window};
///
/// let layer = Depthwise::from_keras(&[0.1; 3 * 3 * 8], [3, 3, 8, 1])?;
/// let image = Shape::new(32, 32, 8);
/// for (padding, side) in [(Padding::Valid, 15), (Padding::Same, 16), (Padding::zeros(1, 1), 16)] {
///     let layer = layer.clone().with_window(Window::new().stride(2, 2).padding(padding))?;
///     assert_eq!(layer.output_shape(image)?, Shape::new(side, side, 8));
/// }
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Padding {
    /// Nothing: only windows inside the image count.
    #[default]
    Valid,
    /// Zeros, such that there are ⌈size / stride⌉ outputs; an odd one goes right and below. The
    /// rule of Keras and TensorFlow.
    Same,
    /// So many pixels on each side, read through a border. The padding of PyTorch is this with
    /// `Border::Constant(vec![0.0])`.
    Explicit {
        /// Columns before the first.
        left: usize,
        /// Columns after the last.
        right: usize,
        /// Rows above the first.
        top: usize,
        /// Rows below the last.
        bottom: usize,
        /// What the columns hold.
        border_x: Border,
        /// What the rows hold. A pixel outside on both axes is a constant of `border_x` first.
        border_y: Border,
    },
}

impl Padding {
    /// Zeros, as many on both sides: the padding of PyTorch.
    #[must_use]
    pub fn zeros(x: usize, y: usize) -> Self {
        let zero = || Border::Constant(vec![0.0]);
        Self::Explicit { left: x, right: x, top: y, bottom: y, border_x: zero(), border_y: zero() }
    }
}

/// Stride, dilation and padding of a layer.
///
/// Tap (i, j) of output pixel (x, y) lies on the input pixel
/// (x · stride + i · dilation − left, y · stride + j · dilation − top).
///
/// ```
/// use twopass::{Padding, Window};
///
/// let window = Window::new().stride(2, 2).padding(Padding::Same);
/// assert_eq!(window.get_dilation(), (1, 1));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    stride: (usize, usize),
    dilation: (usize, usize),
    padding: Padding,
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// Largest stride, dilation, padding of a side, and distance of the first tap from the last.
    pub const MAX: usize = 1 << 16;

    /// Stride 1, dilation 1, padding [`Valid`](Padding::Valid).
    #[must_use]
    pub fn new() -> Self {
        Self { stride: (1, 1), dilation: (1, 1), padding: Padding::Valid }
    }

    /// Input columns and rows from one output pixel to the next. Checked by the layer.
    #[must_use]
    pub fn stride(mut self, x: usize, y: usize) -> Self {
        self.stride = (x, y);
        self
    }

    /// Input columns and rows from one tap to the next. Checked by the layer.
    #[must_use]
    pub fn dilation(mut self, x: usize, y: usize) -> Self {
        self.dilation = (x, y);
        self
    }

    /// What surrounds the image. Checked by the layer.
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Input columns and rows from one output pixel to the next.
    #[must_use]
    pub fn get_stride(&self) -> (usize, usize) {
        self.stride
    }

    /// Input columns and rows from one tap to the next.
    #[must_use]
    pub fn get_dilation(&self) -> (usize, usize) {
        self.dilation
    }

    /// What surrounds the image.
    #[must_use]
    pub fn get_padding(&self) -> &Padding {
        &self.padding
    }

    /// Whether the window makes sense for a kernel of `taps` columns and rows and an input of
    /// `channels` channels.
    pub(crate) fn check(&self, taps: (usize, usize), channels: usize) -> Result<(), Error> {
        let limits = |name, value: usize, least: usize, expected| {
            if (least..=Self::MAX).contains(&value) {
                return Ok(());
            }
            Err(Error::Parameter { name, value: value as f64, expected })
        };
        for stride in [self.stride.0, self.stride.1] {
            limits("stride", stride, 1, "1 to 65536")?;
        }
        for (dilation, taps) in [(self.dilation.0, taps.0), (self.dilation.1, taps.1)] {
            limits("dilation", dilation, 1, "1 to 65536")?;
            let span = (taps - 1) * dilation + 1;
            limits("dilated kernel", span, 1, "at most 65536 pixels a side")?;
        }
        if let Padding::Explicit { left, right, top, bottom, border_x, border_y } = &self.padding {
            for side in [left, right, top, bottom] {
                limits("padding", *side, 0, "0 to 65536")?;
            }
            for (border, sides) in [(border_x, left + right), (border_y, top + bottom)] {
                match border {
                    Border::Valid if sides > 0 => {
                        return Err(Error::Unsupported(
                            "padding with border valid has nothing to be filled with; use \
                             Padding::Valid or another border",
                        ));
                    }
                    Border::Constant(values) => {
                        if !(values.len() == 1 || values.len() == channels) {
                            return Err(Error::ConstantCount { given: values.len(), channels });
                        }
                        if let Some(&value) = values.iter().find(|v| !(**v as f32).is_finite()) {
                            return Err(Error::ConstantValue { value });
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What the window does on each axis of an image of shape `input`, with a kernel of
    /// `taps` columns and rows.
    pub(crate) fn axes(&self, taps: (usize, usize), input: Shape) -> Result<[Axis; 2], Error> {
        let zero = Border::Constant(vec![0.0]);
        let ((left, right, border_x), (top, bottom, border_y)) = match &self.padding {
            Padding::Valid => ((Some(0), 0, &Border::Valid), (Some(0), 0, &Border::Valid)),
            Padding::Same => ((None, 0, &zero), (None, 0, &zero)),
            Padding::Explicit { left, right, top, bottom, border_x, border_y } => {
                ((Some(*left), *right, border_x), (Some(*top), *bottom, border_y))
            }
        };
        let axis = |taps: usize,
                    stride: usize,
                    dilation: usize,
                    len: usize,
                    before: Option<usize>,
                    after: usize,
                    border: &Border| {
            let span = (taps - 1) * dilation + 1;
            let (before, out) = match before {
                None => {
                    let out = len.div_ceil(stride);
                    (((out - 1) * stride + span).saturating_sub(len) / 2, Some(out))
                }
                Some(before) => {
                    let room: Option<usize> = (len + before + after).checked_sub(span);
                    (before, room.map(|room| room / stride + 1))
                }
            };
            let border = border.clone();
            out.map(|out| Axis { taps, stride, dilation, before, border, len, out })
        };
        let ((sx, sy), (dx, dy)) = (self.stride, self.dilation);
        let x = axis(taps.0, sx, dx, input.width, left, right, border_x);
        let y = axis(taps.1, sy, dy, input.height, top, bottom, border_y);
        match (x, y) {
            (Some(x), Some(y)) => Ok([x, y]),
            _ => Err(Error::NothingValid {
                kernel_width: (taps.0 - 1) * dx + 1,
                kernel_height: (taps.1 - 1) * dy + 1,
                shape: input,
            }),
        }
    }
}

/// Checks the size of a kernel: not empty, not larger than kernels may be.
pub(crate) fn check_taps(width: usize, height: usize) -> Result<(), Error> {
    Kernel::check_size(width, height)
}
