//! How layers are put together to segments, and what each is packed to.

use super::arithmetic::{Allowance, Transforms};
use super::filter::{FilterFacts, FilterStage, Setting};
use super::segment::{LayerStage, MixStage, Segment, Stage, WindowKind, WindowStage};
use crate::border::Border;
use crate::error::Error;
use crate::filter::Filter;
use crate::kernel::{Kernel, Separation};
use crate::layer::{Conv2d, Depthwise, Layer, Padding, Pointwise, Window};
use crate::pass::{TapRows, Weights};
use crate::reference::Opacity;
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
        // Whole taps make whole sums, which are exact: so must those of two passes be.
        let whole = |taps: &[f64]| taps.iter().all(|t| t.fract() == 0.0);
        let exact = separation.residual(1) == 0.0 && whole(&term.column) && whole(&term.row);
        if whole(kernel.taps()) && !exact {
            return None;
        }
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
    fn of(window: &Window) -> Vec<&Border> {
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

/// The segments of a chain, and what was found out about its filters, in order.
pub(super) struct Built {
    pub segments: Vec<Segment>,
    pub filters: Vec<FilterFacts>,
    /// Whether there are passes for all filters.
    pub possible: bool,
}

impl Built {
    /// Plans all layers for images of shape `input`, where methods may make results of each filter so far off, per unit
    /// of what it reads.
    pub fn new(
        layers: &[Layer],
        input: Shape,
        types: (SampleType, SampleType),
        setting: Setting,
        allowances: &[Option<Allowance>],
    ) -> Result<Self, Error> {
        let (level, last) = (setting.level, layers.len() - 1);
        let mut built = Self { segments: Vec::new(), filters: Vec::new(), possible: true };
        let mut shape = input;
        for (i, layer) in layers.iter().enumerate() {
            let float = SampleType::F32;
            let source = if i == 0 { types.0 } else { float };
            let output = if i == last { types.1 } else { float };
            match layer {
                Layer::Depthwise(layer) => {
                    built.window(Segment::depthwise(layer, shape, level)?, source)
                }
                Layer::Conv2d(layer) => built.window(Segment::conv2d(layer, shape, level)?, source),
                Layer::Pointwise(layer) => built.pointwise(layer, shape, level)?,
                Layer::Separable(layer) => {
                    built.window(Segment::depthwise(layer.depthwise(), shape, level)?, source);
                    let between = layer.depthwise().output_shape(shape)?;
                    built.pointwise(layer.pointwise(), between, level)?;
                }
                Layer::Filter(filter) => {
                    // Results that are not the last are not rounded.
                    let opacity = match i == last {
                        true => setting.opacity,
                        false => Opacity::between(setting.opacity.full),
                    };
                    // Transforms are the same at every level only where they are rounded to whole numbers; results of
                    // integers must be.
                    let transforms = match setting.transforms {
                        Transforms::None => Transforms::None,
                        _ if types == (SampleType::F32, SampleType::F32) => Transforms::Any,
                        _ if i == 0 => Transforms::Whole,
                        _ => Transforms::None,
                    };
                    let allowance = allowances[built.filters.len()];
                    let setting = Setting { opacity, transforms, allowance, ..setting };
                    built.filter(filter, shape, (source, output), setting)?;
                }
            }
            shape = layer.output_shape(shape)?;
        }
        Ok(built)
    }

    fn filter(
        &mut self,
        filter: &Filter,
        input: Shape,
        types: (SampleType, SampleType),
        setting: Setting,
    ) -> Result<(), Error> {
        let (stage, facts) = FilterStage::new(filter, input, types, setting)?;
        self.filters.push(facts);
        match stage {
            Some(stage) => self.join(Segment::of_filter(stage)),
            None => self.possible = false,
        }
        Ok(())
    }

    /// Adds a segment that begins with a window of a layer, whose rows are `f32`: those of a source of integers
    /// are widened once, for all windows that they lie under.
    fn window(&mut self, segment: Segment, source: SampleType) {
        if source != SampleType::F32 {
            let channels = (segment.input.channels, segment.input.channels);
            let widen = LayerStage { channels, ..LayerStage::default() };
            self.segments.push(Segment::new(
                segment.input,
                segment.input,
                Stage::Layers(widen.into()),
                0,
            ));
            return self.append(segment);
        }
        self.join(segment);
    }

    /// Adds a segment of one stage to the last one, or begins a new one.
    fn join(&mut self, next: Segment) {
        if self.segments.last().is_some_and(|last| last.leads_to(&next.stages[0])) {
            self.append(next);
        } else {
            self.segments.push(next);
        }
    }

    /// Adds the stages of a segment to the last one.
    fn append(&mut self, next: Segment) {
        if let Some(last) = self.segments.last_mut() {
            last.output = next.output;
            last.stages.extend(next.stages);
            last.multiplications = last.multiplications.saturating_add(next.multiplications);
        }
    }

    /// Adds a pointwise layer to the last segment, or begins one.
    fn pointwise(&mut self, layer: &Pointwise, input: Shape, level: Level) -> Result<(), Error> {
        let output = layer.output_shape(input)?;
        let (mix, more) = (MixStage::new(layer, level), layer.multiplications(input)?);
        if let Some(last) = self.segments.last_mut()
            && let Some(Stage::Layers(before)) = last.stages.last_mut()
        {
            before.mixes.push(mix);
            before.channels.1 = output.channels;
            last.output = output;
            last.multiplications = last.multiplications.saturating_add(more);
            return Ok(());
        }
        let channels = (input.channels, output.channels);
        let stage = Stage::Layers(LayerStage { window: None, mixes: vec![mix], channels }.into());
        self.join(Segment::new(input, output, stage, more));
        Ok(())
    }
}

impl Segment {
    /// A filter alone.
    pub(super) fn of_filter(stage: FilterStage) -> Self {
        let FilterStage { input, output, .. } = stage;
        let samples = (output.row() * output.height) as u64;
        let multiplications = samples.saturating_mul(stage.multiplications() as u64);
        Self::new(input, output, Stage::Filter(Box::new(stage)), multiplications)
    }

    fn of_window(input: Shape, output: Shape, window: WindowStage, multiplications: u64) -> Self {
        let channels = (input.channels, output.channels);
        let stage = LayerStage { window: Some(window), mixes: Vec::new(), channels };
        Self::new(input, output, Stage::Layers(stage.into()), multiplications)
    }

    fn depthwise(layer: &Depthwise, input: Shape, level: Level) -> Result<Self, Error> {
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
        Ok(Self::of_window(input, layer.output_shape(input)?, window, multiplications))
    }

    fn conv2d(layer: &Conv2d, input: Shape, level: Level) -> Result<Self, Error> {
        let window = WindowStage {
            axes: layer.window().axes(layer.size(), input)?,
            inputs: input.channels,
            channels: layer.output_channels(),
            activation: layer.activation(),
            whole: are_small(input, input.channels, level),
            kind: WindowKind::Dense(Weights::pack(layer.weights(), layer.bias(), level.lanes())),
        };
        let multiplications = layer.multiplications(input)?;
        Ok(Self::of_window(input, layer.output_shape(input)?, window, multiplications))
    }
}

/// Whether what one product leaves out disappears in the rounding of `f32`.
fn negligible(separation: &Separation, kernel: &Kernel) -> bool {
    separation.residual(1) <= kernel.abs_sum() / f64::from(1 << 22)
}
