//! A run on a live source: what `watch` and `record` have in common.

use std::{
    io::{self, BufWriter, Write},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    Color, Failure, Format, colored, output::tell, recording::Recording, root::Copies,
    source::SourceArgs,
};
use crate::{
    error::Error,
    event::{
        header::{self, Header},
        nanos,
    },
    host::{self, HostFacts},
    interrupt::{Signals, runtime},
    judge::Answer,
    pods::Pods,
    sink::{
        Sink, Sinks,
        filter::{Filter, Filtered},
        jsonl::JsonLines,
        tail::{Tail, TailOptions},
    },
    source::{self, Source, SourceKind, Started},
    tracker::{Totals, Tracker},
};

/// What a run does with what it sees.
pub(super) struct LiveRun<'a> {
    pub(super) source: &'a SourceArgs,
    pub(super) once: bool,
    /// Where changes are shown.
    pub(super) sinks: Sinks,
    pub(super) recording: Option<Recording>,
}

/// How a run ended.
pub(super) struct Watched {
    pub(super) verdict: Answer,
    /// It was recorded to its end, if it was to be recorded.
    pub(super) recorded: bool,
}

/// What a filter lets through, on stdout.
pub(super) fn stdout(format: Format, color: Color, filter: Filter) -> Box<dyn Sink> {
    let out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let color = colored(color);
    let sink: Box<dyn Sink> = match format {
        Format::Text => Box::new(Tail::new(out, TailOptions { color })),
        Format::Json => Box::new(JsonLines::new(out)),
    };
    Box::new(Filtered::new(filter, sink))
}

impl LiveRun<'_> {
    /// Watches until a signal such as Ctrl-C or the end of `--for`, or of what there is to look at.
    pub(super) fn watch(mut self) -> Result<Watched, Failure> {
        let args = self.source;
        let copies = Copies::open(&args.root)?;
        let root = copies
            .roots
            .first()
            .cloned()
            .unwrap_or_else(|| args.hooks.machine());
        let facts = host::facts(&root);
        let mut pods = Pods::new(root);
        let kinds = args.hooks.kinds(copies.roots.is_empty());
        if !copies.roots.is_empty() && kinds != [SourceKind::Sysfs] {
            return Err(Error::new("a copy of a machine's files can only be polled")
                .help("leave --source out")
                .into());
        }
        let config = args.hooks.config_with(copies.roots.clone(), args.interval);
        runtime()?.block_on(async {
            // First: what the source makes in the kernel is to be removed whatever ends the run.
            let mut stop = Stop::new()?;
            let started = source::start(kinds, &facts, &config)?;
            introduce(&started);
            if let Some(unused) = args.hooks.unused(&started.source) {
                tell(&unused);
            }
            stop.after(args.duration);
            self.follow(started, stop, &facts, &mut pods).await
        })
    }

    async fn follow(
        &mut self,
        started: Started,
        mut stop: Stop,
        facts: &HostFacts,
        pods: &mut Pods,
    ) -> Result<Watched, Failure> {
        let began = started.source.now();
        let header = header(&started, facts, self.source.grace);
        let mut source = started.source;
        let mut tracker = Tracker::of(&header);
        if !self.sinks.show_lives() {
            tracker = tracker.without_lives();
        }
        self.record(|recorder| recorder.header(began, &header));
        self.sinks.header(began, &header);
        let shown = match self.sinks.check() {
            Ok(()) => {
                self.show_all(&mut source, (&mut tracker, pods), &mut stop)
                    .await
            }
            Err(error) => Err(error),
        };
        // Whoever read one of them may have had enough: the recording and the other sinks have their end all the same.
        let time = source.now();
        let state = tracker.state();
        let summary = state.summary();
        self.record(|recorder| recorder.end(time, &summary));
        if !matches!(shown, Ok(Some(_))) || summary.totals != Totals::default() {
            self.sinks.end(time, state);
        } // Else it has seen nothing at all: there is nothing to sum up.
        let failure = shown?;
        self.sinks.check()?;
        if let Some(error) = failure {
            return Err(error.into());
        }
        let verdict = if self.is_one_look() && summary.leaks == 0 {
            // How old zombies are one look cannot tell; that they are there it can.
            summary.state.into()
        } else {
            summary.answer()
        };
        let recorded = self.recording.as_ref().is_none_or(Recording::is_whole);
        Ok(Watched { verdict, recorded })
    }

    fn is_one_look(&self) -> bool {
        self.once || !self.source.root.is_empty()
    }

    fn record(&mut self, what: impl FnOnce(&mut crate::trace::record::Recorder) -> io::Result<()>) {
        if let Some(recording) = &mut self.recording {
            recording.write(what);
        }
    }

    /// Shows everything up to the end; what ended the source is the answer.
    async fn show_all(
        &mut self,
        source: &mut Source,
        (tracker, pods): (&mut Tracker, &mut Pods),
        stop: &mut Stop,
    ) -> io::Result<Option<Error>> {
        let mut events = Vec::new();
        let mut changes = Vec::new();
        // What ends the source ends the run, and takes nothing of what was seen with it.
        let mut failure = None;
        loop {
            source.want(tracker.wants());
            let stopped = tokio::select! {
                biased;
                () = stop.wait() => true,
                result = source.next(&mut events) => {
                    failure = result.err();
                    failure.is_some()
                }
            };
            let once = self.is_one_look();
            let stopped = stopped || once && source.has_looked();
            if stopped && !once && failure.is_none() {
                failure = source.finish(&mut events).err();
            }
            for event in &mut events {
                pods.name(event);
            }
            self.record(|recorder| events.iter().try_for_each(|event| recorder.event(event)));
            for event in events.drain(..) {
                tracker.apply(&event, &mut changes);
                for change in changes.drain(..) {
                    self.sinks.change(&change, tracker.state());
                }
            }
            self.record(|recorder| recorder.flush(tracker.now(), || tracker.carry()));
            if !stopped {
                self.sinks.flush();
            }
            self.sinks.check()?;
            if stopped {
                return Ok(failure);
            }
        }
    }
}

