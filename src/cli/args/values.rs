//! The values that flags take, and how their text is read.

use crate::cli::mix::NamedMix;
use crate::cli::{format, suggest};
use clap::ValueEnum;
use clap::builder::{PossibleValue, TypedValueParser};
use std::ffi::OsStr;
use twopass::{Border, Compat, NamedKernel, Range, Rect, SampleType, Shape};

/// How signed results become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RangeArg {
    /// Cut off what is below 0 or above full scale
    Clamp,
    /// Take the absolute value
    Abs,
    /// Add half of full scale, so that 0 is mid-grey
    Offset,
    /// Map the result's own minimum and maximum to 0 and full scale
    Stretch,
}

impl From<RangeArg> for Range {
    fn from(range: RangeArg) -> Self {
        match range {
            RangeArg::Clamp => Self::Clamp,
            RangeArg::Abs => Self::Abs,
            RangeArg::Offset => Self::Offset,
            RangeArg::Stretch => Self::Stretch,
        }
    }
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
    /// Two passes if the kernel is separable, at two rates if it is long, terms if it is a sum, runs if many of its taps
    /// are equal or 0, fft if it is large, else dense
    Auto,
    /// Two 1D passes
    Separable,
    /// The kernels that it is the sum of, one by one: unsharp, dog and log are such sums
    Terms,
    /// Long smooth kernels: decimated, filtered and interpolated, within half a level
    Multirate,
    /// Runs of equal taps, and what else is not 0, tap by tap: discs, rings, lines
    Runs,
    /// One 2D pass
    Dense,
    /// Large kernels that are no products: Fourier transforms of blocks
    Fft,
    /// The slow reference in double precision
    Naive,
}

/// How much is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Explain {
    /// The plan
    Plan,
    /// The plan, and the terms and singular vectors of the kernels
    Terms,
}

/// A picture that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    pub shape: Shape,
    pub sample: SampleType,
}

impl Default for Unseen {
    fn default() -> Self {
        Self { shape: Shape::new(1920, 1080, 3), sample: SampleType::U8 }
    }
}

/// A parameter of a named kernel and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    pub parameter: String,
    pub values: Vec<f64>,
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
pub enum CompatArg {
    /// Sizes of Gaussians as `cv::GaussianBlur` chooses them, border reflect101, kernels not flipped
    Opencv,
    /// Sizes of Gaussians as `scipy.ndimage` chooses them (truncate 4), border reflect, kernels not
    /// flipped (`correlate`)
    Scipy,
    /// Sizes of Gaussians as `vips gaussblur --precision float` chooses them (taps from a fifth of
    /// the largest on), border replicate, kernels not flipped (`conv`)
    Vips,
    /// Sizes of Gaussians as `gaussian_blur_f32` chooses them (2σ to each side),
    /// border replicate, kernels not flipped (`filter_clamped`)
    Imageproc,
}

impl From<CompatArg> for Compat {
    fn from(tool: CompatArg) -> Self {
        match tool {
            CompatArg::Opencv => Self::Opencv,
            CompatArg::Scipy => Self::Scipy,
            CompatArg::Vips => Self::Vips,
            CompatArg::Imageproc => Self::Imageproc,
        }
    }
}

/// A finite number, or a fraction such as 1/16.
pub fn tolerance(text: &str) -> Result<f64, String> {
    finite(text).and_then(|t| if t < 0.0 { Err("at least 0".to_owned()) } else { Ok(t) })
}

pub fn finite(text: &str) -> Result<f64, String> {
    let number = |t: &str| {
        t.trim().parse::<f64>().map_err(|_| "not a number, nor a fraction such as 1/16".to_owned())
    };
    let value = match text.split_once('/') {
        Some((above, below)) => number(above)? / number(below)?,
        None => number(text)?,
    };
    if value.is_finite() { Ok(value) } else { Err("not a finite number".to_owned()) }
}

pub fn anchor(text: &str) -> Result<(usize, usize), String> {
    let (x, y) = text.split_once(',').ok_or("an anchor is a column and a row, such as 1,1")?;
    let number = |t: &str| {
        t.trim().parse().map_err(|_| format!("{:?} is not a column or row, which count from 0", t))
    };
    Ok((number(x)?, number(y)?))
}

