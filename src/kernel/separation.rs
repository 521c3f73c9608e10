//! Separation of a kernel into column × row products.
//!
//! A kernel of rank 1 can be applied as two 1D passes; one of rank r as r pairs of them. The
//! question is decided by the cheapest means that can: factors known from the construction are
//! kept; taps that are whole numbers over a common power of two are compared as integers, so
//! that Sobel comes out as [1 2 1]ᵀ · [−1 0 1] and not as decimals; other taps are compared with
//! the product of the column and the row through the largest of them. What remains, up to
//! [`SVD_SIDE`] a side, goes to the singular value decomposition in `svd`.
//!
//! # Tolerance
//!
//! Taps are rounded numbers. Each is taken to be wrong by at most 2⁻⁴⁷ of the largest one (32
//! units of `f64`'s rounding: room for a Gaussian computed in 2D, or printed with 17 digits). A
//! kernel is of rank 1 if one product meets all taps within that; a singular value counts for
//! the rank if it is above what such errors can add up to, 2⁻⁴⁷ · max|tap| · √(width · height), and
//! above 2⁻³⁸ of the largest one: kernels that were given an exact sum have one tap that is off by
//! as much as all others were rounded by.
//! The tolerance decides the rank only: the residuals are those of the taps as they are.

mod crosses;

use super::Kernel;
use super::svd;
use crate::error::Error;

/// How far a tap may be from its true value, as a part of the largest tap.
const TAP_ERROR: f64 = 1.0 / (1u64 << 47) as f64;
/// Singular values below this part of the largest one are rounding.
const RANK_ERROR: f64 = 1.0 / (1u64 << 38) as f64;
/// Largest side that goes to the SVD, whose work grows with the cube of the side.
const SVD_SIDE: usize = 256;
/// Side up to which an SVD takes no time to speak of.
const SMALL_SIDE: usize = 24;
/// How much more than enough is clearly more.
const CLEARLY: f64 = 4.0;
/// Rounds of power iteration for larger kernels; each is two sweeps over the taps.
const POWER_ROUNDS: usize = 24;

/// The share of its size by which a product that is as good as the best one changes in a round.
const CONVERGED: f64 = 1e-15;
/// Where after so many rounds it still changes by that share, σ₂ is more than 0.4 of σ₁.
const HOPELESS_AFTER: usize = 4;
const HOPELESS: f64 = 1e-6;

/// One column × row product.
///
/// ```
/// use twopass::{Kernel, Separation};
///
/// let sobel = Separation::of(&"-1 0 1; -2 0 2; -1 0 1".parse()?);
/// let term = &sobel.terms()[0];
/// assert_eq!((&term.column[..], &term.row[..]), (&[1.0, 2.0, 1.0][..], &[-1.0, 0.0, 1.0][..]));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The vertical taps, one per kernel row.
    pub column: Vec<f64>,
    /// The horizontal taps, one per kernel column.
    pub row: Vec<f64>,
}

impl Term {
    /// The product as a kernel, which is filtered in two passes; its anchor is the middle.
    ///
    /// ```
    /// use twopass::{Filter, Kernel, Separation};
    ///
    /// // The first three products of a kernel that has seventeen, each in two passes.
    /// let gabor = Separation::of(&Kernel::gabor(5.0, 30.0)?);
    /// let three: Result<Vec<_>, _> = gabor.terms()[..3].iter().map(|term| term.to_kernel()).collect();
    /// let nearly = Filter::new(Kernel::sum_of(&three?)?);
    /// assert!(gabor.rank() == 17 && gabor.residual(3) < 0.3 * gabor.residual(0));
    /// # Ok::<(), twopass::Error>(())
    /// ```
    pub fn to_kernel(&self) -> Result<Kernel, Error> {
        Kernel::separable(&self.column, &self.row)
    }
}

/// A kernel written as a sum of column × row products, as well as two 1D passes can do it.
///
/// The terms of a rank-1 kernel are its own factors where those are known or can be integers;
/// otherwise the magnitudes of a term's column and of its row have the same sum, so that a
/// smoothing kernel of sum 1 has factors of sum 1.
///
/// ```
/// use twopass::{Kernel, Separation};
///
/// // The image less a blur: one product for each of the two.
/// let unsharp = Separation::of(&Kernel::unsharp(2.0, 1.0)?);
/// assert_eq!((unsharp.rank(), unsharp.is_separable()), (2, false));
/// assert!(unsharp.residual(1) > 0.1 && unsharp.residual(2) < 1e-12);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Separation {
    terms: Vec<Term>,
    rank: usize,
    rank_known: bool,
    singular_values: Option<Vec<f64>>,
    /// ‖K − K_r‖₁ for r = 0, 1, … number of terms.
    residuals: Vec<f64>,
}

