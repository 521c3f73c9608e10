//! Two passes of `u8` samples in 16 bits whose products are rounded: the row's, or those of both.

use super::noise::{Noise, common_divisor, rounded_mean};
use super::words::{fixed, halves, of_bytes, range, taps};
use super::{
    Arithmetic, Choice, Factors, Passes, Proved, Rows, Separable, Spec, abs_sum, factors, fits_i16,
    quantise,
};
use crate::filter::Post;
use crate::kernel::{Kernel, Separation};
use crate::pass::{
    Finish, Fixed, Identity, MOST_SYMMETRIC, RowOrder, SAMPLE_BITS, SYMMETRIC_SHIFT, Taps,
};
use crate::plan::Pass;
use std::slice;

/// Taps a side up to which rounded 16-bit products are faster than exact pairs.
pub(super) const HIGH_TO: usize = 7;

/// The bound up to which column sums take 15 bits instead of 16, so that the row pass may add two of
/// them before it multiplies: a tenth less time for seven taps.
const FOLDED_BOUND: f64 = 0.05;

/// Two passes, the column's taps rounded to small integers and the row's products rounded.
pub(super) fn rounded(spec: &Spec<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let [f] = factors else { return None };
    Some(small_columns(spec, f)?.separable(spec))
}

fn small_columns(spec: &Spec<'_>, f: &Factors<'_>) -> Option<RoundedPasses> {
    let long = f.column.len().max(f.row.len()) > HIGH_TO;
    if !of_bytes(spec) || long || spec.post() == Post::Magnitude || spec.must_be_exact() {
        return None;
    }
    let largest = f.column.iter().fold(0.0f64, |most, t| most.max(t.abs()));
    // The column may be scaled by anything, as long as the row takes it back: the scale whose
    // rounded taps fit best.
    let best = |folds: bool| {
        let scales = (1..=257).map(|m| f64::from(m) / largest);
        let (scale, found) = scales
            .filter_map(|scale| Some((scale, scaled(spec, f, scale, folds, false)?)))
            .min_by(|a, b| a.1.cost().total_cmp(&b.1.cost()))?;
        // A mean error that would show after some hundred passes: it may be gone in other units of the result.
        let finer = || scaled(spec, f, scale, folds, true);
        let shows = found.proved.noise.bias.abs() > FINE_BIAS;
        Some(if shows { finer().unwrap_or(found) } else { found })
    };
    let folds = f.row.len() == 7 && symmetric_taps(&f.row) && !spec.chained;
    let folded = if folds { best(true) } else { None };
    folded.filter(|folded| folded.proved.bound <= FOLDED_BOUND).or_else(|| best(false))
}

/// Two passes as they were found.
struct RoundedPasses {
    proved: Proved,
    passes: Passes,
    fixed: Fixed,
    identity: Identity,
}

impl RoundedPasses {
    fn cost(&self) -> f64 {
        self.proved.noise.cost()
    }

    fn finish(&self, spec: &Spec<'_>) -> Finish {
        Finish { fixed: [self.fixed, Fixed::default()], ..spec.finish() }
    }

    fn separable(self, spec: &Spec<'_>) -> Separable {
        let finish = self.finish(spec);
        (self.proved, vec![self.passes], finish)
    }
}

/// Two passes for a `product` whose sums the image is added to, `identity` times, both before the filter's scale.
pub(crate) fn with_identity(spec: &Spec<'_>, product: &Kernel, identity: f64) -> Option<Choice> {
    let separation = Separation::of(product);
    let mut f = factors(spec, slice::from_ref(&separation)).pop()?;
    f.identity = Some((identity * spec.filter.get_scale(), product.anchor()));
    let found = of_symmetric(spec, &f).or_else(|| small_columns(spec, &f))?;
    let finish = found.finish(spec);
    let Identity { whole, part } = found.identity;
    Some((Pass::WithIdentity(found.passes, Taps::I16(vec![whole, part])), found.proved, finish))
}

/// The mean error, in levels, from which on others are looked for.
const FINE_BIAS: f64 = 1.0 / 4096.0;

