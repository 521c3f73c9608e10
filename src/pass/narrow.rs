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
//!
//! Vectors of whole pixels overlap, which those past the cache must not. There all lanes hold
//! outputs, and are picked from two vectors of samples; after as many vectors as a pixel has
//! outputs the pattern begins again.

use super::lines::Lines;
use crate::layer::Activation;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

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
    /// For vectors that do not overlap, if two vectors of samples hold what each needs.
    whole: Option<WholeWeights>,
}

/// Weights and permutations for N pixels in as many vectors as a pixel has outputs.
#[derive(Debug, Clone, PartialEq)]
struct WholeWeights {
    /// Samples from the first pixel's to those that each vector picks from.
    starts: Vec<usize>,
    /// Samples that are read, from the first pixel's on.
    reach: usize,
    /// For each vector those of each input channel: lanes of two vectors of samples.
    indices: Vec<i32>,
    /// For each vector its bias and the weights of each input channel.
    values: Lines,
}

impl WholeWeights {
    fn pack(matrix: &[f32], bias: &[f32], lanes: usize) -> Option<Self> {
        let outputs = bias.len();
        let inputs = matrix.len() / outputs;
        let (mut starts, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for vector in 0..outputs {
            let lane = |lane: usize| vector * lanes + lane;
            let start = lane(0) / outputs * inputs;
            starts.push(start);
            for k in 0..inputs {
                indices.extend((0..lanes).map(|i| (lane(i) / outputs * inputs + k - start) as i32));
            }
            for row in std::iter::once(bias).chain(matrix.chunks_exact(outputs)) {
                values.extend((0..lanes).map(|i| row[lane(i) % outputs]));
            }
        }
        let reach = starts.last()? + 2 * lanes;
        let fits = indices.iter().all(|&i| i < 2 * lanes as i32);
        fits.then(|| Self { starts, reach, indices, values: Lines::new(&values) })
    }
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
        let whole = WholeWeights::pack(matrix, bias, lanes);
        Some(Self { inputs, outputs, lanes, pixels, indices, values, whole })
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
    /// Whether the output had better go past the cache.
    pub stream: bool,
    /// pixels × outputs samples.
    pub out: &'a mut [O],
}

/// Samples ahead of those that are worked on which are asked for where the output goes past the
/// cache: measured best, a third faster than without.
const AHEAD: usize = 512;

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
        let NarrowWeights { inputs, outputs, lanes, .. } = *self.weights;
        let (source, out) = (self.source, self.out);
        let count = out.len() / outputs;
        assert!(lanes == L::N && (K == 0 || K == inputs));
        assert!(out.len() == count * outputs && source.len() == count * inputs);
        let mut p = 0;
        if const { I::FLOAT && O::FLOAT && K > 0 }
            && self.stream
            && let Some(whole) = &self.weights.whole
        {
            // Pixels before the first that lies at a multiple of a vector's size.
            let (size, start) = (L::N * size_of::<O>(), out.as_ptr().addr());
            let mut head = 0;
            while head < L::N && !(start + head * outputs * size_of::<O>()).is_multiple_of(size) {
                head += 1;
            }
            if head < L::N.min(count) {
                let (first, to) = (&source[..head * inputs], &mut out[..head * outputs]);
                Self::part::<L, K>(l, first, self.weights, self.activation, to);
                let blocks = Blocks { source, whole, inputs, outputs, activation: self.activation };
                // SAFETY: `whole` was packed for these channels and N lanes; at pixel `head`, the
                // output is at a multiple of a vector's size.
                p = unsafe {
                    match outputs {
                        3 => blocks.run::<L, O, FUSED, K, 3>(l, head, out),
                        _ => blocks.run::<L, O, FUSED, K, 0>(l, head, out),
                    }
                };
            }
        }
        let (source, out) = (&source[p * inputs..], &mut out[p * outputs..]);
        Self::part::<L, K>(l, source, self.weights, self.activation, out);
    }

    /// Some pixels, in vectors that overlap.
    #[inline(always)]
    fn part<L: Lanes, const K: usize>(
        l: L,
        source: &[I],
        weights: &NarrowWeights,
        activation: Activation,
        out: &mut [O],
    ) {
        let NarrowWeights { inputs, outputs, pixels, .. } = *weights;
        let count = out.len() / outputs;
        let mut p = 0;
        // SAFETY: indices and values have N elements for each input channel, values N more. Whole
        // vectors are read and written only where both slices have that many samples left; what
        // a vector writes beyond its pixels, the next one overwrites. The last pixels go through
        // arrays of MAX_LANES ≥ N.
        unsafe {
            let vector = Vector::<L, K>::new(l, weights, activation);
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
                let vector = Vector::<L, K>::new(l, weights, activation);
                vector.pixels::<I, O, FUSED>(l, from.as_ptr(), to.as_mut_ptr());
                out[p * outputs..][..n * outputs].copy_from_slice(&to[..n * outputs]);
                p += n;
            }
        }
    }
}

