//! From a chain of layers to its plan: whether a filter stands alone, what rows between layers are, and what is proved.

use super::arithmetic::Noise;
use super::build::{self, Built};
use super::choose::check_constants;
use super::filter::{FilterFacts, FilterStage, Setting};
use super::proof::{Proof, keeps_constants};
use super::segment::{Segment, Stage};
use super::{AnyPlan, words};
use crate::error::Error;
use crate::layer::{Activation, Chain, Layer};
use crate::pass::ColourWeights;
use crate::reference::Opacity;
use crate::sample::SampleType;
use crate::simd::Level;
use crate::view::Shape;

/// What errors before rounding must stay below, so that results are off by 1 at most.
const ALLOWED: f64 = 1.0;
/// And where a constant image must stay constant.
const ALLOWED_OF_CONSTANTS: f64 = 0.5;

fn is_float(sample: SampleType) -> bool {
    sample == SampleType::F32
}

impl AnyPlan {
    /// Plans a chain for images of shape `input`, from samples of the first of these types to samples of the other.
    ///
    /// Errors: as [`Chain::plan`]; `i16` as the first type.
    pub fn new(
        chain: &Chain,
        input: Shape,
        types: (SampleType, SampleType),
    ) -> Result<Self, Error> {
        if types.0 == SampleType::I16 {
            return Err(Error::Unsupported("images of i16 can be written, but not read"));
        }
        let output = chain.output_shape(input)?;
        for border in chain.layers().iter().flat_map(build::borders) {
            check_constants(border, types.0)?;
        }
        let setting = Setting {
            level: chain.get_level().unwrap_or_else(Level::detect),
            fused: is_float(types.0) && is_float(types.1),
            opacity: Opacity::of(types.0),
            precise: false,
            chained: false,
        };
        let mut plan = Self {
            chain: chain.clone(),
            input,
            output,
            types,
            level: setting.level,
            fused: setting.fused,
            segments: Vec::new(),
            filters: Vec::new(),
            bound: Some(0.0),
            noise: Noise::default(),
        };
        match chain.layers() {
            [Layer::Filter(filter)] => {
                let (stage, facts) = FilterStage::new(filter, input, types, setting)?;
                plan.segments.extend(stage.map(Segment::of_filter));
                (plan.bound, plan.noise) = (Some(facts.arithmetic.bound), facts.arithmetic.noise);
                plan.filters.push(facts);
            }
            _ if plan.colour() => {}
            _ => plan.build(setting)?,
        }
        plan.choose_tiles();
        Ok(plan)
    }

    /// Plans one pointwise layer from `u8` to `u8`, where 16-bit weights keep the contract, and says whether they do.
    fn colour(&mut self) -> bool {
        let [Layer::Pointwise(layer)] = self.chain.layers() else { return false };
        // The limits of the samples are those of the others, too.
        let limits = matches!(layer.activation(), Activation::None | Activation::Relu);
        if self.types != (SampleType::U8, SampleType::U8) || !limits {
            return false;
        }
        let (lanes, parts) = (self.level.lanes(), self.level.parts());
        let Some(weights) = ColourWeights::pack(layer.weights(), layer.bias(), lanes, parts) else {
            return false;
        };
        self.bound = Some(weights.error());
        let multiplications = layer.multiplications(self.input).unwrap_or(u64::MAX);
        let stage = Stage::Colour(weights);
        self.segments.push(Segment::new(self.input, self.output, stage, multiplications));
        true
    }

