//! On the running kernel, as root: real cgroups, real zombies.

mod failures;
mod hostile;
mod leaks;
mod parity;
mod shared;
mod storm;
mod tracefs;
mod view;
mod world;

use libtest_mimic::Trial;

use crate::harness::{test_if, too_slow};

pub(crate) fn tests() -> Vec<Trial> {
    let live = |name: &str, run| test_if(&format!("live::{name}"), world::missing, run);
    let much = |name: &str, run| {
        let missing = || too_slow().or_else(world::missing);
        test_if(&format!("live::{name}"), missing, run)
    };
    let live_v1 = |name: &str, run| test_if(&format!("live::{name}"), world::missing_v1, run);
    let traced = |name: &str, missing, run| test_if(&format!("live::tracefs_{name}"), missing, run);
    let tracepoints = tracefs::missing_tracepoints;
    let kprobes = tracefs::missing_kprobes;
    vec![
        live("pods_leak_and_recover_by_tp_btf", leaks::pods_by_tp_btf),
        live("pods_leak_and_recover_by_raw_tp", leaks::pods_by_raw_tp),
        live(
            "pods_leak_and_recover_by_tracepoint",
            leaks::pods_by_tracepoint,
        ),
        live(
            "zombies_from_before_are_counted_and_freed",
            leaks::inherited,
        ),
        live_v1(
            "other_hierarchies_are_not_reported",
            leaks::other_hierarchies,
        ),
        live("a_run_without_leak_exits_0", leaks::clean_run),
        live("sources_agree", parity::sources),
        live("hostile_names_arrive_whole", hostile::names),
        live("deep_paths_arrive_whole", hostile::deep),
        live("a_wide_directory_is_followed", hostile::wide),
        live_v1("a_renamed_cgroup_is_followed", hostile::renamed),
        much("a_storm_loses_nothing_uncounted", storm::default_ring),
        live(
            "a_full_ring_is_a_gap_and_the_counts_recover",
            storm::small_ring,
        ),
        test_if(
            "live::a_slab_failure_is_caught",
            failures::missing,
            failures::slab,
        ),
        live("slab_failures_by_the_kernel_log", failures::kernel_log),
        live("a_failed_mkdir_is_caught", failures::mkdir),
        live("doctor_names_every_hook", view::doctor),
        live("scan_counts_as_the_kernel_does", view::scan),
        live("kill_9_leaves_nothing_attached", view::kill),
        live("without_root_it_says_what_it_takes", view::unprivileged),
        live("without_btf_the_tracepoints_serve", view::without_btf),
        traced(
            "leak_and_recovery_by_tracepoint",
            tracepoints,
            tracefs::leaks_by_tracepoint,
        ),
        traced(
            "leak_and_recovery_by_kprobe",
            kprobes,
            tracefs::leaks_by_kprobe,
        ),
        traced("a_failed_mkdir_by_kprobe", kprobes, tracefs::failed_mkdir),
        traced("kill_9_is_cleared_away", tracefs::missing, tracefs::kill),
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
