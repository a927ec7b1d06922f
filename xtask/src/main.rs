//! Developer commands. Does not build the product: it runs cargo and looks at the sources.
#![expect(clippy::print_stderr, reason = "a command line tool speaks on standard error")]

mod bench;
mod fuzz;
#[cfg(test)]
mod tidy;

use std::process::Command;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("test") => test(args.next().as_deref()),
        Some("check") => check(),
        Some("faults") => faults(),
        Some("loom") => loom(),
        Some("sim") => match (args.next().as_deref(), args.next()) {
            (Some("--seed"), Some(seed)) => durable_floor(&[CI_COUNTS, ("PROOFBOOK_SEED", &seed)]),
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

/// All tests of the workspace, or of one room, then its documentation's examples.
fn test(room: Option<&str>) -> Result<()> {
    let scope = match room {
        Some(room) => vec!["-p", room],
        None => vec!["--workspace"],
    };
    cargo(&[&["test"], scope.as_slice()].concat())?;
    if room.is_none() { python() } else { Ok(()) }
}

/// The tests of the second verifier. Without a Python they are left out aloud, but not in continuous integration.
fn python() -> Result<()> {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifiers/python/test_proofbook_verify.py");
    eprintln!("+ python3 verifiers/python/test_proofbook_verify.py");
    match Command::new("python3").arg(tests).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("the tests of the Python verifier failed"),
        Err(error) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => {
            Err(error).context("there is no python3, which continuous integration must have")
        }
        Err(error) => {
            eprintln!("SKIPPED: the tests of the Python verifier, there is no python3 ({error})");
            Ok(())
        }
    }
}

/// The counts of continuous integration.
const CI_COUNTS: (&str, &str) = ("PROOFBOOK_COUNTS", "ci");

/// All fault loops at the counts of continuous integration: the durable floor, then the shipped binary.
fn faults() -> Result<()> {
    loom()?;
    durable_floor(&[CI_COUNTS])?;
    let loops = ["test", "-p", "proofbook", "--test", "e2e", "--", "kill::", "faults::", "--nocapture"];
    cargo_with(&loops, &[CI_COUNTS])
}

/// Every order of the steps of the commit pipeline's hand-over, in a build of its own.
fn loom() -> Result<()> {
    let env = [("RUSTFLAGS", "--cfg loom"), ("CARGO_TARGET_DIR", "target/loom")];
    cargo_with(&["test", "-p", "ledger", "--lib", "loom_"], &env)
}

fn durable_floor(env: &[(&str, &str)]) -> Result<()> {
    cargo_with(&["test", "-p", "ledger", "-p", "testkit", "--test", "it"], env)
}

/// Formatting and lints.
fn check() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn cargo(args: &[&str]) -> Result<()> {
    cargo_with(args, &[])
}

fn cargo_with(args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    eprintln!("+ cargo {}", args.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(args).envs(env.iter().copied()).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    Ok(())
}
