use proptest::prelude::*;

use super::*;

const FORMS: &str = include_str!("../../../../../tests/data/field/log-forms.txt");

fn found(line: &str) -> Option<(MkdirError, String, String)> {
    let found = failed_mkdir(line.as_bytes(), None, &MemoryPaths::default())?;
    Some((found.error, found.program.unwrap_or_default(), found.path))
}

#[test]
fn each_form_of_the_field_is_told_apart() {
    use MkdirError::{NoMemory, NoSpace};
    let right = [
        ("Go runc", Some((NoMemory, "kubelet"))),
        ("slurm v1 ENOMEM", Some((NoMemory, "slurmstepd"))),
        ("slurm v1 ENOSPC", Some((NoSpace, "slurmstepd"))),
        ("lxc mkdir_p", Some((NoSpace, "lxd"))),
        ("lxc cgfsng", Some((NoSpace, "lxd"))),
        ("coreutils", Some((NoMemory, "mkdir"))),
        ("crun", Some((NoMemory, "crun"))),
        ("systemd", Some((NoSpace, "systemd"))),
        ("disk full", None),
        ("other controller", None),
        ("name=systemd", None),
        ("two errors in a line", None),
        ("rancher json-log escaped", Some((NoMemory, ""))),
        ("nested mount", Some((NoSpace, "garden"))),
        ("cgroupfs-mount old", Some((NoSpace, "lxc"))),
        ("v2 Go", Some((NoSpace, "k3s"))),
        ("EAGAIN max.descendants", None),
    ];
    let lines: Vec<_> = FORMS.lines().collect();
    assert_eq!(lines.len(), right.len());
    for (line, (name, right)) in lines.into_iter().zip(right) {
        let (named, line) = line.split_once('|').unwrap();
        assert_eq!(named, name);
        let found = found(line);
        let told = found.as_ref().map(|(error, program, path)| {
            assert!(!path.contains(['\'', '`', ' ']), "{path}");
            (*error, &program[..])
        });
        assert_eq!(told, right, "{name}: {line}");
    }
}

#[test]
fn other_forms_of_the_same_kinds_are_understood() {
    use MkdirError::{NoMemory, NoSpace};
    for (line, right) in [
        (
            r#"{"log":"E1113 08:11:09.219004    4102 pod_workers.go:191] Error: mkdir /sys/fs/cgroup/memory/kubepods/p: cannot allocate memory\n","stream":"stderr"}"#,
            Some((NoMemory, "kubelet", "/sys/fs/cgroup/memory/kubepods/p")),
        ),
        (
            r#"Mar  8 10:01:12 n nomad[2201]: 2021-03-08T10:01:12.113+0800 [ERROR] client: error="caused \"process_linux.go:297: caused \\\"mkdir /sys/fs/cgroup/memory/nomad/8: cannot allocate memory\\\"\"""#,
            Some((NoMemory, "nomad", "/sys/fs/cgroup/memory/nomad/8")),
        ),
        (
            "[2021-04-18T03:12:44.001] [8413.batch] error: xcgroup_instantiate: unable to create cgroup '/sys/fs/cgroup/memory/slurm/uid_1' : No space left on device",
            Some((NoSpace, "slurmstepd", "/sys/fs/cgroup/memory/slurm/uid_1")),
        ),
        (
            "lxc web 20200102030405.123 ERROR    cgfsng - cgroups/cgfsng.c:mkdir_eexist_on_last:1285 - No space left on device - Failed to create directory \"/sys/fs/cgroup/memory//lxc.payload/web\"",
            Some((NoSpace, "lxc", "/sys/fs/cgroup/memory//lxc.payload/web")),
        ),
        (
            "2021-04-18T03:12:44.001+00:00 n podman[7]: Error: creating cgroup directory `/sys/fs/cgroup/libpod_parent/1`: No space left on device: OCI runtime error",
            Some((NoSpace, "crun", "/sys/fs/cgroup/libpod_parent/1")),
        ),
        (
            "Apr 18 03:12:44 n check: mkdir: cannot create directory \u{2018}/sys/fs/cgroup/memory/test\u{2019}: No space left on device",
            Some((NoSpace, "mkdir", "/sys/fs/cgroup/memory/test")),
        ),
        (
            "mkdir: can't create directory '/sys/fs/cgroup/memory/x': Out of memory",
            Some((NoMemory, "mkdir", "/sys/fs/cgroup/memory/x")),
        ),
        (
            "I0102 03:04:05.1 7 x.cpp:1] Failed to create directory '/sys/fs/cgroup/memory/mesos/1': No space left on device",
            Some((NoSpace, "", "/sys/fs/cgroup/memory/mesos/1")),
        ),
        (
            "Apr 18 03:12:44 n systemd[1]: Failed to create cgroup /sys/fs/cgroup/pids/x: No space left on device",
            None,
        ),
        (
            "Apr 18 03:12:44 n systemd[1]: Failed to create cgroup /a.slice: File exists",
            None,
        ),
        (
            "Apr 18 03:12:44 n x: cannot allocate memory; mkdir /sys/fs/cgroup/memory/x: file exists",
            None,
        ),
        (
            "Apr 18 03:12:44 n x: mkdir /sys/fs/cgroup/memory/x: file exists: mkdir /sys/fs/cgroup/pids/y: cannot allocate memory",
            None,
        ),
        (
            "Apr 18 03:12:44 n x: mkdir /sys/fs/cgroup/pids/y: file exists: mkdir /sys/fs/cgroup/memory/x: cannot allocate memory",
            Some((NoMemory, "x", "/sys/fs/cgroup/memory/x")),
        ),
        (
            "Apr 18 03:12:44 n x: write /sys/fs/cgroup/memory/x/tasks: no space left on device",
            None,
        ),
    ] {
        let found = found(line);
        let told = found
            .as_ref()
            .map(|(error, program, path)| (*error, &program[..], &path[..]));
        assert_eq!(told, right, "{line}");
    }
}

