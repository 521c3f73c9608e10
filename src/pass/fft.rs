//! What stands between the Fourier transforms of a block: samples become complex numbers, two rows at a time, spectra
//! of rows become columns, and back. Plain loops, which the compiler turns into vectors of the level's instruction set;
//! the transforms themselves are those of [`Transform`](crate::transform::Transform).
//!
//! Of real rows a and b, a + ib is transformed to Z. Then 2·A[k] = Z[k] + Z*[−k] and 2i·B[k] = Z[k] − Z*[−k] are the
//! transforms of both, of which half of the columns tell all. Back, Z = A + iB.

use crate::sample::Sample;
use crate::simd::{Job, Lanes};
use crate::transform::Complex;
use std::array::from_fn;
use wide::bytemuck::Pod;

/// Pairs of rows that are brought to columns together: what they write of a column is two lines.
pub const PAIRS: usize = 4;

/// Added to a number and taken away again, it rounds it to the nearest whole one: 1.5 · 2⁵².
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// What a number of a sample is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Digit {
    /// All of it, less this.
    Whole(f64),
    /// Its low byte less 128.
    Low,
    /// Its high byte less 128.
    High,
}

/// Channel by channel: `planes[c · pitch + x]` is channel `c` of pixel `x`.
pub struct Planes<'a, T> {
    pub row: &'a [T],
    pub channels: usize,
    pub planes: &'a mut [T],
    pub pitch: usize,
}

impl<T: Pod> Job for Planes<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        match self.channels {
            1 => self.planes[..self.row.len()].copy_from_slice(self.row),
            2 => self.pixels::<2>(),
            3 => self.pixels::<3>(),
            4 => self.pixels::<4>(),
            _ => self.any(),
        }
    }
}

impl<T: Pod> Planes<'_, T> {
    #[inline(always)]
    fn pixels<const C: usize>(self) {
        let (pixels, _) = self.row.as_chunks::<C>();
        for (c, plane) in self.planes.chunks_mut(self.pitch).take(C).enumerate() {
            for (to, from) in plane.iter_mut().zip(pixels) {
                *to = from[c];
            }
        }
    }

    fn any(self) {
        for (c, plane) in self.planes.chunks_mut(self.pitch).take(self.channels).enumerate() {
            for (to, from) in plane.iter_mut().zip(self.row.chunks_exact(self.channels)) {
                *to = from[c];
            }
        }
    }
}

/// `out[x] = a[x] + i·b[x]`.
pub struct Pair<'a, T> {
    pub a: &'a [T],
    pub b: &'a [T],
    pub digit: Digit,
    pub out: &'a mut [Complex],
}

impl<T: Sample> Job for Pair<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { a, b, digit, out } = self;
        let both = out.iter_mut().zip(a).zip(b);
        match digit {
            Digit::Whole(less) => {
                for ((out, a), b) in both {
                    *out = [a.to_f64() - less, b.to_f64() - less];
                }
            }
            Digit::Low => {
                for ((out, a), b) in both {
                    *out = [low(a), low(b)];
                }
            }
            Digit::High => {
                for ((out, a), b) in both {
                    *out = [high(a), high(b)];
                }
            }
        }
    }
}

#[inline(always)]
fn low<T: Sample>(v: &T) -> f64 {
    f64::from((v.to_f64() as i32 & 255) - 128)
}

#[inline(always)]
fn high<T: Sample>(v: &T) -> f64 {
    f64::from((v.to_f64() as i32 >> 8) - 128)
}

/// The transforms of [`PAIRS`] pairs of rows, apart and as columns, times 2.
pub struct Unpack<'a> {
    /// Row by row.
    pub rows: &'a [Complex],
    /// Half of the columns, and one.
    pub columns: &'a mut [Complex],
    /// From one to the next.
    pub pitch: usize,
    /// Where in them the rows belong.
    pub first: usize,
}

impl Job for Unpack<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { rows, columns, pitch, first } = self;
        let n = rows.len() / PAIRS;
        let rows: [&[Complex]; PAIRS] = from_fn(|p| &rows[p * n..][..n]);
        for (k, column) in columns.chunks_mut(pitch).take(n / 2 + 1).enumerate() {
            let back = if k == 0 { 0 } else { n - k };
            let (out, _) = column[first..][..2 * PAIRS].as_chunks_mut::<2>();
            for (out, row) in out.iter_mut().zip(&rows) {
                let (z, w) = (row[k], row[back]);
                *out = [[z[0] + w[0], z[1] - w[1]], [z[1] + w[1], w[0] - z[0]]];
            }
        }
    }
}

