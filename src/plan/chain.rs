//! `ChainPlan`: how a chain of layers will be done, for one shape and one instruction set: the
//! fused segments it is cut into, their packed weights, tiles and strips. Plain data; the executor
//! in `exec/chain` follows it.
//!
//! A segment is what one walk over the image does: a layer with a window, or none, and the
//! pointwise layers after it, which read its rows while they are in the first-level cache. Layers
//! of stride 1 on images of few channels join the segment of what comes before them, as its links
//! do: what they read is made row by row, and again where tiles and strips meet. Between segments
//! the whole map lies in the workspace.
//!
//! Chains of nothing but image filters are planned filter by filter (`images`); where it can be, the
//! rows between those of `u8` images are 16-bit integers. Where boxes among them are large, each filter runs
//! alone (`apart`).
//!
//! All other rows are `f32`. For integer images nothing is fused, so that all levels give the same bytes,
//! and the error is bounded layer after layer; where it might show, filters sum in `f64`, and if
//! that is not enough either the reference does the work.

mod apart;
mod build;
mod images;
mod proof;
mod segment;

use build::{Builder, borders};
pub(crate) use images::Images;
use segment::INLINE_WORK;
pub(crate) use segment::{
    FilterStage, Link, MixStage, Segment, StageAlpha, WindowKind, WindowStage,
};

use super::arithmetic::Rung;
use super::{Core, check_constants};
use crate::error::Error;
use crate::exec::{self, Workspace};
use crate::filter::Method;
use crate::kernel::Separation;
use crate::layer::{Activation, Chain, Layer};
use crate::pass::ColourWeights;
use crate::reference::Opacity;
use crate::sample::{Sample, SampleType, Source};
use crate::simd::Level;
use crate::view::{AnyViewMut, Rect, Shape, View, ViewMut, check_part};
use proof::{FilterFacts, Proof, keeps_constants};
use std::fmt;
use std::marker::PhantomData;

/// How a chain of layers will be done on images of one shape, from samples `I` to samples `O`.
///
/// Plans are values: they can be printed, compared, cloned, and used for every image of that
/// shape.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainPlan<I, O> {
    core: ChainCore,
    types: PhantomData<fn(I) -> O>,
}

/// A plan without its sample types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChainCore {
    pub chain: Chain,
    pub input: Shape,
    pub output: Shape,
    pub level: Level,
    pub segments: Vec<Segment>,
    /// For `u8` to `u8` through one pointwise layer of few channels, where 16-bit weights keep the
    /// contract.
    pub colour: Option<ColourWeights>,
    /// For one segment of nothing but image filters.
    pub images: Option<Images>,
    /// For image filters of which one is much faster alone: each filter, over whole images.
    pub apart: Option<Vec<Core>>,
    /// Whether single precision cannot keep the contract: the reference does the work.
    pub exact: bool,
    /// Whether multiply-adds may be fused: from `f32` to `f32`.
    pub fused: bool,
    /// What is known of the filters, in order.
    filters: Vec<FilterFacts>,
    /// Proved for integer samples.
    bound: Option<f64>,
}

impl Chain {
    /// Plans this chain for images of shape `input`.
    ///
    /// Border constants, biases and offsets are in units of the source's samples; nothing between
    /// the layers is rounded or cut off, and integer results are rounded once, at the end.
    ///
    /// Errors: an empty or too large shape, here or between layers; other channels than a layer
    /// takes; an image smaller than a layer's window; a border constant beyond `f32`; what
    /// [`Filter::plan`](crate::Filter::plan) says of a filter.
    pub fn plan<I: Source, O: Sample>(&self, input: Shape) -> Result<ChainPlan<I, O>, Error> {
        let types = (I::TYPE, O::TYPE);
        let core = ChainCore::new(self, input, types, Opacity::of::<I>())?;
        Ok(ChainPlan { core, types: PhantomData })
    }
}

/// What one walk over an image does.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    Segment(&'a Segment),
    /// A filter alone.
    Filter(&'a Core),
}

