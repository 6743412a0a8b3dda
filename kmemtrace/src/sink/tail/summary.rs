//! The end of a run: the verdict first, then what it rests on.

use std::{
    fmt::{self, Display, Write as _},
    io::Write,
};

use anstyle::Style;

use super::{PATH_MAX, Tail, forecast::ForecastLine};
use crate::{
    event::Counted,
    judge::{Answer, State},
    text::{
        escape::Name,
        style::{ALARM, BOLD, GOOD, PLAIN, WARNING},
        units::{Bytes, Count, Duration},
    },
    tracker::{PinCount, Summary, Totals},
};

/// What the run comes to, in one line.
pub(crate) struct RunVerdict<'a>(pub(crate) &'a Summary);

/// How bad that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Good,
    Warning,
    Alarm,
}

impl RunVerdict<'_> {
    fn style(&self) -> Style {
        match self.grade() {
            Grade::Good => GOOD,
            Grade::Warning => WARNING,
            Grade::Alarm => ALARM,
        }
    }

    pub(crate) fn grade(&self) -> Grade {
        let Summary {
            gaps,
            slab_failures,
            mkdir_failures,
            ..
        } = self.0;
        match self.0.answer() {
            Answer::Leak => Grade::Alarm,
            _ if *slab_failures + *mkdir_failures > 0 => Grade::Alarm,
            _ if self.0.held_bytes.is_some_and(|held| held > 0) => Grade::Alarm,
            Answer::Unknown => Grade::Warning,
            Answer::Clean if *gaps > 0 => Grade::Warning,
            Answer::Clean => Grade::Good,
        }
    }
}

impl Display for RunVerdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            totals,
            leaks,
            gaps,
            slab_failures,
            slab_failures_suppressed,
            mkdir_failures,
            inherited,
            held_bytes,
            state,
            ..
        } = self.0;
        let state = match state {
            State::Exhausted => Some("EXHAUSTED: the memory cgroup ids are used up, or were"),
            State::Crowded => Some("CROWDED: live memory cgroups use up the ids"),
            State::Failing => Some("FAILING: memory cgroups could not be made"),
            State::Leaking if totals.leaked == 0 => Some("LEAKING: zombies keep their ids"),
            State::PilingUp if totals.leaked == 0 => {
                Some("ZOMBIES: removed memory cgroups pile up")
            }
            _ => None,
        };
        if let Some(state) = state {
            f.write_str(state)?;
            if totals.leaked + leaks > 0 {
                f.write_str("; ")?;
            }
        }
        match (totals.leaked, *leaks) {
            (0, 0) if state.is_some() => {}
            (0, 0) => f.write_str("no leak seen")?,
            (0, leaks) => {
                let were = if leaks == 1 { "was" } else { "were" };
                let leaks = Count(leaks, "memory cgroup");
                write!(
                    f,
                    "no leak left: {leaks} outlived the grace time and {were} freed later"
                )?;
            }
            (leaked, _) => write!(f, "LEAK: {} leaked", Count(leaked, "memory cgroup"))?,
        }
        let least = if *slab_failures_suppressed > 0 {
            "at least "
        } else {
            ""
        };
        let slab = slab_failures.saturating_add(*slab_failures_suppressed);
        match (slab, *mkdir_failures) {
            (0, 0) => {}
            (slab, 0) => write!(f, ", {least}{} failed", Count(slab, "slab allocation"))?,
            (0, mkdir) => write!(f, ", {} failed", Count(mkdir, "mkdir"))?,
            (slab, mkdir) => {
                let (slab, mkdir) = (Count(slab, "slab allocation"), Count(mkdir, "mkdir"));
                write!(f, ", {least}{slab} and {mkdir} failed")?;
            }
        }
        let unjudged = totals.zombies.saturating_sub(totals.leaked);
        match (unjudged, *inherited) {
            (0, _) => {}
            (left, Some(1..)) => write!(
                f,
                ", {} left that were there before or are younger than the grace time",
                Count(left, "zombie")
            )?,
            (left, _) => {
                write!(
                    f,
                    ", {} left, younger than the grace time",
                    Count(left, "zombie")
                )?;
            }
        }
        if let Some(held @ 1..) = *held_bytes {
            write!(f, ", zombies hold {} of kernel memory", Bytes(held))?;
        }
        f.write_str(if *gaps > 0 {
            ", but events were lost"
        } else {
            ""
        })
    }
}

