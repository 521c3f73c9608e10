//! `--show-kernel`: a picture of kernels. Each is drawn as its taps, and as the products of a column and a row that it is
//! the sum of; what is above 0 is red, what is below is blue.

use super::args::Args;
use super::draw::{Anchor, BLACK, Colour, Drawing, GREY, LETTER, LINE};
use super::failure::Failure;
use super::kernel::{Stage, Step};
use super::text::number;
use super::{output, preview, say};
use std::path::PathBuf;
use twopass::{Kernel, Separation, Term};

/// Pixels of a matrix a side, at most; and taps, of which every nth is drawn of larger ones.
const SIDE: f64 = 320.0;
const TAPS: usize = 160;
/// Pixels of a tap a side, at most.
const CELL: f64 = 44.0;
/// Terms that are drawn.
const TERMS: usize = 4;
const GAP: f64 = 28.0;

/// Draws the kernels of all stages, and writes the picture if that is asked for, but to none of the files that are `taken`.
pub fn write(
    stages: &[Stage],
    taken: impl IntoIterator<Item = PathBuf>,
    args: &Args,
) -> Result<(), Failure> {
    let Some(path) = args.show_kernel.as_deref().filter(|_| !args.dry_run) else { return Ok(()) };
    if taken.into_iter().any(|taken| output::is_same_place(path, &taken)) {
        return Err(Failure::output(format!(
            "{} is an input or a result; name another file for the kernel",
            path.display()
        )));
    }
    if args.preview {
        preview::check(false)?;
    }
    let mut drawing = Drawing::new();
    let mut y = 12.0;
    for (name, kernel) in kernels(stages) {
        y = draw(&mut drawing, &name, kernel, y);
    }
    if y == 12.0 {
        return Err(Failure::usage("--show-kernel draws kernels, and there is none"));
    }
    drawing.reach(0.0, y);
    drawing.write(path)?;
    if args.preview {
        drawing.preview()?;
    }
    if !args.quiet {
        say(&format!("wrote {} (the kernel, drawn)", path.display()));
    }
    Ok(())
}

/// All kernels, with what they are called.
fn kernels(stages: &[Stage]) -> Vec<(String, &Kernel)> {
    let mut all = Vec::new();
    for stage in stages {
        match &stage.step {
            Step::Filter(filter) => match filter.kernels() {
                [x, y] => {
                    all.push((format!("{} (x)", stage.name), x));
                    all.push((format!("{} (y)", stage.name), y));
                }
                kernels => all.extend(kernels.iter().map(|k| (stage.name.clone(), k))),
            },
            Step::Depthwise(own) => all.extend(own.kernels.iter().map(|(n, k)| (n.clone(), k))),
            Step::Mix(_) => {}
        }
    }
    all
}

/// Draws one kernel from `y` on, and says where it ends.
fn draw(drawing: &mut Drawing, name: &str, kernel: &Kernel, y: f64) -> f64 {
    let (width, height) = (kernel.width(), kernel.height());
    let separation = Separation::of(kernel);
    let rank = match separation.rank_known() {
        true => format!("rank {}", separation.rank()),
        false => "rank 2 or more".to_owned(),
    };
    let sum = number(kernel.sum());
    let title = format!("{name}: {width}×{height} taps, sum {sum}, {rank}");
    drawing.text((12.0, y), title, BLACK, Anchor::Start);
    let grid = Grid::of(width, height);
    // Room for the columns and rows of the terms.
    let top = y + 2.0 * LINE + grid.thick + 6.0;
    let largest = |taps: &[f64]| taps.iter().fold(0.0, |most: f64, t| most.max(t.abs()));
    grid.draw(drawing, (12.0, top), kernel.taps(), (width, height), "taps");
    let mut x = 12.0 + grid.size(width);
    let terms = separation.terms();
    for (i, term) in terms.iter().take(TERMS).enumerate() {
        let sign = if i == 0 { "=" } else { "+" };
        let middle = top + grid.size(height) / 2.0 - LINE / 2.0;
        drawing.text((x + GAP / 2.0, middle), sign, BLACK, Anchor::Middle);
        x += GAP;
        let Term { column, row } = term;
        let (left, right) = (x, x + grid.thick + 6.0);
        // Where the column is all there is, so is the row.
        grid.draw(drawing, (left, top), column, (1, height), "");
        grid.draw(drawing, (right, top - grid.thick - 6.0), row, (width, 1), "");
        let product: Vec<f64> =
            column.iter().flat_map(|c| row.iter().map(move |r| c * r)).collect();
        let left = number(separation.residual(i + 1));
        let label = match terms.len() {
            1 if separation.rank() <= 1 => "column · row".to_owned(),
            _ => format!("term {}, leaves {left}", i + 1),
        };
        grid.draw(drawing, (right, top), &product, (width, height), &label);
        let words = LETTER * label.chars().count() as f64;
        x = (right + grid.size(width)).max(right + words);
    }
    if terms.len() > TERMS {
        let more = format!("+ {} more", terms.len() - TERMS);
        drawing.text(
            (x + 8.0, top + grid.size(height) / 2.0 - LINE / 2.0),
            more,
            BLACK,
            Anchor::Start,
        );
    }
    let most = number(largest(kernel.taps()));
    let below = top + grid.size(height) + LINE + 8.0;
    legend(drawing, (12.0, below), &most);
    below + 2.0 * LINE + 16.0
}

