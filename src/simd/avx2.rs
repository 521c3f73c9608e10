//! AVX2 with FMA: thin names for the intrinsics, eight lanes.

use super::{Job, Lanes};
use core::arch::x86_64::*;

/// The proof that the machine has the instructions: only [`run`] makes one.
#[derive(Clone, Copy)]
pub struct Avx2(());

/// Does the job in a function compiled for this instruction set.
///
/// # Safety
///
/// The machine must have every feature that is enabled here.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run<J: Job>(job: J) {
    job.run(Avx2(()));
}

/// An expression of intrinsics.
macro_rules! isa {
    ($e:expr) => {
        // SAFETY: `self` is the proof that the instructions exist; where the expression reads or
        // writes through a pointer, it touches what the trait states and the caller allows.
        unsafe { $e }
    };
}

/// The numbers of the bytes of half a vector.
const BYTES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// The same numbers for `pshufb` where they are 0 to 15, and otherwise nothing; they are below 32 or
/// negative.
///
/// # Safety
///
/// The machine must have the instructions.
#[inline(always)]
unsafe fn picks(bytes: __m256i) -> __m256i {
    isa!(_mm256_adds_epu8(bytes, _mm256_set1_epi8(0x70)))
}

/// The words of two vectors in turn, each limited to a byte.
///
/// # Safety
///
/// The machine must have the instructions.
#[inline(always)]
unsafe fn bytes(even: __m256i, odd: __m256i) -> __m256i {
    isa!({
        let order = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
        _mm256_shuffle_epi8(_mm256_packus_epi16(even, odd), _mm256_broadcastsi128_si256(order))
    })
}

/// The same of even and odd groups of four.
///
/// # Safety
///
/// As for `bytes`.
#[inline(always)]
unsafe fn fours(even: __m256i, odd: __m256i) -> __m256i {
    isa!(_mm256_shuffle_epi32::<MIDDLE_SWAPPED>(_mm256_packus_epi16(even, odd)))
}

/// The order 0, 2, 1, 3.
const MIDDLE_SWAPPED: i32 = 0b11_01_10_00;

impl Lanes for Avx2 {
    const N: usize = 8;
    type F = __m256;
    type I = __m256i;
    type H = __m256i;
    type D = __m256d;

