//! The pixels of a decoded image as views of its own memory, and its alpha channel.

use super::failure::Failure;
use image::DynamicImage;
use twopass::{SampleType, Shape, View};

/// The samples of an image, as a view of its own buffer.
pub enum Pixels<'a> {
    U8(View<'a, u8>),
    U16(View<'a, u16>),
    F32(View<'a, f32>),
}

impl Pixels<'_> {
    pub fn shape(&self) -> Shape {
        match self {
            Self::U8(v) => v.shape(),
            Self::U16(v) => v.shape(),
            Self::F32(v) => v.shape(),
        }
    }

    pub fn sample(&self) -> SampleType {
        match self {
            Self::U8(_) => SampleType::U8,
            Self::U16(_) => SampleType::U16,
            Self::F32(_) => SampleType::F32,
        }
    }
}

/// Borrows the samples of an image.
pub fn pixels(image: &DynamicImage) -> Result<Pixels<'_>, Failure> {
    let channels = usize::from(image.color().channel_count());
    let shape = Shape::new(image.width() as usize, image.height() as usize, channels);
    Ok(match image {
        DynamicImage::ImageLuma8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageLumaA8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgb8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgba8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageLuma16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageLumaA16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgb16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgba16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgb32F(i) => Pixels::F32(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgba32F(i) => Pixels::F32(View::new(i.as_raw(), shape)?),
        other => return Err(Failure::input(format!("{:?} images are not known", other.color()))),
    })
}

/// Whether the image has an alpha channel that hides nothing anywhere.
pub fn is_opaque(image: &DynamicImage) -> bool {
    fn full<S: twopass::Sample>(view: &View<'_, S>) -> bool {
        let channels = view.shape().channels;
        let alphas = |y| view.row(y).iter().skip(channels - 1).step_by(channels);
        (0..view.shape().height).all(|y| alphas(y).all(|a| a.to_f64() == S::FULL))
    }
    match pixels(image) {
        Ok(Pixels::U8(v)) => full(&v),
        Ok(Pixels::U16(v)) => full(&v),
        Ok(Pixels::F32(v)) => full(&v),
        Err(_) => false,
    }
}

/// The image without its alpha channel; colours stay as they are.
pub fn without_alpha(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageLumaA8(_) => image.into_luma8().into(),
        DynamicImage::ImageRgba8(_) => image.into_rgb8().into(),
        DynamicImage::ImageLumaA16(_) => image.into_luma16().into(),
        DynamicImage::ImageRgba16(_) => image.into_rgb16().into(),
        DynamicImage::ImageRgba32F(_) => image.into_rgb32f().into(),
        other => other,
    }
}
