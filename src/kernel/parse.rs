//! Reads a kernel that a user typed, or wrote into a small text file.
//!
//! Rows end at a `;` or at the end of a line, numbers are separated by spaces, commas or both,
//! `#` starts a comment, rows without numbers are skipped. A number may be a fraction such as
//! `1/16`. Two directives may stand on rows of their own: `scale 1/16` multiplies every tap,
//! `anchor 0 1` names the column and the row of the anchor.
//!
//! The work is linear in the text, and reading stops at the first row that is too long or too
//! many.

use super::Kernel;
use crate::error::Error;
use std::str::FromStr;

/// Reads a matrix: `"1 2 1; 2 4 2; 1 2 1"`, or the same over several lines.
///
/// ```
/// use twopass::Kernel;
///
/// let kernel: Kernel = "scale 1/4; 1, 2, 1".parse()?;
/// assert_eq!((kernel.width(), kernel.height(), kernel.sum()), (3, 1, 1.0));
/// # Ok::<(), twopass::Error>(())
/// ```
impl FromStr for Kernel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut taps = Vec::new();
        let (mut width, mut height) = (0, 0);
        let (mut scale, mut anchor) = (None, None);
        let rows = text.lines().flat_map(|line| without_comment(line).split(';'));
        for row in rows.map(str::trim).filter(|row| !row.is_empty()) {
            if let Some(rest) = row.strip_prefix("scale").filter(|r| r.starts_with(spaced)) {
                once(&scale, "scale")?;
                scale = Some(number(rest.trim())?);
                continue;
            }
            if let Some(rest) = row.strip_prefix("anchor").filter(|r| r.starts_with(spaced)) {
                once(&anchor, "anchor")?;
                anchor = Some(place(rest)?);
                continue;
            }
            height += 1;
            let count = words(row).count();
            Self::check_size(count.max(1), height)?;
            if height == 1 {
                width = count;
            }
            if count != width {
                return Err(Error::Parse(format!(
                    "row {height} has {count} numbers, row 1 has {width}"
                )));
            }
            for word in words(row) {
                taps.push(number(word)?);
            }
        }
        if height == 0 {
            return Err(Error::Parse("it is empty".into()));
        }
        if let Some(scale) = scale {
            taps.iter_mut().for_each(|t| *t *= scale);
        }
        let kernel = Self::new(width, height, taps)?;
        match anchor {
            Some((x, y)) => kernel.with_anchor(x, y),
            None => Ok(kernel),
        }
    }
}

/// The line up to a `#`.
fn without_comment(line: &str) -> &str {
    line.split_once('#').map_or(line, |(before, _)| before)
}

fn spaced(c: char) -> bool {
    c.is_whitespace()
}

/// The words of a row. Between two commas there is a word even if it is empty, so that a number
/// left out is not passed over; a comma at the end of a row is allowed.
fn words(row: &str) -> impl Iterator<Item = &str> {
    let row = row.strip_suffix(',').unwrap_or(row);
    row.split(',').flat_map(|part| {
        let empty = part.trim().is_empty().then_some("");
        empty.into_iter().chain(part.split_whitespace())
    })
}

/// A number or a fraction, finite.
fn number(word: &str) -> Result<f64, Error> {
    let bad = |what: &str| Error::Parse(format!("{:?} is {what}", shortened(word)));
    let value = |text: &str| text.parse::<f64>().map_err(|_| bad("not a number"));
    let value = match word.split_once('/') {
        Some((above, below)) => value(above)? / value(below)?,
        None => value(word)?,
    };
    if value.is_finite() { Ok(value) } else { Err(bad("not a finite number")) }
}

/// The column and row of `anchor X Y`.
fn place(text: &str) -> Result<(usize, usize), Error> {
    let numbers: Vec<_> = text.split_whitespace().take(3).map(str::parse).collect();
    match numbers.as_slice() {
        [Ok(x), Ok(y)] => Ok((*x, *y)),
        _ => Err(Error::Parse(format!(
            "anchor needs a column and a row, counted from 0, not {:?}",
            shortened(text.trim())
        ))),
    }
}

