//! What lies outside the image. A border is only a rule for indices: which pixel of the image
//! stands for one outside it. Everything else follows from [`Border::map`].

use std::fmt;

/// What lies outside the image, along one axis.
///
/// The diagrams show the pixels `abcdefgh` of a row and what is read beyond both of its ends.
///
/// ```
/// use twopass::{Border, Filter, Kernel};
///
/// // A panorama: its left end follows its right one, and above it is white.
/// let blur = Filter::new(Kernel::gaussian(2.0)?).borders(Border::Wrap, Border::Constant(vec![255.0]));
/// assert_eq!(Border::Wrap.map(-1, 8), Some(7));
/// assert_eq!(Border::Reflect101.map(-1, 8), Some(1));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Border {
    /// `vvvvvv|abcdefgh|vvvvvv`: one value for all channels, or one per channel, in the units of
    /// the samples: any finite number of `f32`, whether or not the samples' type holds it.
    Constant(Vec<f64>),
    /// `aaaaaa|abcdefgh|hhhhhh`: the edge pixel again and again.
    Replicate,
    /// `fedcba|abcdefgh|hgfedc`: mirrored, the edge pixel twice.
    Reflect,
    /// `gfedcb|abcdefgh|gfedcb`: mirrored at the edge pixel. OpenCV's default, and ours.
    #[default]
    Reflect101,
    /// `cdefgh|abcdefgh|abcdef`: the image repeats.
    Wrap,
    /// Nothing is read outside: the output shrinks by the kernel's size − 1.
    Valid,
}

impl Border {
    /// The index inside `0..len` that stands for `index`, or `None` where the constant does, and where `len`
    /// is 0: nothing stands for anything there.
    ///
    /// Defined for every `index`, however far outside.
    #[must_use]
    #[inline]
    pub fn map(&self, index: isize, len: usize) -> Option<usize> {
        match usize::try_from(index) {
            Ok(index) if index < len => Some(index),
            _ => self.outside(index, len),
        }
    }

    /// The same for an index that is not inside.
    fn outside(&self, index: isize, len: usize) -> Option<usize> {
        if len == 0 {
            return None;
        }
        let n = len as isize;
        match self {
            Self::Constant(_) => None,
            // `Valid` never asks; the nearest pixel is a harmless answer.
            Self::Replicate | Self::Valid => Some(index.clamp(0, n - 1) as usize),
            Self::Reflect => {
                let i = index.rem_euclid(2 * n);
                Some(if i < n { i } else { 2 * n - 1 - i } as usize)
            }
            Self::Reflect101 => {
                if n == 1 {
                    return Some(0);
                }
                let period = 2 * n - 2;
                let i = index.rem_euclid(period);
                Some(if i < n { i } else { period - i } as usize)
            }
            Self::Wrap => Some(index.rem_euclid(n) as usize),
        }
    }

    /// The constants, of each channel or of all; none for the other borders.
    pub(crate) fn constants(&self) -> &[f64] {
        match self {
            Self::Constant(values) => values,
            _ => &[],
        }
    }

    /// The constant of channel `c`; 0 for the other borders.
    #[must_use]
    pub fn constant(&self, c: usize) -> f64 {
        match self {
            Self::Constant(v) if v.len() == 1 => v[0],
            Self::Constant(v) => v.get(c).copied().unwrap_or(0.0),
            _ => 0.0,
        }
    }
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(v) => {
                f.write_str("constant")?;
                for (i, x) in v.iter().enumerate() {
                    write!(f, "{}{x}", if i == 0 { ":" } else { "," })?;
                }
                Ok(())
            }
            Self::Replicate => f.write_str("replicate"),
            Self::Reflect => f.write_str("reflect"),
            Self::Reflect101 => f.write_str("reflect101"),
            Self::Wrap => f.write_str("wrap"),
            Self::Valid => f.write_str("valid"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(border: &Border, reach: isize) -> String {
        let row = b"abcdefgh";
        let letter = |i| border.map(i, row.len()).map_or('v', |i| row[i] as char);
        let left: String = (-reach..0).map(letter).collect();
        let right: String = (8..8 + reach).map(letter).collect();
        format!("{left}|abcdefgh|{right}")
    }

    #[test]
    fn diagrams_hold() {
        let constant = Border::Constant(vec![1.0]);
        assert_eq!(picture(&constant, 3), "vvv|abcdefgh|vvv");
        assert_eq!(picture(&Border::Replicate, 3), "aaa|abcdefgh|hhh");
        assert_eq!(picture(&Border::Reflect, 9), "hhgfedcba|abcdefgh|hgfedcbaa");
        assert_eq!(picture(&Border::Reflect101, 9), "fghgfedcb|abcdefgh|gfedcbabc");
        assert_eq!(picture(&Border::Wrap, 3), "fgh|abcdefgh|abc");
    }

    #[test]
    fn nothing_stands_for_anything_in_nothing() {
        for border in
            [Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap, Border::Valid]
        {
            assert_eq!((border.map(0, 0), border.map(-3, 0)), (None, None), "{border}");
        }
    }

    #[test]
    fn one_pixel_stands_for_everything() {
        for border in [Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap] {
            for i in -10..10 {
                assert_eq!(border.map(i, 1), Some(0), "{border} {i}");
            }
        }
    }

    #[test]
    fn mirrors_repeat() {
        for n in 2..9usize {
            for i in -40..40isize {
                let p = 2 * n as isize;
                assert_eq!(Border::Reflect.map(i, n), Border::Reflect.map(i + p, n));
                assert_eq!(Border::Reflect.map(i, n), Border::Reflect.map(-1 - i, n));
                assert_eq!(Border::Reflect101.map(i, n), Border::Reflect101.map(i + p - 2, n));
                assert_eq!(Border::Reflect101.map(i, n), Border::Reflect101.map(-i, n));
            }
        }
    }
}
