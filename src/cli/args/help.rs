//! Help: the texts that are not a flag's own, from which `--help` and the manual page are made alike; and completions.

use super::values::{border_names, kernel_names, mix_names};
use crate::cli::list;
use crate::cli::mix::NamedMix;
use crate::cli::text::{KEPT, whole, wrapped, wrapped_flags};
use clap::Command;
use clap::builder::styling::{AnsiColor, Styles};
use roff::{Roff, bold, roman};
use twopass::NamedKernel;

pub const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

const USAGE: &str = "\
filter INPUT... --kernel KERNEL [OPTIONS]
       filter --explain --kernel KERNEL [--shape SHAPE]
       filter --list-kernels";

/// Paragraphs, each under a heading. They are wrapped where they are shown.
const PARAGRAPHS: &[(&str, &str)] = &[
    (
        "Files",
        "Outputs appear whole or not at all, and an output that is there already is only replaced by -o, --in-place or \
         --force. One file that fails does not stop the others; the exit code is that of the first that failed. Colour \
         profile and Exif data are kept where the format has a place for them. A result that a format cannot hold is \
         an error that names the way out: --alpha drop, --depth, or another output. Grey becomes RGB, and alpha is \
         added, where a format needs it.",
    ),
    (
        "Chains",
        "--kernel, --depthwise and --mix may repeat, in any order, each with its parameters behind it: they are applied left to right, in one walk over \
         the picture, and nothing is rounded or cut off between them. --border is that of every kernel; --scale, \
         --offset and --range are for the last stage. A mix that takes the colours carries an alpha channel along; \
         what comes out, 1, 2, 3 or 4 channels, is written as grey, grey and alpha, RGB or RGBA.",
    ),
];

/// Commands, and what they do. No line is longer than 76 columns.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "filter input.png --kernel sobel-x --separable",
        "horizontal edges in two passes, to input.sobel-x.png",
    ),
    (
        "filter input.png --kernel gaussian --sigma 3 --sigma-y 0.5 -o soft.jpg",
        "a blur that is stronger across than down",
    ),
    (
        "filter -r photos --kernel sharpen --out-dir sharp --skip-existing",
        "a folder of photographs, to the same names in another; go on where it was left",
    ),
    (
        "filter 'scans/*.tiff' --kernel gaussian --name {stem}-soft.{ext} --jobs 2",
        "many files, two at a time",
    ),
    (
        "find . -name '*.png' -print0 | filter --files-from - --kernel unsharp --in-place",
        "a list of files, each replaced by its result",
    ),
    ("curl -s https://example.org/a.jpg | filter - --kernel box -o - > a.jpg", "a pipe"),
    (
        "filter input.png --kernel gaussian --sigma 2 --kernel laplacian --range offset",
        "a chain: the Laplacian of a blurred picture, 0 as mid-grey",
    ),
    (
        "filter input.png --mix luma --kernel sobel -o edges.png",
        "edges of the grey picture, and a grey file",
    ),
    (
        "filter input.png --mix ycbcr --depthwise identity --depthwise box --depthwise box --mix from-ycbcr -o clean.png",
        "colour noise blurred, brightness left as it is",
    ),
    ("filter input.png --mix \"1.1 0 0; 0 1 0; 0 0 0.9\" -o warm.png", "a warmer picture"),
    (
        "filter input.png --kernel gaussian --sigma 8 --linear -o glow.png",
        "a blur in linear light, as a lens does it",
    ),
    (
        "filter input.png --kernel box --size 25 --region 400,120,96,40 -o hidden.png",
        "a number plate made unreadable, the rest as it is",
    ),
    ("filter input.png --kernel unsharp --threshold 4 --compare both.png", "before | after"),
    (
        "filter input.png --kernel \"1 2 1; 2 4 2; 1 2 1\" --normalize",
        "a matrix typed by hand, to input.kernel.png",
    ),
    (
        "filter input.png --kernel @emboss.txt --range offset --anchor 0,0",
        "a matrix from a file, 0 as mid-grey, to input.emboss.png",
    ),
    (
        "filter input.png --kernel gaussian --sigma 8 --explain --verify --bench 20",
        "how it is done, whether it is right, how fast it is; writes nothing",
    ),
    (
        "filter --kernel log --explain=terms --show-kernel log.png",
        "what a kernel is made of, without a picture",
    ),
    (
        "filter --kernel gaussian --bench --sweep size=3..63 --plot sizes.svg",
        "what two passes save, by size",
    ),
];

