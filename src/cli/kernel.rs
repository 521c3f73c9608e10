//! Which kernel `--kernel` means: a name, a matrix, or a file with a matrix.

use super::args::Args;
use super::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use twopass::{Filter, Kernel, KernelParams, NamedKernel};

/// Longest kernel text. The largest kernel needs less.
const MAX_TEXT: u64 = 1 << 28;

/// The kernel's name, which the output's name contains, and a filter with nothing else set.
pub fn choose(args: &Args) -> Result<(String, Filter), Failure> {
    let text = args.kernel.as_str();
    if let Some(path) = text.strip_prefix('@') {
        only_text(args)?;
        let path = Path::new(path);
        let kernel = from_file(path)?;
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        return Ok((stem.to_string_lossy().into_owned(), filter(vec![kernel], args)?));
    }
    if is_matrix(text) {
        only_text(args)?;
        return Ok(("kernel".to_owned(), filter(vec![text.parse()?], args)?));
    }
    let named = NamedKernel::find(text)?;
    Ok((named.name().to_owned(), filter(named.kernels(&args.params())?, args)?))
}

/// A name is one word that starts with a letter; everything else is read as numbers.
fn is_matrix(text: &str) -> bool {
    let word = text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    !word || text.parse::<f64>().is_ok()
}

/// A matrix takes no parameters; ignoring one silently would hide a mistake.
fn only_text(args: &Args) -> Result<(), Failure> {
    if args.params() == KernelParams::default() {
        return Ok(());
    }
    Err(Failure::usage("a matrix takes no --size, --sigma or other parameters of named kernels"))
}

fn from_file(path: &Path) -> Result<Kernel, Failure> {
    let name = path.display();
    let fail = |e: std::io::Error| Failure::input(format!("cannot read the kernel {name}: {e}"));
    let mut text = String::new();
    let file = File::open(path).map_err(fail)?;
    file.take(MAX_TEXT + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() as u64 > MAX_TEXT {
        return Err(Failure::limit(format!("the kernel {name} is longer than {MAX_TEXT} bytes")));
    }
    text.parse().map_err(|e: twopass::Error| {
        let failure = Failure::from(e);
        match failure.kind {
            super::failure::Kind::Limit => failure,
            _ => Failure::input(format!("{name}: {}", failure.message)),
        }
    })
}

fn filter(mut kernels: Vec<Kernel>, args: &Args) -> Result<Filter, Failure> {
    if let Some((x, y)) = args.anchor {
        for kernel in &mut kernels {
            *kernel = kernel.clone().with_anchor(x, y)?;
        }
    }
    match kernels.as_slice() {
        [x, y] => Ok(Filter::magnitude(x, y)?),
        _ => {
            let kernel = kernels.into_iter().next();
            kernel.map(Filter::new).ok_or_else(|| Failure::usage("the kernel is empty"))
        }
    }
}
