//! The Debian package: its files in a folder, and `dpkg-deb` over it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, GzBuilder};

use crate::{error::Error, target::Target, workspace};

/// The package's version: the workspace's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What runs when the package comes and goes.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Completions: the shell, and where it looks for them.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/kmemtrace"),
    ("zsh", "usr/share/zsh/vendor-completions/_kmemtrace"),
    ("fish", "usr/share/fish/vendor_completions.d/kmemtrace.fish"),
];

/// What a package is made from.
pub(crate) struct Parts<'a> {
    /// The workspace.
    pub(crate) root: &'a Path,
    /// The architecture.
    pub(crate) target: &'a Target,
    /// The program, which its target can run here.
    pub(crate) binary: &'a Path,
    /// The terms of what is linked into it.
    pub(crate) notices: &'a str,
    /// The time that all files get, in seconds since 1970.
    pub(crate) seconds: &'a str,
    /// Where the package goes.
    pub(crate) folder: &'a Path,
}

/// Builds the package, and says where it is.
pub(crate) fn build(parts: &Parts<'_>) -> Result<PathBuf, Error> {
    let dpkg = workspace::on_path("dpkg-deb").ok_or_else(|| {
        Error::new("cannot build the Debian package: there is no dpkg-deb")
            .help("on other systems than Debian install dpkg, or leave it out: --no-deb")
    })?;
    let arch = parts.target.debian;
    let stage = Stage::new(parts.folder.join("deb"))?;
    fill(&stage, parts)?;
    let size = stage.kibibytes()?;
    stage.write(
        "DEBIAN/control",
        control(VERSION, arch, size).as_bytes(),
        0o644,
    )?;
    stage.finish()?;
    let package = parts.folder.join(format!("kmemtrace_{VERSION}_{arch}.deb"));
    // The same bytes for the same commit: sorted by dpkg-deb itself, and no younger than the commit.
    workspace::output(
        Command::new(dpkg)
            .args(["--root-owner-group", "-Zxz", "--build"])
            .args([&stage.0, &package])
            .env("SOURCE_DATE_EPOCH", parts.seconds)
            .env("DPKG_DEB_THREADS_MAX", "1"),
    )?;
    Ok(package)
}

/// Everything but the control file.
fn fill(stage: &Stage, parts: &Parts<'_>) -> Result<(), Error> {
    let deploy = parts.root.join("deploy");
    stage.copy("usr/bin/kmemtrace", parts.binary, 0o755)?;
    stage.copy(
        "lib/systemd/system/kmemtrace.service",
        &deploy.join("kmemtrace.service"),
        0o644,
    )?;
    for name in SCRIPTS {
        let script = deploy.join("debian").join(name);
        stage.copy(&format!("DEBIAN/{name}"), &script, 0o755)?;
    }
    let doc = "usr/share/doc/kmemtrace";
    stage.copy(
        &format!("{doc}/copyright"),
        &deploy.join("debian/copyright"),
        0o644,
    )?;
    stage.copy(
        &format!("{doc}/README.md"),
        &parts.root.join("README.md"),
        0o644,
    )?;
    let changes = parts.root.join("CHANGELOG.md");
    let changes = fs::read(&changes).map_err(|cause| Error::file("read", &changes, cause))?;
    stage.compressed(&format!("{doc}/changelog.gz"), &changes)?;
    stage.compressed(&format!("{doc}/THIRD-PARTY.gz"), parts.notices.as_bytes())?;
    for (shell, to) in COMPLETIONS {
        let mut script =
            workspace::output(parts.target.run(parts.binary)?.args(["completions", shell]))?;
        script.push('\n');
        stage.write(to, script.as_bytes(), 0o644)?;
    }
    // Empty, whatever a run that failed has left there.
    let pages = Stage::new(parts.folder.join("man"))?.0;
    workspace::output(parts.target.run(parts.binary)?.arg("man").arg(&pages))?;
    let cannot = |cause| Error::file("read", &pages, cause);
    for entry in fs::read_dir(&pages).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let page = fs::read(&path).map_err(|cause| Error::file("read", &path, cause))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        stage.compressed(&format!("usr/share/man/man1/{name}.gz"), &page)?;
    }
    fs::remove_dir_all(&pages).map_err(|cause| Error::file("remove", &pages, cause))
}

/// The control file of a package for `arch` whose files take `kibibytes`.
fn control(version: &str, arch: &str, kibibytes: u64) -> String {
    format!(
        "\
Package: kmemtrace
Version: {version}
Architecture: {arch}
Maintainer: The kmemtrace authors
Installed-Size: {kibibytes}
Section: admin
Priority: optional
Description: find the memory cgroups that this node leaks, while they leak
 A container's memory cgroup can live on in the kernel after its directory was
 removed. kmemtrace follows every memory cgroup from its creation to the moment
 the kernel frees it, by eBPF, by the kernel's own tracing or by polling, and
 reports the ones that stay: whose they were, for how long, how much they held.
 .
 The program is linked statically and runs on Linux 3.10 and later. Its systemd
 unit is installed, but not enabled.
"
    )
}

