//! How each sample type enters and leaves the lanes.

use super::Lanes;
use wide::bytemuck::Pod;

/// Loads and stores of one sample type. Every load converts exactly; every store of an integer
/// type rounds half up and limits to the type's range, as [`Sample::from_f64`] does.
///
/// # Safety
///
/// As for [`Lanes`]: each method says how many samples it touches.
///
/// [`Sample::from_f64`]: crate::Sample::from_f64
pub trait SampleLanes: Pod {
    /// Whether results are stored as they are, without rounding.
    const FLOAT: bool = false;
    /// Whether it is an integer type of images that are read.
    const INTEGER: bool = false;
    /// Whether `load_h` and `store_h` exist: types that 16 bits with a sign hold.
    const NARROW: bool = false;
    /// Neighbours that share 32 bits, for integers whose running sums keep them apart; else 0.
    const PHASES: usize = 0;

    /// Reads N. Only of types that can be filtered.
    unsafe fn load_f<L: Lanes>(_: L, _: *const Self) -> L::F {
        unreachable!("{ONLY_PLANNED}")
    }
    /// Reads N. Only of integer types.
    unsafe fn load_i<L: Lanes>(_: L, _: *const Self) -> L::I {
        unreachable!("{ONLY_PLANNED}")
    }
    /// Reads 2·N. Only where [`NARROW`](Self::NARROW).
    unsafe fn load_h<L: Lanes>(_: L, _: *const Self) -> L::H {
        unreachable!("{ONLY_PLANNED}")
    }
    /// Rounds and writes N.
    unsafe fn store_f<L: Lanes>(l: L, p: *mut Self, v: L::F);
    /// Rounds and writes U·N. Where they `fit`, their magnitudes are less than 2³¹; where `stream`, past the cache if
    /// that is worth while, and `p` must be a multiple of a line's size.
    unsafe fn store_floats<L: Lanes, const U: usize>(
        l: L,
        p: *mut Self,
        v: [L::F; U],
        fit: bool,
        stream: bool,
    );
    /// Writes N.
    unsafe fn store_i<L: Lanes>(l: L, p: *mut Self, v: L::I);
    passed_on! {
        /// Writes U·N, as `store_i`.
        fn store_all[const U: usize](l, p: *mut Self, v: [L::I; U]) {
            for (u, v) in v.into_iter().enumerate() {
                Self::store_i(l, p.add(u * L::N), v);
            }
        }
        /// Writes 2·N, given in split order.
        fn store_split(l, p: *mut Self, first: L::I, second: L::I) {
            let (a, b) = l.in_order(first, second);
            Self::store_i(l, p, a);
            Self::store_i(l, p.add(L::N), b);
        }
    }
    /// Writes 2·N. Only where [`NARROW`](Self::NARROW).
    unsafe fn store_h<L: Lanes>(_: L, _: *mut Self, _: L::H) {
        unreachable!("{ONLY_PLANNED}")
    }
    /// `store_h` past the cache; `p` must be a multiple of the size of what is written.
    unsafe fn stream_h<L: Lanes>(_: L, _: *mut Self, _: L::H) {
        unreachable!("{ONLY_PLANNED}")
    }
    /// Writes 4·N, the even ones and the odd ones; `stream` as in `stream_h`. Only where
    /// [`NARROW`](Self::NARROW).
    unsafe fn store_apart<L: Lanes>(_: L, _: *mut Self, _even: L::H, _odd: L::H, _stream: bool) {
        unreachable!("{ONLY_PLANNED}")
    }
    /// Writes 4·N, whose even and odd groups of four are apart; `stream` as in `stream_h`.
    unsafe fn store_fours<L: Lanes>(_: L, _: *mut Self, _even: L::H, _odd: L::H, _stream: bool) {
        unreachable!("{ONLY_PLANNED}")
    }
    /// Adds N · [`PHASES`](Self::PHASES) samples to sums, each neighbour to its own vector, and takes
    /// away as many unless `take` is null.
    unsafe fn move_phases<L: Lanes>(
        _: L,
        _sums: [L::I; 4],
        _add: *const Self,
        _take: *const Self,
    ) -> [L::I; 4] {
        unreachable!("{ONLY_PLANNED}")
    }
    /// Writes N · [`PHASES`](Self::PHASES), whose neighbours are in vectors of their own; `stream` as
    /// in `stream_h`.
    unsafe fn store_phases<L: Lanes>(_: L, _: *mut Self, _: [L::I; 4], _stream: bool) {
        unreachable!("{ONLY_PLANNED}")
    }
}

