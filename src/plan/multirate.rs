//! Long smooth factors at two rates: rows and columns are decimated by D, filtered there by few taps, and interpolated.
//! A Gaussian of any sigma takes some seven multiplications a sample. All of it is FIR, and the grid is that of the
//! image, so that tiles, strips and regions agree. What it makes of a sample are its effective taps; their distance from
//! the kernel's bounds the error, and is added to that of the arithmetic.
//!
//! Samples lie in a range of width R, and the effective taps of a phase add up to what the kernel's do. With a column e_y
//! and a row e_x instead of g_y and g_x, a result is off by no more than R/2 · (‖e_y − g_y‖₁·‖e_x‖₁ + ‖g_y‖₁·‖e_x − g_x‖₁).
//! (Crochiere and Rabiner, Multirate Digital Signal Processing, 1983; the bound is ours.)

mod fit;
mod taps;

use super::arithmetic::{self, Arithmetic, Choice, Noise, Passes, Proved, Spec, U};
use super::filter::{FilterStage, under_anchor};
use super::{Operations, Pass};
use crate::border::Border;
use crate::filter::{Filter, Method};
use crate::geometry::Axis;
use crate::kernel::{Kernel, Separation};
use crate::pass::{Finish, Fixed, Taps};
use crate::reference::Opacity;
use crate::sample::SampleType;
use crate::simd::Level;
use crate::view::Shape;
use fit::Fit;
pub(crate) use fit::SPAN;
use taps::{Built, build};

/// Samples in a block of either axis at least: with fewer, two passes are as fast.
const LEAST_STEP: usize = 3;
/// Radius of the kernel in blocks, from coarse to fine: the first that is good enough is the fastest.
const BLOCKS: [f64; 9] = [7.5, 8.6, 9.4, 10.5, 12.0, 14.0, 16.0, 19.0, 23.0];
/// Taps of a factor, which must be more.
const LEAST: f64 = 2.0 * LEAST_STEP as f64 * BLOCKS[0];
/// How far floats may be off, per unit of range, where the method is asked for and no tolerance: half a level of 8 bits.
pub(super) const ASKED: f64 = 0.5 / RANGE;
/// An error so many times what is allowed is that of a factor that is not smooth; in a chain, where less is allowed,
/// that no finer fit makes up for.
const HOPELESS: f64 = 16.0;
const HOPELESS_IN_CHAINS: f64 = 8.0;
/// What normalised results may be off by, so that rows of 16 bits hold them.
const MOST: f64 = 100.0;
/// Fraction bits of rows of 16 bits, in which 0 stands for 128.
const ROW_BITS: u32 = 7;
/// The largest sample of 8 bits, and the one in the middle.
const RANGE: f64 = 255.0;
const MIDDLE: f64 = 128.0;

/// A kernel at two rates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Multirate {
    /// Across and down.
    pub rates: [Rate; 2],
    /// Whether rows at the full rate have 16 bits; else `f32`.
    pub short: bool,
    /// What sums of the decimator down start with, and are shifted by.
    pub start: i32,
    pub shift: u32,
    /// The kernel in two passes, for samples where the source has others than numbers: NaN and infinity must not leave
    /// its window.
    pub exact: Option<Passes>,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rate {
    /// D: samples of a block.
    pub step: usize,
    /// Of the decimator, which reads three blocks.
    pub low: Taps,
    /// Between low samples.
    pub between: Vec<f32>,
    /// Of the interpolator: three for each phase; down for each of three places of its first row in a ring.
    pub phases: Taps,
}

impl Rate {
    /// Blocks on either side that a block of the output reads.
    pub fn reach(&self) -> usize {
        self.between.len() / 2 + SPAN - 1
    }
}

impl Multirate {
    /// Multiplications per sample: three for decimation, and for interpolation, at the full rate, and what is done at
    /// lower rates.
    pub fn multiplications(&self) -> usize {
        let [x, y] = &self.rates;
        let (across, down) = (x.step as f64, y.step as f64);
        let low = (x.between.len() + y.between.len()) as f64 / (across * down);
        let full = 2.0 * SPAN as f64;
        (full + full / down + low).ceil() as usize
    }

