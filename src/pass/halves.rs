//! The two passes of 16-bit arithmetic on `u8` images. Even and odd samples, which are the even and
//! odd bytes of a vector, are kept apart from the column pass to the end of the row pass, in scratch
//! rows of two halves: bytes become words, and words bytes, without changing their lanes, and
//! for one channel half as many vectors are read under the taps of a row.

use super::words::Words;
use super::{Finish, OutRow, with_narrow};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

/// Elements behind a half's own that vectors may touch.
pub const HALF_SLACK: usize = 2 * MAX_LANES;

/// The even and the odd samples of 4·N.
#[derive(Clone, Copy)]
pub(super) struct Apart<L: Lanes> {
    pub even: L::H,
    pub odd: L::H,
}

impl<L: Lanes> Apart<L> {
    #[inline(always)]
    pub fn splat(l: L, value: i32) -> Self {
        let all = l.h_splat(value as i16);
        Self { even: all, odd: all }
    }

    #[inline(always)]
    pub fn add(self, l: L, other: Self) -> Self {
        Self { even: l.h_add(self.even, other.even), odd: l.h_add(self.odd, other.odd) }
    }

    /// + samples · tap; HIGH: in units of 2⁻¹⁵, rounded.
    #[inline(always)]
    fn step<const HIGH: bool>(self, l: L, samples: Self, tap: L::H) -> Self {
        let even = if HIGH { l.h_mul_high(samples.even, tap) } else { l.h_mul(samples.even, tap) };
        let odd = if HIGH { l.h_mul_high(samples.odd, tap) } else { l.h_mul(samples.odd, tap) };
        self.add(l, Self { even, odd })
    }

    /// Reads 4·N samples.
    ///
    /// # Safety
    ///
    /// `p` must be good for them.
    #[inline(always)]
    pub unsafe fn load(l: L, p: *const u8) -> Self {
        // SAFETY: as promised by the caller.
        let bytes = unsafe { l.h_load(p.cast()) };
        Self { even: l.h_even(bytes), odd: l.h_odd(bytes) }
    }

    /// Reads the elements u·2·N to (u + 1)·2·N of two halves.
    ///
    /// # Safety
    ///
    /// Both must be good for them.
    #[inline(always)]
    unsafe fn load_halves(l: L, halves: [*const i16; 2], u: usize) -> Self {
        let [even, odd] = halves;
        // SAFETY: as promised by the caller.
        unsafe {
            Self { even: l.h_load(even.add(u * 2 * L::N)), odd: l.h_load(odd.add(u * 2 * L::N)) }
        }
    }
}

/// The places of the samples from `at` on, those of the even ones of them first: if `at` is odd, they
/// are in the odd half. What is even or odd are single samples, or groups of `unit`, at the first of
/// which `at` must be.
///
/// # Safety
///
/// Both halves must be good for `at` / 2 + `unit` elements.
#[inline(always)]
pub(super) unsafe fn places([even, odd]: [*mut i16; 2], at: usize, unit: usize) -> [*mut i16; 2] {
    let pair = at / (2 * unit) * unit;
    // SAFETY: as promised by the caller.
    unsafe {
        if at.is_multiple_of(2 * unit) {
            [even.add(pair), odd.add(pair)]
        } else {
            [odd.add(pair), even.add(pair + unit)]
        }
    }
}

/// [`places`], to read from.
///
/// # Safety
///
/// As for `places`.
#[inline(always)]
unsafe fn lie(halves: [*const i16; 2], at: usize) -> [*const i16; 2] {
    // SAFETY: as promised by the caller.
    unsafe { places(halves.map(<*const i16>::cast_mut), at, 1).map(<*mut i16>::cast_const) }
}

