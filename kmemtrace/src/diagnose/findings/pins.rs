//! What pins the zombies.

use super::Question;
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{
        Era, Evidence, Facts, Finding, Group, Origin, Verdict, era::page_cache_pins,
        facts::ZombieHoldings,
    },
    host::{SlabLayout, Version},
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "pins",
    group: Group::Cause,
    answer: |case| Some(pins(case.facts, case.era)),
};

/// What zombies hold, by kind: where they do not keep their ids, this is what they cost.
fn pins(facts: &Facts, era: Option<(Era, Origin)>) -> Finding {
    let zombies = facts
        .count
        .as_ref()
        .map_or(0, |count| count.zombies_max.unwrap_or(count.zombies_min));
    if facts.count.is_ok() && zombies == 0 {
        return QUESTION.finding(Verdict::Ok, Message::new(say::PINS_NO_ZOMBIES));
    }
    let era = era.map(|(era, _)| era);
    let slab = slab_pins(facts, era);
    if era == Some(Era::OptIn) && !page_cache_pins(facts, era) {
        return pinned_by_kernel_memory(facts);
    }
    if let Some(pinned) = &facts.pinned {
        let says = Message::new(say::PINS_WALKED)
            .arg("zombies", pinned.zombies)
            .arg("pins", pinned.says.clone());
        return QUESTION
            .finding(Verdict::Ok, says)
            .meaning(Message::new(say::PINS_MEANING))
            .evidence([Evidence::of_walk(
                Message::new(say::PINS_WALK)
                    .arg("memcgs", pinned.memcgs)
                    .arg("zombies", pinned.zombies),
            )])
            .verify(Message::new(say::IDS_VERIFY));
    }
    let held = match &facts.held {
        Ok(held) => held,
        Err(unread) => return QUESTION.unknown(unread),
    };
    let parts = parts(facts, held, slab).into_iter();
    let Some(list) = Message::list(parts) else {
        let says = Message::new(say::PINS_NOTHING_SEEN).arg("blind", held.blind);
        return QUESTION.finding(Verdict::Unknown, says);
    };
    let says = Message::new(say::PINS_HELD)
        .arg("directories", held.below.len() as u64)
        .arg("held", list);
    let meaning = if slab == Some(false) {
        say::PINS_MEANING
    } else {
        say::PINS_MEANING_SLAB
    };
    QUESTION
        .finding(Verdict::Ok, says)
        .meaning(Message::new(meaning))
}

/// Whether slab objects keep the memcg that they were charged to: not where they go to the parent at rmdir
/// (`memcg_reparent_kmem_caches`). `None` if nothing tells.
pub(in crate::diagnose) fn slab_pins(facts: &Facts, era: Option<Era>) -> Option<bool> {
    let top_level = facts.layout == Some(SlabLayout::TopLevel);
    let era = era.map(|era| matches!(era, Era::OptIn | Era::KeepsIds | Era::FreesIds));
    if top_level { Some(true) } else { era }
}

/// Kernel memory that zombies hold where slab keeps them: slab above all.
pub(in crate::diagnose) fn kernel_memory(facts: &Facts) -> u64 {
    let Ok(held) = &facts.held else { return 0 };
    let v2 = facts
        .hierarchy
        .as_ref()
        .is_ok_and(|at| at.version == Version::V2);
    // On such kernels the lists' lengths are exact (`lru_zone_size`): what is on none of them is kernel memory. v1 counts it.
    let unlisted = if v2 { held.sum.other } else { 0 };
    let sum = held.sum.kernel.saturating_add(held.sum.slab);
    sum.saturating_add(unlisted)
}

fn pinned_by_kernel_memory(facts: &Facts) -> Finding {
    let count = facts.count.as_ref().ok();
    let counted = count.and_then(|count| count.held_bytes);
    let held = counted.or_else(|| Some(kernel_memory(facts)).filter(|&bytes| bytes > 0));
    let caches = count.map_or(0, |count| count.with_caches);
    let (verdict, id) = match (held, caches) {
        (Some(_), 0) => (Verdict::Ok, say::PINS_KERNEL_MEMORY),
        (Some(_), _) => (Verdict::Ok, say::PINS_CACHES_AND_KERNEL_MEMORY),
        (None, 0) => (Verdict::Unknown, say::PINS_KERNEL_MEMORY_UNTOLD),
        (None, _) => (Verdict::Ok, say::PINS_CACHES),
    };
    let says = Message::new(id)
        .arg("memcgs", caches)
        .arg("held", Arg::Bytes(held.unwrap_or(0)));
    QUESTION.finding(verdict, says)
}

/// What zombies hold, by kind.
fn parts(facts: &Facts, held: &ZombieHoldings, slab: Option<bool>) -> Vec<Message> {
    let sum = held.sum;
    let kernel = kernel_memory(facts);
    // What a directory was left by its children is its own.
    let (slab_part, kernel, other) = match slab {
        Some(true) => (
            say::HELD_SLAB_AND_KERNEL,
            kernel,
            // Sums of numbers from outside stop at the largest.
            sum.total()
                .saturating_sub(sum.listed())
                .saturating_sub(kernel),
        ),
        Some(false) => (say::HELD_KERNEL_PERHAPS, 0, sum.other),
        None => (
            say::HELD_KERNEL_PERHAPS,
            sum.kernel.saturating_add(sum.slab),
            sum.other,
        ),
    };
    let caches = facts.count.as_ref().map_or(0, |count| count.with_caches);
    let caches = (slab == Some(true) && caches > 0)
        .then(|| Message::new(say::HELD_CACHES).arg("memcgs", caches));
    let by_kind = [
        (slab_part, kernel),
        (say::HELD_FILE, sum.file),
        (say::HELD_SHMEM, sum.shmem),
        (say::HELD_SWAP_BACKED, sum.swap_backed),
        (say::HELD_ANON, sum.anon),
        (say::HELD_SOCK, sum.sock),
        (say::HELD_UNTOLD, other),
    ];
    let by_kind = by_kind.into_iter().filter(|(_, bytes)| *bytes > 0);
    let by_kind = by_kind.map(|(id, bytes)| Message::new(id).arg("bytes", Arg::Bytes(bytes)));
    caches.into_iter().chain(by_kind).collect()
}
