//! The mix: every output channel of a pixel as a weighted sum of what lies under its window. With
//! a window of one pixel that is a pointwise layer, with more an ordinary convolution.
//!
//! ```text
//! for each panel of output channels        (up to 4 vectors of weights)
//!   for each block of pixels               (as many as accumulators fit into registers)
//!     for each input k under the window
//!       for each pixel p: sum[p] += splat(source[p, k]) · weights[k]
//! ```
//!
//! A weight vector is loaded once for all pixels of a block, a source sample once for all vectors
//! of a panel, so that multiply-adds, not loads, set the pace. Each output is one sum from k = 0
//! on, in one accumulator: blocks and panels do not show in the result.

use super::lines::Lines;
use crate::layer::Activation;
use crate::simd::{Job, Lanes, prefetch};
use crate::view::View;

/// The weights of a mix, in the order in which the lanes of one level read them.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    inputs: usize,
    outputs: usize,
    lanes: usize,
    /// Vectors in each panel.
    panels: Vec<usize>,
    /// Panel by panel: the bias, then input by input, of the panel's outputs.
    values: Lines,
}

impl Weights {
    /// Packs `matrix`, which holds the weights of all outputs input by input, for vectors of
    /// `lanes`.
    pub fn pack(matrix: &[f32], bias: &[f32], lanes: usize) -> Self {
        let outputs = bias.len();
        let inputs = matrix.len() / outputs;
        let vectors = outputs.div_ceil(lanes);
        // Panels as equal as possible.
        let count = vectors.div_ceil(most_vectors(lanes));
        let panels: Vec<_> =
            (0..count).map(|i| (i + 1) * vectors / count - i * vectors / count).collect();
        let mut values = Vec::with_capacity((inputs + 1) * vectors * lanes);
        let mut first = 0;
        for panel in &panels {
            for row in std::iter::once(bias).chain(matrix.chunks_exact(outputs)) {
                for v in first..first + panel {
                    let start = start(v, lanes, outputs);
                    let own = &row[start..(start + lanes).min(outputs)];
                    values.extend_from_slice(own);
                    values.resize(values.len() + lanes - own.len(), 0.0);
                }
            }
            first += panel;
        }
        Self { inputs, outputs, lanes, panels, values: Lines::new(&values) }
    }

    /// Inputs under the window of a pixel.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Pixels of a block: what a tile should be a multiple of.
    pub fn block(&self) -> usize {
        let most = self.panels.iter().max();
        most.map_or(1, |&vectors| block_pixels(self.lanes, vectors))
    }
}

/// Vectors of a panel at most: so many that, with some pixels, all accumulators are in registers.
/// With 16 of those, 6 pixels × 2 vectors measured twice as fast as 4 × 3, which needs all 16.
fn most_vectors(lanes: usize) -> usize {
    match lanes {
        16.. => 4,
        _ => 2,
    }
}

/// Pixels of a block where a panel has so many vectors; `panels` has the same table.
fn block_pixels(lanes: usize, vectors: usize) -> usize {
    match (lanes, vectors) {
        (16.., 4) | (8..16, 2) => 6,
        (16.., 3) => 8,
        (16.., _) => 12,
        (..8, 2) => 4,
        _ => 8,
    }
}

/// The first output of vector `v`. The last vector overlaps the one before, so that all are full.
#[inline(always)]
fn start(v: usize, lanes: usize, outputs: usize) -> usize {
    (v * lanes).min(outputs.saturating_sub(lanes))
}

/// `out[p, o] = act(bias[o] + Σ_r Σ_k rows[r][p · step + k] · weights[r · run + k, o])`.
pub struct Mix<'a, const FUSED: bool> {
    /// Each has (pixels − 1) · step + run samples.
    pub rows: &'a [&'a [f32]],
    /// Samples of a row under one pixel.
    pub run: usize,
    /// Samples of a row from one pixel to the next.
    pub step: usize,
    /// Pixels to compute.
    pub pixels: usize,
    /// Packed for the level; rows × run inputs.
    pub weights: &'a Weights,
    /// What happens to each sum.
    pub activation: Activation,
    /// Whether the output had better go past the cache.
    pub stream: bool,
    /// What will be read next: it is asked for bit by bit, so that it comes while sums are computed.
    pub next: Option<View<'a, f32>>,
    /// pixels × outputs samples.
    pub out: &'a mut [f32],
}

