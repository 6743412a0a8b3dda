//! What is wrong with this node, why, and what to do: facts in, findings out.
//!
//! [`facts`] alone reads files; the rest is pure. A finding is one file in `findings` and one row of its table; a
//! remedy is one row in `remedies`. What they say is a [`Message`], whose text is in the catalogue (`catalogue/*.ftl`).

mod era;
pub mod facts;
mod findings;
mod levels;
mod proof;
mod remedies;
mod signs;
mod vendor;

use serde::Serialize;

pub use era::{Era, Origin};
pub use facts::{Facts, Level, Trial};
pub use levels::LevelRow;
pub use remedies::Remedy;
pub use vendor::Vendor;

pub use crate::judge::State;
use crate::{
    catalogue::{Arg, Message, say},
    judge::{Kept, Signs},
};

/// What a finding comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Could not be told; what was found says why.
    Unknown,
    /// Not good, or not good for long.
    Warn,
    /// Broken, or what breaks it.
    Fail,
}

/// Which question a finding answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Whether something is wrong.
    Symptom,
    /// Why it is wrong.
    Cause,
}

/// How many pieces of evidence of one kind a finding shows.
const SHOWN: usize = 5;

/// Where something was read. Files are named as on the machine itself; lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// A line of a file.
    Line(String, u64),
    /// A file or a directory as a whole, or a file of which only the end was read.
    File(String),
    /// The kernel's counters in all files of this pattern, or its names in this directory, added up.
    Counters(String),
    /// A walk of the kernel's own tree of memory cgroups.
    Walk,
    /// A recorded trace: a line of it, or what all of it comes to.
    Trace(String, Option<u64>),
}

impl Provenance {
    /// A line of a file; of a file of which only the end was read, that file.
    fn in_file(file: impl Into<String>, line: Option<u64>) -> Self {
        match line {
            Some(line) => Self::Line(file.into(), line),
            None => Self::File(file.into()),
        }
    }

    /// The file, the directory, or the trace's file; of a walk, that it was one.
    pub fn file(&self) -> &str {
        match self {
            Self::Line(file, _)
            | Self::File(file)
            | Self::Counters(file)
            | Self::Trace(file, _) => file,
            Self::Walk => "kernel walk",
        }
    }

    /// The line, if it is one.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Line(_, line) => Some(*line),
            Self::Trace(_, line) => *line,
            Self::File(_) | Self::Counters(_) | Self::Walk => None,
        }
    }
}

/// What was read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where it was read.
    pub at: Provenance,
    /// What stands there, as it stands there; of more than a line, what it came to.
    pub says: Arg,
}

impl Evidence {
    /// What a whole file came to.
    fn of_file(file: impl Into<String>, says: impl Into<Arg>) -> Self {
        Self {
            at: Provenance::File(file.into()),
            says: says.into(),
        }
    }

    /// What a walk of the kernel's own tree came to.
    fn of_walk(says: impl Into<Arg>) -> Self {
        Self {
            at: Provenance::Walk,
            says: says.into(),
        }
    }

    /// What the kernel's counters in files of this pattern came to.
    fn of_counters(files: impl Into<String>, says: impl Into<Arg>) -> Self {
        Self {
            at: Provenance::Counters(files.into()),
            says: says.into(),
        }
    }
}

/// An answer to one question about the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name, which stays the same.
    pub id: &'static str,
    /// Which kind of question.
    pub group: Group,
    /// The answer in a word.
    pub verdict: Verdict,
    /// What was found; of an unknown one, why it is unknown.
    pub says: Message,
    /// What that means for the node.
    pub meaning: Option<Message>,
    /// Where it was read.
    pub evidence: Vec<Evidence>,
    /// What to do: names of remedies.
    pub remedies: Vec<&'static str>,
    /// How to see for oneself.
    pub verify: Option<Message>,
}

impl Finding {
    fn meaning(mut self, meaning: Message) -> Self {
        self.meaning = Some(meaning);
        self
    }