/// `640x480x1:f32`.
pub fn unseen(text: &str) -> Result<Unseen, String> {
    let bad = || "not a shape such as 640x480, 640x480x1 or 640x480x1:f32".to_owned();
    let default = Unseen::default();
    let (sides, sample) = match text.split_once(':') {
        Some((sides, sample)) => (sides, sample),
        None => (text, "u8"),
    };
    let sample = match sample {
        "u8" => SampleType::U8,
        "u16" => SampleType::U16,
        "f32" => SampleType::F32,
        _ => return Err(bad()),
    };
    let sides: Option<Vec<usize>> = sides.split(['x', '×']).map(|n| n.parse().ok()).collect();
    let shape = match sides.ok_or_else(bad)?[..] {
        [width, height] => Shape { width, height, ..default.shape },
        [width, height, channels] => Shape::new(width, height, channels),
        _ => return Err(bad()),
    };
    if shape.width == 0 || shape.height == 0 || !(1..=4).contains(&shape.channels) {
        return Err("sides are at least 1, channels 1 to 4".to_owned());
    }
    shape.samples().map_err(|e| e.to_string())?;
    Ok(Unseen { shape, sample })
}

/// Values of a sweep, at most so many.
const SWEPT: usize = 64;

/// `size=3..63:4`. Without a step it is one that gives at most 16 values: an even one for sizes.
pub fn sweep(text: &str) -> Result<Sweep, String> {
    let bad = || "not a parameter and its values, such as size=3..63 or sigma=1..8:0.5".to_owned();
    let (parameter, range) = text.split_once('=').ok_or_else(bad)?;
    let (range, step) = match range.split_once(':') {
        Some((range, step)) => (range, Some(finite(step)?)),
        None => (range, None),
    };
    let (from, to) = range.split_once("..").ok_or_else(bad)?;
    let (from, to) = (finite(from)?, finite(to.trim_start_matches('='))?);
    let least = if parameter.starts_with("size") { 2.0 } else { 1.0 };
    let step = step.unwrap_or_else(|| ((to - from) / 15.0 / least).ceil().max(1.0) * least);
    if !(to >= from && step > 0.0) {
        return Err("values rise, from the first to the last".to_owned());
    }
    let count = ((to - from) / step + 1e-9).floor() as usize + 1;
    if count > SWEPT {
        return Err(format!(
            "{count} values, more than {SWEPT}; give a larger step, such as {from}..{to}:{}",
            2.0 * step
        ));
    }
    let values = (0..count).map(|i| from + step * i as f64).collect();
    Ok(Sweep { parameter: parameter.trim_start_matches('-').to_owned(), values })
}

/// `X,Y,W,H`.
pub fn region(text: &str) -> Result<Rect, String> {
    let numbers: Option<Vec<usize>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[x, y, width, height]) if width > 0 && height > 0 => {
            Ok(Rect::new(x, y, width, height))
        }
        _ => Err("not a column, a row, a width and a height, such as 40,30,200,100".to_owned()),
    }
}

pub fn borders(text: &str) -> Result<(Border, Border), String> {
    // A number behind it makes a fraction of it.
    let mut places = text.match_indices('/').map(|(at, _)| at);
    match places.find(|at| !text[at + 1..].starts_with(|c: char| c.is_ascii_digit())) {
        Some(at) => Ok((border(&text[..at])?, border(&text[at + 1..])?)),
        None => border(text).map(|b| (b.clone(), b)),
    }
}

/// What borders are called, and what else.
const BORDERS: &[(&str, &[&str])] = &[
    ("replicate", &["edge", "nearest", "clamp", "copy", "extend"]),
    ("reflect", &["symmetric", "half-sample"]),
    ("reflect101", &["reflect-101", "whole-sample", "default"]),
    ("wrap", &["periodic", "circular", "tile", "cyclic"]),
    ("constant", &["zero", "zeros", "black"]),
    ("valid", &["crop"]),
];

/// The names of all borders.
pub fn border_names() -> impl Iterator<Item = &'static str> + Clone {
    BORDERS.iter().map(|(name, _)| *name)
}

pub fn border(text: &str) -> Result<Border, String> {
    let (word, values) = match text.split_once(':') {
        Some((word, values)) => (word, Some(values)),
        None => (text, None),
    };
    let plain = word.to_lowercase().replace('_', "-");
    let known = BORDERS.iter().find(|(name, others)| *name == plain || others.contains(&&*plain));
    let border = match known.map(|(name, _)| *name) {
        Some("replicate") => Border::Replicate,
        Some("reflect") => Border::Reflect,
        Some("reflect101") => Border::Reflect101,
        Some("wrap") => Border::Wrap,
        Some("valid") => Border::Valid,
        Some(_) => match values {
            None => Border::Constant(vec![0.0]),
            Some(values) => {
                let number =
                    |t: &str| finite(t.trim()).map_err(|e| format!("constant {t:?} is {e}"));
                Border::Constant(values.split(',').map(number).collect::<Result<_, _>>()?)
            }
        },
        // NumPy and SciPy mean one of them, libvips and ImageMagick the other.
        None if plain == "mirror" => {
            let both = "reflect repeats the outermost pixels, reflect101 does not";
            return Err(format!("there is no border {text:?}; {both}"));
        }
        None => {
            let instead = match suggest::closest(&plain, border_names()) {
                Some(name) => format!("did you mean {name}?"),
                None => {
                    "there are replicate, reflect, reflect101, wrap, constant[:V[,V…]] and valid"
                        .to_owned()
                }
            };
            return Err(format!("there is no border {text:?}; {instead}"));
        }
    };
    match (&border, values) {
        (Border::Constant(_), _) | (_, None) => Ok(border),
        (_, Some(_)) => Err(format!("{text:?}: only constant takes values")),
    }
}

