//! What recorded traces say of failures: evidence of what has been, with the file and the line.

use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{Evidence, Provenance},
    event::{MkdirFailure, SlabFailure, json::errno_name},
};

/// So many different groups are told apart: names come from outside.
const GROUPS: usize = 1000;

/// `ENOMEM` and `ENOSPC`: what `mkdir` gives where no memcg can be made.
const OURS: [i32; 2] = [12, 28];

/// What the traces say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// The traces' files.
    pub files: Vec<String>,
    /// How long somebody watched, in nanoseconds.
    pub watched_ns: u64,
    /// So many more ids were in use after a day, at the pace of the last run; `None` where that cannot be told.
    pub ids_a_day: Option<u64>,
    /// Memory cgroups that could not be made, by error and parent, most first.
    pub mkdir: Vec<TracedFailures<MkdirRefusal>>,
    /// Slab allocations that failed, by cache, most first.
    pub slab: Vec<TracedFailures<String>>,
}

/// Why a memory cgroup could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MkdirRefusal {
    /// By this error (`errno.h`).
    Errno(i32),
    /// The kernel rolled it back, and the hook does not tell the error: it was `ENOMEM` or `ENOSPC`.
    RolledBack,
}

impl From<&MkdirRefusal> for Arg {
    fn from(refusal: &MkdirRefusal) -> Self {
        match *refusal {
            MkdirRefusal::Errno(errno) => {
                errno_name(errno).map_or_else(|| errno.to_string().into(), Self::from)
            }
            MkdirRefusal::RolledBack => Message::new(say::REASON_ROLLED_BACK).into(),
        }
    }
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedFailures<T> {
    /// The error of mkdir, or the slab cache.
    pub what: T,
    /// Where: the directory above; empty for slab caches.
    pub place: String,
    /// How many.
    pub count: u64,
    /// When the first was, in nanoseconds since the Unix epoch.
    pub first_ns: i64,
    /// When the last was.
    pub last_ns: i64,
    /// Where the first stands.
    pub first: Evidence,
    /// Where the last stands.
    pub last: Evidence,
}

impl Traced {
    /// Takes in a memory cgroup that could not be made.
    pub fn mkdir(&mut self, at: &Provenance, wall_ns: i64, failure: &MkdirFailure) {
        let what = match failure.errno {
            Some(errno) if OURS.contains(&errno) => MkdirRefusal::Errno(errno),
            // Other errors are the caller's own: a limit on the number of cgroups, a name that is taken.
            Some(_) => return,
            None => MkdirRefusal::RolledBack,
        };
        let path = failure.path.as_ref();
        let path = path.map_or_else(|| "?".to_owned(), |path| text(&path.bytes));
        let place = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let place = if place.is_empty() { "/" } else { place }.to_owned();
        let task = failure.task.map(|task| text(task.comm()));
        let says = match task {
            Some(task) => Message::new(say::TRACED_MKDIR_BY).arg("task", task),
            None => Message::new(say::TRACED_MKDIR),
        };
        let says = says.arg("path", path).arg("error", &what);
        add(&mut self.mkdir, what, place, wall_ns, at, says);
    }

    /// Takes in a slab allocation that failed.
    pub fn slab(&mut self, at: &Provenance, wall_ns: i64, failure: &SlabFailure) {
        let cache = failure.cache.as_deref().unwrap_or(b"?");
        let what = failure.owned_cache().map_or(cache, |owned| owned.cache);
        let says = Message::new(say::TRACED_SLAB).arg("cache", text(cache));
        add(&mut self.slab, text(what), String::new(), wall_ns, at, says);
    }

    /// Puts the most frequent first: once all is taken in.
    pub fn sort(&mut self) {
        sort(&mut self.mkdir);
        sort(&mut self.slab);
    }
}

fn sort<T>(groups: &mut [TracedFailures<T>]) {
    groups.sort_by(|a, b| b.count.cmp(&a.count).then(a.first_ns.cmp(&b.first_ns)));
}

/// Counts a failure with those of its kind.
fn add<T: PartialEq>(
    groups: &mut Vec<TracedFailures<T>>,
    what: T,
    place: String,
    wall_ns: i64,
    at: &Provenance,
    says: Message,
) {
    let here = Evidence {
        at: at.clone(),
        says: says.into(),
    };
    let known = groups
        .iter()
        .position(|group| group.what == what && group.place == place);
    // What is beyond the last group is counted with it.
    let known = known.or_else(|| {
        groups
            .len()
            .checked_sub(1)
            .filter(|&last| last + 1 == GROUPS)
    });
    match known.and_then(|at| groups.get_mut(at)) {
        Some(group) => {
            group.count += 1;
            if wall_ns < group.first_ns {
                (group.first_ns, group.first) = (wall_ns, here);
            } else if wall_ns >= group.last_ns {
                (group.last_ns, group.last) = (wall_ns, here);
            }
        }
        None => groups.push(TracedFailures {
            what,
            place,
            count: 1,
            first_ns: wall_ns,
            last_ns: wall_ns,
            first: here.clone(),
            last: here,
        }),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Path, Task};

    fn mkdir(path: &str, errno: Option<i32>) -> MkdirFailure {
        let task = Task {
            pid: 7,
            comm: *b"runc\0\0\0\0\0\0\0\0\0\0\0\0",
        };
        MkdirFailure {
            path: Some(Path::whole(path.as_bytes().to_vec())),
            errno,
            task: Some(task),
            ..MkdirFailure::default()
        }
    }

    #[test]
    fn failures_are_grouped_with_their_lines() {
        use MkdirRefusal::{Errno, RolledBack};
        let mut traced = Traced::default();
        let at = |line| Provenance::Trace("t.jsonl".to_owned(), Some(line));
        for (line, wall_ns, path, errno) in [
            (2, 30, "/kubepods/pod1", None),
            (3, 50, "/kubepods/pod3", Some(12)),
            (4, 40, "/kubepods/pod2", Some(12)),
            (5, 60, "/kubepods/pod4", Some(11)),
            (7, 20, "/a", Some(28)),
            (8, 45, "/kubepods/pod5", Some(12)),
        ] {
            traced.mkdir(&at(line), wall_ns, &mkdir(path, errno));
        }
        let slab = SlabFailure {
            cache: Some(b"dentry(3:c1)"[..].into()),
            ..SlabFailure::default()
        };
        traced.slab(&at(6), 0, &slab);
        traced.sort();
        let told: Vec<_> = traced
            .mkdir
            .iter()
            .map(|group| {
                (
                    (group.what, &group.place[..], group.count),
                    (group.first_ns, group.first.at.line()),
                    (group.last_ns, group.last.at.line()),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ((Errno(12), "/kubepods", 3), (40, Some(4)), (50, Some(3))),
                ((Errno(28), "/", 1), (20, Some(7)), (20, Some(7))),
                ((RolledBack, "/kubepods", 1), (30, Some(2)), (30, Some(2))),
            ]
        );
        assert_eq!(
            traced.mkdir[0].last.says,
            Message::new(say::TRACED_MKDIR_BY)
                .arg("task", "runc")
                .arg("path", "/kubepods/pod3")
                .arg("error", "ENOMEM")
                .into()
        );
        assert_eq!(
            (&traced.slab[0].what[..], traced.slab[0].count),
            ("dentry", 1)
        );
    }
}
