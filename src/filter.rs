//! `Filter`: what to do, as a value. It knows nothing of sizes, sample types or instruction
//! sets; `plan` decides how it is done.

use crate::border::Border;
use crate::error::Error;
use crate::geometry::Axis;
use crate::kernel::Kernel;
use crate::simd::Level;
use crate::view::Shape;
use std::fmt;

/// How the work is to be done. `Auto` is right unless something is to be compared or asserted.
///
/// ```
/// use twopass::{Filter, Kernel, Method, Shape};
///
/// // Fails, should the kernel not be separable.
/// let two_passes = Filter::new(Kernel::laplacian()).method(Method::Separable);
/// assert!(two_passes.plan::<u8, u8>(Shape::new(64, 48, 1)).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Method {
    /// Two passes if the kernel is separable, or two rates if it is also long and smooth; terms one by one, if it is
    /// a sum of kernels and that is cheaper; runs if many of its taps are equal or 0; else dense, or large ones
    /// by Fourier transforms.
    #[default]
    Auto,
    /// Two 1D passes; an error if the kernel is not separable.
    Separable,
    /// The terms of a kernel one by one, each as a filter of its own, added before anything is rounded to a sample: those
    /// that are known ([`Kernel::terms`]), or two to four products; an error if there are none, or results would not keep
    /// the contract.
    Terms,
    /// Long smooth separable kernels at two rates: decimated, filtered and interpolated; an error where the
    /// [`tolerance`](Filter::tolerance) cannot be kept. Where none is given, results of floats may be off by 1/510 of the
    /// range.
    Multirate,
    /// Only what changes from row to row, or from run to run of equal taps, and zeros not at all: discs, rings, polygons,
    /// lines. A sample under a zero is not read, so that it may be NaN.
    Runs,
    /// One direct 2D pass.
    Dense,
    /// Blocks by fast Fourier transforms, for large kernels that are no products, with the feature `fft`; an error where
    /// results would not be the same on every machine. Not for magnitudes, `f32` images whose results are integers, or
    /// whose colours are multiplied by alpha, and filters of integer images in a chain that are not its first, or
    /// premultiplied.
    Fft,
    /// The reference: the definition itself in `f64`, slow and single-threaded.
    Naive,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Separable => "separable",
            Self::Terms => "terms",
            Self::Multirate => "multirate",
            Self::Runs => "runs",
            Self::Dense => "dense",
            Self::Fft => "fft",
            Self::Naive => "naive",
        })
    }
}

/// What happens to the weighted sum before it is rounded.
///
/// ```
/// use twopass::{Filter, Kernel, Post};
///
/// let gradient = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y())?;
/// assert_eq!(gradient.get_post(), Post::Magnitude);
/// assert_eq!(Filter::new(Kernel::laplacian()).abs().get_post(), Post::Abs);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Post {
    /// Nothing.
    #[default]
    None,
    /// The absolute value.
    Abs,
    /// √(x² + y²) of the results of two kernels.
    Magnitude,
}

/// What filtering does to the alpha channel, the last of 2 or 4 channels.
///
/// ```
/// use twopass::{Alpha, Filter, Image, Kernel, Shape, Workspace};
///
/// // A red pixel beside a transparent one that hides green.
/// let pair = Image::from_vec(vec![255u8, 0, 0, 255, 0, 255, 0, 0], Shape::new(2, 1, 4))?;
/// let mean = Filter::new(Kernel::box_(3, 1)?).border(twopass::Border::Replicate);
/// let first = |alpha| -> Result<Vec<u8>, twopass::Error> {
///     let plan = mean.clone().alpha(alpha).plan::<u8, u8>(pair.shape())?;
///     let mut out = Image::new(plan.output_shape())?;
///     plan.run(pair.view(), out.view_mut(), &mut Workspace::new())?;
///     Ok(out.data()[..4].to_vec())
/// };
/// assert_eq!(first(Alpha::Premultiply)?, [255, 0, 0, 170]); // what is seen is red
/// assert_eq!(first(Alpha::Plain)?, [170, 85, 0, 170]); // green bleeds into it
/// assert_eq!(first(Alpha::Keep)?, [170, 85, 0, 255]);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Alpha {
    /// Colour is filtered multiplied by alpha and divided by the filtered alpha afterwards, so
    /// that the colour of transparent pixels does not bleed. Colour is 0 where alpha rounds to
    /// 0, or is NaN. Scale acts on colour × alpha and on alpha, offset on colour only. Not for magnitudes.
    ///
    /// The filtered alpha is limited to 0 to full (1 in `f32` images) before colours are divided by it, so that
    /// colours under an alpha of more than full get brighter: in `f32` images alpha must be from 0 to 1. With taps
    /// below 0 the filtered alpha may be much smaller than what it is made of, and the error of colours, which is
    /// bounded on colour × alpha, that much larger.
    Premultiply,
    /// Alpha is a channel like any other.
    Plain,
    /// Colour is filtered as it is; alpha is copied from the pixel under the anchor.
    Keep,
}

