//! Hooks being attached: way by way, keeping every refusal and its reason.

use crate::{
    error::Error,
    event::header::{HookReport, Refusal},
    host::Version,
    plan::{Hook, HookId, HookPlan, Way, WayKind},
};

/// How one hook was attached.
#[derive(Debug)]
pub(super) struct HookOutcome {
    pub(super) hook: &'static Hook,
    pub(super) way: Option<&'static Way>,
    pub(super) refused: Vec<Refusal>,
    /// What this kernel does not tell by that way, besides what the table says.
    pub(super) lacks: Option<String>,
}

impl HookOutcome {
    /// How the hook is seen, for a hierarchy of this version.
    pub(super) fn report(&self, version: Version) -> HookReport {
        let matters = version == Version::V2 || !self.hook.v2_only;
        HookReport {
            hook: self.hook.id.as_str().to_owned(),
            way: self.way.map(|way| way.kind.as_str().to_owned()),
            refused: self.refused.clone(),
            lost: match self.way {
                Some(way) => self.lacks.clone().or_else(|| way.lost.map(str::to_owned)),
                None => matters.then(|| self.hook.unseen.to_owned()),
            },
        }
    }
}

/// Tries the ways of every hook in order. `attempt` attaches one, or says why it cannot; it is told what came of the hooks
/// before.
pub(super) fn attach(
    plan: Vec<HookPlan>,
    mut attempt: impl FnMut(&'static Way, &[HookOutcome]) -> Result<(), String>,
) -> Vec<HookOutcome> {
    let mut outcomes: Vec<HookOutcome> = Vec::with_capacity(plan.len());
    for HookPlan {
        hook,
        candidates,
        refused,
    } in plan
    {
        let mut outcome = HookOutcome {
            hook,
            way: None,
            refused,
            lacks: None,
        };
        for way in candidates {
            match attempt(way, &outcomes) {
                Ok(()) => {
                    outcome.way = Some(way);
                    break;
                }
                Err(reason) => {
                    let way = way.kind.as_str().to_owned();
                    outcome.refused.push(Refusal { way, reason });
                }
            }
        }
        outcome
            .refused
            .sort_by_key(|refusal| place(hook, &refusal.way));
        outcome.refused.dedup();
        if let Some(way) = outcome.way {
            // What comes after the way in force was not needed.
            let in_force = place(hook, way.kind.as_str());
            outcome
                .refused
                .retain(|refusal| place(hook, &refusal.way) < in_force);
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// Where a way stands in the hook's table.
fn place(hook: &Hook, way: &str) -> Option<usize> {
    hook.ways.iter().position(|row| row.kind.as_str() == way)
}

/// The way in which a hook is seen, if it is.
pub(super) fn way_of(outcomes: &[HookOutcome], hook: HookId) -> Option<WayKind> {
    let outcome = outcomes.iter().find(|outcome| outcome.hook.id == hook)?;
    outcome.way.map(|way| way.kind)
}

/// # Errors
///
/// No way of seeing memory cgroups worked.
pub(super) fn sees_cgroups(outcomes: &[HookOutcome]) -> Result<(), Error> {
    let unseen = outcomes
        .iter()
        .find(|outcome| outcome.hook.id == HookId::LIFECYCLE && outcome.way.is_none());
    unseen.map_or(Ok(()), |outcome| Err(cannot_see(outcome)))
}

/// Why each way of a hook was refused, a line each.
pub(super) fn reasons(outcome: &HookOutcome) -> String {
    let refused = outcome.refused.iter();
    let lines: Vec<_> = refused
        .map(|refusal| format!("\n  {}: {}", refusal.way, refusal.reason))
        .collect();
    lines.concat()
}

fn cannot_see(outcome: &HookOutcome) -> Error {
    Error::new(format!(
        "cannot see {}: no way of attaching works here{}",
        outcome.hook.unseen,
        reasons(outcome)
    ))
    .help("`kmemtrace doctor` says what this host has and what is missing")
}

/// What `doctor` shows of the hooks where a source cannot start: what the facts say against each way.
pub(super) fn unattached(plan: Vec<HookPlan>, version: Version) -> Vec<HookReport> {
    let outcomes = plan.into_iter().map(|row| HookOutcome {
        hook: row.hook,
        way: None,
        refused: row.refused,
        lacks: None,
    });
    outcomes.map(|outcome| outcome.report(version)).collect()
}
