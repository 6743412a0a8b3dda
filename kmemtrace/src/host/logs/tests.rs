use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;
use crate::{host::tests::root, runtimes};

const LOG: &str = "\
Nov 24 01:00:00 n1 kubelet: I1124 fine
Nov 24 01:02:03 n1 kubelet: mkdir /sys/fs/cgroup/memory/kubepods/burstable/pod1: cannot allocate memory
Nov 24 01:02:04 n1 dockerd: mkdir /var/lib/docker/x: no space left on device

Nov 24 01:02:06 n1 kernel: SLUB: Unable to allocate memory on node -1 (gfp=0xd0)
Nov 24 01:02:06 n1 kernel:   node 0: slabs: 49, objs: 1029, free: 0
Nov 24 01:02:07 n1 kernel: [    1.000000] slab 4096
Nov 24 01:02:07 n1 slurmstepd[7]: error: unable to create cgroup '/sys/fs/cgroup/memory/slurm' : No space left on device
";

fn numbers(file: &LogFile) -> Vec<u64> {
    file.lines.iter().filter_map(|line| line.number).collect()
}

#[test]
fn the_lines_that_matter_are_picked_and_copied() {
    let (_directory, machine) = root(&[
        ("/var/log/messages", LOG),
        ("/var/log/docker/x", LOG),
        ("/var/log/containerd.log", "no time in it\n"),
        ("/var/lib/docker/containers/a/a-json.log", LOG),
        ("/var/lib/docker/containers/.b/b-json.log", LOG),
    ]);
    let found = logs(&machine);
    let names: Vec<_> = found
        .files
        .iter()
        .map(|file| (&file.name[..], file.stamped))
        .collect();
    assert_eq!(
        names,
        [
            ("/var/log/messages", true),
            ("/var/log/containerd.log", false),
            ("/var/lib/docker/containers/a/a-json.log", true),
        ]
    );
    assert_eq!(numbers(&found.files[0]), [2, 5, 6, 7, 8]);
    let journal = [log_file(JOURNALS[1], JOURNALS[1], LOG.as_bytes(), true)];
    let copied = String::from_utf8(to_copy(&machine, &journal).unwrap()).unwrap();
    let (_other, copy) = root(&[(COPIED, &copied)]);
    let again = logs(&copy);
    let all: Vec<_> = found.files.into_iter().chain(journal).collect();
    assert_eq!(again.files, all);
    let (_none, empty) = root(&[]);
    assert!(to_copy(&empty, &[]).is_none());
}

#[test]
fn rotated_files_come_oldest_first() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(LOG.as_bytes()).unwrap();
    let (directory, machine) = root(&[
        ("/var/log/messages", "Nov 24 01:02:03 n x\n"),
        ("/var/log/messages-20261101", LOG),
        ("/var/log/messages-20261108.xz", "x"),
        ("/var/log/messages-2026", LOG),
        ("/var/log/messages.old", LOG),
        ("/var/log/messages.1/x", LOG),
        ("/var/log/syslog", LOG),
        ("/var/log/syslog.1", LOG),
        ("/var/log/syslog.3", LOG),
        ("/var/log/syslog.4", LOG),
        ("/var/log/syslog.5", LOG),
    ]);
    let gz = directory.path().join("var/log/syslog.2.gz");
    std::fs::write(gz, packed.finish().unwrap()).unwrap();
    let found = logs(&machine);
    let names: Vec<_> = found
        .files
        .iter()
        .map(|file| &file.name["/var/log/".len()..])
        .collect();
    assert_eq!(
        names,
        [
            "messages-20261101",
            "messages",
            "syslog.4",
            "syslog.3",
            "syslog.2.gz",
            "syslog.1",
            "syslog",
        ]
    );
    assert!(
        found
            .files
            .iter()
            .all(|file| file.log == "/var/log/messages" || file.log == "/var/log/syslog")
    );
    assert_eq!(numbers(&found.files[4]), [2, 5, 6, 7, 8]);
    assert_eq!(found.skipped, ["/var/log/messages-20261108.xz"]);
    let copied = to_copy(&machine, &[]).unwrap();
    let again = snapshot::parse(&copied);
    assert_eq!((again.files, again.skipped), (found.files, found.skipped));
}

#[test]
fn an_earlier_snapshot_is_understood() {
    let (_copy, copy) = root(&[(
        "runtime-log.txt",
        "read /var/log/messages\n/var/log/messages:2:kubelet: mkdir /sys/fs/cgroup/memory/x: cannot allocate memory\n",
    )]);
    let found = logs(&copy);
    let [file] = &found.files[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (&file.name[..], file.stamped, numbers(file)),
        ("/var/log/messages", true, vec![2])
    );
}

#[test]
fn lines_with_a_time_are_those_of_logs() {
    for (text, stamped) in [
        ("Nov 24 01:02:03 n x", true),
        ("2026-11-24T01:02:03.123456+00:00 n x", true),
        ("lxc 20160602083833.650 ERROR lxc_utils", true),
        ("[    0.000000] Linux version", true),
        ("[12.5] x", true),
        (
            "{\"log\":\"x\",\"time\":\"2021-11-13T08:11:09.219Z\"}",
            true,
        ),
        ("hello", false),
        ("", false),
        ("01:02", false),
        ("[x] 1:2:3", false),
        (
            "mkdir /sys/fs/cgroup/memory/x: cannot allocate memory",
            false,
        ),
    ] {
        assert_eq!(
            log_file("x", "x", text.as_bytes(), true).stamped,
            stamped,
            "{text}"
        );
    }
}

#[test]
fn the_script_has_the_same_places() {
    let script = include_str!("../../../../deploy/kmemtrace-snapshot.sh");
    for pattern in places::patterns() {
        assert!(script.contains(&format!(" {pattern} ")), "{pattern}");
    }
    for unit in runtimes::units() {
        assert!(script.contains(&format!(" {unit} ")), "{unit}");
    }
}

proptest! {
    #[test]
    fn garbage_does_not_panic(bytes: Vec<u8>, text in "(read |unknown |skip |x|:|[0-9]{1,3}|\n){0,20}") {
        log_file("x", "x", &bytes, true);
        snapshot::parse(&bytes);
        snapshot::parse(text.as_bytes());
    }
}
