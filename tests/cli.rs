//! The command line as people and scripts meet it, without privileges.

use std::{io::Read, process::Stdio};

use libtest_mimic::Trial;

use crate::harness::{Result, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("cli::help_and_version_exit_0", help),
        test("cli::bad_arguments_exit_2_and_say_what_is_wrong", bad),
        test("cli::a_closed_pipe_is_no_error", closed),
        test("cli::help_is_what_it_was", snapshots),
    ]
}

fn help() -> Result {
    for args in [
        &["--help"][..],
        &["watch", "--help"],
        &["scan", "--help"],
        &["doctor", "-h"],
        &["snapshot", "--help"],
    ] {
        let run = output(program(args));
        assert_eq!(run.status.code(), Some(0), "{args:?}");
        assert!(text(&run.stdout).contains("Usage: kmemtrace"), "{args:?}");
    }
    let run = output(program(["--version"]));
    let version = text(&run.stdout);
    assert_eq!(run.status.code(), Some(0));
    assert!(
        version.contains("commit") && version.contains("eBPF object"),
        "{version}"
    );
    Ok(())
}

fn bad() -> Result {
    for (args, said) in [
        (&["watch", "--grace", "30"][..], "not a time with a unit"),
        (&["watch", "--grace=-1s"], "cannot be negative"),
        (&["watch", "--for", "soon"], "not a time with a unit"),
        (&["watch", "--ring-size", "1"], "not a size"),
        (&["watch", "--ring-size", "5G"], "not a size"),
        (&["watch", "--avoid", "magic"], "tp_btf"),
        (&["watch", "--cgroup", "/a["], "cannot understand the glob"),
        (&["watch", "--source", "sockets"], "auto"),
        (&["wotch"], "wotch"),
        (&["scan", "--settle", "x"], "not a time with a unit"),
        (
            &["scan", "--root", "/nonexistent"],
            "cannot read /nonexistent",
        ),
        (
            &["scan", "--root", "/proc/version"],
            "cannot unpack /proc/version",
        ),
        (&["snapshot"], "--output"),
        (&["snapshot", "-o", "/dev/full"], "No space left"),
        (&["snapshot", "-o", "/tmp"], "/tmp is a directory"),
        (&["snapshot", "-o", "/tmp/x.zip"], "name it .tar.zst"),
        (
            &["snapshot", "-o", "/nonexistent/x.tar"],
            "cannot write /nonexistent/x.tar",
        ),
    ] {
        let run = output(program(args));
        let stderr = text(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
        assert!(run.stdout.is_empty(), "{args:?}: stdout is for data");
    }
    Ok(())
}

/// Whoever reads may stop reading: `kmemtrace doctor | head -1`.
fn closed() -> Result {
    for args in [
        &["doctor"][..],
        &["doctor", "--format", "json"],
        &["--help"],
    ] {
        let mut command = program(args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        drop(child.stdout.take());
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut stderr)?;
        let status = child.wait()?;
        assert_eq!(status.code(), Some(0), "{args:?}: {stderr}");
    }
    Ok(())
}

fn snapshots() -> Result {
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help_watch", &["watch", "--help"]),
    ] {
        let mut command = program(args);
        command.env("COLUMNS", "100");
        insta::assert_snapshot!(name, text(&output(command).stdout));
    }
    Ok(())
}
