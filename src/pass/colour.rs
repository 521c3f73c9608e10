//! The colour mix: a pointwise layer on `u8` pixels of up to four channels, in integers. A lane of
//! 32 bits holds a pixel's four bytes, once for each of its outputs, and the weights are 16-bit
//! integers in units of 2^−shift:
//!
//! ```text
//! source     r₀ g₀ b₀ r₁ g₁ b₁ r₂ …
//! lanes      r₀g₀b₀ r₀g₀b₀ r₀g₀b₀ r₁g₁b₁ …    × weights of output 0, 1, 2, 0, …, summed
//! ```
//!
//! All lanes of all vectors hold outputs: after as many vectors as an output pixel has channels,
//! at most, the pattern begins again. Results are bytes, or rows of 16 bits with fraction bits that filters read.

use super::{OutRow, with_narrow};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes};

/// The most channels of either side.
const MOST: usize = 4;
/// Vectors that are written together.
const BLOCK: usize = 4;
/// The mean error over noise that is let pass, in levels.
const MOST_BIAS: f64 = 0.01;
/// Bits of the weights at most: all lie between −2¹⁵ + 128 and 2¹⁵ − 129, as two digits of eight
/// bits can hold.
const LIMIT: f64 = 32639.0;

/// Weights, and where their pixels lie, for the lanes of one level.
#[derive(Debug, Clone, PartialEq)]
pub struct ColourWeights {
    inputs: usize,
    outputs: usize,
    lanes: usize,
    /// Fraction bits of weights and sums.
    shift: u32,
    /// The type of results.
    writes: SampleType,
    /// What sums are divided by: 2 to the power of this.
    divides: u32,
    error: f64,
    gain: f64,
    /// The vectors until the pattern begins again.
    vectors: Vec<Pattern>,
}

/// What one vector of outputs needs.
#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    /// Bytes from the first pixel's to the window of each part.
    starts: [usize; 2],
    /// For each lane four bytes: those of its pixel in the window.
    index: Vec<i32>,
    /// For each lane the weights of its bytes 0 and 2, and of 1 and 3.
    even: Vec<i32>,
    odd: Vec<i32>,
    /// For each lane what is added before the shift.
    bias: Vec<i32>,
}

/// Weights in units of 1 / `unit`, rounded so that their sum is, too: what that takes goes to those that were
/// rounded furthest the other way.
fn fixed_sum<'a>(weights: impl Iterator<Item = &'a f32>, unit: f64) -> Vec<f64> {
    let exact: Vec<f64> = weights.map(|&w| f64::from(w) * unit).collect();
    let mut fixed: Vec<f64> = exact.iter().map(|w| w.round()).collect();
    let excess = fixed.iter().sum::<f64>() - exact.iter().sum::<f64>().round();
    for _ in 0..excess.abs() as usize {
        let moved = |i: usize| (fixed[i] - exact[i]) * excess.signum();
        let furthest = (0..fixed.len()).max_by(|&a, &b| moved(a).total_cmp(&moved(b)));
        if let Some(i) = furthest {
            fixed[i] -= excess.signum();
        }
    }
    fixed
}

impl ColourWeights {
    /// From weights as [`Weights::pack`](super::Weights::pack) takes them, for vectors of `lanes`
    /// that are picked from windows of `parts`. `None` if there are too many channels, or weights
    /// of 16 bits cannot keep within 1 of the exact result, and its mean; weights that are whole
    /// numbers must be held exactly.
    pub fn pack(matrix: &[f32], bias: &[f32], (lanes, parts): (usize, usize)) -> Option<Self> {
        Self::to(matrix, bias, (lanes, parts), None)
    }

    /// The same for rows of 16 bits with so many fraction bits, where 0 stands for `zero`; `None` if weights have
    /// fewer.
    pub fn rows(
        matrix: &[f32],
        bias: &[f32],
        (lanes, parts): (usize, usize),
        (bits, zero): (u32, f64),
    ) -> Option<Self> {
        Self::to(matrix, bias, (lanes, parts), Some((bits, zero)))
    }

