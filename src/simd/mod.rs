//! The lanes: a small vector trait, implemented per instruction set, and the detection of what
//! the machine has.

use crate::error::Error;
use std::fmt;

/// An instruction set that this machine has. Detected, never assumed: a `Level` cannot be made
/// any other way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Level(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The names of all levels, worst first.
    pub const NAMES: [&'static str; 3] = ["portable", "avx2", "avx512"];

    /// The best level of this machine.
    #[must_use]
    pub fn detect() -> Self {
        *Self::available().last().unwrap_or(&Self::portable())
    }

    /// The level that every machine has: the lanes of the `wide` crate.
    #[must_use]
    pub fn portable() -> Self {
        Self(Kind::Portable)
    }

    /// All levels of this machine, worst first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self(Kind::Avx2));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
                    && is_x86_feature_detected!("avx512vbmi")
                {
                    levels.push(Self(Kind::Avx512));
                }
            }
        }
        levels
    }

    /// The level of that name, if the machine has it.
    pub fn named(name: &str) -> Result<Self, Error> {
        let Some(&known) = Self::NAMES.iter().find(|n| **n == name) else {
            return Err(Error::UnknownName {
                what: "level",
                name: name.to_owned(),
                known: Self::NAMES.join(", "),
            });
        };
        let found = Self::available().into_iter().find(|l| l.name() == known);
        found.ok_or(Error::LevelMissing(known))
    }

    /// `portable`, `avx2` or `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => Self::NAMES[0],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Self::NAMES[1],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Self::NAMES[2],
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