impl Separation {
    /// Separates a kernel.
    #[must_use]
    pub fn of(kernel: &Kernel) -> Self {
        Self::within(kernel, f64::INFINITY)
    }

    /// The same where one product is enough if it leaves at most `most`: if it clearly leaves more, or the terms of a large
    /// kernel are known, it is all that is looked for, and the rank is not known, since the SVD of a large kernel takes
    /// longer than the rest of a plan.
    pub(crate) fn within(kernel: &Kernel, most: f64) -> Self {
        let (width, height) = (kernel.width(), kernel.height());
        if kernel.taps().iter().all(|&t| t == 0.0) {
            let term = Term { column: vec![0.0; height], row: vec![0.0; width] };
            return Self {
                terms: vec![term],
                rank: 0,
                rank_known: true,
                singular_values: Some(Vec::new()),
                residuals: vec![0.0, 0.0],
            };
        }
        if let Some((column, row)) = kernel.factors() {
            return Self::exact(kernel, column.to_vec(), row.to_vec());
        }
        if width == 1 {
            return Self::exact(kernel, kernel.taps().to_vec(), vec![1.0]);
        }
        if height == 1 {
            return Self::exact(kernel, vec![1.0], kernel.taps().to_vec());
        }
        let integers = Integers::of(kernel.taps());
        if let Some((column, row)) = integers.as_ref().and_then(|i| i.factors(width)) {
            return Self::exact(kernel, column, row);
        }
        // Whole taps that are no product are proved not to be one. For fractions the test was
        // only an offer: 0.1 is a whole number over 2⁵⁶, but a rounded one.
        let at_least = if integers.is_some_and(|i| i.whole) { 2 } else { 1 };
        let scaled = Scaled::of(kernel);
        let fits = |term: &Term| at_least == 1 && scaled.meets(term);
        let single = |term: Term| {
            let value = norm(&term.column) * norm(&term.row);
            Self::numeric(kernel, &scaled, vec![term], 1, true, Some(vec![value]))
        };
        let cross = scaled.cross();
        if fits(&cross) {
            return single(cross);
        }
        let side = width.max(height);
        if side > SVD_SIDE || side > SMALL_SIDE && most.is_finite() {
            let term = scaled.power_iteration(cross);
            if side > SVD_SIDE && fits(&term) {
                return single(term);
            }
            let best = Self::numeric(kernel, &scaled, vec![term], 2, false, None);
            // What converges slowly is far from a product. Of a sum that is known no more products are looked for.
            let sum = !kernel.terms().is_empty();
            if side > SVD_SIDE || sum || best.residual(1) > CLEARLY * most {
                return best;
            }
        }
        let svd = svd::decompose(width, height, &scaled.taps);
        let least = TAP_ERROR * scaled.largest * ((width * height) as f64).sqrt();
        let least = least.max(svd.values.first().map_or(0.0, |largest| largest * RANK_ERROR));
        let rank = svd.values.iter().take_while(|&&s| s > least).count().max(at_least);
        let values = svd.values[..rank].to_vec();
        let vectors = svd.left.into_iter().zip(svd.right).zip(&values);
        let terms = vectors.map(|((column, mut row), s)| {
            row.iter_mut().for_each(|r| *r *= s);
            Term { column, row }
        });
        let terms = terms.take(rank).collect();
        Self::numeric(kernel, &scaled, terms, rank, true, Some(values))
    }

    /// A product that is the kernel.
    fn exact(kernel: &Kernel, column: Vec<f64>, row: Vec<f64>) -> Self {
        let value = norm(&column) * norm(&row);
        Self {
            terms: vec![Term { column, row }],
            rank: 1,
            rank_known: true,
            singular_values: Some(vec![value]),
            residuals: vec![kernel.abs_sum(), 0.0],
        }
    }

    /// Terms that were computed from the scaled taps, in floating point.
    fn numeric(
        kernel: &Kernel,
        scaled: &Scaled,
        mut terms: Vec<Term>,
        rank: usize,
        rank_known: bool,
        singular_values: Option<Vec<f64>>,
    ) -> Self {
        for term in &mut terms {
            symmetrise(&mut term.column);
            symmetrise(&mut term.row);
            orient(&mut term.column, &mut term.row);
            scaled.balance(term);
        }
        let residuals = residuals(kernel, &terms);
        let singular_values = singular_values.map(|v| v.iter().map(|s| s * scaled.scale).collect());
        Self { terms, rank, rank_known, singular_values, residuals }
    }

