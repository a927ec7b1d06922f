//! `bench serve`: the server of `up`, but it seals soon. For measurements that need sealed files without the wait.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use crate::cli::DataFlags;
use crate::{Exit, output, serving};

/// Settings that `up` does not have.
#[derive(Args, Clone, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    data: DataFlags,
    /// Address and port.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: std::net::SocketAddr,
    /// Age at which a segment is sealed.
    #[arg(long, value_name = "MS")]
    seal_after_ms: u64,
}

pub(super) fn run(flags: &Serve) -> Result<Exit> {
    let mut config = serving::settings(&flags.data, flags.listen)?.resolve()?;
    config.ledger.segment_age_ms = flags.seal_after_ms;
    let (mut serving, _) = serving::start(&config)?;
    output::json(&json!({"event": "ready", "url": serving.url(&config)}));
    let reason = serving.wait();
    serving.stop()?;
    match reason {
        Some(reason) => bail!("{reason}"),
        None => Ok(Exit::Done),
    }
}