/// `rounded` with column taps in units of 1 / `scale`, whose sums take 16 bits, or 15 if the row `folds`; with
/// `finer` results are multiplied by a factor instead of shifted.
fn scaled(
    spec: &Spec<'_>,
    f: &Factors<'_>,
    scale: f64,
    folds: bool,
    finer: bool,
) -> Option<RoundedPasses> {
    let most = if folds { 16384.0 } else { 32768.0 };
    let times: Vec<f64> = f.column.iter().map(|t| t * scale).collect();
    // What rounding does to the sum, the row makes up for, unless that is 0.
    let taps = if cancels(&f.column) {
        quantise(&times, 0)
    } else {
        times.iter().map(|t| t.round()).collect()
    };
    let (positive, negative) = halves(&taps);
    // Column sums start so low that the least of them is the least of the range.
    let start = 255.0 * negative - most;
    let room = most - 1.0 - (255.0 * positive + start);
    if room < 0.0 {
        return None;
    }
    let column = Column { taps, shift: 0, scale, start, room, folds };
    if finer { with_factor(spec, f, &column) } else { with_row(spec, f, &column) }
}

/// The bound up to which products of both passes are rounded, in levels.
const SYMMETRIC_BOUND: f64 = 0.25;

/// Two passes of symmetric taps, too many for [`rounded`], or such that it is too coarse for them, that both
/// round products and add samples that meet the same tap before.
pub(super) fn symmetric(spec: &Spec<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let [f] = factors else { return None };
    Some(of_symmetric(spec, f)?.separable(spec))
}

fn of_symmetric(spec: &Spec<'_>, f: &Factors<'_>) -> Option<RoundedPasses> {
    let suitable = of_bytes(spec) && spec.post() != Post::Magnitude && !spec.must_be_exact();
    let fold = |taps: &[f64]| taps.len() <= MOST_SYMMETRIC && symmetric_taps(taps);
    if !suitable || !fold(&f.column) || !fold(&f.row) {
        return None;
    }
    // Column sums of 15 bits, so that two can be added, less what rounding may add to them.
    let (positive, negative) = halves(&f.column);
    let rounding = (f.column.len() + 1) as f64;
    let divisor = f64::from(SYMMETRIC_SHIFT).exp2();
    let largest = f.column.iter().fold(0.0f64, |most, t| most.max(t.abs()));
    let scale = (32767.0 - 2.0 * rounding - START_ROOM) / (255.0 * (positive + negative));
    let most = scale.min(32766.0 / (largest * divisor));
    // The largest, or one little below it whose taps fit better.
    let scales = (0..SYMMETRIC_SCALES).map(|i| most * (1.0 - f64::from(i) / 512.0));
    let found = scales.filter_map(|scale| {
        let taps = quantise_symmetric(&f.column, scale * divisor);
        if !fits_i16(&taps) {
            return None;
        }
        let start = (255.0 * negative * scale + rounding).ceil() - 16384.0;
        let room = START_ROOM;
        let column = Column { taps, shift: SYMMETRIC_SHIFT, scale, start, room, folds: true };
        let mut found = with_row(spec, f, &column)?;
        found.proved.bits.0 = scale.log2() as u32;
        let near = found.proved.bound <= SYMMETRIC_BOUND * spec.unit;
        (near && found.passes.halves_add()).then_some(found)
    });
    found.min_by(|a, b| a.cost().total_cmp(&b.cost()))
}

/// Scales that are tried for such columns.
const SYMMETRIC_SCALES: u32 = 16;

/// Starts of column sums to choose from.
const START_ROOM: f64 = 63.0;

/// A column in 16 bits: sums are in units of 1 / `scale` and start with `start` or up to `room` more; what taps
/// are multiplied by has `shift` more bits, which each product is rounded by.
struct Column {
    taps: Vec<f64>,
    shift: u32,
    scale: f64,
    start: f64,
    room: f64,
    /// Whether the row, whose taps are symmetric, adds two sums before it multiplies them.
    folds: bool,
}

/// Whether the sum of taps is small beside them.
fn cancels(v: &[f64]) -> bool {
    v.iter().sum::<f64>().abs() < abs_sum(v) / 8.0
}

/// An odd number of them, opposite ones equal.
fn symmetric_taps(v: &[f64]) -> bool {
    v.len() % 2 == 1 && v.iter().eq(v.iter().rev())
}

/// As `quantise`, of an odd number of taps where opposite ones stay equal: the middle one keeps the sum.
fn quantise_symmetric(v: &[f64], unit: f64) -> Vec<f64> {
    let mut q: Vec<f64> = v.iter().map(|t| (t * unit).round()).collect();
    q[v.len() / 2] += (v.iter().sum::<f64>() * unit).round() - q.iter().sum::<f64>();
    q
}

/// The sum of |errors| of a product's taps, and of their squares.
fn errors_2d(
    f: &Factors<'_>,
    (column, column_unit): (&[f64], f64),
    (row, row_unit): (&[f64], f64),
) -> (f64, f64) {
    let (mut each, mut squares) = (0.0, 0.0);
    for (c, p) in f.column.iter().zip(column) {
        let p = p / column_unit;
        for (r, q) in f.row.iter().zip(row) {
            let error = p * (q / row_unit) - c * r;
            each += error.abs();
            squares += error * error;
        }
    }
    (each, squares)
}