impl<const FUSED: bool> Job for Mix<'_, FUSED> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let weights = self.weights;
        assert!(weights.lanes == L::N && self.rows.len() * self.run == weights.inputs);
        if self.pixels == 0 {
            return;
        }
        for row in self.rows {
            assert!(row.len() >= (self.pixels - 1) * self.step + self.run);
        }
        assert!(self.out.len() == self.pixels * weights.outputs);
        // Streams must be aligned, for every pixel and vector.
        let aligned = self.out.as_ptr().addr().is_multiple_of(64);
        let stream = self.stream && aligned && weights.outputs.is_multiple_of(16);
        let mut sweep = Sweep {
            rows: self.rows,
            run: self.run,
            step: self.step,
            start: 0,
            end: 0,
            outputs: weights.outputs,
            activation: self.activation,
            stream,
            panel: weights.values.as_ptr(),
            first: 0,
            out: self.out.as_mut_ptr(),
        };
        let mut ahead = Ahead::new(self.next, weights, self.pixels);
        // Few weights stay in the first-level cache anyway: then all panels of some pixels come
        // first, so that the output is written in order.
        let size = (weights.inputs + 1) * weights.outputs;
        let chunk = if size <= FEW_WEIGHTS { CHUNK } else { self.pixels };
        while sweep.end < self.pixels {
            sweep.start = sweep.end;
            sweep.end = (sweep.start + chunk).min(self.pixels);
            // A last chunk too short for a block would be slow.
            if self.pixels - sweep.end < CHUNK / 2 {
                sweep.end = self.pixels;
            }
            // SAFETY: the assertions above are what `panels` asks for.
            unsafe { sweep.panels::<L, FUSED>(l, weights, &mut ahead) }
        }
    }
}

/// Weights that certainly stay in the first-level cache.
const FEW_WEIGHTS: usize = 4096;
/// Pixels of a chunk: a multiple of every block.
const CHUNK: usize = 24;

impl Sweep<'_> {
    /// All panels over the pixels from `start` to `end`.
    ///
    /// # Safety
    ///
    /// `weights` are packed for N lanes, `panel` points to their first; the rest as for `panel`.
    #[inline(always)]
    unsafe fn panels<L: Lanes, const FUSED: bool>(
        self,
        l: L,
        weights: &Weights,
        ahead: &mut Ahead<'_>,
    ) {
        let mut sweep = self;
        for &vectors in &weights.panels {
            // SAFETY: as the caller promises; the panels' vectors are all that `pack` wrote, one
            // panel after the other.
            unsafe {
                match vectors {
                    4 if const { L::N >= 16 } => sweep.panel::<L, FUSED, 6, 4>(l, ahead),
                    3 if const { L::N >= 16 } => sweep.panel::<L, FUSED, 8, 3>(l, ahead),
                    2 if const { L::N >= 16 } => sweep.panel::<L, FUSED, 12, 2>(l, ahead),
                    2 if const { L::N >= 8 } => sweep.panel::<L, FUSED, 6, 2>(l, ahead),
                    2 => sweep.panel::<L, FUSED, 4, 2>(l, ahead),
                    1 if const { L::N >= 16 } => sweep.panel::<L, FUSED, 12, 1>(l, ahead),
                    1 => sweep.panel::<L, FUSED, 8, 1>(l, ahead),
                    _ => unreachable!("panels have at most {} vectors", most_vectors(L::N)),
                }
                sweep.panel = sweep.panel.add((weights.inputs + 1) * vectors * L::N);
                sweep.first += vectors;
            }
        }
    }
}

/// Rows that will be read next.
struct Ahead<'a> {
    view: Option<View<'a, f32>>,
    /// Rows that have been asked for, and samples of the one after them.
    row: usize,
    sample: usize,
    /// Samples that are asked for at a time.
    share: usize,
}

impl<'a> Ahead<'a> {
    /// To be asked for while so many pixels are computed.
    #[inline(always)]
    fn new(view: Option<View<'a, f32>>, weights: &Weights, pixels: usize) -> Self {
        let mut share = 0;
        if let Some(view) = view {
            let (blocks, shape) = (pixels / weights.block() * weights.panels.len(), view.shape());
            let lines = shape.height * shape.row().div_ceil(16);
            share = lines.div_ceil(blocks.max(1)) * 16;
        }
        Self { view, row: 0, sample: 0, share }
    }

