//! What is ahead, in one line.

use std::fmt::{self, Display};

use crate::{
    event::MEMCG_IDS,
    text::units::{Bytes, Duration},
    tracker::{Forecast, Range},
};

/// A forecast as people read it.
pub(crate) struct ForecastLine<'a>(pub(crate) &'a Forecast);

impl Display for ForecastLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forecast {
            ids_kept,
            ids_used,
            per_day,
            zombie_bytes,
            bytes_per_day,
            ..
        } = *self.0;
        if ids_kept == Some(false) {
            f.write_str("ids are not at risk")?;
            return match (zombie_bytes, bytes_per_day, per_day) {
                (Some(bytes), Some(more), _) => {
                    let more = Paced(more, |bytes| Bytes(bytes as u64).to_string());
                    write!(f, "; {} are, growing by {more}", Bytes(bytes))
                }
                (Some(bytes), None, _) => write!(f, "; {} are", Bytes(bytes)),
                (None, _, Some(more)) => {
                    write!(f, "; zombies come by {}", Paced(more, number))
                }
                (None, _, None) => Ok(()),
            };
        }
        if ids_used >= MEMCG_IDS {
            return f.write_str("no id is left: no cgroup can be made");
        }
        if ids_kept.is_none() {
            f.write_str("if zombies keep their ids: ")?;
        }
        let soonest = self.0.ids_out_min_ns.map(Duration);
        let latest = self.0.ids_out_max_ns.map(Duration);
        match (soonest, latest, per_day) {
            (Some(soonest), Some(latest), Some(more)) => {
                let more = Paced(more, number);
                write!(f, "no id is left in {soonest} to {latest}, at {more}")
            }
            _ => f.write_str("too few leaked to say when no id is left"),
        }
    }
}

/// So much a day, and between what.
struct Paced(Range, fn(f64) -> String);

impl Display for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(Range { min, seen, max }, text) = self;
        let [min, seen, max] = [min, seen, max].map(text);
        write!(f, "{seen} a day ({min} to {max})")
    }
}

fn number(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::tracker::{HeldBytes, Kept, LeakCount};

    #[test]
    fn what_is_at_risk_is_said_with_its_range() {
        let ahead = |kept, used, leaked, all: Option<u64>| {
            let hour = 3_600_000_000_000;
            let seen = LeakCount {
                leaked,
                over_ns: hour,
            };
            let held = HeldBytes {
                all,
                paced: iter::repeat_n(1 << 20, all.map_or(0, |_| 100)).collect(),
            };
            ForecastLine(&Forecast::new(kept, used, seen, None, held)).to_string()
        };
        let mib = Some(100 << 20);
        let lines = [
            ahead(Kept::Yes, 63_135, 100, None),
            ahead(Kept::Unknown, 63_135, 3, None),
            ahead(Kept::Yes, 100, 2, None),
            ahead(Kept::Yes, 65_535, 100, None),
            ahead(Kept::No, 100, 100, mib),
            ahead(Kept::No, 100, 2, mib),
            ahead(Kept::No, 100, 100, None),
            ahead(Kept::No, 100, 1, None),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