/// Where vectors start that are aligned to what they write, `lanes` bytes at a time, if a row that
/// starts at `address`, of samples of so many `bytes`, has such places at an even sample, or an even group of
/// `unit`: after how many samples.
#[inline(always)]
pub(super) fn aligned_from(
    address: usize,
    bytes: usize,
    lanes: usize,
    unit: usize,
) -> Option<usize> {
    let misfit = address.wrapping_neg() % lanes;
    let samples = misfit / bytes;
    (misfit.is_multiple_of(bytes) && samples.is_multiple_of(2 * unit)).then_some(samples)
}

/// One scratch row to compute, as [`Sum`](super::Sum).
pub struct HalfSum<'a> {
    /// The row that the first tap meets.
    pub first: usize,
    /// One for each row.
    pub taps: &'a [i16],
    /// What sums start with.
    pub start: i32,
    /// The halves, with [`HALF_SLACK`] elements more, which may be overwritten.
    pub out: [&'a mut [i16]; 2],
}

/// N scratch rows from one window, as [`Column`](super::Column).
pub struct ColumnHalves<'a, const N: usize> {
    /// At least `n` samples each.
    pub rows: &'a [&'a [u8]],
    /// What to compute.
    pub sums: [HalfSum<'a>; N],
    /// Samples to compute.
    pub n: usize,
    /// Where they start in the scratch rows.
    pub at: usize,
}

impl<const N: usize> Job for ColumnHalves<'_, N> {
    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let n = self.n;
        for sum in &self.sums {
            assert!(sum.first + sum.taps.len() <= self.rows.len());
            assert!(sum.out.iter().all(|half| half.len() >= (self.at + n) / 2 + HALF_SLACK));
        }
        assert!(self.rows.iter().all(|row| row.len() >= n));
        let lanes = 4 * L::N;
        // SAFETY: `block` reads U·4·N samples from x on in every row, and writes as many. In the loops
        // x + U·4·N ≤ n, which all rows and outputs have; the last call starts at n − 4·N ≥ 0.
        // `partial` reads n samples and writes up to 4·N, which the outputs have.
        unsafe {
            if n < lanes {
                return self.partial(l);
            }
            match self.symmetric() {
                Some(5) if self.sums[0].taps[0] == 1 => self.folded::<L, 5, 8, true>(l),
                Some(5) => self.folded::<L, 5, 8, false>(l),
                Some(7) => self.folded::<L, 7, 10, false>(l),
                _ => self.plain(l),
            }
        }
    }
}