    /// Asks for some more of them.
    #[inline(always)]
    fn ask(&mut self) {
        let Some(view) = self.view else { return };
        let (from, shape) = (self.sample, view.shape());
        self.sample = (from + self.share).min(shape.row());
        prefetch(&view.row(self.row)[from..self.sample]);
        if self.sample == shape.row() {
            (self.row, self.sample) = (self.row + 1, 0);
            if self.row == shape.height {
                self.view = None;
            }
        }
    }
}

/// One panel over some pixels.
#[derive(Clone, Copy)]
struct Sweep<'a> {
    rows: &'a [&'a [f32]],
    run: usize,
    step: usize,
    start: usize,
    end: usize,
    outputs: usize,
    activation: Activation,
    stream: bool,
    /// The panel's bias and weights.
    panel: *const f32,
    /// Its first vector.
    first: usize,
    out: *mut f32,
}

impl Sweep<'_> {
    /// V vectors of output channels of the pixels from `start` to `end`, P at a time.
    ///
    /// # Safety
    ///
    /// Every row must have (end − 1) · step + run samples, `out` end × outputs, and `panel`
    /// (rows × run + 1) · V vectors, which stand for vectors `first`.. of the outputs. To stream,
    /// `out` must be a multiple of 64 and `outputs` of 16.
    #[inline(always)]
    unsafe fn panel<L: Lanes, const FUSED: bool, const P: usize, const V: usize>(
        &self,
        l: L,
        ahead: &mut Ahead<'_>,
    ) {
        let (mut p, end) = (self.start, self.end);
        // SAFETY: blocks end at or before the last pixel.
        unsafe {
            if end - p < P {
                while p < end {
                    self.block::<L, FUSED, 1, V>(l, p);
                    p += 1;
                }
                return;
            }
            while p + P <= end {
                ahead.ask();
                self.block::<L, FUSED, P, V>(l, p);
                p += P;
            }
            // One or two pixels more are faster alone than as part of another block.
            if end - p > 2 {
                self.block::<L, FUSED, P, V>(l, end - P);
                return;
            }
            while p < end {
                self.block::<L, FUSED, 1, V>(l, p);
                p += 1;
            }
        }
    }

    /// V vectors of P pixels from `pixel` on.
    ///
    /// # Safety
    ///
    /// As for `panel`, and pixel + P ≤ end.
    #[inline(always)]
    unsafe fn block<L: Lanes, const FUSED: bool, const P: usize, const V: usize>(
        &self,
        l: L,
        pixel: usize,
    ) {
        let mut acc = [[l.f_splat(0.0); V]; P];
        // SAFETY: the caller promises the samples of all rows, the panel's weights and the
        // output's samples; vectors start at `start`, which leaves N outputs unless there are
        // fewer, which are written through `whole`.
        unsafe {
            let mut w = self.panel;
            for v in 0..V {
                let bias = l.f_load(w.add(v * L::N));
                for acc in &mut acc {
                    acc[v] = bias;
                }
            }
            w = w.add(V * L::N);
            for row in self.rows {
                let a = row.as_ptr().add(pixel * self.step);
                for k in 0..self.run {
                    let mut taps = [l.f_splat(0.0); V];
                    for (v, tap) in taps.iter_mut().enumerate() {
                        *tap = l.f_load(w.add(v * L::N));
                    }
                    for (p, acc) in acc.iter_mut().enumerate() {
                        let x = l.f_splat(*a.add(p * self.step + k));
                        for (acc, tap) in acc.iter_mut().zip(&taps) {
                            *acc = super::mul_add::<L, FUSED>(l, x, *tap, *acc);
                        }
                    }
                    w = w.add(V * L::N);
                }
            }
            // Three loops that are small enough to be unrolled whole: if they were not, the
            // accumulators would live in memory, not in registers.
            let limits = super::limits(l, self.activation);
            let out = self.out.add(pixel * self.outputs);
            if self.outputs < L::N {
                let mut whole = [0.0; crate::simd::MAX_LANES];
                for (p, acc) in acc.iter().enumerate() {
                    let value = super::limit(l, acc[0], limits);
                    l.f_store(whole.as_mut_ptr(), value);
                    let out = out.add(p * self.outputs);
                    out.copy_from_nonoverlapping(whole.as_ptr(), self.outputs);
                }
                return;
            }
            let mut starts = [0; V];
            for (v, at) in starts.iter_mut().enumerate() {
                *at = start(self.first + v, L::N, self.outputs);
            }
            if self.stream {
                for (p, acc) in acc.iter().enumerate() {
                    for (acc, start) in acc.iter().zip(starts) {
                        let to = out.add(p * self.outputs + start);
                        l.f_stream(to, super::limit(l, *acc, limits));
                    }
                }
            } else {
                for (p, acc) in acc.iter().enumerate() {
                    for (acc, start) in acc.iter().zip(starts) {
                        let to = out.add(p * self.outputs + start);
                        l.f_store(to, super::limit(l, *acc, limits));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::floats;
    use crate::simd::Level;
    use crate::view::Shape;

    /// All outputs of some pixels, each a sum in the order of inputs; fused ones may differ by what roundings of
    /// the terms do.
    fn check<const FUSED: bool>(
        (pixels, outputs): (usize, usize),
        (height, run, step): (usize, usize, usize),
        activation: Activation,
    ) {
        let n = pixels * outputs;
        let rows: Vec<_> =
            (0..height).map(|r| floats((pixels - 1) * step + run, r).collect::<Vec<_>>()).collect();
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        let matrix = floats(height * run * outputs, 20).collect::<Vec<_>>();
        let bias: Vec<f32> =
            floats(outputs, 21).collect::<Vec<_>>().iter().map(|v| 8.0 * v).collect();
        // The result, and the sum of its terms' magnitudes.
        let sum = |x: usize| {
            let (p, o) = (x / outputs, x % outputs);
            let (mut sum, mut terms) = (bias[o], bias[o].abs());
            for (r, row) in rows.iter().enumerate() {
                for k in 0..run {
                    let product = row[p * step + k] * matrix[(r * run + k) * outputs + o];
                    sum += product;
                    terms += product.abs();
                }
            }
            (activation.of(f64::from(sum)) as f32, terms)
        };
        let expected: Vec<_> = (0..n).map(sum).collect();
        let image = floats(7 * 11 * 3, 22).collect::<Vec<_>>();
        let next = Some(View::gapless(&image, Shape::new(11, 7, 3)));
        for level in Level::available() {
            let (rows, weights) = (&rows[..], &Weights::pack(&matrix, &bias, level.lanes()));
            // On a line, as streams must be, and off it.
            for (stream, next, off) in [(false, None, 1), (true, next, 0), (true, None, 1)] {
                let mut memory = vec![0.0; n + 32];
                let from = memory.as_ptr().align_offset(64) + off;
                let out = &mut memory[from..from + n];
                level.run(Mix::<FUSED> {
                    rows,
                    run,
                    step,
                    pixels,
                    weights,
                    activation,
                    stream,
                    next,
                    out,
                });
                for (x, (sum, terms)) in expected.iter().enumerate() {
                    let (value, slack) = (memory[from + x], if FUSED { 1e-5 * terms } else { 0.0 });
                    assert!(
                        (value - sum).abs() <= slack,
                        "{level}, {height} rows of {run}, by {step}, {pixels} pixels of {outputs}, \
                         stream {stream}, sample {x}: {value}, {sum}"
                    );
                }
                let mut others = memory[..from].iter().chain(&memory[from + n..]);
                assert!(others.all(|v| *v == 0.0), "{level}, {pixels} pixels of {outputs}");
            }
        }
    }

    #[test]
    fn outputs_are_sums_of_all_inputs() {
        for outputs in [1, 3, 4, 7, 16, 20, 32, 48, 64, 100, 130] {
            for pixels in [1, 2, 5, 13, 24, 31, 61] {
                let shape = (pixels, outputs);
                check::<false>(shape, (1, 5, 5), Activation::None);
                check::<false>(shape, (3, 6, 4), Activation::Relu6);
                check::<true>(shape, (2, 6, 8), Activation::Relu);
            }
        }
        // More weights than stay in the first-level cache.
        check::<false>((61, 100), (1, 50, 50), Activation::None);
        check::<true>((61, 130), (3, 11, 3), Activation::Relu6);
    }
}
