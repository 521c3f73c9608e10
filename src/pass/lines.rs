//! Floats that start on a cache line: no vector of weights may cross one, since such loads count
//! twice.

/// A row of floats whose first is at a multiple of 64 bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines(Vec<Line>);

#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Lines {
    /// A copy of `values`, filled up with zeros to whole lines.
    pub fn new(values: &[f32]) -> Self {
        let lines = values.chunks(16).map(|values| {
            let mut line = Line([0.0; 16]);
            line.0[..values.len()].copy_from_slice(values);
            line
        });
        Self(lines.collect())
    }

    /// The first of at least as many floats as were given.
    pub fn as_ptr(&self) -> *const f32 {
        // A line is nothing but its floats.
        self.0.as_ptr().cast()
    }
}
