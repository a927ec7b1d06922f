//! Appending: from a credential and a request to durable entries.
//!
//! Parses nothing itself ([`crate::append`]); what needs the disk again after the commit is settled elsewhere
//! ([`crate::settle`]), so that the sequencer's thread never waits.

use std::sync::Arc;

use ledger::{AppendError, Batch, Committed, Kind, Outcome, Tags};

use crate::append::{Built, answers};
use crate::credential::Credential;
use crate::error::Error;
use crate::request::{Done, EventResult, Refusal, Request};
use crate::settle::{Kept, Unsettled};
use crate::state::Inner;

pub(crate) fn append(
    inner: &Arc<Inner>,
    credential: &Arc<Credential>,
    ledger: &str,
    request: &Request<'_>,
    done: Done<Vec<EventResult>>,
) {
    let open = match inner.writable(credential, ledger) {
        Ok(open) if open.kind == Kind::Audit => open,
        Ok(_) => {
            let expected = "an audit ledger, or POST /logs/{ledger}/add";
            let what = "a raw ledger takes bytes as posted, no events";
            return done(Err(Error::Refused(Refusal::new(400, "ledger-is-raw", "ledger", expected, what))));
        }
        Err(error) => return done(Err(error)),
    };
    let Built { batch, slots, numbers, .. } = match inner.builder(ledger).build(credential, request) {
        Ok(built) => built,
        Err(refusal) => return done(Err(Error::Refused(refusal))),
    };
    if batch.entries.is_empty() {
        return done(Ok(answers(slots, &[], &|_| None).results));
    }
    // A collision of places in files is settled by building the event again, which needs its bytes.
    let kept = request.place.is_some().then(|| Kept::of(credential, request));
    let (inner, to) = (Arc::clone(inner), Arc::clone(&open));
    let settle = move |outcome: Result<Committed, AppendError>| {
        let committed = match outcome {
            Ok(committed) => committed,
            Err(error) => return done(Err(error.into())),
        };
        inner.follower.committed(&open, numbers, &committed);
        if committed.outcomes.iter().all(|o| matches!(o, Outcome::Appended { .. })) {
            return done(Ok(answers(slots, &committed.outcomes, &|_| None).results));
        }
        let unsettled = Unsettled { slots, outcomes: committed.outcomes, kept, open, done };
        inner.settler.settle(&inner, unsettled);
    };
    to.ledger.submit(batch, Box::new(settle));
}

pub(crate) fn add_raw(
    inner: &Arc<Inner>,
    credential: &Arc<Credential>,
    ledger: &str,
    leaf: &[u8],
    done: Done<(u64, tlog::Hash)>,
) {
    let open = match inner.writable(credential, ledger) {
        Ok(open) if open.kind == Kind::Raw => open,
        Ok(_) => {
            let expected = "a raw ledger, or POST /v1/ledgers/{ledger}/events";
            let what = "an audit ledger takes events, no bytes as posted";
            return done(Err(Error::Refused(Refusal::new(400, "ledger-is-audit", "ledger", expected, what))));
        }
        Err(error) => return done(Err(error)),
    };
    let mut batch = Batch::default();
    batch.push(leaf, None, None, Tags::default(), true);
    let settle = move |outcome: Result<Committed, AppendError>| {
        done(outcome.map_err(Error::from).and_then(|committed| match committed.outcomes.first() {
            Some(&(Outcome::Appended { index, leaf_hash } | Outcome::Duplicate { index, leaf_hash })) => {
                Ok((index, leaf_hash))
            }
            _ => Err(Error::Unavailable("the log gave no answer".into())),
        }));
    };
    open.ledger.submit(batch, Box::new(settle));
}
