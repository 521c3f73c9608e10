//! Texts in lines: words, and flags that keep their values.

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
