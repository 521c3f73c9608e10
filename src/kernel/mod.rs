//! Kernels: the 2D taps of a filter, where their anchor is, and what is known of their factors.
//!
//! [`Kernel`] is plain validated data. The named kernels are one table in `named` and one list of
//! `constructors`, both over the formulas in `taps`; the texts a user can type are read in `parse`, `separation` decides
//! whether two 1D passes can replace the 2D one, and `composed` makes one kernel of two that follow each other.

mod composed;
mod constructors;
mod named;
mod parse;
mod separation;
mod shared;
mod svd;
mod taps;

pub use named::{KernelParam, KernelParams, NamedKernel};
pub use separation::{Separation, Term};

use crate::error::Error;
use shared::SharedTaps;

/// A 2D kernel: `width` × `height` taps in `f64`, row by row, and an anchor.
///
/// The anchor is the tap that lies on the output pixel. Taps are applied as **correlation**: the
/// tap at the top left meets the pixel at the top left. [`Kernel::flipped`] gives convolution.
///
/// Every `Kernel` is valid: at least one tap, at most [`Kernel::MAX_SIDE`] a side, all taps
/// finite, the anchor inside.
///
/// ```
/// use twopass::Kernel;
///
/// // A name, a product of column and row, any taps, or text as the program takes it.
/// let sobel = Kernel::sobel_x();
/// assert_eq!(sobel, Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0])?);
/// let smooth = Kernel::new(3, 3, vec![1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0])?;
/// assert_eq!(smooth, "1 2 1; 2 4 2; 1 2 1".parse()?);
/// assert_eq!(smooth.normalized(), Kernel::new(3, 3, smooth.taps().iter().map(|t| t / 16.0).collect())?);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    width: usize,
    height: usize,
    anchor: (usize, usize),
    taps: SharedTaps,
    /// Column and row whose product the taps are, where that is known from the construction.
    factors: Option<(Vec<f64>, Vec<f64>)>,
    /// Kernels whose sum the taps are, where that is known from the construction; their anchors lie on its own.
    terms: Vec<Kernel>,
}

impl Kernel {
    /// Largest width and height.
    pub const MAX_SIDE: usize = 2048;

    /// A kernel from its taps, row by row. The anchor is (width / 2, height / 2), as in OpenCV
    /// and SciPy.
    pub fn new(width: usize, height: usize, taps: Vec<f64>) -> Result<Self, Error> {
        Self::check_size(width, height)?;
        if width * height != taps.len() {
            return Err(Error::TapCount { width, height, given: taps.len() });
        }
        if let Some(i) = taps.iter().position(|t| !t.is_finite()) {
            return Err(Error::TapNotFinite { x: i % width, y: i / width, value: taps[i] });
        }
        let anchor = (width / 2, height / 2);
        Ok(Self { width, height, anchor, taps: taps.into(), factors: None, terms: Vec::new() })
    }

    /// The sum of some kernels, which is what one after the other adds to an output pixel: their anchors lie on each
    /// other. The sum remembers its terms, so that a plan may filter with each of them, and add the results: an unsharp
    /// mask costs as much as the Gaussian in it.
    ///
    /// ```
    /// use twopass::Kernel;
    ///
    /// let gaussian = Kernel::gaussian(3.0)?;
    /// let (twice, less) = (Kernel::new(1, 1, vec![2.0])?, gaussian.scaled(-1.0)?);
    /// let unsharp = Kernel::sum_of(&[twice, less])?;
    /// assert_eq!((unsharp.width(), unsharp.terms().len()), (gaussian.width(), 2));
    /// # Ok::<(), twopass::Error>(())
    /// ```
    ///
    /// Errors: no kernel at all; a sum of more than [`Kernel::MAX_SIDE`] a side, or with a tap that is not finite.
    pub fn sum_of(kernels: &[Self]) -> Result<Self, Error> {
        let most = |side: fn(&Self) -> usize| kernels.iter().map(side).max().unwrap_or(0);
        let anchor = (most(|k| k.anchor.0), most(|k| k.anchor.1));
        let width = anchor.0 + most(|k| k.width - k.anchor.0);
        let height = anchor.1 + most(|k| k.height - k.anchor.1);
        Self::check_size(width, height)?;
        let mut taps = vec![0.0; width * height];
        for kernel in kernels {
            let embedded = kernel.embedded(width, height, anchor);
            taps.iter_mut().zip(embedded.taps()).for_each(|(sum, tap)| *sum += tap);
        }
        let terms = kernels.iter().flat_map(|kernel| match &kernel.terms[..] {
            [] => std::slice::from_ref(kernel),
            terms => terms,
        });
        let terms = terms.cloned().collect();
        Ok(Self::new(width, height, taps)?.with_anchor(anchor.0, anchor.1)?.made_of(terms))
    }

