//! A bound on the memory of all files that are worked on at a time: each says what it will need
//! before it allocates, and waits until there is room.

use super::failure::Failure;
use std::sync::{Condvar, Mutex, PoisonError};

/// Without a way to ask, a machine is taken to have this much free.
const USUAL: u64 = 4 << 30;

/// Bytes that may be in use.
pub struct Budget {
    limit: u64,
    /// Whether the user set the limit: then what does not fit by itself is refused.
    strict: bool,
    used: Mutex<u64>,
    freed: Condvar,
}

/// A part of the budget, given back when dropped.
pub struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    /// The user's limit; for several files half of the free memory, for one no limit.
    pub fn new(limit: Option<u64>, several: bool) -> Self {
        let default = if several { free().unwrap_or(USUAL) / 2 } else { u64::MAX };
        Self {
            limit: limit.unwrap_or(default),
            strict: limit.is_some(),
            used: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    /// Waits until so many bytes are free, or until all are: what is larger than the whole budget
    /// has it alone.
    pub fn take(&self, bytes: u64) -> Result<Share<'_>, Failure> {
        if self.strict && bytes > self.limit {
            return Err(Failure::limit(format!(
                "it needs about {} MiB, more than --max-memory allows ({} MiB)",
                bytes.div_ceil(1 << 20),
                self.limit >> 20
            )));
        }
        let bytes = bytes.min(self.limit);
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |used: &mut u64| *used > self.limit - bytes;
        let mut used = self.freed.wait_while(used, full).unwrap_or_else(PoisonError::into_inner);
        *used += bytes;
        Ok(Share { budget: self, bytes })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.budget.freed.notify_all();
    }
}

/// Free memory, where the system says so.
fn free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_in_use_than_allowed() {
        let budget = Budget::new(Some(100), true);
        assert!(budget.take(101).is_err());
        let (now, most) = (Mutex::new(0), Mutex::new(0));
        std::thread::scope(|scope| {
            for i in 0..8 {
                let (budget, now, most) = (&budget, &now, &most);
                scope.spawn(move || {
                    for j in 0..50 {
                        let bytes = 20 + (i * 7 + j * 13) % 80;
                        let _share = budget.take(bytes).unwrap();
                        *now.lock().unwrap() += bytes;
                        let sum = *now.lock().unwrap();
                        let mut most = most.lock().unwrap();
                        *most = sum.max(*most);
                        drop(most);
                        *now.lock().unwrap() -= bytes;
                    }
                });
            }
        });
        assert!(*most.lock().unwrap() <= 100);
    }
}
