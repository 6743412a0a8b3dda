//! Which files a memcg's page cache is of: its pages one after another, and a name for each file among them.
//!
//! Two programs run on demand: the first until it has been through all LRU
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
    called,
    demand::{OnDemand, Trigger, ValueMap},
    walk::Memcg,
};
use crate::{error::Error, host::PageSize};

/// The program that goes through the lists.
const PAGES: OnDemand = OnDemand {
    test_run: "raw_tp_pages",
    uprobe: "uprobe_pages",
    function: called::pages,
};

/// The program that names a file.
const FILE: OnDemand = OnDemand {
    test_run: "raw_tp_file",
    uprobe: "uprobe_file",
    function: called::file,
};

/// The maps of the programs.
pub(super) struct FileWalker {
    cursor: ValueMap<ListCursor>,
    pages: ValueMap<Pages>,
    file: ValueMap<File>,
    page_bytes: u64,
    trigger: Trigger,
}

impl FileWalker {
    /// Loads the programs and takes their maps.
    pub(super) fn load(ebpf: &mut Ebpf, trigger: Trigger) -> Result<Self, Error> {
        for program in [PAGES, FILE] {
            program.load(ebpf, trigger).map_err(Error::new)?;
        }
        Ok(Self {
            cursor: ValueMap::take(ebpf, "PAGE_CURSOR")?,
            pages: ValueMap::take(ebpf, "PAGES")?,
            file: ValueMap::take(ebpf, "FILE")?,
            page_bytes: PageSize::running().bytes(),
            trigger,
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
        let pages = PAGES.runner(ebpf, self.trigger)?;
        let file = FILE.runner(ebpf, self.trigger)?;
        self.cursor.set(ListCursor::of(memcg.css, memcg.serial))?;
        let counted = memcg.lru.unwrap_or_default().bytes();
        let mut seen = PageSums::new(self.page_bytes, counted);
        let mut took = Duration::ZERO;
        let complete = loop {
            pages.run(&mut took)?;
            let cursor = self.cursor.get()?;
            if cursor.found > 0 {
                let batch = self.pages.get()?;
                for page in batch.iter().take(cursor.found as usize) {
                    if seen.add(page) {
                        self.file
                            .set(File::asked(memcg.css, page.folio, page.mapping))?;
                        file.run(&mut took)?;
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
