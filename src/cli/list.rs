//! `--list-kernels`: the library's table of named kernels, for people and for programs.

use super::text::wrapped_flags;
use serde_json::{Value, json};
use std::fmt::Write as _;
use twopass::{KernelParam, KernelParams, NamedKernel};

/// What a kernel takes, with defaults: `--size 3, --size-y as --size`.
pub fn parameters(kernel: &NamedKernel) -> String {
    let all = kernel.params();
    let one = |p: &KernelParam| match all.iter().any(|other| other.name() == p.default()) {
        true => format!("--{} as --{}", p.name(), p.default()),
        false => format!("--{} {}", p.name(), p.default()),
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A line for each kernel, one for its parameters, and one for its other names.
pub fn text() -> String {
    let width = NamedKernel::all().iter().map(|k| k.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    for kernel in NamedKernel::all() {
        let _ = writeln!(out, "{:width$}  {}", kernel.name(), kernel.summary());
        if !kernel.params().is_empty() {
            for line in wrapped_flags(&parameters(kernel), 76 - width) {
                let _ = writeln!(out, "{:width$}    {line}", "");
            }
        }
        if !kernel.aliases().is_empty() {
            let _ = writeln!(out, "{:width$}    also: {}", "", kernel.aliases().join(", "));
        }
    }
    out
}

/// The same as an array of objects.
pub fn json() -> Value {
    let kernels = NamedKernel::all().iter().map(|kernel| {
        // Of two kernels it is the magnitude of their results.
        let made = kernel.kernels(&KernelParams::default()).unwrap_or_default();
        let params = kernel.params().iter();
        let params = params.map(|p| json!({"name": p.name(), "default": default(p.default())}));
        json!({
            "name": kernel.name(),
            "aliases": kernel.aliases(),
            "summary": kernel.summary(),
            "parameters": params.collect::<Vec<_>>(),
            "magnitude": made.len() == 2,
            "width": made.first().map(twopass::Kernel::width),
            "height": made.first().map(twopass::Kernel::height),
        })
    });
    kernels.collect()
}

/// A number, or the text that says what it follows from.
fn default(text: &str) -> Value {
    serde_json::from_str::<serde_json::Number>(text).map_or_else(|_| text.into(), Value::Number)
}