impl Step<'_> {
    pub fn input(&self) -> Shape {
        match self {
            Self::Segment(segment) => segment.input,
            Self::Filter(filter) => filter.input,
        }
    }

    pub fn output(&self) -> Shape {
        match self {
            Self::Segment(segment) => segment.output,
            Self::Filter(filter) => filter.output,
        }
    }

    pub fn input_region(&self, rect: Rect) -> Rect {
        match self {
            Self::Segment(segment) => segment.input_region(rect),
            Self::Filter(filter) => filter.input_region(rect),
        }
    }
}

/// What errors before rounding must stay below, so that results are off by 1 at most.
const ALLOWED: f64 = 1.0;
/// And where a constant image must stay constant.
const ALLOWED_OF_CONSTANTS: f64 = 0.5;

impl ChainCore {
    fn new(
        chain: &Chain,
        input: Shape,
        types: (SampleType, SampleType),
        opacity: Opacity,
    ) -> Result<Self, Error> {
        let output = chain.output_shape(input)?;
        let level = chain.get_level().unwrap_or_else(Level::detect);
        let float = |sample| sample == SampleType::F32;
        let fused = float(types.0) && float(types.1);
        for border in chain.layers().iter().flat_map(borders) {
            check_constants(border, types.0)?;
        }
        // What the first layer's borders read must be what its rows hold.
        let mut samples = true;
        for border in chain.layers().first().map(borders).unwrap_or_default() {
            samples &= check_constants(border, types.0)?;
        }
        let filters = chain.layers().iter().filter_map(|layer| match layer {
            Layer::Filter(filter) => Some(filter.kernels().iter().map(Separation::of).collect()),
            _ => None,
        });
        let mut builder = Builder {
            chain,
            separations: filters.collect(),
            level,
            fused,
            opacity,
            precise: false,
            segments: Vec::new(),
            filters: Vec::new(),
        };
        let mut exact = !builder.build(input)?;
        let mut bound = None;
        let mut words = None;
        if !float(types.0) {
            let keeps = chain.layers().iter().all(keeps_constants);
            let allowed = |p: &Proof| {
                if p.whole || keeps { ALLOWED_OF_CONSTANTS } else { ALLOWED }
            };
            // Where colours are divided by alpha, that is the error under full alpha.
            let shows = |p: &Proof| !float(types.1) && (p.error.is_nan() || p.error >= allowed(p));
            let mut proof = Proof::of(chain, (types.0, opacity.full), &builder.filters);
            if !exact && shows(&proof) && !builder.filters.is_empty() {
                builder.precise = true;
                exact = !builder.build(input)?;
                proof = Proof::of(chain, (types.0, opacity.full), &builder.filters);
            }
            exact |= shows(&proof);
            bound = proof.bounded.then_some(proof.error);
            words = Some((allowed(&proof), proof.whole));
        }
        let mut images = match builder.segments.as_slice() {
            [only] if !exact && samples => Images::floats(&builder, only, types),
            _ => None,
        };
        if types.0 == SampleType::U8
            && !float(types.1)
            && let (Some(floats), Some((allowed, whole))) = (&images, words)
            && let Some(words) = floats.words(allowed, whole)
        {
            bound = words.bound;
            images = Some(words);
        }
        let mut apart = None;
        if images.is_some()
            && let Some(alone) = apart::apart(&builder, input, types)
        {
            let facts = apart::facts(&alone, opacity.full);
            let proof = Proof::of(chain, (types.0, opacity.full), &facts);
            let keeps = chain.layers().iter().all(keeps_constants);
            let allowed = if keeps { ALLOWED_OF_CONSTANTS } else { ALLOWED };
            if float(types.0) || float(types.1) || proof.error < allowed {
                bound = (!float(types.0)).then_some(proof.error);
                (apart, images, builder.filters) = (Some(alone), None, facts);
            }
        }
        let Builder { mut segments, filters, .. } = builder;
        // Rows of integers are widened once, for all windows that they lie under.
        if let Some(first) = segments.first_mut()
            && !float(types.0)
            && images.is_none()
            && first.window.is_some()
            && first.links.first().is_none_or(|link| link.window.is_some())
        {
            let channels = first.input.channels;
            first.links.insert(0, Link { window: None, mixes: Vec::new(), channels });
        }
        for segment in &mut segments {
            match &images {
                Some(images) => images.choose_tiles(segment),
                None => segment.choose_tiles(),
            }
        }
        let mut colour = None;
        if types == (SampleType::U8, SampleType::U8)
            && let [Layer::Pointwise(layer)] = chain.layers()
            // The limits of the samples are those of the others, too.
            && matches!(layer.activation(), Activation::None | Activation::Relu)
        {
            let (lanes, parts) = (level.lanes(), level.parts());
            colour = ColourWeights::pack(layer.weights(), layer.bias(), lanes, parts);
        }
        if let Some(colour) = &colour {
            (bound, exact) = (Some(colour.error()), false);
        }
        let chain = chain.clone();
        Ok(Self {
            chain,
            input,
            output,
            level,
            segments,
            colour,
            images,
            apart,
            exact,
            fused,
            filters,
            bound,
        })
    }

