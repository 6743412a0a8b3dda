//! JSON Lines: the format of traces and of `--format json`. `docs/trace-format.md` describes it field by field.
//!
//! [`Line`] has all the fields and their order; [`Line::of`] makes one of a fact and [`parse`] gives the fact back.
//! A line's derived fields (whose the cgroup was, totals, verdicts) are for its readers: nothing is parsed back from them.

mod line;
mod reader;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use bytes::Bytes;
pub use line::{Hex, Line, Text, WallTime};
pub use reader::{Item, LINE_MAX, ReadError, Reader, Tally};
use rustix::io::Errno;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    Cgroup, Counts, Event, Fact, Gap, GapReason, MkdirFailure, Path, Scope, SlabFailure, Stamp,
    Task, Walked, header::Header,
};

/// The kinds of line.
pub mod kind {
    #![expect(
        missing_docs,
        reason = "each is its own word; docs/trace-format.md has them all"
    )]

    pub const HEADER: &str = "header";
    pub const CREATED: &str = "created";
    pub const OFFLINED: &str = "offlined";
    pub const FREED: &str = "freed";
    pub const RENAMED: &str = "renamed";
    pub const PRESENT: &str = "present";
    pub const WALKED: &str = "walked";
    pub const LEAKED: &str = "leaked";
    pub const RECOVERED: &str = "recovered";
    pub const SLAB_FAILURE: &str = "slab_failure";
    pub const MKDIR_FAILURE: &str = "mkdir_failure";
    pub const GAP: &str = "gap";
    pub const TICK: &str = "tick";
    pub const SUMMARY: &str = "summary";
}

impl<'a> Line<'a> {
    /// A line of a kind, with nothing but its time.
    pub fn new(time: Stamp, kind: &'static str) -> Self {
        let mut line = Self::default();
        line.begin(time, kind);
        line
    }

    /// Sets the fields that every line has.
    pub fn begin(&mut self, time: Stamp, kind: &'static str) {
        self.time = Some(WallTime(time.wall_ns));
        self.mono_ns = Some(time.mono_ns);
        self.kind = Some(kind.into());
    }

    /// A fact's line.
    pub fn of(event: &'a Event) -> Self {
        let kind = match &event.fact {
            Fact::Created(_) => kind::CREATED,
            Fact::Offlined(_) => kind::OFFLINED,
            Fact::Freed(_) => kind::FREED,
            Fact::Renamed(_) => kind::RENAMED,
            Fact::Present(_) => kind::PRESENT,
            Fact::Walked(_) => kind::WALKED,
            Fact::SlabFailure(_) => kind::SLAB_FAILURE,
            Fact::MkdirFailure(_) => kind::MKDIR_FAILURE,
            Fact::Gap(_) => kind::GAP,
            Fact::Tick(_) => kind::TICK,
        };
        let mut line = Self::new(event.time, kind);
        match &event.fact {
            Fact::Created(cgroup)
            | Fact::Offlined(cgroup)
            | Fact::Freed(cgroup)
            | Fact::Renamed(cgroup)
            | Fact::Present(cgroup) => line.set_cgroup(cgroup),
            Fact::Walked(walked) => line.set_walked(walked),
            Fact::SlabFailure(failure) => line.set_slab_failure(failure),
            Fact::MkdirFailure(failure) => line.set_mkdir_failure(failure),
            Fact::Gap(gap) => line.set_gap(gap),
            Fact::Tick(counts) => line.set_counts(counts),
        }
        line
    }

    /// Sets a cgroup's fields.
    pub fn set_cgroup(&mut self, cgroup: &'a Cgroup) {
        self.cgroup_id = Some(cgroup.id);
        self.parent_id = cgroup.parent_id;
        self.serial = cgroup.serial;
        self.memcg_id = cgroup.memcg_id;
        self.scope = (cgroup.scope == Scope::Memcg).then_some("memcg".into());
        self.memory = cgroup.memory;
        self.usage_bytes = cgroup.usage_bytes;
        self.set_path(cgroup.path.as_ref());
        self.set_task(cgroup.task.as_ref());
    }

    fn set_path(&mut self, path: Option<&'a Path>) {
        if let Some(path) = path {
            self.path = Some(Text::lossy(&path.bytes));
            self.path_hex = Hex::unless_text(&path.bytes);
            self.path_cut = path.cut.then_some(true);
        }
    }

