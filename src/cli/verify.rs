//! `--verify`: compares a result with the reference, sample by sample.

use super::failure::{Failure, Kind};
use super::report::VerifyPart;
use super::text::number;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use twopass::{
    Alpha, Border, Error, Filter, Layer, Plan, Post, Rect, Sample, SampleType, Shape, Source, View,
    reference,
};

/// Above this many taps a part of the image is checked. The reference does some ten thousand million a second on two cores.
const TAPS: u128 = 40_000_000_000;

/// Taps that are spent on that part: about half on the edges, half on rows.
const PART: u128 = 8_000_000_000;

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
    check(&pieces, &bound, all, got, |rect: &Rect| {
        Ok((reference::region(filter, source.shape(), source, (0, 0), *rect)?, got.crop(*rect)?))
    })
}

/// The same for a chain, whose last channel is alpha if `alpha` says so.
pub fn verify_chain<I: Source, O: Sample>(
    plan: &Plan<I, O>,
    source: View<'_, I>,
    got: View<'_, O>,
    alpha: bool,
) -> Result<VerifyPart, Failure> {
    let bound = Bound::of_chain(plan, source, alpha);
    let shape = got.shape();
    let (bands, all) = bands(plan.chain().layers(), plan.input_shape(), shape)?;
    check(&bands, &bound, all, got, |rows: &Range<usize>| {
        let rect = Rect::new(0, rows.start, shape.width, rows.len());
        let (chain, whole) = (plan.chain(), source.shape());
        Ok((reference::layer::region(chain, whole, source, (0, 0), rect)?, got.crop(rect)?))
    })
}

