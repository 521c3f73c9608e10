//! Many files: workers take one after the other from the list, each from decoding to writing, so
//! that these overlap between files. What is said about them is said in the order of the list.

use super::failure::{Failure, Kind};
use super::inputs::Item;
use super::job::{self, Done, Setup};
use super::report::{brief, failed};
use super::spare;
use super::{print, report_text, say};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Instant;

/// What was done to all files together.
#[derive(Default)]
struct Summary {
    files: usize,
    filtered: usize,
    skipped: usize,
    planned: usize,
    failed: usize,
    pixels: u64,
    bytes: u64,
    /// The kind of the first failure in the list.
    kind: Option<Kind>,
}

/// Filters all files, `jobs` at a time.
pub fn run(setup: &Setup<'_>, items: Vec<Item>, jobs: usize) -> Result<(), Failure> {
    let start = Instant::now();
    let mut summary = Summary { files: items.len(), ..Default::default() };
    let bar = bar(items.len(), setup.args.quiet);
    let stop = AtomicBool::new(false);
    let list = Mutex::new(items.into_iter().enumerate());
    let next = || {
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        if stop.load(Ordering::Relaxed) { None } else { list.next() }
    };
    let (sender, results) = mpsc::channel();
    let said = std::thread::scope(|scope| {
        for _ in 0..jobs {
            let sender = sender.clone();
            scope.spawn(move || {
                spare::keep();
                while let Some((i, item)) = next() {
                    let path = item.path.clone();
                    let result = catch_unwind(AssertUnwindSafe(|| job::run(setup, item)))
                        .unwrap_or_else(|_| {
                            Err(Failure::new(Kind::Input, "an internal error, please report it"))
                        });
                    if sender.send((i, path, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Results that came before their turn.
        let mut early = BTreeMap::new();
        let mut turn = 0;
        for (i, path, result) in results {
            bar.inc(1);
            early.insert(i, (path, result));
            while let Some((path, result)) = early.remove(&turn) {
                turn += 1;
                let said = bar.suspend(|| summary.tell(setup, &path, result));
                if said.is_err() {
                    stop.store(true, Ordering::Relaxed);
                    return said;
                }
            }
        }
        Ok(())
    });
    bar.finish_and_clear();
    said?;
    let text = summary.text(start.elapsed().as_secs_f64());
    match summary.kind {
        Some(kind) => Err(Failure::new(kind, text)),
        None if setup.args.quiet => Ok(()),
        None => {
            say(&text);
            Ok(())
        }
    }
}

/// A bar on the terminal that stderr is, or nothing.
fn bar(files: usize, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(files as u64), target);
    let style = "{bar:40} {pos}/{len} files, {elapsed} elapsed, {eta} left";
    bar.set_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}

impl Summary {
    /// Says what became of one file, and counts it.
    fn tell(
        &mut self,
        setup: &Setup<'_>,
        path: &Path,
        result: Result<Done, Failure>,
    ) -> Result<(), Failure> {
        let name = path.display().to_string();
        let mut text = String::new();
        let json = match result {
            Ok(Done::Skipped(output)) => {
                self.skipped += 1;
                brief("skipped", path, Some(&output))
            }
            Ok(Done::Planned(output)) => {
                self.planned += 1;
                text = format!("{name} -> {}\n", output.display());
                brief("planned", path, Some(&output))
            }
            Ok(Done::Filtered(mut done)) => {
                self.filtered += 1;
                self.pixels += done.pixels;
                self.bytes += done.bytes;
                if !setup.args.quiet {
                    done.warnings.iter().for_each(|warning| say(warning));
                }
                done.report.status =
                    Some(if done.written.is_some() { "written" } else { "examined" });
                let said = report_text(&done.report);
                if !said.is_empty() {
                    text = format!("{name}:\n{said}");
                }
                serde_json::to_value(&done.report).unwrap_or_default()
            }
            Err(failure) => {
                self.failed += 1;
                self.kind.get_or_insert(failure.kind);
                let message = match &failure.message {
                    message if message.contains(&name) => message.clone(),
                    message => format!("{name}: {message}"),
                };
                say(&message);
                failed(path, &message, &failure)
            }
        };
        if setup.args.json {
            text = format!("{json}\n");
        }
        if text.is_empty() { Ok(()) } else { print(&text) }
    }

    fn text(&self, seconds: f64) -> String {
        let mut parts = vec![format!("filtered {} of {} files", self.filtered, self.files)];
        for (n, what) in
            [(self.planned, "planned"), (self.skipped, "skipped"), (self.failed, "failed")]
        {
            if n > 0 {
                parts.push(format!("{n} {what}"));
            }
        }
        let mut text = parts.join(", ");
        if self.pixels > 0 {
            text += &format!("; {} in {seconds:.2} s", pixels(self.pixels));
        }
        // What is read in no time says nothing about speed.
        if self.bytes >= 10_000_000 && seconds > 0.01 {
            text += &format!(", {:.0} MB/s decoded", self.bytes as f64 / 1e6 / seconds);
        }
        text
    }
}

/// `12 pixels`, `3.4 million pixels`.
fn pixels(count: u64) -> String {
    if count < 100_000 {
        format!("{count} pixels")
    } else {
        format!("{:.1} million pixels", count as f64 / 1e6)
    }
}
