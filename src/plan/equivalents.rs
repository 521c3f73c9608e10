//! Other chains that make the same of every image, which the plan weighs. A mix that makes no more channels than it reads
//! may as well come before a filter that does the same to all channels: a sum of sums, in either order. And a filter that
//! follows another one may be one with it, of convolved kernels: three boxes are a kernel that is long and smooth.

use super::proof::{gain, weighted};
use crate::border::Border;
use crate::filter::{Alpha, Filter, Post};
use crate::layer::{Activation, Chain, Layer, Pointwise};
use crate::sample::SampleType;

/// The chain with mixes before the filters that they follow, where they may be and that may be less work: there are fewer
/// channels to filter, or, of bytes, rows of 16 bits instead of `f32`. `None` if there are no such mixes.
pub(super) fn mixes_first(chain: &Chain, types: (SampleType, SampleType)) -> Option<Chain> {
    let rows = types.0 == SampleType::U8 && types.1 != SampleType::F32;
    let less = |filter: &Filter, mix: &Pointwise| {
        let (inputs, outputs) = (mix.input_channels(), mix.output_channels());
        let (_, most) = weighted(mix.weights(), &vec![0.0; outputs], (-1.0, 1.0));
        // Floats may have any range: rows between both must not be larger than what comes before them, or after.
        let fits = types.0 != SampleType::F32 || most <= 1.0 + 1e-6 || gain(filter) >= 1.0 - 1e-6;
        fits && (outputs < inputs || rows && outputs == inputs)
    };
    let swap = |pair: &[Layer]| match pair {
        [Layer::Filter(filter), Layer::Pointwise(mix)] if less(filter, mix) => swapped(filter, mix),
        _ => None,
    };
    let mut moved = None;
    for last in 1..chain.layers().len() {
        for at in (0..last).rev() {
            let layers = moved.as_deref().unwrap_or(chain.layers());
            let Some((mix, filter)) = swap(&layers[at..at + 2]) else { break };
            let layers = moved.get_or_insert_with(|| chain.layers().to_vec());
            layers.splice(at..at + 2, [Layer::Pointwise(mix), Layer::Filter(filter)]);
        }
    }
    moved.map(|layers| chain.with_layers(layers))
}

/// The chain with one filter for the two from the layer at `at` on, if they may be one.
pub(super) fn merged(chain: &Chain, at: usize, source: SampleType) -> Option<Chain> {
    let [Layer::Filter(first), Layer::Filter(next)] = chain.layers().get(at..at + 2)? else {
        return None;
    };
    // Alpha of floats may be anything.
    let opacity = source != SampleType::F32 && chain.layers()[..at].iter().all(keeps_opacity);
    if first.get_alpha() == Some(Alpha::Premultiply) && !opacity {
        return None;
    }
    let mut layers = chain.layers().to_vec();
    layers.splice(at..at + 2, [Layer::Filter(first.followed_by(next)?)]);
    Some(chain.with_layers(layers))
}

/// Whether alpha is from 0 to full behind a layer, if it is before.
fn keeps_opacity(layer: &Layer) -> bool {
    match layer {
        Layer::Filter(filter) => {
            matches!(filter.get_alpha(), Some(Alpha::Keep | Alpha::Premultiply))
        }
        _ => false,
    }
}

/// The same mix before the same filter: weights W, a filter's offset o and the mix's bias b make W(f(x) + o) + b, which is
/// f(Wx) + (Wo + b). `None` if they may not be swapped.
fn swapped(filter: &Filter, mix: &Pointwise) -> Option<(Pointwise, Filter)> {
    let plain = filter.get_post() == Post::None
        && matches!(filter.get_alpha(), None | Some(Alpha::Plain))
        && mix.activation() == Activation::None;
    let (inputs, outputs) = (mix.input_channels(), mix.output_channels());
    let mixed = |values: &[f64]| -> Vec<f64> {
        let weight = |k: usize, o: usize| f64::from(mix.weights()[k * outputs + o]);
        let sum = |o: usize| values.iter().enumerate().map(|(k, v)| weight(k, o) * v).sum();
        (0..outputs).map(sum).collect()
    };
    let offsets = mixed(&vec![filter.get_offset(); inputs]);
    let offsets: Vec<_> = offsets.iter().zip(mix.bias()).map(|(o, b)| o + f64::from(*b)).collect();
    // A filter has one offset for all channels.
    let offset = *offsets.first()?;
    if !plain || offsets.iter().any(|other| *other != offset) {
        return None;
    }
    let border = |border: &Border| match border {
        Border::Constant(_) => {
            let values: Vec<_> = (0..inputs).map(|c| border.constant(c)).collect();
            Border::Constant(mixed(&values))
        }
        other => other.clone(),
    };
    let (x, y) = filter.get_borders();
    let (x, y) = (border(x), border(y));
    let before = mix.clone().with_bias(&vec![0.0; outputs]).ok()?;
    Some((before, filter.clone().offset(offset).borders(x, y)))
}
