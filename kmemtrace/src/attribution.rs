//! Whose a cgroup was, read from its path and nothing else.
//!
//! By the time a leak is certain the container is long gone, and the runtime that could have named
//! it has forgotten it: the path is what is left. A wrong name costs more than none, so only what
//! some version of a kubelet, a runtime or systemd writes is recognised, to the last digit.
//!
//! A path is read from the root down and the innermost owner wins (a container in a pod in kind's
//! node container). How a runtime names its cgroups is in its row of [`crate::runtimes`].

mod patterns;
mod pods;
#[cfg(test)]
mod tests;

use std::fmt;

pub use pods::{PodLogs, pod_logs};

pub use crate::runtimes::Runtime;
use crate::runtimes::{PATTERN_NAMES, RUNTIMES, Row};

/// Whose a cgroup is, as far as its path tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The pod, from the kubelet's cgroup manager: `pod<uid>` (cgroupfs driver) or
    /// `kubepods-burstable-pod<uid>.slice` (systemd driver).
    pub pod_uid: Option<PodUid>,
    /// The container, 64 hex digits: the innermost one, where containers nest. Pause containers
    /// and the conmon beside a container look the same and are named too.
    pub container_id: Option<&'a str>,
    /// The pod's class; also known for the cgroup that holds all pods of a class.
    pub qos: Option<Qos>,
    /// What runs `container_id` or knows `name`, or podman for one of podman's own pods. `None` where
    /// the path does not tell, as with the kubelet's cgroupfs driver, where the container's id stands
    /// alone.
    pub runtime: Option<Runtime>,
    /// What `runtime` calls it, where that is no container's id of 64 digits: `job_123/step_0` for
    /// Slurm, `web` for LXC, an allocation's UUID for Nomad.
    pub name: Option<&'a str>,
    /// The innermost systemd unit on the path, as it is written there. It may be inside the
    /// container (a systemd runs in it) or around it (podman's quadlets, `k3s.service`). Scopes
    /// that are containers and slices that are Kubernetes pods do not count; another slice counts
    /// only where the path ends in it.
    pub unit: Option<&'a str>,
}

/// A pod's uid, dashes restored where the path had underscores.
///
/// Either a UUID, from the API server, or the 32 hex digits that the kubelet hashes a static pod's
/// manifest to (`applyDefaults` in `pkg/kubelet/config`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodUid([u8; 36], u8);

impl PodUid {
    /// The kubelet's systemd driver writes `_` for `-`, since `-` nests slices; paths of 2017 that
    /// others recorded have `-` even so.
    fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let dashed = match text.len() {
            36 => true,
            32 => false,
            _ => return None,
        };
        let mut uid = [0; 36];
        for (at, (&byte, place)) in text.iter().zip(&mut uid).enumerate() {
            let separates = dashed && matches!(at, 8 | 13 | 18 | 23);
            *place = match byte {
                b'-' | b'_' if separates && byte == text[8] => b'-',
                _ if is_hex_digit(byte) && !separates => byte,
                _ => return None,
            };
        }
        Some(Self(uid, text.len() as u8))
    }

    /// The uid as the API server and `kubectl` write it.
    pub fn as_str(&self) -> &str {
        // ASCII by construction, so the default is never taken.
        self.0
            .get(..usize::from(self.1))
            .and_then(|uid| str::from_utf8(uid).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodUid({self})")
    }
}

/// A pod's quality-of-service class, for which the kubelet's cgroup manager has a cgroup each;
/// guaranteed pods are directly under `kubepods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qos {
    /// Requests equal limits, for every container.
    Guaranteed,
    /// Some container requests something.
    Burstable,
    /// No container requests anything.
    BestEffort,
}

impl Qos {
    /// The class in lower case, as the kubelet writes it in paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "guaranteed",
            Self::Burstable => "burstable",
            Self::BestEffort => "besteffort",
        }
    }
}

/// The kubelet's cgroups for its classes: by the systemd driver, and by cgroupfs below `kubepods`.
const CLASSES: [(&str, &str, Qos); 2] = [
    ("kubepods-burstable", "burstable", Qos::Burstable),
    ("kubepods-besteffort", "besteffort", Qos::BestEffort),
];

/// Kinds of unit that have a cgroup, besides slices (`systemd.resource-control(5)`).
const UNITS: [&str; 5] = ["service", "scope", "socket", "mount", "swap"];

