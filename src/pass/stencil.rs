//! Kernels of 3×3 taps on `u8` images, in one pass: what is on its way from the samples of three
//! rows to a result stays in registers. Bytes become words by taking the even and the odd ones of a
//! vector apart, which are put together again when results are stored.

use super::I16;
use super::halves::Apart;
use super::{Finish, OutRow, alike, with_narrow};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

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
    /// Row by row, in units of 2^−[`ROUNDED_BITS`]. 128 is taken from samples, and their products with
    /// taps are rounded down.
    Rounded([[i16; 3]; 3]),
}

/// Fraction bits of the taps of [`Nine::Rounded`].
pub const ROUNDED_BITS: u32 = 8;

impl Nine {
    /// A column and a row of three taps each; `None` if they are longer or shorter.
    #[must_use]
    pub fn product(column: &[i16], row: &[i16]) -> Option<Self> {
        Some(Self::Product { column: column.try_into().ok()?, row: row.try_into().ok()? })
    }

    /// Three rows of three taps; `None` if there are more or fewer.
    #[must_use]
    pub fn rows(taps: &[i16]) -> Option<Self> {
        let (rows, rest) = taps.as_chunks::<3>();
        rows.try_into().ok().filter(|_| rest.is_empty()).map(Self::Rows)
    }

    /// [`rows`](Self::rows) for taps with [`ROUNDED_BITS`].
    #[must_use]
    pub fn rounded(taps: &[i16]) -> Option<Self> {
        match Self::rows(taps) {
            Some(Self::Rows(rows)) => Some(Self::Rounded(rows)),
            _ => None,
        }
    }

    /// Multiplications and additions for a sample of each of these kernels, whose taps are `step` samples apart.
    pub fn operations(kernels: &[Self], step: usize) -> [f64; 2] {
        let Self::Product { .. } = kernels[0] else { return [9.0, 9.0] };
        let next = step == 1 && kernels.iter().all(Self::is_small);
        let any = kernels.iter().any(|kernel| kernel.ends() == ANY);
        let (across, down) = (if next { 2.0 } else { 3.0 }, if any { 3.0 } else { 1.0 });
        [across * ROWS_EACH + down, 2.0 * ROWS_EACH + 3.0]
    }

    /// The kernel's rows, or the row of a product.
    #[inline(always)]
    fn across(&self) -> [[i16; 3]; 3] {
        match self {
            Self::Product { row, .. } => [*row; 3],
            Self::Rows(rows) | Self::Rounded(rows) => *rows,
        }
    }

    /// Whether the first two taps of each row are of 8 bits and the sum of their products with bytes
    /// is of 16, and, in a product, the third is 1.
    fn is_small(&self) -> bool {
        let product = matches!(self, Self::Product { .. });
        self.across().iter().all(|row| {
            let [a, b, c] = row.map(i32::from);
            let bytes = [a, b].iter().all(|t| (-128..=127).contains(t));
            bytes && a.abs() + b.abs() <= 128 && (c == 1 || !product)
        })
    }

    /// Whether all taps of each row are of 8 bits.
    fn is_bytes(&self) -> bool {
        self.across().iter().flatten().all(|&tap| i8::try_from(tap).is_ok())
    }

    /// The outer taps of a product's column: [`ONES`], [`SIGNED`] or [`ANY`].
    fn ends(&self) -> u8 {
        match self {
            Self::Product { column: [1, _, 1], .. } => ONES,
            Self::Product { column: [-1, _, 1], .. } => SIGNED,
            _ => ANY,
        }
    }
}

/// `outs[r][x] = finish(Σ_j Σ_i taps[j][i] · rows[r + j][x + i·step])`, j and i from 0 to 2, for one
/// kernel or (M = 2) the two of a magnitude, in 16 bits as [`I16`] are.
pub struct Stencil<'a, 'o, const M: usize> {
    /// Two more than `outs`; element i·step lies under tap i of the first output sample. Each has
    /// n + 2·step samples, or if n is less than 2·`MAX_LANES`, as many as if it were that.
    pub rows: &'a [&'a [u8]],
    /// All of one kind.
    pub kernels: [&'a Nine; M],
    /// Samples from one tap to the next: channels.
    pub step: usize,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way, for each output row; a byte for each sample, or none.
    pub next: &'a [&'a [u8]],
    /// Exactly the samples to write; at most [`STENCIL_ROWS`] rows of one length n.
    pub outs: &'a mut [OutRow<'o>],
}

