//! How the kernel was built, and whose distribution it runs in.

use std::io::Read;

use super::{Fact, Line, Root, Unread, find, read};

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
pub struct Config {
    /// Whether it is built in.
    pub kmem: BuiltIn,
    /// The line that says so.
    pub line: Line,
}

/// The largest configuration, unpacked: they have a quarter of a mebibyte.
const CONFIG_MAX: u64 = 4 << 20;

/// Reads the configuration from where kernels and distributions put it.
pub(super) fn config(root: &Root, release: Option<&str>) -> Fact<Config> {
    let packed = "/proc/config.gz";
    if let Ok(bytes) = read(root, packed) {
        let mut text = Vec::new();
        let unpacked = flate2::read::MultiGzDecoder::new(&bytes[..])
            .take(CONFIG_MAX)
            .read_to_end(&mut text);
        unpacked.map_err(|error| Unread::new(packed, &error))?;
        return parse(packed, &text);
    }
    let Some(release) = release.filter(|release| !release.contains('/')) else {
        return Err(Unread::new(packed, "no such file"));
    };
    let first = format!("/boot/config-{release}");
    let unread = match read(root, &first) {
        Ok(bytes) => return parse(&first, &bytes),
        Err(unread) => unread,
    };
    let second = format!("/lib/modules/{release}/config");
    let second_text = read(root, &second).map_err(|_| unread)?;
    parse(&second, &second_text)
}

fn parse(file: &str, text: &[u8]) -> Fact<Config> {
    let line = |starts: &[&str]| find(file, text, |line| starts.contains(&line));
    let config = |kmem, line| Config { kmem, line };
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
        .ok_or_else(|| Unread::new(file, "no word of CONFIG_MEMCG"))
}

/// The distribution, as far as commands differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// `ID` of os-release: `centos`, `debian`.
    pub id: String,
    /// `PRETTY_NAME`, or the line of `/etc/redhat-release`.
    pub name: Line,
    /// `ID` or `ID_LIKE` names one of Red Hat's family.
    pub red_hat: bool,
}

pub(super) fn distribution(root: &Root) -> Fact<Distribution> {
    let places = ["/etc/os-release", "/usr/lib/os-release"];
    let found = places
        .iter()
        .find_map(|place| Some((*place, root.read(place).ok()?)));
    let Some((file, text)) = found else {
        let name = super::line(root, "/etc/redhat-release", |_| true)?;
        return Ok(Distribution {
            id: "rhel".to_owned(),
            name,
            red_hat: true,
        });
    };
    let value = |key: &str| {
        let line = find(file, &text, |line| line.starts_with(key))?;
        let value = line.text[key.len()..].trim_matches(['"', '\'']).to_owned();
        Some((line, value))
    };
    let (line, id) = value("ID=").ok_or_else(|| Unread::new(file, "no ID"))?;
    let family = value("ID_LIKE=").map_or_else(String::new, |(_, names)| names);
    let names = ["rhel", "fedora", "centos"];
    let red_hat = family
        .split(' ')
        .chain([&id[..]])
        .any(|one| names.contains(&one));
    let name = value("PRETTY_NAME=").map_or(line, |(line, name)| Line { text: name, ..line });
    Ok(Distribution { id, name, red_hat })
}
