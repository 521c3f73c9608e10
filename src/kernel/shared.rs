//! Taps that are not copied with the kernels that have them. What they sum to is worked out once.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// The taps of a kernel, row by row.
#[derive(Clone)]
pub(super) struct SharedTaps(Arc<Inner>);

struct Inner {
    taps: Box<[f64]>,
    sum: OnceLock<f64>,
    /// The sum of those above 0, and of those below.
    halves: OnceLock<[f64; 2]>,
    magnitudes: OnceLock<f64>,
}

impl SharedTaps {
    /// The largest magnitude.
    pub fn largest(&self) -> f64 {
        self.iter().fold(0.0, |most: f64, t| most.max(t.abs()))
    }

    /// The sum, rounded once: with compensation for what each addition loses (Neumaier 1974).
    pub fn sum(&self) -> f64 {
        *self.0.sum.get_or_init(|| {
            let largest = self.largest();
            if largest == 0.0 {
                return 0.0;
            }
            // In units of the largest, nothing overflows on the way; of a power of 2, nothing is rounded.
            let unit = f64::from_bits(largest.to_bits() & (0x7ff << 52)).max(f64::MIN_POSITIVE);
            let (mut sum, mut lost) = (0.0f64, 0.0);
            for t in self.iter().map(|t| t / unit) {
                let next = sum + t;
                lost += if sum.abs() >= t.abs() { (sum - next) + t } else { (t - next) + sum };
                sum = next;
            }
            (sum + lost) * unit
        })
    }

    /// The sum of magnitudes.
    pub fn abs_sum(&self) -> f64 {
        *self.0.magnitudes.get_or_init(|| self.iter().map(|t| t.abs()).sum())
    }

    /// The sum of the taps above 0, and of those below.
    pub fn halves(&self) -> [f64; 2] {
        *self.0.halves.get_or_init(|| {
            let sum = |keep: fn(&f64) -> bool| self.iter().copied().filter(keep).sum();
            [sum(|t| *t > 0.0), sum(|t| *t < 0.0)]
        })
    }
}

impl From<Vec<f64>> for SharedTaps {
    fn from(taps: Vec<f64>) -> Self {
        let (sum, halves, magnitudes) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { taps: taps.into(), sum, halves, magnitudes }))
    }
}

impl Deref for SharedTaps {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.0.taps
    }
}

impl PartialEq for SharedTaps {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for SharedTaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
