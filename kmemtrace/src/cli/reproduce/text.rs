//! A reproduction as people read it.

use std::io::{self, Write};

use crate::{
    catalogue::{Arg, Catalogue, Message, Sentence, say},
    census,
    cli::output::Palette,
    judge::Answer,
    reproduce::{AccountedBy, Action, Agreement, Observation, Reproduction, Workload},
    text::{columns::wide, escape::Name},
};

/// Columns of what was done.
const DONE: usize = 18;

/// Columns of other labels.
const LABEL: usize = 10;

pub(super) fn write(
    out: &mut dyn Write,
    report: &Reproduction,
    palette: Palette,
    catalogue: &Catalogue,
) -> io::Result<()> {
    let say = |message: Message| catalogue.text(&message);
    let about = |id| {
        Message::new(id)
            .arg("made", report.made)
            .arg("stayed", report.stayed().unwrap_or(0))
            .arg("left", report.left().unwrap_or(0))
            .arg("kind", Message::new(workload(report.workload)))
    };
    let headline = match report.answer() {
        Answer::Unknown if report.made == 0 => palette.warn(&say(about(say::REPRODUCE_NONE))),
        Answer::Unknown => palette.warn(&say(about(say::REPRODUCE_UNKNOWN))),
        Answer::Clean => palette.good(&say(about(say::REPRODUCE_OK))),
        Answer::Leak => match report.left() {
            Some(0) => palette.warn(&say(about(say::REPRODUCE_FREED))),
            // Whether they are freed is not known as long as that was not done.
            Some(_) if !report.dropped() => palette.warn(&say(about(say::REPRODUCE_NOT_DROPPED))),
            Some(_) => palette.bad(&say(about(say::REPRODUCE_LEAK))),
            None => palette.warn(&say(about(say::REPRODUCE_LEFT_UNKNOWN))),
        },
    };
    writeln!(out, "{headline}")?;
    let mut line = |label, text: &str| {
        let label = wide(&catalogue.word(label), LABEL);
        writeln!(out, "  {label}  {text}")
    };
    if let Some(kernel) = &report.kernel {
        line(
            say::REPRODUCE_KERNEL,
            &Name::whole(kernel.as_bytes()).to_string(),
        )?;
    }
    line(say::REPRODUCE_HIERARCHY, report.hierarchy)?;
    let accounting = match report.accounting {
        AccountedBy::SwitchedOn => say::REPRODUCE_SWITCHED_ON,
        AccountedBy::Default => say::REPRODUCE_BY_DEFAULT,
    };
    line(say::REPRODUCE_ACCOUNTING, &catalogue.word(accounting))?;
    for step in &report.steps {
        write_step(out, step, catalogue)?;
    }
    let unknown = report.answer() == Answer::Unknown && report.made > 0;
    let untold = unknown && report.accounted.is_none();
    let notes = [
        (
            report.accounted == Some(false),
            say::REPRODUCE_NOT_ACCOUNTED,
        ),
        (untold, say::REPRODUCE_ACCOUNTING_UNTOLD),
        (report.whole_machine, say::REPRODUCE_WHOLE_MACHINE),
        (report.interrupted, say::REPRODUCE_INTERRUPTED),
    ];
    let mut notes: Vec<_> = notes
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, note)| Message::new(*note))
        .collect();
    if let (Some(count), Some(reason)) = (report.not_removed, &report.why_not_removed) {
        let note = Message::new(say::REPRODUCE_NOT_REMOVED).arg("count", count);
        notes.push(note.arg("reason", reason.clone()));
    }
    for note in notes {
        let label = wide(&catalogue.word(say::NOTE), LABEL);
        writeln!(out, "  {label}  {}", catalogue.text(&note))?;
    }
    if let Some(reason) = &report.walk_refused {
        let label = wide(&catalogue.word(say::NOTE), LABEL);
        let told = Message::new(say::REPRODUCE_WALK_REFUSED).arg("reason", reason.clone());
        writeln!(out, "  {label}  {}", catalogue.text(&told))?;
    }
    Ok(())
}

