//! Kernels of 3×3 taps in one pass: what is on its way from the samples of three rows to a result stays in
//! registers. What the sums are, of which samples, say `bytes`, `words`, `wide` and `floats`; this is their walk over a
//! block of rows, column by column of vectors.

mod bytes;
mod floats;
mod wide;
mod words;

use super::{Finish, LINE, OutRow, alike};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, prefetch_line};
use std::array::from_fn;
use std::ops::Range;

/// Output rows of a block, at most.
pub const STENCIL_ROWS: usize = 8;

/// Rows of the source whose sums with a product's row a block makes, for each that it writes.
pub(super) const ROWS_EACH: f64 = (STENCIL_ROWS + 2) as f64 / STENCIL_ROWS as f64;

/// The taps of a 3×3 kernel.
#[derive(Debug, Clone, PartialEq)]
pub enum Nine {
    /// A column times a row.
    Product {
        /// From top to bottom.
        column: [i16; 3],
        /// From left to right.
        row: [i16; 3],
    },
    /// Row by row.
    Rows([[i16; 3]; 3]),
    /// Row by row, in units whose products are rounded. Of bytes the unit is 2^−[`ROUNDED_BITS`]: 128 is taken from
    /// samples, and their products with taps are rounded down. Of rows of 16 bits it is 2⁻¹⁵.
    Rounded([[i16; 3]; 3]),
    /// A column times a row in units of 2⁻¹⁵, of rows of 16 bits. All products are rounded.
    RoundedProduct {
        /// From top to bottom.
        column: [i16; 3],
        /// From left to right.
        row: [i16; 3],
    },
    /// Row by row, of floats.
    Floats([[f32; 3]; 3]),
    /// A column times a row, of floats: rows are summed first.
    FloatProduct {
        /// From top to bottom.
        column: [f32; 3],
        /// From left to right.
        row: [f32; 3],
    },
}

/// Fraction bits of the taps of [`Nine::Rounded`] for bytes.
pub const ROUNDED_BITS: u32 = 8;

impl Nine {
    /// A column and a row of three taps each; `None` if they are longer or shorter.
    #[must_use]
    pub fn product(column: &[i16], row: &[i16]) -> Option<Self> {
        Some(Self::Product { column: column.try_into().ok()?, row: row.try_into().ok()? })
    }

    /// [`product`](Self::product) for taps in units of 2⁻¹⁵.
    #[must_use]
    pub fn rounded_product(column: &[i16], row: &[i16]) -> Option<Self> {
        Some(Self::RoundedProduct { column: column.try_into().ok()?, row: row.try_into().ok()? })
    }

    /// Three rows of three taps; `None` if there are more or fewer.
    #[must_use]
    pub fn rows(taps: &[i16]) -> Option<Self> {
        let (rows, rest) = taps.as_chunks::<3>();
        rows.try_into().ok().filter(|_| rest.is_empty()).map(Self::Rows)
    }

    /// [`rows`](Self::rows) for taps whose products are rounded.
    #[must_use]
    pub fn rounded(taps: &[i16]) -> Option<Self> {
        match Self::rows(taps) {
            Some(Self::Rows(rows)) => Some(Self::Rounded(rows)),
            _ => None,
        }
    }

    /// [`rows`](Self::rows) of floats.
    #[must_use]
    pub fn floats(taps: &[f32]) -> Option<Self> {
        let (rows, rest) = taps.as_chunks::<3>();
        rows.try_into().ok().filter(|_| rest.is_empty()).map(Self::Floats)
    }

    /// [`product`](Self::product) of floats.
    #[must_use]
    pub fn float_product(column: &[f32], row: &[f32]) -> Option<Self> {
        Some(Self::FloatProduct { column: column.try_into().ok()?, row: row.try_into().ok()? })
    }

    /// Whether its taps are floats.
    fn is_float(&self) -> bool {
        matches!(self, Self::Floats(_) | Self::FloatProduct { .. })
    }

    /// Whether it is a product of a column and a row.
    #[must_use]
    pub fn is_product(&self) -> bool {
        matches!(
            self,
            Self::Product { .. } | Self::RoundedProduct { .. } | Self::FloatProduct { .. }
        )
    }

