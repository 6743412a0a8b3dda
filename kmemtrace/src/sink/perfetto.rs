//! Perfetto's trace: for each node its counters and failures, and a track for each pod or unit, below which each memcg is a
//! slice of its life, with one within it for its time as a zombie, and one in that from when it was called leaked.
//!
//! Times are the wall clock's, so that several nodes lie side by side.

mod proto;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
};

use prost::Message;
use proto::{Annotation, Counter, Event, Kind, Packet, Trace, Track};

use super::{
    Sink,
    runs::{Runs, SharedOut},
};
use crate::{
    attribution::{Owner, owner},
    event::{Gap, MkdirFailure, Path, SlabFailure, Stamp, header::Header, json::errno_name},
    text::escape::Name,
    tracker::{Change, Status, Subject, Totals, What},
};

/// For `export`: each run's packets.
pub(super) fn export(out: SharedOut, _several: bool) -> Box<dyn Runs> {
    Box::new(move |run: usize, _: &Header| {
        let sink: Box<dyn Sink> = Box::new(Perfetto::new(out.clone(), run));
        Ok(sink)
    })
}

/// Writes a run's packets.
#[derive(Debug)]
struct Perfetto<W> {
    out: W,
    buffer: Vec<u8>,
    /// The node's track.
    node: u64,
    sequence: u32,
    /// Memcgs whose slices have begun and not ended: as many as are alive.
    open: HashMap<SliceKey, OpenSlices>,
    totals: Option<Totals>,
}

type SliceKey = (Option<u64>, Option<u32>, u32);

#[derive(Clone, Copy, Debug)]
struct OpenSlices {
    track: u64,
    /// Slices that are open: its life, its time as a zombie, its time as a leaked one.
    depth: u8,
    /// Its newest time: none on a track may go back.
    newest_ns: u64,
}

/// Slices by depth.
const LIFE: u8 = 1;
const ZOMBIE: u8 = 2;
const LEAKED: u8 = 3;

const COUNTERS: [&str; 3] = ["live", "zombies", "leaked"];

impl<W: Write> Perfetto<W> {
    /// Writes to `out`; `run` tells this run's packets from others'.
    fn new(out: W, run: usize) -> Self {
        Self {
            out,
            buffer: Vec::new(),
            node: 0,
            sequence: run as u32 + 1,
            open: HashMap::new(),
            totals: None,
        }
    }

    fn packet(&mut self, packet: Packet) -> io::Result<()> {
        self.buffer.clear();
        let packet = vec![Packet {
            trusted_packet_sequence_id: Some(self.sequence),
            ..packet
        }];
        Trace { packet }
            .encode(&mut self.buffer)
            .map_err(io::Error::other)?;
        self.out.write_all(&self.buffer)
    }

    /// Tells of a track. More than once is as good as once, so nobody remembers it.
    fn track(
        &mut self,
        uuid: u64,
        parent: Option<u64>,
        name: String,
        counter: bool,
    ) -> io::Result<()> {
        self.packet(Packet {
            track_descriptor: Some(Track {
                uuid: Some(uuid),
                name: Some(name),
                parent_uuid: parent,
                counter: counter.then_some(Counter { unit: Some(2) }),
            }),
            ..Packet::default()
        })
    }

    fn event(&mut self, at_ns: u64, kind: Kind, event: Event) -> io::Result<()> {
        self.packet(Packet {
            timestamp: Some(at_ns),
            track_event: Some(Event {
                r#type: Some(kind.into()),
                ..event
            }),
            ..Packet::default()
        })
    }

    /// A memcg's slices, from how deep they are to this depth.
    fn deepen(&mut self, change: &Change, subject: &Subject, depth: u8) -> io::Result<()> {
        let key = key(subject);
        let at_ns = wall_ns(change.time);
        let mut life = match self.open.get(&key) {
            Some(life) => *life,
            None => OpenSlices {
                track: self.life_track(subject, at_ns)?,
                depth: 0,
                newest_ns: at_ns,
            },
        };
        life.newest_ns = life.newest_ns.max(at_ns);
        while life.depth < depth {
            life.depth += 1;
            let (name, debug_annotations) = match life.depth {
                LIFE => (leaf(subject), facts(subject)),
                ZOMBIE => ("zombie".to_owned(), facts(subject)),
                _ => (leaked(subject), Vec::new()),
            };
            let event = Event {
                track_uuid: Some(life.track),
                name: Some(name),
                debug_annotations,
                ..Event::default()
            };
            self.event(life.newest_ns, Kind::SliceBegin, event)?;
        }
        self.open.insert(key, life);
        Ok(())
    }

