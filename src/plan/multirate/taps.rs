//! The fitted taps in the form that passes take, and how far from exact that makes results.
//!
//! The effective taps are those of the rounded ones. Rows of 16 bits hold samples less 128, with seven fraction bits.

use super::fit::{Fit, SPAN};
use super::{MIDDLE, Multirate, ROW_BITS, Rate};
use crate::pass::Taps;
use crate::plan::arithmetic::{
    Noise, U, fits_i16, noise_of_roundings, pack, quantise, rounded_mean,
};

/// Fraction bits of the taps that interpolate rows of 16 bits.
const PHASE_BITS: i32 = 15;
/// The fraction bits of the decimator's taps down, at most: so many let its sums fit into 32 bits.
const COLUMN_BITS: i32 = 22;

/// Taps, and their error for samples of a range: at most, and what they make of noise.
pub(super) struct Built {
    pub pass: Multirate,
    pub bound: f64,
    pub noise: Noise,
}

/// The taps down: as numbers, and in the form of their arithmetic.
struct Down {
    fit: Fit,
    low: Taps,
    phases: Taps,
    start: i32,
    shift: u32,
    /// The mean error of the last products.
    mean: f64,
}

/// Taps in `f32`.
fn single(fit: &Fit) -> Fit {
    let single = |t: f64| f64::from(t as f32);
    Fit {
        step: fit.step,
        h: fit.h.iter().map(|t| single(*t)).collect(),
        c: fit.c.iter().map(|t| single(*t)).collect(),
        f: fit.f.iter().map(|f| f.map(single)).collect(),
    }
}

impl Down {
    /// For rows of `f32`.
    fn float(column: &Fit) -> Self {
        let fit = single(column);
        let (low, phases) = (Taps::F32(floats(&fit.h)), Taps::F32(floats(&rotated(&fit.f))));
        Self { fit, low, phases, start: 0, shift: 0, mean: 0.0 }
    }

    /// For samples of 8 bits, and rows of 16.
    fn short(column: &Fit) -> Option<Self> {
        let (bits, h) = (ROW_BITS as i32..=COLUMN_BITS)
            .rev()
            .map(|bits| (bits, quantise(&column.h, bits)))
            .find(|(_, q)| fits_i16(q))?;
        let phase = |f: &[f64; SPAN]| {
            let q = quantise(f, PHASE_BITS);
            [q[0], q[1], q[2]]
        };
        let phases: Vec<_> = column.f.iter().map(phase).collect();
        if !phases.iter().all(|f| fits_i16(f)) {
            return None;
        }
        let unit = |bits: i32| 2f64.powi(-bits);
        let fit = Fit {
            h: h.iter().map(|q| q * unit(bits)).collect(),
            f: phases.iter().map(|f| f.map(|q| q * unit(PHASE_BITS))).collect(),
            ..single(column)
        };
        let mean = |f: &[f64; SPAN]| {
            f.iter().map(|q| rounded_mean(*q, PHASE_BITS as u32, 1.0, 0.0)).sum::<f64>().abs()
        };
        let shift = (bits - ROW_BITS as i32) as u32;
        Some(Self {
            fit,
            low: Taps::I32(pack(&h)),
            phases: Taps::I16(rotated(&phases).iter().map(|t| *t as i16).collect()),
            start: (1 << shift >> 1) - ((MIDDLE as i32) << bits),
            shift,
            mean: phases.iter().map(mean).fold(0.0, f64::max) * unit(ROW_BITS as i32),
        })
    }
}

