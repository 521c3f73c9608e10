//! The values that flags take, and how their text is read.

use clap::ValueEnum;
use twopass::Border;

/// How signed results become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Range {
    /// Cut off what is below 0 or above full scale
    Clamp,
    /// Take the absolute value
    Abs,
    /// Add half of full scale, so that 0 is mid-grey
    Offset,
    /// Map the result's own minimum and maximum to 0 and full scale
    Stretch,
}

/// What happens to an alpha channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlphaArg {
    /// Filter colour weighted by alpha, and alpha
    Premultiply,
    /// Filter alpha like any other channel
    Plain,
    /// Filter colour as it is, copy alpha
    Keep,
    /// Discard alpha before filtering
    Drop,
}

/// Bits of the output's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// 0 to 255
    #[value(name = "8")]
    U8,
    /// 0 to 65535
    #[value(name = "16")]
    U16,
    /// Floating point, 0 to 1 for what integers call full scale; may be negative
    F32,
}

/// How the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Two passes if the kernel is separable, else dense
    Auto,
    /// Two 1D passes
    Separable,
    /// One 2D pass
    Dense,
    /// The slow reference in double precision
    Naive,
}

/// How hard a lossless encoder works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all
    None,
    /// Little; nearly as small as the default for photographs, and many times as fast
    Fast,
    /// As PNG programs usually do
    Default,
    /// As much as it can
    Best,
}

/// The tool whose results are to be reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// Sizes of Gaussians as `cv::GaussianBlur` chooses them, border reflect101, kernels not flipped
    Opencv,
    /// Sizes of Gaussians as `scipy.ndimage` chooses them (truncate 4), border reflect, kernels not
    /// flipped (`correlate`)
    Scipy,
    /// Sizes of Gaussians as `vips gaussblur --precision float` chooses them (taps from a fifth of
    /// the largest on), border replicate, kernels not flipped (`conv`)
    Vips,
    /// Sizes of Gaussians as `imageproc::filter::gaussian_blur_f32` chooses them (2σ to each side),
    /// border replicate, kernels not flipped (`filter_clamped`)
    Imageproc,
}

pub fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() { Ok(value) } else { Err("not a finite number".to_owned()) }
}

pub fn anchor(text: &str) -> Result<(usize, usize), String> {
    let (x, y) = text.split_once(',').ok_or("an anchor is a column and a row, such as 1,1")?;
    let number = |t: &str| {
        t.trim().parse().map_err(|_| format!("{:?} is not a column or row, which count from 0", t))
    };
    Ok((number(x)?, number(y)?))
}

pub fn borders(text: &str) -> Result<(Border, Border), String> {
    match text.split_once('/') {
        Some((x, y)) => Ok((border(x)?, border(y)?)),
        None => border(text).map(|b| (b.clone(), b)),
    }
}

pub fn border(text: &str) -> Result<Border, String> {
    match text {
        "replicate" => return Ok(Border::Replicate),
        "reflect" => return Ok(Border::Reflect),
        "reflect101" => return Ok(Border::Reflect101),
        "wrap" => return Ok(Border::Wrap),
        "valid" => return Ok(Border::Valid),
        "constant" => return Ok(Border::Constant(vec![0.0])),
        _ => {}
    }
    let values = text.strip_prefix("constant:").ok_or_else(|| {
        format!(
            "there is no border {text:?}; there are replicate, reflect, reflect101, wrap, \
             constant[:V[,V…]] and valid"
        )
    })?;
    let number = |t: &str| finite(t.trim()).map_err(|e| format!("constant {t:?} is {e}"));
    values.split(',').map(number).collect::<Result<_, _>>().map(Border::Constant)
}

/// Bytes, with K, M, G or T for powers of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = ["K", "M", "G", "T"];
    let upper = text.to_ascii_uppercase();
    let upper = upper.strip_suffix("IB").or(upper.strip_suffix('B')).unwrap_or(&upper);
    let unit = units.iter().position(|u| upper.ends_with(u));
    let number = &upper[..upper.len() - usize::from(unit.is_some())];
    let shift = unit.map_or(0, |u| 10 * (u as u32 + 1));
    let count: u64 = number.parse().map_err(|_| "not a size such as 512M or 2G".to_owned())?;
    count.checked_mul(1 << shift).filter(|n| *n > 0).ok_or_else(|| "out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_read() {
        let two = (Border::Wrap, Border::Constant(vec![1.0, -2.5]));
        assert_eq!(borders("wrap/constant:1,-2.5"), Ok(two));
        assert_eq!(borders("valid"), Ok((Border::Valid, Border::Valid)));
        for bad in
            ["", "mirror", "wrap/", "constant:", "constant:x", "constant:NaN", "wrap/wrap/wrap"]
        {
            assert!(borders(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("1000"), Ok(1000));
        assert_eq!(bytes("512M"), Ok(512 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("3kb"), Ok(3 << 10));
        for bad in ["", "M", "-1", "0", "1.5G", "99999999T"] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
    }
}
