//! Running sums, for kernels whose taps are all equal: the cost does not depend on the size. The
//! column sums of a window follow the window down the strip, one row added and one taken away;
//! a prefix sum along the row then gives every window as the difference of two elements. All of it
//! in integers, which wrap: only the differences must fit.

mod phases;
mod words;

pub use phases::{AccumulatePhases, MeansPhases, PHASE_SLACK};
pub use words::{AccumulateWords, Halves, LEAST_SUM, MeansWords, Share, parity_unit};

use super::datapath::{finish_scaled, rounded};
use super::{Finish, PIECE};
use crate::any_view::OutRow;
use crate::sample::{Sample, with_sample};
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

/// `sums[x] += add[x] − take[x]`; without `take`, `sums[x] += add[x]`.
pub struct Accumulate<'a, T> {
    /// The row that enters the window.
    pub add: &'a [T],
    /// The row that leaves it, of the same length.
    pub take: Option<&'a [T]>,
    /// As many elements and `MAX_LANES` more.
    pub sums: &'a mut [i32],
}

impl<T: SampleLanes> Job for Accumulate<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { add, take, sums } = self;
        let n = add.len();
        assert!(sums.len() >= n + MAX_LANES && take.is_none_or(|take| take.len() == n));
        let sums = sums.as_mut_ptr();
        let mut x = 0;
        // SAFETY: x + N ≤ n, which both rows and `sums` have; the arrays have MAX_LANES ≥ N samples, and
        // `sums` goes on that far.
        unsafe {
            while x + L::N <= n {
                let take = take.map(<[T]>::as_ptr);
                accumulate(
                    l,
                    add.as_ptr().add(x),
                    take.map_or(std::ptr::null(), |p| p.add(x)),
                    sums.add(x),
                );
                x += L::N;
            }
            if x < n {
                // Whole vectors with zeros behind the row: what lies there in `sums` stays as it is.
                let mut whole = [[T::zeroed(); MAX_LANES]; 2];
                whole[0][..n - x].copy_from_slice(&add[x..]);
                if let Some(take) = take {
                    whole[1][..n - x].copy_from_slice(&take[x..]);
                }
                accumulate(l, whole[0].as_ptr(), whole[1].as_ptr(), sums.add(x));
            }
        }
    }
}

/// N sums. A null `take` takes nothing.
///
/// # Safety
///
/// All pointers but a null one must be good for N elements.
#[inline(always)]
unsafe fn accumulate<T: SampleLanes, L: Lanes>(
    l: L,
    add: *const T,
    take: *const T,
    sums: *mut i32,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut v = l.i_add(l.i_load(sums), T::load_i(l, add));
        if !take.is_null() {
            v = l.i_sub(v, T::load_i(l, take));
        }
        l.i_store(sums, v);
    }
}

/// `prefix[x + channels] = prefix[x] + sums[x]`, and `prefix` starts with zeros: for each channel
/// the sums of everything to the left.
pub struct Scan<'a> {
    /// The column sums; `n` and `MAX_LANES` more, whose values do not matter.
    pub sums: &'a [i32],
    /// Elements to sum.
    pub n: usize,
    /// Interleaved channels.
    pub channels: usize,
    /// `n` + `channels` elements and `MAX_LANES` more.
    pub prefix: &'a mut [i32],
}

impl Job for Scan<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { sums, n, channels, prefix } = self;
        assert!(channels > 0 && sums.len() >= n + MAX_LANES);
        assert!(prefix.len() >= n + channels + MAX_LANES);
        prefix[..channels].fill(0);
        if channels < L::N && !L::PERMUTES {
            let (values, prefix) = (sums[..n].iter().copied(), &mut prefix[channels..]);
            return one_by_one(channels, prefix, values, i32::wrapping_add);
        }
        // SAFETY: both rows go on for MAX_LANES ≥ N elements behind n (+ channels).
        unsafe {
            if const { L::PERMUTES } && channels < L::N {
                match channels {
                    _ if channels * 2 >= L::N => steps::<L, 1>(l, sums, n, channels, prefix),
                    _ if channels * 4 >= L::N => steps::<L, 2>(l, sums, n, channels, prefix),
                    _ if const { L::N <= 8 } || channels * 8 >= L::N => {
                        steps::<L, 3>(l, sums, n, channels, prefix);
                    }
                    _ => steps::<L, 4>(l, sums, n, channels, prefix),
                }
            } else {
                steps::<L, 0>(l, sums, n, channels, prefix);
            }
        }
    }
}

