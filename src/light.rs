//! The sRGB transfer function, between the samples of pictures and linear light.
//!
//! A blur of sRGB samples darkens edges between bright and dark, since the samples are no amounts of light.
//! [`Mapping::linear`](crate::Mapping::linear) filters light; these are the curves that it uses.
//!
//! ```
//! use twopass::light::{decode, encode};
//!
//! // Half of the light is more than half of the samples' range.
//! assert_eq!((encode(0.5) * 255.0).round(), 188.0);
//! assert!((decode(encode(0.2)) - 0.2).abs() < 1e-6);
//! ```

use std::sync::OnceLock;

/// Steps of the table. Between steps the curve is straight to 7·10⁻⁸.
const STEPS: usize = 1 << 16;

/// Encoded to linear: both are from 0 to 1, and the curve goes on beyond 1. The same for negative values, with their sign.
#[must_use]
pub fn decode(v: f64) -> f64 {
    let magnitude = v.abs();
    let light = if magnitude <= 0.04045 {
        magnitude / 12.92
    } else {
        ((magnitude + 0.055) / 1.055).powf(2.4)
    };
    light.copysign(v)
}

/// Linear to encoded, to 7·10⁻⁸; otherwise as [`decode`].
#[must_use]
pub fn encode(v: f64) -> f64 {
    static TABLE: OnceLock<Vec<f64>> = OnceLock::new();
    let at = v.abs() * STEPS as f64;
    if at.is_nan() || at >= STEPS as f64 {
        return encode_exact(v.abs()).copysign(v);
    }
    let table =
        TABLE.get_or_init(|| (0..=STEPS).map(|i| encode_exact(i as f64 / STEPS as f64)).collect());
    let (i, rest) = (at as usize, at.fract());
    (table[i] + (table[i + 1] - table[i]) * rest).copysign(v)
}

/// `encode` of what is not below 0, by its formula.
fn encode_exact(v: f64) -> f64 {
    if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

/// Light as integer codes: a table of straight pieces, fine enough that a result is off by at most 0.02 of a code.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    /// For each piece the code at its start, and half of one, and what it rises by.
    pieces: Vec<(f32, f32)>,
    /// Light that is cut off: below the first, and from the second on.
    pub(crate) beyond: (f32, f32),
}

impl Code {
    /// The table for codes from 0 to `full`.
    pub(crate) fn new(full: f64) -> Self {
        // The curve bends most in the dark, where codes of 8 bits are 20 pieces of 2^16 long.
        let count = if full < 256.0 { 1 << 12 } else { 1 << 16 };
        let at = |i: i32| encode_exact(f64::from(i) / f64::from(count)) * full;
        let pieces = (0..count).map(|i| ((at(i) + 0.5) as f32, (at(i + 1) - at(i)) as f32));
        let half = 0.5 / full;
        let beyond = (-decode(half) as f32, decode(1.0 + half) as f32);
        Self { pieces: pieces.collect(), beyond }
    }

    /// The nearest code; where there is none, one that is out of range on the same side.
    #[inline]
    pub(crate) fn of(&self, light: f32) -> i32 {
        let at = light * self.pieces.len() as f32;
        // Negative light and NaN are code 0.
        let i = at as i32;
        match self.pieces.get(i as usize) {
            Some((code, rise)) => (code + rise * (at - i as f32).max(0.0)) as i32,
            None if at > 0.0 => i32::MAX,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_srgbs() {
        assert!((decode(0.5) - 0.214_041_14).abs() < 1e-7);
        for i in 0..=1000 {
            let v = f64::from(i) / 1000.0;
            assert!((encode(decode(v)) - v).abs() < 1e-6, "{v}");
            assert!((encode(-decode(v)) + v).abs() < 1e-6, "{v}");
            assert_eq!(decode(-v), -decode(v));
        }
        assert!(encode(f64::NAN).is_nan());
        assert!(encode(4.0) > 1.8);
    }

    #[test]
    fn codes_are_those_of_the_curve() {
        for full in [255.0, 65535.0] {
            let code = Code::new(full);
            let of = |light: f32| f64::from(code.of(light)).clamp(0.0, full);
            for i in 0..=1_000_000 {
                let v = i as f32 / 1e6;
                let off = of(v) - encode_exact(v.into()) * full;
                assert!(off.abs() <= 0.52, "{v}: {off}");
            }
            for v in 0..=full as u32 {
                assert_eq!(of(decode(f64::from(v) / full) as f32), f64::from(v));
                let back = encode(f64::from(decode(f64::from(v) / full) as f32)) * full;
                assert!((back - f64::from(v)).abs() < 0.1, "{v} of {full}: {back}");
            }
            for (v, want) in [(f32::NAN, 0.0), (-1.0, 0.0), (f32::INFINITY, full), (7.0, full)] {
                assert_eq!(of(v), want, "{v}");
            }
        }
    }
}
