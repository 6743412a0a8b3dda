//! Ctrl-C for verbs that have something to clear away first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::runtime;
use crate::error::Error;

/// Whether Ctrl-C was pressed.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C does not end the process but is noted.
    pub(super) fn watched() -> Result<Self, Error> {
        let pressed = Self(Arc::new(AtomicBool::new(false)));
        let noted = pressed.clone();
        let runtime = runtime()?;
        thread::spawn(move || {
            runtime.block_on(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    noted.0.store(true, Ordering::Relaxed);
                }
            });
        });
        Ok(pressed)
    }

    pub(super) fn pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
