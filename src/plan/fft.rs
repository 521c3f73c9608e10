//! Large kernels that are no products, by fast Fourier transforms: an image is cut into blocks of results, and the
//! samples under all of their windows are transformed, multiplied by the kernel's transform, and transformed back. Blocks
//! are those of the image, wherever tiles, strips and regions begin.
//!
//! **The error.** A transform of 2^a·3^b numbers is a + b levels of butterflies and twiddle factors, whatever radices are
//! taken together. A level changes a vector by no more than η times its 2-norm, and each addend of a result by no more
//! than η times its magnitude. With u = 2⁻⁵³: the additions of a butterfly by 2 count as u, of one by 3 as at most
//! 8u, a product of complex numbers as √5·u (Brent, Percival, Zimmermann 2007), and a factor of `rustfft`, which is the
//! sine and cosine of a rounded angle below 2π, is off by at most 17u: so η is 21u or 28u. Percival (Rapid multiplication modulo
//! the sum and difference of highly composite numbers, 2003, Theorem 5.1) gets from there to the product of
//! transforms: each result is off by no more than ‖x‖₂·‖q‖₂·(Π(1 + η) − 1) over the levels of all three transforms. He has
//! butterflies by 2; the proof needs no more of them than their η. (Higham, Accuracy and Stability, Theorem 24.2, is
//! for butterflies by 2, and norms of all results.) Two rows share a transform back, whose levels count twice.
//!
//! Taps of integer images are whole numbers, so many that this is below a quarter: results that are rounded to the nearest
//! whole number are exact, and the same with every instruction set, which transforms are not. Those of floats are not
//! rounded: what they are off by is far below what a sum of `f32` is.

use super::arithmetic::{self, Arithmetic, Choice, Proved, Rows, Spec, Transforms};
use super::costs::MAP;
use super::{Operations, Pass};
use crate::border::Border;
use crate::filter::{Filter, Method, Post};
use crate::geometry::Axis;
use crate::kernel::Kernel;
use crate::pass::{Digit, Finish, Results};
use crate::sample::SampleType;
use crate::transform::{Complex, Transform};
use crate::view::Shape;

/// Lengths of transforms, and what one takes for each of its numbers, in nanoseconds, on the way there or back (AMD
/// Zen 4, one thread, 1080p, 2026-11-29). Long ones wait for memory.
const LENGTHS: [(usize, f64); 13] = [
    (32, 0.9),
    (48, 1.3),
    (64, 0.95),
    (96, 1.35),
    (128, 1.1),
    (192, 1.45),
    (256, 1.25),
    (384, 1.6),
    (512, 1.6),
    (768, 2.9),
    (1024, 2.4),
    (2048, 3.2),
    (4096, 4.0),
];
/// What is done to each number of a block beside the transforms.
const BESIDE: f64 = 2.0;
/// Pixels of an image across or down, about: half a block of it is made in vain.
const IMAGE: f64 = 1500.0;
/// Taps from which transforms may be faster.
const LEAST_TAPS: usize = 150;
/// The unit roundoff of `f64`, and what levels of a transform are off by, butterflies by 2 and by 3, in units of it.
const ROUNDOFF: f64 = 1.0 / (1u64 << 53) as f64;
const LEVELS: [f64; 2] = [21.0, 28.0];
/// What is done to numbers between the transforms: rows are taken apart, multiplied, and joined.
const BETWEEN: f64 = 24.0;
/// What whole results may be off by before they are rounded.
const NEAR: f64 = 0.25;
/// How far digits of samples are from 0.
const DIGIT: f64 = 128.0;

/// A kernel and its blocks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fft {
    /// Across and down.
    pub transforms: [Transform; 2],
    /// Samples of a block that are transformed, and results.
    pub samples: [usize; 2],
    pub results: [usize; 2],
    /// The transform of the taps, with all factors, column by column: half of the columns, and one.
    pub spectrum: Vec<Complex>,
    /// What samples are taken for, one after the other.
    pub digits: Vec<Digit>,
    /// The sample that stands for 0.
    pub middle: f64,
    pub finish: Results,
    /// The taps of a direct pass, for blocks of floats some of which are no numbers, and whether it fuses.
    pub exact: Option<(Rows, bool)>,
}

impl Fft {
    /// What it reads on the axes of an image: of floats all of the blocks that are touched, so that each is rounded as it
    /// is elsewhere. Where the kernel must lie inside, what reaches beyond is the nearest pixel.
    pub fn axes(&self, filter: &Filter, input: Shape) -> [Axis; 2] {
        let mut axes = filter.axes(input);
        if !self.finish.whole {
            for (axis, results) in axes.iter_mut().zip(self.results) {
                axis.before += results - 1;
                axis.taps += 2 * (results - 1);
                if matches!(axis.border, Border::Valid) {
                    axis.border = Border::Replicate;
                }
            }
        }
        axes
    }

