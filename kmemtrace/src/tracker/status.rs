//! The state of things to be shown: borrowed from the tracker, and made when it is asked for.

use std::collections::BTreeMap;

use super::{
    CreatorCount, Delays, Forecast, Kept, OwnerCount, PinCount, Repeated, Summary, SuspectCount,
    Totals, Tracker,
};
use crate::{
    event::{Counted, Gap, MkdirFailure, SlabFailure, Stamp, header::Header},
    judge::{Ids, Refused, Signs, State},
};

/// How many owners a summary names.
const OWNERS: usize = 10;

/// Where things stand after the newest fact.
///
/// It costs nothing to have, and what it tells costs little whatever there is: the numbers are kept, lists of owners are in
/// their order, and only [`Status::forecast`] goes through the leaked memcgs (65,000 of them in about a millisecond).
#[derive(Clone, Copy, Debug)]
pub struct Status<'a>(&'a Tracker);

/// How many zombies there are, by how that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZombieCounts {
    /// Those whose end will be seen.
    pub certain: u64,
    /// Those that the kernel counts beyond them.
    pub pool: u64,
}

/// What happened to memcgs since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// Memcgs seen coming to life.
    pub created: u64,
    /// Memcgs that a walk found, and that were not seen coming to life.
    pub found: u64,
    /// Memcgs seen going offline, or found gone.
    pub offlined: u64,
    /// Memcgs freed, recovered ones included.
    pub freed: u64,
    /// Verdicts "leaked", recovered ones included.
    pub leaks: u64,
    /// Leaked ones that were freed after all.
    pub recovered: u64,
}

impl Tracker {
    /// Where things stand, to be shown.
    pub fn state(&self) -> Status<'_> {
        Status(self)
    }

    /// Whether zombies keep their ids, by what was seen and by the release.
    pub(super) fn kept(&self) -> Kept {
        let Totals { live, zombies, .. } = self.totals();
        // Such names are of kernels whose count leaves zombies out.
        let leaves_out = self.tally.kmemcg_peak.is_some();
        self.kept.shown(live, zombies, leaves_out)
    }
}

impl<'a> Status<'a> {
    /// The newest fact's time.
    pub fn now(self) -> Stamp {
        self.0.now
    }

