//! The taps of a factor at two rates: a decimator h, a filter c of the low rate and an interpolator f for each phase,
//! fitted so that together they are as near to the factor's own taps as can be.
//!
//! An axis is cut into blocks of D samples. Low sample j is the sum of the blocks j − 1 to j + 1 under h; c filters low
//! samples; sample p of a block is interpolated from the three nearest low samples by f_p. What they make of the samples
//! under phase p are its effective taps e_p. The sum of their squared distances from the factor's taps is least, over c
//! with h and f given, then over f, then over h, and so on: each is a linear least-squares problem, whose matrix is of
//! autocorrelations at multiples of D. Sums are kept: Σh = 1, Σf_p = 1, Σc that of the factor, so that the effective taps
//! of every phase add up to what the factor's do.

/// Blocks that a low sample reads, and low samples that a sample is interpolated from.
pub(crate) const SPAN: usize = 3;
/// Rounds of the three problems; more change nothing that matters.
const ROUNDS: usize = 3;
/// What is added to the diagonal of their matrices, as a share of it, so that all of them have a solution.
const RIDGE: f64 = 1e-12;

/// Taps at two rates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// D: samples of a block.
    pub step: usize,
    /// Of a low sample, 3·D.
    pub h: Vec<f64>,
    /// Between low samples, 2·m + 1.
    pub c: Vec<f64>,
    /// Of each phase.
    pub f: Vec<[f64; SPAN]>,
}

impl Fit {
    /// Fits a factor of an odd number of taps.
    pub fn new(factor: &[f64], step: usize) -> Self {
        let m = (factor.len() / 2).div_ceil(step);
        let window = |i: usize, n: usize| {
            (std::f64::consts::PI * ((i as f64 + 0.5) / n as f64 - 0.5)).cos().powi(2)
        };
        let normal = |taps: Vec<f64>| {
            let sum: f64 = taps.iter().sum();
            taps.into_iter().map(|t| t / sum).collect::<Vec<_>>()
        };
        let n = SPAN * step;
        let h = normal((0..n).map(|i| window(i, n)).collect());
        // Phase p lies under the windows of three low samples.
        let phase = |p: usize| {
            let taps = normal((0..SPAN).map(|k| window(p + (SPAN - 1 - k) * step, n)).collect());
            [taps[0], taps[1], taps[2]]
        };
        let f = (0..step).map(phase).collect();
        let mut fit = Self { step, h, c: vec![0.0; 2 * m + 1], f };
        let targets: Vec<_> = (0..step).map(|p| fit.target(factor, p)).collect();
        for _ in 0..ROUNDS {
            fit.solve_c(&targets, factor.iter().sum());
            fit.solve_f(&targets);
            fit.solve_h(&targets);
        }
        fit
    }

    /// The same for a factor of other size.
    pub fn times(mut self, gain: f64) -> Self {
        self.f.iter_mut().flatten().for_each(|tap| *tap *= gain);
        self
    }

    /// The factor's taps under phase p, from where the effective ones begin.
    pub fn target(&self, factor: &[f64], p: usize) -> Vec<f64> {
        let (step, m) = (self.step, self.c.len() / 2);
        let mut taps = vec![0.0; (2 * m + 2 * SPAN - 1) * step];
        taps[(m + 2) * step + p - factor.len() / 2..][..factor.len()].copy_from_slice(factor);
        taps
    }

    /// What h and c make of samples, from the first that a low sample reads.
    fn low(&self) -> Vec<f64> {
        let mut low = vec![0.0; (self.c.len() + SPAN - 1) * self.step];
        for (j, c) in self.c.iter().enumerate() {
            add(&mut low[j * self.step..], &self.h, *c);
        }
        low
    }

    /// The effective taps of every phase.
    pub fn effective(&self) -> Vec<Vec<f64>> {
        let low = self.low();
        let phase = |f: &[f64; SPAN]| {
            let mut taps = vec![0.0; low.len() + (SPAN - 1) * self.step];
            for (k, f) in f.iter().enumerate() {
                add(&mut taps[k * self.step..], &low, *f);
            }
            taps
        };
        self.f.iter().map(phase).collect()
    }

    fn solve_c(&mut self, targets: &[Vec<f64>], sum: f64) {
        let (step, n) = (self.step, self.c.len());
        let mut lags = vec![0.0; n];
        let mut right = vec![0.0; n];
        for (f, target) in self.f.iter().zip(targets) {
            let mut taps = vec![0.0; (2 * SPAN - 1) * step];
            for (k, f) in f.iter().enumerate() {
                add(&mut taps[k * step..], &self.h, *f);
            }
            for (lag, sum) in lags.iter_mut().enumerate().take(2 * SPAN - 1) {
                *sum += product(&taps, &taps[lag * step..]);
            }
            for (j, right) in right.iter_mut().enumerate() {
                *right += product(&taps, &target[j * step..]);
            }
        }
        self.c = with_sum(&lags, &right, sum);
    }

    fn solve_f(&mut self, targets: &[Vec<f64>]) {
        let low = self.low();
        let lags: Vec<_> = (0..SPAN).map(|lag| product(&low, &low[lag * self.step..])).collect();
        for (f, target) in self.f.iter_mut().zip(targets) {
            let right: Vec<_> =
                (0..SPAN).map(|k| product(&low, &target[k * self.step..])).collect();
            f.copy_from_slice(&with_sum(&lags, &right, 1.0));
        }
    }

