//! How many results did not fit the output's samples and were cut off, in words.

use super::channels::names;
use serde::Serialize;
use twopass::Clipping;

/// The counts of one channel, for reports.
#[derive(Debug, Serialize)]
pub struct ClippingPart {
    pub channel: &'static str,
    pub below: u64,
    pub above: u64,
}

/// All samples of the channels that are filtered that were cut off, below and above.
pub fn sum(clipping: &Clipping, filtered: impl Fn(usize) -> bool) -> (u64, u64) {
    let counts = clipping.counts().iter().enumerate().filter(|(c, _)| filtered(*c));
    counts.fold((0, 0), |sum, (_, counts)| (sum.0 + counts.0, sum.1 + counts.1))
}

/// The counts of the channels that are filtered.
pub fn parts(clipping: &Clipping, filtered: impl Fn(usize) -> bool) -> Vec<ClippingPart> {
    let counts = clipping.counts();
    let all = names(counts.len()).iter().zip(counts).enumerate();
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
