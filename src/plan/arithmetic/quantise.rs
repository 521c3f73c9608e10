//! Taps as integers, and what that changes; sums of numbers.

use super::Spec;
use crate::filter::Post;
use crate::pass::Fixed;

/// The unit roundoff of `f32`.
pub(crate) const U: f64 = 1.0 / (1 << 24) as f64;

/// Binary digits after the point, if there are at most 30.
pub(super) fn fraction_bits(values: impl Iterator<Item = f64>) -> Option<u32> {
    let mut bits = 0;
    for v in values {
        while (v * (1u64 << bits) as f64).fract() != 0.0 {
            bits += 1;
            if bits > 30 {
                return None;
            }
        }
    }
    Some(bits)
}

/// The fraction bits of values, and the values without a point: times 2^bits.
pub(super) fn whole(v: &[f64]) -> Option<(u32, Vec<f64>)> {
    let bits = fraction_bits(v.iter().copied())?;
    Some((bits, v.iter().map(|t| t * f64::from(bits).exp2()).collect()))
}

pub(in crate::plan) fn abs_sum(v: &[f64]) -> f64 {
    v.iter().map(|t| t.abs()).sum()
}

/// v · 2^bits rounded to integers whose sum is that of v, rounded: what rounding each tap loses or
/// gains in sum is made up at the taps that were rounded furthest the other way.
pub(in crate::plan) fn quantise(v: &[f64], bits: i32) -> Vec<f64> {
    let unit = 2f64.powi(bits);
    let mut q: Vec<f64> = v.iter().map(|t| (t * unit).round()).collect();
    let excess = q.iter().sum::<f64>() - (v.iter().sum::<f64>() * unit).round();
    let count = excess.abs() as usize;
    if (1..v.len()).contains(&count) {
        // Those that were rounded furthest in the direction of the excess.
        let moved = |i: &usize| (q[*i] - v[*i] * unit) * excess.signum();
        let mut order: Vec<usize> = (0..v.len()).collect();
        order
            .select_nth_unstable_by(count - 1, |a, b| moved(b).total_cmp(&moved(a)).then(a.cmp(b)));
        order.truncate(count);
        order.into_iter().for_each(|i| q[i] -= excess.signum());
    }
    q
}

/// The largest magnitude.
pub(super) fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |most: f64, t| most.max(t.abs()))
}

/// Whether integers of 16 bits may hold taps with so many fraction bits, before any is rounded: what is not
/// quantised takes no time.
pub(super) fn may_fit_i16(v: &[f64], bits: i32) -> bool {
    largest(v) * 2f64.powi(bits) <= 32768.5
}

/// Σ|ε| and |Σ ε| of quantised taps.
pub(super) fn errors(v: &[f64], q: &[f64], bits: i32) -> (f64, f64) {
    errors_of(v, q, 2f64.powi(bits))
}

/// `errors` of taps in units of 1 / `scale`.
pub(super) fn errors_of(v: &[f64], q: &[f64], scale: f64) -> (f64, f64) {
    let each = v.iter().zip(q).map(|(t, q)| q / scale - t);
    (each.clone().map(f64::abs).sum(), each.sum::<f64>().abs())
}

pub(in crate::plan) fn fits_i16(q: &[f64]) -> bool {
    q.iter().all(|t| t.abs() <= 32767.0)
}

/// Whether two digits of eight bits hold each tap, as [`Across`](crate::pass::Across) has them.
pub(super) fn fits_digits(q: &[f64]) -> bool {
    q.iter().all(|t| t.abs() <= 32639.0)
}

/// Two taps in one `i32`, the first in the low half; an odd last one is paired with 0.
pub(in crate::plan) fn pack(q: &[f64]) -> Vec<i32> {
    let half = |t: f64| i32::from(t as i16) & 0xffff;
    q.chunks(2).map(|p| half(p[0]) | half(p.get(1).copied().unwrap_or(0.0)) << 16).collect()
}

pub(super) fn to_i32(q: &[f64]) -> Vec<i32> {
    q.iter().map(|&t| t as i32).collect()
}

pub(super) fn exact_f32(x: f64) -> bool {
    f64::from(x as f32) == x
}

/// The finish of an accumulator with `shift` fraction bits and at most `peak` in magnitude, what
/// it adds to the error, and the new peak; `None` if it would overflow.
pub(super) fn fixed(spec: &Spec<'_>, shift: u32, peak: f64) -> Option<(Fixed, f64, f64)> {
    let unit = f64::from(shift).exp2();
    let offset = spec.offset() * unit;
    let peak = peak + offset.abs() + unit;
    if shift > 30 || peak >= 2f64.powi(31) {
        return None;
    }
    // As `f32`, large sums and the offset are rounded; what is left of them may be much smaller.
    let sums = if peak > 2f64.powi(24) { peak / unit } else { 0.0 };
    let shown = U * (sums + if exact_f32(spec.offset()) { 0.0 } else { spec.offset().abs() });
    let (start, error) = match spec.post() {
        _ if spec.float_output() => (0.0, shown),
        Post::Magnitude => (0.0, 0.0),
        // floor((S + (offset + ½)·2^s) / 2^s) is exact, S being an integer.
        Post::None => (((spec.offset() + 0.5) * unit).floor(), 0.0),
        Post::Abs => (offset.round(), (offset.round() - offset).abs() / unit),
    };
    let unit = (1.0 / unit) as f32;
    let fixed = Fixed { shift, start: start as i32, unit, ..Fixed::default() };
    Some((fixed, error, peak))
}

#[cfg(test)]
mod tests {
    use super::{abs_sum, fraction_bits, quantise};

    #[test]
    fn quantised_taps_keep_their_sum() {
        let v: Vec<f64> = (0..31).map(|i| (-f64::from(i - 15).powi(2) / 50.0).exp()).collect();
        let sum = abs_sum(&v);
        let v: Vec<f64> = v.iter().map(|t| t / sum).collect();
        for bits in [8, 12, 15] {
            let q = quantise(&v, bits);
            assert_eq!(q.iter().sum::<f64>(), 2f64.powi(bits));
            assert!(v.iter().zip(&q).all(|(t, q)| (q - t * 2f64.powi(bits)).abs() <= 1.0));
        }
        assert_eq!(quantise(&[-0.3, 0.0, 0.3], 8).iter().sum::<f64>(), 0.0);
    }

    #[test]
    fn fraction_bits_count_binary_digits() {
        assert_eq!(fraction_bits([1.0, -3.0].into_iter()), Some(0));
        assert_eq!(fraction_bits([0.375, 2.0].into_iter()), Some(3));
        assert_eq!(fraction_bits([0.1].into_iter()), None);
    }
}
