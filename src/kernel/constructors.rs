//! `Kernel`'s constructors: one for each named kernel, with the parameters that one cannot do
//! without. The formulas are in `taps`; all parameters of all names are in
//! [`KernelParams`](super::KernelParams).

use super::taps::{self, Axis, DIFFERENCE, Order, fixed, product};
use super::{Kernel, KernelParams, NamedKernel};
use crate::error::Error;

/// # The kernels that have a name
///
/// Each is known to the program, and to [`NamedKernel::find`](crate::NamedKernel::find) with all its
/// parameters, by the name on the left. Smoothing kernels sum to 1 and derivatives to 0, exactly;
/// of products, the sums of column and row do.
///
/// | name | constructor |
/// |---|---|
/// | `identity` | [`identity`](Self::identity) |
/// | `box` | [`box_`](Self::box_) |
/// | `gaussian` | [`gaussian`](Self::gaussian), [`gaussian_xy`](Self::gaussian_xy), [`gaussian_of`](Self::gaussian_of) a size |
/// | `binomial` | [`binomial`](Self::binomial) |
/// | `sobel-x`, `sobel-y` | [`sobel_x`](Self::sobel_x), [`sobel_y`](Self::sobel_y), and [`sobel_x_of`](Self::sobel_x_of), [`sobel_y_of`](Self::sobel_y_of) a size |
/// | `scharr-x`, `scharr-y` | [`scharr_x`](Self::scharr_x), [`scharr_y`](Self::scharr_y) |
/// | `prewitt-x`, `prewitt-y` | [`prewitt_x`](Self::prewitt_x), [`prewitt_y`](Self::prewitt_y) |
/// | `sobel`, `scharr`, `prewitt` | [`Filter::magnitude`](crate::Filter::magnitude) of x and y |
/// | `laplacian` | [`laplacian`](Self::laplacian), [`laplacian_of`](Self::laplacian_of) a size |
/// | `laplacian-8` | [`laplacian_8`](Self::laplacian_8) |
/// | `log` | [`log`](Self::log) |
/// | `dog` | [`dog`](Self::dog) |
/// | `gaussian-dx`, `gaussian-dy` | [`gaussian_dx`](Self::gaussian_dx), [`gaussian_dy`](Self::gaussian_dy) |
/// | `gaussian-dxx`, `gaussian-dyy`, `gaussian-dxy` | [`gaussian_dxx`](Self::gaussian_dxx), [`gaussian_dyy`](Self::gaussian_dyy), [`gaussian_dxy`](Self::gaussian_dxy) |
/// | `gabor` | [`gabor`](Self::gabor) |
/// | `motion` | [`motion`](Self::motion) |
/// | `disc`, `ring` | [`disc`](Self::disc), [`ring`](Self::ring) |
/// | `sharpen` | [`sharpen`](Self::sharpen) |
/// | `unsharp` | [`unsharp`](Self::unsharp) |
/// | `emboss` | [`emboss`](Self::emboss) |
///
/// ```
/// use twopass::{Kernel, KernelParams, NamedKernel};
///
/// let unsharp = Kernel::unsharp(2.0, 0.7)?;
/// let params = KernelParams { sigma: Some(2.0), amount: Some(0.7), ..Default::default() };
/// assert_eq!(NamedKernel::find("unsharp")?.kernels(&params)?, [unsharp]);
/// # Ok::<(), twopass::Error>(())
/// ```
impl Kernel {
    /// One tap of 1: the image itself.
    #[must_use]
    pub fn identity() -> Self {
        fixed(1, 1, &[1.0])
    }

    /// The mean over `width` × `height` pixels, each from 1 to [`Kernel::MAX_SIDE`]; column and row sum to
    /// exactly 1 each, so their middle taps may differ from the others in the last bits.
    pub fn box_(width: usize, height: usize) -> Result<Self, Error> {
        Self::check_size(width, height)?;
        Self::separable(&taps::mean(height), &taps::mean(width))
    }