/// The way back.
pub struct Join<'a> {
    pub columns: &'a [Complex],
    pub pitch: usize,
    pub first: usize,
    pub rows: &'a mut [Complex],
}

impl Job for Join<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { columns, pitch, first, rows } = self;
        let n = rows.len() / PAIRS;
        for (k, column) in columns.chunks(pitch).take(n / 2 + 1).enumerate() {
            let back = if k == 0 { 0 } else { n - k };
            let (both, _) = column[first..][..2 * PAIRS].as_chunks::<2>();
            for (row, [a, b]) in rows.chunks_exact_mut(n).zip(both) {
                row[back] = [a[0] + b[1], b[0] - a[1]];
                row[k] = [a[0] - b[1], a[1] + b[0]];
            }
        }
        // There both are real, but for what was rounded, which must not get from one to the other.
        for k in [0, n / 2] {
            let (both, _) = columns[k * pitch + first..][..2 * PAIRS].as_chunks::<2>();
            for (row, [a, b]) in rows.chunks_exact_mut(n).zip(both) {
                row[k] = [a[0], b[0]];
            }
        }
    }
}

/// `data[k] = data[k] · by[k]`.
pub struct Multiply<'a> {
    pub data: &'a mut [Complex],
    pub by: &'a [Complex],
}

impl Job for Multiply<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for (a, b) in self.data.iter_mut().zip(self.by) {
            *a = [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]];
        }
    }
}

/// What becomes of sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Results {
    /// Whether sums are whole numbers: they are rounded to the nearest, and `add` is added, and the result times `unit`.
    pub whole: bool,
    pub add: f64,
    pub unit: f64,
    pub offset: f64,
    pub abs: bool,
    /// Whether results are rounded half up.
    pub rounds: bool,
}

/// Two rows of results of one channel, from the last transforms of the low bytes, or of all, and of the high bytes where
/// they are apart.
pub struct Emit<'a> {
    pub sums: [&'a [Complex]; 2],
    pub results: Results,
    /// Pixels of so many channels, from the one that is written on; as many as there are.
    pub outs: [&'a mut [f32]; 2],
    pub channels: usize,
}

impl Job for Emit<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        match (self.results.whole, self.sums[1].is_empty()) {
            (false, _) => self.rows::<false, false>(),
            (true, true) => self.rows::<true, false>(),
            (true, false) => self.rows::<true, true>(),
        }
    }
}

impl Emit<'_> {
    #[inline(always)]
    fn rows<const WHOLE: bool, const TWO: bool>(self) {
        let Self { sums: [sums, more], results, outs: [upper, lower], channels } = self;
        let mut last = [[[0.0; 2]; SOME]; 2];
        let [low_last, high_last] = &mut last;
        for x in (0..sums.len()).step_by(SOME) {
            let low = some(&sums[x..], low_last);
            let high = if TWO { some(&more[x..], high_last) } else { low };
            let rows = together::<WHOLE, TWO>(low, high, &results);
            let count = SOME.min(sums.len() - x);
            for (row, out) in rows.iter().zip([&mut *upper, &mut *lower]) {
                let out = &mut out[x * channels..];
                match out.first_chunk_mut() {
                    Some(out) if count == SOME && channels == 1 => *out = *row,
                    _ => {
                        for (out, v) in out.iter_mut().step_by(channels).zip(&row[..count]) {
                            *out = *v;
                        }
                    }
                }
            }
        }
    }
}

/// Results that are made together, so that the compiler makes vectors of them.
const SOME: usize = 8;

/// The first sums, and zeros behind them where they are the last.
#[inline(always)]
fn some<'a>(sums: &'a [Complex], last: &'a mut [Complex; SOME]) -> &'a [Complex; SOME] {
    if let Some(some) = sums.first_chunk() {
        return some;
    }
    last[..sums.len()].copy_from_slice(sums);
    last
}

/// The results of both rows.
#[inline(always)]
fn together<const WHOLE: bool, const TWO: bool>(
    low: &[Complex; SOME],
    high: &[Complex; SOME],
    results: &Results,
) -> [[f32; SOME]; 2] {
    let mut rows = [[0.0; SOME]; 2];
    for (part, row) in rows.iter_mut().enumerate() {
        for (i, result) in row.iter_mut().enumerate() {
            let mut sum = low[i][part];
            if WHOLE {
                sum = round(sum);
                if TWO {
                    sum += 256.0 * round(high[i][part]);
                }
                sum = (sum + results.add) * results.unit;
            }
            *result = finish(sum, results);
        }
    }
    rows
}

