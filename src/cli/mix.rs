//! `--mix`: matrices over the channels of a pixel, by name or as numbers, and what they make of a
//! picture's channels.

use super::failure::Failure;
use super::suggest;
use twopass::{Kernel, Pointwise};

/// What the channels of a picture, or of a value between two stages, are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub channels: usize,
    /// Whether the last one is alpha.
    pub alpha: bool,
}

impl Form {
    pub fn colours(self) -> usize {
        self.channels - usize::from(self.alpha)
    }

    /// `3 channels`, `3 channels and alpha`.
    pub fn text(self) -> String {
        let colours = count(self.colours());
        if self.alpha { format!("{colours} and alpha") } else { colours }
    }
}

/// `1 channel`, `3 channels`.
pub fn count(channels: usize) -> String {
    format!("{channels} channel{}", if channels == 1 { "" } else { "s" })
}

/// The units of the values that a mix meets.
#[derive(Debug, Clone, Copy)]
pub struct Units {
    /// What the numbers of the user are divided by.
    pub own: f64,
    /// Full scale, and mid-grey.
    pub full: f64,
    pub half: f64,
}

/// A matrix, not yet for a particular number of channels.
#[derive(Debug, Clone, PartialEq)]
pub enum Mix {
    Named(&'static NamedMix),
    /// Row by row.
    Numbers {
        columns: usize,
        values: Vec<f64>,
    },
}

/// A row of the table.
#[derive(Debug, PartialEq)]
pub struct NamedMix {
    pub name: &'static str,
    pub summary: &'static str,
    rows: Rows,
}

#[derive(Debug, PartialEq)]
enum Rows {
    /// Of three colours.
    Three(&'static [Row]),
    /// The same for every colour: a factor, and what is added.
    Each(f64, Add),
}

#[derive(Debug, PartialEq)]
struct Row([f64; 3], Add);

/// What a row adds, as parts of mid-grey and of full scale.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Add {
    half: f64,
    full: f64,
}

const NOTHING: Add = Add { half: 0.0, full: 0.0 };
const HALF: Add = Add { half: 1.0, full: 0.0 };

/// Rec. 601: the share of each colour in brightness; and what Cb and Cr are multiples of.
const R: f64 = 0.299;
const G: f64 = 0.587;
const B: f64 = 0.114;
const CB: f64 = 1.772;
const CR: f64 = 1.402;

const fn three(rows: &'static [Row]) -> Rows {
    Rows::Three(rows)
}

const fn mix(name: &'static str, summary: &'static str, rows: Rows) -> NamedMix {
    NamedMix { name, summary, rows }
}

static MIXES: &[NamedMix] = &[
    mix("luma", "brightness by Rec. 601, as in JPEG: grey", three(&[Row([R, G, B], NOTHING)])),
    mix(
        "luma709",
        "brightness by Rec. 709, as of sRGB: grey",
        three(&[Row([0.2126, 0.7152, 0.0722], NOTHING)]),
    ),
    mix("red", "the red channel: grey", three(&[Row([1.0, 0.0, 0.0], NOTHING)])),
    mix("green", "the green channel: grey", three(&[Row([0.0, 1.0, 0.0], NOTHING)])),
    mix("blue", "the blue channel: grey", three(&[Row([0.0, 0.0, 1.0], NOTHING)])),
    mix(
        "bgr",
        "red and blue exchanged",
        three(&[
            Row([0.0, 0.0, 1.0], NOTHING),
            Row([0.0, 1.0, 0.0], NOTHING),
            Row([1.0, 0.0, 0.0], NOTHING),
        ]),
    ),
    mix(
        "ycbcr",
        "RGB to Y, Cb and Cr: full-range BT.601, as in JPEG",
        three(&[
            Row([R, G, B], NOTHING),
            Row([-R / CB, -G / CB, (1.0 - B) / CB], HALF),
            Row([(1.0 - R) / CR, -G / CR, -B / CR], HALF),
        ]),
    ),
    mix(
        "from-ycbcr",
        "the way back",
        three(&[
            Row([1.0, 0.0, CR], Add { half: -CR, full: 0.0 }),
            Row([1.0, -B * CB / G, -R * CR / G], Add { half: (B * CB + R * CR) / G, full: 0.0 }),
            Row([1.0, CB, 0.0], Add { half: -CB, full: 0.0 }),
        ]),
    ),
    mix(
        "opponent",
        "intensity, red against green, yellow against blue, 0 as mid-grey",
        three(&[
            Row([1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], NOTHING),
            Row([0.5, -0.5, 0.0], HALF),
            Row([0.25, 0.25, -0.5], HALF),
        ]),
    ),
    mix(
        "sepia",
        "brown tones",
        three(&[
            Row([0.393, 0.769, 0.189], NOTHING),
            Row([0.349, 0.686, 0.168], NOTHING),
            Row([0.272, 0.534, 0.131], NOTHING),
        ]),
    ),
    mix(
        "invert",
        "the negative, of any number of colours",
        Rows::Each(-1.0, Add { half: 0.0, full: 1.0 }),
    ),
];

/// Other names for mixes.
static OTHERS: &[(&str, &str)] = &[
    ("gray", "luma"),
    ("grayscale", "luma"),
    ("grey", "luma"),
    ("greyscale", "luma"),
    ("luma601", "luma"),
    ("negate", "invert"),
    ("negative", "invert"),
    ("rgb-to-ycbcr", "ycbcr"),
    ("swap", "bgr"),
    ("to-ycbcr", "ycbcr"),
    ("ycbcr-to-rgb", "from-ycbcr"),
];

impl NamedMix {
    /// The table.
    pub fn all() -> &'static [Self] {
        MIXES
    }

