//! The choice of an arithmetic: for the given taps, which rung is the cheapest whose proven error
//! bound keeps the contract, with the taps in that rung's form.
//!
//! The contract for integer images: the value before rounding is less than 1 from the exact one
//! (so the rounded values differ by at most 1), less than ½ if a constant image must stay
//! constant, and exact if all taps are integers. The bounds are worst cases over all images.
//!
//! Notation: R is the largest sample, c and r are column and row taps, q their quantised integers,
//! ε the quantisation errors. Because samples lie in 0..=R, Σ ε·x = Σ ε·(x − R/2) + R/2·Σ ε, so
//! |Σ ε·x| ≤ R/2·(Σ|ε| + |Σ ε|): half as much where the errors cancel, and taps are quantised so
//! that they do.

mod between;
mod display;
mod noise;
mod rounded;
mod words;

pub(crate) use between::{Freedom, between, sums};
pub(crate) use noise::Noise;

use crate::border::Border;
use crate::filter::{Filter, Post};
use crate::kernel::{Kernel, Separation};
use crate::pass::{self, Finish, Fixed, Nine, RowLevel, RowOrder, Rung as _, Taps};
use crate::plan::Work;
use crate::sample::SampleType;
use crate::simd::Level;

/// The rungs, from cheap to precise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    /// 16-bit integers, exact.
    Words,
    /// 16-bit integers, products rounded: of two passes, the row's, and the column's if it divides.
    WordsHigh,
    /// 16-bit pairs into `i32`.
    Pairs,
    /// `f32`, multiplication and addition rounded apart: the same at every level.
    F32,
    /// `f32` with fused multiply-add where the level has it.
    Fused,
    /// `i32`, exact.
    I32,
    /// Running sums in `i32`, exact, times the common tap in `f32`.
    Running,
    /// Running sums in 16 bits, times the common tap on their way.
    RunningWords,
    /// Sums of blocks in `f32`, times the common tap.
    Blocks,
    /// `f64`.
    Double,
    /// The reference itself.
    Reference,
}

/// A rung and what was proved about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arithmetic {
    pub rung: Rung,
    /// Largest error before rounding, in output units (per unit of input range for `f32` images).
    pub bound: f64,
    /// Fraction bits of the scratch row and of the accumulators, for integers.
    pub bits: (u32, u32),
    /// Largest magnitude that an integer accumulator can reach.
    pub peak: f64,
    /// Whether the bound is per unit of input range.
    pub relative: bool,
    /// What it makes of noise; nothing known is 0.
    pub noise: Noise,
}

/// Taps for two output rows that share a window: what the upper one meets, and the lower one. The
/// window's steps are rows; for paired arithmetic pairs of rows, so that the lower row's taps are
/// paired differently.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    pub taps: [Taps; 2],
    /// The step that the first of them meets.
    pub first: [usize; 2],
}

impl Rows {
    /// What output row `row` of a block meets first, and its taps. They are there for two rows that
    /// follow each other: the next two meet the same, two rows, or a pair of rows, further down.
    pub fn meets<R: pass::Rung>(&self, row: usize) -> (usize, &[R::Tap]) {
        (self.first[row % 2] + row / 2 * (2 / R::PAIRED), R::taps(&self.taps[row % 2]))
    }

    /// A kernel's taps, if it is 3×3 and the arithmetic one that such kernels have a pass for.
    pub fn nine(&self, rung: Rung) -> Option<Nine> {
        let taps = pass::Words::taps(&self.taps[0]);
        match rung {
            Rung::Words => Nine::rows(taps),
            Rung::WordsHigh => Nine::rounded(taps),
            _ => None,
        }
    }

    fn single(taps: Taps) -> Self {
        Self { taps: [taps.clone(), taps], first: [0, 1] }
    }

    /// Paired taps of `width` columns, row by row.
    fn paired(q: &[f64], width: usize) -> Self {
        let mut lower = vec![0.0; width];
        lower.extend(q);
        let taps = [pack_rows(q, width), pack_rows(&lower, width)];
        Self { taps: taps.map(Taps::Integer), first: [0, 0] }
    }
}

/// The two passes of one kernel, in a rung's form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Passes {
    pub column: Rows,
    pub row: Taps,
    /// What the integer sums of the first pass start with: the column's, but for a row that comes first.
    pub start: i32,
    /// The first pass divides by 2^shift.
    pub shift: u32,
    /// In which order the row pass adds floats.
    pub order: RowOrder,
}

impl Passes {
    /// The taps of a 3×3 kernel, if the arithmetic is the one that one pass has for them.
    pub fn nine(&self, rung: Rung) -> Option<Nine> {
        let (column, row) = (&self.column.taps[0], &self.row);
        let nine = Nine::product(pass::Words::taps(column), pass::Words::taps(row));
        nine.filter(|_| rung == Rung::Words)
    }

    /// Of 16-bit arithmetic on `u8` samples: whether two column sums may be added in 16 bits.
    pub fn halves_add(&self) -> bool {
        let taps = pass::Words::taps(&self.column.taps[0]);
        let sum = |sign: i32| taps.iter().map(|&t| (i32::from(t) * sign).max(0)).sum::<i32>();
        // Divided products are rounded.
        let rounding = if self.shift > 0 { taps.len() as i32 } else { 0 };
        let most = |sign: i32| ((255 * sum(sign)) >> self.shift) + rounding;
        -16384 <= self.start - most(-1) && self.start + most(1) <= 16383
    }
}

