//! libblur. Its `gaussian_blur` makes taps from σ and hands them to `filter_1d_exact` or
//! `filter_1d_approx`; these are called directly, so that the taps are those of the row.

use crate::abi::Job;
use crate::spec::Spec;
use libblur::{
    BlurImage, BlurImageMut, BoxBlurParameters, EdgeMode, EdgeMode2D, FastBlurChannels,
    KernelShape, Scalar, ThreadingPolicy, box_blur, box_blur_f32, box_blur_u16, filter_1d_approx,
    filter_1d_exact, filter_2d, filter_2d_fft, filter_2d_rgb,
};
use std::fmt::{Debug, Display};
use std::num::NonZeroUsize;

const EDGE: EdgeMode2D = EdgeMode2D::new(EdgeMode::Reflect101);

/// A job from a call on libblur's images.
fn job<T, E: Display>(
    spec: &Spec,
    mut call: impl FnMut(&BlurImage<T>, &mut BlurImageMut<T>, ThreadingPolicy) -> Result<(), E>
    + 'static,
) -> Result<Job, String>
where
    T: Copy + Default + Debug + 'static,
{
    let (width, height) = (spec.width as u32, spec.height as u32);
    let channels = match spec.channels {
        1 => FastBlurChannels::Plane,
        3 => FastBlurChannels::Channels3,
        4 => FastBlurChannels::Channels4,
        n => return Err(format!("{n} channels")),
    };
    let threads = match NonZeroUsize::new(spec.threads) {
        Some(n) if n.get() > 1 => ThreadingPolicy::Fixed(n),
        _ => ThreadingPolicy::Single,
    };
    let samples = spec.width * spec.height * spec.channels;
    Ok(Job::new([samples; 2], move |source: &[T], out: &mut [T]| {
        let source = BlurImage::borrow(source, width, height, channels);
        let mut out = BlurImageMut::borrow(out, width, height, channels);
        call(&source, &mut out, threads).map_err(|e| e.to_string())
    }))
}

/// The call of a generic function whose last parameter is the number of channels.
macro_rules! one_dimensional {
    ($spec:expr, $function:ident, $sample:ty, $($more:ty),*) => {{
        let (column, row) = $spec.factors()?;
        let function = match $spec.channels {
            1 => $function::<$sample, $($more,)* 1>,
            3 => $function::<$sample, $($more,)* 3>,
            _ => $function::<$sample, $($more,)* 4>,
        };
        job::<$sample, _>($spec, move |source, out, threads| {
            function(source, out, &row, &column, EDGE, Scalar::default(), threads)
        })
    }};
}

/// A kernel on one or three channels.
macro_rules! two_dimensional {
    ($spec:expr, $sample:ty) => {{
        let (taps, width, height) = $spec.plane()?;
        let function = match $spec.channels {
            1 => filter_2d::<$sample, f32>,
            3 => filter_2d_rgb::<$sample, f32>,
            n => return Err(format!("{n} channels")),
        };
        job::<$sample, _>($spec, move |source, out, threads| {
            let shape = KernelShape::new(width, height);
            function(source, out, &taps, shape, EDGE, Scalar::default(), threads)
        })
    }};
}

pub fn make(spec: &Spec) -> Result<Job, String> {
    if spec.input != spec.output {
        return Err("input and output are of one type".to_owned());
    }
    match (spec.operation.as_str(), spec.input.as_str(), spec.mode.as_str()) {
        ("separable", "u8", "exact") => one_dimensional!(spec, filter_1d_exact, u8, f32),
        ("separable", "u16", "exact") => one_dimensional!(spec, filter_1d_exact, u16, f32),
        ("separable", "f32", "exact") => one_dimensional!(spec, filter_1d_exact, f32, f32),
        ("separable", "u8", _) => one_dimensional!(spec, filter_1d_approx, u8, f32, i32),
        ("separable", "u16", _) => one_dimensional!(spec, filter_1d_approx, u16, f32, u32),
        ("dense", "u8", "fft") => {
            let (mut taps, width, height) = spec.plane()?;
            // It convolves.
            taps.reverse();
            job::<u8, _>(spec, move |source, out, threads| {
                let shape = KernelShape::new(width, height);
                let function = filter_2d_fft::<u8, f32, f32>;
                function(source, out, &taps, shape, EDGE, Scalar::default(), threads)
            })
        }
        ("dense", "u8", _) => two_dimensional!(spec, u8),
        ("dense", "f32", _) => two_dimensional!(spec, f32),
        ("box", sample, _) => {
            let size = BoxBlurParameters::new(spec.number()? as u32);
            match sample {
                "u8" => job(spec, move |source, out, n| box_blur(source, out, size, n)),
                "u16" => job(spec, move |source, out, n| box_blur_u16(source, out, size, n)),
                _ => job(spec, move |source, out, n| box_blur_f32(source, out, size, n)),
            }
        }
        (operation, sample, mode) => Err(format!("no {mode} {operation} of {sample}")),
    }
}
