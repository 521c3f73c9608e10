//! Plain 2D filtering: the loops one would write without this crate, in the types one would
//! choose. Benchmarks and the program's `--bench` measure against it.
//!
//! It is meant to be a fair opponent. Each source row is padded and widened once, so the inner
//! loop is `sum[x] += tap * row[x + i]` over contiguous memory, which compilers vectorise; sums
//! are `f32`, which stock x86-64 multiplies faster than `i32`, unless the sums are integers that
//! only `i32` holds exactly; rounding does not call the mathematics library. What it lacks is
//! what the crate adds: separation, chosen instruction sets, tiles, threads.

use crate::any_view::Source;
use crate::border::Border;
use crate::error::Error;
use crate::filter::{Alpha, Filter, Post};
use crate::kernel::Kernel;
use crate::sample::{Sample, SampleType};
use crate::view::{View, ViewMut};
use std::any::Any;
use std::ops::{AddAssign, Mul};

/// Filters the whole image with plain loops, on one core. Method, level and threads of the filter
/// are ignored; alpha is a channel like any other, and asking for more is an error.
pub fn filter<I: Source, O: Sample>(
    filter: &Filter,
    source: View<'_, I>,
    out: ViewMut<'_, O>,
) -> Result<(), Error> {
    let expected = filter.output_shape(source.shape())?;
    if out.shape() != expected {
        return Err(Error::ShapeMismatch { what: "output", expected, given: out.shape() });
    }
    if matches!(filter.get_alpha(), Some(Alpha::Premultiply | Alpha::Keep)) {
        return Err(Error::Unsupported("naive filtering treats alpha as a channel like any other"));
    }
    if needs_i32::<I>(filter) {
        run::<I, O, i32>(filter, source, out);
    } else {
        run::<I, O, f32>(filter, source, out);
    }
    Ok(())
}

/// Whether every sum is an integer that `i32` holds, and some might be too large for `f32`.
fn needs_i32<I: Source>(filter: &Filter) -> bool {
    let (border_x, border_y) = filter.get_borders();
    let integer = |border: &Border| match border {
        Border::Constant(values) => values.iter().all(|v| v.fract() == 0.0 && v.abs() <= I::FULL),
        _ => true,
    };
    let kernels = filter.kernels();
    let largest = kernels.iter().map(Kernel::abs_sum).fold(0.0, f64::max) * I::FULL;
    I::TYPE != SampleType::F32
        && largest > f64::from(1 << f32::MANTISSA_DIGITS)
        && largest <= f64::from(i32::MAX)
        && kernels.iter().all(|k| k.taps().iter().all(|t| t.fract() == 0.0))
        && integer(border_x)
        && integer(border_y)
}

/// What a sum is kept in.
trait Sum: Copy + Default + AddAssign + Mul<Output = Self> {
    fn from_sample<I: Source>(sample: I) -> Self;
    fn from_f64(value: f64) -> Self;
    fn to_f32(self) -> f32;
}

impl Sum for i32 {
    fn from_sample<I: Source>(sample: I) -> Self {
        let any: &dyn Any = &sample;
        match (any.downcast_ref::<u8>(), any.downcast_ref::<u16>()) {
            (Some(&v), _) => Self::from(v),
            (_, Some(&v)) => Self::from(v),
            _ => sample.to_f64() as Self,
        }
    }

    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f32(self) -> f32 {
        self as f32
    }
}

impl Sum for f32 {
    fn from_sample<I: Source>(sample: I) -> Self {
        sample.to_f64() as Self
    }

    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f32(self) -> f32 {
        self
    }
}

/// The nearest sample; the same as [`Sample::from_f64`], without calls of `floor`.
#[inline(always)]
fn round<O: Sample>(value: f32) -> O {
    let mut out = O::default();
    let any: &mut dyn Any = &mut out;
    if let Some(o) = any.downcast_mut::<f32>() {
        *o = value;
        return out;
    }
    let clamped = (value + 0.5).max(O::MIN as f32).min(O::MAX as f32);
    // Casts from `f32` saturate, which compilers do not vectorise. Adding 1.5·2²³ leaves the
    // nearest integer in the low bits instead.
    const SHIFT: f32 = 12_582_912.0;
    let nearest = (clamped + SHIFT) - SHIFT;
    let floor = if nearest > clamped { nearest - 1.0 } else { nearest };
    let integer = (floor + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits());
    if let Some(o) = any.downcast_mut::<u8>() {
        *o = integer as u8;
    } else if let Some(o) = any.downcast_mut::<u16>() {
        *o = integer as u16;
    } else if let Some(o) = any.downcast_mut::<i16>() {
        *o = integer as i16;
    }
    out
}

