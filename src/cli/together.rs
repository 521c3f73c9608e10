//! Kernels one after the other are one kernel: which one, and what it costs in the same units.

use super::kernel::Stage;
use serde::Serialize;
use std::fmt;
use twopass::{Kernel, KernelParams, NamedKernel, Post, Separation};

/// Largest side that is worked out; nobody has a name for larger ones.
const SIDE: usize = 63;

/// The kernel that a chain of kernels is, but for what it does at the edges of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Together {
    /// A named kernel, if it is one, or one times a factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    pub width: usize,
    pub height: usize,
    pub rank: usize,
    /// In two passes, where it is separable, else in one.
    pub multiplications_per_sample: usize,
    pub naive_multiplications_per_sample: usize,
}

impl Together {
    /// What two kernels or more are together.
    pub fn of(stages: &[Stage]) -> Option<Self> {
        let mut all: Option<Kernel> = None;
        for stage in stages {
            let filter = stage.filter().filter(|f| f.get_post() == Post::None)?;
            let [kernel] = filter.kernels() else { return None };
            all = Some(match all {
                Some(before) => after(&before, kernel)?,
                None => kernel.clone(),
            });
        }
        let kernel = all.filter(|_| stages.len() > 1)?;
        let (width, height) = (kernel.width(), kernel.height());
        let rank = Separation::of(&kernel).rank();
        let plain = width * height;
        let passes = if rank <= 1 { width + height } else { plain };
        Some(Self {
            name: name(&kernel, stages),
            width,
            height,
            rank,
            multiplications_per_sample: passes.min(plain),
            naive_multiplications_per_sample: plain,
        })
    }
}

impl fmt::Display for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, rank, .. } = self;
        if let Some(name) = self.name {
            write!(f, "{name}, ")?;
        }
        let (done, plain) =
            (self.multiplications_per_sample, self.naive_multiplications_per_sample);
        write!(
            f,
            "{width}×{height} taps of rank {rank}: as one kernel {done} multiplications per sample (2D: {plain})"
        )
    }
}

/// Correlation with one kernel, then with another: every tap of the one lies around every tap of the other.
fn after(first: &Kernel, second: &Kernel) -> Option<Kernel> {
    let (width, height) =
        (first.width() + second.width() - 1, first.height() + second.height() - 1);
    if width > SIDE || height > SIDE {
        return None;
    }
    let mut taps = vec![0.0; width * height];
    for y in 0..second.height() {
        for x in 0..second.width() {
            for v in 0..first.height() {
                for u in 0..first.width() {
                    taps[(y + v) * width + x + u] += second.tap(x, y) * first.tap(u, v);
                }
            }
        }
    }
    Kernel::new(width, height, taps).ok()
}

/// The named kernel of this size whose taps are these, or these times a factor above 0.
fn name(kernel: &Kernel, stages: &[Stage]) -> Option<&'static str> {
    let sized = KernelParams { size: Some(kernel.width()), ..Default::default() };
    let unit = kernel.abs_sum();
    let is = |named: &&NamedKernel| {
        [KernelParams::default(), sized.clone()].iter().any(|params| {
            let Ok(kernels) = named.kernels(params) else { return false };
            let [other] = kernels.as_slice() else { return false };
            let size = (other.width(), other.height()) == (kernel.width(), kernel.height());
            let (scale, pairs) = (other.abs_sum(), kernel.taps().iter().zip(other.taps()));
            size && pairs.into_iter().all(|(a, b)| (a / unit - b / scale).abs() < 1e-12)
        })
    };
    // Of several names the one that the user knows.
    let given = |named: &&NamedKernel| stages.iter().any(|stage| stage.name == named.name());
    let all = NamedKernel::all().iter();
    all.clone().filter(given).chain(all).find(is).map(NamedKernel::name)
}
