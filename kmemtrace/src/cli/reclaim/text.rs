//! What reclaim did, or would do, as people read it.

use std::io::{self, Write};

use crate::{
    catalogue::{Arg, Catalogue, Message, say},
    cli::output::Palette,
    reclaim::{Ended, ReclaimCounts, ReclaimStep, Reclamation, StepKind, Untried, Why},
    text::columns::wide,
};

/// Columns of labels.
const LABEL: usize = 11;

pub(super) fn write(
    out: &mut dyn Write,
    report: &Reclamation,
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
        (_, 0, _) if before.none => palette.good(&say(say::RECLAIM_NONE)),
        (false, 0, _) => palette.warn(&say(say::RECLAIM_UNTOLD)),
        (false, _, _) => {
            let id = if report.steps.is_empty() {
                say::RECLAIM_DRY_RUN_NOTHING
            } else {
                say::RECLAIM_DRY_RUN
            };
            let message = Message::new(id).arg("zombies", zombies(before));
            palette.warn(&catalogue.text(&message))
        }
        (true, _, 0) if last.none => palette.good(&say(say::RECLAIM_ALL_GONE)),
        (true, _, 0) => palette.warn(&say(say::RECLAIM_UNTOLD)),
        (true, _, _) if gone > 0 => palette.warn(&say(say::RECLAIM_SOME_GONE)),
        (true, was, is) if is > was => palette.bad(&say(say::RECLAIM_MORE)),
        (true, _, _) => palette.bad(&say(say::RECLAIM_NONE_GONE)),
    };
    writeln!(out, "{headline}")?;
    let label = |id| wide(&catalogue.word(id), LABEL);
    let counted = counted(before, catalogue);
    writeln!(out, "  {}  {counted}", label(say::RECLAIM_BEFORE))?;
    for step in &report.steps {
        write_step(out, step, catalogue)?;
    }
    write_left(out, report, catalogue)?;
    if let Some(ended) = report.ended {
        let ended = catalogue.word(match ended {
            Ended::Interrupted => say::RECLAIM_ENDED_INTERRUPTED,
            Ended::TimeIsUp => say::RECLAIM_ENDED_TIME,
        });
        writeln!(out, "  {}  {ended}", label(say::NOTE))?;
    }
    Ok(())
}

fn zombies(counts: ReclaimCounts) -> Message {
    let id = if counts.at_least && !counts.none {
        say::ZOMBIES_AT_LEAST
    } else {
        say::ZOMBIES
    };
    Message::new(id).arg("number", counts.zombies)
}

/// What is left, what did not free it, and what was not tried.
fn write_left(out: &mut dyn Write, report: &Reclamation, catalogue: &Catalogue) -> io::Result<()> {
    let last = report.last();
    if last.none {
        return Ok(());
    }
    let joined = |parts: Vec<String>| parts.join(&catalogue.word(say::COMMA));
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
            let label = wide(&catalogue.word(say::RECLAIM_NOT_PLANNED), LABEL);
            writeln!(out, "  {label}  {}", joined(not_tried))?;
        }
        return Ok(());
    }
    let mut parts = Vec::new();
    for (id, steps) in [
        (say::RECLAIM_NOT_FREED, tried),
        (say::RECLAIM_NOT_TRIED, not_tried),
    ] {
        if !steps.is_empty() {
            let message = Message::new(id).arg("steps", joined(steps));
            parts.push(catalogue.text(&message));
        }
    }
    if !parts.is_empty() {
        let left = wide(&catalogue.word(say::RECLAIM_LEFT), LABEL);
        let number = if last.zombies > 0 {
            catalogue.text(&zombies(last)) + &catalogue.word(say::COLON)
        } else {
            String::new()
        };
        let parts = parts.join(&catalogue.word(say::SEMICOLON));
        writeln!(out, "  {left}  {number}{parts}")?;
    }
    Ok(())
}

