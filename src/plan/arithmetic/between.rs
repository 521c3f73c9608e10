//! Filters in a chain of `u8` images: rows between them are 16-bit integers with fraction bits,
//! sums are exact in `i32`. Each filter is written in units of its rows: scale, offset and border
//! constants are those of an ordinary filter from 16-bit samples to 16-bit samples.

use super::{
    Arithmetic, Found, Passes, Rows, Rung, Task, abs_sum, errors, fits_i16, fixed, pack,
    pairs_exact, pairs_rounded, quantise, spread,
};
use crate::kernel::{Kernel, Separation};
use crate::pass::{Finish, Taps};
use crate::plan::Work;

/// Two passes, or a direct one, on samples from `samples.0` ≤ 0 to `samples.1` ≥ 0; `None` if sums
/// do not fit. The bound is that of one filter alone, on exact samples.
pub(crate) fn between(
    task: &Task<'_>,
    separations: Option<&[Separation]>,
    samples: (f64, f64),
) -> Option<(Work, Arithmetic, Finish)> {
    match separations {
        Some(separations) => separable(task, separations, samples),
        None => dense(task, samples),
    }
}

/// The largest magnitude.
fn largest((low, high): (f64, f64)) -> f64 {
    high.max(-low)
}

fn separable(
    task: &Task<'_>,
    separations: &[Separation],
    samples: (f64, f64),
) -> Option<(Work, Arithmetic, Finish)> {
    let mut finish = task.finish();
    let mut passes = Vec::new();
    let mut arithmetic = task.arithmetic(Rung::Pairs, 0.0);
    let mut bounds = Vec::new();
    let scale = task.filter.get_scale();
    for (kernel, s) in separations.iter().enumerate() {
        let term = &s.terms()[0];
        // The column's taps sum to between ½ and 1: its sums are no larger than the samples.
        let sum = abs_sum(&term.column);
        let power = if sum > 0.0 { sum.log2().ceil().exp2() } else { 1.0 };
        let times = |v: &[f64], factor: f64| v.iter().map(|t| t * factor).collect::<Vec<_>>();
        let (column, row) = (times(&term.column, 1.0 / power), times(&term.row, scale * power));
        let residual = s.residual(1) * scale.abs() * largest(samples);
        let found = pairs_exact(task, samples, &term.column, &times(&term.row, scale))
            .filter(|_| residual == 0.0)
            .or_else(|| pairs_rounded(task, samples, &column, &row))?;
        let Found { taps: [column_taps, row_taps], start, shift, fixed, bits, peak, bound } = found;
        finish.fixed[kernel] = fixed;
        let row_taps = Taps::Integer(pack(&row_taps));
        passes.push(Passes { column: Rows::paired(&column_taps, 1), row: row_taps, start, shift });
        arithmetic.bits = bits;
        arithmetic.peak = arithmetic.peak.max(peak);
        bounds.push((bound + residual, largest(samples) * abs_sum(&column) * abs_sum(&row)));
    }
    arithmetic.bound = task.after_post(bounds.into_iter());
    Some((Work::Separable(passes), arithmetic, finish))
}

fn dense(task: &Task<'_>, samples: (f64, f64)) -> Option<(Work, Arithmetic, Finish)> {
    let mut finish = task.finish();
    let mut all = Vec::new();
    let mut arithmetic = task.arithmetic(Rung::Pairs, 0.0);
    let mut bounds = Vec::new();
    for (kernel, k) in task.filter.kernels().iter().enumerate() {
        let taps: Vec<f64> = k.taps().iter().map(|t| t * task.filter.get_scale()).collect();
        let (q, fixed, peak, bound) = (0..=30).rev().find_map(|bits| {
            let q = quantise(&taps, bits);
            if !fits_i16(&q) {
                return None;
            }
            let peak = largest(samples) * abs_sum(&q);
            let (fixed, error, peak) = fixed(task, bits as u32, peak.max(abs_sum(&q)))?;
            Some((q.clone(), fixed, peak, spread(samples, errors(&taps, &q, bits)) + error))
        })?;
        arithmetic.peak = arithmetic.peak.max(peak);
        arithmetic.bits = (0, fixed.shift);
        finish.fixed[kernel] = fixed;
        bounds.push((bound, largest(samples) * abs_sum(&taps)));
        all.push(Rows::paired(&q, k.width()));
    }
    arithmetic.bound = task.after_post(bounds.into_iter());
    Some((Work::Dense(all), arithmetic, finish))
}

/// The range of a kernel's sums on samples of a range.
pub(crate) fn sums(kernel: &Kernel, scale: f64, (low, high): (f64, f64)) -> (f64, f64) {
    let (mut least, mut most) = (0.0, 0.0);
    for t in kernel.taps() {
        let t = t * scale;
        least += (t * low).min(t * high);
        most += (t * low).max(t * high);
    }
    (least, most)
}