    fn to(
        matrix: &[f32],
        bias: &[f32],
        (lanes, parts): (usize, usize),
        rows: Option<(u32, f64)>,
    ) -> Option<Self> {
        let outputs = bias.len();
        let inputs = matrix.len() / outputs;
        if inputs > MOST || outputs > MOST {
            return None;
        }
        let largest = matrix.iter().fold(0.0f64, |most, &w| most.max(f64::from(w).abs()));
        let whole = matrix.iter().chain(bias).all(|w| w.fract() == 0.0);
        // Others may be rounded away from 0 to keep their sum.
        let limit = if whole { LIMIT } else { LIMIT - 1.0 };
        let shift = (0..=15u32).rev().find(|&s| (largest * f64::from(1 << s)).round() <= limit)?;
        let unit = f64::from(1 << shift);
        let (bits, zero) = rows.unwrap_or((0, 0.0));
        let divides = shift.checked_sub(bits)?;
        let fixed = |b: f32| ((f64::from(b) - zero) * unit).round();
        // The weights of each output.
        let columns: Vec<Vec<f64>> =
            (0..outputs).map(|o| fixed_sum(matrix.iter().skip(o).step_by(outputs), unit)).collect();
        // In i32, with room for the products.
        if bias.iter().any(|&b| fixed(b).abs() > f64::from(1 << 30)) {
            return None;
        }
        // What all samples have in common, and what a single one may show.
        let (mut gain, mut error) = (0.0f64, 0.0f64);
        for (o, column) in columns.iter().enumerate() {
            let weights = matrix.iter().skip(o).step_by(outputs);
            let off = column.iter().zip(weights).map(|(q, &w)| q / unit - f64::from(w));
            let shown = (fixed(bias[o]) / unit - (f64::from(bias[o]) - zero)).abs();
            gain = gain.max(off.clone().sum::<f64>().abs());
            error = error.max(off.map(f64::abs).sum::<f64>() * 255.0 + shown);
        }
        if error > if whole { 0.0 } else { 0.5 } || 127.5 * gain > MOST_BIAS {
            return None;
        }
        let mut vectors = vec![];
        let count = if lanes.is_multiple_of(outputs) { 1 } else { outputs };
        for first in (0..count).map(|v| v * lanes) {
            let pixel = |lane: usize| (first + lane) / outputs * inputs;
            let part = |lane: usize| lane * parts / lanes;
            let starts = [pixel(0), pixel(lanes / parts * (parts - 1))];
            let weight = |lane: usize, k: usize| -> u16 {
                let o = (first + lane) % outputs;
                if k < inputs { columns[o][k] as i16 as u16 } else { 0 }
            };
            let pair = |lane: usize, [low, high]: [usize; 2]| {
                (u32::from(weight(lane, high)) << 16 | u32::from(weight(lane, low))) as i32
            };
            let bytes = |lane: usize| {
                let at = pixel(lane) - starts[part(lane)];
                // Without a channel the weight is 0: any byte will do.
                i32::from_le_bytes([0, 1, 2, 3].map(|k: usize| (at + k.min(inputs - 1)) as u8))
            };
            let round = (1 << divides) >> 1;
            let added = |lane: usize| fixed(bias[(first + lane) % outputs]) as i32 + round;
            vectors.push(Pattern {
                starts,
                index: (0..lanes).map(bytes).collect(),
                even: (0..lanes).map(|lane| pair(lane, [0, 2])).collect(),
                odd: (0..lanes).map(|lane| pair(lane, [1, 3])).collect(),
                bias: (0..lanes).map(added).collect(),
            });
        }
        let writes = if rows.is_some() { SampleType::I16 } else { SampleType::U8 };
        Some(Self { inputs, outputs, lanes, shift, writes, divides, error, gain, vectors })
    }

    /// Channels of its output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Fraction bits of weights and sums.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// The type of results.
    pub fn writes(&self) -> SampleType {
        self.writes
    }

    /// Fraction bits that sums have more than results.
    pub fn divides(&self) -> u32 {
        self.divides
    }

    /// Largest distance of a sum from the exact one, in levels, for any image.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// The largest distance of the sum of an output's weights from the exact one.
    pub fn gain(&self) -> f64 {
        self.gain
    }
}

/// `out[p, o] = bias[o] + Σ_k source[p, k] · weights[k, o]`, rounded and within the range of what is written.
pub struct Colour<'a> {
    /// pixels × inputs samples.
    pub source: &'a [u8],
    /// Packed for the level.
    pub weights: &'a ColourWeights,
    /// pixels × outputs samples, of the type that the weights are packed for.
    pub out: OutRow<'a>,
}

impl Job for Colour<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { source, weights, out } = self;
        assert!(out.sample() == weights.writes);
        with_narrow!(weights.writes, O => {
            if weights.vectors.len() == 1 {
                pixels::<L, O, 1>(l, source, weights, out.typed());
            } else {
                pixels::<L, O, 3>(l, source, weights, out.typed());
            }
        });
    }
}

/// Samples that sums become.
trait Result: Copy + Default {
    /// Writes 4·N, each limited to what it may be.
    ///
    /// # Safety
    ///
    /// `to` must be good for as many.
    unsafe fn store<L: Lanes>(l: L, to: *mut Self, sums: [L::I; BLOCK]);
}

