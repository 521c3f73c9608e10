//! Running sums of `u8` samples in 16 bits, for means of windows. Even and odd samples of a row, which are
//! the even and odd bytes of a vector, are kept apart in rows of their own, called the two halves.
//!
//! Column sums are exact, less 2¹⁵ so that they have a sign. Prefix sums wrap; only their differences, the
//! windows, must fit into 16 bits. Where whole sums do, they are divided, exactly. Otherwise column sums are
//! multiplied by the common tap on their way to the prefix sums, in units so small that a window just
//! fits, and rounded: a window is off by at most half such a unit for each column.
//!
//! With an odd number of channels, a pixel's neighbour lies in the other half. The prefix sums are then
//! those of pairs: an even sample and its neighbour to the right.

use super::{last_pixel, one_by_one};
use crate::pass::halves::{HALF_SLACK, aligned_from, places};
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

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

/// `sums += add − take`; without `take`, `sums += add`.
pub struct AccumulateWords<'a> {
    /// The row that enters the window.
    pub add: &'a [u8],
    /// The row that leaves it, of the same length.
    pub take: Option<&'a [u8]>,
    /// Where the row starts in `sums`.
    pub at: usize,
    /// The two halves; each reaches [`HALF_SLACK`] elements beyond the row.
    pub sums: [&'a mut [i16]; 2],
}

impl Job for AccumulateWords<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { add, take, at, sums } = self;
        let n = add.len();
        assert!(take.is_none_or(|take| take.len() == n));
        assert!(sums.iter().all(|half| half.len() >= (at + n) / 2 + HALF_SLACK));
        // SAFETY: both halves have `at` / 2 elements and more.
        let [even, odd] = unsafe { places(sums.map(<[i16]>::as_mut_ptr), at) };
        let lanes = 4 * L::N;
        let mut x = 0;
        // SAFETY: x + 4·N ≤ n, which both rows have; both halves have as many words.
        unsafe {
            while x + lanes <= n {
                let take = take.map_or(std::ptr::null(), |take| take.as_ptr().add(x));
                accumulate(l, add.as_ptr().add(x), take, [even.add(x / 2), odd.add(x / 2)]);
                x += lanes;
            }
        }
        if x < n {
            // Whole vectors with zeros behind the row: what lies there stays as it is.
            let mut whole = [[0u8; 2 * MAX_LANES]; 2];
            whole[0][..n - x].copy_from_slice(&add[x..]);
            if let Some(take) = take {
                whole[1][..n - x].copy_from_slice(&take[x..]);
            }
            // SAFETY: the arrays have 2·MAX_LANES ≥ 4·N samples, and the halves go on that far.
            unsafe {
                let [add, take] = [whole[0].as_ptr(), whole[1].as_ptr()];
                accumulate(l, add, take, [even.add(x / 2), odd.add(x / 2)]);
            }
        }
    }
}

/// 4·N sums. A null `take` takes nothing.
///
/// # Safety
///
/// `add` and `take`, unless it is null, must be good for 4·N samples, the halves for 2·N words.
#[inline(always)]
unsafe fn accumulate<L: Lanes>(l: L, add: *const u8, take: *const u8, [even, odd]: [*mut i16; 2]) {
    // SAFETY: as promised by the caller.
    unsafe {
        let bytes = l.h_load(add.cast());
        let (mut e, mut o) = (l.h_even(bytes), l.h_odd(bytes));
        if !take.is_null() {
            let bytes = l.h_load(take.cast());
            e = l.h_sub(e, l.h_even(bytes));
            o = l.h_sub(o, l.h_odd(bytes));
        }
        l.h_store(even, l.h_add(l.h_load(even), e));
        l.h_store(odd, l.h_add(l.h_load(odd), o));
    }
}

/// What prefix sums are made of and windows are taken from: the column sums from the first window's
/// first sample on, which is the first of the even half.
#[derive(Clone, Copy)]
pub struct Halves<'a> {
    /// Even and odd sums.
    pub sums: [&'a [i16]; 2],
    /// Interleaved channels.
    pub channels: usize,
    /// The common tap.
    pub share: Share,
}

impl Halves<'_> {
    /// Words from a prefix sum to the next of the same channel, and whether they are of pairs.
    fn stride(&self) -> (usize, bool) {
        let pairs = self.channels % 2 == 1;
        (if pairs { self.channels } else { self.channels / 2 }, pairs)
    }

    /// Words from an even sample to its neighbour in the odd half, if the number of channels is odd.
    fn neighbour(&self) -> usize {
        self.channels / 2
    }
}

