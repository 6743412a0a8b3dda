//! On a terminal, as a person meets it: colours, a question, Ctrl-C.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Child, Command},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::{ioctl_tiocsctty, setsid},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, tcgetattr},
};

use super::world::{World, mount, remove};
use crate::harness::{Result, patience, program};

/// The program with a terminal of its own.
struct Terminal {
    child: Child,
    /// What is typed goes here.
    keyboard: File,
    /// What the program's side of the terminal is like.
    own: OwnedFd,
    modes: Termios,
    screen: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn start(args: &[&str]) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&keyboard)?;
        unlockpt(&keyboard)?;
        let name = ptsname(&keyboard, Vec::new())?;
        let own = open(
            &name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let modes = tcgetattr(&own)?;
        let mut command = program(args);
        command
            .env("TERM", "xterm")
            .stdin(own.try_clone()?)
            .stdout(own.try_clone()?)
            .stderr(own.try_clone()?);
        control(&mut command);
        let child = command.spawn()?;
        let keyboard = File::from(keyboard);
        let mut output = keyboard.try_clone()?;
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            keyboard,
            own,
            modes,
            screen,
            shown: String::new(),
        })
    }

    /// Waits until this is on the screen.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + patience();
        while !self.shown.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.screen.recv_timeout(left) else {
                let _ = self.child.kill();
                panic!("waited for {text:?} in vain: {:?}", self.shown);
            };
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn type_in(&mut self, keys: &[u8]) -> std::io::Result<()> {
        self.keyboard.write_all(keys)
    }

    /// Waits for the program's end: all that was shown, and the exit status. The terminal is as it was.
    fn end(mut self) -> std::result::Result<(String, Option<i32>), libtest_mimic::Failed> {
        let status = self.child.wait()?;
        let modes = tcgetattr(&self.own)?;
        assert_eq!(
            (modes.local_modes, modes.input_modes, modes.output_modes),
            (
                self.modes.local_modes,
                self.modes.input_modes,
                self.modes.output_modes
            )
        );
        // With its last holder gone the reader ends.
        drop(self.own);
        for bytes in self.screen {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        let count = |code: &str| self.shown.matches(code).count();
        assert_eq!(
            count("\x1b[?25l"),
            count("\x1b[?25h"),
            "a hidden cursor: {:?}",
            self.shown
        );
        Ok((self.shown, status.code()))
    }
}

/// Makes standard input the controlling terminal, so that Ctrl-C on it is a signal.
#[expect(
    unsafe_code,
    reason = "what runs between fork and exec must be async-signal-safe"
)]
fn control(command: &mut Command) {
    let control = || {
        setsid()?;
        ioctl_tiocsctty(rustix::stdio::stdin())?;
        Ok(())
    };
    // SAFETY: two system calls and no allocation.
    unsafe { command.pre_exec(control) };
}

/// A leak is shown in colours, Ctrl-C ends the run with its summary, and the terminal is left as it was.
pub(super) fn interrupted() -> Result {
    let world = World::new("terminal");
    let mut terminal = Terminal::start(&["watch", "--grace", "200ms"])?;
    terminal.wait_for(" watching ");
    let cgroup = world.make("zombie");
    let file = world.charge(&cgroup, "zombie");
    remove(&cgroup);
    terminal.wait_for(&format!("{}/zombie", world.path));
    terminal.type_in(b"\x03")?;
    let (shown, status) = terminal.end()?;
    assert_eq!(status, Some(1), "{shown:?}");
    assert!(
        shown.contains("\x1b[") && shown.contains("watched for"),
        "{shown:?}"
    );
    assert!(!shown.contains("panicked"), "{shown}");
    world.unpin(&file);
    Ok(())
}

/// Where pods run, `reproduce` asks, and takes anything but yes for a no.
pub(super) fn asked() -> Result {
    let _world = World::new("asked");
    let kubepods = mount().ok_or("checked before")?.join("kubepods");
    // A node on which pods run is not the place to be asked on.
    if fs::create_dir(&kubepods).is_err() {
        return Ok(());
    }
    let args = ["reproduce", "--count", "1", "--wait", "1s"];
    let told: std::result::Result<Vec<_>, libtest_mimic::Failed> = [("n\n", false), ("y\n", true)]
        .into_iter()
        .map(|(answer, runs)| {
            let mut terminal = Terminal::start(&args)?;
            terminal.wait_for("[y/N]");
            terminal.type_in(answer.as_bytes())?;
            let (shown, status) = terminal.end()?;
            Ok(((status != Some(2)) == runs, shown))
        })
        .collect();
    remove(&kubepods);
    for (right, shown) in told? {
        assert!(right, "{shown:?}");
    }
    Ok(())
}
