//! A log in memory that follows the doors of `journal`, so that the routes can be judged alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use journal::{
    Access, Credential, Denial, Done, EntryState, EntryView, Error, EventResult, LedgerInfo, LedgerStatus, NewLedger,
    NewToken, Quotas, Refusal, Request, Scope, Status, TokenInfo, Verb,
};
use ledger::{Kind, Signed};
use server::{Log, Shown};
use tlog::Hash;
use tlog::tile::{Resource, TilePath};

pub(crate) struct Stored {
    kind: Kind,
    public: bool,
    pub(crate) entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    published: u64,
}

type Watches = Vec<(String, Box<dyn Fn(u64) + Send + Sync>)>;

#[derive(Default)]
pub(crate) struct Double {
    pub(crate) ledgers: Mutex<BTreeMap<String, Stored>>,
    tokens: Mutex<BTreeMap<String, Arc<Credential>>>,
    pub(crate) accesses: Mutex<Vec<Access>>,
    pub(crate) denials: Mutex<Vec<Denial>>,
    /// Most entries that one call fetched.
    pub(crate) fetched: AtomicU64,
    pub(crate) closed_at: Mutex<Option<u64>>,
    /// Nothing is published any more.
    pub(crate) silent: AtomicBool,
    /// The disk has little room.
    pub(crate) disk_low: AtomicBool,
    /// Appends are answered `Busy`.
    pub(crate) busy: AtomicBool,
    /// How long the read of an entry takes.
    pub(crate) read_takes: Mutex<std::time::Duration>,
    /// Entries that are being read, and most at one time.
    pub(crate) reading: [AtomicU64; 2],
    made: AtomicU64,
    watches: Mutex<Watches>,
}

pub(crate) fn credential(id: &str, verbs: &[Verb], ledgers: &[&str]) -> Credential {
    Credential {
        token_id: id.into(),
        principal: format!("p-{id}"),
        bootstrap: false,
        default_source: "urn:test".into(),
        source_prefixes: Vec::new(),
        ledgers: ledgers.iter().map(|l| (*l).to_owned()).collect(),
        verbs: verbs.to_vec(),
        quotas: Quotas::default(),
    }
}

impl Double {
    pub(crate) fn new() -> Arc<Double> {
        let double = Double::default();
        for (name, kind, public) in [
            ("main", Kind::Audit, false),
            ("raw", Kind::Raw, false),
            ("open", Kind::Raw, true),
            ("access", Kind::Audit, false),
        ] {
            let stored = Stored { kind, public, entries: Vec::new(), published: 0 };
            double.ledgers.lock().unwrap().insert(name.into(), stored);
        }
        double.grant("admin", credential("admin", &Verb::ALL, &["*"]));
        double.grant("writer", credential("writer", &[Verb::Append], &["main", "raw"]));
        double.grant("reader", credential("reader", &[Verb::ReadLeaves, Verb::ReadBodies], &["main", "access"]));
        double.grant("leaves", credential("leaves", &[Verb::ReadLeaves], &["main"]));
        Arc::new(double)
    }

    pub(crate) fn grant(&self, secret: &str, credential: Credential) {
        self.tokens.lock().unwrap().insert(secret.into(), Arc::new(credential));
    }

    pub(crate) fn revoke(&self, secret: &str) {
        self.tokens.lock().unwrap().remove(secret);
    }

    pub(crate) fn size(&self, ledger: &str) -> u64 {
        self.ledgers.lock().unwrap()[ledger].entries.len() as u64
    }

