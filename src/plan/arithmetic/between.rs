//! Filters in a chain of `u8` images: rows between them are 16-bit integers with fraction bits.
//! Sums are exact in `i32`; of short kernels, where that is good enough, they have 16 bits too. Each
//! filter is written in units of its rows: scale, offset and border constants are those of an
//! ordinary filter from 16-bit samples to 16-bit samples.

use super::boxes::running_between;
use super::noise::{self, Noise, errors_and_squares, rounded_mean};
use super::{
    Arithmetic, Choice, PairedPasses, Passes, Proved, Rows, Spec, abs_sum, errors, factors,
    fits_i16, fixed, pack, pairs_exact, pairs_rounded, quantise, reduced, rounded, spread, stencil,
    words,
};
use crate::filter::Post;
use crate::kernel::{Kernel, Separation};
use crate::pass::{Finish, Fixed, MOST_SYMMETRIC, Nine, RowOrder, Taps};
use crate::plan::Pass;
use crate::plan::costs::direct_cost;
use crate::plan::runs;
use crate::sample::SampleType;

/// What the arithmetic of rows of 16 bits is limited to.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Taps a side of kernels whose sums may have 16 bits; of all but two passes over bytes no more than
    /// [`rounded::HIGH_TO`].
    pub short: usize,
    /// Whether all results must be whole, and exact.
    pub whole: bool,
    /// Bits that taps have more, and rows between two passes less.
    pub moved: i32,
}

/// From fast to exact: taps of products that are rounded in both passes, in one, and none.
const SHORT: [usize; 3] = [MOST_SYMMETRIC, rounded::HIGH_TO, 0];

/// The values of [`Limits::short`] that make a difference for kernels with such longer sides, from fast to exact.
pub(crate) fn shorts(sides: &[usize]) -> impl Iterator<Item = usize> {
    let next = SHORT.iter().skip(1);
    let differ = SHORT
        .iter()
        .zip(next)
        .filter(|(most, next)| sides.iter().any(|side| side <= most && side > next));
    differ.map(|(most, _)| *most).chain([0])
}

/// Two passes, or a direct one; `None` if sums do not fit. The bound is that of one filter alone, on exact samples.
pub(crate) fn between(
    spec: &Spec<'_>,
    separations: Option<&[Separation]>,
    limits: Limits,
) -> Option<Choice> {
    let good = |found: &Choice| !limits.whole || found.1.bound == 0.0;
    // Others have no pass for these sums of rows.
    if (spec.source, spec.is_nine()) == (SampleType::I16, true)
        && let Some(found) = in_words(spec, separations).filter(good)
    {
        return Some(found);
    }
    if !limits.whole
        && let Some(found) = running_between(spec)
    {
        return Some(found);
    }
    let kernel = &spec.filter.kernels()[0];
    let over_bytes = spec.source == SampleType::U8 && separations.is_some();
    let most = if over_bytes { limits.short } else { limits.short.min(rounded::HIGH_TO) };
    let short = kernel.width().max(kernel.height()) <= most
        && matches!(spec.output, SampleType::U8 | SampleType::I16);
    if short {
        let found = match spec.source {
            SampleType::U8 => in_words(spec, separations),
            _ => high(spec, separations),
        };
        if let Some(found) = found.filter(good) {
            return Some(found);
        }
    }
    match separations {
        Some(separations) => separable(spec, separations, limits.moved),
        None => {
            let runs = if spec.source == SampleType::U8 { runs::first(spec) } else { None };
            let direct = direct_cost(Arithmetic::I16Pairs) * kernel.taps().len() as f64;
            let runs = runs.filter(|(cost, (_, proved, _))| {
                *cost < direct && (!limits.whole || proved.bound == 0.0)
            });
            runs.map(|(_, found)| found).or_else(|| dense(spec))
        }
    }
}

/// The largest magnitude.
fn largest((low, high): (f64, f64)) -> f64 {
    high.max(-low)
}

