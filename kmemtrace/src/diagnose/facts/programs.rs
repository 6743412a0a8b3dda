//! Kubelet, the container runtimes and runc: what their files say of kernel-memory accounting, and their versions.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use memchr::memmem::Finder;

use super::{Reason, Root, Unread};
use crate::{
    catalogue::{Arg, Catalogue, Lang},
    host::PROGRAMS as COPIED,
    runtimes,
};

/// Where they are: each program's first.
const PLACES: [&str; 7] = [
    "/usr/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/bin",
    "/opt/cni/bin",
    "/usr/libexec/docker",
];

/// What a program built without accounting holds (`kmem_disabled.go` of runc's libcontainer, which kubelet has in it).
const DISABLED: &str = "kernel memory accounting disabled in this runc build";

/// The largest program that is read.
const MOST: u64 = 512 << 20;

/// What a program's file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Built with `BUILDTAGS=nokmem`.
    NoKmem,
    /// Not built so: whether it switches accounting on depends on its version.
    None,
    /// It cannot be read.
    Unread(Unread),
}

/// A program that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostProgram {
    /// Its name.
    pub name: &'static str,
    /// Its place on the machine.
    pub path: String,
    /// What its file says; of programs that have no libcontainer in them, nothing of use.
    pub mark: Mark,
    /// The first line that it said of its version, or why it was not asked.
    pub version: Result<String, Unread>,
}

/// Reads those that are there, and asks them if programs may be run; of a snapshot, what it says of them.
pub(super) fn read(root: &Root, exec: bool) -> Vec<HostProgram> {
    if !root.is_live()
        && let Ok(text) = root.read(COPIED)
    {
        return parse(&String::from_utf8_lossy(&text));
    }
    let found = runtimes::programs().filter_map(|(name, option)| {
        let path = PLACES
            .iter()
            .map(|place| format!("{place}/{name}"))
            .find(|path| root.path(path).is_file())?;
        Some(HostProgram {
            name,
            mark: mark(root, &path),
            version: if exec {
                ask(&path, option).map_err(|error| Unread::new(&path[..], error))
            } else if root.is_live() {
                Err(Unread::new(&path[..], Reason::NotAsked))
            } else {
                Err(Unread::new(&path[..], Reason::Copied))
            },
            path,
        })
    });
    found.collect()
}

/// What a snapshot says of them, a line each: `PATH<tab>MARK<tab>VERSION`, where what is not known is `?` and the reason.
pub fn copied(root: &Root, exec: bool) -> String {
    let english = Catalogue::exact(Lang::En);
    let line = |program: HostProgram| {
        let unknown = |unread: Unread| format!("?{}", english.arg(&Arg::from(&unread.reason)));
        let mark = match program.mark {
            Mark::NoKmem => "nokmem".to_owned(),
            Mark::None => "-".to_owned(),
            Mark::Unread(unread) => unknown(unread),
        };
        let version = program.version.unwrap_or_else(unknown);
        let field = |text: &str| text.replace(['\t', '\n'], " ");
        let (path, mark, version) = (field(&program.path), field(&mark), field(&version));
        format!("{path}\t{mark}\t{version}\n")
    };
    read(root, exec).into_iter().map(line).collect()
}

fn parse(text: &str) -> Vec<HostProgram> {
    let line = |line: &str| {
        let mut fields = line.splitn(3, '\t');
        let (path, mark, version) = (fields.next()?, fields.next()?, fields.next()?);
        let (_, name) = path.rsplit_once('/')?;
        let (name, _) = runtimes::programs().find(|(one, _)| *one == name)?;
        let unread = |text: &str| {
            let reason = text.strip_prefix('?')?;
            Some(Unread::new(path, Reason::told(reason)))
        };
        Some(HostProgram {
            name,
            path: path.to_owned(),
            mark: match (mark, unread(mark)) {
                (_, Some(unread)) => Mark::Unread(unread),
                ("nokmem", None) => Mark::NoKmem,
                _ => Mark::None,
            },
            version: unread(version).map_or_else(|| Ok(version.to_owned()), Err),
        })
    };
    text.lines().filter_map(line).collect()
}