/// floor(v + 0.5) as integers; unless they `fit`, limited to from `min` to `max`.
#[inline(always)]
fn round_all<L: Lanes, const U: usize>(
    l: L,
    v: [L::F; U],
    fit: bool,
    (min, max): (f32, f32),
) -> [L::I; U] {
    let mut all = [l.i_splat(0); U];
    if fit {
        for (all, v) in all.iter_mut().zip(v) {
            *all = l.f_floor(l.f_add(v, l.f_splat(0.5)));
        }
    } else {
        for (all, v) in all.iter_mut().zip(v) {
            *all = round(l, v, min, max);
        }
    }
    all
}

/// clamp(floor(v + 0.5)) as integers; NaN becomes `min`.
#[inline(always)]
fn round<L: Lanes>(l: L, v: L::F, min: f32, max: f32) -> L::I {
    let v = l.f_add(v, l.f_splat(0.5));
    l.f_floor(l.f_min(l.f_max(v, l.f_splat(min)), l.f_splat(max)))
}

const ONLY_PLANNED: &str = "this arithmetic is planned for other sample types only";

impl SampleLanes for u8 {
    const INTEGER: bool = true;
    const NARROW: bool = true;
    const PHASES: usize = 4;

    passed_on! {
        fn load_f(l, p: *const u8) -> L::F { l.f_load_u8(p) }
        fn load_i(l, p: *const u8) -> L::I { l.i_load_u8(p) }
        fn load_h(l, p: *const u8) -> L::H { l.h_load_u8(p) }
        fn store_f(l, p: *mut u8, v: L::F) { l.i_store_u8(p, round(l, v, 0.0, 255.0)) }
        fn store_i(l, p: *mut u8, v: L::I) { l.i_store_u8(p, v) }
        fn store_h(l, p: *mut u8, v: L::H) { l.h_store_u8(p, v) }
        fn stream_h(l, p: *mut u8, v: L::H) { l.h_stream_u8(p, v) }
        // Limiting to i16 first changes nothing that u8 can show.
        fn store_split(l, p: *mut u8, first: L::I, second: L::I) {
            l.h_store_u8(p, l.join(first, second))
        }
        fn store_apart(l, p: *mut u8, even: L::H, odd: L::H, stream: bool) {
            if stream { l.h_stream_u8x2(p, even, odd) } else { l.h_store_u8x2(p, even, odd) }
        }
        fn store_fours(l, p: *mut u8, even: L::H, odd: L::H, stream: bool) {
            if stream { l.h_stream_fours(p, even, odd) } else { l.h_store_fours(p, even, odd) }
        }
        fn store_floats[const U: usize](l, p: *mut u8, v: [L::F; U], fit: bool, _stream: bool) {
            Self::store_all(l, p, round_all(l, v, fit, (0.0, 255.0)))
        }
        fn store_all[const U: usize](l, p: *mut u8, v: [L::I; U]) {
            if let [a, b, c, d] = v[..] {
                l.i_store_u8x4(p, [a, b, c, d]);
            } else {
                for (u, v) in v.into_iter().enumerate() {
                    l.i_store_u8(p.add(u * L::N), v);
                }
            }
        }
        fn move_phases(l, sums: [L::I; 4], add: *const u8, take: *const u8) -> [L::I; 4] {
            let mut sums = sums;
            let bytes = l.h_load(add.cast());
            let mut halves = [l.h_even(bytes), l.h_odd(bytes)];
            if !take.is_null() {
                let bytes = l.h_load(take.cast());
                halves = [l.h_sub(halves[0], l.h_even(bytes)), l.h_sub(halves[1], l.h_odd(bytes))];
            }
            let (first, second) = (l.i_splat(1), l.i_splat(1 << 16));
            for (k, half) in halves.into_iter().enumerate() {
                sums[k] = l.dot(sums[k], l.pairs(half), first);
                sums[k + 2] = l.dot(sums[k + 2], l.pairs(half), second);
            }
            sums
        }
        fn store_phases(l, p: *mut u8, v: [L::I; 4], stream: bool) {
            let (v, p) = (l.i_weave_u8(v), p.cast());
            if stream { l.h_stream(p, v) } else { l.h_store(p, v) }
        }
    }
}

impl SampleLanes for u16 {
    const INTEGER: bool = true;
    const PHASES: usize = 2;

