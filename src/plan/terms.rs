//! Kernels that are known as sums of others: an unsharp mask is the image twice less a Gaussian, a difference of Gaussians
//! is two of them. Each term is a filter of its own, with the pass that is best for it. Its rows are not rounded to
//! samples; they have 16 bits where that is good enough, and are `f32` otherwise. What they add up to is rounded once.
//! One product beside the image needs no such rows: its row pass adds the samples to its sums.
//!
//! A kernel that nothing is known of may be the sum of few products all the same: then these are the terms.

use super::Pass;
use super::arithmetic::noise::{self, errors_and_squares};
use super::arithmetic::{
    Allowance, Arithmetic, Choice, Noise, Proved, Spec, Transforms, U, abs_sum,
    float_with_identity, pack, running, shorts, with_identity,
};
use super::costs::separable_cost;
use super::filter::{FilterFacts, FilterStage, Setting, of_terms, under_anchor};
use super::multirate;
use super::words;
use crate::border::Border;
use crate::filter::{Filter, Method, Post};
use crate::geometry::Axis;
use crate::kernel::{Kernel, Separation};
use crate::pass::{Finish, Fixed, MOST_ROWS, SAMPLE_BITS, Taps};
use crate::sample::SampleType;
use crate::view::Shape;

/// Taps of a direct pass, per tap of the terms' passes, from which terms clearly pay.
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
    /// Where rows of 16 bits become results that fit them: what the pixel's sample, times 2^[`SAMPLE_BITS`], and the rows
    /// are multiplied by, in pairs. Otherwise they are added in `f32`.
    pub pairs: Option<Taps>,
    /// Where that pixel lies, from an output pixel on.
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
    !terms.is_empty() && taps > FEW_TAPS && TAPS_EACH * of_terms(kernel) < taps
}

/// Whether to weigh a filter's terms, or products that its kernel may be the sum of, against other methods. Terms that
/// clearly pay were tried before.
pub(super) fn may_split(filter: &Filter, chained: bool) -> bool {
    let [kernel] = filter.kernels() else { return false };
    match filter.get_method() {
        Method::Terms => kernel.terms().is_empty(),
        // Between others, rows of 16 bits are faster.
        Method::Auto => !chained && kernel.taps().len() > FEW_TAPS && !pays(kernel),
        _ => false,
    }
}

/// The filter's only kernel as the sum of its terms, or of two to four products, if that keeps the contract of `spec`, and
/// what it takes for a sample, in nanoseconds.
pub(super) fn products(
    spec: &Spec<'_>,
    input: Shape,
    types: (SampleType, SampleType),
    setting: Setting,
) -> Option<(f64, Choice)> {
    let [kernel] = spec.filter.kernels() else { return None };
    if spec.must_be_exact() {
        return None;
    }
    let parts = match kernel.terms() {
        [] => {
            let few = Separation::of_few(kernel, MOST_PRODUCTS, spec.may_leave(kernel))?;
            let (x, y) = kernel.anchor();
            let parts = few.iter().map(|term| term.to_kernel()?.with_anchor(x, y));
            &parts.collect::<Result<Vec<_>, _>>().ok()?
        }
        // Terms of floats that cancel are less exact than the kernel's taps.
        _ if spec.float_source() || spec.float_output() => return None,
        known => known,
    };
    let found = terms(spec, parts, input, types, setting)?;
    let cost = match &found {
        (Pass::Terms(terms), ..) => terms.cost(),
        (_, proved, _) => {
            let taps = kernel.width() + kernel.height();
            separable_cost(proved.arithmetic) * taps as f64
        }
    };
    Some((cost, found))
}

/// The kernel of `spec`, which is the sum of these, as a pass, if the contract is kept.
pub(super) fn terms(
    spec: &Spec<'_>,
    parts: &[Kernel],
    input: Shape,
    types: (SampleType, SampleType),
    setting: Setting,
) -> Option<Choice> {
    let sum = Summands::new(spec, parts, input, types, setting)?;
    if types.0 == SampleType::U8 && !spec.float_source() && !spec.float_output() {
        let addends = sum.at_two_rates();
        let found = sum.in_two_passes(&addends, with_identity).or_else(|| sum.of_words(&addends));
        if found.is_some() {
            return found;
        }
    }
    if setting.precise {
        return sum.of_floats(true);
    }
    let rates = setting.allowance.and_then(|_| sum.of_floats(false));
    rates
        .filter(|(pass, ..)| pass.at_two_rates())
        .or_else(|| sum.in_two_passes(&[None], float_with_identity))
        .or_else(|| sum.of_floats(false))
        .or_else(|| sum.of_floats(true))
}

