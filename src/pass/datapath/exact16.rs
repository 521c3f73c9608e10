//! The arithmetic for small kernels on `u8` images: everything in 16 bits.

use super::{Datapath, dense_alike};
use crate::filter::Post;
use crate::pass::{Finish, Taps};
use crate::simd::{Lanes, SampleLanes, passed_on};

/// 16 bits throughout: `u8` samples and small integer taps. Sums may wrap on their way, as integers
/// do; the plan has made sure that the last one is right. As a datapath it has the dense pass only: two
/// passes keep even and odd samples apart ([`ColumnHalves`](crate::pass::ColumnHalves)).
#[derive(Clone, Copy)]
pub struct I16;

impl I16 {
    /// Whole sums of a result's two kernels, or of its one, as results.
    #[inline(always)]
    pub(in crate::pass) fn result<L: Lanes, const M: usize>(
        l: L,
        acc: [L::H; M],
        finish: &Finish,
    ) -> L::H {
        if M == 2 {
            // The results of a magnitude's kernels are whole; x² + y² is exact.
            let (first, second) = l.split(acc[0], acc[M - 1]);
            let (first, second) = (root(l, first), root(l, second));
            return l.join(first, second);
        }
        let fixed = &finish.fixed[0];
        if finish.post == Post::Abs {
            let half = l.h_splat(fixed.half() as i16);
            return l.h_shr(l.h_add(l.h_abs(acc[0]), half), fixed.shift);
        }
        if fixed.factor != 0 {
            let factor = l.h_splat(fixed.factor);
            if fixed.divides {
                return l.h_shr(l.h_mul_upper(acc[0], factor), fixed.shift);
            }
            return l.h_mul_high(acc[0], factor);
        }
        if fixed.unsigned {
            return l.h_shr_unsigned(acc[0], fixed.shift);
        }
        if fixed.shift == 0 { acc[0] } else { l.h_shr(acc[0], fixed.shift) }
    }
}

/// √(x² + y²) of pairs, rounded.
#[inline(always)]
fn root<L: Lanes>(l: L, pairs: L::I) -> L::I {
    let root = l.f_sqrt(l.i_to_f(l.dot(l.i_splat(0), pairs, pairs)));
    l.f_floor(l.f_add(root, l.f_splat(0.5)))
}

impl Datapath for I16 {
    type Elem = i16;
    type Wide = u8;
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
        match taps {
            Taps::I16(taps) => taps,
            _ => &[],
        }
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
        fn widen[T: SampleLanes](l, a: *const T, _b: *const T, p: *mut u8) { l.h_store_u8(p, T::load_h(l, a)) }
        fn wide_load(l, p: *const u8) -> L::H { l.h_load_u8(p) }
        fn finish[O: SampleLanes, const M: usize, const U: usize](
            l,
            acc: [[L::H; M]; U],
            finish: &Finish,
            stream: bool,
            p: *mut O,
        ) {
            for (u, acc) in acc.into_iter().enumerate() {
                let (v, p) = (Self::result(l, acc, finish), p.add(u * Self::lanes::<L>()));
                if stream { O::stream_h(l, p, v) } else { O::store_h(l, p, v) }
            }
        }
    }
    #[inline(always)]
    fn step<L: Lanes>(l: L, acc: L::H, x: L::H, tap: L::H) -> L::H {
        l.h_add(acc, l.h_mul(x, tap))
    }
    #[inline(always)]
    fn wide_add<L: Lanes>(l: L, a: L::H, b: L::H) -> L::H {
        l.h_add(a, b)
    }
    #[inline(always)]
    fn wide_is<T: SampleLanes>() -> bool {
        size_of::<T>() == 1
    }
}