/// Prefix sums one by one: `out[x] = out[x − stride] + values[x]`, where what lies before the first is 0. What
/// a sum needs stays in registers if it can: from memory it would come late.
fn one_by_one<T: Copy + Default>(
    stride: usize,
    out: &mut [T],
    mut values: impl Iterator<Item = T>,
    add: impl Fn(T, T) -> T,
) {
    fn carried<T: Copy + Default, const C: usize>(
        out: &mut [T],
        mut values: impl Iterator<Item = T>,
        add: impl Fn(T, T) -> T,
    ) {
        let mut sums = [T::default(); C];
        for out in out.chunks_mut(C) {
            for (out, sum) in out.iter_mut().zip(&mut sums) {
                let Some(value) = values.next() else { return };
                *sum = add(*sum, value);
                *out = *sum;
            }
        }
    }
    match stride {
        1 => carried::<T, 1>(out, values, add),
        2 => carried::<T, 2>(out, values, add),
        3 => carried::<T, 3>(out, values, add),
        4 => carried::<T, 4>(out, values, add),
        _ => {
            for x in 0..out.len() {
                let Some(value) = values.next() else { return };
                let left = if x < stride { T::default() } else { out[x - stride] };
                out[x] = add(left, value);
            }
        }
    }
}

/// Prefix sums by whole vectors, each in STEPS steps: channels·2^STEPS is N or more, for at most 16.
///
/// # Safety
///
/// `sums` must be good for n + N elements, `prefix` for `channels` more.
#[inline(always)]
unsafe fn steps<L: Lanes, const STEPS: usize>(
    l: L,
    sums: &[i32],
    n: usize,
    channels: usize,
    prefix: &mut [i32],
) {
    let (sums, prefix) = (sums.as_ptr(), prefix.as_mut_ptr());
    // Within a vector: add what lies 1, 2, 4 … pixels to the left; then the vector before's last
    // pixel, repeated. Lanes with a negative index give 0.
    let mut left = [l.i_splat(-1); STEPS];
    for (count, left) in left.iter_mut().enumerate() {
        *left = index(l, |lane| lane as i32 - (channels << count) as i32);
    }
    let last = l.i_from(&last_pixel(L::N, channels).map(i32::from));
    let mut carry = l.i_splat(0);
    for x in (0..n).step_by(L::N) {
        // SAFETY: as promised by the caller.
        unsafe {
            let mut v = l.i_load(sums.add(x));
            if STEPS == 0 {
                // No element of a vector depends on another one of it.
                l.i_store(prefix.add(x + channels), l.i_add(v, l.i_load(prefix.add(x))));
                continue;
            }
            for left in &left {
                v = l.i_add(v, l.i_permute(v, *left));
            }
            v = l.i_add(v, carry);
            l.i_store(prefix.add(x + channels), v);
            carry = l.i_permute(v, last);
        }
    }
}

/// The lanes of the last pixel of so many, which has `channels`, again and again.
#[inline(always)]
fn last_pixel(lanes: usize, channels: usize) -> [i16; MAX_LANES] {
    let first = lanes.saturating_sub(channels);
    // Counted: a division for every lane takes as long as a tenth of a row.
    let mut channel = 0;
    [(); MAX_LANES].map(|()| {
        let lane = first + channel;
        channel = if channel + 1 == channels { 0 } else { channel + 1 };
        lane as i16
    })
}

/// A vector of lane numbers for `i_permute`. The closure works on plain integers only.
#[inline(always)]
fn index<L: Lanes>(l: L, from: impl Fn(usize) -> i32) -> L::I {
    let mut lanes = [0; MAX_LANES];
    for (lane, index) in lanes.iter_mut().enumerate() {
        *index = from(lane);
    }
    l.i_from(&lanes)
}

/// `out[x] = finish(prefix[x + width] − prefix[x])`.
pub struct Windows<'a> {
    /// out.len() + width elements and `MAX_LANES` more.
    pub prefix: &'a [i32],
    /// Elements of a window: taps × channels.
    pub width: usize,
    /// From sum to sample.
    pub finish: &'a Finish,
    /// Memory to ask for on the way; as much for each sample that is written.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

impl Job for Windows<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        with_sample!(self.out.sample(), O => self.samples::<L, O>(l));
    }
}

impl Windows<'_> {
    #[inline(always)]
    fn samples<L: Lanes, O: Sample>(self, l: L) {
        let Self { prefix, width, finish, next, out } = self;
        let out = out.typed::<O>();
        let n = out.len();
        assert!(prefix.len() >= n + width + MAX_LANES);
        let prefix = prefix.as_ptr();
        // SAFETY: x + N ≤ n, or x = n − N ≥ 0, so both reads end before n + width and the write
        // before n; a row shorter than a vector reads into the slack and writes to `whole`.
        unsafe {
            if n < L::N {
                let mut whole = [O::zeroed(); MAX_LANES];
                windows::<O, L, 1>(l, prefix, width, finish, whole.as_mut_ptr());
                out.copy_from_slice(&whole[..n]);
                return;
            }
            let out = out.as_mut_ptr();
            let mut x = 0;
            let each = next.len() / n;
            while x + 4 * L::N <= n {
                if let Some(next) = next.get(each * x..each * (x + 4 * L::N)) {
                    prefetch(next);
                }
                windows::<O, L, 4>(l, prefix.add(x), width, finish, out.add(x));
                x += 4 * L::N;
            }
            while x + L::N <= n {
                windows::<O, L, 1>(l, prefix.add(x), width, finish, out.add(x));
                x += L::N;
            }
            if x < n {
                let x = n - L::N;
                windows::<O, L, 1>(l, prefix.add(x), width, finish, out.add(x));
            }
        }
    }
}

