//! The formulas behind the named kernels.
//!
//! Sizes and ranges are checked before anything is allocated, taps are computed in `f64`, and
//! [`settle`] gives smoothing kernels a sum of exactly 1 and derivatives a sum of exactly 0. The
//! table in `named` decides which names and parameters reach these formulas; `constructors` has the
//! same for those who write Rust. Where OpenCV has a kernel of the same name, the taps are OpenCV's.

use super::Kernel;
use crate::error::Error;
use std::f64::consts::SQRT_2;

/// The Gaussian's default reach in σ; its default size is 2·⌈3σ⌉+1.
const GAUSSIAN_REACH: f64 = 3.0;
/// The reach of derivatives, whose tails are longer: their default size is 2·⌈4σ⌉+1, SciPy's
/// `truncate = 4`.
const DERIVATIVE_REACH: f64 = 4.0;
/// Below this σ the samples of a derivative say nothing: all of it lies between two pixels.
const DERIVATIVE_SIGMA: &str = "a number of at least 0.1";

/// The central difference, whose sign is that of a slope rising to the right.
pub(super) const DIFFERENCE: [f64; 3] = [-1.0, 0.0, 1.0];

/// A kernel from constants of this folder, which are valid by inspection.
pub(super) fn fixed(width: usize, height: usize, taps: &[f64]) -> Kernel {
    Kernel::new(width, height, taps.to_vec()).expect("constant taps are valid")
}

/// [`fixed`] from two constant factors.
pub(super) fn product(column: &[f64], row: &[f64]) -> Kernel {
    Kernel::separable(column, row).expect("constant factors are valid")
}

/// Standard deviation and number of taps of one axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    sigma: Option<f64>,
    size: usize,
}

/// [`Axis::gaussian`] or [`Axis::derivative`]: σ and size, each after the name it was given by.
pub(super) type MakeAxis =
    fn(&'static str, Option<f64>, &'static str, Option<usize>) -> Result<Axis, Error>;

impl Axis {
    /// The axis of a smoothing Gaussian: σ 1 if nothing is given, 2·⌈3σ⌉+1 taps if no size is,
    /// and OpenCV's σ for the size if only that is.
    pub(super) fn gaussian(
        sigma_name: &'static str,
        sigma: Option<f64>,
        size_name: &'static str,
        size: Option<usize>,
    ) -> Result<Self, Error> {
        let sigma = sigma.map(|s| positive(sigma_name, s)).transpose()?;
        Ok(match size {
            Some(size) => Self { sigma, size: odd(size_name, size)? },
            None => {
                let sigma = sigma.unwrap_or(1.0);
                Self { sigma: Some(sigma), size: odd_size(sigma, GAUSSIAN_REACH)? }
            }
        })
    }

    /// The axis of a derivative: σ 1 if none is given, at least 0.1; 2·⌈4σ⌉+1 taps if no size
    /// is given.
    pub(super) fn derivative(
        sigma_name: &'static str,
        sigma: Option<f64>,
        size_name: &'static str,
        size: Option<usize>,
    ) -> Result<Self, Error> {
        let sigma = sigma.unwrap_or(1.0);
        // Written so that NaN fails as well.
        if !(sigma >= 0.1 && sigma.is_finite()) {
            return Err(Error::Parameter {
                name: sigma_name,
                value: sigma,
                expected: DERIVATIVE_SIGMA,
            });
        }
        let size = match size {
            Some(size) => odd(size_name, size)?,
            None => odd_size(sigma, DERIVATIVE_REACH)?,
        };
        Ok(Self { sigma: Some(sigma), size })
    }

    /// The Gaussian, of sum exactly 1.
    fn smooth(self) -> Vec<f64> {
        match self.sigma {
            Some(sigma) => gaussian_line(sigma, self.size),
            None => opencv_gaussian(self.size),
        }
    }

