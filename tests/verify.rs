//! Every named kernel on every picture of the project, checked by the program itself against the
//! definition, at every level of this machine: some 25 billion taps in `f64`, minutes with the
//! checks of the test profile on, so this needs `cargo test --release --test verify`.

#![cfg(all(feature = "cli", not(debug_assertions)))]

use assert_cmd::Command;
use twopass::{Level, NamedKernel};

fn verify(level: &str) {
    if !Level::available().iter().any(|l| l.name() == level) {
        println!("level {level}: skipped, this machine lacks it");
        return;
    }
    for picture in ["scene.png", "chart16.png", "soft-alpha.png"] {
        for kernel in NamedKernel::all() {
            let path = format!("{}/assets/{picture}", env!("CARGO_MANIFEST_DIR"));
            Command::cargo_bin("filter")
                .unwrap()
                .args([&path, "--kernel", kernel.name(), "--level", level, "--verify"])
                .assert()
                .success();
        }
    }
}

#[test]
fn portable() {
    verify("portable");
}

#[test]
fn avx2() {
    verify("avx2");
}

#[test]
fn avx512() {
    verify("avx512");
}
