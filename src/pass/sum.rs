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

/// A row to be added.
#[derive(Debug, Clone, Copy)]
pub enum Addend<'a> {
    /// Of 16 bits, in units of a power of 2.
    I16(&'a [i16], f32),
    /// Of floats.
    F32(&'a [f32]),
}

/// `out[x] = finish(identity · source[x] + Σ rows[x])`.
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
            let x = i * BLOCK;
            let n = out.len();
            let mut sums = [finish.offset as f32; BLOCK];
            if identity != 0.0 {
                add(&mut sums, source, |sample| identity * (sample.to_f64() as f32));
            }
            for row in rows {
                match *row {
                    Addend::I16(row, unit) => {
                        add(&mut sums, &row[x..x + n], |sample| unit * f32::from(sample));
                    }
                    Addend::F32(row) => add(&mut sums, &row[x..x + n], |sample| sample),
                }
            }
            let mut results = [O::zeroed(); BLOCK];
            for at in (0..BLOCK).step_by(L::N) {
                // SAFETY: BLOCK is a multiple of N, so both arrays have N elements from `at` on.
                unsafe {
                    let sum = l.f_load(sums.as_ptr().add(at));
                    O::store_f(l, results.as_mut_ptr().add(at), post(l, [sum], finish));
                }
            }
            out.copy_from_slice(&results[..n]);
        }
    }
}

/// Adds values of a block of samples, which may be shorter, to sums.
#[inline(always)]
fn add<S: Copy>(sums: &mut [f32; BLOCK], samples: &[S], value: impl Fn(S) -> f32) {
    match <&[S; BLOCK]>::try_from(samples).ok() {
        Some(samples) => {
            for (sum, &sample) in sums.iter_mut().zip(samples) {
                *sum += value(sample);
            }
        }
        None => {
            for (sum, &sample) in sums.iter_mut().zip(samples) {
                *sum += value(sample);
            }
        }
    }
}