/// The kinds of [`Nine`], for what is compiled for each.
const PRODUCT: u8 = 0;
const ROWS: u8 = 1;
const ROUNDED: u8 = 2;

/// How a row's sums come about.
/// Bytes become words, which are multiplied.
const WORDS: u8 = 0;
/// Taps are of 8 bits, and multiplied with pairs of bytes, one of which is to count for nothing.
const BYTES: u8 = 1;
/// The step is 1, so that a byte's neighbour lies under the next tap; whole taps are small, so that two
/// products and their sum are one instruction, and the third tap of a [`PRODUCT`]'s row is 1.
const NEXT: u8 = 2;

/// The outer taps of products' columns.
/// All 1.
const ONES: u8 = 0;
/// The last 1, the first 1 or −1.
const SIGNED: u8 = 1;
/// Others too.
const ANY: u8 = 2;

/// Three taps in all lanes.
#[derive(Clone, Copy)]
struct Taps<L: Lanes> {
    each: [L::H; 3],
    /// The first two as bytes.
    pair: L::H,
    /// Each as a byte, for the even and for the odd bytes of a vector.
    lone: [Apart<L>; 3],
    /// All bits set if the first is −1, none if it is 1.
    flip: L::H,
}

impl<L: Lanes> Taps<L> {
    #[inline(always)]
    fn new(l: L, [a, b, c]: [i16; 3]) -> Self {
        Self {
            each: [l.h_splat(a), l.h_splat(b), l.h_splat(c)],
            pair: l.h_splat((a & 0xff) | (b << 8)),
            lone: [a, b, c].map(|t| Apart { even: l.h_splat(t & 0xff), odd: l.h_splat(t << 8) }),
            flip: l.h_splat(if a == -1 { -1 } else { 0 }),
        }
    }

    /// a·t₀ + b·t₁ + c·t₂; if the `ENDS` are [`SIGNED`] and t₀ is −1, 1 less.
    #[inline(always)]
    fn sum<const ENDS: u8>(&self, l: L, a: L::H, b: L::H, c: L::H) -> L::H {
        let middle = l.h_mul(b, self.each[1]);
        let outer = match ENDS {
            ONES => l.h_add(a, c),
            SIGNED => l.h_add(l.h_xor(a, self.flip), c),
            _ => l.h_add(l.h_mul(a, self.each[0]), l.h_mul(c, self.each[2])),
        };
        l.h_add(outer, middle)
    }

    /// a·t₀ + b·t₁ + c·t₂, the upper 16 bits of each product.
    #[inline(always)]
    fn rounded(&self, l: L, a: L::H, b: L::H, c: L::H) -> L::H {
        let outer = l.h_add(l.h_mul_upper(a, self.each[0]), l.h_mul_upper(c, self.each[2]));
        l.h_add(outer, l.h_mul_upper(b, self.each[1]))
    }
}

/// a·t₀ + b·t₁ + c·t₂, as [`Taps::sum`].
#[inline(always)]
fn sum_apart<L: Lanes, const ENDS: u8>(l: L, taps: &Taps<L>, [a, b, c]: [Apart<L>; 3]) -> Apart<L> {
    let even = taps.sum::<ENDS>(l, a.even, b.even, c.even);
    Apart { even, odd: taps.sum::<ENDS>(l, a.odd, b.odd, c.odd) }
}

/// The samples of a row under three taps.
#[derive(Clone, Copy)]
struct Under<L: Lanes> {
    bytes: [L::H; 3],
}

impl<L: Lanes> Under<L> {
    /// # Safety
    ///
    /// `p` must be good for 2·step + 4·N samples.
    #[inline(always)]
    unsafe fn load(l: L, p: *const u8, step: usize) -> Self {
        // SAFETY: as promised by the caller.
        unsafe {
            let (a, b, c) = (p, p.add(step), p.add(2 * step));
            Self { bytes: [l.h_load(a.cast()), l.h_load(b.cast()), l.h_load(c.cast())] }
        }
    }

