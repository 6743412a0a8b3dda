//! The directories of pods' logs.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt};

use super::Root;

/// Where the kubelet keeps pods' logs, in a directory for each.
pub const POD_LOGS: &str = "/var/log/pods";

/// A node has some hundred pods; beyond so many directories nobody keeps order.
const MOST: usize = 65_536;

/// The names of the directories there; none where there is no kubelet, or where they cannot be read.
pub fn pod_logs(root: &Root) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(root.path(POD_LOGS)).into_iter().flatten();
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    names.take(MOST).map(OsString::into_vec).collect()
}
