//! The row pass: one scratch row, weighted with taps a fixed step apart, into output samples.

use super::datapath::Datapath;
use super::sum::{AnyRow, copy, with_row};
use super::{Finish, OutRow, each, first_of_line, with_sample};
use crate::simd::{Job, Lanes, MAX_LANES, prefetch};

/// The scratch row of one kernel and its horizontal taps.
pub struct Input<'a, R: Datapath> {
    /// Element i·step lies under tap i of the first output sample.
    pub scratch: &'a [R::Elem],
    /// One per tap, or per pair of taps.
    pub taps: &'a [R::Tap],
}

/// `out[x] = finish(Σ_i taps[i] · scratch[x + i·step])`, for one kernel or (M = 2) the two of a
/// magnitude; of one kernel, a multiple of the image's own sample may be added to the sum.
pub struct Row<'a, R: Datapath, const M: usize> {
    /// What to read; each scratch row has n + (taps − 1)·step elements and `MAX_LANES` more,
    /// whose values do not matter.
    pub inputs: [Input<'a, R>; M],
    /// Horizontal taps of each kernel, before pairing.
    pub count: usize,
    /// Elements from one tap to the next: channels × dilation.
    pub step: usize,
    /// From accumulator to sample.
    pub finish: &'a Finish,
    /// In which order products are added.
    pub order: RowOrder,
    /// Of one kernel, in an arithmetic that [adds](Datapath::ADDS_IMAGE) it: the image's samples, as many as are written, and
    /// what they are multiplied by. They are added last.
    pub image: Option<(AnyRow<'a>, R::Tap)>,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way; as much for each sample that is written.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

/// In which order a row pass of floats adds its products. It is part of a plan, whose bound is that of this
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowOrder {
    /// From the first tap to the last.
    #[default]
    InOrder,
    /// Samples that meet the same of symmetric taps are added before they are multiplied, from the outermost
    /// two to the one in the middle.
    Folded,
    /// Taps so many apart, whose samples are whole vectors apart, one after the other: those loads serve several
    /// vectors.
    Shared {
        /// Taps from one to the next.
        apart: usize,
    },
}

impl RowOrder {
    /// The fastest order for one kernel's taps, `step` samples from one to the next. FUSED: for lanes of this
    /// number, as such results are those of one level only.
    pub fn of(taps: &[f32], step: usize, fused: Option<usize>) -> Self {
        // Where a vector is a whole cache line, all but one in so many loads lie across two.
        if let Some(lanes) = fused.filter(|lanes| *lanes == SHARED_LANES) {
            // Taps so far apart are whole vectors apart: these are one behind the other, or three (of RGB).
            let apart = lanes >> step.trailing_zeros().min(lanes.trailing_zeros());
            if taps.len() > apart && matches!(step * apart / lanes, 1 | 3) {
                return Self::Shared { apart };
            }
        }
        let symmetric = taps.iter().eq(taps.iter().rev());
        if taps.len() >= FOLDED_FROM && symmetric { Self::Folded } else { Self::InOrder }
    }

    /// The numbers of `count` taps in this order; in pairs where it is [`Folded`](Self::Folded).
    pub fn taps(self, count: usize) -> Vec<usize> {
        match self {
            Self::InOrder => (0..count).collect(),
            Self::Folded => (0..count.div_ceil(2))
                .flat_map(|i| {
                    [i, count - 1 - i].into_iter().take(if 2 * i + 1 == count { 1 } else { 2 })
                })
                .collect(),
            Self::Shared { apart } => {
                (0..apart.min(count)).flat_map(|first| (first..count).step_by(apart)).collect()
            }
        }
    }
}

/// Lanes of vectors that are whole cache lines.
const SHARED_LANES: usize = 16;

impl<R: Datapath, const M: usize> Job for Row<'_, R, M> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let n = self.out.len();
        assert!(self.image.is_none_or(|(row, _)| R::ADDS_IMAGE && M == 1 && row.len() == n));
        for input in &self.inputs {
            assert!(input.taps.len() == self.count.div_ceil(R::PAIRED) && self.count > 0);
            assert!(input.scratch.len() >= n + (self.count - 1) * self.step + MAX_LANES);
        }
        match self.order {
            RowOrder::Shared { apart } if const { R::SHARES && M == 1 && L::N == SHARED_LANES } => {
                match self.step * apart / L::N {
                    1 => self.row::<L, false, 1>(l),
                    3 => self.row::<L, false, 3>(l),
                    _ => unreachable!("no plan shares other steps"),
                }
            }
            RowOrder::Folded if const { R::FOLDS && M == 1 } => self.row::<L, true, 0>(l),
            RowOrder::InOrder => self.row::<L, false, 0>(l),
            _ => unreachable!("no plan of this arithmetic has that order"),
        }
    }
}

