//! `kmemtrace scan`: how many memory cgroups are live, how many are zombies and which, how many ids are left, at this
//! moment.

mod files;
mod list;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use super::{
    Color, Format, Outcome, output,
    root::{RootArg, TypesArg},
    values::duration,
};
use crate::{
    census::{
        self, Options,
        inventory::{By, Listing, Sort},
    },
    error::Error,
};

/// Arguments of `kmemtrace scan`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 no zombies that stay, or too few to matter; 1 zombies that keep their ids, or many; 2 could not tell or an error.

A scan sees numbers, not ages: where cgroups are removed all the time, there are always some that are just being freed. \
`kmemtrace watch` follows each of them.")]
pub(super) struct Args {
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// If there are zombies, look again after this time, on 3.10 after 500ms at most: those that are just being freed do not
    /// count
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    settle: Duration,
    /// List so many zombies: 20 unless told, and in JSON all
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// What the zombies are sorted by
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    sort: Sort,
    /// Also add the zombies up, by what they belong to
    #[arg(long, value_enum, value_name = "WHOSE")]
    by: Option<By>,
    /// Name the files whose pages in the page cache are charged to the zombies that are listed; look for so long at most,
    /// 10s unless told
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s",
        value_parser = duration
    )]
    files: Option<Duration>,
    #[command(flatten)]
    root: RootArg,
    #[command(flatten)]
    types: TypesArg,
}

impl Args {
    fn wanted(&self) -> Listing {
        Listing {
            sort: self.sort,
            by: self.by,
            top: match self.format {
                Format::Text => self.top.or(Some(list::LISTED)),
                Format::Json => self.top,
            },
        }
    }
}

/// Looks, and once more if there are zombies: 0 if none stay, 1 if some do, 2 if that cannot be told.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let machine = args.root.open(&args.types)?;
    if args.files.is_some() && !machine.live {
        return Err(Error::new("cannot name the files of a copy")
            .help("`--files` reads the running kernel: run it there, without `--root`")
            .into());
    }
    let options = Options {
        live: machine.live,
        settle: args.settle,
        wanted: args.wanted(),
        files: args.files,
    };
    let census = census::take(&machine.root, options)?;
    output::print(&census, args.format, color)?;
    Ok(census.answer())
}
