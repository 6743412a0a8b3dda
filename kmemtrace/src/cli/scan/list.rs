//! The parts of a census as people read them: sums, zombies by name, object cgroups, where live ones crowd.

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    census::{
        CrowdedParent,
        inventory::{Inventory, Zombie},
        objcgs::ObjectCgroups,
    },
    text::{
        escape::Name,
        units::{Bytes, Count},
    },
};

/// So many zombies are listed unless told.
pub(super) const LISTED: usize = 20;

/// So many live cgroups with object cgroups of others are listed.
const BELOW: usize = 3;

/// So many owners are listed.
const GROUPS: usize = 20;

impl Inventory {
    /// The sums, a line each.
    pub(super) fn totals(&self, counted: Option<u64>, out: &mut dyn Write) -> io::Result<()> {
        let walk = &self.walk;
        let took = Duration::from_nanos(walk.took_ns);
        write!(out, "  named      {}", walk.zombies)?;
        match counted {
            Some(counted) if counted != walk.zombies => {
                write!(out, ", and the kernel counts {counted}")?;
            }
            Some(_) => write!(out, ": all that the kernel counts")?,
            None => {}
        }
        write!(
            out,
            " (a walk of {} memory cgroups in {took:.1?}",
            walk.memcgs
        )?;
        if walk.not_understood > 0 {
            let bad = Count(walk.not_understood, "node");
            write!(out, "; {bad} of the tree could not be understood")?;
        } else if !walk.complete {
            write!(out, ", which did not come to its end")?;
        } else if walk.changed {
            write!(out, ", which changed under it")?;
        }
        writeln!(out, ")")?;
        if let Some(left) = &self.object_cgroups {
            left.text(out)?;
        }
        if walk.zombies == 0 {
            return Ok(());
        }
        let label = |at| if at == 0 { "pinned by" } else { "" };
        if let Some(bytes) = self.zombie_bytes {
            writeln!(out, "  hold       {}", Bytes(bytes))?;
        }
        if let Some(bytes) = self.kernel_bytes {
            writeln!(
                out,
                "  cost       {} of the kernel's own memory, at least",
                Bytes(bytes)
            )?;
        }
        for (at, total) in self.pins.iter().enumerate() {
            let pin = total.pin.map_or("not known", |pin| pin.as_str());
            write!(out, "  {:<9}  {pin}: {}", label(at), total.zombies)?;
            if let Some(bytes) = total.held_bytes.filter(|&bytes| bytes > 0) {
                write!(out, ", {}", Bytes(bytes))?;
            }
            writeln!(out)?;
        }
        if let Some(files) = &self.files {
            files.text(out)?;
        }
        if self.reclaimable_zombies + self.stuck_zombies > 0 {
            writeln!(
                out,
                "  reclaim    would free {}; {} are stuck until what keeps them goes",
                self.reclaimable_zombies, self.stuck_zombies
            )?;
        }
        for missing in &walk.lacks {
            writeln!(out, "  unknown    {missing}")?;
        }
        Ok(())
    }

    /// The zombies, a line each.
    pub(super) fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.groups.is_empty() {
            writeln!(out, "\n  {:>7}  {:>9}  whose", "zombies", "hold")?;
            for group in self.groups.iter().take(GROUPS) {
                let held = group.held_bytes.map(|bytes| Bytes(bytes).to_string());
                let held = held.unwrap_or_default();
                let name = group.name.as_deref().unwrap_or("(none)");
                let name = Name::short(name.as_bytes(), 90);
                write!(out, "  {:>7}  {held:>9}  {name}", group.zombies)?;
                if let Some(pod) = &group.pod {
                    write!(out, "  {}", Name::short(pod.as_bytes(), 90))?;
                }
                writeln!(out)?;
            }
            let more = self.groups.len().saturating_sub(GROUPS);
            if more > 0 {
                writeln!(out, "  and {more} more")?;
            }
        }
        if self.list.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n  {:>9}  {:<13}  {:<8}  {:<7}  {:>6}  whose",
            "holds", "pinned by", "trend", "reclaim", "refs"
        )?;
        for zombie in &self.list {
            row(zombie, out)?;
            if let Some(files) = &zombie.files {
                files.text(out)?;
            }
        }
        if let Some(more) = self.list_more {
            writeln!(
                out,
                "  and {more} more: --top {}",
                more + self.list.len() as u64
            )?;
        }
        Ok(())
    }
}

fn row(zombie: &Zombie, out: &mut dyn Write) -> io::Result<()> {
    let held = zombie.held_bytes.map(|bytes| Bytes(bytes).to_string());
    let held = held.unwrap_or_default();
    let pin = zombie.pin.map_or("", |pin| pin.as_str());
    let refs = zombie.refcount.map(|count| count.to_string());
    let refs = refs.unwrap_or_default();
    let trend = zombie.trend.map_or("", |trend| trend.as_str());
    let reclaim = match zombie.reclaimable {
        Some(true) => "frees",
        Some(false) => "stuck",
        None => "",
    };
    write!(
        out,
        "  {held:>9}  {pin:<13}  {trend:<8}  {reclaim:<7}  {refs:>6}"
    )?;
    if let Some(uid) = &zombie.pod_uid {
        write!(out, "  pod {}", uid.get(..8).unwrap_or(uid))?;
        if let Some(pod) = zombie.pod() {
            write!(out, " {}", Name::short(pod.as_bytes(), 90))?;
        }
    }
    if let Some(id) = &zombie.container_id {
        write!(out, "  container {}", id.get(..12).unwrap_or(id))?;
    }
    if let Some((runtime, name)) = zombie.runtime.zip(zombie.owner_name.as_ref()) {
        write!(out, "  {runtime} {}", Name::short(name.as_bytes(), 90))?;
    }
    if zombie.directory {
        write!(out, "  (by -memory: its directory is there)")?;
    }
    writeln!(out, "  {}", Name::short(zombie.path.as_bytes(), 90))
}

impl ObjectCgroups {
    /// A line among the sums, and one for each of those that have most.
    pub(crate) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let least = if self.complete { "" } else { "at least " };
        writeln!(
            out,
            "  left over  {least}{} slab objects and pages of removed ones, in {} object cgroups",
            self.references, self.count
        )?;
        for below in self.below.iter().take(BELOW) {
            let path = Name::short(below.path.as_bytes(), 90);
            writeln!(
                out,
                "             {} in {} went to {path}",
                below.references, below.count
            )?;
        }
        let more = self.below.len().saturating_sub(BELOW);
        if more > 0 {
            writeln!(out, "             and some to {more} more")?;
        }
        Ok(())
    }
}

impl CrowdedParent {
    /// One line of a scan.
    pub(crate) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = Name::short(self.path.as_bytes(), 90);
        write!(out, "  most in    {path}: {}", self.children)?;
        match self.empty {
            Some(empty) => writeln!(out, ", {empty} of them without tasks and children"),
            None => writeln!(
                out,
                ", {} of them without children (unknown: whether they have tasks)",
                self.without_children
            ),
        }
    }
}

#[cfg(test)]
mod tests;
