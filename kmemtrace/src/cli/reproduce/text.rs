//! A reproduction as people read it.

use std::io::{self, Write};

use super::{
    super::{
        Verdict,
        report::{Palette, Report as Shown},
    },
    course::{Accounting, Done, Report, Step},
};
use crate::sink::{escape::Name, tail::units::Bytes};

impl Shown for Report {
    fn text(&self, out: &mut dyn Write, palette: Palette) -> io::Result<()> {
        let (made, stayed, left) = (self.made, self.stayed(), self.left());
        let kind = self.workload.as_str();
        let headline = match self.verdict() {
            Verdict::Unknown => palette.warn("unknown: no memory cgroup was made"),
            Verdict::Clean => palette.good(&format!(
                "ok: all of {made} memory cgroups were freed after their removal, with {kind} charged to them"
            )),
            Verdict::Leak if left == 0 => palette.warn(&format!(
                "ZOMBIES: {stayed} of {made} memory cgroups stayed with {kind} charged to them, and were freed once that was gone"
            )),
            Verdict::Leak => palette.bad(&format!(
                "LEAK: {left} of {made} memory cgroups are not freed, with {kind} charged to them, whatever was done"
            )),
        };
        writeln!(out, "{headline}")?;
        if let Some(kernel) = &self.kernel {
            writeln!(out, "  kernel      {}", Name::whole(kernel.as_bytes()))?;
        }
        writeln!(out, "  hierarchy   {}", self.hierarchy)?;
        let accounting = match self.accounting {
            Accounting::SwitchedOn => "memory.kmem.limit_in_bytes written to, as runc does",
            Accounting::Default => "as the kernel does it by itself",
        };
        writeln!(out, "  accounting  {accounting}")?;
        for step in &self.steps {
            write_step(out, step)?;
        }
        if self.whole_machine {
            writeln!(
                out,
                "  note        this kernel counts zombies of the whole machine: others' may have come or gone meanwhile"
            )?;
        }
        if self.interrupted {
            writeln!(out, "  note        it was interrupted: not all was made")?;
        }
        Ok(())
    }
}

fn write_step(out: &mut dyn Write, step: &Step) -> io::Result<()> {
    let done = match step.done {
        Done::Removed => "cgroups removed",
        Done::DropCaches => "caches dropped",
        Done::Closed => "sockets closed",
        Done::FilesRemoved => "files removed",
        Done::Shrink => "slab caches shrunk",
    };
    let least = if step.at_least && step.zombies > 0 {
        "at least "
    } else {
        ""
    };
    let (seconds, tenths) = (step.after_ms / 1000, step.after_ms % 1000 / 100);
    write!(
        out,
        "  {done:<18}  {least}{} zombies after {seconds}.{tenths} s",
        step.zombies
    )?;
    let held = [
        ("page cache", step.file),
        ("tmpfs", step.shmem),
        ("anonymous", step.anon),
        ("slab", step.slab),
        ("sockets", step.sock),
        ("kernel memory", step.kernel_memory),
    ];
    let held: Vec<_> = held
        .into_iter()
        .filter_map(|(kind, bytes)| {
            Some(format!(
                "{} {kind}",
                Bytes(bytes.filter(|&bytes| bytes > 0)?)
            ))
        })
        .collect();
    if step.zombies > 0 && !held.is_empty() {
        write!(out, ", which hold {}", held.join(", "))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reproduce::Workload;

    fn step(done: Done, zombies: u64, at_least: bool) -> Step {
        Step {
            done,
            zombies,
            at_least,
            after_ms: 1250,
            file: Some(4096),
            shmem: Some(0),
            anon: None,
            slab: None,
            sock: None,
            kernel_memory: Some(3_842_048),
        }
    }

    fn text(workload: Workload, made: u64, steps: &[Step]) -> String {
        let report = Report {
            kernel: Some("3.10.0\x1b".to_owned()),
            hierarchy: "v1",
            workload,
            made,
            accounting: Accounting::SwitchedOn,
            accounted: None,
            whole_machine: steps.iter().all(|step| !step.at_least),
            steps: steps.to_vec(),
            interrupted: made < 100,
        };
        let mut out = Vec::new();
        report.text(&mut out, Palette::new(false)).unwrap();
        format!(
            "{}{:?}\n",
            String::from_utf8(out).unwrap(),
            report.verdict()
        )
    }

    #[test]
    fn what_came_of_it_is_told() {
        let told = [
            text(Workload::Dentries, 100, &[step(Done::Removed, 0, false)]),
            text(
                Workload::Tmpfs,
                100,
                &[
                    step(Done::Removed, 100, false),
                    step(Done::FilesRemoved, 0, false),
                ],
            ),
            text(
                Workload::Inodes,
                100,
                &[
                    step(Done::Removed, 95, true),
                    step(Done::DropCaches, 95, true),
                    step(Done::FilesRemoved, 94, true),
                    step(Done::Shrink, 2, true),
                ],
            ),
            text(
                Workload::Sockets,
                7,
                &[step(Done::Removed, 7, false), step(Done::Closed, 0, false)],
            ),
            text(Workload::PageCache, 0, &[]),
        ];
        insta::assert_snapshot!(told.join("\n"));
    }
}
