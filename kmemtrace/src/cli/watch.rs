//! `kmemtrace watch`: the live tail.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    time::Duration,
};

use clap::ValueEnum;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

use super::{
    Color, Failure, Format, Outcome, Verdict, colored, duration,
    filter::{self, Filter},
    root::Copies,
    runtime,
};
use crate::{
    error::Error,
    event::{
        Event,
        header::{self, Header},
    },
    host::{self, Facts, Root},
    plan::{Options, WayKind},
    sink::{
        Sink,
        jsonl::JsonLines,
        tail::{Tail, TailOptions},
    },
    source::{self, Kind, Started, bpf, sysfs, tracefs},
    tracker::{self, Change, Finding, Totals, Tracker, What},
};

/// Arguments of `kmemtrace watch`.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// How often to look, where polling is all there is
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Look once, say what is there, and stop
    #[arg(long)]
    once: bool,
    /// Look at copies of one machine's files instead, the earliest first: directories, or archives (.tar, .tar.gz,
    /// .tar.zst) such as `kmemtrace snapshot` makes
    #[arg(long, value_name = "COPY")]
    root: Vec<PathBuf>,
    /// How long a removed memory cgroup may live on before it is called leaked
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    grace: Duration,
    /// Show every event, not only leaks and failures
    #[arg(long)]
    all: bool,
    /// Show only cgroups whose path matches: `*` within a name, `**` across directories
    #[arg(long, value_name = "GLOB")]
    cgroup: Option<String>,
    /// Show only cgroups of the pod whose uid begins so
    #[arg(long, value_name = "UID")]
    pod: Option<String>,
    /// Stop after this time, as Ctrl-C does
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Text for people, or JSON lines for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    hooks: HookArgs,
}

/// The source and how it sees hooks: the same for `watch` and `doctor`.
#[derive(clap::Args, Debug)]
pub(super) struct HookArgs {
    /// Where events come from
    #[arg(long, value_enum, default_value_t)]
    source: SourceArg,
    /// The size of the buffer between kernel and kmemtrace: eBPF's ring (8M unless told), rounded up to a power of two;
    /// with tracefs, that of each CPU (4M unless told)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    ring_size: Option<u32>,
    /// Do not attach in this way (repeat it, or separate with commas)
    #[arg(long, value_name = "WAY", value_delimiter = ',', value_parser = way())]
    avoid: Vec<WayKind>,
    /// Trace the mkdir system calls for the errors of failing mkdirs where no better hook attaches; slows every system
    /// call of the machine by some 100 ns
    #[arg(long)]
    mkdir_syscalls: bool,
}

impl HookArgs {
    /// The sources to try, best first. A copy of a machine's files can only be polled.
    pub(super) fn kinds(&self, live: bool) -> &'static [Kind] {
        match self.source {
            SourceArg::Auto if live => &Kind::ALL,
            SourceArg::Bpf => &[Kind::Bpf],
            SourceArg::Tracefs => &[Kind::Tracefs],
            SourceArg::Auto | SourceArg::Sysfs => &[Kind::Sysfs],
        }
    }

    /// For this machine.
    pub(super) fn config(&self) -> source::Config {
        self.config_with(sysfs::Config {
            copies: Vec::new(),
            interval: Duration::from_secs(1),
        })
    }

    fn config_with(&self, sysfs: sysfs::Config) -> source::Config {
        let options = Options {
            avoid: self.avoid.clone(),
            mkdir_syscalls: self.mkdir_syscalls,
        };
        let bpf = bpf::Config::default();
        let tracefs = tracefs::Config::default();
        source::Config {
            bpf: bpf::Config {
                ring_bytes: self.ring_size.unwrap_or(bpf.ring_bytes),
                options: options.clone(),
            },
            tracefs: tracefs::Config {
                buffer_kib: self.ring_size.map_or(tracefs.buffer_kib, |size| size >> 10),
                options,
                ..tracefs
            },
            sysfs,
        }
    }
}

/// Where events come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SourceArg {
    /// The best that works here
    #[default]
    Auto,
    /// eBPF programs
    Bpf,
    /// The kernel's own tracing, without eBPF
    Tracefs,
    /// Polling /proc and /sys
    Sysfs,
}

