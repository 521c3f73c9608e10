//! The arithmetic between filters of `u8` images: rows of 16 bits, everything in 16 bits; and the
//! pass over 3×3 taps that has it.

use super::I16;
use super::{Datapath, dense_alike};
use crate::pass::stencil::{Nine, ROWS_EACH, STENCIL_ROWS};
use crate::pass::{Finish, LINE, OutRow, Taps, alike, with_narrow};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, passed_on};

/// 16 bits throughout: every product is rounded to 16 bits, taps are in units of 2⁻¹⁵. Sums may wrap
/// on their way; the plan has made sure that those which are written fit.
#[derive(Clone, Copy)]
pub struct I16Rounded;

/// √(x² + y²) of pairs, in units of `unit`, rounded.
#[inline(always)]
fn root<L: Lanes>(l: L, pairs: L::I, unit: L::F) -> L::I {
    let root = l.f_sqrt(l.i_to_f(l.dot(l.i_splat(0), pairs, pairs)));
    l.f_floor(l.f_add(l.f_mul(root, unit), l.f_splat(0.5)))
}

impl Datapath for I16Rounded {
    type Elem = i16;
    type Wide = i16;
    type Tap = i16;
    type TapV<L: Lanes> = L::H;
    type Acc<L: Lanes> = L::H;
    type WideAcc<L: Lanes> = L::H;
    const PAIRED: usize = 1;
    const REGISTERS: usize = 1;
    const ROW_SUMS: bool = false;

    #[inline(always)]
    fn lanes<L: Lanes>() -> usize {
        2 * L::N
    }
    #[inline(always)]
    fn wide_lanes<L: Lanes>() -> usize {
        2 * L::N
    }
    fn taps(taps: &Taps) -> &[i16] {
        I16::taps(taps)
    }
    #[inline(always)]
    fn splat<L: Lanes>(l: L, tap: i16) -> L::H {
        l.h_splat(tap)
    }
    #[inline(always)]
    fn start<L: Lanes>(l: L, value: i32) -> L::H {
        l.h_splat(value as i16)
    }
    dense_alike!();
    passed_on! {
        fn load[T: SampleLanes](l, a: *const T, _b: *const T) -> L::H { T::load_h(l, a) }
        fn load_scratch(l, a: *const i16, _b: *const i16) -> L::H { l.h_load(a) }
        fn put(l, acc: L::H, _shift: u32, p: *mut i16) { l.h_store(p, acc) }
        fn widen[T: SampleLanes](l, a: *const T, _b: *const T, p: *mut i16) { l.h_store(p, T::load_h(l, a)) }
        fn wide_load(l, p: *const i16) -> L::H { l.h_load(p) }
        fn finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[L::H; M]; U],
            finish: &Finish,
            stream: bool,
            p: *mut O,
        ) {
            for (u, acc) in acc.into_iter().enumerate() {
                let v = if M == 2 {
                    // The plan has made sure that x² + y² fits.
                    let (first, second) = l.split(acc[0], acc[M - 1]);
                    let unit = l.f_splat(finish.fixed[0].unit);
                    l.join(root(l, first, unit), root(l, second, unit))
                } else {
                    I16::result(l, acc, finish)
                };
                let p = p.add(u * Self::lanes::<L>());
                if stream { O::stream_h(l, p, v) } else { O::store_h(l, p, v) }
            }
        }
    }
    #[inline(always)]
    fn step<L: Lanes>(l: L, acc: L::H, x: L::H, tap: L::H) -> L::H {
        l.h_add(acc, l.h_mul_high(x, tap))
    }
    #[inline(always)]
    fn wide_add<L: Lanes>(l: L, a: L::H, b: L::H) -> L::H {
        l.h_add(a, b)
    }
}

