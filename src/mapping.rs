//! How samples of pictures become the values that are filtered, and results samples again: linear light, ranges for
//! signed results, and changes of depth. A plan knows nothing of that: it goes from samples to samples, or from floats to
//! floats, and what is around it here is done for some rows at a time.

mod encode;

pub use encode::Clipping;

use crate::any_view::{AnyView, Source};
use crate::border::Border;
use crate::error::Error;
use crate::exec::{BandSource, BandTarget, Workspace, run_in_bands};
use crate::filter::{Alpha, Filter};
use crate::kernel::Kernel;
use crate::layer::{Chain, Layer, Pointwise};
use crate::light::decode;
use crate::plan::AnyPlan;
use crate::sample::SampleType;
use crate::view::{Image, Rect, Shape, View, ViewMut};
use encode::Encoder;
use std::marker::PhantomData;

/// How signed results become samples that are not.
///
/// ```
/// use twopass::{Filter, Image, Kernel, Mapping, Range, Shape, Workspace};
///
/// // Bright on the left, then dark: what is a derivative of −100?
/// let step = Image::from_vec(vec![100u8, 100, 0, 0], Shape::new(4, 1, 1))?;
/// let shown = |range| -> Result<Vec<u8>, twopass::Error> {
///     let slope = Filter::new(Kernel::new(3, 1, vec![-1.0, 0.0, 1.0])?);
///     let plan = Mapping::new().range(range).plan::<u8, u8>(slope, step.shape())?;
///     let mut out = Image::new(plan.output_shape())?;
///     plan.run(step.view(), out.view_mut(), &mut Workspace::new())?;
///     Ok(out.into_vec())
/// };
/// assert_eq!(shown(Range::Clamp)?, [0, 0, 0, 0]);
/// assert_eq!(shown(Range::Abs)?, [0, 100, 100, 0]);
/// assert_eq!(shown(Range::Offset)?, [128, 28, 28, 128]);
/// assert_eq!(shown(Range::Stretch)?, [255, 0, 0, 255]);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Range {
    /// What is below 0 or above full scale is cut off; `f32` results stay as they are.
    #[default]
    Clamp,
    /// The absolute value.
    Abs,
    /// Mid-grey is added (128, 32768 or 0.5), so that it stands for 0.
    Offset,
    /// The smallest result of all colours becomes 0, the largest full scale.
    Stretch,
}

/// How the samples of pictures are understood. A [`Filter`] alone filters them as they are, in units of the source's
/// samples; with a mapping around it, light may be filtered, results have a [`Range`], and full scale stays full scale
/// where source and result are of different types.
///
/// ```
/// use twopass::{Filter, Image, Kernel, Mapping, Shape, Workspace};
///
/// // Half of the light of a white pixel, seen from afar, is no middle grey.
/// let dots = Image::from_vec(vec![0u8, 255, 0, 255], Shape::new(4, 1, 1))?;
/// let mean = Filter::new(Kernel::new(2, 1, vec![0.5, 0.5])?).border(twopass::Border::Wrap);
/// let plan = Mapping::new().linear().plan::<u8, u8>(mean, dots.shape())?;
/// let mut grey = Image::new(plan.output_shape())?;
/// plan.run(dots.view(), grey.view_mut(), &mut Workspace::new())?;
/// assert_eq!(grey.data(), [188; 4]);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapping {
    linear: bool,
    range: Range,
    alpha: (bool, bool),
    /// The channels that count for the range, if not all.
    channels: Option<Vec<bool>>,
}

/// What the last step of a chain has to do where a mapping is around it. [`Mapping::plan`] sees to that; this is for those
/// who plan by themselves, and then call [`Mapping::around`].
///
/// ```
/// use twopass::{Filter, Kernel, Mapping, Range};
///
/// let signed = Mapping::new().range(Range::Offset);
/// let ending = signed.ending::<u8, u16>(0.0, true);
/// assert_eq!((ending.scale, ending.offset), (257.0, 32768.0));
/// let filter = ending.of_filter(&Filter::new(Kernel::sobel_x()));
/// assert_eq!(filter.get_offset(), 32768.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Ending {
    /// What it multiplies its results by, alpha too.
    pub scale: f64,
    /// What it adds to colours then.
    pub offset: f64,
    /// Whether it takes the absolute value of that.
    pub abs: bool,
    /// Whether its results are the samples of the output. Else they are `f32`, and mapped.
    pub direct: bool,
    /// What is added when they are mapped.
    later: f64,
}

