//! A sign of life on the terminal for one file that takes longer than a second.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long nothing is said, and how often the time is drawn then.
const AFTER: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(200);

/// Shows how long a file has taken, until it is dropped.
pub struct Progress {
    /// Goes with it, which ends the thread.
    sender: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Of a file of that name, unless stderr is no terminal, or it is to be `quiet`.
    pub fn new(name: &str, quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self { sender: None, thread: None };
        }
        let (sender, receiver) = channel();
        let name = name.to_owned();
        let thread = std::thread::Builder::new().spawn(move || {
            if receiver.recv_timeout(AFTER) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new_spinner().with_message(name).with_elapsed(AFTER);
            let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            while receiver.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                bar.tick();
            }
            bar.finish_and_clear();
        });
        Self { sender: Some(sender), thread: thread.ok() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.sender = None;
        // Nothing else is written before the line is cleared.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
