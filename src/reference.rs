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

use crate::any_view::Source;
use crate::border::Border;
use crate::error::Error;
use crate::filter::{Alpha, Filter, Post};
use crate::kernel::Kernel;
use crate::sample::{Sample, SampleType, with_sample};
use crate::view::{Image, Rect, Shape, View, check_part};

/// Filters the whole image by the definition. Slow: one core, `f64`, no SIMD.
pub fn filter<I: Source, O: Sample>(
    filter: &Filter,
    source: View<'_, I>,
) -> Result<Image<O>, Error> {
    let whole = source.shape();
    let shape = filter.output_shape(whole)?;
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
    let shape = filter.output_shape(whole)?;
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
    let shape = filter.output_shape(whole)?;
    if !rect.fits(shape) {
        return Err(Error::RectOutside { rect, shape });
    }
    if rect.width == 0 || rect.height == 0 {
        return Ok(Vec::new());
    }
    let kernels = filter.kernels();
    let seen = Seen::new(filter, whole, part, origin, rect);
    let samples = rect.width * whole.channels;
    let mut out = Vec::with_capacity(rect.height * samples);
    for y in 0..rect.height {
        let sums = |kernel| seen.sums(kernel, y, samples, filter.get_scale());
        let sums: Vec<Vec<f64>> = kernels.iter().map(sums).collect();
        match filter.get_alpha() {
            Some(Alpha::Premultiply) => {
                for pixel in sums[0].chunks_exact(whole.channels) {
                    let colours = whole.channels - 1;
                    let alpha = pixel[colours].clamp(0.0, opacity.full);
                    let visible = alpha >= opacity.visible;
                    let colour =
                        |sum: &f64| if visible { post(filter, [sum / alpha]) } else { 0.0 };
                    out.extend(pixel[..colours].iter().map(colour).chain([alpha]));
                }
            }
            alpha => {
                let keep = alpha == Some(Alpha::Keep);
                let (ax, ay) = kernels[0].anchor();
                let anchored = &seen.rows[y + ay][ax * whole.channels..][..samples];
                out.extend((0..samples).map(|at| match (at + 1) % whole.channels {
                    0 if keep => anchored[at],
                    _ => post(filter, sums.iter().map(|sums| sums[at])),
                }));
            }
        }
    }
    Ok(out)
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

/// What the windows of a rectangle of the output lie on: the source, seen through the borders of a filter.
struct Seen {
    channels: usize,
    /// From under the first tap of the first output to under the last of the last; colours times their alpha where
    /// the filter premultiplies.
    rows: Vec<Vec<f64>>,
}

impl Seen {
    fn new<V: Value>(
        filter: &Filter,
        whole: Shape,
        part: View<'_, V>,
        origin: (usize, usize),
        rect: Rect,
    ) -> Self {
        let channels = whole.channels;
        let [x, y] = filter.axes(whole);
        let columns: Vec<_> = x.under(rect.x..rect.x + rect.width).map(|v| x.map(v)).collect();
        let row = |v| {
            let row = y.map(v).map(|row| part.row(row - origin.1));
            let sample = |(column, c): (Option<usize>, usize)| match (column, row) {
                (None, _) => x.border.constant(c),
                (_, None) => y.border.constant(c),
                (Some(column), Some(row)) => row[(column - origin.0) * channels + c].value(),
            };
            let samples =
                columns.iter().flat_map(|&column| (0..channels).map(move |c| (column, c)));
            let mut samples: Vec<f64> = samples.map(sample).collect();
            if filter.get_alpha() == Some(Alpha::Premultiply) {
                for pixel in samples.chunks_exact_mut(channels) {
                    if let Some((alpha, colours)) = pixel.split_last_mut() {
                        colours.iter_mut().for_each(|colour| *colour *= *alpha);
                    }
                }
            }
            samples
        };
        let rows = y.under(rect.y..rect.y + rect.height).map(row).collect();
        Self { channels, rows }
    }

    /// scale · Σ tap · value for the first `samples` samples of row `y` of the rectangle; each sum by rows of the kernel.
    fn sums(&self, kernel: &Kernel, y: usize, samples: usize, scale: f64) -> Vec<f64> {
        let mut sums = vec![0.0; samples];
        for (row, taps) in self.rows[y..].iter().zip(kernel.taps().chunks_exact(kernel.width())) {
            for (i, tap) in taps.iter().enumerate() {
                for (sum, value) in sums.iter_mut().zip(&row[i * self.channels..]) {
                    *sum += tap * value;
                }
            }
        }
        sums.iter_mut().for_each(|sum| *sum *= scale);
        sums
    }
}

/// The result from the sums of each kernel under one window.
fn post(filter: &Filter, sums: impl IntoIterator<Item = f64>) -> f64 {
    let mut shifted = sums.into_iter().map(|sum| sum + filter.get_offset());
    match filter.get_post() {
        Post::None => shifted.next().unwrap_or(0.0),
        Post::Abs => shifted.next().unwrap_or(0.0).abs(),
        Post::Magnitude => shifted.map(|v| v * v).sum::<f64>().sqrt(),
    }
}