    /// The walks over whole images, first to last.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = Step<'_>> {
        let segments = if self.apart.is_some() { &[] } else { &self.segments[..] };
        let filters = self.apart.iter().flatten().map(Step::Filter);
        filters.chain(segments.iter().map(Step::Segment))
    }

    /// The part of the source that an output rectangle needs.
    pub fn input_region(&self, rect: Rect) -> Rect {
        self.steps().rev().fold(rect, |rect, step| step.input_region(rect))
    }

    /// How many workers are worth their start for a segment.
    pub fn workers(&self, segment: &Segment) -> usize {
        if segment.work() < INLINE_WORK { 1 } else { self.most_workers() }
    }

    /// How many workers are worth their start for a batch, each with an image of its own.
    pub fn batch_workers(&self, images: usize) -> usize {
        let each = self.segments.iter().map(Segment::work);
        let each = each.fold(0, u64::saturating_add);
        if each.saturating_mul(images as u64) < INLINE_WORK {
            return 1;
        }
        self.most_workers().min(images)
    }

    /// As many workers as the chain may have.
    fn most_workers(&self) -> usize {
        let wanted = self.chain.get_threads();
        if wanted == 1 {
            return 1;
        }
        #[cfg(feature = "rayon")]
        let pool = rayon::current_num_threads();
        #[cfg(not(feature = "rayon"))]
        let pool = 1;
        if wanted == 0 { pool } else { wanted.min(pool) }
    }
}

