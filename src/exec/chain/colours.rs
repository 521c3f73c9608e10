//! Pointwise layers alone, on images of any sample type, and the rounding of a row.

use super::super::{Direct, Memory, each_strip};
use super::{Crew, Slot};
use crate::filter::Post;
use crate::pass::{F32, Finish, Fixed, Input, Mix, Narrow, Prepare, Row, RowOrder};
use crate::plan::{ChainCore, MixStage, Segment};
use crate::sample::{Sample, SampleType, Source};
use crate::simd::{Level, MAX_LANES};
use crate::view::{OutRow, Rect, View, ViewMut};

/// One pointwise layer over a row, while `next` is fetched.
pub(super) fn mix_row<const FUSED: bool>(
    level: Level,
    mix: &MixStage,
    source: &[f32],
    pixels: usize,
    stream: bool,
    next: Option<View<'_, f32>>,
    out: &mut [f32],
) {
    let activation = mix.activation;
    if let Some(weights) = &mix.narrow {
        return level.run(Narrow::<f32, f32, FUSED> { source, weights, activation, stream, out });
    }
    let (rows, weights, run) = (&[source], &mix.weights, mix.weights.inputs());
    level.run(Mix::<FUSED> {
        rows,
        run,
        step: run,
        pixels,
        weights,
        activation,
        stream,
        next,
        out,
    });
}

/// Pointwise layers between any sample types: unfused `f32` inside, the same at every level.
pub(super) fn colours<I: Source, O: Sample>(
    core: &ChainCore,
    segment: &Segment,
    source: Direct<'_, I>,
    rect: Rect,
    out: ViewMut<'_, O>,
    crew: Crew<'_>,
) {
    let tile = segment.tile;
    each_row(core, segment, source, rect, out, crew, &|source, out, slot| {
        let sources = source.chunks(tile * segment.input.channels);
        let targets = out.chunks_mut(tile * segment.output.channels);
        for (source, out) in sources.zip(targets) {
            colour_tile(segment, core.level, source, out, &mut slot.rows);
        }
    });
}

/// Does `work` on every row of source and output.
pub(super) fn each_row<I: Source, O: Sample>(
    core: &ChainCore,
    segment: &Segment,
    source: Direct<'_, I>,
    rect: Rect,
    out: ViewMut<'_, O>,
    crew: Crew<'_>,
    work: &(impl Fn(&[I], &mut [O], &mut Slot) + Sync),
) {
    let (cut, slots) = crew.workers(core, segment, rect.height);
    each_strip(out, rect.y, cut, slots, &|top, mut out, slot: &mut Slot| {
        for y in 0..out.shape().height {
            work(source.pixels(top + y, rect.x..rect.x + rect.width), out.row_mut(y), slot);
        }
    });
}

pub(super) fn colour_tile<I: Source, O: Sample>(
    segment: &Segment,
    level: Level,
    source: &[I],
    out: &mut [O],
    rows: &mut [Memory; 2],
) {
    let [first, rest @ ..] = segment.mixes.as_slice() else { return };
    let pixels = source.len() / first.weights.inputs();
    if let (Some(weights), []) = (&first.narrow, rest) {
        let activation = first.activation;
        let stream = false;
        return level.run(Narrow::<I, O, false> { source, weights, activation, stream, out });
    }
    let [a, b] = rows;
    let (mut from, mut to) = (a, b);
    let widened = from.aligned(source.len() + MAX_LANES);
    level.run(Prepare::<F32, I> { a: source, b: source, next: [&[]; 2], out: widened });
    for mix in &segment.mixes {
        let (inputs, outputs) = (mix.weights.inputs(), mix.weights.outputs());
        let source: &[f32] = from.aligned(pixels * inputs);
        let out = &mut to.aligned(pixels * outputs + MAX_LANES)[..pixels * outputs];
        mix_row::<false>(level, mix, source, pixels, false, None, out);
        std::mem::swap(&mut from, &mut to);
    }
    let row = from.aligned(out.len() + MAX_LANES);
    copy(level, row, OutRow::new(out));
}

/// Rounds a row into samples: a row pass with one tap of 1; floats stay as they are, with the signs of zeros.
pub(super) fn copy(level: Level, row: &[f32], mut out: OutRow<'_>) {
    if out.sample() == SampleType::F32 {
        return out.copy_from(row);
    }
    let finish =
        &Finish { post: Post::None, unlimited: false, offset: 0.0, fixed: [Fixed::default(); 2] };
    let (count, step, order) = (1, 1, RowOrder::InOrder);
    let inputs = [Input::<F32> { scratch: row, taps: &[1.0] }];
    let (stream, next) = (false, &[][..]);
    level.run(Row::<F32, 1> { inputs, count, step, finish, order, stream, next, out });
}