impl Result for u8 {
    #[inline(always)]
    unsafe fn store<L: Lanes>(l: L, to: *mut u8, sums: [L::I; BLOCK]) {
        // SAFETY: as the caller promises.
        unsafe { l.i_store_u8x4(to, sums) }
    }
}

impl Result for i16 {
    #[inline(always)]
    unsafe fn store<L: Lanes>(l: L, to: *mut i16, [a, b, c, d]: [L::I; BLOCK]) {
        // SAFETY: each writes N; the caller promises four times as many.
        unsafe {
            l.i_store_i16(to, a);
            l.i_store_i16(to.add(L::N), b);
            l.i_store_i16(to.add(2 * L::N), c);
            l.i_store_i16(to.add(3 * L::N), d);
        }
    }
}

/// Bytes, and samples, that the last pixels are copied into: a round of the widest level, and a window.
const ROUND: usize = 64 * MOST + 64;

/// All pixels, V patterns.
#[inline(always)]
fn pixels<L: Lanes, O: Result, const V: usize>(
    l: L,
    source: &[u8],
    weights: &ColourWeights,
    out: &mut [O],
) {
    let ColourWeights { inputs, outputs, lanes, ref vectors, .. } = *weights;
    let count = out.len() / outputs;
    assert!(lanes == L::N && vectors.len() == V);
    assert!(out.len() == count * outputs && source.len() == count * inputs);
    // Pixels of V vectors, and of a round, which is BLOCK times as many.
    let step = V * L::N / outputs;
    let round = BLOCK * step;
    // The windows of a round's last vectors end here.
    let mut reach = 0;
    for pattern in vectors {
        let [low, high] = pattern.starts;
        reach = reach.max((BLOCK - 1) * step * inputs + low.max(high) + L::WINDOW);
    }
    assert!(reach <= ROUND && round * outputs <= ROUND && L::PARTS <= 2);
    // SAFETY: a round reads up to `reach` bytes, which are checked to be there, and writes
    // round × outputs samples; the last pixels go through arrays of at least that many.
    unsafe {
        let ready = Vectors::<L, V>::load(l, weights);
        let mut p = 0;
        while p + round <= count && p * inputs + reach <= source.len() {
            let from = source.as_ptr().add(p * inputs);
            ready.round(l, from, out.as_mut_ptr().add(p * outputs));
            p += round;
        }
        while p < count {
            let n = round.min(count - p);
            let (mut from, mut to) = ([0; ROUND], [O::default(); ROUND]);
            from[..n * inputs].copy_from_slice(&source[p * inputs..][..n * inputs]);
            // Loaded anew: no vector outlives a call, so that one which is needed after the
            // copy would not stay in a register in the loop above either.
            let ready = Vectors::<L, V>::load(l, weights);
            ready.round(l, from.as_ptr(), to.as_mut_ptr());
            out[p * outputs..][..n * outputs].copy_from_slice(&to[..n * outputs]);
            p += n;
        }
    }
}

/// A pattern in registers. No arrays that are indexed: they would live in memory.
#[derive(Clone, Copy)]
struct Ready<L: Lanes> {
    starts: [usize; 2],
    index: L::I,
    taps: [L::I; 2],
    bias: L::I,
    divides: u32,
}

impl<L: Lanes> Ready<L> {
    #[inline(always)]
    fn load(l: L, pattern: &Pattern, divides: u32) -> Self {
        Self {
            starts: pattern.starts,
            index: l.i_from(&pattern.index),
            taps: l.taps_u8(l.i_from(&pattern.even), l.i_from(&pattern.odd)),
            bias: l.i_from(&pattern.bias),
            divides,
        }
    }

    /// One vector of sums, rounded.
    ///
    /// # Safety
    ///
    /// `from` must have WINDOW bytes beyond each start.
    #[inline(always)]
    unsafe fn sums(&self, l: L, from: *const u8) -> L::I {
        // SAFETY: as the caller promises.
        let bytes = unsafe { l.i_pick_u8(from, self.starts, self.index) };
        l.i_shr(l.sum_u8(l.dot_u8([l.i_splat(0), self.bias], bytes, self.taps)), self.divides)
    }
}

/// V patterns, in turn.
struct Vectors<L: Lanes, const V: usize> {
    /// Bytes from the first pixel of V vectors to that of the next.
    step: usize,
    first: Ready<L>,
    second: Ready<L>,
    third: Ready<L>,
}

