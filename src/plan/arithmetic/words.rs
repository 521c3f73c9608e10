//! The cheapest arithmetic: integer taps and sums that fit into 16 bits, of `u8` samples or rows between filters of them.
//!
//! Integers may wrap: additions and multiplications modulo 2¹⁶ give the right sum as long as that
//! one fits. So only the range of results counts, not that of what is added up on the way.

use super::noise::{Noise, common_divisor, errors_and_squares, parts, rounded_mean, rounds_right};
use super::{
    Arithmetic, Factors, Passes, Proved, Rows, Separable, Spec, abs_sum, errors, errors_of,
    fits_i16, quantise, whole,
};
use crate::filter::Post;
use crate::kernel::Kernel;
use crate::pass::{Finish, Fixed, ROUNDED_BITS, RowOrder, Share, Taps};
use crate::sample::SampleType;

/// Σ of the positive values and −Σ of the negative ones.
pub(super) fn halves(v: &[f64]) -> (f64, f64) {
    let positive = v.iter().filter(|t| **t > 0.0).sum();
    let negative: f64 = v.iter().filter(|t| **t < 0.0).sum();
    (positive, -negative)
}

/// The range of sums with column·row.
pub(super) fn range(spec: &Spec<'_>, column: &[f64], row: &[f64]) -> (f64, f64) {
    let ((cp, cn), (rp, rn)) = (halves(column), halves(row));
    let (plus, minus) = (cp * rp + cn * rn, cp * rn + cn * rp);
    let (low, high) = spec.samples();
    (low * plus - high * minus, high * plus - low * minus)
}

/// The taps of all kernels times the scale, row by row, and how many a row has.
pub(super) fn written(spec: &Spec<'_>) -> Vec<(usize, Vec<f64>)> {
    let scale = spec.filter.get_scale();
    let scaled = |k: &Kernel| k.taps().iter().map(|t| t * scale).collect();
    spec.filter.kernels().iter().map(|k| (k.width(), scaled(k))).collect()
}

pub(super) fn taps(q: &[f64]) -> Taps {
    Taps::I16(q.iter().map(|&t| t as i16).collect())
}

/// The finish of sums between `low` and `high` that start with `start`; `None` if they do not fit.
pub(super) fn fixed(spec: &Spec<'_>, shift: u32, start: f64, low: f64, high: f64) -> Option<Fixed> {
    let (low, high) = (low + start, high + start);
    let half = f64::from(shift).exp2() / 2.0;
    let signed = match spec.post() {
        Post::None => low >= -32768.0 && high <= 32767.0,
        Post::Abs => low - half >= -32767.0 && high + half <= 32767.0,
        // The results of both kernels are whole, and so may be squared and added; of rows they are parts of levels,
        // which the root is multiplied by.
        Post::Magnitude => (shift == 0 || rows(spec)) && low >= -32767.0 && high <= 32767.0,
    };
    // A result without a sign must have one place for it before it is stored.
    let unsigned = spec.post() == Post::None && low >= 0.0 && high <= 65535.0 && shift > 0;
    let unit = (-f64::from(shift)).exp2() as f32;
    // A product's high half is rounded: then there is no ½ to start with.
    let factor = signed && spec.post() == Post::None && shift > 0 && low - half >= -32768.0;
    let (start, factor) = if factor { (start - half, 1 << (15 - shift)) } else { (start, 0) };
    // Modulo 2¹⁶.
    let start = start as i32;
    let fixed = Fixed { shift, start, unsigned: !signed, unit, factor, divides: false };
    (signed || unsigned).then_some(fixed)
}

/// Whether images, and results, are of the types that this arithmetic is for.
fn suits(spec: &Spec<'_>) -> bool {
    matches!(spec.source, SampleType::U8 | SampleType::I16)
        && matches!(spec.output, SampleType::U8 | SampleType::I16)
        && !spec.premultiplied
        && (spec.post() != Post::Magnitude || spec.offset() == 0.0)
}

/// The same for what only images of bytes have.
pub(super) fn of_bytes(spec: &Spec<'_>) -> bool {
    suits(spec) && !rows(spec)
}

/// Whether it reads rows between filters.
fn rows(spec: &Spec<'_>) -> bool {
    spec.source == SampleType::I16
}

