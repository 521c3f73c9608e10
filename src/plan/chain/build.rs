//! How layers are put together to segments, and what each is packed to.

use super::proof::FilterFacts;
use super::segment::{FilterStage, Link, MixStage, Segment, StageAlpha, WindowKind, WindowStage};
use crate::border::Border;
use crate::error::Error;
use crate::filter::{Alpha, Filter, Method, Post};
use crate::kernel::{Kernel, Separation};
use crate::layer::{
    Activation, Chain, Conv2d, Depthwise, Layer, Padding, Pointwise, Window, filter_axes,
};
use crate::pass::{TapRows, Weights};
use crate::plan::arithmetic::Task;
use crate::plan::{Work, choose, negligible};
use crate::reference::{self, Opacity};
use crate::sample::SampleType;
use crate::simd::Level;
use crate::view::Shape;

/// Taps of a depthwise kernel from which two passes are faster, where there are any.
const TWO_PASSES_FROM: usize = 16;

/// The taps of a depthwise layer's two passes, if each channel's kernel is a product, and rows
/// serve several outputs.
fn depthwise_passes(layer: &Depthwise) -> Option<[TapRows; 2]> {
    let ((width, height), channels) = (layer.size(), layer.output_channels());
    if layer.window().get_stride() != (1, 1)
        || width * height < TWO_PASSES_FROM
        || width.min(height) < 2
    {
        return None;
    }
    let (mut columns, mut rows) = (vec![0.0; height * channels], vec![0.0; width * channels]);
    for c in 0..channels {
        let taps = layer.weights().iter().skip(c).step_by(channels);
        let kernel = Kernel::new(width, height, taps.map(|&t| t.into()).collect()).ok()?;
        let separation = Separation::of(&kernel);
        if !(separation.is_separable() || negligible(&separation, &kernel)) {
            return None;
        }
        let term = &separation.terms()[0];
        let put = |to: &mut [f32], from: &[f64]| {
            for (to, from) in to.iter_mut().skip(c).step_by(channels).zip(from) {
                *to = *from as f32;
            }
        };
        put(&mut columns, &term.column);
        put(&mut rows, &term.row);
    }
    let finite = columns.iter().chain(&rows).all(|t| t.is_finite());
    let columns = TapRows::new(&columns, &vec![0.0; channels]);
    finite.then(|| [columns, TapRows::new(&rows, layer.bias())])
}

/// Samples of a row that is short.
const SHORT_ROW: usize = 4096;

/// Whether pixels of so many channels are less than a vector, and the rows of them short.
fn are_small(input: Shape, channels: usize, level: Level) -> bool {
    channels < level.lanes() && input.width * channels < SHORT_ROW
}

/// The borders that a layer reads through.
pub(super) fn borders(layer: &Layer) -> Vec<&Border> {
    pub(super) fn of(window: &Window) -> Vec<&Border> {
        match window.get_padding() {
            Padding::Explicit { border_x, border_y, .. } => vec![border_x, border_y],
            _ => Vec::new(),
        }
    }
    match layer {
        Layer::Depthwise(layer) => of(layer.window()),
        Layer::Separable(layer) => of(layer.depthwise().window()),
        Layer::Conv2d(layer) => of(layer.window()),
        Layer::Pointwise(_) => Vec::new(),
        Layer::Filter(filter) => {
            let (x, y) = filter.get_borders();
            vec![x, y]
        }
    }
}

/// Puts segments together.
pub(super) struct Builder<'a> {
    pub(super) chain: &'a Chain,
    /// Of the filters, in order.
    pub(super) separations: Vec<Vec<Separation>>,
    pub(super) level: Level,
    pub(super) fused: bool,
    pub(super) opacity: Opacity,
    /// Whether filters sum in `f64`.
    pub(super) precise: bool,
    pub(super) segments: Vec<Segment>,
    pub(super) filters: Vec<FilterFacts>,
}

