//! From a chain of layers to its plan: whether a filter stands alone, what rows between layers are, and what is proved.

use super::AnyPlan;
use super::arithmetic::{Allowance, Noise, Proved, Transforms};
use super::build::{self, Built};
use super::choose::check_constants;
use super::costs::MAP;
use super::equivalents::{merged, mixes_first};
use super::filter::{FilterFacts, FilterStage, Setting};
use super::multirate;
use super::proof::{Facts, Proof, convolved, keeps_constants};
use super::segment::{Segment, Stage};
use super::words::{self, Words};
use crate::error::Error;
use crate::filter::{Alpha, Filter, Method};
use crate::layer::{Activation, Chain, Layer, Pointwise};
use crate::pass::ColourWeights;
use crate::reference::Opacity;
use crate::sample::SampleType;
use crate::simd::Level;
use crate::view::Shape;

/// What errors before rounding must stay below, so that results are off by 1 at most.
const ALLOWED: f64 = 1.0;
/// And where a constant image must stay constant.
const ALLOWED_OF_CONSTANTS: f64 = 0.5;
/// The part of that which is left to methods; the rest is that of arithmetic.
const SHARE: f64 = 0.9;

/// A chain as it may be done.
struct Candidate {
    built: Built,
    /// What is proved of the results, unless that is nothing; and what is made of noise.
    bound: Option<f64>,
    noise: Noise,
    /// With rows of 16 bits between its filters.
    words: Option<Words>,
    /// Whether there are passes for all of it, which keep the contract.
    keeps: bool,
}

impl Candidate {
    /// One filter alone.
    fn of_filter(stage: Option<FilterStage>, facts: FilterFacts) -> Self {
        let Proved { bound, noise, .. } = facts.arithmetic;
        let keeps = stage.is_some();
        let segments = stage.map(Segment::of_filter).into_iter().collect();
        let built = Built { segments, filters: vec![facts], possible: keeps };
        Self { built, bound: Some(bound), noise, words: None, keeps }
    }

    /// What it takes for a pixel, but for layers that are no filters, in nanoseconds.
    fn cost(&self) -> f64 {
        let of = |stage: &FilterStage| stage.cost() * stage.output.channels as f64;
        let maps = self.built.segments.iter().rev().skip(1);
        let maps: f64 = maps.map(|segment| MAP * segment.output.channels as f64).sum();
        maps + match &self.words {
            Some(words) => words.filters().map(of).sum::<f64>(),
            None => {
                let stages = self.built.segments.iter().flat_map(|segment| &segment.stages);
                stages.filter_map(Stage::filter).map(of).sum()
            }
        }
    }
}

