//! The engine against the reference, and against itself: every level, thread count, tile size
//! and region.

#[path = "../common/mod.rs"]
mod common;

mod bias;
mod bounds;
mod equality;
#[cfg(feature = "fft")]
mod fft;
mod limits;
mod mapping;
mod multirate;
mod properties;
mod runs;
mod sample;
mod strided;
mod sweep;
mod terms;