/// What whole sums that come from rows, or become such, are off by on the whole, in units of results: halves go upwards, and
/// their start was rounded down. Samples that are made of samples are correctly rounded nevertheless.
fn started(spec: &Spec<'_>, shift: u32, start: f64) -> Noise {
    let unit = f64::from(shift).exp2();
    let mean = match spec.post() {
        _ if !spec.chained => 0.0,
        Post::None => (start - (spec.offset() + 0.5) * unit + 0.5) / unit,
        Post::Abs if shift > 0 => 0.5 / unit,
        _ => 0.0,
    };
    Noise::new(0.0, 0.0, (0.0, 0.0), (mean, 0.0))
}

/// What whole sums with `shift` fraction bits start with, if that is a whole number.
fn whole_start(spec: &Spec<'_>, shift: u32) -> Option<f64> {
    let unit = f64::from(shift).exp2();
    match spec.post() {
        // floor((S + (offset + ½)·2^s) / 2^s) is right whatever follows the point.
        Post::None => Some(((spec.offset() + 0.5) * unit).floor()),
        Post::Abs => Some(spec.offset() * unit).filter(|start| start.fract() == 0.0),
        Post::Magnitude => Some(0.0),
    }
}

/// Two passes in whole numbers, exact but for the root of a magnitude.
pub(super) fn exact(spec: &Spec<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    if !suits(spec) {
        return None;
    }
    let mut finish = spec.finish();
    let mut passes = Vec::new();
    let mut arithmetic = spec.arithmetic(Arithmetic::I16, 0.0);
    let mut bounds = Vec::new();
    for (kernel, f) in factors.iter().enumerate() {
        let row: Vec<f64> = f.written.1.iter().map(|t| t * spec.filter.get_scale()).collect();
        let ((column_bits, c), (row_bits, mut r)) = (whole(f.written.0)?, whole(&row)?);
        let mut shift = column_bits + row_bits;
        // What the shift would take away anyway: the scale may have multiplied all taps of the row.
        while shift > 0 && r.iter().all(|t| t % 2.0 == 0.0) {
            r.iter_mut().for_each(|t| *t /= 2.0);
            shift -= 1;
        }
        if f.residual != 0.0 || !fits_i16(&c) || !fits_i16(&r) || shift > 15 {
            return None;
        }
        let (low, high) = range(spec, &c, &r);
        let start = whole_start(spec, shift)?;
        finish.fixed[kernel] = fixed(spec, shift, start, low, high)?;
        arithmetic.noise = started(spec, shift, start);
        arithmetic.bits = (column_bits, shift);
        arithmetic.peak = arithmetic.peak.max(high - low);
        let column = Rows::single(taps(&c));
        passes.push(Passes { column, row: taps(&r), start: 0, shift: 0, order: RowOrder::InOrder });
        bounds.push((0.0, high.max(-low)));
    }
    arithmetic.bound = spec.after_post(bounds.into_iter());
    alike(&finish).then_some((arithmetic, passes, finish))
}

/// Whether the sums of a magnitude's kernels have one unit, which their root is multiplied by.
fn alike(finish: &Finish) -> bool {
    finish.post != Post::Magnitude || finish.fixed[0].shift == finish.fixed[1].shift
}

/// A number that all of `v` are whole multiples of, but for what `f64` rounds, and the multiples: the least of
/// them in magnitude, or a small part of it.
pub(super) fn multiples_of(v: &[f64]) -> Option<(f64, Vec<f64>)> {
    let least = v.iter().map(|t| t.abs()).filter(|t| *t > 0.0).fold(f64::INFINITY, f64::min);
    if !least.is_finite() {
        return None;
    }
    let units = (1..=MOST_PARTS).map(|part| least / f64::from(part));
    let near = |t: &f64, unit: f64| ((t / unit).round() * unit - t).abs() <= 1e-12 * t.abs();
    let unit = units.into_iter().find(|&unit| v.iter().all(|t| near(t, unit)))?;
    Some((unit, v.iter().map(|t| (t / unit).round()).collect()))
}

/// Parts of the least tap that [`multiples_of`] tries.
const MOST_PARTS: u32 = 4;

/// Whether sums of whole numbers may be multiplied by what taps have in common.
fn may_divide(spec: &Spec<'_>) -> bool {
    suits(spec) && spec.post() == Post::None && spec.offset() == 0.0 && !spec.must_be_exact()
}

