//! Lines of several nodes told apart.

use std::io::{self, Write};

use crate::text::escape::Name;

/// Begins each line with a name. What is written at once is whole lines.
#[derive(Debug)]
pub struct Labelled<W> {
    out: W,
    label: String,
}

impl<W: Write> Labelled<W> {
    /// Lines to `out`, which begin with the name, escaped.
    pub fn new(out: W, name: &str) -> Self {
        Self {
            out,
            label: format!("{}  ", Name::whole(name.as_bytes())),
        }
    }
}

impl<W: Write> Write for Labelled<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.out.write_all(self.label.as_bytes())?;
            self.out.write_all(line)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
