//! The sum of filters' rows, and of the image's own: what they add up to is rounded once. Plain loops over blocks, which
//! the compiler turns into vectors of the level's instruction set; every sample is computed by the same operations in the
//! same order, whatever its place.

use super::Finish;
use super::datapath::post;
use crate::sample::{Sample, with_sample};
use crate::simd::{Job, Lanes};
use crate::view::OutRow;

/// Samples of a block.
const BLOCK: usize = 64;

/// Values of a block, at the start of a cache line: else vectors lie across two, which takes twice the time.
#[repr(align(64))]
struct Block<T>([T; BLOCK]);

/// A row to be added, times a factor; of 16 bits that is the unit of its numbers.
#[derive(Debug, Clone, Copy)]
pub enum Addend<'a> {
    /// Of 16 bits.
    I16(&'a [i16], f32),
    /// Of floats.
    F32(&'a [f32], f32),
}

/// `out[x] = finish(identity · source[x] + Σ factor · row[x])`.
pub struct SumRows<'a, T> {
    /// As many samples as are written.
    pub source: &'a [T],
    /// What they are multiplied by.
    pub identity: f32,
    /// As long.
    pub rows: &'a [Addend<'a>],
    /// Offset and post-step.
    pub finish: &'a Finish,
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

impl<T: Sample> Job for SumRows<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        with_sample!(self.out.sample(), O => self.samples::<L, O>(l));
    }
}

impl<T: Sample> SumRows<'_, T> {
    #[inline(always)]
    fn samples<L: Lanes, O: Sample>(self, l: L) {
        let Self { source, identity, rows, finish, out } = self;
        let out = out.typed::<O>();
        assert!(source.len() == out.len());
        for (i, (source, out)) in source.chunks(BLOCK).zip(out.chunks_mut(BLOCK)).enumerate() {
            let block = i * BLOCK..i * BLOCK + out.len();
            let mut sums = Block([finish.offset as f32; BLOCK]);
            if identity != 0.0 {
                add(&mut sums, source, identity);
            }
            for row in rows {
                match *row {
                    Addend::I16(row, factor) => add(&mut sums, &row[block.clone()], factor),
                    Addend::F32(row, factor) => add(&mut sums, &row[block.clone()], factor),
                }
            }
            let mut results = Block([O::zeroed(); BLOCK]);
            for at in (0..BLOCK).step_by(L::N) {
                // SAFETY: BLOCK is a multiple of N, so both arrays have N elements from `at` on.
                unsafe {
                    let sum = l.f_load(sums.0.as_ptr().add(at));
                    O::store_f(l, results.0.as_mut_ptr().add(at), post(l, [sum], finish));
                }
            }
            let n = out.len();
            out.copy_from_slice(&results.0[..n]);
        }
    }
}

/// Adds samples times a factor to as many sums.
#[inline(always)]
fn add<S: Sample>(sums: &mut Block<f32>, samples: &[S], factor: f32) {
    for (sum, sample) in sums.0.iter_mut().zip(samples) {
        // All of them are `f32` values.
        *sum += factor * (sample.to_f64() as f32);
    }
}
