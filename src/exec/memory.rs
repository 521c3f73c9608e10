//! Scratch memory that is kept between runs: for elements of any type, for rows that are kept while a window may need
//! them, and for lists of rows.

use wide::bytemuck::{Pod, cast_slice, cast_slice_mut};

/// Memory for elements of any type. It grows and never shrinks.
#[derive(Debug, Default)]
pub(super) struct Memory(pub(super) Vec<[u64; 8]>);

impl Memory {
    /// `len` elements, whose values are left over from earlier uses.
    pub(super) fn get<E: Pod>(&mut self, len: usize) -> &mut [E] {
        let blocks = (len * size_of::<E>()).div_ceil(64);
        if self.0.len() < blocks {
            self.0.resize(blocks, [0; 8]);
        }
        &mut cast_slice_mut(&mut self.0)[..len]
    }

    /// `get`, from a multiple of 64 bytes on.
    pub(super) fn aligned<E: Pod>(&mut self, len: usize) -> &mut [E] {
        let line = 64 / size_of::<E>();
        let all: &mut [E] = self.get(len + line);
        let misfit = all.as_ptr().addr() % 64 / size_of::<E>();
        &mut all[(line - misfit) % line..][..len]
    }

    /// What `aligned` has given.
    pub(super) fn kept<E: Pod>(&self, len: usize) -> &[E] {
        let all: &[E] = cast_slice(&self.0);
        let line = 64 / size_of::<E>();
        let misfit = all.as_ptr().addr() % 64 / size_of::<E>();
        &all[(line - misfit) % line..][..len]
    }
}

/// Rows that were computed from source rows, kept by their virtual index as long as a window may
/// need them.
#[derive(Debug, Default)]
pub(super) struct Ring {
    pub(super) memory: Memory,
    /// Which row each place holds.
    pub(super) tags: Vec<isize>,
    /// Rows of a window are so many apart.
    dilation: isize,
}

impl Ring {
    /// Forgets all rows and makes place for `rows` consecutive ones.
    pub(super) fn clear(&mut self, rows: usize) {
        self.clear_apart(rows, 1);
    }

    /// The same for rows that are `dilation` apart.
    pub(super) fn clear_apart(&mut self, rows: usize, dilation: usize) {
        self.tags.clear();
        self.tags.resize(rows, isize::MIN);
        self.dilation = dilation as isize;
    }

    pub(super) fn place(&self, v: isize) -> usize {
        v.div_euclid(self.dilation).rem_euclid(self.tags.len() as isize) as usize
    }

    pub(super) fn has(&self, v: isize) -> bool {
        self.tags[self.place(v)] == v
    }

    /// The place of row `v`, to be filled, if the row is not there.
    pub(super) fn missing<E: Pod>(&mut self, v: isize, len: usize) -> Option<&mut [E]> {
        let (place, rows) = (self.place(v), self.tags.len());
        if self.tags[place] == v {
            return None;
        }
        self.tags[place] = v;
        Some(&mut self.memory.get(rows * len)[place * len..][..len])
    }

    /// Row `v`, which must be there; `all` is the ring's memory.
    pub(super) fn row<'a, E>(&self, all: &'a [E], v: isize, len: usize) -> &'a [E] {
        let place = self.place(v);
        debug_assert_eq!(self.tags[place], v);
        &all[place * len..][..len]
    }
}

/// An empty list with the memory of another, so that a list of borrowed rows can be kept between
/// uses: collecting a vector's own iterator reuses its memory.
pub(super) fn recycle<'a, A, B>(mut list: Vec<&[A]>) -> Vec<&'a [B]> {
    list.clear();
    list.into_iter().map(|_| -> &'a [B] { unreachable!("the list is empty") }).collect()
}
