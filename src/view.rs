//! Borrowed and owned pixels: interleaved samples in rows, a fixed stride apart. A crop is a
//! view; nothing is copied.

use crate::error::Error;
pub use crate::shape::{Rect, Shape};
use wide::bytemuck::{Pod, cast_slice_mut};

/// Checks shape and stride against a slice of `len` samples.
fn check(len: usize, shape: Shape, stride: usize) -> Result<(), Error> {
    shape.samples()?;
    if stride < shape.row() {
        return Err(Error::StrideTooShort { stride, row: shape.row() });
    }
    let needed = stride
        .checked_mul(shape.height - 1)
        .and_then(|n| n.checked_add(shape.row()))
        .ok_or(Error::SizeOverflow(shape))?;
    if len < needed {
        return Err(Error::SliceTooShort { shape, stride, needed, given: len });
    }
    Ok(())
}

/// Pixels to read: a slice, a shape and a row stride in samples. Nothing is copied, and a crop is a view again.
///
/// ```
/// use twopass::{Rect, Shape, View};
///
/// // A frame of a camera: 100 rows of 64 grey pixels, each row padded to 80 bytes.
/// let frame = [7u8; 80 * 100];
/// let view = View::with_stride(&frame, Shape::new(64, 100, 1), 80)?;
/// let middle = view.crop(Rect::new(16, 25, 32, 50))?;
/// assert_eq!((middle.shape(), middle.stride()), (Shape::new(32, 50, 1), 80));
/// let own = middle.to_image()?; // a copy, without the gaps
/// assert_eq!(own.data(), [7; 32 * 50]);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct View<'a, S> {
    data: &'a [S],
    shape: Shape,
    stride: usize,
}

impl<'a, S> View<'a, S> {
    /// Rows without gaps.
    pub fn new(data: &'a [S], shape: Shape) -> Result<Self, Error> {
        shape.samples()?;
        Self::with_stride(data, shape, shape.row())
    }

    /// Rows that start `stride` samples apart.
    pub fn with_stride(data: &'a [S], shape: Shape, stride: usize) -> Result<Self, Error> {
        check(data.len(), shape, stride)?;
        Ok(Self { data, shape, stride })
    }

    /// Width, height, channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Samples from the start of one row to the start of the next.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Rows without gaps, of a shape that has been checked against the slice.
    pub(crate) fn gapless(data: &'a [S], shape: Shape) -> Self {
        debug_assert_eq!(check(data.len(), shape, shape.row()), Ok(()));
        Self { data, shape, stride: shape.row() }
    }

    /// All samples of rows `y`, with what lies between them.
    pub(crate) fn span(&self, y: std::ops::Range<usize>) -> &'a [S] {
        debug_assert!(y.start < y.end && y.end <= self.shape.height);
        &self.data[y.start * self.stride..(y.end - 1) * self.stride + self.shape.row()]
    }

    /// The samples of row `y`. Panics if there is no such row, as slices do.
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [S] {
        assert!(y < self.shape.height);
        &self.data[y * self.stride..][..self.shape.row()]
    }

    /// The part of the view inside `rect`.
    pub fn crop(&self, rect: Rect) -> Result<Self, Error> {
        if !rect.fits(self.shape) {
            return Err(Error::RectOutside { rect, shape: self.shape });
        }
        let start = rect.y * self.stride + rect.x * self.shape.channels;
        let shape = Shape { width: rect.width, height: rect.height, ..self.shape };
        Ok(Self { data: &self.data[start..], shape, stride: self.stride })
    }

    /// A copy of these pixels, rows without gaps. Error: no memory for it.
    pub fn to_image(&self) -> Result<Image<S>, Error>
    where
        S: Copy,
    {
        let mut data = Vec::new();
        data.try_reserve_exact(self.shape.samples()?)
            .map_err(|_| Error::OutOfMemory(self.shape))?;
        for y in 0..self.shape.height {
            data.extend_from_slice(self.row(y));
        }
        Image::from_vec(data, self.shape)
    }
}