    fn find(name: &str) -> Result<&'static Self, Failure> {
        let plain = name.to_lowercase().replace('_', "-");
        let other = OTHERS.iter().find(|(other, _)| *other == plain).map(|(_, name)| *name);
        let named = other.unwrap_or(&plain);
        MIXES.iter().find(|m| m.name == named).ok_or_else(|| {
            let instead = suggest::instead(&plain, MIXES.iter().map(|m| m.name));
            Failure::usage(format!("there is no mix named {name:?}; {instead}"))
        })
    }
}

impl Mix {
    /// From a name.
    pub fn named(name: &str) -> Result<Self, Failure> {
        NamedMix::find(name).map(Self::Named)
    }

    /// From numbers, read as those of a kernel are.
    pub fn numbers(matrix: &Kernel) -> Result<Self, Failure> {
        if matrix.height() > 4 {
            return Err(Failure::usage(format!(
                "a mix has at most 4 rows, one for each channel of the result; this one has {}",
                matrix.height()
            )));
        }
        Ok(Self::Numbers { columns: matrix.width(), values: matrix.taps().to_vec() })
    }

    /// How it lies over the channels of `form`: whether it mixes alpha with the colours, and
    /// whether a row has a number to be added.
    fn over(&self, form: Form) -> Result<Over, Failure> {
        let colours = form.colours();
        let wrong = |takes: usize| {
            Failure::usage(format!(
                "the mix takes {}, the picture has {}",
                count(takes),
                form.text()
            ))
        };
        match self {
            Self::Named(NamedMix { rows: Rows::Each(..), .. }) => {
                Ok(Over { outputs: colours, all: false, adds: true })
            }
            Self::Named(NamedMix { rows: Rows::Three(rows), .. }) => match colours {
                3 => Ok(Over { outputs: rows.len(), all: false, adds: true }),
                _ => Err(wrong(3)),
            },
            Self::Numbers { columns, values } => {
                let outputs = values.len() / columns;
                match columns.checked_sub(colours) {
                    Some(0) => Ok(Over { outputs, all: false, adds: false }),
                    Some(1) => Ok(Over { outputs, all: false, adds: true }),
                    Some(2) if form.alpha => Ok(Over { outputs, all: true, adds: true }),
                    _ => Err(wrong(*columns)),
                }
            }
        }
    }

