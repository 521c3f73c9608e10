//! What a layer does to its sums.

use std::fmt;

/// The function applied to each output of a layer, after the bias. NaN stays NaN.
///
/// ```
/// use twopass::Activation;
///
/// assert_eq!([-1.0, 3.0, 9.0].map(|x| Activation::Relu6.of(x)), [0.0, 3.0, 6.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Activation {
    /// The sum as it is.
    #[default]
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Activation {
    /// The function's value.
    #[must_use]
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Relu | Self::Relu6 if x < 0.0 => 0.0,
            Self::Relu6 if x > 6.0 => 6.0,
            _ => x,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
        })
    }
}
