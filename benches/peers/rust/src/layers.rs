//! This crate's layers: fused as its plans are, or each a plan of its own with whole maps between
//! them.
//!
//! ```text
//! how level     | input output | width height channels threads | layer | layer …
//! fused default | f32 f32      | 112 112 32 1 | depthwise 3 3 2 relu6 | pointwise 64 relu6
//! apart avx2    | u8 u8        | 3840 2160 3 1 | pointwise 3 none
//! ```
//!
//! A depthwise layer has width, height, stride and activation, a pointwise one outputs and
//! activation, a convolution (`conv`) width, height, stride, outputs and activation. Padding is
//! "same". Each takes its weights in Keras order, then its bias, from where the last one stopped.

use crate::abi::Job;
use twopass::{
    Activation, Chain, Plan, Conv2d, Depthwise, Error, Image, Layer, Level, Padding,
    Pointwise, Sample, Shape, Source, View, ViewMut, Window, Workspace, reference,
};

pub fn make(spec: &str, weights: &[f32]) -> Result<Job, String> {
    let parts: Vec<Vec<&str>> =
        spec.split('|').map(|part| part.split_whitespace().collect()).collect();
    let [who, types, sizes, lines @ ..] = parts.as_slice() else {
        return Err(format!("{spec:?} has too few parts"));
    };
    let ([how, level], Ok([width, height, channels, threads])) =
        (who.as_slice(), <[usize; 4]>::try_from(numbers(sizes)?))
    else {
        return Err("how and level; width, height, channels and threads are needed".to_owned());
    };
    let layers = Weights { rest: weights, channels }.layers(lines)?;
    let fused = match *how {
        "fused" => true,
        "apart" => false,
        other => return Err(format!("fused or apart, not {other:?}")),
    };
    let level = match *level {
        "default" => None,
        name => Some(Level::named(name).map_err(text)?),
    };
    let shape = Shape::new(width, height, channels);
    match types.as_slice() {
        ["f32", "f32"] if fused => whole::<f32, f32>(layers, shape, level, threads),
        ["f32", "f32"] => apart(layers, shape, level, threads),
        ["u8", "u8"] if fused => whole::<u8, u8>(layers, shape, level, threads),
        _ => Err(format!("no row of layers has the types {types:?}")),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn numbers(words: &[&str]) -> Result<Vec<usize>, String> {
    words.iter().map(|w| w.parse().map_err(|_| format!("{w:?} is no number"))).collect()
}

/// The weights that no layer has taken yet, and the channels that the next one reads.
struct Weights<'a> {
    rest: &'a [f32],
    channels: usize,
}

impl Weights<'_> {
    fn layers(mut self, lines: &[Vec<&str>]) -> Result<Vec<Layer>, String> {
        let layers = lines.iter().map(|line| self.layer(line)).collect::<Result<_, _>>()?;
        if !self.rest.is_empty() {
            return Err(format!("{} weights are left", self.rest.len()));
        }
        Ok(layers)
    }

    fn take(&mut self, count: usize) -> Result<&[f32], String> {
        let (own, rest) = self.rest.split_at_checked(count).ok_or("too few weights")?;
        self.rest = rest;
        Ok(own)
    }

    fn layer(&mut self, line: &[&str]) -> Result<Layer, String> {
        let [kind, sizes @ .., activation] = line else {
            return Err("a layer needs a name and an activation".to_owned());
        };
        let activation = match *activation {
            "none" => Activation::None,
            "relu6" => Activation::Relu6,
            other => return Err(format!("no activation {other:?}")),
        };
        let inputs = self.channels;
        let same = |stride| Window::new().stride(stride, stride).padding(Padding::Same);
        Ok(match (*kind, numbers(sizes)?.as_slice()) {
            ("depthwise", &[width, height, stride]) => {
                let taps = self.take(width * height * inputs)?;
                Depthwise::from_keras(taps, [height, width, inputs, 1])
                    .and_then(|layer| layer.with_window(same(stride)))
                    .map_err(text)?
                    .with_bias(self.take(inputs)?)
                    .map_err(text)?
                    .with_activation(activation)
                    .into()
            }
            ("pointwise", &[outputs]) => {
                self.channels = outputs;
                Pointwise::from_keras(self.take(inputs * outputs)?, [1, 1, inputs, outputs])
                    .map_err(text)?
                    .with_bias(self.take(outputs)?)
                    .map_err(text)?
                    .with_activation(activation)
                    .into()
            }
            ("conv", &[width, height, stride, outputs]) => {
                self.channels = outputs;
                let taps = self.take(width * height * inputs * outputs)?;
                Conv2d::from_keras(taps, [height, width, inputs, outputs])
                    .and_then(|layer| layer.with_window(same(stride)))
                    .map_err(text)?
                    .with_bias(self.take(outputs)?)
                    .map_err(text)?
                    .with_activation(activation)
                    .into()
            }
            _ => return Err(format!("no layer {line:?}")),
        })
    }
}

