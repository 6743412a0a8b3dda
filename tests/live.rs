//! On the running kernel, as root: real cgroups, real zombies. What a test watches with is in its name: `live::bpf::...`.

mod contradicted;
mod disposable;
mod ends;
mod expected;
mod failures;
mod files;
mod hostile;
mod kinds;
mod leaks;
mod parity;
mod pins;
mod reclaim;
mod recording;
mod shared;
mod simulated;
mod source;
mod storm;
mod terminal;
mod tracefs;
mod view;
mod walk;
mod world;

use libtest_mimic::Trial;

pub(crate) use view::hide;
pub(crate) use world::Turn;

use crate::harness::{Result, not_quiet, test_if, too_slow};
use source::{SOURCES, Source};

/// A test of any source.
type OfSource = fn(&Source) -> Result;

/// What every source must see alike.
const ALIKE: [(&str, OfSource); 6] = [
    ("leaks_and_recoveries", source::leaks),
    ("zombies_from_before_are_counted", source::inherited),
    ("a_run_without_leak_exits_0", source::clean_run),
    ("hostile_names_arrive_whole", source::names),
    ("a_wide_directory_is_followed", source::wide),
    ("a_replay_shows_what_was_shown", recording::replays),
];

pub(crate) fn tests() -> Vec<Trial> {
    let alike = SOURCES.iter().chain([&simulated::SOURCE]);
    let alike = alike.flat_map(|source| {
        ALIKE.iter().map(|(name, run)| {
            let run = || run(source);
            test_if(
                &format!("live::{}::{name}", source.name),
                source.missing,
                run,
            )
        })
    });
    let counted = SOURCES.iter().chain([&simulated::SOURCE]).map(|source| {
        let name = format!("live::{}::zombies_of_each_kind_are_counted", source.name);
        let missing = || not_quiet().or_else(source.missing);
        test_if(&name, missing, || kinds::by_source(source))
    });
    let hooks = SOURCES.iter().map(|source| {
        let name = format!("live::{}::hooks_are_those_of_the_table", source.name);
        test_if(&name, expected::missing, || expected::hooks(source))
    });
    let off = SOURCES.iter().filter(|source| source.name != "tracefs");
    let off = off.map(|source| {
        let name = format!("live::{}::memory_switched_off_ends_memcgs", source.name);
        let missing = || source::missing_switch(source);
        test_if(&name, missing, || source::memory_off_and_on(source))
    });
    let followed = SOURCES.iter().filter(|source| source.name != "sysfs");
    let contradicted = followed.map(|source| {
        let name = format!("live::{}::a_count_that_contradicts_is_told", source.name);
        let missing = || world::missing_v1().or_else(source.missing);
        let run = || contradicted::said_and_corrected(source);
        test_if(&name, missing, run)
    });
    alike
        .chain(counted)
        .chain(hooks)
        .chain(off)
        .chain(contradicted)
        .chain(bpf())
        .chain(traced())
        .chain(older())
        .chain(others())
        .collect()
}

/// By eBPF alone.
fn bpf() -> Vec<Trial> {
    let bpf = |name: &str, run: fn() -> Result| {
        test_if(&format!("live::bpf::{name}"), world::missing, run)
    };
    let v1 = |name: &str, run: fn() -> Result| {
        test_if(&format!("live::bpf::{name}"), world::missing_v1, run)
    };
    vec![
        bpf("pods_leak_and_recover_by_tp_btf", leaks::pods_by_tp_btf),
        bpf("pods_leak_and_recover_by_raw_tp", leaks::pods_by_raw_tp),
        bpf(
            "pods_leak_and_recover_by_tracepoint",
            leaks::pods_by_tracepoint,
        ),
        bpf("who_leaks_most_stands_on_top", leaks::crash_loop),
        v1(
            "other_hierarchies_are_not_reported",
            leaks::other_hierarchies,
        ),
        bpf("hostile_names_do_not_reach_the_terminal", hostile::shown),
        bpf("deep_paths_arrive_whole", hostile::deep),
        v1("a_renamed_cgroup_is_followed", hostile::renamed),
        test_if(
            "live::bpf::a_storm_loses_nothing_uncounted",
            || too_slow().or_else(world::missing),
            storm::default_ring,
        ),
        bpf(
            "a_full_ring_is_a_gap_and_the_counts_recover",
            storm::small_ring,
        ),
        test_if(
            "live::bpf::a_slab_failure_is_caught",
            failures::missing,
            failures::slab,
        ),
        bpf("slab_failures_by_the_kernel_log", failures::kernel_log),
        bpf("a_failed_mkdir_is_caught", failures::mkdir),
        bpf("zombies_from_before_have_names", walk::named_from_before),
        bpf("zombies_have_names_after_a_gap", walk::named_after_a_gap),
        bpf("zombies_are_listed_with_what_keeps_them", walk::scanned),
        bpf("zombies_are_told_by_kind", pins::kinds),
        bpf("a_zombie_of_each_kind_from_before_is_listed", kinds::each),
        test_if(
            "live::bpf::zombies_of_each_kind_are_counted_by_raw_tp",
            || not_quiet().or_else(world::missing),
            kinds::by_raw_tp,
        ),
        test_if(
            "live::bpf::zombies_of_each_kind_are_counted_by_tracepoint",
            || not_quiet().or_else(world::missing),
            kinds::by_tracepoint,
        ),
        bpf("what_removed_cgroups_left_is_told", pins::left_over),
        test_if(
            "live::bpf::a_zombie_in_swap_is_told",
            pins::missing_swap,
            pins::swap,
        ),
        bpf("files_that_hold_zombies_are_named", files::named),
        bpf("zombies_are_listed_under_churn", walk::scanned_under_churn),
        bpf("zombies_freed_under_a_walk", walk::freed_under_a_walk),
        test_if(
            "live::bpf::zombies_by_the_ten_thousand_are_listed",
            || too_slow().or_else(world::missing),
            walk::many,
        ),
        bpf("kill_9_leaves_nothing_attached", view::kill),
        bpf("without_root_it_says_what_it_takes", view::unprivileged),
        bpf("without_btf_the_tracepoints_serve", view::without_btf),
    ]
}

