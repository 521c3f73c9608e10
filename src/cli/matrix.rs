//! Matrices that users type or write into files: the text that the library reads, or JSON. Kernels and mixes are
//! read alike.

use super::failure::{Failure, Kind};
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
    const MOST: usize = Kernel::MAX_SIDE * Kernel::MAX_SIDE;
    if text.bytes().filter(|byte| *byte == b',').count() >= MOST {
        return Err(bad(format!("it has more than {MOST} numbers")));
    }
    // A list of numbers is one row.
    let several = text.trim_start()[1..].trim_start().starts_with('[');
    let rows: Result<Vec<Vec<f64>>, _> = match several {
        true => serde_json::from_str(text),
        false => serde_json::from_str(text).map(|row| vec![row]),
    };
    let rows = rows.map_err(|e| bad(e.to_string().replace("expected f64", "expected a number")))?;
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
    let row = |row: &[f64]| row.iter().map(|t| super::text::number(*t)).collect::<Vec<_>>();
    let text: Vec<_> = rows.map(|taps| row(taps).join(" ")).collect();
    let example = if side <= 5 { format!(": \"{}\"", text.join("; ")) } else { String::new() };
    Some(format!(
        "note: the kernel is one row of {} taps; the rows of a {side}×{side} kernel end with `;`{example}",
        taps.len()
    ))
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
