//! All measurements in one run: `proofbook bench all` in release, then the peers of `bench/`, as one Markdown table.
//! Measures nothing itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Seconds of a peer's measurement with `--quick`.
const QUICK_SECONDS: &str = "8";

/// Runs everything and prints the table; the flags are those of `proofbook bench`.
#[expect(clippy::print_stdout, reason = "the table is what is asked for")]
pub(crate) fn run(flags: &[String]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = |dir: &Path, package: &[&str]| -> Result<()> {
        let args = [&["build", "--release", "--locked", "-p"], package].concat();
        let status = Command::new(&cargo).args(&args).current_dir(dir).status().context("cannot run cargo")?;
        ensure!(status.success(), "cargo {} failed", args.join(" "));
        Ok(())
    };
    let (root, peers) = (root(), root().join("bench"));
    // As README installs it.
    build(&root, &["proofbook", "--features", "jemalloc"])?;
    build(&peers, &["peers"])?;
    let mut all = Command::new(root.join("target/release/proofbook"));
    let ours = lines(all.args(["--json", "bench", "all"]).args(flags).current_dir(&root))?;
    let seconds =
        value_of(flags, "--seconds").unwrap_or(if flags.iter().any(|f| f == "--quick") { QUICK_SECONDS } else { "60" });
    let dir = value_of(flags, "--dir").unwrap_or(".");
    let mut other = Command::new(peers.join("target/release/peers"));
    let theirs = lines(other.args(["--seconds", seconds, "--dir", dir]).current_dir(&root))?;
    println!("| what | bar | found | met |\n|---|---|---|---|");
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(met)) => if *met { "yes" } else { "no" }.to_owned(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    for row in ours.iter().filter_map(|all| all.get("rows")?.as_array()).flatten() {
        let cells = ["what", "bar", "found", "met"].map(|name| text(row.get(name)));
        println!("| {} |", cells.join(" | "));
    }
    println!("\n| peer | events/s | p50 ms | p99 ms | bytes an event |\n|---|---|---|---|---|");
    for peer in &theirs {
        let figure = |name: &str| text(peer.get("figures").and_then(|figures| figures.get(name)));
        let cells = ["events_per_second", "request_p50_ms", "request_p99_ms", "bytes_on_disk_per_event"].map(figure);
        println!("| {} | {} |{}", text(peer.get("bench")), cells.join(" | "), text(peer.get("skipped")));
    }
    let reports = ours.iter().filter_map(|all| all.get("reports")?.as_array()).flatten();
    println!("\n```");
    reports.for_each(|report| println!("{report}"));
    println!("```");
    Ok(())
}

/// The JSON objects that a command prints, one a line. What it says on standard error is passed on.
fn lines(command: &mut Command) -> Result<Vec<Value>> {
    let out = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {command:?}"))?;
    let objects = out.stdout.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    // A measurement that failed is in the table; the others count all the same.
    Ok(objects)
}

fn value_of<'a>(flags: &'a [String], name: &str) -> Option<&'a str> {
    let at = flags.iter().position(|flag| flag == name)?;
    flags.get(at + 1).map(String::as_str)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}
