//! Debian's packages through apt, with lists and a cache of xtask's own: the machine's stay as they are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    arch::Arch,
    machines::Flavour,
    sources::{self, KEYRING, Source},
};
use crate::{error::Error, workspace};

/// What the names of the packages begin with that newer kernels are divided into: the image, the modules, and the list of
/// those that are built in.
const PARTS: [&str; 3] = ["linux-binary-", "linux-modules-", "linux-base-"];

/// apt with folders of its own, for one architecture.
pub(crate) struct Apt {
    folder: PathBuf,
    arch: Arch,
}

impl Apt {
    /// Derives the sources from the machine's, and fetches the lists of packages.
    pub(crate) fn update(folder: &Path, arch: Arch) -> Result<Self, Error> {
        if !Path::new(KEYRING).exists() {
            install("debian-archive-keyring", "the keys of Debian's suites")?;
        }
        for name in ["state/lists/partial", "cache/archives/partial"] {
            let folder = folder.join(name);
            fs::create_dir_all(&folder).map_err(|cause| Error::file("make", &folder, cause))?;
        }
        let derived = sources::derive(&own_sources()?, arch);
        if derived.is_empty() {
            return Err(
                Error::new("apt's sources on this machine name no mirror of Debian")
                    .help("boot a kernel of your own with --image DIR"),
            );
        }
        let text: Vec<_> = derived.iter().map(Source::to_string).collect();
        let apt = Self {
            folder: folder.to_path_buf(),
            arch,
        };
        let list = apt.source_list();
        fs::write(&list, text.join("\n")).map_err(|cause| Error::file("write", &list, cause))?;
        eprintln!("apt: fetching the lists of packages for {arch}");
        // One suite that cannot be had does not take the others away.
        if let Err(error) =
            output(
                apt.command("apt-get")
                    .args(["update", "--quiet=2", "--error-on=any"]),
            )
        {
            eprintln!("note: {error}");
        }
        Ok(apt)
    }

    fn source_list(&self) -> PathBuf {
        self.folder.join("kernels.sources")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut set = |name: &str, value: &Path| {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        };
        let arch = Path::new(self.arch.settings().target.debian);
        set("APT::Architecture", arch);
        set("APT::Architectures", arch);
        set("Dir::State", &self.folder.join("state"));
        set("Dir::Cache", &self.folder.join("cache"));
        set("Dir::Etc::SourceList", &self.source_list());
        set("Dir::Etc::SourceParts", Path::new("/dev/null"));
        // Whatever the machine itself puts up with.
        set("APT::Get::AllowUnauthenticated", Path::new("false"));
        set("Acquire::AllowInsecureRepositories", Path::new("false"));
        // A mirror that does not answer is given up in a minute or so.
        set("Acquire::Retries", Path::new("2"));
        set("Acquire::http::Timeout", Path::new("20"));
        set("Acquire::https::Timeout", Path::new("20"));
        // Debian's user for fetching may not enter the checkout; signatures are checked all the same.
        set("APT::Sandbox::User", Path::new("root"));
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// The names of all packages with a kernel of that flavour.
    pub(crate) fn kernels(&self, flavour: Flavour) -> Result<Vec<String>, Error> {
        let suffix = flavour.suffix(self.arch);
        let names = output(self.command("apt-cache").args([
            "search",
            "--names-only",
            &format!("^linux-image-[0-9].*{suffix}(-unsigned)?$"),
        ]))?;
        Ok(names
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// Where the kernel itself and its modules are: newer packages only lead to those that have them.
    pub(crate) fn with_kernel(&self, package: &str) -> Result<Vec<String>, Error> {
        let depends = output(self.command("apt-cache").args(["depends", package]))?;
        let parts: Vec<_> = depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .filter(|name| PARTS.iter().any(|part| name.starts_with(part)))
            .map(str::to_owned)
            .collect();
        Ok(if parts.is_empty() {
            vec![package.to_owned()]
        } else {
            parts
        })
    }

    /// Downloads a package, with its signature checked, and unpacks it into `folder`.
    pub(crate) fn unpack(&self, package: &str, folder: &Path) -> Result<(), Error> {
        let downloads = self.folder.join("downloads");
        // Whatever an interrupted run left there is not what is asked for.
        let _ = fs::remove_dir_all(&downloads);
        fs::create_dir_all(&downloads).map_err(|cause| Error::file("make", &downloads, cause))?;
        eprintln!("apt: downloading {package}");
        output(
            self.command("apt-get")
                .args(["download", "--quiet=2", package])
                .current_dir(&downloads),
        )?;
        let file = fs::read_dir(&downloads)
            .map_err(|cause| Error::file("read", &downloads, cause))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
            .ok_or_else(|| Error::new(format!("apt-get download {package} left no package")))?;
        output(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(&file)
                .arg(folder)
                .stdin(Stdio::null()),
        )?;
        fs::remove_dir_all(&downloads).map_err(|cause| Error::file("remove", &downloads, cause))
    }
}

/// The machine's own sources.
fn own_sources() -> Result<Vec<Source>, Error> {
    let settings = output(
        Command::new("apt-config")
            .args(["shell", "LIST", "Dir::Etc::sourcelist/f"])
            .args(["PARTS", "Dir::Etc::sourceparts/d"])
            .stdin(Stdio::null()),
    )?;
    let mut files = Vec::new();
    for line in settings.lines() {
        let Some((name, path)) = line.split_once('=') else {
            continue;
        };
        let path = PathBuf::from(path.trim_matches('\''));
        if name == "LIST" {
            files.push(path);
        } else if let Ok(entries) = fs::read_dir(&path) {
            files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
    }
    files.sort();
    let parse = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Either of the two places may be empty.
        sources::parse(&name, &fs::read_to_string(path).unwrap_or_default())
    };
    Ok(files.iter().flat_map(parse).collect())
}

/// Installs a Debian package on this machine, and says so first.
pub(crate) fn install(package: &str, what_for: &str) -> Result<(), Error> {
    eprintln!("{package} is missing ({what_for}): apt-get install --yes {package}");
    let status = workspace::status(
        Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends", package])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null()),
    )?;
    if status.success() {
        return Ok(());
    }
    Err(
        Error::new(format!("cannot install {package}")).help(format!(
            "as root, run apt-get update && apt-get install {package}"
        )),
    )
}

/// What a command that succeeds writes to its standard output.
fn output(command: &mut Command) -> Result<String, Error> {
    let done = command
        .output()
        .map_err(|cause| workspace::cannot_start(command, &cause))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last: Vec<_> = said.lines().rev().take(5).collect();
    let last: Vec<_> = last.into_iter().rev().collect();
    Err(Error::new(format!(
        "{} failed ({}): {}",
        command.get_program().display(),
        done.status,
        last.join("\n  ")
    )))
}
