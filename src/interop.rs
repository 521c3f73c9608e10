//! Filtering of the `image` crate's own types: every `DynamicImage` and every `ImageBuffer`
//! whose subpixels are `u8`, `u16` or `f32`.
//!
//! Pixels are borrowed where they lie, as a [`View`]; the only memory allocated is the result's.
//! What these types know and a raw view does not, this module adds: which channel is alpha, and
//! in which colour space the numbers are meant.

use crate::any_view::Source;
use crate::error::Error;
use crate::exec::Workspace;
use crate::filter::{Alpha, Filter};
use crate::layer::Chain;
use crate::mapping::Mapping;
use crate::sample::Sample;
use crate::view::{Image, Shape, View, ViewMut};
use image::{DynamicImage, ImageBuffer, Luma, LumaA, Pixel, Rgb, Rgba};
use std::ops::{Deref, DerefMut};

/// The answer to a variant that `image` adds after this crate was written.
const UNKNOWN_VARIANT: Error = Error::Unsupported("this kind of DynamicImage is not known here");
/// The answer to results that no variant holds.
const NO_VARIANT: Error = Error::Unsupported(
    "a DynamicImage of this many channels and these samples; apply_to gives an Image",
);
/// The answer to an output of another variant than the image.
const OTHER_VARIANT: Error = Error::Unsupported("an output of another kind than the image");

impl Filter {
    /// Filters any `DynamicImage`; the result has the same variant and the same colour space.
    ///
    /// Values keep their units: 0..=255 in 8 bits, 0..=65535 in 16 bits, and whatever the image
    /// holds in `f32` (usually 0..=1). Integer results are rounded and clamped to that range, so a
    /// derivative filter needs [`abs`](Self::abs), [`offset`](Self::offset) or
    /// [`apply_to`](Self::apply_to) for its negative half. The size stays too, except with border
    /// [`Valid`](crate::Border::Valid), where it shrinks by the kernel's size − 1.
    ///
    /// Samples are filtered as they are stored. Nothing is linearised first: an image with the
    /// sRGB transfer function is filtered in sRGB values, as image libraries do.
    ///
    /// # Alpha
    ///
    /// For pixel types with an alpha channel, unless [`alpha`](Self::alpha) says otherwise:
    ///
    /// * no negative weight (blurs, identity): [`Alpha::Premultiply`], so that the invisible colour
    ///   of transparent pixels does not bleed into visible ones;
    /// * any negative weight, be it a tap or the scale (derivatives, sharpening):
    ///   [`Alpha::Keep`], so that edges of transparency are not taken for edges of the picture.
    ///
    /// [`alpha_or_default`](Self::alpha_or_default) tells which one it will be.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyImage`] for a width or height of 0; [`Error::NoAlpha`] if `alpha` asked for
    /// `Premultiply` or `Keep` and the image has no alpha channel; [`Error::Unsupported`] for a
    /// variant that did not exist when this crate was written; and everything that
    /// [`plan`](Self::plan) reports.
    ///
    /// # Examples
    ///
    /// ```
    /// use image::{DynamicImage, GrayImage, Luma};
    /// use twopass::{Filter, Kernel};
    ///
    /// let mut dot = GrayImage::new(5, 5);
    /// dot.put_pixel(2, 2, Luma([160]));
    /// let photo = DynamicImage::ImageLuma8(dot);
    ///
    /// let blur = Filter::new(Kernel::separable(&[1.0, 2.0, 1.0], &[1.0, 2.0, 1.0])?).scale(1.0 / 16.0);
    /// let blurred = blur.apply(&photo)?;
    ///
    /// let grey = blurred.as_luma8().expect("the variant stays");
    /// assert_eq!(grey.get_pixel(2, 2), &Luma([40]));
    /// assert_eq!(grey.get_pixel(1, 2), &Luma([20]));
    /// assert_eq!(grey.get_pixel(1, 1), &Luma([10]));
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn apply(&self, image: &DynamicImage) -> Result<DynamicImage, Error> {
        Chain::of_filter(self).apply(image)
    }

