//! The workers, and the strips of an output that each of them gets.

use crate::plan::Cut;
use crate::view::ViewMut;
#[cfg(feature = "rayon")]
use std::sync::atomic::{self, AtomicUsize};

/// How often a worker looks whether the others are done before it sleeps: some 20 to 50 µs.
#[cfg(feature = "rayon")]
const SPINS: usize = 1000;

/// Cuts `out`, whose first row is output row `y`, into strips, and does `work` on each, with as many
/// workers as there are slots.
pub(super) fn each_strip<O: Send, S: Send>(
    out: ViewMut<'_, O>,
    y: usize,
    cut: Cut,
    slots: &mut [S],
    work: &(impl Fn(usize, ViewMut<'_, O>, &mut S) + Sync),
) {
    let mut strips = Strips::new(out, y, cut);
    #[cfg(feature = "rayon")]
    if slots.len() > 1
        && let Some((own, others)) = slots.split_first_mut()
    {
        // A share for each, the same ones in every run, so that what a worker needs or writes is in
        // its own cache from the last run, or from the layer before. Who is done helps the others.
        let workers = 1 + others.len();
        let each = Cut { strips: cut.strips.div_ceil(workers), ..cut };
        strips.cut.strips = workers;
        let shares: Vec<_> = std::iter::from_fn(|| strips.next())
            .map(|(y, rest)| Strips::new(rest, y, each))
            .collect();
        let busy = &AtomicUsize::new(others.len());
        let shares = std::sync::Mutex::new(shares);
        // The lock is held while a strip is cut off, not while it is filtered. Only a panic
        // elsewhere can poison it; that one is reported by the scope.
        let next = |worker: usize| {
            let shares = &mut **shares.lock().ok()?;
            let (before, own) = shares.split_at_mut(worker.min(shares.len()));
            own.iter_mut().chain(before).find_map(Strips::next)
        };
        let some = &|worker: usize, slot: &mut S| {
            while let Some((y, strip)) = next(worker) {
                work(y, strip, slot);
            }
        };
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
    let slot = &mut slots[0];
    while let Some((y, strip)) = strips.next() {
        work(y, strip, slot);
    }
}

/// The strips of the output, from top to bottom.
struct Strips<'a, O> {
    rest: Option<ViewMut<'a, O>>,
    y: usize,
    /// How what remains is cut.
    cut: Cut,
}

impl<'a, O> Strips<'a, O> {
    fn new(out: ViewMut<'a, O>, y: usize, cut: Cut) -> Self {
        Self { rest: Some(out), y, cut }
    }

    /// The next strip and its first output row.
    fn next(&mut self) -> Option<(usize, ViewMut<'a, O>)> {
        let rest = self.rest.take()?;
        let (y, rows) = (self.y, self.cut.next(rest.shape().height));
        if rest.shape().height <= rows {
            return Some((y, rest));
        }
        let (strip, rest) = rest.split_at_row(rows);
        self.rest = Some(rest);
        self.y += rows;
        Some((y, strip))
    }
}