    /// A Gaussian of standard deviation `sigma` pixels, 2·⌈3σ⌉+1 taps a side; column and row sum to exactly 1.
    ///
    /// `sigma` is above 0 and finite, and at most 341, where the size reaches its limit.
    pub fn gaussian(sigma: f64) -> Result<Self, Error> {
        Self::gaussian_xy(sigma, sigma)
    }

    /// A Gaussian with a standard deviation per axis; otherwise [`Kernel::gaussian`].
    pub fn gaussian_xy(sigma_x: f64, sigma_y: f64) -> Result<Self, Error> {
        let x = Axis::gaussian("sigma", Some(sigma_x), "size", None)?;
        let y = Axis::gaussian("sigma-y", Some(sigma_y), "size-y", None)?;
        taps::gaussian(x, y)
    }

    /// OpenCV's Gaussian of `size` × `size` taps, an odd number, for a σ of 0: up to 9 taps whole numbers over a
    /// power of two, beyond them σ = 0.3·((size − 1)/2 − 1) + 0.8.
    pub fn gaussian_of(size: usize) -> Result<Self, Error> {
        let axis = Axis::gaussian("sigma", None, "size", Some(size))?;
        taps::gaussian(axis, axis)
    }

    /// Row `n` of Pascal's triangle on both axes, `n` × `n` taps, divided by its sum. Exact in
    /// `f64`, integers over a power of two, up to a size of 50.
    pub fn binomial(n: usize) -> Result<Self, Error> {
        Self::check_size(n, n)?;
        let line = taps::binomial(n);
        Self::separable(&line, &line)
    }

    /// Sobel's horizontal derivative, 3 × 3: `[1 2 1]`ᵀ · `[-1 0 1]`, not normalised.
    #[must_use]
    pub fn sobel_x() -> Self {
        product(&[1.0, 2.0, 1.0], &DIFFERENCE)
    }

    /// Sobel's vertical derivative: [`Kernel::sobel_x`] transposed.
    #[must_use]
    pub fn sobel_y() -> Self {
        Self::sobel_x().transposed()
    }

    /// Sobel's horizontal derivative of `size` × `size` whole taps, an odd number from 3 to 31: OpenCV's
    /// `getDerivKernels`.
    pub fn sobel_x_of(size: usize) -> Result<Self, Error> {
        taps::sobel_x(size)
    }

    /// Sobel's vertical derivative of a size: [`Kernel::sobel_x_of`] transposed.
    pub fn sobel_y_of(size: usize) -> Result<Self, Error> {
        Ok(Self::sobel_x_of(size)?.transposed())
    }

    /// Scharr's horizontal derivative, 3 × 3: `[3 10 3]`ᵀ · `[-1 0 1]`, not normalised.
    #[must_use]
    pub fn scharr_x() -> Self {
        product(&[3.0, 10.0, 3.0], &DIFFERENCE)
    }

    /// Scharr's vertical derivative: [`Kernel::scharr_x`] transposed.
    #[must_use]
    pub fn scharr_y() -> Self {
        Self::scharr_x().transposed()
    }

    /// Prewitt's horizontal derivative, 3 × 3: `[1 1 1]`ᵀ · `[-1 0 1]`, not normalised.
    #[must_use]
    pub fn prewitt_x() -> Self {
        product(&[1.0, 1.0, 1.0], &DIFFERENCE)
    }

    /// Prewitt's vertical derivative: [`Kernel::prewitt_x`] transposed.
    #[must_use]
    pub fn prewitt_y() -> Self {
        Self::prewitt_x().transposed()
    }

    /// The 4-neighbour Laplacian, `0 1 0; 1 -4 1; 0 1 0` (OpenCV's `Laplacian` with `ksize` 1).
    #[must_use]
    pub fn laplacian() -> Self {
        fixed(3, 3, &[0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0])
    }

