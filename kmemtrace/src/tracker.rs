//! The state machine: facts in, changes out. It reads no clock, no file, no map, and awaits nothing, so a replayed trace
//! gives what the live run gave.
//!
//! A memcg is known by its cgroup's id and a *generation*: on v2 one cgroup can lose its memcg and get another while the
//! first still dies, and before 5.5 the kernel gives ids out again. Within a generation
//!
//! ```text
//!   created --> live --offlined--> zombie --freed--> gone
//!                                    | grace            ^
//!                                    +--> leaked -------+ recovered
//! ```
//!
//! What the events do not cover, counts do. Zombies whose end the tracker would have seen are *certain*; the others (there
//! before it started, or with their end possibly lost in a gap) are only counted, in a *pool* that the kernel's own counts
//! set and that every free outside the certain ones takes one from. So the sum is the kernel's, always; a name is
//! claimed only where it is known.

mod by_count;
mod counts;
mod entry;
mod forecast;
mod freed_ids;
mod key;
mod leaked;
mod lifecycle;
mod path;
mod pin;
mod ranking;
mod resync;
mod status;
mod summary;
mod surplus;
mod table;
mod tally;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, time::Duration};

use by_count::Polled;
use counts::Check;
use entry::MemcgEntry;
pub use entry::{ByCount, Subject};
pub use forecast::{Amounts, Forecast, HeldBytes, LeakCount, Range};
use freed_ids::FreedIds;
use key::{Id, Key};
pub(crate) use leaked::owner;
pub use pin::{Pin, Pinned, Trend, reclaimable};
pub use status::{Lives, Status, ZombieCounts};
pub use summary::{CreatorCount, Delays, OwnerCount, PinCount, Summary, SuspectCount};
use surplus::Surplus;
use table::Table;
use tally::Counters;
pub use tally::{Lifetimes, Repeated};

use crate::event::{
    Carried, Cgroup, Counted, Counts, Event, Fact, Gap, GapReason, MkdirFailure, Proof, Scope,
    SlabFailure, Stamp, Walked, Wanted, header::Header, nanos,
};
pub use crate::judge::Kept;

/// How long the totals and the kernel's counts may differ before a walk is wanted, in nanoseconds: something was lost without a
/// trace.
const DIFFERS_NS: u64 = 30_000_000_000;

/// What became of a fact, and where things stand after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The time of the fact that made the change.
    pub time: Stamp,
    /// What changed.
    pub what: What,
    /// The totals after it.
    pub totals: Totals,
}

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A memcg came to life.
    Created(Subject),
    /// It was removed: a zombie from now on.
    Offlined(Subject),
    /// It is gone for good.
    Freed(Subject),
    /// Its directory has another name.
    Renamed(Subject),
    /// It has been a zombie for longer than the grace time.
    Leaked(Subject),
    /// It was called leaked, and has been freed after all.
    Recovered(Subject),
    /// A directory that was there already.
    Present(Subject),
    /// It is a zombie, as is seen by what it holds.
    Zombie(Subject),
    /// The kernel has counted so many more zombies for longer than the grace time, and no poll saw them alive.
    LeakedUnseen {
        /// How many.
        zombies: u64,
    },
    /// A walk of the directories ended.
    Walked {
        /// The walk.
        walked: Walked,
        /// Which of the run's walks it was, from 1.
        number: u32,
    },
    /// The slab allocator failed.
    SlabFailure(SlabFailure),
    /// A cgroup could not be made.
    MkdirFailure(MkdirFailure),
    /// Events may have been lost.
    Gap(Gap),
    /// Time went by; what the kernel counts, where it was asked.
    Tick(Counts),
    /// The end of the run.
    Summary(Box<Summary>),
}

/// Where things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Totals {
    /// Memcgs whose directory exists, the root's included.
    pub live: u64,
    /// Memcgs without directory, not freed.
    pub zombies: u64,
    /// Those of them that are called leaked.
    pub leaked: u64,
}

/// How a tracker judges.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a zombie may last before it is called leaked.
    pub grace: Duration,
    /// The facts come from polls, which see no memcg freed and not every one made.
    pub polled: bool,
    /// Whether zombies keep their ids there.
    pub kept: Kept,
}