/// In 16 bits: the first filter of a chain, as one alone; or 3×3 whole taps on rows of 16 bits, or multiples of what they
/// have in common.
fn in_words(spec: &Spec<'_>, separations: Option<&[Separation]>) -> Option<Choice> {
    let rows = spec.source == SampleType::I16;
    if let Some(separations) = separations {
        let factors = factors(spec, separations);
        let found = words::exact(spec, &factors);
        let found = match rows {
            true => found.or_else(|| words::multiples(spec, &factors)),
            false => found
                .or_else(|| rounded::rounded(spec, &factors))
                .or_else(|| rounded::symmetric(spec, &factors)),
        };
        let (arithmetic, passes, finish) = found?;
        let pass = stencil(spec, passes.iter().map(|passes| passes.nine(arithmetic.arithmetic)));
        return Some((pass.unwrap_or(Pass::Separable(passes)), arithmetic, finish));
    }
    let kernels = words::written(spec);
    let multiples = || rows.then(|| words::dense_multiples(spec, &kernels)).flatten();
    let (arithmetic, taps, finish) = words::dense(spec, &kernels).or_else(multiples)?;
    let pass = stencil(spec, taps.iter().map(|taps| taps.nine(arithmetic.arithmetic)));
    Some((pass.unwrap_or(Pass::Dense(taps)), arithmetic, finish))
}

/// On rows of 16 bits, with products rounded to 16 bits.
fn high(spec: &Spec<'_>, separations: Option<&[Separation]>) -> Option<Choice> {
    let samples = spec.samples();
    let (kernels, scale) = (spec.filter.kernels(), spec.filter.get_scale());
    let times = |v: &[f64], factor: f64| v.iter().map(|t| t * factor).collect::<Vec<_>>();
    let words = |q: &[f64]| q.iter().map(|&t| t as i16).collect::<Vec<_>>();
    let small = spec.is_nine();
    let Some(separations) = separations else {
        let sum = |k: &Kernel| Sum {
            values: samples,
            error: 0.0,
            gain: 1.0,
            mean: 0.0,
            noise: Noise::default(),
            taps: times(k.taps(), scale),
        };
        let sums: Vec<_> = kernels.iter().map(sum).collect();
        let (taps, arithmetic, finish) = last(spec, &sums)?;
        let taps = taps.iter().map(|q| Rows::single(Taps::I16(words(q)))).collect::<Vec<_>>();
        let nines = taps.iter().map(|taps| taps.nine(Arithmetic::I16Rounded));
        let nines: Option<Vec<_>> = nines.collect();
        let pass = nines.filter(|_| small).map_or(Pass::Dense(taps), Pass::Stencil);
        return Some((pass, arithmetic, finish));
    };
    let (mut firsts, mut sums, mut residual) = (Vec::new(), Vec::new(), 0.0);
    for s in separations {
        let term = &s.terms()[0];
        // Where one pass does both, the row comes first.
        let (one, two) = if small { (&term.row, &term.column) } else { (&term.column, &term.row) };
        // The first taps sum to between ½ and 1: their sums are no larger than the samples.
        let sum = abs_sum(one);
        let power = if sum > 0.0 { sum.log2().ceil().exp2() } else { 1.0 };
        let (one, taps) = (times(one, 1.0 / power), times(two, scale * power));
        let q = quantise(&one, 15);
        let error = spread(samples, errors(&one, &q, 15)) + one.len() as f64 / 2.0;
        let values = range(&one, samples);
        if !fits_i16(&q) || largest(values) + error > 32767.0 {
            return None;
        }
        let (off, squares) = errors_and_squares(&one, &q, 32768.0);
        let noise = Noise::new(off, squares, samples, (0.0, one.len() as f64 / 12.0));
        let mean = q.iter().map(|t| rounded_mean(*t, 15, 1.0, 0.0)).sum();
        firsts.push(words(&q));
        sums.push(Sum { values, error, gain: one.iter().sum(), mean, noise, taps });
        residual += s.residual(1) * scale.abs() * largest(samples);
    }
    let (taps, mut arithmetic, finish) = last(spec, &sums)?;
    arithmetic.bound += residual;
    let pairs = firsts.iter().zip(&taps);
    let nines = pairs.clone().map(|(row, column)| Nine::rounded_product(&words(column), row));
    let pass = match nines.collect::<Option<Vec<_>>>().filter(|_| small) {
        Some(nines) => Pass::Stencil(nines),
        None => Pass::Separable(
            pairs
                .map(|(column, row)| Passes {
                    column: Rows::single(Taps::I16(column.clone())),
                    row: Taps::I16(words(row)),
                    start: 0,
                    shift: 0,
                    order: RowOrder::InOrder,
                })
                .collect(),
        ),
    };
    Some((pass, arithmetic, finish))
}

