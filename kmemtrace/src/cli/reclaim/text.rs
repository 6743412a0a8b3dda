//! What reclaim did, or would do, as people read it.

use std::io::{self, Write};

use super::{
    super::report::{Palette, Report as Shown},
    Counts, Kind, Report, Step,
};
use crate::sink::{escape::Name, tail::units::Bytes};

impl Shown for Report {
    fn text(&self, out: &mut dyn Write, palette: Palette) -> io::Result<()> {
        let (before, last) = (self.before, self.last());
        let gone = before.zombies.saturating_sub(last.zombies);
        let headline = match (self.applied, before.zombies, last.zombies) {
            (_, 0, _) if before.none => palette.good("ok: no zombies, so nothing to free"),
            (_, 0, _) => palette.warn("unknown: zombies are not counted here, and none is seen"),
            (false, zombies, _) => palette.warn(&format!(
                "dry run: {} zombies; nothing was written, --apply does it",
                least(before, zombies)
            )),
            (true, zombies, 0) => palette.good(&format!("ok: all {zombies} zombies are gone")),
            (true, zombies, left) if gone > 0 => palette.warn(&format!(
                "{gone} of {zombies} zombies are gone, {} left",
                least(last, left)
            )),
            (true, _, left) => palette.bad(&format!("none is gone: {} zombies", least(last, left))),
        };
        writeln!(out, "{headline}")?;
        writeln!(out, "  before       {}", Shows(before))?;
        for step in &self.steps {
            write_step(out, step)?;
        }
        if before.zombies > 0 && self.steps.is_empty() {
            writeln!(
                out,
                "  nothing      what pins them cannot be freed from here: files on tmpfs, sockets, or caches of live cgroups"
            )?;
        }
        if let Some(ended) = self.ended {
            writeln!(out, "  note         {ended}: not all was written")?;
        }
        Ok(())
    }
}

fn least(counts: Counts, zombies: u64) -> String {
    format!(
        "{}{zombies}",
        if counts.at_least { "at least " } else { "" }
    )
}

/// `at least 95 zombies, 3.6 MiB of kernel memory`.
struct Shows(Counts);

impl std::fmt::Display for Shows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.0;
        write!(f, "{} zombies", least(counts, counts.zombies))?;
        if let Some(bytes) = counts.kernel_memory {
            write!(f, ", {} of kernel memory", Bytes(bytes))?;
        }
        if let Some(bytes) = counts.memory {
            write!(f, ", {} of other memory", Bytes(bytes))?;
        }
        Ok(())
    }
}

fn write_step(out: &mut dyn Write, step: &Step) -> io::Result<()> {
    let (writes, targets) = (step.writes, step.targets);
    let (name, what) = match step.kind {
        Kind::Shrink => (
            "shrink",
            format!("1 to {writes} slab caches of {targets} zombies"),
        ),
        Kind::Reclaim => ("reclaim", format!("page cache below {targets} cgroups")),
        Kind::DropCaches => ("drop_caches", "3 to /proc/sys/vm/drop_caches".to_owned()),
    };
    write!(out, "  {name:<11}  {what}")?;
    if let Some(left_out) = step.left_out {
        write!(out, ", {left_out} left out by --max")?;
    }
    if let Some(after) = step.after {
        write!(out, "; then {}", Shows(after))?;
    }
    writeln!(out)?;
    if let (Some(failed), Some(reason)) = (step.failed, &step.reason) {
        let reason = Name::whole(reason.as_bytes());
        writeln!(
            out,
            "               {failed} writes failed, the first: {reason}"
        )?;
    }
    Ok(())
}