/// The state of all memory cgroups, as far as the facts so far tell.
#[derive(Debug)]
pub struct Tracker {
    /// What is in force.
    header: Option<Box<Header>>,
    now: Stamp,
    table: Table,
    freed: FreedIds,
    check: Check,
    surplus: Surplus,
    /// The zombies by the last count, and by the events up to it.
    counted: Option<Counted>,
    /// The number of the next walk to end.
    walk: u32,
    /// When the last gap ended.
    gap_ns: Option<u64>,
    /// Whose zombies the kernel counts, as its counts show.
    counting: Option<Scope>,
    /// For polled facts: what the counts say.
    polled: Option<Polled>,
    inherited: Option<u64>,
    /// Of those, the ones that a walk of the kernel's tree named.
    inherited_by_name: u64,
    /// The kernel's count agreed with the totals once.
    inherited_is_final: bool,
    kept: Kept,
    tally: Counters,
    /// Whether lives in good order are told of.
    lives: bool,
}

impl Tracker {
    /// A tracker for a run with this header.
    pub fn of(header: &Header) -> Self {
        Self {
            header: Some(Box::new(header.clone())),
            ..Self::new(Config {
                grace: Duration::from_nanos(header.grace_ns),
                polled: header.is_polled(),
                kept: Kept::by(header.kernel.as_deref()),
            })
        }
    }