impl<const N: usize> ColumnHalves<'_, N> {
    /// The length of the taps, if they are symmetric and the same for consecutive rows, of which there
    /// are as many as [`fold`](Self::fold) computes.
    fn symmetric(&self) -> Option<usize> {
        let [first, rest @ ..] = &self.sums[..] else { return None };
        let taps = first.taps;
        let same = rest
            .iter()
            .zip(first.first + 1..)
            .all(|(sum, row)| sum.first == row && sum.start == first.start && sum.taps == taps);
        let count = taps.len();
        let mirrored = (0..count / 2).all(|i| taps[i] == taps[count - 1 - i]);
        (N == 4 && first.first == 0 && same && mirrored).then_some(count)
    }

    /// # Safety
    ///
    /// All rows and outputs must have n ≥ 4·N samples.
    #[inline(always)]
    unsafe fn plain<L: Lanes>(&mut self, l: L) {
        let (n, lanes) = (self.n, 4 * L::N);
        let mut x = 0;
        // SAFETY: x + U·4·N ≤ n, or x = n − 4·N ≥ 0.
        unsafe {
            if L::N == 16 {
                while x + 2 * lanes <= n {
                    self.block::<L, 2>(l, x);
                    x += 2 * lanes;
                }
            }
            while x + lanes <= n {
                self.block::<L, 1>(l, x);
                x += lanes;
            }
            if x < n {
                self.block::<L, 1>(l, n - lanes);
            }
        }
    }

    /// `plain` for K symmetric taps and ROWS rows, of N sums: rows that meet the same tap are added
    /// first. UNIT: the outer taps are 1.
    ///
    /// # Safety
    ///
    /// As for `plain`; there must be ROWS = K + N − 1 rows, and [`symmetric`](Self::symmetric) taps.
    #[inline(always)]
    unsafe fn folded<L: Lanes, const K: usize, const ROWS: usize, const UNIT: bool>(
        &mut self,
        l: L,
    ) {
        let (n, lanes) = (self.n, 4 * L::N);
        assert!(self.rows.len() == ROWS && self.sums[0].taps.len() == K && ROWS == K + N - 1);
        let mut taps = [l.h_splat(0); K];
        for (splat, tap) in taps.iter_mut().zip(self.sums[0].taps) {
            *splat = l.h_splat(*tap);
        }
        let start = l.h_splat(self.sums[0].start as i16);
        let mut x = 0;
        while x < n {
            // The last vector overlaps the one before.
            let at = x.min(n - lanes);
            let mut bytes = [start; ROWS];
            let mut words = bytes;
            let mut acc = [[Apart::splat(l, 0); 1]; N];
            // SAFETY: at + 4·N ≤ n.
            unsafe {
                for (bytes, row) in bytes.iter_mut().zip(self.rows) {
                    *bytes = l.h_load(row.as_ptr().add(at).cast());
                }
                for (words, bytes) in words.iter_mut().zip(&bytes) {
                    *words = l.h_even(*bytes);
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[0].even = fold::<L, K, ROWS, UNIT>(l, start, &words, r, &taps);
                }
                for (words, bytes) in words.iter_mut().zip(&bytes) {
                    *words = l.h_odd(*bytes);
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[0].odd = fold::<L, K, ROWS, UNIT>(l, start, &words, r, &taps);
                }
                self.put(l, acc, at);
            }
            x += lanes;
        }
    }
}

/// start + Σ taps[i]·words[r + i] over K symmetric taps.
#[inline(always)]
fn fold<L: Lanes, const K: usize, const ROWS: usize, const UNIT: bool>(
    l: L,
    start: L::H,
    words: &[L::H; ROWS],
    r: usize,
    taps: &[L::H; K],
) -> L::H {
    let mut sum = l.h_add(start, l.h_mul(words[r + K / 2], taps[K / 2]));
    for i in 0..K / 2 {
        let both = l.h_add(words[r + i], words[r + K - 1 - i]);
        sum = l.h_add(sum, if UNIT && i == 0 { both } else { l.h_mul(both, taps[i]) });
    }
    sum
}

