//! What state a node is in, by what was counted and what failed: one judgement for every verb. Pure.

use rustix::io::Errno;
use serde::Serialize;

use crate::{
    event::MEMCG_IDS,
    history::{self, Has},
};

/// So many zombies are nothing to speak of where they do not keep their ids: cgroups come and go, and page cache of a removed
/// container is kept as long as there is memory.
const FEW: u64 = 50;

/// The state in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No zombies, or too few to matter where they do not keep their ids, and nothing that would make them leak.
    Healthy,
    /// Nothing has leaked, but what leaks is switched on.
    AtRisk,
    /// Many zombies, which do not keep their ids, or of which that is not known.
    PilingUp,
    /// Zombies keep their ids, and will until the ids are used up.
    Leaking,
    /// The ids are used up, or were.
    Exhausted,
    /// Live memory cgroups use up the ids: nobody removes them.
    Crowded,
    /// Memory cgroups could not be made, but their ids are not used up, or it cannot be told.
    Failing,
    /// Could not be told.
    #[default]
    Unknown,
}

/// The answer to "does it leak?": of a look, of a run, of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing leaked: every memcg that was removed has been freed.
    Clean,
    /// A leak was found: memcgs are leaked, or none can be made.
    Leak,
    /// It cannot be told: zombies are left, and none that can be called leaked.
    Unknown,
}

impl Answer {
    /// Of two looks or runs: a leak in one is a leak.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Leak, _) | (_, Self::Leak) => Self::Leak,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Clean, Self::Clean) => Self::Clean,
        }
    }
}

impl From<State> for Answer {
    fn from(state: State) -> Self {
        match state.is_affected() {
            Some(false) => Self::Clean,
            Some(true) => Self::Leak,
            None => Self::Unknown,
        }
    }
}

impl State {
    /// As it is in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::AtRisk => "at-risk",
            Self::PilingUp => "piling-up",
            Self::Leaking => "leaking",
            Self::Exhausted => "exhausted",
            Self::Crowded => "crowded",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
        }
    }

    /// Whether somebody should look into it; `None` if that cannot be told.
    pub const fn is_affected(self) -> Option<bool> {
        match self {
            Self::Healthy => Some(false),
            Self::AtRisk
            | Self::PilingUp
            | Self::Leaking
            | Self::Exhausted
            | Self::Crowded
            | Self::Failing => Some(true),
            Self::Unknown => None,
        }
    }
}

/// Whether a zombie keeps its memcg id until it is freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// It does: before 4.8, but for stable series that took that back, and on all of RHEL 7.
    Yes,
    /// The kernel takes it back at removal, unless entries in swap hold it ([`history::FREES_IDS`]).
    No,
    /// The kernel's release does not tell.
    #[default]
    Unknown,
}

/// memcg ids in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// So many at least.
    pub min: u64,
    /// So many at most; `None` if that cannot be told.
    pub max: Option<u64>,
}

/// How many memory cgroups beyond 65,535 prove that zombies do not keep their ids: a count may be off by what is just being
/// freed.
const BEYOND: u64 = 1000;

impl Kept {
    /// What the kernel's release tells.
    pub fn by(release: Option<&str>) -> Self {
        match release.map(|release| history::FREES_IDS.is_in(release)) {
            Some(Has::Yes) => Self::No,
            Some(Has::No) => Self::Yes,
            Some(Has::Unknown) | None => Self::Unknown,
        }
    }

    /// What the running system shows, which beats the release: `counted` zombies beside so many live ones, or a count that
    /// leaves zombies out, as that of 3.10 does alone.
    #[must_use]
    pub fn shown(self, live: u64, counted: u64, leaves_out: bool) -> Self {
        let all = live.saturating_add(counted);
        if leaves_out {
            Self::Yes
        } else if all > MEMCG_IDS + BEYOND {
            Self::No
        } else if self == Self::Unknown
            && counted > live
            && (MEMCG_IDS..=MEMCG_IDS + 1).contains(&all)
        {
            // The count stands where the ids end.
            Self::Yes
        } else {
            self
        }
    }

    /// How many ids are in use with so many live memory cgroups, and with zombies between `min` and `max`.
    pub fn ids(self, live: u64, min: u64, max: Option<u64>) -> Ids {
        let (kept_min, kept_max) = match self {
            Self::Yes => (min, max),
            Self::No => (0, Some(0)),
            Self::Unknown => (0, max),
        };
        let all = |kept: u64| live.saturating_add(kept).min(MEMCG_IDS);
        Ids {
            min: all(kept_min),
            max: kept_max.map(all),
        }
    }

    /// How many ids are in use at most with so many memory cgroups.
    pub fn used(self, live: u64, zombies: u64) -> u64 {
        let ids = self.ids(live, zombies, Some(zombies));
        ids.max.unwrap_or(ids.min)
    }

    /// How many ids are left then.
    pub fn left(self, live: u64, zombies: u64) -> u64 {
        MEMCG_IDS - self.used(live, zombies)
    }
}

