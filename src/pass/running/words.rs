//! Running sums of `u8` samples in 16 bits, for means of windows. Even and odd samples of a row, which are
//! the even and odd bytes of a vector, are kept apart in rows of their own, called the two halves. Of four
//! channels, these are even and odd pixels ([`parity_unit`]).
//!
//! Column sums are exact, less 2¹⁵ so that they have a sign. Prefix sums wrap; only their differences, the
//! windows, must fit into 16 bits. Where whole sums do, they are divided, exactly. Otherwise column sums are
//! multiplied by the common tap on their way to the prefix sums, in units so small that a window just
//! fits, and rounded: a window is off by at most half such a unit for each column.
//!
//! With an odd number of channels, or pixels apart, a pixel's neighbour lies in the other half. The prefix sums are then
//! those of pairs: an even sample and its neighbour to the right.

use super::{PIECE, last_pixel, one_by_one};
use crate::pass::halves::{HALF_SLACK, aligned_from, places};
use crate::pass::{OutRow, with_narrow};
use crate::sample::SampleType;
use crate::simd::{Job, Lanes, Level, MAX_LANES, SampleLanes, prefetch};

/// The common tap of a mean, in the forms that sums of words need.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// What column sums are multiplied by: the tap in units of 2^−15 of a window's unit, rounded up. 0 where
    /// they stay whole.
    pub tap: i16,
    /// What a window is multiplied by. With a tap, to make up for its rounding, in units of 2^−15; 0 is
    /// 1. Without, in units of 2^−16, less 1.
    pub factor: i16,
    /// Without a tap, what is added to a window first.
    pub half: i16,
    /// Fraction bits of a window that was multiplied.
    pub shift: u32,
}

/// What column sums start with: the least that 16 bits with a sign hold.
pub const LEAST_SUM: i16 = i16::MIN;

impl Share {
    /// For means of `count` samples of 8 bits, if their sums fit and can be divided exactly: as by Granlund and
    /// Montgomery, "Division by Invariant Integers using Multiplication" (1994), rounded to the next.
    pub fn whole(count: u32) -> Option<Self> {
        if !(4..=256).contains(&count) {
            return None;
        }
        // The largest factor of 16 bits: between 2¹⁵ and 2¹⁶.
        let shift = count.ilog2() - u32::from(count.is_power_of_two());
        let factor = (1u32 << (16 + shift)).div_ceil(count);
        // (S + half) · factor / 2^(16 + shift), rounded down, for sums S. The product is made of S less 2¹⁵,
        // which takes half of an odd factor too much; one more in S makes up for more than that.
        let odd = factor % 2;
        let half = count / 2 + odd;
        // The factor is too large by less than 1. The product must not reach the next whole quotient, which is a
        // count-th of 2^shift away, or ½ where that was made up for.
        let excess = u64::from(factor * count - (1 << (16 + shift)));
        let room = if odd == 1 { u64::from(count) << 15 } else { 1 << (16 + shift) };
        let exact = u64::from(255 * count + count / 2) * excess < room;
        exact.then_some(Self { tap: 0, factor: factor as u16 as i16, half: half as i16, shift })
    }

    /// Whether means are exact.
    pub fn is_whole(&self) -> bool {
        self.tap == 0
    }

    /// The sum of a column in a window's unit, rounded if it is not whole, less what [`LEAST_SUM`] takes
    /// from it: `tap`, or 2¹⁵.
    #[inline(always)]
    fn of<L: Lanes, const WHOLE: bool>(l: L, sum: L::H, tap: L::H) -> L::H {
        if WHOLE { sum } else { l.h_mul_high(sum, tap) }
    }

    fn of_one<const WHOLE: bool>(&self, sum: i16) -> i16 {
        if WHOLE {
            return sum;
        }
        ((i32::from(sum) * i32::from(self.tap) + (1 << 14)) >> 15) as i16
    }
}

