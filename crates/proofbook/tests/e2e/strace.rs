//! System calls of the shipped binary that fail by strace(1): the n-th one, once and for ever.
//!
//! strace counts calls for each thread on its own, and with `-P` only those on the named files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::{Folder, How, NotUp, PATIENCE, Up};

/// One fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Name of the system call.
    pub(crate) call: &'static str,
    /// What strace does to it: `error=EIO`, `signal=SIGKILL`.
    pub(crate) does: &'static str,
    /// From 1.
    pub(crate) n: u32,
    pub(crate) for_ever: bool,
    /// Only on this file, by its real path.
    pub(crate) only: Option<PathBuf>,
}

/// What strace saw.
pub(crate) struct Trace {
    log: PathBuf,
}

/// strace is there and may trace. Its absence is said aloud; in continuous integration it is a failure.
pub(crate) fn is_there() -> bool {
    let args = ["-qq", "-e", "trace=getuid", "-e", "inject=getuid:error=EPERM", "true"];
    let works = Command::new("strace").args(args).output().is_ok_and(|out| out.status.success());
    if !works {
        testkit::do_without("strace", "it is absent or may not trace: no fault is injected");
    }
    works
}

impl Fault {
    /// Starts the server under this fault; it may come up or not.
    pub(crate) fn up(&self, folder: &Folder) -> (Result<Up, NotUp>, Trace) {
        let log = folder.path("strace");
        let _ = std::fs::remove_file(&log);
        let when = if self.for_ever { format!("{}+", self.n) } else { self.n.to_string() };
        let mut under: Vec<String> = ["strace", "-D", "-f", "-ttt", "-y"].map(str::to_owned).into();
        // Faster; but with it a signal is not delivered at the call.
        if !self.does.starts_with("signal") {
            under.push("--seccomp-bpf".to_owned());
        }
        under.push("-o".to_owned());
        under.push(log.display().to_string());
        if let Some(path) = &self.only {
            under.extend(["-P".to_owned(), path.display().to_string()]);
        }
        let inject = format!("inject={}:{}:when={when}", self.call, self.does);
        under.extend(["-e".to_owned(), format!("trace={}", self.call), "-e".to_owned(), inject]);
        (folder.try_up(&How { under, ..How::default() }), Trace { log })
    }
}

impl Trace {
    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The calls that were struck, once the traced process has ended.
    pub(crate) fn struck(&self) -> Vec<String> {
        // strace outlives what it traces by a moment.
        let end = Instant::now() + PATIENCE;
        while writing(&self.log) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = self.text();
        let hits = |line: &&str| line.contains("(INJECTED)") || line.contains("killed by SIGKILL");
        text.lines().filter(hits).map(str::to_owned).collect()
    }

    /// A call was struck by now.
    pub(crate) fn has_struck(&self) -> bool {
        self.text().contains("(INJECTED)")
    }

    /// When the first call was struck, seconds since 1970.
    pub(crate) fn first_at(&self) -> Option<f64> {
        let text = self.text();
        let line = text.lines().find(|line| line.contains("(INJECTED)"))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    }
}

/// Somebody still holds the log open.
fn writing(log: &Path) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes.flatten().filter(|p| p.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())).any(|process| {
        let is_strace = std::fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.trim() == "strace");
        is_strace && {
            let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            line.contains(&log.display().to_string())
        }
    })
}