/// Taps from which folding is faster.
const FOLDED_FROM: usize = 9;

impl<R: Datapath, const M: usize> Row<'_, R, M> {
    /// All samples, FOLDed (see [`folded`](Self::folded)), or if SHARED is not 0 [`shared`](Self::shared).
    #[inline(always)]
    fn row<L: Lanes, const FOLD: bool, const SHARED: usize>(mut self, l: L) {
        let n = self.out.len();
        let lanes = R::lanes::<L>();
        let bytes = self.out.sample().bytes();
        let mut whole = [0u32; MAX_LANES];
        let out = if n < lanes { whole.as_mut_ptr().cast() } else { self.out.as_mut_ptr() };
        // Whole lines are streamed, and no other store may touch those.
        let first = self.stream.then(|| first_of_line(out.addr(), bytes, lanes)).flatten();
        let first = first.filter(|first| first + lanes <= n);
        let (stream, first) = (first.is_some(), first.unwrap_or(0));
        // SAFETY: `block` reads U·lanes elements from x + i·step on, i < count, or a vector more, and writes
        // U·lanes samples at x. In blocks x + U·lanes ≤ n, single vectors end at `end` ≤ n or before; a
        // row shorter than a vector reads into the slack and writes to `whole`, which has `lanes` samples. The image has
        // n samples, as `out`.
        unsafe {
            let mut x = first;
            // The more at once, the more is shared, as far as the registers go.
            if const { SHARED > 0 } {
                x = self.blocks::<L, 8, FOLD, SHARED>(l, x, n, out, stream);
            }
            x = self.blocks::<L, 4, FOLD, SHARED>(l, x, n, out, stream);
            for (mut x, end) in [(0, first), (x, n.max(lanes))] {
                while x < end {
                    self.block::<L, 1, FOLD, SHARED>(l, x.min(end - lanes), out, false);
                    x += lanes;
                }
            }
        }
        if n < lanes {
            self.out.copy_from(&whole);
        }
    }

    /// As many times U vectors as there are from sample x of n on. Returns where they end.
    ///
    /// # Safety
    ///
    /// The inputs and `out` must have what n samples need; to `stream`, a cache line must begin at sample x.
    #[inline(always)]
    unsafe fn blocks<L: Lanes, const U: usize, const FOLD: bool, const SHARED: usize>(
        &self,
        l: L,
        mut x: usize,
        n: usize,
        out: *mut u8,
        stream: bool,
    ) -> usize {
        let lanes = R::lanes::<L>();
        let each = self.next.len() / n.max(1);
        while x + U * lanes <= n {
            if let Some(next) = self.next.get(each * x..each * (x + U * lanes)) {
                prefetch(next);
            }
            // The last vector of all must not overlap these.
            let whole = x + (U + 1) * lanes <= n || x + U * lanes == n;
            // SAFETY: as promised by the caller; x + U·lanes ≤ n.
            unsafe { self.block::<L, U, FOLD, SHARED>(l, x, out, stream && whole) };
            x += U * lanes;
        }
        x
    }

    /// U vectors of the output `out` from sample x on.
    ///
    /// # Safety
    ///
    /// Every scratch row must have x + (count − 1)·step + (U + 1)·lanes elements, `out` x + U·lanes
    /// samples of the output's type, and the image, unless it is shorter than a vector and U is 1; to `stream`, sample x
    /// must be where a vector may be streamed.
    #[inline(always)]
    unsafe fn block<L: Lanes, const U: usize, const FOLD: bool, const SHARED: usize>(
        &self,
        l: L,
        x: usize,
        out: *mut u8,
        stream: bool,
    ) {
        let lanes = R::lanes::<L>();
        let mut acc = [[R::start(l, 0); M]; U];
        for acc in &mut acc {
            for (acc, fixed) in acc.iter_mut().zip(&self.finish.fixed) {
                *acc = R::start(l, fixed.start);
            }
        }
        // SAFETY: tap k starts at element x + k·PAIRED·step, the second of a pair at the next tap's,
        // limited to the last tap; the caller promises U·lanes elements from there. The image has as many samples as
        // `out`, or fewer than a vector, which are copied.
        unsafe {
            for (m, input) in self.inputs.iter().enumerate() {
                if FOLD {
                    self.folded(l, x, input, &mut acc);
                    continue;
                }
                if const { SHARED > 0 } {
                    self.shared::<L, U, SHARED>(l, x, input, &mut acc);
                    continue;
                }
                let p = input.scratch.as_ptr().add(x);
                for k in 0..input.taps.len() {
                    let first = k * R::PAIRED;
                    let a = p.add(first * self.step);
                    let b = p.add((first + R::PAIRED - 1).min(self.count - 1) * self.step);
                    let tap = R::splat(l, *input.taps.get_unchecked(k));
                    for (u, acc) in acc.iter_mut().enumerate() {
                        let x = R::load_scratch(l, a.add(u * lanes), b.add(u * lanes));
                        acc[m] = R::step(l, acc[m], x, tap);
                    }
                }
            }
            if const { R::ADDS_IMAGE && M == 1 }
                && let Some((row, tap)) = self.image
            {
                let tap = R::splat(l, tap);
                with_row!(row, row => {
                    for (u, acc) in acc.iter_mut().enumerate() {
                        let samples = if U == 1 && row.len() < lanes {
                            let whole = copy(row);
                            R::load(l, whole.as_ptr(), whole.as_ptr())
                        } else {
                            let p = row.as_ptr().add(x + u * lanes);
                            R::load(l, p, p)
                        };
                        acc[0] = R::step(l, acc[0], samples, tap);
                    }
                });
            }
            with_sample!(self.out.sample(), O => {
                R::finish(l, acc, self.finish, stream, out.cast::<O>().add(x));
            });
        }
    }

    /// Adds the sums of U vectors, where every so many taps are as many elements apart as APART vectors have:
    /// what lies under one of those for one vector lies under the next one for the vector APART before it, and
    /// is loaded once. It is loads that such rows wait for.
    ///
    /// # Safety
    ///
    /// As for `block`.
    #[inline(always)]
    unsafe fn shared<L: Lanes, const U: usize, const APART: usize>(
        &self,
        l: L,
        x: usize,
        input: &Input<'_, R>,
        acc: &mut [[R::Acc<L>; M]; U],
    ) {
        let lanes = R::lanes::<L>();
        let apart = APART * lanes / self.step;
        let kept = U.saturating_sub(APART);
        // SAFETY: as in `block`.
        unsafe {
            let p = input.scratch.as_ptr().add(x);
            for first in 0..apart.min(self.count) {
                let mut under = [R::start(l, 0); U];
                each!(U, u => if u < kept {
                    let q = p.add(first * self.step + u * lanes);
                    under[u + APART] = R::load_scratch(l, q, q);
                });
                let mut i = first;
                while i < self.count {
                    let tap = R::splat(l, *input.taps.get_unchecked(i));
                    each!(U, u => {
                        if u < kept {
                            under[u] = under[u + APART];
                        } else {
                            let q = p.add(i * self.step + u * lanes);
                            under[u] = R::load_scratch(l, q, q);
                        }
                        acc[u][0] = R::step(l, acc[u][0], under[u], tap);
                    });
                    i += apart;
                }
            }
        }
    }

    /// Adds the sums of U vectors under symmetric taps, from the outermost two to the one in the middle.
    ///
    /// # Safety
    ///
    /// As for `block`.
    #[inline(always)]
    unsafe fn folded<L: Lanes, const U: usize>(
        &self,
        l: L,
        x: usize,
        input: &Input<'_, R>,
        acc: &mut [[R::Acc<L>; M]; U],
    ) {
        let (count, step, lanes) = (self.count, self.step, R::lanes::<L>());
        let half = count / 2;
        // SAFETY: as in `block`; the vectors from `last` / lanes · lanes on reach one further than those
        // from `last` on.
        unsafe {
            let p = input.scratch.as_ptr().add(x);
            let mut i = 0;
            if const { U == 4 && L::PERMUTES_TWO } {
                // Vectors that lie across cache lines take the load ports twice as long. Those under the
                // upper taps are put together from whole ones, which serve several taps.
                let first = l.i_load(UPWARDS.as_ptr());
                while i < half {
                    let whole = (count - 1 - i) * step / lanes * lanes;
                    let end = (count - whole.div_ceil(step)).min(half);
                    let mut parts = [R::start(l, 0); 5];
                    for (u, part) in parts.iter_mut().enumerate() {
                        let q = p.add(whole + u * lanes);
                        *part = R::load_scratch(l, q, q);
                    }
                    while i < end {
                        let tap = R::splat(l, *input.taps.get_unchecked(i));
                        let shift = (count - 1 - i) * step - whole;
                        let index = l.i_add(first, l.i_splat(shift as i32));
                        for (u, acc) in acc.iter_mut().enumerate() {
                            let q = p.add(i * step + u * lanes);
                            let (a, b) = (parts[u % 5], parts[(u + 1) % 5]);
                            let upper = R::shifted(l, a, b, index);
                            let both = R::fold(l, R::load_scratch(l, q, q), upper);
                            acc[0] = R::step(l, acc[0], both, tap);
                        }
                        i += 1;
                    }
                }
            }
            while i < half {
                let tap = R::splat(l, *input.taps.get_unchecked(i));
                for (u, acc) in acc.iter_mut().enumerate() {
                    let a = p.add(i * step + u * lanes);
                    let b = p.add((count - 1 - i) * step + u * lanes);
                    let both = R::fold(l, R::load_scratch(l, a, a), R::load_scratch(l, b, b));
                    acc[0] = R::step(l, acc[0], both, tap);
                }
                i += 1;
            }
            if count % 2 == 1 {
                let tap = R::splat(l, *input.taps.get_unchecked(half));
                for (u, acc) in acc.iter_mut().enumerate() {
                    let q = p.add(half * step + u * lanes);
                    acc[0] = R::step(l, acc[0], R::load_scratch(l, q, q), tap);
                }
            }
        }
    }
}

