//! A scan as people read it.

use std::io::{self, Write};

use crate::{
    census::Census,
    cli::output::{Palette, Printed},
    host::{NOISE, PageSize},
    judge::{Kept, State},
    sink::tail::forecast::ForecastLine,
    text::{escape::Name, units::Bytes},
};

/// So many zombies are listed by name.
const LISTED: usize = 10;

/// So many directories are listed by path.
const HOLDERS: usize = 3;

impl Printed for Census {
    fn text(&self, out: &mut dyn Write, palette: Palette) -> io::Result<()> {
        writeln!(out, "{}", self.headline(palette))?;
        writeln!(
            out,
            "  hierarchy  {} at {}",
            self.hierarchy,
            Name::whole(self.mount.as_bytes())
        )?;
        self.pages(out)?;
        writeln!(out, "  live       {}", self.live)?;
        if let Some(crowd) = &self.crowd {
            crowd.text(out)?;
        }
        let zombies = match self.zombies_max {
            None if self.zombies_min == 0 && self.none => "none seen".to_owned(),
            None if self.zombies_min == 0 => "not known".to_owned(),
            max => range(self.zombies_min, max),
        };
        let looks = match (self.zombies_max, self.settled) {
            (Some(0), false) => String::new(),
            (None, _) if self.zombies_min == 0 => String::new(),
            (_, true) => format!(" ({} in both looks)", self.staying),
            (_, false) => " (in one look: some may have been on their way to be freed)".to_owned(),
        };
        write!(out, "  zombies    {zombies}{looks}")?;
        if self.leaves_out && self.zombies_min > 0 {
            write!(
                out,
                ": those that slab caches or kernel memory show; this kernel's count leaves them out"
            )?;
        }
        writeln!(out)?;
        self.by_name(out)?;
        self.ids(out)?;
        if let Some(forecast) = &self.forecast {
            let since_boot = forecast.per_day.map_or("", |_| ", as since boot");
            writeln!(out, "  ahead      {}{since_boot}", ForecastLine(forecast))?;
        }
        if let Some(peak) = self.kmem_peak {
            write!(
                out,
                "  peak       {peak} with kernel memory at one time, at least"
            )?;
            if self.ids_peak.is_some_and(|peak| peak >= self.ids_capacity) {
                write!(out, ": all ids were taken, live ones without included")?;
            }
            writeln!(out)?;
        }
        self.held(out)?;
        self.unseen(out)?;
        self.named(out)?;
        if self.moving {
            writeln!(
                out,
                "  note       cgroups were made or removed during every look: the numbers may be off by a few"
            )?;
        }
        match &self.inventory {
            Some(inventory) => inventory.table(out),
            None => Ok(()),
        }
    }
}

/// Between two numbers.
fn range(min: u64, max: Option<u64>) -> String {
    match max {
        Some(max) if max == min => min.to_string(),
        Some(max) => format!("{min} to {max}"),
        None => format!("at least {min}"),
    }
}

impl Census {
    /// The page size, if it is not what most have, or if bytes are missing since it is unknown.
    fn pages(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.page {
            Some(Ok(page)) if page.size != PageSize::LEAST => writeln!(out, "  page size  {page}"),
            Some(Err(why)) if !self.named.is_empty() => {
                writeln!(out, "  page size  unknown: {why}")
            }
            _ => Ok(()),
        }
    }

