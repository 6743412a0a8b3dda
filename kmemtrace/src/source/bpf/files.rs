//! Which files a memcg's page cache is of: its pages one after another, and a name for each file among them.
//!
//! The programs `raw_tp_pages` and `raw_tp_file` are attached to nothing. The first is run until it has been through all LRU
//! lists of one memcg, a bounded number of steps at a time; the second once for each file. The lists are read without
//! their lock while the kernel goes on using them: what is found twice counts once, and a page that is moved to another
//! list at the wrong moment is missed.

use std::time::{Duration, Instant};

use aya::Ebpf;
use kmemtrace_common::{
    files::{File, Pages},
    lists::{ListCursor, phase},
};

mod holdings;

pub use holdings::{Device, FileName, HeldFile, Holdings};

use self::holdings::PageSums;
use super::{
    demand::{self, ValueMap},
    walk::Memcg,
};
use crate::error::Error;

/// The programs' names in the object.
const PAGES: &str = "raw_tp_pages";
const FILE: &str = "raw_tp_file";

/// The maps of the programs.
pub(super) struct FileWalker {
    cursor: ValueMap<ListCursor>,
    pages: ValueMap<Pages>,
    file: ValueMap<File>,
    page_bytes: u64,
}

impl FileWalker {
    /// Loads the programs and takes their maps.
    pub(super) fn load(ebpf: &mut Ebpf) -> Result<Self, Error> {
        for name in [PAGES, FILE] {
            demand::load(ebpf, name)?;
        }
        Ok(Self {
            cursor: ValueMap::take(ebpf, "PAGE_CURSOR")?,
            pages: ValueMap::take(ebpf, "PAGES")?,
            file: ValueMap::take(ebpf, "FILE")?,
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
        let (pages, file) = (demand::program(ebpf, PAGES)?, demand::program(ebpf, FILE)?);
        self.cursor.set(ListCursor::of(memcg.css, memcg.serial))?;
        let counted = memcg.lru.unwrap_or_default().bytes();
        let mut seen = PageSums::new(self.page_bytes, counted);
        let mut took = Duration::ZERO;
        let complete = loop {
            demand::run(pages, PAGES, &mut took)?;
            let cursor = self.cursor.get()?;
            if cursor.found > 0 {
                let batch = self.pages.get()?;
                for page in batch.iter().take(cursor.found as usize) {
                    if seen.add(page) {
                        self.file
                            .set(File::asked(memcg.css, page.folio, page.mapping))?;
                        demand::run(file, FILE, &mut took)?;
                        seen.named(&self.file.get()?);
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
