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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::any_view::OutRow;
    use crate::pass::noise::shorts;
    use crate::pass::{Finish, Fixed, SAMPLE_BITS, SYMMETRIC_SHIFT, SymmetricHalves};
    use crate::simd::Level;

    const LENGTHS: [usize; 8] = [1, 2, 31, 64, 65, 127, 200, 401];

    fn bytes(n: usize, seed: usize) -> Vec<u8> {
        shorts(n, seed).map(|v| v as u8).collect()
    }

    /// A product in units of 2⁻¹⁵, rounded.
    fn high(a: i16, b: i16) -> i16 {
        ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16
    }

    /// Where sample `x` of a scratch row lies.
    fn place(halves: &[Vec<i16>; 2], x: usize) -> i16 {
        halves[x % 2][x / 2]
    }

    #[test]
    fn columns_are_exact() {
        // Taps that are folded, with and without an outermost 1, and others.
        let all: [&[i16]; 4] = [&[1, 4, 6, 4, 1], &[3, 1, -7, 1, 3], &[2, -5, 9], &[1; 7]];
        for taps in all {
            for (n, at) in LENGTHS.into_iter().flat_map(|n| [(n, 0), (n, 3)]) {
                let rows: Vec<_> = (0..taps.len() + 1).map(|seed| bytes(n, seed)).collect();
                let rows: Vec<&[u8]> = rows.iter().map(|row| &row[..]).collect();
                for level in Level::available() {
                    let half = vec![0i16; (at + n) / 2 + HALF_SLACK];
                    let mut out = [[half.clone(), half.clone()], [half.clone(), half]];
                    let [first, second] = out.each_mut();
                    let sums = [(0, first), (1, second)].map(|(first, out)| HalfSum {
                        first,
                        taps,
                        start: -100,
                        out: out.each_mut().map(|half| &mut half[..]),
                    });
                    level.run(ColumnHalves { rows: &rows, sums, n, at });
                    for (r, out) in out.iter().enumerate() {
                        for x in 0..n {
                            let products =
                                taps.iter().zip(&rows[r..]).map(|(t, row)| t * i16::from(row[x]));
                            let expected = products.sum::<i16>() - 100;
                            assert_eq!(
                                place(out, at + x),
                                expected,
                                "{level}, {x} of {n}, {taps:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn symmetric_columns_round_each_product() {
        for taps in [vec![9000i16], vec![700, -1500, 9000, -1500, 700], vec![400; 63]] {
            for (n, at) in LENGTHS.into_iter().flat_map(|n| [(n, 0), (n, 3)]) {
                let rows: Vec<_> = (0..taps.len()).map(|seed| bytes(n, seed)).collect();
                let rows: Vec<&[u8]> = rows.iter().map(|row| &row[..]).collect();
                for level in Level::available() {
                    let mut out = [(); 2].map(|()| vec![0i16; (at + n) / 2 + HALF_SLACK]);
                    let [even, odd] = out.each_mut();
                    let sum = HalfSum { first: 0, taps: &taps, start: -7000, out: [even, odd] };
                    level.run(SymmetricHalves { rows: &rows, sums: [sum], n, at });
                    for x in 0..n {
                        let column: Vec<i16> = rows.iter().map(|row| row[x].into()).collect();
                        let middle = taps.len() / 2;
                        let two = |i: usize| match i == middle {
                            true => column[i],
                            false => column[i] + column[taps.len() - 1 - i],
                        };
                        let scale = 1 << (15 - SYMMETRIC_SHIFT);
                        let products = (0..=middle).map(|i| high(two(i) * scale, taps[i]));
                        let expected = products.sum::<i16>() - 7000;
                        assert_eq!(place(&out, at + x), expected, "{level}, {x} of {n}");
                    }
                }
            }
        }
    }

    /// Rows of all numbers of taps that have a loop of their own, and others, with the image and without.
    fn rows<const HIGH: bool>(scale: i16) {
        for count in [1, 2, 5, 7, 9, 12] {
            for symmetric in [false, true] {
                let at = |i: usize| if symmetric { i.min(count - 1 - i) } else { i };
                let taps: Vec<i16> = (0..count).map(|i| (at(i) as i16 * 5 - 9) * scale).collect();
                for (n, step) in LENGTHS.into_iter().flat_map(|n| [(n, 1), (n, 2), (n, 3)]) {
                    let len = (n + count * step) / 2 + HALF_SLACK;
                    let small = |seed| bytes(len, seed).into_iter().map(|v| i16::from(v) - 128);
                    let halves: [Vec<i16>; 2] = [3, 4].map(|seed| small(seed).collect());
                    let image = bytes(n, 9);
                    for part in [None, Some(0), Some(3000)] {
                        let identity =
                            part.filter(|_| HIGH).map(|part| Identity { whole: -3, part });
                        let fixed = Fixed { shift: 2, start: 300, ..Fixed::default() };
                        let finish = Finish { fixed: [fixed; 2], ..Finish::PLAIN };
                        for level in Level::available() {
                            let mut out = vec![0i16; n];
                            level.run(RowHalves::<HIGH, 1> {
                                inputs: [HalfInput {
                                    halves: halves.each_ref().map(|half| &half[..]),
                                    taps: &taps,
                                }],
                                step,
                                adds: true,
                                identity: identity.map(|identity| (identity, &image[..])),
                                finish: &finish,
                                stream: part.is_some(),
                                next: &[],
                                out: OutRow::new(&mut out),
                            });
                            for (x, value) in out.iter().enumerate() {
                                let under = |i: usize| place(&halves, x + i * step);
                                let folds = folds_row(&taps);
                                let products =
                                    (0..if folds { count / 2 + 1 } else { count }).map(|i| {
                                        let other = count - 1 - i;
                                        let both = folds && other != i;
                                        let v = under(i) + if both { under(other) } else { 0 };
                                        if HIGH { high(v, taps[i]) } else { v * taps[i] }
                                    });
                                let sum: i16 = products.sum();
                                let own = identity.map_or(0, |Identity { whole, part }| {
                                    let v = i16::from(image[x]);
                                    whole * v + high(v << SAMPLE_BITS, part)
                                });
                                let expected = (sum + own + 300) >> 2;
                                assert_eq!(
                                    *value, expected,
                                    "{level}, {x} of {n}, {taps:?}, {step}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_exact() {
        rows::<false>(1);
    }

    #[test]
    fn rows_round_each_product() {
        rows::<true>(411);
    }
}
