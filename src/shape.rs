//! The sizes of images, and rectangles in them.

use std::fmt;

/// Width and height in pixels, and interleaved channels.
///
/// ```
/// use twopass::{Rect, Shape};
///
/// let shape = Shape::new(640, 480, 3);
/// assert_eq!((shape.row(), shape.samples()?), (1920, 921_600));
/// assert_eq!(shape.rect(), Rect::new(0, 0, 640, 480));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples in a pixel.
    pub channels: usize,
}

impl Shape {
    /// A shape of `width` × `height` pixels of `channels` samples.
    #[must_use]
    pub const fn new(width: usize, height: usize, channels: usize) -> Self {
        Self { width, height, channels }
    }

    /// Samples in a row. The shape must have passed [`Shape::samples`].
    #[must_use]
    pub const fn row(&self) -> usize {
        self.width * self.channels
    }

    /// The rectangle that covers the whole image.
    #[must_use]
    pub const fn rect(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.width, self.height, self.channels)
    }
}

/// A rectangle of pixels.
///
/// ```
/// use twopass::{Rect, Shape};
///
/// let right_half = Rect::new(320, 0, 320, 480);
/// assert!(right_half.fits(Shape::new(640, 480, 3)));
/// assert!(!right_half.fits(Shape::new(600, 480, 3)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Rect {
    /// The rectangle of `width` × `height` pixels whose top left pixel is (`x`, `y`).
    #[must_use]
    pub const fn new(x: usize, y: usize, width: usize, height: usize) -> Self {
        Self { x, y, width, height }
    }

    /// Whether the rectangle has pixels and all of them are in an image of this shape.
    #[must_use]
    pub fn fits(&self, shape: Shape) -> bool {
        let end = |start: usize, len: usize, limit| {
            len > 0 && start.checked_add(len).is_some_and(|e| e <= limit)
        };
        end(self.x, self.width, shape.width) && end(self.y, self.height, shape.height)
    }
}

impl fmt::Display for Rect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}+{}+{}", self.width, self.height, self.x, self.y)
    }
}
