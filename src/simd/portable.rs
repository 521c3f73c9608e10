//! The portable level: four lanes of the `wide` crate, which turns them into SSE2, NEON or wasm
//! SIMD, or plain code, by what the target has at compile time.

use super::{Job, Lanes};
use wide::bytemuck::cast;
use wide::{f32x4, f64x2, i16x8, i32x4, i32x8, u8x16, u16x8};

/// Needs nothing, so anyone may make it.
#[derive(Clone, Copy)]
pub struct Portable;

/// Does the job, in a function of its own as at the other levels: not once more in each of its callers.
#[inline(never)]
pub fn run<J: Job>(job: J) {
    job.run(Portable);
}

/// Reads `N` values at any alignment.
#[inline(always)]
unsafe fn read<T: Copy, const N: usize>(p: *const T) -> [T; N] {
    // SAFETY: the caller lets N values be read; `read_unaligned` asks for no alignment.
    unsafe { p.cast::<[T; N]>().read_unaligned() }
}

/// Writes `N` values at any alignment.
#[inline(always)]
unsafe fn write<T: Copy, const N: usize>(p: *mut T, v: [T; N]) {
    // SAFETY: the caller lets N values be written; `write_unaligned` asks for no alignment.
    unsafe { p.cast::<[T; N]>().write_unaligned(v) }
}

/// What reads or writes memory.
macro_rules! memory {
    ($e:expr) => {
        // SAFETY: it touches the number of elements that the trait states, which the caller allows.
        unsafe { $e }
    };
}

impl Lanes for Portable {
    const N: usize = 4;
    type F = f32x4;
    type I = i32x4;
    type H = i16x8;
    type D = f64x2;

