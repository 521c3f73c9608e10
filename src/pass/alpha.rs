//! Alpha: colours are multiplied by it before a filter, and divided by it after. Plain loops, which the compiler turns
//! into vectors of the level's instruction set; the arithmetic is the same at every level.

use super::OutRow;
use crate::filter::Post;
use crate::reference::Opacity;
use crate::sample::{Sample, with_sample};
use crate::simd::{Job, Lanes};

/// Pixels that are worked on together, so that loops over their samples are vectors.
const PIXELS: usize = 16;

/// Values of a block, at a multiple of a vector's size. An array of numbers may begin between two: then, by where the
/// stack began, the loop took half as long again.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block<V, const S: usize>([V; S]);

/// Colour × alpha, and alpha, of pixels of 2 or 4 samples, the last of which is alpha.
pub struct Premultiply<'a, T> {
    pub source: &'a [T],
    pub channels: usize,
    /// As many samples.
    pub out: &'a mut [f32],
}

impl<T: Sample> Job for Premultiply<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { source, channels, out } = self;
        match channels {
            2 => multiply::<T, 2, { 2 * PIXELS }>(source, out),
            _ => multiply::<T, 4, { 4 * PIXELS }>(source, out),
        }
    }
}

/// In blocks of S samples, of pixels of C.
#[inline(always)]
fn multiply<T: Sample, const C: usize, const S: usize>(source: &[T], out: &mut [f32]) {
    let (blocks, rest) = source.as_chunks::<S>();
    let (outs, out_rest) = out.as_chunks_mut::<S>();
    let (mut last, mut result) = ([T::default(); S], [0.0; S]);
    last[..rest.len()].copy_from_slice(rest);
    // One loop: the block is long where the compiler makes vectors of it.
    for (block, out) in blocks.iter().chain([&last]).zip(outs.iter_mut().chain([&mut result])) {
        multiply_block::<T, C, S>(block, out);
    }
    out_rest.copy_from_slice(&result[..rest.len()]);
}

#[inline(always)]
fn multiply_block<T: Sample, const C: usize, const S: usize>(source: &[T; S], out: &mut [f32; S]) {
    // Samples of 8 and 16 bits are `f32` values; their products are rounded once.
    let mut values = [0.0f32; S];
    for (value, sample) in values.iter_mut().zip(source) {
        *value = sample.to_f64() as f32;
    }
    let mut factors = [1.0f32; S];
    for pixel in (0..S).step_by(C) {
        for c in 0..C - 1 {
            factors[pixel + c] = values[pixel + C - 1];
        }
    }
    for i in 0..S {
        out[i] = values[i] * factors[i];
    }
}

/// Colours divided by alpha, and alpha, of such pixels; offset and post-step come after that. What is transparent has no
/// colour.
pub struct Unpremultiply<'a> {
    pub source: &'a [f32],
    pub channels: usize,
    pub opacity: Opacity,
    pub offset: f64,
    pub post: Post,
    /// As many samples.
    pub out: OutRow<'a>,
}

impl Job for Unpremultiply<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { source, channels, opacity, offset, post, out } = self;
        let division = Division { opacity, offset, absolute: post == Post::Abs };
        with_sample!(out.sample(), O => match channels {
            2 => division.row::<O, 2, { 2 * PIXELS }>(source, out.typed()),
            _ => division.row::<O, 4, { 4 * PIXELS }>(source, out.typed()),
        });
    }
}

#[derive(Clone, Copy)]
struct Division {
    opacity: Opacity,
    offset: f64,
    absolute: bool,
}

impl Division {
    #[inline(always)]
    fn row<O: Sample, const C: usize, const S: usize>(self, source: &[f32], out: &mut [O]) {
        let (blocks, rest) = source.as_chunks::<S>();
        let (outs, out_rest) = out.as_chunks_mut::<S>();
        let (mut last, mut result) = ([0.0; S], [O::default(); S]);
        last[..rest.len()].copy_from_slice(rest);
        for (block, out) in blocks.iter().chain([&last]).zip(outs.iter_mut().chain([&mut result])) {
            self.block::<O, C, S>(block, out);
        }
        out_rest.copy_from_slice(&result[..rest.len()]);
    }

    #[inline(always)]
    fn block<O: Sample, const C: usize, const S: usize>(self, source: &[f32; S], out: &mut [O; S]) {
        let Opacity { full, visible } = self.opacity;
        let (mut values, mut alphas) = (Block([0.0f64; S]), Block([0.0f64; S]));
        let (values, alphas) = (&mut values.0, &mut alphas.0);
        for (value, sample) in values.iter_mut().zip(source) {
            *value = f64::from(*sample);
        }
        for pixel in (0..S).step_by(C) {
            for c in 0..C {
                alphas[pixel + c] = values[pixel + C - 1];
            }
        }
        for i in 0..S {
            // NaN stays NaN.
            let alpha = alphas[i];
            let alpha = if alpha < 0.0 { 0.0 } else { alpha };
            let alpha = if alpha > full { full } else { alpha };
            let colour = values[i] / alpha + self.offset;
            let colour = if self.absolute { colour.abs() } else { colour };
            // Not where alpha is NaN either.
            values[i] = if alpha >= visible { colour } else { 0.0 };
            alphas[i] = alpha;
        }
        for pixel in (0..S).step_by(C) {
            values[pixel + C - 1] = alphas[pixel + C - 1];
        }
        for (out, value) in out.iter_mut().zip(values) {
            *out = O::from_f64(*value);
        }
    }
}

