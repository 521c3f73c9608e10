//! `filter`: linear image filtering from the command line. Everything is in `cli`; this only
//! turns its verdict into an exit code.

mod cli;
#[cfg(target_os = "linux")]
mod pages;

fn main() -> std::process::ExitCode {
    match cli::main(std::env::args_os()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            cli::say(&failure.message);
            std::process::ExitCode::from(failure.kind as u8)
        }
    }
}
