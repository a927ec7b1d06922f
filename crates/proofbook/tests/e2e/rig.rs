//! One data folder with its pin and user state, and the shipped binary over it: as a server, as a client.
//!
//! Every process started here is killed when its handle is dropped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tlog::Vkey;

use crate::http::Http;

/// Longest wait for anything that should happen at once; generous, because other tests share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const BINARY: &str = env!("CARGO_BIN_EXE_proofbook");

/// A folder below which everything of one test lies.
pub(crate) struct Folder {
    root: PathBuf,
    _held: tempfile::TempDir,
    started: AtomicU64,
}

/// How `up` is started.
#[derive(Clone, Default)]
pub(crate) struct How {
    /// More flags.
    pub(crate) flags: Vec<String>,
    /// A program and its arguments in front of the binary's name.
    pub(crate) under: Vec<String>,
    /// Instead of a free port of 127.0.0.1.
    pub(crate) listen: Option<String>,
}

/// A server that said it is ready.
pub(crate) struct Up {
    child: Child,
    lines: Receiver<String>,
    errors: PathBuf,
    /// What the `ready` line says.
    pub(crate) ready: Value,
}

/// A server that did not come up.
#[derive(Debug)]
pub(crate) struct NotUp {
    pub(crate) code: Option<i32>,
    /// The member `error` of what it printed.
    pub(crate) error: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        let held = tempfile::tempdir().unwrap();
        Folder { root: held.path().to_path_buf(), _held: held, started: AtomicU64::new(0) }
    }

    /// A copy with the same modes.
    pub(crate) fn copy_of(other: &Folder) -> Folder {
        let copy = Folder::new();
        for name in ["data", "pin"] {
            let status = Command::new("cp").arg("-a").arg(other.path(name)).arg(copy.path(name)).status();
            assert!(status.unwrap().success());
        }
        copy
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The first admin token.
    pub(crate) fn bootstrap(&self) -> String {
        std::fs::read_to_string(self.data().join("bootstrap.token")).unwrap().trim().to_owned()
    }

    pub(crate) fn up(&self) -> Up {
        self.try_up(&How::default()).unwrap_or_else(|e| panic!("not up: {e:?}"))
    }

    pub(crate) fn try_up(&self, how: &How) -> Result<Up, NotUp> {
        self.spawn(how).ready()
    }

    /// Starts the server without waiting for it.
    pub(crate) fn spawn(&self, how: &How) -> Starting {
        let errors = self.path(&format!("stderr-{}", self.started.fetch_add(1, Ordering::Relaxed)));
        let mut words = how.under.clone();
        words.push(BINARY.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["up", "--json", "--data"]).arg(self.data()).arg("--pin").arg(self.path("pin"));
        command.arg("--listen").arg(how.listen.as_deref().unwrap_or("127.0.0.1:0")).args(&how.flags);
        clean(&mut command, self);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(std::fs::File::create(&errors).unwrap());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tx, lines) = channel();
        // Ends with the process, or once nobody reads.
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| tx.send(line).is_ok()));
        Starting(Some(Up { child, lines, errors, ready: Value::Null }))
    }

    /// Runs a client command with the first token; `url` may be empty where the command asks no server.
    pub(crate) fn cli(&self, url: &str, args: &[&str]) -> Output {
        self.command(url, args).output().unwrap()
    }

    pub(crate) fn command(&self, url: &str, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(args);
        clean(&mut command, self);
        if !url.is_empty() {
            command.env("PROOFBOOK_URL", url);
        }
        if let Ok(token) = std::fs::read_to_string(self.data().join("bootstrap.token")) {
            command.env("PROOFBOOK_TOKEN", token.trim());
        }
        command
    }

    /// Folder of a ledger of this data folder.
    pub(crate) fn ledger(&self, name: &str) -> PathBuf {
        let wanted = format!("\"name\":\"{name}\"");
        let all = std::fs::read_dir(self.data().join("ledgers")).unwrap().map(|e| e.unwrap().path());
        all.into_iter()
            .find(|dir| std::fs::read_to_string(dir.join("LEDGER")).is_ok_and(|text| text.contains(&wanted)))
            .unwrap_or_else(|| panic!("no ledger {name}"))
    }
}

fn clean(command: &mut Command, folder: &Folder) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PROOFBOOK_")) {
        command.env_remove(name);
    }
    command.env("XDG_STATE_HOME", folder.path("state")).env("RUST_LOG", "warn").current_dir(&folder.root);
}

/// A server on its way; killed when dropped.
pub(crate) struct Starting(Option<Up>);

impl Starting {
    pub(crate) fn kill(mut self) {
        if let Some(up) = self.0.take() {
            up.kill();
        }
    }

    pub(crate) fn ready(mut self) -> Result<Up, NotUp> {
        let mut up = self.0.take().unwrap();
        let end = Instant::now() + PATIENCE;
        let mut error = String::new();
        loop {
            match up.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                    if said["event"] == "ready" {
                        up.ready = said;
                        return Ok(up);
                    }
                    error.push_str(said["error"].as_str().unwrap_or(""));
                }
                Err(RecvTimeoutError::Timeout) => panic!("neither up nor ended: {}", up.stderr()),
                Err(RecvTimeoutError::Disconnected) => {
                    let code = up.wait().code();
                    return Err(NotUp { code, error, stderr: up.stderr() });
                }
            }
        }
    }
}

impl Up {
    pub(crate) fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }

    pub(crate) fn http(&self, token: &str) -> Http {
        Http::new(self.url(), token)
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; what the process printed after `ready`, and how it ended.
    pub(crate) fn stop(mut self) -> (ExitStatus, Vec<Value>) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.wait();
        (status, self.rest())
    }

    /// A stop that must be clean.
    pub(crate) fn stop_cleanly(self) {
        let errors = self.errors.clone();
        let (status, said) = self.stop();
        let shown = std::fs::read_to_string(errors).unwrap_or_default();
        assert_eq!(status.code(), Some(0), "{said:?} {shown}");
        assert_eq!(said.last().map(|v| v["event"].clone()), Some("stopped".into()));
    }

    /// What was printed since; the process has ended.
    pub(crate) fn rest(&self) -> Vec<Value> {
        self.lines.iter().map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the process does not end: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exit code and the JSON lines of a command that was run with `--json`.
pub(crate) fn said(output: &Output) -> (i32, Vec<Value>) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect();
    (output.status.code().unwrap(), lines)
}

/// Keys of a ledger, as the operator would pin them.
pub(crate) fn vkeys(http: &mut Http, ledger: &str) -> Vec<Vkey> {
    let info = http.get(&format!("/v1/ledgers/{ledger}")).ok_json();
    info["vkeys"].as_array().unwrap().iter().map(|v| Vkey::parse(v.as_str().unwrap()).unwrap()).collect()
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where real data lies beside the repository; its absence is said aloud.
pub(crate) fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("PROOFBOOK_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let data = Some(shared.join("data")).filter(|d| d.is_dir());
    if data.is_none() {
        eprintln!("SKIPPED: no real data beside the repository (PROOFBOOK_SHARED)");
    }
    data
}
