//! The table of named kernels: one row per name, with the parameters it takes.
//!
//! The program's `--kernel`, its help, the tests and the benches all read this table, so a
//! kernel added here appears in all of them. A row says which formula of `taps` makes the
//! kernel and what its parameters default to.

use super::Kernel;
use super::taps::{self, Axis, Gabor, Order};
use crate::error::Error;
use std::fmt;

/// The parameters of named kernels. What is `None` takes the kernel's default; what is given to
/// a kernel that does not take it is an error.
///
/// ```
/// use twopass::{Error, KernelParams, NamedKernel};
///
/// let wide = KernelParams { size: Some(9), size_y: Some(1), ..Default::default() };
/// let box_ = NamedKernel::find("box")?.kernels(&wide)?;
/// assert_eq!((box_[0].width(), box_[0].height()), (9, 1));
/// let error = NamedKernel::find("emboss")?.kernels(&wide).unwrap_err();
/// assert!(matches!(error, Error::ParameterNotTaken { parameter: "size", .. }));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KernelParams {
    /// Taps a side, or across if `size_y` is given as well.
    pub size: Option<usize>,
    /// Taps downwards; `size` if absent.
    pub size_y: Option<usize>,
    /// Standard deviation σ of a Gaussian in pixels, or its horizontal one.
    pub sigma: Option<f64>,
    /// Vertical standard deviation in pixels; `sigma` if absent.
    pub sigma_y: Option<f64>,
    /// Direction in degrees. For `motion` anticlockwise from the right, for `gabor` as OpenCV's
    /// `theta`: the direction of the wave, clockwise from the right.
    pub angle: Option<f64>,
    /// Length of a movement in pixels, at least 1.
    pub length: Option<f64>,
    /// Outer radius of a disc or ring in pixels, above 0.
    pub radius: Option<f64>,
    /// Inner radius of a ring in pixels.
    pub inner: Option<f64>,
    /// Pixels over which a disc or ring falls off at its edges; 0 is a sharp edge.
    pub edge: Option<f64>,
    /// Pixels from crest to crest of a wave.
    pub wavelength: Option<f64>,
    /// Width of a Gabor kernel along the wave divided by that across it (OpenCV's `gamma`).
    pub aspect: Option<f64>,
    /// Phase of the wave in the middle, in degrees (OpenCV's `psi`).
    pub phase: Option<f64>,
    /// Strength of sharpening; 1 adds the detail once.
    pub amount: Option<f64>,
    /// Wide σ over narrow σ in a difference of Gaussians, above 1.
    pub ratio: Option<f64>,
}

impl KernelParams {
    /// Names of the parameters that are given.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            ("size", self.size.is_some()),
            ("size-y", self.size_y.is_some()),
            ("sigma", self.sigma.is_some()),
            ("sigma-y", self.sigma_y.is_some()),
            ("angle", self.angle.is_some()),
            ("length", self.length.is_some()),
            ("radius", self.radius.is_some()),
            ("inner", self.inner.is_some()),
            ("edge", self.edge.is_some()),
            ("wavelength", self.wavelength.is_some()),
            ("aspect", self.aspect.is_some()),
            ("phase", self.phase.is_some()),
            ("amount", self.amount.is_some()),
            ("ratio", self.ratio.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
    }

    /// The horizontal and vertical axis of a smoothing Gaussian.
    fn gaussian(&self) -> Result<(Axis, Axis), Error> {
        self.axes(Axis::gaussian)
    }

    /// The horizontal and vertical axis of a derivative.
    fn derivative(&self) -> Result<(Axis, Axis), Error> {
        self.axes(Axis::derivative)
    }

    fn axes(&self, axis: taps::MakeAxis) -> Result<(Axis, Axis), Error> {
        let x = axis("sigma", self.sigma, "size", self.size)?;
        // A vertical parameter is to blame only where it was given.
        let (sigma_y, sigma) = match self.sigma_y {
            Some(_) => ("sigma-y", self.sigma_y),
            None => ("sigma", self.sigma),
        };
        let (size_y, size) = match self.size_y {
            Some(_) => ("size-y", self.size_y),
            None => ("size", self.size),
        };
        Ok((x, axis(sigma_y, sigma, size_y, size)?))
    }

