//! How the kernel was built, and whose distribution it runs in.

use std::io::ErrorKind;

use super::{FileLine, Reading, Reason, Root, Unread, find, unread};
use crate::host;

/// Whether accounting of kernel memory to memcgs is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// `CONFIG_MEMCG_KMEM=y`, or a kernel that has no such choice any more.
    Yes,
    /// Its configuration says that it is not.
    No,
}

/// What the kernel's configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// Whether it is built in.
    pub kmem: BuiltIn,
    /// The line that says so.
    pub line: FileLine,
}

/// Reads the configuration.
pub(super) fn config(root: &Root, release: Option<&str>) -> Reading<KernelConfig> {
    match host::config_text(root, release) {
        Ok(config) => parse(&config.file, &config.text),
        // Without a release it is not known where else to look.
        Err((file, error)) if file.starts_with("/proc/") && error.kind() == ErrorKind::NotFound => {
            Err(Unread::new(file, Reason::NoFile))
        }
        Err((file, error)) => Err(unread(root, &file, error)),
    }
}

fn parse(file: &str, text: &[u8]) -> Reading<KernelConfig> {
    let line = |starts: &[&str]| find(file, text, |line| starts.contains(&line));
    let config = |kmem, line| KernelConfig { kmem, line };
    // From 6.11 on there is no such choice: it comes with CONFIG_MEMCG (3a3b7fec3974).
    line(&["CONFIG_MEMCG_KMEM=y"])
        .map(|line| config(BuiltIn::Yes, line))
        .or_else(|| {
            let not = [
                "# CONFIG_MEMCG_KMEM is not set",
                "# CONFIG_MEMCG is not set",
            ];
            line(&not).map(|line| config(BuiltIn::No, line))
        })
        .or_else(|| line(&["CONFIG_MEMCG=y"]).map(|line| config(BuiltIn::Yes, line)))
        .ok_or_else(|| Unread::new(file, Reason::NoConfig))
}

/// The distribution, as far as commands differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// `ID` of os-release: `centos`, `debian`.
    pub id: String,
    /// `ID_LIKE`: those that it builds on.
    pub like: Vec<String>,
    /// `PRETTY_NAME`, or the line of `/etc/redhat-release`.
    pub name: FileLine,
    /// `VERSION_ID`, or else the number in its name, or nothing.
    pub version: String,
    /// `VARIANT_ID`, or nothing: `coreos`.
    pub variant: String,
}

impl Distribution {
    /// Whether it is one of these, or builds on one.
    pub fn is(&self, ids: &[&str]) -> bool {
        ids.contains(&&self.id[..]) || self.like.iter().any(|like| ids.contains(&&like[..]))
    }
}

pub(super) fn distribution(root: &Root) -> Reading<Distribution> {
    let places = ["/etc/os-release", "/usr/lib/os-release"];
    let found = places
        .iter()
        .find_map(|place| Some((*place, root.read(place).ok()?)));
    let Some((file, text)) = found else {
        let name = super::line(root, "/etc/redhat-release", |_| true)?;
        return Ok(Distribution {
            id: "rhel".to_owned(),
            like: Vec::new(),
            version: release_number(&name.text).to_owned(),
            name,
            variant: String::new(),
        });
    };
    let value = |key: &str| {
        let line = find(file, &text, |line| line.starts_with(key))?;
        let value = line.text[key.len()..].trim_matches(['"', '\'']).to_owned();
        Some((line, value))
    };
    let (line, id) = value("ID=").ok_or_else(|| Unread::new(file, Reason::NoId))?;
    let text = |key| value(key).map_or_else(String::new, |(_, value)| value);
    let family = text("ID_LIKE=")
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let variant = text("VARIANT_ID=");
    let name = value("PRETTY_NAME=").map_or(line, |(line, name)| FileLine { text: name, ..line });
    let version = value("VERSION_ID=").map_or_else(
        || release_number(&name.text).to_owned(),
        |(_, version)| version,
    );
    Ok(Distribution {
        id,
        like: family,
        name,
        version,
        variant,
    })
}

/// `7.9.2009` of `CentOS Linux release 7.9.2009 (Core)`.
fn release_number(line: &str) -> &str {
    let mut words = line.split_whitespace();
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::root;

    #[test]
    fn a_distribution_tells_its_version() {
        for (text, told) in [
            (
                "ID=\"centos\"\nVERSION_ID=\"7\"\nID_LIKE=\"rhel fedora\"\n",
                ("centos", "7", 2),
            ),
            (
                "ID=ubuntu\nID_LIKE=debian\nPRETTY_NAME=\"Ubuntu 16.04.6 LTS\"\n",
                ("ubuntu", "16.04.6", 1),
            ),
            ("ID=arch\nPRETTY_NAME=\"Arch Linux\"\n", ("arch", "", 0)),
            ("ID=\n", ("", "", 0)),
        ] {
            let (_directory, root) = root(&[("/etc/os-release", text)]);
            let found = distribution(&root).unwrap();
            let found = (&found.id[..], &found.version[..], found.like.len());
            assert_eq!(found, told, "{text}");
        }
        let (_directory, root) = root(&[(
            "/etc/redhat-release",
            "CentOS Linux release 7.9.2009 (Core)\n",
        )]);
        let found = distribution(&root).unwrap();
        assert_eq!((&found.id[..], &found.version[..]), ("rhel", "7.9.2009"));
    }
}
