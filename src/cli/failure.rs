//! The one way the program fails: a line for stderr, and the exit code that goes with it.

use twopass::Error;

/// Why the program stops. The number is its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `--verify` found an error above the bound.
    Verify = 1,
    /// The command line asks for something that makes no sense.
    Usage = 2,
    /// The input cannot be read, or is not an image that can be filtered so.
    Input = 3,
    /// Something is larger than its limit.
    Limit = 4,
    /// The output cannot be written.
    Output = 5,
}

/// A message of one line, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, message)
    }

    pub fn output(message: impl Into<String>) -> Self {
        Self::new(Kind::Output, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::KernelTooLarge { .. } | Error::SizeOverflow(_) => Kind::Limit,
            Error::EmptyImage(_) | Error::NothingValid { .. } => Kind::Input,
            _ => Kind::Usage,
        };
        Self::new(kind, error.to_string())
    }
}