    /// A Gaussian derivative of the given orders.
    fn orders(&self, x: Order, y: Order) -> Result<Vec<Kernel>, Error> {
        let (axis_x, axis_y) = self.derivative()?;
        one(taps::gaussian_orders(axis_x, axis_y, x, y))
    }
}

/// A kernel with a name: a row of the table.
///
/// ```
/// use twopass::{KernelParams, NamedKernel};
///
/// let params = KernelParams { sigma: Some(2.0), ..Default::default() };
/// let kernels = NamedKernel::find("gaussian")?.kernels(&params)?;
/// assert_eq!((kernels.len(), kernels[0].width()), (1, 13));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct NamedKernel {
    name: &'static str,
    aliases: &'static [&'static str],
    summary: &'static str,
    params: &'static [KernelParam],
    make: fn(&KernelParams) -> Result<Vec<Kernel>, Error>,
}

/// A parameter that a named kernel takes.
///
/// ```
/// use twopass::NamedKernel;
///
/// let [wide, high] = NamedKernel::find("box")?.params() else { panic!("a box has two") };
/// assert_eq!((wide.name(), wide.default()), ("size", "3"));
/// assert_eq!((high.name(), high.default()), ("size-y", "size"));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelParam {
    name: &'static str,
    default: &'static str,
}

impl KernelParam {
    /// A field of [`KernelParams`], with hyphens.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is where it is not given: a number, or what that follows from.
    #[must_use]
    pub fn default(&self) -> &'static str {
        self.default
    }
}

/// A parameter and its default, as text; the tests hold numbers to what the kernels are made with.
const fn param(name: &'static str, default: &'static str) -> KernelParam {
    KernelParam { name, default }
}

const SIGMA: KernelParam = param("sigma", "1");
const SIGMA_Y: KernelParam = param("sigma-y", "sigma");
const SIZE_Y: KernelParam = param("size-y", "size");
/// Three taps a side.
const SIZE: KernelParam = param("size", "3");
/// What holds a Gaussian, and its derivatives.
const SIZE_3: KernelParam = param("size", "2⌈3·sigma⌉+1");
const SIZE_4: KernelParam = param("size", "2⌈4·sigma⌉+1");
/// Of discs and rings.
const RADIUS: KernelParam = param("radius", "5");
const EDGE: KernelParam = param("edge", "1");
/// What the derivatives of a Gaussian take.
const DERIVATIVE: &[KernelParam] = &[SIGMA, SIGMA_Y, SIZE_4, SIZE_Y];

/// A row; see `TABLE`.
const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    summary: &'static str,
    params: &'static [KernelParam],
    make: fn(&KernelParams) -> Result<Vec<Kernel>, Error>,
) -> NamedKernel {
    NamedKernel { name, aliases, summary, params, make }
}

