//! From `f32` results to samples: scaled or stretched to their range, and encoded where they are linear light.

use crate::any_view::Source;
use crate::light::{self, Code};
use crate::sample::{Sample, SampleType};
use crate::view::{View, ViewMut};

/// How many results did not fit the samples and were cut off, by channel.
///
/// ```
/// use twopass::{Filter, Image, Kernel, Mapping, Shape, Workspace};
///
/// let photo = Image::from_vec(vec![100u8, 200], Shape::new(2, 1, 1))?;
/// let brighter = Filter::new(Kernel::identity()).scale(2.0);
/// let plan = Mapping::new().linear().plan::<u8, u8>(brighter, photo.shape())?;
/// let mut out = Image::new(photo.shape())?;
/// let clipping = plan.run(photo.view(), out.view_mut(), &mut Workspace::new())?.expect("counted");
/// assert_eq!(clipping.counts(), [(0, 1)]); // none below 0, one above full scale
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clipping {
    /// Above full scale.
    full: u64,
    counts: Vec<(u64, u64)>,
}

impl Clipping {
    /// Of samples `O`, in pixels of so many channels.
    #[must_use]
    pub fn new<O: Sample>(channels: usize) -> Self {
        Self { full: O::FULL as u64, counts: vec![(0, 0); channels] }
    }

    /// Looks at a result of channel `c`, in units of the samples, before it is rounded. (With `f32` in the way, the last
    /// digit of a half may go either way.) Panics if there is no such channel, as slices do.
    #[inline]
    pub fn count(&mut self, c: usize, v: f64) {
        let (below, above) = &mut self.counts[c];
        *below += u64::from(v < -0.5);
        *above += u64::from(v >= self.full as f64 + 0.5);
    }

    /// For each channel, how many were below 0, and how many above full scale.
    #[must_use]
    pub fn counts(&self) -> &[(u64, u64)] {
        &self.counts
    }

    /// Looks at a row of results: the first `colours` channels of each pixel, which are cut off below the first limit
    /// and from the second on.
    fn row(&mut self, row: &[f32], colours: usize, (low, high): (f32, f32)) {
        // Most rows have none, which is found out quickly.
        if !row.iter().fold(false, |any, v| any | (*v < low) | (*v >= high)) {
            return;
        }
        for pixel in row.chunks_exact(self.counts.len()) {
            for (v, (below, above)) in pixel[..colours].iter().zip(&mut self.counts) {
                *below += u64::from(*v < low);
                *above += u64::from(*v >= high);
            }
        }
    }
}

/// How `f32` results in units of what is filtered become samples.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    /// Of the output's full scale to that of the results.
    ratio: f64,
    /// Added to colours at the end.
    offset: f64,
    /// Whether the last channel is alpha, which is multiplied by the ratio and no more.
    alpha: bool,
    /// Whether light is encoded.
    encoded: bool,
    /// Whether colours are stretched to the full range; and the channels that count for that, if not all.
    stretched: Option<Option<Vec<bool>>>,
    /// For light that is encoded and no more.
    code: Option<Code>,
}

/// What is taken from colours, and what they are then multiplied by.
type Line = (f64, f64);

impl Encoder {
    pub(super) fn new<O: Source>(
        ratio: f64,
        offset: f64,
        alpha: bool,
        encoded: bool,
        stretched: Option<Option<Vec<bool>>>,
    ) -> Self {
        let plain = encoded && stretched.is_none() && offset == 0.0;
        let code = (plain && O::TYPE != SampleType::F32).then(|| Code::new(O::FULL));
        Self { ratio, offset, alpha, encoded, stretched, code }
    }

    /// Whether results are the samples already.
    pub(super) fn copies<O: Source>(&self) -> bool {
        O::TYPE == SampleType::F32
            && self.stretched.is_none()
            && (self.ratio, self.offset) == (1.0, 0.0)
    }

    pub(super) fn stretches(&self) -> bool {
        self.stretched.is_some()
    }

    /// All results at once.
    pub(super) fn all<O: Source>(
        &self,
        results: View<'_, f32>,
        mut out: ViewMut<'_, O>,
        clipping: &mut Clipping,
    ) {
        let line = match &self.stretched {
            Some(channels) => self.stretch(results, channels.as_deref(), O::FULL),
            None => self.line(),
        };
        self.rows(line, results, &mut out, 0, clipping);
    }

    /// Where nothing is stretched.
    pub(super) fn line(&self) -> Line {
        (0.0, self.ratio)
    }

    /// Some rows, from row `top` of the output on.
    pub(super) fn rows<O: Source>(
        &self,
        (low, factor): Line,
        results: View<'_, f32>,
        out: &mut ViewMut<'_, O>,
        top: usize,
        clipping: &mut Clipping,
    ) {
        let channels = results.shape().channels;
        let colours = channels - usize::from(self.alpha);
        for y in 0..results.shape().height {
            let (from, to) = (results.row(y), out.row_mut(top + y));
            if let Some(code) = &self.code {
                from.iter().zip(&mut *to).for_each(|(from, to)| *to = O::of_code(code.of(*from)));
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
        if self.encoded { light::encode(v.into()) } else { f64::from(v) }
    }

    /// What is taken from colours so that they fill the range, and what they are then multiplied by.
    fn stretch(&self, results: View<'_, f32>, chosen: Option<&[bool]>, full: f64) -> Line {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        let channels = results.shape().channels;
        let colours = channels - usize::from(self.alpha);
        let counts = |c: usize| chosen.is_none_or(|chosen| chosen.get(c).is_some_and(|c| *c));
        for y in 0..results.shape().height {
            for pixel in results.row(y).chunks_exact(channels) {
                for (c, &v) in pixel[..colours].iter().enumerate() {
                    if v.is_finite() && counts(c) {
                        (low, high) = (low.min(v), high.max(v));
                    }
                }
            }
        }
        // The curve of light rises everywhere, so the ends stay the ends.
        match (self.light(low), self.light(high) - self.light(low)) {
            (low, range) if range > 0.0 => (low, full / range),
            // A flat result has nothing to stretch; it becomes black.
            _ => (0.0, 0.0),
        }
    }
}