impl<const N: usize> ColumnHalves<'_, N> {
    /// U times 4·N samples of every output from sample x on.
    ///
    /// # Safety
    ///
    /// x + U·4·N must not exceed the length of any row, and the outputs must go on for as many from
    /// `at` + x on.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize>(&mut self, l: L, x: usize) {
        let mut acc = self.start::<L, U>(l);
        // SAFETY: as promised by the caller.
        unsafe {
            for (j, row) in self.rows.iter().enumerate() {
                let mut samples = [Apart::splat(l, 0); U];
                for (u, samples) in samples.iter_mut().enumerate() {
                    *samples = Apart::load(l, row.as_ptr().add(x + u * 4 * L::N));
                }
                self.step(l, &mut acc, j, samples);
            }
            self.put(l, acc, x);
        }
    }

    /// Rows shorter than a vector: each is copied into a whole one first.
    ///
    /// # Safety
    ///
    /// Every row must have n ≤ 4·N samples, and the outputs must go on for 4·N from `at` on.
    #[inline(always)]
    unsafe fn partial<L: Lanes>(&mut self, l: L) {
        let mut acc = self.start::<L, 1>(l);
        for (j, row) in self.rows.iter().enumerate() {
            let mut whole = [0u8; 2 * MAX_LANES];
            whole[..self.n].copy_from_slice(&row[..self.n]);
            // SAFETY: the array has 2·MAX_LANES ≥ 4·N samples.
            let samples = unsafe { Apart::load(l, whole.as_ptr()) };
            self.step(l, &mut acc, j, [samples]);
        }
        // SAFETY: as promised by the caller.
        unsafe { self.put(l, acc, 0) }
    }

    #[inline(always)]
    fn start<L: Lanes, const U: usize>(&self, l: L) -> [[Apart<L>; U]; N] {
        let mut acc = [[Apart::splat(l, 0); U]; N];
        for (acc, sum) in acc.iter_mut().zip(&self.sums) {
            *acc = [Apart::splat(l, sum.start); U];
        }
        acc
    }

    /// Adds the samples of row j to the sums that they lie under.
    #[inline(always)]
    fn step<L: Lanes, const U: usize>(
        &self,
        l: L,
        acc: &mut [[Apart<L>; U]; N],
        j: usize,
        samples: [Apart<L>; U],
    ) {
        for (acc, sum) in acc.iter_mut().zip(&self.sums) {
            if let Some(tap) = sum.taps.get(j.wrapping_sub(sum.first)) {
                let tap = l.h_splat(*tap);
                for (acc, samples) in acc.iter_mut().zip(samples) {
                    *acc = acc.step::<false>(l, samples, tap);
                }
            }
        }
    }

    /// # Safety
    ///
    /// The outputs must go on for U·4·N samples from `at` + x on.
    #[inline(always)]
    unsafe fn put<L: Lanes, const U: usize>(&mut self, l: L, acc: [[Apart<L>; U]; N], x: usize) {
        for (acc, sum) in acc.iter().zip(&mut self.sums) {
            let halves = sum.out.each_mut().map(|half| half.as_mut_ptr());
            // SAFETY: as promised by the caller.
            unsafe {
                let [first, second] = places(halves, self.at + x, 1);
                for (u, acc) in acc.iter().enumerate() {
                    l.h_store(first.add(u * 2 * L::N), acc.even);
                    l.h_store(second.add(u * 2 * L::N), acc.odd);
                }
            }
        }
    }
}

/// For any odd number of symmetric taps, of which a [`Side`] has half.
const ODD: usize = 1;

/// Most different taps among an odd number of symmetric ones.
const SIDE: usize = 32;

/// Most symmetric taps that are added in 16 bits before they are multiplied.
pub const MOST_SYMMETRIC: usize = 2 * SIDE - 1;

/// The first half of an odd number of symmetric taps, and the middle one, each in all lanes.
pub(super) type Side<L> = [<L as Lanes>::H; SIDE];

/// Those of up to [`MOST_SYMMETRIC`] taps.
#[inline(always)]
pub(super) fn side<L: Lanes>(l: L, taps: &[i16]) -> Side<L> {
    let mut side = [l.h_splat(0); SIDE];
    for (splat, tap) in side.iter_mut().zip(&taps[..=taps.len() / 2]) {
        *splat = l.h_splat(*tap);
    }
    side
}

/// Most symmetric taps that have a loop of their own.
const MOST_UNROLLED: usize = 7;

/// What the blocks of a row share, worked out once.
struct Known<L: Lanes> {
    /// Of [`ODD`] taps.
    side: Side<L>,
    /// The first half of 5 or 7 symmetric taps, and the middle one, each in all lanes.
    taps: [L::H; MOST_UNROLLED.div_ceil(2)],
    /// Where the first two samples under each of these 5 or 7 taps lie.
    places: [[*const i16; 2]; MOST_UNROLLED],
    /// A copy: behind a reference, written samples might overlap it, for all that the compiler knows.
    finish: Finish,
}

/// The scratch row of one kernel and its horizontal taps.
#[derive(Clone, Copy)]
pub struct HalfInput<'a> {
    /// The halves; their first elements lie under tap 0 of the first two output samples.
    pub halves: [&'a [i16]; 2],
    /// One per tap.
    pub taps: &'a [i16],
}