/// Filters as they are planned, first to last, and what is known of them.
type Filters<'a> = Vec<(&'a FilterStage, &'a FilterFacts)>;

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
            finite: !is_float(types.0),
            allowance: None,
            transforms: Transforms::Any,
        };
        let mut plan = Self {
            chain: chain.clone(),
            instead: None,
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
        if !plan.colour() {
            plan.build(setting)?;
        }
        plan.choose_tiles();
        Ok(plan)
    }

    /// Plans one pointwise layer from `u8` to `u8`, where 16-bit weights keep the contract, and says whether they do.
    fn colour(&mut self) -> bool {
        let [Layer::Pointwise(layer)] = self.layers() else { return false };
        // The limits of the samples are those of the others, too.
        let limits = matches!(layer.activation(), Activation::None | Activation::Relu);
        if self.types != (SampleType::U8, SampleType::U8) || !limits {
            return false;
        }
        let lanes = (self.level.lanes(), self.level.parts());
        let Some(weights) = ColourWeights::pack(layer.weights(), layer.bias(), lanes) else {
            return false;
        };
        let multiplications = layer.multiplications(self.input).unwrap_or(u64::MAX);
        self.bound = Some(weights.error());
        let stage = Stage::Colour(weights);
        self.segments.push(Segment::new(self.input, self.output, stage, multiplications));
        true
    }

    /// Plans all layers, in the way that takes least time.
    fn build(&mut self, setting: Setting) -> Result<(), Error> {
        let mut best = self.best(setting);
        if let Some(other) = mixes_first(&self.chain, self.types) {
            self.prefer(other, &mut best, setting);
        }
        // Any number of filters from each one on may be one.
        let mut at = 0;
        while at + 1 < self.layers().len() {
            let mut merging = merged(self.done(), at, self.types.0);
            while let Some(other) = merging {
                merging = merged(&other, at, self.types.0);
                self.prefer(other, &mut best, setting);
            }
            at += 1;
        }
        let Candidate { built, bound, noise, words, keeps } = best?;
        self.filters = built.filters;
        if !keeps {
            self.bound = Some(0.0);
            return Ok(());
        }
        (self.bound, self.noise, self.segments) = (bound, noise, built.segments);
        if let Some(words) = words {
            for (facts, stage) in self.filters.iter_mut().zip(words.filters()) {
                facts.arithmetic = stage.arithmetic.clone();
                (facts.method, facts.multiplications) =
                    (stage.pass.method(), stage.pass.multiplications());
            }
            self.segments[0].stages = words.stages;
        }
        Ok(())
    }

    /// Takes another chain that makes the same of images, if it takes less time than the best one so far, or if that one cannot
    /// be planned.
    fn prefer(&mut self, other: Chain, best: &mut Result<Candidate, Error>, setting: Setting) {
        let before = self.instead.replace(other);
        let good = |other: &Candidate| match &*best {
            Ok(best) if best.keeps => other.keeps && other.cost() < best.cost(),
            _ => other.keeps,
        };
        match self.best(setting).ok().filter(good) {
            Some(other) => *best = Ok(other),
            None => self.instead = before,
        }
    }

    /// The layers in their order, with and without methods that have an error or blocks, whatever takes less time.
    fn best(&self, setting: Setting) -> Result<Candidate, Error> {
        if let [Layer::Filter(filter)] = self.layers() {
            let (stage, facts) = FilterStage::new(filter, self.input, self.types, setting)?;
            let whole = facts.whole;
            let mut only = Candidate::of_filter(stage, facts);
            if self.instead.is_some() {
                let size = if is_float(self.types.0) { 1.0 } else { setting.opacity.full };
                let rounded = convolved(self.chain.layers(), whole, size);
                // Of a chain nothing is said where colours are divided by alpha.
                let divides = filter.get_alpha() == Some(Alpha::Premultiply);
                only.bound = only.bound.filter(|_| !divides).map(|bound| bound + rounded);
            }
            return Ok(only);
        }
        let setting = Setting { chained: true, ..setting };
        let allowances = self.allowances(setting.opacity.full);
        let exact = vec![None; allowances.len()];
        let mut best = self.candidate(setting, &allowances)?;
        let weigh = |best: &mut Candidate, setting, allowances| {
            match self.candidate(setting, allowances) {
                Ok(other) if !best.keeps || other.keeps && other.cost() < best.cost() => {
                    *best = other;
                }
                // A method that was asked for.
                Err(error) if !best.keeps => return Err(error),
                _ => {}
            }
            Ok(())
        };
        // What two rates add to errors may be too much, and what methods save less than what other rows cost.
        let stages = best.built.segments.iter().flat_map(|segment| &segment.stages);
        if stages.filter_map(Stage::filter).any(|filter| filter.pass.at_two_rates()) {
            weigh(&mut best, setting, &exact)?;
        }
        if best.built.segments.iter().any(Segment::makes_blocks) {
            weigh(&mut best, Setting { transforms: Transforms::None, ..setting }, &exact)?;
        }
        if !best.keeps && best.built.possible && !best.built.filters.is_empty() {
            best = self.candidate(Setting { precise: true, ..setting }, &exact)?;
        }
        Ok(best)
    }

    /// All layers, planned for a setting, where methods may make results of filters so far off.
    fn candidate(
        &self,
        setting: Setting,
        allowances: &[Option<Allowance>],
    ) -> Result<Candidate, Error> {
        let built = Built::new(self.layers(), self.input, self.types, setting, allowances)?;
        let source = (self.types.0, setting.opacity.full);
        let proof = Proof::of(self.layers(), source, built.filters.iter().map(Facts::of));
        // Where colours are divided by alpha, that is the error under full alpha.
        let shows = !is_float(self.types.0)
            && !is_float(self.types.1)
            && (proof.error.is_nan() || proof.error >= self.allowed(&proof));
        let words = match self.plain_filters(&built) {
            Some((mix, filters))
                if !shows && self.types.0 == SampleType::U8 && !is_float(self.types.1) =>
            {
                words::words((mix, &filters), allowances[0], self.allowed(&proof), proof.whole)
            }
            _ => None,
        };
        let (bound, noise) = match &words {
            Some(words) => (Some(words.bound), words.noise),
            None => (proof.bounded.then_some(proof.error), Noise::default()),
        };
        Ok(Candidate { keeps: built.possible && !shows, built, bound, noise, words })
    }

    /// What errors of results must be less than.
    fn allowed(&self, proof: &Proof) -> f64 {
        let keeps = self.layers().iter().all(keeps_constants);
        if proof.whole || keeps { ALLOWED_OF_CONSTANTS } else { ALLOWED }
    }

    /// How far off methods may make the results of each filter, so that with all else the chain's results are off by no
    /// more than is allowed; of floats, as far as the filter says. Samples are at most `full`.
    fn allowances(&self, full: f64) -> Vec<Option<Allowance>> {
        let filters = self.layers().iter().filter_map(|layer| match layer {
            Layer::Filter(filter) => Some(filter),
            _ => None,
        });
        let filters: Vec<_> = filters.collect();
        let long = filters.iter().filter(|filter| multirate::is_long(filter)).count();
        let exact = vec![Facts { bound: 0.0, whole: false }; filters.len()];
        let proof =
            |facts: &[Facts]| Proof::of(self.layers(), (self.types.0, full), facts.iter().copied());
        let mut lows = Vec::new();
        let facts = exact.iter().copied();
        let none = Proof::follow(self.layers(), (self.types.0, full), facts, |before| {
            // Floats have any range; and nothing but 0 may reach it.
            let low = before.range.0 / before.size().max(f64::MIN_POSITIVE);
            lows.push(if is_float(self.types.0) { -1.0 } else { low });
        });
        let of = |(i, filter): (usize, &&Filter)| {
            if !multirate::is_long(filter) {
                return None;
            }
            let given = filter.get_tolerance();
            let asked = filter.get_method() == Method::Multirate;
            let error = match [self.types.0, self.types.1].map(is_float) {
                [_, true] => given.or(asked.then_some(multirate::ASKED))?,
                [true, false] => return None,
                [false, false] => {
                    // What one unit of its error adds to that of the results.
                    let mut facts = exact.clone();
                    facts[i].bound = 1.0;
                    let each = proof(&facts).error - none.error;
                    let share = SHARE * self.allowed(&none) / (long as f64 * each);
                    given.map_or(share, |given| given.min(share))
                }
            };
            (error > 0.0).then_some(Allowance { error, low: lows[i] })
        };
        filters.iter().enumerate().map(of).collect()
    }

    /// The stages of a chain of filters in one segment, which leave alpha alone and whose borders' constants
    /// are samples, and a mix before them.
    fn plain_filters<'b>(
        &'b self,
        built: &'b Built,
    ) -> Option<(Option<&'b Pointwise>, Filters<'b>)> {
        let [only] = &built.segments[..] else { return None };
        let (mix, filters) = match self.layers() {
            [Layer::Pointwise(mix), filters @ ..] => (Some(mix), filters),
            filters => (None, filters),
        };
        let stages = &only.stages[usize::from(mix.is_some())..];
        let stages = stages.iter().zip(&built.filters).map(|(stage, facts)| match stage {
            Stage::Filter(stage) if !stage.widened => Some((&**stage, facts)),
            _ => None,
        });
        let plain = !filters.is_empty()
            && filters.iter().all(|layer| words::plain(layer).is_some())
            && mix.is_none_or(|mix| mix.activation() == Activation::None);
        let stages = stages.collect::<Option<Vec<_>>>().filter(|_| plain)?;
        Some((mix, stages))
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
