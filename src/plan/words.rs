//! Rows of 16 bits between the filters of a chain on `u8` images: integers with fraction bits, where all errors
//! together stay small enough. No value between filters is rounded to a sample.

use super::Pass;
use super::arithmetic::{
    Allowance, Arithmetic, Limits, MANY_TAPS, MOVED, Noise, Proved, Spec, Transforms, between,
    parts_of, shorts,
};
use super::filter::{FilterFacts, FilterStage};
use super::multirate::{self, Addend};
use super::proof::{gain, results, weighted};
use super::segment::Stage;
use crate::border::Border;
use crate::filter::{Alpha, Filter, Method, Post};
use crate::layer::{Layer, Pointwise};
use crate::pass::ColourWeights;
use crate::sample::SampleType;
use crate::simd::Level;

/// Such a chain.
pub(super) struct Words {
    /// First to last: filters, and perhaps a mix before them.
    pub stages: Vec<Stage>,
    /// Proved of all of them together.
    pub bound: f64,
    /// What they make of noise.
    pub noise: Noise,
}

impl Words {
    pub fn filters(&self) -> impl Iterator<Item = &FilterStage> {
        self.stages.iter().filter_map(Stage::filter)
    }
}

/// A filter as it is planned alone, and what is known of it.
type Planned<'a> = (&'a FilterStage, &'a FilterFacts);

