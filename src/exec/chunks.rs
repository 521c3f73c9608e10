//! The chunks of an output, and the workers that take them.

use crate::plan::Cut;
use crate::view::{Rect, ViewMut};
use std::mem::take;
#[cfg(feature = "rayon")]
use std::sync::atomic::{self, AtomicUsize};

/// How often a worker looks whether the others are done before it sleeps: some 20 to 50 µs.
#[cfg(feature = "rayon")]
const SPINS: usize = 1000;

/// Where a chunk of the output lies in memory.
pub(super) enum ChunkRows<'a> {
    /// Rows a stride apart.
    View(ViewMut<'a, u8>),
    /// Rows one by one, since other chunks lie beside them.
    List(Vec<&'a mut [u8]>),
}

/// A part of the output, and where it lies.
struct Chunk<'a> {
    rect: Rect,
    rows: ChunkRows<'a>,
}

/// Does `work` on each chunk of `out`, which is the rectangle `rect` of the whole output, with as many workers as there
/// are slots.
pub(super) fn each_chunk<S: Send>(
    out: ViewMut<'_, u8>,
    rect: Rect,
    cut: Cut,
    slots: &mut [S],
    work: &(impl Fn(Rect, ChunkRows<'_>, &mut S) + Sync),
) {
    #[cfg(feature = "rayon")]
    if slots.len() > 1
        && let Some((own, others)) = slots.split_first_mut()
    {
        let workers = 1 + others.len();
        let mut chunks: Vec<_> = chunks(out, rect, cut).into_iter().map(Some).collect();
        let count = chunks.len();
        let chunks = std::sync::Mutex::new(&mut chunks[..]);
        // A share for each, the same ones in every run, so that what a worker needs or writes is in
        // its own cache from the last run, or from the layer before. Who is done helps the others.
        //
        // The lock is held while a chunk is taken, not while it is filtered. Only a panic elsewhere can poison it;
        // that one is reported by the scope.
        let next = |worker: usize| {
            let mut chunks = chunks.lock().ok()?;
            let (before, own) = chunks.split_at_mut(worker * count / workers);
            own.iter_mut().chain(before).find_map(Option::take)
        };
        let some = &|worker: usize, slot: &mut S| {
            while let Some(Chunk { rect, rows }) = next(worker) {
                work(rect, rows, slot);
            }
        };
        let busy = &AtomicUsize::new(others.len());
        // This thread is one of the workers: to wake another one takes as long as to filter a small
        // image, which must not wait for that. Nor should it fall asleep where the others are about to
        // be done.
        rayon::in_place_scope(|scope| {
            for (i, slot) in others.iter_mut().enumerate() {
                scope.spawn(move |_| {
                    some(1 + i, slot);
                    busy.fetch_sub(1, atomic::Ordering::Release);
                });
            }
            some(0, own);
            for _ in 0..SPINS {
                if busy.load(atomic::Ordering::Acquire) == 0 {
                    break;
                }
                std::hint::spin_loop();
            }
        });
        return;
    }
    let _ = cut;
    work(rect, ChunkRows::View(out), &mut slots[0]);
}

/// Cuts `out`: from top to bottom, and from left to right.
fn chunks(out: ViewMut<'_, u8>, rect: Rect, cut: Cut) -> Vec<Chunk<'_>> {
    let pixel = out.shape().channels;
    let [columns, rows] = cut.of(rect);
    let mut chunks = Vec::with_capacity(cut.chunks[0] * cut.chunks[1]);
    let mut below = Some(out);
    for y in rows {
        let Some(rest) = below.take() else { break };
        let band = if y.len() < rest.shape().height {
            let (band, rest) = rest.split_at_row(y.len());
            below = Some(rest);
            band
        } else {
            rest
        };
        if cut.chunks[0] == 1 {
            let rect = Rect { y: y.start, height: y.len(), ..rect };
            chunks.push(Chunk { rect, rows: ChunkRows::View(band) });
            continue;
        }
        let mut lists: Vec<_> = columns.clone().map(|x| (x, Vec::with_capacity(y.len()))).collect();
        for mut row in band.into_rows() {
            for (x, list) in &mut lists {
                let (own, rest) = take(&mut row).split_at_mut(x.len() * pixel);
                list.push(own);
                row = rest;
            }
        }
        chunks.extend(lists.into_iter().map(|(x, list)| Chunk {
            rect: Rect::new(x.start, y.start, x.len(), y.len()),
            rows: ChunkRows::List(list),
        }));
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::{ChunkRows, chunks};
    use crate::plan::Cut;
    use crate::shape::{Rect, Shape};
    use crate::view::ViewMut;

    #[test]
    fn each_byte_of_the_output_is_in_one_chunk() {
        for (width, height, pixel, gap) in [(1, 1, 1, 0), (37, 5, 3, 7), (64, 40, 4, 0)] {
            for cut in [([1, 1], [1, 1]), ([3, 2], [4, 1]), ([5, 7], [1, 3]), ([1, 9], [16, 4])] {
                let (cut, stride) = (Cut { chunks: cut.0, unit: cut.1 }, width * pixel + gap);
                let mut memory = vec![0u8; stride * height];
                let rect = Rect::new(11, 6, width, height);
                let shape = Shape::new(width, height, pixel);
                let out = ViewMut::with_stride(&mut memory, shape, stride).unwrap();
                let mut found = Vec::new();
                for (i, chunk) in chunks(out, rect, cut).into_iter().enumerate() {
                    let Rect { width, height, .. } = chunk.rect;
                    let rows: Vec<_> = match chunk.rows {
                        ChunkRows::View(view) => view.into_rows().collect(),
                        ChunkRows::List(rows) => rows,
                    };
                    assert_eq!(rows.len(), height);
                    for row in rows {
                        assert_eq!(row.len(), width * pixel);
                        row.fill(1 + i as u8);
                    }
                    found.push(chunk.rect);
                }
                for (y, row) in memory.chunks_exact(stride).enumerate() {
                    let (row, between) = row.split_at(width * pixel);
                    assert!(
                        between.iter().all(|v| *v == 0),
                        "what lies between rows is not touched"
                    );
                    for (x, pixel) in row.chunks_exact(pixel).enumerate() {
                        let here = |r: &Rect| {
                            (r.x..r.x + r.width).contains(&(x + rect.x))
                                && (r.y..r.y + r.height).contains(&(y + rect.y))
                        };
                        let own = 1 + found.iter().position(here).unwrap() as u8;
                        assert!(pixel.iter().all(|v| *v == own));
                    }
                }
            }
        }
    }
}
