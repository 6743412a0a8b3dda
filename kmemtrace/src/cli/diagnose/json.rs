//! The diagnosis as one JSON object: `docs/diagnosis.md` tells what each field means, and a test compares.

use serde::Serialize;

use crate::{
    catalogue::Catalogue,
    diagnose::{Diagnosis, Era, Facts, Group, LevelRow, State, Verdict},
    judge::Kept,
};

/// The version of this form: it changes when a field goes or changes its meaning.
const SCHEMA: u32 = 1;

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    /// The version of this form.
    schema: u32,
    /// What all findings come to.
    state: State,
    /// That in a sentence.
    headline: String,
    /// The machine's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a str>,
    /// The size of its pages, in bytes; absent if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_bytes: Option<u64>,
    /// Who made that kernel; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<&'static str>,
    /// The distribution, as it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<&'a str>,
    /// `v1` or `v2`: where memory cgroups are.
    #[serde(skip_serializing_if = "Option::is_none")]
    hierarchy: Option<&'static str>,
    /// What the kernel does with zombies.
    #[serde(skip_serializing_if = "Option::is_none")]
    era: Option<Era>,
    /// memcg ids in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Ids>,
    /// Answers to questions about the node.
    findings: Vec<Finding<'a>>,
    /// Kernel-memory accounting by level.
    levels: &'a [LevelRow],
    /// What can be done, what applies first.
    remedies: Vec<Remedy>,
}

/// memcg ids in use, as `scan` and the summary of a run have them.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Ids {
    /// So many at least.
    min: u64,
    /// So many at most; absent if that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    /// How many there are.
    capacity: u64,
    /// Whether zombies keep their ids; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<bool>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Finding<'a> {
    /// Its name, which stays the same.
    id: &'static str,
    /// Which kind of question it answers.
    group: Group,
    /// The answer in a word.
    verdict: Verdict,
    /// What was found; of an unknown one, why it is unknown.
    says: String,
    /// What that means for the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<String>,
    /// Where it was read.
    evidence: Vec<Evidence<'a>>,
    /// What to do: ids of remedies.
    remedies: &'a [&'static str],
    /// How to see for oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Evidence<'a> {
    /// The file, on the machine itself.
    file: &'a str,
    /// The line, counted from 1; absent if it is the whole file, or if only the file's end was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// What stands there, as it stands there; of a whole file, what it came to.
    says: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Remedy {
    /// Its name, which stays the same.
    id: &'static str,
    /// Whether it is for this node.
    applies: bool,
    /// What it is.
    title: String,
    /// Why it applies, or does not.
    why: String,
    /// What to run, in this order; what begins with `#` is a comment.
    commands: Vec<String>,
    /// What it takes: a reboot, a drain, a rebuild.
    cost: String,
    /// What can go wrong.
    risk: String,
    /// How to see that it worked.
    verify: String,
}

/// What `--format json` writes, as JSON Schema: `docs/diagnosis.schema.json` is generated from these types.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    crate::schema::document::<Document<'_>>(
        "kmemtrace diagnosis",
        &format!(
            "What `kmemtrace diagnose --format json` writes, schema version {SCHEMA}. docs/diagnosis.md says what the fields mean."
        ),
    )
}

impl<'a> Document<'a> {
    pub(super) fn new(facts: &'a Facts, diagnosis: &'a Diagnosis, catalogue: &Catalogue) -> Self {
        let say = |message: &_| catalogue.text(message).trim().to_owned();
        Self {
            schema: SCHEMA,
            state: diagnosis.state,
            headline: say(&diagnosis.headline),
            hostname: facts.hostname.as_deref(),
            kernel: facts.kernel.as_ref().ok().map(|line| &line.text[..]),
            page_bytes: facts.page.ok().map(|page| page.size.bytes()),
            vendor: facts.vendor().map(|vendor| vendor.name),
            distribution: facts
                .distribution
                .as_ref()
                .ok()
                .map(|one| &one.name.text[..]),
            hierarchy: facts.hierarchy.as_ref().ok().map(|at| at.version.as_str()),
            era: diagnosis.era,
            ids: facts.count.as_ref().ok().map(|count| Ids {
                min: count.ids_min,
                max: count.ids_max,
                capacity: count.capacity,
                kept: match count.kept {
                    Kept::Yes => Some(true),
                    Kept::No => Some(false),
                    Kept::Unknown => None,
                },
            }),
            findings: diagnosis
                .findings
                .iter()
                .map(|finding| Finding {
                    id: finding.id,
                    group: finding.group,
                    verdict: finding.verdict,
                    says: say(&finding.says),
                    meaning: finding.meaning.as_ref().map(say),
                    evidence: finding
                        .evidence
                        .iter()
                        .map(|evidence| Evidence {
                            file: evidence.at.file(),
                            line: evidence.at.line(),
                            says: catalogue.arg(&evidence.says),
                        })
                        .collect(),
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
                    commands: remedy
                        .commands
                        .iter()
                        .map(|line| catalogue.arg(line))
                        .collect(),
                    cost: say(&remedy.cost),
                    risk: say(&remedy.risk),
                    verify: say(&remedy.verify),
                })
                .collect(),
        }
    }
}