    /// Filters any `DynamicImage` into samples of another type, with the same channels.
    ///
    /// The values are in the units of the *source* samples, not rescaled: the Sobel derivative of
    /// an 8-bit image in `i16` lies in −1020..=1020, a blurred one in `f32` in 0.0..=255.0. Integer
    /// results are rounded and clamped to `S`; mind that a 16-bit image does not fit `i16`, while
    /// [`scale`](Self::scale) can make it fit. Alpha and errors are as for [`apply`](Self::apply).
    ///
    /// # Examples
    ///
    /// ```
    /// use image::{DynamicImage, GrayImage, Luma};
    /// use twopass::{Filter, Image, Kernel};
    ///
    /// // Dark on the right: a negative derivative, which 8 bits cannot hold.
    /// let step = GrayImage::from_fn(4, 3, |x, _| Luma([if x < 2 { 255 } else { 0 }]));
    /// let sobel_x = Filter::new(Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0])?);
    ///
    /// let signed: Image<i16> = sobel_x.apply_to(&DynamicImage::ImageLuma8(step))?;
    /// assert_eq!(signed.view().row(1), &[0, -1020, -1020, 0]);
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn apply_to<S: Sample>(&self, image: &DynamicImage) -> Result<Image<S>, Error> {
        Chain::of_filter(self).apply_to(image)
    }

    /// Filters one `ImageBuffer`, whatever holds its samples (`Vec`, slice, memory map); what
    /// [`apply`](Self::apply) does for each of its variants.
    ///
    /// A pixel type of one's own works as well. If it says `HAS_ALPHA`, alpha must be the last of 2
    /// or 4 channels; otherwise the result is [`Error::NoAlpha`] unless [`Alpha::Plain`] is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use image::{ImageBuffer, Rgb};
    /// use twopass::{Border, Filter, Kernel};
    ///
    /// let memory = [0.0f32, 0.5, 1.0, 1.0, 0.5, 0.0]; // borrowed, never copied
    /// let image: ImageBuffer<Rgb<f32>, &[f32]> = ImageBuffer::from_raw(2, 1, &memory[..]).unwrap();
    ///
    /// let mean = Filter::new(Kernel::new(2, 1, vec![0.5, 0.5])?).border(Border::Valid);
    /// let result = mean.apply_buffer(&image)?;
    /// assert_eq!(result.dimensions(), (1, 1));
    /// assert_eq!(result.get_pixel(0, 0), &Rgb([0.5, 0.5, 0.5]));
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn apply_buffer<P, C>(
        &self,
        image: &ImageBuffer<P, C>,
    ) -> Result<ImageBuffer<P, Vec<P::Subpixel>>, Error>
    where
        P: Pixel,
        P::Subpixel: Source,
        C: Deref<Target = [P::Subpixel]>,
    {
        let mut buffer = buffer::<P>(self.apply_buffer_to(image)?)?;
        let color = image.color_space();
        buffer.set_rgb_primaries(color.primaries);
        buffer.set_transfer_function(color.transfer);
        Ok(buffer)
    }

    /// Filters one `ImageBuffer` into samples of another type; what [`apply_to`](Self::apply_to)
    /// does for each variant.
    ///
    /// ```
    /// use image::{GrayImage, Luma};
    /// use twopass::{Filter, Kernel};
    ///
    /// let image = GrayImage::from_fn(2, 1, |x, _| Luma([x as u8]));
    /// let mean = Filter::new(Kernel::new(2, 1, vec![0.5, 0.5])?.with_anchor(0, 0)?);
    /// assert_eq!(mean.apply_buffer_to::<f32, _, _>(&image)?.data(), &[0.5, 0.5]);
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn apply_buffer_to<S, P, C>(&self, image: &ImageBuffer<P, C>) -> Result<Image<S>, Error>
    where
        S: Sample,
        P: Pixel,
        P::Subpixel: Source,
        C: Deref<Target = [P::Subpixel]>,
    {
        Chain::of_filter(self).apply_buffer_to(image)
    }

