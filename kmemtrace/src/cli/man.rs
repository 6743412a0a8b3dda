//! `kmemtrace man`: the manual pages, one a verb.

use std::{
    fs,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_mangen::Man;

use super::{Outcome, definition};
use crate::{error::Error, judge::Answer, text::escape::Name};

/// Arguments of `kmemtrace man`.
#[derive(clap::Args, Debug)]
#[command(after_help = "To read one without installing it: kmemtrace man | man -l -")]
pub(super) struct Args {
    /// Write all pages into this directory, kmemtrace.1 and one for each verb; without it, kmemtrace.1 to stdout
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Writes the main page to stdout, or all pages into a directory.
pub(super) fn run(args: &Args) -> Outcome {
    // Each verb is a page of its own; that of `help` would say nothing.
    let mut all = definition().disable_help_subcommand(true);
    all.build();
    let Some(directory) = &args.directory else {
        let mut out = io::stdout().lock();
        out.write_all(&page(all)?)?;
        out.flush()?;
        return Ok(Answer::Clean);
    };
    fs::create_dir_all(directory).map_err(|error| cannot("make", directory, error))?;
    let verbs: Vec<_> = all.get_subcommands().cloned().collect();
    for command in std::iter::once(all).chain(verbs) {
        let name = format!(
            "{}.1",
            command.get_display_name().unwrap_or(command.get_name())
        );
        let path = directory.join(name);
        let page = page(command)?;
        fs::write(&path, page).map_err(|error| cannot("write", &path, error))?;
    }
    Ok(Answer::Clean)
}

/// One page.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command)
        // An empty date would be left out, and what follows taken for it; a real one would tell when it was built.
        .date(" ")
        .source(concat!("kmemtrace ", env!("CARGO_PKG_VERSION")))
        .manual("kmemtrace")
        .render(&mut page)?;
    Ok(page)
}

fn cannot(operation: &str, path: &Path, error: io::Error) -> Error {
    let name = Name::whole(path.as_os_str().as_bytes());
    Error::caused(format!("cannot {operation} {name}"), error)
}