/// `prefix[x + stride] = prefix[x] + what lies at x`, and `prefix` starts with zeros; one row of
/// pairs, or one for each half.
pub struct ScanWords<'a> {
    /// Each half has n words, and as many as a pixel has channels and [`HALF_SLACK`] more, whose
    /// values do not matter.
    pub halves: Halves<'a>,
    /// Words of a half to sum.
    pub n: usize,
    /// n words, one for each channel and [`HALF_SLACK`] more.
    pub prefix: [&'a mut [i16]; 2],
}

impl Job for ScanWords<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { halves, n, prefix } = self;
        let (stride, pairs) = halves.stride();
        let len = n + halves.channels + HALF_SLACK;
        assert!(halves.channels > 0 && halves.sums.iter().all(|half| half.len() >= len));
        assert!(prefix.iter().all(|prefix| prefix.len() >= len));
        let [even, odd] = halves.sums.map(<[i16]>::as_ptr);
        let [first, second] = prefix;
        let share = halves.share;
        // SAFETY: x < n; all rows go on for a pixel's channels and a vector behind n.
        unsafe {
            let neighbours = odd.add(halves.neighbour());
            match (pairs, share.is_whole()) {
                (true, true) => {
                    scan::<L, true, true>(l, [even, neighbours], share, n, stride, first)
                }
                (true, false) => {
                    scan::<L, true, false>(l, [even, neighbours], share, n, stride, first)
                }
                (false, true) => {
                    scan::<L, false, true>(l, [even; 2], share, n, stride, first);
                    scan::<L, false, true>(l, [odd; 2], share, n, stride, second);
                }
                (false, false) => {
                    scan::<L, false, false>(l, [even; 2], share, n, stride, first);
                    scan::<L, false, false>(l, [odd; 2], share, n, stride, second);
                }
            }
        }
    }
}

/// Prefix sums of one row of words, or (PAIRS) of the sums of two. WHOLE: without a tap.
///
/// # Safety
///
/// The rows must be good for n + 2·N words.
#[inline(always)]
unsafe fn scan<L: Lanes, const PAIRS: bool, const WHOLE: bool>(
    l: L,
    rows: [*const i16; 2],
    share: Share,
    n: usize,
    stride: usize,
    prefix: &mut [i16],
) {
    let lanes = 2 * L::N;
    prefix[..stride].fill(0);
    if stride < lanes && !L::PERMUTES_H {
        // SAFETY: as promised by the caller.
        let rows = unsafe { rows.map(|row| std::slice::from_raw_parts(row, n)) };
        let values = rows[0].iter().zip(rows[1]).map(|(&a, &b)| {
            let a = share.of_one::<WHOLE>(a);
            if PAIRS { a.wrapping_add(share.of_one::<WHOLE>(b)) } else { a }
        });
        return one_by_one(stride, &mut prefix[stride..], values, i16::wrapping_add);
    }
    let prefix = prefix.as_mut_ptr();
    // SAFETY: as promised by the caller; `prefix` goes on as far, and `stride` further.
    unsafe {
        match stride {
            _ if stride >= lanes || !L::PERMUTES_H => {
                steps::<L, PAIRS, WHOLE, 0>(l, rows, share, n, stride, prefix)
            }
            _ if stride * 2 >= lanes => {
                steps::<L, PAIRS, WHOLE, 1>(l, rows, share, n, stride, prefix)
            }
            _ if stride * 4 >= lanes => {
                steps::<L, PAIRS, WHOLE, 2>(l, rows, share, n, stride, prefix)
            }
            _ if stride * 8 >= lanes => {
                steps::<L, PAIRS, WHOLE, 3>(l, rows, share, n, stride, prefix)
            }
            _ if stride * 16 >= lanes => {
                steps::<L, PAIRS, WHOLE, 4>(l, rows, share, n, stride, prefix)
            }
            _ => steps::<L, PAIRS, WHOLE, 5>(l, rows, share, n, stride, prefix),
        }
    }
}

/// Prefix sums by whole vectors, each in STEPS steps: stride·2^STEPS is 2·N words or more, for at most 32.
///
/// # Safety
///
/// The rows must be good for n + 2·N words, `prefix` for `stride` more.
#[inline(always)]
unsafe fn steps<L: Lanes, const PAIRS: bool, const WHOLE: bool, const STEPS: usize>(
    l: L,
    rows: [*const i16; 2],
    share: Share,
    n: usize,
    stride: usize,
    prefix: *mut i16,
) {
    let lanes = 2 * L::N;
    let tap = l.h_splat(share.tap);
    // Within a vector: add what lies 1, 2, 4 … pixels to the left; then the vector before's last
    // pixel, repeated.
    let mut left = [l.h_shift(0); STEPS];
    for (count, left) in left.iter_mut().enumerate() {
        *left = l.h_shift(stride << count);
    }
    // SAFETY: MAX_LANES ≥ 2·N elements.
    let last = unsafe { l.h_load(last_pixel(lanes, stride).as_ptr()) };
    let mut carry = l.h_splat(0);
    for x in (0..n).step_by(lanes) {
        // SAFETY: as promised by the caller.
        unsafe {
            let mut v = Share::of::<L, WHOLE>(l, l.h_load(rows[0].add(x)), tap);
            if PAIRS {
                v = l.h_add(v, Share::of::<L, WHOLE>(l, l.h_load(rows[1].add(x)), tap));
            }
            if STEPS == 0 {
                // No element of a vector depends on another one of it.
                v = l.h_add(v, l.h_load(prefix.add(x)));
                l.h_store(prefix.add(x + stride), v);
                continue;
            }
            for left in &left {
                v = l.h_add(v, l.h_shifted(v, *left));
            }
            v = l.h_add(v, carry);
            l.h_store(prefix.add(x + stride), v);
            carry = l.h_permute(v, last);
        }
    }
}

