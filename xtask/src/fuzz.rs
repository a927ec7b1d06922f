//! Runs the fuzz targets of `fuzz/`, a workspace of its own, on a nightly compiler. Finds nothing itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Time of one target in a smoke run.
const SMOKE_SECONDS: u32 = 10;

/// Every target for a few seconds.
pub(crate) fn smoke() -> Result<()> {
    if let Err(missing) = prepare() {
        return skip(&missing);
    }
    let targets = targets()?;
    ensure!(!targets.is_empty(), "fuzz/ has no targets");
    for target in targets {
        run(&target, &[&format!("-max_total_time={SMOKE_SECONDS}")])?;
    }
    Ok(())
}

/// One target until it is stopped or finds something.
pub(crate) fn forever(target: &str) -> Result<()> {
    ensure!(targets()?.iter().any(|name| name == target), "no target {target}; there are {}", targets()?.join(", "));
    prepare()?;
    run(target, &[])
}

/// A missing tool is said aloud; in continuous integration it is a failure.
fn skip(missing: &anyhow::Error) -> Result<()> {
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("fuzz smoke cannot run, and CI=true: {missing:#}");
    }
    eprintln!("SKIPPED: fuzz smoke: {missing:#}");
    Ok(())
}

/// Nightly compiler and cargo-fuzz are there, the latter installed if need be; the seed corpus is written.
fn prepare() -> Result<()> {
    let nightly = status(Command::new("cargo").args(["+nightly", "--version"]));
    nightly.context("no nightly compiler (rustup toolchain install nightly)")?;
    if status(Command::new("cargo").args(["fuzz", "--version"])).is_err() {
        status(Command::new("cargo").args(["install", "cargo-fuzz", "--locked"])).context("cargo-fuzz")?;
    }
    let corpus = root().join("fuzz/corpus");
    let mut seeds = Command::new("cargo");
    seeds.args(["run", "--quiet", "-p", "testkit", "--example", "seeds", "--"]).arg(corpus).current_dir(root());
    status(&mut seeds).context("the seed corpus")
}

fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        names.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn run(target: &str, options: &[&str]) -> Result<()> {
    let mut fuzz = Command::new("cargo");
    // Debug assertions are on and overflow is checked: a wrap in a parser is a finding.
    fuzz.args(["+nightly", "fuzz", "run", target, "--"]).args(options).current_dir(root());
    status(&mut fuzz).with_context(|| format!("fuzz target {target}"))
}

fn status(command: &mut Command) -> Result<()> {
    // Cargo hands its children the toolchain that runs us; nightly must be free to choose its own.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    eprintln!("+ {command:?}");
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::unwrap_used, reason = "a test over the source tree")]
    fn every_target_is_in_the_manifest_and_has_a_seed() {
        let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        let seeds = std::fs::read_to_string(root().join("crates/testkit/examples/seeds.rs")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() >= 12, "only {targets:?}");
        for target in targets {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not built");
            assert!(seeds.contains(&format!("(\"{target}\", ")), "{target} has no seed");
        }
    }
}
