//! `kmemtrace report`: what traces come to, as one HTML page.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Failure, Outcome, output::tell, output_file::place, values::duration};
use crate::{
    catalogue::{Catalogue, Lang},
    error::Error,
    judge::Answer,
    report::{
        Report, diagnosis, page,
        traces::{self, TraceReport},
    },
    text::escape::Name,
};

/// Arguments of `kmemtrace report`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The page is one file without network, fonts or images from elsewhere: open it from disk, send it, print it. It holds names \
of cgroups, pods, tasks, the node and the traces' files.

Exit status: 0 it is written, whatever it says; 2 an error, or not all of the trace could be read.")]
pub(super) struct Args {
    /// Traces of one node, plain or packed with zstd, in any order; `-` for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The page; `-` for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How long a removed memory cgroup may live on before it is called leaked; as in the live run unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    grace: Option<Duration>,
    /// The language of the page
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    lang: Lang,
}

/// Writes the page: 0 if that worked.
pub(super) fn run(args: &Args) -> Outcome {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        let error = Error::new("a page is not for a terminal");
        return Err(error.help("-o FILE.html, or pipe it").into());
    }
    let TraceReport {
        report,
        traced,
        header,
        notes,
        is_broken,
    } = traces::read(&args.files, args.grace, &mut tell)?;
    one_node(&report)?;
    let words = Catalogue::shown(args.lang);
    let diagnosed =
        header.and_then(|header| diagnosis::diagnosis(&report, &traced, &header, &words));
    let diagnosed = diagnosed.unwrap_or_default();
    let catalogue = Catalogue::exact(args.lang);
    let write = |out: &mut dyn Write| {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        page::write(&report, &diagnosed, &notes, &catalogue, &mut out)?;
        out.flush()
    };
    if to_stdout {
        write(&mut io::stdout().lock()).map_err(Failure::Output)?;
    } else {
        place(&args.output, "name another place", |mut file| {
            write(&mut file)
        })?;
    }
    Ok(if is_broken {
        Answer::Unknown
    } else {
        Answer::Clean
    })
}

/// A report is of one node: the sums of several would be of none.
fn one_node(report: &Report) -> Result<(), Error> {
    let Some(last) = report.last() else {
        return Err(
            Error::new("no run in the trace").help("a trace begins with a line of the kind header")
        );
    };
    let other = report
        .runs
        .iter()
        .find(|run| run.header.hostname != last.header.hostname);
    let Some(other) = other else {
        return Ok(());
    };
    let name = |host: &Option<String>| {
        let host = host.as_deref().unwrap_or("a node without a name");
        Name::whole(host.as_bytes()).to_string()
    };
    let nodes = (name(&other.header.hostname), name(&last.header.hostname));
    let error = format!(
        "the trace has runs of several nodes, such as {} and {}",
        nodes.0, nodes.1
    );
    Err(Error::new(error).help("take each node's lines for themselves"))
}