/// What a kernel is the sum of, and what is the same however that is added up.
struct Summands<'a> {
    spec: &'a Spec<'a>,
    input: Shape,
    types: (SampleType, SampleType),
    setting: Setting,
    /// Terms, but for the image itself; and a filter for each.
    kernels: Vec<&'a Kernel>,
    filters: Vec<Filter>,
    /// How many times the image is added, before the filter's scale.
    times: f64,
    /// How far results are off by what the terms leave out of the kernel, and what that makes of noise.
    left: f64,
    gone: Noise,
    /// The largest magnitude of a sum on the way.
    value: f64,
    /// Whether a border leaves out windows that reach beyond the image.
    valid: bool,
}

impl<'a> Summands<'a> {
    fn new(
        spec: &'a Spec<'a>,
        parts: &'a [Kernel],
        input: Shape,
        types: (SampleType, SampleType),
        setting: Setting,
    ) -> Option<Self> {
        let [kernel] = spec.filter.kernels() else { return None };
        let (identities, kernels): (Vec<_>, Vec<_>) =
            parts.iter().partition(|term| term.taps().len() == 1);
        if kernels.is_empty() || kernels.len() > MOST_ROWS {
            return None;
        }
        let (border_x, border_y) = spec.filter.get_borders();
        let valid = matches!(border_x, Border::Valid) || matches!(border_y, Border::Valid);
        let (scale, range) = (spec.filter.get_scale(), spec.range());
        let filters = kernels.iter().map(|term| {
            // Without a border, the window of the sum decides which pixels there are.
            let size = (kernel.width(), kernel.height());
            let term = match valid {
                true => term.embedded(size.0, size.1, kernel.anchor()),
                false => (*term).clone(),
            };
            Filter::new(term).scale(scale).borders(border_x.clone(), border_y.clone())
        });
        let filters = filters.collect();
        let sum = Kernel::sum_of(parts).ok()?;
        let sum = sum.embedded(kernel.width(), kernel.height(), kernel.anchor());
        let (left, gone) = left_out(kernel, &sum, scale, range);
        let size = parts.iter().map(Kernel::abs_sum).sum::<f64>() * scale.abs();
        let value = range * size + spec.offset().abs() + 1.0;
        let times = identities.iter().map(|term| term.taps()[0]).sum();
        Some(Self {
            spec,
            input,
            types,
            setting,
            kernels,
            filters,
            times,
            left,
            gone,
            value,
            valid,
        })
    }

    /// What a term is planned for.
    fn of_term(&self) -> Setting {
        let transforms = Transforms::None;
        Setting { chained: true, allowance: None, transforms, ..self.setting }
    }

    /// How many times the image is added, as results have it.
    fn identity(&self) -> f64 {
        self.times * self.spec.filter.get_scale()
    }

    /// The sum of terms that were planned, in pairs or else in `f32`.
    fn added(&self, planned: &[Planned], pairs: Option<Pairs>) -> Option<Choice> {
        let Self { spec, value, .. } = *self;
        let identity = self.identity();
        if pairs.is_none() && value > 1e30 {
            return None;
        }
        let zeros = planned.iter().map(|planned| planned.zero).sum::<f64>();
        let mut finish = Finish { offset: spec.offset() + zeros, ..spec.finish() };
        // What is rounded as it is added up: taps, or everything.
        let (mut proved, rounded, own) = match &pairs {
            Some(pairs) => {
                let bits = (SAMPLE_BITS, pairs.bits);
                let unit = f64::from(pairs.bits).exp2();
                let half = if spec.filter.get_post() == Post::Abs { 0.0 } else { 0.5 };
                let start = ((finish.offset + half) * unit).round() as i32;
                finish.fixed[0] = Fixed { shift: pairs.bits, start, ..Fixed::default() };
                let arithmetic = spec.arithmetic(Arithmetic::I16Pairs, 0.0);
                (Proved { bits, peak: value * unit, ..arithmetic }, pairs.bound, pairs.noise)
            }
            None => {
                // Offset and identity, its product, every unit and sum, and that with the ½.
                let roundings = 2 * planned.len() + 5;
                let gain = f64::from(identity as f32) - identity;
                let variance = noise::roundings(roundings, value);
                let own = Noise::new(gain, gain * gain, (0.0, spec.range()), (0.0, variance));
                (spec.arithmetic(Arithmetic::F32, 0.0), roundings as f64 * U * value, own)
            }
        };
        let bounds = planned.iter().map(|term| term.bound).sum::<f64>();
        proved.bound = bounds + rounded + self.left + spec.carried(identity.abs());
        if !proved.relative {
            let own = self.gone.after(own, 1.0, 1.0, 1.0);
            proved.noise =
                planned.iter().fold(own, |sum, term| term.noise.after(sum, 1.0, 1.0, 1.0));
        }
        let stages = planned.iter().map(|planned| planned.term.clone()).collect();
        let pairs = pairs.map(|pairs| Taps::I32(pack(&pairs.taps)));
        let anchor = under_anchor(spec.filter, self.input);
        let terms = Terms { stages, identity: identity as f32, pairs, anchor };
        spec.takes(&proved).then_some((Pass::Terms(terms), proved, finish))
    }

