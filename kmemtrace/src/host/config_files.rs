//! Where the kernel's command line and the settings of programs that make cgroups are configured.

use super::{Root, glob};

/// The files. A `*` stands for any text in a name. Not grub.cfg, which may have passwords in it.
pub(super) const CONFIG_FILES: [&str; 10] = [
    "/etc/default/grub",
    "/etc/default/grub.d/*.cfg",
    "/etc/kernel/cmdline",
    "/boot/grub2/grubenv",
    "/boot/grub/grubenv",
    "/boot/loader/entries/*.conf",
    "/boot/efi/loader/entries/*.conf",
    "/etc/slurm/cgroup.conf",
    "/etc/slurm-llnl/cgroup.conf",
    "/usr/local/etc/slurm/cgroup.conf",
];

/// How many files one pattern has at most.
const MOST: usize = 100;

/// Those that are there.
pub fn config_files(root: &Root) -> Vec<String> {
    let files = CONFIG_FILES
        .iter()
        .map(|pattern| glob::matches(root, pattern, MOST));
    files.flatten().collect()
}