fn write_step(out: &mut dyn Write, step: &Observation, catalogue: &Catalogue) -> io::Result<()> {
    let done = match step.done {
        Action::Removed => say::DONE_REMOVED,
        Action::DropCaches => say::DONE_DROPPED,
        Action::Closed => say::DONE_CLOSED,
        Action::FilesRemoved => say::DONE_FILES,
        Action::Shrink => say::DONE_SHRUNK,
    };
    let held = [
        (say::HELD_FILE, step.file),
        (say::HELD_SHMEM, step.shmem),
        (say::HELD_ANON, step.anon),
        (say::HELD_SLAB, step.slab),
        (say::HELD_SOCK, step.sock),
        (say::HELD_KERNEL, step.kernel_memory),
    ];
    let held: Vec<_> = held
        .into_iter()
        .filter_map(|(id, bytes)| {
            let bytes = bytes.filter(|&bytes| bytes > 0 && step.zombies > Some(0))?;
            Some(catalogue.text(&Message::new(id).arg("bytes", Arg::Bytes(bytes))))
        })
        .collect();
    let zombies = match step.told() {
        Agreement::Exactly(number) | Agreement::AtLeast(number @ 0) => {
            Message::new(say::ZOMBIES).arg("number", number)
        }
        Agreement::AtLeast(number) => Message::new(say::ZOMBIES_AT_LEAST).arg("number", number),
        Agreement::Unknown => {
            Message::new(say::REPRODUCE_COUNTS).arg("counts", counted(step, catalogue))
        }
    };
    let id = if held.is_empty() {
        say::REPRODUCE_STEP
    } else {
        say::REPRODUCE_STEP_HELD
    };
    let told = Message::new(id)
        .arg("zombies", zombies)
        .arg("time", Arg::Time(step.after_ms.saturating_mul(1_000_000)))
        .arg("held", held.join(&catalogue.word(say::COMMA)));
    let done = wide(&catalogue.word(done), DONE);
    writeln!(out, "  {done}  {}", catalogue.text(&told))?;
    if step.pins.is_empty() {
        return Ok(());
    }
    let pins: Vec<_> = step
        .pins
        .iter()
        .map(|total| catalogue.text(&census::message(total)))
        .collect();
    let pins =
        Message::new(say::REPRODUCE_PINNED).arg("pins", pins.join(&catalogue.word(say::COMMA)));
    writeln!(out, "  {}  {}", wide("", DONE), catalogue.text(&pins))
}

/// What was counted in each way, where no two agree.
fn counted(step: &Observation, catalogue: &Catalogue) -> String {
    let counts = &step.counts;
    let number = |id, number: Option<u64>| Some(Message::new(id).arg("number", number?));
    let bytes = |id, bytes: Option<u64>| Some(Message::new(id).arg("bytes", Arg::Bytes(bytes?)));
    let machine = counts.counted.map(|counted| {
        let id = if counted < 0 {
            say::COUNTS_MACHINE_FEWER
        } else {
            say::COUNTS_MACHINE
        };
        Message::new(id).arg("number", counted.unsigned_abs())
    });
    let parts = [
        number(say::COUNTS_WALKED, counts.walked),
        number(say::COUNTS_DYING, counts.dying),
        machine,
        number(say::COUNTS_NAMED, counts.named),
        bytes(say::HELD_KERNEL, counts.kernel_memory),
        bytes(say::COUNTS_MEMORY, counts.memory),
    ];
    let parts: Vec<_> = parts
        .iter()
        .flatten()
        .map(|part| catalogue.text(part))
        .collect();
    parts.join(&catalogue.word(say::COMMA))
}

