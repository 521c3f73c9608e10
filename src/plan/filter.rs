//! The stage of one filter: the pass that does it, its arithmetic and what that proves, for one shape, one
//! pair of sample types and one instruction set.

use super::Pass;
use super::arithmetic::{Allowance, Proved, Transforms};
use super::runs::Sums;
use crate::error::Error;
use crate::filter::{Alpha, Filter, Method, Post};
use crate::geometry::Axis;
use crate::kernel::{Kernel, Separation};
use crate::pass::{Finish, STENCIL_ROWS};
use crate::reference::Opacity;
use crate::sample::SampleType;
use crate::simd::Level;
use crate::view::Shape;
use std::ops::Range;
use std::sync::OnceLock;

/// Instructions of a row of a tile that do not depend on its length.
pub(super) const ROW: f64 = 2000.0;

/// A filter as a stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FilterStage {
    pub filter: Filter,
    /// What it reads: under the kernel's taps, or where a pass reads more than those, all of it.
    pub axes: [Axis; 2],
    /// The input pixel under output pixel (0, 0) and the anchor.
    pub anchor: (usize, usize),
    pub input: Shape,
    pub output: Shape,
    /// What it reads and writes.
    pub types: (SampleType, SampleType),
    pub pass: Pass,
    pub arithmetic: Proved,
    pub finish: Finish,
    pub level: Level,
    /// What alpha means where colours are multiplied by it.
    pub opacity: Opacity,
    /// Whether rows are widened to `f32` first, because a border's constant is no sample of the source.
    pub widened: bool,
}

/// What was found out about a filter, be there a pass for it or not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FilterFacts {
    pub separations: Separations,
    pub method: Method,
    pub arithmetic: Proved,
    /// Multiplications per sample, where filter and method do not say.
    pub multiplications: Option<usize>,
    /// Whether it makes whole numbers of whole numbers, and all that it adds up is whole.
    pub whole: bool,
}

/// How a plan's kernels were separated, as far as it had to know; all of it when somebody asks.
#[derive(Debug, Clone)]
pub(crate) struct Separations {
    known: Vec<Separation>,
    whole: OnceLock<Vec<Separation>>,
}

impl Separations {
    pub(super) fn new(known: Vec<Separation>) -> Self {
        Self { known, whole: OnceLock::new() }
    }

    /// Those of the filter's kernels, whole.
    pub(super) fn of(&self, filter: &Filter) -> &[Separation] {
        if self.known.iter().all(Separation::rank_known) {
            return &self.known;
        }
        self.whole.get_or_init(|| filter.kernels().iter().map(Separation::of).collect())
    }
}

impl PartialEq for Separations {
    /// What was asked for makes no difference.
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known
    }
}

/// What the choice of a filter's pass depends on beside filter, shape and samples.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub level: Level,
    /// Whether multiply-adds may be fused: from `f32` to `f32`.
    pub fused: bool,
    pub opacity: Opacity,
    /// Whether `f32` sums are too coarse.
    pub precise: bool,
    /// Whether other stages follow or come before: its arithmetic is that of `f32` rows.
    pub chained: bool,
    /// Whether no sample that reaches it can be NaN or infinite.
    pub finite: bool,
    /// In a chain: how far off methods may make its results; without it, not at all.
    pub allowance: Option<Allowance>,
    pub transforms: Transforms,
}

impl FilterStage {
    /// What its passes read: samples of the source, or of rows that were changed first.
    pub fn reads(&self) -> SampleType {
        let changed = self.widened || self.filter.get_alpha() == Some(Alpha::Premultiply);
        if changed { SampleType::F32 } else { self.types.0 }
    }

    /// Columns of the input that lie under output columns `x` and their taps, on the endless axis.
    pub fn columns(&self, x: Range<usize>) -> Range<isize> {
        self.axes[0].under(x)
    }

    /// The same for rows.
    pub fn rows(&self, y: Range<usize>) -> Range<isize> {
        self.axes[1].under(y)
    }