    fn set_task(&mut self, task: Option<&'a Task>) {
        if let Some(task) = task {
            let comm = task.comm();
            self.pid = Some(task.pid);
            self.comm = (!comm.is_empty()).then(|| Text::lossy(comm));
            self.comm_hex = Hex::unless_text(comm);
        }
    }

    /// Sets a walk's fields.
    pub fn set_walked(&mut self, walked: &Walked) {
        self.began_mono_ns = Some(walked.began_mono_ns);
        self.directories = Some(walked.directories);
        self.set_counts(&walked.counts);
    }

    /// Sets the kernel's counts.
    pub fn set_counts(&mut self, counts: &Counts) {
        self.num_cgroups = counts.num_cgroups;
        self.dying = counts.dying;
        self.dying_memory = counts.dying_memory;
    }

    /// Sets a failed slab allocation's fields.
    pub fn set_slab_failure(&mut self, failure: &'a SlabFailure) {
        self.cache = failure.cache.as_deref().map(Text::lossy);
        self.cache_hex = failure.cache.as_deref().and_then(Hex::unless_text);
        self.object_size = failure.object_size;
        self.gfp = failure.gfp;
        self.node = failure.node;
        self.set_task(failure.task.as_ref());
    }

    /// Sets a failed mkdir's fields.
    pub fn set_mkdir_failure(&mut self, failure: &'a MkdirFailure) {
        self.cgroup_id = failure.cgroup_id;
        self.parent_id = failure.parent_id;
        self.errno = failure.errno;
        self.errno_name = failure.errno.and_then(errno_name).map(Text::from);
        self.set_path(failure.path.as_ref());
        self.set_task(failure.task.as_ref());
    }

    /// Sets a gap's fields.
    pub fn set_gap(&mut self, gap: &Gap) {
        let reason = match gap.reason {
            GapReason::RingFull => "ring_full",
            GapReason::Recursion => "recursion",
            GapReason::BadRecord => "bad_record",
            GapReason::KernelLog => "kernel_log",
        };
        self.from_mono_ns = Some(gap.from_mono_ns);
        self.lost = gap.lost;
        self.reason = Some(reason.into());
    }
}

/// The name of an error that mkdir may give.
pub fn errno_name(errno: i32) -> Option<&'static str> {
    [
        (Errno::NOMEM, "ENOMEM"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::ACCESS, "EACCES"),
        (Errno::PERM, "EPERM"),
        (Errno::EXIST, "EEXIST"),
        (Errno::NOENT, "ENOENT"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::INVAL, "EINVAL"),
        (Errno::BUSY, "EBUSY"),
        (Errno::ROFS, "EROFS"),
        (Errno::NAMETOOLONG, "ENAMETOOLONG"),
        (Errno::MLINK, "EMLINK"),
        (Errno::LOOP, "ELOOP"),
        (Errno::DQUOT, "EDQUOT"),
        (Errno::INTR, "EINTR"),
        (Errno::IO, "EIO"),
        (Errno::FAULT, "EFAULT"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    ]
    .into_iter()
    .find_map(|(known, name)| (known.raw_os_error() == errno).then_some(name))
}

/// The header as a line. To be written with the same serializer as [`Line`].
#[derive(Debug, Serialize)]
pub struct HeaderLine<'a> {
    time: WallTime,
    mono_ns: u64,
    kind: &'static str,
    #[serde(flatten)]
    header: &'a Header,
}

impl<'a> HeaderLine<'a> {
    /// The header's line; `time` is the run's beginning on both clocks.
    pub fn new(time: Stamp, header: &'a Header) -> Self {
        let Stamp { mono_ns, wall_ns } = time;
        Self {
            time: WallTime(wall_ns),
            mono_ns,
            kind: kind::HEADER,
            header,
        }
    }
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The header, and the run's beginning.
    Header(Stamp, Box<Header>),
    /// A fact.
    Event(Event),
    /// What the tracker says again, given the facts.
    Verdict,
    /// Something from a later version.
    Unknown,
}

/// A line taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it holds.
    pub content: Content,
    /// How many of its fields this version does not know.
    pub unknown_fields: u64,
}

