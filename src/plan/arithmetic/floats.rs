//! Two passes in `f32`, in `i32` where taps are integers too large for less, and in `f64`.

use super::{
    Arithmetic, Choice, Factors, Noise, Passes, Rows, Separable, Spec, U, abs_sum, exact_f32,
    factors, fixed, fraction_bits, noise, to_i32, whole,
};
use crate::kernel::{Kernel, Separation};
use crate::pass::{RowOrder, Taps};
use crate::plan::Pass;
use std::slice;

/// The error of Σ tap·x in `f32`, added up from the first tap to the last, per unit of |x|: the
/// rounding of every tap, product and sum.
pub(super) fn float_sum_error(taps: &[f64]) -> f64 {
    let mut error = 0.0;
    let mut sum = 0.0;
    for (k, &t) in taps.iter().enumerate() {
        sum += t.abs();
        error += (f64::from(t as f32) - t).abs() + U * t.abs();
        if k > 0 {
            error += U * sum;
        }
    }
    // Products of errors.
    error * (1.0 + 1e-4)
}

/// The same where samples that meet the same of symmetric taps are added before they are multiplied,
/// from the outermost two taps to the one in the middle.
fn folded_sum_error(taps: &[f64]) -> f64 {
    let (lower, upper) = taps.split_at(taps.len().div_ceil(2));
    let mut error = 0.0;
    let mut sum = 0.0;
    for (k, &t) in lower.iter().enumerate() {
        let rounded = f64::from(t as f32);
        // The one in the middle has no other.
        let other = upper.len().checked_sub(k + 1).map(|other| upper[other]);
        let both = t.abs() + other.map_or(0.0, f64::abs);
        sum += both;
        error += (rounded - t).abs() + other.map_or(0.0, |t| (rounded - t).abs() + U * both);
        error += U * both + if k > 0 { U * sum } else { 0.0 };
    }
    error * (1.0 + 1e-4)
}

/// Whether all sums of products of these taps and samples are `f32` values, so that nothing is
/// rounded.
pub(in crate::plan) fn float_exact(spec: &Spec<'_>, taps: &[f64], sum: f64) -> bool {
    if spec.float_source() {
        return false;
    }
    let offset = spec.offset();
    let values = taps.iter().copied().chain([offset, 0.5]);
    // Products of taps and constants have the bits of both.
    let Some(more) = fraction_bits(spec.constants()) else { return false };
    fraction_bits(values).is_some_and(|bits| {
        let unit = f64::from(bits + more).exp2();
        (spec.range() * sum + offset.abs() + 1.0) * unit <= 2f64.powi(24)
    })
}

