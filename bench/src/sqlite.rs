//! SQLite, bundled: write-ahead log, `synchronous = FULL`, one writer, the chain computed by the application.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::events::Events;
use crate::{Outcome, event, run_number};

/// Events of a transaction.
const BATCH: u64 = 1_000;

const SCHEMA: &str = "
CREATE TABLE events(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, event TEXT NOT NULL)";

pub(crate) fn measure(dir: &Path, time: Duration) -> Result<Vec<(&'static str, Outcome)>> {
    Ok(vec![
        ("sqlite_batches", run(&dir.join("batches.db"), time, BATCH)?),
        ("sqlite_singles", run(&dir.join("singles.db"), time / 4, 1)?),
    ])
}

fn run(path: &Path, time: Duration, batch: u64) -> Result<Outcome> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -262_144)?;
    db.execute_batch(SCHEMA)?;
    let events = Events::new(run_number());
    let mut outcome = Outcome::default();
    let mut chain = [0u8; 32];
    let start = Instant::now();
    while start.elapsed() < time {
        let asked = Instant::now();
        let transaction = db.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events(id, hash, event) VALUES (?1, ?2, ?3)")?;
            for number in outcome.events..outcome.events + batch {
                let (id, text) = event(&events, number)?;
                chain = Sha256::new().chain_update(chain).chain_update(&text).finalize().into();
                insert.execute(params![id, chain.as_slice(), text])?;
            }
        }
        transaction.commit()?;
        outcome.times.record(asked.elapsed());
        outcome.events += batch;
    }
    outcome.time = start.elapsed();
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    drop(db);
    outcome.bytes_on_disk = std::fs::metadata(path)?.len();
    Ok(outcome)
}