    /// The numerical rank: the number of singular values above 2⁻³⁸ (4·10⁻¹²) of the largest one, and above what
    /// the taps' own rounding comes to. 0 for a kernel of zeros; 2, meaning at least 2, where it is not
    /// [known](Self::rank_known).
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whether [`rank`](Self::rank) is the rank, and not only a lower bound of it. It is
    /// unknown for a kernel that is no single product and has more than 256 taps on a side:
    /// such a separation has one term, and its residual.
    #[must_use]
    pub fn rank_known(&self) -> bool {
        self.rank_known
    }

    /// Whether one column × row product is the kernel, up to the rounding of its taps.
    #[must_use]
    pub fn is_separable(&self) -> bool {
        self.rank <= 1
    }

    /// The terms, most important first: [`rank`](Self::rank) of them, or one if the rank is 0
    /// (a term of zeros) or unknown (the best single product).
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The singular values, largest first, as many as the rank; the others are rounding. `None`
    /// if the rank is unknown.
    #[must_use]
    pub fn singular_values(&self) -> Option<&[f64]> {
        self.singular_values.as_deref()
    }

    /// ‖K − K_r‖₁, the sum of the magnitudes of what the first `r` terms leave: the largest
    /// error, per unit of input range, of stopping after them.
    ///
    /// 0 where the terms are the kernel's own factors or exact integers; for computed terms an upper bound that includes its own
    /// rounding, so that even all of them leave about 10⁻¹⁵ of ‖K‖₁. For `r` = 0 it is ‖K‖₁;
    /// beyond the number of terms it is that of all terms.
    #[must_use]
    pub fn residual(&self, r: usize) -> f64 {
        self.residuals[r.min(self.residuals.len() - 1)]
    }
}

/// Taps as whole numbers over a power of two.
struct Integers {
    /// The numerators, below 2⁵³ in magnitude.
    taps: Vec<i64>,
    /// The exponent: a tap is its numerator · 2^exponent. Not above 0.
    exponent: i32,
    /// Whether the taps themselves are whole.
    whole: bool,
}

impl Integers {
    /// Most binary digits behind the point.
    const DIGITS: i32 = 60;

    /// The taps as integers, if they are below 2⁵³ over one power of two.
    fn of(taps: &[f64]) -> Option<Self> {
        const LIMIT: f64 = (1u64 << 53) as f64;
        let mut exponent = 0;
        let mut scale = 1.0;
        for &t in taps {
            while (t * scale).fract() != 0.0 {
                exponent -= 1;
                if exponent < -Self::DIGITS {
                    return None;
                }
                scale *= 2.0;
            }
        }
        // In range, so the conversion is exact; infinite products are out of it.
        let inside = taps.iter().all(|t| (t * scale).abs() <= LIMIT);
        inside.then(|| Self {
            taps: taps.iter().map(|t| (t * scale) as i64).collect(),
            exponent,
            whole: exponent == 0,
        })
    }

    /// Column and row of small whole numbers, over a power of two each, whose product is the
    /// taps exactly; `None` if there are none. Not all taps are 0.
    fn factors(&self, width: usize) -> Option<(Vec<f64>, Vec<f64>)> {
        let rows = || self.taps.chunks_exact(width);
        let at = self.taps.iter().position(|&t| t != 0)?;
        let (px, line) = (at % width, rows().nth(at / width)?);
        let pivot = i128::from(line[px]);
        // Every 2 × 2 minor through the pivot vanishes; below 2¹⁰⁶, so nothing overflows.
        for row in rows() {
            let first = i128::from(row[px]);
            let cross = |(&a, &b): (&i64, &i64)| i128::from(a) * pivot == first * i128::from(b);
            if !row.iter().zip(line).all(cross) {
                return None;
            }
        }
        // The pivot's row without its common divisor is a factor of every row.
        let divisor = line.iter().fold(0, |d, &t| gcd(d, t.unsigned_abs())) as i64;
        let mut row: Vec<f64> = line.iter().map(|&t| (t / divisor) as f64).collect();
        let unit = line[px] / divisor;
        let mut column: Vec<f64> = rows().map(|r| (r[px] / unit) as f64).collect();
        orient(&mut column, &mut row);
        // Powers of two divide exactly; halves of the exponent leave both factors near 1.
        let half = self.exponent / 2;
        column.iter_mut().for_each(|c| *c *= 2f64.powi(self.exponent - half));
        row.iter_mut().for_each(|r| *r *= 2f64.powi(half));
        Some((column, row))
    }
}