/// Pixels to write: as a [`View`], but borrowed mutably. What lies between rows is never touched.
///
/// ```
/// use twopass::{Image, Rect, Shape, View};
///
/// // A picture of 2 × 2 in the middle of one of 4 × 4.
/// let mut canvas = Image::<u8>::new(Shape::new(4, 4, 1))?;
/// let mut place = canvas.view_mut().crop(Rect::new(1, 1, 2, 2))?;
/// place.copy_from(&View::new(&[1, 2, 3, 4], Shape::new(2, 2, 1))?)?;
/// assert_eq!(canvas.data(), [0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0]);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug)]
pub struct ViewMut<'a, S> {
    data: &'a mut [S],
    shape: Shape,
    stride: usize,
}

impl<'a, S> ViewMut<'a, S> {
    /// Rows without gaps.
    pub fn new(data: &'a mut [S], shape: Shape) -> Result<Self, Error> {
        shape.samples()?;
        Self::with_stride(data, shape, shape.row())
    }

    /// Rows that start `stride` samples apart. What lies between them is not touched.
    pub fn with_stride(data: &'a mut [S], shape: Shape, stride: usize) -> Result<Self, Error> {
        check(data.len(), shape, stride)?;
        Ok(Self { data, shape, stride })
    }

    /// Width, height, channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Samples from the start of one row to the start of the next.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Rows without gaps, of a shape that has been checked against the slice.
    pub(crate) fn gapless(data: &'a mut [S], shape: Shape) -> Self {
        debug_assert_eq!(check(data.len(), shape, shape.row()), Ok(()));
        Self { data, shape, stride: shape.row() }
    }

    /// All samples of rows `y`, with what lies between them.
    pub(crate) fn span_mut(&mut self, y: std::ops::Range<usize>) -> &mut [S] {
        debug_assert!(y.start < y.end && y.end <= self.shape.height);
        &mut self.data[y.start * self.stride..(y.end - 1) * self.stride + self.shape.row()]
    }

    /// All samples from the first to the last, with what lies between rows.
    pub(crate) fn into_span(self) -> &'a mut [S] {
        let len = (self.shape.height - 1) * self.stride + self.shape.row();
        &mut self.data[..len]
    }

    /// Its rows, each borrowed by itself.
    #[cfg_attr(not(feature = "rayon"), allow(dead_code, reason = "one worker takes all"))]
    pub(crate) fn into_rows(self) -> impl Iterator<Item = &'a mut [S]> {
        let (row, stride) = (self.shape.row(), self.stride);
        self.into_span().chunks_mut(stride).map(move |chunk| &mut chunk[..row])
    }

    /// The samples of row `y`. Panics if there is no such row, as slices do.
    #[must_use]
    pub fn row_mut(&mut self, y: usize) -> &mut [S] {
        assert!(y < self.shape.height);
        &mut self.data[y * self.stride..][..self.shape.row()]
    }

    /// The samples of R rows from row `y` on.
    pub(crate) fn rows_mut<const R: usize>(&mut self, y: usize) -> [&mut [S]; R] {
        assert!(y + R <= self.shape.height);
        let (len, stride) = (self.shape.row(), self.stride);
        let mut rest = &mut self.data[y * stride..];
        std::array::from_fn(|_| {
            // The last row may end before its stride does.
            let (row, more) = std::mem::take(&mut rest).split_at_mut(len);
            rest = more.get_mut(stride - len..).unwrap_or_default();
            row
        })
    }

    /// Copies pixels of the same shape. Error: another shape.
    pub fn copy_from(&mut self, source: &View<'_, S>) -> Result<(), Error>
    where
        S: Copy,
    {
        let (expected, given) = (self.shape, source.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "source", expected, given });
        }
        for y in 0..self.shape.height {
            self.row_mut(y).copy_from_slice(source.row(y));
        }
        Ok(())
    }

    /// The same pixels, borrowed for a shorter time.
    #[must_use]
    pub fn reborrow(&mut self) -> ViewMut<'_, S> {
        ViewMut { data: self.data, shape: self.shape, stride: self.stride }
    }

    /// The same pixels, to read.
    #[must_use]
    pub fn as_view(&self) -> View<'_, S> {
        View { data: self.data, shape: self.shape, stride: self.stride }
    }

    /// The part of the view inside `rect`.
    pub fn crop(self, rect: Rect) -> Result<Self, Error> {
        if !rect.fits(self.shape) {
            return Err(Error::RectOutside { rect, shape: self.shape });
        }
        let start = rect.y * self.stride + rect.x * self.shape.channels;
        let shape = Shape { width: rect.width, height: rect.height, ..self.shape };
        Ok(Self { data: &mut self.data[start..], shape, stride: self.stride })
    }

    /// The same memory as bytes, as many channels as a sample has bytes.
    pub(crate) fn into_bytes(self) -> ViewMut<'a, u8>
    where
        S: Pod,
    {
        let each = size_of::<S>();
        // The stride of a lone row may be any number.
        let stride = if self.shape.height > 1 { self.stride } else { self.shape.row() };
        let shape = Shape { channels: self.shape.channels * each, ..self.shape };
        ViewMut { data: cast_slice_mut(self.data), shape, stride: stride * each }
    }

    /// The first `rows` rows and the rest, both not empty.
    #[cfg_attr(not(feature = "rayon"), allow(dead_code, reason = "one worker takes all"))]
    pub(crate) fn split_at_row(self, rows: usize) -> (Self, Self) {
        debug_assert!(rows > 0 && rows < self.shape.height);
        let (top, bottom) = self.data.split_at_mut(rows * self.stride);
        let rest = Shape { height: self.shape.height - rows, ..self.shape };
        let first = Shape { height: rows, ..self.shape };
        (
            ViewMut { data: top, shape: first, stride: self.stride },
            ViewMut { data: bottom, shape: rest, stride: self.stride },
        )
    }
}