    /// The first derivative, x/σ² · g(x) with g the Gaussian of sum 1: SciPy's
    /// `gaussian_filter1d` with `order = 1`. Antisymmetric, so its sum is exactly 0.
    fn first(self) -> Vec<f64> {
        let sigma = self.sigma.unwrap_or(1.0);
        let mut line = gaussian_line(sigma, self.size);
        for (t, x) in line.iter_mut().zip(offsets(self.size)) {
            *t *= x / sigma / sigma;
        }
        settle(&mut line, 0.0);
        line
    }

    /// The second derivative, (x² − m)/σ⁴ · g(x): SciPy's `order = 2`, except that σ² is
    /// replaced by m = Σ x²·g(x), the variance of the samples. That makes the sum 0 (a window of
    /// 4σ would leave 10⁻⁴ of it) without touching any single tap; the rest is rounding.
    fn second(self) -> Vec<f64> {
        let sigma = self.sigma.unwrap_or(1.0);
        let mut line = gaussian_line(sigma, self.size);
        let variance: f64 = line.iter().zip(offsets(self.size)).map(|(g, x)| g * x * x).sum();
        for (t, x) in line.iter_mut().zip(offsets(self.size)) {
            *t *= (x * x - variance) / sigma / sigma / sigma / sigma;
        }
        settle(&mut line, 0.0);
        line
    }
}

/// Which derivative of the Gaussian an axis takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Smooth,
    First,
    Second,
}

/// A Gaussian, or a derivative of it, per axis.
pub(super) fn gaussian_orders(
    x: Axis,
    y: Axis,
    order_x: Order,
    order_y: Order,
) -> Result<Kernel, Error> {
    Kernel::check_size(x.size, y.size)?;
    let line = |axis: Axis, order| match order {
        Order::Smooth => axis.smooth(),
        Order::First => axis.first(),
        Order::Second => axis.second(),
    };
    Kernel::separable(&line(y, order_y), &line(x, order_x))
}

/// A Gaussian per axis.
pub(super) fn gaussian(x: Axis, y: Axis) -> Result<Kernel, Error> {
    gaussian_orders(x, y, Order::Smooth, Order::Smooth)
}

/// The Laplacian of a Gaussian, g″(x)·g(y) + g(x)·g″(y) as SciPy's `gaussian_laplace` with the
/// second derivative of [`Axis::second`]; negative in the middle, like `laplacian`.
pub(super) fn laplacian_of_gaussian(axis: Axis) -> Result<Kernel, Error> {
    let (g, d) = (axis.smooth(), axis.second());
    let mut taps = outer(&g, &d);
    for (t, u) in taps.iter_mut().zip(outer(&d, &g)) {
        *t += u;
    }
    settle(&mut taps, 0.0);
    let terms = vec![Kernel::separable(&g, &d)?, Kernel::separable(&d, &g)?];
    Ok(Kernel::new(axis.size, axis.size, taps)?.made_of(terms))
}

/// The difference of two Gaussians, the narrow one (σ) less the wide one (ratio·σ), in a window
/// of 2·⌈3·ratio·σ⌉+1 taps unless a size is given.
pub(super) fn difference_of_gaussians(
    sigma: Option<f64>,
    ratio: Option<f64>,
    size: Option<usize>,
) -> Result<Kernel, Error> {
    let sigma = positive("sigma", sigma.unwrap_or(1.0))?;
    let ratio = ratio.unwrap_or(1.6);
    if !(ratio > 1.0 && ratio.is_finite()) {
        let expected = "a number above 1";
        return Err(Error::Parameter { name: "ratio", value: ratio, expected });
    }
    let size = match size {
        Some(size) => odd("size", size)?,
        None => odd_size(sigma * ratio, GAUSSIAN_REACH)?,
    };
    let narrow = gaussian_line(sigma, size);
    let wide = gaussian_line(sigma * ratio, size);
    let mut taps = outer(&narrow, &narrow);
    for (t, u) in taps.iter_mut().zip(outer(&wide, &wide)) {
        *t -= u;
    }
    settle(&mut taps, 0.0);
    let less = Kernel::separable(&wide, &wide)?.scaled(-1.0)?;
    let terms = vec![Kernel::separable(&narrow, &narrow)?, less];
    Ok(Kernel::new(size, size, taps)?.made_of(terms))
}