/// A source seen through the borders, as padded rows of sums.
struct Padded<'a, I> {
    source: View<'a, I>,
    border_x: &'a Border,
    border_y: &'a Border,
    /// For each column of a padded row, the source column; `None` is the constant.
    columns: Vec<Option<usize>>,
    /// Columns of a padded row before and including the last that is left of the image.
    left: usize,
}

impl<I: Source> Padded<'_, I> {
    /// Fills `row` with source row `y`, which may lie outside.
    fn fill<A: Sum>(&self, y: isize, row: &mut [A]) {
        let shape = self.source.shape();
        let pixels = row.chunks_exact_mut(shape.channels).zip(&self.columns);
        let Some(y) = self.border_y.map(y, shape.height) else {
            for (pixel, column) in pixels {
                let border = if column.is_some() { self.border_y } else { self.border_x };
                for (c, value) in pixel.iter_mut().enumerate() {
                    *value = A::from_f64(border.constant(c));
                }
            }
            return;
        };
        let source = self.source.row(y);
        let inside = self.left..self.left + shape.width;
        for (x, (pixel, column)) in pixels.enumerate() {
            if inside.contains(&x) {
                continue;
            }
            for (c, value) in pixel.iter_mut().enumerate() {
                *value = match *column {
                    Some(at) => A::from_sample(source[at * shape.channels + c]),
                    None => A::from_f64(self.border_x.constant(c)),
                };
            }
        }
        let middle = &mut row[self.left * shape.channels..][..source.len()];
        for (value, &sample) in middle.iter_mut().zip(source) {
            *value = A::from_sample(sample);
        }
    }
}

fn run<I: Source, O: Sample, A: Sum>(
    filter: &Filter,
    source: View<'_, I>,
    mut out: ViewMut<'_, O>,
) {
    let (width, channels) = (source.shape().width, source.shape().channels);
    let kernel = &filter.kernels()[0];
    let (border_x, border_y) = filter.get_borders();
    let [first_x, first_y] = filter.axes(source.shape()).map(|axis| axis.first(0));

    let padded_width = out.shape().width + kernel.width() - 1;
    let columns = (0..padded_width as isize).map(|x| border_x.map(x + first_x, width));
    let padded =
        Padded { source, border_x, border_y, columns: columns.collect(), left: -first_x as usize };

    // The last rows that were padded: row y of the padded image is in slot y modulo their number.
    let mut ring = vec![vec![A::default(); padded_width * channels]; kernel.height()];
    for (y, row) in ring.iter_mut().enumerate().take(kernel.height() - 1) {
        padded.fill(y as isize + first_y, row);
    }

    let taps: Vec<Vec<A>> = filter
        .kernels()
        .iter()
        .map(|k| k.taps().iter().map(|&t| A::from_f64(t)).collect())
        .collect();
    let mut sums = vec![vec![A::default(); out.shape().row()]; taps.len()];
    for y in 0..out.shape().height {
        let newest = y + kernel.height() - 1;
        padded.fill(newest as isize + first_y, &mut ring[newest % kernel.height()]);
        for (sum, taps) in sums.iter_mut().zip(&taps) {
            sum.fill(A::default());
            for (j, taps) in taps.chunks_exact(kernel.width()).enumerate() {
                let row = &ring[(y + j) % kernel.height()];
                for (i, &tap) in taps.iter().enumerate() {
                    for (sum, &value) in sum.iter_mut().zip(&row[i * channels..]) {
                        *sum += tap * value;
                    }
                }
            }
        }
        finish(filter, &sums, out.row_mut(y));
    }
}

/// Scale, offset, post-step and rounding of one row.
fn finish<O: Sample, A: Sum>(filter: &Filter, sums: &[Vec<A>], out: &mut [O]) {
    let (scale, offset) = (filter.get_scale() as f32, filter.get_offset() as f32);
    let exact = |sum: A| sum.to_f32() * scale + offset;
    match (filter.get_post(), sums) {
        (Post::Magnitude, [x, y]) => {
            for (out, (&x, &y)) in out.iter_mut().zip(x.iter().zip(y)) {
                let (x, y) = (exact(x), exact(y));
                *out = round((x * x + y * y).sqrt());
            }
        }
        (Post::Abs, [sums, ..]) => {
            for (out, &sum) in out.iter_mut().zip(sums) {
                *out = round(exact(sum).abs());
            }
        }
        (_, [sums, ..]) => {
            for (out, &sum) in out.iter_mut().zip(sums) {
                *out = round(exact(sum));
            }
        }
        (_, []) => {}
    }
}
