//! `Plan`: how a filter will be done, for one shape, one pair of sample types and one
//! instruction set. Plain data.

use crate::error::Error;
use crate::filter::{Filter, Method};
use crate::kernel::Separation;
use crate::reference;
use crate::sample::{Sample, Source};
use crate::simd::Level;
use crate::view::{Rect, Shape, View, ViewMut};
use std::fmt;
use std::marker::PhantomData;

/// The scratch memory that a plan needs, kept between runs.
#[derive(Debug, Default)]
pub struct Workspace {}

impl Workspace {
    /// An empty workspace; the first run sizes it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// How a filter will be done on images of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<I, O> {
    filter: Filter,
    input: Shape,
    output: Shape,
    separations: Vec<Separation>,
    types: PhantomData<fn(I) -> O>,
}

impl Filter {
    /// Plans this filter for images of shape `input`.
    pub fn plan<I: Source, O: Sample>(&self, input: Shape) -> Result<Plan<I, O>, Error> {
        Ok(Plan {
            filter: self.clone(),
            input,
            output: reference::output_shape(self, input)?,
            separations: self.kernels().iter().map(Separation::of).collect(),
            types: PhantomData,
        })
    }
}

impl<I: Source, O: Sample> Plan<I, O> {
    /// The shape of the images it filters.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// The shape of the results.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// The method chosen; never `Auto`.
    #[must_use]
    pub fn method(&self) -> Method {
        Method::Naive
    }

    /// The instruction set.
    #[must_use]
    pub fn level(&self) -> Level {
        self.filter.get_level().unwrap_or_else(Level::detect)
    }

    /// How many workers a run will use at most.
    #[must_use]
    pub fn threads(&self) -> usize {
        1
    }

    /// The stages, one line each, first to last.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        vec!["reference in f64".to_owned()]
    }

    /// The arithmetic, its error bound and why it cannot overflow, in a line.
    #[must_use]
    pub fn arithmetic(&self) -> String {
        "f64".to_owned()
    }

    /// Largest distance of a result before rounding from the reference's, in output units, for
    /// integer images; for `f32` images per unit of input range.
    #[must_use]
    pub fn error_bound(&self) -> f64 {
        0.0
    }

    /// How each kernel was separated; two for a magnitude.
    #[must_use]
    pub fn separations(&self) -> &[Separation] {
        &self.separations
    }

    /// Multiplications per output sample: taps as written, before folding or zero skipping.
    #[must_use]
    pub fn multiplications_per_pixel(&self) -> usize {
        self.naive_multiplications_per_pixel()
    }

    /// The same for plain 2D filtering: kernel width × height, for each kernel.
    #[must_use]
    pub fn naive_multiplications_per_pixel(&self) -> usize {
        self.filter.kernels().iter().map(|k| k.taps().len()).sum()
    }

    /// Filters `source` into `out`. A second run with the same workspace allocates nothing.
    pub fn run(
        &self,
        source: View<'_, I>,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        self.run_region(source, (0, 0), self.output.rect(), out, workspace)
    }

    /// Filters just the output rectangle `rect`. `part` holds at least
    /// [`input_region(rect)`](Self::input_region), its top left pixel being `origin` in the whole image.
    pub fn run_region(
        &self,
        part: View<'_, I>,
        origin: (usize, usize),
        rect: Rect,
        mut out: ViewMut<'_, O>,
        _workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let exact = reference::region(&self.filter, self.input, part, origin, rect)?;
        let row = out.shape().row();
        for (y, values) in exact.chunks_exact(row).enumerate() {
            for (o, v) in out.row_mut(y).iter_mut().zip(values) {
                *o = O::from_f64(*v);
            }
        }
        Ok(())
    }
}

impl<I: Source, O: Sample> fmt::Display for Plan<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "method: {}", self.method())
    }
}
