//! Layers and chains against the reference, and against themselves: every level, thread count and
//! tile size.

#[path = "../common/mod.rs"]
mod common;

mod chains;
mod colour;
mod errors;
mod filters;
mod golden;

mod make;
mod merged;
mod methods;
mod rows;
mod single;
