//! `proofbook export --layout tiles`: a ledger as files that any tlog-tiles tool reads, bodies beside them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use tlog::tile::{Resource, TilePath, bundles_of, tiles_of};
use tlog::{Checkpoint, Note, decode_bundle};

use crate::cli::{Export, Global};
use crate::client::{Client, Problem};
use crate::judge::names_a_body;
use crate::{Exit, known, output};

pub(crate) fn run(global: &Global, flags: &Export) -> Result<Exit> {
    if flags.out.exists() && std::fs::read_dir(&flags.out).map_or(true, |mut d| d.next().is_some()) {
        bail!("{} is not an empty folder", flags.out.display());
    }
    let client = Client::new(global)?;
    let base = format!("/logs/{}", flags.ledger);
    let get = |path: &str| -> Result<Vec<u8>> {
        client.get_bytes(&format!("{base}/{path}"))?.with_context(|| format!("the server has no {path}"))
    };
    let note = get("checkpoint")?;
    let text = Note::parse(&note).context("the checkpoint")?.text;
    let size = Checkpoint::parse(&text).context("the checkpoint")?.size;
    let put = |path: &str, bytes: &[u8]| known::write_whole(&flags.out.join(Path::new(path)), bytes);
    put("keys", &get("keys")?)?;
    let bar = if global.json { ProgressBar::hidden() } else { ProgressBar::new(size.div_ceil(256) * 2) };
    let mut bodies = !flags.no_bodies;
    let mut named = Vec::new();
    for path in tiles_of(size).chain(bundles_of(size)) {
        let bytes = get(&path.to_string())?;
        if path.resource == Resource::Entries && decode_bundle(&bytes)?.iter().any(|leaf| names_a_body(leaf)) {
            named.push(path);
        }
        put(&path.to_string(), &bytes)?;
        bar.inc(1);
    }
    // A raw ledger has none.
    bodies &= !named.is_empty();
    for path in named {
        if !bodies {
            break;
        }
        let path = TilePath { resource: Resource::Bodies, ..path }.to_string();
        match get(&path) {
            Ok(bytes) => put(&path, &bytes)?,
            Err(e) if e.downcast_ref::<Problem>().is_some_and(|p| p.status == 403) => {
                output::note("this token may not read bodies: leaves and proofs alone were exported");
                bodies = false;
            }
            Err(e) => return Err(e),
        }
    }
    bar.finish_and_clear();
    // Last: a folder with a checkpoint is a whole export.
    put("checkpoint", &note)?;
    if global.json {
        output::json(&serde_json::json!({"out": flags.out, "size": size, "bodies": bodies}));
    } else {
        output::line(&format!("{} entries of {} in {}", output::thousands(size), flags.ledger, flags.out.display()));
    }
    Ok(Exit::Done)
}
