//! Rows of 16 bits between the filters of a chain on `u8` images: integers with fraction bits, where all errors
//! together stay small enough. No value between filters is rounded to a sample.

use super::Pass;
use super::arithmetic::{
    Allowance, Arithmetic, Limits, MANY_TAPS, MOVED, Noise, Proved, Spec, Transforms, between,
    shorts,
};
use super::filter::{FilterFacts, FilterStage};
use super::multirate::{self, Addend};
use super::proof::{gain, results};
use crate::border::Border;
use crate::filter::{Alpha, Filter, Method, Post};
use crate::layer::Layer;
use crate::sample::SampleType;

/// The filters of such a chain, first to last.
pub(super) struct Words {
    pub stages: Vec<FilterStage>,
    /// Proved of all of them together.
    pub bound: f64,
    /// What they make of noise.
    pub noise: Noise,
}

/// The stages of filters with rows of 16 bits between them instead of `f32`, if results are off by less than
/// `allowed` before they are rounded. If all values are `whole` numbers, rows have no fraction bits. The first filter may
/// be done at two rates, as far as its `allowance` goes.
pub(super) fn words(
    filters: &[(&FilterStage, &FilterFacts)],
    allowance: Option<Allowance>,
    allowed: f64,
    whole: bool,
) -> Option<Words> {
    let sides: Vec<_> = filters.iter().map(|(one, _)| longer_side(&one.filter)).collect();
    let first = allowance.and_then(|allowance| at_two_rates(*filters.first()?, allowance));
    let limits = shorts(&sides).map(|short| Limits { short, whole, moved: 0 });
    // Longer kernels would take long to plan.
    let may = sides.iter().all(|side| *side <= MANY_TAPS);
    let finer = MOVED.filter(|_| may).map(|moved| Limits { short: 0, whole, moved });
    limits.chain(finer).find_map(|limits| words_with(filters, first.as_ref(), allowed, limits))
}

/// The first filter at two rates, if that is how it was planned.
fn at_two_rates(
    (stage, facts): (&FilterStage, &FilterFacts),
    allowance: Allowance,
) -> Option<Addend> {
    let FilterStage { filter, input, level, opacity, .. } = stage;
    let plain = filter.get_offset() == 0.0 && filter.get_post() == Post::None;
    if facts.method != Method::Multirate || !plain {
        return None;
    }
    let allowed = allowance.error * 255.0;
    let mut addend = multirate::addend(filter, *input, (*level, *opacity), allowed)?;
    // Rows are to be multiples of a power of two: the sum of the taps may be a roundoff away from one.
    let unit = addend.unit.log2().round().exp2();
    let off = (addend.unit / unit - 1.0).abs();
    // They hold results from 0 to twice that of the middle.
    addend.bound += off * 2.0 * addend.zero.abs();
    (addend.unit, addend.zero) = (unit, addend.zero * unit / addend.unit);
    (off < MOST_OFF && unit <= 1.0).then_some(addend)
}

/// Taps on the longer side of a filter's kernel.
pub(super) fn longer_side(filter: &Filter) -> usize {
    let kernel = &filter.kernels()[0];
    kernel.width().max(kernel.height())
}

