//! What arithmetic makes of noise. A bound says how far a result may be from exact; whether pictures get
//! brighter, and how many samples are rounded the other way, is a matter of means.
//!
//! All of it is for samples that are independent and uniform over their type; between filters of a chain, over
//! the range of rows.

use super::{Proved, Spec};
use crate::sample::SampleType;

/// What errors over noise are let pass, in levels of the output.
struct Limits {
    /// How far the gain for a constant image may be from exact, as a share of it.
    gain: f64,
    /// What it may make of the largest sample, where the exact gain is small: what does not show.
    shown: f64,
    bias: f64,
    /// The root mean square error. The share of samples that are not the correctly rounded ones is the mean of
    /// errors' magnitudes, and so no larger.
    rms: f64,
}

const OF_U8: Limits = Limits { gain: 1.0 / 4096.0, shown: 1.0 / 64.0, bias: 0.01, rms: 0.1 };
/// Of chains, whose rows have few fraction bits: a result in 32 that lies halfway is 1/64 level.
const OF_CHAINS: Limits = Limits { bias: 0.017, ..OF_U8 };
const OF_U16: Limits = Limits { gain: 1.0 / 1_048_576.0, shown: 1.0 / 32.0, bias: 0.025, rms: 0.5 };

/// The errors of one arithmetic over noise, in levels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Noise {
    /// The sum of the taps that are really applied, less that of the kernel's.
    pub gain: f64,
    /// The mean error.
    pub bias: f64,
    /// The root mean square error.
    pub rms: f64,
}

impl Noise {
    /// From the sum of errors of taps and of their squares, for samples of a range, and from the mean of what is
    /// rounded besides, and its variance.
    pub fn new(
        gain: f64,
        squares: f64,
        (low, high): (f64, f64),
        (mean, variance): (f64, f64),
    ) -> Self {
        let bias = (low + high) / 2.0 * gain + mean;
        let variance = variance + squares * (high - low).powi(2) / 12.0;
        Self { gain, bias, rms: (bias * bias + variance).sqrt() }
    }

    /// The same in levels, of which output and input have `out` and `input` parts.
    pub fn in_units(self, out: f64, input: f64) -> Self {
        Self { gain: self.gain / out * input, bias: self.bias / out, rms: self.rms / out }
    }

    /// That of two filters, `self` being what the second one adds: its kernel's sum, and that of the squares of
    /// its taps, multiply what the first, whose sum is `before_sum`, is off by.
    pub fn after(self, before: Self, before_sum: f64, sum: f64, squares: f64) -> Self {
        let variance = |noise: &Self| noise.rms.powi(2) - noise.bias.powi(2);
        let gain = before.gain * sum + self.gain * before_sum;
        let bias = before.bias * sum + self.bias;
        let variance = variance(&before) * squares + variance(&self);
        Self { gain, bias, rms: (bias * bias + variance.max(0.0)).sqrt() }
    }

    /// Whether it shows neither in the mean of a picture nor in many of its samples; `sum` is that of the kernel.
    /// Of images of bytes, or of 16 bits.
    pub fn is_fair(&self, sum: f64, source: SampleType) -> bool {
        match source {
            SampleType::U8 => self.keeps(&OF_U8, sum, 255.0),
            _ => self.keeps(&OF_U16, sum, 65535.0),
        }
    }

    /// The same of a chain on images of bytes.
    pub fn is_fair_of_chain(&self, sum: f64) -> bool {
        self.keeps(&OF_CHAINS, sum, 255.0)
    }

    fn keeps(&self, limits: &Limits, sum: f64, most: f64) -> bool {
        self.gain.abs() <= (limits.gain * sum.abs()).max(limits.shown / most)
            && self.bias.abs() <= limits.bias
            && self.rms <= limits.rms
    }

    /// What the choice among several that take as long goes by: what all samples have in common adds up from pass
    /// to pass, and that of the gain is another one in darker or brighter pictures.
    pub fn cost(&self) -> f64 {
        self.rms + 64.0 * (self.bias.abs() + 64.0 * self.gain.abs())
    }
}

impl Proved {
    /// Whether the contract about noise is kept; for integers only, where results are those of images. Filters of
    /// chains are looked at together.
    pub fn is_fair(&self, spec: &Spec<'_>) -> bool {
        let integers = !spec.float_source() && !spec.float_output() && !spec.prepared();
        let sum: f64 = spec.filter.kernels()[0].sum() * spec.filter.get_scale();
        spec.chained || !integers || self.noise.is_fair(sum, spec.source)
    }
}

/// The sum of what quantised taps, in units of 1 / `unit`, are off by, and of its squares.
pub(in crate::plan) fn errors_and_squares(taps: &[f64], q: &[f64], unit: f64) -> (f64, f64) {
    let errors = taps.iter().zip(q).map(|(t, q)| q / unit - t);
    errors.fold((0.0, 0.0), |(sum, squares), e| (sum + e, squares + e * e))
}