    /// Filters into an image that is there already, with a workspace that is there already: for frames. Nothing of
    /// the size of a picture is allocated; the plan is made anew. Those who keep that too use
    /// [`plan`](Self::plan).
    ///
    /// Errors: as of [`apply`](Self::apply); an output of another kind, or of another size than the result's.
    ///
    /// ```
    /// use image::{DynamicImage, RgbImage};
    /// use twopass::{Filter, Kernel, Workspace};
    ///
    /// let blur = Filter::new(Kernel::gaussian(1.5)?);
    /// let frame = DynamicImage::from(RgbImage::from_pixel(64, 48, [7, 8, 9].into()));
    /// let mut out = DynamicImage::from(RgbImage::new(64, 48));
    /// let mut workspace = Workspace::new();
    /// for _ in 0..3 {
    ///     blur.apply_into(&frame, &mut out, &mut workspace)?;
    /// }
    /// assert_eq!(out, frame);
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn apply_into(
        &self,
        image: &DynamicImage,
        out: &mut DynamicImage,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        use DynamicImage as D;
        match (image, out) {
            (D::ImageLuma8(b), D::ImageLuma8(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageLumaA8(b), D::ImageLumaA8(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageRgb8(b), D::ImageRgb8(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageRgba8(b), D::ImageRgba8(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageLuma16(b), D::ImageLuma16(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageLumaA16(b), D::ImageLumaA16(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageRgb16(b), D::ImageRgb16(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageRgba16(b), D::ImageRgba16(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageRgb32F(b), D::ImageRgb32F(o)) => self.apply_buffer_into(b, o, workspace),
            (D::ImageRgba32F(b), D::ImageRgba32F(o)) => self.apply_buffer_into(b, o, workspace),
            _ => Err(OTHER_VARIANT),
        }
    }

    /// Filters one `ImageBuffer` into another; what [`apply_into`](Self::apply_into) does for each variant.
    pub fn apply_buffer_into<P, C, D>(
        &self,
        image: &ImageBuffer<P, C>,
        out: &mut ImageBuffer<P, D>,
        workspace: &mut Workspace,
    ) -> Result<(), Error>
    where
        P: Pixel,
        P::Subpixel: Source,
        C: Deref<Target = [P::Subpixel]>,
        D: DerefMut<Target = [P::Subpixel]>,
    {
        let view = View::try_from(image)?;
        let plan = Chain::of_filter(self).for_pixels::<P>().plan(view.shape())?;
        plan.run(view, ViewMut::try_from(&mut *out)?, workspace)?;
        let color = image.color_space();
        out.set_rgb_primaries(color.primaries);
        out.set_transfer_function(color.transfer);
        Ok(())
    }

    /// What [`apply`](Self::apply) does to an alpha channel: the handling that
    /// [`alpha`](Self::alpha) set, or the default that follows from the signs of the weights.
    ///
    /// For those who plan by hand, since raw views do not know which channel is alpha:
    ///
    /// ```
    /// use image::{Pixel, Rgba, RgbaImage};
    /// use twopass::{Alpha, Filter, Kernel, View, ViewMut, Workspace};
    ///
    /// let blur = Filter::new(Kernel::new(3, 1, vec![0.25, 0.5, 0.25])?);
    /// assert_eq!(blur.alpha_or_default(), Alpha::Premultiply);
    ///
    /// let frame = RgbaImage::from_pixel(4, 2, Rgba([9, 8, 7, 255]));
    /// let mut out = RgbaImage::new(4, 2);
    /// let source = View::try_from(&frame)?;
    /// let blur = blur.clone().alpha(blur.alpha_or_default());
    /// let plan = blur.plan::<u8, u8>(source.shape())?;
    /// plan.run(source, ViewMut::try_from(&mut out)?, &mut Workspace::new())?;
    /// assert_eq!(out, frame);
    /// # Ok::<(), twopass::Error>(())
    /// ```
    #[must_use]
    pub fn alpha_or_default(&self) -> Alpha {
        self.get_alpha().unwrap_or(if self.has_negative_tap() || self.get_scale() < 0.0 {
            Alpha::Keep
        } else {
            Alpha::Premultiply
        })
    }
}

impl Chain {
    /// Runs the chain on any `DynamicImage`. The result has samples of the same type, and as many channels as the
    /// last layer gives: grey, grey with alpha, RGB or RGBA.
    ///
    /// # Alpha
    ///
    /// Where the image has an alpha channel, each filter treats it by the rule of [`Filter::apply`], unless the filter
    /// says otherwise itself: premultiplied if it has no negative weight, else kept. That holds as long as pixels have as
    /// many channels as the image; a layer that changes their number ends it, and [`Alpha::Plain`] switches it off. Other
    /// layers take alpha for a channel like any other. A chain that was [planned](Self::plan) by hand, whose views know no
    /// alpha, does so throughout.
    ///
    /// # Errors
    ///
    /// Everything that [`plan`](Self::plan) reports, a number of channels that the first layer does not take among it;
    /// [`Error::Unsupported`] for results that no `DynamicImage` holds, such as one channel of `f32`.
    ///
    /// # Examples
    ///
    /// ```
    /// use image::{DynamicImage, Rgb, RgbImage};
    /// use twopass::{Chain, Kernel, Pointwise};
    ///
    /// let photo = DynamicImage::from(RgbImage::from_pixel(8, 8, Rgb([200, 100, 50])));
    /// let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1])?;
    /// let soft_grey = Chain::new(Kernel::gaussian(1.0)?).then(luma)?.apply(&photo)?;
    /// assert_eq!(soft_grey.as_luma8().expect("one channel").get_pixel(3, 3).0, [124]);
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn apply(&self, image: &DynamicImage) -> Result<DynamicImage, Error> {
        use DynamicImage as D;
        let result = match image {
            D::ImageLuma8(_) | D::ImageLumaA8(_) | D::ImageRgb8(_) | D::ImageRgba8(_) => {
                of_bytes(self.apply_to(image)?)
            }
            D::ImageLuma16(_) | D::ImageLumaA16(_) | D::ImageRgb16(_) | D::ImageRgba16(_) => {
                of_words(self.apply_to(image)?)
            }
            D::ImageRgb32F(_) | D::ImageRgba32F(_) => of_floats(self.apply_to(image)?),
            _ => Err(UNKNOWN_VARIANT),
        };
        Ok(coloured(result?, image))
    }

    /// Runs the chain on any `DynamicImage`, into samples of another type and any number of channels, in the units of the
    /// source samples; otherwise [`apply`](Self::apply).
    pub fn apply_to<S: Sample>(&self, image: &DynamicImage) -> Result<Image<S>, Error> {
        use DynamicImage as D;
        match image {
            D::ImageLuma8(b) => self.apply_buffer_to(b),
            D::ImageLumaA8(b) => self.apply_buffer_to(b),
            D::ImageRgb8(b) => self.apply_buffer_to(b),
            D::ImageRgba8(b) => self.apply_buffer_to(b),
            D::ImageLuma16(b) => self.apply_buffer_to(b),
            D::ImageLumaA16(b) => self.apply_buffer_to(b),
            D::ImageRgb16(b) => self.apply_buffer_to(b),
            D::ImageRgba16(b) => self.apply_buffer_to(b),
            D::ImageRgb32F(b) => self.apply_buffer_to(b),
            D::ImageRgba32F(b) => self.apply_buffer_to(b),
            _ => Err(UNKNOWN_VARIANT),
        }
    }

    /// Runs the chain on one `ImageBuffer`; what [`apply_to`](Self::apply_to) does for each variant.
    pub fn apply_buffer_to<S, P, C>(&self, image: &ImageBuffer<P, C>) -> Result<Image<S>, Error>
    where
        S: Sample,
        P: Pixel,
        P::Subpixel: Source,
        C: Deref<Target = [P::Subpixel]>,
    {
        let view = View::try_from(image)?;
        let plan = self.clone().for_pixels::<P>().plan(view.shape())?;
        let mut out = Image::new(plan.output_shape())?;
        plan.run(view, out.view_mut(), &mut Workspace::new())?;
        Ok(out)
    }

    /// The same with the default alpha rule, where pixels of type P have alpha.
    fn for_pixels<P: Pixel>(self) -> Self {
        if !P::HAS_ALPHA {
            return self;
        }
        let alpha = |filter: &Filter| filter.clone().alpha(filter.alpha_or_default());
        self.map_filters(usize::from(P::CHANNEL_COUNT), alpha)
    }
}

impl Mapping {
    /// Runs a filter or a chain on any `DynamicImage`, between its samples and those of the result, which has the same
    /// kind. Which channel is alpha is known here, and filters treat it as in [`Chain::apply`].
    ///
    /// Errors: as of [`plan`](Self::plan) and [`Chain::apply`].
    ///
    /// ```
    /// use image::{DynamicImage, GrayImage, Luma};
    /// use twopass::{Filter, Kernel, Mapping};
    ///
    /// let stripes = GrayImage::from_fn(8, 8, |x, _| Luma([if x % 2 == 0 { 0 } else { 255 }]));
    /// let mean = Filter::new(Kernel::new(4, 1, vec![0.25; 4])?);
    /// let seen = Mapping::new().linear().apply(mean, &DynamicImage::from(stripes))?;
    /// assert_eq!(seen.as_luma8().expect("the kind stays").get_pixel(4, 4), &Luma([188]));
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn apply(
        &self,
        chain: impl Into<Chain>,
        image: &DynamicImage,
    ) -> Result<DynamicImage, Error> {
        use DynamicImage as D;
        let chain = chain.into();
        let result = match image {
            D::ImageLuma8(b) => of_bytes(self.buffer(chain, b)?),
            D::ImageLumaA8(b) => of_bytes(self.buffer(chain, b)?),
            D::ImageRgb8(b) => of_bytes(self.buffer(chain, b)?),
            D::ImageRgba8(b) => of_bytes(self.buffer(chain, b)?),
            D::ImageLuma16(b) => of_words(self.buffer(chain, b)?),
            D::ImageLumaA16(b) => of_words(self.buffer(chain, b)?),
            D::ImageRgb16(b) => of_words(self.buffer(chain, b)?),
            D::ImageRgba16(b) => of_words(self.buffer(chain, b)?),
            D::ImageRgb32F(b) => of_floats(self.buffer(chain, b)?),
            D::ImageRgba32F(b) => of_floats(self.buffer(chain, b)?),
            _ => Err(UNKNOWN_VARIANT),
        };
        Ok(coloured(result?, image))
    }

    fn buffer<P: Pixel<Subpixel: Source>>(
        &self,
        chain: Chain,
        image: &ImageBuffer<P, Vec<P::Subpixel>>,
    ) -> Result<Image<P::Subpixel>, Error> {
        let view = View::try_from(image)?;
        let chain = chain.for_pixels::<P>();
        let channels = chain.output_shape(view.shape())?.channels;
        let alpha = P::HAS_ALPHA && channels.is_multiple_of(2);
        let plan = self.clone().alpha(P::HAS_ALPHA, alpha).plan(chain, view.shape())?;
        let mut out = Image::new(plan.output_shape())?;
        plan.run(view, out.view_mut(), &mut Workspace::new())?;
        Ok(out)
    }
}

/// The variant of that many channels of 8 bits.
fn of_bytes(image: Image<u8>) -> Result<DynamicImage, Error> {
    Ok(match image.shape().channels {
        1 => DynamicImage::ImageLuma8(buffer::<Luma<u8>>(image)?),
        2 => DynamicImage::ImageLumaA8(buffer::<LumaA<u8>>(image)?),
        3 => DynamicImage::ImageRgb8(buffer::<Rgb<u8>>(image)?),
        4 => DynamicImage::ImageRgba8(buffer::<Rgba<u8>>(image)?),
        _ => return Err(NO_VARIANT),
    })
}

/// The same of 16 bits.
fn of_words(image: Image<u16>) -> Result<DynamicImage, Error> {
    Ok(match image.shape().channels {
        1 => DynamicImage::ImageLuma16(buffer::<Luma<u16>>(image)?),
        2 => DynamicImage::ImageLumaA16(buffer::<LumaA<u16>>(image)?),
        3 => DynamicImage::ImageRgb16(buffer::<Rgb<u16>>(image)?),
        4 => DynamicImage::ImageRgba16(buffer::<Rgba<u16>>(image)?),
        _ => return Err(NO_VARIANT),
    })
}

/// The same of floats.
fn of_floats(image: Image<f32>) -> Result<DynamicImage, Error> {
    Ok(match image.shape().channels {
        3 => DynamicImage::ImageRgb32F(buffer::<Rgb<f32>>(image)?),
        4 => DynamicImage::ImageRgba32F(buffer::<Rgba<f32>>(image)?),
        _ => return Err(NO_VARIANT),
    })
}

/// A result in the colour space of the image that it was made of.
fn coloured(mut result: DynamicImage, image: &DynamicImage) -> DynamicImage {
    let color = image.color_space();
    result.set_rgb_primaries(color.primaries);
    result.set_transfer_function(color.transfer);
    result
}

/// An image as one of the `image` crate, with as many channels as its pixels have.
fn buffer<P: Pixel>(image: Image<P::Subpixel>) -> Result<ImageBuffer<P, Vec<P::Subpixel>>, Error> {
    let shape = image.shape();
    let side = |n: usize| u32::try_from(n).map_err(|_| Error::SizeOverflow(shape));
    let (width, height) = (side(shape.width)?, side(shape.height)?);
    ImageBuffer::from_raw(width, height, image.into_vec()).ok_or(Error::SizeOverflow(shape))
}

/// The shape of an image of pixels `P`.
fn shape_of<P: Pixel>((width, height): (u32, u32)) -> Shape {
    Shape::new(width as usize, height as usize, usize::from(P::CHANNEL_COUNT))
}

/// The pixels of an image, to read, without a copy. A container longer than the image needs is
/// fine. [`Error::EmptyImage`] for a width or height of 0.
///
/// ```
/// use image::RgbImage;
/// use twopass::{Rect, Shape, View};
///
/// let image = RgbImage::new(40, 30);
/// let view = View::try_from(&image)?;
/// assert_eq!(view.shape(), Shape::new(40, 30, 3));
/// let part = view.crop(Rect::new(10, 10, 5, 5))?; // still the image's own memory
/// assert_eq!(part.stride(), 40 * 3);
/// # Ok::<(), twopass::Error>(())
/// ```
impl<'a, P, C> TryFrom<&'a ImageBuffer<P, C>> for View<'a, P::Subpixel>
where
    P: Pixel,
    C: Deref<Target = [P::Subpixel]>,
{
    type Error = Error;

    fn try_from(image: &'a ImageBuffer<P, C>) -> Result<Self, Error> {
        Self::new(image.as_raw(), shape_of::<P>(image.dimensions()))
    }
}

/// The pixels of an image, to write, without a copy; otherwise as for [`View`]. Samples of the
/// container beyond the image are not touched.
impl<'a, P, C> TryFrom<&'a mut ImageBuffer<P, C>> for ViewMut<'a, P::Subpixel>
where
    P: Pixel,
    C: DerefMut<Target = [P::Subpixel]>,
{
    type Error = Error;

    fn try_from(image: &'a mut ImageBuffer<P, C>) -> Result<Self, Error> {
        let shape = shape_of::<P>(image.dimensions());
        // The whole container is not to be had mutably; the image's own samples are.
        let samples: &'a mut [P::Subpixel] = image;
        Self::new(samples, shape)
    }
}
