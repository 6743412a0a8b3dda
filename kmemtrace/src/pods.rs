//! Pods' names by their uids, as the node's log directories tell.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    attribution::{self, PodUid},
    event::{Event, Pod},
    host::{self, Root},
};

/// How often the directories are read again for a pod that is not known.
const AGAIN: Duration = Duration::from_secs(1);

/// So many names are kept; a node has some hundred pods at a time.
const MOST: usize = 65_536;

/// The names, those of pods included whose directories are gone since.
#[derive(Debug)]
pub(crate) struct Pods {
    root: Root,
    known: HashMap<PodUid, Arc<Pod>>,
    looked: Option<Instant>,
}

impl Pods {
    /// Of a machine, or of a copy of its files.
    pub(crate) fn new(root: Root) -> Self {
        Self {
            root,
            known: HashMap::new(),
            looked: None,
        }
    }

    /// What a pod is called, if that is known.
    pub(crate) fn get(&mut self, uid: PodUid) -> Option<&Arc<Pod>> {
        let rested = self.looked.is_none_or(|looked| looked.elapsed() >= AGAIN);
        if rested && !self.known.contains_key(&uid) {
            self.look();
        }
        self.known.get(&uid)
    }

    fn look(&mut self) {
        if self.known.len() > MOST {
            self.known.clear();
        }
        for directory in host::pod_logs(&self.root) {
            if let Some(logs) = attribution::pod_logs(&directory) {
                let pod = || Pod {
                    namespace: logs.namespace.to_owned(),
                    name: logs.name.to_owned(),
                };
                self.known.entry(logs.uid).or_insert_with(|| pod().into());
            }
        }
        self.looked = Some(Instant::now());
    }

    /// Says in an event what its cgroup's pod is called: a trace has it then, and whoever replays it.
    pub(crate) fn name(&mut self, event: &mut Event) {
        let Some(cgroup) = event.fact.cgroup_mut() else {
            return;
        };
        let path = cgroup.path.as_ref();
        if let Some(uid) = path.and_then(|path| attribution::owner(&path.bytes).pod_uid) {
            cgroup.pod = self.get(uid).cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::event::{Cgroup, Fact, Path, Stamp};

    const UID: &str = "74c13223-5a00-11e9-b385-42010a80018d";

    #[test]
    fn a_name_outlives_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join(format!("var/log/pods/shop_web-0_{UID}"));
        fs::create_dir_all(&logs).unwrap();
        let mut pods = Pods::new(Root::at(folder.path()));
        let mut named = |path: String| {
            let fact = Fact::Offlined(Cgroup {
                path: Some(Path::whole(path)),
                ..Cgroup::default()
            });
            let time = Stamp::default();
            let mut event = Event { time, fact };
            pods.name(&mut event);
            let pod = event
                .fact
                .cgroup_mut()
                .and_then(|cgroup| cgroup.pod.clone());
            pod.map(|pod| pod.to_string())
        };
        let path = format!("/kubepods/pod{UID}/c");
        assert_eq!(named(path.clone()).as_deref(), Some("shop/web-0"));
        fs::remove_dir(&logs).unwrap();
        assert_eq!(named(path).as_deref(), Some("shop/web-0"));
        assert_eq!(named("/system.slice/a.service".to_owned()), None);
        let other = UID.replace('7', "8");
        assert_eq!(named(format!("/kubepods/pod{other}")), None);
    }
}
