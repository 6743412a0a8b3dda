//! `walk v1|v2 DIRECTORY`: walks the cgroup directories from there on, and prints how many there are.
//!
//! What `cargo xtask bench walk` measures.

use std::{env, error::Error, path::PathBuf};

use kmemtrace::host::{self, Hierarchy, Root, Version};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1);
    let version = match args.next().as_ref().and_then(|arg| arg.to_str()) {
        Some("v1") => Version::V1,
        Some("v2") => Version::V2,
        _ => return Err("the first argument is v1 or v2".into()),
    };
    let mount = args.next().map(PathBuf::from).ok_or("no directory")?;
    let hierarchy = Hierarchy {
        version,
        id: 0,
        mount,
    };
    let mut bytes = 0;
    let count = host::walk(&Root::live(), &hierarchy, &mut |directory| {
        bytes += directory.path.len();
    })?;
    println!("{count} directories, {bytes} bytes of paths");
    Ok(())
}
