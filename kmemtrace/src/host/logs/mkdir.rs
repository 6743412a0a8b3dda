//! A failed mkdir of a memory cgroup, in the words of whoever made it.

use std::borrow::Cow;

use super::paths::MemoryPaths;

/// Why the kernel refused a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MkdirError {
    /// `ENOMEM`.
    NoMemory,
    /// `ENOSPC`.
    NoSpace,
}

impl MkdirError {
    /// `ENOMEM` or `ENOSPC`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoMemory => "ENOMEM",
            Self::NoSpace => "ENOSPC",
        }
    }
}

/// A memory cgroup that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedMkdir {
    /// The errno that the words stand for.
    pub error: MkdirError,
    /// Who said so: whose words they are, the tag of a syslog's line, or whose log it is; `None` if none of them tells.
    pub program: Option<String>,
    /// The directory. Of systemd's message it begins at the hierarchy's root.
    pub path: String,
}

/// The errors' texts in lower case, of glibc and Go, and of musl.
const ERRORS: [(&str, MkdirError); 4] = [
    ("cannot allocate memory", MkdirError::NoMemory),
    ("out of memory", MkdirError::NoMemory),
    ("no space left on device", MkdirError::NoSpace),
    // Cut short by some.
    ("no space left", MkdirError::NoSpace),
];

/// Whose words they are, if the words are nobody else's.
enum FailureWords {
    /// This program's, whatever the line's tag is.
    Of(&'static str),
    /// This program's, unless the line has a tag.
    Perhaps(&'static str),
    /// Anybody's.
    Any,
}

/// What stands before the path.
struct Wording {
    /// In lower case, with the blank before the path.
    before: &'static str,
    words: FailureWords,
    /// Whether the path begins at the hierarchy's root and not at `/`.
    of_hierarchy: bool,
}

const fn wording(before: &'static str, words: FailureWords) -> Wording {
    Wording {
        before,
        words,
        of_hierarchy: false,
    }
}

/// Longer ones before those that they end with.
const WORDINGS: &[Wording] = &[
    // coreutils, and busybox.
    wording("mkdir: cannot create directory ", FailureWords::Of("mkdir")),
    wording("mkdir: can't create directory ", FailureWords::Of("mkdir")),
    // Slurm's xcgroup_instantiate.
    wording(
        "unable to create cgroup ",
        FailureWords::Perhaps("slurmstepd"),
    ),
    // crun.
    wording("creating cgroup directory ", FailureWords::Of("crun")),
    // systemd's unit_create_cgroup names the path within the hierarchy, and no controller. It makes the directory in every
    // hierarchy of the unit's, memory's among them. No cgroup file system has blocks or inodes to use up: ENOSPC is an id that
    // cannot be had, and of all controllers memory has the fewest (65,535). So it counts.
    Wording {
        before: "failed to create cgroup ",
        words: FailureWords::Perhaps("systemd"),
        of_hierarchy: true,
    },
    // LXC's mkdir_p, Mesos, Rust's.
    wording("failed to create directory ", FailureWords::Any),
    wording("could not create directory ", FailureWords::Any),
    wording("cannot create directory ", FailureWords::Any),
    wording("unable to create directory ", FailureWords::Any),
    wording("error creating directory ", FailureWords::Any),
    wording("creating directory ", FailureWords::Any),
    wording("failed to mkdir ", FailureWords::Any),
    // LXC's cgfsng.
    wording("failed to create ", FailureWords::Any),
    wording("could not create cgroup ", FailureWords::Any),
    // Go: `mkdir PATH: cannot allocate memory` (os.PathError).
    wording("mkdir ", FailureWords::Any),
    // libuv, strace: `mkdir(PATH)`.
    wording("mkdir(", FailureWords::Any),
];

/// Marks around a path, and what closes them.
const MARKS: [(&str, &str); 6] = [
    ("'", "'"),
    ("\"", "\""),
    ("`", "`"),
    ("`", "'"),
    ("\u{2018}", "\u{2019}"),
    ("", ": "),
];

/// A longer line is no message.
const LINE_MAX: usize = 16 << 10;

/// Finds the memory cgroup that could not be made in a line of a log; `writer` is the runtime whose own log that is.
pub fn failed_mkdir(line: &[u8], writer: Option<&str>, paths: &MemoryPaths) -> Option<FailedMkdir> {
    if line.len() > LINE_MAX {
        return None;
    }
    let line = String::from_utf8_lossy(line);
    let text = unescaped(&line);
    // Of the same length: only ASCII changes.
    let lower = text.to_ascii_lowercase();
    WORDINGS
        .iter()
        .find_map(|wording| {
            let found = lower.match_indices(wording.before);
            found
                .filter(|(at, _)| boundary(&lower, *at))
                .find_map(|(at, before)| {
                    said(wording, &text, &lower, (at, at + before.len()), paths)
                })
        })
        .map(|(wording, error, path)| {
            // A runtime's own log has no tags, but words that look like some.
            let tag = || tag(&text).filter(|_| writer.is_none());
            let program = match wording.words {
                FailureWords::Of(program) => Some(program),
                FailureWords::Perhaps(program) => tag().or(Some(program)),
                FailureWords::Any => tag()
                    .or_else(|| lxc(&lower))
                    .or_else(|| klog(&text, &path))
                    .or(writer),
            };
            FailedMkdir {
                error,
                program: program.map(str::to_owned),
                path,
            }
        })
}

/// Whether a word begins here.
fn boundary(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|last: char| last.is_alphanumeric() || matches!(last, '_' | '/'))
}

fn said<'w>(
    wording: &'w Wording,
    text: &str,
    lower: &str,
    (begin, end): (usize, usize),
    paths: &MemoryPaths,
) -> Option<(&'w Wording, MkdirError, String)> {
    let (path, after) = MARKS.iter().find_map(|(open, close)| {
        let path = text[end..].strip_prefix(open)?;
        let at = text.len() - path.len();
        // Nothing closes the path at the line's end: the error stands before it.
        let length = match path.find(close) {
            Some(length) => length,
            None if open.is_empty() => path.trim_end().len(),
            None => return None,
        };
        (length > 0).then_some((&text[at..at + length], at + length))
    })?;
    let path = path.strip_suffix(" failed").unwrap_or(path);
    let path = path.trim_end_matches(['"', '\'', ')', '\\']);
    let counts = if wording.of_hierarchy {
        path.starts_with('/') && path.len() > 1 && (!on_a_mount(path) || paths.has(path))
    } else {
        paths.has(path)
    };
    let rest = &lower[after..];
    let error = follows(rest).or_else(|| {
        // What follows may be another error: then that is this mkdir's.
        let rest = rest.trim_start_matches(['\'', '"', '`', '\u{2019}', ' ']);
        (!rest.starts_with(':')).then(|| precedes(&lower[..begin]))?
    });
    Some((wording, error.filter(|_| counts)?, path.to_owned()))
}