const fn workload(kind: Workload) -> Sentence {
    match kind {
        Workload::Dentries => say::WORKLOAD_DENTRIES,
        Workload::Inodes => say::WORKLOAD_INODES,
        Workload::PageCache => say::WORKLOAD_PAGE_CACHE,
        Workload::Tmpfs => say::WORKLOAD_TMPFS,
        Workload::Sockets => say::WORKLOAD_SOCKETS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue::Lang, census::PinTotal, reproduce::counts::WaysCounted, tracker::Pin};

    fn step(done: Action, zombies: u64, at_least: bool) -> Observation {
        Observation {
            done,
            zombies: Some(zombies),
            at_least,
            counts: WaysCounted::default(),
            after_ms: 1250,
            pins: Vec::new(),
            file: Some(4096),
            shmem: Some(zombies % 2 * 4096),
            anon: Some(8192),
            slab: Some(1),
            sock: Some(100),
            kernel_memory: Some(3_842_048),
        }
    }

    fn text(lang: Lang, workload: Workload, made: u64, steps: &[Observation]) -> String {
        let report = Reproduction {
            kernel: Some("3.10.0\x1b".to_owned()),
            hierarchy: "v1",
            workload,
            made,
            not_removed: (made == 9).then_some(2),
            why_not_removed: (made == 9).then(|| "EBUSY\x1b".to_owned()),
            accounting: match workload {
                Workload::Sockets => AccountedBy::Default,
                _ => AccountedBy::SwitchedOn,
            },
            accounted: (made == 8).then_some(false),
            whole_machine: steps.iter().all(|step| !step.at_least),
            steps: steps.to_vec(),
            walk_refused: (made == 7).then(|| "needs BTF\x1b".to_owned()),
            interrupted: made < 100,
        };
        let mut out = Vec::new();
        let catalogue = Catalogue::shown(lang);
        write(&mut out, &report, Palette::new(false), &catalogue).unwrap();
        format!("{}{:?}\n", String::from_utf8(out).unwrap(), report.answer())
    }

    /// Counts that do not agree.
    fn unknown(done: Action, walked: u64, counted: Option<i64>) -> Observation {
        Observation {
            zombies: None,
            counts: WaysCounted {
                walked: Some(walked),
                dying: Some(1),
                counted,
                named: Some(10),
                kernel_memory: Some(40_960),
                memory: Some(0),
            },
            ..step(done, 0, false)
        }
    }

    /// All that may keep zombies.
    fn kept(mut step: Observation) -> Observation {
        let pins = [
            (Some(Pin::Anonymous), 93, Some(6 << 20)),
            (Some(Pin::PageCache), 1, None),
            (Some(Pin::Unevictable), 1, Some(4096)),
            (Some(Pin::Swap), 1, Some(0)),
            (Some(Pin::Sockets), 1, Some(0)),
            (Some(Pin::Children), 1, Some(0)),
            (Some(Pin::References), 1, Some(0)),
            (None, 1, Some(0)),
        ];
        let total = |(pin, zombies, held_bytes)| PinTotal {
            pin,
            zombies,
            held_bytes,
        };
        step.pins = pins.map(total).into();
        step
    }

    #[test]
    fn what_came_of_it_is_told() {
        insta::assert_snapshot!("reproduce_en", told(Lang::En));
        insta::assert_snapshot!("reproduce_zh", told(Lang::Zh));
    }

    fn told(lang: Lang) -> String {
        let text = |workload, made, steps: &[Observation]| text(lang, workload, made, steps);
        let told = [
            text(Workload::Dentries, 100, &[step(Action::Removed, 0, false)]),
            text(
                Workload::Tmpfs,
                100,
                &[
                    kept(step(Action::Removed, 100, false)),
                    step(Action::FilesRemoved, 0, false),
                ],
            ),
            text(
                Workload::Inodes,
                100,
                &[
                    step(Action::Removed, 95, true),
                    step(Action::DropCaches, 95, true),
                    step(Action::FilesRemoved, 94, true),
                    step(Action::Shrink, 2, true),
                ],
            ),
            text(
                Workload::Sockets,
                7,
                &[
                    step(Action::Removed, 7, false),
                    step(Action::Closed, 0, false),
                ],
            ),
            text(Workload::PageCache, 0, &[]),
            text(Workload::Dentries, 8, &[step(Action::Removed, 0, false)]),
            text(
                Workload::Dentries,
                9,
                &[
                    unknown(Action::Removed, 0, Some(-3)),
                    unknown(Action::FilesRemoved, 9, None),
                ],
            ),
            text(
                Workload::Inodes,
                100,
                &[
                    step(Action::Removed, 95, true),
                    unknown(Action::Shrink, 4, Some(3)),
                ],
            ),
            text(Workload::Inodes, 100, &[step(Action::Removed, 95, false)]),
        ];
        told.join("\n")
    }
}