    /// The same taps, which are the sum of these kernels but for rounding.
    fn made_of(self, terms: Vec<Self>) -> Self {
        Self { terms, ..self }
    }

    /// All taps times a factor.
    ///
    /// Errors: a tap that is no longer finite.
    pub fn scaled(&self, factor: f64) -> Result<Self, Error> {
        let scaled = |taps: &[f64]| taps.iter().map(|t| t * factor).collect::<Vec<_>>();
        let mut kernel = Self::new(self.width, self.height, scaled(&self.taps))?;
        kernel.anchor = self.anchor;
        let factors = self.factors.as_ref().map(|(column, row)| (column.clone(), scaled(row)));
        // What only the product of both keeps finite is no pair of factors.
        kernel.factors = factors.filter(|(_, row)| row.iter().all(|t| t.is_finite()));
        kernel.terms = self.terms.iter().map(|t| t.scaled(factor)).collect::<Result<_, _>>()?;
        Ok(kernel)
    }

    /// The separable kernel `column` × `row`: tap (x, y) is `column[y] * row[x]`.
    pub fn separable(column: &[f64], row: &[f64]) -> Result<Self, Error> {
        Self::check_size(row.len(), column.len())?;
        let bad = |v: &[f64]| v.iter().position(|t| !t.is_finite());
        if let Some(y) = bad(column) {
            return Err(Error::TapNotFinite { x: 0, y, value: column[y] });
        }
        if let Some(x) = bad(row) {
            return Err(Error::TapNotFinite { x, y: 0, value: row[x] });
        }
        let mut kernel = Self::new(row.len(), column.len(), taps::outer(column, row))?;
        kernel.factors = Some((column.to_vec(), row.to_vec()));
        Ok(kernel)
    }

    /// Whether a kernel of this size may exist. Called before anything is allocated.
    pub(crate) fn check_size(width: usize, height: usize) -> Result<(), Error> {
        if width == 0 || height == 0 {
            return Err(Error::EmptyKernel { width, height });
        }
        if width > Self::MAX_SIDE || height > Self::MAX_SIDE {
            return Err(Error::KernelTooLarge { width, height, limit: Self::MAX_SIDE });
        }
        Ok(())
    }