/// The taps divided by a power of two, so that the largest is from 1 up to 2 and squares and
/// products of them neither overflow nor vanish.
struct Scaled {
    width: usize,
    taps: Vec<f64>,
    scale: f64,
    largest: f64,
}

impl Scaled {
    /// The taps of a kernel that has one other than 0.
    fn of(kernel: &Kernel) -> Self {
        let largest = kernel.taps().iter().fold(0.0, |m: f64, t| m.max(t.abs()));
        // The exponent bits alone are the power of two; subnormal numbers have none.
        let scale = f64::from_bits(largest.to_bits() & (0x7ff << 52)).max(f64::MIN_POSITIVE);
        Self {
            width: kernel.width(),
            taps: kernel.taps().iter().map(|t| t / scale).collect(),
            scale,
            largest: largest / scale,
        }
    }

    fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.taps.chunks_exact(self.width)
    }

    /// The column and the row through the largest tap, as a product that meets both.
    fn cross(&self) -> Term {
        let at = self.taps.iter().position(|t| t.abs() == self.largest).unwrap_or(0);
        let (px, py) = (at % self.width, at / self.width);
        let pivot = self.taps[at];
        Term {
            column: self.rows().map(|row| row[px]).collect(),
            row: self.taps[py * self.width..][..self.width].iter().map(|t| t / pivot).collect(),
        }
    }

    /// Whether a product is the kernel up to the rounding of the taps.
    fn meets(&self, term: &Term) -> bool {
        let limit = TAP_ERROR * self.largest;
        self.rows()
            .zip(&term.column)
            .all(|(row, c)| row.iter().zip(&term.row).all(|(t, r)| (t - c * r).abs() <= limit))
    }

    /// A product close to the best one, by power iteration from the cross. It ends where nothing changes any more,
    /// and where that takes so long that the kernel is far from a product: after r rounds the size of the product
    /// is off by (σ₂ / σ₁)^4r of it.
    fn power_iteration(&self, cross: Term) -> Term {
        let Term { mut column, mut row } = cross;
        let mut before = 0.0;
        for round in 1..=POWER_ROUNDS {
            // The best column for this row, then the best row for that column. The row is never
            // 0: it starts with a 1, and no step makes the product worse than nothing.
            let size = row.iter().map(|r| r * r).sum::<f64>();
            for (c, taps) in column.iter_mut().zip(self.rows()) {
                *c = taps.iter().zip(&row).map(|(t, r)| t * r).sum::<f64>() / size;
            }
            let size = column.iter().map(|c| c * c).sum::<f64>();
            row.fill(0.0);
            for (c, taps) in column.iter().zip(self.rows()) {
                let c = c / size;
                row.iter_mut().zip(taps).for_each(|(r, t)| *r += t * c);
            }
            let value = norm(&column) * norm(&row);
            let change = (value - before) / value;
            before = value;
            if change.abs() < CONVERGED || round == HOPELESS_AFTER && change > HOPELESS {
                break;
            }
        }
        Term { column, row }
    }

    /// Gives both factors the same sum of magnitudes, and the product the kernel's scale.
    fn balance(&self, term: &mut Term) {
        let sum = |v: &[f64]| v.iter().map(|t| t.abs()).sum::<f64>();
        let (column, row) = (sum(&term.column), sum(&term.row));
        if column == 0.0 || row == 0.0 {
            return;
        }
        // Each factor is divided by its own sum and given the root of the product of all sums.
        let each = (column * row).sqrt() * self.scale.sqrt();
        term.column.iter_mut().for_each(|c| *c = *c / column * each);
        term.row.iter_mut().for_each(|r| *r = *r / row * each);
    }
}

