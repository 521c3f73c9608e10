//! Holds what is written to the repository, for people: every link in every page leads somewhere, every public type has
//! an example, and no module depends on itself in a circle. No network is used; links to other places are not looked at.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of the repository with this extension, but for what was built.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// The lines of a page that are no code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!code && !fence).then_some((i + 1, line))
    })
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// The targets of `[text](target)` and `![text](target)`.
fn targets(line: &str) -> Vec<String> {
    let parts = line.split("](").skip(1);
    parts.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page's headings, as GitHub makes them: lower case, hyphens for spaces, no punctuation; a second
/// one of the same name gets a number.
fn anchors(text: &str) -> Vec<String> {
    let mut seen = HashMap::new();
    let headings = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let anchor: String = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let count = seen.entry(anchor.clone()).or_insert(0);
            *count += 1;
            if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = Vec::new();
    files(root(), "md", &mut pages);
    assert!(pages.len() > 8, "{pages:?}");
    let (mut broken, mut links) = (Vec::new(), 0);
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for (number, line) in prose(&text) {
            for target in targets(&without_code(line)) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                links += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
                let there = match file {
                    "" => page.clone(),
                    file => page.parent().unwrap().join(file),
                };
                let found = there.exists()
                    && (anchor.is_empty()
                        || anchors(&fs::read_to_string(&there).unwrap())
                            .iter()
                            .any(|a| a == anchor));
                if !found {
                    broken.push(format!("{}:{number}: {target}", page.display()));
                }
            }
        }
    }
    assert!(links > 20, "only {links} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn anchors_are_those_of_github() {
    let page =
        "# A Title: of `two`\n\n## Same\n```sh\n# no heading\n```\n## Same\n### über uns, 3×3\n";
    assert_eq!(anchors(page), ["a-title-of-two", "same", "same-1", "über-uns-33"]);
    let line = "see [a](docs/a.md#b), `[no](link)` and ![picture](c.png)";
    assert_eq!(targets(&without_code(line)), ["docs/a.md#b", "c.png"]);
}

/// The names that the library's front page offers.
fn public_types() -> Vec<String> {
    let front = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let uses = front.split("pub use ").skip(1);
    let names = uses.flat_map(|rest| {
        let list = rest.split(';').next().unwrap();
        let words = list.split(|c: char| !c.is_alphanumeric());
        words.filter(|w| w.starts_with(char::is_uppercase)).map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn every_public_type_has_an_example() {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    let texts: Vec<String> = sources.iter().map(|p| fs::read_to_string(p).unwrap()).collect();
    let types = public_types();
    assert!(types.len() > 30, "{types:?}");
    let mut without = Vec::new();
    for name in types {
        let defines = |line: &str| {
            let item = line.strip_prefix("pub ").and_then(|rest| rest.split_once(' '));
            item.is_some_and(|(kind, rest)| {
                let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
                ["struct", "enum", "trait"].contains(&kind) && rest[..end] == name
            })
        };
        let documented = texts.iter().any(|text| {
            let lines: Vec<&str> = text.lines().collect();
            let at = lines.iter().position(|line| defines(line));
            at.is_some_and(|at| {
                let above = lines[..at].iter().rev();
                let mut above = above.take_while(|l| l.starts_with("///") || l.starts_with("#["));
                above.any(|line| line.starts_with("/// ```"))
            })
        });
        if !documented {
            without.push(name);
        }
    }
    assert!(without.is_empty(), "without an example: {}", without.join(", "));
}

/// The paths that a tree of a `use` names, from `prefix` on.
fn paths(prefix: &[String], tree: &str, out: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, list) = match tree.split_once('{') {
        Some((head, rest)) => (head, Some(rest.rsplit_once('}').map_or(rest, |(list, _)| list))),
        None => (tree, None),
    };
    let names = head.split("::").map(str::trim).filter(|name| !name.is_empty());
    let path: Vec<_> = prefix.iter().cloned().chain(names.map(str::to_owned)).collect();
    let Some(list) = list else {
        out.extend((!tree.is_empty()).then_some(path));
        return;
    };
    let (mut depth, mut from) = (0, 0);
    for (i, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                paths(&path, &list[from..i], out);
                from = i + 1;
            }
            _ => {}
        }
    }
}

