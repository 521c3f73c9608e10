//! The stage of a filter, chosen: the method and arithmetic that are cheapest and keep the contract.

use super::Pass;
use super::arithmetic::{self, Choice, Proved, Spec, stencil};
use super::costs::direct_cost;
use super::fft::fft;
use super::filter::{FilterFacts, FilterStage, Separations, Setting, under_anchor};
use super::multirate::multirate;
use super::runs::runs;
use super::terms;
use crate::border::Border;
use crate::error::Error;
use crate::filter::{Alpha, Filter, Method, Post};
use crate::kernel::{Kernel, Separation};
use crate::sample::SampleType;
use crate::view::Shape;

impl FilterStage {
    /// The stage, unless the reference has to do its work; and what was found out.
    pub(super) fn new(
        filter: &Filter,
        input: Shape,
        types: (SampleType, SampleType),
        setting: Setting,
    ) -> Result<(Option<Self>, FilterFacts), Error> {
        let output = filter.output_shape(input)?;
        let (border_x, border_y) = filter.get_borders();
        let mut samples = true;
        for border in [border_x, border_y] {
            samples &= check_constants(border, types.0)?;
        }
        let premultiplied = filter.get_alpha() == Some(Alpha::Premultiply);
        let widened = !samples && !premultiplied;
        let Setting { level, fused, opacity, precise, chained, finite, allowance, transforms } =
            setting;
        let float = SampleType::F32;
        let (source, target) = if chained { (float, float) } else { types };
        let spec = Spec {
            filter,
            channels: input.channels,
            source,
            output: target,
            rows: (0.0, 0.0),
            premultiplied,
            widened: widened && !chained,
            level,
            fused,
            precise,
            chained,
            finite,
            allowance,
            transforms,
            unit: 1.0,
        };
        let terms = terms::may(filter) && !premultiplied && !widened;
        let separation = |k: &Kernel| match chained && !terms {
            true => Separation::of(k),
            false => Separation::within(k, spec.may_leave(k)),
        };
        let separations: Vec<_> = filter.kernels().iter().map(separation).collect();
        let forced = filter.get_method() == Method::Terms;
        let terms = terms && (forced || !separations[0].is_separable());
        let known = filter.kernels()[0].terms();
        let sum = if terms { terms::terms(&spec, known, input, types, setting) } else { None };
        let splits = !(sum.is_some() || premultiplied || widened || separations[0].is_separable())
            && terms::may_split(filter, chained)
            && separations[0].residual(1) > spec.may_leave(&filter.kernels()[0]);
        let mut products =
            if splits { terms::products(&spec, input, types, setting) } else { None };
        let asked = products.take_if(|_| forced).map(|(_, found)| found);
        let sum = sum.or(asked);
        let mut chosen = match sum {
            Some(found) => Some(found),
            None if forced => {
                return Err(Error::Unsupported(
                    "no terms of this kernel are known that keep the error bound, and it is no sum of four products or fewer; use method auto",
                ));
            }
            None => {
                // Rows of integers, which a chain begins with, are summed as such.
                let whole = if premultiplied || widened { source } else { types.0 };
                choose(&spec, &Spec { source: whole, ..spec }, &separations, products)?
            }
        };
        if let Some((_, arithmetic, _)) = &mut chosen
            && chained
            && !arithmetic.relative
        {
            arithmetic.bound /= opacity.full;
            arithmetic.relative = true;
        }
        let method = chosen.as_ref().map_or(Method::Naive, |(pass, ..)| pass.method());
        let arithmetic = match &chosen {
            Some((_, arithmetic, _)) => arithmetic.clone(),
            None => Proved::reference(types.0),
        };
        let multiplications = chosen.as_ref().and_then(|(pass, ..)| pass.multiplications());
        let facts = FilterFacts {
            multiplications,
            whole: is_whole(filter, method, &separations),
            separations: Separations::new(separations),
            method,
            arithmetic,
        };
        let stage = chosen.map(|(pass, arithmetic, finish)| Self {
            filter: filter.clone(),
            axes: pass.axes(filter, input),
            anchor: under_anchor(filter, input),
            input,
            output,
            types,
            pass,
            arithmetic,
            finish,
            level,
            opacity,
            widened,
        });
        Ok((stage, facts))
    }
}

/// The cheapest pass and arithmetic that keep the contract; `None` is the reference. Sums of windows of equal taps, two
/// rates and transforms are those of `summed`: the same spec, on the samples that are really read. The kernel may be
/// done by a sum of `products`, too, and what they take.
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
            .find(|(s, k)| !(s.is_separable() || s.residual(1) <= spec.may_leave(k)));
        match apart {
            None => {
                if !spec.precise
                    && method != Method::Multirate
                    && let Some(found) = arithmetic::running(summed)
                {
                    return Ok(Some(found));
                }
                if let [separation] = separations
                    && let Some(found) = multirate(summed, separation)
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
        found = fft(summed, direct.as_ref(), least).or(found);
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

/// Whether a filter makes whole numbers of whole numbers, and all that it adds up is whole.
fn is_whole(filter: &Filter, method: Method, separations: &[Separation]) -> bool {
    let whole = |v: &f64| v.fract() == 0.0;
    let both = |column: &[f64], row: &[f64]| column.iter().chain(row).all(whole);
    let of_term = |term: &Kernel| match term.factors() {
        Some((column, row)) => both(column, row),
        None => term.taps().iter().all(whole),
    };
    let factors = match method {
        Method::Separable => {
            separations.iter().map(|s| &s.terms()[0]).all(|t| both(&t.column, &t.row))
        }
        // Products that were found for a kernel are not whole.
        Method::Terms => {
            let known = |k: &Kernel| !k.terms().is_empty() && k.terms().iter().all(of_term);
            filter.kernels().iter().all(known)
        }
        Method::Multirate => false,
        _ => true,
    };
    let mut taps = filter.kernels().iter().flat_map(Kernel::taps);
    factors
        && taps.all(whole)
        && [filter.get_scale(), filter.get_offset()].iter().all(whole)
        && filter.get_post() != Post::Magnitude
}
