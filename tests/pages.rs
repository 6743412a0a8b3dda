//! Copies of machines with other pages than the reader's: RHEL 7 on ppc64le has 64 KiB. What the kernel counts in pages comes out
//! as the bytes that it counts itself elsewhere.

use std::{fs, path::Path, process::Command};

use kmemtrace::host::archive::unpack;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::harness::{Result, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("pages::slabs_are_what_is_charged", slabs),
        test("pages::a_trace_tells_the_nodes", traces),
        test("pages::a_copy_of_a_copy_tells", copies),
        test("pages::unknown_stays_unknown", unknown),
    ]
}

const MEMORY: &str = "sys/fs/cgroup/memory";

/// Slab caches of each zombie: the name, the size of an object, the order and the number of slabs.
const CACHES: [(&str, u64, u32, u64); 3] = [
    ("dentry", 192, 0, 5),
    ("inode_cache", 592, 1, 3),
    ("kmalloc-64", 64, 0, 1),
];

const ZOMBIES: u64 = 3;

/// Pages in the caches of one zombie.
fn pages() -> u64 {
    CACHES.iter().map(|(.., order, slabs)| slabs << order).sum()
}

/// A machine with accounting of kernel memory as runc switches it on, and three containers that were removed from a pod.
fn machine(page: u64) -> std::result::Result<tempfile::TempDir, Failed> {
    let directory = tempfile::tempdir()?;
    let put = |file: String, content: String| -> Result {
        let file = directory.path().join(file);
        fs::create_dir_all(file.parent().expect("below the directory"))?;
        Ok(fs::write(file, content)?)
    };
    for (file, content) in [
        ("proc/sys/kernel/osrelease", "3.10.0-1160.el7.ppc64le\n"),
        (
            "proc/cgroups",
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t3\t1\n",
        ),
        (
            "proc/self/mountinfo",
            "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        ),
    ] {
        put(file.to_owned(), content.to_owned())?;
    }
    let counts = [
        ("MemTotal", 130_001),
        ("MemFree", 55_503),
        ("Buffers", 2_077),
        ("Cached", 30_002),
        ("Active(anon)", 777),
        ("Inactive(anon)", 12_345),
        ("Active(file)", 4_000),
        ("Inactive(file)", 5_001),
        ("Mapped", 901),
        ("SReclaimable", 703),
        ("SUnreclaim", 606),
    ];
    let meminfo = counts.map(|(key, pages)| format!("{key}: {} kB\n", pages * (page >> 10)));
    put("proc/meminfo".to_owned(), meminfo.concat())?;
    let header = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\n";
    let held = ZOMBIES * pages() * page;
    for (path, usage, slabinfo) in [
        ("", held, None),
        ("/kubepods", held, Some(header)),
        ("/kubepods/pod7", held, Some(header)),
    ] {
        let at = format!("{MEMORY}{path}");
        put(format!("{at}/cgroup.procs"), String::new())?;
        put(format!("{at}/memory.use_hierarchy"), "1\n".to_owned())?;
        put(
            format!("{at}/memory.kmem.usage_in_bytes"),
            format!("{usage}\n"),
        )?;
        put(
            format!("{at}/memory.limit_in_bytes"),
            format!("{}\n", (1u64 << 63) - page),
        )?;
        match slabinfo {
            Some(header) => put(format!("{at}/memory.kmem.slabinfo"), header.to_owned())?,
            None => put(
                format!("{at}/memory.kmem.slabinfo.error"),
                "Input/output error\n".to_owned(),
            )?,
        }
    }
    for zombie in 0..ZOMBIES {
        for (cache, size, order, slabs) in CACHES {
            let objects = slabs * ((page << order) / size);
            let at = format!("sys/kernel/slab/{cache}({zombie}:ctr{zombie})");
            put(format!("{at}/objects"), format!("{objects} N0={objects}\n"))?;
            put(format!("{at}/slabs"), format!("{slabs} N0={slabs}\n"))?;
            put(format!("{at}/order"), format!("{order}\n"))?;
        }
    }
    Ok(directory)
}

fn told(args: &[&str], root: &Path) -> String {
    let mut command = program(args);
    command.arg("--root").arg(root);
    let run = output(command);
    let (said, failed) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.code().is_some() && !said.is_empty(), "{failed}");
    said
}

fn json(args: &[&str], root: &Path) -> std::result::Result<Value, Failed> {
    Ok(serde_json::from_str(&told(args, root))?)
}

const SCAN: [&str; 3] = ["scan", "--format", "json"];