/// N pixels at a time, in whole vectors past the cache.
struct Blocks<'a, I> {
    source: &'a [I],
    whole: &'a WholeWeights,
    inputs: usize,
    outputs: usize,
    activation: Activation,
}

/// One vector of a block: what it picks, and its weights.
#[derive(Clone, Copy)]
struct Whole<L: Lanes, const K: usize> {
    start: usize,
    index: [L::I; K],
    taps: [L::F; K],
    bias: L::F,
}

impl<L: Lanes, const K: usize> Whole<L, K> {
    /// # Safety
    ///
    /// The weights are packed for N lanes and K input channels, and have such a vector.
    #[inline(always)]
    unsafe fn load(l: L, whole: &WholeWeights, vector: usize) -> Self {
        let mut index = [l.i_splat(0); K];
        let mut taps = [l.f_splat(0.0); K];
        // SAFETY: as the caller promises, each vector has N indices for each input channel, and N
        // values more than those.
        unsafe {
            let indices = whole.indices.as_ptr().add(vector * K * L::N);
            let values = whole.values.as_ptr().add(vector * (K + 1) * L::N);
            for k in 0..K {
                index[k] = l.i_load(indices.add(k * L::N));
                taps[k] = l.f_load(values.add((k + 1) * L::N));
            }
            let start = *whole.starts.get_unchecked(vector);
            Self { start, index, taps, bias: l.f_load(values) }
        }
    }

    /// The vector of a block whose samples begin at `from`.
    ///
    /// # Safety
    ///
    /// There must be 2·N samples from `start` on; `to` must be good for N, and a multiple of the
    /// vector's size.
    #[inline(always)]
    unsafe fn put<I: SampleLanes, O: SampleLanes, const FUSED: bool>(
        &self,
        l: L,
        from: *const I,
        to: *mut O,
        limits: [L::F; 2],
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            let (a, b) =
                (I::load_f(l, from.add(self.start)), I::load_f(l, from.add(self.start + L::N)));
            let mut acc = self.bias;
            for k in 0..K {
                let samples = l.f_permute_two(a, b, self.index[k]);
                acc = super::mul_add::<L, FUSED>(l, samples, self.taps[k], acc);
            }
            O::store_floats(l, to, [super::limit(l, acc, limits)], false, true);
        }
    }
}

