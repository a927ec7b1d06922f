//! Settles what a commit left open: ids of first entries, collisions of places in files, entries about conflicts.
//!
//! One thread, beside the sequencers: it may wait for the disk, they may not. Its queue is bounded by the requests that
//! callers have in flight, each of which waits for its answer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use event::own::Own;
use ledger::{Committed, Outcome};

use crate::append::{Slot, answers};
use crate::credential::Credential;
use crate::error::Error;
use crate::fold::control::Fact;
use crate::limits::CONFLICT_ENTRIES_MAX;
use crate::own::stating;
use crate::request::{Done, EventResult, FilePlace, Format, Framing, Request};
use crate::state::{Inner, OpenLedger, lock};

/// A request that was kept because it may have to be built again.
pub(crate) struct Kept {
    credential: Arc<Credential>,
    format: Format,
    framing: Framing,
    place: Option<FilePlace>,
    body: Vec<u8>,
}

impl Kept {
    pub(crate) fn of(credential: &Arc<Credential>, request: &Request<'_>) -> Kept {
        Kept {
            credential: Arc::clone(credential),
            format: request.format,
            framing: request.framing,
            place: request.place.clone(),
            body: request.body.to_vec(),
        }
    }
}

/// A committed request whose answer is not known yet.
pub(crate) struct Unsettled {
    pub(crate) slots: Vec<Slot>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) kept: Option<Kept>,
    pub(crate) open: Arc<OpenLedger>,
    pub(crate) done: Done<Vec<EventResult>>,
}

enum Job {
    Settle(Arc<Inner>, Box<Unsettled>),
    BootstrapEnded(Arc<Inner>, String),
}

/// The settling thread.
pub(crate) struct Settler {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Settler {
    pub(crate) fn start() -> std::io::Result<Settler> {
        let (tx, rx) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("settler".into()).spawn(move || {
            for job in rx {
                match job {
                    Job::Settle(inner, unsettled) => unsettled.settle(&inner),
                    Job::BootstrapEnded(inner, by) => bootstrap_ended(&inner, by),
                }
            }
        })?;
        Ok(Settler { jobs: Mutex::new(Some(tx)), thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn settle(&self, inner: &Arc<Inner>, unsettled: Unsettled) {
        self.send(Job::Settle(Arc::clone(inner), Box::new(unsettled)));
    }

    pub(crate) fn bootstrap_ended(&self, inner: &Arc<Inner>, by: &str) {
        self.send(Job::BootstrapEnded(Arc::clone(inner), by.to_owned()));
    }

    fn send(&self, job: Job) {
        let unsent = match &*lock(&self.jobs) {
            Some(jobs) => jobs.send(job).err().map(|e| e.0),
            None => Some(job),
        };
        // Only while closing: what is durable is answered all the same, without what the disk would have told.
        if let Some(Job::Settle(_, unsettled)) = unsent {
            let Unsettled { slots, outcomes, done, .. } = *unsettled;
            done(Ok(answers(slots, &outcomes, &|_| None).results));
        }
    }

    /// Finishes what is queued and ends the thread. Not to be called on it.
    pub(crate) fn stop(&self) {
        drop(lock(&self.jobs).take());
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

/// Another admin token is in use: the file of the first one is gone for ever.
fn bootstrap_ended(inner: &Inner, by: String) {
    let Ok(deciding) = inner.decide() else { return };
    if inner.bootstrap_open.load(Ordering::Acquire) {
        let fact = Fact::BootstrapEnded { by };
        // Failing, it is stated by the next use after the next start.
        let _ = inner.commit(&deciding, &[stating("bootstrap.ended", &fact)]);
    }
}

impl Unsettled {
    fn settle(self, inner: &Inner) {
        let Unsettled { slots, outcomes, kept, open, done } = self;
        let first_id = |index: u64| {
            let entry = open.ledger.entry(index).ok()?;
            event::parse_leaf(&entry.leaf).map(|leaf| leaf.entry_id.to_owned())
        };
        let mut settled = answers(slots, &outcomes, &first_id);
        if let Some(kept) = kept.filter(|_| !settled.again.is_empty()) {
            append_again(inner, &open, &kept, &settled.again, &mut settled.results);
        }
        record_conflicts(inner, &open, &settled.results);
        done(Ok(settled.results));
    }
}

/// events.md rule 8: a record whose place is taken by another is appended under a generated id.
fn append_again(inner: &Inner, open: &Arc<OpenLedger>, kept: &Kept, again: &[usize], results: &mut [EventResult]) {
    let request = Request { format: kept.format, framing: kept.framing, place: kept.place.clone(), body: &kept.body };
    let builder = inner.builder(&open.name);
    let Ok(parts) = event::split(kept.format, kept.framing, &kept.body) else { return };
    let some: Vec<&[u8]> = again.iter().filter_map(|at| parts.get(*at).copied()).collect();
    let Ok(built) = builder.build_parts(&kept.credential, &request, &some, true) else { return };
    let committed = match submit(open, built.batch) {
        Ok(committed) => committed,
        Err(error) => return refuse(again, results, &error),
    };
    inner.follower.committed(open, built.numbers, &committed);
    let second = answers(built.slots, &committed.outcomes, &|_| None);
    for (at, result) in again.iter().zip(second.results) {
        if let Some(slot) = results.get_mut(*at) {
            *slot = result;
        }
    }
}

fn refuse(again: &[usize], results: &mut [EventResult], error: &Error) {
    for at in again {
        if let Some(EventResult::Refused(refusal)) = results.get_mut(*at) {
            refusal.status = 503;
            refusal.code = error.kind();
            refusal.expected = "a repetition".into();
            refusal.detail = error.to_string();
        }
    }
}

fn submit(open: &OpenLedger, batch: ledger::Batch) -> Result<Committed, Error> {
    let (tx, rx) = mpsc::channel();
    open.ledger.submit(batch, Box::new(move |outcome| drop(tx.send(outcome))));
    rx.recv().map_err(|_| Error::Unavailable("the log dropped the request".into()))?.map_err(Error::from)
}

/// Each conflict becomes an entry of the ledger; beyond the limit the last one counts the rest.
fn record_conflicts(inner: &Inner, open: &OpenLedger, results: &[EventResult]) {
    let conflicts: Vec<u64> = results
        .iter()
        .filter_map(|result| match result {
            EventResult::Refused(refusal) if refusal.code == "identity-conflict" => refusal.first_index,
            _ => None,
        })
        .collect();
    let more = conflicts.len().saturating_sub(CONFLICT_ENTRIES_MAX);
    let last = conflicts.len().min(CONFLICT_ENTRIES_MAX).saturating_sub(1);
    let events: Vec<Own> = conflicts
        .iter()
        .take(CONFLICT_ENTRIES_MAX)
        .enumerate()
        .map(|(at, first)| {
            let more = if at == last { more } else { 0 };
            let stated = serde_json::json!({"first_index": first, "more_in_request": more});
            Own::new("source.identity_conflict")
                .category("log")
                .severity("medium")
                .outcome("denied", None, None)
                .ext("conflict", &stated)
        })
        .collect();
    if events.is_empty() {
        return;
    }
    // The refusal stands whatever becomes of this: nothing of the conflicting event was appended.
    let _ = inner.append_own(&open.ledger, &open.name, &events);
}