pub(super) fn float(spec: &Spec<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let range = spec.range();
    // One pass sums the rows of such products first.
    let rows_first = spec.is_nine() && factors.iter().all(|f| f.identity.is_none());
    let mut passes = Vec::new();
    let mut bounds = Vec::new();
    for f in factors {
        // Of floats, what a column sums is at most half of the largest sample: two of them must not overflow
        // where their mean does not.
        let half = if spec.float_source() { 0.25 } else { 1.0 };
        let times = |v: &[f64], factor: f64| v.iter().map(|t| t * factor).collect::<Vec<_>>();
        let (first, second) = match rows_first {
            true => {
                let sum = abs_sum(&f.row);
                let power = if sum > 0.0 { sum.log2().floor().exp2() } else { 1.0 };
                (times(&f.row, 1.0 / power), times(&f.column, power))
            }
            false => (f.column.clone(), f.row.clone()),
        };
        // What follows calls the first pass a column.
        let f = &Factors { column: times(&first, half), row: times(&second, 1.0 / half), ..*f };
        let (column, row) = (abs_sum(&f.column), abs_sum(&f.row));
        // What the image is multiplied by where it is added.
        let image = f.identity.map_or(0.0, |(times, _)| times);
        let value = range * (column * row + image.abs()) + spec.offset().abs() + 1.0;
        if value > 1e30 || row > 1e30 {
            return None;
        }
        // The taps' products have as many fraction bits as both factors together.
        let products = f.column.iter().flat_map(|c| f.row.iter().map(move |r| c * r));
        let products: Vec<f64> = if f.column.len() * f.row.len() <= 4096 {
            products.chain(f.column.iter().copied()).collect()
        } else {
            vec![f64::NAN]
        };
        let row_taps: Vec<f32> = f.row.iter().map(|&t| t as f32).collect();
        let lanes = spec.fused.then(|| spec.level.lanes());
        let order = match factors {
            [_] if !rows_first => RowOrder::of(&row_taps, spec.channels, lanes),
            // Of the two of a magnitude, sums are kept side by side; those of rows are in registers.
            _ => RowOrder::InOrder,
        };
        // Two column sums are added before anything is multiplied.
        let least = if order == RowOrder::Folded { 2.0 } else { 1.0 };
        let exact = f.row.iter().all(|t| exact_f32(*t))
            && f.identity.is_none()
            && spec.given() == 0.0
            && float_exact(spec, &products, column.max(1.0) * row.max(least));
        let bound = if exact {
            0.0
        } else {
            let vertical = range * float_sum_error(&f.column);
            let error = match order {
                RowOrder::Folded => folded_sum_error(&f.row),
                _ => float_sum_error(
                    &order.taps(f.row.len()).iter().map(|&i| f.row[i]).collect::<Vec<_>>(),
                ),
            };
            let horizontal = range * column * error;
            // The image's tap, its product, and that it is added.
            let own = match f.identity {
                Some(_) => range * float_sum_error(&[image]) + U * value,
                None => 0.0,
            };
            // Offset and the ½ of rounding.
            vertical * row * (1.0 + 1e-4)
                + horizontal
                + own
                + 2.0 * U * value
                + spec.carried(column * row + image.abs())
        };
        bounds.push((bound + f.residual, value));
        let taps = |v: &[f64]| Taps::F32(v.iter().map(|&t| t as f32).collect());
        let (column, row) = if rows_first { (&f.row, &f.column) } else { (&f.column, &f.row) };
        let column = Rows::single(taps(column));
        passes.push(Passes { column, row: taps(row), start: 0, shift: 0, order });
    }
    let mut arithmetic = spec.arithmetic(spec.float_arithmetic(), 0.0);
    arithmetic.bound = spec.after_post(bounds.into_iter());
    if let ([f], true) = (factors, arithmetic.bound > 0.0) {
        let taps = [&f.column, &f.row].map(|taps| noise::single(taps));
        let (gain, squares) =
            noise::of_product((&f.column, &f.row), (&taps[0], 1.0), (&taps[1], 1.0));
        // What the image's tap is rounded by, and two roundings more.
        let (image, more) = f.identity.map_or((0.0, 0), |(times, _)| (times, 2));
        let off = f64::from(image as f32) - image;
        let (gain, squares) = (gain + off, (squares.sqrt() + off.abs()).powi(2));
        let value = range * (abs_sum(&f.column) * abs_sum(&f.row) + image.abs());
        let variance = noise::roundings(f.column.len() + f.row.len() + more, value);
        arithmetic.noise = Noise::new(gain, squares, (0.0, range), (0.0, variance));
    }
    Some((arithmetic, passes, spec.finish()))
}

/// Two passes for a `product` whose sums the image is added to, `identity` times, both before the filter's scale.
pub(crate) fn float_with_identity(
    spec: &Spec<'_>,
    product: &Kernel,
    identity: f64,
) -> Option<Choice> {
    let separation = Separation::of(product);
    let mut f = factors(spec, slice::from_ref(&separation)).pop()?;
    let times = identity * spec.filter.get_scale();
    f.identity = Some((times, product.anchor()));
    let (proved, mut passes, finish) = float(spec, &[f])?;
    let taps = Taps::F32(vec![times as f32]);
    Some((Pass::WithIdentity(passes.pop()?, taps), proved, finish))
}

/// Integer taps too large for cheaper arithmetic.
pub(super) fn exact_i32(spec: &Spec<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let mut finish = spec.finish();
    let mut passes = Vec::new();
    let mut arithmetic = spec.arithmetic(Arithmetic::I32, 0.0);
    let mut bounds = Vec::new();
    for (kernel, f) in factors.iter().enumerate() {
        let row: Vec<f64> = f.written.1.iter().map(|t| t * spec.filter.get_scale()).collect();
        let ((column_bits, c), (row_bits, r)) = (whole(f.written.0)?, whole(&row)?);
        let shift = column_bits + row_bits;
        let scratch = spec.range() * abs_sum(&c);
        let (fixed, error, peak) = fixed(spec, shift, scratch.max(1.0) * abs_sum(&r).max(1.0))?;
        finish.fixed[kernel] = fixed;
        arithmetic.peak = arithmetic.peak.max(peak);
        arithmetic.bits = (column_bits, shift);
        let value = scratch * abs_sum(&r);
        bounds.push((error + f.residual, value));
        let taps = |v: &[f64]| Taps::I32(to_i32(v));
        let column = Rows::single(taps(&c));
        passes.push(Passes { column, row: taps(&r), start: 0, shift: 0, order: RowOrder::InOrder });
    }
    arithmetic.bound = spec.after_post(bounds.into_iter());
    spec.accepts(arithmetic.bound).then_some((arithmetic, passes, finish))
}

