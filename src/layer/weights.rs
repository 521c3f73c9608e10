//! Checks of weights, shared by all layers: a layer that exists has weights of the right number,
//! all of them finite.

use crate::error::Error;

/// How many weights an array of these four axes has. Every axis must have at least one.
pub fn count(dims: [usize; 4]) -> Result<usize, Error> {
    if dims.contains(&0) {
        return Err(Error::EmptyWeights { dims });
    }
    dims.iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        // As for images: byte offsets must fit `isize`, with room for padding.
        .filter(|&n| n <= isize::MAX as usize / 64)
        .ok_or(Error::WeightsOverflow { dims })
}

/// Whether `weights` are what `dims` promise.
pub fn check(weights: &[f32], dims: [usize; 4]) -> Result<(), Error> {
    let needed = count(dims)?;
    if weights.len() != needed {
        return Err(Error::WeightCount { dims, needed, given: weights.len() });
    }
    finite("weight", weights)
}

/// Whether `bias` has a finite value for each of `channels`.
pub fn check_bias(bias: &[f32], channels: usize) -> Result<(), Error> {
    if bias.len() != channels {
        return Err(Error::BiasCount { channels, given: bias.len() });
    }
    finite("bias", bias)
}

fn finite(what: &'static str, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(Error::WeightNotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

/// Turns an array of `outer` × `inner` values around: `inner` × `outer`.
pub fn transposed(values: &[f32], outer: usize, inner: usize) -> Vec<f32> {
    let columns = (0..inner).flat_map(|i| (0..outer).map(move |o| o * inner + i));
    columns.map(|at| values[at]).collect()
}
