//! The one binary: every subcommand of Proofbook. Decides exit codes; the work is done in `cmd`.

mod bench;
mod cli;
mod client;
mod cmd;
mod demo;
mod judge;
mod known;
mod output;
mod serving;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

/// The system's allocator kept a third of a gibibyte more after an overload, and was slower with many threads
/// (docs/benchmarks.md).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How a command ended, other than by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All of it is done.
    Done,
    /// The server refused some of it.
    Refused,
    /// What a verifier says (docs/formats/verdicts.md).
    Verdict(u8),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match run(&cli) {
        Ok(Exit::Done) => 0,
        Ok(Exit::Refused) => 3,
        Ok(Exit::Verdict(code)) => code,
        Err(error) => failed(&cli, &error),
    };
    match output::lost() {
        Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            output::note(&format!("{} standard output cannot be written: {error}", output::red("error:")));
            ExitCode::from(code.max(1))
        }
        _ => ExitCode::from(code),
    }
}

/// Says what went wrong; answers the exit code.
fn failed(cli: &Cli, error: &anyhow::Error) -> u8 {
    if cli.global.json {
        output::json(&serde_json::json!({"error": format!("{error:#}")}));
    }
    if !cli.global.json || output::lost().is_some() {
        output::note(&format!("{} {}", output::red("error:"), output::safe_lines(&format!("{error:#}"))));
    }
    match error.downcast_ref::<client::Problem>() {
        Some(_) => 3,
        None if error.downcast_ref::<client::Unreachable>().is_some() => 4,
        None => 1,
    }
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match &cli.command {
        Command::Demo(flags) => demo::run(global, flags),
        Command::Up(flags) => cmd::up::run(global, flags),
        Command::Ingest(flags) => cmd::ingest::run(global, flags),
        Command::Tail(flags) => cmd::read::tail(global, flags),
        Command::Get(flags) => cmd::read::get(global, flags),
        Command::Prove(flags) => cmd::read::prove(global, flags),
        Command::Verify(flags) => cmd::verify::run(global, flags),
        Command::Fsck(flags) => cmd::folder::fsck(global, flags),
        Command::Status => cmd::admin::status(global),
        Command::Export(flags) => cmd::export::run(global, flags),
        Command::Ledger(command) => cmd::admin::ledger(global, command),
        Command::Token(command) => cmd::admin::token(global, command),
        Command::Bench(flags) => bench::run(global, flags),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "proofbook", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}
