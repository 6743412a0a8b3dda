//! Scans of copies that were taken from 3.10 and 4.14 kernels: `data/recordings/README.md` says what happened in each.

use std::path::Path;

use kmemtrace::host::{
    Ask, Hierarchy, Kmem, Root, SlabLayout, Slabinfo, archive::unpack, facts, kmem, slab_memcgs,
    slab_pin,
};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::harness::{Result, data, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("recordings::without_kmem_nothing_leaks", control),
        test("recordings::one_container_from_cradle_to_grave", one),
        test("recordings::ten_on_3_10", ten),
        test("recordings::a_hundred_on_3_10", hundred),
        test("recordings::a_thousand_on_3_10", thousand),
        test("recordings::all_ids_on_3_10", exhausted),
        test("recordings::a_limit_that_is_reached_is_no_leak", limit),
        test("recordings::on_4_14_the_count_tells", k414),
        test("recordings::an_archive_with_several_copies", several),
        test("recordings::text_on_3_10", shown),
    ]
}

/// An archive, unpacked.
struct Recording(tempfile::TempDir, String);

impl Recording {
    fn new(name: &str) -> std::result::Result<Self, Failed> {
        let directory = tempfile::tempdir()?;
        let archive = data(&format!("recordings/{name}.tar.zst"));
        unpack(&archive, directory.path())?;
        Ok(Self(directory, name.to_owned()))
    }

    fn root(&self, copy: &str) -> Root {
        Root::at(self.0.path().join(&self.1).join(copy))
    }

    /// The exit status and the JSON of a scan.
    fn scan(&self, copy: &str) -> (i32, Value) {
        let root = self.0.path().join(&self.1).join(copy);
        let mut command = program(["scan", "--format", "json", "--root"]);
        command.arg(root);
        let run = output(command);
        let told = serde_json::from_slice(&run.stdout);
        let told = told.unwrap_or_else(|error| panic!("{error}: {}", text(&run.stderr)));
        (run.status.code().unwrap_or(-1), told)
    }

    /// Scans a copy: `(exit status, live, zombies at least, zombies if known, held bytes)`.
    fn says(&self, copy: &str, expected: (i32, u64, u64, Option<u64>, Option<u64>)) -> Value {
        let (status, told) = self.scan(copy);
        let number = |field: &str| told[field].as_u64();
        let found = (
            status,
            number("live").unwrap_or_default(),
            number("zombies_min").unwrap_or_default(),
            number("zombies"),
            number("held_bytes"),
        );
        assert_eq!(found, expected, "{}/{copy}: {told}", self.1);
        told
    }

    fn kmem(&self, copy: &str) -> std::result::Result<Kmem, Failed> {
        let root = self.root(copy);
        let hierarchy: Hierarchy = facts(&root).memory?;
        Ok(kmem(
            &root,
            &hierarchy,
            &slab_memcgs(&root),
            Ask::Settled(&mut |_| true),
        )?)
    }
}

/// The names of the zombies that a scan lists, and the other names that they may have.
fn names(told: &Value) -> Vec<&str> {
    let zombies = told["named"].as_array().into_iter().flatten();
    let mut names: Vec<_> = zombies
        .flat_map(|zombie| {
            let or = zombie["or"].as_array().into_iter().flatten();
            std::iter::once(&zombie["name"]).chain(or)
        })
        .filter_map(Value::as_str)
        .collect();
    names.sort_unstable();
    names
}

const NONE: Option<u64> = None;

fn control() -> Result {
    let recording = Recording::new("el7-514-control")?;
    for copy in ["before", "after-loop", "after-drop_caches", "after-shrink"] {
        recording.says(copy, (0, 4, 0, Some(0), Some(0)));
        let kmem = recording.kmem(copy)?;
        let states: Vec<_> = kmem.directories.iter().map(|one| one.slabinfo).collect();
        assert_eq!(states, [Slabinfo::Inactive; 4]);
    }
    recording.says("end", (0, 1, 0, Some(0), Some(0)));
    Ok(())
}

