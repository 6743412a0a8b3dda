//! `kmemtrace scan`: how many memory cgroups are live, how many are zombies, how many ids are left, at this moment.

use std::{
    collections::HashSet,
    io::{self, Write},
    thread,
    time::Duration,
};

use serde::Serialize;

use super::{
    Color, Format, Outcome, Verdict, duration,
    report::{self, Palette},
    root::RootArg,
};
use crate::{
    error::Error,
    event::Counts,
    host::{self, Hierarchy, MEMCG_IDS, Root, SlabMemcgs},
    sink::escape::Name,
};

/// Arguments of `kmemtrace scan`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 no zombies, or none that stayed; 1 zombies that were there in both looks; 2 could not tell or an error.

A scan sees numbers, not ages: where cgroups are removed all the time, there are always some that are just being freed. \
`kmemtrace watch` follows each of them.")]
pub(super) struct Args {
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// If there are zombies, look again after this time: those that are just being freed do not count
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    settle: Duration,
    #[command(flatten)]
    root: RootArg,
}

/// Looks, and once more if there are zombies: 0 if none stay, 1 if some do, 2 if that cannot be told.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let machine = args.root.open()?;
    let root = &machine.root;
    let facts = host::facts(root);
    let hierarchy = facts.memory.map_err(|none| {
        Error::new(format!("cannot count memory cgroups: {none}")).help(none.help())
    })?;
    let first = look(root, &hierarchy)?;
    let zombies = first.zombies();
    let any = zombies.min > 0 || zombies.max.is_some_and(|max| max > 0);
    let again = any && machine.live;
    let second = if again {
        thread::sleep(args.settle);
        Some(look(root, &hierarchy)?)
    } else {
        None
    };
    let scan = judge(&hierarchy, facts.kernel, first, second);
    report::print(&scan, args.format, color)?;
    Ok(scan.verdict)
}

/// What one look saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// Directories with a memcg, the root included.
    live: u64,
    /// The kernel's counts before and after the directories were walked.
    before: Counts,
    after: Counts,
    /// Where memcgs have slab caches of their own: what these tell.
    slab: Option<Slab>,
}

/// What slab caches of memcgs tell about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slab {
    /// Memcgs whose caches are there and whose directory is not.
    orphans: u64,
    /// So many had kernel memory at one time.
    peak: u64,
}

/// How many there are; without `max`, that many at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    min: u64,
    max: Option<u64>,
}

impl Look {
    fn zombies(&self) -> Range {
        let count = |counts: &Counts| {
            let counted = counts.num_cgroups.map(|all| all.saturating_sub(self.live));
            counts.dying_memory.or(counts.dying).or(counted)
        };
        let (before, after) = (count(&self.before), count(&self.after));
        let counted = before
            .zip(after)
            .map(|(before, after)| (before.min(after), before.max(after)));
        match (counted, self.slab) {
            (Some((min, max)), None) => Range {
                min,
                max: Some(max),
            },
            // num_cgroups may leave out what these show, and more.
            (counted, slab) => {
                let min = counted
                    .map_or(0, |(min, _)| min)
                    .max(slab.map_or(0, |slab| slab.orphans));
                Range { min, max: None }
            }
        }
    }
}

/// How often to look for a moment at which nothing changes.
const TRIES: usize = 3;

fn look(root: &Root, hierarchy: &Hierarchy) -> Result<Look, Error> {
    let counts = || {
        host::counts(root, hierarchy)
            .map_err(|error| Error::caused("cannot count memory cgroups", &error))
    };
    let mut tries = TRIES;
    loop {
        let slab = host::slab_memcgs(root);
        let before = counts()?;
        let mut live = 0;
        let mut names = HashSet::new();
        host::walk(root, hierarchy, &mut |directory| {
            live += u64::from(directory.memory);
            if slab.layout.is_some() {
                names.extend(
                    directory
                        .path
                        .rsplit(|&byte| byte == b'/')
                        .next()
                        .map(Vec::from),
                );
            }
        })
        .map_err(|error| {
            Error::caused(format!("cannot walk {}", hierarchy.mount.display()), &error)
        })?;
        let after = counts()?;
        tries -= 1;
        if before == after || tries == 0 {
            return Ok(Look {
                live,
                before,
                after,
                slab: slab_tells(&slab, &names),
            });
        }
    }
}

/// Orphans are fewer than there are where a name is used again.
fn slab_tells(slab: &SlabMemcgs, names: &HashSet<Vec<u8>>) -> Option<Slab> {
    // num_cgroups leaves these out only where they stand at the top level.
    let peak = slab.peak?;
    let removed = slab.with_cache().filter(|(_, memcg)| {
        let mut leaves = std::iter::once(&memcg.leaf).chain(&memcg.or);
        !leaves.any(|leaf| names.contains(leaf))
    });
    Some(Slab {
        orphans: removed.count() as u64,
        peak,
    })
}