impl<W: Write> Tail<W> {
    pub(super) fn summary(&mut self, summary: &Summary) -> fmt::Result {
        let verdict = RunVerdict(summary);
        write!(self.line, "{}", self.styled(verdict.style(), &verdict))?;
        let Totals {
            live,
            zombies,
            leaked,
        } = summary.totals;
        let Summary {
            created,
            offlined,
            freed,
            leaks,
            recovered,
            ..
        } = summary;
        self.row("watched for", Duration(summary.duration_ns))?;
        self.row(
            "seen",
            format_args!("{created} created, {offlined} removed, {freed} freed"),
        )?;
        self.row(
            "now",
            format_args!("{live} live, {}, {leaked} leaked", Count(zombies, "zombie")),
        )?;
        if let Some(Counted { tracked, kernel }) = summary.counted {
            let row = format_args!("tracked {tracked}, kernel {kernel}");
            self.row("zombies", row)?;
            if tracked != zombies {
                self.line.push_str(", when last counted");
            }
        } else {
            let row = format_args!("tracked {zombies}, kernel unknown: not counted");
            self.row("zombies", row)?;
        }
        self.row(
            "leaks",
            format_args!("{leaks} in this run, {recovered} recovered"),
        )?;
        if let Some(delays) = summary.delays {
            let [p50, p90, p99, max] =
                [delays.p50_ns, delays.p90_ns, delays.p99_ns, delays.max_ns].map(Duration);
            let of = delays.count;
            self.row(
                "removal to free",
                format_args!("p50 {p50}, p90 {p90}, p99 {p99}, max {max} (of {of})"),
            )?;
        }
        if let Some(forecast) = &summary.forecast {
            self.row("ahead", ForecastLine(forecast))?;
        }
        if summary.unproven > 0 {
            let removed = Count(summary.unproven, "removed memory cgroup");
            self.row("not known", format_args!("whether {removed} were freed"))?;
        }
        if let Some(held) = summary.held_bytes {
            let held = Bytes(held);
            self.row("zombies hold", format_args!("{held} of kernel memory"))?;
        }
        if let Some(peak) = summary.kmemcg_peak.filter(|&peak| peak > 0) {
            let peak = Count(peak, "memory cgroup");
            let peak = format_args!("{peak} with kernel memory, at least, dead or alive");
            self.row("at one time", peak)?;
        }
        let bad = |count: u64, style| if count > 0 { style } else { PLAIN };
        let Summary {
            slab_failures,
            mkdir_failures,
            gaps,
            lost,
            ..
        } = *summary;
        self.row(
            "slab failures",
            self.styled(bad(slab_failures, ALARM), slab_failures),
        )?;
        if summary.slab_failures_suppressed > 0 {
            let more = summary.slab_failures_suppressed;
            write!(self.line, ", and {more} more not logged (rate limit)")?;
        }
        self.row(
            "failed mkdirs",
            self.styled(bad(mkdir_failures, ALARM), mkdir_failures),
        )?;
        self.row("gaps", self.styled(bad(gaps, WARNING), gaps))?;
        if lost > 0 {
            write!(self.line, ", {} lost", Count(lost, "record"))?;
        }
        self.whose_leaked(summary)?;
        self.pins(&summary.pins)
    }

    /// Whose the leaked ones are, and who made them.
    fn whose_leaked(&mut self, summary: &Summary) -> fmt::Result {
        for (n, owner) in summary.owners.iter().enumerate() {
            let label = if n == 0 { "who leaks most" } else { "" };
            self.owner(
                label,
                owner.leaked,
                owner.kind,
                &owner.name,
                owner.pod.as_deref(),
            )?;
        }
        if summary.by_count > 0 {
            let leaked = Count(summary.by_count, "zombie");
            self.row("by count alone", format_args!("{leaked}, unknown whose"))?;
        }
        for (n, suspect) in summary.suspects.iter().enumerate() {
            let label = if n == 0 { "whose, at most" } else { "" };
            self.owner(
                label,
                suspect.at_most,
                suspect.kind,
                &suspect.name,
                suspect.pod.as_deref(),
            )?;
        }
        for (n, creator) in summary.creators.iter().enumerate() {
            let name = Name::short(creator.comm.as_bytes(), PATH_MAX);
            let name = self.styled(BOLD, name);
            let label = if n == 0 { "who made those" } else { "" };
            self.row(label, format_args!("{:>5}  {name}", creator.leaked))?;
        }
        Ok(())
    }

    fn owner(
        &mut self,
        label: &str,
        count: u64,
        kind: &str,
        name: &str,
        pod: Option<&str>,
    ) -> fmt::Result {
        let name = self.styled(BOLD, Name::short(name.as_bytes(), PATH_MAX));
        let kind = if kind == "path" { "below" } else { kind };
        self.row(label, format_args!("{count:>5}  {kind} {name}"))?;
        if let Some(pod) = pod {
            let pod = Name::short(pod.as_bytes(), PATH_MAX);
            write!(self.line, "  {}", self.styled(BOLD, pod))?;
        }
        Ok(())
    }

    fn pins(&mut self, pins: &[PinCount]) -> fmt::Result {
        for (n, count) in pins.iter().enumerate() {
            let label = if n == 0 { "what keeps them" } else { "" };
            let pin = self.styled(BOLD, count.pin.as_str());
            self.row(label, format_args!("{:>5}  {pin}", count.leaked))?;
            if let Some(bytes @ 1..) = count.bytes {
                write!(self.line, ", {}", Bytes(bytes))?;
            }
            match count.reclaimable {
                0 => {}
                all if all == count.leaked => self.line.push_str(", reclaimable"),
                some => write!(self.line, ", {some} reclaimable")?,
            }
        }
        Ok(())
    }

    fn row(&mut self, label: &str, value: impl Display) -> fmt::Result {
        write!(self.line, "\n  {label:<15}  {value}")
    }
}
