//! The `kmemtrace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    kmemtrace::cli::main()
}
