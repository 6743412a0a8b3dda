//! The levels of the memory hierarchy, told by the names on a path.

use serde::Serialize;

use crate::{
    attribution::{is_container_id, owner},
    catalogue::{Sentence, say},
};

/// A level of the memory hierarchy: who makes its directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The hierarchy's root: the kernel.
    Root,
    /// `kubepods`: kubelet.
    Kubepods,
    /// `burstable`, `besteffort`: kubelet.
    Qos,
    /// A pod's: kubelet.
    Pod,
    /// A container's in a pod, and what is below it: runc.
    Container,
    /// A container's that is in no pod: runc, for docker or another.
    OtherContainer,
    /// Anything else: systemd, an administrator.
    Other,
}

impl Level {
    /// The level of a directory, by the names on its path.
    pub fn of(path: &[u8]) -> Self {
        if path == b"/" {
            return Self::Root;
        }
        let mut below = path
            .split(|&byte| byte == b'/')
            .skip_while(|name| !(*name == b"kubepods" || name.ends_with(b"kubepods.slice")));
        if below.next().is_none() {
            // Whatever is above it: runtimes give ids of 64 digits.
            let leaf = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let is_id = str::from_utf8(leaf).is_ok_and(is_container_id);
            return match owner(path).container_id {
                None if !is_id => Self::Other,
                _ => Self::OtherContainer,
            };
        }
        let mut level = Self::Kubepods;
        for name in below {
            let contains = |what: &[u8]| name.windows(what.len()).any(|part| part == what);
            level = match level {
                Self::Kubepods if is_qos(name) => Self::Qos,
                Self::Kubepods | Self::Qos
                    if name.starts_with(b"pod")
                        || (contains(b"-pod") && name.ends_with(b".slice")) =>
                {
                    Self::Pod
                }
                Self::Pod | Self::Container => Self::Container,
                _ => Self::Other,
            };
        }
        level
    }

    /// Its name in the catalogue.
    pub const fn message(self) -> Sentence {
        match self {
            Self::Root => say::LEVEL_ROOT,
            Self::Kubepods => say::LEVEL_KUBEPODS,
            Self::Qos => say::LEVEL_QOS,
            Self::Pod => say::LEVEL_POD,
            Self::Container => say::LEVEL_CONTAINER,
            Self::OtherContainer => say::LEVEL_OTHER_CONTAINER,
            Self::Other => say::LEVEL_OTHER,
        }
    }

    /// Whether kubelet makes it.
    pub(in crate::diagnose) const fn is_kubelet_s(self) -> bool {
        matches!(self, Self::Kubepods | Self::Qos | Self::Pod)
    }

    /// Whether runc makes it.
    pub(in crate::diagnose) const fn is_runc_s(self) -> bool {
        matches!(self, Self::Container | Self::OtherContainer)
    }
}

fn is_qos(name: &[u8]) -> bool {
    matches!(name, b"burstable" | b"besteffort")
        || name.ends_with(b"kubepods-burstable.slice")
        || name.ends_with(b"kubepods-besteffort.slice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_level() {
        let id = "ab".repeat(32);
        for (path, level) in [
            ("/", Level::Root),
            ("/kubepods", Level::Kubepods),
            ("/kubepods/burstable", Level::Qos),
            ("/kubepods/podabc", Level::Pod),
            ("/kubepods/besteffort/pod1", Level::Pod),
            ("/kubepods/besteffort/pod1/c1", Level::Container),
            ("/kubepods/besteffort/pod1/c1/init.scope", Level::Container),
            ("/kubepods.slice", Level::Kubepods),
            ("/kubelet.slice/kubelet-kubepods.slice", Level::Kubepods),
            ("/kubepods.slice/kubepods-burstable.slice", Level::Qos),
            ("/kubepods.slice/kubepods-pod1.slice", Level::Pod),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice",
                Level::Pod,
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/docker-1.scope",
                Level::Container,
            ),
            ("/kubepods/odd", Level::Other),
            ("/system.slice/docker.service", Level::Other),
            ("/docker", Level::Other),
        ] {
            assert_eq!(Level::of(path.as_bytes()), level, "{path}");
        }
        for above in ["/docker", "/hadoop-yarn/container_e01_1_0001_01_000002"] {
            assert_eq!(
                Level::of(format!("{above}/{id}").as_bytes()),
                Level::OtherContainer
            );
        }
    }
}
