//! The passes: border-free inner loops over rows, written once and generic over the arithmetic
//! ([`Datapath`]), the sample type that is read, and the lanes. The type that is written is looked up
//! where it is stored ([`OutRow`]): once for some vectors, outside of the loops over taps.
//!
//! | pass | reads | writes |
//! |---|---|---|
//! | [`Column`] | K rows of samples | a scratch row |
//! | [`Row`] | one scratch row (two for a magnitude), K taps apart, and perhaps the image's row | output samples |
//! | [`ColumnHalves`], [`RowHalves`] | `u8`, in 16 bits | the same |
//! | [`SymmetricHalves`] | as [`ColumnHalves`], long symmetric taps | the same |
//! | [`Across`] | two rows of `u8` | a row of pairs, for a [`Dense`] pass of one column |
//! | [`Prepare`] | one row of samples (two, for paired arithmetic) | a widened row |
//! | [`Dense`] | K widened rows | output samples |
//! | [`Doubled`] | a row of `f32` | means of 2, 4, 8 … neighbours |
//! | [`Sparse`] | K rows of `f32`, or of their means, at some places | output samples |
//! | [`SparseSums`] | K rows of integers at some places | sums that may be kept; output samples |
//! | [`Stencil`] | three rows of samples for each that it writes: a 3×3 kernel | output samples |
//! | [`Depthwise`] | K rows of `f32` | a row of `f32`, each channel under its own taps |
//! | [`Mix`] | rows of `f32` | a row of `f32` of other channels |
//! | [`Narrow`] | a row of samples | a row of samples of other, few channels |
//! | [`Colour`] | a row of `u8` pixels | a row of pixels, up to four channels each |
//! | [`Premultiply`], [`Unpremultiply`] | a row of samples; of `f32` | the same with colours multiplied, or divided, by alpha |
//! | [`KeepAlpha`] | a row of samples | the alpha of output samples |
//! | [`Accumulate`] | a row that enters a window, one that leaves | running column sums |
//! | [`Windows`] | column sums | output samples |
//! | [`AccumulatePhases`], [`MeansPhases`] | one channel, neighbours apart | the same |
//! | [`AccumulateWords`], [`MeansWords`] | `u8`, in 16 bits | the same |
//! | [`WindowSums`] | rows of `f32` | sums of the windows of some rows |
//! | [`RowSums`] | column sums of `f32` | output samples |
//! | [`Split`], [`Merge`] | a row | its phases, pixels that are D apart, as rows; and back |
//! | [`Planes`] | a row | its channels, as rows |
//! | [`Pair`], [`Unpack`], [`Multiply`], [`Join`], [`Emit`] | rows of samples, their transforms | transforms, a row of `f32` |
//! | [`SumRows`], [`SumPairs`] | a row of samples, rows of terms | output samples |
//!
//! A pass knows nothing of borders, tiles or threads. Its `run` checks the lengths of all slices
//! once; after that the loops use pointers. Every output sample is computed by the same
//! operations in the same order wherever it lies in a row: the last vector overlaps the one
//! before, so there is no remainder loop that could round differently.

mod across;
mod alpha;
mod blocks;
mod colour;
mod column;
mod datapath;
mod dense;
mod depthwise;
mod fft;
mod halves;
mod lines;
mod mix;
mod narrow;
#[cfg(test)]
mod noise;
mod polyphase;
mod row;
mod running;
mod sparse;
mod stencil;
mod sum;
mod symmetric;

