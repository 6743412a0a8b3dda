//! The signals that end a process, for verbs that have something to clear away first.

use std::{
    fs, future, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// What the verbs that attach programs run on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::caused("cannot start", error))
}

/// The signals whose default action ends a process, and that somebody may send: all but `SIGKILL` and those of faults.
#[derive(Debug)]
pub(crate) struct Signals(Vec<Signal>);

impl Signals {
    /// From now on they do not end the process but are noted, within a tokio runtime.
    pub(crate) fn listen() -> Result<Self, Error> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::alarm(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        // nohup(1) has it ignored, and what it starts is to go on.
        let hangup = (!is_hangup_ignored()).then(SignalKind::hangup);
        let signals: io::Result<_> = kinds.into_iter().chain(hangup).map(signal).collect();
        signals
            .map(Self)
            .map_err(|error| Error::caused("cannot listen for signals", error))
    }

    /// Waits for one of them. Cancel-safe.
    pub(crate) async fn recv(&mut self) {
        future::poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            if signals.any(|signal| signal.poll_recv(context).is_ready()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 != 0)
}

/// Whether a signal came that would have ended the process.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on signals do not end the process but are noted.
    pub(crate) fn watched() -> Result<Self, Error> {
        let pressed = Self(Arc::new(AtomicBool::new(false)));
        let noted = pressed.clone();
        let runtime = runtime()?;
        let mut signals = runtime.block_on(async { Signals::listen() })?;
        thread::spawn(move || {
            runtime.block_on(async {
                signals.recv().await;
                noted.0.store(true, Ordering::Relaxed);
            });
        });
        Ok(pressed)
    }

    pub(crate) fn pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
