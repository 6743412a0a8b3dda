//! `kmemtrace snapshot`: the files that kmemtrace reads, in an archive to be looked at elsewhere.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    Failure, Outcome,
    output_file::place,
    root::{RootArg, TypesArg},
};
use crate::{
    diagnose::facts,
    error::Error,
    host::{
        self, Copied, ProgramTexts, Root,
        archive::{Compression, Compressor},
    },
    judge::Answer,
    text::{escape::Name, units::Count},
};

/// Arguments of `kmemtrace snapshot`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The archive holds the cgroups' names, process ids, the kernel's command line and log, the machine's name, versions of kubelet and \
the runtimes, and their log lines about failed cgroups; no other contents of processes or files. It runs journalctl and those \
programs with --version, unless --no-exec. docs/snapshot.md lists it all.

Exit status: 0 it is written, also where some files could not be read; 2 an error, and no archive.")]
pub(super) struct Args {
    /// The archive: .tar.zst, .tar.gz or .tar; `-` for stdout, as .tar.zst
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Run no program: no versions, no journal
    #[arg(long)]
    no_exec: bool,
    #[command(flatten)]
    root: RootArg,
}

/// Writes the archive: 0 if that worked.
pub(super) fn run(args: &Args) -> Outcome {
    let machine = args.root.open(&TypesArg::default())?;
    let told = told(&machine.root, machine.live && !args.no_exec);
    let copied = if args.output == Path::new("-") {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            let error = Error::new("an archive is not for a terminal");
            return Err(error.help("-o FILE.tar.zst, or pipe it").into());
        }
        write(&machine.root, &told, Compression::Zstd, stdout.lock()).map_err(Failure::Output)?
    } else {
        to_file(&machine.root, &told, &args.output)?
    };
    for note in &copied.notes {
        tracing::warn!("{}", Name::whole(note.as_bytes()));
    }
    if copied.left_out > 0 {
        tracing::warn!("left out: {}", Count(copied.left_out, "file"));
    }
    // If stderr is closed, the archive is there all the same.
    let _ = writeln!(
        io::stderr(),
        "kmemtrace: {} entries with {} bytes{}",
        copied.entries,
        copied.bytes,
        match copied.unread {
            0 => String::new(),
            unread => format!(
                "; {} could not be read, see NAME.error instead",
                Count(unread, "file")
            ),
        }
    );
    Ok(Answer::Clean)
}

fn to_file(root: &Root, told: &ProgramTexts, path: &Path) -> Result<Copied, Error> {
    let replaced = path.metadata().map_or(true, |metadata| metadata.is_file());
    let compression = match Compression::of(path) {
        Some(compression) => compression,
        // A pipe or a device.
        None if !replaced => Compression::Zstd,
        None => {
            let name = Name::whole(path.as_os_str().as_bytes());
            let error = format!("cannot tell what kind of archive {name} is to be");
            return Err(Error::new(error).help("name it .tar.zst, .tar.gz or .tar"));
        }
    };
    let elsewhere = "name another place, or send it away: -o - | ssh HOST 'cat > FILE.tar.zst'";
    place(path, elsewhere, |file| write(root, told, compression, file))
}

/// What kubelet, the runtimes and the journal tell.
fn told(root: &Root, exec: bool) -> ProgramTexts {
    ProgramTexts {
        journal: if exec { facts::journal() } else { Vec::new() },
        programs: facts::programs(root, exec),
    }
}

fn write<W: Write>(
    root: &Root,
    told: &ProgramTexts,
    compression: Compression,
    out: W,
) -> io::Result<Copied> {
    let seconds = jiff::Timestamp::now().as_second();
    let compressor = Compressor::new(compression, BufWriter::with_capacity(1 << 16, out))?;
    let mut archive = tar::Builder::new(compressor);
    let copied = host::copy(root, seconds.unsigned_abs(), told, &mut archive)?;
    let out = archive.into_inner()?.finish()?;
    let mut out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.flush()?;
    Ok(copied)
}