    /// memcg ids in use, and whether zombies keep theirs.
    fn ids(&self, out: &mut dyn Write) -> io::Result<()> {
        let capacity = self.ids_capacity;
        let (ids_min, ids_max) = (self.ids_min, self.ids_max);
        if self.state == State::Exhausted && ids_min < capacity {
            // What is seen now is a lower bound, and the peak tells more.
            write!(
                out,
                "  ids        all {capacity} in use, or were; {} seen now",
                range(ids_min, ids_max)
            )?;
        } else {
            write!(
                out,
                "  ids        {} of {capacity} in use",
                range(ids_min, ids_max)
            )?;
        }
        if let Some(max) = ids_max {
            write!(
                out,
                ", {} left",
                range(capacity.saturating_sub(max), capacity.checked_sub(ids_min))
            )?;
        }
        if let Some(kept) = self.inventory.as_ref().and_then(|all| all.ids_kept) {
            match kept {
                0 => write!(out, ": zombies keep none")?,
                kept => write!(out, ": {kept} of them by zombies")?,
            }
        }
        let walked = self
            .inventory
            .as_ref()
            .is_some_and(|all| all.ids_kept.is_some());
        match self.kept {
            _ if walked || self.zombies_max == Some(0) => {}
            Kept::Yes => write!(out, ": zombies keep theirs on this kernel")?,
            Kept::No => write!(out, ": this kernel takes a zombie's id back")?,
            Kept::Unknown => {
                write!(out, ": unknown whether zombies keep theirs")?;
                if let Some(kernel) = &self.kernel {
                    write!(
                        out,
                        ", as the release {} does not tell",
                        Name::whole(kernel.as_bytes())
                    )?;
                }
            }
        }
        writeln!(out)
    }

    /// What the zombies that have names come to, or why none has.
    fn by_name(&self, out: &mut dyn Write) -> io::Result<()> {
        match (&self.inventory, &self.walk_refused) {
            (Some(inventory), _) => inventory.totals(self.zombies, out),
            (None, Some(reason)) if self.zombies_min > 0 => {
                writeln!(
                    out,
                    "  names      none: cannot walk the kernel's memory cgroups: {reason}"
                )
            }
            _ => Ok(()),
        }
    }

    /// Kernel memory that removed ones hold.
    fn held(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(bytes) = self.held_bytes.filter(|&bytes| bytes > 0) else {
            return Ok(());
        };
        write!(
            out,
            "  held       {} of kernel memory, at least",
            Bytes(bytes)
        )?;
        match self.named_bytes {
            Some(named) => write!(
                out,
                ", {} in the slab caches of those named below",
                Bytes(named)
            )?,
            None if self.named.is_empty() => {
                write!(out, ", by ones without slab caches, and so without names")?;
            }
            None => {}
        }
        writeln!(out)?;
        for holder in self.held.iter().take(HOLDERS) {
            let path = Name::short(holder.path.as_bytes(), 90);
            writeln!(out, "             {} below {path}", Bytes(holder.bytes))?;
        }
        let more = self.held.len().saturating_sub(HOLDERS);
        if more > 0 {
            writeln!(out, "             and below {more} more directories")?;
        }
        Ok(())
    }

    /// Zombies that have no slab caches any more have no names, and may be any number.
    fn unseen(&self, out: &mut dyn Write) -> io::Result<()> {
        let gone = self.kmem_without_caches.unwrap_or(0);
        if !self.leaves_out || gone == 0 {
            return Ok(());
        }
        write!(
            out,
            "  unseen     {gone} ids with only names of slab caches that are gone: "
        )?;
        let held = self.held_bytes.unwrap_or(0);
        let page = self.page_bytes.and_then(PageSize::of);
        let noise = page.unwrap_or(PageSize::LEAST).times(NOISE);
        match self.named_bytes {
            _ if self.held_bytes == Some(0) && self.none => {
                writeln!(out, "freed, as no kernel memory is held")
            }
            None if self.named.is_empty() && held > 0 => {
                writeln!(out, "zombies among them hold that kernel memory, in pages")
            }
            // A cache's slabs are counted at another moment, and are not all that it is charged for.
            Some(named) if held.saturating_sub(named) > noise.max(named / 4) => {
                let rest = Bytes(held.saturating_sub(named));
                writeln!(
                    out,
                    "likely zombies, as {rest} of that kernel memory are pages and not in these slab caches"
                )
            }
            _ => writeln!(out, "freed, or zombies that hold pages"),
        }
    }

