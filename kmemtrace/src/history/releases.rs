//! A kernel's release taken apart.

/// A vendor's kernels that keep their base's numbers and count builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// RHEL 7's 3.10.0-N and its rebuilds.
    El7,
    /// RHEL 8's 4.18.0-N and its rebuilds.
    El8,
    /// Ubuntu 16.04's 4.4.0-N; flavours for clouds count from 1000.
    Ubuntu44,
}

impl Series {
    /// As the document has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::El7 => "RHEL 7",
            Self::El8 => "RHEL 8",
            Self::Ubuntu44 => "Ubuntu 4.4.0",
        }
    }
}

/// How each begins, what else is in it, and which it is.
const SERIES: [(&str, &str, Series); 4] = [
    ("3.10.0-", ".el7", Series::El7),
    ("3.10.0-", ".alios7", Series::El7),
    ("4.18.0-", ".el8", Series::El8),
    ("4.4.0-", "", Series::Ubuntu44),
];

/// What follows the numbers of kernels that are their stable series' or built on it patch level by patch level.
const FOLLOW: [&str; 12] = [
    "elrepo",
    "default",
    "coreos",
    "moby",
    "linuxkit",
    "boot2docker",
    "rancher",
    "amzn1",
    "amzn2",
    "linode",
    "arch",
    "lts",
];

/// Words that say nothing of who made it: machines and release candidates.
const PLAIN: [&str; 10] = [
    "x86",
    "x86_64",
    "amd64",
    "arm64",
    "aarch64",
    "ppc64le",
    "s390x",
    "generic64",
    "smp",
    "std",
];

/// What a release says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// `4.4.248-1.el7.elrepo.x86_64`: 4 and 4.
    pub version: (u32, u32),
    /// 248; `None` if there is no third number.
    pub patch: Option<u32>,
    /// The third number is that of the stable series.
    pub follows_stable: bool,
    /// A vendor's series, and the build.
    pub build: Option<(Series, u32)>,
}

impl Release {
    /// Takes it apart; `None` if it does not begin with two numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let version = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let numbers = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (numbers, rest) = text.split_at(numbers);
        let patch = numbers
            .split('.')
            .nth(2)
            .and_then(|patch| patch.parse().ok());
        Some(Self {
            version,
            patch,
            follows_stable: patch.is_some()
                && follows(rest)
                && (patch != Some(0) || is_mainline(rest)),
            build: build(text),
        })
    }
}

/// Distributions write 0 for whatever patch level it is and count builds of their own: then there is something else.
fn is_mainline(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with("-rc")
}

/// `-1.el7.elrepo.x86_64`: whether nothing in it names somebody else.
fn follows(rest: &str) -> bool {
    let mut words = rest
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    let plain = |word: &str| {
        let word = word.to_ascii_lowercase();
        word.bytes().all(|byte| byte.is_ascii_digit())
            || PLAIN.contains(&&word[..])
            || word.starts_with("rc") && word[2..].bytes().all(|byte| byte.is_ascii_digit())
    };
    rest.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| FOLLOW.contains(&word))
        || words.all(plain)
}

fn build(text: &str) -> Option<(Series, u32)> {
    SERIES.iter().find_map(|(start, mark, series)| {
        let rest = text.strip_prefix(start)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        rest.contains(mark)
            .then(|| digits.parse().ok())?
            .map(|build| (*series, build))
    })
}
