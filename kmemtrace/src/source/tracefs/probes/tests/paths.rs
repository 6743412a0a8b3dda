//! The names above a new directory, as probes tell them.

use super::*;

/// A mkdir whose probes tell the names above as well, as an old kernel runs them: the newest probe first.
fn mkdir_at(thread: u32, at: u64, path: &str, memcg: u64) -> String {
    let mut names: Vec<_> = path.split('/').skip(1).collect();
    names.reverse();
    names.push("/");
    names.resize(7, "/");
    let ups = names.iter().enumerate().skip(1).rev();
    let ups: String = ups
        .map(|(n, name)| {
            told(
                thread,
                at,
                &format!("up{n}: (cgroup_mkdir+0x0/0x1) name=\"{name}\""),
            )
        })
        .collect();
    ups + &mkdir(thread, at, names[0], memcg)
}

#[test]
fn containers_gone_at_once_have_their_pods() {
    let mut probes = Probes::new(false, Version::V1);
    let there = &mut There::default();
    let memcg = |n: u64| 0xffff_8880_0000_0000 + n * 0x1000;
    for n in 0..20 {
        let pod = format!("/kubepods/besteffort/pod{n}");
        let at = n * 10;
        feed(&mut probes, &mkdir_at(5, at, &pod, memcg(2 * n)));
        feed(
            &mut probes,
            &mkdir_at(6, at + 3, &format!("{pod}/c"), memcg(2 * n + 1)),
        );
        if n % 5 != 0 {
            for gone in [2 * n + 1, 2 * n] {
                let text = format!("offline: (f) memcg={:#x}", memcg(gone));
                feed(&mut probes, &told(0, at + 6, &text));
            }
        }
    }
    let left = [
        found(10, "/kubepods/besteffort/pod0", 300),
        found(11, "/kubepods/besteffort/pod0/c", 300),
        found(12, "/kubepods/besteffort/pod5", 300),
        found(13, "/kubepods/besteffort/pod5/c", 300),
        found(15, "/kubepods/besteffort/pod10/c", 300),
        found(17, "/kubepods/besteffort/pod15/c", 300),
    ];
    let facts = tell(&mut probes, &left, there);
    let created = |fact: &&String| fact.starts_with("created");
    assert_eq!(facts.iter().filter(created).count(), 40);
    for n in 0..20 {
        let path = format!("/kubepods/besteffort/pod{n}/c");
        let id = match n {
            0 => "11".to_owned(),
            5 => "13".to_owned(),
            10 => "15".to_owned(),
            15 => "17".to_owned(),
            _ => "nameless".to_owned(),
        };
        assert!(
            facts.contains(&format!("created {id} {path} 6")),
            "{n}: {facts:?}"
        );
    }
}

#[test]
fn one_of_the_same_name_is_told_apart_by_its_path() {
    let mut probes = Probes::new(false, Version::V1);
    let there = &mut There::default();
    feed(&mut probes, &mkdir_at(5, 1, "/a/x", 0xffff_8880_0000_1000));
    feed(&mut probes, &mkdir_at(6, 5, "/b/x", 0xffff_8880_0000_2000));
    let both = [found(8, "/a/x", 9), found(9, "/b/x", 9)];
    let facts = tell(&mut probes, &both, there);
    assert_eq!(facts, ["created 8 /a/x 5", "created 9 /b/x 6"]);
    // Its removal is still to come, and what is there is another.
    feed(&mut probes, &mkdir_at(5, 20, "/c/x", 0xffff_8880_0000_3000));
    let facts = tell(&mut probes, &[found(10, "/d/x", 25)], there);
    assert_eq!(facts, ["created nameless /c/x 5"]);
}

#[test]
fn a_limit_on_the_number_of_cgroups_is_told_on_v2() {
    for (version, told_of) in [(Version::V1, 0), (Version::V2, 1)] {
        let mut probes = Probes::new(true, version);
        let text = told(5, 1, "up1: (f) name=\"\"")
            + &told(5, 1, "mkdir: (f) name=\"x\"")
            + &told(5, 3, "mkdir_return: (a <- b) ret=-11");
        feed(&mut probes, &text);
        let facts = tell(&mut probes, &[], &mut There::default());
        assert_eq!(facts.len(), told_of);
        let expected = "failed Some(11) Some(\"/x\")".to_owned();
        assert!(facts.iter().all(|fact| *fact == expected), "{facts:?}");
    }
}