/// `out[x] = finish(Σ_i taps[i] · scratch[x + i·step])`, as [`Row`](super::Row). HIGH: taps are in
/// units of 2⁻¹⁵, and products are rounded.
pub struct RowHalves<'a, const HIGH: bool, const M: usize> {
    /// What to read; each half has (n + taps·step) / 2 elements and [`HALF_SLACK`] more, whose values
    /// do not matter.
    pub inputs: [HalfInput<'a>; M],
    /// Elements from one tap to the next: channels.
    pub step: usize,
    /// HIGH: whether two elements may be added in 16 bits, which symmetric taps then are multiplied by.
    pub adds: bool,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way; a byte for each sample that is written.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

impl<const HIGH: bool, const M: usize> Job for RowHalves<'_, HIGH, M> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let n = self.out.len();
        assert!(matches!(self.out.sample(), SampleType::U8 | SampleType::I16));
        for HalfInput { halves, taps } in &self.inputs {
            let len = (n + taps.len() * self.step) / 2 + HALF_SLACK;
            assert!(halves.iter().all(|half| half.len() >= len));
        }
        let taps = self.inputs[0].taps;
        let symmetric = taps.len() % 2 == 1 && taps.iter().eq(taps.iter().rev());
        let fold = M == 1 && (self.adds || !HIGH) && symmetric;
        match (self.step, taps.len()) {
            (1, 5) if fold => self.row::<L, true, 5>(l),
            (_, 5) if fold => self.row::<L, false, 5>(l),
            (1, 7) if fold => self.row::<L, true, 7>(l),
            (_, 7) if fold => self.row::<L, false, 7>(l),
            (1, 3 | 9..=MOST_SYMMETRIC) if fold => self.row::<L, true, ODD>(l),
            (_, 3 | 9..=MOST_SYMMETRIC) if fold => self.row::<L, false, ODD>(l),
            (1, _) => self.row::<L, true, 0>(l),
            _ => self.row::<L, false, 0>(l),
        }
    }
}

