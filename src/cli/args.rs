//! The command line: one table of flags, from which help, completions and man page come. Names of
//! kernels come from the library's table, so that a new row of it appears here by itself.

mod chain;
mod help;
mod values;

pub use chain::{Kind, StageArgs, set};
pub use help::{completions, man};
pub use values::{
    AlphaArg, CompatArg, Compression, Depth, Explain, MethodArg, RangeArg, Sweep, Unseen,
};

use chain::KernelFlags;
use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::path::PathBuf;
use twopass::{Border, Level, Rect};
use values::{
    Offers, all_borders, borders, bytes, finite, formats, region, sweep, tolerance, unseen,
};

const INPUT: &str = "Input";
const OUTPUT: &str = "Output";
const VALUES: &str = "Borders and values";
const METHOD: &str = "Method and limits";
const REPORTS: &str = "Reports";

/// Filter images with a kernel, as two 1D passes where the kernel allows it.
#[derive(Debug, Clone, Parser)]
#[command(name = "filter", version, max_term_width = 100, styles = help::STYLES)]
pub struct Args {
    /// Images to filter: files, quoted patterns such as '*.png', folders with -r; `-` is standard
    /// input.
    ///
    /// PNG, JPEG, WebP, TIFF, BMP, GIF, PNM, PFM, QOI, HDR, EXR or TGA, told by its content. A pattern
    /// that names an existing file is that file; `**` stands for folders.
    #[arg(value_name = "INPUT", required_unless_present_any = [
        "files_from", "list_kernels", "explain", "show_kernel", "bench", "completions", "man",
    ])]
    pub input: Vec<PathBuf>,

    /// Filter all images in folders, and in folders in them.
    #[arg(short, long, help_heading = INPUT)]
    pub recursive: bool,

    /// With -r and patterns: also files and folders whose names begin with a dot.
    #[arg(long, help_heading = INPUT)]
    pub hidden: bool,

    /// Read names of images from a file (`-`: standard input), each ended by a newline or, if
    /// there is one in it, by NUL.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub files_from: Option<PathBuf>,

    /// Take the first of several pictures: of an animation's frames or a TIFF's pages, all of which are filtered
    /// otherwise, or of what is an error otherwise.
    #[arg(long, help_heading = INPUT)]
    pub first_frame: bool,

    /// Turn pictures with an Exif orientation upright and reset the tag. Without it pixels are
    /// filtered as stored and the tag stays, unless the output has no place for it.
    #[arg(long, help_heading = INPUT)]
    pub auto_orient: bool,

    #[command(flatten)]
    pub kernels: KernelFlags,

    /// The stages in order, each with its own parameters.
    #[arg(skip)]
    pub chain: Vec<StageArgs>,

    /// What lies outside the image.
    #[arg(long, value_name = "BORDER", help_heading = VALUES, hide_possible_values = true,
          value_parser = Offers { read: borders, names: all_borders })]
    pub border: Option<(Border, Border)>,

    /// Do as this tool does, where flags do not say otherwise: the size of a Gaussian that follows
    /// from its σ, and the border.
    #[arg(long, value_name = "TOOL", help_heading = VALUES)]
    pub compat: Option<CompatArg>,

    /// Multiplies the weighted sum [default: 1].
    #[arg(long, value_name = "X", help_heading = VALUES, allow_hyphen_values = true, value_parser = finite)]
    pub scale: Option<f64>,

    /// Added after that, in units of the output's samples (0 to 255 in 8 bits) [default: 0].
    #[arg(long, value_name = "X", help_heading = VALUES, allow_hyphen_values = true, value_parser = finite)]
    pub offset: Option<f64>,

    /// How signed results become pixels [default: abs for kernels whose taps sum to zero if the
    /// output has no negative values and there is no --offset, else clamp].
    #[arg(long, value_name = "RANGE", help_heading = VALUES)]
    pub range: Option<RangeArg>,

    /// Filter in linear light: integer samples are taken for sRGB, decoded before and encoded once
    /// after; --offset is added to encoded values. Float samples are linear already, and so are those of a PNG file
    /// that says it.
    #[arg(long, help_heading = VALUES)]
    pub linear: bool,

    /// Filter only these channels, copy the others: letters of rgba, numbers from 0 such as 0,2, or
    /// names of an EXR file's such as Z or spec.R,spec.G,spec.B (a layer is then the picture).
    #[arg(long, value_name = "CHANNELS", help_heading = VALUES)]
    pub channels: Option<String>,

    /// Filter only this part of the picture, copy the rest: column and row of its first pixel, width and height.
    #[arg(long, value_name = "X,Y,W,H", help_heading = VALUES, allow_hyphen_values = true, value_parser = region)]
    pub region: Option<Rect>,

    /// Blend the result with the input by the brightness of this picture, which is as large: where it is white, the
    /// result stands; where it is black, the input does.
    #[arg(long, value_name = "FILE", help_heading = VALUES)]
    pub mask: Option<PathBuf>,

    /// With --kernel unsharp: sharpen only where the picture differs from its blur by more than this, in units of the
    /// input's samples (0 to 255 in 8 bits).
    #[arg(long, value_name = "LEVELS", help_heading = VALUES, allow_hyphen_values = true, value_parser = finite,
          conflicts_with_all = ["scale", "offset", "range"])]
    pub threshold: Option<f64>,

    /// What happens to an alpha channel, where the input has one [default: premultiply if no
    /// weight is negative, else keep].
    #[arg(long, value_name = "ALPHA", help_heading = VALUES)]
    pub alpha: Option<AlphaArg>,

    /// The file to write, replaced if it is there; its extension names the format, without one it
    /// is the input's. `-` is standard output. Only for one input.
    ///
    /// Without it the result goes beside the input, in the input's format:
    /// `--kernel sobel-x input.png` writes `input.sobel-x.png`. A matrix is called `kernel`, a
    /// kernel file by its stem, a chain by its kernels: `input.gaussian+sobel-x.png`. With
    /// --explain, --verify, --bench, --compare or --preview and no place named, nothing is written.
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT,
          conflicts_with_all = ["out_dir", "in_place", "name"])]
    pub output: Option<PathBuf>,

    /// Write into this folder, under the input's name, or that of --name. What came from a
    /// folder, a pattern or --files-from keeps its place in the tree.
    #[arg(long, value_name = "DIR", help_heading = OUTPUT, conflicts_with = "in_place")]
    pub out_dir: Option<PathBuf>,

    /// Name of each output, made of {stem}, {kernel}, {ext} and text
    /// [default: {stem}.{kernel}.{ext}; with --out-dir {stem}.{ext}].
    #[arg(long, value_name = "TEMPLATE", help_heading = OUTPUT, conflicts_with = "in_place")]
    pub name: Option<String>,

    /// Replace every input by its result.
    #[arg(long, help_heading = OUTPUT, conflicts_with = "format")]
    pub in_place: bool,

    /// Replace outputs that are there already and differ (only -o, --in-place, --compare, --show-kernel and --plot do so
    /// unasked), and inputs in place even if something of them is lost.
    #[arg(long, help_heading = OUTPUT)]
    pub force: bool,

    /// Leave out inputs whose output is there already.
    #[arg(long, help_heading = OUTPUT, conflicts_with_all = ["force", "in_place"])]
    pub skip_existing: bool,

    /// Say what would be written, and write nothing.
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,

    /// Format of the output, as an extension: png, jpg, webp, tiff, bmp, gif, pnm, pgm, ppm, pam,
    /// pfm, qoi, hdr, exr, tga.
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, hide_possible_values = true,
          value_parser = Offers { read: |t| Ok(t.to_owned()), names: formats })]
    pub format: Option<String>,

    /// Bits of the output's samples, or f32 [default: the input's].
    #[arg(long, value_name = "DEPTH", help_heading = OUTPUT)]
    pub depth: Option<Depth>,

    /// Quality of JPEG files; colour is halved in both directions below 90. Other formats are
    /// lossless and ignore it [default: as the input, if it is a JPEG file, else 90].
    #[arg(long, value_name = "1-100", help_heading = OUTPUT,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,

    /// Effort of compression, of PNG [default: fast] and TIFF (Deflate) [default: the input's kind if it is a TIFF,
    /// else none]; other formats ignore it.
    #[arg(long, value_name = "EFFORT", help_heading = OUTPUT)]
    pub compression: Option<Compression>,

    /// Leave out what a file says beside its pixels (colour profile, Exif, XMP, resolution, comments …), which is
    /// kept where the format has a place for it.
    #[arg(long, help_heading = OUTPUT)]
    pub strip: bool,

    /// Make it an error if something of a file is not carried over to its result; otherwise it is a
    /// warning, and --in-place needs --force.
    #[arg(long, help_heading = OUTPUT)]
    pub strict: bool,

    /// Say nothing but failures.
    #[arg(short, long, help_heading = OUTPUT)]
    pub quiet: bool,

    /// Insist on two passes: a kernel that is not separable is an error that shows its rank.
    #[arg(long, help_heading = METHOD, conflicts_with = "method")]
    pub separable: bool,

    /// How the work is done.
    #[arg(long, value_name = "METHOD", help_heading = METHOD, default_value = "auto")]
    pub method: MethodArg,

    /// Use the best N products of each kernel only, by its singular values; a line says what that leaves out.
    #[arg(long, value_name = "N", help_heading = METHOD, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u16).range(1..=8))]
    pub terms: Option<u16>,

    /// Let the faster methods be off by T of the range, before rounding [default: what rounding hides, 0 for floats].
    #[arg(long, value_name = "T", help_heading = METHOD, allow_negative_numbers = true, value_parser = tolerance)]
    pub tolerance: Option<f64>,

    /// Use at most N threads, over all files [default: all cores].
    #[arg(long, value_name = "N", help_heading = METHOD, allow_negative_numbers = true)]
    pub threads: Option<usize>,

    /// Use this instruction set [default: the best of this machine].
    #[arg(long, value_name = "LEVEL", help_heading = METHOD, value_parser = Level::NAMES)]
    pub level: Option<String>,

    /// Work on at most N files at a time [default: --threads].
    #[arg(long, value_name = "N", help_heading = METHOD, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Refuse images of more pixels; a guard against files that claim absurd sizes.
    #[arg(long, value_name = "N", help_heading = METHOD, default_value_t = 1 << 28, allow_negative_numbers = true)]
    pub max_pixels: u64,

    /// Keep decoded and encoded pixels of all files at work below this, and refuse a file that
    /// needs more by itself; such as 512M or 2G [default: half of the free memory for several
    /// files, no limit for one].
    #[arg(long, value_name = "SIZE", help_heading = METHOD, value_parser = bytes)]
    pub max_memory: Option<u64>,

    /// Print the plan (rank, singular values, passes, arithmetic, multiplications, tiles, level) and
    /// how many samples were clipped, by channel; with =terms also the terms of the kernels, and their singular
    /// vectors. Needs no input.
    #[arg(long, value_name = "WHAT", help_heading = REPORTS, num_args = 0..=1, require_equals = true,
          default_missing_value = "plan")]
    pub explain: Option<Explain>,

    /// Without an input: the picture that --explain and --bench have in mind, as width, height, channels and samples:
    /// 640x480, 640x480x1 or 640x480x1:f32 (u8, u16, f32) [default: 1920x1080x3:u8].
    #[arg(long, value_name = "SHAPE", help_heading = REPORTS, value_parser = unseen,
          conflicts_with_all = ["input", "files_from"])]
    pub shape: Option<Unseen>,

    /// Draw the taps, factors and terms of the kernels to this file (PNG or SVG), and with --preview into the terminal.
    /// Needs no input.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub show_kernel: Option<PathBuf>,

    /// List all named kernels, with their parameters, defaults and other names; with --json as one array.
    #[arg(long, help_heading = REPORTS, conflicts_with_all = ["input", "files_from"])]
    pub list_kernels: bool,

    /// Compare the result with the slow reference; exit with 1 if it is off by more than the
    /// bound.
    ///
    /// Above 10^10 taps the edges and evenly spaced rows are compared. With --range stretch, --linear
    /// and --channels, and where alpha is handled and the depth changes, it is the values before
    /// that step.
    #[arg(long, help_heading = REPORTS)]
    pub verify: bool,

    /// Time the filter alone (RUNS times, 10 if not given), and plain 2D filtering beside it, where
    /// all stages are --kernel. Without an input it is noise that is filtered.
    #[arg(long, value_name = "RUNS", help_heading = REPORTS, num_args = 0..=1, allow_negative_numbers = true, default_missing_value = "10",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub bench: Option<u32>,

    /// With --bench: leave out plain 2D filtering, which is slow for large kernels.
    #[arg(long, help_heading = REPORTS)]
    pub no_naive: bool,

    /// With --bench and one named kernel: time it for each value of a parameter, such as size=3..63 or sigma=1..8:0.5
    /// (from, to, step), plain, dense and in two passes, and count multiplications.
    #[arg(long, value_name = "PARAMETER=FROM..TO[:STEP]", help_heading = REPORTS, requires = "bench",
          value_parser = sweep)]
    pub sweep: Option<Sweep>,

    /// With --sweep: draw times and multiplications to this file (PNG or SVG).
    #[arg(long, value_name = "FILE", help_heading = REPORTS, requires = "sweep")]
    pub plot: Option<PathBuf>,

    /// Write before and after, side by side, to this file. Only for one input.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub compare: Option<PathBuf>,

    /// Show the result of the one input in the terminal that standard output is: in pixels where the
    /// terminal is known to do that (kitty, iTerm2, WezTerm, Ghostty), else in half blocks.
    #[arg(long, help_heading = REPORTS, conflicts_with = "json")]
    pub preview: bool,

    /// Print one JSON object for each input on standard output, one a line, instead of text.
    #[arg(long, help_heading = REPORTS)]
    pub json: bool,

    /// Print a completion script for this shell.
    #[arg(long, value_name = "SHELL", hide = true, exclusive = true)]
    pub completions: Option<clap_complete::Shell>,

    /// Print the manual page.
    #[arg(long, hide = true, exclusive = true)]
    pub man: bool,
}