    /// Channels of its result, where they do not depend on the picture.
    pub fn outputs(&self) -> Option<usize> {
        match self {
            Self::Named(NamedMix { rows: Rows::Each(..), .. }) => None,
            Self::Named(NamedMix { rows: Rows::Three(rows), .. }) => Some(rows.len()),
            Self::Numbers { columns, values } => Some(values.len() / columns),
        }
    }

    /// What comes out of it.
    pub fn form(&self, form: Form) -> Result<Form, Failure> {
        let Over { outputs, all, .. } = self.over(form)?;
        if form.alpha && !all {
            return Ok(Form { channels: outputs + 1, alpha: true });
        }
        Ok(Form { channels: outputs, alpha: outputs.is_multiple_of(2) })
    }

    /// The layer: `scale` · (what the matrix says) + `offset` for colours, and alpha times
    /// `alpha`.
    pub fn layer(
        &self,
        form: Form,
        units: Units,
        [scale, offset, alpha]: [f64; 3],
    ) -> Result<Pointwise, Failure> {
        let Over { outputs, all, adds } = self.over(form)?;
        let inputs = form.colours() + usize::from(all);
        let carried = form.alpha && !all;
        let result = self.form(form)?;
        let (mut matrix, mut bias) = (Vec::new(), Vec::new());
        for o in 0..outputs {
            let (taps, added) = self.row(o, inputs, adds, units);
            // A row that makes alpha is no colour.
            let colour = !(result.alpha && !carried && o + 1 == outputs);
            let (factor, plus) = if colour { (scale, offset) } else { (alpha, 0.0) };
            matrix.extend(taps.iter().map(|t| (t * factor) as f32));
            if carried {
                matrix.push(0.0);
            }
            bias.push((added * factor + plus) as f32);
        }
        if carried {
            matrix.extend(std::iter::repeat_n(0.0, inputs));
            matrix.push(alpha as f32);
            bias.push(0.0);
        }
        let dims = [result.channels, form.channels, 1, 1];
        Ok(Pointwise::from_pytorch(&matrix, dims)?.with_bias(&bias)?)
    }

    /// The factors of one row, and what it adds.
    fn row(&self, o: usize, inputs: usize, adds: bool, units: Units) -> (Vec<f64>, f64) {
        let sum = |add: &Add| add.half * units.half + add.full * units.full;
        match self {
            Self::Named(NamedMix { rows: Rows::Each(factor, add), .. }) => {
                let taps = (0..inputs).map(|i| if i == o { *factor } else { 0.0 });
                (taps.collect(), sum(add))
            }
            Self::Named(NamedMix { rows: Rows::Three(rows), .. }) => {
                let Row(taps, add) = &rows[o];
                (taps.to_vec(), sum(add))
            }
            Self::Numbers { columns, values } => {
                let row = &values[o * columns..(o + 1) * columns];
                let added = if adds { row[columns - 1] / units.own } else { 0.0 };
                (row[..inputs].to_vec(), added)
            }
        }
    }
}

/// How a matrix lies over channels.
struct Over {
    outputs: usize,
    /// Whether alpha is one of its inputs.
    all: bool,
    /// Whether rows end with what they add.
    adds: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Units = Units { own: 1.0, full: 255.0, half: 128.0 };
    const RGB: Form = Form { channels: 3, alpha: false };
    const RGBA: Form = Form { channels: 4, alpha: true };
    const GREY: Form = Form { channels: 1, alpha: false };

    fn numbers(text: &str) -> Mix {
        Mix::numbers(&text.parse().unwrap()).unwrap()
    }

