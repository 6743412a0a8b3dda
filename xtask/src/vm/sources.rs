//! apt's package sources: those of this machine, with other suites.

use std::{collections::BTreeMap, fmt};

use super::arch::Arch;

/// The keys of all of Debian's suites; the package `debian-archive-keyring` has them.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The suites that the kernels come from.
pub(crate) const SUITES: [&str; 6] = [
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-security",
    "bookworm-backports",
    "trixie-backports",
];

/// One of apt's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uri: String,
    pub(crate) suites: Vec<String>,
    pub(crate) components: Vec<String>,
    /// Debian's name of the architecture to take packages of; none: the machine's own.
    pub(crate) arch: Option<&'static str>,
}

impl fmt::Display for Source {
    /// In apt's deb822 format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Types: deb")?;
        writeln!(f, "URIs: {}", self.uri)?;
        writeln!(f, "Suites: {}", self.suites.join(" "))?;
        writeln!(f, "Components: {}", self.components.join(" "))?;
        if let Some(arch) = self.arch {
            writeln!(f, "Architectures: {arch}")?;
        }
        writeln!(f, "Signed-By: {KEYRING}")
    }
}

impl Source {
    fn has_component(&self, name: &str) -> bool {
        self.components.iter().any(|component| component == name)
    }

    /// Whether its address has a part with this name, as Debian's mirrors do.
    fn has_part(&self, name: &str) -> bool {
        self.uri.split('/').any(|part| part == name)
    }
}

/// Reads a file of sources: `NAME.sources` is deb822, `NAME.list` has one a line.
pub(crate) fn parse(name: &str, text: &str) -> Vec<Source> {
    match name.rsplit_once('.') {
        Some((_, "sources")) => deb822(text),
        Some((_, "list")) => text.lines().filter_map(one_line).collect(),
        _ => Vec::new(),
    }
}

/// Paragraphs of `Field: value`, with continuation lines that begin with a space.
fn deb822(text: &str) -> Vec<Source> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut found = Vec::new();
    for paragraph in lines.split(|line| line.trim().is_empty()) {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut last = String::new();
        for line in paragraph {
            let values = if line.starts_with([' ', '\t']) {
                line
            } else if let Some((field, values)) = line.split_once(':') {
                last = field.to_ascii_lowercase();
                values
            } else {
                continue;
            };
            fields
                .entry(last.clone())
                .or_default()
                .extend(values.split_whitespace().map(str::to_owned));
        }
        let take = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let is = |name: &str, value: &str| take(name).iter().any(|word| word == value);
        if !is("types", "deb") || is("enabled", "no") {
            continue;
        }
        for uri in take("uris") {
            found.push(Source {
                uri,
                suites: take("suites"),
                components: take("components"),
                arch: None,
            });
        }
    }
    found
}

/// `deb [options] URI SUITE COMPONENT...`
fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    rest = rest.trim_start();
    if rest.starts_with('[') {
        rest = rest.split_once(']')?.1;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        arch: None,
    })
}

/// The sources to have `SUITES` from: the mirrors of Debian and of its security updates that `own` names, if it does.
pub(crate) fn derive(own: &[Source], arch: Arch) -> Vec<Source> {
    let is_security = |source: &Source| {
        source
            .suites
            .iter()
            .any(|suite| suite.ends_with("-security") || suite.ends_with("/updates"))
    };
    // Others, too, serve a "main" for Debian's suites; a mirror of Debian is known by its address.
    let mirror = |security: bool| {
        let part = if security {
            "debian-security"
        } else {
            "debian"
        };
        let fits =
            |source: &&Source| is_security(source) == security && source.has_component("main");
        own.iter().filter(fits).find(|source| source.has_part(part))
    };
    let (plain, security) = (mirror(false), mirror(true));
    SUITES
        .iter()
        .filter_map(|suite| {
            let source = if suite.ends_with("-security") {
                security
            } else {
                plain
            }?;
            Some(Source {
                uri: source.uri.clone(),
                suites: vec![(*suite).to_owned()],
                components: vec!["main".to_owned()],
                arch: Some(arch.settings().target.debian),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a comment within
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg

Types: deb deb-src
URIs: http://mirror.test/debian-security
Suites:
 bookworm-security
Components: main contrib

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm
Components: main
";

    const LIST: &str = "\
# deb http://old.test/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://vendor.test bookworm main
deb http://mirror.test/debian/ bookworm main non-free # the usual
deb-src http://mirror.test/debian bookworm main
";

    #[test]
    fn both_formats_are_read() {
        let found = parse("debian.sources", DEB822);
        let shown: Vec<_> = found
            .iter()
            .map(|source| {
                (
                    source.uri.as_str(),
                    source.suites.join(" "),
                    source.components.len(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "http://mirror.test/debian",
                    "bookworm bookworm-updates".to_owned(),
                    1
                ),
                (
                    "http://mirror.test/debian-security",
                    "bookworm-security".to_owned(),
                    2
                ),
            ]
        );
        let found = parse("sources.list", LIST);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].uri, "https://vendor.test");
        assert_eq!(found[1].components, ["main", "non-free"]);
        assert_eq!(parse("disabled.list.off", LIST), []);
    }

    #[test]
    fn suites_are_exchanged_and_mirrors_kept() {
        let own = [parse("a.list", LIST), parse("debian.sources", DEB822)].concat();
        let derived = derive(&own, Arch::X86_64);
        let suites: Vec<_> = derived.iter().map(|source| &source.suites[0]).collect();
        assert_eq!(suites, SUITES.iter().collect::<Vec<_>>());
        for source in &derived {
            let expected = if source.suites[0].ends_with("-security") {
                "http://mirror.test/debian-security"
            } else {
                "http://mirror.test/debian/"
            };
            assert_eq!(source.uri, expected);
        }
        assert_eq!(
            derived[0].to_string(),
            "Types: deb\nURIs: http://mirror.test/debian/\nSuites: bullseye\nComponents: main\n\
             Architectures: amd64\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
    }

    #[test]
    fn without_a_mirror_of_debian_there_is_nothing() {
        let own = parse(
            "x.list",
            "deb https://vendor.test/apt bookworm main\ndeb http://u.test/ubuntu noble main",
        );
        assert_eq!(derive(&own, Arch::X86_64), []);
        let own = parse("x.list", "deb http://m.test/debian sid main");
        assert!(
            derive(&own, Arch::Aarch64)
                .iter()
                .all(|source| !source.suites[0].ends_with("-security"))
        );
    }
}
