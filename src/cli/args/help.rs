//! Help: the texts that are not a flag's own, completions and the manual page.

use super::Args;
use crate::cli::mix::NamedMix;
use clap::CommandFactory;
use clap::builder::styling::{AnsiColor, Styles};
use twopass::NamedKernel;

pub const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

pub const AFTER: &str = "\
Files:
  Outputs appear whole or not at all, and an output that is there already is only replaced by -o,
  --in-place or --force. One file that fails does not stop the others; the exit code is that of
  the first that failed. Colour profile and Exif data are kept where the format has a place for
  them. A result that a format cannot hold is an error that names the way out: --alpha drop,
  --depth, or another output. Grey becomes RGB, and alpha is added, where a format needs it.

Chains:
  --kernel, --depthwise and --mix may repeat, in any order: they are applied left to right, in one
  walk over the picture, and nothing is rounded or cut off between them. --border is that of
  every kernel; --scale, --offset and --range are for the last stage. A mix that takes the
  colours carries an alpha channel along; what comes out, 1, 2, 3 or 4 channels, is written
  as grey, grey and alpha, RGB or RGBA.

Examples:
  filter input.png --kernel sobel-x --separable
      horizontal edges in two passes, to input.sobel-x.png
  filter input.png --kernel gaussian --sigma 3 --sigma-y 0.5 -o soft.jpg
      a blur that is stronger across than down
  filter -r photos --kernel sharpen --out-dir sharp --skip-existing
      a folder of photographs, to the same names in another; go on where it was left
  filter 'scans/*.tiff' --kernel gaussian --name {stem}-soft.{ext} --jobs 2 --max-memory 1G
      many files, two at a time, in bounded memory
  find . -name '*.png' -print0 | filter --files-from - --kernel unsharp --in-place
      a list of files, each replaced by its result
  curl -s https://example.org/a.jpg | filter - --kernel box --format png -o - > a.png
      a pipe
  filter input.png --kernel gaussian --sigma 2 --kernel laplacian --range offset
      a chain: the Laplacian of a blurred picture, 0 as mid-grey
  filter input.png --mix luma --kernel sobel -o edges.png
      edges of the grey picture, and a grey file
  filter input.png --mix ycbcr --depthwise identity --depthwise box --depthwise box \
                   --mix from-ycbcr -o clean.png
      colour noise blurred, brightness left as it is
  filter input.png --mix \"1.1 0 0; 0 1 0; 0 0 0.9\" -o warm.png
      a warmer picture
  filter input.png --kernel gaussian --sigma 8 --linear -o glow.png
      a blur in linear light, as a lens does it
  filter input.png --kernel unsharp --compare both.png
      before | after
  filter input.png --kernel \"0 -1 0; -1 5 -1; 0 -1 0\" --border replicate
      a matrix typed by hand, to input.kernel.png
  filter input.png --kernel @emboss.txt --range offset --anchor 0,0
      a matrix from a file, 0 as mid-grey, to input.emboss.png
  filter input.png --kernel gaussian --sigma 8 --explain --verify --bench 20
      how it is done, whether it is right, how fast it is; writes nothing

Exit codes:
  0  done               2  wrong usage          4  above a limit
  1  --verify failed    3  unreadable input     5  output not written";

/// The command with the table of kernels in its help.
pub fn command() -> clap::Command {
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
    let (mix_short, mix_long) = mixes();
    Args::command()
        .mut_arg("kernel", |arg| arg.help(short).long_help(long))
        .mut_arg("mix", |arg| arg.help(mix_short).long_help(mix_long))
}

/// The helps of `--mix`, with the table of named mixes.
fn mixes() -> (String, String) {
    let names: Vec<_> = NamedMix::all().iter().map(|m| m.name).collect();
    let width = names.iter().map(|n| n.len()).max().unwrap_or(0);
    let rows = NamedMix::all().iter().map(|m| format!("{:width$}  {}", m.name, m.summary));
    let what = "A matrix over the channels of each pixel, such as \"0.299 0.587 0.114\", or @FILE \
                with a matrix in it";
    let long = format!(
        "{what}.\n\nA row for each channel of the result, ended by `;` or a new line; a number \
         for each colour, and perhaps one more that is added, in units of the input's samples. \
         Alpha is carried along; a row of two numbers more than there are colours mixes it \
         too: colours, alpha, and what is added. Named mixes:\n\n{}",
        rows.collect::<Vec<_>>().join("\n")
    );
    (format!("{what}. Names: {}", names.join(", ")), long)
}

/// The completion script for a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command(), "filter", &mut out);
    out
}

/// The manual page, in roff.
pub fn man() -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    clap_mangen::Man::new(command()).render(&mut out)?;
    Ok(out)
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
}