/// `shrink (no slab cache of a removed memory cgroup is visible)`.
fn untried(one: &Untried, catalogue: &Catalogue) -> String {
    let why = Message::new(match one.why {
        Why::NoCaches => say::RECLAIM_WHY_NO_CACHES,
        Why::PagesDoNotPin => say::RECLAIM_WHY_NO_PAGES,
        Why::Unread => say::RECLAIM_WHY_UNREAD,
        Why::NothingHeld => say::RECLAIM_WHY_NOTHING_HELD,
        Why::Tasks => say::RECLAIM_WHY_TASKS,
        Why::NoFile => say::RECLAIM_WHY_NO_FILE,
        Why::NotAsked => say::RECLAIM_WHY_NOT_ASKED,
        Why::Refused => say::RECLAIM_WHY_REFUSED,
        Why::Interrupted => say::RECLAIM_WHY_INTERRUPTED,
        Why::TimeIsUp => say::RECLAIM_WHY_TIME,
    });
    let why = why.arg(
        "reason",
        one.error.as_ref().map_or_else(|| "".into(), Arg::from),
    );
    let message = Message::new(say::RECLAIM_UNTRIED).arg("step", name(one.kind));
    catalogue.text(&message.arg("why", why))
}

/// As the files are called, by which it goes.
const fn name(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Shrink => "shrink",
        StepKind::Reclaim => "reclaim",
        StepKind::ForceEmpty => "force_empty",
        StepKind::DropCaches => "drop_caches",
    }
}

/// `at least 95 zombies; charged beyond live children: 3.6 MiB kernel memory`: what zombies hold, and what they left to live
/// cgroups.
fn counted(counts: ReclaimCounts, catalogue: &Catalogue) -> String {
    let number = catalogue.text(&zombies(counts));
    let held = [
        (say::HELD_KERNEL, counts.kernel_memory),
        (say::HELD_OTHER, counts.memory),
    ];
    let held = held.into_iter().filter_map(|(id, bytes)| {
        let bytes = bytes.filter(|&bytes| bytes > 0)?;
        Some(catalogue.text(&Message::new(id).arg("bytes", Arg::Bytes(bytes))))
    });
    let held = held.collect::<Vec<_>>().join(&catalogue.word(say::COMMA));
    if held.is_empty() || counts.zombies == 0 {
        return number;
    }
    let message = Message::new(say::RECLAIM_COUNTED).arg("zombies", zombies(counts));
    catalogue.text(&message.arg("held", held))
}

fn write_step(out: &mut dyn Write, step: &ReclaimStep, catalogue: &Catalogue) -> io::Result<()> {
    let what = match step.kind {
        StepKind::Shrink => say::RECLAIM_SHRINK,
        StepKind::Reclaim | StepKind::ForceEmpty => say::RECLAIM_RECLAIM,
        StepKind::DropCaches => say::RECLAIM_DROP_CACHES,
    };
    let what = Message::new(what)
        .arg("writes", step.writes)
        .arg("targets", step.targets);
    let again = if step.again {
        catalogue.word(say::RECLAIM_AGAIN)
    } else {
        String::new()
    };
    let name = name(step.kind);
    write!(out, "  {name:LABEL$}  {again}{}", catalogue.text(&what))?;
    if let Some(bytes) = step.bytes {
        let most = Message::new(say::RECLAIM_MOST).arg("bytes", Arg::Bytes(bytes));
        write!(
            out,
            "{}{}",
            catalogue.word(say::COMMA),
            catalogue.text(&most)
        )?;
    }
    if let Some(left_out) = step.left_out {
        let left_out = Message::new(say::RECLAIM_LEFT_OUT).arg("number", left_out);
        write!(
            out,
            "{}{}",
            catalogue.word(say::COMMA),
            catalogue.text(&left_out)
        )?;
    }
    if let Some(after) = step.after {
        let then = Message::new(say::RECLAIM_THEN).arg("counts", counted(after, catalogue));
        write!(out, "{}", catalogue.text(&then))?;
    }
    writeln!(out)?;
    if let (Some(failed), Some(reason)) = (step.failed, &step.reason) {
        let message = Message::new(say::RECLAIM_FAILED).arg("failed", failed);
        let told = catalogue.text(&message.arg("reason", reason));
        writeln!(out, "  {}  {told}", wide("", LABEL))?;
    }
    Ok(())
}