/// Reads whose a cgroup is from its path, absolute within its hierarchy.
///
/// Total: a path may hold anything, and what is not recognised is not claimed.
///
/// ```
/// use kmemtrace::attribution::owner;
///
/// let path = b"/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d";
/// assert_eq!(owner(path).qos.map(|qos| qos.as_str()), Some("burstable"));
/// assert_eq!(owner(b"/system.slice/sshd.service").unit, Some("sshd.service"));
/// ```
pub fn owner(path: &[u8]) -> Owner<'_> {
    let mut owner = Owner::default();
    let mut above = [""; 3]; // the names above this one, nearest first
    let mut starts = [0; PATTERN_NAMES]; // where this name and those above begin
    let mut end = 0;
    let mut below_pod = false;
    let mut overhead = false;
    let mut slice = None;
    for name in path.split(|&byte| byte == b'/') {
        let start = end;
        end = start + name.len() + 1;
        if name.is_empty() {
            continue;
        }
        starts.rotate_right(1);
        starts[0] = start;
        let named = patterns::named(&path[..start + name.len()], &starts)
            .filter(|(_, text)| !overhead || text.starts_with(patterns::OVERHEAD));
        // No format has a name that is not ASCII: an empty one matches none of them.
        let name = str::from_utf8(name).unwrap_or_default();
        let pod = kubernetes(name, above);
        if let Some((qos, pod_uid)) = pod {
            // The container around a nested kubelet does not own that kubelet's pods.
            owner = Owner {
                pod_uid,
                qos: Some(qos),
                unit: owner.unit,
                runtime: owner.runtime.filter(|_| overhead),
                name: owner.name.filter(|_| overhead),
                ..Owner::default()
            };
        }
        let container = container(name, above, below_pod);
        if let Some((runtime, text)) = named {
            let is_id = is_container_id(text);
            owner.container_id = is_id.then_some(text);
            owner.name = (!is_id).then_some(text);
            owner.runtime = Some(runtime);
            overhead |= name == patterns::OVERHEAD;
        } else if let Some((id, runtime)) = container.filter(|_| !overhead) {
            owner.container_id = Some(id);
            owner.name = None;
            owner.runtime = runtime;
        } else if owner.container_id.is_none() && owner.name.is_none() && is_podman_pod(name) {
            owner.runtime = Some(Runtime::Podman);
        }
        let is_pod = matches!(pod, Some((_, Some(_))));
        let kind = unit_kind(name).filter(|_| !is_pod && container.is_none() && named.is_none());
        slice = kind.filter(|&kind| kind == "slice").map(|_| name);
        if kind.is_some_and(|kind| UNITS.contains(&kind)) {
            owner.unit = Some(name);
        }
        below_pod = is_pod && container.is_none();
        above = [name, above[0], above[1]];
    }
    owner.unit = slice.or(owner.unit);
    owner
}

/// The runtime that made a cgroup, as far as its path tells: the owner's, or the one below whose own directory it is.
pub fn maker(path: &[u8]) -> Option<Runtime> {
    owner(path).runtime.or_else(|| patterns::below(path))
}

/// The class and, for a pod, its uid, of a cgroup that the kubelet made, under whatever
/// `--cgroup-root`: the systemd driver repeats that in every slice's name (`kubelet-kubepods-...`).
fn kubernetes(name: &str, above: [&str; 3]) -> Option<(Qos, Option<PodUid>)> {
    let slice = name.split_once(".slice:").map(|(slice, _)| slice);
    if let Some(slice) = slice.or_else(|| name.strip_suffix(".slice")) {
        let is = |slice: &str, class| {
            let root = slice.strip_suffix(class);
            root.is_some_and(|root| root.is_empty() || root.ends_with('-'))
        };
        let class = |slice| CLASSES.iter().find(|row| is(slice, row.0)).map(|row| row.2);
        if let Some(qos) = class(slice) {
            return Some((qos, None));
        }
        let (parent, uid) = slice.rsplit_once("-pod")?;
        let guaranteed = || is(parent, "kubepods").then_some(Qos::Guaranteed);
        return Some((
            class(parent).or_else(guaranteed)?,
            Some(PodUid::parse(uid)?),
        ));
    }
    let class = |name, parent| {
        let row = CLASSES
            .iter()
            .find(|row| row.1 == name && parent == "kubepods");
        row.map(|row| row.2)
    };
    if let Some(qos) = class(name, above[0]) {
        return Some((qos, None));
    }
    let uid = PodUid::parse(name.strip_prefix("pod")?)?;
    let guaranteed = || (above[0] == "kubepods").then_some(Qos::Guaranteed);
    Some((class(above[0], above[1]).or_else(guaranteed)?, Some(uid)))
}

/// The id and, if the path tells, the runtime of a container's own cgroup.
fn container<'a>(
    name: &'a str,
    above: [&str; 3],
    below_pod: bool,
) -> Option<(&'a str, Option<Runtime>)> {
    let runtime = |names: fn(&Row) -> &'static [&'static str], key| {
        let row = RUNTIMES.iter().find(|row| names(row).contains(&key));
        row.map(|row| row.runtime)
    };
    let marked = match name.split_once(".slice:") {
        Some((_, rest)) => rest.split_once(':'),
        None => name.strip_suffix(".scope").unwrap_or(name).rsplit_once('-'),
    };
    if let Some((prefix, id)) = marked.filter(|&(_, id)| is_container_id(id)) {
        return Some((id, Some(runtime(|row| row.prefixes, prefix)?)));
    }
    // The agent of AWS ECS on cgroup v1: /ecs/TASK/ID, formerly /ecs/CLUSTER/TASK/ID.
    let in_ecs_task = above[1..].contains(&"ecs") && PodUid::parse(above[0]).is_some();
    let runtime = runtime(|row| row.parents, above[0]);
    // Of a path that was not read whole, `...` stands for the names above.
    let parents_unknown = above[0] == "...";
    (is_container_id(name) && (below_pod || in_ecs_task || parents_unknown || runtime.is_some()))
        .then_some((name, runtime))
}

/// `machine-libpod_pod_ID.slice`, or below a user's manager `user-libpod_pod_ID.slice`: podman pods
/// have no uid of Kubernetes' kind.
fn is_podman_pod(name: &str) -> bool {
    let pod = name
        .strip_suffix(".slice")
        .and_then(|slice| slice.split_once("-libpod_pod_"));
    pod.is_some_and(|(_, id)| is_container_id(id))
}

/// What follows the last dot of a name that systemd allows for a unit (`unit_name_is_valid`).
fn unit_kind(name: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let (stem, kind) = name.rsplit_once('.')?;
    (!stem.is_empty() && name.bytes().all(allowed)).then_some(kind)
}

/// 64 lower-case hex digits: every runtime above generates its ids so, and a shorter one would be
/// somebody's abbreviation.
pub fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_hex_digit)
}

fn is_hex_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