/// A line that holds nothing that could be understood.
#[derive(Debug, thiserror::Error)]
#[error("line {number}: {fault}")]
pub struct LineError {
    /// The line, counted from 1.
    pub number: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug)]
pub enum Fault {
    /// It is no JSON object with these fields.
    Json(serde_json::Error),
    /// A field that its kind cannot do without is not there.
    Missing(&'static str),
    /// It is longer than [`LINE_MAX`].
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => {
                // serde_json counts lines from where it began, which is here: only the column tells something
                let text = error.to_string();
                let text = text
                    .split_once(" at line ")
                    .map_or(&*text, |(text, _)| text);
                write!(f, "column {}: {text}", error.column())
            }
            Self::Missing(field) => write!(f, "no {field}"),
            Self::TooLong => write!(f, "longer than {LINE_MAX} bytes"),
        }
    }
}

/// Takes a line apart. Total: whatever the bytes, it returns. `number` is for the error.
///
/// # Errors
///
/// If nothing can be made of it, though its kind is known.
pub fn parse(line: &[u8], number: u64) -> Result<Parsed, LineError> {
    content(line).map_err(|fault| LineError { number, fault })
}

fn content(bytes: &[u8]) -> Result<Parsed, Fault> {
    let line: Line<'_> = match serde_json::from_slice(bytes) {
        Ok(line) => line,
        Err(error) => return other(bytes).ok_or(Fault::Json(error)),
    };
    let verdict = |content| {
        Ok(Parsed {
            content,
            unknown_fields: 0,
        })
    };
    let fact = match line.kind.as_ref().map(|kind| &*kind.0) {
        None => return Err(Fault::Missing("kind")),
        Some(kind::HEADER) => return header(bytes),
        Some(kind::LEAKED | kind::SUMMARY) => return verdict(Content::Verdict),
        // its removal was found out and not seen: a conclusion, which the tracker reaches again
        Some(kind::OFFLINED) if line.offlined_after_mono_ns.is_some() => {
            return verdict(Content::Verdict);
        }
        Some(kind) => kind,
    };
    if line
        .scope
        .as_ref()
        .is_some_and(|scope| !matches!(&*scope.0, "memcg" | "cgroup"))
    {
        return verdict(Content::Unknown);
    }
    let mut unknown_fields = line.unknown_fields;
    let fact = match fact {
        kind::CREATED => Fact::Created(cgroup(&line)?),
        kind::OFFLINED => Fact::Offlined(cgroup(&line)?),
        kind::FREED | kind::RECOVERED => Fact::Freed(cgroup(&line)?),
        kind::RENAMED => Fact::Renamed(cgroup(&line)?),
        kind::PRESENT => Fact::Present(cgroup(&line)?),
        kind::WALKED => Fact::Walked(Walked {
            began_mono_ns: line.began_mono_ns.ok_or(Fault::Missing("began_mono_ns"))?,
            directories: line.directories.ok_or(Fault::Missing("directories"))?,
            counts: counts(&line),
        }),
        kind::SLAB_FAILURE => Fact::SlabFailure(SlabFailure {
            cache: raw(line.cache.as_ref(), line.cache_hex.as_ref()).map(Bytes::copy_from_slice),
            object_size: line.object_size,
            gfp: line.gfp,
            node: line.node,
            task: task(&line),
        }),
        kind::MKDIR_FAILURE => Fact::MkdirFailure(MkdirFailure {
            path: path(&line),
            cgroup_id: line.cgroup_id,
            parent_id: line.parent_id,
            errno: line.errno,
            task: task(&line),
        }),
        kind::GAP => Fact::Gap(Gap {
            from_mono_ns: line.from_mono_ns.ok_or(Fault::Missing("from_mono_ns"))?,
            lost: line.lost,
            reason: match line.reason.as_ref().map(|reason| &*reason.0) {
                Some("ring_full") => GapReason::RingFull,
                Some("recursion") => GapReason::Recursion,
                Some("bad_record") => GapReason::BadRecord,
                Some("kernel_log") => GapReason::KernelLog,
                // a gap for a reason unheard of is a gap all the same
                _ => {
                    unknown_fields += 1;
                    GapReason::BadRecord
                }
            },
        }),
        kind::TICK => Fact::Tick(counts(&line)),
        _ => return verdict(Content::Unknown),
    };
    let time = stamp(line.time, line.mono_ns)?;
    Ok(Parsed {
        content: Content::Event(Event { time, fact }),
        unknown_fields,
    })
}

