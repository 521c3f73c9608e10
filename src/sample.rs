//! The pixel types. A new one is one `impl Sample` here (and its lanes in `simd`).

use std::fmt;

/// Names of the sample types, for plans and messages.
///
/// ```
/// use twopass::{Sample, SampleType};
///
/// assert_eq!((u16::TYPE, SampleType::U16.to_string()), (SampleType::U16, "u16".to_owned()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SampleType {
    /// `u8`, 0..=255.
    U8,
    /// `u16`, 0..=65535.
    U16,
    /// `i16`, −32768..=32767; output only.
    I16,
    /// `f32`, any value; images usually hold 0..=1.
    F32,
}

impl SampleType {
    /// Bytes of a sample. That they are a power of 2 is plain to the compiler, which divides by them often.
    #[inline(always)]
    pub(crate) const fn bytes(self) -> usize {
        let log2 = match self {
            Self::U8 => 0,
            Self::U16 | Self::I16 => 1,
            Self::F32 => 2,
        };
        1 << log2
    }
}

impl fmt::Display for SampleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::F32 => "f32",
        })
    }
}

/// Does something for the type that samples have, under the name O. An expression and no closure: what it
/// calls must be inlined.
macro_rules! with_sample {
    ($sample:expr, $O:ident => $do:expr) => {
        match $sample {
            $crate::sample::SampleType::U8 => {
                type $O = u8;
                $do
            }
            $crate::sample::SampleType::U16 => {
                type $O = u16;
                $do
            }
            $crate::sample::SampleType::I16 => {
                type $O = i16;
                $do
            }
            $crate::sample::SampleType::F32 => {
                type $O = f32;
                $do
            }
        }
    };
}
pub(crate) use with_sample;

pub(crate) mod sealed {
    pub trait Sealed: crate::simd::SampleLanes {}
}

/// A sample that an image can hold: `u8`, `u16`, `i16` or `f32`. Sealed.
///
/// ```
/// use twopass::Sample;
///
/// assert_eq!((u8::from_f64(254.5), u8::from_f64(-3.0), u8::from_f64(1e9)), (255, 0, 255));
/// assert_eq!((u8::FULL, f32::FULL, i16::MIN.to_f64()), (255.0, 1.0, -32768.0));
/// ```
pub trait Sample:
    sealed::Sealed + Copy + Default + PartialEq + PartialOrd + fmt::Debug + Send + Sync + 'static
{
    /// The type's name.
    const TYPE: SampleType;
    /// Smallest value (−∞ for `f32`).
    const MIN: f64;
    /// Largest value (+∞ for `f32`).
    const MAX: f64;
    /// What stands for full intensity: 255, 65535, 32767 or 1.
    const FULL: f64;

    /// The value as `f64`, exactly.
    fn to_f64(self) -> f64;

    /// The nearest sample: `clamp(floor(x + 0.5))` for integers (NaN becomes [`MIN`](Self::MIN)),
    /// round-to-nearest for `f32`.
    fn from_f64(x: f64) -> Self;
}

macro_rules! integer_sample {
    ($t:ty, $name:ident) => {
        impl sealed::Sealed for $t {}
        impl Sample for $t {
            const TYPE: SampleType = SampleType::$name;
            const MIN: f64 = <$t>::MIN as f64;
            const MAX: f64 = <$t>::MAX as f64;
            const FULL: f64 = <$t>::MAX as f64;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                let (least, most) = (<Self as Sample>::MIN, <Self as Sample>::MAX);
                let x = (x + 0.5).floor();
                // NaN is not above anything, and ends at MIN.
                let x = if x > least { x } else { least };
                let x = if x < most { x } else { most };
                // Its digits are then the lowest of the sum's: loops of this become vectors, where those of
                // conversions that saturate do not.
                (x + 1.5 / f64::EPSILON).to_bits() as $t
            }
        }
    };
}

integer_sample!(u8, U8);
integer_sample!(u16, U16);
integer_sample!(i16, I16);

impl sealed::Sealed for f32 {}
impl Sample for f32 {
    const TYPE: SampleType = SampleType::F32;
    const MIN: f64 = f64::NEG_INFINITY;
    const MAX: f64 = f64::INFINITY;
    const FULL: f64 = 1.0;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_up_and_saturates() {
        assert_eq!(u8::from_f64(0.5), 1);
        assert_eq!(u8::from_f64(2.5), 3);
        assert_eq!(u8::from_f64(-0.5), 0);
        assert_eq!(u8::from_f64(1e9), 255);
        assert_eq!(i16::from_f64(-0.5), 0);
        assert_eq!(i16::from_f64(-0.75), -1);
        assert_eq!(i16::from_f64(-1.5), -1);
        assert_eq!(i16::from_f64(-1e9), -32768);
        assert_eq!(u16::from_f64(65535.4), 65535);
    }

    #[test]
    fn nan_and_infinity_saturate() {
        assert_eq!(u8::from_f64(f64::NAN), 0);
        assert_eq!(i16::from_f64(f64::NAN), -32768);
        assert_eq!(u16::from_f64(f64::INFINITY), 65535);
        assert_eq!(u16::from_f64(f64::NEG_INFINITY), 0);
    }
}
