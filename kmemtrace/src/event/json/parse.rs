//! A line taken apart: its fact back from its fields.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};

use super::{Hex, LINE_MAX, Line, Text, WallTime, kind, proof, state};
use crate::event::{
    Carried, CarriedZombie, Cgroup, Counted, Counts, Event, Fact, Gap, GapReason, Holds,
    MkdirFailure, Path, Pod, Proof, Scope, SlabFailure, SlabPin, Stamp, Task, Walked,
    header::Header, sense::Nonsense,
};

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The header, and the run's beginning.
    Header(Stamp, Box<Header>),
    /// A fact.
    Event(Event),
    /// A run's summary. What it sums up the tracker says again, given the facts; its time they do not tell.
    End(Stamp),
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
    /// It is no header, and none came before it.
    NoHeader,
    /// It is older than what came before it, by so many nanoseconds.
    Disorder(u64),
    /// It tells what no kernel does.
    Nonsense(Nonsense),
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
            Self::Nonsense(nonsense) => nonsense.fmt(f),
            Self::NoHeader => f.write_str("no header before it"),
            Self::Disorder(ns) => write!(
                f,
                "{:.1} s older than the lines before it: lines are missing or out of order",
                *ns as f64 / 1e9
            ),
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
    let mut line = Line::default();
    if let Err(error) = line.read(bytes) {
        return other(bytes).ok_or(Fault::Json(error));
    }
    let verdict = |content| {
        Ok(Parsed {
            content,
            unknown_fields: 0,
        })
    };
    let fact = match line.kind.as_ref().map(|kind| &*kind.0) {
        None => return Err(Fault::Missing("kind")),
        Some(kind::HEADER) => return header(bytes),
        Some(kind::LEAKED) => return verdict(Content::Verdict),
        Some(kind::SUMMARY) => {
            let end = stamp(line.time, line.mono_ns);
            return verdict(end.map_or(Content::Verdict, Content::End));
        }
        // its removal was found out by a walk: a conclusion, which the tracker reaches again
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
        kind::ZOMBIE => Fact::Zombie(cgroup(&line)?),
        kind::WALKED => Fact::Walked(Walked {
            began_mono_ns: line.began_mono_ns.ok_or(Fault::Missing("began_mono_ns"))?,
            directories: line.directories.ok_or(Fault::Missing("directories"))?,
            zombies: line.zombies_named,
            counts: counts(&line),
        }),
        kind::SLAB_FAILURE => Fact::SlabFailure(SlabFailure {
            cache: raw(line.cache.as_ref(), line.cache_hex.as_ref()).map(Bytes::copy_from_slice),
            object_size: line.object_size,
            buffer_size: line.buffer_size,
            order: line.order,
            min_order: line.min_order,
            gfp: line.gfp,
            gfp_flags: line.gfp_flags.as_ref().map(|flags| flags.0.to_string()),
            node: line.node,
            cpu: line.cpu,
            nodes: line.nodes.as_deref().map(<[_]>::to_vec).unwrap_or_default(),
            suppressed: line.suppressed,
            task: doer(&line),
        }),
        kind::MKDIR_FAILURE => Fact::MkdirFailure(MkdirFailure {
            path: path(&line),
            cgroup_id: line.cgroup_id,
            parent_id: line.parent_id,
            errno: line.errno,
            task: doer(&line),
        }),
        kind::GAP => Fact::Gap(Gap {
            from_mono_ns: line.from_mono_ns.ok_or(Fault::Missing("from_mono_ns"))?,
            lost: line.lost,
            reason: {
                let named = line
                    .reason
                    .as_ref()
                    .and_then(|reason| GapReason::named(&reason.0));
                // a gap for a reason unheard of is a gap all the same
                unknown_fields += u64::from(named.is_none());
                named.unwrap_or(GapReason::BadRecord)
            },
            counted: line
                .tracked_zombies
                .zip(line.kernel_zombies)
                .map(|(tracked, kernel)| Counted { tracked, kernel }),
        }),
        kind::TICK => Fact::Tick(counts(&line)),
        kind::CARRIED => Fact::Carried(Box::new(carried(&line)?)),
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
        | kind::ZOMBIE
        | kind::WALKED
        | kind::SLAB_FAILURE
        | kind::MKDIR_FAILURE
        | kind::GAP
        | kind::TICK
        | kind::CARRIED => return None,
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
    if line.cgroup_id.is_none() && line.kmemcg_id.is_none() {
        return Err(Fault::Missing("cgroup_id"));
    }
    let memcg = line.scope.as_ref().is_some_and(|scope| scope.0 == "memcg");
    Ok(Cgroup {
        id: line.cgroup_id,
        parent_id: line.parent_id,
        serial: line.serial,
        memcg_id: line.memcg_id,
        kmemcg_id: line.kmemcg_id.and_then(|id| id.try_into().ok()),
        slab: line.slab_caches.map(|caches| {
            Box::new(SlabPin {
                caches,
                objects: line.slab_objects,
                bytes: line.slab_bytes,
            })
        }),
        holds: line.dead_children.map(|dead_children| {
            Box::new(Holds {
                file_bytes: line.file_bytes,
                anon_bytes: line.anon_bytes,
                unevictable_bytes: line.unevictable_bytes,
                shmem_bytes: line.shmem_bytes,
                tcpmem_bytes: line.tcpmem_bytes,
                swap_bytes: line.swap_bytes,
                keeps_id: line.keeps_id,
                refcount: line.refcount,
                dead_children,
            })
        }),
        path: path(line),
        pod: line.pod_namespace.as_ref().zip(line.pod_name.as_ref()).map(
            |(Text(namespace), Text(name))| {
                Arc::new(Pod {
                    namespace: namespace.clone().into_owned(),
                    name: name.clone().into_owned(),
                })
            },
        ),
        memory: line.memory,
        usage_bytes: line.usage_bytes,
        task: doer(line),
        scope: if memcg { Scope::Memcg } else { Scope::Cgroup },
        after_ns: line.after_mono_ns,
    })
}