/// U·N windows.
///
/// # Safety
///
/// `prefix` must be good for width + U·N elements, `out` for U·N samples.
#[inline(always)]
unsafe fn windows<O: SampleLanes, L: Lanes, const U: usize>(
    l: L,
    prefix: *const i32,
    width: usize,
    finish: &Finish,
    out: *mut O,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sums = [l.i_splat(0); U];
        for (u, sum) in sums.iter_mut().enumerate() {
            let prefix = prefix.add(u * L::N);
            *sum = l.i_sub(l.i_load(prefix.add(width)), l.i_load(prefix));
        }
        finish_scaled(l, sums, finish, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Post;
    use crate::pass::Fixed;
    use crate::pass::noise::noise;
    use crate::simd::Level;

    const LENGTHS: [usize; 9] = [0, 1, 7, 16, 31, 32, 63, 130, 300];

    /// Column sums of one type of samples; what lies behind the row must stay.
    fn accumulates<T: Sample>(sample: fn(i32) -> T) {
        for n in LENGTHS {
            let row = |seed| -> Vec<T> { noise(n, seed).map(sample).collect() };
            let (add, leaves) = (row(1), row(2));
            let before: Vec<i32> = noise(n + MAX_LANES, 3).collect();
            for take in [None, Some(&leaves[..])] {
                let mut expected = before.clone();
                for (x, sum) in expected.iter_mut().enumerate().take(n) {
                    let taken = take.map_or(0.0, |take| take[x].to_f64());
                    *sum = sum.wrapping_add((add[x].to_f64() - taken) as i32);
                }
                for level in Level::available() {
                    let mut sums = before.clone();
                    level.run(Accumulate { add: &add, take, sums: &mut sums });
                    assert!(sums == expected, "{level}, {n} of {}, {}", T::TYPE, take.is_some());
                }
            }
        }
    }

    #[test]
    fn rows_enter_and_leave() {
        accumulates(|v| v as u8);
        accumulates(|v| v as u16);
        accumulates(|v| v as i16);
    }

    #[test]
    fn prefix_sums_are_those_of_each_channel() {
        for n in LENGTHS {
            for channels in [1, 2, 3, 4, 5, 8, 9, 16, 19] {
                let sums: Vec<i32> = noise(n + MAX_LANES, 1).collect();
                let mut expected = vec![0i32; n + channels];
                for x in 0..n {
                    expected[x + channels] = expected[x].wrapping_add(sums[x]);
                }
                for level in Level::available() {
                    let mut prefix: Vec<i32> = noise(n + channels + MAX_LANES, 2).collect();
                    level.run(Scan { sums: &sums, n, channels, prefix: &mut prefix });
                    assert!(prefix[..n + channels] == expected[..], "{level}, {n}, {channels}");
                }
            }
        }
    }

    /// Windows of one type of samples, of prefix sums that wrap.
    fn windows_of<O: Sample>(post: Post, unit: f32) {
        let fixed = Fixed { unit, ..Fixed::default() };
        let finish = &Finish { post, offset: 100.25, fixed: [fixed; 2], ..Finish::PLAIN };
        for n in LENGTHS {
            for width in [1, 3, 40] {
                let prefix: Vec<i32> = noise(n + width + MAX_LANES, 1)
                    .map(|v| i32::MAX.wrapping_add(v >> 17))
                    .collect();
                let expected = |x: usize| {
                    let sum = prefix[x + width].wrapping_sub(prefix[x]) as f32 * unit;
                    let value = match post {
                        Post::Abs => (sum + 100.25).abs(),
                        _ if O::INTEGER && finish.rounds() => (sum + 100.75).floor(),
                        _ => sum + 100.25,
                    };
                    O::from_f64(f64::from(value))
                };
                let next = &vec![0; 3 * n];
                for level in Level::available() {
                    let mut samples = vec![O::default(); n];
                    let out = OutRow::new(&mut samples);
                    level.run(Windows { prefix: &prefix, width, finish, next, out });
                    for (x, value) in samples.iter().enumerate() {
                        let (sample, expected) = (O::TYPE, expected(x));
                        assert!(
                            *value == expected,
                            "{level}, {x} of {n}, {width}, {post:?}, {unit}, {sample}: \
                             {value:?}, {expected:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn windows_are_scaled_and_rounded() {
        // Sums are rounded at once, rounded after a post-step, and too large to be rounded at once.
        for (post, unit) in [(Post::None, 0.007), (Post::Abs, 0.007), (Post::None, 0.7)] {
            windows_of::<u8>(post, unit);
            windows_of::<u16>(post, unit);
            windows_of::<i16>(post, unit);
            windows_of::<f32>(post, unit);
        }
    }
}
