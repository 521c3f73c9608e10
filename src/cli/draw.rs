//! Drawings of boxes, lines and words, as SVG or as pixels: what `--show-kernel` and `--plot` are made of. The letters
//! of the pixels are those of the crate `noto-sans-mono-bitmap`.

use super::failure::Failure;
use super::meta::Meta;
use super::output::{self, Existing};
use super::pixels::Buffer;
use super::{png, preview};
use image::{DynamicImage, Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use std::fmt::Write as _;
use std::path::Path;
use twopass::{Image, Shape};

/// Red, green, blue.
pub type Colour = [u8; 3];

pub const BLACK: Colour = [30, 30, 30];
pub const GREY: Colour = [150, 150, 150];
const WHITE: Colour = [255, 255, 255];

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug)]
enum Mark {
    Box { x: f64, y: f64, width: f64, height: f64, colour: Colour },
    Line { points: Vec<(f64, f64)>, colour: Colour, width: f64 },
    Text { x: f64, y: f64, text: String, colour: Colour, anchor: Anchor },
}

/// A drawing on white.
#[derive(Debug)]
pub struct Drawing {
    width: u32,
    height: u32,
    marks: Vec<Mark>,
}

/// Height of a line of words; and width of a letter.
pub const LINE: f64 = 16.0;
pub const LETTER: f64 = 7.0;

impl Drawing {
    pub fn new() -> Self {
        Self { width: 0, height: 0, marks: Vec::new() }
    }

    /// Makes it at least this large.
    pub fn reach(&mut self, width: f64, height: f64) {
        self.width = self.width.max(width.ceil() as u32);
        self.height = self.height.max(height.ceil() as u32);
    }

    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: Colour) {
        self.marks.push(Mark::Box { x, y, width, height, colour });
    }

    pub fn line(&mut self, points: Vec<(f64, f64)>, colour: Colour, width: f64) {
        self.marks.push(Mark::Line { points, colour, width });
    }

    /// A word whose top is at `y`.
    pub fn text(
        &mut self,
        (x, y): (f64, f64),
        text: impl Into<String>,
        colour: Colour,
        anchor: Anchor,
    ) {
        let text = text.into();
        let width = LETTER * text.chars().count() as f64;
        let end = match anchor {
            Anchor::Start => x + width,
            Anchor::Middle => x + width / 2.0,
            Anchor::End => x,
        };
        self.reach(end + 8.0, y + LINE + 4.0);
        self.marks.push(Mark::Text { x, y, text, colour, anchor });
    }

    /// Writes it to a file whose name says how.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        let bytes = match extension.as_ref().and_then(|e| e.to_str()) {
            Some("svg") => self.svg().into_bytes(),
            Some("png") => {
                let image = DynamicImage::ImageRgb8(self.pixels());
                png::png(&image, None, Meta::default())
                    .map_err(|e| Failure::output(format!("cannot encode PNG: {e}")))?
            }
            _ => {
                let name = path.display();
                return Err(Failure::usage(format!("{name}: drawings are .png or .svg files")));
            }
        };
        output::prepare(path, Path::new(""), Existing::Replace)?.write(&bytes, path)
    }

    /// Shows it in the terminal.
    pub fn preview(&self) -> Result<(), Failure> {
        let pixels = self.pixels();
        let shape = Shape::new(pixels.width() as usize, pixels.height() as usize, 3);
        preview::show(&Buffer::U8(Image::from_vec(pixels.into_raw(), shape)?))
    }

    fn svg(&self) -> String {
        let (width, height) = (self.width, self.height);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <g font-family=\"monospace\" font-size=\"12\" shape-rendering=\"crispEdges\">\n"
        );
        let hex = |[r, g, b]: Colour| format!("#{r:02x}{g:02x}{b:02x}");
        for mark in &self.marks {
            let _ = match mark {
                Mark::Box { x, y, width, height, colour } => writeln!(
                    out,
                    "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{}\"/>",
                    hex(*colour)
                ),
                Mark::Line { points, colour, width } => {
                    let points: Vec<_> =
                        points.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
                    writeln!(
                        out,
                        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" \
                         shape-rendering=\"auto\"/>",
                        points.join(" "),
                        hex(*colour)
                    )
                }
                Mark::Text { x, y, text, colour, anchor } => {
                    let anchor = match anchor {
                        Anchor::Start => "start",
                        Anchor::Middle => "middle",
                        Anchor::End => "end",
                    };
                    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                    let text: String = text.chars().filter(|c| !c.is_control()).collect();
                    writeln!(
                        out,
                        "<text x=\"{x:.2}\" y=\"{:.2}\" fill=\"{}\" text-anchor=\"{anchor}\">{text}</text>",
                        y + 12.0,
                        hex(*colour)
                    )
                }
            };
        }
        out += "</g>\n</svg>\n";
        out
    }

    /// The drawing in pixels.
    pub fn pixels(&self) -> RgbImage {
        let mut image = RgbImage::from_pixel(self.width.max(1), self.height.max(1), Rgb(WHITE));
        for mark in &self.marks {
            match mark {
                Mark::Box { x, y, width, height, colour } => {
                    let round = |v: f64| v.round().max(0.0) as u32;
                    for row in round(*y)..round(y + height).min(image.height()) {
                        for column in round(*x)..round(x + width).min(image.width()) {
                            image.put_pixel(column, row, Rgb(*colour));
                        }
                    }
                }
                Mark::Line { points, colour, width } => {
                    points
                        .windows(2)
                        .for_each(|ends| segment(&mut image, ends[0], ends[1], *width, *colour));
                }
                Mark::Text { x, y, text, colour, anchor } => {
                    let letter = get_raster_width(FontWeight::Regular, RasterHeight::Size16);
                    let width = (letter * text.chars().count()) as f64;
                    let start = match anchor {
                        Anchor::Start => *x,
                        Anchor::Middle => x - width / 2.0,
                        Anchor::End => x - width,
                    };
                    for (i, c) in text.chars().enumerate() {
                        let at = (start + (i * letter) as f64, *y);
                        glyph(&mut image, at, c, *colour);
                    }
                }
            }
        }
        image
    }
}