/// By the kernel's own tracing alone.
fn traced() -> Vec<Trial> {
    let traced = |name: &str, missing, run: fn() -> Result| -> Trial {
        let missing: fn() -> Option<String> = missing;
        test_if(&format!("live::tracefs::{name}"), missing, run)
    };
    let kprobes = tracefs::missing_kprobes;
    vec![
        traced(
            "leak_and_recovery_by_kprobe",
            kprobes,
            tracefs::leaks_by_kprobe,
        ),
        traced("a_failed_mkdir_by_kprobe", kprobes, tracefs::failed_mkdir),
        traced("kill_9_is_cleared_away", tracefs::missing, tracefs::kill),
        traced(
            "every_end_leaves_nothing",
            tracefs::missing_lives,
            ends::each,
        ),
        traced("marks_leave_nothing", tracefs::missing_lives, ends::marked),
        traced(
            "doctor_removes_what_kill_9_left",
            tracefs::missing_lives,
            ends::killed,
        ),
        traced(
            "a_full_buffer_is_a_gap_and_the_counts_recover",
            tracefs::missing,
            tracefs::small_buffer,
        ),
        traced(
            "shared_buffer_is_used_and_left_as_it_was",
            shared::missing,
            shared::used_and_left,
        ),
        traced("shared_buffer_by_kprobe", kprobes, shared::by_probes),
        traced(
            "shared_buffer_in_use_is_left_alone",
            shared::missing,
            shared::left_alone,
        ),
        traced(
            "not_mounted_says_what_to_do",
            tracefs::missing,
            tracefs::not_mounted,
        ),
    ]
}

/// By eBPF on a simulated older kernel.
fn older() -> Vec<Trial> {
    let older = |name: &str, run: fn() -> Result| {
        let name = format!("live::simulated::{name}");
        test_if(&name, simulated::missing, run)
    };
    vec![
        older("doctor_names_the_older_ways", simulated::doctor),
        older(
            "zombies_from_before_have_names",
            simulated::named_from_before,
        ),
        older("a_scan_lists_the_same_zombies", simulated::scanned),
        older("a_run_shows_the_same_lives", simulated::lives_agree),
        older("a_file_that_is_no_btf_is_refused", simulated::no_btf),
    ]
}

/// Of no one source.
fn others() -> Vec<Trial> {
    let live =
        |name: &str, run: fn() -> Result| test_if(&format!("live::{name}"), world::missing, run);
    vec![
        live("sources_agree", parity::sources),
        live("doctor_names_every_hook", view::doctor),
        live("scan_counts_as_the_kernel_does", view::scan),
        test_if(
            "live::reproduce_leaves_no_zombies_by_dentries",
            world::missing_hierarchy,
            reclaim::dentries,
        ),
        test_if(
            "live::reproduce_makes_and_clears_zombies_by_tmpfs",
            world::missing_hierarchy,
            reclaim::tmpfs,
        ),
        test_if(
            "live::reproduce_makes_and_clears_zombies_by_sockets",
            world::missing_hierarchy,
            reclaim::sockets,
        ),
        test_if(
            "live::reproduce_makes_and_clears_zombies_by_inodes",
            reclaim::missing_ext4,
            reclaim::inodes,
        ),
        test_if(
            "live::reproduce_makes_and_clears_zombies_by_page_cache",
            reclaim::missing_disk,
            reclaim::pages,
        ),
        test_if(
            "live::reproduce_refuses_too_many_and_asks_where_pods_run",
            world::missing_hierarchy,
            reclaim::refused,
        ),
        test_if(
            "live::reclaim_frees_page_cache_of_zombies",
            reclaim::missing,
            reclaim::page_cache,
        ),
        test_if(
            "live::diagnose_tells_of_this_kernel",
            world::missing_hierarchy,
            view::diagnose,
        ),
        live("ctrl_c_on_a_terminal_ends_a_run", terminal::interrupted),
        test_if(
            "live::reproduce_asks_on_a_terminal",
            world::missing_hierarchy,
            terminal::asked,
        ),
        test_if(
            "live::every_slab_failure_is_counted",
            disposable::missing_memory,
            disposable::slab,
        ),
        test_if(
            "live::all_ids_used_up",
            disposable::missing_ids,
            disposable::ids,
        ),
        live("a_killed_recording_loses_a_second", recording::killed),
        live(
            "a_full_disk_stops_the_recording_alone",
            recording::full_disk,
        ),
    ]
}
