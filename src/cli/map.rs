//! From `f32` results to samples: scaled or stretched to their range, and encoded where they are linear light.

use super::channels::Selection;
use super::clip::Clipping;
use super::light::{Code, encode};
use super::run::Store;
use twopass::{Error, Image};

/// How `f32` results in units of the input become samples.
pub struct Map<'a> {
    /// Of the output's full scale to the input's.
    pub ratio: f64,
    /// Added to colours at the end.
    pub offset: f64,
    /// Whether the last channel is alpha, which is multiplied by the ratio and no more.
    pub alpha: bool,
    /// Whether colours are stretched to the full range.
    pub stretch: bool,
    /// Whether light is encoded.
    pub encoded: bool,
    /// The channels that count for the range.
    pub selection: &'a Option<Selection>,
}

impl Map<'_> {
    /// The samples, and how many of each channel were cut off.
    pub fn image<O: Store>(&self, image: &Image<f32>) -> Result<(Image<O>, Clipping), Error> {
        let shape = image.shape();
        let colours = shape.channels - usize::from(self.alpha);
        let mut clipping = Clipping::new::<O>(shape.channels);
        let mut out = Image::new(shape)?;
        let plain = self.encoded && !self.stretch && self.offset == 0.0;
        if let Some(code) = Code::<O>::new().filter(|_| plain) {
            self.encode(&code, image, &mut out, &mut clipping);
            return Ok((out, clipping));
        }
        let light = |v: f32| if self.encoded { encode(v.into()) } else { f64::from(v) };
        let (low, factor) = self.line(image, colours, O::FULL, light);
        let mut rows = out.view_mut();
        for y in 0..shape.height {
            let from = image.view().row(y).chunks_exact(shape.channels);
            for (from, to) in from.zip(rows.row_mut(y).chunks_exact_mut(shape.channels)) {
                for (c, (&v, to)) in from.iter().zip(to).enumerate() {
                    let v = if c < colours {
                        (light(v) - low) * factor + self.offset
                    } else {
                        f64::from(v) * self.ratio
                    };
                    clipping.count(c, v);
                    *to = O::from_f64(v);
                }
            }
        }
        Ok((out, clipping))
    }

    /// Light as codes, by tables.
    fn encode<O: Store>(
        &self,
        code: &Code<O>,
        image: &Image<f32>,
        out: &mut Image<O>,
        clipping: &mut Clipping,
    ) {
        let shape = image.shape();
        let (view, mut out) = (image.view(), out.view_mut());
        for y in 0..shape.height {
            let (from, to) = (view.row(y), out.row_mut(y));
            if self.alpha {
                let pixels = from.chunks_exact(shape.channels);
                for (from, to) in pixels.zip(to.chunks_exact_mut(shape.channels)) {
                    for (from, to) in from.iter().zip(&mut *to) {
                        *to = code.of(*from);
                    }
                    // Alpha is no light.
                    if let (Some(from), Some(to)) = (from.last(), to.last_mut()) {
                        *to = O::from_f64(f64::from(*from) * self.ratio);
                    }
                }
            } else {
                for (from, to) in from.iter().zip(to) {
                    *to = code.of(*from);
                }
            }
            let colours = shape.channels - usize::from(self.alpha);
            clipping.row(from, colours, code.beyond);
            if self.alpha {
                for v in from.iter().skip(colours).step_by(shape.channels) {
                    clipping.count(colours, f64::from(*v) * self.ratio);
                }
            }
        }
    }

    /// What is taken from colours, and what they are then multiplied by.
    fn line(
        &self,
        image: &Image<f32>,
        colours: usize,
        full: f64,
        light: impl Fn(f32) -> f64,
    ) -> (f64, f64) {
        if !self.stretch {
            return (0.0, self.ratio);
        }
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for pixel in image.data().chunks_exact(image.shape().channels) {
            for (c, &v) in pixel[..colours].iter().enumerate() {
                if v.is_finite() && self.selection.as_ref().is_none_or(|s| s.has(c)) {
                    (low, high) = (low.min(v), high.max(v));
                }
            }
        }
        // The curve of light rises everywhere, so the ends stay the ends.
        match (light(low), light(high) - light(low)) {
            (low, range) if range > 0.0 => (low, full / range),
            // A flat result has nothing to stretch; it becomes black.
            (low, _) => (low, 0.0),
        }
    }
}