    /// A tracker that knows nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            header: None,
            now: Stamp::default(),
            table: Table::new(nanos(config.grace), config.polled),
            freed: FreedIds::default(),
            check: Check::new(),
            surplus: Surplus::default(),
            counted: None,
            walk: 1,
            gap_ns: None,
            counting: None,
            polled: config.polled.then(Polled::default),
            inherited: None,
            inherited_by_name: 0,
            inherited_is_final: false,
            kept: config.kept,
            tally: Counters::default(),
            lives: true,
        }
    }

    /// Tells of births, removals, ends and ticks only where something is wrong: nothing else changes, and what is not told of
    /// need not be put together.
    #[must_use]
    pub fn without_lives(mut self) -> Self {
        self.lives = false;
        self
    }

    /// Where things stand.
    pub fn totals(&self) -> Totals {
        self.table.totals()
    }

    /// What would show whether the kernel's counts or the totals are right, while they do not agree.
    pub fn wants(&self) -> Wanted {
        if let Some(found) = self.surplus.found(self.now.mono_ns) {
            return Wanted::Correction(found);
        }
        match self.check.differs_since() {
            None => Wanted::Nothing,
            Some(ns) if self.now.mono_ns.saturating_sub(ns) >= DIFFERS_NS => Wanted::Walk,
            // A difference is believed after a few of them.
            Some(_) => Wanted::Counts,
        }
    }

    /// All that is known of each memcg now: what the next file of a trace begins with.
    pub fn carry(&self) -> impl Iterator<Item = Carried> {
        self.table.values().map(MemcgEntry::carry)
    }

    /// The newest fact's time.
    pub fn now(&self) -> Stamp {
        self.now
    }

    /// Takes in one fact and appends what changed.
    pub fn apply(&mut self, event: &Event, changes: &mut Vec<Change>) {
        let time = event.time;
        if let Fact::Carried(carried) = &event.fact {
            // No fact to a tracker that was there: it must leave no trace at all in one.
            return self.carried(time, carried, changes);
        }
        self.tally.began(time);
        if time.mono_ns > self.now.mono_ns {
            self.now = time;
        }
        // Verdicts are older than the fact; those of a gap's own time are reached across it.
        self.expire(
            match &event.fact {
                Fact::Gap(gap) => gap.from_mono_ns.min(self.now.mono_ns),
                _ => self.now.mono_ns,
            },
            changes,
        );
        self.freed.forget(self.now);
        self.take(time, &event.fact, changes);
        self.expire(self.now.mono_ns, changes);
    }

    /// So many records of a trace could not be understood, up to this moment: what they told is lost, and nobody walks because of
    /// it.
    pub fn not_understood(&mut self, time: Stamp, records: u64, changes: &mut Vec<Change>) {
        let gap = Gap {
            from_mono_ns: self.now.mono_ns.min(time.mono_ns),
            lost: Some(records),
            reason: GapReason::BadRecord,
            counted: None,
        };
        let knew_live = self.check.knows_live();
        let fact = Fact::Gap(gap);
        self.apply(&Event { time, fact }, changes);
        if knew_live {
            // The counts have to do.
            self.check.walked(time.mono_ns);
        }
    }

    fn take(&mut self, time: Stamp, fact: &Fact, changes: &mut Vec<Change>) {
        if !matches!(fact, Fact::Tick(_) | Fact::SlabFailure(_)) {
            self.check.disturb();
        }
        match fact {
            Fact::Created(cgroup) => self.created(time, &self.with_path(cgroup), changes),
            Fact::Offlined(cgroup) => self.offlined(time, cgroup, changes),
            Fact::Freed(cgroup) => self.freed(time, cgroup, changes),
            Fact::Renamed(cgroup) => self.renamed(time, &self.with_path(cgroup), changes),
            Fact::Present(cgroup) => self.present(time, &self.with_path(cgroup), changes),
            Fact::Zombie(cgroup) if self.polled.is_none() => {
                self.dead(time, &self.with_path(cgroup), changes);
            }
            Fact::Zombie(cgroup) => self.zombie(time, &self.with_path(cgroup), changes),
            Fact::Walked(walked) => self.walked(time, walked, changes),
            Fact::SlabFailure(failure) => {
                self.tally.slab_failure(time, failure);
                self.emit(time, What::SlabFailure(failure.clone()), changes);
            }
            Fact::MkdirFailure(failure) => {
                self.tally.mkdir_failure(time, failure);
                if let Some(id) = failure.cgroup_id {
                    self.never_made(Id::Cgroup(id));
                }
                self.emit(time, What::MkdirFailure(failure.clone()), changes);
            }
            Fact::Gap(gap) => self.gap(time, gap, changes),
            Fact::Tick(counts) => {
                // A poll leaves out counts that changed meanwhile; a later one has them. Where memcgs have slab caches of their
                // own, it may also have seen in these that the count leaves zombies out, as on 3.10.
                self.counting = match counts.kmemcg_peak {
                    None => counts.zombies_of().or(self.counting),
                    Some(_) => counts.zombies_of(),
                };
                self.reconcile(time, counts, changes);
                if self.lives {
                    self.emit(time, What::Tick(*counts), changes);
                }
            }
            Fact::Carried(_) => {} // in apply
        }
    }

    /// Puts right a path that came without its root's end.
    fn with_path<'a>(&self, cgroup: &'a Cgroup) -> Cow<'a, Cgroup> {
        let parent = || {
            let (_, parent) = self.table.newest(Id::Cgroup(cgroup.parent_id?))?;
            parent.cgroup.path.as_ref()
        };
        let path = cgroup.path.as_ref().filter(|path| path.cut);
        match path.and_then(|path| path::whole(path, parent()?)) {
            None => Cow::Borrowed(cgroup),
            path => Cow::Owned(Cgroup {
                path,
                ..cgroup.clone()
            }),
        }
    }

    /// Calls leaked what has been a zombie for longer than the grace time.
    fn expire(&mut self, now_ns: u64, changes: &mut Vec<Change>) {
        while let Some(key) = self.table.due(now_ns) {
            if self.table.get(key).and_then(MemcgEntry::proof) == Some(Proof::Nothing) {
                // Nothing will ever tell.
                self.table.remove(key);
                self.tally.unproven += 1;
                continue;
            }
            self.table.update(key, MemcgEntry::leak);
            self.tally.leaks += 1;
            self.report(self.now, key, What::Leaked, changes);
        }
    }

    /// Tells of a life in good order.
    fn report_life(
        &self,
        time: Stamp,
        key: Key,
        what: impl FnOnce(Subject) -> What,
        changes: &mut Vec<Change>,
    ) {
        if self.lives {
            self.report(time, key, what, changes);
        }
    }

    fn report(
        &self,
        time: Stamp,
        key: Key,
        what: impl FnOnce(Subject) -> What,
        changes: &mut Vec<Change>,
    ) {
        if let Some(entry) = self.table.get(key) {
            self.emit(time, what(entry.subject(time)), changes);
        }
    }

    fn emit(&self, time: Stamp, what: What, changes: &mut Vec<Change>) {
        changes.push(Change {
            time,
            what,
            totals: self.totals(),
        });
    }
}
