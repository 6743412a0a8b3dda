//! All verbs say the same of one node: `scan`, `diagnose`, `watch --once` and the report of that, on copies of real machines and on built ones.

mod mkdir;
mod snapshots;

use std::{fs, os::unix::fs::symlink, path::Path};

use libtest_mimic::Trial;
use proptest::{
    prelude::{Just, TestCaseError},
    prop_oneof,
    test_runner::TestRunner,
};
use serde_json::Value;

use crate::harness::{Result, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("agree::on_snapshots_of_booted_kernels", snapshots::all),
        test("agree::on_built_trees", built),
        test("agree::what_noise_hides_is_unknown", noise),
        test("agree::on_a_failed_mkdir", mkdir::failed),
        test("agree::on_any_release", any_release),
    ]
}

/// A verb's exit status and its JSON; of several lines the last.
fn run(args: &[&str], root: &Path) -> (Option<i32>, Value) {
    let mut command = program(args);
    command.arg("--root").arg(root);
    let run = output(command);
    let stdout = text(&run.stdout);
    let told = stdout.lines().last().map(serde_json::from_str);
    let told = told.and_then(std::result::Result::ok);
    let told = told.unwrap_or_else(|| panic!("{args:?}: {stdout}{}", text(&run.stderr)));
    (run.status.code(), told)
}

/// The report of a trace of one look.
fn report(root: &Path) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace.zst");
    let mut command = program(["watch", "--once", "--record"]);
    command.arg(&trace).arg("--root").arg(root);
    output(command);
    let mut command = program(["report", "-o", "-"]);
    command.arg(&trace);
    let run = output(command);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    text(&run.stdout)
}

/// What the verbs call the node's state, if they agree.
fn state(root: &Path) -> String {
    let scan = run(&["scan", "--format", "json"], root);
    let watch = run(&["watch", "--once", "--format", "json"], root);
    let diagnose = run(&["diagnose", "--no-exec", "--format", "json"], root);
    ids(root, &scan.1, &watch.1, &diagnose.1);
    let of = |(code, told): &(Option<i32>, Value)| {
        let state = told["state"].as_str().unwrap_or_default().to_owned();
        let expected = match &state[..] {
            "healthy" => 0,
            "unknown" => 2,
            _ => 1,
        };
        assert_eq!(*code, Some(expected), "{}: {told}", root.display());
        state
    };
    let (scan, watch, diagnose) = (of(&scan), of(&watch), of(&diagnose));
    let headline = match &watch[..] {
        "exhausted" => "EXHAUSTED: ",
        "leaking" => "LEAKING: ",
        "piling-up" => "ZOMBIES: ",
        "crowded" => "CROWDED: ",
        "healthy" | "unknown" => "no leak seen",
        other => panic!("{other}"),
    };
    let page = report(root);
    let start = format!("<h1>{headline}");
    assert!(page.contains(&start), "{}: no {start}", root.display());
    assert_eq!(scan, watch, "{}: scan, watch --once", root.display());
    // What accounting and logs tell, the others do not look at.
    let as_counted = match &diagnose[..] {
        "at-risk" | "unknown" | "failing" if ["healthy", "unknown"].contains(&&scan[..]) => &scan,
        state => state,
    };
    assert_eq!(scan, as_counted, "{}: scan, diagnose", root.display());
    diagnose
}

/// That they agree on the ids in use.
fn ids(root: &Path, scan: &Value, watch: &Value, diagnose: &Value) {
    let told = |told: &Value| (told["ids_min"].clone(), told["ids_max"].clone());
    let at = root.display();
    assert_eq!(told(scan), told(watch), "{at}: scan, watch --once");
    let ids = &diagnose["ids"];
    let diagnosed = (ids["min"].clone(), ids["max"].clone());
    assert_eq!(told(scan), diagnosed, "{at}: scan, diagnose");
    assert!(ids["min"].as_u64() <= ids["max"].as_u64().or(Some(65_535)));
    assert!(ids["max"].as_u64() <= Some(65_535));
}

