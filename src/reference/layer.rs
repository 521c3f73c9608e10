//! The definition of the layers, in `f64`.
//!
//! ```text
//! depthwise  out(x, y, c·m + q) = act(bias + Σ_j Σ_i K[j, i, c, q] · source(X(x, i), Y(y, j), c))
//! ordinary   out(x, y, o)       = act(bias + Σ_j Σ_i Σ_c K[j, i, c, o] · source(X(x, i), Y(y, j), c))
//! pointwise  out(x, y, o)       = act(bias + Σ_c M[c, o] · source(x, y, c))
//! X(x, i) = x · stride + i · dilation − left,   Y(y, j) = y · stride + j · dilation − top
//! ```
//!
//! `source` reads through the padding, by the same rules as for [filters](super). Between layers
//! nothing is rounded. A [filter](Layer::Filter) is what [`filter`](super::filter) does, on values
//! that were not rounded; transparent is then what has no alpha at all, except at the end of a
//! chain on an integer image.

use super::{Border, Opacity, region_of};
use crate::any_view::Source;
use crate::error::Error;
use crate::filter::Filter;
use crate::geometry::Axis;
use crate::layer::{Chain, Conv2d, Depthwise, Layer, Pointwise};
use crate::view::{Rect, Shape, View, check_part};
use std::ops::Range;

/// All layers of a chain: the exact results, row by row.
pub fn chain<I: Source>(chain: &Chain, source: View<'_, I>) -> Result<Vec<f64>, Error> {
    let output = chain.output_shape(source.shape())?;
    region(chain, source.shape(), source, (0, 0), output.rect())
}

/// The same for the output rectangle `rect`. `part` holds at least what
/// [`AnyPlan::input_region`](crate::AnyPlan::input_region) names, its top left pixel being
/// `origin` in an image of shape `whole`.
///
/// Errors: as of [`filter`](super::region).
pub fn region<I: Source>(
    chain: &Chain,
    whole: Shape,
    part: View<'_, I>,
    origin: (usize, usize),
    rect: Rect,
) -> Result<Vec<f64>, Error> {
    let output = chain.output_shape(whole)?;
    if !rect.fits(output) {
        return Err(Error::RectOutside { rect, shape: output });
    }
    let steps = steps(chain, whole)?;
    // What each step reads, from the last to the first.
    let mut needed = vec![rect];
    for step in steps.iter().rev() {
        needed.push(step.reads(needed[needed.len() - 1]));
    }
    needed.reverse();
    let first = needed[0];
    check_part(whole, part.shape(), origin, first)?;
    let samples = (first.y..first.y + first.height).flat_map(|y| {
        let start = (first.x - origin.0) * whole.channels;
        &part.row(y - origin.1)[start..][..first.width * whole.channels]
    });
    let samples = samples.map(|s| s.to_f64()).collect();
    let mut held = Part { samples, rect: first, shape: whole };
    let (last, count) = (Opacity::of(I::TYPE), steps.len());
    for (i, (step, &rect)) in steps.iter().zip(&needed[1..]).enumerate() {
        let opacity = if i + 1 == count { last } else { Opacity::between(I::FULL) };
        let samples = step.run(&held, rect, opacity)?;
        held = Part { samples, rect, shape: step.output };
    }
    Ok(held.samples)
}

/// The part of an image of shape `whole` that the output rectangle `rect` of a chain is computed from.
pub(crate) fn input_region(chain: &Chain, whole: Shape, rect: Rect) -> Result<Rect, Error> {
    Ok(steps(chain, whole)?.iter().rev().fold(rect, |rect, step| step.reads(rect)))
}

/// One computation of a chain, and what it reads.
struct Step<'a> {
    kind: Kind<'a>,
    output: Shape,
}

enum Kind<'a> {
    Pointwise(&'a Pointwise),
    Depthwise(&'a Depthwise, [Axis; 2]),
    Conv2d(&'a Conv2d, [Axis; 2]),
    Filter(&'a Filter, [Axis; 2]),
}

fn steps(chain: &Chain, input: Shape) -> Result<Vec<Step<'_>>, Error> {
    fn depthwise(layer: &Depthwise, input: Shape) -> Result<Step<'_>, Error> {
        let axes = layer.window().axes(layer.size(), input)?;
        Ok(Step { kind: Kind::Depthwise(layer, axes), output: layer.output_shape(input)? })
    }
    fn pointwise(layer: &Pointwise, input: Shape) -> Result<Step<'_>, Error> {
        Ok(Step { kind: Kind::Pointwise(layer), output: layer.output_shape(input)? })
    }
    let mut steps = Vec::new();
    let mut shape = input;
    for layer in chain.layers() {
        let output = layer.output_shape(shape)?;
        match layer {
            Layer::Depthwise(layer) => steps.push(depthwise(layer, shape)?),
            Layer::Pointwise(layer) => steps.push(pointwise(layer, shape)?),
            Layer::Separable(layer) => {
                let first = depthwise(layer.depthwise(), shape)?;
                let between = first.output;
                steps.extend([first, pointwise(layer.pointwise(), between)?]);
            }
            Layer::Conv2d(layer) => {
                let axes = layer.window().axes(layer.size(), shape)?;
                steps.push(Step { kind: Kind::Conv2d(layer, axes), output });
            }
            Layer::Filter(filter) => {
                let axes = filter.axes(shape);
                steps.push(Step { kind: Kind::Filter(filter, axes), output });
            }
        }
        shape = output;
    }
    Ok(steps)
}

