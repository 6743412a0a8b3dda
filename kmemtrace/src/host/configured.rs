//! Where the kernel's command line and the settings of programs that make cgroups are configured.

use std::{fs, path::Path};

use super::Root;

/// The files. A `*` stands for any text in the last name. Not grub.cfg, which may have passwords in it.
pub(super) const CONFIGURED: [&str; 10] = [
    "/etc/default/grub",
    "/etc/default/grub.d/*.cfg",
    "/etc/kernel/cmdline",
    "/boot/grub2/grubenv",
    "/boot/grub/grubenv",
    "/boot/loader/entries/*.conf",
    "/boot/efi/loader/entries/*.conf",
    SLURM,
    "/etc/slurm-llnl/cgroup.conf",
    "/usr/local/etc/slurm/cgroup.conf",
];

/// Slurm's settings of cgroups.
const SLURM: &str = "/etc/slurm/cgroup.conf";

/// How many files one directory has at most.
const MOST: usize = 100;

/// Those that there may be.
pub fn configured(root: &Root) -> Vec<String> {
    CONFIGURED
        .iter()
        .flat_map(|pattern| files(root, pattern))
        .collect()
}

fn files(root: &Root, pattern: &str) -> Vec<String> {
    let Some((directory, name)) = pattern
        .rsplit_once('/')
        .filter(|(_, name)| name.contains('*'))
    else {
        return vec![pattern.to_owned()];
    };
    let (start, end) = name.split_once('*').unwrap_or((name, ""));
    let is = |name: &String| {
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    };
    let entries = fs::read_dir(root.path(Path::new(directory)));
    let names = entries.into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(is).take(MOST).collect();
    names.sort();
    names
        .iter()
        .map(|name| format!("{directory}/{name}"))
        .collect()
}
