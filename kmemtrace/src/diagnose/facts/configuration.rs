//! What is configured for the kernel and for those who make cgroups: in force or not.

use super::{FileLine, Root};
use crate::{
    diagnose::Provenance,
    host::{self, memory_words},
};

/// How many lines of one file are told.
const LINES: usize = 100;

/// Lines of configuration files that matter to memory cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// For the kernel's command line.
    pub kernel: Vec<FileLine>,
    /// Settings of programs that switch accounting on or leave it.
    pub programs: Vec<FileLine>,
}

/// Reads the files there are. What cannot be read says nothing.
pub(super) fn read(root: &Root) -> Configuration {
    let mut found = Configuration::default();
    for file in host::config_files(root) {
        let Ok(bytes) = root.read(&file) else {
            continue;
        };
        let is_setting = file.ends_with("/cgroup.conf");
        let lines = if is_setting {
            &mut found.programs
        } else {
            &mut found.kernel
        };
        lines.extend(parse(&file, &bytes, is_setting));
    }
    found
}

fn parse(file: &str, bytes: &[u8], is_setting: bool) -> Vec<FileLine> {
    let lines = (1..).zip(bytes.split(|&byte| byte == b'\n'));
    let matters = |text: &str| {
        // grubenv fills its file up with `#`; elsewhere that begins a comment.
        let told = text.split('#').next().unwrap_or_default().trim();
        let matters = if is_setting {
            told.to_ascii_lowercase().starts_with("constrainkmemspace")
        } else {
            words(told).next().is_some()
        };
        matters.then(|| told.to_owned())
    };
    let found = lines.filter_map(|(number, bytes)| {
        Some(FileLine {
            at: Provenance::Line(file.to_owned(), number),
            text: matters(&String::from_utf8_lossy(bytes))?,
        })
    });
    found.take(LINES).collect()
}

/// The words that matter, of a line of a shell's or of a boot loader's file.
pub(in crate::diagnose) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'', ' ', '\t'])
        .flat_map(memory_words)
        .map(|word| {
            // `GRUB_CMDLINE_LINUX=cgroup.memory=nokmem`
            let at = word.find("cgroup.memory=").unwrap_or(0);
            &word[at..]
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::tests::root;

    #[test]
    fn configured_words_are_found_where_they_stand() {
        let (_directory, root) = root(&[
            (
                "/etc/default/grub",
                "# cgroup.memory=nokmem\nGRUB_CMDLINE_LINUX=\"quiet cgroup.memory=nokmem\"\nGRUB_TIMEOUT=5\n",
            ),
            (
                "/etc/default/grub.d/50-cloud.cfg",
                "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT swapaccount=1\"\n",
            ),
            ("/etc/kernel/cmdline", "root=/dev/sda1 ro\n"),
            (
                "/boot/loader/entries/a.conf",
                "title a\noptions root=/dev/sda1 cgroup.memory=nokmem,nosocket\n",
            ),
            ("/boot/loader/entries/a.txt", "cgroup.memory=nokmem\n"),
            (
                "/etc/slurm/cgroup.conf",
                "CgroupAutomount=yes\n#ConstrainKmemSpace=no\nConstrainKmemSpace=yes # as it was\n",
            ),
        ]);
        let told = |lines: &[FileLine]| {
            let lines = lines
                .iter()
                .map(|line| format!("{}:{}", line.at.file(), line.at.line().unwrap()));
            lines.collect::<Vec<_>>().join(" ")
        };
        let found = read(&root);
        assert_eq!(
            told(&found.kernel),
            "/etc/default/grub:2 /etc/default/grub.d/50-cloud.cfg:1 /boot/loader/entries/a.conf:2"
        );
        assert_eq!(told(&found.programs), "/etc/slurm/cgroup.conf:3");
        assert_eq!(found.programs[0].text, "ConstrainKmemSpace=yes");
        let text = &found.kernel[0].text;
        assert_eq!(words(text).collect::<Vec<_>>(), ["cgroup.memory=nokmem"]);
    }

    proptest! {
        #[test]
        fn garbage_is_no_setting(bytes: Vec<u8>) {
            parse("/x", &bytes, true);
            parse("/x", &bytes, false);
        }
    }
}