    /// What it takes for a sample, in nanoseconds (AMD Zen 4, one thread, 2026-11-30).
    pub fn cost(&self) -> f64 {
        if self.short { 0.5 } else { 0.8 }
    }

    /// The same as they are executed: rows of bytes are decimated in pairs.
    pub fn operations(&self) -> Operations {
        let [x, y] = &self.rates;
        let (across, down) = (x.step as f64, y.step as f64);
        let span = SPAN as f64;
        let rows = SPAN * y.step + usize::from(self.short && SPAN * y.step % 2 == 1);
        let low = (x.between.len() + y.between.len()) as f64 / (across * down);
        Operations::products(rows as f64 / down + span / down + low + span / down + span)
    }

    /// What it reads on the axes of an image: all that blocks reach. Where the kernel must lie inside, what reaches
    /// beyond is the nearest pixel: those taps are part of the error.
    pub fn axes(&self, filter: &Filter, input: Shape) -> [Axis; 2] {
        let mut axes = filter.axes(input);
        let anchor = filter.kernels()[0].anchor();
        for ((axis, anchor), rate) in axes.iter_mut().zip([anchor.0, anchor.1]).zip(&self.rates) {
            let reach = (rate.reach() + 1) * rate.step - 1;
            axis.before = reach - (anchor - axis.before);
            axis.taps = 2 * reach + 1;
            if matches!(axis.border, Border::Valid) {
                axis.border = Border::Replicate;
            }
        }
        axes
    }

    /// What is done to rows, first to last.
    pub fn describe(&self) -> [String; 4] {
        let [x, y] = &self.rates;
        let rows = if self.short { "16-bit rows" } else { "f32 rows" };
        let (across, down) = (x.between.len(), y.between.len());
        [
            format!("decimate: {} rows of every {}, {rows}", SPAN * y.step, y.step),
            format!("decimate: {} columns of every {}, f32", SPAN * x.step, x.step),
            format!("row and column pass at the low rate: {across} and {down} taps, f32"),
            format!("interpolate: {SPAN} columns, then {SPAN} rows"),
        ]
    }
}

/// Row and column of a kernel, each divided by the sum of its magnitudes and with its anchor in the middle, and what that
/// takes from their product; if they are long enough to try.
fn factors(kernel: &Kernel, column: &[f64], row: &[f64]) -> Option<([Vec<f64>; 2], f64)> {
    let (x, y) = kernel.anchor();
    let unit = |taps: &[f64], anchor: usize| {
        // With the sign that makes a window's taps positive.
        let size = taps.iter().map(|t| t.abs()).sum::<f64>().copysign(taps.iter().sum());
        let long = taps.len() as f64 > LEAST;
        let reach = anchor.max(taps.len() - 1 - anchor);
        (long && size != 0.0).then(|| {
            let mut all = vec![0.0; 2 * reach + 1];
            let there = all[reach - anchor..].iter_mut().zip(taps);
            there.for_each(|(to, t)| *to = t / size);
            (all, size)
        })
    };
    let ((row, across), (column, down)) = (unit(row, x)?, unit(column, y)?);
    Some(([row, column], across * down))
}

/// Whether a filter may be done at two rates, by the size of its kernel and its method.
pub(super) fn is_long(filter: &Filter) -> bool {
    let [kernel] = filter.kernels() else { return false };
    let (method, taps) = (filter.get_method(), kernel.width().min(kernel.height()));
    matches!(method, Method::Auto | Method::Multirate) && taps as f64 > LEAST
}

