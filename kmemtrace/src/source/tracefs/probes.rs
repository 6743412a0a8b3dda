//! Lives followed by the kernel's pointers, where there are no tracepoints of cgroups: a state machine of the probes' lines.
//!
//! ```text
//! mkdir, up1, up2, ...  a task enters cgroup_mkdir: of any hierarchy; the directory's name and those above it, in any order
//!   alloc, alloc_return   the same task in mem_cgroup_css_alloc: so it is the memory hierarchy; the memcg, or the error
//! mkdir_return          0, or the error
//! offline               from 3.15 on: the memcg goes offline, in a kernel worker, tens of milliseconds after the rmdir
//! destroy, _return      to 3.14: the cgroup's directory is removed, by whoever called rmdir; alloc had the same pointer
//! free                  the memcg's end
//! ```
//!
//! Of a directory the lines have the names on its path, and pointers. What its id is, a look at the directories tells: so what
//! follows a birth is kept as steps until there was one ([`Probes::tell`]). A directory that is gone by then gets a
//! number above all inode numbers, and the path that the lines have. Where two births may be either of two directories, nothing is
//! claimed of them: the walk will find them.

mod births;
mod call;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

pub(super) use self::births::FoundDirectory;
use self::{births::BirthDirectory, call::Call};
use super::{
    directories::Lookup,
    line::{TraceRecord, hex, signed, string},
    tracepoints::NAMELESS,
};
use crate::{
    event::{Cgroup, Fact, MkdirFailure, Path, Scope, Task, sense},
    host::Version,
};

/// `EAGAIN`: `cgroup.max.descendants` or `cgroup.max.depth` refused it.
const AGAIN: i32 = 11;

/// The state machine.
#[derive(Debug)]
pub(super) struct Probes {
    /// Tell of failed mkdirs only: lives are seen in another way.
    failures_only: bool,
    version: Version,
    calls: HashMap<u32, Call>,
    /// To 3.14: the removals in progress, the cgroup by the task, and the memcg of each cgroup.
    removals: HashMap<u32, u64>,
    memcgs: HashMap<u64, u64>,
    /// Memcgs of mkdirs that failed.
    rolled_back: HashSet<u64>,
    /// Memcgs that were there before, and have gone offline.
    strangers: HashSet<u64>,
    lives: HashMap<u64, KnownCgroup>,
    /// The directories of the lives.
    claimed: HashSet<u64>,
    steps: Vec<(u64, PointerEvent)>,
    nameless: u64,
    missed: bool,
}

/// What is known of a memcg by its pointer; nothing, where its directory may be one of several.
type KnownCgroup = Option<Cgroup>;

/// What happened to a pointer.
#[derive(Debug)]
enum PointerEvent {
    Made { memcg: u64, call: Box<Call> },
    Removed { memcg: u64, task: Option<Task> },
    Freed { memcg: u64 },
    Failed(MkdirFailure),
}

impl Probes {
    /// `failures_only` if lives are seen in another way.
    pub(super) fn new(failures_only: bool, version: Version) -> Self {
        Self {
            failures_only,
            version,
            calls: HashMap::new(),
            removals: HashMap::new(),
            memcgs: HashMap::new(),
            rolled_back: HashSet::new(),
            strangers: HashSet::new(),
            lives: HashMap::new(),
            claimed: HashSet::new(),
            steps: Vec::new(),
            nameless: 0,
            missed: false,
        }
    }

    /// Takes a line in; `time_ns` is its time by `CLOCK_MONOTONIC`. Whether it is one of these probes'.
    pub(super) fn take(
        &mut self,
        record: &TraceRecord<'_>,
        time_ns: u64,
        task: impl FnOnce() -> Option<Task>,
    ) -> bool {
        let text = record.text;
        let thread = record.thread.map_or(0, |thread| thread.id);
        if let Some(level) = call::level(record.event) {
            let name = string(text, "name").map(Bytes::copy_from_slice);
            self.entered(thread, level, name, time_ns, task);
            return true;
        }
        if !tells_pointers(text) {
            return false;
        }
        match record.event {
            b"alloc" => {
                if let Some(call) = self.calls.get_mut(&thread) {
                    call.arg = hex(text, "arg");
                }
            }
            b"alloc_return" => self.allocated(thread, hex(text, "memcg"), time_ns),
            b"mkdir_return" => {
                if let Some(call) = self.calls.remove(&thread) {
                    self.returned(call, signed(text, "ret"), time_ns);
                }
            }
            b"offline" => {
                if let Some(memcg) = hex(text, "memcg") {
                    self.removed(memcg, None, time_ns);
                }
            }
            b"destroy" => {
                // In a mkdir it is the rolling back.
                if let Some(cgroup) = hex(text, "cgroup")
                    && !self.calls.contains_key(&thread)
                {
                    self.removals.insert(thread, cgroup);
                }
            }
            b"destroy_return" => {
                if let Some(cgroup) = self.removals.remove(&thread)
                    && signed(text, "ret") == Some(0)
                {
                    match self.memcgs.remove(&cgroup) {
                        Some(memcg) => self.removed(memcg, task(), time_ns),
                        None => self.missed = true,
                    }
                }
            }
            b"free" => {
                // Of a stranger the walk has told, and the kernel's counts will.
                if let Some(memcg) = hex(text, "memcg")
                    && !self.rolled_back.remove(&memcg)
                    && !self.strangers.remove(&memcg)
                {
                    self.steps.push((time_ns, PointerEvent::Freed { memcg }));
                }
            }
            _ => return false,
        }
        true
    }

