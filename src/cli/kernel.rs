//! Which kernels `--kernel` means: each a name, a matrix, or a file with a matrix; and the filter
//! that each becomes.

use super::args::{Args, Compat, KernelArgs, MethodArg};
use super::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use twopass::{Border, Filter, Kernel, KernelParams, Level, Method, NamedKernel, SampleType};

/// Longest kernel text. The largest kernel needs less.
const MAX_TEXT: u64 = 1 << 28;

/// One step of a chain.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The kernel's name, for reports and for the output's name.
    pub name: String,
    pub filter: Filter,
}

/// The kernel of each stage that is in a file. Files are read once: they may be pipes.
pub fn files(args: &Args) -> Result<Vec<Option<Kernel>>, Failure> {
    let read = |stage: &KernelArgs| stage.kernel.strip_prefix('@').map(Path::new).map(from_file);
    args.chain.iter().map(|stage| read(stage).transpose()).collect()
}

/// The chain for images of this sample type (on which sizes may depend), at most `threads` in each
/// stage. Scale and offset are the last stage's.
pub fn chain(
    args: &Args,
    files: &[Option<Kernel>],
    sample: SampleType,
    threads: usize,
) -> Result<Vec<Stage>, Failure> {
    let mut stages = Vec::new();
    for (kernel, file) in args.chain.iter().zip(files) {
        let (name, kernels) = kernels(kernel, file.as_ref(), args.compat, sample)?;
        let filter = filter(kernels, kernel, args.kernels.flip)?;
        stages.push(Stage { name, filter: configure(filter, args, threads)? });
    }
    let last = stages.last_mut().ok_or_else(|| Failure::usage("there is no --kernel"))?;
    last.filter =
        last.filter.clone().scale(args.scale.unwrap_or(1.0)).offset(args.offset.unwrap_or(0.0));
    Ok(stages)
}

/// What a chain is called: `gaussian+sobel-x`.
pub fn name(stages: &[Stage]) -> String {
    stages.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join("+")
}

/// Puts the flags that concern every kernel into the filter.
fn configure(filter: Filter, args: &Args, threads: usize) -> Result<Filter, Failure> {
    let method = match args.method {
        _ if args.separable => Method::Separable,
        MethodArg::Auto => Method::Auto,
        MethodArg::Separable => Method::Separable,
        MethodArg::Dense => Method::Dense,
        MethodArg::Naive => Method::Naive,
    };
    let mut filter = filter.method(method).threads(threads);
    filter = match (args.border.clone(), args.compat) {
        (Some((x, y)), _) => filter.borders(x, y),
        (None, Some(Compat::Scipy)) => filter.border(Border::Reflect),
        (None, Some(Compat::Opencv)) => filter.border(Border::Reflect101),
        (None, Some(Compat::Vips)) => filter.border(Border::Replicate),
        (None, None) => filter,
    };
    if let Some(level) = &args.level {
        filter = filter.level(Level::named(level)?);
    }
    Ok(filter)
}

fn kernels(
    stage: &KernelArgs,
    file: Option<&Kernel>,
    compat: Option<Compat>,
    sample: SampleType,
) -> Result<(String, Vec<Kernel>), Failure> {
    let text = stage.kernel.as_str();
    if let (Some(path), Some(kernel)) = (text.strip_prefix('@').map(Path::new), file) {
        only_text(stage)?;
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        return Ok((stem.to_string_lossy().into_owned(), vec![kernel.clone()]));
    }
    if is_matrix(text) {
        only_text(stage)?;
        return Ok(("kernel".to_owned(), vec![text.parse()?]));
    }
    let named = NamedKernel::find(text)?;
    let mut params = stage.params.clone();
    if let (Some(compat), "gaussian") = (compat, named.name()) {
        give_sizes(&mut params, compat, sample);
    }
    Ok((named.name().to_owned(), named.kernels(&params)?))
}

/// Gives a Gaussian the size that another tool derives from σ, where none was given.
fn give_sizes(params: &mut KernelParams, compat: Compat, sample: SampleType) {
    if params.size.is_some() || params.sigma.is_none() && params.size_y.is_some() {
        return;
    }
    let size = |sigma: f64| {
        // What is no σ, or implies a size beyond all limits, is left to fail by itself.
        (sigma > 0.0 && sigma < 1e5).then(|| match compat {
            Compat::Opencv => {
                let reach = if sample == SampleType::U8 { 3.0 } else { 4.0 };
                (sigma * reach * 2.0 + 1.0).round_ties_even() as usize | 1
            }
            Compat::Scipy => 2 * (4.0 * sigma + 0.5) as usize + 1,
            Compat::Vips => {
                // Up to the last tap that is not below 0.2, of 1 in the middle.
                let last = (sigma * (2.0 * 5.0_f64.ln()).sqrt()).floor();
                2 * last as usize + 1
            }
        })
    };
    let sigma = params.sigma.unwrap_or(1.0);
    params.sigma = Some(sigma);
    params.size = size(sigma);
    params.size_y = params.size_y.or(size(params.sigma_y.unwrap_or(sigma)));
}

/// A name is one word that starts with a letter; everything else is read as numbers.
fn is_matrix(text: &str) -> bool {
    let word = text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    !word || text.parse::<f64>().is_ok()
}

/// A matrix takes no parameters; ignoring one silently would hide a mistake.
fn only_text(stage: &KernelArgs) -> Result<(), Failure> {
    if stage.params == KernelParams::default() {
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

fn filter(mut kernels: Vec<Kernel>, stage: &KernelArgs, flip: bool) -> Result<Filter, Failure> {
    for kernel in &mut kernels {
        if let Some((x, y)) = stage.anchor {
            *kernel = kernel.clone().with_anchor(x, y)?;
        }
        if flip {
            *kernel = kernel.flipped();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_tools_own() {
        let sizes = |compat, sample, sigma| {
            let mut params = KernelParams { sigma: Some(sigma), ..Default::default() };
            give_sizes(&mut params, compat, sample);
            (params.size.unwrap(), params.size_y.unwrap())
        };
        assert_eq!(sizes(Compat::Opencv, SampleType::U8, 1.5), (11, 11));
        assert_eq!(sizes(Compat::Opencv, SampleType::F32, 1.5), (13, 13));
        assert_eq!(sizes(Compat::Scipy, SampleType::U8, 1.5), (13, 13));
        assert_eq!(sizes(Compat::Scipy, SampleType::U8, 1.0), (9, 9));
        assert_eq!(sizes(Compat::Vips, SampleType::U8, 0.5), (1, 1));
        assert_eq!(sizes(Compat::Vips, SampleType::U8, 3.3), (11, 11));
    }
}
