//! An arithmetic in words, as `--explain` prints it: in short, and with what was proved.

use super::{Arithmetic, Noise, Proved};
use std::fmt;

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I16 => "16-bit integers",
            Self::I16Rounded => "16-bit integers, products rounded",
            Self::I16Pairs => "16-bit pairs into i32",
            Self::I32 => "32-bit integers",
            Self::RunningI32 => "running sums in 32-bit integers",
            Self::RunningI16 => "running sums in 16-bit integers",
            Self::TreeSums => "sums of blocks in f32",
            Self::F32 => "f32, unfused",
            Self::F32Fused => "f32, fused multiply-add where the level has it",
            Self::F64 => "f64, rounded to f32 at the end",
            Self::Reference => "f64 in the reference's order",
        })
    }
}

impl fmt::Display for Proved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.arithmetic)?;
        let ((scratch, sum), size) = (self.bits, self.peak.max(1.0).log2());
        match self.arithmetic {
            Arithmetic::I16Rounded if scratch > 0 => write!(
                f,
                " ({scratch} fraction bits in the scratch row, {sum} in the sum; results span 2^{size:.1} of 2^16)"
            )?,
            Arithmetic::I16 | Arithmetic::I16Rounded => {
                write!(f, " ({sum} fraction bits; results span 2^{size:.1} of 2^16)")?;
            }
            Arithmetic::I16Pairs => write!(
                f,
                " ({scratch} fraction bits in the scratch row, {sum} in the sum; peak 2^{size:.1} of 2^31)"
            )?,
            Arithmetic::I32 => write!(f, " ({sum} fraction bits; peak 2^{size:.1} of 2^31)")?,
            Arithmetic::RunningI32 => {
                write!(f, " (a window reaches 2^{size:.1} of 2^31), times the tap in f32")?;
            }
            Arithmetic::RunningI16 if sum == 0 && self.bound < 1e-6 => {
                write!(f, " (windows reach 2^{size:.1} of 2^16), divided")?;
            }
            Arithmetic::RunningI16 => write!(
                f,
                ", times the tap from column to row ({sum} fraction bits; windows reach 2^{size:.1} of 2^16)"
            )?,
            Arithmetic::TreeSums => f.write_str(", times the tap")?,
            Arithmetic::F32 | Arithmetic::F32Fused | Arithmetic::F64 | Arithmetic::Reference => {}
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