    /// The same taps with another anchor, a column and a row inside the kernel.
    pub fn with_anchor(mut self, x: usize, y: usize) -> Result<Self, Error> {
        let (width, height) = (self.width, self.height);
        if x >= width || y >= height {
            return Err(Error::AnchorOutside { x, y, width, height });
        }
        if self.anchor != (x, y) {
            // Those of the terms would lie elsewhere.
            self.terms.clear();
        }
        self.anchor = (x, y);
        Ok(self)
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Column and row of the tap that lies on the output pixel.
    #[must_use]
    pub fn anchor(&self) -> (usize, usize) {
        self.anchor
    }

    /// All taps, row by row.
    #[must_use]
    pub fn taps(&self) -> &[f64] {
        &self.taps
    }

    /// The tap in column `x` of row `y`. Panics outside, as slices do.
    #[must_use]
    pub fn tap(&self, x: usize, y: usize) -> f64 {
        assert!(x < self.width);
        self.taps[y * self.width + x]
    }

    /// The column and the row whose product the taps are, if the kernel was made from them.
    #[must_use]
    pub fn factors(&self) -> Option<(&[f64], &[f64])> {
        self.factors.as_ref().map(|(c, r)| (c.as_slice(), r.as_slice()))
    }

    /// The kernels whose sum the taps are, if the kernel was made from them; their anchors lie on its own.
    #[must_use]
    pub fn terms(&self) -> &[Self] {
        &self.terms
    }

    /// The sum of all taps as they are, rounded once: with compensation for what each addition loses
    /// (Neumaier 1974). Infinite if `f64` does not hold it.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.taps.sum()
    }

    /// The sum of the taps' magnitudes: how far a result can be from 0, per unit of input.
    #[must_use]
    pub fn abs_sum(&self) -> f64 {
        self.taps.abs_sum()
    }

    /// The sum of the taps above 0, and of those below.
    pub(crate) fn halves(&self) -> [f64; 2] {
        self.taps.halves()
    }

    /// Whether the taps cancel: their sum is 0 up to the rounding of the taps themselves.
    #[must_use]
    pub fn is_zero_sum(&self) -> bool {
        // Sums of large taps may overflow, in which case they do not cancel.
        let sum = self.sum().abs();
        sum.is_finite() && sum <= self.abs_sum() * 1e-12 * self.taps.len() as f64
    }

    /// Whether any tap is below 0.
    #[must_use]
    pub fn has_negative_tap(&self) -> bool {
        self.taps.iter().any(|&t| t < 0.0)
    }

    /// The kernel with its taps divided by their sum, so that brightness stays; by the sum of their magnitudes, if
    /// [they cancel](Self::is_zero_sum). Taps of 0 stay as they are. Factors that are known are divided each by its own.
    ///
    /// ```
    /// use twopass::Kernel;
    ///
    /// let mean = Kernel::separable(&[1.0; 4], &[1.0; 4])?.normalized();
    /// assert_eq!((mean.tap(0, 0), mean.sum()), (1.0 / 16.0, 1.0));
    /// let derivative = Kernel::sobel_x().normalized();
    /// assert_eq!((derivative.tap(2, 1), derivative.abs_sum()), (0.25, 1.0));
    /// # Ok::<(), twopass::Error>(())
    /// ```
    #[must_use]
    pub fn normalized(&self) -> Self {
        let magnitudes = self.is_zero_sum();
        let divided = |taps: &[f64]| -> Vec<f64> {
            // In units of the largest tap no sum overflows, and none vanishes.
            let unit = taps.iter().fold(0.0, |most: f64, t| most.max(t.abs()));
            let sum: f64 = match magnitudes {
                true => taps.iter().map(|t| t.abs() / unit).sum(),
                false => taps.iter().map(|t| t / unit).sum(),
            };
            taps.iter().map(|t| t / unit / sum).collect()
        };
        if self.taps.largest() == 0.0 {
            return self.clone();
        }
        let factors = self.factors.as_ref().map(|(c, r)| (divided(c), divided(r)));
        let taps = match &factors {
            Some((column, row)) => taps::outer(column, row),
            None => divided(&self.taps),
        };
        let by = 1.0 / if magnitudes { self.abs_sum() } else { self.sum() };
        // What only the taps' own division keeps within `f64` is no sum of terms.
        let usual = by.is_normal().then(|| self.terms.iter().map(|term| term.scaled(by)).collect());
        let terms = usual.and_then(Result::ok).unwrap_or_default();
        Self { taps: taps.into(), factors, terms, ..self.clone() }
    }

