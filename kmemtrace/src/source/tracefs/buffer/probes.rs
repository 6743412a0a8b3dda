//! Probes put on functions and taken away again.

use std::{fs, io, thread, time::Duration};

use super::TraceBuffer;
use crate::{
    host::Tracing,
    plan,
    source::tracefs::{
        files,
        line::{TraceLine, line},
    },
};

impl TraceBuffer {
    /// Puts probes on functions and switches them on: all, or none; those that are there already stay.
    pub(in super::super) fn probe(
        &mut self,
        probes: &'static [plan::Program],
        tracing: &Tracing,
    ) -> Result<(), String> {
        let before = self.probes.len();
        let mut probes = plan::probes(probes, tracing).into_iter();
        let added = probes.try_for_each(|probe| {
            if self.probes.contains(&probe.name) {
                return Ok(());
            }
            let symbol = probe.symbol;
            let failed = |error| format!("{symbol}: the kernel refused the probe: {error}");
            files::command(&self.tracefs, &probe.definition(&self.group)).map_err(failed)?;
            let event = self.event(&probe.name);
            self.probes.push(probe.name);
            self.set(&format!("events/{event}/enable"), "1")
                .map_err(failed)
        });
        if added.is_err() {
            self.unprobe(before);
        }
        added
    }

    /// Takes probes away but for the first `keep`.
    pub(super) fn unprobe(&mut self, keep: usize) {
        for name in self.probes.split_off(keep) {
            // It cannot be removed while it is switched on.
            let event = self.event(&name);
            if let Err(error) = self.set(&format!("events/{event}/enable"), "0") {
                tracing::debug!("cannot switch {name} off: {error}");
            }
            self.remove(&name);
        }
    }

    pub(super) fn remove(&self, name: &str) {
        let name = format!("{}_{name}", self.group);
        if let Err(error) = files::remove_probe(&self.tracefs, &self.group, &name) {
            tracing::warn!("cannot remove the probe {}/{name}: {error}", self.group);
        }
    }

    /// Whether probes' events come into this buffer, tried out with one that we set off ourselves.
    pub(in super::super) fn hears_probes(&mut self, tracing: &Tracing) -> Result<bool, String> {
        let before = self.probes.len();
        self.probe(&plan::TRIAL, tracing)?;
        let heard = self.hears_trial();
        self.counts_faults = self.misses() > 0;
        self.unprobe(before);
        heard.map_err(|error| format!("cannot try out whether probes' events come: {error}"))
    }

    fn hears_trial(&mut self) -> io::Result<bool> {
        fs::read("/proc/cgroups")?;
        let mut heard = false;
        for _ in 0..20 {
            let mut lines = Vec::new();
            while self.read(|text| lines.push(text.to_vec()))? {}
            heard |= lines.iter().any(|text| self.is_trial(text));
            if heard {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(heard)
    }

    fn is_trial(&self, text: &[u8]) -> bool {
        matches!(line(text), TraceLine::Event(record) if self.ours(record.event) == Some(b"trial"))
    }

    /// How often a probe was skipped, all of ours taken together; `None` if this kernel does not tell: before 5.14 each access
    /// that faults in a probe counts as well (`kprobe_fault_handler`), as those to the parent of a root do.
    pub(in super::super) fn skipped(&self) -> Option<u64> {
        (!self.counts_faults).then(|| self.misses())
    }

    fn misses(&self) -> u64 {
        if self.probes.is_empty() {
            return 0;
        }
        // NAME HITS MISSES
        let text = fs::read_to_string(self.tracefs.join("kprobe_profile")).unwrap_or_default();
        let misses = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.strip_prefix(&self.group)?;
            let name = name.strip_prefix('_')?;
            let ours = self.probes.iter().any(|probe| probe == name);
            ours.then(|| words.nth(1)?.parse::<u64>().ok()).flatten()
        });
        misses.sum()
    }
}