impl<I: Source, O: Sample> ChainPlan<I, O> {
    /// The chain that was planned.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.core.chain
    }

    /// The shape of the images it takes.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.core.input
    }

    /// The shape of the results.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.core.output
    }

    /// The instruction set.
    #[must_use]
    pub fn level(&self) -> Level {
        self.core.level
    }

    /// Fused segments: walks over an image. Between two of them the map is in the workspace.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.core.steps().count()
    }

    /// Multiplications for an image: taps as written, padding included.
    #[must_use]
    pub fn multiplications(&self) -> u64 {
        self.core.segments.iter().fold(0, |sum, s| sum.saturating_add(s.multiplications))
    }

    /// Largest distance of a result before rounding from the exact one, proved from the weights,
    /// in output units; for integer images. 0 is exact. `None` also where a filter divides colours
    /// by alpha.
    #[must_use]
    pub fn error_bound(&self) -> Option<f64> {
        if self.core.exact { Some(0.0) } else { self.core.bound }
    }

    /// The same for samples of at most `range` in magnitude, whatever their type.
    #[must_use]
    pub fn error_bound_within(&self, range: f64) -> Option<f64> {
        if self.core.exact {
            return Some(0.0);
        }
        if self.core.apart.is_some() && I::TYPE != SampleType::F32 {
            return self.core.bound;
        }
        let integers = self.core.images.as_ref().and_then(|images| images.bound);
        let colour = self.core.colour.as_ref().map(ColourWeights::error);
        if let Some(bound) = integers.or(colour) {
            return Some(bound);
        }
        let proof = Proof::of(&self.core.chain, (I::TYPE, range), &self.core.filters);
        proof.bounded.then_some(proof.error)
    }

    /// How many workers a run uses at most, in the current rayon pool.
    #[must_use]
    pub fn threads(&self) -> usize {
        if let Some(filters) = &self.core.apart {
            let of = |f: &Core| f.workers(f.output.width, f.output.height);
            return filters.iter().map(of).max().unwrap_or(1);
        }
        self.core.segments.iter().map(|s| self.core.workers(s)).max().unwrap_or(1)
    }

    /// The layers, one line each, first to last, with what was decided for them.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        let mut filters = self.core.filters.iter();
        let layers = self.core.chain.layers().iter().map(|layer| match layer {
            Layer::Filter(_) => match filters.next().map(|f| f.method) {
                Some(Method::Separable) => format!("{layer}: column pass and row pass"),
                Some(Method::Dense) => format!("{layer}: dense pass"),
                _ => format!("{layer}: reference"),
            },
            _ => layer.to_string(),
        });
        layers.collect()
    }

    /// As [`Plan::gain_error`](crate::Plan::gain_error), of all filters together, where rows between them are
    /// integers; else 0.
    #[must_use]
    pub fn gain_error(&self) -> f64 {
        self.core.images.as_ref().map_or(0.0, |images| images.noise.gain)
    }

    /// As [`Plan::bias`](crate::Plan::bias), of all filters together, where rows between them are integers; else 0.
    #[must_use]
    pub fn bias(&self) -> f64 {
        self.core.images.as_ref().map_or(0.0, |images| images.noise.bias)
    }

    /// The arithmetic and its error bound, in a line.
    #[must_use]
    pub fn arithmetic(&self) -> String {
        let core = &self.core;
        if core.exact {
            return "f64, by the reference".to_owned();
        }
        if let Some(colour) = &core.colour {
            let error = match colour.error() {
                0.0 => "exact".to_owned(),
                bound => format!("error at most {bound:.3e} before rounding"),
            };
            let bits = colour.shift();
            return format!("16-bit weights into i32 ({bits} fraction bits), {error}");
        }
        if let Some((images, bound)) = core.images.as_ref().and_then(|i| Some((i, i.bound?))) {
            let (gain, bias) = (images.noise.gain, images.noise.bias);
            let error = match bound {
                0.0 => "exact".to_owned(),
                bound => format!(
                    "error at most {bound:.3e} before rounding, {bias:+.4} in the mean (gain {gain:+.1e})"
                ),
            };
            let sums = match images.short_sums() {
                (true, _) => "16-bit integers",
                (_, true) => "16-bit integers and 16-bit pairs into i32",
                _ => "16-bit pairs into i32",
            };
            return format!("{sums}, 16-bit rows between filters, {error}");
        }
        if let Some(filters) = &core.apart {
            let each: Vec<_> = filters.iter().map(|f| f.arithmetic.to_string()).collect();
            let error = match core.bound {
                Some(0.0) => ", exact".to_owned(),
                Some(bound) => format!(", together at most {bound:.3e} before rounding"),
                None => String::new(),
            };
            return format!("f32 images between filters, {}{error}", each.join("; then "));
        }
        let double = core.filters.iter().filter(|f| f.arithmetic.rung == Rung::Double).count();
        let sums = if core.fused { "fused f32" } else { "unfused f32" };
        let sums = match double {
            0 => sums.to_owned(),
            n if n == core.chain.layers().len() => "f64 sums, f32 between layers".to_owned(),
            n => format!("f64 sums in {n} filter(s), {sums} in other layers and between them"),
        };
        match core.bound {
            Some(0.0) => format!("{sums}, exact"),
            Some(bound) => format!("{sums}, error at most {bound:.3e} before rounding"),
            None => sums,
        }
    }

    /// The same plan with other tiles (at least 1 pixel wide, 1 row high) and strips (at least 1
    /// row) in every segment, for experiments. No result depends on them.
    #[must_use]
    pub fn with_tiles(mut self, tile: usize, rows: usize, strip: usize) -> Self {
        for filter in self.core.apart.iter_mut().flatten() {
            filter.tile = tile.clamp(1, filter.output.width);
            filter.strip = strip.max(1);
        }
        for segment in &mut self.core.segments {
            segment.tile = tile.clamp(1, segment.output.width);
            segment.rows = if segment.tile < segment.output.width { 1 } else { rows.max(1) };
            segment.strip = strip.max(1);
        }
        self
    }

    /// Runs all layers on `source`. A second run with the same workspace allocates nothing at one
    /// thread, except where the reference does the work.
    pub fn run(
        &self,
        source: View<'_, I>,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let (expected, given) = (self.core.input, source.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "source", expected, given });
        }
        self.run_region(source, (0, 0), self.core.output.rect(), out, workspace)
    }

    /// The part of the source that the output rectangle `rect` needs. With border `Wrap`, a
    /// rectangle at an edge needs that axis whole.
    pub fn input_region(&self, rect: Rect) -> Result<Rect, Error> {
        if !rect.fits(self.core.output) {
            return Err(Error::RectOutside { rect, shape: self.core.output });
        }
        Ok(self.core.input_region(rect))
    }

    /// Computes just the output rectangle `rect`: the same bytes as in the whole image. `part`
    /// holds at least [`input_region(rect)`](Self::input_region), its top left pixel being
    /// `origin` (column, row) in the whole image.
    pub fn run_region(
        &self,
        part: View<'_, I>,
        origin: (usize, usize),
        rect: Rect,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let needed = self.input_region(rect)?;
        let (input, output) = (self.core.input, self.core.output);
        let (expected, given) = (Shape::new(rect.width, rect.height, output.channels), out.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "output", expected, given });
        }
        check_part(input, part.shape(), origin, needed)?;
        exec::run_chain(&self.core, I::any(part), origin, rect, AnyViewMut::new(out), workspace)
    }

    /// Runs all layers on each of `images` images, which lie one after the other: several images
    /// at a time, if there are several workers. The results are those of [`run`](Self::run).
    pub fn run_batch(
        &self,
        source: &[I],
        out: &mut [O],
        images: usize,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let (input, output) = (self.core.input, self.core.output);
        let check = |what, shape: Shape, given: usize| {
            let needed = shape.samples()?.checked_mul(images);
            let needed = needed.ok_or(Error::SizeOverflow(shape))?;
            if given == needed {
                return Ok(());
            }
            Err(Error::BatchLength { what, images, shape, needed, given })
        };
        check("source", input, source.len())?;
        check("output", output, out.len())?;
        exec::run_batch(&self.core, source, out, images, workspace)
    }
}

