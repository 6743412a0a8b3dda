use std::time::Duration;

use super::{
    proto::{Event, Trace},
    *,
};
use crate::{
    event::{self, Cgroup, Counts, Fact},
    tracker::{Config, Kept, Tracker},
};

fn at(ns: u64) -> Stamp {
    Stamp {
        mono_ns: ns,
        wall_ns: 1_773_491_464_000_000_000 + ns as i64,
    }
}

fn cgroup(id: u64, path: &'static str) -> Cgroup {
    Cgroup {
        id: Some(id),
        path: Some(Path::whole(path)),
        ..Cgroup::default()
    }
}

/// A trace of these facts, packet by packet.
fn export(facts: Vec<(u64, Fact)>) -> Vec<Packet> {
    let mut tracker = Tracker::new(Config {
        grace: Duration::from_nanos(100),
        polled: false,
        kept: Kept::No,
    });
    let mut sink = Perfetto::new(Vec::new(), 0);
    let header = Header {
        hostname: Some("node-7\u{1b}[2J".into()),
        ..Header::default()
    };
    sink.header(at(0), &header).unwrap();
    let mut changes = Vec::new();
    for (ns, fact) in facts {
        tracker.apply(&event::Event { time: at(ns), fact }, &mut changes);
    }
    for change in &changes {
        sink.change(change, tracker.state()).unwrap();
    }
    assert!(sink.open.len() <= tracker.carry().count());
    Trace::decode(&sink.out[..]).unwrap().packet
}

fn events(packets: &[Packet], kind: Kind) -> Vec<&Event> {
    let events = packets
        .iter()
        .filter_map(|packet| packet.track_event.as_ref());
    events.filter(|event| event.r#type() == kind).collect()
}

const POD: &str = "/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d/34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376";

#[test]
fn a_life_is_a_slice_with_its_time_as_a_zombie_in_it() {
    let packets = export(vec![
        (1, Fact::Created(cgroup(1, POD))),
        (2, Fact::Created(cgroup(2, "/a\n<b>"))),
        (10, Fact::Offlined(cgroup(1, POD))),
        (11, Fact::Offlined(cgroup(2, "/a\n<b>"))),
        (12, Fact::Freed(cgroup(2, "/a\n<b>"))),
        (200, Fact::Tick(Counts::default())),
        (300, Fact::Freed(cgroup(1, POD))),
    ]);
    let begun = events(&packets, Kind::SliceBegin);
    let names: Vec<_> = begun.iter().map(|event| event.name()).collect();
    let leaf = POD.rsplit('/').next().unwrap();
    assert_eq!(names, [leaf, "a\\x0a<b>", "zombie", "zombie", "leaked"]);
    assert_eq!(events(&packets, Kind::SliceEnd).len(), begun.len());
    // by track: a stack that is empty at the end
    let mut depth = HashMap::new();
    for packet in &packets {
        let Some(event) = &packet.track_event else {
            continue;
        };
        let depth = depth.entry(event.track_uuid()).or_insert(0_i32);
        match event.r#type() {
            Kind::SliceBegin => *depth += 1,
            Kind::SliceEnd => *depth -= 1,
            _ => {}
        }
        assert!(*depth >= 0);
    }
    assert!(depth.values().all(|depth| *depth == 0));
    let counted = events(&packets, Kind::Counter);
    assert_eq!(counted.last().unwrap().counter_value(), 0);
}

#[test]
fn each_track_is_below_one_that_is_told() {
    let packets = export(vec![
        (1, Fact::Created(cgroup(1, POD))),
        (2, Fact::Present(cgroup(2, "/system.slice/nginx.service"))),
        (3, Fact::MkdirFailure(MkdirFailure::default())),
    ]);
    let tracks: Vec<_> = packets
        .iter()
        .filter_map(|p| p.track_descriptor.as_ref())
        .collect();
    let told: Vec<_> = tracks.iter().map(|track| track.uuid()).collect();
    for track in &tracks {
        assert!(track.parent_uuid.is_none_or(|above| told.contains(&above)));
    }
    let names: Vec<_> = tracks.iter().map(|track| track.name()).collect();
    assert!(
        names.contains(&"pod 74c13223-5a00-11e9-b385-42010a80018d"),
        "{names:?}"
    );
    assert!(names.contains(&"nginx.service"), "{names:?}");
    assert!(
        names.iter().all(|name| !name.contains('\u{1b}')),
        "{names:?}"
    );
    for packet in &packets {
        if let Some(event) = &packet.track_event {
            assert!(told.contains(&event.track_uuid()), "{event:?}");
        }
    }
    assert_eq!(events(&packets, Kind::Instant).len(), 1);
}
