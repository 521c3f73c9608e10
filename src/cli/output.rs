//! Where bytes go. A regular file is written beside its target under a temporary name and
//! renamed once whole, so that at every moment the target is either the old file or the new one.
//! Devices, pipes and standard output are written directly.

use super::failure::Failure;
use super::interrupt::{self, Temporary};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Component, Path, PathBuf};

/// A place that was found fit to be written to.
#[derive(Debug)]
pub enum Sink {
    /// A regular file that stays as it is, which is a failure unless it is the result already.
    Kept(PathBuf),
    /// A regular file, old or new, at the end of all links; the old one's metadata.
    File(PathBuf, Option<Box<Metadata>>),
    /// Something that is opened and written as it is.
    Device(PathBuf),
    Stdout,
}

/// What may happen to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and that is a failure.
    Keep,
    /// It stays, and that is a failure unless it holds the very result: a command that is given
    /// twice succeeds twice.
    KeepOrSame,
    /// It is replaced, unless it is the input.
    Replace,
    /// It is replaced even if it is the input.
    ReplaceInput,
}

/// Looks at where `path` leads, before any work is done for it.
pub fn prepare(path: &Path, input: &Path, existing: Existing) -> Result<Sink, Failure> {
    let fail = |e: io::Error| Failure::output(format!("cannot write {}: {e}", path.display()));
    let stdout = || match io::stdout().is_terminal() {
        true => Err(Failure::usage(
            "standard output is a terminal, which shows no files; give -o FILE, a pipe, or --preview",
        )),
        false => Ok(Sink::Stdout),
    };
    if path.as_os_str() == "-" {
        return stdout();
    }
    let target = match follow(path).map_err(fail)? {
        Followed::Stdout => return stdout(),
        Followed::Descriptor(path) => return Ok(Sink::Device(path)),
        Followed::Path(target) => target,
    };
    match fs::metadata(&target) {
        Ok(old) if old.is_dir() => {
            Err(Failure::output(format!("cannot write {}: it is a directory", path.display())))
        }
        Ok(old) if old.is_file() => {
            if existing != Existing::ReplaceInput && same_file(&old, &target, input) {
                return Err(Failure::output(format!(
                    "{} is the input itself; name another output, or give --in-place",
                    path.display()
                )));
            }
            match existing {
                Existing::Keep => return Err(exists(path)),
                Existing::KeepOrSame => return Ok(Sink::Kept(target)),
                Existing::Replace | Existing::ReplaceInput => {}
            }
            // A rename does not ask the file whether it may be written, so this does.
            OpenOptions::new().write(true).open(&target).map_err(fail)?;
            Ok(Sink::File(target, Some(Box::new(old))))
        }
        Ok(_) => Ok(Sink::Device(target)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let parent = parent(&target);
            let directory = fs::metadata(parent).map_err(|e| {
                Failure::output(format!(
                    "cannot write {}: {}: {e}",
                    path.display(),
                    parent.display()
                ))
            })?;
            if !directory.is_dir() {
                return Err(fail(io::ErrorKind::NotADirectory.into()));
            }
            if target.file_name().is_none() {
                return Err(fail(io::ErrorKind::InvalidInput.into()));
            }
            Ok(Sink::File(target, None))
        }
        Err(e) => Err(fail(e)),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::output(format!(
        "{} exists; --force replaces it, --skip-existing leaves it out",
        path.display()
    ))
}

impl Sink {
    /// How many other names there are for the file that is to be replaced: they stay with the old one.
    pub fn other_names(&self) -> u64 {
        #[cfg(unix)]
        if let Self::File(_, Some(old)) = self {
            use std::os::unix::fs::MetadataExt;
            return old.nlink().saturating_sub(1);
        }
        0
    }

    /// Writes the whole of `bytes`, or leaves a regular file as it was.
    pub fn write(self, bytes: &[u8], path: &Path) -> Result<(), Failure> {
        match self {
            Self::Kept(target) => match is_same(&target, bytes) {
                Ok(true) => Ok(()),
                Ok(false) => return Err(exists(path)),
                Err(e) => Err(e),
            },
            Self::File(target, old) => replace(&target, old.as_deref(), bytes),
            Self::Device(target) => OpenOptions::new()
                .write(true)
                .open(target)
                .and_then(|mut f| f.write_all(bytes).and_then(|()| f.flush())),
            Self::Stdout => to_stdout(bytes),
        }
        .map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => Failure::output(format!("cannot write {}: {e}", path.display())),
        })
    }
}

