//! The narrow mix: a pointwise layer of few channels, several whole pixels in a vector. For each
//! input channel a permutation brings the channel's samples under all outputs of their pixels;
//! the weights repeat with the outputs.
//!
//! ```text
//! source       r₀ g₀ b₀ r₁ g₁ b₁ …
//! channel 0    r₀ r₀ r₀ r₁ r₁ r₁ …   × weights of r
//! channel 1    g₀ g₀ g₀ g₁ g₁ g₁ …   × weights of g, added
//! ```
//!
//! The products of a pixel are only its own, so NaN stays in its pixel, and the sums have the order
//! of [`Mix`](super::Mix): both give the same bits.

use super::lines::Lines;
use crate::layer::Activation;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes};

/// Weights and permutations for the lanes of one level.
#[derive(Debug, Clone, PartialEq)]
pub struct NarrowWeights {
    inputs: usize,
    outputs: usize,
    lanes: usize,
    /// Pixels in a vector.
    pixels: usize,
    /// A vector for each input channel: the lanes of its samples.
    indices: Vec<i32>,
    /// The bias, then the weights of each input channel.
    values: Lines,
}

impl NarrowWeights {
    /// From weights as [`Weights::pack`](super::Weights::pack) takes them; `None` if not even one
    /// pixel fits into `lanes`.
    pub fn pack(matrix: &[f32], bias: &[f32], lanes: usize) -> Option<Self> {
        let outputs = bias.len();
        let inputs = matrix.len() / outputs;
        let pixels = lanes / inputs.max(outputs);
        if pixels == 0 {
            return None;
        }
        let used = pixels * outputs;
        let index =
            |k: usize, lane: usize| if lane < used { lane / outputs * inputs + k } else { 0 };
        let indices = (0..inputs).flat_map(|k| (0..lanes).map(move |lane| index(k, lane) as i32));
        let mut values = Vec::with_capacity((inputs + 1) * lanes);
        for row in std::iter::once(bias).chain(matrix.chunks_exact(outputs)) {
            values
                .extend((0..lanes).map(|lane| if lane < used { row[lane % outputs] } else { 0.0 }));
        }
        let (indices, values) = (indices.collect(), Lines::new(&values));
        Some(Self { inputs, outputs, lanes, pixels, indices, values })
    }

    /// Pixels in a vector.
    pub fn pixels(&self) -> usize {
        self.pixels
    }
}

/// `out[p, o] = act(bias[o] + Σ_k source[p, k] · weights[k, o])`.
pub struct Narrow<'a, I, O, const FUSED: bool> {
    /// pixels × inputs samples.
    pub source: &'a [I],
    /// Packed for the level.
    pub weights: &'a NarrowWeights,
    /// What happens to each sum.
    pub activation: Activation,
    /// pixels × outputs samples.
    pub out: &'a mut [O],
}

impl<I: SampleLanes, O: SampleLanes, const FUSED: bool> Job for Narrow<'_, I, O, FUSED> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let NarrowWeights { inputs, outputs, lanes, pixels, .. } = *self.weights;
        let count = self.out.len() / outputs;
        assert!(lanes == L::N);
        assert!(self.out.len() == count * outputs && self.source.len() == count * inputs);
        let (source, out) = (self.source, self.out);
        let mut p = 0;
        // SAFETY: whole vectors are read and written only where both slices have that many
        // samples left; what a vector writes beyond its pixels, the next one overwrites. The last
        // pixels go through arrays of MAX_LANES ≥ N.
        unsafe {
            while p * inputs + L::N <= source.len() && p * outputs + L::N <= out.len() {
                let from = source.as_ptr().add(p * inputs);
                let to = out.as_mut_ptr().add(p * outputs);
                vector::<I, O, L, FUSED>(l, self.weights, self.activation, from, to);
                p += pixels;
            }
            while p < count {
                let n = pixels.min(count - p);
                let (mut from, mut to) = ([I::zeroed(); MAX_LANES], [O::zeroed(); MAX_LANES]);
                from[..n * inputs].copy_from_slice(&source[p * inputs..][..n * inputs]);
                let (a, b) = (from.as_ptr(), to.as_mut_ptr());
                vector::<I, O, L, FUSED>(l, self.weights, self.activation, a, b);
                out[p * outputs..][..n * outputs].copy_from_slice(&to[..n * outputs]);
                p += n;
            }
        }
    }
}

/// The pixels of one vector.
///
/// # Safety
///
/// `from` must have N samples, `to` too; `weights` are packed for N lanes.
#[inline(always)]
unsafe fn vector<I: SampleLanes, O: SampleLanes, L: Lanes, const FUSED: bool>(
    l: L,
    weights: &NarrowWeights,
    activation: Activation,
    from: *const I,
    to: *mut O,
) {
    // SAFETY: as the caller promises; indices and values have N elements for each input channel,
    // values N more.
    unsafe {
        let samples = I::load_f(l, from);
        let mut acc = l.f_load(weights.values.as_ptr());
        for k in 0..weights.inputs {
            let index = l.i_load(weights.indices.as_ptr().add(k * L::N));
            let tap = l.f_load(weights.values.as_ptr().add((k + 1) * L::N));
            acc = super::mul_add::<L, FUSED>(l, l.f_permute(samples, index), tap, acc);
        }
        O::store_f(l, to, super::activate(l, acc, activation));
    }
}
