//! An arithmetic in words, as `--explain` prints it.

use super::{Arithmetic, Noise, Proved};
use std::fmt;

impl fmt::Display for Proved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arithmetic {
            Arithmetic::I16 => write!(
                f,
                "16-bit integers ({} fraction bits; results span 2^{:.1} of 2^16)",
                self.bits.1,
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::I16Rounded if self.bits.0 > 0 => write!(
                f,
                "16-bit integers, products rounded ({} fraction bits in the scratch row, {} in the sum; results span 2^{:.1} of 2^16)",
                self.bits.0,
                self.bits.1,
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::I16Rounded => write!(
                f,
                "16-bit integers, products rounded ({} fraction bits; results span 2^{:.1} of 2^16)",
                self.bits.1,
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::I16Pairs => write!(
                f,
                "16-bit pairs into i32 ({} fraction bits in the scratch row, {} in the sum; peak 2^{:.1} of 2^31)",
                self.bits.0,
                self.bits.1,
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::I32 => write!(
                f,
                "32-bit integers ({} fraction bits; peak 2^{:.1} of 2^31)",
                self.bits.1,
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::RunningI32 => write!(
                f,
                "running sums in 32-bit integers (a window reaches 2^{:.1} of 2^31), times the tap in f32",
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::RunningI16 if self.bits.1 == 0 && self.bound < 1e-6 => write!(
                f,
                "running sums in 16-bit integers (windows reach 2^{:.1} of 2^16), divided",
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::RunningI16 => write!(
                f,
                "running sums in 16-bit integers, times the tap from column to row ({} fraction bits; windows reach 2^{:.1} of 2^16)",
                self.bits.1,
                self.peak.max(1.0).log2()
            )?,
            Arithmetic::TreeSums => f.write_str("sums of blocks in f32, times the tap")?,
            Arithmetic::F32 => f.write_str("f32, unfused")?,
            Arithmetic::F32Fused => {
                f.write_str("f32, fused multiply-add where the level has it")?
            }
            Arithmetic::F64 => f.write_str("f64, rounded to f32 at the end")?,
            Arithmetic::Reference => f.write_str("f64 in the reference's order")?,
        }
        match (self.bound, self.relative) {
            (0.0, _) => f.write_str(", exact"),
            (e, false) => {
                write!(f, ", error before rounding at most {e:.3}")?;
                match self.noise {
                    Noise { gain: 0.0, bias: 0.0, .. } => Ok(()),
                    Noise { gain, bias, .. } => {
                        write!(f, ", {bias:+.4} in the mean (gain {gain:+.1e})")
                    }
                }
            }
            (e, true) => write!(f, ", error at most {e:.2e} per unit of input range"),
        }
    }
}
