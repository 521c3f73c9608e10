//! Direct 2D passes, in every arithmetic.

use super::{
    Arithmetic, Noise, Proved, Rows, Task, U, abs_sum, double_bound, errors, exact_f32, fits_i16,
    fixed, float_exact, float_sum_error, fraction_bits, largest, noise, pack, quantise, to_i32,
    words,
};
use crate::pass::{Finish, Taps};
use crate::sample::SampleType;

/// Chooses the arithmetic of a direct 2D pass. The taps come as the dense pass wants them: for
/// each kernel, row by row, or pair of rows by pair of rows.
pub(crate) fn dense(task: &Task<'_>) -> Option<(Proved, Vec<Rows>, Finish)> {
    let scale = task.filter.get_scale();
    let kernels: Vec<(usize, Vec<f64>)> = task
        .filter
        .kernels()
        .iter()
        .map(|k| (k.width(), k.taps().iter().map(|t| t * scale).collect()))
        .collect();
    let integer = |paired: bool| {
        let arithmetic = if paired { Arithmetic::I16Pairs } else { Arithmetic::I32 };
        let mut finish = task.finish();
        let mut arithmetic = task.arithmetic(arithmetic, 0.0);
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
                if hopeless || !fits || task.range() * least >= 2f64.powi(31) {
                    return None;
                }
                // The error of taps that are rounded to the nearest: to keep their sum adds to it, and so do
                // fewer bits.
                let unit = 2f64.powi(bits);
                let each = |t: &f64| (t * unit - (t * unit).round()).abs() / unit;
                let bound = task.range() / 2.0 * taps.iter().map(each).sum::<f64>();
                hopeless = if task.float_output() { bound > 0.0 } else { bound >= 1.0 };
                if hopeless {
                    return None;
                }
                let q = quantise(taps, bits);
                if paired && !fits_i16(&q) {
                    return None;
                }
                let peak = task.range() * abs_sum(&q);
                let (fixed, error, peak) = fixed(task, bits as u32, peak.max(abs_sum(&q)))?;
                let (each, sum) = errors(taps, &q, bits);
                Some((q, fixed, peak, task.range() / 2.0 * (each + sum) + error))
            })?;
            arithmetic.peak = arithmetic.peak.max(peak);
            arithmetic.bits = (0, fixed.shift);
            finish.fixed[kernel] = fixed;
            arithmetic.noise =
                noise::of_taps(taps, &q, f64::from(fixed.shift).exp2(), (0.0, task.range()));
            bounds.push((bound, task.range() * abs_sum(taps)));
            all.push((q, *width));
        }
        arithmetic.bound = task.after_post(bounds.into_iter());
        let good = if task.float_output() {
            arithmetic.bound == 0.0 && arithmetic.peak < 2f64.powi(24)
        } else {
            task.takes(&arithmetic)
        };
        let pack = |(q, width): &(Vec<f64>, usize)| {
            if paired { Rows::paired(q, *width) } else { Rows::single(Taps::I32(to_i32(q))) }
        };
        good.then(|| (arithmetic, all.iter().map(pack).collect(), finish))
    };
    let whole = !task.float_source() && !task.prepared();
    if task.source == SampleType::U8 && whole {
        let found = words::dense(task, &kernels)
            .or_else(|| words::dense_multiples(task, &kernels))
            .or_else(|| words::nine(task, &kernels))
            .or_else(|| integer(true));
        if found.is_some() {
            return found;
        }
    }
    let float = if task.precise { None } else { dense_float(task, &kernels) };
    if float.as_ref().is_some_and(|(a, ..)| task.takes(a)) {
        return float;
    }
    let exact = if whole { integer(false) } else { None };
    exact.or_else(|| {
        let mut all = Vec::new();
        let mut bounds = Vec::new();
        for (_, taps) in &kernels {
            let value = task.range() * abs_sum(taps) + task.offset().abs() + 1.0;
            bounds.push((double_bound(task, taps.len(), value), value.min(131_072.0)));
            all.push(Rows::single(Taps::F64(taps.clone())));
        }
        let bound = task.after_post(bounds.into_iter());
        let found = (task.arithmetic(Arithmetic::F64, bound), all, task.finish());
        task.accepts(bound).then_some(found)
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
    task: &Task<'_>,
    kernels: &[(usize, Vec<f64>)],
) -> Option<(Proved, Vec<Rows>, Finish)> {
    let range = task.range();
    let mut all = Vec::new();
    let mut bounds = Vec::new();
    for (width, taps) in kernels {
        let sum = abs_sum(taps);
        let value = range * sum + task.offset().abs() + 1.0;
        if value > 1e30 {
            return None;
        }
        let bound = if task.given() == 0.0
            && taps.iter().all(|t| exact_f32(*t))
            && float_exact(task, taps, sum)
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
            range * (inner + outer * (1.0 + 1e-4)) + 2.0 * U * value + task.carried(sum)
        };
        bounds.push((bound, value));
        all.push(Rows::single(Taps::F32(taps.iter().map(|&t| t as f32).collect())));
    }
    let mut arithmetic = task.arithmetic(task.float_arithmetic(), 0.0);
    arithmetic.bound = task.after_post(bounds.into_iter());
    if let ([(_, taps)], true) = (kernels, arithmetic.bound > 0.0) {
        let (gain, squares) = noise::errors_and_squares(taps, &noise::single(taps), 1.0);
        let variance = noise::roundings(taps.len(), range * abs_sum(taps));
        arithmetic.noise = Noise::new(gain, squares, (0.0, range), (0.0, variance));
    }
    Some((arithmetic, all, task.finish()))
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
