//! Kernels with many equal taps or zeros: discs, rings, polygons, lines of motion. Zeros are not read, and runs of equal
//! taps take few reads.
//!
//! Integers: sums are kept from row to row, and what changes between two windows is added: Σ (t_(j−1) − t_j)·s_j, over
//! the rows j of both windows. A column of the kernel takes a read for each place where its taps change. If fewer
//! taps than that are not 0, each row begins anew. Taps are whole multiples of 2^−b of the most frequent one. All of it
//! wraps in 32 bits; only the result must fit. What the multiples' sum is off by is made up for in the factor at the end,
//! so that means stay means.
//!
//! Floats: means of 2, 4, 8 … neighbours, of which a run takes one for each binary digit of its length. Running sums
//! would let NaN out of the window, and small samples vanish beside large ones.

use super::arithmetic::{Arithmetic, Choice, Noise, Proved, Spec, U, float_exact, noise, pack};
use super::{Operations, Pass};
use crate::kernel::Kernel;
use crate::pass::{Finish, Fixed, Read, Taps};
use crate::sample::SampleType;

/// A kernel as reads of sums.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Runs {
    pub sums: Sums,
    pub reads: Vec<Read>,
    /// Of floats, where the reads end that are summed before they join the total.
    pub groups: Vec<usize>,
    /// A tap for each read, or for each two.
    pub taps: Taps,
    /// Reads whose taps are not 0.
    count: usize,
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sums {
    /// Integers, for sums that are kept from row to row: row 0 is the one above the window.
    Kept,
    /// Integers.
    Plain,
    /// Floats, and of them means of 2, 4, 8 … neighbours: so many levels.
    Doubled(usize),
}

/// Taps that differ by no more than this share of themselves are equal: their sum was made exact.
const EQUAL: f64 = 1e-9;
/// Bits of a fraction of the most frequent tap.
const MOST_BITS: i32 = 16;
/// The largest multiple, and difference of two, that a tap of 16 bits holds.
const MOST_TAP: f64 = 32767.0;
/// Reads in a group of float sums, at least.
const GROUP: usize = 16;
/// What a read takes, and a sample besides, in nanoseconds (AMD Zen 4, one thread, 2026-11-29): of bytes, of 16 bits, and
/// of floats.
const COST: [(f64, f64); 3] = [(0.022, 0.15), (0.05, 0.2), (0.06, 0.23)];
/// What means of two take for a sample.
const MEANS: f64 = 0.4;
/// A read of bytes as floats takes so many times as long as one of bytes.
const FLOATS: usize = 2;

/// The reads of a filter's kernel, the cheapest that keep the contract, and what they take for a sample, in nanoseconds.
pub(super) fn runs(spec: &Spec<'_>) -> Option<(f64, Choice)> {
    let [kernel] = spec.filter.kernels() else { return None };
    if spec.precise {
        return None;
    }
    let whole = !spec.float_source() && !spec.prepared() && !spec.chained;
    let mut found = if whole { integers(spec, kernel) } else { None };
    let bytes = spec.source == SampleType::U8;
    let most = found.as_ref().map(|(runs, ..)| runs.count / if bytes { FLOATS } else { 1 });
    if let Some(other) = doubled(spec, kernel, most.unwrap_or(usize::MAX)) {
        found = Some(other);
    }
    let (runs, arithmetic, finish) = found?;
    let cost = runs.cost(if whole { spec.source } else { SampleType::F32 });
    Some((cost, (Pass::Runs(Box::new(runs)), arithmetic, finish)))
}

/// The reads of the first filter of a chain, which are of bytes, and what they take for a sample.
pub(super) fn first(spec: &Spec<'_>) -> Option<(f64, Choice)> {
    let [kernel] = spec.filter.kernels() else { return None };
    let (runs, arithmetic, finish) = integers(spec, kernel)?;
    let cost = runs.cost(spec.source);
    Some((cost, (Pass::Runs(Box::new(runs)), arithmetic, finish)))
}

impl Runs {
    /// What it takes for a sample of that type, in nanoseconds.
    pub fn cost(&self, source: SampleType) -> f64 {
        let (read, more) = COST[match source {
            SampleType::U8 => 0,
            SampleType::U16 => 1,
            _ => 2,
        }];
        let means = if let Sums::Doubled(levels) = self.sums { levels - 1 } else { 0 };
        self.count as f64 * read + more + means as f64 * MEANS
    }

    /// Multiplications per sample.
    pub fn multiplications(&self) -> usize {
        self.count
    }

    /// The same as they are executed, with what fills up pairs, and the unit of sums; or with means and the sums of groups.
    pub fn operations(&self) -> Operations {
        let reads = Operations::products(self.reads.len() as f64);
        reads
            + match self.sums {
                Sums::Kept | Sums::Plain => Operations::new(1.0, 0.0),
                Sums::Doubled(levels) => {
                    let means = (levels - 1) as f64;
                    Operations::new(2.0 * means, means + self.groups.len() as f64)
                }
            }
    }

