//! `--compare`: the picture before and after, side by side.

use super::encode::Buffer;
use super::failure::Failure;
use super::run::Store;
use twopass::{Image, Sample, Shape, Source, View};

/// Before, in the samples of the result, and to its right the result. A result that is smaller
/// leaves black below it.
pub fn side_by_side<I: Source>(before: View<'_, I>, after: &Buffer) -> Result<Buffer, Failure> {
    match after {
        Buffer::U8(image) => beside(before, image).map(Store::wrap),
        Buffer::U16(image) => beside(before, image).map(Store::wrap),
        Buffer::F32(image) => beside(before, image).map(Store::wrap),
    }
}

fn beside<I: Source, O: Sample>(
    before: View<'_, I>,
    after: &Image<O>,
) -> Result<Image<O>, Failure> {
    let (left, right) = (before.shape(), after.shape());
    let width = left.width.saturating_add(right.width);
    let mut image =
        Image::<O>::new(Shape::new(width, left.height.max(right.height), left.channels))?;
    let ratio = O::FULL / I::FULL;
    let (view, mut out) = (after.view(), image.view_mut());
    for y in 0..left.height {
        let row = out.row_mut(y);
        for (out, v) in row.iter_mut().zip(before.row(y)) {
            *out = O::from_f64(v.to_f64() * ratio);
        }
        if y < right.height {
            row[left.row()..].copy_from_slice(view.row(y));
        }
    }
    Ok(image)
}