/// Samples that are even or odd together, for so many channels, if results are bytes. Where lanes cannot be
/// permuted, bytes are not easily taken apart by fours.
pub fn parity_unit(level: Level, channels: usize) -> usize {
    if channels == 4 && level.permutes() { 4 } else { 1 }
}

/// `sums += add − take`; without `take`, `sums += add`.
pub struct AccumulateWords<'a> {
    /// The row that enters the window.
    pub add: &'a [u8],
    /// The row that leaves it, of the same length.
    pub take: Option<&'a [u8]>,
    /// Where the row starts in `sums`.
    pub at: usize,
    /// Samples that are even or odd together: [`parity_unit`].
    pub unit: usize,
    /// The two halves; each reaches [`HALF_SLACK`] elements beyond the row.
    pub sums: [&'a mut [i16]; 2],
}

impl Job for AccumulateWords<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        if self.unit == 4 { self.rows::<L, true>(l) } else { self.rows::<L, false>(l) }
    }
}

impl AccumulateWords<'_> {
    #[inline(always)]
    fn rows<L: Lanes, const FOURS: bool>(self, l: L) {
        let Self { add, take, at, unit, sums } = self;
        let n = add.len();
        assert!(at.is_multiple_of(unit) && take.is_none_or(|take| take.len() == n));
        assert!(sums.iter().all(|half| half.len() >= (at + n) / 2 + HALF_SLACK));
        let [even, odd] = places(sums.map(<[i16]>::as_mut_ptr), at, unit);
        let lanes = 4 * L::N;
        let mut x = 0;
        // SAFETY: x + 4·N ≤ n, which both rows have; the halves go on for a vector behind that; the arrays have
        // 2·MAX_LANES ≥ 4·N samples.
        unsafe {
            while x + lanes <= n {
                let take = take.map_or(std::ptr::null(), |take| take.as_ptr().add(x));
                let sums = [even.add(x / 2), odd.add(x / 2)];
                accumulate::<L, FOURS>(l, add.as_ptr().add(x), take, sums);
                x += lanes;
            }
            if x < n {
                // Whole vectors with zeros behind the row: what lies there stays as it is.
                let mut whole = [[0u8; 2 * MAX_LANES]; 2];
                whole[0][..n - x].copy_from_slice(&add[x..]);
                if let Some(take) = take {
                    whole[1][..n - x].copy_from_slice(&take[x..]);
                }
                let [add, take] = [whole[0].as_ptr(), whole[1].as_ptr()];
                accumulate::<L, FOURS>(l, add, take, [even.add(x / 2), odd.add(x / 2)]);
            }
        }
    }
}

/// 4·N sums. A null `take` takes nothing. FOURS: groups of four are even or odd.
///
/// # Safety
///
/// `add` and `take`, unless it is null, must be good for 4·N samples, the halves for 2·N words.
#[inline(always)]
unsafe fn accumulate<L: Lanes, const FOURS: bool>(
    l: L,
    add: *const u8,
    take: *const u8,
    [even, odd]: [*mut i16; 2],
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let [mut e, mut o] = apart::<L, FOURS>(l, l.h_load(add.cast()));
        if !take.is_null() {
            let [even, odd] = apart::<L, FOURS>(l, l.h_load(take.cast()));
            (e, o) = (l.h_sub(e, even), l.h_sub(o, odd));
        }
        l.h_store(even, l.h_add(l.h_load(even), e));
        l.h_store(odd, l.h_add(l.h_load(odd), o));
    }
}

/// Of 4·N samples those that are even and those that are odd.
#[inline(always)]
fn apart<L: Lanes, const FOURS: bool>(l: L, bytes: L::H) -> [L::H; 2] {
    if FOURS { l.h_fours(bytes) } else { [l.h_even(bytes), l.h_odd(bytes)] }
}

