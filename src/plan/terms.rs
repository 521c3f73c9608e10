//! Kernels that are known as sums of others: an unsharp mask is the image twice less a Gaussian, a difference of Gaussians
//! is two of them. Each term is a filter of its own, with the pass that is best for it. Its rows are not rounded to
//! samples; they have 16 bits where that is good enough, and are `f32` otherwise. What they add up to is rounded once.
//!
//! A kernel that nothing is known of may be the sum of few products all the same: then these are the terms.

use super::Pass;
use super::arithmetic::noise::{self, errors_and_squares};
use super::arithmetic::{Arithmetic, Noise, Proved, SHORT, Task, U, abs_sum, pack, with_identity};
use super::choose::{may_leave, separable_cost};
use super::filter::{FilterStage, Setting, of_passes};
use super::multirate;
use super::words;
use crate::border::Border;
use crate::filter::{Filter, Method, Post};
use crate::geometry::Axis;
use crate::kernel::{Kernel, Separation};
use crate::pass::{Finish, Fixed, MOST_ROWS, SAMPLE_BITS, Taps};
use crate::sample::SampleType;
use crate::view::Shape;

/// Taps of a direct pass, per tap of the terms' passes, from which terms are faster.
const TAPS_EACH: usize = 3;
/// Taps of kernels that are faster directly all the same.
const FEW_TAPS: usize = 25;

/// Most products that a kernel is taken apart to: more take longer than transforms, or a direct pass.
const MOST_PRODUCTS: usize = 4;
/// What it takes to make a term's rows and to add them, beside its taps, in nanoseconds for a sample.
const EACH: f64 = 0.13;

/// The part of the error that is allowed which terms at two rates may have together.
const ALL_TERMS: f64 = 0.95;

/// What the outermost taps of terms may come to, together, to be left out: so much of a level.
const TAILS: f64 = 1.0 / 16.0;

/// Fraction bits of sums at most.
const SUM_BITS: u32 = 22;

/// What a sum is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    /// Filters whose rows are added.
    pub stages: Vec<TermStage>,
    /// What the pixel under the anchor is multiplied by.
    pub identity: f32,
    /// Where all rows have 16 bits: what the pixel's sample, times 2^[`SAMPLE_BITS`], and they are multiplied by, in pairs.
    pub pairs: Option<Taps>,
    /// Where that lies, from an output pixel on.
    pub anchor: (usize, usize),
}

/// One filter of a sum.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TermStage {
    pub stage: FilterStage,
    /// What a 1 of its rows stands for.
    pub unit: f64,
}

/// A term as it was planned, and what was proved about it, in units of the sum.
#[derive(Clone)]
struct Planned {
    term: TermStage,
    /// What a 0 of its rows stands for.
    zero: f64,
    /// What its rows change by from a sample to the next of a constant image.
    slope: f64,
    bound: f64,
    noise: Noise,
}

impl Planned {
    fn of_addend(addend: multirate::Addend) -> Self {
        let multirate::Addend { stage, unit, zero, slope, bound, noise } = addend;
        Self { term: TermStage { stage, unit }, zero, slope, bound, noise }
    }
}

/// Whether a kernel's terms are faster than its taps.
pub(super) fn pays(kernel: &Kernel) -> bool {
    let taps = kernel.taps().len();
    let terms = kernel.terms();
    !terms.is_empty() && taps > FEW_TAPS && TAPS_EACH * multiplications(kernel) < taps
}

/// Multiplications of a kernel's terms for each sample: those of both passes, or of the taps of what is no product.
pub(super) fn multiplications(kernel: &Kernel) -> usize {
    let of = |term: &Kernel| match term.factors() {
        Some((column, row)) => of_passes(column.len(), row.len()),
        None => term.taps().len(),
    };
    kernel.terms().iter().map(of).sum()
}

/// How many times a kernel has the pixel under its anchor as a term of its own.
pub(super) fn identity(kernel: &Kernel) -> f64 {
    kernel.terms().iter().filter(|term| term.taps().len() == 1).map(|term| term.taps()[0]).sum()
}

