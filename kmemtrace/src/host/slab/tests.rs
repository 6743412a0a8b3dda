use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::PathBuf,
};

use proptest::prelude::*;

use super::*;
use crate::host::tests::root;

/// What is there for an id: leaf, other leaves, caches' places, names gone.
type Told = (u32, String, Vec<String>, Vec<String>, u32);

fn told(memcgs: &SlabMemcgs) -> Vec<Told> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let memcgs = memcgs.memcgs.iter();
    memcgs
        .map(|(id, memcg)| {
            let or = memcg.or.iter().map(|leaf| text(leaf)).collect();
            let caches = memcg.caches.iter().map(|cache| text(cache.path()));
            (*id, text(&memcg.leaf), or, caches.collect(), memcg.gone)
        })
        .collect()
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn slab_of(directory: &tempfile::TempDir) -> PathBuf {
    let slab = directory.path().join("sys/kernel/slab");
    fs::create_dir_all(&slab).unwrap();
    slab
}

#[test]
fn caches_at_the_top_level_tell_their_memcgs() {
    let (directory, root) = root(&[
        ("/sys/kernel/slab/dentry/shrink", ""),
        ("/sys/kernel/slab/:at-0000192/shrink", ""),
        ("/sys/kernel/slab/:at-0000192-00000007/shrink", ""),
        ("/sys/kernel/slab/inode_cache(7:ctr1)/shrink", ""),
        ("/sys/kernel/slab/kmalloc-64(8:a(1:b))/shrink", ""),
        ("/sys/kernel/slab/kmalloc-64(65535:not an id)/shrink", ""),
        ("/sys/kernel/slab/kmalloc-64(9:a file)", ""),
    ]);
    let slab = slab_of(&directory);
    for (name, to) in [
        ("dentry(7:ctr1)", ":at-0000192-00000007"),
        ("dentry(7:old)", ":at-0000192-00000007"),
        ("kmalloc-64(7:old)", ":t-0000064-00000007"),
        ("dentry(9:ctr9)", ":at-0000192-00000009"),
        ("kmalloc-64(9:ctr9)", ":t-0000064-00000009"),
        ("dentry(9:ctr11)", ":at-0000192-00000009"),
    ] {
        symlink(to, slab.join(name)).unwrap();
    }
    let memcgs = slab_memcgs(&root);
    assert_eq!(
        (memcgs.layout, memcgs.peak),
        (Some(SlabLayout::TopLevel), Some(10))
    );
    let both = strings(&["inode_cache(7:ctr1)", "dentry(7:ctr1)"]);
    assert_eq!(
        told(&memcgs),
        [
            (7, "ctr1".to_owned(), vec![], both, 2),
            (
                8,
                "a(1:b)".to_owned(),
                vec![],
                strings(&["kmalloc-64(8:a(1:b))"]),
                0
            ),
            (9, "ctr11".to_owned(), vec![], vec![], 3),
        ]
    );
    let with_cache: Vec<_> = memcgs.with_cache().map(|(id, _)| id).collect();
    assert_eq!(with_cache, [7, 8]);
    assert_eq!(memcgs.memcgs[&8].caches[0].name(), b"kmalloc-64");
    assert_eq!(
        slab_memcgs(&Root::at("/nonexistent")),
        SlabMemcgs::default()
    );
}

/// The id was used again, and all names lead to the present memcg's cache.
#[test]
fn names_that_cannot_be_told_apart_are_all_kept() {
    let (directory, root) = root(&[("/sys/kernel/slab/:at-0000192-00000005/objects", "1")]);
    let slab = slab_of(&directory);
    for name in ["dentry(5:c4)", "dentry(5:c2)"] {
        symlink(":at-0000192-00000005", slab.join(name)).unwrap();
    }
    assert_eq!(
        told(&slab_memcgs(&root)),
        [(
            5,
            "c2".to_owned(),
            strings(&["c4"]),
            strings(&["dentry(5:c2)"]),
            0
        )]
    );
}

#[test]
fn nested_caches_tell_their_memcgs() {
    let dentry = ":aA-0000192/cgroup/dentry(70000:c0)";
    let inode = "inode_cache/cgroup/inode_cache(70000:c0)";
    let (directory, root) = root(&[
        (&format!("/sys/kernel/slab/{dentry}/objects"), "39 N0=39\n"),
        (&format!("/sys/kernel/slab/{inode}/objects"), "3 N0=3\n"),
    ]);
    let slab = slab_of(&directory);
    // A merged cache's other name, and, as on 3.16, a name at the top level as well.
    symlink(":aA-0000192", slab.join("dentry")).unwrap();
    symlink("gone", slab.join("inode_cache/cgroup/inode_cache(9:c9)")).unwrap();
    let memcgs = slab_memcgs(&root);
    assert_eq!(
        (memcgs.layout, memcgs.peak),
        (Some(SlabLayout::Nested), None)
    );
    assert_eq!(
        told(&memcgs),
        [
            (9, "c9".to_owned(), vec![], vec![], 1),
            (70000, "c0".to_owned(), vec![], strings(&[dentry, inode]), 0)
        ]
    );
    let pin = slab_pin(&root, &memcgs.memcgs[&70000]);
    assert_eq!(pin.largest, Some((b"dentry".to_vec(), 39)));
    assert_eq!((pin.objects, pin.bytes, pin.caches), (Some(42), None, 2));
}

