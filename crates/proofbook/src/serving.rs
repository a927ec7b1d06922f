//! Runs the server inside this process: settings from flags, start, the watch over it, an orderly stop.
//!
//! Prints nothing and reads no flag itself.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use server::{Config, ConfigFile, Log, Running, real};
use tokio::runtime::Runtime;

use crate::cli::DataFlags;

/// How often the server is asked whether it still writes.
const WATCH: Duration = Duration::from_millis(250);

/// A server that accepts connections.
pub(crate) struct Serving {
    runtime: Runtime,
    running: Running,
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    log: Arc<dyn Log>,
}

/// What the start found.
pub(crate) struct Started {
    /// The first admin token, on a fresh folder.
    pub(crate) bootstrap: Option<String>,
    /// Sentences for the operator.
    pub(crate) notes: Vec<String>,
}

/// Settings of a data folder, with everything else left to its default.
pub(crate) fn settings(flags: &DataFlags, listen: std::net::SocketAddr) -> Result<ConfigFile> {
    let mut file = ConfigFile::new(flags.data.clone(), listen, PathBuf::new());
    file.pin.clone_from(&flags.pin);
    if flags.pin.is_none() {
        file.state_folder = pins_folder()?;
    }
    file.accept_first_start = flags.accept_first_start;
    Ok(file)
}

/// `$XDG_STATE_HOME/proofbook/pins` (docs/formats/data-folder.md).
pub(crate) fn pins_folder() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME")
        .filter(|p| p.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".local").join("state")))
        .context("there is no user's state folder (neither XDG_STATE_HOME nor HOME is set): give --pin FILE")?;
    Ok(state.join("proofbook").join("pins"))
}

/// Opens the data folder and listens. Blocking.
pub(crate) fn start(config: &Config) -> Result<(Serving, Started)> {
    // Before the data folder is touched: a first start that fails for its address must not use up the first token.
    if let Err(error) = std::net::TcpListener::bind(config.listen) {
        bail!(
            "cannot listen on {}: {error}\nhint: is another server running there? --listen takes another",
            config.listen
        );
    }
    let (journal, report) = real::open(config).map_err(explained)?;
    let log: Arc<dyn Log> = Arc::new(journal);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .context("no threads for the server")?;
    let listening = runtime.block_on(async {
        // First of all: a signal that follows the line "ready" at once must find its handler.
        let signal = Running::signal().context("no signals can be waited for")?;
        let running =
            server::serve(config, Arc::clone(&log), real::clock()).await.context("the server did not start")?;
        anyhow::Ok((Box::pin(signal), running))
    });
    let (signal, running) = match listening {
        Ok(both) => both,
        Err(error) => {
            // What the start committed is signed before the process ends.
            let _ = log.close();
            return Err(error);
        }
    };
    let bootstrap = report.bootstrap.map(|secret| secret.expose().to_owned());
    Ok((Serving { runtime, running, signal, log }, Started { bootstrap, notes: report.notes }))
}

/// What went wrong, and what to do about it.
pub(crate) fn explained(error: real::OpenError) -> anyhow::Error {
    let hint = match error.kind() {
        "locked" => "another process runs on this data folder: stop it, or use another --data",
        "no-pin" => {
            "if this folder was restored or moved on purpose, start once with --accept-first-start; else find out \
             where its pin file went (--pin), for without it an older copy cannot be told from the newest"
        }
        "rolled-back" => {
            "this folder holds an older state than was signed before: it was put back from a copy. Bring the newest \
             state back; nothing was changed or signed"
        }
        "corrupt" => "`proofbook fsck` names what is damaged; nothing was changed or signed",
        "newer-format" => "this data folder was written by a newer release, or is not one of ours",
        _ => return anyhow::Error::new(error),
    };
    anyhow::anyhow!("{:#}\nhint: {hint}", anyhow::Error::new(error))
}

impl Serving {
    /// `http://` or `https://` with the address that was taken.
    pub(crate) fn url(&self, config: &Config) -> String {
        let scheme = if matches!(config.transport, server::Transport::Plain) { "http" } else { "https" };
        format!("{scheme}://{}", self.running.addr())
    }

    /// Waits for SIGTERM or SIGINT; or for a ledger that stopped taking entries, whose reason is answered.
    pub(crate) fn wait(&mut self) -> Option<String> {
        let log = Arc::clone(&self.log);
        let signal = &mut self.signal;
        self.runtime.block_on(async {
            tokio::select! {
                () = signal => None,
                reason = poisoned(log) => Some(reason),
            }
        })
    }

    /// Drains, signs a checkpoint over everything, ends.
    pub(crate) fn stop(self) -> Result<()> {
        let stopped = self.runtime.block_on(self.running.stop());
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        match stopped {
            Ok(()) => Ok(()),
            Err(error) => bail!("the stop was not clean: {error}"),
        }
    }
}

async fn poisoned(log: Arc<dyn Log>) -> String {
    loop {
        tokio::time::sleep(WATCH).await;
        let log = Arc::clone(&log);
        let status = tokio::task::spawn_blocking(move || log.status()).await;
        let ledgers = status.map(|status| status.ledgers).unwrap_or_default();
        if let Some(found) = ledgers.into_iter().find_map(|l| l.log.poisoned.map(|why| (l.info.name, why))) {
            return format!("the ledger {} stopped: {}", found.0, found.1);
        }
    }
}