    /// A memcg's end: that of all its slices.
    fn end(&mut self, change: &Change, subject: &Subject) -> io::Result<()> {
        let Some(life) = self.open.remove(&key(subject)) else {
            return Ok(());
        };
        let at_ns = life.newest_ns.max(wall_ns(change.time));
        for _ in 0..life.depth {
            let event = Event {
                track_uuid: Some(life.track),
                ..Event::default()
            };
            self.event(at_ns, Kind::SliceEnd, event)?;
        }
        Ok(())
    }

    /// Tells of a memcg's track, and of its owner's above it.
    fn life_track(&mut self, subject: &Subject, at_ns: u64) -> io::Result<u64> {
        let path = subject.cgroup.path.as_ref();
        let group = group(path);
        let above = uuid(&(self.node, &group));
        self.track(above, Some(self.node), group, false)?;
        let track = uuid(&(above, key(subject), at_ns));
        self.track(track, Some(above), leaf(subject), false)?;
        Ok(track)
    }

    fn instant(&mut self, change: &Change, name: String, facts: Vec<Annotation>) -> io::Result<()> {
        let event = Event {
            track_uuid: Some(uuid(&(self.node, "failures"))),
            name: Some(name),
            debug_annotations: facts,
            ..Event::default()
        };
        self.event(wall_ns(change.time), Kind::Instant, event)
    }

    fn count(&mut self, change: &Change) -> io::Result<()> {
        if self.totals == Some(change.totals) {
            return Ok(());
        }
        self.totals = Some(change.totals);
        let Totals {
            live,
            zombies,
            leaked,
        } = change.totals;
        for (name, value) in COUNTERS.into_iter().zip([live, zombies, leaked]) {
            let event = Event {
                track_uuid: Some(uuid(&(self.node, name))),
                counter_value: Some(i64::try_from(value).unwrap_or(i64::MAX)),
                ..Event::default()
            };
            self.event(wall_ns(change.time), Kind::Counter, event)?;
        }
        Ok(())
    }
}

impl<W: Write> Sink for Perfetto<W> {
    fn header(&mut self, _: Stamp, header: &Header) -> io::Result<()> {
        let host = header.hostname.as_deref().unwrap_or("this node");
        self.node = uuid(&("node", host, &header.boot_id));
        // Of the sequence nothing came before it.
        self.packet(Packet {
            sequence_flags: Some(1),
            ..Packet::default()
        })?;
        self.track(
            self.node,
            None,
            Name::whole(host.as_bytes()).to_string(),
            false,
        )?;
        for name in COUNTERS {
            let track = uuid(&(self.node, name));
            self.track(track, Some(self.node), name.into(), true)?;
        }
        let failures = uuid(&(self.node, "failures"));
        self.track(failures, Some(self.node), "failures".into(), false)
    }