    /// Plans several layers, or one that is no filter.
    fn build(&mut self, setting: Setting) -> Result<(), Error> {
        let (chain, input, types) = (&self.chain, self.input, self.types);
        let source = (types.0, setting.opacity.full);
        let setting = Setting { chained: true, ..setting };
        let mut built = Built::new(chain, input, types, setting)?;
        let keeps = chain.layers().iter().all(keeps_constants);
        let allowed = |p: &Proof| if p.whole || keeps { ALLOWED_OF_CONSTANTS } else { ALLOWED };
        let mut proof = Proof::of(chain, source, &built.filters);
        if !is_float(types.0) {
            // Where colours are divided by alpha, that is the error under full alpha.
            let shows =
                |p: &Proof| !is_float(types.1) && (p.error.is_nan() || p.error >= allowed(p));
            if built.possible && shows(&proof) && !built.filters.is_empty() {
                built = Built::new(chain, input, types, Setting { precise: true, ..setting })?;
                proof = Proof::of(chain, source, &built.filters);
            }
            built.possible &= !shows(&proof);
        }
        self.bound = proof.bounded.then_some(proof.error);
        self.filters = built.filters;
        if !built.possible {
            self.bound = Some(0.0);
            return Ok(());
        }
        self.segments = built.segments;
        let Some(filters) = self.plain_filters() else { return Ok(()) };
        if types.0 == SampleType::U8
            && !is_float(types.1)
            && let Some(words) = words::words(&filters, allowed(&proof), proof.whole)
        {
            (self.bound, self.noise) = (Some(words.bound), words.noise);
            for (facts, stage) in self.filters.iter_mut().zip(&words.stages) {
                facts.arithmetic = stage.arithmetic.clone();
                (facts.method, facts.multiplications) =
                    (stage.pass.method(), stage.pass.multiplications());
            }
            let stages = words.stages.into_iter().map(|stage| Stage::Filter(Box::new(stage)));
            self.segments[0].stages = stages.collect();
        }
        Ok(())
    }

    /// The stages of a chain of filters in one segment, which leave alpha alone and whose borders' constants
    /// are samples.
    fn plain_filters(&self) -> Option<Vec<(&FilterStage, &FilterFacts)>> {
        let [only] = &self.segments[..] else { return None };
        let stages = only.stages.iter().zip(&self.filters).map(|(stage, facts)| match stage {
            Stage::Filter(stage) if !stage.widened => Some((&**stage, facts)),
            _ => None,
        });
        let plain = self.chain.layers().iter().all(|layer| words::plain(layer).is_some());
        stages.collect::<Option<Vec<_>>>().filter(|_| plain)
    }

    fn choose_tiles(&mut self) {
        let mut source = self.types.0;
        for segment in &mut self.segments {
            segment.choose_tiles(source);
            source = SampleType::F32;
        }
    }

    /// The same for images of another shape. What depends on taps and samples alone, as the arithmetic of filters,
    /// is not worked out again.
    ///
    /// Errors: as [`Chain::plan`].
    pub fn for_shape(&self, input: Shape) -> Result<Self, Error> {
        let mut stages = self.segments.iter().flat_map(|segment| &segment.stages);
        // How the windows of layers are packed depends on the shape.
        let moves = stages.all(|stage| match stage {
            Stage::Layers(layers) => layers.window.is_none(),
            Stage::Filter(_) | Stage::Colour(_) => true,
        });
        if input.channels != self.input.channels || self.segments.is_empty() || !moves {
            return Self::new(&self.chain, input, self.types);
        }
        let mut plan = self.clone();
        plan.reshape(input)?;
        plan.choose_tiles();
        Ok(plan)
    }

    /// Gives all stages other shapes, which none of them depends on otherwise.
    fn reshape(&mut self, input: Shape) -> Result<(), Error> {
        self.output = self.chain.output_shape(input)?;
        self.input = input;
        let mut shape = input;
        for segment in &mut self.segments {
            segment.input = shape;
            segment.multiplications = 0;
            for stage in &mut segment.stages {
                let each = match stage {
                    Stage::Filter(stage) => {
                        stage.reshape(shape)?;
                        shape = stage.output;
                        stage.multiplications() * shape.channels
                    }
                    Stage::Layers(layers) => {
                        shape.channels = layers.channels.1;
                        let sizes = layers.mixes.iter().map(|mix| &mix.weights);
                        sizes.map(|weights| weights.inputs() * weights.outputs()).sum()
                    }
                    Stage::Colour(weights) => {
                        let inputs = shape.channels;
                        shape.channels = weights.outputs();
                        inputs * shape.channels
                    }
                };
                let pixels = (shape.width * shape.height) as u64;
                let more = pixels.saturating_mul(each as u64);
                segment.multiplications = segment.multiplications.saturating_add(more);
            }
            segment.output = shape;
        }
        Ok(())
    }
}