impl Shape {
    /// Samples in the whole image, or an error if that is 0 or does not fit `isize`.
    pub fn samples(&self) -> Result<usize, Error> {
        if self.width == 0 || self.height == 0 || self.channels == 0 {
            return Err(Error::EmptyImage(*self));
        }
        self.width
            .checked_mul(self.channels)
            .and_then(|row| row.checked_mul(self.height))
            // Four bytes is the widest sample; byte offsets must fit `isize`.
            .filter(|&n| n <= isize::MAX as usize / 8)
            .ok_or(Error::SizeOverflow(*self))
    }
}

/// Owned pixels, rows without gaps; for what `image::DynamicImage` cannot hold (signed samples,
/// grey float, many channels).
///
/// ```
/// use twopass::{Image, Shape};
///
/// let mut ramp = Image::<f32>::new(Shape::new(3, 2, 1))?;
/// for (x, sample) in ramp.data_mut().iter_mut().enumerate() {
///     *sample = x as f32;
/// }
/// assert_eq!(ramp.view().row(1), [3.0, 4.0, 5.0]);
/// assert_eq!(Image::from_vec(ramp.clone().into_vec(), ramp.shape())?, ramp);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Image<S> {
    data: Vec<S>,
    shape: Shape,
}

impl<S: Copy + Default> Image<S> {
    /// An image of zeros. Errors: an empty shape, or one that there is no memory for.
    pub fn new(shape: Shape) -> Result<Self, Error> {
        let n = shape.samples()?;
        // Asked for first, since `vec!` ends the process where there is none; then given back, so that
        // zeros come from the system, which has them ready.
        let mut data = Vec::<S>::new();
        data.try_reserve_exact(n).map_err(|_| Error::OutOfMemory(shape))?;
        drop(data);
        Ok(Self { data: vec![S::default(); n], shape })
    }
}

impl<S> Image<S> {
    /// Takes `data`, whose length must be exactly that of the shape.
    pub fn from_vec(data: Vec<S>, shape: Shape) -> Result<Self, Error> {
        let needed = shape.samples()?;
        if data.len() != needed {
            return Err(Error::SampleCount { shape, needed, given: data.len() });
        }
        Ok(Self { data, shape })
    }

