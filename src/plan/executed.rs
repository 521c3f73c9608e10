//! What a sample of the output takes, as it is computed: multiplications and additions of samples, taps and sums. Symmetric
//! taps that are folded count once, sums that neighbours share by their shares. The count as taps are written stands
//! beside it, in [`StageInfo`](super::StageInfo).
//!
//! It is that of the inside of an image. What makes results of sums is not counted: offset, rounding, post-step and
//! alpha; nor are conversions. A sum of K products takes K additions, since it begins with a constant. A prefix sum is an
//! addition for each number, though vectors take more steps for it.

use super::arithmetic::{Arithmetic, Passes};
use super::costs::{BLOCKS, RUNNING, RUNNING_BYTES, direct_cost, separable_cost};
use super::filter::FilterStage;
use super::segment::{LayerStage, WindowKind};
use super::terms::Terms;
use super::{Operations, Pass};
use crate::pass::{
    self, Datapath as _, GROUP, GROUPS_FROM, Nine, RowLevel, RowOrder, SUMMED, Taps, folds_column,
    folds_row,
};
use crate::sample::SampleType;

impl FilterStage {
    /// What its pass does for a sample.
    pub fn operations(&self) -> Operations {
        let kernel = &self.filter.kernels()[0];
        let (width, height) = (kernel.width(), kernel.height());
        match &self.pass {
            Pass::Separable(passes) => {
                let both = |one| self.column(one, passes.len()) + self.row(one, passes.len());
                passes.iter().map(both).sum()
            }
            Pass::WithIdentity(passes, identity) => {
                // Of a part in 16 bits samples are multiplied before.
                let apart = matches!(identity, Taps::I16(parts) if parts[1] != 0);
                let own = if apart { 3.0 } else { 1.0 };
                let own = Operations::new(own, own.min(2.0));
                self.column(passes, 1) + self.row(passes, 1) + own
            }
            Pass::RowFirst(_) => {
                Operations::products((width.next_multiple_of(2) + height + 1) as f64)
            }
            Pass::Stencil(kernels) => {
                let [products, sums] = Nine::operations(kernels, self.reads());
                Operations::new(products, sums) * kernels.len() as f64
            }
            // A row enters and one leaves; a prefix sum; the difference of two. The common tap, of columns or of all.
            Pass::Running(share) => {
                let taps = share
                    .as_ref()
                    .map_or(1, |share| 1 + usize::from(!share.is_whole() && share.factor != 0));
                Operations::new(taps as f64, 4.0)
            }
            Pass::Blocks(levels) => blocks(height, levels),
            Pass::Terms(terms) => terms.operations(),
            Pass::Multirate(pass) => pass.operations(),
            Pass::Fft(fft) => fft.operations(),
            Pass::Runs(runs) => runs.operations(),
            Pass::Dense(kernels) => kernels.iter().map(|_| self.dense(width, height)).sum(),
        }
    }

    /// What it takes for a sample, in nanoseconds, about.
    pub fn cost(&self) -> f64 {
        let arithmetic = self.arithmetic.arithmetic;
        let sums = self.operations().additions;
        match &self.pass {
            Pass::Separable(_) | Pass::WithIdentity(..) | Pass::RowFirst(_) | Pass::Stencil(_) => {
                separable_cost(arithmetic) * sums
            }
            Pass::Dense(_) => direct_cost(arithmetic) * sums,
            // Memory counts for more than sums.
            Pass::Running(_) if self.types.0 == SampleType::U8 => RUNNING_BYTES,
            Pass::Running(_) => RUNNING,
            Pass::Blocks(_) => BLOCKS * sums,
            Pass::Terms(terms) => terms.cost(),
            Pass::Multirate(pass) => pass.cost(),
            Pass::Fft(fft) => fft.cost(),
            Pass::Runs(runs) => match arithmetic {
                Arithmetic::F32 | Arithmetic::F32Fused => runs.cost(SampleType::F32),
                _ => runs.cost(self.types.0),
            },
        }
    }

    fn paired(&self) -> bool {
        self.arithmetic.arithmetic == Arithmetic::I16Pairs
    }

    /// Whether scratch rows have even and odd samples apart.
    fn halves(&self) -> bool {
        let short = matches!(self.arithmetic.arithmetic, Arithmetic::I16 | Arithmetic::I16Rounded);
        short && self.types.0 == SampleType::U8
    }

