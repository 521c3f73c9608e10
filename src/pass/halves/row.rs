//! The row pass in 16 bits: a scratch row of two halves into output samples.

use super::{Apart, HALF_SLACK, MOST_SYMMETRIC, SIDE, Side, aligned_from, lie, side};
use crate::pass::I16;
use crate::pass::{Finish, OutRow, SAMPLE_BITS, with_narrow};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

/// For any odd number of symmetric taps, of which a [`Side`] has half.
const ODD: usize = 1;

/// Most symmetric taps that have a loop of their own.
const MOST_UNROLLED: usize = 7;

/// What the blocks of a row share, worked out once.
struct Shared<L: Lanes> {
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

/// What samples of the image are multiplied by where they are added to sums: `whole`, and for each 2^[`SAMPLE_BITS`]
/// of them a `part`, in units of 2⁻¹⁵, rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Identity {
    pub whole: i16,
    pub part: i16,
}

/// `out[x] = finish(Σ_i taps[i] · scratch[x + i·step])`, as [`Row`](crate::pass::Row). HIGH: taps are in
/// units of 2⁻¹⁵, and products are rounded.
pub struct RowHalves<'a, const HIGH: bool, const M: usize> {
    /// What to read; each half has (n + taps·step) / 2 elements and [`HALF_SLACK`] more, whose values
    /// do not matter.
    pub inputs: [HalfInput<'a>; M],
    /// Elements from one tap to the next: channels.
    pub step: usize,
    /// HIGH: whether two elements may be added in 16 bits, which symmetric taps then are multiplied by.
    pub adds: bool,
    /// HIGH, of one kernel: the samples that are added, as many as are written.
    pub identity: Option<(Identity, &'a [u8])>,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way; a byte for each sample that is written.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

/// Whether samples that meet the same of a lone kernel's taps are added before they are multiplied, if they may be.
pub fn folds_row(taps: &[i16]) -> bool {
    let count = taps.len();
    count % 2 == 1 && (3..=MOST_SYMMETRIC).contains(&count) && taps.iter().eq(taps.iter().rev())
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
        assert!(self.identity.is_none_or(|(_, samples)| HIGH && M == 1 && samples.len() == n));
        let taps = self.inputs[0].taps;
        let fold = (self.adds || !HIGH) && folds_row(taps);
        match (self.step, taps.len()) {
            (1, 5) if const { M == 1 } && fold => self.row::<L, true, 5>(l),
            (_, 5) if const { M == 1 } && fold => self.row::<L, false, 5>(l),
            (1, 7) if const { M == 1 } && fold => self.row::<L, true, 7>(l),
            (_, 7) if const { M == 1 } && fold => self.row::<L, false, 7>(l),
            (1, _) if const { M == 1 } && fold => self.row::<L, true, ODD>(l),
            (_, _) if const { M == 1 } && fold => self.row::<L, false, ODD>(l),
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
        let shared = &self.shared::<L, FOLD>(l);
        let (out, bytes) = (self.out.as_mut_ptr(), self.out.sample().bytes());
        // Whole lines are streamed, and no other store may touch those: before them lie two vectors.
        let from = aligned_from(out.addr(), bytes, lanes, 1);
        let from = from.filter(|_| self.stream && n >= 3 * lanes);
        let stream = from.is_some();
        let head = from.filter(|from| *from > 0).map_or(0, |from| from + lanes);
        // SAFETY: `block` reads (U·4·N + taps·step) / 2 elements from x / 2 on in each half and writes
        // U·4·N samples at x. In blocks x + U·4·N ≤ n, as for all single vectors but the last, which reads
        // into the slack, and is written to `whole`, which has 4·N samples, of at most 16 bits; the samples that it
        // adds are copied to `rest`, which has as many.
        unsafe {
            let mut x = head;
            // Where each vector under a tap is a load, more of them at once, for which there are registers.
            if const { L::N == 16 && FOLD == ODD && !NEXT } {
                x = self.blocks::<L, 4, NEXT, FOLD>(l, shared, x, out, stream);
            }
            x = self.blocks::<L, 2, NEXT, FOLD>(l, shared, x, out, stream);
            x = self.blocks::<L, 1, NEXT, FOLD>(l, shared, x, out, stream);
            // The head's two vectors, and the last one.
            if head > 0 || x < n {
                let (mut whole, mut rest) = ([0u32; MAX_LANES], [0u8; 4 * MAX_LANES]);
                let from = head.saturating_sub(lanes);
                for (x, wanted) in [(0, head > 0), (from, head > 0), (x, x < n)] {
                    if wanted {
                        let fits = x + lanes <= n;
                        let to = if fits { out.add(x * bytes) } else { whole.as_mut_ptr().cast() };
                        let mut added = self.added(x);
                        if let Some((_, samples)) = self.identity.filter(|_| !fits) {
                            rest[..n - x].copy_from_slice(&samples[x..]);
                            added = rest.as_ptr();
                        }
                        self.block::<L, 1, NEXT, FOLD>(l, shared, x, added, to, false);
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
    fn shared<L: Lanes, const FOLD: usize>(&self, l: L) -> Shared<L> {
        let HalfInput { halves, taps } = self.inputs[0];
        let mut shared = Shared {
            side: [l.h_splat(0); SIDE],
            taps: [l.h_splat(0); MOST_UNROLLED.div_ceil(2)],
            places: [[std::ptr::null(); 2]; MOST_UNROLLED],
            finish: *self.finish,
        };
        if FOLD == ODD {
            shared.side = side(l, taps);
        } else if FOLD > 0 {
            for (splat, tap) in shared.taps.iter_mut().zip(&taps[..=FOLD / 2]) {
                *splat = l.h_splat(*tap);
            }
            for (i, places) in shared.places[..FOLD].iter_mut().enumerate() {
                *places = lie(halves.map(<[i16]>::as_ptr), i * self.step);
            }
        }
        shared
    }

    /// The samples to be added from x on; of none, null.
    #[inline(always)]
    fn added(&self, x: usize) -> *const u8 {
        self.identity.map_or(std::ptr::null(), |(_, samples)| samples.as_ptr().wrapping_add(x))
    }

    /// Adds samples of the image to U times 4·N sums, if that is to be.
    ///
    /// # Safety
    ///
    /// If they are, there must be as many of them from `added` on.
    #[inline(always)]
    unsafe fn add_samples<L: Lanes, const U: usize>(
        &self,
        l: L,
        acc: &mut [[Apart<L>; M]; U],
        added: *const u8,
    ) {
        if const { HIGH && M == 1 }
            && let Some((Identity { whole, part }, _)) = self.identity
        {
            let (whole, scale) = (l.h_splat(whole), l.h_splat(1 << SAMPLE_BITS));
            for (u, acc) in acc.iter_mut().enumerate() {
                // SAFETY: as promised by the caller.
                let samples = Apart::of(l, unsafe { l.h_load(added.add(u * 4 * L::N).cast()) });
                acc[0] = acc[0].step::<false>(l, samples, whole);
                if part != 0 {
                    let scaled = Apart::splat(l, 0).step::<false>(l, samples, scale);
                    acc[0] = acc[0].step::<true>(l, scaled, l.h_splat(part));
                }
            }
        }
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
        shared: &Shared<L>,
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
            unsafe {
                let to = out.add(x * bytes);
                self.block::<L, U, NEXT, FOLD>(l, shared, x, self.added(x), to, stream);
            }
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
        shared: &Shared<L>,
        k: usize,
    ) -> [Apart<L>; K] {
        let mut under = [Apart::splat(l, 0); K];
        // SAFETY: as promised by the caller.
        unsafe {
            for (i, under) in under.iter_mut().enumerate() {
                if !NEXT {
                    let [even, odd] = shared.places[i];
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

    /// start + 4·N windows of K symmetric taps, `under` which these lie: samples that meet the same tap are
    /// added first.
    #[inline(always)]
    fn fold<L: Lanes, const K: usize>(
        l: L,
        shared: &Shared<L>,
        start: Apart<L>,
        under: [Apart<L>; K],
    ) -> Apart<L> {
        let mut sum = start.step::<HIGH>(l, under[K / 2], shared.taps[K / 2]);
        for i in 0..K / 2 {
            let both = under[i].add(l, under[K - 1 - i]);
            sum = sum.step::<HIGH>(l, both, shared.taps[i]);
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
    /// Every half must have (x + U·4·N + taps·step) / 2 + 1 elements, `added` U·4·N samples, if some are, and `out`
    /// as many of the output's type; to `stream`, `out` must be a multiple of the vector's size.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize, const NEXT: bool, const FOLD: usize>(
        &self,
        l: L,
        shared: &Shared<L>,
        x: usize,
        added: *const u8,
        out: *mut u8,
        stream: bool,
    ) {
        let finish = &shared.finish;
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
                if const { FOLD == ODD } {
                    // All start with the same.
                    let mut sums = [acc[0][m]; U];
                    self.fold_odd::<L, U, NEXT>(l, &mut sums, [even, odd], &shared.side);
                    for (acc, sum) in acc.iter_mut().zip(sums) {
                        acc[m] = sum;
                    }
                } else if const { FOLD > 0 } {
                    for (u, acc) in acc.iter_mut().enumerate() {
                        let k = x / 2 + u * lanes;
                        acc[m] = if const { FOLD == 5 } {
                            Self::fold(l, shared, acc[m], self.under::<L, NEXT, 5>(l, shared, k))
                        } else {
                            Self::fold(l, shared, acc[m], self.under::<L, NEXT, 7>(l, shared, k))
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
            self.add_samples(l, &mut acc, added);
            let mut results = [Apart::splat(l, 0); U];
            for (result, acc) in results.iter_mut().zip(&acc) {
                let mut even = [acc[0].even; M];
                let mut odd = even;
                for (m, acc) in acc.iter().enumerate() {
                    (even[m], odd[m]) = (acc.even, acc.odd);
                }
                result.even = I16::result(l, even, finish);
                result.odd = I16::result(l, odd, finish);
            }
            with_narrow!(self.out.sample(), O => {
                for (u, Apart { even, odd }) in results.into_iter().enumerate() {
                    O::store_apart(l, out.cast::<O>().add(2 * u * lanes), even, odd, stream);
                }
            });
        }
    }
}