impl Step<'_> {
    /// The part of its input that a rectangle of its output needs.
    fn reads(&self, rect: Rect) -> Rect {
        let axes = match &self.kind {
            Kind::Pointwise(_) => return rect,
            Kind::Depthwise(_, axes) | Kind::Conv2d(_, axes) | Kind::Filter(_, axes) => axes,
        };
        let read = read_by(axes, rect);
        if read.width == 0 || read.height == 0 { Rect::new(0, 0, 0, 0) } else { read }
    }

    fn run(&self, part: &Part, rect: Rect, opacity: Opacity) -> Result<Vec<f64>, Error> {
        if rect.width == 0 || rect.height == 0 {
            return Ok(Vec::new());
        }
        match &self.kind {
            Kind::Pointwise(layer) => Ok(pointwise(layer, &part.samples)),
            Kind::Depthwise(layer, axes) => Ok(depthwise(layer, &Padded { part, axes }, rect)),
            Kind::Conv2d(layer, axes) => Ok(conv2d(layer, &Padded { part, axes }, rect)),
            Kind::Filter(filter, _) => {
                let Rect { x, y, width, height } = part.rect;
                let held = Shape { width, height, ..part.shape };
                let view = View::gapless(&part.samples, held);
                region_of(filter, part.shape, view, (x, y), rect, opacity)
            }
        }
    }
}

/// The part of an input that windows of a rectangle of the output read; of no columns, or rows, where they read
/// nothing but constants.
pub(super) fn read_by([x, y]: &[Axis; 2], rect: Rect) -> Rect {
    let under = |axis: &Axis, out: Range<usize>| {
        let read = if out.is_empty() { 0..0 } else { axis.under(out) };
        let under = read.filter_map(|v| axis.map(v));
        let both = under.fold(None, |both: Option<Range<usize>>, i| match both {
            None => Some(i..i + 1),
            Some(both) => Some(both.start.min(i)..both.end.max(i + 1)),
        });
        both.unwrap_or(0..0)
    };
    let x = under(x, rect.x..rect.x + rect.width);
    let y = under(y, rect.y..rect.y + rect.height);
    Rect::new(x.start, y.start, x.len(), y.len())
}

/// A part of a map.
struct Part {
    samples: Vec<f64>,
    rect: Rect,
    /// Of the whole map.
    shape: Shape,
}

/// A map seen through the padding of a window.
struct Padded<'a> {
    part: &'a Part,
    axes: &'a [Axis; 2],
}

impl Padded<'_> {
    /// Channel `c` of the pixel under tap (i, j) of output pixel (x, y).
    fn at(&self, (x, y): (usize, usize), (i, j): (usize, usize), c: usize) -> f64 {
        let [ax, ay] = self.axes;
        let under = |axis: &Axis, o, tap: usize| {
            axis.border.map(axis.first(o) + (tap * axis.dilation) as isize, axis.len)
        };
        match (under(ax, x, i), under(ay, y, j)) {
            (None, _) => Border::constant(&ax.border, c),
            (_, None) => Border::constant(&ay.border, c),
            (Some(x), Some(y)) => {
                let Part { samples, rect, shape } = self.part;
                samples[((y - rect.y) * rect.width + x - rect.x) * shape.channels + c]
            }
        }
    }
}

fn depthwise(layer: &Depthwise, padded: &Padded<'_>, rect: Rect) -> Vec<f64> {
    let (width, height) = layer.size();
    let outputs = layer.output_channels();
    let mut out = Vec::with_capacity(rect.width * rect.height * outputs);
    for y in rect.y..rect.y + rect.height {
        for x in rect.x..rect.x + rect.width {
            for o in 0..outputs {
                let mut sum = f64::from(layer.bias()[o]);
                for j in 0..height {
                    for i in 0..width {
                        let tap = layer.weights()[(j * width + i) * outputs + o];
                        let value = padded.at((x, y), (i, j), o / layer.multiplier());
                        sum += f64::from(tap) * value;
                    }
                }
                out.push(layer.activation().of(sum));
            }
        }
    }
    out
}

fn conv2d(layer: &Conv2d, padded: &Padded<'_>, rect: Rect) -> Vec<f64> {
    let width = layer.size().0;
    let (inputs, outputs) = (layer.input_channels(), layer.output_channels());
    let mut out = Vec::with_capacity(rect.width * rect.height * outputs);
    for y in rect.y..rect.y + rect.height {
        for x in rect.x..rect.x + rect.width {
            let mut sums: Vec<f64> = layer.bias().iter().map(|&b| f64::from(b)).collect();
            for (t, taps) in layer.weights().chunks_exact(inputs * outputs).enumerate() {
                for (c, taps) in taps.chunks_exact(outputs).enumerate() {
                    let value = padded.at((x, y), (t % width, t / width), c);
                    for (sum, &tap) in sums.iter_mut().zip(taps) {
                        *sum += f64::from(tap) * value;
                    }
                }
            }
            out.extend(sums.iter().map(|&sum| layer.activation().of(sum)));
        }
    }
    out
}

/// A pointwise layer on the pixels of a map.
pub(crate) fn pointwise(layer: &Pointwise, map: &[f64]) -> Vec<f64> {
    let outputs = layer.output_channels();
    let mut out = Vec::with_capacity(map.len() / layer.input_channels() * outputs);
    for pixel in map.chunks_exact(layer.input_channels()) {
        let start = out.len();
        out.extend(layer.bias().iter().map(|&b| f64::from(b)));
        for (value, taps) in pixel.iter().zip(layer.weights().chunks_exact(outputs)) {
            for (sum, &tap) in out[start..].iter_mut().zip(taps) {
                *sum += f64::from(tap) * value;
            }
        }
        for sum in &mut out[start..] {
            *sum = layer.activation().of(*sum);
        }
    }
    out
}
