//! The slab caches of memcgs: all names, and the sizes of those that are there.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt};

use super::{Copy, Write};
use crate::host::{
    files::{CACHE, SIZED_CACHES, SMALL},
    open::{self, bounded},
    slab::{
        SLAB,
        listing::{self, NameKind},
        of_one_memcg, owner,
    },
};

pub(super) fn copy<W: Write>(copy: &mut Copy<'_, W>) -> io::Result<()> {
    let Ok(top) = listing::directory(
        rustix::fs::CWD,
        copy.root.path(SLAB).as_os_str().as_encoded_bytes(),
    ) else {
        return Ok(());
    };
    copy.directory(SLAB.as_bytes())?;
    let (mut names, mut caches) = (Vec::new(), Vec::new());
    let _ = listing::each(&top, &mut |entry| {
        let link = entry.kind == NameKind::Link;
        if owner(entry.name).is_some() || (!link && of_one_memcg(entry.name)) {
            names.push((entry.name.to_vec(), entry.kind));
        } else if entry.kind == NameKind::Directory {
            caches.push(entry.name.to_vec());
        }
    });
    for cache in caches {
        let place = [&cache, &b"/cgroup"[..]].concat();
        let Ok(nested) = listing::directory(&top, &place) else {
            continue;
        };
        let _ = listing::each(&nested, &mut |entry| {
            if owner(entry.name).is_some() {
                names.push(([&place, &b"/"[..], entry.name].concat(), entry.kind));
            }
        });
    }
    let mut live = Vec::new();
    for (name, kind) in names {
        let place = [SLAB.as_bytes(), b"/", &name].concat();
        match kind {
            NameKind::Directory => {
                copy.directory(&place)?;
                live.push(name);
            }
            NameKind::Link => {
                if let Ok(target) = rustix::fs::readlinkat(&top, &name, Vec::new()) {
                    copy.link(&place, target.to_bytes())?;
                }
            }
            NameKind::Other => {}
        }
    }
    if live.len() > SIZED_CACHES {
        copy.note(format!(
            "of {} slab caches of memcgs, the first {SIZED_CACHES} have their files",
            live.len()
        ));
    }
    for name in live.iter().take(SIZED_CACHES) {
        for file in CACHE {
            let place = [name, &b"/"[..], file.as_bytes()].concat();
            let path = copy.root.path(SLAB).join(OsStr::from_bytes(&place));
            let bytes = open::file(&path).and_then(|file| bounded(file, SMALL));
            copy.file(&[SLAB.as_bytes(), b"/", &place].concat(), bytes)?;
        }
    }
    Ok(())
}