/// What taps that were quantised make of noise, in a direct pass that rounds nothing else.
pub(super) fn of_taps(taps: &[f64], q: &[f64], unit: f64, samples: (f64, f64)) -> Noise {
    let (gain, squares) = errors_and_squares(taps, q, unit);
    Noise::new(gain, squares, samples, (0.0, 0.0))
}

/// Taps as `f32` has them.
pub(in crate::plan) fn single(taps: &[f64]) -> Vec<f64> {
    taps.iter().map(|&t| f64::from(t as f32)).collect()
}

/// What so many roundings to `f32` of values of at most this magnitude make of noise.
pub(crate) fn noise_of_roundings(count: usize, value: f64) -> Noise {
    Noise::new(0.0, 0.0, (0.0, 0.0), (0.0, roundings(count, value)))
}

/// The variance of so many roundings to `f32` of values of at most this magnitude.
pub(in crate::plan) fn roundings(count: usize, value: f64) -> f64 {
    count as f64 * (value * super::U).powi(2) / 3.0
}

/// `errors_and_squares` of the products of a column and a row, each with its unit.
pub(super) fn of_product(
    (column, row): (&[f64], &[f64]),
    (c, column_unit): (&[f64], f64),
    (r, row_unit): (&[f64], f64),
) -> (f64, f64) {
    let sum = |v: &[f64]| v.iter().sum::<f64>();
    let times = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (p, q) = (column_unit, row_unit);
    let gain = sum(c) / p * (sum(r) / q) - sum(column) * sum(row);
    // Σ (a·b − c·d)², taken apart.
    let squares = times(c, c) / p / p * (times(r, r) / q / q)
        + times(column, column) * times(row, row)
        - 2.0 * times(c, column) / p * (times(r, row) / q);
    (gain, squares.max(0.0))
}

/// The mean error of products of a tap, in units of 2^−`bits` of the result, that are rounded half up. What they
/// are products of are multiples of `step`, from `start` on.
/// All are whole numbers.
pub(in crate::plan) fn rounded_mean(tap: f64, bits: u32, step: f64, start: f64) -> f64 {
    let (apart, product) = ((tap * step) as i64, (tap * start) as i64);
    // Of the products modulo 2^bits, so many lie `unit` apart, and are equally frequent.
    let same = apart.trailing_zeros().min(bits);
    let (unit, count) = (1i64 << same, (1i64 << (bits - same)) as f64);
    let first = (product & (unit - 1)) as f64 / unit as f64;
    if same == bits { (first + 0.5).floor() - first } else { (0.5 - first) / count }
}

/// The largest number that all of some whole numbers are multiples of.
pub(super) fn common_divisor(q: &[f64]) -> f64 {
    let divisor = q.iter().fold(0.0f64, |a, b| {
        let (mut a, mut b) = (a, b.abs());
        while b != 0.0 {
            (a, b) = (b, a % b);
        }
        a
    });
    divisor.max(1.0)
}

/// Most parts of a level that [`parts`] looks for.
const MOST_PARTS: u32 = 256;

/// The least m such that all of these are whole multiples of 1 / m, but for what `f64` rounds: then so are sums of
/// their products with whole samples, and many may lie halfway between two levels.
pub(in crate::plan) fn parts(values: &[f64]) -> Option<u32> {
    let whole = |m: u32| {
        let m = f64::from(m);
        values.iter().all(|v| (v * m - (v * m).round()).abs() <= 1e-12 * (v * m).abs().max(1.0))
    };
    (1..=MOST_PARTS).find(|&m| whole(m))
}

/// Whether results that are multiples of 1 / m, and computed with an error from `low` to `high`, are rounded to
/// the right level for all m.
pub(super) fn rounds_right(m: u32, low: f64, high: f64) -> bool {
    let part = 1.0 / f64::from(m);
    // Multiples of an odd part never lie halfway.
    if m % 2 == 1 { high < part / 2.0 && -low < part / 2.0 } else { low >= 0.0 && high < part }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_rounded_products() {
        for (tap, step, start) in [
            (3.0, 1.0, 0.0),
            (4.0, 1.0, 3.0),
            (96.0, 2.0, 5.0),
            (-64.0, 4.0, 7.0),
            (0.0, 1.0, 1.0),
            (256.0, 1.0, 9.0),
            (128.0, 3.0, 1.0),
        ] {
            let (bits, n) = (8, 1 << 12);
            let error = |k: i32| {
                let p = tap * (start + step * f64::from(k)) / 256.0;
                (p + 0.5).floor() - p
            };
            let mean = (0..n).map(error).sum::<f64>() / f64::from(n);
            let said = rounded_mean(tap, bits, step, start);
            assert!((mean - said).abs() < 1e-9, "{tap} {step} {start}: {mean} {said}");
        }
    }

    #[test]
    fn parts_of_a_level() {
        assert_eq!(parts(&[1.0, -3.0]), Some(1));
        assert_eq!(parts(&[0.1, 0.2, 0.05]), Some(20));
        assert_eq!(parts(&[1.0 / 36.0]), Some(36));
        assert_eq!(parts(&[0.123_456_789]), None);
    }
}
