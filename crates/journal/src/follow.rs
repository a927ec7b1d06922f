//! Feeds the gap folds with committed entries, and appends the entries that they ask for.
//!
//! One thread for all ledgers. Commits tell it their numbers in the order of their indexes; what it missed (a full
//! queue, the time before the start) it reads from the log. A fold is therefore always a fold over committed entries.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::own::Own;
use ledger::{Committed, Kind, Outcome, Subscription};
use serde_json::json;

use crate::append::Number;
use crate::fold::control::OWN_SOURCE;
use crate::fold::gaps::{Command, Counter, Gaps, entry_id_of};
use crate::limits::{FOLD_STEP_ENTRIES, FOLLOW_QUEUE_MAX, GAP_COMMANDS_MAX, GAPS_SHOWN_MAX, SNAPSHOT_EVERY};
use crate::state::{GapsShown, Inner, OpenLedger, lock};
use crate::views;

/// How often the folds are asked what is due and what is open. Both walk all that is held: not after each message.
const TICK: Duration = Duration::from_millis(500);

/// Steps of a fold between two looks at the queue.
const STEPS_AT_ONCE: usize = 16;

/// What one block tells.
struct Told {
    ulid: String,
    received_at: u64,
    /// Ascending by index.
    numbers: Vec<(u64, Number)>,
}

enum Message {
    Told(Told),
    Own {
        ulid: String,
        index: u64,
        command: Command,
    },
    /// The log has that entry already, from before what the fold knows.
    Known {
        ulid: String,
        command: Command,
    },
    Stop,
}

