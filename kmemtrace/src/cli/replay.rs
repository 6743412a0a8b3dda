//! `kmemtrace replay`: a trace shown as the live run was.

use std::{io, path::PathBuf, time::Duration};

use clap::ValueEnum;
use indicatif::ProgressBar;

use super::{
    Color, Format, Outcome, colored,
    filter::ShowArgs,
    player::{self, Player, RunViews},
    values::{Moment, duration, moment},
};
use crate::{
    event::header::Header,
    interrupt::runtime,
    sink::{
        Sink,
        filter::Filter,
        jsonl::JsonLines,
        label::Labelled,
        tail::{Tail, TailOptions},
    },
};

/// Arguments of `kmemtrace replay`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 nothing leaked, 1 a leak was found, 2 could not tell, an error, or lines could not be read.")]
pub(super) struct Args {
    /// Traces, plain or packed with zstd, in any order: a run's files, several nodes'; `-` for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How fast
    #[arg(long, value_enum, default_value_t, value_name = "SPEED")]
    speed: Speed,
    /// Show nothing from before this time: 2026-03-14T12:31:00Z, or 90s after the beginning; what came before counts all the same
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Moment>,
    /// Stop at this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Moment>,
    /// How long a removed memory cgroup may live on before it is called leaked; as in the live run unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    grace: Option<Duration>,
    #[command(flatten)]
    show: ShowArgs,
}

/// How fast a trace is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Speed {
    /// As it happened
    #[value(name = "1x")]
    Real,
    /// Ten times as fast
    #[value(name = "10x")]
    Tenfold,
    /// As fast as it can be read
    #[default]
    Max,
}

impl Speed {
    fn factor(self) -> Option<u32> {
        match self {
            Self::Real => Some(1),
            Self::Tenfold => Some(10),
            Self::Max => None,
        }
    }
}

/// Plays traces to their ends.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let filter = args.show.filter()?;
    let mut play = player::open(&args.files, args.grace)?;
    if !filter.shows_lives() {
        play = play.without_lives();
    }
    let view = view(args.show.format, filter, color, play.hostnames().len() > 1);
    let factor = args.speed.factor();
    let bar = match factor {
        None => player::bar(&args.files, true),
        Some(_) => ProgressBar::hidden(),
    };
    let mut player = Player::new(play, view, bar);
    player.from = args.from;
    player.to = args.to;
    match factor {
        None => player.all()?,
        Some(factor) => runtime()?.block_on(player.paced(factor))?,
    }
    player.end()
}

/// Each run as if it were alone, but that lines say of which node they are if there are several.
fn view(format: Format, filter: Filter, color: Color, several: bool) -> RunViews {
    let options = TailOptions {
        color: colored(color),
    };
    RunViews::new(io::stdout().lock(), filter, move |out| {
        Box::new(move |_: usize, header: &Header| {
            let out = out.clone();
            let node = header.hostname.as_deref().filter(|_| several);
            let sink: Box<dyn Sink> = match (format, node) {
                (Format::Json, None) => Box::new(JsonLines::new(out)),
                (Format::Json, Some(_)) => Box::new(JsonLines::new(out).with_hostname()),
                (Format::Text, None) => Box::new(Tail::new(out, options)),
                (Format::Text, Some(node)) => {
                    Box::new(Tail::new(Labelled::new(out, node), options))
                }
            };
            Ok(sink)
        })
    })
}
