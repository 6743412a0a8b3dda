//! The eBPF programs' records made into events: one total function, [`decode`].

use bytes::Bytes;
use kmemtrace_common::wire::{HEAD_BYTES, Head, TEXT_MAX, flag, kind, text_form};

use super::{Cgroup, Fact, MEMCG_IDS, MkdirFailure, Path, Scope, SlabFailure, Task, klog};

/// What [`decode`] needs to know about this run and this machine.
#[derive(Clone, Debug)]
pub struct Context {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// A released cgroup that was never activated is a failed mkdir: unless a better hook reports those already.
    pub release_tells_mkdir_failure: bool,
    /// Where the memory hierarchy is mounted: a failing mkdir system call counts if its path begins there.
    pub mount: Vec<u8>,
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is made, and most are facts"
)]
pub enum Decoded {
    /// A fact, at its `CLOCK_MONOTONIC` time in nanoseconds.
    Fact(u64, Fact),
    /// Nothing to report: a failed mkdir of another file system, or one reported by a better hook.
    Nothing,
    /// Not a record this program knows: counted, and a gap.
    Unknown,
}

/// A record's head, copied out of its bytes; `None` if it is too short.
#[expect(
    unsafe_code,
    reason = "bytes from the kernel are read as the struct that was written there"
)]
fn head(record: &[u8]) -> Option<Head> {
    let bytes = record.get(..HEAD_BYTES)?;
    // SAFETY: HEAD_BYTES bytes are there; Head is integers only, so every pattern is a value; no alignment is assumed.
    Some(unsafe { bytes.as_ptr().cast::<Head>().read_unaligned() })
}

/// When a record was made, on `CLOCK_MONOTONIC`, in nanoseconds; `None` if it is too short.
pub fn time(record: &[u8]) -> Option<u64> {
    head(record).map(|head| head.mono_ns)
}

/// Makes a fact of a record. Total: whatever the bytes, it returns.
pub fn decode(record: &Bytes, context: &Context) -> Decoded {
    let Some(head) = head(record) else {
        return Decoded::Unknown;
    };
    let len = head.text_len as usize;
    if len > TEXT_MAX || record.len() < HEAD_BYTES + len {
        return Decoded::Unknown;
    }
    let text = record.slice(HEAD_BYTES..HEAD_BYTES + len);
    let fact = match head.kind {
        kind::MKDIR => return life(Fact::Created, &head, text, context, Scope::Cgroup),
        kind::RMDIR => return life(Fact::Offlined, &head, text, context, Scope::Cgroup),
        kind::RELEASE if rolled_back(&head) => {
            if !context.release_tells_mkdir_failure {
                return Decoded::Nothing;
            }
            Fact::MkdirFailure(MkdirFailure {
                errno: None,
                ..mkdir_failure(&head, text)
            })
        }
        kind::RELEASE => return life(Fact::Freed, &head, text, context, Scope::Cgroup),
        kind::RENAME => return life(Fact::Renamed, &head, text, context, Scope::Cgroup),
        // A memcg in a mkdir that is not done: the tracepoint tells of it when it is; rolled back, it never was.
        kind::CSS_ONLINE | kind::CSS_OFFLINE | kind::CSS_FREE if rolled_back(&head) => {
            return Decoded::Nothing;
        }
        kind::CSS_ONLINE => return life(Fact::Created, &head, text, context, Scope::Memcg),
        kind::CSS_OFFLINE => return life(Fact::Offlined, &head, text, context, Scope::Memcg),
        kind::CSS_FREE => return life(Fact::Freed, &head, text, context, Scope::Memcg),
        kind::SLAB_FAILURE => Fact::SlabFailure(SlabFailure {
            cache: (!text.is_empty()).then_some(text),
            object_size: (head.object_size != 0).then_some(head.object_size),
            gfp: (head.flags & flag::GFP_KNOWN != 0).then_some(head.gfp),
            node: (head.flags & flag::GFP_KNOWN != 0).then_some(head.node),
            task: task(&head),
            ..SlabFailure::default()
        }),
        kind::CONSOLE => match klog::slab_failure(&text) {
            Some(failure) => Fact::SlabFailure(SlabFailure {
                task: task(&head),
                ..failure
            }),
            None => return Decoded::Nothing,
        },
        kind::MKDIR_FAILURE => Fact::MkdirFailure(mkdir_failure(&head, text)),
        kind::MKDIR_SYSCALL => match mkdir_syscall(&head, &text, context) {
            Some(failure) => Fact::MkdirFailure(failure),
            None => return Decoded::Nothing,
        },
        _ => return Decoded::Unknown,
    };
    Decoded::Fact(head.mono_ns, fact)
}

/// `cgroup_mkdir` activates a directory last of all (`kernfs_activate`), and the flag stays: one without it is in a mkdir
/// that is not done, or, released, in one that the kernel rolled back.
fn rolled_back(head: &Head) -> bool {
    head.flags & (flag::ACTIVATED_KNOWN | flag::ACTIVATED) == flag::ACTIVATED_KNOWN
}

