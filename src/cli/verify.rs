//! `--verify`: compares a result with the reference, sample by sample.

use super::failure::{Failure, Kind};
use super::report::{VerifyPart, number};
use std::sync::atomic::{AtomicUsize, Ordering};
use twopass::{
    Alpha, Border, Error, Filter, Plan, Post, Rect, Sample, SampleType, Source, View, reference,
};

/// Above this many taps the reference would take minutes, so a part of the image is checked.
const TAPS: u128 = 10_000_000_000;

/// Taps that are spent on that part: about half on the edges, half on rows.
const PART: u128 = 2_000_000_000;

/// Samples and taps that one call of the reference goes through, at most.
const PIECE: (usize, usize) = (1 << 14, 1 << 30);

/// What was found in some part of the image.
#[derive(Default)]
struct Tally {
    max: f64,
    sum: f64,
    samples: usize,
    above: usize,
}

/// Compares `got` with the reference, or fails with what is above the bound.
pub fn verify<I: Source, O: Sample>(
    plan: &Plan<I, O>,
    filter: &Filter,
    source: View<'_, I>,
    got: View<'_, O>,
) -> Result<VerifyPart, Failure> {
    let bound = Bound::of(plan, filter, source);
    let (pieces, all) = pieces(filter, got);
    let bar = indicatif::ProgressBar::new(pieces.len() as u64);
    bar.set_style(indicatif::ProgressStyle::default_bar());
    let next = AtomicUsize::new(0);
    let work = || -> Result<Tally, Error> {
        let mut tally = Tally::default();
        while let Some(rect) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let exact = reference::region(filter, source.shape(), source, (0, 0), *rect)?;
            bound.compare(&exact, got.crop(*rect)?, &mut tally);
            bar.inc(1);
        }
        Ok(tally)
    };
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(pieces.len());
    let tallies = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|h| h.join().expect("the reference panicked")).collect::<Vec<_>>()
    });
    bar.finish_and_clear();
    let mut total = Tally::default();
    for tally in tallies {
        let tally = tally?;
        total.max = total.max.max(tally.max);
        total.sum += tally.sum;
        total.samples += tally.samples;
        total.above += tally.above;
    }
    let (max_error, mean_error) = (total.max, total.sum / total.samples.max(1) as f64);
    let share = if all {
        "all samples".to_owned()
    } else {
        let whole = got.shape().samples()?;
        format!("{} of {whole} samples (edges and evenly spaced rows)", total.samples)
    };
    let found = format!(
        "{share} compared with the reference, maximum error {}, mean error {}",
        number(max_error),
        number(mean_error)
    );
    if total.above > 0 {
        return Err(Failure::new(
            Kind::Verify,
            format!("{found}: {} samples are off by more than {}", total.above, bound.text()),
        ));
    }
    Ok(VerifyPart { max_error, mean_error, text: format!("{found}; allowed {}", bound.text()) })
}

/// How far a result may be from the reference.
struct Bound {
    /// For integer outputs after rounding, for `f32` before.
    absolute: f64,
    /// Part of the exact value; what rounding to `f32` costs.
    relative: f64,
    rounded: bool,
    /// With premultiplied alpha the bound holds on colour × alpha; this is full alpha.
    full_alpha: Option<f64>,
}

impl Bound {
    fn of<I: Source, O: Sample>(plan: &Plan<I, O>, filter: &Filter, source: View<'_, I>) -> Self {
        let premultiplied = filter.get_alpha() == Some(Alpha::Premultiply);
        let reach = reach(filter, source);
        let proved = plan.error_bound() * if I::TYPE == SampleType::F32 { reach } else { 1.0 };
        let rounded = O::TYPE != SampleType::F32;
        let (absolute, relative) = if rounded && is_exact::<I>(filter) {
            (0.0, 0.0)
        } else if rounded && I::TYPE == SampleType::F32 {
            (1.0 + proved, 0.0)
        } else if rounded {
            (1.0, 0.0)
        } else {
            // A quotient of two results of single precision is allowed the errors of both.
            let gain: f64 = filter.kernels().iter().map(twopass::Kernel::abs_sum).sum();
            let quotient = 4e-5 * gain * filter.get_scale().abs() * reach;
            let absolute = if premultiplied { proved.max(quotient) } else { proved };
            (absolute + f64::from(f32::MIN_POSITIVE), f64::from(f32::EPSILON))
        };
        Self { absolute, relative, rounded, full_alpha: premultiplied.then_some(I::FULL) }
    }

    fn text(&self) -> String {
        let what = if self.full_alpha.is_some() { " (colour × alpha)" } else { "" };
        let absolute = number(self.absolute);
        match self.rounded {
            true => format!("{absolute}{what}"),
            false => format!("{absolute} + {} of the value{what}", number(self.relative)),
        }
    }