/// The stages of filters, and of a mix before them, with rows of 16 bits between them instead of `f32`, if results are off
/// by less than `allowed` before they are rounded. If all values are `whole` numbers, rows have no fraction bits. The first
/// filter may be done at two rates, as far as its `allowance` goes.
pub(super) fn words(
    (mix, filters): (Option<&Pointwise>, &[Planned<'_>]),
    allowance: Option<Allowance>,
    allowed: f64,
    whole: bool,
) -> Option<Words> {
    let sides: Vec<_> = filters.iter().map(|(one, _)| longer_side(&one.filter)).collect();
    let first = allowance.filter(|_| mix.is_none());
    let first = first.and_then(|allowance| at_two_rates(*filters.first()?, allowance));
    let limits = shorts(&sides).map(|short| Limits { short, whole, moved: 0 });
    // Longer kernels would take long to plan.
    let may = sides.iter().all(|side| *side <= MANY_TAPS);
    let finer = MOVED.filter(|_| may).map(|moved| Limits { short: 0, whole, moved });
    let limits: Vec<_> = limits.chain(finer).collect();
    let later = &filters[usize::from(mix.is_none())..];
    let small = later.iter().any(|(one, _)| one.filter.is_nine());
    let mut coarse = [true, false].into_iter().filter(|coarse| small && !whole || !coarse);
    coarse.find_map(|coarse| {
        let mut all = limits.iter();
        all.find_map(|limits| {
            words_with((mix, filters), first.as_ref(), allowed, (*limits, coarse))
        })
    })
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
    addend.bound += off * f64::from(-i32::from(i16::MIN)) * addend.unit.abs();
    (addend.unit, addend.zero) = (unit, addend.zero * unit / addend.unit);
    (off < MOST_OFF && unit <= 1.0).then_some(addend)
}

/// Taps on the longer side of a filter's kernel.
pub(super) fn longer_side(filter: &Filter) -> usize {
    let kernel = &filter.kernels()[0];
    kernel.width().max(kernel.height())
}

/// The same within limits; rows may be so `coarse` that sums of 3×3 whole taps have 16 bits.
fn words_with(
    (mix, filters): (Option<&Pointwise>, &[Planned<'_>]),
    first: Option<&Addend>,
    allowed: f64,
    (limits, coarse): (Limits, bool),
) -> Option<Words> {
    let whole = limits.whole;
    let mut stages = Vec::with_capacity(1 + filters.len());
    // What reaches a filter.
    let mut given = Given { range: (0.0, 255.0), error: 0.0, bits: 0, zero: 0.0 };
    // What all filters so far make of noise, and of a constant image.
    let (mut noise, mut total) = (Noise::default(), 1.0);
    if let Some(Addend { stage, unit, zero, bound, noise: own, .. }) = first {
        let range = results(&stage.filter, given.range);
        given = Given { range, error: *bound, bits: -unit.log2() as u32, zero: *zero };
        (noise, total) = (*own, sum_and_squares(&stage.filter).0);
        let arithmetic = Proved { bound: bound / unit, ..stage.arithmetic.clone() };
        stages.push(Stage::Filter(FilterStage { arithmetic, ..stage.clone() }.into()));
    }
    let left = &filters[stages.len()..];
    // Whether all values are whole numbers, and exact, but for borders' constants: then nothing is halfway.
    let mut integers = mix.is_none() && first.is_none();
    // What the filters that are left may multiply an error by.
    let mut gains: f64 = left.iter().map(|(one, _)| gain(&one.filter)).product();
    if let Some(mix) = mix {
        let after = weighted(mix.weights(), mix.bias(), given.range);
        let room = Room::before(left.first(), after, coarse, limits);
        let room = Room { shifts: left.len() == 1, ..room };
        let level = left.first()?.0.level;
        let (made, on) = finest(0.0, room, limits, &|bits, zero| of_mix(mix, level, (bits, zero)))?;
        let own = made.noise.in_units(f64::from(on.bits).exp2(), 1.0);
        let rows = if whole { Noise::default() } else { rounded_rows(made.parts, &on, false) };
        (noise, total) = (rows.after(own, 0.0, 1.0, 1.0), largest_sum(mix));
        stages.push(made.stage);
        given = on;
    }
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
        let next = left.get(i + 1);
        let last = next.is_none();
        let room = Room::before(next, results(filter, given.range), coarse, limits);
        // Rows after the next filter have fraction bits of their own: its sums are not rounded.
        let shifts = filter.get_post() == Post::None && i + 2 == left.len();
        let room = Room { shifts, last, ..room };
        let carried = given.error * gain(filter);
        let (made, on) = finest(carried, room, limits, &|bits, zero| {
            stage(one, facts, given, (bits, zero), limits)
        })?;
        gains /= gain(filter);
        if on.error * gains >= allowed {
            return None;
        }
        integers &= facts.whole && made.bound == 0.0 && on.zero == 0.0;
        let (sum, squares) = sum_and_squares(filter);
        let own = if integers { Noise::default() } else { made.noise };
        let own = own.in_units(f64::from(on.bits).exp2(), from);
        let rows = match filter.get_post() {
            // Nothing is known of roots.
            Post::Magnitude if last => Noise::default(),
            _ if whole || integers => Noise::default(),
            _ => rounded_rows(made.parts, &on, last),
        };
        noise = rows.after(own.after(noise, total, sum, squares), total * sum, 1.0, 1.0);
        total *= sum;
        stages.push(made.stage);
        given = on;
    }
    let fair = noise.is_fair_of_chain(total);
    (given.error < allowed && fair).then_some(Words { stages, bound: given.error, noise })
}

/// What rounding to rows, or at `last` to samples, makes of noise: exact sums halfway between two go upwards; what rounded
/// ones do is made up for. Samples are meant to be rounded.
fn rounded_rows(parts: Option<f64>, Given { bits, zero, .. }: &Given, last: bool) -> Noise {
    let halves = match parts {
        Some(1.0) if *zero == 0.0 => return Noise::default(),
        Some(parts) if *zero != 0.0 || parts % 2.0 == 0.0 => 0.5 / parts,
        _ => 0.0,
    };
    let (unit, variance) = (f64::from(*bits).exp2(), if last { 0.0 } else { 1.0 / 12.0 });
    Noise::new(0.0, 0.0, (0.0, 0.0), (halves, variance)).in_units(unit, 1.0)
}

/// How many parts of results exact sums come in; `None` if they are rounded before, or what halves do is known already.
fn parts(stage: &FilterStage) -> Option<f64> {
    let sums = &stage.arithmetic;
    match sums.arithmetic {
        Arithmetic::I16Rounded => None,
        Arithmetic::RunningI32 => {
            // Sums of whole numbers, times what all taps are. More parts than are looked for do not show.
            let kernel = &stage.filter.kernels()[0];
            let count = kernel.taps().len() as f64;
            let tap = kernel.sum() * stage.filter.get_scale() / count;
            parts_of(&[tap]).map(f64::from)
        }
        // Sums of whole numbers, times a factor.
        _ if matches!(stage.pass, Pass::Runs(_)) && sums.bound > 0.0 => None,
        Arithmetic::I16 if sums.bits.1 > 0 || stage.finish.fixed[0].multiplies() => None,
        _ => Some(f64::from(sums.bits.1).exp2()),
    }
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

/// What rows after a stage must hold: results of a range, and constants of at most that magnitude beside them; after
/// the `last` one are samples, which are limited as they are stored. Sums of the `next` filter are to have 16 bits.
#[derive(Clone, Copy)]
struct Room<'a> {
    after: (f64, f64),
    beside: f64,
    last: bool,
    next: Option<Planned<'a>>,
    /// Whether a 0 of rows may stand for something else than 0.
    shifts: bool,
}

impl<'a> Room<'a> {
    /// The room before the `next` filter, if there is one, where rows may be as `coarse` as its sums need.
    fn before(next: Option<&Planned<'a>>, after: (f64, f64), coarse: bool, limits: Limits) -> Self {
        let borders = next.map(|(next, _)| next.filter.get_borders());
        let beside = borders.map_or(0.0, |(x, y)| {
            x.constants().iter().chain(y.constants()).fold(0.0, |most: f64, v| most.max(v.abs()))
        });
        let next = next.copied().filter(|next| coarse && has_sums(*next, after, limits));
        Self { after, beside, last: false, next, shifts: false }
    }
}

/// A stage, and what is known of its results, in units of the rows that it writes.
struct Made {
    stage: Stage,
    bound: f64,
    /// See [`parts`].
    parts: Option<f64>,
    noise: Noise,
}

/// Whether a filter of rows of such a range has exact sums of 16 bits, if rows are coarse enough.
fn has_sums(next: Planned<'_>, range: (f64, f64), limits: Limits) -> bool {
    let given = Given { range, error: 0.0, bits: 0, zero: 0.0 };
    next.0.filter.is_nine() && bias_of_sums(next, given, limits).is_some()
}

/// What such sums make of the mean of results, in units of samples, if they have 16 bits.
fn bias_of_sums((one, facts): Planned<'_>, given: Given, limits: Limits) -> Option<f64> {
    let made = stage(one, facts, given, (0, 0.0), limits)?;
    made.stage.filter().is_some_and(are_sums).then_some(made.noise.bias)
}

/// Whether a stage has exact sums of rows of 16 bits, in 16 bits.
fn are_sums(stage: &FilterStage) -> bool {
    stage.types.0 == SampleType::I16 && stage.arithmetic.arithmetic == Arithmetic::I16
}

/// What a 0 of rows before a filter may stand for, so that its sums have 16 bits; first what is better for the mean of its
/// results: 0, or what lies halfway between two rows.
fn zeros(next: Planned<'_>, on: Given, shifts: bool, limits: Limits) -> Vec<f64> {
    let halfway = if shifts { 0.5 / f64::from(on.bits).exp2() } else { 0.0 };
    let bias = |zero| Some((bias_of_sums(next, Given { zero, ..on }, limits)?.abs(), zero));
    let mut found: Vec<_> = [0.0, halfway].into_iter().filter_map(bias).collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().map(|(_, zero)| zero).collect()
}

/// A stage that is made for rows with so many fraction bits, whose 0 stands for so much: that with the most of them that
/// there is room for, and what reaches the next filter. Errors that reach the stage are `carried` to its results.
fn finest(
    carried: f64,
    Room { after, beside, last, next, shifts }: Room<'_>,
    limits: Limits,
    make: &dyn Fn(u32, f64) -> Option<Made>,
) -> Option<(Made, Given)> {
    let largest = after.1.max(-after.0);
    let most = if limits.whole || last { 0 } else { MOST_BITS };
    (0..=most).rev().find_map(|bits| {
        let unit = f64::from(bits).exp2();
        if !last && largest.max(beside) * unit > 32767.0 {
            return None;
        }
        let mut on = Given { range: after, error: carried + 1.0 / unit, bits, zero: 0.0 };
        let zeros = next.map_or_else(|| vec![0.0], |next| zeros(next, on, shifts, limits));
        let made = zeros.into_iter().find_map(|zero| {
            on.zero = zero;
            // Whole numbers are right as they are.
            make(bits, zero).filter(|made| zero == 0.0 || made.parts != Some(1.0))
        })?;
        if limits.whole && made.bound > 0.0 {
            return None;
        }
        let rounding = if limits.whole || last { 0.0 } else { 0.5 };
        on.error = carried + (made.bound + rounding) / unit;
        (last || (largest + on.error) * unit + 1.5 <= 32767.0).then_some((made, on))
    })
}

/// The largest magnitude of a sum of an output's weights.
fn largest_sum(mix: &Pointwise) -> f64 {
    let no_bias = vec![0.0; mix.output_channels()];
    let (least, most) = weighted(mix.weights(), &no_bias, (1.0, 1.0));
    most.max(-least)
}

/// A mix of bytes that makes such rows.
fn of_mix(mix: &Pointwise, level: Level, (bits, zero): (u32, f64)) -> Option<Made> {
    let lanes = (level.lanes(), level.parts());
    let weights = ColourWeights::rows(mix.weights(), mix.bias(), lanes, (bits, zero))?;
    let unit = f64::from(bits).exp2();
    let noise = Noise::new(weights.gain() * unit, 0.0, (0.0, 255.0), (0.0, 0.0));
    let parts = Some(f64::from(weights.divides()).exp2());
    Some(Made { bound: weights.error() * unit, stage: Stage::Colour(weights), parts, noise })
}

/// A filter of `u8` images alone, with rows of 16 bits after it: their fraction bits, its bound and what it makes of
/// noise, in levels. Sums of up to `short` taps a side may have 16 bits.
pub(super) fn of_one(
    one: &FilterStage,
    facts: &FilterFacts,
    short: usize,
) -> Option<(FilterStage, u32, f64, Noise)> {
    let given = Given { range: (0.0, 255.0), error: 0.0, bits: 0, zero: 0.0 };
    let limits = Limits { short, whole: false, moved: 0 };
    let room = Room::before(None, results(&one.filter, given.range), false, limits);
    let (made, on) =
        finest(0.0, room, limits, &|bits, zero| stage(one, facts, given, (bits, zero), limits))?;
    let own = made.noise.in_units(f64::from(on.bits).exp2(), 1.0);
    let noise = rounded_rows(made.parts, &on, false).after(own, 0.0, 1.0, 1.0);
    let Stage::Filter(stage) = made.stage else { return None };
    Some((*stage, on.bits, on.error, noise))
}

/// A filter from such rows to rows with so many fraction bits, whose 0 stands for so much.
fn stage(
    one: &FilterStage,
    facts: &FilterFacts,
    Given { range, error, bits, zero }: Given,
    (out, out_zero): (u32, f64),
    limits: Limits,
) -> Option<Made> {
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
    let offset = (filter.get_offset() + zero * sum - out_zero) * to;
    let scale = filter.get_scale() * to / from;
    let filter = filter.scale(scale).offset(offset).borders(scaled(border_x), scaled(border_y));
    let rows = |t: SampleType| if t == SampleType::F32 { SampleType::I16 } else { t };
    let types = (rows(one.types.0), rows(one.types.1));
    let (low, high) = (range.0 - zero - error, range.1 - zero + error);
    let spec = Spec {
        filter: &filter,
        channels: one.input.channels,
        source: types.0,
        output: types.1,
        rows: ((low * from).floor(), (high * from).ceil()),
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
    let separable = facts.method == Method::Separable;
    let separations = separable.then(|| facts.separations.of(&one.filter));
    let (pass, arithmetic, finish) = between(&spec, separations, limits)?;
    let (bound, noise) = (arithmetic.bound, arithmetic.noise);
    let axes = filter.axes(one.input);
    let stage = FilterStage { filter, axes, types, pass, arithmetic, finish, ..one.clone() };
    Some(Made { bound, parts: parts(&stage), stage: Stage::Filter(stage.into()), noise })
}
