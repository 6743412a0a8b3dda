//! One virtual machine: started, listened to, and ended.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    apt,
    arch::{Arch, Settings},
    console::{self, Said, Verdict},
};
use crate::{error::Error, workspace};

/// The guest's memory, in MiB. The slow tests use up all memcg ids, each with some tens of KiB.
pub(crate) const fn memory_mib(slow: bool) -> u64 {
    if slow { 6144 } else { 1536 }
}

/// Of the disk. It takes no more than is written to it.
const DISK_BYTES: u64 = 128 << 20;

/// How many lines of the console to show when a machine failed.
const TAIL: usize = 60;

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accel {
    Kvm,
    /// Emulation: 10 to 30 times slower.
    #[default]
    Tcg,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

impl Accel {
    /// KVM where it can run a kernel of that architecture as it is. /dev/kvm alone does not tell: without the processor's own virtualisation
    /// (as in a machine that is a virtual one itself) an unprepared kernel hangs in it.
    pub(crate) fn of(arch: Arch) -> Self {
        let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let can = flags
            .split_whitespace()
            .any(|flag| matches!(flag, "vmx" | "svm"));
        let may = File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok();
        let own = Arch::own() == Some(arch);
        if own && can && may {
            Self::Kvm
        } else {
            Self::Tcg
        }
    }

    /// How long a test in the guest may wait for what must come.
    pub(crate) fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Kvm => 60,
            Self::Tcg => 150,
        })
    }
}

/// qemu for an architecture, installed if it is missing.
pub(crate) fn find(arch: Arch) -> Result<PathBuf, Error> {
    let Settings { qemu, package, .. } = arch.settings();
    if let Some(path) = workspace::on_path(qemu) {
        return Ok(path);
    }
    apt::install(package, "it runs the virtual machines")?;
    workspace::on_path(qemu)
        .ok_or_else(|| Error::new(format!("{qemu} is installed, but not on PATH")))
}

/// A machine to boot.
pub(crate) struct Machine<'a> {
    pub(crate) qemu: &'a Path,
    pub(crate) arch: Arch,
    pub(crate) accel: Accel,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: &'a Path,
    pub(crate) initramfs: &'a Path,
    /// Where the console's log and the guest's data go.
    pub(crate) folder: &'a Path,
    pub(crate) limits: Limits,
}

/// How long a machine is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long it may run.
    pub(crate) run: Duration,
    /// How long its console may be silent.
    pub(crate) silence: Duration,
    /// How long it has to power off after its verdict, and how long the kernel may go on about its trouble.
    pub(crate) last_words: Duration,
}

/// What of a machine to show while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Show {
    /// The console, on stdout.
    Console,
    /// The console's lines, on stdout, after the machine's name: it is one of several.
    Lines(String),
    /// The guest's data on stdout, and the console after the command's start on stderr.
    Command,
}

/// How a machine ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) verdict: Option<Verdict>,
    /// Why there is no verdict.
    pub(crate) trouble: Option<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) took: Duration,
}

impl Ended {
    /// The console's last lines.
    pub(crate) fn tail(&self) -> &[String] {
        &self.lines[self.lines.len().saturating_sub(TAIL)..]
    }
}