/// Pages times slabs are the bytes that are charged to the pod, whatever this machine's pages are.
fn slabs() -> Result {
    for page in [4 << 10, 16 << 10, 64 << 10] {
        let machine = machine(page)?;
        let scan = json(&SCAN, machine.path())?;
        assert_eq!(scan["page_bytes"], page, "{scan}");
        let zombies = scan["named"].as_array().expect("zombies by name");
        assert_eq!(zombies.len() as u64, ZOMBIES, "{scan}");
        for zombie in zombies {
            assert_eq!(zombie["bytes"], pages() * page, "{zombie}");
        }
        assert_eq!(scan["named_bytes"], scan["held_bytes"], "{scan}");
        assert_eq!(scan["held_bytes"], ZOMBIES * pages() * page, "{scan}");
        let shown = told(&["scan"], machine.path());
        let line = shown.lines().find(|line| line.contains("page size"));
        // What most machines have goes without saying.
        let expected = (page != 4 << 10)
            .then(|| format!("  page size  {} KiB (memory.limit_in_bytes)", page >> 10));
        assert_eq!(line, expected.as_deref(), "{shown}");
        let diagnosis = json(&["diagnose", "--format", "json"], machine.path())?;
        assert_eq!(diagnosis["page_bytes"], page, "{diagnosis}");
    }
    Ok(())
}

fn traces() -> Result {
    for page in [4 << 10, 64 << 10] {
        let machine = machine(page)?;
        let args = ["watch", "--once", "--all", "--format", "json"];
        let trace = told(&args, machine.path());
        let lines: std::result::Result<Vec<Value>, _> =
            trace.lines().map(serde_json::from_str).collect();
        let lines = lines?;
        assert_eq!(lines[0]["page_bytes"], page, "{trace}");
        let measured = lines.iter().filter(|line| line["slab_bytes"].is_u64());
        let measured: Vec<_> = measured.collect();
        assert!(!measured.is_empty(), "{trace}");
        for line in measured {
            assert_eq!(line["slab_bytes"], pages() * page, "{line}");
        }
    }
    Ok(())
}

/// Of a snapshot that was made of a copy, by kmemtrace and by the script, the page size is the first machine's.
fn copies() -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kmemtrace-snapshot.sh");
    let machine = machine(64 << 10)?;
    fs::write(
        machine.path().join("snapshot.txt"),
        "page size: 65536 bytes\n",
    )?;
    let place = tempfile::tempdir()?;
    let [by_verb, by_script] = ["verb.tar", "script.tar"].map(|name| place.path().join(name));
    let mut command = program(["snapshot", "-o"]);
    command.arg(&by_verb).arg("--root").arg(machine.path());
    let run = output(command);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let mut command = Command::new("sh");
    command
        .arg(&script)
        .arg("-r")
        .arg(machine.path())
        .arg(&by_script);
    let run = command.output()?;
    assert!(run.status.success(), "{}", text(&run.stderr));
    for archive in [by_verb, by_script] {
        let unpacked = tempfile::tempdir_in(place.path())?;
        unpack(&archive, unpacked.path())?;
        let note = fs::read_to_string(unpacked.path().join("snapshot.txt"))?;
        let recorded = note
            .lines()
            .filter(|line| line.starts_with("page size: 65536 bytes"));
        assert_eq!(recorded.count(), 1, "{note}");
        // That is enough.
        fs::remove_file(unpacked.path().join("proc/meminfo"))?;
        fs::remove_file(unpacked.path().join(MEMORY).join("memory.limit_in_bytes"))?;
        let scan = json(&SCAN, unpacked.path())?;
        assert_eq!(scan["page_bytes"], 64 << 10, "{scan}");
        assert_eq!(scan["named_bytes"], scan["held_bytes"], "{scan}");
    }
    Ok(())
}

/// Bytes that take the page size are absent where it is not known, or contradictory; those that the kernel tells are there.
fn unknown() -> Result {
    let machine = machine(64 << 10)?;
    let at = |file: &str| machine.path().join(file);
    fs::write(at("snapshot.txt"), "page size: 4096 bytes\n")?;
    let bare = |reason: &str| -> Result {
        let scan = json(&SCAN, machine.path())?;
        assert_eq!(scan["page_bytes"], Value::Null, "{scan}");
        assert_eq!(scan["named_bytes"], Value::Null, "{scan}");
        assert_eq!(scan["held_bytes"], ZOMBIES * pages() * (64 << 10), "{scan}");
        for zombie in scan["named"].as_array().expect("zombies by name") {
            assert_eq!(zombie["bytes"], Value::Null, "{zombie}");
            assert!(zombie["objects"].is_u64(), "{zombie}");
        }
        let shown = told(&["scan"], machine.path());
        assert!(
            shown.contains(&format!("  page size  unknown: {reason}\n")),
            "{shown}"
        );
        Ok(())
    };
    bare("contradiction: 4 KiB (snapshot.txt), 64 KiB (memory.limit_in_bytes)")?;
    for file in [
        "snapshot.txt",
        "proc/meminfo",
        &format!("{MEMORY}/memory.limit_in_bytes"),
    ] {
        fs::remove_file(at(file))?;
    }
    bare("no file shows it")?;
    // A name is no proof.
    fs::write(
        at("proc/sys/kernel/osrelease"),
        "5.14.0-362.el9.aarch64+64k\n",
    )?;
    bare("no file shows it; the kernel's release suggests 64 KiB")
}