fn one() -> Result {
    let recording = Recording::new("el7-514-one-container")?;
    recording.says("00-before", (0, 1, 0, Some(0), Some(0)));
    recording.says("01-made-kmem-off", (0, 4, 0, Some(0), Some(0)));
    recording.says("02-kmem-on-idle", (0, 4, 0, Some(0), Some(0)));
    // Its own caches are no zombie's, while it runs and when it has exited; the kernel's count proves nothing any more.
    recording.says("03-live", (0, 4, 0, NONE, Some(0)));
    recording.says("04-exited", (0, 4, 0, NONE, Some(0)));
    for (copy, held) in [
        ("05-after-rmdir", 1_773_568),
        ("06-after-drop2", 1_773_568),
        ("07-after-rm-files", 172_032),
        ("08-after-shrink", 12_288),
    ] {
        let told = recording.says(copy, (1, 3, 1, NONE, Some(held)));
        assert_eq!(names(&told), ["ctr1"]);
        assert_eq!(told["held"][0]["path"], "/kubepods/podabc");
    }
    let (_, told) = recording.scan("05-after-rmdir");
    let zombie = &told["named"][0];
    assert_eq!(
        (&zombie["largest"], &zombie["largest_objects"]),
        (&"dentry".into(), &2002.into())
    );
    let kmem = recording.kmem("03-live")?;
    let own = kmem.directories.last().expect("ctr1");
    assert_eq!(
        (&own.path[..], own.tasks),
        (&b"/kubepods/podabc/ctr1"[..], Some(true))
    );
    assert!(
        matches!(own.slabinfo, Slabinfo::Active { caches: 20, .. }),
        "{:?}",
        own.slabinfo
    );
    let kmem = recording.kmem("02-kmem-on-idle")?;
    let states: Vec<_> = kmem.directories.iter().map(|one| one.slabinfo).collect();
    assert_eq!(states[3], Slabinfo::HeaderOnly);
    Ok(())
}

