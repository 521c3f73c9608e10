//! Matrices that users type or write into files: the text that the library reads, or JSON. Kernels and mixes are
//! read alike.

use super::failure::{Failure, Kind};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use twopass::Kernel;

/// Longest text. The largest kernel needs less.
const MAX_TEXT: u64 = 1 << 28;

/// A name is one word that starts with a letter; everything else is read as numbers.
pub fn is_matrix(text: &str) -> bool {
    let word = text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    !word || text.parse::<f64>().is_ok()
}

/// Reads a matrix: `1 2 1; 2 4 2; 1 2 1`, or `[[1, 2, 1], [2, 4, 2], [1, 2, 1]]`.
pub fn parse(text: &str) -> Result<Kernel, Failure> {
    if !text.trim_start().starts_with('[') {
        return Ok(text.parse()?);
    }
    let bad = |e: String| Failure::usage(format!("the matrix is not read as JSON: {e}"));
    let Rows(rows) = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    let width = rows.first().map_or(0, Vec::len);
    if let Some(i) = rows.iter().position(|row| row.len() != width) {
        let (row, count) = (i + 1, rows[i].len());
        return Err(bad(format!("row {row} has {count} numbers, row 1 has {width}")));
    }
    Ok(Kernel::new(width, rows.len(), rows.concat())?)
}

/// Reads a file with a matrix.
pub fn from_file(path: &Path) -> Result<Kernel, Failure> {
    let name = path.display();
    let fail = |e: std::io::Error| Failure::input(format!("cannot read the kernel {name}: {e}"));
    let mut text = String::new();
    let file = File::open(path).map_err(fail)?;
    file.take(MAX_TEXT + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() as u64 > MAX_TEXT {
        return Err(Failure::limit(format!("the kernel {name} is longer than {MAX_TEXT} bytes")));
    }
    parse(&text).map_err(|failure| match failure.kind {
        Kind::Limit => failure,
        _ => Failure::input(format!("{name}: {}", failure.message)),
    })
}

/// What to say of a single row whose taps would fill a square: other programs take such lists for one.
pub fn hint(kernel: &Kernel) -> Option<String> {
    let (taps, side) = (kernel.taps(), kernel.width().isqrt());
    if kernel.height() != 1 || side < 3 || side * side != taps.len() {
        return None;
    }
    let rows = taps.chunks_exact(side);
    let row = |row: &[f64]| row.iter().map(|t| super::report::number(*t)).collect::<Vec<_>>();
    let text: Vec<_> = rows.map(|taps| row(taps).join(" ")).collect();
    let example = if side <= 5 { format!(": \"{}\"", text.join("; ")) } else { String::new() };
    Some(format!(
        "note: the kernel is one row of {} taps; the rows of a {side}×{side} kernel end with `;`{example}",
        taps.len()
    ))
}

/// Rows of numbers. A list of numbers is one row.
struct Rows(Vec<Vec<f64>>);

/// A row, or one number of the only row.
enum Part {
    Number(f64),
    Row(Vec<f64>),
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a row of numbers")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Part, E> {
        Ok(Part::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Part, E> {
        Ok(Part::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Part, E> {
        Ok(Part::Number(number as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<Part, A::Error> {
        Bounded("a row of numbers", Vec::new()).visit_seq(from).map(Part::Row)
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let parts = from.deserialize_seq(Bounded("rows of numbers", Vec::<Part>::new()))?;
        let mut rows: Vec<Vec<f64>> = Vec::new();
        let mut single = Vec::new();
        for part in parts {
            match part {
                Part::Row(row) => rows.push(row),
                Part::Number(number) => single.push(number),
            }
        }
        match (rows.is_empty(), single.is_empty()) {
            (true, false) => Ok(Self(vec![single])),
            (_, true) => Ok(Self(rows)),
            (false, false) => Err(D::Error::custom("numbers beside rows of numbers")),
        }
    }
}

/// A sequence that ends before it is longer than a kernel can be.
struct Bounded<T>(&'static str, Vec<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at most {} of them", self.0, Kernel::MAX_SIDE)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut from: A) -> Result<Self::Value, A::Error> {
        while let Some(item) = from.next_element()? {
            if self.1.len() == Kernel::MAX_SIDE {
                return Err(A::Error::invalid_length(Kernel::MAX_SIDE + 1, &self));
            }
            self.1.push(item);
        }
        Ok(self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read() {
        let square = parse("[[1, 2, 1],\n [2, 4, 2], [1.0, 2e0, 1]]").unwrap();
        assert_eq!(square, "1 2 1; 2 4 2; 1 2 1".parse().unwrap());
        assert_eq!(parse("[1, -2, 1]").unwrap(), "1 -2 1".parse().unwrap());
        let long = format!("[{}]", vec!["1"; 2049].join(","));
        let columns = format!("[{}]", vec!["[1]"; 2049].join(","));
        for bad in [
            "[",
            "[]",
            "[[]]",
            "[[1], 2]",
            "[[1, 2], [3]]",
            "[[1e999]]",
            "[\"1\"]",
            "[[[1]]]",
            "[1] 2",
            &long,
            &columns,
        ] {
            assert!(parse(bad).is_err(), "{bad:.40}");
        }
    }

    #[test]
    fn flat_squares_are_noticed() {
        let hint = |text: &str| hint(&parse(text).unwrap());
        let square = hint("1,2,1,2,4,2,1,2,1").unwrap();
        assert!(square.contains("one row of 9 taps") && square.contains("\"1 2 1; 2 4 2; 1 2 1\""));
        assert_eq!(hint("1 2 1"), None);
        assert_eq!(hint("1 4 6 4"), None);
        assert_eq!(hint("1; 2; 1; 2; 4; 2; 1; 2; 1"), None);
    }
}