    pub fn describe(&self) -> [String; 2] {
        let first = match self.sums {
            Sums::Kept => "sums: kept from row to row".to_owned(),
            Sums::Plain => "copy: each row once".to_owned(),
            Sums::Doubled(1) => "widen: each row once".to_owned(),
            Sums::Doubled(levels) => {
                format!("means of up to {} neighbours: each row once", 1 << (levels - 1))
            }
        };
        [first, format!("sparse pass: {} reads", self.count)]
    }
}

/// The tap that most taps are equal to, of those that are not 0; the largest of several.
fn most_frequent(kernel: &Kernel) -> Option<f64> {
    let mut taps: Vec<f64> = kernel.taps().iter().copied().filter(|t| *t != 0.0).collect();
    taps.sort_unstable_by(f64::total_cmp);
    let runs = taps.chunk_by(|a, b| equal(*a, *b));
    let most = runs.max_by_key(|run| run.len())?;
    Some(most[most.len() / 2])
}

fn equal(a: f64, b: f64) -> bool {
    (a - b).abs() <= EQUAL * a.abs().max(b.abs())
}

/// Taps as whole multiples of a unit.
struct Multiples {
    q: Vec<f64>,
    unit: f64,
    /// Σ|q|.
    size: f64,
    /// What is to be read: the multiples, or how they change from row to row, of which row 0 is above the window.
    read: Vec<f64>,
    sums: Sums,
}

impl Multiples {
    /// With as many bits as are needed, or as fit: samples are at most `furthest` from the middle.
    fn new(kernel: &Kernel, furthest: f64, paired: bool) -> Option<Self> {
        let most_frequent = most_frequent(kernel)?;
        let (taps, width) = (kernel.taps(), kernel.width());
        (0..=MOST_BITS).find_map(|bits| {
            let unit = most_frequent / f64::from(bits).exp2();
            let q: Vec<f64> = taps.iter().map(|t| (t / unit).round()).collect();
            let size: f64 = q.iter().map(|q| q.abs()).sum();
            let changes = changes(&q, width);
            let most = changes.iter().chain(&q).fold(0.0, |most: f64, q| most.max(q.abs()));
            let fits = |times: f64| {
                size * times * furthest < 2f64.powi(31)
                    && !(paired && (most + 1.0) * times > MOST_TAP)
            };
            if !fits(1.0) {
                return None;
            }
            // Good enough, or as good as can be.
            let off: f64 = taps.iter().zip(&q).map(|(t, q)| (t - q * unit).abs()).sum();
            let last = bits == MOST_BITS || !fits(2.0);
            (off <= EQUAL * kernel.abs_sum() || last).then(|| {
                let count = |q: &[f64]| q.iter().filter(|q| **q != 0.0).count();
                let kept = count(&changes) < count(&q);
                let (read, sums) =
                    if kept { (changes, Sums::Kept) } else { (q.clone(), Sums::Plain) };
                Self { q, unit, size, read, sums }
            })
        })
    }

    /// The reads, an even number of each row where they are taken in pairs; their taps; and how many of these are not 0.
    fn reads(&self, width: usize, paired: bool) -> (Vec<Read>, Taps, usize) {
        let (mut reads, mut taps, mut count) = (Vec::new(), Vec::new(), 0);
        for (row, all) in self.read.chunks_exact(width).enumerate() {
            for (column, tap) in all.iter().enumerate().filter(|(_, tap)| **tap != 0.0) {
                reads.push(Read { row: row as u32, column: column as u32, level: 0 });
                taps.push(*tap);
                count += 1;
            }
            if paired && taps.len() % 2 == 1 {
                reads.extend(reads.last().copied());
                taps.push(0.0);
            }
        }
        let packed = if paired { pack(&taps) } else { taps.iter().map(|t| *t as i32).collect() };
        (reads, Taps::I32(packed), count)
    }
}

/// What is added to a kernel's sums as it moves down by a row: t_(j−1) − t_j for each row j of both windows.
fn changes(q: &[f64], width: usize) -> Vec<f64> {
    let none = vec![0.0; width];
    let above = none.iter().chain(q);
    above.zip(q.iter().chain(&none)).map(|(above, here)| above - here).collect()
}