    fn compare<O: Sample>(&self, exact: &[f64], got: View<'_, O>, tally: &mut Tally) {
        let channels = got.shape().channels;
        for (y, exact) in exact.chunks_exact(got.shape().row()).enumerate() {
            let pixels = exact.chunks_exact(channels).zip(got.row(y).chunks_exact(channels));
            for (exact, got) in pixels {
                for (c, (&e, &g)) in exact.iter().zip(got).enumerate() {
                    let weight = match self.full_alpha {
                        Some(full) if c + 1 < channels => exact[channels - 1] / full,
                        _ => 1.0,
                    };
                    self.sample(e, g, weight, tally);
                }
            }
        }
    }

    fn sample<O: Sample>(&self, exact: f64, got: O, weight: f64, tally: &mut Tally) {
        let (rounded, got) = (O::from_f64(exact).to_f64(), got.to_f64());
        let target = if self.rounded { rounded } else { exact };
        let same = got == rounded || (got.is_nan() && rounded.is_nan());
        let error = match (got - target).abs() * weight {
            _ if same && !rounded.is_finite() => 0.0,
            e if e.is_nan() => f64::INFINITY,
            e => e,
        };
        tally.max = tally.max.max(error);
        tally.sum += error;
        tally.samples += 1;
        let allowed = self.absolute + self.relative * exact.abs();
        tally.above += usize::from(!same && error > allowed);
    }
}

/// Whether the contract promises exact integer results: everything is an integer.
fn is_exact<I: Source>(filter: &Filter) -> bool {
    let whole = |x: f64| x.fract() == 0.0;
    I::TYPE != SampleType::F32
        && filter.get_post() != Post::Magnitude
        && filter.get_alpha() != Some(Alpha::Premultiply)
        && filter.get_scale() == 1.0
        && whole(filter.get_offset())
        && filter.kernels().iter().all(|k| k.taps().iter().all(|t| whole(*t)))
}

/// The largest magnitude that the filter can meet: of a finite sample, or of a border constant.
fn reach<I: Source>(filter: &Filter, source: View<'_, I>) -> f64 {
    if I::TYPE != SampleType::F32 {
        return I::FULL;
    }
    let constants = |border: &Border| match border {
        Border::Constant(values) => values.iter().fold(0.0, |m: f64, v| m.max(v.abs())),
        _ => 0.0,
    };
    let (x, y) = filter.get_borders();
    let outside = constants(x).max(constants(y));
    (0..source.shape().height)
        .flat_map(|y| source.row(y))
        .map(|s| s.to_f64().abs())
        .filter(|v| v.is_finite())
        .fold(outside, f64::max)
}

/// The rectangles to check, and whether they are the whole image: everything, or else the frame
/// that borders can reach and evenly spaced rows.
fn pieces<O: Sample>(filter: &Filter, got: View<'_, O>) -> (Vec<Rect>, bool) {
    let shape = got.shape();
    let taps: usize = filter.kernels().iter().map(|k| k.taps().len()).sum();
    let cost = |pixels: usize| pixels as u128 * shape.channels as u128 * taps as u128;
    let mut out = Vec::new();
    // Pixels in one piece.
    let most = (PIECE.0.min(PIECE.1 / taps) / shape.channels).max(1);
    if cost(shape.width * shape.height) <= TAPS {
        cut(shape.rect(), most, &mut out);
        return (out, true);
    }
    let kernel = &filter.kernels()[0];
    let (width, height) = (shape.width, shape.height);
    let (mut left, mut top) = (kernel.width().min(width / 2), kernel.height().min(height / 2));
    while left + top > 2 && 2 * cost(left * height + top * width) > PART / 2 {
        (left, top) = ((left / 2).max(1), (top / 2).max(1));
    }
    let (left, top) = (left.max(1), top.max(1));
    cut(Rect::new(0, 0, width, top), most, &mut out);
    cut(Rect::new(0, height - top, width, top), most, &mut out);
    cut(Rect::new(0, 0, left, height), most, &mut out);
    cut(Rect::new(width - left, 0, left, height), most, &mut out);
    let rows = usize::try_from(PART / 2 / cost(width)).unwrap_or(0).clamp(8, height.max(8));
    for i in 0..rows {
        cut(Rect::new(0, (2 * i + 1) * height / (2 * rows), width, 1), most, &mut out);
    }
    // With kernels so large that even this is too much, every nth piece of it.
    let total: u128 = out.iter().map(|r| cost(r.width * r.height)).sum();
    let step = total.div_ceil(2 * PART).max(1);
    (out.into_iter().step_by(usize::try_from(step).unwrap_or(usize::MAX)).collect(), false)
}

/// Cuts a rectangle into rows, or parts of rows, of at most `most` pixels.
fn cut(rect: Rect, most: usize, out: &mut Vec<Rect>) {
    let (across, down) = (rect.width.min(most), (most / rect.width).max(1));
    for y in (0..rect.height).step_by(down) {
        for x in (0..rect.width).step_by(across) {
            let (width, height) = (across.min(rect.width - x), down.min(rect.height - y));
            out.push(Rect::new(rect.x + x, rect.y + y, width, height));
        }
    }
}
