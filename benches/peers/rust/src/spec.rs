//! Who does what, as read from a line of text.
//!
//! ```text
//! contestant mode | input output | width height channels threads | operation numbers [| numbers]
//! twopass avx2    | u8 i16       | 1920 1080 1 2                 | sobel-x 3
//! libblur exact   | f32 f32      | 1920 1080 3 1                 | separable 0.25 0.5 0.25 | 0.2 0.6 0.2
//! ```

// A build has one contestant, and each needs only a part of this.
#![allow(dead_code)]

use std::str::FromStr;

/// One contestant on one row of the board.
#[derive(Debug, Clone)]
pub struct Spec {
    pub contestant: String,
    /// An instruction set, or a peer's mode.
    pub mode: String,
    pub input: String,
    pub output: String,
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub threads: usize,
    /// `separable` (column taps, then row taps), `dense` (taps row by row, then height and width where it is no square),
    /// or a name.
    pub operation: String,
    pub numbers: Vec<Vec<f64>>,
}

impl Spec {
    /// The only number of a named operation.
    pub fn number(&self) -> Result<f64, String> {
        let first = self.numbers.first().and_then(|n| n.first());
        first.copied().ok_or_else(|| format!("{} needs a number", self.operation))
    }

    /// Column and row taps in the precision of the peers.
    pub fn factors(&self) -> Result<(Vec<f32>, Vec<f32>), String> {
        match self.numbers.as_slice() {
            [column, row] => Ok((narrow(column), narrow(row))),
            _ => Err("two lists of taps are needed".to_owned()),
        }
    }

    /// Taps of a kernel, its width and height; a square's need not be told.
    pub fn plane(&self) -> Result<(Vec<f32>, usize, usize), String> {
        let taps = self.numbers.first().ok_or("a list of taps is needed")?;
        let side = taps.len().isqrt();
        let (height, width) = match self.numbers.get(1).map(Vec::as_slice) {
            Some(&[height, width]) => (height as usize, width as usize),
            _ => (side, side),
        };
        if width * height != taps.len() {
            return Err(format!("{} taps are not {width} × {height}", taps.len()));
        }
        Ok((narrow(taps), width, height))
    }
}

fn narrow(taps: &[f64]) -> Vec<f32> {
    taps.iter().map(|&t| t as f32).collect()
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<Vec<&str>> =
            text.split('|').map(|part| part.split_whitespace().collect()).collect();
        let [who, types, sizes, what, rest @ ..] = parts.as_slice() else {
            return Err(format!("{text:?} has too few parts"));
        };
        let ([contestant, mode], [input, output]) = (who.as_slice(), types.as_slice()) else {
            return Err("contestant and mode, input and output are needed".to_owned());
        };
        let sizes: Result<Vec<usize>, _> = sizes.iter().map(|s| s.parse()).collect();
        let [width, height, channels, threads] = sizes.map_err(|e| e.to_string())?[..] else {
            return Err("width, height, channels and threads are needed".to_owned());
        };
        let (operation, first) = what.split_first().ok_or("an operation is needed")?;
        let numbers = |list: &[&str]| list.iter().map(|n| n.parse::<f64>()).collect();
        let lists: Result<Vec<Vec<f64>>, _> =
            std::iter::once(first).chain(rest.iter().map(Vec::as_slice)).map(numbers).collect();
        Ok(Self {
            contestant: (*contestant).to_owned(),
            mode: (*mode).to_owned(),
            input: (*input).to_owned(),
            output: (*output).to_owned(),
            width,
            height,
            channels,
            threads,
            operation: (*operation).to_owned(),
            numbers: lists.map_err(|e| e.to_string())?,
        })
    }
}
