//! "Did you mean": the nearest name to one that there is not.

/// What people type for flags that are called otherwise here, or are near to others and none of them.
const OTHERS: &[(&str, &str)] = &[
    ("ascii", "--preview"),
    ("auto-rotate", "--auto-orient"),
    ("bits", "--depth"),
    ("blur", "--kernel gaussian"),
    ("box", "--kernel box"),
    ("convolve", "--kernel"),
    ("filter", "--kernel"),
    ("gamma", "--linear"),
    ("gray", "--mix luma"),
    ("grayscale", "--mix luma"),
    ("grey", "--mix luma"),
    ("greyscale", "--mix luma"),
    ("inplace", "--in-place"),
    ("input", "the name alone"),
    ("iterations", "--kernel, once for each pass"),
    ("kernel-file", "--kernel @FILE"),
    ("kernel-size", "--size"),
    ("ksize", "--size"),
    ("list", "--list-kernels"),
    ("list-borders", ""),
    ("list-mixes", ""),
    ("matrix", "--kernel"),
    ("mode", "--border, or --range"),
    ("out", "--output"),
    ("outdir", "--out-dir"),
    ("output-dir", "--out-dir"),
    ("overwrite", "--force"),
    ("pad", "--border"),
    ("padding", "--border"),
    ("parallel", "--jobs, or --threads"),
    ("pointwise", "--mix"),
    ("precision", "--depth"),
    ("replace", "--force, or --in-place"),
    ("resize", ""),
    ("sharpen", "--kernel sharpen, or --kernel unsharp"),
    ("sigma-x", "--sigma"),
    ("simd", "--level"),
    ("size-x", "--size"),
    ("sobel", "--kernel sobel"),
    ("std", "--sigma"),
    ("stddev", "--sigma"),
    ("strength", "--amount"),
    ("stride", ""),
    ("suffix", "--name"),
    ("unsharp", "--kernel unsharp"),
    ("verbose", "--explain"),
    ("v", "--version, or --explain"),
];

/// The nearest of the names, if it is near: one letter in four may differ, and one more.
pub fn closest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    if length > 64 {
        return None;
    }
    let near = |name: &'a str| {
        let distance = strsim::damerau_levenshtein(&word, name);
        (distance <= 1 + length.min(name.len()) / 4 && distance < length)
            .then_some((distance, name))
    };
    names.into_iter().filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// What to say after "there is no such name": the nearest one, or all.
pub fn instead<'a>(word: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match closest(word, names.clone()) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("there are {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// What to give instead of a flag that there is not, if that can be told.
pub fn flag(given: &str, flags: &[&str]) -> Option<String> {
    let word = given.trim_start_matches('-').split('=').next().unwrap_or_default().to_lowercase();
    match OTHERS.iter().find(|(name, _)| *name == word) {
        Some((_, flag)) => (!flag.is_empty()).then(|| (*flag).to_owned()),
        None => closest(&word, flags.iter().copied()).map(|name| format!("--{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["gaussian", "sobel-x", "sobel-y", "box", "log"];
        assert_eq!(closest("gausian", names), Some("gaussian"));
        assert_eq!(closest("Gaussain", names), Some("gaussian"));
        assert_eq!(closest("sobel-z", names), Some("sobel-x"));
        assert_eq!(closest("bx", names), Some("box"));
        for far in ["", "x", "median", "sharpen", &"gaussian".repeat(20)] {
            assert_eq!(closest(far, names), None, "{far}");
        }
        assert_eq!(instead("median", ["box", "log"]), "there are box, log");
    }

    #[test]
    fn flags_of_other_programs_are_known() {
        let flags = ["ratio", "sigma", "version"];
        assert_eq!(flag("--stddev", &flags).as_deref(), Some("--sigma"));
        assert_eq!(flag("--sigam=2", &flags).as_deref(), Some("--sigma"));
        for none in ["--median", "--resize", "--stride"] {
            assert_eq!(flag(none, &["size", "strip"]), None);
        }
    }
}