/// The kernel at two rates, if the contract of `spec` is kept, and what was proved; the fewest multiplications that are
/// good enough.
pub(super) fn multirate(spec: &Spec<'_>, separation: &Separation) -> Option<Choice> {
    let [kernel] = spec.filter.kernels() else { return None };
    let forced = spec.filter.get_method() == Method::Multirate;
    let asked = forced || spec.filter.get_method() == Method::Auto;
    let mean = spec.is_mean();
    if !asked || spec.precise || spec.must_be_exact() || spec.premultiplied && !mean {
        return None;
    }
    // How far results may be off, if it is said; else what rounding hides, which floats do not have.
    let floats = spec.float_source() || spec.float_output();
    let given = match spec.chained {
        true => Some(spec.allowance?.error / if spec.premultiplied { 2.0 } else { 1.0 }),
        false => spec.filter.get_tolerance(),
    };
    let given = given.map(|tolerance| tolerance * spec.range());
    let allowed = match given {
        Some(given) => given,
        None if floats && !forced => return None,
        None if floats => ASKED * spec.range(),
        None if spec.premultiplied => spec.allowed() / 2.0 * spec.range().sqrt(),
        None => spec.allowed(),
    };
    // Where results are integers, nothing tells what was made of NaN.
    if allowed == 0.0 || spec.float_source() && !spec.float_output() {
        return None;
    }
    let term = &separation.terms()[0];
    let (factors, size) = factors(kernel, &term.column, &term.row)?;
    let plain = mean && factors.iter().flatten().all(|t| *t >= 0.0);
    let gain = if plain { 1.0 } else { size * spec.filter.get_scale() };
    // What the gain and the offset are rounded to, and what that makes of results.
    let rounded = if plain { 0.0 } else { spec.offset().abs() + spec.range() * gain.abs() + 1.0 };
    if rounded > 1e30 {
        return None;
    }
    let residual = separation.residual(1) * spec.filter.get_scale().abs() * spec.range();
    // Samples of floats, and constants, may be below 0.
    let low = match spec.allowance {
        Some(allowance) => allowance.low * spec.range(),
        None if spec.reaches_below_0() => -spec.range(),
        None => 0.0,
    };
    let samples = (low, spec.range());
    let bytes = spec.source == SampleType::U8 && spec.output == SampleType::U8;
    let short = bytes && plain && !spec.premultiplied && !spec.widened && given.is_none();
    let hopeless = if spec.chained { HOPELESS_IN_CHAINS } else { HOPELESS };
    let (mut pass, proved) =
        search(&factors, (kernel, gain), short, samples, hopeless * allowed, |bound, noise| {
            let bound = bound + residual + spec.carried(gain.abs()) + 4.0 * U * rounded;
            let proved = Proved { noise, ..spec.arithmetic(Arithmetic::F32, bound) };
            let enough =
                if floats || given.is_some() { bound <= allowed } else { spec.takes(&proved) };
            enough.then_some(proved)
        })?;
    if !spec.finite {
        pass.exact = Some(in_two_passes(spec, separation)?);
    }
    let mut finish = spec.finish();
    if short {
        // The middle comes back, and a half; results are within ½ of samples, so that 16 bits hold them.
        let start = ((MIDDLE + 0.5) * f64::from(ROW_BITS).exp2()) as i32;
        finish.fixed[0] = Fixed { shift: ROW_BITS, start, unsigned: true, ..Fixed::default() };
    }
    Some((Pass::Multirate(pass.into()), proved, finish))
}

/// Two passes in `f32`.
fn in_two_passes(spec: &Spec<'_>, separation: &Separation) -> Option<Passes> {
    let unfused = Spec { fused: false, ..*spec };
    match arithmetic::separable(&unfused, std::slice::from_ref(separation))? {
        (Pass::Separable(passes), Proved { arithmetic: Arithmetic::F32, .. }, _) => {
            passes.into_iter().next()
        }
        _ => None,
    }
}

/// A filter whose rows of 16 bits other stages read.
pub(super) struct Addend {
    pub stage: FilterStage,
    /// What a 1 of them stands for, and a 0.
    pub unit: f64,
    pub zero: f64,
    /// What they change by from a sample to the next of a constant image.
    pub slope: f64,
    /// In units of results.
    pub bound: f64,
    pub noise: Noise,
}