/// What the choice depends on.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub filter: &'a Filter,
    pub channels: usize,
    pub source: SampleType,
    pub output: SampleType,
    /// Rows reach the passes multiplied by alpha, as `f32`.
    pub premultiplied: bool,
    /// Rows reach the passes as `f32`, because a border's constant is no sample of the source.
    pub widened: bool,
    /// The instruction set; `f32` results are those of one.
    pub level: Level,
    /// Whether multiply-adds may be fused: from `f32` to `f32`.
    pub fused: bool,
    /// Whether `f32` sums are too coarse.
    pub precise: bool,
    /// Rows come from and go to other stages, and no stage keeps sums from row to row.
    pub chained: bool,
}

impl Task<'_> {
    /// R: the largest sample that a pass can meet; 1 for float images, whose bounds are relative.
    fn range(&self) -> f64 {
        let full = self.full();
        if self.float_source() {
            return full;
        }
        let range = self.constants().fold(full, |most, v| most.max(v.abs()));
        if self.premultiplied { range * range } else { range }
    }

    /// The largest sample of the source.
    fn full(&self) -> f64 {
        match self.source {
            SampleType::U8 => 255.0,
            SampleType::U16 => 65535.0,
            _ => 1.0,
        }
    }

    /// What the borders' constants are.
    fn constants(&self) -> impl Iterator<Item = f64> {
        let (x, y) = self.filter.get_borders();
        [x, y]
            .into_iter()
            .flat_map(|border| match border {
                Border::Constant(values) => values.as_slice(),
                _ => &[],
            })
            .copied()
    }

    /// Whether rows reach the passes as `f32`, though the source is not.
    fn prepared(&self) -> bool {
        self.premultiplied || self.widened
    }

    /// How far what reaches the passes may be from exact: colours times alpha and constants are rounded to `f32`.
    fn given(&self) -> f64 {
        let off = |v: f64| (f64::from(v as f32) - v).abs();
        if self.premultiplied {
            // Products of bytes are whole numbers that `f32` holds.
            let exact = self.source == SampleType::U8
                && self.constants().all(|v| v.fract() == 0.0 && v.abs() <= 4096.0);
            return if exact { 0.0 } else { U * self.range() };
        }
        let constants = self.constants().fold(0.0, |most: f64, v| most.max(off(v)));
        // Per unit of a range that is no less than the constant.
        if self.float_source() && constants > 0.0 { U } else { constants }
    }

    /// That, as the sums of a kernel show it: Σ|taps| is `gain`.
    fn carried(&self, gain: f64) -> f64 {
        self.given() * gain
    }

    fn float_source(&self) -> bool {
        self.source == SampleType::F32
    }

    fn float_output(&self) -> bool {
        self.output == SampleType::F32
    }

    /// The offset that the finish of the passes adds.
    fn offset(&self) -> f64 {
        if self.premultiplied { 0.0 } else { self.filter.get_offset() }
    }

    fn post(&self) -> Post {
        if self.premultiplied { Post::None } else { self.filter.get_post() }
    }

    fn must_be_exact(&self) -> bool {
        let integer = |k: &Kernel| k.taps().iter().all(|t| t.fract() == 0.0);
        !self.float_source()
            && !self.float_output()
            && self.post() != Post::Magnitude
            && self.filter.get_scale() == 1.0
            && self.filter.kernels().iter().all(integer)
            && self.given() == 0.0
            && self.constants().all(|v| v.fract() == 0.0)
    }

    /// Whether a constant image must come out as it went in.
    fn keeps_constants(&self) -> bool {
        let sum = self.filter.kernels()[0].sum() * self.filter.get_scale();
        (sum - 1.0).abs() < 1e-9
    }

    /// Whether the contract lets this arithmetic be used.
    fn takes(&self, arithmetic: &Arithmetic) -> bool {
        self.accepts(arithmetic.bound) && arithmetic.is_fair(self)
    }

    /// Whether the contract lets a rung with this bound be used.
    fn accepts(&self, bound: f64) -> bool {
        if self.float_source() || self.float_output() {
            return bound.is_finite();
        }
        let allowed = if self.keeps_constants() { 0.5 } else { 1.0 };
        if self.premultiplied {
            // Full alpha times what is allowed, for colour × alpha and for alpha, which divides it.
            return bound < allowed / 2.0 * self.full();
        }
        if self.must_be_exact() {
            return bound == 0.0;
        }
        bound < allowed
    }

    fn arithmetic(&self, rung: Rung, bound: f64) -> Arithmetic {
        let relative = self.float_source();
        Arithmetic { rung, bound, bits: (0, 0), peak: 0.0, relative, noise: Noise::default() }
    }

    /// The float finish, shared by all rungs.
    fn finish(&self) -> Finish {
        let unlimited = self.float_source();
        let fixed = [Fixed::default(); 2];
        Finish { post: self.post(), unlimited, offset: self.offset(), fixed }
    }

    fn float_rung(&self) -> Rung {
        if self.fused { Rung::Fused } else { Rung::F32 }
    }

    /// How far a value of at most `value` before the post-step is from exact after it, if it was
    /// within `bound` before.
    fn after_post(&self, bounds: impl Iterator<Item = (f64, f64)>) -> f64 {
        let mut bound = 0.0;
        let mut value: f64 = 0.0;
        for (b, v) in bounds {
            bound += b;
            value = value.max(v);
        }
        // Two squares, their sum and the root are rounded: 2 ulp at most.
        if self.post() == Post::Magnitude { bound + value * 4.0 * U } else { bound }
    }
}

/// The unit roundoff of `f32`.
const U: f64 = 1.0 / (1 << 24) as f64;

/// Binary digits after the point, if there are at most 30.
fn fraction_bits(values: impl Iterator<Item = f64>) -> Option<u32> {
    let mut bits = 0;
    for v in values {
        while (v * (1u64 << bits) as f64).fract() != 0.0 {
            bits += 1;
            if bits > 30 {
                return None;
            }
        }
    }
    Some(bits)
}