/// Windows of `taps` pixels, corrected, rounded and written.
pub struct WindowsWords<'a, O> {
    /// As [`ScanWords`] had them; a window of every output sample, and [`HALF_SLACK`] more.
    pub halves: Halves<'a>,
    /// Prefix sums.
    pub prefix: [&'a [i16]; 2],
    /// Pixels of a window.
    pub taps: usize,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way; as much for each sample that is written.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: &'a mut [O],
}

impl<O: SampleLanes> Job for WindowsWords<'_, O> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let n = self.out.len();
        // The last window's end, and what a vector reads behind it.
        let reach = (n + (self.taps + 1) * self.halves.channels) / 2 + HALF_SLACK;
        assert!(self.halves.sums.iter().chain(&self.prefix).all(|half| half.len() >= reach));
        assert!(self.taps > 0);
        if self.halves.share.is_whole() { self.all::<L, true>(l) } else { self.all::<L, false>(l) }
    }
}

impl<O: SampleLanes> WindowsWords<'_, O> {
    #[inline(always)]
    fn all<L: Lanes, const WHOLE: bool>(self, l: L) {
        if self.halves.channels.is_multiple_of(2) {
            self.rows::<L, WHOLE, false, false>(l);
        } else if self.taps % 2 == 1 {
            self.rows::<L, WHOLE, true, true>(l);
        } else {
            self.rows::<L, WHOLE, true, false>(l);
        }
    }

    #[inline(always)]
    fn rows<L: Lanes, const WHOLE: bool, const PAIRS: bool, const ODD: bool>(self, l: L) {
        let n = self.out.len();
        let lanes = 4 * L::N;
        let out = self.out.as_mut_ptr();
        let mut x = 0;
        let mut stream = false;
        // SAFETY: x + 4·N ≤ n, and the last vector is written to `whole`; `run` has checked what
        // windows read.
        unsafe {
            if let Some(from) = aligned_from(out, lanes).filter(|_| self.stream && n >= 3 * lanes) {
                // Whole lines are streamed, and no other store may touch those.
                if from > 0 {
                    self.windows::<L, WHOLE, PAIRS, ODD>(l, 0, out, false);
                    self.windows::<L, WHOLE, PAIRS, ODD>(l, from / 2, out.add(from), false);
                    x = from + lanes;
                }
                stream = true;
            }
            let each = self.next.len() / n;
            while x + lanes <= n {
                if let Some(next) = self.next.get(each * x..each * (x + lanes)) {
                    prefetch(next);
                }
                self.windows::<L, WHOLE, PAIRS, ODD>(l, x / 2, out.add(x), stream);
                x += lanes;
            }
            if x < n {
                let mut whole = [O::zeroed(); 2 * MAX_LANES];
                self.windows::<L, WHOLE, PAIRS, ODD>(l, x / 2, whole.as_mut_ptr(), false);
                self.out[x..].copy_from_slice(&whole[..n - x]);
            }
        }
    }

    /// 4·N windows from word `k` of the halves on. WHOLE: without a tap; ODD: of an odd number of pixels.
    ///
    /// # Safety
    ///
    /// The halves must reach a window and a vector beyond k, `out` must be good for 4·N samples.
    #[inline(always)]
    unsafe fn windows<L: Lanes, const WHOLE: bool, const PAIRS: bool, const ODD: bool>(
        &self,
        l: L,
        k: usize,
        out: *mut O,
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
            let [first, second] = self.prefix.map(|prefix| prefix.as_ptr().add(k));
            let (mut e, mut o);
            if PAIRS {
                // The pairs of a window that starts with an even sample, and those of one that starts
                // with an odd sample, behind it; and the even sample that is left.
                let pairs = self.taps / 2 * channels;
                e = l.h_sub(l.h_load(first.add(pairs)), l.h_load(first));
                let behind = channels.div_ceil(2);
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
            O::store_apart(l, out, e, o, stream);
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
