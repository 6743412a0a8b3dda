//! The tests of the whole program, in one binary.
//!
//! The binary is five things: the tests, the program under test (it calls kmemtrace's own `main`), the workloads that the
//! live tests run in cgroups of their own, the supervisor of a simulated kernel, and the first process of a virtual machine that runs the live tests. So it can
//! be copied to another machine and run there alone, and needs no other program in a virtual one.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "a test fails by panicking, and all tests have one type"
)]

mod agree;
mod browser;
mod cli;
mod copies;
mod diagnose;
mod export;
mod field;
mod guest;
mod harness;
mod live;
mod old;
mod old_kernel;
mod pages;
mod recordings;
mod replay;
mod report;
mod rules;
mod schema;
mod simulated;
mod snapshot;
mod workload;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    match harness::role() {
        harness::Role::Init => guest::main(),
        harness::Role::Program => kmemtrace::cli::main(),
        harness::Role::Workload => workload::main(),
        harness::Role::OldKernel => harness::old_kernel(),
        harness::Role::Simulated => simulated::main(),
        harness::Role::Supervisor => simulated::supervise(),
        harness::Role::Tests => {
            let arguments = Arguments::from_args();
            let tests = [
                agree::tests(),
                cli::tests(),
                copies::tests(),
                diagnose::tests(),
                export::tests(),
                field::tests(),
                old::tests(),
                pages::tests(),
                recordings::tests(),
                replay::tests(),
                report::tests(),
                rules::tests(),
                schema::tests(),
                snapshot::tests(),
            ];
            // The live ones take turns: between them is what else there is to do.
            let mut live = live::tests().into_iter();
            let others = tests.into_iter().flatten();
            let mut mixed: Vec<_> = others
                .flat_map(|other| [Some(other), live.next()])
                .collect();
            mixed.extend(live.map(Some));
            libtest_mimic::run(&arguments, mixed.into_iter().flatten().collect()).exit_code()
        }
    }
}
