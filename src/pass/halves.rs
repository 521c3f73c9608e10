//! The two passes of 16-bit arithmetic on `u8` images. Even and odd samples, which are the even and
//! odd bytes of a vector, are kept apart from the column pass to the end of the row pass, in scratch
//! rows of two halves: bytes become words, and words bytes, without changing their lanes, and
//! for one channel half as many vectors are read under the taps of a row.

mod column;
mod row;

pub use column::{ColumnHalves, HalfSum, folds_column};
pub use row::{HalfInput, Identity, RowHalves, folds_row};

use crate::simd::{Lanes, MAX_LANES};

/// Elements behind a half's own that vectors may touch.
pub const HALF_SLACK: usize = 2 * MAX_LANES;

/// The even and the odd samples of 4·N.
#[derive(Clone, Copy)]
pub(super) struct Apart<L: Lanes> {
    pub even: L::H,
    pub odd: L::H,
}

impl<L: Lanes> Apart<L> {
    #[inline(always)]
    pub fn splat(l: L, value: i32) -> Self {
        let all = l.h_splat(value as i16);
        Self { even: all, odd: all }
    }

    #[inline(always)]
    pub fn add(self, l: L, other: Self) -> Self {
        Self { even: l.h_add(self.even, other.even), odd: l.h_add(self.odd, other.odd) }
    }

    #[inline(always)]
    pub fn sub(self, l: L, other: Self) -> Self {
        Self { even: l.h_sub(self.even, other.even), odd: l.h_sub(self.odd, other.odd) }
    }

    /// + samples · tap; HIGH: in units of 2⁻¹⁵, rounded.
    #[inline(always)]
    fn step<const HIGH: bool>(self, l: L, samples: Self, tap: L::H) -> Self {
        let even = if HIGH { l.h_mul_high(samples.even, tap) } else { l.h_mul(samples.even, tap) };
        let odd = if HIGH { l.h_mul_high(samples.odd, tap) } else { l.h_mul(samples.odd, tap) };
        self.add(l, Self { even, odd })
    }

    /// Of 4·N bytes.
    #[inline(always)]
    pub fn of(l: L, bytes: L::H) -> Self {
        Self { even: l.h_even(bytes), odd: l.h_odd(bytes) }
    }

    /// Reads the elements u·2·N to (u + 1)·2·N of two halves.
    ///
    /// # Safety
    ///
    /// Both must be good for them.
    #[inline(always)]
    unsafe fn load_halves(l: L, halves: [*const i16; 2], u: usize) -> Self {
        let [even, odd] = halves;
        // SAFETY: as promised by the caller.
        unsafe {
            Self { even: l.h_load(even.add(u * 2 * L::N)), odd: l.h_load(odd.add(u * 2 * L::N)) }
        }
    }
}

/// The places of the samples from `at` on, those of the even ones of them first: if `at` is odd, they
/// are in the odd half. What is even or odd are single samples, or groups of `unit`, at the first of
/// which `at` must be. Whether the halves reach that far is for those to say who read and write there.
#[inline(always)]
pub(super) fn places([even, odd]: [*mut i16; 2], at: usize, unit: usize) -> [*mut i16; 2] {
    let pair = at / (2 * unit) * unit;
    if at.is_multiple_of(2 * unit) {
        [even.wrapping_add(pair), odd.wrapping_add(pair)]
    } else {
        [odd.wrapping_add(pair), even.wrapping_add(pair + unit)]
    }
}

/// [`places`], to read from.
#[inline(always)]
fn lie(halves: [*const i16; 2], at: usize) -> [*const i16; 2] {
    places(halves.map(<*const i16>::cast_mut), at, 1).map(<*mut i16>::cast_const)
}

/// Where vectors start that are aligned to what they write, `lanes` bytes at a time, if a row that
/// starts at `address`, of samples of so many `bytes`, has such places at an even sample, or an even group of
/// `unit`: after how many samples.
#[inline(always)]
pub(super) fn aligned_from(
    address: usize,
    bytes: usize,
    lanes: usize,
    unit: usize,
) -> Option<usize> {
    let misfit = address.wrapping_neg() % lanes;
    let samples = misfit / bytes;
    (misfit.is_multiple_of(bytes) && samples.is_multiple_of(2 * unit)).then_some(samples)
}

/// Most different taps among an odd number of symmetric ones.
pub(super) const SIDE: usize = 32;

/// Most symmetric taps that are added in 16 bits before they are multiplied.
pub const MOST_SYMMETRIC: usize = 2 * SIDE - 1;

/// The first half of an odd number of symmetric taps, and the middle one, each in all lanes.
pub(super) type Side<L> = [<L as Lanes>::H; SIDE];

/// Those of up to [`MOST_SYMMETRIC`] taps.
#[inline(always)]
pub(super) fn side<L: Lanes>(l: L, taps: &[i16]) -> Side<L> {
    let mut side = [l.h_splat(0); SIDE];
    for (splat, tap) in side.iter_mut().zip(&taps[..=taps.len() / 2]) {
        *splat = l.h_splat(*tap);
    }
    side
}