impl Ending {
    /// A last filter, which has its own scale.
    #[must_use]
    pub fn of_filter(self, filter: &Filter) -> Filter {
        let scale = filter.get_scale() * self.scale;
        let filter = filter.clone().scale(scale).offset(self.offset);
        if self.abs { filter.abs() } else { filter }
    }
}

impl Mapping {
    /// Samples are filtered as they are, and results cut off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Filters light: integers are taken for sRGB, decoded before and encoded after ([`light`](crate::light)). `f32`
    /// samples are light already. An offset is added to encoded values.
    #[must_use]
    pub fn linear(mut self) -> Self {
        self.linear = true;
        self
    }

    /// How signed results become samples.
    #[must_use]
    pub fn range(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    /// Whether the last channel of the source, and that of the result, is alpha: it is no light, and has no range.
    /// What a filter does to it is told by [`Filter::alpha`].
    #[must_use]
    pub fn alpha(mut self, source: bool, result: bool) -> Self {
        self.alpha = (source, result);
        self
    }

    /// Which channels [`Range::Stretch`] looks at, where not at all. Those for which nothing is said do not count.
    #[must_use]
    pub fn channels(mut self, chosen: &[bool]) -> Self {
        self.channels = Some(chosen.to_vec());
        self
    }

    /// Plans a filter, or a chain, between samples of these types.
    ///
    /// Constants of the filters' borders are samples, and decoded as such. What other layers add, and their borders'
    /// constants, are in units of the values that are filtered: with [`linear`](Self::linear) from 0 to 1. The offset
    /// of a last filter is in units of the result.
    ///
    /// Errors: those of [`Filter::plan`] and [`Chain::plan`].
    pub fn plan<I: Source, O: Source>(
        &self,
        chain: impl Into<Chain>,
        input: Shape,
    ) -> Result<MappedPlan<I, O>, Error> {
        let chain: Chain = chain.into();
        let (mut level, mut threads) = (chain.get_level(), chain.get_threads());
        let last = chain.layers().last().and_then(filter_of);
        // Alpha that is treated apart is not scaled like colour, by a filter.
        let apart = last.is_some_and(|filter| {
            matches!(filter.get_alpha(), Some(Alpha::Premultiply | Alpha::Keep))
        });
        let given = last.map_or(0.0, Filter::get_offset);
        let ending = self.ending::<I, O>(given, !apart || self.ratio::<I, O>() == 1.0);
        let mut layers = Vec::new();
        let mut shape = input;
        for (i, layer) in chain.layers().iter().enumerate() {
            let alpha = self.alpha.0 && shape.channels == input.channels;
            layers.push(match layer {
                Layer::Filter(filter) => {
                    let (x, y) = filter.get_borders();
                    let border = |b| self.border::<I>(b, shape.channels, alpha);
                    let filter = filter.clone().borders(border(x), border(y));
                    let last = i + 1 == chain.layers().len();
                    Layer::Filter(if last { ending.of_filter(&filter) } else { filter })
                }
                other => other.clone(),
            });
            shape = layer.output_shape(shape)?;
        }
        if last.is_none() {
            layers.extend(self.steps(ending, shape.channels)?);
        }
        if let [Layer::Filter(filter)] = chain.layers() {
            level = level.or(filter.get_level());
            threads = if threads == 0 { filter.get_threads() } else { threads };
        }
        let mut layers = layers.into_iter();
        let first = layers.next().ok_or(Error::Unsupported("a chain of nothing"))?;
        let mut mapped = Chain::new(first).threads(threads);
        for layer in layers {
            mapped = mapped.then(layer)?;
        }
        if let Some(level) = level {
            mapped = mapped.level(level);
        }
        let types = self.types::<I, O>(&ending);
        self.around(AnyPlan::new(&mapped, input, types)?, &ending)
    }

    /// What an ending is after a layer that is no filter.
    fn steps(&self, ending: Ending, channels: usize) -> Result<Vec<Layer>, Error> {
        let mut steps = Vec::new();
        if ending.scale != 1.0 || ending.offset != 0.0 {
            let colour = |c| !(self.alpha.1 && c + 1 == channels);
            let places = 0..channels * channels;
            let factor = |i| if i % (channels + 1) == 0 { ending.scale as f32 } else { 0.0 };
            let matrix: Vec<f32> = places.map(factor).collect();
            let bias = |c| if colour(c) { ending.offset as f32 } else { 0.0 };
            let bias: Vec<f32> = (0..channels).map(bias).collect();
            let dims = [1, 1, channels, channels];
            steps.push(Pointwise::from_keras(&matrix, dims)?.with_bias(&bias)?.into());
        }
        if ending.abs {
            steps.push(Filter::new(Kernel::identity()).abs().into());
        }
        Ok(steps)
    }

    /// What the last step has to do, where `offset` is to be added to results in the end. If it may write the samples
    /// itself (`direct`), a change of depth is folded into it, so that results are rounded once. A filter that treats
    /// alpha apart may not, where the depth changes, since it does not scale alpha as it scales colour.
    #[must_use]
    pub fn ending<I: Source, O: Source>(&self, offset: f64, direct: bool) -> Ending {
        let ratio = self.ratio::<I, O>();
        let half = match O::TYPE {
            SampleType::F32 => 0.5,
            // An integer, so that integer kernels stay exact and 0 has one value in every depth.
            _ => (O::FULL + 1.0) / 2.0,
        };
        let offset = if self.range == Range::Offset { offset + half } else { offset };
        let abs = self.range == Range::Abs;
        // The scale follows from the results, or light is to be encoded.
        let mapped = self.range == Range::Stretch || self.linear;
        if direct && !mapped {
            return Ending { scale: ratio, offset, abs, direct: true, later: 0.0 };
        }
        // An offset is in units of the output; with an encoding between, it has to wait.
        let (now, later) = if self.encodes::<O>() { (0.0, offset) } else { (offset / ratio, 0.0) };
        Ending { scale: 1.0, offset: now, abs, direct: false, later }
    }

    /// A border of values that are filtered: its constants are samples of pixels of so many channels, the last of which
    /// may be alpha.
    #[must_use]
    pub fn border<I: Source>(&self, border: &Border, channels: usize, alpha: bool) -> Border {
        match border {
            Border::Constant(values) if self.linear => {
                // One for all channels may have to become one for each.
                let value = |c| if values.len() == 1 { values[0] } else { border.constant(c) };
                let decoder = Decoder::new::<I>(alpha);
                let all = (0..channels).map(|c| {
                    let colour = !(alpha && c + 1 == channels);
                    f64::from(decoder.value(value(c), colour))
                });
                Border::Constant(all.collect())
            }
            other => other.clone(),
        }
    }

    /// The mapping around a plan that the caller has made, whose last step has the ending.
    ///
    /// Errors: the plan does not read samples `I`, or with [`linear`](Self::linear) `f32`; or it does not write
    /// samples `O` where the ending is direct, and `f32` where it is not; the ending's offset is not finite.
    pub fn around<I: Source, O: Source>(
        &self,
        plan: AnyPlan,
        ending: &Ending,
    ) -> Result<MappedPlan<I, O>, Error> {
        if plan.sample_types() != self.types::<I, O>(ending) {
            return Err(Error::Unsupported("a plan of other samples than the mapping has"));
        }
        // What a filter adds is checked when it is planned; this was taken from one.
        let value = ending.later;
        if !value.is_finite() {
            return Err(Error::Parameter { name: "offset", value, expected: "finite" });
        }
        let encoder = (!ending.direct).then(|| {
            let stretched = (self.range == Range::Stretch).then(|| self.channels.clone());
            let ratio = self.ratio::<I, O>();
            let (alpha, encoded) = (self.alpha.1, self.encodes::<O>());
            Encoder::new::<O>(ratio, ending.later, alpha, encoded, stretched)
        });
        // Floats are light already.
        let decoder =
            (self.linear && I::TYPE != SampleType::F32).then(|| Decoder::new::<I>(self.alpha.0));
        Ok(MappedPlan { plan, decoder, encoder, types: PhantomData })
    }

    /// Full scale of the result over that of the values that are filtered.
    fn ratio<I: Source, O: Source>(&self) -> f64 {
        O::FULL / if self.linear { 1.0 } else { I::FULL }
    }

    /// Whether results are light, and the samples are not.
    fn encodes<O: Source>(&self) -> bool {
        self.linear && O::TYPE != SampleType::F32
    }

    /// What the plan reads, and writes.
    fn types<I: Source, O: Source>(&self, ending: &Ending) -> (SampleType, SampleType) {
        let reads = if self.linear { SampleType::F32 } else { I::TYPE };
        (reads, if ending.direct { O::TYPE } else { SampleType::F32 })
    }
}

fn filter_of(layer: &Layer) -> Option<&Filter> {
    match layer {
        Layer::Filter(filter) => Some(filter),
        _ => None,
    }
}

/// From samples to linear light in floats.
#[derive(Debug, Clone)]
struct Decoder {
    full: f64,
    alpha: bool,
    /// What each integer is as a colour. Floats have none: they are light.
    table: Vec<f32>,
}

impl Decoder {
    fn new<I: Source>(alpha: bool) -> Self {
        let mut decoder = Self { full: I::FULL, alpha, table: Vec::new() };
        if I::TYPE != SampleType::F32 {
            let light = |v| decode(f64::from(v) / I::FULL) as f32;
            decoder.table = (0..=I::FULL as u32).map(light).collect();
        }
        decoder
    }

