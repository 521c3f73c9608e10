//! Chains of nothing but image filters: each is planned as a filter of its own, from the rows of
//! the one before to rows of its own, and blocks of rows are computed together as in a single
//! filter.
//!
//! Rows between filters are `f32`; from `u8` images they are 16-bit integers with fraction bits,
//! where all errors together stay small enough. No value between filters is rounded to a sample.

use super::super::arithmetic::{Freedom, Noise, Rung, Task, between, sums};
use super::super::{Core, Separations, Work};
use super::{Builder, Segment, WindowKind};
use crate::border::Border;
use crate::filter::{Alpha, Filter, Post};
use crate::layer::{Chain, Layer};
use crate::pass::STENCIL_ROWS;
use crate::reference;
use crate::sample::SampleType;
use crate::view::Shape;

/// The filters of such a chain, first to last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Images {
    pub stages: Vec<Core>,
    /// Proved for rows of 16 bits.
    pub bound: Option<f64>,
    /// What those make of noise.
    pub noise: Noise,
}

/// Bytes of a tile's rows, of all filters: they stay in a usual second-level cache.
const ROWS_BYTES: usize = 512 << 10;
/// Rows of a strip for each row that its start makes once more.
const ROWS_EACH: usize = 64;

impl Images {
    /// The filters of a chain that has nothing else, at least two, and leaves alpha alone.
    fn filters(chain: &Chain) -> Option<Vec<&Filter>> {
        let filters: Option<Vec<_>> = chain.layers().iter().map(plain).collect();
        filters.filter(|filters| filters.len() > 1)
    }

    /// With rows of `f32`, from the windows of a segment that has been built.
    pub(super) fn floats(
        builder: &Builder<'_>,
        segment: &Segment,
        types: (SampleType, SampleType),
    ) -> Option<Self> {
        let filters = Self::filters(builder.chain)?;
        let windows = segment.links.iter().map(|link| &link.window).chain([&segment.window]);
        let mut shape = segment.input;
        let mut stages = Vec::new();
        for (i, (filter, window)) in filters.iter().zip(windows).enumerate() {
            let WindowKind::Filter(stage) = &window.as_ref()?.kind else { return None };
            let mut arithmetic = builder.filters.get(i)?.arithmetic.clone();
            arithmetic.rung = stage.rung;
            let float = SampleType::F32;
            let source = if i == 0 { types.0 } else { float };
            let output = if i + 1 == filters.len() { types.1 } else { float };
            stages.push(Core {
                filter: (*filter).clone(),
                input: shape,
                output: reference::output_shape(filter, shape).ok()?,
                types: (source, output),
                separations: Separations::new(builder.separations.get(i)?.clone()),
                work: stage.work.clone(),
                arithmetic,
                finish: stage.finish,
                level: builder.level,
                widened: false,
                tile: 1,
                strip: 1,
            });
            shape = stages.last()?.output;
        }
        Some(Self { stages, bound: None, noise: Noise::default() })
    }

    /// The same with rows of 16 bits, if the results are off by less than `allowed` before they are
    /// rounded. If all values are `whole` numbers, rows have no fraction bits.
    pub fn words(&self, allowed: f64, whole: bool) -> Option<Self> {
        let with = |short| self.words_with(allowed, Freedom { short, whole });
        with(true).or_else(|| with(false))
    }

