//! imageproc and `image`. They take owned images and return new ones: the source is copied in
//! before the first call, the result is copied out after the first call only.

use crate::abi::Job;
use crate::spec::Spec;
use image::imageops::{GaussianBlurParameters, blur, blur_advanced, filter3x3, unsharpen};
use image::{GenericImageView, ImageBuffer, Luma, Pixel, Primitive, Rgb, Rgba};
use imageproc::definitions::{Clamp, Image};
use imageproc::filter::{box_filter, filter, filter_parallel, separable_filter, sharpen_gaussian};
use imageproc::gradients::{horizontal_scharr, horizontal_sobel, sobel_gradient_map};
use imageproc::kernel::Kernel;
use std::hint::black_box;

/// A job from a function of images.
fn job<P, Q>(spec: &Spec, mut call: impl FnMut(&Image<P>) -> Image<Q> + 'static) -> Job
where
    P: Pixel + 'static,
    Q: Pixel + 'static,
    P::Subpixel: 'static,
    Q::Subpixel: 'static,
{
    let (width, height) = (spec.width as u32, spec.height as u32);
    let mut owned: Option<Image<P>> = None;
    let samples = spec.width * spec.height * spec.channels;
    Job::new([samples; 2], move |source: &[P::Subpixel], out: &mut [Q::Subpixel]| {
        if let Some(image) = &owned {
            black_box(call(image));
            return Ok(());
        }
        let image = ImageBuffer::from_raw(width, height, source.to_vec());
        let image = owned.insert(image.ok_or("the source has another size")?);
        out.copy_from_slice(call(image).as_raw());
        Ok(())
    })
}

/// The operations on any pixel.
fn any<P, S>(spec: &Spec) -> Result<Job, String>
where
    P: Pixel<Subpixel = S> + Send + Sync + 'static,
    S: Primitive + Into<f32> + Clamp<f32> + Send + Sync + 'static,
    Image<P>: GenericImageView<Pixel = P>,
{
    Ok(match (spec.contestant.as_str(), spec.operation.as_str()) {
        ("imageproc", "separable") => {
            let (column, row) = spec.factors()?;
            job::<P, P>(spec, move |image| separable_filter(image, &row, &column))
        }
        ("imageproc", "dense") => {
            let ((taps, width, height), parallel) = (spec.plane()?, spec.threads > 1);
            job::<P, P>(spec, move |image| {
                let kernel = Kernel::new(&taps, width as u32, height as u32);
                if parallel {
                    filter_parallel(image, kernel, S::clamp)
                } else {
                    filter(image, kernel, S::clamp)
                }
            })
        }
        // A running sum is there for one channel of bytes only.
        ("imageproc", "box") => {
            let side = spec.number()? as usize;
            let taps = vec![1.0 / side as f32; side];
            job::<P, P>(spec, move |image| separable_filter(image, &taps, &taps))
        }
        ("image", "blur") => {
            let sigma = spec.number()? as f32;
            job::<P, P>(spec, move |image| blur(image, sigma))
        }
        ("image", "unsharp") => {
            let sigma = spec.number()? as f32;
            job::<P, P>(spec, move |image| unsharpen(image, sigma, 0))
        }
        ("image", "smoothing") => {
            // The σ of a size is OpenCV's.
            let parameters = GaussianBlurParameters::new_from_kernel_size(spec.number()? as f32);
            job::<P, P>(spec, move |image| blur_advanced(image, parameters))
        }
        // What it computes is divided by the taps' sum, which must be 1.
        ("image", "3x3") => {
            let (taps, ..) = spec.plane()?;
            job::<P, P>(spec, move |image| filter3x3(image, &taps))
        }
        (who, operation) => return Err(format!("{who} has no {operation} of these samples")),
    })
}

/// Sobel's horizontal derivative of five taps, which imageproc has no function for.
const SOBEL_X_5: &[i32] = &[
    -1, -2, 0, 2, 1, //
    -4, -8, 0, 8, 4, //
    -6, -12, 0, 12, 6, //
    -4, -8, 0, 8, 4, //
    -1, -2, 0, 2, 1,
];

/// OpenCV's Laplacian of three taps; imageproc's own has four neighbours only.
const LAPLACIAN_3: &[i32] = &[2, 0, 2, 0, -8, 0, 2, 0, 2];

/// A derivative by its taps.
fn derivative(spec: &Spec, taps: &'static [i32]) -> Job {
    let side = taps.len().isqrt() as u32;
    let (kernel, parallel) = (Kernel::new(taps, side, side), spec.threads > 1);
    job::<Luma<u8>, Luma<i16>>(spec, move |image| {
        if parallel {
            filter_parallel(image, kernel, <i16 as Clamp<i32>>::clamp)
        } else {
            filter(image, kernel, <i16 as Clamp<i32>>::clamp)
        }
    })
}

/// The magnitude, saturated as ours.
fn sobel(image: &Image<Luma<u8>>) -> Image<Luma<u8>> {
    sobel_gradient_map(image, |p| Luma([p.0[0].min(255) as u8]))
}

pub fn make(spec: &Spec) -> Result<Job, String> {
    match (spec.operation.as_str(), spec.input.as_str(), spec.channels) {
        ("sobel-x", "u8", 1) if spec.number()? == 5.0 => Ok(derivative(spec, SOBEL_X_5)),
        ("sobel-x", "u8", 1) => Ok(job(spec, horizontal_sobel)),
        ("sobel", "u8", 1) => Ok(job(spec, sobel)),
        ("laplacian", "u8", 1) => Ok(derivative(spec, LAPLACIAN_3)),
        ("scharr-x", "u8", 1) => Ok(job(spec, horizontal_scharr)),
        ("dense", "u8", 1) if spec.output == "i16" => {
            let (taps, width, height) = spec.plane()?;
            Ok(job::<Luma<u8>, Luma<i16>>(spec, move |image| {
                let kernel = Kernel::new(&taps, width as u32, height as u32);
                filter(image, kernel, |sum: f32| sum.round() as i16)
            }))
        }
        ("unsharp", "u8", 1) if spec.contestant == "imageproc" => {
            let sigma = spec.number()? as f32;
            Ok(job(spec, move |image| sharpen_gaussian(image, sigma, 1.0)))
        }
        ("box", "u8", 1) => {
            let radius = spec.number()? as u32 / 2;
            Ok(job(spec, move |image| box_filter(image, radius, radius)))
        }
        (_, "u8", 1) => any::<Luma<u8>, u8>(spec),
        (_, "u8", 3) => any::<Rgb<u8>, u8>(spec),
        (_, "u8", 4) => any::<Rgba<u8>, u8>(spec),
        (_, "u16", 1) => any::<Luma<u16>, u16>(spec),
        (_, "f32", 1) => any::<Luma<f32>, f32>(spec),
        (_, "f32", 3) => any::<Rgb<f32>, f32>(spec),
        (_, sample, channels) => Err(format!("no images of {channels} {sample}")),
    }
}
