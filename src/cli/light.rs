//! Units and light: samples as floats from 0 to 1, in the file's own values or, decoded by the sRGB
//! transfer function, in linear light.

use super::run::Store;
use std::marker::PhantomData;
use std::sync::OnceLock;
use twopass::{Border, Error, Filter, Image, SampleType, Source, View, ViewMut};

/// Steps of the tables. Between steps the curve is straight to 7·10⁻⁸.
const STEPS: usize = 1 << 16;

/// The sRGB transfer function: encoded to linear, both from 0 to 1.
fn decode(v: f64) -> f64 {
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// Its inverse.
fn encode_exact(v: f64) -> f64 {
    if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

/// Linear to encoded; the same for negative values, with their sign.
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

/// Light as integer codes: a table of straight pieces, fine enough that a result is off by at most 0.02 of a code.
pub struct Code<O> {
    /// For each piece the code at its start, and half of one, and what it rises by.
    pieces: Vec<(f32, f32)>,
    /// Light that is cut off: below the first, and from the second on.
    pub beyond: (f32, f32),
    samples: PhantomData<O>,
}

impl<O: Store> Code<O> {
    /// The table for integers; others are not coded.
    pub fn new() -> Option<Self> {
        // The curve bends most in the dark, where codes of 8 bits are 20 pieces of 2^16 long.
        let count = match O::TYPE {
            SampleType::U8 => 1 << 12,
            SampleType::U16 => 1 << 16,
            _ => return None,
        };
        let at = |i: i32| encode_exact(f64::from(i) / f64::from(count)) * O::FULL;
        let pieces = (0..count).map(|i| ((at(i) + 0.5) as f32, (at(i + 1) - at(i)) as f32));
        let half = 0.5 / O::FULL;
        let beyond = (-decode(half) as f32, decode(1.0 + half) as f32);
        Some(Self { pieces: pieces.collect(), beyond, samples: PhantomData })
    }

    /// The nearest code.
    #[inline]
    pub fn of(&self, light: f32) -> O {
        let at = light * self.pieces.len() as f32;
        // Negative light and NaN are code 0.
        let i = at as i32;
        match self.pieces.get(i as usize) {
            Some((code, rise)) => O::of_code((code + rise * (at - i as f32).max(0.0)) as i32),
            None if at > 0.0 => O::of_code(i32::MAX),
            None => O::of_code(0),
        }
    }
}

/// From samples of one type to floats.
#[derive(Debug, Clone, Copy)]
pub struct ToFloat {
    full: f64,
    linear: bool,
}

impl ToFloat {
    /// Integers are sRGB, if light is to be `linear`; floats are linear already.
    pub fn of(sample: SampleType, full: f64, linear: bool) -> Self {
        Self { full, linear: linear && sample != SampleType::F32 }
    }

    /// A sample of a colour.
    pub fn colour(&self, v: f64) -> f64 {
        let v = v / self.full;
        if self.linear { decode(v.abs()).copysign(v) } else { v }
    }

    /// A sample of alpha, which has no transfer function.
    pub fn alpha(&self, v: f64) -> f64 {
        v / self.full
    }

    /// What each integer is as a colour; of floats there is no table.
    pub fn table<I: Source>(&self) -> Vec<f32> {
        match I::TYPE {
            SampleType::U8 | SampleType::U16 => {
                (0..=I::FULL as u32).map(|v| self.colour(f64::from(v)) as f32).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The image in floats; `alpha` says whether its last channel is one.
    pub fn image<I: Source + Store>(
        &self,
        view: View<'_, I>,
        alpha: bool,
    ) -> Result<Image<f32>, Error> {
        let mut image = Image::new(view.shape())?;
        self.rows(&self.table::<I>(), view, alpha, image.view_mut());
        Ok(image)
    }

    /// The same, by a table that is there already, into memory that is.
    pub fn rows<I: Source + Store>(
        &self,
        table: &[f32],
        view: View<'_, I>,
        alpha: bool,
        mut out: ViewMut<'_, f32>,
    ) {
        let shape = view.shape();
        let beyond = |v: I| self.colour(v.to_f64()) as f32;
        for y in 0..shape.height {
            let (from, to) = (view.row(y), out.row_mut(y));
            for (to, from) in to.iter_mut().zip(from) {
                *to = table.get(from.code()).copied().unwrap_or_else(|| beyond(*from));
            }
            if alpha {
                let alphas = from.iter().zip(to).skip(shape.channels - 1).step_by(shape.channels);
                alphas.for_each(|(from, to)| *to = self.alpha(from.to_f64()) as f32);
            }
        }
    }

    /// A border of images in floats: its constants are converted too.
    pub fn border(&self, border: &Border, alpha: bool, channels: usize) -> Border {
        match border {
            Border::Constant(values) => {
                // One for all channels may have to become one for each.
                let all = (0..channels).map(|c| {
                    let v = if values.len() == 1 { values[0] } else { border.constant(c) };
                    if alpha && c + 1 == channels { self.alpha(v) } else { self.colour(v) }
                });
                Border::Constant(all.map(|v| f64::from(v as f32)).collect())
            }
            other => other.clone(),
        }
    }

    /// The filter for images in floats.
    pub fn filter(&self, filter: &Filter, alpha: bool, channels: usize) -> Filter {
        let (x, y) = filter.get_borders();
        let border = |b| self.border(b, alpha, channels);
        filter.clone().borders(border(x), border(y))
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
        }
        assert!(encode(f64::NAN).is_nan());
        assert!(encode(4.0) > 1.8);
    }

    #[test]
    fn codes_are_those_of_the_curve() {
        fn codes<O: Store>() {
            let code = Code::<O>::new().unwrap();
            for i in 0..=1_000_000 {
                let v = i as f32 / 1e6;
                let want = encode_exact(v.into()) * O::FULL;
                let off = code.of(v).to_f64() - want;
                assert!(off.abs() <= 0.52, "{v}: {off}");
            }
            for v in 0..=O::FULL as u32 {
                let light = decode(f64::from(v) / O::FULL) as f32;
                assert_eq!(code.of(light).to_f64(), f64::from(v));
            }
            for (v, want) in
                [(f32::NAN, 0.0), (-1.0, 0.0), (f32::INFINITY, O::FULL), (7.0, O::FULL)]
            {
                assert_eq!(code.of(v).to_f64(), want, "{v}");
            }
        }
        codes::<u8>();
        codes::<u16>();
        assert!(Code::<f32>::new().is_none());
    }

    #[test]
    fn every_code_survives() {
        for full in [255.0, 65535.0] {
            let to = ToFloat::of(SampleType::U16, full, true);
            for v in 0..=full as u32 {
                let back = encode(f64::from(to.colour(f64::from(v)) as f32)) * full;
                assert!((back - f64::from(v)).abs() < 0.1, "{v} of {full}: {back}");
            }
        }
    }
}
