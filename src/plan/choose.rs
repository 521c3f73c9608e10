//! The choice of a method and its arithmetic: the cheapest that keep the contract.

use super::Pass;
use super::arithmetic::{self, Arithmetic, Choice, Spec};
use super::fft::fft;
use super::multirate::multirate;
use super::runs::runs;
use crate::border::Border;
use crate::error::Error;
use crate::filter::{Filter, Method};
use crate::kernel::{Kernel, Separation};
use crate::pass::Nine;
use crate::sample::SampleType;
use std::sync::OnceLock;

/// The cheapest pass and arithmetic that keep the contract; `None` is the reference. Sums of windows of equal taps
/// are those of `summed`: the same spec, on the samples that are really read. The kernel may be done by a sum of
/// `products`, too, and what they take.
pub(super) fn choose(
    spec: &Spec<'_>,
    summed: &Spec<'_>,
    separations: &[Separation],
    products: Option<(f64, Choice)>,
) -> Result<Option<Choice>, Error> {
    let method = spec.filter.get_method();
    if method == Method::Naive {
        return Ok(None);
    }
    if let Some(found) = arithmetic::nine(spec) {
        return Ok(Some(found));
    }
    if !matches!(method, Method::Dense | Method::Runs | Method::Fft) {
        let apart = separations
            .iter()
            .zip(spec.filter.kernels())
            .find(|(s, k)| !(s.is_separable() || s.residual(1) <= may_leave(spec, k)));
        match apart {
            None => {
                if !spec.precise
                    && method != Method::Multirate
                    && let Some(found) = arithmetic::running(summed)
                {
                    return Ok(Some(found));
                }
                if let [separation] = separations
                    && let Some(found) = multirate(spec, separation)
                {
                    return Ok(Some(found));
                }
                if method == Method::Multirate {
                    return Err(Error::Unsupported(
                        "two rates cannot keep the error bound for this kernel, or these samples; use method auto",
                    ));
                }
                if let Some((pass, proved, finish)) = arithmetic::separable(spec, separations) {
                    let arithmetic = proved.arithmetic;
                    let one = match &pass {
                        Pass::Separable(passes) => {
                            stencil(spec, passes.iter().map(|passes| passes.nine(arithmetic)))
                        }
                        _ => None,
                    };
                    return Ok(Some((one.unwrap_or(pass), proved, finish)));
                }
                if method == Method::Separable {
                    return Err(Error::Unsupported(
                        "two passes cannot keep the error bound for this kernel; use method auto",
                    ));
                }
            }
            Some((_, k)) if matches!(method, Method::Separable | Method::Multirate) => {
                let s = Separation::of(k);
                return Err(Error::NotSeparable {
                    rank: s.rank(),
                    rank_known: s.rank_known(),
                    residual: s.residual(1),
                });
            }
            Some(_) => {}
        }
    }
    let direct = arithmetic::dense(spec);
    let mut least = direct.as_ref().map_or(f64::INFINITY, |(proved, ..)| {
        direct_cost(proved.arithmetic) * spec.filter.kernels()[0].taps().len() as f64
    });
    let mut found = None;
    if let Some((cost, sum)) = products.filter(|(cost, _)| *cost < least) {
        (least, found) = (cost, Some(sum));
    }
    if !matches!(method, Method::Dense | Method::Fft)
        && let Some((cost, runs)) = runs(spec)
        && (cost < least || method == Method::Runs)
    {
        (least, found) = (cost, Some(runs));
    }
    if !matches!(method, Method::Dense | Method::Runs) {
        found = fft(spec, direct.as_ref(), least).or(found);
    }
    match method {
        _ if found.is_some() => return Ok(found),
        Method::Runs => {
            return Err(Error::Unsupported(
                "runs of taps cannot keep the error bound for this kernel, or these samples; use method auto",
            ));
        }
        Method::Fft => {
            return Err(Error::Unsupported(
                "Fourier transforms are not for this filter, or these samples; use method auto",
            ));
        }
        _ => {}
    }
    Ok(direct.map(|(proved, taps, finish)| {
        let one = stencil(spec, taps.iter().map(|taps| taps.nine(proved.arithmetic)));
        (one.unwrap_or(Pass::Dense(taps)), proved, finish)
    }))
}

