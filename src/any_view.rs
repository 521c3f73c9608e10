//! Pixels of samples whose type is a value, to read and to write, and the samples that can be filtered.

use crate::sample::{Sample, SampleType, sealed::Sealed, with_sample};
use crate::view::{Shape, View, ViewMut};
use wide::bytemuck::{Pod, cast_slice, cast_slice_mut};

pub(crate) mod sealed {
    use super::{AnyView, Sealed, View};

    pub trait SealedSource: Sealed {
        fn any(view: View<'_, Self>) -> AnyView<'_>;

        /// A code of an integer, the nearest that there is.
        fn of_code(code: i32) -> Self;
    }
}

/// A sample that can be filtered: `u8`, `u16`, `f32`. Sealed.
///
/// ```
/// use twopass::{Error, Filter, Image, Kernel, Source, View, Workspace};
///
/// fn blurred<S: Source>(view: View<'_, S>) -> Result<Image<S>, Error> {
///     let plan = Filter::new(Kernel::gaussian(1.0)?).plan::<S, S>(view.shape())?;
///     let mut out = Image::new(plan.output_shape())?;
///     plan.run(view, out.view_mut(), &mut Workspace::new())?;
///     Ok(out)
/// }
/// ```
pub trait Source: Sample + sealed::SealedSource {}

macro_rules! source {
    ($t:ty, $name:ident) => {
        impl sealed::SealedSource for $t {
            fn any(view: View<'_, Self>) -> AnyView<'_> {
                AnyView::$name(view)
            }

            #[inline(always)]
            fn of_code(code: i32) -> Self {
                // The limits of floats are beyond those of codes.
                code.clamp(<$t>::MIN as i32, <$t>::MAX as i32) as $t
            }
        }
        impl Source for $t {}
    };
}

source!(u8, U8);
source!(u16, U16);
source!(f32, F32);

/// Pixels to read, of samples of any type that can be filtered. What is not generic is compiled once, with this
/// crate.
///
/// ```
/// use twopass::{AnyView, Image, SampleType, Shape};
///
/// // What a file holds is known when it is read.
/// fn describe(pixels: AnyView<'_>) -> String {
///     format!("{} of {}", pixels.shape(), pixels.sample())
/// }
/// let deep = Image::<u16>::new(Shape::new(40, 30, 3))?;
/// assert_eq!(describe(AnyView::new(deep.view())), "40×30×3 of u16");
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum AnyView<'a> {
    /// Of `u8`.
    U8(View<'a, u8>),
    /// Of `u16`.
    U16(View<'a, u16>),
    /// Of `f32`.
    F32(View<'a, f32>),
}

impl<'a> AnyView<'a> {
    /// A view as one of any type.
    #[must_use]
    pub fn new<I: Source>(view: View<'a, I>) -> Self {
        I::any(view)
    }

    /// Width, height, channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self {
            Self::U8(view) => view.shape(),
            Self::U16(view) => view.shape(),
            Self::F32(view) => view.shape(),
        }
    }

    /// The type of its samples.
    #[must_use]
    pub fn sample(&self) -> SampleType {
        match self {
            Self::U8(_) => SampleType::U8,
            Self::U16(_) => SampleType::U16,
            Self::F32(_) => SampleType::F32,
        }
    }
}

/// Pixels to write, of samples of any type, as the bytes that they are. What is not generic is compiled
/// once, and looks the type up where it stores.
///
/// ```
/// use twopass::{AnyView, AnyViewMut, Filter, Image, Kernel, Shape, Workspace};
///
/// let photo = Image::from_vec(vec![10u8; 48], Shape::new(4, 4, 3))?;
/// let mut blurred = Image::<u8>::new(photo.shape())?;
/// let plan = Filter::new(Kernel::gaussian(1.0)?).plan::<u8, u8>(photo.shape())?.into_any();
/// plan.run(AnyView::new(photo.view()), AnyViewMut::new(blurred.view_mut()), &mut Workspace::new())?;
/// assert_eq!(blurred, photo);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug)]
pub struct AnyViewMut<'a> {
    pub(crate) sample: SampleType,
    /// A sample's bytes are as many channels.
    pub(crate) bytes: ViewMut<'a, u8>,
}

impl<'a> AnyViewMut<'a> {
    /// A view as one of any type.
    #[must_use]
    pub fn new<O: Sample>(view: ViewMut<'a, O>) -> Self {
        Self { sample: O::TYPE, bytes: view.into_bytes() }
    }

