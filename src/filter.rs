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

    /// This filter and another one that follows it, as one that makes the same of every image, if there is one: of convolved
    /// kernels, where what lies outside of this one's results is what this one makes of what lies outside of the image.
    ///
    /// With premultiplied colours it is the same where alpha is from 0 to full; of floats, where all samples are numbers.
    pub(crate) fn followed_by(&self, next: &Self) -> Option<Self> {
        let [kernel] = &self.kernels[..] else { return None };
        let free = |filter: &Self| filter.method == Method::Auto && filter.tolerance.is_none();
        let treated = |filter: &Self| filter.alpha.filter(|alpha| *alpha != Alpha::Plain);
        let plain = self.post == Post::None && free(self) && free(next);
        if !plain || treated(self) != treated(next) {
            return None;
        }
        // Alpha is limited between both, and an offset is not multiplied by it.
        let fades = (0.0..=1.0 + 1e-9).contains(&(kernel.sum() * self.scale));
        let constant = [&self.border_x, &self.border_y].iter().any(|b| !b.constants().is_empty());
        let fades = fades && self.offset == 0.0 && !constant && !kernel.has_negative_tap();
        if treated(self) == Some(Alpha::Premultiply) && !fades {
            return None;
        }
        let (first, [across, down]) = (&next.kernels[0], kernel.is_mirrored());
        let widths = [kernel.width(), first.width()];
        let heights = [kernel.height(), first.height()];
        let border_x = around_both([&self.border_x, &next.border_x], widths, across)?;
        let border_y = around_both([&self.border_y, &next.border_y], heights, down)?;
        // What this filter's offset adds to the results of the other, which has one for all its kernels.
        let added = match &next.kernels[..] {
            _ if self.offset == 0.0 => 0.0,
            [only] => self.offset * next.scale * only.sum(),
            _ => return None,
        };
        let (scale, offset) = (self.scale * next.scale, next.offset + added);
        if !(scale.is_finite() && offset.is_finite()) {
            return None;
        }
        let kernels = next.kernels.iter().map(|next| kernel.followed_by(next));
        let kernels = kernels.collect::<Option<Vec<_>>>()?;
        Some(Self { kernels, border_x, border_y, scale, offset, ..next.clone() })
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

/// The border, along an axis, of one filter for two that follow each other with these borders and so many taps, if there is
/// one; the first one's kernel may be its own mirror image there.
fn around_both([first, next]: [&Border; 2], taps: [usize; 2], mirrored: bool) -> Option<Border> {
    let one = match (taps, first) {
        // A single tap reads nothing outside, and makes nothing else of what lies there.
        ([_, 1], _) => first,
        ([1, _], _) if !matches!(next, Border::Constant(_)) => next,
        (_, Border::Wrap | Border::Valid) if first == next => first,
        (_, Border::Reflect | Border::Reflect101) if first == next && mirrored => first,
        _ => return None,
    };
    Some(one.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Chain;
    use crate::reference::layer;
    use crate::view::View;

    fn kernels() -> Vec<Kernel> {
        let lopsided = Kernel::separable(&[0.5, 0.25, 0.25], &[0.75, -0.5, 1.0, 0.5]).unwrap();
        vec![
            Kernel::gaussian(0.7).unwrap(),
            Kernel::sobel_x(),
            lopsided.with_anchor(3, 0).unwrap(),
            Kernel::box_(5, 1).unwrap(),
            Kernel::box_(1, 4).unwrap(),
            Kernel::unsharp(0.6, 0.5).unwrap(),
            Kernel::new(1, 1, vec![0.5]).unwrap(),
        ]
    }

    fn borders() -> Vec<Border> {
        let constant = |value| Border::Constant(vec![value]);
        let others = [Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap];
        others.into_iter().chain([Border::Valid, constant(40.0), constant(0.0)]).collect()
    }

    /// The chain by definition, on an image of that shape; `None` where there is no result.
    fn exact(filters: &[&Filter], shape: Shape) -> Option<Vec<f64>> {
        let samples: Vec<u8> =
            (0..shape.samples().unwrap()).map(|i| (i * i * 37 + i * 11) as u8).collect();
        let mut chain = Chain::new(filters[0].clone());
        for filter in &filters[1..] {
            chain = chain.then((*filter).clone()).unwrap();
        }
        layer::chain(&chain, View::new(&samples, shape).unwrap()).ok()
    }

    fn assert_same(first: &Filter, next: &Filter, both: &Filter, shape: Shape) {
        match (exact(&[first, next], shape), exact(&[both], shape)) {
            (Some(apart), Some(one)) => {
                let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
                assert_eq!(apart.len(), one.len());
                assert!(apart.iter().zip(&one).all(near), "{first:?}\n{next:?}\n{shape}");
            }
            (None, None) => {}
            other => panic!("{first:?}\n{next:?}\n{shape}: {other:?}"),
        }
    }

    #[test]
    fn two_filters_are_one_only_if_that_is_the_same() {
        let mut merged = 0;
        for first in kernels() {
            for next in kernels() {
                for border in borders() {
                    for then in borders() {
                        let x = |kernel: &Kernel, x: &Border, y: &Border| {
                            Filter::new(kernel.clone()).borders(x.clone(), y.clone())
                        };
                        let first = x(&first, &border, &then).scale(0.75).offset(3.0);
                        let next = x(&next, &then, &border).scale(-2.0).offset(5.0).abs();
                        for next in [next, first.clone()] {
                            let Some(both) = first.followed_by(&next) else { continue };
                            merged += 1;
                            for shape in
                                [Shape::new(1, 1, 1), Shape::new(2, 7, 1), Shape::new(9, 4, 2)]
                            {
                                assert_same(&first, &next, &both, shape);
                            }
                        }
                    }
                }
            }
        }
        assert!(merged > 1000, "{merged}");
    }

    #[test]
    fn what_stays_two_filters() {
        let blur = || Filter::new(Kernel::gaussian(1.0).unwrap());
        let (edges, shape) = (
            Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap(),
            Shape::new(9, 7, 4),
        );
        let may = |first: &Filter, next: &Filter| {
            let both = first.followed_by(next);
            both.iter().for_each(|both| assert_same(first, next, both, shape));
            both.is_some()
        };
        assert!(may(&blur(), &blur()) && may(&blur(), &edges));
        for alpha in [Alpha::Keep, Alpha::Premultiply] {
            assert!(may(&blur().alpha(alpha), &blur().scale(0.5).offset(2.0).alpha(alpha)));
            assert!(!may(&blur().alpha(alpha), &blur()) && !may(&blur(), &blur().alpha(alpha)));
        }
        let premultiplied = |filter: Filter| filter.alpha(Alpha::Premultiply);
        assert!(!may(&premultiplied(blur().offset(1.0)), &premultiplied(blur())));
        assert!(!may(&premultiplied(blur().scale(1.5)), &premultiplied(blur())));
        assert!(!may(
            &premultiplied(Filter::new(Kernel::unsharp(1.0, 1.0).unwrap())),
            &premultiplied(blur())
        ));
        let line = |w, h, border| {
            premultiplied(Filter::new(Kernel::box_(w, h).unwrap())).borders(Border::Wrap, border)
        };
        let bright = Border::Constant(vec![0.0, 0.0, 0.0, 510.0]);
        assert!(!may(&line(1, 3, bright.clone()), &line(3, 1, bright)));
        assert!(may(&line(1, 3, Border::Replicate), &line(3, 1, Border::Replicate)));
        assert!(may(&blur().alpha(Alpha::Plain), &blur()));
        assert!(!may(&blur().abs(), &blur()) && !may(&edges, &blur()));
        assert!(!may(&blur().offset(1.0), &edges) && may(&blur(), &edges.clone().offset(1.0)));
        assert!(
            !may(&blur().method(Method::Separable), &blur())
                && !may(&blur(), &blur().method(Method::Dense))
        );
        assert!(!may(&blur().tolerance(0.1), &blur()) && !may(&blur(), &blur().tolerance(0.1)));
        for border in [Border::Replicate, Border::Constant(vec![0.0])] {
            assert!(!may(&blur().border(border.clone()), &blur().border(border)));
        }
        assert!(!may(&blur().border(Border::Reflect), &blur()));
    }
}
