//! The depthwise pass: every channel of a row of pixels under its own taps. Lanes run along the
//! interleaved samples of a row, and the taps are rows too: periodic in the channels, so that the
//! lanes that start at sample s read the taps from s mod channels on.

use super::lines::Lines;
use crate::layer::Activation;
use crate::simd::{Job, Lanes, MAX_LANES};

/// Taps and bias of all channels, as rows that repeat the channels.
#[derive(Debug, Clone, PartialEq)]
pub struct TapRows {
    channels: usize,
    /// Floats from one row to the next.
    pitch: usize,
    /// A row for each tap, then one for the bias.
    values: Lines,
    taps: usize,
}

impl TapRows {
    /// From the taps of all channels, tap by tap, and their bias.
    pub fn new(taps: &[f32], bias: &[f32]) -> Self {
        let channels = bias.len();
        let pitch = (channels + MAX_LANES).next_multiple_of(16);
        let rows = taps.chunks_exact(channels).chain(std::iter::once(bias));
        let values: Vec<f32> =
            rows.flat_map(|row| row.iter().copied().cycle().take(pitch)).collect();
        Self { channels, pitch, values: Lines::new(&values), taps: taps.len() / channels }
    }
}

/// `out[p, c] = act(bias[c] + Σ_j Σ_i rows[j][p · step + offsets[i] + c] · taps[j, i, c])`.
pub struct Depthwise<'a, const FUSED: bool> {
    /// One for each row of the kernel; one more if there is a row below.
    pub rows: &'a [&'a [f32]],
    /// One for each column of the kernel: samples from tap 0 to the tap.
    pub offsets: &'a [usize],
    /// Samples of a row from one pixel to the next.
    pub step: usize,
    /// rows × offsets taps.
    pub taps: &'a TapRows,
    /// What happens to each sum.
    pub activation: Activation,
    /// Exactly the samples to write: pixels × channels.
    pub out: &'a mut [f32],
    /// As many, for the window that is one row further down.
    pub below: Option<&'a mut [f32]>,
}

/// Vectors in flight.
const UNROLL: usize = 4;

impl<const FUSED: bool> Job for Depthwise<'_, FUSED> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let channels = self.taps.channels;
        let pixels = self.out.len() / channels;
        assert!(pixels * channels == self.out.len());
        assert!(self.below.as_ref().is_none_or(|below| below.len() == self.out.len()));
        let height = self.rows.len() - usize::from(self.below.is_some());
        assert!(height * self.offsets.len() == self.taps.taps);
        if pixels == 0 {
            return;
        }
        let mut furthest = 0;
        for &offset in self.offsets {
            furthest = furthest.max(offset);
        }
        for row in self.rows {
            assert!(row.len() >= (pixels - 1) * self.step + furthest + channels);
        }
        let mut sums = Sums::<FUSED> {
            rows: &self.rows[..height],
            offsets: self.offsets,
            taps: self.taps.values.as_ptr(),
            pitch: self.taps.pitch,
            activation: self.activation,
            out: self.out.as_mut_ptr(),
            below: std::ptr::null_mut(),
        };
        let step = self.step;
        // Whether there is nothing between pixels.
        let flat = step == channels;
        // Whether whole vectors of one pixel would often overlap.
        let ragged = !channels.is_multiple_of(L::N) && channels < 4 * L::N;
        // Whether the samples under neighbouring taps are those of neighbouring pixels.
        let shared = self.offsets.len() > 1 && flat && self.steps_by(channels);
        let mut other = None;
        if let Some(below) = self.below {
            let small = (height, self.offsets.len()) == (3, 3);
            if small && shared && !ragged && channels >= L::N {
                (sums.rows, sums.below) = (self.rows, below.as_mut_ptr());
            } else {
                other = Some(Sums { rows: &self.rows[1..], out: below.as_mut_ptr(), ..sums });
            }
        }
        for sums in [Some(sums), other].into_iter().flatten() {
            // SAFETY: the assertions above promise pixels · channels outputs, and as many samples in
            // every row beyond each offset, `step` apart. Tap rows are `pitch` ≥ channels + MAX_LANES
            // floats, so that a vector may start at any channel. With `below` set there are four rows,
            // and three taps in each. Fewer samples than lanes go through `few`.
            unsafe {
                if flat && (channels < L::N || ragged) {
                    sums.flat::<L>(l, pixels * channels, channels);
                } else if channels < L::N {
                    for p in 0..pixels {
                        sums.few::<L>(l, p * step, p * channels, channels);
                    }
                } else {
                    match (shared, self.offsets.len()) {
                        (true, 3) => sums.pixels::<L, 3>(l, pixels, step, channels),
                        (true, 5) => sums.pixels::<L, 5>(l, pixels, step, channels),
                        _ => sums.pixels::<L, 0>(l, pixels, step, channels),
                    }
                }
            }
        }
    }
}

