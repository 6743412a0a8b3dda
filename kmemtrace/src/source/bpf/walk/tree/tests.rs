use kmemtrace_common::wire::NAME_BYTES;
use proptest::prelude::*;

use super::*;

fn node(serial: u64, parent_serial: u64, name: &[u8]) -> Node {
    let mut bytes = [0; NAME_BYTES];
    bytes[..name.len()].copy_from_slice(name);
    Node {
        mono_ns: 5,
        css: 0xffff_8880_0000_1000,
        serial,
        parent_serial,
        cgroup_id: 10 * serial,
        parent_id: 10 * parent_serial,
        refcount: 3,
        memory: 4,
        swap: -1,
        kmem: 0,
        tcpmem: 0,
        lru: [1, 2, 4, 8, 16],
        stats: [2, 100, -1, 0, 16, 3],
        flags: css_flag::DYING,
        known: known::REFCOUNT
            | known::MEMORY
            | known::SWAP
            | known::LRU
            | known::DIRECTORY_KNOWN
            | (known::STATS * 0b11_0111),
        css_id: 0,
        memcg_id: 0,
        name_len: name.len() as u32,
        reserved: 0,
        name: bytes,
    }
}

fn tree(nodes: &[(u64, u64, &[u8])]) -> Tree {
    let mut tree = Tree::default();
    for (serial, parent, name) in nodes {
        tree.add(Memcg::new(&node(*serial, *parent, name), 4096, Version::V2));
    }
    tree
}

fn path(tree: &Tree, serial: u64) -> Path {
    let memcg = tree.iter().find(|memcg| memcg.serial == serial);
    tree.path(memcg.expect("it was added"))
}

#[test]
fn what_is_not_known_is_absent_and_pages_are_bytes() {
    let memcg = Memcg::new(&node(7, 1, b"c"), 4096, Version::V2);
    assert_eq!(memcg.refcount, Some(3));
    assert_eq!(memcg.memory_bytes, Some(4 * 4096));
    assert_eq!(memcg.swap_bytes, Some(0), "a counter below 0 for a moment");
    assert_eq!(memcg.memsw_bytes, None);
    let swapped = Node {
        swap: 6,
        ..node(7, 1, b"c")
    };
    let v1 = Memcg::new(&swapped, 4096, Version::V1);
    assert_eq!(v1.memsw_bytes, Some(6 * 4096));
    assert_eq!(v1.swap_bytes, Some(2 * 4096));
    assert_eq!((memcg.kmem_bytes, memcg.memcg_id), (None, None));
    assert_eq!(memcg.directory, Some(false));
    let lru = memcg.lru.expect("it is known");
    assert_eq!(
        (lru.anon_bytes, lru.file_bytes, lru.unevictable_bytes),
        (3 * 4096, 12 * 4096, 16 * 4096)
    );
    let stats = Stats {
        shmem_bytes: Some(2 * 4096),
        slab_reclaimable_bytes: Some(100),
        slab_unreclaimable_bytes: Some(0),
        percpu_bytes: None,
        kernel_stack_bytes: Some(16 << 10),
        socket_bytes: Some(3 * 4096),
    };
    assert_eq!(memcg.stats, stats);
}

#[test]
fn paths_are_put_together_from_the_parents_names() {
    let tree = tree(&[(1, 0, b""), (2, 1, b"kubepods"), (9, 2, b"pod\xff1")]);
    assert_eq!(path(&tree, 1), Path::whole(&b"/"[..]));
    assert_eq!(path(&tree, 9), Path::whole(&b"/kubepods/pod\xff1"[..]));
}

#[test]
fn a_path_without_its_roots_end_says_so() {
    let tree = tree(&[(1, 0, b""), (9, 5, b"leaf")]);
    let path = path(&tree, 9);
    assert_eq!((&path.bytes[..], path.cut), (&b".../leaf"[..], true));
}

#[test]
fn one_that_is_found_twice_is_there_once() {
    let mut tree = tree(&[(1, 0, b""), (2, 1, b"old")]);
    tree.add(Memcg::new(&node(2, 1, b"new"), 4096, Version::V2));
    assert_eq!(tree.iter().count(), 2);
    assert_eq!(path(&tree, 2), Path::whole(&b"/new"[..]));
}