    /// Bytes less 128, times 256.
    #[inline(always)]
    fn middle(l: L, bytes: L::H) -> Apart<L> {
        let signed = l.h_xor(bytes, l.h_splat(i16::from_ne_bytes([0x80; 2])));
        Apart { even: l.h_even_upper(signed), odd: l.h_odd_upper(signed) }
    }

    /// Their sum with taps.
    #[inline(always)]
    fn sum<const KIND: u8, const WAY: u8>(&self, l: L, taps: &Taps<L>) -> Apart<L> {
        let [a, b, c] = self.bytes;
        if KIND == ROUNDED {
            let (a, c) = (Self::middle(l, a), Self::middle(l, c));
            let b =
                if WAY == NEXT { Apart { even: a.odd, odd: c.even } } else { Self::middle(l, b) };
            return Apart {
                even: taps.rounded(l, a.even, b.even, c.even),
                odd: taps.rounded(l, a.odd, b.odd, c.odd),
            };
        }
        if WAY == NEXT {
            let mut third = Apart { even: l.h_odd(b), odd: l.h_odd(c) };
            if KIND != PRODUCT {
                third.even = l.h_mul(third.even, taps.each[2]);
                third.odd = l.h_mul(third.odd, taps.each[2]);
            }
            return third.add(l, Apart { even: l.h_dot(a, taps.pair), odd: l.h_dot(b, taps.pair) });
        }
        if WAY == BYTES {
            let [p, q, r] = taps.lone;
            let outer = Apart {
                even: l.h_add(l.h_dot(a, p.even), l.h_dot(c, r.even)),
                odd: l.h_add(l.h_dot(a, p.odd), l.h_dot(c, r.odd)),
            };
            return outer.add(l, Apart { even: l.h_dot(b, q.even), odd: l.h_dot(b, q.odd) });
        }
        Apart {
            even: taps.sum::<ANY>(l, l.h_even(a), l.h_even(b), l.h_even(c)),
            odd: taps.sum::<ANY>(l, l.h_odd(a), l.h_odd(b), l.h_odd(c)),
        }
    }
}

impl<const M: usize> Job for Stencil<'_, '_, M> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (rows, (sample, n)) = (self.outs.len(), alike(self.outs));
        assert!(rows <= STENCIL_ROWS && self.rows.len() == rows + 2);
        assert!(matches!(sample, SampleType::U8 | SampleType::I16));
        let most = n.max(4 * L::N) + 2 * self.step;
        assert!(self.rows.iter().all(|row| row.len() >= most));
        let ends = self.kernels.iter().map(|kernel| kernel.ends()).max();
        match (self.kernels[0], self.way::<L>(), ends.unwrap_or(ANY)) {
            (Nine::Product { .. }, NEXT, ONES) if const { M == 1 } => {
                self.lines::<L, PRODUCT, NEXT, ONES>(l)
            }
            (Nine::Product { .. }, NEXT, ONES | SIGNED) => {
                self.lines::<L, PRODUCT, NEXT, SIGNED>(l)
            }
            (Nine::Product { .. }, NEXT, _) => self.lines::<L, PRODUCT, NEXT, ANY>(l),
            (Nine::Product { .. }, BYTES, ONES) if const { L::DOTS_BYTES && M == 1 } => {
                self.lines::<L, PRODUCT, BYTES, ONES>(l)
            }
            (Nine::Product { .. }, BYTES, ONES | SIGNED) if const { L::DOTS_BYTES } => {
                self.lines::<L, PRODUCT, BYTES, SIGNED>(l)
            }
            (Nine::Product { .. }, BYTES, _) if const { L::DOTS_BYTES } => {
                self.lines::<L, PRODUCT, BYTES, ANY>(l)
            }
            (Nine::Product { .. }, _, ONES | SIGNED) => self.lines::<L, PRODUCT, WORDS, SIGNED>(l),
            (Nine::Product { .. }, _, _) => self.lines::<L, PRODUCT, WORDS, ANY>(l),
            (Nine::Rows(_), NEXT, _) => self.lines::<L, ROWS, NEXT, ANY>(l),
            (Nine::Rows(_), BYTES, _) if const { L::DOTS_BYTES } => {
                self.lines::<L, ROWS, BYTES, ANY>(l)
            }
            (Nine::Rows(_), ..) => self.lines::<L, ROWS, WORDS, ANY>(l),
            // No plan has two of them.
            (Nine::Rounded(_), ..) if const { M > 1 } => {}
            (Nine::Rounded(_), ..) if self.step == 1 => self.lines::<L, ROUNDED, NEXT, ANY>(l),
            (Nine::Rounded(_), ..) => self.lines::<L, ROUNDED, WORDS, ANY>(l),
        }
    }
}