/// (1 + amount) · image − amount · Gaussian, as one kernel of sum exactly 1.
pub(super) fn unsharp(axis: Axis, amount: f64) -> Result<Kernel, Error> {
    if !(amount > 0.0 && amount <= 1000.0) {
        let expected = "a number above 0 and at most 1000";
        return Err(Error::Parameter { name: "amount", value: amount, expected });
    }
    let g = axis.smooth();
    let mut taps = outer(&g, &g);
    for t in &mut taps {
        *t *= -amount;
    }
    let middle = taps.len() / 2;
    taps[middle] += 1.0 + amount;
    settle(&mut taps, 1.0);
    let less = Kernel::separable(&g, &g)?.scaled(-amount)?;
    let terms = vec![Kernel::new(1, 1, vec![1.0 + amount])?, less];
    Ok(Kernel::new(axis.size, axis.size, taps)?.made_of(terms))
}

/// Sobel's factors for an odd size from 3 to 31, the smoothing one and the difference, as
/// OpenCV's `getDerivKernels`: a row of Pascal's triangle, and a shorter one convolved with
/// [−1 0 1] (`order` 1) or [1 −2 1] (`order` 2). Integers.
fn sobel_factors(size: usize, order: usize) -> Result<(Vec<f64>, Vec<f64>), Error> {
    if size.is_multiple_of(2) || !(3..=31).contains(&size) {
        let expected = "an odd number from 3 to 31";
        return Err(Error::Parameter { name: "size", value: size as f64, expected });
    }
    let pascal = |n: usize| {
        let scale = 2f64.powi(n as i32 - 1);
        binomial(n).iter().map(|t| t * scale).collect::<Vec<_>>()
    };
    let short = pascal(size - 2);
    let stencil = if order == 1 { DIFFERENCE } else { [1.0, -2.0, 1.0] };
    let mut difference = vec![0.0; size];
    for (i, s) in short.iter().enumerate() {
        for (j, d) in stencil.iter().enumerate() {
            difference[i + j] += s * d;
        }
    }
    Ok((pascal(size), difference))
}

/// Sobel's horizontal derivative for an odd size from 3 to 31.
pub(super) fn sobel_x(size: usize) -> Result<Kernel, Error> {
    let (smooth, difference) = sobel_factors(size, 1)?;
    Kernel::separable(&smooth, &difference)
}

/// OpenCV's `Laplacian` for a `ksize` of 1 (the 4-neighbour kernel) or odd from 3 to 31: the sum
/// of Sobel's two second derivatives.
pub(super) fn laplacian(size: usize) -> Result<Kernel, Error> {
    if size == 1 {
        return Ok(Kernel::laplacian());
    }
    let (smooth, difference) = sobel_factors(size, 2)?;
    let mut taps = outer(&smooth, &difference);
    for (t, u) in taps.iter_mut().zip(outer(&difference, &smooth)) {
        *t += u;
    }
    Kernel::new(size, size, taps)
}

/// What a Gabor kernel is made of; angles in degrees, lengths in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gabor {
    pub sigma: f64,
    pub angle: f64,
    pub wavelength: f64,
    pub aspect: f64,
    pub phase: f64,
    pub size: (Option<usize>, Option<usize>),
}