    /// What it takes for a sample, in nanoseconds.
    pub fn cost(&self) -> f64 {
        let each = |n: usize| LENGTHS.into_iter().find(|(length, _)| *length == n);
        let lengths = self.samples.map(|n| each(n).unwrap_or((n, 0.0)));
        cost(lengths, self.results) * self.digits.len() as f64
    }

    /// Multiplications per sample.
    pub fn multiplications(&self) -> usize {
        self.operations().multiplications.ceil() as usize
    }

    /// Operations on real numbers per sample: by butterflies of 2 and 3 with all their factors, some of which are 1.
    pub fn operations(&self) -> Operations {
        // A butterfly of 2 has a factor and two sums of complex numbers; one of 3 two factors and two constants.
        let transform = |n: usize| {
            let (twos, threes) = factors(n);
            let twos = Operations::new(4.0, 6.0) * (f64::from(twos) / 2.0);
            (twos + Operations::new(12.0, 16.0) * (f64::from(threes) / 3.0)) * n as f64
        };
        let ([across, down], [width, height]) = (self.samples, self.results);
        let (columns, rows) = ((across / 2 + 1) as f64, (down + height) as f64);
        // Two rows at a time, and apart again: four sums for each two numbers.
        let block = transform(across) * (rows / 2.0)
            + transform(down) * (2.0 * columns)
            + Operations::new(4.0, 2.0) * (columns * down as f64)
            + Operations::new(0.0, 2.0) * (columns * rows);
        let digits = self.digits.len() as f64;
        let units = if self.finish.whole {
            Operations::new(digits, digits - 1.0)
        } else {
            Operations::default()
        };
        block * (digits / (width * height) as f64) + units
    }

    /// What is done to rows, first to last.
    pub fn describe(&self) -> Vec<String> {
        let ([across, down], [width, height]) = (self.samples, self.results);
        let mut lines =
            vec![format!("blocks: {width}×{height} results of {across}×{down} samples")];
        if self.digits.len() > 1 {
            lines.push("low and high bytes of samples apart".to_owned());
        }
        lines.push("transform rows, two at a time, then columns, in f64".to_owned());
        lines.push("multiply by the kernel's transform".to_owned());
        lines.push("transform columns and rows back".to_owned());
        if self.finish.whole {
            lines.push("round to whole numbers, which are exact".to_owned());
        }
        lines
    }
}

/// How samples are taken: as what, one after the other, less the middle.
fn digits(spec: &Spec<'_>) -> Option<(Vec<Digit>, f64)> {
    let two = (vec![Digit::Low, Digit::High], DIGIT * 257.0);
    match spec.source {
        // Where alpha is 0, what is left of it would divide colours.
        SampleType::F32 if spec.float_output() && !spec.prepared() => {
            Some((vec![Digit::Whole(0.0)], 0.0))
        }
        // Products of bytes have two.
        SampleType::U8 if spec.premultiplied && spec.has_bytes() => Some(two),
        SampleType::U8 if !spec.prepared() => Some((vec![Digit::Whole(DIGIT)], DIGIT)),
        SampleType::U16 if !spec.prepared() => Some(two),
        _ => None,
    }
}

/// The lengths of transforms, across and down, for a kernel, and what they take for a result, in nanoseconds.
fn lengths(kernel: &Kernel) -> Option<([usize; 2], f64)> {
    let size = [kernel.width(), kernel.height()];
    let longer = |taps: usize| LENGTHS.into_iter().filter(move |(n, _)| *n >= taps + taps / 8);
    let all = longer(size[0]).flat_map(|x| longer(size[1]).map(move |y| [x, y]));
    let cost = |[x, y]: [(usize, f64); 2]| cost([x, y], [x.0 + 1 - size[0], y.0 + 1 - size[1]]);
    let best = all.min_by(|a, b| cost(*a).total_cmp(&cost(*b)))?;
    Some((best.map(|(n, _)| n), cost(best)))
}

/// What transforms of two lengths take for each of so many results across and down.
fn cost([(x, each_x), (y, each_y)]: [(usize, f64); 2], results: [usize; 2]) -> f64 {
    let kept = results.map(|n| n as f64);
    let rows = (y as f64 + kept[1]) / (2.0 * y as f64) * each_x;
    let [wide, high] = kept.map(|n| n / (1.0 + n / (2.0 * IMAGE)));
    (x * y) as f64 * (rows + each_y + BESIDE) / (wide * high)
}