/// Whether to look for products that a filter's kernel is the sum of.
pub(super) fn may_split(filter: &Filter, chained: bool) -> bool {
    let [kernel] = filter.kernels() else { return false };
    match filter.get_method() {
        Method::Terms => true,
        // Between others, rows of 16 bits are faster.
        Method::Auto => !chained && kernel.taps().len() > FEW_TAPS,
        _ => false,
    }
}

/// The filter's only kernel as the sum of its terms, or of two to four products, if that keeps the contract of `task`, and
/// what it takes for a sample, in nanoseconds.
pub(super) fn products(
    task: &Task<'_>,
    input: Shape,
    types: (SampleType, SampleType),
    setting: Setting,
) -> Option<(f64, (Pass, Proved, Finish))> {
    let [kernel] = task.filter.kernels() else { return None };
    if task.must_be_exact() {
        return None;
    }
    let parts = match kernel.terms() {
        [] => {
            let few = Separation::of_few(kernel, MOST_PRODUCTS, may_leave(task, kernel))?;
            let (x, y) = kernel.anchor();
            let parts = few.iter().map(|term| term.to_kernel()?.with_anchor(x, y));
            &parts.collect::<Result<Vec<_>, _>>().ok()?
        }
        // What is only cheaper may be less exact: of integers it does not show.
        _ if task.float_source() || task.float_output() => return None,
        known => known,
    };
    let found = terms(task, parts, input, types, setting)?;
    let cost = match &found {
        (Pass::Terms(terms), ..) => terms.cost(),
        // Each pass folds its taps.
        (_, proved, _) => {
            let taps = kernel.width() + kernel.height();
            separable_cost(proved.arithmetic) * taps as f64
        }
    };
    Some((cost, found))
}

