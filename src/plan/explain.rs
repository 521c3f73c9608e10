//! A plan in words, as `--explain` prints it.

use super::arithmetic::Arithmetic;
use super::segment::{LayerStage, Segment, Stage, WindowKind};
use super::{AnyPlan, Plan};
use crate::filter::{Filter, Method};
use crate::layer::Layer;
use crate::sample::SampleType;
use std::fmt;

impl AnyPlan {
    /// What is done to rows, a line each, first to last.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        if let [Layer::Filter(filter)] = self.layers() {
            return match self.segments.first().and_then(Segment::alone) {
                Some(stage) => stage.describe(),
                None => {
                    let kernel = &filter.kernels()[0];
                    let count = if filter.kernels().len() == 2 { "two kernels, " } else { "" };
                    let (width, height) = (kernel.width(), kernel.height());
                    vec![format!("reference: {count}{width}×{height} taps, one by one")]
                }
            };
        }
        let lines = self.stages().into_iter().map(|stage| {
            let (layer, sums) = (stage.layer, stage.arithmetic);
            match (stage.method, sums) {
                (None, _) => layer.to_string(),
                (_, Arithmetic::Reference) => format!("{layer}: reference"),
                (_, Arithmetic::RunningI32 | Arithmetic::RunningI16 | Arithmetic::TreeSums) => {
                    format!("{layer}: {sums}")
                }
                (Some(method), _) => {
                    let what = match method {
                        Method::Separable => "column pass and row pass",
                        Method::Terms => "sum of terms",
                        Method::Runs => "sparse pass",
                        Method::Multirate => "two rates",
                        Method::Fft => "transforms of blocks",
                        Method::Dense | Method::Naive | Method::Auto => "dense pass",
                    };
                    format!("{layer}: {what}, {sums}")
                }
            }
        });
        lines.collect()
    }

    /// The arithmetic, its error bound and why it cannot overflow, in a line; of a chain what its rows are.
    #[must_use]
    pub fn proof(&self) -> String {
        if let ([Layer::Filter(_)], [facts]) = (self.layers(), &self.filters[..]) {
            return facts.arithmetic.to_string();
        }
        if self.segments.is_empty() {
            return "f64, by the reference".to_owned();
        }
        let bound = match self.bound {
            Some(0.0) => ", exact".to_owned(),
            Some(bound) => format!(", error at most {bound:.3e} before rounding"),
            None => String::new(),
        };
        if let [Stage::Colour(weights)] = &self.segments[0].stages[..] {
            return format!("16-bit weights into i32 ({} fraction bits){bound}", weights.shift());
        }
        let first = &self.segments[0].stages;
        if first.len() > 1 && first[0].writes() == SampleType::I16 {
            let (gain, bias) = (self.noise.gain, self.noise.bias);
            let mean = match self.bound {
                Some(0.0) => String::new(),
                _ => format!(", {bias:+.4} in the mean (gain {gain:+.1e})"),
            };
            return format!("16-bit rows between filters{bound}{mean}");
        }
        match self.types.0 {
            SampleType::F32 => "f32 rows between layers".to_owned(),
            _ => format!("f32 rows between layers{bound}"),
        }
    }

    fn explain_filter(&self, f: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
        let kernel = &filter.kernels()[0];
        let (border_x, border_y) = filter.get_borders();
        let (width, height) = (kernel.width(), kernel.height());
        writeln!(f, "kernel:          {width}×{height}, anchor {:?}", kernel.anchor())?;
        let method = self.filters.first().map(|facts| facts.method).unwrap_or_default();
        for s in self.filters.iter().flat_map(|facts| facts.separations.of(filter)) {
            write!(f, "separation:      rank {}, residual {:.3e}", s.rank(), s.residual(1))?;
            match s.singular_values() {
                Some(values) if values.len() <= 8 => writeln!(f, ", singular values {values:.6?}")?,
                Some(values) => writeln!(f, ", singular values {:.6?}…", &values[..8])?,
                None => writeln!(f)?,
            }
        }
        if border_x == border_y {
            writeln!(f, "border:          {border_x}")?;
        } else {
            writeln!(f, "border:          {border_x} across, {border_y} down")?;
        }
        writeln!(f, "method:          {method}")?;
        for (i, step) in self.steps().iter().enumerate() {
            writeln!(f, "stage {:<10} {step}", format!("{}:", i + 1))?;
        }
        Ok(())
    }

    fn explain_chain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps().iter().enumerate() {
            writeln!(f, "layer {:<10} {step}", format!("{}:", i + 1))?;
        }
        for (i, segment) in self.segments.iter().enumerate() {
            let stages: Vec<_> = segment.stages.iter().map(ToString::to_string).collect();
            writeln!(
                f,
                "segment {:<8} {} → {}, {}",
                format!("{}:", i + 1),
                segment.input,
                segment.output,
                stages.join(", ")
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(_) => f.write_str("filter"),
            Self::Colour(_) => f.write_str("mix"),
            Self::Layers(layers) => layers.fmt(f),
        }
    }
}

impl fmt::Display for LayerStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = match self.window.as_ref().map(|window| &window.kind) {
            Some(WindowKind::Depthwise { passes: Some(_), .. }) => "depthwise in two passes",
            Some(WindowKind::Depthwise { .. }) => "depthwise",
            Some(WindowKind::Dense(_)) => "convolution",
            None if self.mixes.is_empty() => "widen to f32",
            None => "",
        };
        let mixes = match self.mixes.len() {
            0 => String::new(),
            1 => "mix".to_owned(),
            n => format!("{n} mixes"),
        };
        let and = if window.is_empty() || mixes.is_empty() { "" } else { " and " };
        write!(f, "{window}{and}{mixes}")
    }
}

impl fmt::Display for AnyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, target) = self.types;
        writeln!(f, "image:           {} {source} → {} {target}", self.input, self.output)?;
        if let Some(other) = &self.instead {
            writeln!(f, "done as:         {other}")?;
        }
        match self.layers() {
            [Layer::Filter(filter)] => self.explain_filter(f, filter)?,
            _ => self.explain_chain(f)?,
        }
        writeln!(f, "arithmetic:      {}", self.proof())?;
        let (ours, naive) =
            (self.multiplications_per_sample(), self.naive_multiplications_per_sample());
        write!(f, "multiplications: {ours} per sample (2D: {naive})")?;
        match self.layers() {
            [Layer::Filter(_)] => writeln!(f)?,
            _ => writeln!(f, ", {} in all", self.multiplications())?,
        }
        writeln!(f, "executed:        {} per sample", self.operations_per_sample())?;
        for segment in &self.segments {
            let Segment { tile, rows, strip, .. } = segment;
            if segment.alone().is_some() {
                writeln!(f, "tiles:           {tile} pixels × {strip} rows")?;
            } else {
                writeln!(f, "tiles:           {tile} × {rows} pixels, in strips of {strip} rows")?;
            }
        }
        write!(f, "level:           {}, {} thread(s)", self.level, self.workers())
    }
}

impl<I, O> fmt::Display for Plan<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