/// A row for such a column, whose products are rounded: as many fraction bits as fit.
fn with_row(spec: &Spec<'_>, f: &Factors<'_>, column: &Column) -> Option<RoundedPasses> {
    // Rows between filters have fraction bits of their own.
    let least = if spec.chained { 0 } else { 1 };
    (least..=14).rev().find_map(|bits| row_in(spec, f, column, Unit::Bits(bits)))
}

/// The same where the result's unit is no power of 2: of several, with as many fraction bits as fit, the fairest.
fn with_factor(spec: &Spec<'_>, f: &Factors<'_>, column: &Column) -> Option<RoundedPasses> {
    if spec.chained || spec.post() != Post::None {
        return None;
    }
    (1..=14).rev().find_map(|bits| {
        let factors = (0..FACTORS).map(|i| (1 << (15 - bits)) + 2 * i + 1);
        let found = factors.filter_map(|factor| row_in(spec, f, column, Unit::Factor(factor)));
        found.min_by(|a, b| a.cost().total_cmp(&b.cost()))
    })
}

/// Factors that are tried for each number of fraction bits.
const FACTORS: i16 = 16;

/// What a level is in a row's sums, and how they become results.
#[derive(Clone, Copy)]
enum Unit {
    /// 2^bits.
    Bits(u32),
    /// 2¹⁵ / factor.
    Factor(i16),
}

impl Unit {
    fn size(self) -> f64 {
        match self {
            Self::Bits(bits) => f64::from(bits).exp2(),
            Self::Factor(factor) => 32768.0 / f64::from(factor),
        }
    }
}

