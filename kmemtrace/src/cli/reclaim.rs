//! `kmemtrace reclaim`: frees what zombies hold, as far as that goes without a reboot; gently first.

mod text;

use std::time::Duration;

use super::{Color, Format, Outcome, output, root::TypesArg, values::duration};
use crate::{
    catalogue::{Catalogue, Lang},
    host::{Live, Root},
    interrupt::Interrupt,
    reclaim::{Options, reclaim},
};

/// Arguments of `kmemtrace reclaim`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Steps, in this order; each is repeated as long as the kernel's count of zombies falls:
  shrink       write 1 to the `shrink` file of each slab cache of a removed memory cgroup (kernels up to 5.2)
  force_empty  v1: reclaim memory below each cgroup that is charged more than its children, if no task runs below it
  reclaim      v2: the same by memory.reclaim, below each cgroup with zombies
  drop_caches  with --drop-caches: drop the caches of the whole machine; then the steps above once more
Slab caches of live cgroups are never written to. A dry run names the steps that --apply would try.

Exit status: 0 no zombie is left; 1 some are; 2 could not tell or an error.")]
pub(super) struct Args {
    /// Write; without this, only say what would be written
    #[arg(long)]
    apply: bool,
    /// Also drop the page cache, dentries and inodes of the whole machine
    #[arg(long)]
    drop_caches: bool,
    /// In each step, write to the caches of at most N zombies, and to at most N cgroups
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max: usize,
    /// Stop after TIME
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = duration)]
    time: Duration,
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// The language of text
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    lang: Lang,
    #[command(flatten)]
    types: TypesArg,
}

/// Plans, and acts if told to: 0 no zombie is left, 1 some are.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let catalogue = Catalogue::shown(args.lang);
    let interrupt = Interrupt::watched()?;
    let options = Options {
        apply: args.apply,
        drop_caches: args.drop_caches,
        max: args.max,
        time: args.time,
    };
    let report = reclaim(
        &args.types.of(Root::live()),
        &Live,
        options,
        &interrupt,
        &catalogue,
    )?;
    output::print_as(&report, args.format, color, |out, palette| {
        text::write(out, &report, palette, &catalogue)
    })?;
    Ok(report.answer())
}

#[cfg(test)]
mod tests;
