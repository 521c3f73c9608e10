//! Two passes of `u8` samples in pairs of 16 bits, summed in 32; row first where that is faster.

use super::{
    Arithmetic, Choice, Factors, Noise, Passes, Proved, Rows, Separable, Spec, abs_sum, errors,
    fits_digits, fits_i16, fixed, may_fit_i16, noise, pack, quantise, whole,
};
use crate::pass::{Finish, Fixed, RowOrder, Taps};
use crate::plan::Pass;
use std::ops::Range;

/// Taps a side from which on it is their number that makes errors large.
pub(crate) const MANY_TAPS: usize = 128;
/// Bits that may move from the rows between the passes to the second pass's taps, as [`pairs_rounded`] has it.
pub(crate) const MOVED: Range<i32> = 1..6;

/// [`MOVED`], if any of the factors are that long.
pub(super) fn moved(factors: &[Factors<'_>]) -> Range<i32> {
    let many = factors.iter().any(|f| f.column.len().max(f.row.len()) > MANY_TAPS);
    if many { MOVED } else { 0..0 }
}

/// With so many bits [`moved`].
pub(super) fn pairs(spec: &Spec<'_>, factors: &[Factors<'_>], moved: i32) -> Option<Separable> {
    let mut finish = spec.finish();
    let mut passes = Vec::new();
    let mut arithmetic = spec.arithmetic(Arithmetic::I16Pairs, 0.0);
    let mut bounds = Vec::new();
    let scale = spec.filter.get_scale();
    for (kernel, f) in factors.iter().enumerate() {
        let row: Vec<f64> = f.written.1.iter().map(|t| t * scale).collect();
        let samples = (0.0, 255.0);
        let found = pairs_exact(spec, samples, f.written.0, &row)
            .filter(|_| f.residual == 0.0)
            .or_else(|| pairs_rounded(spec, samples, [&f.column, &f.row], moved))?;
        let PairedPasses { taps: [column, row], start, shift, fixed, bits, peak, bound, noise } =
            found;
        finish.fixed[kernel] = fixed;
        arithmetic.noise = noise;
        let column = Rows::paired(&column, 1);
        passes.push(Passes {
            column,
            row: Taps::I32(pack(&row)),
            start,
            shift,
            order: RowOrder::InOrder,
        });
        arithmetic.bits = bits;
        arithmetic.peak = arithmetic.peak.max(peak);
        let value = 255.0 * abs_sum(&f.column) * abs_sum(&f.row);
        bounds.push((bound + f.residual, value));
    }
    arithmetic.bound = spec.after_post(bounds.into_iter());
    pairs_will_do(spec, &arithmetic).then_some((arithmetic, passes, finish))
}

/// `pairs` of one kernel with the row first. Its sums are no larger than a column's would be, and as
/// many bits of them are kept.
pub(super) fn row_first(spec: &Spec<'_>, factors: &[Factors<'_>], moved: i32) -> Option<Choice> {
    let [f] = factors else { return None };
    let scaled = |v: &[f64], factor: f64| v.iter().map(|t| t * factor).collect::<Vec<_>>();
    let written = scaled(f.written.1, spec.filter.get_scale());
    // Powers of two move from row to column.
    let sum = abs_sum(&f.row);
    let power = if sum > 0.0 { sum.log2().floor().exp2() } else { 1.0 };
    let (row, column) = (scaled(&f.row, 1.0 / power), scaled(&f.column, power));
    let samples = (0.0, 255.0);
    let found = pairs_exact(spec, samples, &written, f.written.0)
        .filter(|found| f.residual == 0.0 && fits_digits(&found.taps[0]))
        .or_else(|| pairs_rounded(spec, samples, [&row, &column], moved))?;
    let PairedPasses { taps: [row, column], start, shift, fixed, bits, peak, bound, noise } = found;
    let finish = Finish { fixed: [fixed, Fixed::default()], ..spec.finish() };
    let mut arithmetic = spec.arithmetic(Arithmetic::I16Pairs, bound + f.residual);
    arithmetic.noise = noise;
    arithmetic.bits = bits;
    arithmetic.peak = peak;
    let column = Rows::paired(&column, 1);
    let passes =
        Passes { column, row: Taps::I32(pack(&row)), start, shift, order: RowOrder::InOrder };
    pairs_will_do(spec, &arithmetic).then_some((Pass::RowFirst(passes), arithmetic, finish))
}

/// Whether the bound of paired arithmetic keeps the contract.
fn pairs_will_do(spec: &Spec<'_>, arithmetic: &Proved) -> bool {
    // A float result shows every error: only exact integers will do.
    if spec.float_output() {
        arithmetic.bound == 0.0 && arithmetic.peak < 2f64.powi(24)
    } else {
        spec.takes(arithmetic)
    }
}

/// What paired arithmetic makes of two passes.
pub(super) struct PairedPasses {
    /// Of the pass that comes first, and of the second.
    pub(super) taps: [Vec<f64>; 2],
    /// What the sums of the first start with, and are divided by.
    pub(super) start: i32,
    pub(super) shift: u32,
    pub(super) fixed: Fixed,
    /// Fraction bits of the scratch row and of the sums.
    pub(super) bits: (u32, u32),
    pub(super) peak: f64,
    pub(super) bound: f64,
    pub(super) noise: Noise,
}

