//! Filters whose taps are all equal: running sums of integers, and sums of blocks of `f32`.

use super::{Arithmetic, Choice, Noise, Spec, U, float_exact, noise, words};
use crate::kernel::Kernel;
use crate::pass::RowLevel;
use crate::plan::Pass;
use crate::sample::SampleType;

/// Taps a side from which running sums are faster than two passes; and where a division makes them exact, too.
const RUNNING_FROM: usize = 11;
const WHOLE_FROM: usize = 7;
/// The same for `u16`, of one channel and of several.
const RUNNING_U16_FROM: [usize; 2] = [3, 5];

/// Taps a side from which sums of blocks are.
const BLOCKS_FROM: usize = 13;

/// Running sums, if all taps of the one kernel are equal (but for the rounding that makes their sum
/// exact) and a window's sum fits.
pub(crate) fn running(spec: &Spec<'_>) -> Option<Choice> {
    let [kernel] = spec.filter.kernels() else { return None };
    if spec.float_source() || spec.prepared() {
        return blocks(spec, kernel);
    }
    let (mean, spread) = level(kernel)?;
    let words = if spec.chained { None } else { words::running(spec, kernel, mean, spread) };
    let from = match (spec.source, &words) {
        (SampleType::U16, _) => RUNNING_U16_FROM[usize::from(spec.channels > 1)],
        (_, Some((share, _))) if share.is_whole() => WHOLE_FROM,
        _ => RUNNING_FROM,
    };
    if longest(kernel) < from {
        return None;
    }
    if let Some((share, arithmetic)) = words {
        return Some((Pass::Running(Some(share)), arithmetic, spec.finish()));
    }
    // Sums are kept less those of mid-grey, which halves their range.
    // Unless results show all digits of sums, which then must not be taken from something larger.
    let count = kernel.taps().len() as f64;
    let middle = if spec.source == SampleType::U16
        && !(spec.float_output() && spec.range() * count < 2f64.powi(31))
    {
        32768.0
    } else {
        0.0
    };
    let scale = spec.filter.get_scale();
    let exact = float_exact(spec, &[mean * scale], count * (mean * scale).abs().max(1.0));
    let found = in_32_bits(spec, kernel, (0.0, spec.range()), middle, exact)?;
    spec.takes(&found.1).then_some(found)
}

/// Running sums between filters of a chain of `u8` images.
pub(super) fn running_between(spec: &Spec<'_>) -> Option<Choice> {
    let [kernel] = spec.filter.kernels() else { return None };
    let long = is_flat(kernel) && longest(kernel) >= RUNNING_FROM;
    if long { in_32_bits(spec, kernel, spec.samples(), 0.0, false) } else { None }
}

/// Running sums in `i32`, less those of `middle`, if they fit, of samples of a range; `exact` if no product with
/// the tap is rounded.
fn in_32_bits(
    spec: &Spec<'_>,
    kernel: &Kernel,
    (low, high): (f64, f64),
    middle: f64,
    exact: bool,
) -> Option<Choice> {
    let (mean, spread) = level(kernel)?;
    let (count, scale) = (kernel.taps().len() as f64, spec.filter.get_scale());
    let largest = high.max(-low);
    let peak = (high - middle).max(middle - low) * count;
    let unit = (mean * scale) as f32;
    let grey = middle * count * mean * scale;
    let value = (largest * count * mean * scale).abs() + spec.offset().abs() + 1.0;
    if peak >= 2f64.powi(31) || value > 1e30 {
        return None;
    }
    let mut finish = spec.finish();
    finish.fixed[0].unit = unit;
    finish.fixed[0].start = -(middle * kernel.height() as f64) as i32;
    finish.offset = spec.offset() + grey;
    let bound = if exact {
        0.0
    } else {
        // The sum, the tap, the product, the offset and the ½ are rounded.
        5.0 * U * value + spread * scale.abs() * largest
    };
    let mut arithmetic = spec.arithmetic(Arithmetic::RunningI32, bound);
    arithmetic.peak = peak;
    if !exact {
        let gain = (f64::from(unit) - mean * scale) * count;
        let variance = noise::roundings(4, value);
        arithmetic.noise = Noise::new(gain, 0.0, (low, high), (0.0, variance));
    }
    Some((Pass::Running(None), arithmetic, finish))
}

/// The longer side.
fn longest(kernel: &Kernel) -> usize {
    kernel.width().max(kernel.height())
}

/// The mean of the taps, and Σ|tap − mean|, of a kernel whose taps are equal but for the rounding that
/// makes their sum exact.
fn level(kernel: &Kernel) -> Option<(f64, f64)> {
    let count = kernel.taps().len() as f64;
    let mean = kernel.sum() / count;
    let spread = kernel.taps().iter().map(|t| (t - mean).abs()).sum::<f64>();
    (mean != 0.0 && spread <= mean.abs() * count * 1e-12).then_some((mean, spread))
}

/// Whether all taps are equal, but for such rounding.
fn is_flat(kernel: &Kernel) -> bool {
    level(kernel).is_some()
}

/// Sums of blocks, for rows of `f32`.
fn blocks(spec: &Spec<'_>, kernel: &Kernel) -> Option<Choice> {
    let (mean, spread) = level(kernel).filter(|_| longest(kernel) >= BLOCKS_FROM)?;
    let (count, scale) = (kernel.taps().len() as f64, spec.filter.get_scale());
    let value = (spec.range() * count * mean * scale).abs() + spec.offset().abs() + 1.0;
    if value > 1e30 {
        return None;
    }
    // Rows are divided by a power of 2, so that no sum overflows where its mean does not.
    let part = (count.log2().ceil() + 1.0).exp2();
    let mut finish = spec.finish();
    finish.fixed[0].unit = (mean * scale * part) as f32;
    finish.fixed[1].unit = (1.0 / part) as f32;
    // No row of a window goes through more additions than there are rows and parts of their sum,
    // no column through more than its levels have. The tap, the product, the offset and the ½ are
    // rounded.
    let levels = RowLevel::levels(kernel.width());
    let along: usize = levels.iter().map(|level| level.terms + level.rest).sum();
    let additions = kernel.height() as f64 + along as f64 + 8.0;
    let bound = additions * U * value * (1.0 + 1e-4)
        + spread * scale.abs() * spec.range()
        + spec.carried(count * (mean * scale).abs());
    let arithmetic = spec.arithmetic(Arithmetic::TreeSums, bound);
    spec.accepts(bound).then_some((Pass::Blocks(levels), arithmetic, finish))
}
