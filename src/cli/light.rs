//! Units and light: samples as floats from 0 to 1, in the file's own values or, decoded by the sRGB
//! transfer function, in linear light.

use std::sync::OnceLock;
use twopass::{Border, Filter, Image, SampleType, Source, View};

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

    /// The image in floats; `alpha` says whether its last channel is one.
    pub fn image<I: Source>(&self, view: View<'_, I>, alpha: bool) -> Image<f32> {
        let shape = view.shape();
        let colours = shape.channels - usize::from(alpha);
        let table: Vec<f32> = match I::TYPE {
            SampleType::U8 | SampleType::U16 => {
                (0..=I::FULL as u32).map(|v| self.colour(f64::from(v)) as f32).collect()
            }
            _ => Vec::new(),
        };
        let mut out = Vec::with_capacity(shape.row() * shape.height);
        for y in 0..shape.height {
            for pixel in view.row(y).chunks_exact(shape.channels) {
                out.extend(pixel[..colours].iter().map(|v| {
                    let v = v.to_f64();
                    table.get(v as usize).copied().unwrap_or_else(|| self.colour(v) as f32)
                }));
                out.extend(pixel[colours..].iter().map(|v| self.alpha(v.to_f64()) as f32));
            }
        }
        Image::from_vec(out, shape).expect("as many samples as before")
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
