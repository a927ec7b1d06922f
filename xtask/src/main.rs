//! Developer commands. Does not build the product: it runs cargo and looks at the sources.
#![expect(clippy::print_stderr, reason = "a command line tool speaks on standard error")]

#[cfg(test)]
mod tidy;

use std::process::Command;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("test") => test(args.next().as_deref()),
        Some("check") => check(),
        other => {
            eprintln!("usage: cargo xtask test [ROOM] | check");
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
    cargo(&[&["test"], scope.as_slice()].concat())
}

/// Formatting and lints.
fn check() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn cargo(args: &[&str]) -> Result<()> {
    eprintln!("+ cargo {}", args.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(args).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    Ok(())
}