/// Where slab caches of memory cgroups stand, and so what the kernel's count is good for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slab {
    None,
    TopLevel,
    Nested,
}

/// A v1 machine with five directories and so many zombies.
fn tree(at: &Path, release: &str, slab: Slab, zombies: u64, peak: u64, held: u64) -> Result {
    const LIVE: [&str; 5] = [
        "",
        "/kubepods",
        "/kubepods/pod1",
        "/docker",
        "/system.slice",
    ];
    let put = |path: &str, text: &str| {
        let path = at.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a parent"))?;
        fs::write(path, text)
    };
    put("/proc/sys/kernel/osrelease", release)?;
    put("/proc/uptime", "864000.00 1.00\n")?;
    put("/proc/cmdline", "ro\n")?;
    put(
        "/proc/meminfo",
        "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n",
    )?;
    let mount = "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    put("/proc/self/mountinfo", mount)?;
    let counted = if slab == Slab::TopLevel { 0 } else { zombies };
    let count = LIVE.len() as u64 + counted;
    put("/proc/cgroups", &format!("memory\t4\t{count}\t1\n"))?;
    for path in LIVE {
        let at = format!("/sys/fs/cgroup/memory{path}");
        put(&format!("{at}/cgroup.procs"), "")?;
        let usage = if path.is_empty() || path.starts_with("/kubepods") {
            held
        } else {
            0
        };
        put(
            &format!("{at}/memory.kmem.usage_in_bytes"),
            &format!("{usage}\n"),
        )?;
        if slab == Slab::TopLevel {
            let file = format!("{at}/memory.kmem.slabinfo.error");
            put(&file, "Input/output error\n")?;
        } else {
            put(&format!("{at}/memory.kmem.slabinfo"), "")?;
        }
    }
    let caches = at.join("sys/kernel/slab");
    fs::create_dir_all(&caches)?;
    for id in 0..zombies {
        match slab {
            Slab::None => {}
            Slab::TopLevel => fs::create_dir(caches.join(format!("dentry({id}:gone{id})")))?,
            Slab::Nested => {
                fs::create_dir_all(caches.join(format!("dentry/cgroup/dentry({id}:gone{id})")))?;
            }
        }
    }
    if slab == Slab::TopLevel && peak > 0 {
        // A cache that is gone.
        let name = format!("dentry({}:last)", peak - 1);
        symlink(format!(":t-0000192-{:08}", peak - 1), caches.join(name))?;
    }
    Ok(())
}

fn built() -> Result {
    let mut states = Vec::new();
    for (release, slab) in [
        ("3.10.0-514.el7.x86_64", Slab::TopLevel),
        ("3.10.0", Slab::TopLevel),
        ("custom", Slab::TopLevel),
        ("4.14.67", Slab::Nested),
        ("4.19.222", Slab::None),
        ("4.6.0", Slab::None),
        ("4.4.58-20171215.kylin.server.YUN+-generic", Slab::None),
        ("4.4.248-1.el7.elrepo.x86_64", Slab::Nested),
        ("3.18.3", Slab::None),
        ("6.1.0-40-amd64", Slab::None),
    ] {
        for (zombies, peak, held) in [
            (0, 0, 0),
            (0, 9, 0),
            (0, 9, 1 << 20),
            (0, 65_530, 1 << 20),
            (0, 65_530, 0),
            (1, 9, 4096),
            (44, 50, 1 << 20),
            (60, 65_529, 1 << 20),
            (60, 65_530, 1 << 20),
            (300, 300, 1 << 20),
            (65_530, 300, 1 << 20),
            (70_000, 300, 1 << 20),
        ] {
            // 65,530 directories take their time.
            if zombies > 300 && slab != Slab::None {
                continue;
            }
            let directory = tempfile::tempdir()?;
            tree(directory.path(), release, slab, zombies, peak, held)?;
            let state = state(directory.path());
            states.push(format!(
                "{release} {slab:?} {zombies} {peak} {held}: {state}"
            ));
        }
    }
    insta::assert_snapshot!(states.join("\n"));
    Ok(())
}

