//! `kmemtrace diagnose`: what is wrong with this node, why, and what to do.

mod json;
mod npd;
mod text;
mod traces;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::ValueEnum;
#[cfg(feature = "schema")]
pub use json::schema;

use super::{
    Color, Failure, Outcome, colored,
    output::Palette,
    root::{RootArg, TypesArg},
};
use crate::{
    catalogue::{Catalogue, Lang, Message},
    census::{self, PinWalks},
    diagnose::{
        Diagnosis, Facts, State, diagnose,
        facts::{KernelPins, ReadOptions, Reading, Unread},
    },
    host::{self, Root},
    judge::Answer,
    reproduce,
};

/// Arguments of `kmemtrace diagnose`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 healthy, or with --verify fixed; 1 the node leaks, is about to, or fails as it does once it has leaked; 2 could not tell or an error.

It reads files under /proc, /sys, /var/log and the programs of kubelet and the container runtimes, and writes nothing. \
It runs journalctl and those programs with --version, unless --no-exec; of a copy, nothing. What cannot be read makes that \
finding unknown, with the reason. docs/diagnosis.md has the JSON.")]
pub(super) struct Args {
    /// Text for people, one JSON object, or one line for node-problem-detector
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// The language of text, and of the sentences in JSON
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    lang: Lang,
    /// Run no program: no versions, no journal
    #[arg(long)]
    no_exec: bool,
    /// Make one memory cgroup and remove it, to see whether that works
    #[arg(long)]
    probe: bool,
    /// After a fix: make ten memory cgroups as kubelet and runc do, and see whether they are freed
    #[arg(long, conflicts_with = "root")]
    verify: bool,
    /// Traces of this node, as `record` and `watch --record` write them: failed mkdirs and slab allocations in them, and how
    /// fast ids are used up
    #[arg(long, value_name = "FILE", num_args = 1..)]
    trace: Vec<PathBuf>,
    #[command(flatten)]
    root: RootArg,
    #[command(flatten)]
    types: TypesArg,
}

/// Who reads the diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// People
    #[default]
    Text,
    /// Programs
    Json,
    /// node-problem-detector's custom plugin monitor: a line of at most 80 bytes
    Npd,
}

/// Zombies are looked for again after this time: it is to take a second.
const SETTLE: Duration = Duration::from_millis(500);

/// Reads, judges, prints: 0 healthy, 1 affected, 2 could not tell.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let machine = args.root.open(&args.types)?;
    let facts = facts(&machine.root, machine.live, args)?;
    let diagnosis = diagnose(&facts);
    let mut out = io::stdout().lock();
    match args.format {
        Format::Text => {
            let catalogue = Catalogue::shown(args.lang);
            text::write(
                &mut out,
                &facts,
                &diagnosis,
                &catalogue,
                Palette::new(colored(color)),
            )?;
        }
        Format::Json => {
            let report = json::Document::new(&facts, &diagnosis, &Catalogue::exact(args.lang));
            serde_json::to_writer(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Npd => writeln!(
            out,
            "{}",
            npd::line(&diagnosis, &Catalogue::shown(args.lang))
        )?,
    }
    out.flush()?;
    Ok(answer(&diagnosis))
}

fn facts(root: &Root, live: bool, args: &Args) -> Result<Facts, Failure> {
    let options = ReadOptions {
        exec: !args.no_exec && live,
    };
    let mut facts = Facts::read(root, options, count(root, live));
    if live {
        facts.pinned = pinned(root, &facts);
    }
    if !args.trace.is_empty() {
        facts.traced = Some(traces::read(&args.trace, facts.hostname.as_deref())?);
    }
    if args.probe && live {
        facts.probe = facts
            .hierarchy
            .as_ref()
            .ok()
            .map(crate::diagnose::facts::probe);
    }
    if args.verify && live {
        facts.trial = Some(reproduce::trial(root, &facts, &Catalogue::shown(args.lang)));
    }
    Ok(facts)
}

/// What keeps the zombies, if there are any and the kernel's own tree can be walked.
fn pinned(root: &Root, facts: &Facts) -> Option<KernelPins> {
    facts
        .count
        .as_ref()
        .ok()
        .filter(|count| count.staying > 0)?;
    let mut walks = PinWalks::new(root);
    let totals = walks.below("/").ok()?;
    let says = Message::list(totals.iter().map(census::message))?;
    let file = totals.iter().filter(|total| total.of_page_cache());
    Some(KernelPins {
        memcgs: walks.memcgs,
        zombies: totals.iter().map(|total| total.zombies).sum(),
        file: file.filter_map(|total| total.held_bytes).sum(),
        says,
    })
}

fn count(root: &Root, live: bool) -> Reading<crate::diagnose::facts::MemcgCount> {
    let hierarchy = host::facts(root)
        .memory
        .map_err(|none| Unread::new("/proc/self/mountinfo", none))?;
    census::count(root, &hierarchy, live.then_some(SETTLE)).map_err(|error| {
        let mount = hierarchy.mount.display().to_string();
        Unread::new(mount, error)
    })
}

fn answer(diagnosis: &Diagnosis) -> Answer {
    match diagnosis.fix {
        Some(crate::diagnose::Verdict::Ok) => return Answer::Clean,
        Some(crate::diagnose::Verdict::Unknown) => return Answer::Unknown,
        Some(_) => return Answer::Leak,
        None => {}
    }
    diagnosis.state.into()
}
