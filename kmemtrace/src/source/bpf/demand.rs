//! Programs that are attached to nothing and run on demand (`BPF_PROG_TEST_RUN`, since 5.10), and their maps of one value.

use std::time::Duration;

use aya::{
    Ebpf, Pod,
    maps::{Array, MapData},
    programs::{Program, RawTracePoint, RawTracePointRunOptions, TestRun},
};

use super::refusal::explain;
use crate::{error::Error, source::clock};

/// Loads a program that was not.
pub(super) fn load(ebpf: &mut Ebpf, name: &str) -> Result<(), Error> {
    match ebpf.program_mut(name) {
        Some(Program::RawTracePoint(program)) => program
            .load()
            .map_err(|error| Error::new(explain(name, &error))),
        _ => Err(no_program(name)),
    }
}

/// A program that was loaded.
pub(super) fn program<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a RawTracePoint, Error> {
    match ebpf.program(name) {
        Some(Program::RawTracePoint(program)) => Ok(program),
        _ => Err(no_program(name)),
    }
}

fn no_program(name: &str) -> Error {
    Error::new(format!("the eBPF object has no program {name}"))
}

/// Runs a program once, and adds the CPU time that it took, the system call included.
pub(super) fn run(program: &RawTracePoint, name: &str, took: &mut Duration) -> Result<(), Error> {
    let began = clock::thread_cpu();
    let run = program.test_run(RawTracePointRunOptions::new());
    *took += clock::thread_cpu().saturating_sub(began);
    run.map(drop)
        .map_err(|error| Error::caused(format!("cannot run the program {name}"), error))
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
