//! `kmemtrace record`: a trace, to be looked at later and elsewhere.

use std::{
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Color, Format, Outcome, filter::Filter, run::Run, watch::SourceArgs};
use crate::{
    error::Error,
    judge::Answer,
    text::escape::Name,
    trace::record::{Limits, Recorder},
};

/// Arguments of `kmemtrace record`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 nothing leaked, 1 a leak was found, 2 could not tell, an error, or the recording had to stop.")]
pub(super) struct Args {
    /// The trace, which is appended to; packed with zstd if it ends in .zst
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    source: SourceArgs,
}

/// How much is kept.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct LimitArgs {
    /// Begin another file when the recording has grown to this size: FILE.1 is the one before it, FILE.2 the one before that
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Keep so many files, the oldest goes first
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max_files: u32,
}

/// Records until a signal such as Ctrl-C or the end of `--for`.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let run = Run {
        source: &args.source,
        once: false,
        filter: Filter {
            quiet: true,
            ..Filter::default()
        },
        recording: Some(Recording::open(&args.file, args.limits)?),
    };
    let watched = run.watch(Format::Text, color)?;
    Ok(if watched.recorded {
        watched.verdict
    } else {
        Answer::Unknown
    })
}

/// A recording, until it cannot be written to any more: that stops it, and never what it records.
#[derive(Debug)]
pub(super) struct Recording {
    name: String,
    recorder: Option<Recorder>,
}

impl Recording {
    pub(super) fn open(path: &Path, limits: LimitArgs) -> Result<Self, Error> {
        let limits = Limits {
            bytes: limits.max_size,
            files: limits.max_files,
        };
        let recorder = Recorder::open(path, limits)?;
        if let Some(note) = recorder.note() {
            say(note);
        }
        Ok(Self {
            name: Name::whole(path.as_os_str().as_bytes()).to_string(),
            recorder: Some(recorder),
        })
    }

    pub(super) fn write(&mut self, what: impl FnOnce(&mut Recorder) -> io::Result<()>) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        if let Err(error) = what(recorder) {
            say(&format!("recording to {} stopped: {error}", self.name));
            self.recorder = None;
        }
    }

    /// Nothing has stopped it.
    pub(super) fn is_whole(&self) -> bool {
        self.recorder.is_some()
    }
}

fn say(what: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "kmemtrace: {what}");
}

/// A size in bytes with an optional `K`, `M` or `G`.
fn size(text: &str) -> Result<u64, String> {
    let units = [('K', 10), ('M', 20), ('G', 30)];
    let unit = units.into_iter().find_map(|(unit, shift)| {
        let digits = text.strip_suffix([unit, unit.to_ascii_lowercase()])?;
        Some((digits, shift))
    });
    let (digits, shift) = unit.unwrap_or((text, 0));
    let bytes = digits
        .parse()
        .ok()
        .and_then(|count: u64| count.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes >= 64 << 10)
        .ok_or_else(|| "not a size of 64K or more, such as 100M or 1G".to_owned())
}
