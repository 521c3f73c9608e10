//! Running sums of one channel whose neighbours share a lane: in 32 bits there are four `u8` samples or
//! two of `u16`, called the phases, and each phase has a row of sums of its own. Only prefix sums of whole
//! lanes move from lane to lane, so those of one vector serve four (or two) vectors of samples; the
//! phases' own follow from them by addition.
//!
//! All sums are exact, as those of [`Accumulate`](super::Accumulate) and [`Windows`](super::Windows) are.

use super::{PIECE, index, rounded};
use crate::any_view::OutRow;
use crate::pass::Finish;
use crate::sample::{Sample, SampleType};
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes, prefetch};

/// Elements that each row of sums has beyond what is used of it.
pub const PHASE_SLACK: usize = 2 * MAX_LANES;

/// Where the samples from `at` on lie in P rows of `each` elements: the i-th of them, and every P-th one
/// behind it, in row (at + i) mod P. Whether the rows reach that far is for those to say who read and write
/// there.
#[inline(always)]
fn places<const P: usize>(rows: *mut i32, each: usize, at: usize) -> [*mut i32; 4] {
    let mut places = [rows; 4];
    for (i, place) in places.iter_mut().enumerate().take(P) {
        *place = rows.wrapping_add((at + i) % P * each + (at + i) / P);
    }
    places
}

/// `sums += add − take`; without `take`, `sums += add`.
pub struct AccumulatePhases<'a, T> {
    /// The row that enters the window.
    pub add: &'a [T],
    /// The row that leaves it, of the same length.
    pub take: Option<&'a [T]>,
    /// Where the row starts in `sums`.
    pub at: usize,
    /// A row for each phase, one behind the other; each goes on for [`PHASE_SLACK`].
    pub sums: &'a mut [i32],
}

impl<T: SampleLanes> Job for AccumulatePhases<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match T::PHASES {
            4 => self.phases::<L, 4>(l),
            2 => self.phases::<L, 2>(l),
            _ => unreachable!("their neighbours are not kept apart"),
        }
    }
}

impl<T: SampleLanes> AccumulatePhases<'_, T> {
    #[inline(always)]
    fn phases<L: Lanes, const P: usize>(self, l: L) {
        let Self { add, take, at, sums } = self;
        let (n, lanes, each) = (add.len(), P * L::N, sums.len() / P);
        assert!(take.is_none_or(|take| take.len() == n));
        assert!(each >= (at + n) / P + PHASE_SLACK);
        let mut x = 0;
        // SAFETY: x + P·N ≤ n, which both rows have; the rows of sums go on for more than a vector
        // behind that; the arrays have 2·MAX_LANES ≥ P·N samples.
        unsafe {
            let sums = places::<P>(sums.as_mut_ptr(), each, at);
            while x + lanes <= n {
                let take = take.map_or(std::ptr::null(), |take| take.as_ptr().add(x));
                accumulate::<T, L, P>(l, add.as_ptr().add(x), take, sums.map(|p| p.add(x / P)));
                x += lanes;
            }
            if x < n {
                // Whole vectors with zeros behind the row: what lies there stays as it is.
                let mut whole = [[T::zeroed(); 2 * MAX_LANES]; 2];
                whole[0][..n - x].copy_from_slice(&add[x..]);
                if let Some(take) = take {
                    whole[1][..n - x].copy_from_slice(&take[x..]);
                }
                let [add, take] = [whole[0].as_ptr(), whole[1].as_ptr()];
                accumulate::<T, L, P>(l, add, take, sums.map(|p| p.add(x / P)));
            }
        }
    }
}

/// P·N sums. A null `take` takes nothing.
///
/// # Safety
///
/// `add` and `take`, unless it is null, must be good for P·N samples, the first P of `sums` for N
/// elements.
#[inline(always)]
unsafe fn accumulate<T: SampleLanes, L: Lanes, const P: usize>(
    l: L,
    add: *const T,
    take: *const T,
    sums: [*mut i32; 4],
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut all = [l.i_splat(0); 4];
        for (all, sums) in all.iter_mut().zip(sums).take(P) {
            *all = l.i_load(sums);
        }
        let all = T::move_phases(l, all, add, take);
        for (all, sums) in all.into_iter().zip(sums).take(P) {
            l.i_store(sums, all);
        }
    }
}

/// The means of windows, rounded and written. On the way, for each phase the sums of all samples to the left,
/// which start with 0.
pub struct MeansPhases<'a> {
    /// The column sums, as [`AccumulatePhases`] has them.
    pub sums: &'a [i32],
    /// The sample of `sums` with which the first window starts.
    pub from: usize,
    /// Room for as many elements.
    pub prefix: &'a mut [i32],
    /// Samples of a window.
    pub taps: usize,
    /// From sum to sample; [`Finish::rounds`].
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Memory to ask for on the way; as much for each sample that is written.
    pub next: &'a [u8],
    /// Exactly the samples to write.
    pub out: OutRow<'a>,
}

