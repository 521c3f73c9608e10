//! What `--kernel`, `--depthwise` and `--mix` mean: each a name, a matrix, or a file with a matrix;
//! and the stage of the chain that each becomes.

use super::args::{Args, Kind, MethodArg, StageArgs};
use super::failure::Failure;
use super::matrix::{self, is_matrix};
use super::mix::{Form, Mix};
use super::suggest;
use super::text::number;
use std::path::Path;
use twopass::{
    Border, Compat, Depthwise, Filter, Kernel, KernelParams, Level, Method, NamedKernel, Padding,
    SampleType, Separation, Window,
};

/// One step of a chain.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it is called, in reports and in the output's name.
    pub name: String,
    pub step: Step,
}

#[derive(Debug, Clone)]
pub enum Step {
    Filter(Filter),
    Depthwise(Own),
    Mix(Mix),
}

/// A kernel of its own for each channel.
#[derive(Debug, Clone)]
pub struct Own {
    /// Each with its name.
    pub kernels: Vec<(String, Kernel)>,
    border: (Border, Border),
}

impl Stage {
    /// The filter, if it is one.
    pub fn filter(&self) -> Option<&Filter> {
        match &self.step {
            Step::Filter(filter) => Some(filter),
            _ => None,
        }
    }

    /// What it makes of the channels.
    pub fn form(&self, form: Form) -> Result<Form, Failure> {
        match &self.step {
            Step::Filter(_) => Ok(form),
            Step::Mix(mix) => mix.form(form),
            Step::Depthwise(own) => own.fits(form).map(|()| form),
        }
    }

    /// The pixel of its input that lies under the output's first.
    pub fn origin(&self) -> (usize, usize) {
        let ((x, y), anchor) = match &self.step {
            Step::Filter(filter) => (filter.get_borders(), filter.kernels()[0].anchor()),
            Step::Depthwise(own) => ((&own.border.0, &own.border.1), own.anchor()),
            Step::Mix(_) => return (0, 0),
        };
        let shift = |border: &Border, anchor| if *border == Border::Valid { anchor } else { 0 };
        (shift(x, anchor.0), shift(y, anchor.1))
    }
}

impl Own {
    /// The anchor of the window that holds all kernels.
    fn anchor(&self) -> (usize, usize) {
        let anchors = self.kernels.iter().map(|(_, k)| k.anchor());
        anchors.fold((0, 0), |most, at| (most.0.max(at.0), most.1.max(at.1)))
    }

    fn fits(&self, form: Form) -> Result<(), Failure> {
        let given = self.kernels.len();
        if given == form.colours() || given == form.channels {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "--depthwise stands {given} time(s) in a row, the picture has {}; give one kernel for \
             each",
            form.text()
        )))
    }

    /// The layer: `scale` · (what the kernels say) + `offset` for colours, and alpha times
    /// `alpha`; with borders that may be other ones.
    pub fn layer(
        &self,
        form: Form,
        border: impl Fn(&Border) -> Border,
        [scale, offset, alpha]: [f64; 3],
    ) -> Result<Depthwise, Failure> {
        self.fits(form)?;
        let (mut kernels, mut bias) = (Vec::new(), Vec::new());
        for c in 0..form.channels {
            let colour = c < form.colours();
            let (factor, plus) = if colour { (scale, offset) } else { (alpha, 0.0) };
            let kernel = self.kernels.get(c).map_or_else(Kernel::identity, |(_, k)| k.clone());
            let taps = kernel.taps().iter().map(|t| t * factor).collect();
            let (x, y) = kernel.anchor();
            kernels.push(Kernel::new(kernel.width(), kernel.height(), taps)?.with_anchor(x, y)?);
            bias.push(plus as f32);
        }
        let layer = Depthwise::from_kernels(&kernels, &Border::Replicate)?.with_bias(&bias)?;
        let (border_x, border_y) = (border(&self.border.0), border(&self.border.1));
        // Valid on an axis is padding of nothing there.
        let room = |border: &Border, side| if *border == Border::Valid { 0 } else { side };
        let padding = match layer.window().get_padding() {
            Padding::Explicit { left, right, top, bottom, .. } => Padding::Explicit {
                left: room(&border_x, *left),
                right: room(&border_x, *right),
                top: room(&border_y, *top),
                bottom: room(&border_y, *bottom),
                border_x,
                border_y,
            },
            other => other.clone(),
        };
        Ok(layer.with_window(Window::new().padding(padding))?)
    }
}

