//! A journal over a real folder, with a clock and randomness that the test holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use journal::{
    Credential, Doors, EventResult, Format, Framing, Journal, NewToken, OpenError, OpenReport, Options, PinChoice,
    Request, Scope, Verb,
};
use ledger::durable::{Disk, OsDisk};
use testkit::VirtualClock;

pub(crate) const START: u64 = 1_795_487_382_000_000_000;

pub(crate) struct Rig {
    _dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) clock: VirtualClock,
    seed: std::cell::Cell<u64>,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_path_buf();
        Rig { _dir: dir, root, clock: VirtualClock::at(START).ticking(200_000), seed: std::cell::Cell::new(1) }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn options(&self) -> Options {
        let ledger = ledger::Config { disk_low_bytes: 0, publish_wait_ms: 5, ..ledger::Config::default() };
        let pin = PinChoice::InFolder(self.root.join("state").join("pins"));
        Options { data: self.data(), host: None, pin, accept_first_start: false, ledger }
    }

    pub(crate) fn doors(&self, disk: Arc<dyn Disk>) -> Doors {
        self.seed.set(self.seed.get() + 1);
        Doors { clock: self.clock.door(), random: testkit::random(self.seed.get()), disk }
    }

    pub(crate) fn try_open(&self) -> Result<(Journal, OpenReport), OpenError> {
        Journal::open(self.options(), self.doors(Arc::new(OsDisk)))
    }

    pub(crate) fn open(&self) -> (Journal, OpenReport) {
        self.try_open().unwrap()
    }

    /// A fresh folder, and its first admin.
    pub(crate) fn fresh(&self) -> (Journal, Arc<Credential>) {
        let (journal, report) = self.open();
        assert!(report.fresh, "the folder was empty");
        let secret = report.bootstrap.unwrap();
        let admin = journal.authenticate(secret.expose()).unwrap();
        (journal, admin)
    }
}

pub(crate) fn wait<T: Send + 'static>(call: impl FnOnce(journal::Done<T>)) -> Result<T, journal::Error> {
    let (tx, rx) = mpsc::channel();
    call(Box::new(move |outcome| drop(tx.send(outcome))));
    rx.recv_timeout(std::time::Duration::from_secs(20)).unwrap()
}

pub(crate) fn append(journal: &Journal, who: &Arc<Credential>, ledger: &str, body: &str) -> Vec<EventResult> {
    try_append(journal, who, ledger, body).unwrap()
}

pub(crate) fn try_append(
    journal: &Journal,
    who: &Arc<Credential>,
    ledger: &str,
    body: &str,
) -> Result<Vec<EventResult>, journal::Error> {
    let request = Request { format: Format::Native, body: body.as_bytes(), framing: Framing::Auto, place: None };
    wait(|done| journal.append(who, ledger, &request, done))
}

pub(crate) fn index(result: &EventResult) -> (u64, bool) {
    match result {
        EventResult::Acknowledged { index, duplicate, .. } => (*index, *duplicate),
        EventResult::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

pub(crate) fn token(journal: &Journal, admin: &Arc<Credential>, verbs: &[Verb], ledgers: &[&str]) -> Arc<Credential> {
    let new = NewToken {
        person: "Ada".into(),
        verbs: verbs.to_vec(),
        ledgers: ledgers.iter().map(|l| (*l).to_owned()).collect(),
        ..NewToken::default()
    };
    let (made, secret) = journal.create_token(admin, new).unwrap();
    assert_eq!(journal.authenticate(secret.expose()).as_ref(), Some(&made));
    made
}

/// Bodies of a ledger whose action is this one.
pub(crate) fn bodies(journal: &Journal, who: &Arc<Credential>, ledger: &str, action: &str) -> Vec<serde_json::Value> {
    let scope = Scope::of(who);
    let size = journal.ledger_info(&scope, ledger).unwrap().size;
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        for view in journal.entries(&scope, ledger, at..size).unwrap() {
            at = view.index + 1;
            let leaf: serde_json::Value = serde_json::from_slice(&view.leaf).unwrap();
            if leaf["action"] == action {
                found.push(serde_json::from_slice(&view.body.unwrap()).unwrap());
            }
        }
    }
    found
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
    let mode = std::fs::metadata(from).unwrap().permissions();
    std::fs::set_permissions(to, mode).unwrap();
}
