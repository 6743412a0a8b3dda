//! The other verbs on the running kernel, and what it takes to run at all.

use std::{
    fs, os::unix::process::CommandExt, path::Path, process::Command, thread, time::Duration,
};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};
use serde_json::Value;

use super::{
    leaks::hook,
    world::{World, remove, zombies},
};
use crate::{
    harness::{Result, Watch, output, program, text},
    schema::check_diagnosis,
};

/// A mount of tracefs for as long as this lives, if there was none.
pub(super) struct Tracefs(bool);

pub(super) const TRACING: &str = "/sys/kernel/tracing";

impl Tracefs {
    pub(super) fn mounted() -> Self {
        Self::try_mounted().expect("tracefs mounts")
    }

    /// `None` if the kernel has no tracefs.
    pub(super) fn try_mounted() -> Option<Self> {
        if Path::new(TRACING).join("events").exists() {
            return Some(Self(false));
        }
        let flags = MountFlags::empty();
        mount("nodev", TRACING, "tracefs", flags, None).ok()?;
        Some(Self(true))
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.0 {
            // A straggler's open file must not fail the test.
            let _ = rustix::mount::unmount(TRACING, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

pub(super) fn doctor() -> Result {
    let run = output(program(["doctor", "--format", "json"]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout)?;
    for name in [
        "lifecycle",
        "memcg",
        "slab failure",
        "mkdir failure",
        "walk",
    ] {
        let hook = hook(&report, name);
        // A hook without a way says why.
        let refused = hook["refused"]
            .as_array()
            .is_some_and(|refused| !refused.is_empty());
        assert!(hook["way"].is_string() || refused, "{hook}");
        for refusal in hook["refused"].as_array().into_iter().flatten() {
            assert!(
                !refusal["reason"].as_str().unwrap_or_default().is_empty(),
                "{refusal}"
            );
        }
    }
    assert!(hook(&report, "lifecycle")["way"].is_string());
    assert!(report["host"]["memory"]["mount"].is_string(), "{report}");
    Ok(())
}

pub(super) fn scan() -> Result {
    let world = World::new("scan");
    let cgroup = world.make("zombie");
    let file = world.charge(&cgroup, "zombie");
    remove(&cgroup);
    let run = output(program(["scan", "--format", "json", "--settle", "500ms"]));
    let seen: Value = serde_json::from_slice(&run.stdout)?;
    assert_eq!(seen["zombies"].as_u64(), Some(zombies()), "{seen}");
    assert!(seen["staying"].as_u64() >= Some(1), "{seen}");
    // How many others there are decides whether that is too few to matter: where ids are kept, it never is.
    let expected = match seen["state"].as_str() {
        Some("healthy") => 0,
        Some("piling-up" | "leaking") => 1,
        _ => panic!("{seen}"),
    };
    assert_eq!(run.status.code(), Some(expected), "{seen}");
    let mount = super::world::mount().expect("checked before");
    assert_eq!(
        seen["live"].as_u64(),
        Some(super::world::directories(&mount)),
        "{seen}"
    );
    world.unpin(&file);
    Ok(())
}

/// What it finds here is what the kernel says, and what it probes leaves nothing.
pub(super) fn diagnose() -> Result {
    let world = World::new("diagnose");
    let cgroup = world.make("pod/zombie");
    let file = world.charge(&cgroup, "zombie");
    remove(&cgroup);
    let run = output(program(["diagnose", "--probe", "--format", "json"]));
    let told: Value = serde_json::from_slice(&run.stdout)?;
    check_diagnosis(&told);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    assert_eq!(told["kernel"].as_str(), Some(release.trim()), "{told}");
    let finding = |id: &str| {
        let findings = told["findings"].as_array().into_iter().flatten();
        findings.clone().find(|one| one["id"] == id).cloned()
    };
    let verdict = |id: &str| finding(id).map(|one| one["verdict"].clone());
    assert_eq!(verdict("mkdir"), Some("ok".into()), "{told}");
    let ids = finding("ids").ok_or("no finding of ids")?;
    // `7 zombies, 9 live`: others' may come and go meanwhile.
    let says = ids["says"].as_str().unwrap_or_default();
    let seen = says
        .split(' ')
        .next()
        .and_then(|word| word.parse::<u64>().ok());
    assert!(seen >= Some(1), "{told}");
    assert_ne!(told["state"], "unknown", "{told}");
    let mount = super::world::mount().expect("checked before");
    let left = fs::read_dir(mount)?.filter_map(std::result::Result::ok);
    let probes = left.filter(|one| {
        one.file_name()
            .to_string_lossy()
            .contains("kmemtrace-probe")
    });
    assert_eq!(probes.count(), 0);
    let run = output(program(["diagnose", "--verify", "--format", "json"]));
    let told: Value = serde_json::from_slice(&run.stdout)?;
    let findings = told["findings"].as_array().into_iter().flatten();
    let fix = findings
        .clone()
        .find(|one| one["id"] == "fix")
        .ok_or("no finding")?;
    assert_eq!(
        (&fix["verdict"], run.status.code()),
        (&"ok".into(), Some(0)),
        "{told}"
    );
    world.unpin(&file);
    Ok(())
}

/// Whatever is attached belongs to the process: when that dies, the kernel cleans up.
pub(super) fn kill() -> Result {
    let _world = World::new("kill");
    let watch = Watch::start(&[]);
    let mine = programs(watch.pid());
    assert!(mine > 0, "no eBPF program among its files");
    let before = loaded();
    watch.kill();
    // The kernel frees programs after a grace period.
    for _ in 0..200 {
        if loaded() + mine <= before {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!(
        "{before} programs were loaded, {mine} by kmemtrace; now {}",
        loaded()
    )
    .into())
}

/// eBPF programs that a process holds.
fn programs(pid: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("its files");
    let is_program = |link: &Path| link == Path::new("anon_inode:bpf-prog");
    files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter(|link| is_program(link))
        .count()
}

/// eBPF programs that the kernel has.
fn loaded() -> usize {
    aya::programs::loaded_programs().flatten().count()
}

pub(super) fn unprivileged() -> Result {
    // Whoever runs this may have the binary where others cannot read it.
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("kmemtrace");
    fs::copy(std::env::current_exe()?, &copy)?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open)?;
    let template = program(["watch", "--for", "1s", "--source", "bpf"]);
    let mut command = Command::new(copy);
    command
        .args(template.get_args())
        .uid(65534)
        .gid(65534)
        .current_dir("/");
    for (name, value) in template.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let run = output(command);
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("CAP_BPF"), "{stderr}");
    assert!(stderr.contains("help: "), "{stderr}");
    Ok(())
}

/// In a mount namespace in which the kernel's BTF is hidden.
pub(super) fn without_btf() -> Result {
    let _world = World::new("without-btf");
    let _mounted = Tracefs::mounted();
    let mut command = program(["doctor", "--format", "json"]);
    hide(&mut command, &["/sys/kernel/btf"]);
    let run = output(command);
    let report: Value = serde_json::from_slice(&run.stdout)?;
    assert_eq!(report["host"]["btf"], false, "{report}");
    assert_eq!(hook(&report, "lifecycle")["way"], "tracepoint", "{report}");
    assert_eq!(run.status.code(), Some(0), "{report}");

    let args = ["watch", "--for", "1s", "--avoid", "tracepoint"];
    let mut command = program(args.into_iter().chain(["--source", "bpf"]));
    hide(&mut command, &["/sys/kernel/btf"]);
    let run = output(command);
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("requires BTF") && stderr.contains("help: "),
        "{stderr}"
    );
    // left to itself it takes another source, and says why in its first line
    let mut command = program(args);
    hide(&mut command, &["/sys/kernel/btf"]);
    let run = output(command);
    let stderr = text(&run.stderr);
    let first = stderr.lines().next().unwrap_or_default();
    assert!(
        first.contains("not bpf: ") && first.contains("requires BTF"),
        "{stderr}"
    );
    assert!(!stderr.contains("error"), "{stderr}");
    Ok(())
}

/// Runs a command where these directories are empty, if they are there.
pub(crate) fn hide(command: &mut Command, directories: &'static [&'static str]) {
    elsewhere(command, move || {
        for directory in directories {
            match mount("none", *directory, "tmpfs", MountFlags::empty(), None) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
}

/// Runs a command that reads `file` for what is at `path`.
pub(super) fn instead(command: &mut Command, file: &Path, path: &'static str) {
    let file = file.to_owned();
    elsewhere(command, move || mount_bind(&file, path));
}

/// Runs a command with mounts of its own.
#[expect(
    unsafe_code,
    reason = "what runs between fork and exec must be async-signal-safe"
)]
fn elsewhere(
    command: &mut Command,
    mounts: impl Fn() -> rustix::io::Result<()> + Send + Sync + 'static,
) {
    let begin = move || {
        // SAFETY: the child is about to become another program; it shares nothing that this could pull away.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?;
        Ok(mounts()?)
    };
    // SAFETY: a few system calls and no allocation.
    unsafe { command.pre_exec(begin) };
}