    /// A column of 1 2 1, or of 1 1 1, times a row, if three rows of three taps are that.
    #[must_use]
    pub fn of_equal_rows(taps: &[i16]) -> Option<Self> {
        let Some(Self::Rows([top, middle, bottom])) = Self::rows(taps) else { return None };
        let twice = top.map(|t| t.checked_mul(2)) == middle.map(Some);
        let column = if twice { [1, 2, 1] } else { [1, 1, 1] };
        let equal = top == bottom && (twice || top == middle);
        equal.then_some(Self::Product { column, row: top })
    }

    /// Multiplications and additions for a sample of each of these kernels, on such rows.
    pub fn operations(kernels: &[Self], rows: SampleType) -> [f64; 2] {
        let down = match kernels.iter().map(Self::column).max() {
            // Two sums of each row, one of which begins a result and ends another. Of words both ends are added first.
            Some(MIRRORED) if kernels.len() == 1 && rows == SampleType::I16 => {
                return [4.0 * ROWS_EACH, 3.0 * ROWS_EACH + 3.0];
            }
            Some(MIRRORED) if kernels.len() == 1 && rows == SampleType::U8 => {
                return [6.0 * ROWS_EACH, 4.0 * ROWS_EACH + 3.0];
            }
            Some(MIRRORED | ROWS) => return [9.0, 9.0],
            Some(TWICE | ONES) if kernels.len() == 1 => [0.0, 2.0],
            Some(TWICE | ONES | SIGNED) => [1.0, 3.0],
            _ => [3.0, 3.0],
        };
        [3.0 * ROWS_EACH + down[0], 2.0 * ROWS_EACH + down[1]]
    }

    /// The sum of all taps.
    fn sum(&self) -> i32 {
        let sum = |taps: &[i16]| taps.iter().map(|&tap| i32::from(tap)).sum::<i32>();
        match self {
            Self::Product { column, row } | Self::RoundedProduct { column, row } => {
                sum(column) * sum(row)
            }
            Self::Rows(rows) | Self::Rounded(rows) => sum(rows.as_flattened()),
            Self::Floats(_) | Self::FloatProduct { .. } => unreachable!("these are no integers"),
        }
    }

    /// The kernel's rows, or the row of a product.
    #[inline(always)]
    fn across(&self) -> [[i16; 3]; 3] {
        match self {
            Self::Product { row, .. } | Self::RoundedProduct { row, .. } => [*row; 3],
            Self::Rows(rows) | Self::Rounded(rows) => *rows,
            Self::Floats(_) | Self::FloatProduct { .. } => unreachable!("these are no integers"),
        }
    }

    /// A product's column: [`TWICE`], [`ONES`], [`SIGNED`] or [`ANY`]; or [`MIRRORED`] or [`ROWS`].
    fn column(&self) -> u8 {
        match self {
            Self::Rows([top, middle, bottom])
                if top == bottom && [top, middle].iter().all(|row| row[0] == row[2]) =>
            {
                MIRRORED
            }
            Self::Rows(_) | Self::Rounded(_) | Self::Floats(_) => ROWS,
            Self::Product { column: [1, 2, 1], .. } => TWICE,
            Self::Product { column: [1, 1, 1], .. } => ONES,
            Self::Product { column: [-1 | 1, _, 1], .. } => SIGNED,
            Self::Product { .. } | Self::RoundedProduct { .. } | Self::FloatProduct { .. } => ANY,
        }
    }
}

/// The columns of products.
/// 1, 2 and 1: the sum of two neighbours' sums.
const TWICE: u8 = 0;
/// All 1: a sum that moves.
const ONES: u8 = 1;
/// The last 1, the first 1 or −1.
const SIGNED: u8 = 2;
/// Others too.
const ANY: u8 = 3;
/// No product: three rows of taps, which are the same from the right and from below.
const MIRRORED: u8 = 4;
/// Any three rows.
const ROWS: u8 = 5;

/// `outs[r][x] = finish(Σ_j Σ_i taps[j][i] · rows[r + j][x + i·step])`, j and i from 0 to 2, for one
/// kernel or (M = 2) the two of a magnitude.
pub struct Stencil<'a, 'o, T, const M: usize> {
    /// Two more than `outs`; element i·step lies under tap i of the first output sample. Each has
    /// n + 2·step samples, or if n is less than 2·`MAX_LANES`, as many as if it were that.
    pub rows: &'a [&'a [T]],
    /// All of one kind.
    pub kernels: [&'a Nine; M],
    /// Samples from one tap to the next: channels.
    pub step: usize,
    /// Whether multiply-adds of floats are fused, where the level has that.
    pub fused: bool,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way, for each output row; a sample for each that is written, or none.
    pub next: &'a [&'a [u8]],
    /// Exactly the samples to write; at most [`STENCIL_ROWS`] rows of one length n.
    pub outs: &'a mut [OutRow<'o>],
}

