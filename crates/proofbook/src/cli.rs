//! The command line as typed. Flags are data here: nothing is resolved, read or opened.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// An audit log that proves itself.
///
/// Exit codes: 0 done and true; 1 failed; 2 wrong use; 3 the server refused some or all of it; 4 the server could not
/// be reached or was busy for too long; 10 and above: a verdict of `verify` (docs/formats/verdicts.md).
#[derive(Debug, Parser)]
#[command(name = "proofbook", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Server to talk to.
    #[arg(long, global = true, env = "PROOFBOOK_URL", default_value = "http://127.0.0.1:8440", value_name = "URL")]
    pub(crate) url: String,
    /// Bearer token. Default: `proofbook-data/bootstrap.token` below this folder, for a server on this machine.
    #[arg(long, global = true, env = "PROOFBOOK_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Trust this PEM file of certificate authorities instead of the system's.
    #[arg(long, global = true, env = "PROOFBOOK_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A tour in one command: real events in, a receipt verified, a byte changed and found.
    Demo(Demo),
    /// Run the server.
    Up(Up),
    /// Append events from files or standard input.
    Ingest(Ingest),
    /// Show entries as they are committed.
    Tail(Tail),
    /// Show one entry.
    Get(Get),
    /// Write the proof of one entry, for somebody who does not trust the server.
    Prove(Prove),
    /// Check a running server, a data folder, an export or a single proof.
    Verify(Verify),
    /// Check the data folder of a stopped server, and say what its next start will do. Reads only.
    Fsck(Fsck),
    /// Show how the server is.
    Status,
    /// Write a ledger's tiles and bodies to a folder that any tlog-tiles tool can read.
    Export(Export),
    /// Create and list ledgers.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Create, list and revoke tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Measure this machine and this program.
    Bench(crate::bench::Bench),
    /// Print a shell completion script.
    Completions {
        /// Shell to write for.
        shell: clap_complete::Shell,
    },
}

/// A data folder and the pin that guards it.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataFlags {
    /// Data folder; made where it is missing.
    #[arg(long, env = "PROOFBOOK_DATA", default_value = "proofbook-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Pin file, outside of the data folder. Default: a file in the user's state folder.
    #[arg(long, env = "PROOFBOOK_PIN", value_name = "FILE")]
    pub(crate) pin: Option<PathBuf>,
    /// Start although no pin knows this folder (a restored copy, another machine); leaves an entry.
    #[arg(long)]
    pub(crate) accept_first_start: bool,
}

/// How log lines are written to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `proofbook up`
#[derive(Args, Clone, Debug)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) data: DataFlags,
    /// Address and port; port 0 takes a free one. Beyond loopback TLS is needed.
    #[arg(long, env = "PROOFBOOK_LISTEN", default_value = "127.0.0.1:8440", value_name = "ADDR:PORT")]
    pub(crate) listen: std::net::SocketAddr,
    /// The address that clients use; its host is fixed in the origin of ledgers created from now on.
    #[arg(long, env = "PROOFBOOK_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Certificate chain, PEM; taken up again when the file changes.
    #[arg(long, env = "PROOFBOOK_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key, PEM.
    #[arg(long, env = "PROOFBOOK_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A proxy in front of this server ends TLS: listen beyond loopback without it.
    #[arg(long)]
    pub(crate) behind_tls_proxy: bool,
    /// Form of the log on standard error (RUST_LOG chooses what is logged).
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// `proofbook demo`
#[derive(Args, Clone, Debug)]
pub(crate) struct Demo {
    /// End after the tour, with exit code 0 only if every part of it held; so does an output that is no terminal.
    #[arg(long)]
    pub(crate) exit: bool,
    /// Address and port of the server; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR:PORT")]
    pub(crate) listen: std::net::SocketAddr,
}

/// How the bytes of a file are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Proofbook's own events: one object a line, or a JSON array.
    Native,
    /// AWS CloudTrail: `{"Records":[...]}` or one record a line; `.gz` too.
    Cloudtrail,
    /// OpenBao or Vault audit lines.
    Openbao,
    /// Syslog lines, RFC 5424 or 3164.
    Syslog,
    /// Any text: one entry a physical line.
    Text,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Native => "native",
            Format::Cloudtrail => "cloudtrail",
            Format::Openbao => "openbao",
            Format::Syslog => "syslog",
            Format::Text => "text",
        }
    }
}