/// The alpha of other pixels, of as many samples.
pub struct KeepAlpha<'a, T> {
    pub source: &'a [T],
    pub channels: usize,
    pub out: OutRow<'a>,
}

impl<T: Sample> Job for KeepAlpha<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self { source, channels, out } = self;
        if out.sample() == T::TYPE {
            return match channels {
                2 => keep::<T, T, 2>(source, out.typed(), |alpha| alpha),
                _ => keep::<T, T, 4>(source, out.typed(), |alpha| alpha),
            };
        }
        with_sample!(out.sample(), O => {
            let round = |alpha: T| O::from_f64(alpha.to_f64());
            match channels {
                2 => keep::<T, O, 2>(source, out.typed(), round),
                _ => keep::<T, O, 4>(source, out.typed(), round),
            }
        });
    }
}

#[inline(always)]
fn keep<T: Sample, O: Sample, const C: usize>(source: &[T], out: &mut [O], round: impl Fn(T) -> O) {
    let (pixels, _) = source.as_chunks::<C>();
    let (outs, _) = out.as_chunks_mut::<C>();
    for (out, pixel) in outs.iter_mut().zip(pixels) {
        out[C - 1] = round(pixel[C - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleType;
    use crate::simd::Level;

    /// One pixel after the other, as the definition has it.
    fn plain(sums: &[f32], channels: usize, opacity: Opacity, offset: f64, post: Post) -> Vec<f64> {
        let pixels = sums.chunks_exact(channels).flat_map(|pixel| {
            let alpha = f64::from(pixel[channels - 1]).clamp(0.0, opacity.full);
            let colours = pixel[..channels - 1].iter().map(move |&sum| {
                let colour = f64::from(sum) / alpha + offset;
                let colour = if post == Post::Abs { colour.abs() } else { colour };
                if alpha >= opacity.visible { colour } else { 0.0 }
            });
            colours.chain([alpha]).collect::<Vec<_>>()
        });
        pixels.collect()
    }

    #[test]
    fn colours_are_multiplied_and_divided_as_pixel_by_pixel() {
        for level in Level::available() {
            for channels in [2, 4] {
                for pixels in [1, 3, 15, 16, 17, 40] {
                    let n = pixels * channels;
                    let source: Vec<u8> = (0..n).map(|i| (i * 97 % 256) as u8).collect();
                    let mut out = vec![0.0; n];
                    level.run(Premultiply { source: &source, channels, out: &mut out });
                    for (pixel, out) in source.chunks(channels).zip(out.chunks(channels)) {
                        let alpha = f32::from(pixel[channels - 1]);
                        for (s, o) in pixel.iter().zip(&out[..channels - 1]) {
                            assert_eq!(*o, f32::from(*s) * alpha);
                        }
                        assert_eq!(out[channels - 1], alpha);
                    }
                    for (i, alpha) in [-0.5, 0.2, f32::NAN, 300.0].into_iter().enumerate() {
                        if let Some(sample) = out.get_mut(i * 5 * channels + channels - 1) {
                            *sample = alpha;
                        }
                    }
                    for (offset, post) in [(0.0, Post::None), (-90.0, Post::Abs)] {
                        let opacity = Opacity::of(SampleType::U8);
                        let exact = plain(&out, channels, opacity, offset, post);
                        let rounded: Vec<u8> = exact.iter().map(|&v| u8::from_f64(v)).collect();
                        let mut got = vec![7u8; n];
                        let target = OutRow::new(&mut got);
                        let source = &out;
                        level.run(Unpremultiply {
                            source,
                            channels,
                            opacity,
                            offset,
                            post,
                            out: target,
                        });
                        assert_eq!(got, rounded, "{level}, {channels} channels");
                        let mut kept = got.clone();
                        let source: Vec<u8> = (0..n as u8).collect();
                        let out = OutRow::new(&mut kept);
                        level.run(KeepAlpha { source: &source, channels, out });
                        let mut wide = vec![0.5f32; n];
                        let out = OutRow::new(&mut wide);
                        level.run(KeepAlpha { source: &source, channels, out });
                        for i in 0..n {
                            let alpha = i % channels == channels - 1;
                            assert_eq!(kept[i], if alpha { source[i] } else { got[i] });
                            assert_eq!(wide[i], if alpha { f32::from(source[i]) } else { 0.5 });
                        }
                    }
                }
            }
        }
    }
}