/// OpenCV's `getGaborKernel`: a Gaussian of standard deviation σ along the wave and σ/aspect
/// across it, times the cosine of a wave that runs at `angle`; not normalised. Without a size
/// the window holds 3σ both ways.
pub(super) fn gabor(g: Gabor) -> Result<Kernel, Error> {
    // The wavelength first: σ may follow from it.
    let wavelength = positive("wavelength", g.wavelength)?;
    let sigma = positive("sigma", g.sigma)?;
    let aspect = positive("aspect", g.aspect)?;
    let angle = finite("angle", g.angle)?.to_radians();
    let phase = finite("phase", g.phase)?.to_radians();
    let (sin, cos) = angle.sin_cos();
    let (long, wide) = (3.0 * sigma, 3.0 * sigma / aspect);
    let width = match g.size.0 {
        Some(size) => odd("size", size)?,
        None => odd_size((long * cos).abs().max((wide * sin).abs()).round_ties_even(), 1.0)?,
    };
    let height = match g.size.1 {
        Some(size) => odd("size-y", size)?,
        None => odd_size((long * sin).abs().max((wide * cos).abs()).round_ties_even(), 1.0)?,
    };
    Kernel::check_size(width, height)?;
    let mut taps = Vec::with_capacity(width * height);
    // OpenCV fills its kernel from the far corner, so both offsets are negated.
    for y in offsets(height) {
        for x in offsets(width) {
            let along = -x * cos - y * sin;
            let across = x * sin - y * cos;
            let (u, v) = (along / sigma, across / sigma * aspect);
            let wave = (std::f64::consts::TAU / wavelength * along + phase).cos();
            // A wavelength next to 0 has no phase left to speak of; the sample is 0 then.
            let tap = (-0.5 * (u * u + v * v)).exp() * wave;
            taps.push(if tap.is_finite() { tap } else { 0.0 });
        }
    }
    Kernel::new(width, height, taps)
}

/// A straight movement of `length` ≥ 1 pixels at `angle` degrees, anticlockwise from the right:
/// each tap is the area that a line of width 1 covers of its pixel, divided by the whole area.
/// The sum is exactly 1; at 0°, an odd length gives that many equal taps (up to the last bit).
pub(super) fn motion(length: f64, angle: f64) -> Result<Kernel, Error> {
    if !(length >= 1.0 && length.is_finite()) {
        let expected = "a number of at least 1";
        return Err(Error::Parameter { name: "length", value: length, expected });
    }
    let (sin, cos) = finite("angle", angle)?.to_radians().sin_cos();
    // Half extents of the turned line; the slack keeps sin 180° ≠ 0 from adding empty taps.
    let reach = |a: f64, b: f64| ((length * a.abs() + b.abs()) / 2.0 - 0.5 - 1e-9).max(0.0);
    let width = odd_size(reach(cos, sin), 1.0)?;
    let height = odd_size(reach(sin, cos), 1.0)?;
    Kernel::check_size(width, height)?;
    let mut taps = Vec::with_capacity(width * height);
    for y in offsets(height) {
        for x in offsets(width) {
            // The pixel's centre, along the line and across it (rows run downwards).
            let (along, across) = (x * cos - y * sin, x * sin + y * cos);
            let far = across.abs() > 0.5 + SQRT_2 / 2.0;
            taps.push(if far { 0.0 } else { covered(along, across, sin, cos, length) });
        }
    }
    let total: f64 = taps.iter().sum();
    for t in &mut taps {
        *t /= total;
    }
    settle(&mut taps, 1.0);
    Kernel::new(width, height, taps)
}

/// A disc, or with an `inner` radius a ring, of equal taps: the picture of a point of light out of focus. At its edges
/// taps fall off over `edge` pixels of the distance d from the middle, as clamp((radius − d) / edge + ½, 0, 1) does; with
/// 0 a tap is there where d ≤ radius. The sum is exactly 1.
pub(super) fn ring(radius: f64, inner: Option<f64>, edge: f64) -> Result<Kernel, Error> {
    if !(radius > 0.0 && radius.is_finite()) {
        let expected = "a number above 0";
        return Err(Error::Parameter { name: "radius", value: radius, expected });
    }
    if !(0.0..=2.0 * radius).contains(&edge) {
        let expected = "a number from 0 to twice the radius";
        return Err(Error::Parameter { name: "edge", value: edge, expected });
    }
    if let Some(value) = inner.filter(|inner| !(*inner >= 0.0 && *inner < radius)) {
        let expected = "a number from 0 to less than the radius";
        return Err(Error::Parameter { name: "inner", value, expected });
    }
    let covered = |distance: f64, radius: f64| {
        if edge > 0.0 {
            ((radius - distance) / edge + 0.5).clamp(0.0, 1.0)
        } else {
            // The slack is for what roots round.
            f64::from(distance <= radius * (1.0 + 1e-12))
        }
    };
    // The last tap that is not 0.
    let reach = radius + edge / 2.0;
    let size = odd_size(if edge > 0.0 { (reach - 1.0).max(0.0) } else { reach.floor() }, 1.0)?;
    let mut taps = Vec::with_capacity(size * size);
    for y in offsets(size) {
        for x in offsets(size) {
            let distance = x.hypot(y);
            let hole =
                inner.map_or(0.0, |inner| if inner > 0.0 { covered(distance, inner) } else { 0.0 });
            taps.push((covered(distance, radius) - hole).max(0.0));
        }
    }
    let total: f64 = taps.iter().sum();
    if total <= 0.0 {
        let expected = "so far from the outer one that a pixel lies between them";
        return Err(Error::Parameter { name: "inner", value: inner.unwrap_or(0.0), expected });
    }
    for t in &mut taps {
        *t /= total;
    }
    settle_evenly(&mut taps);
    Kernel::new(size, size, taps)
}

