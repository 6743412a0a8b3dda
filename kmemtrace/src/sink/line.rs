//! A change as a line: the fields of its fact, what the tracker knows beyond it, and what follows from its path and from the
//! run's header. JSON lines and the tables of `export` are made of it.

use crate::{
    attribution::{PodUid, Qos, Runtime, owner},
    event::{
        Path,
        header::Header,
        json::{Line, Text, kind},
    },
    tracker::{Change, Subject, What},
};

/// Makes lines of one run's changes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    hierarchy: Option<String>,
    hostname: Option<String>,
}

impl Lines {
    /// Of the run with this header; `names_host` where lines of several nodes come together.
    pub(super) fn of(header: &Header, names_host: bool) -> Self {
        Self {
            hierarchy: header.hierarchy.clone(),
            hostname: header.hostname.clone().filter(|_| names_host),
        }
    }

    /// The node, if lines name it.
    pub(super) fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// Gives a change's line to `take`. `None` for a summary, which has other fields.
    pub(super) fn line<R>(&self, change: &Change, take: impl FnOnce(&Line<'_>) -> R) -> Option<R> {
        let path = path(&change.what);
        let owner = path.map(|path| owner(&path.bytes)).unwrap_or_default();
        let mut line = Line::default();
        let kind = set(&mut line, &change.what)?;
        line.begin(change.time, kind);
        let of_cgroup = line.cgroup_id.is_some() || path.is_some();
        let hierarchy = self.hierarchy.as_deref().filter(|_| of_cgroup);
        line.hierarchy = hierarchy.map(Text::from);
        line.hostname = self.hostname.as_deref().map(Text::from);
        line.pod_uid = owner.pod_uid.as_ref().map(PodUid::as_str).map(Text::from);
        line.container_id = owner.container_id.map(Text::from);
        line.qos = owner.qos.map(Qos::as_str).map(Text::from);
        line.runtime = owner.runtime.map(Runtime::as_str).map(Text::from);
        line.owner_name = owner.name.map(Text::from);
        line.unit = owner.unit.map(Text::from);
        line.live = Some(change.totals.live);
        line.zombies = Some(change.totals.zombies);
        line.leaked = Some(change.totals.leaked);
        Some(take(&line))
    }
}

/// The path of the cgroup that a change is about.
fn path(what: &What) -> Option<&Path> {
    match what {
        What::Created(subject)
        | What::Offlined(subject)
        | What::Freed(subject)
        | What::Renamed(subject)
        | What::Leaked(subject)
        | What::Recovered(subject)
        | What::Present(subject)
        | What::Zombie(subject) => subject.cgroup.path.as_ref(),
        What::MkdirFailure(failure) => failure.path.as_ref(),
        What::LeakedUnseen { .. }
        | What::Walked { .. }
        | What::SlabFailure(_)
        | What::Gap(_)
        | What::Tick(_)
        | What::Summary(_) => None,
    }
}

/// Sets the fields of what changed; returns its kind.
fn set<'a>(line: &mut Line<'a>, what: &'a What) -> Option<&'static str> {
    let (kind, subject) = match what {
        What::Created(subject) => (kind::CREATED, subject),
        What::Offlined(subject) => (kind::OFFLINED, subject),
        What::Freed(subject) => (kind::FREED, subject),
        What::Renamed(subject) => (kind::RENAMED, subject),
        What::Leaked(subject) => (kind::LEAKED, subject),
        What::Recovered(subject) => (kind::RECOVERED, subject),
        What::Present(subject) => (kind::PRESENT, subject),
        What::Zombie(subject) => (kind::ZOMBIE, subject),
        What::LeakedUnseen { zombies } => {
            line.by_count = Some(*zombies);
            return Some(kind::LEAKED);
        }
        What::MkdirFailure(failure) => {
            line.set_mkdir_failure(failure);
            return Some(kind::MKDIR_FAILURE);
        }
        What::Walked { walked, .. } => {
            line.set_walked(walked);
            return Some(kind::WALKED);
        }
        What::SlabFailure(failure) => {
            line.set_slab_failure(failure);
            return Some(kind::SLAB_FAILURE);
        }
        What::Gap(gap) => {
            line.set_gap(gap);
            return Some(kind::GAP);
        }
        What::Tick(counts) => {
            line.set_counts(counts);
            return Some(kind::TICK);
        }
        What::Summary(_) => return None,
    };
    set_subject(line, subject);
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
    Some(kind)
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