    fn words_with(&self, allowed: f64, freedom: Freedom) -> Option<Self> {
        let whole = freedom.whole;
        let mut stages = Vec::with_capacity(self.stages.len());
        // What reaches a filter: exact values in units of samples, and how far off they are.
        let mut range = (0.0f64, 255.0f64);
        let (mut error, mut bits) = (0.0f64, 0);
        // What all filters so far make of noise, and of a constant image.
        let (mut noise, mut total) = (Noise::default(), 1.0);
        for (i, core) in self.stages.iter().enumerate() {
            let filter = &core.filter;
            let (border_x, border_y) = filter.get_borders();
            for border in [border_x, border_y] {
                for &v in constants(border) {
                    let unit = f64::from(bits).exp2();
                    error = error.max(((v * unit).round() / unit - v).abs());
                    range = (range.0.min(v), range.1.max(v));
                }
            }
            let (last, from) = (i + 1 == self.stages.len(), bits);
            // What rows must hold: results, and the constants that the next filter reads beside them.
            let after = results(filter, range);
            let next = self.stages.get(i + 1).map(|next| next.filter.get_borders());
            let beside = next.map_or(0.0, |(x, y)| {
                constants(x).iter().chain(constants(y)).fold(0.0, |most: f64, v| most.max(v.abs()))
            });
            let gains = filter.kernels().iter().map(|k| k.abs_sum() * filter.get_scale().abs());
            let carried = error * gains.sum::<f64>();
            let most = if whole || last { 0 } else { MOST_BITS };
            let (stage, bound) = (0..=most).rev().find_map(|out| {
                let unit = f64::from(out).exp2();
                if !last && after.1.max(-after.0).max(beside) * unit > 32767.0 {
                    return None;
                }
                let (stage, bound) = stage(core, (range, error), (bits, out), freedom)?;
                let rounding = if whole { 0.0 } else { 0.5 };
                let error = carried + (bound + if last { 0.0 } else { rounding }) / unit;
                let peak = after.1.max(-after.0) + error;
                // The last filter's results are limited as they are stored.
                (last || peak * unit + 1.0 <= 32767.0).then(|| {
                    bits = out;
                    (stage, error)
                })
            })?;
            let units = [bits, from].map(|bits| f64::from(bits).exp2());
            let (sum, squares) = sum_and_squares(filter);
            let own = stage.arithmetic.noise.in_units(units[0], units[1]);
            let rows =
                if last || whole { Noise::default() } else { rounded_rows(&stage, units[0]) };
            noise = rows.after(own.after(noise, total, sum, squares), total * sum, 1.0, 1.0);
            total *= sum;
            stages.push(stage);
            (range, error) = (after, bound);
        }
        let fair = noise.is_fair(total, SampleType::U8);
        (error < allowed && fair).then_some(Self { stages, bound: Some(error), noise })
    }

    /// Whether sums have 16 bits, as rows have, in all filters, or in some.
    pub fn short_sums(&self) -> (bool, bool) {
        let mut short = self.stages.iter().map(|core| core.arithmetic.rung != Rung::Pairs);
        (short.clone().all(|short| short), short.any(|short| short))
    }

    /// Sets a segment's tiles and strips.
    pub fn choose_tiles(&self, segment: &mut Segment) {
        let channels = segment.input.channels;
        let mut bytes = 0;
        for core in &self.stages {
            let size = match core.types.0 {
                SampleType::U8 => 1,
                SampleType::U16 | SampleType::I16 => 2,
                SampleType::F32 => 4,
            };
            bytes += (core.window_rows() + 8) * size * channels;
        }
        // What windows reach beyond a tile, or a strip, is made again by its neighbour.
        let beyond = |of: fn(&Core) -> usize| self.stages.iter().skip(1).map(of).sum::<usize>();
        let across = beyond(|core| core.filter.kernels()[0].width() - 1);
        let down = beyond(|core| core.filter.kernels()[0].height() - 1);
        let (width, most) = (segment.output.width, (ROWS_BYTES / bytes).max(16 * across).max(64));
        segment.tile = width.div_ceil(width.div_ceil(most));
        segment.rows = STENCIL_ROWS;
        segment.strip = (ROWS_EACH * down).max(64).next_multiple_of(segment.rows);
    }
}