/// Two passes in whole numbers whose sum is multiplied by what the taps have in common, such as
/// the ninth of a box of 3×3: one rounding, of the result.
pub(super) fn multiples(spec: &Spec<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let [f] = factors else { return None };
    if !may_divide(spec) {
        return None;
    }
    let ((column_unit, c), (row_unit, r)) = (multiples_of(&f.column)?, multiples_of(&f.row)?);
    if !fits_i16(&c) || !fits_i16(&r) {
        return None;
    }
    let (column_each, _) = errors_of(&f.column, &c, 1.0 / column_unit);
    let (row_each, _) = errors_of(&f.row, &r, 1.0 / row_unit);
    let taps_error = spec.full() * (column_each * abs_sum(&f.row) + row_each * abs_sum(&f.column));
    let (unit, sum) = (column_unit * row_unit, c.iter().sum::<f64>() * r.iter().sum::<f64>());
    let sums = (range(spec, &c, &r), sum);
    let (fixed, arithmetic) = divided(spec, unit, sums, taps_error + f.residual)?;
    let finish = Finish { fixed: [fixed, Fixed::default()], ..spec.finish() };
    let column = Rows::single(taps(&c));
    let pass = Passes { column, row: taps(&r), start: 0, shift: 0, order: RowOrder::InOrder };
    Some((arithmetic, vec![pass], finish))
}

/// The same in one direct pass.
pub(super) fn dense_multiples(
    spec: &Spec<'_>,
    kernels: &[(usize, Vec<f64>)],
) -> Option<(Proved, Vec<Rows>, Finish)> {
    let [(_, written)] = kernels else { return None };
    if !may_divide(spec) {
        return None;
    }
    let (unit, q) = multiples_of(written)?;
    if !fits_i16(&q) {
        return None;
    }
    let (each, _) = errors_of(written, &q, 1.0 / unit);
    let sums = (range(spec, &q, &[1.0]), q.iter().sum());
    let (fixed, arithmetic) = divided(spec, unit, sums, spec.full() * each)?;
    let finish = Finish { fixed: [fixed, Fixed::default()], ..spec.finish() };
    Some((arithmetic, vec![Rows::single(taps(&q))], finish))
}

/// The finish of whole sums between `low` and `high`, with taps of such a `sum`, each of which counts for `unit`, where
/// taps were off by so much. One rounded multiplication if that is right; else, at a little more cost, a division, which is off by
/// less and never too low.
fn divided(
    spec: &Spec<'_>,
    unit: f64,
    ((low, high), sum): ((f64, f64), f64),
    taps_error: f64,
) -> Option<(Fixed, Proved)> {
    let count = (1.0 / unit).round();
    let even = (unit * count - 1.0).abs() <= 1e-12;
    let parts = if even { Some(count as u32) } else { parts(&[unit]) };
    // What is below 0 does not show in samples without a sign.
    let below = if spec.output == SampleType::U8 { 0.0 } else { low };
    // `start` is added to a sum, which is off by `more` for that.
    let accepted = |fixed: Fixed, effective: f64, start: f64, more: f64| {
        let errors = [below, high].map(|end| (effective - unit) * end + more);
        let (least, most) = (errors[0].min(errors[1]), errors[0].max(errors[1]));
        let right = parts.is_some_and(|m| rounds_right(m, least, most));
        let noise = Noise::new((effective - unit) * sum, 0.0, spec.samples(), (more, 0.0));
        let fits = low + start >= -32768.0 && high + start <= 32767.0;
        let mut arithmetic = spec.arithmetic(Arithmetic::I16, most.max(-least) + taps_error);
        arithmetic.peak = high - low;
        arithmetic.noise = match parts {
            // Correctly rounded, halves upwards: of samples that is exact, of rows half a part too much.
            Some(m) if right => {
                let up = if rows(spec) && m % 2 == 0 { 0.5 / f64::from(m) } else { 0.0 };
                Noise::new(0.0, 0.0, (0.0, 0.0), (up, 0.0))
            }
            _ => noise,
        };
        let good = fits && arithmetic.is_fair(spec) && spec.accepts(arithmetic.bound);
        good.then_some((fixed, arithmetic, right))
    };
    let factor = (unit * 32768.0).round();
    let once = Fixed { factor: factor as i16, ..Fixed::default() };
    // A factor of 0 would mean that there is none.
    let multiplied = (1.0..=32767.0).contains(&factor);
    let multiplied = multiplied.then(|| accepted(once, factor / 32768.0, 0.0, 0.0)).flatten();
    if let Some((fixed, arithmetic, true)) = multiplied {
        return Some((fixed, arithmetic));
    }
    // As many bits of the factor as there are.
    let shift = (0..=15).rev().find(|&s| (unit * f64::from(16 + s).exp2()).ceil() <= 32767.0)?;
    let whole = f64::from(16 + shift).exp2();
    let factor = (unit * whole).ceil();
    let (start, more) = if even {
        // Half of an odd number is as good as the whole number below it.
        ((count / 2.0).floor(), 0.0)
    } else {
        let start = (0.5 / unit).round();
        (start, start * unit - 0.5)
    };
    let (factor, start_i32) = (factor as i16, start as i32);
    let division = Fixed { factor, shift, start: start_i32, divides: true, ..Fixed::default() };
    let divided = accepted(division, f64::from(factor) / whole, start, more);
    divided.or(multiplied).map(|(fixed, arithmetic, _)| (fixed, arithmetic))
}