/// ‖K − K_r‖₁ for r = 0 up to all terms, each with the rounding of its own computation.
fn residuals(kernel: &Kernel, terms: &[Term]) -> Vec<f64> {
    let width = kernel.width();
    // Row by row, so that the error of summing grows with the sides and not with their product.
    let sum = |taps: &[f64]| -> f64 {
        taps.chunks_exact(width).map(|row| row.iter().map(|t| t.abs()).sum::<f64>()).sum()
    };
    let length = |v: &[f64]| v.iter().map(|t| t.abs()).sum::<f64>();
    let sides = (width + kernel.height()) as f64;
    let mut left = kernel.taps().to_vec();
    let mut residuals = vec![kernel.abs_sum()];
    let mut rounded = 0.0;
    for term in terms {
        for (row, c) in left.chunks_exact_mut(width).zip(&term.column) {
            row.iter_mut().zip(&term.row).for_each(|(t, r)| *t -= c * r);
        }
        let residual = sum(&left);
        // The products and the differences of this step are rounded by half a unit each.
        rounded += length(&term.column) * length(&term.row) + residual;
        residuals.push(residual * (1.0 + sides * f64::EPSILON) + rounded * f64::EPSILON);
    }
    residuals
}

/// Chooses the signs of a product: the column sums to more than 0; if it sums to 0, the row
/// does; if both sum to 0, the last tap of the column that is not 0 is above 0. So derivatives
/// rise to the right or downwards, and what smooths is positive.
fn orient(column: &mut [f64], row: &mut [f64]) {
    // Up to rounding, for factors that were computed.
    let sum = |v: &[f64]| {
        let (sum, size) = v.iter().fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
        if sum.abs() <= size * 1e-9 { 0.0 } else { sum }
    };
    let sign = match (sum(column), sum(row)) {
        (c, _) if c != 0.0 => c,
        (_, r) if r != 0.0 => r,
        _ => column.iter().rev().find(|&&c| c != 0.0).copied().unwrap_or(1.0),
    };
    if sign < 0.0 {
        // Subtracted from 0, not negated: a 0 stays a plain 0.
        column.iter_mut().chain(row).for_each(|t| *t = 0.0 - *t);
    }
}

/// Makes taps that are symmetric or antisymmetric up to rounding exactly so, as passes that fold
/// such taps need it.
fn symmetrise(taps: &mut [f64]) {
    let limit = 1e-13 * taps.iter().fold(0.0, |m: f64, t| m.max(t.abs()));
    for sign in [1.0, -1.0] {
        let pair = |(a, b): (&f64, &f64)| (a - sign * b).abs() <= limit;
        if taps.iter().zip(taps.iter().rev()).all(pair) {
            let n = taps.len();
            for i in 0..n.div_ceil(2) {
                let mean = (taps[i] + sign * taps[n - 1 - i]) / 2.0;
                taps[i] = mean;
                // A 0 stays a plain 0.
                taps[n - 1 - i] = sign * mean + 0.0;
            }
            return;
        }
    }
}

/// √Σ t², without overflow of the squares.
fn norm(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |n: f64, t| n.hypot(*t))
}

