//! Which files a memcg's page cache is of: its pages one after another, and a name for each file among them.
//!
//! The programs `raw_tp_pages` and `raw_tp_file` are attached to nothing. The first is run until it has been through all LRU
//! lists of one memcg, a bounded number of steps at a time; the second once for each file. The lists are read without
//! their lock while the kernel goes on using them: what is found twice counts once, and a page that is moved to another
//! list at the wrong moment is missed.

use std::time::{Duration, Instant};

use aya::{
    Ebpf,
    maps::{Array, MapData},
    programs::{Program, RawTracePoint, RawTracePointRunOptions, TestRun},
};
use kmemtrace_common::files::{File, PageCursor, Pages, phase};

mod held;

pub use held::{Device, FileName, HeldFile, Holdings};

use self::held::Seen;
use super::{
    attach::explain,
    walk::{Memcg, map},
};
use crate::{error::Error, source::clock};

/// The programs' names in the object.
const PAGES: &str = "raw_tp_pages";
const FILE: &str = "raw_tp_file";

/// The maps of the programs.
pub(super) struct FileWalker {
    cursor: Array<MapData, PageCursor>,
    pages: Array<MapData, Pages>,
    file: Array<MapData, File>,
    page_bytes: u64,
}

impl FileWalker {
    /// Loads the programs and takes their maps.
    pub(super) fn load(ebpf: &mut Ebpf) -> Result<Self, Error> {
        for name in [PAGES, FILE] {
            let Some(Program::RawTracePoint(program)) = ebpf.program_mut(name) else {
                return Err(no_program(name));
            };
            program
                .load()
                .map_err(|error| Error::new(explain(name, &error)))?;
        }
        Ok(Self {
            cursor: map(ebpf, "PAGE_CURSOR")?,
            pages: map(ebpf, "PAGES")?,
            file: map(ebpf, "FILE")?,
            page_bytes: rustix::param::page_size() as u64,
        })
    }

    /// Looks at a memcg's pages until `until`. `progress` is told after each run how many bytes it has found so far.
    ///
    /// # Errors
    ///
    /// A program cannot be run, or a map cannot be read or written.
    pub(super) fn holdings(
        &mut self,
        ebpf: &Ebpf,
        memcg: &Memcg,
        until: Instant,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Holdings, Error> {
        let (pages, file) = (program(ebpf, PAGES)?, program(ebpf, FILE)?);
        let begin = PageCursor {
            css: memcg.css,
            serial: memcg.serial,
            ..PageCursor::default()
        };
        self.cursor
            .set(0, begin, 0)
            .map_err(|error| Error::caused("cannot write the map PAGE_CURSOR", &error))?;
        let counted = memcg.lru.unwrap_or_default().bytes();
        let mut seen = Seen::new(self.page_bytes, counted);
        let mut took = Duration::ZERO;
        let complete = loop {
            run(pages, PAGES, &mut took)?;
            let cursor = self.cursor.get(&0, 0).map_err(read("PAGE_CURSOR"))?;
            if cursor.found > 0 {
                let batch = self.pages.get(&0, 0).map_err(read("PAGES"))?;
                for page in batch.iter().take(cursor.found as usize) {
                    if seen.add(page) {
                        let asked = File::asked(memcg.css, page.folio, page.mapping);
                        self.file
                            .set(0, asked, 0)
                            .map_err(|error| Error::caused("cannot write the map FILE", &error))?;
                        run(file, FILE, &mut took)?;
                        seen.named(&self.file.get(&0, 0).map_err(read("FILE"))?);
                    }
                }
            }
            progress(seen.bytes());
            match cursor.phase {
                // What was freed holds nothing.
                phase::DONE | phase::GONE => break true,
                _ if Instant::now() >= until || seen.goes_in_circles() => break false,
                _ => {}
            }
        };
        Ok(seen.holdings(complete, took))
    }
}

fn no_program(name: &str) -> Error {
    Error::new(format!("the eBPF object has no program {name}"))
}

fn program<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a RawTracePoint, Error> {
    match ebpf.program(name) {
        Some(Program::RawTracePoint(program)) => Ok(program),
        _ => Err(no_program(name)),
    }
}

/// Runs a program once, and adds the CPU time that it took.
fn run(program: &RawTracePoint, name: &str, took: &mut Duration) -> Result<(), Error> {
    let began = clock::thread_cpu();
    let run = program.test_run(RawTracePointRunOptions::new());
    *took += clock::thread_cpu().saturating_sub(began);
    run.map(drop)
        .map_err(|error| Error::caused(format!("cannot run the program {name}"), &error))
}

fn read(map: &'static str) -> impl Fn(aya::maps::MapError) -> Error {
    move |error| Error::caused(format!("cannot read the map {map}"), &error)
}
