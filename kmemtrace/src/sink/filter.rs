//! Which changes are shown: a pure choice, and a sink that makes it.

use std::io;

use globset::{GlobBuilder, GlobMatcher};

use super::Sink;
use crate::{
    attribution,
    event::{Path, Stamp, header::Header},
    tracker::{Change, Status, Subject, What},
};

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Everything, not only what went wrong.
    pub all: bool,
    /// Nothing but the summary.
    pub quiet: bool,
    /// Only cgroups whose path matches.
    pub cgroup: Option<GlobMatcher>,
    /// Only cgroups of the pod whose uid begins so.
    pub pod: Option<String>,
}

/// A sink that gets what a filter lets through.
pub struct Filtered {
    filter: Filter,
    sink: Box<dyn Sink>,
}

impl Filtered {
    /// This sink, with this filter before it.
    pub fn new(filter: Filter, sink: Box<dyn Sink>) -> Self {
        Self { filter, sink }
    }
}

impl Sink for Filtered {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.sink.header(time, header)
    }

    fn change(&mut self, change: &Change, state: Status<'_>) -> io::Result<()> {
        if self.filter.shows(change) {
            self.sink.change(change, state)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    fn end(&mut self, time: Stamp, state: Status<'_>) -> io::Result<()> {
        // The summary passes every filter.
        self.sink.end(time, state)
    }

    fn shows_lives(&self) -> bool {
        self.filter.shows_lives() && self.sink.shows_lives()
    }
}

/// Parses a glob over whole paths: `*` stays within a name, `**` crosses directories.
///
/// # Errors
///
/// It is no glob.
pub fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
}

impl Filter {
    /// Whether a life in good order is shown.
    pub fn shows_lives(&self) -> bool {
        self.all && !self.quiet
    }

    /// Whether a change is shown. Walks, gaps and the summary always are: without them the rest would be misread.
    pub fn shows(&self, change: &Change) -> bool {
        if self.quiet {
            return matches!(change.what, What::Summary(_));
        }
        match &change.what {
            // An allocation has no cgroup to be chosen by.
            What::Walked { .. }
            | What::Gap(_)
            | What::Summary(_)
            | What::SlabFailure(_)
            | What::LeakedUnseen { .. } => true,
            What::Leaked(subject) | What::Recovered(subject) => self.wants(subject),
            What::Created(subject)
            | What::Offlined(subject)
            | What::Freed(subject)
            | What::Renamed(subject)
            | What::Present(subject)
            | What::Zombie(subject) => self.all && self.wants(subject),
            What::Tick(_) => self.all,
            What::MkdirFailure(failure) => self.wants_path(failure.path.as_ref()),
        }
    }

    fn wants(&self, subject: &Subject) -> bool {
        self.wants_path(subject.cgroup.path.as_ref())
    }

    fn wants_path(&self, path: Option<&Path>) -> bool {
        if self.cgroup.is_none() && self.pod.is_none() {
            return true;
        }
        let Some(path) = path else {
            return false;
        };
        let text = String::from_utf8_lossy(&path.bytes);
        let of_pod = |pod: &String| {
            attribution::owner(&path.bytes)
                .pod_uid
                .is_some_and(|uid| uid.as_str().starts_with(pod.as_str()))
        };
        self.cgroup
            .as_ref()
            .is_none_or(|glob| glob.is_match(text.as_ref()))
            && self.pod.as_ref().is_none_or(of_pod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Cgroup, Counts, Event, Fact, MkdirFailure, Stamp},
        tracker::{Config, Kept, Tracker},
    };

    const POD: &str = "/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d/c";

    /// The changes that a life in a cgroup makes, up to its leak.
    fn changes(path: &'static str) -> Vec<Change> {
        let mut tracker = Tracker::new(Config {
            grace: std::time::Duration::from_nanos(10),
            polled: false,
            kept: Kept::No,
        });
        let mut changes = Vec::new();
        let cgroup = || Cgroup {
            id: Some(9),
            path: Some(Path::whole(path)),
            ..Cgroup::default()
        };
        let failure = MkdirFailure {
            path: Some(Path::whole(path)),
            ..MkdirFailure::default()
        };
        for (at, fact) in [
            (1, Fact::Created(cgroup())),
            (2, Fact::Offlined(cgroup())),
            (3, Fact::MkdirFailure(failure)),
            (20, Fact::Tick(Counts::default())),
        ] {
            let time = Stamp {
                mono_ns: at,
                wall_ns: 0,
            };
            tracker.apply(&Event { time, fact }, &mut changes);
        }
        changes
    }

    fn shown(filter: &Filter, path: &'static str) -> usize {
        changes(path)
            .iter()
            .filter(|change| filter.shows(change))
            .count()
    }

    #[test]
    fn leaks_and_failures_only_unless_all() {
        assert_eq!(shown(&Filter::default(), "/a"), 2);
        assert_eq!(
            shown(
                &Filter {
                    all: true,
                    ..Filter::default()
                },
                "/a"
            ),
            5
        );
    }

    #[test]
    fn a_glob_is_over_the_whole_path() {
        let by = |text| Filter {
            cgroup: Some(glob(text).unwrap()),
            ..Filter::default()
        };
        assert_eq!(shown(&by("/kubepods/**"), POD), 2);
        assert_eq!(shown(&by("/kubepods/*"), POD), 0);
        assert_eq!(shown(&by("/system.slice/**"), POD), 0);
        assert!(glob("/a[").is_err());
    }

    #[test]
    fn a_pod_by_the_beginning_of_its_uid() {
        let by = |uid: &str| Filter {
            pod: Some(uid.to_owned()),
            ..Filter::default()
        };
        assert_eq!(shown(&by("74c13223"), POD), 2);
        assert_eq!(shown(&by("5a00"), POD), 0);
        assert_eq!(shown(&by("74c13223"), "/system.slice/a.service"), 0);
    }
}
