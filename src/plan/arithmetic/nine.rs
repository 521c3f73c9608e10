//! 3×3 taps in one pass. On `u16` images it has 32 bits, for whole multiples of what taps have in common: sums are exact;
//! they are shifted, or multiplied and rounded once.

use super::words::multiples_of;
use super::{
    Arithmetic, Choice, Noise, Proved, Spec, U, abs_sum, fits_i16, fixed, fraction_bits, noise,
    to_i32,
};
use crate::filter::{Method, Post};
use crate::pass::{Finish, Fixed, Nine};
use crate::plan::Pass;
use crate::sample::SampleType;

/// The pass, if the kernel is one for it.
pub(crate) fn nine(spec: &Spec<'_>) -> Option<Choice> {
    let [kernel] = spec.filter.kernels() else { return None };
    let words = (spec.source, spec.output) == (SampleType::U16, SampleType::U16);
    if !spec.is_nine() || !words || spec.prepared() {
        return None;
    }
    let scale = spec.filter.get_scale();
    let written: Vec<f64> = kernel.taps().iter().map(|t| t * scale).collect();
    let (q, finish, proved) = shifted(spec, &written).or_else(|| divided(spec, &written))?;
    let taps: Vec<i16> =
        to_i32(&q).into_iter().map(i16::try_from).collect::<Result<_, _>>().ok()?;
    let rows = Nine::rows(&taps)?;
    let product = Nine::of_equal_rows(&taps).filter(|p| p.takes_start(finish.fixed[0].start));
    let kernel = match spec.filter.get_method() {
        Method::Auto => product.unwrap_or(rows),
        Method::Separable => product?,
        Method::Dense => rows,
        _ => return None,
    };
    spec.takes(&proved).then(|| (Pass::Stencil(vec![kernel]), proved, finish))
}

/// Taps in units of a power of 2.
fn shifted(spec: &Spec<'_>, written: &[f64]) -> Option<(Vec<f64>, Finish, Proved)> {
    let bits = fraction_bits(written.iter().copied())?;
    let q: Vec<f64> = written.iter().map(|t| t * f64::from(bits).exp2()).collect();
    if !fits_i16(&q) {
        return None;
    }
    let (fixed, error, peak) = fixed(spec, bits, spec.range() * abs_sum(&q))?;
    let mut proved = spec.arithmetic(Arithmetic::I32, error);
    (proved.peak, proved.bits) = (peak, (0, bits));
    Some((q, Finish { fixed: [fixed, Fixed::default()], ..spec.finish() }, proved))
}

/// Taps in units of another number, which sums are multiplied by.
fn divided(spec: &Spec<'_>, written: &[f64]) -> Option<(Vec<f64>, Finish, Proved)> {
    if spec.precise || spec.post() != Post::None {
        return None;
    }
    let (unit, q) = multiples_of(written)?;
    if !fits_i16(&q) {
        return None;
    }
    let fixed = Fixed { unit: unit as f32, divides: true, ..Fixed::default() };
    let finish = Finish { fixed: [fixed, Fixed::default()], ..spec.finish() };
    let peak = spec.range() * abs_sum(&q);
    if peak >= 2f64.powi(31) || !finish.rounds() {
        return None;
    }
    let off = written.iter().zip(&q).map(|(t, q)| (t - q * unit).abs()).sum::<f64>();
    // The sum, the unit, the product, the offset and the ½ are rounded.
    let value = peak * unit.abs() + spec.offset().abs() + 1.0;
    let mut proved = spec.arithmetic(Arithmetic::I32, 5.0 * U * value + spec.range() * off);
    proved.peak = peak;
    let gain = (f64::from(fixed.unit) - unit) * q.iter().sum::<f64>();
    let variance = noise::roundings(4, value);
    proved.noise = Noise::new(gain, 0.0, (0.0, spec.range()), (0.0, variance));
    Some((q, finish, proved))
}

/// One pass for kernels that are all 3×3.
pub(crate) fn stencil(
    spec: &Spec<'_>,
    kernels: impl Iterator<Item = Option<Nine>>,
) -> Option<Pass> {
    let kernels: Vec<_> = kernels.collect::<Option<_>>()?;
    // Nine taps may also lie in a line. Magnitudes of floats have the dense pass, unless they are of products.
    let dense = kernels.len() > 1 && matches!(kernels[0], Nine::Floats(_));
    (spec.is_nine() && !dense).then_some(Pass::Stencil(kernels))
}