/// Makes the sum of taps that is 1 but for rounding exactly 1, as [`settle`] does: what is missing is divided among taps
/// that are not 0, a unit each, so that equal ones stay as good as equal.
fn settle_evenly(taps: &mut [f64]) {
    let unit = f64::EPSILON;
    for t in taps.iter_mut() {
        *t = (*t / unit).round() * unit;
    }
    let missing = ((1.0 - taps.iter().sum::<f64>()) / unit).round();
    let count = taps.iter().filter(|t| **t > unit).count();
    let (mut some, most) = (0.0, missing.abs());
    for t in taps.iter_mut().filter(|t| **t > unit) {
        // So many of every `count`, evenly.
        some += most;
        if some >= count as f64 {
            some -= count as f64;
            *t += unit.copysign(missing);
        }
    }
}

/// The area of a unit square, turned by an angle and centred at (u, v), inside
/// |u| ≤ length/2, |v| ≤ ½: the square is clipped at the four sides in turn
/// (Sutherland–Hodgman) and measured by the shoelace formula.
fn covered(u: f64, v: f64, sin: f64, cos: f64, length: f64) -> f64 {
    let corner = |x: f64, y: f64| (u + x * cos - y * sin, v + x * sin + y * cos);
    let mut shape =
        vec![corner(-0.5, -0.5), corner(0.5, -0.5), corner(0.5, 0.5), corner(-0.5, 0.5)];
    let half = length / 2.0;
    // A side keeps the points with a·u + b·v ≤ limit.
    for (a, b, limit) in [(1.0, 0.0, half), (-1.0, 0.0, half), (0.0, 1.0, 0.5), (0.0, -1.0, 0.5)] {
        let inside = |p: (f64, f64)| limit - (a * p.0 + b * p.1);
        let mut kept = Vec::with_capacity(8);
        for (i, &p) in shape.iter().enumerate() {
            let q = shape[(i + 1) % shape.len()];
            let (d, e) = (inside(p), inside(q));
            if d >= 0.0 {
                kept.push(p);
            }
            if (d > 0.0 && e < 0.0) || (d < 0.0 && e > 0.0) {
                let t = d / (d - e);
                kept.push((p.0 + t * (q.0 - p.0), p.1 + t * (q.1 - p.1)));
            }
        }
        shape = kept;
    }
    let mut twice = 0.0;
    for (i, p) in shape.iter().enumerate() {
        let q = shape[(i + 1) % shape.len()];
        twice += p.0 * q.1 - q.0 * p.1;
    }
    twice.abs() / 2.0
}

/// The mean's 1D taps, of sum exactly 1.
pub(super) fn mean(n: usize) -> Vec<f64> {
    let mut line = vec![1.0 / n as f64; n];
    settle(&mut line, 1.0);
    line
}