/// A fact of a cgroup's life, unless the record cannot be of one: it counts as not understood, and no memcg comes of it.
fn life(
    fact: fn(Cgroup) -> Fact,
    head: &Head,
    text: Bytes,
    context: &Context,
    scope: Scope,
) -> Decoded {
    // Cgroups count from 1 (`cgroup_idr`, `kernfs_root.ino_idr`), memcg ids end at `MEM_CGROUP_ID_MAX`.
    let memcg_id = head.flags & flag::MEMCG_ID_KNOWN != 0 && u64::from(head.memcg_id) > MEMCG_IDS;
    if head.cgroup_id == 0 || memcg_id {
        return Decoded::Unknown;
    }
    Decoded::Fact(head.mono_ns, fact(cgroup(head, text, context, scope)))
}

fn known<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn cgroup(head: &Head, text: Bytes, context: &Context, scope: Scope) -> Cgroup {
    let usage = u64::try_from(head.usage_pages).unwrap_or(0);
    Cgroup {
        id: Some(head.cgroup_id),
        parent_id: known(head.parent_id),
        serial: known(head.serial),
        memcg_id: (head.flags & flag::MEMCG_ID_KNOWN != 0).then_some(head.memcg_id),
        path: path(head, text),
        memory: (head.flags & flag::MEMCG_KNOWN != 0).then_some(head.flags & flag::MEMCG != 0),
        usage_bytes: (head.flags & flag::USAGE_KNOWN != 0)
            .then_some(usage.saturating_mul(context.page_bytes)),
        task: task(head),
        scope,
        ..Cgroup::default()
    }
}

fn task(head: &Head) -> Option<Task> {
    (head.pid != 0 || head.comm[0] != 0).then_some(Task {
        pid: head.pid,
        comm: head.comm,
    })
}

fn mkdir_failure(head: &Head, text: Bytes) -> MkdirFailure {
    MkdirFailure {
        path: path(head, text),
        cgroup_id: known(head.cgroup_id),
        parent_id: known(head.parent_id),
        errno: known(head.errno.saturating_neg()),
        task: task(head),
    }
}

/// A failed mkdir system call says nothing unless it was below the memory hierarchy's mount point; making what is there
/// already is no failure.
fn mkdir_syscall(head: &Head, text: &Bytes, context: &Context) -> Option<MkdirFailure> {
    let below = text.strip_prefix(context.mount.as_slice())?;
    if !below.starts_with(b"/") || head.errno == -rustix::io::Errno::EXIST.raw_os_error() {
        return None;
    }
    let below = text.slice(context.mount.len()..);
    Some(mkdir_failure(head, below))
}

fn path(head: &Head, text: Bytes) -> Option<Path> {
    let cut = head.flags & flag::TEXT_CUT != 0;
    match head.text_form {
        text_form::PLAIN => Some(Path { bytes: text, cut }),
        text_form::COMPONENTS => Some(Path {
            bytes: join(&text, cut),
            cut,
        }),
        _ => None,
    }
}