impl Machine<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.qemu);
        let settings = self.arch.settings();
        let mut line = format!(
            "console={} printk.time=1 quiet loglevel=4 panic=-1 oops=panic swapaccount=1{}",
            settings.console, settings.append
        );
        match self.accel {
            Accel::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
            Accel::Tcg => {
                // The host may be busy, too: what looks like a stall is none.
                line.push_str(" rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60");
                // With a thread for each processor, one was seen to run an int3 that the other had patched away
                // (`smp_text_poke_batch_finish`, 7.3): a panic that no machine of metal has.
                command.args(["-accel", "tcg,thread=single", "-cpu", settings.cpu])
            }
        };
        command
            .args([
                "-drive",
                &format!(
                    "file={},if=none,id=disk,format=raw,cache=unsafe",
                    self.disk().display()
                ),
            ])
            .args(["-device", "nvme,drive=disk,serial=disk"])
            .args(["-machine", settings.board, "-smp", "2"])
            .arg("-m")
            .arg(self.memory_mib.to_string())
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", &line]);
        command
    }

    /// An empty disk, which the tests swap to.
    fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    fn make_disk(&self) -> Result<(), Error> {
        let path = self.disk();
        File::create(&path)
            .and_then(|file| file.set_len(DISK_BYTES))
            .map_err(|cause| Error::file("write", &path, cause))
    }

    /// The file with the guest's data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Boots with the console on this terminal.
    pub(crate) fn interactive(&self) -> Result<ExitStatus, Error> {
        self.make_disk()?;
        let data = self.arch.settings().data.arguments(&self.data());
        workspace::status(self.command().args(["-serial", "mon:stdio"]).args(data))
    }

    /// Boots, and listens until the verdict, until trouble, or until nothing more is to be expected.
    pub(crate) fn run(&self, show: Show) -> Result<Ended, Error> {
        self.make_disk()?;
        let data = self.data();
        File::create(&data).map_err(|cause| Error::file("write", &data, cause))?;
        let log = self.folder.join("console.log");
        let mut log = File::create(&log).map_err(|cause| Error::file("write", &log, cause))?;
        let mut command = self.command();
        command
            .args(["-serial", "stdio"])
            .args(self.arch.settings().data.arguments(&data))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = Guard(
            command
                .spawn()
                .map_err(|cause| workspace::cannot_start(&command, &cause))?,
        );
        let console = child.0.stdout.take();
        let (sender, pieces) = sync_channel(64);
        thread::spawn(move || {
            let Some(mut console) = console else { return };
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = console.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut listener = Listener {
            show,
            ended: Ended::default(),
            data: Tail::new(&data),
            line: Vec::new(),
            begun: false,
        };
        listener
            .listen(&pieces, &mut log, self.limits)
            .map_err(|cause| Error::caused("cannot pass on the console", cause))?;
        child.end(self.limits.last_words);
        listener
            .follow()
            .map_err(|cause| Error::file("read", &data, cause))?;
        Ok(listener.ended)
    }
}

/// A machine that does not outlive its listener.
struct Guard(Child);

impl Guard {
    /// Waits for the machine to power off, and ends it if it does not.
    fn end(&mut self, last_words: Duration) {
        let deadline = Instant::now() + last_words;
        while Instant::now() < deadline {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What has been heard so far.
struct Listener {
    show: Show,
    ended: Ended,
    data: Tail,
    /// The last line, while it is not complete.
    line: Vec<u8>,
    /// The command runs.
    begun: bool,
}

impl Listener {
    fn listen(
        &mut self,
        pieces: &Receiver<Vec<u8>>,
        log: &mut File,
        limits: Limits,
    ) -> io::Result<()> {
        let start = Instant::now();
        let mut heard = start;
        // When there is nothing more to wait for.
        let mut until = start + limits.run;
        loop {
            self.follow()?;
            self.ended.took = start.elapsed();
            match pieces.recv_timeout(Duration::from_millis(100)) {
                Ok(piece) => {
                    heard = Instant::now();
                    log.write_all(&piece)?;
                    self.hear(&piece)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    if self.ended.verdict.is_none() {
                        self.trouble("the machine ended without a verdict");
                    }
                    break;
                }
            }
            if self.ended.verdict.is_some() {
                break;
            }
            if self.ended.trouble.is_some() {
                until = until.min(heard + limits.last_words);
            }
            if Instant::now() > until {
                let limit = limits.run.as_secs();
                self.trouble(&format!("the machine ran for more than {limit} s"));
                break;
            }
            // A command may have nothing to say.
            if !self.begun && heard.elapsed() > limits.silence {
                let silence = heard.elapsed().as_secs();
                self.trouble(&format!("the machine has been silent for {silence} s"));
                break;
            }
        }
        let rest = std::mem::take(&mut self.line);
        self.complete(&rest);
        Ok(())
    }

    /// Shows what the guest sent, if that is a command's output.
    fn follow(&mut self) -> io::Result<()> {
        match self.show {
            Show::Command => self.data.follow(),
            Show::Console | Show::Lines(_) => Ok(()),
        }
    }

    /// The first trouble is the cause of the others.
    fn trouble(&mut self, what: &str) {
        self.ended.trouble.get_or_insert_with(|| what.to_owned());
    }

    fn hear(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.show == Show::Console {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&console::printable(piece))?;
            stdout.flush()?;
        }
        for &byte in piece {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.complete(&line);
            } else {
                self.line.push(byte);
            }
        }
        Ok(())
    }

    fn complete(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(&console::printable(line)).into_owned();
        match console::understand(&line) {
            Some(Said::Begin) => self.begun = true,
            Some(Said::Verdict(verdict)) => self.ended.verdict = Some(verdict),
            Some(Said::Trouble(what)) => self.trouble(&what),
            None if self.begun && self.show == Show::Command && !line.is_empty() => {
                eprintln!("{line}");
            }
            None => {}
        }
        if let Show::Lines(name) = &self.show
            && !line.is_empty()
        {
            println!("{name} | {line}");
        }
        self.ended.lines.push(line);
    }
}

/// The guest's data, as far as it has been shown.
struct Tail {
    path: PathBuf,
    shown: u64,
}

impl Tail {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            shown: 0,
        }
    }

    /// Shows what is new.
    fn follow(&mut self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.shown))?;
        let mut new = Vec::new();
        self.shown += file.read_to_end(&mut new)? as u64;
        // The guest's terminal puts them in.
        new.retain(|byte| *byte != b'\r');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&new)?;
        stdout.flush()
    }
}

#[cfg(test)]
mod tests;