/// What rounding to rows makes of noise, of which a level has `parts` parts: exact sums halfway between two go
/// upwards; what rounded ones do is made up for.
fn rounded_rows(stage: &Core, parts: f64) -> Noise {
    let sums = &stage.arithmetic;
    let halves = match sums.rung {
        Rung::WordsHigh => 0.0,
        _ if sums.bits.1 == 0 => return Noise::default(),
        _ => 0.5 * (-f64::from(sums.bits.1)).exp2(),
    };
    Noise::new(0.0, 0.0, (0.0, 0.0), (halves, 1.0 / 12.0)).in_units(parts, 1.0)
}

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

fn constants(border: &Border) -> &[f64] {
    match border {
        Border::Constant(values) => values,
        _ => &[],
    }
}

/// The sum of a filter's taps, and of their squares; of two kernels the sums of both.
fn sum_and_squares(filter: &Filter) -> (f64, f64) {
    let scale = filter.get_scale();
    let taps = || filter.kernels().iter().flat_map(|k| k.taps());
    let sum = filter.kernels().iter().map(|k| k.sum()).sum::<f64>() * scale;
    (sum, taps().map(|t| t * t).sum::<f64>() * scale * scale)
}

/// The range of a filter's results.
fn results(filter: &Filter, range: (f64, f64)) -> (f64, f64) {
    let kernels = filter.kernels().iter().map(|k| {
        let (low, high) = sums(k, filter.get_scale(), range);
        (low + filter.get_offset(), high + filter.get_offset())
    });
    match filter.get_post() {
        Post::None => kernels.fold((0.0, 0.0), |a, b| (a.0.min(b.0), a.1.max(b.1))),
        Post::Abs => (0.0, kernels.map(|(low, high)| high.max(-low)).fold(0.0, f64::max)),
        Post::Magnitude => {
            let squares = kernels.map(|(low, high)| high.max(-low).powi(2));
            (0.0, squares.sum::<f64>().sqrt())
        }
    }
}

/// A filter from rows with `bits.0` fraction bits to rows with `bits.1`, and its bound in units of
/// those; its samples lie in a range, and are off by at most so much.
fn stage(
    core: &Core,
    (range, error): ((f64, f64), f64),
    bits: (u32, u32),
    freedom: Freedom,
) -> Option<(Core, f64)> {
    let (from, to) = (f64::from(bits.0).exp2(), f64::from(bits.1).exp2());
    let scaled = |border: &Border| match border {
        Border::Constant(values) => {
            Border::Constant(values.iter().map(|v| (v * from).round()).collect())
        }
        other => other.clone(),
    };
    let (border_x, border_y) = core.filter.get_borders();
    let filter = core.filter.clone();
    let (scale, offset) = (filter.get_scale() * to / from, filter.get_offset() * to);
    let filter = filter.scale(scale).offset(offset).borders(scaled(border_x), scaled(border_y));
    let rows = |t: SampleType| if t == SampleType::F32 { SampleType::I16 } else { t };
    let types = (rows(core.types.0), rows(core.types.1));
    let task = Task {
        filter: &filter,
        channels: core.input.channels,
        source: types.0,
        output: types.1,
        premultiplied: false,
        widened: false,
        level: core.level,
        fused: false,
        precise: false,
        chained: true,
    };
    let samples = (((range.0 - error) * from).floor(), ((range.1 + error) * from).ceil());
    let separations = match core.work {
        Work::Separable(_) => Some(core.separations.of(&core.filter)),
        _ => None,
    };
    let (work, arithmetic, finish) = between(&task, separations, samples, freedom)?;
    let bound = arithmetic.bound;
    let separations = core.separations.clone();
    let shape: (Shape, Shape) = (core.input, core.output);
    let (input, output, level) = (shape.0, shape.1, core.level);
    let (tile, strip) = (core.tile, core.strip);
    let stage = Core {
        filter,
        input,
        output,
        types,
        separations,
        work,
        arithmetic,
        finish,
        level,
        widened: false,
        tile,
        strip,
    };
    Some((stage, bound))
}