    /// Width, height, channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// All samples, row by row.
    #[must_use]
    pub fn data(&self) -> &[S] {
        &self.data
    }

    /// All samples, row by row, to change.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [S] {
        &mut self.data
    }

    /// All samples, row by row.
    #[must_use]
    pub fn into_vec(self) -> Vec<S> {
        self.data
    }

    /// The whole image, to read.
    #[must_use]
    pub fn view(&self) -> View<'_, S> {
        View { data: &self.data, shape: self.shape, stride: self.shape.row() }
    }

    /// The whole image, to write.
    #[must_use]
    pub fn view_mut(&mut self) -> ViewMut<'_, S> {
        ViewMut { stride: self.shape.row(), data: &mut self.data, shape: self.shape }
    }
}

/// Whether a part of an image of shape `whole`, given with the place of its first pixel, holds what
/// is `needed`.
pub(crate) fn check_part(
    whole: Shape,
    part: Shape,
    origin: (usize, usize),
    needed: Rect,
) -> Result<(), Error> {
    if part.channels != whole.channels {
        let expected = Shape { channels: whole.channels, ..part };
        return Err(Error::ShapeMismatch { what: "part", expected, given: part });
    }
    let given = Rect::new(origin.0, origin.1, part.width, part.height);
    let holds = |from: usize, len: usize, at: usize, size: usize| {
        len == 0 || from >= at && at.checked_add(size).is_some_and(|end| from + len <= end)
    };
    if !holds(needed.x, needed.width, given.x, given.width)
        || !holds(needed.y, needed.height, given.y, given.height)
    {
        return Err(Error::PartTooSmall { needed, given });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        let data = [0u8; 24];
        assert!(View::new(&data, Shape::new(4, 2, 3)).is_ok());
        assert!(View::new(&data, Shape::new(5, 2, 3)).is_err());
        assert!(View::with_stride(&data, Shape::new(2, 4, 2), 6).is_ok());
        assert!(View::with_stride(&data, Shape::new(2, 4, 2), 3).is_err());
        assert!(View::with_stride(&data, Shape::new(2, 5, 2), 6).is_err());
        assert_eq!(
            View::new(&data, Shape::new(0, 2, 3)).unwrap_err(),
            Error::EmptyImage(Shape::new(0, 2, 3))
        );
        let huge = Shape::new(usize::MAX / 2, 3, 1);
        assert_eq!(View::new(&data, huge).unwrap_err(), Error::SizeOverflow(huge));
    }

    #[test]
    fn copies_have_no_gaps_and_go_into_what_has_some() {
        let data: Vec<i16> = (0..60).collect();
        let view = View::with_stride(&data, Shape::new(4, 5, 2), 12).unwrap();
        let crop = view.crop(Rect::new(1, 2, 2, 3)).unwrap();
        let copy = crop.to_image().unwrap();
        assert_eq!(copy.data(), [26, 27, 28, 29, 38, 39, 40, 41, 50, 51, 52, 53]);
        let mut there = vec![-1i16; 60];
        let mut whole = ViewMut::with_stride(&mut there, Shape::new(4, 5, 2), 12).unwrap();
        assert!(matches!(whole.copy_from(&crop), Err(Error::ShapeMismatch { .. })));
        whole.copy_from(&view).unwrap();
        for (i, (there, from)) in there.iter().zip(&data).enumerate() {
            assert_eq!(*there, if i % 12 < 8 { *from } else { -1 }, "{i}");
        }
    }

    #[test]
    fn a_crop_is_a_view() {
        let data: Vec<u16> = (0..60).collect();
        let view = View::with_stride(&data, Shape::new(4, 5, 2), 12).unwrap();
        let crop = view.crop(Rect::new(1, 2, 2, 3)).unwrap();
        assert_eq!(crop.row(0), &[26, 27, 28, 29]);
        assert_eq!(crop.row(2), &[50, 51, 52, 53]);
        assert!(view.crop(Rect::new(3, 0, 2, 1)).is_err());
        assert!(view.crop(Rect::new(usize::MAX, 0, 2, 1)).is_err());
    }
}
