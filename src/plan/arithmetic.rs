//! The choice of an arithmetic: for the given taps, which one is the cheapest whose proven error
//! bound keeps the contract, with the taps in its form.
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
mod boxes;
mod direct;
mod display;
mod floats;
mod nine;
pub(super) mod noise;
mod pairs;
mod quantise;
mod rounded;
mod whole_taps;
mod words;

pub(crate) use between::{Limits, between, shorts, sums};
pub(crate) use boxes::running;
pub(crate) use direct::dense;
use direct::pack_rows;
pub(super) use floats::float_exact;
pub(crate) use floats::float_with_identity;
use floats::{double, double_bound, exact_i32, float, float_sum_error};
pub(crate) use nine::{nine, stencil};
pub(crate) use noise::{Noise, noise_of_roundings};
pub(super) use noise::{parts as parts_of, rounded_mean};
pub(crate) use pairs::{MANY_TAPS, MOVED};
use pairs::{PairedPasses, moved, pairs, pairs_exact, pairs_rounded, reduced, row_first, spread};
pub(crate) use quantise::U;
pub(super) use quantise::{abs_sum, fits_i16, pack, quantise};
use quantise::{
    errors, errors_of, exact_f32, fits_digits, fixed, fraction_bits, largest, may_fit_i16, to_i32,
    whole,
};
pub(crate) use rounded::with_identity;
pub(super) use whole_taps::whole_taps;

use crate::filter::{Filter, Post};
use crate::kernel::{Kernel, Separation};
use crate::pass::{self, Datapath as _, Finish, Fixed, Nine, RowOrder, Taps};
use crate::plan::Pass;
use crate::sample::SampleType;
use crate::simd::Level;

/// What sums are computed in, from cheap to precise.
///
/// ```
/// use twopass::{Arithmetic, Filter, Kernel, Shape};
///
/// let sobel = Filter::new(Kernel::sobel_x()).plan::<u8, i16>(Shape::new(640, 480, 1))?;
/// assert_eq!(sobel.stages()[0].arithmetic, Arithmetic::I16);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arithmetic {
    /// 16-bit integers, exact.
    I16,
    /// 16-bit integers, products rounded: of two passes, the row's, and the column's if it divides.
    I16Rounded,
    /// Pairs of 16-bit products into `i32`.
    I16Pairs,
    /// `f32`, multiplication and addition rounded apart: the same at every level.
    F32,
    /// `f32` with fused multiply-add where the level has it.
    F32Fused,
    /// `i32`, exact; of 3×3 taps that are whole multiples of a number, times that in `f32`.
    I32,
    /// Running sums in `i32`, exact, times the common tap in `f32`.
    RunningI32,
    /// Running sums in 16 bits, times the common tap on their way.
    RunningI16,
    /// Sums of sums in `f32`, times the common tap.
    TreeSums,
    /// `f64`.
    F64,
    /// The reference itself: `f64` in its order.
    Reference,
}

/// An arithmetic and what was proved about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Proved {
    pub arithmetic: Arithmetic,
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

/// What was chosen: a pass, what was proved of it, and how its sums become samples.
pub(crate) type Choice = (Pass, Proved, Finish);

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
    pub fn meets<R: pass::Datapath>(&self, row: usize) -> (usize, &[R::Tap]) {
        (self.first[row % 2] + row / 2 * (2 / R::PAIRED), R::taps(&self.taps[row % 2]))
    }

    /// A kernel's taps, if it is 3×3 and the arithmetic one that such kernels have a pass for.
    pub fn nine(&self, arithmetic: Arithmetic) -> Option<Nine> {
        let taps = &self.taps[0];
        match arithmetic {
            Arithmetic::I16 => Nine::rows(pass::I16::taps(taps)),
            Arithmetic::I16Rounded => Nine::rounded(pass::I16::taps(taps)),
            Arithmetic::F32 | Arithmetic::F32Fused => Nine::floats(pass::F32::taps(taps)),
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
        Self { taps: taps.map(Taps::I32), first: [0, 0] }
    }
}

/// The two passes of one kernel, in an arithmetic's form.
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
    pub fn nine(&self, arithmetic: Arithmetic) -> Option<Nine> {
        let (column, row) = (&self.column.taps[0], &self.row);
        match arithmetic {
            Arithmetic::I16 => Nine::product(pass::I16::taps(column), pass::I16::taps(row)),
            Arithmetic::F32 | Arithmetic::F32Fused => {
                Nine::float_product(pass::F32::taps(column), pass::F32::taps(row))
            }
            _ => None,
        }
    }

    /// Of 16-bit arithmetic on `u8` samples: whether two column sums may be added in 16 bits.
    pub fn halves_add(&self) -> bool {
        let taps = pass::I16::taps(&self.column.taps[0]);
        let sum = |sign: i32| taps.iter().map(|&t| (i32::from(t) * sign).max(0)).sum::<i32>();
        // Divided products are rounded.
        let rounding = if self.shift > 0 { taps.len() as i32 } else { 0 };
        let most = |sign: i32| ((255 * sum(sign)) >> self.shift) + rounding;
        -16384 <= self.start - most(-1) && self.start + most(1) <= 16383
    }
}