/// What prefix sums are made of and windows are taken from: the column sums from the first window's
/// first sample on, which is the first of the even half; halves as [`parity_unit`] has them.
#[derive(Clone, Copy)]
pub struct Halves<'a> {
    /// Even and odd sums; each half has the words of all windows, as many as a pixel has channels and
    /// [`HALF_SLACK`] more, whose values do not matter.
    pub sums: [&'a [i16]; 2],
    /// Interleaved channels.
    pub channels: usize,
    /// Samples that are even or odd together: [`parity_unit`].
    pub unit: usize,
    /// The common tap.
    pub share: Share,
}

impl Halves<'_> {
    /// Whether a pixel's neighbour lies in the other half.
    fn pairs(&self) -> bool {
        self.channels % 2 == 1 || self.unit > 1
    }

    /// I16 from a prefix sum to the next of the same channel.
    fn stride(&self) -> usize {
        if self.pairs() { self.channels } else { self.channels / 2 }
    }

    /// I16 from an even sample to the odd one to its right, if its neighbour is that.
    fn neighbour(&self) -> usize {
        if self.unit > 1 { 0 } else { self.channels / 2 }
    }
}

/// Windows of `taps` pixels, corrected, rounded and written. Prefix sums, which start with zeros, are made on the
/// way, `prefix[x + stride] = prefix[x] + what lies at x`: one row of pairs, or one for each half.
pub struct MeansWords<'a> {
    /// What the windows are of.
    pub halves: Halves<'a>,
    /// Room for as many words as the halves have.
    pub prefix: [&'a mut [i16]; 2],
    /// Pixels of a window.
    pub taps: usize,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way; a byte for each sample.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

impl Job for MeansWords<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (n, channels) = (self.out.len(), self.halves.channels);
        assert!(channels > 0 && self.taps > 0);
        let sample = self.out.sample();
        assert!(matches!(sample, SampleType::U8 | SampleType::I16));
        let fours = channels == 4 && sample == SampleType::U8;
        assert!(self.halves.unit == 1 || self.halves.unit == 4 && fours);
        // The last window's end, and what a vector reads behind it.
        let reach = (n + (self.taps + 1) * channels) / 2 + channels + HALF_SLACK;
        assert!(self.halves.sums.iter().all(|half| half.len() >= reach));
        assert!(self.prefix.iter().all(|prefix| prefix.len() >= reach));
        if self.halves.share.is_whole() { self.all::<L, true>(l) } else { self.all::<L, false>(l) }
    }
}

/// Prefix sums of words as far as they are made: of one row of pairs (PAIRS), or of each half. WHOLE: without
/// a tap.
struct Scan<L: Lanes, const PAIRS: bool, const WHOLE: bool> {
    /// What is summed: of pairs, the even words and their neighbours.
    rows: [*const i16; 2],
    prefix: [*mut i16; 2],
    share: Share,
    tap: L::H,
    stride: usize,
    /// Steps within a vector: stride·2^steps is 2·N words or more, for at most 32.
    steps: usize,
    /// What is added in each: what lies 1, 2, 4 … pixels to the left.
    left: [L::Shift; 5],
    /// The lanes of a vector's last pixel, again and again.
    last: L::H,
    /// The last pixel of the vectors before.
    carry: [L::H; 2],
    /// Words that are summed.
    x: usize,
    /// I16 to sum.
    n: usize,
}

impl<L: Lanes, const PAIRS: bool, const WHOLE: bool> Scan<L, PAIRS, WHOLE> {
    #[inline(always)]
    fn new(l: L, halves: &Halves, prefix: &mut [&mut [i16]; 2], n: usize) -> Self {
        let lanes = 2 * L::N;
        let stride = halves.stride();
        let [even, odd] = halves.sums;
        let odd = if PAIRS { &odd[halves.neighbour()..] } else { odd };
        for prefix in &mut *prefix {
            prefix[..stride].fill(0);
        }
        let mut left = [l.h_shift(0); 5];
        let mut steps = 0;
        while steps < left.len() && stride << steps < lanes {
            left[steps] = l.h_shift(stride << steps);
            steps += 1;
        }
        Self {
            rows: [even, odd].map(<[i16]>::as_ptr),
            prefix: prefix.each_mut().map(|prefix| prefix.as_mut_ptr()),
            share: halves.share,
            tap: l.h_splat(halves.share.tap),
            stride,
            steps,
            left,
            // SAFETY: MAX_LANES ≥ 2·N elements.
            last: unsafe { l.h_load(last_pixel(lanes, stride).as_ptr()) },
            carry: [l.h_splat(0); 2],
            x: 0,
            n,
        }
    }

