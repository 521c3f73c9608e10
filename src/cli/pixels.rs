//! The pixels of a decoded picture: samples of a type that files can hold, and what their alpha channel
//! means. (`DynamicImage` has no grey floats, and no colours that are multiplied by alpha.)

use super::failure::Failure;
use super::spare;
use image::DynamicImage;
use image::metadata::Orientation;
use twopass::{Image, Sample, SampleType, Shape, Source, View};

/// Samples of any type that a file can hold.
pub enum Buffer {
    U8(Image<u8>),
    U16(Image<u16>),
    F32(Image<f32>),
}

/// A sample that files can hold.
pub trait Store: Source {
    fn wrap(image: Image<Self>) -> Buffer;

    /// An image that will be written.
    fn image(shape: Shape) -> Result<Image<Self>, twopass::Error> {
        Image::new(shape)
    }
}

impl Store for u8 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::U8(image)
    }

    fn image(shape: Shape) -> Result<Image<Self>, twopass::Error> {
        match spare::take(shape.samples()?) {
            Some(samples) => Image::from_vec(samples, shape),
            None => Image::new(shape),
        }
    }
}

impl Store for u16 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::U16(image)
    }
}

impl Store for f32 {
    fn wrap(image: Image<Self>) -> Buffer {
        Buffer::F32(image)
    }
}