/// The colours, from the largest magnitude below 0 to that above.
fn legend(drawing: &mut Drawing, (x, y): (f64, f64), most: &str) {
    const STEPS: i32 = 60;
    for i in 0..=2 * STEPS {
        let colour = diverging(f64::from(i - STEPS) / f64::from(STEPS));
        drawing.rect((x + f64::from(i), y), (1.0, 10.0), colour);
    }
    let end = x + f64::from(2 * STEPS) + 8.0;
    drawing.text(
        (end, y - 3.0),
        format!("-{most} to {most}; each panel by its own largest"),
        GREY,
        Anchor::Start,
    );
}

/// How large taps are drawn.
struct Grid {
    /// Every nth tap.
    step: usize,
    cell: f64,
    /// Pixels across a column, or down a row.
    thick: f64,
}

impl Grid {
    fn of(width: usize, height: usize) -> Self {
        let side = width.max(height);
        let step = side.div_ceil(TAPS);
        let cell = (SIDE / side.div_ceil(step) as f64).floor().clamp(1.0, CELL);
        Self { step, cell, thick: cell.max(10.0) }
    }

    /// Pixels of so many taps.
    fn size(&self, taps: usize) -> f64 {
        taps.div_ceil(self.step) as f64 * self.cell
    }

    /// A matrix, or a column or row of it, scaled by its own largest magnitude, with numbers where they fit, and a word
    /// below.
    fn draw(
        &self,
        drawing: &mut Drawing,
        (x, y): (f64, f64),
        taps: &[f64],
        (width, height): (usize, usize),
        label: &str,
    ) {
        let most = taps.iter().fold(f64::MIN_POSITIVE, |most: f64, t| most.max(t.abs()));
        // Columns and rows of small taps are thicker than these.
        let across = if width == 1 && height > 1 { self.thick } else { self.cell };
        let down = if height == 1 && width > 1 { self.thick } else { self.cell };
        let texts: Vec<_> = taps.iter().take(TAPS).map(|t| number(*t)).collect();
        let fits = |text: &String| LETTER * text.chars().count() as f64 + 2.0 <= across;
        let numbers = down >= LINE && taps.len() <= TAPS && texts.iter().all(fits);
        for (i, row) in (0..height).step_by(self.step).enumerate() {
            for (j, column) in (0..width).step_by(self.step).enumerate() {
                let tap = taps[row * width + column];
                let at = (x + j as f64 * across, y + i as f64 * down);
                drawing.rect(at, (across, down), diverging(tap / most));
                if numbers {
                    let dark = (tap / most).abs() > 0.6;
                    let colour = if dark { [255, 255, 255] } else { BLACK };
                    let middle = (at.0 + across / 2.0, at.1 + (down - LINE) / 2.0);
                    drawing.text(middle, &texts[row * width + column], colour, Anchor::Middle);
                }
            }
        }
        let (right, bottom) = (
            x + width.div_ceil(self.step) as f64 * across,
            y + height.div_ceil(self.step) as f64 * down,
        );
        let frame = vec![(x, y), (right, y), (right, bottom), (x, bottom), (x, y)];
        drawing.line(frame, GREY, 1.0);
        drawing.reach(right + 12.0, bottom + 12.0);
        if !label.is_empty() {
            drawing.text((x, bottom + 4.0), label, GREY, Anchor::Start);
        }
    }
}

/// From blue over white to red: −1, 0, 1.
fn diverging(v: f64) -> Colour {
    let (ends, v): ([Colour; 2], f64) = match v < 0.0 {
        true => ([[146, 197, 222], [5, 90, 160]], -v),
        false => ([[244, 165, 130], [178, 24, 43]], v),
    };
    // White, the light shade in the middle, the dark one at the end.
    let (from, to, share) = match v < 0.5 {
        true => ([255, 255, 255], ends[0], 2.0 * v),
        false => (ends[0], ends[1], 2.0 * v - 1.0),
    };
    let mix = |a: u8, b: u8| {
        (f64::from(a) + (f64::from(b) - f64::from(a)) * share.clamp(0.0, 1.0)).round() as u8
    };
    [0, 1, 2].map(|c| mix(from[c], to[c]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_diverge() {
        assert_eq!(diverging(0.0), [255, 255, 255]);
        let [red, blue] = [diverging(1.0), diverging(-1.0)];
        assert!(red[0] > 150 && red[2] < 60 && blue[2] > 150 && blue[0] < 60);
        // Steadily darker.
        let light = |v: f64| diverging(v).iter().map(|c| i32::from(*c)).sum::<i32>();
        assert!((0..100).all(|i| light(f64::from(i + 1) / 100.0) <= light(f64::from(i) / 100.0)));
    }

    #[test]
    fn large_kernels_are_thinned() {
        for side in [1, 3, 31, 160, 161, 2048] {
            let grid = Grid::of(side, side);
            assert!(grid.size(side) <= SIDE, "{side}");
        }
    }
}
