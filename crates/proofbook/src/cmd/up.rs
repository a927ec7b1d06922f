//! `proofbook up`: the server in the foreground, until a signal or a failing disk ends it.

use std::io::IsTerminal;

use anyhow::{Result, bail};
use serde_json::json;
use server::Config;
use tracing_subscriber::EnvFilter;

use crate::cli::{Global, LogFormat, Up};
use crate::serving::{self, Serving, Started};
use crate::{Exit, output};

/// What client commands take where nothing else is said.
const DEFAULT_URL: &str = "http://127.0.0.1:8440";
const DEFAULT_DATA: &str = "proofbook-data";

pub(crate) fn run(global: &Global, flags: &Up) -> Result<Exit> {
    let mut file = serving::settings(&flags.data, flags.listen)?;
    file.public_url.clone_from(&flags.public_url);
    file.tls_cert.clone_from(&flags.tls_cert);
    file.tls_key.clone_from(&flags.tls_key);
    file.behind_tls_proxy = flags.behind_tls_proxy;
    let config = file.resolve()?;
    log_to_stderr(flags.log_format);
    let (mut serving, started) = serving::start(&config)?;
    say(global, &config, &serving, &started);
    let reason = serving.wait();
    if reason.is_none() && !global.json {
        output::note("stopping: draining requests, signing the last checkpoint");
    }
    let stopped = serving.stop();
    if let Some(reason) = reason {
        bail!("{reason}\nhint: nothing more was acknowledged; the next start verifies the disk");
    }
    stopped?;
    if global.json {
        output::json(&json!({"event": "stopped"}));
    } else {
        output::note("stopped: the last checkpoint covers every acknowledged entry");
    }
    Ok(Exit::Done)
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_target(false);
    // Failing, somebody has set one already, which is as good.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn say(global: &Global, config: &Config, serving: &Serving, started: &Started) {
    let url = serving.url(config);
    for note in &started.notes {
        tracing::warn!("{}", output::safe(note));
    }
    let data = config.data.display().to_string();
    if global.json {
        // The token stands in its file alone: a log of this output must not hold it.
        output::json(&json!({
            "event": "ready", "url": url, "data": data, "notes": started.notes,
            "first_token": started.bootstrap.as_ref().map(|_| format!("{data}/{}", server::real::BOOTSTRAP_FILE)),
        }));
        return;
    }
    output::line(&format!("{}  {url}", output::bold("Proofbook is ready")));
    output::line(&format!("data folder  {}", output::safe(&data)));
    if let Some(token) = &started.bootstrap {
        output::line(&format!("first token  {token}"));
        let file = format!("{data}/{}", server::real::BOOTSTRAP_FILE);
        output::line(&output::dim(&format!(
            "             shown once; also in {} (only you can read it)",
            output::safe(&file)
        )));
        output::line("");
        output::line("Try it from another terminal in this folder:");
        // Only what the defaults of the client commands do not say by themselves.
        if url != DEFAULT_URL {
            output::line(&format!("  export PROOFBOOK_URL={url}"));
        }
        if url != DEFAULT_URL || data != DEFAULT_DATA {
            output::line(&format!("  export PROOFBOOK_TOKEN=$(cat '{}')", output::safe(&file)));
        }
        output::line(
            "  echo '{\"action\":\"user.login\",\"actor\":{\"type\":\"user\",\"id\":\"ada\"}}' | proofbook ingest -",
        );
        output::line("  proofbook tail");
        output::line("  proofbook verify");
    }
}
