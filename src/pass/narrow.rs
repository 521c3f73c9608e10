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
        match self.weights.inputs {
            1 => self.vectors::<L, 1>(l),
            2 => self.vectors::<L, 2>(l),
            3 => self.vectors::<L, 3>(l),
            4 => self.vectors::<L, 4>(l),
            _ => self.vectors::<L, 0>(l),
        }
    }
}

impl<I: SampleLanes, O: SampleLanes, const FUSED: bool> Narrow<'_, I, O, FUSED> {
    /// All pixels. `K` is the number of input channels, whose weights stay in registers, or 0.
    #[inline(always)]
    fn vectors<L: Lanes, const K: usize>(self, l: L) {
        let NarrowWeights { inputs, outputs, lanes, pixels, .. } = *self.weights;
        let (source, out) = (self.source, self.out);
        let count = out.len() / outputs;
        assert!(lanes == L::N && (K == 0 || K == inputs));
        assert!(out.len() == count * outputs && source.len() == count * inputs);
        let mut p = 0;
        // SAFETY: indices and values have N elements for each input channel, values N more. Whole
        // vectors are read and written only where both slices have that many samples left; what
        // a vector writes beyond its pixels, the next one overwrites. The last pixels go through
        // arrays of MAX_LANES ≥ N.
        unsafe {
            let vector = Vector::<L, K>::new(l, self.weights, self.activation);
            while p * inputs + L::N <= source.len() && p * outputs + L::N <= out.len() {
                let from = source.as_ptr().add(p * inputs);
                vector.pixels::<I, O, FUSED>(l, from, out.as_mut_ptr().add(p * outputs));
                p += pixels;
            }
            while p < count {
                let n = pixels.min(count - p);
                let (mut from, mut to) = ([I::zeroed(); MAX_LANES], [O::zeroed(); MAX_LANES]);
                from[..n * inputs].copy_from_slice(&source[p * inputs..][..n * inputs]);
                // Loaded anew: no vector outlives a call, so that one which is needed after the
                // copy would not stay in a register in the loop above either.
                let vector = Vector::<L, K>::new(l, self.weights, self.activation);
                vector.pixels::<I, O, FUSED>(l, from.as_ptr(), to.as_mut_ptr());
                out[p * outputs..][..n * outputs].copy_from_slice(&to[..n * outputs]);
                p += n;
            }
        }
    }
}

/// What the pixels of a vector need, for up to four input channels in registers. No arrays here:
/// they would live in memory.
struct Vector<'a, L: Lanes, const K: usize> {
    weights: &'a NarrowWeights,
    bias: L::F,
    least: L::F,
    most: L::F,
    first: Channel<L>,
    second: Channel<L>,
    third: Channel<L>,
    fourth: Channel<L>,
}

/// Where the samples of an input channel lie, and their weights.
#[derive(Clone, Copy)]
struct Channel<L: Lanes> {
    index: L::I,
    taps: L::F,
}

impl<L: Lanes> Channel<L> {
    /// # Safety
    ///
    /// `weights` are packed for N lanes, and there is a channel `k`.
    #[inline(always)]
    unsafe fn load(l: L, weights: &NarrowWeights, k: usize) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            Self {
                index: l.i_load(weights.indices.as_ptr().add(k * L::N)),
                taps: l.f_load(weights.values.as_ptr().add((k + 1) * L::N)),
            }
        }
    }

    /// Adds the channel's products.
    #[inline(always)]
    fn add<const FUSED: bool>(self, l: L, samples: L::F, acc: L::F) -> L::F {
        super::mul_add::<L, FUSED>(l, l.f_permute(samples, self.index), self.taps, acc)
    }
}

impl<'a, L: Lanes, const K: usize> Vector<'a, L, K> {
    /// # Safety
    ///
    /// `weights` are packed for N lanes, and of K input channels unless K is 0.
    #[inline(always)]
    unsafe fn new(l: L, weights: &'a NarrowWeights, activation: Activation) -> Self {
        let [least, most] = super::limits(l, activation);
        let none = Channel { index: l.i_splat(0), taps: l.f_splat(0.0) };
        // SAFETY: as the caller promises.
        unsafe {
            Self {
                weights,
                bias: l.f_load(weights.values.as_ptr()),
                least,
                most,
                first: if K > 0 { Channel::load(l, weights, 0) } else { none },
                second: if K > 1 { Channel::load(l, weights, 1) } else { none },
                third: if K > 2 { Channel::load(l, weights, 2) } else { none },
                fourth: if K > 3 { Channel::load(l, weights, 3) } else { none },
            }
        }
    }

    /// The pixels of one vector.
    ///
    /// # Safety
    ///
    /// As for `new`; `from` must have N samples, `to` too.
    #[inline(always)]
    unsafe fn pixels<I: SampleLanes, O: SampleLanes, const FUSED: bool>(
        &self,
        l: L,
        from: *const I,
        to: *mut O,
    ) {
        let mut acc = self.bias;
        // SAFETY: as the caller promises.
        unsafe {
            let samples = I::load_f(l, from);
            if K > 0 {
                acc = self.first.add::<FUSED>(l, samples, acc);
            }
            if K > 1 {
                acc = self.second.add::<FUSED>(l, samples, acc);
            }
            if K > 2 {
                acc = self.third.add::<FUSED>(l, samples, acc);
            }
            if K > 3 {
                acc = self.fourth.add::<FUSED>(l, samples, acc);
            }
            if K == 0 {
                for k in 0..self.weights.inputs {
                    acc = Channel::load(l, self.weights, k).add::<FUSED>(l, samples, acc);
                }
            }
            O::store_f(l, to, super::limit(l, acc, [self.least, self.most]));
        }
    }
}
