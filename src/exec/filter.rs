//! The stage of one filter: what it reads, alpha, and the pass that does its work.

use super::rows::{AnyRows, Feed, Relaid, Rows, Widened, collide};
use super::separable::Whole;
use super::sink::{AlphaOf, Places, Sink, SourceAlpha, Target, Unrounded};
use super::slots::FilterSlot;
use super::tile_rows::TileRows;
use super::walk::FilterRun;
use crate::filter::Alpha;
use crate::pass::{
    Addend, AnyRow, Datapath, F32, F32Fused, F64, I16, I16Pairs, I16Rounded, I32, MOST_ROWS,
    STENCIL_ROWS, SumPairs, SumRows,
};
use crate::plan::{Arithmetic, FilterStage, Pass, Terms};
use crate::sample::{Sample, SampleType};
use crate::simd::MAX_LANES;
use std::mem::take;
use std::ops::Range;
use std::slice;
use wide::bytemuck::cast_slice;

/// What one filter is to do.
pub(super) struct Request<'a> {
    pub(super) stage: &'a FilterStage,
    /// Output rows.
    pub(super) y: Range<usize>,
    /// The end of the run's output rows: nothing below their windows may be read.
    pub(super) last: usize,
    /// Whether the output goes past the cache.
    pub(super) stream: bool,
}

