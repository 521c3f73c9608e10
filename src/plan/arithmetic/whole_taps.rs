//! Whole taps for sums that are known to be whole: any method whose results are off by less than a half is exact with them.

use super::floats::float_exact;
use super::{Arithmetic, Proved, Spec, U, abs_sum, errors, fraction_bits, noise, quantise};

/// Bits of whole numbers that `f64` holds, with some to spare for what is added to them.
const BITS: f64 = 50.0;

/// Taps in units of 2^−bits, so many that sums of their products with digits, which are off by at most `error` times
/// their 2-norm, are off by at most `near`; and what is proved of results that are rounded no further.
pub(in crate::plan) fn whole_taps(
    spec: &Spec<'_>,
    taps: &[f64],
    (error, near): (f64, f64),
) -> Option<(Vec<f64>, i32, Proved)> {
    let (range, size) = (spec.range(), abs_sum(taps));
    let fits = |q: &[f64]| {
        let squares = q.iter().map(|t| t * t).sum::<f64>();
        error * squares.sqrt() <= near && range * abs_sum(q) <= BITS.exp2()
    };
    let exact = fraction_bits(taps.iter().copied()).map(|bits| bits as i32);
    let exact = exact.map(|bits| (quantise(taps, bits), bits)).filter(|(q, _)| fits(q));
    let is_exact = exact.is_some();
    let (q, bits) = match exact {
        Some(found) => found,
        None => {
            let squares = taps.iter().map(|t| t * t).sum::<f64>();
            let most = (near / (error * squares.sqrt())).log2().min(BITS - (range * size).log2());
            // What is rounded may be too much.
            let most =
                if most.is_finite() { most.clamp(-900.0, 900.0) as i32 } else { return None };
            let some = (most - 2..=most).rev().map(|bits| (quantise(taps, bits), bits));
            some.into_iter().find(|(q, _)| fits(q))?
        }
    };
    let value = range * size + spec.offset().abs() + 1.0;
    let rounded = spec.float_output() || spec.prepared();
    let shown = match is_exact {
        true if !rounded && spec.must_be_exact() => 0.0,
        true if rounded && float_exact(spec, taps, size) => 0.0,
        _ if rounded => U * value,
        _ => 0.0,
    };
    // Unit, offset and the half.
    let f64s = if is_exact && shown == 0.0 { 0.0 } else { value * 2f64.powi(-50) };
    let (each, sum) = errors(taps, &q, bits);
    let bound = range / 2.0 * (each + sum) + shown + f64s + spec.carried(size);
    let noise = noise::of_taps(taps, &q, 2f64.powi(bits), (0.0, range));
    let proved = Proved {
        noise,
        peak: range * abs_sum(&q),
        bits: (0, bits.max(0) as u32),
        ..spec.arithmetic(Arithmetic::F64, bound)
    };
    spec.takes(&proved).then_some((q, bits, proved))
}
