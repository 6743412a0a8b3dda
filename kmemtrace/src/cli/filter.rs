//! The arguments that choose what is shown: the same for `watch` and `replay`.

use globset::GlobMatcher;

use super::Format;
use crate::{
    error::Error,
    sink::filter::{Filter, glob},
};

/// What is shown: the same for `watch` and `replay`.
#[derive(clap::Args, Debug)]
pub(super) struct ShowArgs {
    /// Show every event, not only leaks and failures
    #[arg(long)]
    all: bool,
    /// Show only cgroups whose path matches: `*` within a name, `**` across directories
    #[arg(long, value_name = "GLOB")]
    cgroup: Option<String>,
    /// Show only cgroups of the pod whose uid begins so
    #[arg(long, value_name = "UID")]
    pod: Option<String>,
    /// Text for people, or JSON lines for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Format,
}

impl ShowArgs {
    pub(super) fn filter(&self) -> Result<Filter, Error> {
        Ok(Filter {
            all: self.all,
            quiet: false,
            cgroup: self.cgroup.as_deref().map(matcher).transpose()?,
            pod: self.pod.clone(),
        })
    }
}

fn matcher(text: &str) -> Result<GlobMatcher, Error> {
    glob(text).map_err(|error| {
        Error::new(format!(
            "cannot understand the glob {text:?}: {}",
            error.kind()
        ))
        .help("a path from the hierarchy's root, such as '/kubepods/**' or '/system.slice/*'")
    })
}
