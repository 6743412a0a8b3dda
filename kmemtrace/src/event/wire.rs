//! The eBPF programs' records made into events: one total function, [`decode`].

use bytes::Bytes;
use kmemtrace_common::wire::{HEAD_BYTES, Head, TEXT_MAX, flag, kind, text_form};

use super::{Cgroup, Fact, MkdirFailure, Path, Scope, SlabFailure, Task, klog, sense};

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

/// Makes a fact of a record. Total: whatever the bytes, it returns; and no fact that no kernel tells ([`sense`]).
pub fn decode(record: &Bytes, context: &Context) -> Decoded {
    let Some(head) = head(record) else {
        return Decoded::Unknown;
    };
    let len = head.text_len as usize;
    if len > TEXT_MAX || record.len() < HEAD_BYTES + len {
        return Decoded::Unknown;
    }
    let text = record.slice(HEAD_BYTES..HEAD_BYTES + len);
    let decoded = understand(&head, text, context);
    match &decoded {
        Decoded::Fact(mono_ns, fact)
            if !is_whole(&head, fact) || sense::fact(*mono_ns, fact).is_err() =>
        {
            Decoded::Unknown
        }
        _ => decoded,
    }
}

/// Whether a record of this kind has what its hook always reads. Where it has not, the pointer was no cgroup's.
fn is_whole(head: &Head, fact: &Fact) -> bool {
    let has_time = head.mono_ns != 0;
    has_time
        && match fact {
            Fact::Created(cgroup)
            | Fact::Offlined(cgroup)
            | Fact::Freed(cgroup)
            | Fact::Renamed(cgroup) => cgroup.id.is_some() && cgroup.path.is_some(),
            // One whose directory was there already is known by it, one that was refused by its parent's.
            Fact::MkdirFailure(failure) => {
                let known = match head.kind {
                    kind::MKDIR_FAILURE => head.errno != 0,
                    kind::RELEASE => failure.cgroup_id.is_some(),
                    _ => true,
                };
                known && failure.path.is_some()
            }
            _ => true,
        }
}

fn understand(head: &Head, text: Bytes, context: &Context) -> Decoded {
    let fact = match head.kind {
        kind::MKDIR => Fact::Created(cgroup(head, text, context, Scope::Cgroup)),
        kind::RMDIR => Fact::Offlined(cgroup(head, text, context, Scope::Cgroup)),
        kind::RELEASE if rolled_back(head) => {
            if !context.release_tells_mkdir_failure {
                return Decoded::Nothing;
            }
            Fact::MkdirFailure(MkdirFailure {
                errno: None,
                ..mkdir_failure(head, text)
            })
        }
        kind::RELEASE => Fact::Freed(cgroup(head, text, context, Scope::Cgroup)),
        kind::RENAME => Fact::Renamed(cgroup(head, text, context, Scope::Cgroup)),
        // A memcg in a mkdir that is not done: the tracepoint tells of it when it is; rolled back, it never was.
        kind::CSS_ONLINE | kind::CSS_OFFLINE | kind::CSS_FREE if rolled_back(head) => {
            return Decoded::Nothing;
        }
        kind::CSS_ONLINE => Fact::Created(cgroup(head, text, context, Scope::Memcg)),
        kind::CSS_OFFLINE => Fact::Offlined(cgroup(head, text, context, Scope::Memcg)),
        kind::CSS_FREE => Fact::Freed(cgroup(head, text, context, Scope::Memcg)),
        kind::SLAB_FAILURE => Fact::SlabFailure(SlabFailure {
            cache: (!text.is_empty()).then_some(text),
            object_size: (head.object_size != 0).then_some(head.object_size),
            gfp: (head.flags & flag::GFP_KNOWN != 0).then_some(head.gfp),
            node: (head.flags & flag::GFP_KNOWN != 0).then_some(head.node),
            task: task(head),
            ..SlabFailure::default()
        }),
        kind::CONSOLE => match klog::slab_failure(&text) {
            Some(failure) => Fact::SlabFailure(SlabFailure {
                task: task(head),
                ..failure
            }),
            None => return Decoded::Nothing,
        },
        kind::MKDIR_FAILURE => Fact::MkdirFailure(mkdir_failure(head, text)),
        kind::MKDIR_SYSCALL => match mkdir_syscall(head, &text, context) {
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

fn known<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn cgroup(head: &Head, text: Bytes, context: &Context, scope: Scope) -> Cgroup {
    let usage = u64::try_from(head.usage_pages).unwrap_or(0);
    Cgroup {
        id: known(head.cgroup_id),
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
pub(crate) mod tests;