/// The fraction bits of values, and the values without a point: times 2^bits.
fn whole(v: &[f64]) -> Option<(u32, Vec<f64>)> {
    let bits = fraction_bits(v.iter().copied())?;
    Some((bits, v.iter().map(|t| t * f64::from(bits).exp2()).collect()))
}

fn abs_sum(v: &[f64]) -> f64 {
    v.iter().map(|t| t.abs()).sum()
}

/// v · 2^bits rounded to integers whose sum is that of v, rounded: what rounding each tap loses or
/// gains in sum is made up at the taps that were rounded furthest the other way.
fn quantise(v: &[f64], bits: i32) -> Vec<f64> {
    let unit = 2f64.powi(bits);
    let mut q: Vec<f64> = v.iter().map(|t| (t * unit).round()).collect();
    let excess = q.iter().sum::<f64>() - (v.iter().sum::<f64>() * unit).round();
    let count = excess.abs() as usize;
    if (1..v.len()).contains(&count) {
        // Those that were rounded furthest in the direction of the excess.
        let moved = |i: &usize| (q[*i] - v[*i] * unit) * excess.signum();
        let mut order: Vec<usize> = (0..v.len()).collect();
        order
            .select_nth_unstable_by(count - 1, |a, b| moved(b).total_cmp(&moved(a)).then(a.cmp(b)));
        order.truncate(count);
        order.into_iter().for_each(|i| q[i] -= excess.signum());
    }
    q
}

/// The largest magnitude.
fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |most: f64, t| most.max(t.abs()))
}

/// Whether integers of 16 bits may hold taps with so many fraction bits, before any is rounded: what is not
/// quantised takes no time.
fn may_fit_i16(v: &[f64], bits: i32) -> bool {
    largest(v) * 2f64.powi(bits) <= 32768.5
}

/// Σ|ε| and |Σ ε| of quantised taps.
fn errors(v: &[f64], q: &[f64], bits: i32) -> (f64, f64) {
    errors_of(v, q, 2f64.powi(bits))
}

/// `errors` of taps in units of 1 / `scale`.
fn errors_of(v: &[f64], q: &[f64], scale: f64) -> (f64, f64) {
    let each = v.iter().zip(q).map(|(t, q)| q / scale - t);
    (each.clone().map(f64::abs).sum(), each.sum::<f64>().abs())
}

fn fits_i16(q: &[f64]) -> bool {
    q.iter().all(|t| t.abs() <= 32767.0)
}

/// Whether two digits of eight bits hold each tap, as [`Across`](pass::Across) has them.
fn fits_digits(q: &[f64]) -> bool {
    q.iter().all(|t| t.abs() <= 32639.0)
}

/// Two taps in one `i32`, the first in the low half; an odd last one is paired with 0.
fn pack(q: &[f64]) -> Vec<i32> {
    let half = |t: f64| i32::from(t as i16) & 0xffff;
    q.chunks(2).map(|p| half(p[0]) | half(p.get(1).copied().unwrap_or(0.0)) << 16).collect()
}

fn to_i32(q: &[f64]) -> Vec<i32> {
    q.iter().map(|&t| t as i32).collect()
}

fn exact_f32(x: f64) -> bool {
    f64::from(x as f32) == x
}

/// The finish of an accumulator with `shift` fraction bits and at most `peak` in magnitude, what
/// it adds to the error, and the new peak; `None` if it would overflow.
fn fixed(task: &Task<'_>, shift: u32, peak: f64) -> Option<(Fixed, f64, f64)> {
    let unit = f64::from(shift).exp2();
    let offset = task.offset() * unit;
    let peak = peak + offset.abs() + unit;
    if shift > 30 || peak >= 2f64.powi(31) {
        return None;
    }
    // As `f32`, large sums and the offset are rounded; what is left of them may be much smaller.
    let sums = if peak > 2f64.powi(24) { peak / unit } else { 0.0 };
    let shown = U * (sums + if exact_f32(task.offset()) { 0.0 } else { task.offset().abs() });
    let (start, error) = match task.post() {
        _ if task.float_output() => (0.0, shown),
        Post::Magnitude => (0.0, 0.0),
        // floor((S + (offset + ½)·2^s) / 2^s) is exact, S being an integer.
        Post::None => (((task.offset() + 0.5) * unit).floor(), 0.0),
        Post::Abs => (offset.round(), (offset.round() - offset).abs() / unit),
    };
    let unit = (1.0 / unit) as f32;
    let fixed = Fixed { shift, start: start as i32, unit, ..Fixed::default() };
    Some((fixed, error, peak))
}

/// Taps a side from which running sums are faster than two passes; and where a division makes them exact, too.
const RUNNING_FROM: usize = 11;
const WHOLE_FROM: usize = 7;
/// The same for `u16`, of one channel and of several.
const RUNNING_U16_FROM: [usize; 2] = [3, 5];

/// Taps a side from which sums of blocks are.
const BLOCKS_FROM: usize = 13;

