//! `--compare`: the picture before and after, side by side.

use super::encode::widen;
use super::failure::Failure;
use super::pixels::{Buffer, Store};
use twopass::{Image, Sample, Shape, Source, View};

/// Before, in the samples of the result, and to its right the result. A result that is smaller
/// leaves black below it. Both get `channels`.
pub fn side_by_side<I: Source>(
    before: View<'_, I>,
    after: &Buffer,
    channels: usize,
) -> Result<Buffer, Failure> {
    match after {
        Buffer::U8(image) => beside(before, image, channels).map(Store::wrap),
        Buffer::U16(image) => beside(before, image, channels).map(Store::wrap),
        Buffer::F32(image) => beside(before, image, channels).map(Store::wrap),
    }
}

fn beside<I: Source, O: Sample>(
    before: View<'_, I>,
    after: &Image<O>,
    channels: usize,
) -> Result<Image<O>, Failure> {
    let (left, right) = (before.shape(), after.shape());
    let width = left.width.saturating_add(right.width);
    let mut image = Image::<O>::new(Shape::new(width, left.height.max(right.height), channels))?;
    let ratio = O::FULL / I::FULL;
    let full = O::from_f64(O::FULL);
    let (view, mut out) = (after.view(), image.view_mut());
    let place = left.width * channels;
    for y in 0..left.height {
        let (to, beside) = out.row_mut(y).split_at_mut(place);
        let row: Vec<O> = before.row(y).iter().map(|v| O::from_f64(v.to_f64() * ratio)).collect();
        to.copy_from_slice(&widen(row, left.channels, channels, full));
        if y < right.height {
            let row = view.row(y).to_vec();
            beside.copy_from_slice(&widen(row, right.channels, channels, full));
        }
    }
    Ok(image)
}
