//! A trace written as it comes: into one file, or into one after another.

mod log;
mod tail;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use log::Log;

use crate::{
    error::Error,
    event::{Carried, Event, Fact, Stamp, header::Header},
    sink::{Sink, jsonl::JsonLines},
    tracker::Summary,
};

/// When one file is enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Bytes of a file from which on the next one is begun; none is, without it.
    pub bytes: Option<u64>,
    /// How many files are kept, the one that is written to included; at least one.
    pub files: u32,
}

/// Writes facts to a trace.
///
/// It is no [`Sink`]: a sink gets what changed, and a trace holds the facts as they came, also those that changed nothing, so that
/// another tracker can judge them anew. It begins another file with all memcgs as they stand, and its failure does not end the
/// run. An error of any of its functions ends the recording: what had been written whole stays.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    limits: Limits,
    lines: JsonLines<Log>,
    header: Option<(Stamp, Header)>,
    /// What there is to say about the file, in words.
    note: Option<String>,
}

impl Recorder {
    /// Opens a file to append to, and puts right what a recording that was killed left at its end. It is packed with zstd if
    /// its name ends in `.zst`.
    ///
    /// # Errors
    ///
    /// It cannot be opened, is being recorded to, or holds something else than such a trace.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, Error> {
        let (log, note) = Log::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            limits,
            lines: JsonLines::new(log),
            header: None,
            note,
        })
    }

    /// What was done to the file's end when it was opened, or that it cannot be locked: for whoever is at the terminal.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Begins a run.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.header = Some((time, header.clone()));
        self.lines.header(time, header)?;
        self.lines.get_mut().write_out()
    }

    /// Writes a fact; it reaches the file with [`Recorder::flush`].
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        self.lines.event(event)
    }

    /// What was written reaches the file, within a second if it is packed. If that has grown enough, the next one is begun
    /// with what `carried` gives: all memcgs as they stand at `now`.
    ///
    /// # Errors
    ///
    /// It cannot be written, or the next file cannot be made.
    pub fn flush<I: Iterator<Item = Carried>>(
        &mut self,
        now: Stamp,
        carried: impl FnOnce() -> I,
    ) -> io::Result<()> {
        self.lines.flush()?;
        let full = |limit| self.lines.get_ref().length() >= limit;
        if self.limits.bytes.is_some_and(full) {
            self.next_file(now, carried())?;
        }
        Ok(())
    }

    /// Ends the run: all of it is on the disk then.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn end(&mut self, time: Stamp, summary: &Summary) -> io::Result<()> {
        self.lines.summary(time, summary)?;
        self.lines.get_mut().finish()?;
        self.lines.get_ref().sync()
    }

    fn next_file(&mut self, now: Stamp, carried: impl Iterator<Item = Carried>) -> io::Result<()> {
        self.lines.get_mut().finish()?;
        let last = self.limits.files.max(1) - 1;
        if last == 0 {
            fs::remove_file(&self.path)?;
        }
        for number in (0..last).rev() {
            match fs::rename(self.older(number), self.older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let before = self.lines.replace(Log::create(&self.path)?);
        // Syncing may take long, and nothing waits for it.
        std::thread::spawn(move || before.sync());
        let mut now = now;
        if let Some((began, mut header)) = self.header.take() {
            if now.mono_ns <= began.mono_ns {
                // nothing has happened yet
                now = began;
            }
            header.began_mono_ns.get_or_insert(began.mono_ns);
            header.part = Some(header.part.unwrap_or(1) + 1);
            self.header(now, &header)?;
            self.header = Some((began, header));
        }
        for carried in carried {
            self.lines.event(&Event {
                time: now,
                fact: Fact::Carried(Box::new(carried)),
            })?;
        }
        self.lines.get_mut().write_out()
    }

    /// The name of the file that was written to so many files ago.
    fn older(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}