#[inline(always)]
fn round(v: f64) -> f64 {
    (v + ROUNDER) - ROUNDER
}

#[inline(always)]
fn finish(v: f64, results: &Results) -> f32 {
    let v = v + results.offset;
    let v = if results.abs { v.abs() } else { v };
    if results.rounds {
        let up = v + 0.5;
        let nearest = round(up);
        return (if nearest > up { nearest - 1.0 } else { nearest }) as f32;
    }
    v as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::noise::{floats, noise, shorts};
    use crate::simd::Level;
    use std::fmt::Debug;

    const LENGTHS: [usize; 8] = [1, 7, 16, 31, 32, 63, 130, 300];

    fn complex(n: usize, seed: usize) -> Vec<Complex> {
        let parts = |seed| noise(n, seed).map(|v| f64::from(v) / 1e5);
        parts(seed).zip(parts(seed + 100)).map(|(re, im)| [re, im]).collect()
    }

    fn add(a: Complex, b: Complex) -> Complex {
        [a[0] + b[0], a[1] + b[1]]
    }

    fn times(a: Complex, b: Complex) -> Complex {
        [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
    }

    fn conjugate(a: Complex) -> Complex {
        [a[0], -a[1]]
    }

    fn planes<T: Pod + PartialEq + Debug>(of: impl Fn(i16) -> T) {
        for (n, channels) in LENGTHS.into_iter().flat_map(|n| (1..=5).map(move |c| (n, c))) {
            let row: Vec<T> = shorts(n * channels, channels).map(&of).collect();
            let (pitch, blank) = (n + 3, of(77));
            for level in Level::available() {
                let mut all = vec![blank; channels * pitch];
                // The last plane ends with its last sample.
                let planes = &mut all[..channels * pitch - 3];
                level.run(Planes { row: &row, channels, planes, pitch });
                for (i, value) in all.iter().enumerate() {
                    let (c, x) = (i / pitch, i % pitch);
                    let expected = if x < n { row[x * channels + c] } else { blank };
                    assert_eq!(*value, expected, "{level}, {x} of {n}, channel {c} of {channels}");
                }
            }
        }
    }

    #[test]
    fn channels_are_laid_apart() {
        planes(|v| v as u8);
        planes(|v| v as u16);
        planes(f32::from);
    }

    fn pairs<T: Sample>(a: &[T], b: &[T], digit: Digit, of: impl Fn(f64) -> f64) {
        for (level, n) in Level::available().iter().flat_map(|l| LENGTHS.map(|n| (l, n))) {
            let mut out = vec![[0.5; 2]; n];
            level.run(Pair { a: &a[..n], b: &b[..n], digit, out: &mut out });
            for (x, value) in out.iter().enumerate() {
                let expected = [of(a[x].to_f64()), of(b[x].to_f64())];
                assert_eq!(*value, expected, "{level}, {x} of {n}, {digit:?}");
            }
        }
    }

    #[test]
    fn rows_become_pairs() {
        let [a, b] = [1, 2].map(|seed| shorts(300, seed).map(|v| v as u8).collect::<Vec<_>>());
        pairs(&a, &b, Digit::Whole(128.0), |v| v - 128.0);
        let [a, b] = [1, 2].map(|seed| shorts(300, seed).map(|v| v as u16).collect::<Vec<_>>());
        pairs(&a, &b, Digit::Low, |v| v % 256.0 - 128.0);
        pairs(&a, &b, Digit::High, |v| (v / 256.0).floor() - 128.0);
        let [a, b] = [1, 2].map(|seed| floats(300, seed).collect::<Vec<_>>());
        pairs(&a, &b, Digit::Whole(0.0), |v| v);
    }

    #[test]
    fn transforms_of_pairs_come_apart_and_together() {
        for (n, first) in [2, 8, 30, 64, 126].into_iter().flat_map(|n| [(n, 0), (n, 8)]) {
            let (pitch, half) = (first + 2 * PAIRS + 3, n / 2 + 1);
            let rows = complex(PAIRS * n, n);
            let columns = complex(half * pitch, n + 1);
            let z = |p: usize, k: usize| rows[p * n + k % n];
            let a = |p: usize, k: usize| columns[k * pitch + first + 2 * p];
            let b = |p: usize, k: usize| columns[k * pitch + first + 2 * p + 1];
            let i = [0.0, 1.0];
            for level in Level::available() {
                let mut apart = columns.clone();
                level.run(Unpack { rows: &rows, columns: &mut apart, pitch, first });
                for (at, value) in apart.iter().enumerate() {
                    let (k, place) = (at / pitch, at % pitch);
                    let row = place.wrapping_sub(first);
                    let (z, back) = (z(row / 2 % PAIRS, k), conjugate(z(row / 2 % PAIRS, n - k)));
                    let expected = match row {
                        0 | 2 | 4 | 6 => add(z, back),
                        // 2i·B = Z − Z*, so that 2·B = −i·Z + i·Z*.
                        1 | 3 | 5 | 7 => add(times([0.0, -1.0], z), times(i, back)),
                        _ => columns[at],
                    };
                    assert_eq!(*value, expected, "{level}, row {row}, column {k} of {n}");
                }
                let mut together = vec![[0.5; 2]; PAIRS * n];
                level.run(Join { columns: &columns, pitch, first, rows: &mut together });
                for (at, value) in together.iter().enumerate() {
                    let (p, k) = (at / n, at % n);
                    let expected = if k % (n / 2) == 0 {
                        [a(p, k)[0], b(p, k)[0]]
                    } else if k < n / 2 {
                        add(a(p, k), times(i, b(p, k)))
                    } else {
                        add(conjugate(a(p, n - k)), times(i, conjugate(b(p, n - k))))
                    };
                    assert_eq!(*value, expected, "{level}, pair {p}, {k} of {n}");
                }
            }
        }
    }

    #[test]
    fn products_are_complex() {
        for (level, n) in Level::available().iter().flat_map(|l| LENGTHS.map(|n| (l, n))) {
            let (a, by) = (complex(n, 1), complex(n, 2));
            let mut data = a.clone();
            level.run(Multiply { data: &mut data, by: &by });
            for (k, value) in data.iter().enumerate() {
                assert_eq!(*value, times(a[k], by[k]), "{level}, {k} of {n}");
            }
        }
    }

    /// Results of sums that are multiples of `unit`, of low bytes or of all, and of high bytes.
    fn emit(results: Results, two: bool, unit: f64) {
        let all = |n, seed| -> Vec<Complex> {
            let parts = |seed| noise(n, seed).map(|v| f64::from(v >> 14) * unit);
            parts(seed).zip(parts(seed + 1)).map(|(a, b)| [a, b]).collect()
        };
        for (n, channels) in LENGTHS.into_iter().flat_map(|n| (1..=5).map(move |c| (n, c))) {
            let (low, high) = (all(n, 1), all(if two { n } else { 0 }, 3));
            let expected = |part: usize, x: usize| {
                let mut sum = low[x][part];
                if results.whole {
                    let high = if two { high[x][part].round() } else { 0.0 };
                    sum = (sum.round() + 256.0 * high + results.add) * results.unit;
                }
                let v = sum + results.offset;
                let v = if results.abs { v.abs() } else { v };
                (if results.rounds { (v + 0.5).floor() } else { v }) as f32
            };
            for (level, c) in Level::available().iter().flat_map(|l| [(l, 0), (l, channels - 1)]) {
                let mut rows = [(); 2].map(|()| vec![0.125; (n + 9) * channels]);
                let outs = rows.each_mut().map(|row| &mut row[c..]);
                level.run(Emit { sums: [&low, &high], results, outs, channels });
                for (part, i) in (0..(n + 9) * channels).flat_map(|i| [(0, i), (1, i)]) {
                    let mine = i < n * channels && i % channels == c;
                    let expected = if mine { expected(part, i / channels) } else { 0.125 };
                    let value = rows[part][i];
                    assert_eq!(value, expected, "{level}, {i} of {n}, {channels}, {results:?}");
                }
            }
        }
    }

    #[test]
    fn sums_become_results() {
        for (abs, rounds) in [(false, false), (false, true), (true, false), (true, true)] {
            let whole = Results { whole: true, add: -37.0, unit: 0.25, offset: -2.5, abs, rounds };
            // Never half way between whole numbers; results often are.
            emit(whole, false, 1.0 / 3.0);
            emit(whole, true, 1.0 / 3.0);
            emit(Results { whole: false, ..whole }, false, 0.25);
        }
    }
}