/// Whether a file holds these bytes.
fn is_same(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    Ok(fs::metadata(path)?.len() == bytes.len() as u64 && fs::read(path)? == bytes)
}

/// Writes a temporary file in the target's directory and gives it the target's name. The
/// temporary file removes itself if anything fails.
fn replace(target: &Path, old: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".filter-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the umask leaves of it, as for any new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut temporary = Temporary::new(|| builder.tempfile_in(parent(target)))?;
    let file = temporary.file();
    file.write_all(bytes)?;
    file.flush()?;
    if let Some(old) = old {
        inherit(file, old)?;
        // The old picture must not go before the new one is safe from a loss of power.
        file.sync_all()?;
    }
    temporary.persist(target, old.is_some())
}

/// Writes to standard output. If nobody reads it, the program ends here, silently.
pub fn to_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let result = out.write_all(bytes).and_then(|()| out.flush());
    match result {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => interrupt::broken_pipe(),
        result => result,
    }
}

/// Gives a new file the owner, as far as that is allowed, and the permissions of the old one.
fn inherit(file: &File, old: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            let _ = fchown(file, Some(old.uid()), Some(old.gid()));
        }
    }
    file.set_permissions(old.permissions())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

enum Followed {
    Path(PathBuf),
    Stdout,
    /// An open file of this process: its position and mode belong to whoever opened it, so it is
    /// never replaced.
    Descriptor(PathBuf),
}

/// Follows symbolic links to their end, which need not exist.
fn follow(path: &Path) -> io::Result<Followed> {
    let mut path = path.to_owned();
    // As many links as the kernel follows.
    for _ in 0..40 {
        if let Some(fd) = descriptor(&path) {
            return Ok(if fd == 1 { Followed::Stdout } else { Followed::Descriptor(path) });
        }
        match fs::symlink_metadata(&path) {
            Ok(m) if m.file_type().is_symlink() => {
                let next = fs::read_link(&path)?;
                path = parent(&path).join(next);
            }
            _ => return Ok(Followed::Path(path)),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The number of the open file that a path such as `/dev/stdout` or `/proc/self/fd/1` names.
fn descriptor(path: &Path) -> Option<u32> {
    if !cfg!(unix) || !path.is_absolute() {
        return None;
    }
    let parts: Vec<_> = path
        .components()
        .filter(|c| matches!(c, Component::Normal(_)))
        .map(|c| c.as_os_str().to_str().unwrap_or_default())
        .collect();
    match *parts.as_slice() {
        ["dev", "stdin"] => Some(0),
        ["dev", "stdout"] => Some(1),
        ["dev", "stderr"] => Some(2),
        ["dev", "fd", n] | ["proc", "self", "fd", n] => n.parse().ok(),
        ["proc", pid, "fd", n] if pid.parse() == Ok(std::process::id()) => n.parse().ok(),
        _ => None,
    }
}

/// Whether two names lead to one regular file, which need not be there yet.
pub fn is_same_place(a: &Path, b: &Path) -> bool {
    let end = |path: &Path| match follow(path) {
        Ok(Followed::Path(end)) if path.as_os_str() != "-" => Some(end),
        _ => None,
    };
    let (Some(a), Some(b)) = (end(a), end(b)) else { return false };
    match fs::metadata(&a) {
        Ok(old) => old.is_file() && same_file(&old, &a, &b),
        Err(_) => {
            let folder = |path| parent(path).canonicalize().ok();
            a.file_name() == b.file_name() && folder(&a).is_some_and(|a| folder(&b) == Some(a))
        }
    }
}

/// Whether a name is that of an open file of this process, such as `/dev/stdin`.
pub fn is_descriptor(path: &Path) -> bool {
    matches!(follow(path), Ok(Followed::Stdout | Followed::Descriptor(_)))
}

/// Whether a name leads to a regular file, and not to an open one.
pub fn is_regular(path: &Path) -> bool {
    !is_descriptor(path) && fs::metadata(path).is_ok_and(|file| file.is_file())
}

/// Whether the file at `target` is the one that `input` names, whatever the names.
fn same_file(old: &Metadata, target: &Path, input: &Path) -> bool {
    let Ok(other) = fs::metadata(input) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let _ = target;
        (old.dev(), old.ino()) == (other.dev(), other.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = (old, other);
        matches!((fs::canonicalize(target), fs::canonicalize(input)), (Ok(a), Ok(b)) if a == b)
    }
}
