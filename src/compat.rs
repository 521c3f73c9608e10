//! What other tools do where nobody tells them: how large their Gaussians are, and what lies outside of their images.

use crate::border::Border;
use crate::error::Error;
use crate::filter::Filter;
use crate::kernel::{KernelParams, NamedKernel};
use crate::sample::SampleType;

/// A tool whose results are to be reproduced, with its own defaults. None of them flips its kernels, and neither does
/// this crate.
///
/// ```
/// use twopass::{Border, Compat, Filter, SampleType};
///
/// // cv::GaussianBlur(frame, out, Size(), 1.5)
/// let blur = Compat::Opencv.gaussian(1.5, SampleType::U8)?;
/// assert_eq!(blur.kernels()[0].width(), 11);
/// // scipy.ndimage.gaussian_filter(array, 1.5)
/// let blur = Compat::Scipy.gaussian(1.5, SampleType::F32)?;
/// assert_eq!((blur.kernels()[0].width(), blur.get_borders().0), (13, &Border::Reflect));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compat {
    /// `cv::GaussianBlur` and `cv::filter2D`: 3σ to each side for `u8` and 4σ for others, border
    /// [`Reflect101`](Border::Reflect101).
    Opencv,
    /// `scipy.ndimage`: 4σ to each side (`truncate` 4), border [`Reflect`](Border::Reflect).
    Scipy,
    /// `vips gaussblur --precision float` and `vips conv`: taps from a fifth of the largest on, border
    /// [`Replicate`](Border::Replicate).
    Vips,
    /// `imageproc::filter::gaussian_blur_f32` and `filter_clamped`: 2σ to each side, border
    /// [`Replicate`](Border::Replicate).
    Imageproc,
}

impl Compat {
    /// What lies outside of the tool's images.
    #[must_use]
    pub fn border(self) -> Border {
        match self {
            Self::Opencv => Border::Reflect101,
            Self::Scipy => Border::Reflect,
            Self::Vips | Self::Imageproc => Border::Replicate,
        }
    }

    /// How many taps a side the tool's Gaussian of σ `sigma` has, for images of these samples. `None` for what is no σ,
    /// or one beyond all kernels.
    #[must_use]
    pub fn gaussian_size(self, sigma: f64, sample: SampleType) -> Option<usize> {
        (sigma > 0.0 && sigma < 1e5).then(|| match self {
            Self::Opencv => {
                let reach = if sample == SampleType::U8 { 3.0 } else { 4.0 };
                (sigma * reach * 2.0 + 1.0).round_ties_even() as usize | 1
            }
            Self::Scipy => 2 * (4.0 * sigma + 0.5) as usize + 1,
            Self::Vips => {
                // Up to the last tap that is not below 0.2, of 1 in the middle.
                let last = (sigma * (2.0 * 5.0_f64.ln()).sqrt()).floor();
                2 * last as usize + 1
            }
            // It computes in f32.
            Self::Imageproc => 2 * (2.0 * sigma as f32).ceil() as usize + 1,
        })
    }

    /// The tool's Gaussian blur of images of these samples.
    ///
    /// Errors: those of [`Kernel::gaussian`](crate::Kernel::gaussian).
    pub fn gaussian(self, sigma: f64, sample: SampleType) -> Result<Filter, Error> {
        let size = self.gaussian_size(sigma, sample);
        let params = KernelParams { sigma: Some(sigma), size, ..KernelParams::default() };
        let [kernel] = &NamedKernel::find("gaussian")?.kernels(&params)?[..] else {
            return Err(Error::Unsupported("a Gaussian of several kernels"));
        };
        Ok(Filter::new(kernel.clone()).border(self.border()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_tools_own() {
        use SampleType::{F32, U8};
        for (tool, sample, sigma, size) in [
            (Compat::Opencv, U8, 1.5, 11),
            (Compat::Opencv, F32, 1.5, 13),
            (Compat::Scipy, U8, 1.5, 13),
            (Compat::Scipy, U8, 1.0, 9),
            (Compat::Vips, U8, 0.5, 1),
            (Compat::Vips, U8, 3.3, 11),
            (Compat::Imageproc, U8, 1.5, 7),
            (Compat::Imageproc, U8, 0.8, 5),
        ] {
            assert_eq!(tool.gaussian_size(sigma, sample), Some(size), "{tool:?} {sigma}");
            let blur = tool.gaussian(sigma, sample).unwrap();
            let kernel = &blur.kernels()[0];
            assert_eq!((kernel.width(), kernel.height()), (size, size), "{tool:?} {sigma}");
        }
        for sigma in [0.0, -1.0, f64::NAN, 1e9] {
            assert_eq!(Compat::Scipy.gaussian_size(sigma, U8), None);
            assert!(Compat::Scipy.gaussian(sigma, U8).is_err());
        }
    }
}