/// Every named kernel. To add one, add a row: name, other names, what it does, what it takes, how it is made.
#[rustfmt::skip]
static TABLE: &[NamedKernel] = &[
    row("identity", &["copy"], "the image itself", &[], |_| one(Ok(Kernel::identity()))),
    row("box", &["mean", "average", "box-blur", "boxblur"], "mean of size × size-y pixels", &[SIZE, SIZE_Y], |p| {
        let width = p.size.unwrap_or(3);
        one(Kernel::box_(width, p.size_y.unwrap_or(width)))
    }),
    row("gaussian", &["gauss", "blur", "gaussian-blur", "gaussianblur"], "Gaussian blur; for a size alone, OpenCV's sigma",
        &[SIGMA, SIGMA_Y, SIZE_3, SIZE_Y], |p| {
        let (x, y) = p.gaussian()?;
        one(taps::gaussian(x, y))
    }),
    row("binomial", &["pascal"], "row of Pascal's triangle on both axes", &[SIZE], |p| {
        one(Kernel::binomial(p.size.unwrap_or(3)))
    }),
    row("sobel", &["edge", "edges", "gradient"], "gradient magnitude of sobel-x and sobel-y; sizes up to 31", &[SIZE], |p| {
        both(taps::sobel_x(p.size.unwrap_or(3)))
    }),
    row("sobel-x", &["sobelx"], "Sobel's horizontal derivative; sizes up to 31", &[SIZE], |p| {
        one(taps::sobel_x(p.size.unwrap_or(3)))
    }),
    row("sobel-y", &["sobely"], "Sobel's vertical derivative; sizes up to 31", &[SIZE], |p| {
        one(taps::sobel_x(p.size.unwrap_or(3)).map(|k| k.transposed()))
    }),
    row("scharr", &[], "gradient magnitude of scharr-x and scharr-y", &[], |_| both(Ok(Kernel::scharr_x()))),
    row("scharr-x", &["scharrx"], "Scharr's horizontal derivative", &[], |_| one(Ok(Kernel::scharr_x()))),
    row("scharr-y", &["scharry"], "Scharr's vertical derivative", &[], |_| one(Ok(Kernel::scharr_y()))),
    row("prewitt", &[], "gradient magnitude of prewitt-x and prewitt-y", &[], |_| both(Ok(Kernel::prewitt_x()))),
    row("prewitt-x", &["prewittx"], "Prewitt's horizontal derivative", &[], |_| one(Ok(Kernel::prewitt_x()))),
    row("prewitt-y", &["prewitty"], "Prewitt's vertical derivative", &[], |_| one(Ok(Kernel::prewitt_y()))),
    row("laplacian", &["laplace"], "4-neighbour Laplacian (3×3 taps); of size 3 and more, Sobel's second derivatives",
        &[param("size", "1")], |p| {
        one(taps::laplacian(p.size.unwrap_or(1)))
    }),
    row("laplacian-8", &["laplacian8", "laplace-8"], "8-neighbour Laplacian", &[], |_| one(Ok(Kernel::laplacian_8()))),
    row("log", &["laplacian-of-gaussian"], "Laplacian of a Gaussian", &[SIGMA, SIZE_4], |p| {
        one(taps::laplacian_of_gaussian(p.derivative()?.0))
    }),
    row("dog", &["difference-of-gaussians"], "difference of Gaussians, of sigma and of ratio·sigma",
        &[SIGMA, param("ratio", "1.6"), param("size", "2⌈3·ratio·sigma⌉+1")], |p| {
        one(taps::difference_of_gaussians(p.sigma, p.ratio, p.size))
    }),
    row("gaussian-dx", &["gaussiandx"], "horizontal derivative of a Gaussian", DERIVATIVE, |p| {
        p.orders(Order::First, Order::Smooth)
    }),
    row("gaussian-dy", &["gaussiandy"], "vertical derivative of a Gaussian", DERIVATIVE, |p| {
        p.orders(Order::Smooth, Order::First)
    }),
    row("gaussian-dxx", &["gaussiandxx"], "second horizontal derivative of a Gaussian", DERIVATIVE, |p| {
        p.orders(Order::Second, Order::Smooth)
    }),
    row("gaussian-dyy", &["gaussiandyy"], "second vertical derivative of a Gaussian", DERIVATIVE, |p| {
        p.orders(Order::Smooth, Order::Second)
    }),
    row("gaussian-dxy", &["gaussiandxy"], "mixed second derivative of a Gaussian", DERIVATIVE, |p| {
        p.orders(Order::First, Order::First)
    }),
    row("gabor", &[], "wave in a Gaussian, as OpenCV's getGaborKernel",
        &[
            param("wavelength", "4"), param("sigma", "0.56·wavelength"), param("angle", "0"), param("aspect", "0.5"),
            param("phase", "90"), param("size", "what holds 3·sigma"), SIZE_Y,
        ], |p| {
        let wavelength = p.wavelength.unwrap_or(4.0);
        one(taps::gabor(Gabor {
            // One octave of bandwidth.
            sigma: p.sigma.unwrap_or(0.56 * wavelength),
            angle: p.angle.unwrap_or(0.0),
            wavelength,
            aspect: p.aspect.unwrap_or(0.5),
            phase: p.phase.unwrap_or(90.0),
            size: (p.size, p.size_y.or(p.size)),
        }))
    }),
    row("motion", &["motion-blur", "motionblur"], "straight movement, anticlockwise from the right",
        &[param("length", "9"), param("angle", "0")], |p| {
        one(taps::motion(p.length.unwrap_or(9.0), p.angle.unwrap_or(0.0)))
    }),
    row("disc", &["disk", "bokeh", "pillbox"], "disc of equal taps, as a lens out of focus has it",
        &[RADIUS, EDGE], |p| {
        one(taps::ring(p.radius.unwrap_or(5.0), None, p.edge.unwrap_or(1.0)))
    }),
    row("ring", &["annulus"], "ring of equal taps, from inner to radius",
        &[RADIUS, param("inner", "radius/2"), EDGE], |p| {
        let radius = p.radius.unwrap_or(5.0);
        one(taps::ring(radius, Some(p.inner.unwrap_or(radius / 2.0)), p.edge.unwrap_or(1.0)))
    }),
    row("sharpen", &["sharp"], "the image less its Laplacian", &[], |_| one(Ok(Kernel::sharpen()))),
    row("unsharp", &["unsharp-mask", "usm"], "the image plus amount × what a Gaussian blur takes away",
        &[SIGMA, param("amount", "1"), SIZE_3], |p| {
        one(taps::unsharp(p.gaussian()?.0, p.amount.unwrap_or(1.0)))
    }),
    row("emboss", &["relief"], "relief, lit from the top left", &[], |_| one(Ok(Kernel::emboss()))),
];

