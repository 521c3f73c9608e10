//! Numbers of operations, of a pass or of several.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul};

/// Operations per sample of the output, as they are executed.
///
/// ```
/// use twopass::{Filter, Kernel, Shape};
///
/// // A column of 13 taps, and a row of 13, of which two each meet the same.
/// let plan = Filter::new(Kernel::gaussian(2.0)?).plan::<u16, u16>(Shape::new(640, 480, 3))?;
/// let operations = plan.operations_per_sample();
/// assert_eq!((operations.multiplications, operations.additions), (13.0 + 7.0, 26.0));
/// // A box of any size takes four additions.
/// let plan = Filter::new(Kernel::box_(15, 15)?).plan::<u8, u8>(Shape::new(640, 480, 1))?;
/// assert_eq!(plan.operations_per_sample().to_string(), "1 multiplication and 4 additions");
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Operations {
    /// Multiplications of a sample, or of a sum of some, and a tap.
    pub multiplications: f64,
    /// Additions and subtractions.
    pub additions: f64,
}

impl Operations {
    pub(super) fn new(multiplications: f64, additions: f64) -> Self {
        Self { multiplications, additions }
    }

    /// Of so many products, each added.
    pub(super) fn products(count: f64) -> Self {
        Self::new(count, count)
    }

    /// Of a sum of so many products of symmetric taps, whose samples are added first.
    pub(super) fn folded(taps: usize) -> Self {
        Self::new(taps.div_ceil(2) as f64, taps as f64)
    }
}

impl Add for Operations {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.multiplications + other.multiplications, self.additions + other.additions)
    }
}

impl Mul<f64> for Operations {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self::new(self.multiplications * times, self.additions * times)
    }
}

impl Sum for Operations {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: f64, what: &str| {
            let count = (count * 100.0).round() / 100.0;
            format!("{count} {what}{}", if count == 1.0 { "" } else { "s" })
        };
        let (products, sums) = (self.multiplications, self.additions);
        write!(f, "{} and {}", of(products, "multiplication"), of(sums, "addition"))
    }
}