    /// A task is in `cgroup_mkdir`: the name so many levels above the new directory.
    fn entered(
        &mut self,
        thread: u32,
        level: usize,
        name: Option<Bytes>,
        time_ns: u64,
        task: impl FnOnce() -> Option<Task>,
    ) {
        let entering = self.calls.get_mut(&thread);
        if let Some(call) = entering.filter(|call| call.is_entering(level)) {
            call.enter(level, name);
            return;
        }
        let mut call = Call::new(time_ns, task());
        call.enter(level, name);
        if let Some(call) = self.calls.insert(thread, call) {
            // Its return was missed.
            self.returned(call, None, time_ns);
        }
    }

    fn allocated(&mut self, thread: u32, memcg: Option<u64>, time_ns: u64) {
        // Outside of a mkdir: on v2, `+memory` was written.
        let (Some(call), Some(memcg)) = (self.calls.get_mut(&thread), memcg) else {
            return;
        };
        // ERR_PTR: the last page's addresses are error numbers.
        let error = memcg.cast_signed();
        call.memcg = Some(if (-4095..0).contains(&error) {
            Err(-(error as i32))
        } else {
            Ok(memcg)
        });
        if call.memcg == Some(Ok(memcg)) {
            // Given out again: if it was known, its end was missed.
            self.rolled_back.remove(&memcg);
            self.strangers.remove(&memcg);
            if self.knows(memcg) {
                self.steps.push((time_ns, PointerEvent::Freed { memcg }));
            }
        }
    }

    /// Whether a pointer is a life's, told or still to be told.
    fn knows(&self, memcg: u64) -> bool {
        let steps = self.steps.iter().rev();
        let last = steps.filter_map(|(_, step)| match step {
            PointerEvent::Made { memcg: other, .. } => (*other == memcg).then_some(true),
            PointerEvent::Freed { memcg: other } => (*other == memcg).then_some(false),
            _ => None,
        });
        let mut last = last;
        last.next()
            .unwrap_or_else(|| self.lives.contains_key(&memcg))
    }

    /// The end of a mkdir; `ret` is what it returned, if that was seen.
    fn returned(&mut self, call: Call, ret: Option<i32>, time_ns: u64) {
        let Some(memcg) = call.memcg else {
            // Not of the memory hierarchy, or refused before anything was made: that is not known but where only cgroup v2
            // refuses so (`cgroup_check_hierarchy_limits`).
            if ret == Some(-AGAIN) && self.version == Version::V2 {
                self.steps
                    .push((time_ns, PointerEvent::Failed(failed(&call, AGAIN))));
            }
            return;
        };
        match (memcg, ret) {
            (memcg, Some(error @ ..0)) => {
                if let Ok(memcg) = memcg
                    && !self.failures_only
                {
                    self.rolled_back.insert(memcg);
                }
                let failure = failed(&call, error.saturating_neg());
                self.steps.push((time_ns, PointerEvent::Failed(failure)));
            }
            (Ok(memcg), _) if !self.failures_only => {
                if let Some(cgroup) = call.arg {
                    self.memcgs.insert(cgroup, memcg);
                }
                let call = Box::new(call);
                self.steps
                    .push((time_ns, PointerEvent::Made { memcg, call }));
            }
            _ => {}
        }
    }

    fn removed(&mut self, memcg: u64, task: Option<Task>, time_ns: u64) {
        if self.failures_only || self.rolled_back.contains(&memcg) {
            return;
        }
        if self.knows(memcg) {
            self.steps
                .push((time_ns, PointerEvent::Removed { memcg, task }));
        } else {
            self.strangers.insert(memcg);
            self.missed = true;
        }
    }

