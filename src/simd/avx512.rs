//! AVX-512 (F, BW, VL, DQ, VNNI, VBMI): thin names for the intrinsics, sixteen lanes.

use super::{Job, Lanes};
use core::arch::x86_64::*;

/// The proof that the machine has the instructions: only [`run`] makes one.
#[derive(Clone, Copy)]
pub struct Avx512(());

/// Does the job in a function compiled for this instruction set.
///
/// # Safety
///
/// The machine must have every feature that is enabled here.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,avx2,fma")]
pub unsafe fn run<J: Job>(job: J) {
    job.run(Avx512(()));
}

/// The numbers of a vector's bytes.
const BYTES: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut i = 0;
    while i < 64 {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

/// An expression of intrinsics.
macro_rules! isa {
    ($e:expr) => {
        // SAFETY: `self` is the proof that the instructions exist; where the expression reads or
        // writes through a pointer, it touches what the trait states and the caller allows.
        unsafe { $e }
    };
}

/// The words of two vectors in turn, each limited to a byte.
///
/// # Safety
///
/// The machine must have the instructions.
#[inline(always)]
unsafe fn bytes(even: __m512i, odd: __m512i) -> __m512i {
    isa!({
        let order = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
        _mm512_shuffle_epi8(_mm512_packus_epi16(even, odd), _mm512_broadcast_i32x4(order))
    })
}

/// The same of even and odd groups of four.
///
/// # Safety
///
/// As for `bytes`.
#[inline(always)]
unsafe fn fours(even: __m512i, odd: __m512i) -> __m512i {
    isa!(_mm512_shuffle_epi32::<MIDDLE_SWAPPED>(_mm512_packus_epi16(even, odd)))
}

/// The order 0, 2, 1, 3.
const MIDDLE_SWAPPED: i32 = 0b11_01_10_00;

impl Lanes for Avx512 {
    const N: usize = 16;
    type F = __m512;
    type I = __m512i;
    type H = __m512i;
    type D = __m512d;

    #[inline(always)]
    fn f_splat(self, x: f32) -> __m512 {
        isa!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn f_load(self, p: *const f32) -> __m512 {
        isa!(_mm512_loadu_ps(p))
    }
    #[inline(always)]
    unsafe fn f_load_u8(self, p: *const u8) -> __m512 {
        isa!(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()))))
    }
    #[inline(always)]
    unsafe fn f_load_u16(self, p: *const u16) -> __m512 {
        isa!(_mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()))))
    }
    #[inline(always)]
    unsafe fn f_store(self, p: *mut f32, v: __m512) {
        isa!(_mm512_storeu_ps(p, v))
    }
    #[inline(always)]
    unsafe fn f_stream(self, p: *mut f32, v: __m512) {
        isa!(_mm512_stream_ps(p, v))
    }
    #[inline(always)]
    fn f_add(self, a: __m512, b: __m512) -> __m512 {
        isa!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn f_mul(self, a: __m512, b: __m512) -> __m512 {
        isa!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn f_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        isa!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn f_permute(self, v: __m512, index: __m512i) -> __m512 {
        isa!(_mm512_permutexvar_ps(index, v))
    }
    const PERMUTES_TWO: bool = true;
    #[inline(always)]
    fn f_permute_two(self, a: __m512, b: __m512, index: __m512i) -> __m512 {
        isa!(_mm512_permutex2var_ps(a, index, b))
    }
    #[inline(always)]
    fn f_min(self, a: __m512, b: __m512) -> __m512 {
        isa!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn f_max(self, a: __m512, b: __m512) -> __m512 {
        isa!(_mm512_max_ps(a, b))
    }
    // Where an operand is NaN, these instructions give the second one.
    #[inline(always)]
    fn f_at_least(self, v: __m512, least: __m512) -> __m512 {
        isa!(_mm512_max_ps(least, v))
    }
    #[inline(always)]
    fn f_at_most(self, v: __m512, most: __m512) -> __m512 {
        isa!(_mm512_min_ps(most, v))
    }
    #[inline(always)]
    fn f_abs(self, v: __m512) -> __m512 {
        isa!(_mm512_abs_ps(v))
    }
    #[inline(always)]
    fn f_power(self, v: __m512) -> [__m512; 2] {
        // The exponent is kept, and taken from twice its middle.
        let exponent =
            isa!(_mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7f80_0000)));
        let inverse = isa!(_mm512_sub_epi32(_mm512_set1_epi32(0x7f00_0000), exponent));
        isa!([_mm512_castsi512_ps(exponent), _mm512_castsi512_ps(inverse)])
    }
    #[inline(always)]
    fn f_sqrt(self, v: __m512) -> __m512 {
        isa!(_mm512_sqrt_ps(v))
    }
    #[inline(always)]
    fn f_floor(self, v: __m512) -> __m512i {
        isa!(_mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(v))
    }

    #[inline(always)]
    fn d_splat(self, x: f64) -> __m512d {
        isa!(_mm512_set1_pd(x))
    }
    #[inline(always)]
    unsafe fn d_load(self, p: *const f64) -> __m512d {
        isa!(_mm512_loadu_pd(p))
    }
    #[inline(always)]
    unsafe fn d_store(self, p: *mut f64, v: __m512d) {
        isa!(_mm512_storeu_pd(p, v))
    }
    #[inline(always)]
    fn d_add(self, a: __m512d, b: __m512d) -> __m512d {
        isa!(_mm512_add_pd(a, b))
    }
    #[inline(always)]
    fn d_mul(self, a: __m512d, b: __m512d) -> __m512d {
        isa!(_mm512_mul_pd(a, b))
    }
    #[inline(always)]
    fn f_to_d(self, v: __m512) -> (__m512d, __m512d) {
        isa!((
            _mm512_cvtps_pd(_mm512_castps512_ps256(v)),
            _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(v))
        ))
    }
    #[inline(always)]
    fn d_to_f(self, lower: __m512d, upper: __m512d) -> __m512 {
        isa!(_mm512_insertf32x8::<1>(
            _mm512_castps256_ps512(_mm512_cvtpd_ps(lower)),
            _mm512_cvtpd_ps(upper)
        ))
    }

    #[inline(always)]
    fn i_splat(self, x: i32) -> __m512i {
        isa!(_mm512_set1_epi32(x))
    }
    #[inline(always)]
    unsafe fn i_load(self, p: *const i32) -> __m512i {
        isa!(_mm512_loadu_si512(p.cast()))
    }
    #[inline(always)]
    unsafe fn i_load_u8(self, p: *const u8) -> __m512i {
        isa!(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast())))
    }
    #[inline(always)]
    unsafe fn i_load_u16(self, p: *const u16) -> __m512i {
        isa!(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())))
    }
    #[inline(always)]
    unsafe fn i_load_i16(self, p: *const i16) -> __m512i {
        isa!(_mm512_cvtepi16_epi32(_mm256_loadu_si256(p.cast())))
    }
    #[inline(always)]
    unsafe fn i_store(self, p: *mut i32, v: __m512i) {
        isa!(_mm512_storeu_si512(p.cast(), v))
    }
    #[inline(always)]
    unsafe fn i_store_u8(self, p: *mut u8, v: __m512i) {
        isa!({
            let v = _mm512_max_epi32(v, _mm512_setzero_si512());
            _mm_storeu_si128(p.cast(), _mm512_cvtusepi32_epi8(v))
        })
    }
    #[inline(always)]
    unsafe fn i_store_u16(self, p: *mut u16, v: __m512i) {
        isa!({
            let v = _mm512_max_epi32(v, _mm512_setzero_si512());
            _mm256_storeu_si256(p.cast(), _mm512_cvtusepi32_epi16(v))
        })
    }
    #[inline(always)]
    unsafe fn i_store_i16(self, p: *mut i16, v: __m512i) {
        isa!(_mm256_storeu_si256(p.cast(), _mm512_cvtsepi32_epi16(v)))
    }
    #[inline(always)]
    fn i_add(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn i_sub(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_sub_epi32(a, b))
    }
    const PERMUTES: bool = true;
    #[inline(always)]
    fn i_permute(self, v: __m512i, index: __m512i) -> __m512i {
        // From zeros behind the lanes: a mask would stand between this and a sum.
        isa!({
            let from = _mm512_or_si512(index, _mm512_srai_epi32::<31>(index));
            _mm512_permutex2var_epi32(v, from, _mm512_setzero_si512())
        })
    }
    #[inline(always)]
    fn i_mul(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_mullo_epi32(a, b))
    }
    #[inline(always)]
    fn i_abs(self, v: __m512i) -> __m512i {
        isa!(_mm512_abs_epi32(v))
    }
    // A shift by a register's lowest element is two instructions inside of many processors, one by each lane's
    // own count is one.
    #[inline(always)]
    fn i_shr(self, v: __m512i, bits: u32) -> __m512i {
        isa!(_mm512_srav_epi32(v, _mm512_set1_epi32(bits as i32)))
    }
    #[inline(always)]
    fn i_to_f(self, v: __m512i) -> __m512 {
        isa!(_mm512_cvtepi32_ps(v))
    }

    #[inline(always)]
    fn h_splat(self, x: i16) -> __m512i {
        isa!(_mm512_set1_epi16(x))
    }
    #[inline(always)]
    unsafe fn h_load(self, p: *const i16) -> __m512i {
        isa!(_mm512_loadu_si512(p.cast()))
    }
    #[inline(always)]
    unsafe fn h_load_u8(self, p: *const u8) -> __m512i {
        isa!(_mm512_cvtepu8_epi16(_mm256_loadu_si256(p.cast())))
    }
    #[inline(always)]
    unsafe fn h_store(self, p: *mut i16, v: __m512i) {
        isa!(_mm512_storeu_si512(p.cast(), v))
    }
    #[inline(always)]
    unsafe fn h_store_u8(self, p: *mut u8, v: __m512i) {
        isa!({
            let v = _mm512_max_epi16(v, _mm512_setzero_si512());
            _mm256_storeu_si256(p.cast(), _mm512_cvtusepi16_epi8(v))
        })
    }
    #[inline(always)]
    unsafe fn h_stream(self, p: *mut i16, v: __m512i) {
        isa!(_mm512_stream_si512(p.cast(), v))
    }
    #[inline(always)]
    unsafe fn h_stream_u8(self, p: *mut u8, v: __m512i) {
        isa!({
            let v = _mm512_max_epi16(v, _mm512_setzero_si512());
            _mm256_stream_si256(p.cast(), _mm512_cvtusepi16_epi8(v))
        })
    }
    #[inline(always)]
    fn h_add(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_add_epi16(a, b))
    }
    #[inline(always)]
    fn h_sub(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_sub_epi16(a, b))
    }
    /// Which byte goes into each, and whether any does.
    type Shift = (__m512i, u64);
    const PERMUTES_H: bool = true;
    #[inline(always)]
    fn h_shift(self, lanes: usize) -> Self::Shift {
        let bytes = 2 * lanes;
        let index = isa!({
            let all = _mm512_loadu_si512(BYTES.as_ptr().cast());
            _mm512_sub_epi8(all, _mm512_set1_epi8(bytes as i8))
        });
        (index, u64::MAX << bytes)
    }
    #[inline(always)]
    fn h_shifted(self, v: __m512i, (index, there): Self::Shift) -> __m512i {
        // As bytes: `vpermw` is two instructions inside on Intel.
        isa!(_mm512_maskz_permutexvar_epi8(there, index, v))
    }
    #[inline(always)]
    fn h_permute(self, v: __m512i, index: __m512i) -> __m512i {
        // The bytes 2i and 2i + 1; made from the index alone, so once for a loop.
        isa!({
            let low = _mm512_slli_epi16::<1>(index);
            let high = _mm512_slli_epi16::<8>(low);
            let bytes = _mm512_or_si512(_mm512_or_si512(low, high), _mm512_set1_epi16(1 << 8));
            _mm512_permutexvar_epi8(bytes, v)
        })
    }
    #[inline(always)]
    fn h_mul(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_mullo_epi16(a, b))
    }
    #[inline(always)]
    fn h_mul_high(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_mulhrs_epi16(a, b))
    }
    #[inline(always)]
    fn h_mul_upper(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_mulhi_epi16(a, b))
    }
    #[inline(always)]
    fn h_abs(self, v: __m512i) -> __m512i {
        isa!(_mm512_abs_epi16(v))
    }
    #[inline(always)]
    fn h_shr(self, v: __m512i, bits: u32) -> __m512i {
        isa!(_mm512_srav_epi16(v, _mm512_set1_epi16(bits as i16)))
    }
    #[inline(always)]
    fn h_shr_unsigned(self, v: __m512i, bits: u32) -> __m512i {
        isa!(_mm512_srlv_epi16(v, _mm512_set1_epi16(bits as i16)))
    }

    #[inline(always)]
    fn h_xor(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn h_fours(self, bytes: __m512i) -> [__m512i; 2] {
        isa!({
            let (zero, v) = (_mm512_setzero_si512(), _mm512_shuffle_epi32::<MIDDLE_SWAPPED>(bytes));
            [_mm512_unpacklo_epi8(v, zero), _mm512_unpackhi_epi8(v, zero)]
        })
    }
    #[inline(always)]
    unsafe fn h_store_fours(self, p: *mut u8, even: __m512i, odd: __m512i) {
        isa!(_mm512_storeu_si512(p.cast(), fours(even, odd)))
    }
    #[inline(always)]
    unsafe fn h_stream_fours(self, p: *mut u8, even: __m512i, odd: __m512i) {
        isa!(_mm512_stream_si512(p.cast(), fours(even, odd)))
    }
    #[inline(always)]
    fn h_even(self, bytes: __m512i) -> __m512i {
        isa!(_mm512_and_si512(bytes, _mm512_set1_epi16(0xff)))
    }
    #[inline(always)]
    fn h_odd(self, bytes: __m512i) -> __m512i {
        isa!(_mm512_srli_epi16::<8>(bytes))
    }
    #[inline(always)]
    fn h_even_upper(self, bytes: __m512i) -> __m512i {
        isa!(_mm512_slli_epi16::<8>(bytes))
    }
    #[inline(always)]
    fn h_odd_upper(self, bytes: __m512i) -> __m512i {
        isa!(_mm512_and_si512(bytes, _mm512_set1_epi16(!0xff)))
    }
    const DOTS_BYTES: bool = true;
    #[inline(always)]
    fn h_dot(self, bytes: __m512i, taps: __m512i) -> __m512i {
        isa!(_mm512_maddubs_epi16(bytes, taps))
    }
    #[inline(always)]
    fn h_interleave(self, even: __m512i, odd: __m512i) -> (__m512i, __m512i) {
        isa!({
            // Four words of each vector to a part of 128 bits; then the parts in order.
            let low = _mm512_unpacklo_epi16(even, odd);
            let high = _mm512_unpackhi_epi16(even, odd);
            let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
            let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
            (
                _mm512_permutex2var_epi64(low, first, high),
                _mm512_permutex2var_epi64(low, second, high),
            )
        })
    }
    #[inline(always)]
    unsafe fn h_store_u8x2(self, p: *mut u8, even: __m512i, odd: __m512i) {
        isa!(_mm512_storeu_si512(p.cast(), bytes(even, odd)))
    }
    #[inline(always)]
    unsafe fn h_stream_u8x2(self, p: *mut u8, even: __m512i, odd: __m512i) {
        isa!(_mm512_stream_si512(p.cast(), bytes(even, odd)))
    }

    // Split order here: what the unpack instructions give, 128 bits at a time; `packs` undoes it.
    #[inline(always)]
    fn split(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        isa!((_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b)))
    }
    #[inline(always)]
    fn i_halves(self, v: __m512i) -> [__m512i; 2] {
        isa!([_mm512_and_si512(v, _mm512_set1_epi32(0xffff)), _mm512_srli_epi32::<16>(v)])
    }
    #[inline(always)]
    fn pairs(self, v: __m512i) -> __m512i {
        v
    }
    #[inline(always)]
    fn dot(self, acc: __m512i, pairs: __m512i, taps: __m512i) -> __m512i {
        isa!(_mm512_dpwssd_epi32(acc, pairs, taps))
    }
    #[inline(always)]
    fn join(self, first: __m512i, second: __m512i) -> __m512i {
        isa!(_mm512_packs_epi32(first, second))
    }
    #[inline(always)]
    fn in_order(self, first: __m512i, second: __m512i) -> (__m512i, __m512i) {
        isa!({
            let a = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
            let b = _mm512_add_epi32(a, _mm512_set1_epi32(8));
            (
                _mm512_permutex2var_epi32(first, a, second),
                _mm512_permutex2var_epi32(first, b, second),
            )
        })
    }

    const PARTS: usize = 1;
    const WINDOW: usize = 64;
    #[inline(always)]
    unsafe fn i_pick_u8(self, p: *const u8, starts: [usize; 2], index: __m512i) -> __m512i {
        isa!(_mm512_permutexvar_epi8(index, _mm512_loadu_si512(p.add(starts[0]).cast())))
    }
    // As two digits of eight bits, so that each needs one instruction: t = 256·high + low.
    #[inline(always)]
    fn taps_u8(self, even: __m512i, odd: __m512i) -> [__m512i; 2] {
        isa!({
            // The low digit is the low byte; where it is negative, the high one is one more.
            let (half, byte) = (_mm512_set1_epi16(0x80), _mm512_set1_epi16(0xff));
            let high_even = _mm512_srli_epi16::<8>(_mm512_add_epi16(even, half));
            let high_odd = _mm512_andnot_si512(byte, _mm512_add_epi16(odd, half));
            let low_even = _mm512_and_si512(even, byte);
            let low_odd = _mm512_slli_epi16::<8>(odd);
            [_mm512_or_si512(high_even, high_odd), _mm512_or_si512(low_even, low_odd)]
        })
    }
    #[inline(always)]
    fn dot_u8(self, acc: [__m512i; 2], bytes: __m512i, taps: [__m512i; 2]) -> [__m512i; 2] {
        isa!({
            let high = _mm512_dpbusd_epi32(acc[0], bytes, taps[0]);
            [high, _mm512_dpbusd_epi32(acc[1], bytes, taps[1])]
        })
    }
    #[inline(always)]
    fn sum_u8(self, [high, low]: [__m512i; 2]) -> __m512i {
        isa!(_mm512_add_epi32(_mm512_slli_epi32::<8>(high), low))
    }
    const PICKS: bool = true;
    #[inline(always)]
    fn pair(self, a: __m512i, b: __m512i) -> __m512i {
        isa!(_mm512_mask_blend_epi16(0xaaaa_aaaa, a, _mm512_slli_epi32::<16>(b)))
    }
    #[inline(always)]
    unsafe fn i_store_u8x4(self, p: *mut u8, v: [__m512i; 4]) {
        isa!({
            let low = _mm512_packs_epi32(v[0], v[1]);
            let high = _mm512_packs_epi32(v[2], v[3]);
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let v = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
            _mm512_storeu_si512(p.cast(), v);
        })
    }
    #[inline(always)]
    fn i_join_u16(self, a: __m512i, b: __m512i) -> __m512i {
        isa!({
            let order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
            _mm512_permutexvar_epi64(order, _mm512_packus_epi32(a, b))
        })
    }
    #[inline(always)]
    fn i_weave_u8(self, v: [__m512i; 4]) -> __m512i {
        isa!({
            // In each 128 bits, four bytes of every vector; then in turn.
            let low = _mm512_packs_epi32(v[0], v[1]);
            let high = _mm512_packs_epi32(v[2], v[3]);
            let order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_shuffle_epi8(_mm512_packus_epi16(low, high), _mm512_broadcast_i32x4(order))
        })
    }
    #[inline(always)]
    fn i_weave_u16(self, v: [__m512i; 2]) -> __m512i {
        isa!({
            let order = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
            _mm512_shuffle_epi8(_mm512_packus_epi32(v[0], v[1]), _mm512_broadcast_i32x4(order))
        })
    }
}