/// What an arithmetic is chosen for: a filter, the samples that it reads and writes, and where they come from.
#[derive(Clone, Copy)]
pub(crate) struct Spec<'a> {
    pub filter: &'a Filter,
    pub channels: usize,
    pub source: SampleType,
    pub output: SampleType,
    /// What rows of 16 bits between filters hold, with borders' constants: at least, at most 0, and at most.
    pub rows: (f64, f64),
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
    /// Rows come from and go to other stages.
    pub chained: bool,
    /// Whether no sample can be NaN or infinite.
    pub finite: bool,
    /// In a chain: how far off methods may make results; without it, not at all.
    pub allowance: Option<Allowance>,
    pub transforms: Transforms,
    /// What a level is in results: rows of 16 bits between filters have fraction bits.
    pub unit: f64,
}

/// How far off methods may make the results of a filter in a chain, per unit of the largest magnitude that it reads; and
/// the least value that it reads, at most 0, in the same unit.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Allowance {
    pub error: f64,
    pub low: f64,
}

/// The Fourier transforms that a filter may be done by.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Transforms {
    /// Rows are asked for a few at a time.
    None,
    /// Results are the same with every instruction set: sums of whole numbers.
    Whole,
    Any,
}

impl Proved {
    /// Of the reference, on such samples.
    pub fn reference(source: SampleType) -> Self {
        Self {
            arithmetic: Arithmetic::Reference,
            bound: 0.0,
            bits: (0, 0),
            peak: 0.0,
            relative: source == SampleType::F32,
            noise: Noise::default(),
        }
    }
}