    /// The row of the image that stands for row `v` of the endless axis; `None` is the constant.
    #[inline]
    pub fn image_row(&self, v: isize) -> Option<usize> {
        self.axes[1].map(v)
    }

    /// Rows in the window of as many output rows as are computed together.
    pub fn window_rows(&self) -> usize {
        let together = match self.pass {
            Pass::Stencil(_) => STENCIL_ROWS,
            _ => super::BLOCK_ROWS,
        };
        self.axes[1].taps + together - 1
    }

    /// Gives it, and what it is made of, another shape, which nothing else depends on.
    pub fn reshape(&mut self, input: Shape) -> Result<(), Error> {
        if let Pass::Terms(terms) = &mut self.pass {
            for term in &mut terms.stages {
                term.stage.reshape(input)?;
            }
        }
        self.axes = self.pass.axes(&self.filter, input);
        self.output = self.filter.output_shape(input)?;
        self.input = input;
        Ok(())
    }

    /// Multiplications per output sample.
    pub fn multiplications(&self) -> usize {
        let counted = self.pass.multiplications();
        counted.unwrap_or_else(|| multiplications(&self.filter, self.pass.method()))
    }

    /// Whether what a strip's first rows add up is kept up to date from row to row: the fewer strips, the better.
    pub fn keeps(&self) -> bool {
        match &self.pass {
            Pass::Running(_) | Pass::RowFirst(_) | Pass::Multirate(_) | Pass::Fft(_) => true,
            Pass::Runs(runs) => runs.sums == Sums::Kept,
            Pass::Terms(terms) => terms.stages.iter().any(|term| term.stage.keeps()),
            _ => false,
        }
    }

    /// What is made anew at the start of a tile, and of a strip: columns and rows of the output that cost as much.
    /// From counted instructions (AVX2, regions of 4K images).
    pub fn starts(&self) -> [f64; 2] {
        let kernel = &self.filter.kernels()[0];
        let [width, height] = [kernel.width() as f64, kernel.height() as f64];
        // Columns of the window for each of a tile's rows, and rows of it for a strip: shares of what an output costs.
        let (around, above) = match &self.pass {
            Pass::Terms(terms) => {
                let all = terms.stages.iter().map(|term| term.stage.starts());
                return all.fold([0.0; 2], |[x, y], [u, v]| [x.max(u), y.max(v)]);
            }
            // A chunk is made of whole blocks.
            Pass::Fft(_) => return [0.0; 2],
            Pass::Multirate(_) => (0.9, 0.52),
            Pass::Running(_) => (0.4, 0.13),
            Pass::Blocks(_) => (0.4, 0.07),
            Pass::RowFirst(_) => (0.4, 0.5),
            Pass::Runs(runs) if runs.sums == Sums::Kept => (0.1, 0.47),
            Pass::Runs(_) | Pass::Dense(_) => (0.0, 0.0),
            Pass::Separable(_) | Pass::WithIdentity(..) | Pass::Stencil(_) => (0.4, 0.0),
        };
        [ROW / self.pixel() + around * (width - 1.0), above * height]
    }

    /// Instructions of an output pixel, about.
    pub fn pixel(&self) -> f64 {
        let sample =
            (3.0 + 0.22 * self.multiplications() as f64) * self.reads().bytes().min(2) as f64;
        sample * self.input.channels as f64
    }

    /// Results across and down that are best made together, from the image's first on.
    pub fn block(&self) -> [usize; 2] {
        match &self.pass {
            Pass::Fft(fft) => fft.results,
            _ => [1, 1],
        }
    }

    /// Whether it adds up windows of equal taps, from sums that neighbours share.
    pub fn sums(&self) -> bool {
        matches!(self.pass, Pass::Running(_) | Pass::Blocks(_))
    }

