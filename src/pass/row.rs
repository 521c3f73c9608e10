//! The row pass: one scratch row, weighted with taps a fixed step apart, into output samples.

use super::Finish;
use super::rung::Rung;
use crate::simd::{Job, Lanes, MAX_LANES, SampleLanes};

/// The scratch row of one kernel and its horizontal taps.
pub struct Input<'a, R: Rung> {
    /// Element i·step lies under tap i of the first output sample.
    pub scratch: &'a [R::Elem],
    /// One per tap, or per pair of taps.
    pub taps: &'a [R::Tap],
}

/// `out[x] = finish(Σ_i taps[i] · scratch[x + i·step])`, for one kernel or (M = 2) the two of a
/// magnitude.
pub struct Row<'a, R: Rung, O, const M: usize> {
    /// What to read; each scratch row has n + (taps − 1)·step elements and `MAX_LANES` more,
    /// whose values do not matter.
    pub inputs: [Input<'a, R>; M],
    /// Horizontal taps of each kernel, before pairing.
    pub count: usize,
    /// Elements from one tap to the next: channels × dilation.
    pub step: usize,
    /// From accumulator to sample.
    pub finish: &'a Finish,
    /// Whether the output is so large that it had better go past the cache.
    pub stream: bool,
    /// Exactly the samples to write.
    pub out: &'a mut [O],
}

/// Vectors in flight.
const UNROLL: usize = 4;

impl<R: Rung, O: SampleLanes, const M: usize> Job for Row<'_, R, O, M> {
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { inputs, count, step, finish, stream, out } = self;
        let n = out.len();
        for input in &inputs {
            assert!(input.taps.len() == count.div_ceil(R::PAIRED) && count > 0);
            assert!(input.scratch.len() >= n + (count - 1) * step + MAX_LANES);
        }
        let lanes = R::lanes::<L>();
        // SAFETY: `block` reads U·lanes elements from x + i·step on, i < count, and writes U·lanes
        // samples at x. In the loops x + U·lanes ≤ n, the last call starts at n − lanes ≥ 0, and a
        // row shorter than a vector reads into the slack and writes to `whole`.
        unsafe {
            if n < lanes {
                let mut whole = [O::zeroed(); MAX_LANES];
                block::<R, O, L, M, 1, false>(
                    l,
                    &inputs,
                    count,
                    step,
                    finish,
                    0,
                    whole.as_mut_ptr(),
                );
                out.copy_from_slice(&whole[..n]);
                return;
            }
            let out = out.as_mut_ptr();
            let mut x = 0;
            // Vectors must be aligned to be streamed: the first one is written as it lies, and
            // the loop starts where the next line does.
            let line = (out.addr().wrapping_neg() % 64) / size_of::<O>();
            if stream && out.addr() % size_of::<O>() == 0 && line <= lanes {
                block::<R, O, L, M, 1, false>(l, &inputs, count, step, finish, 0, out);
                x = line;
                while x + UNROLL * lanes <= n {
                    let out = out.add(x);
                    block::<R, O, L, M, UNROLL, true>(l, &inputs, count, step, finish, x, out);
                    x += UNROLL * lanes;
                }
            }
            while x + UNROLL * lanes <= n {
                let out = out.add(x);
                block::<R, O, L, M, UNROLL, false>(l, &inputs, count, step, finish, x, out);
                x += UNROLL * lanes;
            }
            while x + lanes <= n {
                block::<R, O, L, M, 1, false>(l, &inputs, count, step, finish, x, out.add(x));
                x += lanes;
            }
            if x < n {
                let x = n - lanes;
                block::<R, O, L, M, 1, false>(l, &inputs, count, step, finish, x, out.add(x));
            }
        }
    }
}

/// U vectors of the output from sample x on.
///
/// # Safety
///
/// Every scratch row must have x + (count − 1)·step + U·lanes elements, `out` U·lanes samples;
/// with `STREAM`, `out` must be a multiple of 64.
#[inline(always)]
unsafe fn block<
    R: Rung,
    O: SampleLanes,
    L: Lanes,
    const M: usize,
    const U: usize,
    const STREAM: bool,
>(
    l: L,
    inputs: &[Input<'_, R>; M],
    count: usize,
    step: usize,
    finish: &Finish,
    x: usize,
    out: *mut O,
) {
    let lanes = R::lanes::<L>();
    let mut acc = [[R::zero(l); M]; U];
    // SAFETY: tap k starts at element x + k·PAIRED·step, the second of a pair at the next tap's,
    // limited to the last tap; the caller promises U·lanes elements from there.
    unsafe {
        for (m, input) in inputs.iter().enumerate() {
            let p = input.scratch.as_ptr().add(x);
            for k in 0..input.taps.len() {
                let first = k * R::PAIRED;
                let a = p.add(first * step);
                let b = p.add((first + R::PAIRED - 1).min(count - 1) * step);
                let tap = R::splat(l, *input.taps.get_unchecked(k));
                for (u, acc) in acc.iter_mut().enumerate() {
                    let x = R::load_scratch(l, a.add(u * lanes), b.add(u * lanes));
                    acc[m] = R::step(l, acc[m], x, tap);
                }
            }
        }
        for (u, acc) in acc.iter().enumerate() {
            R::finish::<L, O, M, STREAM>(l, *acc, finish, out.add(u * lanes));
        }
    }
}