/// A linear filter, and what surrounds it: kernel (or two, for a magnitude), border, scale,
/// offset, post-step, method.
///
/// The result for each output sample is `post(scale · Σ tap · sample + offset)`, computed per
/// channel and rounded once; [`reference`](crate::reference) is the definition.
///
/// Methods that are named like a property set it and give the filter back; what it is set to is told by `get_…`, as in
/// the standard library's [`Command`](std::process::Command).
///
/// ```
/// use twopass::{Border, Filter, Kernel};
///
/// let filter = Filter::new(Kernel::separable(&[1.0, 2.0, 1.0], &[1.0, 2.0, 1.0])?)
///     .scale(1.0 / 16.0)
///     .border(Border::Replicate);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    kernels: Vec<Kernel>,
    border_x: Border,
    border_y: Border,
    scale: f64,
    offset: f64,
    post: Post,
    method: Method,
    tolerance: Option<f64>,
    alpha: Option<Alpha>,
    level: Option<Level>,
    threads: usize,
}

impl Filter {
    /// A filter with one kernel; border [`Reflect101`](Border::Reflect101), scale 1, offset 0.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernels: vec![kernel],
            border_x: Border::default(),
            border_y: Border::default(),
            scale: 1.0,
            offset: 0.0,
            post: Post::None,
            method: Method::Auto,
            tolerance: None,
            alpha: None,
            level: None,
            threads: 0,
        }
    }

    /// The gradient magnitude √(x² + y²) of two kernels, in one sweep. Kernels of different size
    /// share the smallest window that holds both with their anchors on each other.
    pub fn magnitude(x: &Kernel, y: &Kernel) -> Result<Self, Error> {
        let axis = |size_x: usize, at_x: usize, size_y: usize, at_y: usize| {
            let anchor = at_x.max(at_y);
            (anchor + (size_x - at_x).max(size_y - at_y), anchor)
        };
        let (width, ax) = axis(x.width(), x.anchor().0, y.width(), y.anchor().0);
        let (height, ay) = axis(x.height(), x.anchor().1, y.height(), y.anchor().1);
        Kernel::check_size(width, height)?;
        let window = |k: &Kernel| k.embedded(width, height, (ax, ay));
        let mut filter = Self::new(window(x));
        filter.kernels.push(window(y));
        filter.post = Post::Magnitude;
        Ok(filter)
    }

    /// What lies outside the image, on both axes.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        self.borders(border.clone(), border)
    }

    /// What lies outside the image, left and right (`x`), and above and below (`y`). In a corner
    /// that is outside on both axes, a constant of `x` goes before one of `y`.
    #[must_use]
    pub fn borders(mut self, x: Border, y: Border) -> Self {
        self.border_x = x;
        self.border_y = y;
        self
    }

    /// Multiplies the weighted sum. Finite; checked when planned.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Added to the scaled sum, in units of output samples. Finite; checked when planned.
    #[must_use]
    pub fn offset(mut self, offset: f64) -> Self {
        self.offset = offset;
        self
    }

    /// Takes the absolute value of the result. A magnitude stays one.
    #[must_use]
    pub fn abs(mut self) -> Self {
        if self.post == Post::None {
            self.post = Post::Abs;
        }
        self
    }

    /// How the work is to be done.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// How far results may be from exact before they are rounded, for the sake of a faster method: per unit of input
    /// range, from 0 (exact methods only) on. Finite; checked when planned.
    ///
    /// Without this call integer results may be off by what rounding hides, less than half a level in all, and results
    /// of floats are those of exact methods. In a chain each filter that can has its share of what results may be
    /// off by, divided by what the filters after it make of an error; a tolerance there is per unit of the largest value
    /// that the filter reads.
    ///
    /// ```
    /// use twopass::{Filter, Kernel, Method, Shape};
    ///
    /// let blur = Filter::new(Kernel::gaussian(25.0)?).tolerance(4e-3);
    /// let plan = blur.plan::<f32, f32>(Shape::new(640, 480, 1))?;
    /// assert_eq!(plan.stages()[0].method, Some(Method::Multirate));
    /// assert!(plan.error_bound().unwrap() <= 4e-3 && plan.multiplications_per_sample() < 10);
    /// # Ok::<(), twopass::Error>(())
    /// ```
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// What happens to the alpha channel. Without this call raw views are filtered plain, and
    /// images of the `image` crate by the rule described at `Filter::apply`.
    #[must_use]
    pub fn alpha(mut self, alpha: Alpha) -> Self {
        self.alpha = Some(alpha);
        self
    }

    /// The instruction set to use instead of the best one.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// At most this many workers of the caller's current rayon pool; 0 (the default) is all of
    /// them.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The kernel, or the two of a magnitude; all of one size and anchor.
    #[must_use]
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The borders: left and right, above and below.
    #[must_use]
    pub fn get_borders(&self) -> (&Border, &Border) {
        (&self.border_x, &self.border_y)
    }

    /// The factor on the weighted sum.
    #[must_use]
    pub fn get_scale(&self) -> f64 {
        self.scale
    }

    /// What is added to the scaled sum.
    #[must_use]
    pub fn get_offset(&self) -> f64 {
        self.offset
    }

    /// The post-step.
    #[must_use]
    pub fn get_post(&self) -> Post {
        self.post
    }

    /// The method asked for.
    #[must_use]
    pub fn get_method(&self) -> Method {
        self.method
    }

    /// How far results may be from exact, if that was said.
    #[must_use]
    pub fn get_tolerance(&self) -> Option<f64> {
        self.tolerance
    }

    /// The alpha handling asked for, if any.
    #[must_use]
    pub fn get_alpha(&self) -> Option<Alpha> {
        self.alpha
    }

    /// The instruction set asked for, if any.
    #[must_use]
    pub fn get_level(&self) -> Option<Level> {
        self.level
    }

    /// The limit on workers; 0 is none.
    #[must_use]
    pub fn get_threads(&self) -> usize {
        self.threads
    }

    /// Whether any tap of any kernel is below 0.
    #[must_use]
    pub fn has_negative_tap(&self) -> bool {
        self.kernels.iter().any(Kernel::has_negative_tap)
    }

    /// The shape that it makes of an image of shape `input`; smaller only with border [`Valid`](Border::Valid).
    ///
    /// Errors: an empty or too large shape, border `Valid` with an image smaller than the kernel, another number of border
    /// constants than channels, alpha handling without an alpha channel, numbers that are not finite.
    pub fn output_shape(&self, input: Shape) -> Result<Shape, Error> {
        input.samples()?;
        let kernel = &self.kernels()[0];
        let (border_x, border_y) = self.get_borders();
        let nothing = || Error::NothingValid {
            kernel_width: kernel.width(),
            kernel_height: kernel.height(),
            shape: input,
        };
        let axis = |border: &Border, len: usize, taps: usize| match border {
            Border::Valid if len < taps => Err(nothing()),
            Border::Valid => Ok(len - taps + 1),
            Border::Constant(values) => {
                let (given, channels) = (values.len(), input.channels);
                if given == 1 || given == channels {
                    Ok(len)
                } else {
                    Err(Error::ConstantCount { given, channels })
                }
            }
            _ => Ok(len),
        };
        for (name, value) in [("scale", self.get_scale()), ("offset", self.get_offset())] {
            if !value.is_finite() {
                return Err(Error::Parameter { name, value, expected: "finite" });
            }
        }
        if let Some(value) = self.get_tolerance().filter(|t| !(t.is_finite() && *t >= 0.0)) {
            return Err(Error::Parameter {
                name: "tolerance",
                value,
                expected: "finite, at least 0",
            });
        }
        if matches!(self.get_alpha(), Some(Alpha::Premultiply | Alpha::Keep))
            && !matches!(input.channels, 2 | 4)
        {
            return Err(Error::NoAlpha { channels: input.channels });
        }
        if self.get_alpha() == Some(Alpha::Premultiply) && self.kernels().len() > 1 {
            return Err(Error::Unsupported(
                "a gradient magnitude has no premultiplied form; filter alpha plain or keep it",
            ));
        }
        Ok(Shape {
            width: axis(border_x, input.width, kernel.width())?,
            height: axis(border_y, input.height, kernel.height())?,
            channels: input.channels,
        })
    }

    /// Whether all kernels are 3×3.
    pub(crate) fn is_nine(&self) -> bool {
        self.kernels.iter().all(|k| (k.width(), k.height()) == (3, 3))
    }

    /// What the kernels do on each axis of an image of shape `input`, which has been checked.
    pub(crate) fn axes(&self, input: Shape) -> [Axis; 2] {
        let kernel = &self.kernels[0];
        let axis = |taps: usize, anchor: usize, len: usize, border: &Border| {
            let (before, out) = match border {
                Border::Valid => (0, len + 1 - taps),
                _ => (anchor, len),
            };
            Axis { taps, stride: 1, dilation: 1, before, border: border.clone(), len, out }
        };
        [
            axis(kernel.width(), kernel.anchor().0, input.width, &self.border_x),
            axis(kernel.height(), kernel.anchor().1, input.height, &self.border_y),
        ]
    }
}