proptest! {
    #[test]
    fn whatever_was_read_paths_end(nodes in proptest::collection::vec((0u64..8, 0u64..8, 0usize..256), 0..40)) {
        let mut tree = Tree::default();
        for (serial, parent, len) in nodes {
            tree.add(Memcg::new(&Node { name_len: 300, ..node(serial, parent, &vec![b'x'; len]) }, 4096, Version::V2));
        }
        for memcg in tree.iter() {
            prop_assert!(tree.path(memcg).bytes.len() <= TEXT_MAX + 4);
        }
    }
}

/// What is wrong with a node, and what makes it so.
type WrongNode = (&'static str, fn(&mut Node));

#[test]
fn what_is_no_memcg_is_not_in_the_tree() {
    let right = node(7, 1, b"c");
    assert!(Memcg::read(&right, 4096, Version::V2).is_ok());
    let wrong: [WrongNode; 9] = [
        ("no address", |node| node.css = 0),
        ("a program's address", |node| node.css = 0x7fff_1234_5678),
        ("no serial number", |node| node.serial = 0),
        ("an address as serial number", |node| {
            node.serial = 0xffff_8880_0000_1000;
        }),
        ("a parent that is younger", |node| node.parent_serial = 8),
        ("its own parent", |node| node.parent_id = node.cgroup_id),
        ("a memcg id beyond the last", |node| {
            node.known |= known::MEMCG_ID;
            node.memcg_id = 65_536;
        }),
        ("a directory without an id", |node| {
            node.known |= known::DIRECTORY;
            node.cgroup_id = 0;
        }),
        ("more memory than there can be", |node| {
            node.memory = i64::MAX;
        }),
    ];
    for (what, wrong) in wrong {
        let mut node = right;
        wrong(&mut node);
        assert!(Memcg::read(&node, 4096, Version::V2).is_err(), "{what}");
    }
}

#[test]
fn what_has_no_parent_is_taken_out_with_all_below_it() {
    let nodes: [(u64, u64, &[u8]); 6] = [
        (1, 0, b""),
        (2, 1, b"a"),
        (4, 3, b"orphan"),
        (5, 4, b"below"),
        (6, 2, b"b"),
        (7, 0, b"another root"),
    ];
    let mut tree = tree(&nodes);
    assert_eq!(tree.remove_orphans(), 3);
    let left: Vec<_> = tree.iter().map(|memcg| memcg.serial).collect();
    assert_eq!(left, [1, 2, 6]);
    assert_eq!(tree.remove_orphans(), 0);
}

proptest! {
    /// Whatever the kernel's memory holds there: nothing panics, and what is believed makes sense.
    #[test]
    fn any_node_is_read_or_refused(
        numbers: [u64; 6], counters: [i64; 4], lru: [u64; 5], bits: [u32; 5],
    ) {
        let [mono_ns, css, serial, parent_serial, cgroup_id, parent_id] = numbers;
        let [memory, swap, kmem, tcpmem] = counters;
        let [flags, known, css_id, memcg_id, name_len] = bits;
        let any = Node {
            mono_ns, css, serial, parent_serial, cgroup_id, parent_id, memory, swap, kmem, tcpmem,
            lru, flags, known, css_id, memcg_id, name_len, ..node(7, 1, b"c")
        };
        // As it is, and with one field after another put right.
        let right = node(7, 1, b"c");
        let some = [
            Node { css: right.css, ..any },
            Node { css: right.css, serial: 7, parent_serial: 1, ..any },
            Node { css: right.css, serial: 7, parent_serial: 1, name_len: 1, memory: 4, ..any },
            Node { lru, memcg_id, known, ..right },
        ];
        for node in [any].into_iter().chain(some) {
            for version in [Version::V1, Version::V2] {
                let Ok(memcg) = Memcg::read(&node, 4096, version) else { continue };
                prop_assert!(memcg.css >= sense::KERNEL_ADDRESSES);
                prop_assert!(memcg.memcg_id.is_none_or(|id| id <= 65_535));
                prop_assert!(memcg.cgroup_id.is_some() || memcg.directory != Some(true));
                prop_assert!(memcg.parent_serial < memcg.serial);
                memcg.holds(0).bytes();
            }
        }
    }
}