/// Row `n` of Pascal's triangle over its sum, by repeated averaging: no factor overflows, and
/// what underflows is 0.
pub(super) fn binomial(n: usize) -> Vec<f64> {
    let mut line = vec![0.0; n];
    line[0] = 1.0;
    for len in 2..=n {
        for i in (1..len).rev() {
            line[i] = (line[i] + line[i - 1]) / 2.0;
        }
        line[0] /= 2.0;
    }
    settle(&mut line, 1.0);
    line
}

/// exp(−x²/2σ²) over its sum, which becomes exactly 1.
fn gaussian_line(sigma: f64, size: usize) -> Vec<f64> {
    let mut line: Vec<f64> = offsets(size)
        .map(|x| {
            let z = x / sigma;
            (-0.5 * z * z).exp()
        })
        .collect();
    let total: f64 = line.iter().sum();
    for t in &mut line {
        *t /= total;
    }
    settle(&mut line, 1.0);
    line
}

/// OpenCV's `getGaussianKernel` without a σ: short integer tables up to 9 taps, beyond them
/// σ = 0.3·((n − 1)/2 − 1) + 0.8. The size is odd.
fn opencv_gaussian(size: usize) -> Vec<f64> {
    let half: &[u16] = match size {
        1 => &[256],
        3 => &[64, 128],
        5 => &[16, 64, 96],
        7 => &[8, 28, 56, 72],
        9 => &[4, 13, 30, 51, 60],
        _ => return gaussian_line(0.3 * ((size as f64 - 1.0) * 0.5 - 1.0) + 0.8, size),
    };
    let rest = half.iter().rev().skip(1);
    half.iter().chain(rest).map(|&t| f64::from(t) / 256.0).collect()
}

/// Pixel offsets of `size` taps, an odd number, from the middle one.
fn offsets(size: usize) -> impl Iterator<Item = f64> + Clone {
    let middle = (size as f64 - 1.0) / 2.0;
    (0..size).map(move |i| i as f64 - middle)
}

/// All products, row by row.
pub(super) fn outer(column: &[f64], row: &[f64]) -> Vec<f64> {
    column.iter().flat_map(|c| row.iter().map(move |r| c * r)).collect()
}

/// Makes the taps sum to `sum` (0 or 1) exactly, in whatever order they are added.
///
/// Taps are rounded to multiples of a power of two that is 2⁻⁵² or so of Σ|taps|. Every partial
/// sum is then a multiple of it below 2⁵³, so `f64` adds them without rounding. What is missing
/// to `sum` goes to the middle tap, or in equal parts to the middle two. Symmetry is kept: equal
/// taps round to equal taps, opposite ones to opposite ones.
fn settle(taps: &mut [f64], sum: f64) {
    let size = taps.iter().map(|t| t.abs()).sum::<f64>().max(sum);
    if size == 0.0 {
        return;
    }
    // The power of two at or below `size`, from its exponent bits, is 2⁵² units. Below them all
    // is the smallest number there is, of which every float is a multiple.
    let top = f64::from_bits(size.to_bits() & (0x7ff << 52));
    let unit = (top * f64::EPSILON).max(f64::from_bits(1));
    for t in taps.iter_mut() {
        *t = (*t / unit).round() * unit;
    }
    let missing = ((sum - taps.iter().sum::<f64>()) / unit).round();
    let middle = taps.len() / 2;
    if taps.len().is_multiple_of(2) {
        let first = (missing / 2.0).floor();
        taps[middle - 1] += first * unit;
        taps[middle] += (missing - first) * unit;
    } else {
        taps[middle] += missing * unit;
    }
}

/// 2·⌈reach·σ⌉+1, if a kernel may be that large.
fn odd_size(sigma: f64, reach: f64) -> Result<usize, Error> {
    let size = 2.0 * (reach * sigma).ceil() + 1.0;
    // A float beyond `usize` becomes its largest value, and is refused as such.
    let size = size as usize;
    Kernel::check_size(size, size)?;
    Ok(size)
}

/// A size given by the caller, which must have a middle.
fn odd(name: &'static str, size: usize) -> Result<usize, Error> {
    if size.is_multiple_of(2) {
        return Err(Error::Parameter { name, value: size as f64, expected: "an odd number" });
    }
    Kernel::check_size(size, size)?;
    Ok(size)
}

