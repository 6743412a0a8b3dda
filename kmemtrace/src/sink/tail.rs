//! The view for people: one line a change, what matters first, columns that line up.

pub(crate) mod forecast;
mod owner;
mod pin;
mod slab;
pub(crate) mod summary;
mod walk;

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
    io::{self, Write},
};

use anstyle::Style;

use super::Sink;
use crate::{
    event::{Counted, Gap, MkdirFailure, Stamp, Task, header::Header, json::errno_name},
    text::{
        escape::Name,
        style::{ALARM, BOLD, DIM, GOOD, PLAIN, Styled, WARNING},
        units::{Bytes, Clock, Count, Date, Duration},
    },
    tracker::{ByCount, Change, Status, Subject, Totals, What},
};

/// How the view looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct TailOptions {
    /// With colours.
    pub color: bool,
}

/// Writes changes as lines of text.
#[derive(Debug)]
pub struct Tail<W> {
    out: W,
    color: bool,
    /// The run's facts come from polls.
    polled: bool,
    line: String,
    cell: String,
}

/// The longest path and the longest unit that are shown whole.
const PATH_MAX: usize = 100;
const UNIT_MAX: usize = 48;

impl<W: Write> Tail<W> {
    /// A view that writes to `out`, unbuffered.
    pub fn new(out: W, options: TailOptions) -> Self {
        let TailOptions { color } = options;
        Self {
            out,
            color,
            polled: false,
            line: String::new(),
            cell: String::new(),
        }
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn styled<T: Display>(&self, style: Style, what: T) -> Styled<T> {
        Styled::new(self.color, style, what)
    }

    /// Begins a line: when, what, for how long, how much, and the totals after it.
    fn begin(
        &mut self,
        change: &Change,
        (style, verdict): (Style, &str),
        lasted: impl Display,
        usage: Option<u64>,
    ) -> fmt::Result {
        let Totals {
            live,
            zombies,
            leaked,
        } = change.totals;
        self.line.clear();
        let time = self.styled(DIM, Clock(change.time.wall_ns));
        write!(self.line, "{time}  {:<12}  ", self.styled(style, verdict))?;
        self.cell.clear();
        write!(self.cell, "{lasted}")?;
        write!(self.line, "{:<20} ", self.cell)?;
        self.cell.clear();
        if let Some(bytes) = usage {
            write!(self.cell, "{}", Bytes(bytes))?;
        }
        write!(self.line, "{:>9}  ", self.cell)?;
        write!(
            self.line,
            "live {live:<5} zombies {zombies:<5} leaked {leaked:<4}"
        )
    }

    fn end(&mut self) -> io::Result<()> {
        self.line.truncate(self.line.trim_end().len());
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())
    }

    /// A change of one memcg. `full` says whose it was in full.
    fn subject(
        &mut self,
        change: &Change,
        verdict: (Style, &str),
        lasted: impl Display,
        subject: &Subject,
        full: bool,
    ) -> fmt::Result {
        // what was charged at removal: before it nobody asked, and at the end there is nothing left
        let usage = subject
            .cgroup
            .usage_bytes
            .filter(|_| subject.offlined.is_some());
        self.begin(change, verdict, lasted, usage)?;
        if let Some(doubt) = self.doubt(&change.what, subject) {
            let doubt = self.styled(WARNING, doubt);
            write!(self.line, "  [{doubt}]")?;
        }
        if let Some(slab) = subject
            .cgroup
            .slab
            .as_deref()
            .filter(|slab| slab.caches > 0)
        {
            self.slab_pin(*slab)?;
        }
        if let (What::Leaked(_) | What::Zombie(_), Some(pinned)) = (&change.what, subject.pinned) {
            self.pinned(pinned)?;
        }
        match &subject.cgroup.path {
            Some(path) => self.whose(path, subject.cgroup.pod.as_deref(), full),
            None => match subject.cgroup.id {
                Some(id) => write!(self.line, "  cgroup id {id}"),
                None => Ok(()),
            },
        }
    }

