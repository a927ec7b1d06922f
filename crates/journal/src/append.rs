//! From a request to a batch, and from its outcomes to answers, in the order of the request.
//!
//! Pure but for the keys it is handed: submits nothing and reads no disk. The caller submits the batch, calls
//! [`answers`], and submits what that names in `again` once more with `collide` (events.md rule 8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::{Context, IdMade, Rejected};
use ledger::{Batch, Body, Outcome, Tags};
use vault::{Random, Vault};

use crate::credential::Credential;
use crate::fold::control::OWN_SOURCE;
use crate::request::{EventResult, FilePlace, Format, Framing, Refusal, Request};
use crate::rules::{Ulids, allow_source};

/// What building needs besides the request.
pub struct Builder<'a> {
    /// Duplicate tags and pseudonyms.
    pub vault: &'a Vault,
    /// Salts and ids.
    pub random: &'a Random,
    /// Entry ids.
    pub ulids: &'a Ulids,
    /// Time of arrival, nanoseconds.
    pub now_ns: u64,
    /// Name of the ledger.
    pub ledger: &'a str,
}

/// What became of one event so far.
#[derive(Clone, Debug)]
pub enum Slot {
    /// Not in the batch.
    Refused(Refusal),
    /// The next entry of the batch.
    Queued {
        /// Its ULID.
        entry_id: String,
        /// Its id was made of a place in a file: a conflict is appended under a generated one.
        from_place: bool,
    },
}

/// A number that a source gave one of its events, for the fold over gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Position in the batch.
    pub at: usize,
    /// Who counts.
    pub source: String,
    /// Its epoch.
    pub epoch: String,
    /// The number.
    pub n: u64,
}

/// A batch, and one slot an event.
#[derive(Default)]
pub struct Built {
    /// To be submitted; may be empty.
    pub batch: Batch,
    /// One per event, same order.
    pub slots: Vec<Slot>,
    /// Numbers of the events in the batch, ascending by position.
    pub numbers: Vec<Number>,
    salts: Salts,
}

/// Salts of bodies, drawn from the random source by the hundred: a call for each would cost more than its bytes.
#[derive(Default)]
struct Salts {
    drawn: Vec<[u8; 16]>,
    /// How many may be needed.
    wanted: usize,
}

impl Salts {
    /// Most salts of one draw.
    const DRAW: usize = 256;

    fn of(wanted: usize) -> Salts {
        Salts { drawn: Vec::new(), wanted }
    }

