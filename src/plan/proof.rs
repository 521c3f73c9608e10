//! How far the results of a chain are from exact, proved layer after layer.

use super::arithmetic::U;
use super::build::borders;
use super::filter::FilterFacts;
use crate::border::Border;
use crate::filter::{Alpha, Filter, Post};
use crate::kernel::Kernel;
use crate::layer::{Chain, Depthwise, Layer};
use crate::sample::SampleType;

/// Whether a layer makes of a constant image, of one value in all channels, the same value.
pub(super) fn keeps_constants(layer: &Layer) -> bool {
    fn sums(weights: &[f32], bias: &[f32]) -> bool {
        let outputs = bias.len();
        let sum = |o| weights.iter().skip(o).step_by(outputs).map(|&w| f64::from(w)).sum::<f64>();
        bias.iter().enumerate().all(|(o, bias)| *bias == 0.0 && (sum(o) - 1.0).abs() < 1e-6)
    }
    match layer {
        Layer::Depthwise(layer) => sums(layer.weights(), layer.bias()),
        Layer::Pointwise(layer) => sums(layer.weights(), layer.bias()),
        Layer::Conv2d(layer) => sums(layer.weights(), layer.bias()),
        Layer::Separable(layer) => {
            let (first, then) = (layer.depthwise(), layer.pointwise());
            sums(first.weights(), first.bias()) && sums(then.weights(), then.bias())
        }
        Layer::Filter(filter) => {
            let one = |k: &Kernel| (k.sum() * filter.get_scale() - 1.0).abs() < 1e-9;
            filter.get_offset() == 0.0
                && filter.get_post() != Post::Magnitude
                && filter.kernels().iter().all(one)
        }
    }
}

/// What is proved about the values between two layers.
#[derive(Clone, Copy)]
pub(super) struct Proof {
    /// Largest magnitude of the exact ones.
    pub(super) size: f64,
    /// Largest distance of the computed ones from those; if not `bounded`, as if alpha were full.
    pub(super) error: f64,
    /// Whether they are whole numbers, and computed as such.
    pub(super) whole: bool,
    /// Whether no colour was divided by alpha, which bounds nothing where alpha is small.
    pub(super) bounded: bool,
}

impl Proof {
    /// Follows samples of a type, of at most `size`, through a chain whose filters are as `filters` says.
    pub(super) fn of(
        chain: &Chain,
        (source, size): (SampleType, f64),
        filters: &[FilterFacts],
    ) -> Self {
        let whole = source != SampleType::F32;
        let mut proof = Self { size, error: 0.0, whole, bounded: true };
        let mut filters = filters.iter();
        for layer in chain.layers() {
            for border in borders(layer) {
                if let Border::Constant(values) = border {
                    for v in values {
                        proof.size = proof.size.max(v.abs());
                        proof.error = proof.error.max((f64::from(*v as f32) - v).abs());
                        proof.whole &= v.fract() == 0.0;
                    }
                }
            }
            let exact = proof.error == 0.0;
            match layer {
                Layer::Depthwise(layer) => {
                    proof.sums(layer.weights(), layer.bias(), depthwise_terms(layer));
                }
                Layer::Pointwise(layer) => {
                    proof.sums(layer.weights(), layer.bias(), layer.input_channels());
                }
                Layer::Separable(layer) => {
                    let (first, then) = (layer.depthwise(), layer.pointwise());
                    proof.sums(first.weights(), first.bias(), depthwise_terms(first));
                    proof.sums(then.weights(), then.bias(), then.input_channels());
                }
                Layer::Conv2d(layer) => {
                    let (width, height) = layer.size();
                    let terms = width * height * layer.input_channels();
                    proof.sums(layer.weights(), layer.bias(), terms);
                }
                Layer::Filter(filter) => {
                    if let Some(facts) = filters.next() {
                        proof.filter(filter, facts);
                    }
                }
            }
            // Sums of whole numbers that single precision holds.
            if exact && proof.whole && proof.size <= f64::from(1 << f32::MANTISSA_DIGITS) {
                proof.error = 0.0;
            }
        }
        proof
    }

    /// Sums of so many weighted values each, in single precision.
    pub(super) fn sums(&mut self, weights: &[f32], bias: &[f32], terms: usize) {
        let outputs = bias.len();
        let (mut most, mut gain) = (0.0f64, 0.0f64);
        for (o, bias) in bias.iter().enumerate() {
            let column = weights.iter().skip(o).step_by(outputs);
            let sum: f64 = column.map(|&w| f64::from(w).abs()).sum();
            gain = gain.max(sum);
            most = most.max(sum * (self.size + self.error) + f64::from(*bias).abs());
        }
        self.whole &= weights.iter().chain(bias).all(|w| w.fract() == 0.0);
        // A rounding of each product and each sum, in a chain of additions.
        self.error = gain * self.error + (terms as f64 + 2.0) * most * U;
        self.size = most;
    }

    pub(super) fn filter(&mut self, filter: &Filter, facts: &FilterFacts) {
        let before = *self;
        let gains = filter.kernels().iter().map(|k| k.abs_sum() * filter.get_scale().abs());
        // A magnitude is at most the sum of both magnitudes, and so is its error.
        (self.size, self.error) = gains.fold((0.0, 0.0), |(size, error), gain| {
            let offset = filter.get_offset().abs();
            (size + gain * before.size + offset, error + gain * before.error)
        });
        // The bound is one per unit of range, for a range of at least 1.
        self.error += (before.size + before.error).max(1.0) * facts.arithmetic.bound;
        self.whole &= facts.whole;
        match filter.get_alpha() {
            Some(Alpha::Keep) => {
                self.size = self.size.max(before.size);
                self.error = self.error.max(before.error);
            }
            Some(Alpha::Premultiply) => self.bounded = false,
            _ => {}
        }
    }
}

/// Roundings of a depthwise layer's sum: one for each tap; in two passes those of both, of their
/// taps, and what the factors leave out.
pub(super) fn depthwise_terms(layer: &Depthwise) -> usize {
    let (width, height) = layer.size();
    (width * height).max(width + height + 8)
}
