//! The architectures that machines have: how Debian and qemu name things there.

use std::{fmt, path::Path};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::target::{TARGETS, Target};

/// A machine's architecture, named as `uname -m` names it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Arch {
    #[default]
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}

/// What differs between architectures.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How programs are built for it, and its names.
    pub(crate) target: &'static Target,
    /// qemu's program, and Debian's package that has it.
    pub(crate) qemu: &'static str,
    pub(crate) package: &'static str,
    /// qemu's name of the board.
    pub(crate) board: &'static str,
    /// qemu's name of the processor, where it is emulated.
    pub(crate) cpu: &'static str,
    /// The device of the first serial line in the guest: the console.
    pub(crate) console: &'static str,
    /// The guest's data, apart from the kernel's messages.
    pub(crate) data: Data,
    /// The modules that a machine loads, where they are not built into its kernel.
    pub(crate) modules: &'static [&'static str],
    /// What more the kernel's command line takes.
    pub(crate) append: &'static str,
}

/// How the guest's data comes out of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Data {
    /// By a second serial line.
    Serial(&'static str),
    /// By a virtio console, where the board has only one serial line.
    Virtio(&'static str),
}

const X86_64: Settings = Settings {
    target: &TARGETS[0],
    qemu: "qemu-system-x86_64",
    package: "qemu-system-x86",
    board: "q35",
    cpu: "max",
    console: "ttyS0",
    data: Data::Serial("ttyS1"),
    modules: &["nvme"],
    // `check_timer` waits for ticks of a timer that a busy host emulates late: seen as the panic "IO-APIC + timer doesn't work".
    append: " no_timer_check",
};

const AARCH64: Settings = Settings {
    target: &TARGETS[1],
    qemu: "qemu-system-aarch64",
    package: "qemu-system-arm",
    board: "virt",
    // Real signatures of pointers would take most of the time.
    cpu: "max,pauth-impdef=on",
    console: "ttyAMA0",
    data: Data::Virtio("hvc0"),
    modules: &["nvme", "virtio_pci", "virtio_console"],
    append: "",
};

impl Arch {
    /// This machine's own; none if no machine of the matrix is like it.
    pub(crate) fn own() -> Option<Self> {
        [Self::X86_64, Self::Aarch64]
            .into_iter()
            .find(|arch| arch.settings().target.is_own())
    }

    pub(crate) const fn settings(self) -> &'static Settings {
        match self {
            Self::X86_64 => &X86_64,
            Self::Aarch64 => &AARCH64,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.settings().target.arch)
    }
}

impl Data {
    /// The device in the guest.
    pub(crate) const fn device(self) -> &'static str {
        match self {
            Self::Serial(device) | Self::Virtio(device) => device,
        }
    }

    /// qemu's arguments to have the data in a file; the console's serial line comes before.
    pub(crate) fn arguments(self, file: &Path) -> Vec<String> {
        let file = file.display();
        match self {
            Self::Serial(_) => vec!["-serial".to_owned(), format!("file:{file}")],
            Self::Virtio(_) => [
                "-chardev",
                &format!("file,id=data,path={file}"),
                "-device",
                "virtio-serial-pci",
                "-device",
                "virtconsole,chardev=data",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}