/// The modules of the library and the program, by their paths from `src`, and their code without tests and comments.
fn modules() -> HashMap<String, String> {
    let src = root().join("src");
    let mut all = Vec::new();
    files(&src, "rs", &mut all);
    let module = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        let code = lines.collect::<Vec<_>>().join(" ");
        let path = path.strip_prefix(&src).unwrap().with_extension("");
        let name = path.to_str().unwrap().replace(std::path::MAIN_SEPARATOR, "::");
        (name.strip_suffix("::mod").unwrap_or(&name).to_owned(), code)
    };
    all.into_iter().map(module).collect()
}

/// What `use`s name: all of them, or those that are `visible` elsewhere, behind `pub` or `pub(…)`.
fn uses(code: &str, visible: bool) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut before = "";
    for part in code.split("use ") {
        if before.trim_end().ends_with(['b', ')']) || !visible && !before.is_empty() {
            paths(&[], part.split(';').next().unwrap(), &mut found);
        }
        before = part;
    }
    found
}

/// The module that a path leads to, as deep as it does; a name that a module hands on from one inside leads to that one.
fn resolve(modules: &HashMap<String, String>, path: &[&str]) -> Option<String> {
    let deepest = (1..=path.len()).rev().find(|&n| modules.contains_key(&path[..n].join("::")))?;
    let module = path[..deepest].join("::");
    let Some(name) = path.get(deepest) else { return Some(module) };
    let handed = uses(&modules[&module], true);
    let from =
        handed.iter().find(|path| path.len() > 1 && path.last().is_some_and(|last| last == name));
    let inside = from.and_then(|path| {
        let below = path.iter().map(String::as_str).filter(|name| *name != "self");
        resolve(modules, &module.split("::").chain(below).collect::<Vec<_>>())
    });
    inside.filter(|inside| inside.starts_with(&format!("{module}::"))).or(Some(module))
}

/// Which modules each module names, but for those inside of it.
fn dependencies() -> HashMap<String, Vec<String>> {
    let modules = modules();
    let own = |(here, code): (&String, &String)| {
        let mut found = uses(code, false);
        // Paths in code.
        for part in code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            if part.starts_with("crate::") || part.starts_with("super::") {
                paths(&[], part, &mut found);
            }
        }
        let resolved = found.iter().filter_map(|path| {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let parts: Vec<&str> = here.split("::").collect();
            let mut whole = match path.first()?.as_str() {
                "crate" => Vec::new(),
                "super" => parts[..parts.len().saturating_sub(ups)].to_vec(),
                _ => return None,
            };
            whole.extend(path.iter().skip(ups.max(1)).map(String::as_str));
            resolve(&modules, &whole)
        });
        let inside = format!("{here}::");
        let others = resolved.filter(|other| other != here && !other.starts_with(&inside));
        (here.clone(), others.collect())
    };
    modules.iter().map(own).collect()
}

/// Takes away what names nothing that is left, until nothing is. Panics where some name each other.
fn no_circle(mut left: HashMap<String, Vec<String>>) {
    while !left.is_empty() {
        let names_none = |(_, others): &(&String, &Vec<String>)| {
            !others.iter().any(|other| left.contains_key(other))
        };
        let below: Vec<_> = left.iter().filter(names_none).map(|(here, _)| here.clone()).collect();
        assert!(!below.is_empty(), "a circle among {left:#?}");
        left.retain(|here, _| !below.contains(here));
    }
}

#[test]
fn modules_depend_in_one_direction() {
    let mut modules = dependencies();
    assert!(modules["plan::choose"].contains(&"plan::filter".to_owned()));
    assert!(modules["exec::segment"].contains(&"exec::walk".to_owned()));
    // Named as what `plan` hands on.
    assert!(modules["plan::runs"].contains(&"plan::operations".to_owned()));
    // Folders, with the file of the same name; the library's root names all of them.
    let folder = |path: &str| path.split("::").next().unwrap().to_owned();
    let mut folders: HashMap<String, Vec<String>> = HashMap::new();
    for (here, others) in &modules {
        let (here, others) = (folder(here), others.iter().map(|other| folder(other)));
        folders.entry(here.clone()).or_default().extend(others.filter(|other| *other != here));
    }
    assert!(folders["exec"].contains(&"plan".to_owned()));
    no_circle(folders);
    for (here, others) in &mut modules {
        // What is below a module names it as that which it is a part of.
        others.retain(|other| !here.starts_with(&format!("{other}::")));
    }
    no_circle(modules);
}

#[test]
#[should_panic(expected = "a circle")]
fn circles_are_found() {
    let names = |here: &str, other: &str| (here.to_owned(), vec![other.to_owned()]);
    no_circle([names("a", "b"), names("b", "c"), names("c", "b")].into());
}