/// A directive may stand only once.
fn once<T>(seen: &Option<T>, name: &str) -> Result<(), Error> {
    match seen {
        Some(_) => Err(Error::Parse(format!("{name} is given twice"))),
        None => Ok(()),
    }
}

/// Enough of a word to recognise it.
fn shortened(word: &str) -> String {
    let mut short: String = word.chars().take(40).collect();
    if short.len() < word.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Kernel {
        text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    #[test]
    fn inline_matrices() {
        let k = read("1 2 1; 2 4 2; 1 2 1");
        assert_eq!((k.width(), k.height(), k.anchor()), (3, 3, (1, 1)));
        assert_eq!(k.taps(), [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]);
        for same in ["1,2;3,4", "1, 2\n3 ,4\n", "1 2;3 4;", "1\t2 ;\n 3 4", "+1,2e0,;.3e1 4.0,\r\n"]
        {
            assert_eq!(read(same), read("1 2; 3 4"), "{same:?}");
        }
        assert_eq!(read("7").taps(), [7.0]);
        assert_eq!(read("1/16 -3/8 1/0.5").taps(), [0.0625, -0.375, 2.0]);
        assert_eq!(read("1\n2").height(), 2);
    }

    #[test]
    fn files_may_have_comments_blank_lines_and_directives() {
        let k = read("# a blur\n\nscale 1/4 # of sum 1\nanchor 0 1\n1 1\n\n1 1 # last; row\n");
        assert_eq!((k.taps(), k.anchor()), (&[0.25; 4][..], (0, 1)));
    }

    #[test]
    fn errors_are_clear() {
        let long = format!("1 {}", "x".repeat(100_000));
        let many = "1 ".repeat(3000);
        let tall = "1;".repeat(100_000);
        for (text, part) in [
            ("", "empty"),
            (" ;\n; # 1 2 3", "empty"),
            ("scale 2", "empty"),
            ("1 2; 3", "row 2 has 1 numbers, row 1 has 2"),
            ("1 2; 3 4; 5 6 7", "row 3 has 3 numbers, row 1 has 2"),
            ("1 two", "\"two\" is not a number"),
            ("1,,2", "\"\" is not a number"),
            ("1 NaN", "\"NaN\" is not a finite number"),
            ("inf", "\"inf\" is not a finite number"),
            ("-infinity 1", "\"-infinity\" is not a finite number"),
            ("1e999", "\"1e999\" is not a finite number"),
            ("1/0", "\"1/0\" is not a finite number"),
            ("1/2/3", "\"1/2/3\" is not a number"),
            ("0x10", "\"0x10\" is not a number"),
            (&long, "xxx…\" is not a number"),
            (&many, "3000×1 is too large; the limit is 2048 a side"),
            (&tall, "1×2049 is too large; the limit is 2048 a side"),
            ("anchor 1\n1 2", "anchor needs a column and a row"),
            ("anchor -1 0\n1 2", "anchor needs a column and a row"),
            ("anchor 2 0\n1 2", "the anchor (2, 0) lies outside the 2×1 kernel"),
            ("scale 1; scale 2; 1", "scale is given twice"),
            ("scale ; 1", "\"scale\" is not a number"),
            ("scale 1e300; 1e300", "taps must be finite"),
        ] {
            let error = text.parse::<Kernel>().unwrap_err().to_string();
            assert!(error.contains(part), "{:?}: {error}", shortened(text));
            assert!(error.len() < 200 && !error.contains('\n'));
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let k = Kernel::gaussian(1.7).unwrap();
        let row = |r: &[f64]| r.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        let text = k.taps().chunks(k.width()).map(row).collect::<Vec<_>>().join("\n");
        assert_eq!(read(&text).taps(), k.taps());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_kernel_or_an_error(text in "[0-9a.,;/# \\n\\-scale\u{2212}]{0,60}|\\PC{0,40}") {
            if let Err(error) = text.parse::<Kernel>() {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
