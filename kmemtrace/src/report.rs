//! The report of a trace: what its runs come to, on one page.
//!
//! [`Fold`] takes in a run's header, its changes and its summary, run by run, in memory that is bounded whatever the
//! trace's length; [`Fold::finish`] gives a [`Report`], and [`page`] shows that as HTML. Nothing here judges: the tracker
//! has, and a replayed trace gives its verdicts again.

pub mod diagnosis;
mod failures;
mod ids;
mod leaks;
mod owners;
pub mod page;
mod series;
#[cfg(test)]
mod tests;
pub mod traces;

use std::io;

pub use failures::{FailedOn, FailureCause, Lost};
use failures::{Failures, Gaps};
pub use ids::{IdForecast, Kept};
use leaks::Leaks;
pub use leaks::{Fate, Leak};
pub use owners::OwnerSums;
use owners::OwnerTable;
pub use series::{STEPS, TimeSeries, TimeStep};

use crate::{
    event::{Stamp, header::Header},
    sink::Sink,
    tracker::{Change, Lifetimes, Status, Subject, Summary, Totals, What},
};

/// One run of the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRun {
    /// What it was taken on, and with what.
    pub header: Header,
    /// Its beginning.
    pub began: Stamp,
    /// The newest moment that anything in it tells of.
    pub ended: Stamp,
    /// What it comes to.
    pub summary: Summary,
    told: bool,
}

impl ReportRun {
    /// From its beginning to its end, in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.ended.mono_ns.saturating_sub(self.began.mono_ns)
    }

    /// Its beginning and end, in nanoseconds since the Unix epoch.
    pub fn wall_ns(&self) -> (i64, i64) {
        (self.began.wall_ns, self.wall_of(self.ended.mono_ns))
    }

    /// Where things stood at its end.
    pub fn totals(&self) -> Totals {
        self.summary.totals
    }

    /// A moment of it in nanoseconds since the Unix epoch, by the clock that nobody sets.
    fn wall_of(&self, mono_ns: u64) -> i64 {
        self.began.at(mono_ns).wall_ns
    }
}

/// What all runs come to.
#[derive(Debug)]
pub struct Report {
    /// The runs, as they came.
    pub runs: Vec<ReportRun>,
    /// All runs' sums; where things stand at the end is the last one's.
    pub summary: Summary,
    /// How things stood over time.
    pub series: TimeSeries,
    /// What was called leaked, and not known to be gone or freed later: in the order of the verdicts.
    pub leaks: Vec<Leak>,
    /// So many more were called leaked: freed later, or beyond what is kept.
    pub leaks_left_out: u64,
    /// Zombies that the kernel counts and no poll saw alive: called leaked without a name.
    pub leaks_unseen: u64,
    /// Whose the removed and the leaked are.
    pub owners: Vec<OwnerSums>,
    /// How long zombies lived.
    pub lifetimes: Lifetimes,
    /// Failed slab allocations by cause, most first.
    pub slab_failures: Vec<FailureCause>,
    /// Failed mkdirs by cause, most first.
    pub mkdir_failures: Vec<FailureCause>,
    /// Where events may have been lost; the first of very many.
    pub gaps: Vec<Lost>,
}

impl Report {
    /// The last run: things stand as they did at its end.
    pub fn last(&self) -> Option<&ReportRun> {
        self.runs.last()
    }

    /// Whether zombies keep their memcg ids there.
    pub fn kept(&self) -> Kept {
        let Some(run) = self.last() else {
            return Kept::Unknown;
        };
        let totals = run.totals();
        let leaves_out = run.summary.kmemcg_peak.is_some();
        Kept::by(run.header.kernel.as_deref()).shown(totals.live, totals.zombies, leaves_out)
    }

    /// When the ids run out, if they do.
    pub fn forecast(&self) -> Option<IdForecast> {
        ids::forecast(self.last()?)
    }

    /// So long somebody watched, in nanoseconds.
    pub fn watched_ns(&self) -> u64 {
        self.runs.iter().map(ReportRun::duration_ns).sum()
    }
}

/// The kernel's count tells of so many among so many: each of these is told of, one after the other.
#[derive(Debug, Default)]
struct Suspects {
    /// So many are still to come.
    left: u64,
}

impl Suspects {
    /// How many leaked with this one: all of those that the count tells of with the first.
    fn leaks(&mut self, subject: &Subject) -> u64 {
        let Some(by) = subject.by_count else {
            return 1;
        };
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return 0;
        }
        self.left = by.candidates.saturating_sub(1);
        by.zombies
    }
}

/// Takes in what happened.
#[derive(Debug, Default)]
pub struct Fold {
    runs: Vec<ReportRun>,
    series: Option<TimeSeries>,
    leaks: Leaks,
    leaks_unseen: u64,
    suspects: Suspects,
    owners: OwnerTable,
    lifetimes: Lifetimes,
    slab_failures: Failures,
    mkdir_failures: Failures,
    gaps: Gaps,
}

impl Fold {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn begin(&mut self, time: Stamp, header: &Header) {
        self.end_run();
        self.series
            .get_or_insert_with(|| TimeSeries::new(time.wall_ns));
        self.runs.push(ReportRun {
            header: header.clone(),
            began: time,
            ended: time,
            summary: Summary::default(),
            told: false,
        });
    }

    fn end_run(&mut self) {
        if let Some(run) = self.runs.last() {
            self.leaks.end_run(self.runs.len() - 1, run.ended.mono_ns);
        }
    }

