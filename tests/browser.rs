//! A real browser, if there is one: Chromium without a window, told what to do over a pair of pipes.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::patience;

/// Names another browser that speaks Chromium's protocol.
const BROWSER: &str = "KMEMTRACE_TESTS_BROWSER";

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn browser() -> Option<PathBuf> {
    if let Some(browser) = env::var_os(BROWSER) {
        return Some(browser.into());
    }
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::split_paths(&path).collect();
    let mut files = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file())
}

/// Why there is none.
pub(crate) fn missing() -> Option<String> {
    browser().is_none().then(|| {
        format!(
            "requires a browser: {} (or name one in {BROWSER})",
            NAMES.join(", ")
        )
    })
}

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    commands: File,
    answers: Receiver<Value>,
    session: Option<String>,
    number: u64,
    /// Everything that it told without being asked.
    pub(crate) events: Vec<Value>,
    // Its pipes and its profile; last, so that it is removed last.
    _folder: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
            // Both ways, so that neither end waits for the other.
            let file = OpenOptions::new().read(true).write(true).open(&path);
            (path, file.expect("a pipe opens"))
        };
        let (commands_path, commands) = pipe("commands");
        let (answers_path, answers) = pipe("answers");
        let child = Command::new("sh")
            .args([
                "-c",
                "in=$1 out=$2; shift 2; exec \"$@\" 3<\"$in\" 4>\"$out\"",
                "sh",
            ])
            .args([&commands_path, &answers_path])
            .arg(browser().expect("a browser"))
            .args([
                "--headless=new",
                "--no-sandbox", // it refuses to run as root with one, and only opens pages that the tests made
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for answer in BufReader::new(answers).split(0) {
                let Ok(answer) = answer else { break };
                let answer = serde_json::from_slice(&answer).expect("an answer is JSON");
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            answers: receiver,
            session: None,
            number: 0,
            events: Vec::new(),
            _folder: folder,
        };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let page = &json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", page);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Calls a method of the protocol and waits for its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.number += 1;
        let mut command = json!({"id": self.number, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands
            .write_all(&bytes)
            .expect("the browser listens");
        loop {
            let answer = self.next();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Opens a file, and waits until it is loaded.
    pub(crate) fn open(&mut self, file: &Path) {
        let url = format!("file://{}", file.display());
        self.events.clear();
        self.call("Page.navigate", &json!({"url": url}));
        let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(loaded) {
            let event = self.next();
            self.events.push(event);
        }
    }

    /// The value of an expression on the page, awaited if it is a promise.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params =
            &json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {}",
            result["exceptionDetails"]
        );
        result["result"]["value"].clone()
    }

    /// What the browser complained about, and what it fetched besides the page.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        let methods = [
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
        ];
        let bad = |event: &&Value| {
            let method = event["method"].as_str().unwrap_or_default();
            let fetched =
                method == "Network.requestWillBeSent" && event["params"]["type"] != "Document";
            methods.contains(&method) || fetched
        };
        self.events.iter().filter(bad).collect()
    }

    fn next(&mut self) -> Value {
        self.answers
            .recv_timeout(patience())
            .expect("the browser answers")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The main process takes the others with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
