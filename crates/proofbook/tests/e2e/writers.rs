//! Several writers over HTTP with known ids, what was acknowledged to them, and the proof of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tlog::{Checkpoint, Hash, TlogProof, Vkey};

use crate::http::{Answer, Http};

/// What an acknowledgement said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) index: u64,
    pub(crate) leaf_hash: String,
}

/// What one writer knows.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) name: String,
    next: u64,
    /// By id.
    pub(crate) receipts: BTreeMap<String, Receipt>,
    /// Sent, and never answered: each may be there or not.
    pub(crate) unanswered: BTreeMap<String, Vec<u8>>,
}

pub(crate) fn event(id: &str, padding: usize) -> Value {
    json!({"id": id, "action": "door.opened", "actor": {"type": "user", "id": "ada"},
        "occurred_at": "2026-11-24T10:00:00Z", "ext": {"padding": "x".repeat(padding)}})
}

/// Receipts of an answer, in the order of the events; panics on a refusal.
pub(crate) fn receipts(answer: &Answer) -> Vec<(Receipt, bool)> {
    let value = answer.ok_json();
    let all = value["results"].as_array().unwrap().iter();
    all.map(|result| {
        let index = result["index"].as_u64().unwrap_or_else(|| panic!("refused: {result}"));
        let leaf_hash = result["leaf_hash"].as_str().unwrap().to_owned();
        (Receipt { index, leaf_hash }, result["duplicate"].as_bool().unwrap())
    })
    .collect()
}

impl Writer {
    pub(crate) fn new(name: &str) -> Writer {
        Writer { name: name.to_owned(), ..Writer::default() }
    }

    /// Sends once more what was never answered; each is a duplicate or new. Answers how many were duplicates.
    pub(crate) fn resend(&mut self, http: &mut Http) -> usize {
        let mut duplicates = 0;
        for (id, event) in std::mem::take(&mut self.unanswered) {
            let answer = http.post("/v1/ledgers/main/events", &event);
            let (receipt, duplicate) = receipts(&answer).remove(0);
            duplicates += usize::from(duplicate);
            self.receipts.insert(id, receipt);
        }
        duplicates
    }

    /// One request of `count` events. `false`: no answer came, or none that acknowledges.
    pub(crate) fn send(&mut self, http: &mut Http, count: usize, padding: usize, query: &str) -> bool {
        let ids: Vec<String> = (0..count)
            .map(|_| {
                self.next += 1;
                format!("{}-{}", self.name, self.next)
            })
            .collect();
        let events: Vec<Value> = ids.iter().map(|id| event(id, padding)).collect();
        for (id, event) in ids.iter().zip(&events) {
            self.unanswered.insert(id.clone(), event.to_string().into_bytes());
        }
        let path = format!("/v1/ledgers/main/events{query}");
        let body = Value::Array(events).to_string();
        let answer = match http.call("POST", &path, "application/json", body.as_bytes()) {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.text());
                return false;
            }
            Err(_) => return false,
        };
        for (id, (receipt, duplicate)) in ids.into_iter().zip(receipts(&answer)) {
            assert!(!duplicate, "{id} was never sent before");
            self.unanswered.remove(&id);
            self.receipts.insert(id, receipt);
        }
        true
    }

    /// Sends until it fails or is told to stop.
    pub(crate) fn send_until(&mut self, http: &mut Http, count: usize, padding: usize, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) && self.send(http, count, padding, "") {}
    }
}

/// Runs the writers against one server until all of them failed.
pub(crate) fn load(writers: &mut [Writer], url: &str, token: &str, shapes: &[(usize, usize)], stop: &AtomicBool) {
    std::thread::scope(|scope| {
        for (writer, (count, padding)) in writers.iter_mut().zip(shapes.iter().cycle()) {
            let mut http = Http::new(url, token);
            scope.spawn(move || writer.send_until(&mut http, *count, *padding, stop));
        }
    });
}

/// The last published checkpoint, judged by the pinned keys.
pub(crate) fn checkpoint(http: &mut Http, keys: &[Vkey]) -> Checkpoint {
    let answer = http.get("/logs/main/checkpoint");
    assert_eq!(answer.status, 200, "{}", answer.text());
    tlog::verify_checkpoint(&answer.body, keys, None).unwrap()
}

/// Judges proofs by the pinned keys; a checkpoint that many proofs share is judged once.
pub(crate) struct Judge<'a> {
    keys: &'a [Vkey],
    known: Option<(String, Checkpoint)>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(keys: &'a [Vkey]) -> Judge<'a> {
        Judge { keys, known: None }
    }

    /// Fetches a fresh proof of a receipt and judges it. The server may still be publishing.
    pub(crate) fn prove(&mut self, http: &mut Http, receipt: &Receipt) {
        let path = format!("/v1/ledgers/main/entries/{}/proof", receipt.index);
        let mut answer = http.get(&path);
        for _ in 0..100 {
            if !matches!(answer.status, 429 | 503) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            answer = http.get(&path);
        }
        assert_eq!(answer.status, 200, "{receipt:?}: {}", answer.text());
        self.judge(&answer.body, receipt);
    }

    /// A proof says what the receipt said.
    pub(crate) fn judge(&mut self, proof: &[u8], receipt: &Receipt) {
        let proof = TlogProof::parse(proof).unwrap();
        assert_eq!(proof.index, receipt.index);
        let checkpoint = match &self.known {
            Some((note, checkpoint)) if *note == proof.checkpoint_note => checkpoint,
            _ => {
                let checked = tlog::verify_checkpoint(proof.checkpoint_note.as_bytes(), self.keys, None).unwrap();
                &self.known.insert((proof.checkpoint_note.clone(), checked)).1
            }
        };
        let leaf = hash(&receipt.leaf_hash);
        tlog::verify_inclusion(&leaf, proof.index, checkpoint.size, &proof.proof, &checkpoint.root)
            .unwrap_or_else(|e| panic!("{receipt:?}: {e}"));
    }
}

fn hash(hex: &str) -> Hash {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    }
    Hash(bytes)
}