/// Whether all constants of a border are samples of that type. Errors: some that `f32` does not hold.
pub(super) fn check_constants(border: &Border, source: SampleType) -> Result<bool, Error> {
    let Border::Constant(values) = border else { return Ok(true) };
    if let Some(&value) = values.iter().find(|v| !(**v as f32).is_finite()) {
        return Err(Error::ConstantValue { value });
    }
    let most = match source {
        SampleType::U8 => 255.0,
        SampleType::U16 => 65535.0,
        _ => return Ok(true),
    };
    Ok(values.iter().all(|v| v.fract() == 0.0 && (0.0..=most).contains(v)))
}

/// What a direct pass takes for a tap and a sample, in nanoseconds (AMD Zen 4, one thread, AVX-512, 2026-11-29).
pub(super) fn direct_cost(arithmetic: Arithmetic) -> f64 {
    match arithmetic {
        Arithmetic::I16 | Arithmetic::I16Rounded => 0.005,
        Arithmetic::I16Pairs => 0.0095,
        Arithmetic::F32 | Arithmetic::F32Fused => 0.02,
        Arithmetic::I32 => 0.025,
        _ => 0.04,
    }
}

/// What two passes take for a tap and a sample, in nanoseconds, measured as [`direct_cost`].
pub(super) fn separable_cost(arithmetic: Arithmetic) -> f64 {
    match arithmetic {
        Arithmetic::I16 | Arithmetic::I16Rounded => 0.012,
        Arithmetic::I16Pairs => 0.0185,
        Arithmetic::F32 | Arithmetic::F32Fused => 0.028,
        _ => 0.045,
    }
}

/// One pass for kernels that are all 3×3.
pub(super) fn stencil(
    spec: &Spec<'_>,
    kernels: impl Iterator<Item = Option<Nine>>,
) -> Option<Pass> {
    let kernel = &spec.filter.kernels()[0];
    // Nine taps may also lie in a line.
    let small = (kernel.width(), kernel.height()) == (3, 3);
    kernels.collect::<Option<Vec<_>>>().filter(|_| small).map(Pass::Stencil)
}

/// Whether what one product leaves out disappears in the rounding of `f32`.
pub(super) fn negligible(separation: &Separation, kernel: &Kernel) -> bool {
    separation.residual(1) <= kernel.abs_sum() / f64::from(1 << 22)
}

/// What one product may leave out of a kernel, so that it disappears in the rounding.
pub(super) fn may_leave(spec: &Spec<'_>, kernel: &Kernel) -> f64 {
    if spec.source == SampleType::F32 || spec.output == SampleType::F32 {
        return kernel.abs_sum() / f64::from(1 << 22);
    }
    let range = if spec.source == SampleType::U8 { 255.0 } else { 65535.0 };
    (0.25 / (range * spec.filter.get_scale().abs())).min(f64::MAX)
}

/// How a plan's kernels were separated, as far as it had to know; all of it when somebody asks.
#[derive(Debug, Clone)]
pub(crate) struct Separations {
    known: Vec<Separation>,
    whole: OnceLock<Vec<Separation>>,
}

impl Separations {
    pub(super) fn new(known: Vec<Separation>) -> Self {
        Self { known, whole: OnceLock::new() }
    }

    /// Those of the filter's kernels, whole.
    pub(super) fn of(&self, filter: &Filter) -> &[Separation] {
        if self.known.iter().all(Separation::rank_known) {
            return &self.known;
        }
        self.whole.get_or_init(|| filter.kernels().iter().map(Separation::of).collect())
    }
}

impl PartialEq for Separations {
    /// What was asked for makes no difference.
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known
    }
}
