//! Direct 2D passes, in every arithmetic.

use super::{
    Arithmetic, Noise, Proved, Rows, Spec, U, abs_sum, double_bound, errors, exact_f32, fits_i16,
    fixed, float_exact, float_sum_error, fraction_bits, largest, noise, pack, quantise, to_i32,
    words,
};
use crate::pass::{Finish, Taps};
use crate::sample::SampleType;

/// Chooses the arithmetic of a direct 2D pass. The taps come as the dense pass wants them: for
/// each kernel, row by row, or pair of rows by pair of rows.
pub(crate) fn dense(spec: &Spec<'_>) -> Option<(Proved, Vec<Rows>, Finish)> {
    let kernels = words::written(spec);
    let integer = |paired: bool| {
        let arithmetic = if paired { Arithmetic::I16Pairs } else { Arithmetic::I32 };
        let mut finish = spec.finish();
        let mut arithmetic = spec.arithmetic(arithmetic, 0.0);
        let mut all = Vec::new();
        let mut bounds = Vec::new();
        for (kernel, (width, taps)) in kernels.iter().enumerate() {
            let exact = fraction_bits(taps.iter().copied());
            // Exact bits first; only 16-bit taps may be rounded.
            let choices = exact.into_iter().map(|b| b as i32).chain((0..=24).rev());
            let limit = if paired { usize::MAX } else { usize::from(exact.is_some()) };
            let (total, largest) = (abs_sum(taps), largest(taps));
            let mut hopeless = false;
            let (q, fixed, peak, bound) = choices.take(limit).find_map(|bits| {
                // Rounding takes at most half a unit from each tap, and as much to keep their sum.
                let least = total * 2f64.powi(bits) - taps.len() as f64;
                let fits = !paired || largest * 2f64.powi(bits) <= 32768.5;
                if hopeless || !fits || spec.range() * least >= 2f64.powi(31) {
                    return None;
                }
                // The error of taps that are rounded to the nearest: to keep their sum adds to it, and so do
                // fewer bits.
                let unit = 2f64.powi(bits);
                let each = |t: &f64| (t * unit - (t * unit).round()).abs() / unit;
                let bound = spec.range() / 2.0 * taps.iter().map(each).sum::<f64>();
                hopeless = if spec.float_output() { bound > 0.0 } else { bound >= 1.0 };
                if hopeless {
                    return None;
                }
                let q = quantise(taps, bits);
                if paired && !fits_i16(&q) {
                    return None;
                }
                let peak = spec.range() * abs_sum(&q);
                let (fixed, error, peak) = fixed(spec, bits as u32, peak.max(abs_sum(&q)))?;
                let (each, sum) = errors(taps, &q, bits);
                Some((q, fixed, peak, spec.range() / 2.0 * (each + sum) + error))
            })?;
            arithmetic.peak = arithmetic.peak.max(peak);
            arithmetic.bits = (0, fixed.shift);
            finish.fixed[kernel] = fixed;
            arithmetic.noise =
                noise::of_taps(taps, &q, f64::from(fixed.shift).exp2(), (0.0, spec.range()));
            bounds.push((bound, spec.range() * abs_sum(taps)));
            all.push((q, *width));
        }
        arithmetic.bound = spec.after_post(bounds.into_iter());
        let good = if spec.float_output() {
            arithmetic.bound == 0.0 && arithmetic.peak < 2f64.powi(24)
        } else {
            spec.takes(&arithmetic)
        };
        let pack = |(q, width): &(Vec<f64>, usize)| {
            if paired { Rows::paired(q, *width) } else { Rows::single(Taps::I32(to_i32(q))) }
        };
        good.then(|| (arithmetic, all.iter().map(pack).collect(), finish))
    };
    let whole = !spec.float_source() && !spec.prepared();
    if spec.source == SampleType::U8 && whole {
        let found = words::dense(spec, &kernels)
            .or_else(|| words::dense_multiples(spec, &kernels))
            .or_else(|| words::nine(spec, &kernels))
            .or_else(|| integer(true));
        if found.is_some() {
            return found;
        }
    }
    let float = if spec.precise { None } else { dense_float(spec, &kernels) };
    if float.as_ref().is_some_and(|(a, ..)| spec.takes(a)) {
        return float;
    }
    let exact = if whole { integer(false) } else { None };
    exact.or_else(|| {
        let mut all = Vec::new();
        let mut bounds = Vec::new();
        for (_, taps) in &kernels {
            let value = spec.range() * abs_sum(taps) + spec.offset().abs() + 1.0;
            bounds.push((double_bound(spec, taps.len(), value), value.min(131_072.0)));
            all.push(Rows::single(Taps::F64(taps.clone())));
        }
        let bound = spec.after_post(bounds.into_iter());
        let found = (spec.arithmetic(Arithmetic::F64, bound), all, spec.finish());
        spec.accepts(bound).then_some(found)
    })
}

/// Taps of two rows at a time: for each pair of rows, the pairs (upper tap, lower tap).
pub(super) fn pack_rows(q: &[f64], width: usize) -> Vec<i32> {
    let mut packed = Vec::new();
    for rows in q.chunks(2 * width) {
        for i in 0..width {
            packed.extend(pack(&[rows[i], rows.get(width + i).copied().unwrap_or(0.0)]));
        }
    }
    packed
}

fn dense_float(
    spec: &Spec<'_>,
    kernels: &[(usize, Vec<f64>)],
) -> Option<(Proved, Vec<Rows>, Finish)> {
    let range = spec.range();
    let mut all = Vec::new();
    let mut bounds = Vec::new();
    for (width, taps) in kernels {
        let sum = abs_sum(taps);
        let value = range * sum + spec.offset().abs() + 1.0;
        if value > 1e30 {
            return None;
        }
        let bound = if spec.given() == 0.0
            && taps.iter().all(|t| exact_f32(*t))
            && float_exact(spec, taps, sum)
        {
            0.0
        } else {
            // Each row is summed alone, then the rows are.
            let rows = taps.chunks_exact(*width);
            let inner: f64 = rows.clone().map(float_sum_error).sum();
            let mut so_far = 0.0;
            let mut outer = 0.0;
            for row in rows {
                so_far += abs_sum(row);
                outer += U * so_far;
            }
            range * (inner + outer * (1.0 + 1e-4)) + 2.0 * U * value + spec.carried(sum)
        };
        bounds.push((bound, value));
        all.push(Rows::single(Taps::F32(taps.iter().map(|&t| t as f32).collect())));
    }
    let mut arithmetic = spec.arithmetic(spec.float_arithmetic(), 0.0);
    arithmetic.bound = spec.after_post(bounds.into_iter());
    if let ([(_, taps)], true) = (kernels, arithmetic.bound > 0.0) {
        let (gain, squares) = noise::errors_and_squares(taps, &noise::single(taps), 1.0);
        let variance = noise::roundings(taps.len(), range * abs_sum(taps));
        arithmetic.noise = Noise::new(gain, squares, (0.0, range), (0.0, variance));
    }
    Some((arithmetic, all, spec.finish()))
}

#[cfg(test)]
mod tests {
    use super::{pack, pack_rows};

    #[test]
    fn pairs_pack_low_first() {
        assert_eq!(pack(&[1.0, -1.0, -2.0]), vec![0xffff_0001u32 as i32, 0x0000_fffe]);
        assert_eq!(
            pack_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2),
            vec![1 | 3 << 16, 2 | 4 << 16, 5, 6]
        );
    }
}