    /// OpenCV's `Laplacian` of a `ksize` of 1 (the 4-neighbour kernel) or an odd number from 3 to 31: the sum of
    /// Sobel's two second derivatives.
    pub fn laplacian_of(size: usize) -> Result<Self, Error> {
        taps::laplacian(size)
    }

    /// The 8-neighbour Laplacian, `1 1 1; 1 -8 1; 1 1 1`.
    #[must_use]
    pub fn laplacian_8() -> Self {
        fixed(3, 3, &[1.0, 1.0, 1.0, 1.0, -8.0, 1.0, 1.0, 1.0, 1.0])
    }

    /// The Laplacian of a Gaussian of standard deviation `sigma`, at least 0.1, of 2·⌈4σ⌉+1 taps a side; negative
    /// in the middle.
    pub fn log(sigma: f64) -> Result<Self, Error> {
        taps::laplacian_of_gaussian(derivative(sigma)?)
    }

    /// A Gaussian of standard deviation `sigma` less one of `ratio` · `sigma`, `ratio` above 1 (1.6 resembles the
    /// [`log`](Self::log)), of 2·⌈3·ratio·σ⌉+1 taps a side.
    pub fn dog(sigma: f64, ratio: f64) -> Result<Self, Error> {
        taps::difference_of_gaussians(Some(sigma), Some(ratio), None)
    }

    /// The horizontal derivative of a Gaussian of standard deviation `sigma`, at least 0.1, of 2·⌈4σ⌉+1 taps a side.
    pub fn gaussian_dx(sigma: f64) -> Result<Self, Error> {
        orders(sigma, Order::First, Order::Smooth)
    }

    /// The vertical derivative of a Gaussian; otherwise [`Kernel::gaussian_dx`].
    pub fn gaussian_dy(sigma: f64) -> Result<Self, Error> {
        orders(sigma, Order::Smooth, Order::First)
    }

    /// The second horizontal derivative of a Gaussian; otherwise [`Kernel::gaussian_dx`].
    pub fn gaussian_dxx(sigma: f64) -> Result<Self, Error> {
        orders(sigma, Order::Second, Order::Smooth)
    }

    /// The second vertical derivative of a Gaussian; otherwise [`Kernel::gaussian_dx`].
    pub fn gaussian_dyy(sigma: f64) -> Result<Self, Error> {
        orders(sigma, Order::Smooth, Order::Second)
    }

    /// The mixed second derivative of a Gaussian; otherwise [`Kernel::gaussian_dx`].
    pub fn gaussian_dxy(sigma: f64) -> Result<Self, Error> {
        orders(sigma, Order::First, Order::First)
    }

    /// OpenCV's `getGaborKernel` for edges: a wave of `wavelength` pixels that runs at `angle` degrees, clockwise
    /// from the right, in a Gaussian of σ = 0.56 · wavelength (one octave), twice as long across the wave, with a
    /// phase of 90°. Not normalised.
    pub fn gabor(wavelength: f64, angle: f64) -> Result<Self, Error> {
        let wave = KernelParams {
            wavelength: Some(wavelength),
            angle: Some(angle),
            ..KernelParams::default()
        };
        // What else it is made of stands in the table.
        Ok(NamedKernel::find("gabor")?.kernels(&wave)?.remove(0))
    }

    /// A straight movement of `length` pixels, at least 1, at `angle` degrees, anticlockwise from the right.
    pub fn motion(length: f64, angle: f64) -> Result<Self, Error> {
        taps::motion(length, angle)
    }

    /// A disc of that radius in pixels, above 0, of equal taps that fall off over a pixel at its edge.
    pub fn disc(radius: f64) -> Result<Self, Error> {
        taps::ring(radius, None, 1.0)
    }

    /// A ring of equal taps, from `inner` to `radius`, which fall off over a pixel at its edges.
    pub fn ring(radius: f64, inner: f64) -> Result<Self, Error> {
        taps::ring(radius, Some(inner), 1.0)
    }

    /// The image less its Laplacian, `0 -1 0; -1 5 -1; 0 -1 0`.
    #[must_use]
    pub fn sharpen() -> Self {
        fixed(3, 3, &[0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0])
    }