impl<const HIGH: bool, const M: usize> RowHalves<'_, HIGH, M> {
    #[inline(always)]
    fn row<L: Lanes, const NEXT: bool, const FOLD: usize>(mut self, l: L) {
        let n = self.out.len();
        let lanes = 4 * L::N;
        let known = &self.known::<L, FOLD>(l);
        let (out, bytes) = (self.out.as_mut_ptr(), self.out.sample().bytes());
        // Whole lines are streamed, and no other store may touch those: before them lie two vectors.
        let from = aligned_from(out.addr(), bytes, lanes, 1);
        let from = from.filter(|_| self.stream && n >= 3 * lanes);
        let stream = from.is_some();
        let head = from.filter(|from| *from > 0).map_or(0, |from| from + lanes);
        // SAFETY: `block` reads (U·4·N + taps·step) / 2 elements from x / 2 on in each half and writes
        // U·4·N samples at x. In blocks x + U·4·N ≤ n, as for all single vectors but the last, which reads
        // into the slack, and is written to `whole`, which has 4·N samples, of at most 16 bits.
        unsafe {
            let mut x = head;
            // Where each vector under a tap is a load, more of them at once, for which there are registers.
            if L::N == 16 && FOLD == ODD && !NEXT {
                x = self.blocks::<L, 4, NEXT, FOLD>(l, known, x, out, stream);
            }
            x = self.blocks::<L, 2, NEXT, FOLD>(l, known, x, out, stream);
            x = self.blocks::<L, 1, NEXT, FOLD>(l, known, x, out, stream);
            // The head's two vectors, and the last one.
            if head > 0 || x < n {
                let mut whole = [0u32; MAX_LANES];
                let from = head.saturating_sub(lanes);
                for (x, wanted) in [(0, head > 0), (from, head > 0), (x, x < n)] {
                    if wanted {
                        let fits = x + lanes <= n;
                        let to = if fits { out.add(x * bytes) } else { whole.as_mut_ptr().cast() };
                        self.block::<L, 1, NEXT, FOLD>(l, known, x, to, false);
                        if !fits {
                            self.out.end_from(x, &whole);
                        }
                    }
                }
            }
        }
    }

    /// For as many symmetric taps of one kernel as `block` takes for `FOLD`.
    #[inline(always)]
    fn known<L: Lanes, const FOLD: usize>(&self, l: L) -> Known<L> {
        let HalfInput { halves, taps } = self.inputs[0];
        let mut known = Known {
            side: [l.h_splat(0); SIDE],
            taps: [l.h_splat(0); MOST_UNROLLED.div_ceil(2)],
            places: [[std::ptr::null(); 2]; MOST_UNROLLED],
            finish: *self.finish,
        };
        if FOLD == ODD {
            known.side = side(l, taps);
        } else if FOLD > 0 {
            for (splat, tap) in known.taps.iter_mut().zip(&taps[..=FOLD / 2]) {
                *splat = l.h_splat(*tap);
            }
            for (i, places) in known.places[..FOLD].iter_mut().enumerate() {
                // SAFETY: `run` has checked that the halves reach `taps`·step samples.
                *places = unsafe { lie(halves.map(<[i16]>::as_ptr), i * self.step) };
            }
        }
        known
    }

    /// As many blocks from sample x on as are whole: where they end.
    ///
    /// # Safety
    ///
    /// As for `block`, of the row's samples; `out` must be where the row's start.
    #[inline(always)]
    unsafe fn blocks<L: Lanes, const U: usize, const NEXT: bool, const FOLD: usize>(
        &self,
        l: L,
        known: &Known<L>,
        mut x: usize,
        out: *mut u8,
        stream: bool,
    ) -> usize {
        let (n, block) = (self.out.len(), U * 4 * L::N);
        let bytes = self.out.sample().bytes();
        while x + block <= n {
            if let Some(next) = self.next.get(x..x + block) {
                prefetch(next);
            }
            // SAFETY: as promised by the caller; x + U·4·N ≤ n.
            unsafe { self.block::<L, U, NEXT, FOLD>(l, known, x, out.add(x * bytes), stream) }
            x += block;
        }
        x
    }

    /// The 4·N samples under each of K taps, which are an odd number, from element k of the halves on.
    ///
    /// # Safety
    ///
    /// The halves must be good for k + 2·N + (K − 1)·step / 2 + 1 elements.
    #[inline(always)]
    unsafe fn under<L: Lanes, const NEXT: bool, const K: usize>(
        &self,
        l: L,
        known: &Known<L>,
        k: usize,
    ) -> [Apart<L>; K] {
        let mut under = [Apart::splat(l, 0); K];
        // SAFETY: as promised by the caller.
        unsafe {
            for (i, under) in under.iter_mut().enumerate() {
                if !NEXT {
                    let [even, odd] = known.places[i];
                    *under = Apart { even: l.h_load(even.add(k)), odd: l.h_load(odd.add(k)) };
                } else if i % 2 == 0 {
                    let [even, odd] = self.inputs[0].halves.map(|half| half.as_ptr().add(k));
                    under.even = l.h_load(even.add(i / 2));
                    under.odd = l.h_load(odd.add(i / 2));
                }
            }
        }
        if NEXT {
            for i in (1..K).step_by(2) {
                under[i] = Apart { even: under[i - 1].odd, odd: under[i + 1].even };
            }
        }
        under
    }

    /// start + 4·N windows of K symmetric taps: samples that meet the same tap are added first.
    ///
    /// # Safety
    ///
    /// As for `under`.
    #[inline(always)]
    unsafe fn fold<L: Lanes, const NEXT: bool, const K: usize>(
        &self,
        l: L,
        known: &Known<L>,
        start: Apart<L>,
        k: usize,
    ) -> Apart<L> {
        // SAFETY: as promised by the caller.
        let under = unsafe { self.under::<L, NEXT, K>(l, known, k) };
        let mut sum = start.step::<HIGH>(l, under[K / 2], known.taps[K / 2]);
        for i in 0..K / 2 {
            let both = under[i].add(l, under[K - 1 - i]);
            sum = sum.step::<HIGH>(l, both, known.taps[i]);
        }
        sum
    }

    /// Adds U times 4·N windows of any odd number of symmetric taps, of which `side` has the first ones.
    ///
    /// # Safety
    ///
    /// The halves must be good for U·2·N + taps·step / 2 + 1 elements.
    #[inline(always)]
    unsafe fn fold_odd<L: Lanes, const U: usize, const NEXT: bool>(
        &self,
        l: L,
        sums: &mut [Apart<L>; U],
        [even, odd]: [*const i16; 2],
        side: &Side<L>,
    ) {
        let last = self.inputs[0].taps.len() - 1;
        let middle = last / 2;
        // SAFETY: as promised by the caller.
        unsafe {
            let under = lie([even, odd], middle * self.step);
            for (u, sum) in sums.iter_mut().enumerate() {
                *sum = sum.step::<HIGH>(l, Apart::load_halves(l, under, u), side[middle]);
            }
            if !NEXT {
                for (i, tap) in side[..middle].iter().enumerate() {
                    let first = lie([even, odd], i * self.step);
                    let last = lie([even, odd], (last - i) * self.step);
                    for (u, sum) in sums.iter_mut().enumerate() {
                        let first = Apart::load_halves(l, first, u);
                        let both = first.add(l, Apart::load_halves(l, last, u));
                        *sum = sum.step::<HIGH>(l, both, *tap);
                    }
                }
                return;
            }
            // Of two taps and their opposites, eight vectors are four, and two of these the next ones'.
            let at = |half: *const i16, i: usize, u: usize| half.add(i + u * 2 * L::N);
            let [mut upper, mut lower] = [[l.h_splat(0); U]; 2];
            for u in 0..U {
                upper[u] = l.h_load(at(even, 0, u));
                lower[u] = l.h_load(at(odd, middle, u));
            }
            let (pairs, rest) = side[..middle].as_chunks::<2>();
            for (k, [one, two]) in pairs.iter().enumerate() {
                for (u, sum) in sums.iter_mut().enumerate() {
                    let first = Apart { even: upper[u], odd: l.h_load(at(odd, k, u)) };
                    let last = Apart { even: l.h_load(at(even, middle - k, u)), odd: lower[u] };
                    *sum = sum.step::<HIGH>(l, first.add(l, last), *one);
                    upper[u] = l.h_load(at(even, k + 1, u));
                    lower[u] = l.h_load(at(odd, middle - k - 1, u));
                    let first = Apart { even: first.odd, odd: upper[u] };
                    let last = Apart { even: lower[u], odd: last.even };
                    *sum = sum.step::<HIGH>(l, first.add(l, last), *two);
                }
            }
            if let [tap] = rest {
                let k = pairs.len();
                for (u, sum) in sums.iter_mut().enumerate() {
                    let first = Apart { even: upper[u], odd: l.h_load(at(odd, k, u)) };
                    let last = Apart { even: l.h_load(at(even, middle - k, u)), odd: lower[u] };
                    *sum = sum.step::<HIGH>(l, first.add(l, last), *tap);
                }
            }
        }
    }

    /// U times 4·N samples of the output from x on, which must be even. NEXT: the step is 1. FOLD: so many
    /// symmetric taps of one kernel, 5 or 7, or [`ODD`]; 0 for any others.
    ///
    /// # Safety
    ///
    /// Every half must have (x + U·4·N + taps·step) / 2 + 1 elements, `out` U·4·N samples of the output's
    /// type; to `stream`, `out` must be a multiple of the vector's size.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize, const NEXT: bool, const FOLD: usize>(
        &self,
        l: L,
        known: &Known<L>,
        x: usize,
        out: *mut u8,
        stream: bool,
    ) {
        let finish = &known.finish;
        let mut acc = [[Apart::splat(l, 0); M]; U];
        for acc in &mut acc {
            for (acc, fixed) in acc.iter_mut().zip(&finish.fixed) {
                *acc = Apart::splat(l, fixed.start);
            }
        }
        let lanes = 2 * L::N;
        // SAFETY: as promised by the caller.
        unsafe {
            for (m, HalfInput { halves, taps }) in self.inputs.iter().enumerate() {
                let [even, odd] = halves.map(|half| half.as_ptr().add(x / 2));
                if FOLD == ODD {
                    let mut sums = [acc[0][m]; U];
                    self.fold_odd::<L, U, NEXT>(l, &mut sums, [even, odd], &known.side);
                    for (acc, sum) in acc.iter_mut().zip(sums) {
                        acc[m] = sum;
                    }
                } else if FOLD > 0 {
                    for (u, acc) in acc.iter_mut().enumerate() {
                        let k = x / 2 + u * lanes;
                        acc[m] = match FOLD {
                            5 => self.fold::<L, NEXT, 5>(l, known, acc[m], k),
                            _ => self.fold::<L, NEXT, 7>(l, known, acc[m], k),
                        };
                    }
                } else if NEXT {
                    // Under two taps lie an even, an odd and another even sample of each pair.
                    let mut first = [l.h_splat(0); U];
                    for (u, first) in first.iter_mut().enumerate() {
                        *first = l.h_load(even.add(u * lanes));
                    }
                    let (pairs, last) = taps.as_chunks::<2>();
                    for (k, pair) in pairs.iter().enumerate() {
                        let (one, two) = (l.h_splat(pair[0]), l.h_splat(pair[1]));
                        for (u, acc) in acc.iter_mut().enumerate() {
                            let second = l.h_load(odd.add(k + u * lanes));
                            let third = l.h_load(even.add(k + 1 + u * lanes));
                            let under = Apart { even: first[u], odd: second };
                            acc[m] = acc[m].step::<HIGH>(l, under, one);
                            let under = Apart { even: second, odd: third };
                            acc[m] = acc[m].step::<HIGH>(l, under, two);
                            first[u] = third;
                        }
                    }
                    if let [tap] = last {
                        let tap = l.h_splat(*tap);
                        for (u, acc) in acc.iter_mut().enumerate() {
                            let second = l.h_load(odd.add(pairs.len() + u * lanes));
                            let under = Apart { even: first[u], odd: second };
                            acc[m] = acc[m].step::<HIGH>(l, under, tap);
                        }
                    }
                } else {
                    for (i, tap) in taps.iter().enumerate() {
                        let under = lie([even, odd], i * self.step);
                        let tap = l.h_splat(*tap);
                        for (u, acc) in acc.iter_mut().enumerate() {
                            let under = Apart::load_halves(l, under, u);
                            acc[m] = acc[m].step::<HIGH>(l, under, tap);
                        }
                    }
                }
            }
            let mut results = [Apart::splat(l, 0); U];
            for (result, acc) in results.iter_mut().zip(&acc) {
                let mut even = [acc[0].even; M];
                let mut odd = even;
                for (m, acc) in acc.iter().enumerate() {
                    (even[m], odd[m]) = (acc.even, acc.odd);
                }
                result.even = Words::result(l, even, finish);
                result.odd = Words::result(l, odd, finish);
            }
            with_narrow!(self.out.sample(), O => {
                for (u, Apart { even, odd }) in results.into_iter().enumerate() {
                    O::store_apart(l, out.cast::<O>().add(2 * u * lanes), even, odd, stream);
                }
            });
        }
    }
}
