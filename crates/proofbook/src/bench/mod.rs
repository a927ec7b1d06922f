//! `proofbook bench`: what this machine does, measured by a load generator of our own on the same cores.
//!
//! Every figure is one that was seen in this run. The bars and the last figures stand in docs/benchmarks.md. Nothing
//! here is used by the product.

#![expect(clippy::cast_possible_truncation, reason = "digits, buckets and counts that are bounded where they are made")]

mod aged;
mod all;
mod append;
mod child;
mod events;
mod floor;
mod histogram;
mod http;
mod loads;
mod over_http;
mod overload;
mod report;
mod rig;
mod scratch;
mod serve;
mod size;
mod usage;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Exit;
use crate::cli::Global;

/// Time of a throughput measurement with `--quick`.
const QUICK_SECONDS: u64 = 8;
/// Entries of a folder that has grown for a while.
const ENTRIES: u64 = 10_000_000;

/// `proofbook bench`
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    #[command(subcommand)]
    topic: Topic,
    /// Folder to measure in: a fresh one is made inside it and removed at the end. The disk under it is measured too.
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Length of a throughput measurement, without its warm-up.
    #[arg(long, global = true, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Entries of the folder that `restart` and `verify` make.
    #[arg(long, global = true, default_value_t = ENTRIES, value_name = "N")]
    entries: u64,
    /// Short and rough: 8 seconds, a tenth of the entries. Figures of the page are not made so.
    #[arg(long, global = true)]
    quick: bool,
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
enum Topic {
    /// The same bytes hashed, written and synced by a plain loop of one thread: what all else is compared with.
    Floor,
    /// Append in process, batches of 1,000.
    Append {
        /// Unsealed bytes beyond which the log takes nothing more; a huge one measures a burst.
        #[arg(long, default_value_t = 1024, value_name = "MIB")]
        backlog_mib: u64,
    },
    /// Batches of 1,000 over HTTP and 8 connections.
    Http,
    /// Single requests to a raw ledger over 1,024 connections.
    Add,
    /// Latency of single events at 1,000 a second, to the durable answer.
    Single,
    /// The same to the answer with the proof under a signed checkpoint.
    Checkpoint,
    /// `verify` of a data folder with ten million entries.
    Verify,
    /// Ready again after kill -9, with ten million entries.
    Restart,
    /// Bytes on disk after sealing: the samples, and events that nothing makes smaller.
    Size {
        /// The samples of the source tree.
        #[arg(long, value_name = "DIR")]
        samples: Option<PathBuf>,
    },
    /// Memory and answers under three times what the server can take, and how soon it is itself again.
    Overload,
    /// All of these, and the bars they are held against.
    All,
    /// A server that seals soon.
    #[command(hide = true)]
    Serve(serve::Serve),
}

/// What a topic is told.
#[derive(Clone, Debug)]
struct Terms {
    dir: PathBuf,
    time: Duration,
    /// Entries of a folder that has grown for a while.
    entries: u64,
}

impl Bench {
    /// The flags of all topics, as they are typed.
    fn again(&self) -> Vec<String> {
        let dir = self.dir.to_string_lossy().into_owned();
        let mut flags = vec!["--dir".to_owned(), dir, "--seconds".to_owned(), self.seconds.to_string()];
        flags.extend(["--entries".to_owned(), self.entries.to_string()]);
        flags.extend(self.quick.then(|| "--quick".to_owned()));
        flags
    }
}

pub(crate) fn run(global: &Global, flags: &Bench) -> Result<Exit> {
    let (seconds, entries) = if flags.quick { (QUICK_SECONDS, ENTRIES / 10) } else { (flags.seconds, flags.entries) };
    let terms = Terms { dir: flags.dir.clone(), time: Duration::from_secs(seconds), entries };
    let report = match &flags.topic {
        Topic::Floor => floor::run(&terms)?,
        Topic::Append { backlog_mib } => append::run(&terms, *backlog_mib)?,
        Topic::Http => over_http::batches(&terms)?,
        Topic::Add => over_http::add(&terms)?,
        Topic::Single => over_http::latency(&terms, "single", "durable")?,
        Topic::Checkpoint => over_http::latency(&terms, "checkpoint", "checkpoint")?,
        Topic::Verify => aged::verify(&terms)?,
        Topic::Restart => aged::restart(&terms)?,
        Topic::Size { samples } => size::run(&terms, samples.as_deref())?,
        Topic::Overload => overload::run(&terms)?,
        Topic::All => return all::run(global, &flags.again()),
        Topic::Serve(flags) => return serve::run(flags),
    };
    report.show(global);
    Ok(Exit::Done)
}
