//! Developer commands. Does not build the product: it runs cargo and looks at the sources.
#![expect(clippy::print_stderr, reason = "a command line tool speaks on standard error")]

mod bench;
mod fuzz;
mod run;
#[cfg(test)]
mod tidy;
mod tools;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use run::{minutes, run};

/// Longest build and run of all tests, from nothing.
const TEST_LIMIT: Duration = minutes(40);
/// Longest run of one loop of `faults`, its build included.
const LOOP_LIMIT: Duration = minutes(20);
/// Longest run of the lints, from nothing.
const CHECK_LIMIT: Duration = minutes(40);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("test") => test(args.next().as_deref()),
        Some("check") => check(),
        Some("faults") => faults(),
        Some("loom") => loom(),
        Some("sim") => match (args.next().as_deref(), args.next()) {
            (Some("--seed"), Some(seed)) => durable_floor(&[ci_counts(), ("PROOFBOOK_SEED", seed)]),
            _ => bail!("usage: cargo xtask sim --seed N"),
        },
        Some("fuzz") => match args.next().as_deref() {
            Some("smoke") => fuzz::smoke(),
            Some(target) => fuzz::forever(target),
            None => bail!("usage: cargo xtask fuzz smoke | TARGET"),
        },
        Some("bench") => bench::run(&args.collect::<Vec<_>>()),
        other => {
            eprintln!(
                "usage: cargo xtask test [ROOM] | check | faults | loom | sim --seed N | fuzz smoke | fuzz TARGET | \
                 bench [FLAG]"
            );
            if let Some(other) = other {
                bail!("unknown command {other}");
            }
            Ok(())
        }
    }
}

/// All tests of the workspace, or of one room, then those of the second verifier. Ends with what was left out.
fn test(room: Option<&str>) -> Result<()> {
    let scope = match room {
        Some(room) => vec!["-p", room],
        None => vec!["--workspace"],
    };
    let without = tools::prepare();
    cargo_with(&[&["test"], scope.as_slice()].concat(), &[without.env()], TEST_LIMIT)?;
    if room.is_none() && without.has("python3") {
        let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifiers/python/test_proofbook_verify.py");
        run(Command::new("python3").arg(tests), LOOP_LIMIT)?;
    }
    without.tell();
    Ok(())
}

/// The counts of continuous integration.
fn ci_counts() -> (&'static str, String) {
    ("PROOFBOOK_COUNTS", "ci".to_owned())
}

/// All fault loops at the counts of continuous integration: the durable floor, then the shipped binary.
fn faults() -> Result<()> {
    let without = tools::prepare();
    loom()?;
    durable_floor(&[ci_counts(), without.env()])?;
    // Those of the binary wait for disk and processes most of the time: four at once fill two processors.
    let loops =
        ["test", "-p", "proofbook", "--test", "e2e", "--", "kill::", "faults::", "--nocapture", "--test-threads=4"];
    cargo_with(&loops, &[ci_counts(), without.env()], LOOP_LIMIT)?;
    without.tell();
    Ok(())
}

/// Every order of the steps of the commit pipeline's hand-over, in a build of its own.
fn loom() -> Result<()> {
    let env = [("RUSTFLAGS", "--cfg loom".to_owned()), ("CARGO_TARGET_DIR", "target/loom".to_owned())];
    cargo_with(&["test", "-p", "ledger", "--lib", "loom_"], &env, LOOP_LIMIT)
}

fn durable_floor(env: &[(&str, String)]) -> Result<()> {
    cargo_with(&["test", "-p", "ledger", "-p", "testkit", "--test", "it"], env, LOOP_LIMIT)
}

/// Formatting and lints, and whether the fuzz targets build.
fn check() -> Result<()> {
    cargo_with(&["fmt", "--all", "--check"], &[], CHECK_LIMIT)?;
    cargo_with(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[], CHECK_LIMIT)?;
    cargo_with(&["check", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--locked"], &[], CHECK_LIMIT)
}

fn cargo_with(args: &[&str], env: &[(&str, String)], limit: Duration) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let env = env.iter().map(|(name, value)| (*name, value.as_str()));
    run(Command::new(cargo).args(args).envs(env).current_dir(root), limit)
}
