//! `proofbook demo`: the tour that a newcomer sees first. A server on a temporary folder, real events, a receipt that
//! is verified without the server, one changed byte that the verifier finds.
//!
//! Nothing here is staged: every step calls what the other commands call, and the tour fails where one of them does.

mod folder;
mod samples;
mod tamper;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tlog::Vkey;

use crate::cli::{DataFlags, Demo, Global};
use crate::client::Client;
use crate::cmd::read::fetch_proof;
use crate::judge::proof::{Trust, judge};
use crate::serving::{self, Serving};
use crate::{Exit, output};

const LEDGER: &str = "main";
/// A word of the entry that the tour proves and then forges: who got in.
const WORD: &str = "alice";
/// How long the tour waits for a checkpoint over everything.
const SIGNED_WITHIN: Duration = Duration::from_secs(20);

/// A folder that goes away with the tour.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let name = format!("proofbook-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Made for this process alone; one that exists is somebody else's.
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The tour as far as it went.
struct Tour<'a> {
    global: &'a Global,
    folder: Folder,
    client: Client,
    url: String,
    steps: Vec<Value>,
}

pub(crate) fn run(global: &Global, flags: &Demo) -> Result<Exit> {
    let folder = Folder::new()?;
    let (mut serving, url, token) = server(&folder.0, flags.listen)?;
    let asking = Global { url: url.clone(), token: Some(token.clone()), ..global.clone() };
    let client = Client::new(&asking)?;
    let mut tour = Tour { global, folder, client, url, steps: Vec::new() };
    let toured = tour.all();
    if toured.is_ok() && !flags.exit && !global.json && std::io::stdout().is_terminal() {
        tour.goodbye(&token);
        if let Some(reason) = serving.wait() {
            bail!("{reason}");
        }
        output::line("");
    }
    let stopped = serving.stop();
    toured?;
    stopped?;
    if global.json {
        output::json(&json!({"held": true, "steps": tour.steps}));
    }
    Ok(Exit::Done)
}

fn server(folder: &Path, listen: SocketAddr) -> Result<(Serving, String, String)> {
    let data = DataFlags { data: folder.join("data"), pin: Some(folder.join("pin")), accept_first_start: false };
    let config = serving::settings(&data, listen)?.resolve()?;
    let (serving, started) = serving::start(&config)?;
    let url = serving.url(&config);
    let token = started.bootstrap.context("a fresh folder gave no token")?;
    Ok((serving, url, token))
}