/// The following thread.
pub(crate) struct Follower {
    tx: SyncSender<Message>,
    /// A message was not taken: what it said must be read from the log.
    missed: Arc<AtomicBool>,
    waiting: Mutex<Option<Receiver<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Follower {
    pub(crate) fn new() -> Follower {
        let (tx, rx) = sync_channel(FOLLOW_QUEUE_MAX);
        let (missed, waiting) = (Arc::default(), Mutex::new(Some(rx)));
        Follower { tx, missed, waiting, thread: Mutex::default() }
    }

    /// Starts the thread, once the journal is open.
    pub(crate) fn start(&self, inner: &Arc<Inner>) -> std::io::Result<()> {
        let Some(rx) = lock(&self.waiting).take() else { return Ok(()) };
        let (inner, missed) = (Arc::downgrade(inner), Arc::clone(&self.missed));
        let thread = std::thread::Builder::new().name("follower".into()).spawn(move || {
            Following { inner, missed, ledgers: BTreeMap::new() }.run(&rx);
        })?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// The numbers of a committed batch. Called on a sequencer's thread, in the order of its commits: never blocks.
    pub(crate) fn committed(&self, open: &OpenLedger, numbers: Vec<Number>, committed: &Committed) {
        if numbers.is_empty() {
            return;
        }
        let appended = |number: Number| match committed.outcomes.get(number.at) {
            Some(&Outcome::Appended { index, .. }) => Some((index, number)),
            _ => None,
        };
        let numbers = numbers.into_iter().filter_map(appended).collect();
        self.send(Message::Told(Told { ulid: open.ulid.clone(), received_at: committed.received_at, numbers }));
    }

    fn send(&self, message: Message) {
        if let Err(TrySendError::Full(_)) = self.tx.try_send(message) {
            self.missed.store(true, Ordering::Release);
        }
    }

    /// Ends the thread, which leaves snapshots behind. Not to be called on it.
    pub(crate) fn stop(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            // Blocks while the queue is full: the thread drains it.
            let _ = self.tx.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

/// One ledger as the thread sees it.
struct Followed {
    open: Arc<OpenLedger>,
    gaps: Gaps,
    /// Entries below this are folded.
    size: u64,
    snapshot_size: u64,
    /// Committed and told: everything below it is in the queue or was.
    told: Arc<AtomicU64>,
    /// Entries below this must be read from the log.
    read_to: u64,
    in_flight: Arc<AtomicBool>,
    turn: Turn,
    _watching: Subscription,
}

struct Following {
    inner: Weak<Inner>,
    missed: Arc<AtomicBool>,
    ledgers: BTreeMap<String, Followed>,
}

impl Following {
    fn run(mut self, rx: &Receiver<Message>) {
        loop {
            let behind = self.ledgers.values().any(|f| f.size < f.read_to);
            let stopping = match rx.recv_timeout(if behind { Duration::from_millis(1) } else { TICK }) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            // A strong handle only while working: a journal that was dropped must not live on here.
            let Some(inner) = self.inner.upgrade() else { return };
            if stopping {
                return self.ledgers.values_mut().for_each(|followed| followed.snapshot(&inner, 1));
            }
            self.follow_new(&inner);
            if self.drain(rx) {
                return self.ledgers.values_mut().for_each(|followed| followed.snapshot(&inner, 1));
            }
            let now = inner.now();
            for followed in self.ledgers.values_mut() {
                followed.catch_up();
                followed.act(&inner, now);
                followed.snapshot(&inner, SNAPSHOT_EVERY);
            }
        }
    }

    /// Takes what is queued; what lies below `told` is then folded. Whether to stop.
    fn drain(&mut self, rx: &Receiver<Message>) -> bool {
        // Looked at before the queue is emptied: whatever was told by then is in it, unless it was missed.
        let told: Vec<(String, u64)> =
            self.ledgers.iter().map(|(ulid, f)| (ulid.clone(), f.told.load(Ordering::Acquire))).collect();
        let mut stopping = false;
        for message in rx.try_iter() {
            stopping |= self.take(message);
        }
        let missed = self.missed.swap(false, Ordering::AcqRel);
        for (ulid, told) in told {
            let Some(followed) = self.ledgers.get_mut(&ulid) else { continue };
            if missed {
                followed.read_to = followed.read_to.max(followed.open.ledger.size());
            } else if followed.read_to <= followed.size {
                followed.size = followed.size.max(told);
            }
        }
        stopping
    }

    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Told(told) => {
                let Some(followed) = self.ledgers.get_mut(&told.ulid) else { return false };
                // While entries before these are read from the log, these are read there too.
                let last = told.numbers.last().map_or(0, |(index, _)| index + 1);
                if followed.read_to > followed.size {
                    followed.read_to = followed.read_to.max(last);
                    return false;
                }
                for (index, number) in told.numbers {
                    if index >= followed.size {
                        followed.gaps.seen(&number.source, &number.epoch, number.n, told.received_at);
                    }
                }
                followed.size = followed.size.max(last);
            }
            Message::Own { ulid, index, command } => {
                let Some(followed) = self.ledgers.get_mut(&ulid) else { return false };
                if followed.read_to > followed.size {
                    followed.read_to = followed.read_to.max(index + 1);
                } else if index >= followed.size {
                    followed.gaps.recorded(&command);
                    followed.size = index + 1;
                }
            }
            Message::Known { ulid, command } => {
                // While behind, the entry itself may still come; if not, the log is asked again and says so again.
                if let Some(followed) = self.ledgers.get_mut(&ulid).filter(|f| f.read_to <= f.size) {
                    followed.gaps.recorded(&command);
                }
            }
            Message::Stop => return true,
        }
        false
    }

    /// Begins to follow audit ledgers that were opened since.
    fn follow_new(&mut self, inner: &Arc<Inner>) {
        for open in inner.all() {
            if open.kind != Kind::Audit || self.ledgers.contains_key(&open.ulid) {
                continue;
            }
            let (size, gaps) = views::read(&inner.opening(), &open, "gaps").unwrap_or_default();
            let told = Arc::new(AtomicU64::new(0));
            let watch = Arc::clone(&told);
            let _watching = open.ledger.subscribe(Box::new(move |size| watch.store(size, Ordering::Release)));
            let read_to = open.ledger.size();
            let (ulid, in_flight) = (open.ulid.clone(), Arc::default());
            let (turn, snapshot_size) = (Turn::default(), size);
            let followed = Followed { open, gaps, size, snapshot_size, told, read_to, in_flight, turn, _watching };
            self.ledgers.insert(ulid, followed);
        }
    }
}

/// When a fold is asked again.
#[derive(Default)]
struct Turn {
    asked: Option<Instant>,
    /// The last answer held as much as one may: the rest need not wait for the next tick.
    more: bool,
}

impl Turn {
    fn comes(&mut self, now: Instant, on_its_way: bool) -> bool {
        let waits = |at: Instant| now.duration_since(at) < TICK && (on_its_way || !self.more);
        if self.asked.is_some_and(waits) {
            return false;
        }
        self.asked = Some(now);
        true
    }
}

impl Followed {
    /// Reads some of what was not told; the caller comes again, so that a stop need not wait for all of it.
    fn catch_up(&mut self) {
        for _ in 0..STEPS_AT_ONCE {
            if self.size >= self.read_to {
                return;
            }
            let to = self.read_to.min(self.size + FOLD_STEP_ENTRIES);
            let Ok(page) = self.open.ledger.entries(self.size..to) else { return };
            if page.is_empty() {
                return;
            }
            for entry in page {
                self.fold(&entry);
                self.size = entry.index + 1;
            }
        }
    }

    fn fold(&mut self, entry: &ledger::Entry) {
        let Some(leaf) = event::parse_leaf(&entry.leaf) else { return };
        if let (Some(epoch), Some(n)) = (&leaf.source_epoch, leaf.source_seq) {
            let received = event::nanoseconds(leaf.received_at).unwrap_or_default();
            self.gaps.seen(leaf.source, epoch, n, received);
        }
        if leaf.source == OWN_SOURCE && leaf.action.starts_with("source.gap") {
            let command = entry.body.as_deref().and_then(|body| command_of(leaf.action, body));
            if let Some(command) = command {
                self.gaps.recorded(&command);
            }
        }
    }

    /// Appends what is due, without waiting for it: the answer comes back in the order of commits.
    fn act(&mut self, inner: &Arc<Inner>, now: u64) {
        let on_its_way = self.in_flight.load(Ordering::Acquire);
        if !self.turn.comes(Instant::now(), on_its_way) {
            return;
        }
        self.show();
        if self.size < self.read_to || on_its_way {
            return;
        }
        let due = self.gaps.due(now);
        self.turn.more = due.len() >= GAP_COMMANDS_MAX;
        if due.is_empty() {
            return;
        }
        let events: Vec<Own> = due.iter().map(event_of).collect();
        let Ok(built) = inner.build_own(&self.open.name, &events) else { return };
        self.in_flight.store(true, Ordering::Release);
        let (in_flight, ulid) = (Arc::clone(&self.in_flight), self.open.ulid.clone());
        let (tx, missed) = (inner.follower.tx.clone(), Arc::clone(&inner.follower.missed));
        self.open.ledger.submit(
            built.batch,
            Box::new(move |outcome| {
                for (command, outcome) in due.into_iter().zip(outcome.iter().flat_map(|c| &c.outcomes)) {
                    let ulid = ulid.clone();
                    let told = match *outcome {
                        Outcome::Appended { index, .. } => Message::Own { ulid, index, command },
                        // A stream that was pushed out and came again repeats itself. Unsettled, it would be asked for
                        // for ever, and enough of them would leave no room for gaps of others.
                        Outcome::Duplicate { .. } | Outcome::Conflict { .. } => Message::Known { ulid, command },
                    };
                    if tx.try_send(told).is_err() {
                        missed.store(true, Ordering::Release);
                    }
                }
                in_flight.store(false, Ordering::Release);
            }),
        );
    }

    fn show(&self) {
        let first: Vec<_> = self.gaps.open().take(GAPS_SHOWN_MAX).collect();
        let open = self.gaps.open().count() as u64;
        *lock(&self.open.gaps) = GapsShown { first, open };
    }

    /// Leaves a snapshot behind once `every` more entries are folded and a checkpoint covers them.
    fn snapshot(&mut self, inner: &Inner, every: u64) {
        if self.size >= self.snapshot_size + every && self.open.ledger.checkpoint().size >= self.size {
            views::write(inner, &self.open, "gaps", self.size, &self.gaps);
            self.snapshot_size = self.size;
        }
    }
}

fn event_of(command: &Command) -> Own {
    let (action, counter, first, last) = match command {
        Command::Gap { counter, first, last } => ("source.gap", counter, first, last),
        Command::Closed { counter, first, last } => ("source.gap_closed", counter, first, last),
    };
    let stated = json!({"source": counter.source, "epoch": counter.epoch, "first": first, "last": last});
    Own::new(action)
        .id(&entry_id_of(action, counter, *first, *last))
        .category("log")
        .severity(if action == "source.gap" { "medium" } else { "info" })
        .target("source", &counter.source, None)
        .outcome("success", None, None)
        .ext("gap", &stated)
}

fn command_of(action: &str, body: &[u8]) -> Option<Command> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let gap = body.pointer("/event/ext/gap")?;
    let text = |name: &str| gap.get(name)?.as_str().map(str::to_owned);
    let counter = Counter { source: text("source")?, epoch: text("epoch")? };
    let (first, last) = (gap.get("first")?.as_u64()?, gap.get("last")?.as_u64()?);
    match action {
        "source.gap" => Some(Command::Gap { counter, first, last }),
        "source.gap_closed" => Some(Command::Closed { counter, first, last }),
        _ => None,
    }
}

impl Gaps {
    fn recorded(&mut self, command: &Command) {
        match command {
            Command::Gap { counter, first, last } => self.gap_recorded(counter, *first, *last),
            Command::Closed { counter, first, last } => self.gap_closed(counter, *first, *last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_is_asked_once_a_tick_however_many_messages_come() {
        let (mut turn, start) = (Turn::default(), Instant::now());
        let asked = |turn: &mut Turn, on_its_way: bool| {
            (0..5_000).filter(|ms| turn.comes(start + Duration::from_millis(*ms), on_its_way)).count()
        };
        assert_eq!(asked(&mut turn, false), 10);
        // More was due than one answer holds: again as soon as that is committed, and not before.
        let (mut turn, later) = (Turn { asked: Some(start), more: true }, start + Duration::from_millis(1));
        assert!(!turn.comes(later, true) && turn.comes(later, false));
        assert!(!turn.comes(later, true) && turn.comes(start + TICK + TICK, true));
    }
}
