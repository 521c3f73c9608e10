//! Kernels of low rank as sums of few products, without a decomposition of all their taps.
//!
//! A cross is the column and the row through the largest tap, as a product that meets both. It is taken away, and so
//! on with what is left: of a kernel of rank r nothing is left after r crosses. (Adaptive cross approximation with full
//! pivoting: Bebendorf, Approximation of boundary element matrices, 2000.) What is left is looked at tap by tap, so that
//! it is known and not estimated. The singular products of a sum of few crosses are those of a matrix of as few rows.
//!
//! A sample of the taps tells most kernels that have more products than that: what is not true of them is not true of
//! all. It may only say no.

use super::super::svd;
use super::{Kernel, Scaled, Separation, Term};

/// Rows and columns of a sample.
const SAMPLE: usize = 24;
/// How much more than enough a sample must leave, so that there is no use in looking further.
const CLEARLY: f64 = 8.0;

impl Separation {
    /// At most `count` singular products, as few as leave no more than `most` of the kernel; `None` where there are
    /// none. One product is not looked for.
    pub(crate) fn of_few(kernel: &Kernel, count: usize, most: f64) -> Option<Vec<Term>> {
        let (width, height) = (kernel.width(), kernel.height());
        if most.is_nan() || width.min(height) < 2 || kernel.taps().iter().all(|t| *t == 0.0) {
            return None;
        }
        let scaled = Scaled::of(kernel);
        let most_scaled = most / scaled.scale;
        if width.min(height) > 2 * SAMPLE {
            let (every_x, every_y) = (width / SAMPLE, height / SAMPLE);
            let rows = scaled.rows().step_by(every_y).map(|row| row.iter().step_by(every_x));
            let sample: Vec<f64> = rows.flatten().copied().collect();
            let share = (width * height) as f64 / sample.len() as f64;
            let across = width.div_ceil(every_x);
            crosses(sample, across, count + 1, CLEARLY * most_scaled / share)?;
        }
        // Singular products are the best ones: one more cross may be needed.
        let crosses = crosses(scaled.taps.clone(), width, count + 1, most_scaled)?;
        let all = Self::numeric(kernel, &scaled, products(&crosses), crosses.len(), false, None);
        let enough = (2..=crosses.len().min(count)).find(|r| all.residual(*r) <= most)?;
        Some(all.terms[..enough].to_vec())
    }
}

/// At most `count` crosses that leave no more than `most` of the taps.
fn crosses(mut taps: Vec<f64>, width: usize, count: usize, most: f64) -> Option<Vec<Term>> {
    let mut crosses = Vec::new();
    loop {
        let (mut sum, mut largest) = (0.0, 0.0);
        for t in &taps {
            sum += t.abs();
            largest = t.abs().max(largest);
        }
        if sum <= most || largest == 0.0 {
            return Some(crosses);
        }
        if crosses.len() == count {
            return None;
        }
        let at = taps.iter().position(|t| t.abs() == largest)?;
        let (px, pivot) = (at % width, taps[at]);
        let row: Vec<f64> = taps[at - px..][..width].iter().map(|t| t / pivot).collect();
        let column: Vec<f64> = taps.iter().skip(px).step_by(width).copied().collect();
        for (taps, c) in taps.chunks_exact_mut(width).zip(&column) {
            taps.iter_mut().zip(&row).for_each(|(t, r)| *t -= c * r);
        }
        crosses.push(Term { column, row });
    }
}

/// The singular products of a sum of products: with C = P·A and R = Q·B, of orthogonal columns P and Q, those of
/// C·Rᵀ are the ones of A·Bᵀ.
fn products(sum: &[Term]) -> Vec<Term> {
    let n = sum.len();
    let (p, a) = orthogonal(sum.iter().map(|term| term.column.clone()).collect());
    let (q, b) = orthogonal(sum.iter().map(|term| term.row.clone()).collect());
    let inner = (0..n * n).map(|at| a[at / n].iter().zip(&b[at % n]).map(|(a, b)| a * b).sum());
    let svd = svd::decompose(n, n, &inner.collect::<Vec<f64>>());
    let vectors = svd.left.iter().zip(&svd.right).zip(&svd.values);
    let terms = vectors.map(|((left, right), value)| {
        let mut row = combined(&q, right);
        row.iter_mut().for_each(|r| *r *= value);
        Term { column: combined(&p, left), row }
    });
    terms.collect()
}

/// The sum of vectors, each times its factor.
fn combined(vectors: &[Vec<f64>], factors: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; vectors[0].len()];
    for (vector, factor) in vectors.iter().zip(factors) {
        sum.iter_mut().zip(vector).for_each(|(sum, v)| *sum += v * factor);
    }
    sum
}