fn ten() -> Result {
    let recording = Recording::new("el7-514-leaked-10")?;
    recording.says("before", (0, 4, 0, Some(0), Some(0)));
    for copy in ["after-loop", "after-drop_caches"] {
        // c2 was freed, and c4 has its id: its old link leads to c4's cache.
        let told = recording.says(copy, (1, 4, 9, NONE, Some(294_912)));
        let left = ["c0", "c1", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
        assert_eq!(names(&told), left);
        assert_eq!(told["kmem_peak"], 12);
        assert_eq!(told["ids_min"], 13);
    }
    let root = recording.root("after-loop");
    let memcgs = slab_memcgs(&root);
    assert_eq!(memcgs.layout, Some(SlabLayout::TopLevel));
    let caches = memcgs.with_cache().map(|(_, memcg)| memcg.caches.len());
    assert_eq!(caches.sum::<usize>(), 18);
    let pin = slab_pin(&root, &memcgs.memcgs[&3]);
    assert_eq!(pin.largest, Some((b"dentry".to_vec(), 20)));
    // The copy has no files of its other cache.
    assert_eq!((pin.objects, pin.bytes), (None, None));
    recording.says("after-shrink", (0, 4, 0, NONE, Some(0)));
    recording.says("end", (0, 1, 0, NONE, Some(0)));
    Ok(())
}

fn hundred() -> Result {
    let recording = Recording::new("el7-514-leaked-100")?;
    recording.says("before", (0, 4, 0, Some(0), Some(0)));
    for copy in ["after-loop", "after-drop_caches"] {
        let told = recording.says(copy, (1, 4, 95, NONE, Some(3_842_048)));
        assert_eq!(told["kmem_peak"], 98);
        // c4 or c1, which had the same id: nothing tells which.
        assert!(told["named"][1]["or"][0] == "c4", "{}", told["named"][1]);
    }
    recording.says("after-shrink", (0, 4, 0, NONE, Some(0)));
    recording.says("end", (0, 1, 0, NONE, Some(0)));
    Ok(())
}

fn thousand() -> Result {
    let recording = Recording::new("el7-514-leaked-1000")?;
    recording.says("before", (0, 4, 0, Some(0), Some(0)));
    for copy in ["after-loop", "after-drop_caches"] {
        let told = recording.says(copy, (1, 4, 861, NONE, Some(31_850_496)));
        assert_eq!(told["kmem_peak"], 866);
        assert_eq!(told["named"].as_array().map(Vec::len), Some(861));
    }
    let told = recording.says("after-shrink", (1, 4, 2, NONE, Some(0)));
    assert_eq!(names(&told), ["c353", "c886"]);
    let told = recording.says("end", (1, 1, 2, NONE, Some(0)));
    assert_eq!(names(&told), ["c353", "c886"]);
    Ok(())
}

fn exhausted() -> Result {
    let recording = Recording::new("el7-514-exhausted")?;
    for (copy, held) in [
        ("exhausted", 1_073_692_672),
        ("exhausted-then-3-freed", 1_073_643_520),
    ] {
        let told = recording.says(copy, (1, 2, 5, NONE, Some(held)));
        let left = ["z29017", "z33547", "z33751", "z56154", "z58462"];
        assert_eq!(names(&told), left);
        let caches = told["named"].as_array().into_iter().flatten();
        assert_eq!(
            caches.filter_map(|one| one["caches"].as_u64()).sum::<u64>(),
            8
        );
        assert_eq!(told["held"][0]["path"], "/kubepods");
        assert_eq!(told["kmem_peak"], 65_534);
        assert_eq!(told["kmem_without_caches"], 65_528);
    }
    let memcgs = slab_memcgs(&recording.root("exhausted")).memcgs;
    let gone: u64 = memcgs.values().map(|memcg| u64::from(memcg.gone)).sum();
    assert_eq!((memcgs.len(), gone), (65_533, 131_058));
    Ok(())
}

fn limit() -> Result {
    let recording = Recording::new("el7-514-slub-failure")?;
    recording.says("01-limit-hit", (0, 5, 0, NONE, Some(0)));
    recording.says("02-more", (0, 8, 0, NONE, Some(0)));
    Ok(())
}

fn k414() -> Result {
    let few = [
        ("before", 4, 0, NONE, 0),
        ("after-loop", 4, 10, Some(360_448), 0),
        ("after-drop_caches", 4, 10, Some(360_448), 0),
        ("after-shrink", 4, 2, Some(0), 0),
        ("end", 1, 5, Some(0), 0),
    ];
    let mut many = few;
    for copy in &mut many[1..3] {
        (copy.2, copy.3, copy.4) = (94, Some(3_502_080), 1);
    }
    for (name, copies) in [("k414-leaked-10", few), ("k414-leaked-100", many)] {
        let recording = Recording::new(name)?;
        for (copy, live, zombies, held, status) in copies {
            recording.says(copy, (status, live, zombies, Some(zombies), held));
        }
        let memcgs = slab_memcgs(&recording.root("after-loop"));
        assert_eq!(
            (memcgs.layout, memcgs.peak),
            (Some(SlabLayout::Nested), None)
        );
        let (_, told) = recording.scan("after-loop");
        let sizes = |zombie: &Value| zombie["objects"].is_u64() && zombie["bytes"].is_u64();
        let named = told["named"].as_array().cloned().unwrap_or_default();
        assert!(named.len() == 3 && named.iter().all(sizes), "{told}");
    }
    Ok(())
}

/// `--root` says which copies there are, and takes one of them.
fn several() -> Result {
    let archive = data("recordings/el7-514-leaked-10.tar.zst");
    let archive = archive.to_string_lossy();
    let scan = |root: &str| output(program(["scan", "--format", "json", "--root", root]));
    let run = scan(&archive);
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr.contains("holds 5 copies: say which"), "{stderr}");
    assert!(
        stderr.contains(":el7-514-leaked-10/after-loop\n"),
        "{stderr}"
    );
    let run = scan(&format!("{archive}:none"));
    assert!(
        text(&run.stderr).contains("holds no copy none"),
        "{}",
        text(&run.stderr)
    );
    for inside in ["after-loop", "el7-514-leaked-10/after-loop"] {
        let run = scan(&format!("{archive}:{inside}"));
        let told: Value = serde_json::from_slice(&run.stdout)?;
        assert_eq!(
            (run.status.code(), &told["zombies_min"]),
            (Some(1), &9.into())
        );
    }
    // A snapshot of a copy reads as the copy.
    let directory = tempfile::tempdir()?;
    let again = directory.path().join("again.tar.gz");
    let copy = format!("{archive}:after-loop");
    let again = again.to_string_lossy();
    let run = output(program(["snapshot", "--root", &copy, "-o", &again]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert_eq!(scan(&again).stdout, scan(&copy).stdout);
    assert!(Path::new(&*again).exists());
    Ok(())
}

fn shown() -> Result {
    let recording = Recording::new("el7-514-leaked-10")?;
    for copy in ["after-loop", "after-shrink"] {
        let mut command = program(["scan", "--root"]);
        command.arg(recording.0.path().join(&recording.1).join(copy));
        insta::assert_snapshot!(format!("el7_{copy}"), text(&output(command).stdout));
    }
    Ok(())
}