/// How often a length has the factors 2 and 3, of which it is.
fn factors(n: usize) -> (u32, u32) {
    let twos = n.trailing_zeros();
    (twos, (n >> twos).ilog(3))
}

/// How far a result may be off, in units of ‖x‖₂·‖q‖₂.
fn error(lengths: [usize; 2]) -> f64 {
    let of = |n: usize| {
        let (twos, threes) = factors(n);
        f64::from(twos) * LEVELS[0] + f64::from(threes) * LEVELS[1]
    };
    let [across, down] = lengths.map(of);
    ((4.0 * across + 3.0 * down + BETWEEN) * ROUNDOFF).exp_m1()
}

/// 2-norm.
fn norm(v: &[f64]) -> f64 {
    v.iter().map(|t| t * t).sum::<f64>().sqrt()
}

/// The kernel by transforms, if the contract of `spec` is kept and they take less than the `least` that other methods do,
/// in nanoseconds a sample, and what was proved. Blocks that need it take the `direct` pass.
pub(super) fn fft(
    spec: &Spec<'_>,
    direct: Option<&(Proved, Vec<Rows>, Finish)>,
    least: f64,
) -> Option<Choice> {
    let [kernel] = spec.filter.kernels() else { return None };
    let forced = spec.filter.get_method() == Method::Fft;
    let may = match spec.transforms {
        Transforms::None => false,
        Transforms::Whole => !spec.float_source(),
        Transforms::Any => true,
    };
    if !may || spec.precise || !forced && kernel.taps().len() < LEAST_TAPS {
        return None;
    }
    let (digits, middle) = digits(spec)?;
    let (samples, cost) = lengths(kernel)?;
    // In a chain, blocks are a segment of their own.
    let cost = cost * digits.len() as f64 + if spec.chained { MAP } else { 0.0 };
    if !forced && cost >= least {
        return None;
    }
    let scale = spec.filter.get_scale();
    let taps: Vec<f64> = kernel.taps().iter().map(|t| t * scale).collect();
    let error = error(samples) * ((samples[0] * samples[1]) as f64).sqrt();
    let mut finish = Results {
        whole: !spec.float_source(),
        add: 0.0,
        unit: 1.0,
        offset: spec.offset(),
        abs: spec.finish().post == Post::Abs,
        rounds: !(spec.float_output() || spec.prepared()),
    };
    let (taps, proved, exact) = if finish.whole {
        let (taps, bits, proved) = arithmetic::whole_taps(spec, &taps, (error * DIGIT, NEAR))?;
        finish.unit = 2f64.powi(-bits);
        finish.add = middle * taps.iter().sum::<f64>();
        (taps, proved, None)
    } else {
        let (direct, rows, _) = direct?;
        let (Arithmetic::F32 | Arithmetic::F32Fused, [rows]) = (direct.arithmetic, &rows[..])
        else {
            return None;
        };
        let size = arithmetic::abs_sum(&taps);
        let own =
            error * norm(&taps) + arithmetic::U * (size + spec.offset().abs()) + spec.carried(size);
        let proved = spec.arithmetic(Arithmetic::F64, own.max(direct.bound));
        let fused = direct.arithmetic == Arithmetic::F32Fused;
        (taps, proved, Some((rows.clone(), fused)))
    };
    let transforms =
        [Transform::new(samples[0], spec.level)?, Transform::new(samples[1], spec.level)?];
    let results = [samples[0] + 1 - kernel.width(), samples[1] + 1 - kernel.height()];
    let spectrum = spectrum(&transforms, samples, &taps, kernel.width());
    let pass = Fft { transforms, samples, results, spectrum, digits, middle, finish, exact };
    Some((Pass::Fft(pass.into()), proved, spec.finish()))
}

/// The transform of taps as blocks are multiplied by it: those of a correlation, with what the transforms of a block
/// leave undone.
fn spectrum(
    transforms: &[Transform; 2],
    [across, down]: [usize; 2],
    taps: &[f64],
    width: usize,
) -> Vec<Complex> {
    let unit = 1.0 / (2 * across * down) as f64;
    let mut columns = vec![[0.0; 2]; (across / 2 + 1) * down];
    let most = transforms[0].scratch().max(transforms[1].scratch());
    let mut scratch = vec![[0.0; 2]; most];
    let mut row = vec![[0.0; 2]; across];
    for (j, taps) in taps.chunks_exact(width).enumerate() {
        row.fill([0.0; 2]);
        for (i, tap) in taps.iter().enumerate() {
            row[(across - i) % across][0] = *tap;
        }
        transforms[0].forward(&mut row, &mut scratch);
        for (column, v) in columns.chunks_exact_mut(down).zip(&row) {
            column[(down - j) % down] = *v;
        }
    }
    transforms[1].forward(&mut columns, &mut scratch);
    columns.iter_mut().flatten().for_each(|v| *v *= unit);
    columns
}