    fn column(&self, passes: &Passes, kernels: usize) -> Operations {
        let height = self.filter.kernels()[0].height();
        if self.halves() {
            // Products that are divided are of symmetric taps.
            let taps = pass::I16::taps(&passes.column.taps[0]);
            let unit = if passes.shift == 0 && taps[0] == 1 && height == 5 { 1.0 } else { 0.0 };
            if passes.shift > 0 || kernels == 1 && folds_column(taps) {
                let folded = Operations::folded(height);
                return Operations::new(folded.multiplications - unit, folded.additions);
            }
        }
        self.paired_rows(height)
    }

    /// A sum of rows. Where they are taken in pairs, half of all sums begin with a row that they multiply by 0, or
    /// all end with one.
    fn paired_rows(&self, height: usize) -> Operations {
        Operations::products((height + usize::from(self.paired())) as f64)
    }

    fn row(&self, passes: &Passes, kernels: usize) -> Operations {
        let width = self.filter.kernels()[0].width();
        let folded = if self.halves() {
            let high = self.arithmetic.arithmetic == Arithmetic::I16Rounded;
            let taps = pass::I16::taps(&passes.row);
            kernels == 1 && (passes.halves_add() || !high) && folds_row(taps)
        } else {
            passes.order == RowOrder::Folded
        };
        if folded {
            return Operations::folded(width);
        }
        let each = if self.paired() { width.next_multiple_of(2) } else { width };
        Operations::products(each as f64)
    }

    /// Of one kernel. Floats are summed row by row first.
    fn dense(&self, width: usize, height: usize) -> Operations {
        let taps = self.paired_rows(height) * width as f64;
        match self.arithmetic.arithmetic {
            Arithmetic::F32 | Arithmetic::F32Fused => taps + Operations::new(0.0, height as f64),
            _ => taps,
        }
    }
}

/// Sums of blocks of floats: rows are multiplied by a power of 2 as they are read.
fn blocks(height: usize, levels: &[RowLevel]) -> Operations {
    let row: usize = levels.iter().map(|level| level.terms - 1 + level.rest).sum();
    let row = Operations::new(1.0, row as f64);
    let (height, block, group) = (height as isize, SUMMED as isize, GROUP);
    if height <= block {
        return Operations::new(height as f64, height as f64 - 1.0) + row;
    }
    // Of as many blocks as a group is long, each at another place. What windows have in common is read and added;
    // what they have above and below it, in chains; then three parts of the inner windows, and two of the outer ones.
    let mut sum = Operations::default();
    for top in (0..group * block).step_by(SUMMED) {
        let common = top + block - 1..top + height;
        let groups = common.start.div_euclid(group) + 1..common.end.div_euclid(group);
        let shared = if height >= GROUPS_FROM { groups.end - groups.start } else { 0 };
        let read = (common.end - common.start - shared * (group - 1)) as f64;
        let chains = 2.0 * (SUMMED - 1) as f64;
        sum = sum + Operations::new(read + chains, read - 1.0 + chains - 2.0);
        sum = sum + Operations::new(0.0, 2.0 * (SUMMED - 1) as f64);
    }
    let rows = (group * block) as f64;
    // Each row is in the sum of one group.
    let groups = if height >= GROUPS_FROM {
        Operations::new(1.0, 1.0 - 1.0 / group as f64)
    } else {
        Operations::default()
    };
    sum * (1.0 / rows) + groups + row
}

impl Terms {
    /// Of all terms, of what they are multiplied by, and of their sum.
    fn operations(&self) -> Operations {
        let added = self.stages.len() + usize::from(self.identity != 0.0);
        let terms = self.stages.iter().map(|term| term.stage.operations());
        terms.sum::<Operations>() + Operations::products(added as f64)
    }
}