/// Borrowed samples.
#[derive(Clone, Copy)]
pub enum Pixels<'a> {
    U8(View<'a, u8>),
    U16(View<'a, u16>),
    F32(View<'a, f32>),
}

/// A decoded picture.
pub struct Picture {
    pub buffer: Buffer,
    /// Whether the last channel is alpha.
    pub alpha: bool,
    /// Whether colours are multiplied by it.
    pub premultiplied: bool,
}

/// Does the same to samples of each type.
macro_rules! each {
    ($buffer:expr, $image:ident => $work:expr) => {
        match $buffer {
            Buffer::U8($image) => Buffer::U8($work),
            Buffer::U16($image) => Buffer::U16($work),
            Buffer::F32($image) => Buffer::F32($work),
        }
    };
}

impl Buffer {
    pub fn shape(&self) -> Shape {
        match self {
            Self::U8(image) => image.shape(),
            Self::U16(image) => image.shape(),
            Self::F32(image) => image.shape(),
        }
    }

    /// Leaves the memory to the next picture.
    pub fn give(self) {
        if let Self::U8(image) = self {
            spare::give(image.into_vec());
        }
    }

    /// Borrows the samples.
    pub fn pixels(&self) -> Pixels<'_> {
        match self {
            Self::U8(image) => Pixels::U8(image.view()),
            Self::U16(image) => Pixels::U16(image.view()),
            Self::F32(image) => Pixels::F32(image.view()),
        }
    }

    /// Colours that are not multiplied by alpha, the last channel, of such that are. Where nothing is seen,
    /// integers become black; floats stay, since there may be light in them.
    pub fn divide(self) -> Self {
        each!(self, image => by_alpha(image, |c, a, full| match a {
            _ if a > 0.0 => c * full / a,
            _ if full > 1.0 => 0.0,
            _ => c,
        }))
    }

    /// Colours times alpha, the last channel.
    pub fn multiply(self) -> Self {
        each!(self, image => by_alpha(image, |c, a, full| c * a / full))
    }

    /// The picture turned, as a tag of its file says.
    pub fn turn(self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        each!(self, image => turned(&image, orientation))
    }

    /// Only the first of the channels.
    pub fn first(self, channels: usize) -> Self {
        each!(self, image => {
            let shape = Shape { channels, ..image.shape() };
            let pixels = image.data().chunks_exact(image.shape().channels);
            let samples = pixels.flat_map(|p| &p[..channels]).copied().collect();
            Image::from_vec(samples, shape).expect("as many samples as pixels")
        })
    }
}

fn by_alpha<S: Sample>(image: Image<S>, f: impl Fn(f64, f64, f64) -> f64) -> Image<S> {
    let shape = image.shape();
    let mut samples = image.into_vec();
    for pixel in samples.chunks_exact_mut(shape.channels) {
        if let [colours @ .., alpha] = pixel {
            let alpha = alpha.to_f64();
            colours.iter_mut().for_each(|c| *c = S::from_f64(f(c.to_f64(), alpha, S::FULL)));
        }
    }
    Image::from_vec(samples, shape).expect("as many samples as before")
}

fn turned<S: Sample>(image: &Image<S>, orientation: Orientation) -> Image<S> {
    use Orientation as O;
    let Shape { width, height, channels } = image.shape();
    let (right, bottom) = (width - 1, height - 1);
    // Where the pixel of the result at (x, y) comes from.
    let from = |x: usize, y: usize| match orientation {
        O::NoTransforms => (x, y),
        O::FlipHorizontal => (right - x, y),
        O::FlipVertical => (x, bottom - y),
        O::Rotate180 => (right - x, bottom - y),
        O::Rotate90 => (y, bottom - x),
        O::Rotate270 => (right - y, x),
        O::Rotate90FlipH => (y, x),
        O::Rotate270FlipH => (right - y, bottom - x),
    };
    let upright =
        matches!(orientation, O::NoTransforms | O::FlipHorizontal | O::FlipVertical | O::Rotate180);
    let shape = if upright { image.shape() } else { Shape::new(height, width, channels) };
    let view = image.view();
    let mut samples = Vec::with_capacity(image.data().len());
    for y in 0..shape.height {
        for x in 0..shape.width {
            let (x, y) = from(x, y);
            samples.extend_from_slice(&view.row(y)[x * channels..][..channels]);
        }
    }
    Image::from_vec(samples, shape).expect("as many samples as before")
}

impl Picture {
    /// Takes over the pixels of an image.
    pub fn of(image: DynamicImage) -> Result<Self, Failure> {
        let channels = usize::from(image.color().channel_count());
        let shape = Shape::new(image.width() as usize, image.height() as usize, channels);
        let alpha = image.color().has_alpha();
        let buffer = match image {
            DynamicImage::ImageLuma8(i) => Buffer::U8(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageLumaA8(i) => Buffer::U8(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageRgb8(i) => Buffer::U8(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageRgba8(i) => Buffer::U8(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageLuma16(i) => Buffer::U16(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageLumaA16(i) => Buffer::U16(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageRgb16(i) => Buffer::U16(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageRgba16(i) => Buffer::U16(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageRgb32F(i) => Buffer::F32(Image::from_vec(i.into_raw(), shape)?),
            DynamicImage::ImageRgba32F(i) => Buffer::F32(Image::from_vec(i.into_raw(), shape)?),
            other => {
                return Err(Failure::input(format!("{:?} images are not known", other.color())));
            }
        };
        Ok(Self { buffer, alpha, premultiplied: false })
    }

    /// Whether every alpha is as the predicate says, of its share of full scale.
    fn alphas(&self, is: impl Fn(f64) -> bool) -> bool {
        fn all<S: Sample>(image: &Image<S>, is: impl Fn(f64) -> bool) -> bool {
            let channels = image.shape().channels;
            let mut alphas = image.data().iter().skip(channels - 1).step_by(channels);
            alphas.all(|a| is(a.to_f64() / S::FULL))
        }
        self.alpha
            && match &self.buffer {
                Buffer::U8(image) => all(image, is),
                Buffer::U16(image) => all(image, is),
                Buffer::F32(image) => all(image, is),
            }
    }

    /// Whether the picture has an alpha channel that hides nothing anywhere.
    pub fn is_opaque(&self) -> bool {
        self.alphas(|a| a == 1.0)
    }

    /// Whether the picture has an alpha channel that hides everything.
    pub fn is_hidden(&self) -> bool {
        self.alphas(|a| a == 0.0)
    }

    /// The picture without its alpha channel; colours stay as they are.
    pub fn without_alpha(self) -> Self {
        if !self.alpha {
            return self;
        }
        let colours = self.buffer.shape().channels - 1;
        Self { buffer: self.buffer.first(colours), alpha: false, premultiplied: false }
    }

    /// The picture with colours that are not multiplied by alpha.
    pub fn straight(self) -> Self {
        let buffer = if self.premultiplied { self.buffer.divide() } else { self.buffer };
        Self { buffer, alpha: self.alpha, premultiplied: false }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_turned_as_image_turns_them() {
        for (width, height) in [(3, 2), (1, 4), (4, 1), (1, 1), (2, 2)] {
            let picture =
                image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 9]));
            for exif in 1..=8 {
                let orientation = Orientation::from_exif(exif).unwrap();
                let mut theirs = DynamicImage::from(picture.clone());
                theirs.apply_orientation(orientation);
                let ours = Picture::of(picture.clone().into()).unwrap().buffer.turn(orientation);
                let shape = ours.shape();
                assert_eq!(
                    (shape.width, shape.height),
                    (theirs.width() as usize, theirs.height() as usize)
                );
                let Buffer::U8(ours) = ours else { unreachable!() };
                assert_eq!(ours.data(), theirs.as_bytes(), "{width}×{height}, {exif}");
            }
        }
    }

    #[test]
    fn alpha_is_divided_out_and_multiplied_in() {
        let shape = Shape::new(3, 1, 4);
        let image =
            Image::from_vec(vec![50u8, 100, 0, 100, 9, 9, 9, 0, 7, 8, 9, 255], shape).unwrap();
        let Buffer::U8(straight) = Buffer::U8(image).divide() else { unreachable!() };
        assert_eq!(straight.data(), [128, 255, 0, 100, 0, 0, 0, 0, 7, 8, 9, 255]);
        let Buffer::U8(back) = Buffer::U8(straight).multiply() else { unreachable!() };
        assert_eq!(back.data(), [50, 100, 0, 100, 0, 0, 0, 0, 7, 8, 9, 255]);
        let light = Image::from_vec(vec![3.0f32, 0.0], Shape::new(1, 1, 2)).unwrap();
        let Buffer::F32(light) = Buffer::F32(light).divide() else { unreachable!() };
        assert_eq!(light.data(), [3.0, 0.0]);
    }
}