/// What a scan found; as JSON, one object with these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Scan {
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    /// `v1` or `v2`.
    hierarchy: &'static str,
    /// Where it is mounted.
    mount: String,
    /// Memory cgroups whose directory exists, the root included.
    live: u64,
    /// Removed and not freed, in the last look; absent if the number is not known exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    zombies: Option<u64>,
    /// So many zombies at least.
    zombies_min: u64,
    /// So many zombies at most; absent if the kernel does not count them, or not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    zombies_max: Option<u64>,
    /// Zombies in both looks: so many at least are not just being freed.
    staying: u64,
    /// memcg ids in use, at least: the live ones', the root's included, and those of zombies that are known to keep theirs.
    ids_min: u64,
    /// memcg ids in use, at most: zombies keep theirs before 4.8 and on all of RHEL 7; absent if zombies are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    ids_max: Option<u64>,
    /// All memcg ids that there are.
    ids_capacity: u64,
    /// Cgroups were made or removed during every look: the numbers are off by that many.
    moving: bool,
    /// Two looks were taken.
    #[serde(skip)]
    settled: bool,
    /// So many memcgs had kernel memory at one time, as the names of their slab caches tell; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    kmem_peak: Option<u64>,
    #[serde(skip)]
    verdict: Verdict,
}

/// One look or two made into a verdict: pure.
fn judge(hierarchy: &Hierarchy, kernel: Option<String>, first: Look, second: Option<Look>) -> Scan {
    let last = second.unwrap_or(first);
    let (earlier, zombies) = (first.zombies(), last.zombies());
    let staying = earlier.min.min(zombies.min);
    let verdict = if staying > 0 {
        Verdict::Leak
    } else if earlier.max == Some(0) || zombies.max == Some(0) {
        Verdict::Clean
    } else {
        Verdict::Unknown
    };
    Scan {
        kernel,
        hierarchy: hierarchy.version.as_str(),
        mount: hierarchy.mount.display().to_string(),
        live: last.live,
        zombies: zombies.max.filter(|&max| max == zombies.min),
        zombies_min: zombies.min,
        zombies_max: zombies.max,
        staying,
        // Only kernels long before 4.8 have such caches.
        ids_min: last.live + last.slab.map_or(0, |slab| slab.orphans),
        ids_max: zombies
            .max
            .map(|zombies| (last.live + zombies).min(MEMCG_IDS)),
        ids_capacity: MEMCG_IDS,
        moving: last.before != last.after,
        settled: second.is_some(),
        kmem_peak: last.slab.map(|slab| slab.peak),
        verdict,
    }
}

impl report::Report for Scan {
    fn text(&self, out: &mut dyn Write, palette: Palette) -> io::Result<()> {
        writeln!(out, "{}", self.headline(palette))?;
        writeln!(
            out,
            "  hierarchy  {} at {}",
            self.hierarchy,
            Name::whole(self.mount.as_bytes())
        )?;
        writeln!(out, "  live       {}", self.live)?;
        let range = |min: u64, max: Option<u64>| match max {
            Some(max) if max == min => min.to_string(),
            Some(max) => format!("{min} to {max}"),
            None => format!("at least {min}"),
        };
        let zombies = match self.zombies_max {
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
        if self.kmem_peak.is_some() && self.zombies_min > 0 {
            write!(
                out,
                ": those that still have slab caches, as this kernel's count leaves them out"
            )?;
        }
        writeln!(out)?;
        let capacity = self.ids_capacity;
        write!(
            out,
            "  ids        {} of {capacity} in use",
            range(self.ids_min, self.ids_max)
        )?;
        if let Some(max) = self.ids_max {
            write!(
                out,
                ", {} left",
                range(
                    capacity.saturating_sub(max),
                    capacity.checked_sub(self.ids_min)
                )
            )?;
        }
        if self.ids_max != Some(self.ids_min) {
            write!(out, ": zombies keep theirs before Linux 4.8 and on RHEL 7")?;
            if let Some(kernel) = &self.kernel {
                write!(out, " (this is {})", Name::whole(kernel.as_bytes()))?;
            }
        }
        writeln!(out)?;
        if let Some(peak) = self.kmem_peak {
            writeln!(
                out,
                "  peak       {peak} with kernel memory at one time, at least"
            )?;
        }
        if self.moving {
            writeln!(
                out,
                "  note       cgroups were made or removed during every look: the numbers may be off by a few"
            )?;
        }
        Ok(())
    }
}

impl Scan {
    /// The verdict in one line.
    fn headline(&self, palette: Palette) -> String {
        match self.verdict {
            Verdict::Clean if self.settled => {
                palette.good("ok: no zombies that stay: removed memory cgroups are freed")
            }
            Verdict::Clean => palette.good("ok: no zombies: every removed memory cgroup is freed"),
            Verdict::Leak => {
                let some = if self.zombies_max.is_none() { "at least " } else { "" };
                let (zombies, were) = match self.staying {
                    1 => ("zombie", "memory cgroup that was"),
                    _ => ("zombies", "memory cgroups that were"),
                };
                let staying = self.staying;
                palette.bad(&format!("LEAK: {some}{staying} {zombies}: {were} removed and not freed"))
            }
            Verdict::Unknown if self.kmem_peak.is_some() => palette.warn(
                "unknown: this kernel gives memory cgroups slab caches of their own, and its count in /proc/cgroups may leave their zombies out",
            ),
            Verdict::Unknown if self.zombies_max.is_none() => {
                palette.warn("unknown: this kernel does not count zombies")
            }
            Verdict::Unknown => palette.warn(
                "unknown: cgroups are made and removed faster than they can be counted; `kmemtrace watch` follows each of them",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
