//! Which files are to be filtered: names, patterns, folders and lists become one list, in the order
//! in which they were given.

use super::args::Args;
use super::failure::Failure;
use super::format;
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Longest list of names.
const MAX_LIST: u64 = 1 << 30;

/// One file.
pub struct Item {
    pub path: PathBuf,
    /// Its place in a tree of outputs: folders and name, relative.
    pub place: PathBuf,
    /// Whether a folder or a pattern brought it, not its name.
    pub found: bool,
    /// Why it cannot be filtered, where that is known already.
    pub fault: Option<Failure>,
}

/// All files.
pub struct List {
    pub items: Vec<Item>,
    /// Whether there may be several: then each is one of many, and the work goes on without it.
    pub several: bool,
}

/// Lists what the command line names.
pub fn list(args: &Args) -> Result<List, Failure> {
    let mut items = Vec::new();
    let mut several = args.input.len() != 1 || args.files_from.is_some();
    habit(args)?;
    for path in &args.input {
        if args.recursive && path.is_dir() {
            several = true;
            folder(path, args, &mut items);
        } else if let Some(pattern) = pattern(path) {
            several = true;
            matching(pattern, args, &mut items)?;
        } else {
            items.push(Item::named(path.clone()));
        }
    }
    if let Some(list) = &args.files_from {
        for path in names(list)? {
            if args.recursive && path.is_dir() {
                folder(&path, args, &mut items);
            } else {
                items.push(Item { place: relative(&path), ..Item::named(path) });
            }
        }
    }
    // A file that is named twice is filtered once; in place also if its names differ, since the
    // second time would filter the result of the first.
    let mut seen = HashSet::new();
    let file = |path: &Path| match path.canonicalize() {
        Ok(file) if args.in_place => file,
        _ => path.to_owned(),
    };
    items.retain(|item| item.fault.is_some() || seen.insert(file(&item.path)));
    Ok(List { items, several })
}

/// Other programs take the last of two names for the output. Here it is one of the inputs; if it is not there, that is
/// what was meant.
fn habit(args: &Args) -> Result<(), Failure> {
    let [first, last] = args.input.as_slice() else { return Ok(()) };
    let placed = args.output.is_some() || args.out_dir.is_some() || args.in_place;
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let named = pattern(last).is_none() && format::of_path(last).is_some();
    if placed || !named || there(last) || !(there(first) || first.as_os_str() == "-") {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{0} is not there, and all names are inputs; -o {0} writes the result there",
        last.display()
    )))
}

impl Item {
    fn named(path: PathBuf) -> Self {
        let place = path.file_name().unwrap_or_default().into();
        Self { path, place, found: false, fault: None }
    }

    fn found(path: PathBuf, root: &Path) -> Self {
        let place = path.strip_prefix(root).unwrap_or(&path).to_owned();
        Self { path, place, found: true, fault: None }
    }

    fn fault(path: &Path, failure: Failure) -> Self {
        Self { fault: Some(failure), ..Self::named(path.to_owned()) }
    }
}

/// The place of a listed name in a tree of outputs: as listed, if that stays inside the tree.
fn relative(path: &Path) -> PathBuf {
    let inside = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    let normal = path.components().filter(|c| matches!(c, Component::Normal(_)));
    if inside { normal.collect() } else { path.file_name().unwrap_or_default().into() }
}