    /// Whether the steps so far ask for a look at the directories before they are told.
    pub(super) fn wants_look(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|(_, step)| matches!(step, PointerEvent::Made { .. }))
    }

    /// Whether all steps have been told.
    pub(super) fn is_told(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a cgroup was removed of which nothing is known: only a walk tells which. Answered with yes once.
    pub(super) fn missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// The facts of the steps so far, with their times; `found` is what directories there are.
    pub(super) fn tell(
        &mut self,
        found: &[FoundDirectory],
        look: &mut impl Lookup,
    ) -> Vec<(u64, Fact)> {
        let steps = std::mem::take(&mut self.steps);
        let directories = births::directories(&steps, found, &self.claimed);
        let mut facts = Vec::with_capacity(steps.len());
        for (at, (time_ns, step)) in steps.into_iter().enumerate() {
            let fact = match step {
                PointerEvent::Made { memcg, call } => {
                    let life = match directories.get(&at) {
                        Some(BirthDirectory::One(n)) => found.get(*n).map(known),
                        Some(BirthDirectory::Gone) => Some(self.gone(&call)),
                        Some(BirthDirectory::OneOfSeveral) | None => None,
                    };
                    if let Some(cgroup) = &life {
                        self.claimed.extend(cgroup.id);
                    }
                    self.lives.insert(memcg, life.clone());
                    life.map(|cgroup| {
                        let task = call.task;
                        Fact::Created(Cgroup { task, ..cgroup })
                    })
                }
                PointerEvent::Removed { memcg, task } => {
                    let life = self.lives.get_mut(&memcg).and_then(Option::as_mut);
                    life.map(|cgroup| {
                        cgroup.id.map(|id| self.claimed.remove(&id));
                        cgroup.scope = scope(cgroup, look);
                        Fact::Offlined(Cgroup {
                            task,
                            ..cgroup.clone()
                        })
                    })
                }
                PointerEvent::Freed { memcg } => match self.lives.remove(&memcg) {
                    Some(life) => life.map(|cgroup| {
                        cgroup.id.map(|id| self.claimed.remove(&id));
                        Fact::Freed(cgroup)
                    }),
                    // One from before the start.
                    None => Some(Fact::Freed(Cgroup {
                        id: Some(self.nameless()),
                        memory: Some(true),
                        ..Cgroup::default()
                    })),
                },
                PointerEvent::Failed(failure) => Some(Fact::MkdirFailure(failure)),
            };
            facts.extend(fact.map(|fact| (time_ns, fact)));
        }
        facts
    }

    fn nameless(&mut self) -> u64 {
        self.nameless += 1;
        NAMELESS + self.nameless
    }

    /// One that was gone before it could be looked at.
    fn gone(&mut self, call: &Call) -> Cgroup {
        Cgroup {
            id: Some(self.nameless()),
            path: call.path(),
            memory: Some(true),
            ..Cgroup::default()
        }
    }
}

fn known(found: &FoundDirectory) -> Cgroup {
    Cgroup {
        id: Some(found.id),
        parent_id: found.parent_id,
        path: Some(Path::whole(found.path.clone())),
        memory: Some(true),
        ..Cgroup::default()
    }
}

/// Whether what a line has as pointers are addresses of the kernel's: what has an address is no memcg's by that alone, what has
/// none is nobody's. `NULL` is the parent of the root's memcg.
fn tells_pointers(text: &[u8]) -> bool {
    ["memcg", "cgroup", "arg"].into_iter().all(|name| {
        let told = hex(text, name).filter(|&pointer| name != "arg" || pointer != 0);
        told.is_none_or(|pointer| sense::pointer(pointer).is_ok())
    })
}

/// On v2 a memcg can go and its directory stay (`-memory`).
fn scope(cgroup: &Cgroup, look: &mut impl Lookup) -> Scope {
    let path = cgroup.path.as_ref().filter(|path| !path.cut);
    match path.and_then(|path| look.inode(&path.bytes)) {
        Some(inode) if Some(inode) == cgroup.id => Scope::Memcg,
        _ => Scope::Cgroup,
    }
}

fn failed(call: &Call, errno: i32) -> MkdirFailure {
    MkdirFailure {
        path: call.path(),
        errno: Some(errno),
        task: call.task,
        ..MkdirFailure::default()
    }
}

#[cfg(test)]
mod tests;
