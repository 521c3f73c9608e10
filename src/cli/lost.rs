//! What is in a file and isn't carried over to its result. Readers and writers name it here, so that
//! nothing goes without a word: it is one warning for each file, an error if the user is strict, and no
//! file is replaced by one that holds less unless that is forced.
//!
//! What the user asked to leave out (`--strip`, `--first-frame`, `--alpha drop`, `--depth`) is no loss, and
//! neither is what filtering makes untrue, such as a thumbnail of the picture as it was.

use super::failure::Failure;
use std::path::Path;

/// Names of what is lost, such as "colour profile", each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost(Vec<String>);

impl Lost {
    pub fn add(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.0.contains(&what) {
            self.0.push(what);
        }
    }

    pub fn append(&mut self, other: Self) {
        other.0.into_iter().for_each(|what| self.add(what));
    }

    /// Fails if something is lost and may not be: if the user is `strict`, or if the result `replaces`
    /// its input, so that it would be lost for good.
    pub fn check(&self, path: &Path, strict: bool, replaces: bool) -> Result<(), Failure> {
        let what = format!("{}: not kept: {}", path.display(), self.0.join(", "));
        match self.0.is_empty() {
            false if strict => Err(Failure::input(format!("{what} (--strict)"))),
            false if replaces => Err(Failure::output(format!(
                "{what}; --force replaces it all the same, and --out-dir writes elsewhere"
            ))),
            _ => Ok(()),
        }
    }

    /// The line for stderr, if there is something to be said.
    pub fn warning(&self, path: &Path) -> Option<String> {
        let what = || format!("warning: {}: not kept: {}", path.display(), self.0.join(", "));
        (!self.0.is_empty()).then(what)
    }

    /// For `--json`.
    pub fn into_names(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::Kind;

    #[test]
    fn a_loss_is_said_once_and_stops_what_it_must() {
        let path = Path::new("a.png");
        let mut lost = Lost::default();
        assert_eq!(lost.warning(path), None);
        assert!(lost.check(path, true, true).is_ok());
        lost.add("colour profile");
        let mut more = Lost::default();
        more.add("Exif");
        more.add("colour profile");
        lost.append(more);
        let said = lost.warning(path).unwrap();
        assert_eq!(said, "warning: a.png: not kept: colour profile, Exif");
        assert!(lost.check(path, false, false).is_ok());
        assert_eq!(lost.check(path, true, true).unwrap_err().kind, Kind::Input);
        assert_eq!(lost.check(path, false, true).unwrap_err().kind, Kind::Output);
    }
}