    /// The image plus `amount` (above 0, at most 1000) times what a Gaussian blur of standard deviation `sigma` takes
    /// away.
    pub fn unsharp(sigma: f64, amount: f64) -> Result<Self, Error> {
        taps::unsharp(Axis::gaussian("sigma", Some(sigma), "size", None)?, amount)
    }

    /// Light from the top left, `-2 -1 0; -1 1 1; 0 1 2`: relief on top of the image, sum 1.
    #[must_use]
    pub fn emboss() -> Self {
        fixed(3, 3, &[-2.0, -1.0, 0.0, -1.0, 1.0, 1.0, 0.0, 1.0, 2.0])
    }
}

/// Both axes of a derivative.
fn derivative(sigma: f64) -> Result<Axis, Error> {
    Axis::derivative("sigma", Some(sigma), "size", None)
}

/// A Gaussian derivative of the given orders.
fn orders(sigma: f64, x: Order, y: Order) -> Result<Kernel, Error> {
    let axis = derivative(sigma)?;
    taps::gaussian_orders(axis, axis, x, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_kernel_has_a_constructor_that_makes_it() {
        let params = KernelParams::default();
        for named in NamedKernel::all() {
            let made = match named.name() {
                "identity" => Ok(Kernel::identity()),
                "box" => Kernel::box_(3, 3),
                "gaussian" => Kernel::gaussian(1.0),
                "binomial" => Kernel::binomial(3),
                "sobel" | "sobel-x" => Ok(Kernel::sobel_x()),
                "sobel-y" => Ok(Kernel::sobel_y()),
                "scharr" | "scharr-x" => Ok(Kernel::scharr_x()),
                "scharr-y" => Ok(Kernel::scharr_y()),
                "prewitt" | "prewitt-x" => Ok(Kernel::prewitt_x()),
                "prewitt-y" => Ok(Kernel::prewitt_y()),
                "laplacian" => Ok(Kernel::laplacian()),
                "laplacian-8" => Ok(Kernel::laplacian_8()),
                "log" => Kernel::log(1.0),
                "dog" => Kernel::dog(1.0, 1.6),
                "gaussian-dx" => Kernel::gaussian_dx(1.0),
                "gaussian-dy" => Kernel::gaussian_dy(1.0),
                "gaussian-dxx" => Kernel::gaussian_dxx(1.0),
                "gaussian-dyy" => Kernel::gaussian_dyy(1.0),
                "gaussian-dxy" => Kernel::gaussian_dxy(1.0),
                "gabor" => Kernel::gabor(4.0, 0.0),
                "motion" => Kernel::motion(9.0, 0.0),
                "disc" => Kernel::disc(5.0),
                "ring" => Kernel::ring(5.0, 2.5),
                "sharpen" => Ok(Kernel::sharpen()),
                "unsharp" => Kernel::unsharp(1.0, 1.0),
                "emboss" => Ok(Kernel::emboss()),
                name => panic!("{name} has no constructor"),
            };
            assert_eq!(named.kernels(&params).unwrap()[0], made.unwrap(), "{}", named.name());
        }
    }

    #[test]
    fn sizes_are_those_of_the_table() {
        for size in [3, 5, 7, 31] {
            let params = KernelParams { size: Some(size), ..Default::default() };
            let find = |name| NamedKernel::find(name).unwrap().kernels(&params).unwrap().remove(0);
            assert_eq!(Kernel::sobel_x_of(size).unwrap(), find("sobel-x"));
            assert_eq!(Kernel::sobel_y_of(size).unwrap(), find("sobel-y"));
            assert_eq!(Kernel::laplacian_of(size).unwrap(), find("laplacian"));
            assert_eq!(Kernel::gaussian_of(size).unwrap(), find("gaussian"));
        }
        assert!(Kernel::sobel_x_of(4).is_err() && Kernel::gaussian_of(4).is_err());
    }
}
