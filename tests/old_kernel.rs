//! The running kernel made as old as 3.10, as far as system calls tell: what 3.10 does not have answers `ENOSYS`.
//!
//! `cargo xtask test --old-kernel` uses it as well.

use std::{collections::BTreeMap, env};

use rustix::{fs, io::Errno};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The first system call that 3.10 does not have: `sched_setattr` on x86-64, after `finit_module`, and after
/// `finit_module` on the generic table, too. RHEL 7 has a few of them all the same (`memfd_create`): not to be relied on.
const FIRST_NEW: Option<i64> = if cfg!(target_arch = "x86_64") {
    Some(314)
} else if cfg!(target_arch = "aarch64") {
    Some(274)
} else {
    None
};

/// Beyond what any kernel has; the numbers of x32 begin here.
const END: i64 = 512;

/// Takes the newer system calls away from this thread, and from all it starts, for good.
pub(crate) fn become_old() -> Result<(), String> {
    if is_old()? {
        return Ok(());
    }
    let first = FIRST_NEW.ok_or("it is not known which system calls 3.10 had on this machine")?;
    let calls: BTreeMap<_, _> = (first..END).map(|number| (number, Vec::new())).collect();
    let enosys = Errno::NOSYS.raw_os_error().cast_unsigned();
    let architecture = env::consts::ARCH
        .try_into()
        .map_err(|error| format!("cannot filter system calls here: {error}"))?;
    let program: BpfProgram = SeccompFilter::new(
        calls,
        SeccompAction::Allow,
        SeccompAction::Errno(enosys),
        architecture,
    )
    .and_then(TryInto::try_into)
    .map_err(|error| format!("cannot make the filter of system calls: {error}"))?;
    seccompiler::apply_filter(&program)
        .map_err(|error| format!("cannot take system calls away: {error}"))?;
    if !is_old()? {
        return Err("the filter of system calls is in force, and does not filter".to_owned());
    }
    Ok(())
}

/// Whether a system call of 4.11 is missing.
fn is_old() -> Result<bool, String> {
    let flags = fs::AtFlags::empty();
    match fs::statx(fs::CWD, "/", flags, fs::StatxFlags::BASIC_STATS) {
        Ok(_) => Ok(false),
        Err(Errno::NOSYS) => Ok(true),
        Err(error) => Err(format!("cannot tell whether statx is there: {error}")),
    }
}
