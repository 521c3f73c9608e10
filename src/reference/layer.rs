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
//! nothing is rounded.

use super::Border;
use crate::error::Error;
use crate::layer::{Axis, Chain, Conv2d, Depthwise, Layer, Pointwise};
use crate::sample::Source;
use crate::view::{Shape, View};

/// All layers of a chain: the exact results, row by row.
pub fn chain<I: Source>(chain: &Chain, source: View<'_, I>) -> Result<Vec<f64>, Error> {
    let shape = source.shape();
    chain.output_shape(shape)?;
    let rows = (0..shape.height).flat_map(|y| source.row(y));
    let start: Vec<f64> = rows.map(|s| s.to_f64()).collect();
    let end = chain.layers().iter().try_fold((start, shape), |(map, shape), layer| {
        let next = layer.output_shape(shape)?;
        let map = match layer {
            Layer::Depthwise(layer) => depthwise(layer, &map, shape)?,
            Layer::Pointwise(layer) => pointwise(layer, &map),
            Layer::Separable(layer) => {
                pointwise(layer.pointwise(), &depthwise(layer.depthwise(), &map, shape)?)
            }
            Layer::Conv2d(layer) => conv2d(layer, &map, shape)?,
        };
        Ok::<_, Error>((map, next))
    });
    Ok(end?.0)
}

/// A map seen through the padding of a window.
struct Padded<'a> {
    map: &'a [f64],
    channels: usize,
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
            (Some(x), Some(y)) => self.map[(y * ax.len + x) * self.channels + c],
        }
    }
}

fn depthwise(layer: &Depthwise, map: &[f64], shape: Shape) -> Result<Vec<f64>, Error> {
    let (width, height) = layer.size();
    let axes = &layer.window().axes((width, height), shape)?;
    let padded = Padded { map, channels: shape.channels, axes };
    let outputs = layer.output_channels();
    let mut out = Vec::with_capacity(axes[0].out * axes[1].out * outputs);
    for y in 0..axes[1].out {
        for x in 0..axes[0].out {
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
    Ok(out)
}

fn conv2d(layer: &Conv2d, map: &[f64], shape: Shape) -> Result<Vec<f64>, Error> {
    let (width, height) = layer.size();
    let axes = &layer.window().axes((width, height), shape)?;
    let padded = Padded { map, channels: shape.channels, axes };
    let (inputs, outputs) = (layer.input_channels(), layer.output_channels());
    let mut out = Vec::with_capacity(axes[0].out * axes[1].out * outputs);
    for y in 0..axes[1].out {
        for x in 0..axes[0].out {
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
    debug_assert_eq!(out.len(), axes[0].out * axes[1].out * outputs);
    Ok(out)
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