pub use across::{ACROSS_SLACK, Across, Part};
pub use alpha::{KeepAlpha, Premultiply, Unpremultiply};
pub use blocks::{GROUP, GROUPS_FROM, RowLevel, RowSums, SUMMED, WindowSums};
pub use colour::{Colour, ColourWeights};
pub use column::{Column, Sum};
pub use datapath::{Datapath, F32, F32Fused, F64, I16, I16Pairs, I16Rounded, I32};
pub use dense::{Dense, Prepare};
pub use depthwise::{Depthwise, TapRows};
pub use fft::{Digit, Emit, Join, Multiply, PAIRS, Pair, Planes, Results, Unpack};
pub use halves::{
    ColumnHalves, HALF_SLACK, HalfInput, HalfSum, Identity, MOST_SYMMETRIC, RowHalves,
    folds_column, folds_row,
};
pub use mix::{Mix, Weights};
pub use narrow::{Narrow, NarrowWeights};
pub use polyphase::{Merge, Split};
pub use row::{Input, Row, RowOrder};
pub use running::{
    Accumulate, AccumulatePhases, AccumulateWords, Halves, LEAST_SUM, MeansPhases, MeansWords,
    PHASE_SLACK, Share, Windows, parity_unit,
};
pub use sparse::{Doubled, Kept, Read, Sparse, SparseSums};
pub use stencil::{Nine, ROUNDED_BITS, STENCIL_ROWS, Stencil, StencilSample};
pub use sum::{Addend, AnyRow, MOST_ROWS, SAMPLE_BITS, SumPairs, SumRows};
pub use symmetric::{SYMMETRIC_SHIFT, SymmetricHalves};

use crate::any_view::OutRow;
use crate::filter::Post;
use crate::layer::Activation;
use crate::sample::{SampleType, with_sample};
use crate::simd::Lanes;

/// Taps as an arithmetic wants them. For paired arithmetic, an `i32` is two `i16` taps.
#[derive(Debug, Clone, PartialEq)]
pub enum Taps {
    /// For [`I16`].
    I16(Vec<i16>),
    /// For [`F32`] and [`F32Fused`].
    F32(Vec<f32>),
    /// For [`I32`] and [`I16Pairs`].
    I32(Vec<i32>),
    /// For [`F64`].
    F64(Vec<f64>),
}

/// What happens between an accumulator and the output sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finish {
    /// The post-step.
    pub post: Post,
    /// The largest magnitude of results before the post-step, offset included; of floats, and of those whose squares have no
    /// place in `f32`, infinity.
    pub most: f64,
    /// Added to float results, in output units.
    pub offset: f64,
    /// For integer accumulators, which hold results in units of 2^−shift; one for each kernel.
    pub fixed: [Fixed; 2],
}

impl Finish {
    /// Of floats that are written as they are.
    pub(crate) const PLAIN: Self =
        Self { post: Post::None, most: f64::INFINITY, offset: 0.0, fixed: [Fixed::NONE; 2] };

    /// Whether values may be so large, or small, that their squares have no place in `f32`.
    pub(crate) fn unlimited(&self) -> bool {
        self.most == f64::INFINITY
    }

    /// Whether results fit into 32 bits.
    pub(crate) fn fits(&self) -> bool {
        self.most < 2f64.powi(30)
    }

    /// Whether sums in 32 bits times the common tap are rounded at once, by the offset and ½: there is no post-step, and
    /// all of it, which `f32` rounds, is within ±2³⁰.
    pub(crate) fn rounds(&self) -> bool {
        self.post == Post::None && self.most < 2f64.powi(30) - 128.0
    }
}

/// How an integer accumulator becomes an integer result.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fixed {
    /// Fraction bits of the accumulator.
    pub shift: u32,
    /// What sums start with: the offset and, unless a post-step comes first, the ½ that makes the
    /// shift round; 0 where the finish is in floats. Arithmetic that shifts what it multiplies
    /// takes that back here.
    pub start: i32,
    /// Whether 16-bit sums have no sign.
    pub unsigned: bool,
    /// What a sum in 32 bits is multiplied by in floats: 2^−shift, or what whole taps have in common.
    pub unit: f32,
    /// Where a 16-bit sum is not shifted but multiplied: in units of 2⁻¹⁵; 0 where it is not.
    pub factor: i16,
    /// Whether a sum is divided. One of 16 bits is multiplied by `factor` in units of 2^−(16 + shift), rounded
    /// down; one of a [`Stencil`] in 32 bits by `unit`, rounded.
    pub divides: bool,
}

