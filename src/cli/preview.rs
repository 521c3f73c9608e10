//! `--preview`: the result as a picture in the terminal.

use super::failure::Failure;
use super::pixels::Buffer;
use image::{Rgba, RgbaImage};
use std::io::IsTerminal;
use twopass::{Sample, View};

/// Pixels a side of what is handed on; no terminal has more.
const SIDE: usize = 2048;

/// Fails if there is no terminal that one picture can be shown in.
pub fn check(several: bool) -> Result<(), Failure> {
    if several {
        return Err(Failure::usage("--preview is for one input"));
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage("--preview needs a terminal as standard output"));
    }
    Ok(())
}

/// Prints the picture, in pixels where the terminal can do that, else in coloured half blocks.
pub fn show(buffer: &Buffer) -> Result<(), Failure> {
    let image = match buffer {
        Buffer::U8(image) => small(image.view()),
        Buffer::U16(image) => small(image.view()),
        Buffer::F32(image) => small(image.view()),
    };
    // Terminals have to be asked whether they know kitty's protocol; one that does not answer would
    // be waited for, so only those that are known to are asked.
    let use_kitty = knows_kitty(|name| std::env::var(name).ok());
    // Terminals of no known size have one all the same, the usual.
    let width = (viuer::terminal_size().0 == 0).then_some(80);
    let config = viuer::Config { absolute_offset: false, use_kitty, width, ..Default::default() };
    match viuer::print(&image.into(), &config) {
        Ok(_) => Ok(()),
        Err(e) => Err(Failure::output(format!("cannot show the picture: {e}"))),
    }
}

/// Whether the environment names a terminal with kitty's protocol for pictures.
fn knows_kitty(variable: impl Fn(&str) -> Option<String>) -> bool {
    let names = ["TERM", "TERM_PROGRAM"].into_iter().filter_map(&variable);
    let known = |name: &str| ["kitty", "ghostty", "wezterm"].iter().any(|k| name.contains(k));
    // A multiplexer passes the variables on, but not the protocol.
    let plain = variable("TMUX").is_none() && variable("STY").is_none();
    plain && names.map(|name| name.to_lowercase()).any(|name| known(&name))
}

/// The picture in 8 bits, every nth pixel if it is larger than any terminal.
fn small<S: Sample>(view: View<'_, S>) -> RgbaImage {
    let shape = view.shape();
    let step = shape.width.max(shape.height).div_ceil(SIDE);
    let (width, height) = (shape.width.div_ceil(step), shape.height.div_ceil(step));
    RgbaImage::from_fn(width as u32, height as u32, |x, y| {
        let at = x as usize * step * shape.channels;
        let pixel = &view.row(y as usize * step)[at..at + shape.channels];
        let level = |v: &S| (v.to_f64() / S::FULL * 255.0).round() as u8;
        Rgba(match pixel {
            [grey] => [level(grey), level(grey), level(grey), 255],
            [grey, alpha] => [level(grey), level(grey), level(grey), level(alpha)],
            [r, g, b] => [level(r), level(g), level(b), 255],
            [r, g, b, alpha, ..] => [level(r), level(g), level(b), level(alpha)],
            [] => [0; 4],
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use twopass::{Image, Shape};

    #[test]
    fn only_terminals_that_answer_are_asked() {
        let with = |pairs: &'static [(&str, &str)]| {
            knows_kitty(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
        };
        assert!(!with(&[]));
        assert!(!with(&[("TERM", "xterm-256color")]));
        assert!(with(&[("TERM", "xterm-kitty")]));
        assert!(with(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")]));
        assert!(!with(&[("TERM", "tmux-256color"), ("TERM_PROGRAM", "ghostty"), ("TMUX", "1")]));
    }

    #[test]
    fn pictures_are_made_small_and_of_bytes() {
        let shape = Shape::new(5000, 3, 2);
        let samples = (0..5000 * 3 * 2).map(|i| if i % 2 == 0 { -1.0 } else { 0.5 });
        let image = Image::from_vec(samples.collect::<Vec<f32>>(), shape).unwrap();
        let small = small(image.view());
        assert_eq!(small.dimensions(), (1667, 1));
        assert!(small.pixels().all(|p| p.0 == [0, 0, 0, 128]));
    }
}
