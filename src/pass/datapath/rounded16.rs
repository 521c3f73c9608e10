//! The arithmetic between filters of `u8` images: rows of 16 bits, everything in 16 bits.

use super::I16;
use super::{Datapath, dense_alike};
use crate::pass::{Finish, Taps};
use crate::simd::{Lanes, SampleLanes, passed_on};

/// 16 bits throughout: every product is rounded to 16 bits, taps are in units of 2⁻¹⁵. Sums may wrap
/// on their way; the plan has made sure that those which are written fit.
#[derive(Clone, Copy)]
pub struct I16Rounded;

/// √(x² + y²) of pairs, in units of `unit`, rounded.
#[inline(always)]
fn root<L: Lanes>(l: L, pairs: L::I, unit: L::F) -> L::I {
    let root = l.f_sqrt(l.i_to_f(l.dot(l.i_splat(0), pairs, pairs)));
    l.f_floor(l.f_add(l.f_mul(root, unit), l.f_splat(0.5)))
}

impl Datapath for I16Rounded {
    type Elem = i16;
    type Wide = i16;
    type Tap = i16;
    type TapV<L: Lanes> = L::H;
    type Acc<L: Lanes> = L::H;
    type WideAcc<L: Lanes> = L::H;
    const PAIRED: usize = 1;
    const REGISTERS: usize = 1;
    const ROW_SUMS: bool = false;

    #[inline(always)]
    fn lanes<L: Lanes>() -> usize {
        2 * L::N
    }
    #[inline(always)]
    fn wide_lanes<L: Lanes>() -> usize {
        2 * L::N
    }
    fn taps(taps: &Taps) -> &[i16] {
        I16::taps(taps)
    }
    #[inline(always)]
    fn splat<L: Lanes>(l: L, tap: i16) -> L::H {
        l.h_splat(tap)
    }
    #[inline(always)]
    fn start<L: Lanes>(l: L, value: i32) -> L::H {
        l.h_splat(value as i16)
    }
    dense_alike!();
    passed_on! {
        fn load[T: SampleLanes](l, a: *const T, _b: *const T) -> L::H { T::load_h(l, a) }
        fn load_scratch(l, a: *const i16, _b: *const i16) -> L::H { l.h_load(a) }
        fn put(l, acc: L::H, _shift: u32, p: *mut i16) { l.h_store(p, acc) }
        fn widen[T: SampleLanes](l, a: *const T, _b: *const T, p: *mut i16) { l.h_store(p, T::load_h(l, a)) }
        fn wide_load(l, p: *const i16) -> L::H { l.h_load(p) }
        fn finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[L::H; M]; U],
            finish: &Finish,
            stream: bool,
            p: *mut O,
        ) {
            for (u, acc) in acc.into_iter().enumerate() {
                let v = if M == 2 {
                    // The plan has made sure that x² + y² fits.
                    let (first, second) = l.split(acc[0], acc[M - 1]);
                    let unit = l.f_splat(finish.fixed[0].unit);
                    l.join(root(l, first, unit), root(l, second, unit))
                } else {
                    I16::result(l, acc, finish)
                };
                let p = p.add(u * Self::lanes::<L>());
                if stream { O::stream_h(l, p, v) } else { O::store_h(l, p, v) }
            }
        }
    }
    #[inline(always)]
    fn step<L: Lanes>(l: L, acc: L::H, x: L::H, tap: L::H) -> L::H {
        l.h_add(acc, l.h_mul_high(x, tap))
    }
    #[inline(always)]
    fn wide_add<L: Lanes>(l: L, a: L::H, b: L::H) -> L::H {
        l.h_add(a, b)
    }
}
