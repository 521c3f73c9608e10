//! Linear image filtering on the CPU, fast and exact.
//!
//! Give it a kernel. Where that is a column times a row, two 1D passes do the work of one 2D pass: Sobel takes 6
//! multiplications in place of 9, a Gaussian of 13 × 13 taps 26 in place of 169. The library finds out by itself, and runs
//! the passes in SIMD lanes chosen at run time (portable, AVX2, AVX-512), over cache-sized tiles, on all cores.
//!
//! ```
//! use twopass::{Filter, Image, Kernel, Shape, View, Workspace};
//!
//! // Any memory is an image: samples, a shape (width, height, channels), a row stride.
//! let photo: Vec<u8> = (0..640 * 480 * 3).map(|i| (i % 251) as u8).collect();
//! let view = View::new(&photo, Shape::new(640, 480, 3))?;
//!
//! // What to do …
//! let filter = Filter::new(Kernel::gaussian(2.0)?);
//! // … how it will be done, for this shape and these sample types …
//! let plan = filter.plan::<u8, u8>(view.shape())?;
//! assert_eq!(plan.multiplications_per_sample(), 26);
//! assert_eq!(plan.naive_multiplications_per_sample(), 169);
//! println!("{plan}");
//! // … and doing it: the second run allocates nothing.
//! let mut blurred = Image::new(plan.output_shape())?;
//! let mut workspace = Workspace::new();
//! plan.run(view, blurred.view_mut(), &mut workspace)?;
//! plan.run(view, blurred.view_mut(), &mut workspace)?;
//! # Ok::<(), twopass::Error>(())
//! ```
//!
//! With the feature `image` (on by default) [`Filter`] and [`Chain`] have `apply` and friends for the types of the
//! `image` crate.
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | taps: named kernels, matrices, products | [`Kernel`], [`NamedKernel`] |
//! | whether a kernel is a product, and what is left if not | [`Separation`] |
//! | what to do: border, scale, alpha, threads | [`Filter`], [`Border`], [`Alpha`] |
//! | how it is done, and what is proved of it | [`Plan`], [`AnyPlan`] |
//! | pixels: borrowed, cropped, owned | [`View`], [`ViewMut`], [`Image`] |
//! | one channel of several | [`View::channels`], [`Plan::run_strided`] |
//! | several steps as one plan | [`Chain`] |
//! | linear light, signed results as pictures, changes of depth | [`Mapping`], [`mod@light`] |
//! | the defaults of OpenCV, SciPy, vips, imageproc | [`Compat`] |
//! | layers of networks | [`Depthwise`], [`Pointwise`], [`SeparableConv`], [`Conv2d`] |
//! | the definition of all results | [`mod@reference`] |
//!
//! # Threads
//!
//! A plan is only read: one plan may run on many threads at once, each with a [`Workspace`] of its own. A run itself uses the
//! rayon pool that it is called from, and never changes it; [`Filter::threads`] is an upper limit, and 1 stays on the
//! caller's thread.
//!
//! # Layers
//!
//! [`Depthwise`] (a kernel for each channel), [`Pointwise`] (a matrix over the channels),
//! [`SeparableConv`] (both, as one) and the ordinary [`Conv2d`] run through the same executor. A
//! [`Chain`] of them, and of filters, is one plan: what a tile of one layer makes, the next reads
//! while it is in the cache, wherever that saves more than it costs. Values between layers are
//! `f32`, neither rounded nor cut off; images of any sample type go in and come out.
//!
//! # What is promised
//!
//! [`mod@reference`] is the definition: correlation in `f64`, rounded once.
//!
//! * Integer results are within 1 of it, exact for kernels of integer taps (Sobel, Scharr,
//!   Laplacian …), and a constant image stays constant under a kernel of sum 1.
//! * Integer results are the same bytes on every instruction set, thread count, tile and region;
//!   `f32` results are the same bits for every thread count, tile and region on one machine.
//! * `f32` results are within [`AnyPlan::error_bound`], which is proved from the taps.
//! * NaN and infinity stay inside the kernel's window. The sign and payload of a NaN are not promised.
//! * Nothing that a caller supplies panics or reads out of bounds: it is a typed [`Error`].
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `rayon` | yes | chunks of the output on the workers of the caller's current rayon pool |
//! | `fft` | yes | Fourier transforms for large kernels that are no products |
//! | `image` | yes | filtering of `DynamicImage` and `ImageBuffer` |
//! | `cli` | yes | the program `filter`; a library does without |
//! | `weights` | no | layers from the arrays of `.npz` and safetensors files |

pub mod light;
pub mod naive;
pub mod reference;

mod any_view;
mod border;
mod compat;
mod error;
mod exec;
mod filter;
mod geometry;
#[cfg(feature = "image")]
mod interop;
mod kernel;
mod layer;
mod mapping;
#[allow(unsafe_code)]
mod pass;
mod plan;
mod sample;
mod shape;
#[allow(unsafe_code)]
mod simd;
mod strided;
mod transform;
mod view;
#[cfg(feature = "weights")]
mod weights;

pub use any_view::{AnyView, AnyViewMut, Source};
pub use border::Border;
pub use compat::Compat;
pub use error::Error;
pub use exec::Workspace;
pub use filter::{Alpha, Filter, Method, Post};
pub use kernel::{Kernel, KernelParam, KernelParams, NamedKernel, Separation, Term};
pub use layer::{
    Activation, Chain, Conv2d, Depthwise, Layer, Padding, Pointwise, SeparableConv, Window,
};
pub use mapping::{Clipping, Ending, MappedPlan, Mapping, Range};
pub use plan::{AnyPlan, Arithmetic, Candidate, Operations, Plan, StageInfo};
pub use sample::{Sample, SampleType};
pub use simd::Level;
pub use strided::{Strided, StridedMut};
pub use view::{Image, Rect, Shape, View, ViewMut};
#[cfg(feature = "weights")]
pub use weights::{Tensor, WeightOrder, Weights};

/// The Rust blocks of the pages are tests.
#[cfg(all(doctest, feature = "image"))]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/library.md")]
    struct Library;
    #[doc = include_str!("../docs/layers.md")]
    struct Layers;
}