/// The matrix of each stage that is in a file. Files are read once: they may be pipes.
pub fn files(args: &Args) -> Result<Vec<Option<Kernel>>, Failure> {
    let read =
        |stage: &StageArgs| stage.text.strip_prefix('@').map(Path::new).map(matrix::from_file);
    args.chain.iter().map(|stage| read(stage).transpose()).collect()
}

/// The chain for images of this sample type (on which sizes may depend), at most `threads` in each
/// stage. Scale and offset are in the last stage if it is a filter.
pub fn chain(
    args: &Args,
    files: &[Option<Kernel>],
    sample: SampleType,
    threads: usize,
) -> Result<Vec<Stage>, Failure> {
    let mut stages: Vec<Stage> = Vec::new();
    let mut before = None;
    for (stage, file) in args.chain.iter().zip(files) {
        let kind = stage.kind;
        match kind {
            Kind::Kernel => {
                let (name, kernels) = asked(args, stage, file.as_ref(), sample)?;
                let mut filter = filter(kernels, stage, args.kernels.flip)?;
                if args.kernels.normalize {
                    // As a scale, so that whole taps stay whole.
                    let gain = gain(&filter.kernels()[0]);
                    filter = filter.scale(1.0 / gain);
                }
                let step = Step::Filter(configure(filter, args, threads)?);
                stages.push(Stage { name, step });
            }
            Kind::Depthwise => {
                let (name, found) = asked(args, stage, file.as_ref(), sample)?;
                let [kernel] = found.as_slice() else {
                    return Err(Failure::usage(format!(
                        "--depthwise {name}: a gradient magnitude is two kernels, and one channel \
                         takes one"
                    )));
                };
                let mut kernel = adjusted(kernel, stage, args.kernels.flip)?;
                if args.kernels.normalize {
                    kernel = kernel.normalized();
                }
                let kernel = (name, kernel);
                match stages.last_mut().map(|s| &mut s.step) {
                    Some(Step::Depthwise(own)) if before == Some(kind) => own.kernels.push(kernel),
                    _ => {
                        let (border, kernels) = (border(args), vec![kernel]);
                        let step = Step::Depthwise(Own { kernels, border });
                        stages.push(Stage { name: "depthwise".to_owned(), step });
                    }
                }
            }
            Kind::Mix => {
                let (name, mix) = mix(&stage.text, file.as_ref())?;
                stages.push(Stage { name, step: Step::Mix(mix) });
            }
        }
        before = Some(kind);
    }
    let last = stages.last_mut().ok_or_else(|| Failure::usage("there is no --kernel"))?;
    if let Step::Filter(filter) = &mut last.step {
        let (scale, offset) = (args.scale.unwrap_or(1.0), args.offset.unwrap_or(0.0));
        let scale = filter.get_scale() * scale;
        *filter = filter.clone().scale(scale).offset(offset);
    }
    Ok(stages)
}

/// What a chain is called: `gaussian+sobel-x`.
pub fn name(stages: &[Stage]) -> String {
    stages.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join("+")
}

/// What lies outside, for every stage with a window.
fn border(args: &Args) -> (Border, Border) {
    args.border.clone().unwrap_or_else(|| {
        let tool = args.compat.map(Compat::from);
        let border = tool.map_or_else(Border::default, Compat::border);
        (border.clone(), border)
    })
}

