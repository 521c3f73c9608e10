//! How far the results of a chain are from exact, proved layer after layer.

use super::arithmetic::{U, sums};
use super::build::borders;
use super::filter::FilterFacts;
use crate::border::Border;
use crate::filter::{Alpha, Filter, Post};
use crate::kernel::Kernel;
use crate::layer::{Depthwise, Layer};
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

/// What is proved about a filter alone.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    /// Largest error, per unit of what it reads.
    pub(super) bound: f64,
    /// Whether it makes whole numbers of whole numbers, and all that it adds up is whole.
    pub(super) whole: bool,
}

impl Facts {
    pub(super) fn of(filter: &FilterFacts) -> Self {
        Self { bound: filter.arithmetic.bound, whole: filter.whole }
    }
}

/// What is proved about the values between two layers.
#[derive(Clone, Copy)]
pub(super) struct Proof {
    /// Least, at most 0, and largest of the exact ones.
    pub(super) range: (f64, f64),
    /// Largest magnitude of sums on the way to them.
    most: f64,
    /// Largest distance of the computed ones from those; if not `bounded`, as if alpha were full.
    pub(super) error: f64,
    /// Whether they are whole numbers, and computed as such.
    pub(super) whole: bool,
    /// Whether no colour was divided by alpha, which bounds nothing where alpha is small.
    pub(super) bounded: bool,
}

impl Proof {
    /// Follows samples of a type, of at most `size`, through layers whose filters are as `filters` says, in order.
    pub(super) fn of(
        layers: &[Layer],
        samples: (SampleType, f64),
        filters: impl Iterator<Item = Facts>,
    ) -> Self {
        Self::follow(layers, samples, filters, |_| ())
    }

    /// The same, which shows what reaches each filter.
    pub(super) fn follow(
        layers: &[Layer],
        (source, size): (SampleType, f64),
        mut filters: impl Iterator<Item = Facts>,
        mut show: impl FnMut(&Self),
    ) -> Self {
        let whole = source != SampleType::F32;
        let range = (if whole { 0.0 } else { -size }, size);
        let mut proof = Self { range, most: size, error: 0.0, whole, bounded: true };
        for layer in layers {
            for border in borders(layer) {
                if let Border::Constant(values) = border {
                    for v in values {
                        proof.range = (proof.range.0.min(*v), proof.range.1.max(*v));
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
                        show(&proof);
                        proof.filter(filter, facts);
                    }
                }
            }
            // Sums of whole numbers that single precision holds.
            if exact && proof.whole && proof.most <= f64::from(1 << f32::MANTISSA_DIGITS) {
                proof.error = 0.0;
            }
        }
        proof
    }

    /// Largest magnitude of the exact values.
    pub(super) fn size(&self) -> f64 {
        self.range.1.max(-self.range.0)
    }

    /// Sums of so many weighted values each, in single precision.
    pub(super) fn sums(&mut self, weights: &[f32], bias: &[f32], terms: usize) {
        let outputs = bias.len();
        let (mut most, mut gain, size) = (0.0f64, 0.0f64, self.size());
        for (o, bias) in bias.iter().enumerate() {
            let column = weights.iter().skip(o).step_by(outputs);
            let sum: f64 = column.map(|&w| f64::from(w).abs()).sum();
            gain = gain.max(sum);
            most = most.max(sum * (size + self.error) + f64::from(*bias).abs());
        }
        self.whole &= weights.iter().chain(bias).all(|w| w.fract() == 0.0);
        // A rounding of each product and each sum, in a chain of additions.
        self.error = gain * self.error + (terms as f64 + 2.0) * most * U;
        (self.range, self.most) = (weighted(weights, bias, self.range), most);
    }

    pub(super) fn filter(&mut self, filter: &Filter, facts: Facts) {
        let before = *self;
        self.error = gain(filter) * before.error;
        self.most = filter.kernels().iter().map(|k| addends(k) * before.size()).sum::<f64>();
        self.most = self.most * filter.get_scale().abs() + filter.get_offset().abs();
        self.range = results(filter, before.range);
        // The bound is one per unit of range, for a range of at least 1; errors widen the range at both ends.
        self.error += (before.size() + 2.0 * before.error).max(1.0) * facts.bound;
        self.whole &= facts.whole;
        match filter.get_alpha() {
            Some(Alpha::Keep) => {
                let (low, high) = before.range;
                self.range = (self.range.0.min(low), self.range.1.max(high));
                self.error = self.error.max(before.error);
            }
            Some(Alpha::Premultiply) => {
                // Colours are divided by alpha, which is multiplied by the same taps.
                let size = gain(filter).max(1.0) * before.size() + filter.get_offset().abs();
                (self.range, self.bounded) = ((-size, size), false);
            }
            _ => {}
        }
    }
}

/// The least, at most 0, and the largest of weighted sums of values of a range.
pub(super) fn weighted(weights: &[f32], bias: &[f32], (low, high): (f64, f64)) -> (f64, f64) {
    let outputs = bias.len();
    let of = |(o, bias): (usize, &f32)| {
        let column = weights.iter().skip(o).step_by(outputs).map(|w| f64::from(*w));
        let ends = column.map(|w| ((w * low).min(w * high), (w * low).max(w * high)));
        let (least, most) = ends.fold((0.0, 0.0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
        (least + f64::from(*bias), most + f64::from(*bias))
    };
    let all = bias.iter().enumerate().map(of);
    all.fold((0.0, 0.0), |range, end| (range.0.min(end.0), range.1.max(end.1)))
}

/// What a filter multiplies errors by, at most: a magnitude's error is no more than the sum of those of both kernels.
pub(super) fn gain(filter: &Filter) -> f64 {
    filter.kernels().iter().map(|k| k.abs_sum() * filter.get_scale().abs()).sum()
}

/// Σ|taps| of a kernel, or of all its terms.
fn addends(kernel: &Kernel) -> f64 {
    match kernel.terms() {
        [] => kernel.abs_sum(),
        terms => terms.iter().map(Kernel::abs_sum).sum(),
    }
}

/// What `f64` rounds where kernels are convolved, as a part of the results: of sums of 2¹² products.
const CONVOLVED: f64 = 1.0 / (1u64 << 40) as f64;

/// How far one filter of convolved kernels, which may be `whole`, may be from these filters one after the other, for samples
/// of at most `size`.
pub(super) fn convolved(filters: &[Layer], whole: bool, mut size: f64) -> f64 {
    let are_whole = |layer: &Layer| match layer {
        Layer::Filter(filter) => {
            let taps = filter.kernels().iter().flat_map(|k| k.taps());
            taps.chain([&filter.get_scale(), &filter.get_offset()]).all(|v| v.fract() == 0.0)
        }
        _ => false,
    };
    if whole && filters.iter().all(are_whole) {
        return 0.0;
    }
    let mut error = 0.0;
    for layer in filters {
        for border in borders(layer) {
            size = border.constants().iter().fold(size, |most, v| most.max(v.abs()));
        }
        if let Layer::Filter(filter) = layer {
            size = gain(filter) * size + filter.get_offset().abs();
            error = gain(filter) * error + CONVOLVED * size;
        }
    }
    error
}

/// The range of a filter's results, of values of a range.
pub(super) fn results(filter: &Filter, range: (f64, f64)) -> (f64, f64) {
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

/// Roundings of a depthwise layer's sum: one for each tap; in two passes those of both, of their
/// taps, and what the factors leave out.
pub(super) fn depthwise_terms(layer: &Depthwise) -> usize {
    let (width, height) = layer.size();
    (width * height).max(width + height + 8)
}
