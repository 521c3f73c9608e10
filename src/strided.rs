//! Pixels that do not follow each other: one channel of interleaved ones, or one of the two in the chroma of a frame.
//!
//! Passes read rows without gaps. Some rows at a time are gathered into memory that stays in the cache, and results
//! are put where they belong from there: no image is copied as a whole, and every plan can read them.

use crate::any_view::Source;
use crate::error::Error;
use crate::exec::{BandSource, BandTarget, Workspace, run_in_bands};
use crate::plan::Plan;
use crate::sample::Sample;
use crate::view::{Rect, Shape, View, ViewMut};
use std::ops::Range;

/// Where samples lie.
#[derive(Debug, Clone, Copy)]
struct Layout {
    shape: Shape,
    /// Samples from one pixel to the next.
    pixel: usize,
    /// Samples from one row to the next.
    row: usize,
}

impl Layout {
    fn new(len: usize, shape: Shape, pixel: usize, row: usize) -> Result<Self, Error> {
        shape.samples()?;
        if pixel < shape.channels {
            return Err(Error::Unsupported("pixels of more samples than there are between them"));
        }
        let length =
            (shape.width - 1).checked_mul(pixel).and_then(|n| n.checked_add(shape.channels));
        let length = length.ok_or(Error::SizeOverflow(shape))?;
        if row < length {
            return Err(Error::StrideTooShort { stride: row, row: length });
        }
        let needed = row.checked_mul(shape.height - 1).and_then(|n| n.checked_add(length));
        let needed = needed.ok_or(Error::SizeOverflow(shape))?;
        if len < needed {
            return Err(Error::SliceTooShort { shape, stride: row, needed, given: len });
        }
        Ok(Self { shape, pixel, row })
    }

    /// Some channels of a view.
    fn of(shape: Shape, row: usize, channels: &Range<usize>) -> Result<Self, Error> {
        if channels.start >= channels.end || channels.end > shape.channels {
            return Err(Error::Unsupported("channels that the image does not have"));
        }
        let pixel = shape.channels;
        // The stride of a lone row may be any number.
        let row = row.max(shape.row());
        Ok(Self { shape: Shape { channels: channels.len(), ..shape }, pixel, row })
    }

    /// Whether rows have no gaps.
    fn dense(&self) -> bool {
        self.pixel == self.shape.channels
    }

    /// Where pixels `x` of row `y` lie.
    fn place(&self, y: usize, x: Range<usize>) -> Range<usize> {
        let start = y * self.row;
        start + x.start * self.pixel..start + (x.end - 1) * self.pixel + self.shape.channels
    }
}

/// Pixels to read that are some samples apart: one channel of RGB, or U of NV12's UV. [`Plan::run_strided`] takes them.
///
/// ```
/// use twopass::{Filter, Image, Kernel, Shape, Strided, View, Workspace};
///
/// // A frame in NV12: a plane of brightness, then one of U and V in turns, with a quarter of the pixels.
/// let frame = vec![128u8; 64 * 48 + 64 * 24];
/// let chroma = View::new(&frame[64 * 48..], Shape::new(32, 24, 2))?;
/// let u = chroma.channels(0..1)?;
/// let plan = Filter::new(Kernel::gaussian(1.5)?).plan::<u8, u8>(u.shape())?;
/// let mut smooth = Image::new(plan.output_shape())?;
/// plan.run_strided(u, smooth.view_mut(), &mut Workspace::new())?;
/// assert_eq!((smooth.shape(), smooth.data()[0]), (Shape::new(32, 24, 1), 128));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a, S> {
    data: &'a [S],
    layout: Layout,
}

impl<'a, S> Strided<'a, S> {
    /// Pixels that start `pixel` samples apart, in rows that start `row` samples apart.
    ///
    /// Errors: an empty or too large shape, pixels or rows that reach into the next one, a slice that is too short.
    pub fn new(data: &'a [S], shape: Shape, pixel: usize, row: usize) -> Result<Self, Error> {
        Ok(Self { data, layout: Layout::new(data.len(), shape, pixel, row)? })
    }

    /// Width, height, channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.layout.shape
    }
}

/// Pixels to write: as [`Strided`], but borrowed mutably. What lies between pixels is not touched.
///
/// ```
/// use twopass::{Filter, Image, Kernel, Shape, Workspace};
///
/// // The red of an RGB picture blurred, into the red of another one.
/// let photo = Image::from_vec(vec![9u8; 40 * 30 * 3], Shape::new(40, 30, 3))?;
/// let mut out = Image::new(photo.shape())?;
/// let plan = Filter::new(Kernel::gaussian(1.0)?).plan::<u8, u8>(Shape::new(40, 30, 1))?;
/// let red = 0..1;
/// plan.run_strided(
///     photo.view().channels(red.clone())?,
///     out.view_mut().into_channels(red)?,
///     &mut Workspace::new(),
/// )?;
/// assert_eq!(out.data()[..6], [9, 0, 0, 9, 0, 0]);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug)]
pub struct StridedMut<'a, S> {
    data: &'a mut [S],
    layout: Layout,
}

