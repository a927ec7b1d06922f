//! How long a start takes, what it holds in memory, and what a look-up costs, over a ledger of many sealed entries.
//!
//! `cargo run -p ledger --example restart -- DIR fill ENTRIES`, then `... -- DIR open`, as often as wanted; the page
//! cache is warm unless somebody drops it. Entries are small (a leaf of 102 bytes, a body of 60): it is their number
//! that counts here. `... -- DIR rebuild` deletes the duplicate index and waits until it is whole again; `... -- DIR
//! large`, in a folder of its own, seals a bundle of the largest bodies.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "an example")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledger::durable::{Disk, OsDisk};
use ledger::{
    About, AppendError, Batch, Config, DataFolder, Doors, Kind, Ledger, Outcome, Pin, Place, Signer, Tags, Verification,
};
use tlog::Hash;

const ULID: &str = "01J00000000000000000000000";
const BATCH: u64 = 10_000;

/// A text instead of a signature: what is measured is not the signing.
struct Plain;

impl Signer for Plain {
    fn sign(&self, origin: &str, size: u64, root: &Hash, _unix_seconds: u64) -> String {
        format!("{origin}\n{size}\n{}\n", root.b64())
    }

    fn check(&self, origin: &str, note: &[u8]) -> Option<(u64, Hash)> {
        let mut lines = std::str::from_utf8(note).ok()?.lines();
        (lines.next()? == origin).then_some(())?;
        Some((lines.next()?.parse().ok()?, Hash::from_b64(lines.next()?)?))
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &parts.concat());
    digest.as_ref().try_into().unwrap()
}

fn batch(first: u64, count: u64) -> Batch {
    let mut batch = Batch::default();
    for n in first..first + count {
        let body = format!("{n:012} {:048x}", u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C));
        let digest = sha256(&[body.as_bytes()]);
        let leaf = [&[b'_'; 30][..], &digest, &[b'.'; 40]].concat();
        let mut tags = Tags::default();
        tags.identity.copy_from_slice(&sha256(&[&n.to_be_bytes()])[..16]);
        tags.content.copy_from_slice(&digest[..16]);
        batch.push(&leaf, Some(0), Some(ledger::Body::new(body.as_bytes())), tags, false);
    }
    batch
}

fn open(dir: &Path) -> Ledger {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let doors = Doors {
        disk: Arc::clone(&disk),
        clock: Arc::new(|| u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()),
        body_digest: Arc::new(|leaf| leaf.get(30..62)?.try_into().ok()),
        stamp: Arc::new(|ns| format!("{ns:030}").into_bytes().try_into().unwrap()),
        views_mac: Arc::new(|parts| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"a key");
            let mut context = aws_lc_rs::hmac::Context::with_key(&key);
            parts.iter().for_each(|part| context.update(part));
            context.sign().as_ref().try_into().unwrap()
        }),
        signer: Arc::new(Plain),
        pin: Arc::new(Pin::open(&disk, &dir.join("pin")).unwrap()),
    };
    // Segments so small that there are as many sets as entries of a kilobyte would give.
    let config = Config { segment_bytes: 11 << 20, disk_low_bytes: 0, immutable: false, ..Config::default() };
    let config = Config { backlog_bytes_max: 128 << 20, ..config };
    Ledger::open(&Place { data: dir.join("data"), ulid: ULID.to_owned() }, config, doors).unwrap().0
}

fn fill(dir: &Path, entries: u64) {
    std::fs::create_dir_all(dir).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let folder = DataFolder::open(&disk, &dir.join("data")).unwrap();
    if folder.is_fresh() {
        let about = About {
            ulid: ULID.to_owned(),
            name: "main".to_owned(),
            tenant: "default".to_owned(),
            kind: Kind::Audit,
            origin: "bench/logs/main".to_owned(),
            created_at: "2026-01-01T00:00:00.000000000Z".to_owned(),
        };
        folder.create_ledger(&about, b"[]\n", 1).unwrap();
    }
    let (ledger, begun) = (open(dir), Instant::now());
    let (send, receive) = mpsc::sync_channel(1);
    let mut next = ledger.size();
    while next < entries {
        let send = send.clone();
        ledger.submit(batch(next, BATCH), Box::new(move |done| send.send(done.map(|_| ())).unwrap()));
        match receive.recv().unwrap() {
            Ok(()) => next += BATCH,
            Err(AppendError::Busy(_)) => std::thread::sleep(Duration::from_millis(20)),
            Err(other) => panic!("{other}"),
        }
    }
    let status = ledger.status();
    println!("filled {next} entries in {:.1} s, {} sealed", begun.elapsed().as_secs_f64(), status.sealed_size);
    ledger.close().unwrap();
}

fn resident(what: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with(what)).unwrap_or("").split_whitespace().skip(1).collect()
}