/// The kernel of `task`, which is the sum of these, as a pass, if the contract is kept.
pub(super) fn terms(
    task: &Task<'_>,
    parts: &[Kernel],
    input: Shape,
    types: (SampleType, SampleType),
    setting: Setting,
) -> Option<(Pass, Proved, Finish)> {
    let filter = task.filter;
    let [kernel] = filter.kernels() else { return None };
    let (identities, others): (Vec<_>, Vec<_>) =
        parts.iter().partition(|term| term.taps().len() == 1);
    if others.is_empty() || others.len() > MOST_ROWS {
        return None;
    }
    let (border_x, border_y) = filter.get_borders();
    let valid = matches!(border_x, Border::Valid) || matches!(border_y, Border::Valid);
    let scale = filter.get_scale();
    let filters = others.iter().map(|term| {
        // Without a border, the window of the sum decides which pixels there are.
        let size = (kernel.width(), kernel.height());
        let term =
            if valid { term.embedded(size.0, size.1, kernel.anchor()) } else { (*term).clone() };
        Filter::new(term).scale(scale).borders(border_x.clone(), border_y.clone())
    });
    let filters: Vec<_> = filters.collect();
    let times = identities.iter().map(|term| term.taps()[0]).sum::<f64>();
    let identity = times * scale;
    let range = task.range();
    // What the terms leave out of the kernel, and how large they are.
    let sum = Kernel::sum_of(parts).ok()?;
    let sum = sum.embedded(kernel.width(), kernel.height(), kernel.anchor());
    let left: f64 = kernel.taps().iter().zip(sum.taps()).map(|(tap, sum)| (tap - sum).abs()).sum();
    let (more, squares) = errors_and_squares(kernel.taps(), sum.taps(), 1.0);
    let size = parts.iter().map(Kernel::abs_sum).sum::<f64>() * scale.abs();
    let value = range * size + task.offset().abs() + 1.0;
    // Offset and identity, its product, every unit and sum, and that with the ½.
    let roundings = 2 * filters.len() + 5;
    let [axis_x, axis_y] = filter.axes(input);
    let anchor = kernel.anchor();
    let anchor = (anchor.0 - axis_x.before, anchor.1 - axis_y.before);
    let sum_of = |planned: &[Planned], pairs: Option<Pairs>| {
        let zeros = planned.iter().map(|planned| planned.zero).sum::<f64>();
        let mut finish = Finish { offset: task.offset() + zeros, ..task.finish() };
        // What is rounded as it is added up: taps, or everything.
        let (mut proved, rounded, own) = match &pairs {
            Some(pairs) => {
                let bits = (SAMPLE_BITS, pairs.bits);
                let unit = f64::from(pairs.bits).exp2();
                let half = if task.filter.get_post() == Post::Abs { 0.0 } else { 0.5 };
                let start = ((finish.offset + half) * unit).round() as i32;
                finish.fixed[0] = Fixed { shift: pairs.bits, start, ..Fixed::default() };
                let proved = Proved {
                    bits,
                    peak: value * unit,
                    ..task.arithmetic(Arithmetic::I16Pairs, 0.0)
                };
                (proved, pairs.bound, pairs.noise)
            }
            None => {
                let gain = f64::from(identity as f32) - identity;
                let variance = noise::roundings(roundings, value);
                let own = Noise::new(gain, gain * gain, (0.0, range), (0.0, variance));
                (task.arithmetic(Arithmetic::F32, 0.0), roundings as f64 * U * value, own)
            }
        };
        let bounds = planned.iter().map(|term| term.bound).sum::<f64>();
        proved.bound = bounds + rounded + left * scale.abs() * range + task.carried(identity.abs());
        if !proved.relative {
            let gone = Noise::new(more * scale, squares * scale * scale, (0.0, range), (0.0, 0.0));
            let own = gone.after(own, 1.0, 1.0, 1.0);
            proved.noise =
                planned.iter().fold(own, |sum, term| term.noise.after(sum, 1.0, 1.0, 1.0));
        }
        let stages = planned.iter().map(|planned| planned.term.clone()).collect();
        let pairs = pairs.map(|pairs| Taps::I32(pack(&pairs.taps)));
        let terms = Terms { stages, identity: identity as f32, pairs, anchor };
        task.takes(&proved).then_some((Pass::Terms(terms), proved, finish))
    };
    let found = |precise| {
        let setting = Setting { chained: true, precise, ..setting };
        let planned =
            filters.iter().map(|filter| of_floats(filter, input, types.0, setting, range));
        planned.collect::<Option<Vec<_>>>().and_then(|planned| sum_of(&planned, None))
    };
    // With a tolerance, terms at two rates are off by no more than that says.
    let given = filter.get_tolerance().map(|tolerance| tolerance * range);
    let share = given.map_or(task.allowed(), |given| given.min(task.allowed())) * ALL_TERMS
        / filters.len() as f64;
    // Of each factor of each term, and as much again for what makes up for it.
    let tails = given.map_or(TAILS, |given| given.min(TAILS)) / (4 * filters.len()) as f64;
    // Without a border, windows that are shorter would lie elsewhere.
    let tails = (!valid).then(|| tails / range / scale.abs());
    let bytes = types.0 == SampleType::U8 && !task.float_source() && !task.float_output();
    let chained = Setting { chained: true, ..setting };
    let addend = |filter| multirate::addend(filter, input, chained, share).map(Planned::of_addend);
    let addends: Vec<_> = filters.iter().filter(|_| bytes).map(addend).collect();
    let in_16_bits = |short: usize| {
        let planned = filters.iter().zip(&addends).map(|(filter, addend)| {
            addend.clone().or_else(|| in_words(filter, input, chained, short, tails))
        });
        let planned = planned.collect::<Option<Vec<_>>>()?;
        let narrow = matches!(types.1, SampleType::U8 | SampleType::I16);
        let pairs = Pairs::new(identity, &planned, value).filter(|_| narrow && task.has_bytes());
        let paired = pairs.and_then(|pairs| sum_of(&planned, Some(pairs)));
        paired.or_else(|| sum_of(&planned, None))
    };
    let with_identity = || {
        let ([one], [_]) = (&others[..], &identities[..]) else { return None };
        let place = |k: &Kernel| (k.width(), k.height(), k.anchor());
        let slow = place(one) == place(kernel) && one.factors().is_some() && addends[0].is_none();
        let mut found = if slow { with_identity(task, one, times) } else { None };
        if let Some((_, proved, _)) = &mut found {
            proved.bound += left * scale.abs() * range;
        }
        found.filter(|(_, proved, _)| task.takes(proved))
    };
    if bytes && let Some(found) = with_identity() {
        return Some(found);
    }
    let short = if bytes { SHORT.iter().find_map(|&taps| in_16_bits(taps)) } else { None };
    let float = || if setting.precise { None } else { found(false) };
    short.or_else(float).or_else(|| found(true))
}