/// Products to be added up.
struct Sum {
    /// The range of what is multiplied, and how far off it may be.
    values: (f64, f64),
    error: f64,
    /// What a constant image was multiplied by, what was added to it on the whole, and other errors.
    gain: f64,
    mean: f64,
    noise: Noise,
    taps: Vec<f64>,
}

/// Sums of rounded products that make results, one for each kernel, with as many fraction bits as
/// fit: their taps in units of 2⁻¹⁵.
fn last(spec: &Spec<'_>, sums: &[Sum]) -> Option<(Vec<Vec<f64>>, Proved, Finish)> {
    let none = spec.post() == Post::None;
    (0..=15).rev().find_map(|bits| {
        let unit = f64::from(bits).exp2();
        let (mut all, mut finish) = (Vec::new(), spec.finish());
        let mut arithmetic = spec.arithmetic(Arithmetic::I16Rounded, 0.0);
        let mut bounds = Vec::new();
        for (kernel, sum) in sums.iter().enumerate() {
            let Sum { values, error, taps, .. } = sum;
            let q = quantise(taps, 15 + bits as i32);
            if !fits_i16(&q) {
                return None;
            }
            // The ½ that makes a shift round; half a unit of a sum is what it rounds up by on the whole. That and
            // what products are rounded by comes back with the start.
            let (half, up) = if none && bits > 0 { (0.5, 0.5) } else { (0.0, 0.0) };
            let gain = q.iter().sum::<f64>() / 32768.0;
            let means = q.iter().map(|t| rounded_mean(*t, 15, 1.0, 0.0)).sum::<f64>();
            let means = means + sum.mean * gain;
            let taken_back = if spec.post() == Post::Magnitude { 0.0 } else { up + means };
            let exact = (spec.offset() + half) * unit - taken_back;
            let start = exact.round();
            let rounding = (taps.len() as f64 + 1.0) / 2.0;
            let bound = spread(*values, errors(taps, &q, 15 + bits as i32))
                + error * abs_sum(&q) / (unit * 32768.0)
                + rounding / unit;
            let (low, high) = range(taps, *values);
            let (low, high) = ((low - bound) * unit, (high + bound) * unit);
            finish.fixed[kernel] = if spec.post() == Post::Magnitude {
                // Added to the start, both squares fit into 31 bits.
                if largest((low, high)) + start.abs() > 32767.0 {
                    return None;
                }
                let unit = unit.recip() as f32;
                Fixed { shift: bits, start: start as i32, unit, ..Fixed::default() }
            } else {
                words::fixed(spec, bits, start, low, high)?
            };
            let (off, squares) = errors_and_squares(taps, &q, unit * 32768.0);
            // Of absolute values halves go away from 0.
            let away = if spec.post() == Post::Abs && bits > 0 { 0.5 } else { 0.0 };
            let rounded = (start - exact + away, taps.len() as f64 / 12.0);
            let own = (rounded.0 / unit, rounded.1 / unit / unit);
            let own = Noise::new(off, squares, *values, own);
            let of_squares = q.iter().map(|t| t * t).sum::<f64>() / (unit * 32768.0).powi(2);
            arithmetic.noise = own.after(sum.noise, sum.gain, gain / unit, of_squares);
            arithmetic.peak = arithmetic.peak.max(largest((low, high)));
            bounds.push((bound, largest((low, high)) / unit));
            all.push(q);
        }
        arithmetic.bits = (0, bits);
        arithmetic.bound = spec.after_post(bounds.into_iter());
        Some((all, arithmetic, finish))
    })
}

/// The range of Σ taps·x for samples x of a range.
fn range(taps: &[f64], (low, high): (f64, f64)) -> (f64, f64) {
    taps.iter().fold((0.0, 0.0), |(least, most), t| {
        (least + (t * low).min(t * high), most + (t * low).max(t * high))
    })
}

