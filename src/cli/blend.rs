//! `--region` and `--mask`: results beside, and between, what is not filtered.

use super::animation;
use super::channels::convert;
use super::failure::Failure;
use super::input;
use super::pixels::{Buffer, Picture};
use super::source::Wanted;
use image::metadata::Orientation;
use std::borrow::Cow;
use std::path::Path;
use twopass::{Image, Sample, Shape, Source, View};

/// How bright a picture is, from 0 to 1, pixel by pixel.
pub struct Mask {
    name: String,
    /// As the file has it.
    stored: Image<f32>,
    /// How it is to be turned to be upright.
    orientation: Orientation,
}

impl Mask {
    /// Reads a picture: of several, the first one if that is wanted. What is transparent counts as black.
    pub fn open(path: &Path, max_pixels: u64, first_frame: bool) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let opened = input::open(path, max_pixels, Wanted { first_frame, channels: None })?;
        if opened.moving.is_some() || opened.pages.is_some() {
            let Failure { kind, message } = animation::several(opened.format);
            return Err(Failure::new(kind, format!("the mask {name}: {message}")));
        }
        let orientation = opened.orientation;
        let Picture { buffer, alpha, .. } = opened.decode(1)?.picture.straight();
        let shape = Shape { channels: 1, ..buffer.shape() };
        let values = match &buffer {
            Buffer::U8(image) => brightness(image, alpha),
            Buffer::U16(image) => brightness(image, alpha),
            Buffer::F32(image) => brightness(image, alpha),
        };
        Ok(Self { name, stored: Image::from_vec(values, shape)?, orientation })
    }

    /// As it lies on a picture that is to be turned so.
    fn on(&self, orientation: Orientation) -> Cow<'_, Image<f32>> {
        if orientation == self.orientation {
            return Cow::Borrowed(&self.stored);
        }
        let back = match orientation {
            Orientation::Rotate90 => Orientation::Rotate270,
            Orientation::Rotate270 => Orientation::Rotate90,
            // The others are their own ways back.
            other => other,
        };
        match Buffer::F32(self.stored.clone()).turn(self.orientation).turn(back) {
            Buffer::F32(image) => Cow::Owned(image),
            _ => Cow::Borrowed(&self.stored),
        }
    }
}

/// By Rec. 709, as of sRGB.
fn brightness<S: Sample>(image: &Image<S>, alpha: bool) -> Vec<f32> {
    let value = |v: &S| v.to_f64() / S::FULL;
    let pixel = |pixel: &[S]| {
        let (colours, alpha) = match pixel.split_last() {
            Some((last, colours)) if alpha => (colours, value(last)),
            _ => (pixel, 1.0),
        };
        let bright = match colours {
            [r, g, b, ..] => 0.2126 * value(r) + 0.7152 * value(g) + 0.0722 * value(b),
            [grey, ..] => value(grey),
            [] => 0.0,
        };
        let share = bright * alpha;
        // NaN is dark.
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) as f32 }
    };
    image.data().chunks_exact(image.shape().channels).map(pixel).collect()
}

/// Blends the result with the source, whose pixel at `origin` lies under the result's first, by the mask of the source,
/// which is to be turned so to be upright.
pub fn by<I: Source, O: Sample>(
    (mask, orientation): (&Mask, Orientation),
    out: &mut Image<O>,
    source: View<'_, I>,
    origin: (usize, usize),
    alpha: bool,
    linear: bool,
) -> Result<(), Failure> {
    let (shape, whole) = (out.shape(), source.shape());
    let (name, mask) = (&mask.name, mask.on(orientation));
    let (size, values) = (mask.shape(), mask.data());
    if (size.width, size.height) != (whole.width, whole.height) {
        return Err(Failure::input(format!(
            "the mask {name} has {}×{} pixels, the picture {}×{}",
            size.width, size.height, whole.width, whole.height
        )));
    }
    let convert = convert::<I, O>(linear);
    let mut view = out.view_mut();
    for y in 0..shape.height {
        let from = &source.row(y + origin.1)[origin.0 * shape.channels..];
        let shares = &values[(y + origin.1) * size.width + origin.0..];
        let row = view.row_mut(y).chunks_exact_mut(shape.channels);
        for ((out, from), share) in row.zip(from.chunks_exact(shape.channels)).zip(shares) {
            for (c, (out, from)) in out.iter_mut().zip(from).enumerate() {
                let before = convert(from.to_f64(), alpha && c + 1 == shape.channels);
                *out = match share {
                    // Also where a sample is not finite.
                    0.0 => before,
                    1.0 => *out,
                    share => {
                        let (from, to) = (before.to_f64(), out.to_f64());
                        O::from_f64(from + (to - from) * f64::from(*share))
                    }
                };
            }
        }
    }
    Ok(())
}