/// Taps that are integers once multiplied by a small power of two, and a scratch row that holds
/// the column sums exactly.
pub(super) fn pairs_exact(
    spec: &Spec<'_>,
    (low, high): (f64, f64),
    column: &[f64],
    row: &[f64],
) -> Option<PairedPasses> {
    let ((column_bits, c), (row_bits, r)) = (whole(column)?, whole(row)?);
    let scratch = high.max(-low) * abs_sum(&c);
    if scratch > 32767.0 || !fits_i16(&r) {
        return None;
    }
    let shift = column_bits + row_bits;
    let (fixed, bound, peak) = fixed(spec, shift, scratch * abs_sum(&r))?;
    let bits = (column_bits, shift);
    let noise = Noise::default();
    Some(PairedPasses { taps: [c, r], start: 0, shift: 0, fixed, bits, peak, bound, noise })
}

/// Taps without the powers of 2 that all of them are multiples of, and as many fraction bits less, but no fewer than `least`:
/// how many parts of results their sums come in.
pub(super) fn reduced(mut bits: i32, mut taps: Vec<f64>, least: i32) -> (i32, Vec<f64>) {
    while bits > least && taps.iter().all(|t| t % 2.0 == 0.0) {
        taps.iter_mut().for_each(|t| *t /= 2.0);
        bits -= 1;
    }
    (bits, taps)
}

/// How far Σ ε·x may be from 0 for samples x of a range, from Σ|ε| and |Σ ε|.
pub(super) fn spread((low, high): (f64, f64), (each, sum): (f64, f64)) -> f64 {
    (high - low) / 2.0 * each + (high + low).abs() / 2.0 * sum
}

/// Any taps: as many fraction bits as fit everywhere. Samples lie between `least` ≤ 0 and `most` ≥ 0. Of long kernels the
/// taps are small, so that errors of many of them add up, and those of the rows between the passes hardly count: with
/// some bits `moved`, taps have more, and rows as many less.
pub(super) fn pairs_rounded(
    spec: &Spec<'_>,
    (least, most): (f64, f64),
    [column, row]: [&[f64]; 2],
    moved: i32,
) -> Option<PairedPasses> {
    // The column's taps sum to less than 2 in magnitude.
    let finest = if moved > 0 { 22 } else { 15 };
    let sums_fit = |q: &[f64]| most.max(-least) * abs_sum(q) < 2f64.powi(30);
    let (column_bits, c) = (0..=finest)
        .rev()
        .filter(|&b| may_fit_i16(column, b))
        .map(|b| (b, quantise(column, b)))
        .find(|(_, q)| fits_digits(q) && (moved == 0 || sums_fit(q)))?;
    let (column_bits, c) = reduced(column_bits, c, 0);
    let plus = c.iter().filter(|t| **t > 0.0).sum::<f64>();
    let minus = -c.iter().filter(|t| **t < 0.0).sum::<f64>();
    let (positive, negative) = (most * plus - least * minus, most * minus - least * plus);
    let peak = positive.max(negative);
    if peak >= 2f64.powi(30) {
        return None;
    }
    let shift =
        (0..=16).find(|&s| ((peak + 2f64.powi(s - 1)) / 2f64.powi(s)).floor() <= 32767.0)? + moved;
    let scratch_bits = column_bits - shift;
    if scratch_bits < 0 {
        return None;
    }
    let scratch = (peak / 2f64.powi(shift) + 1.0).min(32768.0);
    let bits = (0..=30 - scratch_bits).rev().filter(|&b| may_fit_i16(row, b));
    bits.into_iter().find_map(|row_bits| {
        let r = quantise(row, row_bits);
        if !fits_i16(&r) {
            return None;
        }
        let (row_bits, r) = reduced(row_bits, r, -scratch_bits);
        let total = (scratch_bits + row_bits) as u32;
        let (fixed, offset_error, peak) = fixed(spec, total, scratch * abs_sum(&r))?;
        let unit = 2f64.powi(-column_bits);
        let (high, low) = (positive * unit, -negative * unit);
        let column_error = spread((least, most), errors(column, &c, column_bits)) * abs_sum(row);
        let rounding = if shift > 0 { 2f64.powi(-scratch_bits - 1) } else { 0.0 };
        let rounding = rounding * abs_sum(&r) * 2f64.powi(-row_bits);
        let row_error = spread((low, high), errors(row, &r, row_bits));
        let bound = column_error + rounding + row_error + offset_error;
        let bits = (scratch_bits as u32, total);
        let row_unit = 2f64.powi(row_bits);
        let (gain, squares) =
            noise::of_product((column, row), (&c, 2f64.powi(column_bits)), (&r, row_unit));
        // Halves are rounded up, which on the whole is half a unit too much.
        let step = if shift > 0 { 2f64.powi(-scratch_bits) } else { 0.0 };
        let mean = step * 2f64.powi(-shift - 1) * r.iter().sum::<f64>() / row_unit;
        let taken = r.iter().map(|t| t * t).sum::<f64>() / row_unit / row_unit;
        let noise = Noise::new(gain, squares, (least, most), (mean, step * step * taken / 12.0));
        // Rounds half up.
        let start = (1 << shift) >> 1;
        let (taps, shift) = ([c.clone(), r], shift as u32);
        Some(PairedPasses { taps, start, shift, fixed, bits, peak, bound, noise })
    })
}
