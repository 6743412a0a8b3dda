//! Records as hooks write them, and whatever else may lie there.

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
pub(crate) fn record(head: Head, text: &[u8]) -> Bytes {
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
        mono_ns: 7,
        errno: -12,
        text_form: text_form::PLAIN,
        ..Head::ZERO
    };
    let Decoded::Fact(_, Fact::MkdirFailure(f)) = fact(head, b"/sys/fs/cgroup/memory/a/b") else {
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

/// Records of every kind as hooks write them.
fn right() -> Vec<(Head, &'static [u8])> {
    let head = Head {
        mono_ns: 7_000_000_000,
        cgroup_id: 9,
        parent_id: 1,
        serial: 40,
        usage_pages: 320,
        memcg_id: 65_535,
        flags: flag::MEMCG_ID_KNOWN
            | flag::USAGE_KNOWN
            | flag::MEMCG
            | flag::MEMCG_KNOWN
            | flag::GFP_KNOWN
            | flag::ACTIVATED
            | flag::ACTIVATED_KNOWN,
        text_form: text_form::PLAIN,
        pid: 4_242,
        gfp: 0xa20,
        node: -1,
        object_size: 80,
        errno: -12,
        ..Head::ZERO
    };
    let of = |kind| Head { kind, ..head };
    let names: &[u8] = b"web-0\0kubepods\0";
    vec![
        (of(kind::MKDIR), b"/kubepods/web-0"),
        (of(kind::RMDIR), b"/kubepods/web-0"),
        (of(kind::RELEASE), b"/kubepods/web-0"),
        (of(kind::RENAME), b"/kubepods/web-0"),
        (named(of(kind::CSS_ONLINE)), names),
        (named(of(kind::CSS_OFFLINE)), names),
        (named(of(kind::CSS_FREE)), names),
        (of(kind::SLAB_FAILURE), b"sigqueue"),
        (named(of(kind::MKDIR_FAILURE)), names),
        (of(kind::MKDIR_SYSCALL), b"/sys/fs/cgroup/memory/a"),
    ]
}

fn named(head: Head) -> Head {
    let text_form = text_form::COMPONENTS;
    Head { text_form, ..head }
}

/// What a hook reads through a pointer that is none, or out of another architecture's registers.
type Wrong = (&'static str, fn(&mut Head), fn(u32) -> bool);

fn is_life(kind: u32) -> bool {
    kind <= kind::CSS_FREE
}

fn is_mkdir(kind: u32) -> bool {
    matches!(kind, kind::MKDIR_FAILURE | kind::MKDIR_SYSCALL)
}

const ANY: fn(u32) -> bool = |_| true;

/// Each with the kinds of record that it makes no sense in.
const WRONG: [Wrong; 18] = [
    ("no id", |head| head.cgroup_id = 0, is_life),
    (
        "an address as id",
        |head| head.cgroup_id = 0xffff_8880_0123_4567,
        |kind| is_life(kind) || is_mkdir(kind),
    ),
    (
        "an address as parent",
        |head| head.parent_id = u64::MAX - 9,
        |kind| is_life(kind) || is_mkdir(kind),
    ),
    (
        "its own parent",
        |head| head.parent_id = head.cgroup_id,
        is_life,
    ),
    (
        "an id beyond the last",
        |head| head.memcg_id = 65_536,
        is_life,
    ),
    (
        "an address as serial number",
        |head| head.serial = 0xffff_8880_0123_4567,
        is_life,
    ),
    (
        "no path",
        |head| head.text_form = text_form::NONE,
        |kind| is_life(kind) || is_mkdir(kind),
    ),
    (
        "a path of no form",
        |head| head.text_form = 77,
        |kind| is_life(kind) || is_mkdir(kind),
    ),
    (
        "a path without a root",
        |head| head.text_form = text_form::PLAIN,
        |kind| {
            matches!(
                kind,
                kind::CSS_ONLINE | kind::CSS_OFFLINE | kind::CSS_FREE | kind::MKDIR_FAILURE
            )
        },
    ),
    (
        "more memory than there can be",
        |head| head.usage_pages = i64::MAX / 2,
        is_life,
    ),
    ("no time", |head| head.mono_ns = 0, ANY),
    ("a time in 584 years", |head| head.mono_ns = u64::MAX, ANY),
    ("a process beyond the last", |head| head.pid = 1 << 23, ANY),
    (
        "an error beyond the last",
        |head| head.errno = -4096,
        is_mkdir,
    ),
    ("a success", |head| head.errno = 12, is_mkdir),
    (
        "a node beyond the last",
        |head| head.node = 1024,
        |kind| kind == kind::SLAB_FAILURE,
    ),
    (
        "a mask of no flags",
        |head| head.gfp = u32::MAX,
        |kind| kind == kind::SLAB_FAILURE,
    ),
    (
        "an object beyond all sizes",
        |head| head.object_size = u32::MAX,
        |kind| kind == kind::SLAB_FAILURE,
    ),
];

#[test]
fn what_no_kernel_tells_is_not_understood() {
    for (head, text) in right() {
        let kind = head.kind;
        assert!(matches!(fact(head, text), Decoded::Fact(..)), "{kind}");
        for (what, wrong, of) in WRONG {
            let mut bad = head;
            wrong(&mut bad);
            let refused = fact(bad, text) == Decoded::Unknown;
            assert_eq!(refused, of(kind), "kind {kind}: {what}");
        }
    }
}

#[test]
fn what_was_not_read_says_nothing() {
    for (head, text) in right() {
        let unread = Head {
            flags: head.flags & !(flag::MEMCG_ID_KNOWN | flag::USAGE_KNOWN | flag::GFP_KNOWN),
            memcg_id: u32::MAX,
            usage_pages: i64::MAX,
            gfp: u32::MAX,
            node: i32::MAX,
            serial: 0,
            parent_id: 0,
            pid: 0,
            ..head
        };
        assert!(
            matches!(fact(unread, text), Decoded::Fact(..)),
            "{unread:?}"
        );
    }
}

proptest! {
    /// Every byte of every kind of record, in turn, with whatever values: there is nothing that is not checked.
    #[test]
    fn whatever_is_garbled_what_is_believed_makes_sense(
        noise in proptest::collection::vec(any::<u8>(), 8), mask in 1..=255_u8,
    ) {
        for (head, text) in right() {
            let whole = record(head, text);
            for at in 0..whole.len() {
                for width in [1, 4, 8] {
                    let mut bytes = whole.to_vec();
                    for (byte, noise) in bytes.iter_mut().skip(at).zip(&noise).take(width) {
                        *byte = if width == 1 { *byte ^ mask } else { *noise };
                    }
                    if let Decoded::Fact(mono_ns, mut fact) = decode(&bytes.into(), &context()) {
                        prop_assert_eq!(sense::fact(mono_ns, &fact), Ok(()));
                        if let Some(cgroup) = fact.cgroup_mut() {
                            prop_assert!(cgroup.id.is_some_and(|id| id != 0), "{:?}", cgroup);
                            prop_assert!(cgroup.memcg_id.is_none_or(|id| id <= 65_535), "{:?}", cgroup);
                            prop_assert!(cgroup.path.is_some(), "{:?}", cgroup);
                        }
                    }
                }
            }
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