/// The instruction set that was asked for.
pub fn level(args: &Args) -> Result<Option<Level>, Failure> {
    Ok(args.level.as_deref().map(Level::named).transpose()?)
}

/// Puts the flags that concern every kernel into the filter.
fn configure(filter: Filter, args: &Args, threads: usize) -> Result<Filter, Failure> {
    let method = match args.method {
        _ if args.separable => Method::Separable,
        MethodArg::Auto => Method::Auto,
        MethodArg::Separable => Method::Separable,
        MethodArg::Terms => Method::Terms,
        MethodArg::Multirate => Method::Multirate,
        MethodArg::Runs => Method::Runs,
        MethodArg::Dense => Method::Dense,
        MethodArg::Fft => Method::Fft,
        MethodArg::Naive => Method::Naive,
    };
    let (x, y) = border(args);
    let filter = filter.method(method).threads(threads).borders(x, y);
    let filter = match args.tolerance {
        Some(tolerance) => filter.tolerance(tolerance),
        None => filter,
    };
    Ok(match level(args)? {
        Some(level) => filter.level(level),
        None => filter,
    })
}

/// A mix and what it is called.
fn mix(text: &str, file: Option<&Kernel>) -> Result<(String, Mix), Failure> {
    if let (Some(path), Some(matrix)) = (text.strip_prefix('@').map(Path::new), file) {
        return Ok((stem(path), Mix::numbers(matrix)?));
    }
    if is_matrix(text) {
        let matrix = matrix::parse(text).map_err(|failure| {
            let message = failure.message.replace("the kernel", "the mix");
            Failure { message, ..failure }
        })?;
        return Ok(("mix".to_owned(), Mix::numbers(&matrix)?));
    }
    Ok((text.to_owned(), Mix::named(text)?))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The kernels of a stage, or with --terms their best products.
fn asked(
    args: &Args,
    stage: &StageArgs,
    file: Option<&Kernel>,
    sample: SampleType,
) -> Result<(String, Vec<Kernel>), Failure> {
    let (name, kernels) = kernels(stage, file, args.compat.map(Compat::from), sample)?;
    let Some(count) = args.terms else { return Ok((name, kernels)) };
    let best = kernels.iter().map(|kernel| best(kernel, count));
    Ok((name, best.collect::<Result<_, _>>()?))
}

fn kernels(
    stage: &StageArgs,
    file: Option<&Kernel>,
    compat: Option<Compat>,
    sample: SampleType,
) -> Result<(String, Vec<Kernel>), Failure> {
    let text = stage.text.as_str();
    if let (Some(path), Some(kernel)) = (text.strip_prefix('@').map(Path::new), file) {
        only_text(stage)?;
        return Ok((stem(path), vec![kernel.clone()]));
    }
    if is_matrix(text) {
        only_text(stage)?;
        return Ok(("kernel".to_owned(), vec![matrix::parse(text)?]));
    }
    let named = find(text)?;
    let mut params = stage.params.clone();
    if let (Some(compat), "gaussian") = (compat, named.name()) {
        give_sizes(&mut params, compat, sample);
    }
    Ok((named.name().to_owned(), named.kernels(&params)?))
}

/// The named kernel, or what it may have been meant to be.
pub fn find(name: &str) -> Result<&'static NamedKernel, Failure> {
    NamedKernel::find(name).map_err(|_| {
        let all = NamedKernel::all().iter();
        let names = all.flat_map(|k| k.aliases().iter().copied().chain([k.name()]));
        let instead = match suggest::closest(name, names) {
            Some(near) => format!("did you mean {near}? "),
            None => String::new(),
        };
        Failure::usage(format!(
            "there is no kernel named {name:?}; {instead}--list-kernels lists all that there are"
        ))
    })
}