/// A product without the outermost taps of its factors, where they come to no more than `most`: terms are as long as
/// the longest of them, where a narrow Gaussian has long become too small to show.
fn cut(term: &Kernel, most: f64) -> Kernel {
    let shorter = || {
        let (column, row) = term.factors()?;
        let (x, y) = term.anchor();
        let (above, inner_column) = inner(column, y, most / abs_sum(row));
        let (left, inner_row) = inner(row, x, most / abs_sum(column));
        let shorter = Kernel::separable(&inner_column, &inner_row).ok()?;
        shorter.with_anchor(x - left, y - above).ok().filter(|_| above + left > 0)
    };
    shorter().unwrap_or_else(|| term.clone())
}

/// The taps around an anchor but for as many at each end as come to no more than `most`, and how many these are. The
/// others make up for their sum.
fn inner(taps: &[f64], anchor: usize, most: f64) -> (usize, Vec<f64>) {
    let last = taps.len() - 1;
    let (mut ends, mut tails) = (0, 0.0);
    while ends < anchor.min(last - anchor) {
        tails += taps[ends].abs() + taps[last - ends].abs();
        if tails > most {
            break;
        }
        ends += 1;
    }
    let kept = &taps[ends..=last - ends];
    let times = taps.iter().sum::<f64>() / kept.iter().sum::<f64>();
    let times = if (times - 1.0).abs() < 0.01 { times } else { 1.0 };
    (ends, kept.iter().map(|tap| tap * times).collect())
}

/// A term whose rows are `f32`.
fn of_floats(
    filter: &Filter,
    input: Shape,
    source: SampleType,
    setting: Setting,
    range: f64,
) -> Option<Planned> {
    let (stage, facts) =
        FilterStage::new(filter, input, (source, SampleType::F32), setting).ok()?;
    let term = TermStage { stage: stage?, unit: 1.0 };
    Some(Planned {
        term,
        zero: 0.0,
        slope: 1.0,
        bound: facts.arithmetic.bound * range,
        noise: Noise::default(),
    })
}

/// A term of `u8` images whose rows have 16 bits.
fn in_words(
    filter: &Filter,
    input: Shape,
    setting: Setting,
    short: usize,
    tails: Option<f64>,
) -> Option<Planned> {
    let (kernel, scale) = (&filter.kernels()[0], filter.get_scale());
    let shorter = tails.map_or_else(|| kernel.clone(), |tails| cut(kernel, tails));
    let (border_x, border_y) = filter.get_borders();
    let one = Filter::new(shorter.clone()).scale(scale).borders(border_x.clone(), border_y.clone());
    let types = (SampleType::U8, SampleType::F32);
    let (stage, facts) = FilterStage::new(&one, input, types, setting).ok()?;
    let (stage, bits, mut bound, mut noise) = words::of_one(&stage?, &facts, short)?;
    if shorter != *kernel {
        let left = shorter.embedded(kernel.width(), kernel.height(), kernel.anchor());
        let pairs = kernel.taps().iter().zip(left.taps());
        bound += 255.0 * scale.abs() * pairs.map(|(tap, left)| (tap - left).abs()).sum::<f64>();
        let (more, squares) = errors_and_squares(kernel.taps(), left.taps(), 1.0);
        let gone = Noise::new(more * scale, squares * scale * scale, (0.0, 255.0), (0.0, 0.0));
        noise = gone.after(noise, 1.0, 1.0, 1.0);
    }
    let unit = (-f64::from(bits)).exp2();
    let slope = kernel.sum() * scale / unit;
    Some(Planned { term: TermStage { stage, unit }, zero: 0.0, slope, bound, noise })
}

