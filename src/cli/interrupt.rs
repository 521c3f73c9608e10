//! What happens when the program is told to stop: temporary files are removed, and it ends as the
//! signal would have ended it, so that a shell's loop stops too.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::NamedTempFile;

/// Temporary files that exist now. Held while one is made, so that none is missed.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn live() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file that is removed when dropped, and when the program is interrupted.
pub struct Temporary {
    file: Option<NamedTempFile>,
    path: PathBuf,
}

impl Temporary {
    pub fn new(make: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<Self> {
        let mut live = live();
        let file = make()?;
        let path = file.path().to_owned();
        live.push(path.clone());
        Ok(Self { file: Some(file), path })
    }

    pub fn file(&mut self) -> &mut std::fs::File {
        self.file.as_mut().expect("taken only when consumed").as_file_mut()
    }

    /// Gives the file its final name; `replace` says whether another may lose it.
    pub fn persist(mut self, target: &std::path::Path, replace: bool) -> io::Result<()> {
        let file = self.file.take().expect("taken only when consumed");
        let result = if replace { file.persist(target) } else { file.persist_noclobber(target) };
        result.map(|_| ()).map_err(|e| e.error)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut live = live();
        // Removes the file before it is forgotten.
        self.file = None;
        live.retain(|p| *p != self.path);
    }
}

/// Removes all temporary files. Nobody can make another as long as the result lives.
fn clean() -> MutexGuard<'static, Vec<PathBuf>> {
    let live = live();
    for path in live.iter() {
        let _ = std::fs::remove_file(path);
    }
    live
}

/// From now on temporary files do not outlive the program, however it is asked to stop.
#[cfg(unix)]
pub fn install() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|s| !is_ignored(*s));
    let Ok(mut signals) = signal_hook::iterator::Signals::new(wanted) else { return };
    // Without the thread, the signals do what they always did.
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            die_of(signal);
        }
    });
}

#[cfg(not(unix))]
pub fn install() {}

#[cfg(unix)]
fn die_of(signal: i32) -> ! {
    let _live = clean();
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    std::process::exit(128 + signal)
}

/// Whether whoever started the program wants it to ignore a signal, as `nohup` does.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Nobody reads standard output any more: stops without a word, as other programs do.
pub fn broken_pipe() -> ! {
    #[cfg(unix)]
    die_of(signal_hook::consts::SIGPIPE);
    #[cfg(not(unix))]
    {
        let _live = clean();
        std::process::exit(1)
    }
}