/// What may surprise in the kernels that are matrices, a line each.
pub fn hints(args: &Args, files: &[Option<Kernel>]) -> Vec<String> {
    let kernels = args.chain.iter().zip(files).filter(|(stage, _)| stage.kind != Kind::Mix);
    let read = |(stage, file): (&StageArgs, &Option<Kernel>)| match file {
        Some(kernel) => matrix::hint(kernel),
        None if is_matrix(&stage.text) => matrix::hint(&matrix::parse(&stage.text).ok()?),
        None => None,
    };
    kernels.filter_map(read).collect()
}

/// The sum of a kernel's best products, so many or as many as there are.
fn best(kernel: &Kernel, count: u16) -> Result<Kernel, Failure> {
    let (separation, (x, y)) = (Separation::of(kernel), kernel.anchor());
    let terms = separation.terms().iter().take(usize::from(count));
    let terms =
        terms.map(|term| term.to_kernel()?.with_anchor(x, y)).collect::<Result<Vec<_>, _>>()?;
    Ok(if let [one] = &terms[..] { one.clone() } else { Kernel::sum_of(&terms)? })
}

/// What --terms leaves out of each kernel, a line each.
pub fn left_out(args: &Args, files: &[Option<Kernel>]) -> Result<Vec<String>, Failure> {
    let Some(count) = args.terms else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    let stages = args.chain.iter().zip(files).filter(|(stage, _)| stage.kind != Kind::Mix);
    for (stage, file) in stages {
        let compat = args.compat.map(Compat::from);
        let (name, kernels) = kernels(stage, file.as_ref(), compat, SampleType::U8)?;
        for separation in kernels.iter().map(Separation::of) {
            let left = number(separation.residual(usize::from(count)));
            lines.push(format!(
                "{name}: {count} of {} products, its sums are off by at most {left} per unit of input range",
                separation.rank()
            ));
        }
    }
    Ok(lines)
}

/// What the taps are divided by to sum to 1, or, where their sum is 0, their magnitudes to.
pub fn gain(kernel: &Kernel) -> f64 {
    let gain = if kernel.is_zero_sum() { kernel.abs_sum() } else { kernel.sum() };
    if gain == 0.0 { 1.0 } else { gain }
}

/// Gives a Gaussian the size that another tool derives from σ, where none was given.
fn give_sizes(params: &mut KernelParams, compat: Compat, sample: SampleType) {
    if params.size.is_some() || params.sigma.is_none() && params.size_y.is_some() {
        return;
    }
    let size = |sigma| compat.gaussian_size(sigma, sample);
    let sigma = params.sigma.unwrap_or(1.0);
    params.sigma = Some(sigma);
    params.size = size(sigma);
    params.size_y = params.size_y.or(size(params.sigma_y.unwrap_or(sigma)));
}

/// A matrix takes no parameters; ignoring one silently would hide a mistake.
fn only_text(stage: &StageArgs) -> Result<(), Failure> {
    if stage.params == KernelParams::default() {
        return Ok(());
    }
    Err(Failure::usage("a matrix takes no --size, --sigma or other parameters of named kernels"))
}

/// With the anchor that was given, and turned if that was asked for.
fn adjusted(kernel: &Kernel, stage: &StageArgs, flip: bool) -> Result<Kernel, Failure> {
    let kernel = match stage.anchor {
        Some((x, y)) => kernel.clone().with_anchor(x, y)?,
        None => kernel.clone(),
    };
    Ok(if flip { kernel.flipped() } else { kernel })
}

fn filter(kernels: Vec<Kernel>, stage: &StageArgs, flip: bool) -> Result<Filter, Failure> {
    let kernels = kernels.iter().map(|k| adjusted(k, stage, flip));
    let kernels = kernels.collect::<Result<Vec<_>, _>>()?;
    match kernels.as_slice() {
        [x, y] => Ok(Filter::magnitude(x, y)?),
        _ => {
            let kernel = kernels.into_iter().next();
            kernel.map(Filter::new).ok_or_else(|| Failure::usage("the kernel is empty"))
        }
    }
}
