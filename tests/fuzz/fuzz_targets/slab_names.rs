//! Names in `/sys/kernel/slab`, separated by newlines.

#![no_main]

use std::{collections::BTreeSet, ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use kmemtrace::{
    event::SlabFailure,
    host::{Root, slab_memcgs},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let names: BTreeSet<_> = data.split(|&byte| byte == b'\n').take(8).collect();
    for name in &names {
        let failure = SlabFailure {
            cache: Some(name.to_vec().into()),
            ..SlabFailure::default()
        };
        let _ = failure.owned_cache();
    }
    let machine = tempfile::TempDir::new_in("/dev/shm").expect("a directory");
    let slab = machine.path().join("sys/kernel/slab");
    fs::create_dir_all(&slab).expect("directories");
    let fits = |name: &&[u8]| {
        !name.is_empty() && name.len() < 256 && !name.contains(&b'/') && !name.contains(&0)
    };
    for name in names.into_iter().filter(fits) {
        // `.` and `..` are there
        let _ = fs::create_dir(slab.join(OsStr::from_bytes(name)));
    }
    let memcgs = slab_memcgs(&Root::at(machine.path()));
    assert!(memcgs.layout.is_some() || memcgs.with_cache().next().is_none());
});