/// As [`Stencil`](super::Stencil), on rows of 16 bits: every product is rounded to 16 bits, taps are
/// in units of 2⁻¹⁵. A product's row comes first.
pub struct StencilHigh<'a, 'o, const M: usize> {
    /// Two more than `outs`; element i·step lies under tap i of the first output sample. Each has
    /// n + 2·step samples, or if n is less than 2·`MAX_LANES`, as many as if it were that.
    pub rows: &'a [&'a [i16]],
    /// All products, or none.
    pub kernels: [&'a Nine; M],
    /// Samples from one tap to the next: channels.
    pub step: usize,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Exactly the samples to write; at most [`STENCIL_ROWS`] rows of one length n.
    pub outs: &'a mut [OutRow<'o>],
}

/// Three taps in all lanes.
#[derive(Clone, Copy)]
struct Three<L: Lanes>([L::H; 3]);

impl<L: Lanes> Three<L> {
    #[inline(always)]
    fn new(l: L, [a, b, c]: [i16; 3]) -> Self {
        Self([l.h_splat(a), l.h_splat(b), l.h_splat(c)])
    }

    #[inline(always)]
    fn sum(&self, l: L, [a, b, c]: [L::H; 3]) -> L::H {
        let [p, q, r] = self.0;
        let outer = l.h_add(l.h_mul_high(a, p), l.h_mul_high(c, r));
        l.h_add(outer, l.h_mul_high(b, q))
    }
}

impl StencilHigh<'_, '_, 1> {
    /// Multiplications and additions for a sample of a kernel.
    pub fn operations(kernel: &Nine) -> [f64; 2] {
        match kernel {
            Nine::Product { .. } => [3.0 * ROWS_EACH + 3.0, 2.0 * ROWS_EACH + 3.0],
            Nine::Rows(_) | Nine::Rounded(_) => [9.0, 9.0],
        }
    }
}

impl<const M: usize> Job for StencilHigh<'_, '_, M> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (rows, (sample, n)) = (self.outs.len(), alike(self.outs));
        assert!(rows <= STENCIL_ROWS && self.rows.len() == rows + 2);
        assert!(matches!(sample, SampleType::U8 | SampleType::I16));
        let most = n.max(2 * L::N) + 2 * self.step;
        assert!(self.rows.iter().all(|row| row.len() >= most));
        match self.kernels[0] {
            Nine::Product { .. } => self.lines::<L, true>(l),
            Nine::Rows(_) | Nine::Rounded(_) => self.lines::<L, false>(l),
        }
    }
}

impl<const M: usize> StencilHigh<'_, '_, M> {
    #[inline(always)]
    fn lines<L: Lanes, const PRODUCT: bool>(self, l: L) {
        let Self { rows, kernels, step, finish, stream, outs } = self;
        let (count, (sample, n)) = (outs.len(), alike(outs));
        let bytes = sample.bytes();
        let lanes = 2 * L::N;
        let mut taps = [[Three::new(l, [0; 3]); 3]; M];
        let mut start = [l.h_splat(0); M];
        for (m, kernel) in kernels.iter().enumerate() {
            match kernel {
                Nine::Product { column, row } => {
                    (taps[m][0], taps[m][1]) = (Three::new(l, *row), Three::new(l, *column));
                }
                Nine::Rows(rows) | Nine::Rounded(rows) => {
                    for (taps, row) in taps[m].iter_mut().zip(rows) {
                        *taps = Three::new(l, *row);
                    }
                }
            }
            start[m] = l.h_splat(finish.fixed[m].start as i16);
        }
        let mut from = [std::ptr::null(); STENCIL_ROWS + 2];
        for (from, row) in from.iter_mut().zip(rows) {
            *from = row.as_ptr();
        }
        let mut to = [std::ptr::null_mut(); STENCIL_ROWS];
        for (to, out) in to.iter_mut().zip(&mut *outs) {
            *to = out.as_mut_ptr();
        }
        let block = HighBlock { from: &from[..count + 2], step, taps, start, finish, sample };
        let mut whole = None;
        if n < lanes {
            let whole = whole.insert([[0u32; MAX_LANES]; STENCIL_ROWS]);
            for (to, whole) in to.iter_mut().zip(whole) {
                *to = whole.as_mut_ptr().cast();
            }
        }
        let to = &to[..count];
        let end = n.max(lanes);
        // Whole lines are streamed: what comes before the first is written as it lies.
        let misfit = to.first().map_or(0, |to| to.addr().wrapping_neg() % LINE);
        let alike = to.iter().all(|to| to.addr().wrapping_neg() % LINE == misfit);
        let fits = misfit.is_multiple_of(bytes) && misfit / bytes + 2 * lanes <= n;
        let stream = stream && alike && fits;
        let first = if stream { misfit / bytes } else { 0 };
        let mut x = 0;
        while x < end {
            let at = x.min(end - lanes);
            // The last vector of all must not overlap what is streamed.
            let apart = at >= first && at + 2 * lanes <= end;
            // SAFETY: `run` reads 2·step + 2·N samples of each row and writes 2·N of each output, from
            // `at` ≤ end − 2·N on. Rows shorter than a vector go on that far, and write to `whole`,
            // which has 2·N samples, of at most 16 bits. What is streamed starts at a multiple of a
            // line, and its vectors follow each other.
            unsafe { block.run::<PRODUCT>(l, at, to, stream && apart) }
            x = if at < first { first.min(x + lanes) } else { x + lanes };
        }
        for (out, whole) in outs.iter_mut().zip(whole.iter().flatten()) {
            out.copy_from(whole);
        }
    }
}