/// Running sums, if all taps of the one kernel are equal (but for the rounding that makes their sum
/// exact) and a window's sum fits.
pub(crate) fn running(task: &Task<'_>) -> Option<(Work, Arithmetic, Finish)> {
    let [kernel] = task.filter.kernels() else { return None };
    if task.chained {
        return None;
    }
    if task.float_source() || task.prepared() {
        return blocks(task, kernel);
    }
    let (mean, spread) = level(kernel)?;
    let words = words::running(task, kernel, mean, spread);
    let from = match (task.source, &words) {
        (SampleType::U16, _) => RUNNING_U16_FROM[usize::from(task.channels > 1)],
        (_, Some((share, _))) if share.is_whole() => WHOLE_FROM,
        _ => RUNNING_FROM,
    };
    if longest(kernel) < from {
        return None;
    }
    if let Some((share, arithmetic)) = words {
        return Some((Work::Running(Some(share)), arithmetic, task.finish()));
    }
    let (count, scale) = (kernel.taps().len() as f64, task.filter.get_scale());
    // Sums are kept less those of mid-grey, which halves their range.
    // Unless results show all digits of sums, which then must not be taken from something larger.
    let middle = if task.source == SampleType::U16
        && !(task.float_output() && task.range() * count < 2f64.powi(31))
    {
        32768.0
    } else {
        0.0
    };
    let peak = (task.range() - middle).max(middle) * count;
    let unit = (mean * scale) as f32;
    let grey = middle * count * mean * scale;
    let value = (task.range() * count * mean * scale).abs() + task.offset().abs() + 1.0;
    if peak >= 2f64.powi(31) || value > 1e30 {
        return None;
    }
    let mut finish = task.finish();
    finish.fixed[0].unit = unit;
    finish.fixed[0].start = -(middle * kernel.height() as f64) as i32;
    finish.offset = task.offset() + grey;
    let exact = float_exact(task, &[mean * scale], count * (mean * scale).abs().max(1.0));
    let bound = if exact {
        0.0
    } else {
        // The sum, the tap, the product, the offset and the ½ are rounded.
        5.0 * U * value + spread * scale.abs() * task.range()
    };
    let mut arithmetic = task.arithmetic(Rung::Running, bound);
    arithmetic.peak = peak;
    if !exact {
        let gain = (f64::from(unit) - mean * scale) * count;
        let (samples, variance) = ((0.0, task.range()), noise::roundings(4, value));
        arithmetic.noise = Noise::new(gain, 0.0, samples, (0.0, variance));
    }
    task.takes(&arithmetic).then_some((Work::Running(None), arithmetic, finish))
}

/// The longer side.
fn longest(kernel: &Kernel) -> usize {
    kernel.width().max(kernel.height())
}

/// The mean of the taps, and Σ|tap − mean|, of a kernel whose taps are equal but for the rounding that
/// makes their sum exact.
fn level(kernel: &Kernel) -> Option<(f64, f64)> {
    let count = kernel.taps().len() as f64;
    let mean = kernel.sum() / count;
    let spread = kernel.taps().iter().map(|t| (t - mean).abs()).sum::<f64>();
    (mean != 0.0 && spread <= mean.abs() * count * 1e-12).then_some((mean, spread))
}

/// Sums of blocks, for rows of `f32`.
fn blocks(task: &Task<'_>, kernel: &Kernel) -> Option<(Work, Arithmetic, Finish)> {
    let (mean, spread) = level(kernel).filter(|_| longest(kernel) >= BLOCKS_FROM)?;
    let (count, scale) = (kernel.taps().len() as f64, task.filter.get_scale());
    let value = (task.range() * count * mean * scale).abs() + task.offset().abs() + 1.0;
    if value > 1e30 {
        return None;
    }
    // Rows are divided by a power of 2, so that no sum overflows where its mean does not.
    let part = (count.log2().ceil() + 1.0).exp2();
    let mut finish = task.finish();
    finish.fixed[0].unit = (mean * scale * part) as f32;
    finish.fixed[1].unit = (1.0 / part) as f32;
    // No row of a window goes through more additions than there are rows and parts of their sum,
    // no column through more than its levels have. The tap, the product, the offset and the ½ are
    // rounded.
    let levels = RowLevel::levels(kernel.width());
    let along: usize = levels.iter().map(|level| level.terms + level.rest).sum();
    let additions = kernel.height() as f64 + along as f64 + 8.0;
    let bound = additions * U * value * (1.0 + 1e-4)
        + spread * scale.abs() * task.range()
        + task.carried(count * (mean * scale).abs());
    let arithmetic = task.arithmetic(Rung::Blocks, bound);
    task.accepts(bound).then_some((Work::Blocks(levels), arithmetic, finish))
}

/// Chooses the arithmetic of two passes per kernel.
pub(crate) fn separable(
    task: &Task<'_>,
    separations: &[Separation],
) -> Option<(Work, Arithmetic, Finish)> {
    let work = |(arithmetic, passes, finish)| (Work::Separable(passes), arithmetic, finish);
    let factors = factors(task, separations);
    if task.source == SampleType::U8 && !task.prepared() {
        let found = words::exact(task, &factors)
            .or_else(|| words::multiples(task, &factors))
            .or_else(|| rounded::rounded(task, &factors))
            .or_else(|| rounded::symmetric(task, &factors))
            .map(work)
            .or_else(|| row_first(task, &factors))
            .or_else(|| pairs(task, &factors).map(work));
        if found.is_some() {
            return found;
        }
    }
    let float = if task.precise { None } else { float(task, &factors) };
    if float.as_ref().is_some_and(|(a, ..)| task.takes(a)) {
        return float.map(work);
    }
    let exact =
        if task.float_source() || task.prepared() { None } else { exact_i32(task, &factors) };
    exact.or_else(|| double(task, &factors)).map(work)
}

/// The factors of all kernels.
fn factors<'a>(task: &Task<'_>, separations: &'a [Separation]) -> Vec<Factors<'a>> {
    let (scale, range) = (task.filter.get_scale(), task.range());
    let factors = separations.iter().map(|s| {
        let term = &s.terms()[0];
        // Powers of two move from column to row, which rounds nothing: the column's taps
        // then sum to between ½ and 1 and no product can underflow.
        let sum = abs_sum(&term.column);
        let power = if sum > 0.0 { sum.log2().floor() } else { 0.0 };
        let column: Vec<f64> = term.column.iter().map(|t| t / power.exp2()).collect();
        let row: Vec<f64> = term.row.iter().map(|t| t * scale * power.exp2()).collect();
        let residual = s.residual(1) * scale.abs() * range;
        Factors { column, row, residual, written: (&term.column, &term.row) }
    });
    factors.collect()
}