#[cfg(all(test, feature = "fft"))]
mod tests {
    use super::*;
    use crate::pass::{Join, Multiply, PAIRS, Pair, Unpack};
    use crate::plan::Stage;
    use crate::simd::Level;

    fn plan(kernel: &Kernel, level: Level) -> Fft {
        let filter = Filter::new(kernel.clone()).method(Method::Fft).level(level);
        let plan = filter.plan::<u8, u8>(Shape::new(40, 30, 1)).unwrap();
        match &plan.segments[0].stages[0] {
            Stage::Filter(stage) => match &stage.pass {
                Pass::Fft(fft) => (**fft).clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// How far the sums of a block, on their way to be rounded, are from whole numbers, at most.
    fn distance(fft: &Fft, level: Level, sample: impl Fn(usize, usize) -> u8) -> f64 {
        let [across, down] = fft.samples;
        let mut scratch =
            vec![[0.0; 2]; fft.transforms.iter().map(Transform::scratch).max().unwrap()];
        let mut columns = vec![[0.0; 2]; (across / 2 + 1) * down];
        let mut rows = vec![[0.0; 2]; PAIRS * across];
        for first in (0..down).step_by(2 * PAIRS) {
            for (p, out) in rows.chunks_exact_mut(across).enumerate() {
                let row = |y: usize| (0..across).map(|x| sample(x, y)).collect::<Vec<_>>();
                let (a, b) = (&row(first + 2 * p)[..], &row(first + 2 * p + 1)[..]);
                level.run(Pair { a, b, digit: fft.digits[0], out });
            }
            fft.transforms[0].forward(&mut rows, &mut scratch);
            level.run(Unpack { rows: &rows, columns: &mut columns, pitch: down, first });
        }
        fft.transforms[1].forward(&mut columns, &mut scratch);
        level.run(Multiply { data: &mut columns, by: &fft.spectrum });
        fft.transforms[1].inverse(&mut columns, &mut scratch);
        let mut most: f64 = 0.0;
        for first in (0..fft.results[1]).step_by(2 * PAIRS) {
            level.run(Join { columns: &columns, pitch: down, first, rows: &mut rows });
            fft.transforms[0].inverse(&mut rows, &mut scratch);
            for v in rows.iter().flatten() {
                most = most.max((v - v.round()).abs());
            }
        }
        most
    }

    /// On images that make sums large: by the sign of taps, in phase with single waves, and noise.
    #[test]
    fn sums_are_next_to_whole_numbers() {
        let wave = |i: usize| ((i * i) as f64 * 0.7).sin();
        for (width, height) in [(7, 5), (31, 31), (63, 40), (100, 127)] {
            let taps: Vec<f64> = (0..width * height).map(|i| wave(i) + 0.1).collect();
            let kernel = Kernel::new(width, height, taps).unwrap().normalized();
            for level in Level::available() {
                let fft = plan(&kernel, level);
                let [across, down] = fft.samples;
                let tap = |x: usize, y: usize| kernel.tap(x % width, y % height);
                let mut random = 1u32;
                let noise: Vec<u8> = (0..across * down)
                    .map(|_| {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if random >> 31 == 1 { 255 } else { 0 }
                    })
                    .collect();
                let pictures: [&dyn Fn(usize, usize) -> u8; 5] = [
                    &|_, _| 0,
                    &|x, y| if tap(x, y) > 0.0 { 255 } else { 0 },
                    &|x, y| if (x + y) % 2 == 0 { 255 } else { 0 },
                    &|x, _| if x % 7 < 3 { 255 } else { 0 },
                    &|x, y| noise[y * across + x],
                ];
                for picture in pictures {
                    let most = distance(&fft, level, picture);
                    assert!(most < NEAR / 300.0, "{width}×{height}, {level}: {most:e}");
                    println!("{width}×{height} {level} {across}×{down}: {most:e}");
                }
            }
        }
    }

    /// The bound counts each length's factors.
    #[test]
    fn lengths_are_products_of_2_and_3() {
        for (n, _) in LENGTHS {
            let mut rest = n;
            while rest % 2 == 0 {
                rest /= 2;
            }
            while rest % 3 == 0 {
                rest /= 3;
            }
            assert_eq!((rest, n % (2 * PAIRS)), (1, 0), "{n}");
        }
    }
}