impl Args {
    /// Parses the command line. The error may be a request for help.
    pub fn parse_from(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = command();
        let matches = command.try_get_matches_from_mut(complete(args))?;
        let mut args = Self::from_arg_matches(&matches)?;
        args.chain = args
            .kernels
            .chain(&matches)
            .map_err(|e| command.error(clap::error::ErrorKind::ArgumentConflict, e))?;
        Ok(args)
    }

    /// Whether the user wants to know something, so that nothing need be written.
    pub fn reports(&self) -> bool {
        self.explain.is_some()
            || self.verify
            || self.preview
            || self.show_kernel.is_some()
            || self.bench.is_some()
            || self.compare.is_some()
    }
}

/// The command, with all of its help.
pub fn command() -> clap::Command {
    help::explained(Args::command())
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

#[cfg(test)]
mod tests {
    use super::*;
    use twopass::KernelParams;

    fn parse(args: &[&str]) -> Args {
        let all = ["filter"].iter().chain(args).map(OsString::from);
        Args::parse_from(all).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn bench_does_not_eat_the_input() {
        let args = parse(&["-k", "box", "--bench", "in.png"]);
        assert_eq!((args.bench, args.input), (Some(10), vec!["in.png".into()]));
        assert_eq!(parse(&["-k", "box", "in.png", "--bench", "3"]).bench, Some(3));
        assert_eq!(parse(&["-k", "box", "in.png", "--bench"]).bench, Some(10));
    }

    #[test]
    fn parameters_belong_to_the_kernel_before_them() {
        let sigma = |s| KernelParams { sigma: Some(s), ..Default::default() };
        let params =
            |args: &[&str]| parse(args).chain.into_iter().map(|k| k.params).collect::<Vec<_>>();
        assert_eq!(params(&["i", "--sigma", "2", "-k", "gaussian"]), [sigma(2.0)]);
        assert_eq!(params(&["i", "-k", "gaussian", "--sigma", "2"]), [sigma(2.0)]);
        let args = ["i", "--sigma=1", "-k", "gaussian", "-k", "log", "--sigma", "2", "--size", "9"];
        assert_eq!(params(&args), [sigma(1.0), KernelParams { size: Some(9), ..sigma(2.0) }]);
        let twice = ["filter", "i", "-k", "gaussian", "--sigma", "1", "--sigma", "2"];
        assert!(Args::parse_from(twice.map(OsString::from)).is_err());
    }
}