/// Watches until Ctrl-C, SIGTERM or the end of `--for`.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let filter = Filter {
        all: args.all,
        cgroup: args.cgroup.as_deref().map(filter::glob).transpose()?,
        pod: args.pod.clone(),
    };
    let copies = Copies::open(&args.root)?;
    let facts = host::facts(copies.roots.first().unwrap_or(&Root::live()));
    let kinds = args.hooks.kinds(copies.roots.is_empty());
    if !copies.roots.is_empty() && kinds != [Kind::Sysfs] {
        return Err(Error::new("a copy of a machine's files can only be polled")
            .help("leave --source out")
            .into());
    }
    let config = args.hooks.config_with(sysfs::Config {
        copies: copies.roots.clone(),
        interval: args.interval,
    });
    runtime()?.block_on(async {
        let started = source::start(kinds, &facts, &config)?;
        introduce(&started);
        let stop = Stop::new(args.duration)?;
        let out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        let sink: Box<dyn Sink> = match args.format {
            Format::Text => Box::new(Tail::new(
                out,
                TailOptions {
                    color: colored(color),
                },
            )),
            Format::Json => Box::new(JsonLines::new(out)),
        };
        watch(started, sink, stop, &filter, &facts, args).await
    })
}

async fn watch(
    started: Started,
    mut sink: Box<dyn Sink + '_>,
    mut stop: Stop,
    filter: &Filter,
    facts: &Facts,
    args: &Args,
) -> Outcome {
    let grace = args.grace;
    let began = started.source.now();
    let header = header(&started, facts, grace);
    sink.header(began, &header)?;
    let mut source = started.source;
    let mut tracker = Tracker::new(tracker::Config {
        grace,
        polled: header.is_polled(),
    });
    let mut events = Vec::new();
    let mut changes = Vec::new();
    // What ends the source ends the run, and takes nothing of what was seen with it.
    let mut failure = None;
    loop {
        let stopped = tokio::select! {
            biased;
            () = stop.wait() => true,
            result = source.next(tracker.settled(), &mut events) => {
                failure = result.err();
                failure.is_some()
            }
        };
        let once = args.once || !args.root.is_empty();
        let stopped = stopped || once && source.has_looked();
        if stopped && !once && failure.is_none() {
            failure = source.finish(&mut events).err();
        }
        for event in events.drain(..) {
            show(&mut tracker, &event, &mut changes, filter, &mut *sink)?;
        }
        if stopped {
            break;
        }
        sink.flush()?;
    }
    if let Some(error) = failure.take_if(|_| tracker.totals() == Totals::default()) {
        // It has seen nothing at all: there is nothing to sum up.
        return Err(error.into());
    }
    let summary = tracker.summary();
    let verdict = match summary.finding() {
        Finding::Clean => Verdict::Clean,
        Finding::Leak => Verdict::Leak,
        // One look cannot tell how old they are; that they are there it can.
        Finding::Unjudged if args.once || !args.root.is_empty() => Verdict::Leak,
        Finding::Unjudged => Verdict::Unknown,
    };
    let time = source.now();
    let what = What::Summary(Box::new(summary));
    sink.change(&Change {
        time,
        what,
        totals: tracker.totals(),
    })?;
    sink.flush()?;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(verdict),
    }
}

/// Takes one event in and shows what it changed.
fn show(
    tracker: &mut Tracker,
    event: &Event,
    changes: &mut Vec<Change>,
    filter: &Filter,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    tracker.apply(event, changes);
    for change in changes.drain(..) {
        if filter.shows(&change) {
            sink.change(&change)?;
        }
    }
    Ok(())
}

fn header(started: &Started, facts: &Facts, grace: Duration) -> Header {
    Header {
        schema: header::SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: started.source.kind().as_str().to_owned(),
        hostname: facts.hostname.clone(),
        kernel: facts.kernel.clone(),
        boot_id: facts.boot_id.clone(),
        hierarchy: facts
            .memory
            .as_ref()
            .ok()
            .map(|h| h.version.as_str().to_owned()),
        grace_ns: u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX),
        refused: started.refused.clone(),
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
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    deadline: Option<Instant>,
}

impl Stop {
    fn new(after: Option<Duration>) -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Error::caused("cannot listen for signals", &error));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            deadline: after.and_then(|after| Instant::now().checked_add(after)),
        })
    }

    async fn wait(&mut self) {
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = deadline => {}
        }
    }
}

/// A time of at least 10 ms: shorter ones would make polling a load.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(10) {
        return Err("less than 10ms".to_owned());
    }
    Ok(interval)
}

/// A size in bytes with an optional `K` or `M`.
fn size(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text
            .strip_suffix(['M', 'm'])
            .map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let bytes = digits
        .parse()
        .ok()
        .and_then(|count: u32| count.checked_mul(unit));
    bytes
        .filter(|bytes| (4096..=1 << 30).contains(bytes))
        .ok_or_else(|| "not a size from 4K to 1024M, such as 64K or 8M".to_owned())
}

fn way() -> impl clap::builder::TypedValueParser<Value = WayKind> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    // Polling is no way of attaching.
    let ways = WayKind::ALL.into_iter().filter(|way| *way != WayKind::Poll);
    PossibleValuesParser::new(ways.map(WayKind::as_str)).try_map(|name| {
        let way = WayKind::ALL.into_iter().find(|way| way.as_str() == name);
        way.ok_or("no such way")
    })
}