/// A line whose fields are not of the types they should be: no fault if its kind is one that has others.
fn other(bytes: &[u8]) -> Option<Parsed> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        kind: Text<'a>,
    }
    let content = match &*serde_json::from_slice::<Kind<'_>>(bytes).ok()?.kind.0 {
        kind::HEADER => return header(bytes).ok(),
        kind::LEAKED | kind::SUMMARY => Content::Verdict,
        kind::CREATED
        | kind::OFFLINED
        | kind::FREED
        | kind::RECOVERED
        | kind::RENAMED
        | kind::PRESENT
        | kind::WALKED
        | kind::SLAB_FAILURE
        | kind::MKDIR_FAILURE
        | kind::GAP
        | kind::TICK => return None,
        _ => Content::Unknown,
    };
    Some(Parsed {
        content,
        unknown_fields: 0,
    })
}

fn header(bytes: &[u8]) -> Result<Parsed, Fault> {
    #[derive(Deserialize)]
    struct Owned {
        time: WallTime,
        mono_ns: u64,
        #[serde(rename = "kind")]
        _kind: IgnoredAny,
        #[serde(flatten)]
        header: Header,
        #[serde(flatten)]
        rest: serde_json::Map<String, serde_json::Value>,
    }
    let line: Owned = serde_json::from_slice(bytes).map_err(Fault::Json)?;
    let time = Stamp {
        mono_ns: line.mono_ns,
        wall_ns: line.time.0,
    };
    Ok(Parsed {
        content: Content::Header(time, Box::new(line.header)),
        unknown_fields: line.rest.len() as u64,
    })
}

fn stamp(time: Option<WallTime>, mono_ns: Option<u64>) -> Result<Stamp, Fault> {
    Ok(Stamp {
        mono_ns: mono_ns.ok_or(Fault::Missing("mono_ns"))?,
        wall_ns: time.ok_or(Fault::Missing("time"))?.0,
    })
}

fn cgroup(line: &Line<'_>) -> Result<Cgroup, Fault> {
    let memcg = line.scope.as_ref().is_some_and(|scope| scope.0 == "memcg");
    Ok(Cgroup {
        id: line.cgroup_id.ok_or(Fault::Missing("cgroup_id"))?,
        parent_id: line.parent_id,
        serial: line.serial,
        memcg_id: line.memcg_id,
        path: path(line),
        memory: line.memory,
        usage_bytes: line.usage_bytes,
        task: task(line),
        scope: if memcg { Scope::Memcg } else { Scope::Cgroup },
    })
}

fn path(line: &Line<'_>) -> Option<Path> {
    let bytes = raw(line.path.as_ref(), line.path_hex.as_ref())?;
    Some(Path {
        bytes: Bytes::copy_from_slice(bytes),
        cut: line.path_cut == Some(true),
    })
}

fn task(line: &Line<'_>) -> Option<Task> {
    let name = raw(line.comm.as_ref(), line.comm_hex.as_ref());
    if name.is_none() && line.pid.is_none() {
        return None;
    }
    let mut comm = [0; 16];
    comm.iter_mut()
        .zip(name.unwrap_or_default())
        .for_each(|(to, from)| *to = *from);
    Some(Task {
        pid: line.pid.unwrap_or(0),
        comm,
    })
}

fn counts(line: &Line<'_>) -> Counts {
    let &Line {
        num_cgroups,
        dying,
        dying_memory,
        ..
    } = line;
    Counts {
        num_cgroups,
        dying,
        dying_memory,
    }
}

/// A name's bytes: what is in hex is exact.
fn raw<'a>(text: Option<&'a Text<'_>>, hex: Option<&'a Hex<'_>>) -> Option<&'a [u8]> {
    let hex = hex.map(|Hex(bytes)| match bytes {
        Cow::Borrowed(bytes) => *bytes,
        Cow::Owned(bytes) => bytes,
    });
    hex.or(text.map(|text| text.0.as_bytes()))
}
