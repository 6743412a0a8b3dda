//! What reclaim did, or would do, as people read it.

use std::io::{self, Write};

use super::{Counts, Ended, Kind, Report, Step, Untried, Why};
use crate::{
    catalogue::{Arg, Catalogue, Message},
    cli::output::{Palette, wide},
};

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
        let message = message.arg("before", zombies(before));
        catalogue.text(&message.arg("zombies", before.zombies))
    };
    let headline = match (report.applied, before.zombies, last.zombies) {
        (_, 0, _) if before.none => palette.good(&say("reclaim-none")),
        (false, 0, _) => palette.warn(&say("reclaim-untold")),
        (false, _, _) => {
            let id = if report.steps.is_empty() {
                "reclaim-dry-run-nothing"
            } else {
                "reclaim-dry-run"
            };
            let message = Message::new(id).arg("zombies", zombies(before));
            palette.warn(&catalogue.text(&message))
        }
        (true, _, 0) if last.none => palette.good(&say("reclaim-all-gone")),
        (true, _, 0) => palette.warn(&say("reclaim-untold")),
        (true, _, _) if gone > 0 => palette.warn(&say("reclaim-some-gone")),
        (true, was, is) if is > was => palette.bad(&say("reclaim-more")),
        (true, _, _) => palette.bad(&say("reclaim-none-gone")),
    };
    writeln!(out, "{headline}")?;
    let label = |id| wide(&catalogue.word(id), LABEL);
    let counted = counted(before, catalogue);
    writeln!(out, "  {}  {counted}", label("reclaim-before"))?;
    for step in &report.steps {
        write_step(out, step, catalogue)?;
    }
    write_left(out, report, catalogue)?;
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
    let id = if counts.at_least && !counts.none {
        "zombies-at-least"
    } else {
        "zombies"
    };
    Message::new(id).arg("number", counts.zombies)
}

/// What is left, what did not free it, and what was not tried.
fn write_left(out: &mut dyn Write, report: &Report, catalogue: &Catalogue) -> io::Result<()> {
    let last = report.last();
    if last.none {
        return Ok(());
    }
    let joined = |parts: Vec<String>| parts.join(&catalogue.word("comma"));
    let tried: Vec<_> = report
        .tried()
        .into_iter()
        .map(|kind| name(kind).to_owned())
        .collect();
    let not_tried: Vec<_> = report
        .not_tried
        .iter()
        .map(|one| untried(one, catalogue))
        .collect();
    if !report.applied {
        if !not_tried.is_empty() {
            let label = wide(&catalogue.word("reclaim-not-planned"), LABEL);
            writeln!(out, "  {label}  {}", joined(not_tried))?;
        }
        return Ok(());
    }
    let mut parts = Vec::new();
    for (id, steps) in [
        ("reclaim-not-freed", tried),
        ("reclaim-not-tried", not_tried),
    ] {
        if !steps.is_empty() {
            let message = Message::new(id).arg("steps", joined(steps));
            parts.push(catalogue.text(&message));
        }
    }
    if !parts.is_empty() {
        let left = wide(&catalogue.word("reclaim-left"), LABEL);
        let number = if last.zombies > 0 {
            catalogue.text(&zombies(last)) + &catalogue.word("colon")
        } else {
            String::new()
        };
        let parts = parts.join(&catalogue.word("semicolon"));
        writeln!(out, "  {left}  {number}{parts}")?;
    }
    Ok(())
}

/// `shrink (no slab cache of a removed memory cgroup is visible)`.
fn untried(one: &Untried, catalogue: &Catalogue) -> String {
    let why = Message::new(match one.why {
        Why::NoCaches => "reclaim-why-no-caches",
        Why::PagesDoNotPin => "reclaim-why-no-pages",
        Why::Unread => "reclaim-why-unread",
        Why::NothingHeld => "reclaim-why-nothing-held",
        Why::Tasks => "reclaim-why-tasks",
        Why::NoFile => "reclaim-why-no-file",
        Why::NotAsked => "reclaim-why-not-asked",
        Why::Refused => "reclaim-why-refused",
        Why::Interrupted => "reclaim-why-interrupted",
        Why::TimeIsUp => "reclaim-why-time",
    });
    let why = why.arg("reason", Arg::Reason(one.error.clone().unwrap_or_default()));
    let message = Message::new("reclaim-untried").arg("step", name(one.kind));
    catalogue.text(&message.arg("why", why))
}

/// As the files are called, by which it goes.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Shrink => "shrink",
        Kind::Reclaim => "reclaim",
        Kind::ForceEmpty => "force_empty",
        Kind::DropCaches => "drop_caches",
    }
}

/// `at least 95 zombies; charged beyond live children: 3.6 MiB kernel memory`: what zombies hold, and what they left to live
/// cgroups.
fn counted(counts: Counts, catalogue: &Catalogue) -> String {
    let number = catalogue.text(&zombies(counts));
    let held = [
        ("held-kernel", counts.kernel_memory),
        ("held-other", counts.memory),
    ];
    let held = held.into_iter().filter_map(|(id, bytes)| {
        let bytes = bytes.filter(|&bytes| bytes > 0)?;
        Some(catalogue.text(&Message::new(id).arg("bytes", Arg::Bytes(bytes))))
    });
    let held = held.collect::<Vec<_>>().join(&catalogue.word("comma"));
    if held.is_empty() || counts.zombies == 0 {
        return number;
    }
    let message = Message::new("reclaim-counted").arg("zombies", zombies(counts));
    catalogue.text(&message.arg("held", held))
}

fn write_step(out: &mut dyn Write, step: &Step, catalogue: &Catalogue) -> io::Result<()> {
    let what = match step.kind {
        Kind::Shrink => "reclaim-shrink",
        Kind::Reclaim | Kind::ForceEmpty => "reclaim-reclaim",
        Kind::DropCaches => "reclaim-drop-caches",
    };
    let what = Message::new(what)
        .arg("writes", step.writes)
        .arg("targets", step.targets);
    let again = if step.again {
        catalogue.word("reclaim-again")
    } else {
        String::new()
    };
    let name = name(step.kind);
    write!(out, "  {name:LABEL$}  {again}{}", catalogue.text(&what))?;
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
