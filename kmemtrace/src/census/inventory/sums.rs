//! Zombies added up, by what keeps them and by whose they are.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{By, OwnerGroup, PinTotal, Zombie};
use crate::tracker;

/// How many there are of a kind, and what they hold.
type Sum = (u64, Option<u64>);

/// Adds up, most first.
fn sums<K: Ord>(list: &[Zombie], key: impl Fn(&Zombie) -> K) -> Vec<(K, Sum)> {
    let mut sums: BTreeMap<K, Sum> = BTreeMap::new();
    for zombie in list {
        let (zombies, bytes) = sums.entry(key(zombie)).or_insert((0, Some(0)));
        *zombies += 1;
        *bytes = bytes.and_then(|sum| sum.checked_add(zombie.held_bytes?));
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| Reverse(*sum));
    sums
}

/// Adds them up by what keeps them, most first.
pub(crate) fn pins(list: &[Zombie]) -> Vec<PinTotal> {
    let sums = sums(list, |zombie| zombie.pin);
    let total = |(pin, (zombies, held_bytes))| PinTotal {
        pin,
        zombies,
        held_bytes,
    };
    sums.into_iter().map(total).collect()
}

pub(crate) fn groups(list: &[Zombie], by: By) -> Vec<OwnerGroup> {
    let sums = sums(list, |zombie| match by {
        By::Pod => zombie.pod_uid.clone(),
        By::Namespace => zombie.pod_namespace.clone(),
        By::Unit => zombie.unit.clone(),
        By::Owner => {
            let (kind, name) = tracker::owner(zombie.path.as_bytes());
            Some(format!("{kind} {name}"))
        }
        By::Parent => zombie
            .path
            .rsplit_once('/')
            .map(|(parent, _)| match parent {
                "" => "/".to_owned(),
                parent => parent.to_owned(),
            }),
    });
    let names: HashMap<_, _> = match by {
        By::Pod => list.iter().map(|one| (&one.pod_uid, one.pod())).collect(),
        By::Namespace | By::Unit | By::Owner | By::Parent => HashMap::new(),
    };
    let group = |(name, (zombies, held_bytes))| OwnerGroup {
        pod: names.get(&name).cloned().flatten(),
        name,
        zombies,
        held_bytes,
    };
    sums.into_iter().map(group).collect()
}
