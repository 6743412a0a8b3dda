//! For whatever name there is.

use proptest::{collection::vec, prelude::*};

use super::*;

proptest! {
    #[test]
    fn no_name_gets_through_unescaped(path: Vec<u8>, text: String, comm in vec(1..=255_u8, 0..=16)) {
        for path in [path, text.into_bytes()] {
            let cgroup = Cgroup { task: task(1, &comm), ..cgroup(5, path) };
            let failure = MkdirFailure {
                path: cgroup.path.clone(),
                task: cgroup.task,
                ..MkdirFailure::default()
            };
            let created = Change {
                time: at(1), what: What::Created(subject(cgroup)), totals: Totals::default(),
            };
            let failed = Change { what: What::MkdirFailure(failure), ..created.clone() };
            let tracker = tracker();
            let mut json = JsonLines::new(Vec::new());
            let mut tail = Tail::new(Vec::new(), TailOptions::default());
            for change in [created, failed] {
                json.change(&change, tracker.state()).unwrap();
                tail.change(&change, tracker.state()).unwrap();
            }
            for out in [json.into_inner(), tail.into_inner()] {
                let out = String::from_utf8(out).unwrap();
                prop_assert_eq!(out.lines().count(), 2);
                let hidden = |c| c != '\n' && crate::text::escape::is_hidden(c);
                prop_assert!(!out.chars().any(hidden), "{:?}", out);
            }
        }
    }
}
