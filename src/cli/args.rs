//! The command line: flags, their values, and the help text. Names of kernels come from the
//! library's table, so that a new row of it appears here by itself.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use twopass::{Border, KernelParams, Level, NamedKernel};

/// Filter an image with a kernel, as two 1D passes where the kernel allows it.
#[derive(Debug, Parser)]
#[command(name = "filter", version, max_term_width = 100, after_long_help = AFTER, styles = STYLES)]
pub struct Args {
    /// The image to filter; `-` is standard input.
    ///
    /// PNG, JPEG, WebP, TIFF, BMP, GIF, PNM, QOI, HDR, EXR or TGA, told by its content. Of an
    /// animation the first frame is read. A picture with an Exif orientation is turned upright.
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,

    /// The file to write; its extension names the format, without one it is the input's. `-` is
    /// standard output.
    ///
    /// Without it the result goes beside the input, in the input's format:
    /// `--kernel sobel-x input.png` writes `input.sobel-x.png`. A matrix writes
    /// `input.kernel.png`, a kernel file `input.STEM.png`. With --explain, --verify or --bench
    /// and no -o, nothing is written.
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    /// A named kernel, a matrix such as "1 2 1; 2 4 2; 1 2 1", or @FILE with a matrix in it.
    #[arg(short, long, value_name = "KERNEL", help_heading = KERNEL, allow_hyphen_values = true)]
    pub kernel: String,

    /// Taps a side, or across if --size-y is given as well.
    #[arg(long, value_name = "N", help_heading = KERNEL, allow_negative_numbers = true)]
    pub size: Option<usize>,

    /// Taps downwards [default: --size].
    #[arg(long, value_name = "N", help_heading = KERNEL, allow_negative_numbers = true)]
    pub size_y: Option<usize>,

    /// Standard deviation σ of a Gaussian, in pixels.
    #[arg(long, value_name = "σ", help_heading = KERNEL, allow_negative_numbers = true)]
    pub sigma: Option<f64>,

    /// Vertical standard deviation, in pixels [default: --sigma].
    #[arg(long, value_name = "σ", help_heading = KERNEL, allow_negative_numbers = true)]
    pub sigma_y: Option<f64>,

    /// Direction in degrees: of a movement, anticlockwise; of a wave, clockwise; from the right.
    #[arg(long, value_name = "DEG", help_heading = KERNEL, allow_negative_numbers = true)]
    pub angle: Option<f64>,

    /// Length of a movement, in pixels.
    #[arg(long, value_name = "PX", help_heading = KERNEL, allow_negative_numbers = true)]
    pub length: Option<f64>,

    /// Pixels from crest to crest of a wave.
    #[arg(long, value_name = "PX", help_heading = KERNEL, allow_negative_numbers = true)]
    pub wavelength: Option<f64>,

    /// Width of a Gabor kernel along the wave over that across it.
    #[arg(long, value_name = "X", help_heading = KERNEL, allow_negative_numbers = true)]
    pub aspect: Option<f64>,

    /// Phase of the wave in the middle, in degrees.
    #[arg(long, value_name = "DEG", help_heading = KERNEL, allow_negative_numbers = true)]
    pub phase: Option<f64>,

    /// Strength of sharpening; 1 adds the detail once.
    #[arg(long, value_name = "X", help_heading = KERNEL, allow_negative_numbers = true)]
    pub amount: Option<f64>,

    /// Wide σ over narrow σ in a difference of Gaussians.
    #[arg(long, value_name = "X", help_heading = KERNEL, allow_negative_numbers = true)]
    pub ratio: Option<f64>,

    /// The tap that lies on the output pixel: column and row, from 0 [default: the middle].
    #[arg(long, value_name = "X,Y", help_heading = KERNEL, value_parser = anchor)]
    pub anchor: Option<(usize, usize)>,

    /// What lies outside the image: one border, or two as `X/Y` for left and right / above and
    /// below [default: reflect101].
    ///
    /// replicate    aaaaaa|abcdefgh|hhhhhh{n}
    /// reflect      fedcba|abcdefgh|hgfedc{n}
    /// reflect101   gfedcb|abcdefgh|gfedcb{n}
    /// wrap         cdefgh|abcdefgh|abcdef{n}
    /// constant[:V[,V…]]   V (0) for all channels, or one V for each, in units of the input{n}
    /// valid        nothing: the output is smaller by the kernel's size less 1
    #[arg(long, value_name = "BORDER", help_heading = VALUES, value_parser = borders)]
    pub border: Option<(Border, Border)>,

    /// Multiplies the weighted sum [default: 1].
    #[arg(long, value_name = "X", help_heading = VALUES, allow_negative_numbers = true, value_parser = finite)]
    pub scale: Option<f64>,

    /// Added after that, in units of the output's samples (0 to 255 in 8 bits) [default: 0].
    #[arg(long, value_name = "X", help_heading = VALUES, allow_negative_numbers = true, value_parser = finite)]
    pub offset: Option<f64>,

    /// How signed results become pixels [default: abs for kernels whose taps sum to zero if the
    /// output has no negative values and there is no --offset, else clamp].
    #[arg(long, value_name = "RANGE", help_heading = VALUES)]
    pub range: Option<Range>,

