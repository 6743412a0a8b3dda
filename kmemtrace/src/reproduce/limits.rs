//! How many memory cgroups may be made: pure.

use crate::{diagnose::facts::MemcgCount, error::Error};

/// With fewer free ids than this nothing is made.
const SCARCE: u64 = 1_000;

/// Refuses what would take more than a tenth of the free ids. Where zombies are not counted, the most that there ever were
/// at one time count as taken.
pub(crate) fn check(found: &MemcgCount, count: u64) -> Result<(), Error> {
    let zombies = found
        .zombies_max
        .unwrap_or_else(|| found.peak.unwrap_or(0).max(found.zombies_min));
    let taken = found.ids_min.max(found.live.saturating_add(zombies));
    let free = found.capacity.saturating_sub(taken);
    if count == 0 {
        return Err(Error::new("cannot make 0 memory cgroups").help("--count 10"));
    }
    if free < SCARCE {
        return Err(Error::new(format!(
            "cannot make memory cgroups: ids are scarce, {free} of {} are free at the least",
            found.capacity
        ))
        .help("`kmemtrace diagnose` says what to do"));
    }
    if count > free / 10 {
        return Err(Error::new(format!(
            "cannot make {count} memory cgroups: more than a tenth of the {free} free ids"
        ))
        .help(format!("--count {}", free / 10)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(live: u64, zombies_max: Option<u64>, peak: Option<u64>) -> MemcgCount {
        MemcgCount {
            live,
            zombies_max,
            peak,
            ids_min: live,
            capacity: 65_535,
            ..MemcgCount::default()
        }
    }

    #[test]
    fn no_more_than_a_tenth_of_the_free_ids() {
        let none = found(35, Some(500), None);
        assert!(check(&none, 6_500).is_ok());
        let error = check(&none, 6_501).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot make 6501 memory cgroups: more than a tenth of the 65000 free ids\nhelp: --count 6500"
        );
        assert!(check(&none, 0).is_err());
    }

    #[test]
    fn none_when_ids_are_scarce_or_may_be() {
        assert!(check(&found(64_600, Some(0), None), 10).is_err());
        // 3.10: the count leaves zombies out, and there were that many at one time.
        assert!(check(&found(4, None, Some(65_534)), 10).is_err());
        assert!(check(&found(4, None, Some(900)), 10).is_ok());
    }
}
