//! Texts: numbers, the shapes of pictures, words in lines, and flags that keep their values.

use twopass::Shape;

/// Lines of at most so many columns.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Stands for a space at which a line does not end.
pub const KEPT: char = '\u{1}';

/// Lines of at most so many columns, in which flags keep their values.
pub fn wrapped_flags(text: &str, columns: usize) -> Vec<String> {
    let lines = wrapped(&whole(text), columns);
    lines.into_iter().map(|line| line.replace(KEPT, " ")).collect()
}

/// A text whose flags keep their values.
pub fn whole(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    let mut out = String::new();
    for (i, word) in words.iter().enumerate() {
        let flag = i > 0 && words[i - 1].trim_start_matches(['(', '\\']).starts_with('-');
        let value = flag && !word.starts_with('-');
        match i {
            0 => {}
            _ if value => out.push(KEPT),
            _ => out.push(' '),
        }
        out.push_str(word);
    }
    out
}

/// At most six significant digits, and no more than the number has.
pub fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e9).contains(&x.abs()) {
        return format!("{x:.3e}");
    }
    let digits = (5 - x.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `1200×800 RGB u8`.
pub fn describe(shape: Shape, sample: impl std::fmt::Display) -> String {
    let kind = match shape.channels {
        1 => "grey",
        2 => "grey+alpha",
        3 => "RGB",
        _ => "RGBA",
    };
    format!("{}×{} {kind} {sample}", shape.width, shape.height)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, -2.0, 0.1, 1.0 / 3.0, 1234.5678, 1e-9, 1e300].map(number);
        assert_eq!(texts, ["0", "1", "-2", "0.1", "0.333333", "1234.57", "1.000e-9", "1.000e300"]);
    }
}