#[test]
fn a_runtimes_own_log_has_no_tags() {
    for (line, writer, program) in [
        (
            "2021-03-08T10:01:12.113+0800 [ERROR] client.alloc_runner: mkdir /sys/fs/cgroup/memory/nomad/8: cannot allocate memory",
            Some("nomad"),
            "nomad",
        ),
        (
            "2021-03-08T10:01:12.113+0800 [ERROR] client.alloc_runner: mkdir /sys/fs/cgroup/memory/nomad/8: cannot allocate memory",
            None,
            "",
        ),
        (
            "[2021-04-18T03:12:44.001] [8413.batch] error: xcgroup_instantiate: unable to create cgroup '/sys/fs/cgroup/memory/slurm' : No space left on device",
            Some("slurm"),
            "slurmstepd",
        ),
        (
            "E1113 08:11:09.219004 4102 helpers.go:1] x: mkdir /sys/fs/cgroup/memory/kubepods/p: cannot allocate memory",
            None,
            "kubelet",
        ),
        (
            "time=\"2021-03-08T10:01:12Z\" level=error msg=\"mkdir /sys/fs/cgroup/memory/docker/1: cannot allocate memory\"",
            Some("docker"),
            "docker",
        ),
    ] {
        let found = failed_mkdir(line.as_bytes(), writer, &MemoryPaths::default()).unwrap();
        assert_eq!(found.program.unwrap_or_default(), program, "{line}");
    }
}

proptest! {
    #[test]
    fn garbage_does_not_panic(
        bytes: Vec<u8>,
        text in "(mkdir |Failed to create |['`\"\\\\\u{2018}é]|/sys/fs/cgroup/memory/x|: |No space left on device|.){0,12}",
    ) {
        failed_mkdir(&bytes, None, &MemoryPaths::default());
        failed_mkdir(text.as_bytes(), None, &MemoryPaths::default());
    }

    #[test]
    fn what_names_no_error_is_none(text in "[a-z /:'-]{0,80}") {
        let line = format!("mkdir /sys/fs/cgroup/memory/x: {text}");
        let counted = ERRORS.iter().any(|(error, _)| line.contains(error));
        prop_assert!(counted || failed_mkdir(line.as_bytes(), None, &MemoryPaths::default()).is_none());
    }
}
