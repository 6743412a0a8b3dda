//! What a machine has mounted.

use std::{ffi::CString, fs, path::Path};

use rustix::mount::{MountFlags, mount};

/// The file systems that every machine has.
const SYSTEM: [(&str, &str); 9] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/var/tmp"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
];

const CGROUPS: &str = "/sys/fs/cgroup";

/// Mounts all but the cgroup hierarchies.
pub(super) fn system() -> Result<(), String> {
    for (kind, at) in SYSTEM {
        // A kernel may lack these, and they only help.
        let optional = matches!(kind, "debugfs" | "tracefs");
        match mount_at(kind, at, "") {
            Err(_) if optional => {}
            done => done?,
        }
    }
    Ok(())
}

/// Mounts the cgroup hierarchies as a machine with `version` has them, or says why this kernel cannot.
pub(super) fn cgroups(version: &str) -> Result<Option<String>, String> {
    if version == "v2" {
        mount_at("cgroup2", CGROUPS, "")?;
        let controllers = fs::read_to_string(Path::new(CGROUPS).join("cgroup.controllers"))
            .map_err(|error| format!("cannot read cgroup.controllers: {error}"))?;
        let memory = controllers.split_whitespace().any(|name| name == "memory");
        return Ok((!memory).then(|| "this kernel has no memory controller on v2".to_owned()));
    }
    let list = fs::read_to_string("/proc/cgroups")
        .map_err(|error| format!("cannot read /proc/cgroups: {error}"))?;
    let enabled: Vec<_> = list
        .lines()
        .filter(|line| !line.starts_with('#') && line.ends_with("\t1"))
        .filter_map(|line| line.split('\t').next())
        .collect();
    let missing = Some("this kernel has no memory controller on v1".to_owned());
    if !enabled.contains(&"memory") {
        return Ok(missing);
    }
    mount_at("tmpfs", CGROUPS, "")?;
    for name in enabled {
        let mounted = mount_at("cgroup", &format!("{CGROUPS}/{name}"), name);
        // The others may not be built for v1.
        if name == "memory" && mounted.is_err() {
            return Ok(missing);
        }
    }
    if version == "hybrid" {
        mount_at("cgroup2", &format!("{CGROUPS}/unified"), "")?;
    }
    Ok(None)
}

fn mount_at(kind: &str, at: &str, data: &str) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot mount {kind} at {at}: {error}");
    if !Path::new(at).is_dir() {
        fs::create_dir_all(at).map_err(|error| failed(&error))?;
    }
    let data = CString::new(data).map_err(|error| failed(&error))?;
    mount(kind, at, kind, MountFlags::empty(), data.as_c_str()).map_err(|error| failed(&error))
}