/// Prefix sums as far as they are made.
struct Scan<'a, L: Lanes, const P: usize> {
    /// From the lane of the first window's first sample on.
    sums: *const i32,
    prefix: *mut i32,
    /// Elements from one phase to the next, of both.
    each: usize,
    /// Bytes of `next` for a lane.
    share: usize,
    next: &'a [u8],
    /// What is added in each step within a vector: what lies 1, 2, 4 … lanes to the left.
    left: [L::I; 4],
    carry: L::I,
    /// Lanes that are summed.
    x: usize,
}

impl<L: Lanes, const P: usize> Scan<'_, L, P> {
    /// Goes on until `upto` lanes are summed; whole vectors, and asks for the part of `next` that belongs to
    /// them.
    ///
    /// # Safety
    ///
    /// The phases' rows must be good for `upto` + N elements.
    #[inline(always)]
    unsafe fn go_on(&mut self, l: L, upto: usize) {
        let Self { sums, prefix, each, share, next, left, mut carry, mut x } = *self;
        let steps = L::N.ilog2() as usize;
        let last = l.i_splat(L::N as i32 - 1);
        while x < upto {
            if let Some(next) = next.get(share * x..share * (x + L::N)) {
                prefetch(next);
            }
            // SAFETY: as promised by the caller.
            unsafe {
                let mut own = [l.i_splat(0); P];
                for (phase, own) in own.iter_mut().enumerate() {
                    *own = l.i_load(sums.add(phase * each + x));
                }
                let mut all = own[0];
                for own in &own[1..] {
                    all = l.i_add(all, *own);
                }
                let mut v = all;
                for left in &left[..steps] {
                    v = l.i_add(v, l.i_permute(v, *left));
                }
                let before = l.i_sub(l.i_add(v, carry), all);
                carry = l.i_add(carry, l.i_permute(v, last));
                let mut v = before;
                for (phase, own) in own.into_iter().enumerate() {
                    l.i_store(prefix.add(phase * each + x), v);
                    v = l.i_add(v, own);
                }
            }
            x += L::N;
        }
        (self.carry, self.x) = (carry, x);
    }
}

impl Job for MeansPhases<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match self.out.sample() {
            SampleType::U8 => self.phases::<L, u8, 4>(l),
            SampleType::U16 => self.phases::<L, u16, 2>(l),
            SampleType::I16 | SampleType::F32 => {
                unreachable!("their neighbours are not kept apart")
            }
        }
    }
}

impl MeansPhases<'_> {
    #[inline(always)]
    fn phases<L: Lanes, O: Sample, const P: usize>(self, l: L) {
        let Self { sums, from, prefix, taps, finish, stream, next, out } = self;
        let out = out.typed::<O>();
        let (n, lanes, each) = (out.len(), P * L::N, sums.len() / P);
        // The last window's end, and what a vector reads behind it.
        assert!(taps > 0 && each >= (from + n + taps) / P + PHASE_SLACK);
        assert!(prefix.len() == sums.len());
        // Within a vector: a lane with a negative index is 0.
        let mut left = [l.i_splat(-1); 4];
        for (count, left) in left.iter_mut().enumerate() {
            *left = index(l, |lane| lane as i32 - (1 << count));
        }
        let prefix = prefix.as_mut_ptr();
        let mut scan = Scan::<L, P> {
            sums: sums[from / P..].as_ptr(),
            prefix,
            each,
            share: next.len() / n.max(1) * P,
            next,
            left,
            carry: l.i_splat(0),
            x: 0,
        };
        let from = from % P;
        // Lanes that must be summed for the windows before a sample.
        let needed = |end: usize| (from + end - 1 + taps) / P + 1;
        // What is streamed is whole lines, and no other store may touch those: before them, two vectors.
        let aligned =
            out.as_ptr().addr().wrapping_neg() % (lanes * size_of::<O>()) / size_of::<O>();
        let stream = stream && n >= 3 * lanes;
        let first = if stream { aligned } else { 0 };
        // SAFETY: x + P·N ≤ n, or what is written goes to `whole`; the rows of `prefix` reach a vector
        // behind the last window's end.
        unsafe {
            let ends = |x| [x, x + taps].map(|at| places::<P>(prefix, each, from + at));
            let (p, mut x) = (out.as_mut_ptr(), 0);
            if first > 0 {
                scan.go_on(l, needed(first + lanes));
                windows::<O, L, P>(l, ends(0), 0, finish, p, false);
                windows::<O, L, P>(l, ends(first), 0, finish, p.add(first), false);
                x = first + lanes;
            }
            let (places, start) = (ends(x), x);
            // Pieces gain nothing where four phases' sums are written for each.
            let piece = if P > 2 { n } else { PIECE / size_of::<O>() };
            while x + lanes <= n {
                let end = x + piece.min((n - x) / lanes * lanes);
                scan.go_on(l, needed(end));
                while x < end {
                    windows::<O, L, P>(l, places, (x - start) / P, finish, p.add(x), stream);
                    x += lanes;
                }
            }
            if x < n {
                scan.go_on(l, needed(n));
                let mut whole = [O::zeroed(); 2 * MAX_LANES];
                let at = (x - start) / P;
                windows::<O, L, P>(l, places, at, finish, whole.as_mut_ptr(), false);
                out[x..].copy_from_slice(&whole[..n - x]);
            }
        }
    }
}