/// Column and row of one kernel, with the filter's scale in the row.
struct Factors<'a> {
    column: Vec<f64>,
    row: Vec<f64>,
    /// What the kernel has beyond them, times the range.
    residual: f64,
    /// Column and row as they came, without the scale.
    written: (&'a [f64], &'a [f64]),
}

type Separable = (Arithmetic, Vec<Passes>, Finish);

fn pairs(task: &Task<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let mut finish = task.finish();
    let mut passes = Vec::new();
    let mut arithmetic = task.arithmetic(Rung::Pairs, 0.0);
    let mut bounds = Vec::new();
    let scale = task.filter.get_scale();
    for (kernel, f) in factors.iter().enumerate() {
        let row: Vec<f64> = f.written.1.iter().map(|t| t * scale).collect();
        let samples = (0.0, 255.0);
        let found = pairs_exact(task, samples, f.written.0, &row)
            .filter(|_| f.residual == 0.0)
            .or_else(|| pairs_rounded(task, samples, &f.column, &f.row))?;
        let Found { taps: [column, row], start, shift, fixed, bits, peak, bound, noise } = found;
        finish.fixed[kernel] = fixed;
        arithmetic.noise = noise;
        let column = Rows::paired(&column, 1);
        passes.push(Passes {
            column,
            row: Taps::Integer(pack(&row)),
            start,
            shift,
            order: RowOrder::InOrder,
        });
        arithmetic.bits = bits;
        arithmetic.peak = arithmetic.peak.max(peak);
        let value = 255.0 * abs_sum(&f.column) * abs_sum(&f.row);
        bounds.push((bound + f.residual, value));
    }
    arithmetic.bound = task.after_post(bounds.into_iter());
    pairs_will_do(task, &arithmetic).then_some((arithmetic, passes, finish))
}

/// `pairs` of one kernel with the row first. Its sums are no larger than a column's would be, and as
/// many bits of them are kept.
fn row_first(task: &Task<'_>, factors: &[Factors<'_>]) -> Option<(Work, Arithmetic, Finish)> {
    let [f] = factors else { return None };
    let scaled = |v: &[f64], factor: f64| v.iter().map(|t| t * factor).collect::<Vec<_>>();
    let written = scaled(f.written.1, task.filter.get_scale());
    // Powers of two move from row to column.
    let sum = abs_sum(&f.row);
    let power = if sum > 0.0 { sum.log2().floor().exp2() } else { 1.0 };
    let (row, column) = (scaled(&f.row, 1.0 / power), scaled(&f.column, power));
    let samples = (0.0, 255.0);
    let found = pairs_exact(task, samples, &written, f.written.0)
        .filter(|found| f.residual == 0.0 && fits_digits(&found.taps[0]))
        .or_else(|| pairs_rounded(task, samples, &row, &column))?;
    let Found { taps: [row, column], start, shift, fixed, bits, peak, bound, noise } = found;
    let finish = Finish { fixed: [fixed, Fixed::default()], ..task.finish() };
    let mut arithmetic = task.arithmetic(Rung::Pairs, bound + f.residual);
    arithmetic.noise = noise;
    arithmetic.bits = bits;
    arithmetic.peak = peak;
    let column = Rows::paired(&column, 1);
    let passes =
        Passes { column, row: Taps::Integer(pack(&row)), start, shift, order: RowOrder::InOrder };
    pairs_will_do(task, &arithmetic).then_some((Work::RowFirst(passes), arithmetic, finish))
}

/// Whether the bound of paired arithmetic keeps the contract.
fn pairs_will_do(task: &Task<'_>, arithmetic: &Arithmetic) -> bool {
    // A float result shows every error: only exact integers will do.
    if task.float_output() {
        arithmetic.bound == 0.0 && arithmetic.peak < 2f64.powi(24)
    } else {
        task.takes(arithmetic)
    }
}

/// What paired arithmetic makes of two passes.
struct Found {
    /// Of the pass that comes first, and of the second.
    taps: [Vec<f64>; 2],
    /// What the sums of the first start with, and are divided by.
    start: i32,
    shift: u32,
    fixed: Fixed,
    /// Fraction bits of the scratch row and of the sums.
    bits: (u32, u32),
    peak: f64,
    bound: f64,
    noise: Noise,
}

/// Taps that are integers once multiplied by a small power of two, and a scratch row that holds
/// the column sums exactly.
fn pairs_exact(
    task: &Task<'_>,
    (low, high): (f64, f64),
    column: &[f64],
    row: &[f64],
) -> Option<Found> {
    let ((column_bits, c), (row_bits, r)) = (whole(column)?, whole(row)?);
    let scratch = high.max(-low) * abs_sum(&c);
    if scratch > 32767.0 || !fits_i16(&r) {
        return None;
    }
    let shift = column_bits + row_bits;
    let (fixed, bound, peak) = fixed(task, shift, scratch * abs_sum(&r))?;
    let bits = (column_bits, shift);
    let noise = Noise::default();
    Some(Found { taps: [c, r], start: 0, shift: 0, fixed, bits, peak, bound, noise })
}

/// How far Σ ε·x may be from 0 for samples x of a range, from Σ|ε| and |Σ ε|.
fn spread((low, high): (f64, f64), (each, sum): (f64, f64)) -> f64 {
    (high - low) / 2.0 * each + (high + low).abs() / 2.0 * sum
}