    /// What happens to an alpha channel, where the input has one [default: premultiply if no
    /// weight is negative, else keep].
    #[arg(long, value_name = "ALPHA", help_heading = VALUES)]
    pub alpha: Option<AlphaArg>,

    /// Bits of the output's samples, or f32 [default: the input's].
    #[arg(long, value_name = "DEPTH", help_heading = OUTPUT)]
    pub depth: Option<Depth>,

    /// Insist on two passes: a kernel that is not separable is an error that shows its rank.
    #[arg(long, help_heading = METHOD, conflicts_with = "method")]
    pub separable: bool,

    /// How the work is done.
    #[arg(long, value_name = "METHOD", help_heading = METHOD, default_value = "auto")]
    pub method: MethodArg,

    /// Use at most N threads [default: all cores].
    #[arg(long, value_name = "N", help_heading = METHOD, allow_negative_numbers = true)]
    pub threads: Option<usize>,

    /// Use this instruction set [default: the best of this machine].
    #[arg(long, value_name = "LEVEL", help_heading = METHOD, value_parser = Level::NAMES)]
    pub level: Option<String>,

    /// Refuse images of more pixels; a guard against files that claim absurd sizes.
    #[arg(long, value_name = "N", help_heading = METHOD, default_value_t = 1 << 28, allow_negative_numbers = true)]
    pub max_pixels: u64,

    /// Print the plan: rank, singular values, passes, arithmetic, multiplications, tiles, level.
    #[arg(long, help_heading = REPORTS)]
    pub explain: bool,

    /// Compare the result with the slow reference; exit with 1 if it is off by more than the
    /// bound.
    ///
    /// Above 10^10 taps the edges and evenly spaced rows are compared. With --range stretch, and
    /// where alpha is handled and the depth changes, it is the values before that step.
    #[arg(long, help_heading = REPORTS)]
    pub verify: bool,

    /// Time the filter alone (RUNS times, 10 if not given), and plain 2D filtering beside it.
    #[arg(long, value_name = "RUNS", help_heading = REPORTS, num_args = 0..=1, allow_negative_numbers = true, default_missing_value = "10",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub bench: Option<u32>,

    /// With --bench: leave out plain 2D filtering, which is slow for large kernels.
    #[arg(long, help_heading = REPORTS)]
    pub no_naive: bool,

    /// Print one JSON object on standard output instead of text.
    #[arg(long, help_heading = REPORTS)]
    pub json: bool,
}

/// How signed results become pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Range {
    /// Cut off what is below 0 or above full scale
    Clamp,
    /// Take the absolute value
    Abs,
    /// Add half of full scale, so that 0 is mid-grey
    Offset,
    /// Map the result's own minimum and maximum to 0 and full scale
    Stretch,
}

/// What happens to an alpha channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlphaArg {
    /// Filter colour weighted by alpha, and alpha
    Premultiply,
    /// Filter alpha like any other channel
    Plain,
    /// Filter colour as it is, copy alpha
    Keep,
    /// Discard alpha before filtering
    Drop,
}

/// Bits of the output's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// 0 to 255
    #[value(name = "8")]
    U8,
    /// 0 to 65535
    #[value(name = "16")]
    U16,
    /// Floating point, 0 to 1 for what integers call full scale; may be negative
    F32,
}

/// How the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Two passes if the kernel is separable, else dense
    Auto,
    /// Two 1D passes
    Separable,
    /// One 2D pass
    Dense,
    /// The slow reference in double precision
    Naive,
}

const KERNEL: &str = "Kernel";
const VALUES: &str = "Borders and values";
const OUTPUT: &str = "Output";
const METHOD: &str = "Method and limits";
const REPORTS: &str = "Reports";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

const AFTER: &str = "\
Files:
  A result that a format cannot hold is an error that names the way out: --alpha drop, --depth, or
  another output. Grey becomes RGB, and alpha is added, where a format needs it. JPEG is written at
  quality 90, WebP without loss. Output files appear whole or not at all.

Examples:
  filter input.png --kernel sobel-x --separable
      horizontal edges in two passes, to input.sobel-x.png
  filter input.png --kernel gaussian --sigma 3 --sigma-y 0.5 -o soft.jpg
      a blur that is stronger across than down
  filter input.png --kernel \"0 -1 0; -1 5 -1; 0 -1 0\" --border replicate
      a matrix typed by hand, to input.kernel.png
  filter input.png --kernel @emboss.txt --range offset --anchor 0,0
      a matrix from a file, 0 as mid-grey, to input.emboss.png
  filter input.png --kernel sobel --depth 16 --range stretch -o edges.png
      the gradient's magnitude, in 16 bits, over the full range
  filter input.png --kernel gaussian --sigma 8 --explain --verify --bench 20
      how it is done, whether it is right, how fast it is; writes nothing

Exit codes:
  0  done               2  wrong usage          4  above a limit
  1  --verify failed    3  unreadable input     5  output not written";