/// 3.10: live containers have gigabytes of kernel memory, and what removed ones hold is little beside that: enough for all ids there
/// are. Nobody says that there is none; nor where the names of slab caches cannot be listed.
fn noise() -> Result {
    let live: u64 = 3 << 30;
    for (held, named, listed, expected) in [
        (0, true, true, "healthy"),
        (256 << 20, true, true, "unknown"),
        (256 << 20, false, true, "unknown"),
        (512 << 20, true, true, "leaking"),
        (512 << 20, false, true, "leaking"),
        (0, false, false, "unknown"),
    ] {
        let directory = tempfile::tempdir()?;
        let at = directory.path();
        tree(
            at,
            "3.10.0-514.el7.x86_64",
            Slab::TopLevel,
            0,
            0,
            live + held,
        )?;
        let memory = at.join("sys/fs/cgroup/memory");
        let container = memory.join("kubepods/pod1/c1");
        fs::create_dir_all(&container)?;
        fs::write(
            memory.join("kubepods/pod1/memory.kmem.usage_in_bytes"),
            format!("{live}\n"),
        )?;
        fs::write(
            container.join("memory.kmem.usage_in_bytes"),
            format!("{live}\n"),
        )?;
        fs::write(container.join("cgroup.procs"), "7\n")?;
        fs::write(at.join("proc/cgroups"), "memory\t4\t6\t1\n")?;
        let caches = at.join("sys/kernel/slab");
        if named {
            fs::create_dir(caches.join("dentry(0:c1)"))?;
        }
        if !listed {
            fs::remove_dir(caches)?;
        }
        let case = format!("{held} {named} {listed}");
        for args in [
            &["scan", "--format", "json"][..],
            &["watch", "--once", "--format", "json"],
        ] {
            let (code, told) = run(args, at);
            assert_eq!(told["state"], expected, "{case} {args:?}: {told}");
            let right = match expected {
                "healthy" => 0,
                "unknown" => 2,
                _ => 1,
            };
            assert_eq!(code, Some(right), "{case} {args:?}");
        }
        let (_, told) = run(&["diagnose", "--no-exec", "--format", "json"], at);
        assert_ne!(told["state"], "healthy", "{case}: {told}");
    }
    Ok(())
}

/// Whatever a kernel calls itself, and however many zombies it has.
fn any_release() -> Result {
    let release = prop_oneof![
        3 => "[2-7]\\.[0-9]{1,2}(\\.[0-9]{1,3})?(-[0-9]{1,4})?(\\.el7|\\.el8|-generic|-default|\\.el7\\.elrepo|\\.kylin|\\+|-aws)?(\\.x86_64)?",
        1 => "[ -~]{0,30}",
    ];
    let zombies = prop_oneof![
        Just(0),
        1..60u64,
        60..9_000u64,
        65_500..65_600u64,
        66_000..80_000u64
    ];
    let slab = prop_oneof![
        2 => Just(Slab::None),
        1 => Just(Slab::TopLevel),
        1 => Just(Slab::Nested),
    ];
    let mut runner = TestRunner::new(proptest::test_runner::Config {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    });
    runner.run(&(release, zombies, slab), |(release, zombies, slab)| {
        // Each zombie with slab caches is a directory here.
        let zombies = if slab == Slab::None {
            zombies
        } else {
            zombies.min(300)
        };
        let directory = tempfile::tempdir()?;
        // Kernel memory that nothing with a name holds is one look's alone to see.
        let held = if zombies > 0 { 1 << 20 } else { 0 };
        tree(directory.path(), &release, slab, zombies, 0, held)
            .map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        state(directory.path());
        Ok(())
    })?;
    Ok(())
}