    fn commit(&self, ledger: &str, entries: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> u64 {
        let (first, size) = {
            let mut ledgers = self.ledgers.lock().unwrap();
            let stored = ledgers.get_mut(ledger).unwrap();
            let first = stored.entries.len() as u64;
            stored.entries.extend(entries);
            let size = stored.entries.len() as u64;
            if !self.silent.load(Ordering::SeqCst) {
                stored.published = size;
            }
            (first, size)
        };
        for (name, watch) in self.watches.lock().unwrap().iter() {
            if name == ledger {
                watch(size);
            }
        }
        first
    }

    fn read<T>(
        &self,
        scope: &Scope,
        ledger: &str,
        look: impl FnOnce(&Stored, bool) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let ledgers = self.ledgers.lock().unwrap();
        let stored = ledgers.get(ledger).ok_or(Error::NotFound)?;
        if !stored.public && !Verb::ALL.into_iter().any(|v| scope.allows(v, ledger)) {
            return Err(Error::NotFound);
        }
        look(stored, scope.allows(Verb::ReadBodies, ledger))
    }
}

fn info(name: &str, stored: &Stored) -> LedgerInfo {
    LedgerInfo {
        name: name.into(),
        ulid: "01".into(),
        kind: stored.kind,
        origin: format!("test/logs/{name}"),
        vkeys: vec!["k".into()],
        size: stored.entries.len() as u64,
        checkpoint_size: stored.published,
        public_leaves: stored.public,
        retention: "none".into(),
        created_at: "2026-01-01T00:00:00.000000000Z".into(),
    }
}

fn view(name: &str, stored: &Stored, index: u64, bodies: bool) -> Result<EntryView, Error> {
    let size = stored.entries.len() as u64;
    let (leaf, body) = stored.entries.get(index as usize).ok_or(Error::Beyond { asked: index, size })?;
    Ok(EntryView {
        ledger: name.into(),
        origin: format!("test/logs/{name}"),
        kind: stored.kind,
        index,
        tree_size: size,
        leaf: leaf.clone(),
        leaf_hash: tlog::leaf_hash(leaf),
        body: body.clone().filter(|_| bodies),
        body_sha256: body.as_ref().map(|_| [7; 32]),
        state: EntryState::Present,
    })
}

fn split(body: &[u8]) -> Result<Vec<serde_json::Value>, Error> {
    let bad = || Error::Refused(Refusal::new(400, "json-malformed", "", "JSON", "the body is not JSON"));
    let text = std::str::from_utf8(body).map_err(|_| bad())?;
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|_| bad());
    }
    let all: Result<Vec<_>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    all.map_err(|_| bad())
}