/// Any taps: as many fraction bits as fit everywhere. Samples lie between `least` ≤ 0 and `most` ≥ 0.
fn pairs_rounded(
    task: &Task<'_>,
    (least, most): (f64, f64),
    column: &[f64],
    row: &[f64],
) -> Option<Found> {
    // The column's taps sum to less than 2 in magnitude.
    let (column_bits, c) = (0..=15)
        .rev()
        .filter(|&b| may_fit_i16(column, b))
        .map(|b| (b, quantise(column, b)))
        .find(|(_, q)| fits_digits(q))?;
    let plus = c.iter().filter(|t| **t > 0.0).sum::<f64>();
    let minus = -c.iter().filter(|t| **t < 0.0).sum::<f64>();
    let (positive, negative) = (most * plus - least * minus, most * minus - least * plus);
    let peak = positive.max(negative);
    if peak >= 2f64.powi(30) {
        return None;
    }
    let shift =
        (0..=16).find(|&s| ((peak + 2f64.powi(s - 1)) / 2f64.powi(s)).floor() <= 32767.0)?;
    let scratch_bits = column_bits - shift;
    if scratch_bits < 0 {
        return None;
    }
    let scratch = (peak / 2f64.powi(shift) + 1.0).min(32768.0);
    let bits = (0..=30 - scratch_bits).rev().filter(|&b| may_fit_i16(row, b));
    bits.into_iter().find_map(|row_bits| {
        let r = quantise(row, row_bits);
        if !fits_i16(&r) {
            return None;
        }
        let total = (scratch_bits + row_bits) as u32;
        let (fixed, offset_error, peak) = fixed(task, total, scratch * abs_sum(&r))?;
        let unit = 2f64.powi(-column_bits);
        let (high, low) = (positive * unit, -negative * unit);
        let column_error = spread((least, most), errors(column, &c, column_bits)) * abs_sum(row);
        let rounding = if shift > 0 { 2f64.powi(-scratch_bits - 1) } else { 0.0 };
        let rounding = rounding * abs_sum(&r) * 2f64.powi(-row_bits);
        let row_error = spread((low, high), errors(row, &r, row_bits));
        let bound = column_error + rounding + row_error + offset_error;
        let bits = (scratch_bits as u32, total);
        let row_unit = 2f64.powi(row_bits);
        let (gain, squares) =
            noise::of_product((column, row), (&c, 2f64.powi(column_bits)), (&r, row_unit));
        // Halves are rounded up, which on the whole is half a unit too much.
        let step = if shift > 0 { 2f64.powi(-scratch_bits) } else { 0.0 };
        let mean = step * 2f64.powi(-shift - 1) * r.iter().sum::<f64>() / row_unit;
        let taken = r.iter().map(|t| t * t).sum::<f64>() / row_unit / row_unit;
        let noise = Noise::new(gain, squares, (least, most), (mean, step * step * taken / 12.0));
        // Rounds half up.
        let start = (1 << shift) >> 1;
        let (taps, shift) = ([c.clone(), r], shift as u32);
        Some(Found { taps, start, shift, fixed, bits, peak, bound, noise })
    })
}

/// The error of Σ tap·x in `f32`, added up from the first tap to the last, per unit of |x|: the
/// rounding of every tap, product and sum.
fn float_sum_error(taps: &[f64]) -> f64 {
    let mut error = 0.0;
    let mut sum = 0.0;
    for (k, &t) in taps.iter().enumerate() {
        sum += t.abs();
        error += (f64::from(t as f32) - t).abs() + U * t.abs();
        if k > 0 {
            error += U * sum;
        }
    }
    // Products of errors.
    error * (1.0 + 1e-4)
}

/// The same where samples that meet the same of symmetric taps are added before they are multiplied,
/// from the outermost two taps to the one in the middle.
fn folded_sum_error(taps: &[f64]) -> f64 {
    let (lower, upper) = taps.split_at(taps.len().div_ceil(2));
    let mut error = 0.0;
    let mut sum = 0.0;
    for (k, &t) in lower.iter().enumerate() {
        let rounded = f64::from(t as f32);
        // The one in the middle has no other.
        let other = upper.len().checked_sub(k + 1).map(|other| upper[other]);
        let both = t.abs() + other.map_or(0.0, f64::abs);
        sum += both;
        error += (rounded - t).abs() + other.map_or(0.0, |t| (rounded - t).abs() + U * both);
        error += U * both + if k > 0 { U * sum } else { 0.0 };
    }
    error * (1.0 + 1e-4)
}

/// Whether all sums of products of these taps and samples are `f32` values, so that nothing is
/// rounded.
fn float_exact(task: &Task<'_>, taps: &[f64], sum: f64) -> bool {
    if task.float_source() {
        return false;
    }
    let offset = task.offset();
    let values = taps.iter().copied().chain([offset, 0.5]);
    // Products of taps and constants have the bits of both.
    let Some(more) = fraction_bits(task.constants()) else { return false };
    fraction_bits(values).is_some_and(|bits| {
        let unit = f64::from(bits + more).exp2();
        (task.range() * sum + offset.abs() + 1.0) * unit <= 2f64.powi(24)
    })
}