/// Memory cgroups that could not be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// None, as far as is known.
    #[default]
    No,
    /// Somebody says so, or the kernel does with an error that has other causes as well (`ENOMEM`: a limit above).
    Told,
    /// The kernel said so to us, or under our eyes, with an error that has no other cause in the memory hierarchy: `ENOSPC`,
    /// or `ENOMEM` at the hierarchy's root with memory free (`mem_cgroup_alloc`, before that `idr_alloc` of the css id).
    Proved,
}

impl Refused {
    /// What the kernel's taking back of one that it had begun to make says: it was `ENOMEM` or `ENOSPC`.
    pub const ROLLED_BACK: Self = Self::Told;

    /// What an error of mkdir in the memory hierarchy says. `ENOMEM` proves it where no memory limit can be the reason: at the
    /// hierarchy's root, with memory free. Other errors are the caller's own: a limit on the number of cgroups, a name that is taken.
    pub fn by(errno: Option<i32>, no_limit: bool) -> Self {
        match errno.map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC) => Self::Proved,
            Some(Errno::NOMEM) if no_limit => Self::Proved,
            Some(Errno::NOMEM) => Self::Told,
            _ => Self::No,
        }
    }
}

/// Whether so many live ones alone use up the ids: of twenty one is left at most.
pub fn is_crowded(live: u64) -> bool {
    live >= MEMCG_IDS - MEMCG_IDS / 20
}

/// Whether all ids are taken, so many being in use at least, or were at one time.
pub fn all_taken(ids_min: u64, ids_peak: Option<u64>) -> bool {
    ids_min >= MEMCG_IDS || ids_peak.is_some_and(|peak| peak >= MEMCG_IDS)
}

/// What a judgement rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// Memory cgroups with a directory.
    pub live: u64,
    /// Zombies that are not just being freed, at least.
    pub staying: u64,
    /// That there are none is known.
    pub none: bool,
    /// memcg ids in use, at least.
    pub ids_min: u64,
    /// memcg ids in use at one time, as far as slab caches' names tell.
    pub ids_peak: Option<u64>,
    /// Whether zombies keep their ids.
    pub kept: Kept,
    /// Whether memory cgroups could not be made.
    pub refused: Refused,
    /// One could be made just now: so no id is short, or no longer.
    pub made: bool,
}

impl Signs {
    /// Whether all ids are taken, or were at one time.
    pub fn all_taken(&self) -> bool {
        all_taken(self.ids_min, self.ids_peak)
    }

    /// Whether live ones alone use up the ids.
    pub fn is_crowded(&self) -> bool {
        is_crowded(self.live)
    }

    /// Whether zombies are too many to be what removed containers leave for a while.
    pub fn are_many(&self) -> bool {
        self.staying > FEW.max(self.live)
    }