/// `proofbook ingest`
#[derive(Args, Clone, Debug)]
pub(crate) struct Ingest {
    /// Files to read; `-` is standard input (which cannot resume).
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How to read them.
    #[arg(long, value_enum, default_value = "native")]
    pub(crate) format: Format,
    /// Ledger to append to.
    #[arg(long, short, default_value = "main")]
    pub(crate) ledger: String,
    /// Events a request.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,
    /// Send the files from their first byte, whatever an earlier run has sent (repeats get their first index).
    #[arg(long)]
    pub(crate) restart: bool,
    /// Keep trying for this many seconds while the server is away or busy.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub(crate) retry_for: u64,
    /// No progress bar.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `proofbook tail`
#[derive(Args, Clone, Debug)]
pub(crate) struct Tail {
    /// Ledger to read.
    #[arg(long, short, default_value = "main")]
    pub(crate) ledger: String,
    /// Wait for more.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many of the last entries to begin with.
    #[arg(long, short = 'n', default_value_t = 10, conflicts_with = "from")]
    pub(crate) lines: u64,
    /// Begin at this index.
    #[arg(long, value_name = "INDEX")]
    pub(crate) from: Option<u64>,
}

/// `proofbook get`
#[derive(Args, Clone, Debug)]
pub(crate) struct Get {
    /// Index of the entry.
    pub(crate) index: u64,
    /// Ledger to read.
    #[arg(long, short, default_value = "main")]
    pub(crate) ledger: String,
}

/// `proofbook prove`
#[derive(Args, Clone, Debug)]
pub(crate) struct Prove {
    /// Index of the entry.
    pub(crate) index: u64,
    /// Ledger to read.
    #[arg(long, short, default_value = "main")]
    pub(crate) ledger: String,
    /// Folder for `N.tlog-proof` and `N.entry.json`.
    #[arg(long, short, default_value = ".", value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `proofbook verify`
#[derive(Args, Clone, Debug)]
pub(crate) struct Verify {
    /// A server's URL (also `http://host/logs/LEDGER`), a data folder, an export's folder, or a `.tlog-proof` file.
    /// Default: the server of `--url`.
    pub(crate) target: Option<String>,
    /// The entry of a `.tlog-proof` (default: the file beside it, `N.entry.json`).
    #[arg(long, value_name = "FILE")]
    pub(crate) entry: Option<PathBuf>,
    /// Ledger of a server, or the only one to check in a data folder.
    #[arg(long, short)]
    pub(crate) ledger: Option<String>,
    /// Key of the log, as `ledger show` prints it. Else the known-ledgers file decides. A data folder with several
    /// ledgers needs a key of each, or --ledger.
    #[arg(long, visible_alias = "key", value_name = "VKEY")]
    pub(crate) vkey: Vec<String>,
    /// Policy file (c2sp.org/tlog-policy) that a proof must satisfy.
    #[arg(long, value_name = "FILE", conflicts_with = "vkey")]
    pub(crate) policy: Option<PathBuf>,
    /// Pin file to compare a data folder with. Default: the one in the user's state folder, if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) pin: Option<PathBuf>,
    /// File that remembers origin, keys and last checkpoint of every ledger seen.
    #[arg(long, env = "PROOFBOOK_KNOWN_LEDGERS", value_name = "FILE")]
    pub(crate) known_ledgers: Option<PathBuf>,
    /// Only the tree: do not fetch bodies from a server.
    #[arg(long)]
    pub(crate) no_bodies: bool,
}

/// `proofbook fsck`
#[derive(Args, Clone, Debug)]
pub(crate) struct Fsck {
    /// Data folder.
    #[arg(long, env = "PROOFBOOK_DATA", default_value = "proofbook-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Pin file. Default: the one in the user's state folder, if it is there.
    #[arg(long, env = "PROOFBOOK_PIN", value_name = "FILE")]
    pub(crate) pin: Option<PathBuf>,
    /// Key of a log, as `ledger show` prints it. Default: the folder's own.
    #[arg(long, visible_alias = "key", value_name = "VKEY")]
    pub(crate) vkey: Vec<String>,
    /// Only the ledger of this name.
    #[arg(long, short)]
    pub(crate) ledger: Option<String>,
}

/// Layouts of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// C2SP tlog-tiles file layout, uncompressed, with `bodies/` beside it.
    Tiles,
}

/// `proofbook export`
#[derive(Args, Clone, Debug)]
pub(crate) struct Export {
    /// File layout.
    #[arg(long, value_enum, default_value = "tiles")]
    pub(crate) layout: Layout,
    /// Ledger to read.
    #[arg(long, short, default_value = "main")]
    pub(crate) ledger: String,
    /// Folder to write; must be absent or empty.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Leaves and proofs alone.
    #[arg(long)]
    pub(crate) no_bodies: bool,
}

/// `proofbook ledger`
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Create a ledger.
    Create {
        /// Lower-case letters, digits and dashes, at most 63.
        name: String,
        /// Leaves alone, the bytes as posted (other transparency uses), instead of audit events.
        #[arg(long)]
        raw: bool,
        /// Anyone may read leaves, tiles and checkpoints (never bodies).
        #[arg(long)]
        public_leaves: bool,
        /// Retention profile, recorded at creation: none (nothing is ever pruned), ai-act, hipaa or pci.
        #[arg(long, default_value = "none", value_name = "PROFILE")]
        retention: String,
    },
    /// List ledgers.
    List,
    /// Show a ledger: origin, keys in note form, sizes.
    Show {
        /// Its name.
        name: String,
    },
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerbArg {
    /// Append events.
    Append,
    /// Read leaves, tiles, proofs and checkpoints.
    ReadLeaves,
    /// Read bodies too.
    ReadBodies,
    /// Create ledgers and tokens.
    Admin,
}

impl VerbArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            VerbArg::Append => "append",
            VerbArg::ReadLeaves => "read-leaves",
            VerbArg::ReadBodies => "read-bodies",
            VerbArg::Admin => "admin",
        }
    }
}

