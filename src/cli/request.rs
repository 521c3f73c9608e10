//! What the user asks for, apart from the pixels: stages, ranges, what is filtered, and what is reported.

use super::blend::Mask;
use super::channels::Selection;
use super::failure::Failure;
use super::kernel::{self, Stage};
use super::mix::Form;
use super::text::number;
use image::metadata::Orientation;
use std::sync::Arc;
use twopass::{
    Alpha, Chain, Filter, Kernel, Level, Plan, Post, Range, Rect, Sample, Shape, Source,
};

/// What to do, apart from the pixels.
pub struct Request {
    /// The stages. Filters have border, method, level and threads, and the alpha handling of an
    /// image that has alpha; the last one scale and offset as the user gave them.
    pub chain: Vec<Stage>,
    /// Scale and offset, for a last stage that is no filter.
    pub scale: f64,
    pub offset: f64,
    /// The channels of the input.
    pub form: Form,
    pub level: Option<Level>,
    /// Of all stages together; 0 is all there are.
    pub threads: usize,
    /// Path of the input, for reports.
    pub path: Option<String>,
    pub range: Range,
    /// Whether it is said that many samples are clipped, and whether taps are divided by their sum already.
    pub warns: bool,
    pub normalized: bool,
    /// Whether light is made linear.
    pub linear: bool,
    /// The channels that are filtered, if not all.
    pub channels: Option<Selection>,
    /// The part of the output that is filtered, if not all.
    pub region: Option<Rect>,
    /// What the result is blended with the input by.
    pub mask: Option<Arc<Mask>>,
    /// How what is filtered is to be turned to be upright: the mask lies on it as both are shown.
    pub orientation: Orientation,
    pub threshold: Option<Threshold>,
    pub explain: bool,
    /// Whether terms are explained too.
    pub terms: bool,
    pub verify: bool,
    /// Runs to time.
    pub bench: Option<u32>,
    /// Whether plain 2D filtering is timed too.
    pub naive: bool,
}

/// The result stands only where the picture differs from its blur by more than that.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    /// In units of the input's samples.
    pub levels: f64,
    /// How many times the difference from the blur is added to the picture.
    pub amount: f64,
}

/// What is planned.
pub enum Operation<'a> {
    /// A filter, by its name.
    One(&'a str, Box<Filter>),
    Chain(Chain),
}

impl Operation<'_> {
    pub fn plan<I: Source, O: Sample>(&self, shape: Shape) -> Result<Plan<I, O>, twopass::Error> {
        match self {
            Self::One(_, filter) => filter.plan(shape),
            Self::Chain(chain) => chain.plan(shape),
        }
    }
}

impl Request {
    /// The pixel of the input that lies under the output's first.
    pub fn origin(&self) -> (usize, usize) {
        let origins = self.chain.iter().map(Stage::origin);
        origins.fold((0, 0), |at, shift| (at.0 + shift.0, at.1 + shift.1))
    }

    /// The channels of the output.
    pub fn result(&self) -> Result<Form, Failure> {
        self.chain.iter().try_fold(self.form, |form, stage| stage.form(form))
    }

    /// Whether all results have to be there before they become samples.
    pub fn waits(&self) -> bool {
        self.threshold.is_some() || self.verify || self.bench.is_some()
    }

    /// Whether the last stage treats alpha apart, so that it is not scaled like colour.
    pub fn alpha_apart(&self) -> bool {
        let last = self.chain.last().and_then(Stage::filter).and_then(Filter::get_alpha);
        matches!(last, Some(Alpha::Premultiply | Alpha::Keep))
    }

    /// The offset that the user gave.
    pub fn given_offset(&self) -> f64 {
        let last = self.chain.last().and_then(Stage::filter);
        last.map_or(self.offset, Filter::get_offset)
    }

    /// Whether results are derivatives, by their magnitude.
    pub fn shows_edges(&self) -> bool {
        let magnitude = |f: &Filter| f.get_post() == Post::Magnitude;
        let last = self.chain.last().and_then(|stage| stage.filter());
        self.range == Range::Abs || last.is_some_and(magnitude)
    }

    /// Whether results can lie outside of the range of the samples: not where they are means of them.
    pub fn may_clip(&self) -> bool {
        let mut gain = 1.0;
        for stage in &self.chain {
            match stage.filter() {
                Some(filter) if !filter.has_negative_tap() && filter.get_scale() >= 0.0 => {
                    gain *= filter.kernels()[0].sum() * filter.get_scale();
                    if filter.get_offset() != 0.0 {
                        return true;
                    }
                }
                _ => return true,
            }
        }
        gain > 1.0 + 1e-6 || self.range != Range::Clamp
    }

    /// The flag that helps where many samples are cut off.
    pub fn advice(&self, above: bool) -> String {
        let filters: Option<Vec<&Filter>> = self.chain.iter().map(|stage| stage.filter()).collect();
        let signed = |f: &&Filter| f.kernels().iter().all(Kernel::is_zero_sum);
        let gain = |f: &Filter| kernel::gain(&f.kernels()[0]) * f.get_scale();
        let factors = filters.iter().flatten().map(|f| gain(f));
        let all: f64 = factors.product();
        if self.threshold.is_some() {
            return "a smaller --amount sharpens less".to_owned();
        }
        match filters {
            Some(filters) if filters.iter().any(signed) => match self.range {
                Range::Clamp if !above => "--range offset shows 0 as mid-grey, --range abs magnitudes".to_owned(),
                _ if self.normalized => "--range stretch fits results into the range".to_owned(),
                _ => "--normalize divides the taps by the sum of their magnitudes, --range stretch fits results into \
                      the range"
                    .to_owned(),
            },
            Some(_) if above && !self.normalized && all > 1.01 => {
                format!("the taps add up to {}, and --normalize divides them by that", number(all))
            }
            Some(_) if !above && !self.normalized && all < -0.01 => {
                format!("the taps add up to {}, and --normalize divides them by that", number(all))
            }
            _ => "--range stretch fits results into the range".to_owned(),
        }
    }
}