    /// The state.
    pub fn state(&self) -> State {
        let keeps = self.kept != Kept::No;
        let refused = if self.made { Refused::No } else { self.refused };
        let taken = self.all_taken() && self.staying > 0 && !self.made;
        if self.is_crowded() {
            State::Crowded
        } else if keeps && (taken || refused == Refused::Proved) {
            State::Exhausted
        } else if self.kept == Kept::Yes && self.staying > 0 {
            State::Leaking
        } else if refused == Refused::Proved || refused == Refused::Told && !self.are_many() {
            State::Failing
        } else if self.are_many() {
            // Where it is not known whether they keep their ids, this much is true.
            State::PilingUp
        } else if self.none || self.kept == Kept::No && self.staying > 0 {
            State::Healthy
        } else {
            State::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signs(kept: Kept, live: u64, staying: u64) -> Signs {
        Signs {
            live,
            staying,
            none: staying == 0,
            ids_min: kept.ids(live, staying, Some(staying)).min,
            kept,
            ..Signs::default()
        }
    }

    #[test]
    fn who_keeps_ids() {
        for (release, kept) in [
            (Some("3.10.0-1160.el7.x86_64"), Kept::Yes),
            // the remedy on the same distribution
            (Some("5.4.278-1.el7.elrepo.x86_64"), Kept::No),
            (Some("4.7.0"), Kept::Yes),
            (Some("4.7.10"), Kept::Unknown),
            (Some("4.8.0"), Kept::No),
            (Some("4.14.67"), Kept::No),
            (Some("6.1.0-40-cloud-amd64"), Kept::No),
            (Some("4.4.248-1.el7.elrepo.x86_64"), Kept::No),
            (
                Some("4.4.58-20171215.kylin.server.YUN+-generic"),
                Kept::Unknown,
            ),
            (Some("custom"), Kept::Unknown),
            (Some("99999999999999.1"), Kept::Unknown),
            (None, Kept::Unknown),
        ] {
            assert_eq!(Kept::by(release), kept, "{release:?}");
        }
    }

    #[test]
    fn one_threshold() {
        let state = |kept, live, staying| signs(kept, live, staying).state();
        assert_eq!(state(Kept::No, 8, 0), State::Healthy);
        assert_eq!(state(Kept::No, 8, 44), State::Healthy);
        assert_eq!(state(Kept::No, 8, 50), State::Healthy);
        assert_eq!(state(Kept::No, 8, 51), State::PilingUp);
        assert_eq!(state(Kept::No, 400, 400), State::Healthy);
        assert_eq!(state(Kept::Yes, 8, 1), State::Leaking);
        assert_eq!(state(Kept::Yes, 4, 65_531), State::Exhausted);
        assert_eq!(state(Kept::No, 4, 70_000), State::PilingUp);
        assert_eq!(state(Kept::Unknown, 4, 9_000), State::PilingUp);
        assert_eq!(state(Kept::Unknown, 4, 9), State::Unknown);
        assert_eq!(Signs::default().state(), State::Unknown);
    }

    #[test]
    fn what_shows_beats_the_release() {
        use Kept::{No, Unknown, Yes};
        for (release, live, counted, leaves_out, right) in [
            (Unknown, 3, 65_532, false, Yes),
            (Unknown, 3, 65_533, false, Yes),
            (Unknown, 3, 60_000, false, Unknown),
            (Unknown, 3, 70_000, false, No),
            (Yes, 3, 70_000, false, No),
            (Yes, 3, 65_533, false, Yes),
            (No, 3, 65_532, false, No),
            // Live ones that use them up show nothing of zombies.
            (Unknown, 65_000, 535, false, Unknown),
            (No, 3, 0, true, Yes),
        ] {
            let shown = release.shown(live, counted, leaves_out);
            assert_eq!(shown, right, "{release:?} {live} {counted}");
        }
    }

    /// What the names of slab caches tell, where nothing counts: `el7-514-exhausted-65531` of the recordings.
    #[test]
    fn ids_that_were_used_up_are_used_up_until_one_can_be_made() {
        let mut signs = Signs {
            ids_min: 5,
            ids_peak: Some(65_535),
            ..signs(Kept::Yes, 4, 1)
        };
        assert_eq!(signs.state(), State::Exhausted);
        signs.made = true;
        assert_eq!(signs.state(), State::Leaking);
        signs.ids_peak = Some(65_534);
        signs.made = false;
        assert_eq!(signs.state(), State::Leaking);
    }

    #[test]
    fn ids_that_live_ones_use_are_no_leak() {
        assert_eq!(signs(Kept::Yes, 64_734, 0).state(), State::Crowded);
        assert_eq!(signs(Kept::No, 64_734, 9).state(), State::Crowded);
        assert_eq!(signs(Kept::Yes, 60_000, 0).state(), State::Healthy);
    }

    #[test]
    fn a_memory_cgroup_that_could_not_be_made_is_never_nothing() {
        use Refused::{Proved, Told};
        let state = |kept, staying, refused, made| {
            let signs = Signs {
                refused,
                made,
                none: false,
                ..signs(kept, 4, staying)
            };
            signs.state()
        };
        assert_eq!(state(Kept::Yes, 0, Proved, false), State::Exhausted);
        assert_eq!(state(Kept::Unknown, 3, Proved, false), State::Exhausted);
        assert_eq!(state(Kept::No, 3, Proved, false), State::Failing);
        assert_eq!(state(Kept::Yes, 3, Told, false), State::Leaking);
        assert_eq!(state(Kept::Yes, 0, Told, false), State::Failing);
        assert_eq!(state(Kept::Yes, 0, Told, true), State::Unknown);
        assert_eq!(state(Kept::No, 60, Told, true), State::PilingUp);
        // Whatever a log says, the zombies are there.
        assert_eq!(state(Kept::No, 60, Told, false), State::PilingUp);
        assert_eq!(state(Kept::No, 60, Proved, false), State::Failing);
    }

    fn any_signs() -> impl Strategy<Value = Signs> {
        let kept = prop_oneof![Just(Kept::Yes), Just(Kept::No), Just(Kept::Unknown)];
        let refused = prop_oneof![
            Just(Refused::No),
            Just(Refused::Told),
            Just(Refused::Proved)
        ];
        let number = || prop_oneof![0..200u64, 65_400..65_600u64];
        (
            (number(), number(), any::<bool>()),
            (proptest::option::of(number()), kept, refused, any::<bool>()),
        )
            .prop_map(
                |((live, staying, none), (ids_peak, kept, refused, made))| Signs {
                    ids_peak,
                    refused,
                    made,
                    none: none && staying == 0,
                    ..signs(kept, live, staying)
                },
            )
    }

    proptest! {
        /// More that is wrong never makes it look better, and what is not known is never well.
        #[test]
        fn bad_news_never_help(signs in any_signs()) {
            let rank = |state| match state {
                State::Unknown | State::Healthy => 0,
                State::AtRisk | State::PilingUp => 2,
                State::Failing | State::Leaking => 3,
                State::Exhausted | State::Crowded => 4,
            };
            let state = signs.state();
            let worse = Signs { refused: Refused::Proved, made: false, ..signs };
            prop_assert!(rank(worse.state()) >= rank(state).min(3));
            let more = Signs { staying: signs.staying + 1000, none: false, ..signs };
            prop_assert!(rank(more.state()) >= rank(state).min(2));
            let few = signs.kept == Kept::No && signs.staying > 0;
            prop_assert!(state != State::Healthy || signs.none || few);
            prop_assert_eq!(state.is_affected() == Some(true), rank(state) >= 2);
        }
    }
}