fn words_with(
    filters: &[(&FilterStage, &FilterFacts)],
    first: Option<&Addend>,
    allowed: f64,
    limits: Limits,
) -> Option<Words> {
    let whole = limits.whole;
    let mut stages = Vec::with_capacity(filters.len());
    // What reaches a filter.
    let mut given = Given { range: (0.0, 255.0), error: 0.0, bits: 0, zero: 0.0 };
    // What all filters so far make of noise, and of a constant image.
    let (mut noise, mut total) = (Noise::default(), 1.0);
    if let Some(Addend { stage, unit, zero, bound, noise: own, .. }) = first {
        let range = results(&stage.filter, given.range);
        given = Given { range, error: *bound, bits: -unit.log2() as u32, zero: *zero };
        (noise, total) = (*own, sum_and_squares(&stage.filter).0);
        let arithmetic = Proved { bound: bound / unit, ..stage.arithmetic.clone() };
        stages.push(FilterStage { arithmetic, ..stage.clone() });
    }
    let left = &filters[stages.len()..];
    // What the filters that are left may multiply an error by.
    let mut gains: f64 = left.iter().map(|(one, _)| gain(&one.filter)).product();
    for (i, &(one, facts)) in left.iter().enumerate() {
        let filter = &one.filter;
        let (border_x, border_y) = filter.get_borders();
        let from = f64::from(given.bits).exp2();
        for &v in border_x.constants().iter().chain(border_y.constants()) {
            let row = (v - given.zero) * from;
            if row.abs() > 32767.0 {
                return None;
            }
            given.error = given.error.max((row.round() - row).abs() / from);
            given.range = (given.range.0.min(v), given.range.1.max(v));
        }
        let last = i + 1 == left.len();
        // What rows must hold: results, and the constants that the next filter reads beside them.
        let after = results(filter, given.range);
        let next = left.get(i + 1).map(|(next, _)| next.filter.get_borders());
        let beside = next.map_or(0.0, |(x, y)| {
            x.constants().iter().chain(y.constants()).fold(0.0, |most: f64, v| most.max(v.abs()))
        });
        let room = Room { after, beside, last };
        let (stage, bits, bound) = finest(one, facts, given, room, limits)?;
        gains /= gain(filter);
        if bound * gains >= allowed {
            return None;
        }
        let to = f64::from(bits).exp2();
        let (sum, squares) = sum_and_squares(filter);
        let own = stage.arithmetic.noise.in_units(to, from);
        let rows = if last || whole { Noise::default() } else { rounded_rows(&stage, to) };
        noise = rows.after(own.after(noise, total, sum, squares), total * sum, 1.0, 1.0);
        total *= sum;
        stages.push(stage);
        given = Given { range: after, error: bound, bits, zero: 0.0 };
    }
    let fair = noise.is_fair(total, SampleType::U8);
    (given.error < allowed && fair).then_some(Words { stages, bound: given.error, noise })
}

/// What rounding to rows makes of noise, of which a level has `parts` parts: exact sums halfway between two go
/// upwards; what rounded ones do is made up for.
fn rounded_rows(stage: &FilterStage, parts: f64) -> Noise {
    let sums = &stage.arithmetic;
    let halves = match sums.arithmetic {
        Arithmetic::I16Rounded => 0.0,
        Arithmetic::RunningI32 => {
            // Sums of whole numbers, divided by so many.
            let kernel = &stage.filter.kernels()[0];
            let count =
                kernel.taps().len() as f64 / (kernel.sum() * stage.filter.get_scale()).abs();
            match count {
                _ if count.recip().fract() == 0.0 => return Noise::default(),
                _ if count % 2.0 == 0.0 => 0.5 / count,
                _ => 0.0,
            }
        }
        // Sums of whole numbers, times a factor.
        _ if matches!(stage.pass, Pass::Runs(_)) && sums.bound > 0.0 => 0.0,
        _ if sums.bits.1 == 0 => return Noise::default(),
        _ => 0.5 * (-f64::from(sums.bits.1)).exp2(),
    };
    Noise::new(0.0, 0.0, (0.0, 0.0), (halves, 1.0 / 12.0)).in_units(parts, 1.0)
}

/// How far the sum of a kernel's taps may be from a power of two, for it to be one.
const MOST_OFF: f64 = 1e-9;

/// Fraction bits of rows at most.
const MOST_BITS: u32 = 14;

/// A layer that is an image filter and leaves alpha alone.
pub(super) fn plain(layer: &Layer) -> Option<&Filter> {
    match layer {
        Layer::Filter(filter) => {
            Some(filter).filter(|f| matches!(f.get_alpha(), None | Some(Alpha::Plain)))
        }
        _ => None,
    }
}

/// The sum of a filter's taps, and of their squares; of two kernels the sums of both.
fn sum_and_squares(filter: &Filter) -> (f64, f64) {
    let scale = filter.get_scale();
    let taps = || filter.kernels().iter().flat_map(|k| k.taps());
    let sum = filter.kernels().iter().map(|k| k.sum()).sum::<f64>() * scale;
    (sum, taps().map(|t| t * t).sum::<f64>() * scale * scale)
}

/// What reaches a filter: exact values in units of samples, how far off they are, the fraction bits of rows, and what a 0
/// of them stands for.
#[derive(Clone, Copy)]
struct Given {
    range: (f64, f64),
    error: f64,
    bits: u32,
    zero: f64,
}

/// What rows after a filter must hold: results of a range, and constants of at most that magnitude beside them; after
/// the `last` one are samples, which are limited as they are stored.
#[derive(Clone, Copy)]
struct Room {
    after: (f64, f64),
    beside: f64,
    last: bool,
}