/// A single kernel.
fn one(kernel: Result<Kernel, Error>) -> Result<Vec<Kernel>, Error> {
    Ok(vec![kernel?])
}

/// A horizontal derivative and its transpose: the two kernels of a gradient magnitude.
fn both(x: Result<Kernel, Error>) -> Result<Vec<Kernel>, Error> {
    let x = x?;
    let y = x.transposed();
    Ok(vec![x, y])
}

impl NamedKernel {
    /// All named kernels, in the order of the table.
    #[must_use]
    pub fn all() -> &'static [Self] {
        TABLE
    }

    /// The kernel of this name, or of this [other name](Self::aliases), in capitals or not, with `_` for `-`. The error
    /// of an unknown one lists those there are.
    pub fn find(name: &str) -> Result<&'static Self, Error> {
        let plain = name.to_lowercase().replace('_', "-");
        let is = |k: &&Self| k.name == plain || k.aliases.contains(&plain.as_str());
        TABLE.iter().find(is).ok_or_else(|| {
            let known = TABLE.iter().map(|k| k.name).collect::<Vec<_>>().join(", ");
            Error::UnknownName { what: "kernel", name: name.to_owned(), known }
        })
    }

    /// The name, in lower case with hyphens.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Other names that it is found under.
    #[must_use]
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// What it is, in one line.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// The parameters that it takes, with their defaults.
    #[must_use]
    pub fn params(&self) -> &'static [KernelParam] {
        self.params
    }

    /// The kernel, or the two (x, then y) whose magnitude the name stands for.
    ///
    /// A parameter that the kernel does not take, or that is outside its range, is an error; so
    /// is a size above [`Kernel::MAX_SIDE`], given or implied. All of it is checked before
    /// anything is allocated.
    pub fn kernels(&self, params: &KernelParams) -> Result<Vec<Kernel>, Error> {
        let taken = || self.params.iter().map(|p| p.name);
        if let Some(parameter) = params.given().find(|name| !taken().any(|taken| taken == *name)) {
            let takes = match self.params {
                [] => "none".to_owned(),
                _ => taken().collect::<Vec<_>>().join(", "),
            };
            return Err(Error::ParameterNotTaken { kernel: self.name, parameter, takes });
        }
        (self.make)(params)
    }
}