const CODES: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "--verify failed"),
    ("2", "wrong usage"),
    ("3", "unreadable input"),
    ("4", "above a limit"),
    ("5", "output not written"),
];

const BORDERS: &[(&str, &str)] = &[
    ("replicate", "aaaaaa|abcdefgh|hhhhhh"),
    ("reflect", "fedcba|abcdefgh|hgfedc"),
    ("reflect101", "gfedcb|abcdefgh|gfedcb"),
    ("wrap", "cdefgh|abcdefgh|abcdef"),
    (
        "constant",
        "000000|abcdefgh|000000; constant:V and constant:V,V… are other values, for all channels or one for each, in \
         units of the input",
    ),
    ("valid", "nothing: the output is smaller by the kernel's size less 1"),
];

/// Columns of a table's text; with what stands left of it in the help, 80 in all.
const COLUMN: usize = 53;

/// Rows of a name and a text, which is wrapped.
fn table(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, text) in rows {
        let mut name = name;
        for line in wrapped_flags(&text, COLUMN) {
            out += &format!("{name:width$}  {line}\n");
            name.clear();
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn owned((name, text): &(&str, &str)) -> (String, String) {
    ((*name).to_owned(), (*text).to_owned())
}

/// The command with the tables of kernels, mixes and borders in its help.
pub fn explained(command: Command) -> Command {
    let names = kernel_names();
    let rows = NamedKernel::all().iter().map(|k| {
        let takes = list::parameters(k);
        let takes = if takes.is_empty() { takes } else { format!(" ({takes})") };
        (k.name().to_owned(), format!("{}{takes}", k.summary()))
    });
    let what =
        "A named kernel, a matrix such as \"1 2 1; 2 4 2; 1 2 1\", or @FILE with a matrix in it";
    let long = format!(
        "{what}.\n\nRows of a matrix end at `;` or at the end of a line; numbers may be fractions, \
         `#` starts a comment, and rows `scale 1/16` and `anchor X Y` are understood; JSON is read as well. Kernels \
         are correlated with the image, not flipped. Named kernels, with what they take:\n\n{}",
        table(rows)
    );
    let short = format!("{what}. Names: {}", names.join(", "));
    let (mix_short, mix_long) = mixes();
    let border = "What lies outside the image: one border, or two as X/Y for left and right / above and below \
                  [default: reflect101]";
    let borders = format!("{border}.\n\n{}", table(BORDERS.iter().map(owned)));
    let brief = format!("{border}. Names: {}", border_names().collect::<Vec<_>>().join(", "));
    command
        .override_usage(USAGE)
        .after_long_help(after())
        .mut_arg("kernel", |arg| arg.help(short).long_help(long))
        .mut_arg("mix", |arg| arg.help(mix_short).long_help(mix_long))
        .mut_arg("border", |arg| arg.help(brief).long_help(borders))
}

/// What stands below the flags.
fn after() -> String {
    let mut out = String::new();
    for (heading, text) in PARAGRAPHS {
        out += &format!("{heading}:\n{text}\n\n");
    }
    out += "Examples:\n";
    for (command, what) in EXAMPLES {
        let lines = wrapped_flags(command, 74).join(" \\\n      ");
        let what = wrapped(what, 74).join("\n      ");
        out += &format!("  {lines}\n      {what}\n");
    }
    out += "\nExit codes:";
    for (code, what) in CODES {
        out += &format!("\n  {code}  {what}");
    }
    out
}

/// The helps of `--mix`, with the table of named mixes.
fn mixes() -> (String, String) {
    let rows = NamedMix::all().iter().map(|m| (m.name.to_owned(), m.summary.to_owned()));
    let what = "A matrix over the channels of each pixel, such as \"0.299 0.587 0.114\", or @FILE with a matrix in it";
    let long = format!(
        "{what}.\n\nA row for each channel of the result, ended by `;` or a new line; a number \
         for each colour, and perhaps one more that is added, in units of the input's samples. \
         Alpha is carried along; a row of two numbers more than there are colours mixes it \
         too: colours, alpha, and what is added. Named mixes:\n\n{}",
        table(rows)
    );
    (format!("{what}. Names: {}", mix_names().join(", ")), long)
}

/// The completion script of a command for a shell.
pub fn completions(mut command: Command, shell: clap_complete::Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, "filter", &mut out);
    out
}

/// A command's manual page, in roff: the flags as `clap_mangen` writes them, their tables as lists, and sections of our own.
pub fn man(command: Command) -> std::io::Result<Vec<u8>> {
    // Without a date what follows it would stand in its place.
    let page = clap_mangen::Man::new(command).date(" ").manual("User Commands");
    let mut head = Vec::new();
    page.render_title(&mut head)?;
    // Commands and names are neither stretched nor hyphenated.
    head.extend(b".nh\n.ad l\n");
    page.render_name_section(&mut head)?;
    page.render_synopsis_section(&mut head)?;
    page.render_description_section(&mut head)?;
    let mut flags = Vec::new();
    page.render_options_section(&mut flags)?;
    let mut own = Roff::new();
    for (heading, text) in PARAGRAPHS {
        own.control("SH", [heading.to_uppercase().as_str()]).text([roman(*text)]);
    }
    own.control("SH", ["EXAMPLES"]);
    for (command, what) in EXAMPLES {
        own.control("TP", []).text([bold(*command)]).text([roman(*what)]);
    }
    own.control("SH", ["EXIT STATUS"]);
    for (code, what) in CODES {
        own.control("TP", []).text([bold(*code)]).text([roman(*what)]);
    }
    let mut tail = Vec::new();
    page.render_version_section(&mut tail)?;
    Ok([
        head,
        lists(&String::from_utf8_lossy(&flags)).into_bytes(),
        own.render().into_bytes(),
        tail,
    ]
    .concat())
}

/// Tables as lists, which fit any width, in which flags keep their values. A row of a table is a name, two spaces or
/// more, and a text, which goes on in lines that begin with spaces.
fn lists(roff: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    let together = |text: &str| whole(text.trim_start()).replace(KEPT, "\\ ");
    for line in roff.lines() {
        let row = line.split_once("  ").filter(|(name, text)| {
            !line.starts_with(['.', '\'', '\\', ' ']) && !name.is_empty() && !text.trim().is_empty()
        });
        match row {
            Some((name, text)) => {
                out += if inside { "" } else { ".RS\n.PD 0\n" };
                out += &format!(".TP 14\n{name}\n{}\n", together(text));
                inside = true;
            }
            None if inside && line.starts_with(' ') => out += &format!("{}\n", together(line)),
            None => {
                out += if inside { ".PD\n.RE\n" } else { "" };
                out += &format!("{line}\n");
                inside = false;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::command;

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_parameter_of_the_table_is_a_flag() {
        let command = command();
        for param in NamedKernel::all().iter().flat_map(NamedKernel::params) {
            let name = param.name();
            assert!(command.get_arguments().any(|a| a.get_long() == Some(name)), "{name}");
        }
    }

    #[test]
    fn every_border_is_explained() {
        assert!(BORDERS.iter().map(|(name, _)| *name).eq(border_names()));
    }

    #[test]
    fn tables_become_lists() {
        let text = ".TP\nhead\nWords:\n\nbox     mean of\n        (\\-\\-size 3)\nlog     a\n.TP\n";
        let want = ".TP\nhead\nWords:\n\n.RS\n.PD 0\n.TP 14\nbox\nmean of\n(\\-\\-size\\ 3)\n.TP 14\nlog\na\n.PD\n.RE\n.TP\n";
        assert_eq!(lists(text), want);
    }

    #[test]
    fn lines_fit() {
        let text = after();
        let narrow = |l: &&str| l.starts_with(' ') && l.chars().count() > 80;
        assert_eq!(text.lines().find(narrow), None);
    }
}