/// A number above 0, finite.
fn positive(name: &'static str, value: f64) -> Result<f64, Error> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(Error::Parameter { name, value, expected: "a finite number above 0" })
}

/// A number that is neither NaN nor infinite.
fn finite(name: &'static str, value: f64) -> Result<f64, Error> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(Error::Parameter { name, value, expected: "a finite number" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums in a few orders, all of which must agree to the bit.
    fn sums(taps: &[f64]) -> Vec<f64> {
        let half = taps.len() / 2;
        vec![
            taps.iter().sum(),
            taps.iter().rev().sum(),
            taps[half..].iter().chain(&taps[..half]).sum(),
            taps.iter().step_by(2).chain(taps.iter().skip(1).step_by(2)).sum(),
        ]
    }

    #[test]
    fn settled_taps_sum_exactly_in_any_order() {
        for n in 1..=200 {
            assert!(sums(&mean(n)).iter().all(|&s| s == 1.0), "mean {n}");
            assert!(sums(&binomial(n)).iter().all(|&s| s == 1.0), "binomial {n}");
            for sigma in [1e-300, 0.1, 0.7, 3.0, 50.0, 1e300] {
                let n = 2 * n - 1;
                assert!(sums(&gaussian_line(sigma, n)).iter().all(|&s| s == 1.0), "{n} {sigma}");
            }
        }
        for sigma in [0.1, 0.3, 1.0, 1.7, 5.0, 1e5, 1e150, 1e200] {
            for size in [None, Some(3), Some(21)] {
                let Ok(axis) = Axis::derivative("sigma", Some(sigma), "size", size) else {
                    continue;
                };
                for line in [axis.first(), axis.second()] {
                    assert!(sums(&line).iter().all(|&s| s == 0.0), "{sigma} {size:?}");
                }
            }
        }
    }

    #[test]
    fn settling_keeps_symmetry_and_moves_no_tap_by_more_than_rounding() {
        for n in [2, 3, 10, 49, 100] {
            let line = mean(n);
            assert!(line.iter().eq(line.iter().rev()), "{n}");
            assert!(line.iter().all(|t| (t * n as f64 - 1.0).abs() < 1e-11), "{n}");
        }
        let axis = Axis::derivative("sigma", Some(2.5), "size", None).unwrap();
        assert!(axis.second().iter().eq(axis.second().iter().rev()));
        let first = axis.first();
        assert!(first.iter().zip(first.iter().rev()).all(|(a, b)| *a == -b));
    }

    #[test]
    fn binomials_are_exact_while_they_fit() {
        assert_eq!(binomial(5), [1.0, 4.0, 6.0, 4.0, 1.0].map(|t| t / 16.0));
        let big = binomial(50);
        let scale = 2f64.powi(49);
        assert_eq!((big[0] * scale, big[1] * scale, big[2] * scale), (1.0, 49.0, 1176.0));
        assert_eq!(binomial(1), [1.0]);
        assert!(binomial(2048).iter().all(|t| t.is_finite()));
    }

    #[test]
    fn coverage_is_an_area() {
        // Wholly inside, half outside the end, a corner, outside.
        assert_eq!(covered(0.0, 0.0, 0.0, 1.0, 5.0), 1.0);
        assert_eq!(covered(2.5, 0.0, 0.0, 1.0, 5.0), 0.5);
        assert_eq!(covered(2.5, 0.5, 0.0, 1.0, 5.0), 0.25);
        assert_eq!(covered(9.0, 0.0, 0.0, 1.0, 5.0), 0.0);
        // A line at any angle covers its own area of all pixels together.
        for degrees in 0..90 {
            let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
            let mut total = 0.0;
            for y in offsets(21) {
                for x in offsets(21) {
                    total += covered(x * cos - y * sin, x * sin + y * cos, sin, cos, 7.3);
                }
            }
            assert!((total - 7.3).abs() < 1e-12, "{degrees}: {total}");
        }
    }
}