    passed_on! {
        fn load_f(l, p: *const u16) -> L::F { l.f_load_u16(p) }
        fn load_i(l, p: *const u16) -> L::I { l.i_load_u16(p) }
        fn store_f(l, p: *mut u16, v: L::F) { l.i_store_u16(p, round(l, v, 0.0, 65535.0)) }
        fn store_i(l, p: *mut u16, v: L::I) { l.i_store_u16(p, v) }
        fn store_floats[const U: usize](l, p: *mut u16, v: [L::F; U], fit: bool, stream: bool) {
            let v = round_all(l, v, fit, (0.0, 65535.0));
            if !(stream && U.is_multiple_of(2)) {
                return Self::store_all(l, p, v);
            }
            for (u, [a, b]) in v.as_chunks().0.iter().enumerate() {
                l.h_stream(p.add(2 * u * L::N).cast(), l.i_join_u16(*a, *b));
            }
        }
        fn store_all[const U: usize](l, p: *mut u16, v: [L::I; U]) {
            let (pairs, one) = v.as_chunks();
            for (u, [a, b]) in pairs.iter().enumerate() {
                l.h_store(p.add(2 * u * L::N).cast(), l.i_join_u16(*a, *b));
            }
            if let [last] = one {
                l.i_store_u16(p.add((U - 1) * L::N), *last);
            }
        }
        fn move_phases(l, sums: [L::I; 4], add: *const u16, take: *const u16) -> [L::I; 4] {
            let mut sums = sums;
            let add = l.i_halves(l.h_load(add.cast()));
            for k in 0..2 {
                sums[k] = l.i_add(sums[k], add[k]);
            }
            if !take.is_null() {
                let take = l.i_halves(l.h_load(take.cast()));
                for k in 0..2 {
                    sums[k] = l.i_sub(sums[k], take[k]);
                }
            }
            sums
        }
        fn store_phases(l, p: *mut u16, v: [L::I; 4], stream: bool) {
            let (v, p) = (l.i_weave_u16([v[0], v[1]]), p.cast());
            if stream { l.h_stream(p, v) } else { l.h_store(p, v) }
        }
    }
}

impl SampleLanes for i16 {
    const NARROW: bool = true;

    passed_on! {
        fn load_f(l, p: *const i16) -> L::F { l.i_to_f(l.i_load_i16(p)) }
        fn load_i(l, p: *const i16) -> L::I { l.i_load_i16(p) }
        fn load_h(l, p: *const i16) -> L::H { l.h_load(p) }
        fn store_f(l, p: *mut i16, v: L::F) { l.i_store_i16(p, round(l, v, -32768.0, 32767.0)) }
        fn store_floats[const U: usize](l, p: *mut i16, v: [L::F; U], fit: bool, _stream: bool) {
            Self::store_all(l, p, round_all(l, v, fit, (-32768.0, 32767.0)))
        }
        fn store_i(l, p: *mut i16, v: L::I) { l.i_store_i16(p, v) }
        fn store_h(l, p: *mut i16, v: L::H) { l.h_store(p, v) }
        fn stream_h(l, p: *mut i16, v: L::H) { l.h_stream(p, v) }
        fn store_split(l, p: *mut i16, first: L::I, second: L::I) {
            l.h_store(p, l.join(first, second))
        }
        fn store_apart(l, p: *mut i16, even: L::H, odd: L::H, stream: bool) {
            let (first, second) = l.h_interleave(even, odd);
            if stream {
                l.h_stream(p, first);
                l.h_stream(p.add(2 * L::N), second);
            } else {
                l.h_store(p, first);
                l.h_store(p.add(2 * L::N), second);
            }
        }
    }
}

impl SampleLanes for f32 {
    const FLOAT: bool = true;

    passed_on! {
        fn load_f(l, p: *const f32) -> L::F { l.f_load(p) }
        fn store_f(l, p: *mut f32, v: L::F) { l.f_store(p, v) }
        fn store_floats[const U: usize](l, p: *mut f32, v: [L::F; U], _: bool, stream: bool) {
            if stream {
                for (u, v) in v.into_iter().enumerate() {
                    l.f_stream(p.add(u * L::N), v);
                }
            } else {
                for (u, v) in v.into_iter().enumerate() {
                    l.f_store(p.add(u * L::N), v);
                }
            }
        }
        fn store_i(l, p: *mut f32, v: L::I) { l.f_store(p, l.i_to_f(v)) }
    }
}
