use std::{fs, path::Path};

use super::{super::report::Palette, *};
use crate::host::tests::root;

fn counts(zombies: u64, kernel_memory: Option<u64>) -> Counts {
    Counts {
        zombies,
        at_least: kernel_memory.is_some(),
        kernel_memory,
        memory: kernel_memory.map_or(Some(8 << 20), |_| None),
        none: zombies == 0,
    }
}

fn step(kind: Kind, after: Option<Counts>) -> Step {
    Step {
        kind,
        writes: 190,
        targets: 95,
        bytes: (kind == Kind::Reclaim).then_some(12 << 20),
        left_out: None,
        failed: None,
        reason: None,
        after,
    }
}

fn report(applied: bool, before: Counts, steps: Vec<Step>) -> Report {
    Report {
        applied,
        before,
        steps,
        ended: None,
    }
}

fn text(report: &Report, lang: Lang) -> String {
    let mut out = Vec::new();
    let catalogue = Catalogue::shown(lang);
    text::write(&mut out, report, Palette::new(false), &catalogue).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_it_did_or_would_do_is_told() {
    let many = counts(95, Some(3_842_048));
    let mut failed = step(Kind::DropCaches, Some(counts(2, None)));
    (failed.left_out, failed.failed) = (Some(5), Some(1));
    failed.reason = Some("/proc/sys/vm/\x1b: denied".to_owned());
    let mut short = report(
        true,
        many,
        vec![step(Kind::Shrink, Some(counts(95, Some(9))))],
    );
    short.ended = Some(Ended::TimeIsUp);
    let mut pressed = report(true, many, vec![step(Kind::Reclaim, Some(many))]);
    (pressed.ended, pressed.steps[0].targets) = (Some(Ended::Interrupted), 1);
    let mut untold = counts(0, None);
    untold.none = false;
    let reports = [
        report(false, counts(0, None), Vec::new()),
        report(false, many, vec![step(Kind::Shrink, None)]),
        report(
            true,
            many,
            vec![step(Kind::Shrink, Some(counts(0, Some(0))))],
        ),
        report(
            true,
            counts(40, None),
            vec![step(Kind::Reclaim, Some(counts(9, None))), failed],
        ),
        short,
        pressed,
        report(false, counts(3, None), Vec::new()),
        report(true, counts(1, None), vec![step(Kind::DropCaches, None)]),
        report(false, untold, Vec::new()),
    ];
    for (lang, name) in [(Lang::En, "reclaim_en"), (Lang::Zh, "reclaim_zh")] {
        let told: Vec<_> = reports
            .iter()
            .map(|report| format!("{}{:?}\n", text(report, lang), report.verdict()))
            .collect();
        insta::assert_snapshot!(name, told.join("\n"));
    }
    insta::assert_snapshot!(
        "reclaim_json",
        serde_json::to_string(&[&reports[3], &reports[4]]).unwrap()
    );
}

/// 3.10 with a live container and two that are gone, each with slab caches of its own.
fn el7() -> (tempfile::TempDir, Root) {
    const AT: &str = "/sys/fs/cgroup/memory";
    let header = "slabinfo - version: 2.1\n";
    let mut files = vec![
        (
            "/proc/self/mountinfo".to_owned(),
            format!("32 31 0:28 / {AT} rw - cgroup cgroup rw,memory\n"),
        ),
        ("/proc/cgroups".into(), "memory\t4\t3\t1\n".into()),
        ("/proc/sys/vm/drop_caches".into(), "0".into()),
        (format!("{AT}/memory.kmem.slabinfo.error"), "EIO\n".into()),
        (format!("{AT}/pods/memory.kmem.slabinfo"), header.into()),
        (
            format!("{AT}/pods/live/memory.kmem.slabinfo"),
            header.into(),
        ),
    ];
    for (id, leaf) in [(0, "live"), (1, "gone-a"), (2, "gone-b")] {
        for cache in ["dentry", "inode_cache"] {
            let at = format!("/sys/kernel/slab/{cache}({id}:{leaf})");
            files.push((format!("{at}/objects"), "21\n".into()));
            files.push((format!("{at}/shrink"), "0".into()));
        }
    }
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (&path[..], &text[..]))
        .collect();
    root(&files)
}

/// Which `shrink` files were written to, and whether caches were dropped.
fn written(at: &Path) -> (Vec<String>, bool) {
    let slab = fs::read_dir(at.join("sys/kernel/slab")).unwrap();
    let mut shrunk: Vec<_> = slab
        .map(|entry| entry.unwrap())
        .filter(|entry| fs::read(entry.path().join("shrink")).unwrap() == b"1")
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    shrunk.sort();
    let dropped = fs::read(at.join("proc/sys/vm/drop_caches")).unwrap() == b"3";
    (shrunk, dropped)
}

#[test]
fn slab_caches_of_the_removed_are_shrunk_and_no_others() {
    let told = |apply, drop_caches, max, seconds| {
        let (directory, root) = el7();
        let args = Args {
            apply,
            drop_caches,
            max,
            time: Duration::from_secs(seconds),
            format: Format::Json,
            lang: Lang::En,
        };
        let interrupt = Interrupt::watched().unwrap();
        let report = reclaim(&root, &args, &interrupt, &Catalogue::shown(Lang::En)).unwrap();
        let steps: Vec<_> = report
            .steps
            .iter()
            .map(|step| (step.kind, step.writes, step.targets, step.left_out))
            .collect();
        (written(directory.path()), steps, report.ended)
    };
    let both = (Kind::Shrink, 4, 2, None);
    let dry = told(false, true, 100, 60);
    let drop = (Kind::DropCaches, 1, 1, None);
    assert_eq!(dry, ((vec![], false), vec![both, drop], None));

    let names = |leaves: &[&str]| -> Vec<String> {
        ["dentry", "inode_cache"]
            .iter()
            .flat_map(|cache| leaves.iter().map(move |leaf| format!("{cache}({leaf})")))
            .collect()
    };
    let all = names(&["1:gone-a", "2:gone-b"]);
    assert_eq!(
        told(true, false, 100, 60),
        ((all.clone(), false), vec![both], None)
    );
    let (all_dropped, _, _) = told(true, true, 100, 60);
    assert_eq!(all_dropped, (all, true));

    let (one, steps, _) = told(true, false, 1, 60);
    assert_eq!(one, (names(&["1:gone-a"]), false));
    assert_eq!(steps, [(Kind::Shrink, 2, 1, Some(1))]);

    let (none, _, ended) = told(true, true, 100, 0);
    assert_eq!((none, ended), ((vec![], false), Some(Ended::TimeIsUp)));
}