    /// A sample.
    fn value(&self, v: f64, colour: bool) -> f32 {
        let v = v / self.full;
        // Floats are light, and alpha is none.
        (if colour && !self.table.is_empty() { decode(v) } else { v }) as f32
    }

    /// The samples of a rectangle.
    fn rows(&self, view: AnyView<'_>, rect: Rect, mut out: ViewMut<'_, f32>) {
        let channels = view.shape().channels;
        let x = rect.x * channels..(rect.x + rect.width) * channels;
        for y in 0..rect.height {
            let (from, to) = (rect.y + y, out.row_mut(y));
            match view {
                AnyView::U8(view) => self.row(&view.row(from)[x.clone()], channels, to),
                AnyView::U16(view) => self.row(&view.row(from)[x.clone()], channels, to),
                // Floats are not decoded.
                AnyView::F32(view) => to.copy_from_slice(&view.row(from)[x.clone()]),
            }
        }
    }

    fn row<I: Source + Into<usize>>(&self, from: &[I], channels: usize, to: &mut [f32]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = self.table[(*from).into()]);
        if self.alpha {
            let alphas = from.iter().zip(to).skip(channels - 1).step_by(channels);
            alphas.for_each(|(from, to)| *to = self.value(from.to_f64(), false));
        }
    }
}