impl<const M: usize> Stencil<'_, '_, M> {
    /// How whole taps are multiplied.
    fn way<L: Lanes>(&self) -> u8 {
        let all = |holds: fn(&Nine) -> bool| self.kernels.iter().all(|kernel| holds(kernel));
        if self.step == 1 && all(Nine::is_small) {
            NEXT
        } else if L::DOTS_BYTES && all(Nine::is_bytes) {
            BYTES
        } else {
            WORDS
        }
    }

    #[inline(always)]
    fn lines<L: Lanes, const KIND: u8, const WAY: u8, const ENDS: u8>(self, l: L) {
        let Self { rows, kernels, step, finish, stream, next, outs } = self;
        let count = outs.len();
        let (sample, n) = alike(outs);
        let bytes = sample.bytes();
        let lanes = 4 * L::N;
        let mut across = [[Taps::new(l, [0; 3]); 3]; M];
        let mut down = [across[0][0]; M];
        let mut start = [Apart::splat(l, 0); M];
        for (m, kernel) in kernels.iter().enumerate() {
            let [top, middle, bottom] = kernel.across();
            across[m] = [Taps::new(l, top), Taps::new(l, middle), Taps::new(l, bottom)];
            let mut from = finish.fixed[m].start;
            if let Nine::Product { column, .. } = kernel {
                down[m] = Taps::new(l, *column);
                from += i32::from(ENDS == SIGNED && column[0] == -1);
            }
            start[m] = Apart::splat(l, from);
        }
        let mut from = [std::ptr::null(); STENCIL_ROWS + 2];
        for (from, row) in from.iter_mut().zip(rows) {
            *from = row.as_ptr();
        }
        let mut to = [std::ptr::null_mut(); STENCIL_ROWS];
        for (to, out) in to.iter_mut().zip(&mut *outs) {
            *to = out.as_mut_ptr();
        }
        let from = &from[..count + 2];
        let block = Block { from, step, across, down, start, finish: *finish, next, sample };
        let mut whole = None;
        if n < lanes {
            let whole = whole.insert([[0u32; MAX_LANES]; STENCIL_ROWS]);
            for (to, whole) in to.iter_mut().zip(whole) {
                *to = whole.as_mut_ptr().cast();
            }
        }
        let to = &to[..count];
        let end = n.max(lanes);
        // Vectors must be aligned to be streamed, and are written best so: the first one is
        // written as it lies, and the next at the first multiple of a vector's size.
        let misfit = to.first().map_or(0, |to| to.addr() % lanes);
        let alike = to.iter().all(|to| to.addr() % lanes == misfit);
        let aligns = n >= lanes && alike && misfit % bytes == 0 && misfit > 0;
        let first = if aligns { (lanes - misfit) / bytes } else { 0 };
        let stream =
            stream && n >= lanes && to.iter().all(|to| (to.addr() + first * bytes) % lanes == 0);
        // No other store may touch a line that is streamed: not the first vector, which reaches
        // into the next one, and not the last, which overlaps the one before.
        let lone = first == 0 && end % lanes == 0;
        let mut x = 0;
        while x < end {
            let at = x.min(end - lanes);
            let apart = lone || at >= first + lanes && at + 2 * lanes <= end;
            // SAFETY: `run` reads 2·step + 4·N samples of each row and writes 4·N of each output, from
            // `at` ≤ end − 4·N on. Rows shorter than a vector go on that far, and write to `whole`,
            // which has 4·N samples, of at most 16 bits.
            unsafe { block.run::<KIND, WAY, ENDS>(l, at, to, stream && apart) }
            x = if x == 0 && aligns { first } else { x + lanes };
        }
        for (out, whole) in outs.iter_mut().zip(whole.iter().flatten()) {
            out.copy_from(whole);
        }
    }
}

