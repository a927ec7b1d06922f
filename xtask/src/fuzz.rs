//! Runs the fuzz targets of `fuzz/`, a workspace of its own. Finds nothing itself.
//!
//! With a nightly compiler and cargo-fuzz, both fetched if need be, it is libFuzzer that runs them. Where these cannot
//! be had, a smoke run builds the same targets with the compiler that is there and changes the seed corpus blindly.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::run::{minutes, run, works};

/// Time of one target in a smoke run.
const SMOKE_SECONDS: u64 = 10;
/// A target that goes on this long beyond its time hangs.
const SMOKE_LIMIT: Duration = Duration::from_secs(SMOKE_SECONDS + 50);
/// Whether a tool is there is answered within this time.
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// Longest download and build of a tool.
const TOOL_LIMIT: Duration = minutes(8);
/// Longest build of all targets.
const BUILD_LIMIT: Duration = minutes(15);
/// Seed of the changes of a blind run.
const SEED: &str = "1";

/// Every target for a few seconds, as many at a time as there are processors.
///
/// A finding is an error. Tools that cannot be had are not, wherever it runs: the blind run then takes their place.
pub(crate) fn smoke() -> Result<()> {
    let targets = targets()?;
    ensure!(!targets.is_empty(), "fuzz/ has no targets");
    corpus()?;
    let seconds = SMOKE_SECONDS.to_string();
    let built = tools().and_then(|()| run(nightly(&["fuzz", "build"]).current_dir(root()), BUILD_LIMIT));
    match built {
        Ok(()) => each(&targets, |target| {
            let mut fuzz = nightly(&[
                "fuzz",
                "run",
                target,
                "--",
                &format!("-max_total_time={seconds}"),
                "-verbosity=0",
                "-print_final_stats=1",
            ]);
            run(fuzz.current_dir(root()), SMOKE_LIMIT)
        })?,
        Err(missing) => {
            eprintln!("FALLBACK: no libFuzzer ({missing:#}); the same targets run blind, on this compiler");
            let build = ["build", "--bins", "--locked", "--target-dir", "target"];
            run(cargo().args(build).current_dir(root().join("fuzz")), BUILD_LIMIT)?;
            each(&targets, |target| {
                let mut blind = Command::new(root().join("fuzz/target/debug").join(target));
                blind.arg(root().join("fuzz/corpus").join(target)).args([&seconds, SEED]);
                run(&mut blind, SMOKE_LIMIT)
            })?;
        }
    }
    eprintln!("fuzz smoke: {} targets, {SMOKE_SECONDS} s each, nothing found", targets.len());
    Ok(())
}

/// One target until it is stopped or finds something.
pub(crate) fn forever(target: &str) -> Result<()> {
    ensure!(targets()?.iter().any(|name| name == target), "no target {target}; there are {}", targets()?.join(", "));
    tools()?;
    corpus()?;
    run(nightly(&["fuzz", "run", target]).current_dir(root()), Duration::MAX)
}

/// Runs all targets on as many threads as there are processors; the first error of each thread is told.
fn each(targets: &[String], one: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    let left = Mutex::new(targets.iter());
    let next = || left.lock().ok()?.next();
    let work = || -> Result<()> {
        while let Some(target) = next() {
            one(target).with_context(|| format!("fuzz target {target}"))?;
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let errors: Vec<String> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = all.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned()));
        ended.filter_map(|ended| ended.map_or_else(Some, |done| done.err().map(|error| format!("{error:#}")))).collect()
    });
    if errors.is_empty() { Ok(()) } else { bail!("{}", errors.join("; ")) }
}

/// A nightly compiler and cargo-fuzz are there, fetched if need be.
fn tools() -> Result<()> {
    if !works(&mut nightly(&["--version"]), ASK_LIMIT) {
        let fetch = ["toolchain", "install", "nightly", "--profile", "minimal"];
        run(Command::new("rustup").args(fetch), TOOL_LIMIT).context("no nightly compiler")?;
    }
    if !works(&mut nightly(&["fuzz", "--version"]), ASK_LIMIT) {
        run(cargo().args(["install", "cargo-fuzz", "--locked"]), TOOL_LIMIT).context("no cargo-fuzz")?;
    }
    Ok(())
}

/// Writes the seed corpus.
fn corpus() -> Result<()> {
    let mut seeds = cargo();
    seeds.args(["run", "--quiet", "-p", "testkit", "--example", "seeds", "--"]).arg(root().join("fuzz/corpus"));
    run(seeds.current_dir(root()), BUILD_LIMIT).context("the seed corpus")
}

fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        names.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Cargo of the nightly compiler, with debug assertions and checked overflow: a wrap in a parser is a finding.
fn nightly(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").args(args);
    // Cargo hands its children the toolchain that runs us; nightly must be free to choose its own.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    command
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

    #[test]
    fn each_target_runs_once_and_what_fails_is_told() {
        let targets: Vec<String> = (0..9).map(|n| format!("t{n}")).collect();
        let ran = Mutex::new(Vec::new());
        let one = |target: &str| {
            ran.lock().map(|mut ran| ran.push(target.to_owned())).map_err(|_| anyhow::anyhow!("poisoned"))
        };
        assert!(each(&targets, one).is_ok());
        let mut ran = ran.into_inner().unwrap_or_default();
        ran.sort();
        assert_eq!(ran, targets);
        let fails = each(&targets, |target| if target == "t4" { bail!("found") } else { Ok(()) });
        assert_eq!(fails.err().map(|error| error.to_string()), Some("fuzz target t4: found".to_owned()));
    }
}