    /// What is done to rows, first to last.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let count = if self.filter.kernels().len() == 2 { "two kernels, " } else { "" };
        let kernel = &self.filter.kernels()[0];
        let (width, height) = (kernel.width(), kernel.height());
        if self.filter.get_alpha() == Some(Alpha::Premultiply) {
            lines.push("multiply colour by alpha, in f32".to_owned());
        } else if self.widened {
            lines.push("widen to f32, for the border's constant".to_owned());
        }
        match &self.pass {
            Pass::Separable(_) => {
                lines.push(format!("column pass: {count}{height} taps, rows into a scratch row"));
                lines.push(format!("row pass: {count}{width} taps, scratch row into output"));
            }
            Pass::WithIdentity(..) => {
                let times = identity(kernel) * self.filter.get_scale();
                lines.push(format!("column pass: {height} taps, rows into a scratch row"));
                lines.push(format!(
                    "row pass: {width} taps and {times} × the image, scratch row into output"
                ));
            }
            Pass::RowFirst(_) => {
                lines.push(format!("row pass: {width} taps, two rows into one of pairs"));
                lines.push(format!("column pass: {height} taps, rows of pairs into output"));
            }
            Pass::Stencil(kernels) => lines.push(match kernels[0].is_product() {
                true => {
                    format!(
                        "row and column pass in one: {count}{width} and {height} taps, in registers"
                    )
                }
                false => {
                    format!("dense pass: {count}{width}×{height} taps, in registers")
                }
            }),
            Pass::Blocks(_) => {
                lines.push(format!("column sums: {height} rows, four windows together"));
                lines.push(format!("row sums: {width} columns, of sums of fewer"));
            }
            Pass::Running(_) => {
                lines.push(format!("column sums: {height} rows, one added and one taken away"));
                lines.push(format!("row sums: {width} columns, by prefix sums"));
            }
            Pass::Terms(terms) => lines.extend(terms.describe()),
            Pass::Multirate(pass) => lines.extend(pass.describe()),
            Pass::Fft(fft) => lines.extend(fft.describe()),
            Pass::Runs(runs) => lines.extend(runs.describe()),
            Pass::Dense(_) => {
                lines.push("widen: each row once".to_owned());
                lines.push(format!("dense pass: {count}{width}×{height} taps"));
            }
        }
        match self.filter.get_post() {
            Post::Abs => lines.push("absolute value".to_owned()),
            Post::Magnitude => lines.push("magnitude √(x² + y²)".to_owned()),
            _ => {}
        }
        match self.filter.get_alpha() {
            Some(Alpha::Premultiply) => lines.push("divide colour by alpha".to_owned()),
            Some(Alpha::Keep) => lines.push("copy alpha".to_owned()),
            _ => {}
        }
        lines
    }
}

/// Multiplications of a column and a row of so many taps: of one pass, where the other has a single tap.
pub(super) fn of_passes(column: usize, row: usize) -> usize {
    if column.min(row) == 1 { column * row } else { column + row }
}

/// The input pixel under output pixel (0, 0) and the anchor of a filter's kernels.
pub(super) fn under_anchor(filter: &Filter, input: Shape) -> (usize, usize) {
    let ([x, y], anchor) = (filter.axes(input), filter.kernels()[0].anchor());
    (anchor.0 - x.before, anchor.1 - y.before)
}

/// Multiplications per output sample of a filter: taps as they are written, of all its kernels.
pub(super) fn multiplications(filter: &Filter, method: Method) -> usize {
    let kernels = filter.kernels();
    match method {
        Method::Separable => kernels.iter().map(|k| of_passes(k.height(), k.width())).sum(),
        Method::Terms => kernels.iter().map(of_terms).sum(),
        _ => kernels.iter().map(|k| k.taps().len()).sum(),
    }
}

/// Multiplications of a kernel's terms for each sample: those of both passes, or of the taps of what is no product.
pub(super) fn of_terms(kernel: &Kernel) -> usize {
    let of = |term: &Kernel| match term.factors() {
        Some((column, row)) => of_passes(column.len(), row.len()),
        None => term.taps().len(),
    };
    kernel.terms().iter().map(of).sum()
}

/// How many times a kernel has the pixel under its anchor as a term of its own.
pub(super) fn identity(kernel: &Kernel) -> f64 {
    kernel.terms().iter().filter(|term| term.taps().len() == 1).map(|term| term.taps()[0]).sum()
}
