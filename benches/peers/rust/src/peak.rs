//! The machine's fused multiply-adds of `f32` a second, as a loop that does nothing else.

use std::hint::black_box;

/// Turns of the loop.
const TURNS: usize = 100_000;
/// Chains of multiply-adds that do not wait for each other: more than latency × pipes.
const CHAINS: usize = 16;

/// Does them with the widest vectors there are; how many of single lanes.
pub fn run() -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has AVX-512F.
            unsafe { wide512() };
            return (16 * CHAINS * TURNS) as f64;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the machine has AVX2 and FMA.
            unsafe { wide256() };
            return (8 * CHAINS_256 * TURNS) as f64;
        }
    }
    let (mut sums, x) = ([[0.0f32; 4]; CHAINS], black_box([0.999f32; 4]));
    for _ in 0..TURNS {
        for sum in &mut sums {
            for (sum, x) in sum.iter_mut().zip(x) {
                *sum = *sum * x + x;
            }
        }
    }
    black_box(sums);
    (4 * CHAINS * TURNS) as f64
}

/// Sixteen registers must hold the chains and the factor.
#[cfg(target_arch = "x86_64")]
const CHAINS_256: usize = 12;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide512() {
    use core::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let x = _mm512_set1_ps(black_box(0.999));
    let mut sums = [x; CHAINS];
    for _ in 0..TURNS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, x, x);
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn wide256() {
    use core::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let x = _mm256_set1_ps(black_box(0.999));
    let mut sums = [x; CHAINS_256];
    for _ in 0..TURNS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, x, x);
        }
    }
    black_box(sums);
}