/// A filter of `u8` images at two rates, with an error of at most `allowed`, to rows of 16 bits.
pub(super) fn addend(
    filter: &Filter,
    input: Shape,
    (level, opacity): (Level, Opacity),
    allowed: f64,
) -> Option<Addend> {
    let [kernel] = filter.kernels() else { return None };
    let (column, row) = kernel.factors()?;
    let (factors, size) = factors(kernel, column, row)?;
    let gain = size * filter.get_scale();
    let sum: f64 = factors.iter().map(|taps| taps.iter().sum::<f64>()).product();
    let limit = (allowed / gain.abs()).min(MOST);
    if limit == 0.0 {
        return None;
    }
    let (pass, (bound, noise)) =
        search(&factors, (kernel, 1.0), true, (0.0, RANGE), HOPELESS * limit, |bound, noise| {
            (bound <= limit).then_some((bound * gain.abs(), noise))
        })?;
    let proved = Proved { noise, bound, ..Proved::reference(SampleType::U8) };
    let output = filter.output_shape(input).ok()?;
    let stage = FilterStage {
        filter: filter.clone(),
        axes: pass.axes(filter, input),
        anchor: under_anchor(filter, input),
        input,
        output,
        types: (SampleType::U8, SampleType::I16),
        pass: Pass::Multirate(pass.into()),
        arithmetic: Proved { arithmetic: Arithmetic::F32, ..proved },
        finish: Finish::PLAIN,
        level,
        opacity,
        widened: false,
    };
    let (own, none) = (Noise::default(), noise);
    let noise = own.after(none, 1.0, gain, gain * gain);
    let one = f64::from(ROW_BITS).exp2();
    let (unit, zero) = (gain / one, gain * sum * MIDDLE);
    Some(Addend { stage, unit, zero, slope: sum * one, bound, noise })
}

/// The first fit of these factors times a gain, from coarse to fine, whose bound and noise for such samples are good enough;
/// unless a bound is `hopeless`.
fn search<P>(
    factors: &[Vec<f64>; 2],
    (kernel, gain): (&Kernel, f64),
    short: bool,
    samples: (f64, f64),
    hopeless: f64,
    enough: impl Fn(f64, Noise) -> Option<P>,
) -> Option<(Multirate, P)> {
    for blocks in BLOCKS {
        let step = |taps: usize| ((taps / 2) as f64 / blocks) as usize;
        let steps = [step(kernel.width()), step(kernel.height())];
        if steps.iter().any(|step| *step < LEAST_STEP) {
            return None;
        }
        let row = Fit::new(&factors[0], steps[0]);
        let column =
            if factors[0] == factors[1] { row.clone() } else { Fit::new(&factors[1], steps[1]) };
        let column = column.times(gain);
        let y: Vec<f64> = factors[1].iter().map(|t| t * gain).collect();
        let built = build([&row, &column], [&factors[0], &y[..]], short, samples)?;
        let Built { pass, bound, noise } = built;
        if let Some(enough) = enough(bound, noise) {
            return Some((pass, enough));
        }
        if bound > hopeless {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;

    #[test]
    fn only_smooth_kernels_that_are_long() {
        let may = |kernel: Kernel| {
            let filter = Filter::new(kernel).method(Method::Multirate);
            filter.plan::<u8, u8>(Shape::new(300, 300, 1)).is_ok()
        };
        assert!(may(Kernel::gaussian(10.0).unwrap()) && may(Kernel::gaussian(100.0).unwrap()));
        assert!(!may(Kernel::gaussian(3.0).unwrap()), "few taps");
        assert!(!may(Kernel::box_(101, 101).unwrap()), "not smooth");
        assert!(!may(Kernel::laplacian()), "no product");
        assert!(may(Kernel::gaussian(10.0).unwrap().with_anchor(3, 30).unwrap()));
        assert!(may(Kernel::gaussian_dx(10.0).unwrap()));
        let filter = Filter::new(Kernel::gaussian(10.0).unwrap());
        let plan = |filter: &Filter| filter.plan::<u8, u8>(Shape::new(300, 300, 1)).unwrap();
        assert_eq!(plan(&filter).stages()[0].method, Some(Method::Multirate));
        for other in [filter.clone().scale(0.5), filter.clone().offset(1.0), filter.clone().abs()] {
            assert_eq!(plan(&other).stages()[0].method, Some(Method::Multirate));
        }
    }
}
