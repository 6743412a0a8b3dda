//! `kmemtrace reproduce`: makes memory cgroups, charges something to each, removes them, and says how many stay.

mod text;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use super::{Color, Format, Outcome, output, root::TypesArg, values::duration};
use crate::{
    catalogue::{Catalogue, Lang, Message, say},
    census,
    error::Error,
    host::{Live, Root},
    interrupt::Interrupt,
    judge::Answer,
    reproduce::{self, Course, Workload},
};

/// Arguments of `kmemtrace reproduce`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 all of them were freed; 1 some stayed, also if they were freed once what pinned them was removed; 2 unknown, \
since no two counts agree, or an error, or it was not started.

Everything it makes, it removes: cgroups in a cgroup of its own, files in a directory of its own. What the kernel does not \
free stays until a reboot: try few first.")]
pub(super) struct Args {
    /// How many memory cgroups; never more than a tenth of the free ids
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: u64,
    /// What to charge to each
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    workload: Workload,
    /// For how long zombies may be on their way to be freed
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    wait: Duration,
    /// Then drop the whole machine's caches, to see whether that frees them
    #[arg(long)]
    reclaim: bool,
    /// Where to make files for dentries, inodes and page-cache: best on a disk
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    directory: PathBuf,
    /// Do not ask on a node with kubelet
    #[arg(short, long)]
    yes: bool,
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// The language of text
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    lang: Lang,
    #[command(flatten)]
    types: TypesArg,
    /// The process that goes through the cgroups below this one
    #[arg(long, hide = true, value_name = "CGROUP")]
    inside: Option<PathBuf>,
}

/// Makes, removes, looks: 0 all freed, 1 some stayed.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    if let Some(base) = &args.inside {
        reproduce::charge(base, args.count, args.workload, &args.directory).map_err(|error| {
            Error::caused(format!("cannot charge {}", args.workload.as_str()), error)
        })?;
        return Ok(Answer::Clean);
    }
    let root = args.types.of(Root::live());
    let hierarchy = reproduce::hierarchy(&root)?;
    let found = census::count(&root, &hierarchy, None)?;
    reproduce::check(&found, args.count)?;
    let catalogue = Catalogue::shown(args.lang);
    if !args.yes && reproduce::has_kubelet(&root, &hierarchy) {
        ask(args.count, &catalogue)?;
    }
    let interrupt = Interrupt::watched()?;
    let course = Course {
        root: &root,
        acts: &Live,
        hierarchy: &hierarchy,
        parent: hierarchy.mount.clone(),
        switch_on: true,
        count: args.count,
        workload: args.workload,
        wait: args.wait,
        reclaim: args.reclaim,
        directory: args.workload.directory(&args.directory),
        interrupt: &interrupt,
        catalogue: &catalogue,
    };
    let report = course.run()?;
    output::print_as(&report, args.format, color, |out, palette| {
        text::write(out, &report, palette, &catalogue)
    })?;
    Ok(report.answer())
}

fn ask(count: u64, catalogue: &Catalogue) -> Result<(), Error> {
    let refused = || {
        Error::new("pods run on this node: it was not started").help("--yes starts it all the same")
    };
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    let question = Message::new(say::REPRODUCE_ASK).arg("count", count);
    let _ = write!(io::stderr(), "{} ", catalogue.text(&question));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    match (read, line.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(refused()),
    }
}