/// A filter between rows of 16 bits, with the most fraction bits after it that there is room for; and how far off its
/// results are, in units of samples.
fn finest(
    one: &FilterStage,
    facts: &FilterFacts,
    given: Given,
    Room { after, beside, last }: Room,
    limits: Limits,
) -> Option<(FilterStage, u32, f64)> {
    let filter = &one.filter;
    let carried = given.error * gain(filter);
    let largest = after.1.max(-after.0);
    let most = if limits.whole || last { 0 } else { MOST_BITS };
    (0..=most).rev().find_map(|bits| {
        let unit = f64::from(bits).exp2();
        if !last && largest.max(beside) * unit > 32767.0 {
            return None;
        }
        let (stage, bound) = stage(one, facts, given, bits, limits)?;
        let rounding = if limits.whole || last { 0.0 } else { 0.5 };
        let error = carried + (bound + rounding) / unit;
        (last || (largest + error) * unit + 1.0 <= 32767.0).then_some((stage, bits, error))
    })
}

/// A filter of `u8` images alone, with rows of 16 bits after it: their fraction bits, its bound and what it makes of
/// noise, in levels. Sums of up to `short` taps a side may have 16 bits.
pub(super) fn of_one(
    one: &FilterStage,
    facts: &FilterFacts,
    short: usize,
) -> Option<(FilterStage, u32, f64, Noise)> {
    let given = Given { range: (0.0, 255.0), error: 0.0, bits: 0, zero: 0.0 };
    let room = Room { after: results(&one.filter, given.range), beside: 0.0, last: false };
    let limits = Limits { short, whole: false, moved: 0 };
    let (stage, bits, bound) = finest(one, facts, given, room, limits)?;
    let unit = f64::from(bits).exp2();
    let own = stage.arithmetic.noise.in_units(unit, 1.0);
    let noise = rounded_rows(&stage, unit).after(own, 0.0, 1.0, 1.0);
    Some((stage, bits, bound, noise))
}

/// A filter from such rows to rows with so many fraction bits, and its bound in units of those.
fn stage(
    one: &FilterStage,
    facts: &FilterFacts,
    Given { range, error, bits, zero }: Given,
    out: u32,
    limits: Limits,
) -> Option<(FilterStage, f64)> {
    if matches!(facts.method, Method::Terms | Method::Multirate) {
        return None;
    }
    let (from, to) = (f64::from(bits).exp2(), f64::from(out).exp2());
    let scaled = |border: &Border| match border {
        Border::Constant(values) => {
            Border::Constant(values.iter().map(|v| ((v - zero) * from).round()).collect())
        }
        other => other.clone(),
    };
    let (border_x, border_y) = one.filter.get_borders();
    let filter = one.filter.clone();
    // What a constant image of `zero` makes of it; of two kernels nothing.
    let sum = filter.kernels()[0].sum() * filter.get_scale();
    if zero != 0.0 && filter.kernels().len() > 1 && filter.kernels().iter().any(|k| k.sum() != 0.0)
    {
        return None;
    }
    let offset = (filter.get_offset() + zero * sum) * to;
    let scale = filter.get_scale() * to / from;
    let filter = filter.scale(scale).offset(offset).borders(scaled(border_x), scaled(border_y));
    let rows = |t: SampleType| if t == SampleType::F32 { SampleType::I16 } else { t };
    let types = (rows(one.types.0), rows(one.types.1));
    let spec = Spec {
        filter: &filter,
        channels: one.input.channels,
        source: types.0,
        output: types.1,
        premultiplied: false,
        widened: false,
        level: one.level,
        fused: false,
        precise: false,
        chained: true,
        finite: true,
        allowance: None,
        transforms: Transforms::None,
        unit: to,
    };
    let (low, high) = (range.0 - zero - error, range.1 - zero + error);
    let samples = ((low * from).floor(), (high * from).ceil());
    let separable = facts.method == Method::Separable;
    let separations = separable.then(|| facts.separations.of(&one.filter));
    let (pass, arithmetic, finish) = between(&spec, separations, samples, limits)?;
    let bound = arithmetic.bound;
    let axes = filter.axes(one.input);
    let stage = FilterStage { filter, axes, types, pass, arithmetic, finish, ..one.clone() };
    Some((stage, bound))
}