fn mark(root: &Root, path: &str) -> Mark {
    let finder = Finder::new(DISABLED);
    let search = || -> io::Result<bool> {
        let mut file = File::open(root.path(path))?.take(MOST);
        let mut buffer = vec![0; 1 << 20];
        let mut kept = 0;
        loop {
            let read = file.read(&mut buffer[kept..])?;
            if read == 0 {
                return Ok(false);
            }
            if finder.find(&buffer[..kept + read]).is_some() {
                return Ok(true);
            }
            // It may stand across two reads.
            let all = kept + read;
            kept = all.min(DISABLED.len() - 1);
            buffer.copy_within(all - kept..all, 0);
        }
    };
    match search() {
        Ok(true) => Mark::NoKmem,
        Ok(false) => Mark::None,
        Err(error) => Mark::Unread(Unread::new(path, error)),
    }
}

/// Runs it for its version, if nobody but root can have put it there.
fn ask(path: &str, option: &str) -> Result<String, Reason> {
    for place in Path::new(path).ancestors() {
        let metadata = place.metadata()?;
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Err(Reason::Writable(place.display().to_string()));
        }
    }
    let mut command = Command::new(path);
    command.arg(option).env_clear().stdin(Stdio::null());
    let said = run(command, Duration::from_secs(2), 64 << 10)?;
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    first.map(str::to_owned).ok_or(Reason::SaidNothing)
}

/// What a program writes to stdout, at most so much and for so long.
pub(super) fn run(mut command: Command, time: Duration, most: u64) -> Result<Vec<u8>, Reason> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map(|stdout| stdout.take(most).read_to_end(&mut bytes));
        read.transpose().map(|_| bytes)
    });
    let deadline = Instant::now() + time;
    while !reader.is_finished() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(Reason::TookTooLong);
        }
        thread::sleep(Duration::from_millis(2));
    }
    // It may have more to say than is read.
    let _ = child.kill();
    let status = child.wait()?;
    let bytes = reader.join().map_err(|_| Reason::NoOutput)??;
    if bytes.is_empty() && !status.success() {
        return Err(Reason::Status(status.to_string()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::root;

    #[test]
    fn a_program_s_file_tells_how_it_was_built() {
        let far = format!("{}{DISABLED}", "x".repeat((1 << 20) - 20));
        let (_directory, root) = root(&[
            ("/usr/bin/runc", &far),
            ("/usr/local/bin/kubelet", "memory.kmem.limit_in_bytes"),
        ]);
        let found = read(&root, false);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.name, &one.path[..], &one.mark))
            .collect();
        assert_eq!(
            told,
            [
                ("kubelet", "/usr/local/bin/kubelet", &Mark::None),
                ("runc", "/usr/bin/runc", &Mark::NoKmem),
            ]
        );
        assert!(found.iter().all(|one| one.version.is_err()));
        let text = copied(&root, false);
        let (_copy, copy) = crate::host::tests::root(&[(COPIED, &text)]);
        let marks =
            |found: &[HostProgram]| found.iter().map(|one| one.mark.clone()).collect::<Vec<_>>();
        assert_eq!(marks(&read(&copy, false)), marks(&found));
        assert_eq!(copied(&copy, false), text);
        assert_eq!(parse("\n/bin/x\t-\t1\n/usr/bin/runc\n\t\t\n"), []);
    }

    #[test]
    fn a_program_is_heard_and_not_waited_for() {
        let shell = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            run(command, Duration::from_millis(500), 10)
        };
        assert_eq!(shell("echo hello").unwrap(), b"hello\n");
        assert_eq!(shell("yes").unwrap().len(), 10);
        assert_eq!(shell("exec sleep 60"), Err(Reason::TookTooLong));
        assert!(shell("exit 3").is_err());
    }
}
