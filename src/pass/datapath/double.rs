//! The arithmetic of last resort before the reference: `f64`.

use super::{Datapath, dense_alike, post};
use crate::pass::{Finish, Taps};
use crate::simd::{Lanes, SampleLanes, passed_on};

/// `f64`: for taps so wild or kernels so long that `f32` is too coarse. Only the end result is
/// rounded to `f32` on its way into a sample.
#[derive(Clone, Copy)]
pub struct F64;

// Each half of N elements is N / 2.
impl Datapath for F64 {
    type Elem = f64;
    type Wide = f64;
    type Tap = f64;
    type TapV<L: Lanes> = L::D;
    type Acc<L: Lanes> = (L::D, L::D);
    type WideAcc<L: Lanes> = (L::D, L::D);
    // There are not registers enough for more, and such kernels are rare.
    const MOST_SUMS: usize = 2;
    const PAIRED: usize = 1;
    const REGISTERS: usize = 2;
    const ROW_SUMS: bool = false;

    fn taps(taps: &Taps) -> &[f64] {
        match taps {
            Taps::F64(taps) => taps,
            _ => &[],
        }
    }
    #[inline(always)]
    fn splat<L: Lanes>(l: L, tap: f64) -> L::D {
        l.d_splat(tap)
    }
    #[inline(always)]
    fn start<L: Lanes>(l: L, _: i32) -> (L::D, L::D) {
        (l.d_splat(0.0), l.d_splat(0.0))
    }
    dense_alike!();
    passed_on! {
        fn load[T: SampleLanes](l, a: *const T, _: *const T) -> (L::D, L::D) {
            l.f_to_d(T::load_f(l, a))
        }
        fn load_scratch(l, a: *const f64, _b: *const f64) -> (L::D, L::D) {
            (l.d_load(a), l.d_load(a.add(L::N / 2)))
        }
        fn widen[T: SampleLanes](l, a: *const T, b: *const T, p: *mut f64) {
            Self::put(l, Self::load(l, a, b), 0, p)
        }
        fn wide_load(l, p: *const f64) -> (L::D, L::D) { Self::load_scratch(l, p, p) }
        fn put(l, acc: (L::D, L::D), _: u32, p: *mut f64) {
            l.d_store(p, acc.0);
            l.d_store(p.add(L::N / 2), acc.1);
        }
        fn finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[(L::D, L::D); M]; U],
            finish: &Finish,
            _: bool,
            p: *mut O,
        ) {
            let offset = l.d_splat(finish.offset);
            let mut results = [l.f_splat(0.0); U];
            for (result, acc) in results.iter_mut().zip(acc) {
                let mut v = [l.f_splat(0.0); M];
                for (v, acc) in v.iter_mut().zip(acc) {
                    *v = l.d_to_f(l.d_add(acc.0, offset), l.d_add(acc.1, offset));
                }
                *result = post(l, v, finish);
            }
            O::store_floats(l, p, results, finish.fits(), false)
        }
    }
    #[inline(always)]
    fn step<L: Lanes>(l: L, acc: (L::D, L::D), x: (L::D, L::D), tap: L::D) -> (L::D, L::D) {
        (l.d_add(acc.0, l.d_mul(x.0, tap)), l.d_add(acc.1, l.d_mul(x.1, tap)))
    }
    #[inline(always)]
    fn wide_add<L: Lanes>(l: L, a: (L::D, L::D), b: (L::D, L::D)) -> (L::D, L::D) {
        (l.d_add(a.0, b.0), l.d_add(a.1, b.1))
    }
}
