//! SIGKILL at random moments, over and over on one folder: what was acknowledged is there and proven after every
//! restart, sizes never shrink, nothing is there twice.
//!
//! PROOFBOOK_COUNTS=ci runs 200 cycles; PROOFBOOK_SEED repeats a run's moments (the kernel's scheduling is not ours).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Progress, Rng, is_ci};
use tlog::{Checkpoint, Hash, Vkey};

use crate::http::Http;
use crate::rig::{Folder, How, Up, said, vkeys};
use crate::writers::{Judge, Writer, checkpoint, load};

/// Events a request and bytes of padding an event, of each writer: small and frequent, and one that fills segments.
const SHAPES: [(usize, usize); 4] = [(1, 10), (1, 400), (10, 200), (8, 60_000)];
/// Longest time from `ready` to the kill.
const LIFE_MS: u64 = 220;
/// Longest time into a start that is cut short.
const START_MS: u64 = 110;
/// Receipts of earlier cycles that are proved again in each.
const OLDER: usize = 25;
/// Mean time of a cycle; above it the loop would not fit where it is to run. Not held against a busy machine's
/// quick form.
const CYCLE_MAX: Duration = Duration::from_millis(1_500);

struct Torture {
    folder: Folder,
    token: String,
    keys: Vec<Vkey>,
    writers: Vec<Writer>,
    rng: Rng,
    last: Checkpoint,
    /// Ids whose receipts have been proved after the kill that followed them.
    proved: BTreeSet<String>,
    proofs: usize,
    duplicates: usize,
    torn: usize,
}

impl Torture {
    fn new(seed: u64) -> Torture {
        let folder = Folder::new();
        let up = folder.up();
        let token = folder.bootstrap();
        let mut http = up.http(&token);
        let keys = vkeys(&mut http, "main");
        let last = checkpoint(&mut http, &keys);
        up.kill();
        let writers = (0..SHAPES.len()).map(|n| Writer::new(&format!("w{n}"))).collect();
        let rng = Rng::new(seed);
        let proved = BTreeSet::new();
        Torture { folder, token, keys, writers, rng, last, proved, proofs: 0, duplicates: 0, torn: 0 }
    }

