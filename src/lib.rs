//! Fast, exact linear image filtering on the CPU.

pub mod naive;
pub mod reference;

mod border;
mod error;
mod exec;
mod filter;
#[cfg(feature = "image")]
mod interop;
mod kernel;
#[allow(unsafe_code)]
mod pass;
mod plan;
mod sample;
#[allow(unsafe_code)]
mod simd;
mod view;

pub use border::Border;
pub use error::Error;
pub use exec::Workspace;
pub use filter::{Alpha, Filter, Method, Post};
pub use kernel::{Kernel, KernelParams, NamedKernel, Separation, Term};
pub use plan::Plan;
pub use sample::{Sample, SampleType, Source};
pub use simd::Level;
pub use view::{Image, Rect, Shape, View, ViewMut};