/// What `f64` sums of at most `value` are off by, after they have been rounded to `f32`.
pub(super) fn double_bound(spec: &Spec<'_>, taps: usize, value: f64) -> f64 {
    // Sums of whole numbers are whole; as `f32` they are exact or saturate.
    if spec.must_be_exact() && spec.offset().fract() == 0.0 && value < 2f64.powi(53) {
        return 0.0;
    }
    // Integer samples saturate long before `f32` gets coarse.
    let most = spec.range().max(65_536.0) * 2.0;
    let shown = if spec.float_output() { value } else { value.min(most) };
    shown * U + value * (taps as f64 + 4.0) * 2f64.powi(-53) + spec.carried(value / spec.range())
}

/// Two passes for taps that nothing cheaper can take.
pub(super) fn double(spec: &Spec<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let mut passes = Vec::new();
    let mut bounds = Vec::new();
    for f in factors {
        // As they came: whole numbers stay whole.
        let row: Vec<f64> = f.written.1.iter().map(|t| t * spec.filter.get_scale()).collect();
        let value = spec.range() * abs_sum(f.written.0) * abs_sum(&row) + spec.offset().abs() + 1.0;
        let bound = double_bound(spec, f.column.len() + f.row.len(), value);
        bounds.push((bound + f.residual, value.min(131_072.0)));
        let column = Rows::single(Taps::F64(f.written.0.to_vec()));
        passes.push(Passes {
            column,
            row: Taps::F64(row),
            start: 0,
            shift: 0,
            order: RowOrder::InOrder,
        });
    }
    let bound = spec.after_post(bounds.into_iter());
    let found = (spec.arithmetic(Arithmetic::F64, bound), passes, spec.finish());
    spec.accepts(bound).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::{RowOrder, U, float_sum_error, folded_sum_error};

    /// What is proved of a row of floats against interval arithmetic of the operations that the pass does, in its
    /// order: each interval holds all values that may occur for samples from −1 to 1.
    #[test]
    fn bounds_hold_what_intervals_hold() {
        /// A sum, exactly and as computed, for the samples that make it most.
        #[derive(Clone, Copy)]
        struct Most {
            exact: f64,
            computed: f64,
        }
        let up = |v: f64| v + v.abs() * U;
        let wave = |i: usize| (i as f64 * 0.37).sin() + 0.2;
        for count in 1..=70usize {
            for symmetric in [false, true] {
                let at = |i: usize| if symmetric { i.min(count - 1 - i) } else { i };
                let taps: Vec<f64> = (0..count).map(|i| wave(at(i))).collect();
                let rounded: Vec<f32> = taps.iter().map(|&t| t as f32).collect();
                for step in 1..=4 {
                    for fused in [None, Some(8), Some(16)] {
                        let order = RowOrder::of(&rounded, step, fused);
                        let sequence = order.taps(count);
                        let mut all = sequence.clone();
                        all.sort_unstable();
                        assert!(all.into_iter().eq(0..count), "{order:?} of {count}");
                        let mut sum = Most { exact: 0.0, computed: 0.0 };
                        let folds = order == RowOrder::Folded;
                        for (k, group) in sequence.chunks(if folds { 2 } else { 1 }).enumerate() {
                            let exact: f64 = group.iter().map(|&i| taps[i].abs()).sum();
                            // Two samples are added, and the sum is rounded.
                            let samples = if group.len() == 2 { up(2.0) } else { 1.0 };
                            let tap = f64::from(rounded[group[0]]).abs();
                            let product = up(samples * tap.max(taps[group[0]].abs()));
                            sum.exact += exact;
                            sum.computed += product;
                            if k > 0 {
                                sum.computed = up(sum.computed);
                            }
                        }
                        let bound = match order {
                            RowOrder::Folded => folded_sum_error(&taps),
                            _ => {
                                let ordered = sequence.iter().map(|&i| taps[i]);
                                float_sum_error(&ordered.collect::<Vec<_>>())
                            }
                        };
                        let off = sum.computed - sum.exact;
                        assert!(off <= bound, "{order:?} of {count}: {off:e}, proved {bound:e}");
                        assert!(
                            bound <= 1e-15 + 4.0 * off,
                            "{order:?} of {count}: {bound:e} is no bound"
                        );
                    }
                }
            }
        }
    }
}