/// What the vectors of a block share.
struct Block<'a, L: Lanes, const M: usize> {
    from: &'a [*const u8],
    step: usize,
    /// Each kernel's rows, or the row of a product.
    across: [[Taps<L>; 3]; M],
    /// The columns of products.
    down: [Taps<L>; M],
    /// What sums start with.
    start: [Apart<L>; M],
    /// A copy, as in [`Dense`](super::Dense).
    finish: Finish,
    next: &'a [&'a [u8]],
    sample: SampleType,
}

impl<L: Lanes, const M: usize> Block<'_, L, M> {
    /// 4·N samples of every output row from x on.
    ///
    /// # Safety
    ///
    /// Every row must have x + 2·step + 4·N samples and every output x + 4·N; to `stream`, the
    /// outputs' places must be multiples of a vector's size.
    #[inline(always)]
    unsafe fn run<const KIND: u8, const WAY: u8, const ENDS: u8>(
        &self,
        l: L,
        x: usize,
        to: &[*mut u8],
        stream: bool,
    ) {
        // The usual case is one question for each vector, not two.
        let bytes = self.sample == SampleType::U8 && !stream;
        // What waits for the rows below: the sums of the two rows above with a product's row, or
        // those of the next output row and the one after it so far.
        let mut upper = self.start;
        let mut lower = self.start;
        // SAFETY: as promised by the caller; there are two rows more than outputs.
        unsafe {
            let first = Under::load(l, self.from.get_unchecked(0).add(x), self.step);
            let second = Under::load(l, self.from.get_unchecked(1).add(x), self.step);
            for m in 0..M {
                let across = &self.across[m];
                let top = first.sum::<KIND, WAY>(l, &across[0]);
                let next = second.sum::<KIND, WAY>(l, &across[0]);
                if KIND == PRODUCT {
                    (upper[m], lower[m]) = (top, next);
                } else {
                    let middle = second.sum::<KIND, WAY>(l, &across[1]);
                    upper[m] = self.start[m].add(l, top).add(l, middle);
                    lower[m] = self.start[m].add(l, next);
                }
            }
            for (row, &to) in to.iter().enumerate() {
                let next = self.next.get(row).copied().unwrap_or_default();
                if let Some(next) = next.get(x..x + 4 * L::N) {
                    prefetch(next);
                }
                let under = Under::load(l, self.from.get_unchecked(row + 2).add(x), self.step);
                let mut even = [self.start[0].even; M];
                let mut odd = even;
                for m in 0..M {
                    let across = &self.across[m];
                    let done;
                    if KIND == PRODUCT {
                        let sum = under.sum::<KIND, WAY>(l, &across[0]);
                        let sums =
                            sum_apart::<L, ENDS>(l, &self.down[m], [upper[m], lower[m], sum]);
                        done = self.start[m].add(l, sums);
                        (upper[m], lower[m]) = (lower[m], sum);
                    } else {
                        done = upper[m].add(l, under.sum::<KIND, WAY>(l, &across[2]));
                        upper[m] = lower[m].add(l, under.sum::<KIND, WAY>(l, &across[1]));
                        let top = under.sum::<KIND, WAY>(l, &across[0]);
                        lower[m] = self.start[m].add(l, top);
                    }
                    (even[m], odd[m]) = (done.even, done.odd);
                }
                let even = I16::result(l, even, &self.finish);
                let odd = I16::result(l, odd, &self.finish);
                if bytes {
                    u8::store_apart(l, to.add(x), even, odd, false);
                } else {
                    with_narrow!(self.sample, O => {
                        O::store_apart(l, to.cast::<O>().add(x), even, odd, stream);
                    });
                }
            }
        }
    }
}