    fn evidence(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    fn verify(mut self, verify: Message) -> Self {
        self.verify = Some(verify);
        self
    }
}

/// What findings and remedies are made of.
struct Case<'a> {
    facts: &'a Facts,
    /// What the kernel does with zombies, and how that is known.
    era: Option<(Era, Origin)>,
    /// Accounting at each level that there is.
    levels: &'a [LevelRow],
    /// Who switched accounting on.
    who: &'a Result<levels::Who, facts::Unread>,
}

impl Case<'_> {
    /// Who switched accounting on, if that can be told.
    fn who(&self) -> Option<&levels::Who> {
        self.who.as_ref().ok()
    }
}

/// The whole diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// In one word.
    pub state: State,
    /// In one sentence.
    pub headline: Message,
    /// Whether a fix has worked, if that was tried: the finding `fix`.
    pub fix: Option<Verdict>,
    /// What the kernel does with zombies, if that is known.
    pub era: Option<Era>,
    /// All findings: symptoms first.
    pub findings: Vec<Finding>,
    /// Kernel-memory accounting at each level that there is.
    pub levels: Vec<LevelRow>,
    /// What can be done: first what applies to this node, the most useful first.
    pub remedies: Vec<Remedy>,
}

/// Makes findings of facts.
pub fn diagnose(facts: &Facts) -> Diagnosis {
    let era = era::era(facts);
    let levels = levels::rows(facts);
    let who = levels::who(facts);
    let signs = signs::signs(facts, era);
    let case = Case {
        facts,
        era,
        levels: &levels,
        who: &who,
    };
    let mut findings: Vec<_> = findings::QUESTIONS
        .iter()
        .filter_map(|question| (question.answer)(&case))
        .collect();
    let state = state(&findings, &signs);
    let remedies = remedies::remedies(&case, &signs, state);
    for finding in &mut findings {
        finding.remedies = remedies::of_finding(finding, &remedies);
    }
    let fix = findings
        .iter()
        .find(|finding| finding.id == findings::fix::QUESTION.id);
    let headline = fix.map_or_else(|| headline(state, &signs), |fix| fix.says.clone());
    let fix = fix.map(|fix| fix.verdict);
    Diagnosis {
        state,
        headline,
        fix,
        era: era.map(|(era, _)| era),
        findings,
        levels,
        remedies,
    }
}

/// All findings in one word: what the verbs that only count say as well, and what accounting adds to that.
fn state(findings: &[Finding], signs: &Signs) -> State {
    let accounting = findings
        .iter()
        .find(|finding| finding.id == findings::accounting::QUESTION.id);
    let accounting = accounting.map_or(Verdict::Unknown, |finding| finding.verdict);
    match signs.state() {
        // Where ids are given back, accounting costs memory and breaks nothing.
        State::Healthy | State::Unknown
            if accounting >= Verdict::Warn && signs.staying == 0 && signs.kept != Kept::No =>
        {
            State::AtRisk
        }
        State::Healthy if signs.kept != Kept::No && accounting == Verdict::Unknown => {
            State::Unknown
        }
        state => state,
    }
}

fn headline(state: State, signs: &Signs) -> Message {
    let zombies = signs.staying;
    let id = match state {
        State::Healthy if zombies > 0 => say::HEADLINE_FEW,
        State::Healthy => say::HEADLINE_HEALTHY,
        State::AtRisk => say::HEADLINE_AT_RISK,
        State::PilingUp if signs.kept == Kept::Unknown => say::HEADLINE_PILING_UP_UNTOLD,
        State::PilingUp => say::HEADLINE_PILING_UP,
        State::Leaking => say::HEADLINE_LEAKING,
        State::Exhausted => say::HEADLINE_EXHAUSTED,
        State::Crowded => say::HEADLINE_CROWDED,
        State::Failing => say::HEADLINE_FAILING,
        State::Unknown => say::HEADLINE_UNKNOWN,
    };
    Message::new(id)
        .arg("zombies", zombies)
        .arg("live", signs.live)
}