fn carried(line: &Line<'_>) -> Result<Carried, Fault> {
    let state = line.state.as_ref().ok_or(Fault::Missing("state"))?;
    let since_ns = line.offlined_mono_ns;
    Ok(Carried {
        cgroup: cgroup(line)?,
        generation: line.generation.unwrap_or(0),
        created_ns: line.created_mono_ns,
        creator: task(
            line.creator_pid,
            line.creator_comm.as_ref(),
            line.creator_comm_hex.as_ref(),
        ),
        zombie: if state.0 == state::LIVE {
            None
        } else {
            Some(CarriedZombie {
                since_ns: since_ns.ok_or(Fault::Missing("offlined_mono_ns"))?,
                after_ns: line.offlined_after_mono_ns,
                proof: match line.proof.as_ref().map(|proof| &*proof.0) {
                    None => Proof::Followed,
                    Some(proof::NOTHING) => Proof::Nothing,
                    // whatever else a later version may tell it by, here the count does
                    Some(_) => Proof::Counted,
                },
                leaked: state.0 == state::LEAKED,
            })
        },
    })
}

fn path(line: &Line<'_>) -> Option<Path> {
    let bytes = raw(line.path.as_ref(), line.path_hex.as_ref())?;
    Some(Path {
        bytes: Bytes::copy_from_slice(bytes),
        cut: line.path_cut == Some(true),
    })
}

/// The task that did it.
fn doer(line: &Line<'_>) -> Option<Task> {
    task(line.pid, line.comm.as_ref(), line.comm_hex.as_ref())
}

fn task(pid: Option<u32>, comm: Option<&Text<'_>>, hex: Option<&Hex<'_>>) -> Option<Task> {
    let name = raw(comm, hex);
    if name.is_none() && pid.is_none() {
        return None;
    }
    let mut comm = [0; 16];
    comm.iter_mut()
        .zip(name.unwrap_or_default())
        .for_each(|(to, from)| *to = *from);
    Some(Task {
        pid: pid.unwrap_or(0),
        comm,
    })
}

fn counts(line: &Line<'_>) -> Counts {
    let &Line {
        num_cgroups,
        dying,
        dying_memory,
        held_bytes,
        kmemcg_peak,
        ids_peak,
        ..
    } = line;
    Counts {
        num_cgroups,
        dying,
        dying_memory,
        held_bytes,
        kmemcg_peak,
        ids_peak,
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
