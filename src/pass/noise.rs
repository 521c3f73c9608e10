//! Random numbers, the same in every run, for the tests of passes.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// So many of them; those of another seed are others.
pub fn noise(n: usize, seed: usize) -> impl Iterator<Item = i32> {
    let mut random = SmallRng::seed_from_u64(seed as u64);
    (0..n).map(move |_| random.random())
}

/// The same in 16 bits.
pub fn shorts(n: usize, seed: usize) -> impl Iterator<Item = i16> {
    noise(n, seed).map(|v| v as i16)
}

/// The same between −1 and 1.
pub fn floats(n: usize, seed: usize) -> impl Iterator<Item = f32> {
    noise(n, seed).map(|v| v as f32 / 2f32.powi(31))
}
