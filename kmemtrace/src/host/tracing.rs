//! What the kernel's own tracing offers, beyond where it is mounted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{Root, parse::number, symbols};

/// What tracefs has.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracing {
    /// Where it is, on the machine itself.
    pub at: PathBuf,
    /// Whether this process may not look into it: then nothing is known of it.
    pub denied: bool,
    /// Whether it has instances: buffers of one's own.
    pub instances: bool,
    /// Whether it has the tracepoints of cgroups' lives: `cgroup_mkdir`, `cgroup_rmdir`, `cgroup_release` and
    /// `cgroup_rename` (4.11 and later).
    pub tracepoints: bool,
    /// How many bytes their `id` has: 8 if it is the directory's inode number, 4 if it is another number (before 5.5).
    pub id_bytes: Option<u32>,
    /// Whether probes can be put on functions by `kprobe_events`.
    pub kprobes: bool,
    /// Of the functions that were asked about, those that `/proc/kallsyms` has under just that name.
    pub functions: BTreeSet<&'static str>,
    /// Of the others, the symbols of what the compiler made of each (`slab_out_of_memory.constprop.0`): their arguments are not
    /// known.
    pub clones: BTreeMap<&'static str, Vec<String>>,
}

/// Reads what the tracefs at `at` has, and which of `functions` the kernel has. What cannot be read is not there.
pub fn tracing(root: &Root, at: &Path, functions: &[&'static str]) -> Tracing {
    let has = |name: &str| root.has(&at.join(name));
    let events = ["mkdir", "rmdir", "release", "rename"];
    let format = root.read(at.join("events/cgroup/cgroup_mkdir/format"));
    let kprobes = has("kprobe_events");
    let symbols = if kprobes {
        symbols::functions(root, functions)
    } else {
        BTreeMap::new()
    };
    let (exact, clones): (BTreeMap<_, _>, _) = symbols
        .into_iter()
        .partition(|(function, symbols)| symbols[..] == [*function]);
    Tracing {
        at: at.to_owned(),
        denied: std::fs::read_dir(root.path(at))
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied),
        instances: has("instances"),
        tracepoints: events
            .iter()
            .all(|event| has(&format!("events/cgroup/cgroup_{event}/enable"))),
        id_bytes: format.ok().and_then(|format| id_bytes(&format)),
        kprobes,
        functions: exact.into_keys().collect(),
        clones,
    }
}

/// The size of the field `id` in a tracepoint's `format`: a field a line, `field:u64 id;` with what belongs to it.
fn id_bytes(format: &[u8]) -> Option<u32> {
    let line = format
        .split(|&byte| byte == b'\n')
        .find(|line| line.windows(4).any(|text| text == b" id;"))?;
    let mut fields = line.split(|&byte| byte == b';');
    fields.find_map(|field| number(field.trim_ascii().strip_prefix(b"size:")?))
}

/// How the trace buffer is set up that the whole machine shares, and who uses it. What cannot be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedBuffer {
    /// Whether another kmemtrace has it. No file says so: that is for the source to find out.
    pub held: bool,
    /// `current_tracer`: `nop` if none is running.
    pub tracer: Option<String>,
    /// Whether anything is written into it (`tracing_on`).
    pub on: Option<bool>,
    /// The events that are switched on in it (`set_event`).
    pub events: Vec<String>,
    /// The same in a word (`events/enable`): `0` for none of them, `1` for all, `X` for some.
    pub enabled: Option<String>,
    /// Whether it takes the events of some processes only (`set_event_pid`, `set_event_notrace_pid`).
    pub filtered: bool,
    /// The clock in force (`trace_clock`).
    pub clock: Option<String>,
    /// The options, those that are off with `no` before them (`trace_options`).
    pub options: Vec<String>,
}