    fn change(&mut self, change: &Change, _state: Status<'_>) -> io::Result<()> {
        match &change.what {
            What::Created(subject) | What::Present(subject) => {
                self.deepen(change, subject, LIFE)?;
            }
            What::Offlined(subject) | What::Zombie(subject) => {
                self.deepen(change, subject, ZOMBIE)?;
            }
            What::Leaked(subject) => self.deepen(change, subject, LEAKED)?,
            What::Freed(subject) | What::Recovered(subject) => self.end(change, subject)?,
            What::SlabFailure(failure) => {
                self.instant(change, "slab failure".into(), slab_facts(failure))?;
            }
            What::MkdirFailure(failure) => {
                self.instant(change, "mkdir failed".into(), mkdir_facts(failure))?;
            }
            What::Gap(gap) => self.instant(change, "gap".into(), gap_facts(change, gap))?,
            What::LeakedUnseen { zombies } => {
                let facts = vec![number("zombies", *zombies)];
                self.instant(change, "leaked, and no poll saw them alive".into(), facts)?;
            }
            What::Renamed(_) | What::Walked { .. } | What::Tick(_) | What::Summary(_) => {}
        }
        self.count(change)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn key(subject: &Subject) -> SliceKey {
    let cgroup = &subject.cgroup;
    let kmemcg_id = cgroup.kmemcg_id.filter(|_| cgroup.id.is_none());
    (cgroup.id, kmemcg_id, subject.generation)
}

fn wall_ns(time: Stamp) -> u64 {
    u64::try_from(time.wall_ns).unwrap_or(0)
}

fn uuid(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The track that a cgroup belongs on: its pod's, or its unit's, or the one for all others.
fn group(path: Option<&Path>) -> String {
    let Owner { pod_uid, unit, .. } = path.map(|path| owner(&path.bytes)).unwrap_or_default();
    match (pod_uid, unit) {
        (Some(uid), _) => format!("pod {}", uid.as_str()),
        (None, Some(unit)) => Name::whole(unit.as_bytes()).to_string(),
        (None, None) => "other cgroups".to_owned(),
    }
}

/// The cgroup's own name, escaped.
fn leaf(subject: &Subject) -> String {
    let path = subject.cgroup.path.as_ref();
    let leaf = path.and_then(|path| path.bytes.rsplit(|&byte| byte == b'/').next());
    match leaf {
        Some(b"") => "/".to_owned(),
        Some(leaf) => Name::whole(leaf).to_string(),
        None => "memory cgroup".to_owned(),
    }
}

/// What its last slice is called.
fn leaked(subject: &Subject) -> String {
    match subject.by_count {
        None => "leaked".to_owned(),
        Some(by) => format!("suspected: {} of {} leaked", by.zombies, by.candidates),
    }
}

fn text(name: &str, bytes: &[u8]) -> Annotation {
    Annotation {
        name: Some(name.to_owned()),
        string_value: Some(Name::whole(bytes).to_string()),
        ..Annotation::default()
    }
}

fn number(name: &str, value: u64) -> Annotation {
    Annotation {
        name: Some(name.to_owned()),
        uint_value: Some(value),
        ..Annotation::default()
    }
}

fn facts(subject: &Subject) -> Vec<Annotation> {
    let cgroup = &subject.cgroup;
    let path = cgroup.path.as_ref();
    let owner = path.map(|path| owner(&path.bytes)).unwrap_or_default();
    [
        path.map(|path| text("path", &path.bytes)),
        owner
            .container_id
            .map(|id| text("container_id", id.as_bytes())),
        owner.name.map(|name| text("owner_name", name.as_bytes())),
        cgroup.id.map(|id| number("cgroup_id", id)),
        cgroup.memcg_id.map(|id| number("memcg_id", id.into())),
        cgroup.usage_bytes.map(|bytes| number("usage_bytes", bytes)),
        cgroup.task.as_ref().map(|task| text("comm", task.comm())),
        cgroup.task.map(|task| number("pid", task.pid.into())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn slab_facts(failure: &SlabFailure) -> Vec<Annotation> {
    [
        failure.cache.as_ref().map(|cache| text("cache", cache)),
        failure
            .object_size
            .map(|size| number("object_size", size.into())),
        failure.task.as_ref().map(|task| text("comm", task.comm())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn mkdir_facts(failure: &MkdirFailure) -> Vec<Annotation> {
    [
        failure.path.as_ref().map(|path| text("path", &path.bytes)),
        failure
            .errno
            .and_then(errno_name)
            .map(|name| text("errno", name.as_bytes())),
        failure.task.as_ref().map(|task| text("comm", task.comm())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn gap_facts(change: &Change, gap: &Gap) -> Vec<Annotation> {
    let lasted = change.time.mono_ns.saturating_sub(gap.from_mono_ns);
    [
        Some(number("for_ns", lasted)),
        gap.lost.map(|lost| number("lost", lost)),
        gap.counted
            .map(|counted| number("tracked_zombies", counted.tracked)),
        gap.counted
            .map(|counted| number("kernel_zombies", counted.kernel)),
        Some(text("reason", gap.reason.as_str().as_bytes())),
    ]
    .into_iter()
    .flatten()
    .collect()
}