impl LayerStage {
    /// Products in a sum of its window, if it has one: of two passes where there are two.
    pub(super) fn products(&self) -> Option<f64> {
        let window = self.window.as_ref()?;
        let [width, height] = [window.axes[0].taps, window.axes[1].taps];
        let products = match &window.kind {
            WindowKind::Depthwise { passes: Some(_), .. } => width + height,
            WindowKind::Depthwise { .. } => width * height,
            WindowKind::Dense(_) => width * height * window.inputs,
        };
        Some(products as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::any_view::Source;
    use crate::filter::{Filter, Method};
    use crate::kernel::{Kernel, KernelParams, NamedKernel};
    use crate::layer::{Chain, Depthwise};
    use crate::sample::Sample;
    use crate::view::Shape;

    /// What a filter takes on images of so many channels.
    fn of<I: Source, O: Sample>(filter: &Filter, channels: usize) -> [f64; 2] {
        let plan = filter.plan::<I, O>(Shape::new(640, 480, channels)).unwrap();
        let all = plan.operations_per_sample();
        assert_eq!(plan.stages()[0].operations, all);
        println!("{plan}");
        [all.multiplications, all.additions]
    }

    fn bytes(kernel: Kernel, channels: usize) -> [f64; 2] {
        of::<u8, u8>(&Filter::new(kernel), channels)
    }

    /// Taps that are no product.
    fn any(n: usize) -> Kernel {
        let taps = (0..n * n).map(|i| ((i * i) as f64 * 0.7).sin() + 0.3);
        Kernel::new(n, n, taps.collect()).unwrap().normalized()
    }

    #[test]
    fn boxes_take_four_additions() {
        // A row enters and one leaves; a prefix sum; a difference. One division.
        assert_eq!(bytes(Kernel::box_(15, 15).unwrap(), 3), [1.0, 4.0]);
        assert_eq!(of::<u16, u16>(&Filter::new(Kernel::box_(15, 15).unwrap()), 1), [1.0, 4.0]);
        // Columns of floats: of four windows of 15 rows, 12 rows in common and 3 + 3 around them are multiplied by a
        // power of 2, and summed by 11 + 2 + 2 + 6 additions. Rows: levels of 3 and 5, and the tap.
        let [products, sums] = of::<f32, f32>(&Filter::new(Kernel::box_(15, 15).unwrap()), 1);
        assert_eq!(products, 18.0 / 4.0 + 1.0);
        let row = RowLevel::levels(15).iter().map(|l| l.terms - 1 + l.rest).sum::<usize>();
        assert_eq!((row, sums), (6, 21.0 / 4.0 + 6.0));
        // From 24 rows on groups of 8 are summed once: of the 37 that windows of 40 have in common, four groups.
        let [products, sums] = of::<f32, f32>(&Filter::new(Kernel::box_(1, 40).unwrap()), 1);
        assert_eq!(products, (5.0 + 4.0 + 6.0) / 4.0 + 1.0 + 1.0);
        assert_eq!(sums, (8.0 + 10.0) / 4.0 + 7.0 / 8.0);
    }

    #[test]
    fn symmetric_taps_count_once() {
        // 1 4 6 4 1 down: the outer taps are 1. Across they are multiplied.
        let binomial = Kernel::separable(&[1.0, 4.0, 6.0, 4.0, 1.0], &[1.0, 4.0, 6.0, 4.0, 1.0]);
        let binomial = Filter::new(binomial.unwrap()).scale(1.0 / 256.0);
        assert_eq!(of::<u8, u8>(&binomial, 3), [2.0 + 3.0, 5.0 + 5.0]);
        assert_eq!(bytes(Kernel::gaussian(0.6).unwrap(), 3), [3.0 + 3.0, 10.0]);
        // 13 taps in `f32`: only the row is folded, where no vectors are shared.
        let gaussian = Filter::new(Kernel::gaussian(2.0).unwrap());
        assert_eq!(of::<u16, u16>(&gaussian, 3), [13.0 + 7.0, 26.0]);
        // Of bytes both are.
        assert_eq!(of::<u8, u8>(&gaussian, 3), [7.0 + 7.0, 26.0]);
        // Lopsided taps are not folded.
        let row = [0.1, 0.2, 0.3, 0.25, 0.15];
        let lopsided = Kernel::separable(&row, &row).unwrap();
        assert_eq!(of::<f32, f32>(&Filter::new(lopsided), 1), [10.0, 10.0]);
    }

    #[test]
    fn sobel_sums_each_row_once_for_three_results() {
        // A block of 8 rows makes 10 row sums, of 3 taps each. Down, 1 2 1 takes two additions; of two kernels, or
        // where the first is −1, the middle one is multiplied, and what sums begin with added.
        assert_eq!(bytes(Kernel::sobel_x(), 1), [3.0 * 1.25, 2.0 * 1.25 + 2.0]);
        assert_eq!(of::<u16, u16>(&Filter::new(Kernel::sobel_x()), 3), [3.75, 4.5]);
        assert_eq!(bytes(Kernel::sobel_y(), 3), [3.0 * 1.25 + 1.0, 2.0 * 1.25 + 3.0]);
        let both = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y()).unwrap();
        assert_eq!(of::<u8, u8>(&both, 3), [9.5, 11.0]);
        // Two sums of a row's three samples, and three rows that are added.
        assert_eq!(bytes(Kernel::laplacian(), 1), [6.0 * 1.25, 4.0 * 1.25 + 3.0]);
        assert_eq!(of::<f32, f32>(&Filter::new(Kernel::laplacian()), 1), [9.0, 9.0]);
    }

    #[test]
    fn direct_passes_multiply_all_taps() {
        // Rows in pairs: one of eight is multiplied by 0. Floats: rows are summed first.
        let dense = Filter::new(any(7)).method(Method::Dense);
        assert_eq!(of::<u8, u8>(&dense, 3), [56.0, 56.0]);
        assert_eq!(of::<f32, f32>(&dense, 3), [49.0, 56.0]);
        let dense = Filter::new(any(63)).method(Method::Dense);
        assert_eq!(of::<u8, u8>(&dense, 1), [63.0 * 64.0, 63.0 * 64.0]);
    }

    #[test]
    fn runs_take_what_they_read() {
        // Two for each of 31 columns, of which the first and the last row of changes, and no other, have an odd number.
        let params = KernelParams { radius: Some(15.0), edge: Some(0.0), ..Default::default() };
        let disc = NamedKernel::find("disc").unwrap().kernels(&params).unwrap()[0].clone();
        assert_eq!((disc.width(), disc.height()), (31, 31));
        let tap = |x: usize, y: usize| if y < 31 { disc.tap(x, y) } else { 0.0 };
        let changes = |y: &usize| {
            (0..31)
                .filter(|x| {
                    (y.checked_sub(1).map_or(0.0, |above| tap(*x, above)) > 0.0)
                        != (tap(*x, *y) > 0.0)
                })
                .count()
        };
        let all: Vec<usize> = (0..32).map(|y| changes(&y)).collect();
        assert_eq!(all.iter().sum::<usize>(), 62);
        let reads: usize = all.iter().map(|n| n.next_multiple_of(2)).sum();
        assert_eq!(bytes(disc, 3), [reads as f64 + 1.0, reads as f64]);
    }

    #[test]
    fn two_rates_take_both() {
        // Blocks of 8: 24 taps down for each of 8 rows, 24 across for one of 64, 21 and 21 between low samples, three for
        // a row of 8, and three.
        let gaussian = Kernel::gaussian(25.0).unwrap();
        let each = 3.0 + 3.0 / 8.0 + 42.0 / 64.0 + 3.0 / 8.0 + 3.0;
        assert_eq!(bytes(gaussian, 1), [each, each]);
    }

    #[cfg(feature = "fft")]
    #[test]
    fn transforms_take_their_butterflies() {
        // 512 × 256 samples for 450 × 194 results. Rows of 9 levels of 256 butterflies, two at a time, and columns of 8
        // levels of 128, there and back; each is 4 multiplications and 6 additions.
        let (rows, columns, results) = (f64::from(256 + 194), 257.0, f64::from(450 * 194));
        let butterflies = 9.0 * 256.0 * rows / 2.0 + 8.0 * 128.0 * 2.0 * columns;
        let all = [
            (4.0 * butterflies + 4.0 * columns * 256.0) / results + 1.0,
            (6.0 * butterflies + 2.0 * columns * 256.0 + 2.0 * columns * rows) / results,
        ];
        let found = bytes(any(63), 3);
        assert!(found.iter().zip(all).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {all:?}");
    }

    #[test]
    fn terms_add_up() {
        // A Gaussian of 19 + 19 taps, folded, and the image, whole or in two parts.
        assert_eq!(bytes(Kernel::unsharp(3.0, 1.0).unwrap(), 3), [21.0, 39.0]);
        assert_eq!(bytes(Kernel::unsharp(3.0, 0.7).unwrap(), 3), [23.0, 40.0]);
        // In pairs, with its unit, where that is too coarse.
        assert_eq!(bytes(Kernel::unsharp(3.0, 9.0).unwrap(), 3), [42.0, 42.0]);
    }

    #[test]
    fn chains_and_layers() {
        let shape = Shape::new(64, 48, 1);
        let chain = Chain::new(Kernel::sobel_x()).then(Kernel::gaussian(2.0).unwrap()).unwrap();
        let plan = chain.plan::<u8, u8>(shape).unwrap();
        let each: Vec<_> = plan.stages().iter().map(|stage| stage.operations).collect();
        assert_eq!(each.iter().copied().sum::<Operations>(), plan.operations_per_sample());
        assert!(each.iter().all(|all| all.additions > 0.0));
        // Two passes over a depthwise layer's product.
        let layer = Depthwise::from_keras(&[0.04; 25], [5, 5, 1, 1]).unwrap();
        let plan = Chain::new(layer).plan::<f32, f32>(shape).unwrap();
        let stage = &plan.stages()[0];
        assert_eq!((stage.multiplications, stage.operations), (25, Operations::products(10.0)));
    }
}