    fn take(&mut self, change: &Change) {
        let at = self.runs.len().wrapping_sub(1);
        let Some(run) = self.runs.last_mut() else {
            return;
        };
        let time = change.time;
        if time.mono_ns > run.ended.mono_ns {
            run.ended = time;
        }
        // What the first walk finds is no growth.
        run.told |= !matches!(change.what, What::Present(_) | What::Zombie(_));
        let (told, began) = (run.told, run.began);
        let run = &*run;
        let wall = |stamp: Stamp| run.wall_of(stamp.mono_ns);
        let now = wall(time);
        let series = self
            .series
            .get_or_insert_with(|| TimeSeries::new(began.wall_ns));
        let step = series.at(now);
        if told && !matches!(change.what, What::Summary(_)) {
            step.totals = Some(change.totals);
        }
        match &change.what {
            What::Offlined(subject) => {
                let owner = self.owners.of(subject.cgroup.path.as_ref());
                if let Some(owner) = self.owners.get(owner) {
                    owner.removed += 1;
                }
            }
            What::Leaked(subject) => {
                step.leaks += self.suspects.leaks(subject);
                let owner = self.owners.of(subject.cgroup.path.as_ref());
                if let Some(owner) = self.owners.get(owner) {
                    owner.leaked(subject, now);
                }
                self.leaks.leaked(subject, now, wall, owner, at);
            }
            What::LeakedUnseen { zombies } => {
                step.leaks += zombies;
                self.leaks_unseen += zombies;
            }
            What::Freed(subject) => self.freed(subject),
            What::Recovered(subject) => {
                // Of those that the count told of, it tells how many.
                step.recovered += u64::from(subject.by_count.is_none());
                self.freed(subject);
                let owner = self.leaks.recovered(subject);
                // It may have been left out.
                let owner = owner.unwrap_or_else(|| self.owners.of(subject.cgroup.path.as_ref()));
                if let Some(owner) = self.owners.get(owner) {
                    owner.recovered(subject);
                }
            }
            What::Zombie(subject) => {
                let owner = self.leaks.zombie(subject);
                if let Some(owner) = owner.and_then(|owner| self.owners.get(owner)) {
                    owner.unseen += 1;
                }
            }
            What::SlabFailure(failure) => {
                step.slab_failures += 1;
                self.slab_failures.slab(failure, now);
            }
            What::MkdirFailure(failure) => {
                step.mkdir_failures += 1;
                self.mkdir_failures.mkdir(failure, now);
            }
            What::Gap(gap) => {
                let from = run.wall_of(gap.from_mono_ns.max(began.mono_ns));
                self.gaps.gap(gap, from.min(now), now);
            }
            What::Summary(summary) => {
                let summary = (**summary).clone();
                if let Some(run) = self.runs.last_mut() {
                    run.summary = summary;
                }
            }
            What::Created(_)
            | What::Renamed(_)
            | What::Present(_)
            | What::Walked { .. }
            | What::Tick(_) => {}
        }
    }

    fn freed(&mut self, subject: &Subject) {
        let exact = !subject.across_gap && subject.offlined_after_ns.is_none();
        if let (true, Some(ns)) = (exact, subject.zombie_ns) {
            self.lifetimes.record(ns);
        }
    }

    /// What it all comes to.
    pub fn finish(mut self) -> Report {
        self.end_run();
        let (leaks, leaks_left_out) = self.leaks.finish();
        let began = self.runs.first().map_or(0, |run| run.began.wall_ns);
        Report {
            summary: sum(&self.runs),
            runs: self.runs,
            series: self.series.unwrap_or_else(|| TimeSeries::new(began)),
            leaks,
            leaks_left_out,
            leaks_unseen: self.leaks_unseen,
            owners: self.owners.finish(),
            lifetimes: self.lifetimes,
            slab_failures: self.slab_failures.finish(),
            mkdir_failures: self.mkdir_failures.finish(),
            gaps: self.gaps.finish(),
        }
    }
}

/// Feeds it as a sink is fed. It shows nothing until [`Fold::finish`].
impl Sink for Fold {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.begin(time, header);
        Ok(())
    }

    fn change(&mut self, change: &Change, _state: Status<'_>) -> io::Result<()> {
        self.take(change);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The runs' sums, with where things stand at the end of the last one.
fn sum(runs: &[ReportRun]) -> Summary {
    let Some(last) = runs.last() else {
        return Summary::default();
    };
    let total = |of: fn(&Summary) -> u64| runs.iter().map(|run| of(&run.summary)).sum();
    Summary {
        duration_ns: runs.iter().map(ReportRun::duration_ns).sum(),
        created: total(|s| s.created),
        found: total(|s| s.found),
        offlined: total(|s| s.offlined),
        freed: total(|s| s.freed),
        leaks: total(|s| s.leaks),
        recovered: total(|s| s.recovered),
        unproven: total(|s| s.unproven),
        kmemcg_peak: runs.iter().filter_map(|run| run.summary.kmemcg_peak).max(),
        ids_peak: runs.iter().filter_map(|run| run.summary.ids_peak).max(),
        slab_failures: total(|s| s.slab_failures),
        slab_failures_suppressed: total(|s| s.slab_failures_suppressed),
        mkdir_failures: total(|s| s.mkdir_failures),
        mkdir_no_space: total(|s| s.mkdir_no_space),
        gaps: total(|s| s.gaps),
        lost: total(|s| s.lost),
        delays: None,
        owners: Vec::new(),
        ..last.summary.clone()
    }
}