/// P·N windows, whose starts and ends lie `at` behind those places.
///
/// # Safety
///
/// The first P of `places` must be good for N elements from `at` on, `out` for P·N samples.
#[inline(always)]
unsafe fn windows<O: SampleLanes, L: Lanes, const P: usize>(
    l: L,
    [starts, ends]: [[*mut i32; 4]; 2],
    at: usize,
    finish: &Finish,
    out: *mut O,
    stream: bool,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut results = [l.i_splat(0); 4];
        for phase in 0..P {
            let sum = l.i_sub(l.i_load(ends[phase].add(at)), l.i_load(starts[phase].add(at)));
            results[phase] = rounded(l, sum, finish);
        }
        O::store_phases(l, out, results, stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::Fixed;
    use crate::pass::noise::noise;
    use crate::simd::Level;

    const LENGTHS: [usize; 9] = [1, 7, 16, 31, 32, 63, 130, 300, 3000];

    /// Where a sample lies in rows of `each` elements, one for each phase.
    fn place<T: Sample>(each: usize, sample: usize) -> usize {
        sample % T::PHASES * each + sample / T::PHASES
    }

    /// Column sums of one type of samples; all others must stay.
    fn accumulates<T: Sample>(sample: fn(i32) -> T) {
        for n in LENGTHS {
            let row = |seed| -> Vec<T> { noise(n, seed).map(sample).collect() };
            let (add, leaves) = (row(1), row(2));
            let leaves = Some(&leaves[..]);
            for (at, take) in [(0, None), (0, leaves), (3, None), (6, leaves)] {
                let each = (at + n) / T::PHASES + PHASE_SLACK;
                let before: Vec<i32> = noise(T::PHASES * each, 3).collect();
                let mut expected = before.clone();
                for x in 0..n {
                    let taken = take.map_or(0.0, |take| take[x].to_f64());
                    let sum = &mut expected[place::<T>(each, at + x)];
                    *sum = sum.wrapping_add((add[x].to_f64() - taken) as i32);
                }
                for level in Level::available() {
                    let mut sums = before.clone();
                    level.run(AccumulatePhases { add: &add, take, at, sums: &mut sums });
                    assert!(sums == expected, "{level}, {n} of {} from {at} on", T::TYPE);
                }
            }
        }
    }

    #[test]
    fn neighbours_enter_and_leave_apart() {
        accumulates(|v| v as u8);
        accumulates(|v| v as u16);
    }

    /// Means of one type of samples, past the cache or not, wherever in a line they begin.
    fn means_of<O: Sample>(unit: f32, offset: f64) {
        let fixed = Fixed { unit, ..Fixed::default() };
        let finish = &Finish { offset, most: 1e6, fixed: [fixed; 2], ..Finish::PLAIN };
        assert!(finish.rounds());
        for n in LENGTHS {
            for (from, taps) in [(0, 1), (3, 2), (6, 7), (101, 50)] {
                let each = (from + n + taps) / O::PHASES + PHASE_SLACK;
                // Their mean is 0, so that a sample more or less shows in long windows, too.
                let sums: Vec<i32> = noise(O::PHASES * each, 1).map(|v| v >> 20).collect();
                let mean = |x: usize| {
                    let samples = from + x..from + x + taps;
                    let sum: i32 = samples.map(|s| sums[place::<O>(each, s)]).sum();
                    let mean = sum as f32 * unit + (offset + 0.5) as f32;
                    O::from_f64(f64::from(mean.floor()))
                };
                let expected: Vec<O> = (0..n).map(mean).collect();
                let next = &vec![0; 2 * n];
                for level in Level::available() {
                    for (stream, start) in [(false, 0), (true, 0), (true, 1), (true, 13)] {
                        let mut memory = vec![O::default(); n + 64];
                        let prefix = &mut noise(sums.len(), 2).collect::<Vec<i32>>()[..];
                        let (sums, out) = (&sums, OutRow::new(&mut memory[start..start + n]));
                        let means =
                            MeansPhases { sums, from, prefix, taps, finish, stream, next, out };
                        level.run(means);
                        let same = memory[start..start + n] == expected[..];
                        assert!(same, "{level}, {n} of {}, {taps} from {from} on", O::TYPE);
                        let mut others = memory[..start].iter().chain(&memory[start + n..]);
                        assert!(others.all(|v| *v == O::default()), "{level}, {n} of {}", O::TYPE);
                    }
                }
            }
        }
    }

    #[test]
    fn means_are_rounded() {
        means_of::<u8>(0.02, 120.0);
        means_of::<u16>(0.4, 20_000.0);
    }
}