    /// Rows of `f32`.
    fn of_floats(&self, precise: bool) -> Option<Choice> {
        let share = self.setting.allowance.map(|all| {
            let error = all.error * ALL_TERMS / self.filters.len() as f64;
            Allowance { error, ..all }
        });
        let setting = Setting { precise, allowance: share, ..self.of_term() };
        let range = self.spec.range();
        let of = |filter| in_floats(filter, self.input, self.types.0, setting, range);
        let planned: Option<Vec<_>> = self.filters.iter().map(of).collect();
        self.added(&planned?, None)
    }

    /// The largest error that is left to methods, in levels, if somebody said so.
    fn tolerance(&self) -> Option<f64> {
        self.spec.filter.get_tolerance().map(|tolerance| tolerance * self.spec.range())
    }

    /// Terms of `u8` images at two rates, where that pays. With a tolerance, they are off by no more than that says.
    fn at_two_rates(&self) -> Vec<Option<Planned>> {
        let allowed = self.spec.allowed();
        let allowed = self.tolerance().map_or(allowed, |given| given.min(allowed));
        let share = allowed * ALL_TERMS / self.filters.len() as f64;
        let Setting { level, opacity, .. } = self.setting;
        let of = |filter| multirate::addend(filter, self.input, (level, opacity), share);
        self.filters.iter().map(|filter| of(filter).map(Planned::of_addend)).collect()
    }

    /// Rows of 16 bits of `u8` images: those at two rates, and others, in the fastest arithmetic in which all of them
    /// together keep the contract.
    fn of_words(&self, addends: &[Option<Planned>]) -> Option<Choice> {
        // Of each factor of each term, and as much again for what makes up for it. Without a border, windows of shorter
        // terms would lie elsewhere.
        let tails = self.tolerance().map_or(TAILS, |given| given.min(TAILS));
        let tails = tails / (4 * self.filters.len()) as f64;
        let tails = tails / self.spec.range() / self.spec.filter.get_scale().abs();
        let tails = (!self.valid).then_some(tails);
        let setting = self.of_term();
        let others = self.filters.iter().zip(addends).map(|(filter, addend)| match addend {
            Some(_) => Some(None),
            None => Alone::new(filter, self.input, setting, tails).map(Some),
        });
        let others = others.collect::<Option<Vec<_>>>()?;
        let sides = others.iter().flatten().map(|alone| words::longer_side(&alone.stage.filter));
        let sides: Vec<_> = sides.collect();
        shorts(&sides).find_map(|short| {
            let planned = others.iter().zip(addends).map(|(other, addend)| match other {
                Some(alone) => alone.in_words(short),
                None => addend.clone(),
            });
            self.of_rows(&planned.collect::<Option<Vec<_>>>()?)
        })
    }

    /// Such rows, once all of them are planned.
    fn of_rows(&self, planned: &[Planned]) -> Option<Choice> {
        let narrow = matches!(self.types.1, SampleType::U8 | SampleType::I16);
        let pairs = Pairs::new(self.identity(), planned, self.value);
        let pairs = pairs.filter(|_| narrow && self.spec.has_bytes());
        let paired = pairs.and_then(|pairs| self.added(planned, Some(pairs)));
        paired.or_else(|| self.added(planned, None))
    }