/// Samples that a [`Stencil`] reads.
pub trait StencilSample: Sized + Copy {
    /// Runs it with the sums that its kernels have.
    fn run<L: Lanes, const M: usize>(stencil: Stencil<'_, '_, Self, M>, l: L);
}

impl<T: StencilSample, const M: usize> Job for Stencil<'_, '_, T, M> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        T::run(self, l);
    }
}

/// Whether results are samples of 8 bits, or of 16 with a sign.
fn writes_narrow(outs: &[OutRow<'_>]) -> bool {
    outs.iter().all(|out| matches!(out.sample(), SampleType::U8 | SampleType::I16))
}

/// Sums of some samples with nine taps, or with the row of a product and then its column.
trait Sums {
    /// What rows hold.
    type Read: Copy;
    /// The column of products: [`TWICE`], [`ONES`] or others; or [`MIRRORED`] or [`ROWS`].
    const COLUMN: u8;
    /// A kernel's taps in all lanes, and what its sums start with.
    type Taps<L: Lanes>: Copy;
    /// Samples of a row under three taps.
    type Under<L: Lanes>: Copy;
    /// Sums of a row, or of results.
    type Sum<L: Lanes>: Copy;

    /// Samples in a vector.
    fn lanes<L: Lanes>() -> usize;
    /// The taps of a kernel whose sums start with `start`.
    fn taps<L: Lanes>(l: L, kernel: &Nine, start: i32) -> Self::Taps<L>;
    /// What results start with, and a product's sums of a row. Results of a column of [`TWICE`] have nothing
    /// but those sums.
    fn starts<L: Lanes>(taps: &Self::Taps<L>) -> [Self::Sum<L>; 2];
    /// # Safety
    ///
    /// `p` must be good for 2·step + `lanes` samples.
    unsafe fn under<L: Lanes>(l: L, p: *const Self::Read, step: usize) -> Self::Under<L>;
    /// `acc` + the sum with row j of the taps, or a product's row.
    fn across<L: Lanes>(
        l: L,
        acc: Self::Sum<L>,
        under: Self::Under<L>,
        taps: &Self::Taps<L>,
        j: usize,
    ) -> Self::Sum<L>;
    /// The sum of three rows' sums with a product's column, if it is neither of ones nor [`TWICE`].
    fn down<L: Lanes>(l: L, three: [Self::Sum<L>; 3], taps: &Self::Taps<L>) -> Self::Sum<L>;
    fn add<L: Lanes>(l: L, a: Self::Sum<L>, b: Self::Sum<L>) -> Self::Sum<L>;
    fn sub<L: Lanes>(l: L, a: Self::Sum<L>, b: Self::Sum<L>) -> Self::Sum<L>;
    /// Writes results.
    ///
    /// # Safety
    ///
    /// `p` must be good for `lanes` samples; to stream, a multiple of a vector's size.
    unsafe fn store<L: Lanes, const M: usize>(
        l: L,
        sums: [Self::Sum<L>; M],
        finish: &Finish,
        how: Store,
        p: *mut u8,
    );
}

/// Three taps in all lanes, for sums of 16 bits.
#[derive(Clone, Copy)]
struct Triple<L: Lanes> {
    each: [L::H; 3],
    /// All bits set if the first is −1, none if it is 1.
    flip: L::H,
}

impl<L: Lanes> Triple<L> {
    #[inline(always)]
    fn new(l: L, [a, b, c]: [i16; 3]) -> Self {
        let flip = l.h_splat(if a == -1 { -1 } else { 0 });
        Self { each: [l.h_splat(a), l.h_splat(b), l.h_splat(c)], flip }
    }

    /// a·t₀ + b·t₁ + c·t₂; if the `COLUMN` is [`SIGNED`] and t₀ is −1, 1 less.
    #[inline(always)]
    fn sum<const COLUMN: u8>(&self, l: L, [a, b, c]: [L::H; 3]) -> L::H {
        let middle = l.h_mul(b, self.each[1]);
        let outer = match COLUMN {
            SIGNED => l.h_add(l.h_xor(a, self.flip), c),
            _ => l.h_add(l.h_mul(a, self.each[0]), l.h_mul(c, self.each[2])),
        };
        l.h_add(outer, middle)
    }

    /// The same of taps whose last is the first.
    #[inline(always)]
    fn mirrored(&self, l: L, [a, b, c]: [L::H; 3]) -> L::H {
        l.h_add(l.h_mul(l.h_add(a, c), self.each[0]), l.h_mul(b, self.each[1]))
    }

    /// [`sum`](Self::sum) of products that are rounded to units of 2¹⁵.
    #[inline(always)]
    fn rounded(&self, l: L, [a, b, c]: [L::H; 3]) -> L::H {
        let [p, q, r] = self.each;
        let outer = l.h_add(l.h_mul_high(a, p), l.h_mul_high(c, r));
        l.h_add(outer, l.h_mul_high(b, q))
    }
}

/// What results of a kernel start with besides `start`, so that [`Triple::sum`] is right: 1 for a first tap of −1.
fn taken_back(kernel: &Nine, signed: bool) -> i32 {
    let Nine::Product { column: [first, ..], .. } = kernel else { return 0 };
    i32::from(signed && *first == -1)
}

/// How results are written.
#[derive(Clone, Copy)]
struct Store {
    sample: SampleType,
    /// Past the cache.
    stream: bool,
    /// As bytes, not past the cache: the usual case is one question for each vector, not two.
    plain: bool,
}

impl<T: Copy, const M: usize> Stencil<'_, '_, T, M> {
    /// All vectors of the block.
    #[inline(always)]
    fn lines<L: Lanes, S: Sums<Read = T>>(self, l: L) {
        let Self { rows, kernels, step, finish, stream, next, outs, .. } = self;
        let mut taps = [S::taps(l, kernels[0], finish.fixed[0].start); M];
        if M == 2 {
            taps[M - 1] = S::taps(l, kernels[M - 1], finish.fixed[M - 1].start);
        }
        let mut whole = None;
        let lines = Lines::new(rows, outs, next, (S::lanes::<L>(), step), &mut whole);
        let first = [rows[0].as_ptr(), rows[1].as_ptr()];
        let (rows, sample) = (&lines.rows[..outs.len()], lines.sample);
        let block = Block::<L, S, M> { first, lines: rows, step, taps, finish: *finish, sample };
        let mut x = 0;
        while x < lines.end {
            let at = x.min(lines.end - lines.lanes);
            // SAFETY: `run` reads 2·step + `lanes` samples of each row and writes `lanes` of each output, from
            // `at` ≤ end − `lanes` on. Rows shorter than a vector go on that far, and write to `whole`,
            // which has room for a vector of any samples. What is streamed follows a multiple of a line.
            unsafe { block.run(l, at, stream && lines.apart(at)) }
            x = lines.after(x);
        }
        for (out, whole) in outs.iter_mut().zip(whole.iter().flatten()) {
            out.copy_from(whole);
        }
    }
}

/// A row of a block.
#[derive(Clone, Copy)]
struct Line<T> {
    /// The row under the last taps.
    from: *const T,
    to: *mut u8,
    /// Memory to ask for.
    next: *const u8,
}

/// Room for a vector of each row, of samples of any type.
type Whole = [[u32; MAX_LANES]; STENCIL_ROWS];

/// The rows of a block, and where its vectors lie: the same for all sums.
struct Lines<T> {
    rows: [Line<T>; STENCIL_ROWS],
    /// Of what is written.
    sample: SampleType,
    /// Samples in a vector.
    lanes: usize,
    /// Samples of a row, or of a vector if those are more.
    end: usize,
    /// The first sample of the first line of the cache, in all rows. What comes before it is written as it lies.
    first: usize,
    /// Vectors that begin and end in here touch no line that another one touches, too.
    inside: Range<usize>,
    /// There are no others.
    lone: bool,
}

impl<T: Copy> Lines<T> {
    /// Vectors of so many `lanes` for these rows and outputs, with so many samples from a tap to the next. Outputs that
    /// are shorter than a vector are written to `whole`.
    #[inline(never)]
    fn new(
        rows: &[&[T]],
        outs: &mut [OutRow<'_>],
        next: &[&[u8]],
        (lanes, step): (usize, usize),
        whole: &mut Option<Whole>,
    ) -> Self {
        let (count, (sample, n)) = (outs.len(), alike(outs));
        let (bytes, end) = (sample.bytes(), n.max(lanes));
        assert!(count <= STENCIL_ROWS && rows.len() == count + 2);
        assert!(rows.iter().all(|row| row.len() >= end + 2 * step));
        // Where there is nothing to ask for, what is in the first cache anyway is asked for again.
        let mut lines = from_fn(|r| {
            let from = rows.get(r + 2).map_or(std::ptr::null(), |row| row.as_ptr());
            let next = next.get(r).filter(|next| next.len() >= n * size_of::<T>());
            let to = outs.get_mut(r).map_or(std::ptr::null_mut(), |out| out.as_mut_ptr());
            Line { from, to, next: next.map_or(from.cast(), |next| next.as_ptr()) }
        });
        if n < lanes {
            let whole = whole.insert([[0; MAX_LANES]; STENCIL_ROWS]);
            for (line, whole) in lines.iter_mut().zip(whole) {
                line.to = whole.as_mut_ptr().cast();
            }
        }
        // Lines of the cache are written best whole, and must be to go past it.
        let misfit = |line: &Line<T>| line.to.addr().wrapping_neg() % LINE;
        let alike = lines[..count].iter().all(|line| misfit(line) == misfit(&lines[0]));
        let misfit = misfit(&lines[0]);
        let aligns = n >= lanes && alike && misfit.is_multiple_of(bytes);
        let first = if aligns { misfit / bytes } else { 0 };
        // No other vector may touch a line that is streamed: not those before the first line, which reach into
        // it, and not the last of all, which overlaps the one before.
        let line = LINE / bytes;
        let until = first + end.saturating_sub(lanes + first) / line * line;
        let inside = if aligns { first + lanes.max(line)..until } else { 0..0 };
        let lone = aligns && first == 0 && end.is_multiple_of(lanes.max(line));
        Self { rows: lines, sample, lanes, end, first, inside, lone }
    }

    /// Whether the vector from sample x on may go past the cache.
    #[inline(always)]
    fn apart(&self, x: usize) -> bool {
        self.lone || x >= self.inside.start && x + self.lanes <= self.inside.end
    }

    /// Where the vector begins that follows the one from x on.
    #[inline(always)]
    fn after(&self, x: usize) -> usize {
        if x < self.first { self.first.min(x + self.lanes) } else { x + self.lanes }
    }
}

/// What the vectors of a block share.
struct Block<'a, L: Lanes, S: Sums, const M: usize> {
    /// The rows above.
    first: [*const S::Read; 2],
    lines: &'a [Line<S::Read>],
    step: usize,
    /// Of each kernel.
    taps: [S::Taps<L>; M],
    /// A copy, as in [`Dense`](super::Dense).
    finish: Finish,
    sample: SampleType,
}

impl<L: Lanes, S: Sums, const M: usize> Block<'_, L, S, M> {
    /// A vector of every output row, from x on.
    ///
    /// # Safety
    ///
    /// Every row must have x + 2·step + `lanes` samples and every output x + `lanes`; to `stream`, the
    /// outputs' places must be multiples of a vector's size.
    #[inline(always)]
    unsafe fn run(&self, l: L, x: usize, stream: bool) {
        let bytes = self.sample.bytes();
        let plain = self.sample == SampleType::U8 && !stream;
        let how = Store { sample: self.sample, stream, plain };
        let [start, zero] = S::starts(&self.taps[0]);
        // What waits for the rows below: a product's sums of the two rows above, or what the next result
        // and the one after it have so far. Of some columns the upper one is the sum of both, and `oldest`
        // is what leaves it next.
        let (mut upper, mut lower, mut oldest) = ([start; M], [start; M], [zero; M]);
        // SAFETY: as promised by the caller.
        unsafe {
            let first = S::under(l, self.first[0].add(x), self.step);
            let second = S::under(l, self.first[1].add(x), self.step);
            for m in 0..M {
                let taps = &self.taps[m];
                let [start, zero] = S::starts(taps);
                if S::COLUMN == ROWS || S::COLUMN == MIRRORED {
                    let top = S::across(l, start, first, taps, 0);
                    upper[m] = S::across(l, top, second, taps, 1);
                    lower[m] = S::across(l, start, second, taps, 0);
                } else {
                    oldest[m] = S::across(l, zero, first, taps, 0);
                    lower[m] = S::across(l, zero, second, taps, 0);
                    upper[m] = match S::COLUMN {
                        TWICE => S::add(l, oldest[m], lower[m]),
                        ONES => S::add(l, S::add(l, start, oldest[m]), lower[m]),
                        _ => oldest[m],
                    };
                }
            }
            for line in self.lines {
                prefetch_line(line.next.wrapping_add(x * size_of::<S::Read>()));
                let under = S::under(l, line.from.add(x), self.step);
                let mut done = [start; M];
                for m in 0..M {
                    let taps = &self.taps[m];
                    let [start, zero] = S::starts(taps);
                    if S::COLUMN == ROWS {
                        done[m] = S::across(l, upper[m], under, taps, 2);
                        upper[m] = S::across(l, lower[m], under, taps, 1);
                        lower[m] = S::across(l, start, under, taps, 0);
                        continue;
                    }
                    let sum = S::across(l, zero, under, taps, 0);
                    if S::COLUMN == MIRRORED {
                        // The row is the last one of a window, and the first of another.
                        done[m] = S::add(l, upper[m], sum);
                        upper[m] = S::across(l, lower[m], under, taps, 1);
                        lower[m] = S::add(l, start, sum);
                        continue;
                    }
                    match S::COLUMN {
                        TWICE => {
                            let pair = S::add(l, lower[m], sum);
                            done[m] = S::add(l, upper[m], pair);
                            upper[m] = pair;
                        }
                        ONES => {
                            done[m] = S::add(l, upper[m], sum);
                            upper[m] = S::sub(l, done[m], oldest[m]);
                            oldest[m] = lower[m];
                        }
                        _ => {
                            done[m] = S::add(l, start, S::down(l, [upper[m], lower[m], sum], taps));
                            upper[m] = lower[m];
                        }
                    }
                    lower[m] = sum;
                }
                S::store(l, done, &self.finish, how, line.to.add(x * bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Post;
    use crate::pass::Fixed;
    use crate::pass::noise::shorts;
    use crate::sample::Sample;
    use crate::simd::Level;

    const LENGTHS: [usize; 10] = [0, 1, 7, 16, 31, 32, 63, 64, 130, 300];

    /// Blocks of one row and of five at every level, of pixels of one channel and of three. Samples are what the
    /// twin makes of those under the taps, wherever in a line they are written, and nothing else is written.
    fn check<T: StencilSample + Sample, O: Sample, const M: usize>(
        of: fn(i16) -> T,
        kernels: [&Nine; M],
        finish: &Finish,
        twin: impl Fn([[i32; 3]; 3]) -> O,
    ) {
        let source: Vec<Vec<T>> = (1..8).map(|seed| shorts(400, seed).map(of).collect()).collect();
        let whole = |v: T| v.to_f64() as i32;
        let fill = O::from_f64(77.0);
        for (n, step, count) in LENGTHS.iter().flat_map(|n| [(*n, 1, 5), (*n, 3, 5), (*n, 1, 1)]) {
            let pitch = (n + 64).next_multiple_of(64);
            let len = n.max(2 * MAX_LANES) + 2 * step;
            let rows: Vec<&[T]> = source[..count + 2].iter().map(|row| &row[..len]).collect();
            let under = |r: usize, x: usize, j: usize, i: usize| whole(rows[r + j][x + i * step]);
            let expected: Vec<O> = (0..count * n)
                .map(|at| twin(from_fn(|j| from_fn(|i| under(at / n, at % n, j, i)))))
                .collect();
            for level in Level::available() {
                for (stream, from) in [(false, 0), (true, 0), (true, 1), (true, 40)] {
                    let fused = from == 0;
                    let mut memory = vec![fill; count * pitch];
                    let outs = memory.chunks_mut(pitch).map(|row| &mut row[from..from + n]);
                    let mut outs: Vec<_> = outs.map(OutRow::new).collect();
                    let (rows, outs) = (&rows[..], &mut outs[..]);
                    let next = &[];
                    level.run(Stencil { rows, kernels, step, fused, finish, stream, next, outs });
                    let case = format!("{kernels:?}, {level}, {n} from {from}, step {step}");
                    for (at, v) in memory.iter().enumerate() {
                        let x = (at % pitch).wrapping_sub(from);
                        let inside = x < n;
                        let right = if inside { expected[at / pitch * n + x] } else { fill };
                        assert!(*v == right, "{case}: {v:?} at {x}, {right:?}");
                    }
                }
            }
        }
    }

    /// The sum with the kernel's taps.
    fn sum(kernel: &Nine, under: [[i32; 3]; 3]) -> i32 {
        let mut sum = 0;
        for (j, i) in (0..9).map(|k| (k / 3, k % 3)) {
            let tap = match kernel {
                Nine::Product { column, row } | Nine::RoundedProduct { column, row } => {
                    i32::from(column[j]) * i32::from(row[i])
                }
                Nine::Rows(rows) | Nine::Rounded(rows) => i32::from(rows[j][i]),
                Nine::Floats(rows) => rows[j][i] as i32,
                Nine::FloatProduct { column, row } => (column[j] * row[i]) as i32,
            };
            sum += tap * under[j][i];
        }
        sum
    }

    /// Products of these columns and rows of taps, and rows of them.
    fn kernels(columns: &[[i16; 3]]) -> Vec<Nine> {
        // So small that two products fit into 16 bits; of 8 bits; longer.
        let rows = [[1, 2, -3], [60, 60, -5], [100, -90, 80], [300, -200, 7]];
        let product = |column: &[i16; 3]| rows.map(|row| Nine::Product { column: *column, row });
        let lone = rows.map(|[a, b, c]| Nine::Rows([[a, b, c], [b, c, 0], [-7, b, a]]));
        let mirrored = rows.map(|[a, b, c]| Nine::Rows([[a, b, a], [c, a, c], [a, b, a]]));
        columns.iter().flat_map(product).chain(lone).chain(mirrored).collect()
    }

    /// No post-step; of absolute values; without a sign.
    fn finishes() -> [Finish; 3] {
        let of = |post, shift, start, unsigned| {
            let fixed = [Fixed { shift, start, unsigned, ..Fixed::default() }; 2];
            Finish { post, fixed, ..Finish::PLAIN }
        };
        [of(Post::None, 2, 0, false), of(Post::Abs, 3, 0, false), of(Post::None, 1, 8, true)]
    }

    /// What 16 bits of a sum, and what they start with, come to.
    fn narrow<O: Sample>(sum: i32, finish: &Finish) -> O {
        let Fixed { shift, start, unsigned, .. } = finish.fixed[0];
        let sum = (sum + start) as i16;
        O::from_f64(f64::from(match finish.post {
            Post::Abs => sum.wrapping_abs().wrapping_add(1 << shift >> 1) >> shift,
            _ if unsigned => (sum.cast_unsigned() >> shift).cast_signed(),
            _ => sum >> shift,
        }))
    }

    #[test]
    fn sums_of_16_bits_are_exact() {
        let columns = [[1, 2, 1], [1, 1, 1], [-1, 0, 1], [1, -4, 1], [3, -2, 5]];
        for (kernel, finish) in
            kernels(&columns).iter().flat_map(|k| finishes().map(|finish| (k, finish)))
        {
            let finish = &finish;
            check::<u8, u8, 1>(|v| v as u8, [kernel], finish, |v| narrow(sum(kernel, v), finish));
            check::<u8, i16, 1>(|v| v as u8, [kernel], finish, |v| narrow(sum(kernel, v), finish));
            check::<i16, u8, 1>(|v| v, [kernel], finish, |v| narrow(sum(kernel, v), finish));
            check::<i16, i16, 1>(|v| v, [kernel], finish, |v| narrow(sum(kernel, v), finish));
        }
    }

    #[test]
    fn magnitudes_of_bytes_are_rounded_once() {
        let pair = |column, row, [other, across]: [_; 2]| {
            [Nine::Product { column, row }, Nine::Product { column: other, row: across }]
        };
        let finish = &Finish { post: Post::Magnitude, ..Finish::PLAIN };
        for [a, b] in [
            pair([1, 2, 1], [-1, 0, 1], [[-1, 0, 1], [1, 2, 1]]),
            pair([3, 10, 2], [-3, 1, 1], [[-1, 1, 1], [2, 1, 4]]),
            pair([1, 1, 1], [-3, 0, 3], [[-1, 3, 1], [1, 0, 9]]),
            [[[1, 2, 3], [0, -5, 4], [0, 0, -7]], [[0, 5, -9], [1; 3], [2; 3]]].map(Nine::Rows),
        ] {
            check::<u8, i16, 2>(
                |v| v as u8,
                [&a, &b],
                finish,
                |v| {
                    let (x, y) = (sum(&a, v), sum(&b, v));
                    i16::from_f64(f64::from(((x * x + y * y) as f32).sqrt() + 0.5).floor())
                },
            );
        }
    }

    #[test]
    fn products_are_rounded() {
        let taps = [[300, -200, 17], [90, 1500, -700], [-3, 28, 511]];
        let taps32 = taps.map(|row: [i16; 3]| row.map(i32::from));
        for finish in &finishes() {
            // Of bytes, down.
            let nine = |v: [[i32; 3]; 3]| {
                let product = |k: usize| ((v[k / 3][k % 3] - 128) * taps32[k / 3][k % 3]) >> 8;
                narrow((0..9).map(product).sum(), finish)
            };
            check::<u8, u8, 1>(|v| v as u8, [&Nine::Rounded(taps)], finish, nine);
            // Of 16 bits, to the nearest.
            let three = |v: [i32; 3], taps: [i16; 3]| {
                let product = |i: usize| (v[i] * i32::from(taps[i]) + (1 << 14)) >> 15;
                (0..3).map(product).sum::<i32>() as i16
            };
            let rows = taps.map(|row| row.map(|tap| 20 * tap));
            let nine = |v: [[i32; 3]; 3]| {
                let sums = (0..3).map(|j| i32::from(three(v[j], rows[j])));
                narrow(sums.sum(), finish)
            };
            check::<i16, i16, 1>(|v| v, [&Nine::Rounded(rows)], finish, nine);
            let (column, row) = ([20000, -7000, 32000], [-9000, 31000, 1234]);
            let twice = |v: [[i32; 3]; 3]| {
                let sums = v.map(|v| i32::from(three(v, row)));
                narrow(three(sums, column).into(), finish)
            };
            check::<i16, u8, 1>(|v| v, [&Nine::RoundedProduct { column, row }], finish, twice);
        }
    }

    /// Sums of products that `f32` holds, fused or not, on all samples that become floats.
    #[test]
    fn sums_of_floats() {
        let rows = [[1.0, 2.0, -3.0], [60.0, -5.0, 7.0], [0.0, -9.0, 11.0]];
        let product = |column, row| Nine::FloatProduct { column, row };
        let finish = &Finish { post: Post::None, offset: 3.0, most: 1e9, ..Finish::PLAIN };
        for kernel in &[Nine::Floats(rows), product([1.0, -2.0, 5.0], [30.0, 40.0, -7.0])] {
            let twin = |v| sum(kernel, v) as f32 + 3.0;
            check::<f32, f32, 1>(|v| f32::from(v >> 4), [kernel], finish, twin);
            check::<u8, f32, 1>(|v| v as u8, [kernel], finish, twin);
            check::<u16, f32, 1>(|v| v as u16 >> 4, [kernel], finish, twin);
            let narrow = |v| u8::from_f64(f64::from(sum(kernel, v)) + 3.0);
            check::<f32, u8, 1>(|v| f32::from(v >> 12), [kernel], finish, narrow);
        }
        let pair = [product([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]), product([3.0; 3], [1.0, 2.0, 4.0])];
        let finish = &Finish { post: Post::Magnitude, most: 1e9, ..Finish::PLAIN };
        check::<f32, f32, 2>(
            |v| f32::from(v >> 8),
            [&pair[0], &pair[1]],
            finish,
            |v| {
                let (x, y) = (sum(&pair[0], v) as f32, sum(&pair[1], v) as f32);
                (x * x + y * y).sqrt()
            },
        );
    }

    #[test]
    fn sums_of_words_have_32_bits() {
        let [plain, absolute, _] = finishes();
        let fixed = Fixed { start: 400, unit: 1.0 / 9.0, divides: true, ..Fixed::default() };
        let divided = Finish { fixed: [fixed; 2], most: 1e6, offset: 2.25, ..Finish::PLAIN };
        for kernel in &kernels(&[[1, 2, 1], [1, 1, 1]]) {
            for finish in &[plain, absolute, divided] {
                check::<u16, u16, 1>(
                    |v| v as u16,
                    [kernel],
                    finish,
                    |v| {
                        let Fixed { shift, start, unit, divides, .. } = finish.fixed[0];
                        let sum = sum(kernel, v) + start;
                        u16::from_f64(f64::from(match finish.post {
                            Post::Abs => (sum.abs() + (1 << shift >> 1)) >> shift,
                            _ if divides => (sum as f32 * unit + 2.75).floor() as i32,
                            _ => sum >> shift,
                        }))
                    },
                );
            }
        }
    }
}