/// A row whose sums have this unit.
fn row_in(spec: &Spec<'_>, f: &Factors<'_>, column: &Column, level: Unit) -> Option<RoundedPasses> {
    let Column { taps: q, shift, scale, start: least_start, room, folds } = column;
    let (scale, folds) = (*scale, *folds);
    let column_unit = scale * f64::from(*shift).exp2();
    let sum = |v: &[f64]| v.iter().sum::<f64>();
    // The sum that both passes have together is right: the row makes up for what the column's is off by.
    let effective = sum(q) / column_unit;
    let makes_up = if cancels(&f.column) { 1.0 } else { sum(&f.column) / effective };
    if !(0.5..=2.0).contains(&makes_up) {
        return None;
    }
    let unit = level.size();
    let (low, high) = range_with_identity(spec, f);
    if (high - low) * unit > 65535.0 {
        return None;
    }
    // A product keeps the bits from 2¹⁵ up.
    let row_unit = unit * 32768.0 / scale;
    let row: Vec<f64> = f.row.iter().map(|r| r * makes_up * row_unit).collect();
    let t = if folds { quantise_symmetric(&row, 1.0) } else { quantise(&row, 0) };
    if !fits_i16(&t) {
        return None;
    }
    let (identity, error) = identity_in(f, unit)?;
    // Of the column's products each is rounded, where they are divided; samples that meet a tap are multiplied
    // by 64 before.
    let (column_products, column_means) = if *shift > 0 {
        let different = &q[..=q.len() / 2];
        let means = different.iter().map(|t| rounded_mean(*t, 15, 64.0, 0.0));
        (different.len() as f64, means.sum())
    } else {
        (0.0, 0.0)
    };
    let products = if folds { f.row.len() / 2 + 1 } else { f.row.len() };
    let products = products + usize::from(identity.part != 0);
    let (each, squares) = errors_2d(f, (q, column_unit), (&t, row_unit));
    let (each, squares) = (each + error.abs(), (squares.sqrt() + error.abs()).powi(2));
    let gain = effective * (sum(&t) / row_unit) - sum(&f.column) * sum(&f.row) + error;
    let taken: f64 = abs_sum(&t) / row_unit;
    // Every product is rounded, and the start.
    let rounding = column_products / 2.0 / scale * taken + (products as f64 + 1.0) / 2.0 / unit;
    let bound = 127.5 * (gain.abs() + each) + rounding + f.residual;
    let variance = (column_products / scale / scale * squares_of(&t) / row_unit / row_unit
        + products as f64 / unit / unit)
        / 12.0;
    // What no start makes up for.
    let mut arithmetic = spec.arithmetic(Arithmetic::I16Rounded, bound);
    arithmetic.noise = Noise::new(gain, squares, (0.0, 255.0), (-127.5 * gain, variance));
    if !arithmetic.is_fair(spec) {
        return None;
    }
    // The ½ that makes a shift round, which a multiplication does by itself, and what results are rounded up by on
    // the whole: half a unit of a sum where all of its bits are shifted out.
    let rounds = spec.post() == Post::None;
    let (half, up) = match level {
        Unit::Bits(bits) if rounds && bits > 0 => (0.5, 0.5),
        Unit::Bits(_) => (0.0, 0.0),
        Unit::Factor(factor) => (0.0, unit * rounded_mean(f64::from(factor), 15, 1.0, 0.0)),
    };
    let (step, gain_of_row, shown) =
        (common_divisor(q), sum(&t) / 32768.0, (spec.offset() + half) * unit);
    // What columns start with is taken back, so it counts for the start only modulo 2¹⁶: the one that
    // leaves least to be rounded.
    let of_identity = rounded_mean(identity.part.into(), 15, IDENTITY_SCALE, 0.0);
    let started = |more: usize| {
        let start = least_start + more as f64;
        let means: f64 = if folds {
            let middle = t.len() / 2;
            let both = t[..middle].iter().map(|t| rounded_mean(*t, 15, step, 2.0 * start));
            both.sum::<f64>() + rounded_mean(t[middle], 15, step, start)
        } else {
            t.iter().map(|t| rounded_mean(*t, 15, step, start)).sum()
        };
        let means = means + of_identity + column_means * gain_of_row;
        let exact = shown - start * gain_of_row - means - up;
        (start, exact.round(), exact.round() - exact)
    };
    let (column_start, start, off) = (0..=room.min(START_ROOM) as usize)
        .map(started)
        .min_by(|a, b| a.2.abs().total_cmp(&b.2.abs()))?;
    let (least, most) = ((low - bound) * unit, (high + bound) * unit);
    let (mut fixed, bits) = match level {
        Unit::Bits(bits) => (fixed(spec, bits, shown, least, most)?, bits),
        Unit::Factor(factor) => {
            let offset = spec.offset() * unit;
            let fits = least + offset >= -32768.0 && most + offset <= 32767.0;
            (fits.then(|| Fixed { factor, ..Fixed::default() })?, unit.log2().round() as u32)
        }
    };
    let taken_back = if fixed.factor != 0 { half * unit } else { 0.0 };
    fixed.start = (start - taken_back) as i32;
    arithmetic.noise = Noise::new(gain, squares, (0.0, 255.0), (off / unit, variance));
    arithmetic.bits = (0, bits);
    arithmetic.peak = (high - low + 2.0 * bound) * unit;
    // What is right for a chain shows at its end.
    let constant = 255.0 * gain.abs() + rounding + f.residual;
    let good = spec.chained
        || bound < 1.0 && arithmetic.is_fair(spec) && (!spec.keeps_constants() || constant < 0.5);
    let passes = Passes {
        column: Rows::single(taps(q)),
        row: taps(&t),
        start: column_start as i32,
        shift: *shift,
        order: RowOrder::InOrder,
    };
    good.then_some(RoundedPasses { proved: arithmetic, passes, fixed, identity })
}

/// The range of results: of the product, but for the tap that the image's own is added to.
fn range_with_identity(spec: &Spec<'_>, f: &Factors<'_>) -> (f64, f64) {
    let (low, high) = range(spec, &f.column, &f.row);
    let Some((times, (x, y))) = f.identity else { return (low, high) };
    let tap = 255.0 * f.column[y] * f.row[x];
    let both = tap + 255.0 * times;
    (low - tap.min(0.0) + both.min(0.0), high - tap.max(0.0) + both.max(0.0))
}

/// What the image's samples are multiplied by in sums of this unit, and how far off that is.
fn identity_in(f: &Factors<'_>, unit: f64) -> Option<(Identity, f64)> {
    let Some((times, _)) = f.identity else { return Some((Identity::default(), 0.0)) };
    let exact = times * unit;
    let whole = exact.round();
    // Of 2⁻¹⁵ times what a sample is multiplied by first.
    let parts = 32768.0 / IDENTITY_SCALE;
    let part = ((exact - whole) * parts).round();
    let identity = Identity { whole: whole as i16, part: part as i16 };
    (whole.abs() <= 32767.0).then_some((identity, (whole + part / parts) / unit - times))
}

/// What products of a part are rounded from: the largest samples times that fit into 16 bits.
const IDENTITY_SCALE: f64 = (1 << SAMPLE_BITS) as f64;

/// Σ t².
fn squares_of(v: &[f64]) -> f64 {
    v.iter().map(|t| t * t).sum()
}