fn measure(dir: &Path) {
    let begun = Instant::now();
    let ledger = open(dir);
    println!("ready after {:.3} s, resident {}", begun.elapsed().as_secs_f64(), resident("VmRSS"));
    let (size, status) = (ledger.size(), ledger.status());
    println!("{size} entries, {} sealed, backlog {} MiB", status.sealed_size, status.backlog_bytes >> 20);
    let timed = |what: &str, count: u32, each: &dyn Fn(u64)| {
        let begun = Instant::now();
        (0..count).for_each(|i| each(u64::from(i) * 7_919_993 % size));
        println!("{what}: {:.1} us", begun.elapsed().as_secs_f64() * 1e6 / f64::from(count));
    };
    timed("first proof", 1, &|i| drop(ledger.prove(i, size).unwrap()));
    timed("proof", 2_000, &|i| drop(ledger.prove(i, size).unwrap()));
    timed("entry", 2_000, &|i| drop(ledger.entry(i).unwrap()));
    timed("bundle as stored", 2_000, &|i| drop(ledger.bundle_gzip(i / 256 % (size / 256), 256).unwrap()));
    timed("level-0 tile", 2_000, &|i| drop(ledger.tile(0, i / 256 % (size / 256), 256).unwrap()));
    let ask = |first: u64, count: u64| {
        let (send, receive) = mpsc::sync_channel(1);
        ledger.submit(batch(first, count), Box::new(move |done| send.send(done).unwrap()));
        receive.recv().unwrap().unwrap().outcomes
    };
    let begun = Instant::now();
    for first in (0..size - 1_000).step_by(usize::try_from(size / 20).unwrap()) {
        let repeats = ask(first, 1_000);
        assert!(repeats.iter().all(|outcome| matches!(outcome, Outcome::Duplicate { .. })));
    }
    println!("repeat: {:.1} us an event", begun.elapsed().as_secs_f64() * 1e6 / 20_000.0);
    println!("resident at most {}, now {}", resident("VmHWM"), resident("VmRSS"));
    let begun = Instant::now();
    while !matches!(ledger.status().verification, Verification::Whole { .. }) {
        assert!(ledger.status().poisoned.is_none());
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("verified again after {:.1} s more", begun.elapsed().as_secs_f64());
    println!("resident at most {}", resident("VmHWM"));
    ledger.close().unwrap();
}

fn rebuild(dir: &Path) {
    std::fs::remove_dir_all(dir.join("data/views")).unwrap();
    std::fs::create_dir(dir.join("data/views")).unwrap();
    let begun = Instant::now();
    let ledger = open(dir);
    println!("ready after {:.3} s", begun.elapsed().as_secs_f64());
    loop {
        let (send, receive) = mpsc::sync_channel(1);
        ledger.submit(batch(5, 1), Box::new(move |done| send.send(done).unwrap()));
        match receive.recv().unwrap() {
            Ok(_) => break,
            Err(AppendError::Busy(_)) => std::thread::sleep(Duration::from_millis(20)),
            Err(other) => panic!("{other}"),
        }
    }
    println!("the first repeat was known after {:.1} s", begun.elapsed().as_secs_f64());
    println!("resident at most {}", resident("VmHWM"));
    ledger.close().unwrap();
}

/// Bodies of the largest size, as many as give a whole bundle: what sealing and reading them takes in memory.
fn large(dir: &Path) {
    fill(dir, 0);
    let ledger = open(dir);
    let mut seed = [7; 32];
    let mut body = Vec::new();
    for n in 0..300u64 {
        body.clear();
        while body.len() < 4 << 20 {
            seed = sha256(&[&seed, &n.to_be_bytes()]);
            body.extend_from_slice(&seed);
        }
        let leaf = [&[b'_'; 30][..], &sha256(&[&body]), b"large"].concat();
        loop {
            let mut batch = Batch::default();
            batch.push(&leaf, Some(0), Some(ledger::Body::new(&body)), Tags::default(), true);
            let (send, receive) = mpsc::sync_channel(1);
            ledger.submit(batch, Box::new(move |done| send.send(done).unwrap()));
            match receive.recv().unwrap() {
                Ok(_) => break,
                Err(AppendError::Busy(_)) => std::thread::sleep(Duration::from_millis(50)),
                Err(other) => panic!("{other}"),
            }
        }
    }
    println!("300 bodies of 4 MiB: resident at most {}", resident("VmHWM"));
    while ledger.status().sealed_size == 0 {
        assert!(ledger.status().poisoned.is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("sealed: resident at most {}", resident("VmHWM"));
    for index in [0, 100, 255] {
        assert_eq!(ledger.entry(index).unwrap().body.map(|body| body.len()), Some(4 << 20));
    }
    println!("read: resident at most {}", resident("VmHWM"));
    ledger.close().unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = PathBuf::from(arguments.first().unwrap());
    match arguments.get(1).map(String::as_str) {
        Some("fill") => fill(&dir, arguments.get(2).unwrap().parse().unwrap()),
        Some("open") => measure(&dir),
        Some("rebuild") => rebuild(&dir),
        Some("large") => large(&dir),
        _ => panic!("DIR fill ENTRIES | open | rebuild | large"),
    }
}
