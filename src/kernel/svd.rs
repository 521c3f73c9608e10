//! A small singular value decomposition, for kernels.
//!
//! One-sided Jacobi (Hestenes 1958; Demmel and Veselić 1992 for its accuracy): pairs of columns
//! are rotated until all are orthogonal. Their lengths are then the singular values, their
//! directions the left vectors, and the product of all rotations holds the right ones. It is
//! short, needs no preparation, finds small singular values as accurately as large ones, and is
//! fast enough for the sizes that kernels have.

/// The decomposition: taps = Σ values[i] · left[i] · right[i]ᵀ.
pub(super) struct Svd {
    /// Largest first; as many as the smaller side.
    pub values: Vec<f64>,
    /// A unit vector of the height per value (of zeros if the value is 0).
    pub left: Vec<Vec<f64>>,
    /// A unit vector of the width per value (of zeros if the value is 0 and the matrix is wide).
    pub right: Vec<Vec<f64>>,
}

/// Sweeps over all pairs; ten suffice in practice, and each makes all pairs more orthogonal.
const MAX_SWEEPS: usize = 40;

/// Decomposes a matrix of finite taps whose squares neither overflow nor vanish.
pub(super) fn decompose(width: usize, height: usize, taps: &[f64]) -> Svd {
    if width > height {
        // Fewer vectors to rotate: decompose the transpose.
        let flipped: Vec<f64> =
            (0..width).flat_map(|x| (0..height).map(move |y| taps[y * width + x])).collect();
        let Svd { values, left, right } = decompose(height, width, &flipped);
        return Svd { values, left: right, right: left };
    }
    let mut columns: Vec<Vec<f64>> =
        (0..width).map(|x| (0..height).map(|y| taps[y * width + x]).collect()).collect();
    let mut turned: Vec<Vec<f64>> =
        (0..width).map(|x| (0..width).map(|i| f64::from(u8::from(i == x))).collect()).collect();
    // Columns shorter than the rounding of the whole matrix are 0 and are left alone: they would
    // turn for ever.
    let total: f64 = taps.iter().map(|t| t * t).sum();
    let nothing = total * f64::EPSILON * f64::EPSILON * 1e-4;
    for _ in 0..MAX_SWEEPS {
        let mut turns = 0;
        for p in 0..width {
            for q in p + 1..width {
                turns += usize::from(orthogonalise(&mut columns, &mut turned, p, q, nothing));
            }
        }
        if turns == 0 {
            break;
        }
    }
    let lengths: Vec<f64> = columns.iter().map(|c| dot(c, c).sqrt()).collect();
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| lengths[b].total_cmp(&lengths[a]));
    let mut svd = Svd { values: Vec::new(), left: Vec::new(), right: Vec::new() };
    for i in order {
        let length = lengths[i];
        let unit = |t: &f64| if length > 0.0 { t / length } else { 0.0 };
        svd.values.push(length);
        svd.left.push(columns[i].iter().map(unit).collect());
        svd.right.push(std::mem::take(&mut turned[i]));
    }
    svd
}

/// Turns columns `p` < `q` in their plane so that they become orthogonal; `turned` follows.
/// Says whether there was anything to do.
fn orthogonalise(
    columns: &mut [Vec<f64>],
    turned: &mut [Vec<f64>],
    p: usize,
    q: usize,
    nothing: f64,
) -> bool {
    let (head, tail) = columns.split_at_mut(q);
    let (a, b) = (&mut head[p], &mut tail[0]);
    let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
    if aa.min(bb) <= nothing || ab.abs() <= 4.0 * f64::EPSILON * (aa * bb).sqrt() {
        return false;
    }
    // The smaller of the two angles that make the turned columns orthogonal.
    let zeta = (bb - aa) / (2.0 * ab);
    let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    turn(a, b, c, c * t);
    let (head, tail) = turned.split_at_mut(q);
    turn(&mut head[p], &mut tail[0], c, c * t);
    true
}