    /// Taps D apart meet others than those between them: only the sum is a matter of all.
    fn solve_h(&mut self, targets: &[Vec<f64>]) {
        let step = self.step;
        let mut lags = [0.0; SPAN];
        let mut right = vec![0.0; SPAN * step];
        for (f, target) in self.f.iter().zip(targets) {
            let mut low = vec![0.0; self.c.len() + SPAN - 1];
            for (k, f) in f.iter().enumerate() {
                add(&mut low[k..], &self.c, *f);
            }
            for (lag, sum) in lags.iter_mut().enumerate() {
                *sum += product(&low, &low[lag..]);
            }
            for (i, right) in right.iter_mut().enumerate() {
                *right +=
                    target[i..].iter().step_by(step).zip(&low).map(|(t, l)| t * l).sum::<f64>();
            }
        }
        let ones = solve(&lags, &[1.0; SPAN]);
        let mut sum = 0.0;
        for first in 0..step {
            let of = |b: usize| right[b * step + first];
            let taps = solve(&lags, &[of(0), of(1), of(2)]);
            for (b, tap) in taps.iter().enumerate() {
                self.h[b * step + first] = *tap;
                sum += tap;
            }
        }
        let more = (1.0 - sum) / (ones.iter().sum::<f64>() * step as f64);
        for (i, tap) in self.h.iter_mut().enumerate() {
            *tap += more * ones[i / step];
        }
    }
}

/// Adds taps times a factor.
fn add(to: &mut [f64], taps: &[f64], factor: f64) {
    to.iter_mut().zip(taps).for_each(|(to, tap)| *to += tap * factor);
}

/// The sum of products, as far as both go. Eight sums at once, which the compiler makes vectors of.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..n].as_chunks::<8>(), b[..n].as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    sums.into_iter().chain(rest).sum()
}

/// The least-squares solution with a given sum.
fn with_sum(lags: &[f64], right: &[f64], sum: f64) -> Vec<f64> {
    let (mut x, ones) = (solve(lags, right), solve(lags, &vec![1.0; right.len()]));
    let more = (sum - x.iter().sum::<f64>()) / ones.iter().sum::<f64>();
    add(&mut x, &ones, more);
    x
}

/// Solves a system whose matrix has the element `lags[|i − j|]`, by Cholesky's decomposition.
fn solve(lags: &[f64], right: &[f64]) -> Vec<f64> {
    let n = right.len();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut x = right.to_vec();
    for i in 0..n {
        let mut row = vec![0.0; i + 1];
        for j in 0..=i {
            let above = if j < i { &rows[j] } else { &row };
            let sum = lags[i - j] - product(&row[..j], &above[..j]);
            row[j] = if j < i { sum / above[j] } else { (sum + lags[0] * RIDGE).sqrt() };
        }
        x[i] = (x[i] - product(&row[..i], &x[..i])) / row[i];
        rows.push(row);
    }
    for i in (0..n).rev() {
        x[i] /= rows[i][i];
        let known = x[i];
        x[..i].iter_mut().zip(&rows[i]).for_each(|(x, tap)| *x -= tap * known);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;

    fn gaussian(sigma: f64) -> Vec<f64> {
        let kernel = Kernel::gaussian(sigma).unwrap();
        kernel.factors().unwrap().0.to_vec()
    }

    fn distance(factor: &[f64], fit: &Fit) -> f64 {
        let phases = fit.effective().into_iter().enumerate();
        let of = |(p, taps): (usize, Vec<f64>)| {
            let target = fit.target(factor, p);
            taps.iter().zip(&target).map(|(a, b)| (a - b).abs()).sum::<f64>()
        };
        phases.map(of).fold(0.0, f64::max)
    }

    #[test]
    fn effective_taps_are_near_the_factor_and_add_up_to_it() {
        for (sigma, step, most) in [(10.0, 3, 0.0018), (25.0, 8, 0.0018), (50.0, 12, 0.0014)] {
            let factor = gaussian(sigma);
            let fit = Fit::new(&factor, step);
            let far = distance(&factor, &fit);
            assert!(far < most && far > most / 4.0, "{sigma}: {far}");
            let sum: f64 = factor.iter().sum();
            for taps in fit.effective() {
                assert!((taps.iter().sum::<f64>() - sum).abs() < 1e-12);
            }
            let mirrored = fit.h.iter().zip(fit.h.iter().rev());
            assert!(mirrored.clone().all(|(a, b)| (a - b).abs() < 1e-9), "symmetric");
        }
    }

    #[test]
    fn solves_systems_of_lags() {
        let (lags, x) = ([4.0, 1.0, 0.5, 0.0], [1.0, -2.0, 3.0, 0.25]);
        let right: Vec<f64> =
            (0..4usize).map(|i| (0..4).map(|j| lags[i.abs_diff(j)] * x[j]).sum()).collect();
        for (a, b) in solve(&lags, &right).iter().zip(x) {
            assert!((a - b).abs() < 1e-9);
        }
        let found = with_sum(&lags, &right, 5.0);
        assert!((found.iter().sum::<f64>() - 5.0).abs() < 1e-12);
    }
}
