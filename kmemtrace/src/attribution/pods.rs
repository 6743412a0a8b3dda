//! Pods' names, from the directories that the kubelet keeps their logs in.

use super::PodUid;

/// Whose logs a directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodLogs<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid, which cgroups have in their paths.
    pub uid: PodUid,
}

/// Reads the name of a directory in `/var/log/pods`: `NAMESPACE_NAME_UID` (`BuildPodLogsDirectory` in
/// `pkg/kubelet/kuberuntime`, since Kubernetes 1.14). None of the three has a `_` in it.
///
/// ```
/// use kmemtrace::attribution::pod_logs;
///
/// let logs = pod_logs(b"kube-system_coredns-x2x7q_74c13223-5a00-11e9-b385-42010a80018d");
/// assert_eq!(logs.map(|logs| (logs.namespace, logs.name)), Some(("kube-system", "coredns-x2x7q")));
/// ```
pub fn pod_logs(directory: &[u8]) -> Option<PodLogs<'_>> {
    let mut parts = str::from_utf8(directory).ok()?.split('_');
    let (namespace, name) = (parts.next()?, parts.next()?);
    let uid = PodUid::parse(parts.next()?)?;
    let whole = parts.next().is_none();
    let is_whole = whole && is_name(namespace, 63, false) && is_name(name, 253, true);
    is_whole.then_some(PodLogs {
        namespace,
        name,
        uid,
    })
}

/// A label, or labels with dots between them, as Kubernetes names things (RFC 1123).
fn is_name(text: &str, most: usize, dots: bool) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || (dots && byte == b'.')
    };
    (1..=most).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "74c13223-5a00-11e9-b385-42010a80018d";

    #[test]
    fn a_directory_names_its_pod() {
        let static_pod = "kube-system_etcd-node.7_0123456789abcdef0123456789abcdef";
        for (directory, expected) in [
            (format!("default_web-0_{UID}"), Some(("default", "web-0"))),
            (static_pod.to_owned(), Some(("kube-system", "etcd-node.7"))),
            (UID.to_owned(), None), // before 1.14
            (format!("default_web_0_{UID}"), None),
            (format!("_web_{UID}"), None),
            (format!("de.fault_web_{UID}"), None),
            (format!("default_we\u{1b}b_{UID}"), None),
            (format!("default_web_{}", &UID[1..]), None),
            (format!("{}_web_{UID}", "n".repeat(64)), None),
        ] {
            let logs = pod_logs(directory.as_bytes());
            let names = logs.map(|logs| (logs.namespace, logs.name));
            assert_eq!(names, expected, "{directory}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read(directory: Vec<u8>) {
            let _ = pod_logs(&directory);
        }
    }
}