impl Builder<'_> {
    /// Plans all layers, and says whether all of them can be done in passes.
    pub(super) fn build(&mut self, input: Shape) -> Result<bool, Error> {
        self.segments.clear();
        self.filters.clear();
        let (level, count) = (self.level, self.chain.layers().len());
        let (mut shape, mut possible) = (input, true);
        for (i, layer) in self.chain.layers().iter().enumerate() {
            let segments = &mut self.segments;
            match layer {
                Layer::Depthwise(layer) => join(segments, Segment::depthwise(layer, shape, level)?),
                Layer::Conv2d(layer) => join(segments, Segment::conv2d(layer, shape, level)?),
                Layer::Pointwise(layer) => pointwise(segments, layer, shape, level)?,
                Layer::Separable(layer) => {
                    join(segments, Segment::depthwise(layer.depthwise(), shape, level)?);
                    let between = layer.depthwise().output_shape(shape)?;
                    pointwise(segments, layer.pointwise(), between, level)?;
                }
                Layer::Filter(filter) => possible &= self.filter(filter, shape, i + 1 == count)?,
            }
            shape = layer.output_shape(shape)?;
        }
        Ok(possible)
    }

    /// Adds a filter, and says whether there are passes for it.
    pub(super) fn filter(
        &mut self,
        filter: &Filter,
        input: Shape,
        last: bool,
    ) -> Result<bool, Error> {
        let separations = &self.separations[self.filters.len()];
        let premultiplied = filter.get_alpha() == Some(Alpha::Premultiply);
        let (source, output) = (SampleType::F32, SampleType::F32);
        let (channels, precise) = (input.channels, self.precise);
        let (level, fused) = (self.level, self.fused);
        let task = Task {
            filter,
            channels,
            source,
            output,
            premultiplied,
            widened: false,
            level,
            fused,
            precise,
            chained: true,
        };
        let (work, arithmetic, finish) = choose(&task, separations)?;
        let whole = |v: &f64| v.fract() == 0.0;
        let taps = filter.kernels().iter().flat_map(Kernel::taps);
        let method = work.method();
        let terms = separations.iter().map(|s| &s.terms()[0]);
        let factors = method != Method::Separable
            || terms.flat_map(|t| t.column.iter().chain(&t.row)).all(whole);
        self.filters.push(FilterFacts {
            arithmetic: arithmetic.clone(),
            method,
            whole: factors
                && taps
                    .copied()
                    .chain([filter.get_scale(), filter.get_offset()])
                    .all(|v| whole(&v))
                && filter.get_post() != Post::Magnitude,
        });
        let possible = work != Work::Naive;
        let kernel = &filter.kernels()[0];
        let alpha = match filter.get_alpha() {
            Some(Alpha::Keep) => StageAlpha::Keep { anchor: kernel.anchor() },
            Some(Alpha::Premultiply) => StageAlpha::Premultiply {
                opacity: if last { self.opacity } else { Opacity::between(self.opacity.full) },
                offset: filter.get_offset(),
                post: filter.get_post(),
            },
            _ => StageAlpha::Plain,
        };
        let taps = match work {
            Work::Separable(_) => kernel.width() + kernel.height(),
            _ => kernel.taps().len(),
        };
        let output = reference::output_shape(filter, input)?;
        let samples = output.samples()? as u64;
        let multiplications = samples.saturating_mul((taps * filter.kernels().len()) as u64);
        let rung = arithmetic.rung;
        let window = WindowStage {
            axes: filter_axes(filter, input),
            inputs: input.channels,
            channels: input.channels,
            activation: Activation::None,
            whole: are_small(input, input.channels, self.level),
            kind: WindowKind::Filter(Box::new(FilterStage { work, rung, finish, alpha })),
        };
        join(&mut self.segments, Segment::new(input, output, Some(window), multiplications));
        Ok(possible)
    }
}

/// Adds a segment that begins with a window, or makes what came before its links.
fn join(segments: &mut Vec<Segment>, mut next: Segment) {
    let follows = next.window.as_ref().is_some_and(WindowStage::can_follow);
    if let Some(last) = segments.pop_if(|last| follows && last.is_image_chain()) {
        let Segment { links, window, mixes, .. } = last;
        next.links = links;
        next.links.push(Link { window, mixes, channels: next.input.channels });
        next.input = last.input;
        next.multiplications = next.multiplications.saturating_add(last.multiplications);
    }
    segments.push(next);
}

/// Adds a pointwise layer to the last segment, or begins one.
fn pointwise(
    segments: &mut Vec<Segment>,
    layer: &Pointwise,
    input: Shape,
    level: Level,
) -> Result<(), Error> {
    if segments.is_empty() {
        segments.push(Segment::new(input, input, None, 0));
    }
    if let Some(segment) = segments.last_mut() {
        segment.output = layer.output_shape(input)?;
        let more = layer.multiplications(input)?;
        segment.multiplications = segment.multiplications.saturating_add(more);
        segment.mixes.push(MixStage::new(layer, level));
    }
    Ok(())
}

impl Segment {
    pub(super) fn depthwise(layer: &Depthwise, input: Shape, level: Level) -> Result<Self, Error> {
        let channels = layer.output_channels();
        let passes = depthwise_passes(layer).map(Box::new);
        let window = WindowStage {
            axes: layer.window().axes(layer.size(), input)?,
            inputs: input.channels,
            channels,
            activation: layer.activation(),
            whole: are_small(input, channels, level),
            kind: WindowKind::Depthwise {
                taps: TapRows::new(layer.weights(), layer.bias()),
                passes,
                split: layer.window().get_stride().0 > 1 && channels < level.lanes(),
            },
        };
        let multiplications = layer.multiplications(input)?;
        Ok(Self::new(input, layer.output_shape(input)?, Some(window), multiplications))
    }

    pub(super) fn conv2d(layer: &Conv2d, input: Shape, level: Level) -> Result<Self, Error> {
        let window = WindowStage {
            axes: layer.window().axes(layer.size(), input)?,
            inputs: input.channels,
            channels: layer.output_channels(),
            activation: layer.activation(),
            whole: are_small(input, input.channels, level),
            kind: WindowKind::Dense(Weights::pack(layer.weights(), layer.bias(), level.lanes())),
        };
        let multiplications = layer.multiplications(input)?;
        Ok(Self::new(input, layer.output_shape(input)?, Some(window), multiplications))
    }
}
