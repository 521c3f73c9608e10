//! Fourier transforms of one length, by the crate `rustfft`: what its planner chooses for the level's instructions.
//! Without the feature `fft` there are none.

use crate::simd::Level;

/// A complex number: real and imaginary part.
pub(crate) type Complex = [f64; 2];

#[cfg(feature = "fft")]
mod with_rustfft {
    use super::{Complex, Level};
    use rustfft::{Fft, FftDirection, FftPlanner, FftPlannerScalar, num_complex};
    use std::fmt;
    use std::sync::Arc;
    use wide::bytemuck::cast_slice_mut;

    /// Both transforms of one length.
    #[derive(Clone)]
    pub(crate) struct Transform {
        forward: Arc<dyn Fft<f64>>,
        inverse: Arc<dyn Fft<f64>>,
    }

    impl Transform {
        pub fn new(len: usize, level: Level) -> Option<Self> {
            let plan = |direction| {
                // The portable level of x86-64 uses none of its vectors.
                if cfg!(target_arch = "x86_64") && level == Level::portable() {
                    FftPlannerScalar::new().plan_fft(len, direction)
                } else {
                    FftPlanner::new().plan_fft(len, direction)
                }
            };
            let (forward, inverse) = (plan(FftDirection::Forward), plan(FftDirection::Inverse));
            Some(Self { forward, inverse })
        }

        /// Numbers of scratch memory that either takes.
        pub fn scratch(&self) -> usize {
            self.forward.get_inplace_scratch_len().max(self.inverse.get_inplace_scratch_len())
        }

        /// Of each of as many sequences as there are, Σ x[n]·e^(−2πi·kn/len).
        pub fn forward(&self, data: &mut [Complex], scratch: &mut [Complex]) {
            run(&*self.forward, data, scratch);
        }

        /// The same with +, and so `len` times what undoes the other.
        pub fn inverse(&self, data: &mut [Complex], scratch: &mut [Complex]) {
            run(&*self.inverse, data, scratch);
        }
    }

    fn run(fft: &dyn Fft<f64>, data: &mut [Complex], scratch: &mut [Complex]) {
        let data: &mut [num_complex::Complex<f64>] = cast_slice_mut(data);
        fft.process_with_scratch(data, cast_slice_mut(scratch));
    }

    impl fmt::Debug for Transform {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Transform({})", self.forward.len())
        }
    }

    impl PartialEq for Transform {
        /// The level makes the rest of the difference.
        fn eq(&self, other: &Self) -> bool {
            self.forward.len() == other.forward.len()
        }
    }
}

#[cfg(feature = "fft")]
pub(crate) use with_rustfft::Transform;

/// None.
#[cfg(not(feature = "fft"))]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Transform {}

#[cfg(not(feature = "fft"))]
impl Transform {
    pub fn new(_: usize, _: Level) -> Option<Self> {
        None
    }

    pub fn scratch(&self) -> usize {
        match *self {}
    }

    pub fn forward(&self, _: &mut [Complex], _: &mut [Complex]) {
        match *self {}
    }

    pub fn inverse(&self, _: &mut [Complex], _: &mut [Complex]) {
        match *self {}
    }
}