fn header(started: &Started, facts: &HostFacts, grace: Duration) -> Header {
    Header {
        schema: header::SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: started.source.kind().as_str().to_owned(),
        hostname: facts.hostname.clone(),
        kernel: facts.kernel.clone(),
        page_bytes: facts.page.ok().map(|page| page.size.bytes()),
        boot_id: facts.boot_id.clone(),
        hierarchy: facts
            .memory
            .as_ref()
            .ok()
            .map(|h| h.version.as_str().to_owned()),
        grace_ns: nanos(grace),
        refused: started.refused.clone(),
        cmdline: facts.cmdline.clone(),
        part: None,
        began_mono_ns: None,
        hooks: started.source.hooks(),
    }
}

/// The first line on stderr: the source in force and what it cannot see.
fn introduce(started: &Started) {
    let mut seen = Vec::new();
    let mut lost = Vec::new();
    for report in started.source.hooks() {
        if let Some(way) = &report.way {
            seen.push(format!("{} by {way}", report.hook));
        }
        lost.extend(report.lost);
    }
    let cannot = if lost.is_empty() {
        "nothing".to_owned()
    } else {
        lost.join("; ")
    };
    let why = started.refused.iter();
    let why: Vec<_> = why
        .map(|refusal| format!(" (not {}: {})", refusal.way, refusal.reason))
        .collect();
    let why = why.concat();
    // Without stderr there is nobody to tell.
    let _ = writeln!(
        io::stderr(),
        "kmemtrace: source {}{why}: {}; cannot see: {cannot}",
        started.source.kind().as_str(),
        seen.join(", ")
    );
}

/// What ends a run.
pub(super) struct Stop {
    signals: Signals,
    deadline: Option<Instant>,
}

impl Stop {
    /// Signals, from now on.
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self {
            signals: Signals::listen()?,
            deadline: None,
        })
    }

    /// This time from now as well.
    pub(super) fn after(&mut self, time: Option<Duration>) {
        self.deadline = time.and_then(|time| Instant::now().checked_add(time));
    }

    pub(super) async fn wait(&mut self) {
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.signals.recv() => {}
            () = deadline => {}
        }
    }
}
