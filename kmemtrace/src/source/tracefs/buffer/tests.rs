use super::*;
use crate::{host::Tracing, plan};

fn write(at: &Path, file: &str, text: &str) {
    let path = at.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn the_shared_buffer_has_other_peoples_events_and_may_be_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let group = format!("{SHARED}{}", process::id());
    write(at, "tracing_on", "1\n");
    write(at, "kprobe_events", "");
    let enable = format!("events/{group}/{group}_trial/enable");
    write(at, &enable, "0");
    write(at, "events/cgroup/cgroup_mkdir/enable", "0");

    assert_eq!(
        TraceBuffer::shared(at, |_| Err("in use".to_owned())).unwrap_err(),
        "in use"
    );
    let mut buffer = TraceBuffer::shared(
        at,
        |held| if held { Err("held".to_owned()) } else { Ok(()) },
    )
    .unwrap();
    buffer.probe(&plan::TRIAL, &Tracing::default()).unwrap();
    buffer.enable("cgroup/cgroup_mkdir").unwrap();
    assert_eq!(
        buffer.ours(format!("{group}_trial").as_bytes()),
        Some(&b"trial"[..])
    );
    assert_eq!(buffer.ours(b"cgroup_mkdir"), Some(&b"cgroup_mkdir"[..]));
    assert_eq!(buffer.ours(b"cgroup_rmdir"), None);
    assert_eq!(buffer.ours(b"trial"), None);
    assert!(buffer.may_be_ours(b"torn cgroup_mkdir: root="));
    assert!(!buffer.may_be_ours(b" => 0xffffffff81000000"));

    write(at, &format!("events/{group}/enable"), "1\n");
    assert!(!buffer.was_disturbed() && !buffer.is_off());
    write(at, "tracing_on", "0\n");
    assert!(buffer.was_disturbed() && buffer.is_off());
    assert!(!buffer.was_disturbed() && buffer.is_off());
    write(at, "tracing_on", "1\n");
    assert!(buffer.was_disturbed() && !buffer.is_off());

    drop(buffer);
    for enable in [enable.as_str(), "events/cgroup/cgroup_mkdir/enable"] {
        assert_eq!(fs::read_to_string(at.join(enable)).unwrap(), "0");
    }
    let probes = fs::read_to_string(at.join("kprobe_events")).unwrap();
    assert!(
        probes.ends_with(&format!("-:{group}/{group}_trial")),
        "{probes}"
    );
}
