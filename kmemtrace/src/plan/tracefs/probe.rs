//! Probes as the kernel takes them.

use super::{LOCKDEP, SLAB, UP};
use crate::{
    host::Tracing,
    plan::{Program, Way, WayKind},
};

/// A probe as it is put on a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe<'a> {
    /// Its name: of several on what the compiler made of one function, numbered from the second on.
    pub name: String,
    /// The symbol.
    pub symbol: &'a str,
    /// `p` or `r`.
    kind: &'static str,
    /// What it reads.
    fields: &'static str,
}

/// The function that a probe is on.
pub fn function(probe: &Program) -> Option<&'static str> {
    probe.target.split(' ').nth(1)
}

/// The probes that these programs come to on this kernel.
pub fn probes<'a>(programs: &'static [Program], tracing: &'a Tracing) -> Vec<Probe<'a>> {
    let programs = programs
        .iter()
        .filter(|row| !(is_up(row) && has_lockdep(tracing)));
    let probes = programs.flat_map(|row| {
        let mut words = row.target.splitn(3, ' ');
        let kind = words.next().unwrap_or("p");
        let function = words.next().unwrap_or_default();
        let fields = words.next().unwrap_or_default();
        match clones(row, tracing) {
            None => vec![Probe {
                name: row.name.to_owned(),
                symbol: function,
                kind,
                fields,
            }],
            Some(clones) => {
                let numbered = clones.iter().enumerate();
                let probe = |(n, symbol): (usize, &'a String)| Probe {
                    name: match n {
                        0 => row.name.to_owned(),
                        n => format!("{}{n}", row.name),
                    },
                    symbol,
                    kind,
                    fields: "",
                };
                numbered.map(probe).collect()
            }
        }
    });
    probes.collect()
}

fn is_up(row: &Program) -> bool {
    UP.iter().any(|up| up.target == row.target)
}

fn has_lockdep(tracing: &Tracing) -> bool {
    tracing.functions.contains(LOCKDEP)
}

/// What the compiler made of a probe's function, if that is not there under its own name and the probe says something without
/// what it reads.
pub(super) fn clones<'a>(row: &Program, tracing: &'a Tracing) -> Option<&'a [String]> {
    let clones = tracing.clones.get(function(row)?)?;
    (row.name == SLAB.name).then_some(clones)
}

/// What a way does not tell on this kernel, where that is more than the table says. `tells_skipped` is whether this kernel tells
/// when it skips a probe.
pub fn trace_lacks(way: &'static Way, tracing: &Tracing, tells_skipped: bool) -> Option<String> {
    let lacks = of_functions(way, tracing);
    if tells_skipped || !matches!(way.kind, WayKind::Kprobe | WayKind::Kretprobe) {
        return lacks;
    }
    let lacks = lacks.or_else(|| way.lost.map(str::to_owned));
    let all = lacks.into_iter().chain([SKIPPED.to_owned()]);
    Some(all.collect::<Vec<_>>().join("; "))
}

/// What is not seen where accesses that fault count as skipped probes.
const SKIPPED: &str = "when the kernel skips a probe";

/// What it does not tell because of the functions that this kernel has.
fn of_functions(way: &'static Way, tracing: &Tracing) -> Option<String> {
    let programs = way.programs;
    if programs.iter().any(|row| clones(row, tracing).is_some()) {
        let lacks = "which slab cache failed and what was asked of it, where the kernel log's rate limit holds it back";
        return Some(lacks.to_owned());
    }
    if programs.iter().any(is_up) && has_lockdep(tracing) {
        let lost = way.lost.unwrap_or_default();
        return Some(format!(
            "{lost}, and of the path of what is gone at once all but the name"
        ));
    }
    None
}

/// Where a function's arguments are, from the first on, on this architecture.
pub(super) const ARGUMENTS: Option<[&str; 3]> = if cfg!(target_arch = "x86_64") {
    Some(["%di", "%si", "%dx"])
} else if cfg!(target_arch = "aarch64") {
    Some(["%x0", "%x1", "%x2"])
} else {
    None
};

impl Probe<'_> {
    /// As `kprobe_events` takes it, in this group. The event's name begins with the group's: of several buffers' probes the kernel
    /// counts and shows the names alone.
    pub fn definition(&self, group: &str) -> String {
        let Self {
            name,
            symbol,
            kind,
            fields,
        } = self;
        let text = format!("{kind}:{group}/{group}_{name} {symbol} {fields}");
        let mut text = text.trim_end().to_owned();
        for (n, place) in ARGUMENTS.into_iter().flatten().enumerate() {
            text = text.replace(&format!("{{{}}}", n + 1), place);
        }
        text
    }
}