impl<I: SampleLanes> Blocks<'_, I> {
    /// As many blocks as there are samples for, from pixel `p` on; returns the pixel after them.
    /// `M` is the number of outputs, whose weights stay in registers, or 0.
    ///
    /// # Safety
    ///
    /// The weights are packed for N lanes, K input channels and as many outputs; `out` has samples
    /// for all pixels of the source, and is a multiple of a vector's size at pixel `p`.
    #[inline(always)]
    unsafe fn run<L: Lanes, O: SampleLanes, const FUSED: bool, const K: usize, const M: usize>(
        &self,
        l: L,
        mut p: usize,
        out: &mut [O],
    ) -> usize {
        let Self { source, whole, inputs, outputs, activation } = *self;
        let limits = super::limits(l, activation);
        let reach = whole.reach.max(L::N * inputs);
        // SAFETY: blocks begin where `reach` samples are left, which hold N pixels and all that
        // their vectors read; a block of outputs is as many vectors, so that all stay aligned.
        unsafe {
            let first = Whole::<L, K>::load(l, whole, 0);
            let mut kept = [first; M];
            for (vector, kept) in kept.iter_mut().enumerate() {
                *kept = Whole::load(l, whole, vector);
            }
            while p * inputs + reach <= source.len() {
                let at = p * inputs;
                if let Some(ahead) = source.get(at + AHEAD..at + AHEAD + L::N * inputs) {
                    prefetch(ahead);
                }
                let (from, to) = (source.as_ptr().add(at), out.as_mut_ptr().add(p * outputs));
                if const { M > 0 } {
                    for (vector, kept) in kept.iter().enumerate() {
                        kept.put::<I, O, FUSED>(l, from, to.add(vector * L::N), limits);
                    }
                } else {
                    for vector in 0..outputs {
                        let loaded = Whole::<L, K>::load(l, whole, vector);
                        loaded.put::<I, O, FUSED>(l, from, to.add(vector * L::N), limits);
                    }
                }
                p += L::N;
            }
        }
        p
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
            if const { K == 0 } {
                for k in 0..self.weights.inputs {
                    acc = Channel::load(l, self.weights, k).add::<FUSED>(l, samples, acc);
                }
            }
            O::store_f(l, to, super::limit(l, acc, [self.least, self.most]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::noise;
    use crate::sample::Sample;
    use crate::simd::Level;

    /// Noise between −1 and 1.
    fn float(v: i32) -> f32 {
        v as f32 / 2f32.powi(31)
    }

    /// All outputs of some pixels, each a sum in the order of inputs; fused ones may differ by what roundings of
    /// the terms do. Past the cache or not, wherever in a line they begin.
    fn check<I: Sample, O: Sample, const FUSED: bool>(
        sample: fn(i32) -> I,
        (pixels, inputs, outputs): (usize, usize, usize),
        activation: Activation,
    ) {
        let n = pixels * outputs;
        let source: Vec<I> = noise(pixels * inputs, 0).map(sample).collect();
        let (full, gain) = (O::FULL as f32, (O::FULL / I::FULL) as f32);
        let matrix: Vec<f32> = noise(inputs * outputs, 1).map(|v| gain * float(v)).collect();
        let bias: Vec<f32> = noise(outputs, 2).map(|v| full * (float(v) + 0.5)).collect();
        // The result, and the sum of its terms' magnitudes.
        let sum = |x: usize| {
            let (p, o) = (x / outputs, x % outputs);
            let (mut sum, mut terms) = (bias[o], bias[o].abs());
            for k in 0..inputs {
                let product = source[p * inputs + k].to_f64() as f32 * matrix[k * outputs + o];
                sum += product;
                terms += product.abs();
            }
            (O::from_f64(activation.of(f64::from(sum))), terms)
        };
        let expected: Vec<_> = (0..n).map(sum).collect();
        for level in Level::available() {
            let Some(weights) = &NarrowWeights::pack(&matrix, &bias, level.lanes()) else {
                assert!(inputs.max(outputs) > level.lanes());
                continue;
            };
            for (stream, off) in [(false, 0), (true, 0), (true, 1), (true, 6)] {
                let mut memory = vec![O::default(); n + 80];
                let from = memory.as_ptr().align_offset(64) + off;
                let (source, out) = (&source[..], &mut memory[from..from + n]);
                level.run(Narrow::<I, O, FUSED> { source, weights, activation, stream, out });
                for (x, (result, terms)) in expected.iter().enumerate() {
                    let slack = if FUSED { 1e-5 * f64::from(*terms) } else { 0.0 };
                    let value = memory[from + x];
                    assert!(
                        (value.to_f64() - result.to_f64()).abs() <= slack,
                        "{level}, {inputs} to {outputs}, stream {stream}, off {off}, \
                         sample {x} of {n}: {value:?}, {result:?}"
                    );
                }
                let mut others = memory[..from].iter().chain(&memory[from + n..]);
                assert!(others.all(|v| *v == O::default()), "{level}, {inputs} to {outputs}, {n}");
            }
        }
    }

    #[test]
    fn outputs_are_sums_of_all_inputs() {
        for (inputs, outputs) in
            [(1, 1), (1, 3), (2, 2), (2, 5), (3, 1), (3, 3), (3, 4), (4, 2), (4, 4), (5, 3), (9, 7)]
        {
            for pixels in [1, 7, 16, 31, 32, 63, 130, 300] {
                let shape = (pixels, inputs, outputs);
                check::<f32, f32, false>(float, shape, Activation::Relu);
                check::<f32, f32, true>(float, shape, Activation::None);
                check::<u8, u8, false>(|v| v as u8, shape, Activation::None);
                check::<u8, f32, false>(|v| v as u8, shape, Activation::None);
                check::<u16, i16, false>(|v| v as u16, shape, Activation::None);
                check::<f32, u16, false>(float, shape, Activation::Relu);
            }
        }
    }
}