    /// Goes on until `upto` words are summed, or all; whole vectors, and asks for the part of `next` that
    /// belongs to them.
    ///
    /// # Safety
    ///
    /// The rows must be good for n + 2·N words, prefix sums for `stride` more.
    #[inline(always)]
    unsafe fn go_on(&mut self, l: L, upto: usize, next: &[u8]) {
        let upto = upto.min(self.n);
        // SAFETY: as promised by the caller.
        unsafe {
            match self.steps {
                0 => self.vectors::<0>(l, upto, next),
                _ if const { !L::PERMUTES_H } => self.one_by_one(),
                1 => self.vectors::<1>(l, upto, next),
                2 => self.vectors::<2>(l, upto, next),
                3 => self.vectors::<3>(l, upto, next),
                5 if const { L::N == 16 } => self.vectors::<5>(l, upto, next),
                _ => self.vectors::<4>(l, upto, next),
            }
        }
    }

    /// All words.
    ///
    /// # Safety
    ///
    /// As for `go_on`.
    unsafe fn one_by_one(&mut self) {
        if self.x == self.n {
            return;
        }
        self.x = self.n;
        let Self { n, stride, share, .. } = *self;
        // SAFETY: as promised by the caller.
        unsafe {
            let [first, second] = self.rows.map(|row| {
                let row = std::slice::from_raw_parts(row, n);
                row.iter().map(move |&sum| share.of_one::<WHOLE>(sum))
            });
            let [to, other] =
                self.prefix.map(|prefix| std::slice::from_raw_parts_mut(prefix.add(stride), n));
            if PAIRS {
                let pairs = first.zip(second).map(|(a, b)| a.wrapping_add(b));
                return one_by_one(stride, to, pairs, i16::wrapping_add);
            }
            one_by_one(stride, to, first, i16::wrapping_add);
            one_by_one(stride, other, second, i16::wrapping_add);
        }
    }

    /// # Safety
    ///
    /// As for `go_on`.
    #[inline(always)]
    unsafe fn vectors<const STEPS: usize>(&mut self, l: L, upto: usize, next: &[u8]) {
        let lanes = 2 * L::N;
        let Self { rows, prefix, stride, tap, last, mut carry, mut x, .. } = *self;
        let mut left = [l.h_shift(0); STEPS];
        left.copy_from_slice(&self.left[..STEPS]);
        while x < upto {
            if let Some(next) = next.get(2 * x..2 * (x + lanes)) {
                prefetch(next);
            }
            for half in 0..if PAIRS { 1 } else { 2 } {
                // SAFETY: as promised by the caller.
                unsafe {
                    let mut v = Share::of::<L, WHOLE>(l, l.h_load(rows[half].add(x)), tap);
                    if PAIRS {
                        v = l.h_add(v, Share::of::<L, WHOLE>(l, l.h_load(rows[1].add(x)), tap));
                    }
                    let to = prefix[half].add(x);
                    if STEPS == 0 {
                        // No element of a vector depends on another one of it.
                        l.h_store(to.add(stride), l.h_add(v, l.h_load(to)));
                        continue;
                    }
                    for left in &left {
                        v = l.h_add(v, l.h_shifted(v, *left));
                    }
                    v = l.h_add(v, carry[half]);
                    l.h_store(to.add(stride), v);
                    carry[half] = l.h_permute(v, last);
                }
            }
            x += lanes;
        }
        (self.carry, self.x) = (carry, x);
    }
}