fn separable(spec: &Spec<'_>, separations: &[Separation], moved: i32) -> Option<Choice> {
    let samples = spec.samples();
    let mut finish = spec.finish();
    let mut passes = Vec::new();
    let mut arithmetic = spec.arithmetic(Arithmetic::I16Pairs, 0.0);
    let mut bounds = Vec::new();
    let scale = spec.filter.get_scale();
    for (kernel, s) in separations.iter().enumerate() {
        let term = &s.terms()[0];
        // The column's taps sum to between ½ and 1: its sums are no larger than the samples.
        let sum = abs_sum(&term.column);
        let power = if sum > 0.0 { sum.log2().ceil().exp2() } else { 1.0 };
        let times = |v: &[f64], factor: f64| v.iter().map(|t| t * factor).collect::<Vec<_>>();
        let (column, row) = (times(&term.column, 1.0 / power), times(&term.row, scale * power));
        let residual = s.residual(1) * scale.abs() * largest(samples);
        let found = pairs_exact(spec, samples, &term.column, &times(&term.row, scale))
            .filter(|_| residual == 0.0)
            .or_else(|| pairs_rounded(spec, samples, [&column, &row], moved))?;
        let PairedPasses {
            taps: [column_taps, row_taps],
            start,
            shift,
            fixed,
            bits,
            peak,
            bound,
            noise,
        } = found;
        finish.fixed[kernel] = fixed;
        arithmetic.noise = of_start(spec, &fixed).after(noise, 1.0, 1.0, 1.0);
        let row_taps = Taps::I32(pack(&row_taps));
        passes.push(Passes {
            column: Rows::paired(&column_taps, 1),
            row: row_taps,
            start,
            shift,
            order: RowOrder::InOrder,
        });
        arithmetic.bits = bits;
        arithmetic.peak = arithmetic.peak.max(peak);
        bounds.push((bound + residual, largest(samples) * abs_sum(&column) * abs_sum(&row)));
    }
    arithmetic.bound = spec.after_post(bounds.into_iter());
    Some((Pass::Separable(passes), arithmetic, finish))
}

/// What the start of sums makes of their mean, beside halves that go upwards: it was rounded.
fn of_start(spec: &Spec<'_>, fixed: &Fixed) -> Noise {
    let unit = f64::from(fixed.shift).exp2();
    let half = if spec.post() == Post::None && fixed.shift > 0 { 0.5 } else { 0.0 };
    let mean = match spec.post() {
        Post::Magnitude => 0.0,
        _ => (f64::from(fixed.start) - (spec.offset() + half) * unit) / unit,
    };
    Noise::new(0.0, 0.0, (0.0, 0.0), (mean, 0.0))
}

fn dense(spec: &Spec<'_>) -> Option<Choice> {
    let samples = spec.samples();
    let mut finish = spec.finish();
    let mut all = Vec::new();
    let mut arithmetic = spec.arithmetic(Arithmetic::I16Pairs, 0.0);
    let mut bounds = Vec::new();
    for (kernel, k) in spec.filter.kernels().iter().enumerate() {
        let taps: Vec<f64> = k.taps().iter().map(|t| t * spec.filter.get_scale()).collect();
        let (q, fixed, peak, bound) = (0..=30).rev().find_map(|bits| {
            let q = quantise(&taps, bits);
            if !fits_i16(&q) {
                return None;
            }
            let (bits, q) = reduced(bits, q, 0);
            let peak = largest(samples) * abs_sum(&q);
            let (fixed, error, peak) = fixed(spec, bits as u32, peak.max(abs_sum(&q)))?;
            Some((q.clone(), fixed, peak, spread(samples, errors(&taps, &q, bits)) + error))
        })?;
        arithmetic.peak = arithmetic.peak.max(peak);
        arithmetic.bits = (0, fixed.shift);
        let noise = noise::of_taps(&taps, &q, f64::from(fixed.shift).exp2(), samples);
        arithmetic.noise = of_start(spec, &fixed).after(noise, 1.0, 1.0, 1.0);
        finish.fixed[kernel] = fixed;
        bounds.push((bound, largest(samples) * abs_sum(&taps)));
        all.push(Rows::paired(&q, k.width()));
    }
    arithmetic.bound = spec.after_post(bounds.into_iter());
    Some((Pass::Dense(all), arithmetic, finish))
}

/// The range of a kernel's sums, times a scale, on samples of a range from 0 or below to 0 or above.
pub(crate) fn sums(kernel: &Kernel, scale: f64, (low, high): (f64, f64)) -> (f64, f64) {
    let [plus, minus] = kernel.halves();
    let (least, most) = (plus * low + minus * high, plus * high + minus * low);
    if scale < 0.0 { (most * scale, least * scale) } else { (least * scale, most * scale) }
}
