//! Running sums, for kernels whose taps are all equal: the cost does not depend on the size. The
//! column sums of a window follow the window down the strip, one row added and one taken away;
//! along the row, prefix sums of them give every window as the difference of two elements, or windows are prefix sums
//! of differences. All of it in integers, which wrap: only windows must fit.

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

/// `out[x] = finish(Σ_i sums[x + i·channels])`, i from 0 to taps − 1. A window is the one before it of the same channel,
/// and what enters it, less what leaves it: prefix sums of these differences.
pub struct Windows<'a> {
    /// The column sums: those under all windows, and `MAX_LANES` more, whose values do not matter.
    pub sums: &'a [i32],
    /// Interleaved channels.
    pub channels: usize,
    /// Pixels of a window.
    pub taps: usize,
    /// Room for a window of each sample, of one pixel, and `MAX_LANES` more.
    pub room: &'a mut [i32],
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
        let Self { sums, channels, taps, room, finish, next, out } = self;
        let out = out.typed::<O>();
        let n = out.len();
        assert!(channels > 0 && taps > 0);
        assert!(sums.len() >= n + (taps - 1) * channels + MAX_LANES);
        assert!(room.len() >= n + channels + MAX_LANES);
        let width = taps * channels;
        let sums = sums.as_ptr();
        // SAFETY: `sums` are good for n + width − channels elements and N more; the room for n + channels and N more.
        unsafe {
            if const { L::PERMUTES } && channels < L::N {
                // As many steps add up the pixels of a vector, and more do no harm.
                if channels << 2 >= L::N {
                    let slide = Slide::<L, 2>::new(l, sums, channels, width);
                    emit(l, slide, finish, next, out);
                } else if const { L::N <= 8 } || channels << 3 >= L::N {
                    let slide = Slide::<L, 3>::new(l, sums, channels, width);
                    emit(l, slide, finish, next, out);
                } else {
                    let slide = Slide::<L, 4>::new(l, sums, channels, width);
                    emit(l, slide, finish, next, out);
                }
                return;
            }
            in_room(l, sums, channels, width, &mut room[..n + channels + MAX_LANES]);
            emit(l, Made(room.as_ptr()), finish, next, out);
        }
    }
}

/// Windows, N at a time.
trait Slides<L: Lanes> {
    /// Windows x and those behind it; x is 0, N, 2·N, … in turn.
    ///
    /// # Safety
    ///
    /// No window from x on may be more than N behind the last.
    unsafe fn at(&mut self, l: L, x: usize) -> L::I;
}

/// Windows that lie in memory.
struct Made(*const i32);

impl<L: Lanes> Slides<L> for Made {
    #[inline(always)]
    unsafe fn at(&mut self, l: L, x: usize) -> L::I {
        // SAFETY: the memory goes on for N behind the last window.
        unsafe { l.i_load(self.0.add(x)) }
    }
}

/// Windows of fewer channels than there are lanes, made in STEPS steps: channels·2^STEPS is N or more.
struct Slide<L: Lanes, const STEPS: usize> {
    sums: *const i32,
    channels: usize,
    width: usize,
    /// What is added in each step: what lies 1, 2, 4 … pixels to the left. Lanes with a negative index give 0.
    left: [L::I; STEPS],
    /// The lanes of the last pixel, again and again.
    last: L::I,
    /// The windows that were made last.
    windows: L::I,
}

impl<L: Lanes, const STEPS: usize> Slide<L, STEPS> {
    /// # Safety
    ///
    /// `sums` must be good for all windows, of `width` elements, and N elements more.
    #[inline(always)]
    unsafe fn new(l: L, sums: *const i32, channels: usize, width: usize) -> Self {
        let mut left = [l.i_splat(-1); STEPS];
        for (count, left) in left.iter_mut().enumerate() {
            *left = index(l, |lane| lane as i32 - (channels << count) as i32);
        }
        let last = l.i_from(&last_pixel(L::N, channels).map(i32::from));
        // SAFETY: as promised by the caller.
        let windows = unsafe { whole_windows(l, sums, channels, width) };
        Self { sums, channels, width, left, last, windows }
    }
}

impl<L: Lanes, const STEPS: usize> Slides<L> for Slide<L, STEPS> {
    #[inline(always)]
    unsafe fn at(&mut self, l: L, x: usize) -> L::I {
        if x > 0 {
            // SAFETY: as promised by whoever made it and by the caller; x ≥ N > channels.
            let mut v = unsafe {
                let leaves = self.sums.add(x - self.channels);
                l.i_sub(l.i_load(leaves.add(self.width)), l.i_load(leaves))
            };
            for left in &self.left {
                v = l.i_add(v, l.i_permute(v, *left));
            }
            self.windows = l.i_add(v, l.i_permute(self.windows, self.last));
        }
        self.windows
    }
}

/// N windows, summed one by one.
///
/// # Safety
///
/// `sums` must be good for width − channels + N elements.
#[inline(always)]
unsafe fn whole_windows<L: Lanes>(l: L, sums: *const i32, channels: usize, width: usize) -> L::I {
    let mut all = l.i_splat(0);
    for at in (0..width).step_by(channels) {
        // SAFETY: as promised by the caller.
        all = l.i_add(all, unsafe { l.i_load(sums.add(at)) });
    }
    all
}