fn float(task: &Task<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let range = task.range();
    let mut passes = Vec::new();
    let mut bounds = Vec::new();
    for f in factors {
        // Of floats, what a column sums is at most half of the largest sample: two of them must not overflow
        // where their mean does not.
        let half = if task.float_source() { 0.25 } else { 1.0 };
        let times = |v: &[f64], factor: f64| v.iter().map(|t| t * factor).collect::<Vec<_>>();
        let f = &Factors { column: times(&f.column, half), row: times(&f.row, 1.0 / half), ..*f };
        let (column, row) = (abs_sum(&f.column), abs_sum(&f.row));
        let value = range * column * row + task.offset().abs() + 1.0;
        if value > 1e30 || row > 1e30 {
            return None;
        }
        // The taps' products have as many fraction bits as both factors together.
        let products = f.column.iter().flat_map(|c| f.row.iter().map(move |r| c * r));
        let products: Vec<f64> = if f.column.len() * f.row.len() <= 4096 {
            products.chain(f.column.iter().copied()).collect()
        } else {
            vec![f64::NAN]
        };
        let row_taps: Vec<f32> = f.row.iter().map(|&t| t as f32).collect();
        let lanes = task.fused.then(|| task.level.lanes());
        let order = match factors {
            [_] => RowOrder::of(&row_taps, task.channels, lanes),
            // Of the two of a magnitude, sums are kept side by side.
            _ => RowOrder::InOrder,
        };
        // Two column sums are added before anything is multiplied.
        let least = if order == RowOrder::Folded { 2.0 } else { 1.0 };
        let exact = f.row.iter().all(|t| exact_f32(*t))
            && task.given() == 0.0
            && float_exact(task, &products, column.max(1.0) * row.max(least));
        let bound = if exact {
            0.0
        } else {
            let vertical = range * float_sum_error(&f.column);
            let error = match order {
                RowOrder::Folded => folded_sum_error(&f.row),
                _ => float_sum_error(
                    &order.taps(f.row.len()).iter().map(|&i| f.row[i]).collect::<Vec<_>>(),
                ),
            };
            let horizontal = range * column * error;
            // Offset and the ½ of rounding.
            vertical * row * (1.0 + 1e-4)
                + horizontal
                + 2.0 * U * value
                + task.carried(column * row)
        };
        bounds.push((bound + f.residual, value));
        let taps = |v: &[f64]| Taps::Float(v.iter().map(|&t| t as f32).collect());
        let column = Rows::single(taps(&f.column));
        passes.push(Passes { column, row: taps(&f.row), start: 0, shift: 0, order });
    }
    let mut arithmetic = task.arithmetic(task.float_rung(), 0.0);
    arithmetic.bound = task.after_post(bounds.into_iter());
    if let ([f], true) = (factors, arithmetic.bound > 0.0) {
        let taps = [&f.column, &f.row].map(|taps| noise::single(taps));
        let (gain, squares) =
            noise::of_product((&f.column, &f.row), (&taps[0], 1.0), (&taps[1], 1.0));
        let value = range * abs_sum(&f.column) * abs_sum(&f.row);
        let variance = noise::roundings(f.column.len() + f.row.len(), value);
        arithmetic.noise = Noise::new(gain, squares, (0.0, range), (0.0, variance));
    }
    Some((arithmetic, passes, task.finish()))
}

/// Integer taps too large for the cheaper rungs.
fn exact_i32(task: &Task<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let mut finish = task.finish();
    let mut passes = Vec::new();
    let mut arithmetic = task.arithmetic(Rung::I32, 0.0);
    let mut bounds = Vec::new();
    for (kernel, f) in factors.iter().enumerate() {
        let row: Vec<f64> = f.written.1.iter().map(|t| t * task.filter.get_scale()).collect();
        let ((column_bits, c), (row_bits, r)) = (whole(f.written.0)?, whole(&row)?);
        let shift = column_bits + row_bits;
        let scratch = task.range() * abs_sum(&c);
        let (fixed, error, peak) = fixed(task, shift, scratch.max(1.0) * abs_sum(&r).max(1.0))?;
        finish.fixed[kernel] = fixed;
        arithmetic.peak = arithmetic.peak.max(peak);
        arithmetic.bits = (column_bits, shift);
        let value = scratch * abs_sum(&r);
        bounds.push((error + f.residual, value));
        let taps = |v: &[f64]| Taps::Integer(to_i32(v));
        let column = Rows::single(taps(&c));
        passes.push(Passes { column, row: taps(&r), start: 0, shift: 0, order: RowOrder::InOrder });
    }
    arithmetic.bound = task.after_post(bounds.into_iter());
    task.accepts(arithmetic.bound).then_some((arithmetic, passes, finish))
}

/// What `f64` sums of at most `value` are off by, after they have been rounded to `f32`.
fn double_bound(task: &Task<'_>, taps: usize, value: f64) -> f64 {
    // Sums of whole numbers are whole; as `f32` they are exact or saturate.
    if task.must_be_exact() && value < 2f64.powi(53) {
        return 0.0;
    }
    // Integer samples saturate long before `f32` gets coarse.
    let most = task.range().max(65_536.0) * 2.0;
    let shown = if task.float_output() { value } else { value.min(most) };
    shown * U + value * (taps as f64 + 4.0) * 2f64.powi(-53) + task.carried(value / task.range())
}

/// Two passes for taps that nothing cheaper can take.
fn double(task: &Task<'_>, factors: &[Factors<'_>]) -> Option<Separable> {
    let mut passes = Vec::new();
    let mut bounds = Vec::new();
    for f in factors {
        // As they came: whole numbers stay whole.
        let row: Vec<f64> = f.written.1.iter().map(|t| t * task.filter.get_scale()).collect();
        let value = task.range() * abs_sum(f.written.0) * abs_sum(&row) + task.offset().abs() + 1.0;
        let bound = double_bound(task, f.column.len() + f.row.len(), value);
        bounds.push((bound + f.residual, value.min(131_072.0)));
        let column = Rows::single(Taps::Double(f.written.0.to_vec()));
        passes.push(Passes {
            column,
            row: Taps::Double(row),
            start: 0,
            shift: 0,
            order: RowOrder::InOrder,
        });
    }
    let bound = task.after_post(bounds.into_iter());
    let found = (task.arithmetic(Rung::Double, bound), passes, task.finish());
    task.accepts(bound).then_some(found)
}

