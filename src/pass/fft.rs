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
        match self.channels {
            1 => self.pixels::<WHOLE, TWO, 1>(),
            2 => self.pixels::<WHOLE, TWO, 2>(),
            3 => self.pixels::<WHOLE, TWO, 3>(),
            4 => self.pixels::<WHOLE, TWO, 4>(),
            _ => self.pixels::<WHOLE, TWO, 0>(),
        }
    }

    /// Of C channels; 0 is any number.
    #[inline(always)]
    fn pixels<const WHOLE: bool, const TWO: bool, const C: usize>(self) {
        let Self { sums, results, outs, channels } = self;
        let channels = if C == 0 { channels } else { C };
        for (part, out) in outs.into_iter().enumerate() {
            let out = out.iter_mut().step_by(channels).zip(sums[0]);
            if TWO {
                for ((out, low), high) in out.zip(sums[1]) {
                    let sum = round(low[part]) + 256.0 * round(high[part]);
                    *out = finish((sum + results.add) * results.unit, &results);
                }
            } else {
                for (out, sum) in out {
                    let sum = sum[part];
                    let sum = if WHOLE { (round(sum) + results.add) * results.unit } else { sum };
                    *out = finish(sum, &results);
                }
            }
        }
    }
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