/// A direct 2D pass in whole numbers, exact but for the root of a magnitude.
pub(super) fn dense(
    spec: &Spec<'_>,
    kernels: &[(usize, Vec<f64>)],
) -> Option<(Proved, Vec<Rows>, Finish)> {
    if !suits(spec) {
        return None;
    }
    let mut finish = spec.finish();
    let mut all = Vec::new();
    let mut arithmetic = spec.arithmetic(Arithmetic::I16, 0.0);
    let mut bounds = Vec::new();
    for (kernel, (_, written)) in kernels.iter().enumerate() {
        let (shift, q) = whole(written)?;
        if !fits_i16(&q) || shift > 15 {
            return None;
        }
        let (low, high) = range(spec, &q, &[1.0]);
        let start = whole_start(spec, shift)?;
        finish.fixed[kernel] = fixed(spec, shift, start, low, high)?;
        arithmetic.noise = started(spec, shift, start);
        arithmetic.bits = (0, shift);
        arithmetic.peak = arithmetic.peak.max(high - low);
        all.push(Rows::single(taps(&q)));
        bounds.push((0.0, high.max(-low)));
    }
    arithmetic.bound = spec.after_post(bounds.into_iter());
    alike(&finish).then_some((arithmetic, all, finish))
}

/// A direct pass of 3×3 taps, whatever they are, with rounded products.
pub(super) fn nine(
    spec: &Spec<'_>,
    kernels: &[(usize, Vec<f64>)],
) -> Option<(Proved, Vec<Rows>, Finish)> {
    let [(3, written)] = kernels else { return None };
    let suitable = of_bytes(spec) && spec.post() != Post::Magnitude && !spec.must_be_exact();
    if !suitable || written.len() != 9 {
        return None;
    }
    let (low, high) = range(spec, written, &[1.0]);
    // As many fraction bits as fit.
    (1..=14).rev().find_map(|bits| {
        let unit = f64::from(bits).exp2();
        let tap_bits = (bits + ROUNDED_BITS) as i32;
        let t = quantise(written, tap_bits);
        if !fits_i16(&t) {
            return None;
        }
        let (each, sum) = errors(written, &t, tap_bits);
        // Products lose 0 to 255/256 when they are rounded down, those with multiples of a power of 2 less. Half
        // of that comes back with the start, and so does what is taken from samples.
        let whole = f64::from(ROUNDED_BITS).exp2();
        let lost: f64 = t.iter().map(|t| 1.0 - common_divisor(&[*t, whole]) / whole).sum();
        let none = spec.post() == Post::None;
        // Halves are rounded up, which on the whole is half a unit too much.
        let (half, up) = if none { (0.5, 0.5) } else { (0.0, 0.0) };
        let shown = (spec.offset() + half) * unit;
        let start = shown + t.iter().sum::<f64>() * 128.0 / whole + lost / 2.0 - up;
        let rounding = (lost / 2.0 + (start.round() - start).abs() + up) / unit;
        let bound = 127.5 * (each + sum) + rounding;
        // What was taken is added modulo 2¹⁶.
        let mut fixed = fixed(spec, bits, shown, (low - bound) * unit, (high + bound) * unit)?;
        let half = if fixed.factor != 0 { unit / 2.0 } else { 0.0 };
        fixed.start = (start - half).round() as i32;
        let mut arithmetic = spec.arithmetic(Arithmetic::I16Rounded, bound);
        let (gain, squares) = errors_and_squares(written, &t, f64::from(tap_bits).exp2());
        let rounded = ((start.round() - start) / unit, lost / 12.0 / unit / unit);
        arithmetic.noise = Noise::new(gain, squares, (0.0, 255.0), rounded);
        let good = bound < 1.0
            && arithmetic.is_fair(spec)
            && (!spec.keeps_constants() || 255.0 * sum + rounding < 0.5);
        arithmetic.bits = (0, bits);
        arithmetic.peak = (high - low + 2.0 * bound) * unit;
        let finish = Finish { fixed: [fixed, Fixed::default()], ..spec.finish() };
        good.then_some((arithmetic, vec![Rows::single(taps(&t))], finish))
    })
}