/// Builds the pass for fits of a row and a column, of samples from `low`, no more than 0, to `range`; in rows of 16 bits,
/// if they are `short`.
pub(super) fn build(
    [row, column]: [&Fit; 2],
    [x, y]: [&[f64]; 2],
    short: bool,
    (low, range): (f64, f64),
) -> Option<Built> {
    let across = single(row);
    let down = if short { Down::short(column)? } else { Down::float(column) };
    let (ex, ey) = (Distance::of(&across, x), Distance::of(&down.fit, y));
    let norm = |taps: &[f64]| taps.iter().map(|t| t.abs()).sum::<f64>();
    let phases = |fit: &Fit| fit.f.iter().map(|f| norm(f)).fold(0.0, f64::max);
    // How much larger rows may be than samples: down, and all of it but the last step.
    let first = norm(&down.fit.h);
    let next = norm(&across.h) * norm(&across.c) * norm(&down.fit.c) * phases(&across);
    let last = phases(&down.fit);
    let most = first.max(first * next);
    // Rows of 16 bits have place for twice the samples.
    if most > 1.9 {
        return None;
    }
    // To rows of 16 bits, and of the products of the last step.
    let unit = if short { (-f64::from(ROW_BITS)).exp2() } else { 0.0 };
    let rounded = unit / 2.0 * (next * last + last + SPAN as f64);
    let lengths = [across.h.len(), across.c.len(), down.fit.c.len(), SPAN];
    let others = if short { 0 } else { down.fit.h.len() + SPAN };
    let sums = lengths.iter().sum::<usize>() + others + 8;
    let value = if short { MIDDLE } else { range } * most * last.max(1.0);
    let in_floats = sums as f64 * U * value;
    let bound = (range - low) / 2.0
        * (ey.each * ex.norm + norm(y) * ex.each + ey.sum * ex.norm + norm(y) * ex.sum)
        + rounded
        + in_floats;
    let (gain, squares) =
        (ex.sum * norm(y) + ey.sum * ex.norm, ex.squares * ey.taken + ey.squares * ex.taken);
    let variance = unit * unit / 12.0 * (2.0 * most * most + SPAN as f64);
    // Of a sum of two errors no more is known than that its square is at most twice those of both.
    let own = Noise::new(gain, 2.0 * squares, (low, range), (down.mean, 2.0 * variance));
    let noise = noise_of_roundings(sums, value).after(own, 1.0, 1.0, 1.0);
    let Down { fit, low, phases, start, shift, .. } = down;
    let pass = Multirate {
        rates: [
            Rate {
                step: across.step,
                low: Taps::F32(floats(&across.h)),
                between: floats(&across.c),
                phases: Taps::F32(floats(&across.f.concat())),
            },
            Rate { step: fit.step, low, between: floats(&fit.c), phases },
        ],
        short,
        start,
        shift,
        exact: None,
    };
    Some(Built { pass, bound, noise })
}

fn floats(taps: &[f64]) -> Vec<f32> {
    taps.iter().map(|t| *t as f32).collect()
}

/// The taps of all phases, for each place that the first of three rows may have in a ring of as many.
fn rotated(phases: &[[f64; SPAN]]) -> Vec<f64> {
    let turned = |first: usize| {
        phases
            .iter()
            .flat_map(move |f| (0..SPAN).map(move |place| f[(place + SPAN - first) % SPAN]))
    };
    (0..SPAN).flat_map(turned).collect()
}

/// How far effective taps are from a factor's: the largest of all phases.
struct Distance {
    /// Σ|e − g|, |Σ(e − g)|, Σ(e − g)².
    each: f64,
    sum: f64,
    squares: f64,
    /// Σ|e|, and the larger of Σe² and Σg².
    norm: f64,
    taken: f64,
}

impl Distance {
    fn of(fit: &Fit, factor: &[f64]) -> Self {
        let mut far = Self { each: 0.0, sum: 0.0, squares: 0.0, norm: 0.0, taken: 0.0 };
        for (p, taps) in fit.effective().into_iter().enumerate() {
            let target = fit.target(factor, p);
            let errors = || taps.iter().zip(&target).map(|(e, g)| e - g);
            far.each = far.each.max(errors().map(f64::abs).sum());
            far.sum = far.sum.max(errors().sum::<f64>().abs());
            far.squares = far.squares.max(errors().map(|e| e * e).sum());
            far.norm = far.norm.max(taps.iter().map(|t| t.abs()).sum());
            let taken = |taps: &[f64]| taps.iter().map(|t| t * t).sum::<f64>();
            far.taken = far.taken.max(taken(&taps)).max(taken(&target));
        }
        far
    }
}
