//! One file per logical hook; in each, one thin wrapper per way of attaching. A program's name is `WAY_WHAT`; the
//! collector's hook table names the same programs. [`cgroup`] and [`lists`] have what several hooks share.

mod cgroup;
mod files;
mod lifecycle;
mod lists;
mod memcg;
mod mkdir_failure;
mod objcgs;
mod slab;
mod walk;