/// The lanes' numbers.
static UPWARDS: [i32; MAX_LANES] = {
    let mut all = [0; MAX_LANES];
    let mut i = 0;
    while i < MAX_LANES {
        all[i] = i as i32;
        i += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Post;
    use crate::pass::{F32, F32Fused, Fixed, I32, noise};
    use crate::simd::Level;

    const LENGTHS: [usize; 7] = [1, 7, 16, 31, 64, 130, 300];

    /// Writes a row of floats at a level.
    fn floats<R: Datapath<Elem = f32, Tap = f32>>(
        level: Level,
        (scratch, taps, step): (&[f32], &[f32], usize),
        order: RowOrder,
        image: Option<(AnyRow<'_>, f32)>,
        n: usize,
    ) -> Vec<f32> {
        let mut out = vec![0f32; n];
        level.run(Row::<R, 1> {
            inputs: [Input { scratch, taps }],
            count: taps.len(),
            step,
            finish: &Finish { offset: 2.5, ..Finish::PLAIN },
            order,
            image,
            stream: image.is_some(),
            next: &[],
            out: OutRow::new(&mut out),
        });
        out
    }

    #[test]
    fn products_are_added_in_order() {
        for (count, step) in [(1, 1), (4, 3), (9, 1), (9, 3), (14, 1), (31, 2)] {
            let at = |i: usize| i.min(count - 1 - i) as f32;
            let taps: Vec<f32> = (0..count).map(|i| 0.31 - 0.07 * at(i)).collect();
            for n in LENGTHS {
                let scratch: Vec<f32> =
                    noise::floats(n + (count - 1) * step + MAX_LANES, 0).collect();
                let samples: Vec<u16> = (0..n).map(|x| (x * 40_503) as u16).collect();
                for order in [RowOrder::InOrder, RowOrder::Folded] {
                    for image in [None, Some((AnyRow::U16(&samples), 0.7f32))] {
                        let expected = |x: usize| {
                            let group = if order == RowOrder::Folded { 2 } else { 1 };
                            let mut sum = 0f32;
                            for taken in order.taps(count).chunks(group) {
                                let all: f32 = taken.iter().map(|i| scratch[x + i * step]).sum();
                                sum += all * taps[taken[0]];
                            }
                            if let Some((_, tap)) = image {
                                sum += f32::from(samples[x]) * tap;
                            }
                            sum + 2.5
                        };
                        for level in Level::available() {
                            let input = (&scratch[..], &taps[..], step);
                            let out = floats::<F32>(level, input, order, image, n);
                            let fused = floats::<F32Fused>(level, input, order, image, n);
                            for x in 0..n {
                                let expected = expected(x);
                                assert_eq!(out[x], expected, "{level}, {x} of {n}, {order:?}");
                                let near =
                                    (fused[x] - expected).abs() <= 1e-5 * (9.0 + expected.abs());
                                assert!(near, "{level}, {x} of {n}, {order:?}: {}", fused[x]);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn magnitudes_of_integers() {
        let taps: [Vec<i32>; 2] = [vec![5, -3, 2, 9], vec![-1, 7, 7, -2]];
        for (n, step) in LENGTHS.into_iter().flat_map(|n| [(n, 1), (n, 3)]) {
            let len = n + 3 * step + MAX_LANES;
            let scratch: Vec<i32> = noise::floats(len, 0).map(|v| (v * 1000.0) as i32).collect();
            let fixed = Fixed { unit: 1.0, ..Fixed::default() };
            let finish = Finish { post: Post::Magnitude, fixed: [fixed; 2], ..Finish::PLAIN };
            for level in Level::available() {
                let mut out = vec![0f32; n];
                level.run(Row::<I32, 2> {
                    inputs: taps.each_ref().map(|taps| Input { scratch: &scratch, taps }),
                    count: 4,
                    step,
                    finish: &finish,
                    order: RowOrder::InOrder,
                    image: None,
                    stream: true,
                    next: &[],
                    out: OutRow::new(&mut out),
                });
                for (x, value) in out.iter().enumerate() {
                    let sum = |taps: &[i32]| {
                        let products =
                            taps.iter().enumerate().map(|(i, t)| t * scratch[x + i * step]);
                        f64::from(products.sum::<i32>())
                    };
                    let expected = sum(&taps[0]).hypot(sum(&taps[1]));
                    let off = (f64::from(*value) - expected).abs();
                    assert!(off <= 1e-6 * expected, "{level}, {x} of {n}: {value}, {expected}");
                }
            }
        }
    }
}
