//! Machines that end in every way, played by a shell script in qemu's place.

use super::*;

/// What comes of a machine whose console says what `script` writes.
fn ended(script: &str, limits: Limits) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let kernel = folder.path().join("script");
    fs::write(&kernel, script).unwrap();
    let qemu = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vm/qemu/stand-in.sh");
    let machine = Machine {
        qemu: &qemu,
        arch: Arch::X86_64,
        accel: Accel::Tcg,
        memory_mib: 1536,
        kernel: &kernel,
        initramfs: Path::new("none"),
        folder: folder.path(),
        limits,
    };
    let start = Instant::now();
    let ended = machine.run(Show::Lines("stand-in".to_owned())).unwrap();
    // None of the scripts ends by itself before that, if it sleeps.
    assert!(start.elapsed() < Duration::from_secs(30), "{ended:?}");
    let log = fs::read_to_string(folder.path().join("console.log")).unwrap();
    assert_eq!(log, ended.lines.join("\n"));
    ended
}

const PATIENT: Limits = Limits {
    run: Duration::from_secs(20),
    silence: Duration::from_secs(20),
    last_words: Duration::from_millis(200),
};

#[test]
fn a_verdict_ends_a_machine_that_does_not_power_off() {
    let script = "echo KMEMTRACE-VM-VERDICT rc=0 passed=1 failed=0 skipped=2; exec sleep 60";
    let ended = ended(script, PATIENT);
    assert_eq!(ended.verdict.map(|verdict| verdict.skipped), Some(2));
    assert_eq!(ended.trouble, None);
}

#[test]
fn a_machine_that_is_killed_gave_no_verdict() {
    let ended = ended("echo test live::a ... ; kill -9 $$", PATIENT);
    assert_eq!(ended.verdict, None);
    assert_eq!(
        ended.trouble.as_deref(),
        Some("the machine ended without a verdict")
    );
    assert_eq!(ended.tail()[0], "test live::a ...");
}

#[test]
fn silence_ends_a_machine() {
    let limits = Limits {
        silence: Duration::from_millis(1500),
        ..PATIENT
    };
    // What it says in between counts.
    let script = "for n in 1 2 3; do sleep 0.7; echo $n; done; exec sleep 60";
    let ended = ended(script, limits);
    assert_eq!(
        ended.trouble.as_deref(),
        Some("the machine has been silent for 1 s")
    );
    assert_eq!(ended.lines[..3], ["1", "2", "3"]);
}

#[test]
fn talk_without_end_ends_a_machine() {
    let limits = Limits {
        run: Duration::from_secs(1),
        ..PATIENT
    };
    let ended = ended("while :; do echo again; sleep 0.1; done", limits);
    assert_eq!(
        ended.trouble.as_deref(),
        Some("the machine ran for more than 1 s")
    );
}