/// Reads how the shared buffer of the tracefs at `at` is set up.
pub fn shared_buffer(root: &Root, at: &Path) -> SharedBuffer {
    let words = |name: &str| -> Option<Vec<String>> {
        let text = root.read(at.join(name)).ok()?;
        let text = String::from_utf8_lossy(&text);
        Some(text.split_whitespace().map(str::to_owned).collect())
    };
    let word = |name: &str| words(name)?.into_iter().next();
    let some = |name: &str| words(name).is_some_and(|words| !words.is_empty());
    let clocks = words("trace_clock").unwrap_or_default();
    SharedBuffer {
        held: false,
        tracer: word("current_tracer"),
        on: word("tracing_on").map(|on| on == "1"),
        events: words("set_event").unwrap_or_default(),
        enabled: word("events/enable"),
        filtered: some("set_event_pid") || some("set_event_notrace_pid"),
        clock: clocks
            .iter()
            .find_map(|clock| Some(clock.strip_prefix('[')?.strip_suffix(']')?.to_owned())),
        options: words("trace_options").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::at(directory.path());
        (directory, root)
    }

    #[test]
    fn an_old_kernel_has_probes_and_no_tracepoints() {
        let at = Path::new("/sys/kernel/debug/tracing");
        let (_directory, root) = root(&[
            ("sys/kernel/debug/tracing/kprobe_events", ""),
            ("sys/kernel/debug/tracing/instances/x", ""),
            (
                "proc/kallsyms",
                "ffffffff810ad030 t cgroup_mkdir\nffffffff813f0541 t cgroup_mkdir.cold\n\
                 ffffffff81159e50 t slab_out_of_memory.isra.3\nffffffff81159e51 d __mem_cgroup_free\n\
                 ffffffff81159e52 t mem_cgroup_css_free\t[module]\n",
            ),
        ]);
        let asked = [
            "cgroup_mkdir",
            "slab_out_of_memory",
            "__mem_cgroup_free",
            "mem_cgroup_css_free",
        ];
        let tracing = tracing(&root, at, &asked);
        assert!(tracing.instances && tracing.kprobes && !tracing.tracepoints);
        assert_eq!(tracing.functions, BTreeSet::from(["cgroup_mkdir"]));
        let clones = vec!["slab_out_of_memory.isra.3".to_owned()];
        assert_eq!(
            tracing.clones,
            BTreeMap::from([("slab_out_of_memory", clones)])
        );
        assert_eq!(tracing.id_bytes, None);
    }

    #[test]
    fn the_shared_buffers_state_is_read() {
        let at = Path::new("/t");
        let (_directory, root) = root(&[
            ("t/current_tracer", "nop\n"),
            ("t/tracing_on", "1\n"),
            ("t/set_event", "sched:sched_switch\na:b\n"),
            ("t/events/enable", "X\n"),
            ("t/set_event_pid", ""),
            ("t/trace_clock", "local [global] counter\n"),
            ("t/trace_options", "noraw\noverwrite\n"),
        ]);
        let strings = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let expected = SharedBuffer {
            held: false,
            tracer: Some("nop".to_owned()),
            on: Some(true),
            events: strings(&["sched:sched_switch", "a:b"]),
            enabled: Some("X".to_owned()),
            filtered: false,
            clock: Some("global".to_owned()),
            options: strings(&["noraw", "overwrite"]),
        };
        assert_eq!(shared_buffer(&root, at), expected);
        let nothing = shared_buffer(&root, Path::new("/nowhere"));
        assert_eq!(nothing, SharedBuffer::default());
    }

    #[test]
    fn the_size_of_an_id_is_in_the_format() {
        let format = b"name: cgroup_mkdir\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
            \tfield:int root;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:u64 id;\toffset:16;\tsize:8;\tsigned:0;\n";
        assert_eq!(id_bytes(format), Some(8));
        assert_eq!(
            id_bytes(b"\tfield:int id;\toffset:12;\tsize:4;\tsigned:1;"),
            Some(4)
        );
        assert_eq!(id_bytes(b"nothing"), None);
    }
}