/// Puts a share of a colour over a pixel, if it is one.
fn put(image: &mut RgbImage, x: i64, y: i64, colour: Colour, share: f64) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    let Some(Rgb(pixel)) = image.get_pixel_mut_checked(x, y) else { return };
    for (to, from) in pixel.iter_mut().zip(colour) {
        *to = (f64::from(*to) + (f64::from(from) - f64::from(*to)) * share).round() as u8;
    }
}

/// A straight line with soft edges.
fn segment(image: &mut RgbImage, a: (f64, f64), b: (f64, f64), width: f64, colour: Colour) {
    let half = width / 2.0;
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = (dx * dx + dy * dy).max(1e-12);
    let range = |a: f64, b: f64| (a.min(b) - half - 1.0) as i64..=(a.max(b) + half + 1.0) as i64;
    for y in range(a.1, b.1) {
        for x in range(a.0, b.0) {
            let (px, py) = (x as f64 + 0.5 - a.0, y as f64 + 0.5 - a.1);
            let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
            let far = (px - along * dx).hypot(py - along * dy);
            let share = (half + 0.5 - far).clamp(0.0, 1.0);
            if share > 0.0 {
                put(image, x, y, colour, share);
            }
        }
    }
}

fn glyph(image: &mut RgbImage, (x, y): (f64, f64), c: char, colour: Colour) {
    let raster = |c| get_raster(c, FontWeight::Regular, RasterHeight::Size16);
    // What the font has not is drawn as a question.
    let Some(letter) = raster(c).or_else(|| raster('?')) else { return };
    for (dy, row) in letter.rows().enumerate() {
        for (dx, share) in row.iter().enumerate().filter(|(_, share)| **share > 0) {
            let at = (x.round() as i64 + dx as i64, y.round() as i64 + dy as i64);
            put(image, at.0, at.1, colour, f64::from(*share) / 255.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_where_they_should_be() {
        let mut drawing = Drawing::new();
        drawing.reach(60.0, 40.0);
        drawing.rect((2.0, 3.0), (4.0, 5.0), [200, 0, 0]);
        drawing.line(vec![(20.0, 0.0), (20.0, 40.0)], [0, 0, 200], 2.0);
        drawing.text((30.0, 10.0), "<×>", BLACK, Anchor::Start);
        let image = drawing.pixels();
        assert_eq!(image.dimensions(), (60, 40));
        assert_eq!(image.get_pixel(2, 3).0, [200, 0, 0]);
        assert_eq!(image.get_pixel(5, 7).0, [200, 0, 0]);
        assert_eq!(image.get_pixel(6, 7).0, WHITE);
        assert_eq!(image.get_pixel(19, 20).0, [0, 0, 200]);
        assert_eq!(image.get_pixel(22, 20).0, WHITE);
        let dark = |x: u32| (10..26).any(|y| image.get_pixel(x, y).0[0] < 128);
        assert!((30..51).any(dark) && !(51..60).any(dark));
        let svg = drawing.svg();
        assert!(svg.contains("&lt;×&gt;") && svg.matches("<rect").count() == 2, "{svg}");
    }

    #[test]
    fn words_make_room() {
        let mut drawing = Drawing::new();
        drawing.text((4.0, 100.0), "long", BLACK, Anchor::Start);
        assert_eq!((drawing.width, drawing.height), (40, 120));
        assert_eq!(LETTER, get_raster_width(FontWeight::Regular, RasterHeight::Size16) as f64);
    }
}
