//! `proofbook up` as a child process of this very binary, on a fresh data folder, with the settings of production.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::usage::Usage;
use crate::cli::Global;
use crate::client::Client;

/// Killed when dropped, if it still runs.
pub(super) struct Server {
    child: Child,
    /// Kept open: the server may say more.
    _said: BufReader<ChildStdout>,
    pub(super) addr: SocketAddr,
    pub(super) token: String,
    pub(super) client: Client,
    /// From the start of the process to the line that says it is ready.
    pub(super) ready_after: Duration,
}

/// Where a server keeps what.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) pin: PathBuf,
}

impl Place {
    pub(super) fn in_folder(dir: &Path) -> Place {
        Place { data: dir.join("data"), pin: dir.join("pin") }
    }
}

/// Figures of one ledger, from `/metrics`.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(BTreeMap<String, u64>);

impl Figures {
    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

impl Server {
    /// Starts `proofbook up`.
    pub(super) fn start(place: &Place) -> Result<Server> {
        Server::start_as(&["up"], place)
    }

    /// Starts a subcommand that serves and says so as `up --json` does.
    pub(super) fn start_as(subcommand: &[&str], place: &Place) -> Result<Server> {
        let start = Instant::now();
        let mut command = Command::new(std::env::current_exe().context("this binary's path")?);
        command.arg("--json").args(subcommand).args(["--listen", "127.0.0.1:0", "--data"]).arg(&place.data);
        command.arg("--pin").arg(&place.pin).env("RUST_LOG", "warn");
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let Some(stdout) = child.stdout.take() else { bail!("the server has no output") };
        let mut line = String::new();
        let mut said_by = BufReader::new(stdout);
        said_by.read_line(&mut line)?;
        let ready_after = start.elapsed();
        let said: Value = serde_json::from_str(&line).with_context(|| format!("the server said {line:?}"))?;
        let url = said.get("url").and_then(Value::as_str).with_context(|| format!("the server said {line:?}"))?;
        let addr = url.strip_prefix("http://").context("a plain address")?.parse()?;
        let token =
            std::fs::read_to_string(place.data.join(server::real::BOOTSTRAP_FILE)).context("the first token")?;
        let token = token.trim().to_owned();
        let global = Global { url: url.to_owned(), token: Some(token.clone()), ca: None, json: true };
        Ok(Server { child, _said: said_by, addr, token, client: Client::new(&global)?, ready_after })
    }

    /// Makes a raw ledger.
    pub(super) fn create_raw(&self, name: &str) -> Result<()> {
        self.client.post_json("/v1/ledgers", &json!({"name": name, "kind": "raw"})).map(|_| ())
    }

    /// Figures of a ledger.
    pub(super) fn figures(&self, ledger: &str) -> Result<Figures> {
        let text = self.client.get_bytes("/metrics")?.context("the server has no figures")?;
        let label = format!("{{ledger=\"{ledger}\"}} ");
        let figures = String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| {
                let (name, value) = line.strip_prefix("proofbook_ledger_")?.split_once(&label)?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect();
        Ok(Figures(figures))
    }

    /// What the process has used so far.
    pub(super) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// kill -9.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill().context("kill")?;
        self.child.wait().context("wait")?;
        Ok(())
    }

    /// SIGTERM, and waits for the end; how long it took.
    pub(super) fn stop(mut self) -> Result<Duration> {
        let start = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).context("its number")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("SIGTERM")?;
        let status = self.child.wait().context("wait")?;
        ensure!(status.success(), "the server ended badly: {status}");
        Ok(start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` and `kill` there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