/// What the vectors of a block share.
struct HighBlock<'a, L: Lanes, const M: usize> {
    from: &'a [*const i16],
    step: usize,
    /// For each kernel those of all rows, or of a product's row and its column.
    taps: [[Three<L>; 3]; M],
    /// What sums start with.
    start: [L::H; M],
    finish: &'a Finish,
    sample: SampleType,
}

impl<L: Lanes, const M: usize> HighBlock<'_, L, M> {
    /// The samples of a row under three taps.
    ///
    /// # Safety
    ///
    /// The row must have x + 2·step + 2·N samples.
    #[inline(always)]
    unsafe fn under(&self, l: L, row: usize, x: usize) -> [L::H; 3] {
        // SAFETY: as promised by the caller.
        unsafe {
            let p = self.from.get_unchecked(row).add(x);
            [l.h_load(p), l.h_load(p.add(self.step)), l.h_load(p.add(2 * self.step))]
        }
    }

    /// 2·N samples of every output row from x on.
    ///
    /// # Safety
    ///
    /// Every row must have x + 2·step + 2·N samples and every output x + 2·N; to `stream`, the
    /// outputs' places must be multiples of a vector's size.
    #[inline(always)]
    unsafe fn run<const PRODUCT: bool>(&self, l: L, x: usize, to: &[*mut u8], stream: bool) {
        // What waits for the rows below: the sums of the two rows above with a product's row, or
        // those of the next output row and the one after it so far.
        let mut upper = self.start;
        let mut lower = self.start;
        // SAFETY: as promised by the caller; there are two rows more than outputs.
        unsafe {
            let top = self.under(l, 0, x);
            let middle = self.under(l, 1, x);
            for m in 0..M {
                let [first, second, _] = self.taps[m];
                (upper[m], lower[m]) = (first.sum(l, top), first.sum(l, middle));
                if !PRODUCT {
                    upper[m] = l.h_add(upper[m], second.sum(l, middle));
                }
            }
            for (row, &to) in to.iter().enumerate() {
                let under = self.under(l, row + 2, x);
                let mut acc = self.start;
                for m in 0..M {
                    let [first, second, third] = self.taps[m];
                    let sum = first.sum(l, under);
                    if PRODUCT {
                        let sums = second.sum(l, [upper[m], lower[m], sum]);
                        acc[m] = l.h_add(acc[m], sums);
                        (upper[m], lower[m]) = (lower[m], sum);
                    } else {
                        acc[m] = l.h_add(acc[m], l.h_add(upper[m], third.sum(l, under)));
                        upper[m] = l.h_add(lower[m], second.sum(l, under));
                        lower[m] = sum;
                    }
                }
                with_narrow!(self.sample, O => {
                    I16Rounded::finish(l, [acc], self.finish, stream, to.cast::<O>().add(x));
                });
            }
        }
    }
}