    /// What there is to be said against what is shown.
    fn doubt(&self, what: &What, subject: &Subject) -> Option<Cow<'static, str>> {
        if !subject.across_gap {
            return None;
        }
        Some(Cow::Borrowed(match (what, self.polled) {
            (What::Leaked(_), true) => {
                let ByCount {
                    zombies,
                    candidates,
                } = subject.by_count?;
                return Some(Cow::Owned(if candidates == 1 {
                    "by count: it, or one that no poll saw".to_owned()
                } else {
                    format!("by count: {zombies} of these {candidates}")
                }));
            }
            (What::Freed(_) | What::Recovered(_), true) => "by count",
            (_, true) => return None,
            (What::Leaked(_), false) => "events were lost: may be freed already",
            (What::Freed(_) | What::Recovered(_), false) => {
                "events were lost: its end was not seen"
            }
            (_, false) => "events were lost: found out later",
        }))
    }

    fn by(&mut self, task: Option<&Task>) -> fmt::Result {
        let Some(task) = task else { return Ok(()) };
        write!(self.line, "  by {}[{}]", Name::whole(task.comm()), task.pid)
    }

    fn mkdir_failure(&mut self, change: &Change, failure: &MkdirFailure) -> fmt::Result {
        let why = match failure.errno.map(|errno| (errno, errno_name(errno))) {
            Some((_, Some(name))) => name.to_owned(),
            Some((errno, None)) => format!("errno {errno}"),
            None => String::new(),
        };
        self.begin(change, (ALARM, "mkdir failed"), why, None)?;
        self.by(failure.task.as_ref())?;
        match &failure.path {
            Some(path) => self.whose(path, None, true),
            None => Ok(()),
        }
    }

    fn gap(&mut self, change: &Change, gap: &Gap) -> fmt::Result {
        let lasted = change.time.mono_ns.saturating_sub(gap.from_mono_ns);
        self.begin(
            change,
            (WARNING, "GAP"),
            format_args!("for {}", Duration(lasted)),
            None,
        )?;
        if let Some(Counted { tracked, kernel }) = gap.counted {
            write!(self.line, "  tracked {tracked}, kernel {kernel}: ")?;
            self.line.push_str(gap.reason.as_str());
            return Ok(());
        }
        match gap.lost {
            Some(lost) => write!(self.line, "  {} lost: ", Count(lost, "record"))?,
            None => self.line.push_str("  events may have been lost: "),
        }
        self.line.push_str(gap.reason.as_str());
        Ok(())
    }

    fn text(&mut self, change: &Change) -> fmt::Result {
        self.line.clear();
        match &change.what {
            What::Created(s) => self.subject(change, (PLAIN, "created"), "", s, false),
            What::Offlined(s) => {
                let lived = s
                    .created
                    .map(|at| change.time.mono_ns.saturating_sub(at.mono_ns));
                self.subject(
                    change,
                    (PLAIN, "removed"),
                    Lasted("lived", lived, s),
                    s,
                    false,
                )
            }
            What::Freed(s) => self.subject(
                change,
                (DIM, "freed"),
                Lasted("after", s.zombie_ns, s),
                s,
                false,
            ),
            What::Renamed(s) => self.subject(change, (PLAIN, "renamed"), "", s, false),
            What::Leaked(s) => {
                let lasted = Lasted("zombie for", s.zombie_ns, s);
                let verdict = match s.by_count {
                    None => (ALARM, "LEAKED"),
                    Some(_) => (WARNING, "LEAKED?"),
                };
                self.subject(change, verdict, lasted, s, true)
            }
            What::Recovered(s) => self.subject(
                change,
                (GOOD, "recovered"),
                Lasted("after", s.zombie_ns, s),
                s,
                true,
            ),
            What::Zombie(s) => {
                let ns = s.zombie_ns.filter(|ns| *ns > 0);
                self.subject(change, (PLAIN, "zombie"), Lasted("for", ns, s), s, false)
            }
            What::LeakedUnseen { zombies } => {
                self.begin(change, (ALARM, "LEAKED"), "by count", None)?;
                let zombies = Count(*zombies, "zombie");
                write!(self.line, "  {zombies} that no poll saw alive")
            }
            What::SlabFailure(failure) => self.slab_failure(change, failure),
            What::MkdirFailure(failure) => self.mkdir_failure(change, failure),
            What::Gap(gap) => self.gap(change, gap),
            What::Walked { walked, number: 1 } => self.first_walk(change, walked),
            What::Walked { .. } | What::Present(_) | What::Tick(_) => Ok(()),
            What::Summary(summary) => self.summary(summary),
        }
    }

    fn head(&mut self, time: Stamp, header: &Header) -> fmt::Result {
        self.line.clear();
        let version = self.styled(BOLD, Name::whole(header.version.as_bytes()));
        write!(self.line, "kmemtrace {version}  {} UTC", Date(time.wall_ns))?;
        for (label, value) in [
            ("on", &header.hostname),
            ("kernel", &header.kernel),
            ("cgroup", &header.hierarchy),
        ] {
            if let Some(value) = value {
                write!(self.line, "  {label} {}", Name::whole(value.as_bytes()))?;
            }
        }
        if let Some(bytes) = header.page_bytes {
            write!(self.line, "  page {}", Bytes(bytes))?;
        }
        let source = Name::whole(header.source.as_bytes());
        write!(
            self.line,
            "  source {source}  grace {}",
            Duration(header.grace_ns)
        )
    }
}

/// How long something took, as far as that was seen.
struct Lasted<'a>(&'static str, Option<u64>, &'a Subject);

impl Display for Lasted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Lasted(word, ns, subject) = self;
        let Some(ns) = ns else { return Ok(()) };
        // its removal was found out later: it took longer than that
        let more = if subject.offlined_after_ns.is_some() && word != "lived" {
            ">"
        } else {
            ""
        };
        write!(f, "{word} {more}{}", Duration(ns))
    }
}

impl<W: Write> Sink for Tail<W> {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.polled = header.is_polled();
        self.head(time, header).map_err(io::Error::other)?;
        self.end()
    }

    fn change(&mut self, change: &Change, _state: Status<'_>) -> io::Result<()> {
        self.text(change).map_err(io::Error::other)?;
        if self.line.is_empty() {
            Ok(())
        } else {
            self.end()
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