/// Orthogonal unit vectors of the same span, and rows of factors: vector k is the sum of the unit vectors i, each times
/// `rows[i][k]`. By Gram and Schmidt, twice, which is as good as it gets.
fn orthogonal(mut vectors: Vec<Vec<f64>>) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let n = vectors.len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut rows = vec![vec![0.0; n]; n];
    for k in 0..n {
        let (before, rest) = vectors.split_at_mut(k);
        let vector = &mut rest[0];
        for _ in 0..2 {
            for (unit, row) in before.iter().zip(&mut rows) {
                let share = dot(unit, vector);
                row[k] += share;
                vector.iter_mut().zip(unit).for_each(|(v, u)| *v -= u * share);
            }
        }
        let length = dot(vector, vector).sqrt();
        rows[k][k] = length;
        if length > 0.0 {
            vector.iter_mut().for_each(|v| *v /= length);
        }
    }
    (vectors, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(n: usize, a: f64, b: f64) -> Vec<f64> {
        (0..n).map(|i| ((i * i) as f64 * a + b).sin()).collect()
    }

    fn sum(width: usize, height: usize, rank: usize) -> Kernel {
        let mut taps = vec![0.0; width * height];
        for k in 0..rank {
            let other = 0.21 * k as f64;
            let (column, row) = (wave(height, 0.3 + other, 0.1), wave(width, 0.7 - other, 0.4));
            let size = 10f64.powi(-(k as i32));
            let each = taps.iter_mut().enumerate();
            each.for_each(|(i, t)| *t += size * column[i / width] * row[i % width]);
        }
        Kernel::new(width, height, taps).unwrap()
    }

    /// The same products as the decomposition of all taps has.
    #[test]
    fn few_products_are_the_singular_ones() {
        for (width, height, rank) in [(9, 7, 2), (31, 40, 3), (101, 80, 4), (255, 255, 2)] {
            let kernel = sum(width, height, rank);
            let most = kernel.abs_sum() * 1e-12;
            let few = Separation::of_few(&kernel, 4, most).unwrap();
            let all = Separation::of(&kernel);
            assert_eq!((few.len(), all.rank()), (rank, rank));
            for (a, b) in few.iter().zip(all.terms()) {
                let near = |a: &[f64], b: &[f64]| {
                    let largest = b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * largest)
                };
                assert!(near(&a.column, &b.column) && near(&a.row, &b.row), "{width}×{height}");
            }
        }
    }

    /// More products, one, none.
    #[test]
    fn others_have_none() {
        for (width, height) in [(9, 7), (60, 70), (255, 255)] {
            let six = sum(width, height, 6);
            assert_eq!(Separation::of_few(&six, 4, six.abs_sum() * 1e-12), None);
            assert!(Separation::of_few(&six, 4, six.abs_sum() * 1e-2).is_some());
            let one = sum(width, height, 1);
            assert_eq!(Separation::of_few(&one, 4, one.abs_sum() * 1e-12), None);
        }
        for bad in [0.0, -1.0, f64::NAN] {
            let kernel = sum(20, 20, 5);
            assert_eq!(Separation::of_few(&kernel, 4, bad), None);
        }
        let zeros = Kernel::new(20, 20, vec![0.0; 400]).unwrap();
        assert_eq!(Separation::of_few(&zeros, 4, 1.0), None);
        let line = Kernel::new(20, 1, wave(20, 0.1, 0.3)).unwrap();
        assert_eq!(Separation::of_few(&line, 4, 1.0), None);
    }

    /// A tap that a sample does not see.
    #[test]
    fn all_taps_are_looked_at() {
        let kernel = sum(100, 100, 2);
        let most = kernel.abs_sum() * 1e-9;
        assert_eq!(Separation::of_few(&kernel, 2, most).map(|few| few.len()), Some(2));
        let mut taps = kernel.taps().to_vec();
        taps[37 * 100 + 41] += 0.1;
        let other = Kernel::new(100, 100, taps).unwrap();
        assert_eq!(Separation::of_few(&other, 2, most), None);
        assert_eq!(Separation::of_few(&other, 4, most).map(|few| few.len()), Some(3));
    }

    proptest! {
        /// What they leave is no more than was asked for.
        #[test]
        fn what_is_left_is_known(
            (width, taps) in (2usize..20, 2usize..20).prop_flat_map(|(w, h)| {
                (Just(w), prop::collection::vec(-1.0..1.0f64, w * h))
            }),
            share in 0.0..1.0f64,
            power in -300i32..300,
        ) {
            let taps: Vec<f64> = taps.iter().map(|t| t * 10f64.powi(power)).collect();
            let kernel = Kernel::new(width, taps.len() / width, taps).unwrap();
            let most = kernel.abs_sum() * share;
            if let Some(few) = Separation::of_few(&kernel, 4, most) {
                prop_assert!((2..=4).contains(&few.len()));
                let mut left = kernel.taps().to_vec();
                for term in &few {
                    let product = term.column.iter().flat_map(|c| term.row.iter().map(move |r| c * r));
                    left.iter_mut().zip(product).for_each(|(t, p)| *t -= p);
                }
                prop_assert!(left.iter().map(|t| t.abs()).sum::<f64>() <= most * (1.0 + 1e-12));
            }
        }
    }
}