impl<const FUSED: bool> Depthwise<'_, FUSED> {
    /// Whether the taps of a row are `step` samples apart.
    #[inline(always)]
    fn steps_by(&self, step: usize) -> bool {
        let mut same = true;
        for i in 0..self.offsets.len() {
            same &= self.offsets[i] == i * step;
        }
        same
    }
}

/// What all blocks need.
#[derive(Clone, Copy)]
struct Sums<'a, const FUSED: bool> {
    rows: &'a [&'a [f32]],
    offsets: &'a [usize],
    taps: *const f32,
    pitch: usize,
    activation: Activation,
    out: *mut f32,
    /// Where the row below goes that is computed at the same time, or null.
    below: *mut f32,
}

impl<const FUSED: bool> Sums<'_, FUSED> {
    /// `n` samples in a row, as one stream.
    ///
    /// # Safety
    ///
    /// All rows must have n samples beyond each offset, `out` n.
    #[inline(always)]
    unsafe fn flat<L: Lanes>(&self, l: L, n: usize, channels: usize) {
        // SAFETY: vectors end at or before sample n.
        unsafe {
            if n < L::N {
                return self.few::<L>(l, 0, 0, n);
            }
            // Vectors that start at the same channel are `period` vectors apart: their taps are
            // loaded once for several.
            let mut period = 1;
            while !(period * L::N).is_multiple_of(channels) {
                period += 1;
            }
            let (vectors, apart) = (n / L::N, period * L::N);
            let mut first = 0;
            // All phases of some vectors before the next ones, so that these rows are read once.
            while first < vectors {
                let mut v = first;
                while v < vectors.min(first + period) {
                    let (at, channel) = (v * L::N, (v * L::N) % channels);
                    if v + (UNROLL - 1) * period < vectors {
                        self.block::<L, UNROLL>(l, at, apart, at, apart, channel);
                    } else {
                        let mut at = at;
                        while at < vectors * L::N {
                            self.block::<L, 1>(l, at, apart, at, apart, channel);
                            at += apart;
                        }
                    }
                    v += 1;
                }
                first += UNROLL * period;
            }
            if vectors * L::N < n {
                let at = n - L::N;
                self.block::<L, 1>(l, at, apart, at, apart, at % channels);
            }
        }
    }

    /// Pixels of at least N channels, several at a time, vector by vector. `W` is the number of
    /// taps of a row where neighbours share what they load, or 0.
    ///
    /// # Safety
    ///
    /// All rows must have (pixels − 1) · step + channels samples beyond each offset, `out`
    /// pixels · channels; channels ≥ N. With W, offsets are 0, step, … (W − 1) · step.
    #[inline(always)]
    unsafe fn pixels<L: Lanes, const W: usize>(
        &self,
        l: L,
        pixels: usize,
        step: usize,
        channels: usize,
    ) {
        let mut p = 0;
        while p < pixels {
            let whole = pixels >= UNROLL;
            if whole {
                // The last ones overlap those before.
                p = p.min(pixels - UNROLL);
            }
            let mut c = 0;
            while c < channels {
                c = c.min(channels - L::N);
                let (from, to) = (p * step + c, p * channels + c);
                // SAFETY: p + UNROLL ≤ pixels, or one pixel; c + N ≤ channels.
                unsafe {
                    match whole {
                        // Both output rows, which only three taps of a row have.
                        true if const { W == 3 } && !self.below.is_null() => {
                            self.pair::<L, UNROLL, 6>(l, from, step, to, channels, c);
                        }
                        true if const { W == 3 } => {
                            self.shared::<L, 3, 6>(l, from, step, to, channels, c);
                        }
                        true if const { W == 5 } => {
                            self.shared::<L, 5, 8>(l, from, step, to, channels, c);
                        }
                        true => self.block::<L, UNROLL>(l, from, step, to, channels, c),
                        false if const { W == 3 } && !self.below.is_null() => {
                            self.pair::<L, 1, 3>(l, from, step, to, channels, c);
                        }
                        false => self.block::<L, 1>(l, from, step, to, channels, c),
                    }
                }
                c += L::N;
            }
            p += if whole { UNROLL } else { 1 };
        }
    }

    /// U vectors, the first at sample `from` of the rows and `to` of the output, their taps from
    /// channel `channel` on.
    ///
    /// # Safety
    ///
    /// All rows must have from + (U − 1) · apart + N samples beyond each offset, `out` the same
    /// of its own.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(
        &self,
        l: L,
        from: usize,
        apart: usize,
        to: usize,
        out_apart: usize,
        channel: usize,
    ) {
        // SAFETY: as the caller promises; there is a tap row for each row and offset, and one for
        // the bias.
        unsafe {
            let mut taps = self.taps.add(channel);
            let bias = taps.add(self.rows.len() * self.offsets.len() * self.pitch);
            let mut acc = [l.f_load(bias); U];
            for row in self.rows {
                let row = row.as_ptr().add(from);
                for &offset in self.offsets {
                    let tap = l.f_load(taps);
                    let p = row.add(offset);
                    for (u, acc) in acc.iter_mut().enumerate() {
                        let x = l.f_load(p.add(u * apart));
                        *acc = super::mul_add::<L, FUSED>(l, x, tap, *acc);
                    }
                    taps = taps.add(self.pitch);
                }
            }
            let limits = super::limits(l, self.activation);
            for (u, acc) in acc.iter().enumerate() {
                let value = super::limit(l, *acc, limits);
                l.f_store(self.out.add(to + u * out_apart), value);
            }
        }
    }

    /// `block` for UNROLL neighbours with W taps a row, a step apart: T = UNROLL + W − 1 vectors of
    /// a row serve them all.
    ///
    /// # Safety
    ///
    /// As for `block`; offsets are 0, apart, … (W − 1) · apart.
    #[inline(always)]
    unsafe fn shared<L: Lanes, const W: usize, const T: usize>(
        &self,
        l: L,
        from: usize,
        apart: usize,
        to: usize,
        out_apart: usize,
        channel: usize,
    ) {
        // SAFETY: as for `block`.
        unsafe {
            let mut taps = self.taps.add(channel);
            let bias = taps.add(self.rows.len() * W * self.pitch);
            let mut acc = [l.f_load(bias); UNROLL];
            for row in self.rows {
                let row = row.as_ptr().add(from);
                let mut x = [l.f_splat(0.0); T];
                for (i, x) in x.iter_mut().enumerate() {
                    *x = l.f_load(row.add(i * apart));
                }
                for i in 0..W {
                    let tap = l.f_load(taps);
                    for (u, acc) in acc.iter_mut().enumerate() {
                        *acc = super::mul_add::<L, FUSED>(l, x[u + i], tap, *acc);
                    }
                    taps = taps.add(self.pitch);
                }
            }
            let limits = super::limits(l, self.activation);
            for (u, acc) in acc.iter().enumerate() {
                let value = super::limit(l, *acc, limits);
                l.f_store(self.out.add(to + u * out_apart), value);
            }
        }
    }

    /// U neighbours under 3×3 taps, a step apart, and those below them: T = U + 2 vectors of a row serve
    /// them all.
    ///
    /// # Safety
    ///
    /// As for `shared`, and for `below` as for `out`; there are four rows.
    #[inline(always)]
    unsafe fn pair<L: Lanes, const U: usize, const T: usize>(
        &self,
        l: L,
        from: usize,
        apart: usize,
        to: usize,
        out_apart: usize,
        channel: usize,
    ) {
        // SAFETY: as for `block`.
        unsafe {
            let at = self.taps.add(channel);
            let mut taps = [l.f_splat(0.0); 9];
            for (i, tap) in taps.iter_mut().enumerate() {
                *tap = l.f_load(at.add(i * self.pitch));
            }
            let mut acc = [[l.f_load(at.add(9 * self.pitch)); U]; 2];
            for j in 0..4 {
                let row = self.rows.get_unchecked(j).as_ptr().add(from);
                let mut x = [l.f_splat(0.0); T];
                for (i, x) in x.iter_mut().enumerate() {
                    *x = l.f_load(row.add(i * apart));
                }
                for i in 0..3 {
                    for (y, acc) in acc.iter_mut().enumerate() {
                        if y <= j && j < y + 3 {
                            let tap = taps[(j - y) * 3 + i];
                            for (u, acc) in acc.iter_mut().enumerate() {
                                *acc = super::mul_add::<L, FUSED>(l, x[u + i], tap, *acc);
                            }
                        }
                    }
                }
            }
            let limits = super::limits(l, self.activation);
            for (acc, out) in acc.into_iter().zip([self.out, self.below]) {
                for (u, acc) in acc.into_iter().enumerate() {
                    l.f_store(out.add(to + u * out_apart), super::limit(l, acc, limits));
                }
            }
        }
    }

    /// Fewer samples than lanes, the first of channel 0: copied into whole vectors first.
    ///
    /// # Safety
    ///
    /// All rows must have from + n samples beyond each offset, `out` to + n; n ≤ N.
    #[inline(always)]
    unsafe fn few<L: Lanes>(&self, l: L, from: usize, to: usize, n: usize) {
        // SAFETY: as the caller promises; whole vectors are read and written in arrays only.
        unsafe {
            let mut taps = self.taps;
            let bias = taps.add(self.rows.len() * self.offsets.len() * self.pitch);
            let mut acc = l.f_load(bias);
            let mut whole = [0.0f32; MAX_LANES];
            for row in self.rows {
                for &offset in self.offsets {
                    let p = row.as_ptr().add(from + offset);
                    whole.as_mut_ptr().copy_from_nonoverlapping(p, n);
                    let x = l.f_load(whole.as_ptr());
                    acc = super::mul_add::<L, FUSED>(l, x, l.f_load(taps), acc);
                    taps = taps.add(self.pitch);
                }
            }
            l.f_store(whole.as_mut_ptr(), super::limit(l, acc, super::limits(l, self.activation)));
            self.out.add(to).copy_from_nonoverlapping(whole.as_ptr(), n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::floats;
    use crate::simd::Level;

    /// A kernel's sums in the order of rows and offsets; fused ones may differ by what roundings of the terms do.
    fn check<const FUSED: bool>(
        (pixels, channels): (usize, usize),
        (height, width): (usize, usize),
        (step, dilation): (usize, usize),
        activation: Activation,
    ) {
        let (n, step) = (pixels * channels, step * channels);
        let offsets: Vec<usize> = (0..width).map(|i| i * dilation * channels).collect();
        let len = (pixels - 1) * step + offsets[width - 1] + channels;
        let rows: Vec<Vec<f32>> =
            (0..=height).map(|j| floats(len, j).collect::<Vec<_>>()).collect();
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        let values = floats(height * width * channels, 20).collect::<Vec<_>>();
        let bias: Vec<f32> =
            floats(channels, 21).collect::<Vec<_>>().iter().map(|v| 8.0 * v).collect();
        // The result, and the sum of its terms' magnitudes.
        let sum = |y: usize, x: usize| {
            let (p, c) = (x / channels, x % channels);
            let (mut sum, mut terms) = (bias[c], bias[c].abs());
            for j in 0..height {
                for (i, offset) in offsets.iter().enumerate() {
                    let tap = values[(j * width + i) * channels + c];
                    let product = rows[y + j][p * step + offset + c] * tap;
                    sum += product;
                    terms += product.abs();
                }
            }
            (activation.of(f64::from(sum)) as f32, terms)
        };
        let expected = [0, 1].map(|y| (0..n).map(|x| sum(y, x)).collect::<Vec<_>>());
        let (offsets, taps) = (&offsets[..], &TapRows::new(&values, &bias));
        for level in Level::available() {
            for two in [false, true] {
                let (mut upper, mut lower) = (vec![0.0; n], vec![0.0; n]);
                let rows = &rows[..height + usize::from(two)];
                let (out, below) = (&mut upper[..], two.then_some(&mut lower[..]));
                let pass = Depthwise::<FUSED> { rows, offsets, step, taps, activation, out, below };
                level.run(pass);
                for (y, out) in [upper, lower].iter().enumerate().take(1 + usize::from(two)) {
                    for (x, (value, (sum, terms))) in out.iter().zip(&expected[y]).enumerate() {
                        let slack = if FUSED { 1e-5 * terms } else { 0.0 };
                        assert!(
                            (value - sum).abs() <= slack,
                            "{level}, {height}×{width}, {pixels} pixels of {channels}, by {step}, \
                             row {y}, sample {x}: {value}, {sum}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn channels_have_their_own_taps() {
        for channels in [1, 3, 4, 8, 16, 20, 64, 100] {
            for pixels in [1, 3, 4, 5, 7, 30] {
                for spacing in [(1, 1), (2, 1), (1, 2)] {
                    let shape = (pixels, channels);
                    check::<false>(shape, (1, 1), spacing, Activation::Relu6);
                    check::<false>(shape, (3, 3), spacing, Activation::None);
                    check::<false>(shape, (2, 5), spacing, Activation::Relu);
                    check::<false>(shape, (3, 4), spacing, Activation::None);
                    check::<true>(shape, (3, 3), spacing, Activation::Relu6);
                    check::<true>(shape, (2, 5), spacing, Activation::None);
                }
            }
        }
    }
}