impl Fixed {
    /// That of floats.
    const NONE: Self =
        Self { shift: 0, start: 0, unsigned: false, unit: 0.0, factor: 0, divides: false };

    /// Whether 16-bit sums are multiplied by what taps have in common, and not by a power of 2.
    pub(crate) fn multiplies(&self) -> bool {
        self.divides || self.factor != 0 && self.shift == 0
    }

    /// One half of a result's unit.
    #[inline(always)]
    fn half(&self) -> i32 {
        (1 << self.shift) >> 1
    }
}

/// Sums that a dense pass computes together, at most.
const MOST_SUMS: usize = 4;

/// Bytes of output for which sums of windows are prepared at a time. They go to memory while
/// the next are prepared: longer pieces would wait for it.
const PIECE: usize = 2048;

/// Bytes in a cache line.
const LINE: usize = 64;

/// The type and the length that all of these rows have.
#[inline(always)]
fn alike(outs: &[OutRow]) -> (SampleType, usize) {
    let (sample, n) = outs.first().map_or((SampleType::U8, 0), |out| (out.sample(), out.len()));
    assert!(outs.iter().all(|out| out.sample() == sample && out.len() == n));
    (sample, n)
}

/// [`with_sample`] for what 16-bit arithmetic writes.
macro_rules! with_narrow {
    ($sample:expr, $O:ident => $do:expr) => {
        if $sample == $crate::sample::SampleType::U8 {
            type $O = u8;
            $do
        } else {
            type $O = i16;
            $do
        }
    };
}
use with_narrow;

/// The sample from which on a row at this address may be written past the cache: there a line begins. Other
/// stores must not touch lines that are streamed, so if it is not the first sample, there is a vector of
/// `lanes` samples, of so many `bytes`, before it. `None` if samples lie across lines.
#[inline(always)]
fn first_of_line(address: usize, bytes: usize, lanes: usize) -> Option<usize> {
    let mut first = address.wrapping_neg() % LINE / bytes;
    if first > 0 && first < lanes {
        first += lanes.max(LINE / bytes);
    }
    address.is_multiple_of(bytes).then_some(first)
}

/// Where the vectors start that write all samples before such a one.
#[inline(always)]
fn starts_before(first: usize, lanes: usize) -> impl Iterator<Item = usize> {
    (0..first).step_by(lanes).map(move |x| x.min(first - lanes))
}

/// Does the same for each of up to eight numbers. A loop that the compiler does not unroll would keep the
/// vectors that it counts through in memory.
macro_rules! each {
    ($count:expr, $i:ident => $do:expr) => {
        const { assert!($count <= 8) }
        $crate::pass::each!($count, $i, [0, 1, 2, 3, 4, 5, 6, 7], $do);
    };
    ($count:expr, $i:ident, [$($number:literal),*], $do:expr) => {
        $(if const { $number < $count } {
            let $i = $number;
            $do
        })*
    };
}
use each;

/// a·b + c, in one rounding if `FUSED` and the level has it.
#[inline(always)]
fn mul_add<L: Lanes, const FUSED: bool>(l: L, a: L::F, b: L::F, c: L::F) -> L::F {
    if FUSED { l.f_mul_add(a, b, c) } else { l.f_add(c, l.f_mul(a, b)) }
}

/// The limits that are a layer's activation, in all lanes; infinite where there are none, so that
/// loops need not branch.
#[inline(always)]
fn limits<L: Lanes>(l: L, activation: Activation) -> [L::F; 2] {
    let (least, most) = match activation {
        Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Relu6 => (0.0, 6.0),
    };
    [l.f_splat(least), l.f_splat(most)]
}

/// A sum within the limits; NaN stays NaN.
#[inline(always)]
fn limit<L: Lanes>(l: L, v: L::F, limits: [L::F; 2]) -> L::F {
    l.f_at_most(l.f_at_least(v, limits[0]), limits[1])
}