/// Makes the windows of a room, which has `channels` and `MAX_LANES` elements more than there are.
///
/// # Safety
///
/// `sums` must be good for all windows, of `width` elements, and N elements more.
#[inline(always)]
unsafe fn in_room<L: Lanes>(
    l: L,
    sums: *const i32,
    channels: usize,
    width: usize,
    room: &mut [i32],
) {
    let n = room.len() - channels - MAX_LANES;
    // SAFETY: as promised by the caller: no vector of `sums` begins behind the last window's column, none of the room
    // behind n.
    unsafe {
        if channels < L::N {
            let mut first = [0; MAX_LANES];
            l.i_store(first.as_mut_ptr(), whole_windows(l, sums, channels, width));
            let value = |x: usize| {
                if x < channels {
                    return first[x];
                }
                let leaves = sums.add(x - channels);
                (*leaves.add(width)).wrapping_sub(*leaves)
            };
            return one_by_one(channels, &mut room[..n], (0..n).map(value), i32::wrapping_add);
        }
        let room = room.as_mut_ptr();
        for x in (0..channels.min(n)).step_by(L::N) {
            l.i_store(room.add(x), whole_windows(l, sums.add(x), channels, width));
        }
        for x in (0..n.saturating_sub(channels)).step_by(L::N) {
            let change = l.i_sub(l.i_load(sums.add(x + width)), l.i_load(sums.add(x)));
            l.i_store(room.add(x + channels), l.i_add(l.i_load(room.add(x)), change));
        }
    }
}

/// Finishes and writes windows.
///
/// # Safety
///
/// There must be as many as `out` has samples, and N more.
#[inline(always)]
unsafe fn emit<L: Lanes, O: SampleLanes, S: Slides<L>>(
    l: L,
    mut windows: S,
    finish: &Finish,
    next: &[u8],
    out: &mut [O],
) {
    let n = out.len();
    let each = next.len() / n.max(1);
    let mut x = 0;
    // SAFETY: as promised by the caller; whole vectors are written where x + N ≤ n, others to `whole`.
    unsafe {
        while x + 4 * L::N <= n {
            if let Some(next) = next.get(each * x..each * (x + 4 * L::N)) {
                prefetch(next);
            }
            let mut sums = [l.i_splat(0); 4];
            for (u, sums) in sums.iter_mut().enumerate() {
                *sums = windows.at(l, x + u * L::N);
            }
            finish_scaled(l, sums, finish, out.as_mut_ptr().add(x));
            x += 4 * L::N;
        }
        while x < n {
            let sums = [windows.at(l, x)];
            if x + L::N <= n {
                finish_scaled(l, sums, finish, out.as_mut_ptr().add(x));
            } else {
                let mut whole = [O::zeroed(); MAX_LANES];
                finish_scaled(l, sums, finish, whole.as_mut_ptr());
                out[x..].copy_from_slice(&whole[..n - x]);
            }
            x += L::N;
        }
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

    /// Windows of one type of samples, of sums that wrap where they fit into the result.
    fn windows_of<O: Sample>(post: Post, unit: f32, most: f64) {
        let fixed = Fixed { unit, ..Fixed::default() };
        let finish = &Finish { post, most, offset: 100.25, fixed: [fixed; 2] };
        let cases = LENGTHS.iter().flat_map(|n| [1, 2, 3, 4, 5, 8, 9, 16, 19, 40].map(|c| (*n, c)));
        for (n, channels) in cases {
            for taps in [1, 3, 20] {
                let bits = if unit < 0.1 { 0 } else { 17 };
                let sums: Vec<i32> =
                    noise(n + (taps - 1) * channels + MAX_LANES, 1).map(|v| v >> bits).collect();
                let expected = |x: usize| {
                    let under = sums[x..].iter().step_by(channels).take(taps);
                    let sum = under.fold(0i32, |a, b| a.wrapping_add(*b)) as f32 * unit;
                    let value = match post {
                        Post::Abs => (sum + 100.25).abs(),
                        _ if O::INTEGER && finish.rounds() => (sum + 100.75).floor(),
                        _ => sum + 100.25,
                    };
                    O::from_f64(f64::from(value))
                };
                let next = &vec![0; 3 * n];
                for level in Level::available() {
                    let mut room: Vec<i32> = noise(n + channels + MAX_LANES, 2).collect();
                    let mut samples = vec![O::default(); n];
                    let (sums, room, out) = (&sums[..], &mut room[..], OutRow::new(&mut samples));
                    level.run(Windows { sums, channels, taps, room, finish, next, out });
                    for (x, value) in samples.iter().enumerate() {
                        let (sample, expected) = (O::TYPE, expected(x));
                        assert!(
                            *value == expected,
                            "{level}, {x} of {n}, {channels}, {taps}, {post:?}, {unit}, {sample}: \
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
        let large = f64::INFINITY;
        for (post, unit, most) in
            [(Post::None, 0.007, 2e7), (Post::Abs, 0.007, 2e7), (Post::None, 0.7, large)]
        {
            windows_of::<u8>(post, unit, most);
            windows_of::<u16>(post, unit, most);
            windows_of::<i16>(post, unit, most);
            windows_of::<f32>(post, unit, most);
        }
    }
}