impl Args {
    /// Parses the command line. The error may be a request for help.
    pub fn parse_from(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(complete(args))?;
        Self::from_arg_matches(&matches)
    }

    /// The parameters of named kernels.
    pub fn params(&self) -> KernelParams {
        KernelParams {
            size: self.size,
            size_y: self.size_y,
            sigma: self.sigma,
            sigma_y: self.sigma_y,
            angle: self.angle,
            length: self.length,
            wavelength: self.wavelength,
            aspect: self.aspect,
            phase: self.phase,
            amount: self.amount,
            ratio: self.ratio,
        }
    }
}

/// The command with the table of kernels in its help.
fn command() -> clap::Command {
    let names: Vec<_> = NamedKernel::all().iter().map(NamedKernel::name).collect();
    let width = names.iter().map(|n| n.len()).max().unwrap_or(0);
    let rows = NamedKernel::all().iter().map(|k| {
        let flags = |p: &[&str]| p.iter().map(|p| format!("--{p}")).collect::<Vec<_>>().join(" ");
        let takes = match k.params() {
            [] => String::new(),
            params => format!("\n{:width$}    {}", "", flags(params)),
        };
        format!("{:width$}  {}{takes}", k.name(), k.summary())
    });
    let what =
        "A named kernel, a matrix such as \"1 2 1; 2 4 2; 1 2 1\", or @FILE with a matrix in it";
    let long = format!(
        "{what}.\n\nRows of a matrix end at `;` or at the end of a line; numbers may be fractions, \
         `#` starts a comment, and rows `scale 1/16` and `anchor X Y` are understood. Kernels are \
         correlated with the image, not flipped. Named kernels, with what they take:\n\n{}",
        rows.collect::<Vec<_>>().join("\n")
    );
    let short = format!("{what}. Names: {}", names.join(", "));
    Args::command().mut_arg("kernel", |arg| arg.help(short).long_help(long))
}

/// `--bench` takes a number or nothing: where something else follows, it took nothing.
fn complete(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = args.into_iter().collect();
    let end = out.iter().position(|a| a == "--").unwrap_or(out.len());
    for i in 0..end {
        let number = |a: &OsString| a.to_str().is_some_and(|a| a.parse::<f64>().is_ok());
        if out[i] == "--bench" && !out.get(i + 1).is_some_and(number) {
            out[i] = "--bench=10".into();
        }
    }
    out
}

fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() { Ok(value) } else { Err("not a finite number".to_owned()) }
}

fn anchor(text: &str) -> Result<(usize, usize), String> {
    let (x, y) = text.split_once(',').ok_or("an anchor is a column and a row, such as 1,1")?;
    let number = |t: &str| {
        t.trim().parse().map_err(|_| format!("{:?} is not a column or row, which count from 0", t))
    };
    Ok((number(x)?, number(y)?))
}

fn borders(text: &str) -> Result<(Border, Border), String> {
    match text.split_once('/') {
        Some((x, y)) => Ok((border(x)?, border(y)?)),
        None => border(text).map(|b| (b.clone(), b)),
    }
}

fn border(text: &str) -> Result<Border, String> {
    match text {
        "replicate" => return Ok(Border::Replicate),
        "reflect" => return Ok(Border::Reflect),
        "reflect101" => return Ok(Border::Reflect101),
        "wrap" => return Ok(Border::Wrap),
        "valid" => return Ok(Border::Valid),
        "constant" => return Ok(Border::Constant(vec![0.0])),
        _ => {}
    }
    let values = text.strip_prefix("constant:").ok_or_else(|| {
        format!(
            "there is no border {text:?}; there are replicate, reflect, reflect101, wrap, \
             constant[:V[,V…]] and valid"
        )
    })?;
    let number = |t: &str| finite(t.trim()).map_err(|e| format!("constant {t:?} is {e}"));
    values.split(',').map(number).collect::<Result<_, _>>().map(Border::Constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_parameter_of_the_table_is_a_flag() {
        let command = command();
        for kernel in NamedKernel::all() {
            for param in kernel.params() {
                assert!(command.get_arguments().any(|a| a.get_long() == Some(param)), "{param}");
            }
        }
    }

    #[test]
    fn borders_are_read() {
        let two = (Border::Wrap, Border::Constant(vec![1.0, -2.5]));
        assert_eq!(borders("wrap/constant:1,-2.5"), Ok(two));
        assert_eq!(borders("valid"), Ok((Border::Valid, Border::Valid)));
        for bad in
            ["", "mirror", "wrap/", "constant:", "constant:x", "constant:NaN", "wrap/wrap/wrap"]
        {
            assert!(borders(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bench_does_not_eat_the_input() {
        let parse = |a: &[&str]| Args::parse_from(a.iter().map(OsString::from)).unwrap();
        let args = parse(&["filter", "-k", "box", "--bench", "in.png"]);
        assert_eq!((args.bench, args.input), (Some(10), "in.png".into()));
        assert_eq!(parse(&["filter", "-k", "box", "in.png", "--bench", "3"]).bench, Some(3));
        assert_eq!(parse(&["filter", "-k", "box", "in.png", "--bench"]).bench, Some(10));
    }
}