impl<I: Source, O: Sample> fmt::Display for ChainPlan<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.core;
        writeln!(f, "image:           {} {} → {} {}", core.input, I::TYPE, core.output, O::TYPE)?;
        for (i, layer) in self.stages().iter().enumerate() {
            writeln!(f, "layer {:<10} {layer}", format!("{}:", i + 1))?;
        }
        for (i, alone) in core.apart.iter().flatten().enumerate() {
            let number = format!("{}:", i + 1);
            writeln!(f, "segment {number:<8} {} → {}, alone", alone.input, alone.output)?;
        }
        let segments = if core.apart.is_some() { &[] } else { &core.segments[..] };
        for (i, s) in segments.iter().enumerate() {
            write!(f, "segment {:<8} {} → {}", format!("{}:", i + 1), s.input, s.output)?;
            match s.window.as_ref().map(|w| &w.kind) {
                Some(WindowKind::Depthwise { passes: Some(_), .. }) => {
                    write!(f, ", depthwise in two passes")?;
                }
                Some(WindowKind::Depthwise { .. }) => write!(f, ", depthwise")?,
                Some(WindowKind::Dense(_)) => write!(f, ", convolution")?,
                Some(WindowKind::Filter(_)) => write!(f, ", filter")?,
                None => {}
            }
            if !s.mixes.is_empty() {
                write!(f, ", {} mix(es)", s.mixes.len())?;
            }
            if !s.links.is_empty() {
                write!(f, ", after {} link(s) in rings of rows", s.links.len())?;
            }
            writeln!(f, ", tiles of {} × {} pixels", s.tile, s.rows)?;
        }
        writeln!(f, "multiplications: {}", self.multiplications())?;
        writeln!(f, "arithmetic:      {}", self.arithmetic())?;
        write!(f, "level:           {}, {} thread(s)", core.level, self.threads())
    }
}
