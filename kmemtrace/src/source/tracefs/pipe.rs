//! `trace_pipe`: what is read from it is gone from the buffer.
//!
//! It is read without blocking, on a timer. Waiting for it, as its `poll` allows, would wake the collector for every event
//! on kernels without `buffer_percent` (before 5.0), which costs several times the event; and what a buffer of some
//! megabytes a CPU holds is more than cgroups can be made in between.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// How much is asked for: the kernel gives a page of whole lines at most (`tracing_read_pipe`).
const READ: usize = 16 << 10;

/// How often it is read to skip what is there: some 256 MiB.
const SKIPS: usize = 64 << 10;

/// The reading end.
#[derive(Debug)]
pub(super) struct TracePipe {
    file: File,
    buffer: Vec<u8>,
    /// Of the buffer: bytes of a line whose end has not come.
    begun: usize,
}

impl TracePipe {
    /// Opens it; an instance is in use from then on.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.cast_signed())
            .open(path)?;
        Ok(Self {
            file,
            buffer: vec![0; 2 * READ],
            begun: 0,
        })
    }

    /// Takes away what is there, and does not look at it: at most what a buffer can hold.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        for _ in 0..SKIPS {
            if !self.read(|_| {})? {
                break;
            }
        }
        Ok(())
    }

    /// Hands over some lines, without their newlines; returns whether there were any bytes.
    pub(super) fn read(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        if self.begun > READ {
            // No line is that long.
            each(&self.buffer[..self.begun]);
            self.begun = 0;
        }
        let length = match self.file.read(&mut self.buffer[self.begun..]) {
            Ok(0) => return Ok(false),
            Ok(length) => self.begun + length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut rest = 0..length;
        while let Some(end) = self.buffer[rest.clone()].iter().position(|b| *b == b'\n') {
            each(&self.buffer[rest.start..rest.start + end]);
            rest.start += end + 1;
        }
        self.begun = rest.len();
        self.buffer.copy_within(rest, 0);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_come_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trace_pipe");
        let long = "x".repeat(3 * READ);
        fs::write(&path, format!("a\nb c\n\n{long}\nend\ntorn")).unwrap();
        let mut pipe = TracePipe::open(&path).unwrap();
        let mut lines = Vec::new();
        while pipe.read(|line| lines.push(line.to_vec())).unwrap() {}
        assert_eq!(lines[..3], [b"a".to_vec(), b"b c".to_vec(), Vec::new()]);
        assert_eq!(lines.last().unwrap(), b"end");
        assert_eq!(lines.iter().map(Vec::len).sum::<usize>(), 4 + 3 * READ + 3);
    }
}