/// Chooses the arithmetic of a direct 2D pass. The taps come as the dense pass wants them: for
/// each kernel, row by row, or pair of rows by pair of rows.
pub(crate) fn dense(task: &Task<'_>) -> Option<(Arithmetic, Vec<Rows>, Finish)> {
    let scale = task.filter.get_scale();
    let kernels: Vec<(usize, Vec<f64>)> = task
        .filter
        .kernels()
        .iter()
        .map(|k| (k.width(), k.taps().iter().map(|t| t * scale).collect()))
        .collect();
    let integer = |paired: bool| {
        let rung = if paired { Rung::Pairs } else { Rung::I32 };
        let mut finish = task.finish();
        let mut arithmetic = task.arithmetic(rung, 0.0);
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
            if paired { Rows::paired(q, *width) } else { Rows::single(Taps::Integer(to_i32(q))) }
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
            all.push(Rows::single(Taps::Double(taps.clone())));
        }
        let bound = task.after_post(bounds.into_iter());
        let found = (task.arithmetic(Rung::Double, bound), all, task.finish());
        task.accepts(bound).then_some(found)
    })
}

/// Taps of two rows at a time: for each pair of rows, the pairs (upper tap, lower tap).
fn pack_rows(q: &[f64], width: usize) -> Vec<i32> {
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
) -> Option<(Arithmetic, Vec<Rows>, Finish)> {
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
        all.push(Rows::single(Taps::Float(taps.iter().map(|&t| t as f32).collect())));
    }
    let mut arithmetic = task.arithmetic(task.float_rung(), 0.0);
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
    use super::*;

    #[test]
    fn quantised_taps_keep_their_sum() {
        let v: Vec<f64> = (0..31).map(|i| (-f64::from(i - 15).powi(2) / 50.0).exp()).collect();
        let sum = abs_sum(&v);
        let v: Vec<f64> = v.iter().map(|t| t / sum).collect();
        for bits in [8, 12, 15] {
            let q = quantise(&v, bits);
            assert_eq!(q.iter().sum::<f64>(), 2f64.powi(bits));
            assert!(v.iter().zip(&q).all(|(t, q)| (q - t * 2f64.powi(bits)).abs() <= 1.0));
        }
        assert_eq!(quantise(&[-0.3, 0.0, 0.3], 8).iter().sum::<f64>(), 0.0);
    }

    /// What is proved of a row of floats against interval arithmetic of the operations that the pass does, in its
    /// order: each interval holds all values that may occur for samples from −1 to 1.
    #[test]
    fn bounds_hold_what_intervals_hold() {
        /// A sum, exactly and as computed, for the samples that make it most.
        #[derive(Clone, Copy)]
        struct Most {
            exact: f64,
            computed: f64,
        }
        let up = |v: f64| v + v.abs() * U;
        let wave = |i: usize| (i as f64 * 0.37).sin() + 0.2;
        for count in 1..=70usize {
            for symmetric in [false, true] {
                let at = |i: usize| if symmetric { i.min(count - 1 - i) } else { i };
                let taps: Vec<f64> = (0..count).map(|i| wave(at(i))).collect();
                let rounded: Vec<f32> = taps.iter().map(|&t| t as f32).collect();
                for step in 1..=4 {
                    for fused in [None, Some(8), Some(16)] {
                        let order = RowOrder::of(&rounded, step, fused);
                        let sequence = order.taps(count);
                        let mut all = sequence.clone();
                        all.sort_unstable();
                        assert!(all.into_iter().eq(0..count), "{order:?} of {count}");
                        let mut sum = Most { exact: 0.0, computed: 0.0 };
                        let folds = order == RowOrder::Folded;
                        for (k, group) in sequence.chunks(if folds { 2 } else { 1 }).enumerate() {
                            let exact: f64 = group.iter().map(|&i| taps[i].abs()).sum();
                            // Two samples are added, and the sum is rounded.
                            let samples = if group.len() == 2 { up(2.0) } else { 1.0 };
                            let tap = f64::from(rounded[group[0]]).abs();
                            let product = up(samples * tap.max(taps[group[0]].abs()));
                            sum.exact += exact;
                            sum.computed += product;
                            if k > 0 {
                                sum.computed = up(sum.computed);
                            }
                        }
                        let bound = match order {
                            RowOrder::Folded => folded_sum_error(&taps),
                            _ => {
                                let ordered = sequence.iter().map(|&i| taps[i]);
                                float_sum_error(&ordered.collect::<Vec<_>>())
                            }
                        };
                        let off = sum.computed - sum.exact;
                        assert!(off <= bound, "{order:?} of {count}: {off:e}, proved {bound:e}");
                        assert!(
                            bound <= 1e-15 + 4.0 * off,
                            "{order:?} of {count}: {bound:e} is no bound"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn pairs_pack_low_first() {
        assert_eq!(pack(&[1.0, -1.0, -2.0]), vec![0xffff_0001u32 as i32, 0x0000_fffe]);
        assert_eq!(
            pack_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2),
            vec![1 | 3 << 16, 2 | 4 << 16, 5, 6]
        );
    }

    #[test]
    fn fraction_bits_count_binary_digits() {
        assert_eq!(fraction_bits([1.0, -3.0].into_iter()), Some(0));
        assert_eq!(fraction_bits([0.375, 2.0].into_iter()), Some(3));
        assert_eq!(fraction_bits([0.1].into_iter()), None);
    }
}
