//! `--channels`: which channels are filtered; the others are copied. And what channels are called.

use super::failure::Failure;
use twopass::light::{decode, encode};
use twopass::{Image, Sample, SampleType, Source, View};

/// Names of the channels of a pixel.
pub fn names(channels: usize) -> &'static [&'static str] {
    match channels {
        1 => &["grey"],
        2 => &["grey", "alpha"],
        3 => &["red", "green", "blue"],
        _ => &["red", "green", "blue", "alpha"],
    }
}

/// What a sample of the input is in the output, where it is copied; the second argument says whether it is alpha.
pub fn convert<I: Source, O: Sample>(linear: bool) -> impl Fn(f64, bool) -> O {
    let light = |v| if I::TYPE == SampleType::F32 { v } else { decode(v / I::FULL) };
    move |v, is_alpha| match is_alpha {
        true => O::from_f64(v * (O::FULL / I::FULL)),
        false if !linear => O::from_f64(v * (O::FULL / I::FULL)),
        false if O::TYPE == SampleType::F32 => O::from_f64(light(v)),
        false => O::from_f64(encode(light(v)) * O::FULL),
    }
}

/// For each channel, whether it is filtered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<bool>);

impl Selection {
    /// The channels for which it is said.
    pub fn of(chosen: Vec<bool>) -> Self {
        Self(chosen)
    }

    /// Reads letters of `rgba`, or numbers from 0, for pixels of so many channels.
    pub fn parse(text: &str, channels: usize) -> Result<Self, Failure> {
        let what = names(channels).join(", ");
        let none = |part: &str| {
            Failure::usage(format!(
                "--channels {text}: there is no channel {part:?}; there are {what}"
            ))
        };
        let mut chosen = vec![false; channels];
        if text.chars().any(|c| c.is_ascii_digit()) {
            for part in text.split(',') {
                let c = part.trim().parse().ok().filter(|c: &usize| *c < channels);
                chosen[c.ok_or_else(|| none(part))?] = true;
            }
            return Ok(Self(chosen));
        }
        let grey = channels < 3;
        if grey && ['r', 'g', 'b'].iter().any(|c| text.contains(*c)) {
            // Grey is red, green and blue at once.
            if !['r', 'g', 'b'].iter().all(|c| text.contains(*c)) {
                return Err(none(text));
            }
            chosen[0] = true;
        }
        for letter in text.chars() {
            match letter {
                'r' | 'g' | 'b' if grey => {}
                'r' => chosen[0] = true,
                'g' => chosen[1] = true,
                'b' => chosen[2] = true,
                'a' if channels.is_multiple_of(2) => chosen[channels - 1] = true,
                other => return Err(none(&other.to_string())),
            }
        }
        if text.is_empty() { Err(none("")) } else { Ok(Self(chosen)) }
    }

    /// For each channel, whether it is filtered.
    pub fn chosen(&self) -> &[bool] {
        &self.0
    }

    pub fn has(&self, channel: usize) -> bool {
        self.0[channel]
    }

    /// Whether all colours are filtered and alpha, the last channel, is not.
    pub fn is_colour(&self) -> bool {
        self.0.split_last().is_some_and(|(alpha, colours)| !alpha && colours.iter().all(|c| *c))
    }

    /// Copies what is not filtered from the source, whose pixel (x, y) lies under the output's
    /// first. Depth and light are converted.
    pub fn restore<I: Source, O: Sample>(
        &self,
        out: &mut Image<O>,
        source: View<'_, I>,
        origin: (usize, usize),
        alpha: bool,
        linear: bool,
    ) {
        let shape = out.shape();
        let convert = convert::<I, O>(linear);
        let mut view = out.view_mut();
        for y in 0..shape.height {
            let from = &source.row(y + origin.1)[origin.0 * shape.channels..];
            for (i, (out, from)) in view.row_mut(y).iter_mut().zip(from).enumerate() {
                let c = i % shape.channels;
                if !self.0[c] {
                    *out = convert(from.to_f64(), alpha && c + 1 == shape.channels);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_numbers() {
        let parse = |text, n| Selection::parse(text, n).ok().map(|s| s.0);
        assert_eq!(parse("rgb", 4), Some(vec![true, true, true, false]));
        assert_eq!(parse("a", 4), Some(vec![false, false, false, true]));
        assert_eq!(parse("0,2", 3), Some(vec![true, false, true]));
        assert_eq!(parse("rgb", 2), Some(vec![true, false]));
        assert_eq!(parse("rgba", 2), Some(vec![true, true]));
        for (text, n) in [("a", 3), ("3", 3), ("r", 1), ("x", 3), ("", 3), ("0,", 3), ("-1", 3)] {
            assert_eq!(parse(text, n), None, "{text:?}");
        }
    }
}