/// Reads a value with a function, and offers names of values to completions.
#[derive(Clone)]
pub struct Offers<T> {
    pub read: fn(&str) -> Result<T, String>,
    pub names: fn() -> Vec<&'static str>,
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Offers<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        TypedValueParser::parse_ref(&self.read, command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.names)().into_iter().map(PossibleValue::new)))
    }
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

/// What completions offer for `--kernel`.
pub fn kernel_names() -> Vec<&'static str> {
    NamedKernel::all().iter().map(NamedKernel::name).collect()
}

/// What completions offer for `--mix`.
pub fn mix_names() -> Vec<&'static str> {
    NamedMix::all().iter().map(|m| m.name).collect()
}

/// What completions offer for `--border`.
pub fn all_borders() -> Vec<&'static str> {
    border_names().collect()
}

/// What completions offer for `--format`.
pub fn formats() -> Vec<&'static str> {
    format::extensions().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_read() {
        let two = (Border::Wrap, Border::Constant(vec![1.0, -2.5]));
        assert_eq!(borders("wrap/constant:1,-2.5"), Ok(two));
        assert_eq!(borders("valid"), Ok((Border::Valid, Border::Valid)));
        for bad in [
            "",
            "mirror",
            "wrap/",
            "constant:",
            "constant:x",
            "constant:NaN",
            "wrap/wrap/wrap",
            "wrap:1",
        ] {
            assert!(borders(bad).is_err(), "{bad:?}");
        }
        let two = (Border::Constant(vec![0.25, 2.0]), Border::Constant(vec![0.5]));
        assert_eq!(borders("constant:1/4,2/constant:1/2"), Ok(two));
        assert_eq!(border("Reflect_101"), Ok(Border::Reflect101));
        assert_eq!(border("edge"), Ok(Border::Replicate));
        assert_eq!(border("constant:1/4"), Ok(Border::Constant(vec![0.25])));
        for (name, others) in BORDERS {
            assert!(others.iter().all(|other| border(other) == border(name)), "{name}");
        }
        assert!(border("relfect").unwrap_err().ends_with("did you mean reflect?"));
        assert!(border("mirror").unwrap_err().contains("reflect101 does not"));
    }

    #[test]
    fn numbers_may_be_fractions() {
        assert_eq!(finite("1/16"), Ok(0.0625));
        assert_eq!(finite("-1 / 4"), Ok(-0.25));
        for bad in ["", "/", "1/", "1/0", "0/0", "1/2/3", "x", "inf", "NaN"] {
            assert!(finite(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn shapes_sweeps_and_regions() {
        let f32s = Unseen { shape: Shape::new(64, 48, 1), sample: SampleType::F32 };
        assert_eq!(unseen("64x48x1:f32"), Ok(f32s));
        assert_eq!(unseen("64×48").map(|u| u.shape), Ok(Shape::new(64, 48, 3)));
        for bad in
            ["", "64", "0x4", "4x4x5", "4x4:i16", "4x4x", "99999999999x99999999999x4", "-1x4"]
        {
            assert!(unseen(bad).is_err(), "{bad:?}");
        }
        let values = |text: &str| sweep(text).map(|s| s.values);
        assert_eq!(values("size=3..9"), Ok(vec![3.0, 5.0, 7.0, 9.0]));
        assert_eq!(values("size=3..63").map(|v| (v.len(), v[15])), Ok((16, 63.0)));
        assert_eq!(values("sigma=1..2:1/2"), Ok(vec![1.0, 1.5, 2.0]));
        for bad in [
            "",
            "size",
            "size=3",
            "size=9..3",
            "size=1..9:0",
            "size=1..9:-1",
            "size=1..999:1",
            "size=a..b",
        ] {
            assert!(sweep(bad).is_err(), "{bad:?}");
        }
        assert_eq!(region("1, 2,3,4"), Ok(Rect::new(1, 2, 3, 4)));
        for bad in ["", "1,2,3", "1,2,3,0", "-1,2,3,4", "1,2,3,4,5"] {
            assert!(region(bad).is_err(), "{bad:?}");
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
