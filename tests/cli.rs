//! The command line as people and scripts meet it, without privileges.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::Trial;

use crate::harness::{Result, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("cli::help_and_version_exit_0", help),
        test("cli::bad_arguments_exit_2_and_say_what_is_wrong", bad),
        test("cli::a_closed_pipe_is_no_error", closed),
        test("cli::help_is_what_it_was", snapshots),
        test("cli::completions_name_every_verb", completions),
        test("cli::manual_pages_are_well_formed", manual),
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
        (&["scan", "--files=x"], "not a time with a unit"),
        (&["scan", "--settle", "x"], "not a time with a unit"),
        (
            &["scan", "--root", "/nonexistent"],
            "cannot read /nonexistent",
        ),
        (
            &["scan", "--root", "/proc/version"],
            "cannot unpack /proc/version",
        ),
        (&["completions"], "<SHELL>"),
        (&["completions", "tcsh"], "fish"),
        (&["man", "/dev/null"], "cannot make /dev/null"),
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
        &["completions", "bash"],
        &["man"],
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

/// The verbs that `--help` lists, but for `help`.
pub(crate) fn verbs() -> Vec<String> {
    let help = output(program(["--help"]));
    let help = text(&help.stdout);
    let list = help
        .split_once("Commands:\n")
        .and_then(|(_, rest)| rest.split_once("\n\n"))
        .expect("a list of commands")
        .0;
    // A line that goes on with the last one's text is indented further.
    let verbs: Vec<_> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect();
    assert!(verbs.len() > 3, "only {verbs:?}: is the test blind?");
    verbs
}

fn completions() -> Result {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = output(program(["completions", shell]));
        let script = text(&run.stdout);
        assert_eq!(run.status.code(), Some(0), "{shell}");
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell}: no {verb}");
        }
        assert!(script.contains("mkdir-syscalls"), "{shell}: no options");
    }
    // What is installed reads its own script.
    for shell in ["bash", "zsh", "fish"] {
        let script = output(program(["completions", shell])).stdout;
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), script)?;
        match Command::new(shell).arg("-n").arg(file.path()).output() {
            Err(_) => {}
            Ok(run) => assert!(run.status.success(), "{shell}: {}", text(&run.stderr)),
        }
    }
    Ok(())
}

fn manual() -> Result {
    let folder = tempfile::tempdir()?;
    let run = output(program(["man".as_ref(), folder.path().as_os_str()]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let mut names = vec!["kmemtrace.1".to_owned()];
    names.extend(verbs().iter().map(|verb| format!("kmemtrace-{verb}.1")));
    for name in &names {
        let page = fs::read_to_string(folder.path().join(name))?;
        for part in [".TH kmemtrace", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
            assert!(page.contains(part), "{name}: no {part}");
        }
        assert!(!page.contains("commit"), "{name} is of one binary");
        linted(&folder.path().join(name));
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), names.len());
    let main = output(program(["man"])).stdout;
    assert_eq!(main, fs::read(folder.path().join("kmemtrace.1"))?);
    Ok(())
}

/// What groff has to say about a page, where there is one, is nothing.
fn linted(page: &Path) {
    let run = Command::new("groff")
        .args(["-man", "-ww", "-Kutf8", "-Tutf8", "-z"])
        .arg(page)
        .output();
    if let Ok(run) = run {
        let said = text(&run.stderr);
        assert!(
            run.status.success() && said.is_empty(),
            "{}: {said}",
            page.display()
        );
    }
}
