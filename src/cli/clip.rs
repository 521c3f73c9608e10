//! How many results did not fit the output's samples and were cut off, by channel.

use super::channels::names;
use serde::Serialize;
use twopass::Sample;

/// Counts for each channel: below 0, above full scale.
pub struct Clipping {
    full: f64,
    counts: Vec<(u64, u64)>,
}

/// The counts of one channel, for reports.
#[derive(Debug, Serialize)]
pub struct ClippingPart {
    pub channel: &'static str,
    pub below: u64,
    pub above: u64,
}

impl Clipping {
    pub fn new<O: Sample>(channels: usize) -> Self {
        Self { full: O::FULL, counts: vec![(0, 0); channels] }
    }

    /// Looks at a result of channel `c`, before it is rounded. (With `f32` in the way, the last
    /// digit of a half may go either way.)
    pub fn count(&mut self, c: usize, v: f64) {
        let (below, above) = &mut self.counts[c];
        *below += u64::from(v < -0.5);
        *above += u64::from(v >= self.full + 0.5);
    }

    /// Looks at a row of results: the first `colours` channels of each pixel, which are cut off below the first limit
    /// and from the second on.
    pub fn row(&mut self, row: &[f32], colours: usize, (low, high): (f32, f32)) {
        // Most rows have none, which is found out quickly.
        if !row.iter().fold(false, |any, v| any | (*v < low) | (*v >= high)) {
            return;
        }
        for pixel in row.chunks_exact(self.counts.len()) {
            for (v, (below, above)) in pixel[..colours].iter().zip(&mut self.counts) {
                *below += u64::from(*v < low);
                *above += u64::from(*v >= high);
            }
        }
    }

    /// All samples of the channels that are filtered that were cut off, below and above.
    pub fn sum(&self, filtered: impl Fn(usize) -> bool) -> (u64, u64) {
        let counts = self.counts.iter().enumerate().filter(|(c, _)| filtered(*c));
        counts.fold((0, 0), |sum, (_, counts)| (sum.0 + counts.0, sum.1 + counts.1))
    }

    /// The counts of the channels that are filtered.
    pub fn parts(&self, filtered: impl Fn(usize) -> bool) -> Vec<ClippingPart> {
        let all = names(self.counts.len()).iter().zip(&self.counts).enumerate();
        all.filter(|(c, _)| filtered(*c))
            .map(|(_, (channel, (below, above)))| ClippingPart {
                channel,
                below: *below,
                above: *above,
            })
            .collect()
    }

    /// A line under the explanation.
    pub fn text(parts: &[ClippingPart]) -> String {
        let some = parts.iter().filter(|p| p.below + p.above > 0);
        let list: Vec<_> = some
            .map(|p| format!("{} {} below 0, {} above full scale", p.channel, p.below, p.above))
            .collect();
        let text = if list.is_empty() { "no samples".to_owned() } else { list.join("; ") };
        format!("{:16} {text}\n", "clipped:")
    }
}