/// A plan between samples of pictures, made by [`Mapping::plan`]. It is only read, like a [`Plan`](crate::Plan).
///
/// ```
/// use twopass::{Filter, Image, Kernel, Mapping, Rect, Shape, Workspace};
///
/// let photo = Image::from_vec(vec![77u8; 64 * 48 * 3], Shape::new(64, 48, 3))?;
/// let blur = Filter::new(Kernel::gaussian(2.0)?);
/// let plan = Mapping::new().linear().plan::<u8, u16>(blur, photo.shape())?;
/// println!("{}", plan.plan());
/// let (mut out, mut workspace) = (Image::new(plan.output_shape())?, Workspace::new());
/// plan.run(photo.view(), out.view_mut(), &mut workspace)?;
/// assert_eq!(out.data()[0], 77 * 257);
/// // A part of the result, from the whole picture.
/// let mut part = Image::new(Shape::new(10, 5, 3))?;
/// plan.run_region(photo.view(), Rect::new(40, 30, 10, 5), part.view_mut(), &mut workspace)?;
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MappedPlan<I, O> {
    plan: AnyPlan,
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    types: PhantomData<(I, O)>,
}

impl<I: Source, O: Source> MappedPlan<I, O> {
    /// The plan of what is filtered: of `f32` where light is, or where results are mapped. Its bounds hold before that.
    #[must_use]
    pub fn plan(&self) -> &AnyPlan {
        &self.plan
    }

