//! The arguments that choose a source of events: the same for `watch`, `record` and `doctor`.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;

use super::{
    root::TypesArg,
    values::{buffer_size, duration, interval},
};
use crate::{
    host::Root,
    plan::{Options, WayKind},
    source::{self, SourceKind, bpf, sysfs, tracefs},
};

/// What is watched, and for how long: the same for `watch` and `record`.
#[derive(clap::Args, Debug)]
pub(super) struct SourceArgs {
    /// How often to look at the kernel's counts (every second at least), and where polling is all there is, at everything
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(super) interval: Duration,
    /// Look at copies of one machine's files instead, the earliest first: directories, or archives (.tar, .tar.gz,
    /// .tar.zst) such as `kmemtrace snapshot` makes
    #[arg(long, value_name = "COPY")]
    pub(super) root: Vec<PathBuf>,
    /// How long a removed memory cgroup may live on before it is called leaked
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) grace: Duration,
    /// Stop after this time, as Ctrl-C does
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    #[command(flatten)]
    pub(super) hooks: HookArgs,
}

/// The source and how it sees hooks: the same for `watch` and `doctor`.
#[derive(clap::Args, Debug)]
pub(super) struct HookArgs {
    /// Where events come from
    #[arg(long, value_enum, default_value_t)]
    source: SourceArg,
    /// The size of the buffer between kernel and kmemtrace: eBPF's ring (by default 8M), rounded up to a power of two;
    /// with tracefs, that of each CPU (by default 4M)
    #[arg(long, value_name = "SIZE", value_parser = buffer_size)]
    ring_size: Option<u32>,
    /// Do not attach in this way (repeat it, or separate with commas)
    #[arg(long, value_name = "WAY", value_delimiter = ',', value_parser = way())]
    avoid: Vec<WayKind>,
    /// Trace the mkdir system calls for the errors of failing mkdirs where no better hook attaches; slows every system
    /// call of the machine by some 100 ns
    #[arg(long)]
    mkdir_syscalls: bool,
    #[command(flatten)]
    types: TypesArg,
}

impl HookArgs {
    /// This machine, with the types that were given.
    pub(super) fn machine(&self) -> Root {
        self.types.of(Root::live())
    }

    /// The sources to try, best first. A copy of a machine's files can only be polled.
    pub(super) fn kinds(&self, live: bool) -> &'static [SourceKind] {
        match self.source {
            SourceArg::Auto if live => &SourceKind::ALL,
            SourceArg::Bpf => &[SourceKind::Bpf],
            SourceArg::Tracefs => &[SourceKind::Tracefs],
            SourceArg::Auto | SourceArg::Sysfs => &[SourceKind::Sysfs],
        }
    }

    /// An option that changes nothing with this source, in words.
    pub(super) fn unused(&self, source: &source::Source) -> Option<String> {
        let unused = || source::mkdir_syscalls_unused(source.kind(), &source.hooks());
        self.mkdir_syscalls.then(unused)?
    }

    /// For this machine.
    pub(super) fn config(&self) -> source::Config {
        self.config_with(Vec::new(), Duration::from_secs(1))
    }

    /// For copies of a machine's files, if there are any.
    pub(super) fn config_with(&self, copies: Vec<Root>, interval: Duration) -> source::Config {
        let options = Options {
            avoid: self.avoid.clone(),
            mkdir_syscalls: self.mkdir_syscalls,
        };
        let bpf = bpf::Config::default();
        let tracefs = tracefs::Config::default();
        source::Config {
            bpf: bpf::Config {
                ring_bytes: self.ring_size.unwrap_or(bpf.ring_bytes),
                interval,
                options: options.clone(),
            },
            tracefs: tracefs::Config {
                buffer_kib: self.ring_size.map_or(tracefs.buffer_kib, |size| size >> 10),
                interval,
                options,
                ..tracefs
            },
            sysfs: sysfs::Config { copies, interval },
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

fn way() -> impl clap::builder::TypedValueParser<Value = WayKind> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    // Polling is no way of attaching.
    let ways = WayKind::ALL.iter().filter(|way| **way != WayKind::Poll);
    PossibleValuesParser::new(ways.map(|way| way.as_str())).try_map(|name| {
        let way = WayKind::ALL.iter().find(|way| way.as_str() == name);
        way.copied().ok_or("no such way")
    })
}
