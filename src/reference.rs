//! The definition, in `f64`: what every other path of this crate is measured against.
//!
//! For output pixel (x, y) and channel c, with the kernel K of anchor (a, b):
//!
//! ```text
//! sum  = Σ_j Σ_i K[i, j] · source(x + i − a, y + j − b, c)      (correlation)
//! exact = post(scale · sum + offset)
//! out  = clamp(floor(exact + 0.5))       for integers; the nearest f32 otherwise
//! ```
//!
//! `source` reads through the borders: where the column lies outside and the horizontal border is
//! constant, that constant; else where the row lies outside and the vertical border is constant,
//! that one; else the pixel that [`Border::map`] names on each axis. With border `Valid` on an
//! axis, output pixel 0 is the first whose window lies inside.
//!
//! [`Alpha`] says what happens to the last of 2 or 4 channels.

pub mod layer;

use crate::border::Border;
use crate::error::Error;
use crate::filter::{Alpha, Filter, Post};
use crate::kernel::Kernel;
use crate::sample::{Sample, SampleType, Source, with_sample};
use crate::view::{Image, Rect, Shape, View, check_part};

/// Filters the whole image by the definition. Slow: one core, `f64`, no SIMD.
pub fn filter<I: Source, O: Sample>(
    filter: &Filter,
    source: View<'_, I>,
) -> Result<Image<O>, Error> {
    let whole = source.shape();
    let shape = output_shape(filter, whole)?;
    let exact = region(filter, whole, source, (0, 0), shape.rect())?;
    Image::from_vec(exact.into_iter().map(O::from_f64).collect(), shape)
}

/// The exact results before rounding, for the output rectangle `rect`, row by row. `part` holds at
/// least what [`AnyPlan::input_region`](crate::AnyPlan::input_region) names, its top left pixel being
/// `origin` in an image of shape `whole`.
///
/// Errors: a rectangle outside the output, a part that does not hold what it reads, and what planning the
/// filter says.
pub fn region<I: Source>(
    filter: &Filter,
    whole: Shape,
    part: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
) -> Result<Vec<f64>, Error> {
    let shape = output_shape(filter, whole)?;
    if !rect.fits(shape) {
        return Err(Error::RectOutside { rect, shape });
    }
    let needed = layer::read_by(&filter.axes(whole), rect);
    check_part(whole, part.shape(), origin, needed)?;
    region_of(filter, whole, part, origin, rect, Opacity::of(I::TYPE))
}

/// The same for samples of any kind.
fn region_of<V: Value>(
    filter: &Filter,
    whole: Shape,
    part: View<'_, V>,
    origin: (usize, usize),
    rect: Rect,
    opacity: Opacity,
) -> Result<Vec<f64>, Error> {
    let shape = output_shape(filter, whole)?;
    if !rect.fits(shape) {
        return Err(Error::RectOutside { rect, shape });
    }
    let source = Source2d { filter, whole, part, origin, opacity };
    let channels = whole.channels;
    let mut out = Vec::with_capacity(rect.width * rect.height * channels);
    for y in rect.y..rect.y + rect.height {
        let rows = source.rows(y);
        for x in rect.x..rect.x + rect.width {
            match filter.get_alpha() {
                Some(Alpha::Premultiply) => source.premultiplied(&rows, x, &mut out),
                Some(Alpha::Keep) => {
                    (0..channels - 1).for_each(|c| out.push(source.plain(&rows, x, c)));
                    out.push(source.at_anchor(x, y, channels - 1));
                }
                _ => (0..channels).for_each(|c| out.push(source.plain(&rows, x, c))),
            }
        }
    }
    Ok(out)
}

/// The shape that the filter makes of an image of shape `whole`; smaller only with border
/// `Valid`. Checks everything that depends on filter and shape alone.
pub fn output_shape(filter: &Filter, whole: Shape) -> Result<Shape, Error> {
    whole.samples()?;
    let kernel = &filter.kernels()[0];
    let (border_x, border_y) = filter.get_borders();
    let nothing = || Error::NothingValid {
        kernel_width: kernel.width(),
        kernel_height: kernel.height(),
        shape: whole,
    };
    let axis = |border: &Border, len: usize, taps: usize| match border {
        Border::Valid if len < taps => Err(nothing()),
        Border::Valid => Ok(len - taps + 1),
        Border::Constant(values) => {
            let (given, channels) = (values.len(), whole.channels);
            if given == 1 || given == channels {
                Ok(len)
            } else {
                Err(Error::ConstantCount { given, channels })
            }
        }
        _ => Ok(len),
    };
    for (name, value) in [("scale", filter.get_scale()), ("offset", filter.get_offset())] {
        if !value.is_finite() {
            return Err(Error::Parameter { name, value, expected: "finite" });
        }
    }
    if let Some(value) = filter.get_tolerance().filter(|t| !(t.is_finite() && *t >= 0.0)) {
        return Err(Error::Parameter { name: "tolerance", value, expected: "finite, at least 0" });
    }
    if matches!(filter.get_alpha(), Some(Alpha::Premultiply | Alpha::Keep))
        && !matches!(whole.channels, 2 | 4)
    {
        return Err(Error::NoAlpha { channels: whole.channels });
    }
    if filter.get_alpha() == Some(Alpha::Premultiply) && filter.kernels().len() > 1 {
        return Err(Error::Unsupported(
            "a gradient magnitude has no premultiplied form; filter alpha plain or keep it",
        ));
    }
    Ok(Shape {
        width: axis(border_x, whole.width, kernel.width())?,
        height: axis(border_y, whole.height, kernel.height())?,
        channels: whole.channels,
    })
}