/// The folder that holds the package's files.
struct Stage(PathBuf);

impl Stage {
    /// An empty one.
    fn new(folder: PathBuf) -> Result<Self, Error> {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|cause| Error::file("remove", &folder, cause))?;
        }
        fs::create_dir_all(&folder).map_err(|cause| Error::file("make", &folder, cause))?;
        Ok(Self(folder))
    }

    fn write(&self, to: &str, content: &[u8], mode: u32) -> Result<(), Error> {
        let path = self.0.join(to);
        let folder = path.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder).map_err(|cause| Error::file("make", folder, cause))?;
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(|cause| Error::file("write", &path, cause))
    }

    fn copy(&self, to: &str, from: &Path, mode: u32) -> Result<(), Error> {
        let content = fs::read(from).map_err(|cause| Error::file("read", from, cause))?;
        self.write(to, &content, mode)
    }

    /// Without a name and a time, which would differ.
    fn compressed(&self, to: &str, content: &[u8]) -> Result<(), Error> {
        let mut gz = GzBuilder::new().write(Vec::new(), Compression::best());
        let bytes = gz
            .write_all(content)
            .and_then(|()| gz.finish())
            .map_err(|cause| Error::file("compress", Path::new(to), cause))?;
        self.write(to, &bytes, 0o644)
    }

    /// All files but dpkg's own, each rounded up, and one for each folder: as Debian's policy has it.
    fn kibibytes(&self) -> Result<u64, Error> {
        let mut sum = 0;
        self.walk(&mut |path, metadata| {
            if !path.starts_with(self.0.join("DEBIAN")) {
                sum += if metadata.is_dir() {
                    1
                } else {
                    metadata.len().div_ceil(1024)
                };
            }
            Ok(())
        })?;
        Ok(sum)
    }

    /// Gives folders the mode that they have everywhere, whatever the umask here is.
    fn finish(&self) -> Result<(), Error> {
        self.walk(&mut |path, metadata| {
            if metadata.is_dir() {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                    .map_err(|cause| Error::file("write", path, cause))?;
            }
            Ok(())
        })
    }

    fn walk(
        &self,
        each: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut next = vec![self.0.clone()];
        while let Some(path) = next.pop() {
            let cannot = |cause| Error::file("read", &path, cause);
            let metadata = path.metadata().map_err(cannot)?;
            each(&path, &metadata)?;
            if metadata.is_dir() {
                for entry in fs::read_dir(&path).map_err(cannot)? {
                    next.push(entry.map_err(cannot)?.path());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_has_what_dpkg_asks_for() {
        let control = control("1.2.3", "arm64", 45);
        for line in [
            "Package: kmemtrace",
            "Version: 1.2.3",
            "Architecture: arm64",
            "Installed-Size: 45",
        ] {
            assert!(control.lines().any(|has| has == line), "{line}");
        }
        assert!(control.ends_with('\n') && !control.contains("\n\n"));
        // What is neither a field nor the going on of one, dpkg refuses.
        for line in control.lines() {
            assert!(line.starts_with(' ') || line.contains(": "), "{line}");
            assert!(line.len() <= 80, "{line}");
        }
    }

    /// The unit's text, and what it must not lose.
    #[test]
    fn the_unit_starts_what_is_installed_and_lets_it_see() {
        let unit = include_str!("../../../deploy/kmemtrace.service");
        let has = |line: &str| unit.lines().any(|has| has == line);
        assert!(has("ExecStart=/usr/bin/kmemtrace watch --format json"));
        assert!(has("SuccessExitStatus=1 2") && has("RestartForceExitStatus=2"));
        // The kernel's log, other processes' cgroups, the kernel's tracing.
        assert!(has("DeviceAllow=/dev/kmsg r"));
        assert!(has(
            "ReadWritePaths=-/sys/kernel/tracing -/sys/kernel/debug/tracing"
        ));
        for blind in [
            "PrivateDevices=",
            "ProtectKernelLogs=",
            "PrivateUsers=",
            "ProcSubset=",
        ] {
            assert!(!unit.lines().any(|line| line.starts_with(blind)), "{blind}");
        }
        let denied = unit
            .lines()
            .filter_map(|line| line.strip_prefix("SystemCallFilter=~"));
        for group in denied.flat_map(str::split_whitespace) {
            let needed = [
                "@privileged",
                "@debug",
                "@resources",
                "bpf",
                "perf_event_open",
            ];
            assert!(!needed.contains(&group), "{group}");
        }
        for section in ["[Unit]", "[Service]", "[Install]"] {
            assert!(has(section), "{section}");
        }
    }
}