/// How samples and rows of 16 bits are added in pairs of products.
struct Pairs {
    /// Of the samples, if they have a part, and of each term's rows, in units of 2^−bits.
    taps: Vec<f64>,
    bits: u32,
    /// How far that may be from exact, and what it makes of noise.
    bound: f64,
    noise: Noise,
}

impl Pairs {
    /// With as many bits as taps of 16 bits, and sums of at most `value` in 32, have room for.
    fn new(identity: f64, planned: &[Planned], value: f64) -> Option<Self> {
        let scale = f64::from(SAMPLE_BITS).exp2();
        // Each with its slope, and what its rows are less than that times the sample.
        let source = (identity != 0.0).then_some((identity / scale, scale, 0.0));
        let rows = planned.iter().map(|p| (p.term.unit, p.slope, p.zero / p.term.unit));
        let all: Vec<_> = source.into_iter().chain(rows).collect();
        let largest = all.iter().fold(0.0f64, |most, (unit, ..)| most.max(unit.abs()));
        let fits = |bits: &u32| {
            let unit = f64::from(*bits).exp2();
            largest * unit <= 32767.0 && (value + 1.0) * unit < 2f64.powi(31)
        };
        let bits = (0..=SUM_BITS).rev().find(fits)?;
        let unit = f64::from(bits).exp2();
        let taps: Vec<f64> = all.iter().map(|(tap, ..)| (tap * unit).round()).collect();
        // Where sums start is rounded, too.
        let (mut bound, mut gain, mut mean, mut squares) = (0.5 / unit, 0.0, 0.0, 0.0);
        for (&q, (tap, slope, less)) in taps.iter().zip(all) {
            let off = q / unit - tap;
            bound += off.abs() * 32768.0;
            gain += off * slope;
            mean -= off * less;
            squares += (off * slope).powi(2);
        }
        let noise = Noise::new(gain, squares, (0.0, 255.0), (mean, 0.0));
        Some(Self { taps, bits, bound, noise })
    }
}

impl Terms {
    /// What all of them read on the axes of an image.
    pub fn axes(&self, filter: &Filter, input: Shape) -> [Axis; 2] {
        let mut axes = filter.axes(input);
        for term in &self.stages {
            axes.iter_mut().zip(&term.stage.axes).for_each(|(axis, term)| axis.join(term));
        }
        axes
    }

    /// What all of it takes for a sample, in nanoseconds.
    fn cost(&self) -> f64 {
        let of = |stage: &FilterStage| {
            separable_cost(stage.arithmetic.arithmetic) * stage.operations().additions + EACH
        };
        self.stages.iter().map(|term| of(&term.stage)).sum()
    }

    /// Multiplications per sample.
    pub fn multiplications(&self) -> usize {
        let identity = usize::from(self.identity != 0.0);
        self.stages.iter().map(|term| term.stage.multiplications()).sum::<usize>() + identity
    }

    /// What is done to rows, first to last.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (i, TermStage { stage, .. }) in self.stages.iter().enumerate() {
            let arithmetic = stage.arithmetic.arithmetic;
            for line in stage.describe() {
                lines.push(format!("term {}: {line}, {arithmetic}", i + 1));
            }
        }
        let identity = match self.identity {
            0.0 => String::new(),
            times => format!(" and {times} × the image"),
        };
        let terms = if self.stages.len() == 1 { "term" } else { "terms" };
        let arithmetic = if self.pairs.is_some() { Arithmetic::I16Pairs } else { Arithmetic::F32 };
        lines.push(format!("sum of {} {terms}{identity}, {arithmetic}", self.stages.len()));
        lines
    }
}

/// Whether a filter may be done term by term.
pub(super) fn may(filter: &Filter) -> bool {
    let [kernel] = filter.kernels() else { return false };
    match filter.get_method() {
        Method::Terms => !kernel.terms().is_empty(),
        Method::Auto => pays(kernel),
        _ => false,
    }
}