/// Names from the leaf up, each ended by a NUL, put together from the root down. Of a path too long to be read whole the
/// root's end is missing.
fn join(all: &[u8], cut: bool) -> Bytes {
    let mut path = Vec::with_capacity(all.len() + 1);
    let mut names = all.strip_suffix(b"\0").unwrap_or(all);
    if cut {
        path.extend_from_slice(b"...");
        // The name nearest to the root may have been cut in the middle.
        let whole = all.iter().rposition(|&byte| byte == 0);
        names = &all[..whole.unwrap_or(0)];
    }
    for name in names.rsplit(|&b| b == 0).filter(|name| !name.is_empty()) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn context() -> Context {
        Context {
            page_bytes: 4096,
            release_tells_mkdir_failure: true,
            mount: b"/sys/fs/cgroup/memory".to_vec(),
        }
    }

    #[expect(unsafe_code, reason = "the reverse of what is tested")]
    fn record(head: Head, text: &[u8]) -> Bytes {
        let head = Head {
            text_len: text.len() as u32,
            ..head
        };
        // SAFETY: Head is integers without padding.
        let bytes: [u8; HEAD_BYTES] = unsafe { std::mem::transmute(head) };
        [&bytes[..], text].concat().into()
    }

    fn fact(head: Head, text: &[u8]) -> Decoded {
        decode(&record(head, text), &context())
    }

    #[test]
    fn components_are_put_in_order() {
        assert_eq!(join(b"leaf\0pod\0kubepods\0", false), "/kubepods/pod/leaf");
        assert_eq!(join(b"", false), "/");
        assert_eq!(join(b"leaf\0pod\0", true), ".../pod/leaf");
    }

    #[test]
    fn a_release_without_activation_is_a_failed_mkdir() {
        let head = Head {
            kind: kind::RELEASE,
            mono_ns: 7,
            cgroup_id: 9,
            flags: flag::ACTIVATED_KNOWN,
            text_form: text_form::PLAIN,
            ..Head::ZERO
        };
        let Decoded::Fact(7, Fact::MkdirFailure(failure)) = fact(head, b"/a") else {
            panic!("{:?}", fact(head, b"/a"));
        };
        assert_eq!(failure.cgroup_id, Some(9));
        assert_eq!(failure.errno, None);
        let other = Context {
            release_tells_mkdir_failure: false,
            ..context()
        };
        assert_eq!(decode(&record(head, b"/a"), &other), Decoded::Nothing);
        let freed = Head {
            flags: flag::ACTIVATED_KNOWN | flag::ACTIVATED,
            ..head
        };
        assert!(matches!(
            fact(freed, b"/a"),
            Decoded::Fact(7, Fact::Freed(_))
        ));
        let unknown = Head { flags: 0, ..head };
        assert!(matches!(
            fact(unknown, b"/a"),
            Decoded::Fact(7, Fact::Freed(_))
        ));
    }

    #[test]
    fn a_syscall_counts_below_the_mount_only() {
        let head = Head {
            kind: kind::MKDIR_SYSCALL,
            errno: -12,
            text_form: text_form::PLAIN,
            ..Head::ZERO
        };
        let Decoded::Fact(_, Fact::MkdirFailure(f)) = fact(head, b"/sys/fs/cgroup/memory/a/b")
        else {
            panic!("no failure");
        };
        assert_eq!(f.path, Some(Path::whole(&b"/a/b"[..])));
        assert_eq!(f.errno, Some(12));
        assert_eq!(fact(head, b"/sys/fs/cgroup/memoryless/a"), Decoded::Nothing);
        assert_eq!(fact(head, b"/tmp/a"), Decoded::Nothing);
        let exists = Head { errno: -17, ..head };
        assert_eq!(fact(exists, b"/sys/fs/cgroup/memory/a"), Decoded::Nothing);
    }

    #[test]
    fn unknown_kinds_and_short_records_are_unknown() {
        let head = Head {
            kind: 4711,
            ..Head::ZERO
        };
        assert_eq!(fact(head, b""), Decoded::Unknown);
        assert_eq!(
            decode(&Bytes::from_static(b"short"), &context()),
            Decoded::Unknown
        );
        let whole = record(
            Head {
                kind: kind::MKDIR,
                ..Head::ZERO
            },
            b"/a/b",
        );
        assert_eq!(
            decode(&whole.slice(..whole.len() - 1), &context()),
            Decoded::Unknown
        );
    }

    #[test]
    fn what_no_cgroup_has_makes_no_memcg() {
        let head = Head {
            kind: kind::RMDIR,
            cgroup_id: 9,
            memcg_id: 65_535,
            flags: flag::MEMCG_ID_KNOWN,
            text_form: text_form::PLAIN,
            ..Head::ZERO
        };
        let kinds = [
            kind::MKDIR,
            kind::RMDIR,
            kind::RELEASE,
            kind::RENAME,
            kind::CSS_ONLINE,
            kind::CSS_OFFLINE,
            kind::CSS_FREE,
        ];
        for kind in kinds {
            let right = Head { kind, ..head };
            assert!(matches!(fact(right, b"/a"), Decoded::Fact(..)), "{kind}");
            let no_id = Head {
                cgroup_id: 0,
                ..right
            };
            assert_eq!(fact(no_id, b"/a"), Decoded::Unknown, "{kind}");
            let beyond = Head {
                memcg_id: 65_536,
                ..right
            };
            assert_eq!(fact(beyond, b"/a"), Decoded::Unknown, "{kind}");
            // Where it is not known what stands there, it says nothing.
            let untold = Head { flags: 0, ..beyond };
            assert!(matches!(fact(untold, b"/a"), Decoded::Fact(..)), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_garbled_no_memcg_has_id_0_or_a_memcg_id_beyond_the_last(
            kind in 0..14u32, flags in any::<u32>(), id in prop_oneof![Just(0), any::<u64>()],
            memcg_id in any::<u32>(), text in proptest::collection::vec(any::<u8>(), 0..99),
        ) {
            let head = Head { kind, flags, cgroup_id: id, memcg_id, text_form: text_form::PLAIN, ..Head::ZERO };
            if let Decoded::Fact(_, mut fact) = fact(head, &text)
                && let Some(cgroup) = fact.cgroup_mut()
            {
                prop_assert!(cgroup.id != Some(0), "{cgroup:?}");
                prop_assert!(cgroup.memcg_id.is_none_or(|id| u64::from(id) <= MEMCG_IDS), "{cgroup:?}");
            }
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            decode(&bytes.into(), &context());
        }

        #[test]
        fn any_kind_with_any_text_never_panics(
            kind in 0..14u32, flags in any::<u32>(), form in 0..4u32, errno in any::<i32>(),
            usage in any::<i64>(), text in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let head = Head { kind, flags, text_form: form, errno, usage_pages: usage, ..Head::ZERO };
            fact(head, &text);
        }
    }
}