impl Spec<'_> {
    /// R: the largest sample that a pass can meet; 1 for float images, whose bounds are relative.
    pub fn range(&self) -> f64 {
        let full = self.full();
        if self.float_source() {
            return full;
        }
        let range = self.constants().fold(full, |most, v| most.max(v.abs()));
        if self.premultiplied { range * range } else { range }
    }

    /// The least, at most 0, and the largest sample of the source; 1 for floats, whose bounds are relative.
    pub fn samples(&self) -> (f64, f64) {
        match self.source {
            SampleType::U8 => (0.0, 255.0),
            SampleType::U16 => (0.0, 65535.0),
            SampleType::I16 => self.rows,
            SampleType::F32 => (0.0, 1.0),
        }
    }

    /// The largest magnitude of a sample of the source.
    fn full(&self) -> f64 {
        let (low, high) = self.samples();
        high.max(-low)
    }

    /// What the borders' constants are.
    fn constants(&self) -> impl Iterator<Item = f64> {
        let (x, y) = self.filter.get_borders();
        x.constants().iter().chain(y.constants()).copied()
    }

    /// Whether a pass can meet samples below 0.
    pub fn reaches_below_0(&self) -> bool {
        self.float_source() || self.constants().any(|v| v < 0.0)
    }

    /// Whether rows reach the passes as `f32`, though the source is not.
    pub fn prepared(&self) -> bool {
        self.premultiplied || self.widened
    }

    /// Whether what is outside of an image of bytes are bytes, too.
    pub fn has_bytes(&self) -> bool {
        self.constants().all(|v| v.fract() == 0.0 && (0.0..=255.0).contains(&v))
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
    pub fn carried(&self, gain: f64) -> f64 {
        self.given() * gain
    }

    /// Whether all kernels are 3×3.
    pub fn is_nine(&self) -> bool {
        self.filter.is_nine()
    }

    pub fn float_source(&self) -> bool {
        self.source == SampleType::F32
    }

    pub fn float_output(&self) -> bool {
        self.output == SampleType::F32
    }

    /// The offset that the finish of the passes adds.
    pub fn offset(&self) -> f64 {
        if self.premultiplied { 0.0 } else { self.filter.get_offset() }
    }

    fn post(&self) -> Post {
        if self.premultiplied { Post::None } else { self.filter.get_post() }
    }

    pub fn must_be_exact(&self) -> bool {
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

    /// Whether it does nothing but to take means of neighbours, weighted or not.
    pub fn is_mean(&self) -> bool {
        self.keeps_constants() && self.offset() == 0.0 && self.post() == Post::None
    }

    /// Whether the contract lets this arithmetic be used.
    pub fn takes(&self, arithmetic: &Proved) -> bool {
        self.accepts(arithmetic.bound) && arithmetic.is_fair(self)
    }

    /// What the error of integer results must be less than, before they are rounded.
    pub fn allowed(&self) -> f64 {
        if self.keeps_constants() { 0.5 } else { 1.0 }
    }

    /// Whether the contract lets an arithmetic with this bound be used.
    fn accepts(&self, bound: f64) -> bool {
        if self.float_source() || self.float_output() {
            return bound.is_finite();
        }
        let allowed = self.allowed();
        if self.premultiplied {
            // Full alpha times what is allowed, for colour × alpha and for alpha, which divides it.
            return bound < allowed / 2.0 * self.full();
        }
        if self.must_be_exact() {
            return bound == 0.0;
        }
        bound < allowed
    }

    /// What one product may leave out of a kernel, so that it disappears in the rounding.
    pub fn may_leave(&self, kernel: &Kernel) -> f64 {
        if self.source == SampleType::F32 || self.output == SampleType::F32 {
            return kernel.abs_sum() / f64::from(1 << 22);
        }
        (0.25 / (self.full() * self.filter.get_scale().abs())).min(f64::MAX)
    }

    pub fn arithmetic(&self, arithmetic: Arithmetic, bound: f64) -> Proved {
        let relative = self.float_source();
        Proved { arithmetic, bound, bits: (0, 0), peak: 0.0, relative, noise: Noise::default() }
    }

    /// The float finish, shared by all.
    pub fn finish(&self) -> Finish {
        let gain = self.filter.kernels().iter().map(Kernel::abs_sum).fold(0.0, f64::max);
        let range = if self.source == SampleType::I16 { 32768.0 } else { self.range() };
        let most = range * gain * self.filter.get_scale().abs() + self.offset().abs();
        // Magnitudes whose squares `f32` does not hold are scaled, as those of floats.
        let far = self.float_output() && !(1e-15..1e18).contains(&most);
        let far = far && self.post() == Post::Magnitude;
        let most = if self.float_source() || far { f64::INFINITY } else { most };
        let fixed = [Fixed::default(); 2];
        Finish { post: self.post(), most, offset: self.offset(), fixed }
    }

    pub fn float_arithmetic(&self) -> Arithmetic {
        if self.fused { Arithmetic::F32Fused } else { Arithmetic::F32 }
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
        // Two squares, their sum and the root are rounded: 2 ulp at most. The offset is in them.
        let value = value + self.offset().abs();
        if self.post() == Post::Magnitude { bound + value * 4.0 * U } else { bound }
    }
}

/// Chooses the arithmetic of two passes per kernel.
pub(crate) fn separable(spec: &Spec<'_>, separations: &[Separation]) -> Option<Choice> {
    let pass = |(arithmetic, passes, finish)| (Pass::Separable(passes), arithmetic, finish);
    let factors = factors(spec, separations);
    if spec.source == SampleType::U8 && !spec.prepared() {
        let found = words::exact(spec, &factors)
            .or_else(|| words::multiples(spec, &factors))
            .or_else(|| rounded::rounded(spec, &factors))
            .or_else(|| rounded::symmetric(spec, &factors))
            .map(pass)
            .or_else(|| row_first(spec, &factors, 0))
            .or_else(|| pairs(spec, &factors, 0).map(pass))
            .or_else(|| moved(&factors).find_map(|bits| row_first(spec, &factors, bits)))
            .or_else(|| moved(&factors).find_map(|bits| pairs(spec, &factors, bits)).map(pass));
        if found.is_some() {
            return found;
        }
    }
    let float = if spec.precise { None } else { float(spec, &factors) };
    if float.as_ref().is_some_and(|(a, ..)| spec.takes(a)) {
        return float.map(pass);
    }
    let exact =
        if spec.float_source() || spec.prepared() { None } else { exact_i32(spec, &factors) };
    exact.or_else(|| double(spec, &factors)).map(pass)
}

/// The factors of all kernels.
fn factors<'a>(spec: &Spec<'_>, separations: &'a [Separation]) -> Vec<Factors<'a>> {
    let (scale, range) = (spec.filter.get_scale(), spec.range());
    let factors = separations.iter().map(|s| {
        let term = &s.terms()[0];
        // Powers of two move from column to row, which rounds nothing: the column's taps
        // then sum to between ½ and 1 and no product can underflow.
        let sum = abs_sum(&term.column);
        let power = if sum > 0.0 { sum.log2().floor() } else { 0.0 };
        let column: Vec<f64> = term.column.iter().map(|t| t / power.exp2()).collect();
        let row: Vec<f64> = term.row.iter().map(|t| t * scale * power.exp2()).collect();
        let residual = s.residual(1) * scale.abs() * range;
        Factors { column, row, residual, written: (&term.column, &term.row), identity: None }
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
    /// How many times the image is added, and the place of its pixel among the taps.
    identity: Option<(f64, (usize, usize))>,
}

type Separable = (Proved, Vec<Passes>, Finish);