impl<L: Lanes, const V: usize> Vectors<L, V> {
    #[inline(always)]
    fn load(l: L, weights: &ColourWeights) -> Self {
        let ColourWeights { inputs, outputs, divides, ref vectors, .. } = *weights;
        let first = Ready::load(l, &vectors[0], divides);
        let (mut second, mut third) = (first, first);
        if V == 3 {
            second = Ready::load(l, &vectors[1], divides);
            third = Ready::load(l, &vectors[2], divides);
        }
        Self { step: V * L::N / outputs * inputs, first, second, third }
    }

    /// BLOCK · V vectors.
    ///
    /// # Safety
    ///
    /// `from` must have WINDOW bytes beyond each start of the last V vectors, `to` BLOCK · V · N.
    #[inline(always)]
    unsafe fn round<O: Result>(&self, l: L, from: *const u8, to: *mut O) {
        let Self { step, first, second, third } = self;
        // SAFETY: as the caller promises.
        unsafe {
            let (a, b, c, d) = (from, from.add(*step), from.add(2 * step), from.add(3 * step));
            if V == 1 {
                let sums = [first.sums(l, a), first.sums(l, b), first.sums(l, c), first.sums(l, d)];
                O::store(l, to, sums);
                return;
            }
            let sums = [first.sums(l, a), second.sums(l, a), third.sums(l, a), first.sums(l, b)];
            O::store(l, to, sums);
            let sums = [second.sums(l, b), third.sums(l, b), first.sums(l, c), second.sums(l, c)];
            O::store(l, to.add(BLOCK * L::N), sums);
            let sums = [third.sums(l, c), first.sums(l, d), second.sums(l, d), third.sums(l, d)];
            O::store(l, to.add(2 * BLOCK * L::N), sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::noise;
    use crate::sample::Sample;
    use crate::simd::Level;

    /// Compares all outputs of some pixels with sums in `f64`.
    fn check(matrix: &[f32], bias: &[f32], compare: impl Fn(&ColourWeights, f64, u8) -> bool) {
        let outputs = bias.len();
        let inputs = matrix.len() / outputs;
        for pixels in [0, 1, 7, 16, 31, 32, 63, 130, 300] {
            let source: Vec<u8> = noise(pixels * inputs, 0).map(|v| v as u8).collect();
            let sum = |x: usize| {
                let (p, o) = (x / outputs, x % outputs);
                let product = |k: usize| {
                    f64::from(source[p * inputs + k]) * f64::from(matrix[k * outputs + o])
                };
                f64::from(bias[o]) + (0..inputs).map(product).sum::<f64>()
            };
            for level in Level::available() {
                let weights = ColourWeights::pack(matrix, bias, (level.lanes(), level.parts()));
                let weights = &weights.expect("16 bits should do");
                let mut out = vec![0; pixels * outputs];
                level.run(Colour { source: &source, weights, out: OutRow::new(&mut out) });
                for (x, &value) in out.iter().enumerate() {
                    let sum = sum(x);
                    assert!(
                        compare(weights, sum, value),
                        "{level}, {inputs} to {outputs}, {x} of {pixels} pixels: {value}, {sum}"
                    );
                }
            }
        }
    }

    #[test]
    fn exact_weights_give_exact_colours() {
        for (inputs, outputs) in (1..=4).flat_map(|i| (1..=4).map(move |o| (i, o))) {
            // In units of 2⁻⁸, within ±2, and of the bias within ±128.
            let matrix: Vec<f32> =
                noise(inputs * outputs, 1).map(|v| (v >> 22) as f32 / 256.0).collect();
            let bias: Vec<f32> = noise(outputs, 2).map(|v| (v >> 16) as f32 / 256.0).collect();
            check(&matrix, &bias, |weights, sum, value| {
                weights.error() == 0.0 && value == u8::from_f64(sum)
            });
            // Whole numbers.
            let whole: Vec<f32> = noise(inputs * outputs, 3).map(|v| (v >> 30) as f32).collect();
            check(&whole, &vec![90.0; outputs], |_, sum, value| value == u8::from_f64(sum));
        }
    }

    #[test]
    fn rounded_weights_keep_their_error() {
        for (inputs, outputs) in (1..=4).flat_map(|i| (1..=4).map(move |o| (i, o))) {
            let float = |v: i32| v as f32 / 2f32.powi(31);
            let matrix: Vec<f32> = noise(inputs * outputs, 4).map(float).collect();
            let bias: Vec<f32> = noise(outputs, 5).map(|v| 128.0 + 99.0 * float(v)).collect();
            check(&matrix, &bias, |weights, sum, value| {
                let off = (f64::from(value) - sum.clamp(0.0, 255.0)).abs();
                weights.error() < 0.1 && off <= 0.5 + weights.error()
            });
        }
    }
}