    /// The kernel turned by 180°: correlation with it is convolution with the original. The
    /// anchor turns with it.
    #[must_use]
    pub fn flipped(&self) -> Self {
        let turn = |v: &[f64]| v.iter().rev().copied().collect::<Vec<_>>();
        Self {
            width: self.width,
            height: self.height,
            anchor: (self.width - 1 - self.anchor.0, self.height - 1 - self.anchor.1),
            taps: turn(&self.taps).into(),
            factors: self.factors.as_ref().map(|(c, r)| (turn(c), turn(r))),
            terms: self.terms.iter().map(Self::flipped).collect(),
        }
    }

    /// The kernel mirrored at its main diagonal: rows become columns.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let taps = (0..self.width).flat_map(|x| (0..self.height).map(move |y| (x, y)));
        Self {
            width: self.height,
            height: self.width,
            anchor: (self.anchor.1, self.anchor.0),
            taps: taps.map(|(x, y)| self.tap(x, y)).collect::<Vec<_>>().into(),
            factors: self.factors.clone().map(|(c, r)| (r, c)),
            terms: self.terms.iter().map(Self::transposed).collect(),
        }
    }

    /// The kernel inside a window of `width` × `height` whose anchor is `anchor`, with zeros
    /// around it. The window must hold it.
    pub(crate) fn embedded(&self, width: usize, height: usize, anchor: (usize, usize)) -> Self {
        let (dx, dy) = (anchor.0 - self.anchor.0, anchor.1 - self.anchor.1);
        let line = |v: &[f64], len: usize, at: usize| {
            let mut out = vec![0.0; len];
            out[at..at + v.len()].copy_from_slice(v);
            out
        };
        let mut taps = vec![0.0; width * height];
        for (y, row) in self.taps.chunks_exact(self.width).enumerate() {
            taps[(y + dy) * width + dx..][..self.width].copy_from_slice(row);
        }
        let factors = self.factors.as_ref();
        Self {
            width,
            height,
            anchor,
            taps: taps.into(),
            factors: factors.map(|(c, r)| (line(c, height, dy), line(r, width, dx))),
            terms: self.terms.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn construction_is_checked() {
        assert_eq!(
            Kernel::new(0, 3, vec![]).unwrap_err(),
            Error::EmptyKernel { width: 0, height: 3 }
        );
        assert!(matches!(Kernel::new(2, 2, vec![1.0; 3]), Err(Error::TapCount { .. })));
        assert!(matches!(
            Kernel::new(2, 2_147_483_649, vec![1.0; 2]),
            Err(Error::KernelTooLarge { .. })
        ));
        assert!(matches!(Kernel::new(usize::MAX, 2, vec![]), Err(Error::KernelTooLarge { .. })));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = Kernel::new(2, 2, vec![0.0, 0.0, 0.0, bad]).unwrap_err();
            assert!(matches!(error, Error::TapNotFinite { x: 1, y: 1, .. }));
        }
        assert!(matches!(Kernel::separable(&[1e300], &[1e300]), Err(Error::TapNotFinite { .. })));
        let kernel = Kernel::new(3, 2, vec![0.0; 6]).unwrap();
        assert_eq!(kernel.anchor(), (1, 1));
        assert!(kernel.clone().with_anchor(2, 1).is_ok());
        assert!(kernel.with_anchor(3, 0).is_err());
    }

    #[test]
    fn normalised_kernels_sum_to_one_or_their_magnitudes_do() {
        let typed: Kernel = "1 2 1; 2 4 2; 1 2 1".parse().unwrap();
        assert_eq!(typed.normalized(), "scale 1/16; 1 2 1; 2 4 2; 1 2 1".parse().unwrap());
        for text in ["3 1; 4 1", "1e300 1e300; 1e300 0", "1e-320 2e-320 3e-320", "-1 -2 -1", "7"] {
            let kernel: Kernel = text.parse().unwrap();
            let sum = kernel.normalized().sum();
            assert!((sum - 1.0).abs() < 1e-15, "{text}: {sum}");
        }
        for kernel in [Kernel::sobel_x(), Kernel::laplacian(), Kernel::log(2.0).unwrap()] {
            let normal = kernel.normalized();
            assert!((normal.abs_sum() - 1.0).abs() < 1e-14 && normal.is_zero_sum());
            assert_eq!(normal.factors().is_some(), kernel.factors().is_some());
        }
        let anchored = Kernel::separable(&[1.0, 3.0], &[2.0, 2.0]).unwrap();
        let anchored = anchored.with_anchor(0, 1).unwrap().normalized();
        assert_eq!((anchored.anchor(), anchored.tap(1, 1)), ((0, 1), 0.375));
        for kernel in [Kernel::unsharp(2.0, 3.0).unwrap(), Kernel::dog(1.0, 1.6).unwrap()] {
            let normal = kernel.scaled(7.0).unwrap().normalized();
            let again = Kernel::sum_of(normal.terms()).unwrap();
            assert_eq!(normal.terms().len(), 2);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-14;
            assert!(again.taps().iter().zip(normal.taps()).all(near));
        }
        let nothing = Kernel::new(2, 1, vec![0.0, -0.0]).unwrap();
        assert_eq!(nothing.normalized(), nothing);
    }

    #[test]
    fn turning_and_mirroring() {
        let k = Kernel::separable(&[1.0, 2.0], &[3.0, 4.0, 5.0]).unwrap();
        assert_eq!(k.taps(), &[3.0, 4.0, 5.0, 6.0, 8.0, 10.0]);
        assert_eq!(k.flipped().taps(), &[10.0, 8.0, 6.0, 5.0, 4.0, 3.0]);
        assert_eq!(k.flipped().anchor(), (1, 0));
        assert_eq!(k.flipped().factors(), Some((&[2.0, 1.0][..], &[5.0, 4.0, 3.0][..])));
        assert_eq!(k.transposed().taps(), &[3.0, 6.0, 4.0, 8.0, 5.0, 10.0]);
        assert_eq!(k.transposed().flipped().transposed(), k.flipped());
        let e = k.embedded(5, 4, (3, 2));
        assert_eq!((e.tap(2, 1), e.tap(4, 2), e.sum()), (3.0, 10.0, k.sum()));
        let (c, r) = e.factors().unwrap();
        assert_eq!(Kernel::separable(c, r).unwrap().taps(), e.taps());
    }

    #[test]
    fn sums_know_their_terms() {
        let line = Kernel::new(3, 1, vec![1.0, 2.0, 3.0]).unwrap();
        let corner = Kernel::new(2, 2, vec![10.0, 20.0, 30.0, 40.0]).unwrap();
        let corner = corner.with_anchor(0, 0).unwrap();
        let sum = Kernel::sum_of(&[line.clone(), corner.clone()]).unwrap();
        assert_eq!((sum.width(), sum.height(), sum.anchor()), (3, 2, (1, 0)));
        assert_eq!(sum.taps(), &[1.0, 12.0, 23.0, 0.0, 30.0, 40.0]);
        assert_eq!(sum.terms(), &[line.clone(), corner]);
        let again = |kernel: &Kernel| Kernel::sum_of(kernel.terms()).unwrap();
        for kernel in [sum.flipped(), sum.transposed(), sum.embedded(7, 5, (3, 3))] {
            let terms = again(&kernel).embedded(kernel.width, kernel.height, kernel.anchor);
            assert_eq!(terms.taps(), kernel.taps());
        }
        assert_eq!(Kernel::sum_of(&[sum.clone(), line]).unwrap().terms().len(), 3);
        assert_eq!(again(&sum.scaled(-2.0).unwrap()).taps(), sum.scaled(-2.0).unwrap().taps());
        assert!(sum.with_anchor(0, 0).unwrap().terms().is_empty());
        assert!(matches!(Kernel::sum_of(&[]), Err(Error::EmptyKernel { .. })));
    }
}
