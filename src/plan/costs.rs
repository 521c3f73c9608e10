//! What direct passes, two passes and sums of windows take, so that methods can be weighed against each other. What other
//! methods take stands with each of them.

use super::arithmetic::Arithmetic;

/// What it takes to write an `f32` to memory and to read it again, in nanoseconds: at ten gigabytes a second, about.
pub(super) const MAP: f64 = 0.8;

/// What running sums take for a sample, in nanoseconds: of bytes, and of others; and what a sum of windows of floats takes
/// (AMD Zen 4, one thread, AVX-512, 1080p, 2026-12-01).
pub(super) const RUNNING_BYTES: f64 = 0.16;
pub(super) const RUNNING: f64 = 0.4;
pub(super) const BLOCKS: f64 = 0.07;

/// What a direct pass takes for a tap and a sample, in nanoseconds (AMD Zen 4, one thread, AVX-512, 2026-11-29).
pub(super) fn direct_cost(arithmetic: Arithmetic) -> f64 {
    match arithmetic {
        Arithmetic::I16 | Arithmetic::I16Rounded => 0.005,
        Arithmetic::I16Pairs => 0.0095,
        Arithmetic::F32 | Arithmetic::F32Fused => 0.02,
        Arithmetic::I32 => 0.025,
        _ => 0.04,
    }
}

/// What two passes take for a tap and a sample, in nanoseconds, measured as [`direct_cost`].
pub(super) fn separable_cost(arithmetic: Arithmetic) -> f64 {
    match arithmetic {
        Arithmetic::I16 | Arithmetic::I16Rounded => 0.012,
        Arithmetic::I16Pairs => 0.0185,
        Arithmetic::F32 | Arithmetic::F32Fused => 0.028,
        _ => 0.045,
    }
}
