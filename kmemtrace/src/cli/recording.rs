//! A recording beside a run: its arguments, and what happens when it cannot be written any more.

use std::{io, os::unix::ffi::OsStrExt, path::Path};

use super::{output::tell, values::file_size};
use crate::{
    error::Error,
    text::escape::Name,
    trace::record::{Limits, Recorder},
};

/// How much is kept.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct LimitArgs {
    /// Begin another file when the recording has grown to this size: FILE.1 is the one before it, FILE.2 the one before that
    #[arg(long, value_name = "SIZE", value_parser = file_size)]
    max_size: Option<u64>,
    /// Keep so many files, the oldest goes first
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max_files: u32,
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
            tell(note);
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
            tell(&format!("recording to {} stopped: {error}", self.name));
            self.recorder = None;
        }
    }

    /// Nothing has stopped it.
    pub(super) fn is_whole(&self) -> bool {
        self.recorder.is_some()
    }
}
