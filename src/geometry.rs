//! Where windows lie on the axes of an image, and what they read of it through a border: one model for
//! filters, layers, plans, the executor and the reference.

use crate::border::Border;
use crate::view::Rect;
use std::ops::Range;

/// One axis of a window over an image: plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub taps: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Pixels of padding before the first.
    pub before: usize,
    pub border: Border,
    /// Pixels of the input.
    pub len: usize,
    /// Pixels of the output.
    pub out: usize,
}

impl Axis {
    /// Where tap 0 of output `o` lies; negative is left of the image.
    pub fn first(&self, o: usize) -> isize {
        (o * self.stride) as isize - self.before as isize
    }

    /// Pixels from the first tap to the last, both included.
    pub fn span(&self) -> usize {
        (self.taps - 1) * self.dilation + 1
    }

    /// The input pixel that stands for position `v`; `None` is the constant.
    #[inline]
    pub fn map(&self, v: isize) -> Option<usize> {
        self.border.map(v, self.len)
    }

    /// The outputs whose windows lie inside the image.
    pub fn inside(&self) -> Range<usize> {
        let start = self.before.div_ceil(self.stride).min(self.out);
        let end = (self.len + self.before).checked_sub(self.span());
        let end = end.map_or(0, |room| room / self.stride + 1);
        start..end.clamp(start, self.out)
    }

    /// Makes it read what another one with the same outputs reads as well.
    pub fn join(&mut self, other: &Self) {
        let before = self.before.max(other.before);
        let after = |axis: &Self| axis.taps - axis.before;
        self.taps = before + after(self).max(after(other));
        self.before = before;
        if matches!(self.border, Border::Valid) {
            self.border = other.border.clone();
        }
    }

    /// Positions under outputs `out` and their taps, on the endless axis.
    pub fn under(&self, out: Range<usize>) -> Range<isize> {
        if out.is_empty() {
            return 0..0;
        }
        self.first(out.start)..self.first(out.end - 1) + self.span() as isize
    }

    /// The pixels of the input that the windows of outputs `out` read.
    pub fn reads(&self, out: Range<usize>) -> Range<usize> {
        reach(&self.border, self.under(out), self.len)
    }
}

/// The part of an input that the windows of a rectangle of the output read; empty if that lies outside.
pub(crate) fn reads([x, y]: &[Axis; 2], rect: Rect) -> Rect {
    let x = x.reads(rect.x..rect.x + rect.width);
    let y = y.reads(rect.y..rect.y + rect.height);
    Rect::new(x.start, y.start, x.len(), y.len())
}

/// The pixels of an axis of `len` that stand for `span` of the endless axis.
pub(crate) fn reach(border: &Border, span: Range<isize>, len: usize) -> Range<usize> {
    let n = len as isize;
    let inside = span.start.clamp(0, n)..span.end.clamp(0, n);
    let outside =
        (span.start..inside.start.min(span.end)).chain(inside.end.max(span.start)..span.end);
    match border {
        Border::Wrap if span.start < 0 || span.end > n => 0..len,
        Border::Wrap | Border::Constant(_) | Border::Valid => {
            inside.start as usize..inside.end as usize
        }
        _ => {
            let mut reach = inside.start as usize..inside.end as usize;
            // A mirror repeats after twice the length: more cannot reach further.
            for v in outside {
                if let Some(i) = border.map(v, len) {
                    if reach.is_empty() {
                        reach = i..i + 1;
                    }
                    reach = reach.start.min(i)..reach.end.max(i + 1);
                }
            }
            reach
        }
    }
}