    /// Zombies by name.
    fn named(&self, out: &mut dyn Write) -> io::Result<()> {
        for (at, zombie) in self.named.iter().take(LISTED).enumerate() {
            let label = if at == 0 { "named" } else { "" };
            let name = Name::short(zombie.name.as_bytes(), 64);
            write!(out, "  {label:<9}  {name}")?;
            for (at, other) in zombie.or.iter().take(3).enumerate() {
                let more = zombie.or.len() > 3 && at == 2;
                let other = Name::short(other.as_bytes(), 64);
                write!(out, " or {other}{}", if more { " or others" } else { "" })?;
            }
            let caches = match zombie.caches {
                1 => "1 slab cache".to_owned(),
                caches => format!("{caches} slab caches"),
            };
            write!(out, ": {caches}")?;
            if let Some(bytes) = zombie.bytes {
                write!(out, " of {}", Bytes(bytes))?;
            }
            if let Some(objects) = zombie.objects {
                write!(out, ", {objects} objects")?;
            }
            if let Some((cache, objects)) = zombie.largest.as_ref().zip(zombie.largest_objects)
                && objects > 0
            {
                let cache = Name::short(cache.as_bytes(), 40);
                write!(out, ", the largest {cache} with {objects} objects")?;
            }
            writeln!(out)?;
        }
        let listed = self.named.len().min(LISTED) as u64;
        let more = self.named.len() as u64 + self.named_more.unwrap_or(0) - listed;
        if more > 0 {
            writeln!(out, "             and {more} more")?;
        }
        Ok(())
    }

    /// The verdict in one line.
    fn headline(&self, palette: Palette) -> String {
        let staying = self.staying;
        let some = if self.zombies_max.is_none() {
            "at least "
        } else {
            ""
        };
        let zombies = match staying {
            1 => "zombie",
            _ => "zombies",
        };
        match self.state {
            State::Exhausted => palette.bad(
                "EXHAUSTED: the memory cgroup ids are used up, or were: then no container starts until zombies are freed or the node reboots",
            ),
            State::Crowded => palette.bad(&format!(
                "CROWDED: {} live memory cgroups use up the ids: something makes cgroups and does not remove them",
                self.live
            )),
            State::Leaking => {
                let (keep, were) = match staying {
                    1 => ("keeps its id", "memory cgroup that was"),
                    _ => ("keep their ids", "memory cgroups that were"),
                };
                palette.bad(&format!(
                    "LEAK: {some}{staying} {zombies} {keep}: {were} removed and not freed"
                ))
            }
            State::PilingUp => {
                let ids = match self.kept {
                    Kept::Unknown => "unknown whether they keep their ids",
                    Kept::Yes | Kept::No => "ids are safe",
                };
                palette.bad(&format!(
                    "ZOMBIES: {some}{staying} {zombies}: memory cgroups that were removed and not freed; {ids}"
                ))
            }
            State::Healthy | State::AtRisk if staying > 0 => palette.good(&format!(
                "ok: {some}{staying} {zombies}, too few to matter; ids are safe"
            )),
            State::Healthy | State::AtRisk if self.leaves_out => palette.good(
                "ok: no sign of zombies: no slab caches of removed memory cgroups, and no kernel memory held by any",
            ),
            State::Healthy | State::AtRisk if self.settled => {
                palette.good("ok: no zombies that stay: removed memory cgroups are freed")
            }
            State::Healthy | State::AtRisk => {
                palette.good("ok: no zombies: every removed memory cgroup is freed")
            }
            State::Unknown | State::Failing if self.leaves_out => palette.warn(
                "unknown: this kernel gives memory cgroups slab caches of their own, and its count in /proc/cgroups may leave their zombies out",
            ),
            State::Unknown | State::Failing if staying > 0 => palette.warn(&format!(
                "unknown: {some}{staying} {zombies}, and the kernel's release does not tell whether they keep their ids"
            )),
            State::Unknown | State::Failing if self.zombies_max.is_none() => {
                palette.warn("unknown: this kernel does not count zombies")
            }
            State::Unknown | State::Failing => palette.warn(
                "unknown: cgroups are made and removed faster than they can be counted; `kmemtrace watch` follows each of them",
            ),
        }
    }
}
