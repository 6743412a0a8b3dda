//! CPU time of child processes, and what can be said of a few measurements.

use std::{
    fmt,
    io::Read as _,
    process::{ChildStdout, Command, Stdio},
    time::Duration,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

use crate::{error::Error, workspace};

/// The CPU time, user and system, of `commands` from their start to their end, each reading what the one before it writes;
/// and what the last one writes.
pub(super) fn cpu_time(commands: &mut [Command]) -> Result<(Duration, String), Error> {
    let before = children()?;
    let mut running = Vec::new();
    let mut output: Option<ChildStdout> = None;
    for command in commands {
        let mut child = command
            .stdin(output.take().map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|cause| workspace::cannot_start(command, &cause))?;
        output = child.stdout.take();
        running.push((child, command.get_program().display().to_string()));
    }
    let mut said = String::new();
    if let Some(mut output) = output {
        output
            .read_to_string(&mut said)
            .map_err(|cause| Error::caused("cannot read what was measured", cause))?;
    }
    for (mut child, program) in running {
        let status = child
            .wait()
            .map_err(|cause| Error::caused(format!("cannot wait for {program}"), cause))?;
        if !status.success() {
            return Err(Error::new(format!("{program} failed: {status}")));
        }
    }
    Ok((children()?.saturating_sub(before), said))
}

/// The CPU time of all children that have ended and been waited for.
fn children() -> Result<Duration, Error> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|cause| Error::caused("cannot ask for the CPU time of children", cause))?;
    let duration = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// Several measurements of one thing, in order of size.
#[derive(Debug)]
pub(super) struct Spread(Vec<Duration>);

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(mut all: Vec<Duration>) -> Option<Self> {
        all.sort_unstable();
        (!all.is_empty()).then_some(Self(all))
    }

    pub(super) fn median(&self) -> Duration {
        let all = &self.0;
        let (low, high) = ((all.len() - 1) / 2, all.len() / 2);
        (all[low] + all[high]) / 2
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (least, most) = (self.0[0], self.0[self.0.len() - 1]);
        write!(
            f,
            "{:.2} ms ({:.2} to {:.2})",
            ms(self.median()),
            ms(least),
            ms(most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = |all: &[u64]| {
            let all = all.iter().copied().map(Duration::from_millis).collect();
            Spread::of(all).map(|spread| spread.to_string())
        };
        assert_eq!(spread(&[]), None);
        let one = spread(&[7, 1, 2]);
        assert_eq!(one.as_deref(), Some("2.00 ms (1.00 to 7.00)"));
        let two = spread(&[7, 1, 3, 2]);
        assert_eq!(two.as_deref(), Some("2.50 ms (1.00 to 7.00)"));
    }
}