impl Tour<'_> {
    fn all(&mut self) -> Result<()> {
        self.say(&format!("{}  an audit log that proves itself", output::bold("Proofbook")));
        self.head(1, "A server starts on a temporary folder");
        self.detail(&self.url.clone());
        let size = self.ingest()?;
        let (index, entry, vkeys) = self.receipt(size)?;
        self.tamper(index, &entry, &vkeys)
    }

    fn say(&self, text: &str) {
        if !self.global.json {
            output::line(text);
        }
    }

    fn head(&self, n: u32, text: &str) {
        self.say(&format!("\n{} {}", output::bold(&format!("{n}.")), output::bold(text)));
    }

    fn detail(&self, text: &str) {
        self.say(&format!("   {text}"));
    }

    fn ingest(&mut self) -> Result<u64> {
        self.head(2, "Real events go in, each original kept byte for byte");
        let (begun, mut all, mut size) = (Instant::now(), 0, 0);
        for sample in &samples::SAMPLES {
            let sent = sample.send(&self.client, LEDGER).with_context(|| format!("ingesting {}", sample.what))?;
            if sent.refused > 0 {
                bail!("{} records of {} were refused", sent.refused, sample.what);
            }
            self.detail(&format!("{:>8} {:>7} events", sample.what, output::thousands(sent.acknowledged)));
            self.steps.push(json!({"ingested": sample.what, "events": sent.acknowledged}));
            all += sent.acknowledged;
            size = size.max(sent.end);
        }
        let took = begun.elapsed().as_secs_f64();
        self.detail(&output::dim(&format!(
            "{} events in {took:.2} s, every one on disk before its answer",
            output::thousands(all)
        )));
        Ok(size)
    }

    /// The entry that the tour is about, its stored body, and the keys of the log.
    fn receipt(&mut self, size: u64) -> Result<(u64, Value, Vec<Vkey>)> {
        self.head(3, "A receipt, verified without trusting the server");
        self.wait_signed(size)?;
        let index = self.pick(size)?;
        let (proof, entry) = fetch_proof(&self.client, LEDGER, index)?;
        let info = self.client.get_json(&format!("/v1/ledgers/{LEDGER}"))?;
        let vkeys = info.get("vkeys").and_then(Value::as_array).context("a ledger without keys")?;
        let vkeys: Vec<Vkey> = vkeys.iter().filter_map(Value::as_str).filter_map(|v| Vkey::parse(v).ok()).collect();
        let judgement = judge(proof.as_bytes(), &entry, &Trust::Keys(vkeys.clone()), None);
        let (verdict, exit) = judgement.verdict();
        if exit != 0 {
            bail!("the receipt of entry {index} is not accepted: {verdict}");
        }
        let entry: Value = serde_json::from_slice(&entry).context("the entry is no JSON")?;
        let original = original(&entry)?;
        self.detail(&format!("entry #{index}   {}", output::dim(&shortened(&original))));
        let hash = entry.get("leaf_hash").and_then(Value::as_str).unwrap_or("");
        self.detail(&format!("leaf hash  {}", output::safe(hash)));
        let lines = proof.lines().take_while(|line| !line.is_empty()).count().saturating_sub(2);
        let root = judgement.root.as_deref().unwrap_or("");
        self.detail(&format!(
            "{lines} hashes lead from it to the root {root} of {} entries",
            output::thousands(judgement.size)
        ));
        self.detail("signed by Ed25519 and ML-DSA-44");
        self.detail(&format!("{}  the entry is in the log", output::green("verified")));
        self.steps.push(json!({"receipt": index, "verdict": verdict, "tree": judgement.size}));
        Ok((index, entry, vkeys))
    }

    fn wait_signed(&self, size: u64) -> Result<()> {
        let until = Instant::now() + SIGNED_WITHIN;
        loop {
            let info = self.client.get_json(&format!("/v1/ledgers/{LEDGER}"))?;
            if info.get("checkpoint_size").and_then(Value::as_u64).is_some_and(|signed| signed >= size) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("no checkpoint covers {size} entries after {} s", SIGNED_WITHIN.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first accepted log-in of somebody.
    fn pick(&self, size: u64) -> Result<u64> {
        for index in 1..size.min(400) {
            let entry = self.client.get_json(&format!("/v1/ledgers/{LEDGER}/entries/{index}"))?;
            let text = original(&entry)?;
            if text.contains("Accepted") && text.contains(&format!("for {WORD}")) {
                return Ok(index);
            }
        }
        bail!("the samples hold no accepted log-in of {WORD}")
    }

    fn tamper(&mut self, index: u64, entry: &Value, vkeys: &[Vkey]) -> Result<()> {
        self.head(4, "One byte is changed in a copy of the data folder");
        let copy = self.folder.0.join("copy");
        tamper::copy(&self.folder.0.join("data"), &copy)?;
        let whole = folder::judge(&copy, LEDGER, vkeys)?;
        if whole.exit != 0 {
            bail!("the untouched copy is not accepted: {}", whole.code);
        }
        self.detail(&format!("{}  the copy as it was made", output::green("verified")));
        let body = entry.get("body").and_then(Value::as_str).context("the entry came without its body")?;
        let change = tamper::change(&copy, body.as_bytes(), WORD)?;
        let forged = format!("{}{}", WORD.get(..WORD.len() - 1).unwrap_or(""), change.after);
        self.detail(&format!("now it was {} who got in, not {WORD}:", output::bold(&forged)));
        let file = change.file.display();
        self.detail(&format!("byte {} of {file}", output::thousands(change.offset)));
        let found = folder::judge(&copy, LEDGER, vkeys)?;
        if found.exit == 0 {
            bail!("the change went unnoticed");
        }
        if found.entries != Some((index, index + 1)) {
            bail!("the verifier names entries {:?} instead of {index}", found.entries);
        }
        self.detail(&format!("{}  {}: entry #{index} of {LEDGER}", output::red("caught"), found.code));
        self.detail(&output::dim(&output::safe(&found.detail)));
        self.steps
            .push(json!({"changed": change.file, "offset": change.offset, "verdict": found.code, "entry": index}));
        Ok(())
    }

    fn goodbye(&self, token: &str) {
        self.head(5, "Your turn: the server is running");
        // Run from the sources, the program is on nobody's path.
        if let Some(program) =
            std::env::current_exe().ok().filter(|p| p.components().any(|c| c.as_os_str() == "target"))
        {
            self.detail(&format!("alias proofbook='{}'", program.display()));
        }
        self.detail(&format!("export PROOFBOOK_URL={}", self.url));
        self.detail(&format!("export PROOFBOOK_TOKEN={token}"));
        self.detail("proofbook tail -f                   # watch entries come in");
        self.detail("echo '{\"action\":\"invoice.viewed\"}' | proofbook ingest -");
        self.detail("proofbook prove 7                   # a receipt for an auditor");
        self.detail("proofbook verify                    # check the whole log from outside");
        self.detail(&output::dim("Ctrl-C ends it and removes the temporary folder."));
    }
}

fn original(entry: &Value) -> Result<String> {
    let body = entry.get("body").and_then(Value::as_str).context("the entry came without its body")?;
    let body: Value = serde_json::from_str(body).context("the body is no JSON")?;
    let raw = body.pointer("/event/original/raw").or_else(|| body.pointer("/event/message"));
    Ok(raw.and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn shortened(text: &str) -> String {
    let text = output::safe(text);
    match text.char_indices().nth(92) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or("")),
        None => text,
    }
}
