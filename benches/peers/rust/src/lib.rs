//! The Rust contestants of the board, behind a small C interface, so that one process can call
//! them in turn with OpenCV on the same memory.
//!
//! `board_new` reads a line of text that says who does what, and returns a handle; `board_run`
//! is the call that is timed. Which contestants there are depends on the features: each build of
//! this library holds one. `board_layers` makes handles for layers, with their weights.

mod abi;
mod spec;

#[cfg(feature = "twopass")]
mod layers;
#[cfg(feature = "twopass")]
mod peak;

#[cfg(feature = "imageproc")]
mod imageproc;
#[cfg(feature = "libblur")]
mod libblur;
#[cfg(feature = "twopass")]
mod twopass;

use abi::Job;
use spec::Spec;

/// Sets up the contestant that `spec` names.
fn make(spec: &Spec) -> Result<Job, String> {
    match spec.contestant.as_str() {
        #[cfg(feature = "twopass")]
        "twopass" | "apply" => twopass::make(spec),
        #[cfg(feature = "libblur")]
        "libblur" => libblur::make(spec),
        #[cfg(feature = "imageproc")]
        "imageproc" | "image" => imageproc::make(spec),
        other => Err(format!("no contestant {other:?} in this build")),
    }
}