/// The greatest common divisor; that of 0 and a number is the number.
fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Kernel {
        text.parse().unwrap()
    }

    fn product(term: &Term) -> Vec<f64> {
        term.column.iter().flat_map(|c| term.row.iter().map(move |r| c * r)).collect()
    }

    /// The sum of the differences of the taps and the first `r` terms.
    fn left(kernel: &Kernel, separation: &Separation, r: usize) -> f64 {
        let mut taps = kernel.taps().to_vec();
        for term in &separation.terms()[..r] {
            taps.iter_mut().zip(product(term)).for_each(|(t, p)| *t -= p);
        }
        taps.iter().map(|t| t.abs()).sum()
    }

    /// The taps of a kernel as they would be printed, its factors forgotten.
    fn printed(kernel: &Kernel, digits: usize) -> Kernel {
        let number = |t: &f64| format!("{t:.*e}", digits - 1);
        let row = |r: &[f64]| r.iter().map(number).collect::<Vec<_>>().join(" ");
        read(&kernel.taps().chunks(kernel.width()).map(row).collect::<Vec<_>>().join(";"))
    }

    #[test]
    fn integer_taps_have_integer_factors() {
        for (text, column, row) in [
            ("-1 0 1; -2 0 2; -1 0 1", &[1.0, 2.0, 1.0][..], &[-1.0, 0.0, 1.0][..]),
            ("1 0 -1; 2 0 -2; 1 0 -1", &[1.0, 2.0, 1.0], &[1.0, 0.0, -1.0]),
            ("-1 -2 -1; 0 0 0; 1 2 1", &[-1.0, 0.0, 1.0], &[1.0, 2.0, 1.0]),
            ("-3 0 3; -10 0 10; -3 0 3", &[3.0, 10.0, 3.0], &[-1.0, 0.0, 1.0]),
            ("-3 -10 -3; 0 0 0; 3 10 3", &[-1.0, 0.0, 1.0], &[3.0, 10.0, 3.0]),
            ("1 0 -1; 0 0 0; -1 0 1", &[-1.0, 0.0, 1.0], &[-1.0, 0.0, 1.0]),
            ("2 2; 2 2", &[2.0, 2.0], &[1.0, 1.0]),
            ("0 0 0; 0 5 0; 0 0 0", &[0.0, 5.0, 0.0], &[0.0, 1.0, 0.0]),
            ("-4 -6; -6 -9", &[2.0, 3.0], &[-2.0, -3.0]),
            ("scale 1/16; 1 2 1; 2 4 2; 1 2 1", &[0.25, 0.5, 0.25], &[0.25, 0.5, 0.25]),
            ("1 2 1", &[1.0], &[1.0, 2.0, 1.0]),
            ("0.1; 0.7", &[0.1, 0.7], &[1.0]),
        ] {
            let s = Separation::of(&read(text));
            assert_eq!((s.rank(), s.rank_known(), s.is_separable()), (1, true, true), "{text}");
            assert_eq!((&s.terms()[0].column[..], &s.terms()[0].row[..]), (column, row), "{text}");
            assert_eq!(s.residual(1), 0.0);
            // No zero has a sign to print.
            let zeros = column.iter().chain(row).chain(&s.terms()[0].row).filter(|t| **t == 0.0);
            assert!(zeros.into_iter().all(|t| t.is_sign_positive()));
        }
        let s = Separation::of(&read("-1 0 1; -2 0 2; -1 0 1"));
        assert!((s.singular_values().unwrap()[0] - 12f64.sqrt()).abs() < 1e-15);
        assert_eq!(s.residual(0), 8.0);
    }

    #[test]
    fn integers_are_decided_exactly() {
        // 2⁵³ · 2⁵³ against (2⁵³ − 1) · 2⁵³: no float can tell these products apart in time.
        let big = 1u64 << 53;
        let text = format!("{big} {big}; {} {}", big, big - 1);
        let s = Separation::of(&read(&text));
        assert_eq!((s.rank(), s.is_separable()), (2, false));
        assert_eq!(Separation::of(&read(&format!("{big} {big}; -{big} -{big}"))).rank(), 1);
    }

    #[test]
    fn known_factors_are_kept() {
        let k = Kernel::gaussian_xy(3.0, 1.3).unwrap();
        let s = Separation::of(&k);
        let (column, row) = k.factors().unwrap();
        assert_eq!((s.terms().len(), s.residual(1), s.residual(9)), (1, 0.0, 0.0));
        assert_eq!((&s.terms()[0].column[..], &s.terms()[0].row[..]), (column, row));
    }

    #[test]
    fn zeros_have_rank_0() {
        let s = Separation::of(&Kernel::new(3, 2, vec![0.0, -0.0, 0.0, 0.0, 0.0, 0.0]).unwrap());
        assert_eq!((s.rank(), s.terms().len(), s.is_separable()), (0, 1, true));
        assert_eq!((s.terms()[0].column.len(), s.terms()[0].row.len()), (2, 3));
        assert_eq!((s.residual(0), s.residual(1)), (0.0, 0.0));
        assert_eq!(s.singular_values(), Some(&[][..]));
    }

    #[test]
    fn printed_gaussians() {
        for sigma in [0.4, 0.7, 1.0, 1.7, 3.0, 5.0, 12.0] {
            let k = Kernel::gaussian(sigma).unwrap();
            for digits in [15, 16, 17] {
                let s = Separation::of(&printed(&k, digits));
                assert_eq!(s.rank(), 1, "{sigma} {digits}");
                assert!(s.residual(1) < 1e-14, "{}", s.residual(1));
                let term = &s.terms()[0];
                let sums = [&term.column, &term.row].map(|v| v.iter().sum::<f64>());
                assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-13), "{sums:?}");
                assert!(term.column.iter().eq(term.column.iter().rev()), "not symmetric");
            }
            let six = printed(&k, 6);
            let s = Separation::of(&six);
            assert!((2..=six.width()).contains(&s.rank()), "{sigma}: {}", s.rank());
            assert!((1e-8..1e-5).contains(&s.residual(1)), "{sigma}: {}", s.residual(1));
            // Singular values below 2⁻³⁸ of the largest are left out.
            assert!(s.residual(s.rank()) < 1e-11);
        }
    }

    #[test]
    fn gaussians_computed_in_2d() {
        for sigma in [0.3, 1.0, 4.0, 9.0, 40.0] {
            let n = 61;
            let tap = |i: usize| {
                let (x, y) = ((i % n) as f64 - 30.0, (i / n) as f64 - 30.0);
                (-(x * x + y * y) / (2.0 * sigma * sigma)).exp()
            };
            let k = Kernel::new(n, n, (0..n * n).map(tap).collect()).unwrap();
            assert_eq!(Separation::of(&k).rank(), 1, "{sigma}");
        }
    }

    #[test]
    fn ranks_of_named_kernels() {
        for (name, rank) in [
            ("laplacian", 2),
            ("laplacian-8", 2),
            ("log", 2),
            ("dog", 2),
            ("sharpen", 2),
            ("unsharp", 2),
            ("emboss", 3),
        ] {
            let k = &super::super::NamedKernel::find(name).unwrap();
            let k = &k.kernels(&Default::default()).unwrap()[0];
            let s = Separation::of(k);
            assert_eq!((s.rank(), s.terms().len()), (rank, rank), "{name}");
            assert!(s.residual(1) > 0.01 && s.residual(rank) < 1e-13 * k.abs_sum(), "{name}");
            assert!(s.singular_values().unwrap().is_sorted_by(|a, b| a >= b));
        }
    }

    /// Their exact sums are the work of one tap each, which is no rank.
    #[test]
    fn ranks_of_large_named_kernels() {
        for sigma in [1.0, 2.0, 3.0, 5.0, 8.0] {
            for name in ["log", "dog", "unsharp"] {
                let params =
                    super::super::KernelParams { sigma: Some(sigma), ..Default::default() };
                let kernels = super::super::NamedKernel::find(name).unwrap().kernels(&params);
                let s = Separation::of(&kernels.unwrap()[0]);
                assert_eq!((s.rank(), s.terms().len()), (2, 2), "{name} {sigma}");
            }
        }
    }

    /// What a plan asks for: one product, or that there is none.
    #[test]
    fn as_far_as_a_plan_needs() {
        let gauss = printed(&Kernel::gaussian(5.0).unwrap(), 6);
        let whole = Separation::of(&gauss);
        assert_eq!(Separation::within(&gauss, 1e-3), whole);
        let n = 101;
        let noise = |i: usize| (i as f64 * 0.618_034).fract() - 0.5;
        let k = Kernel::new(n, n, (0..n * n).map(noise).map(|t| t.sin()).collect()).unwrap();
        let s = Separation::within(&k, 1e-3);
        assert_eq!((s.rank(), s.rank_known(), s.is_separable()), (2, false, false));
        assert!(s.residual(1) > 1e-3 && left(&k, &s, 1) <= s.residual(1));
    }

    #[test]
    fn large_kernels() {
        let n = 300;
        let wave = |i: usize| ((i % n) as f64 * 0.1).sin() * (1.0 + (i / n) as f64 * 0.01);
        let one: Vec<f64> = (0..n * n).map(wave).collect();
        let s = Separation::of(&Kernel::new(n, n, one.clone()).unwrap());
        assert_eq!((s.rank(), s.rank_known(), s.terms().len()), (1, true, 1));
        let bent = |(i, t): (usize, &f64)| t + if i % 7 == i / n % 5 { 1e-3 } else { 0.0 };
        let k = Kernel::new(n, n, one.iter().enumerate().map(bent).collect()).unwrap();
        let s = Separation::of(&k);
        assert_eq!((s.rank(), s.rank_known(), s.is_separable()), (2, false, false));
        assert_eq!((s.terms().len(), s.singular_values()), (1, None));
        // About 1/7 of the taps are off by 10⁻³.
        assert!((1.0..30.0).contains(&s.residual(1)), "{}", s.residual(1));
        assert!(left(&k, &s, 1) <= s.residual(1));
        assert_eq!(s.residual(5), s.residual(1));
    }

    #[test]
    fn extreme_scales() {
        for scale in [5e-324, 1e-320, 1e-300, 1e-155, 1e155, 1e300] {
            let taps = [1.0, 2.0, 3.5, 2.0, 4.0, 7.1, 3.0, -6.0, 1.0].map(|t| t * scale);
            let k = Kernel::new(3, 3, taps.to_vec()).unwrap();
            let s = Separation::of(&k);
            assert!(s.rank() >= 2, "{scale}");
            assert!(s.residual(s.rank()) <= 1e-12 * k.abs_sum() + 1e-322, "{scale}");
            let k = Kernel::new(2, 2, [0.1, 0.3, 0.7, 2.1].map(|t| t * scale).to_vec()).unwrap();
            let s = Separation::of(&k);
            assert!(s.residual(1) <= 1e-14 * k.abs_sum() + 3e-323, "{scale} {s:?}");
        }
    }

    #[test]
    fn the_largest_kernel_is_decided_in_time() {
        let n = Kernel::MAX_SIDE;
        let noise = |i: usize| (i as f64 * 0.618_034).fract() - 0.5 + 1e-3 * (i % 11) as f64;
        let k = Kernel::new(n, n, (0..n * n).map(noise).collect()).unwrap();
        let s = Separation::of(&k);
        assert!(!s.is_separable() && s.residual(1) < k.abs_sum() * 1.01);
    }

    fn line(max: usize) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1.0..1.0f64, 1..max)
    }

    proptest! {
        #[test]
        fn integer_products_are_found(
            column in prop::collection::vec(-2000i32..2000, 1..12),
            row in prop::collection::vec(-2000i32..2000, 1..12),
            power in 0i32..20,
        ) {
            let scale = 2f64.powi(-power);
            let of = |c: &i32, r: &i32| f64::from(*c) * f64::from(*r) * scale;
            let taps = column.iter().flat_map(|c| row.iter().map(move |r| of(c, r))).collect();
            let k = Kernel::new(row.len(), column.len(), taps).unwrap();
            let s = Separation::of(&k);
            let zero = k.abs_sum() == 0.0;
            prop_assert_eq!(s.rank(), usize::from(!zero));
            prop_assert_eq!(product(&s.terms()[0]), k.taps().to_vec());
            prop_assert_eq!(s.residual(1), 0.0);
        }

        #[test]
        fn float_products_are_found(column in line(20), row in line(20), power in -300i32..300) {
            let scale = 10f64.powi(power);
            let taps = column.iter().flat_map(|c| row.iter().map(move |r| c * r * scale)).collect();
            let k = Kernel::new(row.len(), column.len(), taps).unwrap();
            let s = Separation::of(&k);
            prop_assert!(s.rank() <= 1);
            prop_assert!(s.residual(1) <= 1e-13 * k.abs_sum());
            prop_assert!(left(&k, &s, 1) <= s.residual(1));
            let value = s.singular_values().unwrap().first().copied().unwrap_or(0.0);
            let expected = norm(&column) * norm(&row) * scale;
            prop_assert!((value - expected).abs() <= 1e-13 * expected);
        }

        #[test]
        fn dense_kernels_are_not_products(
            (width, taps) in (2usize..9, 2usize..9).prop_flat_map(|(w, h)| {
                (Just(w), prop::collection::vec(-1.0..1.0f64, w * h))
            }),
        ) {
            let k = Kernel::new(width, taps.len() / width, taps).unwrap();
            let s = Separation::of(&k);
            prop_assert_eq!(s.rank(), k.width().min(k.height()));
            prop_assert_eq!(s.terms().len(), s.rank());
            let values = s.singular_values().unwrap();
            prop_assert!(values.len() == s.rank() && values.is_sorted_by(|a, b| a >= b));
            for r in 0..=s.rank() {
                let error = left(&k, &s, r);
                prop_assert!(error <= s.residual(r) * (1.0 + 1e-15), "{} {}", error, s.residual(r));
                prop_assert!(s.residual(r) <= error + 1e-13 * k.abs_sum());
            }
            prop_assert!(s.residual(s.rank()) <= 1e-13 * k.abs_sum());
        }

        #[test]
        fn residuals_bound_the_error_of_any_input(
            taps in prop::collection::vec(-1.0..1.0f64, 30),
            input in prop::collection::vec(0.0..1.0f64, 30),
        ) {
            let k = Kernel::new(6, 5, taps).unwrap();
            let s = Separation::of(&k);
            let apply = |taps: &[f64]| taps.iter().zip(&input).map(|(t, x)| t * x).sum::<f64>();
            let mut sum = 0.0;
            for (r, term) in s.terms().iter().enumerate() {
                sum += apply(&product(term));
                prop_assert!((apply(k.taps()) - sum).abs() <= s.residual(r + 1) + 1e-14);
            }
        }
    }
}
