//! What reclaim did, or would do, as people read it.

use std::io::{self, Write};

use super::{
    super::{
        catalogue::Catalogue,
        report::{Palette, wide},
    },
    Counts, Ended, Kind, Report, Step,
};
use crate::diagnose::{Arg, Message};

/// Columns of labels.
const LABEL: usize = 11;

pub(super) fn write(
    out: &mut dyn Write,
    report: &Report,
    palette: Palette,
    catalogue: &Catalogue,
) -> io::Result<()> {
    let (before, last) = (report.before, report.last());
    let gone = before.zombies.saturating_sub(last.zombies);
    let say = |id| {
        let left = zombies(last);
        let message = Message::new(id).arg("gone", gone).arg("left", left);
        catalogue.text(&message.arg("zombies", before.zombies))
    };
    let headline = match (report.applied, before.zombies, last.zombies) {
        (_, 0, _) if before.none => palette.good(&say("reclaim-none")),
        (_, 0, _) => palette.warn(&say("reclaim-untold")),
        (false, _, _) => {
            let message = Message::new("reclaim-dry-run").arg("zombies", zombies(before));
            palette.warn(&catalogue.text(&message))
        }
        (true, _, 0) => palette.good(&say("reclaim-all-gone")),
        (true, _, _) if gone > 0 => palette.warn(&say("reclaim-some-gone")),
        (true, _, _) => palette.bad(&say("reclaim-none-gone")),
    };
    writeln!(out, "{headline}")?;
    let label = |id| wide(&catalogue.word(id), LABEL);
    let counted = counted(before, catalogue);
    writeln!(out, "  {}  {counted}", label("reclaim-before"))?;
    for step in &report.steps {
        write_step(out, step, catalogue)?;
    }
    if before.zombies > 0 && report.steps.is_empty() {
        let why = catalogue.word("reclaim-nothing-why");
        writeln!(out, "  {}  {why}", label("reclaim-nothing"))?;
    }
    if let Some(ended) = report.ended {
        let ended = catalogue.word(match ended {
            Ended::Interrupted => "reclaim-ended-interrupted",
            Ended::TimeIsUp => "reclaim-ended-time",
        });
        writeln!(out, "  {}  {ended}", label("note"))?;
    }
    Ok(())
}

fn zombies(counts: Counts) -> Message {
    let id = if counts.at_least {
        "zombies-at-least"
    } else {
        "zombies"
    };
    Message::new(id).arg("number", counts.zombies)
}

/// `at least 95 zombies, 3.6 MiB kernel memory`.
fn counted(counts: Counts, catalogue: &Catalogue) -> String {
    let held = [
        ("held-kernel", counts.kernel_memory),
        ("held-other", counts.memory),
    ];
    let held = held
        .into_iter()
        .filter_map(|(id, bytes)| Some(Message::new(id).arg("bytes", Arg::Bytes(bytes?))));
    let parts: Vec<_> = std::iter::once(zombies(counts))
        .chain(held)
        .map(|message| catalogue.text(&message))
        .collect();
    parts.join(&catalogue.word("comma"))
}

fn write_step(out: &mut dyn Write, step: &Step, catalogue: &Catalogue) -> io::Result<()> {
    // The names of the steps are what JSON has, too.
    let (name, what) = match step.kind {
        Kind::Shrink => ("shrink", "reclaim-shrink"),
        Kind::Reclaim => ("reclaim", "reclaim-reclaim"),
        Kind::DropCaches => ("drop-caches", "reclaim-drop-caches"),
    };
    let what = Message::new(what)
        .arg("writes", step.writes)
        .arg("targets", step.targets);
    write!(out, "  {name:LABEL$}  {}", catalogue.text(&what))?;
    if let Some(bytes) = step.bytes {
        let most = Message::new("reclaim-most").arg("bytes", Arg::Bytes(bytes));
        write!(out, "{}{}", catalogue.word("comma"), catalogue.text(&most))?;
    }
    if let Some(left_out) = step.left_out {
        let left_out = Message::new("reclaim-left-out").arg("number", left_out);
        write!(
            out,
            "{}{}",
            catalogue.word("comma"),
            catalogue.text(&left_out)
        )?;
    }
    if let Some(after) = step.after {
        let then = Message::new("reclaim-then").arg("counts", counted(after, catalogue));
        write!(out, "{}", catalogue.text(&then))?;
    }
    writeln!(out)?;
    if let (Some(failed), Some(reason)) = (step.failed, &step.reason) {
        let message = Message::new("reclaim-failed").arg("failed", failed);
        let told = catalogue.text(&message.arg("reason", reason.clone()));
        writeln!(out, "  {}  {told}", wide("", LABEL))?;
    }
    Ok(())
}