impl<'a, S> StridedMut<'a, S> {
    /// As [`Strided::new`].
    pub fn new(data: &'a mut [S], shape: Shape, pixel: usize, row: usize) -> Result<Self, Error> {
        let layout = Layout::new(data.len(), shape, pixel, row)?;
        Ok(Self { data, layout })
    }

    /// Width, height, channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.layout.shape
    }
}

impl<'a, S> View<'a, S> {
    /// Some neighbouring channels of each pixel. Error: channels that there are not.
    pub fn channels(&self, channels: Range<usize>) -> Result<Strided<'a, S>, Error> {
        let layout = Layout::of(self.shape(), self.stride(), &channels)?;
        Ok(Strided { data: &self.span(0..self.shape().height)[channels.start..], layout })
    }
}

impl<'a, S> ViewMut<'a, S> {
    /// Some neighbouring channels of each pixel. Error: channels that there are not.
    pub fn into_channels(self, channels: Range<usize>) -> Result<StridedMut<'a, S>, Error> {
        let layout = Layout::of(self.shape(), self.stride(), &channels)?;
        Ok(StridedMut { data: &mut self.into_span()[channels.start..], layout })
    }
}

impl<'a, S> From<View<'a, S>> for Strided<'a, S> {
    fn from(view: View<'a, S>) -> Self {
        let (shape, row) = (view.shape(), view.stride());
        let layout = Layout { shape, pixel: shape.channels, row };
        Self { data: view.span(0..shape.height), layout }
    }
}

impl<'a, S> From<ViewMut<'a, S>> for StridedMut<'a, S> {
    fn from(view: ViewMut<'a, S>) -> Self {
        let (shape, row) = (view.shape(), view.stride());
        Self { layout: Layout { shape, pixel: shape.channels, row }, data: view.into_span() }
    }
}

/// Copies pixels of so many samples that lie `from` and `to` samples apart.
fn copy<S: Copy>(channels: usize, source: &[S], from: usize, out: &mut [S], to: usize) {
    if channels == 1 {
        let places = out.iter_mut().step_by(to);
        places.zip(source.iter().step_by(from)).for_each(|(out, v)| *out = *v);
        return;
    }
    for (out, pixel) in out.chunks_mut(to).zip(source.chunks(from)) {
        out[..channels].copy_from_slice(&pixel[..channels]);
    }
}

impl<I: Source, O: Sample> Plan<I, O> {
    /// Runs all layers on pixels that are some samples apart, into such pixels; either may be a view. The results are those of
    /// [`run`](Self::run) on a copy without gaps. A second run with the same workspace allocates nothing at one thread.
    ///
    /// Errors: shapes other than the plan's.
    pub fn run_strided<'a, 'b>(
        &self,
        source: impl Into<Strided<'a, I>>,
        out: impl Into<StridedMut<'b, O>>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let (source, out) = (source.into(), out.into());
        for (what, expected, given) in [
            ("source", self.input_shape(), source.shape()),
            ("output", self.output_shape(), out.shape()),
        ] {
            if given != expected {
                return Err(Error::ShapeMismatch { what, expected, given });
            }
        }
        let (from, Strided { data, .. }) = (source.layout, source);
        let fill = |rect: Rect, mut rows: ViewMut<'_, I>| {
            for y in 0..rect.height {
                let place = from.place(rect.y + y, rect.x..rect.x + rect.width);
                let channels = from.shape.channels;
                copy(channels, &data[place], from.pixel, rows.row_mut(y), channels);
            }
        };
        let source = if from.dense() {
            BandSource::View(View::with_stride(data, from.shape, from.row)?)
        } else {
            BandSource::Rows(&fill)
        };
        let (to, data) = (out.layout, out.data);
        let rect = self.output_shape().rect();
        if to.dense() {
            let out = BandTarget::View(ViewMut::with_stride(data, to.shape, to.row)?);
            return run_in_bands(self, &source, rect, out, workspace);
        }
        let mut take = |top: usize, rows: View<'_, O>| {
            for y in 0..rows.shape().height {
                let place = to.place(top + y, 0..to.shape.width);
                let channels = to.shape.channels;
                copy(channels, rows.row(y), channels, &mut data[place], to.pixel);
            }
        };
        run_in_bands(self, &source, rect, BandTarget::Rows(&mut take), workspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_checked() {
        let data = [0u8; 100];
        let shape = Shape::new(5, 4, 1);
        assert!(Strided::new(&data, shape, 3, 13).is_ok());
        assert!(Strided::new(&data[..52], shape, 3, 13).is_ok());
        for (len, pixel, row) in [(51, 3, 13), (100, 0, 13), (100, 3, 12), (100, usize::MAX, 9)] {
            assert!(Strided::new(&data[..len], shape, pixel, row).is_err(), "{len} {pixel} {row}");
        }
        assert!(Strided::new(&data, Shape::new(5, 4, 4), 3, 25).is_err());
        assert!(Strided::new(&data, Shape::new(0, 4, 1), 3, 25).is_err());
        let view = View::new(&data, Shape::new(5, 4, 3)).unwrap();
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        for bad in [0..0, 3..4, 0..4, 2..1] {
            assert!(view.channels(bad).is_err());
        }
    }
}
