//! Rows in polyphase form, for filters that change the rate: pixels that are D apart lie side by side. Nothing is
//! computed. Plain loops; where D is small and pixels are single samples, the compiler knows D and makes vectors of
//! them, which takes a sixth of the time.

use crate::sample::Sample;
use crate::simd::{Job, Lanes};
use std::array::from_fn;
use wide::bytemuck::Pod;

/// Runs the loop of a job for its channels and its D, as far as the compiler knows them.
macro_rules! with_sizes {
    ($job:expr) => {
        match ($job.channels, $job.step) {
            (1, 3) => $job.blocks::<3>(),
            (1, 4) => $job.blocks::<4>(),
            (1, 5) => $job.blocks::<5>(),
            (1, 6) => $job.blocks::<6>(),
            (1, 7) => $job.blocks::<7>(),
            (1, 8) => $job.blocks::<8>(),
            (1, _) => $job.pixels::<1>(),
            (2, _) => $job.pixels::<2>(),
            (3, _) => $job.pixels::<3>(),
            (4, _) => $job.pixels::<4>(),
            _ => $job.any(),
        }
    };
}

/// Sorts the pixels of a row by their place in blocks of `step`: pixel p of block q becomes pixel q of phase p. As `f32`.
pub struct Split<'a, E> {
    /// Whole blocks.
    pub row: &'a [E],
    /// D.
    pub step: usize,
    pub channels: usize,
    /// D phases, each `pitch` after the one before.
    pub phases: &'a mut [f32],
    pub pitch: usize,
}

impl<E: Sample> Job for Split<'_, E> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        with_sizes!(self)
    }
}

impl<E: Sample> Split<'_, E> {
    /// Blocks of D samples.
    #[inline(always)]
    fn blocks<const D: usize>(self) {
        let (blocks, _) = self.row.as_chunks::<D>();
        for (p, phase) in self.phases.chunks_mut(self.pitch).take(D).enumerate() {
            for (to, from) in phase.iter_mut().zip(blocks) {
                *to = from[p].to_f64() as f32;
            }
        }
    }

    /// Pixels of C channels.
    #[inline(always)]
    fn pixels<const C: usize>(self) {
        let (pixels, _) = self.row.as_chunks::<C>();
        for (p, phase) in self.phases.chunks_mut(self.pitch).take(self.step).enumerate() {
            let (phase, _) = phase.as_chunks_mut::<C>();
            for (to, from) in phase.iter_mut().zip(pixels[p..].iter().step_by(self.step)) {
                *to = from.map(|sample| sample.to_f64() as f32);
            }
        }
    }

    /// Pixels of any channels.
    fn any(self) {
        let n = self.channels;
        for (p, phase) in self.phases.chunks_mut(self.pitch).take(self.step).enumerate() {
            let pixels = self.row[p * n..].chunks(n).step_by(self.step);
            for (to, from) in phase.chunks_exact_mut(n).zip(pixels) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f64() as f32);
            }
        }
    }
}

/// The way back.
pub struct Merge<'a, E> {
    /// D phases, each `pitch` after the one before.
    pub phases: &'a [E],
    pub pitch: usize,
    /// D.
    pub step: usize,
    pub channels: usize,
    /// Whole blocks.
    pub row: &'a mut [E],
}

impl<E: Pod> Job for Merge<'_, E> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        with_sizes!(self)
    }
}

impl<E: Pod> Merge<'_, E> {
    /// Blocks of D samples.
    #[inline(always)]
    fn blocks<const D: usize>(self) {
        let (blocks, _) = self.row.as_chunks_mut::<D>();
        let phases: [&[E]; D] = from_fn(|p| &self.phases[p * self.pitch..][..blocks.len()]);
        for (i, block) in blocks.iter_mut().enumerate() {
            for (to, phase) in block.iter_mut().zip(&phases) {
                *to = phase[i];
            }
        }
    }

    /// Pixels of C channels.
    #[inline(always)]
    fn pixels<const C: usize>(self) {
        let (pixels, _) = self.row.as_chunks_mut::<C>();
        for (p, phase) in self.phases.chunks(self.pitch).take(self.step).enumerate() {
            let (phase, _) = phase.as_chunks::<C>();
            for (to, from) in pixels[p..].iter_mut().step_by(self.step).zip(phase) {
                *to = *from;
            }
        }
    }

    /// Pixels of any channels.
    fn any(self) {
        let n = self.channels;
        for (p, phase) in self.phases.chunks(self.pitch).take(self.step).enumerate() {
            let pixels = self.row[p * n..].chunks_mut(n).step_by(self.step);
            for (to, from) in pixels.zip(phase.chunks_exact(n)) {
                to.copy_from_slice(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;

    #[test]
    fn merging_takes_splitting_back() {
        for (blocks, step, channels) in
            [(1, 3, 1), (70, 8, 1), (90, 9, 1), (7, 4, 2), (5, 3, 3), (9, 8, 4), (4, 5, 6)]
        {
            let row: Vec<f32> = (0..blocks * step * channels).map(|i| i as f32).collect();
            let pitch = blocks * channels + 3;
            let mut phases = vec![-1.0; step * pitch];
            for level in Level::available() {
                let job = Split { row: &row, step, channels, phases: &mut phases, pitch };
                level.run(job);
                let at = |p: usize, q: usize, c: usize| phases[p * pitch + q * channels + c];
                let second = ((step + 1) * channels) as f32;
                assert!(blocks == 1 || at(1, 1, 0) == second, "pixel 1 of block 1");
                let mut back = vec![0.0; row.len()];
                let (phases, row) = (&phases[..], &mut back[..]);
                level.run(Merge { phases, pitch, step, channels, row });
                assert_eq!(back, (0..back.len()).map(|i| i as f32).collect::<Vec<_>>());
            }
        }
    }
}