#[test]
fn a_pin_is_known_only_as_a_whole() {
    let (_directory, root) = root(&[
        ("snapshot.txt", "page size: 16384 bytes\n"),
        ("/sys/kernel/slab/a(1:x)/objects", "21 N0=21\n"),
        ("/sys/kernel/slab/a(1:x)/slabs", "2 N0=2\n"),
        ("/sys/kernel/slab/a(1:x)/order", "1\n"),
        ("/sys/kernel/slab/a(2:y)/objects", "5\n"),
        ("/sys/kernel/slab/a(2:y)/slabs", "9223372036854775807\n"),
        ("/sys/kernel/slab/a(2:y)/order", "64\n"),
        ("/sys/kernel/slab/b(2:y)/objects", "\u{fffd}\n"),
    ]);
    let memcgs = slab_memcgs(&root).memcgs;
    let whole = SlabHoldings {
        objects: Some(21),
        bytes: Some(4 * 16384),
        caches: 1,
        largest: Some((b"a".to_vec(), 21)),
    };
    assert_eq!(slab_pin(&root, &memcgs[&1]), whole);
    let part = SlabHoldings {
        objects: None,
        bytes: None,
        caches: 2,
        largest: Some((b"a".to_vec(), 5)),
    };
    assert_eq!(slab_pin(&root, &memcgs[&2]), part);
}

/// The same files of machines with pages of 4, 16 and 64 KiB, and of one that does not tell.
#[test]
fn slabs_are_of_the_copied_machines_pages() {
    for page in [Some(4096), Some(16384), Some(65536), None] {
        let told = page.map_or_else(String::new, |page: u64| {
            format!("page size: {page} bytes\n")
        });
        let (_directory, root) = root(&[
            ("snapshot.txt", &told),
            ("/sys/kernel/slab/a(1:x)/objects", "21 N0=21\n"),
            ("/sys/kernel/slab/a(1:x)/slabs", "3 N0=3\n"),
            ("/sys/kernel/slab/a(1:x)/order", "0\n"),
            ("/sys/kernel/slab/b(1:x)/objects", "9 N0=9\n"),
            ("/sys/kernel/slab/b(1:x)/slabs", "5 N0=5\n"),
            ("/sys/kernel/slab/b(1:x)/order", "2\n"),
        ]);
        let pin = slab_pin(&root, &slab_memcgs(&root).memcgs[&1]);
        assert_eq!(pin.bytes, page.map(|page| (3 + 5 * 4) * page));
        assert_eq!((pin.objects, pin.caches), (Some(30), 2));
    }
}

#[test]
fn what_links_lead_to_is_known_by_its_name() {
    assert!(of_one_memcg(b":at-0000192-00000007"));
    assert!(of_one_memcg(b":t-0004096-00065534"));
    for name in [
        &b":at-0000192"[..],
        b"kmalloc-64",
        b"dentry",
        b":t-00000007",
        b"",
    ] {
        assert!(!of_one_memcg(name), "{}", name.escape_ascii());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any names a file system takes, as directories, links and files, at both levels.
    #[test]
    fn garbage_names_never_panic(
        names in proptest::collection::vec(
            (prop_oneof![
                "[a-c]{0,2}\\([0-9]{0,12}:[ab()]{0,3}\\)".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..40),
            ], 0..4u8),
            0..20,
        ),
    ) {
        let (directory, root) = root(&[("/sys/kernel/slab/a/cgroup/a(1:x)/objects", "9")]);
        let slab = slab_of(&directory);
        for (name, kind) in &names {
            owner(name);
            of_one_memcg(name);
            let name = OsStr::from_bytes(name);
            let at = slab.join(if kind & 1 == 0 { "." } else { "a/cgroup" });
            // Names that a file system refuses are not made.
            if name.as_bytes().contains(&b'/') || name.as_bytes().contains(&0) || name.is_empty() {
                continue;
            }
            let _ = match kind {
                0 | 1 => fs::create_dir(at.join(name)),
                2 => symlink("a", at.join(name)),
                _ => symlink("nowhere", at.join(name)),
            };
        }
        let memcgs = slab_memcgs(&root);
        prop_assert!(memcgs.peak.is_none_or(|peak| peak <= MEMCG_IDS));
        for memcg in memcgs.memcgs.values() {
            slab_pin(&root, memcg);
            prop_assert!(!memcg.caches.is_empty() || memcg.gone > 0);
        }
    }
}
