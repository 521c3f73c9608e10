//! The stages of a chain, each with the parameters that were given for it.
//!
//! `--kernel`, `--depthwise`, `--mix` and the parameters of named kernels may repeat. Where they
//! stand on the command line says in which order they are applied and what belongs together, so
//! this looks at positions: a parameter belongs to the last kernel before it, one before the first
//! kernel to the first.

use super::values::{Offers, anchor, finite, kernel_names, mix_names};
use clap::ArgMatches;
use twopass::KernelParams;

const KERNEL: &str = "Stages";

/// The flags that describe kernels.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = KERNEL)]
pub struct KernelFlags {
    /// A named kernel, a matrix such as "1 2 1; 2 4 2; 1 2 1", or @FILE with a matrix in it.
    #[arg(short, long, value_name = "KERNEL", allow_hyphen_values = true, hide_possible_values = true,
          value_parser = Offers { read: text, names: kernel_names },
          required_unless_present_any = ["mix", "depthwise", "list_kernels", "completions", "man"])]
    pub kernel: Vec<String>,

    /// A kernel of its own for each colour: as many of these in a row as the picture has.
    ///
    /// Each is what --kernel takes. Kernels of different size lie on each other by their anchors.
    /// Colours are filtered as they are; an alpha channel is kept, or has one kernel more.
    #[arg(long, value_name = "KERNEL", allow_hyphen_values = true, hide_possible_values = true,
          value_parser = Offers { read: text, names: kernel_names })]
    pub depthwise: Vec<String>,

    /// A matrix over the channels of each pixel: a named one, numbers, or @FILE.
    #[arg(long, value_name = "MATRIX", allow_hyphen_values = true, hide_possible_values = true,
          value_parser = Offers { read: text, names: mix_names })]
    pub mix: Vec<String>,

    /// Taps a side, or across if --size-y is given as well.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub size: Vec<usize>,

    /// Taps downwards [default: --size].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub size_y: Vec<usize>,

    /// Standard deviation σ of a Gaussian, in pixels.
    #[arg(long, value_name = "σ", allow_hyphen_values = true, value_parser = finite)]
    pub sigma: Vec<f64>,

    /// Vertical standard deviation, in pixels [default: --sigma].
    #[arg(long, value_name = "σ", allow_hyphen_values = true, value_parser = finite)]
    pub sigma_y: Vec<f64>,

    /// Direction in degrees: of a movement, anticlockwise; of a wave, clockwise; from the right.
    #[arg(long, value_name = "DEG", allow_hyphen_values = true, value_parser = finite)]
    pub angle: Vec<f64>,

    /// Length of a movement, in pixels.
    #[arg(long, value_name = "PX", allow_hyphen_values = true, value_parser = finite)]
    pub length: Vec<f64>,

    /// Radius of a disc or ring, in pixels.
    #[arg(long, value_name = "PX", allow_hyphen_values = true, value_parser = finite)]
    pub radius: Vec<f64>,

    /// Radius of the hole in a ring, in pixels [default: half of --radius].
    #[arg(long, value_name = "PX", allow_hyphen_values = true, value_parser = finite)]
    pub inner: Vec<f64>,

    /// Pixels over which a disc or ring falls off at its edges; 0 is a sharp edge [default: 1].
    #[arg(long, value_name = "PX", allow_hyphen_values = true, value_parser = finite)]
    pub edge: Vec<f64>,

    /// Pixels from crest to crest of a wave.
    #[arg(long, value_name = "PX", allow_hyphen_values = true, value_parser = finite)]
    pub wavelength: Vec<f64>,

    /// Width of a Gabor kernel along the wave over that across it.
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = finite)]
    pub aspect: Vec<f64>,

    /// Phase of the wave in the middle, in degrees.
    #[arg(long, value_name = "DEG", allow_hyphen_values = true, value_parser = finite)]
    pub phase: Vec<f64>,

    /// Strength of sharpening; 1 adds the detail once.
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = finite)]
    pub amount: Vec<f64>,

    /// Wide σ over narrow σ in a difference of Gaussians.
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = finite)]
    pub ratio: Vec<f64>,

    /// The tap that lies on the output pixel: column and row, from 0 [default: the middle].
    #[arg(long, value_name = "X,Y", value_parser = anchor)]
    pub anchor: Vec<(usize, usize)>,

    /// Divide the taps of every kernel by their sum, or by the sum of their magnitudes where that is 0.
    #[arg(long)]
    pub normalize: bool,

    /// Turn every kernel by 180°, which makes the correlation a convolution.
    #[arg(long)]
    pub flip: bool,
}

/// Names, matrices and files: what they mean is found out later.
fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// What a stage does with its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A kernel for all channels.
    Kernel,
    /// One for one channel, in a row of several.
    Depthwise,
    /// A mix of the channels.
    Mix,
}

