//! Memory of pictures that is used again. The system clears what it gives, which takes a third of the filter's time for
//! one picture. A worker with many files has pictures of one size as a rule. And whether there is as much at all.

use std::cell::RefCell;

/// Longest pictures that are kept, and how many: an input and its output.
const LONGEST: usize = 32 << 20;
const MOST: usize = 2;

/// Bytes from which on it is found out whether there are as many.
const PROBED: usize = 64 << 20;

thread_local! {
    /// What this thread keeps, if it does.
    static KEPT: RefCell<Option<Vec<Vec<u8>>>> = const { RefCell::new(None) };
}

/// Makes this thread keep memory of pictures.
pub fn keep() {
    KEPT.set(Some(Vec::new()));
}

/// So many samples of any values, for somebody who writes all of them. If there are none, what is kept is of no use.
pub fn take(length: usize) -> Option<Vec<u8>> {
    KEPT.with_borrow_mut(|kept| {
        let kept = kept.as_mut()?;
        let same = kept.iter().position(|samples| samples.len() == length);
        if same.is_none() {
            kept.clear();
        }
        Some(kept.swap_remove(same?))
    })
}

/// Takes samples back that are no longer needed.
pub fn give(samples: Vec<u8>) {
    KEPT.with_borrow_mut(|kept| match kept {
        Some(kept) if kept.len() < MOST && samples.len() <= LONGEST => kept.push(samples),
        _ => drop(samples),
    });
}

/// Makes the allocator of glibc keep what it gets back, so that a picture's memory is that of its decoder. It learns how
/// long such blocks are, up to 32 MiB, from the first one. Others learn nothing.
pub fn hold() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LONGEST - (1 << 16))));
}

/// Whether so many bytes can be allocated.
pub fn is_there(bytes: u64) -> bool {
    let fits = usize::try_from(bytes).ok().filter(|&n| n <= isize::MAX as usize / 8);
    // Asks the allocator for the memory and gives it back, so that too little of it is an error
    // here and not an abort in the decoder. Not for little: that is there, and glibc would learn
    // from it to keep such blocks where they are kept already.
    fits.is_some_and(|n| n < PROBED || Vec::<u8>::new().try_reserve_exact(n).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_by_pictures_of_the_same_size() {
        give(vec![7; 9]);
        assert_eq!(take(9), None, "nothing is kept unasked");
        keep();
        let address = |samples: &Vec<u8>| samples.as_ptr() as usize;
        let (first, second) = (vec![7; 9], vec![8; 9]);
        let both = [address(&first), address(&second)];
        give(first);
        give(second);
        give(vec![9; 9]);
        let again = [take(9).unwrap(), take(9).unwrap()];
        assert!(again.iter().all(|samples| both.contains(&address(samples))));
        let [first, _] = again;
        give(first);
        assert_eq!(take(10), None);
        assert_eq!(take(9), None, "pictures of another size have come");
    }
}