    fn cycle(&mut self) {
        if self.rng.one_in(5) {
            let starting = self.folder.spawn(&How::default());
            std::thread::sleep(Duration::from_millis(self.rng.below(START_MS)));
            starting.kill();
        }
        let up = self.folder.up();
        self.torn += up.ready["notes"].as_array().map_or(0, Vec::len);
        let mut http = up.http(&self.token);
        self.sizes(&mut http);
        self.prove(&mut http);
        for writer in &mut self.writers {
            self.duplicates += writer.resend(&mut http);
        }
        let life = Duration::from_millis(5 + self.rng.below(LIFE_MS));
        let url = up.url().to_owned();
        let never = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(life);
                up.kill();
            });
            load(&mut self.writers, &url, &self.token, &SHAPES, &never);
        });
    }

    /// The checkpoint only grows, and by a proof; no acknowledged entry lies beyond the ledger.
    fn sizes(&mut self, http: &mut Http) {
        let now = checkpoint(http, &self.keys);
        assert!(now.size >= self.last.size, "the checkpoint shrank from {} to {}", self.last.size, now.size);
        let path = format!("/v1/ledgers/main/consistency/{}/{}", self.last.size, now.size);
        let value = http.get(&path).ok_json();
        let hashes: Vec<Hash> =
            value["proof"].as_array().unwrap().iter().map(|h| Hash::from_b64(h.as_str().unwrap()).unwrap()).collect();
        tlog::verify_consistency(self.last.size, now.size, &hashes, &self.last.root, &now.root).unwrap();
        let size = http.get("/v1/ledgers/main").ok_json()["size"].as_u64().unwrap();
        let highest = self.writers.iter().flat_map(|w| w.receipts.values()).map(|r| r.index + 1).max().unwrap_or(0);
        assert!(size >= highest, "{highest} entries were acknowledged, {size} are there");
        self.last = now;
    }

    /// All receipts since the last kill, and some older ones.
    fn prove(&mut self, http: &mut Http) {
        let mut judge = Judge::new(&self.keys);
        let known: Vec<&String> = self.proved.iter().collect();
        let older: Vec<String> = match known.len() {
            0 => Vec::new(),
            n => (0..OLDER).map(|_| known[self.rng.below_usize(n)].clone()).collect(),
        };
        for writer in &self.writers {
            for (id, receipt) in &writer.receipts {
                if !self.proved.contains(id) || older.contains(id) {
                    judge.prove(http, receipt);
                    self.proofs += 1;
                }
            }
            self.proved.extend(writer.receipts.keys().cloned());
        }
    }

    /// At the end every receipt once more, and every entry by its id: once, at the index that was acknowledged.
    fn settle(&mut self) {
        let up = self.folder.up();
        let mut http = up.http(&self.token);
        self.sizes(&mut http);
        for writer in &mut self.writers {
            self.duplicates += writer.resend(&mut http);
        }
        let mut judge = Judge::new(&self.keys);
        let mut expected = BTreeMap::new();
        for (id, receipt) in self.writers.iter().flat_map(|w| &w.receipts) {
            judge.prove(&mut http, receipt);
            self.proofs += 1;
            assert_eq!(expected.insert(receipt.index, id.clone()), None, "two events were given one index");
        }
        self.export(&up, &expected);
        crate::judged::stopped_and_whole(&self.folder, up);
    }

    fn export(&self, up: &Up, expected: &BTreeMap<u64, String>) {
        let out = self.folder.path("export");
        let export = self.folder.cli(up.url(), &["--json", "export", "--out", out.to_str().unwrap()]);
        assert_eq!(said(&export).0, 0, "{export:?}");
        let verify = ["--json", "verify", out.to_str().unwrap(), "--vkey", &self.keys[0].to_string()];
        let (code, lines) = said(&self.folder.cli("", &verify));
        assert_eq!(code, 0, "{lines:?}");
        let size = lines[0]["ledgers"][0]["size"].as_u64().unwrap();
        let found = ids(&out, size);
        assert_eq!(found, *expected, "ids by index");
    }
}

/// Ids of all events of the writers in an export, by index; none may be there twice.
fn ids(export: &Path, size: u64) -> BTreeMap<u64, String> {
    let (mut found, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for path in tlog::bundles_of(size) {
        let path = tlog::TilePath { resource: tlog::Resource::Bodies, ..path };
        let bytes = std::fs::read(export.join(path.to_string())).unwrap();
        for (body, index) in tlog::decode_bodies(&bytes).unwrap().into_iter().zip(path.index * 256..) {
            let body: Value = serde_json::from_slice(body.unwrap()).unwrap();
            let id = body["event"]["id"].as_str().unwrap().to_owned();
            if body["event"]["action"] == "door.opened" {
                assert!(seen.insert(id.clone()), "{id} is there twice");
                found.insert(index, id);
            }
        }
    }
    found
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let cycles = if is_ci() { 200 } else { 8 };
    let seed = std::env::var("PROOFBOOK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut torture = Torture::new(seed);
    let began = Instant::now();
    let progress = Progress::new("kills under load", u64::from(cycles));
    for _ in 0..cycles {
        torture.cycle();
        progress.step();
    }
    let mean = began.elapsed() / cycles;
    torture.settle();
    let receipts: usize = torture.writers.iter().map(|w| w.receipts.len()).sum();
    let Torture { proofs, duplicates, torn, .. } = torture;
    let sealed = std::fs::read_dir(torture.folder.ledger("main").join("sealed")).unwrap().count();
    let segments = std::fs::read_dir(torture.folder.ledger("main").join("wal")).unwrap().count();
    eprintln!(
        "seed {seed}: {cycles} kills, {mean:?} each; {receipts} receipts, {proofs} proofs, {duplicates} resent events \
         were there, {torn} notes of starts, {segments} segments, {sealed} sealed files"
    );
    assert!(receipts > cycles as usize * 4, "too little was written to tell anything: {receipts}");
    assert!(!is_ci() || (mean < CYCLE_MAX && duplicates > 0), "{mean:?}");
}