/// (a, b) becomes (c·a − s·b, s·a + c·b).
fn turn(a: &mut [f64], b: &mut [f64], c: f64, s: f64) {
    for (a, b) in a.iter_mut().zip(b) {
        (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums side by side: one would wait for itself at every step.
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for i in 0..4 {
            sums[i] += x[i] * y[i];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    /// What must hold of a decomposition, whatever made the matrix.
    fn check(width: usize, height: usize, taps: &[f64]) -> Vec<f64> {
        let svd = decompose(width, height, taps);
        let n = width.min(height);
        let largest = svd.values[0].max(1e-300);
        assert_eq!((svd.values.len(), svd.left.len(), svd.right.len()), (n, n, n));
        assert!(svd.values.is_sorted_by(|a, b| a >= b));
        for (i, t) in taps.iter().enumerate() {
            let term = |k: usize| svd.values[k] * svd.left[k][i / width] * svd.right[k][i % width];
            let sum: f64 = (0..n).map(term).sum();
            assert!((t - sum).abs() <= 1e-13 * largest, "{width}x{height} at {i}: {t} {sum}");
        }
        let kept = svd.values.iter().take_while(|&&s| s > 1e-13 * largest).count();
        for i in 0..kept {
            for j in 0..kept {
                let expected = f64::from(u8::from(i == j));
                for vectors in [&svd.left, &svd.right] {
                    // Vectors of small values are only as orthogonal as the taps' rounding allows.
                    let slack = 1e-13 * largest / svd.values[i.max(j)];
                    let product = dot(&vectors[i], &vectors[j]);
                    assert!((product - expected).abs() <= slack.max(1e-13), "{i} {j} {product}");
                }
            }
        }
        svd.values
    }

    #[test]
    fn random_matrices_of_every_shape() {
        let mut rng = SmallRng::seed_from_u64(7);
        for width in 1..=12 {
            for height in 1..=12 {
                let taps: Vec<f64> =
                    (0..width * height).map(|_| rng.random_range(-1.0..1.0)).collect();
                check(width, height, &taps);
            }
        }
    }

    #[test]
    fn matrices_with_known_values() {
        let near = |a: &[f64], b: &[f64]| {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14), "{a:?} {b:?}");
        };
        near(&check(2, 2, &[3.0, 0.0, 4.0, 5.0]), &[45f64.sqrt(), 5f64.sqrt()]);
        near(&check(3, 3, &[0.0; 9]), &[0.0; 3]);
        near(&check(3, 2, &[0.0, 0.0, -7.0, 0.0, 2.0, 0.0]), &[7.0, 2.0]);
        // The identity, and a matrix of rank 1 whose columns are all parallel.
        near(&check(2, 2, &[1.0, 0.0, 0.0, 1.0]), &[1.0, 1.0]);
        near(&check(4, 4, &[1.0; 16]), &[4.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn graded_and_deficient_matrices() {
        // Hilbert's matrix: values from 1.75 down to 10⁻¹³.
        let hilbert: Vec<f64> = (0..100).map(|i| 1.0 / (i / 10 + i % 10 + 1) as f64).collect();
        let values = check(10, 10, &hilbert);
        assert!((values[0] / 1.751_919_670_265_177_7 - 1.0).abs() < 1e-14);
        assert!((values[9] / 1.093_153_8e-13 - 1.0).abs() < 1e-2, "{}", values[9]);
        let mut rng = SmallRng::seed_from_u64(8);
        for rank in 1..6 {
            let mut factor = |n: usize| -> Vec<f64> {
                (0..n * rank).map(|_| rng.random_range(-1.0..1.0)).collect()
            };
            let (a, b) = (factor(30), factor(20));
            let at = |i: usize| dot(&a[i / 20 * rank..][..rank], &b[i % 20 * rank..][..rank]);
            let taps: Vec<f64> = (0..600).map(at).collect();
            let values = check(20, 30, &taps);
            assert!(values[rank - 1] > 1e-3 && values[rank] < 1e-14, "{values:?}");
        }
    }

    #[test]
    fn the_largest_size_is_quick() {
        let mut rng = SmallRng::seed_from_u64(9);
        let taps: Vec<f64> = (0..256 * 256).map(|_| rng.random_range(-1.0..1.0)).collect();
        let values = decompose(256, 256, &taps).values;
        let squares: f64 = taps.iter().map(|t| t * t).sum();
        assert!((dot(&values, &values) / squares - 1.0).abs() < 1e-12);
    }
}