/// One kernel, or one mix, of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct StageArgs {
    pub kind: Kind,
    /// A name, a matrix or `@FILE`.
    pub text: String,
    pub params: KernelParams,
    pub anchor: Option<(usize, usize)>,
}

impl KernelFlags {
    /// The stages in order, with what was given for each.
    pub fn chain(&self, matches: &ArgMatches) -> Result<Vec<StageArgs>, String> {
        let all = |kind, id, texts: &[String]| {
            let stages = texts.iter().map(move |text| StageArgs::new(kind, text));
            indices(matches, id).into_iter().zip(stages).collect::<Vec<_>>()
        };
        let mut stages = all(Kind::Kernel, "kernel", &self.kernel);
        stages.extend(all(Kind::Depthwise, "depthwise", &self.depthwise));
        stages.extend(all(Kind::Mix, "mix", &self.mix));
        stages.sort_by_key(|(at, _)| *at);
        let (starts, chain) = stages.into_iter().unzip();
        let mut builder = Builder { matches, starts, chain };
        builder.put("size", &self.size, |k| &mut k.params.size)?;
        builder.put("size-y", &self.size_y, |k| &mut k.params.size_y)?;
        builder.put("sigma", &self.sigma, |k| &mut k.params.sigma)?;
        builder.put("sigma-y", &self.sigma_y, |k| &mut k.params.sigma_y)?;
        builder.put("angle", &self.angle, |k| &mut k.params.angle)?;
        builder.put("length", &self.length, |k| &mut k.params.length)?;
        builder.put("radius", &self.radius, |k| &mut k.params.radius)?;
        builder.put("inner", &self.inner, |k| &mut k.params.inner)?;
        builder.put("edge", &self.edge, |k| &mut k.params.edge)?;
        builder.put("wavelength", &self.wavelength, |k| &mut k.params.wavelength)?;
        builder.put("aspect", &self.aspect, |k| &mut k.params.aspect)?;
        builder.put("phase", &self.phase, |k| &mut k.params.phase)?;
        builder.put("amount", &self.amount, |k| &mut k.params.amount)?;
        builder.put("ratio", &self.ratio, |k| &mut k.params.ratio)?;
        builder.put("anchor", &self.anchor, |k| &mut k.anchor)?;
        Ok(builder.chain)
    }
}

impl StageArgs {
    fn new(kind: Kind, text: &str) -> Self {
        Self { kind, text: text.to_owned(), params: KernelParams::default(), anchor: None }
    }
}

/// Sets a parameter by its name. Not if there is none, or if this is no value of it.
pub fn set(params: &mut KernelParams, name: &str, value: f64) -> bool {
    let whole = || (value.fract() == 0.0 && (0.0..1e9).contains(&value)).then_some(value as usize);
    let to = match name {
        "size" | "size-y" => {
            let to = if name == "size" { &mut params.size } else { &mut params.size_y };
            *to = whole();
            return to.is_some();
        }
        "sigma" => &mut params.sigma,
        "sigma-y" => &mut params.sigma_y,
        "angle" => &mut params.angle,
        "length" => &mut params.length,
        "radius" => &mut params.radius,
        "inner" => &mut params.inner,
        "edge" => &mut params.edge,
        "wavelength" => &mut params.wavelength,
        "aspect" => &mut params.aspect,
        "phase" => &mut params.phase,
        "amount" => &mut params.amount,
        "ratio" => &mut params.ratio,
        _ => return false,
    };
    *to = Some(value);
    true
}

struct Builder<'a> {
    matches: &'a ArgMatches,
    /// Where each stage stands on the command line.
    starts: Vec<usize>,
    chain: Vec<StageArgs>,
}

impl Builder<'_> {
    fn put<T: Copy>(
        &mut self,
        flag: &str,
        values: &[T],
        field: impl Fn(&mut StageArgs) -> &mut Option<T>,
    ) -> Result<(), String> {
        let id = flag.replace('-', "_");
        for (&value, at) in values.iter().zip(indices(self.matches, &id)) {
            let kernels = || {
                let all = self.starts.iter().zip(&self.chain).enumerate();
                all.filter(|(_, (_, stage))| stage.kind != Kind::Mix)
            };
            let before = kernels().rfind(|(_, (start, _))| **start < at);
            let Some((owner, _)) = before.or_else(|| kernels().next()) else {
                return Err(format!("--{flag} is for kernels, and there is none"));
            };
            let stage = &mut self.chain[owner];
            if field(stage).replace(value).is_some() {
                let text = &stage.text;
                return Err(format!("--{flag} is given more than once for the kernel {text:?}"));
            }
        }
        Ok(())
    }
}

fn indices(matches: &ArgMatches, id: &str) -> Vec<usize> {
    matches.indices_of(id).into_iter().flatten().collect()
}
