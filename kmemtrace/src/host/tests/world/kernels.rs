//! The kernel made of files does what the real ones were seen to do.

use std::{path::Path, time::Duration};

use super::*;
use crate::host::{
    Acts, Ask, SlabLayout, count_leaves_zombies_out, counts, facts, kmem, slab_memcgs,
};

fn counted(world: &World) -> (Option<u64>, Option<u64>) {
    let hierarchy = facts(world.root()).memory.unwrap();
    let counts = counts(world.root(), &hierarchy).unwrap();
    (counts.num_cgroups, counts.dying)
}

fn caches(world: &World) -> usize {
    slab_memcgs(world.root()).with_cache().count()
}

fn number(world: &World, file: &str) -> u64 {
    let path = world.root().path(world.mount().join(file));
    std::fs::read_to_string(path)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// 3.10: the count falls at rmdir, the caches stay; dropping caches leaves empty slabs, which shrink gives back.
#[test]
fn on_3_10_zombies_are_not_counted_and_shrink_frees_them_after_dropping() {
    let world = World::new(Kernel::El7, Version::V1);
    world.make("/pod");
    for n in 0..3 {
        world.zombie(&format!("/pod/c{n}"), Kind::Cached("dentry"), 8192);
    }
    world.zombie("/pod/x", Kind::Pages, 16384);
    assert_eq!(counted(&world), (Some(2), None));
    assert!(count_leaves_zombies_out(
        world.root(),
        &facts(world.root()).memory.unwrap()
    ));
    assert_eq!((world.zombies("/pod/"), caches(&world)), (4, 3));
    assert_eq!(number(&world, "pod/memory.kmem.usage_in_bytes"), 40960);
    let hierarchy = facts(world.root()).memory.unwrap();
    let held = kmem(
        world.root(),
        &hierarchy,
        &slab_memcgs(world.root()),
        Ask::Root,
    )
    .unwrap();
    assert_eq!(held.held_bytes, Some(40960));

    let shrink = |id| {
        let file = format!("/sys/kernel/slab/dentry({id}:c{id})/shrink");
        world.write(Path::new(&file), "1")
    };
    shrink(0).unwrap();
    assert_eq!(world.zombies("/pod/"), 4);
    world
        .write(Path::new("/proc/sys/vm/drop_caches"), "2")
        .unwrap();
    assert_eq!((world.zombies("/pod/"), caches(&world)), (4, 3));
    shrink(0).unwrap();
    assert_eq!((world.zombies("/pod/"), caches(&world)), (3, 2));
    // The link stays and leads nowhere; the id is given out again.
    let link = world.root().path("/sys/kernel/slab/dentry(0:c0)");
    assert!(link.is_symlink() && !link.exists());
    world.zombie("/pod/c9", Kind::InUse("dentry"), 4096);
    assert!(link.exists());
    assert_eq!(slab_memcgs(world.root()).memcgs[&0].caches.len(), 1);
}

/// 3.10: pages go to the parent, accounting is inherited, and switched on only where nothing is below.
#[test]
fn on_3_10_accounting_is_opt_in() {
    let world = World::new(Kernel::El7, Version::V1);
    let limit = |cgroup: &str| {
        let file = world
            .mount()
            .join(cgroup)
            .join("memory.kmem.limit_in_bytes");
        world
            .write(&file, "1")
            .map_err(|error| error.raw_os_error())
    };
    world.make("/pod/a");
    world.charge("/pod/a", Kind::Cached("dentry"), 4096);
    assert_eq!(number(&world, "pod/memory.kmem.usage_in_bytes"), 0);
    assert_eq!(limit("pod"), Err(Some(Errno::BUSY.raw_os_error())));
    limit("pod/a").unwrap();
    world.charge("/pod/a", Kind::File, 4096);
    world.charge("/pod/a", Kind::Cached("dentry"), 4096);
    assert_eq!(number(&world, "pod/memory.kmem.usage_in_bytes"), 4096);
    world
        .remove_directory(&world.mount().join("pod/a"))
        .unwrap();
    assert_eq!(number(&world, "pod/memory.usage_in_bytes"), 8192);
    let force = world.mount().join("pod/memory.force_empty");
    world.write(&force, "0").unwrap();
    assert_eq!(number(&world, "pod/memory.usage_in_bytes"), 4096);
}

/// From 4.19 on zombies are counted; what frees them differs.
#[test]
fn later_kernels_count() {
    for (kernel, version) in [
        (Kernel::V4_19, Version::V1),
        (Kernel::V4_19, Version::V2),
        (Kernel::V5_4, Version::V1),
        (Kernel::V5_4, Version::V2),
        (Kernel::V6_1, Version::V2),
    ] {
        let world = World::new(kernel, version);
        world.make("/pod");
        world.zombie("/pod/slab", Kind::Cached("dentry"), 8192);
        world.zombie("/pod/empty", Kind::Free("dentry"), 8192);
        world.zombie("/pod/file", Kind::File, 8192);
        world.zombie("/pod/shm", Kind::Tmpfs, 8192);
        let slab_pins = u64::from(kernel == Kernel::V4_19);
        let told = |zombies| match version {
            Version::V1 => (Some(zombies + 2), None),
            Version::V2 => (None, Some(zombies)),
        };
        assert_eq!(world.zombies("/pod/"), 2 + slab_pins);
        assert_eq!(counted(&world), told(2 + slab_pins), "{kernel:?}");
        let layout = (kernel < Kernel::V6_1).then_some(SlabLayout::Nested);
        assert_eq!(slab_memcgs(world.root()).layout, layout);
        world.frees_after(Duration::from_millis(300));
        let (file, text) = match version {
            Version::V1 => ("pod/memory.force_empty", "0"),
            Version::V2 => ("pod/memory.high", "0"),
        };
        world.write(&world.mount().join(file), text).unwrap();
        assert_eq!(world.zombies("/pod/"), 2 + slab_pins);
        world.pause(Duration::from_millis(300));
        assert_eq!(
            (world.zombies("/pod/"), counted(&world)),
            (1, told(1)),
            "{kernel:?}"
        );
        world.uncharge("/pod/", Kind::Tmpfs);
        world.pause(Duration::from_millis(300));
        assert_eq!(counted(&world), told(0), "{kernel:?}");
    }
}

/// What was asked to fail fails, and others' zombies come and go.
#[test]
fn it_fails_as_it_is_told() {
    let world = World::new(Kernel::V4_19, Version::V1);
    let at = world.mount().join("a");
    world.fail(Act::MakeDirectory, "/a", Errno::NOSPC, 1);
    world.fail(Act::RemoveDirectory, "/a", Errno::BUSY, 1);
    assert!(world.make_directory(&at).is_err());
    world.make_directory(&at).unwrap();
    assert!(world.remove_directory(&at).is_err());
    assert!(!world.slabinfo_was_opened());
    std::fs::read(world.root().path(at.join("memory.kmem.slabinfo"))).unwrap();
    assert!(world.slabinfo_was_opened());
    world.remove_directory(&at).unwrap();
    world.later(Duration::from_secs(1), Later::ZombiesCome(3));
    world.later(Duration::from_secs(2), Later::ZombiesGo(2));
    assert_eq!(counted(&world), (Some(1), None));
    world.pause(Duration::from_secs(1));
    assert_eq!(counted(&world), (Some(4), None));
    world.later(Duration::from_secs(1), Later::LiveCome(1));
    world.pause(Duration::from_secs(1));
    assert_eq!(counted(&world), (Some(3), None));
    assert_eq!(world.zombies("/other"), 1);

    world.make("/busy");
    world.charge("/busy", Kind::File, 8192);
    world.stat_misses(4096);
    let stat = world.root().path(world.mount().join("busy/memory.stat"));
    let stat = std::fs::read_to_string(stat).unwrap();
    assert!(stat.contains("total_cache 4096\n"), "{stat}");
    world.tasks("/busy", true);
    assert!(world.remove_directory(&world.mount().join("busy")).is_err());
    world.without_kmem_files();
    world.make("/later");
    let kmem = world.mount().join("later/memory.kmem.limit_in_bytes");
    assert!(world.write(&kmem, "1").is_err());
    assert_eq!(world.written(), [(kmem, "1".to_owned())]);
}