/// Whether a path is one of the machine's, and not within a hierarchy.
fn on_a_mount(path: &str) -> bool {
    path.starts_with("/sys/") || path.contains("/cgroup/")
}

/// The error that stands right behind a path.
fn follows(text: &str) -> Option<MkdirError> {
    let signs = |sign: char| {
        matches!(
            sign,
            '\'' | '"' | '`' | '\u{2019}' | ':' | ',' | '-' | '(' | ')' | '='
        ) || sign.is_whitespace()
    };
    let mut rest = text.trim_start_matches(signs);
    for word in ["failed", "error", "errno", "err"] {
        if let Some(after) = rest.strip_prefix(word) {
            rest = after.trim_start_matches(signs);
        }
    }
    let found = ERRORS.iter().find(|(error, _)| rest.starts_with(error));
    found.map(|(_, error)| *error)
}

/// The error that stands right before the words: LXC's ` - No space left on device - failed to create directory`.
fn precedes(text: &str) -> Option<MkdirError> {
    let text = text.trim_end_matches([' ', '-', ':', ',']);
    let found = ERRORS.iter().find(|(error, _)| text.ends_with(error));
    found.map(|(_, error)| *error)
}

/// A text within a text: Docker's JSON, Go's %q, once or several times over.
fn unescaped(line: &str) -> Cow<'_, str> {
    if !line.contains('\\') {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut signs = line.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            text.push(sign);
            continue;
        }
        while signs.next_if_eq(&'\\').is_some() {}
        match signs.next() {
            Some('n' | 'r' | 't') => text.push(' '),
            Some(sign) => text.push(sign),
            None => {}
        }
    }
    Cow::Owned(text)
}

/// A syslog's tag: `Nov 24 01:02:03 HOST TAG[PID]: `, or with a date in another form.
fn tag(text: &str) -> Option<&str> {
    let (head, _) = text.split_once(": ")?;
    let tag = head.rsplit(' ').next()?;
    let tag = tag.split('[').next()?;
    // The date and the host before it. What is not of a syslog has its words there.
    let mut words = head.split_ascii_whitespace();
    let dated = match words.next()?.as_bytes() {
        [b'0'..=b'9', ..] => (2..=4).contains(&words.count()),
        [b'A'..=b'Z', b'a'..=b'z', b'a'..=b'z'] => {
            words.next().is_some_and(|day| day.len() <= 2)
                && words.next().is_some_and(|time| time.contains(':'))
                && words.count() == 2
        }
        _ => false,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@+".contains(&byte);
    let host = head
        .trim_end()
        .rsplit_once(' ')
        .and_then(|(rest, _)| rest.rsplit(' ').next());
    let dated = dated && host.is_some_and(|host| host.bytes().all(plain));
    let named = !tag.is_empty() && tag.len() <= 64 && tag.bytes().all(plain);
    (dated && named && tag.contains(|sign: char| sign.is_ascii_alphabetic())).then_some(tag)
}

/// LXC's own log names its file.
fn lxc(lower: &str) -> Option<&'static str> {
    lower.contains("cgfsng").then_some("lxc")
}

/// Kubelet's own log: `E1113 08:11:09.219004    4102 pod_workers.go:191] Error syncing pod`.
fn klog(text: &str, path: &str) -> Option<&'static str> {
    let files = [
        "pod_workers.go:",
        "kuberuntime_",
        "pod_container_manager",
        "kubelet.go:",
    ];
    // runc has files of its own in its errors, but not klog's header: a level, the date, the time.
    let header = |text: &str| {
        let mut bytes = text.bytes();
        let level = bytes.next().is_some_and(|level| b"IWEF".contains(&level));
        level
            && bytes.by_ref().take(4).all(|byte| byte.is_ascii_digit())
            && bytes.next() == Some(b' ')
    };
    let kubelets = files.iter().any(|file| text.contains(file))
        || (header(text) && path.contains("/kubepods") && text.contains(".go:"));
    kubelets.then_some("kubelet")
}

#[cfg(test)]
mod tests;