/// Running sums of `u8` samples, whose taps are all `mean` but for `spread` in sum.
pub(super) fn running(
    spec: &Spec<'_>,
    kernel: &Kernel,
    mean: f64,
    spread: f64,
) -> Option<(Share, Proved)> {
    let (width, height) = (kernel.width() as f64, kernel.height() as f64);
    let tap = mean * spec.filter.get_scale();
    let plain = spec.post() == Post::None && spec.offset() == 0.0 && tap > 0.0;
    if !of_bytes(spec) || spec.must_be_exact() || !plain || 255.0 * height > 65535.0 {
        return None;
    }
    let count = kernel.taps().len();
    let mean_of_all = (tap * count as f64 - 1.0).abs() <= 1e-12;
    if let Some(share) = u32::try_from(count).ok().and_then(Share::whole).filter(|_| mean_of_all) {
        // Of an odd count no mean lies in the middle between two numbers, so that what `f64` rounds of a tap
        // does not show; nor is anything rounded of 2^−n.
        let same = spread == 0.0 && tap * count as f64 == 1.0;
        let right = !count.is_multiple_of(2) || (count.is_power_of_two() && same);
        let bound = 255.0 * (spread * spec.filter.get_scale() + 1e-12);
        let bound = if right { 0.0 } else { bound };
        let mut arithmetic = spec.arithmetic(Arithmetic::RunningI16, bound);
        arithmetic.peak = 255.5 * count as f64;
        return spec.accepts(bound).then_some((share, arithmetic));
    }
    // As many fraction bits as fit.
    (0..=8).rev().find_map(|shift| {
        let unit = f64::from(shift).exp2();
        let exact = tap * unit;
        let up = (exact * 32768.0).ceil();
        // The tap was rounded up by that factor; multiplying by it rounds once more.
        let factor = (exact * 32768.0 / up * 32768.0).round();
        let (correction, once) = if factor < 32768.0 { (factor, 1.0) } else { (0.0, 0.0) };
        let kept = if correction > 0.0 { correction / 32768.0 } else { 1.0 };
        // Every column is rounded, and the window is.
        let rounding = (width + once) / 2.0;
        let brightest = 255.0 * width * height;
        let largest = brightest * up / 32768.0 + width / 2.0;
        let corrected = largest * kept + once + unit / 2.0;
        if up > 32767.0 || largest > 65535.0 || corrected > 65535.0 {
            return None;
        }
        let tap_error = (up / 32768.0 * kept - exact).abs() * brightest;
        let bound = (tap_error + rounding) / unit + spread * spec.filter.get_scale() * 255.0;
        let mut arithmetic = spec.arithmetic(Arithmetic::RunningI16, bound);
        arithmetic.bits = (0, shift);
        arithmetic.peak = largest;
        let gain = (up / 32768.0 * kept / unit - tap) * width * height;
        // Where a shift rounds halves up, that is half a unit too much on the whole.
        let shifted = if shift > 0 { 0.5 } else { 0.0 };
        let window = if once > 0.0 { rounded_mean(correction, 15, 1.0, 0.0) } else { 0.0 };
        let mean = width * rounded_mean(up, 15, 1.0, 0.0) + window + shifted;
        let variance = (width + once) / 12.0 / unit / unit;
        arithmetic.noise = Noise::new(gain, 0.0, (0.0, 255.0), (mean / unit, variance));
        let share = Share { tap: up as i16, factor: correction as i16, half: 0, shift };
        (spec.accepts(bound) && arithmetic.is_fair(spec)).then_some((share, arithmetic))
    })
}