/// `proofbook token create`
#[derive(Args, Clone, Debug)]
pub(crate) struct TokenCreate {
    /// The person it belongs to; every token belongs to one principal.
    #[arg(long, value_name = "NAME", required_unless_present = "service")]
    pub(crate) person: Option<String>,
    /// The service it belongs to.
    #[arg(long, value_name = "NAME", conflicts_with = "person")]
    pub(crate) service: Option<String>,
    /// What it may do; repeat for more.
    #[arg(long = "verb", value_enum, default_values = ["append", "read-leaves", "read-bodies"])]
    pub(crate) verbs: Vec<VerbArg>,
    /// Ledgers it may touch; repeat for more, `*` for all.
    #[arg(long = "ledger", short, default_value = "main")]
    pub(crate) ledgers: Vec<String>,
    /// Source of its events where they name none. Default: a URN made from the token's id.
    #[arg(long, value_name = "URI")]
    pub(crate) source: Option<String>,
    /// Sources its events may name begin with one of these.
    #[arg(long = "source-prefix", value_name = "PREFIX")]
    pub(crate) source_prefixes: Vec<String>,
    /// Events a second.
    #[arg(long, value_name = "N")]
    pub(crate) events_per_second: Option<u64>,
    /// Bytes a day.
    #[arg(long, value_name = "N")]
    pub(crate) bytes_per_day: Option<u64>,
    /// Reads a minute.
    #[arg(long, value_name = "N")]
    pub(crate) reads_per_minute: Option<u64>,
}

/// `proofbook token`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token; its secret is shown once.
    Create(TokenCreate),
    /// List tokens (never their secrets).
    List,
    /// Revoke a token at once.
    Revoke {
        /// Its id, as `list` prints it.
        id: String,
    },
    /// Make a new admin token while the server is stopped, for those who lost theirs; leaves an entry.
    Reset(DataFlags),
}
