//! The diagnosis as one JSON object: `docs/diagnosis.md` tells what each field means, and a test compares.

use serde::Serialize;

use super::super::catalogue::Catalogue;
use crate::diagnose::{Diagnosis, Era, Evidence, Facts, Group, LevelRow, State, Verdict};

/// The version of this form: it changes when a field goes or changes its meaning.
const SCHEMA: u32 = 1;

#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    schema: u32,
    state: State,
    headline: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hierarchy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    era: Option<Era>,
    findings: Vec<Finding<'a>>,
    levels: &'a [LevelRow],
    remedies: Vec<Remedy<'a>>,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    id: &'static str,
    group: Group,
    verdict: Verdict,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<String>,
    evidence: &'a [Evidence],
    remedies: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<String>,
}

#[derive(Debug, Serialize)]
struct Remedy<'a> {
    id: &'static str,
    applies: bool,
    title: String,
    why: String,
    commands: &'a [String],
    cost: String,
    risk: String,
    verify: String,
}

impl<'a> Report<'a> {
    pub(super) fn new(facts: &'a Facts, diagnosis: &'a Diagnosis, catalogue: &Catalogue) -> Self {
        let say = |message: &_| catalogue.text(message).trim().to_owned();
        Self {
            schema: SCHEMA,
            state: diagnosis.state,
            headline: say(&diagnosis.headline),
            hostname: facts.hostname.as_deref(),
            kernel: facts.kernel.as_ref().ok().map(|line| &line.text[..]),
            hierarchy: facts.hierarchy.as_ref().ok().map(|at| at.version.as_str()),
            era: diagnosis.era,
            findings: diagnosis
                .findings
                .iter()
                .map(|finding| Finding {
                    id: finding.id,
                    group: finding.group,
                    verdict: finding.verdict,
                    says: say(&finding.says),
                    meaning: finding.meaning.as_ref().map(say),
                    evidence: &finding.evidence,
                    remedies: &finding.remedies,
                    verify: finding.verify.as_ref().map(say),
                })
                .collect(),
            levels: &diagnosis.levels,
            remedies: diagnosis
                .remedies
                .iter()
                .map(|remedy| Remedy {
                    id: remedy.id,
                    applies: remedy.applies,
                    title: say(&remedy.title),
                    why: say(&remedy.why),
                    commands: &remedy.commands,
                    cost: say(&remedy.cost),
                    risk: say(&remedy.risk),
                    verify: say(&remedy.verify),
                })
                .collect(),
        }
    }
}