    /// The shape of the results.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.plan.output_shape()
    }

    /// Runs it. What is decoded and encoded is so for some rows at a time; only [`Range::Stretch`] needs memory for all
    /// results. Says what was cut off, where that was found out on the way: not where the plan writes the samples.
    ///
    /// Errors: shapes other than the plan's; no memory.
    pub fn run(
        &self,
        source: View<'_, I>,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<Option<Clipping>, Error> {
        self.run_region(source, self.output_shape().rect(), out, workspace)
    }

    /// Computes just the rectangle `rect` of the output, from the whole source: the same samples as in the whole, unless
    /// they are stretched.
    ///
    /// Errors: as of [`run`](Self::run); a rectangle outside of the output.
    pub fn run_region(
        &self,
        source: View<'_, I>,
        rect: Rect,
        out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<Option<Clipping>, Error> {
        let (expected, given) = (self.plan.input_shape(), source.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "source", expected, given });
        }
        let whole = self.output_shape();
        if !rect.fits(whole) {
            return Err(Error::RectOutside { rect, shape: whole });
        }
        let (expected, given) = (Shape::new(rect.width, rect.height, whole.channels), out.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "output", expected, given });
        }
        match &self.decoder {
            None => self.run_from(&BandSource::View(source), rect, out, workspace),
            Some(decoder) => {
                let source = I::any(source);
                let fill = |rect: Rect, out: ViewMut<'_, f32>| decoder.rows(source, rect, out);
                self.run_from(&BandSource::Rows(&fill), rect, out, workspace)
            }
        }
    }

    fn run_from<S: Source>(
        &self,
        source: &BandSource<'_, S>,
        rect: Rect,
        mut out: ViewMut<'_, O>,
        workspace: &mut Workspace,
    ) -> Result<Option<Clipping>, Error> {
        let Some(encoder) = self.encoder.as_ref().filter(|encoder| !encoder.copies::<O>()) else {
            run_in_bands(&self.plan, source, rect, BandTarget::View(out), workspace)?;
            return Ok(None);
        };
        let mut clipping = Clipping::new::<O>(out.shape().channels);
        if encoder.stretches() {
            let mut floats = Image::<f32>::new(out.shape())?;
            run_in_bands(&self.plan, source, rect, BandTarget::View(floats.view_mut()), workspace)?;
            encoder.all(floats.view(), out, &mut clipping);
        } else {
            let line = encoder.line();
            let mut take = |y: usize, floats: View<'_, f32>| {
                encoder.rows(line, floats, &mut out, y, &mut clipping);
            };
            run_in_bands(&self.plan, source, rect, BandTarget::Rows(&mut take), workspace)?;
        }
        Ok(Some(clipping))
    }

    /// What is filtered, of the whole source at once: for those who run the [plan](Self::plan) by themselves. Error: no memory.
    pub fn decode(&self, source: View<'_, I>) -> Result<Image<f32>, Error> {
        let mut out = Image::new(source.shape())?;
        let (rect, view) = (source.shape().rect(), I::any(source));
        match &self.decoder {
            Some(decoder) => decoder.rows(view, rect, out.view_mut()),
            None => {
                let samples = (0..rect.height).flat_map(|y| source.row(y));
                out.data_mut().iter_mut().zip(samples).for_each(|(o, v)| *o = v.to_f64() as f32);
            }
        }
        Ok(out)
    }

    /// Results as samples, all at once, and what was cut off.
    ///
    /// Errors: another shape; no memory.
    pub fn encode(&self, results: View<'_, f32>, out: ViewMut<'_, O>) -> Result<Clipping, Error> {
        let (expected, given) = (results.shape(), out.shape());
        if given != expected {
            return Err(Error::ShapeMismatch { what: "output", expected, given });
        }
        let mut clipping = Clipping::new::<O>(expected.channels);
        match &self.encoder {
            Some(encoder) => encoder.all(results, out, &mut clipping),
            None => {
                Encoder::new::<O>(1.0, 0.0, false, false, None).all(results, out, &mut clipping)
            }
        }
        Ok(clipping)
    }
}