    /// The type of its samples.
    #[must_use]
    pub fn sample(&self) -> SampleType {
        self.sample
    }

    /// Width, height, channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let shape = self.bytes.shape();
        Shape { channels: shape.channels / self.sample.bytes(), ..shape }
    }

    /// R rows from row `y` on.
    #[inline]
    pub(crate) fn rows_mut<const R: usize>(&mut self, y: usize) -> [OutRow<'_>; R] {
        let sample = self.sample;
        self.bytes.rows_mut(y).map(|bytes| OutRow::from_bytes(sample, bytes))
    }
}

/// A row of samples to write, of a type that is looked up where they are stored.
pub struct OutRow<'a> {
    sample: SampleType,
    /// Whole samples, aligned as such.
    bytes: &'a mut [u8],
}

impl<'a> OutRow<'a> {
    pub(crate) fn new<O: Sample>(out: &'a mut [O]) -> Self {
        Self { sample: O::TYPE, bytes: cast_slice_mut(out) }
    }

    /// Samples as the bytes that they are.
    #[inline]
    pub(crate) fn from_bytes(sample: SampleType, bytes: &'a mut [u8]) -> Self {
        let each = sample.bytes();
        let aligned = bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(each);
        assert!(aligned && bytes.len().is_multiple_of(each));
        Self { sample, bytes }
    }

    /// A row without samples.
    pub(crate) fn none(sample: SampleType) -> Self {
        Self { sample, bytes: &mut [] }
    }

    /// The row as what it was made of, which is O.
    pub(crate) fn typed<O: Sample>(self) -> &'a mut [O] {
        assert!(O::TYPE == self.sample);
        cast_slice_mut(self.bytes)
    }

    /// Fills it with these values, rounded.
    pub(crate) fn round(self, values: &[f64]) {
        with_sample!(self.sample, O => {
            for (o, v) in self.typed::<O>().iter_mut().zip(values) {
                *o = O::from_f64(*v);
            }
        });
    }

    /// The type of its samples.
    #[inline(always)]
    pub(crate) fn sample(&self) -> SampleType {
        self.sample
    }

    /// Samples.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.sample.bytes()
    }

    /// Its samples, as the bytes that they are.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }

    #[inline(always)]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    /// The same row, borrowed for a shorter time.
    #[inline]
    pub(crate) fn whole(&mut self) -> OutRow<'_> {
        OutRow { sample: self.sample, bytes: self.bytes }
    }

    /// Fills it from sample `x` on with the first of the samples in this memory.
    #[inline(always)]
    pub(crate) fn end_from<W: Pod>(&mut self, x: usize, memory: &[W]) {
        let end = &mut self.bytes[x * self.sample.bytes()..];
        end.copy_from_slice(&cast_slice(memory)[..end.len()]);
    }

    /// The same for all of it.
    #[inline(always)]
    pub(crate) fn copy_from<W: Pod>(&mut self, memory: &[W]) {
        self.end_from(0, memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_view_is_the_view_that_it_was_made_of() {
        let mut data: Vec<u16> = (0..60).collect();
        let view = ViewMut::with_stride(&mut data, Shape::new(4, 5, 2), 12).unwrap();
        let mut any = AnyViewMut::new(view);
        assert_eq!(any.shape(), Shape::new(4, 5, 2));
        let [_, mut row] = any.rows_mut(1);
        assert_eq!((row.len(), row.sample()), (8, SampleType::U16));
        row.end_from(6, &[700u16, 800, 900]);
        assert_eq!(row.typed::<u16>(), &[24, 25, 26, 27, 28, 29, 700, 800]);

        let lone = ViewMut::with_stride(&mut data, Shape::new(4, 1, 2), usize::MAX).unwrap();
        let mut lone = AnyViewMut::new(lone);
        let [row] = lone.rows_mut(0);
        assert_eq!(row.len(), 8);
    }
}