    /// The image and one product of the kernel's size that is known as one, in two passes that `plan` makes.
    fn in_two_passes(
        &self,
        addends: &[Option<Planned>],
        plan: fn(&Spec<'_>, &Kernel, f64) -> Option<Choice>,
    ) -> Option<Choice> {
        let ([one], [None]) = (&self.kernels[..], addends) else { return None };
        let place = |k: &Kernel| (k.width(), k.height(), k.anchor());
        if self.times == 0.0 || place(one) != place(&self.spec.filter.kernels()[0]) {
            return None;
        }
        one.factors()?;
        // Sums of windows are cheaper than two passes.
        if running(&Spec { filter: &self.filters[0], ..*self.spec }).is_some() {
            return None;
        }
        let (pass, mut proved, finish) = plan(self.spec, one, self.times)?;
        proved.bound += self.left;
        self.spec.takes(&proved).then_some((pass, proved, finish))
    }
}

/// How far sums of samples up to `range` under another kernel's taps, times a scale, may be from a kernel's, and what that
/// makes of noise.
fn left_out(kernel: &Kernel, other: &Kernel, scale: f64, range: f64) -> (f64, Noise) {
    let pairs = kernel.taps().iter().zip(other.taps());
    let left: f64 = pairs.map(|(tap, other)| (tap - other).abs()).sum();
    let (gain, squares) = errors_and_squares(kernel.taps(), other.taps(), 1.0);
    let noise = Noise::new(gain * scale, squares * scale * scale, (0.0, range), (0.0, 0.0));
    (left * scale.abs() * range, noise)
}

/// A product without the outermost taps of its factors, where they come to no more than `most`: terms are as long as
/// the longest of them, where a narrow Gaussian has long become too small to show. `None` if that leaves out nothing.
fn cut(term: &Kernel, most: f64) -> Option<Kernel> {
    let (column, row) = term.factors()?;
    let (x, y) = term.anchor();
    let (above, inner_column) = inner(column, y, most / abs_sum(row));
    let (left, inner_row) = inner(row, x, most / abs_sum(column));
    if above + left == 0 {
        return None;
    }
    Kernel::separable(&inner_column, &inner_row).ok()?.with_anchor(x - left, y - above).ok()
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
fn in_floats(
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

/// A term of `u8` images as a filter alone, without the tails of its kernel.
struct Alone {
    stage: FilterStage,
    facts: FilterFacts,
    /// How far results are off by what was cut, and what that makes of noise; if anything was.
    cut: Option<(f64, Noise)>,
    /// What its results change by from a sample to the next of a constant image.
    slope: f64,
}

impl Alone {
    fn new(filter: &Filter, input: Shape, setting: Setting, tails: Option<f64>) -> Option<Self> {
        let (kernel, scale) = (&filter.kernels()[0], filter.get_scale());
        let shorter = tails.and_then(|tails| cut(kernel, tails));
        let cut = shorter.as_ref().map(|shorter| {
            let shorter = shorter.embedded(kernel.width(), kernel.height(), kernel.anchor());
            left_out(kernel, &shorter, scale, 255.0)
        });
        let (border_x, border_y) = filter.get_borders();
        let of = |k| Filter::new(k).scale(scale).borders(border_x.clone(), border_y.clone());
        let filter = shorter.map_or_else(|| filter.clone(), of);
        let types = (SampleType::U8, SampleType::F32);
        let (stage, facts) = FilterStage::new(&filter, input, types, setting).ok()?;
        Some(Self { stage: stage?, facts, cut, slope: kernel.sum() * scale })
    }

    /// Its rows in 16 bits; if it has no more taps a side than `short`, its sums have 16 bits, too.
    fn in_words(&self, short: usize) -> Option<Planned> {
        let (stage, bits, bound, noise) = words::of_one(&self.stage, &self.facts, short)?;
        let unit = (-f64::from(bits)).exp2();
        let (left, noise) = match self.cut {
            Some((left, gone)) => (left, gone.after(noise, 1.0, 1.0, 1.0)),
            None => (0.0, noise),
        };
        let (slope, bound) = (self.slope / unit, bound + left);
        Some(Planned { term: TermStage { stage, unit }, zero: 0.0, slope, bound, noise })
    }
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
    pub fn cost(&self) -> f64 {
        self.stages.iter().map(|term| term.stage.cost() + EACH).sum()
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
