//! From `f32` results to samples: scaled or stretched to their range, and encoded where they are linear light.

use super::channels::Selection;
use super::clip::Clipping;
use super::light::{Code, encode};
use super::run::Store;
use twopass::{Error, Image, View, ViewMut};

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

/// How rows are mapped: by a table of codes, or along a line.
pub struct Marks<O> {
    code: Option<Code<O>>,
    /// What is taken from colours, and what they are then multiplied by.
    line: (f64, f64),
}

impl Map<'_> {
    /// The samples, and how many of each channel were cut off.
    pub fn image<O: Store>(&self, image: &Image<f32>) -> Result<(Image<O>, Clipping), Error> {
        let mut clipping = Clipping::new::<O>(image.shape().channels);
        let mut out = Image::new(image.shape())?;
        let mut marks = self.marks();
        if self.stretch {
            let colours = image.shape().channels - usize::from(self.alpha);
            marks.line = self.stretched(image, colours, O::FULL);
        }
        self.rows(&marks, image.view(), out.view_mut(), &mut clipping);
        Ok((out, clipping))
    }

    /// What is the same for all rows, unless they are stretched.
    pub fn marks<O: Store>(&self) -> Marks<O> {
        let plain = self.encoded && !self.stretch && self.offset == 0.0;
        Marks { code: Code::new().filter(|_| plain), line: (0.0, self.ratio) }
    }

    /// Some rows.
    pub fn rows<O: Store>(
        &self,
        marks: &Marks<O>,
        view: View<'_, f32>,
        mut out: ViewMut<'_, O>,
        clipping: &mut Clipping,
    ) {
        let channels = view.shape().channels;
        let colours = channels - usize::from(self.alpha);
        let (low, factor) = marks.line;
        for y in 0..view.shape().height {
            let (from, to) = (view.row(y), out.row_mut(y));
            if let Some(code) = &marks.code {
                from.iter().zip(&mut *to).for_each(|(from, to)| *to = code.of(*from));
                clipping.row(from, colours, code.beyond);
            } else {
                let pixels = from.chunks_exact(channels);
                for (from, to) in pixels.zip(to.chunks_exact_mut(channels)) {
                    for (c, (&v, to)) in from[..colours].iter().zip(to).enumerate() {
                        let v = (self.light(v) - low) * factor + self.offset;
                        clipping.count(c, v);
                        *to = O::from_f64(v);
                    }
                }
            }
            if self.alpha {
                // Alpha is no light.
                for (from, to) in from.iter().zip(to).skip(colours).step_by(channels) {
                    let v = f64::from(*from) * self.ratio;
                    clipping.count(colours, v);
                    *to = O::from_f64(v);
                }
            }
        }
    }

    fn light(&self, v: f32) -> f64 {
        if self.encoded { encode(v.into()) } else { f64::from(v) }
    }

    /// What is taken from colours so that they fill the range, and what they are then multiplied by.
    fn stretched(&self, image: &Image<f32>, colours: usize, full: f64) -> (f64, f64) {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for pixel in image.data().chunks_exact(image.shape().channels) {
            for (c, &v) in pixel[..colours].iter().enumerate() {
                if v.is_finite() && self.selection.as_ref().is_none_or(|s| s.has(c)) {
                    (low, high) = (low.min(v), high.max(v));
                }
            }
        }
        // The curve of light rises everywhere, so the ends stay the ends.
        match (self.light(low), self.light(high) - self.light(low)) {
            (low, range) if range > 0.0 => (low, full / range),
            // A flat result has nothing to stretch; it becomes black.
            (low, _) => (low, 0.0),
        }
    }
}