/// All layers as one chain.
fn chain(layers: Vec<Layer>, level: Option<Level>, threads: usize) -> Result<Chain, String> {
    let mut layers = layers.into_iter();
    let mut chain = Chain::new(layers.next().ok_or("a layer is needed")?).threads(threads);
    for layer in layers {
        chain = chain.then(layer).map_err(text)?;
    }
    Ok(if let Some(level) = level { chain.level(level) } else { chain })
}

/// The definition of a chain, for its whole output.
fn defined<I: Source, O: Sample>(job: Job, plan: &Plan<I, O>) -> Result<Job, String> {
    let (chain, shape) = (plan.chain().clone(), plan.input_shape());
    let exact = move |source: &[I], _| {
        let source = View::new(source, shape).map_err(text)?;
        reference::layer::chain(&chain, source).map_err(text)
    };
    Ok(job.with_definition(shape.samples().map_err(text)?, exact, plan.to_string()))
}

fn lengths<I: Source, O: Sample>(plan: &Plan<I, O>) -> Result<[usize; 2], String> {
    Ok([plan.input_shape().samples().map_err(text)?, plan.output_shape().samples().map_err(text)?])
}

fn whole<I: Source, O: Sample>(
    layers: Vec<Layer>,
    shape: Shape,
    level: Option<Level>,
    threads: usize,
) -> Result<Job, String> {
    let plan = chain(layers, level, threads)?.plan::<I, O>(shape).map_err(text)?;
    let mut workspace = Workspace::new();
    let own = plan.clone();
    let job = Job::new(lengths(&plan)?, move |source: &[I], out: &mut [O]| {
        let mut run = || {
            let source = View::new(source, own.input_shape())?;
            own.run(source, ViewMut::new(out, own.output_shape())?, &mut workspace)
        };
        run().map_err(text)
    });
    defined(job, &plan)
}

fn apart(
    layers: Vec<Layer>,
    shape: Shape,
    level: Option<Level>,
    threads: usize,
) -> Result<Job, String> {
    let plan = chain(layers.clone(), level, threads)?.plan::<f32, f32>(shape).map_err(text)?;
    let mut steps = Vec::new();
    let mut between = shape;
    for layer in layers {
        let plan = chain(vec![layer], level, threads)?.plan::<f32, f32>(between).map_err(text)?;
        between = plan.output_shape();
        steps.push((plan, Image::<f32>::new(between).map_err(text)?));
    }
    let mut workspace = Workspace::new();
    let job = Job::new(lengths(&plan)?, move |source: &[f32], out: &mut [f32]| {
        let mut run = || {
            let source = View::new(source, shape)?;
            for i in 0..steps.len() {
                let (done, rest) = steps.split_at_mut(i);
                let source = done.last().map_or(source, |(_, map)| map.view());
                let last = rest.len() == 1;
                let (plan, map) = &mut rest[0];
                let out =
                    if last { ViewMut::new(out, plan.output_shape())? } else { map.view_mut() };
                plan.run(source, out, &mut workspace)?;
            }
            Ok(())
        };
        run().map_err(text)
    });
    defined(job, &plan)
}