impl fmt::Debug for NamedKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedKernel").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(name: &str, params: &KernelParams) -> Result<Vec<Kernel>, Error> {
        NamedKernel::find(name)?.kernels(params)
    }

    fn get(name: &str, params: &KernelParams) -> Kernel {
        let mut kernels = make(name, params).unwrap();
        assert_eq!(kernels.len(), 1);
        kernels.remove(0)
    }

    fn sigma(sigma: f64) -> KernelParams {
        KernelParams { sigma: Some(sigma), ..Default::default() }
    }

    fn size(size: usize) -> KernelParams {
        KernelParams { size: Some(size), ..Default::default() }
    }

    #[test]
    fn the_table_is_well_formed() {
        let all = KernelParams {
            size: Some(3),
            size_y: Some(3),
            sigma: Some(1.0),
            sigma_y: Some(1.0),
            angle: Some(30.0),
            length: Some(3.0),
            radius: Some(3.0),
            inner: Some(1.0),
            edge: Some(1.0),
            wavelength: Some(3.0),
            aspect: Some(1.0),
            phase: Some(0.0),
            amount: Some(1.0),
            ratio: Some(2.0),
        };
        let names: Vec<_> = all.given().collect();
        for (i, kernel) in NamedKernel::all().iter().enumerate() {
            for name in kernel.aliases.iter().chain([&kernel.name]) {
                let is = |k: &NamedKernel| k.name == *name || k.aliases.contains(name);
                assert!(!TABLE[..i].iter().any(is), "{name} twice");
                assert_eq!(NamedKernel::find(&name.to_uppercase()).unwrap().name, kernel.name);
            }
            assert!(!kernel.summary.is_empty());
            assert!(kernel.params.iter().all(|p| names.contains(&p.name)), "{}", kernel.name);
            let kernels = kernel.kernels(&KernelParams::default()).unwrap();
            assert!((1..=2).contains(&kernels.len()));
            // Nothing takes all of them.
            let error = kernel.kernels(&all).unwrap_err();
            assert!(matches!(error, Error::ParameterNotTaken { .. }), "{error}");
        }
        let error = NamedKernel::find("sobelq").unwrap_err().to_string();
        assert!(error.contains("\"sobelq\"") && error.contains("sobel-x, sobel-y"), "{error}");
        assert_eq!(NamedKernel::find("Sobel_X").unwrap().name, "sobel-x");
    }

    /// What stands in the table as a default is what the kernel is made with.
    #[test]
    fn defaults_are_as_they_are_said_to_be() {
        for kernel in NamedKernel::all() {
            let plain = kernel.kernels(&KernelParams::default()).unwrap();
            for param in kernel.params {
                let Ok(value) = param.default.parse::<f64>() else { continue };
                let params = with(param.name, value);
                assert_eq!(
                    kernel.kernels(&params).unwrap(),
                    plain,
                    "{} {}",
                    kernel.name,
                    param.name
                );
            }
        }
    }

    /// One parameter, by its name.
    fn with(name: &str, value: f64) -> KernelParams {
        let mut params = KernelParams::default();
        match name {
            "size" => params.size = Some(value as usize),
            "size-y" => params.size_y = Some(value as usize),
            "sigma" => params.sigma = Some(value),
            "sigma-y" => params.sigma_y = Some(value),
            "angle" => params.angle = Some(value),
            "length" => params.length = Some(value),
            "radius" => params.radius = Some(value),
            "inner" => params.inner = Some(value),
            "edge" => params.edge = Some(value),
            "wavelength" => params.wavelength = Some(value),
            "aspect" => params.aspect = Some(value),
            "phase" => params.phase = Some(value),
            "amount" => params.amount = Some(value),
            "ratio" => params.ratio = Some(value),
            _ => unreachable!("{name}"),
        }
        params
    }

    #[test]
    fn integer_kernels() {
        let none = KernelParams::default();
        let text = |text: &str| text.parse::<Kernel>().unwrap().taps().to_vec();
        for (name, taps) in [
            ("identity", "1"),
            ("sobel-x", "-1 0 1; -2 0 2; -1 0 1"),
            ("sobel-y", "-1 -2 -1; 0 0 0; 1 2 1"),
            ("scharr-x", "-3 0 3; -10 0 10; -3 0 3"),
            ("scharr-y", "-3 -10 -3; 0 0 0; 3 10 3"),
            ("prewitt-x", "-1 0 1; -1 0 1; -1 0 1"),
            ("prewitt-y", "-1 -1 -1; 0 0 0; 1 1 1"),
            ("laplacian", "0 1 0; 1 -4 1; 0 1 0"),
            ("laplacian-8", "1 1 1; 1 -8 1; 1 1 1"),
            ("sharpen", "0 -1 0; -1 5 -1; 0 -1 0"),
            ("emboss", "-2 -1 0; -1 1 1; 0 1 2"),
            ("binomial", "scale 1/16; 1 2 1; 2 4 2; 1 2 1"),
        ] {
            assert_eq!(get(name, &none).taps(), text(taps), "{name}");
        }
        for name in ["sobel", "scharr", "prewitt"] {
            let two = make(name, &none).unwrap();
            assert_eq!(two[0], get(&format!("{name}-x"), &none));
            assert_eq!(two[1], get(&format!("{name}-y"), &none));
        }
        let (column, row) = (&[1.0, 4.0, 6.0, 4.0, 1.0][..], &[-1.0, -2.0, 0.0, 2.0, 1.0][..]);
        assert_eq!(get("sobel-x", &size(5)).factors(), Some((column, row)));
        assert_eq!(get("sobel-y", &size(5)).factors(), Some((row, column)));
    }

    #[test]
    fn sums_are_exact() {
        let mut params = vec![KernelParams::default()];
        params.extend([0.3, 0.8, 1.0, 2.0, 3.3, 7.0].map(sigma));
        params.extend([3, 5, 7, 9, 11, 21, 31].map(size));
        for params in params {
            for kernel in NamedKernel::all() {
                let sum = match kernel.name {
                    "identity" | "box" | "gaussian" | "binomial" | "motion" | "disc" | "ring"
                    | "sharpen" | "unsharp" | "emboss" => 1.0,
                    "gabor" => continue,
                    _ => 0.0,
                };
                for k in kernel.kernels(&params).unwrap_or_default() {
                    let products = 1e-16 * (k.taps().len() as f64).sqrt() * k.abs_sum();
                    if let Some((column, row)) = k.factors() {
                        // That of the factors is; their products are rounded.
                        let factors = [column, row].map(|v| v.iter().sum::<f64>());
                        assert_eq!(factors[0] * factors[1], sum, "{} {params:?}", kernel.name);
                        assert!((k.sum() - sum).abs() <= products, "{} {params:?}", kernel.name);
                    } else {
                        assert_eq!(k.sum(), sum, "{} {params:?}", kernel.name);
                    }
                    assert_eq!(k.is_zero_sum(), sum == 0.0, "{} {params:?}", kernel.name);
                    if k.factors().is_none() {
                        assert_eq!(k.taps().iter().rev().sum::<f64>(), sum);
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_follow_sigma_and_axes_differ() {
        assert_eq!(get("gaussian", &KernelParams::default()).width(), 7);
        assert_eq!(get("gaussian", &sigma(2.1)).width(), 15);
        assert_eq!(get("gaussian-dx", &sigma(2.1)).width(), 19);
        assert_eq!(get("dog", &sigma(1.0)).width(), 11);
        let k = get(
            "gaussian",
            &KernelParams { sigma_y: Some(0.5), size: Some(9), ..KernelParams::default() },
        );
        assert_eq!((k.width(), k.height()), (9, 9));
        let k = get(
            "gaussian",
            &KernelParams { sigma: Some(2.0), sigma_y: Some(0.5), ..KernelParams::default() },
        );
        assert_eq!((k.width(), k.height()), (13, 5));
        assert_eq!(k, Kernel::gaussian_xy(2.0, 0.5).unwrap());
        let k = get("box", &KernelParams { size_y: Some(4), ..KernelParams::default() });
        assert_eq!((k.width(), k.height(), k.anchor()), (3, 4, (1, 2)));
        assert_eq!(Kernel::gaussian(341.0).unwrap().width(), 2047);
    }

    #[test]
    fn motion_follows_its_angle() {
        let motion = |length, angle| {
            get(
                "motion",
                &KernelParams { length: Some(length), angle: Some(angle), ..Default::default() },
            )
        };
        for (angle, width, height) in [(0.0, 9, 1), (90.0, 1, 9), (180.0, 9, 1), (-90.0, 1, 9)] {
            let k = motion(9.0, angle);
            assert_eq!((k.width(), k.height()), (width, height), "{angle}");
            assert!(k.taps().iter().all(|t| (t - 1.0 / 9.0).abs() < 1e-15), "{angle}");
        }
        // Anticlockwise: up on the right.
        let k = motion(9.0, 45.0);
        assert_eq!(k.width(), k.height());
        assert!(k.tap(k.width() - 2, 1) > 0.05 && k.tap(1, 1) == 0.0);
        for degrees in -180..180 {
            let k = motion(7.5, f64::from(degrees));
            assert_eq!(k.sum(), 1.0);
            assert!(!k.has_negative_tap());
            // The same line from its other end.
            assert!(k.taps().iter().zip(k.flipped().taps()).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    #[test]
    fn discs_have_equal_taps() {
        let ring = |radius, inner: Option<f64>, edge| {
            let name = if inner.is_some() { "ring" } else { "disc" };
            let (radius, edge) = (Some(radius), Some(edge));
            get(name, &KernelParams { radius, inner, edge, ..Default::default() })
        };
        // As many as there are points of the grid within a circle.
        for (radius, points) in [(0.5, 1), (1.0, 5), (2.0, 13), (2.9, 25), (5.0, 81), (31.0, 3001)]
        {
            let k = ring(radius, None, 0.0);
            assert_eq!(k.width(), 2 * radius as usize + 1);
            assert_eq!(k.taps().iter().filter(|t| **t != 0.0).count(), points, "{radius}");
            let share = 1.0 / points as f64;
            assert!(k.taps().iter().all(|t| *t == 0.0 || (t / share - 1.0).abs() < 1e-9));
            assert_eq!(k.sum(), 1.0);
            assert!((k.tap(0, k.height() / 2) / k.tap(k.width() / 2, 0) - 1.0).abs() < 1e-9);
        }
        let soft = ring(15.0, None, 1.0);
        assert_eq!((soft.width(), soft.sum()), (31, 1.0));
        // The area is that of the circle.
        let area = soft.abs_sum() / soft.tap(15, 15);
        assert!((area / (std::f64::consts::PI * 225.0) - 1.0).abs() < 0.002, "{area}");
        let hole = ring(10.0, Some(6.0), 1.0);
        assert!(hole.tap(10, 10) == 0.0 && hole.tap(10, 2) > 0.0 && hole.sum() == 1.0);
        assert_eq!(ring(5.0, Some(0.0), 1.0), ring(5.0, None, 1.0));
        let fails = |radius, inner, edge| {
            let params = KernelParams { radius, inner, edge, ..Default::default() };
            assert!(make("ring", &params).is_err(), "{params:?}");
        };
        fails(Some(0.0), None, None);
        fails(Some(f64::NAN), None, None);
        fails(Some(1e30), None, None);
        fails(Some(3.0), Some(3.0), None);
        fails(Some(3.0), Some(-1.0), None);
        fails(Some(3.0), None, Some(-0.1));
        fails(Some(3.0), None, Some(6.1));
        fails(Some(3.4), Some(3.3), Some(0.0));
    }

    #[test]
    fn bad_parameters_are_named() {
        let fails = |name: &str, params: KernelParams, parts: &[&str]| {
            let error = make(name, &params).unwrap_err().to_string();
            assert!(parts.iter().all(|p| error.contains(p)), "{name} {params:?}: {error}");
        };
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for name in ["gaussian", "log", "dog", "gabor", "unsharp", "gaussian-dx"] {
                fails(name, sigma(bad), &["sigma is ", &bad.to_string()]);
            }
            fails(
                "gaussian",
                KernelParams { sigma_y: Some(bad), ..Default::default() },
                &["sigma-y is "],
            );
        }
        for name in ["gaussian", "log", "dog", "gabor", "unsharp", "gaussian-dx"] {
            fails(name, sigma(1e30), &["too large", "2048 a side"]);
        }
        for n in [0, 4, 2048] {
            fails("gaussian", size(n), &["size is ", "odd"]);
            fails("log", size(n), &["size is ", "odd"]);
            fails("sobel-x", size(n), &["size is ", "odd"]);
        }
        fails("sobel", size(33), &["size is 33", "31"]);
        fails("box", size(0), &["empty"]);
        fails("binomial", size(0), &["empty"]);
        for name in ["gaussian", "box", "binomial", "log", "gabor", "unsharp", "dog"] {
            for n in [2049, 2_147_483_649, usize::MAX] {
                fails(name, size(n), &["too large", "2048 a side"]);
            }
        }
        fails(
            "box",
            KernelParams { size: Some(2), size_y: Some(2_147_483_649), ..Default::default() },
            &["2×2147483649", "2048 a side"],
        );
        for bad in [f64::NAN, f64::INFINITY] {
            let angle = KernelParams { angle: Some(bad), ..Default::default() };
            fails("motion", angle.clone(), &["angle is "]);
            fails("gabor", angle, &["angle is "]);
            let length = KernelParams { length: Some(bad), ..Default::default() };
            fails("motion", length, &["length is "]);
            let wavelength = KernelParams { wavelength: Some(bad), ..Default::default() };
            fails("gabor", wavelength, &["wavelength is "]);
            let ratio = KernelParams { ratio: Some(bad), ..Default::default() };
            fails("dog", ratio, &["ratio is "]);
            let amount = KernelParams { amount: Some(bad), ..Default::default() };
            fails("unsharp", amount, &["amount is "]);
        }
        fails(
            "motion",
            KernelParams { length: Some(1e30), ..Default::default() },
            &["too large", "2048 a side"],
        );
        fails("emboss", sigma(1.0), &["emboss does not take sigma", "takes none"]);
        fails("box", sigma(1.0), &["box does not take sigma", "size, size-y"]);
    }

    #[test]
    fn extreme_parameters_give_finite_taps() {
        for value in [f64::MIN_POSITIVE, 5e-324, 1e-160, 1e-9, 1e9, 1e160, f64::MAX] {
            for kernel in NamedKernel::all() {
                let sized = kernel.params.iter().any(|p| p.name == "size");
                for param in kernel.params.iter().filter(|p| !p.name.starts_with("size")) {
                    let mut params = with(param.name, value);
                    params.size = sized.then_some(5);
                    // Taps of NaN would be the error `TapNotFinite`.
                    match kernel.kernels(&params) {
                        Ok(_) | Err(Error::Parameter { .. } | Error::KernelTooLarge { .. }) => {}
                        Err(error) => panic!("{} {params:?}: {error}", kernel.name),
                    }
                }
            }
        }
    }

    #[test]
    fn a_gaussian_without_parameters_is_that_of_sigma_1() {
        let make = |sigma| {
            let params = KernelParams { sigma, ..Default::default() };
            NamedKernel::find("gaussian").unwrap().kernels(&params).unwrap()
        };
        assert_eq!(make(None), make(Some(1.0)));
    }
}