impl MeansWords<'_> {
    #[inline(always)]
    fn all<L: Lanes, const WHOLE: bool>(self, l: L) {
        match (self.halves.unit, self.halves.pairs(), self.taps % 2) {
            (4, _, 1) => self.rows::<L, WHOLE, true, true, true>(l),
            (4, ..) => self.rows::<L, WHOLE, true, true, false>(l),
            (_, true, 1) => self.rows::<L, WHOLE, false, true, true>(l),
            (_, true, _) => self.rows::<L, WHOLE, false, true, false>(l),
            (_, false, _) => self.rows::<L, WHOLE, false, false, false>(l),
        }
    }

    #[inline(always)]
    fn rows<L: Lanes, const WHOLE: bool, const FOURS: bool, const PAIRS: bool, const ODD: bool>(
        mut self,
        l: L,
    ) {
        let (n, channels, next) = (self.out.len(), self.halves.channels, self.next);
        let lanes = 4 * L::N;
        // Words that must be summed for the windows before a sample.
        let unit = self.halves.unit;
        let words = |end: usize| (end + (self.taps - 1) * channels).div_ceil(2 * unit) * unit;
        let all = words(n);
        let mut scan = Scan::<L, PAIRS, WHOLE>::new(l, &self.halves, &mut self.prefix, all);
        let prefix = scan.prefix.map(<*mut i16>::cast_const);
        let (out, bytes) = (self.out.as_mut_ptr(), self.out.sample().bytes());
        // Whole lines are streamed, and no other store may touch those: before them lie two vectors.
        let from = aligned_from(out.addr(), bytes, lanes, unit);
        let from = from.filter(|_| self.stream && n >= 3 * lanes);
        let stream = from.is_some();
        let head = from.filter(|from| *from > 0).map_or(0, |from| from + lanes);
        // SAFETY: x + 4·N ≤ n, but for the last vector, which is written to `whole`: that has 4·N samples, of
        // at most 16 bits. `run` has checked what windows read.
        unsafe {
            let mut x = head;
            let whole = n - (n - head) % lanes;
            loop {
                let end = whole.min(x + PIECE);
                scan.go_on(l, if end == whole { all } else { words(end) }, next);
                while x < end {
                    let to = out.add(x * bytes);
                    self.windows::<L, WHOLE, FOURS, PAIRS, ODD>(l, prefix, x / 2, to, stream);
                    x += lanes;
                }
                if x == whole {
                    break;
                }
            }
            // The head's two vectors, and the last one.
            if head > 0 || x < n {
                let mut whole = [0u32; MAX_LANES];
                let from = head.saturating_sub(lanes);
                for (x, wanted) in [(0, head > 0), (from, head > 0), (x, x < n)] {
                    if wanted {
                        let fits = x + lanes <= n;
                        let to = if fits { out.add(x * bytes) } else { whole.as_mut_ptr().cast() };
                        self.windows::<L, WHOLE, FOURS, PAIRS, ODD>(l, prefix, x / 2, to, false);
                        if !fits {
                            self.out.end_from(x, &whole);
                        }
                    }
                }
            }
        }
    }

    /// 4·N windows from word `k` of the halves on. WHOLE: without a tap; FOURS: of four channels; PAIRS: prefix
    /// sums are those of pairs; ODD: of an odd number of pixels.
    ///
    /// # Safety
    ///
    /// The halves and the prefix sums must reach a window and a vector beyond k, `out` must be good for 4·N
    /// samples of the output's type.
    #[inline(always)]
    unsafe fn windows<
        L: Lanes,
        const WHOLE: bool,
        const FOURS: bool,
        const PAIRS: bool,
        const ODD: bool,
    >(
        &self,
        l: L,
        prefix: [*const i16; 2],
        k: usize,
        out: *mut u8,
        stream: bool,
    ) {
        let Share { tap, factor, half, shift } = self.halves.share;
        let channels = self.halves.channels;
        // What was taken from the column sums of a window.
        let taken = if WHOLE { LEAST_SUM.wrapping_neg() } else { tap };
        let back = (self.taps as i16).wrapping_mul(taken);
        let tap = l.h_splat(tap);
        // SAFETY: as promised by the caller.
        unsafe {
            let [even, odd] = self.halves.sums.map(|half| half.as_ptr().add(k));
            let [first, second] = prefix.map(|prefix| prefix.add(k));
            let (mut e, mut o);
            if PAIRS {
                // The pairs of a window that starts with an even sample, and those of one that starts
                // with an odd sample, behind it; and the even sample that is left.
                let pairs = self.taps / 2 * channels;
                e = l.h_sub(l.h_load(first.add(pairs)), l.h_load(first));
                let behind = channels - self.halves.neighbour();
                let odd_pairs = behind + (self.taps - 1) / 2 * channels;
                o = l.h_sub(l.h_load(first.add(odd_pairs)), l.h_load(first.add(behind)));
                o = l.h_add(o, Share::of::<L, WHOLE>(l, l.h_load(odd), tap));
                let left = if ODD { pairs } else { odd_pairs };
                let left = Share::of::<L, WHOLE>(l, l.h_load(even.add(left)), tap);
                if ODD {
                    e = l.h_add(e, left);
                } else {
                    o = l.h_add(o, left);
                }
            } else {
                let width = self.taps * (channels / 2);
                e = l.h_sub(l.h_load(first.add(width)), l.h_load(first));
                o = l.h_sub(l.h_load(second.add(width)), l.h_load(second));
            }
            let scale = l.h_splat(factor);
            let start = if WHOLE {
                let less = l.h_splat(back.wrapping_add(half).wrapping_add(LEAST_SUM));
                (e, o) = (l.h_add(e, less), l.h_add(o, less));
                e = l.h_add(e, l.h_mul_upper(e, scale));
                o = l.h_add(o, l.h_mul_upper(o, scale));
                // 2¹⁵ times the factor.
                (factor as u16 / 2) as i16
            } else {
                let mut start = back;
                if factor != 0 {
                    // 2¹⁵ less, for a sign, which is `factor` in the product.
                    let less = l.h_splat(back.wrapping_add(LEAST_SUM));
                    e = l.h_mul_high(l.h_add(e, less), scale);
                    o = l.h_mul_high(l.h_add(o, less), scale);
                    start = factor;
                }
                start.wrapping_add((1i16 << shift) >> 1)
            };
            let start = l.h_splat(start);
            let e = l.h_shr_unsigned(l.h_add(e, start), shift);
            let o = l.h_shr_unsigned(l.h_add(o, start), shift);
            if FOURS {
                u8::store_fours(l, out, e, o, stream);
            } else if self.out.sample() == SampleType::U8 && !stream {
                u8::store_apart(l, out, e, o, false);
            } else {
                with_narrow!(self.out.sample(), O => O::store_apart(l, out.cast::<O>(), e, o, stream));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST_SUM, Share};

    #[test]
    fn whole_means_are_exact() {
        let mut whole = 0;
        for count in 0..300u32 {
            let Some(Share { tap, factor, half, shift }) = Share::whole(count) else { continue };
            assert!(tap == 0 && 255 * count + half as u32 <= 65535);
            for sum in 0..=255 * count {
                // As `windows` computes it.
                let less = (sum as i16).wrapping_add(half).wrapping_add(LEAST_SUM);
                let product = (i32::from(less) * i32::from(factor)) >> 16;
                let quotient = less.wrapping_add(product as i16) as u16;
                let mean = quotient.wrapping_add(factor as u16 / 2) >> shift;
                assert_eq!(u32::from(mean), (sum + count / 2) / count, "{sum} of {count}");
            }
            whole += 1;
        }
        let squares = [7, 8, 9, 10, 11, 12, 13, 15, 16];
        assert!(squares.iter().all(|side| Share::whole(side * side).is_some()));
        assert!(whole > 180, "{whole}");
    }
}
