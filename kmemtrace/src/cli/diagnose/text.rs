//! The diagnosis as people read it.

use std::io::{self, Write};

use crate::{
    catalogue::{Arg, Catalogue, say},
    cli::output::Palette,
    diagnose::{Diagnosis, Facts, Finding, Group, LevelRow, Remedy, State, Verdict},
    text::{columns::wide, escape::Name},
};

/// What a line of a log is cut to.
const SAYS_MAX: usize = 140;

pub(super) fn write(
    out: &mut dyn Write,
    facts: &Facts,
    diagnosis: &Diagnosis,
    catalogue: &Catalogue,
    palette: Palette,
) -> io::Result<()> {
    let headline = catalogue.text(&diagnosis.headline);
    let headline = match (diagnosis.fix, diagnosis.state) {
        (Some(Verdict::Ok), _) | (None, State::Healthy) => palette.good(&headline),
        (Some(Verdict::Fail), _)
        | (None, State::Leaking | State::Exhausted | State::Crowded | State::Failing) => {
            palette.bad(&headline)
        }
        _ => palette.warn(&headline),
    };
    writeln!(out, "{headline}")?;
    if diagnosis.state == State::Unknown {
        writeln!(out, "  {}", catalogue.word(say::UNKNOWN_NEXT))?;
    }
    for (group, title) in [
        (Group::Symptom, say::TITLE_SYMPTOMS),
        (Group::Cause, say::TITLE_CAUSE),
    ] {
        writeln!(out, "\n{}", catalogue.word(title))?;
        for finding in diagnosis.findings.iter().filter(|one| one.group == group) {
            write_finding(out, finding, catalogue, palette)?;
        }
    }
    // A root that does not tell has nothing below it either.
    if facts.levels.is_ok() && diagnosis.levels.iter().any(|row| row.on + row.off > 0) {
        levels(out, &diagnosis.levels, catalogue, palette)?;
    }
    let (apply, others): (Vec<_>, Vec<_>) = diagnosis.remedies.iter().partition(|one| one.applies);
    if !apply.is_empty() {
        writeln!(out, "\n{}", catalogue.word(say::TITLE_REMEDIES))?;
        for (number, remedy) in (1..).zip(&apply) {
            write_remedy(out, number, remedy, catalogue)?;
        }
        if !others.is_empty() {
            writeln!(out, "\n{}", catalogue.word(say::TITLE_OTHERS))?;
        }
        for remedy in others {
            let (title, why) = (catalogue.text(&remedy.title), catalogue.text(&remedy.why));
            writeln!(out, "  {:<15} {title}: {why}", remedy.id)?;
        }
    }
    Ok(())
}

fn write_finding(
    out: &mut dyn Write,
    finding: &Finding,
    catalogue: &Catalogue,
    palette: Palette,
) -> io::Result<()> {
    // Padded before it is coloured.
    let mark = match finding.verdict {
        Verdict::Ok => palette.good("ok     "),
        Verdict::Unknown => palette.warn("unknown"),
        Verdict::Warn => palette.warn("warn   "),
        Verdict::Fail => palette.bad("fail   "),
    };
    writeln!(
        out,
        "  {mark}  {:<14} {}",
        finding.id,
        catalogue.text(&finding.says)
    )?;
    let indent = "";
    let meaning = finding
        .meaning
        .as_ref()
        .map(|meaning| catalogue.text(meaning));
    if let Some(meaning) =
        meaning.filter(|_| finding.verdict != Verdict::Ok || finding.group == Group::Cause)
    {
        writeln!(out, "{indent:26}{}", meaning.trim_end())?;
    }
    if finding.verdict != Verdict::Unknown {
        for evidence in &finding.evidence {
            let line = evidence
                .at
                .line()
                .map_or_else(String::new, |line| format!(":{line}"));
            let says = match &evidence.says {
                // Columns of a file.
                Arg::Text(line) => line.replace('\t', " "),
                other => catalogue.arg(other),
            };
            let says = Name::short(says.as_bytes(), SAYS_MAX);
            writeln!(
                out,
                "{indent:26}> {}{line}: {says}",
                Name::whole(evidence.at.file().as_bytes())
            )?;
        }
    }
    if !finding.remedies.is_empty() {
        let to_do = catalogue.word(say::LABEL_REMEDIES);
        writeln!(out, "{indent:26}{to_do} {}", finding.remedies.join(", "))?;
    }
    if let Some(verify) = finding
        .verify
        .as_ref()
        .filter(|_| finding.verdict != Verdict::Ok)
    {
        writeln!(
            out,
            "{indent:26}{} {}",
            catalogue.word(say::LABEL_VERIFY),
            catalogue.text(verify)
        )?;
    }
    Ok(())
}

fn levels(
    out: &mut dyn Write,
    rows: &[LevelRow],
    catalogue: &Catalogue,
    palette: Palette,
) -> io::Result<()> {
    writeln!(out, "\n{}", catalogue.word(say::TITLE_LEVELS))?;
    let heads = [
        say::LEVEL_DIRECTORIES,
        say::LEVEL_ON,
        say::LEVEL_OFF,
        say::LEVEL_UNTOLD,
        say::LEVEL_LIMITED,
    ];
    write!(out, "  {}", wide(&catalogue.word(say::LEVEL), 16))?;
    for head in heads {
        write!(out, " {}", wide(&catalogue.word(head), 11))?;
    }
    writeln!(out, " {}", catalogue.word(say::LEVEL_EXAMPLE))?;
    for row in rows {
        let name = catalogue.word(row.level.message());
        write!(out, "  {}", wide(&name, 16))?;
        let on = wide(&row.on.to_string(), 11);
        let on = if row.on > 0 { palette.bad(&on) } else { on };
        write!(out, " {} {on}", wide(&row.directories.to_string(), 11))?;
        for number in [row.off, row.untold, row.limited] {
            write!(out, " {}", wide(&number.to_string(), 11))?;
        }
        writeln!(out, " {}", Name::short(row.example.as_bytes(), 90))?;
    }
    Ok(())
}

fn write_remedy(
    out: &mut dyn Write,
    number: u32,
    remedy: &Remedy,
    catalogue: &Catalogue,
) -> io::Result<()> {
    writeln!(
        out,
        "  {number}. {} ({})",
        catalogue.text(&remedy.title),
        remedy.id
    )?;
    writeln!(out, "     {}", catalogue.text(&remedy.why))?;
    for command in &remedy.commands {
        writeln!(out, "       {}", catalogue.arg(command))?;
    }
    for (label, message) in [
        (say::LABEL_COST, &remedy.cost),
        (say::LABEL_RISK, &remedy.risk),
        (say::LABEL_VERIFY, &remedy.verify),
    ] {
        writeln!(
            out,
            "     {} {}",
            catalogue.word(label),
            catalogue.text(message)
        )?;
    }
    Ok(())
}
