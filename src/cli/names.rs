//! Where each output goes: beside its input, into a folder, or where the user says.

use super::args::Args;
use super::failure::Failure;
use super::format::{self, Target};
use super::inputs::Item;
use super::output::{self, Existing};
use image::ImageFormat;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How outputs are named.
pub struct Naming {
    how: How,
    /// The format that --format asks for.
    pub asked: Option<Target>,
    kernel: String,
    template: Vec<Part>,
    out_dir: Option<PathBuf>,
    force: bool,
    /// Whether there may be several inputs.
    several: bool,
}

#[derive(PartialEq)]
enum How {
    /// Nothing is written.
    Nowhere,
    File(PathBuf),
    InPlace,
    Template,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Stem,
    Kernel,
    Ext,
}

impl Naming {
    /// Reads the flags; `kernel` is what the chain is called.
    pub fn new(args: &Args, kernel: &str, several: bool) -> Result<Self, Failure> {
        let asked =
            args.format.as_deref().map(|f| Target::of_extension(f.strip_prefix('.').unwrap_or(f)));
        let how = if let Some(path) = &args.output {
            How::File(path.clone())
        } else if args.in_place {
            How::InPlace
        } else if args.reports() && args.out_dir.is_none() && args.name.is_none() {
            How::Nowhere
        } else {
            How::Template
        };
        let default = if args.out_dir.is_some() { "{stem}.{ext}" } else { "{stem}.{kernel}.{ext}" };
        Ok(Self {
            how,
            asked: asked.transpose()?,
            kernel: kernel.to_owned(),
            template: template(args.name.as_deref().unwrap_or(default))?,
            out_dir: args.out_dir.clone(),
            force: args.force,
            several,
        })
    }

    /// The output of an input of this format, if anything is written.
    pub fn output(&self, item: &Item, format: ImageFormat) -> Result<Option<PathBuf>, Failure> {
        match &self.how {
            How::Nowhere => return Ok(None),
            How::File(path) => return Ok(Some(path.clone())),
            How::InPlace if item.path.as_os_str() == "-" => {
                return Err(Failure::usage("standard input cannot be replaced in place"));
            }
            How::InPlace if !output::is_regular(&item.path) => {
                return Err(Failure::usage(format!(
                    "{} is no regular file, and cannot be replaced in place",
                    item.path.display()
                )));
            }
            How::InPlace => return Ok(Some(item.path.clone())),
            How::Template => {}
        }
        let unnamed = item.path.as_os_str() == "-" || output::is_descriptor(&item.path);
        let name = item.path.file_name().filter(|_| !unnamed);
        let name = name.ok_or_else(|| {
            Failure::usage("the input has no name to make an output's name of; give -o FILE")
        })?;
        // An extension that is none of ours (`photo.v2`) is part of the name, and one that names
        // another format than the file's content would name a wrong file again.
        let known = format::of_path(&item.path);
        let stem = match (known, item.path.file_stem()) {
            (Some(_), Some(stem)) => stem,
            _ => name,
        };
        let plain = Target { format, pnm: format::Pnm::Any }.extension();
        let ext: OsString = match (self.asked, item.path.extension()) {
            (Some(asked), _) => asked.extension().into(),
            (None, Some(own)) if known == Some(format) && !own.eq_ignore_ascii_case("pbm") => {
                own.to_owned()
            }
            _ => plain.into(),
        };
        let mut out = OsString::new();
        for part in &self.template {
            match part {
                Part::Text(text) => out.push(text),
                Part::Stem => out.push(stem),
                Part::Kernel => out.push(&self.kernel),
                Part::Ext => out.push(&ext),
            }
        }
        Ok(Some(match &self.out_dir {
            Some(dir) => dir.join(item.place.with_file_name(out)),
            None => item.path.with_file_name(out),
        }))
    }

    /// The same, judged by the input's name alone. `None` where that does not say enough.
    pub fn expected(&self, item: &Item) -> Option<PathBuf> {
        self.output(item, format::of_path(&item.path)?).ok().flatten()
    }

    /// What to write to `path`, for an input of this format. In place a file stays what it is, whatever its name
    /// says.
    pub fn target(&self, path: &Path, input: ImageFormat) -> Result<Target, Failure> {
        match self.how {
            How::InPlace if format::of_path(path) != Some(input) => {
                Ok(Target { format: input, pnm: format::Pnm::Any })
            }
            _ => Target::of(path, input, self.asked),
        }
    }

    /// What may happen to a file that is there already.
    pub fn existing(&self) -> Existing {
        match self.how {
            How::InPlace => Existing::ReplaceInput,
            How::File(_) => Existing::Replace,
            _ if self.force => Existing::Replace,
            _ if self.several => Existing::Keep,
            _ => Existing::KeepOrSame,
        }
    }

    /// Whether folders are made for outputs.
    pub fn makes_folders(&self) -> bool {
        self.how == How::Template && self.out_dir.is_some()
    }

    /// Whether every input has an output of its own.
    pub fn is_for_many(&self) -> bool {
        !matches!(self.how, How::File(_))
    }

    /// Looks at all inputs together: what is itself the output of another one was found only
    /// because this command has run before, and is left out; two inputs with one output are a
    /// mistake.
    pub fn settle(&self, items: &mut Vec<Item>) {
        if self.how != How::Template {
            return;
        }
        let outputs: Vec<_> = items.iter().map(|item| self.expected(item)).collect();
        let mut makers: HashMap<PathBuf, PathBuf> = HashMap::new();
        for (item, output) in items.iter_mut().zip(outputs) {
            let Some(output) = output.filter(|_| item.fault.is_none()) else { continue };
            if let Some(first) = makers.get(&output) {
                item.fault = Some(Failure::usage(format!(
                    "{}: its output {} is that of {} already; give another --name",
                    item.path.display(),
                    output.display(),
                    first.display()
                )));
            } else {
                makers.insert(output, item.path.clone());
            }
        }
        items.retain(|item| {
            !item.found || makers.get(&item.path).is_none_or(|maker| *maker == item.path)
        });
    }
}

/// Reads a template.
fn template(text: &str) -> Result<Vec<Part>, Failure> {
    let bad = |why: &str| Failure::usage(format!("--name {text}: {why}"));
    if text.is_empty() || text.contains(['/', '\0']) || (cfg!(windows) && text.contains('\\')) {
        return Err(bad("a name is expected, without folders; --out-dir names a folder"));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}').ok_or_else(|| bad("a { without its }"))?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(match field {
            "stem" => Part::Stem,
            "kernel" => Part::Kernel,
            "ext" => Part::Ext,
            _ => return Err(bad("there are {stem}, {kernel} and {ext}")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

/// Makes the folders that `path` is in.
pub fn make_folders(path: &Path) -> Result<(), Failure> {
    let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(parent)
        .map_err(|e| Failure::output(format!("cannot make the folder {}: {e}", parent.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read() {
        let parts = template("{stem}-x.{ext}").unwrap();
        assert_eq!(parts, [Part::Stem, Part::Text("-x.".into()), Part::Ext]);
        for bad in ["", "a/b", "{stem", "{what}", "../{stem}"] {
            assert!(template(bad).is_err(), "{bad:?}");
        }
    }
}