/// Where output coordinate 0 lies in input coordinates, on one axis.
pub(crate) fn output_origin(border: &Border, anchor: usize) -> usize {
    if *border == Border::Valid { anchor } else { 0 }
}

/// A sample of an image, or a value between the layers of a chain.
trait Value: Copy {
    fn value(self) -> f64;
}

impl<S: Source> Value for S {
    fn value(self) -> f64 {
        self.to_f64()
    }
}

impl Value for f64 {
    fn value(self) -> f64 {
        self
    }
}

/// What alpha means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Opacity {
    /// What hides all that lies behind.
    pub full: f64,
    /// Below this a pixel is transparent, and its colour 0.
    pub visible: f64,
}

impl Opacity {
    /// In an image of such samples. What an integer image cannot show is transparent.
    pub fn of(sample: SampleType) -> Self {
        let full = with_sample!(sample, S => S::FULL);
        let float = sample == SampleType::F32;
        Self { full, visible: if float { f64::MIN_POSITIVE } else { 0.5 } }
    }

    /// In values that are not rounded.
    pub fn between(full: f64) -> Self {
        Self { full, visible: f64::MIN_POSITIVE }
    }
}

/// The source, seen through the borders of a filter.
struct Source2d<'a, V> {
    filter: &'a Filter,
    whole: Shape,
    part: View<'a, V>,
    origin: (usize, usize),
    opacity: Opacity,
}

impl<'a, V: Value> Source2d<'a, V> {
    fn kernel(&self) -> &Kernel {
        &self.filter.kernels()[0]
    }

    /// The rows that output row `y` reads, one per kernel row; `None` is the constant.
    fn rows(&self, y: usize) -> Vec<Option<&'a [V]>> {
        let (_, border) = self.filter.get_borders();
        let anchor = self.kernel().anchor().1;
        let first = (y + output_origin(border, anchor)) as isize - anchor as isize;
        (0..self.kernel().height() as isize)
            .map(|j| {
                let row = border.map(first + j, self.whole.height)?;
                Some(self.part.row(row - self.origin.1))
            })
            .collect()
    }

    /// The sample under tap `i` of one kernel row, for output column `x`.
    fn sample(&self, row: Option<&[V]>, x: usize, i: usize, c: usize) -> f64 {
        let (border_x, border_y) = self.filter.get_borders();
        let anchor = self.kernel().anchor().0;
        let at = (x + output_origin(border_x, anchor) + i) as isize - anchor as isize;
        match (border_x.map(at, self.whole.width), row) {
            (None, _) => border_x.constant(c),
            (_, None) => border_y.constant(c),
            (Some(at), Some(row)) => row[(at - self.origin.0) * self.whole.channels + c].value(),
        }
    }

    /// scale · Σ tap · value for one kernel, where `value` gives the source under a tap.
    fn sum(&self, kernel: &Kernel, value: impl Fn(usize, usize) -> f64) -> f64 {
        let mut sum = 0.0;
        for (j, taps) in kernel.taps().chunks_exact(kernel.width()).enumerate() {
            for (i, tap) in taps.iter().enumerate() {
                sum += tap * value(i, j);
            }
        }
        sum * self.filter.get_scale()
    }

    fn post(&self, values: impl Iterator<Item = f64>) -> f64 {
        let mut shifted = values.map(|v| v + self.filter.get_offset());
        match self.filter.get_post() {
            Post::None => shifted.next().unwrap_or(0.0),
            Post::Abs => shifted.next().unwrap_or(0.0).abs(),
            Post::Magnitude => shifted.map(|v| v * v).sum::<f64>().sqrt(),
        }
    }

    fn plain(&self, rows: &[Option<&[V]>], x: usize, c: usize) -> f64 {
        let kernels = self.filter.kernels().iter();
        self.post(kernels.map(|k| self.sum(k, |i, j| self.sample(rows[j], x, i, c))))
    }

    /// One pixel, its colours filtered multiplied by alpha.
    fn premultiplied(&self, rows: &[Option<&[V]>], x: usize, out: &mut Vec<f64>) {
        let a = self.whole.channels - 1;
        let alpha = self.sum(self.kernel(), |i, j| self.sample(rows[j], x, i, a));
        let alpha = alpha.clamp(0.0, self.opacity.full);
        let visible = alpha >= self.opacity.visible;
        for c in 0..a {
            let sum = self.sum(self.kernel(), |i, j| {
                self.sample(rows[j], x, i, c) * self.sample(rows[j], x, i, a)
            });
            out.push(if visible { self.post([sum / alpha].into_iter()) } else { 0.0 });
        }
        out.push(alpha);
    }

    fn at_anchor(&self, x: usize, y: usize, c: usize) -> f64 {
        let (border_x, border_y) = self.filter.get_borders();
        let (ax, ay) = self.kernel().anchor();
        let x = x + output_origin(border_x, ax) - self.origin.0;
        let y = y + output_origin(border_y, ay) - self.origin.1;
        self.part.row(y)[x * self.whole.channels + c].value()
    }
}