    #[inline(always)]
    fn f_splat(self, x: f32) -> f32x4 {
        f32x4::splat(x)
    }
    #[inline(always)]
    unsafe fn f_load(self, p: *const f32) -> f32x4 {
        f32x4::new(memory!(read(p)))
    }
    #[inline(always)]
    unsafe fn f_load_u8(self, p: *const u8) -> f32x4 {
        f32x4::from_i32x4(memory!(self.i_load_u8(p)))
    }
    #[inline(always)]
    unsafe fn f_load_u16(self, p: *const u16) -> f32x4 {
        f32x4::from_i32x4(memory!(self.i_load_u16(p)))
    }
    #[inline(always)]
    unsafe fn f_store(self, p: *mut f32, v: f32x4) {
        memory!(write(p, v.to_array()))
    }
    #[inline(always)]
    unsafe fn f_stream(self, p: *mut f32, v: f32x4) {
        // `wide` has no such store.
        memory!(self.f_store(p, v))
    }
    #[inline(always)]
    fn f_add(self, a: f32x4, b: f32x4) -> f32x4 {
        a + b
    }
    #[inline(always)]
    fn f_mul(self, a: f32x4, b: f32x4) -> f32x4 {
        a * b
    }
    #[inline(always)]
    fn f_mul_add(self, a: f32x4, b: f32x4, c: f32x4) -> f32x4 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn f_permute(self, v: f32x4, index: i32x4) -> f32x4 {
        let (v, i) = (v.to_array(), index.to_array());
        // Indices are 0..4; the mask spares the bounds check.
        f32x4::new([
            v[i[0] as usize & 3],
            v[i[1] as usize & 3],
            v[i[2] as usize & 3],
            v[i[3] as usize & 3],
        ])
    }
    const PERMUTES_TWO: bool = false;
    #[inline(always)]
    fn f_permute_two(self, a: f32x4, b: f32x4, index: i32x4) -> f32x4 {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.to_array(), b.to_array());
        let (v, i) = ([a0, a1, a2, a3, b0, b1, b2, b3], index.to_array());
        // Indices are 0..8; the mask spares the bounds check.
        f32x4::new([
            v[i[0] as usize & 7],
            v[i[1] as usize & 7],
            v[i[2] as usize & 7],
            v[i[3] as usize & 7],
        ])
    }
    #[inline(always)]
    fn f_min(self, a: f32x4, b: f32x4) -> f32x4 {
        a.min(b)
    }
    #[inline(always)]
    fn f_max(self, a: f32x4, b: f32x4) -> f32x4 {
        a.max(b)
    }
    #[inline(always)]
    fn f_at_least(self, v: f32x4, least: f32x4) -> f32x4 {
        v.simd_lt(least).select(least, v)
    }
    #[inline(always)]
    fn f_at_most(self, v: f32x4, most: f32x4) -> f32x4 {
        v.simd_gt(most).select(most, v)
    }
    #[inline(always)]
    fn f_abs(self, v: f32x4) -> f32x4 {
        v.abs()
    }
    #[inline(always)]
    fn f_power(self, v: f32x4) -> [f32x4; 2] {
        // The exponent is kept, and taken from twice its middle.
        let exponent = cast::<f32x4, i32x4>(v) & i32x4::splat(0x7f80_0000);
        [cast(exponent), cast(i32x4::splat(0x7f00_0000) - exponent)]
    }
    #[inline(always)]
    fn f_sqrt(self, v: f32x4) -> f32x4 {
        v.sqrt()
    }
    #[inline(always)]
    fn f_floor(self, v: f32x4) -> i32x4 {
        // SSE2 has no floor: truncate, then step down where that went up. A true comparison is −1.
        let t = v.fast_trunc_int();
        let above: i32x4 = cast(f32x4::from_i32x4(t).simd_gt(v));
        t + above
    }

    #[inline(always)]
    fn d_splat(self, x: f64) -> f64x2 {
        f64x2::splat(x)
    }
    #[inline(always)]
    unsafe fn d_load(self, p: *const f64) -> f64x2 {
        f64x2::new(memory!(read(p)))
    }
    #[inline(always)]
    unsafe fn d_store(self, p: *mut f64, v: f64x2) {
        memory!(write(p, v.to_array()))
    }
    #[inline(always)]
    fn d_add(self, a: f64x2, b: f64x2) -> f64x2 {
        a + b
    }
    #[inline(always)]
    fn d_mul(self, a: f64x2, b: f64x2) -> f64x2 {
        a * b
    }
    #[inline(always)]
    fn f_to_d(self, v: f32x4) -> (f64x2, f64x2) {
        let [a, b, c, d] = v.to_array().map(f64::from);
        (f64x2::new([a, b]), f64x2::new([c, d]))
    }
    #[inline(always)]
    fn d_to_f(self, lower: f64x2, upper: f64x2) -> f32x4 {
        let ([a, b], [c, d]) = (lower.to_array(), upper.to_array());
        f32x4::new([a, b, c, d].map(|v| v as f32))
    }

    #[inline(always)]
    fn i_splat(self, x: i32) -> i32x4 {
        i32x4::splat(x)
    }
    #[inline(always)]
    unsafe fn i_load(self, p: *const i32) -> i32x4 {
        i32x4::new(memory!(read(p)))
    }
    #[inline(always)]
    unsafe fn i_load_u8(self, p: *const u8) -> i32x4 {
        let v: [u8; 4] = memory!(read(p));
        i32x4::new(v.map(i32::from))
    }
    #[inline(always)]
    unsafe fn i_load_u16(self, p: *const u16) -> i32x4 {
        let v: [u16; 4] = memory!(read(p));
        i32x4::new(v.map(i32::from))
    }
    #[inline(always)]
    unsafe fn i_load_i16(self, p: *const i16) -> i32x4 {
        let v: [i16; 4] = memory!(read(p));
        i32x4::new(v.map(i32::from))
    }
    #[inline(always)]
    unsafe fn i_store(self, p: *mut i32, v: i32x4) {
        memory!(write(p, v.to_array()))
    }
    #[inline(always)]
    unsafe fn i_store_u8(self, p: *mut u8, v: i32x4) {
        let h = i16x8::from_i32x8_saturate(cast::<_, i32x8>([v, v]));
        let bytes: [[u8; 4]; 4] = cast(u8x16::narrow_i16x8(h, h));
        memory!(write(p, bytes[0]))
    }
    #[inline(always)]
    unsafe fn i_store_u16(self, p: *mut u16, v: i32x4) {
        // SSE2 narrows to i16 only: shift the range down and back up.
        let h = i16x8::from_i32x8_saturate(cast::<_, i32x8>([v - i32x4::splat(32768); 2]));
        let halves: [[u16; 4]; 2] = cast(h ^ i16x8::splat(i16::MIN));
        memory!(write(p, halves[0]))
    }
    #[inline(always)]
    unsafe fn i_store_i16(self, p: *mut i16, v: i32x4) {
        let halves: [[i16; 4]; 2] = cast(i16x8::from_i32x8_saturate(cast::<_, i32x8>([v, v])));
        memory!(write(p, halves[0]))
    }
    #[inline(always)]
    fn i_add(self, a: i32x4, b: i32x4) -> i32x4 {
        a + b
    }
    #[inline(always)]
    fn i_sub(self, a: i32x4, b: i32x4) -> i32x4 {
        a - b
    }
    const PERMUTES: bool = false;
    #[inline(always)]
    fn i_permute(self, v: i32x4, index: i32x4) -> i32x4 {
        let lanes = v.to_array();
        i32x4::new(index.to_array().map(|i| usize::try_from(i).map_or(0, |i| lanes[i])))
    }
    #[inline(always)]
    fn i_mul(self, a: i32x4, b: i32x4) -> i32x4 {
        a * b
    }
    #[inline(always)]
    fn i_abs(self, v: i32x4) -> i32x4 {
        v.abs()
    }
    #[inline(always)]
    fn i_shr(self, v: i32x4, bits: u32) -> i32x4 {
        v >> bits as i32
    }
    #[inline(always)]
    fn i_to_f(self, v: i32x4) -> f32x4 {
        f32x4::from_i32x4(v)
    }

    #[inline(always)]
    fn h_splat(self, x: i16) -> i16x8 {
        i16x8::splat(x)
    }
    #[inline(always)]
    unsafe fn h_load(self, p: *const i16) -> i16x8 {
        i16x8::new(memory!(read(p)))
    }
    #[inline(always)]
    unsafe fn h_load_u8(self, p: *const u8) -> i16x8 {
        let v: [u8; 8] = memory!(read(p));
        i16x8::from_u8x16_low(cast([v, [0; 8]]))
    }
    #[inline(always)]
    unsafe fn h_store(self, p: *mut i16, v: i16x8) {
        memory!(write(p, v.to_array()))
    }
    #[inline(always)]
    unsafe fn h_store_u8(self, p: *mut u8, v: i16x8) {
        let bytes: [[u8; 8]; 2] = cast(u8x16::narrow_i16x8(v, v));
        memory!(write(p, bytes[0]))
    }
    #[inline(always)]
    unsafe fn h_stream(self, p: *mut i16, v: i16x8) {
        memory!(self.h_store(p, v))
    }
    #[inline(always)]
    unsafe fn h_stream_u8(self, p: *mut u8, v: i16x8) {
        memory!(self.h_store_u8(p, v))
    }
    #[inline(always)]
    fn h_add(self, a: i16x8, b: i16x8) -> i16x8 {
        a + b
    }
    #[inline(always)]
    fn h_sub(self, a: i16x8, b: i16x8) -> i16x8 {
        a - b
    }
    type Shift = usize;
    const PERMUTES_H: bool = false;
    #[inline(always)]
    fn h_shift(self, lanes: usize) -> usize {
        lanes
    }
    #[inline(always)]
    fn h_shifted(self, v: i16x8, shift: usize) -> i16x8 {
        let mut lanes = [0; 8];
        lanes[shift..].copy_from_slice(&v.to_array()[..8 - shift]);
        i16x8::new(lanes)
    }
    #[inline(always)]
    fn h_permute(self, v: i16x8, index: i16x8) -> i16x8 {
        let lanes = v.to_array();
        i16x8::new(index.to_array().map(|i| lanes[i as usize]))
    }
    #[inline(always)]
    fn h_mul(self, a: i16x8, b: i16x8) -> i16x8 {
        a * b
    }
    #[inline(always)]
    fn h_mul_high(self, a: i16x8, b: i16x8) -> i16x8 {
        a.mul_scale_round(b)
    }
    #[inline(always)]
    fn h_mul_upper(self, a: i16x8, b: i16x8) -> i16x8 {
        a.mul_keep_high(b)
    }
    #[inline(always)]
    fn h_abs(self, v: i16x8) -> i16x8 {
        v.abs()
    }
    #[inline(always)]
    fn h_shr(self, v: i16x8, bits: u32) -> i16x8 {
        v >> bits as i32
    }
    #[inline(always)]
    fn h_shr_unsigned(self, v: i16x8, bits: u32) -> i16x8 {
        cast(cast::<_, u16x8>(v) >> bits as i32)
    }

    #[inline(always)]
    fn h_xor(self, a: i16x8, b: i16x8) -> i16x8 {
        a ^ b
    }
    #[inline(always)]
    fn h_fours(self, bytes: i16x8) -> [i16x8; 2] {
        let [a, b, c, d]: [[u8; 4]; 4] = cast(bytes);
        let words = |a: [u8; 4], b: [u8; 4]| {
            let [a, b] = [a, b].map(|four| four.map(i16::from));
            i16x8::new([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
        };
        [words(a, c), words(b, d)]
    }
    #[inline(always)]
    unsafe fn h_store_fours(self, p: *mut u8, even: i16x8, odd: i16x8) {
        let fours =
            |v: i16x8| -> [[u8; 4]; 2] { cast(v.to_array().map(|v| v.clamp(0, 255) as u8)) };
        let ([a, c], [b, d]) = (fours(even), fours(odd));
        memory!(write(p, cast::<_, [u8; 16]>([a, b, c, d])))
    }
    #[inline(always)]
    unsafe fn h_stream_fours(self, p: *mut u8, even: i16x8, odd: i16x8) {
        memory!(self.h_store_fours(p, even, odd))
    }
    #[inline(always)]
    fn h_even(self, bytes: i16x8) -> i16x8 {
        bytes & i16x8::splat(0xff)
    }
    #[inline(always)]
    fn h_odd(self, bytes: i16x8) -> i16x8 {
        self.h_shr_unsigned(bytes, 8)
    }
    #[inline(always)]
    fn h_even_upper(self, bytes: i16x8) -> i16x8 {
        bytes << 8
    }
    #[inline(always)]
    fn h_odd_upper(self, bytes: i16x8) -> i16x8 {
        bytes & i16x8::splat(!0xff)
    }
    const DOTS_BYTES: bool = false;
    #[inline(always)]
    fn h_dot(self, bytes: i16x8, taps: i16x8) -> i16x8 {
        // The low byte of a tap, with its sign.
        let low = (taps << 8i32) >> 8i32;
        self.h_even(bytes) * low + self.h_odd(bytes) * (taps >> 8i32)
    }
    #[inline(always)]
    fn h_interleave(self, even: i16x8, odd: i16x8) -> (i16x8, i16x8) {
        let (first, second) = self.split(even, odd);
        let (first, second) = self.in_order(first, second);
        (cast(first), cast(second))
    }
    #[inline(always)]
    unsafe fn h_store_u8x2(self, p: *mut u8, even: i16x8, odd: i16x8) {
        let (least, most) = (i16x8::splat(0), i16x8::splat(255));
        let (even, odd) = (even.max(least).min(most), odd.max(least).min(most));
        let bytes: [u8; 16] = cast(even | (odd << 8i32));
        memory!(write(p, bytes))
    }
    #[inline(always)]
    unsafe fn h_stream_u8x2(self, p: *mut u8, even: i16x8, odd: i16x8) {
        memory!(self.h_store_u8x2(p, even, odd))
    }

    // Split order here: even lanes, then odd ones; it takes no shuffle.
    #[inline(always)]
    fn split(self, a: i16x8, b: i16x8) -> (i32x4, i32x4) {
        let (a, b): (i32x4, i32x4) = (cast(a), cast(b));
        let low = i32x4::splat(0xffff);
        let shifted: i32x4 = cast(cast::<_, wide::u32x4>(a) >> 16);
        ((a & low) | (b << 16), shifted | (b & !low))
    }
    #[inline(always)]
    fn i_halves(self, v: i16x8) -> [i32x4; 2] {
        let v: i32x4 = cast(v);
        let low = i32x4::splat(0xffff);
        [v & low, (v >> 16) & low]
    }
    #[inline(always)]
    fn pairs(self, v: i16x8) -> i32x4 {
        cast(v)
    }
    #[inline(always)]
    fn dot(self, acc: i32x4, pairs: i32x4, taps: i32x4) -> i32x4 {
        acc + cast::<_, i16x8>(pairs).dot(cast(taps))
    }
    #[inline(always)]
    fn join(self, even: i32x4, odd: i32x4) -> i16x8 {
        // Narrow both, then interleave: (e₀ e₁ e₂ e₃ o₀ o₁ o₂ o₃) to (e₀ o₀ e₁ o₁ …).
        let (first, second) = self.in_order(even, odd);
        i16x8::from_i32x8_saturate(cast::<_, i32x8>([first, second]))
    }
    #[inline(always)]
    fn in_order(self, even: i32x4, odd: i32x4) -> (i32x4, i32x4) {
        let (e, o): (f32x4, f32x4) = (cast(even), cast(odd));
        (cast(e.unpack_lo(o)), cast(e.unpack_hi(o)))
    }

    const PARTS: usize = 1;
    const WINDOW: usize = 16;
    #[inline(always)]
    unsafe fn i_pick_u8(self, p: *const u8, starts: [usize; 2], index: i32x4) -> i32x4 {
        let window: [u8; 16] = memory!(read(p.add(starts[0])));
        cast(cast::<_, [u8; 16]>(index).map(|i| window[usize::from(i % 16)]))
    }
    #[inline(always)]
    fn taps_u8(self, even: i32x4, odd: i32x4) -> [i32x4; 2] {
        [even, odd]
    }
    #[inline(always)]
    fn dot_u8(self, acc: [i32x4; 2], bytes: i32x4, taps: [i32x4; 2]) -> [i32x4; 2] {
        let even = bytes & i32x4::splat(0x00ff_00ff);
        let odd = cast::<_, i32x4>(cast::<_, wide::u32x4>(bytes) >> 8) & i32x4::splat(0x00ff_00ff);
        [self.dot(acc[0], even, taps[0]), self.dot(acc[1], odd, taps[1])]
    }
    #[inline(always)]
    fn sum_u8(self, acc: [i32x4; 2]) -> i32x4 {
        acc[0] + acc[1]
    }
    const PICKS: bool = false;
    #[inline(always)]
    fn pair(self, a: i32x4, b: i32x4) -> i32x4 {
        (a & i32x4::splat(0xffff)) | (b << 16)
    }
    #[inline(always)]
    unsafe fn i_store_u8x4(self, p: *mut u8, v: [i32x4; 4]) {
        let low = i16x8::from_i32x8_saturate(cast::<_, i32x8>([v[0], v[1]]));
        let high = i16x8::from_i32x8_saturate(cast::<_, i32x8>([v[2], v[3]]));
        memory!(write(p, u8x16::narrow_i16x8(low, high).to_array()))
    }
    #[inline(always)]
    fn i_join_u16(self, a: i32x4, b: i32x4) -> i16x8 {
        let limit = |v: i32x4| v.max(i32x4::splat(0)).min(i32x4::splat(65535)).to_array();
        let (a, b) = (limit(a), limit(b));
        let words = [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]];
        i16x8::from(words.map(|v| v as i16))
    }
    #[inline(always)]
    fn i_weave_u8(self, v: [i32x4; 4]) -> i16x8 {
        let limit = |v: i32x4| v.max(i32x4::splat(0)).min(i32x4::splat(255));
        let [a, b, c, d] = v.map(limit);
        cast(a | (b << 8) | (c << 16) | (d << 24))
    }
    #[inline(always)]
    fn i_weave_u16(self, v: [i32x4; 2]) -> i16x8 {
        let limit = |v: i32x4| v.max(i32x4::splat(0)).min(i32x4::splat(65535));
        let [a, b] = v.map(limit);
        cast(a | (b << 16))
    }
}