    fn next(&mut self, random: &Random) -> [u8; 16] {
        if let Some(salt) = self.drawn.pop() {
            return salt;
        }
        let mut bytes = vec![0; 16 * self.wanted.clamp(1, Self::DRAW)];
        random(&mut bytes);
        self.drawn.extend(bytes.as_chunks::<16>().0);
        // Drawn just now, so there is one.
        self.drawn.pop().unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
struct How {
    /// Under generated ids.
    collide: bool,
    /// The server's own: the reserved source is right.
    own: bool,
}

impl Builder<'_> {
    /// Builds the events of a request. An error concerns the whole request: nothing is to be appended.
    pub fn build(&self, credential: &Credential, request: &Request<'_>) -> Result<Built, Refusal> {
        let parts = event::split(request.format, request.framing, request.body).map_err(refusal)?;
        self.build_parts(credential, request, &parts, false)
    }

    /// Builds some events of a request; with `collide` under generated ids.
    pub fn build_parts(
        &self,
        credential: &Credential,
        request: &Request<'_>,
        parts: &[&[u8]],
        collide: bool,
    ) -> Result<Built, Refusal> {
        let mut built =
            Built { slots: Vec::with_capacity(parts.len()), salts: Salts::of(parts.len()), ..Built::default() };
        let (mut body, mut leaf) = (Vec::new(), Vec::new());
        let how = How { collide, own: false };
        let mut counted = (0, 1);
        for part in parts {
            let slot = self.one(credential, request, part, how, (&mut leaf, &mut body), &mut built);
            built.slots.push(slot.unwrap_or_else(|mut refused| {
                // Counted on from the last refusal: parts ascend, and a body of refusals must not cost its square.
                let rest = request.body.get(counted.0..).unwrap_or_default();
                let first = counted.1 + event::line_of(rest, part) - 1;
                counted = (counted.0 + event::offset_of(rest, part), first);
                refused.line = Some(first + refused.line.unwrap_or(1) - 1);
                Slot::Refused(refused)
            }));
        }
        Ok(built)
    }

    /// Builds the server's own events ([`event::own`]), all or none: the only way to the reserved source.
    pub(crate) fn build_own(&self, events: &[Vec<u8>]) -> Result<Built, Refusal> {
        let credential = Credential { default_source: OWN_SOURCE.to_owned(), ..Credential::none() };
        let request = Request { format: Format::Native, body: &[], framing: Framing::Object, place: None };
        let mut built = Built::default();
        let (mut body, mut leaf) = (Vec::new(), Vec::new());
        let how = How { collide: false, own: true };
        for event in events {
            let slot = self.one(&credential, &request, event, how, (&mut leaf, &mut body), &mut built)?;
            built.slots.push(slot);
        }
        Ok(built)
    }

    fn one(
        &self,
        credential: &Credential,
        request: &Request<'_>,
        part: &[u8],
        how: How,
        (leaf, body): (&mut Vec<u8>, &mut Vec<u8>),
        built: &mut Built,
    ) -> Result<Slot, Refusal> {
        let make_id = || self.ulids.next(self.now_ns, &**self.random);
        let context = Context {
            default_source: &credential.default_source,
            tenant: "default",
            ledger: self.ledger,
            arrival: self.now_ns,
            place: request.place.as_ref().map(|p| place(p, request.body, part)),
            make_id: &make_id,
            ingest: None,
        };
        let mut event = event::prepare(request.format, part, &context).map_err(refusal)?;
        if !how.own {
            // events.md rule 9.
            allow_source(credential, event.source())?;
        }
        if how.collide {
            event.collide(make_id());
        }
        let salt = built.salts.next(self.random);
        body.clear();
        event.write_body(&STANDARD.encode(salt), body);
        let hashed = Body::new(body);
        let body_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let entry_id = make_id();
        let actor = event.actor_id().map(|id| self.vault.actor_ref(event.actor_type(), id));
        leaf.clear();
        let stamp_at = event.write_leaf(&entry_id, actor.as_deref(), hashed.digest(), body_bytes, leaf);
        let (identity, content) = self.vault.dedup_tags(event.source(), event.id(), event.submitted());
        let fresh = event.id_made() == IdMade::Generated;
        if let Some((epoch, n)) = event.source_seq() {
            let (source, epoch) = (event.source().to_owned(), epoch.to_owned());
            built.numbers.push(Number { at: built.batch.entries.len(), source, epoch, n });
        }
        built.batch.push(leaf, Some(stamp_at), Some(hashed), Tags { identity, content }, fresh);
        Ok(Slot::Queued { entry_id, from_place: event.id_made() == IdMade::FilePlace })
    }
}

/// Answers to a request, and the positions of events that are to be submitted once more under a generated id.
#[derive(Debug, Default)]
pub struct Answers {
    /// One per event, same order.
    pub results: Vec<EventResult>,
    /// Positions whose result is not settled yet.
    pub again: Vec<usize>,
}

/// Joins slots and outcomes. `first_id` reads the entry id at an index; where it cannot, the answer to a duplicate has
/// an empty one, because the entry is durable all the same.
pub fn answers(slots: Vec<Slot>, outcomes: &[Outcome], first_id: &dyn Fn(u64) -> Option<String>) -> Answers {
    let mut outcomes = outcomes.iter();
    let mut answers = Answers::default();
    for slot in slots {
        let (entry_id, from_place) = match slot {
            Slot::Refused(refusal) => {
                answers.results.push(EventResult::Refused(refusal));
                continue;
            }
            Slot::Queued { entry_id, from_place } => (entry_id, from_place),
        };
        answers.results.push(match outcomes.next() {
            Some(&Outcome::Appended { index, leaf_hash }) => {
                EventResult::Acknowledged { index, leaf_hash, entry_id, duplicate: false }
            }
            Some(&Outcome::Duplicate { index, leaf_hash }) => {
                let entry_id = first_id(index).unwrap_or_default();
                EventResult::Acknowledged { index, leaf_hash, entry_id, duplicate: true }
            }
            Some(&Outcome::Conflict { index }) => {
                if from_place {
                    answers.again.push(answers.results.len());
                }
                EventResult::Refused(conflict(index))
            }
            // The log answers every entry of a batch; one without an answer is never called durable.
            None => EventResult::Refused(Refusal::new(503, "unanswered", "", "a repetition", "the log gave no answer")),
        });
    }
    answers
}

fn conflict(index: u64) -> Refusal {
    let detail = format!("entry {index} has the same source and id and other content");
    let mut refusal = Refusal::new(409, "identity-conflict", "id", "an id that the source has not used", detail);
    refusal.first_index = Some(index);
    refusal
}

fn refusal(rejected: Rejected) -> Refusal {
    let status = if matches!(rejected.code, "tenant_other" | "stream_other") { 403 } else { 400 };
    let detail = rejected.to_string();
    let mut refusal = Refusal::new(status, rejected.code, rejected.field, rejected.expected, detail);
    refusal.line = rejected.line;
    refusal
}

fn place<'a>(place: &'a FilePlace, body: &[u8], part: &[u8]) -> event::FilePlace<'a> {
    let within = event::offset_of(body, part) as u64;
    // No file reaches so far: the server refuses such an offset.
    event::FilePlace { digest: &place.file, offset: place.offset.saturating_add(within) }
}
