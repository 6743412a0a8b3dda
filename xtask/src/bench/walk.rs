//! `cargo xtask bench walk`: a walk of the cgroup directories against `find`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use super::measure::{Spread, cpu_time};
use crate::{error::Error, workspace};

/// Compare the CPU time of kmemtrace's walk with that of `find ROOT -type d | wc -l`, over 10,000 cgroups made for it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to make the cgroups [default: the memory hierarchy]
    #[arg(long, value_name = "DIR")]
    under: Option<PathBuf>,
    /// How often to measure each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// The walk may take this part of what find takes.
const GOAL: f64 = 1.0 / 3.0;

/// Pods, and below each a container less than that: with the pods there are `WIDTH` * `WIDTH`.
const WIDTH: usize = 100;

pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let walker = build()?;
    let under = match &args.under {
        Some(under) => under.clone(),
        None => memory()?,
    };
    // On v2, who has memory is told by a file: reading it is part of the walk there.
    let version = if under.join("cgroup.controllers").exists() {
        "v2"
    } else {
        "v1"
    };
    let tree = Tree::make(&under)?;
    let expected = WIDTH * WIDTH + 1;
    println!(
        "{expected} directories in {}, {version}, {} rounds of each in turn",
        tree.0.display(),
        args.rounds
    );
    let mut walk = Command::new(&walker);
    walk.arg(version).arg(&tree.0);
    let mut walk = [walk];
    let mut find = [Command::new("find"), Command::new("wc")];
    find[0].arg(&tree.0).args(["-type", "d"]);
    find[1].arg("-l");
    let (mut walks, mut finds) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        for (commands, times) in [(&mut walk[..], &mut walks), (&mut find[..], &mut finds)] {
            let (time, said) = cpu_time(commands)?;
            let count = said.split_whitespace().next().unwrap_or_default();
            if count != expected.to_string() {
                return Err(Error::new(format!(
                    "{} counted {count} directories instead of {expected}",
                    commands[0].get_program().display()
                )));
            }
            times.push(time);
        }
    }
    let (Some(walks), Some(finds)) = (Spread::of(walks), Spread::of(finds)) else {
        return Ok(());
    };
    let ratio = walks.median().as_secs_f64() / finds.median().as_secs_f64();
    println!("CPU time, user and system: the median, and the least and the most");
    println!("  kmemtrace  {walks}");
    println!("  find | wc  {finds}");
    let met = if ratio <= GOAL { "met" } else { "NOT met" };
    println!("  ratio      {ratio:.3}; the goal, at most {GOAL:.3}, is {met}");
    Ok(())
}

/// Builds a program that does nothing but walk; both it and find are measured from their start to their end.
fn build() -> Result<PathBuf, Error> {
    let built = workspace::status(
        workspace::cargo()
            .args(["build", "--release", "--package", "kmemtrace"])
            .args(["--example", "walk"])
            .current_dir(workspace::root()?),
    )?;
    if !built.success() {
        return Err(Error::new("cannot build the walk"));
    }
    Ok(workspace::target()?.join("release/examples/walk"))
}

/// The memory hierarchy's mount point, where distributions have it.
fn memory() -> Result<PathBuf, Error> {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    let v2 = Path::new("/sys/fs/cgroup");
    if v1.join("memory.usage_in_bytes").exists() {
        Ok(v1.to_path_buf())
    } else if v2.join("cgroup.controllers").exists() {
        Ok(v2.to_path_buf())
    } else {
        Err(Error::new("cannot find the memory hierarchy").help("say where: --under DIR"))
    }
}

/// Directories that are removed in the end.
struct Tree(PathBuf);

impl Tree {
    fn make(under: &Path) -> Result<Self, Error> {
        let tree = Self(under.join(format!("kmemtrace-bench-{}", process::id())));
        let make =
            |path: &Path| fs::create_dir(path).map_err(|cause| Error::file("make", path, cause));
        make(&tree.0)?;
        for pod in 0..WIDTH {
            let pod = tree.0.join(format!("pod{pod}"));
            make(&pod)?;
            for container in 1..WIDTH {
                make(&pod.join(format!("container{container}")))?;
            }
        }
        Ok(tree)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            eprintln!("{error}");
        }
    }
}

/// Removes a tree of cgroups from the leaves up: their files go by themselves.
fn remove(path: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(path).map_err(|cause| Error::file("list", path, cause))?;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    // The kernel refuses for a moment when it is still busy with the children.
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir(path) {
            Err(_) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
            result => return result.map_err(|cause| Error::file("remove", path, cause)),
        }
    }
}