    fn layer(mix: &Mix, form: Form) -> Pointwise {
        mix.layer(form, BYTES, [1.0, 0.0, 1.0]).unwrap()
    }

    #[test]
    fn forms() {
        let form = |text: &str, form| numbers(text).form(form).ok();
        let of = |channels, alpha| Some(Form { channels, alpha });
        assert_eq!(form("1 2 3", RGB), of(1, false));
        assert_eq!(form("1 2 3", RGBA), of(2, true));
        assert_eq!(form("1 2 3 9; 4 5 6 9", RGB), of(2, true));
        assert_eq!(form("1 2 3 0 9; 4 5 6 1 9", RGBA), of(2, true));
        assert_eq!(form("1; 1; 1", GREY), of(3, false));
        assert_eq!(form("1 2 3", GREY), None);
        assert_eq!(form("1 2 3 4 5", RGB), None);
        assert!(Mix::numbers(&"1; 2; 3; 4; 5".parse().unwrap()).is_err());
    }

    /// What every row of a named mix makes of white, and of black.
    #[test]
    fn named_mixes() {
        let ends = |name: &str| {
            let layer = layer(&Mix::named(name).unwrap(), RGB);
            let outputs = layer.output_channels();
            let white = |o: usize| -> f32 {
                255.0 * layer.weights().iter().skip(o).step_by(outputs).sum::<f32>()
            };
            let pairs = (0..outputs).map(|o| (layer.bias()[o], layer.bias()[o] + white(o)));
            pairs.map(|(b, w)| (b.round(), w.round())).collect::<Vec<_>>()
        };
        let (plain, grey) = ((0.0, 255.0), (128.0, 128.0));
        for mix in NamedMix::all() {
            let want = match mix.name {
                "ycbcr" | "opponent" => vec![plain, grey, grey],
                "invert" => vec![(255.0, 0.0); 3],
                "bgr" => vec![plain; 3],
                "sepia" | "from-ycbcr" => continue,
                _ => vec![plain],
            };
            assert_eq!(ends(mix.name), want, "{}", mix.name);
        }
    }

    #[test]
    fn other_names_are_known() {
        for (other, name) in OTHERS {
            assert_eq!(NamedMix::find(other).unwrap().name, *name);
        }
        assert_eq!(NamedMix::find("Sepia").unwrap().name, "sepia");
        let error = NamedMix::find("sepai").unwrap_err().message;
        assert!(error.ends_with("did you mean sepia?"), "{error}");
    }

    #[test]
    fn ycbcr_and_back() {
        let [to, from] = ["ycbcr", "from-ycbcr"].map(|n| layer(&Mix::named(n).unwrap(), RGB));
        let apply = |layer: &Pointwise, pixel: [f32; 3]| {
            [0, 1, 2].map(|o| {
                let taps = layer.weights().iter().skip(o).step_by(3);
                layer.bias()[o] + taps.zip(pixel).map(|(w, v)| w * v).sum::<f32>()
            })
        };
        // The values of the JFIF standard's formulas.
        let red = apply(&to, [255.0, 0.0, 0.0]);
        assert!(red.iter().zip([76.245, 84.972, 255.5]).all(|(a, b)| (a - b).abs() < 0.01));
        for pixel in [[0.0, 0.0, 0.0], [255.0, 255.0, 255.0], [10.0, 200.0, 77.0]] {
            let back = apply(&from, apply(&to, pixel));
            assert!(back.iter().zip(pixel).all(|(a, b)| (a - b).abs() < 1e-3), "{back:?}");
        }
    }

    #[test]
    fn alpha_is_carried() {
        let layer = numbers("1 2 3 10").layer(RGBA, BYTES, [2.0, 5.0, 0.5]).unwrap();
        // Input by input.
        assert_eq!(layer.weights(), [2.0, 0.0, 4.0, 0.0, 6.0, 0.0, 0.0, 0.5]);
        assert_eq!(layer.bias(), [25.0, 0.0]);
    }
}