/// The images in a folder, by their extensions, sorted. Links to folders are not followed, and
/// the folder of the outputs is left out, and so are hidden ones unless they are wanted.
fn folder(root: &Path, args: &Args, items: &mut Vec<Item>) {
    let out_dir = args.out_dir.as_deref().and_then(|d| d.canonicalize().ok());
    let same =
        |path: &Path| out_dir.is_some() && path != root && path.canonicalize().ok() == out_dir;
    let before = items.len();
    let walk = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    let hidden = |entry: &walkdir::DirEntry| {
        let dotted = entry.file_name().as_encoded_bytes().starts_with(b".");
        dotted && entry.depth() > 0 && !args.hidden
    };
    let out = |e: &walkdir::DirEntry| hidden(e) || e.file_type().is_dir() && same(e.path());
    for entry in walk.filter_entry(|e| !out(e)) {
        match entry {
            Ok(entry) if is_other(entry.path()) => {}
            Ok(entry) if format::of_path(entry.path()).is_some() => {
                items.push(Item::found(entry.into_path(), root));
            }
            Ok(_) => {}
            Err(e) => {
                let path = e.path().unwrap_or(root).to_owned();
                let reason = e.io_error().map_or_else(|| e.to_string(), ToString::to_string);
                let reason = format!("cannot read {}: {reason}", path.display());
                items.push(Item::fault(&path, Failure::input(reason)));
            }
        }
    }
    if items.len() == before {
        let reason = format!("there are no images in {}", root.display());
        items.push(Item::fault(root, Failure::input(reason)));
    }
}

/// Whether there is something at the end of a path that is no file: a folder, or a pipe that would be waited for.
fn is_other(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| !m.is_file())
}

/// The name as a pattern, if it is one and not a file. (The shell expands those that are not
/// quoted.)
fn pattern(path: &Path) -> Option<&str> {
    let text = path.to_str().filter(|t| t.contains(['*', '?', '[']))?;
    if path.symlink_metadata().is_ok() { None } else { Some(text) }
}

fn matching(pattern: &str, args: &Args, items: &mut Vec<Item>) -> Result<(), Failure> {
    let bad = |e: glob::PatternError| Failure::usage(format!("the pattern {pattern}: {e}"));
    let plain =
        |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let root: PathBuf = Path::new(pattern).components().take_while(plain).collect();
    let before = items.len();
    let options = glob::MatchOptions {
        require_literal_leading_dot: !args.hidden,
        ..glob::MatchOptions::new()
    };
    for path in glob::glob_with(pattern, options).map_err(bad)? {
        match path {
            Ok(path) if path.is_dir() && args.recursive => {
                folder(&path, args, items);
            }
            Ok(path) if is_other(&path) => {}
            Ok(path) => items.push(Item::found(path, &root)),
            Err(e) => {
                let reason = format!("cannot read {}: {}", e.path().display(), e.error());
                items.push(Item::fault(e.path(), Failure::input(reason)));
            }
        }
    }
    if items.len() == before {
        let failure = Failure::input(format!("no file matches {pattern}"));
        items.push(Item::fault(Path::new(pattern), failure));
    }
    Ok(())
}

/// The names in a list.
fn names(list: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail =
        |e: std::io::Error| Failure::input(format!("cannot read the list {}: {e}", list.display()));
    let mut bytes = Vec::new();
    if list.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_LIST + 1).read_to_end(&mut bytes).map_err(fail)?;
    } else {
        let file = std::fs::File::open(list).map_err(fail)?;
        file.take(MAX_LIST + 1).read_to_end(&mut bytes).map_err(fail)?;
    }
    if bytes.len() as u64 > MAX_LIST {
        return Err(Failure::limit(format!(
            "the list {} is longer than {MAX_LIST} bytes",
            list.display()
        )));
    }
    let nul = bytes.contains(&0);
    let end = if nul { 0 } else { b'\n' };
    let lines = bytes.split(|b| *b == end);
    let trimmed = lines.map(|l| if nul { l } else { l.strip_suffix(b"\r").unwrap_or(l) });
    Ok(trimmed.filter(|l| !l.is_empty()).map(path_of).collect())
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec()).into()
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from(String::from_utf8_lossy(bytes).into_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_inside_the_tree() {
        let place = |p: &str| relative(Path::new(p));
        assert_eq!(place("./a/b.png"), Path::new("a/b.png"));
        assert_eq!(place("a/b.png"), Path::new("a/b.png"));
        assert_eq!(place("../b.png"), Path::new("b.png"));
        assert_eq!(place("/etc/b.png"), Path::new("b.png"));
    }
}