impl Log for Double {
    fn authenticate(&self, secret: &str) -> Option<Arc<Credential>> {
        self.tokens.lock().unwrap().get(secret).cloned()
    }
    fn is_valid(&self, credential: &Credential) -> bool {
        self.tokens.lock().unwrap().values().any(|c| c.token_id == credential.token_id)
    }
    fn ends_bootstrap(&self, _: &Credential) -> bool {
        false
    }
    fn append(&self, _: &Arc<Credential>, ledger: &str, request: &Request<'_>, done: Done<Vec<EventResult>>) {
        if self.busy.load(Ordering::SeqCst) {
            return done(Err(Error::Busy("the queue is full")));
        }
        if !self.ledgers.lock().unwrap().contains_key(ledger) {
            return done(Err(Error::NotFound));
        }
        let events = match split(request.body) {
            Ok(events) => events,
            Err(error) => return done(Err(error)),
        };
        let results = events
            .iter()
            .map(|event| match event.get("action") {
                None => EventResult::Refused(Refusal::new(400, "field-missing", "action", "a verb", "no action")),
                Some(action) if action == "theirs" => {
                    EventResult::Refused(Refusal::new(403, "source-not-allowed", "source", "urn:test", "not yours"))
                }
                Some(_) => {
                    let leaf = br#"{"v":1,"action":"a"}"#.to_vec();
                    let leaf_hash = tlog::leaf_hash(&leaf);
                    let index = self.commit(ledger, vec![(leaf, Some(event.to_string().into_bytes()))]);
                    EventResult::Acknowledged { index, leaf_hash, entry_id: "01ULID".into(), duplicate: false }
                }
            })
            .collect();
        done(Ok(results));
    }
    fn add_raw(&self, _: &Arc<Credential>, ledger: &str, leaf: &[u8], done: Done<(u64, Hash)>) {
        if self.busy.load(Ordering::SeqCst) {
            return done(Err(Error::Busy("the queue is full")));
        }
        let index = self.commit(ledger, vec![(leaf.to_vec(), None)]);
        done(Ok((index, tlog::leaf_hash(leaf))));
    }
    fn create_ledger(&self, _: &Arc<Credential>, new: NewLedger) -> Result<LedgerInfo, Error> {
        let stored = Stored { kind: new.kind, public: new.public_leaves, entries: Vec::new(), published: 0 };
        let made = info(&new.name, &stored);
        self.ledgers.lock().unwrap().insert(new.name, stored);
        Ok(made)
    }
    fn list_ledgers(&self, scope: &Scope) -> Vec<LedgerInfo> {
        let ledgers = self.ledgers.lock().unwrap();
        let seen = |n: &str| Verb::ALL.into_iter().any(|v| scope.allows(v, n));
        ledgers.iter().filter(|(n, _)| seen(n)).map(|(n, s)| info(n, s)).collect()
    }
    fn ledger_info(&self, scope: &Scope, ledger: &str) -> Result<LedgerInfo, Error> {
        self.read(scope, ledger, |stored, _| Ok(info(ledger, stored)))
    }
    fn create_token(&self, _: &Arc<Credential>, new: NewToken) -> Result<(Arc<Credential>, Shown), Error> {
        let id = format!("t{}", self.made.fetch_add(1, Ordering::SeqCst));
        let mut made = credential(&id, &new.verbs, &[]);
        made.ledgers = new.ledgers;
        made.quotas = new.quotas;
        let secret = format!("secret-{id}");
        self.grant(&secret, made.clone());
        Ok((Arc::new(made), Shown(secret)))
    }
    fn revoke_token(&self, _: &Arc<Credential>, token_id: &str) -> Result<(), Error> {
        self.tokens.lock().unwrap().retain(|_, c| c.token_id != token_id);
        Ok(())
    }
    fn list_tokens(&self, _: &Arc<Credential>) -> Result<Vec<TokenInfo>, Error> {
        let tokens = self.tokens.lock().unwrap();
        Ok(tokens
            .values()
            .map(|c| TokenInfo { credential: (**c).clone(), person: None, created_at: String::new(), revoked_at: None })
            .collect())
    }
    fn entry(&self, scope: &Scope, ledger: &str, index: u64) -> Result<EntryView, Error> {
        self.reading[1].fetch_max(self.reading[0].fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(*self.read_takes.lock().unwrap());
        self.reading[0].fetch_sub(1, Ordering::SeqCst);
        self.read(scope, ledger, |stored, bodies| view(ledger, stored, index, bodies))
    }
    fn entries(&self, scope: &Scope, ledger: &str, range: Range<u64>) -> Result<Vec<EntryView>, Error> {
        self.fetched.fetch_max(range.end - range.start, Ordering::SeqCst);
        self.read(scope, ledger, |stored, bodies| range.map(|i| view(ledger, stored, i, bodies)).collect())
    }
    fn tile(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        self.read(scope, ledger, |stored, _| {
            let size = stored.published;
            if path.size_needed().is_none_or(|n| n > size) {
                return Err(Error::Refused(Refusal::new(400, "read-refused", "", "", "no such tile")));
            }
            let first = path.index as usize * 256;
            let some = &stored.entries[first..first + usize::from(path.width)];
            Ok(some.iter().flat_map(|(leaf, _)| tlog::leaf_hash(leaf).0).collect())
        })
    }
    /// Two at a time.
    fn bodies(&self, scope: &Scope, ledger: &str, path: &TilePath, from: u16) -> Result<(Vec<u8>, u16), Error> {
        self.read(scope, ledger, |stored, _| {
            let first = path.index as usize * 256;
            let to = path.width.min(from + 2);
            let some = &stored.entries[first + usize::from(from)..first + usize::from(to)];
            let mut out = Vec::new();
            for (_, body) in some {
                if body.as_deref() == Some(b"unreadable") {
                    return Err(Error::Corrupt("a body".into()));
                }
                assert!(tlog::push_body(&mut out, body.as_deref()));
            }
            Ok((out, to))
        })
    }
    fn bundle_gzip(&self, scope: &Scope, ledger: &str, path: &TilePath) -> Result<Vec<u8>, Error> {
        assert_eq!(path.resource, Resource::Entries);
        self.tile(scope, ledger, &TilePath::tile(0, path.index, path.width).unwrap())?;
        Ok(b"\x1f\x8bgzip".to_vec())
    }
    fn checkpoint(&self, scope: &Scope, ledger: &str) -> Result<Arc<Signed>, Error> {
        self.read(scope, ledger, |stored, _| {
            let size = stored.published;
            let note = format!("test/logs/{ledger}\n{size}\nroot\n");
            Ok(Arc::new(Signed { size, root: Hash([0; 32]), note }))
        })
    }
    fn keys(&self, scope: &Scope, ledger: &str) -> Result<String, Error> {
        self.read(scope, ledger, |_, _| Ok("[]\n".into()))
    }
    fn proof(&self, scope: &Scope, ledger: &str, index: u64) -> Result<String, Error> {
        self.read(scope, ledger, |stored, _| {
            let size = stored.entries.len() as u64;
            if index >= size {
                return Err(Error::Beyond { asked: index, size });
            }
            if index >= stored.published {
                return Err(Error::NotPublished { index });
            }
            Ok(format!("c2sp.org/tlog-proof@v1\nindex {index}\n"))
        })
    }
    fn consistency(&self, scope: &Scope, ledger: &str, from: u64, to: u64) -> Result<Vec<Hash>, Error> {
        self.read(scope, ledger, |stored, _| {
            let size = stored.published;
            if to > size { Err(Error::Beyond { asked: to, size }) } else { Ok(vec![Hash([from as u8; 32])]) }
        })
    }
    fn wait_published(&self, scope: &Scope, ledger: &str, size: u64, done: Done<Arc<Signed>>) {
        match self.checkpoint(scope, ledger) {
            Ok(signed) if signed.size >= size => done(Ok(signed)),
            // Never: as a log whose signer is away. Kept, or the wait would end at once.
            Ok(_) => drop(Box::leak(Box::new(done))),
            Err(error) => done(Err(error)),
        }
    }
    fn subscribe(
        &self,
        scope: &Scope,
        ledger: &str,
        watch: Box<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Box<dyn Send + Sync>, Error> {
        self.ledger_info(scope, ledger)?;
        self.watches.lock().unwrap().push((ledger.into(), watch));
        Ok(Box::new(()))
    }
    fn record_access(&self, _: &Arc<Credential>, access: &Access, done: Done<u64>) {
        self.accesses.lock().unwrap().push(access.clone());
        let index = self.commit("access", vec![(b"{\"own\":1}".to_vec(), Some(b"{}".to_vec()))]);
        done(Ok(index));
    }
    fn record_denial(&self, _: Option<&Arc<Credential>>, denial: &Denial, done: Done<u64>) {
        self.denials.lock().unwrap().push(denial.clone());
        done(Ok(self.commit("access", vec![(b"{\"denied\":1}".to_vec(), Some(b"{}".to_vec()))])));
    }
    fn status(&self) -> Status {
        let ledgers = self.ledgers.lock().unwrap();
        let ledgers = ledgers
            .iter()
            .map(|(n, s)| LedgerStatus {
                info: info(n, s),
                log: ledger::Status { disk_low: self.disk_low.load(Ordering::SeqCst), ..ledger::Status::default() },
                gaps: Vec::new(),
                gaps_open: 0,
            })
            .collect();
        Status { ledgers, tokens: 4 }
    }
    fn close(&self) -> Result<(), Error> {
        *self.closed_at.lock().unwrap() = Some(self.size("main"));
        Ok(())
    }
    fn data(&self) -> PathBuf {
        PathBuf::from("/nonexistent")
    }
}
