//! Counts by name, kept in the order in which they are shown: the highest first, then by name.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use foldhash::fast::RandomState;

/// How often each name counts. A name that counts no more is forgotten.
#[derive(Debug, PartialEq)]
pub(super) struct Ranking<N: Eq + Hash> {
    counts: HashMap<N, u64, RandomState>,
    order: BTreeSet<(Reverse<u64>, N)>,
}

impl<N: Eq + Hash> Default for Ranking<N> {
    fn default() -> Self {
        Self {
            counts: HashMap::default(),
            order: BTreeSet::new(),
        }
    }
}

impl<N: Clone + Eq + Hash + Ord> Ranking<N> {
    /// Counts a name once more, or once less.
    pub(super) fn count(&mut self, name: N, more: bool) {
        let (name, before) = match self.counts.get_key_value(&name) {
            Some((name, count)) => (name.clone(), *count),
            None => (name, 0),
        };
        let after = before.saturating_add_signed(if more { 1 } else { -1 });
        self.order.remove(&(Reverse(before), name.clone()));
        if after == 0 {
            self.counts.remove(&name);
        } else {
            self.order.insert((Reverse(after), name.clone()));
            self.counts.insert(name, after);
        }
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&N, u64)> {
        self.order.iter().map(|(count, name)| (name, count.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_come_first_and_then_the_names() {
        let mut ranking = Ranking::default();
        for name in ["b", "c", "a", "c"] {
            ranking.count(name, true);
        }
        let all = |ranking: &Ranking<&'static str>| {
            let all = ranking.iter().map(|(name, count)| (*name, count));
            all.collect::<Vec<_>>()
        };
        assert_eq!(all(&ranking), [("c", 2), ("a", 1), ("b", 1)]);
        ranking.count("c", false);
        ranking.count("a", false);
        assert_eq!(all(&ranking), [("b", 1), ("c", 1)]);
        ranking.count("never", false);
        assert_eq!(all(&ranking), [("b", 1), ("c", 1)]);
    }
}