impl Request<'_> {
    /// Filters rows of any type.
    pub(super) fn run(self, rows: AnyRows<'_>, target: &mut Target<'_>, slot: &mut FilterSlot) {
        match rows {
            AnyRows::U8(typed) => self.filter(typed, rows, target, slot),
            AnyRows::U16(typed) => self.filter(typed, rows, target, slot),
            AnyRows::I16(typed) => self.filter(typed, rows, target, slot),
            AnyRows::F32(typed) => self.filter(typed, rows, target, slot),
        }
    }

    fn filter<T: Sample>(
        self,
        typed: Rows<'_, T>,
        rows: AnyRows<'_>,
        target: &mut Target<'_>,
        slot: &mut FilterSlot,
    ) {
        let stage = self.stage;
        let source_alpha = SourceAlpha { rows, anchor: stage.anchor, level: stage.level };
        let alpha = stage.filter.get_alpha();
        let premultiplied = alpha == Some(Alpha::Premultiply);
        if premultiplied || stage.widened {
            let mut copies = take(&mut slot.copies);
            let mut filtered = take(&mut slot.filtered);
            let alpha = match alpha {
                Some(Alpha::Premultiply) => AlphaOf::Divide {
                    opacity: stage.opacity,
                    offset: stage.filter.get_offset(),
                    post: stage.filter.get_post(),
                    level: stage.level,
                },
                Some(Alpha::Keep) => AlphaOf::Keep(source_alpha),
                Some(Alpha::Plain) | None => AlphaOf::Nothing,
            };
            let widened = Widened { source: rows, premultiplied, ring: &mut copies };
            let sink = Sink::Unrounded(Unrounded {
                target,
                filtered: &mut filtered,
                channels: stage.output.channels,
                alpha,
            });
            self.passes::<f32>(Feed::Widened(widened), sink, slot);
            slot.copies = copies;
            slot.filtered = filtered;
            return;
        }
        let sink = match alpha {
            Some(Alpha::Keep) => Sink::Kept(target, source_alpha),
            _ => Sink::Plain(target),
        };
        if let Pass::Terms(terms) = &stage.pass {
            return self.terms(terms, typed, rows, sink, slot);
        }
        // Where a pass reads many rows side by side, and comes back to a line of each: larger samples fill
        // lines at once.
        if size_of::<T>() == 1
            && matches!(stage.pass, Pass::Separable(_) | Pass::WithIdentity(..))
            && let Rows::Source(source) = typed
            && collide(stage.window_rows().min(source.part.shape().height), source.part.stride())
        {
            let mut copies = take(&mut slot.copies);
            self.passes(Feed::Relaid(Relaid { source, ring: &mut copies }), sink, slot);
            slot.copies = copies;
        } else {
            self.passes(Feed::Plain(typed), sink, slot);
        }
    }

    /// Filters with each term of a kernel, some rows at a time, and adds what they make.
    fn terms<T: Sample>(
        self,
        terms: &Terms,
        typed: Rows<'_, T>,
        rows: AnyRows<'_>,
        mut sink: Sink<'_, '_>,
        slot: &mut FilterSlot,
    ) {
        let Self { stage, y: all, last, stream } = self;
        let x = slot.tile.x.clone();
        let (level, channels) = (stage.level, stage.output.channels);
        let n = x.len() * channels;
        // Rows begin with a line of the cache, and not all with the same place of the first one.
        let pitch = (n + MAX_LANES).next_multiple_of(MAX_LANES);
        let FilterSlot { terms: slots, added, .. } = slot;
        let (step, count) = (STENCIL_ROWS * pitch, terms.stages.len());
        let bytes = if terms.pairs.is_some() { 2 } else { 4 };
        for first in all.clone().step_by(STENCIL_ROWS) {
            let y = first..(first + STENCIL_ROWS).min(all.end);
            let made = added.aligned(count * step * bytes).chunks_exact_mut(step * bytes);
            for ((term, slot), made) in terms.stages.iter().zip(&mut *slots).zip(made) {
                let (stage, sample) = (&term.stage, term.stage.types.1);
                let mut target = Target::Ring(Places {
                    first: 0,
                    places: STENCIL_ROWS,
                    y: first,
                    x: x.start,
                    sample,
                    rows: &mut made[..step * sample.bytes()],
                    pitch,
                    channels,
                });
                Request { stage, y: y.clone(), last, stream: false }.run(rows, &mut target, slot);
            }
            for y in y {
                let v = y + terms.anchor.1;
                let under = x.start + terms.anchor.0..x.end + terms.anchor.0;
                let source = typed.pixels(v as isize, v, under);
                let [out] = sink.rows(y, x.clone());
                let (finish, row) = (&stage.finish, (y - first) * pitch);
                match &terms.pairs {
                    Some(taps) => {
                        let mut rows = [&[][..]; MOST_ROWS];
                        for (i, made) in rows.iter_mut().take(count).enumerate() {
                            let start = i * step + row;
                            *made = &added.kept(start + n)[start..];
                        }
                        level.run(SumPairs {
                            source: (terms.identity != 0.0).then(|| cast_slice(source)),
                            rows: &rows[..count],
                            taps: I16Pairs::taps(taps),
                            finish,
                            out,
                        });
                    }
                    None => {
                        // The samples, and those of each term.
                        let mut all = [Addend { row: AnyRow::of(source), factor: terms.identity };
                            MOST_ROWS + 1];
                        let made = terms.stages.iter().zip(&mut all[1..]);
                        for (i, (term, addend)) in made.enumerate() {
                            let start = i * step * bytes / term.stage.types.1.bytes() + row;
                            let len = start + n;
                            let row = match term.stage.types.1 {
                                SampleType::I16 => AnyRow::I16(&added.kept(len)[start..]),
                                _ => AnyRow::F32(&added.kept(len)[start..]),
                            };
                            *addend = Addend { row, factor: term.unit as f32 };
                        }
                        let without = usize::from(terms.identity == 0.0);
                        level.run(SumRows { rows: &all[without..count + 1], finish, stream, out });
                    }
                }
                sink.done(y, 1, x.clone());
            }
        }
    }

    /// Lets the stage's pass run.
    fn passes<T: Sample>(
        self,
        mut feed: Feed<'_, T>,
        mut sink: Sink<'_, '_>,
        slot: &mut FilterSlot,
    ) {
        let Self { stage, y, last, stream } = self;
        let sink = &mut sink;
        let FilterSlot {
            scratch,
            wide,
            constants,
            padded,
            window,
            edges,
            tile,
            fresh,
            held,
            rates,
            fft,
            ..
        } = slot;
        let fresh = take(fresh);
        if fresh {
            feed.start(stage, tile);
        }
        let tile = &*tile;
        let len = tile.len * stage.input.channels;
        let [constant_x, constant_y] = constants;
        let constants: [&[T]; 2] = [constant_x.get(len), constant_y.get(len)];
        let source = &mut TileRows { stage, tile, constants, feed: &mut feed };
        let mut run = FilterRun {
            stage,
            rows: y,
            last,
            scratch,
            wide,
            padded,
            window,
            edges,
            stream,
            fresh,
            held,
            rates,
            fft,
        };
        // Only what a plan can choose for these types is compiled.
        macro_rules! two_passes {
            ($R:ty, $passes:expr) => {{
                let rows = Whole::<$R>::new(stage, tile);
                run.two_passes(&rows, $passes, source, sink)
            }};
        }
        macro_rules! dense {
            ($R:ty, $taps:expr) => {
                run.dense::<T, $R>($taps, source, sink)
            };
        }
        match (&stage.pass, stage.arithmetic.arithmetic) {
            (Pass::Separable(p), Arithmetic::I16) if const { size_of::<T>() == 1 } => {
                run.halves::<T, false>(p, source, sink);
            }
            (Pass::Separable(p), Arithmetic::I16Rounded) if const { size_of::<T>() == 1 } => {
                run.halves::<T, true>(p, source, sink);
            }
            (Pass::WithIdentity(p, _), Arithmetic::I16Rounded) if const { size_of::<T>() == 1 } => {
                run.halves::<T, true>(slice::from_ref(p), source, sink);
            }
            (Pass::Separable(p), Arithmetic::I16Rounded)
                if const { T::NARROW && size_of::<T>() == 2 } =>
            {
                two_passes!(I16Rounded, p);
            }
            (Pass::Separable(p), Arithmetic::I16Pairs) if const { T::NARROW } => {
                two_passes!(I16Pairs, p);
            }
            (Pass::Separable(p), Arithmetic::I32) if const { T::INTEGER } => two_passes!(I32, p),
            (Pass::Separable(p), Arithmetic::F32) if const { T::INTEGER || T::FLOAT } => {
                two_passes!(F32, p);
            }
            (Pass::Separable(p), Arithmetic::F32Fused) if const { T::FLOAT } => {
                two_passes!(F32Fused, p);
            }
            (Pass::WithIdentity(p, _), Arithmetic::F32) if const { T::INTEGER || T::FLOAT } => {
                two_passes!(F32, slice::from_ref(p));
            }
            (Pass::WithIdentity(p, _), Arithmetic::F32Fused) if const { T::FLOAT } => {
                two_passes!(F32Fused, slice::from_ref(p));
            }
            (Pass::Separable(p), Arithmetic::F64) if const { T::INTEGER || T::FLOAT } => {
                two_passes!(F64, p);
            }
            (Pass::RowFirst(p), Arithmetic::I16Pairs) if const { size_of::<T>() == 1 } => {
                run.row_first(p, source, sink);
            }
            (
                Pass::Stencil(kernels),
                Arithmetic::I16 | Arithmetic::I16Rounded | Arithmetic::F32,
            ) if const { size_of::<T>() == 1 } => {
                run.stencil::<T, u8>(kernels, source, sink);
            }
            (Pass::Stencil(kernels), Arithmetic::I16 | Arithmetic::I16Rounded)
                if const { T::NARROW && size_of::<T>() == 2 } =>
            {
                run.stencil::<T, i16>(kernels, source, sink);
            }
            (Pass::Stencil(kernels), Arithmetic::I32 | Arithmetic::F32)
                if const { T::INTEGER && size_of::<T>() == 2 } =>
            {
                run.stencil::<T, u16>(kernels, source, sink);
            }
            (Pass::Stencil(kernels), Arithmetic::F32 | Arithmetic::F32Fused) if const { T::FLOAT } =>
            {
                run.stencil::<T, f32>(kernels, source, sink);
            }
            (Pass::Running(share), Arithmetic::RunningI32 | Arithmetic::RunningI16)
                if const { T::INTEGER || T::NARROW } =>
            {
                run.running(*share, source, sink);
            }
            (Pass::Blocks(levels), Arithmetic::TreeSums) if const { T::FLOAT } => {
                run.blocks_of_rows(levels, source, sink);
            }
            (Pass::Multirate(pass), _) if const { T::INTEGER || T::FLOAT } && !pass.short => {
                run.multirate::<T, F32, F32>(pass, source, sink);
            }
            (Pass::Multirate(pass), _) if const { size_of::<T>() == 1 } => {
                run.multirate::<T, I16Pairs, I16Rounded>(pass, source, sink);
            }
            (Pass::Fft(pass), _) if const { T::INTEGER || T::FLOAT } => {
                run.fft(pass, source, sink);
            }
            (Pass::Runs(runs), Arithmetic::I16Pairs) if const { size_of::<T>() == 1 } => {
                run.sums::<T, I16Pairs>(runs, source, sink);
            }
            (Pass::Runs(runs), Arithmetic::I32) if const { T::INTEGER && size_of::<T>() == 2 } => {
                run.sums::<T, I32>(runs, source, sink);
            }
            (Pass::Runs(runs), Arithmetic::F32) if const { T::INTEGER || T::FLOAT } => {
                run.doubled::<T, F32>(runs, source, sink);
            }
            (Pass::Runs(runs), Arithmetic::F32Fused) if const { T::FLOAT } => {
                run.doubled::<T, F32Fused>(runs, source, sink);
            }
            (Pass::Dense(taps), Arithmetic::I16) if const { size_of::<T>() == 1 } => {
                dense!(I16, taps)
            }
            (Pass::Dense(taps), Arithmetic::I16Rounded) if const { T::NARROW && size_of::<T>() == 2 } =>
            {
                dense!(I16Rounded, taps);
            }
            (Pass::Dense(taps), Arithmetic::I16Pairs) if const { T::NARROW } => {
                dense!(I16Pairs, taps);
            }
            (Pass::Dense(taps), Arithmetic::I32) if const { T::INTEGER } => dense!(I32, taps),
            (Pass::Dense(taps), Arithmetic::F32) if const { T::INTEGER || T::FLOAT } => {
                dense!(F32, taps);
            }
            (Pass::Dense(taps), Arithmetic::F32Fused) if const { T::FLOAT } => {
                dense!(F32Fused, taps);
            }
            (Pass::Dense(taps), Arithmetic::F64) if const { T::INTEGER || T::FLOAT } => {
                dense!(F64, taps);
            }
            (_, arithmetic) => unreachable!("{arithmetic:?} is not planned for {}", T::TYPE),
        }
    }
}
