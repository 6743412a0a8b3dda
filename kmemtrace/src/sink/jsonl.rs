//! JSON lines: traces and `--format json`. The fields are [`Line`]'s; this adds what a change knows beyond its fact.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::Sink;
use crate::{
    attribution::{PodUid, Qos, Runtime, owner},
    event::{
        Event, Path, Stamp,
        header::Header,
        json::{HeaderLine, Line, Text, WallTime, kind},
    },
    text::escape::{is_hidden, is_plain},
    tracker::{Change, State, Subject, Summary, Totals, What},
};

/// Writes one line a change, each with one `write`.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    hierarchy: Option<String>,
    /// The node, if lines name it.
    hostname: Option<String>,
    names_host: bool,
    buffer: Vec<u8>,
}

/// The end of a run, which holds no fact.
#[derive(Serialize)]
struct SummaryLine<'a> {
    time: WallTime,
    mono_ns: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl<W: Write> JsonLines<W> {
    /// A sink that writes to `out`, unbuffered.
    pub fn new(out: W) -> Self {
        Self {
            out,
            hierarchy: None,
            hostname: None,
            names_host: false,
            buffer: Vec::new(),
        }
    }

    /// Lines name the node, for where those of several nodes come together.
    #[must_use]
    pub fn with_hostname(mut self) -> Self {
        self.names_host = true;
        self
    }

    /// What it writes to.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes to something else from now on; gives back what it wrote to.
    pub fn replace(&mut self, out: W) -> W {
        std::mem::replace(&mut self.out, out)
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// A fact as it came: without what the tracker makes of it, nor what follows from its path and from the header.
    ///
    /// # Errors
    ///
    /// If the line cannot be written.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        write(&mut self.out, &mut self.buffer, &Line::of(event))
    }

    /// The end of a run.
    ///
    /// # Errors
    ///
    /// If the line cannot be written.
    pub fn summary(&mut self, time: Stamp, summary: &Summary) -> io::Result<()> {
        let line = SummaryLine {
            time: WallTime(time.wall_ns),
            mono_ns: time.mono_ns,
            kind: kind::SUMMARY,
            hostname: self.hostname.as_deref(),
            summary,
        };
        write(&mut self.out, &mut self.buffer, &line)
    }

    /// Adds what follows from the path and from the header, and writes the line.
    fn line(
        &mut self,
        line: Line<'_>,
        path: Option<&Path>,
        totals: Option<&Totals>,
    ) -> io::Result<()> {
        let owner = path.map(|path| owner(&path.bytes)).unwrap_or_default();
        let of_cgroup = line.cgroup_id.is_some() || path.is_some();
        let mut line: Line<'_> = line; // it lives no longer than its owner from here on
        line.hierarchy = self
            .hierarchy
            .as_deref()
            .filter(|_| of_cgroup)
            .map(Text::from);
        line.hostname = self.hostname.as_deref().map(Text::from);
        line.pod_uid = owner.pod_uid.as_ref().map(PodUid::as_str).map(Text::from);
        line.container_id = owner.container_id.map(Text::from);
        line.qos = owner.qos.map(Qos::as_str).map(Text::from);
        line.runtime = owner.runtime.map(Runtime::as_str).map(Text::from);
        line.owner_name = owner.name.map(Text::from);
        line.unit = owner.unit.map(Text::from);
        if let Some(totals) = totals {
            line.live = Some(totals.live);
            line.zombies = Some(totals.zombies);
            line.leaked = Some(totals.leaked);
        }
        write(&mut self.out, &mut self.buffer, &line)
    }

    fn subject(
        &mut self,
        change: &Change,
        kind: &'static str,
        subject: &Subject,
    ) -> io::Result<()> {
        let mut line = Line::new(change.time, kind);
        set_subject(&mut line, subject);
        // a moment that is the line's own is not written twice
        match kind {
            kind::CREATED => {
                line.created_mono_ns = None;
                line.creator_pid = None;
                line.creator_comm = None;
                line.creator_comm_hex = None;
            }
            kind::OFFLINED => {
                line.offlined_mono_ns = None;
                line.zombie_ns = None;
                if line.after_mono_ns.is_some() {
                    // told by the fact, and not concluded
                    line.offlined_after_mono_ns = None;
                }
            }
            _ => {}
        }
        self.line(line, subject.cgroup.path.as_ref(), Some(&change.totals))
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.hierarchy.clone_from(&header.hierarchy);
        self.hostname = header.hostname.clone().filter(|_| self.names_host);
        write(
            &mut self.out,
            &mut self.buffer,
            &HeaderLine::new(time, header),
        )
    }

    fn change(&mut self, change: &Change, _state: State<'_>) -> io::Result<()> {
        let time = change.time;
        let mut line = Line::default();
        let kind = match &change.what {
            What::Created(subject) => return self.subject(change, kind::CREATED, subject),
            What::Offlined(subject) => return self.subject(change, kind::OFFLINED, subject),
            What::Freed(subject) => return self.subject(change, kind::FREED, subject),
            What::Renamed(subject) => return self.subject(change, kind::RENAMED, subject),
            What::Leaked(subject) => return self.subject(change, kind::LEAKED, subject),
            What::Recovered(subject) => return self.subject(change, kind::RECOVERED, subject),
            What::Present(subject) => return self.subject(change, kind::PRESENT, subject),
            What::Zombie(subject) => return self.subject(change, kind::ZOMBIE, subject),
            What::LeakedUnseen { zombies } => {
                line.by_count = Some(*zombies);
                kind::LEAKED
            }
            What::MkdirFailure(failure) => {
                let mut line = Line::new(time, kind::MKDIR_FAILURE);
                line.set_mkdir_failure(failure);
                return self.line(line, failure.path.as_ref(), Some(&change.totals));
            }
            What::Walked { walked, .. } => {
                line.set_walked(walked);
                kind::WALKED
            }
            What::SlabFailure(failure) => {
                line.set_slab_failure(failure);
                kind::SLAB_FAILURE
            }
            What::Gap(gap) => {
                line.set_gap(gap);
                kind::GAP
            }
            What::Tick(counts) => {
                line.set_counts(counts);
                kind::TICK
            }
            What::Summary(summary) => return self.summary(time, summary),
        };
        line.begin(time, kind);
        self.line(line, None, Some(&change.totals))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn set_subject<'a>(line: &mut Line<'a>, subject: &'a Subject) {
    line.set_cgroup(&subject.cgroup);
    line.generation = (subject.generation > 0).then_some(subject.generation);
    line.set_creator(subject.creator.as_ref());
    line.created_mono_ns = subject.created.map(|created| created.mono_ns);
    line.offlined_mono_ns = subject.offlined.map(|offlined| offlined.mono_ns);
    line.offlined_after_mono_ns = subject.offlined_after_ns;
    line.zombie_ns = subject.zombie_ns;
    line.across_gap = subject.across_gap.then_some(true);
    if let Some(pinned) = subject.pinned {
        line.pin = pinned.pin.map(|pin| pin.name().into());
        line.holds_bytes = pinned.bytes;
        line.holds_first_bytes = pinned.first_bytes;
        line.trend = pinned.trend.map(|trend| trend.as_str().into());
        line.reclaimable = pinned.reclaimable;
    }
    if let Some(by_count) = subject.by_count {
        line.by_count = Some(by_count.zombies);
        line.candidates = Some(by_count.candidates);
    }
}

/// In one `write`, so that a crash tears as few lines as can be.
fn write(out: &mut impl Write, buffer: &mut Vec<u8>, line: &impl Serialize) -> io::Result<()> {
    buffer.clear();
    line.serialize(&mut Serializer::with_formatter(&mut *buffer, Safe))?;
    buffer.push(b'\n');
    out.write_all(buffer)
}

/// Compact JSON that a terminal can be shown: `serde_json` escapes C0 controls alone.
struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut rest = fragment;
        if !is_plain(rest.as_bytes()) {
            while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
                let (before, after) = rest.split_at(at);
                writer.write_all(before.as_bytes())?;
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
                rest = after.get(hidden.len_utf8()..).unwrap_or_default();
            }
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