/// Reads of integers.
fn integers(spec: &Spec<'_>, kernel: &Kernel) -> Option<(Runs, Proved, Finish)> {
    let (scale, range) = (spec.filter.get_scale(), spec.range());
    let paired = spec.source == SampleType::U8;
    // Sums are those of samples less mid-grey, which halves their range; unless results show all their digits.
    let middle = if spec.float_output() { 0.0 } else { (range / 2.0).floor() };
    let multiples = Multiples::new(kernel, range - middle, paired)?;
    let Multiples { q, unit, size, .. } = &multiples;
    let sum: f64 = q.iter().sum();
    // The factor that keeps the sum of the taps, if they do not cancel.
    let kept = kernel.sum() / sum;
    let factor = if (kept / unit - 1.0).abs() < 1e-3 { kept } else { *unit };
    let factor = f64::from((factor * scale) as f32);
    let mut finish = spec.finish();
    finish.offset = spec.offset() + middle * sum * factor;
    let start = -(middle * sum);
    let value = range * size * factor.abs() + finish.offset.abs() + 1.0;
    if !(start.abs() < 2f64.powi(31) && value < 1e30) {
        return None;
    }
    finish.fixed[0] = Fixed { start: start as i32, unit: factor as f32, ..Fixed::default() };
    let (mut gain, mut each, mut squares) = (0.0, 0.0, 0.0);
    for (tap, q) in kernel.taps().iter().zip(q) {
        let off = q * factor - tap * scale;
        (gain, each, squares) = (gain + off, each + off.abs(), squares + off * off);
    }
    // Floats show what multiples of few bits leave out.
    if spec.float_output() && each > 4.0 * U * kernel.abs_sum() * scale.abs() {
        return None;
    }
    // Nothing is rounded where the factor is a power of two and all sums are short.
    let exact = each == 0.0
        && factor.abs().log2().fract() == 0.0
        && float_exact(spec, &[factor], size * factor.abs().max(1.0));
    // The sum, the product, the offset and the ½ are rounded.
    let bound = if exact { 0.0 } else { range / 2.0 * (each + gain.abs()) + 5.0 * U * value };
    let mut arithmetic =
        spec.arithmetic(if paired { Arithmetic::I16Pairs } else { Arithmetic::I32 }, bound);
    arithmetic.peak = size * (range - middle);
    if !exact {
        let rounded = (0.0, noise::roundings(4, value));
        arithmetic.noise = Noise::new(gain, squares, (0.0, range), rounded);
    }
    let (reads, taps, count) = multiples.reads(kernel.width(), paired);
    let runs = Runs { sums: multiples.sums, reads, groups: Vec::new(), taps, count };
    spec.takes(&arithmetic).then_some((runs, arithmetic, finish))
}

/// Reads of samples, and of means of 2, 4, 8 … neighbours, in `f32`: fewer than `most`.
fn doubled(spec: &Spec<'_>, kernel: &Kernel, most: usize) -> Option<(Runs, Proved, Finish)> {
    let scale = spec.filter.get_scale();
    let scaled: Vec<f64> = kernel.taps().iter().map(|t| t * scale).collect();
    let (mut reads, mut groups, mut taps) = (Vec::new(), Vec::new(), Vec::new());
    let (mut levels, mut longest) = (1, 0);
    for (row, all) in scaled.chunks_exact(kernel.width()).enumerate() {
        let (mut column, mut rest) = (0, all);
        while let Some(first) = rest.first() {
            // All are equal to the first: neighbours might be, and the last be far off.
            let (run, behind) =
                rest.split_at(rest.iter().take_while(|t| equal(*first, **t)).count());
            rest = behind;
            let (mut at, mut left) = (column, if run[0] == 0.0 { 0 } else { run.len() });
            column += run.len();
            while left > 0 {
                let level = left.ilog2();
                reads.push(Read { row: row as u32, column: at as u32, level });
                taps.push((run[0] * f64::from(level).exp2()) as f32);
                levels = levels.max(level as usize + 1);
                (at, left) = (at + (1 << level), left - (1 << level));
            }
        }
        let group = reads.len() - groups.last().unwrap_or(&0);
        if group >= GROUP || row + 1 == kernel.height() {
            groups.push(reads.len());
            longest = longest.max(group);
        }
        if reads.len() >= most {
            return None;
        }
    }
    let sum: f64 = scaled.iter().map(|t| t.abs()).sum();
    let range = spec.range();
    let value = range * sum + spec.offset().abs() + 1.0;
    if value > 1e30 {
        return None;
    }
    let single = |t: &f64| f64::from(*t as f32) == *t;
    // Means of whole numbers have a binary digit more for each level.
    let exact = spec.carried(1.0) == 0.0
        && range * (levels as f64).exp2() <= 2f64.powi(24)
        && scaled.iter().all(single)
        && float_exact(spec, &scaled, sum * (levels as f64).exp2());
    let bound = if exact {
        0.0
    } else {
        // A sample goes through the means, is multiplied with a tap that was rounded, and goes through the sums of its
        // group and of all groups; then comes the offset.
        let roundings = levels + 2 + longest + groups.len();
        range * sum * (U * roundings as f64 * (1.0 + 1e-4) + EQUAL)
            + 2.0 * U * value
            + spec.carried(sum)
    };
    let mut arithmetic = spec.arithmetic(spec.float_arithmetic(), bound);
    if bound > 0.0 {
        let (gain, squares) = noise::errors_and_squares(&scaled, &noise::single(&scaled), 1.0);
        let variance = noise::roundings(reads.len() + levels, value);
        arithmetic.noise = Noise::new(gain, squares, (0.0, range), (0.0, variance));
    }
    let (count, sums, taps) = (reads.len(), Sums::Doubled(levels), Taps::F32(taps));
    let runs = Runs { sums, reads, groups, taps, count };
    spec.takes(&arithmetic).then(|| (runs, arithmetic, spec.finish()))
}