    /// What is in force: the source, how each hook is seen and what was refused, the grace period. `None` if nothing told.
    pub fn header(self) -> Option<&'a Header> {
        self.0.header.as_deref()
    }

    /// How many memcgs there are.
    pub fn totals(self) -> Totals {
        self.0.totals()
    }

    /// What the zombies among [`Status::totals`] are made up of.
    pub fn zombies(self) -> ZombieCounts {
        ZombieCounts {
            certain: self.0.table.certain(),
            pool: self.0.table.pool(),
        }
    }

    /// The zombies by the kernel's last count, and by the events up to it; `None` if it does not count them.
    pub fn counted(self) -> Option<Counted> {
        self.0.counted
    }

    /// Zombies that were there before the run; `None` as long as nothing told.
    pub fn inherited(self) -> Option<u64> {
        self.0.inherited
    }

    /// What happened since the run began.
    pub fn lives(self) -> Lives {
        let tally = &self.0.tally;
        Lives {
            created: tally.created,
            found: tally.found,
            offlined: tally.offlined,
            freed: tally.freed,
            leaks: tally.leaks,
            recovered: tally.recovered,
        }
    }

    /// Whether zombies keep their ids.
    pub fn kept(self) -> Kept {
        self.0.kept()
    }

    /// memcg ids in use. What is held where nothing counts zombies is held by one at least.
    pub fn ids(self) -> Ids {
        let Totals { live, zombies, .. } = self.totals();
        let tally = &self.0.tally;
        let held = tally.kmemcg_peak.and(tally.held_bytes) > Some(0);
        let all = self.0.counting.map(|_| zombies);
        self.kept().ids(live, zombies.max(u64::from(held)), all)
    }

    /// The node's state. What was there before the run is not just being freed, as far as it is there still.
    pub fn node(self) -> State {
        let Totals {
            live,
            zombies,
            leaked,
        } = self.totals();
        let staying = leaked.max(self.0.inherited.unwrap_or(0).min(zombies));
        let tally = &self.0.tally;
        let by_names = tally.kmemcg_peak.is_some();
        let held = by_names.then_some(tally.held_bytes).flatten();
        let kept = self.kept();
        let counted = self.0.counting.is_some() || held == Some(0);
        // Which cgroup's limit an ENOMEM comes from is not known.
        let refused = tally.mkdir_failures.keys();
        let refused = refused.map(|errno| match errno {
            Some(errno) => Refused::by(Some(*errno), false),
            None => Refused::ROLLED_BACK,
        });
        Signs {
            live,
            // What is held is held by one at least.
            staying: staying.max(u64::from(held > Some(0))),
            none: zombies == 0 && counted,
            ids_min: self.ids().min,
            ids_peak: tally.ids_peak,
            kept,
            refused: refused.max().unwrap_or_default(),
            made: false,
        }
        .state()
    }

    /// Who has leaked memcgs now, most first: those that are known by name.
    pub fn owners(self) -> impl Iterator<Item = OwnerCount> + 'a {
        self.0.table.leaked().owners.iter()
    }

    /// Whose removed memcgs may be among those known by the kernel's count alone, most first.
    pub fn suspects(self) -> impl Iterator<Item = SuspectCount> + 'a {
        let suspects = self.0.table.leaked().suspects.iter();
        suspects.map(|owner| SuspectCount {
            kind: owner.kind,
            name: owner.name,
            pod: owner.pod,
            at_most: owner.leaked,
        })
    }

    /// Whose tasks made those of [`Status::owners`], as far as that was seen, most first.
    pub fn creators(self) -> impl Iterator<Item = CreatorCount> + 'a {
        let creators = self.0.table.leaked().creators.iter();
        creators.map(|(comm, leaked)| CreatorCount {
            comm: comm.to_string(),
            leaked,
        })
    }

    /// What pins those of [`Status::owners`], as far as walks of the kernel's own memcgs found it, most first.
    pub fn pins(self) -> Vec<PinCount> {
        self.0.table.leaked().pins()
    }

    /// What is ahead at the pace of this run; `None` where there are no zombies.
    pub fn forecast(self) -> Option<Forecast> {
        self.0.forecast()
    }

    /// The time from offline to free of the memcgs whose both ends were seen; `None` if there was none.
    pub fn delays(self) -> Option<Delays> {
        self.0.tally.delays.figures()
    }

    /// Slab allocations that failed.
    pub fn slab_failures(self) -> Option<&'a Repeated<SlabFailure>> {
        self.0.tally.slab_failures.as_ref()
    }

    /// Cgroups that could not be made, by the error number as far as that is known.
    pub fn mkdir_failures(self) -> &'a BTreeMap<Option<i32>, Repeated<MkdirFailure>> {
        &self.0.tally.mkdir_failures
    }

    /// Stretches of time in which events may have been lost.
    pub fn gaps(self) -> Option<&'a Repeated<Gap>> {
        self.0.tally.gaps.as_ref()
    }

    /// Records known to be lost.
    pub fn lost(self) -> u64 {
        self.0.tally.lost
    }

    /// The run so far.
    pub fn summary(self) -> Summary {
        let Tracker { tally, now, .. } = self.0;
        let ids = self.ids();
        let Lives {
            created,
            found,
            offlined,
            freed,
            leaks,
            recovered,
        } = self.lives();
        let began_ns = tally.began_ns().unwrap_or(now.mono_ns);
        let mkdir_failures = self.mkdir_failures().values();
        Summary {
            duration_ns: now.mono_ns.saturating_sub(began_ns),
            totals: self.totals(),
            counted: self.counted(),
            created,
            found,
            offlined,
            freed,
            leaks,
            recovered,
            inherited: self.inherited(),
            unproven: tally.unproven,
            held_bytes: tally.held_bytes,
            kmemcg_peak: tally.kmemcg_peak,
            ids_min: ids.min,
            ids_max: ids.max,
            ids_peak: tally.ids_peak,
            state: self.node(),
            slab_failures: self.slab_failures().map_or(0, |failed| failed.count),
            slab_failures_suppressed: tally.slab_failures_suppressed,
            mkdir_failures: mkdir_failures.map(|failed| failed.count).sum(),
            mkdir_no_space: tally.mkdir_no_space(),
            gaps: self.gaps().map_or(0, |gaps| gaps.count),
            lost: self.lost(),
            delays: self.delays(),
            by_count: self.0.leaked_by_count().unwrap_or(0),
            suspects: self.suspects().take(OWNERS).collect(),
            owners: self.owners().take(OWNERS).collect(),
            creators: self.creators().take(OWNERS).collect(),
            pins: self.pins(),
            forecast: self.forecast(),
        }
    }
}
