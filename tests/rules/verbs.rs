//! Verbs: that each stands alone.

use super::{
    circles::{Modules, module},
    root, sources,
};
use crate::{cli::verbs, harness::Result};

/// No module of the command line uses a verb's but the verb's own. What two verbs need is in a module beside them, or outside of
/// `cli`.
pub(super) fn apart() -> Result {
    let files = sources(&root()).into_iter();
    let modules = Modules::of(files.map(|(file, code)| (module(&root(), &file), code)));
    let verbs = verbs();
    let name = |module: &str| -> Option<String> {
        let inside = module.strip_prefix("cli::")?;
        inside.split("::").next().map(str::to_owned)
    };
    let mut inside = 0;
    let mut wrong = Vec::new();
    for ((user, used), path) in modules.edges() {
        let (Some(from), Some(to)) = (name(&user), name(&used)) else {
            continue;
        };
        inside += 1;
        if from != to && verbs.contains(&to) {
            wrong.push(format!("{user} uses {used} ({path})"));
        }
    }
    assert!(inside > 30, "only {inside} uses: is the test blind?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
