//! Several runs shown in one output.

use std::{cell::RefCell, io, io::Write, rc::Rc};

use super::Sink;
use crate::event::header::Header;

/// Runs, each of which gets a sink of its own. Each method fails if what it shows cannot be written.
#[expect(clippy::missing_errors_doc, reason = "it is the same for both of them")]
pub trait Runs {
    /// The sink of a run, by the run's number from 0 and by its header, which the sink has still to be given.
    fn begin(&mut self, run: usize, header: &Header) -> io::Result<Box<dyn Sink>>;
    /// After all runs: what comes last is written.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(usize, &Header) -> io::Result<Box<dyn Sink>>> Runs for F {
    fn begin(&mut self, run: usize, header: &Header) -> io::Result<Box<dyn Sink>> {
        self(run, header)
    }
}

/// What the sinks of several runs write to.
#[derive(Clone)]
pub struct SharedOut(Rc<RefCell<dyn Write>>);

impl SharedOut {
    /// Buffered until it is flushed.
    pub fn new(out: impl Write + 'static) -> Self {
        let out = io::BufWriter::with_capacity(64 << 10, out);
        Self(Rc::new(RefCell::new(out)))
    }
}

impl Write for SharedOut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}
