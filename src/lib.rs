//! Fast, exact linear image filtering on the CPU.

pub mod naive;
pub mod reference;

mod border;
mod error;
mod filter;
#[cfg(feature = "image")]
mod interop;
mod kernel;
mod plan;
mod sample;
mod simd;
mod view;

pub use border::Border;
pub use error::Error;
pub use filter::{Alpha, Filter, Method, Post};
pub use kernel::{Kernel, KernelParams, NamedKernel, Separation, Term};
pub use plan::{Plan, Workspace};
pub use sample::{Sample, SampleType, Source};
pub use simd::Level;
pub use view::{Image, Rect, Shape, View, ViewMut};