    #[inline(always)]
    fn f_splat(self, x: f32) -> __m256 {
        isa!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn f_load(self, p: *const f32) -> __m256 {
        isa!(_mm256_loadu_ps(p))
    }
    #[inline(always)]
    unsafe fn f_load_u8(self, p: *const u8) -> __m256 {
        isa!(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()))))
    }
    #[inline(always)]
    unsafe fn f_load_u16(self, p: *const u16) -> __m256 {
        isa!(_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()))))
    }
    #[inline(always)]
    unsafe fn f_store(self, p: *mut f32, v: __m256) {
        isa!(_mm256_storeu_ps(p, v))
    }
    #[inline(always)]
    unsafe fn f_stream(self, p: *mut f32, v: __m256) {
        isa!(_mm256_stream_ps(p, v))
    }
    #[inline(always)]
    fn f_add(self, a: __m256, b: __m256) -> __m256 {
        isa!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn f_mul(self, a: __m256, b: __m256) -> __m256 {
        isa!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn f_mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        isa!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn f_permute(self, v: __m256, index: __m256i) -> __m256 {
        isa!(_mm256_permutevar8x32_ps(v, index))
    }
    const PERMUTES_TWO: bool = false;
    #[inline(always)]
    fn f_permute_two(self, a: __m256, b: __m256, index: __m256i) -> __m256 {
        // The permutations take the low three bits of an index; the fourth says which vector.
        isa!({
            let a = _mm256_permutevar8x32_ps(a, index);
            let b = _mm256_permutevar8x32_ps(b, index);
            _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index)))
        })
    }
    #[inline(always)]
    fn f_min(self, a: __m256, b: __m256) -> __m256 {
        isa!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn f_max(self, a: __m256, b: __m256) -> __m256 {
        isa!(_mm256_max_ps(a, b))
    }
    // Where an operand is NaN, these instructions give the second one.
    #[inline(always)]
    fn f_at_least(self, v: __m256, least: __m256) -> __m256 {
        isa!(_mm256_max_ps(least, v))
    }
    #[inline(always)]
    fn f_at_most(self, v: __m256, most: __m256) -> __m256 {
        isa!(_mm256_min_ps(most, v))
    }
    #[inline(always)]
    fn f_abs(self, v: __m256) -> __m256 {
        isa!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), v))
    }
    #[inline(always)]
    fn f_power(self, v: __m256) -> [__m256; 2] {
        // The exponent is kept, and taken from twice its middle.
        let exponent =
            isa!(_mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7f80_0000)));
        let inverse = isa!(_mm256_sub_epi32(_mm256_set1_epi32(0x7f00_0000), exponent));
        isa!([_mm256_castsi256_ps(exponent), _mm256_castsi256_ps(inverse)])
    }
    #[inline(always)]
    fn f_sqrt(self, v: __m256) -> __m256 {
        isa!(_mm256_sqrt_ps(v))
    }
    #[inline(always)]
    fn f_floor(self, v: __m256) -> __m256i {
        isa!(_mm256_cvttps_epi32(_mm256_floor_ps(v)))
    }

    #[inline(always)]
    fn d_splat(self, x: f64) -> __m256d {
        isa!(_mm256_set1_pd(x))
    }
    #[inline(always)]
    unsafe fn d_load(self, p: *const f64) -> __m256d {
        isa!(_mm256_loadu_pd(p))
    }
    #[inline(always)]
    unsafe fn d_store(self, p: *mut f64, v: __m256d) {
        isa!(_mm256_storeu_pd(p, v))
    }
    #[inline(always)]
    fn d_add(self, a: __m256d, b: __m256d) -> __m256d {
        isa!(_mm256_add_pd(a, b))
    }
    #[inline(always)]
    fn d_mul(self, a: __m256d, b: __m256d) -> __m256d {
        isa!(_mm256_mul_pd(a, b))
    }
    #[inline(always)]
    fn f_to_d(self, v: __m256) -> (__m256d, __m256d) {
        isa!((
            _mm256_cvtps_pd(_mm256_castps256_ps128(v)),
            _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(v))
        ))
    }
    #[inline(always)]
    fn d_to_f(self, lower: __m256d, upper: __m256d) -> __m256 {
        isa!(_mm256_set_m128(_mm256_cvtpd_ps(upper), _mm256_cvtpd_ps(lower)))
    }

    #[inline(always)]
    fn i_splat(self, x: i32) -> __m256i {
        isa!(_mm256_set1_epi32(x))
    }
    #[inline(always)]
    unsafe fn i_load(self, p: *const i32) -> __m256i {
        isa!(_mm256_loadu_si256(p.cast()))
    }
    #[inline(always)]
    unsafe fn i_load_u8(self, p: *const u8) -> __m256i {
        isa!(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast())))
    }
    #[inline(always)]
    unsafe fn i_load_u16(self, p: *const u16) -> __m256i {
        isa!(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())))
    }
    #[inline(always)]
    unsafe fn i_load_i16(self, p: *const i16) -> __m256i {
        isa!(_mm256_cvtepi16_epi32(_mm_loadu_si128(p.cast())))
    }
    #[inline(always)]
    unsafe fn i_store(self, p: *mut i32, v: __m256i) {
        isa!(_mm256_storeu_si256(p.cast(), v))
    }
    #[inline(always)]
    unsafe fn i_store_u8(self, p: *mut u8, v: __m256i) {
        isa!({
            // Four bytes in each 128-bit half; dwords 0 and 4 hold them.
            let h = _mm256_packs_epi32(v, v);
            let b = _mm256_packus_epi16(h, h);
            let b = _mm256_permutevar8x32_epi32(b, _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4));
            _mm_storel_epi64(p.cast(), _mm256_castsi256_si128(b))
        })
    }
    #[inline(always)]
    unsafe fn i_store_u16(self, p: *mut u16, v: __m256i) {
        isa!({
            let h = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(v, v));
            _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(h))
        })
    }
    #[inline(always)]
    unsafe fn i_store_i16(self, p: *mut i16, v: __m256i) {
        isa!({
            let h = _mm256_permute4x64_epi64::<0b1000>(_mm256_packs_epi32(v, v));
            _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(h))
        })
    }
    #[inline(always)]
    fn i_add(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn i_sub(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_sub_epi32(a, b))
    }
    const PERMUTES: bool = true;
    #[inline(always)]
    fn i_permute(self, v: __m256i, index: __m256i) -> __m256i {
        isa!({
            let there = _mm256_cmpgt_epi32(index, _mm256_set1_epi32(-1));
            _mm256_and_si256(_mm256_permutevar8x32_epi32(v, index), there)
        })
    }
    #[inline(always)]
    fn i_mul(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_mullo_epi32(a, b))
    }
    #[inline(always)]
    fn i_abs(self, v: __m256i) -> __m256i {
        isa!(_mm256_abs_epi32(v))
    }
    #[inline(always)]
    fn i_shr(self, v: __m256i, bits: u32) -> __m256i {
        isa!(_mm256_sra_epi32(v, _mm_cvtsi32_si128(bits as i32)))
    }
    #[inline(always)]
    fn i_to_f(self, v: __m256i) -> __m256 {
        isa!(_mm256_cvtepi32_ps(v))
    }

    #[inline(always)]
    fn h_splat(self, x: i16) -> __m256i {
        isa!(_mm256_set1_epi16(x))
    }
    #[inline(always)]
    unsafe fn h_load(self, p: *const i16) -> __m256i {
        isa!(_mm256_loadu_si256(p.cast()))
    }
    #[inline(always)]
    unsafe fn h_load_u8(self, p: *const u8) -> __m256i {
        isa!(_mm256_cvtepu8_epi16(_mm_loadu_si128(p.cast())))
    }
    #[inline(always)]
    unsafe fn h_store(self, p: *mut i16, v: __m256i) {
        isa!(_mm256_storeu_si256(p.cast(), v))
    }
    #[inline(always)]
    unsafe fn h_store_u8(self, p: *mut u8, v: __m256i) {
        isa!({
            let b = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi16(v, v));
            _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(b))
        })
    }
    #[inline(always)]
    unsafe fn h_stream(self, p: *mut i16, v: __m256i) {
        isa!(_mm256_stream_si256(p.cast(), v))
    }
    #[inline(always)]
    unsafe fn h_stream_u8(self, p: *mut u8, v: __m256i) {
        isa!({
            let b = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi16(v, v));
            _mm_stream_si128(p.cast(), _mm256_castsi256_si128(b))
        })
    }
    #[inline(always)]
    fn h_add(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_add_epi16(a, b))
    }
    #[inline(always)]
    fn h_sub(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_sub_epi16(a, b))
    }
    /// Which byte of the own half of the vector goes into each, and which one of the lower half into
    /// the upper; none where the highest bit is set.
    type Shift = [__m256i; 2];
    const PERMUTES_H: bool = true;
    #[inline(always)]
    fn h_shift(self, lanes: usize) -> [__m256i; 2] {
        isa!({
            let number = _mm256_broadcastsi128_si256(_mm_loadu_si128(BYTES.as_ptr().cast()));
            let own = _mm256_sub_epi8(number, _mm256_set1_epi8(2 * lanes as i8));
            [own, picks(_mm256_add_epi8(own, _mm256_set1_epi8(16)))]
        })
    }
    #[inline(always)]
    fn h_shifted(self, v: __m256i, [own, lower]: [__m256i; 2]) -> __m256i {
        isa!({
            // Zeros, and the lower half above them.
            let moved = _mm256_permute2x128_si256::<0x08>(v, v);
            _mm256_or_si256(_mm256_shuffle_epi8(v, own), _mm256_shuffle_epi8(moved, lower))
        })
    }
    #[inline(always)]
    fn h_permute(self, v: __m256i, index: __m256i) -> __m256i {
        isa!({
            // The bytes 2i and 2i + 1, of the lower half or of the upper.
            let low = _mm256_slli_epi16::<1>(index);
            let bytes = _mm256_or_si256(low, _mm256_slli_epi16::<8>(low));
            let bytes = _mm256_or_si256(bytes, _mm256_set1_epi16(1 << 8));
            let upper = _mm256_sub_epi8(bytes, _mm256_set1_epi8(16));
            let lower = _mm256_permute2x128_si256::<0x00>(v, v);
            let v = _mm256_permute2x128_si256::<0x11>(v, v);
            let lower = _mm256_shuffle_epi8(lower, picks(bytes));
            _mm256_or_si256(lower, _mm256_shuffle_epi8(v, upper))
        })
    }
    #[inline(always)]
    fn h_mul(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_mullo_epi16(a, b))
    }
    #[inline(always)]
    fn h_mul_high(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_mulhrs_epi16(a, b))
    }
    #[inline(always)]
    fn h_mul_upper(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_mulhi_epi16(a, b))
    }
    #[inline(always)]
    fn h_abs(self, v: __m256i) -> __m256i {
        isa!(_mm256_abs_epi16(v))
    }
    #[inline(always)]
    fn h_shr(self, v: __m256i, bits: u32) -> __m256i {
        isa!(_mm256_sra_epi16(v, _mm_cvtsi32_si128(bits as i32)))
    }
    #[inline(always)]
    fn h_shr_unsigned(self, v: __m256i, bits: u32) -> __m256i {
        isa!(_mm256_srl_epi16(v, _mm_cvtsi32_si128(bits as i32)))
    }

    #[inline(always)]
    fn h_xor(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn h_fours(self, bytes: __m256i) -> [__m256i; 2] {
        isa!({
            let (zero, v) = (_mm256_setzero_si256(), _mm256_shuffle_epi32::<MIDDLE_SWAPPED>(bytes));
            [_mm256_unpacklo_epi8(v, zero), _mm256_unpackhi_epi8(v, zero)]
        })
    }
    #[inline(always)]
    unsafe fn h_store_fours(self, p: *mut u8, even: __m256i, odd: __m256i) {
        isa!(_mm256_storeu_si256(p.cast(), fours(even, odd)))
    }
    #[inline(always)]
    unsafe fn h_stream_fours(self, p: *mut u8, even: __m256i, odd: __m256i) {
        isa!(_mm256_stream_si256(p.cast(), fours(even, odd)))
    }
    #[inline(always)]
    fn h_even(self, bytes: __m256i) -> __m256i {
        isa!(_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)))
    }
    #[inline(always)]
    fn h_odd(self, bytes: __m256i) -> __m256i {
        isa!(_mm256_srli_epi16::<8>(bytes))
    }
    #[inline(always)]
    fn h_even_upper(self, bytes: __m256i) -> __m256i {
        isa!(_mm256_slli_epi16::<8>(bytes))
    }
    #[inline(always)]
    fn h_odd_upper(self, bytes: __m256i) -> __m256i {
        isa!(_mm256_and_si256(bytes, _mm256_set1_epi16(!0xff)))
    }
    const DOTS_BYTES: bool = true;
    #[inline(always)]
    fn h_dot(self, bytes: __m256i, taps: __m256i) -> __m256i {
        isa!(_mm256_maddubs_epi16(bytes, taps))
    }
    #[inline(always)]
    fn h_interleave(self, even: __m256i, odd: __m256i) -> (__m256i, __m256i) {
        isa!({
            let low = _mm256_unpacklo_epi16(even, odd);
            let high = _mm256_unpackhi_epi16(even, odd);
            (
                _mm256_permute2x128_si256::<0x20>(low, high),
                _mm256_permute2x128_si256::<0x31>(low, high),
            )
        })
    }
    #[inline(always)]
    unsafe fn h_store_u8x2(self, p: *mut u8, even: __m256i, odd: __m256i) {
        isa!(_mm256_storeu_si256(p.cast(), bytes(even, odd)))
    }
    #[inline(always)]
    unsafe fn h_stream_u8x2(self, p: *mut u8, even: __m256i, odd: __m256i) {
        isa!(_mm256_stream_si256(p.cast(), bytes(even, odd)))
    }

    // Split order here: what the unpack instructions give, 128 bits at a time; `packs` undoes it.
    #[inline(always)]
    fn split(self, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
        isa!((_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)))
    }
    #[inline(always)]
    fn i_halves(self, v: __m256i) -> [__m256i; 2] {
        isa!([_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_srli_epi32::<16>(v)])
    }
    #[inline(always)]
    fn pairs(self, v: __m256i) -> __m256i {
        v
    }
    #[inline(always)]
    fn dot(self, acc: __m256i, pairs: __m256i, taps: __m256i) -> __m256i {
        isa!(_mm256_add_epi32(acc, _mm256_madd_epi16(pairs, taps)))
    }
    #[inline(always)]
    fn join(self, first: __m256i, second: __m256i) -> __m256i {
        isa!(_mm256_packs_epi32(first, second))
    }
    #[inline(always)]
    fn in_order(self, first: __m256i, second: __m256i) -> (__m256i, __m256i) {
        isa!({
            let a = _mm256_permute2x128_si256::<0x20>(first, second);
            (a, _mm256_permute2x128_si256::<0x31>(first, second))
        })
    }

    const PARTS: usize = 2;
    const WINDOW: usize = 16;
    #[inline(always)]
    unsafe fn i_pick_u8(self, p: *const u8, starts: [usize; 2], index: __m256i) -> __m256i {
        isa!({
            let low = _mm_loadu_si128(p.add(starts[0]).cast());
            let high = _mm_loadu_si128(p.add(starts[1]).cast());
            _mm256_shuffle_epi8(_mm256_set_m128i(high, low), index)
        })
    }
    #[inline(always)]
    fn taps_u8(self, even: __m256i, odd: __m256i) -> [__m256i; 2] {
        [even, odd]
    }
    #[inline(always)]
    fn dot_u8(self, acc: [__m256i; 2], bytes: __m256i, taps: [__m256i; 2]) -> [__m256i; 2] {
        isa!({
            let even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xff));
            let odd = _mm256_srli_epi16::<8>(bytes);
            [self.dot(acc[0], even, taps[0]), self.dot(acc[1], odd, taps[1])]
        })
    }
    #[inline(always)]
    fn sum_u8(self, acc: [__m256i; 2]) -> __m256i {
        isa!(_mm256_add_epi32(acc[0], acc[1]))
    }
    const PICKS: bool = false;
    #[inline(always)]
    fn pair(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_blend_epi16::<0xaa>(a, _mm256_slli_epi32::<16>(b)))
    }
    #[inline(always)]
    unsafe fn i_store_u8x4(self, p: *mut u8, v: [__m256i; 4]) {
        isa!({
            let low = _mm256_packs_epi32(v[0], v[1]);
            let high = _mm256_packs_epi32(v[2], v[3]);
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let v = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
            _mm256_storeu_si256(p.cast(), v);
        })
    }
    #[inline(always)]
    fn i_join_u16(self, a: __m256i, b: __m256i) -> __m256i {
        isa!(_mm256_permute4x64_epi64::<0b1101_1000>(_mm256_packus_epi32(a, b)))
    }
    #[inline(always)]
    fn i_weave_u8(self, v: [__m256i; 4]) -> __m256i {
        isa!({
            // In each 128 bits, four bytes of every vector; then in turn.
            let low = _mm256_packs_epi32(v[0], v[1]);
            let high = _mm256_packs_epi32(v[2], v[3]);
            let order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm256_shuffle_epi8(_mm256_packus_epi16(low, high), _mm256_broadcastsi128_si256(order))
        })
    }
    #[inline(always)]
    fn i_weave_u16(self, v: [__m256i; 2]) -> __m256i {
        isa!({
            let order = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
            _mm256_shuffle_epi8(_mm256_packus_epi32(v[0], v[1]), _mm256_broadcastsi128_si256(order))
        })
    }
}
