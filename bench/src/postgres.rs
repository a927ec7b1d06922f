//! PostgreSQL: a trigger takes the chain's lock, looks up the last hash and links the new row to it. One statement a
//! batch, over connections of its own protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};

use crate::events::Events;
use crate::histogram::Histogram;
use crate::server::Server;
use crate::{Outcome, event, run_number};

/// Events of a statement.
const BATCH: u64 = 1_000;

/// The lock is held to the end of the transaction, so that the chain has one order: that of the commits.
const SCHEMA: &str = "
CREATE TABLE events(seq bigint PRIMARY KEY, id text NOT NULL UNIQUE, hash bytea NOT NULL, event text NOT NULL);
CREATE FUNCTION link() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last_seq bigint; last_hash bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    SELECT seq, hash INTO last_seq, last_hash FROM events ORDER BY seq DESC LIMIT 1;
    NEW.seq := coalesce(last_seq, 0) + 1;
    NEW.hash := sha256(coalesce(last_hash, ''::bytea) || convert_to(NEW.event, 'UTF8'));
    RETURN NEW;
END $$;
CREATE TRIGGER link BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION link();
";
const INSERT: &str = "INSERT INTO events(id, event) SELECT * FROM unnest($1::text[], $2::text[])";
/// Must be zero: every row's hash is that of its predecessor and its event.
const BROKEN: &str = "
SELECT count(*) FROM (SELECT hash, event, lag(hash, 1, ''::bytea) OVER (ORDER BY seq) AS before FROM events) AS chain
WHERE hash <> sha256(before || convert_to(event, 'UTF8'))";

pub(crate) fn measure(server: &Server, time: Duration) -> Result<Vec<(&'static str, Outcome)>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        Ok(vec![
            ("postgresql_batches_8_connections", run(server.port, time, 8, BATCH).await?),
            ("postgresql_singles_64_connections", run(server.port, time / 2, 64, 1).await?),
        ])
    })
}

async fn connect(port: u16) -> Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(&format!("host=127.0.0.1 port={port} user=postgres"), NoTls).await?;
    drop(tokio::spawn(connection));
    Ok(client)
}

async fn run(port: u16, time: Duration, connections: u64, batch: u64) -> Result<Outcome> {
    let admin = ready(port).await?;
    admin.batch_execute("DROP TABLE IF EXISTS events CASCADE; DROP FUNCTION IF EXISTS link").await?;
    admin.batch_execute(SCHEMA).await?;
    let (events, next) = (Arc::new(Events::new(run_number())), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        tasks.push(tokio::spawn(work(
            connect(port).await?,
            Arc::clone(&events),
            Arc::clone(&next),
            batch,
            start + time,
        )));
    }
    let mut outcome = Outcome::default();
    for task in tasks {
        let (done, times) = task.await??;
        outcome.events += done;
        outcome.times.merge(&times);
    }
    outcome.time = start.elapsed();
    let broken: i64 = admin.query_one(BROKEN, &[]).await?.get(0);
    let rows: i64 = admin.query_one("SELECT count(*) FROM events", &[]).await?.get(0);
    anyhow::ensure!(broken == 0 && rows == i64::try_from(outcome.events)?, "{broken} of {rows} rows break the chain");
    let bytes: i64 = admin.query_one("SELECT pg_total_relation_size('events')", &[]).await?.get(0);
    outcome.bytes_on_disk = u64::try_from(bytes)?;
    Ok(outcome)
}

/// A server that just began to listen may refuse for a moment.
async fn ready(port: u16) -> Result<Client> {
    let start = Instant::now();
    loop {
        match connect(port).await {
            Ok(client) => return Ok(client),
            Err(error) if start.elapsed() > Duration::from_secs(30) => return Err(error).context("PostgreSQL"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn work(
    client: Client,
    events: Arc<Events>,
    next: Arc<AtomicU64>,
    batch: u64,
    end: Instant,
) -> Result<(u64, Histogram)> {
    let insert = client.prepare(INSERT).await?;
    let (mut done, mut times) = (0, Histogram::default());
    while Instant::now() < end {
        let first = next.fetch_add(batch, Ordering::Relaxed);
        let (mut ids, mut texts) = (Vec::new(), Vec::new());
        for number in first..first + batch {
            let (id, text) = event(&events, number)?;
            ids.push(id);
            texts.push(text);
        }
        let asked = Instant::now();
        client.execute(&insert, &[&ids, &texts]).await?;
        times.record(asked.elapsed());
        done += batch;
    }
    Ok((done, times))
}
