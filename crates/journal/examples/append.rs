//! Events a second through the journal in one process: batches of 1,000 native events of about 512 bytes from as many
//! threads as are named. `cargo run --release -p journal --example append -- DIR SECONDS THREADS`
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "an example")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use journal::{Doors, EventResult, Format, Framing, Journal, Options, PinChoice, Request};

fn batch(thread: u64, n: u64) -> String {
    let mut out = String::with_capacity(600_000);
    for i in 0..1_000 {
        let id = format!("{thread:04x}-{n:08x}-{i:04x}");
        out.push_str(&format!(
            concat!(
                r#"{{"id":"{id}","action":"invoice.viewed","category":"data","occurred_at":"2026-11-24T02:29:41.651655Z","#,
                r#""actor":{{"type":"user","id":"user-{u}","name":"Ada Example","ip":"192.0.2.{ip}"}},"#,
                r#""targets":[{{"type":"invoice","id":"inv-{id}","name":"Invoice {i}"}}],"outcome":{{"status":"success"}},"#,
                r#""context":{{"request_id":"req-{id}","app":"app-{u}","user_agent":"Mozilla/5.0 (X11; Linux)"}},"#,
                r#""severity":"info","message":"invoice {i} was viewed by user {u}"}}"#,
                "\n"
            ),
            id = id,
            u = i % 97,
            ip = i % 251,
            i = i
        ));
    }
    out
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let data: std::path::PathBuf = arguments.next().unwrap().into();
    let seconds: u64 = arguments.next().unwrap().parse().unwrap();
    let threads: u64 = arguments.next().unwrap().parse().unwrap();
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).unwrap();
    let options = Options {
        data: data.join("data"),
        host: None,
        pin: PinChoice::File(data.join("pin")),
        accept_first_start: false,
        ledger: ledger::Config { immutable: false, ..ledger::Config::default() },
    };
    let doors = Doors {
        clock: Arc::new(|| u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()),
        random: Arc::new(|out| aws_lc_rs::rand::fill(out).unwrap()),
        disk: Arc::new(ledger::durable::OsDisk),
    };
    let (journal, report) = Journal::open(options, doors).unwrap();
    let who = journal.authenticate(report.bootstrap.unwrap().expose()).unwrap();
    let (done, bytes, begun) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (journal, who, done, bytes) = (&journal, &who, &done, &bytes);
            scope.spawn(move || {
                let mut n = 0;
                while begun.elapsed() < Duration::from_secs(seconds) {
                    let body = batch(thread, n);
                    n += 1;
                    let request = Request {
                        format: Format::Native,
                        body: body.as_bytes(),
                        framing: Framing::Ndjson,
                        place: None,
                    };
                    let (tx, rx) = mpsc::channel();
                    journal.append(who, "main", &request, Box::new(move |outcome| drop(tx.send(outcome))));
                    match rx.recv().unwrap() {
                        Ok(results) => {
                            let good = results.iter().filter(|r| matches!(r, EventResult::Acknowledged { .. })).count();
                            assert_eq!(good, results.len(), "{:?}", results.first());
                            done.fetch_add(good as u64, Ordering::Relaxed);
                        }
                        // Busy: the sealer or the disk is behind.
                        Err(_) => std::thread::sleep(Duration::from_millis(20)),
                    }
                    bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    let took = begun.elapsed().as_secs_f64();
    let (done, bytes) = (done.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
    println!("{:.0} events/s, {} bytes an event, {done} in {took:.1} s", done as f64 / took, bytes / done.max(1));
    let status = journal.status().ledgers.into_iter().find(|l| l.info.name == "main").unwrap().log;
    println!(
        "sealed {}, backlog {} MiB, syncs p50 {} us",
        status.sealed_size,
        status.backlog_bytes >> 20,
        status.sync_p50_ns / 1000
    );
    journal.close().unwrap();
}