/// Compares pieces of a result, on all cores; `exact` gives what a piece should be, and is.
fn check<'a, P: Sync, O: Sample>(
    pieces: &[P],
    bound: &Bound,
    all: bool,
    got: View<'a, O>,
    exact: impl Fn(&P) -> Result<(Vec<f64>, View<'a, O>), Error> + Sync,
) -> Result<VerifyPart, Failure> {
    let bar = indicatif::ProgressBar::new(pieces.len() as u64);
    bar.set_style(indicatif::ProgressStyle::default_bar());
    let next = AtomicUsize::new(0);
    let work = || -> Result<Tally, Error> {
        let mut tally = Tally::default();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (exact, part) = exact(piece)?;
            bound.compare(&exact, part, &mut tally);
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
        let proved = plan.error_bound_within(reach).unwrap_or(0.0);
        let rounded = O::TYPE != SampleType::F32;
        let (absolute, relative) = if rounded && is_exact::<I>(filter) {
            (0.0, 0.0)
        } else if rounded && I::TYPE == SampleType::F32 {
            (1.0 + proved, 0.0)
        } else if rounded {
            (1.0 + filter.get_tolerance().unwrap_or(0.0) * I::FULL, 0.0)
        } else {
            // A quotient of two results of single precision is allowed the errors of both.
            let gain: f64 = filter.kernels().iter().map(twopass::Kernel::abs_sum).sum();
            let quotient = 4e-5 * gain * filter.get_scale().abs() * reach;
            let quotient = quotient + 2.0 * filter.get_tolerance().unwrap_or(0.0) * reach;
            let absolute = if premultiplied { proved.max(quotient) } else { proved };
            (absolute + f64::from(f32::MIN_POSITIVE), f64::from(f32::EPSILON))
        };
        Self { absolute, relative, rounded, full_alpha: premultiplied.then_some(I::FULL) }
    }

    fn of_chain<I: Source, O: Sample>(plan: &Plan<I, O>, source: View<'_, I>, alpha: bool) -> Self {
        let filters = plan.chain().layers().iter().filter_map(|layer| match layer {
            Layer::Filter(filter) => Some(filter),
            _ => None,
        });
        let premultiplied =
            filters.clone().any(|filter| filter.get_alpha() == Some(Alpha::Premultiply));
        let borders = filters.clone().flat_map(|f| <[&Border; 2]>::from(f.get_borders()));
        let reach = match I::TYPE {
            SampleType::F32 => borders.map(constants).fold(largest(source), f64::max),
            _ => I::FULL,
        };
        // Where colours are divided by alpha nothing is proved.
        let gains = filters.map(|f| {
            let gain: f64 = f.kernels().iter().map(twopass::Kernel::abs_sum).sum();
            gain * f.get_scale().abs()
        });
        let quotient = 4e-5 * gains.map(|gain| gain.max(1.0)).product::<f64>() * reach;
        let proved = plan.error_bound_within(reach).unwrap_or(quotient);
        let rounded = O::TYPE != SampleType::F32;
        let (absolute, relative) = match (rounded, I::TYPE) {
            (true, SampleType::F32) => (1.0 + proved, 0.0),
            (true, _) if plan.error_bound() == Some(0.0) => (0.0, 0.0),
            (true, _) => (1.0, 0.0),
            _ => (proved + f64::from(f32::MIN_POSITIVE), f64::from(f32::EPSILON)),
        };
        // Full alpha is that of the output.
        let full_alpha = (premultiplied && alpha).then_some(match rounded {
            true => O::FULL,
            false => I::FULL,
        });
        Self { absolute, relative, rounded, full_alpha }
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
                        Some(full) if c + 1 < channels => {
                            (exact[channels - 1] / full).clamp(0.0, 1.0)
                        }
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
    let (x, y) = filter.get_borders();
    constants(x).max(constants(y)).max(largest(source))
}

/// The largest magnitude of a border's constants.
fn constants(border: &Border) -> f64 {
    match border {
        Border::Constant(values) => values.iter().fold(0.0, |m: f64, v| m.max(v.abs())),
        _ => 0.0,
    }
}

/// The largest magnitude of a finite sample.
fn largest<I: Source>(source: View<'_, I>) -> f64 {
    (0..source.shape().height)
        .flat_map(|y| source.row(y))
        .map(|s| s.to_f64().abs())
        .filter(|v| v.is_finite())
        .fold(0.0, f64::max)
}

/// Rows of a band: what its neighbours compute again should not count.
const BAND: usize = 64;

/// The rows to check of a chain's result, and whether they are all: all, or else evenly spaced ones,
/// the first and the last among them.
fn bands(
    layers: &[Layer],
    input: Shape,
    output: Shape,
) -> Result<(Vec<Range<usize>>, bool), Error> {
    let height = output.height;
    // What a row costs: of each layer the rows that all later windows read.
    let (mut shape, mut costs) = (input, Vec::new());
    for layer in layers {
        let taps = layer.multiplications(shape)?;
        shape = layer.output_shape(shape)?;
        costs.push((taps / shape.height as u64, rows(layer), shape.height));
    }
    let (mut needed, mut row, mut band) = (1, 0u128, 0u128);
    for (taps, rows, height) in costs.into_iter().rev() {
        row += u128::from(taps) * needed.min(height) as u128;
        band += u128::from(taps) * (needed + BAND - 1).min(height) as u128;
        needed += rows - 1;
    }
    let count = height.div_ceil(BAND);
    if band * count as u128 <= TAPS {
        let bands = (0..count).map(|i| i * BAND..((i + 1) * BAND).min(height));
        return Ok((bands.collect(), true));
    }
    let most = usize::try_from(PART / row.max(1)).unwrap_or(height).clamp(8, height.max(8));
    let places = (0..most).map(|i| i * (height - 1) / (most - 1));
    let mut rows: Vec<_> = places.map(|y| y..y + 1).collect();
    rows.dedup();
    Ok((rows, false))
}

/// Rows that a layer's window spans.
fn rows(layer: &Layer) -> usize {
    match layer {
        Layer::Filter(filter) => filter.kernels()[0].height(),
        Layer::Depthwise(layer) => layer.size().1,
        _ => 1,
    }
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
