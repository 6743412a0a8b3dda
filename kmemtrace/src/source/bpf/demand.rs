//! Programs that run on demand, and their maps of one value. Each is there twice: attached to nothing, for
//! `BPF_PROG_TEST_RUN` (raw tracepoints since 5.10), and as a uprobe on a function of this process ([`super::called`]), which runs
//! when that function is called.

use std::{num::NonZeroU32, process, time::Duration};

use aya::{
    Ebpf, Pod,
    maps::{Array, MapData},
    programs::{
        Program, ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun,
        uprobe::{UProbeAttachLocation, UProbeScope},
    },
};

use super::{called, refusal::explain};
use crate::{error::Error, plan::WayKind, source::clock};

/// How a program that runs on demand is made to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// By the system call for that.
    TestRun,
    /// By a call of the function that it sits on.
    Uprobe,
}

impl Trigger {
    /// The way of which that is.
    const fn way(self) -> WayKind {
        match self {
            Self::TestRun => WayKind::TestRun,
            Self::Uprobe => WayKind::Uprobe,
        }
    }
}

/// A program that runs on demand: its names in the object, and the function that the uprobe sits on.
#[derive(Debug)]
pub(super) struct OnDemand {
    pub(super) test_run: &'static str,
    pub(super) uprobe: &'static str,
    pub(super) function: fn(),
}

impl OnDemand {
    /// Its name in the object.
    pub(super) const fn name(&self, trigger: Trigger) -> &'static str {
        match trigger {
            Trigger::TestRun => self.test_run,
            Trigger::Uprobe => self.uprobe,
        }
    }

    /// Loads it, and puts it where it runs from.
    pub(super) fn load(&self, ebpf: &mut Ebpf, trigger: Trigger) -> Result<(), String> {
        let name = self.name(trigger);
        let why = |error: ProgramError| explain(trigger.way(), name, &error);
        match (trigger, ebpf.program_mut(name)) {
            (Trigger::TestRun, Some(Program::RawTracePoint(program))) => {
                program.load().map_err(why)
            }
            (Trigger::Uprobe, Some(Program::UProbe(program))) => {
                program.load().map_err(why)?;
                let at = called::place_in_file(self.function)?;
                let own = NonZeroU32::new(process::id()).ok_or("this process has no id")?;
                let attached = program.attach(
                    UProbeAttachLocation::AbsoluteOffset(at),
                    called::OWN_FILE,
                    UProbeScope::OneProcess(own),
                );
                attached.map(drop).map_err(why)
            }
            _ => Err(format!("the eBPF object has no program {name}")),
        }
    }

    /// The program, loaded before, as something to run.
    pub(super) fn runner<'a>(&self, ebpf: &'a Ebpf, trigger: Trigger) -> Result<Runner<'a>, Error> {
        let name = self.name(trigger);
        let run = match (trigger, ebpf.program(name)) {
            (Trigger::TestRun, Some(Program::RawTracePoint(program))) => Run::Test(program),
            (Trigger::Uprobe, Some(Program::UProbe(_))) => Run::Call(self.function),
            _ => return Err(Error::new(format!("the eBPF object has no program {name}"))),
        };
        Ok(Runner { name, run })
    }
}

/// A program to run.
pub(super) struct Runner<'a> {
    name: &'static str,
    run: Run<'a>,
}

enum Run<'a> {
    Test(&'a RawTracePoint),
    Call(fn()),
}

impl Runner<'_> {
    /// Runs it once, and adds the CPU time that it took, the system call or the trap included.
    ///
    /// A uprobe may be skipped, when another program runs on the same processor at that moment: whoever cares sees by the maps
    /// whether it ran.
    pub(super) fn run(&self, took: &mut Duration) -> Result<(), Error> {
        let began = clock::thread_cpu();
        let ran = match self.run {
            Run::Test(program) => program
                .test_run(RawTracePointRunOptions::new())
                .map(drop)
                .map_err(|error| Error::new(explain(WayKind::TestRun, self.name, &error))),
            Run::Call(function) => {
                function();
                Ok(())
            }
        };
        *took += clock::thread_cpu().saturating_sub(began);
        ran
    }
}

/// A map of one value.
pub(super) struct ValueMap<T: Pod> {
    name: &'static str,
    map: Array<MapData, T>,
}

impl<T: Pod> ValueMap<T> {
    /// Takes it out of the object.
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, Error> {
        let map = ebpf
            .take_map(name)
            .ok_or_else(|| Error::new(format!("the eBPF object has no map {name}")))?;
        let map = Array::try_from(map)
            .map_err(|error| Error::caused(format!("cannot use the map {name}"), error))?;
        Ok(Self { name, map })
    }

    pub(super) fn get(&self) -> Result<T, Error> {
        let refused = |error| Error::caused(format!("cannot read the map {}", self.name), error);
        self.map.get(&0, 0).map_err(refused)
    }

    pub(super) fn set(&mut self, value: T) -> Result<(), Error> {
        let name = self.name;
        self.map
            .set(0, value, 0)
            .map_err(|error| Error::caused(format!("cannot write the map {name}"), error))
    }
}
